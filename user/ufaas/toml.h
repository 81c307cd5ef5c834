// SPDX-License-Identifier: MIT
/*
 * A strict parser for the part of TOML that configurations need: tables [a.b], keys (bare or
 * quoted), strings ("..." with escapes, '...'), integers, booleans, arrays of strings, inline
 * tables of strings, comments. Anything else is an error that says where and why.
 */
#ifndef UFAAS_TOML_H
#define UFAAS_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum toml_kind { TOML_STRING, TOML_INTEGER, TOML_BOOLEAN, TOML_ARRAY, TOML_TABLE };

struct toml_value {
  enum toml_kind kind;
  char *text;        /* STRING */
  int64_t number;    /* INTEGER, BOOLEAN */
  char **items;      /* ARRAY: strings; TABLE: key, value, key, value... */
  size_t item_count; /* TABLE: twice the number of pairs */
};

struct toml_entry {
  char *table; /* "server", "function.NAME"; "" before the first header */
  char *key;   /* NULL: the header of the table itself */
  struct toml_value value;
  int line;
};

struct toml {
  struct toml_entry *entries;
  size_t count;
};

struct toml_error {
  int line;
  char text[160];
};

/* Parses `size` bytes. false: `error` says why and `toml` is empty. */
bool toml_parse(struct toml *toml, const char *text, size_t size, struct toml_error *error);
void toml_free(struct toml *toml);
/* What a value is called in messages. */
const char *toml_kind_name(enum toml_kind kind);

#endif
