/* SPDX-License-Identifier: MIT */
/*
 * behind.c on a file of the host: when it holds writes and when not, that each way out has them
 * written, and that what the host refuses is told once. The test is a thread of the kernel's
 * making.
 */
#include "kernel/boot.h"
#include "kernel/errno.h"
#include "kernel/fs/vfs.h"
#include "kernel/mm/space.h"
#include "kernel/proc/proc.h"
#include "plat/hosted/behind.h"
#include "plat/hosted/hostxfer.h"
#include "plat/hosted/test/as_thread.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int open(const char *path, int flags, ...);

#define PIECE 100
#define ROW 16 /* pieces in a row before one is held */
#define USUAL_GATE 1
#define FD 7
#define BUFFER 65536

struct vcpu vcpus[MAX_CPUS];
unsigned vcpu_count = 2;
__thread struct vcpu *uf_vcpu_self __attribute__((tls_model("local-exec")));
struct boot_args boot;
char uf_gate_behind[1];

static bool soon; /* what the scheduler has last been told */
static u64 clock_ns = 1;
static u64 gap = 1000;     /* that it moves by with each piece */
static u64 room = 1 << 20; /* blocks that the file system has left */
static u64 absent;         /* address of a page that is not there, or 0 */

u64 plat_now_here(void) { return clock_ns; }
void kernel_poll_soon(bool s) { soon = s; }
u64 uf_gate_address(void) { return USUAL_GATE; }
void *plat_pages_alloc(size_t n, size_t align) { return aligned_alloc(align, n * PAGE_SIZE); }

/* As entry.S has it, for plat_copy_try: a fault makes it fail. */
__attribute__((used)) static int copy(void *dst, const void *src, size_t n) {
  if (absent && absent >= (u64)src && absent < (u64)src + n)
    return -EFAULT;
  memcpy(dst, src, n);
  return 0;
}
__asm__(".text\n\t.globl uf_copy\nuf_copy:\n\t"
        "push %r8\n\tpush %r9\n\tpush %r10\n\tpush %r11\n\tpush %rbx\n\t"
        "mov %rsp, %rbx\n\tand $-16, %rsp\n\t"
        "call copy\n\t"
        "mov %rbx, %rsp\n\t"
        "pop %rbx\n\tpop %r11\n\tpop %r10\n\tpop %r9\n\tpop %r8\n\tret\n");

int host_iov(struct uio *u, struct lx_iovec iov[HOST_IOV_MAX], size_t limit) {
  size_t n = min_u64(limit, u->left);
  iov[0] = (struct lx_iovec){(char *)u->segs[0].base + u->seg_off, n};
  return n > 0;
}

void uio_advance(struct uio *u, u64 n) {
  u->seg_off += n;
  u->left -= n;
}

static int statfs_op(struct inode *i, struct kstatfs *st) {
  (void)i;
  *st = (struct kstatfs){.bsize = 4096, .bavail = room};
  return 0;
}

static const struct inode_ops inode_ops = {.statfs = statfs_op};
static struct inode inode = {.ops = &inode_ops};
static struct host_open o;
static struct file f;
static struct uregs regs;
static struct vma vma;
static struct space space = {.refs = 1, .vmas = {.v = &vma, .n = 1}};
static struct proc proc = {.space = &space, .nthreads = 1};
static char data[4 * BUFFER];
static char path[] = "/tmp/behind.XXXXXX";

static void open_anew(int flags) {
  if (o.fd)
    CHECK(close(o.fd) == 0);
  CHECK(truncate(path, 0) == 0);
  o = (struct host_open){.refs = 1, .fd = open(path, flags)};
  CHECK(o.fd > 0);
  f = (struct file){.refs = 1, .flags = O_WRONLY, .inode = &inode, .priv = &o};
  regs = (struct uregs){.orig_rax = 1, .rdi = FD};
}

static u64 size_on_host(void) {
  struct stat st;
  CHECK(fstat(o.fd, &st) == 0);
  return (u64)st.st_size;
}

/* n bytes at the position: held and true, or written by us as the caller would. */
static i64 put_from(const char *from, u64 n) {
  struct user_iov seg = {(u64)from, n};
  struct uio u = {.segs = &seg, .count = 1, .left = n};
  clock_ns += gap;
  return behind_write(&f, &o, &u);
}

static bool put(u64 n) {
  i64 got = put_from(data + f.pos, n);
  CHECK(got == -EAGAIN || got == (i64)n);
  if (got == -EAGAIN) {
    CHECK(pwrite(o.fd, data + f.pos, n, (off_t)f.pos) == (ssize_t)n);
    f.pos += n;
  }
  return got != -EAGAIN;
}

static bool holds(void) {
  struct thread *t = thread_current();
  bool is = behind_holds(uf_vcpu_self);
  CHECK(t->tcb_gate == (is ? (u64)uf_gate_behind : USUAL_GATE));
  CHECK(behind_count == is && soon == is);
  return is;
}

static void hold_some(void) {
  for (int i = 1; i < ROW; i++)
    CHECK(!put(PIECE) && !holds());
  CHECK(put(PIECE) && holds());
  for (int i = 0; i < 9; i++)
    CHECK(put(PIECE));
  CHECK(size_on_host() == (ROW - 1) * PIECE && f.pos == (ROW + 9) * PIECE);
}

static void check_file(void) {
  static char back[sizeof(data)];
  CHECK(size_on_host() == f.pos);
  int fd = open(path, O_RDONLY);
  CHECK(read(fd, back, sizeof(back)) == (ssize_t)f.pos && !memcmp(back, data, f.pos));
  CHECK(close(fd) == 0);
}

/* ---- ways out -------------------------------------------------------------------------------- */

static void call(u64 nr, u64 fd) {
  regs.orig_rax = nr;
  regs.rdi = fd;
  behind_before_call(&regs);
  regs = (struct uregs){.orig_rax = 1, .rdi = FD};
}

static void ended(void) {
  CHECK(!holds());
  check_file();
}

static void ways_out(void) {
  open_anew(O_RDWR);
  hold_some();
  call(1, FD); /* write and writev of the same */
  call(20, FD);
  CHECK(holds() && size_on_host() < f.pos);
  call(1, FD + 1);
  ended();
  open_anew(O_RDWR);
  hold_some();
  call(3, FD);
  ended();
  open_anew(O_RDWR);
  hold_some();
  behind_poll(uf_vcpu_self);
  ended();
  open_anew(O_RDWR);
  hold_some();
  CHECK(behind_settle(&o) == 0);
  ended();
  open_anew(O_RDWR);
  hold_some();
  CHECK(!put(BUFFER / 2)); /* a large one */
  ended();
  open_anew(O_RDWR);
  hold_some();
  f.pos = 0; /* elsewhere */
  CHECK(!put(PIECE) && !holds());
  CHECK(size_on_host() == (ROW + 9) * PIECE);
}

/* Somebody on another vCPU looks at files: what is held is written, and more is added. */
static void asked(void) {
  open_anew(O_RDWR);
  hold_some();
  for (int i = 0; i < 5; i++) {
    uf_vcpu_self = &vcpus[1];
    behind_settle_all();
    CHECK(!behind_holds(uf_vcpu_self));
    behind_poll(uf_vcpu_self); /* that one has nothing */
    uf_vcpu_self = &vcpus[0];
    check_file();
    CHECK(holds() && put(PIECE) && size_on_host() < f.pos);
  }
  behind_poll(uf_vcpu_self);
  ended();
}

static void full(void) {
  open_anew(O_RDWR);
  hold_some();
  while (f.pos < 3 * BUFFER) {
    u64 before = size_on_host();
    CHECK(put(PIECE) && holds());
    CHECK(size_on_host() == before || size_on_host() % BUFFER == 0);
  }
  CHECK(size_on_host() == 3 * BUFFER);
  behind_poll(uf_vcpu_self);
  ended();
}

/* ---- what is not held ------------------------------------------------------------------------ */

static void nothing(int line) {
  for (int i = 0; i < 20 * ROW; i++)
    if (put(PIECE) || holds()) {
      dprintf(1, "FAIL behind_test:%d: is held\n", line);
      _exit(1);
    }
  ended();
}
#define NOTHING(before, after)                                                                     \
  do {                                                                                             \
    open_anew(O_RDWR);                                                                             \
    before;                                                                                        \
    nothing(__LINE__);                                                                             \
    after;                                                                                         \
  } while (0)

static void not_held(void) {
  NOTHING(f.flags |= O_APPEND, );
  NOTHING(f.flags |= 010000 /* O_DSYNC */, );
  NOTHING(f.refs = 2, );
  NOTHING(regs.orig_rax = 18 /* pwrite64 */, );
  NOTHING(proc.nthreads = 2, proc.nthreads = 1);
  NOTHING(space.refs = 2, space.refs = 1);
  NOTHING(vma.kind = VMA_SHARED, vma.kind = VMA_ANON);
  NOTHING(boot.trace = true, boot.trace = false);
  NOTHING(gap = 1000000, gap = 1000);
  NOTHING(room = 100, room = 1 << 20);
}

/* The host's file system fills while much is written. */
static void room_goes(void) {
  static char more[19 * BUFFER];
  open_anew(O_RDWR);
  hold_some();
  room = 100;
  for (u32 at = 0; at < sizeof(more) - PIECE && behind_holds(uf_vcpu_self); at += PIECE) {
    i64 n = put_from(more + at, PIECE); /* less: the caller writes the rest */
    CHECK(n == PIECE || (n > 0 && !behind_holds(uf_vcpu_self)));
  }
  CHECK(!holds() && size_on_host() == f.pos);
  room = 1 << 20;
}

static void absent_page(void) {
  open_anew(O_RDWR);
  hold_some();
  absent = (u64)data + f.pos + 10;
  CHECK(put_from(data + f.pos, PIECE) == -EAGAIN); /* the caller knows what to do */
  absent = 0;
  ended();
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void fill_refused(void) {
  open_anew(O_RDONLY);
  for (int i = 1; i < ROW; i++)
    CHECK(put_from(data, 0) == -EAGAIN);
  CHECK(put_from(data, PIECE) == PIECE && put_from(data, PIECE) == PIECE && holds());
}

static void refused(void) {
  fill_refused();
  CHECK(behind_settle(&o) == -EBADF && behind_settle(&o) == 0 && !holds());
  fill_refused();
  behind_settle_all(); /* somebody else, whose business it is not */
  CHECK(holds());
  CHECK(put_from(data, PIECE) == -EBADF && put_from(data, PIECE) == PIECE);
  CHECK(behind_settle(&o) == -EBADF && !holds());
  fill_refused();
  call(3, FD);
  CHECK(!holds() && behind_settle(&o) == -EBADF && behind_settle(&o) == 0);
}

/* ---- patience -------------------------------------------------------------------------------- */

static int pieces_until_held(void) {
  int n = 1;
  while (!put(PIECE))
    n++;
  return n;
}

static void patience(void) {
  int before = 0, n;
  open_anew(O_RDWR);
  for (int i = 0; i < 5; i++, before = n) { /* always another call after a single held one */
    n = pieces_until_held();
    CHECK(n >= 2 * before);
    call(3, FD);
  }
  pieces_until_held();
  while (size_on_host() % BUFFER != 0)
    CHECK(put(PIECE));
  call(3, FD);
  CHECK(pieces_until_held() == ROW); /* it has proved worth it */
  call(3, FD);
}

static void stopped(void) {
  open_anew(O_RDWR);
  hold_some();
  behind_stop();
  check_file();
  CHECK(!put(PIECE));
  ended();
  nothing(__LINE__);
}

static void *run(void *arg) {
  struct thread *t = thread_current();
  (void)arg;
  memset(t, 0, sizeof(*t));
  t->proc = &proc;
  t->uregs = &regs;
  t->tcb_gate = USUAL_GATE;
  vma.kind = VMA_ANON;
  uf_vcpu_self = &vcpus[0];
  for (size_t i = 0; i < sizeof(data); i++)
    data[i] = (char)(i * 7 + i / 251);
  ways_out();
  asked();
  full();
  not_held();
  room_goes();
  absent_page();
  refused();
  patience();
  stopped();
  printf("behind_test: ok\n");
  return NULL;
}

int main(void) {
  int fd = mkstemp(path);
  vcpus[1].id = 1;
  CHECK(fd >= 0 && close(fd) == 0);
  run_as_thread(run);
  CHECK(unlink(path) == 0);
  return 0;
}
