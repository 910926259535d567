/* SPDX-License-Identifier: Apache-2.0 */
/* Decimals of people to the integers of a model's features. */
#include "api/features.h"
#include "base/intmath.h"
#include "base/text.h"
#include <string.h>

#define FRAC 5
#define DIGITS "0123456789"
#define BLANKS " \t"
#define SHOWN 40 /* bytes of a wrong number that a sentence repeats */

/* Bytes of the number that begins here; 0 if there is none. */
static size_t number_length(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    const size_t whole = strspn(p, DIGITS);
    const size_t fraction = p[whole] == '.' ? strspn(p + whole + 1, DIGITS) : 0;

    if (p[whole] == '.' ? !fraction : !whole)
        return 0;
    return (size_t)(p - text) + whole + (fraction ? 1 + fraction : 0);
}

/* The bytes up to the next comma, for a sentence. */
static int shown(const char *text) { return (int)mbi_min_size(strcspn(text, ","), SHOWN); }

/* Number i, and *text behind it and the comma. */
static int32_t read_number(int8_t *out, size_t i, const char **text, mambaint_error *err)
{
    const char *begin = *text + strspn(*text, BLANKS), *after;
    const char *end = begin + number_length(begin);
    int64_t v;

    *text = end + strspn(end, BLANKS);
    if (end == begin || (**text && **text != ','))
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "option features: number %zu, '%.*s', is no decimal such as -1.25", i + 1,
                        shown(begin), begin);
    *text += **text == ',';
    if (!mbi_parse_fixed_part(&v, &after, begin + (*begin == '+'), FRAC) || v < INT8_MIN ||
        v > INT8_MAX)
        return mbi_fail(err, MAMBAINT_E_RANGE,
                        "option features: number %zu, %.*s, is not from -4 to 3.96875", i + 1,
                        shown(begin), begin);
    *out = (int8_t)v;
    return MAMBAINT_OK;
}

int32_t mbi_features_read(int8_t *out, size_t n, const char *text, mambaint_error *err)
{
    size_t given = 1;
    int32_t rc = MAMBAINT_OK;

    for (const char *p = text; *p; p++)
        given += *p == ',';
    if (given != n)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "option features: %zu numbers, but the model takes %zu", given, n);
    for (size_t i = 0; rc >= 0 && i < n; i++)
        rc = read_number(&out[i], i, &text, err);
    return rc;
}
