/* SPDX-License-Identifier: MIT */
/*
 * Which pages fork copies ahead: those that parents and children of an image wrote soon after
 * earlier forks. A copy costs less than a fault, so a page comes in when a fault copies it, and
 * goes when several children in a row did not write to theirs.
 *
 * A set belongs to a group (an image) and is shared by its regions; sets that no region uses are
 * kept for the next one, up to a limit. Own spinlock per set.
 */
#ifndef UFORK_PC_HOTSET_H
#define UFORK_PC_HOTSET_H

#include "lib/list.h"
#include "lib/spin.h"
#include "lib/types.h"

#define HOT_PAGES_MAX 128u

struct region;

struct hotset {
  struct list node; /* among all sets, the one used last the longest ago first */
  u64 group;
  u32 refs; /* regions; atomic, from 0 to 1 under the list's lock only */
  struct spin lock;
  u32 n;                    /* written under `lock` */
  u32 pages[HOT_PAGES_MAX]; /* region offsets in pages, ascending */
  u8 score[HOT_PAGES_MAX];
};

/* The set of a group with a reference, made if there is none; NULL: no memory (fork works without).
 */
struct hotset *hotset_of(u64 group);
/* Another reference to the set that a region has; NULL is fine. */
struct hotset *hotset_share(struct hotset *h);
void hotset_put(struct hotset *h);

/* `page` was written soon after a fork. */
void hotset_note(struct hotset *h, u32 page);
/* r, a region of the set about to die, tells which of the pages copied for it it wrote. Needs no
   lock of r. */
void hotset_feedback(struct hotset *h, const struct region *r);
/* Copies the pages to `pages`, ascending; their number. */
u32 hotset_read(struct hotset *h, u32 *pages);

/* Frees the sets that no region uses (tests; low memory). */
void hotsets_drain(void);

#endif
