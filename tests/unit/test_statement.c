/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof/statement.h: statements as bytes, and back. */
#include "base/intmath.h"
#include "proof/roots.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>

static uint8_t *copy_of(const void *data, size_t n)
{
    uint8_t *copy = malloc(n + !n); /* a read behind its end is seen */

    test_that(copy);
    if (n)
        memcpy(copy, data, n);
    return copy;
}

static void random_models(struct mbi_statement_models *m, struct test_random *r)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

    memset(m, 0, sizeof(*m));
    if (test_random_below(r, 3) == 0) {
        m->roots.n = 1u << test_random_below(r, 13);
        m->roots.openings = 1u << test_random_below(r, 13);
        for (size_t i = 0; i < MBI_COUNT(m->roots.value) && m->roots.n > 1; i++)
            m->roots.value[i] = test_random_below(r, MBI_FIELD_P);
    }
    m->n = 1 + (uint32_t)test_random_below(r, MBI_STATEMENT_MODELS);
    test_random_bytes(r, m->weights, sizeof(m->weights));
    for (uint32_t i = 0; i < m->n; i++) {
        struct mbi_statement_model *model = &m->model[i];
        const size_t length = 1 + (size_t)test_random_below(r, MBI_STATEMENT_NAME);

        for (size_t k = 0; k < length; k++)
            model->name[k] = letters[test_random_below(r, sizeof(letters) - 1)];
        model->n_values = (uint32_t)test_random_below(r, MBI_STATEMENT_VALUES + 1);
        for (uint32_t k = 0; k < model->n_values; k++)
            model->value[k] = (uint32_t)test_random_u64(r);
        test_random_bytes(r, model->graph, sizeof(model->graph));
        if ((model->has_public = test_random_below(r, 2)))
            test_random_bytes(r, model->parameters, sizeof(model->parameters));
    }
}

static const uint8_t noise[4 * 64] = {1, 2, 3, 255, 128, 7};

static const uint8_t many[4 * (MBI_STATEMENT_LANES + 1)] = {7, 0, 0, 0, 255, 255, 255, 255};

static void random_tokens(struct mbi_statement *s, struct test_random *r)
{
    const uint64_t most = test_random_below(r, 8) ? 64 : MBI_STATEMENT_LANES;

    s->models.n = 1;
    memset(&s->models.model[1], 0, sizeof(s->models.model) - sizeof(s->models.model[0]));
    s->lanes = 1 + (uint32_t)test_random_below(r, most);
    s->input_kind = s->output_kind = MBI_STATEMENT_TOKENS;
    s->n_inputs = s->lanes + 1;
    s->n_outputs = 1 + (uint32_t)test_random_below(r, s->lanes);
    s->input = many;
    if (mbi_statement_is_hidden(&s->models))
        return;
    if (test_random_below(r, 2)) {
        s->t0 = 1 + test_random_below(r, MBI_STATEMENT_T0 - 1);
        s->boundary[MBI_BEFORE] = noise;
    }
    if (test_random_below(r, 2)) {
        s->n_outputs -= test_random_below(r, 2) ? s->n_outputs : 0;
        s->boundary[MBI_BEHIND] = noise + 1;
    }
}

static void random_statement(struct mbi_statement *s, enum mbi_proof_type type,
                             struct test_random *r)
{
    memset(s, 0, sizeof(*s));
    random_models(&s->models, r);
    if (type == MBI_PROOF_CERTIFICATE)
        return;
    if (type == MBI_PROOF_RUN && test_random_below(r, 2)) {
        random_tokens(s, r);
        return;
    }
    s->lanes = 1 + (uint32_t)test_random_below(r, MBI_STATEMENT_LANES);
    s->input_kind = s->output_kind = MBI_STATEMENT_CLEAR;
    s->n_inputs = 1 + (uint32_t)test_random_below(r, 64);
    s->n_outputs = 1 + (uint32_t)test_random_below(r, 64);
    s->input = s->output = noise;
    if (type == MBI_PROOF_CHAIN) {
        memset(&s->models.roots, 0, sizeof(s->models.roots));
        if (s->models.n == 1)
            s->models.model[s->models.n++] = s->models.model[0];
    }
    if (type == MBI_PROOF_CHAIN || mbi_statement_is_hidden(&s->models) || !test_random_below(r, 2))
        return;
    if (test_random_below(r, 2)) {
        s->input_kind = MBI_STATEMENT_LINKED;
        s->boundary[MBI_BEFORE] = noise + 1;
    }
    if (test_random_below(r, 2)) {
        s->output_kind = MBI_STATEMENT_LINKED;
        s->boundary[MBI_BEHIND] = noise;
    }
}

static bool same_root(const uint8_t *a, const uint8_t *b)
{
    return a && b ? !memcmp(a, b, MBI_DIGEST_SIZE) : a == b;
}

static bool same_statement(const struct mbi_statement *a, const struct mbi_statement *b)
{
    return !memcmp(&a->models, &b->models, sizeof(a->models)) && a->t0 == b->t0 &&
           a->lanes == b->lanes && a->input_kind == b->input_kind &&
           a->output_kind == b->output_kind && a->n_inputs == b->n_inputs &&
           a->n_outputs == b->n_outputs &&
           same_root(a->boundary[MBI_BEFORE], b->boundary[MBI_BEFORE]) &&
           same_root(a->boundary[MBI_BEHIND], b->boundary[MBI_BEHIND]) &&
           (!a->n_inputs || a->input_kind == MBI_STATEMENT_LINKED ||
            !memcmp(a->input, b->input,
                    a->n_inputs * (a->input_kind == MBI_STATEMENT_TOKENS ? 4 : 1))) &&
           (!a->n_outputs || a->output_kind == MBI_STATEMENT_TOKENS ||
            a->output_kind == MBI_STATEMENT_LINKED ||
            !memcmp(a->output, b->output, 4 * (size_t)a->n_outputs));
}

static const char *get_as(struct mbi_statement *s, enum mbi_proof_type type, bool hidden,
                          const void *data, size_t n)
{
    uint8_t *copy = copy_of(data, n);
    struct mbi_reader r = {.data = copy, .size = n};
    const char *fault = mbi_statement_get(s, type, hidden, &r);

    if (fault)
        ck_assert_uint_gt(strlen(fault), 5);
    free(copy);
    return fault;
}

static const char *get(struct mbi_statement *s, enum mbi_proof_type type, const void *data,
                       size_t n)
{
    return get_as(s, type, false, data, n);
}

START_TEST(statements_are_read_as_they_were_written)
{
    struct test_random r;
    struct mbi_host host;

    test_random_init(&r, "statements_are_read_as_they_were_written");
    mbi_host_default(&host);
    for (int round = 0; round < 400; round++) {
        const enum mbi_proof_type type = round % 4 > 1   ? MBI_PROOF_RUN
                                         : round % 4 > 0 ? MBI_PROOF_CHAIN
                                                         : MBI_PROOF_CERTIFICATE;
        struct mbi_statement s, back;
        struct mbi_reader in;
        struct mbi_buf b;
        bool hidden;

        random_statement(&s, type, &r);
        mbi_buf_init(&b, &host);
        mbi_statement_put(&b, &s);
        in = (struct mbi_reader){.data = b.data, .size = b.size};
        hidden = mbi_statement_is_hidden(&s.models);
        ck_assert_ptr_null(mbi_statement_get(&back, type, hidden, &in));
        test_that(same_statement(&s, &back));
        test_that(get_as(&back,
                         type == MBI_PROOF_CERTIFICATE ? MBI_PROOF_RUN : MBI_PROOF_CERTIFICATE,
                         hidden, b.data, b.size));
        if (type == MBI_PROOF_RUN &&
            (hidden || s.boundary[MBI_BEFORE] || s.boundary[MBI_BEHIND] || s.models.n == 1))
            test_that(get_as(&back, MBI_PROOF_CHAIN, hidden, b.data, b.size));
        for (size_t n = 0; n < b.size; n += 1 + (size_t)test_random_below(&r, 1 + n / 256))
            test_check(get_as(&back, type, hidden, b.data, n), "%zu of %zu bytes are enough", n,
                       b.size);
        mbi_buf_add8(&b, 0);
        test_that(get_as(&back, type, hidden, b.data, b.size));
        mbi_buf_free(&b);
    }
}
END_TEST

/* A word of a statement, and what is said of it. */
struct field_case {
    size_t at;
    uint32_t value;
    const char *says;
};

static void check_cases(const struct field_case *c, size_t n, bool hidden,
                        const struct mbi_buf *honest)
{
    struct mbi_statement s;

    for (size_t i = 0; i < n; i++) {
        uint8_t *data = copy_of(honest->data, honest->size);
        const char *fault;

        mbi_store32(data + c[i].at, c[i].value);
        fault = get_as(&s, MBI_PROOF_RUN, hidden, data, honest->size);
        test_check(fault && strstr(fault, c[i].says), "byte %zu as %u: %s", c[i].at, c[i].value,
                   fault ? fault : "accepted");
        free(data);
    }
}

/* Features: one field at a time outside its range; where the fields lie, for one model "ab" with
 * one value: 0 models, 4 length, 8 name, 10 values, 14 value, 18 graph, 50 weights, 82 t0, 90
 * lanes, 94 kind, 98 count, 102 one feature, 103 kind, 107 count, 111 one output. */
START_TEST(fields_out_of_range_are_refused)
{
    static const struct field_case cases[] = {
        {0, 0, "number of models"},
        {0, 17, "number of models"},
        {0, 2, "name"},
        {0, UINT32_MAX, "number of models"},
        {4, 0, "name"},
        {4, 65, "name"},
        {4, UINT32_MAX, "name"},
        {10, 25, "24"},
        {10, UINT32_MAX, "24"},
        {10, 1 | 2 << 16, "marks"},
        {10, 1 | 0x8000u << 16, "marks"},
        {10, 1 | 1 << 16, ""}, /* all that follows is 32 bytes further on */
        {82, 1, "position"},
        {86, 1, "position"},
        {90, 0, "steps"},
        {90, 4097, "4096 steps"},
        {90, MBI_STATEMENT_STEPS + 1, "steps"},
        {90, UINT32_MAX, "steps"},
        {94, 0, "kind"},
        {94, 3, "early"}, /* and the root of a boundary */
        {94, 4, "early"}, /* and the root of what is handed on */
        {94, 5, "kind"},
        {94, UINT32_MAX, "kind"},
        {94, 2, "kind"}, /* whose value takes four bytes */
        {98, 0, "no values"},
        {98, 1000, "more values"},
        {98, UINT32_MAX, "more values"},
        {103, 0, "kind"},
        {103, 2, "go with"},
        {103, 3, "early"},
        {103, 4, "early"},
        {103, 5, "kind"},
        {107, 0, "no values"},
        {107, 2, "more values"},
        {107, UINT32_MAX, "more values"},
        {107, 0x40000000, "more values"},
    };
    struct mbi_statement s = {.models = {.n = 1, .model = {{.name = "ab", .n_values = 1}}},
                              .lanes = 1,
                              .input_kind = 1,
                              .output_kind = 1,
                              .n_inputs = 1,
                              .n_outputs = 1,
                              .input = noise,
                              .output = noise};
    struct mbi_statement back;
    struct mbi_host host;
    struct mbi_buf b;

    mbi_host_default(&host);
    mbi_buf_init(&b, &host);
    mbi_statement_put(&b, &s);
    ck_assert_uint_eq(b.size, 115);
    ck_assert_ptr_null(get(&back, MBI_PROOF_RUN, b.data, b.size));
    check_cases(cases, MBI_COUNT(cases), false, &b);
    for (int c = 0; c < 256; c++) {
        const bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';

        b.data[9] = (uint8_t)c;
        test_check(!get(&back, MBI_PROOF_RUN, b.data, b.size) == fine, "a name with byte %d", c);
    }
    mbi_buf_free(&b);
}
END_TEST

/* The same of tokens, for one model "ab" with one value and public parameters: 18 graph, 50
 * parameters, 82 weights, 114 t0, 122 lanes, 126 kind, 130 count, 134 three ids, 146 kind, 150
 * count. */
START_TEST(fields_of_tokens_out_of_range_are_refused)
{
    static const struct field_case cases[] = {
        {0, 2, "name"},
        {10, 1, "position"}, /* no mark: then the rest is read in another place */
        {10, 1 | 3 << 16, "marks"},
        {122, 0, "steps"},
        {122, 1, "one more"},
        {122, 3, "one more"},
        {122, 4096, "one more"},
        {122, 4097, "one more"},
        {122, MBI_STATEMENT_STEPS + 1, "steps"},
        {114, 4, "position 0"},
        {118, 1, "position 0"},
        {120, 1, "position that cannot be"},
        {126, 0, "kind"},
        {126, 1, "kind"}, /* whose values take a byte each */
        {126, 3, "early"},
        {126, 4, "early"},
        {126, 5, "kind"},
        {130, 0, "no values"},
        {130, 2, "kind"}, /* the third id in its place */
        {130, 6, "more values"},
        {130, 0x40000001, "more values"},
        {130, UINT32_MAX, "more values"},
        {146, 0, "kind"},
        {146, 1, "go with"},
        {146, 3, "early"},
        {146, 4, "early"},
        {146, 5, "kind"},
        {150, 0, "no values"},
        {150, 3, "more answered"},
        {150, UINT32_MAX, "more answered"},
    };
    struct mbi_statement s = {
        .models = {.n = 1, .model = {{.name = "ab", .n_values = 1, .has_public = true}}},
        .lanes = 2,
        .input_kind = MBI_STATEMENT_TOKENS,
        .output_kind = MBI_STATEMENT_TOKENS,
        .n_inputs = 3,
        .n_outputs = 1,
        .input = many};
    struct mbi_statement back;
    struct mbi_host host;
    struct mbi_buf b;

    mbi_host_default(&host);
    memset(s.models.model[0].graph, 0xff, MBI_DIGEST_SIZE);
    memset(s.models.model[0].parameters, 0xff, MBI_DIGEST_SIZE);
    memset(s.models.weights, 0xff, MBI_DIGEST_SIZE);
    mbi_buf_init(&b, &host);
    mbi_statement_put(&b, &s);
    ck_assert_uint_eq(b.size, 154);
    ck_assert_uint_eq(mbi_load32(b.data + 10), 0x10001);
    ck_assert_ptr_null(get(&back, MBI_PROOF_RUN, b.data, b.size));
    for (uint32_t n = 1; n <= 2; n++) {
        mbi_store32(b.data + 150, n);
        ck_assert_ptr_null(get(&back, MBI_PROOF_RUN, b.data, b.size));
    }
    check_cases(cases, MBI_COUNT(cases), false, &b);
    b.size = 0;
    s.models.n = 2;
    s.models.model[1] = s.models.model[0];
    mbi_statement_put(&b, &s);
    test_that(strstr(get(&back, MBI_PROOF_RUN, b.data, b.size), "one model"));
    mbi_buf_free(&b);
}
END_TEST

/* The models' part of a model without public parameters is what it was before there were any. */
START_TEST(marks_are_in_the_name)
{
    struct mbi_statement_models m = {.n = 1, .model = {{.name = "ab", .n_values = 1}}}, other;
    uint8_t id[3][MBI_DIGEST_SIZE], want[MBI_DIGEST_SIZE];
    mambaint_error err;
    struct mbi_host host;
    struct mbi_buf b;

    mbi_host_default(&host);
    mbi_buf_init(&b, &host);
    mbi_buf_add_text(&b, "mambaint-model-id");
    mbi_buf_add32(&b, 0);
    for (int i = 0; i < 3; i++) {
        const size_t before = b.size;

        other = m;
        m.model[0].has_public = i > 0;
        m.model[0].parameters[5] = (uint8_t)(i > 1);
        mbi_statement_put_models(&b, &m);
        mbi_blake2b(want, b.data, b.size);
        mbi_statement_model_id(id[i], &m, false);
        ck_assert_mem_eq(id[i], want, sizeof(want));
        b.size = before;
        ck_assert_int_eq(mbi_statement_same_models(&m, false, &m, false, "x", &err), MAMBAINT_OK);
        if (!i)
            continue;
        ck_assert_mem_ne(id[i], id[i - 1], sizeof(want));
        ck_assert_int_eq(mbi_statement_same_models(&m, false, &other, false, "x", &err),
                         MAMBAINT_E_MISMATCH);
        test_that(strstr(err.message, "public parameters of model 1"));
    }
    mbi_buf_free(&b);
}
END_TEST

/* ---- hidden weights ---- */

/* One model "ab" with the value 7, whose graph is 32 bytes of 3. */
static void name_hidden(struct mbi_statement_models *m, uint32_t roots)
{
    *m = (struct mbi_statement_models){
        .n = 1,
        .model = {{.name = "ab", .n_values = 1, .value = {7}}},
        .roots = {.n = roots, .openings = 2, .value = {roots > 1 ? 5 : 0, roots > 1 ? 6 : 0}}};
    memset(m->model[0].graph, 3, sizeof(m->model[0].graph));
}

/* Fields of hidden statements: 50 weights, 82 roots, 86 openings, 90 value, 106 t0. */
START_TEST(hidden_fields_out_of_range_are_refused)
{
    static const struct field_case cases[] = {
        {82, 0, "number of roots"},
        {82, 3, "number of roots"},
        {82, 1, ""}, /* the value is not that of one root */
        {82, 8192, "number of roots"},
        {82, UINT32_MAX, "number of roots"},
        {86, 0, "openings"},
        {86, 3, "openings"},
        {86, 8192, "openings"},
        {86, UINT32_MAX, "openings"},
        {94, UINT32_MAX, "field's prime"}, /* p is 2^64 - 2^32 + 1 */
        {102, UINT32_MAX, "field's prime"},
        {118, 3, "early"},
    };
    struct mbi_statement s = {.lanes = 1,
                              .input_kind = 2,
                              .output_kind = 2,
                              .n_inputs = 2,
                              .n_outputs = 1,
                              .input = many};
    struct mbi_statement back;
    struct mbi_host host;
    struct mbi_buf b;

    mbi_host_default(&host);
    mbi_buf_init(&b, &host);
    name_hidden(&s.models, 4);
    mbi_statement_put(&b, &s);
    ck_assert_uint_eq(b.size, 142);
    ck_assert_ptr_null(get_as(&back, MBI_PROOF_RUN, true, b.data, b.size));
    test_that(!memcmp(&s.models, &back.models, sizeof(s.models)));
    test_that(get(&back, MBI_PROOF_RUN, b.data, b.size));
    check_cases(cases, MBI_COUNT(cases), true, &b);
    b.size = 0; /* of one root there is no value */
    s.boundary[MBI_BEHIND] = NULL;
    name_hidden(&s.models, 1);
    mbi_statement_put(&b, &s);
    ck_assert_uint_eq(b.size, 126);
    ck_assert_ptr_null(get_as(&back, MBI_PROOF_RUN, true, b.data, b.size));
    test_that(!memcmp(&s.models, &back.models, sizeof(s.models)));
    mbi_buf_free(&b);
}
END_TEST

static struct mbi_statement of_features(void)
{
    return (struct mbi_statement){.lanes = 1,
                                  .input_kind = MBI_STATEMENT_CLEAR,
                                  .output_kind = MBI_STATEMENT_CLEAR,
                                  .n_inputs = 2,
                                  .n_outputs = 1,
                                  .input = noise,
                                  .output = noise};
}

/* A link has 80 bytes where a root has 32. Its value is of numbers below p. */
START_TEST(hidden_boundaries_are_links)
{
    uint8_t link[2][MBI_STATEMENT_LINK] = {{1, 2, 3}, {4, 5, 6}};
    struct mbi_statement s = of_features();
    struct mbi_statement back;
    struct mbi_reader r;
    struct mbi_host host;
    struct mbi_buf b;
    size_t clear = 0;

    mbi_host_default(&host);
    mbi_buf_init(&b, &host);
    for (unsigned i = 0; i < 8; i++) { /* hidden, before, behind */
        name_hidden(&s.models, 4);
        if (!(i & 1))
            memset(&s.models.roots, 0, sizeof(s.models.roots));
        s.input_kind = i & 2 ? MBI_STATEMENT_LINKED : MBI_STATEMENT_CLEAR;
        s.boundary[MBI_BEFORE] = i & 2 ? link[0] : NULL;
        s.output_kind = i & 4 ? MBI_STATEMENT_LINKED : MBI_STATEMENT_CLEAR;
        s.boundary[MBI_BEHIND] = i & 4 ? link[1] : NULL;
        b.size = 0;
        mbi_statement_put(&b, &s);
        r = (struct mbi_reader){.data = b.data, .size = b.size}; /* what is read are views of it */
        ck_assert_ptr_null(mbi_statement_get(&back, MBI_PROOF_RUN, i & 1, &r));
        for (int side = 0; side < MBI_SIDES; side++)
            test_that(s.boundary[side] ? !memcmp(back.boundary[side], link[side],
                                                 mbi_statement_boundary_size(&s.models))
                                       : !back.boundary[side]);
        test_that(get_as(&back, MBI_PROOF_RUN, !(i & 1), b.data, b.size));
        clear = i & 1 ? clear : b.size;
        if (i & 1) /* and 24 bytes of the roots */
            ck_assert_uint_eq(b.size, clear + 24 + (i & 2 ? 48 : 0) + (i & 4 ? 48 : 0));
    }
    for (size_t k = 0; k < MBI_STATEMENT_DEGREE; k++) {
        memset(link[1] + 2 * MBI_DIGEST_SIZE + 8 * k, 0xff, 8);
        b.size = 0;
        mbi_statement_put(&b, &s);
        ck_assert_ptr_null(get_as(&back, MBI_PROOF_RUN, true, b.data, b.size) ? NULL : "read");
        memset(link[1] + 2 * MBI_DIGEST_SIZE + 8 * k, 0, 8);
    }
    mbi_buf_free(&b);
}
END_TEST

/* A chain's statement has no roots of its own: each of its proofs has. */
START_TEST(hidden_chains_have_no_roots)
{
    struct mbi_statement s = of_features();
    struct mbi_statement back;
    struct mbi_host host;
    struct mbi_buf b;

    mbi_host_default(&host);
    mbi_buf_init(&b, &host);
    for (uint32_t i = 0; i < 4; i++) { /* roots, openings: 1 or 2 */
        name_hidden(&s.models, 4);
        s.models.model[s.models.n++] = s.models.model[0];
        s.models.roots = (struct mbi_statement_roots){.n = 1 + i % 2, .openings = 1 + i / 2};
        b.size = 0;
        mbi_statement_put(&b, &s);
        ck_assert_ptr_null(get_as(&back, MBI_PROOF_RUN, true, b.data, b.size));
        if (i)
            test_that(strstr(get_as(&back, MBI_PROOF_CHAIN, true, b.data, b.size), "has roots"));
        else
            ck_assert_ptr_null(get_as(&back, MBI_PROOF_CHAIN, true, b.data, b.size));
    }
    mbi_buf_free(&b);
}
END_TEST

/* Head, statement without links, and root: nothing else is in a proof's name. */
START_TEST(names_leave_links_out)
{
    uint8_t link[2][MBI_STATEMENT_LINK] = {{1, 2, 3}, {4, 5, 6}};
    uint8_t name[3][MBI_DIGEST_SIZE], root[MBI_DIGEST_SIZE] = {7}, want[MBI_DIGEST_SIZE];
    struct mbi_statement s = {.lanes = 1,
                              .t0 = 8,
                              .input_kind = MBI_STATEMENT_TOKENS,
                              .output_kind = MBI_STATEMENT_TOKENS,
                              .n_inputs = 2,
                              .n_outputs = 1,
                              .input = many};
    struct mbi_blake2b h;
    struct mbi_host host;
    struct mbi_buf bare, file;

    mbi_host_default(&host);
    mbi_buf_init(&bare, &host);
    mbi_buf_init(&file, &host);
    name_hidden(&s.models, 4);
    s.boundary[MBI_BEFORE] = link[0];
    s.boundary[MBI_BEHIND] = link[1];
    for (size_t i = 0; i < 3; i++) {
        bare.size = 0;
        mbi_proof_file_bare(&bare, MBI_PROOF_RUN, false, &s);
        mbi_proof_file_name(name[i], bare.data, bare.size, root);
        link[i % 2][5] ^= 1;
        root[0] ^= (uint8_t)(i == 1);
    }
    ck_assert_mem_eq(name[0], name[1], MBI_DIGEST_SIZE);
    ck_assert_mem_ne(name[0], name[2], MBI_DIGEST_SIZE);
    mbi_proof_file_begin(&file, MBI_PROOF_RUN, false, &s);
    ck_assert_uint_eq(file.size, bare.size + sizeof(link));
    ck_assert_mem_eq(file.data, bare.data, 16); /* the length is that of the whole */
    ck_assert_uint_eq(mbi_load32(bare.data + 12), file.size - 16);
    mbi_blake2b_init(&h); /* the file, but for 80 bytes before the ids and 80 at its end */
    mbi_blake2b_add(&h, "mambaint-link", 13);
    mbi_blake2b_add(&h, file.data, file.size - sizeof(link) - 8 - 8);
    mbi_blake2b_add(&h, file.data + file.size - sizeof(link[0]) - 8 - 8, 16);
    mbi_blake2b_add(&h, root, sizeof(root));
    mbi_blake2b_end(&h, want);
    ck_assert_mem_eq(want, name[2], sizeof(want));
    mbi_buf_free(&bare);
    mbi_buf_free(&file);
}
END_TEST

static void check_hex(const uint8_t *digest, const char *want)
{
    char hex[2 * MBI_DIGEST_SIZE + 1];

    mbi_hex(hex, digest, MBI_DIGEST_SIZE);
    ck_assert_str_eq(hex, want);
}

/* The weights of the answers below, and what lies behind them; -1 stands for p - 1. */
#define WEIGHTS 21
static int32_t hidden_entry(size_t x)
{
    const int32_t j = (int32_t)x - WEIGHTS;

    return j < 0 ? 7 * (int32_t)(x * x) - 300 : (j % 2 ? -1 : 1) * (1000 * j + 1);
}

/* Answers of tests/golden/verify.py. */
START_TEST(roots_are_those_of_the_text)
{
    static const struct mbi_ext tau[] = {
        {{38397850372713922u, 3217188148054101980u}},
        {{7156746741633556493u, 9148838099703361935u}},
        {{5880286347332554167u, 7691584578750343679u}},
        {{8572835851496156900u, 16419291160938742078u}},
        {{2508320346718489142u, 7964864925282980464u}},
    };
    struct mbi_digest tree[MBI_ROOTS_NODES(4)], root[4];
    const struct mbi_digest *top = &tree[MBI_COUNT(tree) - 1];
    const struct mbi_blur blur = mbi_blur_of(WEIGHTS, 5, 4, MBI_EXT_D);
    int32_t entry[WEIGHTS + 8];
    const struct mbi_table vector = {MBI_TABLE_I32, entry, MBI_COUNT(entry)};
    struct mbi_statement_models m;
    struct mbi_root_claim c;
    struct mbi_claim term[2];
    struct mbi_ext value;
    uint8_t digest[MBI_DIGEST_SIZE];

    ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK);
    for (int i = 0; i < 4; i++)
        memset(&root[i], i + 1, sizeof(root[i]));
    for (size_t x = 0; x < MBI_COUNT(entry); x++)
        entry[x] = hidden_entry(x);
    name_hidden(&m, 1);
    mbi_roots_tree(tree, root, 1);
    mbi_statement_hidden_digest(digest, &m.roots, tree[0].byte);
    check_hex(digest, "77824a91586b57613a639433162e74158e58041908491358e52d0deffa432e88");
    name_hidden(&m, 4);
    mbi_roots_tree(tree, root, 4);
    check_hex(top->byte, "4be75235ba62f227d8a3078f242a833ec3a44d4f0148058ff4c203b75fbe2f23");
    mbi_statement_hidden_digest(m.weights, &m.roots, top->byte);
    check_hex(m.weights, "42682fd02a85ff81e8b46f2666f68b8ff66b32ece506c6d89933fd7bd0e6fc6b");
    mbi_statement_model_id(digest, &m, false);
    check_hex(digest, "65562cf78ec39f9c85f7d351c024de4c640a9abea29a5117bedb18958fe927ed");

    ck_assert_uint_eq(blur.bits, 5);
    ck_assert_uint_eq(blur.entries, 8);
    MBI_EXT(root_claim)(&c, &m, top, &blur);
    ck_assert_mem_eq(c.tau, tau, sizeof(tau));
    value = MBI_EXT(root_value)(&c, &blur, &vector);
    test_that(value.c[0] == 17630460521643678596u && value.c[1] == 11781651029509344583u);
    MBI_EXT(root_claim_terms)(term, &c, 1);
    test_that(c.n_terms == 2 && !term[0].joined && term[1].joined && term[0].vector == 1 &&
              term[0].value.c[0] == 5 && term[0].value.c[1] == 6);
    for (int k = 0; k < 2; k++)
        ck_assert_ptr_null(MBI_EXT(form_fault)(term[k].form));
}
END_TEST

static struct mbi_ext times(struct mbi_ext a, int32_t n)
{
    const struct mbi_ext x = mbi_ext_scale(a, (mbi_fe)(n < 0 ? -n : n));

    return n < 0 ? mbi_ext_neg(x) : x;
}

/* Vectors of more than a block, full or not: the value is what the terms say, entry by entry. */
START_TEST(values_are_sums_over_all_entries)
{
    struct mbi_statement_models m;
    struct mbi_digest top = {{1}};
    struct mbi_root_claim c;
    struct mbi_host host;

    mbi_host_default(&host);
    ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK);
    name_hidden(&m, 8);
    for (uint64_t end = 1; end < 3000; end += 1 + end / 3) {
        const unsigned bits = (unsigned)mbi_bitlen(end - 1);
        const struct mbi_blur b = mbi_blur_of(end, bits, m.roots.n, MBI_EXT_D);
        struct mbi_ext *e = mbi_alloc(&host, (size_t)1 << b.bits, sizeof(*e));
        int16_t *w = mbi_alloc(&host, (size_t)1 << b.bits, sizeof(*w));
        const struct mbi_table vector = {MBI_TABLE_I16, w, (size_t)1 << b.bits};
        struct mbi_mask_seed seed = {{(uint8_t)end}};
        struct mbi_ext sum = mbi_ext_from(0), value;

        test_that(e && w && end + b.entries <= (uint64_t)1 << b.bits && b.bits >= bits);
        MBI_EXT(root_claim)(&c, &m, &top, &b);
        for (uint64_t x = 0; x < end; x++)
            w[x] = (int16_t)(x * x * 31);
        mbi_blur_fill(w + end, &b, &seed);
        MBI_EXT(eq_table)(e, c.tau, b.bits, mbi_ext_from(1));
        for (uint64_t x = 0; x < end; x++)
            sum = mbi_ext_add(sum, times(e[x], w[x]));
        for (unsigned j = 0; j < b.entries; j++) {
            const mbi_fe place = (mbi_fe)1 << 16 * (j % 4);
            struct mbi_ext x = mbi_ext_from(0);

            x.c[j / 4] = place;
            sum = mbi_ext_add(sum, times(x, w[end + j]));
        }
        value = MBI_EXT(root_value)(&c, &b, &vector);
        test_check(!memcmp(&sum, &value, sizeof(sum)), "end %u", (unsigned)end);
        mbi_free(&host, e);
        mbi_free(&host, w);
    }
}
END_TEST

/* A root is one of the tree's, with its number and path, or a fault. */
START_TEST(proofs_begin_with_a_root_of_the_key)
{
    struct mbi_digest *tree, *root;
    struct test_random r;
    struct mbi_host host;

    test_random_init(&r, "proofs_begin_with_a_root_of_the_key");
    mbi_host_default(&host);
    ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK);
    for (uint32_t n = 1; n <= MBI_STATEMENT_ROOTS; n *= n < 8 ? 2 : 8) {
        struct mbi_statement_models m;

        name_hidden(&m, n);
        root = mbi_alloc(&host, n, sizeof(*root));
        tree = mbi_alloc(&host, MBI_ROOTS_NODES(n), sizeof(*tree));
        test_that(root && tree);
        test_random_bytes(&r, root, n * sizeof(*root));
        mbi_roots_tree(tree, root, n);
        mbi_statement_hidden_digest(m.weights, &m.roots, tree[MBI_ROOTS_NODES(n) - 1].byte);
        for (int round = 0; round < 4; round++) {
            const uint32_t number = round == 3 ? n - 1
                                    : round    ? (uint32_t)test_random_below(&r, n)
                                               : 0;
            const enum mbi_proof_type type = round ? MBI_PROOF_RUN : MBI_PROOF_CERTIFICATE;
            struct mbi_proof_reader in;
            struct mbi_proof_writer out;
            struct mbi_root_part part;
            uint8_t *copy;

            mbi_proof_writer_init(&out, &host, "wit");
            mbi_put_root(&out, &root[number], tree, n, number);
            ck_assert_uint_eq(out.bytes.size, mbi_root_size(n));
            mbi_proof_reader_init(&in, out.bytes.data, out.bytes.size, "wit");
            test_that(mbi_get_root(&part, &m, type, &in));
            ck_assert_uint_eq(part.number, number);
            ck_assert_mem_eq(&part.root, &root[number], sizeof(part.root));
            ck_assert_mem_eq(&part.tree, &tree[MBI_ROOTS_NODES(n) - 1], sizeof(part.tree));
            ck_assert_mem_eq(&in.transcript, &out.transcript, sizeof(in.transcript));
            for (size_t at = 0; at <= out.bytes.size; at++) {
                const size_t size = at < out.bytes.size ? out.bytes.size : at - 1;

                copy = copy_of(out.bytes.data, size);
                if (at < out.bytes.size)
                    copy[at] ^= (uint8_t)(1u << at % 8);
                mbi_proof_reader_init(&in, copy, size, "wit");
                test_check(!mbi_get_root(&part, &m, type, &in) && in.fault, "%u roots, byte %zu", n,
                           at);
                free(copy);
            }
            for (int i = 0; i < 5; i++) { /* of another key */
                struct mbi_statement_models other = m;

                other.roots.n *= i == 0 ? 2 : 1;
                other.roots.openings *= i == 1 ? 2 : 1;
                other.roots.value[0] += i == 2;
                other.roots.value[1] += i == 3;
                other.weights[7] ^= i == 4;
                mbi_proof_reader_init(&in, out.bytes.data, out.bytes.size, "wit");
                test_check(mbi_get_root(&part, &other, type, &in) == (n == 1 && (i == 2 || i == 3)),
                           "%u roots, change %d", n, i);
            }
            if (number) { /* of a certificate it has to be the first */
                mbi_proof_reader_init(&in, out.bytes.data, out.bytes.size, "wit");
                test_that(!mbi_get_root(&part, &m, MBI_PROOF_CERTIFICATE, &in) && in.fault);
            }
            mbi_proof_writer_free(&out);
        }
        mbi_free(&host, root);
        mbi_free(&host, tree);
    }
}
END_TEST

/* Each of what names the roots is in the name, and told apart. */
START_TEST(roots_are_in_the_name)
{
    struct mbi_statement_models m, other;
    uint8_t id[2][MBI_DIGEST_SIZE];
    mambaint_error err;

    name_hidden(&m, 4);
    mbi_statement_model_id(id[0], &m, false);
    for (int i = 0; i < 5; i++) {
        other = m;
        other.roots.n = i == 0 ? 8 : i == 4 ? 0 : 4;
        other.roots.openings += i == 1;
        other.roots.value[0] += i == 2;
        other.roots.value[1] += i == 3;
        mbi_statement_model_id(id[1], &other, false);
        ck_assert_mem_ne(id[0], id[1], sizeof(id[0]));
        ck_assert_int_eq(mbi_statement_same_models(&m, false, &other, false, "x", &err),
                         MAMBAINT_E_MISMATCH);
        test_that(strstr(err.message, i == 4 ? "hidden, not committed" : "roots"));
    }
}
END_TEST

/* Any bytes: an answer, and nothing is read beyond the end. */
START_TEST(junk_is_no_statement)
{
    struct test_random r;
    struct mbi_host host;

    test_random_init(&r, "junk_is_no_statement");
    mbi_host_default(&host);
    for (int round = 0; round < 20000; round++) {
        struct mbi_statement s;
        struct mbi_buf b;

        mbi_buf_init(&b, &host);
        random_statement(&s, MBI_PROOF_RUN, &r);
        if (s.input_kind != MBI_STATEMENT_TOKENS)
            s.models.n = 1 + s.models.n / 8;
        mbi_statement_put(&b, &s);
        for (uint64_t k = test_random_below(&r, 4); k-- > 0;)
            b.data[test_random_below(&r, b.size)] = (uint8_t)test_random_u64(&r);
        for (int hidden = 0; hidden < 2; hidden++) {
            get_as(&s, MBI_PROOF_RUN, hidden, b.data, (size_t)test_random_below(&r, b.size + 1));
            get_as(&s, MBI_PROOF_RUN, hidden, b.data, b.size);
        }
        mbi_buf_free(&b);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("statement");
    TCase *t = tcase_create("statement");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, statements_are_read_as_they_were_written);
    tcase_add_test(t, fields_out_of_range_are_refused);
    tcase_add_test(t, fields_of_tokens_out_of_range_are_refused);
    tcase_add_test(t, marks_are_in_the_name);
    tcase_add_test(t, hidden_fields_out_of_range_are_refused);
    tcase_add_test(t, hidden_boundaries_are_links);
    tcase_add_test(t, hidden_chains_have_no_roots);
    tcase_add_test(t, names_leave_links_out);
    tcase_add_test(t, roots_are_those_of_the_text);
    tcase_add_test(t, values_are_sums_over_all_entries);
    tcase_add_test(t, proofs_begin_with_a_root_of_the_key);
    tcase_add_test(t, roots_are_in_the_name);
    tcase_add_test(t, junk_is_no_statement);
    suite_add_tcase(s, t);
    return test_main(s);
}
