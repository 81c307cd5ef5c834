/* SPDX-License-Identifier: MIT */
#include "kernel/test/fs_env.h"
#include "kernel/boot.h"
#include "kernel/fs/procfs.h"
#include "kernel/fs/tty.h"
#include "kernel/signal/signal.h"
#include "kernel/test/fake/fake.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct proc env_proc;
unsigned env_signals[65];
bool env_copy_fails;
struct boot_args env_boot_args;
static struct thread env_thread;

void env_boot(void) {
  fake_become(&env_thread);
  if (vfs_boot(&env_boot_args) < 0)
    abort();
  env_proc.pid = 1;
  env_proc.nthreads = 1;
  for (int k = 0; k < RLIM_NLIMITS; k++)
    env_proc.limits[k] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
  env_proc.limits[RLIMIT_NOFILE].cur = 1024;
  env_proc.files = fdtable_create();
  env_proc.fs = fs_context_create("/");
  env_thread.proc = &env_proc;
}

/* ---- user memory ------------------------------------------------------------------------- */

void *env_user_memory(size_t n) {
  void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

int copy_from_user(void *dst, u64 uaddr, size_t n) {
  if (env_copy_fails || uaddr < PAGE_SIZE)
    return n ? -EFAULT : 0;
  memcpy(dst, (void *)uaddr, n);
  return 0;
}

int copy_to_user(u64 uaddr, const void *src, size_t n) {
  if (env_copy_fails || uaddr < PAGE_SIZE)
    return n ? -EFAULT : 0;
  memcpy((void *)uaddr, src, n);
  return 0;
}

int plat_copy_try(void *dst, const void *src, size_t n) {
  if (env_copy_fails)
    return -EFAULT;
  memcpy(dst, src, n);
  return 0;
}

i64 copy_string_from_user(char *dst, u64 uaddr, size_t size) {
  size_t n = uaddr < PAGE_SIZE ? 0 : strnlen((char *)uaddr, size);
  if (uaddr < PAGE_SIZE)
    return -EFAULT;
  if (n == size)
    return -ENAMETOOLONG;
  memcpy(dst, (void *)uaddr, n + 1);
  return (i64)n;
}

void *user_range(u64 uaddr, size_t n) {
  (void)n;
  return (void *)uaddr;
}
int user_populate(u64 uaddr, size_t n, bool write) {
  (void)uaddr, (void)n, (void)write;
  return -EFAULT;
}
/* As the platforms have it: whole words, which threads of the process change meanwhile. */
int user_load32(u64 uaddr, u32 *v) {
  if (env_copy_fails || uaddr < PAGE_SIZE)
    return -EFAULT;
  *v = __atomic_load_n((u32 *)uaddr, __ATOMIC_SEQ_CST);
  return 0;
}
int user_cmpxchg32(u64 uaddr, u32 old, u32 new_, u32 *seen) {
  if (env_copy_fails || uaddr < PAGE_SIZE)
    return -EFAULT;
  *seen = old;
  __atomic_compare_exchange_n((u32 *)uaddr, seen, new_, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return 0;
}
int user_store32(u64 uaddr, u32 v) { return copy_to_user(uaddr, &v, sizeof v); }
int user_store64(u64 uaddr, u64 v) { return copy_to_user(uaddr, &v, sizeof v); }
int user_store128(u64 uaddr, u64 first, u64 second) {
  return copy_to_user(uaddr, (u64[]){first, second}, 16);
}

/* ---- memory objects ------------------------------------------------------------------------ */

struct memobj {
  u32 refs;
  u64 size;
  u8 *bytes;
};

int memobj_create(u64 size, struct memobj **out) {
  struct memobj *o = calloc(1, sizeof *o);
  o->refs = 1;
  o->size = size;
  o->bytes = calloc(1, size ? size : 1);
  *out = o;
  return 0;
}
void memobj_get(struct memobj *o) { o->refs++; }
void memobj_put(struct memobj *o) {
  if (--o->refs)
    return;
  free(o->bytes);
  free(o);
}
int memobj_resize(struct memobj *o, u64 size) {
  o->bytes = realloc(o->bytes, size ? size : 1);
  if (size > o->size)
    memset(o->bytes + o->size, 0, size - o->size);
  o->size = size;
  return 0;
}
i64 memobj_read(struct memobj *o, u64 at, void *buf, size_t n) {
  if (at + n > o->size)
    abort(); /* tmpfs never reads beyond what it has reserved */
  memcpy(buf, o->bytes + at, n);
  return (i64)n;
}
i64 memobj_write(struct memobj *o, u64 at, const void *buf, size_t n) {
  if (at + n > o->size)
    abort();
  memcpy(o->bytes + at, buf, n);
  return (i64)n;
}
int memobj_punch(struct memobj *o, u64 at, u64 n) {
  if (at + n > o->size)
    abort();
  memset(o->bytes + at, 0, n);
  return 0;
}

/* ---- the rest of the kernel ------------------------------------------------------------------ */

struct spin proc_tree_lock;

int procfs_boot(void) { return 0; }
/* Weak: a platform's own may be what is tested. */
__attribute__((weak)) int plat_hostfs(const char *host_path, bool read_only, struct inode **out) {
  (void)host_path, (void)read_only, (void)out;
  return -ENODEV;
}
int signal_send_thread(struct thread *t, int signo, const struct ksiginfo *info) {
  (void)t, (void)info;
  env_signals[signo]++;
  return 0;
}
int signal_send_proc(struct proc *p, int signo, const struct ksiginfo *info) {
  (void)p, (void)info;
  env_signals[signo]++;
  return 0;
}
struct proc *proc_find(int pid) {
  (void)pid;
  return NULL;
}
void proc_put(struct proc *p) { (void)p; }
void proc_for_each(void (*f)(struct proc *p, void *arg), void *arg) { (void)f, (void)arg; }
int signal_send_pgrp(int pgid, int signo, const struct ksiginfo *info) {
  (void)pgid, (void)info;
  env_signals[signo]++;
  return 0;
}
bool signal_is_ignored_or_blocked(int signo) {
  (void)signo;
  return false;
}
bool signal_pending_now(void) { return false; }
int signal_set_temp_mask(u64 uaddr, u64 size) {
  (void)uaddr, (void)size;
  return 0;
}
void signal_restore_temp_mask(bool interrupted) { (void)interrupted; }
int proc_pgid(struct proc *p) { return p->pid; }
int proc_sid(struct proc *p) { return p->pid; }
int proc_pgrp_session(int pgid) { return pgid; }
bool proc_pgrp_is_orphaned(int pgid) {
  (void)pgid;
  return false;
}

/* Nothing in these tests may have to sleep, unless a test brings a scheduler of its own. */
__attribute__((weak)) void schedule(void) { plat_panic("a test would sleep"); }
__attribute__((weak)) bool sched_wake(struct thread *t, unsigned flags) {
  (void)t, (void)flags;
  return false;
}
