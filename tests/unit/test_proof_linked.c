/* SPDX-License-Identifier: Apache-2.0 */
/* Chains with a proof for each model through the public calls, and their files. */
#include "series_case.h"

#define STAGES 3
#define FEATURES "0.5,-1.25,3.96875"
#define OTHERS "0.5,-1.25,-2"

/* Frees the options. */
static int32_t try_to_prove(struct bytes *out, mambaint_model *const *m, size_t n,
                            mambaint_options *o, mambaint_error *err)
{
    mambaint_proof *p = NULL;
    const int32_t rc = mambaint_proof_create(&p, m, n, o, err);

    mambaint_options_free(o);
    *out = rc < 0 ? (struct bytes){NULL, 0} : bytes_of_proof(p);
    return rc;
}

static struct bytes prove(mambaint_model *const *m, size_t n, const char *features,
                          const char *weights, const char *chain)
{
    mambaint_error err = {0, ""};
    struct bytes b;

    ck_assert_msg(
        try_to_prove(&b, m, n,
                     tiny_options("features", features, "weights", weights, "chain", chain, NULL),
                     &err) == MAMBAINT_OK,
        "%s", err.message);
    return b;
}

/* ---- models, their keys, a chain and the proofs in it ---- */

struct chain_case {
    struct tiny file[STAGES];
    mambaint_model *model[STAGES];
    mambaint_key *one[STAGES], *key, *merged; /* of each, of the linked chain, of one proof */
    struct bytes chain;
    struct bytes part[STAGES];
};

static mambaint_key *key_of(mambaint_model *const *m, size_t n, const char *weights,
                            const char *chain)
{
    mambaint_options *o = tiny_options("weights", weights, "chain", chain, NULL);
    mambaint_error err = {0, ""};
    mambaint_key *key = NULL;

    ck_assert_msg(mambaint_key_create(&key, m, n, o, &err) == MAMBAINT_OK, "%s", err.message);
    mambaint_options_free(o);
    return key;
}

/* Models of different widths: each has a code of its own for its weights. */
static void case_make(struct chain_case *c, const char *seed, const char *weights)
{
    static const char *const hidden[STAGES] = {"5", "300", "1"};
    static const char *const outputs[STAGES] = {"3", "4", "7"};
    struct bytes part[STAGES];

    for (size_t i = 0; i < STAGES; i++) {
        tiny_make(&c->file[i], tiny_options("preset", "simple-rwkv", "features-in", "3", "hidden",
                                            hidden[i], "outputs", outputs[i], "seed", seed, NULL));
        c->model[i] = tiny_open(&c->file[i], NULL);
        c->one[i] = key_of(&c->model[i], 1, weights, "merged");
    }
    c->key = key_of(c->model, STAGES, weights, "linked");
    c->merged = key_of(c->model, STAGES, weights, "merged");
    c->chain = prove(c->model, STAGES, FEATURES, weights, "linked");
    parts_of(part, STAGES, &c->chain);
    for (size_t i = 0; i < STAGES; i++)
        c->part[i] = bytes_of(part[i].data, part[i].n);
}

static void case_free(struct chain_case *c)
{
    for (size_t i = 0; i < STAGES; i++) {
        free(c->part[i].data);
        mambaint_key_free(c->one[i]);
        mambaint_model_unref(c->model[i]);
        tiny_free(&c->file[i]);
    }
    free(c->chain.data);
    mambaint_key_free(c->key);
    mambaint_key_free(c->merged);
}

/* ---- what is accepted ---- */

/* The outputs are those of an evaluation of the chain, as JSON has them. */
static void check_outputs(const mambaint_statement *s, mambaint_model *const *model)
{
    mambaint_options *o = tiny_options("features", FEATURES, NULL);
    char want[128] = "\"outputs\": [";
    mambaint_error err;
    int32_t y[8];
    size_t n;

    OK(mambaint_model_evaluate(y, 8, &n, model, STAGES, o, &err));
    mambaint_options_free(o);
    ck_assert_uint_eq(n, 7);
    for (size_t i = 0; i < n; i++)
        snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s%d", i ? ", " : "", y[i]);
    has(s, "json", want, true);
}

static void check_chain(const char *seed, const char *weights)
{
    char sizes[64], id[80] = "\"model_id\": \"";
    mambaint_statement *s, *read, *saved;
    struct chain_case c;
    uint8_t digest[32], file[2048];
    mambaint_error err;
    size_t n;

    case_make(&c, seed, weights);
    s = accepted(c.key, &c.chain);
    check_outputs(s, c.model);
    has(s, "json", "\"chain\": \"linked\", \"proofs\": 3, \"proof_sizes\": [", true);
    snprintf(sizes, sizeof(sizes), "[%zu, %zu, %zu]}", c.part[0].n, c.part[1].n, c.part[2].n);
    has(s, "json", sizes, true);
    has(s, "json", "link_before", false);
    has(s, "text", "proofs: 3, each", true);
    has(s, "text", "A chain of 3 models", true);
    has(s, "text", "not hidden: ", true);
    OK(mambaint_key_digest(digest, c.key));
    for (size_t i = 0; i < 32; i++)
        snprintf(id + strlen(id), sizeof(id) - strlen(id), "%02x", digest[i]);
    has(s, "json", id, true);
    OK(mambaint_statement_match(s, FEATURES, &err));
    ck_assert_int_eq(mambaint_statement_match(s, OTHERS, &err), MAMBAINT_E_MISMATCH);
    OK(mambaint_statement_read(&read, NULL, c.chain.data, c.chain.n, &err));
    has(read, "json", sizes, true);
    OK(mambaint_statement_save(file, sizeof(file), &n, s));
    OK(mambaint_statement_read(&saved, NULL, file, n, &err));
    has(saved, "json", "\"chain\": \"linked\"}", true);
    ck_assert_int_eq(mambaint_proof_verify(NULL, c.key, saved, c.chain.data, c.chain.n, &err),
                     MAMBAINT_ACCEPTED);
    mambaint_statement_free(saved);
    mambaint_statement_free(read);
    mambaint_statement_free(s);
    case_free(&c);
}

START_TEST(a_linked_chain_is_accepted)
{
    check_chain("1", "committed");
    check_chain("2", "public");
}
END_TEST

/* Each proof stands alone, with the key of its model, and says so. */
START_TEST(each_proof_stands_alone)
{
    mambaint_statement *s;
    struct chain_case c;
    mambaint_error err;

    case_make(&c, "1", "committed");
    for (size_t i = 0; i < STAGES; i++) {
        s = accepted(c.one[i], &c.part[i]);
        has(s, "text", "A part of a chain: a model", true);
        has(s, "text", "taken from the previous model: 3 numbers", i > 0);
        has(s, "text", "handed on to the next model: 3 numbers", i < 2);
        has(s, "text", "\nfeatures:", i == 0);
        has(s, "text", "\noutputs:", i == 2);
        has(s, "json", "\"features\": null", i > 0);
        has(s, "json", "\"outputs\": null", i < 2);
        has(s, "json", "\"argmax\": null", i < 2);
        has(s, "json", "\"link_before\": null", i == 0);
        has(s, "json", "\"link_behind\": null", i == 2);
        has(s, "json", "\"chain\"", false);
        ck_assert_int_eq(mambaint_statement_match(s, FEATURES, &err),
                         i ? MAMBAINT_E_MISMATCH : MAMBAINT_OK);
        if (i)
            test_that(strstr(err.message, "later part of a chain"));
        ck_assert_int_eq(
            mambaint_proof_verify(NULL, c.one[i], s, c.part[i].data, c.part[i].n, &err),
            MAMBAINT_ACCEPTED);
        refused(MAMBAINT_E_MISMATCH, "of another model than the key", c.one[(i + 1) % STAGES],
                &c.part[i], true);
        mambaint_statement_free(s);
    }
    case_free(&c);
}
END_TEST

/* What a model took and handed on is in its proof alone as a root: nothing of it is in the file's
 * statements. */
START_TEST(no_value_is_in_a_statement)
{
    struct chain_case c;

    case_make(&c, "1", "committed");
    for (size_t i = 0; i < STAGES; i++) {
        const uint32_t length = mbi_load32(c.part[i].data + 12);
        const size_t values = (i ? 32u : 3u) + (i < 2 ? 32u : 4u * 7);

        /* models' part of one "simple"; t0, T, two kinds and counts */
        ck_assert_uint_eq(length, 4 + 4 + 6 + 4 + 12 + 32 + 32 + 8 + 4 + 16 + values);
    }
    case_free(&c);
}
END_TEST

/* With one model there is nothing to link. */
START_TEST(one_model_is_one_proof)
{
    struct chain_case c;
    struct bytes a, b;

    case_make(&c, "1", "committed");
    a = prove(c.model, 1, FEATURES, "committed", "linked");
    b = prove(c.model, 1, FEATURES, "committed", "merged");
    ck_assert_uint_eq(a.n, b.n);
    ck_assert_mem_eq(a.data, b.data, a.n);
    mambaint_statement_free(accepted(c.one[0], &a));
    free(a.data);
    free(b.data);
    case_free(&c);
}
END_TEST

/* ---- keys ---- */

static mambaint_key *through_file(const mambaint_key *key)
{
    uint8_t *data;
    mambaint_key *out;
    size_t n;

    ck_assert_int_eq(mambaint_key_save(NULL, 0, &n, key), MAMBAINT_E_SPACE);
    test_that(data = malloc(n));
    OK(mambaint_key_save(data, n, NULL, key));
    OK(mambaint_key_load(&out, NULL, data, n, NULL));
    free(data);
    return out;
}

START_TEST(keys_of_each_are_joined)
{
    uint8_t digest[2][32];
    struct chain_case c;
    mambaint_key *key[STAGES], *all;

    case_make(&c, "1", "committed");
    for (size_t i = 0; i < STAGES; i++)
        key[i] = through_file(c.one[i]);
    OK(mambaint_key_join(&all, key, STAGES, NULL));
    for (size_t i = 0; i < STAGES; i++)
        mambaint_key_free(key[i]); /* they are shared */
    OK(mambaint_key_digest(digest[0], all));
    OK(mambaint_key_digest(digest[1], c.key));
    ck_assert_mem_eq(digest[0], digest[1], 32);
    mambaint_statement_free(accepted(all, &c.chain));
    ck_assert_int_eq(mambaint_key_save(NULL, 0, NULL, all), MAMBAINT_E_UNSUPPORTED);
    mambaint_key_free(all);
    case_free(&c);
}
END_TEST

/* Each key has its own context: what is made for a stage goes back to the memory of that one. */
START_TEST(joined_keys_keep_to_their_contexts)
{
    static const char *const weights[] = {"committed", "public"};

    for (size_t w = 0; w < MBI_COUNT(weights); w++) {
        struct test_host host[STAGES];
        mambaint_key *key[STAGES], *all;
        struct chain_case c;

        case_make(&c, "1", weights[w]);
        for (size_t i = 0; i < STAGES; i++) {
            mambaint_context *ctx;
            mambaint_model *m;

            test_host_init(&host[i]);
            ctx = tiny_context(&host[i].host, 2);
            m = tiny_open(&c.file[i], ctx);
            key[i] = key_of(&m, 1, weights[w], "merged");
            mambaint_model_unref(m);
            mambaint_context_unref(ctx);
        }
        OK(mambaint_key_join(&all, key, STAGES, NULL));
        for (size_t i = 0; i < STAGES; i++)
            mambaint_key_free(key[i]);
        mambaint_statement_free(accepted(all, &c.chain));
        mambaint_key_free(all);
        for (size_t i = 0; i < STAGES; i++)
            test_host_check(&host[i]);
        case_free(&c);
    }
}
END_TEST

static void not_joined(int32_t want, const char *word, mambaint_key *const *key, size_t n)
{
    mambaint_error err = {0, ""};
    mambaint_key *all = (mambaint_key *)&err;
    const int32_t rc = mambaint_key_join(&all, key, n, &err);

    test_check(rc == want && !all && strstr(err.message, word), "%d, not %d: '%s' lacks '%s'", rc,
               want, err.message, word);
}

START_TEST(keys_that_do_not_fit_are_not_joined)
{
    struct tiny other, text;
    mambaint_model *m[2];
    mambaint_key *key[17], *wide, *tokens, *open;
    struct chain_case c;

    case_make(&c, "1", "committed");
    tiny_make(&other,
              tiny_options("preset", "simple-rwkv", "features-in", "4", "outputs", "3", NULL));
    tiny_make(&text, tiny_options("preset", "mi-tiny", "layers", "1", "d-model", "8", "heads", "2",
                                  "head-dim", "4", "d-state", "4", "vocab", "272", NULL));
    m[0] = tiny_open(&other, NULL);
    m[1] = tiny_open(&text, NULL);
    wide = key_of(m, 1, "committed", "merged");
    tokens = key_of(m + 1, 1, "committed", "merged");
    open = key_of(c.model, 1, "public", "merged");
    for (size_t i = 0; i < 17; i++)
        key[i] = c.one[0];
    not_joined(MAMBAINT_E_INVALID, "two keys at least", key, 1);
    not_joined(MAMBAINT_E_INVALID, "two keys at least", NULL, 2);
    not_joined(MAMBAINT_E_RANGE, "17 keys", key, 17);
    key[0] = c.merged; /* 3 + 14 models */
    not_joined(MAMBAINT_E_RANGE, "more than 16 models", key, 15);
    key[1] = NULL;
    not_joined(MAMBAINT_E_INVALID, "key 2 is NULL", key, 2);
    key[1] = wide;
    not_joined(MAMBAINT_E_MISMATCH, "key 1 hands 3 numbers on, but that of key 2 takes 4", key, 2);
    key[0] = wide;
    key[1] = c.one[0];
    not_joined(MAMBAINT_E_MISMATCH, "key 1 hands nothing on", key, 2);
    key[1] = tokens;
    not_joined(MAMBAINT_E_MISMATCH, "a model of text", key, 2);
    key[0] = c.one[0];
    key[1] = open;
    not_joined(MAMBAINT_E_MISMATCH, "public", key, 2);
    key[1] = c.key;
    not_joined(MAMBAINT_E_INVALID, "key 2 is of a chain of keys itself", key, 2);
    mambaint_key_free(wide);
    mambaint_key_free(tokens);
    mambaint_key_free(open);
    mambaint_model_unref(m[0]);
    mambaint_model_unref(m[1]);
    tiny_free(&other);
    tiny_free(&text);
    case_free(&c);
}
END_TEST

/* A key of another kind, of fewer or more models, in another order; of another chain. */
START_TEST(other_keys_are_refused)
{
    struct chain_case c, d;
    struct bytes merged;
    mambaint_key *key[4], *all;

    case_make(&c, "1", "committed");
    case_make(&d, "2", "committed");
    merged = prove(c.model, STAGES, FEATURES, "committed", "merged");
    mambaint_statement_free(accepted(c.merged, &merged));
    refused(MAMBAINT_E_MISMATCH, "the key is of a chain with a proof for each", c.key, &merged,
            true);
    refused(MAMBAINT_E_MISMATCH, "the key is of a chain with a proof for each", c.key, &c.part[0],
            true);
    refused(MAMBAINT_E_MISMATCH, "a key of each", c.merged, &c.chain, true);
    refused(MAMBAINT_E_MISMATCH, "a key of each", c.one[0], &c.chain, true);
    refused(MAMBAINT_E_MISMATCH, "series: proof 1: the proof is of another model", d.key, &c.chain,
            true);
    for (size_t i = 0; i < STAGES; i++)
        key[i] = c.one[i];
    key[3] = c.one[2];
    OK(mambaint_key_join(&all, key, 4, NULL));
    refused(MAMBAINT_E_MISMATCH, "has 3 proofs, but the chain of the key has 4", all, &c.chain,
            true);
    mambaint_key_free(all);
    OK(mambaint_key_join(&all, key, 2, NULL));
    refused(MAMBAINT_E_MISMATCH, "more proofs than the chain of the key has keys, 2", all, &c.chain,
            true);
    mambaint_key_free(all);
    key[1] = c.one[2];
    key[2] = c.one[1];
    OK(mambaint_key_join(&all, key, 3, NULL));
    refused(MAMBAINT_E_MISMATCH, "proof 2: the proof is of another model", all, &c.chain, true);
    mambaint_key_free(all);
    key[1] = c.one[1];
    key[2] = d.one[2];
    OK(mambaint_key_join(&all, key, 3, NULL));
    refused(MAMBAINT_E_MISMATCH, "proof 3: the proof is of another model", all, &c.chain, true);
    mambaint_key_free(all);
    free(merged.data);
    case_free(&c);
    case_free(&d);
}
END_TEST

/* ---- what is no chain ---- */

static const char ENDS[] = "its last proof hands on what no other one takes";
static const char FEEDS[] = "it does not begin with what the one before it hands on";
static const char BEGINS[] = "proof 1: it does not begin with features";

static void refuse_order(const struct chain_case *c, const size_t *order, size_t n,
                         const char *says)
{
    const struct bytes *part[5];
    struct bytes b;

    for (size_t k = 0; k < n; k++)
        part[k] = &c->part[order[k]];
    b = join(part, n);
    refused(MAMBAINT_E_REFUSED, says, c->key, &b, false);
    free(b.data);
}

START_TEST(a_reordered_chain_is_refused)
{
    static const size_t order[][3] = {{0, 2, 1}, {1, 0, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}};
    static const char *const says[] = {FEEDS, BEGINS, BEGINS, BEGINS, BEGINS};
    struct chain_case c;

    case_make(&c, "1", "committed");
    for (size_t i = 0; i < MBI_COUNT(order); i++)
        refuse_order(&c, order[i], 3, says[i]);
    case_free(&c);
}
END_TEST

START_TEST(a_stage_that_is_left_out_is_refused)
{
    struct chain_case c;

    case_make(&c, "1", "committed");
    refuse_order(&c, (size_t[]){0, 1}, 2, ENDS);
    refuse_order(&c, (size_t[]){0, 2}, 2, FEEDS);
    refuse_order(&c, (size_t[]){1, 2}, 2, BEGINS);
    refuse_order(&c, (size_t[]){0}, 1, ENDS);
    refuse_order(&c, (size_t[]){2}, 1, BEGINS);
    case_free(&c);
}
END_TEST

START_TEST(a_stage_that_comes_twice_is_refused)
{
    struct chain_case c;

    case_make(&c, "1", "committed");
    refuse_order(&c, (size_t[]){0, 0, 1, 2}, 4, "proof 2: it begins with features of its own");
    refuse_order(&c, (size_t[]){0, 1, 1, 2}, 4, FEEDS);
    refuse_order(&c, (size_t[]){0, 1, 2, 2}, 4, "proof 4: the one before it hands nothing on");
    refuse_order(&c, (size_t[]){0, 1, 2, 0}, 4, "proof 4: the one before it hands nothing on");
    case_free(&c);
}
END_TEST

/* Each proof is right, but they are of two runs; and of another chain's model. */
START_TEST(stages_of_different_inputs_are_refused)
{
    const struct bytes *part[STAGES];
    struct bytes run, other[STAGES], b;
    struct chain_case c, d;

    case_make(&c, "1", "committed");
    case_make(&d, "2", "committed");
    run = prove(c.model, STAGES, OTHERS, "committed", "linked");
    parts_of(other, STAGES, &run);
    for (size_t i = 0; i < STAGES; i++) {
        mambaint_statement_free(accepted(c.one[i], &other[i]));
        for (size_t k = 0; k < STAGES; k++)
            part[k] = k == i ? &other[k] : &c.part[k];
        b = join(part, STAGES);
        refused(MAMBAINT_E_REFUSED, FEEDS, c.key, &b, false);
        free(b.data);
        for (size_t k = 0; k < STAGES; k++)
            part[k] = k == i ? &d.part[k] : &c.part[k];
        b = join(part, STAGES);
        refused(i ? MAMBAINT_E_REFUSED : MAMBAINT_E_MISMATCH,
                i ? FEEDS : "proof 1: the proof is of another model", c.key, &b, false);
        free(b.data);
    }
    free(run.data);
    case_free(&c);
    case_free(&d);
}
END_TEST

/* Where the root of a side stands in a statement. */
static size_t root_at(const struct bytes *b, size_t i, enum mbi_side side)
{
    const size_t end = 16 + mbi_load32(b->data + 12);
    const size_t behind = i < 2 ? 32 : 4 * 7;

    return side == MBI_BEHIND ? end - 32 : end - behind - 8 - 32;
}

/* With another root in one of two neighbours they do not follow; in both, none of them is right.
 * That of a right proof of other values, too. */
START_TEST(an_exchanged_root_is_refused)
{
    struct bytes run, other[STAGES], lie[STAGES], b;
    const struct bytes *part[STAGES];
    struct chain_case c;

    case_make(&c, "1", "committed");
    run = prove(c.model, STAGES, OTHERS, "committed", "linked");
    parts_of(other, STAGES, &run);
    for (size_t i = 0; i + 1 < STAGES; i++)
        for (int with = 1; with < 4; with++) {
            for (size_t k = 0; k < STAGES; k++) {
                lie[k] = bytes_of(c.part[k].data, c.part[k].n);
                part[k] = &lie[k];
            }
            for (size_t k = i; k < i + 2; k++)
                if (with >> (k - i) & 1) {
                    memcpy(lie[k].data + root_at(&lie[k], k, k == i ? MBI_BEHIND : MBI_BEFORE),
                           other[i].data + root_at(&other[i], i, MBI_BEHIND), 32);
                    seal(lie[k].data, lie[k].n);
                    refused(MAMBAINT_E_REFUSED, "the proof is refused", c.one[k], &lie[k], true);
                }
            b = join(part, STAGES);
            refused(MAMBAINT_E_REFUSED, with == 2 ? FEEDS : "the proof is refused", c.key, &b,
                    with == 3);
            free(b.data);
            for (size_t k = 0; k < STAGES; k++)
                free(lie[k].data);
        }
    /* the root that the one before hands on, in a proof of what another one handed on */
    b = bytes_of(other[1].data, other[1].n);
    memcpy(b.data + root_at(&b, 1, MBI_BEFORE), c.part[0].data + root_at(&c.part[0], 0, MBI_BEHIND),
           32);
    seal(b.data, b.n);
    refused(MAMBAINT_E_REFUSED, "the proof is refused", c.one[1], &b, true);
    free(b.data);
    free(run.data);
    case_free(&c);
}
END_TEST

/* Kinds and counts that a statement cannot have, or not with these models. */
START_TEST(lies_about_a_part_are_refused)
{
    static const struct {
        size_t part, back; /* from the root of the side on */
        enum mbi_side side;
        uint8_t flip;
        int32_t rc;
        const char *says;
    } cases[] = {
        {1, 8, MBI_BEFORE, 4 ^ 5, MAMBAINT_E_FORMAT, "the kind of what goes in"},
        {1, 8, MBI_BEFORE, 4 ^ 3, MAMBAINT_E_FORMAT, "the kind of what goes in"},
        {1, 8, MBI_BEFORE, 4 ^ 0, MAMBAINT_E_FORMAT, "the kind of what goes in"},
        {1, 4, MBI_BEFORE, 1, MAMBAINT_E_FORMAT, "2 features, but the models have 3"},
        {1, 8, MBI_BEHIND, 4 ^ 2, MAMBAINT_E_FORMAT, "does not go with"},
        {1, 8, MBI_BEHIND, 4 ^ 1, MAMBAINT_E_FORMAT, "something is left behind it"},
        {1, 4, MBI_BEHIND, 1, MAMBAINT_E_FORMAT, "2 outputs, but the models have 3"},
        {1, 4, MBI_BEHIND, 3, MAMBAINT_E_FORMAT, "a run has no values"},
        {1, 12, MBI_BEFORE, 3, MAMBAINT_E_UNSUPPORTED, ""}, /* T = 2 */
    };
    struct chain_case c;

    case_make(&c, "1", "committed");
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        const struct bytes *p = &c.part[cases[i].part];
        struct bytes lie = bytes_of(p->data, p->n);

        lie.data[root_at(&lie, cases[i].part, cases[i].side) - cases[i].back] ^= cases[i].flip;
        seal(lie.data, lie.n);
        refused(cases[i].rc, cases[i].says, c.one[cases[i].part], &lie, false);
        free(lie.data);
    }
    case_free(&c);
}
END_TEST

/* ---- each prover by itself ---- */

/* What a model hands on, as decimals. */
static void handed_on(char *text, size_t cap, mambaint_model *m, const char *features)
{
    mambaint_options *o = tiny_options("features", features, NULL);
    int32_t y[8];
    size_t n;

    OK(mambaint_model_evaluate(y, 8, &n, &m, 1, o, NULL));
    mambaint_options_free(o);
    *text = '\0';
    for (size_t i = 0; i < 3; i++) { /* y / 2^12, rounded to 2^-5 when it is read */
        const double x = (y[i] + 64) >> 7;

        snprintf(text + strlen(text), cap - strlen(text), "%s%.5f", i ? "," : "",
                 (x < -128  ? -128
                  : x > 127 ? 127
                            : x) /
                     32);
    }
}

/* The parts that three provers make, of what was handed on to them, are those of one. */
START_TEST(parts_of_several_provers_are_joined)
{
    static const char *const name[STAGES] = {"first", "middle", "last"};
    const void *data[STAGES];
    size_t size[STAGES], n;
    struct chain_case c;
    mambaint_proof *series;
    mambaint_error err = {0, ""};
    char features[64] = FEATURES, next[64];

    case_make(&c, "1", "committed");
    for (size_t i = 0; i < STAGES; i++) {
        struct bytes b = prove(&c.model[i], 1, features, "committed", name[i]);

        ck_assert_uint_eq(b.n, c.part[i].n);
        ck_assert_mem_eq(b.data, c.part[i].data, b.n);
        free(b.data);
        data[i] = c.part[i].data;
        size[i] = c.part[i].n;
        handed_on(next, sizeof(next), c.model[i], features);
        memcpy(features, next, sizeof(next));
    }
    OK(mambaint_proof_join(&series, NULL, data, size, STAGES, &err));
    data[0] = mambaint_proof_data(series, &n);
    ck_assert_uint_eq(n, c.chain.n);
    ck_assert_mem_eq(data[0], c.chain.data, n);
    mambaint_proof_free(series);
    data[0] = c.part[0].data;
    ck_assert_int_eq(mambaint_proof_join(&series, NULL, data, size, 2, &err), MAMBAINT_E_REFUSED);
    test_that(!series && strstr(err.message, ENDS));
    size[1]--;
    ck_assert_int_eq(mambaint_proof_join(&series, NULL, data, size, 3, &err), MAMBAINT_E_FORMAT);
    size[1]++;
    data[1] = c.part[2].data;
    size[1] = c.part[2].n;
    ck_assert_int_eq(mambaint_proof_join(&series, NULL, data, size, 2, &err), MAMBAINT_E_REFUSED);
    test_that(strstr(err.message, FEEDS));
    data[1] = NULL;
    ck_assert_int_eq(mambaint_proof_join(&series, NULL, data, size, 3, &err), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_proof_join(&series, NULL, data, size, 0, &err), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_proof_join(NULL, NULL, data, size, 1, &err), MAMBAINT_E_INVALID);
    case_free(&c);
}
END_TEST

/* ---- other files ---- */

/* Its statement is a file that no proof can be behind. */
START_TEST(a_statement_of_a_chain_has_no_body)
{
    mambaint_statement *s;
    struct chain_case c;
    struct bytes b;
    uint8_t file[2048];
    size_t n;

    case_make(&c, "1", "committed");
    s = accepted(c.key, &c.chain);
    OK(mambaint_statement_save(file, sizeof(file), &n, s));
    mambaint_statement_free(s);
    ck_assert_uint_eq(file[8], MBI_PROOF_CHAIN);
    b = bytes_of(file, n);
    refused(MAMBAINT_E_FORMAT, "it is a statement alone", c.merged, &b, true);
    free(b.data);
    test_that(b.data = calloc(b.n = n + 1, 1));
    memcpy(b.data, file, n - 32);
    seal(b.data, b.n);
    refused(MAMBAINT_E_FORMAT, "has a body", c.merged, &b, false);
    b.data[8] = MBI_PROOF_RUN; /* of all models at once, whose weights have no such root */
    seal(b.data, b.n);
    refused(MAMBAINT_E_MISMATCH, "the weights are other ones", c.merged, &b, true);
    b.data[8] = 4;
    seal(b.data, b.n);
    refused(MAMBAINT_E_FORMAT, "type 4", c.merged, &b, false);
    free(b.data);
    case_free(&c);
}
END_TEST

START_TEST(other_files_are_no_chain)
{
    const struct bytes *part[STAGES];
    struct bytes b, lie, whole;
    struct chain_case c, d;

    case_make(&c, "1", "committed");
    case_make(&d, "1", "public");
    for (size_t k = 0; k < STAGES; k++)
        part[k] = &c.part[k];
    lie = bytes_of(c.part[1].data, 16 + mbi_load32(c.part[1].data + 12) + MBI_DIGEST_SIZE);
    seal(lie.data, lie.n);
    part[1] = &lie;
    b = join(part, STAGES);
    refused(MAMBAINT_E_FORMAT, "proof 2: proof: it is a statement alone", c.key, &b, true);
    free(b.data);
    part[1] = &d.part[1];
    b = join(part, STAGES);
    refused(MAMBAINT_E_MISMATCH, "the weights of proof 2 are public", c.key, &b, false);
    free(b.data);
    whole = prove(c.model, 1, FEATURES, "committed", "merged");
    part[0] = &whole;
    b = join(part, 1);
    refused(MAMBAINT_E_REFUSED, "a chain of one proof", c.key, &b, false);
    free(b.data);
    part[0] = &c.chain;
    b = join(part, 1);
    refused(MAMBAINT_E_FORMAT, "no proof file", c.key, &b, false);
    free(b.data);
    for (size_t cut = 0; cut < c.chain.n; cut += 1 + cut / 7) {
        b = bytes_of(c.chain.data, cut);
        seal(b.data, b.n);
        refused(MAMBAINT_E_FORMAT, "", c.key, &b, false);
        free(b.data);
    }
    free(whole.data);
    free(lie.data);
    case_free(&c);
    case_free(&d);
}
END_TEST

/* A part of a run on tokens among those of a chain, and the other way round. */
START_TEST(tokens_and_features_do_not_mix)
{
    const struct bytes *part[2];
    struct bytes text, b;
    struct tiny file;
    struct chain_case c;
    mambaint_model *m;
    mambaint_key *key;
    mambaint_error err = {0, ""};

    case_make(&c, "1", "committed");
    tiny_make(&file,
              tiny_options("preset", "mi-tiny", "layers", "1", "d-model", "8", "heads", "2",
                           "head-dim", "4", "d-state", "4", "vocab", "272", "chunk", "4", NULL));
    m = tiny_open(&file, NULL);
    key = key_of(&m, 1, "committed", "linked"); /* one model: an ordinary key */
    ck_assert_msg(try_to_prove(&text, &m, 1,
                               tiny_options("ids", "1,2", "tokens", "5", "chunk-steps", "4", NULL),
                               &err) == MAMBAINT_OK,
                  "%s", err.message);
    mambaint_statement_free(accepted(key, &text));
    refused(MAMBAINT_E_MISMATCH, "it is of a run on tokens, but the key is of a chain", c.key,
            &text, true);
    refused(MAMBAINT_E_MISMATCH, "a key of each", key, &c.chain, true);
    for (int i = 0; i < 2; i++) {
        const struct bytes first = {text.data + 16, mbi_load32(text.data + 12)};

        part[i] = &first;
        part[!i] = &c.part[0];
        b = join(part, 2);
        refused(MAMBAINT_E_FORMAT,
                i ? "proof 2 is of tokens, those before it are of features"
                  : "proof 2 is of features, those before it are of tokens",
                i ? c.key : key, &b, false);
        free(b.data);
    }
    free(text.data);
    mambaint_key_free(key);
    mambaint_model_unref(m);
    tiny_free(&file);
    case_free(&c);
}
END_TEST

/* ---- making them ---- */

START_TEST(options_that_do_not_go_together)
{
    static const struct {
        const char *key, *value;
        size_t n;
        int32_t rc;
        const char *says;
    } cases[] = {
        {"chain", "both", STAGES, MAMBAINT_E_INVALID, "none of merged, linked, first"},
        {"chain", "linke", 1, MAMBAINT_E_INVALID, "none of merged, linked, first"},
        {"chain", "middle", STAGES, MAMBAINT_E_MISMATCH, "for one model of a chain, not for 3"},
        {"prover-key", "there.mipk", STAGES, MAMBAINT_E_MISMATCH, "1 of them, but 3 models"},
        {"chunk-steps", "4", STAGES, MAMBAINT_E_MISMATCH, "option chunk-steps"},
        {"prompt", "x", STAGES, MAMBAINT_E_MISMATCH, "option prompt"},
        {"features", "1,2", STAGES, MAMBAINT_E_INVALID, "2 numbers"},
        {"features", "1,2,9", STAGES, MAMBAINT_E_RANGE, "number 3"},
        {"zk", "on", STAGES, MAMBAINT_E_INVALID, "zk"},
        {"weights", "no", STAGES, MAMBAINT_E_INVALID, "weights"},
        {"backend", "no", STAGES, MAMBAINT_E_NO_BACKEND, ""},
    };
    mambaint_error err = {0, ""};
    mambaint_options *o;
    mambaint_key *key;
    struct chain_case c;
    struct bytes b;

    case_make(&c, "1", "committed");
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        o = tiny_options("features", FEATURES, "chain", "linked", cases[i].key, cases[i].value,
                         NULL);
        test_check(try_to_prove(&b, c.model, cases[i].n, o, &err) == cases[i].rc &&
                       strstr(err.message, cases[i].says),
                   "%s: %s", cases[i].key, err.message);
    }
    o = tiny_options("chain", "both", NULL);
    ck_assert_int_eq(mambaint_key_create(&key, c.model, STAGES, o, &err), MAMBAINT_E_INVALID);
    mambaint_options_free(o);
    o = tiny_options("chain", "linked", "zk", "on", "prover-key", "there.mipk", NULL);
    test_that(mambaint_key_create(&key, c.model, STAGES, o, &err) < 0);
    mambaint_options_free(o);
    o = tiny_options("features", FEATURES, "chain", "first", "zk", "on", "prover-key", "there.mipk",
                     NULL);
    test_check(try_to_prove(&b, c.model, 1, o, &err) == MAMBAINT_E_UNSUPPORTED &&
                   strstr(err.message, "name each other"),
               "%s", err.message);
    case_free(&c);
}
END_TEST

/* Some of the allocations, one after the other: each may be refused, and nothing is lost then. */
START_TEST(refused_memory_is_an_error)
{
    struct chain_case c;
    struct test_host host;
    size_t refusals = 0;

    case_make(&c, "1", "committed");
    for (size_t k = 1; k < 8000; k += 1 + k / 3) {
        mambaint_options *o = tiny_options("features", FEATURES, "chain", "linked", NULL);
        mambaint_model *m[STAGES];
        mambaint_statement *s = NULL;
        mambaint_context *ctx;
        mambaint_proof *p = NULL;
        mambaint_key *key = NULL;
        int32_t rc;

        test_host_init(&host);
        test_that(ctx = tiny_context(&host.host, 1));
        for (size_t i = 0; i < STAGES; i++)
            OK(mambaint_model_open_memory(&m[i], ctx, c.file[i].bytes, c.file[i].size, NULL, NULL));
        test_host_fail(&host, k, k % 2);
        rc = mambaint_proof_create(&p, m, STAGES, o, NULL);
        test_check(rc == MAMBAINT_E_NO_MEMORY || rc == MAMBAINT_OK, "allocation %zu: %d", k, rc);
        refusals += rc < 0;
        mambaint_proof_free(p);
        test_host_fail(&host, k, k % 2);
        rc = mambaint_key_create(&key, m, STAGES, o, NULL);
        test_check(rc == MAMBAINT_E_NO_MEMORY || rc == MAMBAINT_OK, "allocation %zu: %d", k, rc);
        refusals += rc < 0;
        test_host_fail(&host, 0, false);
        if (rc < 0)
            OK(mambaint_key_create(&key, m, STAGES, o, NULL));
        test_host_fail(&host, k, k % 2);
        rc = mambaint_proof_verify(&s, key, NULL, c.chain.data, c.chain.n, NULL);
        test_check(rc == MAMBAINT_E_NO_MEMORY || rc == MAMBAINT_ACCEPTED, "allocation %zu: %d", k,
                   rc);
        refusals += rc < 0;
        test_host_fail(&host, 0, false);
        mambaint_statement_free(s);
        mambaint_options_free(o);
        mambaint_key_free(key);
        for (size_t i = 0; i < STAGES; i++)
            mambaint_model_unref(m[i]);
        mambaint_context_unref(ctx);
        test_host_check(&host);
    }
    ck_assert_uint_gt(refusals, 20);
    case_free(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("linked chains of proofs");
    TCase *t = tcase_create("linked");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, a_linked_chain_is_accepted);
    tcase_add_test(t, each_proof_stands_alone);
    tcase_add_test(t, no_value_is_in_a_statement);
    tcase_add_test(t, one_model_is_one_proof);
    tcase_add_test(t, keys_of_each_are_joined);
    tcase_add_test(t, joined_keys_keep_to_their_contexts);
    tcase_add_test(t, keys_that_do_not_fit_are_not_joined);
    tcase_add_test(t, other_keys_are_refused);
    tcase_add_test(t, a_reordered_chain_is_refused);
    tcase_add_test(t, a_stage_that_is_left_out_is_refused);
    tcase_add_test(t, a_stage_that_comes_twice_is_refused);
    tcase_add_test(t, stages_of_different_inputs_are_refused);
    tcase_add_test(t, an_exchanged_root_is_refused);
    tcase_add_test(t, lies_about_a_part_are_refused);
    tcase_add_test(t, parts_of_several_provers_are_joined);
    tcase_add_test(t, a_statement_of_a_chain_has_no_body);
    tcase_add_test(t, other_files_are_no_chain);
    tcase_add_test(t, tokens_and_features_do_not_mix);
    tcase_add_test(t, options_that_do_not_go_together);
    tcase_add_test(t, refused_memory_is_an_error);
    suite_add_tcase(s, t);
    return test_main(s);
}
