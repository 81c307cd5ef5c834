/* SPDX-License-Identifier: MIT */
#include "plat/pc/random.h"
#include "kernel/plat.h"
#include "lib/spin.h"
#include "lib/string.h"

#define RESEED_BYTES MIB(1)
#define TRIES 16 /* of RDRAND and RDSEED, which may be empty for a moment */

static struct spin lock; /* key, nonce, given */
static u32 key[8];
static u64 nonce;
static u64 given; /* bytes since the last random_wants_more that was true */
static u32 seeded;
static u32 have_entropy; /* from a source that nobody can predict */

/* ---- ChaCha20
 * ------------------------------------------------------------------------------------ */

static u32 rotl(u32 v, int n) { return v << n | v >> (32 - n); }

static void quarter(u32 *x, int a, int b, int c, int d) {
  x[a] += x[b], x[d] = rotl(x[d] ^ x[a], 16);
  x[c] += x[d], x[b] = rotl(x[b] ^ x[c], 12);
  x[a] += x[b], x[d] = rotl(x[d] ^ x[a], 8);
  x[c] += x[d], x[b] = rotl(x[b] ^ x[c], 7);
}

static void block(const u32 k[8], u64 counter, u64 iv, u32 out[16]) {
  u32 in[16] = {
      0x61707865, 0x3320646e,     0x79622d32, 0x6b206574, k[0], k[1],         k[2],
      k[3],       k[4],           k[5],       k[6],       k[7], (u32)counter, (u32)(counter >> 32),
      (u32)iv,    (u32)(iv >> 32)};
  memcpy(out, in, sizeof in);
  for (int round = 0; round < 10; round++) {
    quarter(out, 0, 4, 8, 12), quarter(out, 1, 5, 9, 13);
    quarter(out, 2, 6, 10, 14), quarter(out, 3, 7, 11, 15);
    quarter(out, 0, 5, 10, 15), quarter(out, 1, 6, 11, 12);
    quarter(out, 2, 7, 8, 13), quarter(out, 3, 4, 9, 14);
  }
  for (int k2 = 0; k2 < 16; k2++)
    out[k2] += in[k2];
}

/* ---- the state
 * ------------------------------------------------------------------------------------- */

/* A key for one caller; the state moves on to one that does not tell it. */
static void take_key(u32 out[8]) {
  u32 b[16];
  spin_lock(&lock);
  block(key, 0, nonce++, b);
  memcpy(key, b, sizeof key);
  spin_unlock(&lock);
  memcpy(out, b + 8, 32);
  memset(b, 0, sizeof b);
}

static void mix_piece(const u8 *p, size_t n) {
  u32 piece[8] = {0}, b[16];
  memcpy(piece, p, n);
  for (int k = 0; k < 8; k++)
    key[k] ^= piece[k];
  block(key, n, nonce++, b);
  memcpy(key, b, sizeof key);
  memset(b, 0, sizeof b);
}

static void mix(const void *bytes, size_t n) {
  const u8 *p = bytes;
  spin_lock(&lock);
  for (; n > 0; p += min_u64(n, 32), n -= min_u64(n, 32))
    mix_piece(p, min_u64(n, 32));
  spin_unlock(&lock);
}

void random_add(const void *bytes, size_t n) {
  mix(bytes, n);
  if (n > 0)
    __atomic_store_n(&have_entropy, 1, __ATOMIC_RELEASE);
}

bool random_wants_more(void) {
  if (__atomic_load_n(&given, __ATOMIC_RELAXED) < RESEED_BYTES)
    return false;
  __atomic_store_n(&given, 0, __ATOMIC_RELAXED);
  return true;
}

/* ---- the CPU's own
 * --------------------------------------------------------------------------------- */

static void cpuid(u32 leaf, u32 r[4]) {
  __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

static bool rdrand(u64 *v) {
  bool ok;
  __asm__ volatile("rdrand %0; setc %1" : "=r"(*v), "=qm"(ok)::"cc");
  return ok;
}

static bool rdseed(u64 *v) {
  bool ok;
  __asm__ volatile("rdseed %0; setc %1" : "=r"(*v), "=qm"(ok)::"cc");
  return ok;
}

static void add_from(bool (*source)(u64 *v)) {
  u64 v = 0;
  for (int words = 0; words < 8; words++)
    for (int k = 0; k < TRIES; k++)
      if (source(&v)) {
        random_add(&v, sizeof v);
        break;
      }
}

void random_init(void) {
  u32 r[4], max;
  if (__atomic_exchange_n(&seeded, 1, __ATOMIC_ACQ_REL))
    return;
  cpuid(0, r);
  max = r[0];
  for (int k = 0; k < 64; k++) {
    u64 t = __builtin_ia32_rdtsc();
    mix(&t, sizeof t);
  }
  cpuid(1, r);
  if (r[2] & 1u << 30)
    add_from(rdrand);
  if (max >= 7) {
    cpuid(7, r);
    if (r[1] & 1u << 18)
      add_from(rdseed);
  }
}

void plat_random(void *buf, size_t n) {
  u32 k[8], b[16];
  u8 *to = buf;
  random_init();
  if (!__atomic_load_n(&have_entropy, __ATOMIC_ACQUIRE))
    plat_panic("no entropy: this needs a CPU with RDRAND, or a virtio-rng device");
  __atomic_add_fetch(&given, n, __ATOMIC_RELAXED);
  take_key(k);
  for (u64 counter = 0; n > 0; counter++) {
    size_t piece = min_u64(n, sizeof b);
    block(k, counter, 0, b);
    memcpy(to, b, piece);
    to += piece;
    n -= piece;
  }
  memset(k, 0, sizeof k);
  memset(b, 0, sizeof b);
}
