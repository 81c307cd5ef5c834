/* SPDX-License-Identifier: MIT */
/*
 * A bootable image is the kernel's ELF file whose last, empty segment (plat/pc/kernel.lds) is
 * filled with a head that holds the command line, padded to a page, and the root file system.
 */
#include "plat/hosted/vm/vm.h"
#include "verifier/elf.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u
#define BUNDLE_MAGIC "uFBundle"

struct head {
  char magic[8];
  uint64_t cmdline_size, initramfs_size;
};

_Noreturn void vm_die(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  fputs("ufork: ", stderr);
  vfprintf(stderr, format, ap);
  fputc('\n', stderr);
  va_end(ap);
  exit(1);
}

const char *vm_kernel(void) {
  static char path[PATH_MAX + 16];
  ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
  if (n <= 0)
    vm_die("cannot find this program: %s", strerror(errno));
  path[n] = 0;
  char *name = strrchr(path, '/') + 1;
  snprintf(name, (size_t)(path + sizeof path - name), "ufork-pc.elf");
  if (access(path, R_OK) != 0)
    vm_die("%s: %s", path, strerror(errno));
  return path;
}

static uint64_t up(uint64_t v) { return (v + PAGE - 1) / PAGE * PAGE; }

static void copy_kernel(FILE *out, Elf64_Ehdr *ehdr, Elf64_Phdr *phdrs, size_t max) {
  char buf[1 << 16];
  const char *kernel = vm_kernel();
  FILE *in = fopen(kernel, "re");
  if (!in || fread(ehdr, sizeof *ehdr, 1, in) != 1 || ehdr->e_phnum > max ||
      fseek(in, (long)ehdr->e_phoff, SEEK_SET) != 0 ||
      fread(phdrs, sizeof *phdrs, ehdr->e_phnum, in) != ehdr->e_phnum)
    vm_die("%s: not a kernel image", kernel);
  rewind(in);
  for (size_t n; (n = fread(buf, 1, sizeof buf, in)) > 0;)
    fwrite(buf, 1, n, out);
  fclose(in);
}

/* The empty segment; *end gets the physical address behind the others. */
static Elf64_Phdr *empty_segment(Elf64_Phdr *p, unsigned n, uint64_t *end) {
  Elf64_Phdr *empty = NULL;
  *end = 0;
  for (unsigned i = 0; i < n; i++) {
    if (p[i].p_type != PT_LOAD)
      continue;
    if (p[i].p_memsz == 0)
      empty = &p[i];
    else if (p[i].p_paddr + p[i].p_memsz > *end)
      *end = up(p[i].p_paddr + p[i].p_memsz);
  }
  if (!empty)
    vm_die("%s: there is no room for a bundle", vm_kernel());
  return empty;
}

static void seek(FILE *out, uint64_t to) {
  if (fseek(out, (long)to, SEEK_SET) != 0)
    vm_die("cannot write the image: %s", strerror(errno));
}

/* What a kernel would refuse to start is not worth an image. */
static void check_image(const char *program) {
  struct uf_image_layout layout;
  struct stat st;
  int fd = open(program, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) != 0)
    vm_die("%s: %s", program, strerror(errno));
  void *bytes =
      st.st_size > 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
  if (bytes == MAP_FAILED)
    vm_die("%s: %s", program, strerror(errno));
  enum uf_elf_error e = uf_elf_parse(bytes, (size_t)st.st_size, &layout);
  if (e != UF_ELF_OK && !(st.st_size > 2 && memcmp(bytes, "#!", 2) == 0))
    vm_die("%s: %s", program, uf_elf_message(e));
  if (bytes)
    munmap(bytes, (size_t)st.st_size);
  close(fd);
}

_Noreturn void vm_image(const struct options *o) {
  Elf64_Ehdr ehdr;
  Elf64_Phdr phdrs[16];
  uint64_t end;
  if (o->boot.program_is_host)
    check_image(o->boot.program);
  FILE *out = fopen(o->output, "we");
  if (!out)
    vm_die("%s: %s", o->output, strerror(errno));
  copy_kernel(out, &ehdr, phdrs, 16);
  Elf64_Phdr *bundle = empty_segment(phdrs, ehdr.e_phnum, &end);
  uint64_t at = up((uint64_t)ftell(out));
  const char *line = vm_cmdline(o, "");
  struct head head = {.magic = BUNDLE_MAGIC, .cmdline_size = strlen(line) + 1};
  uint64_t archive = at + up(sizeof head + head.cmdline_size);
  seek(out, archive);
  archive_write(out, o->boot.root, o->boot.program_is_host ? o->boot.program : NULL,
                vm_guest_program(o));
  uint64_t size = (uint64_t)ftell(out) - at;
  head.initramfs_size = at + size - archive;
  seek(out, at);
  fwrite(&head, sizeof head, 1, out);
  fwrite(line, 1, head.cmdline_size, out);
  bundle->p_offset = at;
  bundle->p_vaddr = bundle->p_paddr = end;
  bundle->p_filesz = bundle->p_memsz = size;
  bundle->p_align = 0; /* none; anything else below 2 MiB is refused by some loaders */
  seek(out, ehdr.e_phoff);
  fwrite(phdrs, sizeof *phdrs, ehdr.e_phnum, out);
  if (fclose(out) != 0)
    vm_die("%s: %s", o->output, strerror(errno));
  exit(0);
}
