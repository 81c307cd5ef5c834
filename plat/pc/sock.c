/* SPDX-License-Identifier: MIT */
/* There is no network stack here yet: Unix sockets are the core's, other families are unknown. */
#include "kernel/errno.h"
#include "kernel/plat.h"

int plat_sock_create(int domain, int type, int protocol, struct sock **out) {
  (void)domain, (void)type, (void)protocol, (void)out;
  return -EAFNOSUPPORT;
}
