/* SPDX-License-Identifier: MIT */
/*
 * CPUs: descriptor tables and stacks (cpu.c), switching, idling, kicks. %fs shows the CPU's struct
 * vcpu for good: user code never uses %fs.
 */
#ifndef UFORK_PC_CPU_H
#define UFORK_PC_CPU_H

#include "plat/x86/entry.h"

struct vcpu {
  struct vcpu *self;          /* %fs:0 */
  struct thread *current;     /* what runs here */
  struct thread *fpu_owner;   /* whose vector state an idle CPU still has: plat/x86/fpu.c */
  u64 gs_base;                /* what %gs shows */
  struct region_tlb *entered; /* of the region that this CPU counts as running; NULL: none */
  u32 id;
  u32 kicked;      /* a kick is on its way; atomic */
  u32 pending;     /* an interrupt found the kernel: the running thread must look. This CPU only */
  u32 idle;        /* sleeps or is about to; atomic */
  u32 tick_needed; /* atomic */
  bool in_handler; /* of a device. This CPU only */
  u32 lapic_id;
  struct cpu_tables *tables;
  i64 tsc_ahead; /* of CPU 0's; clock.c */
  u64 armed;     /* when the timer interrupts; UINT64_MAX: never. This CPU, interrupts off */
  u64 sample_at; /* when the running thread is next sampled; as above */
} __attribute__((aligned(128)));

extern struct vcpu vcpus[MAX_CPUS];
extern unsigned vcpu_count;

_Static_assert(offsetof(struct vcpu, current) == VCPU_CURRENT, "plat_current.h");

/* The CPU this is called on. */
static inline struct vcpu *vcpu_self(void) {
  struct vcpu *v;
  __asm__ volatile("mov %%fs:0, %0" : "=r"(v));
  return v;
}

/* ---- instructions ---------------------------------------------------------------------------- */

static inline u64 irq_save(void) {
  u64 flags;
  __asm__ volatile("pushf; pop %0; cli" : "=r"(flags) : : "memory");
  return flags;
}
static inline void irq_restore(u64 flags) {
  if (flags & 0x200)
    __asm__ volatile("sti" : : : "memory");
}
static inline void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outw(u16 port, u16 v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outl(u16 port, u32 v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }
static inline u8 inb(u16 port) {
  u8 v;
  __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}
static inline void wrmsr(u32 msr, u64 v) {
  __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}
static inline u64 rdmsr(u32 msr) {
  u32 a, d;
  __asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(msr));
  return (u64)d << 32 | a;
}
struct cpuid {
  u32 a, b, c, d;
};
static inline struct cpuid cpuid(u32 leaf, u32 sub) {
  struct cpuid r;
  __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
  return r;
}

/* ---- plat/x86/usercopy.c, in foreign.c
 * -------------------------------------------------------------- */

/* The kernel may also copy to a region that the running thread is not in (exec, /proc/PID/mem):
   then this is that region, and this CPU counts as running it until user_end, so that flushes reach
   it. NULL: the thread's own. */
struct region *foreign_begin(const void *user);
void foreign_end(struct region *foreign);
/* Brings the page at addr that was missing, or may not be written yet. */
bool user_page(struct region *foreign, u64 addr, bool write);

static inline struct region *user_begin(const void *user) {
  return likely(((u64)user ^ thread_current()->tcb_base) >> 32 == 0) ? NULL : foreign_begin(user);
}
static inline void user_end(struct region *foreign) {
  if (unlikely(foreign))
    foreign_end(foreign);
}

/* ---- start-up -------------------------------------------------------------------------------- */

/* Memory for the tables and interrupt stacks of a CPU other than 0, before it starts. -ENOMEM.
   Those of CPU 0 get guards: once, after pagetable_init; before, it has one stack without. */
void cpu_guard_stacks(void);
int cpu_prepare(unsigned cpu);
/* The calling CPU gets its descriptor tables, interrupt stacks, control registers and %fs. */
void cpu_init(unsigned cpu, struct thread *stack);

/* ---- interrupt.S, trap.c --------------------------------------------------------------------- */

/* What an interrupt or exception pushes; the handler may change it. */
struct trap_frame {
  u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
  u64 vector, error;
  u64 rip, cs, rflags, rsp, ss;
};
extern char pc_stubs[]; /* 16 bytes per vector */
#define EXCEPTIONS 32
void pc_exception(struct trap_frame *f);
void pc_interrupt(struct trap_frame *f);

/* ---- irq.c: what the rest of the platform asks of interrupts --------------------------------- */

/* The interrupt controllers; interrupts are on afterwards. Once, CPU 0. */
void irq_init(void);
/* Handles a vector; user: it interrupted user code. True if what was interrupted must look for work
   (kernel: before it returns to user code). */
bool irq_dispatch(unsigned vector, bool user);
/* Has work been deferred that nobody has done yet? */
bool io_is_pending(void);
enum { VECTOR_KICK = 0xf0, VECTOR_TIMER, VECTOR_FLUSH, VECTOR_SPURIOUS = 0xff };

/* ---- lapic.c --------------------------------------------------------------------------------- */

/* What kind the CPUs' local APICs are, and where. Once, CPU 0, before all that follows. */
void lapic_find(void);
/* Are they x2APICs? */
bool lapic_is_x2(void);
/* Switches the calling CPU's on. */
void lapic_init(void);
/* The interrupt that is being handled is done with. */
void lapic_end_of_interrupt(void);
/* Interrupts a CPU. */
void lapic_interrupt(u32 lapic_id, u8 vector);
/* Resets a CPU so that it waits for lapic_startup, which makes it run at physical address
   page * 4096 in real mode. */
void lapic_reset(u32 lapic_id);
void lapic_startup(u32 lapic_id, u8 page);
/* A non-maskable interrupt. */
void lapic_nmi(u32 lapic_id);
/* One-shot timer of this CPU: interrupts after `count` ticks of the LAPIC's clock. */
void lapic_timer_start(u32 count);
u32 lapic_timer_left(void);

/* ---- smp.c
 * --------------------------------------------------------------------------------------- */

/* Starts the other CPUs (at most `max` in all, 0: all there are), which wait. CPU 0, once. */
void smp_start(unsigned max);
/* They run the core as soon as CPU 0 does. */
void smp_go(void);
/* Handler of VECTOR_FLUSH. */
void smp_flush_interrupt(void);
/* Stops all other CPUs where they are, for good. Does not return on a CPU if another one was first.
 */
void smp_stop_others(void);
/* A non-maskable interrupt: returns if it was not for us. */
void smp_nmi(void);

/* ---- tick.c ---------------------------------------------------------------------------------- */

/* Ticks of the LAPIC timer per second. */
void tick_init(u64 lapic_hz);
/* The timer of this CPU interrupts at `deadline` at the latest. */
void tick_arm(u64 deadline);
/* Its handler; user: user code was interrupted. */
void tick_interrupt(bool user);
/* The CPU is not idle any more: its time is sampled. */
void tick_busy(void);

/* ---- clock.c --------------------------------------------------------------------------------- */

/* Finds the frequencies of the TSC and the LAPIC timer and the time of day. */
void clock_init(void);
/* Compares the counters of two CPUs: the one that was there first asks, CPU `cpu`, which has just
   started, answers at the same time. From then on both show the same time. */
void clock_compare(unsigned cpu);
void clock_answer(void);

/* ---- serial.c -------------------------------------------------------------------------------- */

void serial_init(void);
/* Input by interrupt from now on. rx, in interrupt context, gets each byte; before, it is asked
   whether there is room for one (ask: no byte). */
void serial_listen(bool (*rx)(u8 byte, bool ask));
/* There is room again. Any context. */
void serial_resume(void);
void serial_write(const char *text, size_t n);

/* ---- backtrace.c ----------------------------------------------------------------------------- */

/* Logs the address, as a name and an offset if it is code of the kernel. */
void log_address(u64 addr);
/* Logs the callers of what runs at pc with this stack pointer. */
void log_backtrace(u64 pc, const u64 *sp);

#endif
