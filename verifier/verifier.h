/* SPDX-License-Identifier: MIT */
/*
 * The trusted machine-code checker (doc/verifier.md). ufv_check() accepts a text only if no thread
 * that starts at a safe point of it, with the registers the kernel gives it, can read, write or
 * execute anything outside its region, the text window and the system-call gate.
 *
 * Freestanding: no allocation, no writable globals, no floating point; memset and memcpy only.
 * Every function is reentrant. The caller keeps the text from changing during the call and maps
 * exactly these bytes afterwards.
 */
#ifndef UF_VERIFIER_VERIFIER_H
#define UF_VERIFIER_VERIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ufv_rule {
  UFV_OK,
#define RULE(name, section, text) UFV_##name,
#include "rules.def"
#undef RULE
  UFV_RULE_COUNT
};

/* Text as it will run: relocated bytes and the address of the first one. */
struct ufv_text {
  const uint8_t *code;
  uint32_t size;
  uint32_t vaddr;
};

struct ufv_error {
  enum ufv_rule rule;
  uint32_t offset; /* of the offending instruction */
  uint32_t length; /* of it, as far as it was decoded; at least 1 */
  int64_t target;  /* UFV_TARGET: offset that it jumps to, perhaps outside the text */
};

/* Bytes of a bitmap with one bit for each byte of text. */
static inline size_t ufv_bitmap_size(uint32_t text_size) { return (text_size + 7) / 8; }

/*
 * Checks a text. `safe` and `scratch` are bitmaps of ufv_bitmap_size(t->size) bytes, their contents
 * on entry do not matter. On success `safe` has a bit for every safe point (the first byte of every
 * instruction that is not inside a sequence); keep it for the functions below. On failure *err
 * describes a broken rule and `safe` is meaningless. Returns UFV_OK or err->rule.
 */
enum ufv_rule ufv_check(const struct ufv_text *t, uint8_t *safe, uint8_t *scratch,
                        struct ufv_error *err);

/* Receives one violation; returns whether to go on looking. */
typedef bool ufv_report(void *context, const struct ufv_error *err);

/* As ufv_check, but reports every violation, resuming at the next bundle after an instruction that
   cannot be decoded. Returns the number of reports. Order: by address, then branch targets. */
size_t ufv_scan(const struct ufv_text *t, uint8_t *safe, uint8_t *scratch, ufv_report *report,
                void *context);

/* What a rule forbids, and its section in doc/abi.md; never NULL. */
const char *ufv_rule_text(enum ufv_rule rule);
const char *ufv_rule_section(enum ufv_rule rule);
const char *ufv_rule_name(enum ufv_rule rule);

/* ---- safe points of a text that ufv_check accepted ------------------------------------- */

/* Whether a thread may be resumed at this offset. */
bool ufv_is_safe_point(const struct ufv_text *t, const uint8_t *safe, uint64_t offset);

/* Whether an address (not offset) may be the entry point: a bundle inside the text. */
bool ufv_is_entry(const struct ufv_text *t, uint64_t address);

/* Registers of an interrupted thread. r11 is not among them: no value in it survives. */
struct ufv_regs {
  uint64_t rip;
  uint64_t rsp;
  uint64_t rsi;
  uint64_t rdi;
  uint64_t base; /* in: address of the region's byte 0 */
};

/*
 * Moves a thread that was interrupted inside a sequence to a safe point, so that its registers hold
 * what user code may see: S1, and S3 before its string instruction has completed, back to the
 * first instruction; S2 once %esp is written, and S3 after the string instruction, forward to the
 * end. At a safe point nothing changes. Returns 0, or -1 (and changes nothing) if rip is not an
 * instruction of the text.
 */
int ufv_canonicalize(const struct ufv_text *t, const uint8_t *safe, struct ufv_regs *regs);

#endif
