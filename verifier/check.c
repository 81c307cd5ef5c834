/* SPDX-License-Identifier: MIT */
/* The pass over a text: doc/abi.md sections 3, 4, 5 and 8, with sequences from sequence.c. */
#include "mem.h"
#include "sequence.h"
#include <ufork/abi.h>

/* ---- bitmaps ---------------------------------------------------------------------------- */

static void set_bit(uint8_t *map, uint32_t n) { map[n >> 3] |= (uint8_t)(1u << (n & 7)); }

static bool get_bit(const uint8_t *map, uint32_t n) { return map[n >> 3] >> (n & 7) & 1; }

/* ---- state of the pass -------------------------------------------------------------------- */

struct pass {
  const struct ufv_text *t;
  uint8_t *safe;
  uint8_t *targets; /* bit: some direct branch goes there */
  uint32_t off;     /* of the instruction or sequence being checked */
  bool pending;     /* doc/abi.md, section 4 */
  uint32_t drift;   /* how far %rsp may have moved while pending; at most UF_RSP_DRIFT_MAX */
  bool stops;       /* control does not go on to the next instruction */
  int64_t target;   /* of the branch just checked, for the error */
};

static uint32_t magnitude(int32_t n) { return n < 0 ? -(uint32_t)n : (uint32_t)n; }

static void touch(struct pass *p) {
  p->pending = false;
  p->drift = 0;
}

static enum ufv_rule move_stack(struct pass *p, int32_t by) {
  uint32_t amount = magnitude(by);
  if (amount > UF_RSP_DRIFT_MAX - p->drift)
    return UFV_DRIFT;
  p->drift += amount;
  p->pending = true;
  return UFV_OK;
}

/* ---- memory operands ------------------------------------------------------------------------ */

/* M1 to M3. */
static bool is_confined(const struct ufd_insn *i) {
  switch (i->prefix & (UFD_GS | UFD_ADDR32)) {
  case UFD_GS | UFD_ADDR32:
    return i->base != UFD_RIP;
  case UFD_GS:
    return i->base == UFD_NOREG && i->index == UFD_NOREG && i->disp >= 0;
  case 0:
    return i->base == UFD_RSP && i->index == UFD_NOREG;
  default:
    return false;
  }
}

/* M4: a plain load of the base or the thread pointer from the TCB. */
static bool is_tcb_load(const struct ufd_insn *i) {
  return i->map == UFD_M0 && i->opcode == 0x8b && i->prefix == 0 && i->base == UFD_R15 &&
         i->index == UFD_NOREG && (i->disp == UF_TCB_BASE || i->disp == UF_TCB_TP);
}

/* M5: jmp *UF_TCB_GATE(%r15) */
static bool is_gate_jump(const struct ufd_insn *i) {
  return ufd_class(i) == UFD_IJMP && i->is_memory && i->prefix == 0 && i->base == UFD_R15 &&
         i->index == UFD_NOREG && i->disp == UF_TCB_GATE;
}

static bool is_tcb_like(const struct ufd_insn *i) {
  return i->base == UFD_R15 && !(i->prefix & (UFD_GS | UFD_ADDR32));
}

static enum ufv_rule check_memory(struct pass *p, const struct ufd_insn *i) {
  if (!is_confined(i)) {
    if (is_tcb_load(i))
      return UFV_OK;
    return is_tcb_like(i) ? UFV_TCB : UFV_MEMORY;
  }
  bool on_stack = !(i->prefix & UFD_GS);
  if (on_stack && !(i->flags & UFD_MAYBE) && magnitude(i->disp) <= UF_RSP_TOUCH_MAX)
    touch(p);
  return UFV_OK;
}

/* ---- registers ------------------------------------------------------------------------------- */

/* add, sub, and of a constant to %rsp, and lea disp(%rsp),%rsp. *done: it was one of these. */
static enum ufv_rule adjust_stack(struct pass *p, const struct ufd_insn *i, bool *done) {
  *done = i->map == UFD_M0 && i->wide && i->prefix == 0;
  if (*done && i->opcode == 0x8d && i->reg == UFD_RSP && i->base == UFD_RSP &&
      i->index == UFD_NOREG)
    return move_stack(p, i->disp);
  if (*done && (i->opcode == 0x81 || i->opcode == 0x83) && !i->is_memory && i->rm == UFD_RSP) {
    switch (i->reg & 7) {
    case 0: /* add */
    case 5: /* sub */
      return move_stack(p, i->imm);
    case 4: /* and: lowers by less than -imm */
      if (i->imm < 0 && i->imm >= -UF_RSP_TOUCH_MAX)
        return move_stack(p, i->imm);
    }
  }
  *done = false;
  return UFV_OK;
}

/* Whether an instruction that writes register n writes one that is reserved. */
static enum ufv_rule check_write(const struct ufd_insn *i, unsigned n) {
  if (n == UFD_R15)
    return UFV_R15;
  bool is_ah = (i->flags & UFD_BYTE) && !i->rex;
  return n == UFD_RSP && !is_ah ? UFV_RSP : UFV_OK;
}

static enum ufv_rule check_registers(struct pass *p, const struct ufd_insn *i) {
  enum ufv_rule e = UFV_OK;
  if (i->flags & UFD_WREG)
    e = check_write(i, i->reg);
  if (!e && (i->flags & UFD_WOP || (i->flags & UFD_WRM && !i->is_memory)))
    e = check_write(i, i->rm);
  if (!e && i->flags & UFD_WV)
    e = check_write(i, i->vvvv);
  if (e != UFV_RSP)
    return e;
  bool done;
  enum ufv_rule moved = adjust_stack(p, i, &done);
  return done ? moved : e;
}

/* ---- control flow ---------------------------------------------------------------------------- */

static int64_t branch_target(uint32_t off, const struct ufd_insn *i) {
  return (int64_t)off + i->len + i->imm;
}

/* The branch's own reads and writes of the stack have been accounted for. */
static enum ufv_rule check_direct(struct pass *p, const struct ufd_insn *i) {
  if (p->pending)
    return UFV_PENDING;
  int64_t to = p->target = branch_target(p->off, i);
  if (to < 0 || to >= p->t->size)
    return UFV_TARGET;
  set_bit(p->targets, (uint32_t)to);
  return UFV_OK;
}

static enum ufv_rule check_gate(struct pass *p, const struct ufd_insn *i) {
  p->stops = true;
  if (!is_gate_jump(i))
    return UFV_INDIRECT;
  return p->pending ? UFV_PENDING : UFV_OK;
}

/* One instruction that stands alone. */
static enum ufv_rule check_single(struct pass *p, const struct ufd_insn *i) {
  enum ufd_class class = ufd_class(i);
  enum ufv_rule e;

  p->stops = false;
  if (class == UFD_IJMP || class == UFD_ICALL)
    return check_gate(p, i);
  if (class == UFD_LEA && (i->prefix & UFD_GS))
    return UFV_PREFIX;
  if (i->is_memory && class != UFD_LEA && class != UFD_NOP && (e = check_memory(p, i)))
    return e;
  if ((e = check_registers(p, i)))
    return e;
  switch (class) {
  case UFD_STACK:
    touch(p);
    return UFV_OK;
  case UFD_CALL:
    touch(p);
    return check_direct(p, i);
  case UFD_JMP:
    p->stops = true;
    return check_direct(p, i);
  case UFD_JCC:
    return check_direct(p, i);
  case UFD_TRAP:
    p->stops = true;
    return UFV_OK;
  case UFD_STR:
    return UFV_STRING;
  default:
    return UFV_OK;
  }
}

/* ---- sequences ------------------------------------------------------------------------------- */

static enum ufv_rule check_sequence(struct pass *p, const struct ufs_sequence *s,
                                    const struct ufd_insn *op) {
  p->stops = false;
  switch (s->kind) {
  case UFS_JMP:
    p->stops = true;
    return p->pending ? UFV_PENDING : UFV_OK;
  case UFS_CALL:
    touch(p);
    return UFV_OK;
  case UFS_STACK:
    if (op->is_memory && ufd_class(op) != UFD_LEA && !is_confined(op))
      return is_tcb_like(op) ? UFV_TCB : UFV_MEMORY;
    if (ufd_class(op) == UFD_LEA && (op->prefix & UFD_GS))
      return UFV_PREFIX;
    touch(p);
    return UFV_OK;
  case UFS_STRING:
  case UFS_NONE:
    return UFV_OK;
  }
  return UFV_INSTRUCTION;
}

/* Whether a sequence can begin here: a mask or a load from the TCB. Spares most instructions the
   look-ahead. */
static bool may_begin_sequence(const struct ufd_insn *i) {
  return i->imm == UF_CODE_MASK || (i->is_memory && i->base == UFD_R15);
}

/* Checks what stands at p->off; *len is its length (1 if it cannot be decoded). */
static enum ufv_rule check_next(struct pass *p, uint32_t *len) {
  const uint8_t *code = p->t->code + p->off;
  size_t avail = p->t->size - p->off;
  struct ufs_sequence s = {.kind = UFS_NONE};
  struct ufd_insn i, op;

  *len = 1;
  enum ufv_rule e = ufd_decode(code, avail, &i);
  if (e)
    return e;
  if (may_begin_sequence(&i))
    s = ufs_match(code, avail, &i, &op);
  *len = s.kind == UFS_NONE ? i.len : s.start[s.count];
  if (p->off / UF_BUNDLE != (p->off + *len - 1) / UF_BUNDLE)
    return UFV_BUNDLE;
  set_bit(p->safe, p->off);
  return s.kind == UFS_NONE ? check_single(p, &i) : check_sequence(p, &s, &op);
}

/* ---- the whole text
 * ------------------------------------------------------------------------------- */

static bool shape_ok(const struct ufv_text *t) {
  return t->size != 0 && t->size % UF_BUNDLE == 0 && t->vaddr % UF_BUNDLE == 0 &&
         t->vaddr >= UF_WINDOW_LO && t->vaddr < UF_WINDOW_HI && t->size <= UF_WINDOW_HI - t->vaddr;
}

/* Collects reports. */
struct reporter {
  ufv_report *report;
  void *context;
  size_t count;
  bool stop;
};

static void report(struct reporter *r, const struct ufv_error *err) {
  r->count++;
  r->stop = r->stop || !r->report(r->context, err);
}

/* After an undecodable or crossing instruction the next bundle is the next certain start. */
static uint32_t next_offset(enum ufv_rule e, uint32_t off, uint32_t len) {
  bool lost = e == UFV_INSTRUCTION || e == UFV_PREFIX || e == UFV_TRUNCATED || e == UFV_BUNDLE;
  return lost ? (off / UF_BUNDLE + 1) * UF_BUNDLE : off + len;
}

static void check_all(struct pass *p, struct reporter *r) {
  uint32_t len = 1, last = 0;
  while (p->off < p->t->size && !r->stop) {
    enum ufv_rule e = check_next(p, &len);
    last = p->off;
    if (e) {
      report(r, &(struct ufv_error){e, p->off, len, p->target});
      touch(p); /* report each fault once */
    }
    p->off = next_offset(e, p->off, len);
  }
  if (!r->stop && (!p->stops || p->pending))
    report(r, &(struct ufv_error){p->stops ? UFV_PENDING : UFV_END, last, len, 0});
}

/* Reports the branches to places that are not safe points. Only these are decoded again. */
static void check_targets(struct pass *p, struct reporter *r) {
  size_t bytes = ufv_bitmap_size(p->t->size), n = 0;
  while (n < bytes && !(p->targets[n] & ~p->safe[n]))
    n++;
  if (n == bytes)
    return;
  for (uint32_t off = 0; off < p->t->size && !r->stop; off++) {
    struct ufd_insn i;
    if (!get_bit(p->safe, off) || ufd_decode(p->t->code + off, p->t->size - off, &i))
      continue;
    enum ufd_class class = ufd_class(&i);
    int64_t to = branch_target(off, &i);
    if ((class == UFD_JMP || class == UFD_JCC || class == UFD_CALL) && to >= 0 && to < p->t->size &&
        !get_bit(p->safe, (uint32_t)to))
      report(r, &(struct ufv_error){UFV_TARGET, off, i.len, to});
  }
}

size_t ufv_scan(const struct ufv_text *t, uint8_t *safe, uint8_t *scratch, ufv_report *function,
                void *context) {
  struct reporter r = {function, context, 0, false};
  struct pass p = {.t = t, .safe = safe, .targets = scratch};
  if (!shape_ok(t)) {
    report(&r, &(struct ufv_error){.rule = UFV_SHAPE, .length = 1});
    return r.count;
  }
  memset(safe, 0, ufv_bitmap_size(t->size));
  memset(scratch, 0, ufv_bitmap_size(t->size));
  check_all(&p, &r);
  if (!r.stop)
    check_targets(&p, &r);
  return r.count;
}

static bool keep_first(void *context, const struct ufv_error *err) {
  *(struct ufv_error *)context = *err;
  return false;
}

enum ufv_rule ufv_check(const struct ufv_text *t, uint8_t *safe, uint8_t *scratch,
                        struct ufv_error *err) {
  memset(err, 0, sizeof *err);
  ufv_scan(t, safe, scratch, keep_first, err);
  return err->rule;
}

/* ---- the rules
 * -------------------------------------------------------------------------------------- */

const char *ufv_rule_text(enum ufv_rule rule) {
  static const char *const table[UFV_RULE_COUNT] = {
      "accepted",
#define RULE(name, section, text) text,
#include "rules.def"
#undef RULE
  };
  return (unsigned)rule < UFV_RULE_COUNT ? table[rule] : "unknown rule";
}

const char *ufv_rule_section(enum ufv_rule rule) {
  static const char *const table[UFV_RULE_COUNT] = {
      "",
#define RULE(name, section, text) section,
#include "rules.def"
#undef RULE
  };
  return (unsigned)rule < UFV_RULE_COUNT ? table[rule] : "";
}

const char *ufv_rule_name(enum ufv_rule rule) {
  static const char *const table[UFV_RULE_COUNT] = {
      "OK",
#define RULE(name, section, text) #name,
#include "rules.def"
#undef RULE
  };
  return (unsigned)rule < UFV_RULE_COUNT ? table[rule] : "?";
}
