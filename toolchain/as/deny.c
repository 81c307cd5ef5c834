/* SPDX-License-Identifier: MIT */
/* Instructions that no rewrite exists for, with the reason (doc/abi.md, section 8). */
#include "as.h"

#include <string.h>

#define PRIVILEGED "privileged or talks to the machine"
#define SEGMENT "changes or reads segment state"
#define BITMAP "addresses memory beyond its operand; use the register form"

/* `prefix` matches the beginning of the mnemonic if it ends with *, the whole otherwise. */
static const struct {
  const char *pattern, *reason;
} rules[] = {
    {"cli", PRIVILEGED},
    {"sti", PRIVILEGED},
    {"in", PRIVILEGED},
    {"inb", PRIVILEGED},
    {"inw", PRIVILEGED},
    {"inl", PRIVILEGED},
    {"out", PRIVILEGED},
    {"outb", PRIVILEGED},
    {"outw", PRIVILEGED},
    {"outl", PRIVILEGED},
    {"insb", PRIVILEGED},
    {"insw", PRIVILEGED},
    {"insl", PRIVILEGED},
    {"outs*", PRIVILEGED},
    {"rdmsr", PRIVILEGED},
    {"wrmsr", PRIVILEGED},
    {"rdpmc", PRIVILEGED},
    {"invlpg*", PRIVILEGED},
    {"invpcid", PRIVILEGED},
    {"invd", PRIVILEGED},
    {"wbinvd", PRIVILEGED},
    {"wbnoinvd", PRIVILEGED},
    {"clts", PRIVILEGED},
    {"lgdt*", PRIVILEGED},
    {"lidt*", PRIVILEGED},
    {"sgdt*", PRIVILEGED},
    {"sidt*", PRIVILEGED},
    {"lldt*", PRIVILEGED},
    {"sldt*", PRIVILEGED},
    {"ltr*", PRIVILEGED},
    {"str", PRIVILEGED},
    {"smsw*", PRIVILEGED},
    {"lmsw*", PRIVILEGED},
    {"iret*", PRIVILEGED},
    {"sysret*", PRIVILEGED},
    {"sysexit*", PRIVILEGED},
    {"sysenter", PRIVILEGED},
    {"swapgs", PRIVILEGED},
    {"monitor*", PRIVILEGED},
    {"mwait*", PRIVILEGED},
    {"vmcall", PRIVILEGED},
    {"vmmcall", PRIVILEGED},
    {"wrpkru", PRIVILEGED},
    {"rdpkru", PRIVILEGED},
    {"xsetbv", PRIVILEGED},
    {"int", "software interrupts do not exist; use syscall"},
    {"into", "software interrupts do not exist"},
    {"wrfsbase*", SEGMENT},
    {"rdfsbase*", SEGMENT},
    {"wrgsbase*", SEGMENT},
    {"rdgsbase*", SEGMENT},
    {"lds*", SEGMENT},
    {"lss*", SEGMENT},
    {"lfs*", SEGMENT},
    {"lgs*", SEGMENT},
    {"verr", SEGMENT},
    {"verw", SEGMENT},
    {"lar*", SEGMENT},
    {"lsl*", SEGMENT},
    {"ljmp*", "far transfer"},
    {"lcall*", "far transfer"},
    {"lret*", "far transfer"},
    {"std", "the direction flag is always clear"},
    {"popf*", "could set reserved flags"},
    {"enter*", "writes the stack pointer in a way that cannot be checked"},
    {"xlat*", "its memory operand cannot be sandboxed"},
    {"maskmov*", "its memory operand cannot be sandboxed"},
    {"vmaskmovdqu", "its memory operand cannot be sandboxed"},
    {"vgather*", "its memory operands cannot be sandboxed"},
    {"vpgather*", "its memory operands cannot be sandboxed"},
    {"vscatter*", "its memory operands cannot be sandboxed"},
    {"vpscatter*", "its memory operands cannot be sandboxed"},
    {"xsave*", "saves state that is not the program's"},
    {"xrstor*", "loads state that is not the program's"},
    {"fxsave*", "saves state that is not the program's"},
    {"fxrstor*", "loads state that is not the program's"},
    {"xbegin", "no transactional memory"},
    {"xend", "no transactional memory"},
    {"xabort", "no transactional memory"},
};

static bool matches(const char *mnemonic, const char *pattern) {
  size_t n = strlen(pattern);
  return pattern[n - 1] == '*' ? strncmp(mnemonic, pattern, n - 1) == 0
                               : strcmp(mnemonic, pattern) == 0;
}

static bool is_bit_test(const char *m) {
  static const char *const names[] = {"bt",   "btl",  "btq",  "btw",  "bts",  "btsl",
                                      "btsq", "btsw", "btr",  "btrl", "btrq", "btrw",
                                      "btc",  "btcl", "btcq", "btcw", NULL};
  return is_one_of(m, names);
}

static bool is_segment_or_control(const char *reg) {
  static const char *const names[] = {"%cs", "%ds", "%es", "%fs", "%gs", "%ss", NULL};
  return is_one_of(reg, names) || starts(reg, "%cr") || starts(reg, "%db") || starts(reg, "%dr");
}

const char *denied(const char *mnemonic, const struct operands *ops) {
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (matches(mnemonic, rules[i].pattern))
      return rules[i].reason;
  if (is_bit_test(mnemonic) && ops->count == 2 && ops->at[0].kind == OP_REG &&
      ops->at[1].kind == OP_MEM)
    return BITMAP;
  for (int i = 0; i < ops->count; i++) {
    const struct operand *op = &ops->at[i];
    if (op->kind == OP_REG && op->reg.num == REG_OTHER && is_segment_or_control(op->text))
      return SEGMENT;
    if (op->kind == OP_REG && (starts(op->text, "%zmm") || starts(op->text, "%k")))
      return "AVX-512 is not supported";
    if (*op->tail)
      return "AVX-512 is not supported";
  }
  return NULL;
}
