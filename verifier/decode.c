/* SPDX-License-Identifier: MIT */
#include "decode.h"
#include "mem.h"

/* ---- tables, built from allow.def ----------------------------------------------------- */

enum group {
  G80,
  G81,
  G83,
  G8F,
  GC0,
  GC1,
  GC6,
  GC7,
  GD0,
  GD1,
  GF6,
  GF7,
  GFE,
  GFF,
  G01,
  G0D,
  G18,
  G1E,
  G1F,
  GAE,
  GBA,
  GC79,
  G71,
  G73,
  G7366,
  GV71,
  GV73,
  GVAE,
  GVF3,
  GROUPS
};

/* The names of allow.def. */
#define PLAIN UFD_PLAIN
#define LEA UFD_LEA
#define NOP UFD_NOP
#define STACK UFD_STACK
#define CALL UFD_CALL
#define JMP UFD_JMP
#define JCC UFD_JCC
#define ICALL UFD_ICALL
#define IJMP UFD_IJMP
#define STR UFD_STR
#define TRAP UFD_TRAP
#define X87 UFD_X87
#define I8 UFD_I8
#define IZ UFD_IZ
#define IV UFD_IV
#define MODRM UFD_MODRM
#define MEM UFD_MEM
#define REG UFD_REG
#define WREG UFD_WREG
#define WRM UFD_WRM
#define WOP UFD_WOP
#define WV UFD_WV
#define BYTE UFD_BYTE
#define O16 UFD_O16
#define LOCK UFD_LOCK
#define MAYBE UFD_MAYBE
#define NDS UFD_NDS
#define NDSR UFD_NDSR
#define L0 UFD_L0
#define L1 UFD_L1
#define W0 UFD_W0
#define W1 UFD_W1
#define RM0 UFD_RM0
#define RM1 UFD_RM1
#define RM2 UFD_RM2
#define GROUP(group) (UFD_GROUP | (group) << 4)

#define OP(map, prefix, first, last, flags, names)
#define EXT(group, reg, flags, name)
#define X87_MEM(opcode, regs)
#define X87_REG(opcode, mask)

#undef OP
#define OP(map, prefix, first, last, flags, names)                                                 \
  [UFD_##map][UFD_##prefix][(first)...(last)] = (flags),
static const uint32_t opcodes[UFD_MAPS][UFD_PREFIXES][256] = {
#include "allow.def"
};
#undef OP
#define OP(map, prefix, first, last, flags, names)

#undef EXT
#define EXT(group, reg, flags, name) [group][reg] = (flags),
static const uint32_t groups[GROUPS][8] = {
#include "allow.def"
};
#undef EXT
#define EXT(group, reg, flags, name)

#undef X87_MEM
#define X87_MEM(opcode, regs) [(opcode)-0xd8] = (regs),
static const uint8_t x87_memory[8] = {
#include "allow.def"
};
#undef X87_MEM
#define X87_MEM(opcode, regs)

#undef X87_REG
#define X87_REG(opcode, mask) [(opcode)-0xd8] = (mask),
static const uint64_t x87_register[8] = {
#include "allow.def"
};

/* ---- decoding ------------------------------------------------------------------------- */

enum { MAX_LENGTH = 15 };
enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

/* Where the decoder is. `p` may run past the instruction's bytes into the padding that
   ufd_decode() guarantees, and is compared with the limit at the end. */
struct cursor {
  const uint8_t *p;
  uint8_t rex;    /* REX_x bits, from REX or VEX */
  uint8_t prefix; /* mandatory prefix: UFD_NP.. */
  uint8_t raw_vvvv;
  uint8_t vex_l;
};

static int32_t load32(const uint8_t *p) {
  int32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

/* The prefix bit of each byte, FORBIDDEN for a prefix that no row allows, 0 for other bytes. */
enum { FORBIDDEN = 0x80 };
static const uint8_t prefix_bits[256] = {
    [0x66] = UFD_OPSIZE, [0x67] = UFD_ADDR32, [0x65] = UFD_GS,    [0xf0] = UFD_LOCKED,
    [0xf3] = UFD_F3,     [0xf2] = UFD_F2,     [0x26] = FORBIDDEN, [0x2e] = FORBIDDEN,
    [0x36] = FORBIDDEN,  [0x3e] = FORBIDDEN,  [0x64] = FORBIDDEN,
};

static int32_t sign8(uint8_t byte) { return (byte ^ 0x80) - 0x80; }

/* Legacy prefixes, each at most once, then at most one REX. */
static enum ufv_rule read_prefixes(struct cursor *c, struct ufd_insn *i) {
  uint8_t bit;
  while ((bit = prefix_bits[*c->p]) != 0) {
    if (bit == FORBIDDEN || (i->prefix & bit))
      return UFV_PREFIX;
    i->prefix |= bit;
    c->p++;
  }
  if ((i->prefix & (UFD_F3 | UFD_F2)) == (UFD_F3 | UFD_F2))
    return UFV_PREFIX;
  if ((*c->p & 0xf0) == 0x40) {
    i->rex = true;
    c->rex = *c->p++ & 15;
    if (prefix_bits[*c->p]) /* the processor would ignore the REX */
      return UFV_PREFIX;
  }
  c->prefix = i->prefix & UFD_F3       ? UFD_PF3
              : i->prefix & UFD_F2     ? UFD_PF2
              : i->prefix & UFD_OPSIZE ? UFD_P66
                                       : UFD_NP;
  return UFV_OK;
}

/* c5 or c4, which are always VEX in 64-bit mode. Inverted bits: R X B, vvvv. */
static enum ufv_rule read_vex(struct cursor *c, struct ufd_insn *i) {
  if ((i->prefix & ~(UFD_GS | UFD_ADDR32)) || i->rex)
    return UFV_PREFIX;
  uint8_t payload = c->p[1];
  c->rex = payload & 0x80 ? 0 : REX_R;
  if (*c->p == 0xc5) {
    i->map = UFD_V1;
    c->p += 2;
  } else {
    uint8_t map = payload & 0x1f;
    if (map < 1 || map > 3)
      return UFV_INSTRUCTION;
    i->map = (uint8_t)(UFD_V1 + map - 1);
    c->rex |= (payload & 0x40 ? 0 : REX_X) | (payload & 0x20 ? 0 : REX_B);
    payload = c->p[2];
    c->rex |= payload & 0x80 ? REX_W : 0;
    c->p += 3;
  }
  c->raw_vvvv = payload >> 3 & 15;
  i->vvvv = c->raw_vvvv ^ 15;
  c->vex_l = payload >> 2 & 1;
  static const uint8_t implied[4] = {UFD_NP, UFD_P66, UFD_PF3, UFD_PF2};
  c->prefix = implied[payload & 3];
  return UFV_OK;
}

/* Escape bytes and the opcode. */
static enum ufv_rule read_opcode(struct cursor *c, struct ufd_insn *i) {
  if (*c->p == 0xc5 || *c->p == 0xc4) {
    enum ufv_rule e = read_vex(c, i);
    if (e)
      return e;
  } else if (*c->p == 0x0f) {
    i->map = c->p[1] == 0x38 ? UFD_M2 : c->p[1] == 0x3a ? UFD_M3 : UFD_M1;
    c->p += i->map == UFD_M1 ? 1 : 2;
  }
  i->opcode = *c->p++;
  return UFV_OK;
}

/* Finds the row: by mandatory prefix, or without one if 66 is the operand size. */
static enum ufv_rule find_row(struct cursor *c, struct ufd_insn *i) {
  uint32_t row = opcodes[i->map][c->prefix][i->opcode];
  bool o16 = (i->prefix & UFD_OPSIZE) && c->prefix != UFD_P66;
  if (row == 0 && c->prefix == UFD_P66 && i->map < UFD_V1) {
    row = opcodes[i->map][UFD_NP][i->opcode];
    o16 = true;
  }
  if ((row & 15) == UFD_GROUP)
    row = groups[row >> 4][*c->p >> 3 & 7];
  if (row == 0)
    return UFV_INSTRUCTION;
  if (o16 && (!(row & UFD_O16) || (c->rex & REX_W)))
    return UFV_PREFIX;
  if (i->prefix & UFD_LOCKED && !(row & UFD_LOCK))
    return UFV_PREFIX;
  i->flags = row;
  return UFV_OK;
}

/* SIB byte: base and index, UFD_NOREG for none. Returns whether a disp32 replaces the base. */
static bool read_sib(struct cursor *c, struct ufd_insn *i, unsigned mod) {
  uint8_t sib = *c->p++;
  unsigned index = (sib >> 3 & 7) | (c->rex & REX_X ? 8 : 0);
  i->scale = sib >> 6;
  i->index = (uint8_t)(index == UFD_RSP ? UFD_NOREG : index);
  if ((sib & 7) == 5 && mod == 0) {
    i->base = UFD_NOREG;
    return true;
  }
  i->base = (uint8_t)((sib & 7) | (c->rex & REX_B ? 8 : 0));
  return false;
}

static void read_memory(struct cursor *c, struct ufd_insn *i, unsigned mod, unsigned rm) {
  bool disp32 = mod == 2;
  i->is_memory = true;
  i->index = UFD_NOREG;
  if (rm == 4) {
    disp32 |= read_sib(c, i, mod);
  } else if (rm == 5 && mod == 0) {
    i->base = UFD_RIP;
    disp32 = true;
  } else {
    i->base = (uint8_t)(rm | (c->rex & REX_B ? 8 : 0));
  }
  if (disp32) {
    i->disp = load32(c->p);
    c->p += 4;
  } else if (mod == 1) {
    i->disp = sign8(*c->p++);
  }
}

static enum ufv_rule check_x87(struct ufd_insn *i, uint8_t modrm) {
  unsigned escape = i->opcode - 0xd8u;
  bool allowed = modrm < 0xc0 ? x87_memory[escape] >> (modrm >> 3 & 7) & 1
                              : x87_register[escape] >> (modrm - 0xc0) & 1;
  i->flags ^= UFD_X87 ^ UFD_PLAIN;
  return allowed ? UFV_OK : UFV_INSTRUCTION;
}

static enum ufv_rule read_modrm(struct cursor *c, struct ufd_insn *i) {
  uint8_t modrm = *c->p++;
  unsigned mod = modrm >> 6, rm = modrm & 7;
  i->reg = (uint8_t)((modrm >> 3 & 7) | (c->rex & REX_R ? 8 : 0));
  if ((i->flags & 15) == UFD_X87) {
    enum ufv_rule e = check_x87(i, modrm);
    if (e)
      return e;
  }
  if (mod != 3) {
    if (i->flags & UFD_REG)
      return UFV_INSTRUCTION;
    read_memory(c, i, mod, rm);
    return UFV_OK;
  }
  if (i->flags & UFD_MEM)
    return UFV_INSTRUCTION;
  i->rm = (uint8_t)(rm | (c->rex & REX_B ? 8 : 0));
  uint32_t fixed = i->flags & UFD_RMFIX;
  if (fixed && (rm + 1) * UFD_RM0 != fixed)
    return UFV_INSTRUCTION;
  return UFV_OK;
}

/* The bits of VEX that a row leaves no choice about. */
static bool vex_fits(const struct cursor *c, const struct ufd_insn *i) {
  uint32_t f = i->flags;
  bool vvvv_used = (f & UFD_NDS) || ((f & UFD_NDSR) && !i->is_memory);
  bool w = c->rex & REX_W;
  return (vvvv_used || c->raw_vvvv == 15) && !((f & UFD_L0) && c->vex_l) &&
         !((f & UFD_L1) && !c->vex_l) && !((f & UFD_W0) && w) && !((f & UFD_W1) && !w);
}

/* Prefixes that need a memory operand, and the one-byte `pause`, which REX.B would change. */
static bool prefixes_fit(const struct ufd_insn *i) {
  if (!i->is_memory && (i->prefix & (UFD_GS | UFD_ADDR32 | UFD_LOCKED)))
    return false;
  return !(i->map == UFD_M0 && i->opcode == 0x90 && (i->prefix & UFD_F3) && i->rex);
}

static void read_immediate(struct cursor *c, struct ufd_insn *i) {
  uint32_t kind = i->flags & UFD_IMM;
  if (kind == UFD_I8) {
    i->imm = sign8(*c->p++);
  } else if (kind && (i->prefix & UFD_OPSIZE)) {
    i->imm = (int16_t)(c->p[0] | c->p[1] << 8);
    c->p += 2;
  } else if (kind) {
    i->imm = load32(c->p);
    c->p += kind == UFD_IV && (c->rex & REX_W) ? 8 : 4;
  }
}

/* A long nop as assemblers pad with: any number of 66 and 2e, then 0f 1f /0. */
static bool long_nop(const uint8_t *p, struct ufd_insn *i) {
  struct cursor c = {.p = p};
  while (*c.p == 0x66 || *c.p == 0x2e)
    if (++c.p - p > MAX_LENGTH - 3)
      return false;
  if (c.p[0] != 0x0f || c.p[1] != 0x1f || (c.p[2] >> 3 & 7) != 0)
    return false;
  memset(i, 0, sizeof *i);
  c.p += 2;
  i->map = UFD_M1;
  i->opcode = 0x1f;
  i->flags = UFD_NOP | UFD_MODRM;
  read_modrm(&c, i);
  i->len = (uint8_t)(c.p - p);
  return i->len <= MAX_LENGTH;
}

/* Decodes at `p`, where at least 32 bytes are readable. */
static enum ufv_rule decode_padded(const uint8_t *p, struct ufd_insn *i) {
  struct cursor c = {.p = p};
  enum ufv_rule e;
  memset(i, 0, sizeof *i);
  if ((e = read_prefixes(&c, i)))
    return long_nop(p, i) ? UFV_OK : e;
  if ((e = read_opcode(&c, i)) || (e = find_row(&c, i)))
    return e;
  i->wide = c.rex & REX_W;
  if (i->flags & UFD_MODRM) {
    if ((e = read_modrm(&c, i)))
      return e;
  } else {
    i->rm = (uint8_t)((i->opcode & 7) | (c.rex & REX_B ? 8 : 0));
  }
  if (!prefixes_fit(i))
    return UFV_PREFIX;
  if (i->map >= UFD_V1 && !vex_fits(&c, i))
    return UFV_INSTRUCTION;
  read_immediate(&c, i);
  if (c.p - p > MAX_LENGTH)
    return UFV_INSTRUCTION;
  i->len = (uint8_t)(c.p - p);
  return UFV_OK;
}

enum { PADDED = 32 };

enum ufv_rule ufd_decode(const uint8_t *code, size_t avail, struct ufd_insn *out) {
  if (avail >= PADDED)
    return decode_padded(code, out);
  uint8_t copy[PADDED] = {0};
  memcpy(copy, code, avail);
  enum ufv_rule e = decode_padded(copy, out);
  return e || out->len <= avail ? e : UFV_TRUNCATED;
}
