/* SPDX-License-Identifier: MIT */
/*
 * load [-s PAGES] IMAGE [ARGS...]: runs an image on plain Linux, without the kernel. It lays out a
 * region as doc/abi.md says and forwards single-threaded system calls to the host. It isolates
 * nothing: it exists so that the tests of the toolchain depend on the toolchain alone.
 *
 * -s slides the text by so many pages, which tests `.ufork.reloc`.
 */
#define _GNU_SOURCE
#include "ufork/abi.h"

#include <asm/prctl.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096ul
#define STACK_TOP 0xfff00000ul
#define STACK_SIZE 0x1000000ul
#define MMAP_BASE 0x80000000ul

/* Read by user code through %r15, in the order of UF_TCB_*. */
static struct {
  char *base;
  long tp;
  void (*gate)(void);
} tcb;

static char *image;
static long slide;
static long brk_start, brk_now, mmap_now = MMAP_BASE;
long host_sp, user_sp;

void gate(void);
void enter(long entry, char *sp);
long forward(long nr, long *a);

__asm__(".globl gate\n"
        "gate:\n"
        "  mov %rsp, user_sp(%rip)\n"
        "  mov host_sp(%rip), %rsp\n"
        "  push %r11; push %r9; push %r8; push %r10; push %rdx; push %rsi; push %rdi\n"
        "  mov %rax, %rdi\n"
        "  mov %rsp, %rsi\n"
        "  sub $8, %rsp\n"
        "  call forward\n"
        "  add $8, %rsp\n"
        "  pop %rdi; pop %rsi; pop %rdx; pop %r10; pop %r8; pop %r9; pop %r11\n"
        "  mov user_sp(%rip), %rsp\n"
        "  and $0x1fffffe0, %r11d\n"
        "  jmp *%r11\n"
        ".globl enter\n"
        "enter:\n"
        "  mov %rsp, host_sp(%rip)\n"
        "  lea tcb(%rip), %r15\n"
        "  mov %rsi, %rsp\n"
        "  mov %rdi, %rax\n"
        "  xor %edx, %edx\n"
        "  jmp *%rax\n");

static void die(const char *format, ...) {
  va_list ap;
  fputs("load: ", stderr);
  va_start(ap, format);
  vfprintf(stderr, format, ap);
  va_end(ap);
  fputc('\n', stderr);
  exit(126);
}

/* ---- system calls -------------------------------------------------------------------- */

static long host(long nr, const long *a) {
  register long r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
  long ret;
  __asm__ volatile("syscall"
                   : "=a"(ret)
                   : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return ret;
}

static long map(long *a) {
  long len = (a[1] + PAGE - 1) & -PAGE;
  if (!(a[3] & MAP_FIXED)) {
    a[0] = mmap_now;
    mmap_now += len + PAGE;
  }
  long at = a[0];
  a[0] += (long)tcb.base;
  a[3] |= MAP_FIXED;
  long ret = host(SYS_mmap, a);
  return ret < 0 && ret > -4096 ? ret : at;
}

static long set_break(long to) {
  if (to > brk_now) {
    long a[] = {(long)tcb.base + brk_now,
                to - brk_now,
                PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                -1,
                0};
    if (to >= (long)MMAP_BASE || host(SYS_mmap, a) < 0)
      return brk_now;
    brk_now = to;
  }
  return brk_now;
}

static long vectored(long nr, long *a) {
  struct iovec own[16], *user = (void *)(tcb.base + a[1]);
  if (a[2] > 16)
    return -EINVAL;
  for (long i = 0; i < a[2]; i++) {
    own[i].iov_base = tcb.base + (long)user[i].iov_base;
    own[i].iov_len = user[i].iov_len;
  }
  a[1] = (long)own;
  return host(nr, a);
}

/* Which arguments of a forwarded call are pointers, as a bit mask. */
static const struct {
  short nr;
  unsigned char pointers;
} calls[] = {
    {SYS_read, 2},      {SYS_write, 2},      {SYS_open, 1},          {SYS_close, 0},
    {SYS_stat, 3},      {SYS_fstat, 2},      {SYS_lstat, 3},         {SYS_lseek, 0},
    {SYS_pread64, 2},   {SYS_pwrite64, 2},   {SYS_access, 1},        {SYS_getcwd, 1},
    {SYS_unlink, 1},    {SYS_getpid, 0},     {SYS_clock_gettime, 2}, {SYS_getrandom, 1},
    {SYS_exit, 0},      {SYS_exit_group, 0}, {SYS_fcntl, 0},         {SYS_uname, 1},
    {SYS_getrusage, 2}, {SYS_nanosleep, 3},  {SYS_ftruncate, 0},     {SYS_fsync, 0},
    {SYS_geteuid, 0},   {SYS_getuid, 0},     {SYS_readlink, 3},      {SYS_gettimeofday, 3},
    {SYS_rename, 3},    {SYS_newfstatat, 6}, {SYS_ioctl, 4},         {SYS_fdatasync, 0},
};

long forward(long nr, long *a) {
  switch (nr) {
  case SYS_arch_prctl:
    if (a[0] == ARCH_SET_FS)
      tcb.tp = a[1];
    return 0;
  case SYS_brk:
    return set_break(a[0]);
  case SYS_mmap:
    return map(a);
  case SYS_munmap:
  case SYS_madvise:
  case SYS_mprotect:
    a[0] += (long)tcb.base;
    return host(nr, a);
  case SYS_writev:
  case SYS_readv:
    return vectored(nr, a);
  case SYS_set_tid_address:
    return 1;
  case SYS_rt_sigaction:
  case SYS_rt_sigprocmask:
    return 0;
  }
  for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
    if (calls[i].nr == nr) {
      for (int k = 0; k < 6; k++)
        if (calls[i].pointers & 1 << k && a[k])
          a[k] += (long)tcb.base;
      return host(nr, a);
    }
  return -ENOSYS;
}

/* ---- loading ------------------------------------------------------------------------- */

static void *map_fixed(char *at, size_t size, int prot) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
  char *p = mmap(at, size, prot, flags, -1, 0);
  if (p == MAP_FAILED)
    die("cannot map %zu bytes at %p", size, (void *)at);
  return p;
}

static void reserve_region(void) {
  char *p =
      mmap(NULL, 3 * UF_REGION_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    die("cannot reserve a region");
  tcb.base = (char *)(((unsigned long)p + UF_REGION_ALIGN - 1) & -UF_REGION_ALIGN);
}

/* Where a linked address is now. */
static char *place(unsigned long vaddr) {
  return vaddr < UF_DATA_LO ? (char *)vaddr + slide : tcb.base + vaddr;
}

static void load_segment(const Elf64_Phdr *ph) {
  char *at = place(ph->p_vaddr), *page = (char *)((unsigned long)at & -PAGE);
  size_t size = ((size_t)(at - page) + ph->p_memsz + PAGE - 1) & -PAGE;
  map_fixed(page, size, PROT_READ | PROT_WRITE);
  memcpy(at, image + ph->p_offset, ph->p_filesz);
  if (ph->p_flags & PF_W)
    brk_start = brk_now = (long)(page - tcb.base + (long)size);
}

static void relocate(const Elf64_Ehdr *eh) {
  const Elf64_Shdr *sh = (void *)(image + eh->e_shoff);
  const char *names = image + sh[eh->e_shstrndx].sh_offset;
  for (int i = 0; i < eh->e_shnum; i++) {
    if (strcmp(names + sh[i].sh_name, UF_RELOC_SECTION) != 0)
      continue;
    const struct uf_reloc_head *head = (void *)(image + sh[i].sh_offset);
    const struct uf_reloc *r = (const void *)(head + 1);
    for (uint32_t k = 0; k < head->count; k++) {
      char *word = place(r[k].vaddr);
      bool wide = r[k].type == UF_RELOC_ADD64 || r[k].type == UF_RELOC_SUB64;
      bool minus = r[k].type == UF_RELOC_SUB32 || r[k].type == UF_RELOC_SUB64;
      long value = 0;
      memcpy(&value, word, wide ? 8 : 4);
      value += minus ? -slide : slide;
      memcpy(word, &value, wide ? 8 : 4);
    }
    return;
  }
  die("no " UF_RELOC_SECTION);
}

static char *push(char **sp, const void *bytes, size_t n) {
  *sp -= n;
  return memcpy(*sp, bytes, n);
}

static char *build_stack(const Elf64_Ehdr *eh, int argc, char **argv) {
  char *sp =
      (char *)map_fixed(tcb.base + STACK_TOP - STACK_SIZE, STACK_SIZE, PROT_READ | PROT_WRITE) +
      STACK_SIZE;
  long words[64], n = 0;
  words[n++] = argc;
  for (int i = 0; i < argc && n < 32; i++)
    words[n++] = push(&sp, argv[i], strlen(argv[i]) + 1) - tcb.base;
  sp = (char *)((unsigned long)sp & -16ul);
  words[n++] = 0;
  words[n++] = 0; /* no environment */
  size_t phdrs_size = eh->e_phnum * sizeof(Elf64_Phdr);
  long phdr = push(&sp, image + eh->e_phoff, phdrs_size) - tcb.base;
  const long aux[] = {
      AT_PHDR, phdr,      AT_PHENT, sizeof(Elf64_Phdr), AT_PHNUM,          eh->e_phnum, AT_PAGESZ,
      PAGE,    AT_RANDOM, phdr,     AT_ENTRY,           (long)eh->e_entry, AT_NULL,     0};
  memcpy(words + n, aux, sizeof aux);
  n += (long)(sizeof aux / sizeof *aux);
  sp = (char *)((unsigned long)(sp - n * 8) & -16ul);
  memcpy(sp, words, (size_t)n * 8);
  return sp;
}

static void protect(const Elf64_Phdr *ph, int n) {
  for (int i = 0; i < n; i++)
    if (ph[i].p_type == PT_LOAD && (ph[i].p_flags & PF_X) &&
        mprotect(place(ph[i].p_vaddr), ph[i].p_memsz, PROT_READ | PROT_EXEC) < 0)
      die("cannot make text executable");
}

int main(int argc, char **argv) {
  if (argc > 2 && strcmp(argv[1], "-s") == 0) {
    slide = atol(argv[2]) * (long)PAGE;
    argv += 2;
    argc -= 2;
  }
  int fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
  off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
  image = size > 0 ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
  if (image == MAP_FAILED)
    die("cannot read the image");
  close(fd);
  const Elf64_Ehdr *eh = (void *)image;
  const Elf64_Phdr *ph = (void *)(image + eh->e_phoff);
  reserve_region();
  for (int i = 0; i < eh->e_phnum; i++)
    if (ph[i].p_type == PT_LOAD)
      load_segment(&ph[i]);
  relocate(eh);
  protect(ph, eh->e_phnum);
  char *sp = build_stack(eh, argc - 1, argv + 1);
  tcb.gate = gate;
  if (syscall(SYS_arch_prctl, ARCH_SET_GS, tcb.base) < 0)
    die("cannot set %%gs");
  enter((long)eh->e_entry + slide, sp);
}
