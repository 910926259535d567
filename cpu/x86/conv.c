/* SPDX-License-Identifier: Apache-2.0 */
/* conv for x86, and the nodes that follow it in a block: a slice before, gate and requant behind.
 *                                                        arithmetic.md, conv, gate, requant */
#include "cpu/x86/conv.h"
#include "cpu/x86/narrow.h"
#include "cpu/x86/gate.h"

/* Channels [begin, end) rounded down to whole steps. */
static size_t whole_steps(const struct mbi_op_args *a)
{
    return a->begin + (a->end - a->begin) / WIDTH * WIDTH;
}

static void conv_tile(const struct mbi_op_args *a, size_t c, size_t from, size_t to)
{
    const size_t n = a->out_type->cols;
    struct channels ch;

    load_channels(&ch, a, c);
    for (size_t t = from; t < to; t++)
        store((int16_t *)a->out + t * n + c,
              convolve(&ch, load((const int16_t *)a->in[0] + t * n + c)));
    store_channels(&ch, a, c);
}

void MBI_X86(conv)(const struct mbi_op_args *a)
{
    const size_t end = whole_steps(a);

    if (a->in_type[2]->lo < -13) {
        mbi_op_conv.eval(a);
        return;
    }
    for (size_t t = 0; t < a->lanes; t += TILE)
        for (size_t c = a->begin; c < end; c += WIDTH)
            conv_tile(a, c, t, mbi_min_size(t + TILE, a->lanes));
    reference_part(mbi_op_conv.eval, a, end, a->end);
}

/* ---- slice, conv, gate, requant ---- */

struct chain {
    const struct mbi_op_args *conv;
    const int16_t *in; /* lanes lie in_step apart */
    size_t in_step;
    __m256i shift, lo, hi; /* of the requant */
    int8_t *out;
};

/* The requant's result fits i8, so packing saturates nothing. Its shift is not negative. */
static inline void chain_step(const struct chain *k, __m256i u, size_t at, int32_t kind)
{
    const __m256i a = gate8(_mm256_cvtepi16_epi32(low_half(u)), kind);
    const __m256i b = gate8(_mm256_cvtepi16_epi32(high_half(u)), kind);

    store8(k->out, MBI_I8, at, clamp8(rsh8(a, k->shift), k->lo, k->hi));
    store8(k->out, MBI_I8, at + LANES, clamp8(rsh8(b, k->shift), k->lo, k->hi));
}

static inline void chain_loop(const struct chain *k, size_t begin, size_t end, int32_t kind)
{
    const struct mbi_op_args *a = k->conv;
    const size_t n = a->out_type->cols;

    for (size_t t = 0; t < a->lanes; t += TILE)
        for (size_t c = begin; c < end; c += WIDTH) {
            struct channels ch;

            load_channels(&ch, a, c);
            for (size_t i = t; i < mbi_min_size(t + TILE, a->lanes); i++)
                chain_step(k, convolve(&ch, load(k->in + i * k->in_step + c)), i * n + c, kind);
            store_channels(&ch, a, c);
        }
}

static void chain(const struct mbi_op_args *first, const struct mbi_op_args *conv,
                  const int16_t *in, size_t in_step)
{
    const struct mbi_op_args *gate = conv->next, *requant = gate->next;
    const struct mbi_requant_attr *q = requant->attr;
    const struct chain k = {conv,
                            in,
                            in_step,
                            _mm256_set1_epi32(q->shift),
                            _mm256_set1_epi32(q->lo),
                            _mm256_set1_epi32(q->hi),
                            requant->out};
    const size_t begin = first->begin * WIDTH, end = first->end * WIDTH;
    const int32_t kind = ((const struct mbi_gate_attr *)gate->attr)->kind;

    if (kind == MBI_GATE_HARD)
        chain_loop(&k, begin, end, MBI_GATE_HARD);
    else if (kind == MBI_GATE_ALGEBRAIC)
        chain_loop(&k, begin, end, MBI_GATE_ALGEBRAIC);
    else
        chain_loop(&k, begin, end, MBI_GATE_SQUAREPLUS);
}

static void conv_chain(const struct mbi_op_args *a) { chain(a, a, a->in[0], a->in_type[0]->cols); }

static void slice_chain(const struct mbi_op_args *a)
{
    const struct mbi_slice_attr *at = a->attr;

    chain(a, a->next, (const int16_t *)a->in[0] + at->offset, a->in_type[0]->cols);
}

static bool conv_fits(const struct mbi_op_args *a)
{
    const struct mbi_op_args *requant = a->next->next;
    const struct mbi_requant_attr *q = requant->attr;

    return a->in_type[2]->lo >= -13 && a->out_type->cols % WIDTH == 0 && q->shift >= 0 &&
           q->shift <= 31 && requant->out_type->dtype == MBI_I8;
}

static bool slice_fits(const struct mbi_op_args *a) { return conv_fits(a->next); }

/* Parts are steps of channels. */
static size_t conv_units(const struct mbi_op_args *a) { return a->out_type->cols / WIDTH; }

const struct mbi_cpu_pattern MBI_X86(slice_conv_gate_requant) = {
    .n = 4,
    .op = {MBI_OP_slice, MBI_OP_conv, MBI_OP_gate, MBI_OP_requant},
    .reader = {1, 2, 3},
    .fits = slice_fits,
    .kernel = {.name = "slice+conv+gate+requant", .eval = slice_chain, .units = conv_units}};

const struct mbi_cpu_pattern MBI_X86(conv_gate_requant) = {
    .n = 3,
    .op = {MBI_OP_conv, MBI_OP_gate, MBI_OP_requant},
    .reader = {1, 2},
    .fits = conv_fits,
    .kernel = {.name = "conv+gate+requant", .eval = conv_chain, .units = conv_units}};
