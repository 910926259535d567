/* SPDX-License-Identifier: Apache-2.0 */
/* Reading options inside the library. */
#ifndef MBI_API_OPTIONS_H
#define MBI_API_OPTIONS_H

#include "base/error.h"
#include <mambaint/options.h>
#include <stdbool.h>

/* Value of a key, the last one set; NULL if it was not set or there are no options. */
const char *mbi_option(const mambaint_options *o, const char *key);

/* The i-th value of a key that may be repeated; NULL past the end. */
const char *mbi_option_at(const mambaint_options *o, const char *key, size_t i);

/*
 * Typed values. A key that is not set leaves *out alone. A value that cannot be read is E_INVALID,
 * one outside [lo, hi] E_RANGE, both with the key's name.
 */
int32_t mbi_option_u64(uint64_t *out, const mambaint_options *o, const char *key, uint64_t lo,
                       uint64_t hi, mambaint_error *err);
int32_t mbi_option_u32(uint32_t *out, const mambaint_options *o, const char *key, uint32_t lo,
                       uint32_t hi, mambaint_error *err);
/* A decimal as fixed point with `frac` bits; lo and hi are whole numbers. */
int32_t mbi_option_fixed(int64_t *out, const mambaint_options *o, const char *key, int frac,
                         int32_t lo, int32_t hi, mambaint_error *err);
int32_t mbi_option_bool(bool *out, const mambaint_options *o, const char *key, mambaint_error *err);

/* E_INVALID for a key that nobody knows, with the nearest one that somebody does. */
int32_t mbi_option_unknown(const char *key, mambaint_error *err);

#endif
