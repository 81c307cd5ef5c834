/* SPDX-License-Identifier: MIT */
/* execve of what is not there, not executable, not a program: the errno, and the caller goes on. */
#include "check.h"
#include <sys/stat.h>

static char *const args[] = {"x", NULL}, *const no_env[] = {NULL};

static void file(const char *name, const char *text, mode_t mode) {
  int fd = OK(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  OK(write(fd, text, strlen(text)));
  OK(fchmod(fd, mode));
  OK(close(fd));
}

int main(void) {
  int kept = 5;
  char *volatile wild = (char *)8;
  FAILS(execve("/no/such/file", args, no_env), ENOENT);
  FAILS(execve("", args, no_env), ENOENT);
  FAILS(execve("/tmp", args, no_env), EACCES);
  file("exec.tmp", "just text", 0600);
  FAILS(execve("exec.tmp", args, no_env), EACCES);
  OK(chmod("exec.tmp", 0700));
  FAILS(execve("exec.tmp", args, no_env), ENOEXEC);
  FAILS(execve("exec.tmp/more", args, no_env), ENOTDIR);
  file("exec.tmp", "", 0700);
  FAILS(execve("exec.tmp", args, no_env), ENOEXEC);
  file("exec.tmp", "#!/no/such/interpreter\n", 0700);
  FAILS(execve("exec.tmp", args, no_env), ENOENT);
  static char name[5000];
  memset(name, 'n', sizeof name - 1);
  FAILS(execve(name, args, no_env), ENAMETOOLONG);
  FAILS(execve(wild, args, no_env), EFAULT);
  FAILS(execve("/proc/self/exe", (char **)wild, no_env), EFAULT);
  FAILS(execve("/proc/self/exe", (char *[]){wild, NULL}, no_env), EFAULT);
  OK(unlink("exec.tmp"));
  EXPECT(kept, 5);
  return done();
}
