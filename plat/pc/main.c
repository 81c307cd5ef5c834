/* SPDX-License-Identifier: MIT */
/* Start of the machine: from boot.S to the core. */
#include "plat/pc/cpu.h"
#include "plat/pc/irq.h"
#include "plat/pc/pagetable.h"
#include "plat/pc/pc.h"

_Noreturn void pc_start(paddr start_info);

static struct boot_args args;

_Noreturn void pc_start(paddr start_info) {

  serial_init();
  cpu_init(0, (struct thread *)boot_stack);
  bootinfo_read(start_info);
  cmdline_parse(bootinfo.cmdline, &args);
  frames_init(bootinfo.ram, bootinfo.n_ram);
  pagetable_init(bootinfo.ram_end);
  acpi_init(bootinfo.rsdp);
  irq_init();
  clock_init();
  fpu_init();
  stdio_init();
  args.initramfs = bootinfo.initramfs ? phys_ptr(bootinfo.initramfs) : NULL;
  args.initramfs_size = bootinfo.initramfs_size;
  kernel_main(&args);
}
