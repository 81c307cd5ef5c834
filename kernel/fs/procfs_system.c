/* SPDX-License-Identifier: MIT */
/* /proc: what concerns the whole instance. */
#include "kernel/fs/inotify.h"
#include "kernel/fs/procfs.h"
#include "kernel/fs/tmpfs.h"
#include "kernel/ipc/sysv.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/proc.h"
#include "kernel/sched/sched.h"
#include "kernel/time/clock.h"
#include "kernel/version.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define HZ_NS 10000000UL /* a clock tick of 1/100 s, the unit of /proc */

static u64 kib(u64 bytes) { return bytes >> 10; }

static int show_meminfo(struct text *t, const struct pfs_who *w) {
  u64 limit = plat_mem_limit(), shmem = tmpfs_bytes_used(), left = proc_memory_free();
  struct plat_memory m;
  (void)w;
  plat_memory(&m);
  text_printf(t,
              "MemTotal:       %8lu kB\nMemFree:        %8lu kB\nMemAvailable:   %8lu kB\n"
              "Buffers:               0 kB\nCached:         %8lu kB\nSwapCached:            0 kB\n"
              "SwapTotal:             0 kB\nSwapFree:              0 kB\nShmem:          %8lu kB\n"
              "Slab:           %8lu kB\nSReclaimable:          0 kB\n",
              kib(limit), kib(left), kib(left), kib(shmem), kib(shmem), kib(kmalloc_used()));
  u64 spare, blocks = thread_blocks(&spare);
  text_printf(t, "KernelStack:    %8lu kB\nPageTables:     %8lu kB\n",
              kib((blocks - spare) * KSTACK_SIZE), kib(m.table_bytes));
  text_printf(t, "Regions:        %8u\nRegionsWarm:    %8u\n", m.regions - m.warm_regions,
              m.warm_regions);
  for (unsigned k = 0; k < KMEM_NKINDS; k++)
    text_printf(t, "Kmem%-12s%8lu kB\n", kmem_name((enum kmem_kind)k),
                kib(kmalloc_used_as((enum kmem_kind)k)));
  return 0;
}

/* What the processor says of itself; cpuid leaves 0 and 0x80000002 to 4. */
static void cpu_names(char *vendor, char *model) {
  u32 a, b, c, d, *m = (u32 *)model;
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "0"(0), "2"(0));
  memcpy(vendor, &b, 4);
  memcpy(vendor + 4, &d, 4);
  memcpy(vendor + 8, &c, 4);
  vendor[12] = 0;
  for (u32 leaf = 0; leaf < 3; leaf++, m += 4)
    __asm__("cpuid"
            : "=a"(m[0]), "=b"(m[1]), "=c"(m[2]), "=d"(m[3])
            : "0"(0x80000002u + leaf), "2"(0));
  model[48] = 0;
}

static int show_cpuinfo(struct text *t, const struct pfs_who *w) {
  char vendor[13] = "", model[52] __attribute__((aligned(4))) = "";
  const char *name = model;
  (void)w;
  cpu_names(vendor, model);
  while (*name == ' ')
    name++;
  for (unsigned cpu = 0; cpu < plat_ncpus(); cpu++)
    text_printf(t, "processor\t: %u\nvendor_id\t: %s\nmodel name\t: %s\ncpu cores\t: %u\n\n", cpu,
                vendor, name, plat_ncpus());
  return 0;
}

static void add_time(struct proc *p, void *sum) { *(u64 *)sum += proc_cpu_time(p); }

/* CPU time of live processes plus that of the dead ones they have reaped. */
static void add_time_with_children(struct proc *p, void *sum) {
  add_time(p, sum);
  *(u64 *)sum += p->child_utime + p->child_stime;
}

static u64 idle_time(void) {
  u64 busy = 0, all = plat_now() * plat_ncpus();
  proc_for_each(add_time_with_children, &busy);
  return busy < all ? all - busy : 0;
}

static int show_uptime(struct text *t, const struct pfs_who *w) {
  u64 up = plat_now() / HZ_NS, idle = idle_time() / HZ_NS;
  (void)w;
  text_printf(t, "%lu.%02lu %lu.%02lu\n", up / 100, up % 100, idle / 100, idle % 100);
  return 0;
}

static void count_running(struct proc *p, void *n) {
  struct thread *th;
  spin_lock(&p->lock);
  list_for_each(th, &p->threads, proc_node) * (unsigned *)n += th->state == THREAD_RUNNABLE;
  spin_unlock(&p->lock);
}

static void last_pid(struct proc *p, void *pid) { *(int *)pid = p->pid; }

/* Averages over time are not kept: what runs now stands for all three. */
static int show_loadavg(struct text *t, const struct pfs_who *w) {
  unsigned n = 0;
  int pid = 0;
  (void)w;
  proc_for_each(count_running, &n);
  proc_for_each(last_pid, &pid);
  text_printf(t, "%u.00 %u.00 %u.00 %u/%u %d\n", n, n, n, n, proc_count(), pid);
  return 0;
}

static int show_stat(struct text *t, const struct pfs_who *w) {
  u64 busy = 0, idle = idle_time() / HZ_NS, boot = (plat_walltime() - plat_now()) / NSEC_PER_SEC;
  unsigned running = 0, n = plat_ncpus();
  (void)w;
  proc_for_each(add_time_with_children, &busy);
  proc_for_each(count_running, &running);
  busy /= HZ_NS;
  text_printf(t, "cpu  %lu 0 0 %lu 0 0 0 0 0 0\n", busy, idle);
  for (unsigned cpu = 0; cpu < n; cpu++)
    text_printf(t, "cpu%u %lu 0 0 %lu 0 0 0 0 0 0\n", cpu, busy / n, idle / n);
  text_printf(t, "intr 0\nctxt %lu\nbtime %lu\nprocesses %lu\nprocs_running %u\nprocs_blocked 0\n",
              sched_switches(), boot, proc_stats.created, running);
  return 0;
}

static int show_version(struct text *t, const struct pfs_who *w) {
  (void)w;
  text_printf(t, "Linux version %s (uFork %s)\n", UFORK_UTS_RELEASE, UFORK_VERSION);
  return 0;
}

static void show_mount(void *arg, const struct mount *m, const char *path) {
  text_printf(arg, "%s %s %s %s,relatime 0 0\n", m->source, path, m->root->inode->super->type,
              m->read_only ? "ro" : "rw");
}

int pfs_show_mounts(struct text *t, const struct pfs_who *w) {
  (void)w;
  vfs_each_mount(show_mount, t);
  return 0;
}

static int show_filesystems(struct text *t, const struct pfs_who *w) {
  (void)w;
  text_printf(t, "nodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tproc\nnodev\thostfs\n");
  return 0;
}

static int show_cmdline(struct text *t, const struct pfs_who *w) {
  (void)w;
  text_printf(t, "ufork\n");
  return 0;
}

/* ---- self
 * ---------------------------------------------------------------------------------------- */

static int self_target(const struct pfs_who *w, char *buf, size_t size) {
  struct proc *p = proc_current();
  (void)w;
  if (!p)
    return -ENOENT;
  fmt(buf, size, "%d", p->pid);
  return 0;
}

static int thread_self_target(const struct pfs_who *w, char *buf, size_t size) {
  struct proc *p = proc_current();
  (void)w;
  if (!p)
    return -ENOENT;
  fmt(buf, size, "%d/task/%d", p->pid, thread_current()->tid);
  return 0;
}

static int mounts_target(const struct pfs_who *w, char *buf, size_t size) {
  (void)w;
  str_copy(buf, "self/mounts", size);
  return 0;
}

/* ---- sys
 * ----------------------------------------------------------------------------------------- */

static int show_hostname(struct text *t, const struct pfs_who *w) {
  char name[65];
  (void)w;
  info_hostname(name, sizeof name);
  text_printf(t, "%s\n", name);
  return 0;
}

static int show_ostype(struct text *t, const struct pfs_who *w) {
  (void)w;
  text_printf(t, "Linux\n");
  return 0;
}

static int show_osrelease(struct text *t, const struct pfs_who *w) {
  (void)w;
  text_printf(t, "%s\n", UFORK_UTS_RELEASE);
  return 0;
}

#define SHOW_NUMBER(function, value)                                                               \
  static int function(struct text *t, const struct pfs_who *w) {                                   \
    (void)w;                                                                                       \
    text_printf(t, "%lu\n", (u64)(value));                                                         \
    return 0;                                                                                      \
  }
SHOW_NUMBER(show_pid_max, PID_MAX)
SHOW_NUMBER(show_threads_max, PID_MAX)
SHOW_NUMBER(show_ngroups_max, NGROUPS_MAX)
SHOW_NUMBER(show_overcommit, 1) /* memory is promised freely: fork never fails for want of it */
SHOW_NUMBER(show_max_map_count, 65530)
SHOW_NUMBER(show_somaxconn, 4096)
SHOW_NUMBER(show_file_max, 1u << 20)
SHOW_NUMBER(show_pipe_max_size, 1u << 20)
SHOW_NUMBER(show_inotify_events, INOTIFY_EVENTS_MAX)
SHOW_NUMBER(show_inotify_instances, INOTIFY_INSTANCES_MAX)
SHOW_NUMBER(show_inotify_watches, INOTIFY_WATCHES_MAX)

#define TEXT(n, s)                                                                                 \
  { .name = (n), .mode = S_IFREG | 0444, .show = (s) }
#define DIRECTORY(n, c)                                                                            \
  { .name = (n), .mode = S_IFDIR | 0555, .children = (c) }
#define LINK(n, t)                                                                                 \
  { .name = (n), .mode = S_IFLNK | 0777, .target = (t) }
#define END                                                                                        \
  { .name = NULL }

SHOW_NUMBER(show_shmmni, SHM_MAX_IDS)
SHOW_NUMBER(show_shmmax, SHM_MAX_SIZE)
SHOW_NUMBER(show_msgmax, MSG_MAX_SIZE)
SHOW_NUMBER(show_msgmnb, MSG_MAX_QUEUE)
SHOW_NUMBER(show_msgmni, MSG_MAX_IDS)

static int show_sem(struct text *t, const struct pfs_who *w) {
  (void)w;
  text_printf(t, "%u\t%u\t%u\t%u\n", SEM_MAX_PER_SET, SEM_MAX_ALL, SEM_MAX_OPS, SEM_MAX_IDS);
  return 0;
}

static int show_sysvipc_shm(struct text *t, const struct pfs_who *w) {
  (void)w;
  shm_show(t);
  return 0;
}

static int show_sysvipc_sem(struct text *t, const struct pfs_who *w) {
  (void)w;
  sem_show(t);
  return 0;
}

static int show_sysvipc_msg(struct text *t, const struct pfs_who *w) {
  (void)w;
  msg_show(t);
  return 0;
}

static const struct pfs_node sysvipc_dir[] = {TEXT("msg", show_sysvipc_msg),
                                              TEXT("sem", show_sysvipc_sem),
                                              TEXT("shm", show_sysvipc_shm), END};

static const struct pfs_node sys_kernel[] = {
    TEXT("hostname", show_hostname),
    TEXT("msgmax", show_msgmax),
    TEXT("msgmnb", show_msgmnb),
    TEXT("msgmni", show_msgmni),
    TEXT("ngroups_max", show_ngroups_max),
    TEXT("osrelease", show_osrelease),
    TEXT("ostype", show_ostype),
    TEXT("pid_max", show_pid_max),
    TEXT("sem", show_sem),
    TEXT("shmmax", show_shmmax),
    TEXT("shmmni", show_shmmni),
    TEXT("threads-max", show_threads_max),
    END,
};
static const struct pfs_node sys_vm[] = {TEXT("max_map_count", show_max_map_count),
                                         TEXT("overcommit_memory", show_overcommit), END};
static const struct pfs_node sys_net_core[] = {TEXT("somaxconn", show_somaxconn), END};
static const struct pfs_node sys_net[] = {DIRECTORY("core", sys_net_core), END};
static const struct pfs_node sys_fs_inotify[] = {TEXT("max_queued_events", show_inotify_events),
                                                 TEXT("max_user_instances", show_inotify_instances),
                                                 TEXT("max_user_watches", show_inotify_watches),
                                                 END};
static const struct pfs_node sys_fs[] = {TEXT("file-max", show_file_max),
                                         DIRECTORY("inotify", sys_fs_inotify),
                                         TEXT("pipe-max-size", show_pipe_max_size), END};
static const struct pfs_node sys_dir[] = {DIRECTORY("fs", sys_fs), DIRECTORY("kernel", sys_kernel),
                                          DIRECTORY("net", sys_net), DIRECTORY("vm", sys_vm), END};

static const struct pfs_node root_children[] = {
    TEXT("cmdline", show_cmdline),
    TEXT("cpuinfo", show_cpuinfo),
    TEXT("filesystems", show_filesystems),
    TEXT("loadavg", show_loadavg),
    TEXT("meminfo", show_meminfo),
    LINK("mounts", mounts_target),
    LINK("self", self_target),
    TEXT("stat", show_stat),
    DIRECTORY("sys", sys_dir),
    DIRECTORY("sysvipc", sysvipc_dir),
    LINK("thread-self", thread_self_target),
    TEXT("ufork", pfs_show_figures),
    TEXT("uptime", show_uptime),
    TEXT("version", show_version),
    END,
};

static int next_process(const struct pfs_who *w, int from) {
  (void)w;
  return proc_next_pid(from);
}

const struct pfs_node pfs_root = {.name = "",
                                  .mode = S_IFDIR | 0555,
                                  .children = root_children,
                                  .next = next_process,
                                  .numbered = &pfs_process_dir};
