/* SPDX-License-Identifier: MIT */
/*
 * `ufork run --vm` and `ufork image`: the same program on platform pc, in a virtual machine.
 * Ordinary programs on libc, like options.c. archive.c  the root file system as a cpio archive
 *   bundle.c   kernel, command line and archive in one bootable file
 *   cmdline.c  the options in the words of the kernel's command line (plat/pc/cmdline.c)
 *   machine.c  QEMU's command line; does KVM work?
 *   console.c  what passes between our standard streams and the machine's serial port
 */
#ifndef UFORK_HOSTED_VM_H
#define UFORK_HOSTED_VM_H

#include "plat/hosted/options.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Runs what o describes in a machine and exits with its status. */
_Noreturn void vm_run(const struct options *o);
/* Writes a bootable image to o->output and exits. */
_Noreturn void vm_image(const struct options *o);

/* Prints and exits with status 1. */
_Noreturn void vm_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- archive.c
 * ----------------------------------------------------------------------------------- */

/* Writes the archive: the tree below `root` (NULL: none), and `program`, a file of the host, as
   `guest` (NULL: none). */
void archive_write(FILE *out, const char *root, const char *program, const char *guest);

/* ---- cmdline.c
 * ------------------------------------------------------------------------------------- */

/* Guest path of a program of the host; NULL if the program is one of the guest. Static. */
const char *vm_guest_program(const struct options *o);
/* The kernel's command line; `console`: words about the console, or "". malloc'd. */
char *vm_cmdline(const struct options *o, const char *console);

/* ---- bundle.c
 * -------------------------------------------------------------------------------------- */

/* The kernel's image beside this program. Static. */
const char *vm_kernel(void);

/* ---- console.c
 * ------------------------------------------------------------------------------------- */

/* Words for the kernel's command line that describe our standard streams. Static. */
const char *console_words(void);
/* Passes everything on until the machine's output ends; the exit status it told, or -1. `machine`
   is its process. */
int console_relay(int to_machine, int from_machine, pid_t machine);

#endif
