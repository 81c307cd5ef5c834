/* SPDX-License-Identifier: MIT */
/*
 * When there is no frame left for a page that is touched first: what the core and the CPUs keep for
 * later is given back, and if that does not help the µprocess that wants the page is killed.
 */
#ifndef UFORK_PC_RECLAIM_H
#define UFORK_PC_RECLAIM_H

#include "plat/pc/region.h"

/* What all CPUs keep together is given back. Thread context, no spinlocks. */
void reclaim_kept(void);

/* region_touch that never ends in FAULT_NO_MEMORY but after having killed the running µprocess,
   which ends on its way to user code. Thread context, no spinlocks. */
enum fault_result reclaim_touch(struct region *r, u32 off, bool write);

/* Has somebody asked this CPU for what it keeps, and has not got it yet? */
bool reclaim_is_asked(void);
/* Gives it. Thread or idle context. */
void reclaim_give(void);

#endif
