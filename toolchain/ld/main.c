/* SPDX-License-Identifier: MIT */
/*
 * `ld` as gcc calls it: the real linker with our layout, then the image's own relocations.
 * A partial link (-r) and questions (--version, --help) go through unchanged.
 */
#include "../common/args.h"
#include "image.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef UFORK_LD
#define UFORK_LD "ld.bfd"
#endif
#ifndef UFORK_STRIP
#define UFORK_STRIP "strip"
#endif

struct link {
  struct args args;
  const char *output;
  const char *strip; /* option for strip, NULL to keep symbols */
  bool plain;        /* nothing of ours to do */
};

static char *join(const char *a, const char *b) {
  char *s;
  if (asprintf(&s, "%s%s", a, b) < 0)
    fail("ufork-ld", "out of memory");
  return s;
}

static bool is(const char *arg, const char *name) {
  if (arg[0] != '-')
    return false;
  arg += arg[1] == '-' ? 2 : 1;
  return strcmp(arg, name) == 0;
}

/* Options that only make sense for dynamic linking; those of `with_value` have an argument. */
static bool is_dropped(const char *arg, bool *with_value) {
  static const char *const plain[] = {
      "pie",         "no-pie", "pic-executable", "export-dynamic", "E", "Bdynamic",
      "call_shared", "dy",     "as-needed",      "no-as-needed",   "q", "emit-relocs",
      NULL};
  static const char *const valued[] = {"dynamic-linker", "I", "rpath", "rpath-link", "R",
                                       "soname",         "h", NULL};
  *with_value = false;
  for (const char *const *p = plain; *p; p++)
    if (is(arg, *p))
      return true;
  for (const char *const *p = valued; *p; p++)
    if (is(arg, *p))
      return *with_value = true;
  return strncmp(arg, "-rpath=", 7) == 0 || strncmp(arg, "--dynamic-linker=", 17) == 0 ||
         strncmp(arg, "--hash-style", 12) == 0;
}

static void refuse_layout(const char *arg) {
  static const char *const layout[] = {"T", "script", "Ttext", "Tdata",  "Tbss",
                                       "N", "omagic", "n",     "nmagic", NULL};
  if (is(arg, "shared") || is(arg, "Bshareable"))
    fail("ufork-ld", "shared libraries are not supported: link statically (%s)", arg);
  for (const char *const *p = layout; *p; p++)
    if (is(arg, *p))
      fail("ufork-ld", "the layout of an image is fixed (%s)", arg);
  if (strncmp(arg, "-Ttext", 6) == 0 || strncmp(arg, "--script=", 9) == 0)
    fail("ufork-ld", "the layout of an image is fixed (%s)", arg);
}

static void parse(struct link *l, const struct args *in) {
  bool with_value;
  l->output = "a.out";
  for (int i = 0; i < in->count; i++) {
    const char *arg = in->at[i];
    if (is(arg, "r") || is(arg, "relocatable") || is(arg, "i") || is(arg, "version") ||
        is(arg, "help"))
      l->plain = true;
    if (strcmp(arg, "-o") == 0 && i + 1 < in->count)
      l->output = in->at[i + 1];
    else if (strncmp(arg, "-o", 2) == 0 && arg[2] && !strstr(arg, "omagic"))
      l->output = arg + 2;
    if (is(arg, "s") || is(arg, "strip-all"))
      l->strip = "-s";
    else if ((is(arg, "S") || is(arg, "strip-debug")) && !l->strip)
      l->strip = "-g";
    else if (is_dropped(arg, &with_value))
      i += with_value;
    else
      args_add(&l->args, arg);
  }
}

static void run(const struct args *a) {
  pid_t pid = fork();
  int status;
  if (pid == 0) {
    execvp(a->at[0], (char **)a->at);
    fail("ufork-ld", "cannot run %s", a->at[0]);
  }
  if (pid < 0 || waitpid(pid, &status, 0) < 0)
    fail("ufork-ld", "cannot run %s", a->at[0]);
  if (!WIFEXITED(status) || WEXITSTATUS(status))
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void run_linker(const struct link *l, const char *folder) {
  const char *const ours[] = {UFORK_LD,
                              "-static",
                              "-no-pie",
                              "--emit-relocs",
                              "--eh-frame-hdr",
                              "--no-relax",
                              "-z",
                              "noexecstack",
                              "-z",
                              "max-page-size=4096",
                              "-z",
                              "norelro",
                              "-z",
                              "separate-code",
                              "-T"};
  struct args a = {0};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    args_add(&a, ours[i]);
  args_add(&a, join(folder, "/ufork.ld"));
  args_add(&a, join(folder, "/image.o"));
  for (int i = 0; i < l->args.count; i++)
    args_add(&a, l->args.at[i]);
  run(&a);
}

static void run_strip(const struct link *l) {
  const char *const words[] = {UFORK_STRIP, l->strip, l->output};
  struct args a = {0};
  for (size_t i = 0; i < 3; i++)
    args_add(&a, words[i]);
  run(&a);
}

/* `-o /dev/null`: only whether it links is asked. */
static bool is_discarded(const char *output) {
  struct stat st;
  return stat(output, &st) == 0 && !S_ISREG(st.st_mode);
}

int main(int argc, char **argv) {
  struct args in = {0};
  struct link l = {0};
  struct image im = {0};
  struct relocs relocs = {0};
  args_expand(&in, argc, argv);
  parse(&l, &in);
  if (l.plain) {
    struct args a = {0};
    args_add(&a, UFORK_LD);
    for (int i = 0; i < in.count; i++)
      args_add(&a, in.at[i]);
    run(&a);
    return 0;
  }
  for (int i = 0; i < in.count; i++)
    refuse_layout(in.at[i]);
  run_linker(&l, program_folder(1));
  if (is_discarded(l.output))
    return 0;
  image_load(&im, l.output);
  relocs_collect(&im, &relocs);
  image_save(&im, &relocs);
  if (l.strip)
    run_strip(&l);
  return 0;
}
