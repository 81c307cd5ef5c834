/* SPDX-License-Identifier: MIT */
/*
 * Spaces against a model. The model of a process is an array of pages; random system calls of the
 * mmap family, stores, forks and exits are applied to both, and results, contents, protections and
 * the list of mappings have to agree. Every page carries a number of its own, so that contents that
 * come from elsewhere (another page, another process, a dead one) do not go unnoticed.
 */
#include "kernel/errno.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/mman.h"
#include "kernel/mm/usercopy.h"
#include "kernel/syscall/syscall.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fake/fake.h"
#include "kernel/test/fake/fake_region.h"
#include "kernel/test/no_files.h"
#include <stdlib.h>
#include <string.h>

#define PAGES 96u
#define AREA 0x48000000u
#define PROCS 4
#define OBJECTS 4096
#define STEPS 40000
#define MREMAP_BOTH (MREMAP_MAYMOVE | MREMAP_FIXED)

enum kind { NONE, ANON, SHARED };

struct page {
  enum kind kind;
  int prot, flags; /* flags: VMA_DONTFORK, VMA_WIPEONFORK */
  u64 content;     /* ANON */
  u32 object, index;
};

struct model {
  struct space *space;
  struct page page[PAGES];
};

static struct model procs[PROCS], *cur;
static u64 objects[OBJECTS][PAGES];
static u32 nobjects;
static u64 next_content = 1;
static int bad;

#define EXPECT(cond)                                                                               \
  do {                                                                                             \
    if (!(cond) && bad++ < 10)                                                                     \
      printf("  line %d: %s\n", __LINE__, #cond);                                                  \
  } while (0)

static u64 addr_of(u32 page) { return AREA + page * PAGE_SIZE; }

static i64 call(i64 (*f)(struct uregs *), u64 a, u64 b, u64 c, u64 d, u64 e, u64 g) {
  struct uregs r = {.rdi = a, .rsi = b, .rdx = c, .r10 = d, .r8 = e, .r9 = g};
  return f(&r);
}

static void become(struct model *m) {
  cur = m;
  test_process(m->space);
}

/* ---- the model ---------------------------------------------------------------------------- */

static u64 *content(struct page *p) {
  return p->kind == SHARED ? &objects[p->object][p->index] : &p->content;
}

static bool mapped(u32 at, u32 n) {
  for (u32 i = at; i < at + n; i++)
    if (cur->page[i].kind == NONE)
      return false;
  return true;
}

static bool is_free(u32 at, u32 n) {
  if (at + n > PAGES)
    return false;
  for (u32 i = at; i < at + n; i++)
    if (cur->page[i].kind != NONE)
      return false;
  return true;
}

static bool same_vma(const struct page *a, const struct page *b) {
  return a->kind == b->kind && a->prot == b->prot && a->flags == b->flags &&
         (a->kind != SHARED || (a->object == b->object && a->index + 1 == b->index));
}

static bool one_vma(u32 at, u32 n) {
  for (u32 i = at; i < at + n; i++)
    if (cur->page[i].kind == NONE || (i > at && !same_vma(&cur->page[i - 1], &cur->page[i])))
      return false;
  return true;
}

static bool vma_ends_at(u32 end) {
  return end == PAGES || cur->page[end].kind == NONE ||
         !same_vma(&cur->page[end - 1], &cur->page[end]);
}

/* ---- comparing ------------------------------------------------------------------------------ */

static void check_page(u32 i) {
  struct page *p = &cur->page[i];
  u64 got = 0, want = *content(p);
  int err = copy_from_user(&got, addr_of(i) + 8, sizeof got);
  EXPECT((err == 0) == (p->kind != NONE && p->prot != 0));
  EXPECT(err || got == want);
  bool writable = p->kind != NONE && p->prot & PROT_WRITE;
  EXPECT((copy_to_user(addr_of(i) + 8, &want, sizeof want) == 0) == writable);
}

static void check_list(void) {
  const struct vma_list *l = &cur->space->vmas;
  u64 bytes = 0, data = 0;
  for (u32 i = 0; i < l->n; i++) {
    const struct vma *v = &l->v[i];
    EXPECT(v->len > 0 && v->off % PAGE_SIZE == 0 && v->len % PAGE_SIZE == 0);
    EXPECT(i == 0 || vma_end(&l->v[i - 1]) <= v->off);
    bytes += v->len;
    data += v->obj == NULL && v->prot & PROT_WRITE ? v->len : 0;
  }
  EXPECT(bytes == l->bytes && data == l->data_bytes);
  for (u32 i = 0; i < PAGES; i++) {
    const struct vma *v = vma_find(l, addr_of(i));
    const struct page *p = &cur->page[i];
    EXPECT((v != NULL) == (p->kind != NONE));
    if (v == NULL)
      continue;
    EXPECT(v->prot == p->prot && (v->kind == VMA_SHARED) == (p->kind == SHARED));
    bool starts = i == 0 || p[-1].kind == NONE || !same_vma(p - 1, p);
    EXPECT((v->off == addr_of(i)) == starts); /* neighbours are merged, and only then */
  }
}

static void check_all(void) {
  check_list();
  for (u32 i = 0; i < PAGES; i++)
    check_page(i);
}

/* ---- operations ----------------------------------------------------------------------------- */

static u32 any_page(void) { return (u32)rand() % PAGES; }

static u32 any_len(u32 at) { return 1 + (u32)rand() % min_u64(PAGES - at, 24); }

static int any_prot(void) {
  static const int p[] = {0, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE};
  return p[rand() % 4];
}

static void op_store(void) {
  u32 i = any_page();
  u64 v = next_content++;
  struct page *p = &cur->page[i];
  bool ok = p->kind != NONE && p->prot & PROT_WRITE;
  EXPECT((copy_to_user(addr_of(i) + 8, &v, sizeof v) == 0) == ok);
  if (ok)
    *content(p) = v;
}

static void op_mmap(void) {
  u32 at = any_page(), n = any_len(at);
  int prot = any_prot();
  bool shared = rand() % 4 == 0 && nobjects < OBJECTS, noreplace = rand() % 4 == 0;
  u32 flags = MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE) |
              (noreplace ? MAP_FIXED_NOREPLACE : MAP_FIXED);
  i64 ret = call(sys_mmap, addr_of(at), n * PAGE_SIZE, (u64)prot, flags, (u64)-1, 0);
  if (noreplace && !is_free(at, n)) {
    EXPECT(ret == -EEXIST);
    return;
  }
  EXPECT(ret == (i64)addr_of(at));
  for (u32 i = 0; i < n; i++)
    cur->page[at + i] =
        (struct page){.kind = shared ? SHARED : ANON, .prot = prot, .object = nobjects, .index = i};
  nobjects += shared;
}

static void op_munmap(void) {
  u32 at = any_page(), n = any_len(at);
  EXPECT(call(sys_munmap, addr_of(at), n * PAGE_SIZE - (u64)rand() % PAGE_SIZE, 0, 0, 0, 0) == 0);
  memset(&cur->page[at], 0, n * sizeof(struct page));
}

static void op_mprotect(void) {
  u32 at = any_page(), n = any_len(at);
  int prot = any_prot();
  i64 ret = call(sys_mprotect, addr_of(at), n * PAGE_SIZE, (u64)prot, 0, 0, 0);
  EXPECT(ret == (mapped(at, n) ? 0 : -ENOMEM));
  for (u32 i = at; ret == 0 && i < at + n; i++)
    cur->page[i].prot = prot;
}

static i64 advise(u32 at, u32 n, int advice) {
  return call(sys_madvise, addr_of(at), n * PAGE_SIZE, (u64)advice, 0, 0, 0);
}

static void op_dontneed(void) {
  u32 at = any_page(), n = any_len(at);
  EXPECT(advise(at, n, 4) == (mapped(at, n) ? 0 : -ENOMEM));
  for (u32 i = at; i < at + n; i++)
    if (cur->page[i].kind == ANON)
      cur->page[i].content = 0;
}

static void op_fork_advice(void) {
  static const struct {
    int advice, clear, set;
  } t[] = {{10, 0, VMA_DONTFORK},
           {11, VMA_DONTFORK, 0},
           {18, 0, VMA_WIPEONFORK},
           {19, VMA_WIPEONFORK, 0}};
  int k = rand() % 4;
  u32 at = any_page(), n = any_len(at);
  for (u32 i = at; i < at + n; i++)
    if (t[k].advice == 18 && cur->page[i].kind == SHARED)
      return; /* EINVAL somewhere in the middle */
  EXPECT(advise(at, n, t[k].advice) == (mapped(at, n) ? 0 : -ENOMEM));
  for (u32 i = at; i < at + n; i++)
    if (cur->page[i].kind != NONE)
      cur->page[i].flags = (cur->page[i].flags & ~t[k].clear) | t[k].set;
}

/* Moves n pages and adds zeroed ones; shared ones continue in the object. */
static void model_move(u32 from, u32 n, u32 to, u32 new_n) {
  struct page p[PAGES];
  u32 keep = n < new_n ? n : new_n;
  memcpy(p, &cur->page[from], keep * sizeof *p);
  for (u32 i = keep; i < new_n; i++) {
    p[i] = p[keep - 1];
    p[i].content = 0;
    p[i].index = p[0].index + i;
  }
  memset(&cur->page[from], 0, n * sizeof *p);
  memcpy(&cur->page[to], p, new_n * sizeof *p);
}

static bool beyond_object(u32 at, u32 n, u32 new_n) {
  struct page *p = &cur->page[at];
  return p->kind == SHARED && new_n > n; /* would be SIGBUS: the host's fake object ends there */
}

static void op_mremap(void) {
  u32 at = any_page(), n = any_len(at), to = any_page(), new_n = any_len(to);
  bool fixed = rand() % 2, apart = to + new_n <= at || at + n <= to;
  if (at + new_n > PAGES || beyond_object(at, n, new_n))
    return;
  i64 ret = call(sys_mremap, addr_of(at), n * PAGE_SIZE, new_n * PAGE_SIZE, fixed ? MREMAP_BOTH : 0,
                 addr_of(to), 0);
  if (fixed && !apart) {
    EXPECT(ret == -EINVAL);
  } else if (!one_vma(at, n)) {
    EXPECT(ret == -EFAULT);
  } else if (fixed) {
    EXPECT(ret == (i64)addr_of(to));
    model_move(at, n, to, new_n);
  } else if (new_n <= n || (vma_ends_at(at + n) && is_free(at + n, new_n - n))) {
    EXPECT(ret == (i64)addr_of(at));
    model_move(at, n, at, new_n);
  } else {
    EXPECT(ret == -ENOMEM);
  }
}

/* A hint is followed if it is free; otherwise the mapping goes outside the model's area, and away.
 */
static void op_hint(void) {
  u32 at = any_page(), n = any_len(at);
  i64 ret = call(sys_mmap, addr_of(at) + 5, n * PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
                 (u64)-1, 0);
  if (is_free(at, n)) {
    EXPECT(ret == (i64)addr_of(at));
    for (u32 i = at; i < at + n; i++)
      cur->page[i] = (struct page){.kind = ANON, .prot = PROT_READ};
    return;
  }
  EXPECT(ret >= SPACE_MMAP_LO && ret < (i64)AREA);
  EXPECT(call(sys_munmap, (u64)ret, n * PAGE_SIZE, 0, 0, 0, 0) == 0);
}

static void op_fork(void) {
  struct model *c = &procs[rand() % PROCS];
  if (c->space != NULL)
    return;
  EXPECT(space_fork(cur->space, region_base(cur->space->region) + AREA, false, false, &c->space) ==
         0);
  memcpy(c->page, cur->page, sizeof c->page);
  for (u32 i = 0; i < PAGES; i++) {
    if (c->page[i].flags & VMA_DONTFORK)
      c->page[i] = (struct page){.kind = NONE};
    if (c->page[i].flags & VMA_WIPEONFORK)
      c->page[i].content = 0;
  }
}

static void op_exit(void) {
  struct model *other = &procs[rand() % PROCS];
  if (other == cur || other->space == NULL)
    return;
  space_put(cur->space);
  memset(cur, 0, sizeof *cur);
  become(other);
}

static void op_switch(void) {
  struct model *m = &procs[rand() % PROCS];
  if (m->space != NULL)
    become(m);
}

static void step(void) {
  static void (*const ops[])(void) = {op_store,    op_store,    op_store,       op_mmap,
                                      op_mmap,     op_munmap,   op_mprotect,    op_mprotect,
                                      op_dontneed, op_dontneed, op_fork_advice, op_mremap,
                                      op_mremap,   op_hint,     op_switch};
  if (rand() % 40 == 0)
    op_fork();
  else if (rand() % 60 == 0)
    op_exit();
  else
    ops[(unsigned)rand() % ARRAY_LEN(ops)]();
}

static void agrees_with_model(void) {
  u64 before = kmalloc_used();
  unsigned regions = fake_regions, objs = fake_memobjs;
  struct space *s;
  EXPECT(space_create(NULL, &s) == 0);
  procs[0].space = s;
  become(&procs[0]);
  for (int i = 0; i < STEPS && bad == 0; i++) {
    step();
    check_list();
    if (i % 50 == 0)
      check_all();
  }
  for (int i = 0; i < PROCS; i++) {
    if (procs[i].space == NULL)
      continue;
    become(&procs[i]);
    check_all();
    space_put(procs[i].space);
  }
  EXPECT(fake_regions == regions && fake_memobjs == objs && kmalloc_used() == before);
  EXPECT(test_image_refs == 0);
  CHECK(bad == 0);
}

/* ---- single cases ---------------------------------------------------------------------------- */

static struct space *fresh(void) {
  struct space *s;
  CHECK(space_create(NULL, &s) == 0);
  test_process(s);
  return s;
}

static i64 anon(u64 addr, u64 len, int prot, u32 flags) {
  return call(sys_mmap, addr, len, (u64)prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, (u64)-1, 0);
}

static void bad_arguments(void) {
  struct space *s = fresh();
  CHECK(anon(0, 0, 3, 0) == -EINVAL);
  CHECK(anon(0, (u64)-1, 3, 0) == -ENOMEM);
  CHECK(anon(0, UF_REGION_SIZE, 3, 0) == -ENOMEM);
  CHECK(anon(0, GIB(4) - 1, 3, 0) == -ENOMEM);
  CHECK(anon(0, PAGE_SIZE, PROT_EXEC, 0) == -EPERM);
  CHECK(anon(0x1000, PAGE_SIZE, 3, MAP_FIXED) == -EPERM);
  CHECK(anon(AREA + 1, PAGE_SIZE, 3, MAP_FIXED) == -EINVAL);
  CHECK(anon((u64)-PAGE_SIZE, 2 * PAGE_SIZE, 3, MAP_FIXED) == -ENOMEM);
  CHECK(anon(SPACE_MMAP_HI - PAGE_SIZE, 2 * PAGE_SIZE, 3, MAP_FIXED) == -ENOMEM);
  CHECK(anon(0, PAGE_SIZE, 3, MAP_GROWSDOWN) == -EINVAL);
  CHECK(call(sys_mmap, 0, PAGE_SIZE, 3, MAP_ANONYMOUS, 0, 0) == -EINVAL);
  CHECK(call(sys_mmap, 0, PAGE_SIZE, 3, MAP_PRIVATE, 99, 0) == -EBADF);
  CHECK(call(sys_mmap, 0, PAGE_SIZE, 3, MAP_PRIVATE, TEST_FD, 1) == -EINVAL);
  CHECK(call(sys_mmap, 0, PAGE_SIZE, 3, MAP_SHARED, TEST_FD, 0) == -ENODEV);
  CHECK(call(sys_munmap, AREA, 0, 0, 0, 0, 0) == -EINVAL);
  CHECK(call(sys_munmap, AREA, (u64)-1, 0, 0, 0, 0) == -EINVAL);
  CHECK(call(sys_munmap, (u64)-PAGE_SIZE, PAGE_SIZE, 0, 0, 0, 0) == -EINVAL);
  CHECK(call(sys_munmap, 0, UF_REGION_SIZE, 0, 0, 0, 0) == 0);
  CHECK(call(sys_mprotect, AREA, PAGE_SIZE, PROT_EXEC, 0, 0, 0) == -EACCES);
  CHECK(call(sys_mprotect, (u64)-PAGE_SIZE, PAGE_SIZE, 1, 0, 0, 0) == -ENOMEM);
  CHECK(call(sys_mremap, AREA, PAGE_SIZE, (u64)-1, 1, 0, 0) == -ENOMEM);
  CHECK(call(sys_mremap, AREA, PAGE_SIZE, PAGE_SIZE, 8, 0, 0) == -EINVAL);
  CHECK(call(sys_mremap, (u64)-PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, 1, 0, 0) == -EINVAL);
  CHECK(call(sys_madvise, AREA, PAGE_SIZE, 77, 0, 0, 0) == -EINVAL);
  CHECK(call(sys_msync, AREA, PAGE_SIZE, MS_ASYNC | MS_SYNC, 0, 0, 0) == -EINVAL);
  CHECK(call(sys_msync, AREA, PAGE_SIZE, MS_SYNC, 0, 0, 0) == -ENOMEM);
  CHECK(s->vmas.n == 0 && test_file.refs == 1);
  space_put(s);
}

/* Lowest fit: a hole that is large enough is used before new space. */
static void lowest_fit(void) {
  struct space *s = fresh();
  i64 a = anon(0, 4 * PAGE_SIZE, 3, 0), b = anon(0, 4 * PAGE_SIZE, 1, 0);
  i64 c = anon(0, 4 * PAGE_SIZE, 3, 0);
  CHECK(a == SPACE_MMAP_LO && b == a + 4 * (i64)PAGE_SIZE && c == b + 4 * (i64)PAGE_SIZE);
  CHECK(call(sys_munmap, (u64)b, 4 * PAGE_SIZE, 0, 0, 0, 0) == 0);
  CHECK(anon(0, 5 * PAGE_SIZE, 0, 0) == c + 4 * (i64)PAGE_SIZE);
  CHECK(anon(0, 2 * PAGE_SIZE, 1, 0) == b);
  CHECK(anon(0, 2 * PAGE_SIZE, 1, 0) == b + 2 * (i64)PAGE_SIZE);
  i64 n = 0;
  while (anon(0, MIB(256), 0, MAP_NORESERVE) > 0)
    n++;
  CHECK(n == 11); /* 3 GiB less what is taken */
  space_put(s);
}

static void heap(void) {
  struct space *s = fresh();
  u32 lo = UF_DATA_LO + 0x5000;
  s->brk_lo = s->brk = lo;
  CHECK(call(sys_brk, 0, 0, 0, 0, 0, 0) == lo);
  CHECK(call(sys_brk, lo + 100, 0, 0, 0, 0, 0) == lo + 100);
  CHECK(user_store32(lo + 96, 5) == 0 && user_store32(lo + PAGE_SIZE, 5) == -EFAULT);
  CHECK(call(sys_brk, lo + 3 * PAGE_SIZE, 0, 0, 0, 0, 0) == lo + 3 * (i64)PAGE_SIZE);
  CHECK(s->vmas.n == 1);
  CHECK(user_store32(lo + 2 * PAGE_SIZE, 5) == 0);
  CHECK(call(sys_brk, lo + PAGE_SIZE, 0, 0, 0, 0, 0) == lo + (i64)PAGE_SIZE);
  CHECK(call(sys_brk, lo + 3 * PAGE_SIZE, 0, 0, 0, 0, 0) == lo + 3 * (i64)PAGE_SIZE);
  u32 v;
  CHECK(user_load32(lo + 2 * PAGE_SIZE, &v) == 0 && v == 0); /* shrunk and grown: zero */
  i64 top = lo + 3 * (i64)PAGE_SIZE;
  CHECK(call(sys_brk, lo + SPACE_BRK_MAX + 1, 0, 0, 0, 0, 0) == top);
  CHECK(call(sys_brk, lo - 1, 0, 0, 0, 0, 0) == top &&
        call(sys_brk, (u64)-1, 0, 0, 0, 0, 0) == top);
  CHECK(anon(lo + 8 * PAGE_SIZE, PAGE_SIZE, 3, MAP_FIXED) > 0);
  CHECK(call(sys_brk, lo + 9 * PAGE_SIZE, 0, 0, 0, 0, 0) == top); /* something is in the way */
  space_put(s);
}

/* A copy of the file's bytes, zero behind its end; the mapping keeps the file open. */
static void file_copy(void) {
  struct space *s = fresh();
  u8 c = 0;
  i64 a = call(sys_mmap, 0, 5 * PAGE_SIZE, PROT_READ, MAP_PRIVATE, TEST_FD, PAGE_SIZE);
  CHECK(a > 0 && test_file.refs == 2 && s->vmas.n == 1);
  for (u64 i = 0; i < 5; i++) {
    CHECK(copy_from_user(&c, (u64)a + i * PAGE_SIZE + 50, 1) == 0);
    CHECK(c == (i < 3 ? i + 2 : 0));
  }
  CHECK(copy_from_user(&c, (u64)a + 2 * PAGE_SIZE + 100, 1) == 0 && c == 0);
  CHECK(copy_to_user((u64)a, &c, 1) == -EFAULT);
  CHECK(call(sys_mprotect, (u64)a, PAGE_SIZE, 3, 0, 0, 0) == 0 && test_file.refs == 3);
  CHECK(copy_to_user((u64)a, &c, 1) == 0);
  CHECK(call(sys_madvise, (u64)a, 5 * PAGE_SIZE, 4, 0, 0, 0) == 0); /* the file's bytes again */
  CHECK(copy_from_user(&c, (u64)a, 1) == 0 && c == 2);
  CHECK(copy_from_user(&c, (u64)a + PAGE_SIZE, 1) == 0 && c == 3);
  CHECK(copy_to_user((u64)a + PAGE_SIZE, &c, 1) == -EFAULT);
  CHECK(call(sys_munmap, (u64)a, 5 * PAGE_SIZE, 0, 0, 0, 0) == 0 && test_file.refs == 1);
  space_put(s);
}

static void limits(void) {
  struct space *s = fresh();
  test_proc.limits[RLIMIT_AS].cur = MIB(1);
  CHECK(anon(0, MIB(2), 3, 0) == -ENOMEM);
  i64 a = anon(0, MIB(1), 3, 0);
  CHECK(a > 0 && anon(0, PAGE_SIZE, 3, 0) == -ENOMEM);
  CHECK(call(sys_mremap, (u64)a, MIB(1), MIB(2), 1, 0, 0) == -ENOMEM);
  test_proc.limits[RLIMIT_AS].cur = RLIM_INFINITY;
  test_proc.limits[RLIMIT_DATA].cur = MIB(1);
  CHECK(anon(0, PAGE_SIZE, 3, 0) == -ENOMEM);
  i64 b = anon(0, PAGE_SIZE, 1, 0);
  CHECK(b > 0 && call(sys_mprotect, (u64)b, PAGE_SIZE, 3, 0, 0, 0) == -ENOMEM);
  fake_fail_maps = 1;
  CHECK(anon(0, PAGE_SIZE, 1, 0) == -ENOMEM); /* the platform has no memory: nothing changes */
  CHECK(s->vmas.n == 2 && s->vmas.bytes == MIB(1) + PAGE_SIZE);
  space_put(s);
}

/* Thousands of mappings, their fork, and merging back to one. */
static void many_mappings(void) {
  struct space *s = fresh(), *c;
  int n = 0;
  for (u64 i = 0; i < 2000; i++)
    n += anon(AREA + 2 * i * PAGE_SIZE, PAGE_SIZE, 3, MAP_FIXED) > 0;
  CHECK(n == 2000 && s->vmas.n == 2000);
  CHECK(space_fork(s, 0, false, false, &c) == 0 && c->vmas.n == 2000);
  for (u64 i = 0; i < 2000; i++)
    n += anon(AREA + (2 * i + 1) * PAGE_SIZE, PAGE_SIZE, 3, MAP_FIXED) > 0;
  CHECK(n == 4000 && s->vmas.n == 1); /* all merged */
  CHECK(call(sys_munmap, AREA, 4000 * PAGE_SIZE, 0, 0, 0, 0) == 0 && s->vmas.n == 0);
  space_put(s);
  space_put(c);
}

int main(void) {
  srand(7);
  TEST(bad_arguments);
  TEST(lowest_fit);
  TEST(heap);
  TEST(file_copy);
  TEST(limits);
  TEST(many_mappings);
  TEST(agrees_with_model);
  return check_summary("mm_space");
}
