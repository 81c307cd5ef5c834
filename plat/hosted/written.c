/* SPDX-License-Identifier: MIT */
#include "plat/hosted/written.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/pagemap.h"

/* userfaultfd with features WP_ASYNC and WP_UNPOPULATED: Linux 6.7. */
#define NR_USERFAULTFD 323
#define USER_MODE_ONLY 1u
#define O_CLOEXEC 02000000u
#define UFFD_API 0xaaUL
#define FEATURES (1UL << 15 | 1UL << 13)
#define UFFDIO_API 0xc018aa3fu
#define UFFDIO_REGISTER 0xc020aa00u
#define UFFDIO_WRITEPROTECT 0xc018aa06u
#define MODE_WP 2u /* to register for */
#define PROTECT 1u /* the pages */

static int fd = -1;
static bool counted; /* faults are */

static int protect(u64 start, u64 end, u64 mode) {
  struct {
    u64 start, len, mode;
  } range = {start, end - start, mode};
  return (int)LX_RETRY(lx3(ioctl, fd, UFFDIO_WRITEPROTECT, &range));
}

static int unprotect(void *arg, u64 from, u64 to) {
  (void)arg;
  return protect(from, to, 0);
}

bool written_track(u64 start, u64 end) {
  struct {
    u64 start, len, mode, ioctls;
  } range = {start, end - start, MODE_WP, 0};
  return fd >= 0 && lx3(ioctl, fd, UFFDIO_REGISTER, &range) == 0 &&
         protect(start, end, PROTECT) == 0;
}

bool written_follow(u64 start, u64 end) {
  return written_track(start, end) && pagemap_each_private(start, end, unprotect, NULL, NULL) == 0;
}

#define RUSAGE_SELF 0
#define MINOR_FAULTS 8 /* words of struct rusage */
#define MAJOR_FAULTS 9
#define RUSAGE_WORDS 18

u64 host_faults(void) {
  u64 usage[RUSAGE_WORDS] = {0};
  lx2(getrusage, RUSAGE_SELF, usage);
  return usage[MINOR_FAULTS] + usage[MAJOR_FAULTS];
}

u64 written_faults(void) {
  static u64 number; /* atomic */
  return counted ? host_faults() : __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED);
}

/* ---- does the host do that? ------------------------------------------------------------------ */

static u64 pages_written(u64 start, u64 end) {
  u64 pages = 0;
  return pagemap_each_written(start, end, NULL, NULL, &pages) ? UINT64_MAX : pages;
}

/* Three pages, of which one is read and one written; then that one, too, which has been read. */
static bool works(u64 at) {
  u64 end = at + 3 * PAGE_SIZE;
  volatile u8 *p = (volatile u8 *)at;
  if (!written_track(at, end))
    return false;
  u64 before = host_faults();
  (void)p[0];
  u64 read = host_faults();
  p[PAGE_SIZE] = 1;
  u64 wrote = host_faults();
  if (pages_written(at, end) != 1 || pages_written(at + PAGE_SIZE, end) != 1)
    return false;
  u64 again = host_faults();
  p[0] = 1;
  counted = read > before && wrote > read && host_faults() > again;
  return true;
}

static bool probe(void) {
  i64 file = lx2(memfd_create, "ufork-probe", LX_MFD_CLOEXEC);
  if (file < 0)
    return false;
  lx2(ftruncate, file, 3 * PAGE_SIZE);
  i64 p = lx6(mmap, NULL, 3 * PAGE_SIZE, LX_PROT_READ | LX_PROT_WRITE, LX_MAP_PRIVATE, file, 0);
  bool ok = !lx_failed(p) && works((u64)p);
  if (!lx_failed(p))
    lx2(munmap, p, 3 * PAGE_SIZE);
  lx1(close, file);
  return ok;
}

void written_init(void) {
  struct {
    u64 api, features, ioctls;
  } api = {UFFD_API, FEATURES, 0};
  i64 ret = lx_call6(NR_USERFAULTFD, O_CLOEXEC | USER_MODE_ONLY, 0, 0, 0, 0, 0);
  if (ret < 0)
    return;
  fd = (int)ret;
  if (lx3(ioctl, fd, UFFDIO_API, &api) == 0 && probe())
    return;
  lx1(close, fd);
  fd = -1;
}
