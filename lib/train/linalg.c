/* SPDX-License-Identifier: Apache-2.0 */
/* Float matrix products: OpenBLAS where it is there, own loops otherwise. */
#include "train/linalg.h"
#include "train/vector.h"
#if MBI_HAVE_BLAS
#include <cblas.h>
#include <dlfcn.h>
#include <string.h>
#endif

/*
 * Blocks of op(A) and op(B) are packed into strips of MR rows and NR columns, zero beyond the
 * edges, so that one kernel does every shape: an MR x NR tile of C in registers, one step of k at
 * a time.
 */
#define MR 6
#define NR 32
#define BLOCK_M 48
#define BLOCK_N 128
#define BLOCK_K 128

struct operand {
    const float *at;
    size_t row, col; /* strides */
};

static struct operand operand(const float *at, size_t ld, bool trans)
{
    return trans ? (struct operand){at, 1, ld} : (struct operand){at, ld, 1};
}

static struct operand part(struct operand x, size_t row, size_t col)
{
    x.at += row * x.row + col * x.col;
    return x;
}

/* Strips of `strip` rows of x [rows x k]: out[strip][k][row in strip]. */
static void pack(float *out, struct operand x, size_t rows, size_t k, size_t strip)
{
    for (size_t r0 = 0; r0 < rows; r0 += strip, out += k * strip) {
        const size_t real = mbi_min_size(strip, rows - r0);

        if (real < strip)
            memset(out, 0, k * strip * sizeof(*out));
        if (x.row == 1)
            for (size_t p = 0; p < k; p++)
                memcpy(out + p * strip, x.at + r0 + p * x.col, real * sizeof(*out));
        else
            for (size_t r = 0; r < real; r++)
                for (size_t p = 0; p < k; p++)
                    out[p * strip + r] = x.at[(r0 + r) * x.row + p * x.col];
    }
}

/* tile = sum over k of a column of the strip of A times a row of the strip of B. */
MBI_CLONES_FMA static void tile_product(float tile[MR * NR], const float *MBI_RESTRICT a,
                                        const float *MBI_RESTRICT b, size_t k)
{
    float acc[MR][NR] = {{0}};

    for (size_t p = 0; p < k; p++)
        for (size_t r = 0; r < MR; r++)
            for (size_t j = 0; j < NR; j++)
                acc[r][j] += a[p * MR + r] * b[p * NR + j];
    memcpy(tile, acc, sizeof(acc));
}

MBI_CLONES_FMA static void tile_add(float *MBI_RESTRICT c, size_t ldc,
                                    const float *MBI_RESTRICT tile, size_t m, size_t n, float alpha)
{
    if (n == NR)
        for (size_t r = 0; r < m; r++)
            for (size_t j = 0; j < NR; j++)
                c[r * ldc + j] += alpha * tile[r * NR + j];
    else
        for (size_t r = 0; r < m; r++)
            for (size_t j = 0; j < n; j++)
                c[r * ldc + j] += alpha * tile[r * NR + j];
}

static void block_product(float *c, size_t ldc, const float *a, const float *b, size_t m, size_t n,
                          size_t k, float alpha)
{
    float tile[MR * NR];

    for (size_t j = 0; j < n; j += NR)
        for (size_t i = 0; i < m; i += MR) {
            tile_product(tile, a + i * k, b + j * k, k);
            tile_add(c + i * ldc + j, ldc, tile, mbi_min_size(MR, m - i), mbi_min_size(NR, n - j),
                     alpha);
        }
}

static void scale(float *c, size_t ldc, size_t m, size_t n, float beta)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

static void by_loops(bool trans_a, bool trans_b, size_t m, size_t n, size_t k, float alpha,
                     const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                     size_t ldc)
{
    const struct operand x = operand(a, lda, trans_a), y = operand(b, ldb, !trans_b);
    float pack_a[BLOCK_M * BLOCK_K], pack_b[BLOCK_N * BLOCK_K];

    if (beta != 1)
        scale(c, ldc, m, n, beta);
    for (size_t j = 0; j < n; j += BLOCK_N)
        for (size_t p = 0; p < k; p += BLOCK_K) {
            const size_t nb = mbi_min_size(BLOCK_N, n - j), kb = mbi_min_size(BLOCK_K, k - p);

            pack(pack_b, part(y, j, p), nb, kb, NR);
            for (size_t i = 0; i < m; i += BLOCK_M) {
                const size_t mb = mbi_min_size(BLOCK_M, m - i);

                pack(pack_a, part(x, i, p), mb, kb, MR);
                block_product(c + i * ldc + j, ldc, pack_a, pack_b, mb, nb, kb, alpha);
            }
        }
}

#if MBI_HAVE_BLAS

#define LIBRARY "libopenblas.so.0"

typedef void sgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE trans_a,
                   enum CBLAS_TRANSPOSE trans_b, blasint m, blasint n, blasint k, float alpha,
                   const float *a, blasint lda, const float *b, blasint ldb, float beta, float *c,
                   blasint ldc);

/* A function as dlsym() gives it, which is an object there and no function in C. */
typedef void function(void);
static function *find(void *library, const char *name)
{
    void *at = dlsym(library, name);
    function *f = NULL;

    memcpy(&f, &at, sizeof(f));
    return f;
}

struct mbi_linalg mbi_linalg_open(void)
{
    struct mbi_linalg l = {NULL};
    /* It stays loaded: threads of its own are in it. */
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    function *set_threads;

    if (!library)
        return l;
    set_threads = find(library, "openblas_set_num_threads");
    if (set_threads) {
        l.blas = find(library, "cblas_sgemm");
        ((void (*)(int))set_threads)(1);
    }
    dlclose(library);
    return l;
}

static void by_blas(const struct mbi_linalg *l, bool trans_a, bool trans_b, size_t m, size_t n,
                    size_t k, float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                    float beta, float *c, size_t ldc)
{
    if (m && n)
        ((sgemm *)l->blas)(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
                           trans_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k,
                           alpha, a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

#else

struct mbi_linalg mbi_linalg_open(void) { return (struct mbi_linalg){NULL}; }

#endif

void mbi_sgemm(const struct mbi_linalg *l, bool trans_a, bool trans_b, size_t m, size_t n, size_t k,
               float alpha, const float *a, size_t lda, const float *b, size_t ldb, float beta,
               float *c, size_t ldc)
{
#if MBI_HAVE_BLAS
    if (l && l->blas) {
        by_blas(l, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        return;
    }
#endif
    (void)l;
    by_loops(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
