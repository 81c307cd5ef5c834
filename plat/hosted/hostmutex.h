/* SPDX-License-Identifier: MIT */
/* A lock that blocks the host thread: for short sections that the thaw thread shares with vCPUs. */
#ifndef UFORK_HOSTED_HOSTMUTEX_H
#define UFORK_HOSTED_HOSTMUTEX_H

#include "plat/hosted/linux.h"

struct hostmutex {
  u32 state; /* 0 free, 1 held, 2 held and somebody may wait */
};

static inline void hostmutex_lock(struct hostmutex *m) {
  u32 free = 0;
  if (likely(__atomic_compare_exchange_n(&m->state, &free, 1, false, __ATOMIC_ACQUIRE,
                                         __ATOMIC_RELAXED)))
    return;
  while (__atomic_exchange_n(&m->state, 2, __ATOMIC_ACQUIRE) != 0)
    lx4(futex, &m->state, LX_FUTEX_WAIT_PRIVATE, 2, NULL);
}

static inline void hostmutex_unlock(struct hostmutex *m) {
  if (unlikely(__atomic_exchange_n(&m->state, 0, __ATOMIC_RELEASE) == 2))
    lx3(futex, &m->state, LX_FUTEX_WAKE_PRIVATE, 1);
}

#endif
