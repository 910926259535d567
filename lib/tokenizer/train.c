/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second half of training: again and again join the pair of symbols that occurs most often in
 * the words. Each pair has the list of the places where it occurs, so a merge touches only these,
 * and a heap finds the next pair. All counts are exact, so nothing depends on the order of the
 * documents.
 *
 * The count of a pair is the number of adjacent places in all words, each weighted with how often
 * the word occurs; places that overlap ("aaa" holds the pair a, a twice) count each. A merge joins
 * them from the left. Pairs that would make a token of more than MBI_MAX_TOKEN_BYTES stay apart.
 */
#include "base/intmath.h"
#include "tokenizer/build.h"
#include "tokenizer/pair_map.h"
#include "tokenizer/count.h"
#include <stdio.h>

#define FIRST_BYTE 16u /* id of byte 0 */
#define FIRST_MERGE (FIRST_BYTE + 256u)
#define NONE UINT32_MAX
#define PROGRESS_EVERY 64u

/* One place in a word. Its pair is (this symbol, the next one); all such places are chained. */
struct place {
    uint32_t id, word;
    uint32_t next, before;   /* neighbours in the word */
    uint32_t later, earlier; /* places of the same pair, in rising order */
};

struct pair {
    uint64_t count; /* below 2^64: it is at most the bytes of the text */
    uint32_t left, right;
    uint32_t first, last; /* places */
};

/* A pair in the heap, with its count when it was put there; counts only fall after that. */
struct candidate {
    uint64_t count;
    uint32_t pair;
};

struct join {
    const struct mbi_host *host;
    const struct mbi_words *words;
    struct mbi_tokenizer_build *build;
    struct place *place;
    struct pair *pair;
    struct candidate *heap; /* as much room as for pairs, each of which is in it at most once */
    uint32_t n_pairs, cap_pairs, n_heap;
    struct mbi_pair_map map;
    int32_t *merge; /* ids, two for each */
    uint32_t n_merges;
};

/* ---- places and pairs ---- */

static bool make_room(struct join *j)
{
    const uint32_t cap = j->cap_pairs ? 2 * j->cap_pairs : 4096;
    struct pair *pair;
    struct candidate *heap;

    if (j->n_pairs < j->cap_pairs)
        return true;
    if (j->cap_pairs > NONE / 2 || !(pair = mbi_realloc(j->host, j->pair, cap, sizeof(*pair))))
        return false;
    j->pair = pair;
    if (!(heap = mbi_realloc(j->host, j->heap, cap, sizeof(*heap))))
        return false;
    j->heap = heap;
    j->cap_pairs = cap;
    return true;
}

static uint32_t find_pair(const struct join *j, uint32_t at)
{
    const struct place *p = &j->place[at];

    return mbi_pair_map_get(&j->map, p->id, j->place[p->next].id);
}

/* The place `at` now begins a pair: count it and put it last in the pair's chain. */
static bool add_place(struct join *j, uint32_t at)
{
    struct place *p = &j->place[at];
    const uint32_t left = p->id, right = j->place[p->next].id;
    uint32_t index = mbi_pair_map_get(&j->map, left, right);
    struct pair *pair;

    if (index == MBI_PAIR_NONE) {
        index = j->n_pairs;
        if (!make_room(j) || !mbi_pair_map_add(&j->map, j->host, left, right, index))
            return false;
        j->pair[j->n_pairs++] = (struct pair){0, left, right, NONE, NONE};
    }
    pair = &j->pair[index];
    pair->count += j->words->word[p->word].count;
    p->later = NONE;
    p->earlier = pair->last;
    *(pair->last == NONE ? &pair->first : &j->place[pair->last].later) = at;
    pair->last = at;
    return true;
}

static void remove_place(struct join *j, uint32_t at)
{
    const struct place *p = &j->place[at];
    struct pair *pair = &j->pair[find_pair(j, at)];

    pair->count -= j->words->word[p->word].count;
    *(p->earlier == NONE ? &pair->first : &j->place[p->earlier].later) = p->later;
    *(p->later == NONE ? &pair->last : &j->place[p->later].earlier) = p->earlier;
}

/* Symbols `at` and the next one become one. */
static bool join_at(struct join *j, uint32_t at, uint32_t made)
{
    struct place *p = &j->place[at];
    const uint32_t gone = p->next, before = p->before, after = j->place[gone].next;

    if (before != NONE)
        remove_place(j, before);
    remove_place(j, at);
    if (after != NONE) {
        remove_place(j, gone);
        j->place[after].before = at;
    }
    p->id = made;
    p->next = after;
    return (before == NONE || add_place(j, before)) && (after == NONE || add_place(j, at));
}

/* ---- the heap ---- */

/* More occurrences first, then the smaller left id, then the smaller right id. */
static bool is_better(const struct join *j, const struct candidate *x, const struct candidate *y)
{
    const struct pair *p = &j->pair[x->pair], *q = &j->pair[y->pair];

    if (x->count != y->count)
        return x->count > y->count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static void push(struct join *j, uint32_t pair)
{
    const struct candidate c = {j->pair[pair].count, pair};
    uint32_t at = j->n_heap++;

    while (at > 0 && is_better(j, &c, &j->heap[(at - 1) / 2])) {
        j->heap[at] = j->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    j->heap[at] = c;
}

static struct candidate pop(struct join *j)
{
    const struct candidate top = j->heap[0], last = j->heap[--j->n_heap];
    uint32_t at = 0;

    for (;;) {
        uint64_t child = 2 * (uint64_t)at + 1;

        if (child + 1 < j->n_heap && is_better(j, &j->heap[child + 1], &j->heap[child]))
            child++;
        if (child >= j->n_heap || !is_better(j, &j->heap[child], &last))
            break;
        j->heap[at] = j->heap[child];
        at = (uint32_t)child;
    }
    j->heap[at] = last;
    return top;
}

/* Offer the pairs from number `first` on. All are new, so none is in the heap yet. */
static void offer(struct join *j, uint32_t first)
{
    for (uint32_t i = first; i < j->n_pairs; i++) {
        const struct pair *p = &j->pair[i];

        if (p->count >= 2 &&
            mbi_token_len(j->build->t, p->left) + mbi_token_len(j->build->t, p->right) <=
                MBI_MAX_TOKEN_BYTES)
            push(j, i);
    }
}

/* The best pair, or NONE. A pair whose count fell since it was put there goes back with the new. */
static uint32_t best_pair(struct join *j)
{
    while (j->n_heap > 0) {
        const struct candidate c = pop(j);

        if (j->pair[c.pair].count == c.count)
            return c.pair;
        if (j->pair[c.pair].count >= 2)
            push(j, c.pair);
    }
    return NONE;
}

/* ---- from words to merges ---- */

static int32_t count_places(size_t *total, const struct mbi_words *w, mambaint_error *err)
{
    *total = 0;
    for (uint32_t i = 0; i < w->n; i++)
        if (w->word[i].len > 1 && !mbi_add_size(total, *total, w->word[i].len))
            *total = SIZE_MAX;
    if (*total >= NONE)
        return mbi_fail(err, MAMBAINT_E_RANGE,
                        "training: the different words have more than 4 GiB; use less text");
    return MAMBAINT_OK;
}

/* Words of one symbol have no pair and are left out. */
static bool place_words(struct join *j)
{
    uint32_t n = 0;

    for (uint32_t w = 0; w < j->words->n; w++) {
        const uint32_t len = j->words->word[w].len, begin = n;
        const uint8_t *const bytes = mbi_word_bytes(j->words, w);

        for (uint32_t i = 0; len > 1 && i < len; i++, n++)
            j->place[n] = (struct place){.id = FIRST_BYTE + bytes[i],
                                         .word = w,
                                         .next = i + 1 < len ? n + 1 : NONE,
                                         .before = i > 0 ? n - 1 : NONE};
        for (uint32_t at = begin; at < n; at++)
            if (j->place[at].next != NONE && !add_place(j, at))
                return false;
    }
    return true;
}

/* A key that depends on all words: no text can be made whose pairs collide under it. */
static void words_digest(uint8_t key[MBI_DIGEST_SIZE], const struct mbi_words *w)
{
    struct mbi_blake2b s;

    mbi_blake2b_init(&s);
    for (uint32_t i = 0; i < w->n; i++) {
        uint8_t count[8];

        mbi_store64(count, w->word[i].count);
        mbi_blake2b_add(&s, count, sizeof(count));
        mbi_blake2b_add_field(&s, mbi_word_bytes(w, i), w->word[i].len);
    }
    mbi_blake2b_end(&s, key);
}

static int32_t join_begin(struct join *j, uint32_t merges, mambaint_error *err)
{
    uint8_t key[MBI_DIGEST_SIZE];
    size_t total;
    const int32_t rc = count_places(&total, j->words, err);

    if (rc < 0)
        return rc;
    words_digest(key, j->words);
    j->place = mbi_alloc(j->host, mbi_max_size(total, 1), sizeof(*j->place));
    j->merge = mbi_alloc(j->host, mbi_max_size(merges, 1), 2 * sizeof(*j->merge));
    if (!j->place || !j->merge || !mbi_pair_map_init(&j->map, j->host, 4096, key) ||
        !place_words(j))
        return mbi_fail_memory(err, "the pairs of the training text");
    offer(j, 0);
    return MAMBAINT_OK;
}

static void join_end(struct join *j)
{
    mbi_free(j->host, j->place);
    mbi_free(j->host, j->pair);
    mbi_free(j->host, j->heap);
    mbi_free(j->host, j->merge);
    mbi_pair_map_free(&j->map, j->host);
}

/* Give the pair's token its place in the vocabulary. */
static int32_t name_pair(struct join *j, uint32_t index, mambaint_error *err)
{
    const struct pair pair = j->pair[index];
    const struct mbi_tokenizer *t = j->build->t;
    const uint8_t *const bytes = j->build->bytes.data;
    const uint32_t left = mbi_token_len(t, pair.left), right = mbi_token_len(t, pair.right);
    uint8_t joined[MBI_MAX_TOKEN_BYTES];

    memcpy(joined, bytes + t->begin[pair.left], left);
    memcpy(joined + left, bytes + t->begin[pair.right], right);
    j->merge[2 * (size_t)j->n_merges] = (int32_t)pair.left;
    j->merge[2 * (size_t)j->n_merges + 1] = (int32_t)pair.right;
    j->n_merges++;
    return mbi_tokenizer_build_token(j->build, joined, left + right, MBI_TOKEN_NORMAL, err);
}

static int32_t join_best(struct join *j, uint32_t wanted, mambaint_error *err)
{
    const uint32_t index = best_pair(j), first_new = j->n_pairs, made = FIRST_MERGE + j->n_merges;
    int32_t rc;

    if (index == NONE)
        return mbi_fail(err, MAMBAINT_E_RANGE,
                        "training: the text allows %u merges (pairs that occur twice), not %u; "
                        "ask for a vocabulary of at most %u",
                        j->n_merges, wanted, FIRST_MERGE + j->n_merges);
    if ((rc = name_pair(j, index, err)) < 0)
        return rc;
    /* The chain rises, so occurrences that overlap are joined from the left. */
    while (j->pair[index].first != NONE)
        if (!join_at(j, j->pair[index].first, made))
            return mbi_fail_memory(err, "the pairs of the training text");
    offer(j, first_new);
    return MAMBAINT_OK;
}

static const int32_t own_role[5] = {-1, 1, 2, 3, 4};

static int32_t add_unused(struct mbi_tokenizer_build *b, uint32_t id, mambaint_error *err)
{
    char name[24];
    const int n = snprintf(name, sizeof(name), "<|unused%u|>", id);

    return mbi_tokenizer_build_token(b, name, (size_t)n, MBI_TOKEN_UNUSED, err);
}

/* Ids 0 to 271: the special tokens of the turn format, unused ones, the bytes. */
static int32_t add_fixed(struct mbi_tokenizer_build *b, mambaint_error *err)
{
    static const char *const special[] = {"<|endoftext|>", "<|system|>", "<|user|>",
                                          "<|assistant|>", "<|endofturn|>"};
    int32_t rc = MAMBAINT_OK;

    for (uint32_t i = 0; rc >= 0 && i < FIRST_BYTE; i++)
        rc = i < MBI_COUNT(special) ? mbi_tokenizer_build_token(b, special[i], strlen(special[i]),
                                                                MBI_TOKEN_CONTROL, err)
                                    : add_unused(b, i, err);
    for (uint32_t i = 0; rc >= 0 && i < 256; i++) {
        const uint8_t byte = (uint8_t)i;

        rc = mbi_tokenizer_build_token(b, &byte, 1, MBI_TOKEN_NORMAL, err);
    }
    return rc;
}

int32_t mbi_tokenizer_trainer_build(struct mbi_tokenizer **out, struct mbi_tokenizer_trainer *tr,
                                    uint32_t vocab,
                                    void (*progress)(void *user, uint32_t done, uint32_t of),
                                    void *user, mambaint_error *err)
{
    const uint32_t merges = vocab - FIRST_MERGE;
    struct mbi_tokenizer_build b;
    struct join j = {.host = tr->host, .build = &b};
    int32_t rc;

    *out = NULL;
    if (vocab < FIRST_MERGE || vocab > MBI_MAX_VOCAB)
        return mbi_fail(err, MAMBAINT_E_RANGE, "training: a vocabulary of %u; allowed are %u to %u",
                        vocab, FIRST_MERGE, MBI_MAX_VOCAB);
    if ((rc = mbi_tokenizer_trainer_words(&j.words, tr, err)) < 0)
        return rc;
    if ((rc = mbi_tokenizer_build_begin(&b, tr->host, tr->pre, false, vocab, err)) >= 0 &&
        (rc = add_fixed(&b, err)) >= 0)
        rc = join_begin(&j, merges, err);
    while (rc >= 0 && j.n_merges < merges) {
        rc = join_best(&j, merges, err);
        if (progress && (j.n_merges % PROGRESS_EVERY == 0 || j.n_merges == merges))
            progress(user, j.n_merges, merges);
    }
    if (rc >= 0)
        rc = mbi_tokenizer_build_seal(&b, err);
    for (size_t i = 0; rc >= 0 && i < merges; i++)
        rc = mbi_tokenizer_build_merge(&b, j.merge[2 * i], j.merge[2 * i + 1], err);
    join_end(&j);
    if (rc >= 0)
        return mbi_tokenizer_build_finish(out, &b, 0, own_role, err);
    mbi_tokenizer_build_abort(&b);
    return rc;
}

int32_t mbi_tokenizer_plain(struct mbi_tokenizer **out, const struct mbi_host *host,
                            enum mbi_pretokenizer pre, uint32_t vocab, mambaint_error *err)
{
    struct mbi_tokenizer_build b;
    int32_t rc;

    *out = NULL;
    if (vocab < FIRST_MERGE || vocab > MBI_MAX_VOCAB)
        return mbi_fail(err, MAMBAINT_E_RANGE,
                        "tokenizer: a vocabulary of %u; allowed are %u to %u", vocab, FIRST_MERGE,
                        MBI_MAX_VOCAB);
    if ((rc = mbi_tokenizer_build_begin(&b, host, pre, false, vocab, err)) >= 0)
        rc = add_fixed(&b, err);
    for (uint32_t i = FIRST_MERGE; rc >= 0 && i < vocab; i++)
        rc = add_unused(&b, i, err);
    if (rc >= 0 && (rc = mbi_tokenizer_build_seal(&b, err)) >= 0)
        return mbi_tokenizer_build_finish(out, &b, 0, own_role, err);
    mbi_tokenizer_build_abort(&b);
    return rc;
}
