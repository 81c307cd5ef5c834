/* SPDX-License-Identifier: MIT */
/*
 * The way in and out: system calls, ticks and faults of user code. The fast path of a system call
 * is a bounds check, an indirect call and one look at thread->work.
 */
#include "kernel/boot.h"
#include "kernel/errno.h"
#include "kernel/mm/image.h"
#include "kernel/mm/space.h"
#include "kernel/proc/proc.h"
#include "kernel/sched/lock_check.h"
#include "kernel/sched/sched.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall/entry.h"
#include "kernel/syscall/syscall.h"
#include "kernel/syscall/trace.h"

#define WORK_EDGE (WORK_RESCHED | WORK_SIGNAL | WORK_PARK)

#define SYS_EXIT 60
#define SYS_EXIT_GROUP 231

typedef i64 handler(struct uregs *r);

static handler *const handlers[] = {
#define SYS(nr, name, args, level, note) [nr] = sys_##name,
#include "kernel/syscall/table.def"
#undef SYS
};

static const struct syscall_info infos[] = {
#define SYS(nr, name, args, level, note) [nr] = {#name, args},
#include "kernel/syscall/table.def"
#undef SYS
};

#define NHANDLERS ARRAY_LEN(handlers)

const struct syscall_info *syscall_info(u64 nr) {
  return nr < NHANDLERS && infos[nr].name ? &infos[nr] : NULL;
}

/* The number is checked, and masked so that a mispredicted check reaches nothing either. */
static inline i64 dispatch(struct uregs *r) {
  u64 nr = r->rax;
  if (unlikely(nr >= NHANDLERS))
    return -ENOSYS;
  __asm__("cmp %1, %0; sbb %%rcx, %%rcx; and %%rcx, %0" : "+r"(nr) : "r"(NHANDLERS) : "rcx", "cc");
  handler *h = handlers[nr];
  return likely(h != NULL) ? h(r) : -ENOSYS;
}

static __attribute__((noinline)) i64 dispatch_traced(struct uregs *r) {
  char line[TRACE_ARGS];
  u64 nr = r->rax;
  trace_call(r, line, sizeof line);
  if (nr == SYS_EXIT || nr == SYS_EXIT_GROUP)
    trace_no_return(line);
  if (!syscall_info(nr))
    trace_unknown(nr);
  i64 ret = dispatch(r);
  trace_result(line, ret);
  return ret;
}

bool user_return(struct uregs *r) {
  struct thread *t = thread_current();
  bool changed = false;
  u32 work;
  while ((work = __atomic_load_n(&t->work, __ATOMIC_SEQ_CST)) & WORK_EDGE) {
    t->at_edge = true;
    if (work & WORK_RESCHED)
      schedule();
    if (work & WORK_PARK)
      proc_park_here();
    t->at_edge = false;
    if (work & WORK_SIGNAL)
      changed |= signal_deliver(r);
    if ((work & WORK_PARK) && t->proc->exiting)
      signal_deliver(r); /* does not return */
  }
  return changed;
}

static inline bool is_restart(i64 ret) {
  return (u64)(-ret - ERESTARTSYS) <= ERESTARTBLOCK - ERESTARTSYS;
}

static __attribute__((noinline)) bool leave_slowly(struct uregs *r, i64 ret) {
  bool changed = false;
  /* A restart is decided by the signal code, even if the signal has gone meanwhile. */
  if (is_restart(ret) && r->orig_rax != (u64)-1)
    changed = signal_deliver(r);
  changed |= user_return(r);
  return changed || r->orig_rax == (u64)-1;
}

bool syscall_enter(struct uregs *r) {
  struct thread *t = thread_current();
  i64 ret = unlikely(boot.trace) ? dispatch_traced(r) : dispatch(r);
  t->nsyscalls++;
  r->rax = (u64)ret;
  lock_check_none();
  if (unlikely((__atomic_load_n(&t->work, __ATOMIC_RELAXED) & WORK_EDGE) || is_restart(ret) ||
               r->orig_rax == (u64)-1))
    return leave_slowly(r, ret);
  return false;
}

void trap_tick(struct uregs *r) {
  r->orig_rax = (u64)-1;
  image_quiesce();
  sched_tick();
  user_return(r);
}

/* si_addr as user code sees it: an offset, or a code address. */
static u64 visible_address(struct thread *t, const struct trap_info *info) {
  if (info->page_fault && info->addr >= t->tcb_base)
    return info->addr - t->tcb_base;
  return info->addr;
}

void trap_fault(struct uregs *r, const struct trap_info *info) {
  struct thread *t = thread_current();
  int code = info->code;
  r->orig_rax = (u64)-1;
  if (info->page_fault)
    __atomic_add_fetch(&proc_stats.faults, 1, __ATOMIC_RELAXED);
  if (info->page_fault && info->signo == SIGSEGV &&
      space_fault(t->proc->space, info->addr - t->tcb_base, info->write, &code)) {
    user_return(r);
    return;
  }
  struct ksiginfo si = {.signo = info->signo, .code = code, .addr = visible_address(t, info)};
  signal_force(info->signo, &si);
  user_return(r);
}
