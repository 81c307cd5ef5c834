/* SPDX-License-Identifier: MIT */
/*
 * Futexes, and Unix sockets with what travels through them, used by several threads at once, for
 * the thread sanitizer (race_env.h). What a lock made of futexes protects is plain memory, so that
 * the sanitizer sees whether it orders anything.
 */
#include "kernel/fs/fdtable.h"
#include "kernel/ipc/unix.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/space.h"
#include "kernel/mm/usercopy.h"
#include "kernel/test/race_env.h"
#include "kernel/time/clock.h"
#include <stdlib.h>
#include <string.h>

#define ROUNDS 1000

/* Of rooms that are not under test. */
bool space_shared_key(struct space *s, u64 off, const void **owner, u64 *at) {
  (void)s, (void)off, (void)owner, (void)at;
  return false;
}
int plat_sock_create(int domain, int type, int protocol, struct sock **out) {
  (void)domain, (void)type, (void)protocol, (void)out;
  return -EAFNOSUPPORT;
}
struct thread *thread_find(int tid) {
  if (tid < 1 || tid > 4)
    return NULL;
  thread_get(race_threads[tid - 1]);
  return race_threads[tid - 1];
}
u64 clock_deadline(int id, u64 at, bool absolute) {
  (void)id;
  return absolute ? at : plat_now() + at;
}
int timespec_ns(const struct ktimespec *ts, u64 *ns) {
  *ns = (u64)ts->sec * NSEC_PER_SEC + (u64)ts->nsec;
  return 0;
}
int timespec_from_user(u64 uaddr, u64 *ns) {
  struct ktimespec ts;
  return copy_from_user(&ts, uaddr, sizeof ts) ? -EFAULT : timespec_ns(&ts, ns);
}
int timeout_from_user(u64 uaddr, u64 *deadline) {
  (void)uaddr;
  *deadline = UINT64_MAX;
  return 0;
}

/* ---- futexes --------------------------------------------------------------------------------- */

enum {
  WAIT = 128,
  WAKE = 129,
  REQUEUE = 131,
  LOCK_PI = 134,
  UNLOCK_PI = 135,
};

static u32 *words;  /* user memory */
static u64 counter; /* protected by a lock */

/* Three states: free, held, held with sleepers. */
static void lock(u32 *w) {
  u32 seen = 0;
  if (__atomic_compare_exchange_n(w, &seen, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    return;
  while (__atomic_exchange_n(w, 2, __ATOMIC_SEQ_CST) != 0)
    CALL(futex, w, WAIT, 2);
}
static void unlock(u32 *w) {
  if (__atomic_exchange_n(w, 0, __ATOMIC_SEQ_CST) == 2)
    CALL(futex, w, WAKE, 1);
}

static void use_lock(unsigned me, void *buf) {
  (void)buf;
  for (unsigned i = 0; i < ROUNDS; i++) {
    lock(&words[0]);
    counter++;
    if ((i + me) % 8 == 0)
      sched_yield_cpu();
    unlock(&words[0]);
  }
}

static void use_pi_lock(unsigned me, void *buf) {
  (void)buf;
  for (unsigned i = 0; i < ROUNDS; i++) {
    must(CALL(futex, &words[0], LOCK_PI, 0) == 0);
    must((__atomic_load_n(&words[0], __ATOMIC_SEQ_CST) & 0x3fffffff) == me + 1);
    counter++;
    if ((i + me) % 8 == 0)
      sched_yield_cpu();
    must(CALL(futex, &words[0], UNLOCK_PI, 0) == 0);
  }
}

static void locks(void) {
  counter = words[0] = 0;
  with_threads(4, use_lock);
  CHECK(counter == 4 * ROUNDS);
}

static void pi_locks(void) {
  counter = words[0] = 0;
  with_threads(4, use_pi_lock);
  CHECK(counter == 4 * ROUNDS);
}

/* Two sleep on the first word; the others move them to the second one, wake them there and here,
   and some give up by themselves. Nobody is woken twice or forgotten. */
static u64 woken, wakes;
static u32 sleepers; /* at work; atomic */

static void use_requeue(unsigned me, void *buf) {
  struct ktimespec *soon = buf;
  if (me < 2) {
    *soon = (struct ktimespec){0, 50000};
    for (unsigned i = 0; i < ROUNDS; i++) {
      i64 r = CALL(futex, &words[0], WAIT, 0, i % 3 ? soon : NULL);
      must(r == 0 || r == -ETIMEDOUT);
      if (r == 0)
        __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    }
    __atomic_sub_fetch(&sleepers, 1, __ATOMIC_SEQ_CST);
    return;
  }
  while (__atomic_load_n(&sleepers, __ATOMIC_SEQ_CST)) {
    i64 n = me == 2 ? CALL(futex, &words[0], REQUEUE, 0, 2, &words[16]) : 0;
    must(n >= 0 && n <= 2);
    n = CALL(futex, &words[16], WAKE, 1);
    must(n >= 0 && n <= 1);
    __atomic_add_fetch(&wakes, n, __ATOMIC_SEQ_CST);
    if (me == 3) {
      n = CALL(futex, &words[0], WAKE, 2);
      must(n >= 0 && n <= 2);
      __atomic_add_fetch(&wakes, n, __ATOMIC_SEQ_CST);
    }
    sched_yield_cpu();
  }
}

static void requeues(void) {
  words[0] = words[16] = 0;
  woken = wakes = 0;
  sleepers = 2;
  with_threads(4, use_requeue);
  CHECK(woken == wakes);
  CHECK(woken > 0);
}

/* ---- Unix sockets
 * --------------------------------------------------------------------------------- */

/* As user code lays them out. */
struct user_message {
  struct {
    u64 name;
    u32 namelen, pad;
    u64 iov, iovlen, control, controllen;
    u32 flags, pad2;
  } head;
  struct {
    u64 base, len;
  } iov;
  struct {
    u64 len;
    i32 level, type;
    i32 fds[2];
  } control;
  u8 bytes[16];
};

#define RIGHTS 1
static struct user_message *message(void *buf, int nfds) {
  struct user_message *m = buf;
  memset(m, 0, sizeof *m);
  m->head.iov = (u64)&m->iov;
  m->head.iovlen = 1;
  m->iov.base = (u64)m->bytes;
  m->iov.len = 8;
  m->head.control = (u64)&m->control;
  m->head.controllen = nfds == 0 ? 0 : 16 + 8 * (unsigned)((nfds + 1) / 2);
  m->control.len = 16 + 4 * (unsigned)nfds;
  m->control.level = SOL_SOCKET;
  m->control.type = RIGHTS;
  return m;
}

static int pair_of(void *buf, int type, int fd[2]) {
  i32 *user = buf;
  i64 err = CALL(socketpair, AF_UNIX, type, 0, user);
  fd[0] = user[0], fd[1] = user[1];
  return (int)err;
}

static int ends[2];
static u64 sent, received;

/* Descriptors of pipes' write ends go through one socket from two threads to two others. */
static void pass(unsigned me, void *buf) {
  for (unsigned i = 0; i < ROUNDS / 2 && me < 2; i++) {
    i32 *fds = (i32 *)buf + 200;
    if (CALL(pipe2, fds, 0)) {
      must(false);
      return;
    }
    struct user_message *m = message(buf, 2);
    m->control.fds[0] = fds[0], m->control.fds[1] = fds[1];
    *(u64 *)m->bytes = me * ROUNDS + i;
    __atomic_add_fetch(&sent, me * ROUNDS + i, __ATOMIC_RELAXED);
    must(CALL(sendmsg, ends[1], m, 0) == 8);
    must(CALL(close, fds[0]) == 0 && CALL(close, fds[1]) == 0);
  }
  for (unsigned i = 0; i < ROUNDS / 2 && me >= 2; i++) {
    struct user_message *m = message(buf, 2);
    must(CALL(recvmsg, ends[0], m, 0) == 8);
    __atomic_add_fetch(&received, *(u64 *)m->bytes, __ATOMIC_RELAXED);
    must(m->head.controllen >= 24);
    i32 *fds = m->control.fds;
    must(CALL(write, fds[1], m->bytes, 8) == 8);
    must(CALL(read, fds[0], m->bytes + 8, 8) == 8);
    must(CALL(close, fds[0]) == 0 && CALL(close, fds[1]) == 0);
  }
}

static void close_all(void) {
  for (int fd; (fd = fdtable_next(env_proc.files, 0)) >= 0;)
    CALL(close, fd);
}

static void passing(void) {
  static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
  for (unsigned k = 0; k < 3; k++) {
    sent = received = 0;
    CHECK(pair_of(memory[0], types[k], ends) == 0);
    with_threads(4, pass);
    CHECK(sent == received);
    close_all();
  }
}

/* One writes and closes, another looks for the end all the time: the bytes come first. */
static int given[2]; /* atomic: -1 or a writer's end, one for each two threads */
static void last_words(unsigned me, void *buf) {
  unsigned slot = me % 2;
  for (unsigned i = 0; i < ROUNDS; i++) {
    int fd[2];
    if (me >= 2) {
      while ((fd[1] = __atomic_exchange_n(&given[slot], -1, __ATOMIC_SEQ_CST)) == -1)
        sched_yield_cpu();
      must(CALL(write, fd[1], buf, 5) == 5);
      must(CALL(close, fd[1]) == 0);
      continue;
    }
    must(pair_of(buf, (i % 2 ? SOCK_STREAM : SOCK_SEQPACKET) | O_NONBLOCK, fd) == 0);
    __atomic_store_n(&given[slot], fd[1], __ATOMIC_SEQ_CST);
    i64 n;
    while ((n = CALL(read, fd[0], buf, 64)) == -EAGAIN)
      sched_yield_cpu();
    must(n == 5);
    must(CALL(close, fd[0]) == 0);
  }
}

static void ends_come_last(void) {
  given[0] = given[1] = -1;
  with_threads(4, last_words);
  close_all();
}

/* Sockets in each other's queues, dropped at once by all threads, while others that are alive hold
   some in flight: the former go, the latter stay. */
static void send_ends(void *buf, int through, int a, int b) {
  struct user_message *m = message(buf, 2);
  m->control.fds[0] = a, m->control.fds[1] = b;
  must(CALL(sendmsg, through, m, 0) == 8);
}

static void make_circles(unsigned me, void *buf) {
  int a[2], b[2], living[2], kept[2];
  for (unsigned i = 0; i < ROUNDS / 4; i++) {
    must(pair_of(buf, SOCK_DGRAM, a) == 0);
    must(pair_of(buf, i % 2 ? SOCK_STREAM : SOCK_SEQPACKET, b) == 0);
    must(pair_of(buf, SOCK_DGRAM, living) == 0);
    must(pair_of(buf, SOCK_STREAM, kept) == 0);
    send_ends(buf, living[1], kept[0], kept[0]); /* reachable: living[0] is open */
    must(CALL(close, kept[0]) == 0);
    send_ends(buf, a[1], b[0], a[0]);
    send_ends(buf, b[1], a[0], (i + me) % 3 ? a[1] : living[1]);
    for (unsigned k = 0; k < 2; k++)
      must(CALL(close, a[k]) == 0 && CALL(close, b[k]) == 0);
    struct user_message *m = message(buf, 2);
    must(CALL(recvmsg, living[0], m, 0) == 8);
    int got[2] = {m->control.fds[0], m->control.fds[1]};
    must(CALL(write, got[0], m->bytes, 3) == 3);
    must(CALL(read, kept[1], m->bytes, 8) == 3);
    must(CALL(close, got[0]) == 0 && CALL(close, got[1]) == 0);
    must(CALL(close, kept[1]) == 0);
    must(CALL(close, living[0]) == 0 && CALL(close, living[1]) == 0);
  }
}

static void circles(void) {
  with_threads(4, make_circles); /* grows tables */
  close_all();
  u64 before = kmalloc_used_as(KMEM_SOCKET);
  with_threads(4, make_circles);
  CHECK(fdtable_next(env_proc.files, 0) == -1);
  CHECK(kmalloc_used_as(KMEM_SOCKET) == before);
}

static void all(struct thread *t) {
  race_boot(t);
  words = memory[15];
  TEST(locks);
  TEST(pi_locks);
  TEST(requeues);
  TEST(passing);
  TEST(ends_come_last);
  TEST(circles);
  fake_stop();
}

int main(int argc, char **argv) {
  fake_ncpus = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
  fake_run(all);
  return check_summary("race_ipc");
}
