/* SPDX-License-Identifier: MIT */
/*
 * Time. plat_now is the host's clock. plat_now_here, which the scheduler reads at each switch,
 * costs half of it: it counts on from an anchor, a moment on the host's clock and on the CPU's
 * time-stamp counter, that each vCPU renews after ANCHOR_CYCLES. However the host slews its clock
 * or its counter jumps, the two part for so long only; so no calibration is ever trusted for more
 * than some milliseconds.
 */
#include "plat/hosted/cpu.h"
#include "plat/hosted/hosted.h"

#define CLOCK_SHIFT 22
#define ANCHOR_CYCLES (1UL << 22) /* one or two milliseconds */
#define READ_CYCLES 4096          /* reading both clocks took longer: we were interrupted */
#define SLOPE_MAX (1UL << 40)     /* of nanoseconds and of cycles between two anchors */
#define INVARIANT_TSC (1u << 8)

/* libc's clock_gettime goes through the vDSO, which is built without vector code. */
int clock_gettime(int clock, struct lx_timespec *ts);
enum { HOST_CLOCK_REALTIME = 0, HOST_CLOCK_MONOTONIC = 1 };

static bool tsc_usable;

static u64 clock_ns(int clock) {
  struct lx_timespec ts;
  clock_gettime(clock, &ts);
  return (u64)ts.sec * 1000000000u + (u64)ts.nsec;
}

u64 plat_now(void) { return clock_ns(HOST_CLOCK_MONOTONIC); }
u64 plat_walltime(void) { return clock_ns(HOST_CLOCK_REALTIME); }

static bool cpu_has_invariant_tsc(void) {
  u32 a = 0x80000000u, b, c, d;
  __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
  if (a < 0x80000007u)
    return false;
  a = 0x80000007u;
  __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
  return d & INVARIANT_TSC;
}

void clock_init(bool host_uses_tsc) { tsc_usable = host_uses_tsc && cpu_has_invariant_tsc(); }

/* Reads both clocks at one moment; false if something came in between. */
static bool read_both(u64 *tsc, u64 *ns) {
  u64 before = __builtin_ia32_rdtsc();
  *ns = plat_now();
  u64 took = __builtin_ia32_rdtsc() - before;
  *tsc = before + took / 2;
  return took < READ_CYCLES;
}

static u64 hand_out(struct clock_anchor *a, u64 now) {
  if (now > a->last)
    a->last = now;
  return a->last;
}

/* Takes a new anchor, and the counter's pace from the distance to the old one. */
static __attribute__((noinline)) u64 reanchor(struct clock_anchor *a) {
  u64 tsc, ns;
  if (!tsc_usable)
    return plat_now();
  if (!read_both(&tsc, &ns))
    return hand_out(a, ns);
  u64 cycles = tsc - a->tsc, passed = ns - a->ns;
  if (cycles < ANCHOR_CYCLES) /* the first anchor is still too close */
    return hand_out(a, ns);
  if (a->tsc != 0 && cycles < SLOPE_MAX && passed < SLOPE_MAX)
    a->mult = (passed << CLOCK_SHIFT) / cycles;
  a->tsc = tsc;
  a->ns = ns;
  return hand_out(a, ns);
}

u64 plat_now_here(void) {
  struct clock_anchor *a = &vcpu_self()->clock;
  u64 cycles = __builtin_ia32_rdtsc() - a->tsc;
  if (unlikely(cycles >= ANCHOR_CYCLES || a->mult == 0))
    return reanchor(a);
  return hand_out(a, a->ns + (cycles * a->mult >> CLOCK_SHIFT));
}
