/* SPDX-License-Identifier: MIT */
/* Messages of 9P2000.L: numbers of the protocol, and little-endian fields in and out of a buffer.
 */
#ifndef UFORK_PC_P9_MSG_H
#define UFORK_PC_P9_MSG_H

#include "lib/types.h"

enum p9_type { /* of requests; the reply is one more */
               P9_LERROR = 6,
               P9_STATFS = 8,
               P9_LOPEN = 12,
               P9_LCREATE = 14,
               P9_SYMLINK = 16,
               P9_MKNOD = 18,
               P9_READLINK = 22,
               P9_GETATTR = 24,
               P9_SETATTR = 26,
               P9_READDIR = 40,
               P9_FSYNC = 50,
               P9_LINK = 70,
               P9_MKDIR = 72,
               P9_RENAMEAT = 74,
               P9_UNLINKAT = 76,
               P9_VERSION = 100,
               P9_ATTACH = 104,
               P9_WALK = 110,
               P9_READ = 116,
               P9_WRITE = 118,
               P9_CLUNK = 120,
};

#define P9_HEADER 7       /* size[4] type[1] tag[2] */
#define P9_DATA_HEADER 11 /* of Rread and Rreaddir, with their count; size of an Rlerror */
#define P9_WRITE_HEADER 23
#define P9_NOTAG 0xffff
#define P9_NOFID UINT32_MAX

#define P9_QID_DIR 0x80
#define P9_QID_SYMLINK 0x02

struct p9_qid {
  u8 type;
  u32 version;
  u64 path;
};

/* A buffer being filled or read. The first access that does not fit sets `bad`; then nothing is
   written and everything reads as zero, so that only the end need be checked. */
struct p9_msg {
  u8 *bytes;
  u32 at, size;
  bool bad;
};

void p9_put8(struct p9_msg *m, u8 v);
void p9_put16(struct p9_msg *m, u16 v);
void p9_put32(struct p9_msg *m, u32 v);
void p9_put64(struct p9_msg *m, u64 v);
void p9_put_bytes(struct p9_msg *m, const void *p, size_t n);
void p9_put_string(struct p9_msg *m, const char *s); /* at most 65535 bytes */

u8 p9_get8(struct p9_msg *m);
u16 p9_get16(struct p9_msg *m);
u32 p9_get32(struct p9_msg *m);
u64 p9_get64(struct p9_msg *m);
struct p9_qid p9_get_qid(struct p9_msg *m);
/* A string of at most size - 1 bytes without NULs into dst, terminated; its length. */
u32 p9_get_string(struct p9_msg *m, char *dst, size_t size);

#endif
