/* SPDX-License-Identifier: MIT */
/*
 * The platform interface: all that the kernel core knows of what lies beneath it, and what a
 * platform may call in the core. Platforms are sibling folders plat/NAME with the same file names.
 *
 * Conventions. Functions return 0 or -errno unless said otherwise. Times are nanoseconds.
 * "Context": *thread* = on the kernel stack of a thread, may sleep; *any* = also with
 * spinlocks held. The kernel is never preempted by its own scheduler: an interrupt that finds
 * a CPU inside the kernel only sets thread->work / cpu->need_resched.
 */
#ifndef UFORK_KERNEL_PLAT_H
#define UFORK_KERNEL_PLAT_H

#include "kernel/regs.h"
#include "lib/types.h"

struct thread;
struct region;
struct memobj;
struct inode;
struct sock;
struct file;

/* ---- kernel memory ------------------------------------------------------------------- */

/* n zeroed, contiguous page frames of kernel memory aligned to `align` (power of two, at least
   PAGE_SIZE); NULL when out of memory. Any context. */
void *plat_pages_alloc(size_t n, size_t align);
/* Gives back exactly what plat_pages_alloc returned. Any context. */
void plat_pages_free(void *p, size_t n);

/* The block of a thread (kernel/thread.h has its layout), zeroed, below it a guard that nothing is
   mapped in where the platform can have one; NULL when out of memory. Context: thread or boot. */
struct thread *plat_thread_alloc(void);
/* Gives back a block that nobody runs on. Context: as above, spinlocks may be held. */
void plat_thread_free(struct thread *t);

/* Bytes of memory the instance may use in all (--memory), and bytes in use now, regions included.
 */
u64 plat_mem_limit(void);
u64 plat_mem_used(void);
/* Is there room for another `more` bytes of user memory? They count as touched until the platform
   has looked again at what really is. */
bool plat_mem_fits(u64 more);

/* Where it went. Figures for --stats and /proc/meminfo; not for a hot path. */
struct plat_memory {
  u64 kernel_bytes;          /* given out by plat_pages_alloc and plat_thread_alloc */
  u64 user_bytes;            /* of regions (hosted: mapped for good) and memory objects */
  u64 table_bytes;           /* page tables (hosted: the host's, for this process) */
  u32 regions, warm_regions; /* that exist; of these, kept for the next fork */
};
void plat_memory(struct plat_memory *m);

/* ---- CPUs ---------------------------------------------------------------------------- */

/* Number of CPUs (vCPUs); fixed after boot, at most MAX_CPUS. */
unsigned plat_ncpus(void);

/* Prepares t (kernel stack empty) so that the first plat_switch to it calls entry(t) on its
   kernel stack; entry never returns. */
void plat_thread_init(struct thread *t, void (*entry)(struct thread *t));

/* Switches from the running thread to `to`: kernel stack, callee-saved registers, region base
   (%gs) and the vector state of user threads. Returns when `from` is switched to again, maybe
   on another CPU. No locks held but the caller's runqueue lock. */
void plat_switch(struct thread *from, struct thread *to);

/* Loads the region of the running thread into %gs and its TCB slots, after exec or vfork
   changed thread->region. */
void plat_region_activate(struct thread *t);
/* From its next system call on the running thread comes in through syscall_traced, or as usual. */
void plat_watch_calls(bool on);

/* Resumes user mode with every register of r; r->rip and r->rsp are trusted. Never returns. */
_Noreturn void plat_user_enter(struct thread *t, const struct uregs *r);

/* Vector state: child gets a copy of the running thread's; reset to the ABI's initial state
   (exec). Context: thread, the running thread. */
void plat_fpu_copy(struct thread *child);
void plat_fpu_reset(void);
/* Saves the running thread's vector state (PLAT_FPU_SIZE bytes, FXSAVE layout first) to buf, or
   loads it from there with reserved bits masked: signal frames. */
#define PLAT_FPU_SIZE 1024
void plat_fpu_save(void *buf);
void plat_fpu_load(const void *buf);

/* Gives the CPU to whoever may hold a lock that the caller spins for (lib/spin.h). Any context. */
void plat_relax(void);

/* Makes `cpu` look at its runqueue and at its running thread's work soon: interrupts user code,
   wakes an idle CPU. Any context; cheap when cpu is the caller's. */
void plat_cpu_kick(unsigned cpu);

/* Sleeps until a kick, an I/O event or `deadline` (absolute plat_now; UINT64_MAX: none); delivers
   I/O events (calls pollq_wake) before it returns. May return early. Context: idle thread. */
void plat_cpu_idle(unsigned cpu, u64 deadline);

/* As plat_cpu_idle, but may be deaf to I/O events: they wait for somebody who listens. */
void plat_cpu_nap(unsigned cpu, u64 deadline);

/* Delivers I/O events that are there now, without sleeping; those that an idle CPU is about to
   deliver may be left to it. Context: thread. */
void plat_poll_io(void);
/* All of them: somebody asks what is ready and will not wait. */
void plat_poll_all_io(void);

/* Tells whether this CPU has queued work beside its running thread: if so the platform interrupts
   user code on it every PLAT_TICK_NS with trap_tick, and while another CPU is idle every
   PLAT_WATCH_NS, or calls sched_watch as often. Any context. */
#define PLAT_TICK_NS 2000000
#define PLAT_WATCH_NS 500000
void plat_tick_needed(unsigned cpu, bool needed);

/* Earliest pending timer changed to `deadline`: a busy CPU is interrupted with trap_tick soon after
   it at the latest (one tick late at most). Any context. */
void plat_timer_changed(u64 deadline);

/* ---- time and entropy ---------------------------------------------------------------- */

u64 plat_now(void); /* monotonic */
/* As plat_now, cheaper: monotonic on one CPU, a few microseconds off plat_now at most. Context: a
   CPU that runs the scheduler. */
u64 plat_now_here(void);
u64 plat_walltime(void); /* since 1970 */
/* CPU time is derived from plat_now_here by the scheduler. The platform interrupts a busy CPU every
   so often of its running time and counts in thread->used of the running thread whether that was in
   user code or in the core. */
void plat_random(void *buf, size_t n);

/* ---- text window --------------------------------------------------------------------- */

/* Makes `size` bytes (multiple of PAGE_SIZE) of verified code executable at window address addr
   (page-aligned, chosen by the core, not in use). The code is copied. Context: thread. */
int plat_text_install(u32 addr, const void *code, size_t size);
void plat_text_remove(u32 addr, size_t size);

/* ---- regions ------------------------------------------------------------------------- */
/*
 * A region is the memory of one µprocess (threads and vfork share it): UF_REGION_SIZE bytes of
 * address space at a random base. The core decides what is mapped where (kernel/mm), the
 * platform maps it and makes fork cheap. Offsets and lengths are page-aligned; the core
 * serialises calls on one region (struct space's lock), different regions run in parallel.
 *
 * Memory classes tell the platform how to fork it: HOT is small and written soon after a fork
 * (data, bss, brk heap, stack): worth copying ahead. COLD may be large: copy-on-write.
 * A fresh private page reads as zeros, always, whoever had the frame before.
 */
enum region_class { REGION_HOT, REGION_COLD };

/* PROT_* of Linux: 1 read, 2 write. Never executable. */
#define REGION_READ 1
#define REGION_WRITE 2

/* `group` keys the pool of warm regions (the image's id): regions of one group are alike. */
int region_create(u64 group, struct region **out);
/* Unmaps and frees everything; no thread runs in it. */
void region_destroy(struct region *r);
u64 region_base(const struct region *r);
/* Regions that exist, but for those the platform keeps warm for later. Any context. */
unsigned region_count(void);
/* Gives back what the platform keeps warm. Context: thread. */
void region_trim(void);

/* Private zeroed memory. The range is unmapped. -ENOMEM. */
int region_map(struct region *r, u32 off, u32 len, int prot, enum region_class c);
/* A memory object's pages from objoff on, shared with all who map it (survives fork shared). */
int region_map_object(struct region *r, u32 off, u32 len, int prot, struct memobj *o, u64 objoff);
/* Unmaps whatever is mapped in the range (holes are fine); private contents are lost. `lazily`: the
   region's own code may still be able to touch the memory for a while, if the platform has reason
   to expect that the range is mapped again soon. */
int region_unmap(struct region *r, u32 off, u32 len, bool lazily);
int region_protect(struct region *r, u32 off, u32 len, int prot);
/* Private memory of the range reads as zeros again (MADV_DONTNEED). */
int region_discard(struct region *r, u32 off, u32 len);

/*
 * The copy of fork: *out is a new region with the same mappings; private memory has the same
 * contents, copied or copy-on-write; objects are shared. All threads of the parent but the
 * caller are parked. `sp` is the offset of the forking thread's stack pointer: bytes of the main
 * stack area [stack_lo, stack_hi) below sp - 128 need not be copied, but must read as zeros or
 * as the parent's. -ENOMEM, -EAGAIN (no region free); on error nothing has changed.
 */
struct region_fork_args {
  u32 sp;
  u32 stack_lo, stack_hi; /* stack_hi 0: sp is not in the main stack, copy everything */
  bool may_move; /* the parent may get another base (region_base), even if fork fails: nobody holds
                    an address in it */
};
int region_fork(struct region *parent, const struct region_fork_args *a, struct region **out);

/* Before anything else uses the memory of a region that region_fork has made: its first thread, or
   who looks at it earlier. fork may have left work for then. More than once does no harm. Context:
   thread. */
void region_begin(struct region *r);
/* A thread that forked, and whose calls the platform has watched since, goes on with other things:
   what it has touched of r since will be touched after the next fork as well. Context: thread. */
void region_after_fork(struct region *r);

/* A fault at offset off in user code or a user copy: true if the platform resolved it itself
   (its own copy-on-write), false if the core must decide. Context: thread. */
bool region_fault(struct region *r, u32 off, bool write);

/* Bytes of private memory (page frames not shared with any other region), of shared memory that is
   resident, of what the platform keeps to know the region, and of the page tables that are there
   for it alone (hosted: as many as the host needs for what is mapped). */
struct region_usage {
  u64 private_bytes, shared_bytes;
  u64 record_bytes, table_bytes;
};
void region_usage(struct region *r, struct region_usage *u);
/* The same of [off, end), the first two alone (the others are 0): never more than its size. What a
   region keeps elsewhere for its children's or its own sake is not in any range. Takes as long as
   page tables take to be walked. */
void region_usage_of(struct region *r, u64 off, u64 end, struct region_usage *u);

/* Memory objects (MAP_SHARED anonymous, memfd, tmpfs file contents, shared rodata of images):
   reference-counted, sparse, zero-filled, grow on demand up to the size given to resize. */
int memobj_create(u64 size, struct memobj **out);
void memobj_get(struct memobj *o);
void memobj_put(struct memobj *o);
int memobj_resize(struct memobj *o, u64 size);
/* Copies between kernel or validated user memory and the object: returns bytes or -errno
   (-EFAULT if buf is user memory that is not there). */
i64 memobj_read(struct memobj *o, u64 at, void *buf, size_t n);
i64 memobj_write(struct memobj *o, u64 at, const void *buf, size_t n);
/* Frees the frames of the range; it reads as zeros. */
int memobj_punch(struct memobj *o, u64 at, u64 n);

/* ---- user memory --------------------------------------------------------------------- */

/* memcpy where one side may fault: returns 0, or -EFAULT if a page is not there. `user` is an
   absolute address inside a region (the core has checked the range). */
int plat_copy_in(void *dst, const void *user, size_t n);
int plat_copy_out(void *user, const void *src, size_t n);
/* The same, once, where the user's side lies in the running thread's own region: -EFAULT if a page
   is not there now or may not be written yet; the caller then takes one of the above. 4 and 8 bytes
   are one access. Any context. The second and third for one word, which costs less. In plat_user.h:
static inline int plat_copy_try(void *dst, const void *src, size_t n);
static inline int plat_try_load64(const void *user, u64 *v);
static inline int plat_try_store64(void *user, u64 v); */
/* Atomic 32-bit operations on user memory for futexes and robust lists; -EFAULT. */
int plat_user_load32(const void *user, u32 *v);
int plat_user_cmpxchg32(void *user, u32 old, u32 new_, u32 *seen);

/* ---- devices: implemented against kernel/fs/file.h and kernel/net/sock.h --------------- */

/* Standard stream n (0, 1, 2) of the instance as an open file; the caller owns the reference. */
int plat_stdio(int n, struct file **out);
/* Root directory of a host directory (hosted: --root, --dir; pc: 9p) as an inode whose tree
   cannot be left; -ENODEV where the platform has none. The caller owns the reference. */
int plat_hostfs(const char *host_path, bool read_only, struct inode **out);
/* A socket of the host's or the platform's own network stack: AF_INET, AF_INET6. */
int plat_sock_create(int domain, int type, int protocol, struct sock **out);

/* ---- life and death ------------------------------------------------------------------ */

/* Prints to the platform's log (stderr, serial). Any context. */
void plat_log(const char *text, size_t n);
/* A kernel bug: message, backtrace, and the instance is gone. */
_Noreturn void plat_panic(const char *why);
/* µprocess 1 has got a stop signal (SIGTSTP, SIGTTIN, SIGTTOU) that nobody in the instance could
   follow by SIGCONT: whoever started the instance may stop all of it. Returns when it goes on, at
   once where nobody can. The running thread's context; no locks. */
void plat_suspend(int signo);
/* µprocess 1 is gone: ends the instance with its wait status. Context: any thread. */
_Noreturn void plat_poweroff(int wait_status);

/* ---- what a platform calls in the core ------------------------------------------------ */

/* After the platform is up, on CPU 0: starts µprocess 1 as described, then runs the scheduler.
   Other CPUs call kernel_cpu_main. Neither returns. kernel/main.c. */
struct boot_args;
_Noreturn void kernel_main(const struct boot_args *b);
_Noreturn void kernel_cpu_main(unsigned cpu);

/* The gate calls through syscall_table (kernel/syscall/entry.h) on the running thread's kernel
   stack. These two are the gate's, for that table: what leads to a call's handler, and what fills
   in the registers that are not saved otherwise on the way to a handler that wants them. */
extern const char plat_gate_full[];
extern const char plat_gate_whole[];
/* A system call is over and its thread has work, or its result (in r->rax, unless r has been
   replaced) is a SYSCALL_SPECIAL one. r is complete, may be changed; full restore. */
void syscall_leave(struct uregs *r);

/* User code was interrupted by the tick or a kick (r complete, may be changed; full restore). */
void trap_tick(struct uregs *r);
/* Looks after threads that wait while a CPU is idle: wakes it for one that has waited too long, and
   kicks a CPU that has not switched since the last look though a thread waits in hand-over. For
   a platform whose ticks come from somebody who is no CPU, the only caller. Any context. */
void sched_watch(void);
/* User code faulted: signo (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP), si_code, address as the
   hardware gave it, write access or not (page faults). r may be changed; full restore. */
struct trap_info {
  int signo, code;
  u64 addr;
  bool page_fault, write;
};
void trap_fault(struct uregs *r, const struct trap_info *info);

/* A page at absolute user address `addr` was missing in plat_copy_* or host I/O: true if it is
   there now and the access should be tried again (stack growth). Context: thread. */
bool user_fault(u64 addr, bool write);

/* No frame is left for private memory of the running µprocess that is touched first. The core gives
   back what it keeps for later (images that nobody runs): true if that was something. Context:
   thread, no spinlocks. */
bool kernel_reclaim(void);
/* Nothing has helped: the running µprocess is killed, and the log says why. It ends on its way back
   to user code. Context: thread, no spinlocks. */
void kernel_out_of_memory(void);

/* The platform wants plat_poll_io to be called when this CPU next turns from the running thread to
   another or sleeps, or at its next tick; `soon` false: no longer. Context: thread. */
void kernel_poll_soon(bool soon);

/* A signal from outside (hosted: SIGINT, SIGTERM, SIGHUP, SIGWINCH...; pc: console) to the
   foreground process group, or µprocess 1. Context: idle or trap, no locks held. */
void kernel_external_signal(int signo);

#endif
