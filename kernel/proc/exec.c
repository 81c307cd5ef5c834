/* SPDX-License-Identifier: MIT */
/* execve: a new program in a fresh space; everything that can fail happens before the old one goes.
 */
#include "kernel/fs/fdtable.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/image.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/space.h"
#include "kernel/mm/usercopy.h"
#include "kernel/proc/exec_args.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/proc_timers.h"
#include "lib/string.h"

#define SCRIPTS_MAX 4 /* interpreters that are scripts themselves */
#define LINE_SIZE 256 /* of `#!` */
#define ARGS_MIN KIB(128)
#define ARGS_MAX MIB(6)

/* What an exec is made of while it may still fail. */
struct program {
  struct image *image;
  struct space *space;
  u64 sp, entry;
};

/* ---- scripts ----------------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static char *trim(char *s) {
  while (is_blank(*s))
    s++;
  char *end = s + strlen(s);
  while (end > s && is_blank(end[-1]))
    *--end = 0;
  return s;
}

/* Splits the `#!` line into interpreter and at most one argument. */
static int parse_script(char *line, char **interp, char **arg) {
  char *nl = strchr(line, '\n');
  if (!nl)
    return -ENOEXEC;
  *nl = 0;
  char *s = trim(line + 2);
  if (*s == 0)
    return -ENOEXEC;
  *interp = s;
  while (*s && !is_blank(*s))
    s++;
  *arg = NULL;
  if (*s) {
    *s = 0;
    *arg = trim(s + 1);
  }
  return 0;
}

/* Replaces argv[0] by interpreter, its argument and the script's path. */
static int script_arguments(struct exec_builder *b, const char *interp, const char *arg,
                            const char *path) {
  struct exec_builder pre;
  exec_builder_init(&pre, b->limit);
  unsigned n = 0;
  int err = exec_add(&pre, interp, &n);
  if (err == 0 && arg)
    err = exec_add(&pre, arg, &n);
  if (err == 0)
    err = exec_add(&pre, path, &n);
  if (err == 0)
    err = exec_replace_first(b, pre.str.data, pre.str.size, n);
  exec_builder_free(&pre);
  return err;
}

/* Follows `#!` lines until *f is something else. Takes over and replaces the reference *f. */
static int resolve_scripts(struct file **f, const char *path, struct exec_builder *b) {
  char line[LINE_SIZE + 1], script[LINE_SIZE + 1];
  for (int depth = 0;; depth++) {
    i64 n = file_pread_kernel(*f, line, LINE_SIZE, 0);
    if (n < 0)
      return (int)n;
    line[n] = 0;
    if (n < 2 || line[0] != '#' || line[1] != '!')
      return 0;
    if (depth == SCRIPTS_MAX)
      return -ELOOP;
    if (n == LINE_SIZE && !strchr(line, '\n'))
      return -ENOEXEC;
    if (n < LINE_SIZE && !strchr(line, '\n'))
      line[n] = '\n', line[n + 1] = 0;
    char *interp, *arg;
    int err = parse_script(line, &interp, &arg);
    if (err == 0)
      err = script_arguments(b, interp, arg, depth == 0 ? path : script);
    if (err < 0)
      return err;
    str_copy(script, interp, sizeof script);
    struct file *next;
    err = vfs_open_exec(AT_FDCWD, script, 0, &next);
    if (err < 0)
      return err;
    file_put(*f);
    *f = next;
  }
}

/* ---- the new program ---------------------------------------------------------------------- */

static int prepare(struct program *g, struct file *f, const char *path,
                   const struct exec_strings *str) {
  int err = image_load(f, path, &g->image);
  if (err < 0)
    return err;
  err = space_create(g->image, &g->space);
  if (err < 0)
    goto put_image;
  err = image_setup(g->image, g->space, str, &g->sp, &g->entry);
  if (err == 0)
    return 0;
  space_put(g->space);
put_image:
  image_put(g->image);
  return err;
}

static void program_discard(struct program *g) {
  space_put(g->space);
  image_put(g->image);
}

/* /proc/PID/exe */
static struct exe_path *path_of_file(struct file *f, const char *path) {
  char *buf = kmalloc(PATH_MAX);
  if (!buf)
    return NULL;
  i64 n = vfs_path_of(f, buf, PATH_MAX);
  struct exe_path *copy = exe_path_create(n > 0 ? buf : path);
  kfree(buf);
  return copy;
}

/* Offsets of the argument and environment strings, from the pointers on the new stack. */
static void note_strings(struct proc *p, u64 sp, u64 base, const struct exec_strings *str) {
  u64 argv0 = 0;
  copy_from_user(&argv0, sp - base + sizeof(u64), sizeof argv0);
  u64 args = 0;
  for (unsigned i = 0; i < str->argc; i++)
    args += strlen(str->data + args) + 1;
  p->arg_start = argv0;
  p->arg_end = p->env_start = argv0 + args;
  p->env_end = argv0 + str->size;
}

static void set_comm(struct proc *p, const char *path) {
  const char *slash = strrchr(path, '/');
  str_copy(p->comm, slash ? slash + 1 : path, sizeof p->comm);
  memcpy(thread_current()->name, p->comm, sizeof p->comm);
}

/* The thread that calls exec becomes the leader. */
static void become_leader(struct proc *p, struct thread *me) {
  if (me->tid == p->pid)
    return;
  pid_clear(me->tid, PID_THREAD);
  me->tid = p->pid;
  pid_set(me->tid, PID_THREAD, me);
}

static void switch_space(struct proc *p, struct program *g) {
  struct thread *me = thread_current();
  struct space *old = p->space;
  if (old) {
    futex_exit_robust(me);
    me->clear_tid = 0;
    me->robust_list = 0;
  }
  p->max_pages = proc_max_pages(p);
  spin_lock(&p->lock);
  p->space = g->space;
  spin_unlock(&p->lock);
  me->region = g->space->region;
  me->tcb_tp = 0;
  plat_region_activate(me);
  plat_fpu_reset();
  proc_vfork_release(p);
  if (old)
    space_put(old);
}

static int unshare_files(void) {
  int err = fdtable_unshare();
  if (err == 0)
    fdtable_close_on_exec();
  return err;
}

static void enter_program(struct uregs *r, const struct program *g) {
  memset(r, 0, sizeof *r);
  r->rip = g->entry;
  r->rsp = g->sp;
  r->rflags = RFLAGS_FIXED;
  r->orig_rax = (u64)-1;
}

/* Replaces the program by file f. `path` is how it was named. */
static int exec_file(struct uregs *r, struct file *f, const char *path,
                     const struct exec_strings *str) {
  struct proc *p = proc_current();
  struct program g;
  struct exe_path *exe = path_of_file(f, path);
  int err = exe ? prepare(&g, f, path, str) : -ENOMEM;
  if (err < 0)
    goto free_exe;
  if (p->nthreads > 1 && !proc_kill_siblings()) {
    err = -EINTR; /* the process is ending: never seen */
    goto discard;
  }
  err = unshare_files();
  if (err < 0)
    goto discard;
  become_leader(p, thread_current());
  switch_space(p, &g);
  sighand_exec(p->sighand);
  thread_current()->sig->alt = (struct sigaltstack){.flags = SS_DISABLE};
  proc_timers_exec(p);
  note_strings(p, g.sp, region_base(g.space->region), str);
  set_comm(p, str->execfn);
  struct exe_path *old_exe = p->exe_path;
  spin_lock(&p->lock);
  p->exe_path = exe;
  spin_unlock(&p->lock);
  exe_path_put(old_exe);
  p->did_exec = true;
  enter_program(r, &g);
  image_put(g.image);
  __atomic_add_fetch(&proc_stats.execs, 1, __ATOMIC_RELAXED);
  return 0;

discard:
  program_discard(&g);
free_exe:
  exe_path_put(exe);
  return err;
}

int proc_exec_open(struct uregs *r, struct file *f, const char *path, struct exec_builder *b) {
  file_get(f);
  b->str.execfn = path;
  int err = resolve_scripts(&f, path, b);
  if (err == 0)
    err = exec_file(r, f, path, &b->str);
  file_put(f);
  return err;
}

/* ---- system calls ------------------------------------------------------------------------- */

static size_t args_limit(struct proc *p) {
  u64 quarter = p->limits[RLIMIT_STACK].cur / 4;
  return max_u64(ARGS_MIN, min_u64(quarter, ARGS_MAX));
}

static int collect(struct exec_builder *b, u64 argv, u64 envp) {
  int err = exec_add_user(b, argv, &b->str.argc);
  if (err == 0 && b->str.argc == 0)
    err = exec_add(b, "", &b->str.argc); /* programs rely on argv[0] */
  return err == 0 ? exec_add_user(b, envp, &b->str.envc) : err;
}

static i64 exec_path(struct uregs *r, int dirfd, const char *path, u64 argv, u64 envp, u32 flags) {
  struct exec_builder b;
  struct file *f;
  int err = vfs_open_exec(dirfd, path, (int)flags, &f);
  if (err < 0)
    return err;
  exec_builder_init(&b, args_limit(proc_current()));
  err = collect(&b, argv, envp);
  if (err == 0)
    err = proc_exec_open(r, f, path, &b);
  exec_builder_free(&b);
  file_put(f);
  return err ? err : -EREPLACED;
}

i64 sys_execve(struct uregs *r) {
  struct pathname path;
  int err = pathname_get(&path, r->rdi);
  if (err < 0)
    return err;
  i64 ret = exec_path(r, AT_FDCWD, path.s, r->rsi, r->rdx, 0);
  pathname_put(&path);
  return ret;
}

i64 sys_execveat(struct uregs *r) {
  struct pathname path;
  u32 flags = (u32)r->r8;
  if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
    return -EINVAL;
  int err =
      flags & AT_EMPTY_PATH ? pathname_get_empty_ok(&path, r->rsi) : pathname_get(&path, r->rsi);
  if (err < 0)
    return err;
  i64 ret = exec_path(r, (int)r->rdi, path.s, r->rdx, r->r10, flags);
  pathname_put(&path);
  return ret;
}
