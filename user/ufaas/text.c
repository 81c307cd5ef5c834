// SPDX-License-Identifier: MIT
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool buffer_reserve(struct buffer *b, size_t more) {
  if (b->failed)
    return false;
  if (more <= b->room - b->size)
    return true;
  size_t room = b->room ? b->room : 256;
  while (room - b->size < more) {
    if (room > SIZE_MAX / 2) {
      b->failed = true;
      return false;
    }
    room *= 2;
  }
  char *data = realloc(b->data, room);
  if (!data) {
    b->failed = true;
    return false;
  }
  b->data = data;
  b->room = room;
  return true;
}

void buffer_add(struct buffer *b, const void *data, size_t size) {
  if (size == 0 || !buffer_reserve(b, size))
    return;
  memcpy(b->data + b->size, data, size);
  b->size += size;
}

void lines_add(struct buffer *line, const char *data, size_t size, void (*end)(void *owner),
               void *owner) {
  while (size) {
    const char *newline = memchr(data, '\n', size);
    size_t n = newline ? (size_t)(newline - data) : size, room = LINE_BYTES - line->size;
    bool whole = newline && n <= room;
    if (n > room)
      n = room;
    buffer_add(line, data, n);
    line->failed = false;
    n += whole;
    data += n;
    size -= n;
    if (whole || line->size == LINE_BYTES)
      end(owner);
  }
}

void buffer_text(struct buffer *b, const char *text) { buffer_add(b, text, strlen(text)); }

void buffer_format(struct buffer *b, const char *format, ...) {
  if (!buffer_reserve(b, 128))
    return;
  va_list args;
  va_start(args, format);
  int n = vsnprintf(b->data + b->size, b->room - b->size, format, args);
  va_end(args);
  if (n >= 0 && (size_t)n >= b->room - b->size) {
    if (!buffer_reserve(b, (size_t)n + 1))
      return;
    va_start(args, format);
    n = vsnprintf(b->data + b->size, b->room - b->size, format, args);
    va_end(args);
  }
  if (n > 0)
    b->size += (size_t)n;
}

void buffer_take(struct buffer *b, size_t size) {
  b->size -= size;
  if (b->size)
    memmove(b->data, b->data + size, b->size);
}

void buffer_free(struct buffer *b) {
  free(b->data);
  *b = (struct buffer){0};
}

/* ---- JSON --------------------------------------------------------------------------------- */

/* Length of the UTF-8 sequence at `p`, 0 if it is not one (RFC 3629). */
static size_t utf8(const unsigned char *p, size_t size) {
  unsigned char c = p[0];
  if (c < 0x80)
    return 1;
  size_t n = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
  if (n == 0 || n > size)
    return 0;
  for (size_t i = 1; i < n; i++)
    if ((p[i] & 0xc0) != 0x80)
      return 0;
  bool overlong = (c == 0xe0 && p[1] < 0xa0) || (c == 0xf0 && p[1] < 0x90);
  bool surrogate = c == 0xed && p[1] > 0x9f, beyond = c == 0xf4 && p[1] > 0x8f;
  return overlong || surrogate || beyond ? 0 : n;
}

static void escape_one(struct buffer *b, unsigned char c) {
  static const char short_forms[] = "\bb\tt\nn\ff\rr\"\"\\\\";
  for (const char *s = short_forms; *s; s += 2)
    if ((unsigned char)*s == c) {
      char pair[2] = {'\\', s[1]};
      buffer_add(b, pair, 2);
      return;
    }
  buffer_format(b, "\\u%04x", c);
}

void json_escape(struct buffer *b, const char *text, size_t size) {
  const unsigned char *p = (const unsigned char *)text;
  size_t plain = 0; /* start of what can be copied as it is */
  for (size_t i = 0; i < size;) {
    size_t n = utf8(p + i, size - i);
    if (n == 0 || p[i] < 0x20 || p[i] == 0x7f || p[i] == '"' || p[i] == '\\') {
      buffer_add(b, text + plain, i - plain);
      if (n == 0)
        buffer_text(b, "\xef\xbf\xbd");
      else
        escape_one(b, p[i]);
      n = 1;
      plain = i + 1;
    }
    i += n;
  }
  buffer_add(b, text + plain, size - plain);
}

void json_string(struct buffer *b, const char *text) {
  buffer_text(b, "\"");
  json_escape(b, text, strlen(text));
  buffer_text(b, "\"");
}

/* A recursive descent over [p, end); each function returns what follows the value, or NULL. */
struct json {
  const unsigned char *end;
  int depth;
};

static const unsigned char *json_space(const unsigned char *p, const struct json *j) {
  while (p < j->end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
    p++;
  return p;
}

static bool is_hex(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static const unsigned char *json_quoted(const unsigned char *p, const struct json *j) {
  for (p++; p < j->end && *p != '"';) {
    size_t n = utf8(p, (size_t)(j->end - p));
    if (n == 0 || *p < 0x20)
      return NULL;
    if (*p == '\\') {
      if (++p == j->end)
        return NULL;
      if (*p == 'u') {
        for (int i = 1; i <= 4; i++)
          if (p + i >= j->end || !is_hex(p[i]))
            return NULL;
        n = 5;
      } else if (*p == 0 || !strchr("\"\\/bfnrt", *p)) {
        return NULL;
      }
    }
    p += n;
  }
  return p < j->end ? p + 1 : NULL;
}

static const unsigned char *json_digits(const unsigned char *p, const struct json *j) {
  const unsigned char *start = p;
  while (p < j->end && *p >= '0' && *p <= '9')
    p++;
  return p > start ? p : NULL;
}

static const unsigned char *json_number(const unsigned char *p, const struct json *j) {
  if (*p == '-')
    p++;
  if (p < j->end && *p == '0')
    p++;
  else
    p = json_digits(p, j);
  if (p && p < j->end && *p == '.')
    p = json_digits(p + 1, j);
  if (p && p < j->end && (*p == 'e' || *p == 'E')) {
    p++;
    if (p < j->end && (*p == '+' || *p == '-'))
      p++;
    p = json_digits(p, j);
  }
  return p;
}

static const unsigned char *json_value(const unsigned char *p, struct json *j);

/* An array or an object, whose opening bracket is at `p`. */
static const unsigned char *json_members(const unsigned char *p, struct json *j) {
  unsigned char close = *p == '[' ? ']' : '}';
  if (++j->depth > 64)
    return NULL;
  p = json_space(p + 1, j);
  if (p < j->end && *p == close) {
    j->depth--;
    return p + 1;
  }
  for (;;) {
    if (close == '}') {
      p = json_space(p, j);
      p = p < j->end && *p == '"' ? json_quoted(p, j) : NULL;
      if (!p)
        return NULL;
      p = json_space(p, j);
      if (p == j->end || *p++ != ':')
        return NULL;
    }
    p = json_value(p, j);
    if (!p || p == j->end)
      return NULL;
    if (*p == close) {
      j->depth--;
      return p + 1;
    }
    if (*p++ != ',')
      return NULL;
  }
}

static const unsigned char *json_value(const unsigned char *p, struct json *j) {
  p = json_space(p, j);
  if (p == j->end)
    return NULL;
  size_t left = (size_t)(j->end - p);
  if (*p == '"')
    p = json_quoted(p, j);
  else if (*p == '[' || *p == '{')
    p = json_members(p, j);
  else if (*p == '-' || (*p >= '0' && *p <= '9'))
    p = json_number(p, j);
  else if (left >= 4 && (!memcmp(p, "true", 4) || !memcmp(p, "null", 4)))
    p += 4;
  else if (left >= 5 && !memcmp(p, "false", 5))
    p += 5;
  else
    return NULL;
  return p ? json_space(p, j) : NULL;
}

bool json_valid(const char *text, size_t size) {
  struct json j = {.end = (const unsigned char *)text + size};
  return json_value((const unsigned char *)text, &j) == j.end;
}

/* ---- the rest ----------------------------------------------------------------------------- */

void base64(struct buffer *b, const void *data, size_t size) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const unsigned char *p = data;
  for (size_t i = 0; i < size; i += 3) {
    size_t n = size - i < 3 ? size - i : 3;
    uint32_t bits = (uint32_t)p[i] << 16;
    if (n > 1)
      bits |= (uint32_t)p[i + 1] << 8;
    if (n > 2)
      bits |= p[i + 2];
    char out[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                   n > 1 ? digits[bits >> 6 & 63] : '=', n > 2 ? digits[bits & 63] : '='};
    buffer_add(b, out, 4);
  }
}

void time_iso(char *out, const struct timespec *t) {
  struct tm tm;
  gmtime_r(&t->tv_sec, &tm);
  strftime(out, 21, "%Y-%m-%dT%H:%M:%S.", &tm);
  snprintf(out + 20, 5, "%03uZ", (unsigned)(t->tv_nsec / 1000000) % 1000u);
}

void time_http(char *out, time_t t) {
  struct tm tm;
  gmtime_r(&t, &tm);
  strftime(out, 30, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}
