/* SPDX-License-Identifier: MIT */
/* Vectors, the I/O interrupt controllers, deferred device work. */
#include "plat/pc/irq.h"
#include "kernel/errno.h"
#include "kernel/kassert.h"
#include "kernel/klog.h"
#include "lib/spin.h"
#include "lib/string.h"
#include "plat/pc/cpu.h"
#include "plat/pc/pc.h"

enum { VECTOR_FIRST = 0x30, VECTOR_LAST = 0xef };

#define IOAPIC_DEFAULT 0xfec00000u
#define IOAPIC_SECOND 0xfec10000u
#define IOAPIC_SIZE 0x20
#define IOAPICS_MAX 8
#define ENTRY_MASKED 0x10000u
#define ENTRY_LEVEL 0x8000u

struct ioapic {
  volatile u32 *regs; /* [0] selects, [4] is the window */
  u32 gsi, n;
};

static struct ioapic ioapics[IOAPICS_MAX];
static unsigned n_ioapics;
static struct {
  void (*handler)(void *arg);
  void *arg;
  const char *name;
  u64 count; /* interrupts; atomic */
  u64 cpus;  /* where they came; atomic */
} vectors[256];
static struct spin lock; /* vectors, I/O APICs */

/* ---- I/O APICs ------------------------------------------------------------------------------- */

static u32 ioapic_read(struct ioapic *a, u32 reg) {
  a->regs[0] = reg;
  return a->regs[4];
}

static void ioapic_write(struct ioapic *a, u32 reg, u32 v) {
  a->regs[0] = reg;
  a->regs[4] = v;
}

/* False if there is none at p. */
static bool ioapic_add(u32 p, u32 gsi) {
  if (n_ioapics == IOAPICS_MAX)
    return false;
  struct ioapic *a = &ioapics[n_ioapics];
  a->regs = device_map(p, IOAPIC_SIZE);
  if (!a->regs)
    return false;
  u32 version = ioapic_read(a, 1);
  if (version == 0 || version == UINT32_MAX)
    return false;
  a->gsi = gsi;
  a->n = (version >> 16 & 0xff) + 1;
  for (u32 i = 0; i < a->n; i++)
    ioapic_write(a, 0x10 + 2 * i, ENTRY_MASKED);
  n_ioapics++;
  return true;
}

enum { MADT_IOAPIC = 1 };

/* Those that the MADT names; where there is no MADT, a microvm's. */
static void find_ioapics(void) {
  const u8 *madt = acpi_table("APIC", 0);
  u32 length = 0;
  if (madt)
    memcpy(&length, madt + 4, 4);
  for (u32 at = 44; at + 2 <= length && madt[at + 1] >= 2; at += madt[at + 1]) {
    u32 p, gsi;
    if (madt[at] != MADT_IOAPIC || at + 12 > length)
      continue;
    memcpy(&p, madt + at + 4, 4);
    memcpy(&gsi, madt + at + 8, 4);
    ioapic_add(p, gsi);
  }
  if (n_ioapics == 0 && ioapic_add(IOAPIC_DEFAULT, 0))
    ioapic_add(IOAPIC_SECOND, ioapics[0].n);
}

/* Devices' vectors are dealt out to the CPUs in turn. */
static u32 lapic_of(int vector) {
  return vcpus[(u32)(vector - VECTOR_FIRST) % vcpu_count].lapic_id;
}

int irq_route_gsi(u32 gsi, int vector, bool level) {
  int err = -ENOENT;
  spin_lock(&lock);
  for (unsigned i = 0; i < n_ioapics; i++) {
    struct ioapic *a = &ioapics[i];
    if (gsi < a->gsi || gsi - a->gsi >= a->n)
      continue;
    u32 pin = gsi - a->gsi;
    ioapic_write(a, 0x11 + 2 * pin, lapic_of(vector) << 24);
    ioapic_write(a, 0x10 + 2 * pin, (u32)vector | (level ? ENTRY_LEVEL : 0));
    err = 0;
  }
  spin_unlock(&lock);
  return err;
}

void irq_msi(int vector, u64 *addr, u32 *data) {
  *addr = 0xfee00000 | lapic_of(vector) << 12;
  *data = (u32)vector;
}

/* ---- vectors --------------------------------------------------------------------------------- */

int irq_vector_take(const char *name, void (*handler)(void *arg), void *arg) {
  int found = -ENOSPC;
  spin_lock(&lock);
  for (int v = VECTOR_FIRST; v <= VECTOR_LAST && found < 0; v++)
    if (!vectors[v].handler) {
      vectors[v].name = name;
      vectors[v].arg = arg;
      vectors[v].handler = handler;
      found = v;
    }
  spin_unlock(&lock);
  return found;
}

static void device_interrupt(unsigned vector) {
  struct vcpu *v = vcpu_self();
  __atomic_fetch_add(&vectors[vector].count, 1, __ATOMIC_RELAXED);
  __atomic_fetch_or(&vectors[vector].cpus, 1UL << v->id, __ATOMIC_RELAXED);
  v->in_handler = true;
  vectors[vector].handler(vectors[vector].arg);
  v->in_handler = false;
}

void irq_log(void) {
  klog("local APICs: %s", lapic_is_x2() ? "x2APIC" : "in memory");
  for (unsigned v = VECTOR_FIRST; v <= VECTOR_LAST; v++)
    if (vectors[v].handler)
      klog("interrupts of %s: %lu, CPUs %lx", vectors[v].name, vectors[v].count, vectors[v].cpus);
}

static void dispatch(unsigned vector, bool user) {
  if (vector == VECTOR_TIMER)
    tick_interrupt(user);
  else if (vector == VECTOR_KICK)
    __atomic_store_n(&vcpu_self()->kicked, 0, __ATOMIC_SEQ_CST);
  else if (vector == VECTOR_FLUSH)
    smp_flush_interrupt();
  else if (vectors[vector].handler)
    device_interrupt(vector);
}

bool irq_dispatch(unsigned vector, bool user) {
  if (vector == VECTOR_SPURIOUS || vector < VECTOR_FIRST)
    return false; /* of the LAPIC or of the masked 8259: not to be acknowledged */
  dispatch(vector, user);
  lapic_end_of_interrupt();
  return vector != VECTOR_FLUSH;
}

/* ---- deferred work --------------------------------------------------------------------------- */

static struct {
  void (*poll)(void *arg);
  void *arg;
} pollers[IO_POLLERS_MAX];
static u32 n_pollers;
static u32 deferred; /* work that no poll has begun after; atomic */
static u32 polling;  /* a CPU runs the pollers; atomic */

bool io_is_pending(void) { return __atomic_load_n(&deferred, __ATOMIC_SEQ_CST); }

void irq_defer(void) {
  struct vcpu *me = vcpu_self();
  __atomic_store_n(&deferred, 1, __ATOMIC_SEQ_CST);
  /* A CPU that a device has interrupted looks for work itself, before it returns to user code or
     sleeps. Otherwise it is ours, unless we are busy and there is one that is not. */
  if (!me->in_handler && me != &vcpus[0] && __atomic_load_n(&vcpus[0].idle, __ATOMIC_SEQ_CST))
    plat_cpu_kick(0);
}

void io_poller_add(void (*poll)(void *arg), void *arg) {
  kassert(n_pollers < IO_POLLERS_MAX);
  pollers[n_pollers].poll = poll;
  pollers[n_pollers].arg = arg;
  __atomic_store_n(&n_pollers, n_pollers + 1, __ATOMIC_RELEASE);
}

void io_poll_all(void) {
  while (io_is_pending()) {
    if (__atomic_exchange_n(&polling, 1, __ATOMIC_ACQUIRE))
      return; /* who polls looks again */
    __atomic_store_n(&deferred, 0, __ATOMIC_SEQ_CST);
    for (u32 i = 0; i < __atomic_load_n(&n_pollers, __ATOMIC_ACQUIRE); i++)
      pollers[i].poll(pollers[i].arg);
    __atomic_store_n(&polling, 0, __ATOMIC_RELEASE);
  }
}

/* ---- start ----------------------------------------------------------------------------------- */

/* The 8259s must not raise anything: vectors out of the exceptions' way, all inputs masked. */
static void silence_pic(void) {
  static const u8 init[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 0x20}, {0xa1, 0x28},
                               {0x21, 4},    {0xa1, 2},    {0x21, 1},    {0xa1, 1},
                               {0x21, 0xff}, {0xa1, 0xff}};
  for (unsigned i = 0; i < ARRAY_LEN(init); i++)
    outb(init[i][0], init[i][1]);
}

void irq_init(void) {
  silence_pic();
  lapic_find();
  lapic_init();
  find_ioapics();
  __asm__ volatile("sti" : : : "memory");
}
