/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts: what a session keeps for one, and one that was read. docs/container.md, section 7. */
#ifndef MBI_API_RECEIPT_H
#define MBI_API_RECEIPT_H

#include "api/session.h"
#include <mambaint/receipt.h>

/* How tokens came into the session. Numbers are stored. */
enum mbi_receipt_kind {
    MBI_RECEIPT_FED = 1,    /* mambaint_session_feed() */
    MBI_RECEIPT_SAID = 2,   /* mambaint_session_say(): a whole turn, with the tokens around it */
    MBI_RECEIPT_DRAWN = 3,  /* mambaint_session_next(): chosen by the sampler */
    MBI_RECEIPT_FORCED = 4, /* mambaint_session_force(): a step with a token of the caller's */
    MBI_RECEIPT_END
};

/* Tokens in a row that came in the same way; of turns each is a part. */
struct mbi_receipt_part {
    uint32_t kind, role; /* role: of a turn, else 0 */
    size_t n;            /* at least 1 */
    const uint8_t *ids;  /* 4 n bytes, little endian */
};

#define MBI_RECEIPT_PART_HEAD 16 /* bytes before the ids of a part */

/* ---- what a session keeps (record.c) ---- */

/* Without the option `record` these do nothing. */

/* The session has just been put into the state of this digest. */
void mbi_record_begin(mambaint_session *s, const uint8_t start[MBI_DIGEST_SIZE]);
/* Room for n more ids; to be asked for before the session changes. E_NO_MEMORY changes nothing. */
int32_t mbi_record_reserve(mambaint_session *s, size_t n, mambaint_error *err);
/* Room was asked for. */
void mbi_record_add(mambaint_session *s, uint32_t kind, uint32_t role, const int32_t *ids,
                    size_t n);

/* ---- one that was read (receipt.c) ---- */

/* Its parts are views of the bytes. */
struct mbi_receipt {
    const uint8_t *model, *tokenizer, *start, *end; /* digests */
    uint64_t position;                              /* of the state at the start */
    struct mbi_sampler sampler;
    uint32_t repeat_last;
    uint32_t n_stops;
    struct mbi_stop stop[MBI_STOPS_MAX];
    uint32_t n_parts;
    struct mbi_reader parts; /* standing at the first one */
};

/* Everything that can be checked without the model; E_FORMAT, E_VERSION or E_RANGE. */
int32_t mbi_receipt_read(struct mbi_receipt *out, const uint8_t *data, size_t size,
                         mambaint_error *err);
/* The next part of a receipt that was read, n_parts times. */
struct mbi_receipt_part mbi_receipt_next(struct mbi_reader *parts);

/* Do these bytes begin as a receipt does? */
bool mbi_receipt_is(const uint8_t *data, size_t size);

static inline uint32_t mbi_receipt_id(const struct mbi_receipt_part *p, size_t i)
{
    return mbi_load32(p->ids + 4 * i);
}

#define MBI_RECEIPT_MAGIC "MBIRECPT"
#define MBI_RECEIPT_VERSION 1
/* Bytes before the stop strings. */
#define MBI_RECEIPT_HEAD (8 + 4 + 4 + 4 * MBI_DIGEST_SIZE + 2 * 8 + 8 * 4)

#endif
