/* SPDX-License-Identifier: MIT */
/*
 * Page tables and page directories of regions, which fork shares. Beside the page that the
 * hardware reads, each has a struct with its references and a map of the entries in use, so that
 * copying and freeing a table takes time by what is in it.
 *
 * Entries. Software bits say what is mapped; E_P and E_W only what can be accessed without a fault:
 *   0                     what the table's `fill` says: nothing, or a page like all others here
 *   E_MAPPED              something is mapped: E_MAY_R, E_MAY_W are its protection
 *     + E_FRAME           and there is a frame in E_ADDR, to which this entry holds a reference
 *     + E_P, no E_FRAME   the frame of zeros, which all share
 *     + E_OBJECT          it belongs to a memory object (E_FRAME: one of its frames)
 *   E_HOLE                nothing is mapped, whatever `fill` says
 * In a directory an entry is 0, a table (E_P), or, for 2 MiB that are all alike, such an entry
 * without a frame.
 *
 * Sharing. A table with more than one reference never changes, but for write bits of private pages
 * (in a directory: of tables) being cleared; whoever wants to change it copies it first
 * (table_copy), which takes a reference to each frame (table) below and clears its write bit in
 * both. The entry above a shared table has no write bit, so no CPU can write through it. The last
 * who holds a table finds one reference at its next fault and sets the bit above again: nothing is
 * walked. References to a table only grow through somebody who holds one and whose region is
 * locked, so one reference stays one while that region's lock is held.
 *
 * All entries have E_A and E_D set when they are made, so that the hardware never writes to a
 * shared table; E_EAGER pages lack E_D, which then tells whether the page was written.
 */
#ifndef UFORK_PC_TABLE_H
#define UFORK_PC_TABLE_H

#include "plat/pc/pagetable.h"

#define E_MAPPED (1UL << 9)
#define E_MAY_R (1UL << 10)
#define E_MAY_W (1UL << 11)
#define E_OBJECT (1UL << 52)
#define E_FRAME (1UL << 53)
#define E_EAGER (1UL << 54) /* copied ahead by fork */
#define E_HOLE (1UL << 55)

/* What stays of an entry when its frame goes. */
#define E_KIND (E_MAPPED | E_MAY_R | E_MAY_W | E_OBJECT)
/* Rights of an entry that points to a table, and of one that points to a page. */
#define E_TABLE (E_P | E_W | E_A)
#define E_PAGE (E_P | E_A | E_D | E_NX)

#define TABLE_ENTRIES 512u
#define TABLE_SPAN MIB(2) /* of a page table */
#define DIR_SPAN GIB(1)   /* of a directory */

enum table_level { TABLE_PAGES, TABLE_DIR };

struct table {
  u32 refs;   /* entries and regions that hold it; atomic */
  u8 level;   /* enum table_level */
  u8 words;   /* bit w: used[w] may be other than 0 */
  u16 frames; /* TABLE_PAGES: entries with E_FRAME */
  paddr at;
  u64 *e; /* the page, in the direct map */
  u64 fill;
  u64 used[TABLE_ENTRIES / 64]; /* entries that are not 0 */
  struct table *next;           /* in a list of tables to be freed */
};

/* An empty table with one reference; NULL: no memory. */
struct table *table_new(enum table_level level);

static inline void table_get(struct table *t) { __atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED); }
static inline bool table_shared(const struct table *t) {
  return __atomic_load_n(&t->refs, __ATOMIC_ACQUIRE) != 1;
}
/* Drops a reference; the last one frees what is below as well. */
void table_put(struct table *t);
/* Frees a table with one reference whose entries are all 0. */
void table_free(struct table *t);

/* A copy of t, which is shared, with one reference, as described above. NULL: no memory, nothing
   has changed. */
struct table *table_copy(struct table *t);
/* The same for one entry: takes a reference to what entry i points to, clears its write bit, and
   returns the entry for the copy. If the bit was set in a table that is not shared, the caller
   flushes TLBs. */
u64 table_share(struct table *t, unsigned i);

/* The table that a directory's entry points to. */
static inline struct table *table_of(u64 entry) { return frame_owner(entry & E_ADDR); }

/* Entry i of a table that may be shared: others may be clearing its write bit. */
static inline u64 table_load(const struct table *t, unsigned i) {
  return __atomic_load_n(&t->e[i], __ATOMIC_RELAXED);
}
/* Entry i as it counts. */
static inline u64 table_entry(const struct table *t, unsigned i) {
  u64 e = table_load(t, i);
  return e ? e : t->fill;
}
/* Stores an entry of an unshared table; e 0: nothing is mapped. Keeps the counts of t, but no
   frame's references. */
void table_set(struct table *t, unsigned i, u64 e);
bool table_empty(const struct table *t); /* nothing is mapped in it */

/* Next entry in use at or after i, or TABLE_ENTRIES. */
static inline unsigned table_next(const struct table *t, unsigned i) {
  for (unsigned w = i / 64; w < TABLE_ENTRIES / 64; w++) {
    u64 bits = t->used[w] & (w == i / 64 ? ~0UL << i % 64 : ~0UL);
    if (bits)
      return w * 64 + (unsigned)__builtin_ctzl(bits);
  }
  return TABLE_ENTRIES;
}
// NOLINTBEGIN(bugprone-macro-parentheses): i is declared
#define table_each(i, t)                                                                           \
  for (unsigned i = table_next(t, 0); i < TABLE_ENTRIES; i = table_next(t, i + 1))
// NOLINTEND(bugprone-macro-parentheses)

/* Marks an entry that was 0 as in use. */
static inline void table_mark(struct table *t, unsigned i) {
  t->used[i / 64] |= 1UL << i % 64;
  t->words |= (u8)(1u << i / 64);
}
// NOLINTBEGIN(bugprone-macro-parentheses): w is declared
#define table_each_word(w, t)                                                                      \
  for (unsigned bits_ = (t)->words, w = 0; bits_ && (w = (unsigned)__builtin_ctz(bits_), true);    \
       bits_ &= bits_ - 1)
// NOLINTEND(bugprone-macro-parentheses)

/* Frees the tables that CPUs keep ready for reuse (tests; low memory). */
void tables_drain(void);
u64 tables_spare(void); /* how many they keep */
u64 tables_made(void);  /* in use and kept ready */

#endif
