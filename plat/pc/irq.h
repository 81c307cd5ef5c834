/* SPDX-License-Identifier: MIT */
/*
 * Interrupts. A handler runs with interrupts off on the CPU's interrupt stack, may have interrupted
 * user code or the kernel at any place, and must not take a lock that others hold with interrupts
 * on: it acknowledges its device, notes what happened in atomics and asks for more
 * (irq_defer); the noted work is done by whoever next polls I/O (plat_poll_io, idle) in thread
 * context.
 */
#ifndef UFORK_PC_IRQ_H
#define UFORK_PC_IRQ_H

#include "lib/types.h"

/* Takes a free interrupt vector for `handler`; -ENOSPC. For the life of the instance, `name` too.
   The vector belongs to one of the CPUs, each of which gets as many as the others. Once all CPUs
   run. */
int irq_vector_take(const char *name, void (*handler)(void *arg), void *arg);

/* Sends I/O APIC input `gsi` to `vector` on its CPU; level-triggered or edge. -ENOENT: no such
 * input.
 */
int irq_route_gsi(u32 gsi, int vector, bool level);

/* Address and data of a message-signalled interrupt that raises `vector` on its CPU. */
void irq_msi(int vector, u64 *addr, u32 *data);

/* Logs what kind of controllers the CPUs have, how many interrupts each device has made, and on
 * which CPUs (a mask). */
void irq_log(void);

/* Something for io_poll_all to do: from a handler, or from anywhere. Wakes an idle CPU. */
void irq_defer(void);

/* Registers a function that does a driver's deferred work, in thread context with no locks held, on
   one CPU at a time. At most IO_POLLERS_MAX. */
#define IO_POLLERS_MAX 16
void io_poller_add(void (*poll)(void *arg), void *arg);
/* Runs all pollers if any work has been deferred since the last time. Thread or idle context. */
void io_poll_all(void);

/* Device registers at physical [p, p + len), mapped uncached for good. NULL: no memory. */
void *device_map(u64 p, size_t len);

#endif
