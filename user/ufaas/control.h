// SPDX-License-Identifier: MIT
/* The zygote's end of the control socket (protocol.h). In a header of its own, so that worker.c
 * stays all that a program has to be linked with. */
#ifndef UFAAS_CONTROL_H
#define UFAAS_CONTROL_H

#include "protocol.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Sends a note. That the server has gone is seen when the next order is taken. */
static inline void control_note(uint32_t kind, int32_t value, uint64_t id, uint64_t figure) {
  struct ufaas_note n = {.kind = kind, .value = value, .id = id, .figure = figure};
  ssize_t sent;
  do
    sent = send(UFAAS_CONTROL_FD, &n, sizeof n, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
}

/* Takes an order, without waiting; with INVOKE two descriptors, which are the caller's. 0; -EAGAIN:
 * there is none; -EINTR: try again; -EMFILE: an INVOKE has lost its descriptors, as this process
 * can have no more, and the server knows; -EPIPE: the server has gone; -EPROTO: it does not keep to
 * the protocol. */
static inline int control_order(struct ufaas_order *order, int fds[2]) {
  struct iovec iov = {order, sizeof *order};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(2 * sizeof(int))];
  } control;
  struct msghdr message = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control.space};
  fds[0] = fds[1] = -1;
  ssize_t n = recvmsg(UFAAS_CONTROL_FD, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return -errno;
  if (n != (ssize_t)sizeof *order)
    return n ? -EPROTO : -EPIPE;
  const struct cmsghdr *c = CMSG_FIRSTHDR(&message);
  if (c && c->cmsg_type == SCM_RIGHTS)
    memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
  if (order->kind != UFAAS_INVOKE || fds[1] >= 0)
    return 0;
  if (fds[0] >= 0)
    close(fds[0]);
  control_note(UFAAS_FAILED, EMFILE, order->id, 0);
  return -EMFILE;
}

#endif
