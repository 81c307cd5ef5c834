// SPDX-License-Identifier: MIT
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64 /* descriptors that one removal may hold */

static int remove_at(int parent, const char *name, int depth);

/* Everything in the directory `fd`, which is closed. */
static int empty(int fd, int depth) {
  DIR *dir = fdopendir(fd);
  if (!dir) {
    int error = errno;
    close(fd);
    return -error;
  }
  int result = 0;
  for (struct dirent *e; (e = readdir(dir));)
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
      int error = remove_at(dirfd(dir), e->d_name, depth + 1);
      if (error)
        result = error;
    }
  closedir(dir);
  return result;
}

static int remove_at(int parent, const char *name, int depth) {
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
    return 0;
  if (errno == ENOTDIR)
    return unlinkat(parent, name, 0) ? -errno : 0;
  if ((errno != ENOTEMPTY && errno != EEXIST) || depth == DEPTH_MAX)
    return -errno;
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == EACCES && geteuid() != 0) { /* a function under our own user */
    fchmodat(parent, name, 0700, 0);
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  }
  if (fd < 0)
    return -errno;
  empty(fd, depth);
  return unlinkat(parent, name, AT_REMOVEDIR) ? -errno : 0;
}

int tree_remove(const char *path) { return remove_at(AT_FDCWD, path, 0); }
