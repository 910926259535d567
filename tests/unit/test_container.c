/* SPDX-License-Identifier: Apache-2.0 */
/* lib/container: the strict GGUF profile, read and written. */
#include "base/intmath.h"
#include "container/container.h"
#include "support.h"
#include <stdlib.h>

/* ---- a second writer, from docs/container.md, that can also write what is wrong ---- */

enum { U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64 };

static struct mbi_host heap; /* the plain host of the drafts */

struct draft {
    struct mbi_buf keys, tensors, data;
    uint64_t n_keys, n_tensors;
    uint32_t version;
    size_t digits_at; /* in keys; 0: none */
};

static void draft_init(struct draft *d)
{
    memset(d, 0, sizeof(*d));
    mbi_buf_init(&d->keys, &heap);
    mbi_buf_init(&d->tensors, &heap);
    mbi_buf_init(&d->data, &heap);
    d->version = 3;
}

static void put_string(struct mbi_buf *b, const char *text, size_t n)
{
    mbi_buf_add64(b, n);
    mbi_buf_add(b, text, n);
}

static void put_name(struct mbi_buf *b, const char *text) { put_string(b, text, strlen(text)); }

static struct mbi_buf *put_key(struct draft *d, const char *key, uint32_t type)
{
    put_name(&d->keys, key);
    mbi_buf_add32(&d->keys, type);
    d->n_keys++;
    return &d->keys;
}

static void put_u32(struct draft *d, const char *key, uint32_t v)
{
    mbi_buf_add32(put_key(d, key, U32), v);
}

static void put_text(struct draft *d, const char *key, const char *text)
{
    put_name(put_key(d, key, TEXT), text);
}

static void put_digits(struct draft *d)
{
    put_text(d, "mambaint.digest",
             "0000000000000000000000000000000000000000000000000000000000000000");
    d->digits_at = d->keys.size - 64;
}

static void put_profile(struct draft *d)
{
    put_u32(d, "general.alignment", 64);
    put_u32(d, "mambaint.profile", 1);
    put_digits(d);
}

static void put_info(struct draft *d, const char *name, uint32_t n_dims, uint64_t cols,
                     uint64_t rows, uint32_t type, uint64_t offset)
{
    put_name(&d->tensors, name);
    mbi_buf_add32(&d->tensors, n_dims);
    if (n_dims >= 1)
        mbi_buf_add64(&d->tensors, cols);
    if (n_dims >= 2)
        mbi_buf_add64(&d->tensors, rows);
    for (uint32_t i = 2; i < n_dims; i++)
        mbi_buf_add64(&d->tensors, 1);
    mbi_buf_add32(&d->tensors, type);
    mbi_buf_add64(&d->tensors, offset);
    d->n_tensors++;
}

static void pad(struct mbi_buf *b) { mbi_buf_add_zero(b, (64 - b->size % 64) % 64); }

/* A vector of n bytes that is right in every way. */
static void put_bytes(struct draft *d, const char *name, const void *data, size_t n)
{
    put_info(d, name, 1, n, 0, MBI_TENSOR_I8, d->data.size);
    mbi_buf_add(&d->data, data, n);
    pad(&d->data);
}

/*
 * The file with a digest that fits, so that a wrong file fails for its one fault and not for its
 * digest. sizes[] are the tensors' bytes, ended by 0. Frees the draft.
 */
static struct mbi_buf draft_finish(struct draft *d, const size_t *sizes)
{
    uint8_t hash[MBI_DIGEST_SIZE];
    struct mbi_blake2b s;
    struct mbi_buf out;
    size_t end, at = 0;

    mbi_buf_init(&out, &heap);
    mbi_buf_add_text(&out, "GGUF");
    mbi_buf_add32(&out, d->version);
    mbi_buf_add64(&out, d->n_tensors);
    mbi_buf_add64(&out, d->n_keys);
    mbi_buf_add(&out, d->keys.data, d->keys.size);
    mbi_buf_add(&out, d->tensors.data, d->tensors.size);
    end = out.size;
    pad(&out);
    mbi_buf_add(&out, d->data.data, d->data.size);
    ck_assert(!out.failed);
    mbi_blake2b_init(&s);
    mbi_blake2b_add(&s, out.data, end);
    for (size_t i = 0; sizes && sizes[i]; i++) {
        mbi_blake2b(hash, d->data.data + at, sizes[i]);
        mbi_blake2b_add(&s, hash, sizeof(hash));
        at += (sizes[i] + 63) / 64 * 64;
    }
    mbi_blake2b_end(&s, hash);
    if (d->digits_at) {
        char digits[65];

        mbi_hex(digits, hash, sizeof(hash));
        memcpy(out.data + 24 + d->digits_at, digits, 64);
    }
    mbi_buf_free(&d->keys);
    mbi_buf_free(&d->tensors);
    mbi_buf_free(&d->data);
    return out;
}

static int32_t open_buf(struct mbi_container **out, const struct mbi_buf *b, mambaint_error *err)
{
    return mbi_container_open_memory(out, b->host, b->data, b->size, 0, err);
}

/* The file is refused with this status and a sentence that holds `word`. */
static void expect_refused(struct mbi_buf b, int32_t status, const char *word)
{
    struct mbi_container *c;
    mambaint_error err = {0};
    int32_t rc;

    rc = open_buf(&c, &b, &err);
    ck_assert_msg(rc == status, "'%s': status %d, not %d: %s", word, rc, status, err.message);
    ck_assert_msg(strstr(err.message, word) != NULL, "no '%s' in: %s", word, err.message);
    ck_assert_int_eq(err.code, status);
    ck_assert_ptr_null(c);
    mbi_buf_free(&b);
}

static void expect_accepted(struct mbi_buf b)
{
    struct mbi_container *c;
    mambaint_error err = {0};
    int32_t rc;

    rc = open_buf(&c, &b, &err);
    ck_assert_msg(rc == MAMBAINT_OK, "status %d: %s", rc, err.message);
    mbi_container_close(c);
    mbi_buf_free(&b);
}

/* ---- what the tests write with the library's writer ---- */

static const int8_t small[5] = {-128, -1, 0, 1, 127};
static const int16_t middle[6] = {-32768, -2, 0, 1, 2, 32767};
static const int32_t large[20] = {INT32_MIN, -3, 0, 3, INT32_MAX, 0x01020304};

static void fill(struct mbi_container_writer *w)
{
    static const uint32_t kinds[4] = {1, 3, 5, 2147483647};

    mbi_container_add_text(w, "general.architecture", "mamba-integer", 13);
    mbi_container_add_text(w, "general.name", "caf\xc3\xa9\0x\n\xff", 9);
    mbi_container_add_u32(w, "mamba-integer.block_count", 7);
    mbi_container_add_u64(w, "mambaint.step", UINT64_C(1) << 40);
    mbi_container_add_bool(w, "mamba-integer.tied_head", true);
    mbi_container_add_bool(w, "mambaint.nfc", false);
    mbi_container_add_array_text(w, "tokenizer.ggml.tokens", 3);
    mbi_container_add_array_entry(w, "a", 1);
    mbi_container_add_array_entry(w, NULL, 0);
    mbi_container_add_array_entry(w, "long", 4);
    mbi_container_add_array_u32(w, "tokenizer.ggml.token_type", kinds, 4);
    mbi_container_add_array_u32(w, "tokenizer.none", NULL, 0);
    mbi_container_add_tensor(w, "b.weight", MBI_TENSOR_I8, 0, 5, small);
    mbi_container_add_tensor(w, "a.weight", MBI_TENSOR_I16, 2, 3, middle);
    mbi_container_add_tensor(w, "c.weight", MBI_TENSOR_I32, 1, 20, large);
}

static void write_memory(struct mbi_buf *out, const struct mbi_host *host)
{
    struct mbi_container_writer *w;
    mambaint_error err;

    mbi_buf_init(out, host);
    ck_assert_int_eq(mbi_container_writer_create(&w, host, NULL), MAMBAINT_OK);
    fill(w);
    ck_assert_msg(mbi_container_save_memory(w, out, &err) == MAMBAINT_OK, "%s", err.message);
    mbi_container_writer_free(w);
}

static void check_tensor(const struct mbi_container *c, const char *name, uint32_t type,
                         uint32_t n_dims, uint64_t rows, uint64_t cols, const void *want,
                         size_t width)
{
    const struct mbi_tensor *t = mbi_container_tensor(c, name);
    uint8_t bytes[100], hash[MBI_DIGEST_SIZE];

    ck_assert_ptr_nonnull(t);
    ck_assert_str_eq(t->name, name);
    ck_assert_uint_eq(t->type, type);
    ck_assert_uint_eq(t->n_dims, n_dims);
    ck_assert_uint_eq(t->rows, rows);
    ck_assert_uint_eq(t->cols, cols);
    ck_assert_uint_eq(t->size, rows * cols * width);
    ck_assert_uint_eq((uintptr_t)t->data % 64, 0);
    mbi_copy_le(bytes, want, (size_t)(rows * cols), width);
    test_same_bytes(t->data, bytes, t->size);
    mbi_blake2b(hash, bytes, t->size);
    test_same_bytes(t->hash, hash, sizeof(hash));
}

static void check_contents(struct mbi_container *c)
{
    const char *text;
    uint32_t v, kinds[4];
    uint64_t big;
    size_t n;
    bool b;
    char word[14];

    ck_assert_int_eq(mbi_container_word(word, sizeof(word), c, "general.architecture", NULL), 0);
    ck_assert_str_eq(word, "mamba-integer");
    ck_assert_int_eq(mbi_container_text(&text, &n, c, "general.name", NULL), 0);
    ck_assert_uint_eq(n, 9);
    test_same_bytes(text, "caf\xc3\xa9\0x\n\xff", 9);
    ck_assert_int_eq(mbi_container_u32(&v, c, "mamba-integer.block_count", 1, 7, NULL), 0);
    ck_assert_uint_eq(v, 7);
    ck_assert_int_eq(mbi_container_u64(&big, c, "mambaint.step", NULL), 0);
    ck_assert_uint_eq(big, UINT64_C(1) << 40);
    ck_assert_int_eq(mbi_container_bool(&b, c, "mamba-integer.tied_head", NULL), 0);
    ck_assert(b);
    ck_assert_int_eq(mbi_container_bool(&b, c, "mambaint.nfc", NULL), 0);
    ck_assert(!b);
    ck_assert_int_eq(mbi_container_array_size(&n, c, "tokenizer.ggml.tokens", NULL), 0);
    ck_assert_uint_eq(n, 3);
    for (int round = 0; round < 2; round++)
        for (size_t i = 3; i-- > 0;) {
            static const char *const want[3] = {"a", "", "long"};

            ck_assert_int_eq(
                mbi_container_array_text(&text, &n, c, "tokenizer.ggml.tokens", i, NULL), 0);
            ck_assert_uint_eq(n, strlen(want[i]));
            test_same_bytes(text, want[i], n);
        }
    ck_assert_int_eq(mbi_container_array_u32(kinds, 4, c, "tokenizer.ggml.token_type", NULL), 0);
    ck_assert(kinds[0] == 1 && kinds[1] == 3 && kinds[2] == 5 && kinds[3] == INT32_MAX);
    ck_assert_int_eq(mbi_container_array_size(&n, c, "tokenizer.none", NULL), 0);
    ck_assert_uint_eq(n, 0);

    ck_assert_uint_eq(mbi_container_n_keys(c), 12);
    ck_assert_str_eq(mbi_container_key(c, 0), "general.architecture");
    ck_assert_str_eq(mbi_container_key(c, 9), "general.alignment");
    ck_assert_uint_eq(mbi_container_n_tensors(c), 3);
    ck_assert_str_eq(mbi_container_tensor_at(c, 1)->name, "a.weight");
    check_tensor(c, "b.weight", MBI_TENSOR_I8, 1, 1, 5, small, 1);
    check_tensor(c, "a.weight", MBI_TENSOR_I16, 2, 2, 3, middle, 2);
    check_tensor(c, "c.weight", MBI_TENSOR_I32, 2, 1, 20, large, 4);
    ck_assert_ptr_null(mbi_container_tensor(c, "d.weight"));
    ck_assert_int_eq(mbi_container_refuse_unread(c, "", NULL), MAMBAINT_OK);
}

/* ---- tests ---- */

START_TEST(what_is_written_is_read)
{
    char dir[TEST_PATH], path[TEST_PATH];
    struct mbi_container_writer *w;
    struct mbi_container *c;
    struct test_host t;
    struct mbi_buf b;
    uint8_t *file;
    size_t size;

    test_host_init(&t);
    write_memory(&b, &t.host);
    ck_assert_int_eq(open_buf(&c, &b, NULL), MAMBAINT_OK);
    check_contents(c);
    ck_assert_uint_eq(mbi_container_file_size(c), b.size);
    mbi_container_close(c);

    test_dir_make(dir);
    test_path(path, dir, "a.gguf");
    ck_assert_int_eq(mbi_container_writer_create(&w, &t.host, NULL), MAMBAINT_OK);
    fill(w);
    ck_assert_int_eq(mbi_container_save(w, path, NULL), MAMBAINT_OK);
    ck_assert_int_eq(mbi_container_save(w, path, NULL), MAMBAINT_OK); /* again is the same */
    mbi_container_writer_free(w);
    file = test_file_read(&size, path);
    ck_assert_uint_eq(size, b.size);
    test_same_bytes(file, b.data, size);
    free(file);
    ck_assert_int_eq(mbi_container_open(&c, &t.host, path, 0, NULL), MAMBAINT_OK);
    check_contents(c);
    mbi_container_close(c);
    mbi_container_close(NULL);
    mbi_container_writer_free(NULL);
    mbi_buf_free(&b);
    test_dir_remove(dir);
    test_host_check(&t);
}
END_TEST

/* The library's bytes against the second writer's. */
START_TEST(bytes_are_as_documented)
{
    const size_t sizes[] = {5, 12, 0};
    struct mbi_container_writer *w;
    struct mbi_host host;
    struct mbi_buf got, want;
    struct mbi_buf *k;
    struct draft d;

    mbi_host_default(&host);
    mbi_buf_init(&got, &host);
    ck_assert_int_eq(mbi_container_writer_create(&w, &host, NULL), MAMBAINT_OK);
    mbi_container_add_text(w, "general.architecture", "x", 1);
    mbi_container_add_u64(w, "a", 258);
    mbi_container_add_bool(w, "b", true);
    mbi_container_add_array_u32(w, "c", (const uint32_t[]){9, 8}, 2);
    mbi_container_add_array_text(w, "d", 1);
    mbi_container_add_array_entry(w, "yz", 2);
    mbi_container_add_tensor(w, "t", MBI_TENSOR_I8, 0, 5, small);
    mbi_container_add_tensor(w, "u", MBI_TENSOR_I16, 2, 3, middle);
    ck_assert_int_eq(mbi_container_save_memory(w, &got, NULL), MAMBAINT_OK);
    mbi_container_writer_free(w);

    draft_init(&d);
    put_text(&d, "general.architecture", "x");
    mbi_buf_add64(put_key(&d, "a", U64), 258);
    mbi_buf_add8(put_key(&d, "b", BOOL), 1);
    k = put_key(&d, "c", ARRAY);
    mbi_buf_add32(k, I32);
    mbi_buf_add64(k, 2);
    mbi_buf_add32(k, 9);
    mbi_buf_add32(k, 8);
    k = put_key(&d, "d", ARRAY);
    mbi_buf_add32(k, TEXT);
    mbi_buf_add64(k, 1);
    put_name(k, "yz");
    put_profile(&d);
    put_bytes(&d, "t", small, 5);
    put_info(&d, "u", 2, 3, 2, MBI_TENSOR_I16, 64);
    for (int i = 0; i < 6; i++) {
        mbi_buf_add8(&d.data, (uint8_t)middle[i]);
        mbi_buf_add8(&d.data, (uint8_t)((uint16_t)middle[i] >> 8));
    }
    pad(&d.data);
    want = draft_finish(&d, sizes);

    ck_assert_uint_eq(got.size, want.size);
    test_same_bytes(got.data, want.data, got.size);
    mbi_buf_free(&got);
    mbi_buf_free(&want);
}
END_TEST

/* The digest of the file above, from a script that knows docs/container.md and hashlib. */
START_TEST(digest_is_the_published_one)
{
    struct mbi_container *c;
    struct mbi_host host;
    uint8_t digest[MBI_DIGEST_SIZE];
    struct mbi_buf b;
    char hex[65];

    mbi_host_default(&host);
    write_memory(&b, &host);
    ck_assert_int_eq(open_buf(&c, &b, NULL), MAMBAINT_OK);
    mbi_container_file_digest(digest, c);
    mbi_hex(hex, digest, sizeof(digest));
    ck_assert_str_eq(hex, "619d33b609d39fff952ec87f5e031e11d0fe9da1ca7be4937e3053e405f93553");
    mbi_container_close(c);
    mbi_buf_free(&b);
}
END_TEST

/* The example of docs/container.md, whose digest was computed by another implementation. */
START_TEST(documented_example_is_accepted)
{
    static const int16_t t[6] = {1, -2, 3, -4, 5, -6};
    struct mbi_container_writer *w;
    struct mbi_container *c;
    struct mbi_buf b;

    mbi_buf_init(&b, &heap);
    ck_assert_int_eq(mbi_container_writer_create(&w, &heap, NULL), MAMBAINT_OK);
    mbi_container_add_text(w, "general.architecture", "example", 7);
    mbi_container_add_tensor(w, "t", MBI_TENSOR_I16, 2, 3, t);
    ck_assert_int_eq(mbi_container_save_memory(w, &b, NULL), MAMBAINT_OK);
    mbi_container_writer_free(w);
    ck_assert_uint_eq(b.size, 384);
    test_same_bytes(b.data + 0xab,
                    "c66cf0f07340802405448bc4ab61275f03bea1a1a676ad11f7638a102b1686fa", 64);
    test_same_bytes(b.data + 0xeb, "\1\0\0\0\0\0\0\0t\2\0\0\0\3", 14);
    test_same_bytes(b.data + 0x140, "\1\0\xfe\xff\3\0\xfc\xff\5\0\xfa\xff", 12);
    ck_assert_int_eq(open_buf(&c, &b, NULL), MAMBAINT_OK);
    mbi_container_close(c);
    mbi_buf_free(&b);
}
END_TEST

START_TEST(every_flipped_bit_is_refused)
{
    struct mbi_container *c;
    struct test_host t;
    struct mbi_buf b;

    test_host_init(&t);
    write_memory(&b, &t.host);
    for (size_t i = 0; i < b.size; i++)
        for (int bit = 0; bit <= 8; bit++) {
            const uint8_t flip = (uint8_t)(bit < 8 ? 1 << bit : 0xFF);
            mambaint_error err = {0};

            b.data[i] ^= flip;
            test_check(open_buf(&c, &b, &err) < 0 && !c, "byte %zu ^ %02x is accepted", i, flip);
            test_check(err.code < 0 && err.message[0], "byte %zu ^ %02x: no sentence", i, flip);
            b.data[i] ^= flip;
        }
    ck_assert_int_eq(open_buf(&c, &b, NULL), MAMBAINT_OK);
    mbi_container_close(c);
    mbi_buf_free(&b);
    test_host_check(&t);
}
END_TEST

/* Both as memory and as a file, where the end is an end of pages too. */
START_TEST(every_other_length_is_refused)
{
    char dir[TEST_PATH], path[TEST_PATH];
    struct mbi_container *c;
    struct test_host t;
    struct mbi_buf b;
    size_t whole;

    test_host_init(&t);
    test_dir_make(dir);
    test_path(path, dir, "a");
    write_memory(&b, &t.host);
    whole = b.size;
    mbi_buf_add_zero(&b, 200);
    for (size_t n = 0; n <= whole + 200; n++) {
        int32_t rc = mbi_container_open_memory(&c, &t.host, b.data, n, 0, NULL);

        test_check((rc == MAMBAINT_OK) == (n == whole), "%zu of %zu bytes: %d", n, whole, rc);
        mbi_container_close(c);
        test_file_write(path, b.data, n);
        rc = mbi_container_open(&c, &t.host, path, 0, NULL);
        test_check((rc == MAMBAINT_OK) == (n == whole), "%zu of %zu bytes: %d", n, whole, rc);
        mbi_container_close(c);
    }
    mbi_buf_free(&b);
    test_dir_remove(dir);
    test_host_check(&t);
}
END_TEST

START_TEST(digest_can_wait)
{
    struct mbi_container *c;
    struct mbi_host host;
    mambaint_error err;
    struct mbi_buf b;

    mbi_host_default(&host);
    write_memory(&b, &host);
    for (int damaged = 0; damaged < 2; damaged++) {
        const int32_t want = damaged ? MAMBAINT_E_FORMAT : MAMBAINT_OK;

        b.data[b.size - 100] ^= (uint8_t)damaged;
        ck_assert_int_eq(
            mbi_container_open_memory(&c, &host, b.data, b.size, MBI_CONTAINER_DEFER_DIGEST, &err),
            MAMBAINT_OK);
        ck_assert_int_eq(mbi_container_check_digest(c, &err), want);
        ck_assert_int_eq(mbi_container_check_digest(c, &err), want);
        mbi_container_close(c);
    }
    ck_assert_ptr_nonnull(strstr(err.message, "digest"));
    mbi_buf_free(&b);
}
END_TEST

START_TEST(starts_that_are_refused)
{
    struct draft d;
    struct mbi_buf b;

    draft_init(&d);
    put_profile(&d);
    b = draft_finish(&d, NULL);
    b.data[0] = 'g';
    expect_refused(b, MAMBAINT_E_FORMAT, "GGUF");

    for (uint32_t version = 0; version < 6; version++)
        if (version != 3) {
            draft_init(&d);
            d.version = version;
            put_profile(&d);
            expect_refused(draft_finish(&d, NULL), MAMBAINT_E_VERSION, "version");
        }
    draft_init(&d);
    d.version = 3u << 24;
    put_profile(&d);
    expect_refused(draft_finish(&d, NULL), MAMBAINT_E_VERSION, "big-endian");

    draft_init(&d);
    put_profile(&d);
    expect_accepted(draft_finish(&d, NULL)); /* nothing but the profile is a container */
}
END_TEST

/* Counts far beyond the file are refused before memory is asked for. */
START_TEST(counts_are_bounded_by_the_bytes)
{
    static const uint64_t n[] = {100, 1 << 20, UINT64_C(1) << 32, UINT64_MAX / 14, UINT64_MAX};

    for (size_t i = 0; i < MBI_COUNT(n); i++)
        for (int which = 0; which < 2; which++) {
            struct mbi_container *c;
            struct test_host t;
            struct mbi_buf b;
            struct draft d;

            draft_init(&d);
            put_profile(&d);
            b = draft_finish(&d, NULL);
            mbi_store64(b.data + (which ? 8 : 16), n[i]);
            test_host_init(&t);
            ck_assert_int_eq(mbi_container_open_memory(&c, &t.host, b.data, b.size, 0, NULL),
                             MAMBAINT_E_FORMAT);
            ck_assert_uint_lt(atomic_load(&t.peak), 4096);
            test_host_check(&t);
            mbi_buf_free(&b);
        }
}
END_TEST

/* The smallest keys, as many as fit: tables stay below 16 MiB beyond the file. */
START_TEST(tables_stay_small)
{
    for (int over = 0; over < 2; over++) {
        const uint32_t keys = 16384 - 3 + (uint32_t)over;
        struct mbi_container *c;
        struct test_host t;
        struct mbi_buf b;
        struct draft d;
        char name[16];

        draft_init(&d);
        put_profile(&d);
        for (uint32_t i = 0; i < keys; i++) {
            snprintf(name, sizeof(name), "%x", i);
            mbi_buf_add8(put_key(&d, name, U8), 0);
        }
        for (uint32_t i = 0; !over && i < 65536; i++) {
            snprintf(name, sizeof(name), "%x", i);
            put_info(&d, name, 1, 1, 0, MBI_TENSOR_I8, 64 * (uint64_t)i);
            mbi_buf_add8(&d.data, 1);
            pad(&d.data);
        }
        b = draft_finish(&d, NULL);
        test_host_init(&t);
        ck_assert_int_eq(mbi_container_open_memory(&c, &t.host, b.data, b.size,
                                                   MBI_CONTAINER_DEFER_DIGEST, NULL),
                         over ? MAMBAINT_E_RANGE : MAMBAINT_OK);
        if (!over)
            ck_assert_ptr_eq(mbi_container_tensor(c, "abc"), mbi_container_tensor_at(c, 0xabc));
        mbi_container_close(c);
        ck_assert_uint_lt(atomic_load(&t.peak), b.size + (16u << 20));
        test_host_check(&t);
        mbi_buf_free(&b);
    }
}
END_TEST

static void one_bad_key(uint32_t type, const void *value, size_t n, const char *word)
{
    struct draft d;

    draft_init(&d);
    put_profile(&d);
    mbi_buf_add(put_key(&d, "bad", type), value, n);
    expect_refused(draft_finish(&d, NULL), MAMBAINT_E_FORMAT, word);
}

START_TEST(values_that_are_refused)
{
    static const uint8_t huge[8] = {255, 255, 255, 255, 255, 255, 255, 255};
    uint8_t array[64] = {0};

    one_bad_key(13, huge, 8, "unknown value type 13");
    one_bad_key(UINT32_MAX, huge, 8, "unknown value type");
    one_bad_key(TEXT, huge, 8, "ends inside");
    one_bad_key(TEXT, "\177\0\0\0\0\0\0\0", 8, "ends inside");
    one_bad_key(TEXT, huge, 7, "");
    one_bad_key(U64, huge, 7, "");
    one_bad_key(BOOL, huge, 0, "");
    one_bad_key(BOOL, "\2", 1, "bool that is 2");
    one_bad_key(ARRAY, array, 3, "");

    mbi_store32(array, ARRAY);
    one_bad_key(ARRAY, array, 12, "arrays in an array");
    mbi_store32(array, 77);
    one_bad_key(ARRAY, array, 12, "unknown value type 77");
    mbi_store32(array, BOOL);
    mbi_store64(array + 4, 3);
    array[14] = 7;
    one_bad_key(ARRAY, array, 15, "bool that is 7");
    for (uint32_t element = U8; element <= F64; element++) {
        if (element == ARRAY)
            continue;
        mbi_store32(array, element);
        for (int shift = 0; shift < 64; shift++) { /* every size of excess */
            mbi_store64(array + 4, ((uint64_t)1 << shift) + 64);
            one_bad_key(ARRAY, array, 12, "ends inside");
        }
        mbi_store64(array + 4, UINT64_MAX);
        one_bad_key(ARRAY, array, 12, "ends inside");
    }
    /* two strings, of which the second is too long */
    mbi_store32(array, TEXT);
    mbi_store64(array + 4, 2);
    mbi_store64(array + 12, 0);
    mbi_store64(array + 20, 100);
    one_bad_key(ARRAY, array, 28, "ends inside");
}
END_TEST

START_TEST(all_value_types_are_parsed)
{
    static const struct {
        uint32_t type;
        size_t width;
        const char *text;
    } c[] = {{U8, 1, "129"},
             {I8, 1, "-127"},
             {U16, 2, "33153"},
             {I16, 2, "-32383"},
             {U32, 4, "2172748161"},
             {I32, 4, "-2122219135"},
             {F32, 4, "f32 0x81818181"},
             {U64, 8, "9331882296111890817"},
             {I64, 8, "-9114861777597660799"},
             {F64, 8, "f64 0x8181818181818181"},
             {BOOL, 1, "true"}};
    const uint8_t bytes[8] = {0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81};
    struct mbi_container *f;
    struct mbi_buf b, text, *k;
    struct draft d;
    char name[20];
    uint32_t v;

    draft_init(&d);
    put_profile(&d);
    put_text(&d, "text", "a\nb\x7f\xff\xc3\xa9\xc2\x85");
    for (size_t i = 0; i < MBI_COUNT(c); i++) {
        snprintf(name, sizeof(name), "value%zu", i);
        k = put_key(&d, name, c[i].type);
        mbi_buf_add(k, c[i].type == BOOL ? (const uint8_t *)"\1" : bytes, c[i].width);
        snprintf(name, sizeof(name), "array%zu", i);
        k = put_key(&d, name, ARRAY);
        mbi_buf_add32(k, c[i].type);
        mbi_buf_add64(k, 3);
        mbi_buf_add_zero(k, 3 * c[i].width);
    }
    b = draft_finish(&d, NULL);
    ck_assert_int_eq(open_buf(&f, &b, NULL), MAMBAINT_OK);
    mbi_buf_init(&text, &heap);
    for (size_t i = 0; i < MBI_COUNT(c); i++) {
        text.size = 0;
        mbi_container_value_text(&text, f, 4 + 2 * i);
        mbi_buf_add8(&text, 0);
        ck_assert_str_eq((const char *)text.data, c[i].text);
        text.size = 0;
        mbi_container_value_text(&text, f, 5 + 2 * i);
        ck_assert_uint_gt(text.size, 3);
        test_same_bytes(text.data, "[3 ", 3);
    }
    text.size = 0;
    mbi_container_value_text(&text, f, 3);
    mbi_buf_add8(&text, 0);
    ck_assert_str_eq((const char *)text.data, "a\\x0ab\\x7f\\xff\xc3\xa9\\xc2\\x85");
    /* a float is nobody's number */
    ck_assert_int_eq(mbi_container_u32(&v, f, "value6", 0, UINT32_MAX, NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_array_u32(&v, 3, f, "array6", NULL), MAMBAINT_E_FORMAT);
    mbi_buf_free(&text);
    mbi_container_close(f);
    mbi_buf_free(&b);
}
END_TEST

START_TEST(names_that_are_refused)
{
    static const struct {
        const char *name;
        size_t n;
    } bad[] = {{"", 0}, {"a\0b", 3}, {"a b", 3}, {"a\n", 2}, {"caf\xc3\xa9", 5}, {"\x7f", 1}};
    char longer[200];
    struct draft d;

    memset(longer, 'k', sizeof(longer));
    for (int key = 0; key < 2; key++) {
        for (size_t i = 0; i < MBI_COUNT(bad) + 2; i++) {
            const size_t most = key ? 127 : 64;
            const bool plain = i < MBI_COUNT(bad), good = i == MBI_COUNT(bad);
            const size_t n = plain ? bad[i].n : good ? most : most + 1;
            struct mbi_buf *k = key ? &d.keys : &d.tensors;
            const size_t size[] = {1, 0};

            draft_init(&d);
            put_profile(&d);
            put_string(k, plain ? bad[i].name : longer, n);
            if (key) {
                mbi_buf_add32(k, U8);
                mbi_buf_add8(k, 0);
                d.n_keys++;
            } else {
                mbi_buf_add32(k, 1);
                mbi_buf_add64(k, 1);
                mbi_buf_add32(k, MBI_TENSOR_I8);
                mbi_buf_add64(k, 0);
                mbi_buf_add8(&d.data, 5);
                pad(&d.data);
                d.n_tensors++;
            }
            if (good)
                expect_accepted(draft_finish(&d, key ? NULL : size));
            else
                expect_refused(draft_finish(&d, key ? NULL : size), MAMBAINT_E_FORMAT, "name");
        }
    }
}
END_TEST

START_TEST(doubles_are_refused)
{
    const size_t sizes[] = {1, 1, 1, 0};
    struct draft d;

    draft_init(&d);
    put_profile(&d);
    put_u32(&d, "x.a", 1);
    put_u32(&d, "x.b", 1);
    put_u32(&d, "x.a", 1);
    expect_refused(draft_finish(&d, NULL), MAMBAINT_E_FORMAT, "'x.a' appears twice");
    draft_init(&d);
    put_profile(&d);
    put_u32(&d, "mambaint.profile", 1);
    expect_refused(draft_finish(&d, NULL), MAMBAINT_E_FORMAT, "appears twice");
    draft_init(&d);
    put_profile(&d);
    put_bytes(&d, "w", "a", 1);
    put_bytes(&d, "v", "a", 1);
    put_bytes(&d, "w", "a", 1);
    expect_refused(draft_finish(&d, sizes), MAMBAINT_E_FORMAT, "'w' appears twice");
}
END_TEST

START_TEST(profiles_that_are_refused)
{
    struct draft d;
    struct mbi_buf b;

    for (int missing = 0; missing < 3; missing++) {
        draft_init(&d);
        if (missing != 0)
            put_u32(&d, "general.alignment", 64);
        if (missing != 1)
            put_u32(&d, "mambaint.profile", 1);
        if (missing != 2)
            put_digits(&d);
        expect_refused(draft_finish(&d, NULL), MAMBAINT_E_FORMAT, "missing");
    }
    draft_init(&d);
    put_u32(&d, "general.alignment", 32);
    put_u32(&d, "mambaint.profile", 1);
    put_digits(&d);
    expect_refused(draft_finish(&d, NULL), MAMBAINT_E_FORMAT, "alignment");
    draft_init(&d);
    put_u32(&d, "general.alignment", 64);
    put_u32(&d, "mambaint.profile", 2);
    put_digits(&d);
    expect_refused(draft_finish(&d, NULL), MAMBAINT_E_VERSION, "profile is 2");
    draft_init(&d);
    put_u32(&d, "general.alignment", 64);
    mbi_buf_add64(put_key(&d, "mambaint.profile", U64), 1);
    put_digits(&d);
    expect_refused(draft_finish(&d, NULL), MAMBAINT_E_FORMAT, "type u64");
    draft_init(&d);
    put_u32(&d, "general.alignment", 64);
    put_u32(&d, "mambaint.profile", 1);
    put_text(&d, "mambaint.digest", "00");
    expect_refused(draft_finish(&d, NULL), MAMBAINT_E_FORMAT, "hex digits");
    draft_init(&d);
    put_profile(&d);
    b = draft_finish(&d, NULL);
    for (size_t i = 24 + d.digits_at; i < 24 + d.digits_at + 64; i++)
        if (b.data[i] >= 'a')
            b.data[i] = (uint8_t)(b.data[i] - 'a' + 'A');
    expect_refused(b, MAMBAINT_E_FORMAT, "lower-case hex digits");
    draft_init(&d);
    put_profile(&d);
    put_text(&d, "general.type", "adapter");
    expect_refused(draft_finish(&d, NULL), MAMBAINT_E_FORMAT, "general.type");
    draft_init(&d);
    put_profile(&d);
    put_u32(&d, "general.type", 1);
    expect_refused(draft_finish(&d, NULL), MAMBAINT_E_FORMAT, "general.type");
}
END_TEST

struct bad_tensor {
    uint32_t n_dims;
    uint64_t cols, rows;
    uint32_t type;
    uint64_t offset;
    int32_t status;
    const char *word;
};

static struct mbi_buf one_tensor(const struct bad_tensor *t, const char *kind)
{
    const size_t sizes[] = {3, 4, 0};
    struct draft d;

    draft_init(&d);
    put_profile(&d);
    if (kind)
        put_text(&d, "general.type", kind);
    put_bytes(&d, "first", "abc", 3);
    put_info(&d, "second", t->n_dims, t->cols, t->rows, t->type, t->offset);
    mbi_buf_add_text(&d.data, "wxyz");
    pad(&d.data);
    return draft_finish(&d, sizes);
}

START_TEST(tensors_that_are_refused)
{
    const bool wide = SIZE_MAX > UINT32_MAX; /* 2^41 bytes can be asked for */
    const uint64_t big = UINT64_C(1) << 62;
    const struct bad_tensor bad[] = {
        {0, 4, 1, MBI_TENSOR_I8, 64, MAMBAINT_E_FORMAT, "0 dimensions"},
        {3, 4, 1, MBI_TENSOR_I8, 64, MAMBAINT_E_FORMAT, "3 dimensions"},
        {UINT16_MAX, 4, 1, MBI_TENSOR_I8, 64, MAMBAINT_E_FORMAT, "65535 dimensions"},
        {1, 0, 1, MBI_TENSOR_I8, 64, MAMBAINT_E_FORMAT, "dimension of 0"},
        {2, 4, 0, MBI_TENSOR_I8, 64, MAMBAINT_E_FORMAT, "dimension of 0"},
        {1, 1, 1, MBI_TENSOR_F32, 64, MAMBAINT_E_FORMAT, "type 0"},
        {1, 4, 1, 1, 64, MAMBAINT_E_FORMAT, "type 1;"},
        {1, 4, 1, 8, 64, MAMBAINT_E_FORMAT, "type 8;"},
        {1, 4, 1, 27, 64, MAMBAINT_E_FORMAT, "type 27;"},
        {1, 4, 1, UINT32_MAX, 64, MAMBAINT_E_FORMAT, "type 4294967295;"},
        {1, 4, 1, MBI_TENSOR_I8, 0, MAMBAINT_E_FORMAT, "does not begin"},
        {1, 4, 1, MBI_TENSOR_I8, 63, MAMBAINT_E_FORMAT, "does not begin"},
        {1, 4, 1, MBI_TENSOR_I8, 65, MAMBAINT_E_FORMAT, "does not begin"},
        {1, 4, 1, MBI_TENSOR_I8, 128, MAMBAINT_E_FORMAT, "does not begin"},
        {1, 4, 1, MBI_TENSOR_I8, UINT64_MAX, MAMBAINT_E_FORMAT, "does not begin"},
        {1, big, 1, MBI_TENSOR_I32, 64, MAMBAINT_E_RANGE, "too large"},
        {1, UINT64_MAX, 1, MBI_TENSOR_I8, 64, MAMBAINT_E_RANGE, "too large"},
        {1, UINT64_MAX - 64, 1, MBI_TENSOR_I8, 64, MAMBAINT_E_RANGE, "too large"},
        {2, UINT64_C(1) << 32, UINT64_C(1) << 32, MBI_TENSOR_I8, 64, MAMBAINT_E_RANGE, "too large"},
        {2, big, 4, MBI_TENSOR_I8, 64, MAMBAINT_E_RANGE, "too large"},
        {1, 65, 1, MBI_TENSOR_I8, 64, MAMBAINT_E_FORMAT, "cut off"},
        {2, 1 << 20, 1 << 20, MBI_TENSOR_I16, 64, wide ? MAMBAINT_E_FORMAT : MAMBAINT_E_RANGE,
         wide ? "cut off" : "too large"},
    };
    const struct bad_tensor good = {1, 4, 1, MBI_TENSOR_I8, 64, 0, ""};
    const struct bad_tensor f32 = {1, 1, 1, MBI_TENSOR_F32, 64, MAMBAINT_E_FORMAT, "type 0"};

    expect_accepted(one_tensor(&good, NULL));
    expect_accepted(one_tensor(&good, "model"));
    for (size_t i = 0; i < MBI_COUNT(bad); i++)
        expect_refused(one_tensor(&bad[i], NULL), bad[i].status, bad[i].word);
    expect_accepted(one_tensor(&f32, "checkpoint"));
    expect_refused(one_tensor(&f32, "model"), f32.status, f32.word);
}
END_TEST

START_TEST(padding_and_ends_that_are_refused)
{
    const size_t sizes[] = {3, 0};
    struct mbi_buf b;
    struct draft d;

    for (int fault = 0; fault < 4; fault++) {
        draft_init(&d);
        put_profile(&d);
        put_bytes(&d, "a", "abc", 3);
        b = draft_finish(&d, sizes);
        if (fault == 0) {
            expect_accepted(b);
        } else if (fault == 1) {
            b.data[b.size - 1] = 1;
            expect_refused(b, MAMBAINT_E_FORMAT, "padding");
        } else if (fault == 2) {
            b.data[b.size - 65] = 1; /* before the tensor */
            expect_refused(b, MAMBAINT_E_FORMAT, "padding");
        } else {
            mbi_buf_add_zero(&b, 1);
            expect_refused(b, MAMBAINT_E_FORMAT, "follow the last tensor");
        }
    }
}
END_TEST

/* A mapped file may change under the reader: lengths are checked again where they are used. */
START_TEST(changed_file_leads_nowhere)
{
    static const uint8_t huge[8] = {255, 255, 255, 255, 255, 255, 255, 127};
    char dir[TEST_PATH], path[TEST_PATH];
    struct mbi_container *c;
    struct mbi_buf b, *k;
    struct draft d;
    const char *text;
    size_t n, at;
    FILE *f;

    test_dir_make(dir);
    test_path(path, dir, "a");
    draft_init(&d);
    k = put_key(&d, "x.t", ARRAY);
    mbi_buf_add32(k, TEXT);
    mbi_buf_add64(k, 2);
    at = 24 + k->size;
    put_name(k, "one");
    put_name(k, "two");
    put_profile(&d);
    b = draft_finish(&d, NULL);
    test_file_write(path, b.data, b.size);
    ck_assert_int_eq(mbi_container_open(&c, &heap, path, 0, NULL), MAMBAINT_OK);
    ck_assert_int_eq(mbi_container_array_text(&text, &n, c, "x.t", 1, NULL), MAMBAINT_OK);
    ck_assert_ptr_nonnull(f = fopen(path, "r+b"));
    ck_assert_int_eq(fseek(f, (long)at, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(huge, 1, 8, f), 8);
    fclose(f);
    ck_assert_int_eq(mbi_container_array_text(&text, &n, c, "x.t", 0, NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_array_text(&text, &n, c, "x.t", 1, NULL), MAMBAINT_E_FORMAT);
    mbi_container_close(c);
    mbi_buf_free(&b);
    test_dir_remove(dir);
}
END_TEST

START_TEST(accessors_check_type_and_range)
{
    char word[6];
    struct mbi_container *c;
    mambaint_error err;
    struct mbi_buf b, *k;
    const char *text;
    uint64_t big;
    uint32_t v = 77, pair[2];
    size_t n;
    bool flag;
    struct draft d;

    draft_init(&d);
    put_u32(&d, "x.n", 10);
    put_text(&d, "x.word", "12345");
    put_text(&d, "x.longer", "123456");
    put_text(&d, "x.empty", "");
    put_string(put_key(&d, "x.nul", TEXT), "a\0b", 3);
    k = put_key(&d, "x.u", ARRAY);
    mbi_buf_add32(k, U32);
    mbi_buf_add64(k, 2);
    mbi_buf_add64(k, UINT64_MAX);
    k = put_key(&d, "x.i", ARRAY);
    mbi_buf_add32(k, I32);
    mbi_buf_add64(k, 2);
    mbi_buf_add64(k, UINT64_MAX - UINT32_MAX);
    k = put_key(&d, "x.t", ARRAY);
    mbi_buf_add32(k, TEXT);
    mbi_buf_add64(k, 1);
    put_name(k, "one");
    put_profile(&d);
    b = draft_finish(&d, NULL);
    ck_assert_int_eq(open_buf(&c, &b, NULL), MAMBAINT_OK);

    ck_assert(mbi_container_has(c, "x.n") && !mbi_container_has(c, "x") &&
              !mbi_container_has(c, ""));
    ck_assert_int_eq(mbi_container_refuse_unread(c, "mambaint.", NULL), MAMBAINT_OK);
    ck_assert_int_eq(mbi_container_refuse_unread(c, "y.", NULL), MAMBAINT_OK);
    ck_assert_int_eq(mbi_container_refuse_unread(c, "x.", &err), MAMBAINT_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "unknown key 'x.n'"));

    ck_assert_int_eq(mbi_container_u32(&v, c, "x.none", 0, 1, &err), MAMBAINT_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "'x.none' is missing"));
    ck_assert_int_eq(mbi_container_u32(&v, c, "x.n", 11, 20, &err), MAMBAINT_E_RANGE);
    ck_assert_ptr_nonnull(strstr(err.message, "'x.n' is 10, outside 11 .. 20"));
    ck_assert_int_eq(mbi_container_u32(&v, c, "x.n", 0, 9, NULL), MAMBAINT_E_RANGE);
    ck_assert_uint_eq(v, 77);
    ck_assert_int_eq(mbi_container_u32(&v, c, "x.word", 0, 9, NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_u64(&big, c, "x.n", NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_bool(&flag, c, "x.n", NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_text(&text, &n, c, "x.n", NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_word(word, sizeof(word), c, "x.word", NULL), MAMBAINT_OK);
    ck_assert_str_eq(word, "12345");
    ck_assert_int_eq(mbi_container_word(word, 6, c, "x.longer", NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_word(word, 6, c, "x.empty", NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_word(word, 6, c, "x.nul", NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_array_size(&n, c, "x.n", NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_array_text(&text, &n, c, "x.t", 0, NULL), MAMBAINT_OK);
    ck_assert_int_eq(mbi_container_array_text(&text, &n, c, "x.t", 1, NULL), MAMBAINT_E_RANGE);
    ck_assert_int_eq(mbi_container_array_text(&text, &n, c, "x.u", 0, NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_array_u32(pair, 2, c, "x.u", NULL), MAMBAINT_OK);
    ck_assert(pair[0] == UINT32_MAX && pair[1] == UINT32_MAX);
    ck_assert_int_eq(mbi_container_array_u32(pair, 1, c, "x.u", NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_array_u32(pair, 3, c, "x.u", NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mbi_container_array_u32(pair, 2, c, "x.i", NULL), MAMBAINT_E_RANGE);
    ck_assert_int_eq(mbi_container_array_u32(pair, 1, c, "x.t", NULL), MAMBAINT_E_FORMAT);
    /* looking at a key of the wrong type or range reads it all the same, has() does not */
    ck_assert_int_eq(mbi_container_refuse_unread(c, "x.", NULL), MAMBAINT_OK);
    mbi_container_close(c);
    mbi_buf_free(&b);
}
END_TEST

/* Random names: lookups find each of them and nothing else. */
START_TEST(names_are_found)
{
    struct test_random r;

    test_random_init(&r, "names_are_found");
    for (int round = 0; round < 20; round++) {
        const size_t n = (size_t)test_random_below(&r, 600);
        struct mbi_container_writer *w;
        struct mbi_container *c;
        struct test_host t;
        struct mbi_buf b;
        char name[32];

        test_host_init(&t);
        mbi_buf_init(&b, &t.host);
        ck_assert_int_eq(mbi_container_writer_create(&w, &t.host, NULL), MAMBAINT_OK);
        for (size_t i = 0; i < n; i++) {
            snprintf(name, sizeof(name), "%x.%zu", (unsigned)test_random_below(&r, 40), i);
            mbi_container_add_u32(w, name, (uint32_t)i);
            mbi_container_add_tensor(w, name, MBI_TENSOR_I8, 0, 1 + i % 5, small);
        }
        ck_assert_int_eq(mbi_container_save_memory(w, &b, NULL), MAMBAINT_OK);
        mbi_container_writer_free(w);
        ck_assert_int_eq(open_buf(&c, &b, NULL), MAMBAINT_OK);
        for (size_t i = 0; i < n; i++) {
            const char *key = mbi_container_key(c, i);
            uint32_t v;

            test_that(!mbi_container_u32(&v, c, key, (uint32_t)i, (uint32_t)i, NULL));
            test_that(mbi_container_tensor(c, key) == mbi_container_tensor_at(c, i));
            snprintf(name, sizeof(name), "%sx", key);
            test_that(!mbi_container_has(c, name) && !mbi_container_tensor(c, name));
        }
        mbi_container_close(c);
        mbi_buf_free(&b);
        test_host_check(&t);
    }
}
END_TEST

START_TEST(digest_does_not_depend_on_threads)
{
    struct mbi_host host;
    struct mbi_buf want;

    mbi_host_default(&host);
    write_memory(&want, &host);
    for (uint32_t threads = 1; threads <= 7; threads++) {
        struct mbi_container *c;
        struct mbi_buf b;

        ck_assert_int_eq(mbi_pool_create(&host.pool, &host, threads, NULL), MAMBAINT_OK);
        write_memory(&b, &host);
        ck_assert_uint_eq(b.size, want.size);
        test_same_bytes(b.data, want.data, b.size);
        ck_assert_int_eq(open_buf(&c, &b, NULL), MAMBAINT_OK);
        mbi_container_close(c);
        mbi_buf_free(&b);
        mbi_pool_free(&host, host.pool);
    }
    host.pool = NULL;
    mbi_buf_free(&want);
}
END_TEST

START_TEST(writer_reports_mistakes)
{
    static const struct {
        const char *word;
        int which;
    } c[] = {{"too few", 0},   {"too few", 1}, {"too many", 2},  {"twice", 3}, {"twice", 4},
             {"type 0", 5},    {"of 0", 6},    {"too large", 7}, {"name", 8},  {"name", 9},
             {"2^31 - 1", 10}, {"twice", 11},  {"type 99", 12}};
    const uint32_t over = 1u << 31;

    for (size_t i = 0; i < MBI_COUNT(c); i++) {
        struct mbi_container_writer *w;
        char dir[TEST_PATH], path[TEST_PATH];
        struct test_host t;
        mambaint_error err;
        struct mbi_buf b;

        test_host_init(&t);
        mbi_buf_init(&b, &t.host);
        ck_assert_int_eq(mbi_container_writer_create(&w, &t.host, NULL), MAMBAINT_OK);
        switch (c[i].which) {
        case 0:
            mbi_container_add_array_text(w, "a", 2);
            mbi_container_add_array_entry(w, "x", 1);
            break;
        case 1:
            mbi_container_add_array_text(w, "a", 1);
            mbi_container_add_u32(w, "b", 1);
            break;
        case 2:
            mbi_container_add_array_text(w, "a", 0);
            mbi_container_add_array_entry(w, "x", 1);
            break;
        case 3:
            mbi_container_add_u32(w, "a", 1);
            mbi_container_add_bool(w, "a", true);
            break;
        case 4:
            mbi_container_add_tensor(w, "a", MBI_TENSOR_I8, 0, 5, small);
            mbi_container_add_tensor(w, "a", MBI_TENSOR_I8, 0, 5, small);
            break;
        case 5:
            mbi_container_add_tensor(w, "a", MBI_TENSOR_F32, 0, 5, large);
            break;
        case 6:
            mbi_container_add_tensor(w, "a", MBI_TENSOR_I8, 2, 0, small);
            break;
        case 7:
            mbi_container_add_tensor(w, "a", MBI_TENSOR_I8, UINT64_MAX, UINT64_MAX, small);
            break;
        case 8:
            mbi_container_add_u32(w, "a b", 1);
            break;
        case 9:
            mbi_container_add_tensor(w, "", MBI_TENSOR_I8, 0, 5, small);
            break;
        case 10:
            mbi_container_add_array_u32(w, "a", &over, 1);
            break;
        case 11:
            mbi_container_add_u32(w, "mambaint.profile", 1);
            break;
        default:
            mbi_container_add_tensor(w, "a", 99, 0, 5, small);
        }
        ck_assert_int_eq(mbi_container_save_memory(w, &b, &err), MAMBAINT_E_INVALID);
        ck_assert_msg(strstr(err.message, c[i].word) != NULL, "case %d: %s", c[i].which,
                      err.message);
        ck_assert_uint_eq(b.size, 0);
        test_dir_make(dir);
        test_path(path, dir, "a");
        ck_assert_int_eq(mbi_container_save(w, path, NULL), MAMBAINT_E_INVALID);
        ck_assert_uint_eq(test_dir_count(dir), 0);
        test_dir_remove(dir);
        mbi_container_writer_free(w);
        mbi_buf_free(&b);
        test_host_check(&t);
    }
}
END_TEST

/* ---- refused memory ---- */

static int32_t write_scenario(const struct mbi_host *host, void *arg)
{
    struct mbi_container_writer *w;
    struct mbi_buf b;
    int32_t rc;

    mbi_buf_init(&b, host);
    if ((rc = mbi_container_writer_create(&w, host, NULL)) < 0)
        return rc;
    fill(w);
    rc = arg ? mbi_container_save(w, arg, NULL) : mbi_container_save_memory(w, &b, NULL);
    mbi_container_writer_free(w);
    mbi_buf_free(&b);
    return rc;
}

static int32_t read_scenario(const struct mbi_host *host, void *arg)
{
    const struct mbi_buf *b = arg;
    struct mbi_container *c;
    const int32_t rc = mbi_container_open_memory(&c, host, b->data, b->size, 0, NULL);

    if (rc == MAMBAINT_OK)
        check_contents(c);
    mbi_container_close(c);
    return rc;
}

static int32_t read_file_scenario(const struct mbi_host *host, void *arg)
{
    struct mbi_container *c;
    const int32_t rc = mbi_container_open(&c, host, arg, 0, NULL);

    mbi_container_close(c);
    return rc;
}

START_TEST(refused_memory_leaves_nothing)
{
    char dir[TEST_PATH], path[TEST_PATH];
    struct mbi_host host;
    struct mbi_buf b;

    mbi_host_default(&host);
    write_memory(&b, &host);
    test_dir_make(dir);
    test_path(path, dir, "a");
    ck_assert_uint_gt(test_refuse_each(write_scenario, NULL), 10);
    ck_assert_uint_gt(test_refuse_each(write_scenario, path), 10);
    ck_assert_uint_gt(test_refuse_each(read_scenario, &b), 5);
    ck_assert_uint_gt(test_refuse_each(read_file_scenario, path), 4);
    ck_assert_uint_eq(test_dir_count(dir), 1);
    test_dir_remove(dir);
    mbi_buf_free(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("container");
    TCase *t = tcase_create("container");

    mbi_host_default(&heap);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, what_is_written_is_read);
    tcase_add_test(t, bytes_are_as_documented);
    tcase_add_test(t, digest_is_the_published_one);
    tcase_add_test(t, documented_example_is_accepted);
    tcase_add_test(t, every_flipped_bit_is_refused);
    tcase_add_test(t, every_other_length_is_refused);
    tcase_add_test(t, digest_can_wait);
    tcase_add_test(t, starts_that_are_refused);
    tcase_add_test(t, counts_are_bounded_by_the_bytes);
    tcase_add_test(t, tables_stay_small);
    tcase_add_test(t, values_that_are_refused);
    tcase_add_test(t, all_value_types_are_parsed);
    tcase_add_test(t, names_that_are_refused);
    tcase_add_test(t, doubles_are_refused);
    tcase_add_test(t, profiles_that_are_refused);
    tcase_add_test(t, tensors_that_are_refused);
    tcase_add_test(t, padding_and_ends_that_are_refused);
    tcase_add_test(t, changed_file_leads_nowhere);
    tcase_add_test(t, accessors_check_type_and_range);
    tcase_add_test(t, names_are_found);
    tcase_add_test(t, digest_does_not_depend_on_threads);
    tcase_add_test(t, writer_reports_mistakes);
    tcase_add_test(t, refused_memory_leaves_nothing);
    suite_add_tcase(s, t);
    return test_main(s);
}
