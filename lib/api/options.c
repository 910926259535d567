/* SPDX-License-Identifier: Apache-2.0 */
/* Options: keys and values as text, kept in the order in which they were set. */
#include "api/options.h"
#include "api/option_list.h"
#include "arch/arch.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

/* Options exist without a context, so their memory is malloc's. */
struct option {
    const char *key; /* as the list spells it; static */
    char *value;
};

struct mambaint_options {
    struct option *option;
    size_t n, cap;
};

/* ---- the keys ---- */

struct known {
    const char *key;
    bool many;
};

#define ONE(name) {name, false},
#define MANY(name) {name, true},
static const struct known keys[] = {MBI_OPTION_LIST(ONE, MANY)};
#undef ONE
#undef MANY

/* Key number i of all: the list, then the flags of each architecture. False past the end. */
static bool known_at(struct known *out, size_t i)
{
    const struct mbi_arch *arch;

    if (i < MBI_COUNT(keys)) {
        *out = keys[i];
        return true;
    }
    i -= MBI_COUNT(keys);
    for (size_t a = 0; (arch = mbi_arch_at(a)); a++) {
        if (i < arch->n_fields) {
            *out = (struct known){arch->field[i].flag, false};
            return true;
        }
        i -= arch->n_fields;
    }
    return false;
}

static bool find_key(struct known *out, const char *key)
{
    for (size_t i = 0; known_at(out, i); i++)
        if (out->key && mbi_key_equal(out->key, key)) /* derived fields have no flag */
            return true;
    return false;
}

int32_t mbi_option_unknown(const char *key, mambaint_error *err)
{
    const char *nearest = "";
    size_t best = SIZE_MAX;
    struct known k;

    for (size_t i = 0; known_at(&k, i); i++) {
        const size_t distance = k.key ? mbi_edit_distance(key, k.key) : SIZE_MAX;

        if (distance < best) {
            best = distance;
            nearest = k.key;
        }
    }
    return mbi_fail(err, MAMBAINT_E_INVALID, "option '%.64s' is not known; the nearest is '%s'",
                    key, nearest);
}

/* ---- the object ---- */

int32_t mambaint_options_create(mambaint_options **out)
{
    if (!out)
        return MAMBAINT_E_INVALID;
    *out = calloc(1, sizeof(**out));
    return *out ? MAMBAINT_OK : MAMBAINT_E_NO_MEMORY;
}

void mambaint_options_free(mambaint_options *options)
{
    if (!options)
        return;
    for (size_t i = 0; i < options->n; i++)
        free(options->option[i].value);
    free(options->option);
    free(options);
}

static struct option *find(const mambaint_options *o, const char *key)
{
    for (size_t i = 0; i < o->n; i++)
        if (mbi_key_equal(o->option[i].key, key))
            return &o->option[i];
    return NULL;
}

/* Room for one more; false if refused. */
static bool grow(mambaint_options *o)
{
    const size_t cap = o->cap ? 2 * o->cap : 16;
    struct option *p;

    if (o->n < o->cap)
        return true;
    if (!(p = realloc(o->option, cap * sizeof(*p))))
        return false;
    o->option = p;
    o->cap = cap;
    return true;
}

int32_t mambaint_options_set(mambaint_options *options, const char *key, const char *value,
                             mambaint_error *err)
{
    struct option *old;
    struct known k;
    char *copy;

    if (!options || !key || !value)
        return mbi_fail(err, MAMBAINT_E_INVALID, "options, key and value must not be NULL");
    if (!find_key(&k, key))
        return mbi_option_unknown(key, err);
    if (!(copy = strdup(value)) || !grow(options)) {
        free(copy);
        return mbi_fail_memory(err, "an option");
    }
    old = k.many ? NULL : find(options, key);
    if (old) {
        free(old->value);
        old->value = copy;
    } else {
        options->option[options->n++] = (struct option){k.key, copy};
    }
    return MAMBAINT_OK;
}

/* ---- reading ---- */

const char *mbi_option(const mambaint_options *o, const char *key)
{
    const char *value = NULL;

    for (size_t i = 0; o && i < o->n; i++)
        if (mbi_key_equal(o->option[i].key, key))
            value = o->option[i].value;
    return value;
}

const char *mbi_option_at(const mambaint_options *o, const char *key, size_t i)
{
    for (size_t k = 0; o && k < o->n; k++)
        if (mbi_key_equal(o->option[k].key, key) && !i--)
            return o->option[k].value;
    return NULL;
}

int32_t mbi_option_u64(uint64_t *out, const mambaint_options *o, const char *key, uint64_t lo,
                       uint64_t hi, mambaint_error *err)
{
    const char *text = mbi_option(o, key);
    uint64_t v;

    if (!text)
        return MAMBAINT_OK;
    if (!mbi_parse_u64(&v, text))
        return mbi_fail(err, MAMBAINT_E_INVALID, "option %s: '%.40s' is not a whole number", key,
                        text);
    if (v < lo || v > hi)
        return mbi_fail(err, MAMBAINT_E_RANGE, "option %s: %s is not from %llu to %llu", key, text,
                        (unsigned long long)lo, (unsigned long long)hi);
    *out = v;
    return MAMBAINT_OK;
}

int32_t mbi_option_u32(uint32_t *out, const mambaint_options *o, const char *key, uint32_t lo,
                       uint32_t hi, mambaint_error *err)
{
    uint64_t v = *out;
    const int32_t rc = mbi_option_u64(&v, o, key, lo, hi, err);

    *out = (uint32_t)v;
    return rc;
}

int32_t mbi_option_fixed(int64_t *out, const mambaint_options *o, const char *key, int frac,
                         int32_t lo, int32_t hi, mambaint_error *err)
{
    const char *text = mbi_option(o, key);
    const int64_t one = (int64_t)1 << frac;
    int64_t v;

    if (!text)
        return MAMBAINT_OK;
    if (!mbi_parse_fixed(&v, text, frac))
        return mbi_fail(err, MAMBAINT_E_INVALID, "option %s: '%.40s' is not a decimal", key, text);
    if (v < lo * one || v > hi * one)
        return mbi_fail(err, MAMBAINT_E_RANGE, "option %s: %.40s is not from %d to %d", key, text,
                        lo, hi);
    *out = v;
    return MAMBAINT_OK;
}

int32_t mbi_option_bool(bool *out, const mambaint_options *o, const char *key, mambaint_error *err)
{
    const char *text = mbi_option(o, key);

    if (!text)
        return MAMBAINT_OK;
    if (strcmp(text, "on") && strcmp(text, "off"))
        return mbi_fail(err, MAMBAINT_E_INVALID, "option %s: '%.40s' is neither on nor off", key,
                        text);
    *out = !strcmp(text, "on");
    return MAMBAINT_OK;
}
