/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container reader against a second one. Random files are made from the text of
 * docs/container.md, damaged at their fields, mostly given a right digest again, and read by the
 * library and by the plain reader below: both must say the same, and agree on what they read.
 * Usage: mutate_container [CASES [SEED]]
 */
#include "noise.h"
#include "container/container.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CAP ((size_t)1 << 16)
#define MAX_FIELDS 2000
#define MAX_TENSORS 64
#define MAX_KEYS 128

/* ---- a file under way: bytes, and where its fields are ---- */

struct file {
    uint8_t data[CAP];
    size_t n;
};

static void put(struct file *f, const void *data, size_t n)
{
    if (f->n + n <= CAP) {
        memcpy(f->data + f->n, data, n);
        f->n += n;
    }
}

static void put32(struct file *f, uint32_t v)
{
    uint8_t b[4];

    mbi_store32(b, v);
    put(f, b, 4);
}

static void put64(struct file *f, uint64_t v)
{
    uint8_t b[8];

    mbi_store64(b, v);
    put(f, b, 8);
}

static void put_string(struct file *f, const char *text, size_t n)
{
    put64(f, n);
    put(f, text, n);
}

static void put_name(struct file *f, const char *text) { put_string(f, text, strlen(text)); }

static void pad(struct file *f)
{
    static const uint8_t zeros[64];

    put(f, zeros, (64 - f->n % 64) % 64);
}

static const size_t width_of[13] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static void put_value(struct file *f, struct noise *z, uint32_t type)
{
    uint8_t bytes[8];

    if (type == 8) {
        static const char text[] = "text\0\xff\xc3\xa9";

        put_string(f, text, (size_t)draw(z, sizeof(text)));
    } else if (type == 7) {
        bytes[0] = (uint8_t)draw(z, 2);
        put(f, bytes, 1);
    } else {
        mbi_store64(bytes, mbi_philox_u64(z->seed, z->n++));
        put(f, bytes, width_of[type]);
    }
}

static void put_random_key(struct file *f, struct noise *z, unsigned i)
{
    uint32_t type = (uint32_t)draw(z, 13), element;
    char name[24];
    uint64_t n;

    snprintf(name, sizeof(name), "k%u", chance(z, 30) ? 0 : i + 1); /* k0 may come twice */
    put_name(f, name);
    put32(f, type);
    if (type != 9) {
        put_value(f, z, type);
        return;
    }
    element = (uint32_t)draw(z, 13);
    element = element == 9 && !chance(z, 20) ? 8 : element;
    n = draw(z, 5);
    put32(f, element);
    put64(f, n);
    while (n-- && element != 9)
        put_value(f, z, element);
}

static void put_profile_key(struct file *f, struct noise *z, unsigned which)
{
    static const char zeros[64] =
        "0000000000000000000000000000000000000000000000000000000000000000";
    static const char *const kind[] = {"model", "checkpoint", "adapter"};

    switch (which) {
    case 0:
        put_name(f, "general.alignment");
        put32(f, 4);
        put32(f, 64);
        break;
    case 1:
        put_name(f, "mambaint.profile");
        put32(f, 4);
        put32(f, 1);
        break;
    case 2:
        put_name(f, "mambaint.digest");
        put32(f, 8);
        put_string(f, zeros, 64);
        break;
    default:
        put_name(f, "general.type");
        put32(f, 8);
        put_name(f, kind[chance(z, 30) ? 2 : draw(z, 2)]);
    }
}

struct shape {
    uint64_t cols, rows, size;
    uint32_t dims, type;
};

static struct shape random_shape(struct noise *z)
{
    static const uint32_t type[] = {24, 25, 26, 0};
    static const uint64_t width[] = {1, 2, 4, 4};
    const uint64_t t = chance(z, 5) ? 3 : draw(z, 3);
    struct shape s = {.cols = draw(z, 40) + !chance(z, 60), .rows = 1, .dims = 1, .type = type[t]};

    if (chance(z, 2)) {
        s.dims = 2;
        s.rows = draw(z, 6) + !chance(z, 60);
    }
    s.size = s.cols * s.rows * width[t];
    return s;
}

static void make(struct file *f, struct noise *z)
{
    const unsigned n_keys = (unsigned)draw(z, 12), n_tensors = (unsigned)draw(z, 8);
    const unsigned with_type = chance(z, 2), missing = chance(z, 40) ? (unsigned)draw(z, 3) : 9;
    struct shape shape[8];
    uint64_t offset = 0;
    unsigned placed = 0;
    char name[24];

    f->n = 0;
    put(f, "GGUF", 4);
    put32(f, 3);
    put64(f, n_tensors);
    put64(f, n_keys + 3 + with_type - (missing < 3));
    for (unsigned i = 0; i < n_keys || placed < 3 + with_type;)
        if (placed < 3 + with_type && (i == n_keys || chance(z, 3))) {
            if (placed != missing)
                put_profile_key(f, z, placed);
            placed++;
        } else {
            put_random_key(f, z, i++);
        }
    for (unsigned i = 0; i < n_tensors; i++) {
        const struct shape s = shape[i] = random_shape(z);

        snprintf(name, sizeof(name), "t%u", chance(z, 30) ? 0 : i + 1);
        put_name(f, name);
        put32(f, s.dims);
        put64(f, s.cols);
        if (s.dims == 2)
            put64(f, s.rows);
        put32(f, s.type);
        put64(f, offset);
        offset += (s.size + 63) / 64 * 64;
    }
    pad(f);
    for (unsigned i = 0; i < n_tensors; i++) {
        for (uint64_t k = 0; k < shape[i].size; k++) {
            const uint8_t byte = (uint8_t)draw(z, 256);

            put(f, &byte, 1);
        }
        pad(f);
    }
}

/* ---- the plain reader: what docs/container.md says, line by line ---- */

struct field {
    size_t at, width;
};

/*
 * `cut`: the file cannot be read to its end. `bad`: a rule is broken, but everything was found, so
 * that the file can get a right digest and has to be refused for the rule alone.
 */
struct plain {
    const uint8_t *data;
    size_t n, at;
    bool cut, bad;
    struct field field[MAX_FIELDS];
    size_t n_fields;
    struct {
        size_t at, n;
    } key[MAX_KEYS], tensor[MAX_TENSORS];
    uint64_t offset[MAX_TENSORS], size[MAX_TENSORS];
    uint64_t n_keys, n_tensors;
    size_t digits, end;
    bool alignment, profile, digest, checkpoint;
};

/* Everything that is read is remembered as a place worth damaging. */
static uint64_t take(struct plain *p, size_t width)
{
    uint64_t v = 0;

    if (p->cut || p->n - p->at < width) {
        p->cut = true;
        return 0;
    }
    if (p->n_fields < MAX_FIELDS)
        p->field[p->n_fields++] = (struct field){p->at, width};
    for (size_t i = width; i-- > 0;)
        v = v << 8 | p->data[p->at + i];
    p->at += width;
    return v;
}

static void skip(struct plain *p, uint64_t n)
{
    if (p->cut || n > p->n - p->at)
        p->cut = true;
    else
        p->at += (size_t)n;
}

static void skip_value(struct plain *p, uint64_t type)
{
    if (type == 8)
        skip(p, take(p, 8));
    else if (type == 7)
        p->bad |= take(p, 1) > 1;
    else if (type > 12 || type == 9)
        p->cut = true;
    else
        take(p, width_of[type]);
}

static bool name_is(const struct plain *p, size_t at, size_t n, const char *text)
{
    return n == strlen(text) && !memcmp(p->data + at, text, n);
}

static size_t take_name(struct plain *p, size_t most)
{
    const uint64_t n = take(p, 8);
    const size_t at = p->at;

    skip(p, n);
    p->bad |= n < 1 || n > most;
    for (size_t i = at; !p->cut && i < p->at; i++)
        p->bad |= p->data[i] < 0x21 || p->data[i] > 0x7E;
    return at;
}

static void read_known(struct plain *p, size_t name, size_t length, uint64_t type, size_t value)
{
    const uint8_t *v = p->data + value;
    const bool text = type == 8;
    const size_t n = text ? p->at - value - 8 : 0;

    if (name_is(p, name, length, "general.alignment")) {
        p->alignment = true;
        p->bad |= type != 4 || mbi_load32(v) != 64;
    } else if (name_is(p, name, length, "mambaint.profile")) {
        p->profile = true;
        p->bad |= type != 4 || mbi_load32(v) != 1;
    } else if (name_is(p, name, length, "mambaint.digest")) {
        p->digest = text && n == 64;
        p->digits = value + 8;
        for (size_t i = 0; p->digest && i < 64; i++)
            p->bad |= !memchr("0123456789abcdef", v[8 + i], 16);
    } else if (name_is(p, name, length, "general.type")) {
        p->checkpoint = text && name_is(p, value + 8, n, "checkpoint");
        p->bad |= !p->checkpoint && !(text && name_is(p, value + 8, n, "model"));
    }
}

static void read_key(struct plain *p, uint64_t i)
{
    const size_t name = take_name(p, 127), length = p->at - name;
    const uint64_t type = take(p, 4);
    const size_t value = p->at;

    if (type == 9) {
        const uint64_t element = take(p, 4), count = take(p, 8);

        p->cut |= element > 12 || element == 9;
        for (uint64_t k = 0; k < count && !p->cut; k++)
            skip_value(p, element);
    } else {
        skip_value(p, type);
    }
    if (p->cut)
        return;
    read_known(p, name, length, type, value);
    for (uint64_t k = 0; k < i; k++)
        p->bad |= p->key[k].n == length && !memcmp(p->data + p->key[k].at, p->data + name, length);
    p->key[i].at = name;
    p->key[i].n = length;
}

/* Sizes here are small or absurd; a product past 2^63 is absurd. */
static uint64_t product(uint64_t a, uint64_t b)
{
    return b && a > INT64_MAX / b ? INT64_MAX : a * b;
}

static void read_tensor(struct plain *p, uint64_t i, uint64_t *offset)
{
    const size_t name = take_name(p, 64), length = p->at - name;
    const uint64_t dims = take(p, 4), cols = take(p, 8);
    uint64_t rows = 1, type, size;

    p->cut |= dims < 1 || dims > 2;
    if (dims == 2)
        rows = take(p, 8);
    type = take(p, 4);
    p->bad |= take(p, 8) != *offset || !cols || !rows;
    p->bad |= !(type >= 24 && type <= 26) && !(type == 0 && p->checkpoint);
    size = product(product(cols, rows), type == 24 ? 1 : type == 25 ? 2 : 4);
    p->cut |= size > CAP;
    if (p->cut)
        return;
    p->offset[i] = *offset;
    p->size[i] = size;
    *offset += (size + 63) / 64 * 64;
    for (uint64_t k = 0; k < i; k++)
        p->bad |=
            p->tensor[k].n == length && !memcmp(p->data + p->tensor[k].at, p->data + name, length);
    p->tensor[i].at = name;
    p->tensor[i].n = length;
}

static void read_data(struct plain *p, uint64_t total)
{
    const size_t start = (p->end + 63) / 64 * 64;

    if (p->n < start || p->n - start < total) {
        p->cut = true;
        return;
    }
    p->bad |= p->n - start != total;
    for (size_t i = p->end; i < start; i++)
        p->bad |= p->data[i] != 0;
    for (uint64_t i = 0; i < p->n_tensors; i++) {
        p->offset[i] += start;
        for (uint64_t k = p->size[i]; k % 64; k++)
            p->bad |= p->data[p->offset[i] + k] != 0;
    }
}

/* All but the digest; what was found is in *p if it is not cut. */
static void read_plain(struct plain *p, const struct file *f)
{
    uint64_t offset = 0;

    memset(p, 0, sizeof(*p));
    p->data = f->data;
    p->n = f->n;
    p->bad |= take(p, 4) != 0x46554747;
    p->bad |= take(p, 4) != 3;
    p->n_tensors = take(p, 8);
    p->n_keys = take(p, 8);
    p->cut |= p->n_tensors > MAX_TENSORS || p->n_keys > MAX_KEYS;
    for (uint64_t i = 0; i < p->n_keys && !p->cut; i++)
        read_key(p, i);
    p->bad |= !p->alignment || !p->profile;
    for (uint64_t i = 0; i < p->n_tensors && !p->cut; i++)
        read_tensor(p, i, &offset);
    p->end = p->at;
    if (!p->cut)
        read_data(p, offset);
}

static void digest_of(char digits[65], const struct plain *p)
{
    uint8_t hash[32], *header = malloc(p->end);
    struct mbi_blake2b s;

    if (!header)
        exit(2);
    memcpy(header, p->data, p->end);
    memset(header + p->digits, '0', 64);
    mbi_blake2b_init(&s);
    mbi_blake2b_add(&s, header, p->end);
    for (uint64_t i = 0; i < p->n_tensors; i++) {
        mbi_blake2b(hash, p->data + p->offset[i], (size_t)p->size[i]);
        mbi_blake2b_add(&s, hash, 32);
    }
    mbi_blake2b_end(&s, hash);
    mbi_hex(digits, hash, 32);
    free(header);
}

/* ---- damage ---- */

static uint64_t strange(struct noise *z, uint64_t old)
{
    static const uint64_t value[] = {
        0,
        1,
        2,
        3,
        7,
        8,
        9,
        12,
        13,
        24,
        27,
        63,
        64,
        65,
        127,
        128,
        255,
        0x7fff,
        0xffff,
        0x10000,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        INT64_MAX,
        UINT64_MAX,
        UINT64_MAX - 7,
        UINT64_MAX - 63,
        UINT64_MAX / 14,
        UINT64_MAX / 33 + 1,
    };

    switch (draw(z, 4)) {
    case 0:
        return old + 1;
    case 1:
        return old - 1;
    case 2:
        return old ^ (uint64_t)1 << draw(z, 64);
    default:
        return value[draw(z, sizeof(value) / sizeof(*value))];
    }
}

static void damage_field(struct file *f, struct noise *z, const struct plain *p)
{
    const struct field d = p->field[draw(z, p->n_fields)];
    uint64_t v = 0;

    for (size_t i = d.width; i-- > 0;)
        v = v << 8 | f->data[d.at + i];
    v = strange(z, v);
    for (size_t i = 0; i < d.width; i++)
        f->data[d.at + i] = (uint8_t)(v >> 8 * i);
}

static void move_tail(struct file *f, size_t from, size_t to)
{
    const size_t n = f->n - from;

    if (to + n > CAP)
        return;
    memmove(f->data + to, f->data + from, n);
    if (to > from)
        memset(f->data + from, 0, to - from);
    f->n = to + n;
}

static void damage(struct file *f, struct noise *z, const struct plain *p)
{
    const size_t at = f->n ? (size_t)draw(z, f->n) : 0;

    switch (draw(z, 8)) {
    case 0:
        f->n = at;
        break;
    case 1:
        move_tail(f, at, at + 1 + (size_t)draw(z, 64));
        break;
    case 2:
        if (f->n - at > 8)
            move_tail(f, at + 1 + (size_t)draw(z, 8), at);
        break;
    case 3:
        if (f->n)
            f->data[at] ^= (uint8_t)(1 << draw(z, 8));
        break;
    case 4: /* a part of the header again: doubled names, shifted fields */
        if (p->end && at < p->end)
            memmove(f->data + draw(z, p->end), f->data + at, (p->end - at) / 2);
        break;
    default:
        if (p->n_fields)
            damage_field(f, z, p);
    }
}

/* ---- the comparison ---- */

struct meter {
    size_t live, now, peak;
};

static void *metered(void *user, void *old, size_t size)
{
    struct meter *m = user;
    size_t *block = old ? (size_t *)old - 2 : NULL;
    const size_t before = block ? block[0] : 0;

    if (!size) {
        m->now -= before;
        m->live -= old ? 1 : 0;
        free(block);
        return NULL;
    }
    if (size > (size_t)1 << 30 || !(block = realloc(block, size + 2 * sizeof(*block))))
        return NULL;
    m->now += size - before;
    m->peak = m->now > m->peak ? m->now : m->peak;
    m->live += old ? 0 : 1;
    block[0] = size;
    return block + 2;
}

struct total {
    uint64_t cases, accepted, rule_alone;
};

static int fail(const struct file *f, const struct noise *z, uint64_t i, const char *what)
{
    FILE *out = fopen("mutate_container.failed", "wb");

    if (out) {
        fwrite(f->data, 1, f->n, out);
        fclose(out);
    }
    fprintf(stderr, "case %" PRIu64 " of seed %" PRIu64 ": %s (mutate_container.failed)\n", i,
            z->seed, what);
    return 1;
}

/* Names, shapes and bytes of an accepted file, and every value once. */
static const char *compare(struct mbi_container *c, const struct plain *p,
                           const struct mbi_host *host)
{
    const char *what = NULL;
    struct mbi_buf shown;

    mbi_buf_init(&shown, host);
    if (mbi_container_n_keys(c) != p->n_keys || mbi_container_n_tensors(c) != p->n_tensors)
        return "counts differ";
    for (size_t i = 0; i < p->n_keys; i++) {
        const char *key = mbi_container_key(c, i), *text;
        size_t n, len;

        if (!name_is(p, p->key[i].at, p->key[i].n, key) || !mbi_container_has(c, key))
            what = "a key differs";
        mbi_container_value_text(&shown, c, i);
        if (mbi_container_array_size(&n, c, key, NULL) == MAMBAINT_OK)
            for (size_t k = n; k-- > 0;)
                if (mbi_container_array_text(&text, &len, c, key, k, NULL) == MAMBAINT_OK)
                    mbi_buf_add(&shown, text, len);
    }
    for (size_t i = 0; i < p->n_tensors; i++) {
        const struct mbi_tensor *t = mbi_container_tensor_at(c, i);
        uint8_t hash[32];

        mbi_blake2b(hash, p->data + p->offset[i], (size_t)p->size[i]);
        if (!name_is(p, p->tensor[i].at, p->tensor[i].n, t->name) || t->size != p->size[i] ||
            mbi_container_tensor(c, t->name) != t || memcmp(t->hash, hash, 32) != 0 ||
            memcmp(t->data, p->data + p->offset[i], t->size) != 0)
            what = "a tensor differs";
    }
    mbi_buf_free(&shown);
    return what;
}

static int one_case(struct noise *z, uint64_t i, struct file *f, struct plain *p, struct total *sum)
{
    struct meter m = {0};
    const struct mbi_host host = {.alloc = metered, .alloc_user = &m};
    struct mbi_container *c;
    mambaint_error err = {0};
    const char *what = NULL;
    char digits[65];
    bool good = false;
    int32_t rc;

    make(f, z);
    read_plain(p, f);
    for (uint64_t n = draw(z, 4); n > 0; n--)
        damage(f, z, p);
    read_plain(p, f);
    if (!p->cut && p->digest) {
        digest_of(digits, p);
        if (!chance(z, 8))
            memcpy(f->data + p->digits, digits, 64);
        read_plain(p, f); /* the digits may have been what was bad */
        good = !p->bad && !memcmp(f->data + p->digits, digits, 64);
        sum->rule_alone += p->bad;
    }
    rc = mbi_container_open_memory(&c, &host, f->data, f->n, 0, &err);
    sum->cases++;
    sum->accepted += good;
    if ((rc == MAMBAINT_OK) != good)
        return fail(f, z, i, good ? err.message : "accepted, but wrong");
    if (rc < 0 && (c || err.code != rc || !err.message[0]))
        return fail(f, z, i, "a refusal without NULL, code and sentence");
    if (c)
        what = compare(c, p, &host);
    mbi_container_close(c);
    if (what || m.live || m.peak > f->n + (16u << 20))
        return fail(f, z, i, what ? what : m.live ? "a leak" : "too much memory");
    return 0;
}

int main(int argc, char **argv)
{
    const uint64_t cases = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000;
    struct noise z = {.seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL)};
    struct file *f = malloc(sizeof(*f));
    struct plain *p = malloc(sizeof(*p));
    struct total sum = {0};
    int status = !f || !p;

    printf("mutate_container: %" PRIu64 " cases, seed %" PRIu64 "\n", cases, z.seed);
    for (uint64_t i = 0; i < cases && !status; i++) {
        z.n = i << 32; /* so that a case does not depend on the ones before it */
        status = one_case(&z, i, f, p, &sum);
    }
    printf("%" PRIu64 " read, %" PRIu64 " accepted by both, %" PRIu64
           " with a right digest and a broken rule\n",
           sum.cases, sum.accepted, sum.rule_alone);
    free(f);
    free(p);
    return status;
}
