/* SPDX-License-Identifier: MIT */
/*
 * What is held is known by the socket (`held`, for whoever pushes first) and by the vCPU (`sent`),
 * which names the socket by its hostio_id: it may be gone before the vCPU looks again. The host's
 * TCP_CORK is cleared to push; whether the guest has set it is told apart under the socket's slot
 * lock.
 */
#include "plat/hosted/together.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/thread.h"
#include "lib/string.h"
#include "plat/hosted/hostio.h"

static struct pairing *pairing_of(struct host_sock *h) {
  struct kin *k = __atomic_load_n(&h->kin, __ATOMIC_ACQUIRE);
  return k ? &k->sends : &h->sends;
}

static struct host_sock *sock_of(struct hostio *io) {
  return container_of(io, struct host_sock, io);
}

/* ---- what connections have in common --------------------------------------------------------- */

void together_listen(struct host_sock *h) {
  struct kin *none = NULL, *k = h->kin ? NULL : kzalloc(sizeof(*k));
  if (!k)
    return;
  k->refs = 1;
  if (!__atomic_compare_exchange_n(&h->kin, &none, k, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
    kfree(k);
}

void together_accepted(struct host_sock *h, const struct host_sock *l) {
  h->kin = __atomic_load_n(&l->kin, __ATOMIC_ACQUIRE);
  if (h->kin)
    __atomic_fetch_add(&h->kin->refs, 1, __ATOMIC_RELAXED);
  h->corked = __atomic_load_n(&l->corked, __ATOMIC_RELAXED); /* the host's does the same */
}

void together_release(struct host_sock *h) {
  if (h->kin && __atomic_sub_fetch(&h->kin->refs, 1, __ATOMIC_ACQ_REL) == 0)
    kfree(h->kin);
}

/* ---- pushing --------------------------------------------------------------------------------- */

/* Slot lock held. Returns whether there was something. */
static bool push_locked(struct host_sock *h) {
  static const int off = 0;
  bool held = __atomic_exchange_n(&h->held, 0, __ATOMIC_SEQ_CST);
  if (held && !h->corked)
    lx5(setsockopt, h->io.fd, HOST_IPPROTO_TCP, HOST_TCP_CORK, &off, sizeof(off));
  return held;
}

/* Pushes what a send of this id has left with the host, if it has. */
static bool push_id(u64 id) {
  struct hostio *io = hostio_lock(id);
  if (!io)
    return false;
  bool held = push_locked(sock_of(io));
  hostio_unlock(io);
  return held;
}

void together_push_slow(struct host_sock *h) { push_id(hostio_id(&h->io)); }

bool together_push_all(void) {
  bool any = false;
  for (unsigned i = 0; i < vcpu_count; i++) {
    const struct sent *s = &vcpus[i].sent;
    if (unlikely(__atomic_load_n(&s->kind, __ATOMIC_SEQ_CST) == SENT_HELD))
      any |= push_id(__atomic_load_n(&s->id, __ATOMIC_RELAXED));
  }
  return any;
}

int together_cork(struct host_sock *h, const void *val, u32 len) {
  int on = 0;
  struct hostio *io = hostio_lock(hostio_id(&h->io));
  push_locked(h);
  int err = (int)lx5(setsockopt, h->io.fd, HOST_IPPROTO_TCP, HOST_TCP_CORK, val, len);
  if (err == 0) {
    memcpy(&on, val, sizeof(on)); /* so much the host has read as well */
    __atomic_store_n(&h->corked, on != 0, __ATOMIC_RELAXED);
  }
  hostio_unlock(io);
  return err;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void set_sent(struct vcpu *v, enum sent_kind kind) {
  if (kind == SENT_HELD || v->sent.kind == SENT_HELD)
    kernel_poll_soon(kind == SENT_HELD);
  __atomic_store_n(&v->sent.kind, kind, __ATOMIC_RELAXED);
}

static bool is_ours(const struct vcpu *v, u64 id) {
  return v->sent.kind != SENT_NOTHING && v->sent.id == id && v->sent.thread == thread_current();
}

u32 together_begin(struct host_sock *h, bool small, bool more) {
  struct vcpu *v = vcpu_self();
  u64 id = hostio_id(&h->io);
  struct pairing *p = pairing_of(h);
  if (is_ours(v, id)) {
    if (v->sent.kind != SENT_LATER)
      pairing_followed(p);
    set_sent(v, SENT_LATER);
    if (more) /* the guest wants this held, not that */
      together_push(h);
    return 0;
  }
  together_end();
  together_push(h); /* a thread on another vCPU has sent that */
  bool first = small && !more && !__atomic_load_n(&h->corked, __ATOMIC_RELAXED);
  v->sent.id = id;
  v->sent.thread = thread_current();
  set_sent(v, !first ? SENT_LATER : pairing_run(p) ? SENT_TRIED : SENT_FIRST);
  return first && pairing_expected(p) ? HOST_MSG_MORE : 0;
}

/* The second has taken with it what was held here; what another vCPU has put behind it meanwhile is
   that one's business. */
static void taken_along(struct host_sock *h, u32 here) {
  if (__atomic_load_n(&h->held, __ATOMIC_SEQ_CST) == here)
    __atomic_compare_exchange_n(&h->held, &here, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void together_done(struct host_sock *h, u32 held, bool whole) {
  struct vcpu *v = vcpu_self(); /* the thread may have slept */
  if (held)
    __atomic_store_n(&h->held, v->id + 1, __ATOMIC_SEQ_CST);
  if (!whole || (held && !is_ours(v, hostio_id(&h->io))))
    together_push(h);
  else if (held)
    set_sent(v, SENT_HELD);
  else
    taken_along(h, v->id + 1);
}

/* ---- what comes in between ------------------------------------------------------------------- */

/* The last send of v was not followed by another. */
static void alone(struct vcpu *v) {
  enum sent_kind kind = v->sent.kind;
  set_sent(v, SENT_NOTHING);
  if (kind < SENT_TRIED)
    return;
  struct hostio *io = hostio_lock(v->sent.id);
  if (!io)
    return;
  push_locked(sock_of(io));
  pairing_alone(pairing_of(sock_of(io)), kind == SENT_HELD);
  hostio_unlock(io);
}

void together_end_slow(struct vcpu *v) {
  if (v->sent.thread == thread_current() || v->sent.kind == SENT_HELD)
    alone(v);
  else /* that thread may yet do what it always does */
    set_sent(v, SENT_NOTHING);
}

/* A thread that is merely interrupted has not shown what it does next. */
void together_poll_slow(struct vcpu *v, bool idle) {
  const struct thread *t = thread_current();
  bool its_own = t == v->sent.thread;
  if (idle || (its_own && __atomic_load_n(&t->state, __ATOMIC_RELAXED) != THREAD_RUNNABLE))
    alone(v);
  else if (!its_own)
    together_end_slow(v);
  else if (v->sent.kind == SENT_HELD) {
    push_id(v->sent.id);
    set_sent(v, SENT_TRIED);
  }
}
