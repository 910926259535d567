/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of commitments share: sets of vectors and claims, and a second prover. */
#ifndef MBI_TESTS_COMMIT_CASE_H
#define MBI_TESTS_COMMIT_CASE_H

#include "base/intmath.h"
#include "ext_test.h"
#include "proof/open.h"

/* A code without further layers. */
#define FLAT(columns, length, n, bits, least)                                                      \
    {                                                                                              \
        .log_columns = (columns), .log_length = (length), .queries = (n), .work = (bits),          \
        .level = (least)                                                                           \
    }

#define MAX_VECTORS 4
#define MAX_CLAIMS 8
#define MAX_BITS 12
#define MAX_LIST 5

static inline void setup(void) { ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK); }

/* ---- vectors, commitments and claims that own their parts ---- */

struct set {
    struct mbi_opening o;
    unsigned bits[MAX_VECTORS];
    struct mbi_table table[MAX_VECTORS];
    struct mbi_commitment vector[MAX_VECTORS];
    struct mbi_root root[MAX_VECTORS];
    struct mbi_claim claim[MAX_CLAIMS];
    struct mbi_form form[MAX_CLAIMS];
    struct mbi_ext scale[MAX_CLAIMS];
    struct mbi_ext z[MAX_CLAIMS][2 * MAX_BITS];
    uint32_t list[MAX_CLAIMS][MAX_LIST];
    uint8_t rows[MAX_CLAIMS][1 << MAX_BITS];
    struct mbi_mask_seed seed[MAX_VECTORS]; /* if the code has masks */
};

struct machine {
    struct mbi_host host;
    const struct mbi_field_kernels *kernels;
    struct mbi_ntt ntt;
};

static inline void machine_init(struct machine *m, uint32_t threads,
                                const struct mbi_field_kernels *kernels)
{
    mbi_host_default(&m->host);
    m->kernels = kernels;
    test_that(mbi_pool_create(&m->host.pool, &m->host, threads, NULL) == MAMBAINT_OK);
    test_that(mbi_ntt_init(&m->ntt, &m->host, kernels, 14, NULL) == MAMBAINT_OK);
}

static inline void machine_free(struct machine *m)
{
    mbi_ntt_free(&m->ntt);
    mbi_pool_free(&m->host, m->host.pool);
}

static inline struct mbi_form_factor random_factor(struct set *s, size_t k, unsigned at,
                                                   unsigned bits, struct test_random *r)
{
    struct mbi_ext *z = s->z[k] + at;
    const uint64_t size = (uint64_t)1 << bits, below = size - test_random_below(r, size / 3 + 1);
    struct mbi_table rows = {MBI_TABLE_U8, s->rows[k], (size_t)below};

    switch (test_random_below(r, 8)) {
    case 0:
        return MBI_EXT(form_shift)(at, bits, below, z, bits, size,
                                   (int32_t)test_random_between(r, -1, 3));
    case 1:
        return MBI_EXT(form_rows)(at, bits, &rows, test_random_below(r, 2) ? z : NULL);
    case 2:
        for (size_t i = 0; i < MAX_LIST; i++)
            s->list[k][i] = (uint32_t)test_random_below(r, below);
        return MBI_EXT(form_list)(at, bits, below, s->list[k], 1 + random_size(r, MAX_LIST), NULL,
                                  z, 3);
    case 3:
        return MBI_EXT(form_power)(at, bits, below, z);
    case 4:
        return MBI_EXT(form_upto)(at, bits, bits / 2, below, z);
    case 5:
        return MBI_EXT(form_triangle)(at, bits - bits / 2, at + bits - bits / 2, bits / 2,
                                      (uint64_t)1 << (bits - bits / 2), z, z + bits);
    default:
        return MBI_EXT(form_eq)(at, bits, below, z);
    }
}

static inline struct mbi_ext slow_scale(const struct mbi_claim *c)
{
    const struct mbi_ext unit = mbi_ext_pow(mbi_ext_from(2), c->shift);

    return c->scale ? mbi_ext_mul(*c->scale, unit) : unit;
}

/* The true value of claim k. */
static inline struct mbi_ext slow_value(const struct set *s, size_t k)
{
    const struct mbi_claim *c = &s->claim[k];
    const size_t size = (size_t)1 << c->form->bits;
    struct mbi_ext sum = mbi_ext_from(0), w;

    for (size_t x = 0; x < size; x++) {
        const size_t at = (size_t)c->block * size + x;

        MBI_EXT(form_block)(&w, c->form, x, 0);
        sum = mbi_ext_add(sum, mbi_ext_mul(w, mbi_table_ext(&s->table[c->vector], at)));
    }
    return mbi_ext_mul(sum, slow_scale(c));
}

/* The form of the claim before it, on any block of the same vector. */
static inline void shared_claim(struct set *s, size_t k, struct test_random *r)
{
    s->claim[k] = s->claim[k - 1];
    s->claim[k].block =
        test_random_below(r, (uint64_t)1 << (s->bits[s->claim[k].vector] - s->claim[k].form->bits));
}

/* A form of one or two factors, on all or a block of a vector. */
static inline void random_form(struct set *s, size_t k, struct test_random *r)
{
    const size_t vector = random_size(r, s->o.n_roots);
    const unsigned all = s->bits[vector];
    const unsigned bits = test_random_below(r, 2) ? all : (unsigned)test_random_below(r, all + 1);
    const uint64_t block = test_random_below(r, (uint64_t)1 << (all - bits));
    struct mbi_form *form = &s->form[k];
    const unsigned cut = test_random_below(r, 2) ? (unsigned)test_random_below(r, bits + 1) : 0;

    *form = (struct mbi_form){.bits = bits, .scale = random_ext(r)};
    random_point(s->z[k], 2 * MAX_BITS, r);
    if (cut)
        form->factor[form->n_factors++] = random_factor(s, k, 0, cut, r);
    form->factor[form->n_factors++] =
        cut ? MBI_EXT(form_eq)(cut, bits - cut, (uint64_t)1 << (bits - cut), s->z[k] + MAX_BITS)
            : random_factor(s, k, 0, bits, r);
    s->claim[k] = (struct mbi_claim){.vector = vector, .block = block, .form = form};
}

static inline void random_claim(struct set *s, size_t k, struct test_random *r)
{
    const bool shared = k && test_random_below(r, 3) == 0;

    (shared ? shared_claim : random_form)(s, k, r);
    s->scale[k] = random_ext(r);
    s->claim[k].scale = shared || test_random_below(r, 2) ? &s->scale[k] : NULL;
    s->claim[k].shift = (uint8_t)(test_random_below(r, 2) ? test_random_below(r, 64) : 0);
    s->claim[k].value = slow_value(s, k);
}

/* Makes claim k a further term of the claim before it. */
static inline void join_claim(struct set *s, size_t k)
{
    size_t first = k - 1;

    while (s->claim[first].joined)
        first--;
    s->claim[k].joined = true;
    s->claim[first].value = mbi_ext_add(s->claim[first].value, s->claim[k].value);
    s->claim[k].value = mbi_ext_from(0);
}

static inline void commit_all(struct set *s, const struct machine *m)
{
    for (size_t i = 0; i < s->o.n_roots; i++) {
        const struct mbi_masking masking = {&s->seed[i], i == 0};

        ck_assert_int_eq(MBI_EXT(commit)(&s->vector[i], &s->table[i], s->bits[i], &s->o.code,
                                         s->o.code.masks ? &masking : NULL, &m->ntt, NULL),
                         MAMBAINT_OK);
        s->root[i] = s->vector[i].root;
    }
}

/* New masks; the pads are those of the set's rounds, and maybe some more. */
static inline void random_masks(struct set *s, struct test_random *r)
{
    test_random_bytes(r, s->seed, sizeof(s->seed));
}

/* Limbs of every type, some short. */
static inline void random_set(struct set *s, struct mbi_code code, const unsigned *log_rows,
                              size_t n_vectors, size_t n_claims, const struct machine *m,
                              struct test_random *r)
{
    memset(s, 0, sizeof(*s));
    s->o = (struct mbi_opening){code, s->root, n_vectors, s->claim, n_claims};
    test_random_bytes(r, s->rows, sizeof(s->rows));
    for (size_t i = 0; i < n_vectors; i++) {
        const size_t size = (size_t)1 << (s->bits[i] = log_rows[i] + code.log_columns);

        s->table[i] = random_table((enum mbi_table_type)test_random_below(r, MBI_TABLE_EXT),
                                   random_size(r, 2) ? 1 + random_size(r, size) : size, r);
    }
    random_masks(s, r);
    commit_all(s, m);
    for (size_t k = 0; k < n_claims; k++)
        random_claim(s, k, r);
}

/* Some of the claims become further terms of those before them; what they say is not looked at. */
static inline void join_some(struct set *s, struct test_random *r)
{
    for (size_t k = 1; k < s->o.n_claims; k++)
        if (test_random_below(r, 3) == 0) {
            join_claim(s, k);
            s->claim[k].value = random_ext(r);
        }
}

static inline void free_commitments(struct set *s)
{
    for (size_t i = 0; i < s->o.n_roots; i++)
        MBI_EXT(commitment_free)(&s->vector[i]);
}

static inline void free_set(struct set *s)
{
    free_commitments(s);
    for (size_t i = 0; i < s->o.n_roots; i++)
        free_table(&s->table[i]);
}

static inline void prove(struct mbi_proof_writer *w, const struct set *s, const struct machine *m)
{
    mbi_proof_writer_init(w, &m->host, "test");
    ck_assert_int_eq(MBI_EXT(open_prove)(&s->o, s->vector, w, &m->host, m->kernels, NULL),
                     MAMBAINT_OK);
    test_that(!w->bytes.failed);
}

/* NULL if it is accepted with nothing left over, else the fault. */
static inline const char *verify(const struct set *s, const uint8_t *proof, size_t n)
{
    struct mbi_proof_reader reader;
    struct mbi_host host;
    bool holds;

    mbi_host_default(&host);
    mbi_proof_reader_init(&reader, proof, n, "test");
    holds = MBI_EXT(open_verify)(&s->o, &reader, &host);
    test_that(holds == !reader.fault);
    mbi_get_end(&reader);
    return reader.fault;
}

static inline void refused(const struct set *s, const struct mbi_proof_writer *w, const char *words)
{
    const char *fault = verify(s, w->bytes.data, w->bytes.size);

    test_check(fault && strstr(fault, words), "not refused for \"%s\": %s", words,
               fault ? fault : "accepted");
}

/* ---- a second prover, from the text, that may cheat ---- */

enum cheat {
    HONEST,
    ROW,            /* another folded row */
    ROW_FOR_CLAIMS, /* one that gives the claims, also false ones */
    NO_WORK,        /* a nonce that does not hold */
    NOT_COMMITTED,  /* another column that folds to the same */
    SYMBOLS,        /* some wrong columns, under the root */
    ORDER,          /* leaves in another order, under the root */
    NOT_THE_ROOT,   /* another root of a further layer than that of its matrix */
    Q0,             /* another first value of a round, of the first one of the layer */
    BLIND,          /* another value of the blind row */
};

/* Encoded rows and their tree, of one vector or a further layer. */
struct matrix {
    mbi_fe *codeword;
    struct mbi_digest *tree;
    size_t rows, length;
};

struct plain {
    const struct set *s;
    const struct machine *m;
    enum cheat cheat;
    unsigned layer;        /* where */
    size_t wrong, start;   /* columns, from one on */
    struct mbi_ext *v, *w; /* the stack, its weights */
    size_t size;
    unsigned rounds, round;
    struct mbi_ext alpha[MBI_MAX_BITS];
    unsigned from; /* the first of them that folds the present layer */
    uint32_t position[MBI_CODE_DEPTH + 1][256];
    size_t n[MBI_CODE_DEPTH + 1]; /* positions */
    struct mbi_ext sum[256];      /* folded columns */
    struct matrix further;
    size_t width; /* entries of a row of layer 0 */
    /* of what hides: what the verifier knows of the claim, the numbers of the pads in it, pads */
    struct mbi_ext known, scale[2 * MBI_MAX_BITS], pad[2 * MBI_MAX_BITS];
    struct mbi_ext z[MBI_MAX_BITS], power, factor, gamma;
    mbi_fe *blind; /* coordinate by coordinate */
    size_t other;  /* a row whose second pad is `more`; and what is added to each message */
    struct mbi_ext more, shift;
    mbi_fe tail;   /* a coefficient of the first row behind all that there may be */
    bool no_claim; /* that other rows have no pads */
    bool gives;    /* does the folded row give what the rounds leave? */
};

static inline bool cheats(const struct plain *p, enum cheat cheat, unsigned layer)
{
    return p->cheat == cheat && p->layer == layer;
}

static inline void absorb_plain(struct mbi_transcript *t, const struct set *s)
{
    const struct mbi_code *c = &s->o.code;
    const uint64_t code[] = {c->log_columns, c->log_length, c->queries,
                             c->work,        s->o.n_roots,  s->o.n_claims};
    uint8_t bytes[48], claims[MAX_CLAIMS * (16 + 8 * MBI_EXT_D)];
    size_t size = 0;

    for (size_t i = 0; i < 6; i++)
        mbi_store64(bytes + 8 * i, code[i]);
    mbi_transcript_absorb(t, "code", bytes, 48);
    for (size_t i = 0; i < c->depth; i++) {
        mbi_store64(bytes, c->further[i].log_columns);
        mbi_store64(bytes + 8, c->further[i].log_length);
        mbi_store64(bytes + 16, c->further[i].queries);
        mbi_store64(bytes + 24, c->further[i].work);
        mbi_transcript_absorb(t, "layer", bytes, 32);
    }
    if (c->masks) {
        mbi_store64(bytes, c->masks);
        mbi_store64(bytes + 8, c->pads);
        mbi_transcript_absorb(t, "masks", bytes, 16);
    }
    for (size_t i = 0; i < s->o.n_roots; i++) {
        mbi_store64(bytes, s->root[i].log_rows);
        mbi_store64(bytes + 8, s->root[i].rows);
        memcpy(bytes + 16, s->root[i].digest.byte, 32);
        mbi_transcript_absorb(t, "vector", bytes, 48);
    }
    for (size_t k = 0; k < s->o.n_claims; k++) {
        const bool joined = s->claim[k].joined;

        mbi_store64(claims + size, s->claim[k].vector + ((uint64_t)joined << 63));
        mbi_store64(claims + size + 8, s->claim[k].block);
        size += 16;
        for (size_t x = 0; x < MBI_EXT_D && !joined; x++, size += 8)
            mbi_store64(claims + size, s->claim[k].value.c[x]);
    }
    mbi_transcript_absorb(t, "claims", claims, size);
}

static inline struct mbi_ext draw(struct mbi_transcript *t)
{
    struct mbi_ext r;

    mbi_transcript_draw(r.c, MBI_EXT_D, t);
    return r;
}

/* Where entry x of the vectors, one below the other, is in the stack. */
static inline size_t entry_plain(const struct plain *p, size_t x)
{
    const unsigned columns = p->s->o.code.log_columns;

    return (x >> columns) * p->width + (x & (((size_t)1 << columns) - 1));
}

/* Vectors at the first multiple of their own size; how many rows that are. */
static inline size_t place_plain(size_t *first, const struct set *s)
{
    size_t end = 0, rows = 1;

    for (size_t i = 0; i < s->o.n_roots; i++) {
        for (first[i] = 0; first[i] < end;)
            first[i] += (size_t)1 << s->bits[i];
        end = first[i] + ((size_t)1 << s->bits[i]);
    }
    while (rows << s->o.code.log_columns < end)
        rows *= 2;
    return rows;
}

/* Masks, and pads and their weights: none in row p, which has them. */
static inline void hide_plain(struct plain *p, const size_t *first)
{
    const struct mbi_code *c = &p->s->o.code;
    const size_t columns = (size_t)1 << c->log_columns, last = (size_t)p->s->root[0].rows - 1;
    mbi_fe *x = calloc(p->width, sizeof(*x));

    test_that(x);
    for (size_t i = 0; i < p->s->o.n_roots; i++)
        for (size_t r = 0; r < p->s->root[i].rows; r++) {
            struct mbi_ext *row = p->v + ((first[i] >> c->log_columns) + r) * p->width + columns;

            mbi_mask_fill(x, c->masks, &p->s->seed[i], MBI_MASK_ROW, r);
            for (size_t k = 0; k < c->masks; k++)
                row[k] = mbi_ext_from(x[k]);
        }
    mbi_mask_fill(x, c->pads, p->s->seed, MBI_MASK_ROUND, 0);
    for (size_t k = 0; k < c->pads; k++)
        p->v[last * p->width + columns + c->masks + k] = mbi_ext_from(x[k]);
    for (size_t k = 0; k < 2 * p->rounds * MBI_EXT_D; k++)
        p->pad[k / MBI_EXT_D].c[k % MBI_EXT_D] = x[k];
    p->v[p->width - 1] = p->tail ? mbi_ext_from(p->tail) : p->v[p->width - 1];
    for (size_t k = 0; k < MBI_EXT_D && p->other != SIZE_MAX; k++)
        p->v[p->other * p->width + columns + c->masks + MBI_EXT_D + k] = mbi_ext_from(p->more.c[k]);
    free(x);
    for (size_t r = 0; r < p->size / p->width; r++) {
        struct mbi_ext power = mbi_ext_mul(p->factor, slow_eq(p->z, p->rounds, r));
        struct mbi_ext *w = p->w + r * p->width + columns + c->masks;

        for (size_t i = 0; i < 2 * p->rounds && r != last;
             i++, power = mbi_ext_mul(power, p->power))
            for (size_t k = 0; k < MBI_EXT_D; k++) {
                struct mbi_ext unit = {{0}};

                unit.c[k] = 1;
                w[i * MBI_EXT_D + k] = mbi_ext_mul(power, unit);
            }
    }
}

static inline void stack_plain(struct plain *p, struct mbi_ext join, const size_t *first)
{
    const struct set *s = p->s;
    struct mbi_ext power = mbi_ext_from(1), w;

    p->v = calloc(p->size, sizeof(*p->v));
    p->w = calloc(p->size, sizeof(*p->w));
    test_that(p->v && p->w);
    for (size_t i = 0; i < s->o.n_roots; i++)
        for (size_t x = 0; x < (size_t)1 << s->bits[i]; x++)
            p->v[entry_plain(p, first[i] + x)] = mbi_table_ext(&s->table[i], x);
    for (size_t k = 0; k < s->o.n_claims; k++) {
        const struct mbi_claim *c = &s->claim[k];
        const size_t block = first[c->vector] + ((size_t)c->block << c->form->bits);
        struct mbi_ext scale;

        if (k && !c->joined)
            power = mbi_ext_mul(power, join);
        scale = mbi_ext_mul(power, slow_scale(c));
        for (size_t x = 0; x < (size_t)1 << c->form->bits; x++) {
            struct mbi_ext *to = p->w + entry_plain(p, block + x);

            MBI_EXT(form_block)(&w, c->form, x, 0);
            *to = mbi_ext_add(*to, mbi_ext_mul(scale, w));
        }
    }
    if (s->o.code.masks)
        hide_plain(p, first);
}

static inline struct mbi_ext dot(const struct mbi_ext *a, const struct mbi_ext *b, size_t n)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (size_t i = 0; i < n; i++)
        sum = mbi_ext_add(sum, mbi_ext_mul(a[i], b[i]));
    return sum;
}

/* The sum of v w with the first variable at x, over the rest. */
static inline struct mbi_ext sum_at(const struct plain *p, unsigned x)
{
    const size_t half = p->size / 2;
    struct mbi_ext sum = mbi_ext_from(0), v, w;

    for (size_t i = 0; i < half; i++) {
        MBI_EXT(table_fold)(&v, p->v + i, p->v + half + i, 1, mbi_ext_from(x));
        MBI_EXT(table_fold)(&w, p->w + i, p->w + half + i, 1, mbi_ext_from(x));
        sum = mbi_ext_add(sum, mbi_ext_mul(v, w));
    }
    return sum;
}

/* In Lagrange's form, from q(1) = claim - q(0). */
static inline struct mbi_ext at_plain(struct mbi_ext claim, struct mbi_ext q0, struct mbi_ext q2,
                                      struct mbi_ext r)
{
    const struct mbi_ext q1 = mbi_ext_sub(claim, q0), r1 = mbi_ext_sub(r, mbi_ext_from(1)),
                         r2 = mbi_ext_sub(r, mbi_ext_from(2));
    const mbi_fe half = mbi_fe_inv(2);
    struct mbi_ext sum = mbi_ext_scale(mbi_ext_mul(q0, mbi_ext_mul(r1, r2)), half);

    sum = mbi_ext_sub(sum, mbi_ext_mul(q1, mbi_ext_mul(r, r2)));
    return mbi_ext_add(sum, mbi_ext_scale(mbi_ext_mul(q2, mbi_ext_mul(r, r1)), half));
}

/* The numbers of the pads in the claim after a round of them: q(0) and q(2) are those that were
 * sent less their pads. */
static inline void pads_plain(struct plain *p, unsigned round, struct mbi_ext r)
{
    const struct mbi_ext zero = mbi_ext_from(0), minus = mbi_ext_neg(mbi_ext_from(1));

    for (unsigned i = 0; i < 2 * round; i++)
        p->scale[i] = at_plain(p->scale[i], zero, zero, r);
    p->scale[2 * round] = at_plain(zero, minus, zero, r);
    p->scale[2 * round + 1] = at_plain(zero, zero, minus, r);
}

/* Returns what is left of the claim. */
static inline struct mbi_ext round_plain(struct plain *p, struct mbi_ext claim,
                                         struct mbi_proof_writer *w, bool lie)
{
    const struct mbi_ext q0 = mbi_ext_add(sum_at(p, 0), mbi_ext_from(lie)), q2 = sum_at(p, 2);
    const bool hidden = p->s->o.code.masks && p->round < p->rounds;
    struct mbi_ext message[2] = {q0, q2}, r;

    for (size_t i = 0; hidden && i < 2; i++)
        message[i] = mbi_ext_add(mbi_ext_add(message[i], p->pad[2 * p->round + i]), p->shift);
    mbi_put_elements(w, "round", (const mbi_fe *)message, 2 * MBI_EXT_D);
    r = p->alpha[p->round] = draw(&w->transcript);
    p->known = at_plain(p->known, message[0], message[1], r);
    if (hidden)
        pads_plain(p, p->round, r);
    p->round++;
    p->size /= 2;
    MBI_EXT(table_fold)(p->v, p->v, p->v + p->size, p->size, r);
    MBI_EXT(table_fold)(p->w, p->w, p->w + p->size, p->size, r);
    return at_plain(claim, q0, q2, r);
}

/* The row in v becomes the sum of the blind one and gamma times it; returns what it has to give. */
static inline struct mbi_ext blind_plain(struct plain *p, struct mbi_proof_writer *w)
{
    const struct mbi_code *c = &p->s->o.code;
    const size_t pads = ((size_t)1 << c->log_columns) + c->masks;
    const struct mbi_ext last = slow_eq(p->alpha, p->rounds, p->s->root[0].rows - 1);
    struct mbi_ext value = mbi_ext_from(0);

    for (size_t k = 0; k < 2 * p->rounds * MBI_EXT_D; k++) {
        struct mbi_ext unit = {{0}};

        unit.c[k % MBI_EXT_D] = 1;
        unit = mbi_ext_mul(unit, mbi_ext_mul(p->scale[k / MBI_EXT_D], MBI_EXT(ext_inv)(last)));
        p->w[pads + k] = mbi_ext_sub(p->w[pads + k], unit);
    }
    p->gives = mbi_ext_equal(dot(p->v, p->w, p->width), p->known);
    p->blind = calloc(MBI_EXT_D * p->width, sizeof(*p->blind));
    test_that(p->blind);
    for (size_t k = 0; k < MBI_EXT_D; k++)
        mbi_mask_fill(p->blind + k * p->width, p->width - !!p->tail, p->s->seed, MBI_MASK_BLIND, k);
    for (size_t i = 0; i < p->width; i++) {
        struct mbi_ext y;

        for (size_t k = 0; k < MBI_EXT_D; k++)
            y.c[k] = p->blind[k * p->width + i];
        value = mbi_ext_add(value, mbi_ext_mul(y, p->w[i]));
    }
    if (cheats(p, BLIND, 0))
        value.c[MBI_EXT_D - 1] = mbi_fe_add(value.c[MBI_EXT_D - 1], 1);
    mbi_put_elements(w, "blind", value.c, MBI_EXT_D);
    p->gamma = draw(&w->transcript);
    for (size_t i = 0; i < p->width; i++) {
        p->v[i] = mbi_ext_mul(p->gamma, p->v[i]);
        for (size_t k = 0; k < MBI_EXT_D; k++)
            p->v[i].c[k] = mbi_fe_add(p->v[i].c[k], p->blind[k * p->width + i]);
    }
    free(p->blind);
    return mbi_ext_add(value, mbi_ext_mul(p->gamma, p->known));
}

/* Of the first n coordinates of n points. */
static inline mbi_fe determinant(const struct mbi_ext *const *x, int n)
{
    mbi_fe sum = 0;

    if (!n)
        return 1;
    for (int i = 0; i < n; i++) { /* by the last coordinate */
        const struct mbi_ext *rest[MBI_EXT_D];
        mbi_fe term;

        for (int k = 0, to = 0; k < n; k++)
            if (k != i)
                rest[to++] = x[k];
        term = mbi_fe_mul(x[i]->c[n - 1], determinant(rest, n - 1));
        sum = (n - 1 - i) % 2 ? mbi_fe_sub(sum, term) : mbi_fe_add(sum, term);
    }
    return sum;
}

/* Adds to the first D + 1 entries what folds to zero: the minors of their weights, by turns
 * negative. The stack's first rows are these. */
static inline void change_column(const struct plain *p, mbi_fe *column, size_t width)
{
    struct mbi_ext weight[MBI_EXT_D + 1], sum = mbi_ext_from(0);

    for (size_t i = 0; i <= MBI_EXT_D; i++) {
        struct mbi_ext one = {{0}};

        one.c[i % width] = 1;
        weight[i] = mbi_ext_mul(one, slow_eq(p->alpha + p->from, p->round - p->from, i / width));
    }
    for (int i = 0; i <= MBI_EXT_D; i++) {
        const struct mbi_ext *rest[MBI_EXT_D];
        mbi_fe minor;

        for (int k = 0, to = 0; k <= MBI_EXT_D; k++)
            if (k != i)
                rest[to++] = &weight[k];
        minor = determinant(rest, MBI_EXT_D);
        if (i % 2)
            minor = mbi_fe_neg(minor);
        test_that(minor);
        column[i] = mbi_fe_add(column[i], minor);
        sum = mbi_ext_add(sum, mbi_ext_scale(weight[i], minor));
    }
    test_that(mbi_ext_is_zero(sum));
}

/* Rows of layer 0 behind `rows` are blind. Also folds what it shows, each of `width` elements. */
static inline void columns_plain(struct plain *p, struct mbi_proof_writer *w, unsigned layer,
                                 const struct matrix *c, uint64_t first, size_t width, size_t rows)
{
    const unsigned rounds = p->round - p->from;
    const size_t n = p->n[layer];
    mbi_fe *column = malloc(n * c->rows * sizeof(*column));

    test_that(column);
    for (size_t k = 0; k < n * c->rows; k++)
        column[k] = c->codeword[k % c->rows * c->length + p->position[layer][k / c->rows]];
    if (cheats(p, NOT_COMMITTED, layer) && first == 0)
        change_column(p, column, width);
    for (size_t k = 0; k < n * c->rows; k++) {
        const bool blind = k % c->rows >= rows;
        struct mbi_ext eq = slow_eq(p->alpha + p->from, rounds, first + k % c->rows / width);
        struct mbi_ext entry = {{0}};

        entry.c[blind ? k % c->rows - rows : k % c->rows % width] = column[k];
        if (!layer)
            eq = blind ? mbi_ext_from(1) : mbi_ext_mul(eq, p->gamma);
        p->sum[k / c->rows] = mbi_ext_add(p->sum[k / c->rows], mbi_ext_mul(eq, entry));
    }
    mbi_put_elements(w, "columns", column, n * c->rows);
    mbi_put_opening(w, c->tree, c->length, p->position[layer], n);
    free(column);
}

static inline void work_plain(struct plain *p, struct mbi_proof_writer *w, unsigned layer,
                              unsigned bits)
{
    uint8_t seed[MBI_SEED_SIZE], nonce[8] = {0};

    if (!cheats(p, NO_WORK, layer)) {
        mbi_put_work(w, bits);
        return;
    }
    mbi_transcript_draw_seed(seed, &w->transcript);
    while (mbi_work_holds(seed, mbi_load64(nonce), bits))
        nonce[0]++;
    mbi_put_bytes(w, "nonce", nonce, 8);
}

/* Work, positions, columns. */
static inline void layer_plain(struct plain *p, struct mbi_proof_writer *w, unsigned layer)
{
    const struct mbi_layer a = mbi_code_layer(&p->s->o.code, layer);
    uint32_t *position = p->position[layer];
    size_t first[MAX_VECTORS], end = 0;

    work_plain(p, w, layer, a.work);
    test_that(a.queries <= MBI_COUNT(p->position[0]));
    mbi_transcript_draw_indices(position, a.queries, &w->transcript, a.log_length);
    p->n[layer] = mbi_sort_positions(position, a.queries);
    memset(p->sum, 0, sizeof(p->sum));
    if (layer)
        columns_plain(p, w, layer, &p->further, 0, MBI_EXT_D, SIZE_MAX);
    for (size_t i = 0; i < p->s->o.n_roots && !layer; i++) {
        const struct mbi_commitment *c = &p->s->vector[i];
        const size_t rows = (size_t)c->root.rows, blind = c->blind ? MBI_EXT_D : 0;
        const struct matrix m = {c->codeword, c->tree, rows + blind, (size_t)1 << a.log_length};
        const size_t height = (size_t)1 << c->root.log_rows;

        for (first[i] = 0; first[i] < end;)
            first[i] += height;
        end = first[i] + height;
        columns_plain(p, w, 0, &m, first[i], 1, rows);
    }
}

static inline void free_matrix(struct matrix *m)
{
    free(m->codeword);
    free(m->tree);
    *m = (struct matrix){0};
}

/* The values of every row's polynomial, coordinate by coordinate. */
static inline struct matrix encode_plain(const struct plain *p, const struct mbi_layer *a)
{
    const size_t columns = (size_t)1 << a->log_columns, length = (size_t)1 << a->log_length;
    struct matrix m = {NULL, NULL, (p->size + columns - 1) / columns * MBI_EXT_D, length};

    m.codeword = calloc(m.rows * length, sizeof(*m.codeword));
    m.tree = malloc(mbi_merkle_size(length) * sizeof(*m.tree));
    test_that(m.codeword && m.tree);
    for (size_t r = 0; r < m.rows; r++)
        for (size_t j = 0; j < length; j++) {
            const mbi_fe x = mbi_fe_pow(mbi_fe_root(a->log_length), j);
            mbi_fe *value = &m.codeword[r * length + j];

            for (size_t i = columns; i-- > 0;)
                if (r / MBI_EXT_D * columns + i < p->size) /* of the last row, maybe not */
                    *value = mbi_fe_add(mbi_fe_mul(*value, x),
                                        p->v[r / MBI_EXT_D * columns + i].c[r % MBI_EXT_D]);
        }
    return m;
}

static inline void swap_words(mbi_fe *a, mbi_fe *b)
{
    const mbi_fe c = *a;

    *a = *b;
    *b = c;
}

/* What a cheat makes of a matrix, and its tree. */
static inline void finish_matrix(const struct plain *p, struct matrix *m, unsigned layer)
{
    struct mbi_columns columns = {m->codeword, m->rows, m->length, 1, NULL};

    for (size_t k = 0; cheats(p, SYMBOLS, layer) && k < p->wrong; k++) { /* 5 is odd */
        mbi_fe *x = &m->codeword[k % m->rows * m->length + (p->start + 5 * k) % m->length];

        *x = mbi_fe_add(*x, 1 + k);
    }
    for (size_t r = 0; cheats(p, ORDER, layer) && r < m->rows; r++)
        for (size_t j = 0; j < m->length / 2; j++)
            swap_words(&m->codeword[r * m->length + j], &m->codeword[(r + 1) * m->length - 1 - j]);
    mbi_merkle_leaves(m->tree, m->length, &p->m->host, 1, mbi_hash_columns, &columns);
    mbi_merkle_build(m->tree, m->length, &p->m->host);
}

/* The row in v is shown or committed to as that of a layer. */
static inline void row_plain(struct plain *p, struct mbi_ext claim, unsigned layer)
{
    const struct mbi_ext missing = mbi_ext_sub(claim, dot(p->v, p->w, p->size));
    const bool hidden = p->s->o.code.masks && !layer; /* masks have no weights */
    const size_t a = (hidden ? (size_t)1 << p->s->o.code.log_columns : p->size) - 1;

    if (cheats(p, ROW, layer))
        p->v[a].c[0] = mbi_fe_add(p->v[a].c[0], 1);
    if (!cheats(p, ROW_FOR_CLAIMS, layer))
        return;
    p->v[a] = mbi_ext_add(p->v[a], mbi_ext_mul(missing, MBI_EXT(ext_inv)(p->w[a])));
    p->v[0] = mbi_ext_add(p->v[0], p->w[1]); /* orthogonal to the weights */
    p->v[1] = mbi_ext_sub(p->v[1], p->w[0]);
    test_that(mbi_ext_equal(dot(p->v, p->w, p->size), claim));
}

/* Claims about the row: its value at the powers of every position is the folded column. */
static inline struct mbi_ext join_plain(struct plain *p, struct mbi_proof_writer *w, unsigned layer,
                                        struct mbi_ext claim)
{
    const unsigned log_length = mbi_code_layer(&p->s->o.code, layer).log_length;
    const struct mbi_ext join = draw(&w->transcript);
    struct mbi_ext power = join;

    for (size_t j = 0; j < p->n[layer]; j++, power = mbi_ext_mul(power, join)) {
        claim = mbi_ext_add(claim, mbi_ext_mul(power, p->sum[j]));
        for (size_t y = 0; y < p->size; y++) {
            const mbi_fe x = mbi_fe_pow(mbi_fe_root(log_length), y * p->position[layer][j]);

            p->w[y] = mbi_ext_add(p->w[y], mbi_ext_scale(power, x));
        }
    }
    return claim;
}

static inline struct mbi_ext rounds_plain(struct plain *p, struct mbi_proof_writer *w,
                                          unsigned layer, unsigned n, struct mbi_ext claim)
{
    for (unsigned i = 0; i < n; i++)
        claim = round_plain(p, claim, w, !i && cheats(p, Q0, layer));
    return claim;
}

/* Zeros up to the next power of two. */
static inline void pad_plain(struct plain *p)
{
    const size_t size = (size_t)1 << mbi_bitlen(p->size - 1);

    p->v = realloc(p->v, size * sizeof(*p->v));
    p->w = realloc(p->w, size * sizeof(*p->w));
    test_that(p->v && p->w);
    memset(p->v + p->size, 0, (size - p->size) * sizeof(*p->v));
    memset(p->w + p->size, 0, (size - p->size) * sizeof(*p->w));
    p->size = size;
}

/* From one layer's folded row to the next one's. */
static inline struct mbi_ext further_plain(struct plain *p, struct mbi_proof_writer *w,
                                           unsigned layer, struct mbi_ext claim)
{
    const struct mbi_layer *next = &p->s->o.code.further[layer];
    struct mbi_digest root;
    struct matrix m;

    row_plain(p, claim, layer);
    m = encode_plain(p, next);
    finish_matrix(p, &m, layer + 1);
    root = m.tree[mbi_merkle_size(m.length) - 1];
    root.byte[7] ^= cheats(p, NOT_THE_ROOT, layer + 1);
    mbi_put_bytes(w, "folded", &root, sizeof(root));
    layer_plain(p, w, layer);
    free_matrix(&p->further);
    p->further = m;
    p->from = p->round;
    claim = join_plain(p, w, layer, claim);
    pad_plain(p);
    return rounds_plain(p, w, layer + 1, (unsigned)mbi_bitlen(p->size - 1) - next->log_columns,
                        claim);
}

/* Of the claim that other rows have no pads. */
static inline void draw_plain(struct plain *p, struct mbi_transcript *t)
{
    struct mbi_ext drawn[MBI_MAX_BITS + 2];

    mbi_transcript_draw(drawn[0].c, MBI_EXT_D * (size_t)(p->rounds + 2), t);
    memcpy(p->z, drawn, p->rounds * sizeof(*drawn));
    p->power = drawn[p->rounds];
    p->factor = p->no_claim ? mbi_ext_from(0) : drawn[p->rounds + 1];
}

static inline void cheat_plain(struct plain *p, struct mbi_proof_writer *w, const struct set *s,
                               const struct machine *m)
{
    struct mbi_ext claim = mbi_ext_from(0), join, power = mbi_ext_from(1);
    const unsigned depth = s->o.code.depth;
    size_t first[MAX_VECTORS], rows;

    p->s = s;
    p->m = m;
    p->round = p->from = 0;
    p->further = (struct matrix){0};
    p->width = ((size_t)1 << s->o.code.log_columns) + s->o.code.masks + s->o.code.pads + !!p->tail;
    rows = place_plain(first, s);
    p->size = rows * p->width;
    p->rounds = (unsigned)mbi_bitlen(rows - 1);
    p->gamma = mbi_ext_from(1);
    mbi_proof_writer_init(w, &m->host, "test");
    absorb_plain(&w->transcript, s);
    if (s->o.code.masks)
        draw_plain(p, &w->transcript);
    join = draw(&w->transcript);
    for (size_t k = 0; k < s->o.n_claims; k++) {
        if (s->claim[k].joined)
            continue;
        claim = mbi_ext_add(claim, mbi_ext_mul(power, s->claim[k].value));
        power = mbi_ext_mul(power, join);
    }
    stack_plain(p, join, first);
    p->known = claim;
    claim = rounds_plain(p, w, 0, p->rounds, claim);
    if (s->o.code.masks)
        claim = blind_plain(p, w);
    for (unsigned i = 0; i < depth; i++)
        claim = further_plain(p, w, i, claim);
    row_plain(p, claim, depth);
    mbi_put_elements(w, "row", (const mbi_fe *)p->v, MBI_EXT_D * p->size);
    if (depth) {
        const unsigned rounds = p->round;

        claim = rounds_plain(p, w, depth + 1, s->o.code.further[depth - 1].log_columns, claim);
        p->round = rounds; /* the layer's own */
    }
    layer_plain(p, w, depth);
    free_matrix(&p->further);
    free(p->v);
    free(p->w);
}

static inline void prove_plain(struct plain *p, struct mbi_proof_writer *w, const struct set *s,
                               const struct machine *m, enum cheat cheat)
{
    *p = (struct plain){.cheat = cheat, .other = SIZE_MAX};
    cheat_plain(p, w, s, m);
}

static inline void check_sizes(const struct set *s, const struct plain *p, size_t size)
{
    struct mbi_positions layer[MBI_CODE_DEPTH + 1];

    for (size_t i = 0; i <= s->o.code.depth; i++)
        layer[i] = (struct mbi_positions){p->position[i], p->n[i]};
    ck_assert_uint_eq(MBI_EXT(open_size)(&s->o.code, s->root, s->o.n_roots, layer), size);
    test_that(MBI_EXT(open_size_max)(&s->o.code, s->root, s->o.n_roots) >= size);
}

/* The proof is the second prover's, and it is accepted. */
static inline void check_complete(const struct set *s, const struct machine *m)
{
    struct mbi_proof_writer ours, theirs;
    struct plain p;
    const char *fault;

    prove(&ours, s, m);
    prove_plain(&p, &theirs, s, m, HONEST);
    ck_assert_uint_eq(ours.bytes.size, theirs.bytes.size);
    test_same_bytes(ours.bytes.data, theirs.bytes.data, theirs.bytes.size);
    fault = verify(s, ours.bytes.data, ours.bytes.size);
    test_check(!fault, "2^%u columns, %zu vectors, %zu claims: %s", s->o.code.log_columns,
               s->o.n_roots, s->o.n_claims, fault);
    check_sizes(s, &p, ours.bytes.size);
    mbi_proof_writer_free(&ours);
    mbi_proof_writer_free(&theirs);
}

/* Gives a code up to `depth` further layers; rows become shorter each time. */
static inline void add_layers(struct mbi_code *code, unsigned depth, struct test_random *r)
{
    unsigned columns = code->log_columns;

    for (code->depth = 0; code->depth < depth && columns; code->depth++) {
        struct mbi_layer *a = &code->further[code->depth];

        columns -= 1 + (unsigned)test_random_below(r, columns < 3 ? columns : 3);
        a->log_columns = columns;
        a->log_length = columns + 1 + (unsigned)test_random_below(r, 3);
        a->queries = 1 + (unsigned)test_random_below(r, 40);
        a->work = (unsigned)test_random_below(r, 4);
    }
}

/* A set in which everything matters: random entries, eq over all of each vector and over the second
 * half of the first. */
static inline void strict_set(struct set *s, struct mbi_code code, const unsigned *log_rows,
                              size_t n, const struct machine *m, struct test_random *r)
{
    memset(s, 0, sizeof(*s));
    s->o = (struct mbi_opening){code, s->root, n, s->claim, n + 1};
    for (size_t i = 0; i < n; i++) {
        s->bits[i] = log_rows[i] + code.log_columns;
        s->table[i] = random_table(MBI_TABLE_I32, (size_t)1 << s->bits[i], r);
    }
    random_masks(s, r);
    commit_all(s, m);
    for (size_t k = 0; k <= n; k++) {
        const unsigned bits = s->bits[k % n] - (k == n);

        random_point(s->z[k], bits, r);
        s->form[k] = (struct mbi_form){
            bits, random_ext(r), 1, {MBI_EXT(form_eq)(0, bits, (uint64_t)1 << bits, s->z[k])}};
        s->claim[k] = (struct mbi_claim){.vector = k % n, .block = k == n, .form = &s->form[k]};
        s->claim[k].value = slow_value(s, k);
    }
}

static const char not_claims[] = "does not give its claims";
static const char not_row[] = "does not fold to the row";
static const char not_path[] = "do not lead to the root";

/* The tree again, over a codeword that the test has changed. */
static inline void hash_again(struct set *s, size_t i, const struct machine *m)
{
    struct mbi_commitment *c = &s->vector[i];
    const size_t length = (size_t)1 << c->code.log_length;
    const size_t rows = (size_t)c->root.rows + (c->blind ? MBI_EXT_D : 0);
    struct mbi_columns columns = {c->codeword, rows, length, 1, NULL};

    mbi_merkle_leaves(c->tree, length, &m->host, 1, mbi_hash_columns, &columns);
    c->root.digest = *mbi_merkle_build(c->tree, length, &m->host);
    s->root[i] = c->root;
}

/* `wrong` columns of a vector have another entry in one row; how often is that not found? */
static inline void flip_bits(const struct set *s, const struct mbi_proof_writer *w)
{
    for (size_t bit = 0; bit < 8 * w->bytes.size; bit++) {
        w->bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        test_check(verify(s, w->bytes.data, w->bytes.size), "bit %zu is free", bit);
        w->bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static inline void change_length(const struct set *s, const struct mbi_proof_writer *w)
{
    const size_t size = w->bytes.size;
    uint8_t *other = malloc(size + 1);

    test_that(other);
    memcpy(other, w->bytes.data, size);
    other[size] = 0;
    test_that(strstr(verify(s, other, size + 1), "after the end"));
    free(other);
    for (size_t n = 0; n < size; n++) {
        other = malloc(n + 1); /* its end is seen by the sanitizer */
        test_that(other);
        memcpy(other, w->bytes.data, n);
        test_check(verify(s, other, n), "%zu of %zu bytes are accepted", n, size);
        free(other);
    }
}

/* Any element that is not canonical, also one that stands for the right one. */
static inline void change_elements(const struct set *s, const struct mbi_proof_writer *w,
                                   size_t end)
{
    for (size_t at = 0; at < end; at += 8) {
        const uint64_t x = mbi_load64(w->bytes.data + at);
        const uint64_t other[] = {MBI_FIELD_P, MBI_FIELD_P + 1, UINT64_MAX, x + MBI_FIELD_P};

        for (size_t i = 0; i < MBI_COUNT(other); i++) {
            if (other[i] < MBI_FIELD_P)
                continue;
            mbi_store64(w->bytes.data + at, other[i]);
            test_that(strstr(verify(s, w->bytes.data, w->bytes.size), "prime"));
        }
        mbi_store64(w->bytes.data + at, x);
    }
}

/* The same proof for every table of kernels and several threads. */
static inline void check_machines(const struct mbi_code *code, struct test_random *r)
{
    static const unsigned rows[] = {3, 1, 2};
    const struct mbi_field_kernels *k;
    struct machine plain;
    struct mbi_proof_writer one, other;
    struct set s;

    machine_init(&plain, 1, &mbi_field_kernels_portable);
    random_set(&s, *code, rows, 3, 6, &plain, r);
    prove(&one, &s, &plain);
    for (size_t i = 0; (k = mbi_field_kernels_at(i)); i++)
        for (uint32_t threads = 1; threads <= 4; threads += 3) {
            struct machine m;

            if (!k->probe())
                continue;
            machine_init(&m, threads, k);
            free_commitments(&s);
            commit_all(&s, &m);
            prove(&other, &s, &m);
            ck_assert_uint_eq(one.bytes.size, other.bytes.size);
            test_same_bytes(other.bytes.data, one.bytes.data, one.bytes.size);
            mbi_proof_writer_free(&other);
            free_commitments(&s);
            machine_free(&m);
        }
    commit_all(&s, &plain); /* for free_set() */
    mbi_proof_writer_free(&one);
    free_set(&s);
    machine_free(&plain);
}

/* For test_refuse_each(): of a set of one vector. */
static inline int32_t commit_and_open(const struct mbi_host *host, void *arg)
{
    const struct set *s = arg;
    const struct mbi_masking masking = {&s->seed[0], true};
    struct mbi_commitment c = {0};
    struct mbi_opening o = s->o;
    struct mbi_proof_writer w;
    struct mbi_ntt ntt;
    int32_t rc = mbi_ntt_init(&ntt, host, mbi_field_kernels_best(), 8, NULL);

    if (rc < 0)
        return rc;
    mbi_proof_writer_init(&w, host, "test");
    rc = MBI_EXT(commit)(&c, &s->table[0], s->bits[0], &o.code, o.code.masks ? &masking : NULL,
                         &ntt, NULL);
    if (rc == MAMBAINT_OK)
        rc = MBI_EXT(open_prove)(&o, &c, &w, host, mbi_field_kernels_best(), NULL);
    if (rc == MAMBAINT_OK && w.bytes.failed)
        rc = MAMBAINT_E_NO_MEMORY;
    if (rc == MAMBAINT_OK) {
        struct mbi_proof_reader in;

        mbi_proof_reader_init(&in, w.bytes.data, w.bytes.size, "test");
        if (!MBI_EXT(open_verify)(&o, &in, host)) {
            test_that(strstr(in.fault, "memory"));
            rc = MAMBAINT_E_NO_MEMORY;
        }
    }
    mbi_proof_writer_free(&w);
    MBI_EXT(commitment_free)(&c);
    mbi_ntt_free(&ntt);
    return rc;
}

#endif
