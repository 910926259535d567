/* SPDX-License-Identifier: Apache-2.0 */
/* lib/base: hash, generator, integers, text, UTF-8, buffers, memory, files. */
#include "base/blake2b.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/intmath.h"
#include "base/philox.h"
#include "base/scratch.h"
#include "base/text.h"
#include "base/utf8.h"
#include "support.h"
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- blake2b ---- */

static void check_digest(const uint8_t *digest, const char *want)
{
    char hex[2 * MBI_DIGEST_SIZE + 1];

    mbi_hex(hex, digest, MBI_DIGEST_SIZE);
    ck_assert_str_eq(hex, want);
}

/* Values from another implementation (Python's hashlib); lengths around the block borders. */
START_TEST(blake2b_agrees_with_hashlib)
{
    static const struct {
        size_t n;
        const char *digest;
    } c[] = {
        {0, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"},
        {1, "e88bd757ad5b9bedf372d8d3f0cf6c962a469db61a265f6418e1ffed86da29ec"},
        {3, "9facd640130c81e7f318a8d5c660bc1b0f5d03861ffbd4cc1358e0e904593c28"},
        {63, "a69e023685fa5f19fca13acc02142a9cf8450ce5b77966586e0d000c4a4ea942"},
        {64, "586c0dd87616ec042093edc5f87f880d37ca73618e99b03d5850ce9be478721f"},
        {65, "6f7ceeb90322d003c5b33ae8b9d9282e0159dbdc17434abc3f91ae794641d77d"},
        {127, "c9ae3859964b35f04c54b36d33cf299d7290ee621005d28e51598a943560aaaa"},
        {128, "f0501d06597880592bc49234eef100ec1ff349058d0e9d9b753504e24af86dd6"},
        {129, "a34a4e1e03c541dfbf3099c4b6c143c022ced65c28bd7e8a10e0a098461aecf0"},
        {255, "f2d64a40e9412a3414161ff6250075225418fd7c271c1123e162e1bca0de9f93"},
        {256, "d93ebb9c802f5630ab22516fd82b6c21bc8bd551d531349b715f046ed11ed871"},
        {257, "4ce481b24d387422d2bc2baa03d1afd55a1327939ff537c71eb9b38709268649"},
        {383, "13546ea5473c1e813ea5cbffc819d5d924621a9a244cb1d22e7350f29388e257"},
        {384, "cff59531b16bf549e1048f7df5efadf9c590cad5a0b52ab9eeb52e5b5eb86e55"},
        {385, "bcce7c09a264e2ef390a7d888861ffe7a0e862db8a78ef8433048b1eea1db410"},
        {1000, "d62b6c768ce1afc8367e0498ab2f8e3f7c178c35b1429f14c4604b545d200f52"},
        {4096, "3b7dcca5dcb409b9ee1d33ac58a03966d5e86581278891945e3d2fd80e3aad58"},
    };
    uint8_t data[4096], digest[MBI_DIGEST_SIZE];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + 3);
    for (size_t i = 0; i < MBI_COUNT(c); i++) {
        mbi_blake2b(digest, data, c[i].n);
        check_digest(digest, c[i].digest);
    }
    mbi_blake2b(digest, "abc", 3);
    check_digest(digest, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}
END_TEST

START_TEST(blake2b_does_not_depend_on_the_cut)
{
    uint8_t data[700], want[MBI_DIGEST_SIZE], got[MBI_DIGEST_SIZE];
    struct test_random r;
    struct mbi_blake2b s;

    test_random_init(&r, "blake2b_does_not_depend_on_the_cut");
    for (int round = 0; round < 2000; round++) {
        const size_t n = (size_t)test_random_below(&r, sizeof(data) + 1);

        test_random_bytes(&r, data, n);
        mbi_blake2b(want, data, n);
        mbi_blake2b_init(&s);
        for (size_t at = 0; at < n;) {
            const size_t piece = (size_t)test_random_below(&r, mbi_min_size(n - at, 300) + 1);

            mbi_blake2b_add(&s, data + at, piece);
            at += piece;
        }
        mbi_blake2b_end(&s, got);
        test_same_bytes(got, want, sizeof(want));
    }
}
END_TEST

START_TEST(blake2b_field_is_length_then_bytes)
{
    static const uint8_t flat[] = {2, 0, 0, 0, 0, 0, 0, 0, 'a', 'b', 0, 0, 0, 0, 0, 0, 0, 0};
    uint8_t want[MBI_DIGEST_SIZE], got[MBI_DIGEST_SIZE];
    struct mbi_blake2b s;

    mbi_blake2b_init(&s);
    mbi_blake2b_add_field(&s, "ab", 2);
    mbi_blake2b_add_field(&s, NULL, 0);
    mbi_blake2b_end(&s, got);
    mbi_blake2b(want, flat, sizeof(flat));
    test_same_bytes(got, want, sizeof(want));
}
END_TEST

/* ---- philox ---- */

/* The known answers published with Random123 for philox4x32, ten rounds. */
START_TEST(philox_known_answers)
{
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } c[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    for (size_t i = 0; i < MBI_COUNT(c); i++) {
        const uint32_t *x = c[i].counter;
        const uint64_t lo = x[0] | (uint64_t)x[1] << 32, hi = x[2] | (uint64_t)x[3] << 32;
        uint32_t got[4];

        mbi_philox(got, c[i].key[0] | (uint64_t)c[i].key[1] << 32, lo, hi);
        for (int k = 0; k < 4; k++)
            ck_assert_uint_eq(got[k], c[i].want[k]);
    }
    ck_assert_uint_eq(mbi_philox_u64(0, 0), 0xe169c58d6627e8d5u);
}
END_TEST

/* ---- integers ---- */

START_TEST(rounding_shift_puts_halves_up)
{
    static const struct {
        int64_t x, s, want;
    } c[] = {
        {3, 1, 2},
        {1, 1, 1},
        {-1, 1, 0},
        {-3, 1, -1},
        {-4, 1, -2},
        {5, 0, 5},
        {-5, 0, -5},
        {-5, -3, -40},
        {7, -2, 28},
        {INT64_C(1) << 61, 62, 1},
        {-(INT64_C(1) << 61), 62, 0},
    };

    for (size_t i = 0; i < MBI_COUNT(c); i++)
        test_that(mbi_rshift_half_up(c[i].x, (int)c[i].s) == c[i].want);
    for (int64_t x = -2000; x <= 2000; x++)
        for (int s = 1; s < 12; s++) {
            const int64_t y = mbi_rshift_half_up(x, s), one = (int64_t)1 << s;

            /* y - 1/2 <= x / 2^s < y + 1/2 */
            test_that(2 * y * one - one <= 2 * x && 2 * x < 2 * y * one + one);
            test_that(mbi_rshift_floor(x, s) * one <= x);
            test_that((mbi_rshift_floor(x, s) + 1) * one > x);
        }
}
END_TEST

START_TEST(saturation_at_the_ends)
{
    ck_assert_int_eq(mbi_sat(127, 8), 127);
    ck_assert_int_eq(mbi_sat(128, 8), 127);
    ck_assert_int_eq(mbi_sat(-128, 8), -128);
    ck_assert_int_eq(mbi_sat(-129, 8), -128);
    ck_assert_int_eq(mbi_sat(INT64_MAX, 24), 8388607);
    ck_assert_int_eq(mbi_sat(INT64_MIN, 32), INT32_MIN);
}
END_TEST

START_TEST(mulr_equals_the_wide_formula)
{
    for (int32_t a = -32768; a < 32768; a += 7)
        for (int32_t b = -32767; b < 32768; b += 911)
            test_that(mbi_mulr(a, b) == mbi_rshift_half_up((int64_t)a * b, 15));
}
END_TEST

START_TEST(bitlen_at_every_border)
{
    ck_assert_int_eq(mbi_bitlen(0), 0);
    for (int n = 1; n <= 64; n++) {
        const uint64_t top = (uint64_t)1 << (n - 1);

        ck_assert_int_eq(mbi_bitlen(top), n);
        ck_assert_int_eq(mbi_bitlen(top | (top - 1)), n);
    }
}
END_TEST

static void check_isqrt(uint64_t x)
{
    const uint64_t r = mbi_isqrt(x);

    test_check(r * r <= x, "isqrt(%" PRIu64 ") = %" PRIu64 " is too large", x, r);
    test_check(r == UINT32_MAX || (r + 1) * (r + 1) > x,
               "isqrt(%" PRIu64 ") = %" PRIu64 " is too small", x, r);
}

START_TEST(isqrt_is_the_floor)
{
    struct test_random r;

    for (uint64_t x = 0; x < 70000; x++)
        check_isqrt(x);
    for (uint64_t k = 1; k <= UINT32_MAX; k += 65521) { /* around squares */
        check_isqrt(k * k - 1);
        check_isqrt(k * k);
        check_isqrt(k * k + 1);
    }
    check_isqrt(UINT64_MAX);
    check_isqrt((uint64_t)UINT32_MAX * UINT32_MAX);
    check_isqrt((uint64_t)UINT32_MAX * UINT32_MAX - 1);
    test_random_init(&r, "isqrt_is_the_floor");
    for (int i = 0; i < 200000; i++)
        check_isqrt(test_random_u64(&r) >> test_random_below(&r, 64));
}
END_TEST

START_TEST(squareplus_is_the_floor)
{
    for (int frac = 0; frac <= 14; frac++)
        for (int64_t x = -70000; x <= 70000; x += 37) {
            const int64_t y = mbi_squareplus(x, frac);
            const int64_t root = 2 * y - x; /* isqrt or one less */
            const int64_t square = x * x + ((int64_t)4 << (2 * frac));

            test_that(y >= 0);
            test_that(root * root <= square && (root + 2) * (root + 2) > square);
        }
}
END_TEST

START_TEST(sigmoid_is_odd_rising_and_floored)
{
    int32_t last = mbi_sigmoid(-32768);

    for (int32_t x = -32768; x < 32768; x++) {
        const int32_t y = mbi_sigmoid(x), m = x < 0 ? -x : x;
        const int64_t part = x < 0 ? (1 << 14) - y : y - (1 << 14);

        test_that(y >= last);
        test_that(part * (256 + m) <= (int64_t)m << 14 && (part + 1) * (256 + m) > (int64_t)m
                                                                                       << 14);
        if (x > -32768)
            test_that(y + mbi_sigmoid(-x) == 1 << 15);
        last = y;
    }
}
END_TEST

START_TEST(checked_sizes_refuse_overflow)
{
    size_t n;

    ck_assert(mbi_mul_size(&n, SIZE_MAX / 3, 3) && n == SIZE_MAX / 3 * 3);
    ck_assert(mbi_mul_size(&n, 0, SIZE_MAX) && n == 0);
    ck_assert(mbi_mul_size(&n, SIZE_MAX, 1) && n == SIZE_MAX);
    ck_assert(!mbi_mul_size(&n, SIZE_MAX / 2 + 1, 2));
    ck_assert(!mbi_mul_size(&n, SIZE_MAX, SIZE_MAX));
    ck_assert(mbi_add_size(&n, SIZE_MAX - 1, 1) && n == SIZE_MAX);
    ck_assert(!mbi_add_size(&n, SIZE_MAX, 1));
    ck_assert_uint_eq(mbi_align_size(0, 64), 0);
    ck_assert_uint_eq(mbi_align_size(1, 64), 64);
    ck_assert_uint_eq(mbi_align_size(64, 64), 64);
}
END_TEST

/* ---- the dyadic polynomials against true values ---- */

/*
 * tests/golden/dyadic.txt holds sixteen roots of 1/2, from which 2^(-f/65536) follows for every
 * f by at most 16 floored factors and products: at most 32 units of 2^-63 too low.
 */
#define ORACLE_ERROR 32

struct oracle {
    uint64_t root[16];
    int32_t t[64], s[64]; /* by rho + 32 */
    uint32_t n_power, power_f[600];
    uint64_t power[600];
};

/* floor(a * b / 2^63) from 32-bit halves. */
static uint64_t mul63(uint64_t a, uint64_t b)
{
    const uint64_t al = a & UINT32_MAX, ah = a >> 32, bl = b & UINT32_MAX, bh = b >> 32;
    const uint64_t mid = (al * bl >> 32) + (ah * bl & UINT32_MAX) + (al * bh & UINT32_MAX);
    const uint64_t high = ah * bh + (ah * bl >> 32) + (al * bh >> 32) + (mid >> 32);

    return high << 1 | (mid >> 31 & 1);
}

static void oracle_read(struct oracle *o)
{
    FILE *f = test_data_open("golden/dyadic.txt");
    int roots = 0, shears = 0;
    char line[200];

    o->n_power = 0;
    while (fgets(line, sizeof(line), f)) {
        uint64_t v;
        unsigned k;
        int rho, t, s;

        if (sscanf(line, "root %u %" SCNu64, &k, &v) == 2 && k < 16) {
            o->root[k] = v;
            roots++;
        } else if (sscanf(line, "power %u %" SCNu64, &k, &v) == 2 && o->n_power < 600) {
            o->power_f[o->n_power] = k;
            o->power[o->n_power++] = v;
        } else if (sscanf(line, "shear %d %d %d", &rho, &t, &s) == 3 && rho >= -32 && rho < 32) {
            o->t[rho + 32] = t;
            o->s[rho + 32] = s;
            shears++;
        } else {
            ck_assert_int_eq(line[0], '#');
        }
    }
    fclose(f);
    ck_assert_int_eq(roots, 16);
    ck_assert_int_eq(shears, 64);
    ck_assert_uint_gt(o->n_power, 400);
}

/* 2^(63 - f/65536), not above the true value and at most ORACLE_ERROR below it. */
static uint64_t oracle_power(const struct oracle *o, uint32_t f)
{
    uint64_t x = (uint64_t)1 << 63;

    for (int k = 0; k < 16; k++)
        if (f >> k & 1)
            x = mul63(x, o->root[k]);
    return x;
}

/*
 * got - power / 2^shift in units of 1/10000, floored. The oracle's own error is below 2^-27 of a
 * unit, since shift >= 33. |got * 2^shift - power| < 2^63.
 */
static int64_t error_of(uint64_t got, uint64_t power, int shift)
{
    const int64_t difference = (int64_t)((got << shift) - power);

    return (difference >> 16) * 10000 >> (shift - 16);
}

START_TEST(oracle_agrees_with_the_golden_values)
{
    struct oracle o;

    oracle_read(&o);
    for (uint32_t i = 0; i < o.n_power; i++) {
        const uint64_t got = oracle_power(&o, o.power_f[i]), want = o.power[i] << 1;

        test_check(got <= want + 1 && got + ORACLE_ERROR >= want, "f = %u", o.power_f[i]);
    }
}
END_TEST

/* Every L: 0 <= true - ex2 < 1.31, never rising, 0 from 15 * 2^16 on. */
START_TEST(ex2_is_never_above_and_never_rises)
{
    uint32_t last = mbi_ex2(0);
    struct oracle o;

    oracle_read(&o);
    test_that(last == 32767);
    for (int e = 0; e < 15; e++)
        for (uint32_t f = 0; f < 65536; f++) {
            const uint32_t y = mbi_ex2((uint32_t)e << 16 | f);
            const uint64_t power = oracle_power(&o, f);

            test_check((uint64_t)y << (48 + e) <= power, "ex2(%d, %u) is above", e, f);
            test_check(error_of(y, power, 48 + e) > -13100, "ex2(%d, %u) is low", e, f);
            test_that(y <= last);
            last = y;
        }
    for (uint64_t L = (uint64_t)15 << 16; L <= UINT32_MAX; L += L < 1 << 22 ? 1 : 65537)
        test_that(mbi_ex2((uint32_t)L) == 0);
    test_that(mbi_ex2(UINT32_MAX) == 0);
}
END_TEST

/* Every L: -0.77 <= ex2w - true <= 128.5, never rising. */
START_TEST(ex2w_is_close_and_never_rises)
{
    uint32_t last = mbi_ex2w(0);
    struct oracle o;

    oracle_read(&o);
    test_that(last == 1u << 30);
    for (int e = 0; e <= 30; e++)
        for (uint32_t f = 0; f < 65536; f++) {
            const uint32_t y = mbi_ex2w((uint32_t)e << 16 | f);
            const int64_t error = error_of(y, oracle_power(&o, f), 33 + e);

            test_check(error >= -7700 && error <= 1285000, "ex2w(%d, %u) is off by %" PRId64, e, f,
                       error);
            test_that(y <= last);
            last = y;
        }
    test_that(mbi_ex2w((uint32_t)31 << 16) == 1); /* a half, rounded up */
    for (uint64_t L = ((uint64_t)31 << 16) + 1; L <= UINT32_MAX; L += L < 1 << 22 ? 1 : 65537)
        test_that(mbi_ex2w((uint32_t)L) == 0);
}
END_TEST

/* Every l: -0.530 <= w - true <= 0.4998 in Q18, never falling; the bound of the recurrence. */
START_TEST(input_weight_is_below_its_bound)
{
    uint32_t last = mbi_input_weight(0);
    struct oracle o;

    oracle_read(&o);
    test_that(last == 0);
    for (uint32_t l = 0; l <= 1u << 19; l++) {
        const uint32_t w = mbi_input_weight(l);
        const int64_t error =
            -error_of((1u << 18) - w, oracle_power(&o, l & 65535), 45 + (int)(l >> 16));

        test_check(error >= -5300 && error <= 4999, "w(%u) is off by %" PRId64, l, error);
        test_that(w >= last);
        last = w;
    }
}
END_TEST

/* Every v: -0.500 <= ell - true <= 0.547, never falling; clamped outside. */
START_TEST(ell_is_rounded_and_clamped)
{
    uint32_t last = 0;
    struct oracle o;

    oracle_read(&o);
    for (int32_t v = MBI_DECAY_V_MIN; v <= MBI_DECAY_V_MAX; v++) {
        const uint32_t L = (uint32_t)(MBI_DECAY_V_MAX - v) << 8, y = mbi_ell(v);
        const int64_t error = error_of(y, oracle_power(&o, L & 65535), 44 + (int)(L >> 16));

        test_check(error >= -5001 && error <= 5470, "ell(%d) is off by %" PRId64, v, error);
        test_that(y >= last);
        last = y;
    }
    test_that(mbi_ell(MBI_DECAY_V_MIN) == 32);
    test_that(mbi_ell(INT32_MIN) == 32);
    test_that(mbi_ell(MBI_DECAY_V_MAX) == 1u << 19);
    test_that(mbi_ell(INT32_MAX) == 1u << 19);
}
END_TEST

START_TEST(shears_are_the_rounded_tangent_and_sine)
{
    struct oracle o;

    oracle_read(&o);
    for (int32_t rho = -32; rho < 32; rho++) {
        ck_assert_int_eq(mbi_shear_t(rho), o.t[rho + 32]);
        ck_assert_int_eq(mbi_shear_s(rho), o.s[rho + 32]);
    }
}
END_TEST

/* ---- text ---- */

START_TEST(integers_from_text)
{
    static const char *const bad[] = {"",     "-",   "+1",  " 1",  "1 ",  "1a",
                                      "0x10", "--1", "1.0", "1e3", "1_0", "\xc2\xb2"};
    int64_t i = 77;
    uint64_t u = 77;

    for (size_t k = 0; k < MBI_COUNT(bad); k++) {
        test_check(!mbi_parse_i64(&i, bad[k]), "'%s'", bad[k]);
        test_check(!mbi_parse_u64(&u, bad[k]), "'%s'", bad[k]);
    }
    ck_assert(!mbi_parse_i64(&i, "9223372036854775808"));
    ck_assert(!mbi_parse_i64(&i, "-9223372036854775809"));
    ck_assert(!mbi_parse_i64(&i, "99999999999999999999999"));
    ck_assert(!mbi_parse_u64(&u, "18446744073709551616"));
    ck_assert(!mbi_parse_u64(&u, "18446744073709551620"));
    ck_assert(!mbi_parse_u64(&u, "-1"));
    ck_assert_int_eq(i, 77);
    ck_assert_uint_eq(u, 77);
    ck_assert(mbi_parse_i64(&i, "9223372036854775807") && i == INT64_MAX);
    ck_assert(mbi_parse_i64(&i, "-9223372036854775808") && i == INT64_MIN);
    ck_assert(mbi_parse_i64(&i, "-0") && i == 0);
    ck_assert(mbi_parse_i64(&i, "0012") && i == 12);
    ck_assert(mbi_parse_u64(&u, "18446744073709551615") && u == UINT64_MAX);
    ck_assert(mbi_parse_u64(&u, "0") && u == 0);
}
END_TEST

START_TEST(fixed_point_from_text)
{
    static const struct {
        const char *text;
        int frac;
        int64_t want;
    } c[] = {
        {"0.8", 16, 52429},
        {"-1.25", 2, -5},
        {"3", 16, 196608},
        {"0.5", 0, 1}, /* halves go up */
        {"-0.5", 0, 0},
        {"-1.5", 0, -1},
        {"1.5", 0, 2},
        {"-1.500000000000000000000000000000000000000000000000000000000000000000001", 0, -2},
        {"1.499999999999999999999999999999999999999999999999999999999999999999999", 0, 1},
        {"0.500000000000000000000000000000000000000000000000000000000000000000000", 0, 1},
        {"-0.50000000000000000000000000000000000000000000000000000000000000000000", 0, 0},
        {"0.00000762939453125", 16, 1}, /* 2^-17, exactly a half */
        {"0.00000762939453124", 16, 0},
        {"-0.00000762939453125", 16, 0},
        {"-0.00000762939453126", 16, -1},
        {".5", 1, 1},
        {"-.75", 2, -3},
        {"000.25", 2, 1},
        {"0.9999999999999999999999999", 60, INT64_C(1) << 60},
        {"0.1", 60, INT64_C(115292150460684698)},
        {"70368744177663.99", 16, INT64_C(4611686018427387249)},
    };
    static const char *const bad[] = {
        "",    "-",    ".",   "-.",  "1.",   "+1",  "1.5 ",  " 1.5",           "1,5",
        "1e3", "1.-5", "inf", "nan", "1..2", "0x1", "1.2.3", "140737488355328"};
    int64_t v = 77;

    for (size_t i = 0; i < MBI_COUNT(c); i++) {
        test_check(mbi_parse_fixed(&v, c[i].text, c[i].frac), "'%s'", c[i].text);
        test_check(v == c[i].want, "'%s' at %d is %" PRId64, c[i].text, c[i].frac, v);
    }
    v = 77;
    for (size_t i = 0; i < MBI_COUNT(bad); i++)
        test_check(!mbi_parse_fixed(&v, bad[i], 16), "'%s'", bad[i]);
    ck_assert(!mbi_parse_fixed(&v, "1", -1));
    ck_assert(!mbi_parse_fixed(&v, "1", 61));
    ck_assert_int_eq(v, 77);
}
END_TEST

/* Six decimals against the formula in 64 bits: floor(k / 10^6 * 2^frac + 1/2). */
START_TEST(fixed_point_equals_the_wide_formula)
{
    for (int frac = 0; frac <= 20; frac += 4)
        for (int64_t k = -2000003; k <= 2000003; k += 101) {
            const int64_t m = k < 0 ? -k : k, twice = 2 * (k * ((int64_t)1 << frac)) + 1000000;
            const int64_t want = twice >= 0 ? twice / 2000000 : -((-twice + 1999999) / 2000000);
            char text[40];
            int64_t got;

            snprintf(text, sizeof(text), "%s%" PRId64 ".%06" PRId64, k < 0 ? "-" : "", m / 1000000,
                     m % 1000000);
            test_that(mbi_parse_fixed(&got, text, frac));
            test_check(got == want, "'%s' at %d: %" PRId64 ", not %" PRId64, text, frac, got, want);
        }
}
END_TEST

START_TEST(keys_and_words)
{
    ck_assert(mbi_key_equal("top-k", "top_k"));
    ck_assert(mbi_key_equal("", ""));
    ck_assert(!mbi_key_equal("top-k", "top-"));
    ck_assert(!mbi_key_equal("top-k", "top-kk"));
    ck_assert(!mbi_key_equal("a", ""));
    ck_assert(!mbi_key_equal("Top", "top"));
    ck_assert_uint_eq(mbi_edit_distance("", ""), 0);
    ck_assert_uint_eq(mbi_edit_distance("seed", "seed"), 0);
    ck_assert_uint_eq(mbi_edit_distance("", "seed"), 4);
    ck_assert_uint_eq(mbi_edit_distance("kitten", "sitting"), 3);
    ck_assert_uint_eq(mbi_edit_distance("temperatur", "temperature"), 1);
    ck_assert_uint_eq(mbi_edit_distance("ab", "ba"), 2);
    ck_assert_uint_eq(
        mbi_edit_distance("a",
                          "0123456789012345678901234567890123456789012345678901234567890123456789"),
        70);
}
END_TEST

/* ---- UTF-8 ---- */

/* By the definition: bits together, then the length must be the shortest and the value legal. */
static bool plain_decode(uint32_t *code, const uint8_t *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t length = p[0] < 0x80             ? 1
                          : (p[0] & 0xE0) == 0xC0 ? 2
                          : (p[0] & 0xF0) == 0xE0 ? 3
                          : (p[0] & 0xF8) == 0xF0 ? 4
                                                  : 0;
    uint32_t c = length == 1 ? p[0] : p[0] & (0x7Fu >> length);

    if (!length || n != length)
        return false;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return false;
        c = c * 64 + (p[i] & 0x3F);
    }
    *code = c;
    return c >= least[length] && c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
}

/* Length of the character that starts p, 0, or -1 if p can be completed. */
static int plain_length(uint32_t *code, const uint8_t *p, size_t n)
{
    for (size_t length = 1; length <= n && length <= 4; length++)
        if (plain_decode(code, p, length))
            return (int)length;
    for (size_t length = n + 1; length <= 4; length++)
        for (int fill = 0; fill < 2; fill++) { /* the lowest and the highest completion */
            uint8_t q[4];
            uint32_t ignored;

            memset(q, fill ? 0xBF : 0x80, sizeof(q));
            memcpy(q, p, n);
            if (plain_decode(&ignored, q, length))
                return -1;
        }
    return 0;
}

static void check_utf8(const uint8_t *p, size_t n)
{
    uint32_t got = 0, want = 0;
    const int length = mbi_utf8_decode(&got, p, n), plain = plain_length(&want, p, n);

    test_check(length == plain && (length <= 0 || got == want),
               "%02x %02x %02x %02x, %zu bytes: %d %x, not %d %x", p[0], p[1], p[2], p[3], n,
               length, got, plain, want);
}

START_TEST(utf8_decode_equals_the_definition)
{
    static const uint8_t tail[] = {0, 0x41, 0x7F, 0x80, 0x81, 0xA0, 0xBF, 0xC0, 0xE2, 0xF4, 0xFF};
    uint32_t code;

    ck_assert_int_eq(mbi_utf8_decode(&code, (const uint8_t *)"", 0), -1);
    for (uint32_t a = 0; a < 256; a++)
        for (uint32_t b = 0; b < 256; b++)
            for (size_t i = 0; i < MBI_COUNT(tail); i++)
                for (size_t k = 0; k < MBI_COUNT(tail); k++) {
                    const uint8_t p[4] = {(uint8_t)a, (uint8_t)b, tail[i], tail[k]};

                    for (size_t n = 1; n <= 4; n++)
                        check_utf8(p, n);
                }
}
END_TEST

START_TEST(utf8_encode_round_trip)
{
    uint32_t back;
    uint8_t p[4];

    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        const size_t n = mbi_utf8_encode(p, code);
        const bool legal = code < 0xD800 || code > 0xDFFF;

        test_that(mbi_utf8_decode(&back, p, n) == (int)n);
        test_that(back == (legal ? code : 0xFFFD));
    }
    test_that(mbi_utf8_encode(p, 0x110000) == 3);
    test_that(mbi_utf8_encode(p, UINT32_MAX) == 3);
}
END_TEST

START_TEST(utf8_whole_cuts_unfinished_characters_only)
{
    static const struct {
        const char *text;
        size_t whole;
    } c[] = {
        {"", 0},
        {"a", 1},
        {"a\xc3", 1},
        {"a\xc3\xa4", 3},
        {"\xe2\x82", 0},
        {"\xe2\x82\xac", 3},
        {"x\xf0\x9f\x98", 1},
        {"\xf0\x9f\x98\x80", 4},
        {"\x80", 1},
        {"\xff", 1},
        {"a\xe0\x80", 3},
        {"a\xed\xa0", 3},
        {"\xf0", 0},
        {"a\xf4\x90", 3},
        {"\xc3\xc3", 1},
        {"\x80\x80\x80", 3},
    };

    for (size_t i = 0; i < MBI_COUNT(c); i++)
        test_check(mbi_utf8_whole((const uint8_t *)c[i].text, strlen(c[i].text)) == c[i].whole,
                   "case %zu", i);
}
END_TEST

/* ---- bytes ---- */

START_TEST(reader_stops_at_the_end)
{
    static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
    struct mbi_reader r = {.data = data, .size = sizeof(data)};

    ck_assert_uint_eq(mbi_read8(&r), 1);
    ck_assert_uint_eq(mbi_read32(&r), 0x05040302);
    ck_assert_uint_eq(mbi_read64(&r), 0x0d0c0b0a09080706);
    ck_assert(!r.failed && mbi_read_left(&r) == 0);
    ck_assert(mbi_read_bytes(&r, 0) == data + 13 && !r.failed);
    ck_assert_uint_eq(mbi_read8(&r), 0);
    ck_assert(r.failed);

    r = (struct mbi_reader){.data = data, .size = 3};
    ck_assert_uint_eq(mbi_read32(&r), 0);
    ck_assert(r.failed);
    ck_assert_uint_eq(mbi_read8(&r), 0); /* a failed reader gives nothing more */
    r = (struct mbi_reader){.data = data, .size = 3, .pos = 1};
    ck_assert_ptr_null(mbi_read_bytes(&r, SIZE_MAX));
}
END_TEST

START_TEST(copies_are_little_endian)
{
    const uint32_t words[] = {0x04030201, 0x08070605};
    uint32_t back[2];
    uint8_t bytes[8];

    mbi_copy_le(bytes, words, 2, 4);
    for (uint8_t i = 0; i < 8; i++)
        ck_assert_uint_eq(bytes[i], i + 1);
    mbi_copy_le(back, bytes, 2, 4);
    test_same_bytes(back, words, 8);
    mbi_copy_le(bytes, NULL, 0, 8);
}
END_TEST

static int32_t buffer_scenario(const struct mbi_host *host, void *arg)
{
    struct mbi_buf b;
    int32_t rc;

    (void)arg;
    mbi_buf_init(&b, host);
    mbi_buf_add_text(&b, "abc");
    for (uint32_t i = 0; i < 200; i++)
        mbi_buf_addf(&b, "%u,", i);
    mbi_buf_add8(&b, 7);
    mbi_buf_add32(&b, 0x04030201);
    mbi_buf_add64(&b, 0x0807060504030201);
    mbi_buf_add_zero(&b, 3);
    mbi_buf_add(&b, NULL, 0);
    rc = b.failed ? MAMBAINT_E_NO_MEMORY : MAMBAINT_OK;
    if (!b.failed) {
        ck_assert_uint_eq(b.size, 3 + 10 * 2 + 90 * 3 + 100 * 4 + 1 + 4 + 8 + 3);
        test_same_bytes(b.data, "abc0,1,2,", 9);
        test_same_bytes(b.data + b.size - 16, "\7\1\2\3\4\1\2\3\4\5\6\7\10\0\0\0", 16);
    }
    mbi_buf_free(&b);
    return rc;
}

START_TEST(buffer_grows_or_fails_as_a_whole)
{
    struct test_host t;
    struct mbi_buf b;

    ck_assert_uint_gt(test_refuse_each(buffer_scenario, NULL), 2);
    test_host_init(&t);
    mbi_buf_init(&b, &t.host);
    mbi_buf_add8(&b, 1);
    ck_assert(!mbi_buf_reserve(&b, SIZE_MAX));
    ck_assert(b.failed && b.size == 1);
    mbi_buf_add8(&b, 2);
    ck_assert_uint_eq(b.size, 1);
    mbi_buf_free(&b);
    ck_assert(!b.failed);
    test_host_check(&t);
}
END_TEST

/* ---- host ---- */

/* Blocks of 2 to 17 MiB, marked at both ends and between; where one is not there: NULL. */
static void mark(uint8_t *block, size_t size, uint8_t with)
{
    block[0] = block[size / 2] = block[size - 1] = with;
}

static bool is_marked(const uint8_t *block, size_t size, uint8_t with)
{
    return block[0] == with && block[size / 2] == with && block[size - 1] == with;
}

START_TEST(large_blocks_are_kept_and_do_not_overlap)
{
    enum { BLOCKS = 9 };
    uint8_t *block[BLOCKS] = {NULL};
    size_t size[BLOCKS];
    struct mbi_scratch scratch;
    struct test_host t;
    struct test_random r;

    test_random_init(&r, "large_blocks_are_kept_and_do_not_overlap");
    test_host_init(&t);
    test_that(mbi_scratch_open(&scratch, &t.host));
    for (int step = 0; step < 2000; step++) {
        const size_t k = (size_t)test_random_below(&r, BLOCKS);

        if (block[k]) {
            test_check(is_marked(block[k], size[k], (uint8_t)(k + 1)), "block %zu", k);
            mbi_free_aligned(&t.host, block[k]);
            block[k] = NULL;
            continue;
        }
        size[k] = MBI_HUGE_PAGE + (size_t)test_random_below(&r, (uint64_t)15 << 20);
        ck_assert_ptr_nonnull(block[k] = mbi_alloc_huge(&t.host, size[k]));
        test_that((uintptr_t)block[k] % MBI_HUGE_PAGE == 0);
        mark(block[k], size[k], (uint8_t)(k + 1));
    }
    for (size_t k = 0; k < BLOCKS; k++)
        mbi_free_aligned(&t.host, block[k]);
    mbi_scratch_close(&scratch, &t.host);
    test_that(!t.host.scratch);
    test_host_check(&t);
}
END_TEST

/* What was given back serves again, whole or in pieces; a larger one takes its place. */
START_TEST(a_scratch_asks_for_no_more_than_it_needs)
{
    struct mbi_scratch scratch;
    struct test_host t;
    uint8_t *whole, *piece[4], *small;
    unsigned regions;

    test_host_init(&t);
    test_that(mbi_scratch_open(&scratch, &t.host));
    ck_assert_ptr_nonnull(whole = mbi_alloc_huge(&t.host, 4 * MBI_HUGE_PAGE));
    mbi_free_aligned(&t.host, whole);
    for (size_t i = 0; i < 4; i++) {
        piece[i] = mbi_alloc_huge(&t.host, MBI_HUGE_PAGE);
        test_that(piece[i] == whole + i * MBI_HUGE_PAGE);
    }
    ck_assert_ptr_nonnull(small = mbi_alloc_huge(&t.host, 100)); /* not large: not kept */
    mbi_free_aligned(&t.host, small);
    for (size_t i = 0; i < 4; i++)
        mbi_free_aligned(&t.host, piece[(i * 3 + 1) % 4]);
    regions = (unsigned)atomic_load(&t.calls);
    test_that(mbi_alloc_huge(&t.host, 4 * MBI_HUGE_PAGE) == whole); /* the pieces are one again */
    test_that((unsigned)atomic_load(&t.calls) == regions);
    mbi_free_aligned(&t.host, whole);
    ck_assert_ptr_nonnull(whole = mbi_alloc_huge(&t.host, 5 * MBI_HUGE_PAGE));
    test_that(atomic_load(&t.live) <= 2); /* the first region is gone: this one and its part */
    mbi_free_aligned(&t.host, whole);
    ck_assert_ptr_null(mbi_alloc_huge(&t.host, SIZE_MAX - 8));
    mbi_scratch_close(&scratch, &t.host);
    test_host_check(&t);
}
END_TEST

START_TEST(memory_is_zeroed_aligned_and_checked)
{
    struct test_host t;
    struct mbi_host plain;
    uint8_t *p, *q;
    char *s;

    test_host_init(&t);
    ck_assert_ptr_null(mbi_alloc(&t.host, SIZE_MAX, 2));
    ck_assert_ptr_null(mbi_alloc_aligned(&t.host, SIZE_MAX - 8));
    ck_assert_ptr_null(mbi_strndup(&t.host, "", SIZE_MAX));
    test_that(atomic_load(&t.calls) == 0); /* refused before the host was asked */
    for (size_t n = 0; n < 300; n += 13) {
        ck_assert_ptr_nonnull(p = mbi_alloc(&t.host, n, 3));
        ck_assert_ptr_nonnull(q = mbi_alloc_aligned(&t.host, n));
        for (size_t i = 0; i < 3 * n; i++)
            test_that(p[i] == 0);
        for (size_t i = 0; i < n; i++)
            test_that(q[i] == 0);
        test_that((uintptr_t)q % 64 == 0);
        memset(q, 0xFF, n);
        ck_assert_ptr_nonnull(p = mbi_realloc(&t.host, p, n + 1, 5));
        mbi_free(&t.host, p);
        mbi_free_aligned(&t.host, q);
    }
    ck_assert_ptr_nonnull(s = mbi_strndup(&t.host, "abcdef", 3));
    ck_assert_str_eq(s, "abc");
    mbi_free(&t.host, s);
    mbi_free(&t.host, NULL);
    mbi_free_aligned(&t.host, NULL);
    test_host_check(&t);

    mbi_host_default(&plain);
    ck_assert_ptr_nonnull(p = mbi_alloc(&plain, 10, 10));
    mbi_free(&plain, p);
    mbi_log(&plain, MBI_LOG_INFO, "nobody hears %d", 1);
}
END_TEST

static void keep_log(void *user, int32_t level, const char *text)
{
    snprintf(user, 100, "%d:%.80s", level, text);
}

START_TEST(log_lines_go_to_the_callback)
{
    struct mbi_host host;
    char seen[100] = "";

    mbi_host_default(&host);
    host.log = keep_log;
    host.log_user = seen;
    mbi_log(&host, MBI_LOG_WARNING, "%s %d", "line", 7);
    ck_assert_str_eq(seen, "2:line 7");
}
END_TEST

START_TEST(errors_keep_code_and_sentence)
{
    mambaint_error err;
    char longer[400];

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    ck_assert_int_eq(mbi_fail(&err, MAMBAINT_E_FORMAT, "key '%s'", "a"), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(err.code, MAMBAINT_E_FORMAT);
    ck_assert_str_eq(err.message, "key 'a'");
    ck_assert_int_eq(mbi_fail(&err, MAMBAINT_E_IO, "%s", longer), MAMBAINT_E_IO);
    ck_assert_uint_eq(strlen(err.message), sizeof(err.message) - 1);
    ck_assert_int_eq(mbi_fail(NULL, MAMBAINT_E_IO, "nobody"), MAMBAINT_E_IO);
    ck_assert_uint_eq(sizeof(mambaint_error), 256);
    ck_assert_str_eq(mambaint_status_name(MAMBAINT_E_INTERNAL), "E_INTERNAL");
    ck_assert_str_eq(mambaint_status_name(99), "unknown");
}
END_TEST

/* ---- files ---- */

static struct mbi_host plain_host(void)
{
    struct mbi_host host;

    mbi_host_default(&host);
    return host;
}

static void expect_file(const char *path, const char *want, size_t n)
{
    size_t size;
    uint8_t *data = test_file_read(&size, path);

    ck_assert_uint_eq(size, n);
    test_same_bytes(data, want, n);
    free(data);
}

START_TEST(files_are_mapped_or_read)
{
    struct mbi_host host = plain_host();
    char dir[TEST_PATH], path[TEST_PATH];
    struct mbi_map map;
    mambaint_error err;

    test_dir_make(dir);
    test_path(path, dir, "a");
    test_file_write(path, "hello", 5);
    ck_assert_int_eq(mbi_map_open(&map, &host, path, NULL), MAMBAINT_OK);
    ck_assert(map.mapped && map.size == 5);
    test_same_bytes(map.data, "hello", 5);
    mbi_map_close(&map, &host);
    mbi_map_close(&map, &host); /* twice is fine */

    test_file_write(path, "", 0);
    ck_assert_int_eq(mbi_map_open(&map, &host, path, NULL), MAMBAINT_OK);
    ck_assert_uint_eq(map.size, 0);
    mbi_map_close(&map, &host);

    ck_assert_int_eq(mbi_map_open(&map, &host, dir, &err), MAMBAINT_E_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "is a directory"));
    test_path(path, dir, "none");
    ck_assert_int_eq(mbi_map_open(&map, &host, path, &err), MAMBAINT_E_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "No such file"));
    ck_assert_ptr_nonnull(strstr(err.message, path));
    mbi_map_close(&map, &host); /* as after a failed open */
    test_dir_remove(dir);
}
END_TEST

#define PIPED 300000

static int32_t pipe_scenario(const struct mbi_host *host, void *arg)
{
    const char *path = arg;
    const pid_t child = fork();
    struct mbi_map map;
    int32_t rc;

    test_that(child >= 0);
    if (!child) {
        FILE *f = fopen(path, "wb");

        signal(SIGPIPE, SIG_IGN);
        for (int i = 0; f && i < PIPED; i++)
            if (putc(i % 251, f) == EOF)
                break;
        _exit(0);
    }
    rc = mbi_map_open(&map, host, path, NULL);
    waitpid(child, NULL, 0);
    if (rc == MAMBAINT_OK) {
        test_that(!map.mapped && map.size > PIPED - 8192);
        for (size_t i = 0; i < map.size; i++)
            test_that(map.data[i] == i % 251);
    }
    mbi_map_close(&map, host);
    return rc;
}

/* A pipe has no size; every refused allocation on the way must end cleanly. */
START_TEST(pipes_are_read_to_the_end)
{
    char dir[TEST_PATH], path[TEST_PATH];

    test_dir_make(dir);
    test_path(path, dir, "pipe");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_uint_gt(test_refuse_each(pipe_scenario, path), 1);
    test_dir_remove(dir);
}
END_TEST

START_TEST(save_replaces_and_leaves_nothing_else)
{
    struct mbi_host host = plain_host();
    char dir[TEST_PATH], path[TEST_PATH], link_path[TEST_PATH];
    const mode_t mask = umask(027);
    struct stat st;

    test_dir_make(dir);
    test_path(path, dir, "target");
    ck_assert_int_eq(mbi_file_save(&host, path, "old", 3, NULL), MAMBAINT_OK);
    expect_file(path, "old", 3);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0640);
    ck_assert_int_eq(mbi_file_save(&host, path, "newer", 5, NULL), MAMBAINT_OK);
    expect_file(path, "newer", 5);
    ck_assert_int_eq(mbi_file_save(&host, path, NULL, 0, NULL), MAMBAINT_OK);
    expect_file(path, "", 0);
    ck_assert_uint_eq(test_dir_count(dir), 1);

    test_path(link_path, dir, "link"); /* a link stays one; its target is replaced */
    ck_assert_int_eq(symlink("target", link_path), 0);
    ck_assert_int_eq(mbi_file_save(&host, link_path, "via", 3, NULL), MAMBAINT_OK);
    ck_assert_int_eq(lstat(link_path, &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    expect_file(path, "via", 3);
    ck_assert_uint_eq(test_dir_count(dir), 2);
    test_dir_remove(dir);
    umask(mask);
}
END_TEST

START_TEST(save_in_pieces_is_the_same_bytes)
{
    struct mbi_host host = plain_host();
    char dir[TEST_PATH], path[TEST_PATH], *want = malloc(400000);
    struct test_random r;
    struct mbi_save *s;

    test_random_init(&r, "save_in_pieces_is_the_same_bytes");
    test_random_bytes(&r, want, 400000);
    test_dir_make(dir);
    test_path(path, dir, "a");
    for (int round = 0; round < 20; round++) {
        size_t at = 0;

        test_that(mbi_save_begin(&s, &host, path, NULL) == MAMBAINT_OK);
        while (at < 400000) {
            size_t n = (size_t)test_random_below(&r, test_random_below(&r, 4) ? 3000 : 80000);

            n = mbi_min_size(n, 400000 - at);
            test_that(mbi_save_write(s, want + at, n, NULL) == MAMBAINT_OK);
            at += n;
        }
        test_that(mbi_save_commit(s, NULL) == MAMBAINT_OK);
        expect_file(path, want, 400000);
    }
    test_dir_remove(dir);
    free(want);
}
END_TEST

START_TEST(abandoned_save_leaves_the_target_alone)
{
    struct mbi_host host = plain_host();
    char dir[TEST_PATH], path[TEST_PATH];
    struct mbi_save *s, *other;

    test_dir_make(dir);
    test_path(path, dir, "a");
    test_file_write(path, "old", 3);
    ck_assert_int_eq(mbi_save_begin(&s, &host, path, NULL), MAMBAINT_OK);
    ck_assert_int_eq(mbi_save_write(s, "new", 3, NULL), MAMBAINT_OK);
    ck_assert_uint_eq(test_dir_count(dir), 2);
    /* what a killed save would leave does not block another */
    ck_assert_int_eq(mbi_save_begin(&other, &host, path, NULL), MAMBAINT_OK);
    ck_assert_int_eq(mbi_save_write(other, "other", 5, NULL), MAMBAINT_OK);
    ck_assert_int_eq(mbi_save_commit(other, NULL), MAMBAINT_OK);
    expect_file(path, "other", 5);
    mbi_save_abort(s);
    mbi_save_abort(NULL);
    expect_file(path, "other", 5);
    ck_assert_uint_eq(test_dir_count(dir), 1);
    test_dir_remove(dir);
}
END_TEST

START_TEST(save_refuses_what_is_no_file)
{
    struct mbi_host host = plain_host();
    char dir[TEST_PATH], path[TEST_PATH];
    mambaint_error err;

    test_dir_make(dir);
    ck_assert_int_eq(mbi_file_save(&host, dir, "x", 1, &err), MAMBAINT_E_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "not a regular file"));
    ck_assert_int_eq(mbi_file_save(&host, "/dev/null", "x", 1, &err), MAMBAINT_E_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "not a regular file"));
    ck_assert_int_eq(mbi_file_save(&host, "", "x", 1, &err), MAMBAINT_E_IO);
    test_path(path, dir, "none/a");
    ck_assert_int_eq(mbi_file_save(&host, path, "x", 1, &err), MAMBAINT_E_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "No such file"));
    test_path(path, dir, "link");
    ck_assert_int_eq(symlink("nothing", path), 0);
    ck_assert_int_eq(mbi_file_save(&host, path, "x", 1, &err), MAMBAINT_E_IO);
    ck_assert_uint_eq(test_dir_count(dir), 1);
    test_dir_remove(dir);
}
END_TEST

static int32_t save_scenario(const struct mbi_host *host, void *arg)
{
    return mbi_file_save(host, arg, "new", 3, NULL);
}

START_TEST(save_survives_refused_memory)
{
    char dir[TEST_PATH], path[TEST_PATH];

    test_dir_make(dir);
    test_path(path, dir, "a");
    test_file_write(path, "old", 3);
    ck_assert_uint_gt(test_refuse_each(save_scenario, path), 2);
    ck_assert_uint_eq(test_dir_count(dir), 1);
    test_dir_remove(dir);
}
END_TEST

/* A limit on the file size stands for a full disk: a short count, then an error. */
START_TEST(save_on_a_full_disk_keeps_the_old_file)
{
    struct mbi_host host = plain_host();
    const struct rlimit small = {.rlim_cur = 100001, .rlim_max = RLIM_INFINITY};
    char dir[TEST_PATH], path[TEST_PATH];
    int status;
    pid_t child;

    test_dir_make(dir);
    test_path(path, dir, "a");
    test_file_write(path, "old", 3);
    fflush(stdout);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (!child) {
        static char big[1000000];
        struct mbi_save *s;

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
        if (mbi_file_save(&host, path, big, sizeof(big), NULL) != MAMBAINT_E_IO)
            _exit(1);
        if (mbi_save_begin(&s, &host, path, NULL) || mbi_save_write(s, big, 30000, NULL) ||
            mbi_save_write(s, big, 30000, NULL) || mbi_save_write(s, big, 30000, NULL) ||
            mbi_save_write(s, big, 30000, NULL)) /* the last waits in the buffer */
            _exit(2);
        _exit(mbi_save_commit(s, NULL) == MAMBAINT_E_IO ? 0 : 3);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    expect_file(path, "old", 3);
    ck_assert_uint_eq(test_dir_count(dir), 1);
    test_dir_remove(dir);
}
END_TEST

/* Killed at any moment: one of the two contents, never a mixture. */
START_TEST(killed_save_is_old_or_new)
{
    struct mbi_host host = plain_host();
    static char block[2][200000];
    char dir[TEST_PATH], path[TEST_PATH];
    struct test_random r;

    memset(block[0], 'a', sizeof(block[0]));
    memset(block[1], 'b', sizeof(block[1]));
    test_random_init(&r, "killed_save_is_old_or_new");
    test_dir_make(dir);
    test_path(path, dir, "a");
    ck_assert_int_eq(mbi_file_save(&host, path, block[0], sizeof(block[0]), NULL), MAMBAINT_OK);
    for (int round = 0; round < 100; round++) {
        const pid_t child = fork();
        size_t size;
        uint8_t *data;

        ck_assert_int_ge(child, 0);
        if (!child)
            for (int i = 1;; i++)
                mbi_file_save(&host, path, block[i & 1], sizeof(block[0]), NULL);
        usleep((useconds_t)test_random_below(&r, 4000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        data = test_file_read(&size, path);
        ck_assert_uint_eq(size, sizeof(block[0]));
        test_same_bytes(data, block[data[0] - 'a' ? 1 : 0], size);
        free(data);
    }
    test_dir_remove(dir);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *t = tcase_create("base");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, blake2b_agrees_with_hashlib);
    tcase_add_test(t, blake2b_does_not_depend_on_the_cut);
    tcase_add_test(t, blake2b_field_is_length_then_bytes);
    tcase_add_test(t, philox_known_answers);
    tcase_add_test(t, rounding_shift_puts_halves_up);
    tcase_add_test(t, saturation_at_the_ends);
    tcase_add_test(t, mulr_equals_the_wide_formula);
    tcase_add_test(t, bitlen_at_every_border);
    tcase_add_test(t, isqrt_is_the_floor);
    tcase_add_test(t, squareplus_is_the_floor);
    tcase_add_test(t, sigmoid_is_odd_rising_and_floored);
    tcase_add_test(t, checked_sizes_refuse_overflow);
    tcase_add_test(t, oracle_agrees_with_the_golden_values);
    tcase_add_test(t, ex2_is_never_above_and_never_rises);
    tcase_add_test(t, ex2w_is_close_and_never_rises);
    tcase_add_test(t, input_weight_is_below_its_bound);
    tcase_add_test(t, ell_is_rounded_and_clamped);
    tcase_add_test(t, shears_are_the_rounded_tangent_and_sine);
    tcase_add_test(t, large_blocks_are_kept_and_do_not_overlap);
    tcase_add_test(t, a_scratch_asks_for_no_more_than_it_needs);
    tcase_add_test(t, integers_from_text);
    tcase_add_test(t, fixed_point_from_text);
    tcase_add_test(t, fixed_point_equals_the_wide_formula);
    tcase_add_test(t, keys_and_words);
    tcase_add_test(t, utf8_decode_equals_the_definition);
    tcase_add_test(t, utf8_encode_round_trip);
    tcase_add_test(t, utf8_whole_cuts_unfinished_characters_only);
    tcase_add_test(t, reader_stops_at_the_end);
    tcase_add_test(t, copies_are_little_endian);
    tcase_add_test(t, buffer_grows_or_fails_as_a_whole);
    tcase_add_test(t, memory_is_zeroed_aligned_and_checked);
    tcase_add_test(t, log_lines_go_to_the_callback);
    tcase_add_test(t, errors_keep_code_and_sentence);
    tcase_add_test(t, files_are_mapped_or_read);
    tcase_add_test(t, pipes_are_read_to_the_end);
    tcase_add_test(t, save_replaces_and_leaves_nothing_else);
    tcase_add_test(t, save_in_pieces_is_the_same_bytes);
    tcase_add_test(t, abandoned_save_leaves_the_target_alone);
    tcase_add_test(t, save_refuses_what_is_no_file);
    tcase_add_test(t, save_survives_refused_memory);
    tcase_add_test(t, save_on_a_full_disk_keeps_the_old_file);
    tcase_add_test(t, killed_save_is_old_or_new);
    suite_add_tcase(s, t);
    return test_main(s);
}
