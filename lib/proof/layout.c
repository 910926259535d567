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

/* Calls of one kind of digit (the ones below 4 or the last one of an odd number of bits), larger
 * variables first; returns the end. */
static uint64_t lay_out_digits(struct mbi_plan *p, bool odd, uint64_t at)
{
    for (unsigned bits = MBI_PLAN_MAX_BITS; bits-- > 0;)
        for (uint32_t i = 0; i < p->n_vars; i++) {
            struct mbi_var *v = &p->var[i];
            const uint64_t planes = odd ? v->bits & 1 : v->bits / 2;

            if (v->kind != MBI_VAR_COMMITTED || (unsigned)v->row_bits + v->col_bits != bits ||
                !planes)
                continue;
            if (odd)
                v->odd = at >> bits;
            else
                v->digits = at >> bits;
            at += planes << bits;
        }
    return at;
}

static unsigned largest_odd(const struct mbi_plan *p)
{
    unsigned bits = 0;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];

        if (v->kind == MBI_VAR_COMMITTED && (v->bits & 1) &&
            (unsigned)v->row_bits + v->col_bits > bits)
            bits = (unsigned)v->row_bits + v->col_bits;
    }
    return bits;
}

static bool sizes_fit(const struct mbi_plan *p)
{
    uint64_t all = 0;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];

        if ((unsigned)v->row_bits + v->col_bits >= MBI_PLAN_MAX_BITS)
            return false;
        if (v->kind == MBI_VAR_COMMITTED)
            all += (uint64_t)(v->bits / 2 + 1) << (v->row_bits + v->col_bits);
    }
    return all < (uint64_t)1 << (MBI_PLAN_MAX_BITS - 1);
}

void mbi_plan_lay_out(struct mbi_plan *p)
{
    uint64_t unit;

    if (p->fault)
        return;
    if (!sizes_fit(p)) {
        mbi_plan_fault(p, "a variable, or all together, are too large for one proof");
        return;
    }
    unit = (uint64_t)1 << largest_odd(p);
    p->fours = lay_out_digits(p, false, 0);
    p->twos = (p->fours + unit - 1) & ~(unit - 1);
    p->end = lay_out_digits(p, true, p->twos);
    p->bits = vector_bits(p->end);
}
