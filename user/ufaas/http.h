// SPDX-License-Identifier: MIT
/*
 * HTTP/1.1 requests, strictly (RFC 9112): what is malformed or ambiguous is refused with the status
 * to answer, so that no two readers of the same bytes can differ. Pure functions on bytes.
 */
#ifndef UFAAS_HTTP_H
#define UFAAS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_MAX 16384
#define HTTP_TARGET_MAX 8192
#define HTTP_HEADERS_MAX 100

/* Part of the bytes that were parsed: they may move, the offset stays. */
struct slice {
  uint32_t at, size;
};

struct http_header {
  struct slice name, value;
};

struct http_head {
  size_t size;                      /* of the head with the empty line */
  struct slice method, path, query; /* path as sent, query without '?' */
  bool keepalive;
  bool expect_continue;
  bool chunked;
  uint64_t length; /* of the body unless chunked */
  size_t header_count;
  struct http_header headers[HTTP_HEADERS_MAX];
};

/*
 * Parses the head at the start of `data`. `seen` is how many of these bytes an earlier call has
 * looked at. 0: it goes on behind `size`; 200: `head` is filled; else the status to refuse it with.
 */
int http_parse_head(struct http_head *head, const char *data, size_t size, size_t seen);

/* The value of a header by name (any case), or a slice of size 0 at offset 0. */
struct slice http_find(const struct http_head *head, const char *data, const char *name);

/* Whether a slice is `text`, or begins with it in any case. */
bool slice_is(const char *data, struct slice s, const char *text);
bool slice_is_nocase(const char *data, struct slice s, const char *text);

/* A chunked body being decoded; all zero at the start. */
struct http_chunks {
  int state;
  uint64_t left;  /* of the chunk, or the digits of its size so far */
  unsigned extra; /* bytes of the line, or of trailers */
  bool cr;
};

/*
 * Decodes data[0..size), moving the contents to the start of `data`: *used bytes were eaten and
 * became *made bytes. 0: goes on; 200: the body ended at *used; 400 or 413: refuse it. Contents
 * larger than `limit` (together with `before`, made by earlier calls) are refused.
 */
int http_decode(struct http_chunks *c, char *data, size_t size, size_t *used, size_t *made,
                uint64_t before, uint64_t limit);

/* "Not Found" for 404. */
const char *http_reason(int status);

#endif
