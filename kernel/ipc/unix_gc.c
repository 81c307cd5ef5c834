/* SPDX-License-Identifier: MIT */
/*
 * Sockets that are reachable from nowhere but each other's queues.
 *
 * An open socket that was sent through a Unix socket is held by the queue it waits in. If that
 * queue is its own, or there is a ring of such sockets, and the last descriptor goes, nobody can
 * ever receive it: counting references alone would keep it for ever. Found by trial deletion
 * (Christopher's: references from inside are taken off, what is left comes from outside):
 *
 * 1. Candidates are the sockets in flight all of whose references are from queues: file->refs is
 *    file->in_flight.
 * 2. From each candidate's count what the queues of candidates hold is taken off. Where something
 * is left, a queue outside (or a send that is not finished) holds the socket: it is alive.
 * 3. What the queues of the living hold is alive, too. The other candidates are garbage: their
 *    queues are emptied of files, which closes them in the ordinary way.
 *
 * unix_gc_lock is held when a file begins or ends to be in flight, and when a reference is taken
 * out of a queue, so that nothing gets new references meanwhile but by descriptors that exist, and
 * a socket without descriptors stays without. It is done whenever the last reference from outside
 * leaves a socket in flight (file_put sees it), and costs time by the number of sockets in flight,
 * of which there are UNIX_INFLIGHT_MAX at most. A ring that is closed by a send which another
 * thread has begun before the last descriptor went is found by the next search.
 */
#include "kernel/ipc/unix.h"
#include "lib/list.h"

struct mutex unix_gc_lock = {.q = WAITQ_INIT(unix_gc_lock.q)};
static struct list flight = LIST_INIT(flight); /* flight_node */
static struct list living = LIST_INIT(living); /* gc_node: alive, queue to be looked at */
static u32 running, again;                     /* atomic */

static struct unix_sock *socket_of(struct file *f) {
  struct sock *s = sock_of_file(f);
  return s && s->domain == AF_UNIX ? unix_of(s) : NULL;
}

void unix_gc_enter(struct file *f) {
  struct unix_sock *u = socket_of(f);
  if (!u)
    return;
  __atomic_store_n(&file_only_in_flight, unix_gc, __ATOMIC_RELAXED);
  if (__atomic_fetch_add(&f->in_flight, 1, __ATOMIC_RELEASE) == 0) {
    u->file = f;
    list_push_back(&flight, &u->flight_node);
  }
}

void unix_gc_leave(struct file *f) {
  struct unix_sock *u = socket_of(f);
  if (u && __atomic_sub_fetch(&f->in_flight, 1, __ATOMIC_RELAXED) == 0)
    list_remove(&u->flight_node);
}

/* ---- the search; unix_gc_lock held ----------------------------------------------------------- */

/* Calls f for each of u's queues: its own, and those of connections that nobody has accepted. */
static void each_queue(struct unix_sock *u, void (*f)(struct unix_sock *queue, void *arg),
                       void *arg) {
  struct unix_sock *c;
  spin_lock(&u->lock);
  f(u, arg);
  list_for_each(c, &u->accept_queue, accept_node) {
    spin_lock(&c->lock);
    f(c, arg);
    spin_unlock(&c->lock);
  }
  spin_unlock(&u->lock);
}

/* Calls `visit`, a void (struct unix_sock *), for each socket that waits in the queue. */
static void visit_carried(struct unix_sock *queue, void *visit) {
  void (*f)(struct unix_sock *) = visit;
  struct unix_packet *p;
  list_for_each(p, &queue->packets, node) {
    for (unsigned i = 0; p->rights && i < p->rights->n; i++) {
      struct unix_sock *carried = socket_of(p->rights->files[i]);
      if (carried)
        f(carried);
    }
  }
}

static void each_carried(struct unix_sock *u, void (*f)(struct unix_sock *carried)) {
  each_queue(u, visit_carried, f);
}

static void take_off(struct unix_sock *u) {
  if (u->gc_candidate)
    u->gc_refs--;
}

static void revive(struct unix_sock *u) {
  if (!u->gc_candidate)
    return;
  u->gc_candidate = false;
  list_remove(&u->gc_node);
  list_push_back(&living, &u->gc_node);
}

static void find_candidates(struct list *candidates) {
  struct unix_sock *u;
  list_for_each(u, &flight, flight_node) {
    u->gc_refs = __atomic_load_n(&u->file->in_flight, __ATOMIC_RELAXED);
    u->gc_candidate = __atomic_load_n(&u->file->refs, __ATOMIC_ACQUIRE) == u->gc_refs;
    if (u->gc_candidate)
      list_push_back(candidates, &u->gc_node);
  }
}

static void keep_the_living(struct list *candidates) {
  struct unix_sock *u, *tmp;
  struct list *n;
  list_for_each_safe(u, tmp, candidates, gc_node) {
    if (u->gc_refs > 0)
      revive(u);
  }
  while ((n = list_pop_front(&living)) != NULL)
    each_carried(list_entry(n, struct unix_sock, gc_node), revive);
}

static void take_rights(struct unix_sock *queue, void *dying) {
  struct unix_packet *p;
  list_for_each(p, &queue->packets, node) {
    if (!p->rights)
      continue;
    list_push_back(dying, &p->rights->node);
    p->rights = NULL;
  }
}

static void search(struct list *dying) {
  struct list candidates = LIST_INIT(candidates), *n;
  struct unix_sock *u;
  find_candidates(&candidates);
  list_for_each(u, &candidates, gc_node) each_carried(u, take_off);
  keep_the_living(&candidates);
  while ((n = list_pop_front(&candidates)) != NULL)
    each_queue(list_entry(n, struct unix_sock, gc_node), take_rights, dying);
}

static void collect_once(void) {
  struct list dying = LIST_INIT(dying), *n;
  mutex_lock(&unix_gc_lock);
  search(&dying);
  mutex_unlock(&unix_gc_lock);
  while ((n = list_pop_front(&dying)) != NULL)
    unix_rights_free(list_entry(n, struct unix_rights, node));
}

void unix_gc(void) {
  __atomic_store_n(&again, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&again, __ATOMIC_SEQ_CST) &&
         __atomic_exchange_n(&running, 1, __ATOMIC_SEQ_CST) == 0) {
    while (__atomic_exchange_n(&again, 0, __ATOMIC_SEQ_CST))
      collect_once();
    __atomic_store_n(&running, 0, __ATOMIC_SEQ_CST);
  }
}
