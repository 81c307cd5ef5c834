/* SPDX-License-Identifier: MIT */
/* How long locks live: flock's and OFD locks with the open file, through dup, fork and exec; record
   locks with the process, and gone with the first close; waiting, upgrades, splits, kills. */
#include "check.h"
#include <stdbool.h>
#include <sys/file.h>

static char name[] = "/tmp/lock_life_XXXXXX";

static int lock(int fd, int cmd, int type, off_t start, off_t length) {
  struct flock l = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, cmd, &l);
}
static int again(void) { return OK(open(name, O_RDWR)); }

/* What a process of its own finds: F_UNLCK if it could lock this part. */
static short found(int cmd, off_t start, off_t length) {
  int p[2];
  struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  OK(pipe(p));
  IN_CHILD {
    int fd = again();
    OK(fcntl(fd, cmd, &l));
    EXPECT(write(p[1], &l, sizeof l), sizeof l);
  }
  END_CHILD(0);
  EXPECT(read(p[0], &l, sizeof l), sizeof l);
  OK(close(p[0]));
  OK(close(p[1]));
  return l.l_type;
}

static bool flock_is_free(void) {
  int fd = again(), r = flock(fd, LOCK_EX | LOCK_NB);
  CHECK(r == 0 || errno == EWOULDBLOCK);
  OK(close(fd));
  return r == 0;
}

static void flocks(void) {
  int a = again(), b, copy;
  FAILS(flock(a, LOCK_NB), EINVAL);
  FAILS(flock(-1, LOCK_SH), EBADF);
  OK(flock(a, LOCK_EX));
  CHECK(!flock_is_free());
  copy = OK(dup(a));
  OK(close(a));
  CHECK(!flock_is_free()); /* the open file is still there */
  IN_CHILD {
    OK(flock(copy, LOCK_EX | LOCK_NB)); /* the same lock */
    CHECK(!flock_is_free());
    OK(close(copy));
    CHECK(!flock_is_free());
  }
  END_CHILD(0);
  CHECK(!flock_is_free());
  OK(flock(copy, LOCK_SH)); /* down, then up again */
  b = again();
  OK(flock(b, LOCK_SH | LOCK_NB));
  FAILS(flock(copy, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  OK(close(b));
  OK(flock(copy, LOCK_SH | LOCK_NB));
  OK(flock(copy, LOCK_EX | LOCK_NB));
  IN_CHILD { OK(flock(copy, LOCK_UN)); } /* by whoever has it */
  END_CHILD(0);
  CHECK(flock_is_free());
  OK(flock(copy, LOCK_EX));
  OK(close(copy));
  CHECK(flock_is_free());
}

/* The child waits until it gets it; its death lets it go. */
static void waits_for(int (*take)(int fd), int (*give)(int fd)) {
  int p[2], fd = again();
  OK(pipe(p));
  OK(take(fd));
  pid_t pid = OK(fork());
  if (pid == 0) {
    int mine = again();
    OK(close(fd));
    tell(p[1]);
    OK(take(mine));
    tell(p[1]);
    for (;;)
      pause();
  }
  await(p[0]);
  sleep_ms(5);
  OK(fcntl(p[0], F_SETFL, O_NONBLOCK));
  char c;
  FAILS(read(p[0], &c, 1), EAGAIN);
  OK(fcntl(p[0], F_SETFL, 0));
  OK(give(fd));
  await(p[0]);
  OK(kill(pid, SIGKILL));
  EXPECT_SIGNAL(pid, SIGKILL);
  OK(take(fd)); /* blocks for ever if the dead one still had it */
  OK(close(fd));
  OK(close(p[0]));
  OK(close(p[1]));
}
static int take_flock(int fd) { return flock(fd, LOCK_EX); }
static int give_flock(int fd) { return flock(fd, LOCK_UN); }
static int take_record(int fd) { return lock(fd, F_SETLKW, F_WRLCK, 0, 0); }
static int give_record(int fd) { return lock(fd, F_SETLK, F_UNLCK, 0, 0); }
static int take_ofd(int fd) { return lock(fd, F_OFD_SETLKW, F_WRLCK, 0, 0); }
static int give_ofd(int fd) { return lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0); }

static void records(void) {
  int a = again(), b = again();
  OK(lock(a, F_SETLK, F_WRLCK, 0, 100));
  OK(lock(b, F_SETLK, F_WRLCK, 50, 10));                        /* one process: no conflict */
  IN_CHILD { FAILS(lock(a, F_SETLK, F_RDLCK, 99, 1), EAGAIN); } /* not inherited */
  END_CHILD(0);
  OK(lock(a, F_SETLK, F_UNLCK, 20, 10)); /* two are left */
  EXPECT(found(F_GETLK, 20, 10), F_UNLCK);
  EXPECT(found(F_GETLK, 19, 1), F_WRLCK);
  EXPECT(found(F_GETLK, 30, 1), F_WRLCK);
  OK(lock(a, F_SETLK, F_RDLCK, 40, 20)); /* a part is changed */
  EXPECT(found(F_GETLK, 45, 1), F_RDLCK);
  EXPECT(found(F_GETLK, 60, 1), F_WRLCK);
  OK(close(b)); /* any descriptor of the file: all are gone */
  EXPECT(found(F_GETLK, 0, 0), F_UNLCK);
  OK(lock(a, F_SETLK, F_WRLCK, 10, 0)); /* to the end, wherever it will be */
  EXPECT(found(F_GETLK, 1L << 40, 1), F_WRLCK);
  EXPECT(found(F_GETLK, 0, 10), F_UNLCK);
  struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -4, .l_len = -2};
  OK(ftruncate(a, 1000));
  OK(lock(a, F_SETLK, F_UNLCK, 0, 0));
  OK(fcntl(a, F_SETLK, &l)); /* 994 to 995 */
  EXPECT(found(F_GETLK, 994, 2), F_WRLCK);
  EXPECT(found(F_GETLK, 996, 0), F_UNLCK);
  EXPECT(found(F_GETLK, 0, 994), F_UNLCK);
  l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = -2};
  FAILS(fcntl(a, F_SETLK, &l), EINVAL);
  l = (struct flock){.l_type = 9, .l_whence = SEEK_SET};
  FAILS(fcntl(a, F_SETLK, &l), EINVAL);
  int r = OK(open(name, O_RDONLY)), w = OK(open(name, O_WRONLY));
  FAILS(lock(r, F_SETLK, F_WRLCK, 0, 1), EBADF);
  FAILS(lock(w, F_SETLK, F_RDLCK, 0, 1), EBADF);
  OK(close(r) | close(w) | close(a));
}

static void ofds(void) {
  int a = again(), b = again(), copy;
  struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_pid = 5};
  FAILS(fcntl(a, F_OFD_SETLK, &l), EINVAL); /* l_pid must be 0 */
  OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
  FAILS(lock(b, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN); /* open files, not processes */
  FAILS(lock(b, F_SETLK, F_RDLCK, 5, 1), EAGAIN);     /* nor do the other kind pass */
  l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
  OK(fcntl(b, F_OFD_GETLK, &l));
  CHECK(l.l_type == F_WRLCK && l.l_pid == -1 && l.l_start == 0 && l.l_len == 10);
  OK(close(b)); /* another's descriptor: nothing happens */
  EXPECT(found(F_GETLK, 0, 1), F_WRLCK);
  IN_CHILD { OK(lock(a, F_OFD_SETLK, F_RDLCK, 0, 5)); } /* the child has it as well */
  END_CHILD(0);
  EXPECT(found(F_GETLK, 0, 1), F_RDLCK);
  EXPECT(found(F_GETLK, 5, 1), F_WRLCK);
  copy = OK(dup(a));
  OK(close(a));
  EXPECT(found(F_GETLK, 5, 1), F_WRLCK);
  OK(close(copy));
  EXPECT(found(F_GETLK, 0, 0), F_UNLCK);
}

/* exec keeps the process and its open files, and the locks with them; what is closed by it is not.
 */
static void through_exec(void) {
  char number[2][12];
  int p[2], q[2];
  OK(pipe(p));
  OK(pipe(q));
  pid_t pid = OK(fork());
  if (pid == 0) {
    int kept = again(), closed = OK(open(name, O_RDWR | O_CLOEXEC));
    OK(lock(kept, F_OFD_SETLK, F_WRLCK, 0, 10));
    OK(lock(closed, F_OFD_SETLK, F_WRLCK, 10, 10));
    OK(flock(kept, LOCK_EX));
    snprintf(number[0], 12, "%d", p[1]);
    snprintf(number[1], 12, "%d", q[0]);
    execl("/proc/self/exe", "x", number[0], number[1], NULL);
  }
  await(p[0]);
  EXPECT(found(F_GETLK, 0, 10), F_WRLCK);
  EXPECT(found(F_GETLK, 10, 10), F_UNLCK);
  CHECK(!flock_is_free());
  tell(q[1]);
  EXPECT_EXIT(pid, 0);
  EXPECT(found(F_GETLK, 0, 10), F_UNLCK);
  CHECK(flock_is_free());
  pid = OK(fork()); /* a record lock is the process's, whatever it runs */
  if (pid == 0) {
    OK(lock(again(), F_SETLK, F_WRLCK, 0, 10));
    snprintf(number[0], 12, "%d", p[1]);
    snprintf(number[1], 12, "%d", q[0]);
    execl("/proc/self/exe", "x", number[0], number[1], NULL);
  }
  await(p[0]);
  EXPECT(found(F_GETLK, 0, 10), F_WRLCK);
  OK(kill(pid, SIGKILL));
  EXPECT_SIGNAL(pid, SIGKILL);
  EXPECT(found(F_GETLK, 0, 10), F_UNLCK);
}

int main(int argc, char **argv) {
  if (argc > 2) {
    tell(atoi(argv[1]));
    await(atoi(argv[2]));
    return 0;
  }
  OK(close(OK(mkstemp(name))));
  flocks();
  waits_for(take_flock, give_flock);
  waits_for(take_record, give_record);
  waits_for(take_ofd, give_ofd);
  records();
  ofds();
  through_exec();
  OK(unlink(name));
  return done();
}
