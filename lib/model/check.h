/* SPDX-License-Identifier: Apache-2.0 */
/* Is every stored weight inside the interval that its graph declares? */
#ifndef MBI_MODEL_CHECK_H
#define MBI_MODEL_CHECK_H

#include "graph/graph.h"

/* `data` is in host byte order. Runs on the host's threads. */
bool mbi_param_valid(const struct mbi_host *host, const struct mbi_param *param, const void *data);

/* Number of zeros among the elements of a ternary parameter. */
uint64_t mbi_ternary_zeros(const struct mbi_param *param, const void *data);

#endif
