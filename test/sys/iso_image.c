/* SPDX-License-Identifier: MIT */
/*
 * exec refuses images that break a rule, and goes on: this program's own image, changed in one
 * place, each time another: forbidden instructions in the text, damaged headers, cut-off files.
 */
/* test: only=ufork timeout=120 */
#include "check.h"
#include <elf.h>
#include <sys/stat.h>

static unsigned char *image;
static size_t size;

static void load(void) {
  int fd = OK(open("/proc/self/exe", O_RDONLY));
  struct stat st;
  OK(fstat(fd, &st));
  size = (size_t)st.st_size;
  image = malloc(size);
  for (size_t n = 0; n < size;)
    n += (size_t)OK(read(fd, image + n, size - n));
  OK(close(fd));
}

/* Writes the image, cut off at `length`, and tries to run it with the argument "intact". */
static int try_exec(size_t length) {
  int fd = OK(open("changed.tmp", O_WRONLY | O_CREAT | O_TRUNC, 0700));
  for (size_t n = 0; n < length;)
    n += (size_t)OK(write(fd, image + n, length - n));
  OK(close(fd));
  pid_t pid = OK(fork());
  if (pid == 0) {
    execl("./changed.tmp", "changed", "intact", NULL);
    _exit(errno == ENOEXEC ? 50 : errno == EACCES ? 51 : errno == ENOMEM ? 52 : 53);
  }
  int status = wait_for(pid);
  OK(unlink("changed.tmp"));
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void refused(const char *what, size_t length) {
  int status = try_exec(length);
  if (status != 50 && status != 51) {
    dprintf(2, "%s: ", what);
    check_fail(__FILE__, __LINE__, "refused", status);
  }
}

static Elf64_Ehdr *head(void) { return (Elf64_Ehdr *)image; }
static Elf64_Phdr *segment(int executable) {
  Elf64_Phdr *p = (Elf64_Phdr *)(image + head()->e_phoff);
  for (int i = 0; i < head()->e_phnum; i++)
    if (p[i].p_type == PT_LOAD && !!(p[i].p_flags & PF_X) == executable)
      return &p[i];
  CHECK(!"no such segment");
  return NULL;
}

static void instructions(void) {
  static const struct {
    const char *name;
    unsigned char bytes[12];
    size_t n;
  } bad[] = {
      {"syscall", {0x0f, 0x05}, 2},
      {"sysenter", {0x0f, 0x34}, 2},
      {"int 0x80", {0xcd, 0x80}, 2},
      {"ret", {0xc3}, 1},
      {"retf", {0xcb}, 1},
      {"jmp *%rax unmasked", {0xff, 0xe0}, 2},
      {"call *%rax unmasked", {0xff, 0xd0}, 2},
      {"mov (%rax),%rax", {0x48, 0x8b, 0x00}, 3},
      {"mov %gs:(%rax),%rax", {0x65, 0x48, 0x8b, 0x00}, 4},
      {"mov %rax,(%rdi)", {0x48, 0x89, 0x07}, 3},
      {"mov %fs:0,%rax", {0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0}, 9},
      {"mov %rax,%rsp", {0x48, 0x89, 0xc4}, 3},
      {"mov %rax,%r15", {0x49, 0x89, 0xc7}, 3},
      {"mov %rax,0(%r15)", {0x49, 0x89, 0x07}, 3},
      {"mov 24(%r15),%rax", {0x49, 0x8b, 0x47, 0x18}, 4},
      {"rep stosb bare", {0xf3, 0xaa}, 2},
      {"movsb bare", {0xa4}, 1},
      {"std", {0xfd}, 1},
      {"popf", {0x9d}, 1},
      {"wrgsbase %rax", {0xf3, 0x48, 0x0f, 0xae, 0xd8}, 5},
      {"wrfsbase %rax", {0xf3, 0x48, 0x0f, 0xae, 0xd0}, 5},
      {"mov %eax,%gs", {0x8e, 0xe8}, 2},
      {"hlt", {0xf4}, 1},
      {"wrmsr", {0x0f, 0x30}, 2},
      {"in %dx,%al", {0xec}, 1},
      {"xlat", {0xd7}, 1},
      {"enter", {0xc8, 0x10, 0, 0}, 4},
      {"leave", {0xc9}, 1},
      {"wrpkru", {0x0f, 0x01, 0xef}, 3},
      {"lgdt", {0x0f, 0x01, 0x10}, 3},
      {"xchg %rax,%r15", {0x49, 0x87, 0xc7}, 3},
      {"jmp into the middle", {0xeb, 0x01, 0x05, 0x0f, 0x05, 0x0f, 0x05}, 7},
  };
  Elf64_Phdr *text = segment(1);
  /* A bundle of traps near the end of the text, after it nothing: the padding of the page. */
  size_t at = text->p_offset + text->p_filesz - 32;
  unsigned char saved[32];
  memcpy(saved, image + at, 32);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    memset(image + at, 0xcc, 32);
    memcpy(image + at, bad[i].bytes, bad[i].n);
    refused(bad[i].name, size);
  }
  memset(image + at, 0xcc, 32);
  memcpy(image + at + 30, "\x48\xb8", 2); /* an instruction across the end */
  refused("across the end", size);
  memcpy(image + at, saved, 32);
  at = text->p_offset + text->p_filesz / 2 / 32 * 32; /* in the middle of real code */
  memcpy(saved, image + at, 32);
  memcpy(image + at, "\x0f\x05\x0f\x05", 4);
  refused("syscall in the middle", size);
  memset(image + at, 0x90, 32);
  image[at + 29] = 0xb8; /* mov $imm32,%eax crosses into the next bundle */
  refused("across a bundle", size);
  memcpy(image + at, saved, 32);
}

#define CHANGED(field, value)                                                                      \
  do {                                                                                             \
    __typeof__(field) *at_ = &(field), saved_ = *at_; /* a change may be what finds the field */   \
    *at_ = (__typeof__(field))(value);                                                             \
    refused(#field " = " #value, size);                                                            \
    *at_ = saved_;                                                                                 \
  } while (0)

static void headers(void) {
  CHANGED(head()->e_machine, EM_386);
  CHANGED(head()->e_type, ET_REL);
  CHANGED(head()->e_phnum, 65535);
  CHANGED(head()->e_phnum, 0);
  CHANGED(head()->e_phoff, size);
  CHANGED(head()->e_phoff, ~0ul);
  CHANGED(head()->e_phentsize, 8);
  CHANGED(head()->e_shoff, ~0ul - 10);
  CHANGED(head()->e_entry, 0);
  CHANGED(head()->e_entry, head()->e_entry + 1);
  CHANGED(head()->e_entry, segment(0)->p_vaddr);
  CHANGED(head()->e_ident[EI_CLASS], ELFCLASS32);
  CHANGED(head()->e_ident[EI_DATA], ELFDATA2MSB);
  CHANGED(segment(1)->p_flags, PF_R | PF_W | PF_X);
  CHANGED(segment(0)->p_flags, PF_R | PF_W | PF_X);
  CHANGED(segment(1)->p_filesz, ~0ul);
  CHANGED(segment(1)->p_offset, size - 10);
  CHANGED(segment(1)->p_vaddr, 0x1fffff000);
  CHANGED(segment(0)->p_vaddr, 0x1000);
  CHANGED(segment(0)->p_memsz, 1ul << 40);
  CHANGED(segment(0)->p_vaddr, ~0xffful);
  for (size_t cut = 0; cut < 64 + 56; cut += 13)
    refused("cut off in the headers", cut);
  refused("cut off in the text", segment(1)->p_offset + 1000);
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1)
    return 60;
  load();
  EXPECT(try_exec(size), 60); /* unchanged it runs */
  instructions();
  headers();
  EXPECT(try_exec(size), 60);
  return done();
}
