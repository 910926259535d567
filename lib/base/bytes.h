/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian loads and stores, a bounded reader, a growing buffer. */
#ifndef MBI_BASE_BYTES_H
#define MBI_BASE_BYTES_H

#include "base/host.h"
#include <string.h>

static inline uint16_t mbi_load16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t mbi_load32(const uint8_t *p)
{
    return mbi_load16(p) | (uint32_t)mbi_load16(p + 2) << 16;
}
static inline uint64_t mbi_load64(const uint8_t *p)
{
    return mbi_load32(p) | (uint64_t)mbi_load32(p + 4) << 32;
}
static inline void mbi_store16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void mbi_store32(uint8_t *p, uint32_t v)
{
    mbi_store16(p, (uint16_t)v);
    mbi_store16(p + 2, (uint16_t)(v >> 16));
}
static inline void mbi_store64(uint8_t *p, uint64_t v)
{
    mbi_store32(p, (uint32_t)v);
    mbi_store32(p + 4, (uint32_t)(v >> 32));
}

/* Copy n elements of `width` bytes (1, 2, 4, 8) between memory and little-endian bytes. */
void mbi_copy_le(void *to, const void *from, size_t n, size_t width);

/*
 * A reader over bytes that may be hostile. A read past the end sets `failed` and gives zeros, so
 * that a parser checks once per record.
 */
struct mbi_reader {
    const uint8_t *data;
    size_t size, pos;
    bool failed;
};

const uint8_t *mbi_read_bytes(struct mbi_reader *r, size_t n); /* NULL past the end */
uint8_t mbi_read8(struct mbi_reader *r);
uint32_t mbi_read32(struct mbi_reader *r);
uint64_t mbi_read64(struct mbi_reader *r);
static inline size_t mbi_read_left(const struct mbi_reader *r) { return r->size - r->pos; }

/*
 * A growing buffer. A refused allocation sets `failed` and later writes do nothing, so that a
 * writer checks once at the end.
 */
struct mbi_buf {
    const struct mbi_host *host;
    uint8_t *data;
    size_t size, cap;
    bool failed;
};

void mbi_buf_init(struct mbi_buf *b, const struct mbi_host *host);
void mbi_buf_free(struct mbi_buf *b);
bool mbi_buf_reserve(struct mbi_buf *b, size_t more);
void mbi_buf_add(struct mbi_buf *b, const void *data, size_t n);
void mbi_buf_add_zero(struct mbi_buf *b, size_t n);
void mbi_buf_add8(struct mbi_buf *b, uint8_t v);
void mbi_buf_add32(struct mbi_buf *b, uint32_t v);
void mbi_buf_add64(struct mbi_buf *b, uint64_t v);
void mbi_buf_add_text(struct mbi_buf *b, const char *text); /* without the NUL */
void mbi_buf_addf(struct mbi_buf *b, const char *fmt, ...) MBI_PRINTF(2, 3);

/* Lower-case hexadecimal, 2 n digits and a NUL. */
void mbi_hex(char *out, const uint8_t *data, size_t n);

#endif
