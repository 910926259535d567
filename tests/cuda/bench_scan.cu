/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda/scan.cu on a device: some shapes against a plain computation on the host, then times of a
 * layer of mi-130m (24 heads) and mi-1b (64 heads). From the root of the tree:
 *
 *   nvcc -std=c++17 -O3 -arch=sm_90 -I. -Ilib -Iinclude tests/cuda/bench_scan.cu -o bench_scan
 */
#include "cuda/scan.cu"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#define CHECK(call) check_call(call, #call)

static void check_call(cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return;
    printf("%s: %s\n", what, cudaGetErrorString(e));
    exit(1);
}

static uint64_t random_state = 1;

static uint32_t next32(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(z >> 32);
}

template <class T> struct device {
    T *p = NULL;
    size_t n = 0;

    void make(size_t n_)
    {
        n = n_;
        CHECK(cudaMalloc((void **)&p, n * sizeof(T) + 256));
    }
    void put(const std::vector<T> &v)
    {
        if (!p)
            make(v.size());
        CHECK(cudaMemcpy(p, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice));
    }
    std::vector<T> get(void) const
    {
        std::vector<T> v(n);

        CHECK(cudaMemcpy(v.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost));
        return v;
    }
    void drop(void)
    {
        CHECK(cudaFree(p));
        p = NULL;
    }
};

struct inputs {
    std::vector<int8_t> x, bc;
    std::vector<int32_t> l;
};

static struct inputs inputs_new(const struct mbi_scan_attr *at, size_t lanes)
{
    struct inputs in;

    in.x.resize(lanes * (size_t)(at->heads * at->head_dim));
    in.bc.resize(lanes * 2 * (size_t)at->d_state);
    in.l.resize(lanes * (size_t)at->heads);
    for (int8_t &v : in.x)
        v = (int8_t)next32();
    for (int8_t &v : in.bc)
        v = (int8_t)next32();
    for (int32_t &v : in.l)
        v = 32 + (int32_t)(next32() % (1u << (5 + next32() % 15)));
    return in;
}

/* ---- the same on the host ---- */

struct plain_head {
    std::vector<int32_t> h;
    std::vector<std::vector<int8_t>> b;
    std::vector<std::vector<int32_t>> xw;
    std::vector<uint32_t> L;
};

static void plain_token(struct plain_head *s, const struct mbi_scan_attr *at, const int8_t *x,
                        const int8_t *bc, int32_t l, int32_t *y)
{
    const size_t n_state = (size_t)at->d_state, dim = (size_t)at->head_dim;
    const int s_n = mbi_bitlen(n_state) - 2;
    std::vector<int32_t> xw(dim), m;
    const uint32_t L = (uint32_t)l + (s->L.empty() ? 0 : s->L.back());
    const int64_t kept = at->hold && !L ? 1 << 15 : mbi_ex2(L);

    for (size_t p = 0; p < dim; p++)
        xw[p] = (int32_t)mbi_sat(
            mbi_rshift_half_up(x[p] * (int64_t)mbi_input_weight((uint32_t)l), 10), 16);
    s->b.emplace_back(bc, bc + n_state);
    s->xw.push_back(xw);
    s->L.push_back(L);
    for (size_t j = 0; j < s->L.size(); j++) {
        int32_t dot = 0;

        for (size_t n = 0; n < n_state; n++)
            dot += bc[n_state + n] * s->b[j][n];
        m.push_back(mbi_mulr((int32_t)mbi_sat(mbi_rshift_half_up(dot, s_n), 16),
                             (int32_t)mbi_ex2(L - s->L[j])));
    }
    for (size_t p = 0; p < dim; p++) {
        int32_t inside = 0, carried = 0;

        for (size_t j = 0; j < m.size(); j++)
            inside += m[j] * s->xw[j][p];
        for (size_t n = 0; n < n_state; n++)
            carried += bc[n_state + n] * (int32_t)mbi_rshift_half_up(s->h[n * dim + p], 16);
        y[p] =
            (int32_t)(mbi_rshift_half_up(inside, 9 - s_n) + mbi_rshift_half_up(carried * kept, 16));
    }
    if (s->L.size() < (size_t)at->chunk)
        return;
    for (size_t e = 0; e < n_state * dim; e++) {
        int32_t sum = 0;

        for (size_t j = 0; j < m.size(); j++)
            sum += s->b[j][e / dim] * mbi_mulr(s->xw[j][e % dim], (int32_t)mbi_ex2(L - s->L[j]));
        s->h[e] = (int32_t)mbi_rshift_half_up(s->h[e] * kept + mbi_lshift(sum, 23), 15);
    }
    s->b.clear();
    s->xw.clear();
    s->L.clear();
}

/* Several batches of runs of two streams: what a batch leaves in the slots shows in the next. */
static void check_shape(const struct mbi_scan_attr *at)
{
    static const uint32_t lengths[][2] = {{37, 1}, {150, 70}, {1, 1}, {2, 300}, {1, 1}, {129, 64}};
    const size_t heads = (size_t)at->heads, dim = (size_t)at->head_dim, n = (size_t)at->d_state;
    const struct mbi_cuda_scan_layout o = mbi_cuda_scan_layout(at);
    std::vector<struct plain_head> plain(2 * heads);
    device<char> memory[2];
    uint64_t pos[2] = {0, 1ull << 40};

    for (struct plain_head &p : plain)
        p.h.assign(n * dim, 0);
    for (device<char> &m : memory)
        m.put(std::vector<char>(o.size, 0));
    for (const uint32_t *length : lengths) {
        const size_t lanes = length[0] + length[1];
        const struct inputs in = inputs_new(at, lanes);
        const uint32_t most = std::max(length[0], length[1]);
        std::vector<int32_t> want(lanes * heads * dim);
        device<int8_t> x, bc;
        device<int32_t> l, y;
        device<char> work;
        device<struct mbi_cuda_run> runs;

        for (size_t t = 0; t < lanes; t++)
            for (size_t k = 0; k < heads; k++)
                plain_token(&plain[(t >= length[0]) * heads + k], at, &in.x[(t * heads + k) * dim],
                            &in.bc[t * 2 * n], in.l[t * heads + k], &want[(t * heads + k) * dim]);
        x.put(in.x);
        bc.put(in.bc);
        l.put(in.l);
        y.make(want.size());
        work.make(mbi_cuda_scan_work(at, 2, most, lanes));
        runs.put(
            {{memory[0].p, pos[0], 0, length[0]}, {memory[1].p, pos[1], length[0], length[1]}});
        const struct mbi_cuda_scan s = {*at, 0, x.p, bc.p, l.p, y.p};
        CHECK(mbi_cuda_scan(&s, runs.p, 2, most, lanes, work.p, 0));
        CHECK(cudaDeviceSynchronize());
        bool same = y.get() == want;
        for (int r = 0; r < 2; r++) {
            const std::vector<char> m = memory[r].get();

            pos[r] += length[r];
            for (size_t e = 0; e < heads * n * dim; e++) {
                const int32_t h = plain[(size_t)r * heads + e / (n * dim)].h[e % (n * dim)];

                same &= ((const int32_t *)(m.data() + o.h))[e] == h &&
                        ((const int16_t *)(m.data() + o.h16))[e] == mbi_rshift_half_up(h, 16);
            }
        }
        if (!same) {
            printf("WRONG: Q %d H %d P %d N %d hold %d, runs of %u and %u\n", at->chunk, at->heads,
                   at->head_dim, at->d_state, at->hold, length[0], length[1]);
            exit(1);
        }
        x.drop(), bc.drop(), l.drop(), y.drop(), work.drop(), runs.drop();
    }
    memory[0].drop(), memory[1].drop();
}

/* ---- time ---- */

enum what { ALL, STATES, OUTPUTS };

/* One layer's values; several take turns, as in a model, so that the cache does not keep them. */
struct layer {
    device<int8_t> x, bc;
    device<int32_t> l, y;
    device<char> memory;
    device<struct mbi_cuda_run> runs;
};

static void launch(const struct mbi_scan_attr *at, const struct layer *a, uint32_t n_runs,
                   uint32_t n, void *work, enum what what, cudaStream_t stream)
{
    const struct mbi_cuda_scan s = {*at, 0, a->x.p, a->bc.p, a->l.p, a->y.p};
    const size_t lanes = (size_t)n_runs * n;
    struct scan k;

    if (what == ALL) {
        CHECK(mbi_cuda_scan(&s, a->runs.p, n_runs, n, lanes, work, stream));
        return;
    }
    k = scan_of(&s, a->runs.p, n_runs, n, lanes, work);
    k.cut = what == STATES ? STATES_COLUMNS : outputs_cut(at);
    const uint32_t blocks = (uint32_t)(at->heads * at->head_dim) / k.cut;
    if (what == STATES)
        CHECK(mbi_launch(states_mma<64, 2>, dim3(blocks, 1, n_runs), states_warps(64) * MBI_WARP,
                         states_shared(at), stream, k));
    else
        CHECK(mbi_launch(outputs_mma<64, 2>, dim3(blocks, k.most, n_runs), OUTPUTS_WARPS * MBI_WARP,
                         outputs_shared(at, k.cut), stream, k));
}

static double time_graph(const struct mbi_scan_attr *at, const std::vector<struct layer> &layers,
                         uint32_t n_runs, uint32_t n, void *work, enum what what)
{
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaEvent_t from, to;
    std::vector<float> ms;

    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CHECK(cudaEventCreate(&from));
    CHECK(cudaEventCreate(&to));
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (const struct layer &a : layers)
        launch(at, &a, n_runs, n, work, what, stream);
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    for (int k = 0; k < 23; k++) {
        float t;

        CHECK(cudaEventRecord(from, stream));
        CHECK(cudaGraphLaunch(exec, stream));
        CHECK(cudaEventRecord(to, stream));
        CHECK(cudaEventSynchronize(to));
        CHECK(cudaEventElapsedTime(&t, from, to));
        if (k >= 2)
            ms.push_back(t);
    }
    std::sort(ms.begin(), ms.end());
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaStreamDestroy(stream));
    return ms[ms.size() / 2] * 1e3 / (double)layers.size();
}

/* Bytes that have to move: without what a kernel reads again from the cache. */
static double bytes_of(const struct mbi_scan_attr *at, uint32_t n_runs, uint32_t n, uint64_t pos)
{
    const double width = at->heads * at->head_dim, state = width * at->d_state;
    const double token = width * 5 + at->heads * 4 + 2 * at->d_state;
    const double row = (double)(pos % (uint64_t)at->chunk),
                 done = (double)((pos + n) / 64 - pos / 64);

    if (n > 1) /* h16 of each chunk is written and read */
        return n_runs * (n * token + state * (done * 4 + 12));
    return n_runs * (token + state * 2 + row * (width * 2 + at->d_state) + done * state * 10);
}

static std::string time_case(const char *name, int heads, uint32_t n_runs, uint32_t n, uint64_t pos,
                             enum what what)
{
    const struct mbi_scan_attr at = {64, heads, 64, 64, 0};
    const size_t size = mbi_cuda_scan_layout(&at).size, lanes = (size_t)n_runs * n;
    std::vector<struct layer> layers(n == 1 && n_runs < 4 ? 32 : 4);
    device<char> work;
    char line[160];

    work.make(
        mbi_cuda_scan_work(&at, n_runs, std::max(n, 64u), std::max(lanes, (size_t)n_runs * 64)));
    for (struct layer &a : layers) {
        const struct inputs in = inputs_new(&at, std::max(lanes, (size_t)n_runs * 64));
        std::vector<struct mbi_cuda_run> runs;
        const uint32_t fill = (uint32_t)(pos % 64);

        a.x.put(in.x);
        a.bc.put(in.bc);
        a.l.put(in.l);
        a.y.make(in.x.size());
        a.memory.make(size * n_runs);
        CHECK(cudaMemset(a.memory.p, 0, size * n_runs));
        for (uint32_t r = 0; r < n_runs; r++)
            runs.push_back({a.memory.p + size * r, pos - fill, r * fill, fill});
        a.runs.put(runs);
        if (fill) {
            const struct mbi_cuda_scan s = {at, 0, a.x.p, a.bc.p, a.l.p, a.y.p};

            CHECK(mbi_cuda_scan(&s, a.runs.p, n_runs, 64, (size_t)n_runs * fill, work.p, 0));
            CHECK(cudaDeviceSynchronize());
        }
        for (uint32_t r = 0; r < n_runs; r++)
            runs[r] = {a.memory.p + size * r, pos, r * n, n};
        a.runs.put(runs);
    }
    const double us = time_graph(&at, layers, n_runs, n, work.p, what);
    snprintf(line, sizeof(line), "%-9s %3d heads %3u x %4u at %2u %-8s %8.2f us %6.2f TB/s\n", name,
             heads, n_runs, n, (unsigned)(pos % 64),
             what == ALL      ? ""
             : what == STATES ? "states"
                              : "outputs",
             us, bytes_of(&at, n_runs, n, pos) / us * 1e-6);
    for (struct layer &a : layers)
        a.x.drop(), a.bc.drop(), a.l.drop(), a.y.drop(), a.memory.drop(), a.runs.drop();
    work.drop();
    return line;
}

int main(void)
{
    static const struct mbi_scan_attr shapes[] = {
        {64, 2, 64, 64, 0},  {64, 3, 64, 64, 1},  {32, 1, 32, 128, 0}, {128, 2, 128, 128, 0},
        {8, 2, 16, 32, 1},   {16, 1, 48, 64, 0},  {1, 2, 16, 16, 0},   {4, 3, 7, 8, 0},
        {256, 1, 16, 16, 0}, {128, 1, 64, 32, 1}, {64, 1, 64, 128, 0}, {1, 1, 1, 2, 1},
    };
    static const struct {
        uint32_t n_runs, n;
        uint64_t pos;
        enum what what;
    } cases[] = {
        {1, 512, 0, ALL},  {1, 2048, 0, ALL},  {1, 2048, 0, STATES}, {1, 2048, 0, OUTPUTS},
        {1, 4096, 0, ALL}, {1, 2048, 17, ALL}, {16, 128, 0, ALL},    {1, 1, 32, ALL},
        {1, 1, 63, ALL},   {16, 1, 32, ALL},   {64, 1, 32, ALL},     {64, 1, 63, ALL},
    };
    std::vector<std::string> table;

    for (const struct mbi_scan_attr &at : shapes)
        check_shape(&at);
    printf("%zu shapes: the same as on the host\n", MBI_COUNT(shapes));
    fflush(stdout);
    for (const auto &c : cases) {
        table.push_back(time_case("mi-130m", 24, c.n_runs, c.n, c.pos, c.what));
        table.push_back(time_case("mi-1b", 64, c.n_runs, c.n, c.pos, c.what));
    }
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = (size_t)pass; i < table.size(); i += 2)
            fputs(table[i].c_str(), stdout);
    return 0;
}
