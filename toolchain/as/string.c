/* SPDX-License-Identifier: MIT */
/*
 * String instructions address memory through %rdi and %rsi without a chance to change how; in
 * sequence S3 these registers are absolute while the instruction runs. No flag is touched:
 * gcc keeps flags alive across `rep movs`.
 */
#include "as.h"
#include "ufork/abi.h"

#include <string.h>

static const struct string_op {
  const char *name;
  bool rdi, rsi;
} ops[] = {
    {"movs", true, true},  {"cmps", true, true},  {"stos", true, false},
    {"scas", true, false}, {"lods", false, true},
};

/* `movsb`, `stosq`...; with operands only if these are the implicit ones. */
static const struct string_op *string_op(const struct insn *in) {
  size_t n = strlen(in->name);
  if (n != 5 || !strchr("bwlqd", in->name[4]))
    return NULL;
  for (int i = 0; i < in->ops.count; i++) {
    const struct operand *op = &in->ops.at[i];
    bool implicit = op->kind == OP_MEM && op->index.num == REG_NONE && !*op->disp &&
                    (op->base.num == REG_DI || op->base.num == REG_SI);
    bool accumulator = op->kind == OP_REG && op->reg.num == 0;
    if (!implicit && !accumulator)
      return NULL;
    if (implicit && op->base.width != 64)
      return NULL;
  }
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    bool both = ops[i].rdi && ops[i].rsi;
    if (strncmp(in->name, ops[i].name, 4) != 0)
      continue;
    if (in->ops.count && (in->ops.count != 2 ||
                          (both && (in->ops.at[0].kind != OP_MEM || in->ops.at[1].kind != OP_MEM))))
      return NULL;
    return &ops[i];
  }
  return NULL;
}

static void absolute(int reg) {
  const char *r32 = reg_name(reg, 32), *r64 = reg_name(reg, 64);
  emit_insn("movl %s, %s", r32, r32);
  emit_insn("leaq (%%r11,%s), %s", r64, r64);
}

static void truncate_reg(int reg) {
  emit_insn("movl %s, %s", reg_name(reg, 32), reg_name(reg, 32));
}

bool rewrite_string(struct insn *in) {
  const struct string_op *op = string_op(in);
  if (!op)
    return false;
  emit_lock(LOCK_START);
  emit_insn("movq %d(%%r15), %%r11", UF_TCB_BASE);
  if (op->rdi)
    absolute(REG_DI);
  if (op->rsi)
    absolute(REG_SI);
  emit_insn("%s%s%c", in->st->prefix, op->name, in->name[4] == 'd' ? 'l' : in->name[4]);
  if (op->rdi)
    truncate_reg(REG_DI);
  if (op->rsi)
    truncate_reg(REG_SI);
  emit_unlock();
  return true;
}
