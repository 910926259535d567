/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NFC on top of utf8proc's character data. Decomposition and composition are its own; the order of
 * combining marks is made here by a merge sort, because the library's sort is quadratic in a run of
 * marks and text may come from an enemy.
 */
#include "tokenizer/normalize.h"

#if MBI_HAVE_UTF8PROC

#include "base/intmath.h"
#include "base/utf8.h"
#include "tokenizer/unicode.h"
#include <utf8proc.h>

#define MAX_PARTS 4 /* the longest canonical decomposition of one code point */

struct codes {
    utf8proc_int32_t *at; /* decomposed code points of one stretch */
    utf8proc_int32_t *spare;
    size_t n, cap;
};

static int mark_class(utf8proc_int32_t code)
{
    return utf8proc_get_property(code)->combining_class;
}

static void merge_marks(utf8proc_int32_t *to, const utf8proc_int32_t *from, size_t lo, size_t mid,
                        size_t hi)
{
    size_t x = lo, y = mid;

    for (size_t k = lo; k < hi; k++) {
        const bool take_x = x < mid && (y == hi || mark_class(from[x]) <= mark_class(from[y]));

        to[k] = take_x ? from[x++] : from[y++];
    }
}

/* Stable, by class. */
static void sort_marks(utf8proc_int32_t *mark, utf8proc_int32_t *spare, size_t n)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width)
            merge_marks(spare, mark, lo, mbi_min_size(lo + width, n),
                        mbi_min_size(lo + 2 * width, n));
        memcpy(mark, spare, n * sizeof(*mark));
    }
}

static void order_marks(struct codes *c)
{
    for (size_t i = 0; i < c->n;) {
        size_t end = i + 1;

        if (mark_class(c->at[i]) != 0) {
            while (end < c->n && mark_class(c->at[end]) != 0)
                end++;
            sort_marks(c->at + i, c->spare, end - i);
        }
        i = end;
    }
}

/* Order, compose and append what was gathered. */
static void flush(struct mbi_buf *out, struct codes *c)
{
    utf8proc_ssize_t n;

    order_marks(c);
    n = utf8proc_normalize_utf32(c->at, (utf8proc_ssize_t)c->n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        uint8_t text[4];

        mbi_buf_add(out, text, mbi_utf8_encode(text, (uint32_t)c->at[i]));
    }
    c->n = 0;
}

static bool make_room(struct codes *c, const struct mbi_host *host)
{
    const size_t cap = c->cap ? 2 * c->cap : 256;
    utf8proc_int32_t *at, *spare;

    if (c->cap - c->n >= MAX_PARTS)
        return true;
    if (!(at = mbi_realloc(host, c->at, cap, sizeof(*at))))
        return false;
    c->at = at;
    if (!(spare = mbi_realloc(host, c->spare, cap, sizeof(*spare))))
        return false;
    c->spare = spare;
    c->cap = cap;
    return true;
}

/* One character from the text: gathered if it is assigned, otherwise kept as it is. */
static size_t take(struct mbi_buf *out, struct codes *c, const uint8_t *text, size_t n)
{
    uint32_t code;
    const int len = mbi_utf8_decode(&code, text, n);

    if (len > 0 && mbi_unicode_class(code) != MBI_CHAR_UNASSIGNED) {
        int boundary = 0;
        const utf8proc_ssize_t parts = utf8proc_decompose_char(
            (utf8proc_int32_t)code, c->at + c->n, (utf8proc_ssize_t)(c->cap - c->n),
            UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);

        if (parts > 0 && parts <= MAX_PARTS) {
            c->n += (size_t)parts;
            return (size_t)len;
        }
    }
    flush(out, c);
    mbi_buf_add(out, text, len > 0 ? (size_t)len : 1);
    return len > 0 ? (size_t)len : 1;
}

/* ASCII before ASCII is in NFC and composes with nothing: how much of it begins here. */
static size_t plain(const uint8_t *text, size_t n)
{
    size_t end = 0;

    while (end < n && text[end] < 128)
        end++;
    return end == n || end == 0 ? end : end - 1;
}

int32_t mbi_normalize_nfc(struct mbi_buf *out, const char *text, size_t n, mambaint_error *err)
{
    const uint8_t *const at = (const uint8_t *)text;
    struct codes c = {0};
    size_t pos = 0;

    while (pos < n && make_room(&c, out->host)) {
        const size_t len = plain(at + pos, n - pos);

        if (len > 0) {
            flush(out, &c);
            mbi_buf_add(out, at + pos, len);
            pos += len;
        } else {
            pos += take(out, &c, at + pos, n - pos);
        }
    }
    if (pos == n)
        flush(out, &c);
    mbi_free(out->host, c.at);
    mbi_free(out->host, c.spare);
    return pos < n || out->failed ? mbi_fail_memory(err, "normalised text") : MAMBAINT_OK;
}

#else

int32_t mbi_normalize_nfc(struct mbi_buf *out, const char *text, size_t n, mambaint_error *err)
{
    (void)out;
    (void)text;
    (void)n;
    return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                    "tokenizer: it needs NFC, and this library was built without utf8proc");
}

#endif
