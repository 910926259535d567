/* SPDX-License-Identifier: Apache-2.0 */
/* Files to windows of tokens, windows to batches. */
#include "train/data.h"
#include "base/intmath.h"
#include "base/philox.h"
#include "sample/document.h"
#include "train/jsonl.h"
#include <string.h>

#define GROUP_BYTES ((size_t)1 << 18) /* of text that one thread encodes in a row */

/* What the generator is asked for: the upper half of its counter, beside the source. */
enum { DRAW_SOURCE = 1, DRAW_ORDER, DRAW_START };

static uint64_t domain(int what, uint32_t source) { return (uint64_t)what << 40 | source; }

/* ---- encoding, a group of documents or lines at a time ---- */

struct group {
    size_t begin, end; /* bytes of the text */
    size_t line;       /* number of its first line */
    struct mbi_sequences seq;
    int32_t status;
    mambaint_error err;
};

struct encoding {
    const struct mbi_tokenizer *t;
    enum mbi_data_kind kind;
    const char *text, *name;
    size_t len;
    struct group *group;
    size_t n_groups;
};

static int32_t encode_documents(struct group *g, const struct encoding *e)
{
    const int32_t eot = mbi_tokenizer_eot(e->t);
    size_t pos = g->begin, len;
    const char *doc;
    bool separated;
    int32_t rc = MAMBAINT_OK;

    while (rc >= 0 && mbi_document_next(&doc, &len, &separated, e->text, g->end, &pos)) {
        if (!len)
            continue;
        mbi_buf_add(&g->seq.input, &eot, sizeof(eot));
        rc = mbi_tokenizer_encode(&g->seq.input, e->t, doc, len, 0, &g->err);
    }
    return rc;
}

static int32_t encode_lines(struct group *g, const struct encoding *e)
{
    size_t number = g->line;
    int32_t rc = MAMBAINT_OK;

    for (size_t at = g->begin; rc >= 0 && at < g->end; number++) {
        const char *line = e->text + at;
        const char *stop = memchr(line, '\n', g->end - at);
        const size_t len = stop ? (size_t)(stop - line) : g->end - at;

        if (len)
            rc = mbi_jsonl_add(&g->seq, e->t, line, len, number, e->name, &g->err);
        at += len + 1;
    }
    return rc;
}

static void encode_groups(void *arg, size_t begin, size_t end)
{
    const struct encoding *e = arg;

    for (size_t i = begin; i < end; i++) {
        struct group *g = &e->group[i];

        g->status = e->kind == MBI_DATA_TEXT ? encode_documents(g, e) : encode_lines(g, e);
        if (g->status >= 0 && mbi_sequences_failed(&g->seq))
            g->status = mbi_fail_memory(&g->err, "a data file");
    }
}

/* End of the piece (document with separator, or line) that holds or follows byte `at`. */
static size_t piece_end(const struct encoding *e, size_t at)
{
    const size_t back = at < sizeof(MBI_DOCUMENT_SEPARATOR) ? at : sizeof(MBI_DOCUMENT_SEPARATOR);
    const char *doc, *stop;
    size_t len;
    bool separated;

    if (e->kind == MBI_DATA_TEXT) {
        at -= back; /* a separator may have begun before */
        mbi_document_next(&doc, &len, &separated, e->text, e->len, &at);
        return at;
    }
    stop = memchr(e->text + at, '\n', e->len - at);
    return stop ? (size_t)(stop - e->text) + 1 : e->len;
}

static size_t count_lines(const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += text[i] == '\n';
    return n;
}

/* Borders depend on the text alone. The first pass counts, the second fills. */
static size_t cut_groups(struct encoding *e, const struct mbi_host *host)
{
    size_t n = 0, line = 1;

    for (size_t at = 0; at < e->len; n++) {
        const size_t want = mbi_min_size(e->len, at + GROUP_BYTES);
        const size_t end = want < e->len ? piece_end(e, want) : e->len;

        if (e->group) {
            struct group *g = &e->group[n];

            g->begin = at;
            g->end = end;
            g->line = line;
            line += e->kind == MBI_DATA_JSONL ? count_lines(e->text + at, end - at) : 0;
            mbi_sequences_init(&g->seq, host);
        }
        at = end;
    }
    return n;
}

/* ---- joining the groups ---- */

enum part { PART_INPUT, PART_TARGET, PART_LOSS, PART_LENGTH };

static struct mbi_buf *part_of(struct mbi_sequences *s, enum part part)
{
    switch (part) {
    case PART_INPUT:
        return &s->input;
    case PART_TARGET:
        return &s->target;
    case PART_LOSS:
        return &s->loss;
    default:
        return &s->length;
    }
}

/* One part of all groups, in order; the groups' own are freed. */
static void *join(const struct mbi_host *host, const struct encoding *e, size_t *total,
                  enum part which)
{
    size_t at = 0;
    uint8_t *all;

    *total = 0;
    for (size_t i = 0; i < e->n_groups; i++)
        *total += part_of(&e->group[i].seq, which)->size;
    if (!(all = mbi_alloc(host, *total + 1, 1)))
        return NULL;
    for (size_t i = 0; i < e->n_groups; i++) {
        struct mbi_buf *part = part_of(&e->group[i].seq, which);

        if (part->size)
            memcpy(all + at, part->data, part->size);
        at += part->size;
        mbi_buf_free(part);
    }
    return all;
}

/* ---- packing sequences into windows ---- */

struct packing {
    const uint32_t *length; /* of each sequence */
    size_t n, room;         /* of a window: context + 1, because the last position may be cut off */
    uint32_t *bin;          /* of each sequence; UINT32_MAX if it is left out */
    uint32_t *next, *first; /* open bins by room that is left: lists */
    uint32_t n_bins;
};

static size_t packed_length(const struct packing *p, size_t i)
{
    return p->length[i] & MBI_SEQUENCE_ALONE ? p->room : mbi_min_size(p->length[i], p->room);
}

/* Best fit: the fullest bin that still has room. */
static void place(struct packing *p, size_t i)
{
    const size_t need = packed_length(p, i);
    size_t left = need;
    uint32_t bin;

    while (left <= p->room && p->first[left] == UINT32_MAX)
        left++;
    if (left > p->room) {
        bin = p->n_bins++;
        left = p->room;
    } else {
        bin = p->first[left];
        p->first[left] = p->next[bin];
    }
    p->bin[i] = bin;
    p->next[bin] = p->first[left - need];
    p->first[left - need] = bin;
}

/* Longest first; `order` and `count` are memory for the sort. */
static void place_all(struct packing *p, uint32_t *order, size_t *count)
{
    size_t at = 0;

    memset(count, 0, (p->room + 2) * sizeof(*count));
    for (size_t i = 0; i < p->n; i++)
        count[packed_length(p, i)]++;
    for (size_t len = p->room + 1; len-- > 0;) {
        const size_t n = count[len];

        count[len] = at;
        at += n;
    }
    for (size_t i = 0; i < p->n; i++)
        order[count[packed_length(p, i)]++] = (uint32_t)i;
    for (size_t i = 0; i <= p->room; i++)
        p->first[i] = UINT32_MAX;
    for (size_t i = 0; i < p->n; i++)
        place(p, order[i]);
}

/* Length of the part of sequence i that goes into its window. */
static size_t kept_length(const struct packing *p, size_t i)
{
    return mbi_min_size(p->length[i] & ~MBI_SEQUENCE_ALONE, p->room);
}

/* Rewrite the tokens bin by bin, sequences of a bin in the order of the file. */
static int32_t rewrite(struct mbi_source *s, const struct packing *p, mambaint_error *err)
{
    const struct mbi_host *host = s->host;
    int32_t *input = mbi_alloc(host, s->n + 1, sizeof(*input));
    int32_t *target = mbi_alloc(host, s->n + 1, sizeof(*target));
    uint8_t *loss = mbi_alloc(host, s->n + 1, 1);
    size_t from = 0, total = 0;

    if (!input || !target || !loss) {
        mbi_free(host, input);
        mbi_free(host, target);
        mbi_free(host, loss);
        return mbi_fail_memory(err, "a data file");
    }
    for (size_t i = 0; i < p->n; i++)
        s->window[p->bin[i] + 1] += kept_length(p, i);
    for (size_t b = 0; b < p->n_bins; b++) {
        const size_t n = s->window[b + 1];

        s->window[b + 1] = total; /* where the next sequence of this bin goes */
        total += n;
    }
    for (size_t i = 0; i < p->n; i++) {
        const size_t n = kept_length(p, i), to = s->window[p->bin[i] + 1];

        memcpy(input + to, s->input + from, n * sizeof(*input));
        memcpy(target + to, s->target + from, n * sizeof(*target));
        memcpy(loss + to, s->loss + from, n);
        s->window[p->bin[i] + 1] += n;
        s->n_cut += n < (p->length[i] & ~MBI_SEQUENCE_ALONE);
        from += p->length[i] & ~MBI_SEQUENCE_ALONE;
    }
    mbi_free(host, s->input);
    mbi_free(host, s->target);
    mbi_free(host, s->loss);
    s->input = input;
    s->target = target;
    s->loss = loss;
    s->n = total;
    return MAMBAINT_OK;
}

static int32_t pack(struct mbi_source *s, const uint32_t *length, size_t n, uint32_t context,
                    mambaint_error *err)
{
    const struct mbi_host *host = s->host;
    struct packing p = {.length = length, .n = n, .room = (size_t)context + 1};
    uint32_t *order = mbi_alloc(host, n + 1, sizeof(*order));
    size_t *count = mbi_alloc(host, p.room + 2, sizeof(*count));
    int32_t rc;

    p.bin = mbi_alloc(host, n + 1, sizeof(*p.bin));
    p.next = mbi_alloc(host, n + 1, sizeof(*p.next));
    p.first = mbi_alloc(host, p.room + 1, sizeof(*p.first));
    if (!order || !count || !p.bin || !p.next || !p.first) {
        rc = mbi_fail_memory(err, "a data file");
    } else {
        place_all(&p, order, count);
        s->n_windows = p.n_bins;
        s->window = mbi_alloc(host, s->n_windows + 1, sizeof(*s->window));
        rc = s->window ? rewrite(s, &p, err) : mbi_fail_memory(err, "a data file");
    }
    mbi_free(host, order);
    mbi_free(host, count);
    mbi_free(host, p.bin);
    mbi_free(host, p.next);
    mbi_free(host, p.first);
    return rc;
}

/* ---- a source ---- */

static void digest_source(struct mbi_source *s)
{
    struct mbi_blake2b h;

    mbi_blake2b_init(&h);
    mbi_blake2b_add_field(&h, s->input, s->n * sizeof(*s->input));
    if (s->window) {
        mbi_blake2b_add_field(&h, s->target, s->n * sizeof(*s->target));
        mbi_blake2b_add_field(&h, s->loss, s->n);
        mbi_blake2b_add_field(&h, s->window, (s->n_windows + 1) * sizeof(*s->window));
    }
    mbi_blake2b_end(&h, s->digest);
}

static int32_t collect(struct mbi_source *s, const struct encoding *e, uint32_t context,
                       mambaint_error *err)
{
    const bool packed = e->kind == MBI_DATA_JSONL;
    uint32_t *length = NULL;
    size_t size = 0, n_length = 0;
    int32_t rc = MAMBAINT_OK;

    s->input = join(s->host, e, &size, PART_INPUT);
    s->n = size / sizeof(*s->input);
    if (packed) {
        s->target = join(s->host, e, &size, PART_TARGET);
        s->loss = join(s->host, e, &size, PART_LOSS);
        length = join(s->host, e, &n_length, PART_LENGTH);
    }
    if (!s->input || (packed && (!s->target || !s->loss || !length)))
        rc = mbi_fail_memory(err, "a data file");
    else if (!s->n)
        rc = mbi_fail(err, MAMBAINT_E_FORMAT, "'%.150s' holds nothing to train on", e->name);
    else if (packed)
        rc = pack(s, length, n_length / sizeof(*length), context, err);
    else
        s->n_windows = s->n / context + (s->n % context != 0);
    mbi_free(s->host, length);
    return rc;
}

static int32_t encode(struct mbi_source *s, struct encoding *e, uint32_t context,
                      mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    e->n_groups = cut_groups(e, s->host);
    if (!(e->group = mbi_alloc(s->host, e->n_groups + 1, sizeof(*e->group))))
        return mbi_fail_memory(err, "a data file");
    cut_groups(e, s->host);
    mbi_parallel_for(s->host, e->n_groups, 1, encode_groups, e);
    for (size_t i = 0; rc >= 0 && i < e->n_groups; i++)
        if ((rc = e->group[i].status) < 0 && err)
            *err = e->group[i].err;
    if (rc >= 0)
        rc = collect(s, e, context, err);
    for (size_t i = 0; i < e->n_groups; i++)
        mbi_sequences_free(&e->group[i].seq);
    mbi_free(s->host, e->group);
    return rc;
}

int32_t mbi_source_create(struct mbi_source **out, const struct mbi_host *host,
                          const struct mbi_tokenizer *t, enum mbi_data_kind kind, const char *text,
                          size_t len, const char *name, uint32_t context, mambaint_error *err)
{
    struct encoding e = {.t = t, .kind = kind, .text = text, .name = name, .len = len};
    struct mbi_source *s = mbi_alloc(host, 1, sizeof(*s));
    int32_t rc;

    *out = NULL;
    if (!s)
        return mbi_fail_memory(err, "a data file");
    s->host = host;
    if ((rc = encode(s, &e, context, err)) < 0) {
        mbi_source_free(s);
        return rc;
    }
    digest_source(s);
    *out = s;
    return MAMBAINT_OK;
}

void mbi_source_free(struct mbi_source *s)
{
    if (!s)
        return;
    mbi_free(s->host, s->input);
    mbi_free(s->host, s->target);
    mbi_free(s->host, s->loss);
    mbi_free(s->host, s->window);
    mbi_free(s->host, s);
}

/* ---- choosing ---- */

/*
 * A Feistel network over the smallest even number of bits that holds n - 1, walked until it lands
 * below n: a bijection of [0, n), since the walk from a point below n returns below n. The square
 * is smaller than 4 n, so four steps on average at most. n <= 2^48.
 */
uint64_t mbi_permute(uint64_t k, uint64_t n, uint64_t seed, uint32_t source, uint64_t pass)
{
    const int bits = (mbi_bitlen(n - 1) + 1) / 2;
    const uint64_t mask = ((uint64_t)1 << bits) - 1;

    do {
        uint64_t left = k >> bits, right = k & mask;

        for (uint64_t round = 0; round < 4; round++) {
            uint32_t word[4];
            const uint64_t old = right;

            mbi_philox(word, seed, right | round << 32 | pass << 34, domain(DRAW_ORDER, source));
            right = left ^ (word[0] & mask);
            left = old;
        }
        k = left << bits | right;
    } while (k >= n);
    return k;
}

static size_t choose_source(const struct mbi_mix *mix, uint64_t draw)
{
    uint64_t total = 0, x;
    uint32_t word[4];
    size_t s = 0;

    for (size_t i = 0; i < mix->n_sources; i++)
        total += mix->weight_q16[i];
    mbi_philox(word, mix->seed, draw, domain(DRAW_SOURCE, 0));
    x = (word[0] * total) >> 32; /* total < 2^31 */
    while (x >= mix->weight_q16[s])
        x -= mix->weight_q16[s++];
    return s;
}

/* Copies one window; positions past its end read end of text and do not count. */
static void fill_window(const struct mbi_mix *mix, size_t s, uint64_t nth, int32_t *input,
                        int32_t *target, float *weight)
{
    const struct mbi_source *src = mix->source[s];
    const uint64_t pass = nth / src->n_windows;
    const uint64_t k =
        mbi_permute(nth % src->n_windows, src->n_windows, mix->seed, (uint32_t)s, pass);
    uint32_t word[4];

    if (!src->window) {
        size_t at;

        mbi_philox(word, mix->seed, pass, domain(DRAW_START, (uint32_t)s));
        at = (size_t)((k * mix->context + word[0] % src->n) % src->n);
        for (size_t i = 0; i < mix->context; i++) {
            input[i] = src->input[at];
            at = at + 1 < src->n ? at + 1 : 0;
            target[i] = src->input[at];
            weight[i] = 1;
        }
        return;
    }
    for (size_t i = 0, at = src->window[k]; i < mix->context; i++, at++) {
        const bool inside = at < src->window[k + 1];

        input[i] = inside ? src->input[at] : mix->eot;
        target[i] = inside ? src->target[at] : mix->eot;
        weight[i] = inside && src->loss[at] ? 1 : 0;
    }
}

void mbi_mix_clear(struct mbi_mix *mix)
{
    for (size_t i = 0; i < mix->n_sources; i++)
        mbi_source_free(mix->source[i]);
    *mix = (struct mbi_mix){.n_sources = 0};
}

void mbi_mix_fill(struct mbi_mix *mix, uint64_t step, int32_t *input, int32_t *target,
                  float *weight)
{
    const uint64_t first = step * mix->batch;

    if (mix->next > first) {
        mix->next = 0;
        memset(mix->drawn, 0, sizeof(mix->drawn));
    }
    for (; mix->next < first; mix->next++)
        mix->drawn[choose_source(mix, mix->next)]++;
    for (size_t b = 0; b < mix->batch; b++, mix->next++) {
        const size_t s = choose_source(mix, mix->next), at = b * mix->context;

        fill_window(mix, s, mix->drawn[s]++, input + at, target + at, weight + at);
    }
}

static void fill_from_mix(void *self, uint64_t step, int32_t *input, int32_t *target, float *weight)
{
    mbi_mix_fill(self, step, input, target, weight);
}

struct mbi_batch_source mbi_mix_batches(struct mbi_mix *mix)
{
    return (struct mbi_batch_source){fill_from_mix, mix};
}
