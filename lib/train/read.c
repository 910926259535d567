/* SPDX-License-Identifier: Apache-2.0 */
/* Finding, checking and unpacking data files. */
#include "train/read.h"
#include "base/intmath.h"
#include <stdio.h>
#include <string.h>
#if MBI_HAVE_LZMA
#include <lzma.h>
#endif
#if MBI_HAVE_SODIUM
#include <sodium.h>
#endif

#define MAX_PATH 4096

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);

    return n >= m && !strcmp(text + n - m, end);
}

/* ---- SHA-256 ---- */

static int32_t check_sha256(bool *equal, const struct mbi_map *map, const uint8_t *want,
                            mambaint_error *err)
{
#if MBI_HAVE_SODIUM
    uint8_t got[crypto_hash_sha256_BYTES];

    (void)err;
    crypto_hash_sha256(got, map->data, map->size);
    *equal = !memcmp(got, want, sizeof(got));
    return MAMBAINT_OK;
#else
    (void)equal, (void)map, (void)want;
    return mbi_fail(
        err, MAMBAINT_E_UNSUPPORTED,
        "this build cannot check a sha256 (no libsodium); leave sha256= out or rebuild");
#endif
}

/* ---- .xz ---- */

#if MBI_HAVE_LZMA
#define DECODER_MEMORY ((uint64_t)256 << 20)
#define MAX_UNPACKED ((uint64_t)1 << 32) /* a small file must not fill the memory */
#define STEP ((size_t)1 << 20)

static void *lzma_take(void *host, size_t n, size_t size) { return mbi_alloc(host, n, size); }

static void lzma_give(void *host, void *block) { mbi_free(host, block); }

static int32_t decode(struct mbi_buf *out, lzma_stream *s, const char *path, mambaint_error *err)
{
    lzma_ret ret = LZMA_OK;

    while (ret == LZMA_OK) {
        if (out->size > MAX_UNPACKED)
            return mbi_fail(err, MAMBAINT_E_RANGE, "'%.150s' unpacks to more than 4 GiB", path);
        if (!mbi_buf_reserve(out, STEP))
            return mbi_fail_memory(err, "an unpacked data file");
        s->next_out = out->data + out->size;
        s->avail_out = STEP;
        ret = lzma_code(s, LZMA_FINISH);
        out->size += STEP - s->avail_out;
    }
    if (ret == LZMA_MEM_ERROR)
        return mbi_fail_memory(err, "an unpacked data file");
    if (ret != LZMA_STREAM_END)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "'%.150s' is no whole .xz file (liblzma says %d)",
                        path, (int)ret);
    return MAMBAINT_OK;
}

static int32_t unpack(struct mbi_buf *out, const struct mbi_map *map, const char *path,
                      mambaint_error *err)
{
    struct mbi_host host = *out->host; /* liblzma wants it without const */
    const lzma_allocator allocator = {lzma_take, lzma_give, &host};
    lzma_stream s = LZMA_STREAM_INIT;
    int32_t rc;

    s.allocator = &allocator;
    s.next_in = map->data;
    s.avail_in = map->size;
    if (lzma_stream_decoder(&s, DECODER_MEMORY, LZMA_CONCATENATED) != LZMA_OK)
        return mbi_fail_memory(err, "an unpacked data file");
    rc = decode(out, &s, path, err);
    lzma_end(&s);
    return rc;
}
#else
static int32_t unpack(struct mbi_buf *out, const struct mbi_map *map, const char *path,
                      mambaint_error *err)
{
    (void)out, (void)map;
    return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                    "'%.150s': this build cannot read .xz (no liblzma); unpack the file", path);
}
#endif

/* ---- finding ---- */

struct search {
    const struct mbi_host *host;
    const uint8_t *sha256;
    char path[MAX_PATH];
    bool found, seen; /* open with the right hash; any file of that name */
};

/* Errors of a candidate that cannot be opened are not kept: the last one may be the right one. */
static int32_t try_path(struct mbi_map *map, struct search *s, mambaint_error *err)
{
    int32_t rc;

    if (mbi_map_open(map, s->host, s->path, NULL) < 0)
        return MAMBAINT_OK;
    s->seen = s->found = true;
    if (!s->sha256)
        return MAMBAINT_OK;
    rc = check_sha256(&s->found, map, s->sha256, err);
    if (rc < 0 || !s->found) {
        mbi_map_close(map, s->host);
        *map = (struct mbi_map){0};
    }
    return rc;
}

static int32_t find(struct mbi_map *map, struct search *s, const char *dir, const char *name,
                    mambaint_error *err)
{
    for (int in_dir = dir != NULL; in_dir >= 0 && !s->found; in_dir--)
        for (int packed = 0; packed < 2 && !s->found; packed++) {
            const int n = snprintf(s->path, sizeof(s->path), "%s%s%s%s", in_dir ? dir : "",
                                   in_dir ? "/" : "", name, packed ? ".xz" : "");
            int32_t rc;

            if (n < 0 || (size_t)n >= sizeof(s->path))
                return mbi_fail(err, MAMBAINT_E_INVALID, "the path of a data file is too long");
            if ((rc = try_path(map, s, err)) < 0)
                return rc;
        }
    if (s->found)
        return MAMBAINT_OK;
    if (s->seen)
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "'%.150s' does not have the sha256 that was asked for", name);
    return mbi_fail(err, MAMBAINT_E_IO, "cannot read '%.90s' or '%.90s.xz'%s", name, name,
                    dir ? ", in the data folder or by its own path" : "; is data-dir right?");
}

int32_t mbi_text_open(struct mbi_text *out, const struct mbi_host *host, const char *dir,
                      const char *name, const uint8_t *sha256, mambaint_error *err)
{
    struct search s = {.host = host, .sha256 = sha256};
    int32_t rc;

    *out = (struct mbi_text){.host = host};
    mbi_buf_init(&out->unpacked, host);
    if ((rc = find(&out->map, &s, dir, name, err)) < 0)
        return rc;
    out->data = out->map.data;
    out->size = out->map.size;
    if (!ends_with(s.path, ".xz"))
        return MAMBAINT_OK;
    rc = unpack(&out->unpacked, &out->map, s.path, err);
    mbi_map_close(&out->map, host);
    out->map = (struct mbi_map){0};
    out->data = out->unpacked.data;
    out->size = out->unpacked.size;
    return rc;
}

void mbi_text_close(struct mbi_text *text)
{
    if (!text->host)
        return;
    mbi_map_close(&text->map, text->host);
    mbi_buf_free(&text->unpacked);
    *text = (struct mbi_text){0};
}
