/* SPDX-License-Identifier: MIT */
/*
 * clang: our sysroot looks to it like one of a musl system, and a plugin (toolchain/clang) keeps
 * %r11 and %r15 free, which it has no option for. It has none for indirect branches through
 * registers either: the assembler stage rewrites those through memory.
 */
#include "cc.h"

/* See gcc.c: jump tables from 20 cases on. */
static const char *const preferred[] = {"-mllvm", "-min-jump-table-entries=20", NULL};

/*
 * The plugin works in the optimizing register allocator, which -O0 would not use. Gathers cannot
 * be sandboxed. An anti-dependency breaker could rename a register to %r11. A request for remarks,
 * of a pass that does not exist, makes clang keep track of lines, for messages (see the plugin).
 */
static const char *const imposed[] = {"--start-no-unused-arguments",
                                      "-fno-integrated-as",
                                      "-fno-addrsig",
                                      "-rtlib=libgcc",
                                      "-unwindlib=libgcc",
                                      "-mllvm",
                                      "-optimize-regalloc",
                                      "-mllvm",
                                      "-break-anti-dependencies=none",
                                      "-Xclang",
                                      "-target-feature",
                                      "-Xclang",
                                      "-fast-gather",
                                      "-Rpass-missed=^$",
                                      NULL};

static void begin(struct args *out, const struct install *where) {
  const char *plugin = join(where->libexec, "reserve.so");
  args_add(out, "--start-no-unused-arguments");
  args_add(out, "--target=x86_64-linux-musl");
  args_add(out, join("--sysroot=", where->sysroot));
  args_add(out, join("--gcc-toolchain=", where->sysroot)); /* not the host's */
  args_add(out, join("-B", where->libexec));
  args_add(out, join("-fplugin=", plugin));
  args_add(out, join("-fpass-plugin=", plugin));
  args_add_all(out, preferred);
  args_add(out, "--end-no-unused-arguments");
}

const struct compiler clang = {begin, imposed};
