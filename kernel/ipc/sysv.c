/* SPDX-License-Identifier: MIT */
/* System V IPC: ids, keys, permissions. */
#include "kernel/ipc/sysv.h"
#include "kernel/errno.h"
#include "kernel/fs/cred.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/proc.h"
#include "lib/string.h"

#define IDS_PER_SEQ 32768
#define SEQ_MAX 0xffffu

i64 ipc_now(void) { return (i64)(plat_walltime() / 1000000000UL); }

void ipc_get(struct ipc_obj *o) { o->refs++; }

void ipc_put(struct ipc_ids *ids, struct ipc_obj *o) {
  if (--o->refs == 0)
    ids->release(o);
}

int ipc_permission(const struct ipc_obj *o, u32 flags) {
  const struct cred *c = &proc_current()->cred;
  u32 wanted = (flags >> 6 | flags >> 3 | flags) & 7, granted = o->perm.mode;
  if (c->euid == o->perm.uid || c->euid == o->perm.cuid)
    granted >>= 6;
  else if (cred_in_group(c, o->perm.gid) || cred_in_group(c, o->perm.cgid))
    granted >>= 3;
  return (wanted & ~granted) && c->euid != 0 ? -EACCES : 0;
}

int ipc_owner(const struct ipc_obj *o) {
  u32 euid = proc_current()->cred.euid;
  return euid == 0 || euid == o->perm.uid || euid == o->perm.cuid ? 0 : -EPERM;
}

int ipc_set(struct ipc_obj *o, const struct ipc_perm *to) {
  if (to->uid == ~0u || to->gid == ~0u)
    return -EINVAL;
  o->perm.uid = to->uid;
  o->perm.gid = to->gid;
  o->perm.mode = (o->perm.mode & ~0777u) | (to->mode & 0777);
  return 0;
}

/* ---- the table ------------------------------------------------------------------------------ */

struct ipc_obj *ipc_at(struct ipc_ids *ids, int index) {
  return index >= 0 && (u32)index < ids->cap ? ids->slots[index] : NULL;
}

struct ipc_obj *ipc_find(struct ipc_ids *ids, int id) {
  struct ipc_obj *o = id >= 0 ? ipc_at(ids, id % IDS_PER_SEQ) : NULL;
  return o && o->id == id ? o : NULL;
}

int ipc_highest(struct ipc_ids *ids) {
  for (u32 k = ids->cap; k > 0; k--)
    if (ids->slots[k - 1])
      return (int)k - 1;
  return 0;
}

int ipc_find_key(struct ipc_ids *ids, i32 key, u32 flags, struct ipc_obj **out) {
  *out = NULL;
  if (key == IPC_PRIVATE)
    return 0;
  for (u32 k = 0; k < ids->cap && !*out; k++)
    if (ids->slots[k] && ids->slots[k]->perm.key == key)
      *out = ids->slots[k];
  if (!*out)
    return flags & IPC_CREAT ? 0 : -ENOENT;
  if ((flags & IPC_CREAT) && (flags & IPC_EXCL))
    return -EEXIST;
  return ipc_permission(*out, flags);
}

static int grow(struct ipc_ids *ids) {
  u32 cap = ids->cap ? ids->cap * 2 : 16;
  struct ipc_obj **slots = krealloc(ids->slots, cap * sizeof(struct ipc_obj *));
  if (!slots)
    return -ENOMEM;
  memset(slots + ids->cap, 0, (cap - ids->cap) * sizeof(struct ipc_obj *));
  ids->slots = slots;
  ids->cap = cap;
  return 0;
}

int ipc_enter(struct ipc_ids *ids, struct ipc_obj *o, i32 key, u32 flags) {
  const struct cred *c = &proc_current()->cred;
  u32 k = 0;
  if (ids->used >= ids->max)
    return -ENOSPC;
  while (k < ids->cap && ids->slots[k])
    k++;
  if (k == ids->cap && grow(ids) < 0)
    return -ENOMEM;
  o->refs = 1;
  o->removed = false;
  o->id = (int)((u32)(ids->seq % SEQ_MAX) * IDS_PER_SEQ + k);
  o->perm = (struct ipc_perm){.key = key,
                              .uid = c->euid,
                              .cuid = c->euid,
                              .gid = c->egid,
                              .cgid = c->egid,
                              .mode = flags & 0777,
                              .seq = ids->seq % SEQ_MAX};
  ids->seq++; /* an old id does not name a new object */
  ids->slots[k] = o;
  ids->used++;
  return o->id;
}

void ipc_remove(struct ipc_ids *ids, struct ipc_obj *o) {
  ids->slots[o->id % IDS_PER_SEQ] = NULL;
  ids->used--;
  if (ids->used == 0) { /* nothing is left of a quiet system */
    kfree(ids->slots);
    ids->slots = NULL;
    ids->cap = 0;
  }
  o->removed = true;
  ipc_put(ids, o);
}
