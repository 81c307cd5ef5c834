/* SPDX-License-Identifier: MIT */
/*
 * Which words depend on the text slide? Text and data are linked at fixed places; the loader
 * moves text alone. So an absolute word depends on it if it refers to text, a relative one if
 * exactly one of its ends is in text.
 */
#include "image.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct image *im, struct relocs *r, uint64_t vaddr, uint32_t type) {
  if (vaddr > UINT32_MAX)
    fail(im->name, "relocated word at %#llx is outside of the image", (unsigned long long)vaddr);
  if (r->count == r->cap) {
    r->cap = r->cap ? 2 * r->cap : 4096;
    r->at = realloc(r->at, r->cap * sizeof *r->at);
    if (!r->at)
      fail(im->name, "out of memory");
  }
  r->at[r->count++] = (struct uf_reloc){(uint32_t)vaddr, type};
}

static bool is_text(const struct image *im, unsigned shndx) {
  return shndx != SHN_UNDEF && shndx < im->ehdr->e_shnum &&
         (im->shdrs[shndx].sh_flags & SHF_EXECINSTR);
}

/* The word at an address of section `sh`. */
static unsigned char *word_at(struct image *im, const Elf64_Shdr *sh, uint64_t vaddr) {
  return im->bytes + sh->sh_offset + (vaddr - sh->sh_addr);
}

struct site {
  const Elf64_Shdr *sh; /* section of the word */
  bool in_text;
  uint64_t vaddr;
  bool to_text;
  bool undefined;
  const char *symbol;
};

/*
 * A branch to an undefined weak function would leave the image. It is never executed by a
 * correct program; the first bundle of the text faults as address 0 would.
 */
static void retarget(struct image *im, const struct site *s) {
  int32_t rel = (int32_t)((int64_t)UF_TEXT_LINK - (int64_t)(s->vaddr + 4));
  memcpy(word_at(im, s->sh, s->vaddr), &rel, sizeof rel);
}

static void relative(struct image *im, struct relocs *r, const struct site *s, bool wide) {
  if (s->in_text && s->undefined && !wide)
    retarget(im, s);
  else if (s->in_text && !s->to_text)
    add(im, r, s->vaddr, wide ? UF_RELOC_SUB64 : UF_RELOC_SUB32);
  else if (!s->in_text && s->to_text)
    add(im, r, s->vaddr, wide ? UF_RELOC_ADD64 : UF_RELOC_ADD32);
}

static void collect_one(struct image *im, struct relocs *r, const struct site *s, unsigned type) {
  switch (type) {
  case R_X86_64_NONE:
  case R_X86_64_TPOFF32:
  case R_X86_64_TPOFF64:
  case R_X86_64_DTPOFF32:
  case R_X86_64_DTPOFF64:
  case R_X86_64_SIZE32:
  case R_X86_64_SIZE64:
    return;
  case R_X86_64_64:
    if (s->to_text)
      add(im, r, s->vaddr, UF_RELOC_ADD64);
    return;
  case R_X86_64_32:
  case R_X86_64_32S:
    if (s->to_text)
      add(im, r, s->vaddr, UF_RELOC_ADD32);
    return;
  case R_X86_64_PC32:
  case R_X86_64_PLT32:
    relative(im, r, s, false);
    return;
  case R_X86_64_PC64:
    relative(im, r, s, true);
    return;
  default:
    fail(im->name,
         "relocation type %u against `%s` at %#llx cannot be sandboxed (an object that was not "
         "built by ufork-cc?)",
         type, s->symbol, (unsigned long long)s->vaddr);
  }
}

static void collect_section(struct image *im, struct relocs *r, const Elf64_Shdr *rela) {
  const Elf64_Shdr *place = &im->shdrs[rela->sh_info];
  const Elf64_Shdr *symtab = &im->shdrs[rela->sh_link];
  const Elf64_Sym *syms = (void *)(im->bytes + symtab->sh_offset);
  const char *names = (char *)im->bytes + im->shdrs[symtab->sh_link].sh_offset;
  const Elf64_Rela *rel = (void *)(im->bytes + rela->sh_offset);
  if (!(place->sh_flags & SHF_ALLOC))
    return;
  for (size_t i = 0; i < rela->sh_size / sizeof *rel; i++) {
    const Elf64_Sym *sym = &syms[ELF64_R_SYM(rel[i].r_info)];
    bool section = ELF64_ST_TYPE(sym->st_info) == STT_SECTION && sym->st_shndx < SHN_LORESERVE;
    struct site s = {.sh = place,
                     .in_text = place->sh_flags & SHF_EXECINSTR,
                     .vaddr = rel[i].r_offset,
                     .to_text = is_text(im, sym->st_shndx),
                     .undefined = sym->st_shndx == SHN_UNDEF,
                     .symbol = section ? section_name(im, &im->shdrs[sym->st_shndx])
                                       : names + sym->st_name};
    collect_one(im, r, &s, ELF64_R_TYPE(rel[i].r_info));
  }
}

/*
 * ld writes .eh_frame_hdr itself, without relocations: pairs (function, entry), both relative to
 * the header. 0x3b: DW_EH_PE_datarel | DW_EH_PE_sdata4, the only encoding that ld uses.
 */
static void collect_eh_frame_hdr(struct image *im, struct relocs *r, const Elf64_Shdr *sh) {
  const unsigned char *hdr = im->bytes + sh->sh_offset;
  uint32_t count;
  if (sh->sh_size < 12)
    return;
  if (hdr[0] != 1 || hdr[2] != 0x03 || hdr[3] != 0x3b)
    fail(im->name, "unexpected encoding of .eh_frame_hdr");
  memcpy(&count, hdr + 8, sizeof count);
  if (12 + 8 * (uint64_t)count > sh->sh_size)
    fail(im->name, "truncated .eh_frame_hdr");
  for (uint32_t i = 0; i < count; i++)
    add(im, r, sh->sh_addr + 12 + 8 * i, UF_RELOC_ADD32);
}

static int by_vaddr(const void *a, const void *b) {
  const struct uf_reloc *x = a, *y = b;
  return (x->vaddr > y->vaddr) - (x->vaddr < y->vaddr);
}

static uint32_t width(const struct uf_reloc *r) {
  return r->type == UF_RELOC_ADD64 || r->type == UF_RELOC_SUB64 ? 8 : 4;
}

void relocs_collect(struct image *im, struct relocs *relocs) {
  for (int i = 0; i < im->ehdr->e_shnum; i++) {
    const Elf64_Shdr *sh = &im->shdrs[i];
    if (sh->sh_type == SHT_RELA && sh->sh_info && sh->sh_info < im->ehdr->e_shnum)
      collect_section(im, relocs, sh);
    else if (strcmp(section_name(im, sh), ".eh_frame_hdr") == 0)
      collect_eh_frame_hdr(im, relocs, sh);
  }
  if (relocs->count)
    qsort(relocs->at, relocs->count, sizeof *relocs->at, by_vaddr);
  for (size_t i = 1; i < relocs->count; i++)
    if (relocs->at[i - 1].vaddr + width(&relocs->at[i - 1]) > relocs->at[i].vaddr)
      fail(im->name, "overlapping relocations at %#x", relocs->at[i].vaddr);
}
