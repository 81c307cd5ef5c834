/* SPDX-License-Identifier: MIT */
/* The ELF parser: one good image, and everything that can be wrong with it. */
#include "../elf.h"
#include "../elf_format.h"
#include "test.h"
#include <stdlib.h>
#include <string.h>
#include <ufork/abi.h>

enum { PHDRS = 6, SECTIONS = 3, RELOCS = 4, PAGE = UF_ELF_PAGE };

/* A whole image file. Tests change a field of a copy. */
struct image {
  struct elf_header eh;
  struct elf_program_header text, rodata, data, tls, note, stack;
  struct {
    struct elf_note_header head;
    char name[8];
    uint32_t version;
  } note_bytes;
  uint32_t pad;
  struct elf_section_header null, names, relocs;
  char name_bytes[32];
  struct {
    struct uf_reloc_head head;
    struct uf_reloc entry[RELOCS];
  } reloc_bytes;
  uint8_t text_bytes[PAGE];
  uint8_t rodata_bytes[64];
  uint8_t data_bytes[64];
};

#define AT(field) offsetof(struct image, field)

static struct elf_program_header load(uint32_t flags, uint64_t offset, uint64_t vaddr,
                                      uint64_t filesz, uint64_t memsz) {
  return (struct elf_program_header){PT_LOAD, flags, offset, vaddr, vaddr, filesz, memsz, PAGE};
}

static void build(struct image *m) {
  memset(m, 0, sizeof *m);
  m->eh = (struct elf_header){.type = ET_EXEC,
                              .machine = EM_X86_64,
                              .version = EV_CURRENT,
                              .entry = UF_TEXT_LINK + 32,
                              .phoff = AT(text),
                              .shoff = AT(null),
                              .ehsize = sizeof m->eh,
                              .phentsize = sizeof m->text,
                              .phnum = PHDRS,
                              .shentsize = sizeof m->null,
                              .shnum = SECTIONS,
                              .shstrndx = 1};
  memcpy(m->eh.ident, ELFMAG "\2\1\1", 7);
  m->text = load(PF_R | PF_X, AT(text_bytes), UF_TEXT_LINK, PAGE, PAGE);
  m->rodata = load(PF_R, AT(rodata_bytes), UF_DATA_LINK, 64, 64);
  m->data = load(PF_R | PF_W, AT(data_bytes), UF_DATA_LINK + PAGE, 64, 3 * PAGE);
  m->tls =
      (struct elf_program_header){PT_TLS, PF_R, AT(data_bytes), UF_DATA_LINK + PAGE, 0, 16, 32, 8};
  m->note =
      (struct elf_program_header){PT_NOTE, PF_R, AT(note_bytes), 0, 0, sizeof m->note_bytes, 0, 4};
  m->stack = (struct elf_program_header){.type = PT_GNU_STACK, .flags = PF_R | PF_W};
  m->note_bytes.head = (struct elf_note_header){6, 4, UF_NOTE_ABI};
  memcpy(m->note_bytes.name, UF_NOTE_NAME, 6);
  m->note_bytes.version = UF_ABI_VERSION;
  m->names = (struct elf_section_header){
      .type = SHT_STRTAB, .offset = AT(name_bytes), .size = sizeof m->name_bytes};
  m->relocs = (struct elf_section_header){
      .name = 1, .type = 1, .offset = AT(reloc_bytes), .size = sizeof m->reloc_bytes};
  memcpy(m->name_bytes + 1, UF_RELOC_SECTION, sizeof UF_RELOC_SECTION);
  m->reloc_bytes.head = (struct uf_reloc_head){UF_RELOC_MAGIC, UF_ABI_VERSION, RELOCS, 0};
  m->reloc_bytes.entry[0] = (struct uf_reloc){UF_TEXT_LINK + 1, UF_RELOC_ADD32};
  m->reloc_bytes.entry[1] = (struct uf_reloc){UF_TEXT_LINK + PAGE - 4, UF_RELOC_SUB32};
  m->reloc_bytes.entry[2] = (struct uf_reloc){UF_DATA_LINK + 56, UF_RELOC_ADD64};
  m->reloc_bytes.entry[3] = (struct uf_reloc){UF_DATA_LINK + PAGE + 8, UF_RELOC_SUB64};
}

/* Parses a heap copy of exactly `size` bytes, misaligned by `shift`. */
static enum uf_elf_error parse(const struct image *m, size_t size, size_t shift,
                               struct uf_image_layout *l) {
  uint8_t *copy = malloc(size + shift + 1);
  memcpy(copy + shift, m, size);
  enum uf_elf_error e = uf_elf_parse(copy + shift, size, l);
  free(copy);
  return e;
}

static void test_good(void) {
  struct uf_image_layout l;
  struct image m;
  build(&m);
  for (size_t shift = 0; shift < 8; shift++)
    CHECK(parse(&m, sizeof m, shift, &l) == UF_ELF_OK, "good image refused");
  CHECK(l.text.vaddr == UF_TEXT_LINK && l.text.memsz == PAGE && l.text.offset == AT(text_bytes),
        "text");
  CHECK(l.rodata.vaddr == UF_DATA_LINK && l.rodata.filesz == 64, "rodata");
  CHECK(l.data.vaddr == UF_DATA_LINK + PAGE && l.data.memsz == 3 * PAGE && l.data.filesz == 64,
        "data");
  CHECK(l.data_end == UF_DATA_LINK + 4 * PAGE, "data_end %x", l.data_end);
  CHECK(l.entry == UF_TEXT_LINK + 32, "entry");
  CHECK(l.has_tls && l.tls_vaddr == UF_DATA_LINK + PAGE && l.tls_filesz == 16 &&
            l.tls_memsz == 32 && l.tls_align == 8,
        "tls");
  CHECK(l.phdr_count == PHDRS && l.phdr_offset == AT(text), "program headers");
  CHECK(l.reloc_count == RELOCS, "relocations");
}

/* Every prefix of the file is refused: the data are its last bytes. */
static void test_truncated(void) {
  struct uf_image_layout l;
  struct image m;
  build(&m);
  unsigned accepted = 0;
  for (size_t size = 0; size < sizeof m; size += size < 1024 ? 1 : 61)
    accepted += parse(&m, size, 0, &l) == UF_ELF_OK;
  CHECK(accepted == 0, "%u truncated files accepted", accepted);
  CHECK(parse(&m, 0, 0, &l) == UF_ELF_NOT_ELF, "empty file");
  CHECK(parse(&m, 63, 0, &l) == UF_ELF_NOT_ELF, "half a header");
}

/* One field of a good image changed: WRONG(error, field, value). */
#define WRONG(error, field, value)                                                                 \
  do {                                                                                             \
    struct uf_image_layout layout;                                                                 \
    struct image m;                                                                                \
    build(&m);                                                                                     \
    m.field = value;                                                                               \
    enum uf_elf_error got = parse(&m, sizeof m, 0, &layout);                                       \
    CHECK(got == UF_ELF_##error, "%s = %s: got `%s`", #field, #value, uf_elf_message(got));        \
  } while (0)

static void test_header(void) {
  WRONG(NOT_ELF, eh.ident[0], 'E');
  WRONG(MACHINE, eh.ident[EI_CLASS], 1);
  WRONG(MACHINE, eh.ident[EI_DATA], 2);
  WRONG(MACHINE, eh.machine, 40);
  WRONG(MACHINE, eh.version, 0);
  WRONG(TYPE, eh.type, 3);
  WRONG(TYPE, eh.type, 1);
  WRONG(HEADERS, eh.phentsize, 55);
  WRONG(HEADERS, eh.phentsize, 0);
  WRONG(HEADERS, eh.phnum, 0);
  WRONG(HEADERS, eh.phnum, UF_ELF_PHDR_MAX + 1);
  WRONG(HEADERS, eh.phnum, 0xffff);
  WRONG(HEADERS, eh.phoff, sizeof(struct image));
  WRONG(HEADERS, eh.phoff, sizeof(struct image) - 1);
  WRONG(HEADERS, eh.phoff, UINT64_MAX);
  WRONG(HEADERS, eh.phoff, UINT64_MAX - 55);
  WRONG(ENTRY, eh.entry, UF_TEXT_LINK + 1);
  WRONG(ENTRY, eh.entry, UF_TEXT_LINK + 16);
  WRONG(ENTRY, eh.entry, UF_TEXT_LINK + PAGE);
  WRONG(ENTRY, eh.entry, UF_TEXT_LINK - 32);
  WRONG(ENTRY, eh.entry, UF_TEXT_LINK + 0x100000000);
  WRONG(ENTRY, eh.entry, UF_DATA_LINK);
  WRONG(ENTRY, eh.entry, 0);
  WRONG(DYNAMIC, stack.type, PT_INTERP);
  WRONG(DYNAMIC, stack.type, PT_DYNAMIC);
  WRONG(EXEC_STACK, stack.flags, PF_R | PF_W | PF_X);
  WRONG(OK, stack.type, 0x6474e550);
}

static void test_note(void) {
  WRONG(NO_NOTE, note.type, 0);
  WRONG(NO_NOTE, note.offset, sizeof(struct image));
  WRONG(NO_NOTE, note.offset, UINT64_MAX);
  WRONG(NO_NOTE, note.filesz, UINT64_MAX);
  WRONG(NO_NOTE, note.filesz, sizeof(((struct image *)0)->note_bytes) - 1);
  WRONG(NO_NOTE, note.filesz, 0);
  WRONG(NO_NOTE, note_bytes.name[0], 'U');
  WRONG(NO_NOTE, note_bytes.head.type, 2);
  WRONG(NO_NOTE, note_bytes.head.namesz, 5);
  WRONG(NO_NOTE, note_bytes.head.namesz, UINT32_MAX);
  WRONG(NO_NOTE, note_bytes.head.descsz, 8);
  WRONG(NO_NOTE, note_bytes.head.descsz, UINT32_MAX);
  WRONG(VERSION, note_bytes.version, UF_ABI_VERSION + 1);
}

static void test_segments(void) {
  WRONG(TEXT_COUNT, text.type, 0);
  WRONG(DATA_PLACE, text.flags, PF_R);
  WRONG(SEGMENT_FLAGS, text.flags, PF_R | PF_W | PF_X);
  WRONG(SEGMENT_FLAGS, text.flags, PF_X);
  WRONG(SEGMENT_FLAGS, data.flags, PF_R | PF_W | PF_X);
  WRONG(SEGMENT_FLAGS, data.flags, PF_W);
  WRONG(SEGMENT_FLAGS, rodata.flags, 0);
  WRONG(TEXT_COUNT, rodata.flags, PF_R | PF_X);
  WRONG(TEXT_COUNT, data.flags, PF_R | PF_X);
  WRONG(SEGMENT_ORDER, data.flags, PF_R);
  WRONG(SEGMENT_ORDER, rodata.flags, PF_R | PF_W);
  WRONG(TEXT_SIZE, text.filesz, PAGE - 1);
  WRONG(TEXT_SIZE, text.memsz, 2 * PAGE);
  WRONG(SEGMENT_FILE, text.filesz, 2 * PAGE);
  WRONG(SEGMENT_FILE, data.filesz, 65);
  WRONG(SEGMENT_FILE, data.offset, UINT64_MAX);
  WRONG(SEGMENT_FILE, data.offset, UINT64_MAX - 63);
  WRONG(SEGMENT_FILE, data.memsz, 63);
  WRONG(SEGMENT_ALIGN, text.vaddr, UF_TEXT_LINK + 32);
  WRONG(SEGMENT_ALIGN, data.vaddr, UF_DATA_LINK + 8);
  WRONG(TEXT_PLACE, text.vaddr, UF_TEXT_LINK + PAGE);
  WRONG(TEXT_PLACE, text.vaddr, 0);
  WRONG(TEXT_PLACE, text.vaddr, UF_DATA_LINK);
  WRONG(DATA_PLACE, text.vaddr, UF_TEXT_LINK + 0x100000000);
  WRONG(DATA_PLACE, rodata.vaddr, UF_DATA_LINK + PAGE);
  WRONG(DATA_PLACE, rodata.vaddr, UF_TEXT_LINK);
  WRONG(SEGMENT_ORDER, data.vaddr, UF_DATA_LINK);
  WRONG(SEGMENT_ORDER, data.vaddr, UF_TEXT_LINK);
  WRONG(DATA_PLACE, data.vaddr, 0xfffff000);
  WRONG(DATA_PLACE, data.vaddr, 0x100000000);
  WRONG(DATA_PLACE, data.vaddr, -(uint64_t)PAGE);
  WRONG(DATA_PLACE, data.memsz, UINT64_MAX);
  WRONG(DATA_PLACE, data.memsz, 0x100000000 - UF_DATA_LINK - PAGE);
  WRONG(OK, data.memsz, 0x100000000 - UF_DATA_LINK - 2 * PAGE);
}

static void test_tls(void) {
  WRONG(TLS, tls.align, 3);
  WRONG(TLS, tls.align, 2 * PAGE);
  WRONG(TLS, tls.align, UINT64_MAX);
  WRONG(OK, tls.align, 0);
  WRONG(TLS, tls.filesz, 65);
  WRONG(TLS, tls.memsz, 15);
  WRONG(TLS, tls.memsz, UINT64_MAX);
  WRONG(TLS, tls.vaddr, UF_DATA_LINK + PAGE + 49);
  WRONG(TLS, tls.vaddr, UF_TEXT_LINK);
  WRONG(TLS, tls.vaddr, UINT64_MAX);
  WRONG(TLS, tls.vaddr, UF_DATA_LINK + PAGE + 0x100000000);
  struct uf_image_layout l;
  struct image m;
  build(&m);
  m.stack = m.tls;
  CHECK(parse(&m, sizeof m, 0, &l) == UF_ELF_TLS, "two TLS segments");
}

static void test_sections(void) {
  WRONG(NO_RELOC, eh.shnum, 0);
  WRONG(NO_RELOC, eh.shnum, 2);
  WRONG(SECTIONS, eh.shnum, 0xffff);
  WRONG(SECTIONS, eh.shentsize, 32);
  WRONG(SECTIONS, eh.shstrndx, 3);
  WRONG(SECTIONS, eh.shstrndx, 2);
  WRONG(SECTIONS, eh.shoff, UINT64_MAX);
  WRONG(SECTIONS, eh.shoff, sizeof(struct image) - 8);
  WRONG(SECTIONS, names.offset, UINT64_MAX);
  WRONG(SECTIONS, names.size, UINT64_MAX);
  WRONG(NO_RELOC, names.size, 13);
  WRONG(NO_RELOC, relocs.name, UINT32_MAX);
  WRONG(NO_RELOC, relocs.name, 2);
  WRONG(NO_RELOC, name_bytes[sizeof UF_RELOC_SECTION], 'x');
  WRONG(RELOC_HEAD, relocs.offset, UINT64_MAX);
  WRONG(RELOC_HEAD, relocs.size, UINT64_MAX);
  WRONG(RELOC_HEAD, relocs.size, 15);
  WRONG(RELOC_HEAD, relocs.type, SHT_NOBITS);
  WRONG(RELOC_HEAD, reloc_bytes.head.magic, 0);
  WRONG(RELOC_HEAD, reloc_bytes.head.version, UF_ABI_VERSION + 1);
  WRONG(RELOC_HEAD, reloc_bytes.head.reserved, 1);
  WRONG(RELOC_HEAD, reloc_bytes.head.count, RELOCS + 1);
  WRONG(RELOC_HEAD, reloc_bytes.head.count, UINT32_MAX);
  WRONG(OK, reloc_bytes.head.count, 0);
}

static void test_relocs(void) {
  WRONG(RELOC_TYPE, reloc_bytes.entry[0].type, 0);
  WRONG(RELOC_TYPE, reloc_bytes.entry[3].type, 5);
  WRONG(RELOC_TYPE, reloc_bytes.entry[3].type, UINT32_MAX);
  WRONG(RELOC_ORDER, reloc_bytes.entry[3].vaddr, UF_TEXT_LINK);
  WRONG(RELOC_ORDER, reloc_bytes.entry[1].vaddr, UF_TEXT_LINK + 1);
  WRONG(RELOC_ORDER, reloc_bytes.entry[1].vaddr, UF_TEXT_LINK + 4);
  WRONG(OK, reloc_bytes.entry[1].vaddr, UF_TEXT_LINK + 5);
  WRONG(RELOC_PLACE, reloc_bytes.entry[0].vaddr, 0);
  WRONG(RELOC_PLACE, reloc_bytes.entry[0].vaddr, UF_TEXT_LINK - 1);
  WRONG(RELOC_PLACE, reloc_bytes.entry[1].vaddr, UF_TEXT_LINK + PAGE - 3);
  WRONG(RELOC_PLACE, reloc_bytes.entry[2].vaddr, UF_DATA_LINK + 57);
  WRONG(RELOC_PLACE, reloc_bytes.entry[3].vaddr, UF_DATA_LINK + PAGE + 64);
  WRONG(RELOC_PLACE, reloc_bytes.entry[3].vaddr, UINT32_MAX);
}

static uint64_t word(const uint8_t *at, unsigned size) {
  uint64_t v = 0;
  memcpy(&v, at, size);
  return v;
}

/* Applies a slide and its inverse to all segments. */
static void test_relocate(void) {
  struct uf_image_layout l;
  struct image m, copy;
  build(&m);
  m.text_bytes[1] = 0xff;
  memset(m.text_bytes + PAGE - 4, 0x11, 4);
  CHECK(parse(&m, sizeof m, 0, &l) == UF_ELF_OK, "refused");
  copy = m;
  uf_elf_relocate(&l, &m, &l.text, copy.text_bytes, 0x10000001);
  uf_elf_relocate(&l, &m, &l.rodata, copy.rodata_bytes, 0x10000001);
  uf_elf_relocate(&l, &m, &l.data, copy.data_bytes, 0x10000001);
  CHECK(word(copy.text_bytes + 1, 4) == 0x10000100, "ADD32");
  CHECK(word(copy.text_bytes + PAGE - 4, 4) == 0x01111110, "SUB32");
  CHECK(word(copy.rodata_bytes + 56, 8) == 0x10000001, "ADD64");
  CHECK(word(copy.data_bytes + 8, 8) == -(uint64_t)0x10000001, "SUB64");
  uf_elf_relocate(&l, &m, &l.text, copy.text_bytes, -0x10000001u);
  uf_elf_relocate(&l, &m, &l.rodata, copy.rodata_bytes, -0x10000001u);
  uf_elf_relocate(&l, &m, &l.data, copy.data_bytes, -0x10000001u);
  CHECK(memcmp(&copy, &m, sizeof m) == 0, "the inverse slide does not restore the image");
}

/* Random damage, a few bytes at a time: the sanitizers watch. What is accepted can be relocated. */
static void test_damage(void) {
  uint64_t seed = 1;
  unsigned accepted = 0;
  for (int round = 0; round < 30000; round++) {
    struct uf_image_layout l;
    struct image m;
    build(&m);
    for (int n = 0; n <= round % 4; n++) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      size_t at = (seed >> 33) % AT(text_bytes);
      ((uint8_t *)&m)[at] = (uint8_t)(seed >> 20 & 1 ? seed >> 25 : 0xffu << (seed >> 60 & 7));
    }
    uint8_t *file = malloc(sizeof m);
    memcpy(file, &m, sizeof m);
    if (uf_elf_parse(file, sizeof m, &l) == UF_ELF_OK) {
      accepted++;
      uint8_t *text = malloc(l.text.filesz);
      memcpy(text, file + l.text.offset, l.text.filesz);
      uf_elf_relocate(&l, file, &l.text, text, 0x1000);
      free(text);
    }
    free(file);
  }
  CHECK(accepted > 1000 && accepted < 29000, "%u of 30000 damaged files accepted", accepted);
}

static void test_messages(void) {
  for (int e = 0; e < UF_ELF_ERROR_COUNT; e++)
    CHECK(uf_elf_message((enum uf_elf_error)e)[0] != 0, "error %d has no message", e);
  CHECK(uf_elf_message((enum uf_elf_error)1000)[0] != 0, "no message for an unknown error");
}

void test_elf(void) {
  test_good();
  test_truncated();
  test_header();
  test_note();
  test_segments();
  test_tls();
  test_sections();
  test_relocs();
  test_relocate();
  test_damage();
  test_messages();
}
