/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simple: two matrices and a rectifier on a vector of features, without memory (docs/arithmetic.md,
 * "The simple step"). The small model of the proof system.
 */
#include "arch/arch.h"
#include "base/intmath.h"
#include "op/build.h"
#include <stdio.h>

#define FEATURE_FRAC 5 /* of what goes in and of what is handed on */
#define WEIGHT_FRAC 7
#define SUM_FRAC (FEATURE_FRAC + WEIGHT_FRAC) /* of sums, biases and outputs */

enum { FEATURES, HIDDEN, OUTPUTS, N_FIELDS };

/* clang-format off */
static const struct mbi_config_field fields[N_FIELDS] = {
    [FEATURES] = {"feature_count", "features-in", "numbers that go in", MBI_CONFIG_NUMBER, 1, 256, 10, NULL},
    [HIDDEN]   = {"hidden_size", "hidden", "width of the hidden layer", MBI_CONFIG_NUMBER, 1, 1024, 16, NULL},
    [OUTPUTS]  = {"output_count", "outputs", "numbers that come out", MBI_CONFIG_NUMBER, 1, 4096, 69, NULL},
};

static const struct mbi_preset presets[] = {
    {"simple", {[HIDDEN] = 16}},
    {"simple-rwkv", {[HIDDEN] = 16}},
    {"simple-mamba", {[HIDDEN] = 24}},
    {"simple-xlstm", {[HIDDEN] = 20}},
};
/* clang-format on */

/* No field follows from another, and the ranges are all that is asked of them. */
static int32_t resolve(struct mbi_config *c, bool from_flags, mambaint_error *err)
{
    (void)c;
    (void)from_flags;
    (void)err;
    return MAMBAINT_OK;
}

/* W x + b: i32 Q12. The sum stays below 2^7 * 127 * 1024 + 2^15 < 2^24. */
static mbi_ref linear(struct mbi_build *b, const char *name, mbi_ref x, uint32_t rows,
                      uint32_t cols)
{
    const int32_t root = (int32_t)mbi_isqrt((uint64_t)cols << 16); /* sqrt(cols) in Q8 */
    struct mbi_param weight = {
        .type = {MBI_I8, WEIGHT_FRAC, rows, cols, -127, 127},
        .quant = MBI_QUANT_FIXED,
        .init = MBI_INIT_NORMAL,
        .init_q16 = (root * 22938) >> 8, /* a deviation of 0.35, whatever the columns */
        .is_matrix = 1,
        .exponent = MBI_NONE,
        .scale = MBI_NONE,
    };
    struct mbi_param bias = {
        .type = {MBI_I16, SUM_FRAC, 1, rows, -32767, 32767},
        .is_vector = 1,
        .quant = MBI_QUANT_FIXED,
        .init = MBI_INIT_NORMAL,
        .exponent = MBI_NONE,
        .scale = MBI_NONE,
    };
    mbi_ref acc;

    bias.init_q16 = (int32_t)(mbi_isqrt((uint64_t)rows << 16) << 8) / 4; /* a deviation of 0.25 */
    snprintf(weight.name, sizeof(weight.name), "%s.weight", name);
    snprintf(bias.name, sizeof(bias.name), "%s.bias", name);
    acc = mbi_matvec(b, name, x, mbi_build_param(b, &weight));
    return mbi_add(b, name, acc, mbi_build_param(b, &bias));
}

static int32_t build(struct mbi_build *b, const struct mbi_config *c)
{
    const mbi_ref x = mbi_build_features(b, c->v[FEATURES], FEATURE_FRAC);
    mbi_ref h = linear(b, "hidden", x, c->v[HIDDEN], c->v[FEATURES]);
    mbi_ref outputs, best;

    h = mbi_requant(b, "rectified", h, WEIGHT_FRAC, 0, INT8_MAX, FEATURE_FRAC);
    outputs = linear(b, "output", h, c->v[OUTPUTS], c->v[HIDDEN]);
    best = mbi_argmax(b, "argmax", outputs);
    if (c->v[OUTPUTS] >= c->v[FEATURES]) {
        const mbi_ref first = mbi_slice(b, "link", outputs, 0, c->v[FEATURES]);

        mbi_build_link(
            b, mbi_requant(b, "link", first, WEIGHT_FRAC, INT8_MIN, INT8_MAX, FEATURE_FRAC));
    }
    return mbi_build_end(b, outputs, best);
}

const struct mbi_arch mbi_arch_simple = {
    .name = "simple",
    .prefix = "simple.",
    .field = fields,
    .n_fields = N_FIELDS,
    .preset = presets,
    .n_presets = MBI_COUNT(presets),
    .vocab_field = MBI_NO_VOCAB,
    .resolve = resolve,
    .build = build,
};
