/* SPDX-License-Identifier: MIT */
/*
 * Vector state of user threads. The kernel itself uses general registers only, so a µprocess's
 * x87, SSE and AVX registers stay where they are until another user thread comes to the CPU. The
 * save area lies behind struct thread in the thread's block. AVX-512 is not in the ABI and not
 * saved.
 *
 * XSAVE and XRSTOR cost ten times what moving sixteen SSE registers does. The CPU tells which
 * components are in use; as long as neither the old nor the new thread uses x87 or the upper halves
 * of AVX (they are then in their initial state), the SSE registers are moved one by one.
 */
#include "cpu.h" /* the platform's */
#include "lib/string.h"

#define XFEATURES 7u /* x87, SSE, AVX */
#define XFEATURE_SSE 2u
#define XSAVE_SIZE 832
#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_VALID 0xffffu
#define FCW_DEFAULT 0x37f

struct xsave {
  u16 fcw, fsw, ftw, fop;
  u64 rip, rdp;
  u32 mxcsr, mxcsr_mask;
  u8 st[128], xmm[256], rest[96];
  u64 xstate_bv, xcomp_bv, reserved[6];
  u8 extended[XSAVE_SIZE - 576];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct xsave) == XSAVE_SIZE, "layout of XSAVE");
_Static_assert(sizeof(struct xsave) <= PLAT_FPU_SIZE, "signal frames");

/* What follows struct thread in its block. */
struct thread_fpu {
  struct xsave area;
  u32 cpu;   /* vCPU + 1 that went idle with this state in its registers; 0: none */
  bool wide; /* more than SSE is in the area */
} __attribute__((aligned(64)));

#define FPU_OFFSET ((sizeof(struct thread) + 63) / 64 * 64)
_Static_assert(FPU_OFFSET + sizeof(struct thread_fpu) <= THREAD_ROOM, "kernel/thread.h");

static enum { FXSAVE, XSAVE, XSAVEC } method;
static bool knows_use; /* XGETBV tells what is in use */
static struct xsave initial;

static struct thread_fpu *fpu_of(struct thread *t) {
  return (struct thread_fpu *)((char *)t + FPU_OFFSET);
}

static void ask_cpu(u32 leaf, u32 sub, u32 *a, u32 *b, u32 *c, u32 *d) {
  __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "a"(leaf), "c"(sub));
}

void fpu_init(void) {
  u32 a, b, c, d;
  ask_cpu(1, 0, &a, &b, &c, &d);
  if (c & (1u << 27)) { /* OSXSAVE */
    ask_cpu(0xd, 1, &a, &b, &c, &d);
    method = a & 2 ? XSAVEC : XSAVE;
    knows_use = a & 4;
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

/* Is anything but SSE in use? */
static bool is_wide(void) {
  u32 a, d;
  if (unlikely(!knows_use))
    return true;
  __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(1));
  return a & XFEATURES & ~XFEATURE_SSE;
}

static void save_sse(struct xsave *x) {
  __asm__ volatile("stmxcsr %0\n\t"
                   "movaps %%xmm0, (%1)\n\tmovaps %%xmm1, 16(%1)\n\t"
                   "movaps %%xmm2, 32(%1)\n\tmovaps %%xmm3, 48(%1)\n\t"
                   "movaps %%xmm4, 64(%1)\n\tmovaps %%xmm5, 80(%1)\n\t"
                   "movaps %%xmm6, 96(%1)\n\tmovaps %%xmm7, 112(%1)\n\t"
                   "movaps %%xmm8, 128(%1)\n\tmovaps %%xmm9, 144(%1)\n\t"
                   "movaps %%xmm10, 160(%1)\n\tmovaps %%xmm11, 176(%1)\n\t"
                   "movaps %%xmm12, 192(%1)\n\tmovaps %%xmm13, 208(%1)\n\t"
                   "movaps %%xmm14, 224(%1)\n\tmovaps %%xmm15, 240(%1)"
                   : "=m"(x->mxcsr)
                   : "r"(x->xmm)
                   : "memory");
}

static void load_sse(const struct xsave *x) {
  __asm__ volatile("ldmxcsr %0\n\t"
                   "movaps (%1), %%xmm0\n\tmovaps 16(%1), %%xmm1\n\t"
                   "movaps 32(%1), %%xmm2\n\tmovaps 48(%1), %%xmm3\n\t"
                   "movaps 64(%1), %%xmm4\n\tmovaps 80(%1), %%xmm5\n\t"
                   "movaps 96(%1), %%xmm6\n\tmovaps 112(%1), %%xmm7\n\t"
                   "movaps 128(%1), %%xmm8\n\tmovaps 144(%1), %%xmm9\n\t"
                   "movaps 160(%1), %%xmm10\n\tmovaps 176(%1), %%xmm11\n\t"
                   "movaps 192(%1), %%xmm12\n\tmovaps 208(%1), %%xmm13\n\t"
                   "movaps 224(%1), %%xmm14\n\tmovaps 240(%1), %%xmm15"
                   :
                   : "m"(x->mxcsr), "r"(x->xmm)
                   : "memory");
}

/* The registers' state to f. */
static inline __attribute__((always_inline)) void save_state(struct thread_fpu *f) {
  f->wide = is_wide();
  if (likely(!f->wide))
    save_sse(&f->area);
  else
    save(&f->area);
}

/* leftover: is more than SSE in the registers? */
static inline __attribute__((always_inline)) void load_state(struct thread_fpu *f, bool leftover) {
  if (likely(!f->wide && !leftover)) {
    load_sse(&f->area);
    return;
  }
  if (!f->wide) {
    f->area.xstate_bv = XFEATURE_SSE;
    f->area.xcomp_bv = 0;
  }
  load(&f->area);
}

void fpu_init_thread(struct thread *t) {
  struct thread_fpu *f = fpu_of(t);
  f->area.xstate_bv = f->area.xcomp_bv = 0;
  if (t->fpu == NULL) /* a new block; nobody writes there */
    memset(f->area.reserved, 0, sizeof(f->area.reserved));
  f->cpu = 0;
  f->area.fcw = FCW_DEFAULT;
  f->area.mxcsr = MXCSR_DEFAULT;
  f->wide = !knows_use;
  t->fpu = f;
}

/* From a user thread to none: the registers stay as they are, and may be wanted again. */
static __attribute__((noinline)) void leave_registers(struct vcpu *v, struct thread *from) {
  save_state(fpu_of(from));
  fpu_of(from)->cpu = v->id + 1;
  v->fpu_owner = from;
}

/* To a user thread from none, or from one that is dead. */
static __attribute__((noinline)) void take_registers(struct vcpu *v, struct thread *to) {
  struct thread_fpu *f = fpu_of(to);
  bool there = v->fpu_owner == to && f->cpu == v->id + 1;
  v->fpu_owner = NULL;
  f->cpu = 0;
  if (!there)
    load_state(f, is_wide());
}

void fpu_switch(struct vcpu *v, struct thread *from, struct thread *to) {
  if (likely(from && to)) {
    save_state(fpu_of(from));
    load_state(fpu_of(to), fpu_of(from)->wide);
    fpu_of(to)->cpu = 0;
  } else if (from) {
    leave_registers(v, from);
  } else if (to) {
    take_registers(v, to);
  }
}

void plat_fpu_copy(struct thread *child) {
  struct thread_fpu *f = fpu_of(child);
  save_state(f);
  f->cpu = 0;
}

void plat_fpu_reset(void) { load(&initial); }

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
