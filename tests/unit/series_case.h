/* SPDX-License-Identifier: Apache-2.0 */
/* Files of several proofs in tests: their bytes, joined and sealed, and what is said of them. */
#ifndef MBI_TESTS_SERIES_CASE_H
#define MBI_TESTS_SERIES_CASE_H

#include "base/intmath.h"
#include "proof/series.h"
#include "tiny.h"

static inline uint8_t *copy_of(const void *data, size_t n)
{
    uint8_t *copy = malloc(n + !n); /* a read behind its end is seen */

    test_that(copy);
    if (n)
        memcpy(copy, data, n);
    return copy;
}

MBI_NEVER_INLINE void seal(uint8_t *data, size_t n) /* else gcc warns of it */
{
    uint8_t digest[MBI_DIGEST_SIZE];

    if (n < sizeof(digest))
        return;
    mbi_blake2b(digest, data, n - sizeof(digest));
    memcpy(data + n - sizeof(digest), digest, sizeof(digest));
}

struct bytes {
    uint8_t *data;
    size_t n;
};

static inline struct bytes bytes_of(const void *data, size_t n)
{
    return (struct bytes){copy_of(data, n), n};
}

/* A series of some proofs. */
static inline struct bytes join(const struct bytes *const *part, size_t n)
{
    struct mbi_host host;
    struct mbi_buf b;
    struct bytes out;

    mbi_host_default(&host);
    mbi_buf_init(&b, &host);
    mbi_series_begin(&b, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        mbi_series_add(&b, part[i]->data, part[i]->n);
    mbi_series_end(&b);
    out = bytes_of(b.data, b.size);
    mbi_buf_free(&b);
    return out;
}

/* The n proofs of a series, as views of it. */
static inline void parts_of(struct bytes *part, size_t n, const struct bytes *series)
{
    size_t at = 12;

    ck_assert_uint_eq(mbi_load32(series->data + 8), n);
    for (size_t i = 0; i < n; i++) {
        part[i] = (struct bytes){series->data + at + 4, mbi_load32(series->data + at)};
        at += 4 + part[i].n;
    }
}

/* The file of a proof or series, which it frees. */
static inline struct bytes bytes_of_proof(mambaint_proof *p)
{
    struct bytes b;
    const void *data;
    int64_t bits;
    size_t n;

    OK(mambaint_proof_number(p, "soundness-bits", &bits));
    ck_assert_int_ge(bits, 100);
    data = mambaint_proof_data(p, &n);
    b = bytes_of(data, n);
    mambaint_proof_free(p);
    return b;
}

static inline char *text_of(const mambaint_statement *s, const char *key)
{
    size_t need = 0;
    char *text;

    ck_assert_int_eq(mambaint_statement_text(NULL, 0, &need, s, key), MAMBAINT_E_SPACE);
    test_that(text = malloc(need));
    OK(mambaint_statement_text(text, need, NULL, s, key));
    return text;
}

static inline void has(const mambaint_statement *s, const char *key, const char *word, bool wanted)
{
    char *text = text_of(s, key);

    test_check((strstr(text, word) != NULL) == wanted, "%s %s '%s'", text, wanted ? "lacks" : "has",
               word);
    free(text);
}

static inline mambaint_statement *accepted(const mambaint_key *key, const struct bytes *b)
{
    mambaint_error err = {0, ""};
    mambaint_statement *s = NULL;

    ck_assert_msg(mambaint_proof_verify(&s, key, NULL, b->data, b->n, &err) == MAMBAINT_ACCEPTED,
                  "%s", err.message);
    return s;
}

/* Not accepted, with this code and a sentence that has the word; nor is it read, unless only the
 * proof itself, or the key, is wrong. */
static inline void refused(int32_t want, const char *word, const mambaint_key *key,
                           const struct bytes *b, bool reads)
{
    mambaint_statement *s = NULL;
    mambaint_error err = {0, ""};
    int32_t rc = mambaint_proof_verify(&s, key, NULL, b->data, b->n, &err);

    test_check(rc == want && !s && strstr(err.message, word), "%d, not %d: '%s' lacks '%s'", rc,
               want, err.message, word);
    rc = mambaint_statement_read(&s, NULL, b->data, b->n, &err);
    test_check((rc == MAMBAINT_OK) == reads, "%s: %s", word, rc < 0 ? err.message : "read");
    mambaint_statement_free(s);
}

#endif
