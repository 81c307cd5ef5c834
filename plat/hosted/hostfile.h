/* SPDX-License-Identifier: MIT */
/* Open host files and directories; f->priv is the host descriptor. */
#ifndef UFORK_HOSTED_HOSTFILE_H
#define UFORK_HOSTED_HOSTFILE_H

#include "kernel/fs/file.h"

extern const struct file_ops host_file_ops, host_dir_ops;

#endif
