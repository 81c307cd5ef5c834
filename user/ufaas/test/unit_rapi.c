// SPDX-License-Identifier: MIT
#include "../rapi/path.h"
#include "unit.h"

#include <string.h>

#define ROOT "/2018-06-01/runtime"

static const struct {
  const char *method, *path;
  int status;
  enum rapi_kind kind;
  const char *id;
} cases[] = {
    {"GET", ROOT "/invocation/next", 0, RAPI_NEXT, ""},
    {"GET", ROOT "/invocation/next?x=y", 0, RAPI_NEXT, ""},
    {"POST", ROOT "/invocation/abc-1/response", 0, RAPI_RESPONSE, "abc-1"},
    {"POST", ROOT "/invocation/abc-1/error", 0, RAPI_ERROR, "abc-1"},
    {"POST", ROOT "/invocation/next/response", 0, RAPI_RESPONSE, "next"},
    {"POST", ROOT "/init/error", 0, RAPI_INIT_ERROR, ""},
    {"POST", ROOT "/invocation/next", 405, RAPI_NEXT, ""},
    {"HEAD", ROOT "/invocation/next", 405, RAPI_NEXT, ""},
    {"GET", ROOT "/invocation/abc/response", 405, RAPI_NEXT, ""},
    {"PUT", ROOT "/init/error", 405, RAPI_NEXT, ""},
    {"GET", "/", 404, RAPI_NEXT, ""},
    {"GET", ROOT, 404, RAPI_NEXT, ""},
    {"GET", ROOT "/", 404, RAPI_NEXT, ""},
    {"GET", ROOT "/invocation/next/", 404, RAPI_NEXT, ""},
    {"GET", ROOT "/invocation/nextnext", 404, RAPI_NEXT, ""},
    {"GET", "/2019-06-01/runtime/invocation/next", 404, RAPI_NEXT, ""},
    {"POST", ROOT "/invocation//response", 404, RAPI_NEXT, ""},
    {"POST", ROOT "/invocation/response", 404, RAPI_NEXT, ""},
    {"POST", ROOT "/invocation/a/b/response", 404, RAPI_NEXT, ""},
    {"POST", ROOT "/invocation/abc/responses", 404, RAPI_NEXT, ""},
    {"POST", ROOT "/init/errors", 404, RAPI_NEXT, ""},
};

void test_rapi(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[256];
    struct http_head head;
    struct rapi_path path;
    int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", cases[i].method,
                     cases[i].path);
    check(http_parse_head(&head, text, (size_t)n, 0) == 200, "%s", text);
    int status = rapi_path_find(&path, &head, text);
    check(status == cases[i].status, "%s: %d", text, status);
    if (status)
      continue;
    check(path.kind == cases[i].kind, "%s: %d", text, path.kind);
    check(slice_is(text, path.id, cases[i].id), "%s: id of %u bytes", text, path.id.size);
  }
}
