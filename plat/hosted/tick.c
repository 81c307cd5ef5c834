/* SPDX-License-Identifier: MIT */
/*
 * The ticker: one host thread that interrupts vCPUs whose queue is not empty, has the core look
 * after threads that wait while a vCPU is idle, and, while all vCPUs are busy, interrupts one of
 * them when a timer is due. It sleeps for good when nothing asks for it, and stays awake for a
 * while after that, because queues fill and drain much faster than it could be woken.
 */
#include "plat/hosted/cpu.h"

#define LINGER_TICKS 25

static u32 awake;                      /* 0: the ticker sleeps on this futex until woken; atomic */
static u32 wanted;                     /* a vCPU asked for ticks since the last round; atomic */
static u64 next_deadline = UINT64_MAX; /* earliest timer; UINT64_MAX: none; atomic */
static u64 sleeps_until;               /* what the ticker sleeps for; atomic */

static void wake_ticker(void) {
  if (__atomic_exchange_n(&awake, 1, __ATOMIC_SEQ_CST) == 0)
    lx3(futex, &awake, LX_FUTEX_WAKE_PRIVATE, 1);
}

void plat_tick_needed(unsigned cpu, bool needed) {
  __atomic_store_n(&vcpus[cpu].tick_needed, needed, __ATOMIC_RELAXED);
  if (!needed)
    return;
  if (!__atomic_load_n(&wanted, __ATOMIC_RELAXED))
    __atomic_store_n(&wanted, 1, __ATOMIC_SEQ_CST);
  if (unlikely(!__atomic_load_n(&awake, __ATOMIC_SEQ_CST)))
    wake_ticker();
}

void plat_timer_changed(u64 deadline) {
  __atomic_store_n(&next_deadline, deadline, __ATOMIC_SEQ_CST);
  if (deadline < __atomic_load_n(&sleeps_until, __ATOMIC_SEQ_CST) &&
      !__atomic_load_n(&awake, __ATOMIC_SEQ_CST))
    wake_ticker();
}

/* An idle vCPU sleeps no longer than its own deadline, which may be older than the timer. */
static void kick_for_timer(u64 now) {
  u64 due = __atomic_load_n(&next_deadline, __ATOMIC_SEQ_CST);
  if (due > now)
    return;
  __atomic_compare_exchange_n(&next_deadline, &due, UINT64_MAX, false, __ATOMIC_SEQ_CST,
                              __ATOMIC_SEQ_CST);
  unsigned target = 0;
  for (unsigned i = 0; i < vcpu_count; i++)
    if (__atomic_load_n(&vcpus[i].idle, __ATOMIC_SEQ_CST))
      target = i;
  plat_cpu_kick(target);
}

static void wait_for(u64 ns, bool forever) {
  struct lx_timespec ts = {(i64)(ns / 1000000000u), (i64)(ns % 1000000000u)};
  lx4(futex, &awake, LX_FUTEX_WAIT_PRIVATE, 0, forever ? NULL : &ts);
}

/* Nothing to tick: sleeps until the next timer or until woken. */
static void doze(void) {
  u64 until = __atomic_load_n(&next_deadline, __ATOMIC_SEQ_CST);
  __atomic_store_n(&sleeps_until, until, __ATOMIC_SEQ_CST);
  __atomic_store_n(&awake, 0, __ATOMIC_SEQ_CST);
  u64 now = plat_now();
  u64 again = __atomic_load_n(&next_deadline, __ATOMIC_SEQ_CST);
  if (!__atomic_load_n(&wanted, __ATOMIC_SEQ_CST) && again >= until && until > now)
    wait_for(until - now, until == UINT64_MAX);
  __atomic_store_n(&awake, 1, __ATOMIC_SEQ_CST);
}

static bool somebody_idle(void) {
  for (unsigned i = 0; i < vcpu_count; i++)
    if (__atomic_load_n(&vcpus[i].idle, __ATOMIC_RELAXED))
      return true;
  return false;
}

static void sleep_round(void) {
  u64 now = plat_now();
  u64 end = min_u64(now + (somebody_idle() ? PLAT_WATCH_NS : PLAT_TICK_NS),
                    max_u64(__atomic_load_n(&next_deadline, __ATOMIC_SEQ_CST), now + 50000));
  struct lx_timespec ts = {0, (i64)(end - now)};
  u32 never = 1;
  lx4(futex, &never, LX_FUTEX_WAIT_PRIVATE, 1, &ts);
}

/* True if ticks were wanted since the last time. */
static bool tick(void) {
  bool any = __atomic_exchange_n(&wanted, 0, __ATOMIC_SEQ_CST);
  for (unsigned i = 0; i < vcpu_count; i++) {
    if (!__atomic_load_n(&vcpus[i].tick_needed, __ATOMIC_RELAXED))
      continue;
    any = true;
    if (!__atomic_load_n(&vcpus[i].idle, __ATOMIC_RELAXED))
      plat_cpu_kick(i);
  }
  return any;
}

_Noreturn void ticker_run(void) {
  unsigned quiet = 0;
  u64 next_tick = 0;
  for (;;) {
    if (quiet >= LINGER_TICKS)
      doze();
    else
      sleep_round();
    u64 now = plat_now();
    kick_for_timer(now);
    sched_watch();
    if (now < next_tick)
      continue;
    next_tick = now + PLAT_TICK_NS - PLAT_WATCH_NS / 2; /* a round comes late, not early */
    quiet = tick() ? 0 : quiet + 1;
  }
}
