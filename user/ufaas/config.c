// SPDX-License-Identifier: MIT
#include "config.h"
#include "log.h"
#include "text.h"
#include "toml.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1 << 20)

struct reader {
  const struct toml *toml;
  const char *base;
  const struct config_override *overrides;
  struct config *config;
  struct config_error *error;
  const char *function; /* whose table is being read; NULL: the server's */
};

/* false, for the caller to return. */
static bool refuse(struct reader *r, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool refuse(struct reader *r, int line, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(r->error->text, sizeof r->error->text, format, args);
  va_end(args);
  r->error->line = line;
  return false;
}

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

/* ---- keys --------------------------------------------------------------------------------- */

enum key_type { TEXT, NUMBER, ADDRESS, LEVEL, LIST, PAIRS, ID };

struct key {
  const char *name;
  enum key_type type;
  size_t offset; /* in struct config or struct function_config */
  int64_t low, high;
};

#define SERVER(m) offsetof(struct config, m)
#define FUNCTION(m) offsetof(struct function_config, m)

static const struct key server_keys[] = {
    {"listen", ADDRESS, SERVER(listen), 0, 0},
    {"admin", ADDRESS, SERVER(admin), 0, 0},
    {"log", TEXT, SERVER(log), 0, 0},
    {"log_level", LEVEL, SERVER(log_level), 0, 0},
    {"python", TEXT, SERVER(python), 0, 0},
    {"runtime", TEXT, SERVER(runtime), 0, 0},
    {"tmp", TEXT, SERVER(tmp), 0, 0},
    {"programs", TEXT, SERVER(programs), 0, 0},
    {"max_connections", NUMBER, SERVER(max_connections), 1, 1000000},
    {"header_ms", NUMBER, SERVER(header_ms), 10, 3600000},
    {"idle_ms", NUMBER, SERVER(idle_ms), 10, 86400000},
    {"drain_ms", NUMBER, SERVER(drain_ms), 0, 3600000},
    {"first_uid", NUMBER, SERVER(first_uid), 1, 2000000000},
    {NULL, 0, 0, 0, 0},
};

static const struct key function_keys[] = {
    {"runtime", TEXT, 0, 0, 0}, /* with `command`: see read_function */
    {"command", LIST, FUNCTION(command), 0, 0},
    {"handler", TEXT, FUNCTION(handler), 0, 0},
    {"path", TEXT, FUNCTION(path), 0, 0},
    {"environment", PAIRS, FUNCTION(environment), 0, 0},
    {"timeout_ms", NUMBER, FUNCTION(timeout_ms), 1, 86400000},
    {"memory_mb", NUMBER, FUNCTION(memory_mb), 1, 1 << 20},
    {"concurrency", NUMBER, FUNCTION(concurrency), 1, 10000},
    {"queue", NUMBER, FUNCTION(queue), 0, 1000000},
    {"warmup", TEXT, FUNCTION(warmup), 0, 0},
    {"warmup_ms", NUMBER, FUNCTION(warmup_ms), 1, 3600000},
    {"max_body", NUMBER, FUNCTION(max_body), 0, 1 << 30},
    {"max_response", NUMBER, FUNCTION(max_response), 1, 1 << 30},
    {"processes", NUMBER, FUNCTION(processes), 1, 1000000},
    {"uid", ID, FUNCTION(uid), 0, 4294967294},
    {"gid", ID, FUNCTION(gid), 0, 4294967294},
    {NULL, 0, 0, 0, 0},
};

static const struct key *find_key(const struct key *keys, const char *name) {
  for (; keys->name; keys++)
    if (strcmp(keys->name, name) == 0)
      return keys;
  return NULL;
}

static void free_strings(char **strings) {
  for (size_t i = 0; strings && strings[i]; i++)
    free(strings[i]);
  free(strings);
}

static bool type_fits(enum key_type type, enum toml_kind kind, enum toml_kind *wanted) {
  *wanted = type == NUMBER || type == ID ? TOML_INTEGER
            : type == LIST               ? TOML_ARRAY
            : type == PAIRS              ? TOML_TABLE
                                         : TOML_STRING;
  return kind == *wanted;
}

/* Appends to a list that ends with NULL. */
static bool append(char ***list, char *item) {
  size_t n = 0;
  while (*list && (*list)[n])
    n++;
  char **longer = realloc(*list, (n + 2) * sizeof *longer);
  if (!longer || !item) {
    if (longer)
      *list = longer, longer[n] = NULL;
    free(item);
    return false;
  }
  longer[n] = item;
  longer[n + 1] = NULL;
  *list = longer;
  return true;
}

static bool valid_variable(const char *name) {
  if (!*name || (*name >= '0' && *name <= '9'))
    return false;
  for (; *name; name++)
    if (*name == '=' || (unsigned char)*name <= ' ')
      return false;
  return true;
}

static bool add_variable(struct reader *r, char ***list, const char *name, const char *text,
                         int line) {
  if (!valid_variable(name))
    return refuse(r, line, "'%.60s' cannot be the name of a variable", name);
  char *both;
  if (asprintf(&both, "%s=%s", name, text) < 0)
    both = NULL;
  return append(list, both) || refuse(r, line, "out of memory");
}

static bool set_level(struct reader *r, int64_t *out, const struct toml_entry *e) {
  static const char *const names[] = {"debug", "info", "warn", "error"};
  for (int i = 0; i < 4; i++)
    if (strcmp(e->value.text, names[i]) == 0) {
      *out = i;
      return true;
    }
  return refuse(r, e->line, "log_level is one of debug, info, warn, error");
}

static bool set_list(struct reader *r, const struct toml_entry *e, char ***list) {
  if (*list) /* [function.x.environment] beside environment = {...} */
    return refuse(r, e->line, "%s is given twice", e->key);
  if (e->value.kind == TOML_ARRAY && e->value.item_count == 0)
    return refuse(r, e->line, "%s is empty", e->key);
  for (size_t i = 0; i < e->value.item_count; i++) {
    if (e->value.kind == TOML_ARRAY && !append(list, strdup(e->value.items[i])))
      return refuse(r, e->line, "out of memory");
    if (e->value.kind == TOML_TABLE && i % 2 == 0 &&
        !add_variable(r, list, e->value.items[i], e->value.items[i + 1], e->line))
      return false;
  }
  return true;
}

/* Stores the entry's value into the object that `key` describes. */
static bool set(struct reader *r, void *object, const struct key *key, const struct toml_entry *e) {
  char *field = (char *)object + key->offset;
  enum toml_kind wanted;
  if (!type_fits(key->type, e->value.kind, &wanted))
    return refuse(r, e->line, "%s must be %s, not %s", e->key, toml_kind_name(wanted),
                  toml_kind_name(e->value.kind));
  int64_t number = e->value.number;
  if (wanted == TOML_INTEGER && (number < key->low || number > key->high))
    return refuse(r, e->line, "%s must be between %lld and %lld", e->key, (long long)key->low,
                  (long long)key->high);
  switch (key->type) {
  case TEXT:
    if (!*e->value.text)
      return refuse(r, e->line, "%s is empty", e->key);
    free(*(char **)field);
    *(char **)field = strdup(e->value.text);
    return *(char **)field || refuse(r, e->line, "out of memory");
  case NUMBER:
    *(int64_t *)field = number;
    return true;
  case ID:
    *(uint32_t *)field = (uint32_t)number;
    return true;
  case LEVEL:
    return set_level(r, (int64_t *)field, e);
  case ADDRESS:
    free(((struct address *)field)->text);
    return address_parse((struct address *)field, e->value.text) ||
           refuse(r, e->line, "%s: '%.60s' is not ADDRESS:PORT", e->key, e->value.text);
  case LIST:
  case PAIRS:
    return set_list(r, e, (char ***)field);
  }
  return false;
}

static bool unknown(struct reader *r, const struct toml_entry *e, const struct key *keys) {
  char list[200] = "";
  for (; keys->name; keys++)
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? ", " : "",
             keys->name);
  return refuse(r, e->line, "unknown key %.40s; there are %s", e->key, list);
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

/* Python's functions are a command as well. */
static bool python_command(struct reader *r, struct function_config *f, int line) {
  if (f->command)
    return refuse(r, line, "function %s has a runtime and a command", f->name);
  if (!f->handler)
    return refuse(r, line, "function %s: handler = \"MODULE.FUNCTION\" is missing", f->name);
  if (!f->path)
    return refuse(r, line, "function %s: path, the directory of its code, is missing", f->name);
  return (append(&f->command, strdup(r->config->python)) &&
          append(&f->command, strdup(r->config->runtime))) ||
         refuse(r, line, "out of memory");
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

/* Checks and completes what the table said. */
static bool finish_function(struct reader *r, struct function_config *f, const char *runtime,
                            int line) {
  if (runtime && strcmp(runtime, "python3") != 0)
    return refuse(r, line, "runtime \"%.40s\" is not known; there is \"python3\", or use command",
                  runtime);
  if (runtime && !python_command(r, f, line))
    return false;
  if (!f->command)
    return refuse(r, f->line, "function %s has neither runtime nor command", f->name);
  bool bare = !strchr(f->command[0], '/');
  if (!absolute(&f->command[0], bare ? r->config->programs : r->base) ||
      !absolute(&f->path, r->base))
    return refuse(r, f->line, "out of memory");
  if (!f->processes)
    f->processes = 4 * f->concurrency + 64;
  if (f->warmup && !json_valid(f->warmup, strlen(f->warmup)))
    return refuse(r, f->line, "function %s: warmup is not JSON", f->name);
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
      return refuse(r, e->line, "the environment of %s is given twice", f->name);
    if (e->key && e->value.kind != TOML_STRING)
      return refuse(r, e->line, "%s must be a string", e->key);
    if (e->key && !add_variable(r, &f->environment, e->key, e->value.text, e->line))
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
    const struct key *key = find_key(function_keys, e->key);
    if (!key)
      return unknown(r, e, function_keys);
    if (strcmp(key->name, "runtime") == 0) {
      if (e->value.kind != TOML_STRING)
        return refuse(r, e->line, "runtime must be a string");
      runtime = e->value.text;
      runtime_line = e->line;
    } else if (!set(r, f, key, e)) {
      return false;
    }
    if (key->offset == FUNCTION(uid)) {
      f->own_uid = false;
      f->gid = gid_given ? f->gid : f->uid;
    }
    gid_given |= key->offset == FUNCTION(gid);
  }
  if (gid_given && f->own_uid)
    return refuse(r, f->line, "function %s has a gid but no uid", f->name);
  char sub[FUNCTION_NAME_MAX + 32];
  snprintf(sub, sizeof sub, "%s.environment", table);
  return read_environment(r, f, sub) && finish_function(r, f, runtime, runtime_line);
}

static bool read_server(struct reader *r) {
  for (size_t i = 0; i < r->toml->count; i++) {
    const struct toml_entry *e = &r->toml->entries[i];
    if (strcmp(e->table, "server") != 0 || !e->key)
      continue;
    const struct key *key = find_key(server_keys, e->key);
    if (!key)
      return unknown(r, e, server_keys);
    if (!set(r, r->config, key, e))
      return false;
  }
  for (const struct config_override *o = r->overrides; o && o->key; o++) {
    struct toml_entry e = {.key = (char *)o->key,
                           .value = {.kind = TOML_STRING, .text = (char *)o->text}};
    if (!set(r, r->config, find_key(server_keys, o->key), &e))
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
      return refuse(r, e->line, "%.60s stands before the first [table]", e->key);
    if (strncmp(e->table, "function.", 9) != 0)
      return refuse(r, e->line, "unknown table [%.60s]; there are [server] and [function.NAME]",
                    e->table);
    char name[FUNCTION_NAME_MAX + 32];
    snprintf(name, sizeof name, "%s", e->table + 9);
    char *dot = strchr(name, '.');
    if (dot && strcmp(dot, ".environment") == 0)
      *dot = 0;
    if (strlen(e->table + 9) >= sizeof name || !valid_name(name))
      return refuse(r, e->line,
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
    return refuse(r, 0, "out of memory");
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
        return refuse(r, e->line, "[%.60s] without [%.60s]", e->table, owner);
      continue;
    }
    struct function_config *f = new_function(e->table + 9, e->line);
    if (!f)
      return refuse(r, e->line, "out of memory");
    c->functions[c->function_count++] = f;
    if (!read_function(r, f, e->table))
      return false;
  }
  return c->function_count || refuse(r, 0, "no function is configured");
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
  c->first_uid = 60000;
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
                     : refuse(&r, 0, "out of memory");
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
