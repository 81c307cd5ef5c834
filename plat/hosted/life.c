/* SPDX-License-Identifier: MIT */
/* Entropy, memory limits, the log, and the ways an instance ends. */
#include "kernel/errno.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "plat/hosted/cpu.h"
#include "plat/hosted/hosted.h"
#include "plat/hosted/region.h"

void plat_random(void *buf, size_t n) {
  for (size_t done = 0; done < n;) {
    i64 got = lx3(getrandom, (char *)buf + done, n - done, 0);
    if (got == -EINTR)
      continue;
    if (got <= 0)
      plat_panic("the host has no entropy");
    done += (size_t)got;
  }
}

/* ---- memory accounting ----------------------------------------------------------------------- */

static u64 mem_limit = UINT64_MAX;

void mem_set_limit(u64 bytes) { mem_limit = bytes; }
u64 plat_mem_limit(void) { return mem_limit; }
u64 plat_mem_used(void) { return pages_bytes_used() + regions_bytes_used(); }

/* Memory of lazy segments and shared objects is known to the host alone, and asking costs a call
   for each object. So what has been mapped since the last time counts as touched, and the host is
   asked only when that would be too much. */
static u64 objects_seen, mapped_since;

bool plat_mem_fits(u64 more) {
  u64 used = plat_mem_used();
  if (more > mem_limit || used > mem_limit - more)
    return false;
  u64 since = __atomic_add_fetch(&mapped_since, more, __ATOMIC_RELAXED);
  if (used + __atomic_load_n(&objects_seen, __ATOMIC_RELAXED) + since <= mem_limit)
    return true;
  u64 seen = memobj_bytes_used();
  __atomic_store_n(&objects_seen, seen, __ATOMIC_RELAXED);
  __atomic_store_n(&mapped_since, more, __ATOMIC_RELAXED);
  return used + seen <= mem_limit - more;
}

/* The host's page tables for this process; 0 where there is no /proc. */
static u64 host_tables(void) {
  char buf[2048];
  i64 fd = lx4(openat, LX_AT_FDCWD, "/proc/self/status", 02000000 /* O_CLOEXEC */, 0), n = 0;
  if (fd < 0)
    return 0;
  n = lx3(read, fd, buf, sizeof(buf) - 1);
  lx1(close, fd);
  buf[n > 0 ? n : 0] = 0;
  const char *p = buf;
  while (p && strncmp(p, "VmPTE:", 6) != 0)
    p = (p = strchr(p, '\n')) ? p + 1 : NULL;
  if (!p)
    return 0;
  u64 kib = 0;
  for (p += 6; *p && *p != '\n'; p++)
    if (*p >= '0' && *p <= '9')
      kib = kib * 10 + (u64)(*p - '0');
  return kib * 1024;
}

void plat_memory(struct plat_memory *m) {
  *m = (struct plat_memory){
      .kernel_bytes = pages_bytes_used(),
      .user_bytes = regions_bytes_used() + memobj_bytes_used(),
      .table_bytes = host_tables(),
      .regions = slots_in_use(),
      .warm_regions = pool_count(),
  };
}

/* ---- log and end ----------------------------------------------------------------------------- */

void plat_log(const char *text, size_t n) {
  while (n > 0) {
    i64 done = lx3(write, 2, text, n);
    if (done == -EINTR || done == -EAGAIN)
      continue;
    if (done <= 0)
      return;
    text += done;
    n -= (size_t)done;
  }
}

static void log_string(const char *s) { plat_log(s, strlen(s)); }

extern char __executable_start[];

static void log_address(u64 pc) {
  char buf[32];
  fmt(buf, sizeof(buf), " %lx", (unsigned long)(pc - (u64)__executable_start));
  log_string(buf);
}

/* pc, then the callers on the kernel stack that `frame` lies on; addresses as addr2line takes them
   for ufork. */
static void backtrace(u64 pc, u64 *frame) {
  const struct thread *block = thread_at((u64)frame);
  log_string("ufork: addr2line -fe ufork");
  log_address(pc);
  for (int i = 0; i < 32 && thread_at((u64)frame) == block; i++) {
    if (frame[1] == 0)
      break;
    log_address(frame[1]);
    if (frame[0] <= (u64)frame)
      break;
    frame = (u64 *)frame[0];
  }
  log_string("\n");
}

enum { HOST_SIGABRT = 6, HOST_SIGKILL = 9, HOST_SIG_UNBLOCK = 1, HOST_SIG_SETMASK = 2 };
int raise(int sig);
void (*signal(int sig, void (*handler)(int)))(int);
int sigfillset(void *set);

/* The host process dies by `sig`, without a core file of the host's. */
static _Noreturn void die_by(int sig) {
  u64 no_core[2] = {0, 0};
  u64 none = 0;
  lx_call6(160 /* setrlimit */, 4 /* RLIMIT_CORE */, (u64)no_core, 0, 0, 0, 0);
  signal(sig, NULL);
  lx_call6(14 /* rt_sigprocmask */, HOST_SIG_SETMASK, (u64)&none, 0, 8, 0, 0);
  lx3(tgkill, lx0(getpid), lx0(gettid), sig);
  for (;;)
    lx1(exit_group, 128 + sig);
}

_Noreturn void life_panic_at(const char *why, u64 pc, u64 frame) {
  static u32 panicking;
  if (__atomic_exchange_n(&panicking, 1, __ATOMIC_SEQ_CST) == 0) {
    stdio_restore();
    log_string("ufork: kernel bug: ");
    log_string(why);
    log_string("\n");
    backtrace(pc, (u64 *)frame);
  }
  die_by(HOST_SIGABRT);
}

_Noreturn void plat_panic(const char *why) {
  u64 *frame = __builtin_frame_address(0);
  life_panic_at(why, frame[1], frame[0]);
}

/* The host's own rules decide: nothing happens if no shell could continue us. */
void plat_suspend(int signo) {
  u64 only = 1UL << (signo - 1), old;
  lx_call6(14 /* rt_sigprocmask */, HOST_SIG_UNBLOCK, (u64)&only, (u64)&old, 8, 0, 0);
  lx3(tgkill, lx0(getpid), lx0(gettid), signo);
  lx_call6(14 /* rt_sigprocmask */, HOST_SIG_SETMASK, (u64)&old, 0, 8, 0, 0);
}

_Noreturn void plat_poweroff(int wait_status) {
  stdio_restore();
  int sig = wait_status & 0x7f;
  if (sig != 0)
    die_by(sig);
  for (;;)
    lx1(exit_group, wait_status >> 8 & 0xff);
}
