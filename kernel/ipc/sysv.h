/* SPDX-License-Identifier: MIT */
/*
 * System V IPC: what shared memory, semaphores and message queues have in common (ids, keys,
 * permissions), and what other rooms need of them. Each kind has one struct ipc_ids, whose lock (a
 * mutex; user memory is not touched with it held) guards its table and all of its objects.
 */
#ifndef UFORK_KERNEL_SYSV_H
#define UFORK_KERNEL_SYSV_H

#include "kernel/sched/sched.h"

struct proc;
struct text;

#define IPC_PRIVATE 0
#define IPC_CREAT 01000u
#define IPC_EXCL 02000u
#define IPC_NOWAIT 04000u
#define IPC_RMID 0
#define IPC_SET 1
#define IPC_STAT 2
#define IPC_INFO 3

#define SHM_MAX_IDS 4096u
#define SHM_MAX_SIZE (~0UL - (1UL << 24))
#define SEM_MAX_IDS 32000u
#define SEM_MAX_PER_SET 32000u
#define SEM_MAX_ALL 1024000000u
#define SEM_MAX_OPS 500u
#define SEM_MAX_VALUE 32767
#define MSG_MAX_IDS 32000u
#define MSG_MAX_SIZE 8192u
#define MSG_MAX_QUEUE 16384u

/* struct ipc64_perm of Linux. */
struct ipc_perm {
  i32 key;
  u32 uid, gid, cuid, cgid, mode;
  u16 seq, pad;
  u32 pad2;
  u64 unused[2];
};
_Static_assert(sizeof(struct ipc_perm) == 48, "ABI");

/* Head of every object. */
struct ipc_obj {
  u32 refs; /* the table's, and of whoever sleeps on it or has it mapped; under the lock */
  int id;
  bool removed; /* no longer in the table */
  struct ipc_perm perm;
};

struct ipc_ids {
  struct mutex lock;
  u32 max; /* objects at once */
  u32 used, cap;
  u16 seq;
  struct ipc_obj **slots;
  void (*release)(struct ipc_obj *o); /* the last reference is gone; frees it */
};
#define IPC_IDS(name, limit, release_)                                                             \
  { .lock = {.q = WAITQ_INIT((name).lock.q)}, .max = (limit), .release = (release_) }

/* ---- with the lock held -------------------------------------------------------------------- */

/* The object for key as xxxget(2) means it: *out is found and permitted (0), or NULL: make a new
   one (0); -ENOENT, -EEXIST, -EACCES. */
int ipc_find_key(struct ipc_ids *ids, i32 key, u32 flags, struct ipc_obj **out);
/* Enters a new object, its one reference becoming the table's: id, -ENOSPC, -ENOMEM. */
int ipc_enter(struct ipc_ids *ids, struct ipc_obj *o, i32 key, u32 flags);
/* By id, or NULL. */
struct ipc_obj *ipc_find(struct ipc_ids *ids, int id);
/* By place in the table (xxx_STAT), or NULL. The highest place in use, 0 if none. */
struct ipc_obj *ipc_at(struct ipc_ids *ids, int index);
int ipc_highest(struct ipc_ids *ids);
/* Takes it out of the table: the id is gone. Drops the table's reference. */
void ipc_remove(struct ipc_ids *ids, struct ipc_obj *o);
void ipc_get(struct ipc_obj *o);
void ipc_put(struct ipc_ids *ids, struct ipc_obj *o);
/* flags as permission bits (0444 read, 0222 write): 0 or -EACCES. */
int ipc_permission(const struct ipc_obj *o, u32 flags);
/* May the running process remove or change it? 0 or -EPERM. */
int ipc_owner(const struct ipc_obj *o);
/* IPC_SET. */
int ipc_set(struct ipc_obj *o, const struct ipc_perm *to);
i64 ipc_now(void); /* seconds since 1970 */

/* ---- for others -------------------------------------------------------------------------- */

/* Exit: undoes what semop(SEM_UNDO) did. */
void sem_exit(struct proc *p);
/* Contents of /proc/sysvipc/... */
void shm_show(struct text *t);
void sem_show(struct text *t);
void msg_show(struct text *t);

#endif
