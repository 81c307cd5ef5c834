/* SPDX-License-Identifier: MIT */
#include "plat/hosted/vm/vm.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CMDLINE_MAX 4095 /* what the kernel keeps */

static char *line;
static size_t length;

static void put(const char *text, size_t n) {
  line = realloc(line, length + n + 1);
  if (!line)
    vm_die("out of memory");
  memcpy(line + length, text, n);
  length += n;
  line[length] = 0;
}

static void put_string(const char *text) { put(text, strlen(text)); }

/* Whatever could end a word, as %XX. An empty argument has nothing to show: %00 stands for it. */
static void put_encoded(const char *text) {
  if (!*text)
    put_string("%00");
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    char hex[4];
    if (c > ' ' && c < 127 && c != '%') {
      put(text, 1);
    } else {
      snprintf(hex, sizeof hex, "%%%02x", c);
      put_string(hex);
    }
  }
}

static void word(const char *name, const char *value) {
  put_string(name);
  put_encoded(value);
  put_string(" ");
}

static void mounts(const struct boot_args *b) {
  char text[32];
  for (unsigned i = 0; i < b->n_mounts; i++) {
    snprintf(text, sizeof text, "mount=dir%u:", i);
    put_string(text);
    put_encoded(b->mounts[i].guest);
    put_string(b->mounts[i].read_only ? ":ro " : " ");
  }
}

const char *vm_guest_program(const struct options *o) {
  static char path[512];
  if (!o->boot.program_is_host)
    return NULL;
  const char *slash = strrchr(o->boot.program, '/');
  snprintf(path, sizeof path, "/run/ufork/%s", slash + 1);
  return path;
}

char *vm_cmdline(const struct options *o, const char *console) {
  static const char *const levels[] = {"full", "fault", "none"};
  const struct boot_args *b = &o->boot;
  const char *guest = vm_guest_program(o);
  put_string(console);
  put_string(*console ? " " : "");
  word("isolation=", levels[b->isolation]);
  word("workdir=", b->workdir);
  if (o->cpus) {
    char n[16];
    snprintf(n, sizeof n, "%u", o->cpus);
    word("cpus=", n);
  }
  put_string(b->trace ? "trace " : "");
  put_string(b->stats ? "stats " : "");
  put_string(b->quiet ? "quiet " : "");
  if (guest)
    word("program=", guest);
  mounts(b);
  for (const char *const *e = b->envp; e && *e; e++)
    word("env=", *e);
  put_string("--");
  for (const char *const *a = b->argv; *a; a++) {
    put_string(" ");
    put_encoded(*a);
  }
  if (length > CMDLINE_MAX)
    vm_die("arguments and environment are too long for a kernel command line");
  return line;
}
