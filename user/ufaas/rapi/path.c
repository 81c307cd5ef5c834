// SPDX-License-Identifier: MIT
#include "path.h"

#include <string.h>

static const struct {
  const char *before, *behind; /* the id, NULL: there is none */
  const char *method;
  enum rapi_kind kind;
} paths[] = {
    {"/invocation/next", NULL, "GET", RAPI_NEXT},
    {"/invocation/", "/response", "POST", RAPI_RESPONSE},
    {"/invocation/", "/error", "POST", RAPI_ERROR},
    {"/init/error", NULL, "POST", RAPI_INIT_ERROR},
};

int rapi_path_find(struct rapi_path *path, const struct http_head *head, const char *data) {
  static const char root[] = "/2018-06-01/runtime";
  const size_t skip = sizeof root - 1;
  struct slice rest = {head->path.at + (uint32_t)skip, head->path.size - (uint32_t)skip};
  *path = (struct rapi_path){0};
  if (head->path.size < skip || memcmp(data + head->path.at, root, skip) != 0)
    return 404;
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    size_t before = strlen(paths[i].before), behind = paths[i].behind ? strlen(paths[i].behind) : 0;
    const char *p = data + rest.at;
    if (rest.size < before + behind || memcmp(p, paths[i].before, before) != 0 ||
        (behind && memcmp(p + rest.size - behind, paths[i].behind, behind) != 0))
      continue;
    path->id = (struct slice){rest.at + (uint32_t)before, rest.size - (uint32_t)(before + behind)};
    if (behind ? !path->id.size || memchr(data + path->id.at, '/', path->id.size)
               : path->id.size != 0)
      continue;
    path->kind = paths[i].kind;
    return slice_is(data, head->method, paths[i].method) ? 0 : 405;
  }
  return 404;
}
