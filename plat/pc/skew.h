/* SPDX-License-Identifier: MIT */
/*
 * How far ahead of ours the counter of another CPU is: from questions, each with our counter before
 * it was asked and after the answer had come, and the other's in between.
 */
#ifndef UFORK_PC_SKEW_H
#define UFORK_PC_SKEW_H

#include "lib/types.h"

struct skew {
  i64 lo, hi; /* what it can be, in ticks */
};
#define SKEW_UNKNOWN                                                                               \
  (struct skew) { INT64_MIN, INT64_MAX }

static inline void skew_add(struct skew *s, u64 before, u64 other, u64 after) {
  i64 lo = (i64)(other - after), hi = (i64)(other - before);
  s->lo = lo > s->lo ? lo : s->lo;
  s->hi = hi < s->hi ? hi : s->hi;
}

/* Known to `ticks`? */
static inline bool skew_known(const struct skew *s, u64 ticks) {
  return s->lo > INT64_MIN && s->hi - s->lo <= (i64)ticks;
}

/* 0 if the answers allow for it. Answers that contradict each other (the counters do not run alike)
   give something between them. */
static inline i64 skew_ticks(const struct skew *s) {
  return s->lo <= 0 && s->hi >= 0 ? 0 : s->lo + (s->hi - s->lo) / 2;
}

#endif
