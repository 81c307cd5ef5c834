/* SPDX-License-Identifier: MIT */
/* The command line: which compiler, and what it is called with. */
#include "cc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef UFORK_GCC
#define UFORK_GCC "gcc"
#endif
#ifndef UFORK_CLANG
#define UFORK_CLANG "clang-14" /* the version that the plugin is built for */
#endif

static const char help[] =
    "ufork-cc: a stock compiler that makes uFork images; its options are the compiler's.\n"
    "  UFORK_CC=gcc     in the environment: gcc, or a path of one (the default)\n"
    "  UFORK_CC=clang   clang 14; so does calling this program as ufork-clang\n"
    "Options that contradict the sandbox are dropped or refused: doc/abi.md, section 10.\n";

/* Both compilers; see gcc.c and clang.c for their own. */
static const char *const imposed[] = {"-fno-pic",
                                      "-fno-pie",
                                      "-no-pie",
                                      "-mcmodel=small",
                                      "-ftls-model=local-exec",
                                      "-mno-tls-direct-seg-refs",
                                      "-fcf-protection=none",
                                      "-fno-stack-protector",
                                      "-fno-stack-clash-protection",
                                      "-mno-avx512f",
                                      "-static",
                                      NULL};

void refuse(const char *what, const char *reason) {
  fprintf(stderr, "ufork-cc: error: %s: %s\n", what, reason);
  exit(1);
}

char *join(const char *a, const char *b) {
  char *s;
  if (asprintf(&s, "%s%s", a, b) < 0)
    refuse("memory", "exhausted");
  return s;
}

/* Questions about the installation that the compiler would answer for the host. */
static bool answer(const char *arg, const char *sysroot) {
  if (strcmp(arg, "-dumpmachine") == 0)
    puts("x86_64-linux-musl");
  else if (strcmp(arg, "-print-libgcc-file-name") == 0)
    printf("%s/lib/libgcc.a\n", sysroot);
  else if (strcmp(arg, "-print-sysroot") == 0)
    puts(sysroot);
  else
    return false;
  return true;
}

static bool answer_file_name(const char *arg, const char *sysroot) {
  static const char option[] = "-print-file-name=";
  if (strncmp(arg, option, sizeof option - 1) != 0)
    return false;
  char *path = join(join(sysroot, "/lib/"), arg + sizeof option - 1);
  if (access(path, F_OK) < 0)
    return false;
  puts(path);
  return true;
}

static void take_user_args(struct args *out, const struct args *in, const char *sysroot) {
  for (int i = 0; i < in->count; i++) {
    const char *arg = in->at[i];
    const struct rule *rule = find_rule(arg);
    if (answer(arg, sysroot) || answer_file_name(arg, sysroot))
      exit(0);
    if (strcmp(arg, "--help") == 0) {
      puts(help);
      fflush(stdout);
    }
    if (rule && rule->reason)
      refuse(arg, rule->reason);
    if (rule)
      continue;
    args_add(out, arg);
    if (takes_value(arg) && i + 1 < in->count)
      args_add(out, in->at[++i]);
  }
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* The program to run; a clang is always the one that the plugin fits. */
static const char *choose(const char *self, const struct compiler **compiler) {
  const char *cc = getenv("UFORK_CC");
  bool by_name = strcmp(base_name(self), "ufork-clang") == 0;
  *compiler = &gcc;
  if (!by_name && (!cc || !*cc))
    return UFORK_GCC;
  if (!by_name && strncmp(base_name(cc), "clang", 5) != 0)
    return cc;
  if (!by_name && strcmp(cc, "clang") != 0 && strcmp(cc, UFORK_CLANG) != 0)
    refuse(cc, "the clang that can be used is " UFORK_CLANG);
  *compiler = &clang;
  return UFORK_CLANG;
}

int main(int argc, char **argv) {
  struct args in = {0}, out = {0};
  const struct compiler *compiler;
  char *root = program_folder(2);
  struct install where = {join(root, "/libexec/ufork/"), join(root, "/sysroot")};
  args_expand(&in, argc, argv);
  args_add(&out, choose(argv[0], &compiler));
  compiler->begin(&out, &where);
  take_user_args(&out, &in, where.sysroot);
  args_add_all(&out, compiler->imposed);
  args_add_all(&out, imposed);
  setenv("UFORK_SYSROOT", where.sysroot, 1);
  unsetenv("GCC_EXEC_PREFIX");
  unsetenv("LIBRARY_PATH");
  execvp(out.at[0], (char **)out.at);
  perror(out.at[0]);
  return 1;
}
