/* SPDX-License-Identifier: MIT */
/*
 * Is a small send followed by another at once, as a header is by its body? What has been seen of
 * one kind of connection, and what may be expected of the next. Believed after PAIRING_FIRST in a
 * row; each time that proves wrong it takes twice as many, which is forgiven as slowly. A hint:
 * several vCPUs may use one at once, and one that has settled is only read.
 */
#ifndef UFORK_HOSTED_PAIRING_H
#define UFORK_HOSTED_PAIRING_H

#include "lib/types.h"

#define PAIRING_FIRST 8
#define PAIRING_DOUBTS 9 /* doublings at most */

/* Zeroed: nothing has been seen yet. */
struct pairing {
  u16 run;   /* pairs in a row; at most twice what is needed */
  u16 doubt; /* doublings */
};

static inline u32 pairing_run(const struct pairing *p) {
  return __atomic_load_n(&p->run, __ATOMIC_RELAXED);
}

static inline u32 pairing_doubt(const struct pairing *p) {
  return __atomic_load_n(&p->doubt, __ATOMIC_RELAXED);
}

static inline u32 pairing_needed(u32 doubt) { return (u32)PAIRING_FIRST << doubt; }

/* May the next small send be taken for the first of two? */
static inline bool pairing_expected(const struct pairing *p) {
  return pairing_run(p) >= pairing_needed(pairing_doubt(p));
}

/* A small send was followed by another. */
static inline void pairing_followed(struct pairing *p) {
  u32 run = pairing_run(p), doubt = pairing_doubt(p);
  if (likely(doubt == 0 && run >= PAIRING_FIRST))
    return;
  if (doubt > 0 && run + 1 >= 2 * pairing_needed(doubt)) {
    doubt--;
    run = pairing_needed(doubt);
    __atomic_store_n(&p->doubt, (u16)doubt, __ATOMIC_RELAXED);
  } else {
    run++;
  }
  __atomic_store_n(&p->run, (u16)run, __ATOMIC_RELAXED);
}

/* It was not; `believed`: another had been expected. */
static inline void pairing_alone(struct pairing *p, bool believed) {
  u32 doubt = pairing_doubt(p);
  if (pairing_run(p) != 0)
    __atomic_store_n(&p->run, 0, __ATOMIC_RELAXED);
  if (believed && doubt < PAIRING_DOUBTS)
    __atomic_store_n(&p->doubt, (u16)(doubt + 1), __ATOMIC_RELAXED);
}

#endif
