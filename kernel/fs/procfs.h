/* SPDX-License-Identifier: MIT */
/*
 * /proc. The tree is tables of nodes: procfs.c turns them into inodes, procfs_system.c and
 * procfs_process.c say what the files contain, procfs_fd.c holds the magic links.
 */
#ifndef UFORK_KERNEL_PROCFS_H
#define UFORK_KERNEL_PROCFS_H

#include "kernel/fs/text.h"
#include "kernel/fs/vfs.h"
#include "kernel/proc/proc.h"

/* Mounts /proc. Boot. */
int procfs_boot(void);

/* ---- between the procfs files ---- */

/* Whose file it is: a process, and a thread or a descriptor of it, where the node is below one. */
struct pfs_who {
  int pid, id;
};

struct pfs_node {
  const char *name;
  u32 mode;        /* with type */
  bool owner_only; /* opening, reading or following it is for the process's user and root */
  /* Regular file: appends the contents. 0 or -errno. */
  int (*show)(struct text *t, const struct pfs_who *w);
  /* Directory: its fixed entries (ended by a NULL name) ... */
  const struct pfs_node *children;
  /* ... and the numbered ones: the lowest number >= from that exists, or -1; what they are. */
  int (*next)(const struct pfs_who *w, int from);
  const struct pfs_node *numbered;
  /* Symbolic link: its text, with a NUL. */
  int (*target)(const struct pfs_who *w, char *buf, size_t size);
  /* ... that leads to a dentry (inode_ops.magic_link), or to a file (reopen). */
  int (*magic)(const struct pfs_who *w, struct dentry **out);
  int (*reopen)(const struct pfs_who *w, u32 flags, struct file **out);
};

extern const struct pfs_node pfs_root;        /* procfs_system.c */
extern const struct pfs_node pfs_process_dir; /* procfs_process.c */
extern const struct pfs_node pfs_fd_link;     /* procfs_fd.c */

/* procfs_fd.c */
int pfs_next_fd(const struct pfs_who *w, int from);
int pfs_cwd_magic(const struct pfs_who *w, struct dentry **out);
int pfs_root_magic(const struct pfs_who *w, struct dentry **out);
int pfs_cwd_target(const struct pfs_who *w, char *buf, size_t size);
int pfs_root_target(const struct pfs_who *w, char *buf, size_t size);
int pfs_exe_target(const struct pfs_who *w, char *buf, size_t size);

/* procfs_memory.c: files about a process's memory. */
int pfs_show_maps(struct text *t, const struct pfs_who *w);
int pfs_show_smaps(struct text *t, const struct pfs_who *w);
int pfs_show_smaps_rollup(struct text *t, const struct pfs_who *w);
int pfs_show_statm(struct text *t, const struct pfs_who *w);
int pfs_show_cmdline(struct text *t, const struct pfs_who *w);
int pfs_show_environ(struct text *t, const struct pfs_who *w);
struct pfs_memory {
  u64 peak; /* of resident */
  u64 mapped, resident, data, stack;
  struct proc_footprint cost;
};
/* All zero for a zombie. */
void pfs_memory(struct proc *p, struct pfs_memory *m);

/* procfs_figures.c: what there is of each kind of kernel object, a line `NAME NUMBER` each. */
int pfs_show_figures(struct text *t, const struct pfs_who *w);

/* procfs_system.c */
int pfs_show_mounts(struct text *t, const struct pfs_who *w);

#endif
