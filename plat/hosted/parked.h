/* SPDX-License-Identifier: MIT */
/*
 * Small mappings that a µprocess makes and removes again and again, as an allocator does with the
 * memory of a request. Removing one costs an interrupt of every other vCPU, since all share one
 * address space of the host, and making it anew costs faults. After the third time the host's
 * mapping stays (*parked*), and mapping the same range again clears it: no host call at all.
 *
 * Until then, its owner (and the kernel for its owner) can still touch the range; it is not in the
 * books, and nobody else could ever reach it. At most PARKED_MAX ranges of PARKED_PAGES_MAX pages
 * in a region are parked. (Deferring what munmap means for the TLB is the idea of LATR, Kumar et
 * al., ASPLOS 2018; there until the next tick.)
 *
 * A region with lazy segments parks nothing, since segments grow over what the books call free.
 * All functions: the region's lock is held.
 */
#ifndef UFORK_HOSTED_PARKED_H
#define UFORK_HOSTED_PARKED_H

#include "lib/types.h"

struct region;

#define PARKED_MAX 4u
#define PARKED_PAGES_MAX 8u

/* Of one range: what became of it. In struct region, zeroed at first. */
struct parked {
  u32 off, end; /* end 0: the entry is free */
  u8 unmaps;    /* how often just this range was unmapped */
  bool now;     /* parked */
};

/* [off, end) is unmapped: parks it and takes it out of the books if that pays. Room for two extents
   is reserved. Otherwise false, and nothing has changed. */
bool parked_put(struct region *r, u32 off, u32 end);

/* If just [off, end) is parked: clears the memory, enters it in the books, true. Room for one
   extent is reserved. */
bool parked_take(struct region *r, u32 off, u32 end);

/* Takes off the host what is parked in [off, end). -ENOMEM: the host is out of mappings, and what
   could not be taken off is still parked. */
int parked_drop(struct region *r, u32 off, u32 end);

/* Is off in a parked range? For tests. */
bool parked_at(const struct region *r, u32 off);

#endif
