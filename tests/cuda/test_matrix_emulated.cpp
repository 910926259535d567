/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda/matrix.cu on the emulator against plain loops: the order of packed matrices, and products
 * of random shapes by every kernel, with every type, every way to finish, and values at their
 * extremes.
 */
#include "cuda/matrix.cu"

#include <memory>
#include <random>

static std::mt19937_64 rng;

static int64_t pick(int64_t lo, int64_t hi)
{
    return std::uniform_int_distribution<int64_t>(lo, hi)(rng);
}

/* Memory of exactly n bytes, so that a sanitizer sees what goes beyond; `off` bytes from a
 * multiple of 16. */
struct buffer {
    std::unique_ptr<uint8_t[]> memory;
    uint8_t *at;

    explicit buffer(size_t n, size_t off = 0) : memory(new uint8_t[n + off]), at(memory.get() + off)
    {
        memset(memory.get(), 0x5a, n + off);
    }
};

/* ---- one product ---- */

struct trial {
    uint32_t dtype, x_dtype, rows, cols, lanes;
    size_t off; /* of x and out, elements from an aligned address */
    std::vector<int32_t> w, x;
    std::vector<int32_t> add; /* empty: none */
    std::vector<int8_t> exponent;
    int16_t scale;
    bool in_place; /* add is out */
    bool keeps;    /* the sum, and what was added to */
    mbi_cuda_finish f;
};

/* Values in [lo, hi]: any, extreme ones, or all the same extreme one. */
static void fill(std::vector<int32_t> &v, size_t n, int32_t lo, int32_t hi)
{
    const int64_t kind = pick(0, 3);
    const int32_t same = pick(0, 1) ? lo : hi;

    v.resize(n);
    for (int32_t &e : v)
        e = kind == 0 ? same : kind == 1 ? (pick(0, 1) ? lo : hi) : (int32_t)pick(lo, hi);
}

static size_t out_size(uint32_t dtype)
{
    return dtype == MBI_I8 ? 1 : dtype == MBI_I16 ? 2 : dtype == MBI_I32 ? 4 : 8;
}

static void choose_finish(trial &t)
{
    static const int32_t lo[] = {-128, -32768, INT32_MIN, INT32_MIN};
    mbi_cuda_finish &f = t.f;

    f = mbi_cuda_finish();
    f.kind = (int32_t)pick(0, 3);
    f.dtype = (uint32_t)pick(MBI_I8, MBI_I64);
    t.keeps = f.kind != MBI_FINISH_NONE && pick(0, 1);
    if (f.kind == MBI_FINISH_NONE) {
        f.dtype = pick(0, 3) ? MBI_I32 : MBI_I64;
        return;
    }
    f.lo = lo[f.dtype - MBI_I8];
    f.hi = -(f.lo + 1);
    if (pick(0, 1)) {
        f.lo = (int32_t)pick(f.lo, 0);
        f.hi = (int32_t)pick(0, f.hi);
    }
    t.exponent.resize(f.kind == MBI_FINISH_ROWS ? t.rows : 1);
    for (int8_t &e : t.exponent)
        e = (int8_t)pick(-8, 15);
    f.shift = (int32_t)(pick(0, 1) ? pick(10, 17) : pick(-16, 40));
    t.scale = (int16_t)(pick(0, 3) ? pick(0, 32767) : 32767);
    if (f.kind == MBI_FINISH_MUL)
        f.shift = (int32_t)(pick(0, 1) ? pick(24, 47) : pick(4, 47));
    if (pick(0, 1)) {
        const int32_t most = f.dtype == MBI_I8 ? 8 : f.dtype == MBI_I16 ? 16 : 32;

        f.bits = (int32_t)pick(2, most);
        fill(t.add, (size_t)t.lanes * t.rows, pick(0, 1) ? INT32_MIN : -100000,
             pick(0, 1) ? INT32_MAX : 100000);
        t.in_place = f.dtype == MBI_I32 && pick(0, 1);
    }
}

static trial choose(uint32_t rows, uint32_t cols, uint32_t lanes)
{
    trial t = {};
    int32_t most = 32767;

    t.dtype = pick(0, 1) ? MBI_I8 : MBI_TERNARY;
    t.x_dtype = pick(0, 2) ? MBI_I8 : MBI_I16;
    t.rows = rows;
    t.cols = cols;
    t.lanes = lanes;
    t.off = pick(0, 3) ? 0 : (size_t)pick(1, 15);
    fill(t.w, (size_t)rows * cols, t.dtype == MBI_I8 ? -128 : -1, t.dtype == MBI_I8 ? 127 : 1);
    if (t.dtype == MBI_I8 && most > INT32_MAX / 128 / (int32_t)cols)
        most = INT32_MAX / 128 / (int32_t)cols; /* the sum fits in an int32 */
    fill(t.x, (size_t)lanes * cols, t.x_dtype == MBI_I8 ? -128 : -most,
         t.x_dtype == MBI_I8 ? 127 : most);
    choose_finish(t);
    return t;
}

/* Rows as a parameter has them on the host: lib/graph/type.h. */
static std::vector<uint8_t> raw_rows(const trial &t)
{
    const size_t size = t.dtype == MBI_I8 ? t.cols : (t.cols + 3) / 4;
    std::vector<uint8_t> raw(size * t.rows, t.dtype == MBI_I8 ? 0 : 0x55);

    for (size_t r = 0; r < t.rows; r++)
        for (size_t k = 0; k < t.cols; k++) {
            const int32_t w = t.w[r * t.cols + k];
            uint8_t *const p = &raw[r * size + (t.dtype == MBI_I8 ? k : k / 4)];

            if (t.dtype == MBI_I8)
                *p = (uint8_t)w;
            else
                *p = (uint8_t)((*p & ~(3 << 2 * (k % 4))) | (w + 1) << 2 * (k % 4));
        }
    return raw;
}

/* The value that the operations of lib/op give, as it lies in memory; and on the way the sum and the
 * value before the addition. */
struct values {
    int64_t sum, rounded, out;
};

static values expected(const trial &t, uint32_t lane, uint32_t row)
{
    const mbi_cuda_finish &f = t.f;
    int64_t v = 0;
    values all;

    for (size_t k = 0; k < t.cols; k++)
        v += (int64_t)t.w[(size_t)row * t.cols + k] * t.x[(size_t)lane * t.cols + k];
    if (v != (int32_t)v) {
        fprintf(stderr, "a sum is beyond int32\n");
        abort();
    }
    all.sum = v;
    if (f.kind == MBI_FINISH_SHIFT)
        v = mbi_rshift_half_up(v, f.shift);
    else if (f.kind == MBI_FINISH_ROWS)
        v = mbi_rshift_half_up(v, f.shift + t.exponent[row]);
    else if (f.kind == MBI_FINISH_MUL)
        v = mbi_rshift_half_up(v * t.scale, f.shift + t.exponent[0]);
    if (f.kind != MBI_FINISH_NONE)
        v = mbi_clamp_i64(v, f.lo, f.hi);
    all.rounded = v;
    if (!t.add.empty())
        v = mbi_sat(v + t.add[(size_t)lane * t.rows + row], f.bits);
    all.out = f.dtype == MBI_I8 ? (int8_t)v : f.dtype == MBI_I16 ? (int16_t)v : v;
    return all;
}

static int64_t got(const trial &t, const uint8_t *out, size_t at)
{
    int64_t v = 0;

    switch (t.f.dtype) {
    case MBI_I8:
        return (int8_t)out[at];
    case MBI_I16:
        return ((const int16_t *)out)[at];
    case MBI_I32:
        return ((const int32_t *)out)[at];
    default:
        memcpy(&v, out + 8 * at, 8);
        return v;
    }
}

static std::vector<values> expected_all(const trial &t)
{
    std::vector<values> v;

    for (uint32_t lane = 0; lane < t.lanes; lane++)
        for (uint32_t row = 0; row < t.rows; row++)
            v.push_back(expected(t, lane, row));
    return v;
}

/* One kernel, CHOICE_END: the one that the library would take. */
static bool compare(trial &t, int choice, const uint8_t *packed, const void *x,
                    const std::vector<values> &want)
{
    const size_t n = (size_t)t.lanes * t.rows, e = out_size(t.f.dtype);
    buffer out(n * e, t.off * e), sum(n * 4, t.off * 4), rounded(n * 4, t.off * 4);
    product p = {};
    device d;

    p.m = mbi_cuda_matrix{packed, t.dtype, t.rows, t.cols};
    p.x = x;
    p.x_dtype = t.x_dtype;
    p.lanes = t.lanes;
    p.finish = t.f;
    p.finish.out = out.at;
    p.finish.exponent = t.exponent.data();
    p.finish.scale = &t.scale;
    p.finish.add = t.add.empty() ? NULL : t.in_place ? (int32_t *)out.at : t.add.data();
    if (t.keeps)
        p.kept = {(int32_t *)sum.at, t.add.empty() ? NULL : (int32_t *)rounded.at};
    if (t.in_place)
        memcpy(out.at, t.add.data(), n * e);
    if (choice == CHOICE_END) {
        mbi_cuda_matmul(&p.m, x, t.x_dtype, t.lanes, &p.finish, &p.kept, nullptr);
    } else {
        if (choice >= CHOICE_LARGE && !product_aligned(&p))
            return true;
        device_get(&d);
        if (pick(0, 1))
            d.shared = 64 << 10; /* of x not all columns then */
        product_start(&p, choice, &d, nullptr);
    }
    for (size_t i = 0; i < n; i++)
        if (got(t, out.at, i) != want[i].out ||
            (p.kept.sum && p.kept.sum[i] != want[i].sum) ||
            (p.kept.rounded && p.kept.rounded[i] != want[i].rounded)) {
            printf(
                "kernel %d: dtype %u x %u rows %u cols %u lanes %u off %zu, finish %d of type %u "
                "shift %d add %d bits %d keeps %d: lane %zu row %zu is %lld, must be %lld\n",
                choice, t.dtype, t.x_dtype, t.rows, t.cols, t.lanes, t.off, t.f.kind, t.f.dtype,
                t.f.shift, !t.add.empty(), t.f.bits, t.keeps, i / t.rows, i % t.rows,
                (long long)got(t, out.at, i), (long long)want[i].out);
            return false;
        }
    return true;
}

static bool check(trial &t, int first, int end)
{
    const size_t e = t.x_dtype == MBI_I8 ? 1 : 2;
    const std::vector<values> want = expected_all(t);
    const std::vector<uint8_t> raw = raw_rows(t);
    buffer packed(mbi_cuda_packed_size(t.dtype, t.rows, t.cols));
    buffer x(t.x.size() * e, t.off * e);
    bool ok = true;

    for (size_t i = 0; i < t.x.size(); i++)
        if (e == 1)
            x.at[i] = (uint8_t)t.x[i];
        else
            ((int16_t *)x.at)[i] = (int16_t)t.x[i];
    mbi_cuda_pack(packed.at, raw.data(), t.dtype, t.rows, t.cols, nullptr);
    for (int choice = first; choice <= end; choice++)
        ok &= compare(t, choice, packed.at, x.at, want);
    return ok;
}

/* ---- the order of packed matrices ---- */

static int32_t weight(const trial &t, size_t row, size_t col)
{
    return row < t.rows && col < t.cols ? t.w[row * t.cols + col] : 0;
}

/* Byte b of a[r] of lane l of product q of a block, after cuda/matrix.h and mbi_mma(). */
static int32_t packed_weight(const uint8_t *block, uint32_t dtype, size_t q, size_t l, size_t r,
                             size_t b)
{
    uint32_t word;

    if (dtype == MBI_I8)
        return (int8_t)block[512 * q + 16 * l + 4 * r + b];
    memcpy(&word, block + 16 * l + 4 * q, 4);
    return (int32_t)(word >> (8 * b + 2 * r) & 3) - 1;
}

static bool check_packing(const trial &t)
{
    const size_t cols = (t.cols + 127) / 128, size = t.dtype == MBI_I8 ? 2048 : 512;
    const std::vector<uint8_t> raw = raw_rows(t);
    buffer packed(mbi_cuda_packed_size(t.dtype, t.rows, t.cols));

    if (mbi_cuda_packed_size(t.dtype, t.rows, t.cols) != (t.rows + 15) / 16 * cols * size)
        return false;
    mbi_cuda_pack(packed.at, raw.data(), t.dtype, t.rows, t.cols, nullptr);
    for (size_t block = 0; block < (t.rows + 15) / 16 * cols; block++)
        for (size_t i = 0; i < 2048; i++) {
            const size_t q = i / 512, l = i / 16 % 32, r = i / 4 % 4, b = i % 4;
            const size_t row = block / cols * 16 + l / 4 + 8 * (r % 2);
            const size_t col = block % cols * 128 + 32 * q + 4 * (l % 4) + b + 16 * (r / 2);

            if (packed_weight(packed.at + block * size, t.dtype, q, l, r, b) !=
                weight(t, row, col)) {
                printf("packing: dtype %u rows %u cols %u: row %zu column %zu\n", t.dtype, t.rows,
                       t.cols, row, col);
                return false;
            }
        }
    return true;
}

static bool check_shapes(void)
{
    bool ok = true;

    for (int i = 0; i < 60; i++)
        ok &= check_packing(choose((uint32_t)pick(1, 70), (uint32_t)pick(1, 300), 1));
    /* every kernel, small shapes */
    for (int i = 0; i < 60; i++) {
        const uint32_t unit = pick(0, 1) ? 16 : 1, cols = (uint32_t)pick(1, 400 / unit) * unit;
        trial t = choose((uint32_t)(pick(0, 1) ? pick(1, 100) : 8 * pick(1, 12)), cols,
                         (uint32_t)pick(1, pick(0, 1) ? 70 : 9));

        ok &= check(t, 0, CHOICE_END);
    }
    return ok;
}

/* Every way to finish of the kernels for many lanes, with shifts near the size of the sums. */
static bool check_finishes(void)
{
    bool ok = true;

    for (int i = 0; i < 160; i++) {
        trial t =
            choose((uint32_t)pick(1, 8) * 4, (uint32_t)pick(1, 24) * 16, (uint32_t)pick(1, 32));

        t.off = 0;
        t.x_dtype = MBI_I8;
        for (int32_t &x : t.x)
            x = (int8_t)x;
        if (t.f.kind != MBI_FINISH_NONE && t.f.dtype == MBI_I64)
            t.f.dtype = MBI_I32;
        t.scale = (int16_t)pick(16384, 32767);
        if (t.f.kind == MBI_FINISH_MUL)
            t.f.shift = (int32_t)(pick(0, 1) ? pick(27, 33) : pick(10, 27));
        else if (t.f.kind != MBI_FINISH_NONE)
            t.f.shift = (int32_t)pick(-2, 22);
        for (int8_t &e : t.exponent)
            e = (int8_t)pick(0, 5);
        ok &= check(t, CHOICE_SMALL, CHOICE_SMALL);
    }
    return ok;
}

/* Shapes of several tiles in every direction, by the kernel that the library takes. */
static bool check_large(void)
{
    bool ok = true;

    for (int i = 0; i < 18; i++) {
        const uint32_t unit = pick(0, 3) ? 16 : 1, cols = (uint32_t)pick(1, 600 / unit) * unit;
        trial t = choose((uint32_t)(pick(0, 1) ? pick(1, 300) : 8 * pick(1, 37)), cols,
                         (uint32_t)pick(1, 300));
        const int kernel = (int)pick(CHOICE_LARGE, CHOICE_END);

        ok &= check(t, kernel, kernel);
    }
    return ok;
}

int main(int argc, char **argv)
{
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : std::random_device()();
    bool ok;

    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    rng.seed(seed);
    ok = check_shapes();
    ok &= check_finishes();
    ok &= check_large();
    printf("%s\n", ok ? "all products are equal" : "PRODUCTS DIFFER");
    return ok ? 0 : 1;
}
