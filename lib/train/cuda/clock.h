/* SPDX-License-Identifier: Apache-2.0 */
/* Where the time of a stream goes: an event behind each kind of work. */
#ifndef MBI_TRAIN_CUDA_CLOCK_H
#define MBI_TRAIN_CUDA_CLOCK_H

#include "cuda/device.h"

struct mbi_clock;

/* NULL for want of memory. */
void mbi_clock_create(struct mbi_clock **out, const struct mbi_host *host);
void mbi_clock_free(struct mbi_clock *c); /* NULL is fine */

/* What the stream does between the mark before and this one has this name, a static text; NULL: it
 * is not counted. */
void mbi_clock_mark(struct mbi_clock *c, const char *name, cudaStream_t stream);

/* Once the stream has come to rest: the sums since creation. */
const struct mbi_profile *mbi_clock_read(struct mbi_clock *c);

#endif
