/* SPDX-License-Identifier: MIT */
/* CPUs: descriptor tables, control registers, context switch, kick, idle. */
#include "plat/pc/cpu.h"
#include "kernel/errno.h"
#include "lib/string.h"
#include "plat/pc/frames.h"
#include "plat/pc/irq.h"
#include "plat/pc/pc.h"
#include "plat/pc/reclaim.h"

#define CR0_WANTED 0x80050033UL /* PG AM WP NE ET MP PE; EM and TS clear */
#define CR0_AM 0x40000UL
#define CR4_PAE 0x20u
#define CR4_PGE 0x80u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_FSGSBASE 0x10000u
#define CR4_OSXSAVE 0x40000u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

#define SEL_CODE 8
#define SEL_DATA 16
#define SEL_TSS 24

/* Interrupt stacks by use; see trap.c. */
enum { IST_INTERRUPT = 1, IST_EXCEPTION, IST_NMI, IST_DOUBLE_FAULT, IST_MACHINE_CHECK, N_IST };
#define EARLY_STACK 4096

struct tss {
  u32 reserved0;
  u64 rsp[3], reserved1, ist[7], reserved2;
  u16 reserved3, iomap;
} __attribute__((packed));

struct idt_entry {
  u16 lo, selector;
  u8 ist, type;
  u16 mid;
  u32 hi, reserved;
};

struct table_ptr {
  u16 limit;
  u64 base;
} __attribute__((packed));

/* A CPU's own tables. */
struct cpu_tables {
  u64 gdt[5];
  struct tss tss;
};

struct vcpu vcpus[MAX_CPUS];
unsigned vcpu_count = 1;
static struct cpu_tables boot_tables;
/* CPU 0's until there is memory for stacks with guards: only a bug comes here. */
static u8 early_stack[EARLY_STACK] __attribute__((aligned(16)));
static struct idt_entry idt[256];
static bool have_wrgsbase;

/* ---- descriptor tables ----------------------------------------------------------------------- */

static u8 ist_of(unsigned vector) {
  switch (vector) {
  case 2:
    return IST_NMI;
  case 8:
    return IST_DOUBLE_FAULT;
  case 18:
    return IST_MACHINE_CHECK;
  default:
    return vector < EXCEPTIONS ? IST_EXCEPTION : IST_INTERRUPT;
  }
}

static void fill_idt(void) {
  for (unsigned i = 0; i < 256; i++) {
    u64 to = (u64)pc_stubs + i * 16;
    idt[i] = (struct idt_entry){.lo = (u16)to,
                                .selector = SEL_CODE,
                                .ist = ist_of(i),
                                .type = 0x8e, /* present, interrupt gate */
                                .mid = (u16)(to >> 16),
                                .hi = (u32)(to >> 32)};
  }
}

static void load_tables(struct cpu_tables *t) {
  u64 tss = (u64)&t->tss, limit = sizeof(t->tss) - 1;
  t->gdt[1] = 0x00af9b000000ffff; /* code */
  t->gdt[2] = 0x00cf93000000ffff; /* data */
  t->gdt[3] = limit | (tss & 0xffffff) << 16 | 0x89UL << 40 | (tss >> 24 & 0xff) << 56;
  t->gdt[4] = tss >> 32;
  t->tss.iomap = sizeof(t->tss);
  struct table_ptr gdtr = {sizeof(t->gdt) - 1, (u64)t->gdt}, idtr = {sizeof(idt) - 1, (u64)idt};
  __asm__ volatile("lgdt %0" : : "m"(gdtr) : "memory");
  __asm__ volatile("pushq %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:"
                   :
                   : "i"(SEL_CODE)
                   : "rax", "memory");
  __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss; mov %1, %%fs; mov %1, %%gs"
                   :
                   : "r"(SEL_DATA), "r"(0));
  __asm__ volatile("lidt %0; ltr %w1" : : "m"(idtr), "r"(SEL_TSS) : "memory");
}

static void set_control_registers(void) {
  u64 cr4;
  struct cpuid one = cpuid(1, 0), seven = cpuid(7, 0);
  __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
  cr4 |= CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
  if (seven.b & 1) {
    cr4 |= CR4_FSGSBASE;
    have_wrgsbase = true;
  }
  if (one.c & (1u << 26))
    cr4 |= CR4_OSXSAVE;
  __asm__ volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
  if (cr4 & CR4_OSXSAVE)
    __asm__ volatile("xsetbv" : : "c"(0), "a"(one.c & (1u << 28) ? 7 : 3), "d"(0));
  __asm__ volatile("mov %0, %%cr0" : : "r"(CR0_WANTED & ~CR0_AM) : "memory");
  __asm__ volatile("fninit");
}

/* Blocks of the kind that threads have, for the guards below them and for the names that a panic
   shows. */
static int make_stacks(unsigned cpu, struct tss *tss) {
  static const char *const names[N_IST] = {[IST_INTERRUPT] = "interrupts",
                                           [IST_EXCEPTION] = "exceptions",
                                           [IST_NMI] = "NMI",
                                           [IST_DOUBLE_FAULT] = "double fault",
                                           [IST_MACHINE_CHECK] = "machine check"};
  for (int i = 1; i < N_IST; i++) {
    struct thread *block = plat_thread_alloc();
    if (!block)
      return -ENOMEM;
    block->cpu = cpu;
    str_copy(block->name, names[i], sizeof block->name);
    tss->ist[i - 1] = (u64)block;
  }
  return 0;
}

void cpu_guard_stacks(void) {
  if (make_stacks(0, &boot_tables.tss) != 0)
    plat_panic("out of memory for interrupt stacks");
}

int cpu_prepare(unsigned cpu) {
  vcpus[cpu].tables = plat_pages_alloc(1, PAGE_SIZE);
  return vcpus[cpu].tables ? make_stacks(cpu, &vcpus[cpu].tables->tss) : -ENOMEM;
}
_Static_assert(sizeof(struct cpu_tables) <= PAGE_SIZE, "cpu_prepare");

void cpu_init(unsigned cpu, struct thread *stack) {
  struct vcpu *v = &vcpus[cpu];
  if (cpu == 0) {
    v->tables = &boot_tables;
    for (int i = 1; i < N_IST; i++)
      boot_tables.tss.ist[i - 1] = (u64)early_stack + EARLY_STACK;
    str_copy(stack->name, "start", sizeof stack->name);
    fill_idt();
  }
  load_tables(v->tables);
  v->self = v;
  v->id = cpu;
  v->current = stack;
  v->armed = UINT64_MAX;
  stack->cpu = cpu;
  wrmsr(MSR_FS_BASE, (u64)v);
  set_control_registers();
}

unsigned plat_ncpus(void) { return vcpu_count; }

/* ---- switching ------------------------------------------------------------------------------- */

static void load_gs(struct vcpu *v, u64 base) {
  if (v->gs_base == base)
    return;
  v->gs_base = base;
  if (likely(have_wrgsbase))
    __asm__ volatile("wrgsbase %0" : : "r"(base));
  else
    wrmsr(MSR_GS_BASE, base);
}

static void enter_region(struct vcpu *v, struct region *r) {
  v->entered = r->tlb;
  tlb_enter(r);
}

/* The region may be gone: its last thread forgets it before it ends. */
static void leave_region(struct vcpu *v) {
  if (vcpu_count > 1 && v->entered) /* one CPU interrupts no others */
    tlb_leave(v->entered);
  v->entered = NULL;
}

void plat_region_activate(struct thread *t) {
  t->tcb_base = t->region ? region_base(t->region) : 0;
  if (t != thread_current())
    return;
  struct vcpu *v = vcpu_self();
  leave_region(v);
  if (t->region)
    enter_region(v, t->region);
  load_gs(v, t->tcb_base);
}

/* What a switched-in thread does first, on its own stack. */
static inline __attribute__((always_inline)) void switch_finish(struct thread *t) {
  struct vcpu *v = vcpu_self();
  if (t->region) {
    enter_region(v, t->region);
    load_gs(v, t->tcb_base);
  }
  if (unlikely(v->pending)) { /* an interrupt came between two threads */
    v->pending = 0;
    __atomic_or_fetch(&t->work, WORK_RESCHED, __ATOMIC_SEQ_CST);
  }
}

void uf_switch_finish(struct thread *t) { switch_finish(t); }

inline __attribute__((always_inline)) void plat_switch(struct thread *from, struct thread *to) {
  struct vcpu *v = vcpu_self();
  fpu_switch(v, from->region && from->state != THREAD_DEAD ? from : NULL, to->region ? to : NULL);
  leave_region(v);
  v->current = to;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  uf_switch_stacks(&from->ksp, to->ksp);
  switch_finish(thread_current());
}

/* ---- kicks and idling ------------------------------------------------------------------------ */

void plat_cpu_kick(unsigned cpu) {
  struct vcpu *v = &vcpus[cpu];
  struct vcpu *self = vcpu_self();
  if (v == self) {
    __atomic_or_fetch(&v->current->work, WORK_RESCHED, __ATOMIC_SEQ_CST);
    return;
  }
  if (__atomic_exchange_n(&v->kicked, 1, __ATOMIC_SEQ_CST) == 0)
    lapic_interrupt(v->lapic_id, VECTOR_KICK);
}

/* Has an interrupt come since the idle thread last looked at the queues (schedule)? It may have
   been a kick, or the timer. */
static bool was_interrupted(void) {
  return __atomic_load_n(&thread_current()->work, __ATOMIC_RELAXED) & WORK_RESCHED;
}

/* Sleeps unless there is something to do. Between the look and the `hlt` no interrupt can come in:
   `sti` takes effect after the next instruction. */
static void sleep_until(u64 deadline, bool listen) {
  __asm__ volatile("cli" : : : "memory");
  bool busy = was_interrupted() || (listen && io_is_pending());
  if (!busy && deadline > plat_now()) {
    tick_arm(deadline);
    __asm__ volatile("sti; hlt" : : : "memory");
  } else {
    __asm__ volatile("sti" : : : "memory");
  }
}

static void idle(unsigned cpu, u64 deadline, bool listen) {
  struct vcpu *v = &vcpus[cpu];
  if (unlikely(reclaim_is_asked()))
    reclaim_give();
  __atomic_store_n(&v->idle, 1, __ATOMIC_SEQ_CST);
  while (!was_interrupted() && !io_is_pending() && frames_zero_ahead())
    ;
  sleep_until(deadline, listen);
  __atomic_store_n(&v->idle, 0, __ATOMIC_SEQ_CST);
  v->pending = 0; /* the idle thread looks at everything next */
  tick_busy();
  if (listen)
    io_poll_all();
}

void plat_cpu_idle(unsigned cpu, u64 deadline) { idle(cpu, deadline, true); }
void plat_cpu_nap(unsigned cpu, u64 deadline) { idle(cpu, deadline, false); }
void plat_poll_io(void) { io_poll_all(); }
void plat_poll_all_io(void) { io_poll_all(); }
void plat_relax(void) { __builtin_ia32_pause(); }
