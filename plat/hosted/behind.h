/* SPDX-License-Identifier: MIT */
/*
 * Small writes that follow each other closely in a file of the host go there together. What a
 * process writes in pieces of a few hundred bytes is *held*, up to 64 KiB: a call costs the host
 * more than copying the piece, and large ones let it use large pages in its cache.
 *
 * Who could tell? Not a process of this instance: whoever looks at a file of the host first has
 * all written that is held (behind_settle_all). Others can if they have heard of the write. So it
 * goes to the host before its thread makes any system call but the next such write (it has a gate
 * of its own, behind-gate.S), and when the thread is interrupted, gets a signal, ends, or its vCPU
 * turns to another; a thread that just computes is interrupted by the next sample. And nothing is
 * held for a process that could tell in another way: with a second thread, a shared mapping, or a
 * file whose open description somebody else has as well. What remains is that the host's file is
 * late by some milliseconds for somebody who has heard of nothing, and that it lacks these bytes if
 * the whole instance is killed.
 *
 * The host's refusal comes as late: the next write, sync or close of the file returns it. Where the
 * host may soon be out of space nothing is held.
 */
#ifndef UFORK_HOSTED_BEHIND_H
#define UFORK_HOSTED_BEHIND_H

#include "plat/hosted/cpu.h"
#include "plat/hosted/hostfile.h"

/* write(2) at f->pos, whose lock is held: takes what it can of u. Bytes, or -errno, of -EAGAIN and
   of what is left in u afterwards the caller takes care: nothing is held of f then. */
i64 behind_write(struct file *f, struct host_open *o, struct uio *u);
/* All that is held is written, and nothing is held for o any more: before it goes, or when its
   writer wants to know. 0, or the host's refusal, which is told once. Context: a vCPU's thread. */
int behind_settle(struct host_open *o);
/* A file of the host has been mapped shared: nothing is held from now on. */
void behind_stop(void);

/* What is held by anybody is written. Any thread of control that may block in the host. */
extern u32 behind_count; /* vCPUs whose thread holds something; atomic */
void behind_settle_all_slow(void);
static inline void behind_settle_all(void) {
  if (unlikely(__atomic_load_n(&behind_count, __ATOMIC_SEQ_CST)))
    behind_settle_all_slow();
}

/* This vCPU turns to another thread, sleeps, or has been interrupted. */
void behind_poll(struct vcpu *v);
/* Does the running thread of this vCPU hold something? Host signals ask. */
bool behind_holds(const struct vcpu *v);
/* A thread that holds something makes a system call; the gate's. */
void behind_before_call(const struct uregs *r);

#endif
