// SPDX-License-Identifier: MIT
#include "../http.h"
#include "unit.h"

#include <string.h>

#define H "Host: x\r\n"

static const struct {
  int status;
  const char *text;
} heads[] = {
    {200, "GET / HTTP/1.1\r\n" H "\r\n"},
    {200, "\r\nGET / HTTP/1.1\r\n" H "\r\n"},
    {200, "GET /a%20b?c=d&e HTTP/1.1\r\nhost:x\r\n\r\n"},
    {200, "GET http://x:80/a HTTP/1.1\r\n" H "\r\n"},
    {200, "OPTIONS * HTTP/1.1\r\n" H "\r\n"},
    {200, "GET / HTTP/1.0\r\n\r\n"},
    {200, "POST / HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n"},
    {200, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"},
    {200, "POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\n\r\n"},
    {200, "GET / HTTP/1.1\r\n" H "Empty:\r\nT: \ta\tb \t\r\n\r\n"},
    {200, "GET / HTTP/1.1\r\n" H "X: \xc3\xa4\r\n\r\n"},
    {400, " GET / HTTP/1.1\r\n" H "\r\n"},
    {400, "\x16\x03\x01\x02"},       /* TLS: refused at the first byte */
    {400, "GET / HTTP/1.1\r\n\r\n"}, /* no host */
    {400, "GET / HTTP/1.1\r\n" H H "\r\n"},
    {400, "GET  / HTTP/1.1\r\n" H "\r\n"},
    {400, "GET / HTTP/1.1 \r\n" H "\r\n"},
    {400, "GET /\r\n" H "\r\n"},
    {400, "GET\r\n" H "\r\n"},
    {400, "GET / HTTP/1.1\n" H "\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"},
    {400, "G\x01T / HTTP/1.1\r\n" H "\r\n"},
    {400, "GET /\x7f HTTP/1.1\r\n" H "\r\n"},
    {400, "GET /a#b HTTP/1.1\r\n" H "\r\n"},
    {400, "GET \xc3\xa4 HTTP/1.1\r\n" H "\r\n"},
    {400, "GET a HTTP/1.1\r\n" H "\r\n"},
    {400, "GET / http/1.1\r\n" H "\r\n"},
    {400, "GET / HTTP/1.10\r\n" H "\r\n"},
    {505, "GET / HTTP/2.0\r\n" H "\r\n"},
    {505, "PRI * HTTP/2.0\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H " folded: x\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "A : b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H ": b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "no colon\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "A: b\x01\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: \r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
    {413, "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"},
    {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \r\n\r\n"},
    {417, "POST / HTTP/1.1\r\n" H "Expect: magic\r\n\r\n"},
};

/* Byte after byte must come to the same result as all at once. */
static int parse_in_steps(struct http_head *head, const char *text, size_t size) {
  char *copy = malloc(size ? size : 1);
  int status = 0;
  for (size_t n = 1; n <= size && status == 0; n++) {
    copy = realloc(copy, n); /* the sanitizer sees what lies behind */
    memcpy(copy, text, n);
    status = http_parse_head(head, copy, n, n - 1);
  }
  free(copy);
  return status;
}

static void test_heads(void) {
  struct http_head head;
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    const char *text = heads[i].text;
    int status = http_parse_head(&head, text, strlen(text), 0);
    check(status == heads[i].status, "%d, wanted %d: %s", status, heads[i].status, text);
    int again = parse_in_steps(&head, text, strlen(text));
    check(again == status, "in steps %d: %s", again, text);
  }
}

static void test_meaning(void) {
  static const char text[] =
      "POST /f/x?q=1 HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n"
      "X-One:  a b \r\nCONTENT-LENGTH: 007\r\nExpect: 100-continue\r\n\r\nrest";
  struct http_head head;
  check(http_parse_head(&head, text, sizeof text - 1, 0) == 200, "a request");
  check(head.size == sizeof text - 5, "its size");
  check(slice_is(text, head.method, "POST") && slice_is(text, head.path, "/f/x") &&
            slice_is(text, head.query, "q=1"),
        "its target");
  check(!head.keepalive && head.expect_continue && !head.chunked && head.length == 7, "its flags");
  check(slice_is(text, http_find(&head, text, "x-oNE"), "a b"), "a header");
  check(http_find(&head, text, "X-On").size == 0, "no header");
  static const char old[] = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  check(http_parse_head(&head, old, sizeof old - 1, 0) == 200 && head.keepalive,
        "keepalive in 1.0");
}

static void test_limits(void) {
  struct http_head head;
  static char text[40000];
  memset(text, 'a', sizeof text);
  memcpy(text, "GET /", 5);
  check(http_parse_head(&head, text, 1000, 0) == 0, "not yet too long");
  check(http_parse_head(&head, text, HTTP_HEAD_MAX, 0) == 414, "an endless target");
  memcpy(text + 9000, " HTTP/1.1\r\nHost: x\r\n\r\n", 22);
  check(http_parse_head(&head, text, 9022, 0) == 414, "a long target");
  memcpy(text, "GET / HTTP/1.1\r\nHost: x\r\nX: ", 28);
  memset(text + 28, 'a', sizeof text - 28);
  check(http_parse_head(&head, text, HTTP_HEAD_MAX, 0) == 431, "an endless header");
  size_t n = 25;
  for (int i = 0; i < HTTP_HEADERS_MAX; i++)
    n += (size_t)sprintf(text + n, "A: b\r\n");
  n += (size_t)sprintf(text + n, "\r\n");
  check(http_parse_head(&head, text, n, 0) == 431, "many headers");
  check(http_parse_head(&head, text, 0, 0) == 0, "nothing");
  check(http_parse_head(&head, "\r\n\r\n\r\n\r\n\r\n", 10, 0) == 400, "empty lines only");
}

static const struct {
  int status;
  const char *text, *decoded;
} chunked[] = {
    {200, "0\r\n\r\n", ""},
    {200, "3\r\nabc\r\n0\r\n\r\n", "abc"},
    {200, "3\r\nabc\r\n00A;x=y\r\n0123456789\r\n0\r\n\r\n", "abc0123456789"},
    {200, "1 \r\na\r\n0\r\nTrailer: x\r\nAnother: y\r\n\r\n", "a"},
    {0, "3\r\nab", "ab"},
    {0, "0\r\nTrailer: x\r\n", ""},
    {400, "\r\n", ""},
    {400, "x\r\n", ""},
    {400, "-1\r\n", ""},
    {400, "0x1\r\na", ""},
    {400, "3\nabc\r\n", ""},
    {400, "3\rabc\r\n", ""},
    {400, "3\r\nabcd\r\n", "abc"},
    {400, "3\r\nabc\n", "abc"},
    {400, "11111111111111111\r\n", ""},
    {413, "fffffffffffffff\r\n", ""},
    {413, "3\r\nabc\r\n65\r\n", "abc"},
    {400, "0\r\nA: b\n\r\n", ""},
};

/* Decodes as a connection does: what is left over stays behind what was decoded. */
static void decode(size_t i, size_t step) {
  const char *text = chunked[i].text;
  size_t size = strlen(text), done = 0, have = 0;
  char *data = malloc(size + 1);
  struct http_chunks c = {0};
  int status = 0;
  for (size_t at = 0; at < size && status == 0;) {
    size_t n = size - at < step ? size - at : step, used, made;
    memcpy(data + have, text + at, n);
    status = http_decode(&c, data + done, n, &used, &made, done, 100);
    check(used <= n && made <= used, "counts");
    done += made;
    have = done;
    at += n;
    check(status || used == n, "stops early");
  }
  check(status == chunked[i].status, "%d, wanted %d in steps of %zu: %s", status, chunked[i].status,
        step, text);
  check(done == strlen(chunked[i].decoded) && memcmp(data, chunked[i].decoded, done) == 0,
        "decoded '%.*s' of %s", (int)done, data, text);
  free(data);
}

static void test_chunks(void) {
  for (size_t i = 0; i < sizeof chunked / sizeof *chunked; i++)
    for (size_t step = 1; step <= strlen(chunked[i].text); step++)
      decode(i, step);
  char trailers[9000] = "0\r\n";
  memset(trailers + 3, 'a', sizeof trailers - 3);
  struct http_chunks c = {0};
  size_t used, made;
  check(http_decode(&c, trailers, sizeof trailers, &used, &made, 0, 1) == 431, "endless trailers");
}

void test_http(void) {
  test_heads();
  test_meaning();
  test_limits();
  test_chunks();
}
