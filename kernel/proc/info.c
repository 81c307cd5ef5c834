/* SPDX-License-Identifier: MIT */
/* What a process may ask about the system it runs on. */
#include "kernel/mm/usercopy.h"
#include "kernel/proc/proc.h"
#include "kernel/syscall/syscall.h"
#include "kernel/time/clock.h"
#include "kernel/version.h"
#include "lib/string.h"

#define UTS_LEN 65

/* ---- names ------------------------------------------------------------------------------- */

static struct spin uts_lock;
static char hostname[UTS_LEN] = "ufork";
static char domainname[UTS_LEN] = "(none)";

i64 sys_uname(struct uregs *r) {
  char uts[6][UTS_LEN];
  memset(uts, 0, sizeof uts);
  str_copy(uts[0], "Linux", UTS_LEN); /* the system-call ABI, which is what programs ask for */
  str_copy(uts[2], UFORK_UTS_RELEASE, UTS_LEN);
  str_copy(uts[3], "uFork " UFORK_VERSION, UTS_LEN);
  str_copy(uts[4], "x86_64", UTS_LEN);
  spin_lock(&uts_lock);
  memcpy(uts[1], hostname, UTS_LEN);
  memcpy(uts[5], domainname, UTS_LEN);
  spin_unlock(&uts_lock);
  return copy_to_user(r->rdi, uts, sizeof uts);
}

static i64 set_name(struct uregs *r, char *name) {
  char new_name[UTS_LEN];
  u64 n = r->rsi;
  if (!cred_is_root())
    return -EPERM;
  if (n >= UTS_LEN)
    return -EINVAL;
  if (copy_from_user(new_name, r->rdi, n))
    return -EFAULT;
  memset(new_name + n, 0, UTS_LEN - n);
  spin_lock(&uts_lock);
  memcpy(name, new_name, UTS_LEN);
  spin_unlock(&uts_lock);
  return 0;
}

i64 sys_sethostname(struct uregs *r) { return set_name(r, hostname); }
i64 sys_setdomainname(struct uregs *r) { return set_name(r, domainname); }

void info_hostname(char *buf, size_t size) {
  spin_lock(&uts_lock);
  str_copy(buf, hostname, size);
  spin_unlock(&uts_lock);
}

/* ---- the system -------------------------------------------------------------------------- */

struct ksysinfo {
  i64 uptime;
  u64 loads[3];
  u64 totalram, freeram, sharedram, bufferram, totalswap, freeswap;
  u16 procs, pad;
  u32 pad2;
  u64 totalhigh, freehigh;
  u32 mem_unit;
};

u64 proc_memory_free(void) {
  struct plat_memory m;
  plat_memory(&m);
  u64 limit = plat_mem_limit(), used = max_u64(plat_mem_used(), m.kernel_bytes + m.user_bytes);
  return used < limit ? limit - used : 0;
}

i64 sys_sysinfo(struct uregs *r) {
  struct ksysinfo s;
  memset(&s, 0, sizeof s);
  s.uptime = (i64)(plat_now() / NSEC_PER_SEC);
  s.totalram = plat_mem_limit();
  s.freeram = proc_memory_free();
  s.procs = (u16)min_u64(proc_count(), UINT16_MAX);
  s.mem_unit = 1;
  return copy_to_user(r->rdi, &s, sizeof s);
}

i64 sys_getcpu(struct uregs *r) {
  u32 cpu = thread_current()->cpu, node = 0;
  if ((r->rdi && copy_to_user(r->rdi, &cpu, sizeof cpu)) ||
      (r->rsi && copy_to_user(r->rsi, &node, sizeof node)))
    return -EFAULT;
  return 0;
}
