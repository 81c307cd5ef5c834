/* SPDX-License-Identifier: MIT */
/* Operands of instructions in AT&T syntax: registers, immediates, memory. */
#include "as.h"

#include <ctype.h>
#include <string.h>

static const char *const names64[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                      "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const names32[] = {"eax", "ecx", "edx",  "ebx",  "esp",  "ebp",  "esi",  "edi",
                                      "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d"};
static const char *const names16[] = {"ax",  "cx",  "dx",   "bx",   "sp",   "bp",   "si",   "di",
                                      "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w"};
static const char *const names8[] = {"al",  "cl",  "dl",   "bl",   "spl",  "bpl",  "sil",  "dil",
                                     "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b"};

static const struct {
  const char *const *names;
  int width;
} banks[] = {{names64, 64}, {names32, 32}, {names16, 16}, {names8, 8}};

struct reg reg_parse(const char *name) {
  for (size_t b = 0; b < 4; b++)
    for (int i = 0; i < 16; i++)
      if (streq(name, banks[b].names[i]))
        return (struct reg){i, banks[b].width};
  if (streq(name, "rip") || streq(name, "eip"))
    return (struct reg){REG_IP, 64};
  return (struct reg){REG_OTHER, 0};
}

const char *reg_name(int num, int width) {
  for (size_t b = 0; b < 4; b++)
    if (banks[b].width == width)
      return fmt("%%%s", banks[b].names[num]);
  return NULL;
}

static const char *skip_blanks(const char *s) {
  while (isspace((unsigned char)*s))
    s++;
  return s;
}

static char *rtrim(char *s) {
  size_t n = strlen(s);
  while (n && isspace((unsigned char)s[n - 1]))
    s[--n] = 0;
  return s;
}

/* `%name` at s (blanks after % allowed); advances s. */
static struct reg take_reg(struct pos pos, const char **s) {
  const char *p = skip_blanks(*s);
  size_t n = 0;
  if (*p != '%')
    refuse(pos, "expected a register at `%s`", *s);
  p = skip_blanks(p + 1);
  while (isalnum((unsigned char)p[n]))
    n++;
  char *name = xstrndup(p, n);
  for (char *q = name; *q; q++)
    *q = (char)tolower((unsigned char)*q);
  *s = skip_blanks(p + n);
  return reg_parse(name);
}

/* Splits `foo@PLT+4` into disp `foo+4` and reloc `PLT`. */
static void split_reloc(struct operand *op) {
  const char *at = strchr(op->disp, '@');
  op->reloc = "";
  if (!at)
    return;
  const char *end = at + 1;
  while (isalnum((unsigned char)*end) || *end == '_')
    end++;
  op->reloc = xstrndup(at + 1, (size_t)(end - at - 1));
  op->disp = fmt("%.*s%s", (int)(at - op->disp), op->disp, end);
}

/* The `(` that opens the base/index part, NULL if the operand is a bare expression. */
static const char *find_parens(const char *s) {
  const char *last = NULL;
  for (const char *p = s; *p; p++)
    if (*p == '(')
      last = p;
  if (!last)
    return NULL;
  const char *p = skip_blanks(last + 1);
  return *p == '%' || *p == ',' ? last : NULL;
}

static void parse_memory(struct pos pos, const char *s, struct operand *op) {
  op->kind = OP_MEM;
  if (*s == '%') {
    const char *colon = strchr(s, ':');
    op->seg = xstrndup(s + 1, 2);
    s = skip_blanks(colon + 1);
  }
  const char *parens = find_parens(s);
  if (!parens) {
    op->disp = rtrim(xstrndup(s, strlen(s)));
    split_reloc(op);
    return;
  }
  op->disp = rtrim(xstrndup(s, (size_t)(parens - s)));
  split_reloc(op);
  s = skip_blanks(parens + 1);
  if (*s == '%')
    op->base = take_reg(pos, &s);
  if (*s == ',') {
    s = skip_blanks(s + 1);
    if (*s == '%')
      op->index = take_reg(pos, &s);
    if (*s == ',')
      s = skip_blanks(s + 1);
    size_t n = strcspn(s, ")");
    op->scale = rtrim(xstrndup(s, n));
    s += n;
  }
  if (*s != ')' || op->base.num == REG_OTHER || op->index.num >= REG_IP)
    refuse(pos, "memory operand `%s` cannot be sandboxed", op->text);
}

static void parse_operand(struct pos pos, char *s, struct operand *op) {
  memset(op, 0, sizeof *op);
  op->tail = op->disp = op->reloc = op->scale = "";
  op->base.num = op->index.num = REG_NONE;
  op->text = s;
  if (*s == '*') {
    op->star = true;
    s = (char *)skip_blanks(s + 1);
  }
  size_t n = strlen(s);
  if (n && s[n - 1] == '}' && strchr(s, '{')) {
    op->tail = xstrndup(strchr(s, '{'), strlen(strchr(s, '{')));
    s = rtrim(xstrndup(s, (size_t)(strchr(s, '{') - s)));
  }
  if (*s == '$') {
    op->kind = OP_IMM;
    op->text = skip_blanks(s + 1);
  } else if (*s == '%' && !strchr(s, ':')) {
    const char *p = s;
    op->kind = OP_REG;
    op->text = s;
    op->reg = take_reg(pos, &p);
    if (op->reg.num == REG_IP)
      refuse(pos, "`%s` is not an operand", op->text);
    if (op->reg.num != REG_OTHER)
      op->text = reg_name(op->reg.num, op->reg.width);
  } else {
    parse_memory(pos, s, op);
  }
}

/* Length of the operand at s: up to a comma outside of parentheses, braces and literals. */
static size_t operand_length(const char *s) {
  size_t n = 0;
  int depth = 0;
  for (; s[n] && !(s[n] == ',' && depth == 0); n++) {
    if (s[n] == '(' || s[n] == '{')
      depth++;
    else if (s[n] == ')' || s[n] == '}')
      depth--;
    else if (s[n] == '\'' && s[n + 1])
      n++;
  }
  return n;
}

void parse_operands(struct pos pos, const char *args, struct operands *ops) {
  ops->count = 0;
  const char *s = skip_blanks(args);
  while (*s) {
    size_t n = operand_length(s);
    if (ops->count == MAX_OPERANDS)
      refuse(pos, "too many operands in `%s`", args);
    parse_operand(pos, rtrim(xstrndup(s, n)), &ops->at[ops->count++]);
    s += n;
    if (*s == ',')
      s = skip_blanks(s + 1);
  }
}

bool is_stack_form(const struct operand *op) {
  return op->kind == OP_MEM && !op->seg && op->base.num == REG_SP && op->base.width == 64 &&
         op->index.num == REG_NONE && !*op->reloc;
}

bool is_rip(const struct operand *op) { return op->kind == OP_MEM && op->base.num == REG_IP; }

static char *print_memory(const struct operand *op) {
  char *seg = op->seg ? fmt("%%%s:", op->seg) : "";
  char *reloc = *op->reloc ? fmt("@%s", op->reloc) : "";
  /* The relocation operator follows the symbol, before any offset. */
  size_t sym = 0;
  if (*reloc)
    while (is_ident(op->disp[sym]))
      sym++;
  else
    sym = strlen(op->disp);
  char *disp = fmt("%.*s%s%s", (int)sym, op->disp, reloc, op->disp + sym);
  if (op->base.num == REG_NONE && op->index.num == REG_NONE)
    return fmt("%s%s%s", seg, disp, op->tail);
  const char *base = op->base.num == REG_NONE ? ""
                     : op->base.num == REG_IP ? "%rip"
                                              : reg_name(op->base.num, op->base.width);
  if (op->index.num == REG_NONE)
    return fmt("%s%s(%s)%s", seg, disp, base, op->tail);
  return fmt("%s%s(%s,%s%s%s)%s", seg, disp, base, reg_name(op->index.num, op->index.width),
             *op->scale ? "," : "", op->scale, op->tail);
}

char *print_operand(const struct operand *op) {
  char *s = op->kind == OP_MEM   ? print_memory(op)
            : op->kind == OP_IMM ? fmt("$%s", op->text)
                                 : fmt("%s%s", op->text, op->tail);
  return op->star ? fmt("*%s", s) : s;
}

char *print_operands(const struct operands *ops) {
  char *s = "";
  for (int i = 0; i < ops->count; i++)
    s = fmt("%s%s%s", s, i ? ", " : "", print_operand(&ops->at[i]));
  return s;
}
