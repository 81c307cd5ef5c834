/* SPDX-License-Identifier: MIT */
/* The end of a process: resources first, then the zombie, then the parent learns of it. */
#include "kernel/fs/file.h"
#include "kernel/fs/tty.h"
#include "kernel/ipc/sysv.h"
#include "kernel/main.h"
#include "kernel/mm/space.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/proc_timers.h"

#define SHUTDOWN_NS 2000000000UL /* patience with the rest when µprocess 1 has ended */

void proc_vfork_release(struct proc *p) {
  if (!p->vfork_pending)
    return;
  __atomic_store_n(&p->vfork_pending, false, __ATOMIC_SEQ_CST);
  waitq_wake(&p->vfork_wait, 0, 0, WAKE_SYNC);
}

/* The last thread's samples say whether it has run for some milliseconds. */
static void note_memory(struct proc *p, struct space *s) {
  const struct thread *me = thread_current();
  if (unlikely(me->used.user_samples + me->used.core_samples != 0))
    space_note_peak(s, true);
  p->max_pages = proc_max_pages(p);
}

static void release_resources(struct proc *p) {
  struct thread *me = thread_current();
  if (unlikely(p->timers))
    proc_timers_destroy(p);
  if (unlikely(p->sem_undo))
    sem_exit(p);
  struct fdtable *files = p->files;
  struct fs_context *fs = p->fs;
  struct space *space = p->space;
  spin_lock(&p->lock);
  p->cpu_limit_over = true;
  p->files = NULL;
  p->fs = NULL;
  spin_unlock(&p->lock);
  cpu_limit_end(p);
  fdtable_leave(files);
  fs_context_leave(fs);
  note_memory(p, space);
  spin_lock(&p->lock);
  p->space = NULL;
  spin_unlock(&p->lock);
  me->region = NULL;
  proc_vfork_release(p);
  space_put(space);
}

/* Who adopts the children of p: the nearest subreaper above it, or µprocess 1. */
static struct proc *find_reaper(struct proc *p) {
  for (struct proc *a = p->parent; a; a = a->parent)
    if (a->subreaper && !a->exiting)
      return a;
  return proc_init_process();
}

/* A group lost a tie: if it is stopped and nobody is left to continue it, it gets SIGHUP and
 * SIGCONT.
 */
static void hang_up_if_orphaned(struct pgrp *g, struct proc *except) {
  struct proc *p;
  bool stopped = false;
  if (!pgrp_is_orphaned(g, except))
    return;
  // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): lists have no NULL in them
  list_for_each(p, &g->members, pgrp_node) stopped |= p != except && p->state == PROC_STOPPED;
  if (!stopped)
    return;
  list_for_each(p, &g->members, pgrp_node) {
    signal_send_proc(p, SIGHUP, NULL);
    signal_send_proc(p, SIGCONT, NULL);
  }
}

static bool ignores_children(struct proc *parent) {
  const struct sigact *sa = sigact_of(parent->sighand, SIGCHLD);
  return sa->handler == SIG_IGN || (sa->flags & SA_NOCLDWAIT);
}

static int status_code(int wait_status) {
  return (wait_status & 0x7f) == 0 ? CLD_EXITED : CLD_KILLED;
}

static __attribute__((noinline)) void send_exit_signal(struct proc *p) {
  int code = status_code(p->exit_status);
  struct ksiginfo info = {
      .signo = p->exit_signal,
      .code = code,
      .pid = p->pid,
      .uid = p->cred.uid,
      .status = code == CLD_EXITED ? p->exit_status >> 8 : p->exit_status & 0x7f,
  };
  signal_send_proc(p->parent, p->exit_signal, &info);
}

/* Sends the exit signal and wakes wait4. True if nobody will wait: the caller reaps p. */
static bool tell_parent(struct proc *p) {
  struct proc *parent = p->parent;
  bool usual = p->exit_signal == SIGCHLD;
  bool reap = usual && ignores_children(parent);
  if (p->exit_signal != 0 && !(usual && signal_is_dropped(parent, SIGCHLD)))
    send_exit_signal(p);
  proc_sort_child(p);
  waitq_wake(&parent->child_wait, 0, 0, WAKE_SYNC);
  return reap;
}

/* Children move to the reaper. Zombies among them that nobody waits for go to `dead`. */
static void reparent_children(struct proc *p, struct list *dead) {
  struct proc *c, *tmp;
  if (list_empty(&p->children))
    return;
  struct proc *reaper = find_reaper(p);
  list_for_each_safe(c, tmp, &p->children, sibling_node) {
    bool tied = proc_ties_group(c);
    c->parent = reaper;
    __atomic_store_n(&c->ppid, reaper->pid, __ATOMIC_RELAXED);
    c->adopted = reaper->pid == 1;
    c->exit_signal = SIGCHLD; /* whatever the old parent had asked for */
    proc_sort_child(c);
    if (c->pdeath_signal)
      signal_send_proc(c, c->pdeath_signal, NULL);
    if (c->state == PROC_ZOMBIE && tell_parent(c)) {
      proc_unlink(c);
      list_push_back(dead, &c->sibling_node);
    }
    if (tied)
      hang_up_if_orphaned(c->pgrp, NULL);
  }
}

static void become_zombie(struct proc *p) {
  struct list dead = LIST_INIT(dead);
  spin_lock(&proc_tree_lock);
  reparent_children(p, &dead);
  bool tied = proc_ties_group(p);
  p->state = PROC_ZOMBIE;
  waitq_wake(&p->end_wait, 0, POLLIN | POLLRDNORM, 0);
  if (tied)
    hang_up_if_orphaned(p->pgrp, p);
  if (tell_parent(p)) {
    proc_unlink(p);
    list_push_back(&dead, &p->sibling_node);
  }
  spin_unlock(&proc_tree_lock);
  struct list *n;
  while ((n = list_pop_front(&dead)) != NULL)
    proc_reaped(list_entry(n, struct proc, sibling_node));
}

/* ---- the end of µprocess 1 ------------------------------------------------------------ */

static void kill_other(struct proc *p, void *arg) {
  (void)arg;
  if (p->pid != 1)
    signal_send_proc(p, SIGKILL, NULL);
}

/* Kills and reaps everybody else, then the instance ends with µprocess 1's status. */
static _Noreturn void shut_down(struct proc *init) {
  spin_lock(&init->sighand->lock);
  sigact_change(init->sighand, SIGCHLD)->handler = SIG_IGN; /* whoever ends now is reaped at once */
  spin_unlock(&init->sighand->lock);
  u64 deadline = plat_now() + SHUTDOWN_NS;
  while (proc_count() > 1 && plat_now() < deadline) {
    proc_for_each(kill_other, NULL);
    proc_reap_zombies(init);
    if (proc_count() == 1)
      break;
    sched_set_state(thread_current(), THREAD_UNINTERRUPTIBLE);
    schedule_until(plat_now() + PLAT_TICK_NS / 2);
  }
  kernel_power_off(init->exit_status);
}

void proc_finish(struct proc *p) {
  release_resources(p);
  if (p->pid == 1)
    shut_down(p);
  if (p->pgrp->session->sid == p->pid)
    tty_session_exit(p->pid);
  become_zombie(p);
}

/* ---- system calls ---------------------------------------------------------------------- */

i64 sys_exit(struct uregs *r) {
  struct thread *me = thread_current();
  struct proc *p = me->proc;
  spin_lock(&p->lock);
  if (!p->exiting && (p->nthreads == 1 || me->tid == p->pid))
    p->exit_status = ((int)r->rdi & 0xff) << 8;
  spin_unlock(&p->lock);
  thread_exit_current();
}

i64 sys_exit_group(struct uregs *r) { proc_exit_group(((int)r->rdi & 0xff) << 8); }
