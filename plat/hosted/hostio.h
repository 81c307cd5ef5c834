/* SPDX-License-Identifier: MIT */
/*
 * Readiness of host descriptors. Each vCPU has a host epoll instance of its own, in which it sleeps
 * when it is idle; every descriptor is registered in one of them, edge-triggered, for input and
 * output. That is its home: the vCPU where it was made, or where those who use it have come to run
 * (hostio_used), so that an event wakes the vCPU that will deal with it and no other. A vCPU that
 * has no time to look at its events is helped by the others.
 *
 * `ready` caches what the host has told: whoever is about to read or write clears the bit first
 * (hostio_begin) and sets it again if there may be more (hostio_more), so that no event is lost and
 * the hot path needs no call to ask.
 */
#ifndef UFORK_HOSTED_HOSTIO_H
#define UFORK_HOSTED_HOSTIO_H

#include "kernel/fs/file.h"
#include "plat/hosted/linux.h"

#define HOSTIO_PERHAPS (1u << 31)

struct hostio {
  int fd;
  u32 ready; /* POLL* bits; HOSTIO_PERHAPS: perhaps POLLIN as well; atomic */
  struct waitq *q;
  u32 slot, generation;
  u32 home;   /* a vCPU; atomic, changed under the slot's lock */
  u32 strays; /* uses in a row elsewhere; a hint */
};

/* Registers fd; events set h->ready and wake q (one of those that wait exclusively, of a listening
   socket; whoever takes one connection of several makes sure that another is woken). 0, -EPERM
   (always ready: a regular file), -ENOMEM. The caller keeps the fd open, and no other descriptor of
   the same, until hostio_close. */
int hostio_add(struct hostio *h, int fd, struct waitq *q);
/* Closes the fd. After it returns no event touches h or its queue. */
void hostio_close(struct hostio *h);

/* Names h for as long as it lives, and nothing after that; never 0. */
static inline u64 hostio_id(const struct hostio *h) { return (u64)h->slot << 32 | h->generation; }
/* What has this name, locked so that it stays (the spinlock `hostio slot`); NULL: it has gone. */
struct hostio *hostio_lock(u64 id);
void hostio_unlock(struct hostio *h);

/* A thread that runs here uses h: after `patience` uses in a row away from its home, that follows.
   What several threads use at once wants more patience. */
void hostio_used(struct hostio *h, u32 patience);

/* Delivers events of this vCPU's; sleeps for them until `deadline` (0: not at all) unless *kicked.
   Looks around once for vCPUs too busy to do that themselves, if it has slept for nothing. */
void hostio_wait(u64 deadline, const u32 *kicked);

/* Asks the host for events unless this vCPU did so a moment ago: for programs that poll without
   ever sleeping. No locks held. */
void hostio_look(void);

/* Are there descriptors whose home this vCPU is? Any context, also a host signal's. */
bool hostio_has_members(u32 vcpu);

/* A transfer in direction `bit` (POLLIN or POLLOUT) is about to be tried. */
static inline void hostio_begin(struct hostio *h, u32 bit) {
  __atomic_and_fetch(&h->ready, ~(bit & POLLIN ? bit | HOSTIO_PERHAPS : bit), __ATOMIC_SEQ_CST);
}
/* It may succeed once more; the host has not been asked. */
static inline void hostio_more(struct hostio *h, u32 bit) {
  __atomic_or_fetch(&h->ready, bit == POLLIN ? HOSTIO_PERHAPS : bit, __ATOMIC_SEQ_CST);
}
/* Asks the host whether it really would, where hostio_more has left that open: who was told that a
   socket is readable may then block in reading it. */
void hostio_make_sure(struct hostio *h);
/* A transfer would have blocked, or poll finds a hang-up: an event of before a socket was connected
   may have come late, and says that it is hung up. If it seems so, asks the host. */
void hostio_verify(struct hostio *h);
/* What to try, and after hostio_make_sure what to report: an error or a hang-up is readable for
   ever. */
static inline u32 hostio_ready(const struct hostio *h) {
  u32 r = __atomic_load_n(&h->ready, __ATOMIC_SEQ_CST);
  if (r & HOSTIO_PERHAPS)
    r = (r & ~HOSTIO_PERHAPS) | POLLIN;
  if (r & (POLLRDHUP | POLLHUP | POLLERR))
    r |= POLLIN;
  if (r & (POLLHUP | POLLERR))
    r |= POLLOUT;
  return r;
}

#endif
