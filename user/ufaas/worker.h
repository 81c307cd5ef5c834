// SPDX-License-Identifier: MIT
/*
 * For programs that are functions (ufaas.h of the C world): a main loop is enough.
 *
 *   int main(void) {
 *     expensive_preparations();          // once, in the zygote
 *     struct ufaas_request request;
 *     while (ufaas_next(&request) == 0)  // returns in a fresh child for each request
 *       ufaas_respond(request.body, request.body_size, "text/plain");
 *   }
 *
 * The preparations are done once. ufaas_next then says that the program is warm and waits; for
 * each request it forks, and returns in the child, which answers. The child's next call of
 * ufaas_next ends the child. In the zygote it never returns, but for errors.
 */
#ifndef UFAAS_WORKER_H
#define UFAAS_WORKER_H

#include <stddef.h>
#include <stdint.h>

struct ufaas_request {
  const char *id;     /* of the request, text */
  const char *header; /* lines "Name: value\n" */
  const char *body;   /* followed by a NUL that does not count */
  size_t body_size;
  int64_t deadline_ms; /* of the clock, since 1970 */
};

/* Waits for the next request. 0: there it is, to be answered by this process; its memory stays
 * valid. -1 with errno: this is not a zygote of ufaas (ENOTSOCK, EBADF), or no memory. */
int ufaas_next(struct ufaas_request *request);

/* The value of a header line up to its end, or NULL; *size is its length. Names in any case. */
const char *ufaas_header(const struct ufaas_request *request, const char *name, size_t *size);

/* Answers; content_type NULL: application/json. Once per request. 0, or -1 with errno. What has
 * been printed with stdio is flushed first. */
int ufaas_respond(const void *body, size_t size, const char *content_type);

/* Answers with an error: Lambda's error object of this type and message. */
int ufaas_fail(const char *type, const char *message);

#endif
