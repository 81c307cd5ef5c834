/* SPDX-License-Identifier: MIT */
/* Start and end of an instance. */
#include "kernel/main.h"
#include "kernel/boot.h"
#include "kernel/errno.h"
#include "kernel/fs/tty.h"
#include "kernel/kassert.h"
#include "kernel/klog.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/space.h"
#include "kernel/proc/fork_time.h"
#include "kernel/proc/proc.h"
#include "kernel/signal/signal.h"
#include "kernel/syscall/entry.h"
#include "lib/fmt.h"
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

/* By kind: what is left when the processes have gone belongs to no process. */
static void print_heap(void) {
  char line[256];
  int n = 0;
  for (unsigned k = 0; k < KMEM_NKINDS; k++)
    n += fmt(line + n, sizeof line - (size_t)n, " %s %lu", kmem_name((enum kmem_kind)k),
             kmalloc_used_as((enum kmem_kind)k) / 1024);
  klog("kernel heap %lu KiB, by kind:%s", kmalloc_used() / 1024, line);
}

static void print_memory(void) {
  struct plat_memory m;
  struct space_counts c = space_counts();
  u64 spare, blocks = thread_blocks(&spare);
  plat_memory(&m);
  klog("regions %u live, %u at most, %u kept warm; user memory %lu KiB, page tables %lu KiB",
       c.live, c.peak, m.warm_regions, m.user_bytes / 1024, m.table_bytes / 1024);
  klog("kernel memory %lu KiB, of it stacks %lu KiB (%lu KiB kept for new threads)",
       m.kernel_bytes / 1024, blocks * KSTACK_SIZE / 1024, spare * KSTACK_SIZE / 1024);
  print_heap();
  klog("memory %lu KiB with %u processes, %lu KiB now", proc_stats.peak_memory / 1024,
       proc_stats.peak, plat_mem_used() / 1024);
}

static void print_stats(void) {
  const struct proc_stats *s = &proc_stats;
  klog("processes %lu created, %u at most at once; %lu forks, %lu vforks, %lu execs, %lu threads",
       s->created, s->peak, s->forks, s->vforks, s->execs, s->threads);
  struct fork_times f = fork_times();
  if (f.count)
    klog("fork calls %lu, median %lu.%02lu us, worst %lu.%02lu us", f.count, f.median / 1000,
         f.median % 1000 / 10, f.worst / 1000, f.worst % 1000 / 10);
  print_memory();
  klog("system calls %lu, context switches %lu, page faults %lu", s->syscalls, sched_switches(),
       s->faults);
}

_Noreturn void kernel_power_off(int wait_status) {
  if (boot.stats)
    print_stats();
  plat_poweroff(wait_status);
}
