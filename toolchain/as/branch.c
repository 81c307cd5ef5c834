/* SPDX-License-Identifier: MIT */
/*
 * Transfers of control: direct branches stay, indirect ones are masked (sequence S1), calls end
 * their bundle, returns pop, mask and jump, system calls go through the gate (sequence S4).
 */
#include "as.h"
#include "ufork/abi.h"

#include <ctype.h>
#include <string.h>

/* ---- direct -------------------------------------------------------------------------- */

/*
 * A branch target must be a symbol or a local label: an expression counts bytes of code that
 * are not those of the source any more.
 */
static char *direct_target(const struct stmt *st) {
  const char *s = st->args;
  size_t n = 0;
  if (*s == '"' && strchr(s + 1, '"'))
    n = strcspn(s + 1, "\"") + 2;
  else
    while (is_ident(s[n]))
      n++;
  bool local = isdigit((unsigned char)*s) && n > 1 && (s[n - 1] == 'f' || s[n - 1] == 'b') &&
               strspn(s, "0123456789") == n - 1;
  bool symbol = (*s == '"' && n) || (is_ident_start(*s) && !(n == 1 && *s == '.'));
  const char *rest = s + n;
  while (isspace((unsigned char)*rest))
    rest++;
  if ((!local && !symbol) || (*rest && !streq(rest, "@PLT") && !streq(rest, "@plt")))
    refuse(st->pos, "`%s %s`: the target of a branch must be a label", st->name, st->args);
  return xstrndup(s, n);
}

static void direct_call(const char *target) {
  emit_lock(LOCK_END);
  emit_insn("call %s", target);
  emit_unlock();
  emit_touched();
}

/* Branches on %rcx reach 127 bytes only; the rewritten code can be longer. */
static bool count_branch(const struct stmt *st, const char *target) {
  bool narrow = streq(st->name, "jecxz");
  if (narrow || streq(st->name, "jrcxz")) {
    emit_insn("%s 771f", st->name);
    emit_insn("jmp 772f");
    emit_text("771: jmp %s", target);
    emit_text("772:");
    return true;
  }
  if (!starts(st->name, "loop"))
    return false;
  const char *cond = st->name + 4;
  if (*cond && !streq(cond, "e") && !streq(cond, "ne") && !streq(cond, "z") && !streq(cond, "nz"))
    refuse(st->pos, "unknown instruction `%s`", st->name);
  emit_insn("leaq -1(%%rcx), %%rcx");
  emit_insn("jrcxz 772f");
  emit_insn("j%s %s", *cond ? cond : "mp", target);
  emit_text("772:");
  return true;
}

static void direct_branch(const struct stmt *st, const char *target) {
  if (starts(st->name, "call")) {
    direct_call(target);
    return;
  }
  emit_touch();
  if (!count_branch(st, target))
    emit_insn("%s %s", streq(st->name, "jmpq") ? "jmp" : st->name, target);
}

/* ---- indirect ------------------------------------------------------------------------ */

static void masked(bool call, int reg) {
  emit_lock(call ? LOCK_END : LOCK_START);
  emit_insn("andl $0x%x, %s", UF_CODE_MASK, reg_name(reg, 32));
  emit_insn("%s *%s", call ? "call" : "jmp", reg_name(reg, 64));
  emit_unlock();
}

static void indirect_branch(struct insn *in) {
  struct operand *op = &in->ops.at[0];
  bool call = starts(in->name, "call");
  int reg = op->reg.num;
  op->star = false;
  if (is_rip(op) && is_got(op)) {
    direct_branch(in->st, op->disp);
    return;
  }
  if (in->ops.count != 1 || op->kind == OP_IMM)
    refuse(in->st->pos, "cannot parse `%s %s`", in->st->name, in->st->args);
  if (op->kind == OP_REG && (reg == REG_SP || op->reg.width != 64))
    refuse(in->st->pos, "indirect branch through %s", op->text);
  if (!call)
    emit_touch();
  if (op->kind == OP_MEM) {
    sandbox_operand(in, op);
    emit_insn("movq %s, %%r11", print_operand(op));
    reg = REG_SCRATCH;
  }
  masked(call, reg);
  if (call)
    emit_touched();
}

static void ret(struct insn *in) {
  if (in->ops.count)
    refuse(in->st->pos, "`ret` with an operand is not supported");
  emit_insn("popq %%r11");
  emit_touched();
  masked(false, REG_SCRATCH);
}

/* ---- system ---------------------------------------------------------------------------- */

/* The return address is the next bundle; 4 is the length of the jump. */
static void system_call(void) {
  emit_touch();
  emit_lock(LOCK_END);
  emit_insn("leaq 4(%%rip), %%r11");
  emit_insn("jmp *%d(%%r15)", UF_TCB_GATE);
  emit_unlock();
}

bool rewrite_branch(struct insn *in) {
  static const char *const returns[] = {"ret", "retq", "retn", NULL};
  if (is_one_of(in->name, returns)) {
    ret(in);
  } else if (is_direct_branch(in->name)) {
    if (in->ops.count)
      indirect_branch(in);
    else
      direct_branch(in->st, direct_target(in->st));
  } else if (streq(in->name, "syscall")) {
    system_call();
  } else if (streq(in->name, "hlt")) { /* a privileged instruction is a SIGSEGV */
    emit_insn("movb $0, %%gs:0");
  } else {
    return false;
  }
  return true;
}
