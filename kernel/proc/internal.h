/* SPDX-License-Identifier: MIT */
/* Shared by the files of kernel/proc only. */
#ifndef UFORK_KERNEL_PROC_INTERNAL_H
#define UFORK_KERNEL_PROC_INTERNAL_H

#include "kernel/errno.h"
#include "kernel/ipc/futex.h"
#include "kernel/kassert.h"
#include "kernel/proc/proc.h"

/* ---- pid.c: the table of ids ------------------------------------------------------------ */

/* What an id can name; it is free again when it names nothing. */
enum pid_role { PID_PROC, PID_THREAD, PID_PGRP, PID_SESSION, PID_NROLES };

int pid_alloc(enum pid_role role, void *object); /* the id or -EAGAIN */
/* For a process and its first thread. */
int pid_alloc_proc(struct proc *p, struct thread *t);
void pid_set(int id, enum pid_role role, void *object);
void pid_clear(int id, enum pid_role role);
/* The object without a reference; pids_lock or what keeps it alive is held by the caller. */
void *pid_get(int id, enum pid_role role);
extern struct spin pids_lock;
void pids_limit(unsigned max_procs);

/* ---- block.c: memory ---------------------------------------------------------------------- */

/* A process whose kept part is set up, the rest is not; NULL: no memory. */
struct proc *proc_block_alloc(void);
/* Nobody knows it any more. */
void proc_block_free(struct proc *p);

/* ---- proc.c: creation, groups ------------------------------------------------------------ */

/* What fork copies is the parent's, if there is one. now: the time. */
struct proc *proc_alloc(struct proc *parent, u64 now);
/* Unlinks a zombie from the tree and drops the table's and the parent's references; call
   proc_reaped after proc_tree_lock is released. */
void proc_unlink(struct proc *p);
void proc_reaped(struct proc *p);
/* Whether c has something to report has changed, or its parent: c is put in its place among its
   siblings, so that wait looks at no child in vain. proc_tree_lock held. */
void proc_sort_child(struct proc *c);
static inline bool proc_has_report(const struct proc *c) {
  return c->state == PROC_ZOMBIE || c->stop_unreported || c->continue_unreported;
}

/* proc_tree_lock held. */
void pgrp_join(struct proc *p, struct pgrp *g);
void pgrp_leave(struct proc *p);
struct pgrp *pgrp_find(int pgid);                      /* or NULL */
struct pgrp *pgrp_create(int pgid, struct session *s); /* no member yet; NULL: no memory */
struct session *session_create(int sid);               /* no group yet */
void session_discard(struct session *s);
bool proc_ties_group(struct proc *p);
/* No member but `except` ties the group to a parent that does job control. */
bool pgrp_is_orphaned(struct pgrp *g, struct proc *except);

/* ---- thread.c ----------------------------------------------------------------------------- */

/* A user thread of the running process's making: sig, fpu and TCB prepared from the current
   thread, not yet linked. NULL: no memory. */
struct thread *proc_thread_alloc(struct proc *p, void (*entry)(struct thread *t));
void proc_thread_link(struct proc *p, struct thread *t);

/* The last thread of p has left: frees what p holds, makes it a zombie and tells the parent. */
void proc_finish(struct proc *p);
/* Reaps all zombies among the children of p: at the end of the instance. */
void proc_reap_zombies(struct proc *p);
/* exec or exit: a parent in vfork goes on. */
void proc_vfork_release(struct proc *p);
/* p ends with this wait status; its threads leave at the kernel's edge. proc->lock held. */
void proc_condemn(struct proc *p, int wait_status);
/* exec: ends all other threads of the running process; false: it is exiting itself. */
bool proc_kill_siblings(void);

/* ---- pidfd.c ------------------------------------------------------------------------------ */

/* A descriptor (close-on-exec, flags: O_NONBLOCK) of the running process on p: fd or -errno. */
int pidfd_install(struct proc *p, u32 flags);
/* The process behind descriptor fd with a reference, NULL: -EBADF. *nonblock: O_NONBLOCK. */
struct proc *pidfd_proc(int fd, bool *nonblock);

/* limits.c */
bool proc_may_fork(struct proc *p);

#endif
