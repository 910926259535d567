/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of eight transforms side by side. Two stages are done in one pass, so that a value is
 * loaded and stored half as often.
 */
#include "cpu/x86/field.h"

#define LANES MBI_NTT_LANES
#define VECTORS (LANES / WIDTH)

static inline void butterfly(vec *u, vec *v, struct factor w)
{
    const vec a = *u, b = mul_by(*v, w);

    *u = add(a, b);
    *v = sub(a, b);
}

static inline void butterfly_of_1(vec *u, vec *v)
{
    const vec a = *u, b = *v;

    *u = add(a, b);
    *v = sub(a, b);
}

/* Stage 0 alone: neighbours, with w = 1. */
static void stage_0(mbi_fe *x, size_t n)
{
    for (mbi_fe *end = x + LANES * n; x < end; x += 2 * LANES)
        for (int k = 0; k < LANES; k += WIDTH) {
            vec u = load(x + k), v = load(x + LANES + k);

            butterfly_of_1(&u, &v);
            store(x + k, u);
            store(x + LANES + k, v);
        }
}

/* Any stage alone. */
static void stage(mbi_fe *x, size_t n, size_t half, const mbi_fe *root)
{
    for (mbi_fe *end = x + LANES * n; x < end; x += 2 * LANES * half)
        for (size_t i = 0; i < half; i++) {
            const struct factor w = factor(all(root[half + i]));
            mbi_fe *p = x + LANES * i, *q = p + LANES * half;

            for (int k = 0; k < LANES; k += WIDTH) {
                vec u = load(p + k), v = load(q + k);

                butterfly(&u, &v, w);
                store(p + k, u);
                store(q + k, v);
            }
        }
}

/* Stages 0 and 1: of the four factors one alone is not 1. */
static void stages_0_1(mbi_fe *x, size_t n, const mbi_fe *root)
{
    const struct factor w = factor(all(root[3]));

    for (mbi_fe *end = x + LANES * n; x < end; x += 4 * LANES)
        for (int k = 0; k < LANES; k += WIDTH) {
            mbi_fe *p = x + k;
            vec a = load(p), b = load(p + LANES), c = load(p + 2 * LANES), d = load(p + 3 * LANES);

            butterfly_of_1(&a, &b);
            butterfly_of_1(&c, &d);
            butterfly_of_1(&a, &c);
            butterfly(&b, &d, w);
            store(p, a);
            store(p + LANES, b);
            store(p + 2 * LANES, c);
            store(p + 3 * LANES, d);
        }
}

/* The stage of pairs `half` apart and the next one. */
static void two_stages(mbi_fe *x, size_t n, size_t half, const mbi_fe *root)
{
    const size_t apart = LANES * half;

    for (mbi_fe *end = x + LANES * n; x < end; x += 4 * apart)
        for (size_t i = 0; i < half; i++) {
            const struct factor w = factor(all(root[half + i]));
            const struct factor w0 = factor(all(root[2 * half + i]));
            const struct factor w1 = factor(all(root[3 * half + i]));

            for (int k = 0; k < LANES; k += WIDTH) {
                mbi_fe *p = x + LANES * i + k;
                vec a = load(p), b = load(p + apart), c = load(p + 2 * apart),
                    d = load(p + 3 * apart);

                butterfly(&a, &b, w);
                butterfly(&c, &d, w);
                butterfly(&a, &c, w0);
                butterfly(&b, &d, w1);
                store(p, a);
                store(p + apart, b);
                store(p + 2 * apart, c);
                store(p + 3 * apart, d);
            }
        }
}

void MBI_X86(ntt_stages)(mbi_fe *x, unsigned log_n, unsigned first, const mbi_fe *root)
{
    const size_t n = (size_t)1 << log_n;
    unsigned k = first;

    if (k < log_n && (log_n - k) % 2) {
        if (k == 0)
            stage_0(x, n);
        else
            stage(x, n, (size_t)1 << k, root);
        k++;
    }
    for (; k < log_n; k += 2) {
        if (k == 0)
            stages_0_1(x, n, root);
        else
            two_stages(x, n, (size_t)1 << k, root);
    }
}

/* Four powers at a time, each its own chain: step^j for j = i modulo 4. */
#define CHAINS 4

void MBI_X86(ntt_powers)(mbi_fe *x, size_t n, mbi_fe start, const mbi_fe step[MBI_NTT_LANES])
{
    for (int k = 0; k < LANES; k += WIDTH) {
        const vec by = load(step + k);
        const vec by2 = mul(by, by);
        const struct factor by4 = factor(mul(by2, by2));
        vec power[CHAINS] = {all(start)};
        size_t j = 0;

        for (int i = 1; i < CHAINS; i++)
            power[i] = mul(power[i - 1], by);
        for (; j + CHAINS <= n; j += CHAINS)
            for (size_t i = 0; i < CHAINS; i++) {
                mbi_fe *p = x + LANES * (j + i) + k;

                store(p, mul(load(p), power[i]));
                power[i] = mul_by(power[i], by4);
            }
        for (size_t i = 0; j + i < n; i++) { /* fewer than CHAINS */
            mbi_fe *p = x + LANES * (j + i) + k;

            store(p, mul(load(p), power[i]));
        }
    }
}
