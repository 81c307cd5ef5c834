/* SPDX-License-Identifier: MIT */
/* Start and end of an instance. */
#include "kernel/main.h"
#include "kernel/boot.h"
#include "kernel/errno.h"
#include "kernel/fs/tty.h"
#include "kernel/kassert.h"
#include "kernel/klog.h"
#include "kernel/proc/fork_time.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall/entry.h"
#include "lib/string.h"

#define STATUS_CANNOT_RUN (126 << 8)
#define STATUS_NOT_FOUND (127 << 8)

struct boot_args boot;

/* The first thread: makes µprocess 1 around itself and becomes its program. */
static void first_thread(struct thread *t) {
  sched_thread_begin();
  int err = proc_boot(&boot);
  if (err < 0)
    plat_poweroff(err == -ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN);
  user_return(t->uregs);
  plat_user_enter(t, t->uregs);
}

_Noreturn void kernel_main(const struct boot_args *b) {
  boot = *b;
  sched_init();
  struct thread *t = thread_alloc();
  kassert(t);
  plat_thread_init(t, first_thread);
  sched_boot(t);
  sched_run(0);
}

_Noreturn void kernel_cpu_main(unsigned cpu) { sched_run(cpu); }

void kernel_external_signal(int signo) {
  struct ksiginfo info = {.signo = signo, .code = SI_KERNEL};
  bool from_keyboard = signo == SIGINT || signo == SIGQUIT || signo == SIGTSTP || signo == SIGWINCH;
  int pgid = from_keyboard ? tty_console_pgrp() : 0;
  if (pgid > 0 && signal_send_pgrp(pgid, signo, &info) == 0)
    return;
  struct proc *init = proc_find(1);
  if (!init)
    return;
  signal_send_proc(init, signo, &info);
  proc_put(init);
}

static void print_stats(void) {
  const struct proc_stats *s = &proc_stats;
  klog("processes %lu created, %u at most at once; %lu forks, %lu vforks, %lu execs, %lu threads",
       s->created, s->peak, s->forks, s->vforks, s->execs, s->threads);
  struct fork_times f = fork_times();
  if (f.count)
    klog("fork calls %lu, median %lu.%02lu us, worst %lu.%02lu us", f.count, f.median / 1000,
         f.median % 1000 / 10, f.worst / 1000, f.worst % 1000 / 10);
  klog("system calls %lu, context switches %lu, page faults %lu, memory in use %lu KiB",
       s->syscalls, sched_switches(), s->faults, plat_mem_used() / 1024);
}

_Noreturn void kernel_power_off(int wait_status) {
  if (boot.stats)
    print_stats();
  plat_poweroff(wait_status);
}
