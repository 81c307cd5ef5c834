/* SPDX-License-Identifier: MIT */
#include "reference.h"
#include <Zydis/Zydis.h>
#include <stdlib.h>
#include <string.h>
#include <ufork/abi.h>

const char *reference_reason;
size_t reference_offset;

struct insn {
  ZydisDecodedInstruction i;
  ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
  size_t at;
  int part; /* position inside a sequence; 0 stands alone or begins one */
  int string_ok;
  int indirect_ok;
  int stack_ok;
};

static bool no(const char *reason, size_t at) {
  reference_reason = reason;
  reference_offset = at;
  return false;
}

static ZydisRegister whole(ZydisRegister r) {
  return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
}

static bool writes(const struct insn *n, ZydisRegister reg) {
  for (int k = 0; k < n->i.operand_count; k++)
    if (n->op[k].type == ZYDIS_OPERAND_TYPE_REGISTER && whole(n->op[k].reg.value) == reg &&
        (n->op[k].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
      return true;
  return false;
}

static bool is_reg(const ZydisDecodedOperand *op, ZydisRegister reg) {
  return op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->reg.value == reg;
}

/* ---- instruction by instruction --------------------------------------------------------- */

/* Categories and extensions that must never occur, whatever their operands are. */
static bool harmless(const ZydisDecodedInstruction *i) {
  if (i->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
    return false;
  switch (i->meta.category) {
  case ZYDIS_CATEGORY_SYSCALL:
  case ZYDIS_CATEGORY_SYSRET:
  case ZYDIS_CATEGORY_RET:
  case ZYDIS_CATEGORY_SEGOP:
  case ZYDIS_CATEGORY_GATHER:
  case ZYDIS_CATEGORY_SCATTER:
  case ZYDIS_CATEGORY_RDWRFSGS:
  case ZYDIS_CATEGORY_XSAVE:
  case ZYDIS_CATEGORY_XSAVEOPT:
  case ZYDIS_CATEGORY_CET:
  case ZYDIS_CATEGORY_PKU:
  case ZYDIS_CATEGORY_IO:
  case ZYDIS_CATEGORY_IOSTRINGOP:
  case ZYDIS_CATEGORY_KMASK:
  case ZYDIS_CATEGORY_VTX:
    return i->mnemonic == ZYDIS_MNEMONIC_ENDBR64 || i->mnemonic == ZYDIS_MNEMONIC_XGETBV;
  case ZYDIS_CATEGORY_INTERRUPT:
    return i->mnemonic == ZYDIS_MNEMONIC_INT3;
  default:
    break;
  }
  if (i->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
      i->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
    return false;
  return i->meta.branch_type != ZYDIS_BRANCH_TYPE_FAR;
}

static bool sets_direction(const ZydisDecodedInstruction *i) {
  const ZydisAccessedFlags *f = i->cpu_flags;
  ZyanU32 bad = ZYDIS_CPUFLAG_DF | ZYDIS_CPUFLAG_IF | ZYDIS_CPUFLAG_TF | ZYDIS_CPUFLAG_IOPL |
                ZYDIS_CPUFLAG_NT | ZYDIS_CPUFLAG_AC | ZYDIS_CPUFLAG_RF | ZYDIS_CPUFLAG_ID;
  if (i->mnemonic == ZYDIS_MNEMONIC_INT3)
    return false;
  return f && ((f->modified | f->set_1 | f->undefined) & bad);
}

static bool confined(const struct insn *n, const ZydisDecodedOperand *op) {
  const ZydisDecodedOperandMem *m = &op->mem;
  if (m->type != ZYDIS_MEMOP_TYPE_MEM)
    return false;
  if (m->segment == ZYDIS_REGISTER_GS) {
    if (n->i.address_width == 32)
      return m->base != ZYDIS_REGISTER_EIP && m->base != ZYDIS_REGISTER_RIP;
    return m->base == ZYDIS_REGISTER_NONE && m->index == ZYDIS_REGISTER_NONE && m->disp.value >= 0;
  }
  return n->i.address_width == 64 && m->base == ZYDIS_REGISTER_RSP &&
         m->index == ZYDIS_REGISTER_NONE &&
         (m->segment == ZYDIS_REGISTER_SS || m->segment == ZYDIS_REGISTER_NONE) &&
         !(n->i.attributes & ZYDIS_ATTRIB_HAS_SEGMENT);
}

/* What push, pop and call access besides their operand: no prefix changes its address. */
static bool hidden_stack(const ZydisDecodedOperand *op) {
  return op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && op->mem.base == ZYDIS_REGISTER_RSP &&
         op->mem.index == ZYDIS_REGISTER_NONE;
}

static bool tcb_load(const struct insn *n, const ZydisDecodedOperand *op) {
  const ZydisDecodedOperandMem *m = &op->mem;
  bool place = m->base == ZYDIS_REGISTER_R15 && m->index == ZYDIS_REGISTER_NONE &&
               n->i.address_width == 64 && !(n->i.attributes & ZYDIS_ATTRIB_HAS_SEGMENT);
  if (n->i.mnemonic == ZYDIS_MNEMONIC_JMP)
    return place && m->disp.value == UF_TCB_GATE;
  return place && n->i.mnemonic == ZYDIS_MNEMONIC_MOV && op == &n->op[1] && op->size >= 32 &&
         (m->disp.value == UF_TCB_BASE || m->disp.value == UF_TCB_TP);
}

static bool operands_ok(const struct insn *n) {
  for (int k = 0; k < n->i.operand_count; k++) {
    const ZydisDecodedOperand *op = &n->op[k];
    if (op->type == ZYDIS_OPERAND_TYPE_POINTER)
      return no("far pointer", n->at);
    if (op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
        ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_SEGMENT &&
        op->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
      return no("segment register", n->at);
    if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.type == ZYDIS_MEMOP_TYPE_AGEN ||
        n->i.mnemonic == ZYDIS_MNEMONIC_NOP || n->string_ok)
      continue;
    if (!hidden_stack(op) && !confined(n, op) && !tcb_load(n, op))
      return no("memory operand", n->at);
  }
  return true;
}

/* ---- the stack pointer --------------------------------------------------------------------- */

static bool touches(const struct insn *n) {
  switch (n->i.mnemonic) {
  case ZYDIS_MNEMONIC_PREFETCHNTA:
  case ZYDIS_MNEMONIC_PREFETCHT0:
  case ZYDIS_MNEMONIC_PREFETCHT1:
  case ZYDIS_MNEMONIC_PREFETCHT2:
  case ZYDIS_MNEMONIC_PREFETCHW:
  case ZYDIS_MNEMONIC_VMASKMOVPS:
  case ZYDIS_MNEMONIC_VMASKMOVPD:
  case ZYDIS_MNEMONIC_VPMASKMOVD:
  case ZYDIS_MNEMONIC_VPMASKMOVQ:
  case ZYDIS_MNEMONIC_NOP:
    return false;
  default:
    break;
  }
  for (int k = 0; k < n->i.operand_count; k++) {
    const ZydisDecodedOperand *op = &n->op[k];
    if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
        op->mem.base == ZYDIS_REGISTER_RSP && op->mem.index == ZYDIS_REGISTER_NONE &&
        op->mem.segment != ZYDIS_REGISTER_GS && op->mem.disp.value >= -UF_RSP_TOUCH_MAX &&
        op->mem.disp.value <= UF_RSP_TOUCH_MAX)
      return true;
  }
  return false;
}

/* The distance that the instruction moves %rsp by, or -1 if it is not a legal adjustment. */
static int64_t distance(const struct insn *n) {
  const ZydisDecodedOperand *d = &n->op[0], *s = &n->op[1];
  if (!is_reg(d, ZYDIS_REGISTER_RSP))
    return -1;
  int64_t imm = s->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? s->imm.value.s : 0;
  switch (n->i.mnemonic) {
  case ZYDIS_MNEMONIC_ADD:
  case ZYDIS_MNEMONIC_SUB:
    return s->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? llabs(imm) : -1;
  case ZYDIS_MNEMONIC_AND:
    return imm < 0 && imm >= -UF_RSP_TOUCH_MAX ? -imm : -1;
  case ZYDIS_MNEMONIC_LEA:
    return s->mem.base == ZYDIS_REGISTER_RSP && s->mem.index == ZYDIS_REGISTER_NONE
               ? llabs(s->mem.disp.value)
               : -1;
  default:
    return -1;
  }
}

static bool implicit_stack(const ZydisDecodedInstruction *i) {
  switch (i->mnemonic) {
  case ZYDIS_MNEMONIC_PUSH:
  case ZYDIS_MNEMONIC_POP:
  case ZYDIS_MNEMONIC_PUSHFQ:
  case ZYDIS_MNEMONIC_PUSHF:
  case ZYDIS_MNEMONIC_CALL:
    return true;
  default:
    return false;
  }
}

/* Writes of %rsp by a visible operand: pop %rsp writes it twice. */
static bool explicit_write(const struct insn *n) {
  for (int k = 0; k < n->i.operand_count; k++)
    if (n->op[k].type == ZYDIS_OPERAND_TYPE_REGISTER &&
        whole(n->op[k].reg.value) == ZYDIS_REGISTER_RSP &&
        (n->op[k].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
        (n->op[k].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT || !implicit_stack(&n->i)))
      return true;
  return false;
}

static bool stack_ok(const struct insn *all, size_t count) {
  int64_t drift = 0;
  bool pending = false;
  for (size_t k = 0; k < count; k++) {
    const struct insn *n = &all[k];
    if (n->stack_ok == 2 || touches(n)) { /* end of S2, or a touch */
      pending = false;
      drift = 0;
    }
    if (n->stack_ok)
      continue;
    if (explicit_write(n)) {
      int64_t by = distance(n);
      if (by < 0 || (drift += by) > UF_RSP_DRIFT_MAX)
        return no("stack pointer", n->at);
      pending = true;
    }
    if (n->i.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && pending)
      return no("pending", n->at);
  }
  return !pending || no("pending at the end", 0);
}

/* ---- sequences ------------------------------------------------------------------------------- */

static bool same_bundle(const struct insn *first, const struct insn *last) {
  return first->at / UF_BUNDLE == (last->at + last->i.length - 1) / UF_BUNDLE;
}

/* The text of an instruction without its bytes decides: as a person would read a disassembly. */
static bool reads(const struct insn *n, const char *text) {
  static ZydisFormatter f;
  static bool ready;
  char got[128];
  if (!ready) {
    ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
    ready = true;
  }
  ZydisFormatterFormatInstruction(&f, &n->i, n->op, n->i.operand_count_visible, got, sizeof got,
                                  ZYDIS_RUNTIME_ADDRESS_NONE, NULL);
  return strcmp(got, text) == 0;
}

/* `and r32, mask` followed by a branch through the same register. */
static bool masked(const struct insn *and, const struct insn *branch) {
  return and->i.mnemonic == ZYDIS_MNEMONIC_AND &&
             and->i.operand_width == 32 &&
                 and->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                     and->op[0].size == 32 && and->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
                                                  and->op[1].imm.value.u == UF_CODE_MASK &&
         is_reg(&branch->op[0], whole(and->op[0].reg.value)) && same_bundle(and, branch);
}

static bool writes_esp(const struct insn *n) {
  const ZydisMnemonic m = n->i.mnemonic;
  return is_reg(&n->op[0], ZYDIS_REGISTER_ESP) &&
         (m == ZYDIS_MNEMONIC_MOV || m == ZYDIS_MNEMONIC_LEA || m == ZYDIS_MNEMONIC_ADD ||
          m == ZYDIS_MNEMONIC_SUB || m == ZYDIS_MNEMONIC_AND);
}

/* Marks S3 around the string instruction all[k], looking backwards and forwards from it. */
static bool mark_string(struct insn *all, size_t k, size_t count) {
  bool di = false, si = false;
  size_t b = k, e = k;
  for (int o = 0; o < all[k].i.operand_count; o++)
    if (all[k].op[o].type == ZYDIS_OPERAND_TYPE_MEMORY) {
      di |= all[k].op[o].mem.base == ZYDIS_REGISTER_RDI;
      si |= all[k].op[o].mem.base == ZYDIS_REGISTER_RSI;
      if (all[k].op[o].mem.segment == ZYDIS_REGISTER_GS ||
          all[k].op[o].mem.segment == ZYDIS_REGISTER_FS)
        return no("segment on a string", all[k].at);
    }
  if (all[k].i.address_width != 64 || k < 1u + 2 * di + 2 * si)
    return no("string", all[k].at);
  if (si && (!reads(&all[b - 1], "lea rsi, [r11+rsi*1]") || !reads(&all[b - 2], "mov esi, esi")))
    return no("string: rsi", all[k].at);
  b -= si ? 2 : 0;
  if (di && (!reads(&all[b - 1], "lea rdi, [r11+rdi*1]") || !reads(&all[b - 2], "mov edi, edi")))
    return no("string: rdi", all[k].at);
  b -= di ? 2 : 0;
  if (!reads(&all[--b], "mov r11, [r15]") && !reads(&all[b], "mov r11, qword ptr [r15]"))
    return no("string: base", all[k].at);
  if (k + di + si >= count || (di && !reads(&all[++e], "mov edi, edi")) ||
      (si && !reads(&all[++e], "mov esi, esi")))
    return no("string: truncation", all[k].at);
  if (!same_bundle(&all[b], &all[e]))
    return no("string: bundle", all[k].at);
  for (size_t n = b + 1; n <= e; n++)
    all[n].part = (int)(n - b);
  all[k].string_ok = 1;
  return true;
}

static bool mark_sequences(struct insn *all, size_t count) {
  for (size_t k = 0; k < count; k++) {
    struct insn *n = &all[k];
    bool branch = n->i.mnemonic == ZYDIS_MNEMONIC_JMP || n->i.mnemonic == ZYDIS_MNEMONIC_CALL;
    if (branch && n->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER) {
      if (k == 0 || all[k - 1].part || !masked(&all[k - 1], n))
        return no("indirect branch", n->at);
      n->part = n->indirect_ok = 1;
    }
    if (branch && n->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY && !tcb_load(n, &n->op[0]))
      return no("branch through memory", n->at);
    if (k + 1 < count && k > 0 && writes_esp(n) && reads(&all[k + 1], "lea rsp, [rsp+r11*1]") &&
        !all[k - 1].part &&
        (reads(&all[k - 1], "mov r11, [r15]") || reads(&all[k - 1], "mov r11, qword ptr [r15]")) &&
        same_bundle(&all[k - 1], &all[k + 1])) {
      n->part = n->stack_ok = 1;
      all[k + 1].part = all[k + 1].stack_ok = 2;
    }
    if (n->i.meta.category == ZYDIS_CATEGORY_STRINGOP && !mark_string(all, k, count))
      return false;
  }
  return true;
}

/* ---- everything ------------------------------------------------------------------------------ */

static bool targets_ok(const struct insn *all, size_t count, const uint8_t *safe, size_t size) {
  for (size_t k = 0; k < count; k++) {
    const ZydisDecodedOperand *op = &all[k].op[0];
    if (all[k].i.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE ||
        op->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
      continue;
    int64_t to = (int64_t)all[k].at + all[k].i.length + op->imm.value.s;
    if (to < 0 || (size_t)to >= size || !safe[to])
      return no("target", all[k].at);
    if (all[k].i.operand_width == 16)
      return no("16-bit branch", all[k].at);
  }
  return true;
}

static bool walk(struct insn *all, size_t count, size_t size) {
  uint8_t *safe = calloc(1, size);
  bool ok = mark_sequences(all, count);
  for (size_t k = 0; ok && k < count; k++) {
    struct insn *n = &all[k];
    safe[n->at] = n->part == 0;
    if (!harmless(&n->i) || sets_direction(&n->i))
      ok = no("instruction", n->at);
    else if (writes(n, ZYDIS_REGISTER_R15))
      ok = no("r15", n->at);
    else if (n->at / UF_BUNDLE != (n->at + n->i.length - 1) / UF_BUNDLE)
      ok = no("bundle", n->at);
    else
      ok = operands_ok(n);
  }
  ok = ok && stack_ok(all, count) && targets_ok(all, count, safe, size);
  if (ok) {
    ZydisMnemonic last = all[count - 1].i.mnemonic;
    ok = last == ZYDIS_MNEMONIC_JMP || last == ZYDIS_MNEMONIC_UD2 || last == ZYDIS_MNEMONIC_INT3 ||
         no("end", all[count - 1].at);
  }
  free(safe);
  return ok;
}

bool reference_accepts(const uint8_t *code, size_t size) {
  struct insn *all = malloc((size + 1) * sizeof *all);
  size_t count = 0;
  bool ok = size != 0 && size % UF_BUNDLE == 0;
  ZydisDecoder d;
  ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  reference_reason = "size";
  for (size_t at = 0; ok && at < size; at += all[count++].i.length) {
    struct insn *n = &all[count];
    memset(n, 0, sizeof *n);
    n->at = at;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, code + at, size - at, &n->i, n->op)))
      ok = no("undecodable", at);
  }
  ok = ok && walk(all, count, size);
  free(all);
  return ok;
}
