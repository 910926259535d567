/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading receipts. Bytes, little endian (docs/container.md, section 7):
 *   magic "MBIRECPT", version u32 = 1, zero u32, digests [32] of model, tokenizer, state at the
 *   start, state at the end, position u64 of the start, seed u64, temperature u32, top_k u32,
 *   top_p u32, min_p u32, repeat_penalty u32, repeat_last u32, n_stops u32, n_parts u32,
 *   stop strings (size u32, bytes), parts (kind u32, role u32, n u64, n ids of u32),
 *   digest [32] of all bytes before it.
 */
#include "api/receipt.h"
#include "base/intmath.h"

#define TEMPERATURE_MAX (255u << 8)
#define ONE_Q16 65536u
#define ID_MAX (1u << 17) /* no vocabulary is larger */
#define POSITION_MAX ((uint64_t)1 << 62)

bool mbi_receipt_is(const uint8_t *data, size_t size)
{
    return size >= 8 && !memcmp(data, MBI_RECEIPT_MAGIC, 8);
}

static int32_t refuse(mambaint_error *err, const char *what)
{
    return mbi_fail(err, MAMBAINT_E_FORMAT, "receipt: %s", what);
}

static int32_t out_of_range(mambaint_error *err, const char *what)
{
    return mbi_fail(err, MAMBAINT_E_RANGE, "receipt: %s is outside its range", what);
}

static int32_t read_settings(struct mbi_receipt *out, struct mbi_reader *r, mambaint_error *err)
{
    struct mbi_sampler *s = &out->sampler;
    uint32_t penalty;

    s->seed = mbi_read64(r);
    s->temperature = mbi_read32(r);
    s->top_k = mbi_read32(r);
    s->top_p = mbi_read32(r);
    s->min_p = mbi_read32(r);
    penalty = mbi_read32(r);
    out->repeat_last = mbi_read32(r);
    if (s->temperature > TEMPERATURE_MAX)
        return out_of_range(err, "its temperature");
    if (s->top_k > INT32_MAX || s->top_p > ONE_Q16 || s->min_p > ONE_Q16)
        return out_of_range(err, "its top-k, top-p or min-p");
    if (penalty > (uint32_t)MBI_REPEAT_PENALTY_MAX || out->repeat_last > MBI_HISTORY)
        return out_of_range(err, "its repeat-penalty or repeat-last");
    s->repeat_penalty = (int32_t)penalty;
    return MAMBAINT_OK;
}

/* A stop string is what an option can hold: without a NUL. */
static int32_t read_stops(struct mbi_receipt *out, struct mbi_reader *r, mambaint_error *err)
{
    for (uint32_t i = 0; i < out->n_stops; i++) {
        struct mbi_stop *stop = &out->stop[i];
        const uint8_t *text;

        stop->len = mbi_read32(r);
        if (!r->failed && (!stop->len || stop->len > MBI_STOP_MAX))
            return out_of_range(err, "the size of a stop string");
        if (r->failed || !(text = mbi_read_bytes(r, stop->len)))
            return refuse(err, "it ends inside a stop string");
        if (memchr(text, 0, stop->len))
            return refuse(err, "a stop string holds a NUL");
        memcpy(stop->text, text, stop->len);
    }
    return MAMBAINT_OK;
}

/* A turn has a role, other parts none; those of one kind do not follow each other, as they would
 * be one; nothing is drawn before something went in. */
static bool follows(const struct mbi_receipt_part *p, uint32_t before, bool fresh)
{
    const bool turn = p->kind == MBI_RECEIPT_SAID;

    if (p->kind < MBI_RECEIPT_FED || p->kind >= MBI_RECEIPT_END)
        return false;
    if (turn ? p->role < MBI_ROLE_SYSTEM || p->role > MBI_ROLE_ASSISTANT : p->role != 0)
        return false;
    return (turn || p->kind != before) &&
           (!fresh || p->kind == MBI_RECEIPT_FED || p->kind == MBI_RECEIPT_SAID);
}

static int32_t check_parts(const struct mbi_receipt *out, struct mbi_reader *r, mambaint_error *err)
{
    uint32_t before = 0;

    for (uint32_t i = 0; i < out->n_parts; i++) {
        struct mbi_receipt_part p;
        uint64_t n;

        p.kind = mbi_read32(r);
        p.role = mbi_read32(r);
        n = mbi_read64(r);
        if (r->failed || n > mbi_read_left(r) / 4)
            return refuse(err, "it ends inside a part");
        if (!n || !follows(&p, before, !out->position && !i))
            return refuse(err, "one of its parts is empty, of no known kind, or out of place");
        before = p.kind;
        p.ids = mbi_read_bytes(r, 4 * (size_t)n);
        for (size_t k = 0; k < n; k++)
            if (mbi_receipt_id(&p, k) >= ID_MAX)
                return out_of_range(err, "a token");
    }
    return MAMBAINT_OK;
}

static int32_t read_head(struct mbi_receipt *out, struct mbi_reader *r, mambaint_error *err)
{
    uint32_t version, zero;

    mbi_read_bytes(r, 8);
    version = mbi_read32(r);
    zero = mbi_read32(r);
    if (!r->failed && version != MBI_RECEIPT_VERSION)
        return mbi_fail(err, MAMBAINT_E_VERSION,
                        "receipt: version %u; this library reads version %d", version,
                        MBI_RECEIPT_VERSION);
    out->model = mbi_read_bytes(r, MBI_DIGEST_SIZE);
    out->tokenizer = mbi_read_bytes(r, MBI_DIGEST_SIZE);
    out->start = mbi_read_bytes(r, MBI_DIGEST_SIZE);
    out->end = mbi_read_bytes(r, MBI_DIGEST_SIZE);
    out->position = mbi_read64(r);
    if (r->failed || zero)
        return refuse(err, "its head is cut or damaged");
    return out->position < POSITION_MAX ? MAMBAINT_OK : out_of_range(err, "its position");
}

int32_t mbi_receipt_read(struct mbi_receipt *out, const uint8_t *data, size_t size,
                         mambaint_error *err)
{
    struct mbi_reader r = {.data = data, .size = size};
    uint8_t digest[MBI_DIGEST_SIZE];
    int32_t rc;

    memset(out, 0, sizeof(*out));
    if (!mbi_receipt_is(data, size))
        return refuse(err, "these bytes are no receipt");
    if (size < MBI_RECEIPT_HEAD + MBI_DIGEST_SIZE)
        return refuse(err, "its head is cut or damaged");
    r.size -= MBI_DIGEST_SIZE;
    mbi_blake2b(digest, data, r.size);
    if (memcmp(digest, data + r.size, MBI_DIGEST_SIZE) != 0)
        return refuse(err, "the digest does not match: it was damaged or changed");
    if ((rc = read_head(out, &r, err)) < 0 || (rc = read_settings(out, &r, err)) < 0)
        return rc;
    out->n_stops = mbi_read32(&r);
    out->n_parts = mbi_read32(&r);
    if (out->n_stops > MBI_STOPS_MAX)
        return out_of_range(err, "the number of its stop strings");
    if ((rc = read_stops(out, &r, err)) < 0)
        return rc;
    out->parts = r;
    if ((rc = check_parts(out, &r, err)) < 0)
        return rc;
    return mbi_read_left(&r) ? refuse(err, "something follows its last part") : MAMBAINT_OK;
}

struct mbi_receipt_part mbi_receipt_next(struct mbi_reader *parts)
{
    struct mbi_receipt_part p;

    p.kind = mbi_read32(parts);
    p.role = mbi_read32(parts);
    p.n = (size_t)mbi_read64(parts);
    p.ids = mbi_read_bytes(parts, 4 * p.n);
    return p;
}
