/* SPDX-License-Identifier: MIT */
/* vCPUs: start, context switch, kick, idle. */
#include "plat/hosted/cpu.h"
#include "kernel/errno.h"
#include "lib/string.h"
#include "plat/hosted/behind.h"
#include "plat/hosted/hostio.h"
#include "plat/hosted/region.h"

#define HWCAP2_FSGSBASE 2u
#define AT_HWCAP2 26

struct vcpu vcpus[MAX_CPUS];
unsigned vcpu_count;
int host_pid;
static bool have_wrgsbase;
static struct thread *boot_stacks[MAX_CPUS];

/* The thread-local pointer behind vcpu_self(); initial value NULL on every host thread. */
__thread struct vcpu *uf_vcpu_self __attribute__((tls_model("local-exec")));

unsigned long getauxval(unsigned long type);

int cpu_init(unsigned n) {
  vcpu_count = n;
  host_pid = (int)lx0(getpid);
  have_wrgsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
  fpu_init();
  for (unsigned i = 0; i < n; i++) {
    struct thread *t = plat_thread_alloc();
    if (!t)
      return -ENOMEM;
    t->cpu = i;
    t->uregs = (struct uregs *)((char *)t + UF_UREGS);
    boot_stacks[i] = t;
    vcpus[i].id = i;
    vcpus[i].current = t;
  }
  return 0;
}

unsigned plat_ncpus(void) { return vcpu_count; }

static void run_kernel(void *arg) {
  if (arg)
    kernel_main(arg);
  kernel_cpu_main(thread_current()->cpu);
}

_Noreturn void cpu_run(unsigned cpu, const struct boot_args *b) {
  struct vcpu *v = &vcpus[cpu];
  v->tid = (int)lx0(gettid);
  uf_vcpu_self = v;
  uf_run_on((char *)boot_stacks[cpu] + UF_UREGS, run_kernel, (void *)(uintptr_t)b);
}

_Noreturn void cpu_run_helper(void (*f)(void *)) {
  struct thread *t = plat_thread_alloc();
  if (!t)
    plat_panic("no memory for a helper thread's stack");
  uf_run_on((char *)t + UF_UREGS, f, NULL);
}

/* ---- switching ------------------------------------------------------------------------------- */

static void load_gs(struct vcpu *v, u64 base) {
  if (v->gs_base == base)
    return;
  v->gs_base = base;
  if (likely(have_wrgsbase))
    __asm__ volatile("wrgsbase %0" : : "r"(base));
  else
    lx2(arch_prctl, LX_ARCH_SET_GS, base);
}

void plat_region_activate(struct thread *t) {
  t->tcb_gate = behind_gate(t);
  t->tcb_base = t->region ? region_base(t->region) : 0;
  if (t == thread_current())
    load_gs(vcpu_self(), t->tcb_base);
}

/* What a switched-in thread does first, on its own stack. */
static inline __attribute__((always_inline)) void switch_finish(struct thread *t) {
  struct vcpu *v = vcpu_self();
  if (t->region)
    load_gs(v, t->tcb_base);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  if (unlikely(v->pending)) { /* a kick came between two threads */
    v->pending = 0;
    __atomic_or_fetch(&t->work, WORK_RESCHED, __ATOMIC_SEQ_CST);
  }
}

void uf_switch_finish(struct thread *t) { switch_finish(t); }

void plat_switch(struct thread *from, struct thread *to) {
  struct vcpu *v = vcpu_self();
  fpu_switch(v, from->region && from->state != THREAD_DEAD ? from : NULL, to->region ? to : NULL);
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
  if (__atomic_exchange_n(&v->kicked, 1, __ATOMIC_SEQ_CST) == 0 && v->tid)
    lx3(tgkill, host_pid, v->tid, HOST_SIG_KICK);
}

void plat_cpu_idle(unsigned cpu, u64 deadline) {
  struct vcpu *v = &vcpus[cpu];
  __atomic_store_n(&v->idle, 1, __ATOMIC_SEQ_CST);
  hostio_wait(deadline, &v->kicked);
  __atomic_store_n(&v->idle, 0, __ATOMIC_SEQ_CST);
  __atomic_store_n(&v->kicked, 0, __ATOMIC_SEQ_CST);
  deliver_external_signals();
}

/* Events that come here are this vCPU's own: there is none to be deaf to. */
void plat_cpu_nap(unsigned cpu, u64 deadline) { plat_cpu_idle(cpu, deadline); }

void plat_relax(void) {
  struct vcpu *v = vcpu_self();
  __builtin_ia32_pause();
  if (!v || ++v->relaxed % 8 == 0)
    lx0(sched_yield);
}
