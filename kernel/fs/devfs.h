/* SPDX-License-Identifier: MIT */
/* Numbers and names of the devices in /dev. */
#ifndef UFORK_KERNEL_DEVFS_H
#define UFORK_KERNEL_DEVFS_H

#include "kernel/fs/vfs.h"

#define DEV_NULL MAKEDEV(1, 3)
#define DEV_ZERO MAKEDEV(1, 5)
#define DEV_FULL MAKEDEV(1, 7)
#define DEV_RANDOM MAKEDEV(1, 8)
#define DEV_URANDOM MAKEDEV(1, 9)
#define DEV_TTY MAKEDEV(5, 0)
#define DEV_CONSOLE MAKEDEV(5, 1)
#define DEV_PTMX MAKEDEV(5, 2)

/* Mounts a tmpfs at /dev and fills it with device nodes and links. Boot. */
int devfs_boot(void);

#endif
