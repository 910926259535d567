/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of container headers. docs/container.md is the normative text. */
#include "container/head.h"
#include "base/intmath.h"

static const struct {
    const char *name;
    uint8_t width;
} value_types[] = {
    [MBI_VALUE_U8] = {"u8", 1},       [MBI_VALUE_I8] = {"i8", 1},
    [MBI_VALUE_U16] = {"u16", 2},     [MBI_VALUE_I16] = {"i16", 2},
    [MBI_VALUE_U32] = {"u32", 4},     [MBI_VALUE_I32] = {"i32", 4},
    [MBI_VALUE_F32] = {"f32", 4},     [MBI_VALUE_BOOL] = {"bool", 1},
    [MBI_VALUE_TEXT] = {"string", 0}, [MBI_VALUE_ARRAY] = {"array", 0},
    [MBI_VALUE_U64] = {"u64", 8},     [MBI_VALUE_I64] = {"i64", 8},
    [MBI_VALUE_F64] = {"f64", 8},
};

const char *mbi_value_name(uint32_t type)
{
    return type < MBI_COUNT(value_types) ? value_types[type].name : "unknown";
}

size_t mbi_value_width(uint32_t type)
{
    return type < MBI_COUNT(value_types) ? value_types[type].width : 0;
}

size_t mbi_tensor_width(uint32_t type)
{
    switch (type) {
    case MBI_TENSOR_I8:
        return 1;
    case MBI_TENSOR_I16:
        return 2;
    case MBI_TENSOR_I32:
    case MBI_TENSOR_F32:
        return 4;
    default:
        return 0;
    }
}

/* ---- names in order ---- */

/* Names lie `stride` bytes apart. */
struct names {
    const char *first;
    size_t stride;
};

static int compare(const struct names *s, uint32_t a, uint32_t b)
{
    return strcmp(s->first + a * s->stride, s->first + b * s->stride);
}

/* Heap sort: n log n steps whatever the names are, and no memory. */
static void sift(uint32_t *order, size_t root, size_t n, const struct names *s)
{
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        const uint32_t parent = order[root];

        if (child + 1 < n && compare(s, order[child], order[child + 1]) < 0)
            child++;
        if (compare(s, parent, order[child]) >= 0)
            return;
        order[root] = order[child];
        order[child] = parent;
    }
}

static void sort_names(uint32_t *order, size_t n, const struct names *s)
{
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n / 2; i-- > 0;)
        sift(order, i, n, s);
    for (size_t left = n; left-- > 1;) {
        const uint32_t top = order[0];

        order[0] = order[left];
        order[left] = top;
        sift(order, 0, left, s);
    }
}

/* The first name that follows its equal, or NULL. */
static const char *twice(const uint32_t *order, size_t n, const struct names *s)
{
    for (size_t i = 1; i < n; i++)
        if (!compare(s, order[i - 1], order[i]))
            return s->first + order[i] * s->stride;
    return NULL;
}

/* Index of a name, or n. */
static size_t search(const uint32_t *order, size_t n, const struct names *s, const char *name)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        const int c = strcmp(s->first + order[mid] * s->stride, name);

        if (!c)
            return order[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return n;
}

static struct names key_names(const struct mbi_head *h)
{
    return (struct names){h->key ? h->key->name : NULL, sizeof(*h->key)};
}

static struct names tensor_names(const struct mbi_head *h)
{
    return (struct names){h->tensor_name, MBI_NAME_MAX + 1};
}

struct mbi_key *mbi_head_key(const struct mbi_head *h, const char *name)
{
    const struct names s = key_names(h);
    const size_t i = search(h->key_order, h->n_keys, &s, name);

    return i < h->n_keys ? &h->key[i] : NULL;
}

struct mbi_key *mbi_head_find(const struct mbi_head *h, const char *name, uint32_t type,
                              mambaint_error *err)
{
    struct mbi_key *k = mbi_head_key(h, name);

    if (!k) {
        mbi_fail(err, MAMBAINT_E_FORMAT, "key '%s' is missing", name);
        return NULL;
    }
    if (k->type != type) {
        mbi_fail(err, MAMBAINT_E_FORMAT, "key '%s' is of type %s, not %s", name,
                 mbi_value_name(k->type), mbi_value_name(type));
        return NULL;
    }
    k->read = true;
    return k;
}

const struct mbi_tensor *mbi_head_tensor(const struct mbi_head *h, const char *name)
{
    const struct names s = tensor_names(h);
    const size_t i = search(h->tensor_order, h->n_tensors, &s, name);

    return i < h->n_tensors ? &h->tensor[i] : NULL;
}

/* ---- records ---- */

static int32_t cut_short(mambaint_error *err, const char *what, size_t i)
{
    return mbi_fail(err, MAMBAINT_E_FORMAT, "the file ends inside %s %zu, or its length is wrong",
                    what, i);
}

/* A count of entries that take at least `smallest` bytes each: more than fit ends the reading. */
static size_t read_count(struct mbi_reader *r, size_t smallest)
{
    const uint64_t n = mbi_read64(r);

    if (n > mbi_read_left(r) / smallest)
        r->failed = true;
    return r->failed ? 0 : (size_t)n;
}

/* Names are printable ASCII, so that they can be shown, compared and ended by a NUL. */
static bool read_name(char *out, size_t max, struct mbi_reader *r)
{
    const size_t n = read_count(r, 1);
    const uint8_t *p = mbi_read_bytes(r, n);

    if (!p || !n || n > max)
        return false;
    for (size_t i = 0; i < n; i++)
        if (p[i] <= ' ' || p[i] > '~')
            return false;
    memcpy(out, p, n);
    out[n] = 0;
    return true;
}

static bool skip_text(struct mbi_reader *r)
{
    const size_t n = read_count(r, 1);

    return mbi_read_bytes(r, n) != NULL;
}

/* Truth values are 0 or 1, so that equal files are equal bytes. */
static int32_t check_bools(const struct mbi_key *k, const uint8_t *p, mambaint_error *err)
{
    for (size_t i = 0; i < k->count; i++)
        if (p[i] > 1)
            return mbi_fail(err, MAMBAINT_E_FORMAT, "key '%s' holds a bool that is %u", k->name,
                            p[i]);
    return MAMBAINT_OK;
}

/* `count` values of one type, without the length of an array. */
static int32_t read_values(struct mbi_key *k, struct mbi_reader *r, uint32_t type, size_t index,
                           mambaint_error *err)
{
    const size_t width = mbi_value_width(type);
    const uint8_t *p;

    k->at = r->pos;
    if (type == MBI_VALUE_TEXT) {
        for (size_t i = 0; i < k->count; i++)
            if (!skip_text(r))
                return cut_short(err, "key", index);
        return MAMBAINT_OK;
    }
    if (!width)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "key '%s' has the unknown value type %u", k->name,
                        type);
    /* count is at most left / smallest and smallest is at least width: the product fits */
    if (!(p = mbi_read_bytes(r, k->count * width)))
        return cut_short(err, "key", index);
    return type == MBI_VALUE_BOOL ? check_bools(k, p, err) : MAMBAINT_OK;
}

static int32_t read_array(struct mbi_key *k, struct mbi_reader *r, size_t index,
                          mambaint_error *err)
{
    size_t smallest;

    k->element = mbi_read32(r);
    if (k->element == MBI_VALUE_ARRAY)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "key '%s' holds arrays in an array", k->name);
    smallest = k->element == MBI_VALUE_TEXT ? 8 : mbi_max_size(mbi_value_width(k->element), 1);
    k->count = read_count(r, smallest);
    if (r->failed)
        return cut_short(err, "key", index);
    return read_values(k, r, k->element, index, err);
}

static int32_t read_key(struct mbi_key *k, struct mbi_reader *r, size_t index, mambaint_error *err)
{
    int32_t rc;

    if (!read_name(k->name, MBI_KEY_MAX, r))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "key %zu has a name that is cut off, empty, over %d bytes or not ASCII",
                        index, MBI_KEY_MAX);
    k->type = mbi_read32(r);
    k->count = 1;
    if (r->failed)
        return cut_short(err, "key", index);
    if (k->type == MBI_VALUE_ARRAY)
        rc = read_array(k, r, index, err);
    else
        rc = read_values(k, r, k->type, index, err);
    if (rc == MAMBAINT_OK && k->type == MBI_VALUE_TEXT) {
        k->count = r->pos - k->at - 8;
        k->at += 8;
    }
    k->next_at = k->at;
    k->end = r->pos;
    return rc;
}

/* Sizes and place of tensor i; each begins where the one before it, padded, ends. */
static int32_t place_tensor(struct mbi_head *h, struct mbi_tensor *t, uint64_t offset,
                            mambaint_error *err)
{
    size_t size, end;

    if (!t->rows || !t->cols)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "tensor '%s' has a dimension of 0", t->name);
    if (t->rows > SIZE_MAX || t->cols > SIZE_MAX ||
        !mbi_mul_size(&size, (size_t)t->rows, (size_t)t->cols) ||
        !mbi_mul_size(&size, size, mbi_tensor_width(t->type)) ||
        !mbi_add_size(&end, size, MBI_CONTAINER_ALIGN) ||
        !mbi_add_size(&end, h->data_size, mbi_align_size(size, MBI_CONTAINER_ALIGN)))
        return mbi_fail(err, MAMBAINT_E_RANGE, "tensor '%s' is too large for this machine",
                        t->name);
    if (offset != h->data_size)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "tensor '%s' does not begin where the one before it ends", t->name);
    t->size = size;
    h->data_size = end;
    return MAMBAINT_OK;
}

static int32_t read_tensor(struct mbi_head *h, struct mbi_reader *r, size_t index,
                           mambaint_error *err)
{
    struct mbi_tensor *t = &h->tensor[index];
    char *name = h->tensor_name + index * (MBI_NAME_MAX + 1);
    uint64_t offset;

    if (!read_name(name, MBI_NAME_MAX, r))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "tensor %zu has a name that is cut off, empty, over %d bytes or not ASCII",
                        index, MBI_NAME_MAX);
    t->name = name;
    t->n_dims = mbi_read32(r);
    if (!r->failed && (t->n_dims < 1 || t->n_dims > 2))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "tensor '%s' has %u dimensions, not 1 or 2", name,
                        t->n_dims);
    t->cols = mbi_read64(r);
    t->rows = t->n_dims == 2 ? mbi_read64(r) : 1;
    t->type = mbi_read32(r);
    offset = mbi_read64(r);
    if (r->failed)
        return cut_short(err, "tensor", index);
    if (!mbi_tensor_width(t->type) || (t->type == MBI_TENSOR_F32 && !h->checkpoint))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "tensor '%s' has type %u; a model holds I8, I16 and I32 only", name,
                        t->type);
    return place_tensor(h, t, offset, err);
}

/* ---- the whole ---- */

static int32_t read_start(struct mbi_head *h, struct mbi_reader *r, mambaint_error *err)
{
    const uint32_t magic = mbi_read32(r), version = mbi_read32(r);
    const uint64_t n_tensors = mbi_read64(r), n_keys = mbi_read64(r);
    const size_t left = mbi_read_left(r);

    if (magic != MBI_GGUF_MAGIC)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "not a model file: it does not begin with 'GGUF'");
    if (r->failed)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "the file ends after %zu bytes", r->size);
    if (version == MBI_GGUF_VERSION << 24)
        return mbi_fail(err, MAMBAINT_E_VERSION, "a big-endian GGUF file; convert it first");
    if (version != MBI_GGUF_VERSION)
        return mbi_fail(err, MAMBAINT_E_VERSION, "GGUF version %u, not %u", version,
                        MBI_GGUF_VERSION);
    /* The smallest key is 14 bytes, the smallest tensor 33. */
    if (n_keys > left / 14 || n_tensors > left / 33)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "more keys or tensors than the file has room for");
    if (n_keys > MBI_KEYS_MAX || n_tensors > MBI_TENSORS_MAX)
        return mbi_fail(err, MAMBAINT_E_RANGE, "more than %u keys or %u tensors", MBI_KEYS_MAX,
                        MBI_TENSORS_MAX);
    h->n_keys = (size_t)n_keys;
    h->n_tensors = (size_t)n_tensors;
    if (!(h->key = mbi_alloc(h->host, h->n_keys, sizeof(*h->key))) ||
        !(h->key_order = mbi_alloc(h->host, h->n_keys, sizeof(*h->key_order))) ||
        !(h->tensor = mbi_alloc(h->host, h->n_tensors, sizeof(*h->tensor))) ||
        !(h->tensor_name = mbi_alloc(h->host, h->n_tensors, MBI_NAME_MAX + 1)) ||
        !(h->tensor_order = mbi_alloc(h->host, h->n_tensors, sizeof(*h->tensor_order))))
        return mbi_fail_memory(err, "the table of a model file");
    return MAMBAINT_OK;
}

static int32_t read_keys(struct mbi_head *h, struct mbi_reader *r, mambaint_error *err)
{
    const struct names s = key_names(h);
    const char *again;

    for (size_t i = 0; i < h->n_keys; i++) {
        const int32_t rc = read_key(&h->key[i], r, i, err);

        if (rc < 0)
            return rc;
    }
    sort_names(h->key_order, h->n_keys, &s);
    if ((again = twice(h->key_order, h->n_keys, &s)))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "key '%s' appears twice", again);
    return MAMBAINT_OK;
}

static int32_t read_tensors(struct mbi_head *h, struct mbi_reader *r, mambaint_error *err)
{
    const struct names s = tensor_names(h);
    const char *again;

    for (size_t i = 0; i < h->n_tensors; i++) {
        const int32_t rc = read_tensor(h, r, i, err);

        if (rc < 0)
            return rc;
    }
    sort_names(h->tensor_order, h->n_tensors, &s);
    if ((again = twice(h->tensor_order, h->n_tensors, &s)))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "tensor '%s' appears twice", again);
    h->end = r->pos;
    if (h->end > SIZE_MAX - MBI_CONTAINER_ALIGN)
        return mbi_fail(err, MAMBAINT_E_RANGE, "the header is too large for this machine");
    h->data_at = mbi_align_size(h->end, MBI_CONTAINER_ALIGN);
    return MAMBAINT_OK;
}

static int32_t check_number(const struct mbi_head *h, const uint8_t *data, const char *name,
                            uint32_t want, int32_t code, mambaint_error *err)
{
    const struct mbi_key *k = mbi_head_find(h, name, MBI_VALUE_U32, err);

    if (!k)
        return MAMBAINT_E_FORMAT;
    if (mbi_load32(data + k->at) != want)
        return mbi_fail(err, code, "%s is %u; this library reads %u", name,
                        mbi_load32(data + k->at), want);
    return MAMBAINT_OK;
}

static int32_t check_digits(struct mbi_head *h, const uint8_t *data, mambaint_error *err)
{
    const struct mbi_key *k = mbi_head_find(h, "mambaint.digest", MBI_VALUE_TEXT, err);
    bool good;

    if (!k)
        return MAMBAINT_E_FORMAT;
    good = k->count == MBI_DIGEST_DIGITS;
    for (size_t i = 0; good && i < MBI_DIGEST_DIGITS; i++) {
        const uint8_t c = data[k->at + i];

        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    }
    if (!good)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "mambaint.digest is not %d lower-case hex digits",
                        MBI_DIGEST_DIGITS);
    h->digest_at = k->at;
    return MAMBAINT_OK;
}

static bool value_is(const struct mbi_key *k, const uint8_t *data, const char *text)
{
    return k->count == strlen(text) && !memcmp(data + k->at, text, k->count);
}

static int32_t check_profile(struct mbi_head *h, const uint8_t *data, mambaint_error *err)
{
    const struct mbi_key *k;
    int32_t rc;

    if ((rc = check_number(h, data, "general.alignment", MBI_CONTAINER_ALIGN, MAMBAINT_E_FORMAT,
                           err)) < 0 ||
        (rc = check_number(h, data, "mambaint.profile", MBI_CONTAINER_PROFILE, MAMBAINT_E_VERSION,
                           err)) < 0 ||
        (rc = check_digits(h, data, err)) < 0)
        return rc;
    if (!mbi_head_key(h, "general.type"))
        return MAMBAINT_OK;
    if (!(k = mbi_head_find(h, "general.type", MBI_VALUE_TEXT, err)))
        return MAMBAINT_E_FORMAT;
    h->checkpoint = value_is(k, data, "checkpoint");
    if (!h->checkpoint && !value_is(k, data, "model"))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "general.type is neither model nor checkpoint");
    return MAMBAINT_OK;
}

int32_t mbi_head_parse(struct mbi_head *h, const struct mbi_host *host, const uint8_t *data,
                       size_t size, mambaint_error *err)
{
    struct mbi_reader r = {.data = data, .size = size};
    int32_t rc;

    *h = (struct mbi_head){.host = host};
    if ((rc = read_start(h, &r, err)) < 0 || (rc = read_keys(h, &r, err)) < 0 ||
        (rc = check_profile(h, data, err)) < 0)
        return rc;
    return read_tensors(h, &r, err);
}

void mbi_head_free(struct mbi_head *h)
{
    mbi_free(h->host, h->key);
    mbi_free(h->host, h->key_order);
    mbi_free(h->host, h->tensor);
    mbi_free(h->host, h->tensor_name);
    mbi_free(h->host, h->tensor_order);
    *h = (struct mbi_head){.host = h->host};
}
