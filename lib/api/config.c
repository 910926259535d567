/* SPDX-License-Identifier: Apache-2.0 */
/* Options to a configuration. */
#include "api/config.h"
#include "api/options.h"

/* The architecture that is named, else that of the preset, else the first. */
static const struct mbi_arch *choose(const char *name, const char *preset)
{
    const struct mbi_arch *arch = name ? mbi_arch_find(name) : NULL;

    if (!name && preset)
        arch = mbi_arch_of_preset(preset);
    return arch || name ? arch : mbi_arch_at(0);
}

int32_t mbi_config_options(struct mbi_config *c, const mambaint_options *options,
                           mambaint_error *err)
{
    const char *name = mbi_option(options, "architecture");
    const char *preset = mbi_option(options, "preset");
    const struct mbi_arch *arch = choose(name, preset);
    int32_t rc = MAMBAINT_OK;
    bool known;

    if (!arch)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "option architecture: '%.40s' is not known; '%s' is", name,
                        mbi_arch_at(0)->name);
    mbi_config_init(c, arch);
    if (preset)
        rc = mbi_config_preset(c, preset, err);
    for (size_t i = 0; rc >= 0 && i < arch->n_fields; i++) {
        const char *flag = arch->field[i].flag;
        const char *value = flag ? mbi_option(options, flag) : NULL;

        if (value)
            rc = mbi_config_set(c, flag, value, &known, err);
    }
    return rc < 0 ? rc : arch->resolve(c, true, err);
}
