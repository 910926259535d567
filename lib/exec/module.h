/* SPDX-License-Identifier: Apache-2.0 */
/* Modules: backends that lie in shared objects of their own, because few programs need them. */
#ifndef MBI_EXEC_MODULE_H
#define MBI_EXEC_MODULE_H

#include "exec/backend.h"

#define MBI_MODULE_PATH 1024
#define MBI_MODULE_PLACES 2

/* Loads a module and checks that it fits this build; it stays loaded from then on. */
int32_t mbi_module_open(const struct mbi_backend **out, const char *path, mambaint_error *err);

/* The paths at which the module of a backend may be installed, best first. Returns how many. */
size_t mbi_module_places(char path[MBI_MODULE_PLACES][MBI_MODULE_PATH], const char *name);

#endif
