/* SPDX-License-Identifier: Apache-2.0 */
/* The backends of this build, and the modules that this process has loaded. */
#include "cpu/cpu.h"
#include "exec/module.h"
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static const struct mbi_backend *const built_in[] = {
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

/* Backends that are looked for where modules are installed. */
static const char *const installed[] = {"cuda"};

/*
 * The one state that belongs to the process and to no context, because the dynamic linker's does:
 * a shared object is loaded once, whoever asks. Filled from the front, each entry once, without a
 * lock.
 */
#define MAX_MODULES (MBI_MAX_BACKENDS - MBI_COUNT(built_in))
static _Atomic(const struct mbi_backend *) loaded[MAX_MODULES];

const struct mbi_backend *mbi_backend_at(size_t index)
{
    if (index < MBI_COUNT(built_in))
        return built_in[index];
    index -= MBI_COUNT(built_in);
    return index < MAX_MODULES ? atomic_load_explicit(&loaded[index], memory_order_acquire) : NULL;
}

static const struct mbi_backend *best(void)
{
    const struct mbi_backend *found = built_in[0];

    for (size_t i = 1; i < MBI_COUNT(built_in); i++)
        if (built_in[i]->probe() > found->probe())
            found = built_in[i];
    return found;
}

static const struct mbi_backend *by_name(const char *name)
{
    const struct mbi_backend *b;

    for (size_t i = 0; (b = mbi_backend_at(i)); i++)
        if (!strcmp(b->name, name))
            return b;
    return NULL;
}

/* Two threads that load the same module come to the same entry. */
static int32_t keep(const struct mbi_backend *b, const char *path, mambaint_error *err)
{
    const struct mbi_backend *there = NULL;

    for (size_t i = 0; i < MBI_COUNT(built_in); i++)
        if (!strcmp(built_in[i]->name, b->name) || !strcmp(b->name, "auto"))
            return mbi_fail(err, MAMBAINT_E_NO_BACKEND,
                            "a module may not call its backend '%s': %s", b->name, path);
    for (size_t i = 0; i < MAX_MODULES; i++, there = NULL) {
        if (atomic_compare_exchange_strong(&loaded[i], &there, b) || there == b)
            return MAMBAINT_OK;
        if (!strcmp(there->name, b->name))
            return mbi_fail(err, MAMBAINT_E_NO_BACKEND,
                            "another module with a backend '%s' is loaded already: %s", b->name,
                            path);
    }
    return mbi_fail(err, MAMBAINT_E_NO_BACKEND, "no more than %zu modules can be loaded: %s",
                    (size_t)MAX_MODULES, path);
}

int32_t mbi_backend_load(const struct mbi_backend **out, const char *path, mambaint_error *err)
{
    const struct mbi_backend *b;
    int32_t rc;

    *out = NULL;
    if ((rc = mbi_module_open(&b, path, err)) < 0 || (rc = keep(b, path, err)) < 0)
        return rc;
    *out = b;
    return MAMBAINT_OK;
}

static int32_t load_installed(const struct mbi_backend **out, const char *name, mambaint_error *err)
{
    char path[MBI_MODULE_PLACES][MBI_MODULE_PATH];
    const size_t n = mbi_module_places(path, name);
    int32_t rc;

    for (size_t i = 0; i < n; i++) {
        if (access(path[i], F_OK))
            continue;
        if ((rc = mbi_backend_load(out, path[i], err)) >= 0 && strcmp((*out)->name, name))
            return mbi_fail(err, MAMBAINT_E_NO_BACKEND, "this is not backend '%s': %s", name,
                            path[i]);
        return rc;
    }
    return mbi_fail(err, MAMBAINT_E_NO_BACKEND,
                    "backend '%s' is not installed; build the library with -D%s=enabled, or use "
                    "'auto'. There is no %s%s%s",
                    name, name, n ? path[0] : "place for it", n > 1 ? " and no " : "",
                    n > 1 ? path[1] : "");
}

static int32_t find_named(const struct mbi_backend **out, const char *name, mambaint_error *err)
{
    if ((*out = by_name(name)))
        return MAMBAINT_OK;
    for (size_t i = 0; i < MBI_COUNT(installed); i++)
        if (!strcmp(installed[i], name))
            return load_installed(out, name, err);
    return mbi_fail(err, MAMBAINT_E_NO_BACKEND,
                    "backend '%s' is not in this build; use 'scalar' or 'auto'", name);
}

int32_t mbi_backend_find(const struct mbi_backend **out, const char *name, mambaint_error *err)
{
    const struct mbi_backend *b;
    const char *why;
    int32_t rc;

    *out = NULL;
    if (!name || !strcmp(name, "auto")) {
        *out = best();
        return MAMBAINT_OK;
    }
    if ((rc = find_named(&b, name, err)) < 0)
        return rc;
    if (!b->probe()) {
        why = b->why ? b->why() : NULL;
        return mbi_fail(err, MAMBAINT_E_NO_BACKEND,
                        "backend '%s' cannot run on this machine%s%s; use 'scalar' or 'auto'", name,
                        why ? ": " : "", why ? why : "");
    }
    *out = b;
    return MAMBAINT_OK;
}
