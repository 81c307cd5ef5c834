/* SPDX-License-Identifier: MIT */
/*
 * Regions on several CPUs at once, under the thread sanitizer: each host thread is a CPU with
 * regions of its own, which it writes, checks, forks and destroys; children are handed to other
 * threads, so that tables and frames are shared, split and freed from all sides at the same time.
 *
 * race_test SEED OPS (of each thread).
 */
#include "kernel/errno.h"
#include "plat/pc/test/audit.h"
#include "plat/pc/test/mmu.h"
#include "plat/pc/test/support.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LO 0x20000000u
#define PAGES 1400u /* three page tables */
#define FAR 0x40000000u
#define FAR_PAGES 700u
#define REGIONS_MAX 5u /* of a thread */
#define WAITING_MAX 4u

struct process {
  struct region *real;
  struct process *next;
  u64 words[PAGES + FAR_PAGES];
};

static struct mailbox {
  pthread_mutex_t lock;
  struct process *first;
  unsigned n;
} mailboxes[TEST_CPUS_MAX];

static struct memobj *object;
static u64 seed, ops, forks_done; /* the last one atomic */
static _Thread_local u64 state;

static u32 below(u32 n) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (u32)((state >> 32) * n >> 32);
}

static _Noreturn void fail(const char *what) {
  printf("FAIL race_test: %s\n", what);
  exit(1);
}

static u32 offset_of(u32 page) {
  return page < PAGES ? LO + page * 4096 : FAR + (page - PAGES) * 4096;
}

static void write_page(struct process *p, u32 page) {
  u64 value = (u64)below(1u << 30) << 20 | page;
  mmu_run(p->real);
  u64 *at = mmu_access(offset_of(page), true);
  if (!at)
    fail("not writable");
  p->words[page] = at[page % 512] = value;
}

static void check_page(struct process *p, u32 page) {
  mmu_run(p->real);
  const u64 *at = mmu_access(offset_of(page), false);
  if (!at || at[page % 512] != p->words[page] || at[(page + 1) % 512] != 0)
    fail("wrong contents");
}

static struct process *create(void) {
  struct process *p = calloc(1, sizeof(*p));
  if (region_create(1, &p->real) || region_map(p->real, LO, PAGES * 4096, 3, REGION_HOT) ||
      region_map(p->real, FAR, FAR_PAGES * 4096, 3, REGION_COLD) ||
      region_map_object(p->real, 0x80000000u, 64 * 4096, 1, object, 0))
    fail("create");
  return p;
}

/* false: too much waits there already. */
static bool give(struct process *p, unsigned cpu) {
  struct mailbox *m = &mailboxes[cpu];
  pthread_mutex_lock(&m->lock);
  bool room = m->n < WAITING_MAX;
  if (room) {
    p->next = m->first;
    m->first = p;
    m->n++;
  }
  pthread_mutex_unlock(&m->lock);
  return room;
}

static struct process *receive(unsigned cpu) {
  struct mailbox *m = &mailboxes[cpu];
  pthread_mutex_lock(&m->lock);
  struct process *p = m->first;
  if (p) {
    m->first = p->next;
    m->n--;
  }
  pthread_mutex_unlock(&m->lock);
  return p;
}

static void destroy(struct process *p) {
  for (u32 i = 0; i < 200; i++)
    check_page(p, below(PAGES + FAR_PAGES));
  mmu_run(NULL);
  region_destroy(p->real);
  free(p);
}

static void fork_to(struct process *p, unsigned cpu) {
  struct region_fork_args a = {.sp = LO + 5 * 4096};
  struct process *c = malloc(sizeof(*c));
  memcpy(c, p, sizeof(*c));
  mmu_run(p->real);
  if (region_fork(p->real, &a, &c->real))
    fail("fork");
  __atomic_add_fetch(&forks_done, 1, __ATOMIC_RELAXED);
  if (!give(c, cpu))
    destroy(c);
}

static void use(struct process *p) {
  u32 first = below(PAGES + FAR_PAGES), n = 1 + below(30);
  for (u32 i = first; i < first + n && i < PAGES + FAR_PAGES; i++)
    below(2) ? write_page(p, i) : check_page(p, i);
  write_page(p, 7); /* hot */
  mmu_run(p->real);
  if (!mmu_access(0x80000000u + below(64) * 4096, false))
    fail("object");
}

static void *cpu_main(void *arg) {
  unsigned cpu = (unsigned)(u64)arg, n = 0;
  struct process *mine[REGIONS_MAX];
  mmu_cpu(cpu);
  state = (seed * TEST_CPUS_MAX + cpu + 1) * 0x9e3779b97f4a7c15u;
  for (u64 i = 0; i < ops; i++) {
    struct process *p = receive(cpu);
    if (p && n == REGIONS_MAX)
      destroy(p);
    else if (p)
      mine[n++] = p;
    if (n == 0)
      mine[n++] = create();
    u32 k = below(n);
    use(mine[k]);
    if (below(4) == 0)
      fork_to(mine[k], below(TEST_CPUS_MAX));
    if (below(6) == 0) {
      destroy(mine[k]);
      mine[k] = mine[--n];
    }
  }
  while (n > 0)
    destroy(mine[--n]);
  tables_drain();
  return NULL;
}

static void clean_up(void) {
  for (unsigned i = 0; i < TEST_CPUS_MAX; i++)
    for (struct process *p; (p = receive(i)) != NULL;)
      destroy(p);
  memobj_put(object);
  hotsets_drain();
  tables_drain();
}

int main(int argc, char **argv) {
  pthread_t threads[TEST_CPUS_MAX];
  if (argc != 3) {
    fputs("usage: race_test SEED OPERATIONS\n", stderr);
    return 2;
  }
  seed = strtoull(argv[1], NULL, 0);
  ops = strtoull(argv[2], NULL, 0);
  support_init(MIB(256));
  if (memobj_create(64 * PAGE_SIZE, &object))
    fail("object");
  for (unsigned i = 0; i < TEST_CPUS_MAX; i++)
    pthread_mutex_init(&mailboxes[i].lock, NULL);
  for (u64 i = 0; i < TEST_CPUS_MAX; i++)
    if (pthread_create(&threads[i], NULL, cpu_main, (void *)i))
      fail("thread");
  for (unsigned i = 0; i < TEST_CPUS_MAX; i++)
    pthread_join(threads[i], NULL);
  clean_up();
  u64 left = frames_used() / PAGE_SIZE - audit_upper_frames();
  bool clean = left == 0 && slots_in_use() == 0 && support_kmalloc_live() == 0;
  printf("%s race_test: %lu operations on each of %u CPUs, %lu forks, %lu frames left\n",
         clean ? "ok" : "FAIL", (unsigned long)ops, TEST_CPUS_MAX, (unsigned long)forks_done,
         (unsigned long)left);
  return !clean;
}
