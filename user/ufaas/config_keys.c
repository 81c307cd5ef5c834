// SPDX-License-Identifier: MIT
#include "config_keys.h"
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool config_refuse(struct reader *r, int line, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(r->error->text, sizeof r->error->text, format, args);
  va_end(args);
  r->error->line = line;
  return false;
}

#define SERVER(member) offsetof(struct config, member)

const struct key config_server_keys[] = {
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

const struct key config_function_keys[] = {
    {"runtime", TEXT, 0, 0, 0}, /* with `command`: see read_function */
    {"command", LIST, FUNCTION(command), 0, 0},
    {"bootstrap", TEXT, FUNCTION(bootstrap), 0, 0},
    {"idle_ms", NUMBER, FUNCTION(idle_ms), 1, 86400000},
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

const struct key *config_find_key(const struct key *keys, const char *name) {
  for (; keys->name; keys++)
    if (strcmp(keys->name, name) == 0)
      return keys;
  return NULL;
}

static bool type_fits(enum key_type type, enum toml_kind kind, enum toml_kind *wanted) {
  *wanted = type == NUMBER || type == ID ? TOML_INTEGER
            : type == LIST               ? TOML_ARRAY
            : type == PAIRS              ? TOML_TABLE
                                         : TOML_STRING;
  return kind == *wanted;
}

/* Appends to a list that ends with NULL. */
bool config_append(char ***list, char *item) {
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

bool config_add_variable(struct reader *r, char ***list, const char *name, const char *text,
                         int line) {
  if (!valid_variable(name))
    return config_refuse(r, line, "'%.60s' cannot be the name of a variable", name);
  char *both;
  if (asprintf(&both, "%s=%s", name, text) < 0)
    both = NULL;
  return config_append(list, both) || config_refuse(r, line, "out of memory");
}

static bool set_level(struct reader *r, int64_t *out, const struct toml_entry *e) {
  static const char *const names[] = {"debug", "info", "warn", "error"};
  for (int i = 0; i < 4; i++)
    if (strcmp(e->value.text, names[i]) == 0) {
      *out = i;
      return true;
    }
  return config_refuse(r, e->line, "log_level is one of debug, info, warn, error");
}

static bool set_list(struct reader *r, const struct toml_entry *e, char ***list) {
  if (*list) /* [function.x.environment] beside environment = {...} */
    return config_refuse(r, e->line, "%s is given twice", e->key);
  if (e->value.kind == TOML_ARRAY && e->value.item_count == 0)
    return config_refuse(r, e->line, "%s is empty", e->key);
  for (size_t i = 0; i < e->value.item_count; i++) {
    if (e->value.kind == TOML_ARRAY && !config_append(list, strdup(e->value.items[i])))
      return config_refuse(r, e->line, "out of memory");
    if (e->value.kind == TOML_TABLE && i % 2 == 0 &&
        !config_add_variable(r, list, e->value.items[i], e->value.items[i + 1], e->line))
      return false;
  }
  return true;
}

/* Stores the entry's value into the object that `key` describes. */
bool config_set(struct reader *r, void *object, const struct key *key, const struct toml_entry *e) {
  char *field = (char *)object + key->offset;
  enum toml_kind wanted;
  if (!type_fits(key->type, e->value.kind, &wanted))
    return config_refuse(r, e->line, "%s must be %s, not %s", e->key, toml_kind_name(wanted),
                         toml_kind_name(e->value.kind));
  int64_t number = e->value.number;
  if (wanted == TOML_INTEGER && (number < key->low || number > key->high))
    return config_refuse(r, e->line, "%s must be between %lld and %lld", e->key,
                         (long long)key->low, (long long)key->high);
  switch (key->type) {
  case TEXT:
    if (!*e->value.text)
      return config_refuse(r, e->line, "%s is empty", e->key);
    free(*(char **)field);
    *(char **)field = strdup(e->value.text);
    return *(char **)field || config_refuse(r, e->line, "out of memory");
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
           config_refuse(r, e->line, "%s: '%.60s' is not ADDRESS:PORT", e->key, e->value.text);
  case LIST:
  case PAIRS:
    return set_list(r, e, (char ***)field);
  }
  return false;
}

bool config_unknown_key(struct reader *r, const struct toml_entry *e, const struct key *keys) {
  char list[200] = "";
  for (; keys->name; keys++)
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? ", " : "",
             keys->name);
  return config_refuse(r, e->line, "unknown key %.40s; there are %s", e->key, list);
}
