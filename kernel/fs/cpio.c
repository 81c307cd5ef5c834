/* SPDX-License-Identifier: MIT */
/* Reading an archive; cpio_unpack.c makes files of it. */
#include "kernel/fs/cpio.h"
#include "lib/string.h"

#define HEADER 110u
#define FIELDS 13
#define NAME_SIZE_MAX PATH_MAX

enum { F_INO, F_MODE, F_UID, F_GID, F_NLINK, F_MTIME, F_SIZE, F_DEVMAJOR, F_DEVMINOR };
enum { F_RDEVMAJOR = 9, F_RDEVMINOR, F_NAMESIZE, F_CHECK };

/* Eight hexadecimal digits. */
static bool parse_field(const char *s, u32 *v) {
  *v = 0;
  for (int i = 0; i < 8; i++) {
    char c = s[i], low = (char)(c | 32);
    u32 digit;
    if (c >= '0' && c <= '9')
      digit = (u32)(c - '0');
    else if (low >= 'a' && low <= 'f')
      digit = (u32)(low - 'a' + 10);
    else
      return false;
    *v = *v << 4 | digit;
  }
  return true;
}

static bool all_zero(const u8 *p, u64 n) {
  for (u64 i = 0; i < n; i++)
    if (p[i])
      return false;
  return true;
}

static const char *skip_root(const char *name) {
  for (;;) {
    if (name[0] == '/')
      name++;
    else if (name[0] == '.' && name[1] == '/')
      name += 2;
    else
      return name;
  }
}

int cpio_next(const void *archive, u64 n, u64 *at, struct cpio_entry *e) {
  const char *base = archive;
  u32 f[FIELDS];
  u64 left = *at <= n ? n - *at : 0;
  const char *h = base + *at;
  if (left < HEADER || memcmp(h, "070701", 6) != 0)
    return all_zero((const u8 *)h, left) && *at > 0 ? 0 : -EINVAL;
  for (int i = 0; i < FIELDS; i++)
    if (!parse_field(h + 6 + 8 * i, &f[i]))
      return -EINVAL;
  u64 name_size = f[F_NAMESIZE], data = round_up(HEADER + name_size, 4);
  if (name_size == 0 || name_size > NAME_SIZE_MAX || data > left || f[F_SIZE] > left - data)
    return -EINVAL;
  if (h[HEADER + name_size - 1] != 0 || memchr(h + HEADER, 0, name_size - 1))
    return -EINVAL;
  if (strcmp(h + HEADER, "TRAILER!!!") == 0)
    return 0;
  *e = (struct cpio_entry){.name = skip_root(h + HEADER),
                           .data = h + data,
                           .size = f[F_SIZE],
                           .mode = f[F_MODE],
                           .uid = f[F_UID],
                           .gid = f[F_GID],
                           .nlink = f[F_NLINK],
                           .ino = f[F_INO],
                           .mtime = f[F_MTIME],
                           .rdev_major = f[F_RDEVMAJOR],
                           .rdev_minor = f[F_RDEVMINOR]};
  *at += min_u64(round_up(data + f[F_SIZE], 4), left);
  return 1;
}
