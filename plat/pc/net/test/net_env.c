/* SPDX-License-Identifier: MIT */
#include "plat/pc/net/test/net_env.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/cpu_time.h"
#include "kernel/test/fake/fake.h"
#include "kernel/test/fake/kinds.h"
#include "kernel/time/timer.h"
#include "plat/pc/irq.h"
#include "plat/pc/net/stack.h"
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- heap ------------------------------------------------------------------------------------ */

size_t net_env_heap;
unsigned net_env_fail_every;

void *kmalloc(size_t n) {
  static unsigned count;
  unsigned every = __atomic_load_n(&net_env_fail_every, __ATOMIC_RELAXED);
  if (every && __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) % every == 0)
    return NULL;
  void *p = malloc(n);
  if (!p)
    abort();
  __atomic_add_fetch(&net_env_heap, malloc_usable_size(p), __ATOMIC_RELAXED);
  return p;
}

void *kzalloc(size_t n) {
  void *p = kmalloc(n);
  if (p)
    memset(p, 0, n);
  return p;
}

void kfree(void *p) {
  if (p)
    __atomic_sub_fetch(&net_env_heap, malloc_usable_size(p), __ATOMIC_RELAXED);
  free(p);
}

void *krealloc(void *old, size_t n) {
  void *p = kmalloc(n);
  if (p && old) {
    size_t have = malloc_usable_size(old);
    memcpy(p, old, have < n ? have : n);
    kfree(old);
  }
  return p;
}

char *kstrndup(const char *s, size_t n) {
  size_t len = strnlen(s, n);
  char *p = kmalloc(len + 1);
  if (p) {
    memcpy(p, s, len);
    p[len] = 0;
  }
  return p;
}
char *kstrdup(const char *s) { return kstrndup(s, strlen(s)); }
u64 kmalloc_used(void) { return net_env_heap; }

/* ---- threads --------------------------------------------------------------------------------- */

static pthread_mutex_t sched_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t sched_cond = PTHREAD_COND_INITIALIZER;

void schedule(void) {
  struct thread *me = thread_current();
  pthread_mutex_lock(&sched_lock);
  while (__atomic_load_n(&me->state, __ATOMIC_SEQ_CST) != THREAD_RUNNABLE)
    pthread_cond_wait(&sched_cond, &sched_lock);
  pthread_mutex_unlock(&sched_lock);
}

bool sched_wake(struct thread *t, unsigned flags) {
  (void)flags;
  pthread_mutex_lock(&sched_lock);
  enum thread_state s = __atomic_load_n(&t->state, __ATOMIC_SEQ_CST);
  bool woke = s == THREAD_SLEEPING || s == THREAD_UNINTERRUPTIBLE;
  if (woke) {
    __atomic_store_n(&t->state, THREAD_RUNNABLE, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&sched_cond);
  }
  pthread_mutex_unlock(&sched_lock);
  return woke;
}

struct net_thread {
  pthread_t host;
  struct thread *thread;
  void (*f)(void *arg);
  void *arg;
};

static void *run(void *arg) {
  struct net_thread *t = arg;
  fake_become(t->thread);
  t->f(t->arg);
  return NULL;
}

struct net_thread *net_env_thread(void (*f)(void *arg), void *arg) {
  struct net_thread *t = calloc(1, sizeof *t);
  t->thread = calloc(1, sizeof *t->thread);
  t->thread->proc = &env_proc;
  t->f = f;
  t->arg = arg;
  if (pthread_create(&t->host, NULL, run, t) != 0)
    abort();
  return t;
}

void net_env_join(struct net_thread *t) {
  pthread_join(t->host, NULL);
  free(t->thread);
  free(t);
}

void net_env_sleep_ms(unsigned ms) { usleep(ms * 1000); }

/* ---- interrupts, timers ---------------------------------------------------------------------- */

static void (*poller)(void *arg);
static void *poller_arg;
static bool deferred;

void io_poller_add(void (*poll)(void *arg), void *arg) {
  poller = poll;
  poller_arg = arg;
}

void irq_defer(void) { __atomic_store_n(&deferred, true, __ATOMIC_SEQ_CST); }

static void tick(void *arg) {
  (void)arg;
  for (;;) {
    usleep(1000);
    ktimer_run(plat_now());
    if (__atomic_exchange_n(&deferred, false, __ATOMIC_SEQ_CST))
      poller(poller_arg);
  }
}

/* ---- the card -------------------------------------------------------------------------------- */

void (*net_env_sent)(const u8 *frame, size_t len);

static int card_send(struct netdev *d, const struct netdev_part *parts, unsigned n) {
  u8 frame[2048];
  size_t len = 0;
  for (unsigned i = 0; i < n; i++) {
    if (len + parts[i].len > sizeof frame || len + parts[i].len > d->mtu + 14)
      abort();
    memcpy(frame + len, parts[i].data, parts[i].len);
    len += parts[i].len;
  }
  if (net_env_sent)
    net_env_sent(frame, len);
  return 0;
}

struct netdev net_env_card = {.mac = {2, 0, 0, 0, 0, 1}, .mtu = 1500, .send = card_send};

struct netdev *netdev_at(unsigned n) {
  return n == 0 ? &net_env_card : NULL;
}

/* In a block of its own size, so that reading beyond it is seen. */
void net_env_receive(const u8 *frame, size_t len) {
  u8 *copy = malloc(len ? len : 1);
  memcpy(copy, frame, len);
  net_env_card.receive(&net_env_card, copy, len);
  free(copy);
}

void net_env_boot(const char *config) {
  env_boot();
  if (net_boot(config) != 0)
    abort();
  net_env_thread(tick, NULL);
}

/* ---- the rest of the kernel ------------------------------------------------------------------ */

u64 proc_cpu_time(struct proc *p) {
  (void)p;
  abort(); /* no socket asks */
}
u64 sched_thread_time(const struct thread *t) {
  (void)t;
  return 0;
}
int clear_user(u64 uaddr, size_t n) {
  memset((void *)uaddr, 0, n);
  return 0;
}
