/* SPDX-License-Identifier: Apache-2.0 */
/* The whole public surface of libmambaint in one header. */
#ifndef MAMBAINT_H
#define MAMBAINT_H

#include <mambaint/common.h>
#include <mambaint/options.h>
#include <mambaint/context.h>
#include <mambaint/tokenizer.h>
#include <mambaint/model.h>
#include <mambaint/session.h>
#include <mambaint/receipt.h>
#include <mambaint/train.h>
#include <mambaint/machine.h>
#include <mambaint/proof.h>

#endif
