/* SPDX-License-Identifier: MIT */
/* The sequences of doc/abi.md, section 6, that are decoded as a unit. */
#ifndef UF_VERIFIER_SEQUENCE_H
#define UF_VERIFIER_SEQUENCE_H

#include "decode.h"

enum { UFS_MAX = 8 }; /* instructions of the longest sequence (S3 with both pointers) plus 1 */

enum ufs_kind { UFS_NONE, UFS_JMP, UFS_CALL, UFS_STACK, UFS_STRING };

struct ufs_sequence {
  enum ufs_kind kind;
  uint8_t count;              /* instructions */
  uint8_t start[UFS_MAX + 1]; /* offset of each from the first; start[count] is the length */
  uint8_t forward; /* S2, S3: from this instruction on an interrupted thread goes forward */
  bool rsi, rdi;   /* S3: which pointers it makes absolute */
};

/*
 * Looks for a sequence whose first instruction is `first`, at `code` with `avail` bytes of text
 * left. kind UFS_NONE: there is none, `first` stands alone. Does not check the bundle, nor the
 * memory operand of S2's OP: *op is that instruction.
 */
struct ufs_sequence ufs_match(const uint8_t *code, size_t avail, const struct ufd_insn *first,
                              struct ufd_insn *op);

#endif
