/* SPDX-License-Identifier: MIT */
#include "elf.h"
#include "elf_format.h"
#include "mem.h"
#include <ufork/abi.h>

/* The untrusted bytes. Headers are copied out: they may be misaligned. */
struct file {
  const uint8_t *bytes;
  size_t size;
};

static bool inside(const struct file *f, uint64_t offset, uint64_t length) {
  return offset <= f->size && length <= f->size - offset;
}

static bool fetch(const struct file *f, uint64_t offset, void *to, size_t length) {
  if (!inside(f, offset, length))
    return false;
  memcpy(to, f->bytes + offset, length);
  return true;
}

static enum uf_elf_error read_header(const struct file *f, struct elf_header *eh) {
  if (f->size < SELFMAG || memcmp(f->bytes, ELFMAG, SELFMAG) != 0 || !fetch(f, 0, eh, sizeof *eh))
    return UF_ELF_NOT_ELF;
  if (eh->ident[EI_CLASS] != ELFCLASS64 || eh->ident[EI_DATA] != ELFDATA2LSB ||
      eh->machine != EM_X86_64 || eh->version != EV_CURRENT)
    return UF_ELF_MACHINE;
  if (eh->phentsize != sizeof(struct elf_program_header) || eh->phnum == 0 ||
      eh->phnum > UF_ELF_PHDR_MAX ||
      !inside(f, eh->phoff, (uint64_t)eh->phnum * sizeof(struct elf_program_header)))
    return UF_ELF_HEADERS;
  return UF_ELF_OK;
}

/* Header i; the caller has checked the table's bounds. */
static struct elf_program_header program_header(const struct file *f, const struct elf_header *eh,
                                                unsigned i) {
  struct elf_program_header ph = {0};
  memcpy(&ph, f->bytes + eh->phoff + i * sizeof ph, sizeof ph);
  return ph;
}

/* ---- the note ------------------------------------------------------------------------ */

static uint64_t pad4(uint64_t n) { return (n + 3) & ~(uint64_t)3; }

/* Looks for our note in [offset, offset+length) of the file. */
static enum uf_elf_error search_notes(const struct file *f, uint64_t offset, uint64_t length) {
  struct elf_note_header note = {0};
  char name[sizeof UF_NOTE_NAME];
  uint32_t version;

  if (!inside(f, offset, length))
    return UF_ELF_NO_NOTE;
  while (length >= sizeof note) {
    fetch(f, offset, &note, sizeof note);
    uint64_t desc = sizeof note + pad4(note.namesz);
    uint64_t whole = desc + pad4(note.descsz);
    if (whole > length)
      break;
    if (note.type == UF_NOTE_ABI && note.namesz == sizeof name && note.descsz == sizeof version &&
        fetch(f, offset + sizeof note, name, sizeof name) &&
        memcmp(name, UF_NOTE_NAME, sizeof name) == 0 &&
        fetch(f, offset + desc, &version, sizeof version))
      return version == UF_ABI_VERSION ? UF_ELF_OK : UF_ELF_VERSION;
    offset += whole;
    length -= whole;
  }
  return UF_ELF_NO_NOTE;
}

static enum uf_elf_error find_note(const struct file *f, const struct elf_header *eh) {
  for (unsigned i = 0; i < eh->phnum; i++) {
    struct elf_program_header ph = program_header(f, eh, i);
    if (ph.type != PT_NOTE)
      continue;
    enum uf_elf_error e = search_notes(f, ph.offset, ph.filesz);
    if (e != UF_ELF_NO_NOTE)
      return e;
  }
  return UF_ELF_NO_NOTE;
}

/* ---- segments ------------------------------------------------------------------------ */

static enum uf_elf_error check_text(const struct uf_segment *s) {
  if (s->filesz != s->memsz || s->memsz % UF_ELF_PAGE != 0)
    return UF_ELF_TEXT_SIZE;
  if (s->vaddr != UF_TEXT_LINK || s->memsz > UF_WINDOW_HI - UF_TEXT_LINK)
    return UF_ELF_TEXT_PLACE;
  return UF_ELF_OK;
}

/* Adds a PT_LOAD that is not empty. Headers come in ascending order: text, rodata, data. */
static enum uf_elf_error add_load(const struct file *f, const struct elf_program_header *ph,
                                  struct uf_image_layout *l) {
  if (!inside(f, ph->offset, ph->filesz) || ph->filesz > ph->memsz)
    return UF_ELF_SEGMENT_FILE;
  if (ph->vaddr % UF_ELF_PAGE != 0)
    return UF_ELF_SEGMENT_ALIGN;
  if (ph->vaddr >= UF_REGION_SIZE || ph->memsz > UF_REGION_SIZE - UF_ELF_PAGE - ph->vaddr)
    return UF_ELF_DATA_PLACE;
  struct uf_segment s = {.offset = ph->offset,
                         .vaddr = (uint32_t)ph->vaddr,
                         .filesz = (uint32_t)ph->filesz,
                         .memsz = (uint32_t)ph->memsz};

  switch (ph->flags & (PF_R | PF_W | PF_X)) {
  case PF_R | PF_X:
    if (l->text.memsz)
      return UF_ELF_TEXT_COUNT;
    if (l->rodata.memsz || l->data.memsz)
      return UF_ELF_SEGMENT_ORDER;
    l->text = s;
    return check_text(&s);
  case PF_R:
    if (l->rodata.memsz || l->data.memsz)
      return UF_ELF_SEGMENT_ORDER;
    if (s.vaddr != UF_DATA_LINK)
      return UF_ELF_DATA_PLACE;
    l->rodata = s;
    break;
  case PF_R | PF_W:
    if (l->data.memsz || s.vaddr < l->data_end)
      return UF_ELF_SEGMENT_ORDER;
    if (s.vaddr < UF_DATA_LINK)
      return UF_ELF_DATA_PLACE;
    l->data = s;
    break;
  default:
    return UF_ELF_SEGMENT_FLAGS;
  }
  l->data_end = s.vaddr + s.memsz;
  return UF_ELF_OK;
}

/* Whether [vaddr, vaddr+length) are bytes of the file that the segment loads. */
static bool within(const struct uf_segment *s, uint64_t vaddr, uint64_t length) {
  return vaddr >= s->vaddr && vaddr - s->vaddr <= s->filesz &&
         length <= s->filesz - (vaddr - s->vaddr);
}

static enum uf_elf_error add_tls(const struct elf_program_header *ph, struct uf_image_layout *l) {
  uint64_t align = ph->align ? ph->align : 1;
  if (l->has_tls || (align & (align - 1)) != 0 || align > UF_ELF_PAGE || ph->filesz > ph->memsz ||
      ph->memsz > UF_REGION_SIZE / 16)
    return UF_ELF_TLS;
  if (ph->filesz != 0 && !within(&l->rodata, ph->vaddr, ph->filesz) &&
      !within(&l->data, ph->vaddr, ph->filesz))
    return UF_ELF_TLS;
  l->has_tls = true;
  l->tls_vaddr = (uint32_t)ph->vaddr;
  l->tls_filesz = (uint32_t)ph->filesz;
  l->tls_memsz = (uint32_t)ph->memsz;
  l->tls_align = (uint32_t)align;
  return UF_ELF_OK;
}

static enum uf_elf_error read_loads(const struct file *f, const struct elf_header *eh,
                                    struct uf_image_layout *l) {
  l->data_end = UF_DATA_LINK;
  for (unsigned i = 0; i < eh->phnum; i++) {
    struct elf_program_header ph = program_header(f, eh, i);
    if (ph.type != PT_LOAD || ph.memsz == 0)
      continue;
    enum uf_elf_error e = add_load(f, &ph, l);
    if (e)
      return e;
  }
  return l->text.memsz ? UF_ELF_OK : UF_ELF_TEXT_COUNT;
}

/* Everything that is not a PT_LOAD; wants these read, because TLS lies in them. */
static enum uf_elf_error read_others(const struct file *f, const struct elf_header *eh,
                                     struct uf_image_layout *l) {
  for (unsigned i = 0; i < eh->phnum; i++) {
    struct elf_program_header ph = program_header(f, eh, i);
    enum uf_elf_error e = UF_ELF_OK;
    if (ph.type == PT_INTERP || ph.type == PT_DYNAMIC)
      e = UF_ELF_DYNAMIC;
    else if (ph.type == PT_GNU_STACK && (ph.flags & PF_X))
      e = UF_ELF_EXEC_STACK;
    else if (ph.type == PT_TLS)
      e = add_tls(&ph, l);
    if (e)
      return e;
  }
  return UF_ELF_OK;
}

static enum uf_elf_error check_entry(const struct elf_header *eh, struct uf_image_layout *l) {
  if (eh->entry % UF_BUNDLE != 0 || !within(&l->text, eh->entry, UF_BUNDLE))
    return UF_ELF_ENTRY;
  l->entry = (uint32_t)eh->entry;
  return UF_ELF_OK;
}

/* ---- relocations --------------------------------------------------------------------- */

/* Finds the section by its name. */
static enum uf_elf_error find_relocs(const struct file *f, const struct elf_header *eh,
                                     struct elf_section_header *out) {
  static const char name[] = UF_RELOC_SECTION;
  char got[sizeof name];
  struct elf_section_header names = {0};

  if (eh->shnum == 0)
    return UF_ELF_NO_RELOC;
  if (eh->shentsize != sizeof *out || eh->shstrndx >= eh->shnum ||
      !inside(f, eh->shoff, (uint64_t)eh->shnum * sizeof *out))
    return UF_ELF_SECTIONS;
  fetch(f, eh->shoff + eh->shstrndx * sizeof names, &names, sizeof names);
  if (names.type != SHT_STRTAB || !inside(f, names.offset, names.size))
    return UF_ELF_SECTIONS;
  for (unsigned i = 1; i < eh->shnum; i++) {
    fetch(f, eh->shoff + i * sizeof *out, out, sizeof *out);
    if (out->name > names.size || names.size - out->name < sizeof name)
      continue;
    fetch(f, names.offset + out->name, got, sizeof got);
    if (memcmp(got, name, sizeof name) == 0)
      return UF_ELF_OK;
  }
  return UF_ELF_NO_RELOC;
}

static struct uf_reloc reloc_at(const struct uf_image_layout *l, const uint8_t *file, uint32_t i) {
  struct uf_reloc r;
  memcpy(&r, file + l->reloc_offset + (uint64_t)i * sizeof r, sizeof r);
  return r;
}

/* Bytes that a relocation changes; 0 for an unknown type. */
static uint32_t reloc_size(uint32_t type) {
  switch (type) {
  case UF_RELOC_ADD64:
  case UF_RELOC_SUB64:
    return 8;
  case UF_RELOC_ADD32:
  case UF_RELOC_SUB32:
    return 4;
  default:
    return 0;
  }
}

static enum uf_elf_error check_relocs(const struct file *f, const struct uf_image_layout *l) {
  uint64_t end = 0;
  for (uint32_t i = 0; i < l->reloc_count; i++) {
    struct uf_reloc r = reloc_at(l, f->bytes, i);
    uint32_t size = reloc_size(r.type);
    if (size == 0)
      return UF_ELF_RELOC_TYPE;
    if (r.vaddr < end)
      return UF_ELF_RELOC_ORDER;
    if (!within(&l->text, r.vaddr, size) && !within(&l->rodata, r.vaddr, size) &&
        !within(&l->data, r.vaddr, size))
      return UF_ELF_RELOC_PLACE;
    end = (uint64_t)r.vaddr + size;
  }
  return UF_ELF_OK;
}

static enum uf_elf_error read_relocs(const struct file *f, const struct elf_header *eh,
                                     struct uf_image_layout *l) {
  struct uf_reloc_head head;
  struct elf_section_header sh = {0};
  enum uf_elf_error e = find_relocs(f, eh, &sh);
  if (e)
    return e;
  if (sh.type == SHT_NOBITS || !inside(f, sh.offset, sh.size) || sh.size < sizeof head ||
      !fetch(f, sh.offset, &head, sizeof head) || head.magic != UF_RELOC_MAGIC ||
      head.version != UF_ABI_VERSION || head.reserved != 0 ||
      head.count > (sh.size - sizeof head) / sizeof(struct uf_reloc))
    return UF_ELF_RELOC_HEAD;
  l->reloc_offset = sh.offset + sizeof head;
  l->reloc_count = head.count;
  return check_relocs(f, l);
}

/* ---- public -------------------------------------------------------------------------- */

enum uf_elf_error uf_elf_parse(const void *file, size_t size, struct uf_image_layout *out) {
  const struct file f = {file, size};
  enum uf_elf_error e;
  struct elf_header eh;

  memset(out, 0, sizeof *out);
  if ((e = read_header(&f, &eh)) || (e = find_note(&f, &eh)))
    return e;
  if (eh.type != ET_EXEC)
    return UF_ELF_TYPE;
  if ((e = read_loads(&f, &eh, out)) || (e = read_others(&f, &eh, out)) ||
      (e = check_entry(&eh, out)))
    return e;
  out->phdr_offset = eh.phoff;
  out->phdr_count = eh.phnum;
  return read_relocs(&f, &eh, out);
}

static void add32(uint8_t *at, uint32_t n) {
  uint32_t v;
  memcpy(&v, at, sizeof v);
  v += n;
  memcpy(at, &v, sizeof v);
}

static void add64(uint8_t *at, uint64_t n) {
  uint64_t v;
  memcpy(&v, at, sizeof v);
  v += n;
  memcpy(at, &v, sizeof v);
}

void uf_elf_relocate(const struct uf_image_layout *layout, const void *file,
                     const struct uf_segment *seg, void *copy, uint32_t slide) {
  uint64_t wide = (uint64_t)(int64_t)(int32_t)slide;
  for (uint32_t i = 0; i < layout->reloc_count; i++) {
    struct uf_reloc r = reloc_at(layout, file, i);
    if (!within(seg, r.vaddr, reloc_size(r.type)))
      continue;
    uint8_t *at = (uint8_t *)copy + (r.vaddr - seg->vaddr);
    switch (r.type) {
    case UF_RELOC_ADD64:
      add64(at, wide);
      break;
    case UF_RELOC_SUB64:
      add64(at, -wide);
      break;
    case UF_RELOC_ADD32:
      add32(at, slide);
      break;
    case UF_RELOC_SUB32:
      add32(at, -slide);
      break;
    }
  }
}

const char *uf_elf_message(enum uf_elf_error error) {
  static const char *const text[] = {
#define X(name, text) text,
      UF_ELF_ERRORS(X)
#undef X
  };
  return (unsigned)error < UF_ELF_ERROR_COUNT ? text[error] : "unknown error";
}
