// SPDX-License-Identifier: MIT
/* A warmed process of a function, our child: see protocol.h. */
#ifndef UFAAS_ZYGOTE_H
#define UFAAS_ZYGOTE_H

#include "config.h"
#include "loop.h"
#include "spawn.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct function;
struct request;

enum zygote_state {
  ZYGOTE_WARMING,
  ZYGOTE_WARM,
  ZYGOTE_DRAINING, /* finishes what it has */
  ZYGOTE_DYING,    /* was killed, or its end is known */
};

struct zygote {
  struct zygote *next; /* of all */
  struct function *function;
  struct function_config *config;
  pid_t pid;
  uid_t uid; /* what it runs as, if we are root */
  enum zygote_state state;
  struct source control;    /* orders and notes */
  struct source output;     /* what it prints itself */
  struct source executed;   /* closed when the command has been executed; carries an errno else */
  struct timer deadline;    /* of the warm-up, or of a grace */
  struct request *requests; /* started on it, in no order */
  bool blocked;             /* orders wait until the control socket takes more */
  bool drained;             /* was told to finish */
  bool late;                /* killed because the warm-up took too long */
  int64_t born;
  struct buffer line;           /* of output */
  char last[160];               /* line of output */
  struct spawn_failure failure; /* of its start; error 0: none */
  char *tmp;                    /* its temporary directory */
};

/* All that have not been waited for. */
extern struct zygote *zygotes;
/* Where temporary directories are made, and the first of the user ids that zygotes get; set at the
 * start. */
extern const char *zygote_tmp;
extern uid_t zygote_first_uid;
#define ZYGOTE_USERS 40000

/* Starts one; function_zygote_ready or function_zygote_ended follows. NULL with errno set: no
 * process or descriptor, nothing follows. */
struct zygote *zygote_start(struct function *f, struct function_config *config);

/* Sends an order with `fds` (two of them, or NULL). 0 or -errno; -EAGAIN: the zygote's requests get
 * request_resume when it takes orders again. */
int zygote_order(struct zygote *z, uint32_t kind, uint64_t id, const int *fds);

/* No more requests follow: it ends when the last worker has. */
void zygote_drain(struct zygote *z);
/* Ends it now, and what it runs with it. */
void zygote_kill(struct zygote *z);

/* Whether there is a zygote with this process id. */
bool zygote_exists(pid_t pid);

/* Waits for children without blocking: zygotes that have ended, and orphans. */
void zygotes_reap(void);
/* Ends all that there are, with their workers, and waits for them. */
void zygotes_end(void);

#endif
