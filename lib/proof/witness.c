/* SPDX-License-Identifier: Apache-2.0 */
/* Integers of variables, from a run or from the relations that define them. */
#include "proof/witness.h"
#include "base/intmath.h"
#include "graph/element.h"
#include "proof/boundary.h"
#include "proof/layout.h"
#include "proof/relation.h"
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

int64_t mbi_witness_get(const struct mbi_witness *w, uint32_t var, size_t row, size_t col)
{
    const mbi_fe x = mbi_table_field(&w->table[var], mbi_var_place(&w->plan->var[var], row, col));

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
    put(&w->table[var], data_of(&w->table[var]), mbi_var_place(&w->plan->var[var], row, col), v);
}

void mbi_gadget_set(const struct mbi_gadget_fill *f, uint32_t var, size_t row, size_t col,
                    int64_t v)
{
    mbi_witness_set(f->witness, var, row, col, v);
}

int64_t mbi_gadget_get(const struct mbi_gadget_fill *f, uint32_t var, size_t row, size_t col)
{
    return mbi_witness_get(f->witness, var, row, col);
}

static bool create_tables(struct mbi_witness *w)
{
    const struct mbi_plan *p = w->plan;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];
        struct mbi_table *t = &w->table[i];

        t->type = table_type(v);
        t->n = (size_t)v->n[0] << mbi_row_log(v);
        if (!(t->data = mbi_alloc_aligned(p->host, t->n * entry_size(t->type))))
            return false;
        if (v->triangle && v->lo)
            for (size_t r = 0; r < v->n[0]; r++)
                for (size_t c = 0; c < mbi_var_cols(v); c++)
                    mbi_witness_set(w, i, r, c, v->lo);
    }
    return true;
}

/* ---- values ---- */

/* The public variables of a node. */
static void fill_public(struct mbi_witness *w, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++) {
        const struct mbi_var *v = &w->plan->var[i];

        if (!mbi_is_known(w->plan, v))
            continue;
        for (size_t r = 0; r < v->n[0]; r++)
            for (size_t c = 0; c < v->n[2]; c++)
                mbi_witness_set(w, i, r, c, mbi_known_at(w->plan, v, &w->known, r, c));
    }
}

/* Elements [col, col + n) of a row of typed data, less lo, to entries from `first` on. Bytes, which
 * most weights are, without a look at the types of each. */
static void copy_row(const struct mbi_table *table, void *to, size_t first,
                     const struct mbi_type *t, const void *from, size_t row, size_t col, size_t n,
                     int64_t lo)
{
    const int8_t *bytes = t->dtype == MBI_I8 ? (const int8_t *)from + row * t->cols + col : NULL;

    if (bytes && table->type == MBI_TABLE_I8 && !lo)
        memcpy((int8_t *)to + first, bytes, n);
    else if (bytes && table->type == MBI_TABLE_I16)
        for (size_t c = 0; c < n; c++)
            ((int16_t *)to)[first + c] = (int16_t)(bytes[c] - lo);
    else if (bytes && table->type == MBI_TABLE_I32)
        for (size_t c = 0; c < n; c++)
            ((int32_t *)to)[first + c] = (int32_t)(bytes[c] - lo);
    else
        for (size_t c = 0; c < n; c++)
            put(table, to, first + c, mbi_typed_at(t, from, row, col + c) - lo);
}

static void copy_value(const struct mbi_witness *w, uint32_t var, const struct mbi_type *t,
                       const void *data)
{
    const struct mbi_var *v = &w->plan->var[var]; /* n[1] is 1 */

    for (size_t r = 0; r < v->n[0]; r++)
        copy_row(&w->table[var], data_of(&w->table[var]), mbi_var_place(v, r, 0), t, data, r, 0,
                 t->cols, 0);
    w->done[var] = true;
}

/* What a run gives of a node as it stands. */
static bool is_value(const struct mbi_witness *w, uint32_t var, const struct mbi_node *node)
{
    const struct mbi_var *v = &w->plan->var[var];

    return v->n[1] == 1 && v->n[2] == node->type.cols &&
           v->n[0] == (mbi_node_is_param(node) ? node->type.rows : w->plan->lanes);
}

static void compute_from(const struct mbi_witness *w, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++)
        mbi_witness_compute(w, i);
}

/* `end`: the first variable that is not the node's. */
static void fill_node(struct mbi_witness *w, const struct mbi_stage_plan *s, mbi_ref ref,
                      const struct mbi_stage_run *run)
{
    const struct mbi_node *node = &s->graph->node[ref];
    const struct mbi_op_gadget *gadget = node->op ? mbi_op_table[node->op].def->gadget : NULL;
    struct mbi_gadget_fill f = {.witness = w,
                                .node = node,
                                .out = run->value[ref],
                                .lanes = w->plan->lanes,
                                .n_outputs = w->plan->n_outputs,
                                .first = s->node[ref].first};

    if (is_value(w, s->node[ref].var, node))
        copy_value(w, s->node[ref].var, &node->type, run->value[ref]);
    if (!gadget) { /* features may be those of a boundary */
        mbi_boundary_copy(w, s->node[ref].first, s->node[ref].end);
        return;
    }
    for (size_t k = 0; k < mbi_op_table[node->op].n_in; k++) {
        const uint32_t var = s->node[node->in[k]].var;

        f.in[k] = run->value[node->in[k]];
        f.in_type[k] =
            mbi_plan_narrow(&f.known[k], w->plan, var, &s->graph->node[node->in[k]].type);
        f.in_var[k] = var;
        f.in_lo[k] = w->plan->var[var].lo;
        f.in_hi[k] = w->plan->var[var].hi;
    }
    if (w->plan->takes_tokens)
        memcpy(f.boundary, w->plan->boundary, sizeof(f.boundary));
    fill_public(w, s->node[ref].first, s->node[ref].end);
    mbi_boundary_read(w, s->node[ref].first, s->node[ref].end, run->before);
    if (gadget->fill)
        gadget->fill(&f);
    compute_from(w, s->node[ref].first, s->node[ref].end);
    mbi_boundary_fill(w, s->node[ref].first, s->node[ref].end);
}

/* The parameters of a stage in their order. */
static bool find_params(struct mbi_witness *w, size_t s, const struct mbi_stage_run *run)
{
    const struct mbi_graph *g = w->plan->stage[s].graph;

    if (!(w->param[s] = mbi_alloc(w->plan->host, g->n_params + 1, sizeof(*w->param[s]))))
        return false;
    for (mbi_ref i = 0; i < g->n_nodes; i++)
        if (mbi_node_is_param(&g->node[i]))
            w->param[s][g->node[i].param] = run->value[i];
    return true;
}

static bool fill_stages(struct mbi_witness *w, const struct mbi_stage_run *run)
{
    const struct mbi_plan *p = w->plan;

    w->known.param = (const void *const *const *)w->param;
    for (size_t s = 0; s < p->n_stages; s++) {
        if (!find_params(w, s, &run[s]))
            return false;
        for (mbi_ref i = 0; i < p->stage[s].graph->n_nodes; i++)
            if (p->stage[s].node[i].var != MBI_NONE)
                fill_node(w, &p->stage[s], i, &run[s]);
    }
    return true;
}

static void copy_var(struct mbi_witness *w, uint32_t to, uint32_t from)
{
    for (size_t r = 0; r < w->plan->var[to].n[0]; r++)
        for (size_t c = 0; c < mbi_var_cols(&w->plan->var[to]); c++)
            mbi_witness_set(w, to, r, c, mbi_witness_get(w, from, r, c));
}

/* The output of the last stage is that of the statement, or of a boundary, which is declared
 * behind all stages. */
static void fill_output(struct mbi_witness *w)
{
    const struct mbi_plan *p = w->plan;
    const struct mbi_stage_plan *s = &p->stage[p->n_stages - 1];

    if (p->output != MBI_NONE)
        copy_var(w, p->output, s->node[s->graph->logits].var);
    else if (!p->takes_tokens)
        mbi_boundary_fill(w, 0, p->n_vars);
}

/* A weight and the variable of its interval, for each. */
static void fill_certificate(struct mbi_witness *w, const struct mbi_stage_run *run)
{
    const struct mbi_plan *p = w->plan;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];
        const struct mbi_piece *piece;
        const struct mbi_graph *g;

        if (v->kind != MBI_VAR_WEIGHT)
            continue;
        piece = &p->piece[v->first_piece];
        g = p->stage[piece->stage].graph;
        for (mbi_ref n = 0; n < g->n_nodes; n++)
            if (mbi_node_is_param(&g->node[n]) && g->node[n].param == piece->param)
                copy_value(w, i, &g->node[n].type, run[piece->stage].value[n]);
        copy_var(w, i - 1, i);
    }
}

/* The weights of a piece, less lo. */
static void copy_piece(const struct mbi_table *vector, void *data, const struct mbi_piece *piece,
                       const struct mbi_type *t, const void *param, int64_t lo)
{
    const uint64_t first = piece->block << (piece->log_rows + piece->col_bits);

    const size_t cols = mbi_min_size(t->cols - piece->col, (size_t)1 << piece->col_bits);

    for (size_t r = 0; r < (size_t)1 << piece->log_rows; r++)
        copy_row(vector, data, (size_t)first + (r << piece->col_bits), t, param, piece->row + r,
                 piece->col, cols, lo);
}

/* How often each value occurs among the limbs of a class. */
static void count(int32_t *vector, const struct mbi_lookup *l)
{
    memset(vector + l->counts[0], 0, (size_t)(l->counts[l->n] - l->counts[0]) * sizeof(*vector));
    for (uint32_t k = 0; k < l->n; k++)
        for (uint64_t x = l->begin[k]; x < l->begin[k + 1]; x++)
            if ((uint32_t)vector[x] < l->size[k]) /* another one cannot be counted */
                vector[l->counts[k] + (uint32_t)vector[x]]++;
}

/* The weights, less the smallest of their class, each class from the end of that before it on. */
static void fill_direct(struct mbi_witness *w, const struct mbi_stage_run *run)
{
    const struct mbi_plan *p = w->plan;
    const struct mbi_lookup *l = &p->lookup;
    int32_t *looked = data_of(&w->looked);

    for (uint32_t k = 0; k < l->n; k++)
        for (uint64_t x = l->begin[k]; x < l->begin[k + 1]; x++)
            looked[x] = -p->weight_lo[k]; /* below 2^16 */
    for (uint32_t i = 0; i < p->n_pieces; i++) {
        const struct mbi_piece *piece = &p->piece[i];
        const struct mbi_graph *g = p->stage[piece->stage].graph;

        for (mbi_ref n = 0; n < g->n_nodes; n++)
            if (mbi_node_is_param(&g->node[n]) && g->node[n].param == piece->param)
                copy_piece(&w->looked, looked, piece, &g->node[n].type, run[piece->stage].value[n],
                           g->node[n].type.lo);
    }
}

/* The counts are the witness vector, and behind the weights in what is looked up. */
static bool create_direct(struct mbi_witness *w, const struct mbi_stage_run *run)
{
    const uint64_t first = mbi_direct_counts(w->plan);

    w->looked = (struct mbi_table){.type = MBI_TABLE_I32, .n = (size_t)(first + w->plan->end)};
    w->looked.data = mbi_alloc_aligned(w->plan->host, w->looked.n * sizeof(int32_t));
    if (!w->looked.data)
        return false;
    fill_direct(w, run);
    count(data_of(&w->looked), &w->plan->lookup);
    for (size_t x = 0; x < w->plan->end; x++)
        put(&w->vector, data_of(&w->vector), x, ((const int32_t *)w->looked.data)[first + x]);
    return true;
}

static void fill_complements(struct mbi_witness *w)
{
    const struct mbi_plan *p = w->plan;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];

        if (v->kind != MBI_VAR_COMMITTED || v->complement == MBI_NONE)
            continue;
        for (size_t r = 0; r < v->n[0]; r++)
            for (size_t c = 0; c < mbi_var_cols(v); c++)
                mbi_witness_set(w, v->complement, r, c, v->hi - mbi_witness_get(w, i, r, c));
    }
}

/* ---- digits ---- */

/* The digits of one element, in one of the variable's boxes. */
static void set_digits(const struct mbi_witness *w, const struct mbi_var *v,
                       const struct mbi_box *box, size_t place, uint64_t x)
{
    const unsigned n = mbi_var_digits(v), log = v->digit_bits;

    for (unsigned k = 0; k < n; k++, x >>= log) {
        const unsigned left = v->bits - k * log;
        const uint64_t digit = x & (((uint64_t)1 << (left < log ? left : log)) - 1);

        put(&w->vector, data_of(&w->vector),
            ((size_t)mbi_box_digit(v, box, k) << box->bits) + place, (int64_t)digit);
    }
}

/* Of a box, what lies in the variable's ranges. */
static void set_box(const struct mbi_witness *w, uint32_t var, const struct mbi_box *box)
{
    const struct mbi_var *v = &w->plan->var[var];
    const size_t rows = mbi_min_size(v->n[0], (size_t)box->row + ((size_t)1 << box->log_rows));
    const size_t cols = mbi_min_size(v->n[2], (size_t)box->col + ((size_t)1 << box->log_cols));

    for (size_t r = box->row; r < rows; r++)
        for (size_t m = 0; m < v->n[1]; m++)
            for (size_t c = box->col; c < cols; c++)
                set_digits(w, v, box, mbi_box_place(v, box, r, m, c),
                           (uint64_t)mbi_witness_get(w, var, r, m * v->n[2] + c) - (uint64_t)v->lo);
}

void mbi_witness_digits(const struct mbi_witness *w, uint32_t var)
{
    const struct mbi_var *v = &w->plan->var[var];

    for (uint32_t k = 0; k < v->n_boxes; k++)
        set_box(w, var, &w->plan->box[v->first_box + k]);
}

/* Of some variables: each has its own blocks. */
static void fill_digits(void *arg, size_t begin, size_t end)
{
    const struct mbi_witness *w = arg;

    for (size_t i = begin; i < end; i++)
        if (w->plan->var[i].kind == MBI_VAR_COMMITTED)
            mbi_witness_digits(w, (uint32_t)i);
}

/* As count(), where the vector is in F. */
static void count_in_field(mbi_fe *vector, const struct mbi_lookup *l)
{
    memset(vector + l->counts[0], 0, (size_t)(l->counts[l->n] - l->counts[0]) * sizeof(*vector));
    for (uint32_t k = 0; k < l->n; k++)
        for (uint64_t x = l->begin[k]; x < l->begin[k + 1]; x++)
            if (vector[x] < l->size[k])
                vector[l->counts[k] + vector[x]]++;
}

void mbi_witness_count(const struct mbi_witness *w)
{
    if (w->plan->large && w->vector.type == MBI_TABLE_FIELD)
        count_in_field(data_of(&w->vector), &w->plan->lookup);
    else if (w->plan->large)
        count(data_of(&w->vector), &w->plan->lookup);
}

/* ---- the whole ---- */

/* Of a hidden proof in F, for the pads; entries behind the last one are zero. */
static bool create_vector(struct mbi_witness *w)
{
    const struct mbi_plan *p = w->plan;
    const enum mbi_table_type type = p->n_pads  ? MBI_TABLE_FIELD
                                     : p->large ? MBI_TABLE_I32
                                                : MBI_TABLE_U8;
    const size_t all = p->n_pads ? (size_t)p->pads_end : (size_t)1 << p->bits;
    void *data = mbi_alloc_huge(p->host, all * entry_size(type));

    if (data)
        memset(data, 0, all * entry_size(type));
    w->vector = (struct mbi_table){type, data, all};
    if (p->large && !p->n_pads)
        w->vector.n = (size_t)p->end;
    return data != NULL;
}

static bool fill(struct mbi_witness *w, const struct mbi_stage_run *run)
{
    if (w->plan->direct)
        return create_direct(w, run);
    if (w->plan->certificate) {
        fill_certificate(w, run);
    } else {
        if (!fill_stages(w, run))
            return false;
        fill_output(w);
    }
    fill_complements(w);
    mbi_parallel_for(w->plan->host, w->plan->n_vars, 1, fill_digits, w);
    mbi_witness_count(w);
    return true;
}

int32_t mbi_witness_create(struct mbi_witness **out, const struct mbi_plan *plan,
                           const struct mbi_stage_run *run, const struct mbi_mask_seed *seed,
                           mambaint_error *err)
{
    struct mbi_witness *w;

    *out = NULL;
    if (!seed != !plan->n_pads)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "a proof has pads, or a seed for them, alone");
    if ((w = mbi_alloc(plan->host, 1, sizeof(*w)))) {
        w->plan = plan;
        w->table = mbi_alloc(plan->host, plan->n_vars, sizeof(*w->table));
        w->done = mbi_alloc(plan->host, plan->n_vars, sizeof(*w->done));
        w->known.token = run[0].token;
    }
    if (!w || !w->table || !w->done || !create_vector(w) || !create_tables(w) || !fill(w, run)) {
        mbi_witness_free(w);
        return mbi_fail_memory(err, "the values of a proof");
    }
#if MBI_HAVE_SODIUM /* without it no plan has pads */
    if (seed)
        mbi_mask_fill((mbi_fe *)data_of(&w->vector) + plan->pads_at,
                      (size_t)(plan->pads_end - plan->pads_at), seed, MBI_MASK_PAD, 0);
#endif
    *out = w;
    return MAMBAINT_OK;
}

void mbi_witness_pads_get(mbi_fe *out, const struct mbi_witness *w, uint64_t at, size_t n)
{
    memcpy(out, (const mbi_fe *)w->vector.data + w->plan->pads_at + at, n * sizeof(*out));
}

void mbi_witness_pads_set(const struct mbi_witness *w, uint64_t at, const mbi_fe *x, size_t n)
{
    memcpy((mbi_fe *)data_of(&w->vector) + w->plan->pads_at + at, x, n * sizeof(*x));
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
    mbi_free(host, w->done);
    for (size_t s = 0; s < MBI_PLAN_STAGES; s++)
        mbi_free(host, w->param[s]);
    if (w->plan->n_pads && w->vector.data)
        explicit_bzero((mbi_fe *)data_of(&w->vector) + w->plan->pads_at,
                       (size_t)(w->plan->pads_end - w->plan->pads_at) * sizeof(mbi_fe));
    mbi_free_aligned(host, data_of(&w->looked));
    mbi_free_aligned(host, data_of(&w->vector));
    mbi_free(host, w);
}

/* ---- the self-check ---- */

static bool relation_holds(const struct mbi_witness *w, const struct mbi_relation *r)
{
    struct mbi_letters at = {{0}};

    do {
        const int64_t sum = mbi_relation_value(w, r, &at);

        if (sum != (r->defines == MBI_NONE ? 0 : mbi_view_value(w, &r->result, &at)))
            return false;
    } while (mbi_letters_next(&at, r, true));
    return true;
}

static bool in_range(const struct mbi_witness *w, uint32_t var)
{
    const struct mbi_var *v = &w->plan->var[var];

    for (size_t r = 0; r < v->n[0]; r++)
        for (size_t c = 0; c < mbi_var_cols(v); c++) {
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
                   param[piece[i].stage][piece[i].param], 0);
    mbi_free(host, piece);
    out->data = data;
    return data ? MAMBAINT_OK : mbi_fail_memory(err, "the weights of a proof");
}
