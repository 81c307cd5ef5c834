/* SPDX-License-Identifier: MIT */
/* Open host files and directories; f->priv is a struct host_open. */
#ifndef UFORK_HOSTED_HOSTFILE_H
#define UFORK_HOSTED_HOSTFILE_H

#include "kernel/fs/file.h"

/* What was learnt of writes to one open file, by behind.h; zero at first. Under file->pos_lock. */
struct behind_habit {
  u32 row;      /* small writes in a row, each where the last had ended */
  u32 patience; /* doublings of how many it takes before one is held */
  u64 since;    /* when the row began, */
  u64 next;     /* and where it goes on in the file */
  int late;     /* a refusal that nobody has been told yet, or 0; atomic */
};

/* A host descriptor, of one open file or of several that only read. */
struct host_open {
  u32 refs;
  int fd;
  bool appends;  /* open with O_APPEND on the host, too; cleared under file->pos_lock; atomic */
  bool appended; /* the host knows the position, file->pos does not; atomic */
  struct behind_habit habit;
};

/* Takes over fd in any case. One reference; -ENOMEM. */
int host_open_create(int fd, struct host_open **out);
struct host_open *host_open_get(struct host_open *o);
/* The last put closes the descriptor. */
void host_open_put(struct host_open *o);

extern const struct file_ops host_file_ops, host_dir_ops;

/* The host descriptor of a regular file of the host, or -EINVAL if f is none. */
int host_file_fd(const struct file *f);

#endif
