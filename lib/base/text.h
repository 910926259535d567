/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers from text, exactly: settings mean the same from every language and locale. */
#ifndef MBI_BASE_TEXT_H
#define MBI_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whole decimal integer, optional leading '-'. False on anything else or on overflow. */
bool mbi_parse_i64(int64_t *out, const char *text);
bool mbi_parse_u64(uint64_t *out, const char *text);

/* A decimal such as "0.8", "-1.25" or "3" to fixed point: round half up of value * 2^frac. */
bool mbi_parse_fixed(int64_t *out, const char *text, int frac);
/* The same for a decimal with something behind it, which *end receives. */
bool mbi_parse_fixed_part(int64_t *out, const char **end, const char *text, int frac);

/* Equal, where '-' and '_' count as the same. */
bool mbi_key_equal(const char *a, const char *b);

/* Number of single-character edits between two short words; for "did you mean". */
size_t mbi_edit_distance(const char *a, const char *b);

#endif
