/* SPDX-License-Identifier: MIT */
#include "kernel/ipc/futex.h"

#include "kernel/mm/space.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/clock.h"
#include "lib/string.h"

enum {
  FUTEX_WAIT = 0,
  FUTEX_WAKE = 1,
  FUTEX_REQUEUE = 3,
  FUTEX_CMP_REQUEUE = 4,
  FUTEX_WAKE_OP = 5,
  FUTEX_LOCK_PI = 6,
  FUTEX_UNLOCK_PI = 7,
  FUTEX_TRYLOCK_PI = 8,
  FUTEX_WAIT_BITSET = 9,
  FUTEX_WAKE_BITSET = 10,
  FUTEX_LOCK_PI2 = 13,
};
#define FUTEX_CMD_MASK 0x7f
#define FUTEX_PRIVATE 0x80
#define FUTEX_CLOCK_REALTIME 0x100

#define BUCKETS 1024

struct futex_key {
  const void *owner; /* space or memory object */
  u64 at;
};

struct futex_waiter {
  struct list node; /* in its bucket; empty: woken */
  struct futex_key key;
  struct thread *thread;
  struct bucket *bucket; /* changes by requeue, under both locks */
  u32 bitset;
};

static struct bucket {
  struct spin lock;
  struct list waiters; /* in order of arrival; lazily initialised under the lock */
} buckets[BUCKETS];

/* ---- keys and buckets ------------------------------------------------------------------ */

static bool key_equal(const struct futex_key *a, const struct futex_key *b) {
  return a->owner == b->owner && a->at == b->at;
}

static struct bucket *bucket_of(const struct futex_key *k) {
  u64 h = ((u64)(uintptr_t)k->owner >> 6) * 0x9e3779b97f4a7c15 ^ (k->at >> 2) * 0xc2b2ae3d27d4eb4f;
  return &buckets[(h >> 32) % BUCKETS];
}

static void bucket_lock(struct bucket *b) {
  spin_lock(&b->lock);
  if (unlikely(!b->waiters.next))
    list_init(&b->waiters);
}

static void bucket_lock_two(struct bucket *a, struct bucket *b) {
  if (a == b) {
    bucket_lock(a);
  } else {
    bucket_lock(a < b ? a : b);
    bucket_lock(a < b ? b : a);
  }
}

static void bucket_unlock_two(struct bucket *a, struct bucket *b) {
  spin_unlock(&a->lock);
  if (a != b)
    spin_unlock(&b->lock);
}

/* The key of user address uaddr. A private futex never looks at mappings. */
static int futex_key(u64 uaddr, bool private, struct futex_key *k) {
  struct space *s = proc_current()->space;
  if (uaddr % 4)
    return -EINVAL;
  if (!user_range(uaddr, 4))
    return -EFAULT;
  *k = (struct futex_key){s, uaddr};
  if (!private)
    space_shared_key(s, (u32)uaddr, &k->owner, &k->at);
  return 0;
}

/* ---- waking ---------------------------------------------------------------------------- */

/* Wakes up to n waiters of k whose bitset meets `bits`. Its bucket is locked. */
static int wake_locked(struct bucket *b, const struct futex_key *k, int n, u32 bits) {
  struct futex_waiter *w, *tmp;
  int woken = 0;
  list_for_each_safe(w, tmp, &b->waiters, node) {
    if (woken >= n)
      break;
    if (!key_equal(&w->key, k) || !(w->bitset & bits))
      continue;
    struct thread *t = w->thread;
    thread_get(t); /* w, and t with it, may be gone as soon as t sees that it was woken */
    list_remove(&w->node);
    __atomic_store_n(&w->bucket, NULL, __ATOMIC_RELEASE);
    sched_wake(t, 0);
    thread_put(t);
    woken++;
  }
  return woken;
}

i64 futex_wake(u64 uaddr, bool private, int n, u32 bits) {
  struct futex_key k;
  if (bits == 0)
    return -EINVAL;
  int err = futex_key(uaddr, private, &k);
  if (err)
    return err;
  struct bucket *b = bucket_of(&k);
  bucket_lock(b);
  int woken = wake_locked(b, &k, n > 0 ? n : 1, bits);
  spin_unlock(&b->lock);
  return woken;
}

void futex_wake_user(u64 uaddr, int n) {
  i64 private = futex_wake(uaddr, true, n, FUTEX_BITSET_ANY);
  if (private >= 0 && private < n)
    futex_wake(uaddr, false, n - (int)private, FUTEX_BITSET_ANY);
}

/* ---- waiting --------------------------------------------------------------------------- */

/* Takes w out of whatever bucket it is in now; false if it had been woken. */
static bool waiter_unqueue(struct futex_waiter *w) {
  for (;;) {
    struct bucket *b = __atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE);
    if (!b)
      return false;
    spin_lock(&b->lock);
    bool still = w->bucket == b;
    if (still)
      list_remove(&w->node);
    spin_unlock(&b->lock);
    if (still)
      return true;
  }
}

i64 futex_wait(u64 uaddr, bool private, u32 expected, u64 deadline, u32 bits) {
  struct futex_waiter w = {.thread = thread_current(), .bitset = bits};
  if (bits == 0)
    return -EINVAL;
  int err = futex_key(uaddr, private, &w.key);
  if (err)
    return err;
  struct bucket *b = bucket_of(&w.key);
  /* Queue first, then look at the word: a waker changes the word before it looks at the queue. */
  bucket_lock(b);
  w.bucket = b;
  list_push_back(&b->waiters, &w.node);
  spin_unlock(&b->lock);
  u32 seen = expected;
  err = user_load32(uaddr, &seen);
  if (err || seen != expected) {
    if (!waiter_unqueue(&w))
      return 0; /* somebody counts this one as woken */
    return err ? err : -EAGAIN;
  }
  err = 0;
  for (;;) {
    sched_set_state(w.thread, THREAD_SLEEPING);
    if (!__atomic_load_n(&w.bucket, __ATOMIC_ACQUIRE) || err)
      break;
    if (signal_pending()) {
      err = -ERESTARTSYS;
      break;
    }
    err = schedule_until(deadline);
  }
  sched_set_state(w.thread, THREAD_RUNNABLE);
  return waiter_unqueue(&w) ? err : 0;
}

/* ---- requeue and wake_op --------------------------------------------------------------- */

static i64 futex_requeue(u64 from, u64 to, bool private, int nwake, int nmove,
                         const u32 *expected) {
  struct futex_key k1, k2;
  int err = futex_key(from, private, &k1);
  if (!err)
    err = futex_key(to, private, &k2);
  if (err)
    return err;
  if (nwake < 0 || nmove < 0)
    return -EINVAL;
  if (expected) {
    u32 seen;
    if (user_load32(from, &seen))
      return -EFAULT;
    if (seen != *expected)
      return -EAGAIN;
  }
  struct bucket *b1 = bucket_of(&k1), *b2 = bucket_of(&k2);
  bucket_lock_two(b1, b2);
  int done = wake_locked(b1, &k1, nwake, FUTEX_BITSET_ANY), moved = 0;
  struct futex_waiter *w, *tmp;
  list_for_each_safe(w, tmp, &b1->waiters, node) {
    if (moved >= nmove)
      break;
    if (!key_equal(&w->key, &k1) || key_equal(&k1, &k2))
      continue;
    list_remove(&w->node);
    list_push_back(&b2->waiters, &w->node);
    w->key = k2;
    __atomic_store_n(&w->bucket, b2, __ATOMIC_RELEASE);
    moved++;
  }
  bucket_unlock_two(b1, b2);
  return done + moved;
}

static bool op_apply(u32 op, u32 old, u32 arg, u32 *new_) {
  switch (op & 7) {
  case 0:
    *new_ = arg;
    return true;
  case 1:
    *new_ = old + arg;
    return true;
  case 2:
    *new_ = old | arg;
    return true;
  case 3:
    *new_ = old & ~arg;
    return true;
  case 4:
    *new_ = old ^ arg;
    return true;
  }
  return false;
}

static bool op_compare(u32 cmp, i32 old, i32 arg) {
  switch (cmp) {
  case 0:
    return old == arg;
  case 1:
    return old != arg;
  case 2:
    return old < arg;
  case 3:
    return old <= arg;
  case 4:
    return old > arg;
  default:
    return old >= arg;
  }
}

static i64 futex_wake_op(u64 u1, u64 u2, bool private, int n1, int n2, u32 code) {
  u32 op = code >> 28, cmp = code >> 24 & 15;
  i32 arg = (i32)(code << 8) >> 20, cmparg = (i32)(code << 20) >> 20;
  u32 old, seen, next;
  if (cmp > 5)
    return -ENOSYS;
  if (op & 8)
    arg = (i32)(1u << (arg & 31));
  struct futex_key k1, k2;
  int err = futex_key(u1, private, &k1);
  if (!err)
    err = futex_key(u2, private, &k2);
  if (!err)
    err = user_load32(u2, &old);
  if (err)
    return err;
  for (;; old = seen) {
    if (!op_apply(op, old, (u32)arg, &next))
      return -ENOSYS;
    if (user_cmpxchg32(u2, old, next, &seen))
      return -EFAULT;
    if (seen == old)
      break;
  }
  struct bucket *b1 = bucket_of(&k1), *b2 = bucket_of(&k2);
  bucket_lock_two(b1, b2);
  int woken = wake_locked(b1, &k1, n1, FUTEX_BITSET_ANY);
  if (op_compare(cmp, (i32)old, cmparg))
    woken += wake_locked(b2, &k2, n2, FUTEX_BITSET_ANY);
  bucket_unlock_two(b1, b2);
  return woken;
}

/* ---- system calls ---------------------------------------------------------------------- */

static int wait_deadline(u64 uaddr, u32 op, bool absolute, u64 *deadline) {
  u64 ns;
  *deadline = UINT64_MAX;
  if (uaddr == 0)
    return 0;
  int err = timespec_from_user(uaddr, &ns);
  int clock = op & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;
  if (!err)
    *deadline = clock_deadline(clock, ns, absolute);
  return err;
}

i64 sys_futex(struct uregs *r) {
  u32 op = (u32)r->rsi, val = (u32)r->rdx, val3 = (u32)r->r9;
  bool private = op & FUTEX_PRIVATE;
  u64 deadline;
  int err;
  u32 cmd = op & FUTEX_CMD_MASK;
  if ((op & FUTEX_CLOCK_REALTIME) && cmd != FUTEX_WAIT_BITSET && cmd != FUTEX_LOCK_PI2)
    return -ENOSYS;
  switch (cmd) {
  case FUTEX_WAIT:
  case FUTEX_WAIT_BITSET: {
    bool bitset = cmd == FUTEX_WAIT_BITSET;
    err = wait_deadline(r->r10, op, bitset, &deadline);
    if (err)
      return err;
    i64 ret = futex_wait(r->rdi, private, val, deadline, bitset ? val3 : FUTEX_BITSET_ANY);
    /* A relative time-out must not start again from the beginning. */
    return ret == -ERESTARTSYS && r->r10 && !bitset ? -EINTR : ret;
  }
  case FUTEX_WAKE:
    return futex_wake(r->rdi, private, (int)val, FUTEX_BITSET_ANY);
  case FUTEX_WAKE_BITSET:
    return futex_wake(r->rdi, private, (int)val, val3);
  case FUTEX_REQUEUE:
    return futex_requeue(r->rdi, r->r8, private, (int)val, (int)r->r10, NULL);
  case FUTEX_CMP_REQUEUE:
    return futex_requeue(r->rdi, r->r8, private, (int)val, (int)r->r10, &val3);
  case FUTEX_WAKE_OP:
    return futex_wake_op(r->rdi, r->r8, private, (int)val, (int)r->r10, val3);
  case FUTEX_LOCK_PI:
  case FUTEX_LOCK_PI2:
    err = wait_deadline(r->r10, cmd == FUTEX_LOCK_PI ? FUTEX_CLOCK_REALTIME : op, true, &deadline);
    return err ? err : futex_lock_pi(r->rdi, private, deadline);
  case FUTEX_TRYLOCK_PI:
    return futex_trylock_pi(r->rdi);
  case FUTEX_UNLOCK_PI:
    return futex_unlock_pi(r->rdi, private);
  }
  return -ENOSYS;
}

/* ---- robust lists ---------------------------------------------------------------------- */

#define ROBUST_LIST_LIMIT 2048

/* `pending`: it may have been let go already, and the sleeper it was to wake not woken. */
static void robust_release(u64 uaddr, u32 tid, bool pending) {
  u32 old, seen;
  if (uaddr % 4 || user_load32(uaddr, &old))
    return;
  for (;; old = seen) {
    if (old == 0 && pending)
      futex_wake_user(uaddr, 1);
    if ((old & FUTEX_TID_MASK) != tid)
      return;
    if (user_cmpxchg32(uaddr, old, (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &seen))
      return;
    if (seen == old)
      break;
  }
  if (old & FUTEX_WAITERS)
    futex_wake_user(uaddr, 1);
}

void futex_exit_robust(struct thread *t) {
  struct {
    u64 next, offset, pending;
  } head;
  u64 at = t->robust_list;
  if (!at || copy_from_user(&head, at, sizeof head))
    return;
  u64 entry = head.next;
  for (int i = 0; i < ROBUST_LIST_LIMIT && entry != at; i++) {
    u64 next;
    u64 here = entry & ~1UL; /* bit 0 marks PI futexes */
    bool last = copy_from_user(&next, here, sizeof next) != 0;
    if (here != (head.pending & ~1UL))
      robust_release(here + head.offset, (u32)t->tid, false);
    if (last)
      break;
    entry = next;
  }
  if (head.pending)
    robust_release((head.pending & ~1UL) + head.offset, (u32)t->tid, true);
}
