/* SPDX-License-Identifier: MIT */
/*
 * From a file to an image: read, parse, relocate copies of the segments, verify the text as it will
 * run, install it. The file's bytes are read once into kernel memory, so what is verified is what
 * runs, whoever writes to the file meanwhile.
 */
#include "kernel/boot.h"
#include "kernel/errno.h"
#include "kernel/klog.h"
#include "kernel/mm/image_internal.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

#define FILE_MAX GIB(1)

enum { PT_NULL = 0, PT_PHDR = 6 }; /* the parser does not care for them */

/* ---- reading --------------------------------------------------------------------------- */

static i64 read_fully(struct file *f, void *buf, u64 n) {
  u64 done = 0;
  while (done < n) {
    i64 got = file_pread_kernel(f, (char *)buf + done, n - done, done);
    if (got < 0)
      return got;
    if (got == 0)
      break;
    done += (u64)got;
  }
  return (i64)done;
}

/* What is no ELF file at all is the caller's business (a shell runs it as a script): no message. */
static int check_magic(struct file *f) {
  char magic[SELFMAG];
  i64 n = read_fully(f, magic, sizeof magic);
  if (n < 0)
    return (int)n;
  return n == SELFMAG && memcmp(magic, ELFMAG, SELFMAG) == 0 ? 0 : -ENOEXEC;
}

static int read_file(struct image *im, struct file *f, void **out) {
  u64 size = im->key.size;
  if (size > FILE_MAX) {
    klog("%s: too large for an image", im->path);
    return -ENOEXEC;
  }
  void *bytes = kmalloc_as(KMEM_IMAGE, size);
  if (bytes == NULL)
    return -ENOMEM;
  i64 n = read_fully(f, bytes, size);
  if (n != (i64)size) {
    kfree_as(KMEM_IMAGE, bytes);
    if (n >= 0)
      klog("%s: changed while it was being loaded", im->path);
    return n < 0 ? (int)n : -ENOEXEC;
  }
  *out = bytes;
  return 0;
}

static int parse(struct image *im, const void *bytes) {
  enum uf_elf_error e = uf_elf_parse(bytes, im->key.size, &im->layout);
  if (e == UF_ELF_OK)
    return 0;
  if (e == UF_ELF_NO_NOTE)
    klog("%s: built for Linux, not for uFork: rebuild it with ufork-cc", im->path);
  else
    klog("%s: cannot be run: %s", im->path, uf_elf_message(e));
  return -ENOEXEC;
}

/* ---- data ------------------------------------------------------------------------------ */

/* A relocated copy of one segment's bytes; NULL: no memory. */
static void *segment_copy(const struct image *im, const char *bytes, const struct uf_segment *seg,
                          u32 slide) {
  void *copy = kmalloc_as(KMEM_IMAGE, seg->filesz);
  if (copy != NULL) {
    memcpy(copy, bytes + seg->offset, seg->filesz);
    uf_elf_relocate(&im->layout, bytes, seg, copy, slide);
  }
  return copy;
}

static int load_rodata(struct image *im, const char *bytes, u32 slide) {
  const struct uf_segment *seg = &im->layout.rodata;
  if (seg->memsz == 0)
    return 0;
  void *copy = segment_copy(im, bytes, seg, slide);
  if (copy == NULL)
    return -ENOMEM;
  int err = memobj_create(round_up(seg->memsz, PAGE_SIZE), &im->rodata);
  if (err == 0) {
    i64 n = memobj_write(im->rodata, 0, copy, seg->filesz);
    if (n != (i64)seg->filesz)
      err = n < 0 ? (int)n : -ENOMEM;
  }
  kfree_as(KMEM_IMAGE, copy);
  return err;
}

static int load_data(struct image *im, const char *bytes, u32 slide) {
  if (im->layout.data.filesz == 0)
    return 0;
  im->data = segment_copy(im, bytes, &im->layout.data, slide);
  return im->data != NULL ? 0 : -ENOMEM;
}

/* Program headers as the program sees them: text where it is, no PT_PHDR (that would tell where
   they are linked, from which libc derives a load bias). */
static int load_phdrs(struct image *im, const char *bytes, u32 slide) {
  u32 n = im->layout.phdr_count;
  im->phdrs = kmalloc_as(KMEM_IMAGE, n * sizeof *im->phdrs);
  if (im->phdrs == NULL)
    return -ENOMEM;
  memcpy(im->phdrs, bytes + im->layout.phdr_offset, n * sizeof *im->phdrs);
  for (u32 i = 0; i < n; i++) {
    struct elf_program_header *p = &im->phdrs[i];
    if (p->type == PT_PHDR)
      p->type = PT_NULL;
    if (p->type == PT_LOAD && p->flags & PF_X)
      p->vaddr = p->paddr = (u32)p->vaddr + slide;
  }
  return 0;
}

/* ---- text ------------------------------------------------------------------------------ */

static int verify(struct image *im, const struct ufv_text *t) {
  if (boot.isolation == ISOLATION_NONE)
    return 0;
  struct ufv_error e;
  size_t n = ufv_bitmap_size(t->size);
  u8 *scratch = kmalloc_as(KMEM_IMAGE, n);
  int err = -ENOMEM;
  im->safe = kmalloc_as(KMEM_IMAGE, n);
  if (im->safe != NULL && scratch != NULL) {
    err = 0;
    if (ufv_check(t, im->safe, scratch, &e) != UFV_OK) {
      klog("%s: refused by the verifier: %s at 0x%x: %s (doc/abi.md, section %s)", im->path,
           ufv_rule_name(e.rule), UF_TEXT_LINK + e.offset, ufv_rule_text(e.rule),
           ufv_rule_section(e.rule));
      err = -ENOEXEC;
    }
  }
  kfree_as(KMEM_IMAGE, scratch);
  return err;
}

/* Verifies the copy of the text that is to run at addr, and makes it run there. */
static int install(struct image *im, const char *bytes, u32 addr) {
  u32 size = im->layout.text.memsz;
  void *copy = segment_copy(im, bytes, &im->layout.text, addr - UF_TEXT_LINK);
  if (copy == NULL)
    return -ENOMEM;
  struct ufv_text t = {.code = copy, .size = size, .vaddr = addr};
  int err = verify(im, &t);
  if (err == 0)
    err = plat_text_install(addr, copy, size);
  kfree_as(KMEM_IMAGE, copy);
  if (err == 0)
    im->text = (struct ufv_text){.code = (const u8 *)(uintptr_t)addr, .size = size, .vaddr = addr};
  return err;
}

static int load_text(struct image *im, const char *bytes, u32 *slide) {
  u32 size = im->layout.text.memsz;
  u32 addr = window_alloc(size);
  if (addr == 0) {
    klog("%s: no room left in the text window", im->path);
    return -ENOMEM;
  }
  int err = install(im, bytes, addr);
  if (err)
    window_free(addr, size);
  *slide = addr - UF_TEXT_LINK;
  return err;
}

int image_read(struct image *im, struct file *f) {
  void *bytes = NULL;
  u32 slide = 0;
  int err = check_magic(f);
  if (err == 0)
    err = read_file(im, f, &bytes);
  if (err)
    return err;
  err = parse(im, bytes);
  if (err == 0)
    err = load_text(im, bytes, &slide);
  if (err == 0)
    err = load_rodata(im, bytes, slide);
  if (err == 0)
    err = load_data(im, bytes, slide);
  if (err == 0)
    err = load_phdrs(im, bytes, slide);
  kfree_as(KMEM_IMAGE, bytes);
  return err;
}
