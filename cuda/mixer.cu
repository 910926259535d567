/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a mixer in a program, and its two sides of the recurrence for runs of many tokens. */
#include "cuda/mixer.h"
#include "cuda/norm.h"
#include <string.h>

/* The nodes by their place in the pattern; TURN to ROTATE may be left out together. */
enum place {
    CHANNELS,
    CONV,
    CONV_GATE,
    CHANNEL,
    BC,
    AT_TURN,
    TURN,
    ROTATE,
    X,
    DT,
    DECAY,
    SCAN,
    SKIP,
    DIRECT,
    SUM,
    Z,
    NORM,
    Z_CLAMP,
    Z_GATE,
    GATED_Z,
    GATED,
    OUT,
    PLACES
};

static const uint8_t op_of[PLACES] = {
    MBI_OP_slice, MBI_OP_conv,    MBI_OP_gate,  MBI_OP_requant, MBI_OP_slice,    MBI_OP_slice,
    MBI_OP_turn,  MBI_OP_rotate,  MBI_OP_slice, MBI_OP_slice,   MBI_OP_decay,    MBI_OP_scan,
    MBI_OP_mul,   MBI_OP_requant, MBI_OP_add,   MBI_OP_slice,   MBI_OP_norm_rms, MBI_OP_requant,
    MBI_OP_gate,  MBI_OP_requant, MBI_OP_mul,   MBI_OP_requant};

/* What the kernels write where values are kept. */
static const uint8_t dtype_of[PLACES] = {MBI_I16, MBI_I16, MBI_I32, MBI_I8,  MBI_I8,  MBI_I16,
                                         MBI_I16, MBI_I8,  MBI_I8,  MBI_I16, MBI_I32, MBI_I32,
                                         MBI_I32, MBI_I32, MBI_I32, MBI_I16, MBI_I16, MBI_I16,
                                         MBI_I32, MBI_I16, MBI_I32, MBI_I8};

static_assert(PLACES == MBI_MIXER_PLACES, "a value for each place");

struct match {
    const struct mbi_image *image;
    mbi_ref at[PLACES];
    uint32_t n;
    bool turns;
};

static const struct mbi_node *node_at(const struct match *m, enum place k)
{
    return &m->image->program->graph->node[m->at[k]];
}

static bool op_fits(uint32_t op, enum place k)
{
    return op == op_of[k] || (k == NORM && op == MBI_OP_norm_shift);
}

static bool take_nodes(struct match *m, uint32_t s, uint32_t end, bool turns)
{
    const struct mbi_program *p = m->image->program;

    m->turns = turns;
    m->n = 0;
    for (int k = 0; k < PLACES; k++) {
        if (!turns && k >= AT_TURN && k <= ROTATE)
            continue;
        if (s + m->n >= end)
            return false;
        m->at[k] = p->order[s + m->n++];
        if (!op_fits(p->graph->node[m->at[k]].op, (enum place)k))
            return false;
    }
    return true;
}

static bool reads(const struct match *m, enum place k, uint32_t slot, enum place source)
{
    return node_at(m, k)->in[slot] == m->at[source];
}

static bool wired(const struct match *m)
{
    const mbi_ref p = node_at(m, CHANNELS)->in[0];

    if (m->turns && (node_at(m, AT_TURN)->in[0] != p || !reads(m, TURN, 0, AT_TURN) ||
                     !reads(m, ROTATE, 0, BC) || !reads(m, ROTATE, 1, TURN)))
        return false;
    return node_at(m, DT)->in[0] == p && node_at(m, Z)->in[0] == p && reads(m, CONV, 0, CHANNELS) &&
           reads(m, CONV_GATE, 0, CONV) && reads(m, CHANNEL, 0, CONV_GATE) &&
           reads(m, BC, 0, CHANNEL) && reads(m, X, 0, CHANNEL) && reads(m, DECAY, 0, DT) &&
           reads(m, SCAN, 0, X) && reads(m, SCAN, 1, m->turns ? ROTATE : BC) &&
           reads(m, SCAN, 2, DECAY) && reads(m, SKIP, 0, X) && reads(m, DIRECT, 0, SKIP) &&
           reads(m, SUM, 0, SCAN) && reads(m, SUM, 1, DIRECT) && reads(m, NORM, 0, SUM) &&
           reads(m, Z_CLAMP, 0, Z) && reads(m, Z_GATE, 0, Z_CLAMP) &&
           reads(m, GATED_Z, 0, Z_GATE) && reads(m, GATED, 0, NORM) &&
           reads(m, GATED, 1, GATED_Z) && reads(m, OUT, 0, GATED);
}

/* Does anybody outside the pattern read one of its values but the last? */
static bool closed(const struct match *m)
{
    const struct mbi_graph *g = m->image->program->graph;

    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        bool inside = false;

        for (int k = 0; k < PLACES; k++)
            inside |= (m->turns || k < AT_TURN || k > ROTATE) && m->at[k] == i;
        for (int k = 0; k < PLACES - 1; k++) {
            if (!m->turns && k >= AT_TURN && k <= ROTATE)
                continue;
            if (g->logits == m->at[k] || g->argmax == m->at[k] || g->link == m->at[k])
                return false;
            for (uint32_t j = 0; !inside && g->node[i].op && j < mbi_cuda_inputs(g->node[i].op);
                 j++)
                if (g->node[i].in[j] == m->at[k])
                    return false;
        }
    }
    return true;
}

/* Types and sizes that the kernels count on. */
static bool sized(const struct match *m)
{
    const struct mbi_graph *g = m->image->program->graph;
    const struct mbi_node *scan = node_at(m, SCAN), *skip = node_at(m, SKIP);
    struct mbi_scan_attr at;

    memcpy(&at, scan->attr, sizeof(at));
    return g->node[node_at(m, CHANNELS)->in[0]].type.dtype == MBI_I16 &&
           node_at(m, CHANNEL)->type.dtype == MBI_I8 && node_at(m, OUT)->type.dtype == MBI_I8 &&
           node_at(m, NORM)->attr[0] == at.heads && skip->attr[0] == at.head_dim &&
           node_at(m, GATED)->attr[0] == 1 && mbi_cuda_is_param(&g->node[skip->in[1]]) &&
           g->node[skip->in[1]].type.dtype == MBI_I16 &&
           node_at(m, DIRECT)->type.dtype == MBI_I32 &&
           node_at(m, Z_CLAMP)->type.dtype == MBI_I16 &&
           node_at(m, GATED_Z)->type.dtype == MBI_I16 && at.head_dim <= 256 && at.d_state <= 256 &&
           node_at(m, BC)->attr[0] % 2 == 0 && node_at(m, BC)->attr[1] == 2 * at.d_state &&
           node_at(m, X)->attr[1] == at.heads * at.head_dim &&
           /* X, then B and C: every channel belongs to one of them */
           node_at(m, X)->attr[0] == 0 && node_at(m, BC)->attr[0] == node_at(m, X)->attr[1] &&
           node_at(m, CHANNELS)->attr[1] == node_at(m, BC)->attr[0] + 2 * at.d_state;
}

static const void *param_of(const struct match *m, enum place k, uint32_t slot)
{
    const struct mbi_graph *g = m->image->program->graph;

    return m->image->weights->raw[g->node[node_at(m, k)->in[slot]].param];
}

static void *value_of(const struct match *m, mbi_ref ref)
{
    return m->image->scratch + m->image->program->value[ref].offset;
}

static struct mbi_cuda_clamp clamp_of(const struct match *m, enum place k)
{
    const int32_t *a = node_at(m, k)->attr; /* struct mbi_requant_attr */

    return {a[0], a[1], a[2]};
}

static void fill(struct mbi_cuda_mixer *x, const struct match *m)
{
    const mbi_ref p = node_at(m, CHANNELS)->in[0];

    memcpy(&x->scan, node_at(m, SCAN)->attr, sizeof(x->scan));
    x->p = (const int16_t *)value_of(m, p);
    x->p_cols = m->image->program->graph->node[p].type.cols;
    x->x = (int8_t *)value_of(m, m->at[X]);
    x->bc = (int8_t *)value_of(m, node_at(m, SCAN)->in[1]);
    x->l = (int32_t *)value_of(m, m->at[DECAY]);
    x->y = (int32_t *)value_of(m, m->at[SCAN]);
    x->g = (int8_t *)value_of(m, m->at[OUT]);
    x->at_channels = (uint32_t)node_at(m, CHANNELS)->attr[0];
    x->channels = (uint32_t)node_at(m, CHANNELS)->attr[1];
    x->at_x = (uint32_t)node_at(m, X)->attr[0];
    x->at_bc = (uint32_t)node_at(m, BC)->attr[0];
    x->at_dt = (uint32_t)node_at(m, DT)->attr[0];
    x->at_z = (uint32_t)node_at(m, Z)->attr[0];
    if (m->turns) {
        x->at_turn = (uint32_t)node_at(m, AT_TURN)->attr[0];
        x->pairs = (uint32_t)node_at(m, ROTATE)->attr[0];
        x->turn_memory = m->image->memory_at[m->at[TURN]];
        x->phi = (int16_t *)value_of(m, m->at[TURN]);
    }
    x->conv_memory = m->image->memory_at[m->at[CONV]];
    x->scan_memory = m->image->memory_at[m->at[SCAN]];
    x->taps = (const int8_t *)param_of(m, CONV, 1);
    x->taps_exponent = (const int8_t *)param_of(m, CONV, 2);
    x->taps_bias = (const int16_t *)param_of(m, CONV, 3);
    x->dt_bias = (const int16_t *)param_of(m, DECAY, 1);
    x->skip = (const int16_t *)param_of(m, SKIP, 1);
    x->hold = node_at(m, DECAY)->attr[0];
    x->conv_gate = node_at(m, CONV_GATE)->attr[0];
    x->z_gate = node_at(m, Z_GATE)->attr[0];
    x->norm_op = node_at(m, NORM)->op;
    x->norm_frac = node_at(m, NORM)->attr[1];
    x->norm_bits = node_at(m, NORM)->attr[2];
    x->norm_inverse = mbi_inverse((uint32_t)x->scan.head_dim);
    x->channel = clamp_of(m, CHANNEL);
    x->direct = clamp_of(m, DIRECT);
    x->z = clamp_of(m, Z_CLAMP);
    x->gated_z = clamp_of(m, GATED_Z);
    x->out = clamp_of(m, OUT);
}

uint32_t mbi_cuda_mixer_match(struct mbi_cuda_mixer *x, uint32_t *before,
                              const struct mbi_image *image, uint32_t s)
{
    const uint32_t end = image->program->n_order;
    struct match m = {};

    m.image = image;
    if (!take_nodes(&m, s, end, true) && !take_nodes(&m, s, end, false))
        return 0;
    if (!wired(&m) || !closed(&m) || !sized(&m))
        return 0;
    fill(x, &m);
    *before = m.turns ? SCAN : SCAN - 3;
    return m.n;
}

bool mbi_cuda_mixer_keep(struct mbi_cuda_mixer_values *v, const struct mbi_image *image, uint32_t s)
{
    const uint32_t end = image->program->n_order;
    struct match m = {};

    m.image = image;
    if (!take_nodes(&m, s, end, true))
        take_nodes(&m, s, end, false);
    for (int k = 0; k < PLACES; k++) {
        if (!m.turns && k >= AT_TURN && k <= ROTATE)
            continue;
        if (node_at(&m, (enum place)k)->type.dtype != dtype_of[k])
            return false;
        v->at[k] = value_of(&m, m.at[k]);
    }
    return true;
}

/* ---- before the recurrence ---- */

#define THREADS 128
#define STRETCH 8 /* tokens that a thread does */
#define TAPS 4

/* Input of channel c at token t of a run, t >= -3: from the run, or from the ring. */
static __device__ __forceinline__ int16_t input_at(const struct mbi_cuda_mixer *m,
                                                   const struct mbi_cuda_run *run, int32_t t,
                                                   uint32_t c)
{
    if (t >= 0)
        return m->p[(run->first + (size_t)t) * m->p_cols + m->at_channels + c];
    return ((
        const int16_t
            *)(run->memory +
               m->conv_memory))[(size_t)(run->pos + (uint64_t)(int64_t)t) % TAPS * m->channels + c];
}

/* Element i of a value that is kept; T is its type. */
template <class T>
static __device__ __forceinline__ void keep(const struct mbi_cuda_mixer_values *v, enum place k,
                                            size_t i, int32_t x)
{
    ((T *)v->at[k])[i] = (T)x;
}

/* A channel is of x, or of B and C, where the first pairs of each are turned: neighbours in a warp
 * are the two of a pair, as the parts begin at even channels. */
template <bool keeps>
static __device__ __forceinline__ void put_channel(const struct mbi_cuda_mixer *m,
                                                   const struct mbi_cuda_mixer_values *values,
                                                   size_t lane, uint32_t c, int8_t v)
{
    const uint32_t width = (uint32_t)(m->scan.heads * m->scan.head_dim);
    const uint32_t n = (uint32_t)m->scan.d_state, i = c - m->at_bc;
    const int32_t other = __shfl_xor_sync(MBI_FULL, (int32_t)v, 1);

    if (c < m->channels && c - m->at_x < width)
        m->x[lane * width + c - m->at_x] = v;
    if (c < m->channels && i < 2 * n) {
        int8_t pair[2] = {i % 2 ? (int8_t)other : v, i % 2 ? v : (int8_t)other};

        if (keeps)
            keep<int8_t>(values, BC, lane * 2 * n + i, v);
        if (i % n / 2 < m->pairs)
            mbi_rotate_bytes(pair, m->phi[lane * m->pairs + i % n / 2]);
        m->bc[lane * 2 * n + i] = pair[i % 2];
    }
}

template <bool keeps>
static __global__ void channels_kernel(struct mbi_cuda_mixer m, struct mbi_cuda_mixer_values values,
                                       const struct mbi_cuda_run *runs)
{
    const struct mbi_cuda_run run = runs[blockIdx.z];
    const uint32_t c = blockIdx.x * THREADS + threadIdx.x, at = c < m.channels ? c : 0;
    const int32_t begin = (int32_t)(blockIdx.y * STRETCH);
    const int32_t end = (int32_t)mbi_min_size(run.n, (size_t)begin + STRETCH);
    const int32_t exponent = m.taps_exponent[at], bias = m.taps_bias[at];
    int32_t w[TAPS], x[STRETCH + TAPS - 1]; /* all that is read is asked for at once */

    if (begin >= end)
        return;
    for (int j = 0; j < TAPS; j++)
        w[j] = m.taps[(size_t)at * TAPS + (size_t)j];
#pragma unroll
    for (int j = 0; j < STRETCH + TAPS - 1; j++)
        x[j] = begin + j - (TAPS - 1) < end ? input_at(&m, &run, begin + j - (TAPS - 1), at) : 0;
#pragma unroll
    for (int j = 0; j < STRETCH; j++) {
        const size_t lane = run.first + (size_t)(begin + j);
        const int32_t y = mbi_conv_at(x + j, w, exponent, bias), u = mbi_gate_at(y, m.conv_gate);
        const int32_t v = mbi_clamped(&m.channel, u);

        if (begin + j >= end)
            continue;
        if (keeps && c < m.channels) {
            keep<int16_t>(&values, CHANNELS, lane * m.channels + c, x[j + TAPS - 1]);
            keep<int16_t>(&values, CONV, lane * m.channels + c, y);
            keep<int32_t>(&values, CONV_GATE, lane * m.channels + c, u);
            keep<int8_t>(&values, CHANNEL, lane * m.channels + c, v);
        }
        put_channel<keeps>(&m, &values, lane, c, (int8_t)v);
    }
}

/* The ring takes in the last inputs of the run; decays of its tokens, one a thread. */
template <bool keeps>
static __global__ void keep_kernel(struct mbi_cuda_mixer m, struct mbi_cuda_mixer_values values,
                                   const struct mbi_cuda_run *runs)
{
    const struct mbi_cuda_run run = runs[blockIdx.y];
    const uint32_t step = gridDim.x * THREADS, me = blockIdx.x * THREADS + threadIdx.x;
    const uint32_t heads = (uint32_t)m.scan.heads;
    int16_t *ring = (int16_t *)(run.memory + m.conv_memory);

    for (uint32_t c = me; c < m.channels; c += step)
        for (uint32_t t = run.n < TAPS ? 0 : run.n - TAPS; t < run.n; t++)
            ring[(size_t)((run.pos + t) % TAPS) * m.channels + c] =
                input_at(&m, &run, (int32_t)t, c);
    for (uint32_t i = me; i < run.n * heads; i += step) {
        const size_t lane = run.first + (size_t)(i / heads);
        const int32_t dt = m.p[lane * m.p_cols + m.at_dt + i % heads];

        if (keeps)
            keep<int16_t>(&values, DT, lane * heads + i % heads, dt);
        m.l[lane * heads + i % heads] = mbi_decay_of(dt, m.dt_bias[i % heads], m.hold);
    }
    for (uint32_t i = me; keeps && i < run.n * m.pairs; i += step) {
        const size_t lane = run.first + (size_t)(i / m.pairs);

        keep<int16_t>(&values, AT_TURN, lane * m.pairs + i % m.pairs,
                      m.p[lane * m.p_cols + m.at_turn + i % m.pairs]);
    }
}

template <bool keeps>
static cudaError_t enter(const struct mbi_cuda_mixer *m, const struct mbi_cuda_mixer_values *values,
                         const struct mbi_cuda_run *runs, uint32_t n_runs, uint32_t max_n,
                         cudaStream_t stream)
{
    const unsigned across = (m->channels + THREADS - 1) / THREADS;
    const unsigned items =
        (unsigned)(((size_t)max_n * (size_t)m->scan.heads + THREADS - 1) / THREADS);
    cudaError_t e = cudaSuccess;

    if (m->pairs)
        e = mbi_cuda_turn_at(m->p + m->at_turn, m->p_cols, m->phi, m->pairs, m->turn_memory, runs,
                             n_runs, max_n, stream);
    if (e == cudaSuccess)
        e = mbi_launch(channels_kernel<keeps>,
                       dim3(across, (max_n + STRETCH - 1) / STRETCH, n_runs), THREADS, 0, stream,
                       *m, *values, runs);
    if (e == cudaSuccess)
        e = mbi_launch(keep_kernel<keeps>, dim3(items > across ? items : across, n_runs), THREADS,
                       0, stream, *m, *values, runs);
    return e;
}

static const struct mbi_cuda_mixer_values nowhere = {};

cudaError_t mbi_cuda_mixer_enter(const struct mbi_cuda_mixer *m,
                                 const struct mbi_cuda_mixer_values *values,
                                 const struct mbi_cuda_run *runs, uint32_t n_runs, uint32_t max_n,
                                 cudaStream_t stream)
{
    return values ? enter<true>(m, values, runs, n_runs, max_n, stream)
                  : enter<false>(m, &nowhere, runs, n_runs, max_n, stream);
}

/* ---- behind it ---- */

/* A warp a head: the direct path, the norm, the gate of z. A lane does `held` elements, 32 apart. */
template <int held, bool keeps>
static __global__ void leave_kernel(struct mbi_cuda_mixer m, struct mbi_cuda_mixer_values values,
                                    size_t work)
{
    const size_t w = blockIdx.x * (size_t)(THREADS / MBI_WARP) + threadIdx.x / MBI_WARP;
    const uint32_t heads = (uint32_t)m.scan.heads, dim = (uint32_t)m.scan.head_dim;
    const uint32_t head = (uint32_t)(w % heads), first = threadIdx.x % MBI_WARP;
    const size_t lane = w / heads, at = w * dim;
    int32_t y[held], z[held], most = 0;
    uint64_t ss = 0;

    if (w >= work)
        return;
#pragma unroll
    for (int k = 0; k < held; k++) {
        const uint32_t i = first + (uint32_t)k * MBI_WARP;
        const bool there = i < dim;

        z[k] = there ? m.p[lane * m.p_cols + m.at_z + head * dim + i] : 0;
        const int32_t skip = there ? m.x[at + i] * (int32_t)m.skip[head] : 0; /* below 2^23 */
        const int32_t direct = mbi_clamped(&m.direct, skip);

        y[k] = there ? m.y[at + i] + direct : 0;
        most = mbi_max_i32(most, y[k] < 0 ? -1 - y[k] : y[k]);
        if (keeps && there) {
            keep<int32_t>(&values, SKIP, at + i, skip);
            keep<int32_t>(&values, DIRECT, at + i, direct);
            keep<int32_t>(&values, SUM, at + i, y[k]);
            keep<int16_t>(&values, Z, at + i, z[k]);
        }
    }
    const int b = mbi_norm_headroom(mbi_warp_max(most));
#pragma unroll
    for (int k = 0; k < held; k++) {
        y[k] = (int32_t)mbi_rsh_i32(y[k], b);
        ss += (uint64_t)((int64_t)y[k] * y[k]);
    }
    ss = mbi_warp_sum_u48(ss);
    const struct mbi_norm_factor f = mbi_warp_norm_factor(m.norm_op, ss, dim, m.norm_inverse);
#pragma unroll
    for (int k = 0; k < held; k++) {
        const uint32_t i = first + (uint32_t)k * MBI_WARP;
        const int32_t zc = mbi_clamped(&m.z, z[k]), zg = mbi_gate_at(zc, m.z_gate);
        const int32_t gz = mbi_clamped(&m.gated_z, zg);
        const int32_t normed = mbi_normed(y[k], &f, m.norm_frac, m.norm_bits);

        if (i >= dim)
            continue;
        if (keeps) {
            keep<int16_t>(&values, NORM, at + i, normed);
            keep<int16_t>(&values, Z_CLAMP, at + i, zc);
            keep<int32_t>(&values, Z_GATE, at + i, zg);
            keep<int16_t>(&values, GATED_Z, at + i, gz);
            keep<int32_t>(&values, GATED, at + i, normed * gz); /* 16 bits each */
        }
        m.g[at + i] = (int8_t)mbi_clamped(&m.out, normed * gz);
    }
}

template <bool keeps>
static cudaError_t leave(const struct mbi_cuda_mixer *m, const struct mbi_cuda_mixer_values *values,
                         size_t lanes, cudaStream_t stream)
{
    const size_t work = lanes * (size_t)m->scan.heads, warps = THREADS / MBI_WARP;
    const dim3 grid((unsigned)((work + warps - 1) / warps));
    void (*const kernel)(struct mbi_cuda_mixer, struct mbi_cuda_mixer_values, size_t) =
        m->scan.head_dim <= 2 * MBI_WARP   ? leave_kernel<2, keeps>
        : m->scan.head_dim <= 4 * MBI_WARP ? leave_kernel<4, keeps>
                                           : leave_kernel<8, keeps>; /* P is at most 256 */

    return mbi_launch(kernel, grid, THREADS, 0, stream, *m, *values, work);
}

cudaError_t mbi_cuda_mixer_leave(const struct mbi_cuda_mixer *m,
                                 const struct mbi_cuda_mixer_values *values, size_t lanes,
                                 cudaStream_t stream)
{
    return values ? leave<true>(m, values, lanes, stream)
                  : leave<false>(m, &nowhere, lanes, stream);
}
