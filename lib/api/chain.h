/* SPDX-License-Identifier: Apache-2.0 */
/* Models that take features, one after the other: what evaluating and proving them share. */
#ifndef MBI_API_CHAIN_H
#define MBI_API_CHAIN_H

#include "api/model.h"

/* Does each take features, and hand on what the next one takes? E_INVALID for a NULL. */
int32_t mbi_chain_check(mambaint_model *const *model, size_t n, mambaint_error *err);

/* The option `features` as the integers of a model. */
int32_t mbi_chain_features(int8_t *x, const mambaint_model *m, const mambaint_options *options,
                           mambaint_error *err);

/* A model made ready to run from the zero state, at most `lanes` steps at once; `keep`: every value
 * can be looked at. Close it after a failure, too. */
struct mbi_stage {
    const struct mbi_backend *backend;
    struct mbi_program *program;
    struct mbi_image *image;
    struct mbi_memory *memory;
};

int32_t mbi_stage_open(struct mbi_stage *s, const mambaint_model *m,
                       const struct mbi_backend *backend, size_t lanes, bool keep,
                       mambaint_error *err);
/* The next n steps, from position `pos` on, with the outputs of each. */
int32_t mbi_stage_run(struct mbi_stage *s, const void *in, uint64_t pos, size_t n,
                      mambaint_error *err);
void mbi_stage_close(struct mbi_stage *s);

#endif
