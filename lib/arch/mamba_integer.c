/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mamba-Integer: a selective state space model whose every step is integer arithmetic
 * (docs/arithmetic.md, "The Mamba-Integer step"). Configuration, parameters, one block, the whole.
 */
#include "arch/arch.h"
#include "base/intmath.h"
#include "op/build.h"
#include <stdio.h>

#define CONV_TAPS 4
#define EXPONENT_MIN (-8)
#define EXPONENT_MAX 15
#define CONV_EXPONENT_MAX 10
#define RESIDUAL_BITS 24
#define UNSET UINT32_MAX          /* of a fallback that depends on other fields */
#define LOGIT_MAX ((1 << 27) - 1) /* 28 bits */

enum {
    LAYERS,
    D_MODEL,
    VOCAB,
    D_INNER,
    HEADS,
    HEAD_DIM,
    D_STATE,
    GROUPS,
    CONV,
    CHUNK,
    PAIRS,
    HOLD,
    NORM,
    GATE,
    WEIGHTS,
    HEAD_WEIGHTS,
    TIED,
    N_FIELDS
};

enum { NORM_RMS = 1, NORM_BITSHIFT };
enum { WEIGHTS_INT8 = 1, WEIGHTS_TERNARY };

static const char *const norm_words[] = {"rms", "bitshift", NULL};
static const char *const gate_words[] = {"hard", "algebraic", "squareplus",
                                         NULL}; /* enum mbi_gate */
static const char *const weight_words[] = {"int8", "ternary", NULL};

/* clang-format off */
static const struct mbi_config_field fields[N_FIELDS] = {
    [LAYERS]   = {"block_count", "layers", "number of blocks", MBI_CONFIG_NUMBER, 1, 1024, 4, NULL},
    [D_MODEL]  = {"embedding_length", "d-model", "width of the residual stream", MBI_CONFIG_NUMBER, 1, 32768, 128, NULL},
    [VOCAB]    = {"vocab_size", "vocab", "number of tokens", MBI_CONFIG_NUMBER, 2, 131072, 2048, NULL},
    [D_INNER]  = {"ssm.inner_size", NULL, NULL, MBI_CONFIG_NUMBER, 1, 65536, 0, NULL},
    [HEADS]    = {"ssm.head_count", "heads", "heads of a block", MBI_CONFIG_NUMBER, 1, 1024, 4, NULL},
    [HEAD_DIM] = {NULL, "head-dim", "width of a head", MBI_CONFIG_NUMBER, 1, 256, 64, NULL},
    [D_STATE]  = {"ssm.state_size", "d-state", "width of a head's state, a power of two", MBI_CONFIG_NUMBER, 2, 512, 32, NULL},
    [GROUPS]   = {"ssm.group_count", NULL, NULL, MBI_CONFIG_NUMBER, 1, 1, 1, NULL},
    [CONV]     = {"ssm.conv_kernel", NULL, NULL, MBI_CONFIG_NUMBER, CONV_TAPS, CONV_TAPS, CONV_TAPS, NULL},
    [CHUNK]    = {"ssm.chunk", "chunk", "tokens between roundings of the state, 1 or a power of two", MBI_CONFIG_NUMBER, 1, 256, 64, NULL},
    [PAIRS]    = {"ssm.rotation_pairs", "rotation-pairs", "rotated pairs of B and C (an eighth of the state size)", MBI_CONFIG_NUMBER, 0, 256, UNSET, NULL},
    [HOLD]     = {"ssm.hold", "hold", "the lowest decay keeps the state exactly", MBI_CONFIG_BOOL, 0, 0, 0, NULL},
    [NORM]     = {"norm", "norm", "rms or bitshift", MBI_CONFIG_WORD, 0, 0, NORM_RMS, norm_words},
    [GATE]     = {"gate", "gate", "hard, algebraic or squareplus", MBI_CONFIG_WORD, 0, 0, MBI_GATE_HARD, gate_words},
    [WEIGHTS]  = {"weights", "weights", "int8 or ternary projections", MBI_CONFIG_WORD, 0, 0, WEIGHTS_INT8, weight_words},
    [HEAD_WEIGHTS] = {"head_weights", "head-weights", "int8 or ternary head", MBI_CONFIG_WORD, 0, 0, WEIGHTS_INT8, weight_words},
    [TIED]     = {"tied_head", "tied-head", "the head is the embedding table", MBI_CONFIG_BOOL, 0, 0, 0, NULL},
};

#define PRESET(NAME, D, L, H, P, N, V, Q, R, TERNARY)                                              \
    {NAME, {[D_MODEL] = D, [LAYERS] = L, [HEADS] = H, [HEAD_DIM] = P, [D_STATE] = N, [VOCAB] = V,  \
            [CHUNK] = Q, [PAIRS] = R, [TIED] = !(TERNARY),                                         \
            [WEIGHTS] = 1 + (TERNARY), [HEAD_WEIGHTS] = 1 + (TERNARY)}}
static const struct mbi_preset presets[] = {
    PRESET("mi-tiny", 32, 2, 2, 16, 16, 300, 8, 2, 0),
    PRESET("mi-1m", 128, 6, 4, 64, 64, 2048, 64, 8, 0),
    PRESET("mi-10m", 256, 20, 8, 64, 64, 4096, 64, 8, 0),
    PRESET("mi-91m", 768, 24, 24, 64, 64, 4096, 64, 8, 0),
    PRESET("mi-130m", 768, 24, 24, 64, 64, 50280, 64, 8, 0),
    PRESET("mi-1b", 2048, 32, 64, 64, 64, 50280, 64, 8, 0),
    PRESET("mi-2.8b", 2560, 64, 80, 64, 64, 50280, 64, 8, 0),
    PRESET("mi-tiny-ternary", 32, 2, 2, 16, 16, 300, 8, 2, 1),
    PRESET("mi-1m-ternary", 128, 6, 4, 64, 64, 2048, 64, 8, 1),
    PRESET("mi-10m-ternary", 256, 20, 8, 64, 64, 4096, 64, 8, 1),
    PRESET("mi-91m-ternary", 768, 24, 24, 64, 64, 4096, 64, 8, 1),
    PRESET("mi-130m-ternary", 768, 24, 24, 64, 64, 50280, 64, 8, 1),
    PRESET("mi-1b-ternary", 2048, 32, 64, 64, 64, 50280, 64, 8, 1),
    PRESET("mi-2.8b-ternary", 2560, 64, 80, 64, 64, 50280, 64, 8, 1),
};
/* clang-format on */

static bool power_of_two(uint32_t v) { return v && !(v & (v - 1)); }

static int32_t resolve(struct mbi_config *c, bool from_flags, mambaint_error *err)
{
    if (c->v[PAIRS] == UNSET)
        c->v[PAIRS] = c->v[D_STATE] / 8;
    if (from_flags)
        c->v[D_INNER] = c->v[HEADS] * c->v[HEAD_DIM];
    else
        c->v[HEAD_DIM] = c->v[D_INNER] / c->v[HEADS];
    if (c->v[D_INNER] != c->v[HEADS] * c->v[HEAD_DIM] || c->v[D_INNER] > fields[D_INNER].hi ||
        c->v[HEAD_DIM] < 1 || c->v[HEAD_DIM] > fields[HEAD_DIM].hi)
        return mbi_fail(
            err, MAMBAINT_E_RANGE,
            "mamba-integer: %u heads do not divide an inner width of %u into parts of 1 "
            "to %u",
            c->v[HEADS], c->v[D_INNER], fields[HEAD_DIM].hi);
    if (!power_of_two(c->v[D_STATE]) || !power_of_two(c->v[CHUNK]))
        return mbi_fail(err, MAMBAINT_E_RANGE,
                        "mamba-integer: state size %u and chunk %u must be powers of two",
                        c->v[D_STATE], c->v[CHUNK]);
    if (c->v[PAIRS] > c->v[D_STATE] / 2)
        return mbi_fail(err, MAMBAINT_E_RANGE,
                        "mamba-integer: %u rotated pairs, but a state of %u has %u", c->v[PAIRS],
                        c->v[D_STATE], c->v[D_STATE] / 2);
    if (c->v[TIED] && c->v[HEAD_WEIGHTS] != WEIGHTS_INT8)
        return mbi_fail(
            err, MAMBAINT_E_INVALID,
            "mamba-integer: a tied head is int8; set head-weights=int8 or tied-head=off");
    return MAMBAINT_OK;
}

/* ---- parameters ---- */

/* Inside a layer the name gets the prefix "blk.N.". */
static struct mbi_param named(const struct mbi_build *b, const char *name)
{
    struct mbi_param p = {.exponent = MBI_NONE, .scale = MBI_NONE};

    if (b->layer == MBI_NONE)
        snprintf(p.name, sizeof(p.name), "%s", name);
    else
        snprintf(p.name, sizeof(p.name), "blk.%u.%s", b->layer, name);
    return p;
}

static mbi_ref derived(struct mbi_build *b, const char *name, uint32_t dtype, uint32_t n,
                       int64_t lo, int64_t hi)
{
    struct mbi_param p = named(b, name);

    p.type = (struct mbi_type){dtype, 0, 1, n, lo, hi};
    p.is_vector = 1;
    p.quant = MBI_QUANT_DERIVED;
    p.init = MBI_INIT_ZERO;
    return mbi_build_param(b, &p);
}

/* A Q8 vector of 16 bits: biases, skips, gains. */
static mbi_ref vector(struct mbi_build *b, const char *name, uint32_t n, enum mbi_init init,
                      int32_t init_q16)
{
    struct mbi_param p = named(b, name);

    p.type = (struct mbi_type){MBI_I16, 8, 1, n, -32767, 32767};
    p.is_vector = 1;
    p.quant = MBI_QUANT_FIXED;
    p.init = (uint8_t)init;
    p.init_q16 = init_q16;
    return mbi_build_param(b, &p);
}

static uint32_t param_of(const struct mbi_build *b, mbi_ref ref)
{
    return ref == MBI_NONE ? MBI_NONE : b->graph->node[ref].param;
}

/* A projection: integer weights and what turns its sums into the wanted fixed point. */
struct projection {
    mbi_ref weight, exponent, scale; /* scale: ternary alone */
};

static struct projection projection(struct mbi_build *b, const char *name, uint32_t rows,
                                    uint32_t cols, uint32_t weights, int32_t init_q16,
                                    const struct mbi_band *band, size_t n_bands)
{
    const bool ternary = weights == WEIGHTS_TERNARY;
    struct projection pr = {.scale = MBI_NONE};
    char text[32]; /* leaves room for "blk.N." */
    struct mbi_param p;

    snprintf(text, sizeof(text), "%s.exponent", name);
    pr.exponent = ternary ? derived(b, text, MBI_I8, 1, 4, 40)
                          : derived(b, text, MBI_I8, rows, EXPONENT_MIN, EXPONENT_MAX);
    if (ternary) {
        snprintf(text, sizeof(text), "%s.scale", name);
        pr.scale = derived(b, text, MBI_I16, 1, 16384, 32767);
    }
    snprintf(text, sizeof(text), "%s.weight", name);
    p = named(b, text);
    p.type = ternary ? (struct mbi_type){MBI_TERNARY, 0, rows, cols, -1, 1}
                     : (struct mbi_type){MBI_I8, 0, rows, cols, -127, 127};
    p.quant = ternary ? MBI_QUANT_TERNARY : MBI_QUANT_ROWS;
    p.init = MBI_INIT_NORMAL;
    p.init_q16 = init_q16;
    p.is_matrix = 1;
    p.exponent = param_of(b, pr.exponent);
    p.scale = param_of(b, pr.scale);
    for (size_t i = 0; i < n_bands; i++)
        p.band[i] = band[i];
    pr.weight = mbi_build_param(b, &p);
    return pr;
}

/* Matrix product and the one rounding behind it. `shift` is what the fixed points alone ask. */
static mbi_ref project(struct mbi_build *b, const char *label, mbi_ref x,
                       const struct projection *pr, struct mbi_requant_attr attr)
{
    const mbi_ref acc = mbi_matvec(b, label, x, pr->weight);

    return pr->scale == MBI_NONE ? mbi_requant_rows(b, label, acc, pr->exponent, &attr)
                                 : mbi_requant_mul(b, label, acc, pr->scale, pr->exponent, &attr);
}

/* ---- the step ---- */

/* Residual stream (Q10) to the i8 Q5 input of a projection. */
static mbi_ref norm(struct mbi_build *b, const struct mbi_config *c, mbi_ref r, const char *gain)
{
    mbi_ref n;

    if (c->v[NORM] == NORM_RMS)
        return mbi_norm(b, "norm", r, MBI_OP_norm_rms, 1, 5, 8);
    n = mbi_norm(b, "norm", r, MBI_OP_norm_shift, 1, 10, 16);
    n = mbi_mul(b, "gain", n, vector(b, gain, c->v[D_MODEL], MBI_INIT_CONST, 1 << 16), 1);
    return mbi_requant(b, "norm", n, 13, -128, 127, 5);
}

/* Causal convolution over x, B and C with its gate: i16 Q8 in, i8 Q5 out. */
static mbi_ref convolve(struct mbi_build *b, const struct mbi_config *c, mbi_ref p,
                        uint32_t channels)
{
    const mbi_ref exponent =
        derived(b, "ssm_conv1d.exponent", MBI_I8, channels, EXPONENT_MIN, CONV_EXPONENT_MAX);
    const mbi_ref bias = vector(b, "ssm_conv1d.bias", channels, MBI_INIT_ZERO, 0);
    struct mbi_param taps = named(b, "ssm_conv1d.weight");
    mbi_ref u;

    taps.type = (struct mbi_type){MBI_I8, 0, channels, CONV_TAPS, -127, 127};
    taps.quant = MBI_QUANT_ROWS;
    taps.init = MBI_INIT_UNIFORM;
    taps.init_q16 = 1 << 16;
    taps.exponent = param_of(b, exponent);
    u = mbi_conv(b, "conv", p, mbi_build_param(b, &taps), exponent, bias);
    u = mbi_gate(b, "conv gate", u, c->v[GATE]);
    return mbi_requant(b, "x, B, C", u, 18, -128, 127, 5);
}

/* What the recurrence reads for this token, plus the direct path D x: i32 Q14. */
static mbi_ref recur(struct mbi_build *b, const struct mbi_config *c, mbi_ref x, mbi_ref bc,
                     mbi_ref dt)
{
    const struct mbi_scan_attr attr = {(int32_t)c->v[CHUNK], (int32_t)c->v[HEADS],
                                       (int32_t)c->v[HEAD_DIM], (int32_t)c->v[D_STATE],
                                       (int32_t)c->v[HOLD]};
    const mbi_ref bias = vector(b, "ssm_dt.bias", c->v[HEADS], MBI_INIT_SPECTRUM, 11 << 16);
    const mbi_ref skip = vector(b, "ssm_d", c->v[HEADS], MBI_INIT_CONST, 1 << 16);
    const mbi_ref l = mbi_decay(b, "decay", dt, bias, c->v[HOLD]);
    const mbi_ref y = mbi_scan(b, "scan", x, bc, l, &attr);
    const mbi_ref dx = mbi_mul(b, "D x", x, skip, c->v[HEAD_DIM]);

    return mbi_add(b, "y", y, mbi_requant(b, "D x", dx, -1, INT32_MIN, INT32_MAX, 14));
}

/* y, normalised head by head, times the gate z: the i8 Q4 input of the output projection. */
static mbi_ref gated(struct mbi_build *b, const struct mbi_config *c, mbi_ref y, mbi_ref z)
{
    const uint32_t op = c->v[NORM] == NORM_RMS ? MBI_OP_norm_rms : MBI_OP_norm_shift;
    const mbi_ref yn = mbi_norm(b, "head norm", y, op, c->v[HEADS], 8, 16);
    const mbi_ref zc = mbi_requant(b, "z", z, 0, -2047, 2047, 8);
    const mbi_ref g = mbi_gate(b, "z gate", zc, c->v[GATE]);
    const mbi_ref gz = mbi_requant(b, "z gate", g, 12, -32768, 32767, 11);

    return mbi_requant(b, "gated y", mbi_mul(b, "gated y", yn, gz, 1), 15, -128, 127, 4);
}

static mbi_ref block(struct mbi_build *b, const struct mbi_config *c, mbi_ref r)
{
    const uint32_t inner = c->v[D_INNER], state = c->v[D_STATE], heads = c->v[HEADS];
    const uint32_t pairs = c->v[PAIRS], channels = inner + 2 * state;
    const uint32_t at_dt = inner + channels, at_turn = at_dt + heads, rows = at_turn + pairs;
    const struct mbi_band band[] = {{at_dt, 256}, {at_turn, 77}, {rows, 26}}; /* 1, 0.3, 0.1 */
    const int32_t out_init = (int32_t)mbi_isqrt(((uint64_t)1 << 32) / c->v[LAYERS]);
    const struct projection in =
        projection(b, "ssm_in", rows, c->v[D_MODEL], c->v[WEIGHTS], 1 << 16, band, pairs ? 3 : 2);
    const mbi_ref n = norm(b, c, r, "norm.gain");
    const mbi_ref p = project(b, "in", n, &in, (struct mbi_requant_attr){-3, -32768, 32767, 8});
    const mbi_ref xbc = convolve(b, c, mbi_slice(b, "x, B, C", p, inner, channels), channels);
    mbi_ref bc = mbi_slice(b, "B, C", xbc, inner, 2 * state);
    mbi_ref x, dt, g;
    struct projection out;

    if (pairs)
        bc = mbi_rotate(b, "rotate", bc,
                        mbi_turn(b, "turn", mbi_slice(b, "turn", p, at_turn, pairs)), pairs);
    /* One node a statement wherever two would meet: the order of nodes is part of the digest, and C
     * leaves the order of arguments to the compiler. */
    x = mbi_slice(b, "x", xbc, 0, inner);
    dt = mbi_slice(b, "dt", p, at_dt, heads);
    g = recur(b, c, x, bc, dt);
    g = gated(b, c, g, mbi_slice(b, "z", p, 0, inner));
    out = projection(b, "ssm_out", c->v[D_MODEL], inner, c->v[WEIGHTS], out_init, NULL, 0);
    return mbi_addsat(
        b, "residual", r,
        project(b, "out", g, &out, (struct mbi_requant_attr){4 - 10, INT32_MIN, INT32_MAX, 10}),
        RESIDUAL_BITS);
}

/* Rows i8 Q5. A tied table is also the head, so it starts small; otherwise at 0.7. */
static mbi_ref embedding(struct mbi_build *b, const struct mbi_config *c)
{
    const uint32_t root = mbi_isqrt((uint64_t)c->v[D_MODEL] << 16); /* sqrt(d) in Q8 */
    struct mbi_param p = named(b, "token_embd.weight");

    p.type = (struct mbi_type){MBI_I8, 5, c->v[VOCAB], c->v[D_MODEL], -127, 127};
    p.quant = MBI_QUANT_FIXED;
    p.init = MBI_INIT_NORMAL;
    p.init_q16 = c->v[TIED] ? 3 << 15 : (int32_t)(((uint64_t)root * 45875) >> 8);
    p.is_matrix = 1;
    return mbi_build_param(b, &p);
}

static mbi_ref head(struct mbi_build *b, const struct mbi_config *c, mbi_ref n, mbi_ref table)
{
    const struct mbi_requant_attr attr = {5 - 12, -LOGIT_MAX - 1, LOGIT_MAX, 12};
    struct projection out;

    if (c->v[TIED]) /* the table's exponent is 5 */
        return mbi_requant(b, "logits", mbi_matvec(b, "head", n, table), 5 + attr.shift, attr.lo,
                           attr.hi, attr.frac);
    out = projection(b, "output", c->v[VOCAB], c->v[D_MODEL], c->v[HEAD_WEIGHTS], 1 << 15, NULL, 0);
    return project(b, "logits", n, &out, attr);
}

static int32_t build(struct mbi_build *b, const struct mbi_config *c)
{
    const mbi_ref token = mbi_build_token(b, c->v[VOCAB]);
    const mbi_ref table = embedding(b, c);
    mbi_ref r = mbi_requant(b, "residual", mbi_embed(b, "embed", token, table), -5, INT32_MIN,
                            INT32_MAX, 10);
    mbi_ref logits;

    for (uint32_t i = 0; i < c->v[LAYERS]; i++) {
        b->layer = i;
        r = block(b, c, r);
    }
    b->layer = MBI_NONE;
    logits = head(b, c, norm(b, c, r, "output_norm.gain"), table);
    return mbi_build_end(b, logits, mbi_argmax(b, "argmax", logits));
}

const struct mbi_arch mbi_arch_mamba_integer = {
    .name = "mamba-integer",
    .prefix = "mamba-integer.",
    .field = fields,
    .n_fields = N_FIELDS,
    .preset = presets,
    .n_presets = MBI_COUNT(presets),
    .vocab_field = VOCAB,
    .resolve = resolve,
    .build = build,
};
