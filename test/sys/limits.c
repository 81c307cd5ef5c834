/* SPDX-License-Identifier: MIT */
/* Resource limits: set and inherited, bounds, what RLIMIT_FSIZE and RLIMIT_AS do. */
#include "check.h"
#include <sys/mman.h>
#include <sys/resource.h>

int main(void) {
  struct rlimit l, got;
  OK(getrlimit(RLIMIT_NOFILE, &l));
  CHECK(l.rlim_cur >= 64 && l.rlim_cur <= l.rlim_max);
  l.rlim_cur = 70;
  OK(setrlimit(RLIMIT_NOFILE, &l));
  IN_CHILD {
    OK(getrlimit(RLIMIT_NOFILE, &got));
    CHECK(got.rlim_cur == 70 && got.rlim_max == l.rlim_max);
    EXPECT(sysconf(_SC_OPEN_MAX), 70);
    got.rlim_cur = got.rlim_max = 60;
    OK(setrlimit(RLIMIT_NOFILE, &got));
  }
  END_CHILD(0);
  l.rlim_cur = l.rlim_max + 1;
  FAILS(setrlimit(RLIMIT_NOFILE, &l), EINVAL);
  FAILS(getrlimit(99, &l), EINVAL);
  pid_t pid = OK(fork());
  if (pid == 0) {
    l = (struct rlimit){1000, 1000};
    OK(setrlimit(RLIMIT_FSIZE, &l));
    int fd = OK(open("big.tmp", O_WRONLY | O_CREAT, 0600));
    static char block[1500];
    EXPECT(write(fd, block, 1500), 1000);
    OK(unlink("big.tmp"));
    (void)!write(fd, block, 1);
    _exit(0);
  }
  EXPECT_SIGNAL(pid, SIGXFSZ);
  IN_CHILD {
    l = (struct rlimit){256 << 20, 256 << 20};
    OK(setrlimit(RLIMIT_AS, &l));
    CHECK(mmap(NULL, 512 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    EXPECT(errno, ENOMEM);
  }
  END_CHILD(0);
  return done();
}
