/* SPDX-License-Identifier: MIT */
/*
 * A session with a 9P2000.L server over a virtqueue: requests, replies, fids. The server is not
 * trusted with more than the contents of its export: every size and count of a reply is checked
 * against what was asked for, and a reply that does not fit is -EIO.
 *
 * Requests sleep until the reply is there, several threads' at a time. Giving a fid back (Tclunk)
 * does not wait for the reply, so it is possible in any context; its number is used again only
 * after the reply.
 */
#ifndef UFORK_PC_P9_CLIENT_H
#define UFORK_PC_P9_CLIENT_H

#include "plat/pc/p9/msg.h"
#include "plat/pc/virtio/virtqueue.h"

#define P9_TAG_MAX 64 /* name of an export, with its NUL */
#define P9_REQUESTS 8u
#define P9_CLUNKS 16u
#define P9_FIDS 32768u
#define P9_SMALL 8192u      /* a message without file data */
#define P9_DATA_MAX KIB(64) /* file data in one message */
#define P9_MSIZE (P9_DATA_MAX + 4096)
#define P9_CHAIN 4u /* descriptors per request */

struct p9;

/* A fid of the server, shared by reference count; the last put clunks it. */
struct p9_fid {
  u32 refs;
  u32 id;
  struct p9 *session;
};

struct p9_request {
  struct vq_request req;
  u8 *out, *in, *data; /* P9_SMALL, P9_SMALL, P9_DATA_MAX bytes, from the first use on */
};

struct p9_clunk {
  struct vq_request req;
  u32 fid;
  u8 out[P9_DATA_HEADER], in[P9_DATA_HEADER];
};

struct p9 {
  struct p9 *next;
  char tag[P9_TAG_MAX];
  struct virtqueue *q;
  struct mutex start_lock;
  bool started;
  u32 data_max; /* file data in one message, as negotiated */
  struct vq_slots slots;
  struct p9_request requests[P9_REQUESTS];

  struct spin fid_lock; /* the rest; taken inside the queue's lock */
  u32 free_clunks;
  struct p9_clunk clunks[P9_CLUNKS];
  u32 n_dying, hint;
  u64 used[P9_FIDS / 64];  /* fid numbers */
  u64 dying[P9_FIDS / 64]; /* to be clunked when a clunk is free */
};

/* Sets up *s (zeroed) over a queue with at least P9_CHAIN entries and makes it known by its tag.
   Boot. */
void p9_register(struct p9 *s, struct virtqueue *q, const char *tag);
/* The session of the export `tag` (n bytes), or NULL. */
struct p9 *p9_find(const char *tag, size_t n);
/* Agrees on the protocol once; further calls return 0. -EPROTONOSUPPORT, -EIO. Thread context. */
int p9_start(struct p9 *s);

/* ---- fids
 * ------------------------------------------------------------------------------------------ */

/* A number for a new fid, nothing sent. -ENFILE, -ENOMEM. */
int p9_fid_new(struct p9 *s, struct p9_fid **out);
struct p9_fid *p9_fid_get(struct p9_fid *f);
void p9_fid_put(struct p9_fid *f);
/* For one that the server has never heard of (the request that was to make it failed). */
void p9_fid_forget(struct p9_fid *f);

/* ---- calls
 * ------------------------------------------------------------------------------------------ */

/*
 * p9_begin; fields of the request into c->t; p9_do; fields of the reply out of c->r, then
 * p9_reply_bad; p9_end in any case after a successful p9_begin.
 */
struct p9_call {
  struct p9 *session;
  u32 slot, type;
  u8 *data;  /* file data of Twrite, Rread, Rreaddir: P9_DATA_MAX bytes */
  u32 count; /* of file data in Rread and Rreaddir */
  struct p9_msg t, r;
};
int p9_begin(struct p9 *s, enum p9_type type, struct p9_call *c); /* -ENOMEM */
/* Sends: out_data bytes of c->data follow the request (Twrite), up to in_data bytes are expected
   as data of the reply (Rread, Rreaddir: c->count of them came). 0, the server's error, -EIO. */
int p9_do(struct p9_call *c, u32 out_data, u32 in_data);
/* -EIO if more was taken from the reply than it holds. */
static inline int p9_reply_bad(const struct p9_call *c) { return c->r.bad ? -5 /* EIO */ : 0; }
void p9_end(struct p9_call *c);

#endif
