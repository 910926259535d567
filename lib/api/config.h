/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of a model from options: architecture, preset, single fields. */
#ifndef MBI_API_CONFIG_H
#define MBI_API_CONFIG_H

#include "arch/arch.h"
#include <mambaint/options.h>

/* Fallbacks, then the preset, then each field that is set; resolved. A preset brings its
 * architecture where none is named. */
int32_t mbi_config_options(struct mbi_config *c, const mambaint_options *options,
                           mambaint_error *err);

#endif
