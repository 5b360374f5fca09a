/* SPDX-License-Identifier: MIT */
/*
 * Room for bounce buffers, and those who wait for it. See room.h for R1 to R5.
 */
#include "memory/room.h"

#include "base/alloc.h"
#include "base/point.h"

struct fh_waiter {
	struct fh_pin_tail tail; /* R4 */
	struct fh_pin *pin;	 /* C, as all to `state`, once it is registered */
	struct fh_object *holder;
	struct fh_room *room;
	uint64_t size; /* what it waits for */
	void (*call)(void *state);
	void *state;
	struct fh_list link;	 /* in room->waiters or, when it is due, in machine->room_due */
	bool running;		 /* it is the poller's, or not registered yet */
	bool ended;		 /* its pin has, and waiter_end() knows */
	bool stolen;		 /* the poller's: its pin was */
	uint64_t aside;		 /* of a due one: what is set aside for it, and part of `used` */
};

static struct fh_waiter *waiter_of(struct fh_list *node)
{
	return fh_list_entry(node, struct fh_waiter, link);
}

/* --- Rooms ---------------------------------------------------------------------------------- */

/* The space's room, made if it has none. Room lock held. */
static struct fh_room *room_of(struct fh_space *space)
{
	struct fh_room *room = space->room;

	if (room)
		return room;
	room = fh_new(struct fh_room);
	room->machine = space->object.machine;
	room->users = 1;
	room->limit = FH_BOUNCE_LIMIT_DEFAULT;
	room->closed = fh_object_has(&space->object, FH_OBJECT_DETACHED);
	fh_list_init(&room->waiters);
	space->room = room;
	return room;
}

/* Room lock held. */
static void room_unuse(struct fh_room *room)
{
	if (--room->users > 0)
		return;
	fh_assert(room->used == 0 && fh_list_empty(&room->waiters));
	fh_free(room);
}

/* What would do for a waiter as things are: 0, it is to be called in any case. */
static uint64_t room_wanted(const struct fh_room *room, const struct fh_waiter *waiter)
{
	if (room->closed)
		return 0;
	return waiter->size < room->limit ? waiter->size : room->limit;
}

/* R3. Room lock held; whoever gets true has the machine polled, without the lock. */
static bool room_look(struct fh_room *room)
{
	struct fh_list *node;
	bool any = false;

	while ((node = fh_list_first(&room->waiters))) {
		struct fh_waiter *waiter = waiter_of(node);
		const uint64_t wanted = room_wanted(room, waiter);

		if (wanted > 0 && (room->used >= room->limit || wanted > room->limit - room->used))
			break;
		fh_list_remove(&waiter->link);
		waiter->aside = wanted;
		room->used += wanted;
		fh_list_add_last(&room->machine->room_due, &waiter->link);
		any = true;
	}
	return any;
}

/* What is set aside for the holder, or NULL. Room lock held. */
static struct fh_waiter *find_aside(const struct fh_room *room, const struct fh_object *holder)
{
	fh_list_for_each_entry(waiter, &room->machine->room_due, struct fh_waiter, link)
		if (waiter->room == room && waiter->holder == holder && waiter->aside > 0)
			return waiter;
	return NULL;
}

/* Take size bytes, if they are to be had: R2. Room lock held. */
static bool room_find(struct fh_room *room, const struct fh_object *holder, uint64_t size)
{
	struct fh_waiter *waiter = find_aside(room, holder);
	const uint64_t aside = !waiter ? 0 : waiter->aside < size ? waiter->aside : size;
	const uint64_t left = room->used < room->limit ? room->limit - room->used : 0;
	const uint64_t more = size - aside;

	if (more > left || (more > 0 && !fh_list_empty(&room->waiters)))
		return false;
	if (waiter)
		waiter->aside -= aside;
	room->used += more;
	return true;
}

enum fh_code fh_room_take(struct fh_space *space, struct fh_object *holder, uint64_t *size,
			  struct fh_room **ret)
{
	struct fh_machine *m = space->object.machine;
	enum fh_code code = FH_OK;

	fh_lock_acquire(&m->room_lock);
	struct fh_room *room = room_of(space);
	const uint64_t least = *size < room->limit ? *size : room->limit;

	if (room->closed) {
		code = FH_EDEAD;
	} else if (room->limit == 0) {
		code = FH_ENOTSUP;
	} else if (!room_find(room, holder, least)) {
		code = FH_EAGAIN;
	} else {
		room->users++;
		*size = least;
		*ret = room;
	}
	fh_lock_release(&m->room_lock);
	return code;
}

void fh_room_give(struct fh_room *room, uint64_t size)
{
	struct fh_machine *m = room->machine;

	fh_lock_acquire(&m->room_lock);
	fh_assert(room->used >= size);
	room->used -= size;
	const bool due = room_look(room);

	room_unuse(room);
	fh_lock_release(&m->room_lock);
	if (due)
		fh_machine_kick(m);
}

void fh_room_close(struct fh_space *space)
{
	struct fh_machine *m = space->object.machine;
	bool due = false;

	fh_lock_acquire(&m->room_lock);
	if (space->room) {
		space->room->closed = true;
		due = room_look(space->room);
	}
	fh_lock_release(&m->room_lock);
	if (due)
		fh_machine_kick(m);
}

void fh_room_leave(struct fh_space *space)
{
	struct fh_machine *m = space->object.machine;

	if (!space->room)
		return;
	fh_lock_acquire(&m->room_lock);
	room_unuse(space->room);
	fh_lock_release(&m->room_lock);
}

void fh_space_set_bounce_limit(struct fh_space *space, uint64_t bytes)
{
	struct fh_machine *m = space->object.machine;

	fh_lock_acquire(&m->room_lock);
	struct fh_room *room = room_of(space);

	room->limit = bytes;
	const bool due = room_look(room);

	fh_lock_release(&m->room_lock);
	if (due)
		fh_machine_kick(m);
}

/* --- Waiters -------------------------------------------------------------------------------- */

/* It waits no more: what was set aside for it is free again. Room lock held. */
static bool waiter_leave(struct fh_waiter *waiter)
{
	struct fh_room *room = waiter->room;

	fh_list_remove(&waiter->link);
	room->used -= waiter->aside;
	const bool due = room_look(room);

	room_unuse(room);
	return due;
}

static void waiter_free(struct fh_waiter *waiter)
{
	struct fh_machine *m = waiter->holder->machine;

	fh_lock_acquire(&m->room_lock);
	const bool due = waiter_leave(waiter);

	fh_lock_release(&m->room_lock);
	fh_free(waiter);
	if (due)
		fh_machine_kick(m);
}

/* Its pin has ended: it was cancelled, or its holder has been disposed of. */
static void waiter_end(struct fh_pin_tail *tail)
{
	struct fh_waiter *waiter = (struct fh_waiter *)tail;
	struct fh_machine *m = waiter->holder->machine;
	bool due = false;

	FH_POINT("room.end");
	fh_lock_acquire(&m->room_lock);
	const bool mine = !waiter->running;

	waiter->ended = true;
	if (mine)
		due = waiter_leave(waiter);
	fh_lock_release(&m->room_lock);
	if (mine)
		fh_free(waiter);
	if (due)
		fh_machine_kick(m);
}

static struct fh_waiter *waiter_new(struct fh_space *space, uint64_t size,
				    struct fh_object *holder, void (*call)(void *state),
				    void *state)
{
	struct fh_machine *m = space->object.machine;
	struct fh_waiter *waiter = fh_new(struct fh_waiter);

	waiter->tail.end = waiter_end;
	waiter->tail.calls = true;
	waiter->holder = holder;
	waiter->size = size > 0 ? size : 1;
	waiter->call = call;
	waiter->state = state;
	waiter->running = true;
	fh_list_init(&waiter->link);
	fh_lock_acquire(&m->room_lock);
	waiter->room = room_of(space);
	waiter->room->users++;
	fh_lock_release(&m->room_lock);
	return waiter;
}

struct fh_waiter *fh_space_notify_room(struct fh_space *space, uint64_t size, FH_ANY any,
				       void (*call)(void *state), void *state)
{
	struct fh_object *holder = fh_object_of(any);
	struct fh_machine *m = holder->machine;

	if (!fh_object_is_shown(holder) || fh_object_has(&space->object, FH_OBJECT_DETACHED))
		return NULL;
	struct fh_waiter *waiter = waiter_new(space, size, holder, call, state);
	struct fh_pin *pin = fh_pin_take_tail(&space->object, holder, "room", &waiter->tail);
	bool due = false;

	FH_POINT("room.pinned");
	fh_lock_acquire(&m->room_lock);
	if (!pin || waiter->ended) {
		fh_lock_release(&m->room_lock);
		waiter_free(waiter);
		return NULL;
	}
	waiter->pin = pin;
	waiter->running = false;
	fh_list_add_last(&waiter->room->waiters, &waiter->link);
	due = room_look(waiter->room);
	fh_lock_release(&m->room_lock);
	if (due)
		fh_machine_kick(m);
	return (struct fh_waiter *)pin;
}

struct fh_waiter *fh_waiter_cancel(struct fh_waiter *waiter)
{
	if (waiter)
		fh_pin_drop((struct fh_pin *)waiter);
	return NULL;
}

/* --- The poll ------------------------------------------------------------------------------- */

/* The first that is due, and from here on the poller's; its holder is held. */
static struct fh_waiter *waiter_take(struct fh_machine *m)
{
	struct fh_waiter *waiter = NULL;
	struct fh_list *node;

	fh_lock_acquire(&m->room_lock);
	node = fh_list_first(&m->room_due);
	if (node) {
		waiter = waiter_of(node);
		waiter->running = true;
		/* Whoever ends the pin has not been here yet, and has the holder till then. */
		fh_object_hold(waiter->holder);
	}
	fh_lock_release(&m->room_lock);
	return waiter;
}

/* R4: false, it has ended. */
static bool waiter_unpin(struct fh_waiter *waiter)
{
	struct fh_object *space = fh_pin_steal(waiter->pin, &waiter->tail);

	if (space)
		fh_object_unhold(space);
	waiter->stolen = space;
	return space;
}

/* In the domain: from here on it cannot be cancelled. */
static void waiter_call(void *arg)
{
	struct fh_waiter *waiter = arg;

	if (waiter_unpin(waiter))
		waiter->call(waiter->state);
}

/* The poller is done with it. */
static void waiter_done(struct fh_waiter *waiter)
{
	struct fh_machine *m = waiter->holder->machine;

	fh_lock_acquire(&m->room_lock);
	const bool mine = waiter->stolen || waiter->ended;

	/* Whoever ended the pin has not come to waiter_end() yet, which takes it from here. */
	if (!mine) {
		fh_list_remove(&waiter->link);
		waiter->running = false;
	}
	fh_lock_release(&m->room_lock);
	if (mine)
		waiter_free(waiter);
}

bool fh_rooms_run(struct fh_machine *m)
{
	struct fh_waiter *waiter;
	bool any = false;

	while ((waiter = waiter_take(m))) {
		struct fh_object *holder = waiter->holder;

		FH_POINT("room.due");
		if (!m->ops->call(holder, waiter_call, waiter))
			waiter_unpin(waiter);
		waiter_done(waiter);
		fh_object_unhold(holder);
		any = true;
	}
	return any;
}
