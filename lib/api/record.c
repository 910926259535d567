/* SPDX-License-Identifier: Apache-2.0 */
/* What a session keeps for its receipt, and the receipt made of it. */
#include "api/receipt.h"
#include "base/intmath.h"

/* ---- keeping ---- */

void mbi_record_begin(mambaint_session *s, const uint8_t start[MBI_DIGEST_SIZE])
{
    struct mbi_record *r = &s->record;

    if (!s->set.record)
        return;
    memcpy(r->start, start, MBI_DIGEST_SIZE);
    r->position = s->talk->position;
    r->parts.size = r->last = 0;
    r->n_parts = 0;
}

/* A buffer that was refused memory is as it was and may ask again. */
int32_t mbi_record_reserve(mambaint_session *s, size_t n, mambaint_error *err)
{
    struct mbi_buf *parts = &s->record.parts;
    size_t more;

    if (!s->set.record)
        return MAMBAINT_OK;
    if (mbi_mul_size(&more, n, 4) && mbi_add_size(&more, more, MBI_RECEIPT_PART_HEAD) &&
        mbi_buf_reserve(parts, more))
        return MAMBAINT_OK;
    parts->failed = false;
    return mbi_fail_memory(err, "the record of a session");
}

/* A turn is a part of its own; other tokens in a row that came in the same way are one. */
static bool goes_on(const struct mbi_record *r, uint32_t kind)
{
    return r->n_parts && kind != MBI_RECEIPT_SAID && mbi_load32(r->parts.data + r->last) == kind;
}

void mbi_record_add(mambaint_session *s, uint32_t kind, uint32_t role, const int32_t *ids, size_t n)
{
    struct mbi_record *r = &s->record;
    uint8_t *count;

    if (!s->set.record)
        return;
    if (!goes_on(r, kind)) {
        r->last = r->parts.size;
        r->n_parts++;
        mbi_buf_add32(&r->parts, kind);
        mbi_buf_add32(&r->parts, role);
        mbi_buf_add64(&r->parts, 0);
    }
    count = r->parts.data + r->last + 8;
    mbi_store64(count, mbi_load64(count) + n);
    for (size_t i = 0; i < n; i++)
        mbi_buf_add32(&r->parts, (uint32_t)ids[i]);
}

/* ---- the receipt ---- */

static size_t stops_size(const struct mbi_session_settings *set)
{
    size_t size = 0;

    for (uint32_t i = 0; i < set->n_stops; i++)
        size += 4 + set->stop[i].len;
    return size;
}

static void add_settings(struct mbi_buf *b, const struct mbi_session_settings *set)
{
    mbi_buf_add64(b, set->sampler.seed);
    mbi_buf_add32(b, set->sampler.temperature);
    mbi_buf_add32(b, set->sampler.top_k);
    mbi_buf_add32(b, set->sampler.top_p);
    mbi_buf_add32(b, set->sampler.min_p);
    mbi_buf_add32(b, (uint32_t)set->sampler.repeat_penalty);
    mbi_buf_add32(b, set->repeat_last);
}

static void add_stops(struct mbi_buf *b, const struct mbi_session_settings *set)
{
    for (uint32_t i = 0; i < set->n_stops; i++) {
        mbi_buf_add32(b, set->stop[i].len);
        mbi_buf_add(b, set->stop[i].text, set->stop[i].len);
    }
}

/* Digests of the model, of its tokenizer, and of the states at both ends. */
static int32_t add_digests(struct mbi_buf *b, mambaint_session *s, mambaint_error *err)
{
    uint8_t digest[MBI_DIGEST_SIZE];
    mambaint_state *end;
    int32_t rc;

    if ((rc = mbi_model_locked_digest(digest, s->model, err)) < 0)
        return rc;
    mbi_buf_add(b, digest, sizeof(digest));
    mbi_tokenizer_digest(digest, s->tokenizer);
    mbi_buf_add(b, digest, sizeof(digest));
    mbi_buf_add(b, s->record.start, MBI_DIGEST_SIZE);
    if ((rc = mambaint_state_get(&end, s, err)) < 0)
        return rc;
    mambaint_state_digest(digest, end);
    mambaint_state_free(end);
    mbi_buf_add(b, digest, sizeof(digest));
    return MAMBAINT_OK;
}

static int32_t write_receipt(struct mbi_buf *b, mambaint_session *s, mambaint_error *err)
{
    uint8_t digest[MBI_DIGEST_SIZE];
    int32_t rc;

    mbi_buf_add(b, MBI_RECEIPT_MAGIC, 8);
    mbi_buf_add32(b, MBI_RECEIPT_VERSION);
    mbi_buf_add32(b, 0);
    if ((rc = add_digests(b, s, err)) < 0)
        return rc;
    mbi_buf_add64(b, s->record.position);
    add_settings(b, &s->set);
    mbi_buf_add32(b, s->set.n_stops);
    mbi_buf_add32(b, s->record.n_parts);
    add_stops(b, &s->set);
    mbi_buf_add(b, s->record.parts.data, s->record.parts.size);
    if (b->failed)
        return mbi_fail_memory(err, "a receipt");
    mbi_blake2b(digest, b->data, b->size);
    mbi_buf_add(b, digest, sizeof(digest));
    return b->failed ? mbi_fail_memory(err, "a receipt") : MAMBAINT_OK;
}

int32_t mambaint_receipt_create(void *buf, size_t cap, size_t *need, mambaint_session *session,
                                mambaint_error *err)
{
    struct mbi_buf bytes;
    size_t size;
    int32_t rc;

    if (!session || (!buf && cap))
        return mbi_fail(err, MAMBAINT_E_INVALID, "session and buf must not be NULL");
    if (!session->set.record)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "receipt: this session keeps no record; create it with the option record");
    if (session->talk->kept)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "receipt: the piece of the last step was not taken yet; "
                        "mambaint_session_piece() takes it");
    size =
        MBI_RECEIPT_HEAD + stops_size(&session->set) + session->record.parts.size + MBI_DIGEST_SIZE;
    if (need)
        *need = size;
    if (cap < size)
        return mbi_fail(err, MAMBAINT_E_SPACE, "receipt: it has %zu bytes, the buffer %zu", size,
                        cap);
    mbi_buf_init(&bytes, session->host);
    if ((rc = write_receipt(&bytes, session, err)) >= 0)
        memcpy(buf, bytes.data, bytes.size);
    mbi_buf_free(&bytes);
    return rc;
}
