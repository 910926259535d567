/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian copies, the bounded reader and the growing buffer. */
#include "base/bytes.h"
#include "base/intmath.h"
#include <stdarg.h>
#include <stdio.h>

void mbi_copy_le(void *to, const void *from, size_t n, size_t width)
{
    if (!n)
        return;
    if (!MBI_BIG_ENDIAN || width == 1) {
        memcpy(to, from, n * width);
        return;
    }
    const uint8_t *p = from;
    uint8_t *q = to;

    for (size_t i = 0; i < n; i++, p += width, q += width)
        for (size_t k = 0; k < width; k++)
            q[k] = p[width - 1 - k];
}

const uint8_t *mbi_read_bytes(struct mbi_reader *r, size_t n)
{
    const uint8_t *p;

    if (r->failed || n > mbi_read_left(r)) {
        r->failed = true;
        return NULL;
    }
    p = r->data + r->pos;
    r->pos += n;
    return p;
}

uint8_t mbi_read8(struct mbi_reader *r)
{
    const uint8_t *p = mbi_read_bytes(r, 1);

    return p ? *p : 0;
}

uint32_t mbi_read32(struct mbi_reader *r)
{
    const uint8_t *p = mbi_read_bytes(r, 4);

    return p ? mbi_load32(p) : 0;
}

uint64_t mbi_read64(struct mbi_reader *r)
{
    const uint8_t *p = mbi_read_bytes(r, 8);

    return p ? mbi_load64(p) : 0;
}

void mbi_buf_init(struct mbi_buf *b, const struct mbi_host *host)
{
    *b = (struct mbi_buf){.host = host};
}

void mbi_buf_free(struct mbi_buf *b)
{
    mbi_free(b->host, b->data);
    mbi_buf_init(b, b->host);
}

bool mbi_buf_reserve(struct mbi_buf *b, size_t more)
{
    size_t need, cap;
    uint8_t *data;

    if (b->failed)
        return false;
    if (more <= b->cap - b->size)
        return true;
    if (!mbi_add_size(&need, b->size, more)) {
        b->failed = true;
        return false;
    }
    cap = b->cap > SIZE_MAX / 2 ? need : mbi_max_size(mbi_max_size(2 * b->cap, need), 64);
    if (!(data = mbi_realloc(b->host, b->data, cap, 1))) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void mbi_buf_add(struct mbi_buf *b, const void *data, size_t n)
{
    if (!n || !mbi_buf_reserve(b, n))
        return;
    memcpy(b->data + b->size, data, n);
    b->size += n;
}

void mbi_buf_add_zero(struct mbi_buf *b, size_t n)
{
    if (!n || !mbi_buf_reserve(b, n))
        return;
    memset(b->data + b->size, 0, n);
    b->size += n;
}

void mbi_buf_add8(struct mbi_buf *b, uint8_t v) { mbi_buf_add(b, &v, 1); }

void mbi_buf_add32(struct mbi_buf *b, uint32_t v)
{
    uint8_t bytes[4];

    mbi_store32(bytes, v);
    mbi_buf_add(b, bytes, sizeof(bytes));
}

void mbi_buf_add64(struct mbi_buf *b, uint64_t v)
{
    uint8_t bytes[8];

    mbi_store64(bytes, v);
    mbi_buf_add(b, bytes, sizeof(bytes));
}

void mbi_buf_add_text(struct mbi_buf *b, const char *text) { mbi_buf_add(b, text, strlen(text)); }

void mbi_buf_addf(struct mbi_buf *b, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        b->failed = true;
        return;
    }
    /* One byte more than is kept: vsnprintf ends with a NUL. */
    if (!mbi_buf_reserve(b, (size_t)n + 1))
        return;
    va_start(args, fmt);
    vsnprintf((char *)b->data + b->size, (size_t)n + 1, fmt, args);
    va_end(args);
    b->size += (size_t)n;
}

void mbi_hex(char *out, const uint8_t *data, size_t n)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[data[i] >> 4];
        out[2 * i + 1] = digit[data[i] & 15];
    }
    out[2 * n] = 0;
}
