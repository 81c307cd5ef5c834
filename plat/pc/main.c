/* SPDX-License-Identifier: MIT */
/* Start of the machine: from boot.S to the core. */
#include "plat/pc/cpu.h"
#include "plat/pc/irq.h"
#include "plat/pc/net/stack.h"
#include "plat/pc/page.h"
#include "plat/pc/pagetable.h"
#include "plat/pc/pc.h"
#include "plat/pc/random.h"
#include "plat/pc/virtio/virtio.h"

_Noreturn void pc_start(paddr start_info);

static struct boot_args args;

#define PROBE_LOOPS 20000000u

/* See struct machine_options. */
static void probe(void) {
  for (volatile u32 i = 0; i < PROBE_LOOPS; i++)
    ;
  plat_poweroff(0);
}

static void free_initramfs(void) {
  frames_add(bootinfo.initramfs,
             round_down(bootinfo.initramfs + bootinfo.initramfs_size, PAGE_SIZE));
}

_Noreturn void pc_start(paddr start_info) {
  serial_init();
  cpu_init(0, &boot_thread);
  bootinfo_read(start_info);
  cmdline_parse(bootinfo.cmdline, &args);
  if (machine_options.probe)
    probe();
  frames_init(bootinfo.ram, bootinfo.n_ram, bootinfo.ram_end);
  pagetable_init(bootinfo.ram_end);
  cpu_guard_stacks();
  acpi_init(bootinfo.rsdp);
  irq_init();
  clock_init();
  fpu_init();
  page_init();
  smp_start(machine_options.cpus);
  stdio_init();
  random_init();
  virtio_init(bootinfo.cmdline);
  net_boot(bootinfo.cmdline);
  if (selftest_start)
    selftest_start();
  tick_busy();
  args.initramfs = bootinfo.initramfs ? phys_ptr(bootinfo.initramfs) : NULL;
  args.initramfs_size = bootinfo.initramfs_size;
  args.initramfs_done = free_initramfs;
  smp_go();
  kernel_main(&args);
}
