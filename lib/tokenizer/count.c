/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first half of training: the words of all documents and how often each occurs. Every thread
 * counts by itself; sums do not depend on who counted what.
 */
#include "tokenizer/count.h"
#include "base/intmath.h"
#include "tokenizer/pretokenize.h"

#define SHARE ((size_t)1 << 16)  /* bytes that one thread counts in one go, at least */
#define ENOUGH ((size_t)1 << 22) /* bytes that are worth waking all threads for */

/* What one thread counts. */
struct mbi_count_part {
    struct mbi_words words;
    bool refused; /* memory */
    size_t too_long;
};

int32_t mbi_tokenizer_trainer_create(struct mbi_tokenizer_trainer **out,
                                     const struct mbi_host *host, enum mbi_pretokenizer pre,
                                     mambaint_error *err)
{
    struct mbi_tokenizer_trainer *tr;
    bool made = true;

    *out = NULL;
    if (pre != MBI_PRE_GPT2 && pre != MBI_PRE_CL100K)
        return mbi_fail(err, MAMBAINT_E_INVALID, "tokenizer: unknown pre-tokenizer %d", (int)pre);
    if (!(tr = mbi_alloc(host, 1, sizeof(*tr))))
        return mbi_fail_memory(err, "training a tokenizer");
    tr->host = host;
    tr->pre = pre;
    mbi_buf_init(&tr->waiting, host);
    mbi_buf_init(&tr->end, host);
    if ((tr->part = mbi_alloc(host, mbi_pool_threads(host->pool), sizeof(*tr->part))))
        tr->n_parts = mbi_pool_threads(host->pool);
    for (uint32_t i = 0; i < tr->n_parts; i++)
        made = mbi_words_init(&tr->part[i].words, host) && made;
    if (!tr->part || !made) {
        mbi_tokenizer_trainer_free(tr);
        return mbi_fail_memory(err, "training a tokenizer");
    }
    *out = tr;
    return MAMBAINT_OK;
}

void mbi_tokenizer_trainer_free(struct mbi_tokenizer_trainer *tr)
{
    if (!tr)
        return;
    for (uint32_t i = 0; i < tr->n_parts; i++)
        mbi_words_free(&tr->part[i].words);
    mbi_free(tr->host, tr->part);
    mbi_buf_free(&tr->waiting);
    mbi_buf_free(&tr->end);
    mbi_free(tr->host, tr);
}

static void count_share(struct mbi_count_part *p, enum mbi_pretokenizer pre, const uint8_t *text,
                        size_t len)
{
    for (size_t n; len > 0 && !p->refused && !p->too_long; text += n, len -= n) {
        n = mbi_pretokenize(pre, (const char *)text, len);
        if (n >= UINT32_MAX)
            p->too_long = n;
        else
            p->refused = !mbi_words_add(&p->words, text, n, len, 1);
    }
}

/* A text that is to be counted by all threads, each part by one of them. */
struct count {
    struct mbi_tokenizer_trainer *tr;
    const uint8_t *text;
};

static void count_parts(void *arg, size_t first, size_t last)
{
    const struct count *c = arg;
    const struct mbi_tokenizer_trainer *tr = c->tr;
    const size_t *end = (const size_t *)(const void *)tr->end.data;
    const size_t n = tr->end.size / sizeof(*end);

    for (size_t k = first; k < last; k++)
        for (size_t i = n * k / tr->n_parts; i < n * (k + 1) / tr->n_parts; i++) {
            const size_t begin = i ? end[i - 1] : 0;

            count_share(&tr->part[k], tr->pre, c->text + begin, end[i] - begin);
        }
}

/* Count the shares that `end` tells of. */
static int32_t count_text(struct mbi_tokenizer_trainer *tr, const uint8_t *text,
                          mambaint_error *err)
{
    struct count c = {tr, text};
    int32_t rc = MAMBAINT_OK;

    mbi_parallel_for(tr->host, tr->n_parts, 1, count_parts, &c);
    tr->end.size = 0;
    for (uint32_t i = 0; i < tr->n_parts; i++) {
        struct mbi_count_part *p = &tr->part[i];

        if (p->refused)
            rc = mbi_fail_memory(err, "the words of the training text");
        else if (p->too_long)
            rc = mbi_fail(err, MAMBAINT_E_RANGE, "training: a word of %zu bytes is too long",
                          p->too_long);
        p->refused = false;
        p->too_long = 0;
    }
    return rc;
}

static int32_t count_waiting(struct mbi_tokenizer_trainer *tr, mambaint_error *err)
{
    const int32_t rc = count_text(tr, tr->waiting.data, err);

    tr->waiting.size = 0;
    return rc;
}

/* Tell where the shares of a text end that begins at `base` of what is counted together. */
static int32_t add_shares(struct mbi_tokenizer_trainer *tr, size_t base, const char *text,
                          size_t len, mambaint_error *err)
{
    const size_t before = tr->end.size;

    for (size_t end = 0; end < len;) {
        size_t place;

        end = mbi_pretokenize_cut(text, mbi_min_size(end + SHARE, len), len);
        place = base + end;
        mbi_buf_add(&tr->end, &place, sizeof(place));
    }
    if (!tr->end.failed)
        return MAMBAINT_OK;
    tr->end.size = before;
    tr->end.failed = false; /* refused now is not refused for ever */
    return mbi_fail_memory(err, "the training text");
}

static int32_t add_waiting(struct mbi_tokenizer_trainer *tr, const char *text, size_t len,
                           mambaint_error *err)
{
    const size_t shares = tr->end.size;
    const int32_t rc = add_shares(tr, tr->waiting.size, text, len, err);

    if (rc < 0)
        return rc;
    mbi_buf_add(&tr->waiting, text, len);
    if (!tr->waiting.failed)
        return MAMBAINT_OK;
    tr->end.size = shares;
    tr->waiting.failed = false;
    return mbi_fail_memory(err, "the training text");
}

int32_t mbi_tokenizer_trainer_add(struct mbi_tokenizer_trainer *tr, const char *text, size_t len,
                                  mambaint_error *err)
{
    const bool waits = tr->n_parts > 1 && len < ENOUGH;
    int32_t rc = MAMBAINT_OK;

    if (!waits || len > ENOUGH - tr->waiting.size)
        rc = count_waiting(tr, err);
    if (rc < 0 || !len)
        return rc;
    if (waits)
        return add_waiting(tr, text, len, err);
    rc = add_shares(tr, 0, text, len, err);
    return rc < 0 ? rc : count_text(tr, (const uint8_t *)text, err);
}

int32_t mbi_tokenizer_trainer_words(const struct mbi_words **out, struct mbi_tokenizer_trainer *tr,
                                    mambaint_error *err)
{
    const int32_t rc = count_waiting(tr, err);

    *out = &tr->part[0].words;
    if (rc < 0)
        return rc;
    for (uint32_t k = 1; k < tr->n_parts; k++) {
        struct mbi_words *const w = &tr->part[k].words;

        for (uint32_t i = 0; i < w->n; i++) {
            struct mbi_word *const word = &w->word[i];

            if (word->count && !mbi_words_add(&tr->part[0].words, mbi_word_bytes(w, i), word->len,
                                              word->len, word->count))
                return mbi_fail_memory(err, "the words of the training text");
            word->count = 0; /* more text may follow */
        }
    }
    return MAMBAINT_OK;
}
