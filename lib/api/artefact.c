/* SPDX-License-Identifier: Apache-2.0 */
/* What is this file, and is it whole? */
#include "api/config.h"
#include "api/context.h"
#include "api/proof.h"
#include "api/receipt.h"
#include "api/state.h"
#include "base/file.h"
#include "model/model.h"
#include <mambaint/model.h>

/* Keys alone; a missing or odd key leaves the word empty. */
static void read_word(char word[32], struct mbi_container *file, const char *key)
{
    if (!mbi_container_has(file, key) || mbi_container_word(word, 32, file, key, NULL) < 0)
        word[0] = 0;
}

static const char *kind_of(struct mbi_container *file)
{
    char word[32];

    read_word(word, file, "general.type");
    if (!strcmp(word, "checkpoint"))
        return "checkpoint";
    read_word(word, file, "general.architecture");
    return !word[0] ? "unknown" : !strcmp(word, "tokenizer") ? "tokenizer" : "model";
}

static int32_t check_tokenizer(const struct mbi_host *host, struct mbi_container *file,
                               mambaint_error *err)
{
    struct mbi_tokenizer *t = NULL;
    const int32_t rc = mbi_tokenizer_read(&t, host, file, err);

    mbi_tokenizer_unref(t);
    return rc;
}

/* Shape and tokenizer; the digest, which was checked, covers the rest. */
static int32_t check_checkpoint(const struct mbi_host *host, struct mbi_container *file,
                                mambaint_error *err)
{
    const struct mbi_arch *arch;
    struct mbi_config config;
    char name[64];
    int32_t rc = mbi_container_word(name, sizeof(name), file, "general.architecture", err);

    if (rc < 0)
        return rc;
    if (!(arch = mbi_arch_find(name)))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "checkpoint: architecture '%s' is not in this build", name);
    if (!mbi_arch_has_vocab(arch))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "checkpoint: models of architecture '%s' are not trained here", name);
    if ((rc = mbi_config_read(&config, arch, file, err)) < 0)
        return rc;
    return check_tokenizer(host, file, err);
}

/* Takes over the container. */
static int32_t check_container(const char *kind, const struct mbi_host *host,
                               struct mbi_container *file, mambaint_error *err)
{
    struct mbi_model *m = NULL;
    int32_t rc = mbi_container_check_digest(file, err);

    if (rc >= 0 && !strcmp(kind, "model")) {
        rc = mbi_model_create(&m, host, file, err);
        mbi_model_free(m);
        return rc;
    }
    if (rc >= 0)
        rc = !strcmp(kind, "tokenizer")    ? check_tokenizer(host, file, err)
             : !strcmp(kind, "checkpoint") ? check_checkpoint(host, file, err)
                                           : mbi_fail(err, MAMBAINT_E_FORMAT,
                                                      "it does not say what it is for: there is no "
                                                      "general.architecture");
    mbi_container_close(file);
    return rc;
}

/* A statement is a proof file with an empty body. */
static const char *proof_kind(const uint8_t *data, size_t n)
{
    struct mbi_proof_file file;

    if (mbi_key_file_is(data, n))
        return "key";
    if (mbi_series_is(data, n))
        return "proof";
    if (mbi_proof_file_read(&file, data, n, NULL) < 0 || file.body_size)
        return "proof";
    return "statement";
}

static int32_t check_receipt(const uint8_t *data, size_t n, mambaint_error *err)
{
    struct mbi_receipt receipt;

    return mbi_receipt_read(&receipt, data, n, err);
}

static int32_t check(const char **kind, mambaint_context *ctx, const char *path,
                     mambaint_error *err)
{
    const struct mbi_host *host = &ctx->host;
    struct mbi_container *file;
    struct mbi_map map;
    int32_t rc = mbi_map_open(&map, host, path, err);

    if (rc < 0)
        return rc;
    if (mbi_state_is(map.data, map.size)) {
        *kind = "state";
        rc = mbi_state_check(map.data, map.size, err);
        mbi_map_close(&map, host);
        return rc;
    }
    if (mbi_receipt_is(map.data, map.size)) {
        *kind = "receipt";
        rc = check_receipt(map.data, map.size, err);
        mbi_map_close(&map, host);
        return rc;
    }
    if (mbi_proof_file_is(map.data, map.size) || mbi_series_is(map.data, map.size) ||
        mbi_key_file_is(map.data, map.size)) {
        *kind = proof_kind(map.data, map.size);
        rc = mbi_proof_file_check(ctx, map.data, map.size, err);
        mbi_map_close(&map, host);
        return rc;
    }
    if (mbi_prover_key_is(map.data, map.size)) {
        *kind = "prover-key";
        rc = mbi_prover_key_file_check(host, map.data, map.size, err);
        mbi_map_close(&map, host);
        return rc;
    }
    mbi_map_close(&map, host);
    if ((rc = mbi_container_open(&file, host, path, MBI_CONTAINER_DEFER_DIGEST, err)) < 0)
        return rc;
    *kind = kind_of(file);
    return check_container(*kind, host, file, err);
}

int32_t mambaint_artefact_check(char *kind, size_t cap, mambaint_context *ctx, const char *path,
                                mambaint_error *err)
{
    const char *found = "unknown";
    mambaint_context *own;
    int32_t rc;

    if (!path || (!kind && cap))
        return mbi_fail(err, MAMBAINT_E_INVALID, "kind and path must not be NULL");
    if ((rc = mbi_context_take(&own, ctx, NULL, err)) < 0)
        return rc;
    rc = check(&found, own, path, err);
    mambaint_context_unref(own);
    if (kind && mbi_give_text(kind, cap, NULL, found, strlen(found)) < 0)
        return mbi_fail(err, MAMBAINT_E_SPACE, "kind: the buffer has %zu bytes; 16 always do", cap);
    return rc;
}
