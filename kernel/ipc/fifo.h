/* SPDX-License-Identifier: MIT */
#ifndef UFORK_KERNEL_FIFO_H
#define UFORK_KERNEL_FIFO_H

#include "kernel/fs/vfs.h"

/* Opens a FIFO: waits for the other side unless O_NONBLOCK or O_RDWR. -ENXIO, -ERESTARTSYS. */
int fifo_open(struct inode *i, struct file *f);

#endif
