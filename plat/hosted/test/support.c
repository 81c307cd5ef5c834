/* SPDX-License-Identifier: MIT */
#include "plat/hosted/test/support.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/test/fake/kinds.h"
#include "plat/hosted/hosted.h"
#include "plat/hosted/pagemap.h"
#include "plat/hosted/seg.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

u64 support_seed = 88172645463325252u;

static unsigned fail_every, allocations;

void support_fail_allocations(unsigned every) { fail_every = every; }

static bool fails(void) { return fail_every && ++allocations % fail_every == 0; }

void *kmalloc(size_t n) { return fails() ? NULL : malloc(n); }
void *kzalloc(size_t n) { return fails() ? NULL : calloc(1, n); }
void *krealloc(void *p, size_t n) { return fails() ? NULL : realloc(p, n); }
void kfree(void *p) { free(p); }

void plat_random(void *buf, size_t n) {
  if (getrandom(buf, n, 0) != (ssize_t)n)
    abort();
}

_Noreturn void plat_panic(const char *why) {
  printf("FAIL panic: %s\n", why);
  abort();
}

void plat_relax(void) { sched_yield(); }
/* Time stands still, except that now and then something took very long. */
u64 plat_now(void) {
  static u64 now, calls; /* atomic */
  bool jump = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % 7 == 0;
  return __atomic_add_fetch(&now, jump ? 1000000 : 0, __ATOMIC_RELAXED);
}
u64 plat_mem_limit(void) { return UINT64_MAX; }
u64 plat_mem_used(void) { return 0; }
bool plat_mem_fits(u64 more) {
  (void)more;
  return true;
}

static __thread bool watching;

void plat_watch_calls(bool on) { watching = on; }

bool support_watched(void) {
  bool was = watching;
  watching = false;
  return was;
}

void support_init(void) {
  if (slots_init() || pagemap_init())
    abort();
  seg_init();
}

unsigned support_host_mappings(void) {
  FILE *f = fopen("/proc/self/maps", "r");
  char line[512];
  unsigned n = 0;
  while (f && fgets(line, sizeof(line), f))
    n += strstr(line, "ufork-mem") != NULL;
  if (f)
    fclose(f);
  return n;
}
