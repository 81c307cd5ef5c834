/* SPDX-License-Identifier: MIT */
/*
 * System V shared memory. A segment is a memory object; an attachment is a mapping of it whose
 * file stands for the segment and counts mappings (VMA_COUNTED), so that fork, munmap, exec and
 * exit keep shm_nattch right by themselves. Lock order: space->lock -> shm_ids.lock.
 */
#include "kernel/errno.h"
#include "kernel/fs/text.h"
#include "kernel/fs/vfs.h"
#include "kernel/ipc/sysv.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/mm/mman.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"

#define SHM_RDONLY 010000u
#define SHM_RND 020000u
#define SHM_REMAP 040000u
#define SHM_EXEC 0100000u
#define SHM_HUGETLB 04000u
#define SHM_DEST 01000u
#define SHM_LOCKED 02000u
#define SHM_LOCK 11
#define SHM_UNLOCK 12
#define SHM_STAT 13
#define SHM_INFO 14
#define SHM_STAT_ANY 15

struct shm {
  struct ipc_obj ipc;
  struct memobj *obj;
  u64 size; /* as asked for */
  i64 atime, dtime, ctime;
  int cpid, lpid;
  u64 nattch;
};

static void shm_release(struct ipc_obj *o) {
  struct shm *s = container_of(o, struct shm, ipc);
  memobj_put(s->obj);
  kfree(s);
}

static struct ipc_ids shm_ids = IPC_IDS(shm_ids, SHM_MAX_IDS, shm_release);
static u64 all_pages; /* of segments in the table */

static struct shm *shm_of(struct ipc_obj *o) { return container_of(o, struct shm, ipc); }
static u64 pages_of(const struct shm *s) { return (s->size + PAGE_SIZE - 1) / PAGE_SIZE; }

static void destroy(struct shm *s) {
  all_pages -= pages_of(s);
  ipc_remove(&shm_ids, &s->ipc);
}

/* Once removed by IPC_RMID it goes with its last mapping. Lock held. */
static void detached(struct shm *s) {
  s->dtime = ipc_now();
  s->lpid = proc_current()->pid;
  if (--s->nattch == 0 && (s->ipc.perm.mode & SHM_DEST))
    destroy(s);
}

/* ---- the file of an attachment --------------------------------------------------------------- */

static void attachment_mapped(struct file *f, int change) {
  struct shm *s = f->priv;
  mutex_lock(&shm_ids.lock);
  if (change > 0)
    s->nattch++;
  else
    detached(s);
  mutex_unlock(&shm_ids.lock);
}

static void attachment_release(struct file *f) {
  struct shm *s = f->priv;
  mutex_lock(&shm_ids.lock);
  ipc_put(&shm_ids, &s->ipc);
  mutex_unlock(&shm_ids.lock);
}

static const struct file_ops attachment_ops = {
    .name = "SYSV", .mapped = attachment_mapped, .release = attachment_release};

/* ---- shmget ---------------------------------------------------------------------------------- */

static struct shm *new_segment(u64 size) {
  struct shm *s = kzalloc(sizeof *s);
  if (!s)
    return NULL;
  if (memobj_create(round_up(size, PAGE_SIZE), &s->obj) < 0) {
    kfree(s);
    return NULL;
  }
  s->size = size;
  s->ctime = ipc_now();
  s->cpid = proc_current()->pid;
  return s;
}

static i64 create(i32 key, u64 size, u32 flags) {
  if (size == 0 || size > SHM_MAX_SIZE || (flags & SHM_HUGETLB))
    return -EINVAL;
  if (!plat_mem_fits(size))
    return -ENOMEM;
  struct shm *s = new_segment(size);
  if (!s)
    return -ENOMEM;
  int id = ipc_enter(&shm_ids, &s->ipc, key, flags);
  if (id < 0)
    shm_release(&s->ipc);
  else
    all_pages += pages_of(s);
  return id;
}

i64 sys_shmget(struct uregs *r) {
  i32 key = (i32)r->rdi;
  u64 size = r->rsi;
  u32 flags = (u32)r->rdx;
  struct ipc_obj *o;
  mutex_lock(&shm_ids.lock);
  i64 ret = ipc_find_key(&shm_ids, key, flags, &o);
  if (ret == 0 && o)
    ret = size > shm_of(o)->size ? -EINVAL : o->id;
  else if (ret == 0)
    ret = create(key, size, flags);
  mutex_unlock(&shm_ids.lock);
  return ret;
}

/* ---- shmat, shmdt
 * -------------------------------------------------------------------------------- */

/* Finds the segment and counts the mapping to come, which keeps it alive; NULL: *err. */
static struct shm *begin_attach(int id, u32 flags, int *err) {
  struct shm *s = NULL;
  mutex_lock(&shm_ids.lock);
  struct ipc_obj *o = ipc_find(&shm_ids, id);
  *err = o ? ipc_permission(o, flags & SHM_RDONLY ? 0444 : 0666) : -EINVAL;
  if (o && *err == 0) {
    s = shm_of(o);
    ipc_get(o);
    s->nattch++;
    s->atime = ipc_now();
    s->lpid = proc_current()->pid;
  }
  mutex_unlock(&shm_ids.lock);
  return s;
}

/* Where: -EINVAL if something is there already. space->lock held. */
static i64 place(struct space *sp, u64 addr, u64 len, bool replace) {
  i64 off = mman_place(sp, addr, len, addr != 0);
  if (off == -EPERM)
    return -EINVAL;
  if (off < 0 || vma_range_free(&sp->vmas, (u64)off, len))
    return off;
  if (!replace)
    return -EINVAL;
  int err = space_unmap(sp, (u64)off, len);
  return err < 0 ? err : off;
}

static i64 map(struct space *sp, struct shm *s, struct file *f, u64 addr, u32 flags) {
  u64 len = round_up(s->size, PAGE_SIZE);
  struct vma v = {.kind = VMA_SHARED,
                  .prot = flags & SHM_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE,
                  .flags = VMA_COUNTED | (flags & SHM_RDONLY ? 0 : VMA_MAY_WRITE),
                  .obj = s->obj,
                  .file = f};
  if (len > UF_REGION_SIZE)
    return -ENOMEM;
  i64 off = space_check_limits(sp, len, false);
  if (off == 0)
    off = place(sp, addr, len, flags & SHM_REMAP);
  if (off < 0)
    return off;
  v.off = (u32)off;
  v.len = (u32)len;
  int err = space_map(sp, &v);
  return err < 0 ? err : off;
}

static i64 attach(int id, u64 addr, u32 flags) {
  struct space *sp = proc_current()->space;
  int err;
  struct shm *s = begin_attach(id, flags, &err);
  if (!s)
    return err;
  struct file *f = file_alloc(&attachment_ops, O_RDWR, s);
  i64 off = -ENOMEM;
  if (f) {
    memobj_get(s->obj);
    mutex_lock(&sp->lock);
    off = map(sp, s, f, addr, flags);
    mutex_unlock(&sp->lock);
    if (off < 0)
      memobj_put(s->obj);
  }
  if (off < 0) { /* as if it had never been */
    mutex_lock(&shm_ids.lock);
    detached(s);
    if (!f)
      ipc_put(&shm_ids, &s->ipc);
    mutex_unlock(&shm_ids.lock);
    file_put(f);
  }
  return off;
}

i64 sys_shmat(struct uregs *r) {
  u64 addr = r->rsi;
  u32 flags = (u32)r->rdx;
  if ((int)r->rdi < 0)
    return -EINVAL;
  if (addr & (PAGE_SIZE - 1)) {
    if (!(flags & SHM_RND))
      return -EINVAL;
    addr = round_down(addr, PAGE_SIZE);
  }
  if (addr == 0 && (flags & SHM_REMAP))
    return -EINVAL;
  if (flags & SHM_EXEC)
    return -EACCES;
  return attach((int)r->rdi, addr, flags);
}

static bool is_attachment(const struct vma *v) {
  return v->file && v->file->ops == &attachment_ops;
}

/* All that is left of the attachment that began at addr. */
static int detach(struct space *sp, u64 addr) {
  const struct file *f = NULL;
  u64 end = UF_REGION_SIZE;
  int err = -EINVAL;
  for (u32 i = vma_index(&sp->vmas, addr); i < sp->vmas.n && sp->vmas.v[i].off < end;) {
    const struct vma *v = &sp->vmas.v[i];
    if (!is_attachment(v) || v->off - v->obj_off != addr || (f && v->file != f)) {
      i++;
      continue;
    }
    if (!f)
      end = addr + round_up(((struct shm *)v->file->priv)->size, PAGE_SIZE);
    f = v->file;
    err = space_unmap(sp, v->off, v->len); /* the next one takes its place */
    if (err < 0)
      break;
  }
  return err;
}

i64 sys_shmdt(struct uregs *r) {
  struct space *sp = proc_current()->space;
  if (r->rdi & (PAGE_SIZE - 1))
    return -EINVAL;
  mutex_lock(&sp->lock);
  int err = detach(sp, r->rdi);
  mutex_unlock(&sp->lock);
  return err;
}

/* ---- shmctl
 * ---------------------------------------------------------------------------------------- */

/* struct shmid64_ds. */
struct user_shm {
  struct ipc_perm perm;
  u64 segsz;
  i64 atime, dtime, ctime;
  i32 cpid, lpid;
  u64 nattch, unused[2];
};
_Static_assert(sizeof(struct user_shm) == 112, "ABI");

static i64 limits(u64 arg) {
  struct {
    u64 max, min, mni, seg, all, unused[4];
  } u = {SHM_MAX_SIZE, 1, SHM_MAX_IDS, SHM_MAX_IDS, SHM_MAX_SIZE, {0}};
  mutex_lock(&shm_ids.lock);
  int highest = ipc_highest(&shm_ids);
  mutex_unlock(&shm_ids.lock);
  return copy_to_user(arg, &u, sizeof u) < 0 ? -EFAULT : highest;
}

static i64 usage(u64 arg) {
  struct {
    i32 used, pad;
    u64 tot, rss, swp, attempts, successes;
  } u = {0};
  mutex_lock(&shm_ids.lock);
  u.used = (i32)shm_ids.used;
  u.tot = u.rss = all_pages;
  int highest = ipc_highest(&shm_ids);
  mutex_unlock(&shm_ids.lock);
  return copy_to_user(arg, &u, sizeof u) < 0 ? -EFAULT : highest;
}

static i64 stat(int id, int cmd, u64 arg) {
  mutex_lock(&shm_ids.lock);
  struct ipc_obj *o = cmd == IPC_STAT ? ipc_find(&shm_ids, id) : ipc_at(&shm_ids, id);
  i64 ret = !o ? -EINVAL : cmd == SHM_STAT_ANY ? 0 : ipc_permission(o, 0444);
  struct user_shm u = {0};
  if (ret == 0) {
    const struct shm *s = shm_of(o);
    u = (struct user_shm){o->perm, s->size, s->atime,  s->dtime, s->ctime,
                          s->cpid, s->lpid, s->nattch, {0}};
    ret = cmd == IPC_STAT ? 0 : o->id;
  }
  mutex_unlock(&shm_ids.lock);
  return ret >= 0 && copy_to_user(arg, &u, sizeof u) < 0 ? -EFAULT : ret;
}

static i64 change(int id, int cmd, const struct user_shm *u) {
  mutex_lock(&shm_ids.lock);
  struct ipc_obj *o = ipc_find(&shm_ids, id);
  int err = o ? ipc_owner(o) : -EINVAL;
  if (err < 0) {
    mutex_unlock(&shm_ids.lock);
    return err;
  }
  struct shm *s = shm_of(o);
  switch (cmd) {
  case IPC_SET:
    err = ipc_set(o, &u->perm);
    if (err == 0)
      s->ctime = ipc_now();
    break;
  case SHM_LOCK:
    o->perm.mode |= SHM_LOCKED;
    break;
  case SHM_UNLOCK:
    o->perm.mode &= ~SHM_LOCKED;
    break;
  default: /* IPC_RMID */
    o->perm.mode |= SHM_DEST;
    o->perm.key = IPC_PRIVATE;
    if (s->nattch == 0)
      destroy(s);
  }
  mutex_unlock(&shm_ids.lock);
  return err;
}

i64 sys_shmctl(struct uregs *r) {
  int id = (int)r->rdi, cmd = (int)r->rsi;
  struct user_shm u;
  if (id < 0 || cmd < 0)
    return -EINVAL;
  switch (cmd) {
  case IPC_INFO:
    return limits(r->rdx);
  case SHM_INFO:
    return usage(r->rdx);
  case IPC_STAT:
  case SHM_STAT:
  case SHM_STAT_ANY:
    return stat(id, cmd, r->rdx);
  case IPC_SET:
    if (copy_from_user(&u, r->rdx, sizeof u) < 0)
      return -EFAULT;
    return change(id, cmd, &u);
  case IPC_RMID:
  case SHM_LOCK:
  case SHM_UNLOCK:
    return change(id, cmd, NULL);
  default:
    return -EINVAL;
  }
}

void shm_show(struct text *t) {
  text_printf(t, "       key      shmid perms                  size  cpid  lpid nattch   uid   gid"
                 "  cuid  cgid      atime      dtime      ctime                   rss"
                 "                  swap\n");
  mutex_lock(&shm_ids.lock);
  for (int k = 0; k < (int)shm_ids.cap; k++) {
    const struct ipc_obj *o = ipc_at(&shm_ids, k);
    if (!o)
      continue;
    const struct shm *s = container_of(o, struct shm, ipc);
    text_printf(t,
                "%10d %10d  %4o %21lu %5d %5d  %5lu %5u %5u %5u %5u %10lu %10lu %10lu %21lu %21d\n",
                o->perm.key, o->id, o->perm.mode, s->size, s->cpid, s->lpid, s->nattch, o->perm.uid,
                o->perm.gid, o->perm.cuid, o->perm.cgid, (u64)s->atime, (u64)s->dtime,
                (u64)s->ctime, pages_of(s) * PAGE_SIZE, 0);
  }
  mutex_unlock(&shm_ids.lock);
}
