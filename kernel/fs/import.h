/* SPDX-License-Identifier: MIT */
#ifndef UFORK_KERNEL_IMPORT_H
#define UFORK_KERNEL_IMPORT_H

#include "lib/types.h"

/* Makes the host directory `host` appear at `/`: directories as read-only mounts, those that are
   written to (etc, tmp, root, home, var, run) and top-level files as copies. Boot. */
int import_root(const char *host);

#endif
