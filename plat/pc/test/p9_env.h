/* SPDX-License-Identifier: MIT */
/* A 9P export named "export" for tests: client, virtqueue, device and server in one process. */
#ifndef UFORK_PC_TEST_P9_ENV_H
#define UFORK_PC_TEST_P9_ENV_H

#include "plat/pc/test/fakedev.h"
#include "plat/pc/test/p9server.h"

extern struct p9server env_server;
extern struct fakedev env_export;
/* May change a reply of *n bytes (with room for cap) before the client gets it. */
extern void (*env_mutate)(const u8 *request, u8 *reply, u32 *n, u32 cap);

/* Serves a fresh temporary directory, whose path is returned; it is removed at exit. */
const char *env_export_start(void);

#endif
