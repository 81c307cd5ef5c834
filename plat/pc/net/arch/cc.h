/* SPDX-License-Identifier: MIT */
/* The compiler and the kernel as lwIP sees them. */
#ifndef UFORK_PC_LWIP_CC_H
#define UFORK_PC_LWIP_CC_H

#include "lib/types.h"

#define LWIP_NO_INTTYPES_H 1
#define LWIP_NO_UNISTD_H 1
#define LWIP_NO_LIMITS_H 1
#ifndef SSIZE_MAX
#define SSIZE_MAX INT64_MAX /* lwIP then leaves ssize_t to us */
#endif
typedef long ssize_t;
#define LWIP_NO_CTYPE_H 1
#define X8_F "02x"
#define U16_F "u"
#define S16_F "d"
#define X16_F "x"
#define U32_F "u"
#define S32_F "d"
#define X32_F "x"
#define SZT_F "zu"

#define LWIP_ERR_T int
#define LWIP_PLATFORM_DIAG(x)
_Noreturn void plat_panic(const char *why);
#define LWIP_PLATFORM_ASSERT(why) plat_panic("lwip: " why)

u32 net_random(void);
#define LWIP_RAND() net_random()

u16 net_checksum(const void *data, int len);
#define LWIP_CHKSUM net_checksum

void *net_mem_alloc(size_t n);
void *net_mem_calloc(size_t count, size_t n);
void net_mem_free(void *p);

#endif
