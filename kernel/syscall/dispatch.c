/* SPDX-License-Identifier: MIT */
/*
 * The way in and out: system calls, ticks and faults of user code. The gate (plat/x86/entry.S)
 * checks the number, calls through syscall_table and looks at thread->work; what is here of a
 * system call is the rest: tracing, and what happens where the gate has seen work.
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

#define WORK_EDGE (WORK_RESCHED | WORK_SIGNAL | WORK_PARK | WORK_MOVED)

#define SYS_RT_SIGPROCMASK 14
#define SYS_EXIT 60
#define SYS_EXIT_GROUP 231

static i64 syscall_none(struct uregs *r) {
  (void)r;
  return -ENOSYS;
}

static i64 syscall_traced(struct uregs *r);

#ifdef LOCK_CHECK
/* Every call but the leaf ones, which take no lock. */
#define SYS(nr, name, args, level, note)                                                           \
  static i64 checked_##name(struct uregs *r) {                                                     \
    i64 ret = sys_##name(r);                                                                       \
    lock_check_none();                                                                             \
    return ret;                                                                                    \
  }
#define LEAF(nr, name, args, level, note)
#include "kernel/syscall/table.def"
#define HANDLER(name) checked_##name
#else
#define HANDLER(name) sys_##name
#endif

/* Defaults come first, and are overridden. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
const struct syscall_table syscall_table = {
    .leaf =
        {
            [0 ... SYSCALL_SLOTS - 1] = {.gate = plat_gate_full},
#define SYS(nr, name, args, level, note)
#define LEAF(nr, name, args, level, note) [nr] = {.leaf = sys_##name},
#include "kernel/syscall/table.def"
        },
    .handler =
        {
            [0 ... SYSCALL_SLOTS - 1] = {.handler = syscall_none},
            [SYSCALL_TRACED] = {.gate = plat_gate_whole},
#define SYS(nr, name, args, level, note) [nr] = {.handler = HANDLER(name)},
#define LEAF(nr, name, args, level, note) [nr] = {.leaf = sys_##name},
#define WHOLE(nr, name, args, level, note) [nr] = {.gate = plat_gate_whole},
#include "kernel/syscall/table.def"
        },
    .whole =
        {
            [0 ... SYSCALL_SLOTS - 1] = {.handler = syscall_none},
            [SYSCALL_TRACED] = {.handler = syscall_traced},
#define SYS(nr, name, args, level, note)
#define WHOLE(nr, name, args, level, note) [nr] = {.handler = HANDLER(name)},
#include "kernel/syscall/table.def"
        },
};
#pragma GCC diagnostic pop

static const struct syscall_info infos[] = {
#define SYS(nr, name, args, level, note) [nr] = {#name, args},
#include "kernel/syscall/table.def"
};

_Static_assert(ARRAY_LEN(infos) <= SYSCALL_TRACED, "the last slots are the gate's");
_Static_assert(offsetof(struct syscall_table, handler) == SYSCALL_HANDLERS, "assembly offset");
_Static_assert(offsetof(struct syscall_table, whole) == SYSCALL_WHOLE, "assembly offset");
_Static_assert(SYSCALL_SPECIAL_FIRST == ERESTARTSYS && SYSCALL_SPECIAL_LAST == ERESTARTBLOCK + 1 &&
                   SYSCALL_SPECIAL_LAST == EREPLACED,
               "results that the gate tells apart");

const struct syscall_info *syscall_info(u64 nr) {
  return nr < ARRAY_LEN(infos) && infos[nr].name ? &infos[nr] : NULL;
}

/* Calls the handler; the number is masked so that a mispredicted check reaches nothing either. */
static i64 dispatch(struct uregs *r, u64 nr) {
  if (nr >= ARRAY_LEN(infos))
    return -ENOSYS;
  nr &= SYSCALL_SLOTS - 1;
  const union syscall_slot *s = &syscall_table.handler[nr];
  return s->gate == plat_gate_whole ? syscall_table.whole[nr].handler(r) : s->handler(r);
}

/* The return from fork, as a C library makes it, ends with the first call that is no change of the
   signal mask. */
static i64 syscall_after_fork(struct uregs *r, u64 nr) {
  struct thread *t = thread_current();
  struct region *region = t->region;
  if (nr == SYS_RT_SIGPROCMASK)
    return dispatch(r, nr);
  plat_watch_calls(false);
  i64 ret = dispatch(r, nr); /* first: it may ask how long the fork took */
  if (t->region == region)
    region_after_fork(region);
  return ret;
}

/* Every call of a traced instance comes here, r complete, and the first ones after a fork that the
   platform wants to learn from. */
static i64 syscall_traced(struct uregs *r) {
  char line[TRACE_ARGS];
  u64 nr = r->orig_rax;
  if (!boot.trace)
    return syscall_after_fork(r, nr);
  trace_call(r, line, sizeof line);
  if (nr == SYS_EXIT || nr == SYS_EXIT_GROUP)
    trace_no_return(line);
  if (!syscall_info(nr))
    trace_unknown(nr);
  i64 ret = dispatch(r, nr);
  trace_result(line, ret == -EREPLACED ? (i64)r->rax : ret);
  return ret;
}

void user_return(struct uregs *r) {
  struct thread *t = thread_current();
  u32 work;
  lock_check_none();
  while ((work = __atomic_load_n(&t->work, __ATOMIC_SEQ_CST)) & WORK_EDGE) {
    t->at_edge = true;
    if (work & WORK_RESCHED)
      schedule();
    if (work & WORK_PARK)
      proc_park_here();
    t->at_edge = false;
    if (work & WORK_MOVED) {
      thread_clear_work(t, WORK_MOVED);
      plat_region_activate(t);
    }
    if (work & WORK_SIGNAL)
      signal_deliver(r);
    if ((work & WORK_PARK) && t->proc->exiting)
      signal_deliver(r); /* does not return */
  }
}

static inline bool is_restart(i64 ret) {
  return (u64)(-ret - ERESTARTSYS) <= ERESTARTBLOCK - ERESTARTSYS;
}

void syscall_leave(struct uregs *r) {
  /* A restart is decided by the signal code, even if the signal has gone meanwhile. */
  if (r->orig_rax != (u64)-1 && is_restart((i64)r->rax))
    signal_deliver(r);
  user_return(r);
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
