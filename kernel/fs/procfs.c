/* SPDX-License-Identifier: MIT */
#include "kernel/fs/procfs.h"

int procfs_boot(void) { return 0; }
