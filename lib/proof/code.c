/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of commitments: how many columns are looked at, in how many layers, and how long
 * openings are. */
#include "proof/commit.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"
#include "proof/open.h"

#define FRACTION 20 /* bits */

/* floor(2^20 log2(2 / (1 + 2^-r))): bits that one query gives at the rate 2^-r. */
static const uint32_t query_bits[MBI_CODE_RATE_MAX + 1] = {
    0, 435198, 711009, 870396, 956864, 1002025, 1025121, 1036803, 1042678};

/* Each squaring doubles the logarithm, whose next bit is what comes out in front. Everything is
 * rounded down; the fraction has 62 bits behind the point and is from 1 to 2. */
uint32_t MBI_EXT(code_query_bits)(unsigned log_length, size_t n)
{
    const uint64_t length = (uint64_t)1 << log_length, most = length + n;
    uint64_t x = 0, rest = length, high, low;
    uint32_t bits = 0;

    for (int i = 0; i < 63; i++) { /* x = floor(2^63 length / most) */
        rest *= 2;                 /* below 2 most */
        x = 2 * x + (rest >= most);
        rest -= rest >= most ? most : 0;
    }
    for (int i = 0; i < FRACTION; i++) {
        low = mbi_mul_wide(&high, x, x); /* below 2^126 */
        x = high << 2 | low >> 62;
        bits = 2 * bits + (uint32_t)(x >> 63);
        x >>= x >> 63;
    }
    return bits;
}

/* For work and level, with so many bits each. */
static uint64_t queries_for(uint64_t each, unsigned work, unsigned level)
{
    const uint64_t bits = (uint64_t)(level > work ? level - work : 0) << FRACTION;

    return mbi_max_size((size_t)((bits + each - 1) / each), 1);
}

unsigned MBI_EXT(code_queries)(unsigned log_rate, unsigned work, unsigned level)
{
    return (unsigned)queries_for(query_bits[log_rate], work, level);
}

/* Bits that one query of a layer gives; 0 if its rows are as long as their codewords. */
static uint32_t bits_of(const struct mbi_code *code, unsigned layer)
{
    const struct mbi_layer a = mbi_code_layer(code, layer);

    if (layer || !code->masks)
        return query_bits[a.log_length - a.log_columns];
    if (mbi_code_entries(code) >> a.log_length)
        return 0;
    return MBI_EXT(code_query_bits)(a.log_length, mbi_code_entries(code));
}

unsigned MBI_EXT(code_level)(const struct mbi_code *code)
{
    unsigned least = UINT32_MAX;

    for (unsigned i = 0; i <= code->depth; i++) {
        const struct mbi_layer a = mbi_code_layer(code, i);
        const unsigned level =
            (unsigned)((uint64_t)a.queries * bits_of(code, i) >> FRACTION) + a.work;

        least = level < least ? level : least;
    }
    return least;
}

static const char *layer_fault(const struct mbi_code *code, unsigned layer)
{
    const struct mbi_layer of = mbi_code_layer(code, layer), *a = &of;
    const unsigned level = code->level;
    uint32_t each;

    if (a->log_length > MBI_NTT_LOG_MAX)
        return "the rows of a code are too long";
    if (a->log_columns >= a->log_length || a->log_length - a->log_columns > MBI_CODE_RATE_MAX)
        return "the rate of a code is none that is planned for";
    if (!a->queries || a->queries > MBI_CODE_QUERIES || a->work > MBI_WORK_MAX)
        return "a code has too many queries, none, or too much work";
    each = bits_of(code, layer);
    if (!each)
        return "a code has so many masks that nothing is left of its distance";
    if (level > MBI_CODE_LEVEL || a->queries < queries_for(each, a->work, level))
        return "a code has too few queries for its level";
    if (64 * MBI_EXT_D - 1 < level + a->log_length) /* |E| > 2^(64 D - 1) */
        return "the field is too small for the level of a code";
    return NULL;
}

/* One mask more than columns are seen, so that those that are not can be anything. */
static const char *mask_fault(const struct mbi_code *code)
{
    if (code->masks ? code->masks <= code->queries : code->pads)
        return "a code has too few masks for its queries";
    if (code->masks > (size_t)1 << MBI_NTT_LOG_MAX || code->pads > (size_t)1 << MBI_NTT_LOG_MAX)
        return "a code has too many masks";
    return NULL;
}

/* Where there is a further layer, the queries of the one before it are joined. */
static const char *depth_fault(const struct mbi_code *code)
{
    if (code->depth > MBI_CODE_DEPTH)
        return "a code has too many layers";
    for (unsigned i = 0; i < code->depth; i++) {
        const struct mbi_layer a = mbi_code_layer(code, i);

        if (a.log_columns <= code->further[i].log_columns)
            return "a layer of a code has rows that are not shorter than those before it";
        if (64 * MBI_EXT_D - 1 < code->level + (unsigned)mbi_bitlen(a.queries))
            return "the field is too small for the level of a code";
    }
    return NULL;
}

const char *MBI_EXT(code_fault)(const struct mbi_code *code)
{
    const char *fault = depth_fault(code);

    if (!fault)
        fault = mask_fault(code);
    for (unsigned i = 0; i <= code->depth && !fault; i++)
        fault = layer_fault(code, i);
    return fault;
}

/* ---- sizes ---- */

/* The positions of 2^log that t draws are expected to find, with FRACTION bits behind the point. */
static uint64_t expected(unsigned log, unsigned t)
{
    const uint64_t all = (uint64_t)1 << (log + FRACTION);
    uint64_t missed = all;

    while (t--)
        missed -= missed >> log;
    return all - missed;
}

/* Of t positions of 2^log, on average: how many, and how many digests their paths have. */
struct seen {
    uint64_t known, path; /* with FRACTION bits behind the point */
};

/* For all lengths to 2^log. Missing nodes of a level: both children of the known ones above, but
 * those that are known. */
static void see(struct seen *out, unsigned log, unsigned t)
{
    out[0] = (struct seen){expected(0, t), 0};
    for (unsigned k = 1; k <= log; k++) {
        out[k].known = expected(k, t);
        out[k].path = out[k - 1].path + 2 * out[k - 1].known - out[k].known;
    }
}

/* Columns of so many bytes, and paths in so many trees. */
static uint64_t seen_bytes(const struct seen *s, uint64_t column, size_t trees)
{
    return (column * (s->known >> 4) >> (FRACTION - 4)) +
           (sizeof(struct mbi_digest) * trees * s->path >> FRACTION);
}

/* All but the columns and paths. */
static uint64_t fixed_bytes(const struct mbi_code *code, const unsigned *log_rows, size_t n)
{
    const uint64_t entries = mbi_layer_entries(code, code->depth) + (code->masks ? 1 : 0);
    uint64_t first[MBI_OPEN_VECTORS];
    uint64_t rounds = MBI_EXT(open_stack)(first, log_rows, n);
    uint64_t bytes = sizeof(struct mbi_digest) * code->depth;

    if (code->depth)
        rounds += mbi_layer_bits(code); /* down to one entry */
    for (unsigned i = 0; i <= code->depth; i++)
        bytes += mbi_code_layer(code, i).work ? 8 : 0;
    return bytes + MBI_EXT_BYTES * (2 * rounds + entries);
}

/* Of a column of a layer; in layer 0 there are so many rows of all vectors together. */
static uint64_t column_bytes(const struct mbi_code *code, unsigned layer, uint64_t rows)
{
    if (layer)
        return MBI_EXT_BYTES * (uint64_t)mbi_layer_rows(code, layer);
    return MBI_FE_BYTES * (rows + mbi_blind_rows(code));
}

/* Rows that are in use. */
static uint64_t rows_of(unsigned *log_rows, const struct mbi_root *root, size_t n)
{
    uint64_t rows = 0;

    for (size_t i = 0; i < n; i++) {
        log_rows[i] = root[i].log_rows;
        rows += root[i].rows;
    }
    return rows;
}

uint64_t MBI_EXT(open_size)(const struct mbi_code *code, const struct mbi_root *root, size_t n,
                            const struct mbi_positions *layer)
{
    unsigned log_rows[MBI_OPEN_VECTORS];
    const uint64_t rows = rows_of(log_rows, root, n);
    uint64_t bytes = fixed_bytes(code, log_rows, n);

    for (unsigned i = 0; i <= code->depth; i++) {
        const unsigned log_length = mbi_code_layer(code, i).log_length;
        size_t path = 0;

        (void)mbi_merkle_count(&path, (size_t)1 << log_length, layer[i].at, layer[i].n);
        bytes += column_bytes(code, i, rows) * layer[i].n +
                 sizeof(struct mbi_digest) * (i ? 1 : n) * path;
    }
    return bytes;
}

/* On each level of 2^k nodes, a pair has one missing node at most, and a position one pair. */
uint64_t MBI_EXT(open_size_max)(const struct mbi_code *code, const struct mbi_root *root, size_t n)
{
    unsigned log_rows[MBI_OPEN_VECTORS];
    const uint64_t rows = rows_of(log_rows, root, n);
    uint64_t bytes = fixed_bytes(code, log_rows, n);

    for (unsigned i = 0; i <= code->depth; i++) {
        const struct mbi_layer a = mbi_code_layer(code, i);
        const size_t known = mbi_min_size(a.queries, (size_t)1 << a.log_length);
        uint64_t path = 0;

        for (unsigned k = 1; k <= a.log_length; k++)
            path += mbi_min_size(known, (size_t)1 << (k - 1));
        bytes +=
            column_bytes(code, i, rows) * known + sizeof(struct mbi_digest) * (i ? 1 : n) * path;
    }
    return bytes;
}

uint64_t MBI_EXT(open_size_mean)(const struct mbi_code *code, const unsigned *log_rows, size_t n)
{
    uint64_t bytes = fixed_bytes(code, log_rows, n), rows = 0;

    for (size_t i = 0; i < n; i++)
        rows += (uint64_t)1 << log_rows[i];
    for (unsigned i = 0; i <= code->depth; i++) {
        const struct mbi_layer a = mbi_code_layer(code, i);
        struct seen seen[MBI_NTT_LOG_MAX + 1];

        see(seen, a.log_length, a.queries);
        bytes += seen_bytes(&seen[a.log_length], column_bytes(code, i, rows), i ? 1 : n);
    }
    return bytes;
}

/* ---- the choice ---- */

#define LAYER_RATE 4u     /* log2 of the lowest rate of a further layer */
#define LAYER_ROWS 8u     /* log2 of the most rows of one */
#define LAYER_MORE 1u     /* log2 of the most elements of E of one, for each entry of a vector */
#define LAYER_SYMBOLS 24u /* ... and for vectors of any size */

/* The shortest way to go on from a folded row of 2^l entries with a number of further layers, but
 * for the rounds, of which there are as many in any way. */
struct ending {
    uint64_t size;
    struct mbi_layer layer; /* the next one; nothing in the last */
};

struct endings {
    struct ending best[MBI_CODE_DEPTH + 1][MBI_NTT_LOG_MAX];
    struct seen seen[LAYER_RATE + 1][MBI_NTT_LOG_MAX + 1]; /* by rate and length */
    unsigned queries[LAYER_RATE + 1];
    unsigned work, symbols;
};

/* Of a row of n entries, 2^l of which are not masks. */
static void try_layer(struct ending *best, const struct ending *after, const struct endings *e,
                      unsigned l, unsigned rate, size_t n)
{
    for (unsigned rows = 1; rows <= LAYER_ROWS && rows <= l; rows++) {
        const struct mbi_layer a = {l - rows, l - rows + rate, e->queries[rate], e->work};
        const uint64_t column = MBI_EXT_BYTES * (((n - 1) >> a.log_columns) + 1);
        const uint64_t size = sizeof(struct mbi_digest) + (a.work ? 8 : 0) +
                              after[a.log_columns].size +
                              seen_bytes(&e->seen[rate][a.log_length], column, 1);

        if (size < best->size)
            *best = (struct ending){size, a};
    }
}

/* `symbols`: log2 of the most elements of E of a layer. */
static void find_endings(struct endings *e, unsigned work, unsigned level, unsigned symbols)
{
    e->work = work;
    e->symbols = symbols;
    for (unsigned rate = 1; rate <= LAYER_RATE; rate++) {
        e->queries[rate] = MBI_EXT(code_queries)(rate, work, level);
        see(e->seen[rate], MBI_NTT_LOG_MAX, e->queries[rate]);
    }
    for (unsigned l = 0; l < MBI_NTT_LOG_MAX; l++)
        e->best[0][l] = (struct ending){.size = (uint64_t)MBI_EXT_BYTES << l};
    for (unsigned d = 1; d <= MBI_CODE_DEPTH; d++)
        for (unsigned l = 0; l < MBI_NTT_LOG_MAX; l++) {
            e->best[d][l].size = UINT64_MAX / 2; /* none */
            for (unsigned rate = 1; rate <= LAYER_RATE && l + rate <= symbols; rate++)
                try_layer(&e->best[d][l], e->best[d - 1], e, l, rate, (size_t)1 << l);
        }
}

/* Of the folded row of layer 0, with `depth` further layers. */
static struct ending first_ending(const struct endings *e, const struct mbi_code *code,
                                  unsigned depth)
{
    const size_t n = mbi_code_entries(code);
    const unsigned l = code->log_columns;
    struct ending first = {.size = depth ? UINT64_MAX / 2 : MBI_EXT_BYTES * (uint64_t)n};

    for (unsigned rate = 1; depth && rate <= LAYER_RATE && l + rate <= e->symbols; rate++)
        try_layer(&first, e->best[depth - 1], e, l, rate, n);
    return first;
}

static void put_ending(struct mbi_code *code, const struct endings *e, unsigned depth)
{
    unsigned l = code->log_columns;

    code->depth = depth;
    memset(code->further, 0, sizeof(code->further));
    for (unsigned i = 0; i < depth; i++) {
        code->further[i] = i ? e->best[depth - i][l].layer : first_ending(e, code, depth).layer;
        l = code->further[i].log_columns;
    }
}

/* ---- masks ---- */

/* The fewest queries for the level, each of which takes `openings` more masks: more queries need
 * masks, and masks more queries. */
static void fewest_queries(struct mbi_code *code, uint32_t openings)
{
    uint64_t before;

    code->queries = 1;
    do {
        uint32_t each;

        before = code->queries;
        if (openings)
            code->masks = openings * code->queries + 1;
        each = bits_of(code, 0);
        code->queries = (unsigned)mbi_min_u64(
            each ? queries_for(each, code->work, code->level) : UINT64_MAX, MBI_CODE_QUERIES + 1);
    } while (code->queries > before);
}

bool MBI_EXT(code_fit)(struct mbi_code *code, const unsigned *bits, size_t n)
{
    unsigned log_rows[MBI_OPEN_VECTORS], rounds;
    uint64_t first[MBI_OPEN_VECTORS];

    if (!n || n > MBI_OPEN_VECTORS)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (bits[i] > MBI_MAX_BITS)
            return false;
        log_rows[i] = mbi_code_log_rows(code, bits[i]);
    }
    rounds = MBI_EXT(open_stack)(first, log_rows, n);
    if (rounds + code->log_columns > MBI_MAX_BITS)
        return false;
    if (!code->masks)
        return true;
    code->pads = 2 * MBI_EXT_D * rounds;
    fewest_queries(code, 0);
    return true;
}

/* The mean size; UINT64_MAX if such a code cannot be. */
static uint64_t size_of(const struct mbi_code *code, const unsigned *bits, size_t n)
{
    unsigned log_rows[MBI_OPEN_VECTORS];
    struct mbi_code fitted = *code;

    for (size_t i = 0; i < n; i++) {
        if (bits[i] < code->log_columns)
            return UINT64_MAX;
        log_rows[i] = mbi_code_log_rows(code, bits[i]);
    }
    if (MBI_EXT(code_fault)(code) || !MBI_EXT(code_fit)(&fitted, bits, n))
        return UINT64_MAX;
    return MBI_EXT(open_size_mean)(&fitted, log_rows, n);
}

/* The number of further layers, at most `most`, with which a row of 2^l entries takes the fewest
 * bytes; they come with rounds for every bit of it. */
static unsigned best_depth(const struct endings *e, const struct mbi_code *code, unsigned most)
{
    const uint64_t rounds = 2 * MBI_EXT_BYTES * (uint64_t)mbi_layer_bits(code);
    uint64_t least = first_ending(e, code, 0).size;
    unsigned depth = 0;

    for (unsigned d = 1; d <= most; d++) {
        const uint64_t size = first_ending(e, code, d).size + rounds;

        if (size < least) {
            least = size;
            depth = d;
        }
    }
    return depth;
}

/* For so many openings of a root that hide it; 0: in the clear. */
static bool choose(struct mbi_code *code, const unsigned *bits, size_t n, unsigned log_rate,
                   unsigned work, unsigned level, uint32_t openings)
{
    struct mbi_code c = {.work = work, .level = level};
    struct endings e = {0};
    uint64_t least = UINT64_MAX;
    unsigned depth = 0, symbols = LAYER_SYMBOLS;

    if (!n || n > MBI_OPEN_VECTORS || !log_rate || log_rate > MBI_CODE_RATE_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        symbols = bits[i] + LAYER_MORE < symbols ? bits[i] + LAYER_MORE : symbols;
        depth = bits[i] > MBI_CODE_FLAT ? MBI_CODE_DEPTH : depth;
    }
    find_endings(&e, work, level, symbols);
    c.queries = MBI_EXT(code_queries)(log_rate, work, level);
    for (unsigned l = 0; l + log_rate <= MBI_NTT_LOG_MAX; l++) {
        uint64_t size;

        c.log_columns = l;
        c.log_length = l + log_rate;
        if (openings) {
            c.pads = 2 * MBI_EXT_D * (MBI_MAX_BITS - l);
            fewest_queries(&c, openings);
        }
        put_ending(&c, &e, best_depth(&e, &c, depth));
        size = size_of(&c, bits, n);
        if (size < least) {
            least = size;
            *code = c;
        }
    }
    return least != UINT64_MAX;
}

bool MBI_EXT(code_choose)(struct mbi_code *code, const unsigned *bits, size_t n, unsigned log_rate,
                          unsigned work, unsigned level)
{
    return choose(code, bits, n, log_rate, work, level, 0);
}

#define SHORT_WORK 16u /* bits */
#define LONG_WORK 18u  /* ... for each layer, where there may be several, and of hidden ones */
#define SHORT 18u      /* bits of a vector that may be encoded at a low rate, */
#define SHORT_RATE 4u  /* ... log2 of the lowest */
#define LONG_RATE 2u   /* ... and of that of longer ones, which take their time */
#define LONGER 3u      /* bits that another vector is taken to have more, */
#define LONGEST 24u    /* ... up to so many */

static bool choose_rate(struct mbi_code *code, unsigned bits, size_t n, unsigned level,
                        uint32_t openings)
{
    const bool flat = bits <= MBI_CODE_FLAT;
    const unsigned lowest = bits > SHORT       ? LONG_RATE
                            : flat && openings ? MBI_CODE_RATE_MAX
                                               : SHORT_RATE;
    unsigned both[] = {bits, bits};
    uint64_t least = UINT64_MAX;

    if (n < 1 || n > MBI_COUNT(both))
        return false;
    if (!flat && bits < LONGEST)
        both[1] = bits + LONGER < LONGEST ? bits + LONGER : LONGEST;
    for (unsigned rate = 1; rate <= lowest; rate++) {
        struct mbi_code c;
        uint64_t size;

        if (!choose(&c, both, n, rate, flat && !openings ? SHORT_WORK : LONG_WORK, level, openings))
            continue;
        size = size_of(&c, both, n);
        if (size < least) {
            least = size;
            *code = c;
        }
    }
    return least != UINT64_MAX;
}

bool MBI_EXT(code_of)(struct mbi_code *code, unsigned bits, size_t n, unsigned level)
{
    return choose_rate(code, bits, n, level, 0);
}

bool MBI_EXT(code_of_hidden)(struct mbi_code *code, unsigned bits, size_t n, unsigned level,
                             uint32_t openings)
{
    return openings && openings <= MBI_CODE_OPENINGS && choose_rate(code, bits, n, level, openings);
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
