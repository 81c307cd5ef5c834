/* SPDX-License-Identifier: MIT */
#include "plat/pc/p9/client.h"
#include "kernel/errno.h"
#include "kernel/kassert.h"
#include "kernel/klog.h"
#include "kernel/mm/kmalloc.h"
#include "lib/string.h"

#define VERSION "9P2000.L"

static struct p9 *sessions;

static void clunk_answered(struct vq_request *r);

void p9_register(struct p9 *s, struct virtqueue *q, const char *tag) {
  str_copy(s->tag, tag, sizeof s->tag);
  s->q = q;
  mutex_init(&s->start_lock);
  kassert(q->size >= 2 * P9_CHAIN);
  /* Clunks take two descriptors each and must not starve the requests, nor the other way round. */
  vq_slots_init(&s->slots, (unsigned)min_u64(P9_REQUESTS, q->size / (2 * P9_CHAIN)));
  for (u32 k = 0; k < P9_REQUESTS; k++)
    vq_request_init(&s->requests[k].req, NULL, NULL);
  for (u32 k = 0; k < P9_CLUNKS; k++)
    vq_request_init(&s->clunks[k].req, clunk_answered, s);
  s->free_clunks = (1u << min_u64(P9_CLUNKS, q->size / 4)) - 1;
  s->next = sessions;
  sessions = s;
}

struct p9 *p9_find(const char *tag, size_t n) {
  for (struct p9 *s = sessions; s; s = s->next)
    if (strlen(s->tag) == n && memcmp(s->tag, tag, n) == 0)
      return s;
  return NULL;
}

/* ---- calls
 * ------------------------------------------------------------------------------------------ */

static int make_buffers(struct p9_request *r) {
  if (r->out)
    return 0;
  u8 *p = plat_pages_alloc((2 * P9_SMALL + P9_DATA_MAX) / PAGE_SIZE, PAGE_SIZE);
  if (!p)
    return -ENOMEM;
  r->in = p + P9_SMALL;
  r->data = p + 2 * P9_SMALL;
  r->out = p;
  return 0;
}

static void put_header(struct p9_msg *m, u8 type, u16 tag) {
  p9_put32(m, 0);
  p9_put8(m, type);
  p9_put16(m, tag);
}

/* Fills in the size, which may count bytes beyond the message's own. */
static void put_size(struct p9_msg *m, u32 size) {
  struct p9_msg head = {m->bytes, 0, 4, false};
  p9_put32(&head, size);
}

int p9_begin(struct p9 *s, enum p9_type type, struct p9_call *c) {
  u32 slot = vq_slot_take(&s->slots, s->q);
  struct p9_request *r = &s->requests[slot];
  int e = make_buffers(r);
  if (e < 0) {
    vq_slot_give(&s->slots, slot);
    return e;
  }
  *c = (struct p9_call){.session = s, .slot = slot, .type = type, .data = r->data};
  c->t = (struct p9_msg){r->out, 0, P9_SMALL, false};
  put_header(&c->t, (u8)type, type == P9_VERSION ? P9_NOTAG : (u16)slot);
  return 0;
}

void p9_end(struct p9_call *c) { vq_slot_give(&c->session->slots, c->slot); }

static int transact(struct p9_call *c, u32 out_data, u32 in_data) {
  struct p9 *s = c->session;
  struct p9_request *r = &s->requests[c->slot];
  struct vq_buf bufs[P9_CHAIN];
  unsigned n = 0, n_out;
  bufs[n++] = (struct vq_buf){r->out, c->t.at};
  if (out_data)
    bufs[n++] = (struct vq_buf){r->data, out_data};
  n_out = n;
  bufs[n++] = (struct vq_buf){r->in, in_data ? P9_DATA_HEADER : P9_SMALL};
  if (in_data)
    bufs[n++] = (struct vq_buf){r->data, in_data};
  memset(r->in, 0, P9_DATA_HEADER);
  if (vq_submit(s->q, &r->req, bufs, n_out, n - n_out) < 0)
    return -EIO;
  vq_kick(s->q);
  return vq_wait(s->q, &r->req);
}

static int server_error(struct p9_msg *m) {
  u32 e = p9_get32(m);
  return m->bad || e == 0 || e > EHWPOISON ? -EIO : -(int)e;
}

static bool has_data(u32 type) { return type == P9_READ || type == P9_READDIR; }

/* The reply's header: size, type and tag must be what they have to be. */
static int check_reply(struct p9_call *c, u32 in_data) {
  const struct p9_request *q = &c->session->requests[c->slot];
  struct p9_msg *m = &c->r;
  u32 small = in_data ? P9_DATA_HEADER : P9_SMALL, size;
  *m = (struct p9_msg){q->in, 0, (u32)min_u64(q->req.len, small), false};
  size = p9_get32(m);
  u8 type = p9_get8(m);
  u16 tag = p9_get16(m);
  if (m->bad || size < P9_HEADER || size > q->req.len ||
      tag != (c->type == P9_VERSION ? P9_NOTAG : c->slot))
    return -EIO;
  m->size = (u32)min_u64(size, small);
  if (type == P9_LERROR + 1)
    return server_error(m);
  if (type != c->type + 1)
    return -EIO;
  if (!has_data(c->type))
    return 0;
  c->count = p9_get32(m);
  return m->bad || c->count > in_data || size != P9_DATA_HEADER + c->count ? -EIO : 0;
}

int p9_do(struct p9_call *c, u32 out_data, u32 in_data) {
  int e;
  kassert(!c->t.bad && out_data <= P9_DATA_MAX && in_data <= P9_DATA_MAX);
  put_size(&c->t, c->t.at + out_data);
  e = transact(c, out_data, in_data);
  return e < 0 ? e : check_reply(c, in_data);
}

/* ---- start
 * ------------------------------------------------------------------------------------------- */

static int agree(struct p9 *s) {
  struct p9_call c;
  char version[16];
  int e = p9_begin(s, P9_VERSION, &c);
  if (e < 0)
    return e;
  p9_put32(&c.t, P9_MSIZE);
  p9_put_string(&c.t, VERSION);
  e = p9_do(&c, 0, 0);
  if (e == 0) {
    u32 msize = p9_get32(&c.r);
    p9_get_string(&c.r, version, sizeof version);
    e = p9_reply_bad(&c);
    if (e == 0 && strcmp(version, VERSION) != 0)
      e = -EPROTONOSUPPORT;
    else if (e == 0 && (msize < 2 * P9_SMALL || msize > P9_MSIZE))
      e = -EIO;
    s->data_max = (u32)min_u64(P9_DATA_MAX, round_down(msize - P9_WRITE_HEADER, 512));
  }
  p9_end(&c);
  return e;
}

int p9_start(struct p9 *s) {
  int e = 0;
  mutex_lock(&s->start_lock);
  if (!s->started)
    e = agree(s);
  s->started = e == 0;
  mutex_unlock(&s->start_lock);
  return e;
}

/* ---- fids
 * ------------------------------------------------------------------------------------------- */

/* fid_lock is held. */
static int number_take(struct p9 *s, u32 *out) {
  for (u32 k = 0; k < P9_FIDS / 64; k++) {
    u32 word = (s->hint + k) % (P9_FIDS / 64);
    if (~s->used[word] == 0)
      continue;
    u32 bit = (u32)__builtin_ctzl(~s->used[word]);
    s->used[word] |= 1UL << bit;
    s->hint = word;
    *out = word * 64 + bit;
    return 0;
  }
  return -ENFILE;
}

static void number_give(struct p9 *s, u32 id) {
  spin_lock(&s->fid_lock);
  s->used[id / 64] &= ~(1UL << id % 64);
  spin_unlock(&s->fid_lock);
}

int p9_fid_new(struct p9 *s, struct p9_fid **out) {
  struct p9_fid *f = kmalloc(sizeof *f);
  if (!f)
    return -ENOMEM;
  *f = (struct p9_fid){.refs = 1, .session = s};
  spin_lock(&s->fid_lock);
  int e = number_take(s, &f->id);
  spin_unlock(&s->fid_lock);
  if (e < 0)
    kfree(f);
  else
    *out = f;
  return e;
}

struct p9_fid *p9_fid_get(struct p9_fid *f) {
  __atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
  return f;
}

void p9_fid_forget(struct p9_fid *f) {
  number_give(f->session, f->id);
  kfree(f);
}

/* ---- clunks: the queue's lock is held
 * -------------------------------------------------------------- */

static void submit_clunk(struct p9 *s, struct p9_clunk *k, u32 fid) {
  struct p9_msg m = {k->out, 0, sizeof k->out, false};
  struct vq_buf bufs[2] = {{k->out, sizeof k->out}, {k->in, sizeof k->in}};
  k->fid = fid;
  put_header(&m, P9_CLUNK, (u16)(P9_REQUESTS + (u32)(k - s->clunks)));
  p9_put32(&m, fid);
  put_size(&m, m.at);
  /* There is room for all clunks; a device that is out of order has forgotten its fids. */
  vq_submit_locked(s->q, &k->req, bufs, 1, 1);
}

/* A fid that waits to be clunked, or false. fid_lock is held. */
static bool dying_take(struct p9 *s, u32 *fid) {
  if (s->n_dying == 0)
    return false;
  for (u32 w = 0; w < P9_FIDS / 64; w++) {
    if (s->dying[w] == 0)
      continue;
    *fid = w * 64 + (u32)__builtin_ctzl(s->dying[w]);
    s->dying[w] &= s->dying[w] - 1;
    s->n_dying--;
    return true;
  }
  return false;
}

static void clunk_answered(struct vq_request *r) {
  struct p9 *s = r->owner;
  struct p9_clunk *k = container_of(r, struct p9_clunk, req);
  u32 fid;
  bool more;
  number_give(s, k->fid);
  spin_lock(&s->fid_lock);
  more = dying_take(s, &fid);
  if (!more)
    s->free_clunks |= 1u << (k - s->clunks);
  spin_unlock(&s->fid_lock);
  if (!more)
    return;
  submit_clunk(s, k, fid);
  vq_kick(s->q);
}

/* A free clunk, or NULL: then the fid is noted. */
static struct p9_clunk *clunk_take(struct p9 *s, u32 fid) {
  struct p9_clunk *k = NULL;
  spin_lock(&s->fid_lock);
  if (s->free_clunks) {
    k = &s->clunks[__builtin_ctz(s->free_clunks)];
    s->free_clunks &= s->free_clunks - 1;
  } else {
    s->dying[fid / 64] |= 1UL << fid % 64;
    s->n_dying++;
  }
  spin_unlock(&s->fid_lock);
  return k;
}

void p9_fid_put(struct p9_fid *f) {
  if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) != 0)
    return;
  struct p9 *s = f->session;
  spin_lock(&s->q->lock);
  struct p9_clunk *k = clunk_take(s, f->id);
  if (k)
    submit_clunk(s, k, f->id);
  spin_unlock(&s->q->lock);
  if (k)
    vq_kick(s->q);
  kfree(f);
}
