/* SPDX-License-Identifier: MIT */
/* The kernel heap, built with KMALLOC_DEBUG: stale writes are found as well. */
#include "kernel/mm/kmalloc.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fake/fake.h"
#include <stdlib.h>
#include <string.h>

#define SLOTS 3000
#define STEPS 300000

struct block {
  unsigned char *p;
  size_t n;
};

static size_t any_size(void) {
  switch (rand() % 10) {
  case 0:
    return (size_t)rand() % 100000;
  case 1:
    return (size_t)rand() % 16;
  default:
    return (size_t)rand() % 4300;
  }
}

static unsigned char tag(const struct block *b, size_t i) { return (unsigned char)(b->n * 7 + i); }

static void fill(struct block *b) {
  for (size_t i = 0; i < b->n; i += i < 64 ? 1 : 61)
    b->p[i] = tag(b, i);
}

static int intact(const struct block *b) {
  for (size_t i = 0; i < b->n; i += i < 64 ? 1 : 61)
    if (b->p[i] != tag(b, i))
      return 0;
  return 1;
}

/* Blocks never overlap, keep their contents whatever CPU frees what, and nothing is lost. */
static void random_traffic(void) {
  static struct block b[SLOTS];
  struct thread cpus[3] = {{.cpu = 0}, {.cpu = 1}, {.cpu = 2}};
  u64 before = kmalloc_used();
  int bad = 0;
  for (int step = 0; step < STEPS; step++) {
    struct block *x = &b[rand() % SLOTS];
    fake_become(&cpus[rand() % 3]);
    if (x->p != NULL) {
      bad += !intact(x);
      kfree(x->p);
      x->p = NULL;
    } else {
      x->n = any_size();
      x->p = kmalloc(x->n);
      bad += x->p == NULL || (u64)x->p % 16 != 0;
      fill(x);
    }
  }
  CHECK(bad == 0);
  CHECK(kmalloc_used() > before);
  for (int i = 0; i < SLOTS; i++) {
    kfree(b[i].p);
    b[i].p = NULL;
  }
  CHECK(kmalloc_used() == before);
  fake_become(NULL);
}

/* What is free beyond a reserve goes back to the platform. */
static void slabs_return(void) {
  static void *p[20000];
  size_t before = fake_pages_used;
  for (int i = 0; i < 20000; i++)
    p[i] = kmalloc(1000);
  size_t peak = fake_pages_used;
  for (int i = 0; i < 20000; i++)
    kfree(p[i]);
  CHECK(peak - before > 4000);
  CHECK(fake_pages_used - before < 64);
}

static void zeroed(void) {
  static const size_t sizes[] = {1, 16, 200, 4096, 4097, 70000};
  for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
    unsigned char *p = kmalloc(sizes[i]);
    memset(p, 0xff, sizes[i]);
    kfree(p);
    p = kzalloc(sizes[i]);
    int bad = 0;
    for (size_t k = 0; k < sizes[i]; k++)
      bad += p[k] != 0;
    CHECK(bad == 0);
    kfree(p);
  }
}

static void reallocated(void) {
  u64 before = kmalloc_used();
  char *p = krealloc(NULL, 10);
  strcpy(p, "contents");
  for (size_t n = 10; n < 200000; n = n * 3 / 2) {
    p = krealloc(p, n);
    CHECK(strcmp(p, "contents") == 0);
    p[n - 1] = 1;
  }
  p = krealloc(p, 9);
  CHECK(strcmp(p, "contents") == 0);
  kfree(p);
  char *d = kstrdup("abc"), *e = kstrndup("abcdef", 2);
  CHECK(strcmp(d, "abc") == 0 && strcmp(e, "ab") == 0);
  kfree(d);
  kfree(e);
  kfree(NULL);
  CHECK(kmalloc_used() == before);
}

static void out_of_memory(void) {
  fake_pages_fail = fake_pages_used + 1;
  CHECK(kmalloc(1000000) == NULL);
  CHECK(kmalloc((size_t)-1) == NULL && kmalloc((size_t)-1 / 4) == NULL);
  void *p = NULL, *last = NULL;
  int n = 0;
  while (n < 100000 && (p = kmalloc(4096)) != NULL) { /* what the caches still have */
    *(void **)p = last;
    last = p;
    n++;
  }
  CHECK(p == NULL);
  fake_pages_fail = 0;
  for (; last != NULL; last = p) {
    p = *(void **)last;
    kfree(last);
  }
  p = kmalloc(4096);
  CHECK(p != NULL);
  kfree(p);
}

/* What another CPU has freed is found when there is no memory, and given back on demand. */
static void kept_by_others(void) {
  static void *p[400];
  struct thread here = {.cpu = 0}, there = {.cpu = 1};
  fake_become(&here);
  kmalloc_trim();
  for (int i = 0; i < 400; i++)
    p[i] = kmalloc(2000);
  size_t full = fake_pages_used;
  fake_become(&there);
  for (int i = 0; i < 400; i++)
    kfree(p[i]);
  kmalloc_trim();
  CHECK(full - fake_pages_used >= 400 / 16 * 8 - 16); /* but for a slab or two */
  for (int i = 0; i < 5; i++)
    p[i] = kmalloc(2000);
  for (int i = 0; i < 5; i++)
    kfree(p[i]);
  fake_become(&here);
  fake_pages_fail = fake_pages_used;
  int n = 0;
  while (n < 400 && (p[n] = kmalloc(2000)) != NULL)
    n++;
  CHECK(n >= 5);
  fake_become(&there);
  CHECK(kmalloc(2000) == NULL); /* none was left there */
  fake_pages_fail = 0;
  while (n > 0)
    kfree(p[--n]);
  fake_become(NULL);
}

int main(void) {
  srand(1);
  TEST(random_traffic);
  TEST(slabs_return);
  TEST(zeroed);
  TEST(reallocated);
  TEST(out_of_memory);
  TEST(kept_by_others);
  return check_summary("mm_kmalloc");
}
