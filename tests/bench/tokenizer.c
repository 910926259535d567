/* SPDX-License-Identifier: Apache-2.0 */
/* Speed of the tokenizer on this machine: figures for people, no check. */
#include "base/bytes.h"
#include "base/file.h"
#include "base/intmath.h"
#include "convert/gpt2_tokenizer.h"
#include "sample/document.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/stream.h"
#include "tokenizer/tokenizer.h"
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: tokenizer [--gpt2 ENCODER.json VOCAB.bpe] [--tokenizer FILE] [--train VOCAB]\n"
    "                 [--threads N] [--rounds N] TEXT ...\n"
    "Encodes, decodes and streams the texts, and words of one kind; with --train also learns a\n"
    "vocabulary from them. FILE is a tokenizer or a model; the first vocabulary that can be had\n"
    "is taken. Times are of all processors together, but for training, which shows both.\n";

struct options {
    const char *encoder, *merges, *tokenizer;
    uint32_t train, threads, rounds;
    char **text;
    int n_texts;
};

static bool read_options(struct options *o, int argc, char **argv)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        const int left = argc - 1 - i;

        if (!strcmp(argv[i], "--gpt2") && left >= 2) {
            o->encoder = argv[++i];
            o->merges = argv[++i];
        } else if (!strcmp(argv[i], "--tokenizer") && left >= 1) {
            o->tokenizer = argv[++i];
        } else if (!strcmp(argv[i], "--train") && left >= 1) {
            o->train = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (!strcmp(argv[i], "--threads") && left >= 1) {
            o->threads = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (!strcmp(argv[i], "--rounds") && left >= 1) {
            o->rounds = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else {
            return false;
        }
    }
    o->text = argv + i;
    o->n_texts = argc - i;
    return o->n_texts > 0 && o->rounds > 0;
}

static void need(int32_t rc, const mambaint_error *err)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "tokenizer: %s\n", err->message);
    exit(2);
}

static struct mbi_tokenizer *open_file(const struct mbi_host *host, const char *path)
{
    struct mbi_tokenizer *t;
    struct mbi_container *c;
    mambaint_error err;

    need(mbi_container_open(&c, host, path, 0, &err), &err);
    need(mbi_tokenizer_read(&t, host, c, &err), &err);
    mbi_container_close(c);
    return t;
}

/* GPT-2's if it is named and this build can import it, else the one in the file. */
static struct mbi_tokenizer *open_tokenizer(const struct options *o, const struct mbi_host *host)
{
    struct mbi_tokenizer *t = NULL;
    mambaint_error err;

    if (o->encoder && mbi_convert_gpt2(&t, host, o->encoder, o->merges, &err) >= 0)
        return t;
    if (o->encoder)
        fprintf(stderr, "tokenizer: %s\n", err.message);
    return o->tokenizer ? open_file(host, o->tokenizer) : NULL;
}

static void read_texts(struct mbi_buf *text, const struct options *o, const struct mbi_host *host)
{
    mambaint_error err;

    for (int i = 0; i < o->n_texts; i++) {
        struct mbi_map map;

        need(mbi_map_open(&map, host, o->text[i], &err), &err);
        mbi_buf_add(text, map.data, map.size);
        mbi_map_close(&map, host);
    }
    if (text->failed || !text->size)
        exit(2);
}

/* ---- one measurement each; what they return keeps the work from being left out ---- */

struct bench {
    const struct mbi_tokenizer *t;
    struct mbi_buf text, ids, back;
};

static size_t cut_all(const struct bench *b, enum mbi_pretokenizer pre)
{
    const char *at = (const char *)b->text.data;
    size_t pieces = 0;

    for (size_t left = b->text.size, n; left; left -= n, at += n, pieces++)
        n = mbi_pretokenize(pre, at, left);
    return pieces;
}

static size_t cut_gpt2(struct bench *b) { return cut_all(b, MBI_PRE_GPT2); }
static size_t cut_cl100k(struct bench *b) { return cut_all(b, MBI_PRE_CL100K); }

static size_t encode_all(struct bench *b)
{
    mambaint_error err;

    b->ids.size = 0;
    need(mbi_tokenizer_encode(&b->ids, b->t, (const char *)b->text.data, b->text.size, 0, &err),
         &err);
    return b->ids.size / sizeof(int32_t);
}

/* Each document by itself, as training data is read. */
static size_t encode_documents(struct bench *b)
{
    mambaint_error err;
    const char *doc;
    size_t pos = 0, len;
    bool separated;

    b->ids.size = 0;
    while (
        mbi_document_next(&doc, &len, &separated, (const char *)b->text.data, b->text.size, &pos))
        need(mbi_tokenizer_encode(&b->ids, b->t, doc, len, 0, &err), &err);
    return b->ids.size / sizeof(int32_t);
}

static const int32_t *ids_of(const struct bench *b) { return (const void *)b->ids.data; }

static size_t decode_all(struct bench *b)
{
    mambaint_error err;

    b->back.size = 0;
    need(mbi_tokenizer_decode(&b->back, b->t, ids_of(b), b->ids.size / sizeof(int32_t), &err),
         &err);
    return b->back.size;
}

/* As an answer is shown: token by token, each piece whole characters. */
static size_t stream_all(struct bench *b)
{
    const size_t n = b->ids.size / sizeof(int32_t);
    struct mbi_stream_text s = {0};
    size_t total = 0;

    for (size_t i = 0; i < n; i++) {
        char piece[MBI_STREAM_MAX(MBI_MAX_TOKEN_BYTES)];
        const char *bytes;
        size_t len;
        bool special;

        if (mbi_tokenizer_token(&bytes, &len, &special, b->t, ids_of(b)[i]) && !special &&
            mbi_stream_text_add(&s, piece, sizeof(piece), &len, bytes, len) >= 0)
            total += len;
    }
    return total;
}

/* The median of several rounds of at least 20 ms. */
static void measure(const struct options *o, struct bench *b, const char *name,
                    size_t (*run)(struct bench *b), const char *unit)
{
    double time[MAX_ROUNDS];
    size_t made = 0;

    for (uint32_t i = 0; i < o->rounds; i++) {
        const double start = cpu_seconds();
        double used = 0;
        size_t calls = 0;

        for (; used < 0.02; used = cpu_seconds() - start, calls++)
            made = run(b);
        time[i] = used / (double)calls;
    }
    printf("%-22s %9.1f MB/s   %zu bytes, %zu %s\n", name,
           1e-6 * (double)b->text.size / median(time, o->rounds), b->text.size, made, unit);
}

/* Texts that are one word, of n and of four times n bytes: per byte they should cost the same. */
static void measure_words(const struct options *o, const struct bench *like)
{
    static const char *const pattern[] = {"a",    " ",        "\n",    "=",
                                          "\xff", "\xcc\x81", "hello", "xqzjk"};
    static const char *const name[] = {"a",       "space",  "line end", "=",
                                       "byte ff", "U+0301", "hello",    "random letters"};

    for (size_t i = 0; i < MBI_COUNT(pattern); i++)
        for (size_t n = (size_t)1 << 20; n <= (size_t)4 << 20; n *= 4) {
            struct bench b = {.t = like->t};
            char label[64];
            uint32_t x = 1;

            mbi_buf_init(&b.text, like->text.host);
            mbi_buf_init(&b.ids, like->text.host);
            for (size_t k = 0; k < n; k++) {
                x = x * 1664525 + 1013904223;
                mbi_buf_add8(&b.text, i == 7 ? (uint8_t)('a' + (x >> 16) % 26)
                                             : (uint8_t)pattern[i][k % strlen(pattern[i])]);
            }
            snprintf(label, sizeof(label), "word of %s", name[i]);
            measure(o, &b, label, encode_all, "ids");
            mbi_buf_free(&b.text);
            mbi_buf_free(&b.ids);
        }
}

static void train(const struct options *o, const struct mbi_host *host, const struct mbi_buf *text)
{
    const double cpu = cpu_seconds(), wall = wall_seconds();
    struct mbi_tokenizer_trainer *tr;
    struct mbi_tokenizer *t;
    uint8_t digest[MBI_DIGEST_SIZE];
    char hex[2 * MBI_DIGEST_SIZE + 1];
    mambaint_error err;
    const char *doc;
    size_t pos = 0, len;
    double added;
    bool separated;

    need(mbi_tokenizer_trainer_create(&tr, host, MBI_PRE_GPT2, &err), &err);
    while (mbi_document_next(&doc, &len, &separated, (const char *)text->data, text->size, &pos))
        need(mbi_tokenizer_trainer_add(tr, doc, len, &err), &err);
    added = wall_seconds() - wall;
    need(mbi_tokenizer_trainer_build(&t, tr, o->train, NULL, NULL, &err), &err);
    mbi_tokenizer_digest(digest, t);
    mbi_hex(hex, digest, sizeof(digest));
    printf("training of %u on %zu bytes, %u threads: %.2f s wall (%.2f s to count words), "
           "%.2f s of processors, digest %s\n",
           o->train, text->size, mbi_pool_threads(host->pool), wall_seconds() - wall, added,
           cpu_seconds() - cpu, hex);
    mbi_tokenizer_unref(t);
    mbi_tokenizer_trainer_free(tr);
}

int main(int argc, char **argv)
{
    struct options o = {.threads = 1, .rounds = 5};
    struct mbi_host host;
    struct bench b = {0};
    struct mbi_tokenizer *t;
    mambaint_error err;

    if (!read_options(&o, argc, argv) || o.rounds > MAX_ROUNDS) {
        fputs(usage, stderr);
        return 2;
    }
    mbi_host_default(&host);
    need(mbi_pool_create(&host.pool, &host, o.threads, &err), &err);
    mbi_buf_init(&b.text, &host);
    mbi_buf_init(&b.ids, &host);
    mbi_buf_init(&b.back, &host);
    read_texts(&b.text, &o, &host);
    b.t = t = open_tokenizer(&o, &host);
    if (b.t) {
        printf("vocabulary of %u\n", mbi_tokenizer_vocab(b.t));
        measure(&o, &b, "cut as gpt-2", cut_gpt2, "pieces");
        measure(&o, &b, "cut as cl100k", cut_cl100k, "pieces");
        measure(&o, &b, "encode documents", encode_documents, "ids");
        measure(&o, &b, "encode", encode_all, "ids");
        measure(&o, &b, "decode", decode_all, "bytes");
        measure(&o, &b, "stream", stream_all, "bytes");
        measure_words(&o, &b);
    }
    if (o.train)
        train(&o, &host, &b.text);
    mbi_tokenizer_unref(t);
    mbi_buf_free(&b.text);
    mbi_buf_free(&b.ids);
    mbi_buf_free(&b.back);
    mbi_pool_free(&host, host.pool);
    return 0;
}
