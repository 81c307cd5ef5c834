// SPDX-License-Identifier: MIT
/* From complete HTTP requests to functions, and back to answers. */
#ifndef UFAAS_API_H
#define UFAAS_API_H

struct conn_server;

/* For the address of clients, and that of administration, which can do more. */
extern const struct conn_server api_clients, api_administration;

#endif
