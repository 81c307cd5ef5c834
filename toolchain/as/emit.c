/* SPDX-License-Identifier: MIT */
/*
 * The output stream. Everything that one input line turns into stands on one output line, so
 * that the assembler's own messages name the right line.
 *
 * Also here: the stack pointer policy. `drift` is how far %rsp may be from where it was last
 * known to be good; a load through it is inserted before control leaves a straight line.
 */
#include "as.h"
#include "ufork/abi.h"

#include <stdarg.h>
#include <stdlib.h>

static struct {
  FILE *out;
  int row;           /* output line being written, as a row of the input */
  bool locked;       /* inside .bundle_lock */
  bool fresh_target; /* a bundle-aligned label precedes, no instruction since */
  bool pending;      /* %rsp moved without an access since */
  long long drift;
} e;

static void put(const char *format, va_list ap) {
  vfprintf(e.out, format, ap);
  fputc(';', e.out);
}

void emit_begin(FILE *out, const char *file) {
  e.out = out;
  fprintf(out, ".bundle_align_mode %d\n# 1 \"%s\"\n", UF_BUNDLE_SHIFT, file);
  e.row = 1;
}

void emit_row(int row) {
  for (; e.row < row; e.row++)
    fputc('\n', e.out);
}

void emit_marker(const char *text) { fputs(text, e.out); }

void emit_text(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  put(format, ap);
  va_end(ap);
}

void emit_label(const char *name, bool target) {
  if (target && !e.fresh_target)
    fprintf(e.out, ".p2align %d;", UF_BUNDLE_SHIFT);
  e.fresh_target |= target;
  fprintf(e.out, "%s:", name);
}

void emit_insn(const char *format, ...) {
  va_list ap;
  e.fresh_target = false;
  va_start(ap, format);
  put(format, ap);
  va_end(ap);
}

/*
 * A label straight before a group that is moved to the end of its bundle would bind after the
 * padding, so a target label gets a nop to bind to.
 */
void emit_lock(enum bundle where) {
  if (where == LOCK_END && e.fresh_target)
    emit_insn("nop");
  fputs(where == LOCK_END ? ".bundle_lock align_to_end;" : ".bundle_lock;", e.out);
}

void emit_unlock(void) { fputs(".bundle_unlock;", e.out); }

void emit_touched(void) {
  e.pending = false;
  e.drift = 0;
}

void emit_touch(void) {
  if (e.pending)
    emit_insn("movq (%%rsp), %%r11");
  emit_touched();
}

void emit_drift(long long bytes) {
  if (e.drift + llabs(bytes) > UF_RSP_DRIFT_MAX)
    emit_touch();
  e.drift += llabs(bytes);
  e.pending = true;
}
