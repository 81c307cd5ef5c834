/* SPDX-License-Identifier: MIT */
/*
 * Threads: the schedulable entity, with a kernel stack of its own. Both are in one block of memory,
 * the upper end of an aligned range of addresses, so a thread is found from the stack pointer
 * (plat_current.h of a platform may know it otherwise):
 *
 *   KSTACK_SPAN, aligned to itself
 *   |  guard: nothing is mapped      |  stack grows down  | struct uregs | struct thread, vectors |
 *                                    |<------------------ KSTACK_SIZE, THREAD_ROOM of it last --->|
 *
 * A stack that grows too long thus ends in the guard and not in anybody's memory.
 *
 * Ownership: a thread is reference-counted (thread_get/put); the run queue and the running
 * CPU hold none: a thread leaves them before it dies. Its stack is freed by the next thread that
 * runs on that CPU (sched.c) or by the last put.
 */
#ifndef UFORK_KERNEL_THREAD_H
#define UFORK_KERNEL_THREAD_H

#include "include/ufork/abi.h"
#include "kernel/plat.h"
#include "kernel/regs.h"
#include "lib/list.h"
#include "lib/spin.h"

#ifdef LOCK_CHECK
#define HELD_MAX 16
#define LOCK_CHECKED 0x4c4f434bu
struct held_lock {
  const void *lock;
  u32 class;
  bool sleeps; /* a mutex */
  const struct lock_site *site;
};
#endif

#define KSTACK_SIZE 16384
#define KSTACK_SPAN 32768
#define THREAD_ROOM 2048 /* struct thread, and what the platform keeps behind it */
#define MAX_CPUS 64

/* Reasons to leave the fast path on the way back to user code (thread->work). */
#define WORK_RESCHED 1u /* another thread should run */
#define WORK_SIGNAL 2u  /* a signal may be deliverable */
#define WORK_PARK 4u    /* stop at the kernel's edge until unparked (fork, exec, stop) */
#define WORK_MOVED 8u   /* its region has got another base, and the CPU may have the old one */

/* What a thread, or the dead threads of a process, spent. The time is exact; how it divides follows
   from where the platform's periodic interrupts found the thread (kernel/proc/cpu_time.h). */
struct cpu_use {
  u64 time;                       /* ns */
  u64 user_samples, core_samples; /* counted by the platform on the running thread's CPU */
};

enum thread_state {
  THREAD_RUNNABLE,        /* on a runqueue or running */
  THREAD_SLEEPING,        /* interruptible by signals */
  THREAD_UNINTERRUPTIBLE, /* woken only by what it waits for */
  THREAD_STOPPED,         /* job control */
  THREAD_DEAD,
};

/* Offsets that assembly uses; checked below. */
#define THREAD_KSP 24
#define THREAD_WORK 32
#define THREAD_USER_RSP 40

struct thread {
  /* The TCB: user code reads these three through %r15 (doc/abi.md). */
  u64 tcb_base; /* region base */
  u64 tcb_tp;   /* thread pointer, an offset */
  u64 tcb_gate; /* system-call gate */

  u64 ksp;               /* saved kernel stack pointer while not running */
  u32 work;              /* WORK_*; atomic */
  u32 cpu;               /* CPU it runs on, or last ran on */
  u64 user_rsp;          /* scratch of the gate */
  u64 nsyscalls;         /* counted by the gate */
  struct region *region; /* what %gs shows; NULL for kernel threads */

  /* sched.h */
  enum thread_state state; /* atomic: its own thread stores, wakers compare and swap to RUNNABLE */
  bool on_cpu;             /* its stack is in use; a queued thread never is on a CPU */
  bool is_user;
  bool at_edge;  /* in the work loop: looks at `work` again before user code runs */
  bool may_park; /* gave up the CPU in interruptible sleep: may be parked there */
  u64 run_since; /* when its time slice began */
  u64 ripe_at;   /* queued: from when on it is worth another CPU's while; 0: at once */
  struct cpu_use used;
  u64 restart_deadline; /* of an interrupted sleep (ERESTARTBLOCK); 0 once a handler has run */

  /* proc.h */
  int tid;
  u32 refs;
  struct proc *proc;
  u64 set_tid;     /* user address to store tid at before the first user instruction, or 0 */
  u64 clear_tid;   /* user address (CLONE_CHILD_CLEARTID) */
  u64 robust_list; /* user address */
  char name[16];

#ifdef LOCK_CHECK
  struct held_lock held[HELD_MAX]; /* sched/lock_check.c: the order they were taken in */
  u32 nheld;
  u32 checked; /* LOCK_CHECKED: not just a stack that was there before threads */
#endif

  struct list *dying_rights; /* ipc/unix_control.c: its outermost unix_rights_free, or NULL */

  /* A new thread has zeros up to here; the rest is kept for the next one (sched/thread.c). */
  struct uregs *uregs; /* user registers: at the top of the kernel stack, below this */
  void *fpu;           /* platform's save area for vector state (in this block or its own) */
  struct thread *next_free;
  struct list run_node;
  struct list proc_node;  /* in proc->threads, under proc->lock */
  struct spin wake_lock;  /* decides who queues it: the waker or the CPU that switches away */
  struct thread_sig *sig; /* signal.h: mask, pending, altstack */
};

_Static_assert(offsetof(struct thread, tcb_base) == UF_TCB_BASE, "ABI");
_Static_assert(offsetof(struct thread, tcb_tp) == UF_TCB_TP, "ABI");
_Static_assert(offsetof(struct thread, tcb_gate) == UF_TCB_GATE, "ABI");
_Static_assert(offsetof(struct thread, ksp) == THREAD_KSP, "assembly offset");
_Static_assert(offsetof(struct thread, work) == THREAD_WORK, "assembly offset");
_Static_assert(offsetof(struct thread, user_rsp) == THREAD_USER_RSP, "assembly offset");

/* The thread in whose block `a`, an address of its stack or guard, is. */
static inline struct thread *thread_at(u64 a) {
  return (struct thread *)((a & ~(u64)(KSTACK_SPAN - 1)) + KSTACK_SPAN - THREAD_ROOM);
}

/* static inline struct thread *thread_current(void); static inline bool thread_exists(void) */
#include "plat_current.h"

/* A thread with an empty kernel stack, state UNINTERRUPTIBLE, one reference; NULL: no memory. */
struct thread *thread_alloc(void);
/* The same, not from the cache: for a CPU that has no running thread yet. */
struct thread *thread_alloc_new(void);
/* How many blocks (of KSTACK_SIZE) there are, and how many of them wait for the next thread. */
u64 thread_blocks(u64 *cached);
/* Gives those back. */
void thread_trim(void);
void thread_get(struct thread *t);
void thread_put(struct thread *t);

/* Sets WORK_* bits of t and, if it runs in user mode on another CPU, interrupts it. Any context. */
void thread_set_work(struct thread *t, u32 bits);
static inline void thread_clear_work(struct thread *t, u32 bits) {
  __atomic_and_fetch(&t->work, ~bits, __ATOMIC_SEQ_CST);
}

#endif
