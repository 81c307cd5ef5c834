/* SPDX-License-Identifier: MIT */
/* Virtqueues and drivers against devices that work, that refuse, and that break every rule. */
#include "kernel/fs/line.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/test/fake/check.h"
#include "kernel/test/fs_env.h"
#include "plat/pc/netdev.h"
#include "plat/pc/test/entropy.h"
#include "plat/pc/test/fakedev.h"
#include <stdlib.h>
#include <string.h>

/* ---- virtqueues
 * ------------------------------------------------------------------------------------- */

/* A device that answers with what it was sent, inverted. */
static u32 serve_inverted(struct fakedev *f, unsigned queue, const u8 *out, u32 n, u8 *in,
                          u32 cap) {
  (void)f, (void)queue;
  n = n < cap ? n : cap;
  for (u32 k = 0; k < n; k++)
    in[k] = (u8)~out[k];
  return n;
}

static const struct virtio_driver no_driver = {.name = "test"};

/* A bare queue on a bare device. */
static struct virtqueue *bare_queue(struct fakedev *f, u16 size) {
  static struct virtio_ops ops;
  struct virtio_dev *d = calloc(1, sizeof *d);
  struct virtqueue *q = calloc(1, sizeof *q);
  memset(f, 0, sizeof *f);
  f->features = VIRTIO_F_VERSION_1;
  f->serve = serve_inverted;
  fake_add(f, 0xffff); /* nobody's: gives us nothing */
  ops = *fake_operations();
  *d = (struct virtio_dev){.ops = &ops, .driver = &no_driver, .where = "test", .regs = (u8 *)f};
  f->dev = d;
  if (vq_init(q, d, 0, size) < 0)
    abort();
  f->queues[0].q = q;
  return q;
}

static void free_queue(struct virtqueue *q) {
  plat_pages_free(q->desc, 1);
  kfree(q->shadow);
  free(q->dev);
  free(q);
}

#define REQUESTS 40
#define PIECE 300

struct transfer {
  struct vq_request req;
  bool busy;
  u32 n_out, n_in, out_len, in_len;
  u8 out[4][PIECE], in[4][PIECE];
  struct vq_buf bufs[8];
};

static void make_transfer(struct transfer *t) {
  t->n_out = 1 + fake_random(4);
  t->n_in = 1 + fake_random(4);
  t->out_len = t->in_len = 0;
  for (u32 k = 0; k < t->n_out; k++) {
    t->bufs[k] = (struct vq_buf){t->out[k], 1 + fake_random(PIECE)};
    t->out_len += t->bufs[k].len;
    for (u32 i = 0; i < PIECE; i++)
      t->out[k][i] = (u8)fake_random(256);
  }
  for (u32 k = 0; k < t->n_in; k++) {
    t->bufs[t->n_out + k] = (struct vq_buf){t->in[k], 1 + fake_random(PIECE)};
    t->in_len += t->bufs[t->n_out + k].len;
  }
}

static u8 byte_at(const struct transfer *t, u32 first, u32 at) {
  for (u32 k = first;; at -= t->bufs[k++].len)
    if (at < t->bufs[k].len)
      return ((const u8 *)t->bufs[k].data)[at];
}

static void check_transfer(const struct transfer *t) {
  u32 n = t->out_len < t->in_len ? t->out_len : t->in_len, bad = 0;
  CHECK(t->req.error == 0 && t->req.len == n);
  for (u32 k = 0; k < n; k++)
    bad += (byte_at(t, t->n_out, k) ^ byte_at(t, 0, k)) != 0xff;
  CHECK(bad == 0);
}

static void requests_in_any_order(void) {
  static struct transfer t[REQUESTS];
  struct fakedev f;
  struct virtqueue *q = bare_queue(&f, 64);
  u32 full = 0, served = 0;
  f.hold = true;
  for (u32 k = 0; k < REQUESTS; k++)
    vq_request_init(&t[k].req, NULL, NULL);
  for (u32 round = 0; round < 20000; round++) {
    struct transfer *x = &t[fake_random(REQUESTS)];
    if (!x->busy) {
      make_transfer(x);
      int e = vq_submit(q, &x->req, x->bufs, x->n_out, x->n_in);
      CHECK(e == 0 || e == -ENOSPC);
      full += e == -ENOSPC;
      x->busy = e == 0;
      vq_kick(q);
    }
    if (fake_random(8) == 0)
      fake_work(&f, 0, true);
    if (fake_random(4) == 0)
      vq_poll(q);
    for (u32 k = 0; k < REQUESTS; k++)
      if (t[k].busy && t[k].req.is_done) {
        check_transfer(&t[k]);
        t[k].busy = false;
        served++;
      }
  }
  CHECK(full > 10 && served > 5000);
  fake_work(&f, 0, true);
  vq_poll(q);
  CHECK(q->n_free == 64 && !q->broken);
  free_queue(q);
}

/* Submits two requests, lets the device do `lie`, and expects both to fail for good. */
static void expect_broken(void (*lie)(struct fakedev *f)) {
  static struct transfer t[2];
  struct fakedev f;
  struct virtqueue *q = bare_queue(&f, 16);
  f.hold = true;
  for (u32 k = 0; k < 2; k++) {
    vq_request_init(&t[k].req, NULL, NULL);
    make_transfer(&t[k]);
    CHECK(vq_submit(q, &t[k].req, t[k].bufs, t[k].n_out, t[k].n_in) == 0);
  }
  lie(&f);
  vq_poll(q);
  CHECK(virtio_is_broken(f.dev) && f.resets == 1);
  for (u32 k = 0; k < 2; k++)
    CHECK(t[k].req.is_done && (t[k].req.error == -EIO || (k == 0 && t[k].req.error == 0)));
  CHECK(t[1].req.error == -EIO);
  CHECK(vq_submit(q, &t[0].req, t[0].bufs, 1, 0) == -EIO);
  CHECK(vq_wait(q, &t[1].req) == -EIO);
  free_queue(q);
}

static void lie_wild_id(struct fakedev *f) { fake_push_used(f, 0, 0xffffffff, 1); }
static void lie_size_id(struct fakedev *f) { fake_push_used(f, 0, 16, 1); }
static void lie_never_submitted(struct fakedev *f) { fake_push_used(f, 0, 15, 1); }
static void lie_middle_of_chain(struct fakedev *f) { fake_push_used(f, 0, 1, 1); }
static void lie_twice(struct fakedev *f) {
  fake_push_used(f, 0, 0, 1);
  fake_push_used(f, 0, 0, 1);
}
static void lie_jump(struct fakedev *f) { fake_jump_used(f, 0, 17); }
static void lie_backwards(struct fakedev *f) { fake_jump_used(f, 0, (u16)-1); }

static void lies_break_the_device(void) {
  expect_broken(lie_wild_id);
  expect_broken(lie_size_id);
  expect_broken(lie_never_submitted);
  expect_broken(lie_middle_of_chain);
  expect_broken(lie_twice);
  expect_broken(lie_jump);
  expect_broken(lie_backwards);
}

static void length_is_bounded_and_descriptors_are_ours(void) {
  static struct transfer t;
  struct fakedev f;
  struct virtqueue *q = bare_queue(&f, 16);
  f.hold = true;
  vq_request_init(&t.req, NULL, NULL);
  make_transfer(&t);
  CHECK(vq_submit(q, &t.req, t.bufs, t.n_out, t.n_in) == 0);
  memset(q->desc, 0xff, 16 * sizeof q->desc[0]); /* the device scribbles over the table */
  fake_push_used(&f, 0, 0, 0xffffffff);
  vq_poll(q);
  CHECK(t.req.is_done && t.req.error == 0 && t.req.len == t.in_len);
  CHECK(q->n_free == 16);
  f.hold = false;
  CHECK(vq_submit(q, &t.req, t.bufs, t.n_out, t.n_in) == 0);
  vq_kick(q);
  CHECK(vq_wait(q, &t.req) == 0);
  check_transfer(&t);
  free_queue(q);
}

/* ---- negotiation
 * -------------------------------------------------------------------------------------- */

static u32 serve_nothing(struct fakedev *f, unsigned queue, const u8 *out, u32 n, u8 *in, u32 cap) {
  (void)f, (void)queue, (void)out, (void)n, (void)in, (void)cap;
  return 0;
}

static void unusable_devices_are_refused(void) {
  static struct fakedev old = {.serve = serve_nothing, .features = 1 << 9, .queue_max = {8}};
  static struct fakedev proud = {
      .serve = serve_nothing, .features = VIRTIO_F_VERSION_1, .queue_max = {8}};
  static struct fakedev blind = {
      .serve = serve_nothing, .features = VIRTIO_F_VERSION_1, .queue_max = {8}};
  static struct fakedev mute = {
      .serve = serve_nothing, .features = VIRTIO_F_VERSION_1, .config_len = 8};
  static struct fakedev huge = {
      .serve = serve_nothing, .features = VIRTIO_F_VERSION_1, .queue_max = {8}, .config_len = 8};
  CHECK(!fake_add(&old, VIRTIO_ID_BLK) && old.status == VIRTIO_S_FAILED);
  proud.refuse_features = true;
  CHECK(!fake_add(&proud, VIRTIO_ID_BLK));
  CHECK(!fake_add(&blind, VIRTIO_ID_BLK)); /* no configuration */
  CHECK(!fake_add(&mute, VIRTIO_ID_BLK));  /* no queue */
  memset(huge.config, 0xff, 8);
  CHECK(!fake_add(&huge, VIRTIO_ID_BLK)); /* more bytes than 2^63 */
  CHECK(!fake_add(&huge, 4711));
  static struct fakedev export[3];
  static const char *const tags[] = {"", "a/b", "with\0nul"};
  for (int k = 0; k < 3; k++) {
    export[k] = (struct fakedev){.serve = serve_nothing,
                                 .features = VIRTIO_F_VERSION_1 | 1,
                                 .queue_max = {8},
                                 .config_len = 10};
    export[k].config[0] = k == 0 ? 0 : k == 1 ? 3 : 8;
    memcpy(export[k].config + 2, tags[k], k == 2 ? 8 : strlen(tags[k]));
    CHECK(!fake_add(&export[k], VIRTIO_ID_9P));
  }
}

/* ---- entropy
 * ------------------------------------------------------------------------------------------ */

static u32 serve_entropy(struct fakedev *f, unsigned queue, const u8 *out, u32 n, u8 *in, u32 cap) {
  u32 len = cap < 20 ? cap : 20;
  (void)f, (void)queue, (void)out, (void)n;
  for (u32 k = 0; k < len; k++)
    in[k] = (u8)(k + 1);
  return len;
}

static void entropy_device_feeds_the_generator(void) {
  static struct fakedev f = {
      .serve = serve_entropy, .features = VIRTIO_F_VERSION_1, .queue_max = {8}};
  unsigned pollers = fake_n_pollers;
  CHECK(fake_add(&f, VIRTIO_ID_RNG));
  CHECK(entropy_n == 20 && entropy_added[0] == 1 && entropy_added[19] == 20);
  CHECK(fake_n_pollers == pollers + 1);
  fake_pollers[pollers](NULL);
  CHECK(entropy_n == 20);
  entropy_wanted = true;
  f.lie = true; /* claims to have written more than there is room for */
  f.lie_len = 1000;
  fake_pollers[pollers](NULL);
  vq_poll(f.dev->queues[0]);
  CHECK(entropy_n == 20 + 64);
}

/* ---- disks
 * --------------------------------------------------------------------------------------------- */

#define DISK_BYTES (300 * 512)
static u8 disk[DISK_BYTES], model[DISK_BYTES];
static unsigned flushes;
static int answer_status = -1; /* instead of success */

static bool coarse; /* requests must be of whole blocks of 4 KiB */

static u32 serve_disk(struct fakedev *f, unsigned queue, const u8 *out, u32 n, u8 *in, u32 cap) {
  struct {
    u32 type, reserved;
    u64 sector;
  } h;
  u8 status = 0;
  (void)f, (void)queue;
  if (n < sizeof h || cap < 1)
    abort();
  memcpy(&h, out, sizeof h);
  u64 at = h.sector * 512;
  u32 len = h.type == 1 ? n - (u32)sizeof h : cap - 1;
  if (coarse && (at % 4096 || len % 4096))
    abort();
  if (h.type == 4)
    flushes++;
  else if (len == 0 || len % 512 || at > DISK_BYTES || len > DISK_BYTES - at)
    abort(); /* the driver stays on the disk */
  else if (h.type == 1)
    memcpy(disk + at, out + sizeof h, len);
  else
    memcpy(in, disk + at, len);
  in[cap - 1] = answer_status < 0 ? status : (u8)answer_status;
  return cap;
}

static struct fakedev disk_dev = {.serve = serve_disk,
                                  .features = VIRTIO_F_VERSION_1 | 1 << 9,
                                  .config = {DISK_BYTES / 512 % 256, DISK_BYTES / 512 / 256},
                                  .config_len = 60,
                                  .queue_max = {256}};
static struct fakedev read_only_dev = {.serve = serve_disk,
                                       .features = VIRTIO_F_VERSION_1 | 1 << 5,
                                       .config = {DISK_BYTES / 512 % 256, DISK_BYTES / 512 / 256},
                                       .config_len = 60,
                                       .queue_max = {4}};
static struct fakedev coarse_dev = {
    .serve = serve_disk,
    .features = VIRTIO_F_VERSION_1 | 1 << 6,
    .config = {DISK_BYTES / 512 % 256 - 4, DISK_BYTES / 512 / 256, [20] = 0, [21] = 0x10},
    .config_len = 60,
    .queue_max = {16}};
static u8 *user;

static void disk_with_large_blocks(void) {
  i64 fd = CALL(open, "/dev/vdc", O_RDWR);
  CHECK(fd >= 0);
  coarse = true;
  memcpy(model, disk, DISK_BYTES);
  for (u32 k = 0; k < 500; k++) {
    u32 n = 1 + fake_random(10000), at = fake_random(DISK_BYTES - 4 * 512 - 10000);
    memset(user, (int)k, n);
    memset(model + at, (int)k, n);
    CHECK(CALL(pwrite64, fd, user, n, at) == n);
    CHECK(CALL(pread64, fd, user, 3000, at & ~511u) == 3000);
    CHECK(memcmp(user, model + (at & ~511u), 3000) == 0);
  }
  CHECK(memcmp(disk, model, DISK_BYTES) == 0);
  coarse = false;
  CALL(close, fd);
}

static void disk_holds_what_is_written(void) {
  i64 fd = CALL(open, "/dev/vda", O_RDWR);
  CHECK(fd >= 0);
  for (u32 k = 0; k < DISK_BYTES; k++)
    disk[k] = model[k] = (u8)fake_random(256);
  for (u32 round = 0; round < 3000; round++) {
    u32 at = fake_random(DISK_BYTES + 1000), n = 1 + fake_random(fake_random(4) ? 1500 : 140000);
    if (fake_random(3) == 0)
      at &= ~511u, n = (n + 511) & ~511u;
    i64 there = at >= DISK_BYTES ? 0 : min_u64(n, DISK_BYTES - at);
    if (fake_random(2)) {
      CHECK(CALL(pread64, fd, user, n, at) == there);
      CHECK(there == 0 || memcmp(user, model + at, (size_t)there) == 0);
    } else {
      for (u32 k = 0; k < n; k++)
        user[k] = (u8)(round * 7 + k);
      CHECK(CALL(pwrite64, fd, user, n, at) == (there ? there : -ENOSPC));
      if (there)
        memcpy(model + at, user, (size_t)there);
    }
  }
  CHECK(memcmp(disk, model, DISK_BYTES) == 0);
  CALL(close, fd);
}

static void disk_calls(void) {
  i64 fd = CALL(open, "/dev/vda", O_RDWR);
  unsigned before = flushes;
  u64 size = 0;
  CHECK(CALL(fsync, fd) == 0 && flushes == before + 1);
  CHECK(CALL(ioctl, fd, 0x80081272, user) == 0);
  memcpy(&size, user, 8);
  CHECK(size == DISK_BYTES);
  CHECK(CALL(ioctl, fd, 0x1260, user) == 0 && *(u64 *)user == DISK_BYTES / 512);
  CHECK(CALL(ioctl, fd, 0x1268, user) == 0 && *(u32 *)user == 512);
  CHECK(CALL(ioctl, fd, 0x4711, user) == -ENOTTY);
  CHECK(CALL(lseek, fd, -10, 2) == DISK_BYTES - 10);
  CHECK(CALL(read, fd, user, 100) == 10 && CALL(read, fd, user, 100) == 0);
  CALL(close, fd);
  CHECK(CALL(open, "/dev/vdb", O_RDWR) == -EROFS);
  fd = CALL(open, "/dev/vdb", O_RDONLY);
  CHECK(fd >= 0 && CALL(pread64, fd, user, 512, 0) == 512);
  CHECK(CALL(fsync, fd) == 0); /* no cache to flush */
  CALL(close, fd);
}

static void disk_errors_are_reported(void) {
  static const int cases[][2] = {{1, -EIO}, {2, -EOPNOTSUPP}, {3, -EIO}, {255, -EIO}};
  i64 fd = CALL(open, "/dev/vda", O_RDWR);
  for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
    answer_status = cases[k][0];
    CHECK(CALL(pread64, fd, user, 512, 0) == cases[k][1]);
    CHECK(CALL(pwrite64, fd, user, 512, 0) == cases[k][1]);
    CHECK(CALL(pwrite64, fd, user, 5, 0) == cases[k][1]);
    CHECK(CALL(fsync, fd) == cases[k][1]);
  }
  answer_status = -1;
  env_copy_fails = true;
  CHECK(CALL(pread64, fd, user, 512, 0) == -EFAULT && CALL(pwrite64, fd, user, 512, 0) == -EFAULT);
  env_copy_fails = false;
  disk_dev.lie = true;
  disk_dev.lie_id = 3;
  CHECK(CALL(pread64, fd, user, 512, 0) == -EIO);
  disk_dev.lie = false;
  CHECK(CALL(pread64, fd, user, 512, 0) == -EIO && CALL(pwrite64, fd, user, 1, 0) == -EIO);
  CALL(close, fd);
}

/* ---- network
 * --------------------------------------------------------------------------------------------- */

static u8 sent[4096], received[4096];
static u32 n_sent, len_sent, n_received, len_received;

static u32 serve_net(struct fakedev *f, unsigned queue, const u8 *out, u32 n, u8 *in, u32 cap) {
  (void)f, (void)in;
  if (queue != 1 || cap != 0)
    abort();
  n_sent++;
  len_sent = n;
  memcpy(sent, out, n);
  return 0;
}

static void on_frame(struct netdev *d, const void *frame, size_t len) {
  (void)d;
  n_received++;
  len_received = (u32)len;
  memcpy(received, frame, len);
}

static struct fakedev card = {.serve = serve_net,
                              .features = VIRTIO_F_VERSION_1 | 1 << 3 | 1 << 5 | 1 << 15,
                              .config = {2, 4, 6, 8, 10, 12, 0, 0, 0, 0, 0x20, 3},
                              .config_len = 12,
                              .queue_max = {256, 256},
                              .keep_rx = true};

static void poll_card(void) {
  virtio_interrupt(card.dev);
  virtio_poll(NULL);
}

static void frames_are_sent(void) {
  struct netdev *d = netdev_at(0);
  CHECK(d && d->mtu == 800 && memcmp(d->mac, card.config, 6) == 0 && !netdev_at(1));
  CHECK(!virtio_has(card.dev, 1 << 15)); /* merged buffers were not asked for */
  CHECK(d->send(d, (struct netdev_part[]){{"head", 4}, {"", 0}, {"payload", 7}}, 3) == 0);
  CHECK(n_sent == 1 && len_sent == 12 + 11 && memcmp(sent + 12, "headpayload", 11) == 0);
  static u8 big[2048];
  CHECK(d->send(d, (struct netdev_part[]){{big, sizeof big}}, 1) == -ENOBUFS);
  CHECK(d->send(d, (struct netdev_part[]){{big, 2036}}, 1) == 0);
  card.hold = true;
  int e = 0, k = 0;
  while (k < 1000 && (e = d->send(d, (struct netdev_part[]){{"x", 1}}, 1)) == 0)
    k++;
  CHECK(e == -ENOBUFS && k == 128);
  card.hold = false;
  fake_work(&card, 1, true);
  CHECK(d->send(d, (struct netdev_part[]){{"again", 5}}, 1) == 0);
}

static void frames_are_received(void) {
  struct netdev *d = netdev_at(0);
  u8 buf[2048] = {0};
  for (u32 k = 0; k < sizeof buf; k++)
    buf[k] = (u8)(k * 3);
  CHECK(fake_receive(&card, buf, 100, 100));
  poll_card(); /* nobody is attached: dropped */
  d->receive = on_frame;
  for (u32 k = 0; k < 1000; k++) {
    u32 n = 26 + fake_random(2048 - 26);
    CHECK(fake_receive(&card, buf, n, n));
    poll_card();
    CHECK(n_received == k + 1 && len_received == n - 12 && memcmp(received, buf + 12, n - 12) == 0);
  }
  static const u32 runts[] = {0, 11, 12, 25};
  for (size_t k = 0; k < ARRAY_LEN(runts); k++) {
    CHECK(fake_receive(&card, buf, runts[k], runts[k]));
    poll_card();
  }
  CHECK(n_received == 1000);
  CHECK(fake_receive(&card, buf, 2048, 0xffffffff)); /* says it wrote more than fits */
  poll_card();
  CHECK(n_received == 1001 && len_received == 2048 - 12);
  u32 burst = 0;
  while (fake_receive(&card, buf, 60, 60))
    burst++;
  poll_card();
  CHECK(burst == 128 && n_received == 1001 + 128);
  fake_push_used(&card, 0, 9999, 0);
  poll_card();
  CHECK(virtio_is_broken(card.dev) && n_received == 1001 + 128);
  CHECK(d->send(d, (struct netdev_part[]){{"x", 1}}, 1) == -ENOBUFS);
}

/* ---- console
 * ---------------------------------------------------------------------------------------------- */

static u8 shown[4096];
static u32 n_shown;

static u32 serve_console(struct fakedev *f, unsigned queue, const u8 *out, u32 n, u8 *in, u32 cap) {
  (void)f, (void)in;
  if (queue != 1 || cap != 0 || n_shown + n > sizeof shown)
    abort();
  memcpy(shown + n_shown, out, n);
  n_shown += n;
  return 0;
}

static struct fakedev terminal = {.serve = serve_console,
                                  .features = VIRTIO_F_VERSION_1 | 1,
                                  .config = {80, 0, 25, 0},
                                  .config_len = 4,
                                  .queue_max = {64, 64},
                                  .keep_rx = true};

static bool shows(const char *text) {
  bool yes = n_shown == strlen(text) && memcmp(shown, text, n_shown) == 0;
  n_shown = 0;
  return yes;
}

static void type(const char *text) {
  CHECK(fake_receive(&terminal, text, (u32)strlen(text), (u32)strlen(text)));
  virtio_interrupt(terminal.dev);
  virtio_poll(NULL);
}

static void console_is_a_terminal(void) {
  i64 fd = CALL(open, "/dev/hvc0", O_RDWR | O_NONBLOCK);
  CHECK(fd >= 0);
  CHECK(CALL(write, fd, strcpy((char *)user, "one\ntwo"), 7) == 7 && shows("one\r\ntwo"));
  CHECK(CALL(read, fd, user, 100) == -EAGAIN);
  type("ab\177c");
  CHECK(shows("ab\b \bc") && CALL(read, fd, user, 100) == -EAGAIN);
  type("\r");
  CHECK(shows("\r\n") && CALL(read, fd, user, 100) == 3 && memcmp(user, "ac\n", 3) == 0);
  CHECK(CALL(ioctl, fd, 0x5413, user) == 0 && ((u16 *)user)[0] == 25 && ((u16 *)user)[1] == 80);
  char big[1000];
  memset(big, 'x', sizeof big);
  CHECK(CALL(write, fd, memset(user, '\n', 1000), 1000) == 1000 && n_shown == 2000);
  n_shown = 0;
  for (int k = 0; k < 20; k++) { /* more than the line holds */
    CHECK(fake_receive(&terminal, big, 512, 0xffffffff));
    virtio_interrupt(terminal.dev);
    virtio_poll(NULL);
    n_shown = 0;
  }
  type("\n");
  CHECK(CALL(read, fd, user, 5000) == LINE_SIZE);
  CALL(close, fd);
}

int main(void) {
  user = env_user_memory(150000);
  TEST(requests_in_any_order);
  TEST(lies_break_the_device);
  TEST(length_is_bounded_and_descriptors_are_ours);
  TEST(unusable_devices_are_refused);
  TEST(entropy_device_feeds_the_generator);
  if (!fake_add(&disk_dev, VIRTIO_ID_BLK) || !fake_add(&read_only_dev, VIRTIO_ID_BLK) ||
      !fake_add(&coarse_dev, VIRTIO_ID_BLK) || !fake_add(&card, VIRTIO_ID_NET) ||
      !fake_add(&terminal, VIRTIO_ID_CONSOLE))
    return 2;
  env_boot();
  TEST(disk_holds_what_is_written);
  TEST(disk_with_large_blocks);
  TEST(disk_calls);
  TEST(disk_errors_are_reported);
  TEST(console_is_a_terminal);
  TEST(frames_are_sent);
  TEST(frames_are_received);
  return check_summary("virtio_test");
}
