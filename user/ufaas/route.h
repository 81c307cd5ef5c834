// SPDX-License-Identifier: MIT
/* What a request asks for. */
#ifndef UFAAS_ROUTE_H
#define UFAAS_ROUTE_H

#include "http.h"

enum route_kind {
  ROUTE_LAMBDA, /* POST /2015-03-31/functions/NAME/invocations */
  ROUTE_PLAIN,  /* /function/NAME[/PATH] */
  ROUTE_METRICS,
  ROUTE_HEALTH,
  ROUTE_LIST,   /* GET /admin/functions */
  ROUTE_DEPLOY, /* POST /admin/functions/NAME */
};

enum invocation { INVOKE_WAIT, INVOKE_EVENT, INVOKE_DRY };

struct route {
  enum route_kind kind;
  struct slice name, rest; /* of the function; of the path behind it */
  enum invocation invocation;
  bool tail; /* X-Amz-Log-Type: Tail */
};

/* 0, or the status to refuse it with. `admin`: the routes of administration are there. */
int route_find(struct route *route, const struct http_head *head, const char *data, bool admin);

#endif
