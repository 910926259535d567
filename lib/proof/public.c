/* SPDX-License-Identifier: Apache-2.0 */
/* Exponents and scales as bytes, their digest, and back. */
#include "proof/public.h"
#include "graph/element.h"
#include "proof/layout.h"

static size_t elements(const struct mbi_type *t) { return (size_t)t->rows * t->cols; }

/* The first such parameter from index i on; n_params: there is none. They are not ternary. */
static uint32_t next_public(const struct mbi_graph *g, uint32_t i)
{
    while (i < g->n_params && mbi_weight_is_committed(&g->param[i]))
        i++;
    return i;
}

uint64_t mbi_public_size(const struct mbi_graph *g)
{
    uint64_t n = 0;

    for (uint32_t i = next_public(g, 0); i < g->n_params; i = next_public(g, i + 1))
        n += (uint64_t)elements(&g->param[i].type) * mbi_dtype_size(g->param[i].type.dtype);
    return n;
}

void mbi_public_put(struct mbi_buf *out, const struct mbi_graph *g, const void *const *param)
{
    for (uint32_t i = next_public(g, 0); i < g->n_params; i = next_public(g, i + 1)) {
        const struct mbi_type *t = &g->param[i].type;
        const size_t width = mbi_dtype_size(t->dtype), n = elements(t);

        if (!mbi_buf_reserve(out, n * width))
            return;
        mbi_copy_le(out->data + out->size, param[i], n, width);
        out->size += n * width;
    }
}

void mbi_public_digest(uint8_t out[MBI_DIGEST_SIZE], const void *bytes, size_t n)
{
    static const char domain[] = "mambaint-public";
    struct mbi_blake2b h;

    mbi_blake2b_init(&h);
    mbi_blake2b_add(&h, domain, sizeof(domain) - 1);
    mbi_blake2b_add(&h, bytes, n);
    mbi_blake2b_end(&h, out);
}

static int32_t check_interval(const struct mbi_param *p, const void *value, mambaint_error *err)
{
    const struct mbi_type *t = &p->type;

    for (size_t i = 0; i < elements(t); i++) {
        const int64_t v = mbi_get(value, t->dtype, i);

        if (v < t->lo || v > t->hi)
            return mbi_fail(err, MAMBAINT_E_RANGE,
                            "parameter %s: element %zu is %lld, outside its interval [%lld, %lld]",
                            p->name, i, (long long)v, (long long)t->lo, (long long)t->hi);
    }
    return MAMBAINT_OK;
}

int32_t mbi_public_read(const void ***out, const struct mbi_graph *g, const uint8_t *bytes,
                        mambaint_error *err)
{
    const void **param = mbi_alloc(g->host, (size_t)g->n_params + 1, sizeof(*param));
    int32_t rc = param ? MAMBAINT_OK : mbi_fail_memory(err, "parameters");

    for (uint32_t i = next_public(g, 0); i < g->n_params && rc >= 0; i = next_public(g, i + 1)) {
        const struct mbi_type *t = &g->param[i].type;
        const size_t width = mbi_dtype_size(t->dtype), n = elements(t);
        void *value = mbi_alloc(g->host, n, width);

        param[i] = value;
        if (!value) {
            rc = mbi_fail_memory(err, "parameters");
            break;
        }
        mbi_copy_le(value, bytes, n, width);
        bytes += n * width;
        rc = check_interval(&g->param[i], value, err);
    }
    if (rc < 0) {
        mbi_public_free(param, g);
        param = NULL;
    }
    *out = param;
    return rc;
}

void mbi_public_free(const void **param, const struct mbi_graph *g)
{
    for (uint32_t i = 0; param && i < g->n_params; i++)
        mbi_free(g->host, (void *)(uintptr_t)param[i]);
    mbi_free(g->host, param);
}
