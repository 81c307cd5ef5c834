/* SPDX-License-Identifier: MIT */
/* membarrier: every other thread of the process that runs is made to pass through the kernel. */
#include "kernel/proc/internal.h"
#include "kernel/syscall/syscall.h"

#define CMD_QUERY 0
#define CMD_PRIVATE_EXPEDITED 8
#define CMD_REGISTER_PRIVATE_EXPEDITED 16

static bool runs_user_code(const struct thread *t) {
  return __atomic_load_n(&t->on_cpu, __ATOMIC_SEQ_CST) &&
         (__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & WORK_RESCHED);
}

/* Asks a thread that has a CPU to look at its work; a barrier is on that way. True if one was. */
static bool interrupt_others(struct proc *p, struct thread *me) {
  struct thread *t;
  bool any = false;
  spin_lock(&p->lock);
  list_for_each(t, &p->threads, proc_node) {
    if (t != me && __atomic_load_n(&t->on_cpu, __ATOMIC_SEQ_CST)) {
      thread_set_work(t, WORK_RESCHED);
      any = true;
    }
  }
  spin_unlock(&p->lock);
  return any;
}

static bool all_passed(struct proc *p, struct thread *me) {
  struct thread *t;
  bool all = true;
  spin_lock(&p->lock);
  list_for_each(t, &p->threads, proc_node) if (t != me && runs_user_code(t)) all = false;
  spin_unlock(&p->lock);
  return all;
}

static void barrier_everywhere(void) {
  struct thread *me = thread_current();
  struct proc *p = me->proc;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (p->nthreads == 1 || !interrupt_others(p, me))
    return;
  while (!all_passed(p, me)) {
    plat_relax();
    sched_yield_cpu();
  }
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

i64 sys_membarrier(struct uregs *r) {
  if (r->rsi != 0)
    return -EINVAL;
  switch ((int)r->rdi) {
  case CMD_QUERY:
    return CMD_PRIVATE_EXPEDITED | CMD_REGISTER_PRIVATE_EXPEDITED;
  case CMD_REGISTER_PRIVATE_EXPEDITED:
    return 0;
  case CMD_PRIVATE_EXPEDITED:
    barrier_everywhere();
    return 0;
  default:
    return -EINVAL;
  }
}
