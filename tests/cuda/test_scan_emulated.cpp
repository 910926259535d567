/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda/scan.cu on the emulator against the reference of lib/op/scan.c: outputs, h, h16 and the used
 * slot rows, for runs cut in every way. Usage: test_scan_emulated [seed [seconds]]
 */
#include "cuda/scan_token.h"

#include <chrono>
#include <cinttypes>

static uint64_t random_state;

static uint64_t next64(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t below(uint32_t n) { return (uint32_t)(next64() % n); }

/* A stream in both forms. */
struct stream {
    std::vector<int32_t> h, sum;
    std::vector<int8_t> b;
    std::vector<int16_t> xw;
    uint64_t pos;
    char *memory; /* of the device */
};

enum kind { RANDOM, EXTREME, NO_DECAY, FASTEST, KINDS };

struct batch {
    std::vector<int8_t> x, bc;
    std::vector<int32_t> l, y;
};

static const size_t memory_offset = 192; /* of the scan's part */

static int32_t any_l(kind kd, bool hold)
{
    static const int32_t extreme[] = {0, 32, 1 << 19, 33, 65536, 65535, (1 << 19) - 1};

    switch (kd) {
    case EXTREME: {
        const int32_t l = extreme[below(7)];

        return l || hold ? l : 32;
    }
    case NO_DECAY:
        return hold ? 0 : 32;
    case FASTEST:
        return 1 << 19;
    default:
        return hold && !below(4) ? 0 : 32 + (int32_t)below(1u << (5 + below(15)));
    }
}

static int8_t any_byte(kind kd)
{
    static const int8_t extreme[] = {-128, 127, -128, 127, 0, 1, -1};

    if (kd == RANDOM)
        return (int8_t)next64();
    return extreme[below(kd == EXTREME ? 7 : 2)];
}

static void fill(batch *t, const struct mbi_scan_attr *at, size_t lanes, kind kd)
{
    const size_t width = (size_t)(at->heads * at->head_dim);

    t->x.resize(lanes * width);
    t->bc.resize(lanes * 2 * (size_t)at->d_state);
    t->l.resize(lanes * (size_t)at->heads);
    t->y.assign(lanes * width, 0x55555555);
    /* Same signs in long stretches reach the ends of the sums. */
    for (int8_t &v : t->x)
        v = kd == NO_DECAY ? (int8_t)-128 : any_byte(kd);
    for (int8_t &v : t->bc)
        v = kd == NO_DECAY ? (int8_t)-128 : any_byte(kd);
    for (int32_t &v : t->l)
        v = any_l(kd, at->hold);
}

static void reference(stream *s, const struct mbi_scan_attr *at, const batch *t, size_t first,
                      size_t n, int32_t *y)
{
    const size_t width = (size_t)(at->heads * at->head_dim);
    struct mbi_op_args a = {};

    a.in[0] = t->x.data() + first * width;
    a.in[1] = t->bc.data() + first * 2 * (size_t)at->d_state;
    a.in[2] = t->l.data() + first * (size_t)at->heads;
    a.out = y;
    a.attr = at;
    a.lanes = n;
    a.pos = s->pos;
    a.state[0] = s->h.data();
    a.state[1] = s->b.data();
    a.state[2] = s->xw.data();
    a.state[3] = s->sum.data();
    a.end = (size_t)at->heads;
    mbi_op_scan.eval(&a);
    mbi_op_scan.finish(&a);
    s->pos += n;
}

static void stream_new(stream *s, const struct mbi_scan_attr *at, kind kd)
{
    const struct mbi_cuda_scan_layout o = mbi_cuda_scan_layout(at);
    const size_t n = (size_t)at->d_state, slots = (size_t)at->chunk - 1;
    const size_t width = (size_t)(at->heads * at->head_dim), used = below((uint32_t)at->chunk);
    std::vector<int32_t> y(used * width);
    batch t;

    s->h.resize(n * width);
    for (int32_t &v : s->h)
        v = kd == EXTREME ? (below(2) ? 1 << 29 : -(1 << 29))
                          : (int32_t)below(1u << 30) - (1 << 29);
    s->b.assign(slots * n, 0);
    s->xw.assign(slots * width, 0);
    s->sum.assign(slots * (size_t)at->heads, 0);
    s->pos = (next64() >> (8 + below(50))) * (uint64_t)at->chunk;
    fill(&t, at, used, kd);
    if (used)
        reference(s, at, &t, 0, used, y.data());
    s->memory = (char *)aligned_alloc(64, memory_offset + o.size);
    memset(s->memory, 0xa5, memory_offset + o.size);
    char *m = s->memory + memory_offset;
    for (size_t i = 0; i < s->h.size(); i++) {
        ((int32_t *)(m + o.h))[i] = s->h[i];
        ((int16_t *)(m + o.h16))[i] = (int16_t)mbi_rshift_half_up(s->h[i], 16);
    }
    if (used) {
        memcpy(m + o.b, s->b.data(), used * n);
        memcpy(m + o.xw, s->xw.data(), used * width * 2);
        memcpy(m + o.sum, s->sum.data(), used * (size_t)at->heads * 4);
    }
}

static const char *differs(const stream *s, const struct mbi_scan_attr *at)
{
    const struct mbi_cuda_scan_layout o = mbi_cuda_scan_layout(at);
    const size_t used = (size_t)(s->pos % (uint64_t)at->chunk);
    const size_t width = (size_t)(at->heads * at->head_dim);
    const char *m = s->memory + memory_offset;

    for (size_t i = 0; i < memory_offset; i++)
        if ((uint8_t)s->memory[i] != 0xa5)
            return "memory before its part";
    if (memcmp(m + o.h, s->h.data(), s->h.size() * 4))
        return "h";
    for (size_t i = 0; i < s->h.size(); i++)
        if (((const int16_t *)(m + o.h16))[i] != mbi_rshift_half_up(s->h[i], 16))
            return "h16";
    if (used && memcmp(m + o.b, s->b.data(), used * (size_t)at->d_state))
        return "slots of B";
    if (used && memcmp(m + o.xw, s->xw.data(), used * width * 2))
        return "slots of xw";
    if (used && memcmp(m + o.sum, s->sum.data(), used * (size_t)at->heads * 4))
        return "slots of L";
    return NULL;
}

static void stop(const struct mbi_scan_attr *at, const char *what,
                 const std::vector<mbi_cuda_run> &runs, kind kd)
{
    printf("%s differs: Q %d H %d P %d N %d hold %d, kind %d, runs", what, at->chunk, at->heads,
           at->head_dim, at->d_state, at->hold, kd);
    for (const mbi_cuda_run &r : runs)
        printf(" %" PRIu64 "+%u", r.pos, r.n);
    printf("\n");
    exit(1);
}

/* The kernel of another file, which calls mbi_scan_token(). */
static void token_kernel(struct mbi_scan_attr at, struct mbi_cuda_scan s, const mbi_cuda_run *runs)
{
    const uint32_t heads = (uint32_t)at.heads, head = blockIdx.x % heads;
    const mbi_cuda_run r = runs[blockIdx.x / heads];
    const size_t p = (size_t)at.head_dim, n = (size_t)at.d_state;
    char *shared = mbi_shared();
    int8_t *bc = (int8_t *)shared;
    int32_t *y = (int32_t *)(shared + mbi_align_size(2 * n, 16));
    int8_t *x = (int8_t *)(y + p);
    char *rest = (char *)y + mbi_align_size(5 * p, 16);
    const struct mbi_cuda_scan_layout o = mbi_cuda_scan_layout(&at);

    if (threadIdx.x == 0) {
        memcpy(bc, s.bc + r.first * 2 * n, 2 * n);
        memcpy(x, s.x + (r.first * heads + head) * p, p);
    }
    __syncthreads();
    mbi_scan_token(rest, &at, &o, r.memory + s.memory, r.pos, head, x, bc,
                   s.l[r.first * heads + head], y, head == heads - 1);
    for (size_t e = threadIdx.x; e < p; e += blockDim.x)
        s.y[(r.first * heads + head) * p + e] = y[e];
}

static void run_tokens(const struct mbi_cuda_scan *s, const std::vector<mbi_cuda_run> &runs)
{
    const struct mbi_scan_attr *at = &s->at;
    const size_t p = (size_t)at->head_dim, shared = mbi_align_size(2 * (size_t)at->d_state, 16) +
                                                    mbi_align_size(5 * p, 16) +
                                                    mbi_scan_token_shared(at);

    mbi_launch(token_kernel, dim3((unsigned)(runs.size() * (size_t)at->heads)),
               32 * (2 + below(15)), shared, nullptr, *at, *s, runs.data());
}

static void check_batch(const struct mbi_scan_attr *at, std::vector<stream> &streams,
                        uint32_t max_n, bool one_each, kind kd)
{
    const size_t width = (size_t)(at->heads * at->head_dim);
    std::vector<mbi_cuda_run> runs;
    uint32_t lanes = 0, longest = 1;
    batch t;

    for (stream &s : streams) {
        const uint32_t n = one_each ? 1 : 1 + below(max_n);

        runs.push_back({s.memory, s.pos, lanes, n});
        lanes += n;
        longest = n > longest ? n : longest;
    }
    fill(&t, at, lanes, kd);
    std::vector<int32_t> want(lanes * width);
    for (size_t r = 0; r < runs.size(); r++)
        reference(&streams[r], at, &t, runs[r].first, runs[r].n,
                  want.data() + runs[r].first * width);
    /* What a block of a device reads is aligned, and what it should not touch is not its. */
    auto copy = [](const void *from, size_t size) {
        void *p = aligned_alloc(64, (size + 63) / 64 * 64 + 64);
        memcpy(p, from, size);
        return p;
    };
    int8_t *x = (int8_t *)copy(t.x.data(), t.x.size()),
           *bc = (int8_t *)copy(t.bc.data(), t.bc.size());
    int32_t *l = (int32_t *)copy(t.l.data(), t.l.size() * 4);
    int32_t *y = (int32_t *)copy(t.y.data(), t.y.size() * 4);
    const struct mbi_cuda_scan s = {*at, memory_offset, x, bc, l, y};
    const uint32_t n_runs = (uint32_t)runs.size(), most = longest + below(3) * below(200);
    const size_t size = mbi_cuda_scan_work(at, n_runs, most, lanes);
    char *work = (char *)aligned_alloc(64, (size + 63) / 64 * 64);

    if (one_each && below(2))
        run_tokens(&s, runs);
    else if (mbi_cuda_scan(&s, runs.data(), n_runs, one_each ? 1 : most, lanes, work, nullptr))
        stop(at, "the status", runs, kd);
    if (memcmp(y, want.data(), want.size() * 4))
        stop(at, "y", runs, kd);
    for (const stream &st : streams)
        if (differs(&st, at))
            stop(at, differs(&st, at), runs, kd);
    free(work);
    free(x);
    free(bc);
    free(l);
    free(y);
}

static void check(const struct mbi_scan_attr *at, uint32_t n_runs, uint32_t max_n, uint32_t batches)
{
    const kind kd = (kind)below(KINDS);
    std::vector<stream> streams(n_runs);

    for (stream &s : streams)
        stream_new(&s, at, kd);
    for (uint32_t k = 0; k < batches; k++)
        check_batch(at, streams, max_n, !below(3), kd);
    for (stream &s : streams)
        free(s.memory);
}

static double seconds(void)
{
    static const auto begin = std::chrono::steady_clock::now();

    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

int main(int argc, char **argv)
{
    static const struct mbi_scan_attr fixed[] = {
        {64, 2, 64, 64, 0},  {64, 3, 64, 64, 1},  {1, 2, 16, 16, 0},    {1, 1, 1, 2, 1},
        {8, 2, 64, 32, 0},   {16, 1, 32, 64, 1},  {32, 2, 64, 64, 0},   {128, 1, 64, 64, 0},
        {64, 1, 32, 128, 0}, {64, 1, 128, 32, 1}, {128, 1, 48, 128, 1}, {256, 1, 16, 2, 0},
        {16, 3, 7, 4, 0},    {2, 5, 24, 8, 1},    {256, 1, 5, 512, 0},  {4, 1, 256, 16, 0},
        {8, 1, 200, 64, 0},
    };
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
    const double limit = argc > 2 ? atof(argv[2]) : 30;
    uint64_t cases = 0;

    random_state = seed;
    printf("seed %" PRIu64 "\n", seed);
    fflush(stdout);
    seconds();
    for (const struct mbi_scan_attr &at : fixed)
        for (int k = 0; k < 3; k++, cases++)
            check(&at, 1 + below(3), 1 + below(2 * (uint32_t)at.chunk + 40), 3);
    while (seconds() < limit) {
        struct mbi_scan_attr at = {1 << below(9), 1 + (int)below(3), 1 + (int)below(256),
                                   2 << below(9), (int)below(2)};

        if (below(2))
            at.head_dim = 16 * (1 + (int)below(8));
        if (at.d_state * at.head_dim * at.chunk > 1 << 20)
            at.heads = 1;
        if ((int64_t)at.d_state * at.head_dim * at.chunk > 1 << 23)
            continue;
        check(&at, 1 + below(4), 1 + below(2 * (uint32_t)at.chunk + 20), 1 + below(3));
        cases++;
    }
    printf("%" PRIu64 " cases, the same as the reference, %.1f s\n", cases, seconds());
    return 0;
}
