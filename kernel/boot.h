/* SPDX-License-Identifier: MIT */
/* What the platform's command line tells the core about the first µprocess. */
#ifndef UFORK_KERNEL_BOOT_H
#define UFORK_KERNEL_BOOT_H

#include "lib/types.h"

enum isolation { ISOLATION_FULL, ISOLATION_FAULT, ISOLATION_NONE };

struct boot_mount {
  const char *guest; /* absolute path, created if missing */
  const char *host;
  bool read_only;
};

struct boot_args {
  enum isolation isolation;
  bool trace; /* a line per system call to the log */
  bool stats; /* figures at the end */
  bool quiet;
  u64 memory_limit;
  unsigned max_procs;
  const char *root;      /* host directory whose entries appear at `/`: kernel/fs/boot.c */
  const void *initramfs; /* cpio archive (newc) that becomes `/`; NULL: none */
  u64 initramfs_size;
  void (*initramfs_done)(void); /* it has been unpacked and is not read any more; or NULL */
  const struct boot_mount *mounts;
  unsigned n_mounts;
  const char *program;     /* guest path or name to look up in PATH */
  bool program_is_host;    /* program is a path of the host */
  const char *const *argv; /* NULL-terminated; argv[0] given */
  const char *const *envp; /* NULL-terminated */
  const char *workdir;     /* guest path */
  u64 ignored_signals;     /* bit n - 1: signal n is ignored until the program changes that */
};

extern struct boot_args boot; /* the core's copy; constant after kernel_main has begun */

#endif
