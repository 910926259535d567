/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of powers of two, each at a multiple of its own size: the larger ones first, so that none
 * leaves a gap behind it.
 */
#include "proof/layout.h"
#include "base/intmath.h"
#include "proof/relation.h"

/* log2 of the smallest power of two that is not below n. */
static unsigned vector_bits(uint64_t n) { return n > 1 ? (unsigned)mbi_bitlen(n - 1) : 0; }

/* ---- weights ---- */

bool mbi_weight_is_committed(const struct mbi_param *param)
{
    return param->quant != MBI_QUANT_DERIVED;
}

static uint32_t count_pieces(const struct mbi_graph *g)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->n_params; i++)
        for (uint32_t rows = g->param[i].type.rows; rows; rows &= rows - 1)
            n += mbi_weight_is_committed(&g->param[i]);
    return n;
}

/* The rows of one parameter, a power of two for each bit of their number. */
static void cut(struct mbi_piece *piece, uint32_t *n, uint32_t stage, uint32_t param,
                const struct mbi_type *t)
{
    uint32_t row = 0;

    for (unsigned log = 32; log-- > 0;) {
        if (!(t->rows >> log & 1))
            continue;
        piece[(*n)++] = (struct mbi_piece){.stage = stage,
                                           .param = param,
                                           .row = row,
                                           .log_rows = (uint8_t)log,
                                           .col_bits = (uint8_t)vector_bits(t->cols)};
        row += (uint32_t)1 << log;
    }
}

/* Larger pieces first, so that each lies at a multiple of its size. */
static uint64_t place_pieces(struct mbi_piece *piece, uint32_t n)
{
    uint64_t at = 0;

    for (unsigned bits = 64; bits-- > 0;)
        for (uint32_t i = 0; i < n; i++)
            if ((unsigned)piece[i].log_rows + piece[i].col_bits == bits) {
                piece[i].block = at >> bits;
                at += (uint64_t)1 << bits;
            }
    return at;
}

struct mbi_piece *mbi_weight_pieces(uint32_t *n, unsigned *bits, const struct mbi_host *host,
                                    const struct mbi_graph *const *graph, size_t n_graphs)
{
    struct mbi_piece *piece;
    uint32_t all = 0;

    for (size_t s = 0; s < n_graphs; s++)
        all += count_pieces(graph[s]);
    *n = 0;
    if (!(piece = mbi_alloc(host, all + 1, sizeof(*piece))))
        return NULL;
    for (uint32_t s = 0; s < n_graphs; s++)
        for (uint32_t i = 0; i < graph[s]->n_params; i++)
            if (mbi_weight_is_committed(&graph[s]->param[i]))
                cut(piece, n, s, i, &graph[s]->param[i].type);
    *bits = vector_bits(place_pieces(piece, *n));
    return piece;
}

/* ---- digits ---- */

/* How many digits of a width a variable has. */
static uint64_t planes_of(const struct mbi_plan *p, const struct mbi_var *v, uint32_t width)
{
    if (v->kind != MBI_VAR_COMMITTED)
        return 0;
    if (width == p->digit_bits)
        return v->bits / p->digit_bits;
    return v->bits % p->digit_bits == width ? 1 : 0;
}

/* The digits of a width, larger variables first; returns the end. */
static uint64_t lay_out_width(struct mbi_plan *p, uint32_t width, uint64_t at)
{
    for (unsigned bits = MBI_PLAN_MAX_BITS; bits-- > 0;)
        for (uint32_t i = 0; i < p->n_vars; i++) {
            struct mbi_var *v = &p->var[i];
            const uint64_t planes = planes_of(p, v, width);

            if (mbi_var_bits(v) != bits || !planes)
                continue;
            if (width < p->digit_bits)
                v->odd = at >> bits;
            else
                v->digits = at >> bits;
            at += planes << bits;
        }
    return at;
}

/* log2 of the largest variable that has a digit of this width. */
static unsigned largest(const struct mbi_plan *p, uint32_t width)
{
    unsigned bits = 0;

    for (uint32_t i = 0; i < p->n_vars; i++)
        if (planes_of(p, &p->var[i], width) && mbi_var_bits(&p->var[i]) > bits)
            bits = mbi_var_bits(&p->var[i]);
    return bits;
}

static bool sizes_fit(const struct mbi_plan *p)
{
    uint64_t all = 0;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];

        if (mbi_var_bits(v) >= MBI_PLAN_MAX_BITS)
            return false;
        if (v->kind == MBI_VAR_COMMITTED)
            all += (uint64_t)(v->bits / p->digit_bits + 1) << mbi_var_bits(v);
    }
    return all < (uint64_t)1 << (MBI_PLAN_MAX_BITS - 1);
}

static uint64_t lay_out_aligned(struct mbi_plan *p, uint32_t width, uint64_t at)
{
    const uint64_t unit = (uint64_t)1 << largest(p, width);

    p->from[width] = (at + unit - 1) & ~(unit - 1);
    p->to[width] = lay_out_width(p, width, p->from[width]);
    return p->to[width] > p->from[width] ? p->to[width] : at;
}

static void lay_out_small(struct mbi_plan *p)
{
    uint64_t at = 0;

    p->digit_bits = MBI_DIGIT_MIN;
    for (uint32_t width = p->digit_bits; width > 0; width--)
        at = lay_out_aligned(p, width, at);
    p->end = at;
}

/* What lies before the first digit of a width counts as one of that width: it is zero. */
static void lay_out_large(struct mbi_plan *p)
{
    struct mbi_lookup *l = &p->lookup;
    uint64_t at = 0;

    for (uint32_t i = 0; i < p->n_vars; i++)
        p->var[i].digits = p->var[i].odd = 0; /* those of the other layout */
    p->digit_bits = MBI_DIGIT_MAX;
    for (uint32_t width = 1; width <= p->digit_bits; width++) {
        l->begin[width] = at;
        at = lay_out_aligned(p, width, at);
    }
    l->begin[MBI_DIGIT_MAX + 1] = at;
    l->counts[1] = at;
    for (uint32_t width = 1; width <= p->digit_bits; width++) {
        at += l->begin[width + 1] > l->begin[width] ? (uint64_t)1 << width : 0;
        l->counts[width + 1] = at;
    }
    p->end = at;
    l->bits = vector_bits(at);
}

void mbi_plan_lay_out(struct mbi_plan *p)
{
    if (p->fault)
        return;
    p->digit_bits = MBI_DIGIT_MAX;
    if (!sizes_fit(p)) {
        mbi_plan_fault(p, "a variable, or all together, are too large for one proof");
        return;
    }
    lay_out_small(p);
    if (p->end > (uint64_t)1 << p->small_bits)
        lay_out_large(p);
    p->bits = vector_bits(p->end);
}
