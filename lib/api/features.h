/* SPDX-License-Identifier: Apache-2.0 */
/* Decimals of people to the integers of a model's features. */
#ifndef MBI_API_FEATURES_H
#define MBI_API_FEATURES_H

#include "base/error.h"

/*
 * Exactly n decimals with commas between, blanks around them allowed: an optional sign, digits, an
 * optional fraction. Each becomes its value times 32, rounded to the nearest, halves up, and must
 * then be in [-128, 127]: E_RANGE otherwise. Anything else is E_INVALID. Digits are not limited.
 */
int32_t mbi_features_read(int8_t *out, size_t n, const char *text, mambaint_error *err);

#endif
