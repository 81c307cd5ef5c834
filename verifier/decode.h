/* SPDX-License-Identifier: MIT */
/*
 * The instruction decoder of the verifier: lengths, operands and what allow.def says about them.
 * It knows only the allowed instructions, each in its canonical prefix order; all else is an error.
 */
#ifndef UF_VERIFIER_DECODE_H
#define UF_VERIFIER_DECODE_H

#include "verifier.h"

/* Opcode maps and mandatory prefixes, the coordinates of allow.def. */
enum { UFD_M0, UFD_M1, UFD_M2, UFD_M3, UFD_V1, UFD_V2, UFD_V3, UFD_MAPS };
enum { UFD_NP, UFD_P66, UFD_PF3, UFD_PF2, UFD_PREFIXES };

/* The class of an instruction: which checks it needs beyond the general ones. */
enum ufd_class {
  UFD_NONE,  /* not allowed */
  UFD_GROUP, /* ModRM.reg selects; only inside the decoder's tables */
  UFD_PLAIN,
  UFD_LEA,   /* computes an address without accessing it */
  UFD_NOP,   /* has a memory operand that is not accessed */
  UFD_STACK, /* touches the stack: push, pop */
  UFD_CALL,
  UFD_JMP,
  UFD_JCC,
  UFD_ICALL,
  UFD_IJMP,
  UFD_STR,
  UFD_TRAP,
  UFD_X87, /* decoded as PLAIN after a look at the escape tables */
};

/* Flags of allow.def above the class, which takes 4 bits. */
enum {
  UFD_I8 = 1 << 4,
  UFD_IZ = 2 << 4,
  UFD_IV = 3 << 4,
  UFD_IMM = 3 << 4, /* mask */
  UFD_MODRM = 1 << 6,
  UFD_MEM = 1 << 7,
  UFD_REG = 1 << 8,
  UFD_WREG = 1 << 9,
  UFD_WRM = 1 << 10,
  UFD_WOP = 1 << 11,
  UFD_WV = 1 << 12,
  UFD_BYTE = 1 << 13,
  UFD_O16 = 1 << 14,
  UFD_LOCK = 1 << 15,
  UFD_MAYBE = 1 << 16,
  UFD_NDS = 1 << 17,
  UFD_NDSR = 1 << 18,
  UFD_L0 = 1 << 19,
  UFD_L1 = 1 << 20,
  UFD_W0 = 1 << 21,
  UFD_W1 = 1 << 22,
  UFD_RM0 = 1 << 23,
  UFD_RM1 = 2 << 23,
  UFD_RM2 = 3 << 23,
  UFD_RMFIX = 3 << 23, /* mask */
};

/* Prefixes found, in struct ufd_insn.prefix. */
enum { UFD_OPSIZE = 1, UFD_ADDR32 = 2, UFD_GS = 4, UFD_LOCKED = 8, UFD_F3 = 16, UFD_F2 = 32 };

/* Register numbers beyond 0..15, for base and index. */
enum { UFD_NOREG = 16, UFD_RIP = 17 };
enum { UFD_RSP = 4, UFD_RSI = 6, UFD_RDI = 7, UFD_R11 = 11, UFD_R15 = 15 };

struct ufd_insn {
  uint32_t flags; /* of allow.def; flags & 15 is the enum ufd_class */
  int32_t disp;   /* displacement of the memory operand */
  int32_t imm;    /* immediate, sign-extended; low half of a 64-bit one */
  uint8_t len;
  uint8_t map;
  uint8_t opcode;
  uint8_t prefix;
  bool rex;       /* has a REX byte: 8-bit registers 4..7 are %spl..%dil */
  bool wide;      /* REX.W or VEX.W */
  bool is_memory; /* ModRM names memory */
  uint8_t reg;    /* ModRM.reg with its extension bit */
  uint8_t rm;     /* ModRM.rm, or the register in the opcode, with its extension bit */
  uint8_t vvvv;
  uint8_t base;
  uint8_t index;
  uint8_t scale; /* 0..3 */
};

static inline enum ufd_class ufd_class(const struct ufd_insn *i) {
  return (enum ufd_class)(i->flags & 15);
}

/* Decodes one instruction of at most `avail` bytes. Errors: UFV_INSTRUCTION, UFV_PREFIX,
   UFV_TRUNCATED; then *out is unspecified. */
enum ufv_rule ufd_decode(const uint8_t *code, size_t avail, struct ufd_insn *out);

#endif
