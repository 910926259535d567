/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing of matrices and the kernels of a product: one that is bound by reading the matrix (few
 * lanes, and every shape), two that are bound by multiplying (many lanes of i8; the second is for
 * compute 9.0 alone and faster there). All give the same sums.
 */
#include "cuda/matrix.h"
#include "cuda/matrix_dot.h"

/* ---- packing ---- */

size_t mbi_cuda_packed_size(uint32_t dtype, uint32_t rows, uint32_t cols)
{
    const struct mbi_cuda_matrix m = {NULL, dtype, rows, cols};
    size_t blocks, size;

    if (rows > UINT32_MAX - MBI_BLOCK_ROWS || cols > UINT32_MAX - MBI_BLOCK_COLS ||
        !mbi_mul_size(&blocks, mbi_row_blocks(&m), mbi_col_blocks(&m)) ||
        !mbi_mul_size(&size, blocks, mbi_block_size(dtype)))
        return 0;
    return size;
}

/* Four columns of a row of int8, from column `col` on; 0 beyond the matrix. */
static __device__ __forceinline__ uint32_t raw_i8(const uint8_t *raw, uint32_t rows, uint32_t cols,
                                                  uint32_t row, uint32_t col)
{
    const uint8_t *p = raw + (size_t)row * cols + col;
    uint32_t v = 0;

    if (row >= rows || col >= cols)
        return 0;
    if (cols % 4 == 0 && (uintptr_t)raw % 4 == 0)
        return *(const uint32_t *)p;
    for (uint32_t k = 0; k < 4 && col + k < cols; k++)
        v |= (uint32_t)p[k] << (8 * k);
    return v;
}

/* The same of ternary, each weight plus 1 in its byte. */
static __device__ __forceinline__ uint32_t raw_ternary(const uint8_t *raw, uint32_t rows,
                                                       uint32_t cols, uint32_t row, uint32_t col)
{
    const uint32_t byte =
        row < rows && col < cols ? raw[(size_t)row * ((cols + 3) / 4) + col / 4] : 0x55;
    uint32_t v = 0;

    for (uint32_t k = 0; k < 4; k++)
        v |= (col + k < cols ? byte >> (2 * k) & 3 : 1u) << (8 * k);
    return v;
}

/* A thread makes 16 bytes: those of a lane and a product (int8), or of a lane and a block. */
template <bool ternary>
static __global__ void pack_kernel(uint4 *packed, const uint8_t *raw, uint32_t rows, uint32_t cols,
                                   uint32_t col_blocks, size_t n)
{
    const uint32_t pieces = ternary ? MBI_WARP : 4 * MBI_WARP; /* of a block */

    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += (size_t)gridDim.x * blockDim.x) {
        const size_t block = i / pieces;
        const uint32_t piece = (uint32_t)(i % pieces), l = piece % MBI_WARP;
        const uint32_t row = (uint32_t)(block / col_blocks) * MBI_BLOCK_ROWS + l / 4;
        const uint32_t col = (uint32_t)(block % col_blocks) * MBI_BLOCK_COLS + 4 * (l % 4);
        uint32_t word[4] = {0, 0, 0, 0};

#pragma unroll
        for (uint32_t q = 0; q < 4; q++)
#pragma unroll
            for (uint32_t r = 0; r < 4; r++) {
                const uint32_t at = row + 8 * (r % 2), from = col + 16 * (r / 2);

                if (ternary)
                    word[q] |= raw_ternary(raw, rows, cols, at, from + 32 * q) << (2 * r);
                else if (q == 0)
                    word[r] = raw_i8(raw, rows, cols, at, from + piece / MBI_WARP * 32);
            }
        packed[i] = make_uint4(word[0], word[1], word[2], word[3]);
    }
}

cudaError_t mbi_cuda_pack(uint8_t *packed, const void *raw, uint32_t dtype, uint32_t rows,
                          uint32_t cols, cudaStream_t stream)
{
    const struct mbi_cuda_matrix m = {packed, dtype, rows, cols};
    const size_t n = mbi_cuda_packed_size(dtype, rows, cols) / 16;
    const size_t blocks = mbi_min_size((n + 255) / 256, (size_t)1 << 16);
    void (*const kernel)(uint4 *, const uint8_t *, uint32_t, uint32_t, uint32_t, size_t) =
        dtype == MBI_TERNARY ? pack_kernel<true> : pack_kernel<false>;

    return n ? mbi_launch(kernel, dim3((unsigned)blocks), 256, 0, stream, (uint4 *)packed,
                          (const uint8_t *)raw, rows, cols, mbi_col_blocks(&m), n)
             : cudaSuccess;
}

/* ---- what follows a sum ---- */

/* mbi_finish(), and what is kept; what is added to is then i32. */
static __device__ __forceinline__ void finish_and_keep(const struct mbi_cuda_finish *f,
                                                       const struct mbi_cuda_kept *kept,
                                                       int32_t sum, uint32_t row, size_t at)
{
    if (kept->sum)
        kept->sum[at] = sum;
    if (kept->rounded)
        kept->rounded[at] = (int32_t)mbi_finished(f, sum, mbi_finish_row(f, row), false, 0);
    mbi_finish(f, sum, row, at);
}

/* ---- few lanes ---- */

struct dot_args {
    struct mbi_cuda_matrix m;
    struct mbi_cuda_finish finish;
    struct mbi_cuda_kept kept;
    const uint8_t *x;
    uint32_t lanes;
    uint32_t split; /* warps that share a row of blocks */
    uint32_t chunk; /* column blocks that are in shared memory at a time */
    uint32_t plane; /* bytes of x of that, or of its high bytes alone */
    bool aligned;   /* x can be copied in pieces of 16 bytes */
};

/* Columns of blocks [first, end) of vectors [lane, lane + n) to shared memory, zero from the
 * end of the matrix on. The caller waits for the copies. */
template <bool wide>
static __device__ void dot_stage(const dot_args &a, uint8_t *to, uint32_t first, uint32_t end,
                                 uint32_t lane, uint32_t n)
{
    const uint32_t pitch = mbi_dot_pitch(a.chunk), cols = a.m.cols;
    const uint32_t width = (end - first) * MBI_BLOCK_COLS, from = first * MBI_BLOCK_COLS;

    if (a.aligned) {
        const uint32_t pieces = width / 16;

        for (uint32_t i = threadIdx.x; i < n * pieces; i += blockDim.x) {
            const uint32_t v = i / pieces, k = i % pieces * 16;
            const bool wanted = from + k < cols;

            mbi_copy16(to + v * pitch + k,
                       a.x + (size_t)(lane + v) * cols + (wanted ? from + k : 0), wanted);
        }
        return;
    }
    for (uint32_t v = 0; v < n; v++)
        for (uint32_t k = threadIdx.x; k < width; k += blockDim.x) {
            const size_t at = (size_t)(lane + v) * cols + from + k;
            const bool there = from + k < cols;

            if (wide) {
                const int32_t e = there ? ((const int16_t *)a.x)[at] : 0;

                to[v * pitch + k] = (uint8_t)(e >> 8);
                to[v * pitch + k + a.plane] = (uint8_t)e;
            } else {
                to[v * pitch + k] = there ? a.x[at] : (uint8_t)0;
            }
        }
}

/* The sums of the warps of a row of blocks are added up and finished. */
template <bool ternary, bool wide, int tiles>
static __device__ void dot_finish(const dot_args &a, const mbi_dot_sums<ternary, wide, tiles> &s,
                                  int32_t *sums, uint32_t row, uint32_t lane, uint32_t n)
{
    const uint32_t l = threadIdx.x % MBI_WARP, warp = threadIdx.x / MBI_WARP;
    const uint32_t groups = blockDim.x / MBI_WARP / a.split, size = tiles * 128;

    __syncthreads();
#pragma unroll
    for (int t = 0; t < tiles; t++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            sums[warp * size + (uint32_t)(4 * t + i) * MBI_WARP + l] = s.sum(t, i);
    __syncthreads();
    for (uint32_t e = threadIdx.x; e < groups * n * MBI_BLOCK_ROWS; e += blockDim.x) {
        const uint32_t r = e % MBI_BLOCK_ROWS, v = e / MBI_BLOCK_ROWS % n;
        const uint32_t g = e / MBI_BLOCK_ROWS / n, at = row + g * MBI_BLOCK_ROWS + r;
        const uint32_t i = v / 8 * 4 + r / 8 * 2 + v % 2, from = r % 8 * 4 + v % 8 / 2;
        uint32_t sum = 0;

        if (at >= a.m.rows)
            continue;
        for (uint32_t w = 0; w < a.split; w++)
            sum += (uint32_t)sums[(g * a.split + w) * size + i * MBI_WARP + from];
        finish_and_keep(&a.finish, &a.kept, (int32_t)sum, at, (size_t)(lane + v) * a.m.rows + at);
    }
}

/* The part of a warp: of row of blocks `row`, those of columns [first, end). */
static __device__ __forceinline__ mbi_dot_range dot_range(const dot_args &a, uint32_t row,
                                                          uint32_t first)
{
    const uint32_t col_blocks = mbi_col_blocks(&a.m), left = col_blocks - first;
    const uint32_t part = threadIdx.x / MBI_WARP % a.split;
    const uint8_t *const at = a.m.packed + (size_t)row * col_blocks * mbi_block_size(a.m.dtype);

    return mbi_dot_range{at, first + part, a.split,
                         row < mbi_row_blocks(&a.m) ? first + (left < a.chunk ? left : a.chunk)
                                                    : 0};
}

/*
 * Blocks of threads walk over groups of rows of blocks (x of the grid), for 8 tiles lanes (y).
 * `split` warps share each row of blocks. All columns of x are in shared memory if they fit, and
 * are then brought once.
 */
template <bool ternary, bool wide, int tiles>
static __global__ __launch_bounds__(tiles < 4 ? 512 : 256) void dot_kernel(dot_args a)
{
    uint8_t *const x = (uint8_t *)mbi_shared();
    const uint32_t lane = blockIdx.y * 8 * tiles;
    const uint32_t n = a.lanes - lane < 8 * tiles ? a.lanes - lane : 8 * tiles;
    const uint32_t rows = mbi_row_blocks(&a.m), col_blocks = mbi_col_blocks(&a.m);
    const uint32_t groups = blockDim.x / MBI_WARP / a.split; /* rows of blocks at a time */
    const uint32_t mine = threadIdx.x / MBI_WARP / a.split;
    const uint32_t stride = gridDim.x * groups;
    const bool once = a.chunk >= col_blocks;
    int32_t *const sums = (int32_t *)(x + (wide ? 2 : 1) * a.plane);
    uint32_t row = blockIdx.x * groups;
    mbi_dot_range range = dot_range(a, row + mine, 0);
    const uint8_t *vector[tiles];
    mbi_dot_unit<ternary> u;
    bool staged = false;

    u.fetch(range, range.from);
#pragma unroll
    for (int t = 0; t < tiles; t++)
        vector[t] = mbi_dot_vector(x, mbi_dot_pitch(a.chunk), n, (uint32_t)t);
    for (; row < rows; row += stride) {
        mbi_dot_sums<ternary, wide, tiles> s;

        s.clear();
        for (uint32_t first = 0; first < col_blocks; first += a.chunk) {
            const uint32_t left = col_blocks - first;
            const uint32_t end = first + (left < a.chunk ? left : a.chunk);
            const mbi_dot_range next = end < col_blocks ? dot_range(a, row + mine, end)
                                                        : dot_range(a, row + mine + stride, 0);

            if (!staged) {
                __syncthreads();
                dot_stage<wide>(a, x, first, end, lane, n);
                mbi_copy_commit();
                mbi_copy_wait<0>();
                __syncthreads();
                staged = once;
            }
            mbi_dot_blocks(s, u, range, next, vector, first, a.plane);
            range = next;
        }
        dot_finish(a, s, sums, row * MBI_BLOCK_ROWS, lane, n);
    }
}

/* What the device has. */
struct device {
    uint32_t processors;
    uint32_t shared; /* bytes of a block of threads at most */
    bool wide;       /* products of four warps together, and this build has them */
};

static cudaError_t device_get(struct device *d)
{
    int id = 0, n = 0, size = 0, major = 0;
    cudaError_t e = cudaGetDevice(&id);

    if (e == cudaSuccess)
        e = cudaDeviceGetAttribute(&n, cudaDevAttrMultiProcessorCount, id);
    if (e == cudaSuccess)
        e = cudaDeviceGetAttribute(&size, cudaDevAttrMaxSharedMemoryPerBlockOptin, id);
    if (e == cudaSuccess)
        e = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, id);
    d->processors = (uint32_t)n;
    d->shared = (uint32_t)size;
#if defined(MBI_EMULATE) || defined(MBI_CUDA_SM90A)
    d->wide = major == 9;
#else
    d->wide = false;
#endif
    return e;
}

#define DOT_WARPS 8 /* of a block of threads; with few rows twice as many, for up to 16 lanes */

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }
static uint32_t parts(uint32_t n, uint32_t size) { return (n + size - 1) / size; }

/* Bytes of the sums of all warps. */
static uint32_t dot_sums_size(uint32_t warps, uint32_t tiles) { return warps * tiles * 512; }

/* Each warp has at least one unit if it can, and the processors enough warps to wait for
 * memory. */
template <bool ternary, bool wide, int tiles>
static cudaError_t dot_start(dot_args a, const struct device *d, cudaStream_t stream)
{
    void (*const kernel)(dot_args) = dot_kernel<ternary, wide, tiles>;
    const uint32_t rows = mbi_row_blocks(&a.m), cols = mbi_col_blocks(&a.m);
    const uint32_t most = rows < 2 * d->processors && tiles < 4 ? 2 * DOT_WARPS : DOT_WARPS;
    const uint32_t n = min_u32(a.lanes, 8 * tiles), planes = wide ? 2 : 1;
    const uint32_t room = (d->shared - dot_sums_size(most, tiles)) / (n * planes) - 16;
    const uint32_t want =
        max_u32(parts(cols, mbi_dot_unit<ternary>::blocks), parts(16 * d->processors, rows));
    uint32_t groups, warps;
    size_t shared;
    cudaError_t e;
    int blocks = 1; /* that a processor holds at once */

    a.chunk = min_u32(cols, room / MBI_BLOCK_COLS);
    a.split = min_u32(min_u32(a.chunk, most), want);
    a.plane = n * mbi_dot_pitch(a.chunk);
    groups = min_u32(max_u32(1, DOT_WARPS / a.split), rows);
    warps = groups * a.split;
    shared = (size_t)planes * a.plane + dot_sums_size(warps, tiles);
    /* The limit belongs to the kernel and to the whole process: always the same, as another thread
     * may be about to start it with more. */
    e = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)d->shared);
    if (e == cudaSuccess)
        e = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, (int)warps * MBI_WARP,
                                                          shared);
    if (e != cudaSuccess)
        return e;
    return mbi_launch(
        kernel,
        dim3(min_u32(max_u32((uint32_t)blocks, 1) * d->processors, parts(rows, groups)),
             parts(a.lanes, 8 * tiles)),
        warps * MBI_WARP, shared, stream, a);
}

template <bool ternary, bool wide>
static cudaError_t dot_tiles(const dot_args &a, uint32_t tiles, const struct device *d,
                             cudaStream_t stream)
{
    const int most = wide ? 4 : 8; /* i16 has no kernel of its own for more */

    switch (tiles) {
    case 1:
        return dot_start<ternary, wide, 1>(a, d, stream);
    case 2:
        return dot_start<ternary, wide, 2>(a, d, stream);
    case 4:
        return dot_start<ternary, wide, 4>(a, d, stream);
    default:
        return dot_start<ternary, wide, most>(a, d, stream);
    }
}

/* ---- many lanes ---- */

/*
 * A block of threads makes `rows` rows for `lanes` lanes, a warp 16 NB rows for 16 MT lanes. A
 * stage is a column block of both in shared memory; the pieces of 16 bytes of a vector are mixed
 * so that those of eight vectors lie in different banks.
 */
template <bool ternary_, int WR_, int WL_, int MT_, int NB_, int STAGES_> struct gemm_tile {
    static const bool ternary = ternary_;
    static const int WR = WR_, WL = WL_, MT = MT_, NB = NB_, STAGES = STAGES_;
    static const int warps = WR * WL, threads = MBI_WARP * warps;
    static const int row_blocks = WR * NB;
    static const int warp_rows = MBI_BLOCK_ROWS * NB, rows = WR * warp_rows;
    static const int warp_lanes = 16 * MT, lanes = WL * warp_lanes;
    static const int block = MBI_BLOCK_ROWS * MBI_BLOCK_COLS / (ternary ? 4 : 1);
    static const int w_size = row_blocks * block, x_size = lanes * MBI_BLOCK_COLS;
    static const int stage = w_size + x_size;
    /* in the end: sums of x, then the sums of each warp, lane by lane, so that a lane's are beside
     * each other and a warp's writes lie in different banks */
    static const int pitch = warp_rows + 4;
    static const int writing = 4 * (lanes + warps * warp_lanes * pitch);
    static const int stages = STAGES * stage, shared = stages > writing ? stages : writing;
};

struct gemm_args {
    struct mbi_cuda_matrix m;
    struct mbi_cuda_finish finish;
    struct mbi_cuda_kept kept;
    const uint8_t *x;
    uint32_t lanes;
    uint32_t band; /* tiles of lanes that are done with all rows before the next ones */
    bool aligned;  /* four rows of a lane can be written at once */
};

/* Which tile a block of threads makes. Neighbours share rows, and the lanes of a band stay in the
 * cache. */
template <class T>
static __device__ __forceinline__ void gemm_place(const gemm_args &a, uint32_t *row_block,
                                                  uint32_t *lane)
{
    const uint32_t tiles = (a.lanes + T::lanes - 1) / T::lanes;
    const uint32_t rows = (mbi_row_blocks(&a.m) + T::row_blocks - 1) / T::row_blocks;
    const uint32_t band = blockIdx.x / (a.band * rows), left = tiles - band * a.band;
    const uint32_t in = blockIdx.x - band * a.band * rows, width = left < a.band ? left : a.band;

    *row_block = in / width * T::row_blocks;
    *lane = (band * a.band + in % width) * T::lanes;
}

/* What a thread brings to a stage: pieces of 16 bytes of rows of blocks and of vectors, each a
 * fixed number apart; zero where the matrix or the lanes end. */
template <class T> struct gemm_source {
    static const int w_pieces = T::block / 16, w_step = T::threads / w_pieces;
    static const int x_step = T::threads / 8;
    const uint8_t *w, *x;
    size_t w_stride, x_stride;
    int w_left, x_left; /* rows of blocks and vectors from this thread's first on */
    int cols_left, blocks_left;
    uint32_t w_to, x_to;

    __device__ __forceinline__ void begin(const gemm_args &a, uint32_t row_block, uint32_t lane)
    {
        const uint32_t w_at = threadIdx.x / w_pieces, x_at = threadIdx.x / 8;
        const uint32_t w_piece = threadIdx.x % w_pieces, x_piece = threadIdx.x % 8;
        const uint32_t col_blocks = mbi_col_blocks(&a.m);
        const size_t w_row = (size_t)col_blocks * T::block;

        w = a.m.packed + (row_block + w_at) * w_row + w_piece * 16;
        w_stride = w_step * w_row;
        w_left = (int)(mbi_row_blocks(&a.m) - row_block - w_at);
        w_to = w_at * T::block + w_piece * 16;
        x = a.x + (size_t)(lane + x_at) * a.m.cols + x_piece * 16;
        x_stride = (size_t)x_step * a.m.cols;
        x_left = (int)(a.lanes - lane - x_at);
        x_to = T::w_size + x_at * MBI_BLOCK_COLS + (x_piece ^ x_at % 8) * 16;
        cols_left = (int)(a.m.cols - x_piece * 16);
        blocks_left = (int)col_blocks;
    }

    /* Brings the next column block, if there is one. */
    __device__ __forceinline__ void bring(uint8_t *stage)
    {
        if (blocks_left > 0) {
#pragma unroll
            for (int i = 0; i < T::row_blocks / w_step; i++)
                mbi_copy16(stage + w_to + i * w_step * T::block, w + (size_t)i * w_stride,
                           i * w_step < w_left);
#pragma unroll
            for (int i = 0; i < T::lanes / x_step; i++)
                mbi_copy16(stage + x_to + i * x_step * MBI_BLOCK_COLS, x + (size_t)i * x_stride,
                           i * x_step < x_left && cols_left > 0);
        }
        mbi_copy_commit();
        w += T::block;
        x += MBI_BLOCK_COLS;
        cols_left -= MBI_BLOCK_COLS;
        blocks_left--;
    }
};

/* The operands of a warp for a product of a column block. */
template <class T> struct gemm_operands {
    uint4 w[T::NB];       /* ternary: of all products of the column block */
    uint32_t x[T::MT][4]; /* two tiles of eight lanes each */

    /* Of product q, from where this lane finds the operands of a stage. */
    __device__ __forceinline__ void load(const uint8_t *ws, const uint8_t *xs, int q)
    {
        const uint32_t l = threadIdx.x % MBI_WARP;

#pragma unroll
        for (int i = 0; i < T::MT; i++)
            mbi_load_matrices(x[i], xs + i * 16 * MBI_BLOCK_COLS +
                                        (((uint32_t)(2 * q) + l / 8 % 2) ^ l % 8) * 16);
        if (T::ternary && q)
            return;
#pragma unroll
        for (int i = 0; i < T::NB; i++)
            w[i] = *(const uint4 *)(ws + i * T::block + q * 512);
    }
};

/* One product: w of int8, or `word` of ternary. */
template <class T>
static __device__ __forceinline__ void gemm_multiply(int32_t c[T::NB][2 * T::MT][4],
                                                     const uint4 w[T::NB],
                                                     const uint32_t word[T::NB],
                                                     const uint32_t x[T::MT][4])
{
#pragma unroll
    for (int n = 0; n < T::NB; n++) {
        uint32_t a[4] = {w[n].x, w[n].y, w[n].z, w[n].w};

#pragma unroll
        for (int r = 0; T::ternary && r < 4; r++)
            a[r] = mbi_trits(word[n], r);
#pragma unroll
        for (int m = 0; m < T::MT; m++) {
            mbi_mma(c[n][2 * m], a, x[m]);
            mbi_mma(c[n][2 * m + 1], a, x[m] + 2);
        }
    }
}

/* Adds a thread's share of a column block of one vector: threads / lanes threads share it. */
template <class T>
static __device__ __forceinline__ uint32_t gemm_vector_sum(const uint8_t *stage, uint32_t sum)
{
    const uint32_t v = threadIdx.x % T::lanes, part = threadIdx.x / T::lanes;
    const int pieces = 8 * T::lanes / T::threads;
    const int32_t one = 0x01010101;

#pragma unroll
    for (int i = 0; i < pieces; i++) {
        const uint32_t piece = part * (uint32_t)pieces + (uint32_t)i;
        const int4 w =
            *(const int4 *)(stage + T::w_size + v * MBI_BLOCK_COLS + (piece ^ v % 8) * 16);

        sum = (uint32_t)mbi_dot4(w.x, one, mbi_dot4(w.y, one, (int32_t)sum));
        sum = (uint32_t)mbi_dot4(w.z, one, mbi_dot4(w.w, one, (int32_t)sum));
    }
    return sum;
}

/* The sums of all vectors, at the beginning of the shared memory; every thread may read them. */
template <class T>
static __device__ __forceinline__ void gemm_vector_sums(uint32_t *sums, uint32_t sum)
{
    const uint32_t v = threadIdx.x % T::lanes, part = threadIdx.x / T::lanes;

    for (uint32_t i = 0; i < T::threads / T::lanes; i++) {
        __syncthreads();
        if (part == i)
            sums[v] = sum + (i ? sums[v] : 0);
    }
    __syncthreads();
}

static __device__ __forceinline__ int32_t clamp_i32(int32_t v, int32_t lo, int32_t hi)
{
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

/*
 * The short way to finish the sums of four rows: rsh(v m, s) is the high word of v m' + round,
 * shifted, with m' = m 2^(32 - s) and round = 2^31 for s <= 32, and with m' = m, round = 2^(s -
 * 1) and a shift by s - 32 for s > 32. It is taken where every m' of a warp's rows is an int32,
 * and its magnitude at most 2^31: so |v m'| <= 2^62.
 */
struct gemm_finish {
    int64_t round;
    int32_t m[4];
    int32_t shift;
    bool fast;

    /* Of rows row .. row + 3. A sum itself is an int32, and shifted by 32 or more it leaves 0. */
    __device__ __forceinline__ void prepare(const struct mbi_cuda_finish &f, uint32_t row,
                                            uint32_t rows)
    {
        const int32_t s = f.kind == MBI_FINISH_MUL ? f.shift + *f.exponent : 32;
        const int32_t scale = f.kind == MBI_FINISH_MUL ? *f.scale : 0;

        round = (int64_t)1 << (s > 32 ? s - 1 : 31);
        shift = s > 32 ? s - 32 : 0;
        fast = s >= 16;
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const uint32_t at = row + (uint32_t)e;
            const bool by_row = f.kind == MBI_FINISH_ROWS && at < rows;
            const int32_t own = f.shift + (by_row ? f.exponent[at] : 0);

            m[e] = s > 32 ? scale : fast ? scale * (1 << (32 - s)) : 0;
            if (f.kind == MBI_FINISH_SHIFT || by_row) {
                m[e] = own < 32 && own > 1 ? 1 << (32 - own) : 0;
                fast &= own > 1;
            }
        }
        fast = __ballot_sync(MBI_FULL, fast) == MBI_FULL;
    }

    __device__ __forceinline__ int32_t value(const struct mbi_cuda_finish &f, int32_t sum,
                                             int e) const
    {
        return clamp_i32((int32_t)(mbi_mul_add(sum, m[e], round) >> 32) >> shift, f.lo, f.hi);
    }
};

/* Four rows of a lane, written at once. */
static __device__ __forceinline__ void gemm_put(int8_t *out, const int32_t v[4])
{
    const uint32_t low = ((uint32_t)v[0] & 0xff) | ((uint32_t)v[1] & 0xff) << 8;
    const uint32_t all = low | ((uint32_t)v[2] & 0xff) << 16 | (uint32_t)v[3] << 24;

    *(uint32_t *)out = all;
}
static __device__ __forceinline__ void gemm_put(int16_t *out, const int32_t v[4])
{
    uint2 all;

    all.x = ((uint32_t)v[0] & 0xffff) | (uint32_t)v[1] << 16;
    all.y = ((uint32_t)v[2] & 0xffff) | (uint32_t)v[3] << 16;
    __stwb((uint2 *)out, all);
}
static __device__ __forceinline__ void gemm_put(int32_t *out, const int32_t v[4])
{
    __stwb((uint4 *)out,
           make_uint4((uint32_t)v[0], (uint32_t)v[1], (uint32_t)v[2], (uint32_t)v[3]));
}

/* A warp's sums, and where they go. */
struct gemm_sums {
    const int32_t *sum;    /* [lanes of the warp][pitch] */
    const uint32_t *minus; /* what to take from those of each lane, if the matrix is ternary */
    uint32_t row, lane;    /* the first */
};

/* The short way, four rows of a lane a thread at a time. With `keeps`, what is kept is wanted. */
template <class T, class E, bool none, bool add, bool keeps>
static __device__ __forceinline__ void gemm_write_fast(const gemm_args &a, const gemm_sums &s,
                                                       const gemm_finish &f)
{
    const uint32_t quads = T::warp_rows / 4, l = threadIdx.x % MBI_WARP;
    const uint32_t row = 4 * (l % quads), rows = a.m.rows, step = MBI_WARP / quads;
    const int n_steps = T::warp_lanes / (int)step;
    const int32_t *sum = s.sum + l / quads * T::pitch + row;
    const uint32_t lane = s.lane + l / quads;
    const int32_t least = add ? INT32_MIN >> (32 - a.finish.bits) : 0; /* of addsat */
    size_t at = (size_t)lane * rows + s.row + row;

    if (s.row + row >= rows)
        return;
#pragma unroll 4
    for (int i = 0; i < n_steps; i++) {
        const int4 v4 = *(const int4 *)(sum + i * (int)step * T::pitch);
        const uint32_t less = T::ternary ? s.minus[l / quads + (uint32_t)i * step] : 0;
        int32_t v[4] = {v4.x, v4.y, v4.z, v4.w};

        if (lane + (uint32_t)i * step < a.lanes) {
            const int4 more = add ? *(const int4 *)(a.finish.add + at) : int4{0, 0, 0, 0};
            const int32_t term[4] = {more.x, more.y, more.z, more.w};

#pragma unroll
            for (int e = 0; e < 4; e++)
                v[e] = (int32_t)((uint32_t)v[e] - less);
            if (keeps)
                gemm_put(a.kept.sum + at, v);
#pragma unroll
            for (int e = 0; !none && e < 4; e++)
                v[e] = f.value(a.finish, v[e], e);
            if (keeps && add)
                gemm_put(a.kept.rounded + at, v);
#pragma unroll
            for (int e = 0; add && e < 4; e++)
                v[e] = clamp_i32(mbi_add_sat(v[e], term[e]), least, ~least);
            gemm_put((E *)a.finish.out + at, v);
        }
        at += (size_t)step * rows;
    }
}

/* Any way to finish. */
template <class T>
static __device__ __forceinline__ void gemm_write_any(const gemm_args &a, const gemm_sums &s)
{
#pragma unroll 1
    for (uint32_t i = threadIdx.x % MBI_WARP; i < T::warp_lanes * T::warp_rows; i += MBI_WARP) {
        const uint32_t n = i / T::warp_rows, row = i % T::warp_rows;
        const uint32_t less = T::ternary ? s.minus[n] : 0;
        const int32_t sum = (int32_t)((uint32_t)s.sum[n * T::pitch + row] - less);

        if (s.lane + n < a.lanes && s.row + row < a.m.rows)
            finish_and_keep(&a.finish, &a.kept, sum, s.row + row,
                            (size_t)(s.lane + n) * a.m.rows + s.row + row);
    }
}

template <class T, class E, bool keeps>
static __device__ __forceinline__ void gemm_write_type(const gemm_args &a, const gemm_sums &s,
                                                       const gemm_finish &f)
{
    if (a.finish.add)
        gemm_write_fast<T, E, false, true, keeps>(a, s, f);
    else
        gemm_write_fast<T, E, false, false, keeps>(a, s, f);
}

template <class T, bool keeps>
static __device__ __forceinline__ void gemm_write_rounded(const gemm_args &a, const gemm_sums &s,
                                                          const gemm_finish &f)
{
    if (a.finish.dtype == MBI_I8)
        gemm_write_type<T, int8_t, keeps>(a, s, f);
    else if (a.finish.dtype == MBI_I16)
        gemm_write_type<T, int16_t, keeps>(a, s, f);
    else
        gemm_write_type<T, int32_t, keeps>(a, s, f);
}

/* Finishes and writes a warp's sums. */
template <class T>
static __device__ __forceinline__ void gemm_write(const gemm_args &a, const gemm_sums &s)
{
    gemm_finish f;

    f.prepare(a.finish, s.row + threadIdx.x % (T::warp_rows / 4) * 4, a.m.rows);
    if (!a.aligned || !f.fast || a.finish.dtype == MBI_I64)
        gemm_write_any<T>(a, s);
    else if (a.finish.kind == MBI_FINISH_NONE)
        gemm_write_fast<T, int32_t, true, false, false>(a, s, f);
    else if (a.kept.sum)
        gemm_write_rounded<T, true>(a, s, f);
    else
        gemm_write_rounded<T, false>(a, s, f);
}

/* The sums of a warp to shared memory, in the order of struct gemm_sums. */
template <class T>
static __device__ __forceinline__ void gemm_spread(int32_t *to,
                                                   const int32_t c[T::NB][2 * T::MT][4])
{
    const uint32_t l = threadIdx.x % MBI_WARP;

    to += l % 4 * 2 * T::pitch + l / 4;
#pragma unroll
    for (int n = 0; n < T::NB; n++)
#pragma unroll
        for (int m = 0; m < 2 * T::MT; m++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                to[(8 * m + i % 2) * T::pitch + 16 * n + i / 2 * 8] = c[n][m][i];
    __syncwarp();
}

template <class T> static __global__ __launch_bounds__(T::threads) void gemm_kernel(gemm_args a)
{
    uint8_t *const shared = (uint8_t *)mbi_shared(), *const end = shared + T::STAGES * T::stage;
    const uint32_t l = threadIdx.x % MBI_WARP, warp = threadIdx.x / MBI_WARP;
    const uint32_t row = warp / T::WL * T::warp_rows, vector = warp % T::WL * T::warp_lanes;
    const uint32_t w_at = warp / T::WL * T::NB * T::block + 16 * l;
    const uint32_t x_at = T::w_size + (vector + l / 16 * 8 + l % 8) * MBI_BLOCK_COLS;
    uint8_t *from = shared, *to = shared; /* the stages that are read and brought */
    int32_t c[T::NB][2 * T::MT][4];
    gemm_operands<T> operands[2];
    gemm_source<T> source;
    uint32_t row_block, lane, vector_sum = 0;
    int32_t *sums;

    gemm_place<T>(a, &row_block, &lane);
    source.begin(a, row_block, lane);
#pragma unroll
    for (int i = 0; i < T::STAGES - 1; i++, to += T::stage)
        source.bring(to);
#pragma unroll
    for (int n = 0; n < T::NB; n++)
#pragma unroll
        for (int m = 0; m < 2 * T::MT; m++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                c[n][m][i] = 0;
    mbi_copy_wait<T::STAGES - 2>();
    __syncthreads();
    operands[0].load(from + w_at, from + x_at, 0);
#pragma unroll 1
    for (uint32_t k = mbi_col_blocks(&a.m); k; k--) {
        if (T::ternary)
            vector_sum = gemm_vector_sum<T>(from, vector_sum);
#pragma unroll
        for (int q = 0; q < 4; q++) {
            gemm_operands<T> &now = operands[q % 2];
            uint32_t word[T::NB];

#pragma unroll
            for (int n = 0; n < T::NB; n++) {
                const uint4 w = operands[0].w[n];
                const uint32_t of[4] = {w.x, w.y, w.z, w.w};

                word[n] = of[q];
            }
            if (q == 3) { /* the next stage has come, and this one has been read */
                mbi_copy_wait<T::STAGES - 2>();
                __syncthreads();
                from = from + T::stage == end ? shared : from + T::stage;
            }
            operands[(q + 1) % 2].load(from + w_at, from + x_at, (q + 1) % 4);
            if (q == 0) {
                source.bring(to);
                to = to + T::stage == end ? shared : to + T::stage;
            }
            gemm_multiply<T>(c, now.w, word, now.x);
        }
    }
    mbi_copy_wait<0>();
    if (T::ternary)
        gemm_vector_sums<T>((uint32_t *)shared, vector_sum);
    sums = (int32_t *)shared + T::lanes + warp * (T::warp_lanes * T::pitch);
    gemm_spread<T>(sums, c);
    gemm_write<T>(a, gemm_sums{sums, (const uint32_t *)shared + vector,
                               row_block * MBI_BLOCK_ROWS + row, lane + vector});
}

/* ---- many lanes, with the products of four warps together ---- */

/*
 * Here a warp has 16 rows for all lanes of its block of threads. Its weights, which are for nobody
 * else, come straight from device memory, AHEAD column blocks before their use; x goes through
 * shared memory as above.
 */
template <bool ternary_, int NT_> struct wide_tile {
    static const bool ternary = ternary_;
    static const int NT = NT_, lanes = 128 * NT, AHEAD = ternary ? 2 : NT;
    static const int warps = 8, threads = MBI_WARP * warps;
    static const int row_blocks = warps, rows = MBI_BLOCK_ROWS * row_blocks;
    static const int block = MBI_BLOCK_ROWS * MBI_BLOCK_COLS / (ternary ? 4 : 1);
    static const int w_size = 0, stage = lanes * MBI_BLOCK_COLS, STAGES = 4;
    /* groups of products under way while the next is prepared; with one the compiler would wait
     * after each product of the small ternary tile, for reasons of its own */
    static const int late = ternary && NT == 1 ? 0 : 1;
    /* in the end, when a warp writes all rows of some lanes */
    static const int pitch = rows + 4, warp_rows = rows, warp_lanes = lanes / warps;
    static const int writing = 4 * (lanes + lanes * pitch);
    static const int stages = STAGES * stage;
    static const int shared = 1024 + (stages > writing ? stages : writing);
};

/* Brings column block k of x; zero where the lanes or the columns end. */
template <class T>
static __device__ __forceinline__ void wide_bring(const gemm_args &a, uint8_t *stage, uint32_t lane,
                                                  uint32_t k)
{
    const uint32_t at = threadIdx.x / 8, piece = threadIdx.x % 8, step = T::threads / 8;
    const uint32_t col = k * MBI_BLOCK_COLS + piece * 16;
    const uint8_t *const x = a.x + (size_t)(lane + at) * a.m.cols + col;
    const int left = (int)(a.lanes - lane - at);

    if (k < mbi_col_blocks(&a.m)) {
        stage += at * MBI_BLOCK_COLS + (piece ^ at % 8) * 16;
#pragma unroll
        for (int i = 0; i < T::lanes / (int)step; i++)
            mbi_copy16(stage + i * (int)step * MBI_BLOCK_COLS, x + (size_t)i * step * a.m.cols,
                       i * (int)step < left && col < a.m.cols);
    }
    mbi_copy_commit();
}

/* The weights of a warp for a column block. */
template <class T> struct wide_weights {
    uint4 w[T::ternary ? 1 : 4];

    __device__ __forceinline__ void load(const uint8_t *row_block, uint32_t k, uint32_t col_blocks)
    {
        const uint4 *const p = (const uint4 *)(row_block + (size_t)k * T::block);

        if (k >= col_blocks)
            return;
#pragma unroll
        for (int q = 0; q < (T::ternary ? 1 : 4); q++)
            w[q] = __ldg(p + q * MBI_WARP + threadIdx.x % MBI_WARP);
    }

    __device__ __forceinline__ void operand(uint32_t a[4], int q) const
    {
        const uint4 v = w[T::ternary ? 0 : q];
        const uint32_t word[4] = {v.x, v.y, v.z, v.w};

#pragma unroll
        for (int r = 0; r < 4; r++)
            a[r] = T::ternary ? mbi_trits(word[q], r) : word[r];
    }
};

#ifdef MBI_WIDE
/* All products of a column block, in the background. */
template <class T>
static __device__ __forceinline__ void wide_multiply(int32_t c[T::NT][16][4],
                                                     const uint32_t a[4][4], const uint8_t *stage)
{
    mbi_wide_begin();
#pragma unroll
    for (int q = 0; q < 4; q++)
#pragma unroll
        for (int n = 0; n < T::NT; n++)
            mbi_wide_mma(c[n], a[q], stage + n * 128 * MBI_BLOCK_COLS + 32 * q);
    mbi_wide_commit();
}
#endif

template <class T>
static __global__ __launch_bounds__(T::threads, T::NT == 1 ? 2 : 1) void wide_kernel(gemm_args a)
{
#ifdef MBI_WIDE
    char *const base = mbi_shared();
    uint8_t *const shared = (uint8_t *)base + (1024 - (uintptr_t)base % 1024) % 1024;
    const uint32_t l = threadIdx.x % MBI_WARP, warp = threadIdx.x / MBI_WARP;
    const uint32_t col_blocks = mbi_col_blocks(&a.m), rows = mbi_row_blocks(&a.m);
    int32_t c[T::NT][16][4];
    wide_weights<T> w[T::AHEAD + 1];
    uint32_t row_block, lane, mine, vector_sum = 0;
    const uint8_t *from;
    int32_t *sums;

    gemm_place<T>(a, &row_block, &lane);
    mine = row_block + warp < rows ? row_block + warp : rows - 1;
    from = a.m.packed + (size_t)mine * col_blocks * T::block;
#pragma unroll
    for (int i = 0; i < T::STAGES - 2; i++)
        wide_bring<T>(a, shared + i * T::stage, lane, (uint32_t)i);
#pragma unroll
    for (uint32_t i = 0; i < T::AHEAD; i++)
        w[i].load(from, i, col_blocks);
#pragma unroll
    for (int n = 0; n < T::NT; n++)
#pragma unroll
        for (int j = 0; j < 64; j++)
            c[n][j / 4][j % 4] = 0;
#pragma unroll 1
    for (uint32_t first = 0; first < col_blocks; first += T::AHEAD + 1)
#pragma unroll
        for (uint32_t u = 0; u < T::AHEAD + 1; u++) {
            const uint32_t k = first + u;
            const uint8_t *const stage = shared + k % T::STAGES * T::stage;

            uint32_t operand[4][4];

            if (k >= col_blocks)
                break;
#pragma unroll
            for (int q = 0; q < 4; q++) {
                w[u].operand(operand[q], q);
                if (T::ternary)
                    mbi_wide_made(operand[q]);
            }
            /* all have read stage k - 2, and stage k has come */
            mbi_copy_wait<T::STAGES - 3>();
            mbi_wide_publish();
            __syncthreads();
            wide_bring<T>(a, shared + (k + 2) % T::STAGES * T::stage, lane, k + 2);
            wide_multiply<T>(c, operand, stage);
            if (T::ternary)
                vector_sum = gemm_vector_sum<T>(stage, vector_sum);
            mbi_wide_wait<T::late>();
            w[(u + T::AHEAD) % (T::AHEAD + 1)].load(from, k + T::AHEAD, col_blocks);
        }
    mbi_wide_wait<0>();
#pragma unroll
    for (int n = 0; n < T::NT; n++)
        mbi_wide_read(c[n]);
    mbi_copy_wait<0>();
    gemm_vector_sums<T>((uint32_t *)shared, vector_sum);
    sums = (int32_t *)shared + T::lanes;
#pragma unroll
    for (int n = 0; n < T::NT; n++)
#pragma unroll
        for (int j = 0; j < 16; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                sums[(128 * n + 8 * j + i % 2 + (int)(2 * (l % 4))) * T::pitch +
                     (int)(16 * warp + l / 4) + i / 2 * 8] = c[n][j][i];
    __syncthreads();
    gemm_write<T>(a, gemm_sums{sums + warp * T::warp_lanes * T::pitch,
                               (const uint32_t *)shared + warp * T::warp_lanes,
                               row_block * MBI_BLOCK_ROWS, lane + warp * T::warp_lanes});
#else
    (void)a;
    __trap(); /* MBI_CUDA_SM90A without code for it */
#endif
}

/* Starts one of the kernels for many lanes. */
template <class T>
static cudaError_t gemm_start(void (*kernel)(gemm_args), gemm_args a, cudaStream_t stream)
{
    const uint32_t rows = parts(mbi_row_blocks(&a.m), T::row_blocks);
    const uint32_t lanes = parts(a.lanes, T::lanes);
    const cudaError_t e =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, T::shared);

    a.band = min_u32(lanes, 32);
    return e == cudaSuccess
               ? mbi_launch(kernel, dim3(rows * lanes), T::threads, T::shared, stream, a)
               : e;
}

/* ---- the choice ---- */

enum choice {
    CHOICE_DOT_1,
    CHOICE_DOT_2,
    CHOICE_DOT_4,
    CHOICE_DOT_8,
    CHOICE_LARGE,
    CHOICE_MIDDLE,
    CHOICE_SMALL,
    CHOICE_WIDE, /* these two: only if device.wide */
    CHOICE_WIDE_SMALL,
    CHOICE_END
};

/* What is common to all starts of a product. */
struct product {
    struct mbi_cuda_matrix m;
    struct mbi_cuda_finish finish;
    struct mbi_cuda_kept kept;
    const void *x;
    uint32_t x_dtype, lanes;
};

/* x can be copied in pieces of 16 bytes. */
static bool product_aligned(const struct product *p)
{
    return p->x_dtype == MBI_I8 && p->m.cols % 16 == 0 && (uintptr_t)p->x % 16 == 0;
}

template <class T> static cudaError_t gemm_choice_tile(const gemm_args &a, cudaStream_t stream)
{
    return gemm_start<T>(gemm_kernel<T>, a, stream);
}

template <bool ternary>
static cudaError_t gemm_choice(const struct product *p, int choice, cudaStream_t stream)
{
    gemm_args a;

    a.m = p->m;
    a.finish = p->finish;
    a.kept = p->kept;
    a.x = (const uint8_t *)p->x;
    a.lanes = p->lanes;
    a.aligned = p->m.rows % 4 == 0 && (uintptr_t)p->finish.out % 16 == 0 &&
                (uintptr_t)p->finish.add % 16 == 0 && (uintptr_t)p->kept.sum % 16 == 0 &&
                (uintptr_t)p->kept.rounded % 16 == 0;
    switch (choice) {
    case CHOICE_LARGE:
        return gemm_choice_tile<gemm_tile<ternary, 4, 2, 4, 4, 3>>(a, stream);
    case CHOICE_MIDDLE:
        return gemm_choice_tile<gemm_tile<ternary, 2, 2, 4, 4, 3>>(a, stream);
    case CHOICE_SMALL:
        return gemm_choice_tile<gemm_tile<ternary, 2, 2, 2, 2, 3>>(a, stream);
    case CHOICE_WIDE:
        return gemm_start<wide_tile<ternary, 2>>(wide_kernel<wide_tile<ternary, 2>>, a, stream);
    default:
        return gemm_start<wide_tile<ternary, 1>>(wide_kernel<wide_tile<ternary, 1>>, a, stream);
    }
}

static cudaError_t dot_choice(const struct product *p, int choice, const struct device *d,
                              cudaStream_t stream)
{
    const uint32_t tiles = 1u << (choice - CHOICE_DOT_1);
    const bool wide = p->x_dtype == MBI_I16;
    dot_args a = {};

    a.m = p->m;
    a.finish = p->finish;
    a.kept = p->kept;
    a.x = (const uint8_t *)p->x;
    a.lanes = p->lanes;
    a.aligned = product_aligned(p);
    if (p->m.dtype == MBI_TERNARY)
        return wide ? dot_tiles<true, true>(a, tiles, d, stream)
                    : dot_tiles<true, false>(a, tiles, d, stream);
    return wide ? dot_tiles<false, true>(a, tiles, d, stream)
                : dot_tiles<false, false>(a, tiles, d, stream);
}

/* Starts one of the kernels; those of many lanes need product_aligned(). */
static cudaError_t product_start(const struct product *p, int choice, const struct device *d,
                                 cudaStream_t stream)
{
    if (choice < CHOICE_LARGE)
        return dot_choice(p, choice, d, stream);
    return p->m.dtype == MBI_TERNARY ? gemm_choice<true>(p, choice, stream)
                                     : gemm_choice<false>(p, choice, stream);
}

/* The time of a kernel whose blocks of threads make `rows` by `lanes`, at `cost` each of them. */
static uint64_t gemm_cost(const struct product *p, const struct device *d, uint32_t rows,
                          uint32_t lanes, uint32_t cost)
{
    const uint64_t tiles = (uint64_t)parts(p->m.rows, rows) * parts(p->lanes, lanes);
    const uint64_t rounds = (tiles + d->processors - 1) / d->processors;

    return rounds * rows * lanes * cost;
}

/* The kernel that should take the least time. */
static int product_choice(const struct product *p, const struct device *d)
{
    static const struct {
        uint16_t rows, lanes, cost;
        uint8_t choice;
    } gemm[] = {{128, 256, 74, CHOICE_WIDE}, /* measured on an H100: docs/performance.md */
                {128, 128, 70, CHOICE_WIDE_SMALL},
                {256, 128, 86, CHOICE_LARGE},
                {128, 128, 82, CHOICE_MIDDLE},
                {64, 64, 112, CHOICE_SMALL}};
    uint64_t least = UINT64_MAX;
    int choice = CHOICE_SMALL;

    if (p->lanes <= 8)
        return CHOICE_DOT_1;
    if (p->lanes <= 16)
        return CHOICE_DOT_2;
    if (p->lanes <= 32 || !product_aligned(p) || d->shared < 96 << 10)
        return CHOICE_DOT_4;
    for (const auto &g : gemm) {
        const uint64_t cost = gemm_cost(p, d, g.rows, g.lanes, g.cost);

        if (((g.choice == CHOICE_WIDE || g.choice == CHOICE_WIDE_SMALL) && !d->wide) ||
            (g.choice == CHOICE_LARGE && d->shared < 160 << 10) || cost >= least)
            continue;
        least = cost;
        choice = g.choice;
    }
    return choice;
}

cudaError_t mbi_cuda_matmul(const struct mbi_cuda_matrix *m, const void *x, uint32_t x_dtype,
                            uint32_t lanes, const struct mbi_cuda_finish *finish,
                            const struct mbi_cuda_kept *kept, cudaStream_t stream)
{
    const struct product p = {*m, *finish, kept ? *kept : mbi_cuda_kept{NULL, NULL},
                              x,  x_dtype, lanes};
    struct device d;
    const cudaError_t e = device_get(&d);

    if (e != cudaSuccess || !lanes || !m->rows || !m->cols)
        return e;
    return product_start(&p, product_choice(&p, &d), &d, stream);
}
