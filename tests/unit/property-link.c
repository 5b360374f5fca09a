/* SPDX-License-Identifier: MIT */
/*
 * Link properties: what they keep alive, and what they read as when either of their ends goes.
 */
#include <pthread.h>
#include <unistd.h>

#include "base/point.h"
#include "base/rcu.h"
#include "support/objects.h"

/* --- A type with one of each ----------------------------------------------------------------- */

struct sample {
	struct fh_object *weak;
	struct fh_object *other;
	struct fh_object *strong;
	char *text;
	uint64_t number;
};

extern const struct fh_type sample_type;

#define FIELD(name_, kind_, field)                                                                 \
	.name = (name_), .kind = FH_PROPERTY_##kind_, .offset = offsetof(struct sample, field)

static const struct fh_property sample_properties[] = {
	{ FIELD("weak", LINK, weak) },
	{ FIELD("other", LINK, other) },
	{ FIELD("strong", LINK, strong), .flags = FH_PROPERTY_STRONG, .link_type = &sample_type },
	{ FIELD("text", STRING, text) },
	{ FIELD("number", U64, number) },
	{ .name = NULL },
};

const struct fh_type sample_type = {
	.name = "sample",
	.state_size = sizeof(struct sample),
	.properties = sample_properties,
};

static struct fh_object *new_sample(struct fh_machine *m)
{
	struct fh_object *object = fh_object_new(m, &sample_type, NULL);

	assert_non_null(object);
	return object;
}

static struct sample *sample_of(struct fh_object *object)
{
	return fh_object_state(object, &sample_type);
}

/* --- Links ---------------------------------------------------------------------------------- */

static struct fh_object *link_of(struct fh_object *object, const char *name)
{
	struct fh_object *target = object; /* must be overwritten */

	assert_int_equal(fh_object_get_link(object, name, &target, NULL), FH_OK);
	return target;
}

static void assert_link(struct fh_object *object, const char *name, struct fh_object *wanted)
{
	struct fh_object *target = link_of(object, name);

	assert_ptr_equal(target, wanted);
	fh_object_unref(target);
}

static void weak_link_keeps_nothing_alive_and_is_cleared(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *holder = new_sample(m);
	struct fh_object *target = new_sample(m);

	assert_link(holder, "weak", NULL);
	assert_int_equal(fh_object_set_link(holder, "weak", target, NULL), FH_OK);
	assert_link(holder, "weak", target);
	assert_ptr_equal(sample_of(holder)->weak, target);
	fh_object_unref(target);
	assert_link(holder, "weak", NULL);
	assert_null(sample_of(holder)->weak);
	settle(m);
	assert_int_equal(fh_ledger_read(m).alive, 1);
	fh_object_unref(holder);
}

static void all_links_to_a_disposed_target_are_cleared(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *target = fh_object_new_child(root_of(m), "t", &sample_type, NULL);
	struct fh_object *holders[10];

	for (size_t i = 0; i < 10; i++) {
		holders[i] = new_sample(m);
		assert_int_equal(fh_object_set_link(holders[i], "weak", target, NULL), FH_OK);
		assert_int_equal(fh_object_set_text(holders[i], "other", "/t", NULL), FH_OK);
		assert_text(holders[i], "other", "/t");
	}
	assert_int_equal(fh_object_set_link(holders[3], "weak", holders[4], NULL), FH_OK);
	fh_object_ref(target);
	fh_object_dispose(target);
	for (size_t i = 0; i < 10; i++) {
		assert_link(holders[i], "weak", i == 3 ? holders[4] : NULL);
		assert_link(holders[i], "other", NULL);
		assert_text(holders[i], "other", "");
	}
	assert_int_equal(fh_object_set_link(holders[0], "weak", target, NULL), FH_EDEAD);
	for (size_t i = 0; i < 10; i++)
		fh_object_unref(holders[i]);
	fh_object_unref(target);
}

static void strong_link_owns_a_ref_until_it_is_changed(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *holder = new_sample(m);
	struct fh_object *first = new_sample(m);
	struct fh_object *second = new_sample(m);

	assert_int_equal(fh_object_set_link(holder, "strong", first, NULL), FH_OK);
	fh_object_unref(first);
	settle(m);
	assert_link(holder, "strong", first);
	assert_int_equal(fh_object_set_link(holder, "strong", second, NULL), FH_OK);
	fh_object_unref(second);
	settle(m);
	assert_int_equal(fh_ledger_read(m).alive, 2);
	assert_int_equal(fh_object_set_link(holder, "strong", NULL, NULL), FH_OK);
	settle(m);
	assert_int_equal(fh_ledger_read(m).alive, 1);
	fh_object_unref(holder);
}

static void strong_links_go_back_when_the_holder_is_disposed_of(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *holder = fh_object_new_child(root_of(m), "h", &sample_type, NULL);
	struct fh_object *target = new_sample(m);

	assert_int_equal(fh_object_set_link(holder, "strong", target, NULL), FH_OK);
	fh_object_unref(target);
	fh_object_ref(holder);
	fh_object_dispose(holder);
	settle(m);
	assert_link(holder, "strong", NULL);
	assert_int_equal(fh_ledger_read(m).alive, 1);
	fh_object_unref(holder);
}

static void strong_cycle_in_the_tree_ends_with_the_tree(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *a = fh_object_new_child(root_of(m), "a", &sample_type, NULL);
	struct fh_object *b = fh_object_new_child(root_of(m), "b", &sample_type, NULL);

	assert_int_equal(fh_object_set_link(a, "strong", b, NULL), FH_OK);
	assert_int_equal(fh_object_set_link(b, "strong", a, NULL), FH_OK);
	assert_int_equal(fh_object_set_link(b, "weak", b, NULL), FH_OK);
	fh_object_dispose(a);
	assert_link(b, "strong", a);
	fh_object_dispose(b);
	settle(m);
	assert_int_equal(fh_ledger_read(m).alive, 0);
}

static void strong_link_to_the_dead_is_refused(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *target = fh_object_new_child(root_of(m), "t", &sample_type, NULL);
	struct fh_object *holder = new_sample(m);
	struct fh_error err = FH_ERROR_INIT;

	fh_object_ref(target);
	fh_object_dispose(target);
	assert_int_equal(fh_object_set_link(holder, "strong", target, &err), FH_EDEAD);
	assert_says(&err, FH_EDEAD, "'strong': the target is disposed of");
	assert_link(holder, "strong", NULL);
	fh_object_unref(holder);
	fh_object_unref(target);
}

static void link_refuses_other_types_and_machines(void **state)
{
	static const struct fh_type plain = { .name = "plain" };
	static const struct fh_type narrower = { .name = "narrower", .parent = &sample_type };
	struct fh_machine *m = *state;
	struct fh_object *holder = new_sample(m);
	struct fh_object *other = fh_object_new(m, &plain, NULL);
	struct fh_object *derived = fh_object_new(m, &narrower, NULL);
	struct fh_error err = FH_ERROR_INIT;
	void *far = NULL;

	assert_int_equal(fh_object_set_link(holder, "strong", other, &err), FH_ETYPE);
	assert_says(&err, FH_ETYPE, "wants a 'sample', not a 'plain'");
	assert_int_equal(fh_object_set_link(holder, "weak", other, NULL), FH_OK);
	assert_int_equal(fh_object_set_link(holder, "strong", derived, NULL), FH_OK);
	assert_int_equal(set_up(&far), 0);
	struct fh_object *stranger = new_sample(far);

	fh_error_clear(&err);
	assert_int_equal(fh_object_set_link(holder, "weak", stranger, &err), FH_EINVAL);
	assert_says(&err, FH_EINVAL, "another machine");
	assert_link(holder, "weak", other);
	fh_object_unref(stranger);
	assert_int_equal(tear_down(&far), 0);
	fh_object_unref(derived);
	fh_object_unref(other);
	fh_object_unref(holder);
}

/* --- In dispose and finalize (L5) ----------------------------------------------------------- */

struct witness {
	char *text;
	struct fh_object *link;
	uint32_t number;
};

static struct {
	bool disposed, finalized;
} seen_by_witness;

static void witness_look(struct fh_object *object, bool finalizing)
{
	uint64_t number = 0;
	char *text = NULL;

	fh_assert(fh_object_get_u64(object, "number", &number, NULL) == FH_OK && number == 77);
	fh_assert(fh_object_get_string(object, "text", &text, NULL) == FH_OK);
	fh_assert(strcmp(text, "kept") == 0);
	free(text);
	struct fh_object *target = link_of(object, "link");

	fh_assert(!target == finalizing);
	fh_object_unref(target);
}

static void witness_dispose(struct fh_object *object, void *state)
{
	(void)state;
	witness_look(object, false);
	seen_by_witness.disposed = true;
}

static void witness_finalize(struct fh_object *object, void *state)
{
	(void)state;
	witness_look(object, true);
	seen_by_witness.finalized = true;
}

static const struct fh_property witness_properties[] = {
	{ .name = "text", .kind = FH_PROPERTY_STRING, .offset = offsetof(struct witness, text) },
	{ .name = "link", .kind = FH_PROPERTY_LINK, .offset = offsetof(struct witness, link),
	  .flags = FH_PROPERTY_STRONG },
	{ .name = "number", .kind = FH_PROPERTY_U32, .offset = offsetof(struct witness, number) },
	{ .name = NULL },
};
static const struct fh_type witness_type = {
	.name = "witness", .state_size = sizeof(struct witness), .properties = witness_properties,
	.dispose = witness_dispose, .finalize = witness_finalize,
};

static void properties_are_readable_in_dispose_and_finalize(void **state)
{
	struct fh_machine *m = *state;
	struct fh_object *witness = fh_object_new_child(root_of(m), "w", &witness_type, NULL);
	struct fh_object *target = new_sample(m);

	memset(&seen_by_witness, 0, sizeof(seen_by_witness));
	assert_int_equal(fh_object_set_u64(witness, "number", 77, NULL), FH_OK);
	assert_int_equal(fh_object_set_string(witness, "text", "kept", NULL), FH_OK);
	assert_int_equal(fh_object_set_link(witness, "link", target, NULL), FH_OK);
	fh_object_unref(target);
	fh_object_dispose(witness);
	assert_true(seen_by_witness.disposed);
	settle(m);
	assert_true(seen_by_witness.finalized);
	assert_int_equal(fh_ledger_read(m).alive, 0);
}

static enum fh_code link_and_fail(struct fh_object *object, void *state, struct fh_error *err)
{
	struct fh_object *root = fh_machine_object(object->machine);

	(void)state;
	fh_assert(fh_object_set_link(object, "link", root, NULL) == FH_OK);
	fh_assert(fh_object_set_string(object, "text", "lost", NULL) == FH_OK);
	return fh_error_set(err, FH_EIO, "no luck");
}

static void failed_birth_gives_its_links_and_strings_back(void **state)
{
	static const struct fh_type type = {
		.name = "unlucky", .state_size = sizeof(struct witness),
		.properties = witness_properties, .init = link_and_fail,
	};
	struct fh_machine *m = *state;
	const uint32_t refs = fh_object_refs(root_of(m));
	struct fh_error err = FH_ERROR_INIT;

	assert_null(fh_object_new(m, &type, &err));
	assert_says(&err, FH_EIO, "no luck");
	settle(m);
	assert_int_equal(fh_object_refs(root_of(m)), refs);
}

/* --- Interleavings ---------------------------------------------------------------------------- */

struct dying {
	struct fh_object *holder;
	struct fh_object *target;
};

static void *link_to_the_dying(void *arg)
{
	struct dying *dying = arg;

	fh_object_set_link(dying->holder, "weak", dying->target, NULL);
	return NULL;
}

static void *dispose_of_target(void *arg)
{
	struct dying *dying = arg;

	fh_object_dispose(dying->target);
	return NULL;
}

static void wait_for_detach(struct fh_object *object)
{
	while (!fh_object_has(object, FH_OBJECT_DETACHED))
		usleep(100);
	usleep(5000); /* time to go as far as it gets */
}

/*
 * The link has looked at neither end yet, or at both, when the target is detached: the detach has
 * to wait for it, or the link has to see that it is too late.
 */
static void link_that_is_made_while_its_target_dies_reads_as_nothing(void **state)
{
	struct fh_machine *m = *state;

	/* 1: before the holder is asked, 2: before the target is. */
	for (unsigned moment = 1; moment <= 2; moment++) {
		struct dying dying = { .holder = new_sample(m) };
		pthread_t linker, disposer;

		dying.target = fh_object_new_child(root_of(m), "t", &sample_type, NULL);
		fh_object_ref(dying.target);
		fh_point_arm("dispose.before-detach");
		pthread_create(&disposer, NULL, dispose_of_target, &dying);
		assert_true(fh_point_wait("dispose.before-detach"));
		fh_point_arm_at("concern.open", moment, NULL);
		pthread_create(&linker, NULL, link_to_the_dying, &dying);
		assert_true(fh_point_wait("concern.open"));
		fh_point_release("dispose.before-detach");
		wait_for_detach(dying.target);
		fh_point_release("concern.open");
		pthread_join(linker, NULL);
		pthread_join(disposer, NULL);
		assert_null(sample_of(dying.holder)->weak);
		fh_object_unref(dying.target);
		fh_object_unref(dying.holder);
	}
}

#define RACE_ROUNDS 300

struct race {
	struct fh_machine *m;
	struct fh_object *holder;
	_Atomic(struct fh_object *) target;
	_Atomic bool over;
};

static void *race_links(void *arg)
{
	struct race *race = arg;
	unsigned turn = 0;

	while (!atomic_load_explicit(&race->over, memory_order_acquire)) {
		struct fh_object *target = NULL;
		char *text = NULL;

		fh_rcu_read_begin(fh_thread_self());
		target = atomic_load_explicit(&race->target, memory_order_acquire);
		if (target && !fh_object_try_ref(target))
			target = NULL;
		fh_rcu_read_end(fh_thread_self());
		fh_object_set_link(race->holder, turn & 1 ? "weak" : "strong", target, NULL);
		fh_object_unref(target);
		target = link_of(race->holder, turn & 2 ? "weak" : "strong");
		fh_object_unref(target);
		fh_object_set_string(race->holder, "text", turn & 4 ? "even" : "oddity", NULL);
		fh_object_get_string(race->holder, "text", &text, NULL);
		fh_object_set_u64(race->holder, "number", turn & 4 ? UINT64_MAX : 0, NULL);
		free(text);
		turn++;
	}
	return NULL;
}

static void links_survive_the_races_of_their_ends(void **state)
{
	struct race race = { .m = *state, .holder = new_sample(*state) };
	pthread_t threads[2];
	uint64_t value = 0;

	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race_links, &race), 0);
	for (unsigned round = 0; round < RACE_ROUNDS; round++) {
		struct fh_object *target =
			fh_object_new_child(root_of(race.m), "t", &sample_type, NULL);

		assert_non_null(target);
		fh_object_ref(target); /* until nobody can begin to look at it any more */
		atomic_store_explicit(&race.target, target, memory_order_release);
		assert_int_equal(fh_object_get_u64(race.holder, "number", &value, NULL), FH_OK);
		assert_true(value == 0 || value == UINT64_MAX);
		fh_object_set_link(race.holder, "other", target, NULL);
		fh_object_dispose(target);
		assert_link(race.holder, "other", NULL);
		atomic_store_explicit(&race.target, NULL, memory_order_release);
		fh_object_unref(target);
	}
	atomic_store_explicit(&race.over, true, memory_order_release);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	fh_object_unref(race.holder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(weak_link_keeps_nothing_alive_and_is_cleared),
		TEST(all_links_to_a_disposed_target_are_cleared),
		TEST(strong_link_owns_a_ref_until_it_is_changed),
		TEST(strong_links_go_back_when_the_holder_is_disposed_of),
		TEST(strong_cycle_in_the_tree_ends_with_the_tree),
		TEST(strong_link_to_the_dead_is_refused),
		TEST(link_refuses_other_types_and_machines),
		TEST(properties_are_readable_in_dispose_and_finalize),
		TEST(failed_birth_gives_its_links_and_strings_back),
		TEST(link_that_is_made_while_its_target_dies_reads_as_nothing),
		TEST(links_survive_the_races_of_their_ends),
	};

	return cmocka_run_group_tests_name("property-link", tests, NULL, NULL);
}
