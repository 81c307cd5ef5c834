/* SPDX-License-Identifier: MIT */
/* Safe points of accepted text: where threads may be resumed, and how to bring them there. */
#include "sequence.h"
#include <ufork/abi.h>

bool ufv_is_safe_point(const struct ufv_text *t, const uint8_t *safe, uint64_t offset) {
  return offset < t->size && (safe[offset >> 3] >> (offset & 7) & 1);
}

bool ufv_is_entry(const struct ufv_text *t, uint64_t address) {
  return address >= t->vaddr && address - t->vaddr < t->size && address % UF_BUNDLE == 0;
}

/* The sequence or instruction that contains an offset begins at the last safe point before it. */
static uint32_t containing(const struct ufv_text *t, const uint8_t *safe, uint32_t offset) {
  while (offset > 0 && !ufv_is_safe_point(t, safe, offset))
    offset--;
  return offset;
}

/* Which instruction of the sequence starts at `at`; count if none. */
static unsigned position(const struct ufs_sequence *s, uint32_t at) {
  unsigned n = 0;
  while (n < s->count && s->start[n] != at)
    n++;
  return n;
}

int ufv_canonicalize(const struct ufv_text *t, const uint8_t *safe, struct ufv_regs *regs) {
  if (regs->rip < t->vaddr || regs->rip - t->vaddr >= t->size)
    return -1;
  uint32_t offset = (uint32_t)(regs->rip - t->vaddr);
  uint32_t first = containing(t, safe, offset);
  if (first == offset)
    return ufv_is_safe_point(t, safe, offset) ? 0 : -1;

  struct ufd_insn insn, op;
  if (ufd_decode(t->code + first, t->size - first, &insn))
    return -1;
  struct ufs_sequence s = ufs_match(t->code + first, t->size - first, &insn, &op);
  unsigned n = position(&s, offset - first);
  if (s.kind == UFS_NONE || n == s.count)
    return -1;

  bool forward = s.forward != 0 && n >= s.forward;
  regs->rip = (uint64_t)t->vaddr + first + (forward ? s.start[s.count] : 0);
  if (s.kind == UFS_STACK && forward)
    regs->rsp = regs->base + (uint32_t)regs->rsp;
  if (s.kind == UFS_STRING && s.rdi)
    regs->rdi = (uint32_t)regs->rdi;
  if (s.kind == UFS_STRING && s.rsi)
    regs->rsi = (uint32_t)regs->rsi;
  return 0;
}
