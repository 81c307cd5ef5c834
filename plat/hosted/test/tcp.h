/* SPDX-License-Identifier: MIT */
/* TCP connections of the C library, for tests that have the kernel's own numbers. -1: failure. */
#ifndef UFORK_HOSTED_TEST_TCP_H
#define UFORK_HOSTED_TEST_TCP_H

#include <stddef.h>

/* Listens on some port of the loopback interface. */
int tcp_listen(void);
/* A connection to it. The accepting side never waits for an acknowledgement before it sends. */
int tcp_connect(int listener);
int tcp_accept(int listener);
/* n bytes of whatever; `more`: with MSG_MORE. Whether all were taken. */
int tcp_send(int fd, size_t n, int more);
/* Waits for n bytes. Whether they came. */
int tcp_receive(int fd, size_t n);
/* The other side has closed, and nothing is left to read. Waits for either. */
int tcp_at_end(int fd);
/* Bytes that wait to be sent. */
int tcp_unsent(int fd);
int tcp_corked(int fd);

#endif
