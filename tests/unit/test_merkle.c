/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: Merkle trees and their pruned openings. */
#include "base/intmath.h"
#include "proof/merkle.h"
#include "support.h"
#include "vectors.h"

#define VECTORS "golden/proof_stream.txt"

static void setup(void) { ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK); }

static struct mbi_host pooled(uint32_t threads)
{
    struct mbi_host host;

    mbi_host_default(&host);
    test_that(mbi_pool_create(&host.pool, &host, threads, NULL) == MAMBAINT_OK);
    return host;
}

static bool same(const struct mbi_digest *a, const struct mbi_digest *b)
{
    return !memcmp(a, b, sizeof(*a));
}

/* ---- a tree with one opening ---- */

struct opened {
    size_t n, m, count;
    struct mbi_digest *tree, *leaf, *path;
    uint32_t *pos;
    const struct mbi_digest *root;
    void *scratch;
};

static void *block(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);

    test_that(p);
    return p;
}

/* Leaf j of every tree here: "leaf", u32 j, some of the pattern. */
static void hash_contents(void *arg, struct mbi_digest *out, size_t begin, size_t end)
{
    (void)arg;
    for (size_t j = begin; j < end; j++) {
        uint8_t content[48] = {'l', 'e', 'a', 'f'};

        mbi_store32(content + 4, (uint32_t)j);
        vectors_pattern(content + 8, j % 40);
        mbi_hash_leaf(&out[j - begin], content, 8 + j % 40, NULL);
    }
}

static struct mbi_digest *make_tree(size_t n, const struct mbi_host *host)
{
    const size_t size = mbi_merkle_size(n);
    struct mbi_digest *tree = block(size, sizeof(*tree));

    mbi_merkle_leaves(tree, n, host, 3, hash_contents, NULL);
    test_that(mbi_merkle_build(tree, n, host) == tree + size - 1);
    return tree;
}

/* Opens a copy of the positions; scratch and path are exactly as long as they have to be. */
static void open_tree(struct opened *o, size_t n, const uint32_t *pos, size_t m)
{
    struct mbi_host host;

    mbi_host_default(&host);
    *o = (struct opened){.n = n, .m = m};
    o->tree = make_tree(n, &host);
    o->root = o->tree + mbi_merkle_size(n) - 1;
    o->pos = block(m, sizeof(*o->pos));
    memcpy(o->pos, pos, m * sizeof(*pos));
    test_that(mbi_merkle_count(&o->count, n, o->pos, m));
    o->path = block(o->count, sizeof(*o->path));
    mbi_merkle_open(o->path, o->tree, n, o->pos, m);
    o->leaf = block(m, sizeof(*o->leaf));
    for (size_t i = 0; i < m; i++)
        o->leaf[i] = o->tree[o->pos[i]];
    o->scratch = malloc(mbi_merkle_scratch(m));
    test_that(o->scratch);
}

static void open_free(struct opened *o)
{
    free(o->tree);
    free(o->leaf);
    free(o->path);
    free(o->pos);
    free(o->scratch);
}

static bool verify(const struct opened *o)
{
    return mbi_merkle_verify(o->root, o->n, o->pos, o->leaf, o->m, o->path->byte, o->count,
                             o->scratch);
}

/* Random positions, ascending, each once. */
static size_t random_positions(uint32_t *pos, size_t most, size_t n, struct test_random *r)
{
    const size_t m = 1 + (size_t)test_random_below(r, mbi_min_size(n, most));

    for (size_t i = 0; i < m; i++)
        pos[i] = (uint32_t)test_random_below(r, n);
    return mbi_sort_positions(pos, m);
}

static void open_random(struct opened *o, size_t most_leaves, struct test_random *r)
{
    const size_t n = 1 + (size_t)test_random_below(r, most_leaves);
    uint32_t pos[24];
    const size_t m = random_positions(pos, MBI_COUNT(pos), n, r);

    open_tree(o, n, pos, m);
}

/* ---- vectors ---- */

static void check_opening(const struct vectors *v, size_t n)
{
    const size_t m = (size_t)vectors_u64(v, 1);
    const bool whole = n <= 9 || n == 13 || n == 33 || n == 64;
    struct mbi_digest digest;
    struct opened o;
    uint32_t pos[64];

    for (size_t i = 0; i < m; i++)
        pos[i] = (uint32_t)vectors_u64(v, 2 + i);
    open_tree(&o, n, pos, m);
    test_check(o.count == vectors_u64(v, 2 + m), "line %zu: %zu digests", v->line, o.count);
    mbi_hash_grind(&digest, o.path, o.count * sizeof(*o.path));
    if (whole)
        vectors_same(v, 3 + m, o.path, o.count * sizeof(*o.path));
    else
        vectors_same(v, 3 + m, &digest, sizeof(digest));
    test_check(verify(&o), "line %zu: refused", v->line);
    open_free(&o);
}

START_TEST(trees_and_openings_equal_the_other_implementation)
{
    struct mbi_host host[3] = {pooled(1), pooled(2), pooled(3)};
    size_t n = 0, trees = 0, openings = 0;
    struct vectors v;

    setup();
    vectors_open(&v, VECTORS);
    while (vectors_next(&v)) {
        if (vectors_is(&v, "tree")) {
            n = (size_t)vectors_u64(&v, 1);
            for (int i = 0; i < 3; i++) {
                struct mbi_digest *tree = make_tree(n, &host[i]);

                vectors_same(&v, 2, tree + mbi_merkle_size(n) - 1, sizeof(*tree));
                free(tree);
            }
            trees++;
        } else if (vectors_is(&v, "open")) {
            check_opening(&v, n);
            openings++;
        }
    }
    ck_assert_uint_eq(trees, 64);
    ck_assert_uint_gt(openings, 6 * trees);
    for (int i = 0; i < 3; i++)
        mbi_pool_free(&host[i], host[i].pool);
}
END_TEST

static mbi_fe element(uint64_t i)
{
    struct mbi_digest d;
    uint8_t bytes[8];

    mbi_store64(bytes, i);
    mbi_hash_grind(&d, bytes, sizeof(bytes));
    return mbi_fe_reduce(mbi_load64(d.byte + 8), mbi_load64(d.byte));
}

/* A matrix of the vectors, its rows `gap` elements further apart than they have to be. */
struct matrix {
    struct mbi_columns columns;
    size_t n;
    mbi_fe *data;
    uint8_t *salt;
};

static void make_matrix(struct matrix *x, const struct vectors *v, size_t gap)
{
    const size_t rows = (size_t)vectors_u64(v, 1), n = (size_t)vectors_u64(v, 2);
    const size_t width = (size_t)vectors_u64(v, 3), stride = n * width + gap;

    x->n = n;
    x->data = block(rows * stride, sizeof(*x->data));
    x->salt = vectors_u64(v, 4) ? block(n, MBI_SALT_SIZE) : NULL;
    for (size_t i = 0; i < rows * n * width; i++)
        x->data[i / (n * width) * stride + i % (n * width)] = element(i);
    for (size_t j = 0; j < n && x->salt; j++) {
        mbi_store64(x->salt + MBI_SALT_SIZE * j, j + 1);
        mbi_store64(x->salt + MBI_SALT_SIZE * j + 8, UINT64_MAX - j);
    }
    x->columns = (struct mbi_columns){x->data, rows, stride, width, x->salt};
}

/* ---- eight hashes at once ---- */

/* Messages of n words, in pieces of 16 words with a next one. */
static void check_lanes(const struct mbi_field_kernels *k, size_t n, bool salted,
                        struct test_random *r)
{
    uint64_t m[64][MBI_HASH_LANES] = {{0}};
    uint8_t salt[MBI_HASH_LANES][MBI_SALT_SIZE], bytes[8 * 64];
    struct mbi_digest got[MBI_HASH_LANES], want;
    struct mbi_hash_lanes h;

    for (size_t i = 0; i < n * MBI_HASH_LANES; i++)
        m[i / MBI_HASH_LANES][i % MBI_HASH_LANES] = test_random_u64(r);
    test_random_bytes(r, salt, sizeof(salt));
    mbi_hash_lanes_init(&h, MBI_HASH_LEAF, salted ? *salt : NULL);
    for (size_t at = 0; at == 0 || at < n; at += 16) {
        const uint64_t *word[16];

        for (size_t i = 0; i < 16; i++)
            word[i] = m[at + i];
        k->hash_block(*h.h, word, 8 * mbi_min_size(at + 16, n), at + 16 >= n);
    }
    mbi_hash_lanes_end(&h, got);
    for (size_t l = 0; l < MBI_HASH_LANES; l++) {
        for (size_t i = 0; i < n; i++)
            mbi_store64(bytes + 8 * i, m[i][l]);
        mbi_hash_leaf(&want, bytes, 8 * n, salted ? salt[l] : NULL);
        test_check(same(&got[l], &want), "%s: lane %zu of %zu words", k->name, l, n);
    }
}

START_TEST(lanes_hash_as_one_message_does)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_at((size_t)_i);
    struct test_random r;

    if (!k || !k->probe() || !k->hash_block)
        return;
    setup();
    test_random_init(&r, "lanes_hash_as_one_message_does");
    for (size_t n = 0; n <= 64; n++)
        for (int salted = 0; salted < 2; salted++)
            check_lanes(k, n, salted, &r);
}
END_TEST

/* Each leaf again, by itself, from the bytes a verifier is shown. */
static void check_columns(const struct matrix *x, const struct mbi_digest *leaf)
{
    const size_t rows = x->columns.rows, width = x->columns.width;
    mbi_fe *column = block(rows * width, sizeof(*column));
    uint8_t *bytes = block(rows * width, 8);

    for (size_t j = 0; j < x->n; j++) {
        const uint8_t *salt = x->salt ? x->salt + MBI_SALT_SIZE * j : NULL;
        struct mbi_columns one = {column, rows, width, width, salt};
        struct mbi_digest digest;

        for (size_t i = 0; i < rows * width; i++) {
            column[i] = x->data[i / width * x->columns.stride + j * width + i % width];
            mbi_store64(bytes + 8 * i, column[i]);
        }
        mbi_hash_leaf(&digest, bytes, 8 * rows * width, salt);
        test_that(same(&digest, &leaf[j]));
        mbi_hash_columns(&one, &digest, 0, 1);
        test_that(same(&digest, &leaf[j]));
    }
    free(bytes);
    free(column);
}

START_TEST(columns_equal_the_other_implementation)
{
    struct mbi_host host = pooled(3);
    struct vectors v;
    size_t seen = 0;

    setup();
    vectors_open(&v, VECTORS);
    while (vectors_next(&v))
        for (size_t gap = 0; gap < 6 && vectors_is(&v, "matrix"); gap += 5) {
            struct mbi_digest *tree;
            struct matrix x;

            make_matrix(&x, &v, gap);
            tree = block(mbi_merkle_size(x.n), sizeof(*tree));
            mbi_merkle_leaves(tree, x.n, &host, 4, mbi_hash_columns, &x.columns);
            check_columns(&x, tree);
            vectors_same(&v, 5, mbi_merkle_build(tree, x.n, &host), sizeof(*tree));
            free(x.salt);
            free(x.data);
            free(tree);
            seen++;
        }
    ck_assert_uint_ge(seen, 12);
    mbi_pool_free(&host, host.pool);
}
END_TEST

/* ---- building ---- */

START_TEST(threads_build_the_same_tree)
{
    struct mbi_host host[3] = {pooled(1), pooled(2), pooled(4)};
    static const size_t size[] = {1, 2, 3, 127, 128, 129, 255, 256, 257, 1000, 4096, 5001};

    setup();
    for (size_t i = 0; i < MBI_COUNT(size); i++) {
        struct mbi_digest *tree = make_tree(size[i], &host[0]);

        for (int k = 1; k < 3; k++) {
            struct mbi_digest *other = make_tree(size[i], &host[k]);

            test_same_bytes(other, tree, mbi_merkle_size(size[i]) * sizeof(*tree));
            free(other);
        }
        free(tree);
    }
    for (int k = 0; k < 3; k++)
        mbi_pool_free(&host[k], host[k].pool);
}
END_TEST

START_TEST(sizes)
{
    static const size_t want[] = {0, 1, 3, 6, 7, 11, 12, 14, 15, 20};

    for (size_t n = 0; n < MBI_COUNT(want); n++)
        ck_assert_uint_eq(mbi_merkle_size(n), want[n]);
    ck_assert_uint_eq(mbi_merkle_size(SIZE_MAX), 0);
    ck_assert_uint_eq(mbi_merkle_scratch(SIZE_MAX), 0);
    ck_assert_uint_eq(mbi_merkle_scratch(SIZE_MAX / 4), 0);
#if SIZE_MAX > UINT32_MAX
    ck_assert_uint_eq(mbi_merkle_size(((size_t)1 << 32) + 1), 0);
    ck_assert_uint_eq(mbi_merkle_size((size_t)1 << 32), ((size_t)1 << 33) - 1);
#endif
}
END_TEST

START_TEST(a_leaf_is_no_node)
{
    struct mbi_digest pair[2], leaf, node;

    setup();
    memset(pair, 7, sizeof(pair));
    mbi_hash_leaf(&leaf, pair, sizeof(pair), NULL);
    mbi_hash_node(&node, pair);
    test_that(!same(&leaf, &node));
}
END_TEST

/* ---- opening ---- */

/* How many of the nodes below `last` have to be sent: those whose subtree has no position, but
 * whose parent's has one. */
static size_t count_plainly(size_t n, uint32_t set)
{
    bool known[32] = {false};
    size_t count = 0;

    for (size_t j = 0; j < n; j++)
        known[j] = set >> j & 1;
    for (; n > 1; n -= n / 2) {
        for (size_t i = 0; i + 1 < n; i += 2)
            count += known[i] != known[i + 1];
        for (size_t i = 0; i < n; i += 2)
            known[i / 2] = known[i] || (i + 1 < n && known[i + 1]);
    }
    return count;
}

START_TEST(every_set_of_positions_of_small_trees)
{
    setup();
    for (size_t n = 1; n <= 9; n++)
        for (uint32_t set = 1; set < 1u << n; set++) {
            uint32_t pos[9];
            struct opened o;
            size_t m = 0;

            for (uint32_t j = 0; j < n; j++)
                if (set >> j & 1)
                    pos[m++] = j;
            open_tree(&o, n, pos, m);
            test_check(o.count == count_plainly(n, set), "%zu leaves, set %x", n, set);
            test_check(verify(&o), "%zu leaves, set %x", n, set);
            open_free(&o);
        }
}
END_TEST

START_TEST(positions_that_cannot_be_opened)
{
    static const uint32_t sorted[] = {0, 3, 3, 7}, falling[] = {3, 2}, last[] = {UINT32_MAX};
    size_t count;

    test_that(mbi_merkle_count(&count, 8, sorted, 4));
    test_that(!mbi_merkle_count(&count, 7, sorted, 4) && !count);
    test_that(!mbi_merkle_count(&count, 8, sorted, 0) && !count);
    test_that(!mbi_merkle_count(&count, 0, sorted, 1) && !count);
    test_that(!mbi_merkle_count(&count, SIZE_MAX, sorted, 4) && !count);
    test_that(!mbi_merkle_count(&count, 8, falling, 2) && !count);
#if SIZE_MAX > UINT32_MAX
    test_that(mbi_merkle_count(&count, (size_t)1 << 32, last, 1) && count == 32);
    test_that(!mbi_merkle_count(&count, ((size_t)1 << 32) - 1, last, 1) && !count);
#endif
}
END_TEST

START_TEST(every_change_is_refused)
{
    struct test_random r;

    setup();
    test_random_init(&r, "every_change_is_refused");
    for (int round = 0; round < 60; round++) {
        struct opened o;
        struct mbi_digest root;

        open_random(&o, 90, &r);
        test_that(verify(&o));
        for (size_t bit = 0; bit < 256 * o.count; bit += 1 + (size_t)test_random_below(&r, 15)) {
            o.path[bit / 256].byte[bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
            test_that(!verify(&o));
            o.path[bit / 256].byte[bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t i = 0; i < o.m; i++) { /* a leaf */
            const uint8_t bit = (uint8_t)(1u << test_random_below(&r, 8));
            uint8_t *at = &o.leaf[i].byte[test_random_below(&r, 32)];

            *at ^= bit;
            test_that(!verify(&o));
            *at ^= bit;
        }
        root = *o.root; /* the root */
        root.byte[round % 32] ^= 1;
        test_that(
            !mbi_merkle_verify(&root, o.n, o.pos, o.leaf, o.m, o.path->byte, o.count, o.scratch));
        test_that(verify(&o));
        open_free(&o);
    }
}
END_TEST

START_TEST(a_path_of_another_length_is_refused)
{
    struct test_random r;

    setup();
    test_random_init(&r, "a_path_of_another_length_is_refused");
    for (int round = 0; round < 200; round++) {
        struct opened o;
        struct mbi_digest *longer;

        open_random(&o, 90, &r);
        for (size_t n = 0; n < o.count; n++) {
            struct mbi_digest *cut = block(n, sizeof(*cut)); /* a read past it would be seen */

            memcpy(cut, o.path, n * sizeof(*cut));
            test_that(!mbi_merkle_verify(o.root, o.n, o.pos, o.leaf, o.m, cut->byte, n, o.scratch));
            free(cut);
        }
        longer = block(o.count + 1, sizeof(*longer));
        memcpy(longer, o.path, o.count * sizeof(*longer));
        test_that(!mbi_merkle_verify(o.root, o.n, o.pos, o.leaf, o.m, longer->byte, o.count + 1,
                                     o.scratch));
        longer[o.count] = *o.root;
        test_that(!mbi_merkle_verify(o.root, o.n, o.pos, o.leaf, o.m, longer->byte, o.count + 1,
                                     o.scratch));
        free(longer);
        open_free(&o);
    }
}
END_TEST

static void swap(struct mbi_digest *a, struct mbi_digest *b)
{
    const struct mbi_digest c = *a;

    *a = *b;
    *b = c;
}

START_TEST(a_wrong_order_is_refused)
{
    struct test_random r;

    setup();
    test_random_init(&r, "a_wrong_order_is_refused");
    for (int round = 0; round < 100; round++) {
        struct opened o;

        open_random(&o, 90, &r);
        for (size_t i = 0; i + 1 < o.m; i++) {
            swap(&o.leaf[i], &o.leaf[i + 1]);
            test_that(!verify(&o));
            swap(&o.leaf[i], &o.leaf[i + 1]);
        }
        for (size_t i = 0; i + 1 < o.count; i++) {
            swap(&o.path[i], &o.path[i + 1]);
            test_that(!verify(&o));
            swap(&o.path[i], &o.path[i + 1]);
        }
        for (size_t i = 0; i + 1 < o.m; i++) { /* positions that fall */
            const uint32_t at = o.pos[i];

            o.pos[i] = o.pos[i + 1];
            o.pos[i + 1] = at;
            test_that(!verify(&o));
            o.pos[i + 1] = o.pos[i];
            o.pos[i] = at;
        }
        test_that(verify(&o));
        open_free(&o);
    }
}
END_TEST

/* A leaf shown for another place: every position that keeps the list in order, and some beyond. */
START_TEST(a_leaf_of_another_position_is_refused)
{
    struct test_random r;

    setup();
    test_random_init(&r, "a_leaf_of_another_position_is_refused");
    for (int round = 0; round < 60; round++) {
        struct opened o;

        open_random(&o, 60, &r);
        for (size_t i = 0; i < o.m; i++) {
            const uint32_t honest = o.pos[i];

            for (uint32_t at = 0; at < o.n + 4; at++) {
                o.pos[i] = at;
                test_that(verify(&o) == (at == honest));
            }
            o.pos[i] = UINT32_MAX;
            test_that(!verify(&o));
            o.pos[i] = honest;
        }
        open_free(&o);
    }
}
END_TEST

START_TEST(equal_positions_need_equal_leaves)
{
    static const uint32_t pos[] = {2, 5, 5, 5, 6}, once[] = {2, 5, 6};
    struct opened o, p;

    setup();
    open_tree(&o, 11, pos, 5);
    open_tree(&p, 11, once, 3);
    ck_assert_uint_eq(o.count, p.count);
    test_same_bytes(o.path, p.path, p.count * sizeof(*p.path));
    test_that(verify(&o));
    for (size_t i = 1; i <= 3; i++) {
        o.leaf[i].byte[31] ^= 128;
        test_that(!verify(&o));
        o.leaf[i].byte[31] ^= 128;
    }
    for (size_t i = 1; i <= 3; i++)
        o.leaf[i].byte[0] ^= 1;
    test_that(!verify(&o));
    open_free(&o);
    open_free(&p);
}
END_TEST

/*
 * The nodes of level 1 hash to the root as the leaves of a tree of half the size would. Who hashes
 * the content that he is shown as a leaf cannot be shown them.
 */
START_TEST(a_node_is_not_taken_for_a_leaf)
{
    uint32_t pos[8];
    struct opened o;

    setup();
    for (uint32_t i = 0; i < 8; i++)
        pos[i] = i;
    open_tree(&o, 16, pos, 8);
    for (size_t i = 0; i < 8; i++) /* the content is two digests */
        mbi_hash_leaf(&o.leaf[i], o.tree + 2 * i, 64, NULL);
    test_that(!mbi_merkle_verify(o.root, 8, pos, o.leaf, 8, NULL, 0, o.scratch));
    for (size_t i = 0; i < 8; i++) /* had there been one use alone */
        mbi_hash_node(&o.leaf[i], o.tree + 2 * i);
    test_that(mbi_merkle_verify(o.root, 8, pos, o.leaf, 8, NULL, 0, o.scratch));
    open_free(&o);
}
END_TEST

START_TEST(another_number_of_leaves_is_refused)
{
    struct test_random r;

    setup();
    test_random_init(&r, "another_number_of_leaves_is_refused");
    for (int round = 0; round < 100; round++) {
        struct opened o;
        size_t honest;

        open_random(&o, 60, &r);
        honest = o.n;
        for (o.n = 0; o.n < 130; o.n++) {
            size_t count = 0;
            /* The way from the leaves to the root may be the same one in another tree. */
            const bool alike = mbi_merkle_count(&count, o.n, o.pos, o.m) && count == o.count;

            test_that(verify(&o) ? alike : o.n != honest);
        }
        o.n = SIZE_MAX;
        test_that(!verify(&o));
        open_free(&o);
    }
}
END_TEST

/* ---- in a proof ---- */

static const char *read_opening(const struct opened *o, const uint8_t *proof, size_t n)
{
    struct mbi_proof_reader r;

    mbi_proof_reader_init(&r, proof, n, "test");
    mbi_get_opening(&r, o->root, o->n, o->pos, o->leaf, o->m, o->scratch);
    mbi_get_end(&r);
    return r.fault;
}

START_TEST(openings_in_a_proof)
{
    struct mbi_host host;
    struct test_random r;

    setup();
    mbi_host_default(&host);
    test_random_init(&r, "openings_in_a_proof");
    for (int round = 0; round < 60; round++) {
        struct mbi_proof_writer w;
        struct opened o;
        uint8_t *proof;
        size_t n;

        open_random(&o, 60, &r);
        mbi_proof_writer_init(&w, &host, "test");
        mbi_put_opening(&w, o.tree, o.n, o.pos, o.m);
        n = w.bytes.size;
        ck_assert_uint_eq(n, 32 * o.count);
        proof = block(n + 1, 1);
        if (n)
            memcpy(proof, w.bytes.data, n);
        test_that(!read_opening(&o, proof, n));
        test_that(read_opening(&o, proof, n + 1)); /* one more, one less, one bit */
        for (size_t cut = 0; cut < n; cut++)
            test_that(read_opening(&o, proof, cut));
        for (size_t i = 0; i < n; i++) {
            proof[i] ^= 64;
            test_that(read_opening(&o, proof, n));
            proof[i] ^= 64;
        }
        o.pos[0] = (uint32_t)o.n;
        ck_assert_str_eq(read_opening(&o, proof, n),
                         "the opened positions are not ones of the tree in order");
        free(proof);
        mbi_proof_writer_free(&w);
        open_free(&o);
    }
}
END_TEST

static int32_t write_scenario(const struct mbi_host *host, void *arg)
{
    const struct opened *o = arg;
    struct mbi_proof_writer w;
    int32_t rc;

    mbi_proof_writer_init(&w, host, "test");
    mbi_put_opening(&w, o->tree, o->n, o->pos, o->m);
    rc = w.bytes.failed ? MAMBAINT_E_NO_MEMORY : MAMBAINT_OK;
    mbi_proof_writer_free(&w);
    return rc;
}

START_TEST(refused_memory_is_noticed)
{
    static const uint32_t pos[] = {3, 17, 40};
    struct opened o;

    setup();
    open_tree(&o, 50, pos, 3);
    ck_assert_uint_eq(test_refuse_each(write_scenario, &o), 2);
    open_free(&o);
}
END_TEST

/* More columns than lanes, and more rows than a block of the hash has words. */
START_TEST(columns_of_any_size)
{
    struct test_random r;

    setup();
    test_random_init(&r, "columns_of_any_size");
    for (size_t rows = 0; rows < 50; rows += 1 + rows / 3)
        for (size_t n = 1; n < 30; n += 7)
            for (int salted = 0; salted < 2; salted++) {
                struct matrix x = {.n = n, .data = block(rows * (n + 3) + n, sizeof(mbi_fe))};
                struct mbi_digest leaf[30];

                for (size_t i = 0; i < rows * (n + 3); i++)
                    x.data[i] = mbi_fe_from_u64(test_random_u64(&r));
                x.salt = salted ? block(n, MBI_SALT_SIZE) : NULL;
                if (salted)
                    test_random_bytes(&r, x.salt, n * MBI_SALT_SIZE);
                x.columns = (struct mbi_columns){x.data, rows, n + 3, 1, x.salt};
                mbi_hash_columns(&x.columns, leaf, 0, n);
                check_columns(&x, leaf);
                free(x.salt);
                free(x.data);
            }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("merkle");
    TCase *tc = tcase_create("vectors");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, trees_and_openings_equal_the_other_implementation);
    tcase_add_test(tc, columns_equal_the_other_implementation);
    suite_add_tcase(suite, tc);

    tc = tcase_create("trees");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, lanes_hash_as_one_message_does, 0, 3);
    tcase_add_test(tc, columns_of_any_size);
    tcase_add_test(tc, threads_build_the_same_tree);
    tcase_add_test(tc, sizes);
    tcase_add_test(tc, a_leaf_is_no_node);
    tcase_add_test(tc, every_set_of_positions_of_small_trees);
    tcase_add_test(tc, positions_that_cannot_be_opened);
    suite_add_tcase(suite, tc);

    tc = tcase_create("refusals");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, every_change_is_refused);
    tcase_add_test(tc, a_path_of_another_length_is_refused);
    tcase_add_test(tc, a_wrong_order_is_refused);
    tcase_add_test(tc, a_leaf_of_another_position_is_refused);
    tcase_add_test(tc, equal_positions_need_equal_leaves);
    tcase_add_test(tc, a_node_is_not_taken_for_a_leaf);
    tcase_add_test(tc, another_number_of_leaves_is_refused);
    suite_add_tcase(suite, tc);

    tc = tcase_create("proofs");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, openings_in_a_proof);
    tcase_add_test(tc, refused_memory_is_noticed);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}
