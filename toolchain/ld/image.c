/* SPDX-License-Identifier: MIT */
/* Reading a linked ELF file and writing it back with other sections. */
#include "image.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void fail(const char *name, const char *format, ...) {
  va_list ap;
  fprintf(stderr, "%s: error: ", name);
  va_start(ap, format);
  vfprintf(stderr, format, ap);
  va_end(ap);
  fputc('\n', stderr);
  exit(1);
}

void image_load(struct image *im, const char *file) {
  FILE *f = fopen(file, "rb");
  struct stat st;
  im->name = file;
  if (!f || fstat(fileno(f), &st) < 0)
    fail(file, "cannot read the linked file");
  im->size = (size_t)st.st_size;
  im->bytes = malloc(im->size);
  if (!im->bytes || im->size < sizeof *im->ehdr || fread(im->bytes, 1, im->size, f) != im->size)
    fail(file, "cannot read the linked file");
  fclose(f);
  im->ehdr = (void *)im->bytes;
  im->phdrs = (void *)(im->bytes + im->ehdr->e_phoff);
  im->shdrs = (void *)(im->bytes + im->ehdr->e_shoff);
  if (im->ehdr->e_type != ET_EXEC || im->ehdr->e_machine != EM_X86_64)
    fail(file, "the linker did not make a static x86-64 executable");
  im->shstr = (char *)im->bytes + im->shdrs[im->ehdr->e_shstrndx].sh_offset;
}

const char *section_name(const struct image *im, const Elf64_Shdr *sh) {
  return im->shstr + sh->sh_name;
}

/* ---- writing ------------------------------------------------------------------------- */

struct buffer {
  unsigned char *bytes;
  size_t size, cap;
};

static void put(struct buffer *b, const void *bytes, size_t n) {
  while (b->size + n > b->cap) {
    b->cap = b->cap ? 2 * b->cap : 1 << 16;
    b->bytes = realloc(b->bytes, b->cap);
    if (!b->bytes)
      fail("ufork-ld", "out of memory");
  }
  if (n)
    memcpy(b->bytes + b->size, bytes, n);
  b->size += n;
}

static void align(struct buffer *b, size_t to) {
  static const unsigned char zero[4096];
  if (to > 1 && b->size % to)
    put(b, zero, to - b->size % to);
}

/* The end of everything that a segment loads; sections behind it may move. */
static size_t loaded_end(const struct image *im) {
  size_t end = im->ehdr->e_phoff + im->ehdr->e_phnum * sizeof *im->phdrs;
  for (int i = 0; i < im->ehdr->e_phnum; i++) {
    const Elf64_Phdr *ph = &im->phdrs[i];
    if (ph->p_type == PT_LOAD && ph->p_offset + ph->p_filesz > end)
      end = ph->p_offset + ph->p_filesz;
  }
  return end;
}

/* Copies a section's contents behind what is there, with section numbers translated. */
static void put_section(struct buffer *b, const struct image *im, Elf64_Shdr *sh,
                        const Elf64_Half *renumber) {
  const unsigned char *from = im->bytes + sh->sh_offset;
  align(b, sh->sh_addralign ? sh->sh_addralign : 1);
  sh->sh_offset = b->size;
  put(b, from, sh->sh_size);
  if (sh->sh_type != SHT_SYMTAB)
    return;
  Elf64_Sym *syms = (void *)(b->bytes + sh->sh_offset);
  for (size_t i = 0; i < sh->sh_size / sizeof *syms; i++)
    if (syms[i].st_shndx < SHN_LORESERVE)
      syms[i].st_shndx = renumber[syms[i].st_shndx];
}

static void put_relocs(struct buffer *b, Elf64_Shdr *sh, const struct relocs *relocs) {
  struct uf_reloc_head head = {
      .magic = UF_RELOC_MAGIC, .version = UF_ABI_VERSION, .count = (uint32_t)relocs->count};
  align(b, 8);
  *sh = (Elf64_Shdr){.sh_name = sh->sh_name,
                     .sh_type = SHT_PROGBITS,
                     .sh_offset = b->size,
                     .sh_size = sizeof head + relocs->count * sizeof *relocs->at,
                     .sh_addralign = 8};
  put(b, &head, sizeof head);
  put(b, relocs->at, relocs->count * sizeof *relocs->at);
}

/* The section names, with the new one appended; *name is its place. */
static void put_names(struct buffer *b, const struct image *im, Elf64_Shdr *sh, Elf64_Word *name) {
  const unsigned char *from = im->bytes + sh->sh_offset;
  *name = (Elf64_Word)sh->sh_size;
  sh->sh_offset = b->size;
  put(b, from, sh->sh_size);
  put(b, UF_RELOC_SECTION, sizeof UF_RELOC_SECTION);
  sh->sh_size += sizeof UF_RELOC_SECTION;
}

static void store(const struct image *im, const struct buffer *b) {
  FILE *f = fopen(im->name, "r+b");
  if (!f || fwrite(b->bytes, 1, b->size, f) != b->size || fflush(f) ||
      ftruncate(fileno(f), (off_t)b->size) < 0)
    fail(im->name, "cannot write the image");
  fclose(f);
}

/* The link script asks for every kind of segment; programs without TLS have an empty one. */
static void drop_empty_segments(Elf64_Phdr *phdrs, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (phdrs[i].p_type != PT_GNU_STACK && phdrs[i].p_memsz == 0)
      phdrs[i].p_type = PT_NULL;
}

void image_save(const struct image *im, const struct relocs *relocs) {
  size_t n = im->ehdr->e_shnum, kept = 0;
  Elf64_Half *renumber = calloc(n, sizeof *renumber);
  Elf64_Shdr *out = calloc(n + 1, sizeof *out);
  struct buffer b = {0};
  Elf64_Word reloc_name = 0;
  if (!renumber || !out)
    fail(im->name, "out of memory");
  for (size_t i = 0; i < n; i++)
    if (im->shdrs[i].sh_type != SHT_RELA) {
      renumber[i] = (Elf64_Half)kept;
      out[kept++] = im->shdrs[i];
    }
  drop_empty_segments(im->phdrs, im->ehdr->e_phnum);
  put(&b, im->bytes, loaded_end(im));
  for (size_t i = 0; i < kept; i++) {
    out[i].sh_link = out[i].sh_link < n ? renumber[out[i].sh_link] : 0;
    if (i == renumber[im->ehdr->e_shstrndx])
      put_names(&b, im, &out[i], &reloc_name);
    else if (!(out[i].sh_flags & SHF_ALLOC) && out[i].sh_type != SHT_NULL)
      put_section(&b, im, &out[i], renumber);
  }
  out[kept].sh_name = reloc_name;
  put_relocs(&b, &out[kept++], relocs);
  align(&b, 8);
  Elf64_Ehdr *eh = (void *)b.bytes;
  eh->e_shoff = b.size;
  eh->e_shnum = (Elf64_Half)kept;
  eh->e_shstrndx = renumber[im->ehdr->e_shstrndx];
  put(&b, out, kept * sizeof *out);
  store(im, &b);
}
