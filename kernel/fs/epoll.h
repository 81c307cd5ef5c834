/* SPDX-License-Identifier: MIT */
#ifndef UFORK_KERNEL_EPOLL_H
#define UFORK_KERNEL_EPOLL_H

#include "kernel/fs/file.h"

/* f's last reference is gone: takes it out of all interest lists. */
void epoll_file_released(struct file *f);

#endif
