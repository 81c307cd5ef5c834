/* SPDX-License-Identifier: MIT */
/* Directories of a host: this platform has none without a 9p device. */
#include "kernel/errno.h"
#include "kernel/plat.h"

int plat_hostfs(const char *host_path, bool read_only, struct inode **out) {
  (void)host_path, (void)read_only, (void)out;
  return -ENODEV;
}
