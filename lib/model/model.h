/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model: configuration, step graph, parameters and tokenizer, immutable and reference-counted.
 * The public mambaint_model is this structure.
 */
#ifndef MBI_MODEL_MODEL_H
#define MBI_MODEL_MODEL_H

#include "arch/arch.h"
#include "container/container.h"
#include "graph/graph.h"
#include "tokenizer/tokenizer.h"

struct mbi_model {
    const struct mbi_host *host;
    struct mbi_container *file; /* owns the bytes of the parameters */
    struct mbi_config config;
    struct mbi_graph *graph;
    struct mbi_tokenizer *tokenizer; /* NULL: the model takes features */
    const void **param;              /* host byte order, by index in graph->param */
    void **param_owned;              /* converted copies where the host is big endian; else NULLs */
    uint8_t digest[MBI_DIGEST_SIZE]; /* model digest, docs/container.md; valid if checked */
    bool digest_checked;
};

/* Takes over `file`, also on failure. Checks that every tensor has the shape and type that the
 * graph declares, that every element lies in its declared interval (ternary bytes too), that no
 * tensor is left over, that the vocabulary of tokenizer and graph agree (a model that takes
 * features has no tokenizer), and that name and licence are UTF-8. */
int32_t mbi_model_create(struct mbi_model **out, const struct mbi_host *host,
                         struct mbi_container *file, mambaint_error *err);
void mbi_model_free(struct mbi_model *m); /* NULL is fine */

/* The digest; computes and checks the file's digest first if that was deferred. */
int32_t mbi_model_digest(uint8_t out[MBI_DIGEST_SIZE], struct mbi_model *m, mambaint_error *err);

/* What a model file is made from. */
struct mbi_model_parts {
    const struct mbi_config *config;
    const struct mbi_graph *graph;
    const struct mbi_tokenizer *tokenizer; /* NULL of a model that takes features */
    const void *const *param;              /* host byte order, by index in graph->param */
    const char *name, *license;
};

/* Name and licence, each of which may be NULL, must be UTF-8: E_INVALID otherwise. */
int32_t mbi_model_check_names(const char *name, const char *license, mambaint_error *err);

/* Save a model file atomically. */
int32_t mbi_model_save(const struct mbi_host *host, const char *path,
                       const struct mbi_model_parts *parts, mambaint_error *err);

/* Bytes of one parameter's data. */
size_t mbi_param_size(const struct mbi_param *p);

/* Number of weights: elements of all parameters but exponents and scales. */
uint64_t mbi_model_parameters(const struct mbi_graph *g);

#endif
