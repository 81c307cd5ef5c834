/* SPDX-License-Identifier: MIT */
/* Images in use: references, names, safe points. */
#include "kernel/mm/image_internal.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/space.h"
#include "kernel/proc/proc.h"

void image_get(struct image *im) { __atomic_add_fetch(&im->refs, 1, __ATOMIC_RELAXED); }

void image_put(struct image *im) {
  /* Unused images stay in the cache, which may free them as soon as the count is 0; failed ones
     are not in it. */
  bool failed = im->state == IMAGE_FAILED;
  if (__atomic_sub_fetch(&im->refs, 1, __ATOMIC_ACQ_REL) == 0 && failed)
    image_free(im);
}

void image_free(struct image *im) {
  if (im->text.size != 0) {
    plat_text_remove(im->text.vaddr, im->text.size);
    window_retire(im->text.vaddr, im->text.size);
  }
  if (im->rodata != NULL)
    memobj_put(im->rodata);
  kfree_as(KMEM_IMAGE, im->data);
  kfree_as(KMEM_IMAGE, im->safe);
  kfree_as(KMEM_IMAGE, im->phdrs);
  kfree(im->path);
  kfree_as(KMEM_IMAGE, im);
}

u64 image_id(const struct image *im) { return im->id; }

const char *image_path(const struct image *im) { return im->path; }

void image_text_range(const struct image *im, u32 *lo, u32 *hi) {
  *lo = im->text.vaddr;
  *hi = im->text.vaddr + im->text.size;
}

static bool contains(const struct image *im, u64 addr) {
  return addr >= im->text.vaddr && addr - im->text.vaddr < im->text.size;
}

/* The image that contains addr, with a reference: almost always the running program. */
static struct image *find(u64 addr) {
  struct space *s = proc_current()->space;
  if (s != NULL && contains(s->image, addr)) {
    image_get(s->image);
    return s->image;
  }
  return image_at(addr);
}

/* The map of safe points. Without verification it is made when it is first asked for; a text that
   would be refused gets one in which every bundle counts. */
static const u8 *safe_points(struct image *im) {
  u8 *safe = __atomic_load_n(&im->safe, __ATOMIC_ACQUIRE);
  if (safe != NULL)
    return safe;
  struct ufv_error err;
  size_t n = ufv_bitmap_size(im->text.size);
  u8 *scratch = kmalloc_as(KMEM_IMAGE, n), *expected = NULL;
  safe = kzalloc_as(KMEM_IMAGE, n);
  if (safe == NULL || scratch == NULL) {
    kfree_as(KMEM_IMAGE, safe);
    safe = NULL;
  } else if (ufv_check(&im->text, safe, scratch, &err) != UFV_OK) {
    for (u32 off = 0; off < im->text.size; off += UF_BUNDLE)
      safe[off / 8] |= 1;
  }
  kfree_as(KMEM_IMAGE, scratch);
  if (safe != NULL && !__atomic_compare_exchange_n(&im->safe, &expected, safe, false,
                                                   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    kfree_as(KMEM_IMAGE, safe);
    safe = expected;
  }
  return safe;
}

/* Text of other images is refused: unlike the program's own it may be removed at any time. */
bool image_safe_point(u64 addr) {
  struct image *im = proc_current()->space->image;
  if (!contains(im, addr))
    return false;
  const u8 *safe = safe_points(im);
  return safe != NULL && ufv_is_safe_point(&im->text, safe, addr - im->text.vaddr);
}

void image_canonicalize(struct uregs *r, u64 base) {
  struct image *im = find(r->rip);
  if (im == NULL)
    return;
  const u8 *safe = safe_points(im);
  struct ufv_regs regs = {.rip = r->rip, .rsp = r->rsp, .rsi = r->rsi, .rdi = r->rdi, .base = base};
  if (safe != NULL && ufv_canonicalize(&im->text, safe, &regs) == 0) {
    r->rip = regs.rip;
    r->rsp = regs.rsp;
    r->rsi = regs.rsi;
    r->rdi = regs.rdi;
  }
  image_put(im);
}
