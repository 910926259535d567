/* SPDX-License-Identifier: Apache-2.0 */
/* Merkle trees with pruned openings of several leaves. */
#include "proof/merkle.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"
#include <assert.h>

/* ---- building ---- */

#define GRAIN 128 /* nodes, some ten microseconds */

/* From 1 to MBI_MERKLE_MAX leaves. */
static bool is_size(size_t n) { return (uint64_t)n - 1 < MBI_MERKLE_MAX; }

size_t mbi_merkle_size(size_t n)
{
    size_t total = 0;

    if (!is_size(n) || n > SIZE_MAX / sizeof(struct mbi_digest) / 4)
        return 0;
    for (; n > 1; n -= n / 2)
        total += n;
    return total + 1; /* at most 2 n + 32 */
}

struct leaves {
    struct mbi_digest *out;
    mbi_leaf_fn *leaf;
    void *arg;
};

static void hash_leaves(void *arg, size_t begin, size_t end)
{
    const struct leaves *l = arg;

    l->leaf(l->arg, l->out + begin, begin, end);
}

void mbi_merkle_leaves(struct mbi_digest *tree, size_t n, const struct mbi_host *host, size_t grain,
                       mbi_leaf_fn *leaf, void *arg)
{
    struct leaves l = {tree, leaf, arg};

    mbi_parallel_for(host, n, grain, hash_leaves, &l);
}

#define LANES MBI_HASH_LANES
#define WORDS 16 /* of a block of the hash */

static const uint64_t zeros[LANES];

/* Nodes above eight pairs. */
static void hash_eight_pairs(struct mbi_digest *to, const struct mbi_digest *from,
                             const struct mbi_field_kernels *k)
{
    uint64_t m[WORDS / 2][LANES];
    const uint64_t *word[WORDS];
    struct mbi_hash_lanes h;

    for (size_t i = 0; i < WORDS / 2; i++) {
        for (size_t l = 0; l < LANES; l++)
            m[i][l] = mbi_load64(from[2 * l + i / 4].byte + 8 * (i % 4));
        word[i] = m[i];
        word[i + WORDS / 2] = zeros;
    }
    mbi_hash_lanes_init(&h, MBI_HASH_NODE, NULL);
    k->hash_block(*h.h, word, sizeof(m) / LANES, true);
    mbi_hash_lanes_end(&h, to);
}

struct level {
    const struct mbi_digest *from;
    struct mbi_digest *to;
};

static void hash_pairs(void *arg, size_t begin, size_t end)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_best();
    const struct level *l = arg;

    for (; k->hash_block && begin + LANES <= end; begin += LANES)
        hash_eight_pairs(&l->to[begin], l->from + 2 * begin, k);
    for (size_t i = begin; i < end; i++)
        mbi_hash_node(&l->to[i], l->from + 2 * i);
}

const struct mbi_digest *mbi_merkle_build(struct mbi_digest *tree, size_t n,
                                          const struct mbi_host *host)
{
    for (; n > 1; n -= n / 2) {
        struct level l = {tree, tree + n};

        mbi_parallel_for(host, n / 2, GRAIN, hash_pairs, &l);
        if (n & 1)
            l.to[n / 2] = tree[n - 1];
        tree += n;
    }
    return tree;
}

/* ---- leaves that are columns ---- */

#define ABREAST 16 /* columns, so that a row of the matrix is read by cache lines */
#define TILE 32    /* elements of each */
#define MAX_WIDTH 8

/* Elements of `rows` rows from `row` on, column after column of the n from `first` on. */
static void gather(uint8_t tile[ABREAST][8 * TILE], const struct mbi_columns *m, size_t row,
                   size_t rows, size_t first, size_t n)
{
    for (size_t r = 0; r < rows; r++) {
        const mbi_fe *from = m->data + (row + r) * m->stride + first * m->width;

        for (size_t c = 0; c < n; c++)
            for (size_t k = 0; k < m->width; k++)
                mbi_store64(tile[c] + 8 * (r * m->width + k), *from++);
    }
}

static void hash_some(struct mbi_digest *out, const struct mbi_columns *m, size_t first, size_t n)
{
    const size_t step = TILE / m->width;
    uint8_t tile[ABREAST][8 * TILE];
    struct mbi_hash hash[ABREAST];

    for (size_t c = 0; c < n; c++)
        mbi_hash_init(&hash[c], MBI_HASH_LEAF,
                      m->salt ? m->salt + (first + c) * MBI_SALT_SIZE : NULL);
    for (size_t row = 0; row < m->rows; row += step) {
        const size_t rows = mbi_min_size(step, m->rows - row);

        gather(tile, m, row, rows, first, n);
        for (size_t c = 0; c < n; c++)
            mbi_hash_add(&hash[c], tile[c], 8 * rows * m->width);
    }
    for (size_t c = 0; c < n; c++)
        mbi_hash_end(&hash[c], out[c].byte);
}

/* Ask for the lines of the next block early: they are as far apart as rows. */
static void prefetch_rows(const struct mbi_columns *m, size_t row, size_t first)
{
    for (size_t end = mbi_min_size(row + WORDS, m->rows); row < end; row++)
        MBI_PREFETCH(m->data + row * m->stride + first);
}

/* Eight columns of elements of F: a row's entries are a word of eight messages as they lie. */
static void hash_eight(struct mbi_digest *out, const struct mbi_columns *m, size_t first,
                       const struct mbi_field_kernels *k)
{
    const uint64_t *word[WORDS];
    struct mbi_hash_lanes h;
    size_t row = 0;

    mbi_hash_lanes_init(&h, MBI_HASH_LEAF, m->salt ? m->salt + first * MBI_SALT_SIZE : NULL);
    do {
        const size_t rows = mbi_min_size(WORDS, m->rows - row);

        for (size_t i = 0; i < WORDS; i++)
            word[i] = i < rows ? m->data + (row + i) * m->stride + first : zeros;
        row += rows;
        prefetch_rows(m, row, first);
        k->hash_block(*h.h, word, 8 * (uint64_t)row, row == m->rows);
    } while (row < m->rows);
    mbi_hash_lanes_end(&h, out);
}

void mbi_hash_columns(void *arg, struct mbi_digest *out, size_t begin, size_t end)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_best();
    const struct mbi_columns *m = arg;

    for (; k->hash_block && m->width == 1 && begin + LANES <= end; begin += LANES, out += LANES)
        hash_eight(out, m, begin, k);
    assert(m->width > 0 && m->width <= MAX_WIDTH);
    for (; begin < end; begin += ABREAST, out += ABREAST)
        hash_some(out, m, begin, mbi_min_size(ABREAST, end - begin));
}

/* ---- which nodes an opening has ---- */

/* Going through the known nodes of one level in order. */
struct walk {
    const uint32_t *pos;
    size_t m, i;
    uint32_t last; /* node of the level */
    unsigned level;
};

/* Past the positions under `node`. */
static void skip(struct walk *w, uint32_t node)
{
    while (w->i < w->m && w->pos[w->i] >> w->level == node)
        w->i++;
}

/* The next node of the level that is needed and not known: the sibling of a known one. */
static bool next_missing(uint32_t *node, struct walk *w)
{
    while (w->i < w->m) {
        const uint32_t at = w->pos[w->i] >> w->level;

        skip(w, at);
        *node = at ^ 1;
        if (at & 1)
            return true; /* had its sibling been known, it would have been skipped */
        if (at == w->last)
            continue; /* alone */
        if (w->i == w->m || w->pos[w->i] >> w->level != at + 1)
            return true;
        skip(w, at + 1);
    }
    return false;
}

/* Levels have an end: `last` becomes 0 after 32 of them at most. */
static void walk_start(struct walk *w, size_t n, const uint32_t *pos, size_t m)
{
    *w = (struct walk){.pos = pos, .m = m, .last = (uint32_t)(n - 1)};
}

static void walk_up(struct walk *w)
{
    w->i = 0;
    w->last >>= 1;
    w->level++;
}

bool mbi_merkle_count(size_t *count, size_t n, const uint32_t *pos, size_t m)
{
    struct walk w;
    uint32_t node;

    *count = 0;
    if (!is_size(n) || !m || pos[m - 1] > n - 1)
        return false;
    for (size_t i = 1; i < m; i++)
        if (pos[i - 1] > pos[i])
            return false;
    for (walk_start(&w, n, pos, m); w.last; walk_up(&w))
        while (next_missing(&node, &w))
            (*count)++; /* at most 32 m, and what is opened is in memory */
    return true;
}

void mbi_merkle_open(struct mbi_digest *out, const struct mbi_digest *tree, size_t n,
                     const uint32_t *pos, size_t m)
{
    struct walk w;
    uint32_t node;

    for (walk_start(&w, n, pos, m); w.last; walk_up(&w)) {
        while (next_missing(&node, &w))
            *out++ = tree[node];
        tree += (size_t)w.last + 1;
    }
}

/* ---- verifying ---- */

/* A node that is known. */
struct slot {
    struct mbi_digest digest;
    uint32_t at;
};

struct path {
    const uint8_t *next;
    size_t left;
};

size_t mbi_merkle_scratch(size_t m)
{
    return m <= SIZE_MAX / sizeof(struct slot) ? m * sizeof(struct slot) : 0;
}

/* Sorted positions below n, each once; 0 for others and for different leaves at one position. */
static size_t place(struct slot *s, size_t n, const uint32_t *pos, const struct mbi_digest *leaf,
                    size_t m)
{
    size_t known = 0;

    for (size_t i = 0; i < m; i++) {
        if (pos[i] >= n || (i && pos[i] < pos[i - 1]))
            return 0;
        if (i && pos[i] == pos[i - 1]) {
            if (memcmp(&leaf[i], &leaf[i - 1], sizeof(*leaf)) != 0)
                return 0;
            continue;
        }
        s[known].digest = leaf[i];
        s[known++].at = pos[i];
    }
    return known;
}

/* The parent of s[0], whose sibling is s[1] or the next of the path. Returns how many it took. */
static size_t join(struct slot *parent, const struct slot *s, size_t known, struct path *path)
{
    const unsigned odd = s->at & 1;
    const bool paired = !odd && known > 1 && s[1].at == s->at + 1;
    struct mbi_digest pair[2];

    pair[odd] = s->digest;
    if (paired) {
        pair[1] = s[1].digest;
    } else if (path->left) {
        memcpy(&pair[!odd], path->next, sizeof(*pair));
        path->next += sizeof(*pair);
        path->left--;
    } else {
        return 0;
    }
    parent->at = s->at >> 1; /* parent may be s */
    mbi_hash_node(&parent->digest, pair);
    return paired ? 2 : 1;
}

/* From the known nodes of a level to those of the next, in place; 0 if the path is too short. */
static size_t climb(struct slot *s, size_t known, uint32_t last, struct path *path)
{
    size_t above = 0, taken;

    for (size_t i = 0; i < known; i += taken, above++) {
        if (s[i].at == last && !(last & 1)) { /* alone: goes up as it is */
            s[above].digest = s[i].digest;
            s[above].at = last >> 1;
            taken = 1;
        } else if (!(taken = join(&s[above], s + i, known - i, path))) {
            return 0;
        }
    }
    return above;
}

/* One pass for each level, over slots that become fewer: no recursion, nothing allocated. */
bool mbi_merkle_verify(const struct mbi_digest *root, size_t n, const uint32_t *pos,
                       const struct mbi_digest *leaf, size_t m, const uint8_t *path, size_t n_path,
                       void *scratch)
{
    struct path rest = {path, n_path};
    struct slot *s = scratch;
    size_t known;

    if (!is_size(n) || !mbi_merkle_scratch(m))
        return false;
    known = place(s, n, pos, leaf, m);
    for (uint32_t last = (uint32_t)(n - 1); last && known; last >>= 1)
        known = climb(s, known, last, &rest);
    return known == 1 && !rest.left && !memcmp(&s->digest, root, sizeof(*root));
}

/* ---- in a proof ---- */

void mbi_put_opening(struct mbi_proof_writer *w, const struct mbi_digest *tree, size_t n,
                     const uint32_t *pos, size_t m)
{
    struct mbi_digest *path = NULL;
    size_t count;
    const bool right = mbi_merkle_count(&count, n, pos, m);

    assert(right);
    if (!right || (count && !(path = mbi_alloc(w->bytes.host, count, sizeof(*path))))) {
        w->bytes.failed = true;
        return;
    }
    mbi_merkle_open(path, tree, n, pos, m);
    mbi_put_bytes(w, "path", path, count * sizeof(*path));
    mbi_free(w->bytes.host, path);
}

void mbi_get_opening(struct mbi_proof_reader *r, const struct mbi_digest *root, size_t n,
                     const uint32_t *pos, const struct mbi_digest *leaf, size_t m, void *scratch)
{
    const uint8_t *path;
    size_t count;

    if (!mbi_merkle_count(&count, n, pos, m) || count > SIZE_MAX / sizeof(*root)) {
        mbi_refuse(r, "the opened positions are not ones of the tree in order");
        return;
    }
    path = mbi_get_view(count * sizeof(*root), r, "path");
    if (path && !mbi_merkle_verify(root, n, pos, leaf, m, path, count, scratch))
        mbi_refuse(r, "opened leaves and path do not lead to the root");
}
#endif
