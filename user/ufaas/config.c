// SPDX-License-Identifier: MIT
#include "config.h"
#include "config_keys.h"
#include "log.h"
#include "text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1 << 20)

bool address_parse(struct address *address, const char *text) {
  char host[INET6_ADDRSTRLEN + 2];
  const char *colon = strrchr(text, ':');
  *address = (struct address){0};
  if (!colon || (size_t)(colon - text) >= sizeof host)
    return false;
  memcpy(host, text, (size_t)(colon - text));
  host[colon - text] = 0;
  char *end;
  long port = strtol(colon + 1, &end, 10);
  if (colon[1] < '0' || colon[1] > '9' || *end || port > 65535)
    return false;
  size_t n = strlen(host);
  struct sockaddr_in *in4 = (struct sockaddr_in *)&address->socket;
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->socket;
  if (inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
    in4->sin_family = AF_INET;
    in4->sin_port = htons((uint16_t)port);
    address->size = sizeof *in4;
  } else if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
    host[n - 1] = 0;
    if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1)
      return false;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    address->size = sizeof *in6;
  } else {
    return false;
  }
  address->text = strdup(text);
  return address->text;
}

static void free_strings(char **strings) {
  for (size_t i = 0; strings && strings[i]; i++)
    free(strings[i]);
  free(strings);
}

/* ---- tables ------------------------------------------------------------------------------- */

static struct function_config *new_function(const char *name, int line) {
  struct function_config *f = calloc(1, sizeof *f);
  if (!f)
    return NULL;
  *f = (struct function_config){
      .references = 1,
      .name = strdup(name),
      .timeout_ms = 3000,
      .warmup_ms = 10000,
      .idle_ms = 300000,
      .memory_mb = 128,
      .concurrency = 64,
      .queue = 256,
      .max_body = 6 << 20,
      .max_response = 6 << 20,
      .own_uid = true,
      .line = line,
  };
  if (!f->name) {
    free(f);
    return NULL;
  }
  return f;
}

/* Puts a directory before a relative path. */
static bool absolute(char **path, const char *directory) {
  char *both;
  if (!*path || **path == '/')
    return true;
  if (asprintf(&both, "%s/%s", directory, *path) < 0)
    return false;
  free(*path);
  *path = both;
  return true;
}

/* Python's functions are a command as well. */
static bool python_command(struct reader *r, struct function_config *f, int line) {
  if (f->command)
    return config_refuse(r, line, "function %s has a runtime and a command", f->name);
  if (!f->handler)
    return config_refuse(r, line, "function %s: handler = \"MODULE.FUNCTION\" is missing", f->name);
  if (!f->path)
    return config_refuse(r, line, "function %s: path, the directory of its code, is missing",
                         f->name);
  return (config_append(&f->command, strdup(r->config->python)) &&
          config_append(&f->command, strdup(r->config->runtime))) ||
         config_refuse(r, line, "out of memory");
}

static bool add_option(struct function_config *f, const char *name, int64_t value) {
  char *text;
  if (asprintf(&text, "--%s=%lld", name, (long long)value) < 0)
    text = NULL;
  return config_append(&f->command, text);
}

/* Custom runtimes of Lambda are run by a program of ours. */
static bool bootstrap_command(struct reader *r, struct function_config *f) {
  if (f->command)
    return config_refuse(r, f->line, "function %s has a bootstrap and a command or runtime",
                         f->name);
  if (f->warmup)
    return config_refuse(r, f->line, "function %s: a bootstrap knows no warmup", f->name);
  bool bare = !strchr(f->bootstrap, '/');
  return (absolute(&f->bootstrap, bare ? r->config->programs : r->base) &&
          config_append(&f->command, strdup("rapi")) && add_option(f, "init-ms", f->warmup_ms) &&
          add_option(f, "timeout-ms", f->timeout_ms) && add_option(f, "idle-ms", f->idle_ms) &&
          add_option(f, "max-response", f->max_response) &&
          config_append(&f->command, strdup(f->bootstrap))) ||
         config_refuse(r, f->line, "out of memory");
}

/* Checks and completes what the table said. */
static bool finish_function(struct reader *r, struct function_config *f, const char *runtime,
                            int line) {
  if (runtime && strcmp(runtime, "python3") != 0)
    return config_refuse(
        r, line, "runtime \"%.40s\" is not known; there is \"python3\", or use command", runtime);
  if (runtime && !python_command(r, f, line))
    return false;
  if (f->bootstrap && !bootstrap_command(r, f))
    return false;
  if (!f->command)
    return config_refuse(r, f->line, "function %s has neither runtime nor command nor bootstrap",
                         f->name);
  bool bare = !strchr(f->command[0], '/');
  if (!absolute(&f->command[0], bare ? r->config->programs : r->base) ||
      !absolute(&f->path, r->base))
    return config_refuse(r, f->line, "out of memory");
  if (!f->processes)
    f->processes = 4 * f->concurrency + 64;
  if (f->warmup && !json_valid(f->warmup, strlen(f->warmup)))
    return config_refuse(r, f->line, "function %s: warmup is not JSON", f->name);
  return true;
}

static bool valid_name(const char *name) {
  size_t n = strlen(name);
  if (n == 0 || n > FUNCTION_NAME_MAX)
    return false;
  for (; *name; name++)
    if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", *name))
      return false;
  return true;
}

/* The variables of [function.NAME.environment]. */
static bool read_environment(struct reader *r, struct function_config *f, const char *table) {
  for (size_t i = 0; i < r->toml->count; i++) {
    const struct toml_entry *e = &r->toml->entries[i];
    if (strcmp(e->table, table) != 0)
      continue;
    if (!e->key && f->environment)
      return config_refuse(r, e->line, "the environment of %s is given twice", f->name);
    if (e->key && e->value.kind != TOML_STRING)
      return config_refuse(r, e->line, "%s must be a string", e->key);
    if (e->key && !config_add_variable(r, &f->environment, e->key, e->value.text, e->line))
      return false;
  }
  return true;
}

static bool read_function(struct reader *r, struct function_config *f, const char *table) {
  const char *runtime = NULL;
  int runtime_line = 0;
  bool gid_given = false;
  for (size_t i = 0; i < r->toml->count; i++) {
    const struct toml_entry *e = &r->toml->entries[i];
    if (strcmp(e->table, table) != 0 || !e->key)
      continue;
    const struct key *key = config_find_key(config_function_keys, e->key);
    if (!key)
      return config_unknown_key(r, e, config_function_keys);
    if (strcmp(key->name, "runtime") == 0) {
      if (e->value.kind != TOML_STRING)
        return config_refuse(r, e->line, "runtime must be a string");
      runtime = e->value.text;
      runtime_line = e->line;
    } else if (!config_set(r, f, key, e)) {
      return false;
    }
    if (key->offset == FUNCTION(uid)) {
      f->own_uid = false;
      f->gid = gid_given ? f->gid : f->uid;
    }
    gid_given |= key->offset == FUNCTION(gid);
  }
  if (gid_given && f->own_uid)
    return config_refuse(r, f->line, "function %s has a gid but no uid", f->name);
  char sub[FUNCTION_NAME_MAX + 32];
  snprintf(sub, sizeof sub, "%s.environment", table);
  return read_environment(r, f, sub) && finish_function(r, f, runtime, runtime_line);
}

static bool read_server(struct reader *r) {
  for (size_t i = 0; i < r->toml->count; i++) {
    const struct toml_entry *e = &r->toml->entries[i];
    if (strcmp(e->table, "server") != 0 || !e->key)
      continue;
    const struct key *key = config_find_key(config_server_keys, e->key);
    if (!key)
      return config_unknown_key(r, e, config_server_keys);
    if (!config_set(r, r->config, key, e))
      return false;
  }
  for (const struct config_override *o = r->overrides; o && o->key; o++) {
    struct toml_entry e = {.key = (char *)o->key,
                           .value = {.kind = TOML_STRING, .text = (char *)o->text}};
    if (!config_set(r, r->config, config_find_key(config_server_keys, o->key), &e))
      return false;
  }
  return true;
}

/* A table that is not one of [server], [function.NAME], [function.NAME.environment]? */
static bool check_tables(struct reader *r) {
  for (size_t i = 0; i < r->toml->count; i++) {
    const struct toml_entry *e = &r->toml->entries[i];
    if (strcmp(e->table, "server") == 0)
      continue;
    if (!*e->table)
      return config_refuse(r, e->line, "%.60s stands before the first [table]", e->key);
    if (strncmp(e->table, "function.", 9) != 0)
      return config_refuse(
          r, e->line, "unknown table [%.60s]; there are [server] and [function.NAME]", e->table);
    char name[FUNCTION_NAME_MAX + 32];
    snprintf(name, sizeof name, "%s", e->table + 9);
    char *dot = strchr(name, '.');
    if (dot && strcmp(dot, ".environment") == 0)
      *dot = 0;
    if (strlen(e->table + 9) >= sizeof name || !valid_name(name))
      return config_refuse(r, e->line,
                           "'%.70s' is no name of a function: letters, digits, - and _, at "
                           "most %d",
                           e->table + 9, FUNCTION_NAME_MAX);
  }
  return true;
}

static bool read_functions(struct reader *r) {
  struct config *c = r->config;
  c->functions = calloc(r->toml->count + 1, sizeof(struct function_config *));
  if (!c->functions)
    return config_refuse(r, 0, "out of memory");
  for (size_t i = 0; i < r->toml->count; i++) {
    const struct toml_entry *e = &r->toml->entries[i];
    if (e->key || strncmp(e->table, "function.", 9) != 0)
      continue;
    if (strchr(e->table + 9, '.')) {
      char owner[FUNCTION_NAME_MAX + 32];
      snprintf(owner, sizeof owner, "%.*s", (int)(strrchr(e->table, '.') - e->table), e->table);
      bool there = false;
      for (size_t k = 0; k < r->toml->count; k++)
        there |= !r->toml->entries[k].key && strcmp(r->toml->entries[k].table, owner) == 0;
      if (!there)
        return config_refuse(r, e->line, "[%.60s] without [%.60s]", e->table, owner);
      continue;
    }
    struct function_config *f = new_function(e->table + 9, e->line);
    if (!f)
      return config_refuse(r, e->line, "out of memory");
    c->functions[c->function_count++] = f;
    if (!read_function(r, f, e->table))
      return false;
  }
  return c->function_count || config_refuse(r, 0, "no function is configured");
}

/* ---- the whole ---------------------------------------------------------------------------- */

static struct config *defaults(void) {
  struct config *c = calloc(1, sizeof *c);
  if (!c)
    return NULL;
  c->log = strdup("stderr");
  c->log_level = LOG_INFO;
  c->python = strdup("/usr/bin/python3");
  c->runtime = strdup("/usr/lib/ufaas/runtime.py");
  c->tmp = strdup("/tmp");
  c->programs = strdup("/usr/lib/ufaas");
  c->max_connections = 10000;
  c->header_ms = 10000;
  c->idle_ms = 60000;
  c->drain_ms = 30000;
  c->first_uid = 20000;
  bool there = c->log && c->python && c->runtime && c->tmp && c->programs &&
               address_parse(&c->listen, "127.0.0.1:8080");
  if (!there) {
    config_free(c);
    return NULL;
  }
  return c;
}

struct config *config_parse(const char *text, size_t size, const char *base,
                            const struct config_override *overrides, struct config_error *error) {
  struct toml toml;
  struct toml_error where;
  *error = (struct config_error){0};
  if (!toml_parse(&toml, text, size, &where)) {
    error->line = where.line;
    snprintf(error->text, sizeof error->text, "%s", where.text);
    return NULL;
  }
  struct reader r = {
      .toml = &toml, .base = base, .overrides = overrides, .config = defaults(), .error = error};
  bool ok = r.config ? check_tables(&r) && read_server(&r) && read_functions(&r)
                     : config_refuse(&r, 0, "out of memory");
  toml_free(&toml);
  if (!ok && r.config) {
    config_free(r.config);
    return NULL;
  }
  return r.config;
}

struct config *config_read(const char *path, const struct config_override *overrides,
                           struct config_error *error) {
  *error = (struct config_error){0};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct buffer text = {0};
  ssize_t n = fd < 0 ? -1 : 1;
  while (n > 0 && text.size <= FILE_MAX && buffer_reserve(&text, 65536)) {
    n = read(fd, text.data + text.size, text.room - text.size);
    if (n > 0)
      text.size += (size_t)n;
  }
  if (n < 0 || text.failed || text.size > FILE_MAX)
    snprintf(error->text, sizeof error->text, "%s",
             n < 0         ? strerror(errno)
             : text.failed ? "out of memory"
                           : "larger than 1 MiB");
  if (fd >= 0)
    close(fd);
  struct config *config = NULL;
  char *real = *error->text ? NULL : realpath(path, NULL);
  if (real) {
    *strrchr(real, '/') = 0; /* the directory; of "/x" nothing is left, to which "/y" is added */
    config = config_parse(text.data, text.size, real, overrides, error);
    free(real);
  } else if (!*error->text) {
    snprintf(error->text, sizeof error->text, "%s", strerror(errno));
  }
  buffer_free(&text);
  return config;
}

struct function_config *function_config_hold(struct function_config *config) {
  config->references++;
  return config;
}

void function_config_release(struct function_config *f) {
  if (!f || --f->references)
    return;
  free(f->name);
  free_strings(f->command);
  free_strings(f->environment);
  free(f->handler);
  free(f->bootstrap);
  free(f->warmup);
  free(f->path);
  free(f);
}

void config_free(struct config *c) {
  if (!c)
    return;
  for (size_t i = 0; i < c->function_count; i++)
    function_config_release(c->functions[i]);
  free(c->functions);
  free(c->listen.text);
  free(c->admin.text);
  free(c->log);
  free(c->python);
  free(c->runtime);
  free(c->tmp);
  free(c->programs);
  free(c);
}
