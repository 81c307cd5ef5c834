/* SPDX-License-Identifier: MIT */
/*
 * More than one CPU: starting the others, flushes of TLBs that everybody must have done, and the
 * end of all of them.
 */
#include "kernel/kassert.h"
#include "kernel/klog.h"
#include "kernel/thread.h"
#include "lib/string.h"
#include "plat/pc/cpu.h"
#include "plat/pc/cpulist.h"
#include "plat/pc/pagetable.h"
#include "plat/pc/pc.h"
#include "plat/pc/tlb.h"

/* Real hardware wants pauses around its reset, virtual CPUs do not. */
#define RESET_NS (cpuid(1, 0).c >> 31 ? 0 : 10000000)
#define AGAIN_NS 1000000    /* then the start-up interrupt is repeated */
#define PATIENCE 2000000000 /* what a host with little time to spare may take */
#define STOP_SPINS 100000

/* ap.S */
extern const char ap_trampoline[], ap_trampoline_end[];
extern u64 ap_root;
extern struct thread *ap_stack; /* of the CPU that starts next; atomic */
_Noreturn void smp_ap_main(struct thread *stack);

static u32 arrived; /* CPUs that have said so, CPU 0 included; atomic */
static u32 go;      /* atomic */

/* ---- starting: CPU 0 ------------------------------------------------------------------------- */

static void pause_for(u64 ns) {
  for (u64 end = plat_now() + ns; plat_now() < end;)
    __builtin_ia32_pause();
}

static bool arrives(unsigned cpu, u64 ns) {
  u64 end = plat_now() + ns;
  while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) <= cpu) {
    if (plat_now() > end)
      return false;
    __builtin_ia32_pause();
  }
  return true;
}

static void start_up(u32 lapic_id) { lapic_startup(lapic_id, TRAMPOLINE_PHYS >> PAGE_SHIFT); }

/* False: it does not come. Its stack is no longer on offer then. */
static bool start_one(unsigned cpu, u32 lapic_id) {
  struct thread *stack = plat_thread_alloc();
  if (!stack || cpu_prepare(cpu) != 0)
    return false;
  stack->cpu = cpu;
  stack->uregs = (struct uregs *)((char *)stack + UF_UREGS);
  str_copy(stack->name, "start", sizeof stack->name);
  __atomic_store_n(&ap_stack, stack, __ATOMIC_SEQ_CST);
  lapic_reset(lapic_id);
  pause_for(RESET_NS);
  start_up(lapic_id);
  if (!arrives(cpu, AGAIN_NS)) {
    start_up(lapic_id);
    if (!arrives(cpu, PATIENCE) && __atomic_exchange_n(&ap_stack, NULL, __ATOMIC_SEQ_CST))
      return false;
    while (!arrives(cpu, PATIENCE)) /* it has taken the stack: it is on its way */
      klog("CPU with LAPIC id %u is slow to start", lapic_id);
  }
  vcpu_count = cpu + 1;
  clock_compare(cpu);
  return true;
}

static const u8 *low_memory(u64 p) { return p < MIB(1) - PAGE_SIZE ? phys_ptr(p) : NULL; }

/* LAPIC ids of all CPUs: from ACPI, or from the older table, which lies below the firmware or
   directly below 640 KiB. */
static unsigned read_ids(u32 *ids) {
  const u8 *madt = acpi_table("APIC", 0);
  unsigned refused = 0, n = madt ? madt_cpus(madt, ids, MAX_CPUS, &refused) : 0;
  if (refused)
    klog("%u CPUs are not used: only LAPIC ids below 255 are supported", refused);
  if (n == 0)
    n = mptable_cpus(phys_ptr(0xf0000), 0x10000, low_memory, ids, MAX_CPUS);
  return n ? n : mptable_cpus(phys_ptr(0x9f800), 0x800, low_memory, ids, MAX_CPUS);
}

void smp_start(unsigned max) {
  u32 ids[MAX_CPUS];
  unsigned n = read_ids(ids);
  size_t size = (size_t)(ap_trampoline_end - ap_trampoline);
  arrived = 1;
  if (n > 1 && !bootinfo.low_memory) {
    klog("no memory below 1 MiB to start other CPUs from");
    return;
  }
  memcpy(phys_ptr(TRAMPOLINE_PHYS), ap_trampoline, size);
  ap_root = pagetable_root();
  for (unsigned i = 0; i < n && (max == 0 || vcpu_count < max); i++)
    if (ids[i] != vcpus[0].lapic_id && !start_one(vcpu_count, ids[i]))
      klog("CPU with LAPIC id %u does not start", ids[i]);
}

void smp_go(void) {
  __atomic_store_n(&go, 1, __ATOMIC_SEQ_CST);
  for (unsigned i = 1; i < vcpu_count; i++)
    plat_cpu_kick(i);
}

/* ---- starting: the others -------------------------------------------------------------------- */

/* Until CPU 0 has set the scheduler up and left its first stack for good. */
static void wait_for_core(void) {
  while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
    __asm__ volatile("sti; hlt; cli" : : : "memory");
  while (__atomic_load_n(&vcpus[0].current, __ATOMIC_ACQUIRE) == &boot_thread)
    __builtin_ia32_pause();
  __asm__ volatile("sti" : : : "memory");
}

_Noreturn void smp_ap_main(struct thread *stack) {
  unsigned cpu = stack->cpu;
  cpu_init(cpu, stack);
  lapic_init();
  __atomic_store_n(&arrived, cpu + 1, __ATOMIC_RELEASE);
  clock_answer();
  wait_for_core();
  tick_busy();
  kernel_cpu_main(cpu);
}

/* ---- TLBs ------------------------------------------------------------------------------------ */

static u64 to_flush; /* CPUs that have not yet; atomic */

void smp_tlb_shootdown(u64 cpus) {
  __atomic_store_n(&to_flush, cpus, __ATOMIC_SEQ_CST);
  for (u64 left = cpus; left; left &= left - 1)
    lapic_interrupt(vcpus[__builtin_ctzl(left)].lapic_id, VECTOR_FLUSH);
  while (__atomic_load_n(&to_flush, __ATOMIC_SEQ_CST))
    __builtin_ia32_pause();
}

void smp_flush_interrupt(void) {
  tlb_shootdown_self();
  __atomic_and_fetch(&to_flush, ~(1UL << vcpu_self()->id), __ATOMIC_SEQ_CST);
}

/* ---- the end --------------------------------------------------------------------------------- */

static u32 stopping; /* the number of the CPU that stops the others, plus 1; atomic */
static u32 stopped;  /* CPUs; atomic */

static _Noreturn void halt(void) {
  __atomic_add_fetch(&stopped, 1, __ATOMIC_SEQ_CST);
  for (;;)
    __asm__ volatile("cli; hlt");
}

void smp_nmi(void) {
  if (__atomic_load_n(&stopping, __ATOMIC_SEQ_CST))
    halt();
}

void smp_stop_others(void) {
  u32 me = vcpu_self()->id + 1, first = 0;
  if (!__atomic_compare_exchange_n(&stopping, &first, me, false, __ATOMIC_SEQ_CST,
                                   __ATOMIC_SEQ_CST) &&
      first != me)
    halt();
  if (vcpu_count == 1 || first == me)
    return;
  /* One by one: CPUs that have not been started may not take it well. */
  for (u32 i = 0; i < vcpu_count; i++)
    if (i + 1 != me)
      lapic_nmi(vcpus[i].lapic_id);
  for (u32 i = 0; i < STOP_SPINS && __atomic_load_n(&stopped, __ATOMIC_SEQ_CST) + 1 < vcpu_count;
       i++)
    __builtin_ia32_pause();
}
