/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "silicon.h"
#include <asm/prctl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define REGION ((size_t)4 << 30)
#define TAIL 1024 /* the longest operand starts at the last byte of the region */
#define PURGE 4096

enum { BAD_FLAGS = 0x400 | 0x100 | 0x4000 | 0x40000 | 0x3000, WATCHED = 5 };
static const int watched[WATCHED] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE};

static uint8_t *code, *tcb, *region, *stack, *altstack;
static unsigned runs;
static struct sigaction before[WATCHED];

/* What the signal handler exchanges with silicon_run(). */
static volatile enum { IDLE, START, RUNNING, DONE } phase;
static greg_t in[NGREG], out[NGREG], host[NGREG];
static int signal_seen, code_seen;
static uint8_t *address_seen;

/* The floating-point environment that compiled code expects. */
static void reset_fpu(ucontext_t *uc) {
  uc->uc_mcontext.fpregs->mxcsr = 0x1f80;
  uc->uc_mcontext.fpregs->cwd = 0x37f;
  uc->uc_mcontext.fpregs->swd = 0;
  uc->uc_mcontext.fpregs->ftw = 0;
}

/* The first trap loads the registers of the test, the next signal takes them away again. */
static void on_signal(int number, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  greg_t *regs = uc->uc_mcontext.gregs;
  if (phase == START) {
    memcpy(host, regs, sizeof host);
    in[REG_CSGSFS] = regs[REG_CSGSFS];
    memcpy(regs, in, sizeof in);
    phase = RUNNING;
  } else if (phase == RUNNING) {
    memcpy(out, regs, sizeof out);
    signal_seen = number;
    code_seen = info->si_code;
    address_seen = info->si_addr;
    memcpy(regs, host, sizeof host);
    reset_fpu(uc);
    phase = DONE;
  } else {
    abort();
  }
}

/* At low addresses, so that base plus a random register stays canonical and faults as a page. */
static void *reserve(uintptr_t hint, size_t size) {
  void *p = mmap((void *)hint, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

bool silicon_open(void) {
  struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  code = reserve(0, 4096);
  tcb = reserve(0, 4096);
  altstack = reserve(0, 1 << 16);
  region = reserve(0x100000000000, REGION + 4096);
  stack = reserve(0x200000000000, REGION + 2 * 4096);
  if (!code || !tcb || !altstack || !region || !stack ||
      mprotect(code, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) || mprotect(tcb, 4096, PROT_READ) ||
      mprotect(region + REGION, 4096, PROT_NONE))
    return false;
  sigaltstack(&(stack_t){.ss_sp = altstack, .ss_size = 1 << 16}, NULL);
  for (int n = 0; n < WATCHED; n++)
    sigaction(watched[n], &sa, &before[n]);
  return syscall(SYS_arch_prctl, ARCH_SET_GS, region) == 0;
}

void silicon_close(void) {
  for (int n = 0; n < WATCHED; n++)
    sigaction(watched[n], &before[n], NULL);
  munmap(region, REGION + 4096);
  munmap(stack, REGION + 2 * 4096);
}

static uint64_t next(uint64_t *seed) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  return *seed >> 17;
}

/* Random canonical addresses: what dereferences one of them faults at it. */
static void fill_registers(uint64_t seed) {
  memset(in, 0, sizeof in);
  for (int r = REG_R8; r <= REG_RCX; r++)
    in[r] = (greg_t)(next(&seed) & 0x1fffffffffff);
  in[REG_EFL] = 0x202 | (greg_t)(next(&seed) & 0x8d5);
  in[REG_RSP] = (greg_t)(stack + 4096 + REGION / 2);
  in[REG_R15] = (greg_t)tcb;
  in[REG_RIP] = (greg_t)code;
}

static void trap_into_test(void) {
  __asm__ volatile("int3" ::
                       : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                         "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                         "xmm15", "st", "mm0");
}

static bool within(const uint8_t *at, const uint8_t *base, size_t size) {
  return at >= base && at < base + size;
}

/* #GP has no address: a misaligned vector or reserved bits. */
static bool inside_sandbox(void) {
  if (signal_seen != SIGSEGV || code_seen == SI_KERNEL)
    return true;
  return within(address_seen, region, REGION + TAIL) ||
         within(address_seen, stack, REGION + 2 * 4096) || within(address_seen, tcb, 4096);
}

static enum silicon_result judge(size_t length) {
  greg_t moved = out[REG_RSP] - in[REG_RSP];
  uint8_t *gs;
  if (!inside_sandbox())
    return SILICON_ADDRESS;
  if (out[REG_R15] != in[REG_R15])
    return SILICON_R15;
  if (moved < -8 || moved > 8)
    return SILICON_RSP;
  if (out[REG_EFL] & BAD_FLAGS)
    return SILICON_FLAGS;
  if (out[REG_CSGSFS] != in[REG_CSGSFS] || syscall(SYS_arch_prctl, ARCH_GET_GS, &gs) ||
      gs != region)
    return SILICON_SEGMENT;
  if (signal_seen == SIGILL)
    return SILICON_ILLEGAL;
  if (signal_seen != SIGTRAP)
    return SILICON_FAULTED;
  return out[REG_RIP] == (greg_t)(code + length + 1) ? SILICON_OK : SILICON_LENGTH;
}

enum silicon_result silicon_run(const uint8_t *insn, size_t length, uint64_t seed) {
  memset(code, 0xcc, 64);
  memcpy(code, insn, length);
  fill_registers(seed);
  phase = START;
  trap_into_test();
  enum silicon_result result = phase == DONE ? judge(length) : SILICON_FAULTED;
  phase = IDLE;
  if (++runs % PURGE == 0) {
    madvise(region, REGION, MADV_DONTNEED);
    madvise(stack, REGION, MADV_DONTNEED);
  }
  return result;
}

const char *silicon_name(enum silicon_result result) {
  static const char *const names[SILICON_RESULTS] = {"ran",
                                                     "faulted inside",
                                                     "unknown to this processor",
                                                     "has another length",
                                                     "left its sandbox",
                                                     "moved %rsp",
                                                     "changed %r15",
                                                     "set a forbidden flag",
                                                     "changed a segment"};
  return names[result];
}
