/* SPDX-License-Identifier: MIT */
#include "plat/pc/test/p9_env.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct p9server env_server;
struct fakedev env_export;
void (*env_mutate)(const u8 *request, u8 *reply, u32 *n, u32 cap);

static char root[] = "/tmp/ufork-9p-XXXXXX";
static pid_t owner;

static u32 serve(struct fakedev *f, unsigned queue, const u8 *out, u32 n, u8 *in, u32 cap) {
  (void)f;
  if (queue != 0)
    abort();
  n = p9server_handle(&env_server, out, n, in, cap);
  if (env_mutate)
    env_mutate(out, in, &n, cap);
  return n;
}

static void remove_root(void) {
  char command[100];
  if (getpid() != owner)
    return;
  snprintf(command, sizeof command, "rm -rf %s", root);
  if (system(command) != 0)
    perror(root);
}

const char *env_export_start(void) {
  static const char tag[] = "export";
  if (!mkdtemp(root))
    abort();
  owner = getpid();
  atexit(remove_root);
  env_server.root = root;
  env_export.serve = serve;
  env_export.features = VIRTIO_F_VERSION_1 | 1;
  env_export.config[0] = sizeof tag - 1;
  memcpy(env_export.config + 2, tag, sizeof tag - 1);
  env_export.config_len = 2 + sizeof tag - 1;
  env_export.queue_max[0] = 128;
  if (!fake_add(&env_export, VIRTIO_ID_9P))
    abort();
  return root;
}
