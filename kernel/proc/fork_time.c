/* SPDX-License-Identifier: MIT */
/* A histogram of eight steps for each power of two. */
#include "kernel/proc/fork_time.h"

#define STEP_BITS 3
#define STEPS (1u << STEP_BITS)
#define BUCKETS ((65 - STEP_BITS) * STEPS)

static u32 buckets[BUCKETS]; /* atomic */
static u64 worst;            /* atomic */

/* Times below STEPS have a bucket each; others are told by their STEP_BITS + 1 highest bits. */
static unsigned bucket_of(u64 ns) {
  if (ns < STEPS)
    return (unsigned)ns;
  unsigned shift = 63 - STEP_BITS - (unsigned)__builtin_clzl(ns);
  return shift * STEPS + (unsigned)(ns >> shift);
}

static u64 middle_of(unsigned bucket) {
  if (bucket < 2 * STEPS)
    return bucket;
  unsigned shift = bucket / STEPS - 1;
  return ((u64)(bucket % STEPS + STEPS) << shift) + ((1UL << shift) >> 1);
}

void fork_time_add(u64 start, u64 end) {
  u64 ns = end > start ? end - start : 0;
  u64 seen = __atomic_load_n(&worst, __ATOMIC_RELAXED);
  __atomic_add_fetch(&buckets[bucket_of(ns)], 1, __ATOMIC_RELAXED);
  while (ns > seen &&
         !__atomic_compare_exchange_n(&worst, &seen, ns, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    ;
}

struct fork_times fork_times(void) {
  struct fork_times f = {.worst = __atomic_load_n(&worst, __ATOMIC_RELAXED)};
  u64 below = 0;
  for (unsigned i = 0; i < BUCKETS; i++)
    f.count += __atomic_load_n(&buckets[i], __ATOMIC_RELAXED);
  for (unsigned i = 0; i < BUCKETS && f.count; i++) {
    below += __atomic_load_n(&buckets[i], __ATOMIC_RELAXED);
    if (below * 2 >= f.count) {
      f.median = middle_of(i);
      break;
    }
  }
  return f;
}
