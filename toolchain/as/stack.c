/* SPDX-License-Identifier: MIT */
/*
 * Instructions that name the stack pointer as a register. It holds base + offset: reading it
 * yields the offset, small constant adjustments stay as they are, every other write goes
 * through sequence S2.
 */
#include "as.h"
#include "ufork/abi.h"

#include <stdlib.h>
#include <string.h>

static bool is_sp(const struct operand *op) { return op->kind == OP_REG && op->reg.num == REG_SP; }

/* `name` is `base`, or `base` with a size suffix that fits %rsp or %esp. */
static bool is_op(const char *name, const char *base) {
  size_t n = strlen(base);
  return strncmp(name, base, n) == 0 && (!name[n] || streq(name + n, "q") || streq(name + n, "l"));
}

/* ---- writing ------------------------------------------------------------------------- */

/* S2: `op` writes %esp, then the base is added again. */
static void rebase(const char *op) {
  emit_lock(LOCK_START);
  emit_insn("movq %d(%%r15), %%r11", UF_TCB_BASE);
  emit_insn("%s", op);
  emit_insn("leaq (%%rsp,%%r11), %%rsp");
  emit_unlock();
  emit_touched();
}

/* The source operand of `op` for a write to %esp. */
static char *narrow_source(struct insn *in, struct operand *op) {
  if (op->kind == OP_REG) {
    if (op->reg.num == REG_OTHER || op->reg.width < 32)
      refuse(in->st->pos, "`%s %s`: unsupported write to the stack pointer", in->st->name,
             in->st->args);
    return fmt("%s", reg_name(op->reg.num, 32));
  }
  sandbox_operand(in, op);
  return print_operand(op);
}

static void move_to_sp(struct insn *in) {
  struct operand *from = &in->ops.at[0];
  take_scratch(in);
  if (from->kind == OP_IMM)
    rebase(fmt("leal %s, %%esp", from->text));
  else
    rebase(fmt("movl %s, %%esp", narrow_source(in, from)));
}

static void lea_to_sp(struct insn *in) {
  struct operand *from = &in->ops.at[0];
  long long disp = 0;
  if (is_stack_form(from) && (!*from->disp || parse_number(from->disp, &disp)) &&
      llabs(disp) <= UF_RSP_DRIFT_MAX) {
    emit_drift(disp);
    emit_insn("leaq %s, %%rsp", print_operand(from));
    return;
  }
  if (is_rip(from))
    from->base.num = REG_NONE;
  if (from->seg || *from->reloc)
    refuse(in->st->pos, "cannot take the address of `%s`", from->text);
  rebase(fmt("leal %s, %%esp", print_operand(from)));
}

/*
 * add, sub, and by a value in memory: S2 has no such form, and %r11 is taken by the base, so the
 * new offset travels through memory below the stack. gcc uses no red zone where it emits this,
 * and the flags are the instruction's own.
 */
static void adjust_sp_by_memory(struct insn *in, const char *op) {
  struct operand *by = &in->ops.at[0];
  if (by->base.num == REG_SP || by->index.num == REG_SP)
    by->disp = *by->disp ? fmt("%s+8", by->disp) : "8";
  emit_insn("pushq %%rax");
  sandbox_operand(in, by);
  emit_insn("movl %s, %%eax", print_operand(by));
  if (streq(op, "and")) {
    emit_insn("leal 8(%%rsp), %%r11d");
    emit_insn("andl %%r11d, %%eax");
  } else {
    if (streq(op, "sub"))
      emit_insn("negl %%eax");
    emit_insn("leal 8(%%rsp,%%rax), %%eax");
  }
  emit_insn("xchgq %%rax, (%%rsp)");
  rebase("movl (%rsp), %esp");
}

/* add, sub, and: by a small constant in place, otherwise on the offset. */
static void adjust_sp(struct insn *in, const char *op) {
  struct operand *by = &in->ops.at[0];
  long long value;
  if (by->kind == OP_IMM && parse_number(by->text, &value) && in->ops.at[1].reg.width == 64) {
    bool align = streq(op, "and");
    if (align ? value < 0 && value >= -UF_RSP_TOUCH_MAX : llabs(value) <= UF_RSP_DRIFT_MAX) {
      emit_drift(value);
      emit_insn("%sq $%lld, %%rsp", op, value);
      return;
    }
  }
  if (by->kind == OP_MEM) {
    adjust_sp_by_memory(in, op);
    return;
  }
  take_scratch(in);
  rebase(by->kind == OP_IMM ? fmt("%sl $%s, %%esp", op, by->text)
                            : fmt("%sl %s, %%esp", op, narrow_source(in, by)));
}

static bool write_sp(struct insn *in) {
  static const char *const adjusts[] = {"add", "sub", "and", NULL};
  const char *name = in->name;
  if (in->ops.at[in->ops.count - 1].reg.width < 32)
    return false;
  if (is_op(name, "pop")) {
    take_scratch(in);
    rebase("movl (%rsp), %esp");
    return true;
  }
  if (in->ops.count != 2)
    return false;
  if (is_op(name, "mov") || is_op(name, "movabs")) {
    move_to_sp(in);
    return true;
  }
  if (is_op(name, "lea")) {
    lea_to_sp(in);
    return true;
  }
  for (const char *const *op = adjusts; *op; op++)
    if (is_op(name, *op)) {
      adjust_sp(in, *op);
      return true;
    }
  return false;
}

/* ---- reading ------------------------------------------------------------------------- */

static bool only_reads_last(const char *name) {
  static const char *const names[] = {"cmp", "test", "push", "bt", "mul", "div", "idiv", NULL};
  for (const char *const *p = names; *p; p++)
    if (is_op(name, *p))
      return true;
  return false;
}

static bool writes_two(const char *name) {
  return starts(name, "xchg") || starts(name, "xadd") || starts(name, "cmpxchg");
}

static void read_sp(struct insn *in) {
  take_scratch(in);
  emit_insn("movl %%esp, %%r11d");
  for (int i = 0; i < in->ops.count; i++)
    if (is_sp(&in->ops.at[i]) && in->ops.at[i].reg.width == 64) {
      in->ops.at[i].reg.num = REG_SCRATCH;
      in->ops.at[i].text = "%r11";
    }
}

/* `leave` and instructions with a stack pointer operand; false if the generic path may go on. */
bool rewrite_stack(struct insn *in) {
  struct operands *ops = &in->ops;
  bool reads64 = false, any = false;
  if (streq(in->name, "leave") || streq(in->name, "leaveq")) {
    rebase("movl %ebp, %esp");
    emit_insn("popq %%rbp");
    return true;
  }
  for (int i = 0; i < ops->count; i++) {
    any |= is_sp(&ops->at[i]);
    reads64 |= is_sp(&ops->at[i]) && ops->at[i].reg.width == 64;
  }
  if (!any)
    return false;
  struct operand *last = &ops->at[ops->count - 1];
  bool writes = is_sp(last) && !only_reads_last(in->name);
  if (writes || writes_two(in->name)) {
    if (writes_two(in->name) || !write_sp(in))
      refuse(in->st->pos, "`%s %s`: unsupported write to the stack pointer", in->st->name,
             in->st->args);
    return true;
  }
  if (is_op(in->name, "mov") && last->kind == OP_REG && last->reg.num != REG_OTHER && reads64) {
    emit_insn("movl %%esp, %s", reg_name(last->reg.num, 32));
    return true;
  }
  if (reads64)
    read_sp(in);
  return false;
}
