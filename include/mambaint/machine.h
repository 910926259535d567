/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine reaches at best, to hold against what a model reaches on it. */
#ifndef MAMBAINT_MACHINE_H
#define MAMBAINT_MACHINE_H

#include <mambaint/context.h>
#include <mambaint/options.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup machine The machine
 *
 * Upper limits of the machine, measured: a model's speed means little without them. They depend on
 * what else the machine is doing, so measure them in the run whose speed they are held against.
 * Nothing here has an influence on any result.
 *
 * Threads: any thread may measure at any time, but two that do share the machine.
 * @{
 */

/**
 * Measure a limit, as the best of several trials of an inner loop that does nothing else. Takes
 * about a second.
 *
 * | what | number |
 * |---|---|
 * | `read-bandwidth` | bytes a second that all threads of the context together read from memory, once and in order, in huge pages where the system has them: 1 GiB, on a small machine a quarter of its memory |
 * | `matvec` | multiply-adds of 8-bit integers a second of one thread, while the others do the same: a matrix that fits the second-level cache times a vector |
 * | `matmul` | the same, a matrix times a matrix in the first-level cache |
 *
 * Times are those of the processor, so other programs disturb little; where several threads read
 * together they are the clock's. The loops use the instructions of the backend, and are exact as
 * its kernels are. Ternary weights may go beyond `matvec` and `matmul` where their small products
 * are summed in 16 bits.
 *
 * Options: `backend`, and `threads` if there is no context.
 *
 * @param[out] value    the number
 * @param[in]  ctx      context, or NULL
 * @param[in]  what     what to measure; `-` and `_` are equal
 * @param[in]  options  options, or NULL for all defaults; not kept
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             stored
 * @retval MAMBAINT_E_INVALID      `value` or `what` is NULL, nothing of that name can be measured,
 *                                 or an option is wrong
 * @retval MAMBAINT_E_RANGE        `threads` is outside its range
 * @retval MAMBAINT_E_NO_BACKEND   the named backend is not in this build or on this machine
 * @retval MAMBAINT_E_UNSUPPORTED  the backend cannot be measured, or a thread of a private context
 *                                 cannot be started
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_machine_measure(int64_t *value, mambaint_context *ctx,
                                              const char *what, const mambaint_options *options,
                                              mambaint_error *err);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
