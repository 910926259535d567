/* SPDX-License-Identifier: Apache-2.0 */
/* Files of vectors: one line in words; numbers are decimal, bytes hexadecimal, "-" for none. */
#ifndef MBI_TESTS_VECTORS_H
#define MBI_TESTS_VECTORS_H

#include "support.h"
#include <stdlib.h>
#include <string.h>

struct vectors {
    FILE *file;
    char text[16384];
    char *word[512];
    size_t n, line;
};

static inline void vectors_open(struct vectors *v, const char *name)
{
    memset(v, 0, sizeof(*v));
    v->file = test_data_open(name);
}

/* The next line that is not a comment; false at the end of the file, which is closed. */
static inline bool vectors_next(struct vectors *v)
{
    for (v->n = 0; !v->n;) {
        char *save = NULL;

        if (!fgets(v->text, sizeof(v->text), v->file)) {
            fclose(v->file);
            return false;
        }
        v->line++;
        test_check(strchr(v->text, '\n'), "line %zu is too long", v->line);
        for (char *w = strtok_r(v->text, " \n", &save); w && *v->text != '#';
             w = strtok_r(NULL, " \n", &save)) {
            test_check(v->n < sizeof(v->word) / sizeof(*v->word), "line %zu: words", v->line);
            v->word[v->n++] = w;
        }
    }
    return true;
}

static inline bool vectors_is(const struct vectors *v, const char *kind)
{
    return !strcmp(v->word[0], kind);
}

static inline const char *vectors_word(const struct vectors *v, size_t i)
{
    test_check(i < v->n, "line %zu: no word %zu", v->line, i);
    return v->word[i];
}

static inline uint64_t vectors_u64(const struct vectors *v, size_t i)
{
    const char *w = vectors_word(v, i);
    char *end = NULL;
    const uint64_t x = strtoull(w, &end, 10);

    test_check(*w && !*end, "line %zu: word %zu is no number", v->line, i);
    return x;
}

/* An element of the proofs' field is written in hexadecimal. */
static inline uint64_t vectors_element(const struct vectors *v, size_t i)
{
    return strtoull(vectors_word(v, i), NULL, 16);
}

/* Word i as bytes: at most `cap`, the rest of which is left alone; returns how many. */
static inline size_t vectors_bytes(uint8_t *out, size_t cap, const struct vectors *v, size_t i)
{
    const char *w = vectors_word(v, i);
    const size_t n = strcmp(w, "-") ? strlen(w) / 2 : 0;

    test_check(n <= cap, "line %zu: word %zu is too long", v->line, i);
    for (size_t k = 0; k < n; k++) {
        const char pair[3] = {w[2 * k], w[2 * k + 1], 0};

        out[k] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

/* Word i must be these bytes. */
static inline void vectors_same(const struct vectors *v, size_t i, const void *got, size_t n)
{
    uint8_t want[8192];

    test_check(vectors_bytes(want, sizeof(want), v, i) == n && !memcmp(want, got, n),
               "line %zu: word %zu is other bytes", v->line, i);
}

/* What many of the files are made of. */
static inline void vectors_pattern(uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(7 * i + 3);
}

#endif
