/* SPDX-License-Identifier: MIT */
/* The processor as a judge: runs single instructions with known registers and looks at what they
   have done. Tests only; x86-64 Linux; not under AddressSanitizer (it needs 16 GiB of addresses).
 */
#ifndef UF_VERIFIER_SILICON_H
#define UF_VERIFIER_SILICON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum silicon_result {
  SILICON_OK,      /* ran to its end and kept to its sandbox */
  SILICON_FAULTED, /* faulted inside the sandbox, or for another reason than an address */
  SILICON_ILLEGAL, /* this processor does not have it */
  SILICON_LENGTH,  /* ended elsewhere than `length` says */
  SILICON_ADDRESS, /* accessed an address outside the sandbox */
  SILICON_RSP,     /* moved %rsp by more than a push or pop */
  SILICON_R15,     /* changed %r15 */
  SILICON_FLAGS,   /* set DF, TF, NT, AC or IOPL */
  SILICON_SEGMENT, /* changed a segment register or the %gs base */
  SILICON_RESULTS
};

/* Maps the sandbox: 4 GiB at %gs and 4 GiB around %rsp. False if the system refuses. */
bool silicon_open(void);
void silicon_close(void);

/* Runs one instruction that neither branches nor traps. `seed` chooses the register contents. */
enum silicon_result silicon_run(const uint8_t *insn, size_t length, uint64_t seed);

const char *silicon_name(enum silicon_result result);

#endif
