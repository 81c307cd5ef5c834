/* SPDX-License-Identifier: MIT */
/*
 * Signals: Linux x86-64 numbers, siginfo and frame layout. Delivery happens on the way back to user
 * code (signal_deliver), never asynchronously inside the kernel.
 */
#ifndef UFORK_KERNEL_SIGNAL_H
#define UFORK_KERNEL_SIGNAL_H

#include "kernel/plat.h"
#include "kernel/sched/sched.h"

enum {
  SIGHUP = 1,
  SIGINT,
  SIGQUIT,
  SIGILL,
  SIGTRAP,
  SIGABRT,
  SIGBUS,
  SIGFPE,
  SIGKILL,
  SIGUSR1,
  SIGSEGV,
  SIGUSR2,
  SIGPIPE,
  SIGALRM,
  SIGTERM,
  SIGSTKFLT,
  SIGCHLD,
  SIGCONT,
  SIGSTOP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
  SIGURG,
  SIGXCPU,
  SIGXFSZ,
  SIGVTALRM,
  SIGPROF,
  SIGWINCH,
  SIGIO,
  SIGPWR,
  SIGSYS,
  SIGRTMIN,
  NSIG = 65
};

#define SI_USER 0
#define SI_KERNEL 128
#define SI_QUEUE (-1)
#define SI_TIMER (-2)
#define SI_TKILL (-6)

/* The fields of siginfo that we use; marshalled to the 128-byte Linux layout on delivery. */
struct ksiginfo {
  int signo, code, err;
  int pid;
  u32 uid;
  int status; /* SIGCHLD */
  u64 addr;   /* faults */
  u64 value;  /* sigqueue, timers */
  int timerid, overrun;
};

/* Sends to a process (any thread that does not block it), a thread, or a process group. `info`
   NULL: SI_KERNEL. Permission is the caller's business. 0, -ESRCH, -EAGAIN (queue full, real-time
   signals). Any context. */
int signal_send_proc(struct proc *p, int signo, const struct ksiginfo *info);
int signal_send_thread(struct thread *t, int signo, const struct ksiginfo *info);
int signal_send_pgrp(int pgid, int signo, const struct ksiginfo *info);
/* A synchronous fault: delivered even if blocked or ignored (then it kills). Running thread. */
void signal_force(int signo, const struct ksiginfo *info);

/* On the way to user mode: delivers what is pending, stops or ends the process if that is the
   action. syscall result handling (ERESTART*) included. r may be replaced wholly. True if r changed
   beyond rax. */
bool signal_deliver(struct uregs *r);

/* True if signo is ignored or blocked by the running thread (tty job control). */
bool signal_is_ignored_or_blocked(int signo);

/* poll-like waits with a temporary mask (ppoll, pselect, epoll_pwait, sigsuspend): sets the mask;
   the saved one comes back when the call ends or a handler has been set up. uaddr 0: nothing to do.
 */
int signal_set_temp_mask(u64 uaddr, u64 size);
void signal_restore_temp_mask(bool interrupted);

#endif
