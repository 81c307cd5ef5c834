/* SPDX-License-Identifier: MIT */
/*
 * The kernel's command line: `word... -- PROGRAM ARG...` (doc/pc.md). %XX stands for any byte, so
 * that arguments may hold spaces.
 */
#include "kernel/errno.h"
#include "kernel/klog.h"
#include "lib/string.h"
#include "plat/pc/pc.h"

#define WORDS_MAX 256
#define MOUNTS_MAX 32

struct machine_options machine_options;
static char text[4096];
static const char *words[WORDS_MAX + 1]; /* of the machine, then NULL */
static const char *argv[WORDS_MAX + 1], *envp[WORDS_MAX + 1];
static unsigned n_env;
static struct boot_mount mounts[MOUNTS_MAX];

static int hex(char c) {
  return c >= '0' && c <= '9'                 ? c - '0'
         : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                              : -1;
}

/* In place. */
static void decode(char *s) {
  char *to = s;
  for (; *s; s++) {
    int hi = *s == '%' ? hex(s[1]) : -1, lo = hi >= 0 ? hex(s[2]) : -1;
    if (lo >= 0) {
      *to++ = (char)(hi << 4 | lo);
      s += 2;
    } else {
      *to++ = *s;
    }
  }
  *to = 0;
}

/* Next word from *p, cut out; NULL at the end. */
static char *next_word(char **p) {
  while (**p == ' ')
    ++*p;
  if (!**p)
    return NULL;
  char *word = *p;
  while (**p && **p != ' ')
    ++*p;
  if (**p)
    *(*p)++ = 0;
  return word;
}

static u64 number(const char *s) {
  u64 n = 0;
  for (; *s >= '0' && *s <= '9'; s++)
    n = n * 10 + (u64)(*s - '0');
  unsigned shift = (*s | 32) == 'k' ? 10 : (*s | 32) == 'm' ? 20 : (*s | 32) == 'g' ? 30 : 0;
  return n << shift;
}

static const char *value_of(const char *word, const char *name) {
  size_t n = strlen(name);
  return strncmp(word, name, n) == 0 && word[n] == '=' ? word + n + 1 : NULL;
}

static void isolation(struct boot_args *b, const char *v) {
  if (strcmp(v, "fault") == 0)
    b->isolation = ISOLATION_FAULT;
  else if (strcmp(v, "none") == 0)
    b->isolation = ISOLATION_NONE;
  else if (strcmp(v, "full") != 0)
    plat_panic("command line: isolation is full, fault or none");
}

/* HOST:GUEST, or HOST:GUEST:ro; HOST is a 9p mount tag, or TAG/PATH. The word is ours to cut. */
static void add_mount(struct boot_args *b, char *host) {
  char *guest = strchr(host, ':'), *option = guest ? strchr(guest + 1, ':') : NULL;
  if (!guest || guest[1] != '/' || b->n_mounts == MOUNTS_MAX ||
      (option && strcmp(option, ":ro") != 0))
    plat_panic("command line: mount is HOST:GUEST or HOST:GUEST:ro, at most 32 times");
  *guest++ = 0;
  if (option)
    *option = 0;
  mounts[b->n_mounts++] = (struct boot_mount){guest, host, option != NULL};
  b->mounts = mounts;
}

static void word_with_value(struct boot_args *b, char *w) {
  const char *v;
  if ((v = value_of(w, "isolation")))
    isolation(b, v);
  else if ((v = value_of(w, "cpus")))
    machine_options.cpus = (unsigned)number(v);
  else if ((v = value_of(w, "memory")))
    b->memory_limit = number(v);
  else if ((v = value_of(w, "workdir")))
    b->workdir = v;
  else if ((v = value_of(w, "env")) && n_env < WORDS_MAX)
    envp[n_env++] = v;
  else if ((v = value_of(w, "program")))
    b->program = v;
  else if (value_of(w, "mount"))
    add_mount(b, w + sizeof "mount=" - 1);
  else if ((v = value_of(w, "root")))
    b->root = v;
  else if ((v = value_of(w, "rows")))
    machine_options.rows = (u16)number(v);
  else if ((v = value_of(w, "cols")))
    machine_options.cols = (u16)number(v);
}

static void word(struct boot_args *b, char *w) {
  if (strcmp(w, "trace") == 0)
    b->trace = true;
  else if (strcmp(w, "stats") == 0)
    b->stats = true;
  else if (strcmp(w, "quiet") == 0)
    b->quiet = true;
  else if (strcmp(w, "console=framed") == 0)
    machine_options.framed = true;
  else if (strcmp(w, "probe") == 0)
    machine_options.probe = true;
  else if (strcmp(w, "terminal=no") == 0)
    machine_options.terminal = false;
  else
    word_with_value(b, w);
}

/* QEMU's microvm appends the places of its devices to whatever the line ends with. */
static bool is_device_place(const char *w) { return value_of(w, "virtio_mmio.device") != NULL; }

static void program(struct boot_args *b, char *p) {
  static const char *const shell[] = {"/init", NULL};
  unsigned n = 0;
  for (char *w; n < WORDS_MAX && (w = next_word(&p));) {
    if (is_device_place(w))
      continue;
    decode(w);
    argv[n++] = w;
  }
  b->argv = n ? argv : shell;
  if (!b->program)
    b->program = b->argv[0];
}

void cmdline_parse(const char *line, struct boot_args *b) {
  static const char *const default_env[] = {
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "TERM=vt100"};
  char *p = text, *w;
  unsigned n = 0;
  str_copy(text, line, sizeof text);
  *b = (struct boot_args){.workdir = "/"};
  machine_options.terminal = true;
  while ((w = next_word(&p)) && strcmp(w, "--") != 0) {
    decode(w);
    if (n < WORDS_MAX)
      words[n++] = w;
    word(b, w);
  }
  if (n_env == 0)
    for (; n_env < ARRAY_LEN(default_env); n_env++)
      envp[n_env] = default_env[n_env];
  b->envp = envp;
  program(b, p);
}

bool cmdline_value(const char *name, char *value, size_t n) {
  for (const char **w = words; *w; w++) {
    const char *v = value_of(*w, name);
    if (v && str_copy(value, v, n) < n)
      return true;
  }
  return false;
}
