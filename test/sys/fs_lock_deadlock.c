/* SPDX-License-Identifier: MIT */
/* Record locks that would wait for each other are EDEADLK; locks of open files are not looked at.
 */
#include "check.h"

static int lock(int fd, int cmd, int type, off_t at) {
  struct flock l = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
  return fcntl(fd, cmd, &l);
}

/* A ring of n processes: each holds its byte and wants the next one's. */
static void ring(int fd, int n) {
  int said_no = 0;
  pid_t pids[8];
  for (int k = 0; k < n; k++) {
    pids[k] = OK(fork());
    if (pids[k])
      continue;
    OK(lock(fd, F_SETLK, F_WRLCK, k));
    struct flock l;
    for (int i = 0; i < n; i++) /* until everybody has its own */
      do {
        l = (struct flock){.l_type = F_WRLCK, .l_start = i, .l_len = 1};
        OK(fcntl(fd, F_GETLK, &l));
      } while (i != k && l.l_type == F_UNLCK);
    sleep_ms(20 + 20 * k);
    if (lock(fd, F_SETLKW, F_WRLCK, (k + 1) % n) == 0)
      _exit(0);
    EXPECT(errno, EDEADLK);
    _exit(1);
  }
  for (int k = 0; k < n; k++) {
    int status = wait_for(pids[k]);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    said_no += WEXITSTATUS(status);
  }
  EXPECT(said_no, 1);
}

/* A queue is no ring. */
static void queue(int fd) {
  OK(lock(fd, F_SETLK, F_WRLCK, 0));
  pid_t a = OK(fork());
  if (a == 0) {
    OK(lock(fd, F_SETLK, F_WRLCK, 1));
    _exit(lock(fd, F_SETLKW, F_WRLCK, 0));
  }
  until_asleep(a);
  pid_t b = OK(fork());
  if (b == 0)
    _exit(lock(fd, F_SETLKW, F_WRLCK, 1));
  until_asleep(b);
  OK(lock(fd, F_SETLK, F_UNLCK, 0));
  EXPECT_EXIT(a, 0);
  EXPECT_EXIT(b, 0);
}

static void nothing(int sig) { (void)sig; }

/* Open file descriptions wait for each other until somebody interrupts. */
static void open_files(void) {
  int a = OK(open("lock.tmp", O_RDWR)), b = OK(open("lock.tmp", O_RDWR));
  OK(lock(a, F_OFD_SETLK, F_WRLCK, 5));
  FAILS(lock(b, F_OFD_SETLK, F_WRLCK, 5), EAGAIN);
  handle(SIGALRM, nothing, 0);
  ualarm(50000, 50000); /* the first may come before the call */
  FAILS(lock(b, F_OFD_SETLKW, F_WRLCK, 5), EINTR);
  ualarm(0, 0);
  OK(close(a)); /* gives up its locks */
  OK(lock(b, F_OFD_SETLKW, F_WRLCK, 5));
  OK(close(b));
}

int main(void) {
  int fd = OK(open("lock.tmp", O_RDWR | O_CREAT, 0600));
  ring(fd, 2);
  ring(fd, 4);
  queue(fd);
  open_files();
  OK(unlink("lock.tmp"));
  return done();
}
