/* SPDX-License-Identifier: MIT */
/* Which pages of a private file mapping have been written (are anonymous by now). */
#ifndef UFORK_HOSTED_PAGEMAP_H
#define UFORK_HOSTED_PAGEMAP_H

#include "lib/types.h"

/* Opens /proc/self/pagemap. Without it (-errno) there is no lazy tier. */
int pagemap_init(void);
bool pagemap_available(void);

/* Calls f for each run of private pages in [start, end), absolute addresses; stops at its first
   non-zero result and returns it. Number of pages seen goes to *pages if not NULL. */
int pagemap_each_private(u64 start, u64 end, int (*f)(void *arg, u64 from, u64 to), void *arg,
                         u64 *pages);

/* The same for pages that can be read without a fault; none where the host cannot say it quickly.
 */
int pagemap_each_present(u64 start, u64 end, int (*f)(void *arg, u64 from, u64 to), void *arg);

/* The same for pages that have been written since written_track (written.h) was told of them, or
   may have been. */
int pagemap_each_written(u64 start, u64 end, int (*f)(void *arg, u64 from, u64 to), void *arg,
                         u64 *pages);

#endif
