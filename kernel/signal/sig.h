/* SPDX-License-Identifier: MIT */
/*
 * Inside of the signal machinery, for kernel/signal and the parts of kernel/proc that create and
 * end threads. sighand->lock protects actions and all pending sets of a process, its own
 * threads' included; `blocked` is written by its own thread only, under the lock.
 */
#ifndef UFORK_KERNEL_SIG_H
#define UFORK_KERNEL_SIG_H

#include "kernel/proc/proc.h"
#include "kernel/signal/signal.h"

#define SIG_BIT(n) (1UL << ((n)-1))
#define SIG_DFL 0UL
#define SIG_IGN 1UL

#define SA_NOCLDSTOP 1UL
#define SA_NOCLDWAIT 2UL
#define SA_SIGINFO 4UL
#define SA_RESTORER 0x04000000UL
#define SA_ONSTACK 0x08000000UL
#define SA_RESTART 0x10000000UL
#define SA_NODEFER 0x40000000UL
#define SA_RESETHAND 0x80000000UL

#define SS_ONSTACK 1
#define SS_DISABLE 2
#define SS_AUTODISARM (1U << 31)
#define MINSIGSTKSZ 2048

#define SIGSET_SIZE 8 /* sizeof the kernel's sigset_t */
#define SIG_UNBLOCKABLE (SIG_BIT(SIGKILL) | SIG_BIT(SIGSTOP))
#define SIG_STOPS (SIG_BIT(SIGSTOP) | SIG_BIT(SIGTSTP) | SIG_BIT(SIGTTIN) | SIG_BIT(SIGTTOU))
#define SIG_DFL_IGNORED (SIG_BIT(SIGCHLD) | SIG_BIT(SIGURG) | SIG_BIT(SIGWINCH) | SIG_BIT(SIGCONT))
#define SIG_SYNCHRONOUS                                                                            \
  (SIG_BIT(SIGSEGV) | SIG_BIT(SIGBUS) | SIG_BIT(SIGILL) | SIG_BIT(SIGTRAP) | SIG_BIT(SIGFPE) |     \
   SIG_BIT(SIGSYS))

#define CLD_EXITED 1
#define CLD_KILLED 2
#define CLD_STOPPED 5
#define CLD_CONTINUED 6

/* struct kernel_sigaction of the system-call ABI. */
struct sigact {
  u64 handler, flags, restorer, mask;
};

struct sigqueued {
  struct list node;
  struct ksiginfo info;
};

/* A bit per pending signal and the details of those for which memory was there. */
struct sigpending {
  u64 set;
  struct list queue; /* struct sigqueued, in order of arrival */
};

struct sighand {
  struct spin lock;
  unsigned nqueued; /* details queued in all, against RLIMIT_SIGPENDING */
  struct sigpending shared;
  u64 set; /* signals that have an entry in action; the others are SIG_DFL */
  struct sigact action[NSIG - 1];
};

/* What is to be done at a signal; and the entry to be changed, sighand->lock held. */
static inline const struct sigact *sigact_of(const struct sighand *sh, int signo) {
  static const struct sigact none = {.handler = SIG_DFL};
  return sh->set & SIG_BIT(signo) ? &sh->action[signo - 1] : &none;
}
static inline struct sigact *sigact_change(struct sighand *sh, int signo) {
  struct sigact *sa = &sh->action[signo - 1];
  if (!(sh->set & SIG_BIT(signo))) {
    *sa = (struct sigact){.handler = SIG_DFL};
    __atomic_store_n(&sh->set, sh->set | SIG_BIT(signo), __ATOMIC_RELEASE);
  }
  return sa;
}

struct sigaltstack {
  u64 sp;
  i32 flags;
  u32 pad;
  u64 size;
};

/* Does sp, an offset, lie on it? */
static inline bool sigaltstack_active(const struct sigaltstack *alt, u64 sp) {
  return !(alt->flags & SS_DISABLE) && sp > alt->sp && sp - alt->sp <= alt->size;
}

struct thread_sig {
  u64 blocked;
  u64 saved_mask; /* comes back after the handler, or after the call if none runs */
  bool mask_saved;
  u64 waiting_for; /* sigtimedwait: wake for these although blocked */
  struct sigpending pending;
  struct sigaltstack alt;
};

/* ---- life of the parts: pending.c ------------------------------------------------------- */

struct thread_sig *thread_sig_alloc(void);
void thread_sig_reset(struct thread_sig *ts);
void thread_sig_free(struct thread_sig *ts); /* NULL is fine */
u64 thread_sigs(void);                       /* that exist: cached thread blocks keep theirs */
void sighand_init(struct sighand *sh);       /* every action SIG_DFL; needs not be zero before */
void sighand_fork(struct sighand *sh, struct sighand *from); /* copies the actions to a new sh */
void sighand_clear(struct sighand *sh);                      /* frees what is pending */
/* Frees what is pending for an exiting thread. */
void sighand_drop_thread(struct sighand *sh, struct thread_sig *ts);
/* exec: handlers become SIG_DFL, ignored signals stay ignored. */
void sighand_exec(struct sighand *sh);

/* ---- pending sets; sighand->lock held: pending.c ------------------------------------------ */

void sigpending_init(struct sigpending *p);
/* Adds a signal. Standard signals that are pending already: nothing. -EAGAIN: real-time signal over
   the limit or without memory. */
int sigpending_add(struct sighand *sh, struct sigpending *p, int signo, const struct ksiginfo *info,
                   u64 limit);
/* Removes the first signal of `set`; its number, or 0. */
int sigpending_take(struct sighand *sh, struct sigpending *p, u64 set, struct ksiginfo *info);
/* Drops all of `set`. */
void sigpending_drop(struct sighand *sh, struct sigpending *p, u64 set);

/* ---- send.c ------------------------------------------------------------------------------ */

/* proc->lock held. */
int signal_send_locked(struct proc *p, struct thread *t, int signo, const struct ksiginfo *info);
/* Would signo, which is none of job control's, be gone at once if it were sent to p now? */
bool signal_is_dropped(struct proc *p, int signo);
/* A signal that ends the running thread is pending. */
bool signal_fatal_pending(void);
/* May the running process signal p? 0 or -EPERM. The second with proc_tree_lock held. */
int signal_may_send(struct proc *p, int signo);
int signal_may_send_locked(struct proc *p, int signo);
/* Signals that t would take now (pending and not blocked). */
u64 signal_deliverable(const struct thread *t);
/* Sets or clears WORK_SIGNAL of the running thread after its mask or its pending set changed. */
void signal_recalc(void);
/* Takes a signal of `set` that is pending for the running thread, then one for its process: its
   number, or 0. Blocked ones as well. */
int signal_take(u64 set, struct ksiginfo *info);
/* A siginfo of user space, meant for process `pid`: -EFAULT, or -EPERM (only the process itself may
   forge what the kernel says). info->signo is what user space says, unchecked. kill.c */
int signal_info_from_user(u64 uaddr, int pid, struct ksiginfo *info);
/* Replaces the running thread's mask (SIGKILL and SIGSTOP are taken out) and lets other threads
   take what it no longer can. Senders look at the mask under the same lock: none goes unseen. */
void signal_set_mask(u64 mask);
/* In two steps: the first is true if the second is needed, since something is pending. */
void signal_mask_changed(u64 newly_blocked);
static inline bool signal_swap_mask(struct thread *me, u64 mask) {
  struct thread_sig *ts = me->sig;
  struct sighand *sh = me->proc->sighand;
  spin_lock(&sh->lock);
  ts->blocked = mask & ~SIG_UNBLOCKABLE;
  u64 pending = ts->pending.set | sh->shared.set;
  spin_unlock(&sh->lock);
  return pending != 0;
}
/* An exiting thread: others take what was meant for the process. proc->lock held. */
void signal_retarget(struct proc *p);

/* ---- frame.c ------------------------------------------------------------------------------ */

/* Faults carry an address, unless somebody sent them. */
bool signal_has_address(const struct ksiginfo *i);
/* The 128 bytes of Linux's siginfo_t. */
void siginfo_encode(const struct ksiginfo *info, void *out128);
/* Builds the frame and points r at the handler; -EFAULT if the stack cannot take it. */
int signal_frame_push(struct uregs *r, int signo, const struct ksiginfo *info,
                      const struct sigact *sa, u64 mask);

/* ---- signalfd.c --------------------------------------------------------------------------- */

/* A signal has become pending in p: readers of signalfds look. proc->lock may be held. */
void signalfd_notify(struct proc *p);

/* ---- jobctl.c ----------------------------------------------------------------------------- */

/* Starts a stop of the whole process (running thread's). */
void jobctl_stop(int signo);
/* Stops the running thread while its process is being stopped. */
void jobctl_stop_here(void);
/* Continued while stopped: a thread of the process tells the parent on its way out. */
void jobctl_tell_continued(void);
/* SIGCONT or SIGKILL has been sent: everybody runs again. proc->lock held. */
void jobctl_continue(struct proc *p, int signo);
/* Tells the parent (wait and SIGCHLD). proc_tree_lock held, proc->lock not. */
void jobctl_notify_parent(struct proc *p, int code, int status);
/* A thread left p without stopping: maybe all others have. proc->lock held; true: report. */
bool jobctl_all_stopped(struct proc *p);

#endif
