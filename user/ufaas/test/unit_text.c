// SPDX-License-Identifier: MIT
#include "../text.h"
#include "unit.h"

#include <string.h>

static void same(const struct buffer *b, const char *wanted, const char *what) {
  check(b->size == strlen(wanted) && (!b->size || memcmp(b->data, wanted, b->size) == 0),
        "%s: got '%.*s', wanted '%s'", what, (int)b->size, b->data, wanted);
}

static void test_buffer(void) {
  struct buffer b = {0};
  for (int i = 0; i < 1000; i++)
    buffer_format(&b, "%d,", i);
  check(b.size == 10 * 2 + 90 * 3 + 900 * 4, "%zu", b.size);
  buffer_take(&b, b.size - 4);
  same(&b, "999,", "the end of it");
  char large[5000];
  memset(large, 'x', sizeof large);
  large[4999] = 0;
  b.size = 0;
  buffer_format(&b, "<%s>", large);
  check(b.size == 5001 && b.data[5000] == '>', "a long format");
  check(!buffer_reserve(&b, SIZE_MAX / 2), "too much");
  buffer_add(&b, "y", 1);
  check(b.failed && b.size == 5001, "nothing is added after a failure");
  buffer_free(&b);
}

static void test_base64(void) {
  static const char *const pairs[][2] = {{"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"},
                                         {"\xff\xfe\xfd", "//79"}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    struct buffer b = {0};
    base64(&b, pairs[i][0], strlen(pairs[i][0]));
    same(&b, pairs[i][1], "base64");
    buffer_free(&b);
  }
}

static void test_escape(void) {
  static const struct {
    const char *text;
    size_t size;
    const char *wanted;
  } cases[] = {
      {"plain", 5, "plain"},
      {"a\"b\\c", 5, "a\\\"b\\\\c"},
      {"\n\r\t\b\f", 5, "\\n\\r\\t\\b\\f"},
      {"\0\x1f\x7f", 3, "\\u0000\\u001f\\u007f"},
      {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
      {"\xff", 1, "\xef\xbf\xbd"},
      {"a\xc3", 2, "a\xef\xbf\xbd"},                               /* cut off */
      {"\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
      {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* surrogate */
      {"\xf4\x90\x80\x80x", 5, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct buffer b = {0};
    json_escape(&b, cases[i].text, cases[i].size);
    same(&b, cases[i].wanted, "json_escape");
    buffer_free(&b);
  }
}

static void test_json(void) {
  static const char *const good[] = {
      "0",
      "-1.5e+3",
      "\"\"",
      "\"\\u00e4\\n\"",
      "[]",
      "{}",
      " [1, 2, {\"a\" : null}] ",
      "{\"a\":true,\"b\":false}",
      "1E2",
      "\"\xc3\xa4\"",
  };
  static const char *const bad[] = {
      "",        " ",        "01",       "1.",          ".5",     "-",     "+1",
      "1e",      "\"",       "\"\\x\"",  "\"\\u12g4\"", "\"\n\"", "[1,]",  "[1 2]",
      "{\"a\"}", "{\"a\":}", "{a:1}",    "{\"a\":1,}",  "tru",    "nulll", "1 2",
      "[",       "]",        "\"\xff\"", "{\"a\":1",    "'a'",    "NaN",
  };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    check(json_valid(good[i], strlen(good[i])), "%s", good[i]);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    check(!json_valid(bad[i], strlen(bad[i])), "%s", bad[i]);
  check(!json_valid("1\0", 2), "NUL behind a value");
  char deep[200];
  memset(deep, '[', 100);
  memset(deep + 100, ']', 100);
  check(!json_valid(deep, 200), "nested too deeply");
  check(json_valid(deep + 40, 120), "nested 60 deep");
}

static void test_times(void) {
  char iso[25], http[30];
  struct timespec t = {.tv_sec = 1769903999, .tv_nsec = 7999999};
  time_iso(iso, &t);
  check(strcmp(iso, "2026-01-31T23:59:59.007Z") == 0, "%s", iso);
  time_http(http, t.tv_sec);
  check(strcmp(http, "Sat, 31 Jan 2026 23:59:59 GMT") == 0, "%s", http);
}

void test_text(void) {
  test_buffer();
  test_base64();
  test_escape();
  test_json();
  test_times();
}
