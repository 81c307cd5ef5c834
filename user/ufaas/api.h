// SPDX-License-Identifier: MIT
/* From complete HTTP requests to functions, and back to answers. */
#ifndef UFAAS_API_H
#define UFAAS_API_H

#include <stdint.h>

struct conn;

/* Decides by the head where the request leads: fills c->route and c->body_limit. 0, or the status
 * to refuse it with. */
int api_admit(struct conn *c);
/* The request is complete: answers it, now or later. */
void api_handle(struct conn *c);
/* Answers with an error object; `type` is Lambda's name of the error. */
void api_error(struct conn *c, int status, const char *type, const char *text);
/* The same for a request that is refused by its status alone. */
void api_refuse(struct conn *c, int status);

#endif
