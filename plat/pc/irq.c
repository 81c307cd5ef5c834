/* SPDX-License-Identifier: MIT */
/* Vectors, the local and the I/O interrupt controllers, deferred device work. */
#include "plat/pc/irq.h"
#include "kernel/errno.h"
#include "kernel/kassert.h"
#include "kernel/klog.h"
#include "lib/spin.h"
#include "lib/string.h"
#include "plat/pc/cpu.h"
#include "plat/pc/pc.h"

enum { VECTOR_FIRST = 0x30, VECTOR_LAST = 0xef };
#define VECTOR_SPURIOUS 0xff

/* Registers of the LAPIC, in bytes. */
enum {
  LAPIC_ID = 0x20,
  LAPIC_TPR = 0x80,
  LAPIC_EOI = 0xb0,
  LAPIC_SVR = 0xf0,
  LAPIC_ICR_LO = 0x300,
  LAPIC_ICR_HI = 0x310,
  LAPIC_LVT_TIMER = 0x320,
  LAPIC_LVT_LINT0 = 0x350,
  LAPIC_LVT_LINT1 = 0x360,
  LAPIC_TIMER_INITIAL = 0x380,
  LAPIC_TIMER_CURRENT = 0x390,
  LAPIC_TIMER_DIVIDE = 0x3e0
};
#define LVT_MASKED 0x10000u
#define DIVIDE_16 3u
#define ICR_NMI 0x400u
#define ICR_INIT 0x500u
#define ICR_STARTUP 0x600u
#define ICR_PENDING 0x1000u
#define ICR_ASSERT 0x4000u
#define ICR_ALL_OTHERS 0xc0000u
#define MSR_APIC_BASE 0x1bu
#define APIC_ENABLE 0x800u

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

static volatile u32 *lapic;
static bool is_virtual; /* there is a hypervisor */
static struct ioapic ioapics[IOAPICS_MAX];
static unsigned n_ioapics;
static struct {
  void (*handler)(void *arg);
  void *arg;
} vectors[256];
static struct spin lock; /* vectors, I/O APICs */

/* ---- local APIC --------------------------------------------------------------------------------
 */

static u32 lapic_read(u32 reg) { return lapic[reg / 4]; }
static void lapic_write(u32 reg, u32 v) { lapic[reg / 4] = v; }

void lapic_init(void) {
  wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_ENABLE);
  vcpu_self()->lapic_id = lapic_read(LAPIC_ID) >> 24;
  lapic_write(LAPIC_TPR, 0);
  lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
  lapic_write(LAPIC_LVT_LINT1, LVT_MASKED);
  lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_16);
  lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER);
  lapic_write(LAPIC_SVR, 0x100 | VECTOR_SPURIOUS);
}

void lapic_timer_start(u32 count) { lapic_write(LAPIC_TIMER_INITIAL, count); }
u32 lapic_timer_left(void) { return lapic_read(LAPIC_TIMER_CURRENT); }

/* Virtual controllers deliver at once, and every access is expensive. */
static void send(u32 lapic_id, u32 command) {
  u64 flags = irq_save();
  while (!is_virtual && lapic_read(LAPIC_ICR_LO) & ICR_PENDING)
    __builtin_ia32_pause();
  lapic_write(LAPIC_ICR_HI, lapic_id << 24);
  lapic_write(LAPIC_ICR_LO, command);
  irq_restore(flags);
}

void lapic_interrupt(u32 lapic_id, u8 vector) { send(lapic_id, ICR_ASSERT | vector); }
void lapic_reset(u32 lapic_id) { send(lapic_id, ICR_ASSERT | ICR_INIT); }
void lapic_startup(u32 lapic_id, u8 page) { send(lapic_id, ICR_ASSERT | ICR_STARTUP | page); }

void lapic_stop_others(void) {
  if (lapic)
    send(0, ICR_ALL_OTHERS | ICR_ASSERT | ICR_NMI);
}

/* ---- I/O APICs ---------------------------------------------------------------------------------
 */

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

int irq_route_gsi(u32 gsi, int vector, bool level) {
  int err = -ENOENT;
  spin_lock(&lock);
  for (unsigned i = 0; i < n_ioapics; i++) {
    struct ioapic *a = &ioapics[i];
    if (gsi < a->gsi || gsi - a->gsi >= a->n)
      continue;
    u32 pin = gsi - a->gsi;
    ioapic_write(a, 0x11 + 2 * pin, vcpus[0].lapic_id << 24);
    ioapic_write(a, 0x10 + 2 * pin, (u32)vector | (level ? ENTRY_LEVEL : 0));
    err = 0;
  }
  spin_unlock(&lock);
  return err;
}

void irq_msi(int vector, u64 *addr, u32 *data) {
  *addr = 0xfee00000 | vcpus[0].lapic_id << 12;
  *data = (u32)vector;
}

/* ---- vectors -----------------------------------------------------------------------------------
 */

int irq_vector_take(void (*handler)(void *arg), void *arg) {
  int found = -ENOSPC;
  spin_lock(&lock);
  for (int v = VECTOR_FIRST; v <= VECTOR_LAST && found < 0; v++)
    if (!vectors[v].handler) {
      vectors[v].arg = arg;
      vectors[v].handler = handler;
      found = v;
    }
  spin_unlock(&lock);
  return found;
}

static void dispatch(unsigned vector, bool user) {
  if (vector == VECTOR_TIMER)
    tick_interrupt(user);
  else if (vector == VECTOR_KICK)
    __atomic_store_n(&vcpu_self()->kicked, 0, __ATOMIC_SEQ_CST);
  else if (vector == VECTOR_FLUSH)
    smp_flush_interrupt();
  else if (vectors[vector].handler)
    vectors[vector].handler(vectors[vector].arg);
}

bool irq_dispatch(unsigned vector, bool user) {
  if (vector == VECTOR_SPURIOUS || vector < VECTOR_FIRST)
    return false; /* of the LAPIC or of the masked 8259: not to be acknowledged */
  dispatch(vector, user);
  lapic_write(LAPIC_EOI, 0);
  return vector != VECTOR_FLUSH;
}

/* ---- deferred work -----------------------------------------------------------------------------
 */

static struct {
  void (*poll)(void *arg);
  void *arg;
} pollers[IO_POLLERS_MAX];
static u32 n_pollers;
static u32 deferred; /* work that no poll has begun after; atomic */
static u32 polling;  /* a CPU runs the pollers; atomic */

bool io_is_pending(void) { return __atomic_load_n(&deferred, __ATOMIC_SEQ_CST); }

void irq_defer(void) {
  __atomic_store_n(&deferred, 1, __ATOMIC_SEQ_CST);
  /* A CPU that is about to sleep looks once more; one that sleeps was not interrupted by us if the
     work comes from elsewhere. */
  if (__atomic_load_n(&vcpus[0].idle, __ATOMIC_SEQ_CST) && vcpu_self() != &vcpus[0])
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

/* ---- start -------------------------------------------------------------------------------------
 */

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
  is_virtual = cpuid(1, 0).c >> 31;
  lapic = device_map(rdmsr(MSR_APIC_BASE) & 0xfffff000, PAGE_SIZE);
  kassert(lapic);
  lapic_init();
  find_ioapics();
  __asm__ volatile("sti" : : : "memory");
}
