/* SPDX-License-Identifier: MIT */
/*
 * Signal frames, laid out as Linux's struct rt_sigframe on the user's stack, and sigreturn, which
 * believes nothing it finds there (doc/abi.md section 6).
 */
#include "kernel/mm/image.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/sig.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

#define RED_ZONE 128
#define FPSTATE_ALIGN 64

struct sigcontext {
  u64 r8, r9, r10, r11, r12, r13, r14, r15;
  u64 rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
  u16 cs, gs, fs, ss;
  u64 err, trapno, oldmask, cr2;
  u64 fpstate; /* offset of the vector state, FXSAVE layout first */
  u64 reserved[8];
};

struct ucontext {
  u64 flags, link;
  struct sigaltstack stack;
  struct sigcontext mc;
  u64 sigmask;
};

struct frame {
  u64 restorer; /* return address of the handler */
  struct ucontext uc;
  u8 info[128];
};

_Static_assert(sizeof(struct sigcontext) == 256, "Linux's layout");
_Static_assert(offsetof(struct ucontext, mc) == 40, "Linux's layout");
_Static_assert(offsetof(struct frame, info) == 8 + 304, "Linux's layout");

/* ---- siginfo ----------------------------------------------------------------------------- */

bool signal_has_address(const struct ksiginfo *i) {
  u64 faults =
      SIG_BIT(SIGSEGV) | SIG_BIT(SIGBUS) | SIG_BIT(SIGILL) | SIG_BIT(SIGFPE) | SIG_BIT(SIGTRAP);
  return (SIG_BIT(i->signo) & faults) && i->code > 0;
}

void siginfo_encode(const struct ksiginfo *i, void *out128) {
  struct {
    i32 signo, err, code, pad;
    union {
      struct {
        i32 pid;
        u32 uid;
        u64 value; /* SIGCHLD: status */
      } sent;
      struct {
        i32 id, overrun;
        u64 value;
      } timer;
      u64 addr;
    } u;
    u8 rest[96];
  } s = {.signo = i->signo, .err = i->err, .code = i->code};
  _Static_assert(sizeof s == 128, "Linux's layout");
  if (i->code == SI_TIMER) {
    s.u.timer.id = i->timerid;
    s.u.timer.overrun = i->overrun;
    s.u.timer.value = i->value;
  } else if (signal_has_address(i)) {
    s.u.addr = i->addr;
  } else {
    s.u.sent.pid = i->pid;
    s.u.sent.uid = i->uid;
    s.u.sent.value = i->signo == SIGCHLD && i->code > 0 ? (u64)(u32)i->status : i->value;
  }
  memcpy(out128, &s, sizeof s);
}

/* ---- building ---------------------------------------------------------------------------- */

static bool on_altstack(const struct sigaltstack *alt, u64 sp) {
  return !(alt->flags & SS_DISABLE) && sp - alt->sp <= alt->size && sp > alt->sp;
}

/* Offset of the stack to use: below the red zone, or the alternate stack's end. */
static u64 stack_top(struct thread_sig *ts, const struct sigact *sa, u64 sp) {
  if ((sa->flags & SA_ONSTACK) && !(ts->alt.flags & SS_DISABLE) && !on_altstack(&ts->alt, sp))
    return ts->alt.sp + ts->alt.size;
  return sp - RED_ZONE;
}

static void save_registers(struct sigcontext *mc, const struct uregs *r, u64 sp) {
  *mc = (struct sigcontext){
      .r8 = r->r8,
      .r9 = r->r9,
      .r10 = r->r10,
      .r11 = r->r11,
      .r12 = r->r12,
      .r13 = r->r13,
      .r14 = r->r14,
      .rdi = r->rdi,
      .rsi = r->rsi,
      .rbp = r->rbp,
      .rbx = r->rbx,
      .rdx = r->rdx,
      .rax = r->rax,
      .rcx = r->rcx,
      .rsp = sp,
      .rip = r->rip,
      .cs = 0x33,
      .ss = 0x2b,
      .rflags = r->rflags,
  };
}

int signal_frame_push(struct uregs *r, int signo, const struct ksiginfo *info,
                      const struct sigact *sa, u64 mask) {
  struct thread *t = thread_current();
  struct frame f;
  u8 fpu[PLAT_FPU_SIZE];
  u64 sp = (u32)(r->rsp - t->tcb_base);
  u64 fp_at = round_down(stack_top(t->sig, sa, sp) - sizeof fpu, FPSTATE_ALIGN);
  u64 at = round_down(fp_at - sizeof f, 16) - 8; /* as after a call */
  if (!(sa->flags & SA_RESTORER))
    return -EFAULT;
  memset(&f, 0, sizeof f);
  f.restorer = sa->restorer;
  f.uc.stack = t->sig->alt;
  if (!(t->sig->alt.flags & SS_DISABLE) && on_altstack(&t->sig->alt, sp))
    f.uc.stack.flags |= SS_ONSTACK;
  f.uc.sigmask = mask;
  save_registers(&f.uc.mc, r, sp);
  f.uc.mc.fpstate = fp_at;
  f.uc.mc.cr2 = info->addr;
  siginfo_encode(info, f.info);
  plat_fpu_save(fpu);
  if (copy_to_user(fp_at, fpu, sizeof fpu) < 0 || copy_to_user(at, &f, sizeof f) < 0)
    return -EFAULT;
  if (t->sig->alt.flags & (i32)SS_AUTODISARM)
    t->sig->alt = (struct sigaltstack){.flags = SS_DISABLE};
  r->rdi = (u64)signo;
  r->rsi = at + offsetof(struct frame, info);
  r->rdx = at + offsetof(struct frame, uc);
  r->rax = 0;
  r->rsp = t->tcb_base + at;
  r->rip = sa->handler & UF_CODE_MASK;
  r->rflags = RFLAGS_FIXED;
  r->orig_rax = (u64)-1;
  return 0;
}

/* ---- returning --------------------------------------------------------------------------- */

static void load_registers(struct uregs *r, const struct sigcontext *mc, u64 base) {
  *r = (struct uregs){
      .r8 = mc->r8,
      .r9 = mc->r9,
      .r10 = mc->r10,
      .r11 = mc->r11,
      .r12 = mc->r12,
      .r13 = mc->r13,
      .r14 = mc->r14,
      .rdi = mc->rdi,
      .rsi = mc->rsi,
      .rbp = mc->rbp,
      .rbx = mc->rbx,
      .rdx = mc->rdx,
      .rax = mc->rax,
      .rcx = mc->rcx,
      .rip = mc->rip,
      .rsp = base + (u32)mc->rsp,
      .rflags = (mc->rflags & RFLAGS_USER & ~RFLAGS_DF) | RFLAGS_FIXED,
      .orig_rax = (u64)-1,
  };
}

/* Kernel memory is never read through what user code left in the frame. */
static int load_fpu(u64 uaddr) {
  u8 fpu[PLAT_FPU_SIZE];
  if (uaddr == 0) {
    plat_fpu_reset();
    return 0;
  }
  if (copy_from_user(fpu, uaddr, sizeof fpu) < 0)
    return -EFAULT;
  plat_fpu_load(fpu);
  return 0;
}

static void restore_altstack(struct thread_sig *ts, const struct sigaltstack *s, u64 sp) {
  if (s->flags & SS_DISABLE)
    ts->alt = (struct sigaltstack){.flags = SS_DISABLE};
  else if (!on_altstack(&ts->alt, sp) && s->size >= MINSIGSTKSZ)
    ts->alt =
        (struct sigaltstack){.sp = s->sp, .size = s->size, .flags = s->flags & (i32)SS_AUTODISARM};
}

i64 sys_rt_sigreturn(struct uregs *r) {
  struct thread *t = thread_current();
  struct ucontext uc;
  u64 at = (u32)(r->rsp - t->tcb_base) - 8; /* the restorer has popped the return address */
  if (copy_from_user(&uc, at + offsetof(struct frame, uc), sizeof uc) < 0 ||
      !image_safe_point(uc.mc.rip) || load_fpu(uc.mc.fpstate) < 0) {
    struct ksiginfo info = {.signo = SIGSEGV, .code = SI_KERNEL};
    signal_force(SIGSEGV, &info);
    return (i64)r->orig_rax; /* what %rax was */
  }
  load_registers(r, &uc.mc, t->tcb_base);
  restore_altstack(t->sig, &uc.stack, (u32)uc.mc.rsp);
  signal_set_mask(uc.sigmask);
  return -EREPLACED;
}
