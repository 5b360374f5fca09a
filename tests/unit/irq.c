/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines: levels, pulses, fan-in and fan-out, connections that change while lines are
 * driven, and what happens at both ends of a device's life.
 */
#include "support/probe.h"

#include <string.h>

#include "base/point.h"
#include "device/device.h"
#include "support/dies.h"

static const struct fh_type board_type = { .name = "board", .parent = &fh_device_type };

/* What an input was told. */
struct ear {
	_Atomic unsigned rises, falls;
	_Atomic unsigned inside;
	bool level;
	bool wrong; /* told the level it had, or on two threads at once */
	struct fh_irq *forward; /* driven to the same level, or NULL */
};

/* A test's, which are told until the machine is gone. */
static struct ear ears[10];

static void hear(void *state, bool level)
{
	struct ear *ear = state;

	if (atomic_fetch_add_explicit(&ear->inside, 1, memory_order_relaxed) != 0 ||
	    ear->level == level)
		ear->wrong = true;
	ear->level = level;
	atomic_fetch_add_explicit(level ? &ear->rises : &ear->falls, 1, memory_order_relaxed);
	fh_irq_set(ear->forward, level);
	atomic_fetch_sub_explicit(&ear->inside, 1, memory_order_relaxed);
}

static void assert_heard(const struct ear *ear, unsigned rises, unsigned falls)
{
	assert_int_equal(ear->rises, rises);
	assert_int_equal(ear->falls, falls);
	assert_int_equal(ear->level, rises > falls);
	assert_false(ear->wrong);
}

static struct fh_device *board_new(FH_ANY parent, const char *name)
{
	struct fh_device *device = fh_device_new(parent, &board_type, name, NULL, NULL);

	assert_non_null(device);
	return device;
}

static struct fh_device *board_plug(FH_ANY parent, const char *name)
{
	struct fh_device *device = fh_device_plug(parent, &board_type, name, NULL, NULL);

	assert_non_null(device);
	return device;
}

static struct fh_irq *output_new(struct fh_device *device, const char *name)
{
	struct fh_irq *irq = fh_irq_new(device, name);

	assert_non_null(irq);
	return irq;
}

static struct fh_irq *input_new(struct fh_device *device, const char *name, struct ear *ear)
{
	struct fh_irq *irq = fh_irq_new_input(device, name, hear, ear);

	assert_non_null(irq);
	return irq;
}

static void connect(struct fh_irq *output, struct fh_irq *input)
{
	assert_int_equal(fh_irq_connect(output, input), FH_OK);
}

static int set_up(void **state)
{
	memset(ears, 0, sizeof(ears));
	*state = machine_begin();
	return 0;
}

static int tear_down(void **state)
{
	fh_point_release_all();
	machine_end(*state);
	return 0;
}

/* --- Levels --------------------------------------------------------------------------------- */

static void input_is_told_each_change(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct fh_irq *out = output_new(board, "out");
	struct ear *ear = &ears[0];
	struct fh_irq *in = input_new(board, "in", ear);

	connect(out, in);
	assert_heard(ear, 0, 0);
	fh_irq_raise(out);
	fh_irq_raise(out);
	assert_heard(ear, 1, 0);
	assert_true(fh_irq_level(out));
	assert_true(fh_irq_level(in));
	fh_irq_lower(out);
	fh_irq_lower(out);
	assert_heard(ear, 1, 1);
	assert_false(fh_irq_level(out));
	assert_false(fh_irq_level(in));
	fh_irq_raise(NULL);
	fh_irq_pulse(NULL);
}

static void input_is_high_while_one_of_its_outputs_is(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct fh_irq *outs[3];
	struct ear *ear = &ears[0];
	struct fh_irq *in = input_new(board, "in", ear);

	for (unsigned i = 0; i < 3; i++) {
		outs[i] = output_new(board, NULL);
		connect(outs[i], in);
	}
	for (unsigned i = 0; i < 3; i++)
		fh_irq_raise(outs[i]);
	assert_heard(ear, 1, 0);
	fh_irq_lower(outs[1]);
	fh_irq_lower(outs[0]);
	assert_heard(ear, 1, 0);
	fh_irq_lower(outs[2]);
	assert_heard(ear, 1, 1);
}

static void output_drives_all_its_inputs(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct fh_irq *out = output_new(board, "out");

	/* However many there are: none is left out where the room for them is just enough. */
	for (unsigned last = 0; last < 9; last++) {
		connect(out, input_new(board, NULL, &ears[last]));
		fh_irq_raise(out);
		for (unsigned i = 0; i <= last; i++)
			assert_heard(&ears[i], last - i + 1, last - i);
		fh_irq_lower(out);
		for (unsigned i = 0; i <= last; i++)
			assert_heard(&ears[i], last - i + 1, last - i + 1);
	}
}

static void connections_are_checked(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct fh_machine *other_machine = machine_begin();
	struct fh_irq *foreign = output_new(board_plug(other_machine, "board"), "out");
	struct fh_irq *out = output_new(board, "out");
	struct ear *ear = &ears[0];
	struct fh_irq *in = input_new(board, "in", ear);

	assert_int_equal(fh_irq_connect(out, out), FH_EINVAL);
	assert_int_equal(fh_irq_connect(in, in), FH_EINVAL);
	assert_int_equal(fh_irq_connect(in, out), FH_EINVAL);
	assert_int_equal(fh_irq_connect(foreign, in), FH_EINVAL);
	assert_int_equal(fh_irq_connect(NULL, in), FH_EDEAD);
	assert_int_equal(fh_irq_connect(out, NULL), FH_EDEAD);
	connect(out, in);
	assert_int_equal(fh_irq_connect(out, in), FH_EEXIST);
	fh_irq_raise(out);
	assert_heard(ear, 1, 0);
	machine_end(other_machine);
}

static void connecting_and_disconnecting_moves_the_level(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct fh_irq *out = output_new(board, "out");
	struct ear *ear = &ears[0];
	struct fh_irq *in = input_new(board, "in", ear);

	fh_irq_disconnect(out, in);
	fh_irq_raise(out);
	assert_heard(ear, 0, 0);
	connect(out, in);
	assert_heard(ear, 1, 0);
	fh_irq_disconnect(out, in);
	assert_heard(ear, 1, 1);
	assert_true(fh_irq_level(out));
	fh_irq_lower(out);
	fh_irq_raise(out);
	assert_heard(ear, 1, 1);
	connect(out, in); /* its slot is used again */
	assert_heard(ear, 2, 1);
}

static void sink_may_drive_other_lines(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct fh_irq *out = output_new(board, "out");
	struct fh_irq *middle = output_new(board, "middle");
	struct ear *first = &ears[0], *second = &ears[1];

	first->forward = middle;
	connect(out, input_new(board, NULL, first));
	connect(middle, input_new(board, NULL, second));
	fh_irq_raise(out);
	assert_heard(second, 1, 0);
	fh_irq_lower(out);
	assert_heard(second, 1, 1);
}

static void intercepted_input_tells_the_test_instead(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct fh_irq *out = output_new(board, "out");
	struct ear *ear = &ears[0], *tap = &ears[1], *second_tap = &ears[2];
	struct fh_irq *in = input_new(board, "in", ear);

	connect(out, in);
	fh_irq_intercept(in, hear, tap);
	fh_irq_raise(out);
	fh_irq_lower(out);
	assert_heard(tap, 1, 1);
	assert_heard(ear, 0, 0);
	fh_irq_intercept(in, hear, second_tap);
	fh_irq_pulse(out);
	assert_heard(tap, 1, 1);
	assert_heard(second_tap, 1, 1);
	fh_irq_intercept(in, NULL, NULL);
	fh_irq_raise(out);
	assert_heard(ear, 1, 0);
	assert_heard(second_tap, 1, 1);
	fh_irq_intercept(in, hear, second_tap); /* left behind: goes with the line */
}

static void lines_are_found_by_name(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct fh_irq *out = output_new(board, "out");

	fh_region_new_container(board, "region", 16);
	assert_ptr_equal(fh_device_irq(board, "out"), out);
	assert_null(fh_device_irq(board, "in"));
	assert_null(fh_device_irq(board, "region"));
}

/* --- Pulses --------------------------------------------------------------------------------- */

static void pulse_is_one_rise_and_one_fall(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct fh_irq *out = output_new(board, "out");
	struct fh_irq *other = output_new(board, "other");
	struct ear *ear = &ears[0];
	struct fh_irq *in = input_new(board, "in", ear);

	connect(out, in);
	connect(other, in);
	fh_irq_pulse(out);
	assert_heard(ear, 1, 1);
	/* From high: it falls, and then has its edge. */
	fh_irq_raise(out);
	fh_irq_pulse(out);
	assert_heard(ear, 3, 3);
	assert_false(fh_irq_level(out));
	/* A line that another output holds high has no edge. */
	fh_irq_raise(other);
	fh_irq_pulse(out);
	assert_heard(ear, 4, 3);
}

struct pulser {
	struct fh_irq *out;
	unsigned count;
};

static void pulse_many(void *arg)
{
	struct pulser *pulser = arg;

	for (unsigned i = 0; i < pulser->count; i++)
		fh_irq_pulse(pulser->out);
}

static void no_pulse_is_lost_between_threads(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct ear *ear = &ears[0];
	struct fh_irq *in = input_new(board, "in", ear);
	struct pulser pulsers[4];
	struct worker workers[4];

	for (unsigned i = 0; i < 4; i++) {
		pulsers[i] = (struct pulser){ .out = output_new(board, NULL), .count = 5000 };
		connect(pulsers[i].out, in);
	}
	for (unsigned i = 0; i < 4; i++)
		worker_start(&workers[i], pulse_many, &pulsers[i]);
	for (unsigned i = 0; i < 4; i++)
		worker_join(&workers[i]);
	assert_heard(ear, 20000, 20000);
}

/* A pulse comes while another thread has told everything and is about to leave. */
static void pulse_while_another_thread_is_leaving_is_told(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct fh_irq *out = output_new(board, "out");
	struct fh_irq *other = output_new(board, "other");
	struct ear *ear = &ears[0];
	struct fh_irq *in = input_new(board, "in", ear);
	struct pulser pulser = { .out = out, .count = 1 };
	struct worker worker;

	connect(out, in);
	connect(other, in);
	fh_point_arm("irq.before-leave");
	worker_start(&worker, pulse_many, &pulser);
	assert_true(fh_point_wait("irq.before-leave"));
	fh_irq_pulse(other);
	fh_irq_pulse(other);
	assert_heard(ear, 1, 1); /* the other thread's to tell */
	fh_point_release("irq.before-leave");
	worker_join(&worker);
	assert_heard(ear, 3, 3);
}

/* --- Connections against drivers ------------------------------------------------------------ */

static void raise_once(void *arg)
{
	fh_irq_raise(arg);
}

static void lower_once(void *arg)
{
	fh_irq_lower(arg);
}

/* A thread has seen the output low and is about to bring the wire to that when the output rises. */
static void last_change_decides_when_two_settle_one_wire(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct fh_irq *out = output_new(board, "out");
	struct ear *ear = &ears[0];
	struct worker worker;

	connect(out, input_new(board, "in", ear));
	fh_irq_raise(out);
	fh_point_arm("irq.settle");
	worker_start(&worker, lower_once, out);
	assert_true(fh_point_wait("irq.settle"));
	fh_irq_raise(out);
	fh_point_release("irq.settle");
	worker_join(&worker);
	assert_true(ear->level);
	assert_false(ear->wrong);
	assert_int_equal(ear->rises, ear->falls + 1);

	fh_point_arm("irq.settle");
	worker_start(&worker, raise_once, out); /* it is high: nothing to do */
	worker_join(&worker);
	fh_point_release("irq.settle");
	fh_irq_lower(out);
	assert_false(ear->level);
}

struct connector {
	struct fh_irq *out, *in;
	enum fh_code code;
};

static void connect_once(void *arg)
{
	struct connector *connector = arg;

	connector->code = fh_irq_connect(connector->out, connector->in);
}

/* The wire is there, its level not looked at yet, when the output is driven and disconnected. */
static void connection_that_ends_before_it_has_settled_holds_nothing_high(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct ear *ear = &ears[0];
	struct connector connector = { .out = output_new(board, "out"),
				       .in = input_new(board, "in", ear) };
	struct worker worker;

	fh_irq_raise(connector.out);
	fh_point_arm("irq.connected");
	worker_start(&worker, connect_once, &connector);
	assert_true(fh_point_wait("irq.connected"));
	assert_int_equal(fh_irq_connect(connector.out, connector.in), FH_EEXIST);
	fh_irq_disconnect(connector.out, connector.in);
	fh_point_release("irq.connected");
	worker_join(&worker);
	assert_int_equal(connector.code, FH_OK);
	assert_heard(ear, 0, 0);
}

struct churn {
	struct fh_irq *outs[3];
	struct fh_irq *ins[5];
	_Atomic bool stop;
};

static void drive_all(void *arg)
{
	struct churn *churn = arg;

	while (!atomic_load_explicit(&churn->stop, memory_order_relaxed)) {
		for (unsigned i = 0; i < 3; i++) {
			fh_irq_raise(churn->outs[i]);
			fh_irq_pulse(churn->outs[(i + 1) % 3]);
			fh_irq_lower(churn->outs[i]);
		}
	}
}

static void rewire_all(void *arg)
{
	struct churn *churn = arg;

	for (unsigned round = 0; round < 400; round++) {
		for (unsigned i = 0; i < 15; i++)
			fh_irq_connect(churn->outs[i % 3], churn->ins[i % 5]);
		for (unsigned i = 0; i < 15; i++)
			fh_irq_disconnect(churn->outs[i % 3], churn->ins[i % 5]);
	}
}

static void inputs_end_low_however_lines_were_rewired(void **state)
{
	struct fh_device *board = board_plug((struct fh_machine *)*state, "board");
	struct churn churn = { .stop = false };
	struct worker drivers[2], rewirer;

	for (unsigned i = 0; i < 3; i++)
		churn.outs[i] = output_new(board, NULL);
	for (unsigned i = 0; i < 5; i++)
		churn.ins[i] = input_new(board, NULL, &ears[i]);
	worker_start(&drivers[0], drive_all, &churn);
	worker_start(&drivers[1], drive_all, &churn);
	worker_start(&rewirer, rewire_all, &churn);
	worker_join(&rewirer);
	for (unsigned i = 0; i < 15; i++)
		fh_irq_connect(churn.outs[i % 3], churn.ins[i % 5]);
	atomic_store_explicit(&churn.stop, true, memory_order_relaxed);
	worker_join(&drivers[0]);
	worker_join(&drivers[1]);
	for (unsigned i = 0; i < 3; i++)
		fh_irq_lower(churn.outs[i]);
	for (unsigned i = 0; i < 5; i++) {
		assert_false(fh_irq_level(churn.ins[i]));
		assert_heard(&ears[i], ears[i].rises, ears[i].rises);
	}
	fh_irq_raise(churn.outs[2]);
	for (unsigned i = 0; i < 5; i++)
		assert_true(ears[i].level);
}

/* --- Life ----------------------------------------------------------------------------------- */

static void unplugged_output_is_low_and_alone(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *driver = board_plug(m, "driver");
	struct fh_device *board = board_plug(m, "board");
	struct fh_irq *out = fh_object_ref(output_new(driver, "out"));
	struct fh_irq *other = output_new(board, "other");
	struct ear *ear = &ears[0];
	struct fh_irq *in = input_new(board, "in", ear);

	connect(out, in);
	connect(other, in);
	fh_irq_raise(out);
	fh_device_unplug(driver);
	assert_heard(ear, 1, 1);
	assert_false(fh_irq_level(out));
	fh_irq_raise(out);
	fh_irq_pulse(out);
	assert_false(fh_irq_level(out));
	assert_heard(ear, 1, 1);
	assert_int_equal(fh_irq_connect(out, in), FH_EDEAD);
	assert_null(fh_irq_new(driver, "late"));
	fh_irq_raise(other);
	assert_heard(ear, 2, 1);
	fh_object_unref(out);
}

static void unplugged_input_is_not_told(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *driver = board_plug(m, "driver");
	struct fh_device *board = board_plug(m, "board");
	struct fh_irq *out = output_new(driver, "out");
	struct ear *ear = &ears[0], *second = &ears[1];

	connect(out, input_new(board, "in", ear));
	connect(out, input_new(driver, "in", second));
	fh_irq_raise(out);
	fh_device_unplug(board);
	assert_heard(ear, 1, 0); /* L6: no callback, not even the last fall */
	fh_irq_lower(out);
	assert_heard(ear, 1, 0);
	assert_heard(second, 1, 1);
	machine_check_alive(m, 3);
}

static void line_may_go_before_its_device(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *board = board_plug(m, "board");
	struct fh_irq *out = output_new(board, "out");
	struct ear *ear = &ears[0], *gone = &ears[1];
	struct fh_irq *in = input_new(board, "in", gone);

	connect(out, in);
	connect(out, input_new(board, "other", ear));
	fh_irq_raise(out);
	fh_object_dispose(in);
	fh_object_dispose(out);
	assert_heard(gone, 1, 0);
	assert_heard(ear, 1, 1);
	machine_check_alive(m, 2);
	assert_non_null(fh_irq_new(board, "out"));
}

/* A thread is driving the line while it goes. */
static void line_disposed_while_it_is_driven(struct fh_machine *m, const char *point)
{
	struct fh_device *board = board_plug(m, NULL);
	struct fh_irq *out = fh_object_ref(output_new(board, "out"));
	struct ear *ear = &ears[0];
	struct fh_irq *in = input_new(board, "in", ear);
	struct worker worker;

	connect(out, in);
	fh_point_arm(point);
	worker_start(&worker, raise_once, out);
	assert_true(fh_point_wait(point));
	fh_object_dispose(out);
	fh_point_release(point);
	worker_join(&worker);
	assert_false(fh_irq_level(out));
	assert_false(fh_irq_level(in));
	assert_heard(ear, 0, 0);
	fh_object_unref(out);
}

static void line_disposed_while_it_is_driven_is_low(void **state)
{
	line_disposed_while_it_is_driven(*state, "irq.before-set");
	line_disposed_while_it_is_driven(*state, "irq.settle");
}

static void line_of_a_device_that_is_not_shown_drives_nothing(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *board = board_plug(m, "board");
	struct fh_device *driver = board_new(m, "driver");
	struct fh_irq *out = output_new(driver, "out");
	struct fh_irq *edge = output_new(driver, "edge");
	struct ear *ear = &ears[0], *edges = &ears[1];
	struct fh_irq *in = input_new(board, "in", ear);

	connect(out, in);
	connect(edge, input_new(board, "edges", edges));
	fh_irq_raise(out);
	fh_irq_pulse(edge);
	assert_false(fh_irq_level(in));
	assert_heard(ear, 0, 0);
	assert_heard(edges, 0, 0);
	assert_int_equal(fh_device_realize(driver, NULL), FH_OK);
	assert_heard(ear, 1, 0);
	assert_heard(edges, 1, 1);
}

static void input_is_told_when_its_device_is_shown(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *driver = board_plug(m, "driver");
	struct fh_device *board = board_new(m, "board");
	struct fh_irq *out = output_new(driver, "out");
	struct fh_irq *edge = output_new(driver, "edge");
	struct ear *ear = &ears[0], *edges = &ears[1];

	connect(out, input_new(board, "in", ear));
	connect(edge, input_new(board, "edges", edges));
	fh_irq_raise(out);
	fh_irq_pulse(edge);
	fh_irq_pulse(edge);
	assert_heard(ear, 0, 0);
	assert_heard(edges, 0, 0);
	assert_int_equal(fh_device_realize(board, NULL), FH_OK);
	assert_heard(ear, 1, 0);
	assert_heard(edges, 2, 2);
}

static void plug_and_unplug(void *arg)
{
	struct fh_machine *m = arg;
	struct fh_irq *out = fh_device_irq(
		(struct fh_device *)fh_object_find_child(m, "driver"), "out");

	for (unsigned i = 0; i < 40; i++) {
		struct ear ear = { 0 };
		struct fh_device *board = board_plug(m, NULL);

		connect(out, input_new(board, "in", &ear));
		connect(output_new(board, "out"), input_new(board, "own", &ear));
		fh_device_unplug(board);
		/* After the drain nobody tells the input, whose ear is gone now. */
		assert_int_equal(ear.inside, 0);
		memset(&ear, 0xff, sizeof(ear));
	}
}

static void drive_one(void *arg)
{
	struct churn *churn = arg;

	while (!atomic_load_explicit(&churn->stop, memory_order_relaxed)) {
		fh_irq_raise(churn->outs[0]);
		fh_irq_lower(churn->outs[0]);
	}
}

static void inputs_may_be_unplugged_while_they_are_driven(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *driver = fh_object_ref(board_plug(m, "driver"));
	struct churn churn = { .outs = { output_new(driver, "out") } };
	struct worker drivers[2], plugger;

	worker_start(&drivers[0], drive_one, &churn);
	worker_start(&drivers[1], drive_one, &churn);
	worker_start(&plugger, plug_and_unplug, m);
	worker_join(&plugger);
	atomic_store_explicit(&churn.stop, true, memory_order_relaxed);
	worker_join(&drivers[0]);
	worker_join(&drivers[1]);
	fh_object_unref(driver);
	fh_object_unref(driver); /* the worker's */
}

/* --- What a programmer does wrong ----------------------------------------------------------- */

static void drive_in_a_transaction(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_irq *out = output_new(board_plug(m, "board"), "out");

	fh_edit_begin(m);
	fh_irq_raise(out);
}

static void edit_in_sink(void *state, bool level)
{
	(void)level;
	fh_edit_begin(state);
}

static void sink_that_edits(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);
	struct fh_device *board = board_plug(m, "board");
	struct fh_irq *out = output_new(board, "out");

	connect(out, fh_irq_new_input(board, "in", edit_in_sink, m));
	fh_irq_raise(out);
}

static void drive_an_input(void)
{
	struct fh_machine *m = fh_machine_new(NULL, NULL);

	fh_irq_raise(fh_irq_new_input(board_plug(m, "board"), "in", NULL, NULL));
}

static void misuse_is_asserted(void **state)
{
	(void)state;
	assert_true(dies_saying(drive_in_a_transaction, "assertion failed"));
	assert_true(dies_saying(sink_that_edits, "assertion failed"));
	assert_true(dies_saying(drive_an_input, "assertion failed"));
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(misuse_is_asserted), /* first: it forks */
		test(input_is_told_each_change),
		test(input_is_high_while_one_of_its_outputs_is),
		test(output_drives_all_its_inputs),
		test(connections_are_checked),
		test(connecting_and_disconnecting_moves_the_level),
		test(sink_may_drive_other_lines),
		test(intercepted_input_tells_the_test_instead),
		test(lines_are_found_by_name),
		test(pulse_is_one_rise_and_one_fall),
		test(no_pulse_is_lost_between_threads),
		test(pulse_while_another_thread_is_leaving_is_told),
		test(last_change_decides_when_two_settle_one_wire),
		test(connection_that_ends_before_it_has_settled_holds_nothing_high),
		test(inputs_end_low_however_lines_were_rewired),
		test(unplugged_output_is_low_and_alone),
		test(unplugged_input_is_not_told),
		test(line_may_go_before_its_device),
		test(line_disposed_while_it_is_driven_is_low),
		test(line_of_a_device_that_is_not_shown_drives_nothing),
		test(input_is_told_when_its_device_is_shown),
		test(inputs_may_be_unplugged_while_they_are_driven),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
