/* SPDX-License-Identifier: MIT */
/* What the files of this platform share besides CPUs (cpu.h), interrupts (irq.h), frames
 * (frames.h). */
#ifndef UFORK_PC_PC_H
#define UFORK_PC_PC_H

#include "kernel/boot.h"
#include "kernel/plat.h"
#include "plat/pc/frames.h"

/* ---- kernel.lds ------------------------------------------------------------------------------ */

/* All page-aligned. */
extern char __kernel_start[], __text_end[], __rodata_end[], __data_end[], __kernel_end[];

/* boot.S: the first thread block, of CPU 0 until the scheduler runs, and the guard below it. */
extern struct thread boot_thread;
extern char boot_guard[], boot_guard_end[];

/* ---- bootinfo.c: what the loader says
 * -------------------------------------------------------------- */

#define BOOT_RANGES_MAX 64
struct bootinfo {
  struct frame_range ram[BOOT_RANGES_MAX]; /* usable, kernel and modules cut out */
  unsigned n_ram;
  u64 ram_bytes;   /* all that the machine has */
  u64 ram_end;     /* above the highest byte of memory and firmware's tables */
  paddr rsdp;      /* ACPI's root pointer, 0: none */
  bool low_memory; /* there is memory at TRAMPOLINE_PHYS */
  const char *cmdline;
  paddr initramfs;
  u64 initramfs_size;
};
extern struct bootinfo bootinfo;
/* Reads hvm_start_info. The direct map of boot.S is all it needs. */
void bootinfo_read(paddr start_info);

/* ---- cmdline.c
 * ----------------------------------------------------------------------------------- */

/* Words of the kernel's command line that are not about µprocess 1. */
struct machine_options {
  bool framed;    /* console: streams are told apart and the exit status is sent (console.h) */
  bool probe;     /* spin for a moment, then switch off with status 0: is the CPU a fast one? */
  bool terminal;  /* the console is a terminal */
  u16 rows, cols; /* its size; 0: unknown */
  unsigned cpus;  /* 0: all */
};
extern struct machine_options machine_options;
/* Fills *b. Words: doc/pc.md. */
void cmdline_parse(const char *line, struct boot_args *b);
/* The value of `name=value` on the command line, for drivers; n bytes. False: not there. */
bool cmdline_value(const char *name, char *value, size_t n);

/* ---- acpi.c
 * -------------------------------------------------------------------------------------- */

/* Finds the tables. */
void acpi_init(paddr rsdp);
/* The n-th table with this signature, in the direct map and checked; NULL. */
const void *acpi_table(const char *signature, unsigned n);
/* Switches the machine off if the tables say how. */
void acpi_power_off(void);

/* ---- test/selftest.c: only in the image of test/pc_stacks.py
 * -------------------------------------------------------------------------------------- */

void selftest_start(void) __attribute__((weak));

/* ---- life.c
 * -------------------------------------------------------------------------------------- */

/* As plat_panic, for an interrupted context: where it was and its stack pointer. */
_Noreturn void panic_at(const char *why, u64 rip, const u64 *sp);

/* ---- stdio.c
 * ------------------------------------------------------------------------------------- */

void stdio_init(void);
/* Tells the host the exit status in the way of the framed console. */
void stdio_exit_status(unsigned status);
/* Writes to the log's stream. */
void stdio_log(const char *text, size_t n);
/* Before the other CPUs are stopped for good: waits until nobody is in the middle of writing. For a
   panic, which cannot wait, and after they have been: forgets who was. */
void stdio_finish(void);
void stdio_break(void);

#endif
