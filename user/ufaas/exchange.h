// SPDX-License-Identifier: MIT
/* What passes between a request and its worker: the conversation, and what the worker prints.
 * Beside request.c nobody needs this. */
#ifndef UFAAS_EXCHANGE_H
#define UFAAS_EXCHANGE_H

#include "metrics.h"

#include <stdint.h>

struct function_config;
struct request;
struct source;

/* Sends what the worker has not been sent yet, as far as it goes. */
void exchange_send(struct request *r);
/* Takes what the worker has answered so far; when it is whole, the request is answered. */
void exchange_receive(struct request *r);
/* Takes what the worker has printed, at most `rounds` times 16 KiB. */
void exchange_log(struct request *r, int rounds);
/* Logs the line that has not ended. */
void exchange_log_rest(struct request *r);

/* For the sources of a request: its conversation, and its log. */
void exchange_ready(struct source *source, uint32_t events);
void exchange_log_ready(struct source *source, uint32_t events);

/* In request.c: what follows. The configuration it runs under; */
const struct function_config *request_config(const struct request *r);
/* makes the answer an error object of Lambda's form; */
void request_error(struct request *r, const char *type, const char *text);
/* passes the answer to whoever wants it; */
void request_answer(struct request *r, enum outcome outcome);
/* both, for a worker that is of no use any more; */
void request_crash(struct request *r, const char *why);
/* ends the worker: request_note_ended will follow. */
void request_kill(struct request *r);

#endif
