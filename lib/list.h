/* SPDX-License-Identifier: MIT */
/* Circular doubly linked list, intrusive. The caller holds whatever lock protects the list. */
#ifndef UFORK_LIB_LIST_H
#define UFORK_LIB_LIST_H

#include "lib/types.h"

struct list {
  struct list *next, *prev;
};

#define LIST_INIT(name)                                                                            \
  { &(name), &(name) }

/* `next` is stored atomically, for list_seems_empty; that costs nothing. */
static inline void list_set_next(struct list *l, struct list *next) {
  __atomic_store_n(&l->next, next, __ATOMIC_RELAXED);
}
static inline void list_init(struct list *l) {
  list_set_next(l, l);
  l->prev = l;
}
static inline bool list_empty(const struct list *l) { return l->next == l; }
/* Without the lock that protects the list: what was true at some moment. */
static inline bool list_seems_empty(const struct list *l) {
  return __atomic_load_n(&l->next, __ATOMIC_RELAXED) == l;
}

static inline void list_insert_between(struct list *n, struct list *prev, struct list *next) {
  next->prev = n;
  list_set_next(n, next);
  n->prev = prev;
  list_set_next(prev, n);
}

static inline void list_push_front(struct list *head, struct list *n) {
  list_insert_between(n, head, head->next);
}

static inline void list_push_back(struct list *head, struct list *n) {
  list_insert_between(n, head->prev, head);
}

/* Unlinks n and leaves it empty, so that removing it again is harmless. */
static inline void list_remove(struct list *n) {
  list_set_next(n->prev, n->next);
  n->next->prev = n->prev;
  list_init(n);
}

/* Unlinks and returns the first node, or NULL. */
static inline struct list *list_pop_front(struct list *head) {
  struct list *n = head->next;
  if (n == head)
    return NULL;
  list_remove(n); // NOLINT(clang-analyzer-unix.Malloc): an unlinked node is not met again
  return n;
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_for_each(pos, head, member)                                                           \
  for ((pos) = list_entry((head)->next, __typeof__(*(pos)), member); &(pos)->member != (head);     \
       (pos) = list_entry((pos)->member.next, __typeof__(*(pos)), member))
/* The body may remove pos. */
#define list_for_each_safe(pos, tmp, head, member)                                                 \
  for ((pos) = list_entry((head)->next, __typeof__(*(pos)), member),                               \
      (tmp) = list_entry((pos)->member.next, __typeof__(*(pos)), member);                          \
       &(pos)->member != (head);                                                                   \
       (pos) = (tmp), (tmp) = list_entry((tmp)->member.next, __typeof__(*(tmp)), member))

#endif
