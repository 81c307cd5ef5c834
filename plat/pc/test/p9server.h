/* SPDX-License-Identifier: MIT */
/*
 * A 9P2000.L server over a real directory, for tests. Like QEMU's, a fid is a path until it is
 * opened, and renames change the paths of fids.
 */
#ifndef UFORK_PC_TEST_P9SERVER_H
#define UFORK_PC_TEST_P9SERVER_H

#include "lib/types.h"

#define SERVER_FIDS 512

struct server_fid;
struct p9server {
  const char *root;
  u32 msize;
  bool lenient; /* replies are falsified: the client cannot know which fids there are */
  struct server_fid *fids[SERVER_FIDS];
  unsigned n_fids, requests, fsyncs;
};

/* One request; the reply's length. */
u32 p9server_handle(struct p9server *s, const u8 *request, u32 n, u8 *reply, u32 cap);

#endif
