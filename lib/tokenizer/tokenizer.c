/* SPDX-License-Identifier: Apache-2.0 */
/* The finished tokenizer: reference count, what it can be asked, decoding. */
#include "tokenizer/tokenizer.h"
#include "tokenizer/build.h"

void mbi_tokenizer_ref(struct mbi_tokenizer *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}

void mbi_tokenizer_unref(struct mbi_tokenizer *t)
{
    const struct mbi_host *host;

    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    host = t->host;
    mbi_free(host, t->bytes);
    mbi_free(host, t->begin);
    mbi_free(host, t->kind);
    mbi_free(host, t->merge);
    mbi_free(host, t->result);
    mbi_free(host, t->control);
    mbi_rank_map_free(&t->rank, host);
    mbi_free(host, t);
}

uint32_t mbi_tokenizer_vocab(const struct mbi_tokenizer *t) { return t->vocab; }

int32_t mbi_tokenizer_eot(const struct mbi_tokenizer *t) { return t->eot; }

int32_t mbi_tokenizer_role(const struct mbi_tokenizer *t, enum mbi_role role)
{
    return role >= MBI_ROLE_SYSTEM && role <= MBI_ROLE_END ? t->role[role] : -1;
}

void mbi_tokenizer_digest(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_tokenizer *t)
{
    memcpy(out, t->digest, MBI_DIGEST_SIZE);
}

bool mbi_tokenizer_token(const char **text, size_t *len, bool *special,
                         const struct mbi_tokenizer *t, int32_t id)
{
    if (id < 0 || (uint32_t)id >= t->vocab)
        return false;
    *text = (const char *)mbi_token_bytes(t, (uint32_t)id);
    *len = mbi_token_len(t, (uint32_t)id);
    *special = t->kind[id] != MBI_TOKEN_NORMAL;
    return true;
}

int32_t mbi_tokenizer_decode(struct mbi_buf *out, const struct mbi_tokenizer *t, const int32_t *ids,
                             size_t n, mambaint_error *err)
{
    const size_t start = out->size;

    for (size_t i = 0; i < n; i++) {
        const char *text;
        size_t len;
        bool special;

        if (!mbi_tokenizer_token(&text, &len, &special, t, ids[i])) {
            out->size = start;
            return mbi_fail(err, MAMBAINT_E_RANGE,
                            "decode: id %d at position %zu is outside the vocabulary of %u", ids[i],
                            i, t->vocab);
        }
        if (special)
            continue;
        if (out->cap - out->size < MBI_MAX_TOKEN_BYTES &&
            !mbi_buf_reserve(out, MBI_MAX_TOKEN_BYTES)) {
            out->size = start;
            return mbi_fail_memory(err, "the decoded text");
        }
        /* A copy of a fixed size is a few moves; there is room for more than the token. */
        if (len <= MBI_TOKEN_PADDING)
            memcpy(out->data + out->size, text, MBI_TOKEN_PADDING);
        else
            memcpy(out->data + out->size, text, len);
        out->size += len;
    }
    return MAMBAINT_OK;
}

int32_t mbi_tokenizer_from_parts(struct mbi_tokenizer **out, const struct mbi_host *host,
                                 const struct mbi_tokenizer_parts *parts, mambaint_error *err)
{
    struct mbi_tokenizer_build b;
    int32_t rc;

    *out = NULL;
    rc = mbi_tokenizer_build_begin(&b, host, parts->pre, parts->nfc, parts->vocab, err);
    for (uint32_t i = 0; rc >= 0 && i < parts->vocab; i++)
        rc = mbi_tokenizer_build_token(&b, parts->token[i], parts->token_len[i], parts->kind[i],
                                       err);
    if (rc >= 0)
        rc = mbi_tokenizer_build_seal(&b, err);
    for (size_t i = 0; rc >= 0 && i < parts->n_merges; i++)
        rc = mbi_tokenizer_build_merge(&b, parts->merge[2 * i], parts->merge[2 * i + 1], err);
    if (rc >= 0)
        return mbi_tokenizer_build_finish(out, &b, parts->eot, parts->role, err);
    mbi_tokenizer_build_abort(&b);
    return rc;
}
