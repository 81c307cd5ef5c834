/* SPDX-License-Identifier: MIT */
/*
 * `ufork`: sets the host process up, then becomes the machine. The main thread stays behind to wait
 * for signals from outside; vCPUs and the ticker are threads of their own. libc is used in this
 * file, in options.c and in vm/ only, before the kernel runs.
 */
#include "plat/hosted/cpu.h"
#include "plat/hosted/hosted.h"
#include "plat/hosted/offload.h"
#include "plat/hosted/options.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"
#include "plat/hosted/vm/vm.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SIGNAL_STACK (64 << 10)
#define THREAD_STACK (256 << 10)

static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
/* Handed to the instance's foreground processes. */
static const int forwarded[] = {SIGINT,  SIGTERM, SIGHUP,   SIGQUIT, SIGTSTP,
                                SIGCONT, SIGUSR1, SIGWINCH, SIGUSR2, SIGALRM};

static struct options options;

static void die(const char *what, int err) {
  fprintf(stderr, "ufork: %s: %s\n", what, strerror(err < 0 ? -err : err));
  exit(1);
}

static void check(const char *what, int err) {
  if (err)
    die(what, err);
}

/* ---- standard streams ------------------------------------------------------------------------ */

/* A standard stream that our caller closed is closed for µprocess 1. Its number must not go to
   something of ours (memory, an epoll), which the µprocess would then read and write. */
static void occupy_closed_streams(void) {
  for (int fd = 0; fd < 3; fd++) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
      continue;
    if (open("/dev/null", O_RDWR) != fd)
      _exit(126); /* perhaps there is nowhere to complain */
    stdio_was_closed(fd);
  }
}

/* ---- signals --------------------------------------------------------------------------------- */

static void install_handlers(void) {
  struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
  sa.sa_sigaction = (void (*)(int, siginfo_t *, void *))hosted_signal;
  sigfillset(&sa.sa_mask);
  for (unsigned i = 0; i < sizeof(faults) / sizeof(*faults); i++)
    sigaction(faults[i], &sa, NULL);
  sigaction(HOST_SIG_KICK, &sa, NULL);
  sa.sa_flags |= SA_RESTART;
  sigaction(HOST_SIG_SAMPLE, &sa, NULL);
  signal(SIGPIPE, SIG_IGN);
}

/* Blocks the signals that are forwarded. What our parent told us to ignore (nohup, a shell's `&`)
   µprocess 1 ignores, unless it changes that. */
static void block_forwarded(sigset_t *set) {
  sigemptyset(set);
  for (unsigned i = 0; i < sizeof(forwarded) / sizeof(*forwarded); i++)
    sigaddset(set, forwarded[i]);
  pthread_sigmask(SIG_BLOCK, set, NULL);
  for (unsigned i = 0; i < sizeof(forwarded) / sizeof(*forwarded); i++) {
    struct sigaction sa;
    if (sigaction(forwarded[i], NULL, &sa) == 0 && sa.sa_handler == SIG_IGN) {
      options.boot.ignored_signals |= 1ULL << (forwarded[i] - 1);
      signal(forwarded[i], SIG_DFL); /* an ignored one might not be queued for us */
    }
  }
}

static void use_signal_stack(void) {
  stack_t ss = {.ss_size = SIGNAL_STACK};
  ss.ss_sp = mmap(NULL, SIGNAL_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (ss.ss_sp == MAP_FAILED || sigaltstack(&ss, NULL) != 0)
    die("signal stack", errno);
}

/* ---- threads --------------------------------------------------------------------------------- */

/* Without such timers on the host all CPU time of a µprocess is user time. */
static void start_sampling(void) {
  struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = HOST_SIG_SAMPLE};
  struct itimerspec every = {{0, SAMPLE_NS}, {0, SAMPLE_NS}};
  timer_t t;
  ev._sigev_un._tid = gettid();
  if (timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &t) == 0)
    timer_settime(t, 0, &every, NULL);
}

static void *vcpu_thread(void *arg) {
  unsigned cpu = (unsigned)(uintptr_t)arg;
  use_signal_stack();
  start_sampling();
  cpu_run(cpu, cpu == 0 ? &options.boot : NULL);
}

static void *ticker_thread(void *arg) {
  (void)arg;
  ticker_run();
}

static void run_thaw(void *arg) {
  (void)arg;
  thaw_run();
}

static void *thaw_thread(void *arg) {
  (void)arg;
  cpu_run_helper(run_thaw);
}

static void run_offload(void *arg) {
  (void)arg;
  offload_run();
}

static void *offload_thread(void *arg) {
  (void)arg;
  cpu_run_helper(run_offload);
}

static void start_thread(void *(*f)(void *), void *arg, bool takes_kicks) {
  pthread_t t;
  pthread_attr_t attr;
  sigset_t mask, old;
  sigfillset(&mask);
  if (takes_kicks) {
    for (unsigned i = 0; i < sizeof(faults) / sizeof(*faults); i++)
      sigdelset(&mask, faults[i]);
    sigdelset(&mask, HOST_SIG_KICK);
    sigdelset(&mask, HOST_SIG_SAMPLE);
  }
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, THREAD_STACK);
  pthread_sigmask(SIG_SETMASK, &mask, &old);
  int err = pthread_create(&t, &attr, f, arg);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attr);
  check("cannot start a thread", err);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static uint64_t host_memory(void) {
  long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  uint64_t bytes = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : (uint64_t)1 << 32;
  FILE *f = fopen("/sys/fs/cgroup/memory.max", "r");
  unsigned long long limit;
  if (f && fscanf(f, "%llu", &limit) == 1 && limit < bytes)
    bytes = limit;
  if (f)
    fclose(f);
  return bytes;
}

/* A clock source of Linux that is the counter of the CPU, perhaps scaled. */
static bool host_uses_tsc(void) {
  static const char *const sources[] = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page"};
  char name[64] = "";
  FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");
  if (!f)
    return false;
  bool found = false;
  if (fscanf(f, "%63s", name) == 1)
    for (unsigned i = 0; i < sizeof(sources) / sizeof(*sources); i++)
      found |= strcmp(name, sources[i]) == 0;
  fclose(f);
  return found;
}

static void raise_descriptor_limit(void) {
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
  }
}

static void reserve_window(void) {
  int err = text_init();
  if (err == -EEXIST || err == -EPERM)
    fprintf(stderr, "ufork: addresses 64 KiB to 512 MiB must be free in this process; "
                    "vm.mmap_min_addr above 65536 or a preloaded library takes them\n");
  if (err)
    die("text window", err);
}

int main(int argc, char **argv) {
  occupy_closed_streams();
  options_parse(&options, argc, argv);
  if (options.output)
    vm_image(&options);
  if (options.vm)
    vm_run(&options);
  if (options.boot.memory_limit == 0)
    options.boot.memory_limit = host_memory();
  raise_descriptor_limit();
  umask(0); /* µprocesses have their own */
  reserve_window();
  mem_set_limit(options.boot.memory_limit);
  fork_mode = options.fork;
  check("kernel memory", pages_init());
  check("address space", slots_init());
  pagemap_init(); /* without it all memory is copied by fork */
  seg_init();
  unsigned cpus = options_cpus(&options);
  check("epoll", hostio_init(cpus));
  stdio_init();
  clock_init(host_uses_tsc());
  check("virtual CPUs", cpu_init(cpus));
  check("timer", ticker_init());
  install_handlers();

  sigset_t outside;
  block_forwarded(&outside);
  start_thread(ticker_thread, NULL, false);
  start_thread(thaw_thread, NULL, false);
  for (unsigned i = 0; i < OFFLOAD_THREADS; i++)
    start_thread(offload_thread, NULL, false);
  for (unsigned i = cpus; i-- > 0;)
    start_thread(vcpu_thread, (void *)(uintptr_t)i, true);
  for (;;) {
    int sig;
    if (sigwait(&outside, &sig) == 0)
      hosted_external_signal(sig);
  }
}
