/* SPDX-License-Identifier: MIT */
/* fsync, fdatasync, sync_file_range: what they take, what they refuse, and that data stays. */
#include "check.h"
#include <fcntl.h>

static void ranges(int fd) {
  const unsigned all =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  for (unsigned flags = 0; flags <= all; flags++) {
    OK(sync_file_range(fd, 0, 0, flags)); /* to the end */
    OK(sync_file_range(fd, 4096, 8192, flags));
    OK(sync_file_range(fd, 1 << 30, 4096, flags)); /* beyond it */
  }
  FAILS(sync_file_range(fd, 0, 0, all + 1), EINVAL);
  FAILS(sync_file_range(fd, -1, 10, all), EINVAL);
  FAILS(sync_file_range(fd, 10, -1, all), EINVAL);
  FAILS(sync_file_range(fd, INT64_MAX, 2, all), EINVAL);
}

int main(void) {
  char name[] = "sync.XXXXXX", back[6];
  int fd = mkstemp(name), ends[2], dir;
  OK(fd);
  OK(ftruncate(fd, 100000));
  OK(pwrite(fd, "hello", 6, 50000));
  ranges(fd);
  OK(fsync(fd));
  OK(fdatasync(fd));
  CHECK(pread(fd, back, 6, 50000) == 6 && strcmp(back, "hello") == 0);
  OK(unlink(name));
  OK(fsync(fd));
  OK(dir = open(".", O_RDONLY | O_DIRECTORY));
  OK(fsync(dir));
  OK(pipe(ends));
  FAILS(fsync(ends[1]), EINVAL);
  FAILS(sync_file_range(ends[1], 0, 0, SYNC_FILE_RANGE_WRITE), ESPIPE);
  OK(close(fd));
  FAILS(sync_file_range(fd, 0, 0, 0), EBADF);
  return done();
}
