/* SPDX-License-Identifier: Apache-2.0 */
/* The field beyond sums and products: inverses and bytes.                     proof.md, field */
#include "proof/field.h"
#include "base/bytes.h"

static mbi_fe square_times(mbi_fe a, int n)
{
    while (n--)
        a = mbi_fe_mul(a, a);
    return a;
}

/* Every a_n is a^(2^n - 1), and p - 2 = 2^33 (2^31 - 1) + 2^32 - 1: 63 squares, 9 products. */
mbi_fe mbi_fe_inv(mbi_fe a)
{
    const mbi_fe a2 = mbi_fe_mul(square_times(a, 1), a);
    const mbi_fe a3 = mbi_fe_mul(square_times(a2, 1), a);
    const mbi_fe a6 = mbi_fe_mul(square_times(a3, 3), a3);
    const mbi_fe a12 = mbi_fe_mul(square_times(a6, 6), a6);
    const mbi_fe a24 = mbi_fe_mul(square_times(a12, 12), a12);
    const mbi_fe a30 = mbi_fe_mul(square_times(a24, 6), a6);
    const mbi_fe a31 = mbi_fe_mul(square_times(a30, 1), a);
    const mbi_fe a32 = mbi_fe_mul(square_times(a31, 1), a);

    return mbi_fe_mul(square_times(a31, 33), a32);
}

/* Products of all before, then back through them; a 0 stands for 1 there and is put back. */
void mbi_fe_inv_batch(mbi_fe *x, mbi_fe *work, size_t n)
{
    mbi_fe all = 1;

    for (size_t i = 0; i < n; i++) {
        work[i] = all;
        all = mbi_fe_mul(all, x[i] | (x[i] == 0));
    }
    all = mbi_fe_inv(all);
    for (size_t i = n; i-- > 0;) {
        const mbi_fe inverse = mbi_fe_mul(all, work[i]);

        all = mbi_fe_mul(all, x[i] | (x[i] == 0));
        x[i] = inverse & mbi_fe_mask(x[i] != 0);
    }
}

void mbi_fe_to_bytes(uint8_t *out, const mbi_fe *x, size_t n) { mbi_copy_le(out, x, n, 8); }

bool mbi_fe_from_bytes(mbi_fe *x, const uint8_t *in, size_t n)
{
    uint64_t bad = 0;

    mbi_copy_le(x, in, n, 8);
    for (size_t i = 0; i < n; i++) {
        const uint64_t outside = mbi_fe_mask(x[i] >= MBI_FIELD_P);

        bad |= outside;
        x[i] &= ~outside;
    }
    return !bad;
}
