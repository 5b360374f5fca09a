/* SPDX-License-Identifier: MIT */
/*
 * The room of a space: how many bytes its bounce buffers may take together, and who waits for some.
 *
 * R1. All of it is guarded by the machine's room lock, a leaf. No foreign code runs under it.
 * R2. While somebody waits nobody else gets room: who comes later stands behind. When there is room
 *     for the first of those who wait, it is set aside for that one's holder, from then on until
 *     its callback has returned. So nobody waits for ever, as long as buffers are given back.
 * R3. Whatever may have made room looks at the queue, in the same locked step: what gives room
 *     back, a waiter that joins or leaves, a new limit, the end of the space. No wake-up is lost.
 * R4. A waiter is the tail of a pin of the space in its holder's name (L4), so that it goes with
 *     the holder (L6). Whoever is about to call it steals the pin first, and so finds out whether
 *     it has ended. If the pin was stolen its memory is the poller's; otherwise it goes with the
 *     later of the two, the end of the pin and, while it is `running`, the poller.
 * R5. A room outlives its space as long as a buffer or a waiter belongs to it.
 */
#ifndef MEMORY_ROOM_H
#define MEMORY_ROOM_H

#include "memory/space.h"

struct fh_room {
	struct fh_machine *machine; /* C */
	unsigned users;		    /* the space, each buffer, each waiter: R5 */
	uint64_t limit;
	uint64_t used;		    /* by buffers, or set aside */
	bool closed;		    /* the space has been disposed of */
	struct fh_list waiters;	    /* for which there was no room yet: in order of registration */
};

/*
 * Room for a buffer of *size bytes in the name of @holder; *size becomes less where there can never
 * be as much. FH_OK: *ret, to be given back with fh_room_give(). FH_EAGAIN: not now. FH_ENOTSUP:
 * the space has no room at all. FH_EDEAD: it has been disposed of.
 */
enum fh_code fh_room_take(struct fh_space *space, struct fh_object *holder, uint64_t *size,
			  struct fh_room **ret);
void fh_room_give(struct fh_room *room, uint64_t size);

/* The space has been detached: whoever waits is called. In a transaction. */
void fh_room_close(struct fh_space *space);
/* At the space's finalize. */
void fh_room_leave(struct fh_space *space);

/* Call the waiters that are due; true if there were any. On the polling thread, under no lock. */
bool fh_rooms_run(struct fh_machine *m);

#endif
