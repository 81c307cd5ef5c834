/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "kernel/sched/sched.h"
#include "kernel/test/fake/fake.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define CONTEXT_STACK (256 * 1024)

unsigned fake_ncpus = 1;
bool fake_clock_frozen;
u64 fake_time;
unsigned fake_kicks;
size_t fake_pages_used, fake_pages_fail;

static struct thread own_thread; /* of tests that do not run the scheduler */
static __thread struct thread *current;

/* Not inlined: a context may continue on another host thread, with another `current`. */
__attribute__((noinline)) struct thread *fake_current(void) {
  __asm__ volatile("");
  return current ? current : &own_thread;
}

__attribute__((noinline)) void fake_become(struct thread *t) {
  __asm__ volatile("");
  current = t;
}

/* ---- memory -------------------------------------------------------------------------- */

void *plat_pages_alloc(size_t n, size_t align) {
  if (fake_pages_fail && fake_pages_used + n > fake_pages_fail)
    return NULL;
  void *p;
  if (posix_memalign(&p, align, n * PAGE_SIZE) != 0)
    abort();
  memset(p, 0, n * PAGE_SIZE);
  __atomic_add_fetch(&fake_pages_used, n, __ATOMIC_RELAXED);
  return p;
}

void plat_pages_free(void *p, size_t n) {
  __atomic_sub_fetch(&fake_pages_used, n, __ATOMIC_RELAXED);
  free(p);
}

/* The fake's threads have stacks of the C library: no guard here. */
struct thread *plat_thread_alloc(void) {
  char *block = plat_pages_alloc(KSTACK_SIZE / PAGE_SIZE, KSTACK_SIZE);
  return block ? (struct thread *)(block + KSTACK_SIZE - THREAD_ROOM) : NULL;
}

void plat_thread_free(struct thread *t) {
  plat_pages_free((char *)t + THREAD_ROOM - KSTACK_SIZE, KSTACK_SIZE / PAGE_SIZE);
}

u64 plat_mem_limit(void) { return UINT64_MAX; }
u64 plat_mem_used(void) { return fake_pages_used * PAGE_SIZE; }
bool plat_mem_fits(u64 more) {
  (void)more;
  return true;
}

/* ---- time, log ----------------------------------------------------------------------- */

static u64 clock_ahead; /* of the host's; atomic */

u64 plat_now(void) {
  struct timespec ts;
  if (__atomic_load_n(&fake_clock_frozen, __ATOMIC_ACQUIRE))
    return __atomic_load_n(&fake_time, __ATOMIC_RELAXED);
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec +
         __atomic_load_n(&clock_ahead, __ATOMIC_RELAXED);
}

void fake_freeze(bool frozen) {
  u64 now = plat_now();
  __atomic_store_n(&fake_time, now, __ATOMIC_RELAXED);
  __atomic_store_n(&fake_clock_frozen, frozen, __ATOMIC_RELEASE);
  if (!frozen)
    __atomic_add_fetch(&clock_ahead, now - plat_now(), __ATOMIC_RELAXED);
}

u64 plat_now_here(void) { return plat_now(); }
u64 plat_walltime(void) { return plat_now(); }

void plat_random(void *buf, size_t n) {
  for (size_t i = 0; i < n; i++)
    ((u8 *)buf)[i] = (u8)rand();
}

void plat_log(const char *text, size_t n) { fwrite(text, 1, n, stderr); }

void plat_panic(const char *why) {
  fprintf(stderr, "panic: %s\n", why);
  abort();
}

void plat_relax(void) { sched_yield(); }

/* ---- CPUs ---------------------------------------------------------------------------- */

static struct cpu_state {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  bool kicked, asleep;
} cpu_states[MAX_CPUS];

static void (*first_entry)(struct thread *t);
static pthread_mutex_t stop_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stopped = PTHREAD_COND_INITIALIZER;
static bool stop;

unsigned plat_ncpus(void) { return fake_ncpus; }

void plat_cpu_kick(unsigned cpu) {
  struct cpu_state *c = &cpu_states[cpu];
  __atomic_add_fetch(&fake_kicks, 1, __ATOMIC_RELAXED);
  pthread_mutex_lock(&c->lock);
  c->kicked = true;
  pthread_cond_signal(&c->wake);
  pthread_mutex_unlock(&c->lock);
}

bool fake_interrupted(unsigned cpu) {
  struct cpu_state *c = &cpu_states[cpu];
  pthread_mutex_lock(&c->lock);
  bool was = c->kicked;
  c->kicked = false;
  pthread_mutex_unlock(&c->lock);
  return was;
}

/* Sleeps until kicked or the deadline, no longer: a lost wake-up makes the test hang. */
void plat_cpu_idle(unsigned cpu, u64 deadline) {
  struct cpu_state *c = &cpu_states[cpu];
  u64 host = deadline - __atomic_load_n(&clock_ahead, __ATOMIC_RELAXED);
  struct timespec until = {(time_t)(host / 1000000000), (long)(host % 1000000000)};
  pthread_mutex_lock(&c->lock);
  c->asleep = true;
  while (!c->kicked) {
    if (deadline == UINT64_MAX)
      pthread_cond_wait(&c->wake, &c->lock);
    else if (pthread_cond_timedwait(&c->wake, &c->lock, &until) != 0)
      break;
  }
  c->kicked = c->asleep = false;
  pthread_mutex_unlock(&c->lock);
}

bool fake_asleep(unsigned cpu) {
  struct cpu_state *c = &cpu_states[cpu];
  pthread_mutex_lock(&c->lock);
  bool is = c->asleep && !c->kicked;
  pthread_mutex_unlock(&c->lock);
  return is;
}

void plat_cpu_nap(unsigned cpu, u64 deadline) { plat_cpu_idle(cpu, deadline); }
unsigned fake_looks;
void plat_poll_io(void) { __atomic_add_fetch(&fake_looks, 1, __ATOMIC_RELAXED); }
void plat_poll_all_io(void) {}
void plat_tick_needed(unsigned cpu, bool needed) { (void)cpu, (void)needed; }

/* Busy CPUs look at timers when they schedule; sleeping ones are told. */
u64 fake_timer_deadline;

void plat_timer_changed(u64 deadline) {
  __atomic_store_n(&fake_timer_deadline, deadline, __ATOMIC_RELAXED);
  for (unsigned i = 0; i < fake_ncpus; i++)
    plat_cpu_kick(i);
}

/* The thread sanitizer follows kernel threads if it is told of each switch, which comes after what
   the CPU has done before. Between CPUs the scheduler has to order. */
#ifdef __SANITIZE_THREAD__
void *__tsan_create_fiber(unsigned flags);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
static void *fiber_create(void) { return __tsan_create_fiber(0); }
static void fiber_switch(void *f) { __tsan_switch_to_fiber(f, 0); }
#else
static void *fiber_create(void) { return NULL; }
static void fiber_switch(void *f) { (void)f; }
#endif

struct context {
  ucontext_t uc;
  void *fiber;
  void (*entry)(struct thread *t);
  struct thread *thread;
  char stack[CONTEXT_STACK];
};

static void trampoline(unsigned lo, unsigned hi) {
  struct context *c = (struct context *)((u64)hi << 32 | lo);
  c->entry(c->thread);
  abort();
}

static __attribute__((noinline)) struct context *context_of(struct thread *t) {
  struct context *c = t->fpu;
  if (!c) {
    t->fpu = c = malloc(sizeof *c);
    c->fiber = fiber_create();
  }
  return c;
}

void plat_thread_init(struct thread *t, void (*entry)(struct thread *t)) {
  struct context *c = context_of(t);
  c->entry = entry;
  c->thread = t;
  getcontext(&c->uc);
  c->uc.uc_stack.ss_sp = c->stack;
  c->uc.uc_stack.ss_size = sizeof c->stack;
  c->uc.uc_link = NULL;
  makecontext(&c->uc, (void (*)(void))trampoline, 2, (unsigned)(u64)c, (unsigned)((u64)c >> 32));
}

void plat_switch(struct thread *from, struct thread *to) {
  static __thread ucontext_t host; /* where a host thread came from: never returned to */
  struct context *f = from->fpu, *n = to->fpu;
  fake_become(to);
  fiber_switch(n->fiber);
  swapcontext(f ? &f->uc : &host, &n->uc);
}

static void *run_cpu(void *arg) {
  struct thread *boot = calloc(1, sizeof *boot);
  boot->cpu = (u32)(u64)arg;
  fake_become(boot);
  if (boot->cpu == 0)
    sched_boot(fake_thread(first_entry));
  sched_run(boot->cpu);
}

struct thread *fake_thread(void (*entry)(struct thread *t)) {
  struct thread *t = thread_alloc();
  if (t)
    plat_thread_init(t, entry);
  return t;
}

void fake_run(void (*entry)(struct thread *t)) {
  pthread_t host;
  first_entry = entry;
  sched_init();
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  for (unsigned i = 0; i < fake_ncpus; i++) {
    pthread_mutex_init(&cpu_states[i].lock, NULL);
    pthread_cond_init(&cpu_states[i].wake, &attr);
  }
  for (u64 i = 0; i < fake_ncpus; i++)
    pthread_create(&host, NULL, run_cpu, (void *)i);
  pthread_mutex_lock(&stop_lock);
  while (!stop)
    pthread_cond_wait(&stopped, &stop_lock);
  pthread_mutex_unlock(&stop_lock);
}

void fake_stop(void) {
  pthread_mutex_lock(&stop_lock);
  stop = true;
  pthread_cond_signal(&stopped);
  pthread_mutex_unlock(&stop_lock);
  for (;;)
    pause();
}

/* The one function of lib/string.c that the C library does not have. */
size_t str_copy(char *dst, const char *src, size_t size);
size_t str_copy(char *dst, const char *src, size_t size) {
  return (size_t)snprintf(dst, size, "%s", src);
}
