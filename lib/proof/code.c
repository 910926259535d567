/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of commitments: how many columns are looked at, and how long openings are. */
#include "proof/commit.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"

#define FRACTION 20 /* bits */

/* floor(2^20 log2(2 / (1 + 2^-r))): bits that one query gives at the rate 2^-r. */
static const uint32_t query_bits[MBI_CODE_RATE_MAX + 1] = {
    0, 435198, 711009, 870396, 956864, 1002025, 1025121, 1036803, 1042678};

unsigned MBI_EXT(code_queries)(unsigned log_rate, unsigned work, unsigned level)
{
    const uint64_t bits = (uint64_t)(level > work ? level - work : 0) << FRACTION;
    const uint64_t each = query_bits[log_rate];

    return (unsigned)mbi_max_size((size_t)((bits + each - 1) / each), 1);
}

unsigned MBI_EXT(code_level)(const struct mbi_code *code)
{
    const uint64_t each = query_bits[code->log_length - code->log_columns];

    return (unsigned)(code->queries * each >> FRACTION) + code->work;
}

const char *MBI_EXT(code_fault)(const struct mbi_code *code)
{
    if (code->log_length > MBI_NTT_LOG_MAX)
        return "the rows of a code are too long";
    if (code->log_columns >= code->log_length ||
        code->log_length - code->log_columns > MBI_CODE_RATE_MAX)
        return "the rate of a code is none that is planned for";
    if (!code->queries || code->queries > MBI_CODE_QUERIES || code->work > MBI_WORK_MAX)
        return "a code has too many queries, none, or too much work";
    if (code->level > MBI_CODE_LEVEL ||
        code->queries <
            MBI_EXT(code_queries)(code->log_length - code->log_columns, code->work, code->level))
        return "a code has too few queries for its level";
    if (64 * MBI_EXT_D - 1 < code->level + code->log_length) /* |E| > 2^(64 D - 1) */
        return "the field is too small for the level of a code";
    return NULL;
}

/* The positions of 2^log that t draws are expected to find, with FRACTION bits behind the point. */
static uint64_t expected(unsigned log, unsigned t)
{
    const uint64_t all = (uint64_t)1 << (log + FRACTION);
    uint64_t missed = all;

    while (t--)
        missed -= missed >> log;
    return all - missed;
}

/* All but the columns and paths. */
static uint64_t fixed_bytes(const struct mbi_code *code, const unsigned *log_rows, size_t n)
{
    uint64_t first[MBI_OPEN_VECTORS];
    const uint64_t rounds = MBI_EXT(open_stack)(first, log_rows, n);

    return MBI_EXT_BYTES * (2 * rounds + ((uint64_t)1 << code->log_columns)) + (code->work ? 8 : 0);
}

static uint64_t all_rows(const unsigned *log_rows, size_t n)
{
    uint64_t rows = 0;

    for (size_t i = 0; i < n; i++)
        rows += (uint64_t)1 << log_rows[i];
    return rows;
}

uint64_t MBI_EXT(open_size)(const struct mbi_code *code, const unsigned *log_rows, size_t n,
                            const uint32_t *position, size_t n_positions)
{
    size_t path = 0;

    (void)mbi_merkle_count(&path, (size_t)1 << code->log_length, position, n_positions);
    return fixed_bytes(code, log_rows, n) + MBI_FE_BYTES * all_rows(log_rows, n) * n_positions +
           sizeof(struct mbi_digest) * n * path;
}

/* On each level of 2^k nodes, a pair has one missing node at most, and a position one pair. */
uint64_t MBI_EXT(open_size_max)(const struct mbi_code *code, const unsigned *log_rows, size_t n)
{
    const size_t known = mbi_min_size(code->queries, (size_t)1 << code->log_length);
    uint64_t path = 0;

    for (unsigned k = 1; k <= code->log_length; k++)
        path += mbi_min_size(known, (size_t)1 << (k - 1));
    return fixed_bytes(code, log_rows, n) + MBI_FE_BYTES * all_rows(log_rows, n) * known +
           sizeof(struct mbi_digest) * n * path;
}

/* Missing nodes of a level: both children of the known ones above, but those that are known. */
uint64_t MBI_EXT(open_size_mean)(const struct mbi_code *code, const unsigned *log_rows, size_t n)
{
    const uint64_t known = expected(code->log_length, code->queries);
    uint64_t path = 0;

    for (unsigned k = 1; k <= code->log_length; k++)
        path += 2 * expected(k - 1, code->queries) - expected(k, code->queries);
    return fixed_bytes(code, log_rows, n) +
           ((MBI_FE_BYTES * all_rows(log_rows, n) * (known >> 4) >> (FRACTION - 4)) +
            (sizeof(struct mbi_digest) * n * path >> FRACTION));
}

/* The mean size with rows of 2^log_columns; UINT64_MAX if such a code cannot be. */
static uint64_t try_columns(struct mbi_code *code, const unsigned *bits, size_t n,
                            unsigned log_columns, unsigned log_rate)
{
    unsigned log_rows[MBI_OPEN_VECTORS];
    uint64_t first[MBI_OPEN_VECTORS];

    code->log_columns = log_columns;
    code->log_length = log_columns + log_rate;
    for (size_t i = 0; i < n; i++) {
        if (bits[i] < log_columns || bits[i] > MBI_MAX_BITS)
            return UINT64_MAX;
        log_rows[i] = bits[i] - log_columns;
    }
    if (MBI_EXT(code_fault)(code) ||
        MBI_EXT(open_stack)(first, log_rows, n) + log_columns > MBI_MAX_BITS)
        return UINT64_MAX;
    return MBI_EXT(open_size_mean)(code, log_rows, n);
}

bool MBI_EXT(code_choose)(struct mbi_code *code, const unsigned *bits, size_t n, unsigned log_rate,
                          unsigned work, unsigned level)
{
    struct mbi_code c = {.work = work, .level = level};
    uint64_t least = UINT64_MAX;

    if (!n || n > MBI_OPEN_VECTORS || !log_rate || log_rate > MBI_CODE_RATE_MAX)
        return false;
    c.queries = MBI_EXT(code_queries)(log_rate, work, level);
    for (unsigned k = 0; k + log_rate <= MBI_NTT_LOG_MAX; k++) {
        const uint64_t size = try_columns(&c, bits, n, k, log_rate);

        if (size < least) {
            least = size;
            *code = c;
        }
    }
    return least != UINT64_MAX;
}

/* Each at the first multiple of its own height. Sums stay below 2^37. */
unsigned MBI_EXT(open_stack)(uint64_t *first, const unsigned *log_rows, size_t n)
{
    uint64_t end = 0;

    for (size_t i = 0; i < n; i++) {
        const uint64_t rows = (uint64_t)1 << log_rows[i];

        first[i] = (end + rows - 1) & ~(rows - 1);
        end = first[i] + rows;
    }
    return (unsigned)mbi_bitlen(end - 1);
}
#endif
