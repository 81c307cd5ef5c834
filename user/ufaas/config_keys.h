// SPDX-License-Identifier: MIT
/* The keys of a configuration, as data, and how a value gets to where it belongs. For config.c. */
#ifndef UFAAS_CONFIG_KEYS_H
#define UFAAS_CONFIG_KEYS_H

#include "config.h"
#include "toml.h"

/* A configuration being read. */
struct reader {
  const struct toml *toml;
  const char *base;
  const struct config_override *overrides;
  struct config *config;
  struct config_error *error;
  const char *function; /* whose table is being read; NULL: the server's */
};

enum key_type { TEXT, NUMBER, ADDRESS, LEVEL, LIST, PAIRS, ID };

struct key {
  const char *name;
  enum key_type type;
  size_t offset; /* in struct config or struct function_config */
  int64_t low, high;
};

/* Both end with a NULL name. */
extern const struct key config_server_keys[], config_function_keys[];
#define FUNCTION(member) offsetof(struct function_config, member)

/* Notes why and where; false, for the caller to return. */
bool config_refuse(struct reader *r, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a key that is not in the table. */
bool config_unknown_key(struct reader *r, const struct toml_entry *e, const struct key *keys);

const struct key *config_find_key(const struct key *keys, const char *name);
/* Stores the entry's value into the object that the key belongs to; false: refused. */
bool config_set(struct reader *r, void *object, const struct key *key, const struct toml_entry *e);

/* Appends to a list that ends with NULL; takes `item`. false: no memory. */
bool config_append(char ***list, char *item);
/* Appends "name=text". */
bool config_add_variable(struct reader *r, char ***list, const char *name, const char *text,
                         int line);

#endif
