/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof/statement.h: statements as bytes, and back. */
#include "base/intmath.h"
#include "proof/statement.h"
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
    }
}

static const uint8_t noise[4 * 64] = {1, 2, 3, 255, 128, 7};

static void random_statement(struct mbi_statement *s, enum mbi_proof_type type,
                             struct test_random *r)
{
    memset(s, 0, sizeof(*s));
    random_models(&s->models, r);
    if (type == MBI_PROOF_CERTIFICATE)
        return;
    s->lanes = 1 + (uint32_t)test_random_below(r, MBI_STATEMENT_LANES);
    s->input_kind = s->output_kind = MBI_STATEMENT_CLEAR;
    s->n_inputs = 1 + (uint32_t)test_random_below(r, 64);
    s->n_outputs = 1 + (uint32_t)test_random_below(r, 64);
    s->input = s->output = noise;
}

static bool same_statement(const struct mbi_statement *a, const struct mbi_statement *b)
{
    return !memcmp(&a->models, &b->models, sizeof(a->models)) && a->t0 == b->t0 &&
           a->lanes == b->lanes && a->input_kind == b->input_kind &&
           a->output_kind == b->output_kind && a->n_inputs == b->n_inputs &&
           a->n_outputs == b->n_outputs &&
           (!a->n_inputs || !memcmp(a->input, b->input, a->n_inputs)) &&
           (!a->n_outputs || !memcmp(a->output, b->output, 4 * (size_t)a->n_outputs));
}

static const char *get(struct mbi_statement *s, enum mbi_proof_type type, const void *data,
                       size_t n)
{
    uint8_t *copy = copy_of(data, n);
    struct mbi_reader r = {.data = copy, .size = n};
    const char *fault = mbi_statement_get(s, type, &r);

    if (fault)
        ck_assert_uint_gt(strlen(fault), 5);
    free(copy);
    return fault;
}

START_TEST(statements_are_read_as_they_were_written)
{
    struct test_random r;
    struct mbi_host host;

    test_random_init(&r, "statements_are_read_as_they_were_written");
    mbi_host_default(&host);
    for (int round = 0; round < 400; round++) {
        const enum mbi_proof_type type = round % 4 ? MBI_PROOF_RUN : MBI_PROOF_CERTIFICATE;
        struct mbi_statement s, back;
        struct mbi_reader in;
        struct mbi_buf b;

        random_statement(&s, type, &r);
        mbi_buf_init(&b, &host);
        mbi_statement_put(&b, &s);
        in = (struct mbi_reader){.data = b.data, .size = b.size};
        ck_assert_ptr_null(mbi_statement_get(&back, type, &in));
        test_that(same_statement(&s, &back));
        test_that(get(&back, type == MBI_PROOF_RUN ? MBI_PROOF_CERTIFICATE : MBI_PROOF_RUN, b.data,
                      b.size));
        for (size_t n = 0; n < b.size; n += 1 + (size_t)test_random_below(&r, 1 + n / 256))
            test_check(get(&back, type, b.data, n), "%zu of %zu bytes are enough", n, b.size);
        mbi_buf_add8(&b, 0);
        test_that(get(&back, type, b.data, b.size));
        mbi_buf_free(&b);
    }
}
END_TEST

/* One field at a time outside its range; where the fields lie, for one model "ab" with one value:
 * 0 models, 4 length, 8 name, 10 values, 14 value, 18 graph, 50 weights, 82 t0, 90 lanes, 94 kind,
 * 98 count, 102 one feature, 103 kind, 107 count, 111 one output. */
START_TEST(fields_out_of_range_are_refused)
{
    static const struct {
        size_t at;
        uint32_t value;
        const char *says;
    } cases[] = {
        {0, 0, "number of models"},
        {0, 17, "number of models"},
        {0, 2, "name"},
        {0, UINT32_MAX, "number of models"},
        {4, 0, "name"},
        {4, 65, "name"},
        {4, UINT32_MAX, "name"},
        {10, 25, "24"},
        {10, UINT32_MAX, "24"},
        {82, 1, "position"},
        {86, 1, "position"},
        {90, 0, "steps"},
        {90, 4097, "steps"},
        {90, UINT32_MAX, "steps"},
        {94, 0, "kind"},
        {94, 2, "kind"},
        {98, 0, "no values"},
        {98, 1000, "more values"},
        {98, UINT32_MAX, "more values"},
        {103, 0, "kind"},
        {103, 2, "kind"},
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
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        uint8_t *data = copy_of(b.data, b.size);
        const char *fault;

        mbi_store32(data + cases[i].at, cases[i].value);
        fault = get(&back, MBI_PROOF_RUN, data, b.size);
        test_check(fault && strstr(fault, cases[i].says), "byte %zu as %u: %s", cases[i].at,
                   cases[i].value, fault ? fault : "accepted");
        free(data);
    }
    for (int c = 0; c < 256; c++) {
        const bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';

        b.data[9] = (uint8_t)c;
        test_check(!get(&back, MBI_PROOF_RUN, b.data, b.size) == fine, "a name with byte %d", c);
    }
    mbi_buf_free(&b);
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
        s.models.n = 1 + s.models.n / 8;
        mbi_statement_put(&b, &s);
        for (uint64_t k = test_random_below(&r, 4); k-- > 0;)
            b.data[test_random_below(&r, b.size)] = (uint8_t)test_random_u64(&r);
        get(&s, MBI_PROOF_RUN, b.data, (size_t)test_random_below(&r, b.size + 1));
        get(&s, MBI_PROOF_RUN, b.data, b.size);
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
    tcase_add_test(t, junk_is_no_statement);
    suite_add_tcase(s, t);
    return test_main(s);
}
