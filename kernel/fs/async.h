/* SPDX-License-Identifier: MIT */
/* Signal-driven I/O: F_SETOWN, O_ASYNC. */
#ifndef UFORK_KERNEL_FS_ASYNC_H
#define UFORK_KERNEL_FS_ASYNC_H

#include "kernel/fs/file.h"

#define O_ASYNC 020000

/* Who gets SIGIO for f: a process (positive), a group (negative), nobody (0). May sleep; 0, -ESRCH
   (no such process or group), -ENOMEM. */
int async_set_owner(struct file *f, int owner);
int async_owner(struct file *f);
/* Switches O_ASYNC of f. 0, -ENOTTY: nothing of f can be waited for, -ENOMEM. */
int async_switch(struct file *f, bool on);
/* f is going: called by the last put if f->async is set. */
void async_file_released(struct file *f);

#endif
