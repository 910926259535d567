/* SPDX-License-Identifier: Apache-2.0 */
/* The digest of a container: its header, then the hash of every tensor. */
#include "base/intmath.h"
#include "container/head.h"
#include <stdatomic.h>

#define PIECE 4096 /* bytes turned round at a time */

bool mbi_tensor_pieces(const struct mbi_tensor *t, bool native,
                       bool (*put)(void *arg, const void *data, size_t n), void *arg)
{
    const size_t width = mbi_tensor_width(t->type);
    uint8_t piece[PIECE];

    if (!native || !MBI_BIG_ENDIAN || width == 1)
        return put(arg, t->data, t->size);
    for (size_t at = 0; at < t->size; at += PIECE) {
        const size_t n = mbi_min_size(PIECE, t->size - at);

        mbi_copy_le(piece, t->data + at, n / width, width);
        if (!put(arg, piece, n))
            return false;
    }
    return true;
}

static bool hash_piece(void *arg, const void *data, size_t n)
{
    mbi_blake2b_add(arg, data, n);
    return true;
}

struct job {
    struct mbi_tensor *tensor;
    size_t n;
    bool native;
    atomic_size_t next;
};

/* Tensors differ much in size, so each thread takes the next one when it is done with its last. */
static void hash_tensors(void *arg, size_t begin, size_t end)
{
    struct job *job = arg;
    size_t i;

    (void)begin;
    (void)end;
    while ((i = atomic_fetch_add(&job->next, 1)) < job->n) {
        struct mbi_blake2b s;

        mbi_blake2b_init(&s);
        mbi_tensor_pieces(&job->tensor[i], job->native, hash_piece, &s);
        mbi_blake2b_end(&s, job->tensor[i].hash);
    }
}

void mbi_container_digest(uint8_t out[MBI_DIGEST_SIZE], struct mbi_head *h, const uint8_t *data,
                          bool native)
{
    struct job job = {.tensor = h->tensor, .n = h->n_tensors, .native = native};
    uint8_t zeros[MBI_DIGEST_DIGITS];
    const size_t after = h->digest_at + MBI_DIGEST_DIGITS;
    struct mbi_blake2b s;

    memset(zeros, '0', sizeof(zeros));
    mbi_parallel_for(h->host, mbi_pool_threads(h->host->pool), 1, hash_tensors, &job);
    mbi_blake2b_init(&s);
    mbi_blake2b_add(&s, data, h->digest_at);
    mbi_blake2b_add(&s, zeros, sizeof(zeros));
    mbi_blake2b_add(&s, data + after, h->end - after);
    for (size_t i = 0; i < h->n_tensors; i++)
        mbi_blake2b_add(&s, h->tensor[i].hash, MBI_DIGEST_SIZE);
    mbi_blake2b_end(&s, out);
}
