/* SPDX-License-Identifier: MIT */
/*
 * Bounce buffers: mappings of what cannot be used in place.
 *
 * R1. A bounce buffer is the tail of a pin of the region in its holder's name: it goes with the
 *     pin, and its room is given back with it, whoever ends the pin.
 * R2. Unmapping steals the pin before it writes back. From then on the buffer and one pin of the
 *     region are the unmapping thread's alone, and the end of the holder finds nothing.
 * R3. It is filled before the pin is taken: until then it is the mapping thread's alone.
 * R4. Writing back passes the map by, as a pinned section does (pinned.c): it looks at the shown
 *     bit of the region's owner itself, and again whenever the read section was left in between.
 * R5. A mapping through IOMMUs has a tail in any case, with a buffer or without: it uses the
 *     translations (iommu.h, R2) from the section in which they were made to the end of the pin, or
 *     to that of the writing back, for which their invalidations wait.
 */
#ifndef MEMORY_BOUNCE_H
#define MEMORY_BOUNCE_H

#include "base/thread.h"
#include "freehold/space.h"
#include "object/object.h"

/* For struct fh_machine_ops: of any pin. */
void fh_mapping_lapses(struct fh_pin *pin);

/* There is no mapping: NULL, and *ret says why. */
struct fh_mapping *fh_mapped_fail(struct fh_mapped *ret, enum fh_code code, enum fh_tx tx);

/* fh_space_map() of what is not directly accessible. size is not 0. In a read section. */
struct fh_mapping *fh_bounce_map(struct fh_thread *t, struct fh_space *space, uint64_t addr,
				 uint64_t size, unsigned flags, struct fh_attrs attrs,
				 struct fh_object *holder, struct fh_mapped *ret);

/* fh_mapping_unmap() of a pin that has, or had, a bounce buffer. */
enum fh_tx fh_bounce_unmap(struct fh_pin *pin, uint64_t written);

#endif
