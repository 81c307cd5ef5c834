/* SPDX-License-Identifier: MIT */
/* The first memory of a program: its data, and a stack as the System V ABI describes it. */
#include "kernel/errno.h"
#include "kernel/mm/image_internal.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/space.h"
#include "kernel/proc/proc.h"
#include "lib/string.h"

#define HOT_BSS MIB(1)     /* of the bss; what is larger is a big static array */
#define FIRST_ROOM 0x4000u /* of stack below the initial contents */
#define CLOCK_TICKS 100

enum {
  AT_NULL = 0,
  AT_PHDR = 3,
  AT_PHENT = 4,
  AT_PHNUM = 5,
  AT_PAGESZ = 6,
  AT_BASE = 7,
  AT_FLAGS = 8,
  AT_ENTRY = 9,
  AT_UID = 11,
  AT_EUID = 12,
  AT_GID = 13,
  AT_EGID = 14,
  AT_PLATFORM = 15,
  AT_HWCAP = 16,
  AT_CLKTCK = 17,
  AT_SECURE = 23,
  AT_RANDOM = 25,
  AT_EXECFN = 31,
};

/* ---- segments -------------------------------------------------------------------------- */

static int map_private(struct space *s, u64 off, u64 len, enum vma_kind kind, u32 flags) {
  struct vma v = {.off = (u32)off,
                  .len = (u32)len,
                  .prot = PROT_READ | PROT_WRITE,
                  .kind = kind,
                  .flags = (u16)(VMA_MAY_WRITE | flags)};
  return len == 0 ? 0 : space_map(s, &v);
}

static int map_rodata(struct image *im, struct space *s) {
  if (im->rodata == NULL)
    return 0;
  struct vma v = {.off = im->layout.rodata.vaddr,
                  .len = (u32)round_up(im->layout.rodata.memsz, PAGE_SIZE),
                  .prot = PROT_READ,
                  .kind = VMA_IMAGE,
                  .obj = im->rodata};
  memobj_get(im->rodata);
  int err = space_map(s, &v);
  if (err)
    memobj_put(im->rodata);
  return err;
}

static int map_data(struct image *im, struct space *s) {
  const struct uf_segment *d = &im->layout.data;
  u64 all = round_up(d->memsz, PAGE_SIZE);
  u64 hot = min_u64(all, round_up(d->filesz, PAGE_SIZE) + HOT_BSS);
  if (!space_memory_fits(all))
    return -ENOMEM;
  int err = map_private(s, d->vaddr, hot, VMA_IMAGE, 0);
  if (err == 0)
    err = map_private(s, d->vaddr + hot, all - hot, VMA_IMAGE, VMA_COLD);
  if (err == 0 && d->filesz != 0)
    err = plat_copy_out((void *)(region_base(s->region) + d->vaddr), im->data, d->filesz);
  return err;
}

/* ---- the stack ------------------------------------------------------------------------- */

/* Built in kernel memory from the top down; `at` is the offset in the region of what was placed
   last. */
struct builder {
  char *buf; /* holds [SPACE_STACK_TOP - size, SPACE_STACK_TOP) */
  u64 size;
  u64 at;
};

static char *in_buffer(const struct builder *b, u64 off) {
  return b->buf + b->size - (SPACE_STACK_TOP - off);
}

/* Places n bytes (zeros for NULL) aligned; returns their offset. */
static u64 place(struct builder *b, const void *src, u64 n, u64 align) {
  b->at = round_down(b->at - n, align);
  if (src != NULL)
    memcpy(in_buffer(b, b->at), src, n);
  return b->at;
}

struct auxv {
  u64 tag, value;
};
#define AUXV_MAX 20

struct vectors {
  u64 *next;
};

static void push(struct vectors *v, u64 word) { *v->next++ = word; }

/* Pointers to n strings that lie one after the other from *off on, and NULL. */
static void push_strings(struct vectors *v, unsigned n, const char *data, u64 *off, u64 base) {
  for (unsigned i = 0; i < n; i++) {
    push(v, base + *off);
    *off += strlen(data + *off) + 1;
  }
  push(v, 0);
}

static u64 hwcap(void) {
  static u32 features; /* cpuid is slow in virtual machines */
  u32 eax = 1, ebx, ecx = 0, edx = __atomic_load_n(&features, __ATOMIC_RELAXED);
  if (edx == 0) {
    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    __atomic_store_n(&features, edx, __ATOMIC_RELAXED);
  }
  return edx;
}

static u32 text_slide(const struct image *im) { return im->text.vaddr - UF_TEXT_LINK; }

static unsigned fill_auxv(struct auxv *a, const struct image *im, struct builder *b,
                          const char *execfn) {
  const struct cred *c = &proc_current()->cred;
  unsigned n = 0;
  u8 random[16];
  plat_random(random, sizeof random);

  a[n++] = (struct auxv){AT_EXECFN, place(b, execfn, strlen(execfn) + 1, 1)};
  a[n++] = (struct auxv){AT_PLATFORM, place(b, "x86_64", sizeof "x86_64", 1)};
  a[n++] = (struct auxv){AT_RANDOM, place(b, random, sizeof random, 16)};
  u64 phdr_bytes = im->layout.phdr_count * sizeof *im->phdrs;
  a[n++] = (struct auxv){AT_PHDR, place(b, im->phdrs, phdr_bytes, 8)};
  a[n++] = (struct auxv){AT_PHENT, sizeof *im->phdrs};
  a[n++] = (struct auxv){AT_PHNUM, im->layout.phdr_count};
  a[n++] = (struct auxv){AT_PAGESZ, PAGE_SIZE};
  a[n++] = (struct auxv){AT_BASE, 0};
  a[n++] = (struct auxv){AT_FLAGS, 0};
  a[n++] = (struct auxv){AT_ENTRY, im->layout.entry + text_slide(im)};
  a[n++] = (struct auxv){AT_UID, c->uid};
  a[n++] = (struct auxv){AT_EUID, c->euid};
  a[n++] = (struct auxv){AT_GID, c->gid};
  a[n++] = (struct auxv){AT_EGID, c->egid};
  a[n++] = (struct auxv){AT_SECURE, 0};
  a[n++] = (struct auxv){AT_HWCAP, hwcap()};
  a[n++] = (struct auxv){AT_CLKTCK, CLOCK_TICKS};
  a[n++] = (struct auxv){AT_NULL, 0};
  return n;
}

static u64 vector_words(const struct exec_strings *str, unsigned naux) {
  return 1 + (str->argc + 1ul) + (str->envc + 1ul) + 2ul * naux;
}

/* Everything above the initial stack pointer. b->buf is large enough and zeroed. */
static void build_stack(struct builder *b, struct image *im, const struct exec_strings *str) {
  struct auxv aux[AUXV_MAX];
  b->at = SPACE_STACK_TOP;
  place(b, NULL, sizeof(u64), 8);
  u64 strings = place(b, str->data, str->size, 1);
  unsigned naux = fill_auxv(aux, im, b, str->execfn);
  u64 words = vector_words(str, naux);
  place(b, NULL, words * sizeof(u64), 16);

  struct vectors v = {(u64 *)in_buffer(b, b->at)};
  u64 off = 0;
  push(&v, str->argc);
  push_strings(&v, str->argc, str->data, &off, strings);
  push_strings(&v, str->envc, str->data, &off, strings);
  memcpy(v.next, aux, naux * sizeof *aux);
}

/* An upper bound of what build_stack places. */
static u64 stack_bytes(const struct image *im, const struct exec_strings *str) {
  return round_up(str->size + strlen(str->execfn) + im->layout.phdr_count * sizeof *im->phdrs +
                      vector_words(str, AUXV_MAX) * sizeof(u64) + 128,
                  16);
}

static int setup_stack(struct image *im, struct space *s, const struct exec_strings *str, u64 *sp) {
  struct builder b = {.size = stack_bytes(im, str)};
  u64 window = max_u64(SPACE_STACK_MIN_WINDOW, round_up(b.size, PAGE_SIZE) + FIRST_ROOM);
  if (window > min_u64(proc_current()->limits[RLIMIT_STACK].cur, SPACE_STACK_MAX))
    return -E2BIG;
  b.buf = kzalloc_as(KMEM_IMAGE, b.size);
  if (b.buf == NULL)
    return -ENOMEM;
  build_stack(&b, im, str);
  int err = map_private(s, SPACE_STACK_TOP - window, window, VMA_STACK, 0);
  if (err == 0)
    err = plat_copy_out((void *)(region_base(s->region) + b.at), in_buffer(&b, b.at),
                        SPACE_STACK_TOP - b.at);
  kfree_as(KMEM_IMAGE, b.buf);
  *sp = region_base(s->region) + b.at;
  return err;
}

int image_setup(struct image *im, struct space *s, const struct exec_strings *str, u64 *sp,
                u64 *entry) {
  if (im->layout.data_end > SPACE_STACK_TOP - SPACE_STACK_MAX)
    return -ENOMEM; /* it would lie where the stack grows */
  int err = map_rodata(im, s);
  if (err == 0)
    err = map_data(im, s);
  if (err == 0)
    err = setup_stack(im, s, str, sp);
  if (err)
    return err;
  s->brk_lo = s->brk = (u32)round_up(im->layout.data_end, PAGE_SIZE);
  *entry = im->layout.entry + text_slide(im);
  return 0;
}
