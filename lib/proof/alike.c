/* SPDX-License-Identifier: Apache-2.0 */
/* Families of sums that are alike, the lists of their tables, and the rounds over their members. */
#include "proof/alike.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"

#define POINTS (MBI_SUM_DEGREE + 1)

/* ---- families ---- */

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
}

static uint64_t hash_polynomial(const struct mbi_sum *s)
{
    uint64_t h = mix(s->n_tables, s->n_terms);

    for (size_t i = 0; i < s->n_terms; i++) {
        h = mix(h, s->term[i].c);
        for (unsigned k = 0; k < s->term[i].degree; k++)
            h = mix(h, s->term[i].factor[k]);
    }
    return h;
}

static bool same_polynomial(const struct mbi_sum *s, const struct mbi_sum *t)
{
    bool same = s->n_tables == t->n_tables && s->n_terms == t->n_terms;

    for (size_t i = 0; same && i < s->n_terms; i++) {
        const struct mbi_sum_term *a = &s->term[i], *b = &t->term[i];

        same = a->c == b->c && a->degree == b->degree && !memcmp(a->factor, b->factor, a->degree);
    }
    return same;
}

static void empty_buckets(struct mbi_alike *a)
{
    for (size_t i = 0; i < a->n_buckets; i++)
        a->bucket[i] = MBI_NO_SUM;
}

static void find_family(struct mbi_alike *a, const struct mbi_sum_batch *batch, uint32_t k)
{
    const struct mbi_sum *s = &batch->sum[k];
    uint32_t *bucket = &a->bucket[hash_polynomial(s) & (a->n_buckets - 1)], f = *bucket;

    while (f != MBI_NO_SUM && !same_polynomial(&batch->sum[a->family[f].first], s))
        f = a->family[f].chain;
    if (f == MBI_NO_SUM) {
        f = a->n_families++;
        a->family[f] = (struct mbi_family){.first = k, .chain = *bucket};
        *bucket = f;
    } else {
        a->next[a->family[f].last] = k;
    }
    a->family[f].last = k;
    a->family_of[k] = f;
    a->member[k] = a->family[f].n++;
    a->next[k] = MBI_NO_SUM;
}

/* ---- lists ---- */

/* The number of the list that has just been written behind all others; it stays if it is new. */
static uint32_t find_list(struct mbi_alike *a, uint32_t n)
{
    const uint32_t *table = a->table + a->n_tables;
    uint64_t h = n;
    uint32_t *bucket, at;

    for (uint32_t i = 0; i < n; i++)
        h = mix(h, table[i]);
    at = *(bucket = &a->bucket[h & (a->n_buckets - 1)]);
    while (at != MBI_NO_SUM &&
           (a->list[at].n != n || memcmp(a->table + a->list[at].first, table, n * sizeof(*table))))
        at = a->list[at].chain;
    if (at == MBI_NO_SUM) {
        at = a->n_lists++;
        a->list[at] = (struct mbi_alike_list){a->n_tables, n, *bucket};
        *bucket = at;
        a->n_tables += n;
    }
    return at;
}

static void find_lists(struct mbi_alike *a, const struct mbi_sum_batch *batch)
{
    uint32_t numbers = 0;

    for (uint32_t f = 0; f < a->n_families; f++) {
        struct mbi_family *of = &a->family[f];

        of->list = numbers;
        for (size_t i = 0; i < batch->sum[of->first].n_tables; i++) {
            uint32_t n = 0;

            for (uint32_t k = of->first; k != MBI_NO_SUM; k = a->next[k])
                a->table[a->n_tables + n++] = batch->sum[k].table[i];
            a->number[numbers++] = find_list(a, n);
        }
    }
}

/* `own`: the tables of all sums, each counted for each of them. */
static bool alloc_all(struct mbi_alike *a, size_t sums, size_t own, const struct mbi_host *host)
{
    a->n_buckets = 1;
    while (a->n_buckets < mbi_max_size(sums, own))
        a->n_buckets *= 2;
    a->family = mbi_alloc(host, sums, sizeof(*a->family));
    a->family_of = mbi_alloc(host, sums, sizeof(*a->family_of));
    a->member = mbi_alloc(host, sums, sizeof(*a->member));
    a->next = mbi_alloc(host, sums, sizeof(*a->next));
    a->weight = mbi_alloc(host, sums, sizeof(*a->weight));
    a->list = mbi_alloc(host, own, sizeof(*a->list));
    a->number = mbi_alloc(host, own, sizeof(*a->number));
    a->table = mbi_alloc(host, own, sizeof(*a->table));
    a->bucket = mbi_alloc(host, a->n_buckets, sizeof(*a->bucket));
    return a->family && a->family_of && a->member && a->next && a->weight && a->list && a->number &&
           a->table && a->bucket;
}

bool MBI_EXT(alike_find)(struct mbi_alike *out, const struct mbi_sum_batch *batch,
                         const struct mbi_host *host)
{
    size_t own = 1;

    for (size_t k = 0; k < batch->n_sums; k++)
        own += batch->sum[k].n_tables;
    *out = (struct mbi_alike){0};
    if (!alloc_all(out, mbi_max_size(batch->n_sums, 1), own, host)) {
        MBI_EXT(alike_free)(out, host);
        return false;
    }
    empty_buckets(out);
    for (uint32_t k = 0; k < batch->n_sums; k++)
        find_family(out, batch, k);
    for (uint32_t f = 0; f < out->n_families; f++)
        out->bits = (unsigned)mbi_max_size(out->bits, (size_t)mbi_bitlen(out->family[f].n - 1));
    empty_buckets(out);
    find_lists(out, batch);
    return true;
}

void MBI_EXT(alike_free)(struct mbi_alike *a, const struct mbi_host *host)
{
    mbi_free(host, a->family);
    mbi_free(host, a->family_of);
    mbi_free(host, a->member);
    mbi_free(host, a->next);
    mbi_free(host, a->weight);
    mbi_free(host, a->list);
    mbi_free(host, a->number);
    mbi_free(host, a->table);
    mbi_free(host, a->bucket);
    *a = (struct mbi_alike){0};
}

bool MBI_EXT(alike_pays)(const struct mbi_alike *a, const struct mbi_sum_batch *batch)
{
    return a->bits && a->bits <= MBI_ALIKE_BITS &&
           (size_t)a->bits * MBI_EXT(sum_degree)(batch) + a->n_lists < batch->n_tables;
}

/* ---- the weights of families ---- */

/* The next sum's weight times its power, where the batch's own coordinates end. */
struct weights {
    const struct mbi_sum_batch *batch;
    const struct mbi_ext *point;
    const struct mbi_sum *last;
    struct mbi_ext weight;
};

static struct mbi_ext weight_of(struct weights *w, const struct mbi_sum *s, struct mbi_ext power)
{
    if (!w->last || w->last->weight != s->weight || w->last->n_weights != s->n_weights)
        w->weight = MBI_EXT(sum_weight_at)(s, w->point); /* many share it with the one before */
    w->last = s;
    return mbi_ext_mul(power, w->weight);
}

void MBI_EXT(alike_weights)(const struct mbi_alike *a, const struct mbi_sum_batch *batch,
                            struct mbi_ext join, const struct mbi_ext *point)
{
    struct weights w = {.batch = batch, .point = point};
    struct mbi_ext power = mbi_ext_from(1);

    for (uint32_t f = 0; f < a->n_families; f++)
        a->weight[f] = mbi_ext_from(0);
    for (uint32_t k = 0; k < batch->n_sums; k++, power = mbi_ext_mul(power, join)) {
        struct mbi_ext *sum = &a->weight[a->family_of[k]];
        const struct mbi_ext eq = MBI_EXT(eq_index)(point + batch->bits, a->bits, a->member[k]);

        *sum = mbi_ext_add(*sum, mbi_ext_mul(eq, weight_of(&w, &batch->sum[k], power)));
    }
}

/* ---- the prover ---- */

/* What the rounds fold: 2^bits entries of each family and of each list. */
struct gathering {
    const struct mbi_sum_batch *batch;
    const struct mbi_alike *alike;
    struct mbi_ext *weight, *value;
    unsigned left, degree; /* bits that are not yet fixed */
};

static size_t entries(const struct gathering *g, uint32_t n) { return (size_t)n << g->alike->bits; }

static struct mbi_ext *entry(const struct gathering *g, struct mbi_ext *of, uint32_t i)
{
    return of + entries(g, i);
}

static void fill(struct gathering *g, const struct mbi_ext *point, const struct mbi_ext *value,
                 const struct mbi_ext *join)
{
    const struct mbi_alike *a = g->alike;
    struct weights w = {.batch = g->batch, .point = point};

    for (uint32_t k = 0; k < g->batch->n_sums; k++)
        entry(g, g->weight, a->family_of[k])[a->member[k]] =
            weight_of(&w, &g->batch->sum[k], join[k]);
    for (uint32_t i = 0; i < a->n_lists; i++)
        for (uint32_t y = 0; y < a->list[i].n; y++)
            entry(g, g->value, i)[y] = value[a->table[a->list[i].first + y]];
}

/* An entry at the points 0, 1, ... of the variable that the round is about. */
struct line {
    struct mbi_ext at, rise;
};

static struct line line_of(const struct mbi_ext *low, size_t half)
{
    return (struct line){low[0], mbi_ext_sub(low[half], low[0])};
}

static void step(struct line *x) { x->at = mbi_ext_add(x->at, x->rise); }

/* q[t] += the family's weight times its polynomial, at the point t of the pair from entry y on. */
static void add_pair(struct mbi_ext q[POINTS], const struct gathering *g, uint32_t family, size_t y)
{
    const struct mbi_family *f = &g->alike->family[family];
    const struct mbi_sum *s = &g->batch->sum[f->first];
    const size_t half = (size_t)1 << (g->left - 1);
    struct line weight = line_of(entry(g, g->weight, family) + y, half), x[MBI_SUM_TABLES];
    struct mbi_ext at[MBI_SUM_TABLES];

    for (size_t i = 0; i < s->n_tables; i++)
        x[i] = line_of(entry(g, g->value, g->alike->number[f->list + i]) + y, half);
    for (unsigned t = 0; t <= g->degree; t++) {
        for (size_t i = 0; i < s->n_tables; i++) {
            at[i] = x[i].at;
            step(&x[i]);
        }
        q[t] = mbi_ext_add(q[t], mbi_ext_mul(weight.at, MBI_EXT(sum_polynomial)(s, at)));
        step(&weight);
    }
}

static struct mbi_ext prove_round(const struct gathering *g, struct mbi_proof_writer *out)
{
    const size_t half = (size_t)1 << (g->left - 1);
    struct mbi_ext q[POINTS] = {{{0}}}, r;

    for (uint32_t f = 0; f < g->alike->n_families; f++) /* behind its members all is zero */
        for (size_t y = 0; y < mbi_min_size(half, g->alike->family[f].n); y++)
            add_pair(q, g, f, y);
    q[1] = q[0]; /* the value at 1 follows from it */
    MBI_EXT(put_padded)(out, "round", &q[1], g->degree);
    mbi_transcript_draw(r.c, MBI_EXT_D, &out->transcript);
    return r;
}

static void fold(const struct gathering *g, struct mbi_ext *of, uint32_t n, struct mbi_ext r)
{
    const size_t half = (size_t)1 << (g->left - 1);

    for (uint32_t i = 0; i < n; i++)
        MBI_EXT(table_fold)(entry(g, of, i), entry(g, of, i), entry(g, of, i) + half, half, r);
}

static void prove_rounds(struct mbi_ext *point, struct gathering *g, struct mbi_proof_writer *out)
{
    for (g->left = g->alike->bits; g->left; g->left--) {
        const struct mbi_ext r = *point++ = prove_round(g, out);

        fold(g, g->weight, g->alike->n_families, r);
        fold(g, g->value, g->alike->n_lists, r);
    }
}

bool MBI_EXT(alike_prove)(struct mbi_ext *point, struct mbi_ext *value,
                          const struct mbi_sum_batch *batch, const struct mbi_ext *join,
                          struct mbi_proof_writer *out, const struct mbi_host *host)
{
    const struct mbi_alike *a = batch->alike;
    struct gathering g = {.batch = batch, .alike = a, .degree = MBI_EXT(sum_degree)(batch)};

    g.weight = mbi_alloc(host, entries(&g, a->n_families), sizeof(*g.weight));
    g.value = mbi_alloc(host, entries(&g, a->n_lists), sizeof(*g.value));
    if (g.weight && g.value) {
        fill(&g, point, value, join);
        prove_rounds(point + batch->bits, &g, out);
        for (uint32_t f = 0; f < a->n_families; f++)
            a->weight[f] = *entry(&g, g.weight, f);
        for (uint32_t i = 0; i < a->n_lists; i++)
            value[i] = *entry(&g, g.value, i);
    }
    mbi_free(host, g.weight);
    mbi_free(host, g.value);
    return g.weight && g.value;
}
#endif
