/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and interrupts.
 *
 * User code runs in ring 0 like the kernel, so the CPU would push an interrupt's frame on whatever
 * %rsp holds: into user code's red zone, or anywhere near its region while %rsp is pending
 * (doc/abi.md, 4). Hence every vector has an interrupt stack (IST) of the CPU:
 *
 *  - interrupts share one, exceptions share another; both go through interrupt gates, so no
 * interrupt arrives while a handler runs, and no handler here can fault but by a bug. A frame is
 * thus never overwritten by a second one on the same stack. NMI, double fault and machine check,
 * which can come at any time, have stacks of their own and do not return into code they may have
 * cut in two (NMI returns at once and touches nothing).
 *  - a handler does not run kernel code of the core. It finds out whom it interrupted by %rip,
 * which user code cannot set to anything above UF_WINDOW_HI but by the gate: user code:  registers
 * are copied to the thread's uregs, and the frame is changed so that `iretq` continues at
 * uf_trap_tick or uf_trap_fault on the thread's own (empty) kernel stack, interrupts on. The
 * interrupt stack is free again by then, and the thread may sleep. the kernel: WORK_RESCHED is set
 * for the running thread, which looks at it before it returns to user code; nothing else happens.
 *  - the gate's first instructions run with user code's %rsp. That is the kernel by %rip, the
 * handler uses none of the interrupted stack, so nothing is special about them.
 *  - on the way out, work that is set after the uf_exit_ sequences (plat/x86/entry.S) have looked
 * would be seen only at the next entry. So these sequences start anew when interrupted: all they
 * need is %r15, uregs and registers that they do not write. Once the last jump has been taken, %rip
 * is below UF_WINDOW_HI and the interrupt is one of user code.
 *  - plat_switch: `current` changes before the stacks do. An interrupt in between sets work of the
 * new thread; one before that has set the old one's and `pending`, which the new thread takes over
 *    (uf_switch_finish). `current` is exact whenever user code runs.
 *  - a fault of the kernel is a bug, but in [uf_copy_start, uf_copy_end): there it ends the copy.
 *
 * `current`, not the stack pointer, names the thread (thread_current()), on these stacks as well.
 *
 * A kernel stack that grows too long ends in a guard (kstack.h): a page fault, whose handler has a
 * stack of its own and can say so.
 */
#include "include/ufork/abi.h"
#include "kernel/kassert.h"
#include "lib/fmt.h"
#include "plat/pc/cpu.h"
#include "plat/pc/irq.h"
#include "plat/pc/kstack.h"
#include "plat/pc/pc.h"
#include "plat/pc/reclaim.h"

enum { SIGILL_ = 4, SIGTRAP_ = 5, SIGBUS_ = 7, SIGFPE_ = 8, SIGSEGV_ = 11 };
enum {
  EXC_DIVIDE = 0,
  EXC_DEBUG = 1,
  EXC_NMI = 2,
  EXC_BREAKPOINT = 3,
  EXC_INVALID = 6,
  EXC_DOUBLE_FAULT = 8,
  EXC_STACK = 12,
  EXC_PROTECTION = 13,
  EXC_PAGE = 14,
  EXC_X87 = 16,
  EXC_MACHINE_CHECK = 18,
  EXC_SIMD = 19
};
#define PF_WRITE 2u
enum { CODE_KERNEL = 128, CODE_MAPERR = 1, CODE_ILLOPN = 2, CODE_TRACE = 2, CODE_ADRERR = 2 };
enum { FPE_INTDIV = 1, FPE_FLTDIV = 3, FPE_FLTOVF, FPE_FLTUND, FPE_FLTRES, FPE_FLTINV };

static bool between(u64 pc, const char *from, const char *to) {
  return pc >= (u64)from && pc < (u64)to;
}

static u64 fault_address(void) {
  u64 a;
  __asm__ volatile("mov %%cr2, %0" : "=r"(a));
  return a;
}

/* ---- what happened, in the terms of signals -------------------------------------------------- */

/* Of the exceptions that happened and are not masked; both units use the same bits. */
static int fpe_code(u32 bits) {
  return bits & 1    ? FPE_FLTINV
         : bits & 4  ? FPE_FLTDIV
         : bits & 8  ? FPE_FLTOVF
         : bits & 18 ? FPE_FLTUND /* and denormal operands */
         : bits & 32 ? FPE_FLTRES
                     : 0;
}

static int x87_code(void) {
  u16 sw, cw;
  __asm__ volatile("fnstsw %0; fnstcw %1" : "=m"(sw), "=m"(cw));
  return fpe_code(sw & ~(u32)cw);
}

static int simd_code(void) {
  u32 csr;
  __asm__ volatile("stmxcsr %0" : "=m"(csr));
  return fpe_code(csr & ~(csr >> 7));
}

static struct trap_info describe(const struct trap_frame *f) {
  struct trap_info t = {.signo = SIGSEGV_, .code = CODE_KERNEL};
  switch (f->vector) {
  case EXC_PAGE:
    return (struct trap_info){.signo = SIGSEGV_,
                              .code = CODE_MAPERR,
                              .addr = fault_address(),
                              .page_fault = true,
                              .write = f->error & PF_WRITE};
  case EXC_DIVIDE:
    return (struct trap_info){.signo = SIGFPE_, .code = FPE_INTDIV, .addr = f->rip};
  case EXC_X87:
    return (struct trap_info){.signo = SIGFPE_, .code = x87_code(), .addr = f->rip};
  case EXC_SIMD:
    return (struct trap_info){.signo = SIGFPE_, .code = simd_code(), .addr = f->rip};
  case EXC_INVALID:
    return (struct trap_info){.signo = SIGILL_, .code = CODE_ILLOPN, .addr = f->rip};
  case EXC_BREAKPOINT:
    t.signo = SIGTRAP_;
    return t;
  case EXC_DEBUG:
    return (struct trap_info){.signo = SIGTRAP_, .code = CODE_TRACE, .addr = f->rip};
  default:
    return t;
  }
}

/* ---- where the interrupted context continues ------------------------------------------------- */

static void save_uregs(struct uregs *r, const struct trap_frame *f) {
  r->rax = f->rax, r->rbx = f->rbx, r->rcx = f->rcx, r->rdx = f->rdx;
  r->rsi = f->rsi, r->rdi = f->rdi, r->rbp = f->rbp, r->rsp = f->rsp;
  r->r8 = f->r8, r->r9 = f->r9, r->r10 = f->r10, r->r11 = f->r11;
  r->r12 = f->r12, r->r13 = f->r13, r->r14 = f->r14;
  r->rip = f->rip;
  r->rflags = (f->rflags & RFLAGS_USER & ~RFLAGS_DF) | RFLAGS_FIXED;
  r->orig_rax = (u64)-1;
}

/* User code was interrupted: its thread continues at `at` on its kernel stack. */
static void enter_kernel(struct trap_frame *f, const char *at, const struct trap_info *info) {
  struct thread *t = vcpu_self()->current;
  struct uregs *r = (struct uregs *)((char *)t + UF_UREGS);
  save_uregs(r, f);
  f->rsp = (u64)r - UF_TRAP_ROOM;
  if (info)
    *(struct trap_info *)f->rsp = *info;
  f->rip = (u64)at;
  f->rdi = (u64)r;
  f->r15 = (u64)t;
  f->rbp = 0;
  f->rflags = RFLAGS_FIXED;
}

static bool is_user(const struct trap_frame *f) {
  return f->rip < UF_WINDOW_HI && vcpu_self()->current->region;
}

/* The kernel was interrupted: it looks before it returns to user code. */
static void leave_note(struct trap_frame *f) {
  struct vcpu *v = vcpu_self();
  v->pending = 1;
  __atomic_or_fetch(&v->current->work, WORK_RESCHED, __ATOMIC_SEQ_CST);
  f->rip = uf_restart_exit(f->rip);
}

static const char *exception_name(u64 vector) {
  switch (vector) {
  case EXC_INVALID:
    return "invalid instruction";
  case EXC_DOUBLE_FAULT:
    return "double fault";
  case EXC_PROTECTION:
    return "general protection fault";
  case EXC_PAGE:
    return "page fault";
  case EXC_MACHINE_CHECK:
    return "machine check";
  default:
    return "exception";
  }
}

static _Noreturn void kernel_bug(const struct trap_frame *f) {
  char msg[160];
  const struct thread *over = f->vector == EXC_PAGE ? kstack_below(fault_address()) : NULL;
  if (over && over->tid)
    fmt(msg, sizeof(msg), "kernel stack of thread %d (%s) has overflowed, stack %p", over->tid,
        over->name, (void *)f->rsp);
  else if (over)
    fmt(msg, sizeof(msg), "kernel stack of CPU %u (%s) has overflowed, stack %p", over->cpu,
        over->name, (void *)f->rsp);
  else
    fmt(msg, sizeof(msg), "%s (%lu) in the kernel, error %lx, address %p, stack %p",
        exception_name(f->vector), f->vector, f->error, (void *)fault_address(), (void *)f->rsp);
  panic_at(msg, f->rip, (const u64 *)f->rsp);
}

void pc_exception(struct trap_frame *f) {
  if (f->vector == EXC_NMI) {
    smp_nmi();
    return;
  }
  if (is_user(f) && f->vector != EXC_DOUBLE_FAULT && f->vector != EXC_MACHINE_CHECK) {
    struct trap_info info = describe(f);
    enter_kernel(f, uf_trap_fault, &info);
  } else if (f->vector == EXC_PAGE && between(f->rip, uf_copy_start, uf_copy_end)) {
    f->rdx = fault_address();
    f->rip = (u64)uf_copy_fault;
  } else {
    kernel_bug(f);
  }
}

void pc_interrupt(struct trap_frame *f) {
  bool user = is_user(f);
  if (!irq_dispatch((unsigned)f->vector, user))
    return;
  if (user)
    enter_kernel(f, uf_trap_tick, NULL);
  else
    leave_note(f);
}

/* ---- on the thread's kernel stack ------------------------------------------------------------ */

/* What every CPU looks for on the slow way to user code. */
static void look_around(void) {
  vcpu_self()->pending = 0;
  if (unlikely(reclaim_is_asked()))
    reclaim_give();
  io_poll_all();
}

void uf_user_work(struct uregs *r) {
  look_around();
  trap_tick(r);
}

void uf_user_leave(struct uregs *r) {
  look_around();
  syscall_leave(r);
}

/* Most faults are the platform's own (first touch, copy-on-write) and need nothing of the core.
   After one that found no memory there is nothing more to do: the µprocess has been killed. */
static bool resolve(struct region *region, struct trap_info *info) {
  u64 off = info->addr - region_base(region);
  if (off >= UF_REGION_SIZE)
    return false;
  if (reclaim_touch(region, (u32)off & (u32)PAGE_MASK, info->write) != FAULT_REFUSED)
    return true;
  if (region_is_object(region, off) && region_allows(region, off, info->write)) {
    info->signo = SIGBUS_; /* beyond the end of the object */
    info->code = CODE_ADRERR;
  }
  return false;
}

void uf_user_fault(struct uregs *r) {
  struct trap_info info = *(struct trap_info *)((char *)r - UF_TRAP_ROOM);
  struct region *region = thread_current()->region;
  if (info.page_fault && region && resolve(region, &info))
    return;
  trap_fault(r, &info);
}
