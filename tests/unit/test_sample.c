/* SPDX-License-Identifier: Apache-2.0 */
/* lib/sample: logarithm, sampler, documents, scoring; against slow references in 128 bits. */
#include "api/model.h"
#include "base/intmath.h"
#include "base/philox.h"
#include "sample/document.h"
#include "sample/lg2.h"
#include "sample/sampler.h"
#include "sample/score.h"
#include "tiny.h"
#include <math.h>

__extension__ typedef unsigned __int128 wide;

/* ---- logarithm ---- */

static void check_lg2(uint64_t x)
{
    const long double want = log2l((long double)x) * 65536;
    const long double error = (long double)mbi_lg2(x) - want;

    test_check(fabsl(error) < 0.5002L, "lg2(%llu) is off by %Lf", (unsigned long long)x, error);
}

START_TEST(logarithm_keeps_its_error)
{
    struct test_random r;

    test_random_init(&r, "logarithm_keeps_its_error");
    for (uint64_t x = 1; x < 100000; x++)
        check_lg2(x);
    for (int bit = 0; bit < 64; bit++) {
        const uint64_t x = (uint64_t)1 << bit;

        ck_assert_int_eq(mbi_lg2(x), (int64_t)bit << 16);
        check_lg2(x | 1);
        check_lg2(x | (x - 1));
    }
    for (int i = 0; i < 1000000; i++)
        check_lg2(test_random_u64(&r) >> test_random_below(&r, 63) | 1);
}
END_TEST

/* The cost against the same formula in floats: ex2w and the floor of u are its only roughness. */
START_TEST(cost_is_the_negative_log_probability)
{
    struct test_random r;
    int32_t z[64];

    test_random_init(&r, "cost_is_the_negative_log_probability");
    for (int round = 0; round < 20000; round++) {
        const size_t n = 1 + (size_t)test_random_below(&r, 64);
        const int64_t range = (int64_t)1 << test_random_below(&r, 28);
        const int32_t id = (int32_t)test_random_below(&r, n);
        long double sum = 0, want;
        int64_t cost;

        for (size_t i = 0; i < n; i++)
            z[i] = (int32_t)test_random_between(&r, -range, range - 1);
        for (size_t i = 0; i < n; i++)
            sum += expl(((long double)z[i] - z[id]) / 4096);
        want = log2l(sum) * 65536;
        cost = mbi_token_cost(z, n, id);
        test_that(cost >= 0);
        if (isfinite(sum))
            test_check(fabsl((long double)cost - want) < 4 + want * 1e-5L,
                       "cost %lld, expected %Lf", (long long)cost, want);
    }
}
END_TEST

/* The largest logits that a head can give: the sum of two halves of the range. */
START_TEST(cost_of_the_extremes)
{
    const int32_t z[] = {-(1 << 27), (1 << 27) - 1};

    ck_assert_int_eq(mbi_token_cost(z, 2, 1), 0);
    ck_assert_int_eq(mbi_token_cost(z, 2, 0),
                     (int64_t)(((uint64_t)((1u << 28) - 1) * 94548) >> 12));
    ck_assert_int_eq(mbi_token_cost(z, 1, 0), 0);
}
END_TEST

/* ---- sampler ---- */

struct candidate {
    int32_t z, id;
};

static int by_order(const void *x, const void *y)
{
    const struct candidate *a = x, *b = y;

    if (a->z != b->z)
        return a->z > b->z ? -1 : 1;
    return a->id < b->id ? -1 : 1;
}

#define MAX_N 131072
#define SMALL_N 600

/* What the definition needs for itself; malloc'd once. */
struct slow {
    struct candidate c[MAX_N];
    bool penalised[MAX_N];
    wide p[MAX_N];
};

/* docs/arithmetic.md, "Sampling", line by line: everything sorted, everything in 128 bits. */
static int32_t slow_sample(struct slow *s, const struct mbi_sampler *set, const int32_t *logits,
                           size_t n, const int32_t *recent, size_t n_recent, uint64_t pos)
{
    struct candidate *const c = s->c;
    wide *const p = s->p;
    wide total = 0, cum = 0, x;
    size_t keep = n, i;

    memset(s->penalised, 0, n * sizeof(*s->penalised));
    for (i = 0; i < n_recent; i++)
        s->penalised[recent[i]] = true;
    for (i = 0; i < n; i++)
        c[i] =
            (struct candidate){logits[i] - (s->penalised[i] ? set->repeat_penalty : 0), (int32_t)i};
    qsort(c, n, sizeof(*c), by_order);
    if (!set->temperature)
        return c[0].id;
    for (i = 0; i < n; i++) {
        const wide kappa = (wide)94548 * 256 / set->temperature;
        const wide u = ((wide)((int64_t)c[0].z - c[i].z) * kappa) >> 12;

        p[i] = mbi_ex2w(u < 1 << 21 ? (uint32_t)u : 1 << 21);
    }
    if (set->top_k && set->top_k < keep)
        keep = set->top_k;
    for (i = 0; i < keep; i++)
        total += p[i];
    if (set->top_p < 65536) {
        for (i = 0; i < keep; i++) {
            cum += p[i];
            if (cum * 65536 >= set->top_p * total)
                break;
        }
        keep = i + 1;
    }
    for (i = 1; i < keep; i++)
        if (p[i] * 65536 < set->min_p * p[0])
            break;
    keep = i < keep ? i : keep;
    total = cum = 0;
    for (i = 0; i < keep; i++)
        total += p[i];
    x = (mbi_philox_u64(set->seed, pos) * total) >> 64;
    for (i = 0; i < keep; i++)
        if ((cum += p[i]) > x)
            return c[i].id;
    return -1;
}

static void random_settings(struct mbi_sampler *set, struct test_random *r, size_t n)
{
    static const uint32_t temperature[] = {0, 1, 26, 128, 205, 256, 512, 65280, 65535};

    *set = (struct mbi_sampler){.seed = test_random_u64(r), .top_p = MBI_TOP_P_OFF};
    set->temperature = temperature[test_random_below(r, MBI_COUNT(temperature))];
    if (test_random_below(r, 2)) /* some as small as they get, some beyond all candidates */
        set->top_k = (uint32_t)test_random_below(r, test_random_below(r, 3) ? n + 10 : 4);
    if (test_random_below(r, 2))
        set->top_p = (uint32_t)test_random_below(r, test_random_below(r, 8) ? 65537 : 2);
    if (test_random_below(r, 2))
        set->min_p = (uint32_t)test_random_below(r, test_random_below(r, 2) ? 65537 : 2000);
    if (test_random_below(r, 2))
        set->repeat_penalty = (int32_t)test_random_below(r, MBI_REPEAT_PENALTY_MAX + 1);
}

struct sampled {
    struct slow slow;
    int32_t z[MAX_N], work[MAX_N], recent[256];
};

/* One choice with random settings from the n logits that are there. */
static void check_choice(struct sampled *s, struct test_random *r, size_t n, const char *what)
{
    const size_t n_recent = test_random_below(r, test_random_below(r, 2) ? 257 : 4);
    const uint64_t pos = test_random_u64(r);
    struct mbi_sampler set;
    int32_t want, got;

    random_settings(&set, r, n);
    for (size_t i = 0; i < n_recent; i++)
        s->recent[i] = (int32_t)test_random_below(r, n);
    want = slow_sample(&s->slow, &set, s->z, n, s->recent, n_recent, pos);
    got = mbi_sample(&set, s->work, s->z, n, s->recent, n_recent, pos);
    test_check(got == want,
               "%s: %d instead of %d (n %zu, temperature %u, top-k %u, top-p %u, min-p %u)", what,
               got, want, n, set.temperature, set.top_k, set.top_p, set.min_p);
}

static struct sampled *new_sampled(void)
{
    struct sampled *s = calloc(1, sizeof(*s));

    ck_assert(s != NULL);
    return s;
}

START_TEST(sampler_equals_the_slow_one)
{
    struct sampled *s = new_sampled();
    struct test_random r;

    test_random_init(&r, "sampler_equals_the_slow_one");
    for (int round = 0; round < 100000; round++) {
        /* mostly small, so that the ends are met; narrow ranges make ties */
        const size_t n =
            1 + (size_t)test_random_below(&r, test_random_below(&r, 10) ? 40 : SMALL_N);
        const int64_t range = (int64_t)1 << test_random_below(&r, 28);

        for (size_t i = 0; i < n; i++)
            s->z[i] = (int32_t)test_random_between(&r, -range, range - 1);
        check_choice(s, &r, n, "random logits");
    }
    free(s);
}
END_TEST

/* ---- vocabularies as large as they get, and logits that a shortcut could stumble over ---- */

static int32_t equal(struct test_random *r, size_t i, size_t n)
{
    (void)r;
    (void)i;
    (void)n;
    return -7;
}

static int32_t rising(struct test_random *r, size_t i, size_t n)
{
    (void)r;
    return (int32_t)(i * 80000 / n);
}

static int32_t falling(struct test_random *r, size_t i, size_t n) { return -rising(r, i, n); }

/* The ends of 28 bits, one of each in many. */
static int32_t extreme(struct test_random *r, size_t i, size_t n)
{
    (void)i;
    (void)n;
    return test_random_below(r, 100) ? -(1 << 27) : (1 << 27) - 1;
}

/* All but a few at the distance where weights become one and then zero, for a temperature of 1. */
static int32_t vanishing(struct test_random *r, size_t i, size_t n)
{
    (void)n;
    return i % 1000 == 3 ? 100000 : (int32_t)test_random_between(r, 100000 - 88100, 100000 - 87900);
}

/* Halves of halves: in every range of logits there is as much weight as in the rest. */
static int32_t halving(struct test_random *r, size_t i, size_t n)
{
    int32_t z = 0;

    (void)i;
    (void)n;
    while (z < 60 && test_random_below(r, 2))
        z++;
    return z * 2839; /* 4096 ln 2 */
}

static int32_t bell(struct test_random *r, size_t i, size_t n)
{
    int32_t z = 0;

    (void)i;
    (void)n;
    for (int k = 0; k < 4; k++)
        z += (int32_t)test_random_between(r, -9000, 9000);
    return z;
}

START_TEST(sampler_equals_the_slow_one_in_large_vocabularies)
{
    static const struct {
        const char *name;
        int32_t (*logit)(struct test_random *r, size_t i, size_t n);
    } kind[] = {{"equal", equal},     {"rising", rising},       {"falling", falling},
                {"extreme", extreme}, {"vanishing", vanishing}, {"halving", halving},
                {"bell", bell}};
    static const size_t size[] = {1, 2, 1023, 1024, 1025, 4096, 50280, MAX_N};
    struct sampled *s = new_sampled();
    struct test_random r;

    test_random_init(&r, "sampler_equals_the_slow_one_in_large_vocabularies");
    for (size_t k = 0; k < MBI_COUNT(kind); k++)
        for (size_t j = 0; j < MBI_COUNT(size); j++) {
            const size_t n = size[j];

            for (size_t i = 0; i < n; i++)
                s->z[i] = kind[k].logit(&r, i, n);
            for (size_t round = 0; round < 4 + 40000 / n && round < 300; round++)
                check_choice(s, &r, n, kind[k].name);
        }
    free(s);
}
END_TEST

/* The one of all choices at positions 0 to 63 that is furthest behind in the order. */
static int32_t last_of_many(const struct mbi_sampler *set, const int32_t *z, size_t n)
{
    int32_t work[16], last = 0;

    ck_assert_uint_le(n, MBI_COUNT(work));
    for (uint64_t pos = 0; pos < 64; pos++) {
        const int32_t id = mbi_sample(set, work, z, n, NULL, 0, pos);

        last = id > last ? id : last;
    }
    return last;
}

/*
 * top_p * total = 2^46 + 1 and a first weight of 2^30: it lacks one part in 2^46, so the second
 * candidate is kept too. One less in top_p, and it is not.
 */
START_TEST(top_p_is_exact)
{
    struct mbi_sampler set = {.temperature = 256, .top_p = 30269};
    uint64_t left = (((uint64_t)1 << 46) + 1) / set.top_p;
    int32_t z[16] = {0};
    size_t n = 0;

    ck_assert_uint_eq(left * set.top_p, ((uint64_t)1 << 46) + 1);
    for (int32_t d = 0; left && n < MBI_COUNT(z); d++)
        for (uint64_t w; (w = mbi_ex2w((uint32_t)(((uint64_t)d * 94548) >> 12))) <= left; left -= w)
            z[n++] = -d;
    ck_assert_uint_eq(left, 0);
    ck_assert_uint_gt(n, 2);
    ck_assert_int_eq(last_of_many(&set, z, n), 1);
    set.top_p--;
    ck_assert_int_eq(last_of_many(&set, z, n), 0);
}
END_TEST

/* A candidate of half the first weight stays at min-p 0.5, and goes at the next larger setting. */
START_TEST(min_p_keeps_what_equals_it)
{
    int found = 0;

    for (uint32_t temperature = 1; temperature < 65536; temperature++) {
        const uint64_t kappa = 94548 * 256 / temperature,
                       d = (((uint64_t)65536 << 12) + kappa - 1) / kappa;
        struct mbi_sampler set = {
            .temperature = temperature, .top_p = MBI_TOP_P_OFF, .min_p = 32768};
        const int32_t z[2] = {0, -(int32_t)d};

        if ((d * kappa) >> 12 != 65536)
            continue;
        ck_assert_uint_eq(mbi_ex2w(65536), 1 << 29);
        ck_assert_int_eq(last_of_many(&set, z, 2), 1);
        set.min_p++;
        ck_assert_int_eq(last_of_many(&set, z, 2), 0);
        found++;
    }
    ck_assert_int_gt(found, 100);
}
END_TEST

/* Draws follow the weights: 5 standard deviations of each count. */
START_TEST(draws_follow_the_weights)
{
    const struct mbi_sampler set = {.seed = 5, .temperature = 256, .top_p = MBI_TOP_P_OFF};
    enum { N = 8, DRAWS = 400000 };
    int32_t z[N];
    int32_t work[N];
    double p[N], sum = 0;
    int count[N] = {0};

    for (int i = 0; i < N; i++) {
        z[i] = -i * 1500;
        sum += p[i] = exp(z[i] / 4096.0);
    }
    for (uint64_t pos = 0; pos < DRAWS; pos++)
        count[mbi_sample(&set, work, z, N, NULL, 0, pos)]++;
    for (int i = 0; i < N; i++) {
        const double q = p[i] / sum, want = DRAWS * q, sigma = sqrt(DRAWS * q * (1 - q));

        ck_assert_msg(fabs(count[i] - want) < 5 * sigma, "token %d: %d draws instead of %f", i,
                      count[i], want);
    }
}
END_TEST

/* A vocabulary of the largest size and equal logits: sums are at their limit of 2^47. */
START_TEST(largest_sums_fit)
{
    const size_t n = 1 << 17;
    int32_t *z = calloc(n, sizeof(*z));
    int32_t *work = calloc(n, sizeof(*work));
    struct mbi_sampler set = {.temperature = 256, .top_p = 65535};

    ck_assert(z && work);
    for (uint64_t pos = 0; pos < 8; pos++) {
        const uint64_t kept = (((uint64_t)65535 << 17) + 65535) >> 16; /* shortest prefix */
        const wide x = ((wide)mbi_philox_u64(0, pos) * (kept << 30)) >> 64;

        ck_assert_int_eq(mbi_sample(&set, work, z, n, NULL, 0, pos), (int32_t)(x >> 30));
    }
    free(z);
    free(work);
}
END_TEST

/* ---- documents ---- */

static void check_documents(const char *text, size_t len, const char *want)
{
    size_t pos = 0, n;
    bool separated;
    const char *doc;
    char got[256] = "";

    while (mbi_document_next(&doc, &n, &separated, text, len, &pos)) {
        strncat(got, doc, n);
        strcat(got, separated ? "|" : ".");
    }
    ck_assert_str_eq(got, want);
}

START_TEST(documents_are_cut_at_separators)
{
#define SEP "\n<|endoftext|>\n"
#define CASE(text, want) check_documents(text, sizeof(text) - 1, want)
    CASE("", "");
    CASE("a", "a.");
    CASE("a" SEP, "a|");
    CASE("a" SEP "b", "a|b.");
    CASE(SEP, "|");
    CASE(SEP SEP, "||");
    CASE("a\n" SEP "\nb", "a\n|\nb.");
    CASE("a\n<|endoftext|>", "a\n<|endoftext|>.");
    CASE("<|endoftext|>\nb", "<|endoftext|>\nb.");
    CASE("a\n<|endoftext|>\n<|endoftext|>\nb", "a|<|endoftext|>\nb."); /* no overlap */
    CASE("a\n\n\n\n<|endoftex" SEP "\n", "a\n\n\n\n<|endoftex|\n.");
#undef CASE
#undef SEP
}
END_TEST

/* ---- scoring ---- */

/* Document by document, token by token. */
static void slow_score(struct mbi_score *sum, const mambaint_model *m, const int32_t *ids, size_t n)
{
    const struct mbi_graph *g = m->model->graph;
    const struct mbi_backend *b = mbi_backend_at(0);
    const size_t vocab = g->node[g->logits].type.cols;
    int32_t *logits = calloc(vocab, sizeof(*logits));
    struct mbi_program *p;
    struct mbi_weights *w;
    struct mbi_image *image;
    struct mbi_memory *memory;

    OK(mbi_program_create(&p, m->model->host, g, 1, 1, false, NULL));
    OK(b->weights_new(&w, m->model->host, g, m->model->param, NULL));
    OK(b->image_new(&image, p, w, NULL));
    OK(b->memory_new(&memory, p, NULL));
    for (size_t i = 0; i + 1 < n; i++) {
        const struct mbi_run run = {memory, i, ids + i, 1};
        const struct mbi_batch batch = {&run, 1, false};

        OK(b->run(image, &batch, NULL));
        OK(b->peek(logits, image, g->logits, 0, 1, NULL));
        sum->bits_q16 += mbi_token_cost(logits, vocab, ids[i + 1]);
        sum->tokens++;
    }
    b->memory_free(memory);
    b->image_free(image);
    b->weights_free(w);
    mbi_program_free(p);
    free(logits);
}

#define DOCUMENTS 60

START_TEST(scores_do_not_depend_on_batches)
{
    struct tiny t;
    mambaint_model *m;
    struct test_random r;
    struct mbi_score want = {0, 0};
    int32_t *doc[DOCUMENTS];
    size_t n[DOCUMENTS];

    tiny_make(&t, tiny_options("preset", "mi-tiny", NULL));
    m = tiny_open(&t, NULL);
    test_random_init(&r, "scores_do_not_depend_on_batches");
    for (int d = 0; d < DOCUMENTS; d++) {
        n[d] = (size_t)test_random_below(&r, d % 10 ? 40 : 300);
        doc[d] = calloc(n[d] + 1, sizeof(**doc));
        for (size_t i = 1; i < n[d]; i++)
            doc[d][i] = (int32_t)test_random_below(&r, 300);
        slow_score(&want, m, doc[d], n[d]);
    }
    for (size_t lanes = 1; lanes < 300; lanes = 2 * lanes + 3)
        for (size_t k = 0; mbi_backend_at(k); k++) {
            const struct mbi_backend *b = mbi_backend_at(k);
            struct mbi_score sum, one = {0, 0};
            struct mbi_weights *w;
            struct mbi_scorer *sc;

            if (!b->probe())
                continue;
            OK(mbi_model_weights(&w, m, b, NULL));
            OK(mbi_scorer_create(&sc, m->model->host, b, m->model->graph, w, lanes, NULL));
            for (int d = 0; d < DOCUMENTS; d++)
                OK(mbi_scorer_add(sc, doc[d], n[d], NULL));
            OK(mbi_scorer_finish(&sum, sc, NULL));
            ck_assert_int_eq(sum.bits_q16, want.bits_q16);
            ck_assert_uint_eq(sum.tokens, want.tokens);
            for (int d = 0; d < DOCUMENTS; d++)
                OK(mbi_score_ids(&one, sc, doc[d], n[d], NULL));
            ck_assert_int_eq(one.bits_q16, want.bits_q16);
            mbi_scorer_free(sc);
        }
    for (int d = 0; d < DOCUMENTS; d++)
        free(doc[d]);
    mambaint_model_unref(m);
    tiny_free(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sample");
    TCase *tc = tcase_create("sample");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, logarithm_keeps_its_error);
    tcase_add_test(tc, cost_is_the_negative_log_probability);
    tcase_add_test(tc, cost_of_the_extremes);
    tcase_add_test(tc, sampler_equals_the_slow_one);
    tcase_add_test(tc, sampler_equals_the_slow_one_in_large_vocabularies);
    tcase_add_test(tc, top_p_is_exact);
    tcase_add_test(tc, min_p_keeps_what_equals_it);
    tcase_add_test(tc, draws_follow_the_weights);
    tcase_add_test(tc, largest_sums_fit);
    tcase_add_test(tc, documents_are_cut_at_separators);
    tcase_add_test(tc, scores_do_not_depend_on_batches);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}
