/* SPDX-License-Identifier: MIT */
/* Threads come and go: join, detach, values, errors, attributes of stacks, guards, names. */
#include "check.h"
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static void *give(void *arg) { return arg; }
static void *exit_with(void *arg) { pthread_exit(arg); }

static int gate[2];
static void *wait_at_gate(void *arg) {
  char c;
  EXPECT(read(gate[0], &c, 1), 1);
  return arg;
}

static int threads(void) {
  char line[100];
  int n = -1;
  FILE *f = fopen("/proc/self/status", "r");
  CHECK(f);
  while (fgets(line, sizeof line, f))
    sscanf(line, "Threads: %d", &n);
  fclose(f);
  return n;
}

static void expect_threads(int n) {
  while (threads() != n) /* a test that hangs fails */
    sleep_ms(1);
}

static void *join_me(void *arg) { return (void *)(intptr_t)pthread_join(*(pthread_t *)arg, NULL); }

static void joining(void) {
  pthread_t t, u, me = pthread_self();
  void *value;
  EXPECT(pthread_create(&t, NULL, give, (void *)5), 0);
  EXPECT(pthread_join(t, &value), 0);
  EXPECT((long)value, 5);
  EXPECT(pthread_create(&t, NULL, exit_with, (void *)-6), 0);
  EXPECT(pthread_join(t, &value), 0);
  EXPECT((long)value, -6);
  EXPECT(pthread_create(&t, NULL, wait_at_gate, NULL), 0);
  EXPECT(pthread_tryjoin_np(t, &value), EBUSY);
  struct timespec soon;
  OK(clock_gettime(CLOCK_REALTIME, &soon));
  EXPECT(pthread_timedjoin_np(t, &value, &soon), ETIMEDOUT);
  tell(gate[1]);
  EXPECT(pthread_join(t, NULL), 0);
  EXPECT(pthread_create(&t, NULL, wait_at_gate, NULL), 0); /* joined by another than its creator */
  EXPECT(pthread_create(&u, NULL, join_me, &t), 0);
  tell(gate[1]);
  EXPECT(pthread_join(u, &value), 0);
  EXPECT((long)value, 0);
  CHECK(pthread_equal(me, pthread_self()));
  CHECK(!pthread_equal(me, t));
}

static void detaching(void) {
  pthread_t t;
  pthread_attr_t a;
  int state;
  EXPECT(pthread_attr_init(&a), 0);
  EXPECT(pthread_attr_getdetachstate(&a, &state), 0);
  EXPECT(state, PTHREAD_CREATE_JOINABLE);
  EXPECT(pthread_attr_setdetachstate(&a, 99), EINVAL);
  EXPECT(pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED), 0);
  for (int i = 0; i < 300; i++) {
    EXPECT(pthread_create(&t, i % 2 ? &a : NULL, give, NULL), 0);
    if (i % 2 == 0)
      EXPECT(pthread_detach(t), 0);
  }
  expect_threads(1); /* they are gone, and nobody joined them */
  for (int i = 0; i < 20; i++)
    EXPECT(pthread_create(&t, &a, wait_at_gate, NULL), 0);
  EXPECT(threads(), 21);
  for (int i = 0; i < 20; i++)
    tell(gate[1]);
  expect_threads(1);
}

/* ---- stacks ---------------------------------------------------------------------------------- */

static void *use_stack(void *arg) {
  size_t n = (size_t)(uintptr_t)arg;
  volatile char *p = __builtin_alloca(n);
  for (size_t i = 0; i < n; i += 1024)
    p[i] = 1;
  pthread_attr_t a;
  void *at;
  size_t size;
  EXPECT(pthread_getattr_np(pthread_self(), &a), 0);
  EXPECT(pthread_attr_getstack(&a, &at, &size), 0);
  CHECK((char *)at <= (char *)p && (char *)p + n <= (char *)at + size);
  CHECK(size >= n);
  EXPECT(pthread_attr_destroy(&a), 0);
  return NULL;
}

static sigjmp_buf out;
static void *fault_at;
static void on_fault(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)context;
  fault_at = info->si_addr;
  siglongjmp(out, 1);
}

/* Below the stack lies the guard: touching it is SIGSEGV, and nothing else of the process's. */
static void *touch_guard(void *arg) {
  pthread_attr_t a;
  void *at;
  size_t size, guard = (size_t)(uintptr_t)arg;
  static char other_stack[65536];
  stack_t st = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
  OK(sigaltstack(&st, NULL));
  EXPECT(pthread_getattr_np(pthread_self(), &a), 0);
  EXPECT(pthread_attr_getstack(&a, &at, &size), 0);
  volatile char *p = at;
  *p = 1; /* the lowest byte of it */
  for (size_t off = 1; off <= guard; off += 1000) {
    if (sigsetjmp(out, 1) == 0) {
      *(p - off) = 1;
      CHECK(!"the guard was written");
    }
    CHECK(fault_at == (void *)(p - off));
  }
  return NULL;
}

static void stacks(void) {
  static char own[128 * 1024] __attribute__((aligned(4096)));
  pthread_attr_t a;
  pthread_t t;
  size_t size;
  void *at;
  struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;
  EXPECT(pthread_attr_init(&a), 0);
  EXPECT(pthread_attr_setstacksize(&a, 100), EINVAL);
  static const size_t sizes[] = {PTHREAD_STACK_MIN + 16384, 65536, 1 << 20, 20 << 20};
  for (int i = 0; i < 4; i++) {
    EXPECT(pthread_attr_setstacksize(&a, sizes[i]), 0);
    EXPECT(pthread_attr_getstacksize(&a, &size), 0);
    EXPECT(size, sizes[i]);
    EXPECT(pthread_create(&t, &a, use_stack, (void *)(sizes[i] - 8192)), 0);
    EXPECT(pthread_join(t, NULL), 0);
  }
  EXPECT(pthread_attr_setstacksize(&a, 65536), 0);
  OK(sigaction(SIGSEGV, &sa, &old));
  for (size_t guard = 4096; guard <= 65536; guard *= 4) {
    EXPECT(pthread_attr_setguardsize(&a, guard), 0);
    EXPECT(pthread_attr_getguardsize(&a, &size), 0);
    EXPECT(size, guard);
    EXPECT(pthread_create(&t, &a, touch_guard, (void *)guard), 0);
    EXPECT(pthread_join(t, NULL), 0);
  }
  OK(sigaction(SIGSEGV, &old, NULL));
  EXPECT(pthread_attr_setstack(&a, own, sizeof own), 0);
  EXPECT(pthread_attr_getstack(&a, &at, &size), 0);
  CHECK(at == own && size == sizeof own);
  EXPECT(pthread_create(&t, &a, use_stack, (void *)(100 * 1024)), 0);
  EXPECT(pthread_join(t, NULL), 0);
}

/* No memory for the stack, no more threads allowed: an error, and nothing is lost by it. */
static void limits(void) {
  pthread_attr_t a;
  pthread_t t;
  EXPECT(pthread_attr_init(&a), 0);
  EXPECT(pthread_attr_setstacksize(&a, (size_t)1 << 46), 0);
  EXPECT(pthread_create(&t, &a, give, NULL), EAGAIN);
  expect_threads(1); /* one that was joined may still be on its way out */
  EXPECT(pthread_create(&t, NULL, give, NULL), 0);
  EXPECT(pthread_join(t, NULL), 0);
}

static void *named(void *arg) {
  char name[20];
  (void)arg;
  EXPECT(pthread_setname_np(pthread_self(), "much too long a name"), ERANGE);
  EXPECT(pthread_setname_np(pthread_self(), "worker"), 0);
  EXPECT(pthread_getname_np(pthread_self(), name, sizeof name), 0);
  CHECK(!strcmp(name, "worker"));
  return (void *)syscall(SYS_gettid);
}

int main(void) {
  pthread_t t;
  void *tid;
  OK(pipe(gate));
  joining();
  detaching();
  stacks();
  limits();
  EXPECT(pthread_create(&t, NULL, named, NULL), 0);
  EXPECT(pthread_join(t, &tid), 0);
  CHECK((pid_t)(intptr_t)tid != getpid());
  EXPECT(syscall(SYS_gettid), getpid());
  return done();
}
