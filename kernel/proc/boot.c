/* SPDX-License-Identifier: MIT */
/* µprocess 1: from nothing to the first instruction of its program. */
#include "kernel/boot.h"
#include "kernel/fs/fdtable.h"
#include "kernel/fs/tty.h"
#include "kernel/klog.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/exec_args.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"
#include "kernel/syscall/trace.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "verifier/elf_format.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PATH_SIZE 4096

static void default_limits(struct proc *p, const struct boot_args *b) {
  for (int i = 0; i < RLIM_NLIMITS; i++)
    p->limits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
  u64 procs = b->max_procs ? b->max_procs : PID_MAX;
  p->limits[RLIMIT_STACK].cur = MIB(8);
  p->limits[RLIMIT_CORE].cur = 0;
  p->limits[RLIMIT_NPROC] = (struct rlimit){procs, procs};
  p->limits[RLIMIT_NOFILE] = (struct rlimit){1024, 1048576};
  p->limits[RLIMIT_MEMLOCK] = (struct rlimit){MIB(8), MIB(8)};
  p->limits[RLIMIT_SIGPENDING] = (struct rlimit){4096, 4096};
  p->limits[RLIMIT_MSGQUEUE] = (struct rlimit){819200, 819200};
  p->limits[RLIMIT_NICE] = (struct rlimit){0, 0};
  p->limits[RLIMIT_RTPRIO] = (struct rlimit){0, 0};
}

/* The process object around the running kernel thread. */
static struct proc *make_process(const struct boot_args *b) {
  struct thread *t = thread_current();
  struct proc *p = proc_alloc(NULL, plat_now());
  if (!p || !(t->sig = thread_sig_alloc()))
    return NULL;
  default_limits(p, b);
  for (int n = 1; n < NSIG; n++)
    if (b->ignored_signals >> (n - 1) & 1)
      sigact_change(p->sighand, n)->handler = SIG_IGN;
  p->exit_signal = SIGCHLD;
  p->pid = t->tid = pid_alloc(PID_PROC, p);
  kassert(p->pid == 1);
  pid_set(t->tid, PID_THREAD, t);
  proc_get(p);
  t->proc = p;
  t->is_user = true;
  proc_thread_link(p, t);
  spin_lock(&proc_tree_lock);
  struct session *s = session_create(p->pid);
  struct pgrp *g = s ? pgrp_create(p->pid, s) : NULL;
  if (g)
    pgrp_join(p, g);
  spin_unlock(&proc_tree_lock);
  return g ? p : NULL;
}

static int open_streams(void) {
  for (int fd = 0; fd < 3; fd++) {
    struct file *f;
    int err = plat_stdio(fd, &f);
    if (err == -EBADF) /* closed by whoever started us */
      continue;
    if (err == 0)
      err = fd_install_at(f, 0, fd);
    if (err < 0)
      return err;
  }
  return 0;
}

static int attach_files(struct proc *p, const struct boot_args *b) {
  int err = vfs_boot(b);
  if (err < 0)
    return err;
  p->files = fdtable_create();
  p->fs = fs_context_create("/");
  if (!p->files || !p->fs)
    return -ENOMEM;
  struct fs_context *cwd = b->workdir ? fs_context_create(b->workdir) : NULL;
  if (b->workdir && !cwd) {
    klog("%s: no such directory", b->workdir);
    return -ENOTDIR;
  }
  if (cwd) {
    fs_context_put(p->fs);
    p->fs = cwd;
  }
  err = open_streams();
  tty_boot_session(p->pid, p->pid);
  return err;
}

static const char *env_value(const char *const *envp, const char *name) {
  size_t n = strlen(name);
  for (; envp && *envp; envp++)
    if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
      return *envp + n + 1;
  return NULL;
}

/* Looks for a program in the directories of PATH; `found` gets its path. */
static int search_path(const struct boot_args *b, char *found, struct file **f) {
  const char *path = env_value(b->envp, "PATH");
  int err = -ENOENT;
  for (const char *dir = path ? path : DEFAULT_PATH; dir; dir = strchr(dir, ':')) {
    dir += *dir == ':';
    const char *end = strchr(dir, ':');
    size_t n = end ? (size_t)(end - dir) : strlen(dir);
    fmt(found, PATH_SIZE, "%.*s/%s", (int)n, n ? dir : ".", b->program);
    int e = vfs_open_exec(-100, found, 0, f);
    if (e == 0)
      return 0;
    if (e == -EACCES)
      err = e;
  }
  return err;
}

static int open_program(const struct boot_args *b, char *path, struct file **f) {
  str_copy(path, b->program, PATH_SIZE);
  if (b->program_is_host)
    return vfs_open_host(b->program, f);
  if (strchr(b->program, '/'))
    return vfs_open_exec(-100, b->program, 0, f);
  return search_path(b, path, f);
}

static int add_all(struct exec_builder *str, const char *const *v, unsigned *count) {
  int err = 0;
  for (; v && *v && err == 0; v++)
    err = exec_add(str, *v, count);
  return err;
}

static bool starts_with(struct file *f, const char *magic) {
  char got[4];
  size_t n = strlen(magic);
  kassert(n <= sizeof(got));
  return file_pread_kernel(f, got, n, 0) == (i64)n && memcmp(got, magic, n) == 0;
}

/* Says why f cannot be run, unless the loader has done so already, as it does for ELF files. */
static void explain(const struct boot_args *b, struct file *f, int err) {
  if (err == -ENOENT && starts_with(f, "#!"))
    klog("%s: its interpreter is not in the root file system", b->program);
  else if (err == -ENOMEM)
    klog("%s: not enough memory (--memory)", b->program);
  else if (err != -ENOEXEC)
    klog("%s: cannot be run: %s", b->program, errno_name(-err));
  else if (!starts_with(f, ELFMAG))
    klog("%s: not a program: neither an image made by ufork-cc nor a script", b->program);
}

static int run_program(const struct boot_args *b, char *path) {
  struct exec_builder str;
  struct file *f;
  int err = open_program(b, path, &f);
  if (err < 0) {
    klog("%s: %s", b->program, err == -ENOENT ? "not found" : "cannot be opened");
    return err;
  }
  if (b->program_is_host && starts_with(f, "#!"))
    vfs_host_program(b->program, path, PATH_SIZE); /* its interpreter has to find it */
  exec_builder_init(&str, MIB(2));
  err = add_all(&str, b->argv, &str.str.argc);
  if (err == 0)
    err = add_all(&str, b->envp, &str.str.envc);
  if (err == 0)
    err = proc_exec_open(thread_current()->uregs, f, path, &str);
  exec_builder_free(&str);
  if (err < 0)
    explain(b, f, err);
  file_put(f);
  return err == -ENOENT ? -ENOEXEC : err; /* "not found" is for the program itself */
}

int proc_boot(const struct boot_args *b) {
  pids_limit(b->max_procs);
  struct proc *p = make_process(b);
  if (!p)
    return -ENOMEM;
  int err = attach_files(p, b);
  if (err < 0) {
    if (err != -ENOTDIR)
      klog("no file system or streams to start with: %s", errno_name(-err));
    return -ENOEXEC; /* "not found" is for the program */
  }
  char *path = kmalloc(PATH_SIZE);
  if (!path)
    return -ENOMEM;
  err = run_program(b, path);
  kfree(path);
  return err;
}
