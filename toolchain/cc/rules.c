/* SPDX-License-Identifier: MIT */
/* What becomes of the user's options. */
#include "cc.h"

#include <string.h>

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
    {"-fuse-ld=*", NULL},      /* only ours lays out images */
    {"-fintegrated-as", NULL}, /* only ours sandboxes */
    {"-integrated-as", NULL},
    {"-target", "only x86-64 code can be sandboxed"},
    {"--target=*", "only x86-64 code can be sandboxed"},
    {"-ffixed-*", NULL},
    {"-fcall-saved-r1*", "%r11 and %r15 belong to the sandbox"},
};

static bool matches(const char *arg, const char *pattern) {
  size_t n = strlen(pattern);
  return pattern[n - 1] == '*' ? strncmp(arg, pattern, n - 1) == 0 : strcmp(arg, pattern) == 0;
}

const struct rule *find_rule(const char *arg) {
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (matches(arg, rules[i].pattern))
      return &rules[i];
  return NULL;
}

bool takes_value(const char *arg) {
  static const char *const names[] = {"-o",         "-I",      "-L",       "-D",
                                      "-U",         "-l",      "-x",       "-MF",
                                      "-MT",        "-MQ",     "-include", "-isystem",
                                      "-u",         "-T",      "-Xlinker", "-Xassembler",
                                      "-idirafter", "-iquote", "-imacros", "-Xpreprocessor",
                                      "-e",         "-z",      "-B",       "-Xclang",
                                      "-mllvm",     NULL};
  for (const char *const *p = names; *p; p++)
    if (strcmp(arg, *p) == 0)
      return true;
  return false;
}
