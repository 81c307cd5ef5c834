// SPDX-License-Identifier: MIT
/* Bytes that grow, and text in the forms that clients and logs want. */
#ifndef UFAAS_TEXT_H
#define UFAAS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Growing bytes; all zero is empty. When memory runs out, `failed` stays set and nothing is added.
 */
struct buffer {
  char *data;
  size_t size, room;
  bool failed;
};

/* Makes room for `more` bytes behind the contents. false: no memory. */
bool buffer_reserve(struct buffer *b, size_t more);
void buffer_add(struct buffer *b, const void *data, size_t size);
void buffer_text(struct buffer *b, const char *text);
void buffer_format(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes the first `size` bytes away. */
void buffer_take(struct buffer *b, size_t size);
void buffer_free(struct buffer *b);

#define LINE_BYTES 4096 /* longer lines are divided */

/* Puts printed bytes together to lines in `line`, without their ends; calls `end(owner)` for each
 * that is whole, which takes it and empties `line`. */
void lines_add(struct buffer *line, const char *data, size_t size, void (*end)(void *owner),
               void *owner);

/* Appends what stands for `text` between the quotes of a JSON string: valid UTF-8 as it is, invalid
 * bytes as U+FFFD, control characters escaped. */
void json_escape(struct buffer *b, const char *text, size_t size);
/* The same with the quotes. */
void json_string(struct buffer *b, const char *text);

/* Appends base64 with padding. */
void base64(struct buffer *b, const void *data, size_t size);

/* Whether `text` is one JSON value and nothing else; depth at most 64. */
bool json_valid(const char *text, size_t size);

/* 2026-01-31T23:59:59.123Z; `out` has 25 bytes. */
void time_iso(char *out, const struct timespec *t);
/* Sat, 31 Jan 2026 23:59:59 GMT; `out` has 30 bytes. */
void time_http(char *out, time_t t);

#endif
