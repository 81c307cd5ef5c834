/* SPDX-License-Identifier: MIT */
/* Loading, caching and setting up images, with the real parser and verifier and a made-up file. */
#define _GNU_SOURCE
#include "kernel/boot.h"
#include "kernel/errno.h"
#include "kernel/mm/image_internal.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/usercopy.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fake/fake.h"
#include "kernel/test/fake/fake_region.h"
#include "kernel/test/no_files.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- the file ----------------------------------------------------------------------------- */

enum {
  TEXT_AT = 0x1000,
  RODATA_AT = 0x2000,
  DATA_AT = 0x3000,
  META_AT = 0x3200,
  FILE_END = 0x3400
};
#define RODATA UF_DATA_LINK
#define DATA (UF_DATA_LINK + 0x1000)
#define DATA_FILESZ 0x180
#define DATA_MEMSZ 0x2800
#define ENTRY (UF_TEXT_LINK + 32)

struct note {
  struct elf_note_header head;
  char name[8];
  u32 version;
};

struct meta {
  struct uf_reloc_head relocs;
  struct uf_reloc reloc[3];
  char names[32];
  struct elf_section_header section[3];
  struct note note;
};

static u8 bytes[FILE_END];
static struct file_identity identity = {.fs = 1, .ino = 2, .size = FILE_END, .mtime_ns = 3};
static int reads;

static void header(void) {
  struct elf_header h = {.ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                         .type = ET_EXEC,
                         .machine = EM_X86_64,
                         .version = EV_CURRENT,
                         .entry = ENTRY,
                         .phoff = 64,
                         .shoff = META_AT + offsetof(struct meta, section),
                         .ehsize = 64,
                         .phentsize = 56,
                         .phnum = 5,
                         .shentsize = 64,
                         .shnum = 3,
                         .shstrndx = 1};
  u64 note = META_AT + offsetof(struct meta, note);
  struct elf_program_header p[5] = {
      {6 /* PT_PHDR */, PF_R, 64, 0x200040, 0, 280, 280, 8},
      {PT_LOAD, PF_R | PF_X, TEXT_AT, UF_TEXT_LINK, UF_TEXT_LINK, 4096, 4096, 4096},
      {PT_LOAD, PF_R, RODATA_AT, RODATA, RODATA, 100, 100, 4096},
      {PT_LOAD, PF_R | PF_W, DATA_AT, DATA, DATA, DATA_FILESZ, DATA_MEMSZ, 4096},
      {PT_NOTE, PF_R, note, 0, 0, sizeof(struct note), sizeof(struct note), 4}};
  memcpy(bytes, &h, sizeof h);
  memcpy(bytes + 64, p, sizeof p);
}

static void metadata(void) {
  static const char names[] = "\0.shstrtab\0.ufork.reloc";
  struct meta m = {.relocs = {UF_RELOC_MAGIC, UF_ABI_VERSION, 3, 0},
                   .reloc = {{UF_TEXT_LINK + 33, UF_RELOC_ADD32},
                             {RODATA + 8, UF_RELOC_ADD64},
                             {DATA + 16, UF_RELOC_ADD64}},
                   .section = {{0},
                               {.name = 1,
                                .type = SHT_STRTAB,
                                .offset = META_AT + offsetof(struct meta, names),
                                .size = sizeof names},
                               {.name = 11, .type = 1, .offset = META_AT, .size = 16 + 24}},
                   .note = {{6, 4, UF_NOTE_ABI}, UF_NOTE_NAME, UF_ABI_VERSION}};
  memcpy(m.names, names, sizeof names);
  memcpy(bytes + META_AT, &m, sizeof m);
}

/* mov $address,%eax; ud2 as the second bundle, traps everywhere else. */
static void make_file(void) {
  u32 self = UF_TEXT_LINK + 64;
  u64 wide = self;
  memset(bytes, 0, sizeof bytes);
  header();
  metadata();
  memset(bytes + TEXT_AT, 0xcc, 4096);
  bytes[TEXT_AT + 32] = 0xb8;
  memcpy(bytes + TEXT_AT + 33, &self, 4);
  memcpy(bytes + TEXT_AT + 37, "\x0f\x0b", 2);
  memset(bytes + RODATA_AT, 'r', 100);
  memcpy(bytes + RODATA_AT + 8, &wide, 8);
  memset(bytes + DATA_AT, 'd', DATA_FILESZ);
  memcpy(bytes + DATA_AT + 16, &wide, 8);
}

i64 file_pread_kernel(struct file *f, void *buf, size_t n, u64 pos) {
  (void)f;
  reads++;
  if (pos >= identity.size)
    return 0;
  n = min_u64(min_u64(n, identity.size - pos), 1000); /* short reads */
  memcpy(buf, bytes + pos, n);
  return (i64)n;
}

int file_identity(struct file *f, struct file_identity *id) {
  (void)f;
  *id = identity;
  return 0;
}

/* ---- the rest of the platform --------------------------------------------------------------- */

struct boot_args boot;
static int installed;

int plat_text_install(u32 addr, const void *code, size_t size) {
  void *p = mmap((void *)(u64)addr, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (p == MAP_FAILED)
    return -ENOMEM;
  memcpy(p, code, size);
  installed++;
  return 0;
}

void proc_for_each(void (*f)(struct proc *p, void *arg), void *arg) { f(&test_proc, arg); }

void plat_text_remove(u32 addr, size_t size) {
  munmap((void *)(u64)addr, size);
  installed--;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static int load(struct image **im) { return image_load(&test_file, "/bin/test", im); }

/* A new version of the file. */
static void touch(void) { identity.version++; }

/* Makes im the program of the running process. */
static void run(struct image *im) {
  static struct space s;
  s.image = im;
  test_proc.space = &s;
}

static void loaded_once(void) {
  struct image *a, *b, *c;
  CHECK(load(&a) == 0);
  int n = reads;
  CHECK(load(&b) == 0 && b == a && reads == n);
  touch();
  CHECK(load(&c) == 0 && c != a && reads > n && installed == 2);
  CHECK(image_id(c) != image_id(a) && strcmp(image_path(a), "/bin/test") == 0);
  u32 lo, hi, lo2;
  image_text_range(a, &lo, &hi);
  image_text_range(c, &lo2, &hi);
  CHECK(lo != lo2 && lo % PAGE_SIZE == 0 && lo >= UF_WINDOW_LO && hi <= UF_WINDOW_HI);
  image_put(a);
  image_put(b);
  image_put(c);
}

static void relocated(void) {
  struct image *im;
  CHECK(load(&im) == 0);
  u32 lo, hi, imm;
  image_text_range(im, &lo, &hi);
  memcpy(&imm, (void *)(u64)(lo + 33), 4);
  CHECK(imm == lo + 64);
  CHECK(memcmp((void *)(u64)lo, bytes + TEXT_AT, 33) == 0);
  u64 wide = 0;
  CHECK(memobj_read(im->rodata, 8, &wide, 8) == 8 && wide == lo + 64);
  memcpy(&wide, (u8 *)im->data + 16, 8);
  CHECK(wide == lo + 64);
  run(im);
  CHECK(image_safe_point(lo) && image_safe_point(lo + 32) && image_safe_point(lo + 37));
  CHECK(!image_safe_point(lo + 33) && !image_safe_point(hi) && !image_safe_point(0));
  image_put(im);
}

static void expect_refused(void) {
  struct image *im = NULL;
  u64 used = kmalloc_used();
  int in = installed;
  touch();
  CHECK(load(&im) == -ENOEXEC);
  CHECK(installed == in && kmalloc_used() == used);
}

static void refused(void) {
  memcpy(bytes + TEXT_AT + 32, "\x0f\x05", 2); /* syscall */
  expect_refused();
  make_file();
  bytes[TEXT_AT + 4095] = 0x90; /* falls off the end */
  expect_refused();
  make_file();
  memset(bytes + META_AT + offsetof(struct meta, note), 0, sizeof(struct note));
  expect_refused();
  make_file();
  bytes[0] = '#';
  expect_refused();
  make_file();
  struct image *im;
  CHECK(load(&im) == 0); /* a failure is not remembered */
  image_put(im);
}

static void truncated(void) {
  for (u64 n = 0; n < FILE_END; n += n < 0x200 ? 24 : 512) {
    identity.size = n;
    if (n < META_AT + sizeof(struct meta))
      expect_refused();
  }
  identity.size = FILE_END;
}

/* Trusted images run without being checked, and still tell where a thread may be stopped. */
static void unverified(void) {
  struct image *im;
  boot.isolation = ISOLATION_NONE;
  touch();
  CHECK(load(&im) == 0 && im->safe == NULL);
  u32 lo, hi;
  image_text_range(im, &lo, &hi);
  run(im);
  CHECK(image_safe_point(lo + 37) && !image_safe_point(lo + 34));
  image_put(im);
  memcpy(bytes + TEXT_AT + 32, "\x0f\x05", 2);
  touch();
  CHECK(load(&im) == 0);
  image_text_range(im, &lo, &hi);
  run(im);
  CHECK(image_safe_point(lo + 64) && !image_safe_point(lo + 65));
  image_put(im);
  make_file();
  boot.isolation = ISOLATION_FULL;
}

static void evicted(void) {
  struct image *used_one, *im;
  CHECK(load(&used_one) == 0);
  u32 lo, hi;
  image_text_range(used_one, &lo, &hi);
  for (int i = 0; i < 5; i++) {
    touch();
    CHECK(load(&im) == 0);
    image_put(im);
  }
  CHECK(image_cache_shrink(UINT64_MAX) && installed == 1);
  run(used_one);
  CHECK(image_safe_point(lo) && !image_cache_shrink(1));
  struct image *at = image_at(lo + 5);
  CHECK(at == used_one);
  image_put(at);
  image_put(used_one);
  CHECK(image_cache_shrink(1) && installed == 0 && image_at(lo) == NULL);
  CHECK(fake_memobjs == 0);
}

static void no_memory(void) {
  struct image *im;
  touch();
  fake_pages_fail = fake_pages_used + 1; /* the file's buffer does not fit */
  CHECK(load(&im) == -ENOMEM && installed == 0);
  fake_pages_fail = 0;
  CHECK(load(&im) == 0);
  image_put(im);
}

/* ---- the first memory of a program ----------------------------------------------------------- */

static u64 word(u64 off) {
  u64 v = 0;
  CHECK(copy_from_user(&v, off, sizeof v) == 0);
  return v;
}

static bool string_is(u64 off, const char *want) {
  char got[64] = "";
  return copy_string_from_user(got, off, sizeof got) >= 0 && strcmp(got, want) == 0;
}

static u64 auxv(u64 at, u64 tag) {
  for (; word(at) != 0; at += 16)
    if (word(at) == tag)
      return word(at + 8);
  return (u64)-1;
}

static void check_aux(struct image *im, u64 aux) {
  u32 lo, hi;
  image_text_range(im, &lo, &hi);
  CHECK(auxv(aux, 9) == lo + 32 && auxv(aux, 6) == PAGE_SIZE && auxv(aux, 23) == 0);
  CHECK(string_is(auxv(aux, 31), "/bin/test") && string_is(auxv(aux, 15), "x86_64"));
  CHECK(auxv(aux, 33) == (u64)-1); /* no vDSO */
  CHECK(word(auxv(aux, 25)) != word(auxv(aux, 25) + 8));
  struct elf_program_header p[5];
  CHECK(auxv(aux, 5) == 5 && auxv(aux, 4) == sizeof *p);
  CHECK(copy_from_user(p, auxv(aux, 3), sizeof p) == 0);
  CHECK(p[0].type == 0 && p[1].vaddr == lo && p[2].vaddr == RODATA && p[3].vaddr == DATA);
}

static void check_data(struct space *s) {
  char c;
  CHECK(word(DATA + 24) == 0x6464646464646464 && word(DATA + DATA_FILESZ) == 0);
  CHECK(word(DATA + DATA_MEMSZ - 8) == 0 && word(RODATA) == 0x7272727272727272);
  CHECK(copy_to_user(DATA + DATA_MEMSZ - 1, "x", 1) == 0);
  CHECK(copy_to_user(RODATA, "x", 1) == -EFAULT);
  CHECK(copy_from_user(&c, DATA + 0x3000, 1) == -EFAULT);
  CHECK(s->brk == DATA + 0x3000 && s->brk_lo == s->brk);
  mutex_lock(&s->lock); /* rodata belongs to all processes of the image */
  CHECK(space_protect(s, RODATA, PAGE_SIZE, PROT_READ | PROT_WRITE) == -EACCES);
  mutex_unlock(&s->lock);
}

static void set_up(void) {
  struct image *im;
  struct space *s;
  char strings[] = "prog\0arg one\0\0A=1\0B=2";
  struct exec_strings str = {strings, sizeof strings, 3, 2, "/bin/test"};
  u64 sp, entry;
  CHECK(load(&im) == 0 && space_create(im, &s) == 0);
  test_process(s);
  CHECK(image_setup(im, s, &str, &sp, &entry) == 0);
  u32 lo, hi;
  image_text_range(im, &lo, &hi);
  CHECK(entry == lo + 32);
  u64 at = sp - region_base(s->region);
  CHECK(at % 16 == 0 && at < SPACE_STACK_TOP && at > SPACE_STACK_TOP - 4096);
  CHECK(word(at) == 3 && word(at + 32) == 0 && word(at + 56) == 0);
  CHECK(string_is(word(at + 8), "prog") && string_is(word(at + 16), "arg one"));
  CHECK(string_is(word(at + 24), "") && string_is(word(at + 40), "A=1"));
  CHECK(string_is(word(at + 48), "B=2"));
  check_aux(im, at + 64);
  check_data(s);
  CHECK(copy_to_user(SPACE_STACK_TOP - SPACE_STACK_MIN_WINDOW, "x", 1) == 0);
  image_put(im);
  space_put(s);
}

/* An argument list larger than the initial window, and one larger than the stack's limit. */
static void large_arguments(void) {
  struct image *im;
  struct space *s;
  char *data = malloc(400000);
  memset(data, 'a', 400000);
  data[399999] = 0;
  struct exec_strings str = {data, 400000, 1, 0, "/bin/test"};
  u64 sp, entry;
  CHECK(load(&im) == 0 && space_create(im, &s) == 0);
  test_process(s);
  CHECK(image_setup(im, s, &str, &sp, &entry) == 0);
  u64 arg = word(sp - region_base(s->region) + 8);
  CHECK(word(arg + 399984) == 0x6161616161616161 && word(arg + 399999) == 0);
  space_put(s);
  CHECK(space_create(im, &s) == 0);
  test_process(s);
  test_proc.limits[RLIMIT_STACK].cur = 300000;
  CHECK(image_setup(im, s, &str, &sp, &entry) == -E2BIG);
  space_put(s);
  image_put(im);
  free(data);
}

int main(void) {
  test_process(NULL);
  make_file();
  TEST(loaded_once);
  TEST(relocated);
  TEST(refused);
  TEST(truncated);
  TEST(unverified);
  TEST(evicted);
  TEST(no_memory);
  TEST(set_up);
  TEST(large_arguments);
  return check_summary("mm_image");
}
