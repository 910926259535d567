/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random graphs of three kinds: operations drawn from the table, their shapes from the cases,
 * joined by slices, repetitions and requants where types do not meet; models, as an architecture
 * makes them of a random configuration; and products with what kernels do in one go behind them, of
 * sizes, shifts and clamps that no case lists.
 */
#include "arch/arch.h"
#include "bitexact.h"

#define MAX_COLS 600
#define MAX_ROWS 400

/* ---- building ---- */

struct maker {
    struct mbi_build b;
    struct mbi_graph *graph;
    struct source *s;
    mambaint_error err;
};

static mbi_ref node1(struct maker *m, uint32_t op, mbi_ref x, const void *attr)
{
    return mbi_build_node(&m->b, op, "test", &x, attr);
}

static mbi_ref node2(struct maker *m, uint32_t op, mbi_ref x, mbi_ref y)
{
    const mbi_ref in[2] = {x, y};

    return mbi_build_node(&m->b, op, "test", in, NULL);
}

static mbi_ref any_value(struct maker *m)
{
    mbi_ref i;

    do
        i = (mbi_ref)source_below(m->s, m->graph->n_nodes);
    while (!is_value(m->graph, i));
    return i;
}

static mbi_ref fit_columns(struct maker *m, mbi_ref x, uint32_t cols)
{
    while (m->b.status == MAMBAINT_OK && mbi_build_type(&m->b, x)->cols < cols)
        x = node2(m, MBI_OP_concat, x, x);
    if (m->b.status == MAMBAINT_OK && mbi_build_type(&m->b, x)->cols > cols) {
        const struct mbi_slice_attr part = {
            (int32_t)source_below(m->s, mbi_build_type(&m->b, x)->cols - cols + 1), (int32_t)cols};

        x = node1(m, MBI_OP_slice, x, &part);
    }
    return x;
}

/* A value of the wanted type from whatever there is. A requant gives the narrowest type, so a
 * wide type with a narrow interval is the sum of two halves. */
static mbi_ref make_value(struct maker *m, const struct mbi_type *t)
{
    mbi_ref x = fit_columns(m, any_value(m), t->cols);
    struct mbi_requant_attr q = {(int32_t)source_below(m->s, 4) - 1, (int32_t)t->lo, (int32_t)t->hi,
                                 t->frac};

    if (mbi_dtype_for(t->lo, t->hi) == t->dtype)
        return node1(m, MBI_OP_requant, x, &q);
    q.lo /= 2;
    q.hi /= 2;
    x = node1(m, MBI_OP_requant, x, &q);
    return node2(m, MBI_OP_add, x, x);
}

static mbi_ref make_param(struct maker *m, const struct mbi_type *t)
{
    struct mbi_param p = {.type = *t, .is_vector = t->rows == 1};

    snprintf(p.name, sizeof(p.name), "p%u", m->graph->n_params);
    return mbi_build_param(&m->b, &p);
}

/* Decays as scan may rely on them, which a type cannot say (0 or at least 32): from a decay. */
static mbi_ref make_decay(struct maker *m, const struct mbi_type *t, int32_t hold)
{
    const struct mbi_type part = {MBI_I16, 8, 1, t->cols, -1800, 900};
    const struct mbi_decay_attr attr = {hold};
    const mbi_ref dt = make_value(m, &part);
    const mbi_ref in[2] = {dt, make_param(m, &part)};

    return mbi_build_node(&m->b, MBI_OP_decay, "test", in, &attr);
}

/* The adapters make i8, i16 and i32 of moderate size. */
static bool case_fits(const struct mbi_op_row *row, const struct mbi_op_case *c)
{
    for (size_t k = 0; k < row->n_in; k++)
        if (c->cols[k] > MAX_COLS || c->rows[k] > MAX_ROWS)
            return false;
    return true;
}

static void add_node(struct maker *m)
{
    const uint32_t op = 1 + (uint32_t)source_below(m->s, mbi_op_count - 1);
    const struct mbi_op_row *row = &mbi_op_table[op];
    const struct mbi_op_case *c = &row->def->cases[source_below(m->s, row->def->n_cases)];
    mbi_ref in[MBI_MAX_IN];

    if (!case_fits(row, c))
        return;
    for (size_t k = 0; k < row->n_in; k++) {
        const struct mbi_type t = case_type(c, k);

        if (op == MBI_OP_scan && k == 2)
            in[k] = make_decay(m, &t, ((const struct mbi_scan_attr *)(const void *)c->attr)->hold);
        else
            in[k] = c->rows[k] ? make_param(m, &t) : make_value(m, &t);
    }
    mbi_build_node(&m->b, op, "test", in, c->attr);
}

/* ---- models: graphs that an architecture makes of a random configuration ---- */

static const char *pick(struct source *s, const char *const *list)
{
    size_t n = 0;

    while (list[n])
        n++;
    return list[source_below(s, n)];
}

/* Sizes on both sides of the vectors' widths; fields not named here keep their fallback. */
static const char *pick_number(struct source *s, const char *flag)
{
    static const char *const sizes[][8] = {
        {"layers", "1", "2", NULL},
        {"d-model", "8", "16", "33", "48", "64", "130", NULL},
        {"heads", "1", "2", "3", "9", NULL},
        {"head-dim", "7", "8", "16", "24", "32", "64", NULL},
        {"d-state", "2", "16", "32", "64", NULL},
        {"chunk", "1", "2", "8", "32", "64", NULL},
        {"rotation-pairs", "0", "1", "4", "8", NULL},
        {"features-in", "1", "8", "10", "33", "64", "256", NULL},
        {"hidden", "1", "16", "20", "31", "130", NULL},
        {"outputs", "1", "9", "69", "128", "300", NULL},
    };

    for (size_t i = 0; i < MBI_COUNT(sizes); i++)
        if (!strcmp(flag, sizes[i][0]))
            return pick(s, sizes[i] + 1);
    return !strcmp(flag, "vocab") ? "50" : NULL;
}

static void set_field(struct mbi_config *c, const struct mbi_config_field *f, struct source *s)
{
    static const char *const switches[] = {"on", "off", NULL};
    const char *value = f->kind == MBI_CONFIG_BOOL   ? pick(s, switches)
                        : f->kind == MBI_CONFIG_WORD ? pick(s, f->word)
                                                     : pick_number(s, f->flag);
    bool known;

    if (value && mbi_config_set(c, f->flag, value, &known, NULL) < 0)
        exit(2);
}

/* Mostly of the first architecture, whose shapes are the most. Configurations that contradict
 * themselves are drawn again. */
static struct mbi_graph *make_model(const struct options *o, struct source *s)
{
    struct mbi_graph *graph = NULL;

    while (!graph) {
        size_t n = 0;
        struct mbi_config c;

        while (mbi_arch_at(n))
            n++;
        mbi_config_init(&c, mbi_arch_at(source_below(s, 2) ? 0 : (size_t)source_below(s, n)));
        for (size_t i = 0; i < c.arch->n_fields; i++)
            if (c.arch->field[i].flag)
                set_field(&c, &c.arch->field[i], s);
        if (c.arch->resolve(&c, true, NULL) < 0 || mbi_arch_graph(&graph, o->host, &c, NULL) < 0)
            graph = NULL;
    }
    return graph;
}

/* ---- graphs that are built here ---- */

static mbi_ref add_nodes(struct maker *m)
{
    mbi_ref last;
    const size_t n = 2 + (size_t)source_below(m->s, 12);

    for (size_t i = 0; i < n; i++)
        add_node(m);
    do
        last = any_value(m);
    while (last == 0);
    return last;
}

static struct mbi_graph *make_graph(const struct options *o, struct source *s,
                                    mbi_ref (*add)(struct maker *m), mambaint_error *err)
{
    const struct mbi_type table = {MBI_I8, 5, VOCAB, 24, -127, 127};
    struct maker m = {.s = s};
    mbi_ref last;

    if (mbi_graph_create(&m.graph, o->host, err) < 0)
        return NULL;
    mbi_build_begin(&m.b, m.graph, err);
    last = mbi_build_token(&m.b, VOCAB);
    node2(&m, MBI_OP_embed, last, make_param(&m, &table));
    last = add(&m);
    if (source_below(s, 2))
        mbi_build_link(&m.b, any_value(&m));
    if (mbi_build_end(&m.b, last, node1(&m, MBI_OP_argmax, last, NULL)) < 0) {
        mbi_graph_free(m.graph);
        return NULL;
    }
    return m.graph;
}

/* ---- products and what follows them ---- */

/* A clamp on one side or on both, next to powers of two or anywhere. */
static void draw_clamp(struct mbi_requant_attr *q, struct source *s)
{
    const int64_t power = (int64_t)1 << source_below(s, 31);

    q->lo = source_below(s, 3) ? (int32_t)-source_between(s, power / 2, power) : INT32_MIN;
    q->hi = source_below(s, 3) ? (int32_t)source_between(s, power / 2, power - 1) : INT32_MAX;
}

/* The three ways back to narrow integers; shifts to the left too, where the product is small. */
static mbi_ref add_requant(struct maker *m, mbi_ref x)
{
    const struct mbi_type type = *mbi_build_type(&m->b, x);
    const struct mbi_type rows = {MBI_I8, 0, 1, type.cols, -8, 15};
    const struct mbi_type scale = {MBI_I16, 0, 1, 1, 16384, 32767},
                          exponent = {MBI_I8, 0, 1, 1, 4, 40};
    struct mbi_requant_attr q = {.frac = 7};
    mbi_ref in[3] = {x, MBI_NONE, MBI_NONE};

    q.shift = mbi_bitlen((uint64_t)type.hi) - (int32_t)source_below(m->s, 28);
    draw_clamp(&q, m->s);
    switch (source_below(m->s, 3)) {
    case 0:
        return node1(m, MBI_OP_requant, x, &q);
    case 1:
        in[1] = make_param(m, &rows);
        q.shift -= 4;
        return mbi_build_node(&m->b, MBI_OP_requant_rows, "test", in, &q);
    default:
        in[1] = make_param(m, &scale);
        in[2] = make_param(m, &exponent);
        q.shift -= 8;
        return mbi_build_node(&m->b, MBI_OP_requant_mul, "test", in, &q);
    }
}

/* What is read from elsewhere is made first: only neighbours are done in one go. */
static mbi_ref add_product(struct maker *m)
{
    static const uint32_t dtype[] = {MBI_I8, MBI_I8, MBI_I16};
    const bool ternary = source_below(m->s, 2);
    const uint32_t cols = 1 + (uint32_t)source_below(m->s, 300);
    const uint32_t rows = 1 + (uint32_t)source_below(m->s, 200);
    const struct mbi_type x = {dtype[source_below(m->s, ternary ? 2 : 3)], 7, 1, cols, -100, 100};
    const struct mbi_type wide = {MBI_I16, 7, 1, cols, -1000, 1000};
    const struct mbi_type stream = {MBI_I32, 7, 1, rows, -(1 << 22), 1 << 22};
    const struct mbi_type matrix = {
        ternary ? MBI_TERNARY : MBI_I8, 0, rows, cols, ternary ? -1 : -127, ternary ? 1 : 127};
    const struct mbi_type bias = {MBI_I16, 12, 1, rows, -32767, 32767};
    const struct mbi_addsat_attr sum = {16 + (int32_t)source_below(m->s, 17)};
    const mbi_ref base = make_value(m, &stream);
    const mbi_ref in = make_value(m, x.dtype == MBI_I16 ? &wide : &x);
    mbi_ref y = node2(m, MBI_OP_matvec, in, make_param(m, &matrix));

    if (!source_below(m->s, 4))
        y = node2(m, MBI_OP_add, y, make_param(m, &bias));
    if (m->b.status < 0)
        return MBI_NONE;
    const mbi_ref terms[2] = {base, add_requant(m, y)};

    return source_below(m->s, 2) ? mbi_build_node(&m->b, MBI_OP_addsat, "test", terms, &sum)
                                 : terms[1];
}

/* The last one is what the graph gives, so that nothing of it goes unseen. */
static mbi_ref add_products(struct maker *m)
{
    mbi_ref last = add_product(m);

    for (size_t more = (size_t)source_below(m->s, 4); more; more--)
        last = add_product(m);
    return last;
}

/* Shifts that the operations refuse are drawn again. */
static struct mbi_graph *make_products(const struct options *o, struct source *s)
{
    struct mbi_graph *graph;

    do
        graph = make_graph(o, s, add_products, NULL);
    while (!graph);
    return graph;
}

struct mbi_graph *make_random(const struct options *o, uint32_t number, struct source *s,
                              mambaint_error *err)
{
    switch (o->kind < 0 ? number % GRAPH_KINDS : (uint32_t)o->kind) {
    case GRAPH_JOINED:
        return make_graph(o, s, add_nodes, err);
    case GRAPH_MODEL:
        return make_model(o, s);
    default:
        return make_products(o, s);
    }
}
