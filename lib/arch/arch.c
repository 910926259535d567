/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations: from flags, presets and containers, for every architecture alike. */
#include "arch/arch.h"
#include "arch/arch_list.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>

#define MAX_KEY 96

#define ARCH_DECLARE(name) extern const struct mbi_arch mbi_arch_##name;
MBI_ARCH_LIST(ARCH_DECLARE)
#undef ARCH_DECLARE

static const struct mbi_arch *const architectures[] = {
#define ARCH_ROW(name) &mbi_arch_##name,
    MBI_ARCH_LIST(ARCH_ROW)
#undef ARCH_ROW
};

const struct mbi_arch *mbi_arch_at(size_t index)
{
    return index < MBI_COUNT(architectures) ? architectures[index] : NULL;
}

const struct mbi_arch *mbi_arch_find(const char *name)
{
    for (size_t i = 0; i < MBI_COUNT(architectures); i++)
        if (!strcmp(architectures[i]->name, name))
            return architectures[i];
    return NULL;
}

const struct mbi_arch *mbi_arch_of_preset(const char *preset)
{
    for (size_t i = 0; i < MBI_COUNT(architectures); i++)
        for (size_t p = 0; p < architectures[i]->n_presets; p++)
            if (!strcmp(architectures[i]->preset[p].name, preset))
                return architectures[i];
    return NULL;
}

void mbi_config_init(struct mbi_config *c, const struct mbi_arch *arch)
{
    *c = (struct mbi_config){.arch = arch};
    for (size_t i = 0; i < arch->n_fields; i++)
        c->v[i] = arch->field[i].fallback;
}

static uint32_t word_value(const struct mbi_config_field *f, const char *text)
{
    for (uint32_t i = 0; f->word[i]; i++)
        if (!strcmp(f->word[i], text))
            return i + 1;
    return 0;
}

static int32_t set_field(uint32_t *out, const struct mbi_config_field *f, const char *name,
                         const char *value, mambaint_error *err)
{
    uint64_t n;

    switch (f->kind) {
    case MBI_CONFIG_NUMBER:
        if (!mbi_parse_u64(&n, value) || n < f->lo || n > f->hi)
            return mbi_fail(err, MAMBAINT_E_RANGE,
                            "option %s: '%.40s' is not a number from %u to %u", name, value, f->lo,
                            f->hi);
        *out = (uint32_t)n;
        return MAMBAINT_OK;
    case MBI_CONFIG_BOOL:
        if (strcmp(value, "on") && strcmp(value, "off"))
            return mbi_fail(err, MAMBAINT_E_INVALID, "option %s: '%.40s' is neither on nor off",
                            name, value);
        *out = !strcmp(value, "on");
        return MAMBAINT_OK;
    default:
        if (!(*out = word_value(f, value)))
            return mbi_fail(err, MAMBAINT_E_INVALID, "option %s: '%.40s' is not one of %s, %s, ...",
                            name, value, f->word[0], f->word[1]);
        return MAMBAINT_OK;
    }
}

int32_t mbi_config_set(struct mbi_config *c, const char *key, const char *value, bool *known,
                       mambaint_error *err)
{
    *known = false;
    for (size_t i = 0; i < c->arch->n_fields; i++) {
        const struct mbi_config_field *f = &c->arch->field[i];

        if (!f->flag || !mbi_key_equal(f->flag, key))
            continue;
        *known = true;
        return set_field(&c->v[i], f, f->flag, value, err);
    }
    return MAMBAINT_OK;
}

int32_t mbi_config_preset(struct mbi_config *c, const char *name, mambaint_error *err)
{
    for (size_t p = 0; p < c->arch->n_presets; p++) {
        if (strcmp(c->arch->preset[p].name, name))
            continue;
        for (size_t i = 0; i < c->arch->n_fields; i++)
            if (c->arch->preset[p].v[i])
                c->v[i] = c->arch->preset[p].v[i];
        return MAMBAINT_OK;
    }
    return mbi_fail(err, MAMBAINT_E_INVALID, "preset '%.40s' is not known; '%s' is one", name,
                    c->arch->preset[0].name);
}

static int32_t read_field(uint32_t *out, const struct mbi_config_field *f, const char *key,
                          struct mbi_container *file, mambaint_error *err)
{
    char text[32];
    bool flag = false;
    int32_t rc;

    switch (f->kind) {
    case MBI_CONFIG_NUMBER:
        return mbi_container_u32(out, file, key, f->lo, f->hi, err);
    case MBI_CONFIG_BOOL:
        rc = mbi_container_bool(&flag, file, key, err);
        *out = flag;
        return rc;
    default:
        if ((rc = mbi_container_word(text, sizeof(text), file, key, err)) < 0)
            return rc;
        if (!(*out = word_value(f, text)))
            return mbi_fail(err, MAMBAINT_E_FORMAT, "model: %s = '%s' is not known", key, text);
        return MAMBAINT_OK;
    }
}

int32_t mbi_config_read(struct mbi_config *c, const struct mbi_arch *arch,
                        struct mbi_container *file, mambaint_error *err)
{
    char key[MAX_KEY];
    int32_t rc;

    mbi_config_init(c, arch);
    for (size_t i = 0; i < arch->n_fields; i++) {
        if (!arch->field[i].key)
            continue;
        snprintf(key, sizeof(key), "%s%s", arch->prefix, arch->field[i].key);
        if ((rc = read_field(&c->v[i], &arch->field[i], key, file, err)) < 0)
            return rc;
    }
    if ((rc = mbi_container_refuse_unread(file, arch->prefix, err)) < 0)
        return rc;
    return arch->resolve(c, false, err);
}

void mbi_config_write(struct mbi_container_writer *w, const struct mbi_config *c)
{
    char key[MAX_KEY];

    for (size_t i = 0; i < c->arch->n_fields; i++) {
        const struct mbi_config_field *f = &c->arch->field[i];

        if (!f->key)
            continue;
        snprintf(key, sizeof(key), "%s%s", c->arch->prefix, f->key);
        if (f->kind == MBI_CONFIG_NUMBER)
            mbi_container_add_u32(w, key, c->v[i]);
        else if (f->kind == MBI_CONFIG_BOOL)
            mbi_container_add_bool(w, key, c->v[i] != 0);
        else
            mbi_container_add_text(w, key, f->word[c->v[i] - 1], strlen(f->word[c->v[i] - 1]));
    }
}

int32_t mbi_arch_graph(struct mbi_graph **out, const struct mbi_host *host,
                       const struct mbi_config *c, mambaint_error *err)
{
    struct mbi_build b;
    int32_t rc = mbi_graph_create(out, host, err);

    if (rc < 0)
        return rc;
    mbi_build_begin(&b, *out, err);
    if ((rc = c->arch->build(&b, c)) < 0) {
        mbi_graph_free(*out);
        *out = NULL;
    }
    return rc;
}
