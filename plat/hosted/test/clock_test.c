/* SPDX-License-Identifier: MIT */
/*
 * plat_now_here against the host's clock on several threads at once: it never runs backwards on one
 * vCPU and stays within TOLERANCE of plat_now, through anchors, pauses and a counter that cannot be
 * used.
 */
#include "plat/hosted/cpu.h"
#include "plat/hosted/hosted.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 2
#define ROUNDS 2000000
#define TOLERANCE 5000 /* ns */

struct vcpu vcpus[MAX_CPUS];
__thread struct vcpu *uf_vcpu_self __attribute__((tls_model("local-exec")));

static void fail(const char *what, u64 before, u64 here, u64 after) {
  fprintf(stderr, "clock_test: %s: %lu, %lu, %lu\n", what, before, here, after);
  exit(1);
}

/* The reading must lie between two of the host's clock, however long we were interrupted. */
static void *compare(void *arg) {
  u64 last = 0;
  uf_vcpu_self = arg;
  for (long i = 0; i < ROUNDS; i++) {
    u64 before = plat_now(), here = plat_now_here(), after = plat_now();
    if (here < last)
      fail("backwards", last, here, after);
    if (here + TOLERANCE < before || here > after + TOLERANCE)
      fail("off", before, here, after);
    last = here;
    if (i % (ROUNDS / 20) == 0)
      usleep(i % 3 * 3000);
  }
  return NULL;
}

static void compare_all(bool host_uses_tsc) {
  pthread_t t[THREADS];
  clock_init(host_uses_tsc);
  for (int i = 0; i < THREADS; i++)
    pthread_create(&t[i], NULL, compare, &vcpus[i]);
  for (int i = 0; i < THREADS; i++)
    pthread_join(t[i], NULL);
}

/* The host was suspended, or the thread came to a CPU whose counter is another. */
static void survive_jumps(void) {
  struct clock_anchor *a = &vcpus[0].clock;
  a->tsc += 1UL << 50;
  compare(&vcpus[0]);
  a->tsc -= 1UL << 43;
  compare(&vcpus[0]);
}

int main(void) {
  compare_all(true);
  bool counted = vcpus[0].clock.mult != 0;
  survive_jumps();
  compare_all(false);
  printf("clock_test: ok%s\n", counted ? "" : " (this CPU's counter is not usable)");
  return 0;
}
