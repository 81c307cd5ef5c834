// SPDX-License-Identifier: MIT
/* The requests of the Runtime API. Pure functions on bytes. */
#ifndef UFAAS_RAPI_PATH_H
#define UFAAS_RAPI_PATH_H

#include "../http.h"

enum rapi_kind {
  RAPI_NEXT,       /* GET /2018-06-01/runtime/invocation/next */
  RAPI_RESPONSE,   /* POST /2018-06-01/runtime/invocation/ID/response */
  RAPI_ERROR,      /* POST /2018-06-01/runtime/invocation/ID/error */
  RAPI_INIT_ERROR, /* POST /2018-06-01/runtime/init/error */
};

struct rapi_path {
  enum rapi_kind kind;
  struct slice id; /* of the event, as sent */
};

/* What a head asks for. 0, or the status to refuse it with. */
int rapi_path_find(struct rapi_path *path, const struct http_head *head, const char *data);

#endif
