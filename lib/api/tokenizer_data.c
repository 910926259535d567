/* SPDX-License-Identifier: Apache-2.0 */
/* Text for training a tokenizer. */
#include "api/tokenizer_data.h"
#include "sample/document.h"
#include "train/jsonl.h"
#include "train/read.h"

#define BYTES_VOCAB 272 /* special tokens and bytes */

int32_t mbi_tokenizer_add_text(struct mbi_tokenizer_trainer *tr, const char *text, size_t len,
                               mambaint_error *err)
{
    size_t pos = 0, doc_len;
    bool separated;
    const char *doc;
    int32_t rc = MAMBAINT_OK;

    while (rc >= 0 && mbi_document_next(&doc, &doc_len, &separated, text, len, &pos))
        rc = mbi_tokenizer_trainer_add(tr, doc, doc_len, err);
    return rc;
}

/* The texts of one line: what lies between special tokens. */
static int32_t add_ids(struct mbi_tokenizer_trainer *tr, const struct mbi_tokenizer *bytes,
                       struct mbi_buf *text, const struct mbi_buf *ids, mambaint_error *err)
{
    const size_t n = ids->size / sizeof(int32_t);
    const int32_t *id = (const int32_t *)(const void *)ids->data;
    size_t begin = 0;
    int32_t rc = MAMBAINT_OK;

    for (size_t i = 0; rc >= 0 && i <= n; i++) {
        const char *token;
        size_t len;
        bool special = true;

        if (i < n && mbi_tokenizer_token(&token, &len, &special, bytes, id[i]) && !special)
            continue;
        text->size = 0;
        if ((rc = mbi_tokenizer_decode(text, bytes, id + begin, i - begin, err)) >= 0 && text->size)
            rc = mbi_tokenizer_trainer_add(tr, (const char *)text->data, text->size, err);
        begin = i + 1;
    }
    return rc;
}

static int32_t add_lines(struct mbi_tokenizer_trainer *tr, const struct mbi_host *host,
                         const char *text, size_t len, const char *path, mambaint_error *err)
{
    struct mbi_tokenizer *bytes;
    struct mbi_sequences seq;
    struct mbi_buf found;
    size_t number = 1;
    /* A tokenizer whose tokens are the bytes turns a line into the text it holds. */
    int32_t rc = mbi_tokenizer_plain(&bytes, host, MBI_PRE_GPT2, BYTES_VOCAB, err);

    if (rc < 0)
        return rc;
    mbi_buf_init(&found, host);
    mbi_sequences_init(&seq, host);
    for (size_t at = 0; rc >= 0 && at < len; number++) {
        const char *stop = memchr(text + at, '\n', len - at);
        const size_t n = stop ? (size_t)(stop - text) - at : len - at;

        seq.input.size = seq.target.size = seq.loss.size = seq.length.size = 0;
        if (n)
            rc = mbi_jsonl_add(&seq, bytes, text + at, n, number, path, err);
        if (rc >= 0)
            rc = add_ids(tr, bytes, &found, &seq.input, err);
        at += n + 1;
    }
    mbi_sequences_free(&seq);
    mbi_buf_free(&found);
    mbi_tokenizer_unref(bytes);
    return rc;
}

int32_t mbi_tokenizer_add_file(struct mbi_tokenizer_trainer *tr, const struct mbi_host *host,
                               const char *path, mambaint_error *err)
{
    struct mbi_text text;
    int32_t rc = mbi_text_open(&text, host, NULL, path, NULL, err);

    if (rc >= 0)
        rc = strstr(path, ".jsonl")
                 ? add_lines(tr, host, (const char *)text.data, text.size, path, err)
                 : mbi_tokenizer_add_text(tr, (const char *)text.data, text.size, err);
    mbi_text_close(&text);
    return rc;
}
