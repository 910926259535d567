/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a container and reading its values. */
#include "base/intmath.h"
#include "base/utf8.h"
#include "container/head.h"
#include <inttypes.h>

struct mbi_container {
    const struct mbi_host *host;
    struct mbi_map map;
    void *copy; /* of bytes that came from memory */
    const uint8_t *data;
    size_t size;
    struct mbi_head head;
    bool digest_checked;
};

/* Everything between the header and the tensors, and after each tensor, is zero. */
static int32_t check_zeros(const struct mbi_container *c, size_t begin, size_t end,
                           mambaint_error *err)
{
    for (size_t i = begin; i < end; i++)
        if (c->data[i])
            return mbi_fail(err, MAMBAINT_E_FORMAT, "the padding at byte %zu is not zero", i);
    return MAMBAINT_OK;
}

static int32_t check_layout(struct mbi_container *c, mambaint_error *err)
{
    const struct mbi_head *h = &c->head;
    size_t at = h->data_at;
    int32_t rc;

    if (c->size < h->data_at || c->size - h->data_at < h->data_size)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "the file is cut off: %zu bytes", c->size);
    if (c->size - h->data_at > h->data_size)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "%zu bytes follow the last tensor",
                        c->size - h->data_at - h->data_size);
    if ((rc = check_zeros(c, h->end, h->data_at, err)) < 0)
        return rc;
    for (size_t i = 0; i < h->n_tensors; i++) {
        struct mbi_tensor *t = &h->tensor[i];
        const size_t end = at + t->size;

        t->data = c->data + at;
        at = mbi_align_size(end, MBI_CONTAINER_ALIGN);
        if ((rc = check_zeros(c, end, at, err)) < 0)
            return rc;
    }
    return MAMBAINT_OK;
}

static int32_t open_bytes(struct mbi_container *c, uint32_t flags, mambaint_error *err)
{
    int32_t rc;

    if ((rc = mbi_head_parse(&c->head, c->host, c->data, c->size, err)) < 0 ||
        (rc = check_layout(c, err)) < 0)
        return rc;
    return flags & MBI_CONTAINER_DEFER_DIGEST ? MAMBAINT_OK : mbi_container_check_digest(c, err);
}

static int32_t create(struct mbi_container **out, const struct mbi_host *host, mambaint_error *err)
{
    if (!(*out = mbi_alloc(host, 1, sizeof(**out))))
        return mbi_fail_memory(err, "a model file");
    (*out)->host = (*out)->head.host = host;
    return MAMBAINT_OK;
}

static int32_t finish(struct mbi_container **out, struct mbi_container *c, int32_t rc)
{
    if (rc < 0)
        mbi_container_close(c);
    else
        *out = c;
    return rc;
}

int32_t mbi_container_open(struct mbi_container **out, const struct mbi_host *host,
                           const char *path, uint32_t flags, mambaint_error *err)
{
    struct mbi_container *c;
    int32_t rc;

    *out = NULL;
    if ((rc = create(&c, host, err)) < 0)
        return rc;
    if ((rc = mbi_map_open(&c->map, host, path, err)) == MAMBAINT_OK) {
        c->data = c->map.data;
        c->size = c->map.size;
        rc = open_bytes(c, flags, err);
    }
    return finish(out, c, rc);
}

int32_t mbi_container_open_memory(struct mbi_container **out, const struct mbi_host *host,
                                  const void *data, size_t size, uint32_t flags,
                                  mambaint_error *err)
{
    struct mbi_container *c;
    int32_t rc;

    *out = NULL;
    if ((rc = create(&c, host, err)) < 0)
        return rc;
    if (!(c->copy = mbi_alloc_aligned(host, size)))
        return finish(out, c, mbi_fail_memory(err, "the bytes of a model file"));
    if (size)
        memcpy(c->copy, data, size);
    c->data = c->copy;
    c->size = size;
    return finish(out, c, open_bytes(c, flags, err));
}

void mbi_container_release(const struct mbi_container *c) { mbi_map_release(&c->map); }

void mbi_container_close(struct mbi_container *c)
{
    if (!c)
        return;
    mbi_head_free(&c->head);
    mbi_map_close(&c->map, c->host);
    mbi_free_aligned(c->host, c->copy);
    mbi_free(c->host, c);
}

int32_t mbi_container_check_digest(struct mbi_container *c, mambaint_error *err)
{
    uint8_t digest[MBI_DIGEST_SIZE];
    char digits[MBI_DIGEST_DIGITS + 1];

    if (c->digest_checked)
        return MAMBAINT_OK;
    mbi_map_populate(&c->map);
    mbi_container_digest(digest, &c->head, c->data, false);
    mbi_hex(digits, digest, sizeof(digest));
    if (memcmp(digits, c->data + c->head.digest_at, MBI_DIGEST_DIGITS) != 0)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "the digest does not match: the file was damaged or changed");
    c->digest_checked = true;
    return MAMBAINT_OK;
}

static uint8_t hex_value(uint8_t digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

void mbi_container_file_digest(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_container *c)
{
    const uint8_t *digits = c->data + c->head.digest_at;

    for (size_t i = 0; i < MBI_DIGEST_SIZE; i++)
        out[i] = (uint8_t)(hex_value(digits[2 * i]) << 4 | hex_value(digits[2 * i + 1]));
}

size_t mbi_container_file_size(const struct mbi_container *c) { return c->size; }

/* ---- values ---- */

bool mbi_container_has(struct mbi_container *c, const char *key)
{
    return mbi_head_key(&c->head, key) != NULL;
}

int32_t mbi_container_u32(uint32_t *out, struct mbi_container *c, const char *key, uint32_t lo,
                          uint32_t hi, mambaint_error *err)
{
    struct mbi_key *k = mbi_head_find(&c->head, key, MBI_VALUE_U32, err);
    uint32_t v;

    if (!k)
        return MAMBAINT_E_FORMAT;
    v = mbi_load32(c->data + k->at);
    if (v < lo || v > hi)
        return mbi_fail(err, MAMBAINT_E_RANGE, "key '%s' is %u, outside %u .. %u", key, v, lo, hi);
    *out = v;
    return MAMBAINT_OK;
}

int32_t mbi_container_u64(uint64_t *out, struct mbi_container *c, const char *key,
                          mambaint_error *err)
{
    const struct mbi_key *k = mbi_head_find(&c->head, key, MBI_VALUE_U64, err);

    if (!k)
        return MAMBAINT_E_FORMAT;
    *out = mbi_load64(c->data + k->at);
    return MAMBAINT_OK;
}

int32_t mbi_container_bool(bool *out, struct mbi_container *c, const char *key, mambaint_error *err)
{
    const struct mbi_key *k = mbi_head_find(&c->head, key, MBI_VALUE_BOOL, err);

    if (!k)
        return MAMBAINT_E_FORMAT;
    *out = c->data[k->at] != 0;
    return MAMBAINT_OK;
}

int32_t mbi_container_text(const char **out, size_t *len, struct mbi_container *c, const char *key,
                           mambaint_error *err)
{
    struct mbi_key *k = mbi_head_find(&c->head, key, MBI_VALUE_TEXT, err);

    if (!k)
        return MAMBAINT_E_FORMAT;
    *out = (const char *)c->data + k->at;
    *len = k->count;
    return MAMBAINT_OK;
}

int32_t mbi_container_word(char *out, size_t cap, struct mbi_container *c, const char *key,
                           mambaint_error *err)
{
    const char *text;
    size_t len;
    const int32_t rc = mbi_container_text(&text, &len, c, key, err);

    if (rc < 0)
        return rc;
    if (!len || len >= cap || memchr(text, 0, len))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "key '%s' is empty, longer than %zu bytes, or holds a NUL", key, cap - 1);
    memcpy(out, text, len);
    out[len] = 0;
    return MAMBAINT_OK;
}

int32_t mbi_container_array_size(size_t *n, struct mbi_container *c, const char *key,
                                 mambaint_error *err)
{
    const struct mbi_key *k = mbi_head_find(&c->head, key, MBI_VALUE_ARRAY, err);

    if (!k)
        return MAMBAINT_E_FORMAT;
    *n = k->count;
    return MAMBAINT_OK;
}

/*
 * Length of the entry at next_at. Lengths were checked when the file was opened; a mapped file can
 * change afterwards, and must not lead out of it then.
 */
static bool entry_length(size_t *len, const struct mbi_container *c, const struct mbi_key *k)
{
    struct mbi_reader r = {.data = c->data, .size = k->end, .pos = k->next_at};
    const uint64_t n = mbi_read64(&r);

    *len = (size_t)n;
    return !r.failed && n <= mbi_read_left(&r);
}

static int32_t changed(const char *key, mambaint_error *err)
{
    return mbi_fail(err, MAMBAINT_E_FORMAT, "key '%s' changed while the file was open", key);
}

/* Entries are found from the last one read on: a walk in order takes time for the bytes once. */
int32_t mbi_container_array_text(const char **out, size_t *len, struct mbi_container *c,
                                 const char *key, size_t index, mambaint_error *err)
{
    struct mbi_key *k = mbi_head_find(&c->head, key, MBI_VALUE_ARRAY, err);

    if (!k)
        return MAMBAINT_E_FORMAT;
    if (k->element != MBI_VALUE_TEXT)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "key '%s' is an array of %s, not of strings", key,
                        mbi_value_name(k->element));
    if (index >= k->count)
        return mbi_fail(err, MAMBAINT_E_RANGE, "key '%s' has %zu entries, no entry %zu", key,
                        k->count, index);
    if (index < k->next) {
        k->next = 0;
        k->next_at = k->at;
    }
    for (; k->next < index; k->next++) {
        if (!entry_length(len, c, k))
            return changed(key, err);
        k->next_at += 8 + *len;
    }
    if (!entry_length(len, c, k))
        return changed(key, err);
    *out = (const char *)c->data + k->next_at + 8;
    return MAMBAINT_OK;
}

int32_t mbi_container_array_u32(uint32_t *out, size_t n, struct mbi_container *c, const char *key,
                                mambaint_error *err)
{
    struct mbi_key *k = mbi_head_find(&c->head, key, MBI_VALUE_ARRAY, err);

    if (!k)
        return MAMBAINT_E_FORMAT;
    if (k->element != MBI_VALUE_I32 && k->element != MBI_VALUE_U32)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "key '%s' is an array of %s, not of i32 or u32",
                        key, mbi_value_name(k->element));
    if (k->count != n)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "key '%s' has %zu entries, not %zu", key, k->count,
                        n);
    for (size_t i = 0; i < n; i++) {
        out[i] = mbi_load32(c->data + k->at + 4 * i);
        if (k->element == MBI_VALUE_I32 && out[i] > INT32_MAX)
            return mbi_fail(err, MAMBAINT_E_RANGE, "key '%s' has a negative entry at %zu", key, i);
    }
    return MAMBAINT_OK;
}

int32_t mbi_container_refuse_unread(struct mbi_container *c, const char *prefix,
                                    mambaint_error *err)
{
    const size_t n = strlen(prefix);

    for (size_t i = 0; i < c->head.n_keys; i++)
        if (!c->head.key[i].read && !strncmp(c->head.key[i].name, prefix, n))
            return mbi_fail(err, MAMBAINT_E_FORMAT,
                            "unknown key '%s': the file is from another version or damaged",
                            c->head.key[i].name);
    return MAMBAINT_OK;
}

/* ---- for tools ---- */

size_t mbi_container_n_keys(const struct mbi_container *c) { return c->head.n_keys; }

const char *mbi_container_key(const struct mbi_container *c, size_t i)
{
    return c->head.key[i].name;
}

/* Text as it is; control characters and bytes that are not UTF-8 as \xNN. */
static void add_shown(struct mbi_buf *out, const uint8_t *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t code;
        const int length = mbi_utf8_decode(&code, text + i, n - i);

        if (length <= 0 || code < 0x20 || (code >= 0x7F && code < 0xA0)) {
            mbi_buf_addf(out, "\\x%02x", text[i++]);
        } else {
            mbi_buf_add(out, text + i, (size_t)length);
            i += (size_t)length;
        }
    }
}

static void add_number(struct mbi_buf *out, uint32_t type, const uint8_t *p)
{
    switch (type) {
    case MBI_VALUE_U8:
        mbi_buf_addf(out, "%u", p[0]);
        break;
    case MBI_VALUE_I8:
        mbi_buf_addf(out, "%d", (int8_t)p[0]);
        break;
    case MBI_VALUE_U16:
        mbi_buf_addf(out, "%u", mbi_load16(p));
        break;
    case MBI_VALUE_I16:
        mbi_buf_addf(out, "%d", (int16_t)mbi_load16(p));
        break;
    case MBI_VALUE_U32:
        mbi_buf_addf(out, "%" PRIu32, mbi_load32(p));
        break;
    case MBI_VALUE_I32:
        mbi_buf_addf(out, "%" PRId32, (int32_t)mbi_load32(p));
        break;
    case MBI_VALUE_U64:
        mbi_buf_addf(out, "%" PRIu64, mbi_load64(p));
        break;
    case MBI_VALUE_I64:
        mbi_buf_addf(out, "%" PRId64, (int64_t)mbi_load64(p));
        break;
    case MBI_VALUE_BOOL:
        mbi_buf_add_text(out, p[0] ? "true" : "false");
        break;
    case MBI_VALUE_F32: /* the library has no floats: the bits */
        mbi_buf_addf(out, "f32 0x%08" PRIx32, mbi_load32(p));
        break;
    default:
        mbi_buf_addf(out, "f64 0x%016" PRIx64, mbi_load64(p));
    }
}

void mbi_container_value_text(struct mbi_buf *out, const struct mbi_container *c, size_t i)
{
    const struct mbi_key *k = &c->head.key[i];

    if (k->type == MBI_VALUE_TEXT)
        add_shown(out, c->data + k->at, k->count);
    else if (k->type == MBI_VALUE_ARRAY)
        mbi_buf_addf(out, "[%zu %s%s]", k->count, mbi_value_name(k->element),
                     k->element == MBI_VALUE_TEXT ? "s" : "");
    else
        add_number(out, k->type, c->data + k->at);
}

size_t mbi_container_n_tensors(const struct mbi_container *c) { return c->head.n_tensors; }

const struct mbi_tensor *mbi_container_tensor_at(const struct mbi_container *c, size_t i)
{
    return &c->head.tensor[i];
}

const struct mbi_tensor *mbi_container_tensor(const struct mbi_container *c, const char *name)
{
    return mbi_head_tensor(&c->head, name);
}
