/* SPDX-License-Identifier: MIT */
#include "plat/pc/p9/msg.h"
#include "lib/string.h"

/* The next n bytes, or NULL if they do not fit. */
static u8 *take(struct p9_msg *m, size_t n) {
  u8 *p = m->bytes + m->at;
  if (m->bad || n > m->size - m->at) {
    m->bad = true;
    return NULL;
  }
  m->at += (u32)n;
  return p;
}

static void put(struct p9_msg *m, u64 v, size_t n) {
  u8 *p = take(m, n);
  for (size_t k = 0; p && k < n; k++)
    p[k] = (u8)(v >> 8 * k);
}

static u64 get(struct p9_msg *m, size_t n) {
  const u8 *p = take(m, n);
  u64 v = 0;
  for (size_t k = 0; p && k < n; k++)
    v |= (u64)p[k] << 8 * k;
  return v;
}

void p9_put8(struct p9_msg *m, u8 v) { put(m, v, 1); }
void p9_put16(struct p9_msg *m, u16 v) { put(m, v, 2); }
void p9_put32(struct p9_msg *m, u32 v) { put(m, v, 4); }
void p9_put64(struct p9_msg *m, u64 v) { put(m, v, 8); }

void p9_put_bytes(struct p9_msg *m, const void *bytes, size_t n) {
  u8 *p = take(m, n);
  if (p)
    memcpy(p, bytes, n);
}

void p9_put_string(struct p9_msg *m, const char *s) {
  size_t n = strnlen(s, UINT16_MAX + 1UL);
  if (n > UINT16_MAX) {
    m->bad = true;
    return;
  }
  p9_put16(m, (u16)n);
  p9_put_bytes(m, s, n);
}

u8 p9_get8(struct p9_msg *m) { return (u8)get(m, 1); }
u16 p9_get16(struct p9_msg *m) { return (u16)get(m, 2); }
u32 p9_get32(struct p9_msg *m) { return (u32)get(m, 4); }
u64 p9_get64(struct p9_msg *m) { return get(m, 8); }

struct p9_qid p9_get_qid(struct p9_msg *m) {
  struct p9_qid q;
  q.type = p9_get8(m);
  q.version = p9_get32(m);
  q.path = p9_get64(m);
  return q;
}

u32 p9_get_string(struct p9_msg *m, char *dst, size_t size) {
  u16 n = p9_get16(m);
  const u8 *p = take(m, n);
  dst[0] = 0;
  if (!p || n >= size || memchr(p, 0, n)) {
    m->bad = true;
    return 0;
  }
  memcpy(dst, p, n);
  dst[n] = 0;
  return n;
}
