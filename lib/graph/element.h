/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of an array whose type is known only at run time. */
#ifndef MBI_GRAPH_ELEMENT_H
#define MBI_GRAPH_ELEMENT_H

#include "base/compiler.h"
#include "graph/type.h"

/* Element i of an array of the given type (not ternary). */
MBI_INLINE int64_t mbi_get(const void *array, uint32_t dtype, size_t i)
{
    switch (dtype) {
    case MBI_I8:
        return ((const int8_t *)array)[i];
    case MBI_I16:
        return ((const int16_t *)array)[i];
    case MBI_I32:
        return ((const int32_t *)array)[i];
    default:
        return ((const int64_t *)array)[i];
    }
}

MBI_INLINE void mbi_put(void *array, uint32_t dtype, size_t i, int64_t v)
{
    switch (dtype) {
    case MBI_I8:
        ((int8_t *)array)[i] = (int8_t)v;
        break;
    case MBI_I16:
        ((int16_t *)array)[i] = (int16_t)v;
        break;
    case MBI_I32:
        ((int32_t *)array)[i] = (int32_t)v;
        break;
    default:
        ((int64_t *)array)[i] = v;
    }
}

#endif
