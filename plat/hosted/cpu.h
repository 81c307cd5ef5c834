/* SPDX-License-Identifier: MIT */
/*
 * vCPUs: host threads that run the core's scheduler. Files: cpu.c (life, switch, kick, idle),
 * tick.c (the ticker), trap.c (host signals), idle.S; plat/x86: entry.S, fpu.c (vector state).
 */
#ifndef UFORK_HOSTED_CPU_H
#define UFORK_HOSTED_CPU_H

#include "kernel/thread.h"
#include "plat/hosted/linux.h"
#include "plat/x86/entry.h"

/* What plat_now_here goes by: a moment on the CPU's counter and on the host's clock (clock.c). */
struct clock_anchor {
  u64 tsc, ns;
  u64 mult; /* nanoseconds per 2^CLOCK_SHIFT cycles; 0: not known */
  u64 last; /* what was handed out last */
};

/* The last send of the running thread, as far as the next may go with it: together.h. */
enum sent_kind {
  SENT_NOTHING, /* or other I/O has come since */
  SENT_LATER,   /* no small one, or not the first */
  SENT_FIRST,   /* a small one, and nothing is known of its like */
  SENT_TRIED,   /* one whose like have been followed by others, some times */
  SENT_HELD     /* one that the host holds until the next */
};
struct sent {
  u64 id; /* the socket's hostio_id */
  struct thread *thread;
  enum sent_kind kind; /* others read it, too */
};

struct vcpu {
  struct thread *current;   /* what runs here */
  struct thread *fpu_owner; /* whose vector state an idle vCPU still has: plat/x86/fpu.c */
  u64 gs_base;              /* what %gs shows */
  struct clock_anchor clock;
  u32 id;
  int tid;         /* host thread */
  u32 kicked;      /* a kick is on its way; atomic */
  u32 pending;     /* a kick found the kernel: the running thread must look. This vCPU only */
  u32 idle;        /* sleeps in the host or is about to; atomic */
  u32 tick_needed; /* atomic */
  u32 relaxed;     /* plat_relax calls, to yield now and then */
  u32 idle_looks;  /* idle: looks around in a row that helped nobody */
  struct sent sent;
} __attribute__((aligned(128)));

extern struct vcpu vcpus[MAX_CPUS];
extern unsigned vcpu_count;
extern int host_pid;

/* The vCPU of this host thread, NULL on others. Read anew each time: a kernel thread of control
   changes host threads in plat_switch. */
static inline struct vcpu *vcpu_self(void) {
  struct vcpu *v;
  __asm__ volatile("mov %%fs:uf_vcpu_self@tpoff, %0" : "=r"(v));
  return v;
}

/* ---- idle.S ---------------------------------------------------------------------------------- */

extern char uf_idle_check[], uf_idle_end[], uf_idle_out[];
i64 uf_idle_wait(int epfd, struct lx_epoll_event *ev, int n, u64 timeout, u32 nr,
                 const u32 *kicked);

/* ---- start-up (main.c runs these on libc's side) ---------------------------------------- */

struct boot_args;
/* Prepares n vCPUs. 0 or -errno. */
int cpu_init(unsigned n);
/* The calling host thread becomes vCPU `cpu` and runs the kernel; b for CPU 0, else NULL. */
_Noreturn void cpu_run(unsigned cpu, const struct boot_args *b);
/* The calling host thread, which is no vCPU, runs f, which does not return, on a kernel stack: it
   may use kernel memory and locks that spin, and nothing else of the core. */
_Noreturn void cpu_run_helper(void (*f)(void *));

/* ---- plat/x86/usercopy.c: the host maps every region for every vCPU
 * ------------------------------- */

static inline struct region *user_begin(const void *user) {
  (void)user;
  return NULL;
}
static inline void user_end(struct region *foreign) { (void)foreign; }
static inline bool user_page(struct region *foreign, u64 addr, bool write) {
  (void)foreign;
  return user_fault(addr, write);
}

/* ---- tick.c ---------------------------------------------------------------------------------- */

/* Before vCPUs run; -errno of the host's timer. */
int ticker_init(void);
/* Body of the ticker's host thread. */
_Noreturn void ticker_run(void);
/* A vCPU goes idle or comes back. */

/* ---- trap.c ---------------------------------------------------------------------------------- */

/* The host signal that kicks a vCPU. */
#define HOST_SIG_KICK 23 /* SIGURG */
/* The host signal that comes to a vCPU after each SAMPLE_NS of its CPU time. */
#define HOST_SIG_SAMPLE 26 /* SIGVTALRM */
#define SAMPLE_NS 10000000
/* Handler of faults, kicks and samples, for sigaction(SA_SIGINFO | SA_ONSTACK). */
void hosted_signal(int sig, struct lx_siginfo *info, struct lx_ucontext *uc);
/* A signal of the outside world arrived: vCPU 0 will hand it to the core. Any host thread. */
void hosted_external_signal(int sig);
/* Hands over what has arrived. Context: idle or trap. */
void deliver_external_signals(void);

#endif
