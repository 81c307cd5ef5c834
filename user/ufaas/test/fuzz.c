// SPDX-License-Identifier: MIT
/*
 * Random bytes for what reads bytes of others: configurations, HTTP heads, chunked bodies, JSON. As
 * a program of its own it changes good examples at random, FUZZ_RUNS times from a seed
 * (`fuzz [SEED [RUNS]]`); LLVMFuzzerTestOneInput is also what libFuzzer wants.
 */
#include "../config.h"
#include "../http.h"
#include "../rapi/path.h"
#include "../text.h"
#include "unit.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* A head must mean the same however it arrives. */
static void fuzz_head(const char *text, size_t size) {
  struct http_head once, twice;
  int status = http_parse_head(&once, text, size, 0);
  size_t half = size / 2;
  int first = http_parse_head(&twice, text, half, 0);
  int second = first ? first : http_parse_head(&twice, text, size, half);
  check(status == second || first, "%d at once, %d in two parts", status, second);
  if (status != 200)
    return;
  check(once.size <= size && once.path.at + once.path.size <= size, "slices");
  for (size_t i = 0; i < once.header_count; i++) {
    struct slice v = once.headers[i].value;
    for (uint32_t k = 0; k < v.size; k++)
      check(text[v.at + k] != '\n' && text[v.at + k] != '\r', "a line end in a value");
  }
  struct rapi_path path;
  if (rapi_path_find(&path, &once, text) == 0)
    check(path.id.at + path.id.size <= once.path.at + once.path.size &&
              !memchr(text + path.id.at, '/', path.id.size),
          "an id beyond its path");
}

static void fuzz_chunks(const char *text, size_t size) {
  char *copy = malloc(size + 1);
  struct http_chunks c = {0};
  size_t used, made;
  memcpy(copy, text, size);
  int status = http_decode(&c, copy, size, &used, &made, 0, 1000);
  check(made <= 1000 && made <= used && used <= size, "counts");
  check(status || used == size, "stops early");
  free(copy);
}

static void fuzz_text(const char *text, size_t size) {
  struct buffer b = {0};
  buffer_text(&b, "\"");
  json_escape(&b, text, size);
  buffer_text(&b, "\"");
  check(json_valid(b.data, b.size), "an escaped string is not JSON");
  buffer_free(&b);
  json_valid(text, size);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  /* Exactly as large as it is, so that the sanitizer sees what reads on. */
  char *text = malloc(size ? size : 1);
  memcpy(text, data, size);
  struct config_error error;
  struct config *c = config_parse(text, size, "/base", NULL, &error);
  check(c || (error.line >= 0 && *error.text), "refused without a reason");
  config_free(c);
  fuzz_head(text, size);
  fuzz_chunks(text, size);
  fuzz_text(text, size);
  free(text);
  return 0;
}

#ifndef LIBFUZZER
static const char *const seeds[] = {
    "[server]\nlisten = \"127.0.0.1:80\"\nidle_ms = 1_000\n[function.f]\ncommand = [\"/x\", 'y']\n"
    "environment = {A = \"1\", \"B\" = '2'}\nwarmup = '{\"a\":[1,null]}'\n# end\n",
    "[function.f]\nruntime = \"python3\"\nhandler = \"a.b\"\npath = \"/p\\u00e4\\n\"\n"
    "[function.f.environment]\nK = \"v\"\n",
    "POST /2015-03-31/functions/f/invocations?x=y HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n"
    "Connection: keep-alive, close\r\nExpect: 100-continue\r\n\r\nbody",
    "POST /2018-06-01/runtime/invocation/0123-abc/response HTTP/1.1\r\nHost: x\r\n"
    "Transfer-Encoding: chunked\r\n\r\n",
    "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "5;ext=\"a\"\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n",
    "{\"a\": [1, -2.5e+3, true, false, null, \"\\u00e4\\\"\"], \"b\": {}}",
};

/* One random change. */
static size_t mutate(unsigned char *data, size_t size, size_t room) {
  static const char special[] = "\r\n\t \"'\\[]{}=:,.#0\xff\x80";
  size_t at = size ? (size_t)rand() % size : 0;
  switch (rand() % 6) {
  case 0: /* another byte */
    if (size)
      data[at] = (unsigned char)rand();
    return size;
  case 1:
    if (size)
      data[at] = (unsigned char)special[(size_t)rand() % (sizeof special - 1)];
    return size;
  case 2: /* cut */
    return size ? at : 0;
  case 3: { /* take out */
    size_t n = size - at < 8 ? size - at : (size_t)rand() % 8;
    memmove(data + at, data + at + n, size - at - n);
    return size - n;
  }
  case 4: { /* double */
    size_t n = (size_t)rand() % 16;
    if (n > size - at || size + n > room)
      return size;
    memmove(data + at + n, data + at, size - at);
    return size + n;
  }
  default: /* insert */
    if (size == room)
      return size;
    memmove(data + at + 1, data + at, size - at);
    data[at] = (unsigned char)special[(size_t)rand() % (sizeof special - 1)];
    return size + 1;
  }
}

int main(int argc, char **argv) {
  unsigned char data[2048];
  int seed = argc > 1 ? atoi(argv[1]) : 1, runs = argc > 2 ? atoi(argv[2]) : 100000;
  srand((unsigned)seed);
  for (int i = 0; i < runs; i++) {
    const char *text = seeds[(size_t)rand() % (sizeof seeds / sizeof *seeds)];
    size_t size = strlen(text);
    memcpy(data, text, size); // NOLINT(bugprone-not-null-terminated-result)
    for (int n = rand() % 8; n >= 0; n--)
      size = mutate(data, size, sizeof data);
    LLVMFuzzerTestOneInput(data, size);
  }
  printf("ufaas: %d inputs from seed %d\n", runs, seed);
  return 0;
}
#endif
