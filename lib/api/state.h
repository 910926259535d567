/* SPDX-License-Identifier: Apache-2.0 */
/* States: the saved form is the only form. */
#ifndef MBI_API_STATE_H
#define MBI_API_STATE_H

#include "api/model.h"

/* Bytes of every state of a model. */
size_t mbi_state_saved_size(const mambaint_model *m);

/* Structure and digest of saved bytes, without a model. */
int32_t mbi_state_check(const uint8_t *data, size_t size, mambaint_error *err);

/* Do these bytes begin as a state does? */
bool mbi_state_is(const uint8_t *data, size_t size);

#endif
