/* SPDX-License-Identifier: MIT */
/*
 * verifier-lengths IMAGE...: decodes the text of real images side by side with GNU objdump. Both
 * must see the same instructions.
 */
#include "../decode.h"
#include "../elf.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t *map(const char *path, size_t *size) {
  struct stat st;
  int fd = open(path, O_RDONLY);
  if (fd < 0 || fstat(fd, &st) != 0)
    return NULL;
  *size = (size_t)st.st_size;
  void *p = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  return p == MAP_FAILED ? NULL : p;
}

/* Address of the next instruction that objdump prints; 0 at the end. */
static uint32_t next_listed(FILE *listing) {
  char line[512];
  unsigned long address;
  char colon;
  while (fgets(line, sizeof line, listing))
    if (line[0] == ' ' && sscanf(line, " %lx%c", &address, &colon) == 2 && colon == ':')
      return (uint32_t)address;
  return 0;
}

/* objdump prints fwait and the instruction after it as one. */
static bool may_merge(const uint8_t *code) { return *code == 0x9b; }

/* Returns the number of instructions compared, or -1. */
static long compare(const uint8_t *text, uint32_t size, uint32_t vaddr, FILE *listing) {
  long count = 0;
  uint32_t off = 0, listed = next_listed(listing);
  while (off < size) {
    struct ufd_insn i;
    enum ufv_rule e = ufd_decode(text + off, size - off, &i);
    if (e != UFV_OK || listed != vaddr + off) {
      printf("at %x: %s, objdump is at %x\n", vaddr + off, ufv_rule_name(e), listed);
      return -1;
    }
    bool merged = may_merge(text + off);
    off += i.len;
    count++;
    listed = next_listed(listing);
    if (merged && off < size && listed != vaddr + off &&
        ufd_decode(text + off, size - off, &i) == UFV_OK) {
      off += i.len;
      count++;
    }
  }
  return count;
}

static long check_image(const char *path) {
  struct uf_image_layout l;
  size_t size;
  const uint8_t *file = map(path, &size);
  if (!file || uf_elf_parse(file, size, &l))
    return -1;
  char command[4096];
  snprintf(command, sizeof command, "objdump -dwz --no-show-raw-insn '%s'", path);
  FILE *listing = popen(command, "r");
  if (!listing)
    return -1;
  long n = compare(file + l.text.offset, l.text.memsz, l.text.vaddr, listing);
  while (next_listed(listing)) {
  }
  pclose(listing);
  return n;
}

int main(int argc, char **argv) {
  unsigned passed = 0, failed = 0;
  for (int k = 1; k < argc; k++) {
    long n = check_image(argv[k]);
    printf("%s: %ld instructions, %s\n", argv[k], n, n < 0 ? "objdump disagrees" : "same lengths");
    *(n < 0 ? &failed : &passed) += 1;
  }
  printf("verifier-lengths: %u passed, %u failed\n", passed, failed);
  return failed != 0;
}
