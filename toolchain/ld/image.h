/* SPDX-License-Identifier: MIT */
/*
 * The link stage of ufork-cc, after the real linker: a static ELF executable with its relocations
 * (ld --emit-relocs) becomes an image with `.ufork.reloc`.
 */
#ifndef UFORK_LD_IMAGE_H
#define UFORK_LD_IMAGE_H

#include "ufork/abi.h"
#include <elf.h>
#include <stddef.h>

/* A linked file in memory. All pointers lead into `bytes`. */
struct image {
  const char *name;
  unsigned char *bytes;
  size_t size;
  Elf64_Ehdr *ehdr;
  Elf64_Phdr *phdrs;
  Elf64_Shdr *shdrs;
  const char *shstr;
};

struct relocs {
  struct uf_reloc *at;
  size_t count, cap;
};

/* Reports `NAME: error: ...` and exits with status 1. */
void fail(const char *name, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

/* image.c: reads and checks FILE. */
void image_load(struct image *im, const char *file);
const char *section_name(const struct image *im, const Elf64_Shdr *sh);
/* Writes the image with `.ufork.reloc` in the place of all its relocation sections. */
void image_save(const struct image *im, const struct relocs *relocs);

/* reloc.c: collects, sorted, every word that depends on the text slide; gives calls of undefined
   weak functions a harmless target inside the text. */
void relocs_collect(struct image *im, struct relocs *relocs);

#endif
