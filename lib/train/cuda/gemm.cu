/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products of the training module. */
#include "train/cuda/gemm.h"
#include "train/cuda/fail.h"

#ifdef MBI_EMULATE

struct mbi_gemm {
    const struct mbi_host *host;
    cudaStream_t stream;
};

int32_t mbi_gemm_create(struct mbi_gemm **out, const struct mbi_host *host, cudaStream_t stream,
                        mambaint_error *err)
{
    *out = (struct mbi_gemm *)host->alloc(host->alloc_user, NULL, sizeof(**out));
    if (!*out)
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "train-cuda: no memory");
    **out = {host, stream};
    return MAMBAINT_OK;
}

void mbi_gemm_free(struct mbi_gemm *g)
{
    if (g)
        g->host->alloc(g->host->alloc_user, g, 0);
}

static void put_sum(const struct mbi_gemm_call *x, size_t i, float sum)
{
    float *const c = (float *)x->c;
    mbi_operand *const narrow = (mbi_operand *)x->c;
    const float old = *x->beta <= 0 ? 0 : x->narrow ? mbi_from_operand(narrow[i]) : c[i];

    if (x->narrow)
        narrow[i] = mbi_to_operand(*x->alpha * sum + old);
    else
        c[i] = *x->alpha * sum + old;
}

int32_t mbi_gemm_run(struct mbi_gemm *g, const struct mbi_gemm_call *call, mambaint_error *err)
{
    const struct mbi_gemm_call x = *call;

    return mbi_train_check(
        mbi_emu_do(g->stream,
                   [x] {
                       for (size_t i = 0; i < x.m; i++)
                           for (size_t j = 0; j < x.n; j++) {
                               float sum = 0;

                               for (size_t p = 0; p < x.k; p++)
                                   sum +=
                                       mbi_from_operand(x.a[x.trans ? p * x.m + i : i * x.k + p]) *
                                       mbi_from_operand(x.b[p * x.n + j]);
                               put_sum(&x, i * x.n + j, sum);
                           }
                   }),
        "a matrix product", err);
}

#else
#include <cublas_v2.h>

#define WORKSPACE ((size_t)64 << 20)

struct mbi_gemm {
    const struct mbi_host *host;
    cublasHandle_t handle;
    void *workspace;
};

/* Parts of a sum are added in the type of the sum, not in that of C. */
#define MATH                                                                                       \
    ((cublasMath_t)(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION))

static int32_t cublas_fail(cublasStatus_t s, mambaint_error *err)
{
    return mbi_module_fail(err, MAMBAINT_E_INTERNAL, "train-cuda: a matrix product: %s",
                           cublasGetStatusString(s));
}

int32_t mbi_gemm_create(struct mbi_gemm **out, const struct mbi_host *host, cudaStream_t stream,
                        mambaint_error *err)
{
    struct mbi_gemm *g = (struct mbi_gemm *)host->alloc(host->alloc_user, NULL, sizeof(*g));
    cublasStatus_t s;
    int32_t rc;

    *out = g;
    if (!g)
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "train-cuda: no memory");
    *g = {host, NULL, NULL};
    if ((rc = mbi_train_check(cudaMalloc(&g->workspace, WORKSPACE), "a workspace", err)) < 0)
        return rc;
    if ((s = cublasCreate(&g->handle)) != CUBLAS_STATUS_SUCCESS ||
        (s = cublasSetStream(g->handle, stream)) != CUBLAS_STATUS_SUCCESS ||
        (s = cublasSetWorkspace(g->handle, g->workspace, WORKSPACE)) != CUBLAS_STATUS_SUCCESS ||
        (s = cublasSetAtomicsMode(g->handle, CUBLAS_ATOMICS_NOT_ALLOWED)) !=
            CUBLAS_STATUS_SUCCESS ||
        (s = cublasSetMathMode(g->handle, MATH)) != CUBLAS_STATUS_SUCCESS ||
        (s = cublasSetPointerMode(g->handle, CUBLAS_POINTER_MODE_DEVICE)) != CUBLAS_STATUS_SUCCESS)
        return cublas_fail(s, err);
    return MAMBAINT_OK;
}

void mbi_gemm_free(struct mbi_gemm *g)
{
    if (!g)
        return;
    if (g->handle)
        cublasDestroy(g->handle);
    cudaFree(g->workspace);
    g->host->alloc(g->host->alloc_user, g, 0);
}

/* cuBLAS counts by columns: C^T[n x m] = B^T[n x k] op(A)^T[k x m]. */
int32_t mbi_gemm_run(struct mbi_gemm *g, const struct mbi_gemm_call *x, mambaint_error *err)
{
    const cudaDataType_t type = sizeof(mbi_operand) == sizeof(float) ? CUDA_R_32F : CUDA_R_16BF;
    const cublasStatus_t s =
        cublasGemmEx(g->handle, CUBLAS_OP_N, x->trans ? CUBLAS_OP_T : CUBLAS_OP_N, (int)x->n,
                     (int)x->m, (int)x->k, x->alpha, x->b, type, (int)x->n, x->a, type,
                     (int)(x->trans ? x->m : x->k), x->beta, x->c, x->narrow ? type : CUDA_R_32F,
                     (int)x->n, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);

    return s == CUBLAS_STATUS_SUCCESS ? MAMBAINT_OK : cublas_fail(s, err);
}

#endif
