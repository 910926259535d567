/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a module, refusing one of another build, and where modules are installed. */
#include "exec/module.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* Paths come last in the sentences: they may be longer than an error has room for. */

static int32_t open_object(void **handle, const char *path, mambaint_error *err)
{
    if (!(*handle = dlopen(path, RTLD_NOW | RTLD_LOCAL))) {
        const char *why = dlerror();

        return mbi_fail(err, MAMBAINT_E_NO_BACKEND, "a backend cannot be loaded: %s",
                        why ? why : path);
    }
    return MAMBAINT_OK;
}

/* The fields that say what the rest means come first, and are looked at in their order. */
static int32_t check_backend(const struct mbi_backend *b, const char *path, mambaint_error *err)
{
    if (!b)
        return mbi_fail(err, MAMBAINT_E_NO_BACKEND, "a module without a backend: %s", path);
    if (b->abi != MBI_BACKEND_ABI)
        return mbi_fail(err, MAMBAINT_E_NO_BACKEND,
                        "a module with interface %u, where this library has %u; install the one "
                        "that was built with the library: %s",
                        (unsigned)b->abi, (unsigned)MBI_BACKEND_ABI, path);
    if (b->struct_size != sizeof(*b))
        return mbi_fail(err, MAMBAINT_E_NO_BACKEND,
                        "a module whose interface has %u bytes, where this library's has %zu; "
                        "install the one that was built with the library: %s",
                        (unsigned)b->struct_size, sizeof(*b), path);
    if (!b->op_list || strcmp(b->op_list, mbi_op_list_text))
        return mbi_fail(err, MAMBAINT_E_NO_BACKEND,
                        "a module with another list of operations; install the one that was built "
                        "with this library: %s",
                        path);
    if (!b->name || !b->probe)
        return mbi_fail(err, MAMBAINT_E_NO_BACKEND, "a module whose backend has no name: %s", path);
    return MAMBAINT_OK;
}

int32_t mbi_module_open(const struct mbi_backend **out, const char *path, mambaint_error *err)
{
    const struct mbi_backend *backend;
    mbi_backend_module_fn *module;
    void *handle, *symbol;
    int32_t rc;

    *out = NULL;
    if ((rc = open_object(&handle, path, err)) < 0)
        return rc;
    if (!(symbol = dlsym(handle, MBI_BACKEND_SYMBOL))) {
        dlclose(handle);
        return mbi_fail(err, MAMBAINT_E_NO_BACKEND, "a shared object that is no backend: %s", path);
    }
    memcpy(&module, &symbol, sizeof(module)); /* C has no cast from data to a function */
    backend = module();
    if ((rc = check_backend(backend, path, err)) < 0) {
        dlclose(handle);
        return rc;
    }
    *out = backend; /* the handle is never closed, so this never becomes invalid */
    return MAMBAINT_OK;
}

size_t mbi_module_places(char path[MBI_MODULE_PLACES][MBI_MODULE_PATH], const char *name)
{
    static const char here = 0; /* lies in the shared library, or in the program it is part of */
    size_t n = 0;
    Dl_info object;
    const char *end;
    int length;

    if (dladdr(&here, &object) && object.dli_fname && (end = strrchr(object.dli_fname, '/'))) {
        length = snprintf(path[n], MBI_MODULE_PATH, "%.*s/mambaint/backend-%s.so",
                          (int)(end - object.dli_fname), object.dli_fname, name);
        n += length > 0 && length < MBI_MODULE_PATH;
    }
    length = snprintf(path[n], MBI_MODULE_PATH, "%s/backend-%s.so", MBI_MODULE_DIR, name);
    n += length > 0 && length < MBI_MODULE_PATH;
    return n;
}
