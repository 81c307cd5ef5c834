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

#include "kernel/proc/cpu_time.h"
#include "kernel/sched/sched.h"
#include "kernel/thread.h"
#include "kernel/time/timer.h"

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

/* May who has these user IDs send `to` a signal? */
static inline bool cred_may_signal(u32 uid, u32 euid, const struct cred *to) {
  return euid == 0 || euid == to->uid || euid == to->suid || uid == to->uid || uid == to->suid;
}

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

/* A guest path that processes of a program share. */
struct exe_path {
  u32 refs;
  char s[];
};
/* One reference; NULL: no memory. */
struct exe_path *exe_path_create(const char *s);
static inline struct exe_path *exe_path_get(struct exe_path *e) {
  __atomic_add_fetch(&e->refs, 1, __ATOMIC_RELAXED);
  return e;
}
void exe_path_put(struct exe_path *e); /* NULL is fine */

enum proc_state { PROC_ALIVE, PROC_STOPPED, PROC_ZOMBIE, PROC_REAPED };

struct proc {
  /* Kept when a process is gone, for the next one (block.c). */
  struct spin lock;
  struct list threads;
  struct list children, sibling_node; /* children with something to report come first */
  struct list pgrp_node;
  struct waitq child_wait; /* its threads sleep here in wait4 */
  struct waitq end_wait;   /* polls of pidfds wait for the end here */
  struct mutex park_lock;  /* held by the thread that has parked its siblings */
  struct waitq park_q;     /* parked threads; exec waits here for the others' end */
  struct waitq vfork_wait;
  struct ktimer cpu_limit; /* RLIMIT_CPU: looks when it may have been reached */
  struct sighand *sighand;

  /* A new process has zeros from here on. */
  int pid;
  u32 refs;
  enum proc_state state; /* under proc_tree_lock */
  int exit_status;       /* wait status once ZOMBIE */
  int exit_signal;       /* sent to the parent at exit: SIGCHLD or clone's */
  int ppid;              /* parent's pid, or 0; readable without the lock */
  struct proc *parent;   /* proc_tree_lock */
  struct pgrp *pgrp;
  bool stop_unreported, continue_unreported; /* for wait; proc_tree_lock */
  bool did_exec;                             /* setpgid by the parent is over */
  bool adopted;                              /* by µprocess 1, which is not its shell */
  bool subreaper;                            /* adopts orphans below it */
  bool cpu_limit_over;                       /* it has ended: the timer stays off */
  bool exiting;                              /* exit_group or fatal signal under way */
  bool stopping;                             /* job control: threads stop at the kernel's edge */
  bool tell_continued;                       /* the parent has not been told yet */
  bool vfork_pending;                        /* the parent still waits for exec or exit */
  unsigned nthreads;
  struct thread *exec_thread; /* kills the others to replace the program */
  int pdeath_signal;          /* sent to it when its parent ends */
  int stop_signal;
  unsigned nstopped; /* threads that have */

  bool has_kin;    /* they share its memory, and are parked too; park_lock */
  bool kin_parked; /* parked by another process; lock */
  u32 max_pages,
      child_max_pages; /* resident at most: of spaces that it had; of children and theirs */
  struct space *space; /* changed only by the single thread of exec; NULL in zombies */
  struct fdtable *files;
  struct fs_context *fs;
  struct sem_undo *sem_undo;  /* kernel/ipc/sysv_sem.c; its lock */
  struct proc_timers *timers; /* kernel/time/proc_timers.h; NULL until used; own lock */

  struct exe_path *exe_path; /* for /proc/PID/exe; reference held */
  u64 start_time;
  struct cpu_use used;          /* of its dead threads */
  struct cpu_times told;        /* what was last told: neither time ever runs backwards */
  u64 child_utime, child_stime; /* ns; of reaped children and theirs */

  /* fork copies from here to the end. */
  struct rlimit limits[RLIM_NLIMITS];
  char comm[16];
  u64 arg_start, arg_end, env_start, env_end; /* offsets, /proc/PID/cmdline and environ */
  u32 personality;
  i32 nice;
  struct cred cred;
};

extern struct spin proc_tree_lock;

static inline struct proc *proc_current(void) { return thread_current()->proc; }

void proc_get(struct proc *p);
void proc_put(struct proc *p);
/* Gives back the memory that is kept for new processes. */
void proc_trim(void);
/* A process by PID with a reference, or NULL (zombies included). */
struct proc *proc_find(int pid);
/* Calls f for every process (a reference is held during the call, no locks); for /proc. */
void proc_for_each(void (*f)(struct proc *p, void *arg), void *arg);
unsigned proc_count(void);
/* The lowest PID >= from that is in use, or -1. */
int proc_next_pid(int from);
/* Ids in use (of processes, threads, groups and sessions), and threads. */
void pids_count(unsigned *ids, unsigned *threads);

/* µprocess 1; NULL before it exists. */
struct proc *proc_init_process(void);
/* A thread by its id with a reference, or NULL. */
struct thread *thread_find(int tid);
/* Process group and session ids of p (it may change groups meanwhile; takes proc_tree_lock). */
int proc_pgid(struct proc *p);
int proc_sid(struct proc *p);
/* Session of a process group, 0 if there is no such group. */
int proc_pgrp_session(int pgid);
/* Nobody in the group's session outside of it could continue it if it were stopped. */
bool proc_pgrp_is_orphaned(int pgid);
/* The instance's host name (kernel/proc/info.c). */
void info_hostname(char *buf, size_t size);
/* Figures for --stats. */
struct proc_stats {
  u64 created, forks, vforks, threads, execs;
  u64 syscalls; /* of threads that have ended */
  u64 faults;   /* page faults of user code that the platform did not resolve by itself */
  unsigned peak;
  u64 peak_memory; /* plat_mem_used when as many processes as that were alive for the first time */
};
extern struct proc_stats proc_stats;

/* Bytes that a process costs: user memory that it alone has and that it shares, and in the kernel
   structures (of what it shares with others its part; open files only where no other table has
   them), the stacks of its threads, page tables. kernel/proc/footprint.c; may sleep. */
struct proc_footprint {
  u64 private_, shared;
  u64 structs, stacks, tables;
};
void proc_footprint(struct proc *p, struct proc_footprint *f);
/* Bytes of --memory that nothing uses; asks the platform, so not for a hot path. info.c */
u64 proc_memory_free(void);
/* Pages that it had resident at most, as far as that was seen (space_look); of the running process.
 */
u32 proc_max_pages(const struct proc *p);

/* ---- kernel/proc/fork.c -------------------------------------------------------------- */

/* clone as Linux defines it (fork, vfork, threads). Returns the child's id or -errno. */
struct clone_args {
  u64 flags;           /* CLONE_*, exit signal in the low byte */
  u64 stack;           /* user offset, 0: the parent's */
  u64 ptid, ctid, tls; /* user offsets */
  u64 pidfd;           /* CLONE_PIDFD: where its number is stored */
};
i64 proc_clone(const struct uregs *r, const struct clone_args *a);

/* ---- kernel/proc/exec.c -------------------------------------------------------------- */

/* Replaces the running process's program by the open file f (a script's interpreter instead);
   `path` is how it was named. Its other threads end. On success r describes the new program's
   entry. b's strings are changed for scripts. */
struct exec_builder;
struct file;
int proc_exec_open(struct uregs *r, struct file *f, const char *path, struct exec_builder *b);

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
