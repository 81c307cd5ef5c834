/* SPDX-License-Identifier: MIT */
/* Processes as objects, their tree, process groups and sessions. */
#include "kernel/fs/file.h"
#include "kernel/mm/kmalloc.h"
#include "kernel/proc/internal.h"
#include "kernel/signal/sig.h"
#include "lib/string.h"

struct spin proc_tree_lock;
struct proc_stats proc_stats;

#define ZEROED offsetof(struct proc, pid)
#define COPIED offsetof(struct proc, limits)
#define GROUPS offsetof(struct proc, cred.groups)
_Static_assert(sizeof(struct proc) - GROUPS - sizeof((struct proc *)0)->cred.groups < 8,
               "the groups, which few have, come last");

static void copy_from(struct proc *c, struct proc *p) {
  spin_lock(&p->lock);
  __builtin_memcpy((char *)c + COPIED, (char *)p + COPIED, GROUPS - COPIED);
  if (unlikely(p->cred.ngroups))
    memcpy(c->cred.groups, p->cred.groups, sizeof c->cred.groups);
  spin_unlock(&p->lock);
  sighand_fork(c->sighand, p->sighand);
}

struct proc *proc_alloc(struct proc *parent, u64 now) {
  struct proc *p = proc_block_alloc();
  if (!p)
    return NULL;
  __builtin_memset((char *)p + ZEROED, 0, COPIED - ZEROED);
  if (parent)
    copy_from(p, parent);
  else
    memset((char *)p + COPIED, 0, sizeof *p - COPIED);
  p->refs = 2; /* the table's and the parent's */
  p->start_time = now;
  return p;
}

struct exe_path *exe_path_create(const char *s) {
  size_t n = strlen(s) + 1;
  struct exe_path *e = kmalloc(sizeof *e + n);
  if (e) {
    e->refs = 1;
    memcpy(e->s, s, n);
  }
  return e;
}

void exe_path_put(struct exe_path *e) {
  if (e && __atomic_sub_fetch(&e->refs, 1, __ATOMIC_ACQ_REL) == 0)
    kfree(e);
}

void proc_get(struct proc *p) { __atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED); }

static void proc_put_many(struct proc *p, u32 n) {
  if (__atomic_sub_fetch(&p->refs, n, __ATOMIC_ACQ_REL) != 0)
    return;
  sighand_clear(p->sighand);
  exe_path_put(p->exe_path);
  proc_block_free(p);
}

void proc_put(struct proc *p) { proc_put_many(p, 1); }

struct proc *proc_init_process(void) {
  return pid_get(1, PID_PROC);
}

void proc_unlink(struct proc *p) {
  kassert(p->state == PROC_ZOMBIE);
  p->state = PROC_REAPED;
  waitq_wake(&p->end_wait, 0, POLLHUP, 0);
  list_remove(&p->sibling_node);
  pgrp_leave(p);
}

void proc_sort_child(struct proc *c) {
  struct list *all = &c->parent->children;
  bool first = proc_has_report(c);
  if ((first ? all->next : all->prev) == &c->sibling_node)
    return;
  list_remove(&c->sibling_node);
  if (first)
    list_push_front(all, &c->sibling_node);
  else
    list_push_back(all, &c->sibling_node);
}

void proc_reaped(struct proc *p) {
  pid_clear(p->pid, PID_PROC);
  proc_put_many(p, 2); /* the parent's reference and the table's */
}

/* ---- groups and sessions; proc_tree_lock held ------------------------------------------ */

struct pgrp *pgrp_find(int pgid) {
  spin_lock(&pids_lock);
  struct pgrp *g = pid_get(pgid, PID_PGRP);
  spin_unlock(&pids_lock);
  return g;
}

struct session *session_create(int sid) {
  struct session *s = kzalloc_as(KMEM_PROCESS, sizeof *s);
  if (!s)
    return NULL;
  s->sid = sid;
  pid_set(sid, PID_SESSION, s);
  return s;
}

struct pgrp *pgrp_create(int pgid, struct session *s) {
  struct pgrp *g = kzalloc_as(KMEM_PROCESS, sizeof *g);
  if (!g)
    return NULL;
  g->pgid = pgid;
  g->session = s;
  list_init(&g->members);
  s->refs++;
  pid_set(pgid, PID_PGRP, g);
  return g;
}

void pgrp_join(struct proc *p, struct pgrp *g) {
  g->refs++;
  p->pgrp = g;
  list_push_back(&g->members, &p->pgrp_node);
}

void session_discard(struct session *s) {
  pid_clear(s->sid, PID_SESSION);
  kfree_as(KMEM_PROCESS, s);
}

void pgrp_leave(struct proc *p) {
  struct pgrp *g = p->pgrp;
  list_remove(&p->pgrp_node);
  p->pgrp = NULL;
  if (--g->refs > 0)
    return;
  if (--g->session->refs == 0)
    session_discard(g->session);
  pid_clear(g->pgid, PID_PGRP);
  kfree_as(KMEM_PROCESS, g);
}

/* p's parent could continue p's group if it were stopped: it is in another group of the session. */
bool proc_ties_group(struct proc *p) {
  struct proc *parent = p->parent;
  return p->state != PROC_ZOMBIE && !p->adopted && parent && parent->pgrp &&
         parent->pgrp != p->pgrp && parent->pgrp->session == p->pgrp->session;
}

bool pgrp_is_orphaned(struct pgrp *g, struct proc *except) {
  struct proc *p;
  // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): lists have no NULL in them
  list_for_each(p, &g->members, pgrp_node) if (p != except && proc_ties_group(p)) return false;
  return true;
}

int proc_pgid(struct proc *p) {
  spin_lock(&proc_tree_lock);
  int id = p->pgrp ? p->pgrp->pgid : 0;
  spin_unlock(&proc_tree_lock);
  return id;
}

int proc_sid(struct proc *p) {
  spin_lock(&proc_tree_lock);
  int id = p->pgrp ? p->pgrp->session->sid : 0;
  spin_unlock(&proc_tree_lock);
  return id;
}

int proc_pgrp_session(int pgid) {
  spin_lock(&proc_tree_lock);
  struct pgrp *g = pgrp_find(pgid);
  int sid = g ? g->session->sid : 0;
  spin_unlock(&proc_tree_lock);
  return sid;
}

bool proc_pgrp_is_orphaned(int pgid) {
  spin_lock(&proc_tree_lock);
  struct pgrp *g = pgrp_find(pgid);
  bool orphaned = !g || pgrp_is_orphaned(g, NULL);
  spin_unlock(&proc_tree_lock);
  return orphaned;
}
