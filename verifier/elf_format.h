/* SPDX-License-Identifier: MIT */
/*
 * The part of the ELF-64 file format that images use (System V ABI, chapter 4 and 5). Our own,
 * because <elf.h> belongs to a C library and the parser is compiled into a freestanding kernel.
 */
#ifndef UF_VERIFIER_ELF_FORMAT_H
#define UF_VERIFIER_ELF_FORMAT_H

#include <stdint.h>

enum {
  EI_CLASS = 4,
  EI_DATA = 5,
  ELFCLASS64 = 2,
  ELFDATA2LSB = 1,
  EV_CURRENT = 1,
  ET_EXEC = 2,
  EM_X86_64 = 62,
  PT_LOAD = 1,
  PT_DYNAMIC = 2,
  PT_INTERP = 3,
  PT_NOTE = 4,
  PT_TLS = 7,
  PT_GNU_STACK = 0x6474e551,
  PF_X = 1,
  PF_W = 2,
  PF_R = 4,
  SHT_STRTAB = 3,
  SHT_NOBITS = 8,
};

#define ELFMAG                                                                                     \
  "\177"                                                                                           \
  "ELF"
#define SELFMAG 4

struct elf_header {
  uint8_t ident[16];
  uint16_t type;
  uint16_t machine;
  uint32_t version;
  uint64_t entry;
  uint64_t phoff;
  uint64_t shoff;
  uint32_t flags;
  uint16_t ehsize;
  uint16_t phentsize;
  uint16_t phnum;
  uint16_t shentsize;
  uint16_t shnum;
  uint16_t shstrndx;
};

struct elf_program_header {
  uint32_t type;
  uint32_t flags;
  uint64_t offset;
  uint64_t vaddr;
  uint64_t paddr;
  uint64_t filesz;
  uint64_t memsz;
  uint64_t align;
};

struct elf_section_header {
  uint32_t name;
  uint32_t type;
  uint64_t flags;
  uint64_t addr;
  uint64_t offset;
  uint64_t size;
  uint32_t link;
  uint32_t info;
  uint64_t addralign;
  uint64_t entsize;
};

struct elf_note_header {
  uint32_t namesz;
  uint32_t descsz;
  uint32_t type;
};

_Static_assert(sizeof(struct elf_header) == 64, "ELF header");
_Static_assert(sizeof(struct elf_program_header) == 56, "program header");
_Static_assert(sizeof(struct elf_section_header) == 64, "section header");

#endif
