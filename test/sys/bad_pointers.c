/* SPDX-License-Identifier: MIT */
/* Wild pointers in system calls are EFAULT: unmapped, past every end, read-only, non-canonical. */
#include "check.h"
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define W 0x5a5a /* stands for the wild pointer */

struct call {
  const char *name;
  long number, args[6];
};

static int p[2], file, sock, self, pty, shm, sem, msg;
static char valid[8192];

#define CALL(name, ...)                                                                            \
  {                                                                                                \
#name, SYS_##name, { __VA_ARGS__ }                                                             \
  }
#define V ((long)valid)
#define HERE AT_FDCWD

static void try_all(long wild, int only_writes) {
  const struct call into[] = {/* calls that write through the pointer */
                              CALL(pipe, W),
                              CALL(pipe2, W, 0),
                              CALL(uname, W),
                              CALL(getcwd, W, 4096),
                              CALL(stat, (long)"/", W),
                              CALL(fstat, 0, W),
                              CALL(newfstatat, HERE, (long)"/", W, 0),
                              CALL(clock_gettime, CLOCK_REALTIME, W),
                              CALL(getrlimit, 7, W),
                              CALL(prlimit64, 0, 7, 0, W),
                              CALL(getrusage, 0, W),
                              CALL(sysinfo, W),
                              CALL(times, W),
                              CALL(getrandom, W, 16, 0),
                              CALL(read, file, W, 10),
                              CALL(pread64, file, W, 10, 0),
                              CALL(getitimer, 0, W),
                              CALL(rt_sigpending, W, 8),
                              CALL(rt_sigaction, SIGUSR1, 0, W, 8),
                              CALL(rt_sigprocmask, 0, 0, W, 8),
                              CALL(readlink, (long)"/proc/self/exe", W, 100),
                              CALL(getsockname, sock, W, V),
                              CALL(socketpair, 1, 1, 0, W),
                              CALL(ioctl, pty, 0x80045430 /* TIOCGPTN */, W),
                              CALL(ioctl, pty, 0x5401 /* TCGETS */, W),
                              CALL(shmctl, shm, 2 /* IPC_STAT */, W),
                              CALL(shmctl, 0, 3 /* IPC_INFO */, W),
                              CALL(semctl, sem, 0, 2, W),
                              CALL(semctl, sem, 0, 13 /* GETALL */, W),
                              CALL(msgctl, msg, 2, W),
                              CALL(timerfd_gettime, 99, W)};
  const struct call from[] = {/* calls that read through it */
                              CALL(open, W, O_RDONLY),
                              CALL(openat, HERE, W, O_RDONLY),
                              CALL(chdir, W),
                              CALL(mkdir, W, 0700),
                              CALL(rmdir, W),
                              CALL(unlink, W),
                              CALL(rename, W, V),
                              CALL(rename, (long)"/x", W),
                              CALL(link, W, V),
                              CALL(symlink, W, V),
                              CALL(chmod, W, 0),
                              CALL(access, W, 0),
                              CALL(readlink, W, V, 100),
                              CALL(truncate, W, 0),
                              CALL(execve, W, 0, 0),
                              CALL(write, p[1], W, 10),
                              CALL(pwrite64, file, W, 10, 0),
                              CALL(writev, p[1], W, 2),
                              CALL(readv, file, W, 2),
                              CALL(nanosleep, W, 0),
                              CALL(setitimer, 0, W, 0),
                              CALL(poll, W, 3, 0),
                              CALL(ppoll, W, 3, 0, 0, 8),
                              CALL(select, 64, W, 0, 0, 0),
                              CALL(rt_sigaction, SIGUSR1, W, 0, 8),
                              CALL(rt_sigprocmask, SIG_BLOCK, W, 0, 8),
                              CALL(sigaltstack, W, 0),
                              CALL(rt_sigtimedwait, W, 0, 0, 8),
                              CALL(futex, W, 128, 0, 0, 0, 0),
                              CALL(bind, sock, W, 16),
                              CALL(connect, sock, W, 16),
                              CALL(sendto, sock, W, 5, 0, 0, 0),
                              CALL(sendmsg, sock, W, 0),
                              CALL(recvmsg, sock, W, 0),
                              CALL(ioctl, pty, 0x40045431 /* TIOCSPTLCK */, W),
                              CALL(ioctl, pty, 0x5414 /* TIOCSWINSZ */, W),
                              CALL(shmctl, shm, 1 /* IPC_SET */, W),
                              CALL(semctl, sem, 0, 17 /* SETALL */, W),
                              CALL(semop, sem, W, 1),
                              CALL(semtimedop, sem, V, 1, W),
                              CALL(msgctl, msg, 1, W),
                              CALL(msgsnd, msg, W, 10, 0),
                              CALL(setrlimit, 7, W),
                              CALL(signalfd, -1, W, 8),
                              CALL(signalfd4, -1, W, 8, 0),
                              CALL(pidfd_send_signal, self, 0, W, 0),
                              CALL(utimensat, HERE, (long)"/", W, 0)};
  const struct call *tables[] = {into, from};
  const size_t counts[] = {sizeof into / sizeof *into, sizeof from / sizeof *from};
  for (int t = 0; t < (only_writes ? 1 : 2); t++)
    for (size_t i = 0; i < counts[t]; i++) {
      const struct call *c = &tables[t][i];
      long a[6];
      for (int k = 0; k < 6; k++)
        a[k] = c->args[k] == W ? wild : c->args[k];
      OK(lseek(file, 0, SEEK_SET));
      errno = 0;
      long result = syscall(c->number, a[0], a[1], a[2], a[3], a[4], a[5]);
      int want = c->number == SYS_timerfd_gettime ? EBADF : EFAULT;
      if (result != -1 || errno != want) {
        dprintf(2, "%s with %#lx: ", c->name, wild);
        check_fail(__FILE__, __LINE__, "EFAULT", result);
      }
    }
}

int main(void) {
  OK(pipe(p));
  file = OK(open("bad.tmp", O_RDWR | O_CREAT, 0600));
  EXPECT(write(file, valid, sizeof valid), sizeof valid);
  self = OK((int)syscall(SYS_pidfd_open, getpid(), 0));
  pty = OK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
  shm = OK((int)syscall(SYS_shmget, 0, 4096, 0600));
  sem = OK((int)syscall(SYS_semget, 0, 4, 0600));
  msg = OK((int)syscall(SYS_msgget, 0, 0600));
  int s[2];
  OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
  sock = s[0];
  strcpy(valid, "/no/such");
  char *hole =
      OK((char *)mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  OK(munmap(hole, 8192));
  static const long wild[] = {0x10, 0xff8, 0x7ffffffffff0, -4096, -8, 0x4141414141414140};
  for (size_t i = 0; i < sizeof wild / sizeof *wild; i++)
    try_all(wild[i], 0);
  try_all((long)hole, 0);
  char *readonly = OK((char *)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  try_all((long)readonly, 1);
  char *none = OK((char *)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  try_all((long)none, 0);
  OK(syscall(SYS_shmctl, shm, 0, 0)); /* IPC_RMID */
  OK(syscall(SYS_semctl, sem, 0, 0, 0));
  OK(syscall(SYS_msgctl, msg, 0, 0));
  OK(unlink("bad.tmp"));
  return done();
}
