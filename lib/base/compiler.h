/* SPDX-License-Identifier: Apache-2.0 */
/* The only place for compiler extensions and for facts C leaves to the compiler. */
#ifndef MBI_BASE_COMPILER_H
#define MBI_BASE_COMPILER_H

#include <limits.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MBI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MBI_LIKELY(x) __builtin_expect(!!(x), 1)
#define MBI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define MBI_RESTRICT __restrict__
#define MBI_EXPORT __attribute__((visibility("default"))) /* of a module */
#define MBI_ALWAYS_INLINE static inline __attribute__((always_inline))
#define MBI_NEVER_INLINE static __attribute__((noinline))
#define MBI_PREFETCH(p) __builtin_prefetch(p)
#else
#define MBI_PRINTF(fmt, args)
#define MBI_LIKELY(x) (x)
#define MBI_UNLIKELY(x) (x)
#define MBI_RESTRICT
#define MBI_EXPORT
#define MBI_ALWAYS_INLINE static inline
#define MBI_NEVER_INLINE static
#define MBI_PREFETCH(p) ((void)(p))
#endif

/* Hides from the compiler what an integer variable is, so that it makes no branch of it. */
#if defined(__GNUC__) && !defined(__CUDACC__)
#define MBI_OPAQUE(x) __asm__("" : "+r"(x))
#else
#define MBI_OPAQUE(x) ((void)0)
#endif

/* What a loop does that waits for another core to write a word. */
#if defined(__x86_64__) || defined(__i386__)
#define MBI_PAUSE() __builtin_ia32_pause()
#elif defined(__GNUC__) && (defined(__aarch64__) || defined(__ARM_ARCH_7A__))
#define MBI_PAUSE() __asm__ volatile("yield" ::: "memory")
#else
#define MBI_PAUSE() ((void)0)
#endif

#if defined(__CUDACC__)
#define MBI_INLINE static __host__ __device__ inline
#else
#define MBI_INLINE static inline
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define MBI_BIG_ENDIAN 1
#else
#define MBI_BIG_ENDIAN 0
#endif

#define MBI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#if !defined(__cplusplus)
_Static_assert(CHAR_BIT == 8, "bytes have eight bits");
_Static_assert((-1 >> 1) == -1, "right shift of a negative number is arithmetic");
_Static_assert((int8_t)0x80 == -128 && (uint32_t)-1 == UINT32_MAX, "two's complement");
#endif

#endif
