// SPDX-License-Identifier: MIT
/* What functions.toml says. doc/faas.md describes the keys. */
#ifndef UFAAS_CONFIG_H
#define UFAAS_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FUNCTION_NAME_MAX 64

/* One function as configured. Counted: its zygotes hold it too. */
struct function_config {
  unsigned references;
  char *name;
  char **command;         /* what the zygote executes; ends with NULL */
  char **environment;     /* "NAME=value"; ends with NULL */
  char *handler, *warmup; /* NULL: none */
  char *bootstrap;        /* a custom runtime, which `command` runs; NULL: a zygote (protocol.h) */
  char *path;             /* directory of the code; NULL: none */
  int64_t timeout_ms, warmup_ms;
  int64_t idle_ms; /* of an environment of `bootstrap` */
  int64_t memory_mb;
  int64_t concurrency, queue;
  int64_t max_body, max_response;
  int64_t processes; /* of its user, if that is nobody else's */
  bool own_uid;      /* each zygote has a user of its own; `uid` and `gid` do not count */
  uid_t uid;
  gid_t gid;
  int line; /* of its header in the file */
};

struct address {
  struct sockaddr_storage socket;
  socklen_t size;
  char *text;
};

struct config {
  struct address listen, admin; /* admin.size 0: no administration */
  char *log;                    /* "stderr" or a path */
  int64_t log_level;            /* enum log_level */
  char *python, *runtime;
  char *tmp;      /* temporary directories are made here */
  char *programs; /* where commands without a slash are */
  int64_t max_connections;
  int64_t header_ms, idle_ms, drain_ms;
  int64_t first_uid; /* of 40000 that zygotes get */
  struct function_config **functions;
  size_t function_count;
};

/* Where and why a configuration is refused. */
struct config_error {
  int line; /* 0: the file as a whole */
  char text[256];
};

/* A key of [server] given on the command line, which wins. */
struct config_override {
  const char *key, *text;
};

/* Reads a configuration from text or from a file. Relative paths are relative to the directory
 * `base`, or that of the file. `overrides` end with a NULL key; may be NULL. NULL: refused, and
 * `error` says why. */
struct config *config_parse(const char *text, size_t size, const char *base,
                            const struct config_override *overrides, struct config_error *error);
struct config *config_read(const char *path, const struct config_override *overrides,
                           struct config_error *error);
void config_free(struct config *config);

/* ADDR:PORT, [ADDR6]:PORT. false: malformed. */
bool address_parse(struct address *address, const char *text);

struct function_config *function_config_hold(struct function_config *config);
void function_config_release(struct function_config *config);

#endif
