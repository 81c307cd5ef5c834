/* SPDX-License-Identifier: MIT */
#include "sequence.h"
#include <ufork/abi.h>

/* ---- shapes of single instructions ----------------------------------------------------- */

/* A one-byte opcode on 32-bit operands without prefixes that would change its meaning. */
static bool plain32(const struct ufd_insn *i, uint8_t opcode) {
  return i->map == UFD_M0 && i->opcode == opcode && !i->wide && !(i->prefix & UFD_OPSIZE);
}

/* and $UF_CODE_MASK,%r32. *reg is the register. */
static bool is_mask(const struct ufd_insn *i, unsigned *reg) {
  if (i->imm != UF_CODE_MASK || i->is_memory)
    return false;
  if (plain32(i, 0x25)) {
    *reg = 0;
    return true;
  }
  *reg = i->rm;
  return plain32(i, 0x81) && (i->reg & 7) == 4 && i->rm != UFD_RSP && i->rm != UFD_R15;
}

/* mov UF_TCB_BASE(%r15),%r11 */
static bool is_load_base(const struct ufd_insn *i) {
  return i->map == UFD_M0 && i->opcode == 0x8b && i->wide && i->prefix == 0 && i->reg == UFD_R11 &&
         i->is_memory && i->base == UFD_R15 && i->index == UFD_NOREG && i->disp == UF_TCB_BASE;
}

/* mov %r32,%r32 with the same register twice: truncates it to an offset. */
static bool is_truncate(const struct ufd_insn *i, unsigned reg) {
  return (plain32(i, 0x89) || plain32(i, 0x8b)) && !i->is_memory && i->reg == reg && i->rm == reg;
}

/* lea (%base,%index,1),%reg, 64 bits */
static bool is_sum(const struct ufd_insn *i, unsigned base, unsigned index, unsigned reg) {
  return i->map == UFD_M0 && i->opcode == 0x8d && i->wide && i->prefix == 0 && i->reg == reg &&
         i->base == base && i->index == index && i->scale == 0 && i->disp == 0;
}

/* OP of S2: writes %esp and nothing else. Its memory operand, if any, is for the caller to check.
 */
static bool is_esp_write(const struct ufd_insn *i) {
  bool to_reg = i->reg == UFD_RSP, to_rm = !i->is_memory && i->rm == UFD_RSP;
  if (plain32(i, 0x8b) || plain32(i, 0x8d))
    return to_reg;
  if (plain32(i, 0x03) || plain32(i, 0x2b) || plain32(i, 0x23))
    return to_reg && !i->is_memory;
  if (plain32(i, 0x89) || plain32(i, 0x01) || plain32(i, 0x29) || plain32(i, 0x21))
    return to_rm;
  if (plain32(i, 0x81) || plain32(i, 0x83))
    return to_rm && ((i->reg & 7) == 0 || (i->reg & 7) == 4 || (i->reg & 7) == 5);
  return false;
}

/* ---- sequences ------------------------------------------------------------------------- */

struct reader {
  const uint8_t *code;
  size_t avail;
  struct ufs_sequence *s;
};

/* Decodes the instruction after the last one of the sequence, without adding it. */
static bool peek(const struct reader *r, struct ufd_insn *i) {
  unsigned at = r->s->start[r->s->count];
  return at < r->avail && ufd_decode(r->code + at, r->avail - at, i) == UFV_OK;
}

static void add(struct reader *r, const struct ufd_insn *i) {
  struct ufs_sequence *s = r->s;
  s->start[s->count + 1] = (uint8_t)(s->start[s->count] + i->len);
  s->count++;
}

static bool match_branch(struct reader *r, unsigned reg) {
  struct ufd_insn i;
  if (!peek(r, &i) || i.is_memory || i.rm != reg)
    return false;
  if (ufd_class(&i) == UFD_IJMP)
    r->s->kind = UFS_JMP;
  else if (ufd_class(&i) == UFD_ICALL)
    r->s->kind = UFS_CALL;
  else
    return false;
  add(r, &i);
  return true;
}

static bool match_stack(struct reader *r, struct ufd_insn *op) {
  struct ufd_insn i;
  if (!peek(r, op) || !is_esp_write(op))
    return false;
  add(r, op);
  r->s->forward = r->s->count;
  if (!peek(r, &i) || !is_sum(&i, UFD_RSP, UFD_R11, UFD_RSP))
    return false;
  add(r, &i);
  r->s->kind = UFS_STACK;
  return true;
}

static bool match_truncate(struct reader *r, unsigned reg) {
  struct ufd_insn i;
  if (!peek(r, &i) || !is_truncate(&i, reg))
    return false;
  add(r, &i);
  return true;
}

/* mov %reg,%reg ; lea (%r11,%reg,1),%reg. Adds both or nothing. */
static bool match_absolute(struct reader *r, unsigned reg) {
  struct ufd_insn i;
  if (!match_truncate(r, reg))
    return false;
  if (!peek(r, &i) || !is_sum(&i, UFD_R11, reg, reg)) {
    r->s->count--;
    return false;
  }
  add(r, &i);
  return true;
}

/* Which pointers a string instruction uses. */
static bool string_pointers(uint8_t opcode, bool *rdi, bool *rsi) {
  switch (opcode & ~1) {
  case 0xa4: /* movs */
  case 0xa6: /* cmps */
    *rdi = *rsi = true;
    return true;
  case 0xaa: /* stos */
  case 0xae: /* scas */
    *rdi = true;
    return true;
  case 0xac: /* lods */
    *rsi = true;
    return true;
  default:
    return false;
  }
}

static bool match_string(struct reader *r) {
  struct ufs_sequence *s = r->s;
  struct ufd_insn str;
  bool rdi = match_absolute(r, UFD_RDI);
  bool rsi = match_absolute(r, UFD_RSI);
  if (!peek(r, &str) || ufd_class(&str) != UFD_STR ||
      !string_pointers(str.opcode, &s->rdi, &s->rsi) || rdi != s->rdi || rsi != s->rsi)
    return false;
  add(r, &str);
  s->forward = s->count;
  if ((rdi && !match_truncate(r, UFD_RDI)) || (rsi && !match_truncate(r, UFD_RSI)))
    return false;
  s->kind = UFS_STRING;
  return true;
}

struct ufs_sequence ufs_match(const uint8_t *code, size_t avail, const struct ufd_insn *first,
                              struct ufd_insn *op) {
  struct ufs_sequence s = {.kind = UFS_NONE};
  struct reader r = {code, avail, &s};
  unsigned reg;

  add(&r, first);
  if (is_mask(first, &reg)) {
    if (match_branch(&r, reg))
      return s;
  } else if (is_load_base(first)) {
    if (match_stack(&r, op))
      return s;
    s = (struct ufs_sequence){.kind = UFS_NONE};
    add(&r, first);
    if (match_string(&r))
      return s;
  }
  return (struct ufs_sequence){.kind = UFS_NONE};
}
