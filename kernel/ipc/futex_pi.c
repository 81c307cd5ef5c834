/* SPDX-License-Identifier: MIT */
/*
 * Futexes that know their owner (FUTEX_LOCK_PI and the like). The word is the owner's thread id, or
 * 0; FUTEX_WAITERS in it sends the owner's unlock to the kernel. All threads have one priority, so
 * there is none to inherit: what is left is that the kernel, not user code, hands the lock on.
 *
 * The word changes by compare-and-exchange alone. A thread sleeps only on a word that has
 * FUTEX_WAITERS; unlock clears the word and wakes one sleeper, who takes the lock with
 * FUTEX_WAITERS still set, as there may be others, or sets it again and sleeps.
 */
#include "kernel/ipc/futex.h"

#include "kernel/errno.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/sched/sched.h"

/* 0 if the owner that `old` names lives; -EAGAIN if it ended and the word changed meanwhile, as it
   does when a thread that ends lets go of its robust locks; -ESRCH if nobody will ever let go of
   it. */
static int owner_alive(u64 uaddr, u32 old) {
  u32 now;
  struct thread *t = thread_find((int)(old & FUTEX_TID_MASK));
  if (t) {
    thread_put(t);
    return 0;
  }
  int err = user_load32(uaddr, &now);
  return err ? err : now != old ? -EAGAIN : -ESRCH;
}

/* One look at the word: 0 taken, -EAGAIN it has changed, -EBUSY another owns it: *seen then has
   FUTEX_WAITERS and is what the word is (if `mark`), or -errno. `keep`: bits to take it with. */
static int take(u64 uaddr, u32 keep, bool mark, u32 *seen) {
  u32 old, tid = (u32)thread_current()->tid, next;
  int err = user_load32(uaddr, &old);
  if (err)
    return err;
  if ((old & FUTEX_TID_MASK) == tid)
    return -EDEADLK;
  bool free = (old & FUTEX_TID_MASK) == 0;
  if (!free && (err = owner_alive(uaddr, old)) != 0)
    return err;
  next = free ? tid | (old & (FUTEX_OWNER_DIED | FUTEX_WAITERS)) | keep : old | FUTEX_WAITERS;
  if (free || (mark && next != old)) {
    err = user_cmpxchg32(uaddr, old, next, seen);
    if (err || *seen != old)
      return err ? err : -EAGAIN;
  }
  *seen = next;
  return free ? 0 : -EBUSY;
}

i64 futex_lock_pi(u64 uaddr, bool private, u64 deadline) {
  u32 seen = 0, keep = 0;
  if (uaddr % 4)
    return -EINVAL;
  for (;;) {
    int err = take(uaddr, keep, true, &seen);
    if (err == -EAGAIN)
      continue;
    if (err != -EBUSY)
      return err;
    keep = FUTEX_WAITERS; /* from now on others may sleep behind this thread */
    i64 woken = futex_wait(uaddr, private, seen, deadline, FUTEX_BITSET_ANY);
    if (woken == -ERESTARTSYS)
      return -ERESTARTNOINTR; /* the deadline is absolute */
    if (woken < 0 && woken != -EAGAIN)
      return woken;
  }
}

i64 futex_trylock_pi(u64 uaddr) {
  u32 seen;
  int err;
  if (uaddr % 4)
    return -EINVAL;
  do
    err = take(uaddr, 0, false, &seen);
  while (err == -EAGAIN);
  return err == -EBUSY ? -EAGAIN : err;
}

i64 futex_unlock_pi(u64 uaddr, bool private) {
  u32 old, seen;
  if (uaddr % 4)
    return -EINVAL;
  int err = user_load32(uaddr, &old);
  for (; !err; old = seen) {
    if ((old & FUTEX_TID_MASK) != (u32)thread_current()->tid)
      return -EPERM;
    err = user_cmpxchg32(uaddr, old, 0, &seen);
    if (!err && seen == old)
      break;
  }
  if (err)
    return err;
  if (old & FUTEX_WAITERS)
    futex_wake(uaddr, private, 1, FUTEX_BITSET_ANY);
  return 0;
}
