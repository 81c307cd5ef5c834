/* SPDX-License-Identifier: MIT */
/*
 * ufork-cc: stock gcc with our assembler, linker and C library. It adds the flags of doc/abi.md,
 * section 10, takes away those that contradict them, and refuses what cannot be sandboxed.
 */
#include "../common/args.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef UFORK_GCC
#define UFORK_GCC "gcc"
#endif

/*
 * Overridable. An indirect jump is masked, aligns each of its targets to a bundle and is often
 * mispredicted for it: comparing is faster than a jump table for switches of some 30 cases.
 */
static const char *const preferred[] = {"--param=case-values-threshold=20"};

static const char *const imposed[] = {"-ffixed-r11",
                                      "-ffixed-r15",
                                      "-fno-pic",
                                      "-fno-pie",
                                      "-no-pie",
                                      "-mcmodel=small",
                                      "-ftls-model=local-exec",
                                      "-mno-tls-direct-seg-refs",
                                      "-mindirect-branch-register",
                                      "-fcf-protection=none",
                                      "-fno-stack-protector",
                                      "-fno-stack-clash-protection",
                                      "-gno-variable-location-views",
                                      "-mno-avx512f",
                                      "-static"};

struct rule {
  const char *pattern; /* a whole option, or its beginning if it ends with * */
  const char *reason;  /* why it is refused; NULL: dropped silently */
};

static const struct rule rules[] = {
    {"-fPIC", NULL},
    {"-fpic", NULL},
    {"-fPIE", NULL},
    {"-fpie", NULL},
    {"-pie", NULL},
    {"-static-pie", NULL},
    {"-rdynamic", NULL},
    {"-fplt", NULL},
    {"-fno-plt", NULL},
    {"-ftls-model=*", NULL},
    {"-mtls-dialect=*", NULL},
    {"-mtls-direct-seg-refs", NULL},
    {"-mcmodel=*", NULL},
    {"-mindirect-branch*", NULL},
    {"-mfunction-return=*", NULL},
    {"-fcf-protection*", NULL},
    {"-fstack-protector*", NULL},
    {"-fstack-clash-protection", NULL},
    {"-flto", NULL}, /* not tried; the code is the same without */
    {"-flto=*", NULL},
    {"-shared", "shared libraries are not supported: images are static"},
    {"-m32", "only 64-bit code can be sandboxed"},
    {"-mx32", "only the LP64 model is supported"},
    {"-m16", "only 64-bit code can be sandboxed"},
    {"-masm=intel", "the assembler stage reads AT&T syntax only"},
    {"-fsplit-stack", "split stacks keep their limit where code cannot read it"},
    {"-ffixed-*", NULL},
    {"-fcall-saved-r1*", "%r11 and %r15 belong to the sandbox"},
};

static bool matches(const char *arg, const char *pattern) {
  size_t n = strlen(pattern);
  return pattern[n - 1] == '*' ? strncmp(arg, pattern, n - 1) == 0 : strcmp(arg, pattern) == 0;
}

static const struct rule *find_rule(const char *arg) {
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (matches(arg, rules[i].pattern))
      return &rules[i];
  return NULL;
}

static void refuse(const char *what, const char *reason) {
  fprintf(stderr, "ufork-cc: error: %s: %s\n", what, reason);
  exit(1);
}

static char *join(const char *a, const char *b) {
  char *s;
  if (asprintf(&s, "%s%s", a, b) < 0)
    refuse("memory", "exhausted");
  return s;
}

/* Options whose value is the next argument, which must not be taken for an option. */
static bool takes_value(const char *arg) {
  static const char *const names[] = {"-o",         "-I",      "-L",       "-D",
                                      "-U",         "-l",      "-x",       "-MF",
                                      "-MT",        "-MQ",     "-include", "-isystem",
                                      "-u",         "-T",      "-Xlinker", "-Xassembler",
                                      "-idirafter", "-iquote", "-imacros", "-Xpreprocessor",
                                      "-e",         "-z",      "-B",       NULL};
  for (const char *const *p = names; *p; p++)
    if (strcmp(arg, *p) == 0)
      return true;
  return false;
}

/* Questions about the installation that gcc would answer for the host. */
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
    if (rule && rule->reason)
      refuse(arg, rule->reason);
    if (rule)
      continue;
    args_add(out, arg);
    if (takes_value(arg) && i + 1 < in->count)
      args_add(out, in->at[++i]);
  }
}

int main(int argc, char **argv) {
  struct args in = {0}, out = {0};
  char *root = program_folder(2);
  char *libexec = join(root, "/libexec/ufork/");
  char *sysroot = join(root, "/sysroot");
  const char *cc = getenv("UFORK_CC");
  if (cc && strncmp(cc, "clang", 5) == 0)
    refuse("UFORK_CC=clang", "clang cannot keep %r11 and %r15 free on x86-64; use gcc");
  args_expand(&in, argc, argv);
  args_add(&out, cc && *cc ? cc : UFORK_GCC);
  args_add(&out, join(join("-specs=", libexec), "ufork.specs"));
  args_add(&out, join("-B", libexec));
  for (size_t i = 0; i < sizeof preferred / sizeof *preferred; i++)
    args_add(&out, preferred[i]);
  take_user_args(&out, &in, sysroot);
  for (size_t i = 0; i < sizeof imposed / sizeof *imposed; i++)
    args_add(&out, imposed[i]);
  setenv("UFORK_SYSROOT", sysroot, 1);
  unsetenv("GCC_EXEC_PREFIX");
  unsetenv("LIBRARY_PATH");
  execvp(out.at[0], (char **)out.at);
  perror(out.at[0]);
  return 1;
}
