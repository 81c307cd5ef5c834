/* SPDX-License-Identifier: MIT */
/* hvm_start_info (PVH): memory map, modules, command line. */
#include "kernel/errno.h"
#include "kernel/klog.h"
#include "lib/string.h"
#include "plat/pc/pc.h"

#define START_MAGIC 0x336ec578u
#define TYPE_RAM 1u
#define LOW_MEMORY MIB(1) /* left to firmware tables */

struct start_info {
  u32 magic, version, flags, nr_modules;
  u64 modlist, cmdline, rsdp, memmap;
  u32 memmap_entries, reserved;
};
struct module {
  u64 addr, size, cmdline, reserved;
};
struct map_entry {
  u64 addr, size;
  u32 type, reserved;
};

/* Command line and root file system that `ufork image` has put behind the kernel. */
struct bundle {
  char magic[8];
  u64 cmdline_size,
      initramfs_size; /* command line with its NUL, padded to a page with this header */
  char cmdline[];
};
extern const struct bundle __bundle;
#define BUNDLE_MAGIC "uFBundle"

struct bootinfo bootinfo;
static char cmdline[4096];

static void cut(paddr from, paddr to) {
  struct bootinfo *b = &bootinfo;
  from = round_down(from, PAGE_SIZE);
  to = round_up(to, PAGE_SIZE);
  for (unsigned i = 0; i < b->n_ram; i++) {
    struct frame_range *r = &b->ram[i];
    if (to <= r->from || from >= r->to)
      continue;
    struct frame_range behind = {to, r->to};
    r->to = from > r->from ? from : r->from;
    if (behind.from < behind.to && b->n_ram < BOOT_RANGES_MAX)
      b->ram[b->n_ram++] = behind;
  }
}

static void read_map(const struct start_info *s) {
  const struct map_entry *e = phys_ptr(s->memmap);
  for (u32 i = 0; i < s->memmap_entries; i++) {
    if (e[i].type != TYPE_RAM)
      continue;
    if (e[i].addr <= TRAMPOLINE_PHYS && e[i].addr + e[i].size >= TRAMPOLINE_PHYS + PAGE_SIZE)
      bootinfo.low_memory = true;
    u64 from = round_up(max_u64(e[i].addr, LOW_MEMORY), PAGE_SIZE);
    u64 to = round_down(e[i].addr + e[i].size, PAGE_SIZE);
    bootinfo.ram_bytes += e[i].size;
    if (from >= to || bootinfo.n_ram == BOOT_RANGES_MAX)
      continue;
    bootinfo.ram_end = max_u64(bootinfo.ram_end, to);
    bootinfo.ram[bootinfo.n_ram++] = (struct frame_range){from, to};
  }
}

/* Firmware puts its tables right above the memory it names as usable. */
static void cover_tables(const struct start_info *s) {
  const struct map_entry *e = phys_ptr(s->memmap);
  for (u32 i = 0; i < s->memmap_entries; i++)
    if (e[i].addr >= LOW_MEMORY && e[i].addr <= bootinfo.ram_end)
      bootinfo.ram_end = max_u64(bootinfo.ram_end, e[i].addr + e[i].size);
}

static void drop_empty(void) {
  unsigned n = 0;
  for (unsigned i = 0; i < bootinfo.n_ram; i++)
    if (bootinfo.ram[i].from < bootinfo.ram[i].to)
      bootinfo.ram[n++] = bootinfo.ram[i];
  bootinfo.n_ram = n;
}

static void take_module(const struct module *m) {
  cut(m->addr, m->addr + m->size);
  bootinfo.ram_end = max_u64(bootinfo.ram_end, m->addr + m->size);
  bootinfo.initramfs = m->addr;
  bootinfo.initramfs_size = m->size;
}

static u64 kernel_end(void) {
  u64 end = phys_of(__kernel_end);
  const struct bundle *b = phys_ptr(end);
  if (memcmp(b->magic, BUNDLE_MAGIC, sizeof b->magic) != 0)
    return end;
  u64 head = round_up(sizeof *b + b->cmdline_size, PAGE_SIZE);
  str_copy(cmdline, b->cmdline, sizeof cmdline);
  bootinfo.initramfs = end + head;
  bootinfo.initramfs_size = b->initramfs_size;
  return end + head + b->initramfs_size;
}

/* A bundle's command line first, then the loader's. */
static void append_cmdline(const char *text) {
  size_t at = strlen(cmdline);
  if (at && at + 1 < sizeof cmdline)
    cmdline[at++] = ' ';
  str_copy(cmdline + at, text, sizeof cmdline - at);
}

void bootinfo_read(paddr start_info) {
  const struct start_info *s = phys_ptr(start_info);
  if (s->magic != START_MAGIC || s->version < 1)
    plat_panic("the loader gives no PVH memory map");
  read_map(s);
  cover_tables(s);
  cut(KERNEL_PHYS, kernel_end());
  if (s->nr_modules && !bootinfo.initramfs_size)
    take_module(phys_ptr(s->modlist));
  if (s->cmdline)
    append_cmdline(phys_ptr(s->cmdline));
  bootinfo.cmdline = cmdline;
  bootinfo.rsdp = s->rsdp;
  drop_empty();
}
