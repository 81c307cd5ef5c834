/* SPDX-License-Identifier: MIT */
/*
 * User and group ids. A process's credentials belong to all its threads; they change under
 * proc->lock. uid 0 may everything; there are no finer capabilities.
 */
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"
#include "lib/string.h"

#define KEEP 0xffffffffu /* -1 in the set*id calls */

LEAF_CALL i64 sys_getuid(struct uregs *r) {
  (void)r;
  return proc_current()->cred.uid;
}

LEAF_CALL i64 sys_geteuid(struct uregs *r) {
  (void)r;
  return proc_current()->cred.euid;
}

LEAF_CALL i64 sys_getgid(struct uregs *r) {
  (void)r;
  return proc_current()->cred.gid;
}

LEAF_CALL i64 sys_getegid(struct uregs *r) {
  (void)r;
  return proc_current()->cred.egid;
}

/* One kind of id: real, effective, saved. The group ids have the same rules as the user ids. */
struct ids {
  u32 real, effective, saved;
};

static struct ids user_ids(const struct cred *c) { return (struct ids){c->uid, c->euid, c->suid}; }
static struct ids group_ids(const struct cred *c) { return (struct ids){c->gid, c->egid, c->sgid}; }

static void store_user_ids(struct cred *c, struct ids i) {
  c->uid = i.real;
  c->euid = c->fsuid = i.effective;
  c->suid = i.saved;
}

static void store_group_ids(struct cred *c, struct ids i) {
  c->gid = i.real;
  c->egid = c->fsgid = i.effective;
  c->sgid = i.saved;
}

static bool is_one_of(u32 id, struct ids i) {
  return id == KEEP || id == i.real || id == i.effective || id == i.saved;
}

/* setuid, setgid: root sets all three. */
static int ids_set(struct ids *i, u32 id, bool root) {
  if (id == KEEP)
    return -EINVAL;
  if (root)
    *i = (struct ids){id, id, id};
  else if (id == i->real || id == i->saved)
    i->effective = id;
  else
    return -EPERM;
  return 0;
}

/* setreuid, setregid: the saved id follows the effective one when the real one is set. */
static int ids_set_re(struct ids *i, u32 real, u32 effective, bool root) {
  struct ids old = *i;
  if (!root &&
      (!is_one_of(effective, old) || (real != KEEP && real != old.real && real != old.effective)))
    return -EPERM;
  if (real != KEEP)
    i->real = real;
  if (effective != KEEP)
    i->effective = effective;
  if (real != KEEP || (effective != KEEP && effective != old.real))
    i->saved = i->effective;
  return 0;
}

static int ids_set_res(struct ids *i, const u32 want[3], bool root) {
  if (!root && !(is_one_of(want[0], *i) && is_one_of(want[1], *i) && is_one_of(want[2], *i)))
    return -EPERM;
  if (want[0] != KEEP)
    i->real = want[0];
  if (want[1] != KEEP)
    i->effective = want[1];
  if (want[2] != KEEP)
    i->saved = want[2];
  return 0;
}

enum how { SET_ONE, SET_RE, SET_RES };

static i64 change(struct uregs *r, enum how how, bool group) {
  struct proc *p = proc_current();
  u32 want[3] = {(u32)r->rdi, (u32)r->rsi, (u32)r->rdx};
  int err;
  spin_lock(&p->lock);
  struct ids i = group ? group_ids(&p->cred) : user_ids(&p->cred);
  bool root = p->cred.euid == 0;
  if (how == SET_ONE)
    err = ids_set(&i, want[0], root);
  else if (how == SET_RE)
    err = ids_set_re(&i, want[0], want[1], root);
  else
    err = ids_set_res(&i, want, root);
  if (!err && group)
    store_group_ids(&p->cred, i);
  else if (!err)
    store_user_ids(&p->cred, i);
  spin_unlock(&p->lock);
  return err;
}

i64 sys_setuid(struct uregs *r) { return change(r, SET_ONE, false); }
i64 sys_setgid(struct uregs *r) { return change(r, SET_ONE, true); }
i64 sys_setreuid(struct uregs *r) { return change(r, SET_RE, false); }
i64 sys_setregid(struct uregs *r) { return change(r, SET_RE, true); }
i64 sys_setresuid(struct uregs *r) { return change(r, SET_RES, false); }
i64 sys_setresgid(struct uregs *r) { return change(r, SET_RES, true); }

static i64 store_three(struct uregs *r, struct ids i) {
  if (copy_to_user(r->rdi, &i.real, 4) || copy_to_user(r->rsi, &i.effective, 4) ||
      copy_to_user(r->rdx, &i.saved, 4))
    return -EFAULT;
  return 0;
}

i64 sys_getresuid(struct uregs *r) { return store_three(r, user_ids(&proc_current()->cred)); }
i64 sys_getresgid(struct uregs *r) { return store_three(r, group_ids(&proc_current()->cred)); }

/* setfsuid, setfsgid: return the old id, whether or not the change was allowed. */
static i64 set_fs_id(u32 id, u32 *slot, struct ids i) {
  struct proc *p = proc_current();
  spin_lock(&p->lock);
  u32 old = *slot;
  if (id != KEEP && (p->cred.euid == 0 || id == old || is_one_of(id, i)))
    *slot = id;
  spin_unlock(&p->lock);
  return old;
}

i64 sys_setfsuid(struct uregs *r) {
  struct cred *c = &proc_current()->cred;
  return set_fs_id((u32)r->rdi, &c->fsuid, user_ids(c));
}

i64 sys_setfsgid(struct uregs *r) {
  struct cred *c = &proc_current()->cred;
  return set_fs_id((u32)r->rdi, &c->fsgid, group_ids(c));
}

i64 sys_getgroups(struct uregs *r) {
  const struct cred *c = &proc_current()->cred;
  i32 size = (i32)r->rdi;
  if (size < 0 || (size > 0 && (u32)size < c->ngroups))
    return -EINVAL;
  if (size > 0 && copy_to_user(r->rsi, c->groups, c->ngroups * sizeof(u32)))
    return -EFAULT;
  return c->ngroups;
}

i64 sys_setgroups(struct uregs *r) {
  struct proc *p = proc_current();
  u32 groups[NGROUPS_MAX];
  u64 n = r->rdi;
  if (p->cred.euid != 0)
    return -EPERM;
  if (n > NGROUPS_MAX)
    return -EINVAL;
  if (copy_from_user(groups, r->rsi, n * sizeof(u32)))
    return -EFAULT;
  spin_lock(&p->lock);
  memcpy(p->cred.groups, groups, n * sizeof(u32));
  p->cred.ngroups = (u32)n;
  spin_unlock(&p->lock);
  return 0;
}
