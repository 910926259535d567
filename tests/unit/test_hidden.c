/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: hidden proofs of models, whose messages have pads; their openings hide nothing yet. */
#include "graph/element.h"
#include "proof_case.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(SLOW) || MBI_EXT_D == 3
#define STRIDE 31 /* of the bits and pads that are changed one by one */
#else
#define STRIDE 1
#endif

#define TINY "layers=1 d-model=8 vocab=11 heads=2 head-dim=4 d-state=4 chunk=4 rotation-pairs=1"

static const uint32_t chain[] = {16, 24, 20};

/* A case again, hidden and with other pads. */
static void hide(struct proof_case *c, struct test_random *r)
{
    struct mbi_mask_seed seed;
    mambaint_error err;

    mbi_witness_free(c->witness);
    if (!c->plan->n_pads)
        test_check(MBI_EXT(plan_hide)(c->plan, &err) == MAMBAINT_OK, "%s", err.message);
    test_random_bytes(r, seed.byte, sizeof(seed.byte));
    ck_assert_int_eq(mbi_witness_create(&c->witness, c->plan, c->run, &seed, NULL), MAMBAINT_OK);
    c->job.table = c->witness->table;
    test_that(MBI_EXT(walk_code)(&c->job.code, c->plan));
    case_weaken(c);
}

/* The vector has its pads where its own entries end, in a block that is no larger than it has to
 * be, or if it is large than they are. */
static void check_layout(const struct mbi_plan *p)
{
    const uint64_t block = (uint64_t)1 << p->pad_bits, size = p->n_pads * MBI_EXT_D;

    test_that(p->pads_end == p->pads_at + size && p->pads_end <= (uint64_t)1 << p->bits);
    test_that(p->pads_at / block == (p->pads_end - 1) / block);
    test_that(2 * p->pads_at / block != 2 * (p->pads_end - 1) / block);
    if (p->large)
        test_that(p->pads_at % block == 0 && p->pads_at >= p->end && p->pads_at < p->end + block);
    else
        test_that(p->pads_at == p->end);
}

static void check_accepted(const struct proof_case *c, const char *what)
{
    struct mbi_proof_shape shape;
    struct mbi_proof_writer w;
    const char *fault;

    case_prove(&w, c);
    fault = case_verify(c, w.bytes.data, w.bytes.size);
    test_check(!fault, "%s: %s", what, fault);
    test_that(MBI_EXT(proof_shape)(&shape, c->plan, &c->host));
    ck_assert_uint_eq(shape.pads, c->plan->n_pads);
    check_layout(c->plan);
    test_that(w.bytes.size > shape.bytes);
    mbi_proof_writer_free(&w);
}

START_TEST(hidden_runs_are_proved)
{
    static const uint32_t mixed[] = {WIDTH_MIXED}, direct[] = {WIDTH_DIRECT};
    struct test_random r;

    test_random_init(&r, "hidden_runs_are_proved");
    for (int kind = 0; kind < 9; kind++) { /* each model alone, all three; public; their weights */
        const struct case_settings set = {kind == 5   ? mixed
                                          : kind == 8 ? direct
                                          : kind == 3 ? chain
                                                      : chain + kind % 3,
                                          kind == 3 ? 3 : 1, kind < 4 ? 1 : 1 + (uint32_t)kind % 3,
                                          kind > 5, kind == 4};
        struct proof_case c;

        case_init(&c, &set, &r);
        hide(&c, &r);
        check_accepted(&c, "features");
        case_free(&c);
    }
}
END_TEST

START_TEST(hidden_answers_are_proved)
{
    struct test_random r;
    unsigned large = 0;

    test_random_init(&r, "hidden_answers_are_proved");
    for (uint32_t lanes = 1; lanes <= 65; lanes += 16) {
        const struct token_settings set = {TINY, lanes, 1, lanes == 17};
        struct proof_case c;

        case_init_tokens(&c, &set, &r);
        hide(&c, &r);
        large += c.plan->large;
        check_accepted(&c, "tokens");
        case_free(&c);
    }
    test_that(large && large < 5); /* both ways to check ranges */
}
END_TEST

/* Some bits of what is sent before the opening, where digits are counted. */
static void check_bits(const struct proof_case *c, int n, struct test_random *r)
{
    struct mbi_proof_shape shape;
    struct mbi_proof_writer w;

    case_prove(&w, c);
    test_that(MBI_EXT(proof_shape)(&shape, c->plan, &c->host));
    for (int i = 0; i < n; i++) {
        const size_t bit = random_size(r, 8 * (size_t)shape.bytes);

        w.bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        test_check(case_verify(c, w.bytes.data, w.bytes.size), "bit %zu is free", bit);
        w.bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    mbi_proof_writer_free(&w);
}

START_TEST(a_hidden_tiny_model_is_proved)
{
    const struct token_settings set = {"layers=2 d-model=32 vocab=300 heads=2 head-dim=16 "
                                       "d-state=16 chunk=8 rotation-pairs=2",
                                       8, 1, false};
    struct test_random r;
    struct proof_case c;

    test_random_init(&r, "a_hidden_tiny_model_is_proved");
    case_init_tokens(&c, &set, &r);
    hide(&c, &r);
    test_that(c.plan->large);
    check_accepted(&c, "mi-tiny");
    check_bits(&c, 100, &r);
    case_free(&c);
}
END_TEST

/* A seed and pads belong together, and it is the seed that they are made of. */
START_TEST(pads_are_of_the_seed)
{
    const struct case_settings set = {chain, 1, 1, false, false};
    const struct mbi_mask_seed seed = {{3, 1, 4}};
    struct mbi_witness *w;
    struct test_random r;
    struct proof_case c;
    mbi_fe *pad;
    size_t n;

    test_random_init(&r, "pads_are_of_the_seed");
    case_init(&c, &set, &r);
    ck_assert_int_eq(mbi_witness_create(&w, c.plan, c.run, &seed, NULL), MAMBAINT_E_INTERNAL);
    ck_assert_ptr_null(w);
    hide(&c, &r);
    ck_assert_int_eq(mbi_witness_create(&w, c.plan, c.run, NULL, NULL), MAMBAINT_E_INTERNAL);
    ck_assert_int_eq(mbi_witness_create(&w, c.plan, c.run, &seed, NULL), MAMBAINT_OK);
    n = (size_t)c.plan->n_pads * MBI_EXT_D;
    test_that(pad = malloc(n * sizeof(*pad)));
    mbi_mask_fill(pad, n, &seed, MBI_MASK_PAD, 0);
    test_that(w->vector.n == c.plan->pads_at + n);
    ck_assert_mem_eq((const mbi_fe *)w->vector.data + c.plan->pads_at, pad, n * sizeof(*pad));
    for (uint64_t x = c.plan->end; x < c.plan->pads_at; x++)
        test_that(mbi_table_field(&w->vector, (size_t)x) == 0);
    free(pad);
    mbi_witness_free(w);
    case_free(&c);
}
END_TEST

/* Something that is written before the root of the weights, and absorbed where it is. */
START_TEST(a_proof_may_have_begun)
{
    static const char before[] = "a key";
    const struct case_settings set = {chain, 1, 1, false, false};
    struct mbi_commitment vector[2] = {{0}};
    struct mbi_proof_writer w;
    struct test_random r;
    struct proof_case c;

    test_random_init(&r, "a_proof_may_have_begun");
    case_init(&c, &set, &r);
    hide(&c, &r);
    vector[1] = c.weights;
    mbi_proof_writer_init(&w, &c.host, c.type);
    MBI_EXT(proof_begin)(&w.transcript, &c.job);
    mbi_put_bytes(&w, "key", before, sizeof(before));
    c.job.begun = true;
    ck_assert_int_eq(MBI_EXT(proof_commit)(&vector[0], &c.job, c.witness, NULL, &c.host, NULL),
                     MAMBAINT_OK);
    ck_assert_int_eq(MBI_EXT(proof_prove)(&c.job, c.witness, vector, &w, &c.host, NULL),
                     MAMBAINT_OK);
    for (size_t i = 0; i <= sizeof(before); i++) { /* each byte changed, and none */
        struct mbi_proof_reader in;
        char read[sizeof(before)];

        w.bytes.data[i] ^= i < sizeof(before);
        mbi_proof_reader_init(&in, w.bytes.data, w.bytes.size, c.type);
        MBI_EXT(proof_begin)(&in.transcript, &c.job);
        mbi_get_bytes(read, sizeof(read), &in, "key");
        test_that(MBI_EXT(proof_verify)(&c.job, &in, &c.host) == (i == sizeof(before)));
        w.bytes.data[i] ^= i < sizeof(before);
    }
    MBI_EXT(commitment_free)(&vector[0]);
    mbi_proof_writer_free(&w);
    case_free(&c);
}
END_TEST

/* A claim about the weights that is not the walk's own, such as that of a key. */
START_TEST(further_claims_are_proved)
{
    struct test_random r;

    test_random_init(&r, "further_claims_are_proved");
    for (int kind = 0; kind < 4; kind++) {
        const struct case_settings set = {chain, 1, 1, false, kind >= 2};
        struct mbi_form form = {.n_factors = 1, .scale = mbi_ext_from(1)};
        struct mbi_claim claim = {.vector = 1, .form = &form};
        struct mbi_ext point[MBI_MAX_BITS];
        struct proof_case c;

        case_init(&c, &set, &r);
        if (kind % 2)
            hide(&c, &r);
        form.bits = c.plan->weight_bits;
        for (unsigned k = 0; k < form.bits; k++)
            point[k] = random_ext(&r);
        form.factor[0] = MBI_EXT(form_eq)(0, form.bits, (uint64_t)1 << form.bits, point);
        claim.value = MBI_EXT(table_at)(&c.vector, point, form.bits);
        c.job.claim = &claim;
        c.job.n_claims = 1;
        ck_assert_ptr_null(verdict(&c));
        claim.value = mbi_ext_add(claim.value, mbi_ext_from(1));
        test_that(verdict(&c));
        case_free(&c);
    }
}
END_TEST

/* Two proofs of one statement have nothing in common, up to the opening. */
START_TEST(other_pads_are_another_proof)
{
    const struct case_settings set = {chain, 1, 1, false, false};
    struct mbi_proof_shape shape;
    struct mbi_proof_writer w[2];
    struct test_random r;
    struct proof_case c;

    test_random_init(&r, "other_pads_are_another_proof");
    case_init(&c, &set, &r);
    hide(&c, &r);
    case_prove(&w[0], &c);
    hide(&c, &r);
    case_prove(&w[1], &c);
    test_that(MBI_EXT(proof_shape)(&shape, c.plan, &c.host));
    for (size_t at = 0; at < shape.bytes; at += 8)
        test_check(mbi_load64(w[0].bytes.data + at) != mbi_load64(w[1].bytes.data + at),
                   "%zu is the same", at);
    mbi_proof_writer_free(&w[0]);
    mbi_proof_writer_free(&w[1]);
    case_free(&c);
}
END_TEST

START_TEST(every_bit_of_a_hidden_one_is_bound)
{
    const struct case_settings set = {chain, 1, 1, false, false};
    struct mbi_proof_shape shape;
    struct mbi_proof_writer w;
    struct test_random r;
    struct proof_case c;

    test_random_init(&r, "every_bit_of_a_hidden_one_is_bound");
    case_init(&c, &set, &r);
    hide(&c, &r);
    case_prove(&w, &c);
    test_that(MBI_EXT(proof_shape)(&shape, c.plan, &c.host));
    for (size_t bit = 0; bit < 8 * w.bytes.size; bit += bit < 8 * shape.bytes ? STRIDE : 37) {
        w.bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        test_check(case_verify(&c, w.bytes.data, w.bytes.size), "bit %zu is free", bit);
        w.bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ck_assert_ptr_null(case_verify(&c, w.bytes.data, w.bytes.size));
    mbi_proof_writer_free(&w);
    case_free(&c);
}
END_TEST

/* What is committed differs from what the messages had, in a coordinate of a pad: it is 0, that
 * before it, or one more. */
START_TEST(every_pad_is_the_committed_one)
{
    const struct case_settings set = {chain, 1, 1, false, false};
    struct test_random r;
    struct proof_case c;
    struct mbi_table other;
    mbi_fe *copy;

    test_random_init(&r, "every_pad_is_the_committed_one");
    case_init(&c, &set, &r);
    hide(&c, &r);
    other = c.witness->vector;
    test_that(copy = malloc(other.n * sizeof(*copy)));
    memcpy(copy, other.data, other.n * sizeof(*copy));
    other.data = copy;
    for (size_t i = 0; i < c.plan->n_pads * MBI_EXT_D; i += STRIDE / 4 + 1) {
        mbi_fe *x = copy + c.plan->pads_at + i;
        const mbi_fe keep = *x;
        struct mbi_proof_writer w;

        *x = i % 3 ? i % 3 == 1 ? x[-1] : mbi_fe_add(keep, 1) : 0;
        case_prove_with(&w, &c, &other);
        test_check(case_verify(&c, w.bytes.data, w.bytes.size), "entry %zu of pads is free", i);
        mbi_proof_writer_free(&w);
        *x = keep;
    }
    free(copy);
    check_accepted(&c, "with all pads again");
    case_free(&c);
}
END_TEST

/* A false output, a digit that is none, and the statement of another proof. */
START_TEST(hidden_lies_are_refused)
{
    const struct case_settings set = {chain, 1, 1, false, false};
    struct test_random r;

    test_random_init(&r, "hidden_lies_are_refused");
    for (int kind = 0; kind < 3; kind++) {
        struct mbi_proof_writer w;
        struct proof_case c;
        const uint64_t pads = 1;

        case_init(&c, &set, &r);
        hide(&c, &r);
        if (kind == 0)
            mbi_witness_set(c.witness, c.plan->output, 0, 5,
                            mbi_witness_get(c.witness, c.plan->output, 0, 5) + 1);
        if (kind == 1)
            case_widen(&c, &c.witness->vector)[0] += 4;
        case_prove(&w, &c);
        if (kind == 2)
            c.plan->n_pads += pads;
        test_check(case_verify(&c, w.bytes.data, w.bytes.size), "lie %d", kind);
        if (kind == 2)
            c.plan->n_pads -= pads;
        mbi_proof_writer_free(&w);
        case_free(&c);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hidden");
    TCase *t = tcase_create("hidden");

    tcase_set_timeout(t, 240);
    tcase_add_test(t, hidden_runs_are_proved);
    tcase_add_test(t, hidden_answers_are_proved);
    tcase_add_test(t, a_hidden_tiny_model_is_proved);
    tcase_add_test(t, pads_are_of_the_seed);
    tcase_add_test(t, a_proof_may_have_begun);
    tcase_add_test(t, further_claims_are_proved);
    tcase_add_test(t, other_pads_are_another_proof);
    tcase_add_test(t, every_bit_of_a_hidden_one_is_bound);
    tcase_add_test(t, every_pad_is_the_committed_one);
    tcase_add_test(t, hidden_lies_are_refused);
    suite_add_tcase(s, t);
    return test_main(s);
}
