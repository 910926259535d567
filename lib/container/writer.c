/* SPDX-License-Identifier: Apache-2.0 */
/* Building a container and saving it. */
#include "base/intmath.h"
#include "container/head.h"

/* A tensor as it was added; its name and a NUL follow in `names`. */
struct entry {
    uint64_t rows, cols;
    const uint8_t *data;
    size_t name_size;
    uint32_t type, n_dims;
};

struct mbi_container_writer {
    const struct mbi_host *host;
    struct mbi_buf keys, entries, names;
    size_t n_keys, n_entries;
    size_t missing;      /* entries that the open array of strings still needs */
    const char *mistake; /* the first wrong call, reported by the save */
};

int32_t mbi_container_writer_create(struct mbi_container_writer **out, const struct mbi_host *host,
                                    mambaint_error *err)
{
    struct mbi_container_writer *w;

    *out = NULL;
    if (!(w = mbi_alloc(host, 1, sizeof(*w))))
        return mbi_fail_memory(err, "the writer of a model file");
    w->host = host;
    mbi_buf_init(&w->keys, host);
    mbi_buf_init(&w->entries, host);
    mbi_buf_init(&w->names, host);
    *out = w;
    return MAMBAINT_OK;
}

void mbi_container_writer_free(struct mbi_container_writer *w)
{
    if (!w)
        return;
    mbi_buf_free(&w->keys);
    mbi_buf_free(&w->entries);
    mbi_buf_free(&w->names);
    mbi_free(w->host, w);
}

static void mistake(struct mbi_container_writer *w, const char *what)
{
    if (!w->mistake)
        w->mistake = what;
}

static void add_string(struct mbi_buf *b, const char *text, size_t len)
{
    mbi_buf_add64(b, len);
    mbi_buf_add(b, text, len);
}

static void add_key(struct mbi_buf *b, const char *key, uint32_t type)
{
    add_string(b, key, strlen(key));
    mbi_buf_add32(b, type);
}

static void begin_key(struct mbi_container_writer *w, const char *key, uint32_t type)
{
    if (w->missing)
        mistake(w, "an array of strings has too few entries");
    add_key(&w->keys, key, type);
    w->n_keys++;
}

static void begin_array(struct mbi_container_writer *w, const char *key, uint32_t element, size_t n)
{
    begin_key(w, key, MBI_VALUE_ARRAY);
    mbi_buf_add32(&w->keys, element);
    mbi_buf_add64(&w->keys, n);
}

void mbi_container_add_u32(struct mbi_container_writer *w, const char *key, uint32_t v)
{
    begin_key(w, key, MBI_VALUE_U32);
    mbi_buf_add32(&w->keys, v);
}

void mbi_container_add_u64(struct mbi_container_writer *w, const char *key, uint64_t v)
{
    begin_key(w, key, MBI_VALUE_U64);
    mbi_buf_add64(&w->keys, v);
}

void mbi_container_add_bool(struct mbi_container_writer *w, const char *key, bool v)
{
    begin_key(w, key, MBI_VALUE_BOOL);
    mbi_buf_add8(&w->keys, v);
}

void mbi_container_add_text(struct mbi_container_writer *w, const char *key, const char *text,
                            size_t len)
{
    begin_key(w, key, MBI_VALUE_TEXT);
    add_string(&w->keys, text, len);
}

void mbi_container_add_array_u32(struct mbi_container_writer *w, const char *key, const uint32_t *v,
                                 size_t n)
{
    begin_array(w, key, MBI_VALUE_I32, n);
    for (size_t i = 0; i < n; i++) {
        if (v[i] > INT32_MAX)
            mistake(w, "an array of numbers holds one above 2^31 - 1");
        mbi_buf_add32(&w->keys, v[i]);
    }
}

void mbi_container_add_array_text(struct mbi_container_writer *w, const char *key, size_t n)
{
    begin_array(w, key, MBI_VALUE_TEXT, n);
    w->missing = n;
}

void mbi_container_add_array_entry(struct mbi_container_writer *w, const char *text, size_t len)
{
    if (!w->missing) {
        mistake(w, "an array of strings has too many entries");
        return;
    }
    w->missing--;
    add_string(&w->keys, text, len);
}

void mbi_container_add_tensor(struct mbi_container_writer *w, const char *name, uint32_t type,
                              uint64_t rows, uint64_t cols, const void *data)
{
    const struct entry e = {.rows = rows ? rows : 1,
                            .cols = cols,
                            .data = data,
                            .name_size = strlen(name),
                            .type = type,
                            .n_dims = rows ? 2 : 1};

    mbi_buf_add(&w->entries, &e, sizeof(e));
    mbi_buf_add(&w->names, name, e.name_size + 1);
    w->n_entries++;
}

/* ---- saving ---- */

/* Bytes of a tensor in the file, with its padding; a nonsensical size is left to the check. */
static uint64_t padded_size(const struct entry *e)
{
    const uint64_t size = e->rows * e->cols * mbi_tensor_width(e->type);

    return (size + MBI_CONTAINER_ALIGN - 1) / MBI_CONTAINER_ALIGN * MBI_CONTAINER_ALIGN;
}

static struct entry entry_at(const struct mbi_container_writer *w, size_t i)
{
    struct entry e;

    memcpy(&e, w->entries.data + i * sizeof(e), sizeof(e));
    return e;
}

static void build_head(struct mbi_buf *b, const struct mbi_container_writer *w)
{
    static const char digits[] = "0000000000000000000000000000000000000000000000000000000000000000";
    const char *name = (const char *)w->names.data;
    uint64_t offset = 0;

    mbi_buf_add32(b, MBI_GGUF_MAGIC);
    mbi_buf_add32(b, MBI_GGUF_VERSION);
    mbi_buf_add64(b, w->n_entries);
    mbi_buf_add64(b, w->n_keys + 3);
    mbi_buf_add(b, w->keys.data, w->keys.size);
    add_key(b, "general.alignment", MBI_VALUE_U32);
    mbi_buf_add32(b, MBI_CONTAINER_ALIGN);
    add_key(b, "mambaint.profile", MBI_VALUE_U32);
    mbi_buf_add32(b, MBI_CONTAINER_PROFILE);
    add_key(b, "mambaint.digest", MBI_VALUE_TEXT);
    add_string(b, digits, MBI_DIGEST_DIGITS);
    for (size_t i = 0; i < w->n_entries; i++) {
        const struct entry e = entry_at(w, i);

        add_string(b, name, e.name_size);
        name += e.name_size + 1;
        mbi_buf_add32(b, e.n_dims);
        mbi_buf_add64(b, e.cols);
        if (e.n_dims == 2)
            mbi_buf_add64(b, e.rows);
        mbi_buf_add32(b, e.type);
        mbi_buf_add64(b, offset);
        offset += padded_size(&e);
    }
}

/* The header, checked by the parser that will read it, and the digest in its place. */
static int32_t finish_head(struct mbi_buf *b, struct mbi_head *h,
                           const struct mbi_container_writer *w, mambaint_error *err)
{
    uint8_t digest[MBI_DIGEST_SIZE];
    char digits[MBI_DIGEST_DIGITS + 1];
    mambaint_error why;
    int32_t rc;

    build_head(b, w);
    if (b->failed)
        return mbi_fail_memory(err, "the header of a model file");
    if ((rc = mbi_head_parse(h, w->host, b->data, b->size, &why)) < 0)
        return mbi_fail(err, rc == MAMBAINT_E_NO_MEMORY ? rc : MAMBAINT_E_INVALID,
                        "cannot write a model file: %.200s", why.message);
    for (size_t i = 0; i < h->n_tensors; i++)
        h->tensor[i].data = entry_at(w, i).data;
    mbi_container_digest(digest, h, b->data, true);
    mbi_hex(digits, digest, sizeof(digest));
    memcpy(b->data + h->digest_at, digits, MBI_DIGEST_DIGITS);
    mbi_buf_add_zero(b, h->data_at - h->end);
    return b->failed ? mbi_fail_memory(err, "the header of a model file") : MAMBAINT_OK;
}

/* Where the bytes go: a file or a buffer. */
struct sink {
    struct mbi_save *save; /* NULL: the buffer */
    struct mbi_buf *buf;
    mambaint_error *err;
    int32_t rc;
};

static bool put(void *arg, const void *data, size_t n)
{
    struct sink *s = arg;

    if (s->save) {
        s->rc = mbi_save_write(s->save, data, n, s->err);
    } else {
        mbi_buf_add(s->buf, data, n);
        if (s->buf->failed)
            s->rc = mbi_fail_memory(s->err, "the bytes of a model file");
    }
    return s->rc == MAMBAINT_OK;
}

static int32_t write_all(struct sink *s, const struct mbi_buf *head, const struct mbi_head *h)
{
    static const uint8_t zeros[MBI_CONTAINER_ALIGN];

    if (!put(s, head->data, head->size))
        return s->rc;
    for (size_t i = 0; i < h->n_tensors; i++) {
        const struct mbi_tensor *t = &h->tensor[i];
        const size_t padding = mbi_align_size(t->size, MBI_CONTAINER_ALIGN) - t->size;

        if (!mbi_tensor_pieces(t, true, put, s) || !put(s, zeros, padding))
            return s->rc;
    }
    return MAMBAINT_OK;
}

static int32_t save_to(struct sink *s, struct mbi_container_writer *w)
{
    struct mbi_head h = {.host = w->host};
    struct mbi_buf head;
    int32_t rc;

    if (w->keys.failed || w->entries.failed || w->names.failed)
        return mbi_fail_memory(s->err, "the contents of a model file");
    if (w->missing)
        mistake(w, "an array of strings has too few entries");
    if (w->mistake)
        return mbi_fail(s->err, MAMBAINT_E_INVALID, "cannot write a model file: %s", w->mistake);
    mbi_buf_init(&head, w->host);
    if ((rc = finish_head(&head, &h, w, s->err)) == MAMBAINT_OK)
        rc = write_all(s, &head, &h);
    mbi_head_free(&h);
    mbi_buf_free(&head);
    return rc;
}

int32_t mbi_container_save(struct mbi_container_writer *w, const char *path, mambaint_error *err)
{
    struct sink s = {.err = err};
    int32_t rc;

    if ((rc = mbi_save_begin(&s.save, w->host, path, err)) < 0)
        return rc;
    if ((rc = save_to(&s, w)) < 0) {
        mbi_save_abort(s.save);
        return rc;
    }
    return mbi_save_commit(s.save, err);
}

int32_t mbi_container_save_memory(struct mbi_container_writer *w, struct mbi_buf *out,
                                  mambaint_error *err)
{
    struct sink s = {.buf = out, .err = err};
    const size_t before = out->size;
    const int32_t rc = save_to(&s, w);

    if (rc < 0)
        out->size = before;
    return rc;
}
