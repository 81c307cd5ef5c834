/* SPDX-License-Identifier: MIT */
#include "plat/hosted/vm/vm.h"
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
  const char *name; /* without leading slash */
  unsigned mode;
  uint64_t size;
  long mtime;
};

static unsigned next_ino = 1;

static void pad(FILE *out, uint64_t n) {
  static const char zeros[4];
  if (n % 4)
    fwrite(zeros, 1, 4 - n % 4, out);
}

static void header(FILE *out, const struct entry *e) {
  size_t name = strlen(e->name) + 1;
  if (e->size > UINT32_MAX)
    vm_die("%s is too large for an initramfs", e->name);
  fprintf(out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", next_ino++, e->mode, 0,
          0, 1, (unsigned)e->mtime, (unsigned)e->size, 0, 0, 0, 0, (unsigned)name, 0);
  fwrite(e->name, 1, name, out);
  pad(out, 110 + name);
}

static void copy_file(FILE *out, const char *path, struct entry *e) {
  char buf[1 << 16];
  FILE *in = fopen(path, "re");
  if (!in)
    vm_die("%s: %s", path, strerror(errno));
  header(out, e);
  uint64_t left = e->size;
  while (left > 0) {
    size_t n = fread(buf, 1, left < sizeof buf ? left : sizeof buf, in);
    if (n == 0)
      vm_die("%s: it changed while it was read", path);
    fwrite(buf, 1, n, out);
    left -= n;
  }
  pad(out, e->size);
  fclose(in);
}

static void add_link(FILE *out, const char *path, struct entry *e) {
  char target[4096];
  ssize_t n = readlink(path, target, sizeof target);
  if (n < 0)
    vm_die("%s: %s", path, strerror(errno));
  e->size = (uint64_t)n;
  header(out, e);
  fwrite(target, 1, (size_t)n, out);
  pad(out, e->size);
}

/* What only others may read is no reason not to start. */
static void left_out(const char *path, int err) {
  if (err != EACCES)
    vm_die("%s: %s", path, strerror(err));
  fprintf(stderr, "ufork: %s: cannot be read, left out of the root file system\n", path);
}

static void add(FILE *out, const FTSENT *f, const char *name) {
  struct entry e = {.name = name, .mode = f->fts_statp->st_mode, .mtime = f->fts_statp->st_mtime};
  switch (f->fts_info) {
  case FTS_D:
    header(out, &e);
    break;
  case FTS_F:
    if (access(f->fts_accpath, R_OK) != 0) {
      left_out(f->fts_path, errno);
      break;
    }
    e.size = (uint64_t)f->fts_statp->st_size;
    copy_file(out, f->fts_accpath, &e);
    break;
  case FTS_SL:
  case FTS_SLNONE:
    add_link(out, f->fts_accpath, &e);
    break;
  case FTS_DNR:
    left_out(f->fts_path, f->fts_errno);
    break;
  case FTS_ERR:
  case FTS_NS:
    vm_die("%s: %s", f->fts_path, strerror(f->fts_errno));
  default:
    break; /* sockets, FIFOs and devices are not taken along */
  }
}

static void add_tree(FILE *out, const char *root) {
  char *copy = strdup(root);
  char *const roots[] = {copy, NULL};
  FTS *fts = fts_open(roots, FTS_PHYSICAL, NULL);
  if (!fts)
    vm_die("%s: %s", root, strerror(errno));
  for (FTSENT *f; (f = fts_read(fts));)
    if (f->fts_level > 0)
      add(out, f, f->fts_path + strlen(root) + 1);
  fts_close(fts);
  free(copy);
}

static void add_program(FILE *out, const char *program, const char *guest) {
  struct stat st;
  if (stat(program, &st) != 0)
    vm_die("%s: %s", program, strerror(errno));
  struct entry e = {.name = guest + 1,
                    .mode = S_IFREG | 0755,
                    .size = (uint64_t)st.st_size,
                    .mtime = st.st_mtime};
  copy_file(out, program, &e);
}

void archive_write(FILE *out, const char *root, const char *program, const char *guest) {
  if (root)
    add_tree(out, root);
  if (program)
    add_program(out, program, guest);
  struct entry end = {.name = "TRAILER!!!"};
  header(out, &end);
  if (fflush(out) != 0 || ferror(out))
    vm_die("cannot write the initramfs: %s", strerror(errno));
}
