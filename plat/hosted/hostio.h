/* SPDX-License-Identifier: MIT */
/*
 * Readiness of host descriptors. All vCPUs share one host epoll instance; every descriptor is
 * registered once, edge-triggered, for input and output. `ready` caches what the host has told:
 * whoever is about to read or write clears the bit first (hostio_begin) and sets it again if there
 * may be more (hostio_more), so that no event is lost and the hot path needs no call to ask.
 */
#ifndef UFORK_HOSTED_HOSTIO_H
#define UFORK_HOSTED_HOSTIO_H

#include "kernel/fs/file.h"
#include "plat/hosted/linux.h"

struct hostio {
  int fd;
  u32 ready; /* POLL* bits; atomic */
  struct waitq *q;
  u32 slot;
};

/* Registers fd; events set h->ready and wake q. 0, -EPERM (always ready: a regular file), -ENOMEM.
   The caller keeps the fd open until hostio_remove. */
int hostio_add(struct hostio *h, int fd, struct waitq *q);
/* After it returns no event touches h or its queue. */
void hostio_remove(struct hostio *h);

/* Delivers events; sleeps for them until `deadline` (0: not at all) unless *kicked. */
void hostio_wait(u64 deadline, const u32 *kicked);

/* Sleeps in the same way without listening. */
void hostio_nap(u64 deadline, const u32 *kicked);

/* Asks the host for events unless somebody did so a moment ago: for programs that poll without
   ever sleeping. No locks held. */
void hostio_look(void);

/* A transfer in direction `bit` (POLLIN or POLLOUT) is about to be tried. */
static inline void hostio_begin(struct hostio *h, u32 bit) {
  __atomic_and_fetch(&h->ready, ~bit, __ATOMIC_SEQ_CST);
}
/* A transfer would have blocked. An event of before a socket was connected may have come late, and
   says that it is hung up: if it seems so, asks the host. */
void hostio_verify(struct hostio *h);
/* It may succeed once more. */
static inline void hostio_more(struct hostio *h, u32 bit) {
  __atomic_or_fetch(&h->ready, bit, __ATOMIC_SEQ_CST);
}
/* What poll reports: an error or a hang-up is readable for ever. */
static inline u32 hostio_ready(const struct hostio *h) {
  u32 r = __atomic_load_n(&h->ready, __ATOMIC_SEQ_CST);
  if (r & (POLLRDHUP | POLLHUP | POLLERR))
    r |= POLLIN;
  if (r & (POLLHUP | POLLERR))
    r |= POLLOUT;
  return r;
}

#endif
