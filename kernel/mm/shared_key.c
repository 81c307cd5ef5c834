/* SPDX-License-Identifier: MIT */
#include "kernel/mm/space.h"

bool space_shared_key(struct space *s, u64 off, const void **owner, u64 *at) {
  mutex_lock(&s->lock);
  const struct vma *v = vma_find(&s->vmas, off);
  bool shared = v && v->kind == VMA_SHARED && v->obj;
  if (shared) {
    *owner = v->obj;
    *at = v->obj_off + (off - v->off);
  }
  mutex_unlock(&s->lock);
  return shared;
}
