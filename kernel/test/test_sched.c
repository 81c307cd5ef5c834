/* SPDX-License-Identifier: MIT */
/*
 * The scheduler on host threads as CPUs: every test is run with 1 and with 4 of them. A lost
 * wake-up shows as a hang (the caller's time limit), a doubly running thread as a wrong sum.
 */
#include "kernel/mm/image.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/sig.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fake/fake.h"
#include "kernel/time/timer.h"
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

void image_quiesce(void) {}

#define THREADS 24
#define ROUNDS 2000
#define MS 1000000UL

/* What the scheduler needs of rooms that are not under test. */
void proc_put(struct proc *p) { (void)p; }
void proc_park_here(void) {}
bool signal_pending_now(void) { return false; }
void thread_sig_reset(struct thread_sig *ts) { (void)ts; }
void thread_sig_free(struct thread_sig *ts) { (void)ts; }

/* ---- helpers ----------------------------------------------------------------------------- */

static struct waitq done_q = WAITQ_INIT(done_q);
static unsigned running_threads;

static void begin(void) { sched_thread_begin(); }

static _Noreturn void end(void) {
  __atomic_sub_fetch(&running_threads, 1, __ATOMIC_SEQ_CST);
  waitq_wake(&done_q, 0, 0, 0);
  sched_exit();
}

static void start(void (*entry)(struct thread *t), unsigned flags) {
  struct thread *t = fake_thread(entry);
  CHECK(t);
  __atomic_add_fetch(&running_threads, 1, __ATOMIC_SEQ_CST);
  sched_start(t, flags);
}

static void join_all(void) {
  waitq_wait(&done_q, __atomic_load_n(&running_threads, __ATOMIC_SEQ_CST) == 0);
}

/* ---- mutex: a counter that only the lock protects ------------------------------------------ */

static struct mutex counter_lock;
static volatile u64 counter;

static void count(struct thread *t) {
  (void)t;
  begin();
  for (int i = 0; i < ROUNDS; i++) {
    mutex_lock(&counter_lock);
    u64 v = counter;
    if (i % 7 == 0)
      sched_yield_cpu();
    counter = v + 1;
    mutex_unlock(&counter_lock);
  }
  end();
}

static void mutex_excludes(void) {
  mutex_init(&counter_lock);
  counter = 0;
  for (int i = 0; i < THREADS; i++)
    start(count, 0);
  join_all();
  CHECK(counter == THREADS * ROUNDS);
  CHECK(mutex_trylock(&counter_lock));
  CHECK(!mutex_trylock(&counter_lock));
  mutex_unlock(&counter_lock);
}

/* ---- wait queues: tokens handed round ------------------------------------------------------ */

static struct waitq ring[2] = {WAITQ_INIT(ring[0]), WAITQ_INIT(ring[1])};
static u32 turn;

static void ping(u32 me, unsigned flags) {
  for (int i = 0; i < ROUNDS * 5; i++) {
    waitq_wait(&ring[me], __atomic_load_n(&turn, __ATOMIC_SEQ_CST) == me);
    __atomic_store_n(&turn, !me, __ATOMIC_SEQ_CST);
    waitq_wake(&ring[!me], 1, 0, flags);
  }
}

static void ping_sync(struct thread *t) {
  (void)t;
  begin();
  ping(0, WAKE_SYNC);
  end();
}
static void pong_sync(struct thread *t) {
  (void)t;
  begin();
  ping(1, WAKE_SYNC);
  end();
}
static void ping_kick(struct thread *t) {
  (void)t;
  begin();
  ping(0, 0);
  end();
}
static void pong_kick(struct thread *t) {
  (void)t;
  begin();
  ping(1, 0);
  end();
}

static void ping_pong(void) {
  turn = 0;
  start(ping_sync, 0);
  start(pong_sync, 0);
  join_all();
  CHECK(turn == 0);
  start(ping_kick, 0);
  start(pong_kick, 0);
  join_all();
  CHECK(turn == 0);
}

/* On one CPU a synchronous hand-over never needs another one. */
static void sync_wakes_kick_nobody(void) {
  if (fake_ncpus != 1)
    return;
  unsigned before = fake_kicks;
  start(ping_sync, WAKE_SYNC);
  start(pong_sync, WAKE_SYNC);
  join_all();
  CHECK(fake_kicks == before);
}

/* ---- exclusive wake-ups: one item wakes one consumer --------------------------------------- */

static struct waitq items_q = WAITQ_INIT(items_q);
static int items, consumed;
static bool closed;

static bool take_item(void) {
  int n = __atomic_load_n(&items, __ATOMIC_SEQ_CST);
  while (n > 0)
    if (__atomic_compare_exchange_n(&items, &n, n - 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
      return true;
  return false;
}

static void consume(struct thread *t) {
  (void)t;
  begin();
  for (;;) {
    struct waiter w = {.exclusive = true};
    bool got, last;
    for (;;) {
      waitq_prepare(&items_q, &w, THREAD_SLEEPING);
      got = take_item();
      last = __atomic_load_n(&closed, __ATOMIC_SEQ_CST);
      if (got || last)
        break;
      schedule();
    }
    waitq_finish(&w);
    if (!got)
      break;
    __atomic_add_fetch(&consumed, 1, __ATOMIC_SEQ_CST);
  }
  end();
}

static void exclusive_wakes(void) {
  items = consumed = 0;
  closed = false;
  for (int i = 0; i < 6; i++)
    start(consume, 0);
  for (int i = 0; i < ROUNDS; i++) {
    __atomic_add_fetch(&items, 1, __ATOMIC_SEQ_CST);
    waitq_wake(&items_q, 1, 0, 0);
    if (i % 16 == 0)
      sched_yield_cpu();
  }
  while (__atomic_load_n(&consumed, __ATOMIC_SEQ_CST) < ROUNDS)
    sched_yield_cpu(); /* each item woke somebody: nobody needs a second push */
  __atomic_store_n(&closed, true, __ATOMIC_SEQ_CST);
  waitq_wake(&items_q, 0, 0, 0);
  join_all();
  CHECK(consumed == ROUNDS);
  CHECK(items == 0);
}

/* ---- timed sleep ----------------------------------------------------------------------------- */

static void timed_sleep(void) {
  struct waitq q;
  waitq_init(&q);
  u64 t0 = plat_now();
  CHECK(waitq_wait_until(&q, false, t0 + 5 * MS) == -110);
  CHECK(plat_now() >= t0 + 5 * MS);
  CHECK(waitq_wait_until(&q, false, t0) == -110); /* in the past */
  CHECK(waitq_wait_until(&q, true, t0) == 0);
  CHECK(list_empty(&q.waiters));
}

static u32 sleepers_woken;

static void sleep_a_little(struct thread *t) {
  begin();
  struct waitq q;
  waitq_init(&q);
  for (int i = 0; i < 20; i++)
    waitq_wait_until(&q, false, plat_now() + (u64)(((u64)t >> 12) % 13) * MS / 10);
  __atomic_add_fetch(&sleepers_woken, 1, __ATOMIC_SEQ_CST);
  end();
}

static void many_sleepers(void) {
  sleepers_woken = 0;
  for (int i = 0; i < 50; i++)
    start(sleep_a_little, 0);
  join_all();
  CHECK(sleepers_woken == 50);
  CHECK(ktimer_next() == UINT64_MAX);
}

/* ---- wake-ups that race with going to sleep -------------------------------------------------- */

static struct thread *victim;
static u64 wakes_wanted, wakes_seen;

static void sleeper(struct thread *t) {
  begin();
  while (__atomic_load_n(&wakes_seen, __ATOMIC_SEQ_CST) < ROUNDS * 5) {
    sched_set_state(t, THREAD_UNINTERRUPTIBLE);
    if (__atomic_load_n(&wakes_wanted, __ATOMIC_SEQ_CST) == wakes_seen)
      schedule();
    sched_set_state(t, THREAD_RUNNABLE);
    __atomic_store_n(&wakes_seen, __atomic_load_n(&wakes_wanted, __ATOMIC_SEQ_CST),
                     __ATOMIC_SEQ_CST);
  }
  thread_put(t);
  end();
}

static void waker(struct thread *t) {
  (void)t;
  begin();
  for (u64 i = 1; i <= ROUNDS * 5; i++) {
    __atomic_store_n(&wakes_wanted, i, __ATOMIC_SEQ_CST);
    sched_wake(victim, i % 2 ? WAKE_SYNC : 0);
    while (__atomic_load_n(&wakes_seen, __ATOMIC_SEQ_CST) < i) {
      sched_yield_cpu();
    }
  }
  end();
}

static void wake_races_sleep(void) {
  wakes_wanted = wakes_seen = 0;
  victim = fake_thread(sleeper);
  thread_get(victim);
  running_threads++;
  sched_start(victim, 0);
  start(waker, 0);
  join_all();
  CHECK(wakes_seen == ROUNDS * 5);
}

/* ---- thread blocks are recycled -------------------------------------------------------------- */

static void nothing(struct thread *t) {
  (void)t;
  begin();
  end();
}

static void stacks_are_recycled(void) {
  for (int i = 0; i < 100; i++) {
    start(nothing, WAKE_SYNC);
    join_all();
  }
  size_t before = fake_pages_used;
  for (int i = 0; i < 1000; i++) {
    start(nothing, WAKE_SYNC);
    join_all();
  }
  CHECK(fake_pages_used <= before + 4 * KSTACK_SIZE / PAGE_SIZE);
}

static void no_memory(void) {
  struct list taken = LIST_INIT(taken);
  struct list *n;
  fake_pages_fail = fake_pages_used;
  struct thread *t;
  while ((t = thread_alloc()) != NULL)
    list_push_back(&taken, &t->run_node);
  while ((n = list_pop_front(&taken)) != NULL)
    thread_put(list_entry(n, struct thread, run_node));
  fake_pages_fail = 0;
  start(nothing, 0);
  join_all();
}

/* Blocks of threads that have ended are kept, also by other CPUs, and given back on demand. */
static void kept_blocks_are_given_back(void) {
  u64 cached;
  for (int i = 0; i < 50; i++)
    start(nothing, 0);
  join_all();
  for (int i = 0; thread_blocks(&cached) - cached > 60 && i < 1000; i++)
    sched_yield_cpu(); /* the last ones may not have been switched away from */
  u64 blocks = thread_blocks(&cached);
  CHECK(cached > 0);
  thread_trim();
  u64 left = thread_blocks(&cached);
  CHECK(left < blocks);
  CHECK(cached <= fake_ncpus); /* such that ended meanwhile */
}

/* Who asks for a look at I/O gets it before any other thread runs, once, or not if it is withdrawn.
   The clock stands still, so that nothing else makes a CPU look. */
static unsigned looks_before;

static void sees_look(struct thread *t) {
  (void)t;
  begin();
  CHECK(__atomic_load_n(&fake_looks, __ATOMIC_RELAXED) == looks_before + 1);
  end();
}

static void looks_when_asked(void) {
  if (fake_ncpus > 1)
    return;
  fake_freeze(true);
  sched_yield_cpu();
  looks_before = fake_looks;
  for (int i = 0; i < 3; i++) {
    kernel_poll_soon(true);
    kernel_poll_soon(i > 0);
    kernel_poll_soon(false);
    sched_yield_cpu();
  }
  CHECK(fake_looks == looks_before);
  kernel_poll_soon(true);
  start(sees_look, WAKE_SYNC);
  sched_yield_cpu();
  sched_yield_cpu();
  CHECK(fake_looks == looks_before + 1);
  kernel_poll_soon(true);
  sched_tick();
  CHECK(fake_looks == looks_before + 2);
  kernel_poll_soon(false); /* too late, and no harm */
  sched_tick();
  CHECK(fake_looks == looks_before + 2);
  fake_freeze(false);
  join_all();
}

/* ---- where a thread runs -------------------------------------------------------------------- */

static unsigned kicks(void) { return __atomic_load_n(&fake_kicks, __ATOMIC_RELAXED); }

static void pass(u64 ns) { __atomic_add_fetch(&fake_time, ns, __ATOMIC_RELAXED); }

/* Stops the clock. This CPU forgets that somebody computed on it, and this thread's turn is new. */
static void stop_clock(void) {
  fake_freeze(true);
  for (int i = 0; i < 200; i++) {
    start(nothing, WAKE_SYNC);
    join_all();
    pass(30000);
  }
}

static u32 taking_turns; /* 0: they end */
static u32 home;         /* the CPU where turns are taken */
static u32 left_home;    /* a thread has been taken elsewhere */

static void take_turns(struct thread *t) {
  begin();
  while (__atomic_load_n(&taking_turns, __ATOMIC_SEQ_CST)) {
    if (t->cpu != home)
      __atomic_store_n(&left_home, 1, __ATOMIC_SEQ_CST);
    sched_yield_cpu();
  }
  end();
}

/* Until then they may take what is queued here without being woken. */
static void wait_for_others_to_sleep(void) {
  for (unsigned i = 0; i < fake_ncpus; i++)
    while (i != home && !fake_asleep(i))
      plat_relax();
}

/* With the clock stopped two threads take turns with this one, all others asleep. */
static void begin_turns(void) {
  stop_clock();
  home = thread_current()->cpu;
  wait_for_others_to_sleep();
  left_home = 0;
  taking_turns = 1;
  for (int i = 0; i < 2; i++)
    start(take_turns, WAKE_SYNC);
  sched_yield_cpu();
}

static void end_turns(void) {
  __atomic_store_n(&taking_turns, 0, __ATOMIC_SEQ_CST);
  join_all();
  fake_freeze(false);
}

/* Another CPU has been woken since there were `before` kicks, or was awake and has taken a thread.
 */
static bool spread(unsigned before) {
  return kicks() > before || __atomic_load_n(&left_home, __ATOMIC_SEQ_CST);
}

/* Whoever has had turns of a few microseconds only does not need another CPU. */
static void short_waits_stay(void) {
  begin_turns();
  unsigned before = kicks();
  for (int i = 0; i < 1000; i++) {
    pass(10000);
    sched_yield_cpu();
  }
  CHECK(!spread(before));
  end_turns();
}

/* It has waited for the whole of somebody's turn. */
static void a_long_wait_wakes_a_cpu(void) {
  if (fake_ncpus == 1)
    return;
  begin_turns();
  unsigned before = kicks();
  for (int i = 0; i < 1000; i++)
    sched_yield_cpu();
  CHECK(!spread(before));
  pass(210000); /* but such turns are not usual */
  sched_yield_cpu();
  while (!spread(before))
    sched_yield_cpu();
  end_turns();
}

/* Turns have been long: who queues then is not kept waiting. */
static void long_waits_are_foreseen(void) {
  if (fake_ncpus == 1)
    return;
  begin_turns();
  unsigned before = kicks();
  for (int i = 0; i < 100; i++) {
    pass(150000); /* by itself not too long */
    sched_yield_cpu();
  }
  while (!spread(before))
    start(nothing, WAKE_SYNC);
  end_turns();
}

static u32 elsewhere;
static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;
static bool watching; /* under watch_lock */

/* When it returns the ticker is not at work, if it is not to be. */
static void set_watching(bool on) {
  pthread_mutex_lock(&watch_lock);
  watching = on;
  pthread_mutex_unlock(&watch_lock);
}

/* A platform's ticker. */
static void *watch(void *unused) {
  for (;;) {
    pthread_mutex_lock(&watch_lock);
    if (watching)
      sched_watch();
    pthread_mutex_unlock(&watch_lock);
    usleep(100);
  }
  return unused;
}

static void run_elsewhere(struct thread *t) {
  (void)t;
  begin();
  __atomic_add_fetch(&elsewhere, 1, __ATOMIC_SEQ_CST);
  end();
}

/* A thread goes on computing after it has made others runnable, in hand-over and queued. They come
   to run on other CPUs because the platform has the scheduler look after them; if they did not this
   would not end. With `ticks` false a CPU that is kicked does not look, as in the kernel. */
static void compute_beside(u32 threads, bool ticks) {
  elsewhere = 0;
  stop_clock();
  fake_freeze(false);
  for (u32 i = 0; i < threads; i++)
    start(run_elsewhere, WAKE_SYNC);
  if (!ticks)
    sched_tick(); /* ends the hand-over */
  set_watching(true);
  while (__atomic_load_n(&elsewhere, __ATOMIC_SEQ_CST) < threads)
    if (fake_interrupted(thread_current()->cpu) && ticks)
      sched_tick();
  set_watching(false);
  join_all();
}

static void computing_keeps_nobody(void) {
  if (fake_ncpus == 1)
    return;
  for (int round = 0; round < 5; round++) {
    compute_beside(1, true);
    compute_beside(2, true);
    compute_beside(2, false);
  }
}

/* All waits are short, but the CPU is never idle. */
static void a_busy_cpu_is_relieved(void) {
  if (fake_ncpus == 1)
    return;
  begin_turns();
  unsigned before = kicks();
  for (int i = 0; !spread(before); i++) {
    pass(10000);
    sched_yield_cpu();
    if (i % 200 == 0)
      sched_tick();
  }
  end_turns();
}

static void all(struct thread *t) {
  (void)t;
  begin();
  TEST(mutex_excludes);
  TEST(ping_pong);
  TEST(sync_wakes_kick_nobody);
  TEST(exclusive_wakes);
  TEST(timed_sleep);
  TEST(many_sleepers);
  TEST(wake_races_sleep);
  TEST(stacks_are_recycled);
  TEST(no_memory);
  TEST(kept_blocks_are_given_back);
  TEST(looks_when_asked);
  TEST(computing_keeps_nobody);
  TEST(short_waits_stay);
  TEST(a_long_wait_wakes_a_cpu);
  TEST(long_waits_are_foreseen);
  TEST(a_busy_cpu_is_relieved);
  fake_stop();
}

int main(int argc, char **argv) {
  pthread_t watcher;
  fake_ncpus = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
  pthread_create(&watcher, NULL, watch, NULL);
  fake_run(all);
  return check_summary("test_sched");
}
