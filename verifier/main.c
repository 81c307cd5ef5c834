/* SPDX-License-Identifier: MIT */
/* ufork-verify: checks images as the kernel does before it runs them. */
#include "elf.h"
#include "verifier.h"
#include <Zydis/Zydis.h>
#include <assert.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <ufork/abi.h>
#include <unistd.h>

enum { ACCEPTED = 0, REFUSED = 1, FOREIGN = 2 };

struct options {
  bool all;
  bool quiet;
  bool bench;
};

static const char usage[] =
    "usage: ufork-verify [-a] [-q] [--bench] IMAGE...\n"
    "Checks that the machine code of uFork images cannot leave its sandbox.\n"
    "  -a, --all    list every violation, not only the first\n"
    "  -q, --quiet  print nothing, only exit\n"
    "  --bench      also measure the speed of the check\n"
    "Exit status: 0 all accepted; 1 an image is refused; 2 a file is not a uFork image.\n";

/* ---- files -------------------------------------------------------------------------- */

struct file {
  void *bytes;
  size_t size;
};

static bool open_file(const char *path, struct file *f) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
  f->size = ok ? (size_t)st.st_size : 0;
  f->bytes = NULL;
  if (ok && f->size != 0) {
    f->bytes = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
    ok = f->bytes != MAP_FAILED;
  }
  close(fd);
  return ok;
}

static void close_file(struct file *f) {
  if (f->bytes)
    munmap(f->bytes, f->size);
}

/* ---- reports ------------------------------------------------------------------------ */

struct listing {
  const char *path;
  const struct ufv_text *text;
  const struct options *options;
};

/* Prints bytes and disassembly of [offset, offset+length); an undecodable byte as (bad). */
static void print_code(const struct ufv_text *t, uint32_t offset, uint32_t length) {
  uint32_t end = offset + length;
  do {
    ZydisDisassembledInstruction d;
    uint32_t n = 1;
    bool ok = ZYAN_SUCCESS(ZydisDisassembleATT(ZYDIS_MACHINE_MODE_LONG_64, t->vaddr + offset,
                                               t->code + offset, t->size - offset, &d));
    if (ok)
      n = d.info.length;
    char hex[3 * 15 + 1] = "";
    for (uint32_t i = 0; i < n; i++)
      snprintf(hex + 3 * i, 4, "%02x ", t->code[offset + i]);
    printf("  %08x:  %-31s %s\n", t->vaddr + offset, hex, ok ? d.text : "(bad)");
    offset += n;
  } while (offset < end);
}

static bool print_violation(void *context, const struct ufv_error *e) {
  struct listing *l = context;
  if (l->options->quiet)
    return false;
  printf("%s: %08x: %s (rule %s, ABI section %s)\n", l->path, l->text->vaddr + e->offset,
         ufv_rule_text(e->rule), ufv_rule_name(e->rule), ufv_rule_section(e->rule));
  if (e->rule == UFV_TARGET)
    printf("  goes to %08llx\n",
           (unsigned long long)l->text->vaddr + (unsigned long long)e->target);
  if (e->rule != UFV_SHAPE)
    print_code(l->text, e->offset, e->length);
  return l->options->all;
}

/* Of processor time: a busy machine does not slow it down. */
static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Best of repeated checks for about half a second. */
static void bench(const struct ufv_text *t, uint8_t *safe, uint8_t *scratch) {
  double best = 1e9, start = seconds();
  do {
    struct ufv_error e;
    double before = seconds();
    ufv_check(t, safe, scratch, &e);
    double took = seconds() - before;
    best = took < best ? took : best;
  } while (seconds() - start < 0.5);
  printf("bench: %u bytes of text in %.0f us, %.0f MB/s\n", t->size, best * 1e6,
         t->size / best / 1e6);
}

/* ---- one image ------------------------------------------------------------------------ */

static void *allocate(size_t size) {
  void *p = malloc(size);
  if (!p) {
    fprintf(stderr, "ufork-verify: out of memory\n");
    exit(REFUSED);
  }
  return p;
}

/* Checks the text as it will be after sliding by `slide`. Returns the number of violations. */
static size_t verify_text(const char *path, const struct file *f,
                          const struct uf_image_layout *layout, uint32_t slide,
                          const struct options *o) {
  const struct uf_segment *s = &layout->text;
  uint8_t *code = allocate(s->memsz);
  uint8_t *maps = allocate(2 * ufv_bitmap_size(s->memsz));
  uint8_t *scratch = maps + ufv_bitmap_size(s->memsz);
  const struct ufv_text t = {code, s->memsz, s->vaddr + slide};
  struct listing l = {path, &t, o};

  assert(f->bytes); /* the parser has found headers in it */
  memcpy(code, (const uint8_t *)f->bytes + s->offset, s->filesz);
  uf_elf_relocate(layout, f->bytes, s, code, slide);
  size_t broken = ufv_scan(&t, maps, scratch, print_violation, &l);
  if (o->bench && broken == 0 && slide == 0)
    bench(&t, maps, scratch);
  free(maps);
  free(code);
  return broken;
}

/* The kernel checks text where it puts it. Relocations must not make a difference, but a bad
   image's may: so as linked, and slid by as much as fits up to 16 MiB. */
static int verify_image(const char *path, const struct file *f,
                        const struct uf_image_layout *layout, const struct options *o) {
  uint32_t room = UF_WINDOW_HI - layout->text.vaddr - layout->text.memsz;
  size_t broken = verify_text(path, f, layout, 0, o);
  if (broken == 0)
    broken = verify_text(path, f, layout, room < (16 << 20) ? room : 16 << 20, o);
  if (!o->quiet && broken == 0)
    printf("%s: accepted, %u bytes of text\n", path, layout->text.memsz);
  else if (!o->quiet && o->all)
    printf("%s: refused, %zu violations\n", path, broken);
  return broken ? REFUSED : ACCEPTED;
}

static int verify_file(const char *path, const struct options *o) {
  struct uf_image_layout layout;
  struct file f;
  if (!open_file(path, &f)) {
    fprintf(stderr, "ufork-verify: %s: cannot read it as a regular file\n", path);
    return FOREIGN;
  }
  enum uf_elf_error e = uf_elf_parse(f.bytes, f.size, &layout);
  int result;
  if (e) {
    result = e <= UF_ELF_LAST_FOREIGN ? FOREIGN : REFUSED;
    if (!o->quiet)
      printf("%s: %s: %s\n", path, result == FOREIGN ? "not a uFork image" : "refused",
             uf_elf_message(e));
  } else {
    result = verify_image(path, &f, &layout, o);
  }
  close_file(&f);
  return result;
}

int main(int argc, char **argv) {
  static const struct option longs[] = {{"all", no_argument, NULL, 'a'},
                                        {"quiet", no_argument, NULL, 'q'},
                                        {"bench", no_argument, NULL, 'b'},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};
  struct options o = {false, false, false};
  int c, worst = ACCEPTED;

  while ((c = getopt_long(argc, argv, "aqh", longs, NULL)) != -1) {
    switch (c) {
    case 'a':
      o.all = true;
      break;
    case 'q':
      o.quiet = true;
      break;
    case 'b':
      o.bench = true;
      break;
    case 'h':
      fputs(usage, stdout);
      return ACCEPTED;
    default:
      fputs(usage, stderr);
      return FOREIGN;
    }
  }
  if (optind == argc) {
    fputs(usage, stderr);
    return FOREIGN;
  }
  for (; optind < argc; optind++) {
    int result = verify_file(argv[optind], &o);
    worst = result > worst ? result : worst;
  }
  return worst;
}
