/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring the machine. */
#include "api/context.h"
#include "api/options.h"
#include "base/text.h"
#include "exec/backend.h"
#include <mambaint/machine.h>

static int32_t find_measure(uint32_t *out, const char *what, mambaint_error *err)
{
    static const char *const name[MBI_MEASURE_END] = {
        [MBI_MEASURE_READ] = "read-bandwidth",
        [MBI_MEASURE_MATVEC] = "matvec",
        [MBI_MEASURE_MATMUL] = "matmul",
    };

    for (*out = 0; *out < MBI_MEASURE_END; ++*out)
        if (mbi_key_equal(name[*out], what))
            return MAMBAINT_OK;
    return mbi_fail(err, MAMBAINT_E_INVALID,
                    "measure: '%.40s' is none of read-bandwidth, matvec, matmul", what);
}

int32_t mambaint_machine_measure(int64_t *value, mambaint_context *ctx, const char *what,
                                 const mambaint_options *options, mambaint_error *err)
{
    const struct mbi_backend *backend;
    mambaint_context *own;
    uint64_t measured = 0;
    uint32_t which;
    int32_t rc;

    if (!value || !what)
        return mbi_fail(err, MAMBAINT_E_INVALID, "value and what must not be NULL");
    if ((rc = find_measure(&which, what, err)) < 0 ||
        (rc = mbi_backend_find(&backend, mbi_option(options, "backend"), err)) < 0)
        return rc;
    if (!backend->measure)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "backend '%s' cannot be measured",
                        backend->name);
    if ((rc = mbi_context_take(&own, ctx, options, err)) < 0)
        return rc;
    if ((rc = backend->measure(&measured, &own->host, which, err)) >= 0)
        *value = (int64_t)measured;
    mambaint_context_unref(own);
    return rc;
}
