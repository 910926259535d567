/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs of a long run in parts: series of them through the public calls, and their files. */
#include "series_case.h"

#define SHAPE                                                                                      \
    "preset", "mi-tiny", "layers", "1", "d-model", "8", "heads", "2", "head-dim", "4", "d-state",  \
        "4", "vocab", "272", "rotation-pairs", "1"
#define IDS "1,2,3,4,5,6"
#define TOKENS "9" /* 14 steps: parts of 4, 4, 4 and 2, of which the second answers in part */
#define PARTS 4

/* Frees the options. */
static int32_t try_to_prove(struct bytes *out, mambaint_model *m, mambaint_options *o,
                            mambaint_error *err)
{
    mambaint_proof *p = NULL;
    const int32_t rc = mambaint_proof_create(&p, &m, 1, o, err);

    mambaint_options_free(o);
    *out = rc < 0 ? (struct bytes){NULL, 0} : bytes_of_proof(p);
    return rc;
}

static struct bytes prove(mambaint_model *m, mambaint_options *o)
{
    mambaint_error err = {0, ""};
    struct bytes b;

    ck_assert_msg(try_to_prove(&b, m, o, &err) == MAMBAINT_OK, "%s", err.message);
    return b;
}

/* ---- a model, its key, a series and the proofs in it ---- */

struct series_case {
    struct tiny file;
    mambaint_model *model;
    mambaint_key *key;
    struct bytes series, whole; /* the same run in one proof */
    struct bytes part[PARTS];
};

static void case_make(struct series_case *c, const char *seed, const char *weights)
{
    mambaint_options *o = tiny_options("weights", weights, NULL);
    struct bytes part[PARTS];
    mambaint_error err;

    tiny_make(&c->file, tiny_options(SHAPE, "chunk", "4", "seed", seed, NULL));
    c->model = tiny_open(&c->file, NULL);
    OK(mambaint_key_create(&c->key, &c->model, 1, o, &err));
    mambaint_options_free(o);
    c->series = prove(c->model, tiny_options("ids", IDS, "tokens", TOKENS, "chunk-steps", "4",
                                             "weights", weights, NULL));
    c->whole =
        prove(c->model, tiny_options("ids", IDS, "tokens", TOKENS, "weights", weights, NULL));
    parts_of(part, PARTS, &c->series);
    for (size_t i = 0; i < PARTS; i++)
        c->part[i] = bytes_of(part[i].data, part[i].n);
}

static void case_free(struct series_case *c)
{
    for (size_t i = 0; i < PARTS; i++)
        free(c->part[i].data);
    free(c->series.data);
    free(c->whole.data);
    mambaint_key_free(c->key);
    mambaint_model_unref(c->model);
    tiny_free(&c->file);
}

/* ---- what is accepted ---- */

/* What a series says is what one proof of the whole says, byte for byte. */
static void check_whole(const char *seed, const char *weights)
{
    mambaint_statement *s, *whole, *read;
    uint8_t saved[2][2048];
    size_t n[2], n_ids, n_answer;
    mambaint_error err;
    struct series_case c;
    int32_t ids[16];

    case_make(&c, seed, weights);
    s = accepted(c.key, &c.series);
    whole = accepted(c.key, &c.whole);
    OK(mambaint_statement_save(saved[0], sizeof(saved[0]), &n[0], s));
    OK(mambaint_statement_save(saved[1], sizeof(saved[1]), &n[1], whole));
    ck_assert_uint_eq(n[0], n[1]);
    ck_assert_mem_eq(saved[0], saved[1], n[0]);
    OK(mambaint_statement_ids(ids, 16, &n_ids, &n_answer, s));
    ck_assert(n_ids == 15 && n_answer == 9);
    OK(mambaint_statement_match_ids(s, (int32_t[]){1, 2, 3, 4, 5, 6}, 6, ids + 6, 9, &err));
    has(s, "json", "\"proofs\": 4}", true);
    has(whole, "json", "proofs", false);
    has(s, "json", "t0", false);
    has(s, "text", "proofs: 4, each", true);
    has(s, "text", "answered greedily", true);
    ck_assert_int_eq(mambaint_proof_verify(NULL, c.key, whole, c.series.data, c.series.n, &err),
                     MAMBAINT_ACCEPTED);
    ck_assert_int_eq(mambaint_proof_verify(NULL, c.key, s, c.whole.data, c.whole.n, &err),
                     MAMBAINT_ACCEPTED);
    OK(mambaint_statement_read(&read, NULL, c.series.data, c.series.n, &err));
    has(read, "json", "\"proofs\": 4}", true);
    mambaint_statement_free(read);
    mambaint_statement_free(s);
    mambaint_statement_free(whole);
    case_free(&c);
}

START_TEST(a_series_says_what_one_proof_says)
{
    check_whole("1", "committed");
    check_whole("2", "public");
}
END_TEST

/* Each proof of a series stands alone, and says so. */
START_TEST(parts_stand_alone)
{
    mambaint_statement *s[PARTS];
    struct series_case c;
    mambaint_error err;
    size_t n, n_answer;
    int32_t ids[8];

    case_make(&c, "1", "committed");
    for (size_t i = 0; i < PARTS; i++) {
        s[i] = accepted(c.key, &c.part[i]);
        ck_assert_int_eq(mambaint_statement_ids(NULL, 0, &n, &n_answer, s[i]), MAMBAINT_E_SPACE);
        ck_assert_uint_eq(n, i < 3 ? 5 : 3);
        ck_assert_uint_eq(n_answer, i == 0 ? 0 : i == 1 ? 3 : i == 2 ? 4 : 2);
        has(s[i], "text", "A part of a run", true);
        has(s[i], "text", "with nothing in its memory", i == 0);
        has(s[i], "text", "memory before, at position", i > 0);
        has(s[i], "text", "memory behind, at position", i < 3);
        has(s[i], "text", "answer, ", i > 0);
        has(s[i], "json", "\"memory_before\": null", i == 0);
        has(s[i], "json", "\"memory_behind\": null", i == 3);
        has(s[i], "json", "\"proofs\"", false);
        OK(mambaint_statement_match_ids(s[i], NULL, 0, NULL, 0, &err));
        OK(mambaint_statement_ids(ids, 8, NULL, NULL, s[i]));
        ck_assert_int_eq(mambaint_statement_match_ids(s[i], ids, n - n_answer, NULL, 0, &err),
                         i ? MAMBAINT_E_MISMATCH : MAMBAINT_OK);
        if (i)
            test_that(strstr(err.message, "end of a run alone"));
        ck_assert_int_eq(
            mambaint_statement_match_ids(s[i], NULL, 0, ids + n - n_answer, n_answer, &err),
            i ? MAMBAINT_E_MISMATCH : MAMBAINT_OK);
    }
    has(s[2], "json", "\"t0\": 8,", true);
    ck_assert_int_eq(mambaint_proof_verify(NULL, c.key, s[1], c.part[2].data, c.part[2].n, &err),
                     MAMBAINT_E_MISMATCH);
    for (size_t i = 0; i < PARTS; i++)
        mambaint_statement_free(s[i]);
    case_free(&c);
}
END_TEST

/* ---- what is not ---- */

START_TEST(another_order_is_refused)
{
    static const struct {
        size_t n, part[5];
        const char *says;
    } cases[] = {
        {4, {0, 2, 1, 3}, "proof 2: it does not begin where"},
        {4, {1, 0, 2, 3}, "proof 1: it does not begin at position 0"},
        {3, {1, 2, 3}, "proof 1: it does not begin at position 0"},
        {3, {0, 2, 3}, "proof 2: it does not begin where"},
        {3, {0, 1, 3}, "proof 3: it does not begin where"},
        {3, {0, 1, 2}, "hands its memory on, but no other one follows"},
        {1, {0}, "hands its memory on"},
        {5, {0, 1, 1, 2, 3}, "proof 3: it does not begin where"},
        {5, {0, 1, 2, 3, 3}, "proof 5: it does not begin where"},
        {5, {0, 0, 1, 2, 3}, "proof 2: it does not begin where"},
    };
    struct series_case c;

    case_make(&c, "1", "committed");
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        const struct bytes *part[5];
        struct bytes b;

        for (size_t k = 0; k < cases[i].n; k++)
            part[k] = &c.part[cases[i].part[k]];
        b = join(part, cases[i].n);
        refused(MAMBAINT_E_REFUSED, cases[i].says, c.key, &b, false);
        free(b.data);
    }
    case_free(&c);
}
END_TEST

/* Of the same model, but of another run; and of another model. */
START_TEST(parts_of_other_runs_are_refused)
{
    struct series_case c, d;
    struct bytes b, run, other[PARTS];
    const struct bytes *part[PARTS];

    case_make(&c, "1", "committed");
    case_make(&d, "2", "committed");
    run = prove(c.model,
                tiny_options("ids", "1,2,3,4,5,7", "tokens", TOKENS, "chunk-steps", "4", NULL));
    parts_of(other, PARTS, &run);
    for (size_t i = 0; i < PARTS; i++) {
        for (size_t k = 0; k < PARTS; k++)
            part[k] = k == i ? &d.part[k] : &c.part[k];
        b = join(part, PARTS);
        refused(MAMBAINT_E_MISMATCH, i ? "another model than those before" : "than the key", c.key,
                &b, false);
        free(b.data);
        for (size_t k = 0; k < PARTS; k++) /* the first four tokens are the same */
            part[k] = k < i ? &other[k] : &c.part[k];
        b = join(part, PARTS);
        if (i > 1)
            refused(MAMBAINT_E_REFUSED, "the memory that the one before it hands on", c.key, &b,
                    false);
        else
            mambaint_statement_free(accepted(c.key, &b));
        free(b.data);
    }
    free(run.data);
    case_free(&c);
    case_free(&d);
}
END_TEST

/* An answer is the end of a run: the same run, of which less is claimed, has the same memory. */
START_TEST(an_answer_has_no_gap)
{
    struct bytes other[PARTS], run, b;
    const struct bytes *part[PARTS];
    char ids[64] = IDS;
    int32_t all[16];
    mambaint_statement *s;
    struct series_case c;

    case_make(&c, "1", "committed");
    s = accepted(c.key, &c.series);
    OK(mambaint_statement_ids(all, 16, NULL, NULL, s));
    mambaint_statement_free(s);
    for (size_t i = 6; i < 12; i++)
        snprintf(ids + strlen(ids), sizeof(ids) - strlen(ids), ",%d", all[i]);
    run = prove(c.model, tiny_options("ids", ids, "tokens", "3", "chunk-steps", "4", NULL));
    parts_of(other, PARTS, &run);
    for (size_t k = 0; k < PARTS; k++)
        part[k] = k < 2 ? &c.part[k] : &other[k];
    b = join(part, PARTS);
    refused(MAMBAINT_E_REFUSED, "proof 3: not all of its tokens are an answer", c.key, &b, false);
    free(b.data);
    for (size_t k = 0; k < PARTS; k++)
        part[k] = k < 2 ? &other[k] : &c.part[k];
    b = join(part, PARTS); /* then less is an answer */
    s = accepted(c.key, &b);
    OK(mambaint_statement_match_ids(s, all, 9, all + 9, 6, NULL));
    mambaint_statement_free(s);
    free(b.data);
    free(run.data);
    case_free(&c);
}
END_TEST

/* Where what is said last lies: t0, kind and root of a boundary. */
static size_t statement_end(const struct bytes *b) { return 16 + mbi_load32(b->data + 12); }

static size_t place_of_t0(const struct bytes *b, size_t i)
{
    const size_t ids = i < 3 ? 5 : 3;

    return statement_end(b) - 8 - (i < 3 ? 32 : 0) - 4 * ids - (i ? 32 : 0) - 8 - 4 - 8;
}

/* One proof of the series is changed and sealed anew. It is refused alone, with a code, and in the
 * series because of its neighbours. */
static void refuse_changed(const struct series_case *c, size_t i, size_t at, uint8_t flip,
                           int32_t want, const char *alone, const char *among)
{
    struct bytes lie = bytes_of(c->part[i].data, c->part[i].n), b;
    const struct bytes *part[PARTS];

    lie.data[at] ^= flip;
    seal(lie.data, lie.n);
    refused(want, alone, c->key, &lie, want == MAMBAINT_E_REFUSED);
    for (size_t k = 0; k < PARTS; k++)
        part[k] = k == i ? &lie : &c->part[k];
    b = join(part, PARTS);
    refused(MAMBAINT_E_REFUSED, among, c->key, &b, false);
    free(b.data);
    free(lie.data);
}

START_TEST(lies_about_a_part_are_refused)
{
    static const char body[] = "the proof is refused", where[] = "does not begin where";
    struct series_case c;

    case_make(&c, "1", "committed");
    for (size_t i = 1; i < PARTS; i++) {
        const size_t t0 = place_of_t0(&c.part[i], i), end = statement_end(&c.part[i]);

        ck_assert_uint_eq(c.part[i].data[t0], 4 * i);
        ck_assert_uint_eq(c.part[i].data[t0 + 12], 3);
        refuse_changed(&c, i, t0, 1, MAMBAINT_E_FORMAT, "within a chunk", where);
        refuse_changed(&c, i, t0, 16, MAMBAINT_E_REFUSED, body, where);
        refuse_changed(&c, i, t0 + 20, 1, MAMBAINT_E_REFUSED, body, "the memory that");
        refuse_changed(&c, i, t0 + 52, 1, MAMBAINT_E_REFUSED, body, "with the last token");
        if (i < 3)
            refuse_changed(&c, i, end - 1, 1, MAMBAINT_E_REFUSED, body, body);
    }
    case_free(&c);
}
END_TEST

/* A root in both neighbours: then only the proofs themselves are wrong. */
START_TEST(another_root_is_refused)
{
    const struct bytes *part[PARTS];
    struct series_case c;
    struct bytes lie[2], b;

    case_make(&c, "1", "committed");
    for (size_t k = 0; k < 2; k++)
        lie[k] = bytes_of(c.part[k].data, c.part[k].n);
    lie[0].data[statement_end(&lie[0]) - 1] ^= 4;
    lie[1].data[place_of_t0(&lie[1], 1) + 20 + 31] ^= 4;
    for (size_t k = 0; k < PARTS; k++) {
        part[k] = k < 2 ? &lie[k] : &c.part[k];
        if (k < 2)
            seal(lie[k].data, lie[k].n);
    }
    b = join(part, PARTS);
    refused(MAMBAINT_E_REFUSED, "series: proof 1: the proof is refused", c.key, &b, true);
    free(b.data);
    part[0] = &c.part[0];
    b = join(part, PARTS);
    refused(MAMBAINT_E_REFUSED, "proof 2: it does not begin with the memory", c.key, &b, false);
    free(b.data);
    for (size_t k = 0; k < 2; k++)
        free(lie[k].data);
    case_free(&c);
}
END_TEST

/* A part of features, a certificate, a statement without a proof; and damaged files. */
START_TEST(other_files_are_no_series)
{
    const struct bytes *part[PARTS];
    struct bytes b, lie;
    struct series_case c;
    size_t n;

    case_make(&c, "1", "committed");
    for (size_t k = 0; k < PARTS; k++)
        part[k] = &c.part[k];
    lie = bytes_of(c.part[2].data, statement_end(&c.part[2]) + MBI_DIGEST_SIZE);
    seal(lie.data, lie.n);
    part[2] = &lie;
    b = join(part, PARTS);
    refused(MAMBAINT_E_FORMAT, "proof 3: proof: it is a statement alone", c.key, &b, true);
    free(b.data);
    part[2] = &c.series;
    b = join(part, PARTS);
    refused(MAMBAINT_E_FORMAT, "proof 3 of 4: proof: these bytes are no proof file", c.key, &b,
            false);
    free(b.data);
    part[2] = &c.part[2];
    for (size_t cut = 0; cut < c.series.n; cut += 1 + cut / 7) {
        b = bytes_of(c.series.data, cut);
        seal(b.data, b.n);
        refused(MAMBAINT_E_FORMAT, "", c.key, &b, false);
        free(b.data);
    }
    for (size_t i = 0; i < 12; i++) { /* the head, and the length of the first proof */
        b = bytes_of(c.series.data, c.series.n);
        b.data[i < 11 ? i : 13] ^= 0x40;
        seal(b.data, b.n);
        refused(i / 4 == 1 ? MAMBAINT_E_VERSION : MAMBAINT_E_FORMAT, "", c.key, &b, false);
        free(b.data);
    }
    b = bytes_of(c.series.data, c.series.n);
    b.data[b.n / 2] ^= 1;
    refused(MAMBAINT_E_FORMAT, "digest at its end", c.key, &b, false);
    free(b.data);
    n = c.series.n + 1;
    test_that(b.data = calloc(b.n = n, 1));
    memcpy(b.data, c.series.data, n - 1 - MBI_DIGEST_SIZE);
    seal(b.data, b.n);
    refused(MAMBAINT_E_FORMAT, "something is left", c.key, &b, false);
    free(b.data);
    b = join(part, 0);
    refused(MAMBAINT_E_FORMAT, "number of proofs", c.key, &b, false);
    free(b.data);
    free(lie.data);
    case_free(&c);
}
END_TEST

/* ---- making them ---- */

START_TEST(chunks_have_their_own_sizes)
{
    static const struct {
        const char *steps;
        int32_t rc;
        const char *says;
    } wrong[] = {
        {"0", MAMBAINT_E_RANGE, "chunk-steps"},
        {"3", MAMBAINT_E_RANGE, "no multiple of 4"},
        {"4100", MAMBAINT_E_RANGE, "chunk-steps"},
        {"x", MAMBAINT_E_INVALID, "chunk-steps"},
    };
    mambaint_error err = {0, ""};
    struct series_case c;
    struct bytes b;

    case_make(&c, "1", "committed");
    for (size_t i = 0; i < MBI_COUNT(wrong); i++) {
        const int32_t rc = try_to_prove(
            &b, c.model,
            tiny_options("ids", IDS, "tokens", TOKENS, "chunk-steps", wrong[i].steps, NULL), &err);

        test_check(rc == wrong[i].rc && strstr(err.message, wrong[i].says), "%s: %d, %s",
                   wrong[i].steps, rc, err.message);
    }
    b = prove(c.model, tiny_options("ids", IDS, "tokens", TOKENS, "chunk-steps", "16", NULL));
    ck_assert(b.n == c.whole.n && !memcmp(b.data, c.whole.data, b.n)); /* it has 14 steps */
    free(b.data);
    b = prove(c.model, tiny_options("ids", IDS, "tokens", "3", "chunk-steps", "8", NULL));
    ck_assert_mem_eq(b.data, "MIPF", 4); /* 8 steps */
    mambaint_statement_free(accepted(c.key, &b));
    free(b.data);
    b = prove(c.model, tiny_options("ids", IDS, "tokens", "4", "chunk-steps", "8", NULL));
    ck_assert_uint_eq(mbi_load32(b.data + 8), 2);
    mambaint_statement_free(accepted(c.key, &b));
    free(b.data);
    case_free(&c);
}
END_TEST

/* Some of the allocations, one after the other: each may be refused, and nothing is lost then. */
START_TEST(refused_memory_is_an_error)
{
    struct series_case c;
    struct test_host host;
    size_t refusals = 0;

    case_make(&c, "1", "committed");
    for (size_t k = 1; k < 8000; k += 1 + k / 3) {
        mambaint_options *o = tiny_options("ids", IDS, "tokens", TOKENS, "chunk-steps", "4", NULL);
        mambaint_statement *s = NULL;
        mambaint_context *ctx;
        mambaint_model *m;
        mambaint_proof *p = NULL;
        mambaint_key *key;
        int32_t rc;

        test_host_init(&host);
        test_that(ctx = tiny_context(&host.host, 1));
        OK(mambaint_model_open_memory(&m, ctx, c.file.bytes, c.file.size, NULL, NULL));
        OK(mambaint_key_create(&key, &m, 1, NULL, NULL));
        test_host_fail(&host, k, k % 2);
        rc = mambaint_proof_create(&p, &m, 1, o, NULL);
        test_check(rc == MAMBAINT_E_NO_MEMORY || rc == MAMBAINT_OK, "allocation %zu: %d", k, rc);
        refusals += rc < 0;
        mambaint_proof_free(p);
        test_host_fail(&host, k, k % 2);
        rc = mambaint_proof_verify(&s, key, NULL, c.series.data, c.series.n, NULL);
        test_check(rc == MAMBAINT_E_NO_MEMORY || rc == MAMBAINT_ACCEPTED, "allocation %zu: %d", k,
                   rc);
        refusals += rc < 0;
        test_host_fail(&host, 0, false);
        mambaint_statement_free(s);
        mambaint_options_free(o);
        mambaint_key_free(key);
        mambaint_model_unref(m);
        mambaint_context_unref(ctx);
        test_host_check(&host);
    }
    ck_assert_uint_gt(refusals, 20);
    case_free(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("series of proofs");
    TCase *t = tcase_create("series");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, a_series_says_what_one_proof_says);
    tcase_add_test(t, parts_stand_alone);
    tcase_add_test(t, another_order_is_refused);
    tcase_add_test(t, parts_of_other_runs_are_refused);
    tcase_add_test(t, an_answer_has_no_gap);
    tcase_add_test(t, lies_about_a_part_are_refused);
    tcase_add_test(t, another_root_is_refused);
    tcase_add_test(t, other_files_are_no_series);
    tcase_add_test(t, chunks_have_their_own_sizes);
    tcase_add_test(t, refused_memory_is_an_error);
    suite_add_tcase(s, t);
    return test_main(s);
}
