// SPDX-License-Identifier: MIT
/* Starting a zygote's program in the surroundings that it is to have. */
#ifndef UFAAS_SPAWN_H
#define UFAAS_SPAWN_H

#include <sys/types.h>

struct function_config;

struct spawned {
  pid_t pid;
  int control;  /* our end of the control socket */
  int output;   /* what it prints; does not block */
  int executed; /* ends when the program has been executed; a struct spawn_failure if that failed */
};

/* What `executed` carries. */
struct spawn_failure {
  int error;
  enum spawn_step { SPAWN_LIMITS, SPAWN_TMP, SPAWN_USER, SPAWN_PATH, SPAWN_COMMAND } step;
};

/* Starts the command as user `uid` and group `gid` (if we are root), with `tmp`, which is made, as
 * its temporary directory. All descriptors are closed on exec. 0 or -errno. */
int spawn(struct spawned *s, const struct function_config *config, uid_t uid, gid_t gid,
          const char *tmp);

/* Ends all processes of a user that is nobody else's. */
void spawn_clear(uid_t uid);

#endif
