/* SPDX-License-Identifier: MIT */
/* What the files of the image loader share (image.c, image_load.c, image_cache.c, image_setup.c).
 */
#ifndef UFORK_KERNEL_IMAGE_INTERNAL_H
#define UFORK_KERNEL_IMAGE_INTERNAL_H

#include "kernel/fs/file.h"
#include "kernel/mm/image.h"
#include "verifier/elf.h"
#include "verifier/elf_format.h"
#include "verifier/verifier.h"

enum image_state { IMAGE_LOADING, IMAGE_READY, IMAGE_FAILED };

/* Everything but refs, the list node and `safe` is constant once the state is READY. */
struct image {
  u32 refs;         /* users; the cache holds none */
  struct list node; /* in the cache, under its lock */
  u64 last_use;     /* the cache's clock */
  struct file_identity key;
  enum image_state state; /* written with `load` held */
  int error;              /* FAILED: why */
  struct mutex load;      /* held while it is being loaded: others wait here */

  u64 id;
  char *path;
  struct uf_image_layout layout;
  struct ufv_text text; /* as installed; code points into the window; size 0: not yet */
  u8 *safe;             /* safe points; NULL: not looked for yet (isolation none) */
  void *data;           /* relocated initial bytes of the data segment */
  struct memobj *rodata;
  struct elf_program_header *phdrs; /* as AT_PHDR shows them */
};

/* Bytes that a cached image occupies, for the cache's limit. */
static inline u64 image_bytes(const struct image *im) {
  return im->text.size + ufv_bitmap_size(im->text.size) + im->layout.data.filesz +
         im->layout.rodata.filesz;
}

/* image.c: frees an image that nobody knows of; uninstalls its text. */
void image_free(struct image *im);

/* image_load.c: fills in everything from the file; on error a message is in the log and im is as
   image_free wants it. */
int image_read(struct image *im, struct file *f);

/* image_cache.c: a loaded image whose text contains addr, with a reference, or NULL. */
struct image *image_at(u64 addr);
/* Forgets unused images until `bytes` are free, all of them for UINT64_MAX; false: there were none.
 */
bool image_cache_shrink(u64 bytes);

/* window.c: reserves size bytes of the text window at random; its address, or 0 if it is full.
   Context: thread. */
u32 window_alloc(u32 size);
/* The range was never installed: it may be used again. */
void window_free(u32 addr, u32 size);
/* The range had code in it, which has been unmapped: it may be used again once no thread can be in
   it. */
void window_retire(u32 addr, u32 size);

#endif
