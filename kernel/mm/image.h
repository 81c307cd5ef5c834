/* SPDX-License-Identifier: MIT */
/*
 * Images: loaded, relocated and verified programs, cached and shared by all µprocesses that run
 * them. An image's text is mapped once in the text window; its data is a template that exec copies.
 * Reference-counted; unused images stay cached until memory or the window runs short.
 */
#ifndef UFORK_KERNEL_IMAGE_H
#define UFORK_KERNEL_IMAGE_H

#include "kernel/plat.h"

struct file;
struct image;

/*
 * The image of an open file (reading it through kernel/fs; the caller holds a reference). Looks in
 * the cache by the file's identity, otherwise loads: parse, relocate, verify (unless
 * --isolation=none), install. -ENOEXEC (not a µFork image or refused by the verifier; a message
 * that names the cause goes to the log), -ENOMEM, -ETXTBSY never. Context: thread.
 */
int image_load(struct file *f, const char *path, struct image **out);
void image_get(struct image *im);
void image_put(struct image *im);

u64 image_id(const struct image *im); /* group of its regions; unique, never reused */
const char *image_path(const struct image *im);
/* Addresses of its text. */
void image_text_range(const struct image *im, u32 *lo, u32 *hi);

/* Is addr (absolute) a safe point of the running program? For sigreturn. */
bool image_safe_point(u64 addr);
/* Moves an interrupted context out of a sequence to a safe point (ufv_canonicalize). region base
 * given. */
void image_canonicalize(struct uregs *r, u64 base);

/* This CPU runs no user code now, and the registers of the thread it ran are saved: the entry from
   an interrupt and the idle loop say so, which lets removed text's addresses be used again. */
void image_quiesce(void);

/*
 * Builds the initial memory of `im` in a fresh space: data, bss, stack with argv, envp, auxv.
 * Strings are kernel copies. On success *sp and *entry are absolute. -E2BIG, -ENOMEM.
 */
struct exec_strings {
  char *data; /* argv strings then envp strings, each NUL-terminated, back to back */
  size_t size;
  unsigned argc, envc;
  const char *execfn;
};
struct space;
int image_setup(struct image *im, struct space *s, const struct exec_strings *str, u64 *sp,
                u64 *entry);

#endif
