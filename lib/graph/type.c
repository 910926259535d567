/* SPDX-License-Identifier: Apache-2.0 */
/* Value types: names, sizes, the narrowest integer for an interval. */
#include "graph/type.h"
#include "base/intmath.h"

const char *mbi_dtype_name(uint32_t dtype)
{
    static const char *const name[] = {"none", "ternary", "i8", "i16", "i32", "i64"};

    return name[dtype <= MBI_I64 ? dtype : 0];
}

size_t mbi_dtype_size(uint32_t dtype)
{
    static const uint8_t size[] = {0, 0, 1, 2, 4, 8};

    return size[dtype <= MBI_I64 ? dtype : 0];
}

size_t mbi_type_row_size(const struct mbi_type *t)
{
    return t->dtype == MBI_TERNARY ? ((size_t)t->cols + 3) / 4
                                   : (size_t)t->cols * mbi_dtype_size(t->dtype);
}

uint32_t mbi_dtype_for(int64_t lo, int64_t hi)
{
    for (uint32_t dtype = MBI_I8; dtype < MBI_I64; dtype++) {
        const int bits = 8 * (int)mbi_dtype_size(dtype);

        if (mbi_sat(lo, bits) == lo && mbi_sat(hi, bits) == hi)
            return dtype;
    }
    return MBI_I64;
}

int64_t mbi_type_magnitude(const struct mbi_type *t) { return mbi_max_i64(-t->lo, t->hi); }
