/* SPDX-License-Identifier: MIT */
/*
 * The assembler stage of ufork-cc: reads GNU assembly (AT&T syntax), rewrites every instruction
 * so that the result obeys doc/abi.md, and leaves encoding and bundling to LLVM's assembler.
 *
 *   read.c    characters -> raw statements (comments, `;`, line markers)
 *   macro.c   raw statements -> raw statements (.macro, .rept, .irp, .if, .include)
 *   parse.c   raw statements -> struct stmt
 *   scan.c    sections, labels, which labels are targets of indirect jumps
 *   rewrite.c one stmt -> its replacement; with stack.c, branch.c, string.c for the hard ones
 *   emit.c    the output stream: bundles, touches of the stack, line accounting
 *
 * The process is short-lived: memory is never freed. Any error ends the process.
 */
#ifndef UFORK_AS_H
#define UFORK_AS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* ---- util.c: memory, strings, errors ------------------------------------------------- */

/* Where a statement came from, for messages. */
struct pos {
  const char *file;
  int line;
};

void *xalloc(size_t size);
void *xgrow(void *old, size_t size);
char *xstrndup(const char *s, size_t n);
char *fmt(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reports `file:line: error: ...` and exits with status 1. */
void refuse(struct pos pos, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));
/* The same for what has no position (usage, I/O). */
void fatal(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

bool streq(const char *a, const char *b);
bool starts(const char *s, const char *prefix);
bool is_one_of(const char *s, const char *const *list); /* list ends with NULL */
bool is_ident_start(char c);
bool is_ident(char c);

/* A number in assembler syntax (sign, 0x, octal, decimal) that spans all of s. */
bool parse_number(const char *s, long long *value);

/* Open hash table from strings to pointers; keys are not copied. */
struct map {
  size_t cap, used;
  struct slot {
    const char *key;
    void *value;
  } * slots;
};
void *map_get(const struct map *m, const char *key);
void map_set(struct map *m, const char *key, void *value);

/* ---- read.c -------------------------------------------------------------------------- */

/* One statement as text, without comments. `row` is the physical line of the input. */
struct raw {
  char *text;
  struct pos pos;
  int row;
  bool marker; /* a `# 12 "file"` line, kept for the assembler's own messages */
};

struct raws {
  struct raw *at;
  size_t count, cap;
};
void raws_add(struct raws *list, struct raw raw);
/* Splits one line (no newline inside) at `;`; comments are gone already. */
void raws_split(struct raws *list, const char *line, struct pos pos, int row);
/* Appends the statements of FILE (`-` is standard input). */
void read_source(struct raws *list, const char *file);

/* ---- macro.c ------------------------------------------------------------------------- */

/* Expands macros and conditional assembly; include paths are `dirs`, ended by NULL. */
void expand_macros(const struct raws *in, struct raws *out, const char *const *dirs);

/* ---- expr.c -------------------------------------------------------------------------- */

/* Value in a symbol map of what is defined but not absolute, such as a label. */
extern long long not_absolute;

/* Evaluates an absolute expression; symbols are looked up in `symbols` (values: long long *). */
bool eval(const char *expr, const struct map *symbols, long long *value);

/* ---- parse.c ------------------------------------------------------------------------- */

enum stmt_kind { ST_MARKER, ST_LABEL, ST_DIRECTIVE, ST_ASSIGN, ST_INSN };

struct stmt {
  enum stmt_kind kind;
  struct pos pos;
  int row;
  bool exec;    /* scan.c: stands in an executable section */
  bool target;  /* scan.c: a label that an indirect jump can reach */
  char *name;   /* label, directive, symbol or mnemonic */
  char *prefix; /* "" or prefixes of the instruction, each with a blank after it */
  char *args;
};

struct prog {
  struct stmt *at;
  size_t count, cap;
};
void parse(const struct raws *in, struct prog *out);

/* ---- operand.c ----------------------------------------------------------------------- */

enum { REG_SP = 4, REG_BP = 5, REG_SI = 6, REG_DI = 7, REG_SCRATCH = 11, REG_TCB = 15 };
#define REG_IP 16
#define REG_OTHER 17 /* not a general register: xmm0, st(1), cr0... */
#define REG_NONE (-1)

struct reg {
  int num;   /* 0..15, REG_IP, REG_OTHER or REG_NONE */
  int width; /* 8, 16, 32, 64 bits */
};

enum op_kind { OP_REG, OP_IMM, OP_MEM };

struct operand {
  enum op_kind kind;
  bool star;        /* `*` of an indirect branch */
  struct reg reg;   /* OP_REG */
  const char *text; /* OP_REG: name with %; OP_IMM: without $; as written, for messages */
  const char *tail; /* decoration such as {%k1}, "" if none */
  /* OP_MEM: */
  const char *seg;   /* "fs", ... or NULL */
  const char *disp;  /* "" if none */
  const char *reloc; /* what follows @ in disp, "" if none; disp itself has it removed */
  struct reg base, index;
  const char *scale; /* "" if none */
};

#define MAX_OPERANDS 6
struct operands {
  int count;
  struct operand at[MAX_OPERANDS];
};

void parse_operands(struct pos pos, const char *args, struct operands *ops);
const char *reg_name(int num, int width); /* with % */
struct reg reg_parse(const char *name);   /* without %; REG_OTHER if unknown */
/* `disp(%rsp)` without index and segment: stays as it is. */
bool is_stack_form(const struct operand *op);
bool is_rip(const struct operand *op);
char *print_operand(const struct operand *op);
char *print_operands(const struct operands *ops);

/* ---- scan.c -------------------------------------------------------------------------- */

/* Follows section directives; `exec` and `alloc` describe the current section. */
struct section {
  const char *name;
  bool exec, alloc;
};
struct sections {
  struct section now, before;
  struct {
    struct section now, before;
  } saved[32];
  int depth;
};
void sections_init(struct sections *s);
/* True if the directive switched the section. */
bool sections_step(struct sections *s, const struct stmt *st);

/* Fills in `exec` and `target` of every statement. */
void scan(struct prog *prog);

bool is_direct_branch(const char *mnemonic);

/* ---- emit.c -------------------------------------------------------------------------- */

enum bundle { LOCK_START, LOCK_END }; /* a group's place in its bundle: any, or its end */

void emit_begin(FILE *out, const char *file);
void emit_row(int row); /* the following output belongs to this input line */
void emit_marker(const char *text);
/* A directive or label, verbatim. */
void emit_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
void emit_label(const char *name, bool target);
/* One instruction. */
void emit_insn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A sequence that must not be split: instructions between the two calls. */
void emit_lock(enum bundle where);
void emit_unlock(void);
/* Stack pointer policy, doc/abi.md section 4. */
void emit_touch(void);            /* if one is due: call before a transfer of control */
void emit_drift(long long bytes); /* call before %rsp moves by so many bytes */
void emit_touched(void);          /* %rsp has just been used for an access, or re-based */

/* ---- rewrite.c and its helpers ------------------------------------------------------- */

/* An instruction while it is being rewritten. */
struct insn {
  const struct stmt *st;
  const char *name; /* mnemonic without a redundant q where that helps; see rewrite.c */
  struct operands ops;
  bool scratch_used; /* %r11 holds part of an operand already */
};

/* Rewrites the whole program to `out`. */
void rewrite(const struct prog *prog, FILE *out, const char *file);

/* Puts the memory operand into one of the forms M1 to M3, emitting what must come before. */
void sandbox_operand(struct insn *in, struct operand *op);
/* The address of a GOT slot is never needed in a static image: the operand is its content. */
bool is_got(const struct operand *op);
/* Takes %r11 for this instruction, or refuses if it is in use already. */
void take_scratch(struct insn *in);

bool rewrite_branch(struct insn *in); /* branch.c: jumps, calls, returns, syscall, hlt */
bool rewrite_string(struct insn *in); /* string.c: movs, stos, lods, cmps, scas */
bool rewrite_stack(struct insn *in);  /* stack.c: everything that names %rsp as a register */

/* deny.c: why this instruction cannot be sandboxed, or NULL. */
const char *denied(const char *mnemonic, const struct operands *ops);

#endif
