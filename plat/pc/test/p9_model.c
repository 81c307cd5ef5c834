/* SPDX-License-Identifier: MIT */
/* Makes kernel/test/fs_model.c boot with a 9P export at /h: the same random calls then go through
   the file system, the client, the virtqueue and the server of this folder. */
#include "kernel/boot.h"
#include "kernel/test/fs_env.h"
#include "plat/pc/test/p9_env.h"
#include <sys/stat.h>

__attribute__((constructor)) static void add_export(void) {
  static const struct boot_mount mount = {"/h", "export", false};
  env_export_start();
  umask(0);
  env_boot_args.mounts = &mount;
  env_boot_args.n_mounts = 1;
}
