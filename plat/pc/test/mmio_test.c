/* SPDX-License-Identifier: MIT */
/* Where memory-mapped devices are looked for: the command line, and the slots of a microvm. Their
   registers are plain memory that says whatever the test wants. */
#include "kernel/test/fake/check.h"
#include "plat/pc/virtio/virtio_mmio.c"

#define PLACES 64
static struct { u64 at, size; } mapped[PLACES];
static unsigned n_mapped, n_added, routed_gsi;
static bool routed_level;
static u32 registers[0x1000 / 4];

void *device_map(u64 at, size_t size) {
  mapped[n_mapped % PLACES].at = at;
  mapped[n_mapped++ % PLACES].size = size;
  return registers;
}

int irq_vector_take(const char *name, void (*handler)(void *arg), void *arg) {
  (void)name, (void)handler, (void)arg;
  return 0x40;
}

int irq_route_gsi(u32 gsi, int vector, bool level) {
  (void)vector;
  routed_gsi = gsi;
  routed_level = level;
  return 0;
}

void virtio_interrupt(struct virtio_dev *d) { (void)d; }

struct virtio_dev *virtio_add(const struct virtio_dev *d, int (*attach)(struct virtio_dev *d)) {
  static const struct virtio_driver driver = {.name = "a driver"};
  struct virtio_dev copy = *d;
  copy.driver = &driver;
  n_added++;
  CHECK(attach(&copy) == 0);
  return NULL;
}

static void scan(const char *line, bool slots) {
  n_mapped = n_added = 0;
  virtio_mmio_scan(line, slots);
}

static void set_device(u32 magic, u32 version, u32 id) {
  registers[MAGIC / 4] = magic;
  registers[VERSION / 4] = version;
  registers[DEVICE_ID / 4] = id;
}

static void places_of_the_command_line(void) {
  static const struct {
    const char *line;
    u64 at, size;
    u32 gsi;
    bool level;
  } good[] = {
      {"virtio_mmio.device=4K@0xd0000000:5", 0xd0000000, 4096, 5, false},
      {"quiet  virtio_mmio.device=512@0xfeb02e00:12 -- /init", 0xfeb02e00, 512, 12, true},
      {"virtio_mmio.device=0x1000@3489660928:0x10:7", 0xd0000000, 4096, 16, false},
      {"virtio_mmio.device=1M@0x1000000000:255", 0x1000000000, MIB(1), 255, false},
  };
  set_device(MAGIC_VALUE, 2, VIRTIO_ID_RNG);
  for (size_t k = 0; k < ARRAY_LEN(good); k++) {
    scan(good[k].line, false);
    CHECK(n_mapped == 1 && n_added == 1 && mapped[0].at == good[k].at &&
          mapped[0].size == good[k].size && routed_gsi == good[k].gsi &&
          routed_level == good[k].level);
  }
  scan("virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=4K@0xd0001000:6", true);
  CHECK(n_added == 2 && routed_gsi == 6);
}

static void nonsense_is_not_touched(void) {
  static const char *const bad[] = {
      "virtio_mmio.device=",
      "virtio_mmio.device=4K",
      "virtio_mmio.device=4K@",
      "virtio_mmio.device=4K@0xd0000000",
      "virtio_mmio.device=4K@0xd0000000:",
      "virtio_mmio.device=4K@0xd0000000:x",
      "virtio_mmio.device=4K@0xd0000000:5x",
      "virtio_mmio.device=4K@0xd0000000:256",
      "virtio_mmio.device=4K@0xd0000001:5",
      "virtio_mmio.device=256@0xd0000000:5",
      "virtio_mmio.device=2M@0xd0000000:5",
      "virtio_mmio.device=18446744073709551615K@0xd0000000:5",
      "virtio_mmio.device=18446744073709551616@0xd0000000:5",
      "virtio_mmio.device=4K@0xfffffffffffff000:5",
      "virtio_mmio.device=-4K@0xd0000000:5",
      "notvirtio_mmio.device=4K@0xd0000000:5",
      "",
  };
  set_device(MAGIC_VALUE, 2, VIRTIO_ID_RNG);
  for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
    scan(bad[k], false);
    CHECK(n_mapped == 0 && n_added == 0);
  }
}

static void slots_of_a_microvm(void) {
  set_device(MAGIC_VALUE, 2, VIRTIO_ID_BLK);
  scan("quiet", true);
  CHECK(n_mapped == 24 && n_added == 24 && mapped[23].at == 0xfeb02e00 && routed_gsi == 47 &&
        routed_level);
  set_device(MAGIC_VALUE, 2, 0); /* empty */
  scan("", true);
  CHECK(n_mapped == 24 && n_added == 0);
  set_device(0xffffffff, 0xffffffff, 0xffffffff); /* nothing there */
  scan("", true);
  CHECK(n_added == 0);
  set_device(MAGIC_VALUE, 1, VIRTIO_ID_BLK); /* legacy */
  scan("virtio_mmio.device=4K@0xd0000000:5", true);
  CHECK(n_mapped == 1 && n_added == 0);
}

static void configuration_ends_where_the_registers_do(void) {
  struct virtio_dev d = {.config = (u8 *)registers + CONFIG, .config_len = SLOT_SIZE - CONFIG};
  u8 buf[8];
  CHECK(mmio_read_config(&d, 0xf8, buf, 8) == 0);
  CHECK(mmio_read_config(&d, 0xf9, buf, 8) == -EIO);
  CHECK(mmio_read_config(&d, 0xffffffff, buf, 8) == -EIO);
}

int main(void) {
  TEST(places_of_the_command_line);
  TEST(nonsense_is_not_touched);
  TEST(slots_of_a_microvm);
  TEST(configuration_ends_where_the_registers_do);
  return check_summary("mmio_test");
}
