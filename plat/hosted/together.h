/* SPDX-License-Identifier: MIT */
/*
 * Small sends that the host may put into one segment, as its own TCP does with small writes that
 * follow each other closely. Where one has always been followed by another (pairing.h), the host is
 * told with the first that more comes: it *holds* the bytes in its socket, in their place in the
 * stream, until the second. It is told to send them anyway (*pushed*) before the thread that sent
 * them does any other I/O of the host, when the vCPU turns from that thread to another or sleeps,
 * when a process asks without waiting for what others have sent, and, if the thread just computes,
 * at the next sample. Nothing but the cut into segments can be seen from outside.
 *
 * Per vCPU one socket at most is remembered: that of the running thread's last send.
 */
#ifndef UFORK_HOSTED_TOGETHER_H
#define UFORK_HOSTED_TOGETHER_H

#include "plat/hosted/cpu.h"
#include "plat/hosted/hostsockopt.h"
#include "plat/hosted/pairing.h"

#define TOGETHER_MAX 4096 /* bytes of a small send */

/* What is known of the connections that one listener has made: the next is like those before. */
struct kin {
  u32 refs;
  struct pairing sends;
};

/* A listening socket begins to learn for its connections; best effort. */
void together_listen(struct host_sock *h);
/* h was accepted from l. */
void together_accepted(struct host_sock *h, const struct host_sock *l);
/* h goes: after hostio_close, since until then a vCPU may still look at what it had sent; and what
   is held has been pushed before that. */
void together_release(struct host_sock *h);

/* A send on stream h begins. `small`: it may be the first of two; `more`: the guest says itself
   that more comes. Returns MSG_MORE if the host is to hold it, or 0. */
u32 together_begin(struct host_sock *h, bool small, bool more);
/* It is over; `held`: what together_begin said and the host was told. `whole`: the host has taken
   all of it, and the guest wants it sent. */
void together_done(struct host_sock *h, u32 held, bool whole);

/* The host sends what it holds of h for us. */
void together_push_slow(struct host_sock *h);
static inline void together_push(struct host_sock *h) {
  if (unlikely(__atomic_load_n(&h->held, __ATOMIC_SEQ_CST)))
    together_push_slow(h);
}
/* TCP_CORK for the guest, who may have it. As setsockopt. */
int together_cork(struct host_sock *h, const void *val, u32 len);

/* The running thread is about to do other I/O of the host. */
void together_end_slow(struct vcpu *v);
static inline void together_end(void) {
  struct vcpu *v = vcpu_self();
  if (v->sent.kind != SENT_NOTHING)
    together_end_slow(v);
}

/* This vCPU looks at what the host has to tell; `idle`: and is about to sleep. */
void together_poll_slow(struct vcpu *v, bool idle);
static inline void together_poll(struct vcpu *v, bool idle) {
  if (unlikely(v->sent.kind != SENT_NOTHING))
    together_poll_slow(v, idle);
}

/* Somebody asks what others have sent and will not wait: pushes what is held for any vCPU. Was
   there anything? */
bool together_push_all(void);

#endif
