// SPDX-License-Identifier: MIT
#include "resident.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

uint64_t resident_bytes(pid_t pid) {
  char path[40], text[128];
  snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0)
    close(fd);
  if (n <= 0)
    return 0;
  text[n] = 0;
  char *end;
  strtoull(text, &end, 10);
  return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}
