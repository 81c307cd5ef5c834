/* SPDX-License-Identifier: MIT */
/*
 * The first process of the Linux that we measure beside µFork: file systems, the drivers of the
 * virtual devices, addresses of the network interfaces; then it becomes /runner. µFork's kernel
 * does as much before its first process.
 */
#include "console.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void mount_at(const char *type, const char *where) {
  mkdir(where, 0755);
  if (mount(type, where, type, 0, NULL) != 0)
    fail(where);
}

/* /modules/order has one path of a module a line, in the order of their dependencies. */
static void load_modules(void) {
  char line[256];
  FILE *order = fopen("/modules/order", "re");
  if (!order)
    return;
  while (fgets(line, sizeof line, order)) {
    line[strcspn(line, "\n")] = 0;
    int fd = open(line, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0)
      fail(line);
    close(fd);
  }
  fclose(order);
}

static void set_address(int fd, int request, struct ifreq *r, const char *address) {
  struct sockaddr_in *in = (struct sockaddr_in *)&r->ifr_addr;
  memset(in, 0, sizeof *in);
  in->sin_family = AF_INET;
  inet_pton(AF_INET, address, &in->sin_addr);
  if (ioctl(fd, request, r) != 0)
    fail("address of an interface");
}

static void interface_up(const char *name, const char *address, const char *mask) {
  struct ifreq r = {0};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  strncpy(r.ifr_name, name, sizeof r.ifr_name - 1);
  set_address(fd, SIOCSIFADDR, &r, address);
  set_address(fd, SIOCSIFNETMASK, &r, mask);
  r.ifr_flags = IFF_UP | IFF_RUNNING;
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r) != 0)
    fail("interface");
  close(fd);
}

int main(void) {
  mount_at("devtmpfs", "/dev");
  mount_at("proc", "/proc");
  mount_at("tmpfs", "/tmp");
  load_modules();
  interface_up("lo", "127.0.0.1", "255.0.0.0");
  if (access("/modules/order", F_OK) == 0)
    interface_up("eth0", "10.0.2.15", "255.255.255.0");
  execl("/runner", "/runner", (char *)NULL);
  fail("/runner");
}
