/* SPDX-License-Identifier: MIT */
/*
 * Scheduling: a runqueue per CPU, round robin within it, idle CPUs steal. The kernel itself is
 * not preemptible; user code is, at ticks and kicks.
 *
 * Wake-ups queue the thread on the waker's CPU. A synchronous one (WAKE_SYNC: the waker is likely
 * to sleep soon, as in a pipe) puts it, if nothing else is queued there, in a place of its own that
 * no other CPU looks at, which is the direct hand-over: it needs no lock. A waker that does not
 * sleep after all loses it to the queue at the next tick.
 *
 * Where a thread runs: to wake another CPU, and to move what a thread uses into its cache, costs
 * more than to wait for a thread that will sleep in some microseconds. So an idle CPU is woken for
 * a queued thread, or takes it by itself, when the thread has waited for PATIENCE_NS; at once if it
 * was likely to wait long from the beginning, by how many are queued before it and how long threads
 * have run there lately, or because the running thread has computed for a while already. A CPU that
 * is never idle gives one away every RELIEF_NS whatever they wait. The CPU itself looks at its
 * queue when it wakes threads, switches, and at ticks; sched_watch looks (plat.h) while it
 * computes. So a thread waits for PATIENCE_NS + PLAT_WATCH_NS while another CPU is idle, and at
 * most for a tick instead of the latter if that went idle only in between.
 *
 * Lock order: object locks -> waitq lock -> thread->wake_lock -> runqueue lock. None is held across
 * schedule().
 */
#ifndef UFORK_KERNEL_SCHED_H
#define UFORK_KERNEL_SCHED_H

#include "kernel/thread.h"

#define WAKE_SYNC 1u

/* Internal results of an interrupted system call (never reach user code; see signal.h). */
#define ERESTARTSYS 512    /* restart if SA_RESTART or no handler runs, otherwise EINTR */
#define ERESTARTNOINTR 513 /* restart always */
#define ERESTARTNOHAND 514 /* restart only if no handler runs */
#define ERESTARTBLOCK                                                                              \
  516 /* restart with thread->restart_deadline kept, EINTR if a handler runs                       \
       */

void sched_init(void);

/* Queues the first thread of the instance on CPU 0, before any scheduler runs. */
void sched_boot(struct thread *t);
/* Becomes the idle thread of `cpu`, on a stack of the scheduler's. Never returns. */
_Noreturn void sched_run(unsigned cpu);

/* First thing a new thread's entry does: completes the switch that led to it. */
void sched_thread_begin(void);

/* Accounts and preempts the running thread if its slice is over (WORK_RESCHED); runs timers. */
void sched_tick(void);

/* CPU time of t until now, also while it runs. */
u64 sched_thread_time(const struct thread *t);

/* Threads switched to so far, on all CPUs. */
u64 sched_switches(void);

/* Makes t runnable if it sleeps (in `state` INTERRUPTIBLE or not). True if it did. Any context. */
bool sched_wake(struct thread *t, unsigned flags);
/* As sched_wake, but only from interruptible sleep (a signal), or from a job-control stop. */
bool sched_interrupt(struct thread *t);
bool sched_continue(struct thread *t);
/* Stores the running thread's state, ordered before its next look at the condition. */
static inline void sched_set_state(struct thread *me, enum thread_state s) {
  __atomic_store_n(&me->state, s, __ATOMIC_SEQ_CST);
}
/* Puts a new thread on the caller's runqueue. */
void sched_start(struct thread *t, unsigned flags);

/* Gives up the CPU. The caller has set its state and enqueued itself where it wants to be woken;
   with state RUNNABLE this is a yield. No locks held. */
void schedule(void);
void sched_yield_cpu(void);

/* The running thread ends: never returns; its reference is dropped on the next thread's time. */
_Noreturn void sched_exit(void);

/* The running thread stops here while WORK_PARK is set (implemented by proc/park.c). */
void proc_park_here(void);

/* True if a signal that is not blocked waits for the running thread (implemented by signal/). */
bool signal_pending_now(void);
static inline bool signal_pending(void) {
  return unlikely(__atomic_load_n(&thread_current()->work, __ATOMIC_SEQ_CST) & WORK_SIGNAL) &&
         signal_pending_now();
}

/* ---- wait queues --------------------------------------------------------------------- */

struct waitq {
  struct spin lock;
  struct list waiters;
};

#define WAITQ_INIT(name)                                                                           \
  { SPIN_INIT, LIST_INIT((name).waiters) }

/* An entry on the sleeper's kernel stack. `func` (NULL: wake the thread) runs with the queue's lock
   held, gets the events of the wake-up, returns true if it consumed an exclusive wake-up. */
struct waiter {
  struct list node;
  struct thread *thread;
  bool (*func)(struct waiter *w, u32 events);
  bool exclusive;
  bool leaves;     /* a wake-up unlinks it; only where the waker keeps the queue alive */
  struct waitq *q; /* NULL: not linked */
};

void waitq_init(struct waitq *q);
/* Adds w and sets the running thread's state (THREAD_SLEEPING or _UNINTERRUPTIBLE), so that a
   wake-up between here and schedule() is not lost. May be repeated in a loop. */
void waitq_prepare(struct waitq *q, struct waiter *w, enum thread_state state);
/* As waitq_prepare for a w that is not linked, but ordered only by the next full barrier (a mutex's
   unlock) before the caller's next look at the condition. */
void waitq_prepare_unordered(struct waitq *q, struct waiter *w, enum thread_state state);
/* Removes w, state RUNNABLE. */
void waitq_finish(struct waiter *w);
/* Adds or removes a waiter with a func without touching the thread's state (poll, epoll). */
void waitq_add(struct waitq *q, struct waiter *w);
void waitq_remove(struct waiter *w);

/* Wakes all non-exclusive and up to n exclusive waiters (n <= 0: all). events: POLL* bits or 0. */
void waitq_wake(struct waitq *q, int n, u32 events, unsigned flags);
bool waitq_has_waiters(struct waitq *q);
/* As waitq_wake, where a full barrier of the caller's (a mutex's unlock) already orders what it
   made true before the look at the queue. */
void waitq_wake_locking(struct waitq *q, int n, u32 events, unsigned flags);
static inline void waitq_wake_unordered(struct waitq *q, int n, u32 events, unsigned flags) {
  if (unlikely(!list_seems_empty(&q->waiters)))
    waitq_wake_locking(q, n, events, flags);
}

/* Sleeps in `state` set by waitq_prepare until woken or `deadline` (absolute; UINT64_MAX: never).
   Returns 0 or -ETIMEDOUT. Signals wake a THREAD_SLEEPING thread: check signal_pending(). */
int schedule_until(u64 deadline);

/*
 * Sleeps until cond is true. Value: 0, -ERESTARTSYS (a signal came) or -ETIMEDOUT.
 * cond is evaluated without locks; re-check under your lock afterwards.
 */
#define waitq_wait_until(q, cond, deadline)                                                        \
  ({                                                                                               \
    int wait_ret_ = 0;                                                                             \
    struct waiter waiter_ = {.thread = NULL};                                                      \
    for (;;) {                                                                                     \
      waitq_prepare((q), &waiter_, THREAD_SLEEPING);                                               \
      if (cond) {                                                                                  \
        wait_ret_ = 0;                                                                             \
        break;                                                                                     \
      }                                                                                            \
      if (wait_ret_ != 0)                                                                          \
        break;                                                                                     \
      if (signal_pending()) {                                                                      \
        wait_ret_ = -ERESTARTSYS;                                                                  \
        break;                                                                                     \
      }                                                                                            \
      wait_ret_ = schedule_until(deadline);                                                        \
      if (cond) { /* usually so: spares another round */                                           \
        wait_ret_ = 0;                                                                             \
        break;                                                                                     \
      }                                                                                            \
    }                                                                                              \
    waitq_finish(&waiter_);                                                                        \
    wait_ret_;                                                                                     \
  })
#define waitq_wait(q, cond) waitq_wait_until((q), (cond), UINT64_MAX)

/* ---- sleeping mutex ------------------------------------------------------------------ */

/* For sections that may sleep or touch user memory. Not recursive; not interruptible. Who finds it
   held looks again for a few microseconds before it sleeps. */
struct mutex {
  u32 state; /* MUTEX_* */
  struct waitq q;
#ifdef LOCK_CHECK
  u32 class; /* 0: not yet known */
#endif
};
enum { MUTEX_FREE, MUTEX_HELD, MUTEX_CONTENDED };

void mutex_init(struct mutex *m);
KEEPS_REGISTERS void mutex_lock_slow(struct mutex *m);
KEEPS_REGISTERS void mutex_unlock_slow(struct mutex *m);

static inline bool mutex_trylock_raw(struct mutex *m) {
  u32 expected = MUTEX_FREE;
  return __atomic_compare_exchange_n(&m->state, &expected, MUTEX_HELD, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

static inline void mutex_lock_raw(struct mutex *m) {
  if (unlikely(!mutex_trylock_raw(m)))
    CALL_KEEPING(mutex_lock_slow, m);
}

static inline void mutex_unlock_raw(struct mutex *m) {
  if (unlikely(__atomic_exchange_n(&m->state, MUTEX_FREE, __ATOMIC_SEQ_CST) == MUTEX_CONTENDED))
    CALL_KEEPING(mutex_unlock_slow, m);
}

#ifndef LOCK_CHECK

static inline bool mutex_trylock(struct mutex *m) { return mutex_trylock_raw(m); }
static inline void mutex_lock(struct mutex *m) { mutex_lock_raw(m); }
/* A full barrier. */
static inline void mutex_unlock(struct mutex *m) { mutex_unlock_raw(m); }

#else

static inline bool mutex_trylock_at(struct mutex *m, const struct lock_site *site) {
  if (!mutex_trylock_raw(m))
    return false;
  lock_check_take(m, &m->class, true, true, site);
  return true;
}

static inline void mutex_lock_at(struct mutex *m, const struct lock_site *site) {
  lock_check_take(m, &m->class, true, false, site);
  mutex_lock_raw(m);
}

static inline void mutex_unlock(struct mutex *m) {
  lock_check_drop(m);
  mutex_unlock_raw(m);
}

#define mutex_trylock(m) mutex_trylock_at((m), LOCK_SITE(m))
#define mutex_lock(m) mutex_lock_at((m), LOCK_SITE(m))

#endif

#endif
