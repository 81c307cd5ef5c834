// SPDX-License-Identifier: MIT
/* What the parts of the server share: its life and its configuration. */
#ifndef UFAAS_SERVER_H
#define UFAAS_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct waiter;

/* Whether it is ending: connections close after the answer. */
bool server_ending(void);
/* Something has ended: if nothing is left, so does an ending server. */
void server_check(void);

/* Reads the configuration again and deploys the function `name` as it says. 0; -ENOENT: no such
 * function; -EINVAL: the configuration is refused, `cause` says why. */
int server_deploy(const char *name, struct waiter *waiter, char *cause, size_t cause_size);

#endif
