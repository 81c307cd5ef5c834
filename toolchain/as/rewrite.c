/* SPDX-License-Identifier: MIT */
/* Second pass: every statement becomes what doc/abi.md allows. */
#include "as.h"
#include "ufork/abi.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory operands ----------------------------------------------------------------- */

void take_scratch(struct insn *in) {
  if (in->scratch_used)
    refuse(in->st->pos, "`%s %s` needs two scratch registers to sandbox", in->st->name,
           in->st->args);
  in->scratch_used = true;
}

bool is_got(const struct operand *op) {
  return starts(op->reloc, "GOTPCREL") || starts(op->reloc, "gotpcrel");
}

static bool is_gottp(const struct operand *op) {
  return streq(op->reloc, "gottpoff") || streq(op->reloc, "GOTTPOFF");
}

static void replace_got(struct insn *in, struct operand *op) {
  const char *value = is_got(op) ? op->disp : fmt("%s@tpoff", op->disp);
  bool has_imm = false;
  for (int i = 0; i < in->ops.count; i++)
    has_imm |= in->ops.at[i].kind == OP_IMM;
  bool read_only = op == &in->ops.at[0] && !has_imm && in->ops.count == 2;
  if (read_only || starts(in->name, "push")) {
    *op = (struct operand){.kind = OP_IMM, .text = value, .tail = "", .disp = "", .reloc = ""};
    return;
  }
  take_scratch(in);
  emit_insn("movq $%s, %%r11", value);
  *op = (struct operand){.kind = OP_REG,
                         .reg = {REG_SCRATCH, 64},
                         .text = "%r11",
                         .tail = "",
                         .disp = "",
                         .reloc = ""};
}

/* `%fs:` means relative to the thread pointer, which the TCB holds. */
static void use_thread_pointer(struct insn *in, struct operand *op) {
  take_scratch(in);
  emit_insn("movl %d(%%r15), %%r11d", UF_TCB_TP);
  struct reg scratch = {REG_SCRATCH, 32};
  if (op->base.num == REG_NONE || is_rip(op)) {
    op->base = scratch;
  } else if (op->index.num == REG_NONE) {
    op->index = scratch;
    op->scale = "";
  } else {
    emit_insn("leal (%%r11,%s), %%r11d", reg_name(op->base.num, 64));
    op->base = scratch;
  }
  op->seg = NULL;
}

/* Segment prefixes other than %fs mean nothing in 64-bit mode, or are ours. */
static void check_segment(struct insn *in, struct operand *op) {
  if (!op->seg)
    return;
  if (streq(op->seg, "fs"))
    use_thread_pointer(in, op);
  else if (streq(op->seg, "gs"))
    refuse(in->st->pos, "%%gs is reserved (`%s`)", op->text);
  else
    op->seg = NULL;
}

static void check_reloc(struct insn *in, struct operand *op) {
  static const char *const plain[] = {"PLT",  "plt",  "tpoff", "TPOFF", "dtpoff",
                                      "SIZE", "size", "",      NULL};
  if (!is_one_of(op->reloc, plain))
    refuse(in->st->pos, "relocation @%s is not supported (`%s`)", op->reloc, op->text);
  if (streq(op->reloc, "PLT") || streq(op->reloc, "plt"))
    op->reloc = "";
}

void sandbox_operand(struct insn *in, struct operand *op) {
  long long value;
  if (op->kind != OP_MEM)
    return;
  if (is_rip(op) && (is_got(op) || is_gottp(op))) {
    replace_got(in, op);
    return;
  }
  check_reloc(in, op);
  check_segment(in, op);
  if (is_stack_form(op))
    return;
  if (is_rip(op)) {
    if (!*op->disp || parse_number(op->disp, &value))
      refuse(in->st->pos, "`%s` reads code, which is not readable", op->text);
    op->base.num = REG_NONE;
  }
  if (op->index.num == REG_SP) { /* only a base can be %rsp; the assembler swaps them silently */
    op->index = op->base;
    op->base = (struct reg){REG_SP, 64};
  }
  if (op->base.num == REG_NONE && op->index.num == REG_NONE && parse_number(op->disp, &value) &&
      (value < 0 || value > 0x7fffffff)) {
    take_scratch(in);
    emit_insn("movl $%lld, %%r11d", value & 0xffffffff);
    op->base.num = REG_SCRATCH;
    op->disp = "";
  }
  if (op->base.num != REG_NONE)
    op->base.width = 32;
  if (op->index.num != REG_NONE)
    op->index.width = 32;
  op->seg = "gs";
}

/* ---- instructions -------------------------------------------------------------------- */

static void check_reserved(const struct stmt *st, const struct reg *reg) {
  if (reg->num == REG_SCRATCH)
    refuse(st->pos, "%%r11 is the sandbox's scratch register (`%s %s`)", st->name, st->args);
  if (reg->num == REG_TCB)
    refuse(st->pos, "%%r15 is reserved (`%s %s`)", st->name, st->args);
}

static void check_registers(const struct insn *in) {
  for (int i = 0; i < in->ops.count; i++) {
    check_reserved(in->st, &in->ops.at[i].reg);
    if (in->ops.at[i].kind == OP_MEM) {
      check_reserved(in->st, &in->ops.at[i].base);
      check_reserved(in->st, &in->ops.at[i].index);
    }
  }
}

/* A load or store through disp(%rsp) proves that %rsp is in the region. */
static bool is_touch(const struct operand *op) {
  long long disp = 0;
  return is_stack_form(op) && (!*op->disp || parse_number(op->disp, &disp)) &&
         llabs(disp) <= UF_RSP_TOUCH_MAX;
}

/* These may skip their access, so they prove nothing. */
static bool is_conditional(const char *name) {
  return starts(name, "prefetch") || starts(name, "vmaskmov") || starts(name, "vpmaskmov");
}

static bool is_push_pop(const char *name) {
  static const char *const names[] = {"push", "pushq", "pushw", "pushf", "pushfq",
                                      "pop",  "popq",  "popw",  NULL};
  return is_one_of(name, names);
}

static void finish(struct insn *in) {
  bool touched = is_push_pop(in->name);
  emit_insn("%s%s %s", in->st->prefix, in->name, print_operands(&in->ops));
  for (int i = 0; i < in->ops.count; i++)
    touched |= is_touch(&in->ops.at[i]) && !is_conditional(in->name);
  if (touched)
    emit_touched();
}

/* lea computes addresses: of symbols as constants, of the stack as an offset. */
static bool rewrite_lea(struct insn *in) {
  static const char *const names[] = {"lea", "leaq", "leal", "leaw", NULL};
  long long value;
  if (!is_one_of(in->name, names) || in->ops.count != 2 || in->ops.at[0].kind != OP_MEM ||
      in->ops.at[1].kind != OP_REG)
    return false;
  struct operand *from = &in->ops.at[0], *to = &in->ops.at[1];
  if (from->seg || is_got(from))
    refuse(in->st->pos, "cannot take the address of `%s`", from->text);
  check_reloc(in, from);
  if (is_rip(from)) {
    if (parse_number(from->disp, &value) || !*from->disp || to->reg.width < 32)
      refuse(in->st->pos, "`%s` is not the address of a symbol", from->text);
    emit_insn("movl $%s, %s", from->disp, reg_name(to->reg.num, 32));
    return true;
  }
  if ((from->base.num == REG_SP || from->index.num == REG_SP) && to->reg.width == 64)
    emit_insn("leal %s, %s", print_operand(from), reg_name(to->reg.num, 32));
  else
    emit_insn("%s %s", in->name, print_operands(&in->ops));
  return true;
}

/* gcc reads the thread pointer as %fs:0, where the psABI keeps a copy of it. */
static bool rewrite_get_tp(struct insn *in) {
  long long disp;
  if ((!streq(in->name, "mov") && !streq(in->name, "movq")) || in->ops.count != 2)
    return false;
  struct operand *from = &in->ops.at[0], *to = &in->ops.at[1];
  if (from->kind != OP_MEM || !from->seg || !streq(from->seg, "fs") || to->kind != OP_REG ||
      to->reg.width != 64 || to->reg.num == REG_SP || from->base.num != REG_NONE ||
      from->index.num != REG_NONE || !parse_number(from->disp, &disp) || disp)
    return false;
  emit_insn("movq %d(%%r15), %s", UF_TCB_TP, to->text);
  return true;
}

static void rewrite_insn(const struct stmt *st) {
  static const char *const dropped[] = {"endbr64", "endbr32", "cld", NULL};
  struct insn in = {.st = st, .name = st->name};
  if (!st->exec)
    refuse(st->pos, "instruction outside of an executable section (`%s %s`)", st->name, st->args);
  if (is_one_of(st->name, dropped))
    return;
  if (is_direct_branch(st->name) && !strchr(st->args, '*') && !strchr(st->args, '%')) {
    rewrite_branch(&in);
    return;
  }
  parse_operands(st->pos, st->args, &in.ops);
  check_registers(&in);
  const char *reason = denied(st->name, &in.ops);
  if (reason)
    refuse(st->pos, "`%s %s` cannot be sandboxed: %s", st->name, st->args, reason);
  if (rewrite_branch(&in) || rewrite_string(&in) || rewrite_stack(&in) || rewrite_lea(&in) ||
      rewrite_get_tp(&in))
    return;
  if (!starts(in.name, "nop"))
    for (int i = 0; i < in.ops.count; i++)
      sandbox_operand(&in, &in.ops.at[i]);
  finish(&in);
}

/* ---- directives ---------------------------------------------------------------------- */

/* Alignment beyond a bundle is filled with one-byte nops: long ones could cross a bundle. */
static bool rewrite_align(const struct stmt *st) {
  bool log2 = streq(st->name, ".p2align");
  if (!log2 && !streq(st->name, ".align") && !streq(st->name, ".balign"))
    return false;
  long long n, max;
  char *args = xstrndup(st->args, strlen(st->args));
  char *comma = strchr(args, ',');
  char *last = comma ? strchr(comma + 1, ',') : NULL;
  if (comma)
    *comma = 0;
  if (!parse_number(args, &n) || n < 0 || (log2 && n > 30) || (!log2 && n && (n & (n - 1))))
    refuse(st->pos, "alignment `%s` in code is not a power of two", st->args);
  if (!log2)
    n = n ? __builtin_ctzll((unsigned long long)n) : 0;
  bool limited = last && parse_number(last + 1, &max);
  if (n <= UF_BUNDLE_SHIFT)
    emit_text(limited ? ".p2align %lld,,%lld" : ".p2align %lld", n, limited ? max : 0);
  else if (limited)
    emit_text(".p2align %lld,0x90,%lld", n, max);
  else
    emit_text(".p2align %d;.p2align %lld,0x90", UF_BUNDLE_SHIFT, n);
  return true;
}

static void check_directive(const struct stmt *st) {
  static const char *const modes[] = {
      ".intel_syntax", ".code32",        ".code16",     ".code16gcc", ".bundle_align_mode",
      ".bundle_lock",  ".bundle_unlock", ".subsection", NULL};
  static const char *const data[] = {
      ".byte", ".2byte", ".4byte", ".8byte", ".short", ".value",  ".hword",   ".word",    ".long",
      ".int",  ".quad",  ".octa",  ".ascii", ".asciz", ".string", ".float",   ".double",  ".single",
      ".skip", ".space", ".zero",  ".fill",  ".org",   ".incbin", ".uleb128", ".sleb128", ".tfloat",
      ".dc.b", ".dc.w",  ".dc.l",  ".nops",  ".insn",  NULL};
  if (is_one_of(st->name, modes))
    refuse(st->pos, "%s is not supported", st->name);
  if (st->exec && is_one_of(st->name, data))
    refuse(st->pos,
           "`%s %s`: data or hand-encoded instructions in an executable section (code is not "
           "readable, and what is not an instruction cannot be sandboxed)",
           st->name, st->args);
  if (streq(st->name, ".section") && starts(st->args, ".note.GNU-stack") && strstr(st->args, "\"x"))
    refuse(st->pos, "an executable stack (trampolines of nested functions) is not supported");
  if (streq(st->name, ".type") && strstr(st->args, "gnu_indirect_function"))
    refuse(st->pos, "indirect functions (ifunc) are not supported");
}

/* gcc's location views assume instruction lengths that we change. */
static void rewrite_loc(const struct stmt *st) {
  const char *view = strstr(st->args, " view ");
  int n = view ? (int)(view - st->args) : (int)strlen(st->args);
  emit_text(".loc %.*s", n, st->args);
}

/* LLVM gives `.file 0` and `.file 1` of the same name one number, and then misses the other. */
static bool is_root_file(const struct stmt *st) {
  return streq(st->name, ".file") && st->args[0] == '0';
}

static void rewrite_directive(struct sections *sections, const struct stmt *st) {
  static const char *const dropped[] = {".att_syntax", ".arch", ".cpu", ".end", NULL};
  struct stmt probe = *st;
  probe.exec = sections->now.exec;
  check_directive(&probe);
  bool was_exec = sections->now.exec;
  if (sections_step(sections, st) && was_exec)
    emit_touch();
  if (is_one_of(st->name, dropped) || is_root_file(st))
    return;
  if (streq(st->name, ".loc"))
    rewrite_loc(st);
  else if (!probe.exec || !rewrite_align(st))
    emit_text("%s %s", st->name, st->args);
}

void rewrite(const struct prog *prog, FILE *out, const char *file) {
  struct sections sections;
  sections_init(&sections);
  emit_begin(out, file);
  for (size_t i = 0; i < prog->count; i++) {
    const struct stmt *st = &prog->at[i];
    emit_row(st->row);
    switch (st->kind) {
    case ST_MARKER:
      emit_marker(st->args);
      break;
    case ST_LABEL:
      emit_label(st->name, st->target && st->exec);
      break;
    case ST_ASSIGN:
      emit_text("%s = %s", st->name, st->args);
      break;
    case ST_DIRECTIVE:
      rewrite_directive(&sections, st);
      break;
    case ST_INSN:
      rewrite_insn(st);
      break;
    }
  }
  if (sections.now.exec)
    emit_touch();
  fputc('\n', out);
}
