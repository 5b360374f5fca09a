/* SPDX-License-Identifier: MIT */
/*
 * The PLIC against its specification: gateways, priorities, claims and completions, and that
 * nothing is lost when lines and harts move at the same time.
 */
#include "support/probe.h"

#include <sched.h>
#include <stdio.h>

#include "base/point.h"
#include "hw/plic.h"

#define BASE 0xc000000
#define SOURCES 95

static struct fh_device *plic;
static struct fh_irq *lines[SOURCES + 1]; /* outputs of `board`, into the sources */

static const struct fh_type board_type = { .name = "board", .parent = &fh_device_type };

static int set_up(void **state)
{
	const struct fh_setting settings[] = { { "sources", "95" }, { "contexts", "4" }, { 0 } };
	struct fh_machine *m = machine_begin();
	struct fh_device *board = fh_device_plug(m, &board_type, "board", NULL, NULL);
	char name[32];

	plic = fh_device_plug(m, &plic_type, "plic", settings, NULL);
	assert_non_null(plic);
	fh_region_add(fh_space_root(fh_machine_memory(m)), fh_device_region(plic, "regs"), BASE, 0);
	for (unsigned i = 1; i <= SOURCES; i++) {
		snprintf(name, sizeof(name), "source-%u", i);
		lines[i] = fh_irq_new(board, name);
		assert_int_equal(fh_irq_connect(lines[i], fh_device_irq(plic, name)), FH_OK);
	}
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	fh_point_release_all();
	machine_end(*state);
	return 0;
}

static uint64_t priority(unsigned source)
{
	return BASE + 4 * source;
}

static uint64_t pending(unsigned word)
{
	return BASE + 0x1000 + 4 * word;
}

static uint64_t enable(unsigned context, unsigned word)
{
	return BASE + 0x2000 + 0x80 * context + 4 * word;
}

static uint64_t threshold(unsigned context)
{
	return BASE + 0x200000 + 0x1000 * context;
}

static uint64_t claim(unsigned context)
{
	return threshold(context) + 4;
}

static bool notified(unsigned context)
{
	char name[32];

	snprintf(name, sizeof(name), "context-%u", context);
	return fh_irq_level(fh_device_irq(plic, name));
}

static bool is_pending(struct fh_machine *m, unsigned source)
{
	return load32(m, pending(source / 32), FH_TX_OK) >> (source % 32) & 1;
}

/* One more source for the context, of that priority. */
static void admit(struct fh_machine *m, unsigned context, unsigned source, unsigned level)
{
	const uint32_t bits = load32(m, enable(context, source / 32), FH_TX_OK);

	store32(m, priority(source), level, FH_TX_OK);
	store32(m, enable(context, source / 32), bits | UINT32_C(1) << (source % 32), FH_TX_OK);
}

static uint32_t take(struct fh_machine *m, unsigned context)
{
	return load32(m, claim(context), FH_TX_OK);
}

static void complete(struct fh_machine *m, unsigned context, uint32_t source)
{
	store32(m, claim(context), source, FH_TX_OK);
}

/* --- Registers ------------------------------------------------------------------------------ */

static void registers_begin_at_0(void **state)
{
	struct fh_machine *m = *state;

	assert_int_equal(load32(m, priority(1), FH_TX_OK), 0);
	assert_int_equal(load32(m, pending(0), FH_TX_OK), 0);
	assert_int_equal(load32(m, enable(0, 0), FH_TX_OK), 0);
	assert_int_equal(load32(m, threshold(0), FH_TX_OK), 0);
	assert_int_equal(take(m, 0), 0);
}

static void registers_keep_the_bits_that_there_are(void **state)
{
	struct fh_machine *m = *state;

	for (unsigned source = 1; source <= SOURCES; source++) {
		store32(m, priority(source), 0xffffffff, FH_TX_OK);
		assert_int_equal(load32(m, priority(source), FH_TX_OK), 7);
	}
	for (unsigned word = 0; word < 4; word++)
		store32(m, enable(3, word), 0xffffffff, FH_TX_OK);
	assert_int_equal(load32(m, enable(3, 0), FH_TX_OK), 0xfffffffe);
	assert_int_equal(load32(m, enable(3, 1), FH_TX_OK), 0xffffffff);
	assert_int_equal(load32(m, enable(3, 2), FH_TX_OK), 0xffffffff);
	assert_int_equal(load32(m, enable(3, 3), FH_TX_OK), 0);
	assert_int_equal(load32(m, enable(2, 1), FH_TX_OK), 0);
	store32(m, threshold(1), 0xfffffffd, FH_TX_OK);
	assert_int_equal(load32(m, threshold(1), FH_TX_OK), 5);
	assert_int_equal(load32(m, threshold(0), FH_TX_OK), 0);
}

static void what_is_not_there_is_0_and_takes_no_writes(void **state)
{
	static const uint64_t nowhere[] = {
		BASE, BASE + 4 * (SOURCES + 1), BASE + 0x1080, BASE + 0x2000 + 4 * 0x80,
		BASE + 0x1ffffc, BASE + 0x200008, BASE + 0x204000, BASE + 0x204004,
		BASE + PLIC_SIZE - 4
	};
	struct fh_machine *m = *state;

	for (unsigned i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		store32(m, nowhere[i], 0xffffffff, FH_TX_OK);
		assert_int_equal(load32(m, nowhere[i], FH_TX_OK), 0);
	}
	store32(m, pending(0), 0xffffffff, FH_TX_OK);
	assert_int_equal(load32(m, pending(0), FH_TX_OK), 0);
	(void)load32(m, BASE + PLIC_SIZE, FH_TX_DECODE_ERROR);
}

static void only_words_are_accessed(void **state)
{
	struct fh_space *memory = fh_machine_memory(*state);
	uint64_t wide;
	uint8_t narrow;

	assert_int_equal(fh_space_load64(memory, priority(2), FH_LE, &wide), FH_TX_DECODE_ERROR);
	assert_int_equal(fh_space_load8(memory, priority(2), FH_LE, &narrow), FH_TX_DECODE_ERROR);
}

static void parameters_are_checked(void **state)
{
	static const char *const wrong[][2] = {
		{ "sources", "0" }, { "sources", "1024" },
		{ "contexts", "0" }, { "contexts", "1025" }
	};
	struct fh_machine *m = *state;

	for (unsigned i = 0; i < 4; i++) {
		const struct fh_setting settings[] = { { wrong[i][0], wrong[i][1] }, { 0 } };
		struct fh_error err = FH_ERROR_INIT;

		assert_null(fh_device_plug(m, &plic_type, "other", settings, &err));
		assert_int_equal(err.code, FH_ERANGE);
	}
}

static void all_1023_sources_and_1024_contexts_work(void **state)
{
	const struct fh_setting settings[] = { { "sources", "1023" }, { "contexts", "1024" },
					       { 0 } };
	struct fh_machine *m = *state;
	struct fh_device *big = fh_device_plug(m, &plic_type, "big", settings, NULL);
	const uint64_t up = 0x10000000;

	assert_non_null(big);
	fh_region_add(fh_space_root(fh_machine_memory(m)), fh_device_region(big, "regs"),
		      BASE + up, 0);
	assert_int_equal(fh_irq_connect(lines[1], fh_device_irq(big, "source-1023")), FH_OK);
	store32(m, up + priority(1023), 1, FH_TX_OK);
	store32(m, up + enable(1023, 31), 0xffffffff, FH_TX_OK);
	fh_irq_raise(lines[1]);
	assert_true(fh_irq_level(fh_device_irq(big, "context-1023")));
	assert_int_equal(load32(m, up + claim(1023), FH_TX_OK), 1023);
}

static void last_word_of_sources_may_be_short(void **state)
{
	const struct fh_setting settings[] = { { "sources", "40" }, { 0 } };
	struct fh_machine *m = *state;
	struct fh_device *small = fh_device_plug(m, &plic_type, "small", settings, NULL);
	const uint64_t up = 0x10000000;

	fh_region_add(fh_space_root(fh_machine_memory(m)), fh_device_region(small, "regs"),
		      BASE + up, 0);
	store32(m, up + enable(0, 1), 0xffffffff, FH_TX_OK);
	assert_int_equal(load32(m, up + enable(0, 1), FH_TX_OK), 0x1ff);
	store32(m, up + enable(0, 2), 0xffffffff, FH_TX_OK);
	assert_int_equal(load32(m, up + enable(0, 2), FH_TX_OK), 0);
}

/* --- Gateways ------------------------------------------------------------------------------- */

static void line_is_pending_until_claimed_and_again_when_completed_high(void **state)
{
	struct fh_machine *m = *state;

	admit(m, 1, 40, 1);
	fh_irq_raise(lines[40]);
	assert_true(is_pending(m, 40));
	assert_true(notified(1));
	assert_int_equal(take(m, 1), 40);
	assert_false(is_pending(m, 40));
	assert_false(notified(1));
	assert_int_equal(take(m, 1), 0);
	complete(m, 1, 40);
	assert_true(is_pending(m, 40));
	assert_true(notified(1));
	assert_int_equal(take(m, 1), 40);
	fh_irq_lower(lines[40]);
	complete(m, 1, 40);
	assert_false(is_pending(m, 40));
	assert_false(notified(1));
}

static void request_is_not_taken_back(void **state)
{
	struct fh_machine *m = *state;

	admit(m, 0, 3, 1);
	fh_irq_raise(lines[3]);
	fh_irq_lower(lines[3]);
	assert_true(notified(0));
	assert_int_equal(take(m, 0), 3);
	complete(m, 0, 3);
	assert_false(notified(0));
}

static void nothing_is_forwarded_between_claim_and_completion(void **state)
{
	struct fh_machine *m = *state;

	admit(m, 0, 3, 1);
	fh_irq_raise(lines[3]);
	assert_int_equal(take(m, 0), 3);
	fh_irq_lower(lines[3]);
	fh_irq_raise(lines[3]);
	assert_false(is_pending(m, 3));
	fh_irq_lower(lines[3]);
	complete(m, 0, 3);
	assert_false(is_pending(m, 3));
	fh_irq_raise(lines[3]);
	assert_true(is_pending(m, 3));
}

static void line_is_pending_without_being_enabled(void **state)
{
	struct fh_machine *m = *state;

	fh_irq_raise(lines[95]);
	assert_true(is_pending(m, 95));
	assert_int_equal(take(m, 0), 0);
	admit(m, 0, 95, 1);
	assert_true(notified(0));
}

static void completion_before_the_claim_does_not_open_the_gateway(void **state)
{
	struct fh_machine *m = *state;

	admit(m, 0, 2, 1);
	fh_irq_pulse(lines[2]);
	complete(m, 0, 2);
	assert_int_equal(take(m, 0), 2);
	fh_irq_raise(lines[2]);
	assert_false(is_pending(m, 2));
	complete(m, 0, 2);
	assert_true(is_pending(m, 2));
}

static void completion_of_what_is_not_enabled_or_not_claimed_is_ignored(void **state)
{
	struct fh_machine *m = *state;

	admit(m, 0, 5, 1);
	fh_irq_raise(lines[5]);
	complete(m, 0, 5); /* not claimed */
	assert_int_equal(take(m, 0), 5);
	complete(m, 1, 5); /* context 1 has not enabled it */
	assert_false(is_pending(m, 5));
	complete(m, 0, 0);
	complete(m, 0, 6);
	complete(m, 0, 5000);
	complete(m, 0, 0xffffffff);
	assert_false(is_pending(m, 5));
	store32(m, enable(1, 0), 1 << 5, FH_TX_OK);
	complete(m, 1, 5); /* who completes need not be who claimed */
	assert_true(is_pending(m, 5));
}

/* --- Who is notified ------------------------------------------------------------------------ */

static void highest_priority_is_claimed_first_and_of_equals_the_lowest(void **state)
{
	struct fh_machine *m = *state;

	admit(m, 0, 70, 5);
	admit(m, 0, 33, 2);
	admit(m, 0, 9, 2);
	admit(m, 0, 34, 5);
	for (unsigned i = 1; i <= SOURCES; i++)
		fh_irq_raise(lines[i]);
	assert_int_equal(take(m, 0), 34);
	assert_int_equal(take(m, 0), 70);
	assert_int_equal(take(m, 0), 9);
	assert_int_equal(take(m, 0), 33);
	assert_int_equal(take(m, 0), 0);
}

static void priority_0_never_interrupts(void **state)
{
	struct fh_machine *m = *state;

	admit(m, 0, 7, 0);
	fh_irq_raise(lines[7]);
	assert_false(notified(0));
	assert_int_equal(take(m, 0), 0);
	store32(m, priority(7), 1, FH_TX_OK);
	assert_true(notified(0));
	store32(m, priority(7), 0, FH_TX_OK);
	assert_false(notified(0));
}

static void threshold_holds_back_notifications_but_not_claims(void **state)
{
	struct fh_machine *m = *state;

	admit(m, 0, 7, 3);
	fh_irq_raise(lines[7]);
	store32(m, threshold(0), 2, FH_TX_OK);
	assert_true(notified(0));
	store32(m, threshold(0), 3, FH_TX_OK);
	assert_false(notified(0));
	assert_int_equal(take(m, 0), 7);
}

static void all_contexts_are_notified_and_the_first_claims(void **state)
{
	struct fh_machine *m = *state;

	admit(m, 0, 64, 1);
	admit(m, 2, 64, 1);
	fh_irq_raise(lines[64]);
	assert_true(notified(0));
	assert_false(notified(1));
	assert_true(notified(2));
	assert_int_equal(take(m, 2), 64);
	assert_false(notified(0));
	assert_false(notified(2));
	assert_int_equal(take(m, 0), 0);
}

static void disabling_withdraws_the_notification(void **state)
{
	struct fh_machine *m = *state;

	admit(m, 0, 2, 1);
	fh_irq_raise(lines[2]);
	store32(m, enable(0, 0), 0, FH_TX_OK);
	assert_false(notified(0));
	assert_true(is_pending(m, 2));
}

static void debuggers_read_claims_nothing(void **state)
{
	struct fh_machine *m = *state;
	uint64_t value;

	admit(m, 0, 2, 1);
	fh_irq_raise(lines[2]);
	assert_int_equal(fh_space_load(fh_machine_memory(m), claim(0), 4, FH_LE,
				       (struct fh_attrs){ .debug = true }, &value),
			 FH_TX_OK);
	assert_int_equal(value, 2);
	assert_int_equal(take(m, 0), 2);
}

static void reset_forgets_all_but_what_the_lines_say(void **state)
{
	struct fh_machine *m = *state;

	admit(m, 0, 2, 1);
	admit(m, 0, 3, 1);
	store32(m, threshold(1), 1, FH_TX_OK);
	fh_irq_raise(lines[2]);
	fh_irq_pulse(lines[3]);
	assert_int_equal(take(m, 0), 2);
	fh_machine_reset(m, FH_RESET_WARM);
	assert_false(notified(0));
	assert_int_equal(load32(m, priority(2), FH_TX_OK), 0);
	assert_int_equal(load32(m, enable(0, 0), FH_TX_OK), 0);
	assert_int_equal(load32(m, threshold(1), FH_TX_OK), 0);
	assert_true(is_pending(m, 2));
	assert_false(is_pending(m, 3));
}

/* --- Threads -------------------------------------------------------------------------------- */

#define ROUNDS 3000
#define ENOUGH UINT64_C(5000000000) /* ns of rounds, on a host that is busy with other things */

/* A device that is served: whoever claims its source takes the line down. */
static _Atomic unsigned served[SOURCES + 1];

static void serve(struct fh_machine *m, unsigned context)
{
	const uint32_t source = take(m, context);

	if (source == 0)
		return;
	fh_irq_lower(lines[source]);
	atomic_fetch_add_explicit(&served[source], 1, memory_order_relaxed);
	complete(m, context, source);
}

struct job {
	struct fh_machine *m;
	unsigned number;
	_Atomic bool *stop;
	unsigned rounds; /* done */
};

static void raise_many(void *arg)
{
	struct job *job = arg;
	const unsigned source = 10 + 40 * job->number;
	const uint64_t end = fh_machine_now(job->m) + ENOUGH;

	while (job->rounds < ROUNDS && fh_machine_now(job->m) < end) {
		const unsigned before = atomic_load_explicit(&served[source], memory_order_relaxed);

		fh_irq_raise(lines[source]);
		/* Each is served, or else a request was lost: worker_join() would tell. */
		while (atomic_load_explicit(&served[source], memory_order_relaxed) == before)
			sched_yield();
		job->rounds++;
	}
}

/* A hart that sleeps until it is notified: if an output were left low, it would sleep for ever. */
static void serve_many(void *arg)
{
	const struct job *job = arg;

	while (!atomic_load_explicit(job->stop, memory_order_relaxed)) {
		if (notified(job->number))
			serve(job->m, job->number);
		else
			sched_yield();
	}
}

static void no_interrupt_is_lost_between_threads(void **state)
{
	struct fh_machine *m = *state;
	_Atomic bool stop = false;
	struct job jobs[2] = { { m, 0, &stop, 0 }, { m, 1, &stop, 0 } };
	struct worker raisers[2], servers[2];

	for (unsigned i = 0; i < 2; i++) {
		admit(m, i, 10, 1);
		admit(m, i, 50, 2);
	}
	for (unsigned i = 0; i < 2; i++) {
		worker_start(&servers[i], serve_many, &jobs[i]);
		worker_start(&raisers[i], raise_many, &jobs[i]);
	}
	worker_join(&raisers[0]);
	worker_join(&raisers[1]);
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	worker_join(&servers[0]);
	worker_join(&servers[1]);
	/* A line that fell between request and claim is served once more; then there is silence. */
	while (take(m, 0) != 0)
		;
	assert_false(notified(0));
	assert_false(notified(1));
	assert_true(jobs[0].rounds > 0 && served[10] >= jobs[0].rounds);
	assert_true(jobs[1].rounds > 0 && served[50] >= jobs[1].rounds);
}

static void open_threshold(void *arg)
{
	store32(arg, threshold(0), 0, FH_TX_OK);
}

static void level_that_is_overtaken_is_not_the_last_one_driven(void **state)
{
	struct fh_machine *m = *state;
	struct worker worker;

	admit(m, 0, 1, 1);
	store32(m, threshold(0), 7, FH_TX_OK);
	fh_irq_raise(lines[1]);
	fh_point_arm("irq.before-set"); /* about to raise the output, with the lock released */
	worker_start(&worker, open_threshold, m);
	assert_true(fh_point_wait("irq.before-set"));
	store32(m, threshold(0), 7, FH_TX_OK);
	fh_point_release("irq.before-set");
	worker_join(&worker);
	assert_false(notified(0));
	store32(m, threshold(0), 0, FH_TX_OK);
	assert_true(notified(0));
}

static void toggle_threshold(void *arg)
{
	const struct job *job = arg;

	for (unsigned i = 0; i < ROUNDS; i++)
		store32(job->m, threshold(0), (i + job->number) % 2 ? 0 : 7, FH_TX_OK);
}

static void outputs_end_as_the_registers_say(void **state)
{
	struct fh_machine *m = *state;
	struct job jobs[2] = { { m, 0, NULL, 0 }, { m, 1, NULL, 0 } };
	struct worker workers[2];

	admit(m, 0, 1, 1);
	fh_irq_raise(lines[1]);
	for (unsigned round = 0; round < 10; round++) {
		for (unsigned i = 0; i < 2; i++)
			worker_start(&workers[i], toggle_threshold, &jobs[i]);
		for (unsigned i = 0; i < 2; i++)
			worker_join(&workers[i]);
		assert_int_equal(notified(0), load32(m, threshold(0), FH_TX_OK) == 0);
	}
}

static void pulse_until_told(void *arg)
{
	const struct job *job = arg;

	while (!atomic_load_explicit(job->stop, memory_order_relaxed))
		fh_irq_pulse(lines[1 + job->number]);
}

static void unplugged_controller_leaves_its_outputs_low(void **state)
{
	struct fh_machine *m = *state;
	_Atomic bool stop = false;
	struct job jobs[2] = { { m, 0, &stop, 0 }, { m, 1, &stop, 0 } };
	struct worker workers[2];

	fh_object_ref(plic);
	admit(m, 0, 1, 1);
	admit(m, 0, 2, 1);
	for (unsigned i = 0; i < 2; i++)
		worker_start(&workers[i], pulse_until_told, &jobs[i]);
	while (!notified(0))
		sched_yield();
	struct fh_irq *output = fh_object_ref(fh_device_irq(plic, "context-0"));

	fh_device_unplug(plic);
	assert_false(fh_irq_level(output));
	fh_object_unref(plic);
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	worker_join(&workers[0]);
	worker_join(&workers[1]);
	assert_false(fh_irq_level(output));
	fh_object_unref(output);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(registers_begin_at_0),
		test(registers_keep_the_bits_that_there_are),
		test(what_is_not_there_is_0_and_takes_no_writes),
		test(only_words_are_accessed),
		test(parameters_are_checked),
		test(all_1023_sources_and_1024_contexts_work),
		test(last_word_of_sources_may_be_short),
		test(line_is_pending_until_claimed_and_again_when_completed_high),
		test(request_is_not_taken_back),
		test(nothing_is_forwarded_between_claim_and_completion),
		test(line_is_pending_without_being_enabled),
		test(completion_before_the_claim_does_not_open_the_gateway),
		test(completion_of_what_is_not_enabled_or_not_claimed_is_ignored),
		test(highest_priority_is_claimed_first_and_of_equals_the_lowest),
		test(priority_0_never_interrupts),
		test(threshold_holds_back_notifications_but_not_claims),
		test(all_contexts_are_notified_and_the_first_claims),
		test(disabling_withdraws_the_notification),
		test(debuggers_read_claims_nothing),
		test(reset_forgets_all_but_what_the_lines_say),
		test(no_interrupt_is_lost_between_threads),
		test(level_that_is_overtaken_is_not_the_last_one_driven),
		test(outputs_end_as_the_registers_say),
		test(unplugged_controller_leaves_its_outputs_low),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
