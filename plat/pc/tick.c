/* SPDX-License-Identifier: MIT */
/*
 * The LAPIC timer of each CPU, one-shot: the next tick, if threads queue, or the next timer of the
 * core, whichever is first, and on a busy CPU the next sample of what it does. It is never stopped:
 * an interrupt that nobody needs any more costs less than telling the timer.
 */
#include "kernel/time/timer.h"
#include "plat/pc/cpu.h"

#define RETRY_NS 100000 /* what was due has been left to a kernel that is busy: ask again */
#define SAMPLE_NS 10000000
#define LONGEST_NS 1000000000u /* fits the counter whatever its clock */

static u64 ticks_per_ns_32; /* LAPIC ticks per nanosecond, times 2^32 */

void tick_init(u64 lapic_hz) {
  ticks_per_ns_32 = (lapic_hz << 20) / 1000000000u << 12;
  if (ticks_per_ns_32 == 0)
    ticks_per_ns_32 = 1;
}

/* Interrupts off. */
static void program(struct vcpu *v, u64 now, u64 deadline) {
  u64 ns = deadline > now ? min_u64(deadline - now, LONGEST_NS) : 1;
  u64 count = ns * ticks_per_ns_32 >> 32;
  v->armed = now + ns;
  lapic_timer_start(count ? (u32)min_u64(count, UINT32_MAX) : 1);
}

void tick_arm(u64 deadline) {
  u64 flags = irq_save();
  struct vcpu *v = vcpu_self();
  if (deadline < v->armed)
    program(v, plat_now(), deadline);
  irq_restore(flags);
}

void tick_busy(void) { tick_arm(plat_now() + SAMPLE_NS); }

/* Where does the running thread spend its time? */
static void sample(struct vcpu *v, u64 now, bool user) {
  if (now < v->sample_at)
    return;
  v->sample_at = now + SAMPLE_NS;
  if (user)
    v->current->used.user_samples++;
  else
    v->current->used.core_samples++;
}

static u64 tick_period(unsigned cpu) {
  for (unsigned i = 0; i < plat_ncpus(); i++)
    if (i != cpu && __atomic_load_n(&vcpus[i].idle, __ATOMIC_RELAXED))
      return PLAT_WATCH_NS;
  return PLAT_TICK_NS;
}

/* Whatever the interrupt finds looks for timers and I/O before user code goes on. */
void tick_interrupt(bool user) {
  struct vcpu *v = vcpu_self();
  u64 now = plat_now();
  u64 timer = ktimer_next();
  u64 next = io_is_pending() || timer <= now ? now + RETRY_NS : timer;
  if (v->tick_needed)
    next = min_u64(next, now + tick_period(v->id));
  if (!v->idle) {
    sample(v, now, user);
    next = min_u64(next, v->sample_at);
  }
  v->armed = UINT64_MAX;
  if (next != UINT64_MAX)
    program(v, now, next);
}

void plat_tick_needed(unsigned cpu, bool needed) {
  __atomic_store_n(&vcpus[cpu].tick_needed, needed, __ATOMIC_RELAXED);
  if (needed && cpu == vcpu_self()->id)
    tick_arm(plat_now() + tick_period(cpu));
}

void plat_timer_changed(u64 deadline) { tick_arm(deadline); }
