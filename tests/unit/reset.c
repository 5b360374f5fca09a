/* SPDX-License-Identifier: MIT */
/*
 * Reset: the order of its phases, whose callbacks they are, and where it may be asked for.
 */
#include "support/probe.h"

#include <stdio.h>
#include <string.h>

#include "base/point.h"
#include "device/device.h"

static char trace[1024];

static void assert_trace(const char *wanted)
{
	assert_string_equal(trace, wanted);
	trace[0] = '\0';
}

struct base {
	char mark; /* whose state it is: 'b' */
};

struct derived {
	char mark; /* 'd' */
	void (*held)(struct fh_device *device); /* what its hold does besides */
};

static void note(char phase, struct fh_device *device, char mark, enum fh_reset_type type)
{
	const size_t used = strlen(trace);

	assert_true(fh_domain_is_mine(fh_device_domain(device)));
	snprintf(trace + used, sizeof(trace) - used, "%s%c:%s%c%s", used ? " " : "", phase,
		 fh_object_name(device), mark, type == FH_RESET_WARM ? "w" : "");
}

static void base_enter(struct fh_device *device, void *state, enum fh_reset_type type)
{
	note('e', device, ((struct base *)state)->mark, type);
}

static void base_hold(struct fh_device *device, void *state, enum fh_reset_type type)
{
	note('h', device, ((struct base *)state)->mark, type);
}

static void base_exit(struct fh_device *device, void *state, enum fh_reset_type type)
{
	note('x', device, ((struct base *)state)->mark, type);
}

static void derived_hold(struct fh_device *device, void *state, enum fh_reset_type type)
{
	struct derived *derived = state;

	note('h', device, derived->mark, type);
	if (derived->held)
		derived->held(device);
}

static enum fh_code base_init(struct fh_object *object, void *state, struct fh_error *err)
{
	(void)object;
	(void)err;
	((struct base *)state)->mark = 'b';
	return FH_OK;
}

static enum fh_code derived_init(struct fh_object *object, void *state, struct fh_error *err)
{
	(void)object;
	(void)err;
	((struct derived *)state)->mark = 'd';
	return FH_OK;
}

static const struct fh_device_ops base_ops = {
	.reset_enter = base_enter, .reset_hold = base_hold, .reset_exit = base_exit
};
static const struct fh_type base_type = {
	.name = "base",
	.parent = &fh_device_type,
	.state_size = sizeof(struct base),
	.init = base_init,
	.device = &base_ops,
};

static const struct fh_device_ops derived_ops = { .reset_hold = derived_hold };
static const struct fh_type derived_type = {
	.name = "derived",
	.parent = &base_type,
	.state_size = sizeof(struct derived),
	.init = derived_init,
	.device = &derived_ops,
};

static const struct fh_device_ops own_ops = { .own_domain = true };
static const struct fh_type own_type = {
	.name = "own", .parent = &base_type, .device = &own_ops
};

static const struct fh_type bus_type = { .name = "bus" };
static const struct fh_type quiet_type = { .name = "quiet", .parent = &fh_device_type };

static struct fh_device *plug(FH_ANY parent, const struct fh_type *type, const char *name)
{
	struct fh_device *device = fh_device_plug(parent, type, name, NULL, NULL);

	assert_non_null(device);
	return device;
}

static int set_up(void **state)
{
	trace[0] = '\0';
	*state = machine_begin();
	return 0;
}

static int tear_down(void **state)
{
	fh_point_release_all();
	machine_end(*state);
	return 0;
}

static void each_phase_goes_over_the_subtree_children_first(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *top = plug(m, &base_type, "t");
	struct fh_device *a = plug(top, &base_type, "a");
	struct fh_object *bus = fh_object_new_child(top, "bus", &bus_type, NULL);
	struct fh_device *quiet = plug(bus, &quiet_type, "q");

	plug(a, &base_type, "1");
	plug(a, &base_type, "2");
	plug(quiet, &base_type, "3");
	fh_device_reset(top, FH_RESET_COLD);
	assert_trace("e:1b e:2b e:ab e:3b e:tb h:1b h:2b h:ab h:3b h:tb x:1b x:2b x:ab x:3b x:tb");
	fh_device_reset(a, FH_RESET_WARM);
	assert_trace("e:1bw e:2bw e:abw h:1bw h:2bw h:abw x:1bw x:2bw x:abw");
}

static void machine_reset_is_one_reset_of_all(void **state)
{
	struct fh_machine *m = *state;

	plug(m, &base_type, "a");
	plug(plug(m, &base_type, "b"), &own_type, "c");
	fh_machine_reset(m, FH_RESET_COLD);
	assert_trace("e:ab e:cb e:bb h:ab h:cb h:bb x:ab x:cb x:bb");
}

static void inherited_callback_gets_the_state_of_its_level(void **state)
{
	fh_device_reset(plug((struct fh_machine *)*state, &derived_type, "a"), FH_RESET_COLD);
	assert_trace("e:ab h:ad x:ab");
}

static void what_is_not_shown_is_not_reset(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *top = plug(m, &base_type, "t");
	struct fh_device *late = fh_device_new(top, &base_type, "late", NULL, NULL);
	struct fh_device *gone = fh_object_ref(plug(m, &base_type, "gone"));

	fh_device_unplug(gone);
	fh_device_reset(gone, FH_RESET_COLD);
	fh_device_reset(late, FH_RESET_COLD);
	assert_trace("");
	fh_device_reset(top, FH_RESET_COLD);
	assert_trace("e:tb h:tb x:tb");
	fh_object_unref(gone);
}

static void hide_sibling(struct fh_device *device)
{
	struct fh_object *parent = fh_object_find_parent(device);
	struct fh_object *sibling = fh_object_find_child(parent, "2");

	fh_object_dispose(sibling);
	fh_object_unref(sibling);
	fh_object_unref(parent);
}

static void device_hidden_by_the_reset_is_left_out_of_the_rest(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *top = plug(m, &base_type, "t");
	struct fh_device *first = plug(top, &derived_type, "1");
	struct derived *derived = fh_device_state(first);

	plug(top, &base_type, "2");
	derived->held = hide_sibling;
	fh_device_reset(top, FH_RESET_COLD);
	assert_trace("e:1b e:2b e:tb h:1d h:tb x:1b x:tb");
	fh_machine_drain(m);
	derived->held = NULL;
}

/* --- In callbacks --------------------------------------------------------------------------- */

static void reset_it(void *state)
{
	fh_device_reset(state, FH_RESET_COLD);
	strcat(trace, ".");
}

static void reset_it_warm(void *state)
{
	fh_device_reset(state, FH_RESET_WARM);
}

static void reset_in_a_callback_of_the_domain_is_done_there(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *top = plug(m, &base_type, "t");
	struct fh_device *child = plug(top, &base_type, "c");

	assert_true(fh_device_call(child, reset_it, top));
	assert_trace("e:cb e:tb h:cb h:tb x:cb x:tb.");
	assert_false(fh_machine_poll(m));
}

static void reset_in_a_callback_of_another_domain_is_done_by_the_next_poll(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *top = plug(m, &base_type, "t");
	struct fh_device *other = plug(m, &base_type, "o");

	plug(top, &own_type, "c");
	/* The child's domain is not the one held. */
	assert_true(fh_device_call(top, reset_it, top));
	assert_trace(".");
	assert_true(fh_machine_poll(m));
	assert_trace("e:cb e:tb h:cb h:tb x:cb x:tb");
	assert_true(fh_device_call(other, reset_it_warm, top));
	assert_true(fh_machine_poll(m));
	assert_trace("e:cbw e:tbw h:cbw h:tbw x:cbw x:tbw");
	assert_true(fh_device_call(other, reset_it, top));
	assert_trace(".");
	fh_device_unplug(top);
	fh_machine_drain(m);
	assert_trace("");
}

struct machine_reset {
	struct fh_machine *m;
	_Atomic bool stop;
};

static void reset_many(void *arg)
{
	struct machine_reset *job = arg;

	while (!atomic_load_explicit(&job->stop, memory_order_relaxed))
		fh_machine_reset(job->m, FH_RESET_WARM);
}

static _Atomic unsigned running;

static void count_hold(struct fh_device *device, void *state, enum fh_reset_type type)
{
	unsigned *held = state;

	(void)device;
	(void)type;
	atomic_fetch_add_explicit(&running, 1, memory_order_relaxed);
	++*held; /* in the domain: TSan would tell */
	atomic_fetch_sub_explicit(&running, 1, memory_order_relaxed);
}

static void no_more(struct fh_device *device, void *state)
{
	unsigned *held = state;

	(void)device;
	*held = 0;
}

static const struct fh_device_ops count_ops = { .reset_hold = count_hold, .unrealize = no_more };
static const struct fh_type count_type = {
	.name = "count",
	.parent = &fh_device_type,
	.state_size = sizeof(unsigned),
	.device = &count_ops,
};

static void resets_and_unplugs_on_many_threads_do_not_meet(void **state)
{
	struct fh_machine *m = *state;
	struct machine_reset job = { .m = m };
	struct worker workers[2];

	for (unsigned i = 0; i < 2; i++)
		worker_start(&workers[i], reset_many, &job);
	for (unsigned i = 0; i < 100; i++) {
		struct fh_device *top = plug(m, &count_type, NULL);

		plug(top, &count_type, NULL);
		fh_device_unplug(top);
	}
	atomic_store_explicit(&job.stop, true, memory_order_relaxed);
	worker_join(&workers[0]);
	worker_join(&workers[1]);
	assert_int_equal(running, 0);
	machine_check_alive(m, 0);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(each_phase_goes_over_the_subtree_children_first),
		test(machine_reset_is_one_reset_of_all),
		test(inherited_callback_gets_the_state_of_its_level),
		test(what_is_not_shown_is_not_reset),
		test(device_hidden_by_the_reset_is_left_out_of_the_rest),
		test(reset_in_a_callback_of_the_domain_is_done_there),
		test(reset_in_a_callback_of_another_domain_is_done_by_the_next_poll),
		test(resets_and_unplugs_on_many_threads_do_not_meet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
