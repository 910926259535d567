/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference kernels against tests/golden/arithmetic_vectors.txt, which another implementation
 * made from docs/arithmetic.md: results, types, intervals, memory, canonical bytes of graphs,
 * digests of the graphs of whole models, sampled tokens and their costs.
 */
#include "arch/arch.h"
#include "base/philox.h"
#include "op/element.h"
#include "sample/lg2.h"
#include "sample/sampler.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>

#define MAX_LINE 512
#define MAX_WORDS 64
#define NAME 24

/* ---- the file: one line in words ---- */

struct lines {
    FILE *file;
    char text[MAX_LINE];
    char *word[MAX_WORDS];
    size_t n, number;
};

static void lines_open(struct lines *in)
{
    memset(in, 0, sizeof(*in));
    in->file = test_data_open("golden/arithmetic_vectors.txt");
}

/* The next line that is not a comment; false at the end of the file. */
static bool lines_next(struct lines *in)
{
    do {
        char *save = NULL;

        if (!fgets(in->text, sizeof(in->text), in->file)) {
            fclose(in->file);
            return false;
        }
        in->number++;
        in->n = 0;
        if (in->text[0] != '#')
            for (char *w = strtok_r(in->text, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
                ck_assert_msg(in->n < MAX_WORDS, "line %zu: too many words", in->number);
                in->word[in->n++] = w;
            }
    } while (!in->n);
    return true;
}

static bool line_is(const struct lines *in, const char *word) { return !strcmp(in->word[0], word); }

/* Word i as a number; from 2^63 on it stands for the same 64 bits. */
static int64_t number(const struct lines *in, size_t i)
{
    const char *w = i < in->n ? in->word[i] : "";
    char *end = NULL;
    const int64_t v = *w == '-' ? strtoll(w, &end, 10) : (int64_t)strtoull(w, &end, 10);

    ck_assert_msg(*w && !*end, "line %zu: word %zu is no number", in->number, i);
    return v;
}

static uint32_t dtype_of(const struct lines *in, const char *name)
{
    for (uint32_t d = MBI_TERNARY; d <= MBI_I64; d++)
        if (!strcmp(mbi_dtype_name(d), name))
            return d;
    ck_abort_msg("line %zu: '%s' is no type", in->number, name);
    return 0;
}

static uint32_t op_of(const struct lines *in, const char *name)
{
    for (uint32_t op = 1; op < mbi_op_count; op++)
        if (!strcmp(mbi_op_table[op].name, name))
            return op;
    ck_abort_msg("line %zu: '%s' is no operation", in->number, name);
    return 0;
}

/* DTYPE FRAC ROWS COLS LO HI from word `at` on. */
static struct mbi_type type_at(const struct lines *in, size_t at)
{
    return (struct mbi_type){dtype_of(in, in->word[at]),   (int32_t)number(in, at + 1),
                             (uint32_t)number(in, at + 2), (uint32_t)number(in, at + 3),
                             number(in, at + 4),           number(in, at + 5)};
}

static void check_type(const struct mbi_type *got, const struct mbi_type *want, size_t line)
{
    ck_assert_msg(got->dtype == want->dtype && got->frac == want->frac && got->rows == want->rows &&
                      got->cols == want->cols && got->lo == want->lo && got->hi == want->hi,
                  "line %zu: inference gives %s Q%d %u x %u [%lld, %lld]", line,
                  mbi_dtype_name(got->dtype), got->frac, got->rows, got->cols, (long long)got->lo,
                  (long long)got->hi);
}

/* ---- one case ---- */

struct numbers {
    int64_t *v;
    size_t n;
};

struct part {
    struct mbi_type type; /* of an input or the output */
    bool is_param;
    struct mbi_state_field field; /* of the memory */
    char name[NAME];
    struct numbers data;
};

struct golden_case {
    uint32_t op;
    size_t lanes, line, n_in, n_before, n_after;
    uint64_t pos;
    int32_t attr[MBI_MAX_ATTR];
    struct part in[MBI_MAX_IN], out;
    struct part before[MBI_MAX_STATE_FIELDS], after[MBI_MAX_STATE_FIELDS];
};

static void add_numbers(struct numbers *to, const struct lines *in)
{
    to->v = realloc(to->v, (to->n + in->n) * sizeof(*to->v));
    ck_assert_ptr_nonnull(to->v);
    for (size_t i = 1; i < in->n; i++)
        to->v[to->n++] = number(in, i);
}

static void read_field(struct part *p, const struct lines *in)
{
    snprintf(p->name, sizeof(p->name), "%s", in->word[1]);
    p->field = (struct mbi_state_field){NULL, dtype_of(in, in->word[2]), (size_t)number(in, 3),
                                        number(in, 4), number(in, 5)};
}

/* Reads up to `end`. */
static void read_case(struct golden_case *c, struct lines *in)
{
    struct part *at = NULL;

    memset(c, 0, sizeof(*c));
    c->line = in->number;
    c->op = op_of(in, in->word[1]);
    c->lanes = (size_t)number(in, 2);
    c->pos = (uint64_t)number(in, 3);
    while (lines_next(in) && !line_is(in, "end")) {
        if (line_is(in, "data")) {
            ck_assert_ptr_nonnull(at);
            add_numbers(&at->data, in);
        } else if (line_is(in, "attr")) {
            ck_assert_uint_le(in->n - 1, MBI_MAX_ATTR);
            for (size_t i = 1; i < in->n; i++)
                c->attr[i - 1] = (int32_t)number(in, i);
        } else if (line_is(in, "value") || line_is(in, "param")) {
            ck_assert_uint_lt(c->n_in, MBI_MAX_IN);
            at = &c->in[c->n_in++];
            at->type = type_at(in, 1);
            at->is_param = line_is(in, "param");
        } else if (line_is(in, "out")) {
            at = &c->out;
            at->type = type_at(in, 1);
        } else if (line_is(in, "before") || line_is(in, "after")) {
            size_t *n = line_is(in, "before") ? &c->n_before : &c->n_after;

            ck_assert_uint_lt(*n, MBI_MAX_STATE_FIELDS);
            at = (line_is(in, "before") ? c->before : c->after) + (*n)++;
            read_field(at, in);
        } else {
            ck_abort_msg("line %zu: '%s'?", in->number, in->word[0]);
        }
    }
}

static void free_case(struct golden_case *c)
{
    for (size_t k = 0; k < MBI_MAX_IN; k++)
        free(c->in[k].data.v);
    free(c->out.data.v);
    for (size_t k = 0; k < MBI_MAX_STATE_FIELDS; k++) {
        free(c->before[k].data.v);
        free(c->after[k].data.v);
    }
}

/* Numbers as the elements of a type, in a block of exactly their size. */
static void *elements(const struct numbers *data, uint32_t dtype)
{
    void *block = calloc(data->n + 1, mbi_dtype_size(dtype));

    ck_assert_ptr_nonnull(block);
    for (size_t i = 0; i < data->n; i++)
        mbi_put(block, dtype, i, data->v[i]);
    return block;
}

static void *ternary_rows(const struct numbers *data, const struct mbi_type *t)
{
    const size_t size = mbi_type_row_size(t);
    uint8_t *block = malloc(size * t->rows);

    ck_assert_ptr_nonnull(block);
    memset(block, 0x55, size * t->rows); /* the padding is 1 */
    for (size_t i = 0; i < data->n; i++) {
        const size_t k = i % t->cols;
        uint8_t *byte = block + i / t->cols * size + k / 4;

        *byte =
            (uint8_t)((*byte & ~(3u << 2 * (k % 4))) | (unsigned)(data->v[i] + 1) << 2 * (k % 4));
    }
    return block;
}

static void check_elements(const void *got, uint32_t dtype, const struct numbers *want,
                           const struct golden_case *c, const char *what)
{
    for (size_t i = 0; i < want->n; i++)
        ck_assert_msg(mbi_get(got, dtype, i) == want->v[i], "line %zu, %s %s [%zu]: %lld, not %lld",
                      c->line, mbi_op_table[c->op].name, what, i, (long long)mbi_get(got, dtype, i),
                      (long long)want->v[i]);
}

/* A case with its arguments in place. */
struct bench {
    const struct mbi_op_def *def;
    struct mbi_op_args args;
    struct mbi_state_field field[MBI_MAX_STATE_FIELDS];
    size_t n_fields;
};

static void set_up(struct bench *b, const struct golden_case *c)
{
    struct mbi_infer q = {.attr = c->attr};
    struct mbi_type out;
    mambaint_error err = {0, ""};

    memset(b, 0, sizeof(*b));
    b->def = mbi_op_table[c->op].def;
    ck_assert_uint_eq(c->n_in, mbi_op_table[c->op].n_in);
    for (size_t k = 0; k < c->n_in; k++) {
        const struct part *p = &c->in[k];

        ck_assert_uint_eq(p->data.n, (p->is_param ? p->type.rows : c->lanes) * p->type.cols);
        q.in[k] = b->args.in_type[k] = &p->type;
        q.in_is_param[k] = b->args.in_is_param[k] = p->is_param;
        b->args.in[k] = p->type.dtype == MBI_TERNARY ? ternary_rows(&p->data, &p->type)
                                                     : elements(&p->data, p->type.dtype);
    }
    q.out = &out;
    q.err = &err;
    ck_assert_msg(b->def->infer(&q) == MAMBAINT_OK, "line %zu: %s", c->line, err.message);
    check_type(&out, &c->out.type, c->line);
    ck_assert_uint_eq(c->out.data.n, c->lanes * out.cols);
    b->args.out_type = &c->out.type;
    b->args.out = calloc(c->out.data.n, mbi_dtype_size(out.dtype));
    b->args.attr = c->attr;
    b->n_fields = b->def->state ? b->def->state(b->field, q.in, c->attr) : 0;
    ck_assert_uint_eq(b->n_fields, c->n_after);
    for (size_t k = 0; k < b->n_fields; k++) {
        const struct mbi_state_field *got = &b->field[k], *want = &c->after[k].field;

        ck_assert_str_eq(got->name, c->after[k].name);
        ck_assert_msg(got->dtype == want->dtype && got->count == want->count &&
                          got->lo == want->lo && got->hi == want->hi &&
                          got->count == c->after[k].data.n,
                      "line %zu: the memory '%s' differs", c->line, got->name);
        b->args.state[k] = c->n_before ? elements(&c->before[k].data, got->dtype)
                                       : calloc(got->count + 1, mbi_dtype_size(got->dtype));
    }
}

static void clear(struct bench *b)
{
    for (size_t k = 0; k < MBI_MAX_IN; k++)
        free((void *)(uintptr_t)b->args.in[k]);
    for (size_t k = 0; k < b->n_fields; k++)
        free(b->args.state[k]);
    free(b->args.out);
}

/* Lanes [t, t + n) in one go, their units from the last to the first. */
static void run_lanes(const struct bench *b, const struct golden_case *c, size_t t, size_t n)
{
    struct mbi_op_args a = b->args;

    for (size_t k = 0; k < c->n_in; k++)
        if (!a.in_is_param[k])
            a.in[k] = (const char *)a.in[k] + t * mbi_type_row_size(a.in_type[k]);
    a.out = (char *)a.out + t * mbi_type_row_size(a.out_type);
    a.lanes = n;
    a.pos = c->pos + t;
    for (size_t unit = b->def->units(&a); unit-- > 0;) {
        a.begin = unit;
        a.end = unit + 1;
        b->def->eval(&a);
    }
    if (b->def->finish)
        b->def->finish(&a);
}

static void check_state(const struct bench *b, const struct golden_case *c)
{
    for (size_t k = 0; k < b->n_fields; k++)
        check_elements(b->args.state[k], b->field[k].dtype, &c->after[k].data, c, c->after[k].name);
    if (b->def->state_valid)
        ck_assert(b->def->state_valid(b->args.state, c->attr, c->pos + c->lanes));
}

/* All lanes at once, one at a time, and cut in two: the same integers, the same memory. */
static void check_case(const struct golden_case *c)
{
    const size_t cut[] = {c->lanes, 1, c->lanes / 2 + 1};

    for (size_t i = 0; i < MBI_COUNT(cut); i++) {
        struct bench b;

        set_up(&b, c);
        if (b.def->state_valid)
            ck_assert(b.def->state_valid(b.args.state, c->attr, c->pos));
        for (size_t t = 0; t < c->lanes; t += cut[i])
            run_lanes(&b, c, t, mbi_min_size(cut[i], c->lanes - t));
        check_elements(b.args.out, c->out.type.dtype, &c->out.data, c, "out");
        check_state(&b, c);
        clear(&b);
    }
}

START_TEST(kernels_equal_the_other_implementation)
{
    struct lines in;
    size_t n = 0;

    lines_open(&in);
    while (lines_next(&in))
        if (line_is(&in, "case")) {
            struct golden_case c;

            read_case(&c, &in);
            if (c.op == (uint32_t)_i) {
                check_case(&c);
                n++;
            }
            free_case(&c);
        }
    ck_assert_msg(n > 0, "no case of operation %s", mbi_op_table[_i].name);
}
END_TEST

/* ---- primitive functions ---- */

static int64_t call(const char *name, const int64_t *a)
{
#define IS(text) (!strcmp(name, text))
    return IS("rsh")            ? mbi_rshift_half_up(a[0], (int)a[1])
           : IS("sat")          ? mbi_sat(a[0], (int)a[1])
           : IS("mulr")         ? mbi_mulr((int32_t)a[0], (int32_t)a[1])
           : IS("bitlen")       ? mbi_bitlen((uint64_t)a[0])
           : IS("isqrt")        ? (int64_t)mbi_isqrt((uint64_t)a[0])
           : IS("squareplus")   ? mbi_squareplus(a[0], (int)a[1])
           : IS("sigmoid")      ? mbi_sigmoid((int32_t)a[0])
           : IS("ex2")          ? (int64_t)mbi_ex2((uint32_t)a[0])
           : IS("ex2w")         ? (int64_t)mbi_ex2w((uint32_t)a[0])
           : IS("ell")          ? (int64_t)mbi_ell((int32_t)a[0])
           : IS("input_weight") ? (int64_t)mbi_input_weight((uint32_t)a[0])
           : IS("philox")       ? (int64_t)mbi_philox_u64((uint64_t)a[0], (uint64_t)a[1])
           : IS("lg2")          ? mbi_lg2((uint64_t)a[0])
           : IS("shear_t")      ? mbi_shear_t((int32_t)a[0])
           : IS("shear_s")      ? mbi_shear_s((int32_t)a[0])
                                : INT64_MIN; /* no function gives this */
#undef IS
}

START_TEST(functions_equal_the_other_implementation)
{
    struct lines in;
    size_t n = 0;

    lines_open(&in);
    while (lines_next(&in))
        if (line_is(&in, "fn")) {
            int64_t arg[2] = {0, 0}, got;

            for (size_t i = 2; i + 2 < in.n; i++) {
                ck_assert_uint_lt(i, 4);
                arg[i - 2] = number(&in, i);
            }
            got = call(in.word[1], arg);
            ck_assert_msg(got == number(&in, in.n - 1), "line %zu: %s gives %lld", in.number,
                          in.word[1], (long long)got);
            n++;
        }
    ck_assert_uint_gt(n, 0);
}
END_TEST

/* ---- graphs ---- */

static void add_node(struct mbi_build *b, const struct lines *in)
{
    mbi_ref ref[MBI_MAX_IN] = {0};
    int32_t attr[MBI_MAX_ATTR] = {0};
    const uint32_t op = op_of(in, in->word[1]);
    const size_t n = (size_t)number(in, 2);

    ck_assert_uint_eq(n, mbi_op_table[op].n_in);
    ck_assert_uint_eq(in->n, 3 + n + mbi_op_table[op].def->n_attr);
    for (size_t i = 0; i < n; i++)
        ref[i] = (mbi_ref)number(in, 3 + i);
    for (size_t i = 3 + n; i < in->n; i++)
        attr[i - 3 - n] = (int32_t)number(in, i);
    mbi_build_node(b, op, "golden", ref, attr);
}

static void add_parameter(struct mbi_build *b, const struct lines *in)
{
    struct mbi_param p = {.type = type_at(in, 2), .exponent = MBI_NONE, .scale = MBI_NONE};

    snprintf(p.name, sizeof(p.name), "%s", in->word[1]);
    mbi_build_param(b, &p);
}

/* Builds the graph of the file and compares its canonical bytes and its digest. */
static void check_graph(struct lines *in, const struct mbi_host *host)
{
    char got[MAX_LINE], want[MAX_LINE];
    mambaint_error err = {0, ""};
    struct mbi_graph *g;
    struct mbi_build b;
    struct mbi_buf bytes;
    size_t at = 0;

    ck_assert_int_eq(mbi_graph_create(&g, host, &err), MAMBAINT_OK);
    mbi_build_begin(&b, g, &err);
    mbi_buf_init(&bytes, host);
    while (lines_next(in) && !line_is(in, "end")) {
        if (line_is(in, "token")) {
            mbi_build_token(&b, (uint32_t)number(in, 1));
        } else if (line_is(in, "parameter")) {
            add_parameter(&b, in);
        } else if (line_is(in, "node")) {
            add_node(&b, in);
        } else if (line_is(in, "outputs")) {
            mbi_build_end(&b, (mbi_ref)number(in, 1), (mbi_ref)number(in, 2));
            mbi_graph_canonical(&bytes, g);
        } else { /* hex or digest: the same digits from the same place */
            const bool digest = line_is(in, "digest");

            ck_assert(digest || line_is(in, "hex"));
            snprintf(want, sizeof(want), "%s", in->word[1]);
            ck_assert_uint_le(at + strlen(want) / 2, digest ? at + MBI_DIGEST_SIZE : bytes.size);
            mbi_hex(got, digest ? g->digest : bytes.data + at, strlen(want) / 2);
            ck_assert_msg(!strcmp(got, want), "line %zu: %s", in->number, got);
            at += digest ? 0 : strlen(want) / 2;
        }
        ck_assert_msg(b.status == MAMBAINT_OK, "line %zu: %s", in->number, err.message);
    }
    ck_assert_uint_gt(at, 0);
    ck_assert_uint_eq(at, bytes.size);
    mbi_buf_free(&bytes);
    mbi_graph_free(g);
}

START_TEST(canonical_bytes_equal_the_other_implementation)
{
    struct test_host t;
    struct lines in;
    size_t n = 0;

    test_host_init(&t);
    lines_open(&in);
    while (lines_next(&in))
        if (line_is(&in, "graph")) {
            check_graph(&in, &t.host);
            n++;
        }
    ck_assert_uint_gt(n, 0);
    test_host_check(&t);
}
END_TEST

/* Options up to `end`, then the graph they ask for. */
static void check_model(struct lines *in, const struct mbi_host *host)
{
    char got[2 * MBI_DIGEST_SIZE + 1], want[2 * MBI_DIGEST_SIZE + 1];
    const uint32_t nodes = (uint32_t)number(in, 2);
    const size_t line = in->number;
    mambaint_error err = {0, ""};
    struct mbi_config config;
    struct mbi_graph *g;

    snprintf(want, sizeof(want), "%s", in->word[3]);
    mbi_config_init(&config, mbi_arch_find(in->word[1]));
    while (lines_next(in) && !line_is(in, "end")) {
        bool known = false;

        mbi_config_set(&config, in->word[1], in->word[2], &known, &err);
        ck_assert_msg(known && !err.code, "line %zu: %s", in->number, err.message);
    }
    ck_assert_msg(config.arch->resolve(&config, true, &err) == MAMBAINT_OK, "%s", err.message);
    ck_assert_msg(mbi_arch_graph(&g, host, &config, &err) == MAMBAINT_OK, "%s", err.message);
    mbi_hex(got, g->digest, MBI_DIGEST_SIZE);
    ck_assert_msg(g->n_nodes == nodes && !strcmp(got, want), "line %zu: %u nodes, digest %s", line,
                  g->n_nodes, got);
    mbi_graph_free(g);
}

START_TEST(models_have_the_graphs_of_the_other_implementation)
{
    struct test_host t;
    struct lines in;
    size_t n = 0;

    test_host_init(&t);
    lines_open(&in);
    while (lines_next(&in))
        if (line_is(&in, "model")) {
            check_model(&in, &t.host);
            n++;
        }
    ck_assert_uint_gt(n, 0);
    test_host_check(&t);
}
END_TEST

/* ---- sampling and evaluation ---- */

struct choice {
    struct numbers logits, recent;
    int32_t *z, *id;
};

/* Logits and recent ids up to `end`. */
static void read_choice(struct choice *c, struct lines *in)
{
    memset(c, 0, sizeof(*c));
    while (lines_next(in) && !line_is(in, "end")) {
        ck_assert(line_is(in, "logits") || line_is(in, "recent"));
        add_numbers(line_is(in, "logits") ? &c->logits : &c->recent, in);
    }
    c->z = elements(&c->logits, MBI_I32);
    c->id = elements(&c->recent, MBI_I32);
}

static void free_choice(struct choice *c)
{
    free(c->logits.v);
    free(c->recent.v);
    free(c->z);
    free(c->id);
}

static int32_t sample(const struct choice *c, const struct mbi_sampler *set, uint64_t pos)
{
    int32_t *work = calloc(c->logits.n, sizeof(*work));
    int32_t id;

    ck_assert_ptr_nonnull(work);
    id = mbi_sample(set, work, c->z, c->logits.n, c->id, c->recent.n, pos);
    free(work);
    return id;
}

START_TEST(choices_and_costs_equal_the_other_implementation)
{
    struct lines in;
    size_t n = 0;

    lines_open(&in);
    while (lines_next(&in))
        if (line_is(&in, "sample") || line_is(&in, "cost")) {
            const bool is_cost = line_is(&in, "cost");
            const int64_t a = number(&in, 1), want = number(&in, in.n - 1);
            struct mbi_sampler set = {(uint64_t)a, 0, 0, 0, 0, 0};
            const size_t line = in.number;
            uint64_t pos = 0;
            struct choice c;
            int64_t got;

            if (!is_cost) {
                set.temperature = (uint32_t)number(&in, 2);
                set.top_k = (uint32_t)number(&in, 3);
                set.top_p = (uint32_t)number(&in, 4);
                set.min_p = (uint32_t)number(&in, 5);
                set.repeat_penalty = (int32_t)number(&in, 6);
                pos = (uint64_t)number(&in, 7);
            }
            read_choice(&c, &in);
            got = is_cost ? mbi_token_cost(c.z, c.logits.n, (int32_t)a) : sample(&c, &set, pos);
            ck_assert_msg(got == want, "line %zu: %lld", line, (long long)got);
            free_choice(&c);
            n++;
        }
    ck_assert_uint_gt(n, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden_ops");
    TCase *tc = tcase_create("vectors");

    tcase_add_loop_test(tc, kernels_equal_the_other_implementation, 1, (int)mbi_op_count);
    tcase_add_test(tc, functions_equal_the_other_implementation);
    tcase_add_test(tc, canonical_bytes_equal_the_other_implementation);
    tcase_add_test(tc, models_have_the_graphs_of_the_other_implementation);
    tcase_add_test(tc, choices_and_costs_equal_the_other_implementation);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}
