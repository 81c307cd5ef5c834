/* SPDX-License-Identifier: MIT */
/*
 * Time: the TSC, whose frequency the hypervisor tells (CPUID) or the PIT measures; time of day from
 * the CMOS clock at boot. The TSC is taken to be constant. Whether it is the same on all CPUs is
 * found out when they start; if not, its difference to CPU 0's is taken off, and since that is
 * known roughly only, no CPU shows a time before one that another has shown.
 */
#include "kernel/klog.h"
#include "plat/pc/cpu.h"
#include "plat/pc/pc.h"
#include "plat/pc/skew.h"

#define PIT_HZ 1193182u
#define PIT_COUNT 11932u /* 10 ms */
#define PIT_RUNS 8u
#define LAPIC_DIVIDER 16
#define LAPIC_ASSUMED_HZ (1000000000u / LAPIC_DIVIDER) /* QEMU's and KVM's */
#define ASSUMED_NS 5000000u

static u64 tsc_start;
static u64 ns_per_tsc_32; /* nanoseconds per tick, times 2^32 */
static u64 wall_start;

static u64 rdtsc(void) { return __builtin_ia32_rdtsc(); }

static bool differ; /* the counters do */
static u64 latest;  /* that any CPU has shown; atomic */

static u64 common_tsc(u64 t) {
  u64 seen = __atomic_load_n(&latest, __ATOMIC_RELAXED);
  while (seen < t &&
         !__atomic_compare_exchange_n(&latest, &seen, t, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
    ;
  return max_u64(seen, t);
}

u64 plat_now(void) {
  u64 t = rdtsc();
  if (unlikely(differ))
    t = common_tsc(t - (u64)vcpu_self()->tsc_ahead);
  return (u64)((unsigned __int128)(t - tsc_start) * ns_per_tsc_32 >> 32);
}
u64 plat_now_here(void) { return plat_now(); }

u64 plat_walltime(void) { return wall_start + plat_now(); }

/* ---- frequencies ----------------------------------------------------------------------------- */

/* Leaf 0x15 (crystal) or 0x40000010 (hypervisors); 0: unknown. */
static u64 told_tsc_hz(void) {
  if (cpuid(0, 0).a >= 0x15) {
    struct cpuid c = cpuid(0x15, 0);
    if (c.a && c.b && c.c)
      return (u64)c.c * c.b / c.a;
  }
  if (cpuid(1, 0).c >> 31 && cpuid(0x40000000, 0).a >= 0x40000010)
    return (u64)cpuid(0x40000010, 0).a * 1000;
  return 0;
}

struct measured {
  u64 tsc, lapic; /* ticks */
  u64 ns;
  u64 unsure; /* TSC ticks in which the start or the end may lie: large if we were stopped there */
};

/* Runs down the PIT's channel 2; false if there is none. */
static bool run_pit(struct measured *m) {
  outb(0x61, (u8)((inb(0x61) & ~2u) | 1));
  outb(0x43, 0xb0);
  outb(0x42, PIT_COUNT & 0xff);
  u64 before = rdtsc(), last;
  outb(0x42, PIT_COUNT >> 8);
  lapic_timer_start(UINT32_MAX);
  u64 t0 = last = rdtsc();
  for (u32 i = 0; !(inb(0x61) & 0x20); i++) {
    if (i == 100000000u)
      return false;
    last = rdtsc();
  }
  m->lapic = UINT32_MAX - lapic_timer_left();
  u64 end = rdtsc();
  m->tsc = end - t0;
  m->unsure = (t0 - before) + (end - last);
  m->ns = (u64)PIT_COUNT * 1000000000u / PIT_HZ;
  return m->tsc > 100000; /* a port without a device reads as ones */
}

/* A virtual CPU may be stopped for milliseconds at any place: the surest of some runs counts. */
static bool measure_with_pit(struct measured *m) {
  struct measured run = {0};
  *m = (struct measured){.unsure = UINT64_MAX};
  for (unsigned i = 0; i < PIT_RUNS && (i == 0 || m->unsure > m->tsc / 64); i++) {
    if (!run_pit(&run))
      return false;
    if (run.unsure < m->unsure)
      *m = run;
  }
  return true;
}

static void measure_with_lapic(struct measured *m) {
  u64 t0 = rdtsc();
  u32 count = (u32)((u64)ASSUMED_NS * LAPIC_ASSUMED_HZ / 1000000000u);
  lapic_timer_start(UINT32_MAX);
  while (UINT32_MAX - lapic_timer_left() < count)
    ;
  m->tsc = rdtsc() - t0;
  m->lapic = UINT32_MAX - lapic_timer_left();
  m->ns = m->lapic * 1000000000u / LAPIC_ASSUMED_HZ;
}

/* ---- other CPUs ------------------------------------------------------------------------------ */

#define ROUNDS 8u
#define ROUNDS_END UINT32_MAX
#define TIGHT 4000 /* ticks: known well enough */

static u32 question, answered; /* numbers of rounds; atomic */
static u64 answer;

/* After everything before it. */
static u64 rdtsc_late(void) {
  __asm__ volatile("lfence" : : : "memory");
  return rdtsc();
}

static u64 ask(u32 round) {
  __atomic_store_n(&question, round, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&answered, __ATOMIC_ACQUIRE) != round)
    __builtin_ia32_pause();
  return answer;
}

void clock_compare(unsigned cpu) {
  struct skew s = SKEW_UNKNOWN;
  for (u32 i = 1; i <= ROUNDS && !skew_known(&s, TIGHT); i++) {
    u64 before = rdtsc(), other = ask(i);
    skew_add(&s, before, other, rdtsc_late());
  }
  ask(ROUNDS_END);
  __atomic_store_n(&question, 0, __ATOMIC_SEQ_CST);
  i64 ahead = skew_ticks(&s);
  if (ahead == 0)
    return;
  vcpus[cpu].tsc_ahead = ahead;
  differ = true;
  klog("CPU %u's counter is %ld ticks ahead of CPU 0's: the time is kept in step", cpu, ahead);
}

void clock_answer(void) {
  for (u32 last = 0; last != ROUNDS_END;) {
    u32 round = __atomic_load_n(&question, __ATOMIC_ACQUIRE);
    if (round == last || round == 0) {
      __builtin_ia32_pause();
      continue;
    }
    answer = rdtsc_late();
    __atomic_store_n(&answered, round, __ATOMIC_RELEASE);
    last = round;
  }
}

/* ---- time of day ----------------------------------------------------------------------------- */

enum { RTC_SECOND = 0, RTC_MINUTE = 2, RTC_HOUR = 4, RTC_DAY = 7, RTC_MONTH, RTC_YEAR };
enum { RTC_A = 10, RTC_B = 11, RTC_CENTURY = 0x32 };

static u8 cmos(u8 reg) {
  outb(0x70, reg | 0x80);
  return inb(0x71);
}

static u32 number(u8 v, bool bcd) { return bcd ? (v >> 4) * 10u + (v & 15) : v; }

/* Days since 1970-01-01 in the Gregorian calendar. */
static i64 days_from_civil(i64 y, u32 m, u32 d) {
  y -= m <= 2;
  i64 era = y / 400;
  u32 year = (u32)(y - era * 400);
  u32 day = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
  return era * 146097 + (i64)(year * 365 + year / 4 - year / 100 + day) - 719468;
}

static u64 read_rtc(void) {
  u8 r[10], again;
  unsigned tries = 0;
  do {
    while ((cmos(RTC_A) & 0x80) && ++tries < 100000)
      ; /* being updated */
    for (unsigned i = 0; i <= RTC_YEAR; i++)
      r[i] = cmos((u8)i);
    again = cmos(RTC_SECOND);
  } while (again != r[RTC_SECOND] && ++tries < 100000);
  u8 mode = cmos(RTC_B);
  bool bcd = !(mode & 4);
  u32 hour = number(r[RTC_HOUR] & 0x7f, bcd);
  if (!(mode & 2)) /* twelve hours */
    hour = hour % 12 + (r[RTC_HOUR] & 0x80 ? 12 : 0);
  u32 month = number(r[RTC_MONTH], bcd), day = number(r[RTC_DAY], bcd);
  if (month < 1 || month > 12 || day < 1 || day > 31)
    return 0; /* no clock */
  i64 days = days_from_civil(2000 + (i64)number(r[RTC_YEAR], bcd), month, day);
  u64 seconds = hour * 3600 + number(r[RTC_MINUTE], bcd) * 60 + number(r[RTC_SECOND], bcd);
  return ((u64)days * 86400 + seconds) * 1000000000u;
}

void clock_init(void) {
  struct measured m = {0};
  u64 flags = irq_save();
  if (!measure_with_pit(&m))
    measure_with_lapic(&m);
  irq_restore(flags);
  u64 hz = told_tsc_hz();
  ns_per_tsc_32 = hz ? ((u64)1000000000u << 32) / hz : (m.ns << 32) / m.tsc;
  tick_init(m.lapic * 1000000000u / m.ns);
  wall_start = read_rtc();
  tsc_start = rdtsc();
}
