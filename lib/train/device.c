/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the module that trains beside a backend. */
#include "train/device.h"
#include "graph/op.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define PATH_SIZE 4096

/* The folder of the file that this backend's code was loaded from, with its last slash. */
static bool folder_of(char folder[PATH_SIZE], const struct mbi_backend *backend)
{
    Dl_info info;
    const char *slash;
    size_t n;

    if (!dladdr(backend, &info) || !info.dli_fname)
        return false;
    slash = strrchr(info.dli_fname, '/');
    n = slash ? (size_t)(slash - info.dli_fname) + 1 : 0;
    if (n >= PATH_SIZE)
        return false;
    memcpy(folder, info.dli_fname, n);
    folder[n] = 0;
    return true;
}

static int32_t check(const struct mbi_train_device **out, const struct mbi_train_device *device,
                     const char *path, mambaint_error *err)
{
    if (!device || device->abi != MBI_TRAIN_ABI || device->struct_size != sizeof(*device) ||
        strcmp(device->op_list, mbi_op_list_text))
        return mbi_fail(err, MAMBAINT_E_VERSION,
                        "'%.120s' was built for another version of the library", path);
    *out = device;
    return MAMBAINT_OK;
}

/* The module stays loaded: what it gave may be in use until the process ends. */
static int32_t load(const struct mbi_train_device **out, const char *path, mambaint_error *err)
{
    void *file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const char *why = file ? NULL : dlerror();

    if (!file)
        return mbi_fail(err, MAMBAINT_E_NO_BACKEND, "no module to train with: %.200s",
                        why ? why : path);
    return check(out, dlsym(file, MBI_TRAIN_SYMBOL), path, err);
}

int32_t mbi_train_device_find(const struct mbi_train_device **out,
                              const struct mbi_backend *backend, mambaint_error *err)
{
    char folder[PATH_SIZE], path[PATH_SIZE + 64];
    int32_t rc;

    *out = NULL;
    if (backend->view)
        return MAMBAINT_OK;
    if (!backend->device_view)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "backend '%s' keeps its values elsewhere; train with another one",
                        backend->name);
    if (!folder_of(folder, backend))
        return mbi_fail(err, MAMBAINT_E_NO_BACKEND,
                        "where backend '%s' was loaded from cannot be found out", backend->name);
    snprintf(path, sizeof(path), "%strain-%.32s.so", folder, backend->name);
    if ((rc = load(out, path, err)) < 0)
        return rc;
    if (strcmp((*out)->name, backend->name)) {
        *out = NULL;
        return mbi_fail(err, MAMBAINT_E_NO_BACKEND, "'%.120s' trains beside another backend", path);
    }
    return MAMBAINT_OK;
}
