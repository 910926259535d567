/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operations, made from the list. */
#include "op/op_list.h"

/* clang-format off */
const struct mbi_op_row mbi_op_table[MBI_OP_END] = {
#define OP_ROW(num, name, n_in) [num] = {#name, n_in, &mbi_op_##name},
    MBI_OP_LIST(OP_ROW)
#undef OP_ROW
};
/* clang-format on */

const uint32_t mbi_op_count = MBI_OP_END;

const char mbi_op_list_text[] = MBI_OP_LIST_TEXT;
