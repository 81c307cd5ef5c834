/* SPDX-License-Identifier: MIT */
/* Unknown system calls are ENOSYS; bad descriptors EBADF; bad values EINVAL. */
#include "check.h"
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int main(void) {
  static const long unknown[] = {500, 511, 600, 9999, 1000000, -1};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
    FAILS(syscall(unknown[i], 1, 2, 3, 4, 5, 6), ENOSYS);
  char buf[10];
  struct stat st;
  static const int bad[] = {-1, 55, 1023, 1 << 30, -(1 << 30)};
  for (int i = 0; i < 5; i++) {
    int fd = bad[i];
    FAILS(read(fd, buf, 1), EBADF);
    FAILS(write(fd, buf, 1), EBADF);
    FAILS(lseek(fd, 0, SEEK_SET), EBADF);
    FAILS(fstat(fd, &st), EBADF);
    FAILS(ftruncate(fd, 0), EBADF);
    FAILS(fsync(fd), EBADF);
    FAILS(fchdir(fd), EBADF);
    FAILS(fcntl(fd, F_GETFL), EBADF);
    FAILS(syscall(SYS_ioctl, fd, 0x5401, buf), EBADF);
    FAILS(dup(fd), EBADF);
    FAILS(close(fd), EBADF);
    FAILS(listen(fd, 1), EBADF);
    FAILS(accept(fd, NULL, NULL), EBADF);
    FAILS(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), EBADF);
    FAILS(syscall(SYS_pidfd_getfd, fd, 0, 0), EBADF);
    FAILS(recv(fd, buf, 1, 0), EBADF);
    FAILS(openat(fd == -100 ? -101 : fd, "x", O_RDONLY), EBADF);
    OK(close(OK(openat(fd, "/dev/null", O_RDONLY)))); /* ignored for absolute paths */
  }
  int null = OK(open("/dev/null", O_RDWR));
  FAILS(listen(null, 1), ENOTSOCK);
  FAILS(openat(null, "x", O_RDONLY), ENOTDIR);
  FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 7), EINVAL);
  FAILS(syscall(SYS_clone, 0x10000, 0, 0, 0, 0), EINVAL);
  return done();
}
