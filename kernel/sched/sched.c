/* SPDX-License-Identifier: MIT */
/*
 * Runqueues, switching, idling. A thread is in exactly one of three places: queued on one
 * CPU, running (on_cpu), or asleep. It is queued by the waker if its stack is free, otherwise by
 * the CPU that is just switching away from it (finish_switch), so nobody ever waits for a stack. A
 * CPU queues on its own queue only; idle CPUs take from the others.
 */
#include "kernel/sched/sched.h"
#include "kernel/kassert.h"
#include "kernel/mm/image.h"
#include "kernel/sched/lock_check.h"
#include "kernel/time/timer.h"
#include "lib/string.h"

#define SLICE_NS (PLAT_TICK_NS / 2) /* a tick later than this into a run ends the slice */
#define POLL_NS 100000              /* a busy CPU looks for I/O at least this often */
#define FRUITLESS_MAX 4             /* wake-ups by I/O that made no thread run, until a nap */
#define NAP_NS 500000

/* When a queued thread becomes another CPU's business (sched.h). */
#define PATIENCE_NS 200000 /* after this wait, or at once if it is likely to wait longer */
#define RELIEF_NS 10000000 /* one in this time at least, if its CPU is never idle */
#define BURST_SHIFT 20     /* 1 ms: the time in which a CPU forgets how long its threads ran */
#define RIPE 0             /* a time: at once */

#define STATE_BIT(s) (1u << (s))
#define ASLEEP (STATE_BIT(THREAD_SLEEPING) | STATE_BIT(THREAD_UNINTERRUPTIBLE))

struct cpu {
  struct spin lock; /* rq, nqueued, ripe_at */
  struct list rq;
  u32 nqueued; /* read without the lock as a hint */
  bool ticking;
  u64 ripe_at; /* while nqueued: from then on others may take one; read without the lock as a hint
                */
  struct thread *handoff; /* woken synchronously: runs before the queue. This CPU's; atomic */
  struct thread *idle;
  struct thread *prev; /* being switched away from */
  i64 burst;           /* how long a thread runs here before the next one does, in the mean */
  u64 polled;          /* when I/O was last looked for; 0: the platform has asked for it soon */
  u64 polled_before;   /* ... and this is when, in case it does not mind any more */
  u64 relieved;        /* when it was last idle, or has given a thread away for not having been */
  u32 fruitless;       /* idle: events in a row that were nobody's here */
  u64 switches;        /* atomic */
  u64 watched;         /* what it was when sched_watch looked last */
  struct thread *boot; /* the platform's own stack, left for good by the first switch */
} __attribute__((aligned(64)));

static struct cpu cpus[MAX_CPUS];
static u64 idle_mask; /* CPUs that sleep, or are about to after one more look at the queues */

static inline struct cpu *this_cpu(void) { return &cpus[thread_current()->cpu]; }

static inline enum thread_state state_of(const struct thread *t) {
  return __atomic_load_n(&t->state, __ATOMIC_SEQ_CST);
}

void sched_init(void) {
  for (unsigned i = 0; i < MAX_CPUS; i++)
    list_init(&cpus[i].rq);
}

/* ---- queues -------------------------------------------------------------------------- */

/* Without the lock; another CPU may be taking one away. */
static inline u32 nqueued(const struct cpu *c) {
  return __atomic_load_n(&c->nqueued, __ATOMIC_RELAXED);
}

static inline u32 work_of(const struct thread *t) {
  return __atomic_load_n(&t->work, __ATOMIC_RELAXED);
}

/* May another CPU take a thread from this one's queue? Ordered as the look at the queue itself. */
static bool ripe(const struct cpu *c, u64 now) {
  if (__atomic_load_n(&c->nqueued, __ATOMIC_SEQ_CST) == 0)
    return false;
  u64 at = __atomic_load_n(&c->ripe_at, __ATOMIC_SEQ_CST);
  return at == RIPE || now >= at;
}

static void set_ripe_at(struct cpu *c, u64 at) {
  __atomic_store_n(&c->ripe_at, at, __ATOMIC_RELAXED);
}

static void push_locked(struct cpu *c, struct thread *t, u64 ripe_at) {
  list_push_back(&c->rq, &t->run_node);
  t->ripe_at = ripe_at;
  if (c->nqueued == 0 || ripe_at < c->ripe_at)
    set_ripe_at(c, ripe_at);
  __atomic_store_n(&c->nqueued, c->nqueued + 1, __ATOMIC_RELEASE);
}

static inline struct thread *handoff_of(const struct cpu *c) {
  return __atomic_load_n(&c->handoff, __ATOMIC_RELAXED);
}

static inline void set_handoff(struct cpu *c, struct thread *t) {
  __atomic_store_n(&c->handoff, t, __ATOMIC_RELAXED);
}

/* From when on others may take a thread that is queued here now. */
static u64 ripe_time(const struct cpu *c, u64 now) {
  const struct thread *me = thread_current();
  bool computes = me != c->idle && now > me->run_since + PATIENCE_NS;
  u64 wait = (u64)c->burst * (nqueued(c) + 1);
  return computes || wait > PATIENCE_NS ? RIPE : now + PATIENCE_NS;
}

/* Queues a thread in hand-over where all CPUs see it; it is older than whatever comes next. */
static void rq_settle(struct cpu *c, u64 now) {
  struct thread *t = c->handoff;
  if (likely(!t))
    return;
  set_handoff(c, NULL);
  spin_lock(&c->lock);
  push_locked(c, t, ripe_time(c, now));
  spin_unlock(&c->lock);
}

static void rq_push(struct cpu *c, struct thread *t, u64 now) {
  rq_settle(c, now);
  spin_lock(&c->lock);
  push_locked(c, t, ripe_time(c, now));
  spin_unlock(&c->lock);
}

/* Queues a thread just woken here. */
static void rq_add(struct cpu *c, struct thread *t, unsigned flags, u64 now) {
  if ((flags & WAKE_SYNC) && !c->handoff && nqueued(c) == 0 && thread_current() != c->idle)
    set_handoff(c, t);
  else
    rq_push(c, t, now);
}

static inline void claim(struct thread *t, unsigned cpu) {
  t->cpu = cpu;
  __atomic_store_n(&t->on_cpu, true, __ATOMIC_RELAXED);
}

/* Takes the first thread of `from` to run it on CPU number `cpu`. */
static struct thread *rq_take(struct cpu *from, unsigned cpu) {
  struct thread *t = NULL;
  if (nqueued(from) == 0)
    return NULL;
  spin_lock(&from->lock);
  struct list *n = list_pop_front(&from->rq);
  if (n) {
    __atomic_store_n(&from->nqueued, from->nqueued - 1, __ATOMIC_RELAXED);
    t = list_entry(n, struct thread, run_node);
    if (from->nqueued > 0)
      set_ripe_at(from, list_entry(from->rq.next, struct thread, run_node)->ripe_at);
    claim(t, cpu);
  }
  spin_unlock(&from->lock);
  return t;
}

/* The next thread of this CPU's own. */
static inline struct thread *take_own(struct cpu *c, unsigned cpu) {
  struct thread *t = c->handoff;
  if (!t)
    return rq_take(c, cpu);
  set_handoff(c, NULL);
  claim(t, cpu);
  return t;
}

static struct thread *steal(unsigned cpu, u64 now) {
  unsigned n = plat_ncpus();
  for (unsigned i = 1; i < n; i++) {
    struct cpu *from = &cpus[(cpu + i) % n];
    struct thread *t = ripe(from, now) ? rq_take(from, cpu) : NULL;
    if (t)
      return t;
  }
  return NULL;
}

/* Is there a thread that `cpu` could run? */
static bool work_for(unsigned cpu, u64 now) {
  for (unsigned i = 0, n = plat_ncpus(); i < n; i++)
    if (i == cpu ? __atomic_load_n(&cpus[i].nqueued, __ATOMIC_SEQ_CST) != 0 : ripe(&cpus[i], now))
      return true;
  return false;
}

/* Wakes one sleeping CPU other than `self`, if there is one. Orders what was queued before the look
   at the mask; idle_once does the same the other way round. */
static void kick_idle(unsigned self) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  u64 mask = __atomic_load_n(&idle_mask, __ATOMIC_SEQ_CST) & ~(1UL << self);
  if (mask == 0)
    return;
  unsigned cpu = (unsigned)__builtin_ctzl(mask);
  if (__atomic_fetch_and(&idle_mask, ~(1UL << cpu), __ATOMIC_SEQ_CST) & (1UL << cpu))
    plat_cpu_kick(cpu);
}

static void need_tick(struct cpu *c, unsigned cpu, bool needed) {
  if (c->ticking != needed) {
    c->ticking = needed;
    plat_tick_needed(cpu, needed);
  }
}

/* A thread has just been queued here: let somebody run it soon. */
static void announce(struct cpu *c, u64 now) {
  struct thread *me = thread_current();
  bool idle = me == c->idle;
  if (!idle)
    need_tick(c, me->cpu, true);
  if (nqueued(c) > idle && ripe(c, now))
    kick_idle(me->cpu);
}

/* ---- waking -------------------------------------------------------------------------- */

/* Moves t from one of `states` to RUNNABLE; wake_lock held. Nobody but a waker changes the state of
   a thread that sleeps and has left its CPU. */
static bool make_runnable(struct thread *t, unsigned states, bool *queue) {
  enum thread_state s = state_of(t);
  *queue = false;
  while (STATE_BIT(s) & states) {
    if (!__atomic_load_n(&t->on_cpu, __ATOMIC_RELAXED)) { /* read after its state: a running thread
                                                             is on its CPU before it sleeps */
      __atomic_store_n(&t->state, THREAD_RUNNABLE, __ATOMIC_RELAXED);
      return *queue = true;
    }
    if (__atomic_compare_exchange_n(&t->state, &s, THREAD_RUNNABLE, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST))
      return true;
  }
  return false;
}

static bool wake_from(struct thread *t, unsigned states, unsigned flags) {
  if (!(STATE_BIT(state_of(t)) & states))
    return false;
  bool queue;
  u64 now = plat_now_here();
  spin_lock(&t->wake_lock);
  bool woken = make_runnable(t, states, &queue);
  struct cpu *c = this_cpu();
  if (queue)
    rq_add(c, t, flags, now);
  spin_unlock(&t->wake_lock);
  if (queue)
    announce(c, now);
  return woken;
}

/* The usual synchronous wake-up, into hand-over; false: nothing has been done. */
static inline bool wake_into_handoff(struct thread *t) {
  struct thread *me = thread_current();
  struct cpu *c = this_cpu();
  bool done = false;
  if (c->handoff || nqueued(c) > 0 || me == c->idle || !c->ticking)
    return false;
  spin_lock(&t->wake_lock);
  if (likely((STATE_BIT(state_of(t)) & ASLEEP) && !__atomic_load_n(&t->on_cpu, __ATOMIC_RELAXED))) {
    __atomic_store_n(&t->state, THREAD_RUNNABLE, __ATOMIC_RELAXED);
    set_handoff(c, t);
    done = true;
  }
  spin_unlock(&t->wake_lock);
  return done;
}

bool sched_wake(struct thread *t, unsigned flags) {
  return ((flags & WAKE_SYNC) && wake_into_handoff(t)) || wake_from(t, ASLEEP, flags);
}

bool sched_interrupt(struct thread *t) { return wake_from(t, STATE_BIT(THREAD_SLEEPING), 0); }

bool sched_continue(struct thread *t) { return wake_from(t, STATE_BIT(THREAD_STOPPED), 0); }

void sched_start(struct thread *t, unsigned flags) {
  bool woken = sched_wake(t, flags);
  kassert(woken);
}

void thread_set_work(struct thread *t, u32 bits) {
  __atomic_or_fetch(&t->work, bits, __ATOMIC_SEQ_CST);
  if (t != thread_current() && __atomic_load_n(&t->on_cpu, __ATOMIC_SEQ_CST))
    plat_cpu_kick(__atomic_load_n(&t->cpu, __ATOMIC_RELAXED));
}

/* ---- switching ----------------------------------------------------------------------- */

static void account(struct thread *t, u64 now) {
  if (now > t->run_since) {
    t->used.time += now - t->run_since;
    t->run_since = now;
  }
}

u64 sched_thread_time(const struct thread *t) {
  u64 sum = t->used.time;
  u64 since = t->run_since;
  u64 now = plat_now_here();
  return __atomic_load_n(&t->on_cpu, __ATOMIC_RELAXED) && now > since ? sum + (now - since) : sum;
}

u64 sched_switches(void) {
  u64 sum = 0;
  for (unsigned i = 0; i < plat_ncpus(); i++)
    sum += __atomic_load_n(&cpus[i].switches, __ATOMIC_RELAXED);
  return sum;
}

/* On the new thread's stack: the previous thread's stack is free now. The full barrier (a lock or a
   fence) also orders the new thread's on_cpu before its look at `work`; see thread_set_work. */
static inline __attribute__((always_inline)) void finish_switch(void) {
  struct cpu *c = this_cpu();
  struct thread *prev = c->prev;
  if (prev == c->idle || prev == c->boot) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return;
  }
  u64 now = thread_current()->run_since;
  spin_lock(&prev->wake_lock);
  __atomic_store_n(&prev->on_cpu, false, __ATOMIC_RELEASE);
  enum thread_state s = state_of(prev);
  if (s == THREAD_RUNNABLE)
    rq_push(c, prev, now);
  spin_unlock(&prev->wake_lock);
  if (s == THREAD_RUNNABLE)
    announce(c, now);
  else if (s == THREAD_DEAD)
    thread_put(prev);
}

/* The mean over time, not over threads: what somebody would meet who comes at any moment. */
static inline void note_burst(struct cpu *c, u64 ns) {
  i64 n = (i64)min_u64(ns, 1UL << BURST_SHIFT);
  c->burst += ((n - c->burst) * n) >> BURST_SHIFT;
}

/* What schedule needs of a thread again when it comes back is found through thread_current(), so
   that nothing has to be kept over the switch. */
static inline __attribute__((always_inline)) void switch_to(struct cpu *c, struct thread *me,
                                                            struct thread *next, u64 now) {
  if (me != c->idle)
    note_burst(c, now - me->run_since);
  account(me, now);
  next->run_since = now;
  c->prev = me;
  __atomic_store_n(&c->switches, c->switches + 1, __ATOMIC_RELAXED);
  plat_switch(me, next);
  finish_switch();
}

/* Timers and I/O that a CPU without idle time would starve. */
static bool housekeeping_due(const struct cpu *c, u64 now) {
  return now >= ktimer_next() || now - c->polled >= POLL_NS;
}

static void housekeep(struct cpu *c, u64 now) {
  if (now >= ktimer_next())
    ktimer_run(plat_now());
  if (now - c->polled >= POLL_NS) {
    c->polled = now;
    plat_poll_io();
  }
}

void kernel_poll_soon(bool soon) {
  struct cpu *c = this_cpu();
  if (soon == (c->polled == 0))
    return;
  if (soon)
    c->polled_before = c->polled;
  c->polled = soon ? 0 : c->polled_before;
}

/* Who runs next, which may be the running thread; work that waits for it is done. */
static __attribute__((noinline)) struct thread *choose(struct cpu *c, struct thread *me, u64 now) {
  unsigned cpu = me->cpu;
  housekeep(c, now);
  if (work_of(me) & WORK_RESCHED)
    thread_clear_work(me, WORK_RESCHED);
  struct thread *next = take_own(c, cpu);
  if (!next && (me == c->idle || state_of(me) != THREAD_RUNNABLE))
    next = steal(cpu, now);
  if (!next && state_of(me) != THREAD_RUNNABLE)
    next = c->idle;
  if (next && ripe(c, now))
    kick_idle(cpu);
  return next ? next : me;
}

void schedule(void) {
  lock_check_sleep();
  u64 now = plat_now_here();
  struct thread *me = thread_current();
  struct cpu *c = this_cpu();
  struct thread *next = c->handoff;
  me->may_park = state_of(me) == THREAD_SLEEPING;
  if (likely(next && nqueued(c) == 0 && !(work_of(me) & WORK_RESCHED) &&
             !housekeeping_due(c, now))) {
    set_handoff(c, NULL);
    claim(next, me->cpu);
  } else {
    next = choose(c, me, now);
  }
  if (likely(next != me))
    switch_to(c, me, next, now);
  me = thread_current();
  if (unlikely(work_of(me) & WORK_PARK) && me->may_park)
    proc_park_here();
}

void sched_yield_cpu(void) { schedule(); }

void sched_thread_begin(void) { finish_switch(); }

_Noreturn void sched_exit(void) {
  sched_set_state(thread_current(), THREAD_DEAD);
  schedule();
  kassert(!"a dead thread runs");
  __builtin_unreachable();
}

/* Many short waits can keep a CPU busy for ever while another has nothing to do. */
static void relieve(struct cpu *c, u64 now) {
  if (now - c->relieved < RELIEF_NS)
    return;
  c->relieved = now;
  spin_lock(&c->lock);
  set_ripe_at(c, RIPE);
  spin_unlock(&c->lock);
}

void sched_tick(void) {
  struct thread *me = thread_current();
  struct cpu *c = this_cpu();
  u64 now = plat_now_here();
  housekeep(c, now);
  rq_settle(c, now);
  if (nqueued(c) == 0) {
    need_tick(c, me->cpu, false);
    return;
  }
  relieve(c, now);
  if (ripe(c, now))
    kick_idle(me->cpu);
  if (now - me->run_since >= SLICE_NS)
    __atomic_or_fetch(&me->work, WORK_RESCHED, __ATOMIC_SEQ_CST);
}

void sched_watch(void) {
  u64 now = plat_now();
  if (__atomic_load_n(&idle_mask, __ATOMIC_SEQ_CST) == 0)
    return;
  for (unsigned i = 0, n = plat_ncpus(); i < n; i++) {
    struct cpu *c = &cpus[i];
    u64 switches = __atomic_load_n(&c->switches, __ATOMIC_RELAXED);
    if (ripe(c, now))
      kick_idle(i);
    else if (switches == c->watched && handoff_of(c))
      plat_cpu_kick(i);
    c->watched = switches;
  }
}

void sched_boot(struct thread *t) {
  t->state = THREAD_RUNNABLE;
  push_locked(&cpus[0], t, RIPE);
}

/* ---- idling -------------------------------------------------------------------------- */

static bool others_busy(unsigned cpu) {
  u64 all = plat_ncpus() == 64 ? ~0UL : (1UL << plat_ncpus()) - 1;
  return (__atomic_load_n(&idle_mask, __ATOMIC_RELAXED) | 1UL << cpu) != all;
}

/* Sleeps until there may be something to do. Events for threads that are running on other CPUs (a
   busy server) would wake an idle CPU for nothing, each of them: after a few it listens only
   now and then, as long as the others, who look for I/O as well, are busy. */
static void idle_wait(struct cpu *c, unsigned cpu) {
  u64 deadline = ktimer_next();
  if (c->fruitless >= FRUITLESS_MAX && others_busy(cpu)) {
    plat_cpu_nap(cpu, min_u64(deadline, plat_now() + NAP_NS));
    c->fruitless = FRUITLESS_MAX - 1; /* then listens to one event */
  } else {
    plat_cpu_idle(cpu, deadline);
    u64 now = plat_now();
    c->fruitless = work_for(cpu, now) || now >= deadline ? 0 : c->fruitless + 1;
  }
}

static void idle_once(struct cpu *c, unsigned cpu) {
  u64 bit = 1UL << cpu;
  __atomic_fetch_or(&idle_mask, bit, __ATOMIC_SEQ_CST);
  if (!work_for(cpu, plat_now_here())) {
    need_tick(c, cpu, false);
    idle_wait(c, cpu);
    c->relieved = c->polled = plat_now_here();
  }
  __atomic_fetch_and(&idle_mask, ~bit, __ATOMIC_SEQ_CST);
}

static void idle_loop(struct thread *t) {
  struct cpu *c = this_cpu();
  finish_switch();
  for (;;) {
    schedule();
    image_quiesce();
    idle_once(c, t->cpu);
  }
}

_Noreturn void sched_run(unsigned cpu) {
  struct cpu *c = &cpus[cpu];
  struct thread *t = thread_alloc_new();
  kassert(t);
  t->cpu = cpu;
  t->state = THREAD_RUNNABLE;
  t->on_cpu = true;
  str_copy(t->name, "idle", sizeof t->name);
  c->idle = t;
  c->boot = c->prev = thread_current();
  plat_thread_init(t, idle_loop);
  plat_switch(c->boot, t);
  __builtin_unreachable();
}
