/* SPDX-License-Identifier: Apache-2.0 */
/* Hidden proofs of a long run in parts, and of a chain model by model, through the public calls;
 * and what becomes of lies about what goes from one to the other. */
#include "api/proof.h"
#include "series_case.h"

#define SHAPE                                                                                      \
    "preset", "mi-tiny", "layers", "1", "d-model", "8", "heads", "2", "head-dim", "4", "d-state",  \
        "4", "vocab", "272", "rotation-pairs", "1", "chunk", "4"
#define IDS "1,2,3,4,5,6"
#define TOKENS "9" /* 14 steps: parts of 4, 4, 4 and 2 */
#define PARTS 4
#define STAGES 3
#define FEATURES "0.5,-1.25,3.96875"
#define PROOFS "60"

/* ---- keys and proofs ---- */

/* A model, and the prover's and the verifier's key of it. */
struct keyed {
    struct tiny file;
    char path[TEST_PATH];
    mambaint_model *model;
    mambaint_key *key;
};

static void keyed_make(struct keyed *k, mambaint_options *shape)
{
    mambaint_options *o = tiny_options("zk", "on", "proofs", PROOFS, NULL);
    mambaint_error err = {0, ""};

    tiny_make(&k->file, shape);
    k->model = tiny_open(&k->file, NULL);
    test_path(k->path, k->file.dir, "hidden.mipk");
    test_check(mambaint_prover_key_save(NULL, k->path, &k->model, 1, o, &err) == MAMBAINT_OK, "%s",
               err.message);
    mambaint_options_free(o);
    o = tiny_options("zk", "on", "prover-key", k->path, NULL);
    test_check(mambaint_key_create(&k->key, &k->model, 1, o, &err) == MAMBAINT_OK, "%s",
               err.message);
    mambaint_options_free(o);
}

static void keyed_free(struct keyed *k)
{
    mambaint_key_free(k->key);
    mambaint_model_unref(k->model);
    tiny_free(&k->file);
}

/* Frees the options. *left: proofs of the key, if it is asked for. */
static int32_t try_to_prove(struct bytes *out, int64_t *left, mambaint_model *const *m, size_t n,
                            mambaint_options *o, mambaint_error *err)
{
    mambaint_proof *p = NULL;
    const int32_t rc = mambaint_proof_create(&p, m, n, o, err);
    int64_t zk;

    mambaint_options_free(o);
    if (rc < 0)
        return rc;
    OK(mambaint_proof_number(p, "zk", &zk));
    ck_assert_int_eq(zk, 1);
    if (left)
        OK(mambaint_proof_number(p, "proofs-left", left));
    *out = bytes_of_proof(p);
    return rc;
}

static struct bytes prove(int64_t *left, mambaint_model *const *m, size_t n, mambaint_options *o)
{
    mambaint_error err = {0, ""};
    struct bytes b;

    test_check(try_to_prove(&b, left, m, n, o, &err) == MAMBAINT_OK, "%s", err.message);
    return b;
}

/* ---- runs in parts ---- */

static struct bytes prove_run(const struct keyed *k, int64_t *left, bool parts)
{
    mambaint_options *o =
        tiny_options("ids", IDS, "tokens", TOKENS, "zk", "on", "prover-key", k->path, NULL);

    if (parts)
        OK(mambaint_options_set(o, "chunk-steps", "4", NULL));
    return prove(left, &k->model, 1, o);
}

static void save(struct bytes *out, const mambaint_statement *s)
{
    size_t n;

    ck_assert_int_eq(mambaint_statement_save(NULL, 0, &n, s), MAMBAINT_E_SPACE);
    test_that(out->data = malloc(out->n = n));
    OK(mambaint_statement_save(out->data, n, NULL, s));
}

START_TEST(a_hidden_series_says_what_one_proof_says)
{
    mambaint_statement *s, *whole;
    struct bytes series, one, saved[2];
    struct keyed k;
    int64_t left[2];

    keyed_make(&k, tiny_options(SHAPE, NULL));
    one = prove_run(&k, &left[0], false);
    series = prove_run(&k, &left[1], true);
    ck_assert_int_eq(left[1], left[0] - PARTS);
    s = accepted(k.key, &series);
    whole = accepted(k.key, &one);
    save(&saved[0], s);
    save(&saved[1], whole);
    ck_assert_uint_eq(saved[0].n, saved[1].n);
    ck_assert_mem_eq(saved[0].data, saved[1].data, saved[0].n);
    has(s, "json", "\"proofs\": 4}", true);
    has(s, "json", "\"weights\": \"hidden\"", true);
    has(s, "text", "\nhidden: the weights, and all", true);
    ck_assert_int_eq(mambaint_proof_verify(NULL, k.key, whole, series.data, series.n, NULL),
                     MAMBAINT_ACCEPTED);
    for (size_t i = 0; i < 2; i++)
        free(saved[i].data);
    mambaint_statement_free(s);
    mambaint_statement_free(whole);
    free(one.data);
    free(series.data);
    keyed_free(&k);
}
END_TEST

START_TEST(hidden_parts_stand_alone)
{
    struct bytes series, part[PARTS], b;
    mambaint_statement *s;
    struct keyed k;

    keyed_make(&k, tiny_options(SHAPE, NULL));
    series = prove_run(&k, NULL, true);
    parts_of(part, PARTS, &series);
    for (size_t i = 0; i < PARTS; i++) {
        b = bytes_of(part[i].data, part[i].n);
        s = accepted(k.key, &b);
        has(s, "text", "A part of a run", true);
        has(s, "text", "what has the link below", i > 0);
        has(s, "text", "not shown: what a link stands for", true);
        has(s, "text", "memory before, at position", i > 0);
        has(s, "text", "memory behind, at position", i < 3);
        has(s, "json", "\"memory_before\": null", i == 0);
        has(s, "json", "\"memory_behind\": null", i == 3);
        mambaint_statement_free(s);
        free(b.data);
    }
    free(series.data);
    keyed_free(&k);
}
END_TEST

/* The same run, proved twice: a proof names its neighbours, so that no other ones fit. */
START_TEST(hidden_parts_have_their_neighbours)
{
    static const char says[] = "the memory that the one before it hands on";
    struct bytes series[2], part[2][PARTS], b;
    const struct bytes *p[PARTS];
    struct keyed k;

    keyed_make(&k, tiny_options(SHAPE, NULL));
    for (size_t i = 0; i < 2; i++) {
        series[i] = prove_run(&k, NULL, true);
        parts_of(part[i], PARTS, &series[i]);
    }
    for (size_t at = 0; at < PARTS; at++) {
        for (size_t i = 0; i < PARTS; i++)
            p[i] = &part[i == at][i];
        b = join(p, PARTS);
        refused(MAMBAINT_E_REFUSED, says, k.key, &b, false);
        free(b.data);
    }
    for (size_t i = 0; i < PARTS; i++)
        p[i] = &part[1][i];
    b = join(p, PARTS);
    mambaint_statement_free(accepted(k.key, &b));
    free(b.data);
    free(series[0].data);
    free(series[1].data);
    keyed_free(&k);
}
END_TEST

/* Where the link behind the first of some parts lies, which is at the end of its statement. */
static size_t link_behind(const struct bytes *part)
{
    return 16 + (size_t)mbi_load32(part->data + 12) - MBI_STATEMENT_LINK;
}

/* Where that before a part lies: it is the same. */
static size_t find_link(const struct bytes *part, const uint8_t *link)
{
    for (size_t at = 16; at + MBI_STATEMENT_LINK <= part->n; at++)
        if (!memcmp(part->data + at, link, MBI_STATEMENT_LINK))
            return at;
    ck_abort_msg("there is no such link");
}

/* Every byte of a link, in one of the two proofs and in both. first: the key of the first one. */
static void check_links(const mambaint_key *key, const mambaint_key *first,
                        const struct bytes *series, size_t n)
{
    struct bytes part[PARTS], lie[2], b;
    const struct bytes *p[PARTS];
    size_t at[2];

    parts_of(part, n, series);
    at[0] = link_behind(&part[0]);
    at[1] = find_link(&part[1], part[0].data + at[0]);
    for (size_t i = 0; i < MBI_STATEMENT_LINK; i++) {
        const bool value = i >= 2 * MBI_DIGEST_SIZE, top = value && i % 8 == 7;

        for (size_t k = 0; k < 2; k++) {
            lie[k] = bytes_of(part[k].data, part[k].n);
            lie[k].data[at[k] + i] ^= top ? 0xff : 1; /* p and more are no numbers */
            seal(lie[k].data, lie[k].n);
        }
        for (int both = 0; both < 2; both++) {
            for (size_t k = 0; k < n; k++)
                p[k] = k < 1 + (size_t)both ? &lie[k] : &part[k];
            b = join(p, n);
            ck_assert_int_lt(mambaint_proof_verify(NULL, key, NULL, b.data, b.n, NULL), 0);
            free(b.data);
        }
        if (i < MBI_DIGEST_SIZE)
            refused(MAMBAINT_E_REFUSED, "a link is of another proof", first, &lie[0], true);
        free(lie[0].data);
        free(lie[1].data);
    }
}

START_TEST(every_byte_of_a_link_counts)
{
    struct bytes series;
    struct keyed k;

    keyed_make(&k, tiny_options(SHAPE, NULL));
    series = prove_run(&k, NULL, true);
    check_links(k.key, k.key, &series, PARTS);
    free(series.data);
    keyed_free(&k);
}
END_TEST

/* ---- provers who lie ---- */

enum lie {
    NONE,
    BY_LEFT,  /* the second part has another memory; the value is that of the first */
    BY_RIGHT, /* or that of the second */
    PAD,      /* the same memory, and another pad: the value is that of the second */
    VALUE,    /* of neither */
    NAME,     /* another proof before them */
};

/* Two parts of a run in the making. */
struct two {
    const struct keyed *k;
    struct mbi_proof_models m;
    struct mbi_proof_plan plan[2];
    struct mbi_boundaries b[2];
    struct mbi_proof_draft draft[2];
    uint8_t input[2][5 * 4];
};

/* Steps [4 i, 4 i + 4). What is claimed of the second part's end is one token, the last id, which
 * becomes the right one. */
static void begin_part(struct two *t, int i, struct mbi_stage *stage, int32_t *ids)
{
    const struct mbi_proof_part size = {4, (uint32_t)i, {i == 1, i == 0}};
    const struct mbi_statement said = {.models = t->m.said,
                                       .t0 = 4 * (unsigned)i,
                                       .lanes = 4,
                                       .input_kind = MBI_STATEMENT_TOKENS,
                                       .output_kind = MBI_STATEMENT_TOKENS,
                                       .n_inputs = 5,
                                       .n_outputs = (uint32_t)i,
                                       .input = t->input[i]};
    struct mbi_kept_run run = {.graph = NULL};

    OK(mbi_proof_plan_part(&t->plan[i], &t->m, &size, NULL));
    OK(mbi_kept_run_part(&run, t->m.model[0], ids, 4 * (unsigned)i, 4, stage, NULL));
    while (i && mbi_proof_answer_check(&run, ids, 4, 1, NULL) < 0)
        ck_assert_int_lt(++ids[4], 272);
    mbi_copy_le(t->input[i], ids, 5, sizeof(*ids));
    OK(mbi_proof_begin(&t->draft[i], &t->m, &t->plan[i], &said, &run.stage, &t->b[i], NULL));
    mbi_kept_run_close(&run);
}

/* The value of the link, plus x. */
static void move_value(struct two *t, struct mbi_ext x)
{
    for (int i = 0; i < 2; i++) {
        uint8_t *value = t->b[i].link[1 - i] + 2 * MBI_DIGEST_SIZE;

        for (int k = 0; k < MBI_EXT_D; k++)
            mbi_store64(value + 8 * k, mbi_fe_add(mbi_load64(value + 8 * k), x.c[k]));
    }
}

/* What the value of the memory `left` is more than that of the second part. */
static struct mbi_ext more_of(const struct two *t, const int32_t *left)
{
    const unsigned bits = mbi_link_bits(t->plan[0].plan, MBI_BEHIND);
    struct mbi_ext tau[MBI_PLAN_MAX_BITS + 1];
    struct mbi_link link;

    memcpy(link.name, t->b[0].link[MBI_BEHIND], sizeof(link.name));
    MBI_EXT(link_point)(tau, &link, bits);
    return mbi_ext_sub(MBI_EXT(link_sum)(tau, bits, left),
                       MBI_EXT(link_sum)(tau, bits, t->b[1].vector[MBI_BEFORE]));
}

static void make_two(struct two *t, struct bytes out[2], enum lie lie)
{
    int32_t ids[] = {3, 1, 4, 1, 5, 9, 2, 6, 0}, *left;
    const bool other = lie == BY_LEFT || lie == BY_RIGHT;
    const struct mbi_backend *backend;
    struct mbi_stage stage, fresh;
    size_t bytes;

    OK(mbi_backend_find(&backend, NULL, NULL));
    OK(mbi_stage_open(&stage, t->m.model[0], backend, 4, true, NULL));
    OK(mbi_stage_open(&fresh, t->m.model[0], backend, 4, true, NULL));
    begin_part(t, 0, &stage, ids);
    mbi_boundaries_hand_on(&t->b[1], &t->b[0]);
    bytes = sizeof(*left) << t->plan[0].plan->boundary_bits[MBI_BEHIND];
    test_that(left = malloc(bytes));
    memcpy(left, t->b[1].vector[MBI_BEFORE], bytes);
    if (other) /* it forgets */
        memset(t->b[1].vector[MBI_BEFORE], 0, bytes);
    if (lie == PAD)
        t->b[1].pad[MBI_BEFORE] = mbi_ext_add(t->b[1].pad[MBI_BEFORE], mbi_ext_from(1));
    begin_part(t, 1, other ? &fresh : &stage, ids + 4);
    OK(mbi_proof_link(&t->draft[0], &t->draft[1], NULL));
    if (lie == BY_LEFT)
        move_value(t, more_of(t, left));
    if (lie == VALUE)
        move_value(t, mbi_ext_from(1));
    if (lie == NAME)
        t->b[0].link[MBI_BEHIND][0] ^= 1;
    for (int i = 0; i < 2; i++) {
        struct mbi_buf file;

        mbi_buf_init(&file, &t->m.ctx->host);
        OK(mbi_proof_end(&file, &t->draft[i], NULL));
        out[i] = bytes_of(file.data, file.size);
        mbi_buf_free(&file);
    }
    free(left);
    mbi_stage_close(&stage);
    mbi_stage_close(&fresh);
}

static void free_two(struct two *t)
{
    for (int i = 0; i < 2; i++) {
        mbi_proof_draft_close(&t->draft[i]);
        mbi_boundaries_free(&t->b[i]);
        mbi_proof_plan_close(&t->plan[i]);
    }
    mbi_prover_key_close(&t->m);
    mbi_proof_models_close(&t->m);
}

START_TEST(lies_between_two_proofs_are_refused)
{
    static const struct {
        enum lie lie;
        bool right[2];
        const char *says;
    } cases[] = {
        {NONE, {true, true}, ""},
        {BY_LEFT, {true, false}, "the proof is refused"},
        {BY_RIGHT, {false, true}, "the proof is refused"},
        {PAD, {false, true}, "the proof is refused"},
        {VALUE, {false, false}, "the proof is refused"},
        {NAME, {false, true}, "a link is of another proof"},
    };
    struct bytes part[2], b;
    struct keyed k;

    keyed_make(&k, tiny_options(SHAPE, NULL));
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        mambaint_options *o = tiny_options("zk", "on", NULL);
        struct two t = {.k = &k, .m = {.prover_key = k.path}};

        OK(mbi_proof_models_open(&t.m, &k.model, 1, o, NULL));
        make_two(&t, part, cases[i].lie);
        for (int side = 0; side < 2; side++) {
            if (cases[i].right[side])
                mambaint_statement_free(accepted(k.key, &part[side]));
            else
                refused(MAMBAINT_E_REFUSED, cases[i].says, k.key, &part[side], true);
        }
        b = join((const struct bytes *[]){&part[0], &part[1]}, 2);
        if (cases[i].lie == NONE)
            mambaint_statement_free(accepted(k.key, &b));
        else
            ck_assert_int_eq(mambaint_proof_verify(NULL, k.key, NULL, b.data, b.n, NULL),
                             MAMBAINT_E_REFUSED);
        free(b.data);
        free(part[0].data);
        free(part[1].data);
        mambaint_options_free(o);
        free_two(&t);
    }
    keyed_free(&k);
}
END_TEST

/* ---- chains, model by model ---- */

struct chain_case {
    struct keyed k[STAGES];
    mambaint_model *model[STAGES];
    mambaint_key *key;
    struct bytes chain, part[STAGES]; /* views */
};

static mambaint_options *chain_options(const struct chain_case *c, size_t keys)
{
    mambaint_options *o = tiny_options("features", FEATURES, "chain", "linked", "zk", "on", NULL);

    for (size_t i = 0; i < keys; i++)
        OK(mambaint_options_set(o, "prover-key", c->k[i % STAGES].path, NULL));
    return o;
}

static void chain_make(struct chain_case *c)
{
    static const char *const hidden[STAGES] = {"5", "300", "1"};
    static const char *const outputs[STAGES] = {"3", "4", "7"};
    mambaint_options *o;

    for (size_t i = 0; i < STAGES; i++) {
        keyed_make(&c->k[i], tiny_options("preset", "simple-rwkv", "features-in", "3", "hidden",
                                          hidden[i], "outputs", outputs[i], NULL));
        c->model[i] = c->k[i].model;
    }
    o = chain_options(c, STAGES);
    OK(mambaint_key_create(&c->key, c->model, STAGES, o, NULL));
    mambaint_options_free(o);
    c->chain = prove(NULL, c->model, STAGES, chain_options(c, STAGES));
    parts_of(c->part, STAGES, &c->chain);
}

static void chain_free(struct chain_case *c)
{
    free(c->chain.data);
    mambaint_key_free(c->key);
    for (size_t i = 0; i < STAGES; i++)
        keyed_free(&c->k[i]);
}

START_TEST(a_hidden_chain_is_linked)
{
    mambaint_options *o = tiny_options("features", FEATURES, NULL);
    mambaint_statement *s, *again;
    char want[128] = "\"outputs\": [";
    struct chain_case c;
    mambaint_key *of[STAGES], *joined;
    struct bytes saved;
    int32_t y[8];
    size_t n;

    chain_make(&c);
    s = accepted(c.key, &c.chain);
    OK(mambaint_model_evaluate(y, 8, &n, c.model, STAGES, o, NULL));
    for (size_t i = 0; i < n; i++)
        snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s%d", i ? ", " : "", y[i]);
    has(s, "json", want, true);
    has(s, "json", "\"chain\": \"linked\", \"proofs\": 3", true);
    has(s, "text", "link that both proofs name", true);
    has(s, "text", "\nhidden: the weights, and all", true);
    save(&saved, s);
    OK(mambaint_statement_read(&again, NULL, saved.data, saved.n, NULL));
    for (size_t i = 0; i < STAGES; i++)
        of[i] = c.k[i].key;
    OK(mambaint_key_join(&joined, of, STAGES, NULL));
    ck_assert_int_eq(mambaint_proof_verify(NULL, joined, again, c.chain.data, c.chain.n, NULL),
                     MAMBAINT_ACCEPTED);
    for (size_t i = 0; i < STAGES; i++) { /* each by itself */
        struct bytes b = bytes_of(c.part[i].data, c.part[i].n);

        mambaint_statement_free(accepted(c.k[i].key, &b));
        free(b.data);
    }
    mambaint_key_free(joined);
    mambaint_statement_free(s);
    mambaint_statement_free(again);
    mambaint_options_free(o);
    free(saved.data);
    chain_free(&c);
}
END_TEST

START_TEST(every_byte_of_a_chain_s_link_counts)
{
    struct chain_case c;

    chain_make(&c);
    check_links(c.key, c.k[0].key, &c.chain, STAGES);
    chain_free(&c);
}
END_TEST

/* Stages that are not all hidden, or of another chain. */
START_TEST(hidden_and_clear_stages_do_not_mix)
{
    mambaint_options *o = tiny_options("chain", "linked", NULL);
    mambaint_key *clear, *of[2], *joined;
    struct bytes b, other, part[STAGES];
    const struct bytes *p[STAGES];
    mambaint_error err = {0, ""};
    mambaint_proof *proof;
    struct chain_case c;

    chain_make(&c);
    OK(mambaint_key_create(&clear, c.model, 1, o, NULL));
    of[0] = clear;
    of[1] = c.k[1].key;
    ck_assert_int_eq(mambaint_key_join(&joined, of, 2, &err), MAMBAINT_E_MISMATCH);
    test_that(strstr(err.message, "are hidden, those of the keys before it are committed"));
    OK(mambaint_options_set(o, "features", FEATURES, NULL));
    OK(mambaint_proof_create(&proof, c.model, STAGES, o, NULL));
    other = bytes_of_proof(proof);
    parts_of(part, STAGES, &other);
    for (size_t at = 0; at < STAGES; at++) {
        for (size_t i = 0; i < STAGES; i++)
            p[i] = i == at ? &part[i] : &c.part[i];
        b = join(p, STAGES);
        refused(MAMBAINT_E_MISMATCH,
                at == 1 ? "proof 2 are committed, those before it are hidden" : "", c.key, &b,
                false);
        free(b.data);
    }
    free(other.data);
    other = prove(NULL, c.model, STAGES, chain_options(&c, STAGES));
    parts_of(part, STAGES, &other);
    for (size_t at = 0; at < STAGES; at++) {
        for (size_t i = 0; i < STAGES; i++)
            p[i] = i == at ? &part[i] : &c.part[i];
        b = join(p, STAGES);
        refused(MAMBAINT_E_REFUSED, "what the one before it hands on", c.key, &b, false);
        free(b.data);
    }
    free(other.data);
    mambaint_key_free(clear);
    mambaint_options_free(o);
    chain_free(&c);
}
END_TEST

START_TEST(what_cannot_be_hidden_is_refused)
{
    mambaint_error err = {0, ""};
    struct chain_case c;
    mambaint_options *o;
    mambaint_key *key;
    struct bytes b;

    chain_make(&c);
    for (size_t keys = 1; keys < 2 * STAGES; keys++)
        if (keys != STAGES) {
            ck_assert_int_eq(try_to_prove(&b, NULL, c.model, STAGES, chain_options(&c, keys), &err),
                             MAMBAINT_E_MISMATCH);
            test_check(strstr(err.message, "it takes one of each"), "%s", err.message);
            o = chain_options(&c, keys);
            ck_assert_int_eq(mambaint_key_create(&key, c.model, STAGES, o, &err),
                             MAMBAINT_E_MISMATCH);
            mambaint_options_free(o);
        }
    ck_assert_int_eq(try_to_prove(&b, NULL, c.model, STAGES, chain_options(&c, 0), &err),
                     MAMBAINT_E_INVALID);
    o = chain_options(&c, 1);
    OK(mambaint_options_set(o, "chain", "middle", NULL));
    ck_assert_int_eq(try_to_prove(&b, NULL, c.model, 1, o, &err), MAMBAINT_E_UNSUPPORTED);
    test_check(strstr(err.message, "made together"), "%s", err.message);
    o = tiny_options("features", FEATURES, "chain", "linked", "zk", "on", NULL);
    for (size_t i = 0; i < STAGES; i++) /* of other models */
        OK(mambaint_options_set(o, "prover-key", c.k[0].path, NULL));
    ck_assert_int_lt(try_to_prove(&b, NULL, c.model, STAGES, o, &err), 0);
    chain_free(&c);
}
END_TEST

/* Each on a host of its own, hidden and in clear: whoever lent memory gets it back. */
START_TEST(models_may_have_contexts_of_their_own)
{
    struct test_host host[STAGES];
    struct chain_case c;

    chain_make(&c);
    for (int hidden = 0; hidden < 2; hidden++) {
        mambaint_options *o = hidden ? chain_options(&c, STAGES)
                                     : tiny_options("features", FEATURES, "chain", "linked", NULL);
        mambaint_model *m[STAGES];
        mambaint_proof *p = NULL;
        mambaint_error err = {0, ""};

        for (size_t i = 0; i < STAGES; i++) {
            mambaint_context *ctx;

            test_host_init(&host[i]);
            test_that(ctx = tiny_context(&host[i].host, 1));
            m[i] = tiny_open(&c.k[i].file, ctx);
            mambaint_context_unref(ctx);
        }
        test_check(mambaint_proof_create(&p, m, STAGES, o, &err) == MAMBAINT_OK, "%s", err.message);
        mambaint_proof_free(p);
        mambaint_options_free(o);
        for (size_t i = 0; i < STAGES; i++)
            mambaint_model_unref(m[i]);
        for (size_t i = 0; i < STAGES; i++)
            test_host_check(&host[i]);
    }
    chain_free(&c);
}
END_TEST

/* ---- memory ---- */

/* Keys as they were new, and the bytes of them. */
struct refusing {
    struct keyed *k;
    size_t n;
    uint8_t *prover[STAGES];
    size_t size[STAGES];
};

static void refusing_make(struct refusing *s, struct keyed *k, size_t n)
{
    s->k = k;
    s->n = n;
    for (size_t i = 0; i < n; i++)
        s->prover[i] = test_file_read(&s->size[i], k[i].path);
}

static mambaint_options *refusing_options(const struct refusing *s)
{
    mambaint_options *o =
        s->n == 1 ? tiny_options("ids", "1,2,3,4,5", "tokens", "1", "chunk-steps", "4", NULL)
                  : tiny_options("features", FEATURES, "chain", "linked", NULL);

    OK(mambaint_options_set(o, "zk", "on", NULL));
    for (size_t i = 0; i < s->n; i++)
        OK(mambaint_options_set(o, "prover-key", s->k[i].path, NULL));
    return o;
}

/* A series of two proofs, or a chain. */
static int32_t prove_on(const struct test_host *host, const struct refusing *s)
{
    mambaint_context *ctx = tiny_context(&host->host, 1);
    mambaint_options *o = refusing_options(s);
    mambaint_model *m[STAGES] = {NULL};
    mambaint_proof *p = NULL;
    int32_t rc = ctx ? MAMBAINT_OK : MAMBAINT_E_NO_MEMORY;

    for (size_t i = 0; i < s->n; i++)
        test_file_write(s->k[i].path, s->prover[i], s->size[i]);
    for (size_t i = 0; i < s->n && rc >= 0; i++)
        rc = mambaint_model_open_memory(&m[i], ctx, s->k[i].file.bytes, s->k[i].file.size, NULL,
                                        NULL);
    if (rc >= 0)
        rc = mambaint_proof_create(&p, m, s->n, o, NULL);
    ck_assert((rc == MAMBAINT_OK) == (p != NULL));
    mambaint_proof_free(p);
    for (size_t i = 0; i < s->n; i++)
        mambaint_model_unref(m[i]);
    mambaint_context_unref(ctx);
    mambaint_options_free(o);
    return rc;
}

/* Some of the allocations, one after the other. */
static void refuse_some(struct refusing *s)
{
    size_t refusals = 0;

    for (size_t k = 1; k < 20000; k += 1 + k / 6) {
        struct test_host host;
        int32_t rc;

        test_host_init(&host);
        test_host_fail(&host, k, k % 2);
        rc = prove_on(&host, s);
        test_check(rc == MAMBAINT_E_NO_MEMORY || rc == MAMBAINT_OK, "allocation %zu: %d", k, rc);
        refusals += rc == MAMBAINT_E_NO_MEMORY;
        test_check(!host.live, "allocation %zu refused: %zu blocks are left", k, host.live);
    }
    ck_assert_uint_gt(refusals, 20);
    for (size_t i = 0; i < s->n; i++)
        free(s->prover[i]);
}

START_TEST(refused_memory_is_an_error)
{
    struct refusing s;
    struct keyed k;

    keyed_make(&k, tiny_options(SHAPE, NULL));
    refusing_make(&s, &k, 1);
    refuse_some(&s);
    keyed_free(&k);
}
END_TEST

START_TEST(memory_refused_to_a_chain_is_an_error)
{
    struct refusing s;
    struct chain_case c;

    chain_make(&c);
    refusing_make(&s, c.k, STAGES);
    refuse_some(&s);
    chain_free(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hidden_links");
    TCase *t = tcase_create("hidden_links");

    tcase_set_timeout(t, 280);
    tcase_add_test(t, a_hidden_series_says_what_one_proof_says);
    tcase_add_test(t, hidden_parts_stand_alone);
    tcase_add_test(t, hidden_parts_have_their_neighbours);
    tcase_add_test(t, every_byte_of_a_link_counts);
    tcase_add_test(t, lies_between_two_proofs_are_refused);
    tcase_add_test(t, a_hidden_chain_is_linked);
    tcase_add_test(t, every_byte_of_a_chain_s_link_counts);
    tcase_add_test(t, hidden_and_clear_stages_do_not_mix);
    tcase_add_test(t, what_cannot_be_hidden_is_refused);
    tcase_add_test(t, models_may_have_contexts_of_their_own);
    tcase_add_test(t, refused_memory_is_an_error);
    tcase_add_test(t, memory_refused_to_a_chain_is_an_error);
    suite_add_tcase(s, t);
    return test_main(s);
}
