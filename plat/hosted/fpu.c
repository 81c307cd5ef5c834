/* SPDX-License-Identifier: MIT */
/*
 * Vector state of user threads. The kernel itself uses general registers only, so a µprocess's
 * x87, SSE and AVX registers stay where they are until another user thread comes to the CPU. The
 * save area lies behind struct thread in the thread's block. AVX-512 is not in the ABI and not
 * saved.
 */
#include "lib/string.h"
#include "plat/hosted/cpu.h"

#define XFEATURES 7u /* x87, SSE, AVX */
#define XSAVE_SIZE 832
#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_VALID 0xffffu
#define FCW_DEFAULT 0x37f

struct xsave {
  u16 fcw, fsw, ftw, fop;
  u64 rip, rdp;
  u32 mxcsr, mxcsr_mask;
  u8 regs[480];
  u64 xstate_bv, xcomp_bv, reserved[6];
  u8 extended[XSAVE_SIZE - 576];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct xsave) == XSAVE_SIZE, "layout of XSAVE");
_Static_assert(sizeof(struct xsave) <= PLAT_FPU_SIZE, "signal frames");

/* What follows struct thread in its block. */
struct thread_fpu {
  struct xsave area;
  u32 cpu; /* vCPU + 1 whose registers last held this state; 0: none */
} __attribute__((aligned(64)));

#define FPU_OFFSET ((sizeof(struct thread) + 63) / 64 * 64)

static enum { FXSAVE, XSAVE, XSAVEC } method;
static struct xsave initial;

static struct thread_fpu *fpu_of(struct thread *t) {
  return (struct thread_fpu *)((char *)t + FPU_OFFSET);
}

static void cpuid(u32 leaf, u32 sub, u32 *a, u32 *b, u32 *c, u32 *d) {
  __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "a"(leaf), "c"(sub));
}

void fpu_init(void) {
  u32 a, b, c, d;
  cpuid(1, 0, &a, &b, &c, &d);
  if (c & (1u << 27)) { /* OSXSAVE */
    cpuid(0xd, 1, &a, &b, &c, &d);
    method = a & 2 ? XSAVEC : XSAVE;
  }
  initial.fcw = FCW_DEFAULT;
  initial.mxcsr = MXCSR_DEFAULT;
}

static void save(struct xsave *x) {
  if (likely(method == XSAVEC))
    __asm__ volatile("xsavec %0" : "=m"(*x) : "a"(XFEATURES), "d"(0) : "memory");
  else if (method == XSAVE)
    __asm__ volatile("xsave %0" : "+m"(*x) : "a"(XFEATURES), "d"(0) : "memory");
  else
    __asm__ volatile("fxsave %0" : "=m"(*x) : : "memory");
}

static void load(const struct xsave *x) {
  if (likely(method != FXSAVE))
    __asm__ volatile("xrstor %0" : : "m"(*x), "a"(XFEATURES), "d"(0) : "memory");
  else
    __asm__ volatile("fxrstor %0" : : "m"(*x) : "memory");
}

void fpu_init_thread(struct thread *t) {
  struct thread_fpu *f = fpu_of(t);
  f->area.fcw = FCW_DEFAULT;
  f->area.mxcsr = MXCSR_DEFAULT;
  f->area.xstate_bv = f->area.xcomp_bv = 0;
  memset(f->area.reserved, 0, sizeof(f->area.reserved));
  f->cpu = 0;
  t->fpu = f;
}

void fpu_switch_out(struct thread *from) {
  struct thread_fpu *f = fpu_of(from);
  struct vcpu *v = vcpu_self();
  save(&f->area);
  v->fpu_owner = from;
  f->cpu = v->id + 1;
}

void fpu_switch_in(struct vcpu *v, struct thread *to) {
  struct thread_fpu *f = fpu_of(to);
  if (v->fpu_owner == to && f->cpu == v->id + 1)
    return;
  load(&f->area);
  v->fpu_owner = to;
  f->cpu = v->id + 1;
}

void plat_fpu_copy(struct thread *child) {
  struct thread_fpu *f = fpu_of(child);
  if (method == XSAVE) /* does not write what is in its initial state, nor the rest of the header */
    memset(&f->area, 0, sizeof(f->area));
  save(&f->area);
  f->cpu = 0;
}

void plat_fpu_reset(void) {
  struct thread *t = thread_current();
  load(&initial);
  vcpu_self()->fpu_owner = t;
  fpu_of(t)->cpu = vcpu_self()->id + 1;
}

/* The standard format, which user code can read, goes through an aligned copy. */
void plat_fpu_save(void *buf) {
  struct xsave x;
  memset(&x, 0, sizeof(x));
  if (method == FXSAVE)
    save(&x);
  else
    __asm__ volatile("xsave %0" : "+m"(x) : "a"(XFEATURES), "d"(0) : "memory");
  memcpy(buf, &x, sizeof(x));
  memset((char *)buf + sizeof(x), 0, PLAT_FPU_SIZE - sizeof(x));
}

void plat_fpu_load(const void *buf) {
  struct xsave x;
  memcpy(&x, buf, sizeof(x));
  x.mxcsr &= MXCSR_VALID;
  x.xstate_bv &= XFEATURES;
  x.xcomp_bv = 0;
  memset(x.reserved, 0, sizeof(x.reserved));
  load(&x);
}
