/* SPDX-License-Identifier: MIT */
/*
 * Which pages of a private file mapping have been written, found out at less cost than by
 * pagemap_each_private: the host looks at page tables only, and not at the pages.
 */
#ifndef UFORK_HOSTED_WRITTEN_H
#define UFORK_HOSTED_WRITTEN_H

#include "lib/types.h"

/* Finds out whether the host can do this. */
void written_init(void);

/* From now on pages of [start, end), a fresh private file mapping, will be told by
   pagemap_each_written. Never fewer than have been written, whatever becomes of the mapping. False
   if the host cannot. */
bool written_track(u64 start, u64 end);
/* The same for a private mapping that has been used: the pages that are private now, and those
   written from now on. Meanwhile nobody writes to it. */
bool written_follow(u64 start, u64 end);
/* The page faults that this host process has had, at less cost than a look at page tables. No page
   is written for the first time without one: while the number stays the same, and no mapping is
   changed, pagemap_each_written would tell what it told before. If the host does not count, a new
   number each time. */
u64 written_faults(void);
/* The page faults of this host process as the host tells them, which may be never any. */
u64 host_faults(void);

#endif
