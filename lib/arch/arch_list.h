/* SPDX-License-Identifier: Apache-2.0 */
/* Every architecture, once. */
#ifndef MBI_ARCH_ARCH_LIST_H
#define MBI_ARCH_ARCH_LIST_H

/* clang-format off */
#define MBI_ARCH_LIST(ARCH) \
    ARCH(mamba_integer) \
    ARCH(simple)
/* clang-format on */

#endif
