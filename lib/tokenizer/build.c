/* SPDX-License-Identifier: Apache-2.0 */
/* Making a tokenizer step by step, with every check that a stored or imported one must pass. */
#include "tokenizer/build.h"
#include "base/intmath.h"
#include "base/utf8.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/spelling.h"
#include "tokenizer/unicode.h"

#define MIN_VOCAB 257u /* every byte and an end of text */

/* One token in the sorted list; the first eight bytes of its spelling settle most comparisons. */
struct mbi_token_order {
    uint64_t prefix;
    uint32_t id;
};

struct spelling {
    const uint8_t *at;
    size_t len;
};

/* ---- the sorted list ---- */

/* Big endian, zeros after the end. */
static uint64_t prefix_of(const struct spelling *s)
{
    uint64_t prefix = 0;

    for (size_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (i < s->len ? s->at[i] : 0u);
    return prefix;
}

static struct spelling spelling_of(const struct mbi_tokenizer_build *b, uint32_t id)
{
    const uint32_t begin = b->spelled_begin[id];

    return (struct spelling){b->spelled.data + begin, b->spelled_begin[id + 1] - begin};
}

static int compare_bytes(const struct spelling *x, const struct spelling *y)
{
    const int order = memcmp(x->at, y->at, mbi_min_size(x->len, y->len));

    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static int compare(const struct mbi_tokenizer_build *b, uint64_t prefix, const struct spelling *s,
                   const struct mbi_token_order *other)
{
    struct spelling spelling;

    if (prefix != other->prefix)
        return prefix < other->prefix ? -1 : 1;
    spelling = spelling_of(b, other->id);
    return compare_bytes(s, &spelling);
}

static bool in_order(const struct mbi_tokenizer_build *b, const struct mbi_token_order *x,
                     const struct mbi_token_order *y)
{
    const struct spelling s = spelling_of(b, x->id);

    return compare(b, x->prefix, &s, y) <= 0;
}

/* Merge the sorted runs from[lo..mid) and from[mid..hi) into to[lo..hi). */
static void merge_runs(const struct mbi_tokenizer_build *b, struct mbi_token_order *to,
                       const struct mbi_token_order *from, size_t lo, size_t mid, size_t hi)
{
    size_t x = lo, y = mid;

    for (size_t k = lo; k < hi; k++) {
        const bool take_x = x < mid && (y == hi || in_order(b, &from[x], &from[y]));

        to[k] = take_x ? from[x++] : from[y++];
    }
}

/* Merge sort, so that no file can make it slow; `spare` is as large as the list. */
static void sort_tokens(struct mbi_tokenizer_build *b, struct mbi_token_order *spare)
{
    const size_t n = b->n_tokens;
    struct mbi_token_order *from = b->order, *to = spare;

    for (size_t width = 1; width < n; width *= 2) {
        struct mbi_token_order *const swap = from;

        for (size_t lo = 0; lo < n; lo += 2 * width)
            merge_runs(b, to, from, lo, mbi_min_size(lo + width, n),
                       mbi_min_size(lo + 2 * width, n));
        from = to;
        to = swap;
    }
    if (from != b->order)
        memcpy(b->order, from, n * sizeof(*from));
}

/* Id of the token with this stored spelling, or -1. */
static int32_t find(const struct mbi_tokenizer_build *b, const struct spelling *s)
{
    const uint64_t prefix = prefix_of(s);
    size_t lo = 0, hi = b->n_tokens;

    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        const int order = compare(b, prefix, s, &b->order[mid]);

        if (order == 0)
            return (int32_t)b->order[mid].id;
        if (order > 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

/* ---- tokens ---- */

int32_t mbi_tokenizer_build_begin(struct mbi_tokenizer_build *b, const struct mbi_host *host,
                                  enum mbi_pretokenizer pre, bool nfc, uint32_t vocab,
                                  mambaint_error *err)
{
    struct mbi_tokenizer *t;

    *b = (struct mbi_tokenizer_build){.host = host};
    mbi_buf_init(&b->bytes, host);
    mbi_buf_init(&b->spelled, host);
    if (pre != MBI_PRE_GPT2 && pre != MBI_PRE_CL100K)
        return mbi_fail(err, MAMBAINT_E_INVALID, "tokenizer: unknown pre-tokenizer %d", (int)pre);
    if (vocab < MIN_VOCAB || vocab > MBI_MAX_VOCAB)
        return mbi_fail(err, MAMBAINT_E_RANGE, "tokenizer: %u tokens; allowed are %u to %u", vocab,
                        MIN_VOCAB, MBI_MAX_VOCAB);
#if !MBI_HAVE_UTF8PROC
    if (nfc)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "tokenizer: it needs NFC, and this library was built without utf8proc");
#endif
    if (!(b->t = t = mbi_alloc(host, 1, sizeof(*t))))
        return mbi_fail_memory(err, "a tokenizer");
    atomic_init(&t->refs, 1);
    t->host = host;
    t->pre = pre;
    t->nfc = nfc;
    t->vocab = vocab;
    for (size_t i = 0; i < 256; i++)
        t->byte[i] = -1;
    t->begin = mbi_alloc(host, (size_t)vocab + 1, sizeof(*t->begin));
    t->kind = mbi_alloc(host, vocab, sizeof(*t->kind));
    b->spelled_begin = mbi_alloc(host, (size_t)vocab + 1, sizeof(*b->spelled_begin));
    b->order = mbi_alloc(host, vocab, sizeof(*b->order));
    if (!t->begin || !t->kind || !b->spelled_begin || !b->order)
        return mbi_fail_memory(err, "a tokenizer");
    return MAMBAINT_OK;
}

/* A special token's spelling is printed and searched for: it must be plain text. */
static bool is_plain_text(const uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t code;
        const int step = mbi_utf8_decode(&code, text + i, len - i);

        if (step <= 0 || code < 0x20 || code == 0x7f)
            return false;
        i += (size_t)step;
    }
    return true;
}

static int32_t check_token(const struct mbi_tokenizer_build *b, const uint8_t *bytes, size_t len,
                           uint32_t kind, mambaint_error *err)
{
    if (b->n_tokens >= b->t->vocab)
        return mbi_fail(err, MAMBAINT_E_INVALID, "tokenizer: more than the announced %u tokens",
                        b->t->vocab);
    if (kind != MBI_TOKEN_NORMAL && kind != MBI_TOKEN_CONTROL && kind != MBI_TOKEN_UNUSED)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "tokenizer: token %u has type %u; known are 1 normal, 3 control, 5 unused",
                        b->n_tokens, kind);
    if (len == 0 || len > MBI_MAX_TOKEN_BYTES)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "tokenizer: token %u has %zu bytes, not 1 to %u",
                        b->n_tokens, len, MBI_MAX_TOKEN_BYTES);
    if (kind != MBI_TOKEN_NORMAL && !is_plain_text(bytes, len))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "tokenizer: the spelling of special token %u is not plain UTF-8 text",
                        b->n_tokens);
    return MAMBAINT_OK;
}

int32_t mbi_tokenizer_build_token(struct mbi_tokenizer_build *b, const void *bytes, size_t len,
                                  uint32_t kind, mambaint_error *err)
{
    struct mbi_tokenizer *t = b->t;
    const int32_t rc = check_token(b, bytes, len, kind, err);
    const uint8_t *raw = bytes;
    char spelled[2 * MBI_MAX_TOKEN_BYTES];

    if (rc < 0)
        return rc;
    if (kind == MBI_TOKEN_NORMAL) {
        mbi_buf_add(&b->spelled, spelled, mbi_spell(spelled, raw, len));
        if (len == 1)
            t->byte[raw[0]] = (int32_t)b->n_tokens;
    } else {
        mbi_buf_add(&b->spelled, raw, len);
    }
    mbi_buf_add(&b->bytes, raw, len);
    if (b->spelled.failed || b->bytes.failed)
        return mbi_fail_memory(err, "the tokens");
    t->kind[b->n_tokens] = kind;
    b->n_tokens++;
    /* At most 2^17 tokens of at most 2^9 bytes as spelled: the offsets fit in 32 bits. */
    t->begin[b->n_tokens] = (uint32_t)b->bytes.size;
    b->spelled_begin[b->n_tokens] = (uint32_t)b->spelled.size;
    return MAMBAINT_OK;
}

int32_t mbi_tokenizer_build_spelled(struct mbi_tokenizer_build *b, const char *text, size_t len,
                                    uint32_t kind, mambaint_error *err)
{
    uint8_t raw[2 * MBI_MAX_TOKEN_BYTES];
    size_t n;

    if (kind != MBI_TOKEN_NORMAL)
        return mbi_tokenizer_build_token(b, text, len, kind, err);
    n = len <= sizeof(raw) ? mbi_unspell(raw, text, len) : SIZE_MAX;
    if (n == SIZE_MAX)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "tokenizer: token %u is too long or not in the byte spelling of GPT-2",
                        b->n_tokens);
    return mbi_tokenizer_build_token(b, raw, n, kind, err);
}

static int32_t check_tokens(const struct mbi_tokenizer_build *b, mambaint_error *err)
{
    for (uint32_t i = 1; i < b->n_tokens; i++) {
        const struct spelling s = spelling_of(b, b->order[i].id);

        if (compare(b, b->order[i].prefix, &s, &b->order[i - 1]) == 0)
            return mbi_fail(err, MAMBAINT_E_FORMAT, "tokenizer: tokens %u and %u are the same",
                            b->order[i - 1].id, b->order[i].id);
    }
    for (uint32_t i = 0; i < 256; i++)
        if (b->t->byte[i] < 0)
            return mbi_fail(err, MAMBAINT_E_FORMAT, "tokenizer: no token for the byte %02x", i);
    return MAMBAINT_OK;
}

int32_t mbi_tokenizer_build_seal(struct mbi_tokenizer_build *b, mambaint_error *err)
{
    struct mbi_token_order *spare;

    if (b->n_tokens != b->t->vocab)
        return mbi_fail(err, MAMBAINT_E_INVALID, "tokenizer: %u tokens instead of %u", b->n_tokens,
                        b->t->vocab);
    for (uint32_t i = 0; i < b->n_tokens; i++) {
        const struct spelling s = spelling_of(b, i);

        b->order[i] = (struct mbi_token_order){prefix_of(&s), i};
    }
    if (!(spare = mbi_alloc(b->host, b->n_tokens, sizeof(*spare))))
        return mbi_fail_memory(err, "the list of tokens");
    sort_tokens(b, spare);
    mbi_free(b->host, spare);
    return check_tokens(b, err);
}

/* ---- merges ---- */

static bool is_normal(const struct mbi_tokenizer_build *b, int32_t id)
{
    return id >= 0 && (uint32_t)id < b->n_tokens && b->t->kind[id] == MBI_TOKEN_NORMAL;
}

static int32_t add_merge(struct mbi_tokenizer_build *b, const uint32_t merge[3],
                         mambaint_error *err)
{
    struct mbi_tokenizer *t = b->t;

    if (t->n_merges == b->merge_cap) {
        const uint32_t cap = b->merge_cap ? 2 * b->merge_cap : 1024;
        uint32_t *const pairs = mbi_realloc(b->host, t->merge, cap, 2 * sizeof(*pairs));
        uint32_t *const results =
            pairs ? mbi_realloc(b->host, t->result, cap, sizeof(*results)) : NULL;

        if (pairs)
            t->merge = pairs;
        if (!results)
            return mbi_fail_memory(err, "the merges");
        t->result = results;
        b->merge_cap = cap;
    }
    t->merge[2 * (size_t)t->n_merges] = merge[0];
    t->merge[2 * (size_t)t->n_merges + 1] = merge[1];
    t->result[t->n_merges++] = merge[2];
    return MAMBAINT_OK;
}

int32_t mbi_tokenizer_build_merge(struct mbi_tokenizer_build *b, int32_t left, int32_t right,
                                  mambaint_error *err)
{
    uint8_t text[4 * MBI_MAX_TOKEN_BYTES]; /* two spellings */
    struct spelling x, y, both;
    int32_t result;

    if (b->t->n_merges >= MBI_MAX_MERGES)
        return mbi_fail(err, MAMBAINT_E_RANGE, "tokenizer: more than %u merges", MBI_MAX_MERGES);
    if (!is_normal(b, left) || !is_normal(b, right))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "tokenizer: merge %u joins what is no normal token",
                        b->t->n_merges);
    x = spelling_of(b, (uint32_t)left);
    y = spelling_of(b, (uint32_t)right);
    memcpy(text, x.at, x.len);
    memcpy(text + x.len, y.at, y.len);
    both = (struct spelling){text, x.len + y.len};
    result = find(b, &both);
    if (!is_normal(b, result))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "tokenizer: merge %u makes what is no normal token of the vocabulary",
                        b->t->n_merges);
    return add_merge(b, (uint32_t[]){(uint32_t)left, (uint32_t)right, (uint32_t)result}, err);
}

int32_t mbi_tokenizer_build_merge_text(struct mbi_tokenizer_build *b, const char *text, size_t len,
                                       mambaint_error *err)
{
    const uint8_t *const at = (const uint8_t *)text;
    const uint8_t *const space = len ? memchr(at, ' ', len) : NULL; /* no spelling holds a space */
    struct spelling left, right;

    if (!space)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "tokenizer: merge %u is not two tokens with a space between them",
                        b->t->n_merges);
    left = (struct spelling){at, (size_t)(space - at)};
    right = (struct spelling){space + 1, len - left.len - 1};
    return mbi_tokenizer_build_merge(b, find(b, &left), find(b, &right), err);
}

/* ---- the finished tokenizer ---- */

static int32_t set_special(struct mbi_tokenizer_build *b, int32_t eot, const int32_t role[5],
                           mambaint_error *err)
{
    struct mbi_tokenizer *t = b->t;

    t->eot = eot;
    t->role[0] = -1;
    for (int i = MBI_ROLE_SYSTEM; i <= MBI_ROLE_END; i++)
        t->role[i] = role[i] < 0 ? -1 : role[i];
    for (int i = 0; i <= MBI_ROLE_END; i++) {
        const int32_t id = i ? t->role[i] : eot;

        if (i && id < 0)
            continue;
        if (id < 0 || (uint32_t)id >= t->vocab || t->kind[id] != MBI_TOKEN_CONTROL)
            return mbi_fail(err, MAMBAINT_E_FORMAT,
                            "tokenizer: id %d for %s is not a control token", id,
                            i ? "a role" : "the end of text");
        for (int k = 0; k < i; k++)
            if (id == (k ? t->role[k] : eot))
                return mbi_fail(err, MAMBAINT_E_FORMAT,
                                "tokenizer: token %d has two meanings in the turn format", id);
    }
    return MAMBAINT_OK;
}

/* Special tokens are sorted by their own bytes, so the control tokens come out in order. */
static int32_t set_control(struct mbi_tokenizer_build *b, mambaint_error *err)
{
    struct mbi_tokenizer *t = b->t;
    uint32_t n = 0;

    for (uint32_t i = 0; i < t->vocab; i++)
        n += t->kind[i] == MBI_TOKEN_CONTROL;
    if (!(t->control = mbi_alloc(b->host, n, sizeof(*t->control))))
        return mbi_fail_memory(err, "the control tokens");
    for (uint32_t i = 0; i < t->vocab; i++)
        if (t->kind[b->order[i].id] == MBI_TOKEN_CONTROL) {
            t->control[t->n_control++] = b->order[i].id;
            t->begins_control[mbi_token_bytes(t, b->order[i].id)[0]] = true;
        }
    return MAMBAINT_OK;
}

static void add_field32(struct mbi_blake2b *s, uint32_t v)
{
    uint8_t bytes[4];

    mbi_store32(bytes, v);
    mbi_blake2b_add_field(s, bytes, sizeof(bytes));
}

static void add_field_text(struct mbi_blake2b *s, const char *text)
{
    mbi_blake2b_add_field(s, text, strlen(text));
}

/*
 * The tokenizer digest is the BLAKE2b-256 of these, where a field is a length (u64, little endian)
 * and then the bytes: field "mambaint-tokenizer-1"; field with the name of the pre-tokenizer;
 * field with the Unicode version; field with one byte, NFC 0 or 1; field with the number of tokens
 * (u32); for each token a field with its kind (one byte) and its bytes; field with the number of
 * merges (u32); for each merge, without a length, the left and the right id (u32 each); field with
 * six i32: the ids of the end of text, -1, system, user, assistant, end of turn; -1 where there is
 * none. Numbers are little endian.
 */
static void set_digest(struct mbi_tokenizer *t)
{
    struct mbi_blake2b s;
    const uint8_t nfc = t->nfc;
    uint8_t bytes[1 + MBI_MAX_TOKEN_BYTES];

    mbi_blake2b_init(&s);
    add_field_text(&s, "mambaint-tokenizer-1");
    add_field_text(&s, mbi_pretokenizer_name(t->pre));
    add_field_text(&s, MBI_UNICODE_VERSION);
    mbi_blake2b_add_field(&s, &nfc, 1);
    add_field32(&s, t->vocab);
    for (uint32_t i = 0; i < t->vocab; i++) {
        bytes[0] = (uint8_t)t->kind[i];
        memcpy(bytes + 1, mbi_token_bytes(t, i), mbi_token_len(t, i));
        mbi_blake2b_add_field(&s, bytes, 1 + (size_t)mbi_token_len(t, i));
    }
    add_field32(&s, t->n_merges);
    for (size_t i = 0; i < t->n_merges; i++) {
        mbi_store32(bytes, t->merge[2 * i]);
        mbi_store32(bytes + 4, t->merge[2 * i + 1]);
        mbi_blake2b_add(&s, bytes, 8);
    }
    mbi_store32(bytes, (uint32_t)t->eot);
    for (size_t i = 0; i < 5; i++)
        mbi_store32(bytes + 4 + 4 * i, (uint32_t)t->role[i]);
    mbi_blake2b_add_field(&s, bytes, 24);
    mbi_blake2b_end(&s, t->digest);
}

static int32_t set_ranks(struct mbi_tokenizer_build *b, mambaint_error *err)
{
    struct mbi_tokenizer *t = b->t;

    if (!mbi_rank_map_init(&t->rank, b->host, t->n_merges, t->digest))
        return mbi_fail_memory(err, "the table of merges");
    for (uint32_t i = 0; i < t->n_merges; i++)
        if (!mbi_rank_map_add(&t->rank, t->merge[2 * (size_t)i], t->merge[2 * (size_t)i + 1], i))
            return mbi_fail(err, MAMBAINT_E_FORMAT, "tokenizer: merge %u occurs twice", i);
    return MAMBAINT_OK;
}

static void set_inside(struct mbi_tokenizer *t)
{
    for (uint32_t id = 0; id < t->vocab; id++) {
        const uint8_t *const bytes = mbi_token_bytes(t, id);

        for (uint32_t i = 1; t->kind[id] == MBI_TOKEN_NORMAL && i < mbi_token_len(t, id); i++)
            t->inside[(size_t)bytes[i - 1] << 5 | bytes[i] >> 3] |= (uint8_t)(1u << (bytes[i] & 7));
    }
}

int32_t mbi_tokenizer_build_finish(struct mbi_tokenizer **out, struct mbi_tokenizer_build *b,
                                   int32_t eot, const int32_t role[5], mambaint_error *err)
{
    struct mbi_tokenizer *t = b->t;
    int32_t rc;

    *out = NULL;
    mbi_buf_add_zero(&b->bytes, MBI_TOKEN_PADDING);
    if (b->bytes.failed) {
        mbi_tokenizer_build_abort(b);
        return mbi_fail_memory(err, "the tokens");
    }
    t->bytes = b->bytes.data; /* moves to the tokenizer */
    mbi_buf_init(&b->bytes, b->host);
    if ((rc = set_special(b, eot, role, err)) >= 0 && (rc = set_control(b, err)) >= 0) {
        set_inside(t);
        set_digest(t);
        rc = set_ranks(b, err);
    }
    if (rc >= 0) {
        *out = t;
        b->t = NULL;
    }
    mbi_tokenizer_build_abort(b);
    return rc;
}

void mbi_tokenizer_build_abort(struct mbi_tokenizer_build *b)
{
    mbi_buf_free(&b->bytes);
    mbi_buf_free(&b->spelled);
    mbi_free(b->host, b->spelled_begin);
    mbi_free(b->host, b->order);
    mbi_tokenizer_unref(b->t);
    *b = (struct mbi_tokenizer_build){.host = b->host};
}
