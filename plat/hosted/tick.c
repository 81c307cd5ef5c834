/* SPDX-License-Identifier: MIT */
/*
 * The ticker: one host thread that interrupts vCPUs whose queue is not empty, has the core look
 * after threads that wait while a vCPU is idle, and, while all vCPUs are busy, interrupts one of
 * them when a timer is due. It sleeps for good when nothing asks for it, and stays awake for a
 * while after that, because queues fill and drain much faster than it could be woken. A vCPU does
 * not wake it but sets its alarm, a timer of the host: to wake a thread on another CPU costs ten
 * times as much, and most that is queued has run before the alarm.
 */
#include "plat/hosted/cpu.h"

#define LINGER_TICKS 25

/* Until the first tick of a queue. A closer alarm than the host's next tick (as a rule, every 4 ms)
   is ten times as dear, as the host sets its own timer for it: 5 to 12 us on a virtual CPU. */
#define ALARM_NS 4000000

#define CLOCK_MONOTONIC 1
#define TFD_CLOEXEC 02000000u
#define TFD_TIMER_ABSTIME 1

static int alarm_fd;
static u64 alarm_at; /* when the ticker wakes; 0: it is awake; UINT64_MAX: never. Atomic */
static u32 wanted;   /* a vCPU asked for ticks since the last round; atomic */
static u64 next_deadline = UINT64_MAX; /* earliest timer; UINT64_MAX: none; atomic */

/* The host's timer gets to know alarm_at. Whoever changes it does so afterwards, so that the last
   one to set the timer has seen the last value. */
static void set_alarm(void) {
  u64 at;
  do {
    at = __atomic_load_n(&alarm_at, __ATOMIC_SEQ_CST);
    u64 when = at == UINT64_MAX ? 0 : at; /* 0: off */
    struct lx_timespec spec[2] = {{0, 0}, {(i64)(when / 1000000000u), (i64)(when % 1000000000u)}};
    lx4(timerfd_settime, alarm_fd, TFD_TIMER_ABSTIME, spec, NULL);
  } while (__atomic_load_n(&alarm_at, __ATOMIC_SEQ_CST) != at);
}

static void wake_ticker(u64 at) {
  u64 set = __atomic_load_n(&alarm_at, __ATOMIC_SEQ_CST);
  while (at < set)
    if (__atomic_compare_exchange_n(&alarm_at, &set, at, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST)) {
      set_alarm();
      return;
    }
}

void plat_tick_needed(unsigned cpu, bool needed) {
  __atomic_store_n(&vcpus[cpu].tick_needed, needed, __ATOMIC_RELAXED);
  if (!needed)
    return;
  if (!__atomic_load_n(&wanted, __ATOMIC_RELAXED))
    __atomic_store_n(&wanted, 1, __ATOMIC_SEQ_CST);
  if (unlikely(__atomic_load_n(&alarm_at, __ATOMIC_SEQ_CST)))
    wake_ticker(plat_now() + ALARM_NS);
}

void plat_timer_changed(u64 deadline) {
  __atomic_store_n(&next_deadline, deadline, __ATOMIC_SEQ_CST);
  wake_ticker(max_u64(deadline, 1));
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

/* Nothing to tick: sleeps until the next timer or until woken. */
static void doze(void) {
  u64 until = __atomic_load_n(&next_deadline, __ATOMIC_SEQ_CST), expirations;
  __atomic_store_n(&alarm_at, max_u64(until, 1), __ATOMIC_SEQ_CST);
  u64 again = __atomic_load_n(&next_deadline, __ATOMIC_SEQ_CST);
  if (!__atomic_load_n(&wanted, __ATOMIC_SEQ_CST) && again >= until && until > plat_now()) {
    set_alarm();
    LX_RETRY(lx3(read, alarm_fd, &expirations, sizeof(expirations)));
  }
  __atomic_store_n(&alarm_at, 0, __ATOMIC_SEQ_CST);
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

int ticker_init(void) {
  i64 fd = lx2(timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC);
  alarm_fd = (int)fd;
  return fd < 0 ? (int)fd : 0;
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
