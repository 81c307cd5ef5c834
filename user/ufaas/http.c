// SPDX-License-Identifier: MIT
#include "http.h"

#include <string.h>
#include <strings.h>

/* RFC 9110 token characters. */
static bool is_token(unsigned char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
    return true;
  return c && strchr("!#$%&'*+-.^_`|~", c);
}

bool slice_is(const char *data, struct slice s, const char *text) {
  return s.size == strlen(text) && memcmp(data + s.at, text, s.size) == 0;
}

bool slice_is_nocase(const char *data, struct slice s, const char *text) {
  return s.size == strlen(text) && strncasecmp(data + s.at, text, s.size) == 0;
}

struct slice http_find(const struct http_head *head, const char *data, const char *name) {
  for (size_t i = 0; i < head->header_count; i++)
    if (slice_is_nocase(data, head->headers[i].name, name))
      return head->headers[i].value;
  return (struct slice){0};
}

/* ---- the request line --------------------------------------------------------------------- */

static int parse_version(struct http_head *head, const char *p, size_t size) {
  if (size == 8 && memcmp(p, "HTTP/1.1", 8) == 0)
    head->keepalive = true;
  else if (size == 8 && memcmp(p, "HTTP/1.0", 8) == 0)
    head->keepalive = false;
  else
    return size == 8 && memcmp(p, "HTTP/", 5) == 0 && p[6] == '.' ? 505 : 400;
  return 200;
}

/* "/path?query", "http://host/path?query" or "*". */
static int parse_target(struct http_head *head, const char *data, size_t at, size_t end) {
  if (end - at > HTTP_TARGET_MAX)
    return 414;
  if (end - at > 7 && strncasecmp(data + at, "http://", 7) == 0) {
    at += 7;
    while (at < end && data[at] != '/' && data[at] != '?')
      at++;
  } else if (data[at] != '/' && !(data[at] == '*' && end - at == 1)) {
    return 400;
  }
  for (size_t i = at; i < end; i++)
    if ((unsigned char)data[i] <= ' ' || (unsigned char)data[i] >= 0x7f || data[i] == '#')
      return 400;
  const char *query = memchr(data + at, '?', end - at);
  size_t path_end = query ? (size_t)(query - data) : end;
  head->path = (struct slice){(uint32_t)at, (uint32_t)(path_end - at)};
  if (query)
    head->query = (struct slice){(uint32_t)path_end + 1, (uint32_t)(end - path_end - 1)};
  return 200;
}

static int parse_request_line(struct http_head *head, const char *data, size_t at, size_t end) {
  size_t p = at;
  while (p < end && is_token((unsigned char)data[p]))
    p++;
  if (p == at || p == end || data[p] != ' ' || p - at > 32)
    return 400;
  head->method = (struct slice){(uint32_t)at, (uint32_t)(p - at)};
  size_t target = ++p;
  while (p < end && data[p] != ' ')
    p++;
  if (p == target)
    return 400;
  if (p == end)
    return p - target > HTTP_TARGET_MAX ? 414 : 400;
  int status = parse_version(head, data + p + 1, end - p - 1);
  return status == 200 ? parse_target(head, data, target, p) : status;
}

/* ---- headers ------------------------------------------------------------------------------ */

/* "Name: value" in [at, end). */
static int parse_header(struct http_head *head, const char *data, size_t at, size_t end) {
  size_t p = at;
  while (p < end && is_token((unsigned char)data[p]))
    p++;
  if (p == at || p == end || data[p] != ':')
    return 400; /* folded lines begin with a blank */
  if (head->header_count == HTTP_HEADERS_MAX)
    return 431;
  struct http_header *h = &head->headers[head->header_count++];
  h->name = (struct slice){(uint32_t)at, (uint32_t)(p - at)};
  for (p++; p < end && (data[p] == ' ' || data[p] == '\t');)
    p++;
  while (end > p && (data[end - 1] == ' ' || data[end - 1] == '\t'))
    end--;
  h->value = (struct slice){(uint32_t)p, (uint32_t)(end - p)};
  for (; p < end; p++)
    if (((unsigned char)data[p] < ' ' && data[p] != '\t') || data[p] == 0x7f)
      return 400;
  return 200;
}

static int parse_length(struct http_head *head, const char *data, struct slice s) {
  if (s.size == 0)
    return 400;
  for (uint32_t i = 0; i < s.size; i++) {
    char c = data[s.at + i];
    if (c < '0' || c > '9')
      return 400;
    if (__builtin_mul_overflow(head->length, 10, &head->length) ||
        __builtin_add_overflow(head->length, (uint64_t)(c - '0'), &head->length))
      return 413;
  }
  return 200;
}

/* The options in a Connection header. */
static void parse_connection(struct http_head *head, const char *data, struct slice s) {
  for (uint32_t i = 0; i < s.size;) {
    struct slice word = {s.at + i, 0};
    while (i < s.size && data[s.at + i] != ',')
      i++;
    word.size = s.at + i - word.at;
    i++;
    while (word.size && (data[word.at] == ' ' || data[word.at] == '\t'))
      word.at++, word.size--;
    while (word.size && strchr(" \t", data[word.at + word.size - 1]))
      word.size--;
    if (slice_is_nocase(data, word, "close"))
      head->keepalive = false;
    else if (slice_is_nocase(data, word, "keep-alive"))
      head->keepalive = true;
  }
}

/* What the headers mean for reading on. */
static int interpret(struct http_head *head, const char *data, bool old_version) {
  unsigned hosts = 0, lengths = 0, codings = 0;
  int status = 200;
  for (size_t i = 0; i < head->header_count && status == 200; i++) {
    struct slice name = head->headers[i].name, value = head->headers[i].value;
    switch (name.size) { /* most headers differ from these in length */
    case 4:
      hosts += slice_is_nocase(data, name, "host");
      break;
    case 6:
      if (slice_is_nocase(data, name, "expect")) {
        head->expect_continue = slice_is_nocase(data, value, "100-continue") && !old_version;
        status = head->expect_continue || old_version ? 200 : 417;
      }
      break;
    case 10:
      if (slice_is_nocase(data, name, "connection"))
        parse_connection(head, data, value);
      break;
    case 14:
      if (slice_is_nocase(data, name, "content-length")) {
        status = lengths++ ? 400 : parse_length(head, data, value);
      }
      break;
    case 17:
      if (slice_is_nocase(data, name, "transfer-encoding")) {
        status = codings++ ? 400 : slice_is_nocase(data, value, "chunked") ? 200 : 501;
      }
      break;
    default:
      break;
    }
  }
  head->chunked = codings;
  if (status == 200 &&
      ((codings && (lengths || old_version)) || hosts > 1 || (!hosts && !old_version)))
    status = 400;
  return status;
}

/* The end of the line that starts at `at`: where its CR is; 0: malformed. */
static size_t line_end(const char *data, size_t at, size_t size) {
  const char *lf = memchr(data + at, '\n', size - at);
  size_t end = lf ? (size_t)(lf - data) : 0;
  return end > at && data[end - 1] == '\r' ? end - 1 : 0;
}

/* All lines of a complete head. */
static int parse_lines(struct http_head *head, const char *data, size_t at) {
  size_t end = line_end(data, at, head->size);
  if (!end)
    return 400;
  int status = parse_request_line(head, data, at, end);
  bool old_version = !head->keepalive;
  for (at = end + 2; status == 200 && at + 2 < head->size; at = end + 2) {
    end = line_end(data, at, head->size);
    status = end ? parse_header(head, data, at, end) : 400;
  }
  return status == 200 ? interpret(head, data, old_version) : status;
}

int http_parse_head(struct http_head *head, const char *data, size_t size, size_t seen) {
  /* Empty lines before a request are allowed (RFC 9112, 2.2). */
  size_t start = 0;
  while (start + 1 < size && data[start] == '\r' && data[start + 1] == '\n' && start < 8)
    start += 2;
  if (start == size || (start + 1 == size && data[start] == '\r'))
    return 0;
  if (!is_token((unsigned char)data[start]))
    return 400;
  size_t from = seen > 3 ? seen - 3 : 0;
  if (from < start)
    from = start;
  const char *end = memmem(data + from, size - from, "\r\n\r\n", 4);
  if (!end) {
    if (size - start < HTTP_HEAD_MAX)
      return 0;
    return memchr(data + start, '\n', size - start) ? 431 : 414;
  }
  head->size = (size_t)(end - data) + 4;
  if (head->size - start > HTTP_HEAD_MAX)
    return 431;
  head->method = head->path = head->query = (struct slice){0};
  head->keepalive = head->expect_continue = head->chunked = false;
  head->length = 0;
  head->header_count = 0;
  return parse_lines(head, data, start);
}

/* ---- chunked bodies ----------------------------------------------------------------------- */

enum { SIZE, EXTENSION, CONTENTS, AFTER, TRAILER };

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The line of a chunk's size has ended. */
static int begin_chunk(struct http_chunks *c, uint64_t so_far, uint64_t limit) {
  if (c->left > limit || so_far + c->left > limit)
    return 413;
  c->state = c->left ? CONTENTS : TRAILER;
  c->extra = 0;
  c->cr = false;
  return 0;
}

/* One byte of a line that has no contents. */
static int decode_byte(struct http_chunks *c, char byte, uint64_t so_far, uint64_t limit) {
  if (c->cr) { /* CR stands before LF only */
    if (byte != '\n')
      return 400;
    c->cr = false;
    if (c->state == SIZE || c->state == EXTENSION)
      return begin_chunk(c, so_far, limit);
    if (c->state == AFTER) {
      c->state = SIZE;
      c->left = c->extra = 0;
      return 0;
    }
    if ((c->extra & 0xffff) == 0) /* an empty line ends the trailers */
      return 200;
    c->extra &= 0xffff0000;
    return 0;
  }
  if (byte == '\r') {
    c->cr = true;
    return c->state == SIZE && c->extra == 0 ? 400 : 0;
  }
  if (byte == '\n' || (byte >= 0 && byte < ' ' && byte != '\t') || c->state == AFTER)
    return 400;
  if (c->state == SIZE) {
    int digit = hex_digit(byte);
    if (digit >= 0 && c->extra < 16) {
      c->left = c->left << 4 | (uint64_t)digit;
      c->extra++;
      return 0;
    }
    if (c->extra == 0 || (byte != ';' && byte != ' ' && byte != '\t'))
      return 400;
    c->state = EXTENSION;
    c->extra = 1;
  } else if (c->state == EXTENSION) {
    if (++c->extra > 256)
      return 400;
  } else { /* of a trailer line, whose length is in the low half; all of them in the high one */
    c->extra += 0x10001;
    if (c->extra >> 16 > 8192)
      return 431;
  }
  return 0;
}

int http_decode(struct http_chunks *c, char *data, size_t size, size_t *used, size_t *made,
                uint64_t before, uint64_t limit) {
  *used = *made = 0;
  while (*used < size) {
    if (c->state == CONTENTS) {
      size_t n = size - *used < c->left ? size - *used : (size_t)c->left;
      memmove(data + *made, data + *used, n);
      *used += n;
      *made += n;
      c->left -= n;
      if (!c->left)
        c->state = AFTER;
      continue;
    }
    int status = decode_byte(c, data[(*used)++], before + *made, limit);
    if (status)
      return status;
  }
  return 0;
}

const char *http_reason(int status) {
  static const struct {
    int status;
    const char *reason;
  } reasons[] = {
      {200, "OK"},
      {202, "Accepted"},
      {204, "No Content"},
      {400, "Bad Request"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {417, "Expectation Failed"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
  };
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (reasons[i].status == status)
      return reasons[i].reason;
  return "Error";
}
