/* SPDX-License-Identifier: Apache-2.0 */
/* How scan is proved, in a file of its own. */
#ifndef MBI_OP_SCAN_GADGET_H
#define MBI_OP_SCAN_GADGET_H

#include "proof/gadget.h"

extern const struct mbi_op_gadget mbi_scan_proof;

#endif
