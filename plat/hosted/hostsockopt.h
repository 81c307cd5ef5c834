/* SPDX-License-Identifier: MIT */
/* Host sockets: structure, options, ioctls. */
#ifndef UFORK_HOSTED_HOSTSOCKOPT_H
#define UFORK_HOSTED_HOSTSOCKOPT_H

#include "kernel/net/sock.h"
#include "plat/hosted/hostio.h"
#include "plat/hosted/pairing.h"

/* Linux's numbers. */
#define HOST_MSG_MORE 0x8000u
#define HOST_IPPROTO_TCP 6
#define HOST_TCP_CORK 3

struct host_sock {
  struct sock sock;
  struct hostio io;
  u64 recv_timeout, send_timeout; /* SO_RCVTIMEO, SO_SNDTIMEO in ns; 0: none */

  /* together.h */
  u32 held;             /* the host holds something until a vCPU, this one less 1, sends more or
                           anyone pushes; 0: nothing; atomic */
  bool corked;          /* TCP_CORK is set; changed under the slot lock */
  struct pairing sends; /* how sends follow each other, unless */
  struct kin *kin;      /* all connections of one listener share that; NULL: no listener's */
};

int host_setsockopt(struct sock *s, int level, int name, const void *val, u32 len);
int host_getsockopt(struct sock *s, int level, int name, void *val, u32 *len);
i64 host_sock_ioctl(struct sock *s, u32 cmd, u64 arg);

#endif
