/* SPDX-License-Identifier: MIT */
#include "kernel/mm/usercopy.h"
#include "kernel/plat.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall/syscall.h"

#define GRND_NONBLOCK 1u
#define GRND_RANDOM 2u
#define GRND_INSECURE 4u
#define CHUNK 256

i64 sys_getrandom(struct uregs *r) {
  u8 buf[CHUNK];
  u64 n = min_u64(r->rsi, INT32_MAX), done = 0;
  u32 flags = (u32)r->rdx;
  if ((flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) ||
      (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
    return -EINVAL;
  while (done < n) {
    size_t part = min_u64(n - done, CHUNK);
    plat_random(buf, part);
    if (copy_to_user(r->rdi + done, buf, part) < 0)
      return done > 0 ? (i64)done : -EFAULT;
    done += part;
    if (done > CHUNK && signal_pending()) /* up to 256 bytes are never cut short */
      break;
  }
  return (i64)done;
}
