/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding. In each piece of the pre-tokenizer the adjacent pair of lowest rank is joined, the
 * leftmost one first, until no pair is a merge. Short pieces do so by looking at every pair; long
 * ones keep the ranks in a tree, so that any text costs O(n log n).
 */
#include "base/intmath.h"
#include "tokenizer/build.h"
#include "tokenizer/normalize.h"
#include "tokenizer/pretokenize.h"

#define SHORT_PIECE 64
#define FAN 16       /* children of a tree node: one cache line of ranks */
#define MAX_LEVELS 8 /* 16^8 = 2^32 positions */
#define NO_RANK MBI_PAIR_NONE

static void add_id(struct mbi_buf *out, uint32_t id)
{
    const int32_t value = (int32_t)id;

    mbi_buf_add(out, &value, sizeof(value));
}

/* ---- short pieces ---- */

static void encode_short(struct mbi_buf *out, const struct mbi_tokenizer *t, const uint8_t *text,
                         size_t n)
{
    uint32_t id[SHORT_PIECE], rank[SHORT_PIECE]; /* rank[i]: of the pair (i, i + 1) */

    for (size_t i = 0; i < n; i++)
        id[i] = (uint32_t)t->byte[text[i]];
    for (size_t i = 0; i + 1 < n; i++)
        rank[i] = mbi_pair_map_get(&t->rank, id[i], id[i + 1]);
    while (n > 1) {
        size_t best = 0;

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
            rank[best] = mbi_pair_map_get(&t->rank, id[best], id[best + 1]);
        if (best > 0)
            rank[best - 1] = mbi_pair_map_get(&t->rank, id[best - 1], id[best]);
    }
    for (size_t i = 0; i < n; i++)
        add_id(out, id[i]);
}

/* ---- long pieces ---- */

/*
 * A symbol is kept at the position of its first byte; its length is that of its token, so the
 * next symbol is found from it, and the symbol before position p from start[p - 1].
 */
struct long_piece {
    const struct mbi_host *host;
    uint32_t *id;    /* of the symbol that begins here */
    uint32_t *start; /* first byte of the symbol that ends here */
    uint32_t *rank;  /* the tree; level 0 holds the rank of (symbol here, next symbol) */
    uint32_t *level[MAX_LEVELS]; /* each node is the minimum of its FAN children */
    size_t level_size[MAX_LEVELS];
    int levels;
    size_t cap;
};

static void free_long(struct long_piece *p)
{
    mbi_free(p->host, p->id);
    mbi_free(p->host, p->start);
    mbi_free(p->host, p->rank);
    *p = (struct long_piece){.host = p->host};
}

/* Sizes of the levels for n positions, each padded to whole nodes. Returns their sum. */
static size_t set_levels(struct long_piece *p, size_t n)
{
    size_t total = 0;

    p->levels = 0;
    do {
        p->level_size[p->levels] = mbi_align_size(n, FAN);
        total += p->level_size[p->levels++];
        n = (n + FAN - 1) / FAN;
    } while (n > 1);
    return total;
}

/* About 12.3 bytes for each byte of the piece. */
static bool reserve_long(struct long_piece *p, size_t n)
{
    const size_t total = set_levels(p, n);

    if (n > p->cap) {
        free_long(p);
        set_levels(p, n);
        p->id = mbi_alloc(p->host, n, sizeof(*p->id));
        p->start = mbi_alloc(p->host, n, sizeof(*p->start));
        p->rank = mbi_alloc(p->host, total, sizeof(*p->rank));
        if (!p->id || !p->start || !p->rank)
            return false;
        p->cap = n;
    }
    p->level[0] = p->rank;
    for (int i = 1; i < p->levels; i++)
        p->level[i] = p->level[i - 1] + p->level_size[i - 1];
    memset(p->rank, 0xff, total * sizeof(*p->rank)); /* NO_RANK everywhere */
    return true;
}

static uint32_t node_min(const uint32_t *child)
{
    uint32_t least = child[0];

    for (int i = 1; i < FAN; i++)
        least = child[i] < least ? child[i] : least;
    return least;
}

static void set_rank(struct long_piece *p, size_t at, uint32_t rank)
{
    p->level[0][at] = rank;
    for (int i = 1; i < p->levels; i++) {
        const uint32_t least = node_min(p->level[i - 1] + at / FAN * FAN);

        at /= FAN;
        if (p->level[i][at] == least)
            return;
        p->level[i][at] = least;
    }
}

/* Position of the lowest rank, the leftmost of equals; false if no pair is a merge. */
static bool find_lowest(size_t *at, const struct long_piece *p)
{
    const uint32_t least = node_min(p->level[p->levels - 1]);
    size_t node = 0;

    if (least == NO_RANK)
        return false;
    for (int i = p->levels - 1; i >= 0; i--) {
        node *= FAN;
        while (p->level[i][node] != least)
            node++;
    }
    *at = node;
    return true;
}

static void join(struct long_piece *p, const struct mbi_tokenizer *t, size_t at, size_t n)
{
    const uint32_t made = t->result[p->level[0][at]];
    const size_t right = at + mbi_token_len(t, p->id[at]);
    const size_t end = at + mbi_token_len(t, made);

    p->id[at] = made;
    p->start[end - 1] = (uint32_t)at;
    set_rank(p, right, NO_RANK);
    set_rank(p, at, end < n ? mbi_pair_map_get(&t->rank, made, p->id[end]) : NO_RANK);
    if (at > 0) {
        const uint32_t before = p->start[at - 1];

        set_rank(p, before, mbi_pair_map_get(&t->rank, p->id[before], made));
    }
}

static void fill_long(struct long_piece *p, const struct mbi_tokenizer *t, const uint8_t *text,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p->id[i] = (uint32_t)t->byte[text[i]];
        p->start[i] = (uint32_t)i;
    }
    for (size_t i = 0; i + 1 < n; i++)
        p->level[0][i] = mbi_pair_map_get(&t->rank, p->id[i], p->id[i + 1]);
    for (int i = 1; i < p->levels; i++)
        for (size_t k = 0; k < p->level_size[i - 1] / FAN; k++)
            p->level[i][k] = node_min(p->level[i - 1] + k * FAN);
}

static int32_t encode_long(struct mbi_buf *out, struct long_piece *p, const struct mbi_tokenizer *t,
                           const uint8_t *text, size_t n, mambaint_error *err)
{
    size_t at;

    if (n >= UINT32_MAX)
        return mbi_fail(err, MAMBAINT_E_RANGE, "encode: a word of %zu bytes is too long", n);
    if (!reserve_long(p, n))
        return mbi_fail_memory(err, "encoding a long word");
    fill_long(p, t, text, n);
    while (find_lowest(&at, p))
        join(p, t, at, n);
    for (size_t i = 0; i < n; i += mbi_token_len(t, p->id[i]))
        add_id(out, p->id[i]);
    return MAMBAINT_OK;
}

/* ---- text ---- */

static int32_t encode_pieces(struct mbi_buf *out, struct long_piece *p,
                             const struct mbi_tokenizer *t, const char *text, size_t len,
                             mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    while (len > 0 && rc >= 0) {
        const size_t n = mbi_pretokenize(t->pre, text, len);

        if (n <= SHORT_PIECE)
            encode_short(out, t, (const uint8_t *)text, n);
        else
            rc = encode_long(out, p, t, (const uint8_t *)text, n, err);
        text += n;
        len -= n;
    }
    return rc;
}

/* Text without special tokens. */
static int32_t encode_plain(struct mbi_buf *out, struct long_piece *p,
                            const struct mbi_tokenizer *t, const char *text, size_t len,
                            mambaint_error *err)
{
    struct mbi_buf normal;
    int32_t rc;

    if (!t->nfc || len == 0)
        return encode_pieces(out, p, t, text, len, err);
    mbi_buf_init(&normal, out->host);
    if ((rc = mbi_normalize_nfc(&normal, text, len, err)) >= 0)
        rc = encode_pieces(out, p, t, (const char *)normal.data, normal.size, err);
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

static int32_t encode_special(struct mbi_buf *out, struct long_piece *p,
                              const struct mbi_tokenizer *t, const char *text, size_t len,
                              mambaint_error *err)
{
    size_t begin = 0, pos = 0;
    int32_t rc = MAMBAINT_OK;

    while (pos < len && rc >= 0) {
        const int32_t id = match_control(t, text + pos, len - pos);

        if (id < 0) {
            pos++;
            continue;
        }
        rc = encode_plain(out, p, t, text + begin, pos - begin, err);
        add_id(out, (uint32_t)id);
        pos += mbi_token_len(t, (uint32_t)id);
        begin = pos;
    }
    return rc < 0 ? rc : encode_plain(out, p, t, text + begin, len - begin, err);
}

int32_t mbi_tokenizer_encode(struct mbi_buf *out, const struct mbi_tokenizer *t, const char *text,
                             size_t len, uint32_t flags, mambaint_error *err)
{
    const size_t start = out->size;
    struct long_piece p = {.host = out->host};
    int32_t rc;

    if (len == 0) /* text may be NULL then */
        return MAMBAINT_OK;
    if (flags & MBI_ENCODE_SPECIAL)
        rc = encode_special(out, &p, t, text, len, err);
    else
        rc = encode_plain(out, &p, t, text, len, err);
    free_long(&p);
    if (rc >= 0 && out->failed)
        rc = mbi_fail_memory(err, "the encoded text");
    if (rc < 0)
        out->size = start;
    return rc;
}
