/* SPDX-License-Identifier: Apache-2.0 */
/* The backends of this build. */
#include "cpu/cpu.h"
#include "exec/backend.h"
#include <string.h>

static const struct mbi_backend *const backends[] = {
    &mbi_backend_scalar,
#if MBI_HAVE_AVX2
    &mbi_backend_avx2,
#endif
#if MBI_HAVE_AVX512
    &mbi_backend_avx512,
#endif
#if MBI_HAVE_NEON
    &mbi_backend_neon,
#endif
};

const struct mbi_backend *mbi_backend_at(size_t index)
{
    return index < MBI_COUNT(backends) ? backends[index] : NULL;
}

static const struct mbi_backend *best(void)
{
    const struct mbi_backend *found = backends[0];

    for (size_t i = 1; i < MBI_COUNT(backends); i++)
        if (backends[i]->probe() > found->probe())
            found = backends[i];
    return found;
}

int32_t mbi_backend_find(const struct mbi_backend **out, const char *name, mambaint_error *err)
{
    *out = NULL;
    if (!name || !strcmp(name, "auto")) {
        *out = best();
        return MAMBAINT_OK;
    }
    for (size_t i = 0; i < MBI_COUNT(backends); i++) {
        if (strcmp(backends[i]->name, name))
            continue;
        if (!backends[i]->probe())
            return mbi_fail(err, MAMBAINT_E_NO_BACKEND,
                            "backend '%s' cannot run on this machine; use 'scalar' or 'auto'",
                            name);
        *out = backends[i];
        return MAMBAINT_OK;
    }
    return mbi_fail(err, MAMBAINT_E_NO_BACKEND,
                    "backend '%s' is not in this build; use 'scalar' or 'auto'", name);
}
