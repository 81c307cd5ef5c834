/* SPDX-License-Identifier: MIT */
/*
 * Raw system calls of the Linux host, inline. Code that runs between a µprocess's gate call and
 * its return must not touch vector registers (they still hold the µprocess's values), so it cannot
 * use libc; the host's kernel preserves them across a system call. Results are -errno.
 *
 * Constants carry an LX_ prefix: the kernel core has its own O_*, SOL_*... with the guest's values.
 */
#ifndef UFORK_HOSTED_LINUX_H
#define UFORK_HOSTED_LINUX_H

#include "lib/types.h"

enum {
  LX_read = 0,
  LX_write = 1,
  LX_close = 3,
  LX_fstat = 5,
  LX_poll = 7,
  LX_lseek = 8,
  LX_mmap = 9,
  LX_mprotect = 10,
  LX_munmap = 11,
  LX_ioctl = 16,
  LX_pread64 = 17,
  LX_pwrite64 = 18,
  LX_readv = 19,
  LX_writev = 20,
  LX_sched_yield = 24,
  LX_mremap = 25,
  LX_madvise = 28,
  LX_getpid = 39,
  LX_sendfile = 40,
  LX_socket = 41,
  LX_connect = 42,
  LX_sendto = 44,
  LX_recvfrom = 45,
  LX_sendmsg = 46,
  LX_recvmsg = 47,
  LX_shutdown = 48,
  LX_bind = 49,
  LX_listen = 50,
  LX_getsockname = 51,
  LX_getpeername = 52,
  LX_setsockopt = 54,
  LX_getsockopt = 55,
  LX_fsync = 74,
  LX_fdatasync = 75,
  LX_sync_file_range = 277,
  LX_ftruncate = 77,
  LX_getrusage = 98,
  LX_fchmod = 91,
  LX_fchown = 93,
  LX_fstatfs = 138,
  LX_arch_prctl = 158,
  LX_gettid = 186,
  LX_futex = 202,
  LX_getdents64 = 217,
  LX_pidfd_open = 434,
  LX_process_madvise = 440,
  LX_exit_group = 231,
  LX_epoll_ctl = 233,
  LX_tgkill = 234,
  LX_openat = 257,
  LX_mkdirat = 258,
  LX_fchownat = 260,
  LX_newfstatat = 262,
  LX_unlinkat = 263,
  LX_linkat = 265,
  LX_symlinkat = 266,
  LX_readlinkat = 267,
  LX_fchmodat = 268,
  LX_ppoll = 271,
  LX_utimensat = 280,
  LX_epoll_pwait = 281,
  LX_timerfd_create = 283,
  LX_fallocate = 285,
  LX_timerfd_settime = 286,
  LX_accept4 = 288,
  LX_preadv = 295,
  LX_pwritev = 296,
  LX_renameat2 = 316,
  LX_getrandom = 318,
  LX_memfd_create = 319,
  LX_preadv2 = 327,
  LX_pwritev2 = 328,
  LX_openat2 = 437,
  LX_epoll_pwait2 = 441,
};

#define LX_PROT_NONE 0
#define LX_PROT_READ 1
#define LX_PROT_WRITE 2
#define LX_PROT_EXEC 4
#define LX_MAP_SHARED 1
#define LX_MAP_PRIVATE 2
#define LX_MAP_FIXED 0x10
#define LX_MAP_ANONYMOUS 0x20
#define LX_MAP_NORESERVE 0x4000
#define LX_MAP_POPULATE 0x8000
#define LX_MAP_FIXED_NOREPLACE 0x100000
#define LX_MREMAP_MAYMOVE 1
#define LX_MREMAP_FIXED 2
#define LX_MADV_DONTNEED 4
#define LX_MADV_NOHUGEPAGE 15
#define LX_MADV_POPULATE_READ 22
#define LX_MADV_POPULATE_WRITE 23
#define LX_MADV_GUARD_INSTALL 102
#define LX_MADV_GUARD_REMOVE 103
#define LX_MFD_CLOEXEC 1
#define LX_FALLOC_FL_KEEP_SIZE 1
#define LX_FALLOC_FL_PUNCH_HOLE 2
#define LX_EPOLL_CTL_ADD 1
#define LX_EPOLL_CTL_DEL 2
#define LX_EPOLL_CTL_MOD 3
#define LX_EPOLLET (1u << 31)
#define LX_EPOLLONESHOT (1u << 30)
#define LX_AT_FDCWD (-100)
#define LX_AT_EMPTY_PATH 0x1000
#define LX_AT_SYMLINK_NOFOLLOW 0x100
#define LX_AT_REMOVEDIR 0x200
#define LX_AT_NO_AUTOMOUNT 0x800
#define LX_RWF_NOWAIT 8
#define LX_FUTEX_WAIT_PRIVATE 128
#define LX_FUTEX_WAKE_PRIVATE 129
#define LX_ARCH_SET_GS 0x1001

struct lx_timespec {
  i64 sec, nsec;
};

struct lx_iovec {
  void *base;
  u64 len;
};

struct lx_epoll_event {
  u32 events;
  u64 data;
} __attribute__((packed));

struct lx_pollfd {
  int fd;
  i16 events, revents;
};

/* struct stat of x86-64. */
struct lx_stat {
  u64 dev, ino, nlink;
  u32 mode, uid, gid, pad0;
  u64 rdev;
  i64 size, blksize, blocks;
  struct lx_timespec atim, mtim, ctim;
  i64 unused[3];
};

/* What a signal handler gets; only the fields that are used have names. */
enum {
  LX_REG_R8,
  LX_REG_R9,
  LX_REG_R10,
  LX_REG_R11,
  LX_REG_R12,
  LX_REG_R13,
  LX_REG_R14,
  LX_REG_R15,
  LX_REG_RDI,
  LX_REG_RSI,
  LX_REG_RBP,
  LX_REG_RBX,
  LX_REG_RDX,
  LX_REG_RAX,
  LX_REG_RCX,
  LX_REG_RSP,
  LX_REG_RIP,
  LX_REG_EFL,
  LX_REG_CSGSFS,
  LX_REG_ERR,
  LX_REG_TRAPNO,
  LX_REG_OLDMASK,
  LX_REG_CR2,
  LX_NGREG
};

struct lx_ucontext {
  u64 flags;
  void *link;
  struct {
    void *sp;
    int flags;
    u64 size;
  } stack;
  u64 gregs[LX_NGREG];
};

struct lx_siginfo {
  int signo, err, code, pad;
  u64 addr;
};

#define LX_ARG_(v) ((u64)(v))

static inline i64 lx_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  i64 ret;
  register u64 r10 __asm__("r10") = d;
  register u64 r8 __asm__("r8") = e;
  register u64 r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(ret)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return ret;
}

#define lx0(n) lx_call6(LX_##n, 0, 0, 0, 0, 0, 0)
#define lx1(n, a) lx_call6(LX_##n, LX_ARG_(a), 0, 0, 0, 0, 0)
#define lx2(n, a, b) lx_call6(LX_##n, LX_ARG_(a), LX_ARG_(b), 0, 0, 0, 0)
#define lx3(n, a, b, c) lx_call6(LX_##n, LX_ARG_(a), LX_ARG_(b), LX_ARG_(c), 0, 0, 0)
#define lx4(n, a, b, c, d) lx_call6(LX_##n, LX_ARG_(a), LX_ARG_(b), LX_ARG_(c), LX_ARG_(d), 0, 0)
#define lx5(n, a, b, c, d, e)                                                                      \
  lx_call6(LX_##n, LX_ARG_(a), LX_ARG_(b), LX_ARG_(c), LX_ARG_(d), LX_ARG_(e), 0)
#define lx6(n, a, b, c, d, e, f)                                                                   \
  lx_call6(LX_##n, LX_ARG_(a), LX_ARG_(b), LX_ARG_(c), LX_ARG_(d), LX_ARG_(e), LX_ARG_(f))

/* True for a result that is an error, of calls that return addresses too. */
static inline bool lx_failed(i64 ret) { return (u64)ret > -4096UL; }

/* Repeats a call that a kick interrupted. */
#define LX_RETRY(call)                                                                             \
  ({                                                                                               \
    i64 retry_;                                                                                    \
    do                                                                                             \
      retry_ = (call);                                                                             \
    while (retry_ == -4);                                                                          \
    retry_;                                                                                        \
  })

#endif
