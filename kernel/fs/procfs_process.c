/* SPDX-License-Identifier: MIT */
/* /proc/PID: what a process is, what it does, what it may. */
#include "kernel/fs/procfs.h"
#include "kernel/fs/tty.h"
#include "kernel/signal/sig.h"

#define HZ_NS 10000000UL

/* ---- state ----------------------------------------------------------------------------------- */

static char thread_letter(const struct thread *th) {
  switch (th->state) {
  case THREAD_RUNNABLE:
    return 'R';
  case THREAD_UNINTERRUPTIBLE:
    return 'D';
  case THREAD_STOPPED:
    return 'T';
  case THREAD_DEAD:
    return 'X';
  default:
    return 'S';
  }
}

/* Of one thread (tid) or of the process's first (tid 0). */
static char state_letter(struct proc *p, int tid) {
  struct thread *th;
  char c = 'Z';
  if (p->state == PROC_ZOMBIE || p->state == PROC_REAPED)
    return 'Z';
  if (p->state == PROC_STOPPED)
    return 'T';
  spin_lock(&p->lock);
  list_for_each(th, &p->threads, proc_node) {
    if (tid && th->tid != tid)
      continue;
    c = thread_letter(th);
    break;
  }
  spin_unlock(&p->lock);
  return c;
}

static const char *state_name(char c) {
  switch (c) {
  case 'R':
    return "running";
  case 'D':
    return "disk sleep";
  case 'T':
    return "stopped";
  case 'Z':
    return "zombie";
  case 'X':
    return "dead";
  default:
    return "sleeping";
  }
}

static int parent_pid(struct proc *p) {
  int ppid;
  spin_lock(&proc_tree_lock);
  ppid = p->parent ? p->parent->pid : 0;
  spin_unlock(&proc_tree_lock);
  return ppid;
}

/* ---- files
 * ---------------------------------------------------------------------------------------- */

/* The running process's reference to the process a file is about. */
static struct proc *find(const struct pfs_who *w) { return proc_find(w->pid); }

static int show_stat(struct text *t, const struct pfs_who *w) {
  struct proc *p = find(w);
  struct tty *tty;
  struct pfs_memory m;
  struct cpu_times times;
  int sid;
  if (!p)
    return -ESRCH;
  pfs_memory(p, &m);
  times = proc_cpu_times(p);
  sid = proc_sid(p);
  tty = tty_of_session(sid);
  text_printf(t, "%d (%s) %c %d %d %d %d %d 0 0 0 0 0 ", w->id ? w->id : p->pid, p->comm,
              state_letter(p, w->id), parent_pid(p), proc_pgid(p), sid, tty ? (int)tty->rdev : 0,
              tty ? tty->fg_pgid : -1);
  if (tty)
    tty_put(tty);
  text_printf(t, "%lu %lu %lu %lu 20 %d %u 0 %lu %lu %lu %lu ", times.user / HZ_NS,
              times.system / HZ_NS, p->child_utime / HZ_NS, p->child_stime / HZ_NS, p->nice,
              p->nthreads, p->start_time / HZ_NS, m.mapped, m.resident / PAGE_SIZE,
              (u64)p->limits[RLIMIT_RSS].cur);
  text_printf(t, "0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 %lu %lu %lu %lu %d\n", p->arg_start,
              p->arg_end, p->env_start, p->env_end, p->exit_status);
  proc_put(p);
  return 0;
}

/* Signal sets; a zombie has none any more. */
static void show_signals(struct text *t, struct proc *p) {
  u64 pending = 0, shared = 0, blocked = 0, ignored = 0, caught = 0;
  struct thread *th;
  spin_lock(&p->lock);
  if (p->sighand && !list_empty(&p->threads)) {
    th = list_first(&p->threads, struct thread, proc_node);
    pending = th->sig->pending.set;
    blocked = th->sig->blocked;
    shared = p->sighand->shared.set;
    for (int s = 1; s < NSIG; s++) {
      u64 handler = sigact_of(p->sighand, s)->handler;
      ignored |= handler == SIG_IGN ? SIG_BIT(s) : 0;
      caught |= handler > SIG_IGN ? SIG_BIT(s) : 0;
    }
  }
  spin_unlock(&p->lock);
  text_printf(
      t, "SigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
      pending, shared, blocked, ignored, caught);
}

static void show_ids(struct text *t, const struct cred *c) {
  text_printf(t, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nGroups:\t", c->uid, c->euid, c->suid,
              c->fsuid, c->gid, c->egid, c->sgid, c->fsgid);
  for (u32 k = 0; k < c->ngroups; k++)
    text_printf(t, "%u ", c->groups[k]);
  text_printf(t, "\n");
}

static int show_status(struct text *t, const struct pfs_who *w) {
  struct proc *p = find(w);
  struct pfs_memory m;
  char c;
  if (!p)
    return -ESRCH;
  pfs_memory(p, &m);
  c = state_letter(p, w->id);
  text_printf(t, "Name:\t%s\nState:\t%c (%s)\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n",
              p->comm, c, state_name(c), p->pid, w->id ? w->id : p->pid, parent_pid(p));
  show_ids(t, &p->cred);
  text_printf(t,
              "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\n"
              "RssAnon:\t%8lu kB\nRssShmem:\t%8lu kB\nVmData:\t%8lu kB\nVmStk:\t%8lu kB\n"
              "VmPTE:\t%8lu kB\nVmSwap:\t       0 kB\n",
              m.mapped >> 10, m.mapped >> 10, m.peak >> 10, m.resident >> 10, m.cost.private_ >> 10,
              m.cost.shared >> 10, m.data >> 10, m.stack >> 10, m.cost.tables >> 10);
  text_printf(t, "Threads:\t%u\n", p->nthreads);
  show_signals(t, p);
  proc_put(p);
  return 0;
}

static int show_comm(struct text *t, const struct pfs_who *w) {
  struct proc *p = find(w);
  if (!p)
    return -ESRCH;
  text_printf(t, "%s\n", p->comm);
  proc_put(p);
  return 0;
}

static void show_limit(struct text *t, u64 v) {
  if (v == RLIM_INFINITY)
    text_printf(t, "%-20s ", "unlimited");
  else
    text_printf(t, "%-20lu ", v);
}

static int show_limits(struct text *t, const struct pfs_who *w) {
  static const struct {
    const char *name, *unit;
  } rows[RLIM_NLIMITS] = {
      [RLIMIT_CPU] = {"Max cpu time", "seconds"},
      [RLIMIT_FSIZE] = {"Max file size", "bytes"},
      [RLIMIT_DATA] = {"Max data size", "bytes"},
      [RLIMIT_STACK] = {"Max stack size", "bytes"},
      [RLIMIT_CORE] = {"Max core file size", "bytes"},
      [RLIMIT_RSS] = {"Max resident set", "bytes"},
      [RLIMIT_NPROC] = {"Max processes", "processes"},
      [RLIMIT_NOFILE] = {"Max open files", "files"},
      [RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
      [RLIMIT_AS] = {"Max address space", "bytes"},
      [RLIMIT_LOCKS] = {"Max file locks", "locks"},
      [RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
      [RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
      [RLIMIT_NICE] = {"Max nice priority", ""},
      [RLIMIT_RTPRIO] = {"Max realtime priority", ""},
      [RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
  };
  struct proc *p = find(w);
  if (!p)
    return -ESRCH;
  text_printf(t, "%-25s %-20s %-20s %s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
  for (int k = 0; k < RLIM_NLIMITS; k++) {
    text_printf(t, "%-25s ", rows[k].name);
    show_limit(t, p->limits[k].cur);
    show_limit(t, p->limits[k].max);
    text_printf(t, "%s\n", rows[k].unit);
  }
  proc_put(p);
  return 0;
}

static int show_oom(struct text *t, const struct pfs_who *w) {
  (void)w;
  text_printf(t, "0\n"); /* nobody is ever chosen to die for memory */
  return 0;
}

/* ---- threads
 * ------------------------------------------------------------------------------------- */

static int next_thread(const struct pfs_who *w, int from) {
  struct proc *p = find(w);
  struct thread *th;
  int best = -1;
  if (!p)
    return -1;
  spin_lock(&p->lock);
  list_for_each(th, &p->threads, proc_node) {
    if (th->tid >= from && (best < 0 || th->tid < best))
      best = th->tid;
  }
  spin_unlock(&p->lock);
  proc_put(p);
  return best;
}

#define TEXT(n, s)                                                                                 \
  { .name = (n), .mode = S_IFREG | 0444, .show = (s) }
#define OWN_TEXT(n, s)                                                                             \
  { .name = (n), .mode = S_IFREG | 0444, .owner_only = true, .show = (s) }

static const struct pfs_node thread_children[] = {
    TEXT("comm", show_comm),
    TEXT("stat", show_stat),
    TEXT("status", show_status),
    {.name = NULL},
};
static const struct pfs_node thread_dir = {
    .name = "", .mode = S_IFDIR | 0555, .children = thread_children};

static const struct pfs_node process_children[] = {
    TEXT("cmdline", pfs_show_cmdline),
    TEXT("comm", show_comm),
    {.name = "cwd",
     .mode = S_IFLNK | 0777,
     .owner_only = true,
     .target = pfs_cwd_target,
     .magic = pfs_cwd_magic},
    {.name = "environ", .mode = S_IFREG | 0400, .show = pfs_show_environ},
    {.name = "exe", .mode = S_IFLNK | 0777, .owner_only = true, .target = pfs_exe_target},
    {.name = "fd", .mode = S_IFDIR | 0500, .next = pfs_next_fd, .numbered = &pfs_fd_link},
    TEXT("limits", show_limits),
    OWN_TEXT("maps", pfs_show_maps),
    TEXT("mounts", pfs_show_mounts),
    TEXT("oom_score", show_oom),
    TEXT("oom_score_adj", show_oom),
    {.name = "root",
     .mode = S_IFLNK | 0777,
     .owner_only = true,
     .target = pfs_root_target,
     .magic = pfs_root_magic},
    OWN_TEXT("smaps", pfs_show_smaps),
    OWN_TEXT("smaps_rollup", pfs_show_smaps_rollup),
    TEXT("stat", show_stat),
    TEXT("statm", pfs_show_statm),
    TEXT("status", show_status),
    {.name = "task", .mode = S_IFDIR | 0555, .next = next_thread, .numbered = &thread_dir},
    {.name = NULL},
};
const struct pfs_node pfs_process_dir = {
    .name = "", .mode = S_IFDIR | 0555, .children = process_children};
