/* SPDX-License-Identifier: MIT */
/*
 * µFork images: the one parser of ELF files that the trusted base contains (doc/abi.md, section 9).
 *
 * A file is untrusted bytes. uf_elf_parse() reads it with every access bounds-checked and either
 * describes an image whose segments, entry point and relocations are consistent, or names the
 * first thing that is wrong. It says nothing about the machine code: that is ufv_check()'s work,
 * after relocation. Freestanding: no allocation, no global state, memcpy and memcmp only.
 */
#ifndef UF_VERIFIER_ELF_H
#define UF_VERIFIER_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, text): the reasons for which a file is not an image. Up to UF_ELF_LAST_FOREIGN the file
   is not a µFork image at all (an ordinary program, a script); after it, it is a bad one. */
#define UF_ELF_ERRORS(X)                                                                           \
  X(OK, "valid image")                                                                             \
  X(NOT_ELF, "not an ELF file")                                                                    \
  X(MACHINE, "not a little-endian 64-bit x86-64 ELF file")                                         \
  X(HEADERS, "program headers lie outside the file or have the wrong size")                        \
  X(NO_NOTE, "no uFork note: an ordinary Linux program, rebuild it with ufork-cc")                 \
  X(VERSION, "built for another version of the uFork ABI")                                         \
  X(TYPE, "not a static executable (ET_EXEC)")                                                     \
  X(DYNAMIC, "dynamically linked")                                                                 \
  X(SEGMENT_FILE, "a segment's bytes lie outside the file")                                        \
  X(SEGMENT_ALIGN, "a segment does not start at a page boundary")                                  \
  X(SEGMENT_ORDER, "segments overlap, are too many or are not in ascending order")                 \
  X(SEGMENT_FLAGS, "a segment's permissions are not one of R, RW, RE")                             \
  X(TEXT_COUNT, "not exactly one executable segment")                                              \
  X(TEXT_PLACE, "text is not linked at UF_TEXT_LINK or leaves the text window")                    \
  X(TEXT_SIZE, "text is not a whole number of pages, all of them in the file")                     \
  X(DATA_PLACE, "data is not linked at UF_DATA_LINK or leaves the region")                         \
  X(ENTRY, "entry point is not a bundle address in the text")                                      \
  X(EXEC_STACK, "asks for an executable stack")                                                    \
  X(TLS, "thread-local storage is malformed or lies outside the data")                             \
  X(SECTIONS, "section headers are malformed")                                                     \
  X(NO_RELOC, "no .ufork.reloc section")                                                           \
  X(RELOC_HEAD, ".ufork.reloc has a bad header or size")                                           \
  X(RELOC_ORDER, "relocations are not sorted or overlap")                                          \
  X(RELOC_PLACE, "a relocation lies outside the segments")                                         \
  X(RELOC_TYPE, "unknown relocation type")

enum uf_elf_error {
#define X(name, text) UF_ELF_##name,
  UF_ELF_ERRORS(X)
#undef X
      UF_ELF_ERROR_COUNT,
  UF_ELF_LAST_FOREIGN = UF_ELF_NO_NOTE,
};

/* One loaded segment. Absent: memsz is 0. filesz bytes come from the file, the rest is zero. */
struct uf_segment {
  uint64_t offset; /* in the file */
  uint32_t vaddr;  /* as linked; page-aligned */
  uint32_t filesz;
  uint32_t memsz;
};

struct uf_image_layout {
  struct uf_segment text;   /* filesz == memsz, whole pages; slides */
  struct uf_segment rodata; /* at UF_DATA_LINK if present */
  struct uf_segment data;   /* data and bss */
  uint32_t data_end;        /* end of the highest data segment, the initial program break;
                               UF_DATA_LINK if there is none */
  uint32_t entry;           /* as linked: add the slide */
  bool has_tls;
  uint32_t tls_vaddr; /* initialised part: tls_filesz bytes of rodata or data */
  uint32_t tls_filesz;
  uint32_t tls_memsz;
  uint32_t tls_align;    /* a power of two, at least 1 */
  uint64_t phdr_offset;  /* program headers: phdr_count of 56 bytes at this place in the file */
  uint32_t phdr_count;   /* at most UF_ELF_PHDR_MAX */
  uint64_t reloc_offset; /* struct uf_reloc[reloc_count] in the file; may be misaligned */
  uint32_t reloc_count;
};

#define UF_ELF_PHDR_MAX 32
#define UF_ELF_PAGE 4096

/* Describes the image in `file` (`size` bytes). On error *out is unspecified. */
enum uf_elf_error uf_elf_parse(const void *file, size_t size, struct uf_image_layout *out);

/*
 * Adds `slide` (load address minus linked address of the text; may be "negative") to every word of
 * `copy` that depends on it. `copy` holds the seg->filesz bytes of one segment of `layout`, which
 * uf_elf_parse() made of the same bytes `file`; the caller has to keep these from changing between
 * the two calls. Call it once for each segment.
 */
void uf_elf_relocate(const struct uf_image_layout *layout, const void *file,
                     const struct uf_segment *seg, void *copy, uint32_t slide);

/* The text of an error; never NULL. */
const char *uf_elf_message(enum uf_elf_error error);

#endif
