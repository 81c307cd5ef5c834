/* SPDX-License-Identifier: MIT */
/*
 * Host signals are the interrupts and exceptions of this machine. A handler never runs kernel code:
 * it moves the interrupted context to where the kernel continues (entry.S) and returns, so that the
 * host restores the vector registers and the signal mask.
 */
#include "lib/fmt.h"
#include "plat/hosted/behind.h"
#include "plat/hosted/cpu.h"
#include "plat/hosted/hosted.h"
#include "plat/hosted/hostio.h"
#include "plat/hosted/region.h"

enum { HOST_SIGILL = 4, HOST_SIGTRAP = 5, HOST_SIGBUS = 7, HOST_SIGFPE = 8, HOST_SIGSEGV = 11 };
enum { TRAPNO_GP = 13, TRAPNO_PF = 14 };
#define PF_WRITE 2u
#define CODE_SI_KERNEL 128
#define CODE_SEGV_MAPERR 1

static u64 external_pending; /* bit n: signal n */

static bool between(u64 pc, const char *from, const char *to) {
  return pc >= (u64)from && pc < (u64)to;
}

static void save_uregs(struct uregs *r, const u64 *g) {
  r->rax = g[LX_REG_RAX], r->rbx = g[LX_REG_RBX], r->rcx = g[LX_REG_RCX];
  r->rdx = g[LX_REG_RDX], r->rsi = g[LX_REG_RSI], r->rdi = g[LX_REG_RDI];
  r->rbp = g[LX_REG_RBP], r->rsp = g[LX_REG_RSP];
  r->r8 = g[LX_REG_R8], r->r9 = g[LX_REG_R9], r->r10 = g[LX_REG_R10];
  r->r11 = g[LX_REG_R11], r->r12 = g[LX_REG_R12], r->r13 = g[LX_REG_R13];
  r->r14 = g[LX_REG_R14];
  r->rip = g[LX_REG_RIP];
  r->rflags = (g[LX_REG_EFL] & RFLAGS_USER & ~RFLAGS_DF) | RFLAGS_FIXED;
  r->orig_rax = (u64)-1;
}

static void describe(struct trap_info *t, int sig, const struct lx_siginfo *info, const u64 *g) {
  *t = (struct trap_info){.signo = sig, .code = info->code};
  if (g[LX_REG_TRAPNO] == TRAPNO_PF && (sig == HOST_SIGSEGV || sig == HOST_SIGBUS)) {
    t->page_fault = true;
    t->addr = g[LX_REG_CR2];
    t->write = g[LX_REG_ERR] & PF_WRITE;
  } else if (sig == HOST_SIGSEGV || sig == HOST_SIGBUS) {
    t->signo = HOST_SIGSEGV;
    t->code = CODE_SI_KERNEL;
  } else {
    t->addr = info->addr;
  }
}

/* User code was interrupted: the thread continues on its kernel stack. */
static void enter_kernel(struct thread *t, int sig, const struct lx_siginfo *info, u64 *g) {
  struct uregs *r = (struct uregs *)((char *)t + UF_UREGS);
  save_uregs(r, g);
  g[LX_REG_RDI] = (u64)r;
  g[LX_REG_R15] = (u64)t;
  g[LX_REG_RBP] = 0;
  g[LX_REG_EFL] = RFLAGS_FIXED;
  g[LX_REG_RSP] = (u64)r - UF_TRAP_ROOM;
  if (sig == HOST_SIG_KICK || sig == HOST_SIG_SAMPLE) {
    g[LX_REG_RIP] = (u64)uf_trap_tick;
    return;
  }
  describe((struct trap_info *)g[LX_REG_RSP], sig, info, g);
  g[LX_REG_RIP] = (u64)uf_trap_fault;
}

/* A kick that finds the kernel: the running thread will look before it returns to user code. */
static void kick_in_kernel(struct vcpu *v, u64 *g) {
  u64 pc = g[LX_REG_RIP];
  v->pending = 1;
  __atomic_or_fetch(&v->current->work, WORK_RESCHED, __ATOMIC_SEQ_CST);
  g[LX_REG_RIP] = between(pc, uf_idle_check, uf_idle_end) ? (u64)uf_idle_out : uf_restart_exit(pc);
}

static _Noreturn void kernel_bug(int sig, const struct lx_siginfo *info, const u64 *g,
                                 const struct vcpu *v) {
  char msg[160];
  if (v &&
      v->current == thread_at(info->addr)) /* where a running thread has nothing but its stack */
    fmt(msg, sizeof(msg), "kernel stack of thread %d (%s) has overflowed, stack %p",
        v->current->tid, v->current->name, (void *)g[LX_REG_RSP]);
  else
    fmt(msg, sizeof(msg), "host signal %d (code %d) in the kernel, address %p, region %p, stack %p",
        sig, info->code, (void *)info->addr, (void *)(v ? v->current->tcb_base : 0),
        (void *)g[LX_REG_RSP]);
  life_panic_at(msg, g[LX_REG_RIP], g[LX_REG_RBP]);
}

/* Where does the running thread spend its time? */
static void sample(struct vcpu *v, const u64 *g) {
  if (g[LX_REG_RIP] < UF_WINDOW_HI)
    v->current->used.user_samples++;
  else
    v->current->used.core_samples++;
}

void hosted_signal(int sig, struct lx_siginfo *info, struct lx_ucontext *uc) {
  u64 *g = uc->gregs;
  struct vcpu *v = vcpu_self();
  if (sig == HOST_SIG_KICK) {
    if (!v)
      return;
    __atomic_store_n(&v->kicked, 0, __ATOMIC_SEQ_CST);
    if (g[LX_REG_RIP] < UF_WINDOW_HI)
      enter_kernel(v->current, sig, info, g);
    else
      kick_in_kernel(v, g);
  } else if (sig == HOST_SIG_SAMPLE) {
    if (!v)
      return;
    sample(v, g);
    /* Nobody else may be awake to look at what the host has to tell this vCPU. */
    bool user = g[LX_REG_RIP] < UF_WINDOW_HI;
    bool held = v->sent.kind == SENT_HELD || behind_holds(v);
    if (user && (held || hostio_has_members(v->id)))
      enter_kernel(v->current, sig, info, g);
    else if (held)
      kick_in_kernel(v, g);
  } else if (v && g[LX_REG_RIP] < UF_WINDOW_HI) {
    enter_kernel(v->current, sig, info, g);
  } else if (between(g[LX_REG_RIP], uf_copy_start, uf_copy_end) &&
             (sig == HOST_SIGSEGV || sig == HOST_SIGBUS)) {
    g[LX_REG_RDX] = info->addr;
    g[LX_REG_RIP] = (u64)uf_copy_fault;
  } else {
    kernel_bug(sig, info, g, v);
  }
}

/* ---- the kernel's side ----------------------------------------------------------------------- */

/* Before a signal may be delivered, or the thread ends. */
static struct vcpu *settle(void) {
  struct vcpu *v = vcpu_self();
  behind_poll(v);
  return v;
}

void uf_user_work(struct uregs *r) {
  settle()->pending = 0;
  deliver_external_signals();
  trap_tick(r);
}

void uf_user_leave(struct uregs *r) {
  settle()->pending = 0;
  deliver_external_signals();
  syscall_leave(r);
}

void uf_user_fault(struct uregs *r) {
  struct trap_info info = *(struct trap_info *)((char *)r - UF_TRAP_ROOM);
  struct region *region = thread_current()->region;
  settle()->pending = 0; /* this thread has its share of the kick; the next one owes nothing */
  /* Memory of a lazy segment ends with its object: past the end there is no mapping. */
  if (info.signo == HOST_SIGBUS && info.page_fault && region &&
      !region_is_object(region, info.addr - region_base(region))) {
    info.signo = HOST_SIGSEGV;
    info.code = CODE_SEGV_MAPERR;
  }
  trap_fault(r, &info);
}

void hosted_external_signal(int sig) {
  __atomic_or_fetch(&external_pending, 1UL << sig, __ATOMIC_SEQ_CST);
  plat_cpu_kick(0);
}

void deliver_external_signals(void) {
  if (likely(__atomic_load_n(&external_pending, __ATOMIC_RELAXED) == 0))
    return;
  u64 set = __atomic_exchange_n(&external_pending, 0, __ATOMIC_SEQ_CST);
  for (int sig = 1; sig < 64; sig++)
    if (set >> sig & 1)
      kernel_external_signal(sig);
}
