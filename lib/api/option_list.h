/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every option key but the flags of the architectures, which add themselves. "many" keys gain a
 * value each time they are set; the others keep the last one.
 */
#ifndef MBI_API_OPTION_LIST_H
#define MBI_API_OPTION_LIST_H

/* clang-format off */
#define MBI_OPTION_LIST(ONE, MANY)                                                                \
    /* contexts, models */                                                                       \
    ONE("threads") ONE("check-digest")                                                           \
    /* sessions */                                                                               \
    ONE("backend") ONE("prefill-chunk") ONE("temperature") ONE("top-k") ONE("top-p")             \
    ONE("min-p") ONE("repeat-penalty") ONE("repeat-last") ONE("seed") MANY("stop")               \
    ONE("profile") ONE("record")                                                                 \
    /* evaluations and proofs; of text also `tokens`, below */                                   \
    ONE("features") ONE("prompt") ONE("ids") ONE("zk") ONE("chunk-steps")                        \
    MANY("prover-key") ONE("proofs") ONE("chain")                                                 \
    /* making models and tokenizers */                                                           \
    ONE("architecture") ONE("preset") ONE("name") ONE("license") ONE("pre") MANY("data")            \
    /* trainers */                                                                               \
    ONE("valid") ONE("data-dir") ONE("tokenizer") ONE("batch") ONE("context") ONE("steps")       \
    ONE("tokens") ONE("lr") ONE("warmup") ONE("weight-decay") ONE("clip") ONE("beta1")           \
    ONE("beta2") ONE("arithmetic") ONE("decay-init") ONE("valid-every") ONE("valid-limit")       \
    ONE("save-every") ONE("resume")
/* clang-format on */

#endif
