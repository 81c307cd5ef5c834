/* SPDX-License-Identifier: MIT */
#include "kernel/sched/lock_check.h"

#ifdef LOCK_CHECK
#include "kernel/kassert.h"
#include "kernel/klog.h"
#include "kernel/thread.h"
#include "lib/string.h"

struct lock_class {
  u32 rank;
  const char *name;
  bool nests;
  const char *place, *expr;
};

/* Class 0 is that of a lock that has not been taken yet. */
static const struct lock_class classes[] = {
    {0, "unknown", false, "", ""},
#define LOCK(rank, name, nests, place, expr) {rank, name, nests, place, expr},
#include "kernel/sched/lock_order.def"
#undef LOCK
};

static _Noreturn void broken(const char *what, const char *name, const struct lock_site *site) {
  struct thread *me = thread_current();
  klog("%s: %s at %s:%d", what, name, site ? site->file : "?", site ? site->line : 0);
  for (u32 i = 0; i < me->nheld; i++)
    klog("  held: %s, taken at %s:%d", classes[me->held[i].class].name, me->held[i].site->file,
         me->held[i].site->line);
  plat_panic(what);
}

/* The path below the project's folder. */
static const char *short_path(const char *file) {
  static const char *const rooms[] = {"/kernel/", "/plat/", "/lib/"};
  for (size_t r = 0; r < ARRAY_LEN(rooms); r++)
    for (const char *p = file; (p = strchr(p, '/')) != NULL; p++)
      if (strncmp(p, rooms[r], strlen(rooms[r])) == 0)
        return p + 1;
  return file;
}

/* Several lines may name one class: the first of them stands for it. */
static u32 first_of(u32 i) {
  u32 k = 1;
  while (strcmp(classes[k].name, classes[i].name) != 0)
    k++;
  return k;
}

static u32 find_class(const struct lock_site *site) {
  const char *file = short_path(site->file), *expr = site->expr + (*site->expr == '&');
  for (u32 i = 1; i < ARRAY_LEN(classes); i++)
    if (strncmp(file, classes[i].place, strlen(classes[i].place)) == 0 &&
        strcmp(expr, classes[i].expr) == 0)
      return first_of(i);
  broken("a lock that lock_order.def does not name", site->expr, site);
}

static bool may_follow(u32 outer, u32 inner) {
  if (outer == inner)
    return classes[inner].nests;
  return classes[outer].rank < classes[inner].rank;
}

/* NULL: on a stack that was there before threads. */
static struct thread *running(void) {
  struct thread *me = thread_exists() ? thread_current() : NULL;
  return me && me->checked == LOCK_CHECKED ? me : NULL;
}

void lock_check_take(const void *lock, u32 *class, bool sleeps, bool tried,
                     const struct lock_site *site) {
  struct thread *me = running();
  if (me == NULL)
    return;
  if (*class == 0)
    *class = find_class(site);
  for (u32 i = 0; i < me->nheld; i++) {
    const struct held_lock *h = &me->held[i];
    if (h->lock == lock)
      broken("a lock is taken twice", classes[*class].name, site);
    if (!tried && !may_follow(h->class, *class))
      broken("locks in the wrong order", classes[*class].name, site);
    if (sleeps && !tried && !h->sleeps)
      broken("a mutex under a spinlock", classes[*class].name, site);
  }
  if (me->nheld == HELD_MAX)
    broken("too many locks held", classes[*class].name, site);
  me->held[me->nheld++] = (struct held_lock){lock, *class, sleeps, site};
}

void lock_check_drop(const void *lock) {
  struct thread *me = running();
  if (me == NULL)
    return;
  u32 i = me->nheld;
  while (i > 0 && me->held[i - 1].lock != lock)
    i--;
  if (i == 0)
    broken("a lock is dropped by somebody who has not taken it", "", NULL);
  memmove(&me->held[i - 1], &me->held[i], (me->nheld - i) * sizeof me->held[0]);
  me->nheld--;
}

void lock_check_sleep(void) {
  struct thread *me = thread_current();
  for (u32 i = 0; me->checked == LOCK_CHECKED && i < me->nheld; i++)
    if (!me->held[i].sleeps)
      broken("sleep with a spinlock held", "", NULL);
}

void lock_check_user(void) {
  static const struct lock_site fault = {"kernel/mm/fault.c", "&s->lock", 0};
  struct thread *me = thread_current();
  u32 space = 0;
  if (me->nheld == 0 || me->proc == NULL)
    return;
  space = find_class(&fault);
  for (u32 i = 0; i < me->nheld; i++)
    if (!me->held[i].sleeps || !may_follow(me->held[i].class, space))
      broken("user memory is touched with a lock held", "", NULL);
}

void lock_check_none(void) {
  if (thread_current()->nheld)
    broken("a lock is held on the way to user code", "", NULL);
}
#endif
