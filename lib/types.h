/* SPDX-License-Identifier: MIT */
/* Freestanding basic types and helpers used everywhere in kernel/, lib/ and plat/. */
#ifndef UFORK_LIB_TYPES_H
#define UFORK_LIB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;

#define KIB(n) ((u64)(n) << 10)
#define MIB(n) ((u64)(n) << 20)
#define GIB(n) ((u64)(n) << 30)

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096UL
#define PAGE_MASK (~(PAGE_SIZE - 1))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * A function that changes no register but that of its result, and a call of it, with one argument
 * and without a result, for which the compiler saves nothing either: for rare paths out of short
 * functions. Only in code without vector registers; tests do without.
 */
#ifdef __SSE__
#define KEEPS_REGISTERS
#define CALL_KEEPING(function, argument) function(argument)
#else
#define KEEPS_REGISTERS __attribute__((no_caller_saved_registers))
#define CALL_KEEPING(function, argument)                                                           \
  __asm__ volatile("call " #function : : "D"(argument) : "memory", "cc")
#endif

static inline u64 min_u64(u64 a, u64 b) { return a < b ? a : b; }
static inline u64 max_u64(u64 a, u64 b) { return a > b ? a : b; }
/* Rounding to a power of two `to`. round_up wraps to 0 past the top; check sizes first. */
static inline u64 round_up(u64 v, u64 to) { return (v + to - 1) & ~(to - 1); }
static inline u64 round_down(u64 v, u64 to) { return v & ~(to - 1); }

#endif
