// SPDX-License-Identifier: MIT
/* accept without a free descriptor fails with EMFILE and loses no connection: TCP and Unix. */
#include "check.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static void full(int family) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  int length = snprintf(un.sun_path + 1, 40, "at-full-%d", (int)getpid());
  socklen_t size = family == AF_INET ? sizeof in : sizeof(sa_family_t) + 1 + (socklen_t)length;
  struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&in : (struct sockaddr *)&un;
  int listener = socket(family, SOCK_STREAM, 0), client = socket(family, SOCK_STREAM, 0);
  CHECK(bind(listener, address, size) == 0);
  CHECK(getsockname(listener, address, &size) == 0);
  CHECK(listen(listener, 8) == 0);
  CHECK(connect(client, address, size) == 0);
  struct rlimit old, small = {0};
  CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
  small.rlim_max = old.rlim_max;
  small.rlim_cur = (rlim_t)client + 1;
  CHECK(setrlimit(RLIMIT_NOFILE, &small) == 0);
  FAILS(accept(listener, NULL, NULL), EMFILE);
  FAILS(accept(listener, NULL, NULL), EMFILE);
  CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
  int served = accept(listener, NULL, NULL);
  char byte = 0;
  CHECK(served >= 0);
  CHECK(write(served, "x", 1) == 1);
  CHECK(read(client, &byte, 1) == 1 && byte == 'x');
  close(served);
  close(client);
  close(listener);
}

int main(void) {
  full(AF_INET);
  full(AF_UNIX);
  puts("ok");
  return 0;
}
