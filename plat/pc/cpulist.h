/* SPDX-License-Identifier: MIT */
/* Which CPUs the machine has, as the firmware's tables say. */
#ifndef UFORK_PC_CPULIST_H
#define UFORK_PC_CPULIST_H

#include "lib/types.h"

/* Each fills ids with the LAPIC ids of the usable CPUs, in the table's order, at most `max`, and
   returns their number. */

/* ACPI's MADT (its length is in it). CPUs with an id of 255 or more, which devices cannot interrupt
   and only an x2APIC reaches, are left out: *refused is their number. */
unsigned madt_cpus(const u8 *madt, u32 *ids, unsigned max, unsigned *refused);

/* The MultiProcessor table, at whose floating pointer in [area, area + len) memory is searched for.
   at(p): where physical address p can be read, NULL: nowhere. 0: there is none. */
unsigned mptable_cpus(const u8 *area, size_t len, const u8 *(*at)(u64 p), u32 *ids, unsigned max);

#endif
