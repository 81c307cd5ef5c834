/* SPDX-License-Identifier: MIT */
/* System V semaphores: all or nothing, waiting, time-outs, undo, removal, counts, permissions. */
#include "check.h"
#include <sched.h>
#include <sys/ipc.h>
#include <sys/sem.h>

union arg {
  int val;
  struct semid_ds *buf;
  unsigned short *array;
};

static int op(int id, int num, int delta, int flags) {
  struct sembuf b = {(unsigned short)num, (short)delta, (short)flags};
  return semop(id, &b, 1);
}

static int value(int id, int num) { return OK(semctl(id, num, GETVAL)); }

/* Until `count` processes sleep for semaphore num. */
static void sleepers(int id, int num, int cmd, int count) {
  while (OK(semctl(id, num, cmd)) != count)
    sleep_ms(2);
}

static void arguments(void) {
  key_t key = 0x75470000 + getpid();
  FAILS(semget(key, 3, 0), ENOENT);
  int id = OK(semget(key, 3, IPC_CREAT | 0600));
  EXPECT(semget(key, 0, 0), id);
  EXPECT(semget(key, 3, IPC_CREAT), id);
  FAILS(semget(key, 4, 0), EINVAL);
  FAILS(semget(key, 3, IPC_CREAT | IPC_EXCL), EEXIST);
  FAILS(semget(IPC_PRIVATE, 0, 0600), EINVAL);
  FAILS(semget(IPC_PRIVATE, 40000, 0600), EINVAL);
  FAILS(op(id, 3, 1, 0), EFBIG);
  FAILS(op(id, 0, -1, IPC_NOWAIT), EAGAIN);
  FAILS(op(-1, 0, 1, 0), EINVAL);
  FAILS(semop(id, NULL, 0), EINVAL);
  FAILS(semop(id, (void *)16, 1), EFAULT);
  FAILS(semop(id, (void *)16, 501), E2BIG);
  FAILS(semctl(id, 3, GETVAL), EINVAL);
  FAILS(semctl(id, 0, SETVAL, (union arg){.val = -1}), ERANGE);
  FAILS(semctl(id, 0, SETVAL, (union arg){.val = 32768}), ERANGE);
  OK(semctl(id, 0, SETVAL, (union arg){.val = 32767}));
  FAILS(op(id, 0, 1, 0), ERANGE);
  unsigned short v[3] = {1, 2, 3}, got[3];
  OK(semctl(id, 0, SETALL, (union arg){.array = v}));
  OK(semctl(id, 0, GETALL, (union arg){.array = got}));
  CHECK(!memcmp(v, got, sizeof v));
  FAILS(semctl(id, 0, GETALL, (union arg){.array = (void *)16}), EFAULT);
  struct semid_ds s;
  OK(semctl(id, 0, IPC_STAT, (union arg){.buf = &s}));
  EXPECT(s.sem_nsems, 3);
  EXPECT(s.sem_otime, 0);
  OK(op(id, 0, 1, 0));
  OK(semctl(id, 0, IPC_STAT, (union arg){.buf = &s}));
  CHECK(s.sem_otime > 0);
  EXPECT(semctl(id, 0, GETPID), getpid());
  if (getuid() == 0)
    IN_CHILD {
      OK(setgid(1234));
      OK(setuid(1234));
      FAILS(semget(key, 3, 0600), EACCES);
      FAILS(op(id, 0, 1, 0), EACCES);
      FAILS(semctl(id, 0, GETVAL), EACCES);
      FAILS(semctl(id, 0, IPC_RMID), EPERM);
    }
  END_CHILD(0);
  OK(semctl(id, 0, IPC_RMID));
  FAILS(op(id, 0, 1, 0), EINVAL);
}

static void atomic_operations(void) {
  int id = OK(semget(IPC_PRIVATE, 2, 0600));
  struct sembuf both[] = {{0, 5, 0}, {1, -1, IPC_NOWAIT}};
  FAILS(semop(id, both, 2), EAGAIN);
  EXPECT(value(id, 0), 0); /* taken back */
  OK(op(id, 1, 1, 0));
  OK(semop(id, both, 2));
  EXPECT(value(id, 0), 5);
  EXPECT(value(id, 1), 0);
  OK(semctl(id, 0, IPC_RMID));
}

static void waiting(void) {
  int id = OK(semget(IPC_PRIVATE, 2, 0600));
  pid_t a = OK(fork());
  if (a == 0)
    _exit(op(id, 0, -2, 0));
  sleepers(id, 0, GETNCNT, 1);
  OK(op(id, 0, 1, 0));
  EXPECT(value(id, 0), 1); /* not enough yet */
  OK(op(id, 0, 1, 0));     /* handed over at once */
  EXPECT(value(id, 0), 0);
  EXPECT_EXIT(a, 0);
  OK(op(id, 1, 1, 0));
  a = OK(fork());
  if (a == 0)
    _exit(op(id, 1, 0, 0)); /* waits for zero */
  sleepers(id, 1, GETZCNT, 1);
  OK(op(id, 1, -1, 0));
  EXPECT_EXIT(a, 0);
  struct timespec t = {0, 50000000};
  struct sembuf b = {0, -1, 0};
  long start = now_ms();
  FAILS(semtimedop(id, &b, 1, &t), EAGAIN);
  CHECK(now_ms() - start >= 45);
  t.tv_nsec = -1;
  FAILS(semtimedop(id, &b, 1, &t), EINVAL);
  a = OK(fork());
  if (a == 0) {
    FAILS(op(id, 0, -1, 0), EIDRM);
    _exit(0);
  }
  sleepers(id, 0, GETNCNT, 1);
  OK(semctl(id, 0, IPC_RMID));
  EXPECT_EXIT(a, 0);
}

static void nothing(int sig) { (void)sig; }

static void interrupted(void) {
  int id = OK(semget(IPC_PRIVATE, 1, 0600));
  pid_t a = OK(fork());
  if (a == 0) {
    handle(SIGUSR1, nothing, SA_RESTART);
    FAILS(op(id, 0, -1, 0), EINTR); /* never restarted */
    _exit(0);
  }
  sleepers(id, 0, GETNCNT, 1);
  OK(kill(a, SIGUSR1));
  EXPECT_EXIT(a, 0);
  EXPECT(semctl(id, 0, GETNCNT), 0);
  OK(semctl(id, 0, IPC_RMID));
}

static void undo(void) {
  int id = OK(semget(IPC_PRIVATE, 2, 0600));
  OK(semctl(id, 0, SETVAL, (union arg){.val = 3}));
  IN_CHILD {
    OK(op(id, 0, -2, SEM_UNDO));
    OK(op(id, 1, 4, SEM_UNDO));
    EXPECT(value(id, 0), 1);
    IN_CHILD { EXPECT(value(id, 1), 4); } /* a child has nothing to undo */
    END_CHILD(0);
    EXPECT(value(id, 1), 4);
  }
  END_CHILD(0);
  EXPECT(value(id, 0), 3);
  EXPECT(value(id, 1), 0);
  /* Whoever dies with the semaphore taken lets the next one in. */
  OK(semctl(id, 0, SETVAL, (union arg){.val = 1}));
  pid_t holder = OK(fork());
  if (holder == 0) {
    OK(op(id, 0, -1, SEM_UNDO));
    for (;;)
      pause();
  }
  while (value(id, 0))
    sleep_ms(2);
  pid_t next = OK(fork());
  if (next == 0)
    _exit(op(id, 0, -1, 0));
  sleepers(id, 0, GETNCNT, 1);
  OK(kill(holder, SIGKILL));
  EXPECT_EXIT(next, 0);
  EXPECT_SIGNAL(holder, SIGKILL);
  /* SETVAL makes it void; removal before exit is no harm. */
  IN_CHILD {
    OK(op(id, 1, 4, SEM_UNDO));
    OK(semctl(id, 1, SETVAL, (union arg){.val = 9}));
  }
  END_CHILD(0);
  EXPECT(value(id, 1), 9);
  IN_CHILD {
    OK(op(id, 1, 1, SEM_UNDO));
    OK(semctl(id, 0, IPC_RMID));
  }
  END_CHILD(0);
}

/* A lock for many: nobody is lost, nobody is let in twice. */
static void many(void) {
  enum { N = 8, ROUNDS = 300 };
  int id = OK(semget(IPC_PRIVATE, 1, 0600)), p[2];
  char token = 'x';
  pid_t pids[N];
  OK(pipe(p));
  OK(semctl(id, 0, SETVAL, (union arg){.val = 1}));
  EXPECT(write(p[1], &token, 1), 1);
  OK(fcntl(p[0], F_SETFL, O_NONBLOCK));
  for (int k = 0; k < N; k++) {
    pids[k] = OK(fork());
    if (pids[k])
      continue;
    for (int i = 0; i < ROUNDS; i++) {
      OK(op(id, 0, -1, SEM_UNDO));
      EXPECT(read(p[0], &token, 1), 1); /* only one is inside */
      EXPECT(write(p[1], &token, 1), 1);
      OK(op(id, 0, 1, SEM_UNDO));
    }
    _exit(0);
  }
  for (int k = 0; k < N; k++)
    EXPECT_EXIT(pids[k], 0);
  EXPECT(value(id, 0), 1);
  OK(semctl(id, 0, IPC_RMID));
}

int main(void) {
  struct seminfo before, after;
  unshare(CLONE_NEWIPC); /* nobody else's are counted then, where it is allowed */
  OK(semctl(0, 0, SEM_INFO, &before));
  arguments();
  atomic_operations();
  waiting();
  interrupted();
  undo();
  many();
  OK(semctl(0, 0, SEM_INFO, &after));
  EXPECT(after.semusz, before.semusz); /* sets that exist */
  EXPECT(after.semaem, before.semaem);
  return done();
}
