/* SPDX-License-Identifier: MIT */
/*
 * Kernel stacks on the host: physical memory is a file, the kernel's maps are mappings of it, so a
 * guard is one. Frames count who has them; TLBs remember what has not been flushed.
 */
#define _GNU_SOURCE
#include "kernel/test/fake/check_once.h"
#include "plat/pc/kstack.h"
#include "plat/pc/pagetable.h"
#include "plat/pc/pc.h"
#include "plat/pc/tlb.h"
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAMES 1024u
#define BLOCKS 100u
#define BLOCK_PAGES (KSTACK_SIZE / PAGE_SIZE)
#define AREA ((u64)BLOCKS * 2 * KSTACK_SPAN)

struct thread boot_thread;
__asm__(".bss\n.globl boot_guard, boot_guard_end\nboot_guard: .skip 16\nboot_guard_end: .skip "
        "16\n.text");
static int memory;
static u8 used[FRAMES + 1]; /* frame 0 is none */
static u32 n_used, limit = FRAMES;
static paddr mapped[AREA / PAGE_SIZE]; /* by page of the area */
static bool stale[AREA / PAGE_SIZE];   /* unmapped, not flushed */
static u32 flushes;

static u64 page_of(u64 va) {
  CHECK(va >= STACK_LO && va < STACK_LO + AREA);
  return (va - STACK_LO) / PAGE_SIZE;
}

paddr frame_alloc_zeroed(void) {
  static const char zeros[PAGE_SIZE];
  if (n_used == limit)
    return 0;
  u32 f = 1;
  while (used[f])
    f++;
  used[f] = 1;
  n_used++;
  CHECK(pwrite(memory, zeros, PAGE_SIZE, (off_t)f * PAGE_SIZE) == PAGE_SIZE);
  return (paddr)f * PAGE_SIZE;
}

/* Nobody gets a frame that some CPU may still write to. */
bool frame_put(paddr p) {
  for (u64 i = 0; i < AREA / PAGE_SIZE; i++)
    CHECK(mapped[i] != p || !stale[i]);
  CHECK(used[p / PAGE_SIZE]);
  used[p / PAGE_SIZE] = 0;
  n_used--;
  return true;
}

int pagetable_map(u64 va, paddr pa, u64 len, u64 rights) {
  u64 i = page_of(va);
  CHECK(len == PAGE_SIZE && rights == PT_RW && !stale[i] && mapped[i] == 0);
  mapped[i] = pa;
  CHECK(mmap((void *)va, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory, (off_t)pa) ==
        (void *)va);
  return 0;
}

void pagetable_unmap(u64 va, u64 len) {
  for (; len; va += PAGE_SIZE, len -= PAGE_SIZE)
    stale[page_of(va)] = mapped[page_of(va)] != 0;
}

u64 pagetable_lookup(u64 va, u64 *size) {
  u64 i = page_of(va);
  *size = PAGE_SIZE;
  return mapped[i] && !stale[i] ? mapped[i] | PT_RW : 0;
}

void tlb_flush_global(u64 va, u64 pages) {
  flushes++;
  for (u64 i = page_of(va); i < page_of(va) + pages; i++)
    if (stale[i]) {
      stale[i] = false;
      mapped[i] = 0;
      CHECK(mmap((void *)(STACK_LO + i * PAGE_SIZE), PAGE_SIZE, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
    }
}

_Noreturn void plat_panic(const char *why) {
  printf("FAIL kstack_test: %s\n", why);
  exit(1);
}

void plat_relax(void) {}

/* ---- the tests ------------------------------------------------------------------------------- */

static sigjmp_buf back;
static u64 fault_at;

static void fault(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)context;
  fault_at = (u64)info->si_addr;
  siglongjmp(back, 1);
}

static bool faults(u64 a) {
  if (sigsetjmp(back, 1)) {
    CHECK(fault_at == a);
    return true;
  }
  *(volatile char *)a = 1;
  return false;
}

static u64 bottom(const struct thread *t) { return (u64)t + THREAD_ROOM - KSTACK_SIZE; }

static void layout(void) {
  struct thread *t = plat_thread_alloc(), *u = plat_thread_alloc();
  CHECK(t && u && t != u && thread_at((u64)t - 8) == t && thread_at(bottom(t) - 1) == t);
  CHECK(((u64)t + THREAD_ROOM) % KSTACK_SPAN == 0);
  memset((char *)bottom(t), 0xaa, KSTACK_SIZE);
  memset((char *)bottom(u), 0xbb, KSTACK_SIZE);
  CHECK(*(u8 *)bottom(t) == 0xaa && *((u8 *)t + THREAD_ROOM - 1) == 0xaa);
  for (u64 a = 1; a <= KSTACK_SPAN - KSTACK_SIZE; a += 511) {
    CHECK(faults(bottom(t) - a) && kstack_below(bottom(t) - a) == t);
    CHECK(!kstack_holds(bottom(t) - a));
  }
  CHECK(kstack_below(bottom(t)) == NULL && kstack_holds(bottom(t)));
  CHECK(kstack_holds((u64)t) && !kstack_holds((u64)t + THREAD_ROOM - 8));
  CHECK(kstack_below(STACK_LO - 1) == NULL && !kstack_holds(STACK_LO - 8));
  CHECK(kstack_below((u64)boot_guard + 1) != NULL);
  plat_thread_free(t);
  plat_thread_free(u);
}

/* What was given back comes again as zeros, kept or not. */
static void zeros(void) {
  struct thread *t = plat_thread_alloc();
  memset((char *)bottom(t), 0xcc, KSTACK_SIZE);
  plat_thread_free(t);
  struct thread *again = plat_thread_alloc();
  CHECK(again == t);
  for (u32 i = 0; i < KSTACK_SIZE; i++)
    CHECK(((char *)bottom(again))[i] == 0);
  plat_thread_free(again);
}

static void many(void) {
  struct thread *t[BLOCKS];
  kstack_drain();
  CHECK(n_used == 0 && kstack_pages() == 0);
  u32 before = flushes;
  for (u32 round = 0; round < 20; round++) {
    for (u32 i = 0; i < BLOCKS; i++) {
      CHECK((t[i] = plat_thread_alloc()) != NULL);
      for (u32 k = 0; k < i; k++)
        CHECK(t[k] != t[i]);
    }
    CHECK(n_used == BLOCKS * BLOCK_PAGES && kstack_pages() == n_used);
    for (u32 i = 0; i < BLOCKS; i++)
      plat_thread_free(t[(i * 37 + round) % BLOCKS]);
  }
  CHECK(flushes - before < 20 * BLOCKS / 16); /* many blocks go with one flush */
  CHECK(n_used < BLOCKS * BLOCK_PAGES);
  kstack_drain();
  CHECK(n_used == 0 && kstack_pages() == 0);
  CHECK(faults(bottom(t[0])) && kstack_below(bottom(t[0]) - 8) == NULL);
}

/* With memory for one block and a part of the next. */
static void no_memory(void) {
  for (u32 part = 0; part < BLOCK_PAGES; part++) {
    limit = BLOCK_PAGES + part;
    struct thread *t = plat_thread_alloc();
    CHECK(t && plat_thread_alloc() == NULL && n_used == BLOCK_PAGES);
    limit = FRAMES;
    struct thread *u = plat_thread_alloc();
    CHECK(u != NULL);
    plat_thread_free(t);
    plat_thread_free(u);
    kstack_drain();
    CHECK(n_used == 0);
  }
}

int main(void) {
  struct sigaction sa = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &sa, NULL);
  memory = memfd_create("memory", 0);
  CHECK(ftruncate(memory, (off_t)(FRAMES + 1) * PAGE_SIZE) == 0);
  CHECK(mmap((void *)STACK_LO, AREA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
             -1, 0) == (void *)STACK_LO);
  layout();
  zeros();
  many();
  no_memory();
  printf("kstack_test: 4 passed, 0 failed\n");
  return 0;
}
