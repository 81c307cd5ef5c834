/* SPDX-License-Identifier: MIT */
/*
 * The local interrupt controller of each CPU: an x2APIC, whose registers are MSRs and which sends
 * an interrupt with one write, where the CPUs have it; else registers in memory. A machine is of
 * one kind throughout.
 */
#include "lib/fmt.h"
#include "plat/pc/cpu.h"
#include "plat/pc/irq.h"

/* Registers, in bytes; an x2APIC has an MSR for each 16 of them. */
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
#define MSR_APIC_BASE 0x1bu
#define APIC_ENABLE 0x800u
#define APIC_X2 0x400u
#define MSR_X2APIC 0x800u
#define CPUID_X2APIC (1u << 21)
#define ID_LAST 254u /* 255 is everybody, and more do not fit where devices name a CPU */

static bool x2;
static volatile u32 *registers; /* where they are in memory */
static bool is_virtual;         /* there is a hypervisor */

static u32 get(u32 reg) { return x2 ? (u32)rdmsr(MSR_X2APIC + reg / 16) : registers[reg / 4]; }

static void put(u32 reg, u32 v) {
  if (x2)
    wrmsr(MSR_X2APIC + reg / 16, v);
  else
    registers[reg / 4] = v;
}

/* ---- start ----------------------------------------------------------------------------------- */

void lapic_find(void) {
  u32 features = cpuid(1, 0).c;
  is_virtual = features >> 31;
  x2 = features & CPUID_X2APIC;
  if (!x2) {
    registers = device_map(rdmsr(MSR_APIC_BASE) & 0xfffff000, PAGE_SIZE);
    if (!registers)
      plat_panic("out of memory for the interrupt controller's registers");
  }
}

bool lapic_is_x2(void) { return x2; }

/* Only one that is on can become an x2APIC. */
static void switch_on(void) {
  u64 base = rdmsr(MSR_APIC_BASE) | APIC_ENABLE;
  wrmsr(MSR_APIC_BASE, base);
  if (x2)
    wrmsr(MSR_APIC_BASE, base | APIC_X2);
}

void lapic_init(void) {
  switch_on();
  u32 id = x2 ? get(LAPIC_ID) : get(LAPIC_ID) >> 24;
  if (id > ID_LAST) {
    char why[64];
    fmt(why, sizeof why, "this CPU's LAPIC id is %u: only ids below 255 are supported", id);
    plat_panic(why);
  }
  vcpu_self()->lapic_id = id;
  put(LAPIC_TPR, 0);
  put(LAPIC_LVT_LINT0, LVT_MASKED);
  put(LAPIC_LVT_LINT1, LVT_MASKED);
  put(LAPIC_TIMER_DIVIDE, DIVIDE_16);
  put(LAPIC_LVT_TIMER, VECTOR_TIMER);
  put(LAPIC_SVR, 0x100 | VECTOR_SPURIOUS);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

void lapic_timer_start(u32 count) { put(LAPIC_TIMER_INITIAL, count); }
u32 lapic_timer_left(void) { return get(LAPIC_TIMER_CURRENT); }
void lapic_end_of_interrupt(void) { put(LAPIC_EOI, 0); }

/* Two writes, the second of which sends. Virtual controllers deliver at once, and every access is
   expensive. */
static void send_by_memory(u32 lapic_id, u32 command) {
  u64 flags = irq_save();
  while (!is_virtual && get(LAPIC_ICR_LO) & ICR_PENDING)
    __builtin_ia32_pause();
  put(LAPIC_ICR_HI, lapic_id << 24);
  put(LAPIC_ICR_LO, command);
  irq_restore(flags);
}

/* The write of an MSR waits for nothing: what the other CPU is to see has to be visible before. */
static void send_by_msr(u32 lapic_id, u32 command) {
  __asm__ volatile("mfence; lfence" : : : "memory");
  wrmsr(MSR_X2APIC + LAPIC_ICR_LO / 16, (u64)lapic_id << 32 | command);
}

static void send(u32 lapic_id, u32 command) {
  if (x2)
    send_by_msr(lapic_id, command);
  else
    send_by_memory(lapic_id, command);
}

void lapic_interrupt(u32 lapic_id, u8 vector) { send(lapic_id, ICR_ASSERT | vector); }
void lapic_reset(u32 lapic_id) { send(lapic_id, ICR_ASSERT | ICR_INIT); }
void lapic_startup(u32 lapic_id, u8 page) { send(lapic_id, ICR_ASSERT | ICR_STARTUP | page); }
void lapic_nmi(u32 lapic_id) { send(lapic_id, ICR_ASSERT | ICR_NMI); }
