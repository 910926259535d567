/* SPDX-License-Identifier: Apache-2.0 */
/* Integers of variables, from a run or from the relations that define them. */
#include "proof/witness.h"
#include "base/intmath.h"
#include "graph/element.h"
#include "proof/layout.h"
#include <string.h>

/* ---- tables ---- */

/* The narrowest type for every integer that the checks admit. */
static enum mbi_table_type table_type(const struct mbi_var *v)
{
    if (v->lo >= 0 && v->hi <= UINT8_MAX)
        return MBI_TABLE_U8;
    if (v->lo >= INT8_MIN && v->hi <= INT8_MAX)
        return MBI_TABLE_I8;
    if (v->lo >= 0 && v->hi <= UINT16_MAX)
        return MBI_TABLE_U16;
    if (v->lo >= INT16_MIN && v->hi <= INT16_MAX)
        return MBI_TABLE_I16;
    return v->lo >= INT32_MIN && v->hi <= INT32_MAX ? MBI_TABLE_I32 : MBI_TABLE_FIELD;
}

static size_t entry_size(enum mbi_table_type t)
{
    switch (t) {
    case MBI_TABLE_U8:
    case MBI_TABLE_I8:
        return 1;
    case MBI_TABLE_U16:
    case MBI_TABLE_I16:
        return 2;
    case MBI_TABLE_I32:
        return 4;
    default:
        return 8;
    }
}

static size_t place(const struct mbi_var *v, size_t row, size_t col)
{
    return (row << v->col_bits) + col;
}

int64_t mbi_witness_get(const struct mbi_witness *w, uint32_t var, size_t row, size_t col)
{
    const mbi_fe x = mbi_table_field(&w->table[var], place(&w->plan->var[var], row, col));

    return x > MBI_FIELD_P / 2 ? -(int64_t)(MBI_FIELD_P - x) : (int64_t)x;
}

static void put(const struct mbi_table *t, void *data, size_t i, int64_t v)
{
    switch (t->type) {
    case MBI_TABLE_U8:
    case MBI_TABLE_I8:
        ((uint8_t *)data)[i] = (uint8_t)v;
        break;
    case MBI_TABLE_U16:
    case MBI_TABLE_I16:
        ((uint16_t *)data)[i] = (uint16_t)v;
        break;
    case MBI_TABLE_I32:
        ((uint32_t *)data)[i] = (uint32_t)v;
        break;
    default:
        ((mbi_fe *)data)[i] = mbi_fe_from_i64(v);
    }
}

/* The data is this object's own; only readers see it as const. */
static void *data_of(const struct mbi_table *t)
{
    union {
        const void *read;
        void *write;
    } data = {t->data};

    return data.write;
}

void mbi_witness_set(const struct mbi_witness *w, uint32_t var, size_t row, size_t col, int64_t v)
{
    put(&w->table[var], data_of(&w->table[var]), place(&w->plan->var[var], row, col), v);
}

void mbi_gadget_set(const struct mbi_gadget_fill *f, uint32_t var, size_t lane, size_t col,
                    int64_t v)
{
    mbi_witness_set(f->witness, var, lane, col, v);
}

static bool create_tables(struct mbi_witness *w)
{
    const struct mbi_plan *p = w->plan;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];
        struct mbi_table *t = &w->table[i];

        t->type = table_type(v);
        t->n = (size_t)v->rows << v->col_bits;
        if (!(t->data = mbi_alloc_aligned(p->host, t->n * entry_size(t->type))))
            return false;
    }
    return true;
}

/* ---- values ---- */

/* Element (row, col) of a value or parameter of a graph. */
static int64_t element(const struct mbi_type *t, const void *data, size_t row, size_t col)
{
    if (t->dtype == MBI_TERNARY) {
        const uint8_t *packed = (const uint8_t *)data + row * mbi_type_row_size(t);

        return (packed[col / 4] >> (2 * (col % 4)) & 3) - 1;
    }
    return mbi_get(data, t->dtype, row * t->cols + col);
}

static void copy_value(const struct mbi_witness *w, uint32_t var, const struct mbi_type *t,
                       const void *data)
{
    for (size_t r = 0; r < w->plan->var[var].rows; r++)
        for (size_t c = 0; c < t->cols; c++)
            mbi_witness_set(w, var, r, c, element(t, data, r, c));
}

static void fill_node(struct mbi_witness *w, const struct mbi_stage_plan *s, mbi_ref ref,
                      const struct mbi_stage_run *run)
{
    const struct mbi_node *node = &s->graph->node[ref];
    const struct mbi_op_gadget *gadget = node->op ? mbi_op_table[node->op].def->gadget : NULL;
    struct mbi_gadget_fill f = {.witness = w,
                                .node = node,
                                .out = run->value[ref],
                                .lanes = w->plan->lanes,
                                .first = s->node[ref].first};

    copy_value(w, s->node[ref].var, &node->type, run->value[ref]);
    if (!gadget || !gadget->fill)
        return;
    for (size_t k = 0; k < mbi_op_table[node->op].n_in; k++) {
        f.in[k] = run->value[node->in[k]];
        f.in_type[k] = &s->graph->node[node->in[k]].type;
        f.in_lo[k] = w->plan->var[s->node[node->in[k]].var].lo;
        f.in_hi[k] = w->plan->var[s->node[node->in[k]].var].hi;
    }
    gadget->fill(&f);
}

static void fill_stages(struct mbi_witness *w, const struct mbi_stage_run *run)
{
    const struct mbi_plan *p = w->plan;

    for (size_t s = 0; s < p->n_stages; s++)
        for (mbi_ref i = 0; i < p->stage[s].graph->n_nodes; i++)
            if (p->stage[s].node[i].var != MBI_NONE)
                fill_node(w, &p->stage[s], i, &run[s]);
}

static void copy_var(struct mbi_witness *w, uint32_t to, uint32_t from)
{
    for (size_t r = 0; r < w->plan->var[to].rows; r++)
        for (size_t c = 0; c < w->plan->var[to].cols; c++)
            mbi_witness_set(w, to, r, c, mbi_witness_get(w, from, r, c));
}

/* The output of the last stage is that of the statement. */
static void fill_output(struct mbi_witness *w)
{
    const struct mbi_plan *p = w->plan;
    const struct mbi_stage_plan *s = &p->stage[p->n_stages - 1];

    copy_var(w, p->output, s->node[s->graph->logits].var);
}

/* A weight and the variable of its interval, for each. */
static void fill_certificate(struct mbi_witness *w, const struct mbi_stage_run *run)
{
    const struct mbi_plan *p = w->plan;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];
        const struct mbi_piece *piece = &p->piece[v->first_piece];
        const struct mbi_graph *g = p->stage[piece->stage].graph;

        if (v->kind != MBI_VAR_WEIGHT)
            continue;
        for (mbi_ref n = 0; n < g->n_nodes; n++)
            if (mbi_node_is_param(&g->node[n]) && g->node[n].param == piece->param)
                copy_value(w, i, &g->node[n].type, run[piece->stage].value[n]);
        copy_var(w, i - 1, i);
    }
}

static void fill_complements(struct mbi_witness *w)
{
    const struct mbi_plan *p = w->plan;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];

        if (v->kind != MBI_VAR_COMMITTED || v->complement == MBI_NONE)
            continue;
        for (size_t r = 0; r < v->rows; r++)
            for (size_t c = 0; c < v->cols; c++)
                mbi_witness_set(w, v->complement, r, c, v->hi - mbi_witness_get(w, i, r, c));
    }
}

/* ---- digits ---- */

static void set_digit(const struct mbi_witness *w, uint64_t block, const struct mbi_var *v,
                      size_t row, size_t col, uint64_t digit)
{
    const size_t first = (size_t)block << (v->row_bits + v->col_bits);

    put(&w->vector, data_of(&w->vector), first + place(v, row, col), (int64_t)digit);
}

void mbi_witness_digits(const struct mbi_witness *w, uint32_t var)
{
    const struct mbi_var *v = &w->plan->var[var];

    for (size_t r = 0; r < v->rows; r++)
        for (size_t c = 0; c < v->cols; c++) {
            uint64_t x = (uint64_t)mbi_witness_get(w, var, r, c) - (uint64_t)v->lo;

            for (uint32_t k = 0; k < v->bits / 2; k++, x >>= 2)
                set_digit(w, v->digits + k, v, r, c, x & 3);
            if (v->bits & 1)
                set_digit(w, v->odd, v, r, c, x & 1);
        }
}

/* ---- the whole ---- */

int32_t mbi_witness_create(struct mbi_witness **out, const struct mbi_plan *plan,
                           const struct mbi_stage_run *run, mambaint_error *err)
{
    struct mbi_witness *w = mbi_alloc(plan->host, 1, sizeof(*w));

    *out = NULL;
    if (w) {
        w->plan = plan;
        w->table = mbi_alloc(plan->host, plan->n_vars, sizeof(*w->table));
        w->vector = (struct mbi_table){MBI_TABLE_U8, NULL, (size_t)1 << plan->bits};
        w->vector.data = mbi_alloc_aligned(plan->host, w->vector.n);
    }
    if (!w || !w->table || !w->vector.data || !create_tables(w)) {
        mbi_witness_free(w);
        return mbi_fail_memory(err, "the values of a proof");
    }
    if (plan->output == MBI_NONE) {
        fill_certificate(w, run);
    } else {
        fill_stages(w, run);
        fill_output(w);
    }
    fill_complements(w);
    for (uint32_t i = 0; i < plan->n_vars; i++)
        if (plan->var[i].kind == MBI_VAR_COMMITTED)
            mbi_witness_digits(w, i);
    *out = w;
    return MAMBAINT_OK;
}

void mbi_witness_free(struct mbi_witness *w)
{
    const struct mbi_host *host;

    if (!w)
        return;
    host = w->plan->host;
    for (uint32_t i = 0; w->table && i < w->plan->n_vars; i++)
        mbi_free_aligned(host, data_of(&w->table[i]));
    mbi_free(host, w->table);
    mbi_free_aligned(host, data_of(&w->vector));
    mbi_free(host, w);
}

/* ---- the self-check ---- */

static int64_t view_value(const struct mbi_witness *w, const struct mbi_view *view,
                          const size_t letter[MBI_LETTERS + 1])
{
    const int64_t col = (int64_t)letter[view->col] + view->col_from;

    if (col < 0 || col >= w->plan->var[view->var].cols)
        return 0;
    return mbi_witness_get(w, view->var, letter[view->row], (size_t)col);
}

/* Bounded by the plan: below 2^62. */
static int64_t term_value(const struct mbi_witness *w, const struct mbi_relation *r,
                          const struct mbi_term *t, size_t row, size_t col)
{
    size_t letter[MBI_LETTERS + 1] = {row, col, 0, 0};
    bool summed = false;
    int64_t sum = 0;

    for (uint32_t k = 0; k < t->n; k++)
        summed |= t->view[k].row == MBI_LETTER_SUM || t->view[k].col == MBI_LETTER_SUM;
    for (; letter[MBI_LETTER_SUM] < (summed ? r->sum : 1); letter[MBI_LETTER_SUM]++) {
        int64_t x = t->c;

        for (uint32_t k = 0; k < t->n; k++)
            x *= view_value(w, &t->view[k], letter);
        sum += x;
    }
    return sum;
}

static bool relation_holds(const struct mbi_witness *w, const struct mbi_relation *r)
{
    for (size_t row = 0; row < r->rows; row++)
        for (size_t col = 0; col < r->cols; col++) {
            int64_t sum = 0;

            for (uint32_t i = 0; i < r->n_terms; i++)
                sum += term_value(w, r, &w->plan->term[r->first_term + i], row, col);
            if (sum != (r->defines == MBI_NONE ? 0 : mbi_witness_get(w, r->defines, row, col)))
                return false;
        }
    return true;
}

static bool in_range(const struct mbi_witness *w, uint32_t var)
{
    const struct mbi_var *v = &w->plan->var[var];

    for (size_t r = 0; r < v->rows; r++)
        for (size_t c = 0; c < v->cols; c++) {
            const int64_t x = mbi_witness_get(w, var, r, c);

            if (x < v->lo || x > v->hi)
                return false;
        }
    return true;
}

uint32_t mbi_witness_check(const struct mbi_witness *w)
{
    const struct mbi_plan *p = w->plan;

    for (uint32_t i = 0; i < p->n_relations; i++)
        if (!relation_holds(w, &p->relation[i]))
            return i;
    for (uint32_t i = 0; i < p->n_vars; i++)
        if (!in_range(w, i))
            return p->n_relations + i;
    return MBI_NONE;
}

/* ---- weights ---- */

static void copy_piece(const struct mbi_table *vector, void *data, const struct mbi_piece *piece,
                       const struct mbi_type *t, const void *param)
{
    const uint64_t first = piece->block << (piece->log_rows + piece->col_bits);

    for (size_t r = 0; r < (size_t)1 << piece->log_rows; r++)
        for (size_t c = 0; c < t->cols; c++)
            put(vector, data, (size_t)first + (r << piece->col_bits) + c,
                element(t, param, piece->row + r, c));
}

int32_t mbi_weight_vector(struct mbi_table *out, unsigned *bits, const struct mbi_host *host,
                          const struct mbi_graph *const *graph, const void *const *const *param,
                          size_t n_graphs, mambaint_error *err)
{
    uint32_t n;
    struct mbi_piece *piece = mbi_weight_pieces(&n, bits, host, graph, n_graphs);
    void *data = NULL;

    *out = (struct mbi_table){.type = MBI_TABLE_I16};
    if (piece && *bits <= MBI_PLAN_MAX_BITS) {
        out->n = (size_t)1 << *bits;
        data = mbi_alloc_aligned(host, 2 * out->n);
    }
    for (uint32_t i = 0; data && i < n; i++)
        copy_piece(out, data, &piece[i], &graph[piece[i].stage]->param[piece[i].param].type,
                   param[piece[i].stage][piece[i].param]);
    mbi_free(host, piece);
    out->data = data;
    return data ? MAMBAINT_OK : mbi_fail_memory(err, "the weights of a proof");
}
