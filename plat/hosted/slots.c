/* SPDX-License-Identifier: MIT */
/*
 * The arena of regions: strides of UF_REGION_STRIDE, of which the upper half is guard. No host
 * mapping exists for a free one. Strides in which the host has something at start-up are left out;
 * later the host's allocations grow downwards from the top of the address space, or up from a third
 * of it, away from what is left.
 */
#include "kernel/errno.h"
#include "lib/string.h"
#include "plat/hosted/linux.h"
#include "plat/hosted/region.h"

#ifndef ARENA_LO /* a sanitizer's shadow memory needs them elsewhere */
#define ARENA_LO 0x100000000000UL
#define ALIAS_LO 0x010000000000UL
#endif
#ifndef ARENA_HI
#define ARENA_HI 0x700000000000UL
#endif
#define MAX_SLOTS ((ARENA_HI - ARENA_LO) / UF_REGION_STRIDE)

static struct spin lock;
static u64 taken[(MAX_SLOTS + 63) / 64]; /* bit set: not available */
static u32 free_slots, usable_slots;
static u64 random_state[8];
static u32 random_left;

static bool is_taken(u32 i) { return taken[i / 64] >> (i % 64) & 1; }
static void set_taken(u32 i) { taken[i / 64] |= 1UL << (i % 64); }

/* Takes out the strides that [from, to) touches, and those below it, whose guard it would lie in.
 */
static void exclude(u64 from, u64 to) {
  from = from > UF_REGION_STRIDE ? from - UF_REGION_STRIDE / 2 : 0;
  to += UF_REGION_STRIDE / 2;
  if (to <= ARENA_LO || from >= ARENA_HI)
    return;
  u64 first = (max_u64(from, ARENA_LO) - ARENA_LO) / UF_REGION_STRIDE;
  u64 last = (min_u64(to, ARENA_HI) - 1 - ARENA_LO) / UF_REGION_STRIDE;
  for (u64 i = first; i <= last; i++)
    set_taken((u32)i);
}

static u64 parse_hex(const char **p) {
  u64 v = 0;
  for (;; ++*p) {
    char c = **p;
    if (c >= '0' && c <= '9')
      v = v * 16 + (u64)(c - '0');
    else if (c >= 'a' && c <= 'f')
      v = v * 16 + (u64)(c - 'a' + 10);
    else
      return v;
  }
}

/* Reads the "from-to ..." lines of the host's list of mappings. */
static int exclude_host(void) {
  static char buf[4096 + 1];
  i64 fd = lx4(openat, LX_AT_FDCWD, "/proc/self/maps", 0, 0);
  if (fd < 0)
    return 0; /* no /proc: the usual layout is assumed */
  size_t have = 0;
  for (;;) {
    i64 n = lx3(read, fd, buf + have, sizeof(buf) - 1 - have);
    if (n <= 0)
      break;
    have += (size_t)n;
    buf[have] = 0;
    char *line = buf, *nl;
    while ((nl = strchr(line, '\n')) != NULL) {
      const char *p = line;
      u64 from = parse_hex(&p);
      p++;
      exclude(from, parse_hex(&p));
      line = nl + 1;
    }
    have -= (size_t)(line - buf);
    memmove(buf, line, have);
  }
  lx1(close, fd);
  return 0;
}

int slots_init(void) {
  int err = exclude_host();
  for (u32 i = 0; i < MAX_SLOTS; i++)
    free_slots += !is_taken(i);
  usable_slots = free_slots;
  return err;
}

static u32 random_u32(void) {
  if (random_left == 0) {
    plat_random(random_state, sizeof(random_state));
    random_left = 2 * ARRAY_LEN(random_state);
  }
  random_left--;
  return ((u32 *)random_state)[random_left];
}

int slot_take(u32 *slot, u64 *base) {
  int err = -EAGAIN;
  spin_lock(&lock);
  if (free_slots > 0) {
    u32 i = random_u32() % MAX_SLOTS;
    while (is_taken(i))
      i = (i + 1) % MAX_SLOTS;
    set_taken(i);
    free_slots--;
    *slot = i;
    *base = ARENA_LO + (u64)i * UF_REGION_STRIDE;
    err = 0;
  }
  spin_unlock(&lock);
  return err;
}

u32 slots_in_use(void) { return usable_slots - free_slots; }

void slot_give(u32 slot) {
  spin_lock(&lock);
  taken[slot / 64] &= ~(1UL << (slot % 64));
  free_slots++;
  spin_unlock(&lock);
}

/* ---- aliases --------------------------------------------------------------------------------- */

#define MAX_ALIASES ((ARENA_LO - ALIAS_LO - UF_REGION_STRIDE) / UF_REGION_SIZE)

static u64 alias_taken[(MAX_ALIASES + 63) / 64];
static u32 alias_hint;

int alias_take(u32 *slot, u64 *base) {
  int err = -ENOMEM;
  spin_lock(&lock);
  for (u32 n = 0; n < ARRAY_LEN(alias_taken) && err; n++) {
    u32 w = (alias_hint + n) % ARRAY_LEN(alias_taken);
    if (~alias_taken[w] == 0)
      continue;
    u32 i = w * 64 + (u32)__builtin_ctzl(~alias_taken[w]);
    if (i >= MAX_ALIASES)
      continue;
    alias_taken[w] |= 1UL << (i % 64);
    alias_hint = w;
    *slot = i;
    *base = ALIAS_LO + (u64)i * UF_REGION_SIZE;
    err = 0;
  }
  spin_unlock(&lock);
  return err;
}

void alias_give(u32 slot) {
  spin_lock(&lock);
  alias_taken[slot / 64] &= ~(1UL << (slot % 64));
  spin_unlock(&lock);
}
