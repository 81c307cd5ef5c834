/* SPDX-License-Identifier: MIT */
/*
 * The text window: one memory file, as large as the window, of which images' text is mapped read
 * and execute at its own offset. Code is written through the file, so no address is ever both
 * writable and executable.
 */
#include "include/ufork/abi.h"
#include "kernel/errno.h"
#include "plat/hosted/hosted.h"
#include "plat/hosted/linux.h"

static int window_fd = -1;

static i64 reserve(u64 addr, u64 size, int fixed) {
  return lx6(mmap, addr, size, LX_PROT_NONE,
             LX_MAP_PRIVATE | LX_MAP_ANONYMOUS | LX_MAP_NORESERVE | fixed, -1, 0);
}

int text_init(void) {
  i64 p = reserve(UF_WINDOW_LO, UF_WINDOW_HI - UF_WINDOW_LO, LX_MAP_FIXED_NOREPLACE);
  if (p != UF_WINDOW_LO)
    return lx_failed(p) ? (int)p : -EEXIST;
  i64 fd = lx2(memfd_create, "ufork-text", LX_MFD_CLOEXEC);
  if (fd < 0)
    return (int)fd;
  window_fd = (int)fd;
  return (int)lx2(ftruncate, fd, UF_WINDOW_HI);
}

int plat_text_install(u32 addr, const void *code, size_t size) {
  for (size_t done = 0; done < size;) {
    i64 n = LX_RETRY(lx4(pwrite64, window_fd, (const char *)code + done, size - done, addr + done));
    if (n <= 0)
      return n < 0 ? (int)n : -EIO;
    done += (size_t)n;
  }
  i64 p = lx6(mmap, addr, size, LX_PROT_READ | LX_PROT_EXEC,
              LX_MAP_SHARED | LX_MAP_FIXED | LX_MAP_POPULATE, window_fd, addr);
  return lx_failed(p) ? (int)p : 0;
}

void plat_text_remove(u32 addr, size_t size) {
  reserve(addr, size, LX_MAP_FIXED);
  lx4(fallocate, window_fd, LX_FALLOC_FL_PUNCH_HOLE | LX_FALLOC_FL_KEEP_SIZE, addr, size);
}
