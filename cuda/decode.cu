/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single tokens in one launch. The kernel fills the device once and walks the phases of a step: a
 * layer is a product, the mixer, a product. Blocks wait for values, not for each other: whoever makes
 * a value writes it with a tag into a word, and who wants it looks there until the tag is right
 * (cuda/decode_phase.h). The weights come meanwhile (cuda/decode_ring.h).
 *
 * A word is written again a layer later. That is safe because all who read it have done so by then:
 * what goes into a mixer is read by the blocks of its heads before they give what comes out, and the
 * product behind waits for all of that; a block that has rows of this product has read the residual
 * by then, for it adds to it; and as that has two places in turn, its next writer has seen words of
 * the product in front of the next mixer from every block that reads. Blocks without rows read
 * nothing but the last residual, which nobody writes again, and no token either, as later values may
 * lie in its place. All columns of p are read by some head (reads_all() in cuda/decode_plan.cu).
 */
#include "cuda/decode_mix.h"
#include <string.h>

#define THREADS MBI_DECODE_THREADS
#define WARPS MBI_DECODE_WARPS
#define TEAM_WORDS (3 * WARPS > MBI_DECODE_LANES ? 3 * WARPS : MBI_DECODE_LANES)
#define PHASES MBI_DECODE_PHASES
#define AHEAD 3                                /* phases: from a mixer to the next */
#define USUAL 64                               /* P and N of most models */
#define MOST_SQUARES (((uint64_t)1 << 48) - 1) /* what mbi_warp_sum_u48() takes */

/* A block and what it has in shared memory. */
struct block {
    const struct mbi_decode_args *args;
    struct mbi_phase *phase; /* this one and the next ones, in turn */
    const struct mbi_decode_part *part;
    const uint32_t *shears; /* [MBI_SHEARS] */
    int32_t *sums;          /* [lanes][rows of its share] */
    int8_t *x;              /* [lanes][pitch] */
    int32_t *residual;      /* [lanes][cols] */
    uint64_t *team;         /* [TEAM_WORDS] */
    char *mix, *before;
    struct mbi_ring ring;
    uint32_t group; /* of the copies into `before` */
};

static __device__ __forceinline__ uint32_t tag_of(const struct block *b, uint32_t k)
{
    return b->args->tag + k;
}

/* ---- words ---- */

/* Words that are looked at before any is waited for. */
#define TOGETHER 4

static __device__ __forceinline__ void look(uint64_t seen[TOGETHER], const uint64_t *words,
                                            uint32_t begin, uint32_t end, uint32_t step)
{
    MBI_UNROLL
    for (uint32_t a = 0; a < TOGETHER; a++)
        seen[a] = begin + a * step < end ? mbi_word_look(words + begin + a * step) : 0;
}

/* ---- vectors ---- */

/*
 * Where column i of x is. Of several lanes it lies in order, for mbi_load_matrices(). A single one
 * would be read eight times that way, so its words are put in the order in which a lane of the warp
 * needs them: word 8 q + 4 h + t of a block of columns, for product q, is number 2 q + h of those of
 * lanes t, t + 4 ..
 */
static __device__ __forceinline__ uint32_t x_word(uint32_t i, bool single)
{
    return single ? (i & ~31u) | (i & 3) << 3 | (i >> 2 & 7) : i;
}

static __device__ __forceinline__ uint32_t x_byte(uint32_t i, bool single)
{
    return x_word(i / 4, single) * 4 + i % 4;
}

/* ---- the residual and its norm ---- */

/* The first residual is that of the tokens: all blocks make it for themselves. */
static __device__ __forceinline__ void embed(const struct block *b)
{
    const struct mbi_phase *p = &b->phase[0];
    const int32_t *const token = b->args->drawn ? b->args->drawn : p->token;
    const uint32_t cols = p->matrix.cols;

    for (uint32_t lane = 0; lane < b->args->lanes; lane++) {
        const int8_t *const row = p->table + (size_t)token[lane] * cols;

        for (uint32_t i = threadIdx.x; i < cols; i += THREADS)
            b->residual[lane * cols + i] = mbi_clamped(&p->embed, row[i]);
    }
}

/* What a norm is made of: the largest magnitude, and the sum of squares, which is right while no
 * value leaves 16 bits. Then each square is at most 2^30. */
struct extent {
    int32_t most;
    uint64_t ss;
};

/* The residual of a lane into shared memory; of this thread's part. */
static __device__ __forceinline__ struct extent take_residual(const struct block *b,
                                                              const struct mbi_phase *p,
                                                              uint32_t tag, uint32_t lane,
                                                              uint32_t me, uint32_t team)
{
    const uint32_t cols = p->matrix.cols;
    const uint64_t *const words = b->args->words.residual[p->turn] + (size_t)lane * cols;
    int32_t *const r = b->residual + (size_t)lane * cols;
    struct extent x = {0, 0};

    for (uint32_t begin = me; begin < cols; begin += TOGETHER * team) {
        uint64_t seen[TOGETHER];

        look(seen, words, begin, p->table ? 0 : cols, team);
        MBI_UNROLL
        for (uint32_t a = 0; a < TOGETHER; a++) {
            const uint32_t i = begin + a * team;

            if (i >= cols)
                continue;
            const int32_t v = p->table ? r[i] : mbi_word_take(seen[a], words + i, tag);

            r[i] = v;
            x.most = mbi_max_i32(x.most, v < 0 ? -1 - v : v);
            x.ss += (uint32_t)v * (uint32_t)v;
        }
    }
    return x;
}

/* Over the block, by words of `team` that nobody else uses: one barrier. */
static __device__ __forceinline__ uint64_t block_sum(uint64_t sum, uint64_t *team)
{
    const uint32_t lane = threadIdx.x % MBI_WARP;

    if (lane == 0)
        team[threadIdx.x / MBI_WARP] = sum;
    __syncthreads();
    return mbi_warp_sum_u48(lane < WARPS ? team[lane] : 0);
}

static __device__ __forceinline__ struct extent block_extent(struct extent x, uint64_t *team)
{
    const uint32_t lane = threadIdx.x % MBI_WARP;

    if (lane == 0)
        team[threadIdx.x / MBI_WARP] = (uint64_t)(uint32_t)x.most;
    x.ss = block_sum(x.ss, team + WARPS);
    x.most = mbi_warp_max(lane < WARPS ? (int32_t)team[lane] : 0);
    return x;
}

/* norm_rms or norm_shift of one lane into x, as in lib/op/norm.c, by the whole block if it is the
 * only one, or by a warp. Sums of squares: at most cols 2^30. */
static __device__ __forceinline__ void feed_normed(const struct block *b, const struct mbi_phase *p,
                                                   uint32_t tag, uint32_t lane, uint32_t pitch,
                                                   bool whole)
{
    const uint32_t cols = p->matrix.cols, team = whole ? THREADS : MBI_WARP;
    const uint32_t me = threadIdx.x % team;
    const int32_t *const r = b->residual + (size_t)lane * cols;
    int8_t *const x = b->x + (size_t)lane * pitch;
    struct extent s = take_residual(b, p, tag, lane, me, team);

    s.most = mbi_warp_max(s.most);
    s.ss = mbi_warp_sum_u48(s.ss & MOST_SQUARES);
    if (whole)
        s = block_extent(s, b->team);
    const int headroom = mbi_norm_headroom(s.most);

    if (headroom) {
        s.ss = 0;
        for (uint32_t i = me; i < cols; i += team) {
            const int32_t v = (int32_t)mbi_rsh_i32(r[i], headroom);

            s.ss += (uint32_t)(v * v);
        }
        s.ss = mbi_warp_sum_u48(s.ss);
        if (whole)
            s.ss = block_sum(s.ss, b->team + 2 * WARPS);
    }
    const struct mbi_norm_factor f = mbi_warp_norm_factor(p->norm_op, s.ss, cols, p->norm_inverse);

#pragma unroll 2
    for (uint32_t i = me; i < cols; i += team)
        x[x_byte(i, whole)] = (int8_t)mbi_normed(
            headroom ? (int32_t)mbi_rsh_i32(r[i], headroom) : r[i], &f, p->norm_frac, p->norm_bits);
}

/* ---- products ---- */

/* What the mixer in front gave, four columns a word. */
static __device__ __forceinline__ void feed_mixed(const struct block *b, const struct mbi_phase *p,
                                                  uint32_t tag, uint32_t lane, uint32_t pitch)
{
    const uint32_t words = p->matrix.cols / 4;
    const uint64_t *const g = b->args->words.g + (size_t)lane * words;
    uint32_t *const x = (uint32_t *)(b->x + (size_t)lane * pitch);

    for (uint32_t begin = threadIdx.x; begin < words; begin += TOGETHER * THREADS) {
        uint64_t seen[TOGETHER];

        look(seen, g, begin, words, THREADS);
        MBI_UNROLL
        for (uint32_t a = 0; a < TOGETHER; a++) {
            const uint32_t i = begin + a * THREADS;

            if (i < words)
                x[x_word(i, b->args->lanes == 1)] = (uint32_t)mbi_word_take(seen[a], g + i, tag);
        }
    }
}

/* The vectors of all lanes in shared memory; columns beyond theirs hold anything, and are multiplied
 * by 0. Ends with a barrier. */
static __device__ __forceinline__ void feed(const struct block *b, const struct mbi_phase *p,
                                            uint32_t tag, uint32_t pitch)
{
    const uint32_t lanes = b->args->lanes;

    if (!p->normed)
        for (uint32_t lane = 0; lane < lanes; lane++)
            feed_mixed(b, p, tag, lane, pitch);
    else if (lanes == 1)
        feed_normed(b, p, tag, 0, pitch, true);
    else
        for (uint32_t lane = threadIdx.x / MBI_WARP; lane < lanes; lane += WARPS)
            feed_normed(b, p, tag, lane, pitch, false);
    __syncthreads();
}

/* Adds what a warp has of a row block to the block's sums, `rows` to a lane. */
template <bool ternary>
static __device__ __forceinline__ void add_sums(mbi_dot_sums<ternary, false, 1> &s, int32_t *sums,
                                                uint32_t rows, uint32_t lanes)
{
    const uint32_t l = threadIdx.x % MBI_WARP;

    MBI_UNROLL
    for (int i = 0; i < 4; i++) {
        const uint32_t row = l / 4 + (uint32_t)(i / 2) * 8;
        const uint32_t lane = 2 * (l % 4) + (uint32_t)(i % 2);

        if (lane < lanes)
            atomicAdd(&sums[lane * rows + row], s.sum(0, i));
    }
    s.clear();
}

/* The warp's share of a product, of which the first unit is there before x is. */
template <bool ternary> struct share {
    struct mbi_units units;
    mbi_dot_unit<ternary> unit;

    __device__ __forceinline__ void begin(struct block *b, const struct mbi_decode_part *part)
    {
        units = mbi_units_of(part);
        if (units.begin < units.end)
            mbi_ring_take(&b->ring, unit);
    }
};

/* A column block of the unit times the vector, which is a single one in the order of x_word(). */
template <bool ternary>
static __device__ __forceinline__ void add_single(mbi_dot_sums<ternary, false, 1> &s,
                                                  const mbi_dot_unit<ternary> &unit, int i,
                                                  const int8_t *x, uint32_t col)
{
    const uint4 *const words = (const uint4 *)(x + col * MBI_BLOCK_COLS) + threadIdx.x % 4 * 2;
    const uint4 low = words[0], high = words[1];
    const uint32_t first[4] = {low.x, low.y, low.z, low.w};
    const uint32_t second[4] = {high.x, high.y, high.z, high.w};

    s.products(unit, i, 0, first);
    s.products(unit, i, 1, second);
}

/* From the ring, whose last unit is asked for by whoever comes behind. A sum of a row is that of the
 * matrix, which is in int32 (cuda/matrix.h), in whatever order. */
template <bool ternary, bool single>
static __device__ __forceinline__ void multiply(struct block *b, struct share<ternary> *s,
                                                const struct mbi_decode_part *part, uint32_t pitch)
{
    const uint32_t tiles = ternary ? 4 : 1, lanes = single ? 1 : b->args->lanes;
    const uint32_t across = part->col_blocks;
    const uint32_t rows = part->share.n * MBI_BLOCK_ROWS, first = s->units.begin * tiles;
    const uint8_t *const vector[1] = {mbi_dot_vector((const uint8_t *)b->x, pitch, lanes, 0)};
    uint32_t row = across > 1 ? __umulhi(first, part->inverse) : first;
    uint32_t col = first - row * across;
    mbi_dot_sums<ternary, false, 1> sums;

    sums.clear();
    MBI_NO_UNROLL
    for (uint32_t u = s->units.begin; u < s->units.end; u++) {
        if (u > s->units.begin) {
            mbi_ring_push(&b->ring);
            mbi_ring_take(&b->ring, s->unit);
        }
        MBI_UNROLL
        for (uint32_t i = 0; i < tiles; i++) {
            if (u * tiles + i >= s->units.tiles)
                break;
            if (single)
                add_single<ternary>(sums, s->unit, (int)i, b->x, col);
            else
                sums.block(s->unit, (int)i, vector, col * MBI_BLOCK_COLS, 0);
            if (++col == across) {
                add_sums<ternary>(sums, b->sums + row++ * MBI_BLOCK_ROWS, rows, lanes);
                col = 0;
            }
        }
    }
    if (s->units.begin < s->units.end && col)
        add_sums<ternary>(sums, b->sums + row * MBI_BLOCK_ROWS, rows, lanes);
}

/* The better logit is the larger key; of equals the lower row. */
static __device__ __forceinline__ unsigned long long key_of(int32_t v, uint32_t row)
{
    return (unsigned long long)((uint32_t)v ^ 0x80000000u) << 32 | (uint32_t)~row;
}

static __device__ __forceinline__ void keep_best(unsigned long long key, unsigned long long *best)
{
    for (int d = MBI_WARP / 2; d; d /= 2) {
        const unsigned long long other = __shfl_xor_sync(MBI_FULL, key, d);

        key = other > key ? other : key;
    }
    if (threadIdx.x % MBI_WARP == 0)
        atomicMax(best, key);
}

/* The rows of the head are logits; the best of the block is told. */
static __device__ __forceinline__ void finish_head(const struct block *b, const struct mbi_phase *p,
                                                   uint32_t tag)
{
    const struct mbi_decode_part *part = &b->part[p->part];
    const uint32_t rows = part->share.n * MBI_BLOCK_ROWS,
                   first = part->share.first * MBI_BLOCK_ROWS;
    unsigned long long *const best = (unsigned long long *)b->team;
    uint64_t *const told = b->args->words.best + (size_t)blockIdx.x * b->args->lanes * 2;

    for (uint32_t lane = threadIdx.x; lane < b->args->lanes; lane += THREADS)
        best[lane] = 0;
    __syncthreads();
    for (uint32_t lane = 0; lane < b->args->lanes; lane++) {
        unsigned long long key = 0;

        for (uint32_t i = threadIdx.x; i < rows && first + i < p->matrix.rows; i += THREADS) {
            const uint32_t row = first + i;
            const int32_t v = (int32_t)mbi_finished(&p->finish, b->sums[lane * rows + i],
                                                    mbi_finish_row(&p->finish, row), false, 0);
            const unsigned long long k = key_of(v, row);

            ((int32_t *)p->finish.out)[(size_t)lane * p->matrix.rows + row] = v;
            key = k > key ? k : key;
        }
        keep_best(key, &best[lane]);
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < 2 * b->args->lanes; i += THREADS)
        mbi_word_put(told + i, (int32_t)(uint32_t)(best[i / 2] >> (i % 2 ? 0 : 32)), tag);
}

/* One row of a layer's product of one lane, and where its sum and its word are. */
struct row {
    uint32_t i, row;
    size_t at;
    bool there;
};

static __device__ __forceinline__ struct row row_at(const struct block *b,
                                                    const struct mbi_phase *p,
                                                    const struct mbi_decode_part *part, uint32_t i)
{
    const uint32_t rows = part->share.n * MBI_BLOCK_ROWS, lanes = b->args->lanes;
    const uint32_t lane = lanes > 1 && rows ? i / rows : 0;
    struct row r;

    r.i = i;
    r.row = part->share.first * MBI_BLOCK_ROWS + i - lane * rows;
    r.at = (size_t)lane * p->matrix.rows + r.row;
    r.there = i < rows * lanes && r.row < p->matrix.rows;
    return r;
}

/* What a row's sum becomes, worked out before the sum is there: nearly always a shift and a clamp,
 * and perhaps a saturated addition. */
struct finish {
    struct mbi_finish_row row;
    int32_t shift, lo, hi, least;
    bool brief;
};

static __device__ __forceinline__ struct finish finish_at(const struct mbi_phase *p,
                                                          const struct row *r)
{
    const struct mbi_cuda_finish *const f = &p->finish;
    struct finish x = {};

    if (!r->there)
        return x;
    x.row = mbi_finish_row(f, r->row);
    x.shift = f->shift + x.row.exponent;
    x.lo = f->lo;
    x.hi = f->hi;
    x.least = p->normed ? INT32_MIN : -(int32_t)((uint32_t)INT32_MAX >> (32 - f->bits)) - 1;
    x.brief = f->kind == MBI_FINISH_ROWS && x.shift >= 0 && x.shift < 32;
    return x;
}

static __device__ __forceinline__ int32_t finished(const struct mbi_phase *p,
                                                   const struct finish *x, int32_t sum,
                                                   int32_t added)
{
    if (!x->brief)
        return (int32_t)mbi_finished(&p->finish, sum, x->row, !p->normed, added);
    sum = mbi_clamp_i32(mbi_rsh_any(sum, x->shift), x->lo, x->hi);
    return mbi_clamp_i32(mbi_add_sat(sum, added), x->least, ~x->least);
}

/* Rows of a layer's products become words: of p, or of the residual with what is added to it. The
 * first round of them was prepared before x was waited for. */
static __device__ __forceinline__ void finish_rows(const struct block *b, const struct mbi_phase *p,
                                                   const struct mbi_decode_part *part, struct row r,
                                                   struct finish f, uint32_t tag)
{
    const uint32_t all = part->share.n * MBI_BLOCK_ROWS * b->args->lanes;
    uint64_t *const to = p->normed ? b->args->words.p : b->args->words.residual[p->turn];

    MBI_NO_UNROLL
    while (r.i < all) {
        if (r.there)
            mbi_word_put(to + r.at,
                         finished(p, &f, b->sums[r.i], p->normed ? 0 : b->residual[r.at]), tag);
        b->sums[r.i] = 0;
        if (r.i + THREADS >= all)
            break;
        r = row_at(b, p, part, r.i + THREADS);
        f = finish_at(p, &r);
    }
}

/* Does this block read the residual in front of a mixer? If it multiplies it, or adds to it. */
static __device__ __forceinline__ bool wants_residual(const struct block *b,
                                                      const struct mbi_phase *p)
{
    return b->part[p->part].share.n ||
           (p->kind == MBI_PHASE_PRODUCT && b->part[p->part + 1].share.n);
}

/* The description of a later phase, which is on its way while this one runs, gets to its place
 * before a barrier. Every phase has one, so nobody reads any more what lay there. */
struct fetched {
    uint4 piece;
    uint4 *to; /* NULL: not of this thread */
};

static __device__ __forceinline__ struct fetched fetch_phase(const struct block *b, uint32_t k)
{
    struct fetched f = {};

    if (k < b->args->n_phases && threadIdx.x < sizeof(struct mbi_phase) / 16) {
        f.piece = ((const uint4 *)&b->args->phase[k])[threadIdx.x];
        f.to = (uint4 *)&b->phase[k % PHASES] + threadIdx.x;
    }
    return f;
}

static __device__ __forceinline__ void put_phase(const struct fetched *f)
{
    if (f->to)
        *f->to = f->piece;
}

/* Phase k is a product. Words that it reads are those of the phase before. */
template <bool ternary>
static __device__ __forceinline__ void product(struct block *b, const struct mbi_phase *p,
                                               uint32_t k, const struct fetched *later)
{
    const struct mbi_decode_part *part = &b->part[p->part];
    const uint32_t pitch = mbi_dot_pitch(part->col_blocks);
    const struct row r = row_at(b, p, part, threadIdx.x);
    const struct finish f = finish_at(p, &r);
    struct share<ternary> s;

    s.begin(b, part);
    feed(b, p, tag_of(b, k - 1), pitch);
    if (b->args->lanes == 1)
        multiply<ternary, true>(b, &s, part, pitch);
    else
        multiply<ternary, false>(b, &s, part, pitch);
    put_phase(later);
    if (p->normed)
        mbi_ring_wait(&b->ring, b->group); /* what the next mixer has from before is there */
    __syncthreads();
    if (p->kind == MBI_PHASE_PRODUCT)
        finish_rows(b, p, part, r, f, tag_of(b, k));
    else
        finish_head(b, p, tag_of(b, k));
    if (s.units.begin < s.units.end)
        mbi_ring_push(&b->ring);
}

template <bool ternary>
static __device__ __forceinline__ void product_phase(struct block *b, const struct mbi_phase *p,
                                                     uint32_t k, const struct fetched *later)
{
    if (p->kind == MBI_PHASE_PRODUCT &&
        !(p->normed ? wants_residual(b, p) : b->part[p->part].share.n)) {
        put_phase(later);
        mbi_ring_wait(&b->ring, b->group);
        __syncthreads();
    } else if (ternary && p->matrix.dtype == MBI_TERNARY) {
        product<true>(b, p, k, later);
    } else {
        product<false>(b, p, k, later);
    }
}

/* ---- the mixer ---- */

/* Ask for what one of this block's heads has from before. Nobody may be reading what another had. */
static __device__ __forceinline__ void bring(struct block *b, const struct mbi_cuda_mixer *m,
                                             uint32_t i)
{
    const uint32_t heads = (uint32_t)m->scan.heads;

    mbi_mix_bring(b->before, m, &b->args->runs[i / heads], i % heads);
    mbi_copy_commit();
    b->group = ++b->ring.groups;
}

/* Of the first one, if phase k is a mixer. */
static __device__ __forceinline__ void bring_before(struct block *b, uint32_t k)
{
    const struct mbi_phase *const p = &b->phase[k % PHASES];

    if (k < b->args->n_phases && p->kind == MBI_PHASE_MIX && p->near &&
        blockIdx.x < (uint32_t)p->mixer.scan.heads * b->args->lanes)
        bring(b, &p->mixer, blockIdx.x);
}

template <bool usual>
static __device__ __forceinline__ void mix_head(const struct block *b, const struct mbi_mix_task *t,
                                                uint64_t *g, uint32_t tag)
{
    if (usual) {
        struct mbi_mix_task known = *t;

        known.dim = known.n = USUAL;
        mbi_mix_head(&known, b->mix, b->before, g, tag);
    } else if (t->near) {
        mbi_mix_head(t, b->mix, b->before, g, tag);
    } else {
        mbi_mix_head_far(*t, b->mix, g, tag);
    }
}

template <bool usual>
static __device__ __forceinline__ void mix(struct block *b, const struct mbi_phase *p, uint32_t k,
                                           const struct fetched *later)
{
    const struct mbi_cuda_mixer *m = &p->mixer;
    const struct mbi_decode_words *w = &b->args->words;
    const uint32_t heads = (uint32_t)m->scan.heads, work = heads * b->args->lanes;
    struct mbi_mix_task t = {};

    t.m = m;
    t.shears = b->shears;
    t.tag = tag_of(b, k - 1);
    t.dim = (uint32_t)m->scan.head_dim;
    t.n = (uint32_t)m->scan.d_state;
    t.near = p->near != 0;
    for (uint32_t i = blockIdx.x; i < work; i += gridDim.x) {
        const uint32_t lane = i / heads;

        if (i != blockIdx.x) {
            __syncthreads();
            if (t.near) {
                bring(b, m, i);
                mbi_ring_wait(&b->ring, b->group);
                __syncthreads();
            }
        }
        t.run = &b->args->runs[lane];
        t.words = w->p + (size_t)lane * m->p_cols;
        t.head = i - lane * heads;
        t.i = (uint32_t)t.run->pos & ((uint32_t)m->scan.chunk - 1);
        mix_head<usual>(b, &t, w->g + (size_t)i * t.dim / 4, tag_of(b, k));
    }
    put_phase(later);
    __syncthreads();
    bring_before(b, k + AHEAD);
}

/* ---- the last choice ---- */

static __device__ __forceinline__ void choose(const struct block *b, const struct mbi_phase *p,
                                              uint32_t k)
{
    const uint32_t lanes = b->args->lanes, tag = tag_of(b, k - 1);
    unsigned long long *const best = (unsigned long long *)b->team;

    if (blockIdx.x)
        return;
    __syncthreads();
    for (uint32_t lane = threadIdx.x; lane < lanes; lane += THREADS)
        best[lane] = 0;
    __syncthreads();
    for (uint32_t lane = 0; lane < lanes; lane++) {
        unsigned long long key = 0;

        for (uint32_t i = threadIdx.x; i < gridDim.x; i += THREADS) {
            const uint64_t *const w = b->args->words.best + ((size_t)i * lanes + lane) * 2;
            const uint64_t high = mbi_word_look(w), low = mbi_word_look(w + 1);
            const uint32_t v = (uint32_t)mbi_word_take(high, w, tag);
            const unsigned long long its =
                (unsigned long long)v << 32 | (uint32_t)mbi_word_take(low, w + 1, tag);

            key = its > key ? its : key;
        }
        keep_best(key, &best[lane]);
    }
    __syncthreads();
    for (uint32_t lane = threadIdx.x; lane < lanes; lane += THREADS)
        p->argmax[lane] = (int32_t) ~(uint32_t)best[lane];
}

/* ---- the step ---- */

static __device__ __forceinline__ struct block enter(const struct mbi_decode_args *args)
{
    const struct mbi_decode_space *s = &args->space;
    char *const shared = mbi_shared();
    struct mbi_decode_part *part = (struct mbi_decode_part *)(shared + s->parts);
    struct block b;

    b.args = args;
    b.phase = (struct mbi_phase *)shared;
    b.part = part;
    b.sums = (int32_t *)(shared + s->sums);
    b.x = (int8_t *)(shared + s->x);
    b.residual = (int32_t *)(shared + s->residual);
    b.team = (uint64_t *)(shared + s->team);
    b.mix = shared + s->mix;
    b.before = shared + s->before;
    b.group = 0;
    b.shears = (const uint32_t *)(shared + s->shears);
    for (uint32_t i = threadIdx.x; i < MBI_SHEARS; i += THREADS)
        ((uint32_t *)(shared + s->shears))[i] = args->shears[i];
    for (uint32_t i = threadIdx.x; i < args->n_parts; i += THREADS) {
        part[i] = args->part[i];
        part[i].share = args->share[(size_t)blockIdx.x * args->n_parts + i];
    }
    for (uint32_t i = threadIdx.x; i < s->most_rows * args->lanes; i += THREADS)
        b.sums[i] = 0;
    for (uint32_t k = 0; k < AHEAD; k++) {
        const struct fetched f = fetch_phase(&b, k);

        put_phase(&f);
    }
    __syncthreads();
    mbi_ring_start(&b.ring, b.part, args->n_parts, shared + s->ring, s->depth);
    bring_before(&b, 1);
    if (b.phase[0].kind == MBI_PHASE_HEAD || wants_residual(&b, &b.phase[0]))
        embed(&b);
    __syncthreads();
    return b;
}

/* The kernel leaves out what a program does not need: products with ternary matrices, mixers of
 * other than the usual sizes. */
template <bool ternary, bool usual>
static __global__ void __launch_bounds__(THREADS, 1)
    decode_kernel(const __grid_constant__ struct mbi_decode_args args)
{
    if (args.live && !*args.live) /* written before this launch: all blocks leave */
        return;
    struct block b = enter(&args);

    for (uint32_t k = 0; k < args.n_phases; k++) {
        const struct mbi_phase *const p = &b.phase[k % PHASES];
        const struct fetched later = fetch_phase(&b, k + AHEAD);

        if (p->kind == MBI_PHASE_MIX)
            mix<usual>(&b, p, k, &later);
        else if (p->kind == MBI_PHASE_CHOOSE)
            choose(&b, p, k);
        else
            product_phase<ternary>(&b, p, k, &later);
    }
    mbi_copy_wait<0>();
}

typedef void kernel(const struct mbi_decode_args);

static kernel *kernel_of(const struct mbi_phase *phases, uint32_t n)
{
    bool ternary = false, usual = true;

    for (uint32_t k = 0; k < n; k++) {
        const struct mbi_phase *p = &phases[k];
        const struct mbi_scan_attr *at = &p->mixer.scan;

        if (p->kind == MBI_PHASE_MIX)
            usual = usual && p->near && at->head_dim == USUAL && at->d_state == USUAL;
        else if (p->kind != MBI_PHASE_CHOOSE)
            ternary = ternary || p->matrix.dtype == MBI_TERNARY;
    }
    return !usual    ? decode_kernel<true, false>
           : ternary ? decode_kernel<true, true>
                     : decode_kernel<false, true>;
}

/* ---- sizes ---- */

/* What is in shared memory for `lanes` lanes, in this order; the ring takes what is left of `limit`.
 * False: too little is. */
static bool space_for(struct mbi_decode_space *s, const struct mbi_cuda_decode *d,
                      const struct mbi_phase *phases, uint32_t lanes, size_t limit)
{
    const size_t unit = WARPS * (size_t)MBI_UNIT; /* of all warps */
    size_t x = 0, mix = 0, before = 0, at;

    for (uint32_t k = 0; k < d->n_phases; k++) {
        const struct mbi_phase *p = &phases[k];

        if (p->kind == MBI_PHASE_MIX) {
            mix = mbi_max_size(mix, mbi_mix_room_size(&p->mixer.scan));
            before = mbi_max_size(before, p->near);
        } else if (p->kind != MBI_PHASE_CHOOSE) {
            x = mbi_max_size(x, mbi_dot_pitch(mbi_col_blocks(&p->matrix)));
        }
    }
    at = PHASES * sizeof(struct mbi_phase);
    s->parts = (uint32_t)at;
    at += d->n_parts * sizeof(struct mbi_decode_part);
    s->shears = (uint32_t)at;
    at += MBI_SHEARS * sizeof(uint32_t);
    s->sums = (uint32_t)at;
    at = mbi_align_size(at + (size_t)s->most_rows * lanes * 4, 16);
    s->x = (uint32_t)at;
    at = mbi_align_size(at + x * lanes, 16);
    s->residual = (uint32_t)at;
    at = mbi_align_size(at + (size_t)phases[0].matrix.cols * lanes * 4, 16);
    s->team = (uint32_t)at;
    at = mbi_align_size(at + TEAM_WORDS * sizeof(uint64_t), 16);
    s->mix = (uint32_t)at;
    at = mbi_align_size(at + mix, 16);
    s->before = (uint32_t)at;
    at = mbi_align_size(at + before, 128);
    s->ring = (uint32_t)at;
    if (at > limit)
        return false;
    if (at + MBI_RING_LEAST * unit > limit)
        return false;
    s->depth = (uint32_t)mbi_min_size(MBI_RING_MOST, (limit - at) / unit);
    s->size = (uint32_t)(at + s->depth * unit);
    return true;
}

/* Rows of the largest share; 0: one is too large for its bytes to be counted in 32 bits, or for the
 * inverse of its columns. */
static uint32_t most_rows(const struct mbi_decode_part *part, uint32_t n, uint32_t blocks)
{
    uint32_t most = 1;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t rows = (part[i].row_blocks + blocks - 1) / blocks;

        if (part[i].col_blocks > 1024 || rows > UINT32_MAX / MBI_UNIT / part[i].col_blocks / blocks)
            return 0;
        most = rows > most ? rows : most;
    }
    return most * MBI_BLOCK_ROWS;
}

bool mbi_cuda_decode_size_up(struct mbi_cuda_decode *d, const struct mbi_phase *phases,
                             const struct mbi_decode_part *parts)
{
    int device = 0, blocks = 0, together = 0, shared = 0, fit = 0;
    uint32_t rows;

    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaDeviceGetAttribute(&blocks, cudaDevAttrMultiProcessorCount, device) != cudaSuccess ||
        cudaDeviceGetAttribute(&together, cudaDevAttrCooperativeLaunch, device) != cudaSuccess ||
        cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) !=
            cudaSuccess ||
        !together || !(rows = most_rows(parts, d->n_parts, (uint32_t)blocks)))
        return false;
    d->blocks = (uint32_t)blocks;
    for (uint32_t lanes = 1; lanes <= MBI_DECODE_LANES; lanes++) {
        d->space[lanes].most_rows = rows;
        if (!space_for(&d->space[lanes], d, phases, lanes, (size_t)shared))
            break;
        d->most_lanes = lanes;
    }
    d->kernel = kernel_of(phases, d->n_phases);
    /* The limit is the process's, and the same for every program. */
    return d->most_lanes &&
           cudaFuncSetAttribute(d->kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared) ==
               cudaSuccess &&
           cudaOccupancyMaxActiveBlocksPerMultiprocessor(
               &fit, d->kernel, THREADS, d->space[d->most_lanes].size) == cudaSuccess &&
           fit > 0;
}

/* Tags of a launch differ from all that may still stand in a word: they go on from launch to launch,
 * and before they begin anew the words are cleared. */
static cudaError_t new_tags(struct mbi_cuda_decode *d)
{
    if (d->tag <= UINT32_MAX - 2 * d->n_phases) {
        d->tag += d->n_phases;
        return cudaSuccess;
    }
    d->tag = 1;
    return cudaMemsetAsync(d->memory, 0, d->memory_size, MBI_STREAM);
}

cudaError_t mbi_cuda_decode_run(struct mbi_cuda_decode *d, const struct mbi_image *image,
                                uint32_t lanes, const uint32_t *live, const int32_t *drawn)
{
    struct mbi_decode_args args = {};
    const cudaError_t e = new_tags(d);

    args.phase = d->phase;
    args.part = d->part;
    args.shears = d->shears;
    args.share = d->share;
    args.runs = image->runs;
    args.live = live;
    args.drawn = drawn;
    args.n_phases = d->n_phases;
    args.n_parts = d->n_parts;
    args.lanes = lanes;
    args.tag = d->tag;
    args.words = d->words;
    args.space = d->space[lanes];
    return e != cudaSuccess ? e
                            : mbi_launch_together(d->kernel, dim3(d->blocks), THREADS,
                                                  args.space.size, MBI_STREAM, args);
}

bool mbi_cuda_decode_takes(const struct mbi_cuda_decode *d, uint32_t lanes)
{
    return lanes <= d->most_lanes;
}
