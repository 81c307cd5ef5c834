/* SPDX-License-Identifier: MIT */
/*
 * Kernel bugs on demand, in an image of their own (pc.mk): `overflow=WHERE` on the command line
 * makes a kernel stack grow until something stops it. test/pc_stacks.py looks at what is said then.
 */
#include "kernel/time/timer.h"
#include "lib/string.h"
#include "plat/pc/cpu.h"
#include "plat/pc/irq.h"
#include "plat/pc/pc.h"

#define PERIOD 5000000

static struct ktimer timer;
static volatile bool without_end = true;

static __attribute__((noipa)) u64 grow(u64 depth) {
  volatile u64 here[16];
  here[depth % 16] = depth;
  return without_end ? grow(depth + 1) + here[depth % 16] : 0;
}

static void in_interrupt(void *unused) {
  (void)unused;
  grow(0);
}

/* What I/O leaves to do is done by whoever comes by, on its way to user code or idle. */
static void in_thread(void *unused) {
  (void)unused;
  if (thread_current()->region)
    grow(0);
}

static void ring(struct ktimer *t) {
  irq_defer();
  ktimer_arm(t, plat_now() + PERIOD);
}

void selftest_start(void) {
  char where[16];
  if (!cmdline_value("overflow", where, sizeof where))
    return;
  if (strcmp(where, "boot") == 0)
    grow(0);
  if (strcmp(where, "interrupt") == 0)
    lapic_interrupt(vcpu_self()->lapic_id, (u8)irq_vector_take("a test", in_interrupt, NULL));
  if (strcmp(where, "thread") == 0) {
    io_poller_add(in_thread, NULL);
    ktimer_init(&timer, ring);
    ktimer_arm(&timer, plat_now() + PERIOD);
  }
}
