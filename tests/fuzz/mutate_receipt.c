/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of receipts against a second one. Random receipts are made from the text of
 * docs/container.md, damaged at their fields, mostly given a right digest again, and read by the
 * library and by the plain reader below: both must say the same, and what was read has to be
 * written again to the same bytes.
 * Usage: mutate_receipt [CASES [SEED]]
 */
#include "api/receipt.h"
#include "noise.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CAP 8192
#define FIELDS 100

struct file {
    uint8_t data[CAP];
    size_t n;
    size_t field[FIELDS]; /* where fields begin */
    size_t n_fields;
};

static void mark(struct file *f)
{
    if (f->n_fields < FIELDS)
        f->field[f->n_fields++] = f->n;
}

static void put(struct file *f, uint64_t v, size_t width)
{
    uint8_t bytes[8];

    mark(f);
    mbi_store64(bytes, v);
    memcpy(f->data + f->n, bytes, width);
    f->n += width;
}

/* ---- a sound receipt ---- */

static void put_noise(struct file *f, size_t n, struct noise *z)
{
    for (size_t i = 0; i < n; i++)
        f->data[f->n++] = (uint8_t)(1 + draw(z, 255));
}

/* The least and the largest value of a range more often than others. */
static uint64_t within(struct noise *z, uint64_t last)
{
    return chance(z, 4) ? 0 : chance(z, 4) ? last : draw(z, last + 1);
}

static void put_parts(struct file *f, uint64_t n, bool fresh, struct noise *z)
{
    uint64_t before = 0;

    for (uint64_t i = 0; i < n; i++) {
        uint64_t kind = before, ids = 1 + draw(z, 5);

        while ((kind == before && kind != 2) || (fresh && !i && kind > 2) || !kind)
            kind = 1 + draw(z, 4);
        put(f, kind, 4);
        put(f, kind == 2 ? 1 + draw(z, 3) : 0, 4);
        put(f, ids, 8);
        for (; ids; ids--)
            put(f, within(z, (1u << 17) - 1), 4);
        before = kind;
    }
}

static void make(struct file *f, struct noise *z)
{
    const uint64_t position = within(z, ((uint64_t)1 << 62) - 1);
    const uint64_t n_stops = chance(z, 3) ? within(z, 16) : draw(z, 3), n_parts = draw(z, 6);

    f->n = f->n_fields = 0;
    mark(f);
    memcpy(f->data, "MBIRECPT", 8);
    f->n = 8;
    put(f, 1, 4);
    put(f, 0, 4);
    put_noise(f, 4 * MBI_DIGEST_SIZE, z);
    put(f, position, 8);
    put(f, mbi_philox_u64(z->seed, z->n++), 8);
    put(f, within(z, 65280), 4);
    put(f, within(z, INT32_MAX), 4);
    put(f, within(z, 65536), 4);
    put(f, within(z, 65536), 4);
    put(f, within(z, 4096000), 4);
    put(f, within(z, 256), 4);
    put(f, n_stops, 4);
    put(f, n_parts, 4);
    for (uint64_t i = 0; i < n_stops; i++) {
        const uint64_t len = 1 + (chance(z, 8) ? 255 : draw(z, 20));

        put(f, len, 4);
        put_noise(f, (size_t)len, z);
    }
    put_parts(f, n_parts, !position, z);
    f->n += MBI_DIGEST_SIZE;
}

static void seal(struct file *f)
{
    if (f->n >= MBI_DIGEST_SIZE)
        mbi_blake2b(f->data + f->n - MBI_DIGEST_SIZE, f->data, f->n - MBI_DIGEST_SIZE);
}

/* ---- damage ---- */

static void damage(struct file *f, struct noise *z)
{
    static const uint64_t odd[] = {
        0,         1,          2,        3,          4,          5,
        16,        17,         256,      257,        65280,      65281,
        65536,     65537,      131071,   131072,     4096000,    4096001,
        INT32_MAX, UINT32_MAX, 1u << 31, UINT64_MAX, 1ull << 62, UINT64_MAX / 4 + 1};
    const size_t at = f->field[draw(z, f->n_fields)];
    uint8_t wide[8];

    switch (draw(z, 5)) {
    case 0: /* a bit anywhere */
        f->data[draw(z, f->n)] ^= (uint8_t)(1u << draw(z, 8));
        break;
    case 1: /* cut */
        f->n = 1 + (size_t)draw(z, f->n);
        break;
    case 2: /* longer */
        memset(f->data + f->n, 0, 8);
        f->n += 1 + (size_t)draw(z, 8);
        break;
    default:
        mbi_store64(wide, odd[draw(z, sizeof(odd) / sizeof(*odd))]);
        memcpy(f->data + at, wide, chance(z, 2) ? 4 : 8);
    }
}

/* ---- the plain reader ---- */

static uint64_t number(const uint8_t *p, size_t width)
{
    uint64_t v = 0;

    for (size_t i = width; i--;)
        v = v << 8 | p[i];
    return v;
}

static const char *bad_settings(const uint8_t *d)
{
    return number(d + 160, 4) > 255 * 256     ? "temperature"
           : number(d + 164, 4) > 0x7fffffff  ? "top-k"
           : number(d + 168, 4) > 65536       ? "top-p"
           : number(d + 172, 4) > 65536       ? "min-p"
           : number(d + 176, 4) > 1000 * 4096 ? "penalty"
           : number(d + 180, 4) > 256         ? "last"
           : number(d + 184, 4) > 16          ? "stops"
           : number(d + 144, 8) >> 62         ? "position"
                                              : NULL;
}

static const char *bad_part(const uint8_t *d, size_t *at, size_t end, uint64_t *before, bool first)
{
    uint64_t kind, role, n;

    if (end - *at < 16)
        return "cut";
    kind = number(d + *at, 4);
    role = number(d + *at + 4, 4);
    n = number(d + *at + 8, 8);
    *at += 16;
    if (n > (end - *at) / 4 || !n || !kind || kind > 4 || (kind == *before && kind != 2))
        return "part";
    if (kind == 2 ? !role || role > 3 : role > 0)
        return "role";
    if (first && kind > 2)
        return "drawn from nothing";
    for (; n; n--, *at += 4)
        if (number(d + *at, 4) >> 17)
            return "id";
    *before = kind;
    return NULL;
}

static const char *bad(const uint8_t *d, size_t n)
{
    uint8_t digest[MBI_DIGEST_SIZE];
    const size_t end = n - MBI_DIGEST_SIZE;
    uint64_t before = 0;
    size_t at = 192;
    const char *fault;

    if (n < 192 + MBI_DIGEST_SIZE || memcmp(d, "MBIRECPT\1\0\0\0\0\0\0", 16) != 0)
        return "head";
    mbi_blake2b(digest, d, end);
    if (memcmp(digest, d + end, sizeof(digest)) != 0)
        return "digest";
    if ((fault = bad_settings(d)))
        return fault;
    for (uint64_t i = 0; i < number(d + 184, 4); i++) {
        const uint64_t len = end - at < 4 ? 0 : number(d + at, 4);

        at += 4;
        if (!len || len > 256 || len > end - at || memchr(d + at, 0, (size_t)len))
            return "stop";
        at += (size_t)len;
    }
    for (uint64_t i = 0; i < number(d + 188, 4); i++)
        if ((fault = bad_part(d, &at, end, &before, !i && !number(d + 144, 8))))
            return fault;
    return at == end ? NULL : "left";
}

/* ---- one case ---- */

/* What the library read, written as it would be. */
static void write_again(struct file *f, const struct mbi_receipt *r)
{
    const uint8_t *const digest[] = {r->model, r->tokenizer, r->start, r->end};
    struct mbi_reader parts = r->parts;

    f->n = f->n_fields = 0;
    memcpy(f->data, "MBIRECPT\1\0\0\0\0\0\0", 16);
    f->n = 16;
    for (size_t i = 0; i < 4; i++, f->n += MBI_DIGEST_SIZE)
        memcpy(f->data + f->n, digest[i], MBI_DIGEST_SIZE);
    put(f, r->position, 8);
    put(f, r->sampler.seed, 8);
    put(f, r->sampler.temperature, 4);
    put(f, r->sampler.top_k, 4);
    put(f, r->sampler.top_p, 4);
    put(f, r->sampler.min_p, 4);
    put(f, (uint64_t)r->sampler.repeat_penalty, 4);
    put(f, r->repeat_last, 4);
    put(f, r->n_stops, 4);
    put(f, r->n_parts, 4);
    for (uint32_t i = 0; i < r->n_stops; i++) {
        put(f, r->stop[i].len, 4);
        memcpy(f->data + f->n, r->stop[i].text, r->stop[i].len);
        f->n += r->stop[i].len;
    }
    for (uint32_t i = 0; i < r->n_parts; i++) {
        const struct mbi_receipt_part p = mbi_receipt_next(&parts);

        put(f, p.kind, 4);
        put(f, p.role, 4);
        put(f, p.n, 8);
        for (size_t k = 0; k < p.n; k++)
            put(f, mbi_receipt_id(&p, k), 4);
    }
    f->n += MBI_DIGEST_SIZE;
    seal(f);
}

static const char *try_case(const uint8_t *data, size_t n, uint64_t *sound)
{
    static struct file again;
    struct mbi_receipt r;
    mambaint_error err = {0, ""};
    const char *fault = bad(data, n);
    const int32_t rc = mbi_receipt_read(&r, data, n, &err);
    char text[65536];
    const int32_t told = mambaint_receipt_text(text, sizeof(text), NULL, data, n, NULL, "json");

    if ((rc < 0) != (fault != NULL))
        return fault ? fault : "the library refuses what is sound";
    if (rc < 0 && (err.code != rc || !err.message[0]))
        return "a refusal without a sentence";
    if (told != rc)
        return "what is read cannot be told, or the other way round";
    if (rc < 0)
        return NULL;
    ++*sound;
    write_again(&again, &r);
    return again.n == n && !memcmp(again.data, data, n) ? NULL : "two receipts say the same";
}

int main(int argc, char **argv)
{
    const uint64_t cases = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000;
    struct noise z = {argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL), 0};
    static struct file f;
    uint64_t sound = 0;

    printf("mutate_receipt %" PRIu64 " %" PRIu64 "\n", cases, z.seed);
    for (uint64_t i = 0; i < cases; i++) {
        const char *fault;
        uint8_t *exact;

        do /* with many long stop strings it may be too long */
            make(&f, &z);
        while (f.n > CAP - 64);
        for (uint64_t k = draw(&z, 3); k; k--)
            damage(&f, &z);
        if (!chance(&z, 8))
            seal(&f);
        if (!(exact = malloc(f.n))) /* its end is the block's */
            return 1;
        memcpy(exact, f.data, f.n);
        fault = try_case(exact, f.n, &sound);
        free(exact);
        if (fault) {
            fprintf(stderr, "case %" PRIu64 ": %s\n", i, fault);
            return 1;
        }
    }
    printf("%" PRIu64 " of %" PRIu64 " receipts sound\n", sound, cases);
    return sound && sound < cases ? 0 : 1;
}
