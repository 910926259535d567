/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding. In each piece of the pre-tokenizer the adjacent pair of lowest rank is joined, the
 * leftmost one first, until no pair is a merge. Short pieces do so by looking at every pair; long
 * ones are cut where no token reaches, and what is still long keeps its ranks in a tree. Words come
 * again and again, so those of a long text are remembered with their ids.
 */
#include "tokenizer/encode.h"
#include "base/intmath.h"
#include "tokenizer/normalize.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/word_key.h"

#define SHORT_PIECE 64
#define NO_RANK MBI_RANK_NONE
#define NO_ID UINT32_MAX

#define KNOWN_IDS 4u          /* ids of a word that is remembered */
#define KNOWN_BITS_MIN 6      /* of the table of such words: 2 KiB */
#define KNOWN_BITS_MAX 15     /* 1 MiB, what second-level caches hold */
#define BYTES_FOR_KNOWN 1024u /* shorter texts do without */

/* A word and its ids, NO_ID behind the last. */
struct known_word {
    struct mbi_word_key key;
    uint32_t id[KNOWN_IDS];
};

struct encoder {
    struct mbi_buf *out;
    const struct mbi_tokenizer *t;
    struct mbi_long_piece long_piece;
    struct known_word *known; /* by hash, the last word of each; NULL: none */
    int known_bits;
    uint64_t pairs; /* looked at in short pieces */
    mambaint_error *err;
};

/* ---- short pieces ---- */

/* The ids of a piece of n <= SHORT_PIECE bytes; returns how many. */
static size_t merge_short(uint32_t id[SHORT_PIECE], struct encoder *e, const uint8_t *text,
                          size_t n)
{
    const struct mbi_tokenizer *const t = e->t;
    uint32_t rank[SHORT_PIECE]; /* rank[i]: of the pair (i, i + 1) */

    for (size_t i = 0; i < n; i++)
        id[i] = (uint32_t)t->byte[text[i]];
    for (size_t i = 0; i + 1 < n; i++)
        rank[i] = mbi_rank_map_get(&t->rank, id[i], id[i + 1]);
    while (n > 1) {
        size_t best = 0;

        e->pairs += n - 1;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == NO_RANK)
            break;
        id[best] = t->result[rank[best]];
        n--;
        memmove(id + best + 1, id + best + 2, (n - best - 1) * sizeof(*id));
        memmove(rank + best, rank + best + 1, (n - best - 1) * sizeof(*rank));
        if (best + 1 < n)
            rank[best] = mbi_rank_map_get(&t->rank, id[best], id[best + 1]);
        if (best > 0)
            rank[best - 1] = mbi_rank_map_get(&t->rank, id[best - 1], id[best]);
    }
    return n;
}

/* ---- remembered words ---- */

/* A table for a text of `len` bytes, no larger than the text. */
static bool make_known(struct encoder *e, size_t len)
{
    if (len < BYTES_FOR_KNOWN)
        return true;
    e->known_bits =
        (int)mbi_clamp_i64(mbi_bitlen(len / sizeof(*e->known)) - 1, KNOWN_BITS_MIN, KNOWN_BITS_MAX);
    e->known = mbi_alloc_aligned(e->out->host, sizeof(*e->known) << e->known_bits);
    return e->known != NULL;
}

static size_t known_ids(const struct known_word *w)
{
    return 1u + (w->id[1] != NO_ID) + (w->id[2] != NO_ID) + (w->id[3] != NO_ID);
}

/* Whole rows are copied; what lies behind the size is room for the next ids. */
static void add_known(struct mbi_buf *out, const struct known_word *w)
{
    memcpy(out->data + out->size, w->id, sizeof(w->id));
    out->size += known_ids(w) * sizeof(*w->id);
}

static void remember(struct known_word *w, const struct mbi_word_key *key, const uint32_t *id,
                     size_t n)
{
    if (n > KNOWN_IDS)
        return;
    w->key = *key;
    for (size_t i = 0; i < KNOWN_IDS; i++)
        w->id[i] = i < n ? id[i] : NO_ID;
}

/* ---- text ---- */

/* A piece of n <= SHORT_PIECE bytes in front of `room` bytes that may be read. */
static void encode_short(struct encoder *e, const uint8_t *text, size_t n, size_t room)
{
    struct mbi_word_key key = {0, 0};
    struct known_word *w = NULL;
    uint32_t id[SHORT_PIECE];
    size_t n_ids;

    if (e->known && n <= MBI_WORD_KEY_MAX) {
        key = mbi_word_key(text, n, room);
        w = &e->known[mbi_word_key_hash(&key) >> (64 - e->known_bits)];
        if (mbi_word_key_equal(&w->key, &key)) {
            add_known(e->out, w);
            return;
        }
    }
    n_ids = merge_short(id, e, text, n);
    memcpy(e->out->data + e->out->size, id, n_ids * sizeof(*id));
    e->out->size += n_ids * sizeof(*id);
    if (w)
        remember(w, &key, id, n_ids);
}

/* Part of a piece that no merge leaves. */
static int32_t encode_part(struct encoder *e, const uint8_t *text, size_t n, size_t room)
{
    struct mbi_buf *const out = e->out;
    const size_t size = SHORT_PIECE * sizeof(uint32_t);

    if (n > SHORT_PIECE)
        return mbi_encode_long(out, &e->long_piece, e->t, text, n, e->err);
    if (out->cap - out->size < size && !mbi_buf_reserve(out, size))
        return mbi_fail_memory(e->err, "the encoded text");
    encode_short(e, text, n, room);
    return MAMBAINT_OK;
}

/* A long piece falls apart where two bytes stand side by side that do so in no token. */
static int32_t encode_long_piece(struct encoder *e, const uint8_t *text, size_t n, size_t room)
{
    int32_t rc = MAMBAINT_OK;

    for (size_t begin = 0, end; rc >= 0 && begin < n; begin = end) {
        for (end = begin + 1; end < n && mbi_token_inside(e->t, text[end - 1], text[end]);)
            end++;
        rc = encode_part(e, text + begin, end - begin, room - begin);
    }
    return rc;
}

static int32_t encode_pieces(struct encoder *e, const char *text, size_t len)
{
    const uint8_t *at = (const uint8_t *)text;
    int32_t rc = MAMBAINT_OK;

    while (len > 0 && rc >= 0) {
        const size_t n = mbi_pretokenize(e->t->pre, (const char *)at, len);

        rc = n > SHORT_PIECE ? encode_long_piece(e, at, n, len) : encode_part(e, at, n, len);
        at += n;
        len -= n;
    }
    return rc;
}

/* Text without special tokens. */
static int32_t encode_plain(struct encoder *e, const char *text, size_t len)
{
    struct mbi_buf normal;
    int32_t rc;

    if (!e->t->nfc || len == 0)
        return encode_pieces(e, text, len);
    mbi_buf_init(&normal, e->out->host);
    if ((rc = mbi_normalize_nfc(&normal, text, len, e->err)) >= 0)
        rc = encode_pieces(e, (const char *)normal.data, normal.size);
    mbi_buf_free(&normal);
    return rc;
}

/* The byte of control token k at `depth`, or -1 after its end: shorter ones come first. */
static int control_byte(const struct mbi_tokenizer *t, uint32_t k, size_t depth)
{
    const uint32_t id = t->control[k];

    return depth < mbi_token_len(t, id) ? mbi_token_bytes(t, id)[depth] : -1;
}

/* First control token in [lo, hi), equal up to `depth`, whose byte there is at least `byte`. */
static uint32_t control_bound(const struct mbi_tokenizer *t, uint32_t lo, uint32_t hi, size_t depth,
                              int byte)
{
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;

        if (control_byte(t, mid, depth) < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The longest control token spelled at the start of the text, or -1. */
static int32_t match_control(const struct mbi_tokenizer *t, const char *text, size_t len)
{
    uint32_t lo = 0, hi = t->n_control;
    int32_t best = -1;

    for (size_t depth = 0; depth < len; depth++) {
        const int byte = (uint8_t)text[depth];

        lo = control_bound(t, lo, hi, depth, byte);
        hi = control_bound(t, lo, hi, depth, byte + 1);
        if (lo == hi)
            break;
        if (control_byte(t, lo, depth + 1) < 0)
            best = (int32_t)t->control[lo];
    }
    return best;
}

static int32_t encode_special(struct encoder *e, const char *text, size_t len)
{
    size_t begin = 0, pos = 0;
    int32_t rc = MAMBAINT_OK;

    while (pos < len && rc >= 0) {
        int32_t id = -1;

        if (e->t->begins_control[(uint8_t)text[pos]])
            id = match_control(e->t, text + pos, len - pos);
        if (id < 0) {
            pos++;
            continue;
        }
        rc = encode_plain(e, text + begin, pos - begin);
        mbi_buf_add(e->out, &id, sizeof(id));
        pos += mbi_token_len(e->t, (uint32_t)id);
        begin = pos;
    }
    return rc < 0 ? rc : encode_plain(e, text + begin, len - begin);
}

int32_t mbi_tokenizer_encode_counted(struct mbi_buf *out, const struct mbi_tokenizer *t,
                                     const char *text, size_t len, uint32_t flags, uint64_t *steps,
                                     mambaint_error *err)
{
    const size_t start = out->size;
    struct encoder e = {.out = out, .t = t, .long_piece = {.host = out->host}, .err = err};
    int32_t rc;

    if (len == 0) /* text may be NULL then */
        return MAMBAINT_OK;
    if (!make_known(&e, len))
        rc = mbi_fail_memory(err, "the words of a text");
    else if (flags & MBI_ENCODE_SPECIAL)
        rc = encode_special(&e, text, len);
    else
        rc = encode_plain(&e, text, len);
    *steps += e.pairs + e.long_piece.nodes;
    mbi_long_piece_free(&e.long_piece);
    mbi_free_aligned(out->host, e.known);
    if (rc >= 0 && out->failed)
        rc = mbi_fail_memory(err, "the encoded text");
    if (rc < 0)
        out->size = start;
    return rc;
}

int32_t mbi_tokenizer_encode(struct mbi_buf *out, const struct mbi_tokenizer *t, const char *text,
                             size_t len, uint32_t flags, mambaint_error *err)
{
    uint64_t steps = 0;

    return mbi_tokenizer_encode_counted(out, t, text, len, flags, &steps, err);
}
