// SPDX-License-Identifier: MIT
#include "route.h"

#include <string.h>

/* Takes `text` from the front of the path, if it begins so. */
static bool take(const char *data, struct slice *path, const char *text) {
  size_t n = strlen(text);
  if (path->size < n || memcmp(data + path->at, text, n) != 0)
    return false;
  path->at += (uint32_t)n;
  path->size -= (uint32_t)n;
  return true;
}

/* Takes what comes before the next '/'. */
static struct slice segment(const char *data, struct slice *path) {
  struct slice s = {path->at, 0};
  while (s.size < path->size && data[s.at + s.size] != '/')
    s.size++;
  path->at += s.size;
  path->size -= s.size;
  return s;
}

static int lambda(struct route *route, const struct http_head *head, const char *data,
                  struct slice path) {
  route->kind = ROUTE_LAMBDA;
  route->name = segment(data, &path);
  if (!slice_is(data, path, "/invocations"))
    return 404;
  if (!slice_is(data, head->method, "POST"))
    return 405;
  struct slice type = http_find(head, data, "X-Amz-Invocation-Type");
  if (type.size == 0 || slice_is(data, type, "RequestResponse"))
    route->invocation = INVOKE_WAIT;
  else if (slice_is(data, type, "Event"))
    route->invocation = INVOKE_EVENT;
  else if (slice_is(data, type, "DryRun"))
    route->invocation = INVOKE_DRY;
  else
    return 400;
  struct slice log = http_find(head, data, "X-Amz-Log-Type");
  route->tail = slice_is(data, log, "Tail") && route->invocation == INVOKE_WAIT;
  return log.size == 0 || route->tail || slice_is(data, log, "None") || slice_is(data, log, "Tail")
             ? 0
             : 400;
}

static int get_only(struct route *route, enum route_kind kind, const struct http_head *head,
                    const char *data) {
  route->kind = kind;
  return slice_is(data, head->method, "GET") || slice_is(data, head->method, "HEAD") ? 0 : 405;
}

int route_find(struct route *route, const struct http_head *head, const char *data, bool admin) {
  struct slice path = head->path;
  *route = (struct route){0};
  if (take(data, &path, "/2015-03-31/functions/"))
    return lambda(route, head, data, path);
  if (take(data, &path, "/function/")) {
    route->kind = ROUTE_PLAIN;
    route->name = segment(data, &path);
    route->rest = path;
    return 0;
  }
  if (slice_is(data, path, "/metrics"))
    return get_only(route, ROUTE_METRICS, head, data);
  if (slice_is(data, path, "/healthz"))
    return get_only(route, ROUTE_HEALTH, head, data);
  if (admin && slice_is(data, path, "/admin/functions"))
    return get_only(route, ROUTE_LIST, head, data);
  if (admin && take(data, &path, "/admin/functions/")) {
    route->kind = ROUTE_DEPLOY;
    route->name = segment(data, &path);
    if (path.size)
      return 404;
    return slice_is(data, head->method, "POST") ? 0 : 405;
  }
  return 404;
}
