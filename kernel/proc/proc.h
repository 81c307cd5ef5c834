/* SPDX-License-Identifier: MIT */
/*
 * µprocesses: a PID, one or more threads, a space, and kernel resources that fork duplicates.
 *
 * Locks: proc_tree_lock (spin) protects parent/child links, process groups, sessions, states that
 * wait looks at. proc->lock (spin) protects the thread list, limits and flags of one process.
 * Order: proc_tree_lock -> proc->lock -> sighand lock -> waitq -> runqueue.
 * References: proc_get/put; the PID table and the parent hold one each until the zombie is reaped.
 */
#ifndef UFORK_KERNEL_PROC_H
#define UFORK_KERNEL_PROC_H

#include "kernel/sched/sched.h"
#include "kernel/thread.h"

struct fdtable;    /* kernel/fs/fdtable.h */
struct fs_context; /* cwd, root, umask: kernel/fs/path.h */
struct sighand;    /* kernel/signal/signal.h */
struct space;
struct tty;

#define PID_MAX 32768
#define NGROUPS_MAX 32
#define RLIM_NLIMITS 16
#define RLIM_INFINITY (~0UL)
enum {
  RLIMIT_CPU,
  RLIMIT_FSIZE,
  RLIMIT_DATA,
  RLIMIT_STACK,
  RLIMIT_CORE,
  RLIMIT_RSS,
  RLIMIT_NPROC,
  RLIMIT_NOFILE,
  RLIMIT_MEMLOCK,
  RLIMIT_AS,
  RLIMIT_LOCKS,
  RLIMIT_SIGPENDING,
  RLIMIT_MSGQUEUE,
  RLIMIT_NICE,
  RLIMIT_RTPRIO,
  RLIMIT_RTTIME
};

struct rlimit {
  u64 cur, max;
};

/* Credentials are values: copied by fork, replaced under proc->lock. */
struct cred {
  u32 uid, euid, suid, fsuid;
  u32 gid, egid, sgid, fsgid;
  u32 ngroups;
  u32 groups[NGROUPS_MAX];
};

struct session {
  u32 refs;
  int sid;
  struct tty *tty; /* controlling terminal; reference held by the tty layer */
};

struct pgrp {
  u32 refs;
  int pgid;
  struct session *session;
  struct list members; /* proc->pgrp_node, under proc_tree_lock */
};

enum proc_state { PROC_ALIVE, PROC_STOPPED, PROC_ZOMBIE, PROC_REAPED };

struct proc {
  int pid;
  u32 refs;
  enum proc_state state; /* under proc_tree_lock */
  int exit_status;       /* wait status once ZOMBIE */
  int exit_signal;       /* sent to the parent at exit: SIGCHLD or clone's */

  struct proc *parent; /* proc_tree_lock */
  struct list children, sibling_node;
  struct pgrp *pgrp;
  struct list pgrp_node;
  struct waitq child_wait; /* parent sleeps here in wait4 */

  struct spin lock;
  struct list threads;
  unsigned nthreads;
  bool exiting;       /* exit_group or fatal signal under way */
  bool vfork_waiting; /* parent of a vfork child sleeps on child's vfork_done */
  struct waitq *vfork_done;

  struct space *space; /* changed only by the single thread of exec; NULL in zombies */
  struct fdtable *files;
  struct fs_context *fs;
  struct sighand *sighand;
  struct cred cred;
  struct rlimit limits[RLIM_NLIMITS];

  char comm[16];
  char *exe_path; /* kmalloc'd guest path, for /proc/PID/exe */
  u64 start_time, utime, stime, child_utime, child_stime; /* ns; dead threads and reaped children */
  u64 arg_start, arg_end, env_start, env_end; /* offsets, /proc/PID/cmdline and environ */
};

static inline struct proc *proc_current(void) { return thread_current()->proc; }

void proc_get(struct proc *p);
void proc_put(struct proc *p);
/* A process by PID with a reference, or NULL (zombies included). */
struct proc *proc_find(int pid);
/* Calls f for every process (a reference is held during the call, no locks); for /proc. */
void proc_for_each(void (*f)(struct proc *p, void *arg), void *arg);
unsigned proc_count(void);

/* ---- kernel/proc/fork.c -------------------------------------------------------------- */

/* clone as Linux defines it (fork, vfork, threads). Returns the child's id or -errno. */
struct clone_args {
  u64 flags;           /* CLONE_*, exit signal in the low byte */
  u64 stack;           /* user offset, 0: the parent's */
  u64 ptid, ctid, tls; /* user offsets */
};
i64 proc_clone(const struct uregs *r, const struct clone_args *a);

/* ---- kernel/proc/exec.c -------------------------------------------------------------- */

/* Replaces the running process's program; kills its other threads first. On success r describes the
   new program's entry. All arguments are kernel copies. */
struct exec_strings;
int proc_exec(struct uregs *r, const char *path, struct exec_strings *str);

/* µprocess 1 from the boot arguments; kernel/main.c runs it. */
struct boot_args;
int proc_boot(const struct boot_args *b);

/* ---- kernel/proc/exit.c, wait.c ------------------------------------------------------- */

/* The whole process ends with this wait status; called by its own thread, never returns. */
_Noreturn void proc_exit_group(int wait_status);
_Noreturn void thread_exit_current(void);
/* Parks all other threads of the running process at the kernel's edge; false: the process is
 * exiting. */
bool proc_park_siblings(void);
void proc_unpark_siblings(void);

/* ---- capabilities: uid 0 may everything ------------------------------------------------ */
static inline bool cred_is_root(void) { return proc_current()->cred.euid == 0; }

#endif
