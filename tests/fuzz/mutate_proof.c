/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of proofs, the Merkle verifier and that of commitments against second ones. Random
 * scripts of values and challenges and random openings are written, damaged, and read by the
 * library and by the plain code below, which follows the proofs' text: both must say the same, read
 * the same values and end with the same challenges.
 * Usage: mutate_proof [CASES [SEED]]
 */
#include "base/bytes.h"
#include "noise.h"
#include "proof/commit.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- noise ---- */

static void flip(struct noise *z, void *data, size_t n)
{
    if (n)
        ((uint8_t *)data)[draw(z, n)] ^= (uint8_t)(1u << draw(z, 8));
}

/* ---- scripts ---- */

enum step { ABSORB, ELEMENTS, BYTES, DRAW, INDICES, WORK, N_STEPS };

#define MAX_STEPS 12
#define MAX_VALUES 20
#define MAX_BYTES (8 * MAX_VALUES)
#define CAP (MAX_STEPS * MAX_BYTES + 64)

struct script {
    struct {
        enum step step;
        size_t n;
        unsigned bits;
        char tag[4];
    } line[MAX_STEPS];
    size_t n;
};

/* What a reader got: for each line its values as bytes, and the state behind it. */
struct result {
    uint8_t got[MAX_STEPS][MAX_BYTES];
    uint8_t state[64];
    bool refused;
};

static void make_script(struct script *s, struct noise *z)
{
    s->n = 1 + (size_t)draw(z, MAX_STEPS);
    for (size_t i = 0; i < s->n; i++) {
        s->line[i].step = (enum step)draw(z, N_STEPS);
        s->line[i].n = (size_t)draw(z, MAX_VALUES + 1);
        s->line[i].bits = (unsigned)draw(z, s->line[i].step == WORK ? 7 : 33);
        memset(s->line[i].tag, 0, sizeof(s->line[i].tag));
        for (uint64_t k = 0; k <= draw(z, 3); k++)
            s->line[i].tag[k] = (char)('a' + draw(z, 3));
    }
}

static void write_script(struct mbi_proof_writer *w, const struct script *s, struct noise *z)
{
    mbi_fe x[MAX_VALUES];
    uint8_t bytes[MAX_BYTES];
    uint32_t index[MAX_VALUES];

    for (size_t i = 0; i < s->n; i++) {
        const size_t n = s->line[i].n;
        const char *tag = s->line[i].tag;

        for (size_t k = 0; k < n; k++) {
            x[k] = chance(z, 3) ? MBI_FIELD_P - 1 - draw(z, 2) : draw(z, MBI_FIELD_P);
            bytes[k] = (uint8_t)x[k];
        }
        switch (s->line[i].step) {
        case ABSORB:
            mbi_transcript_absorb(&w->transcript, tag, tag, n % 4);
            break;
        case ELEMENTS:
            mbi_put_elements(w, tag, x, n);
            break;
        case BYTES:
            mbi_put_bytes(w, tag, bytes, n);
            break;
        case DRAW:
            mbi_transcript_draw(x, n, &w->transcript);
            break;
        case INDICES:
            mbi_transcript_draw_indices(index, n, &w->transcript, s->line[i].bits);
            break;
        default:
            mbi_put_work(w, s->line[i].bits);
        }
    }
}

/* Read by the library. Numbers become bytes again so that results can be compared as bytes. */
static void read_script(struct result *res, const struct script *s, const uint8_t *data, size_t n)
{
    struct mbi_proof_reader r;
    mbi_fe x[MAX_VALUES];
    uint32_t index[MAX_VALUES];

    memset(res, 0, sizeof(*res));
    mbi_proof_reader_init(&r, data, n, "fuzz");
    for (size_t i = 0; i < s->n && !r.fault; i++) {
        const size_t count = s->line[i].n;
        const char *tag = s->line[i].tag;

        memset(x, 0, sizeof(x));
        memset(index, 0, sizeof(index));
        switch (s->line[i].step) {
        case ABSORB:
            mbi_transcript_absorb(&r.transcript, tag, tag, count % 4);
            break;
        case ELEMENTS:
            mbi_get_elements(x, count, &r, tag);
            break;
        case BYTES:
            mbi_get_bytes(res->got[i], count, &r, tag);
            break;
        case DRAW:
            mbi_transcript_draw(x, count, &r.transcript);
            break;
        case INDICES:
            mbi_transcript_draw_indices(index, count, &r.transcript, s->line[i].bits);
            for (size_t k = 0; k < count; k++)
                x[k] = index[k];
            break;
        default:
            mbi_get_work(&r, s->line[i].bits);
        }
        for (size_t k = 0; k < count && s->line[i].step != BYTES; k++)
            mbi_store64(res->got[i] + 8 * k, x[k]);
    }
    mbi_get_end(&r);
    res->refused = r.fault != NULL;
    memcpy(res->state, r.transcript.state, sizeof(res->state));
}

/* ---- the plain reader ---- */

static void chain(uint8_t out[64], const uint8_t state[64], const char *tag, uint8_t kind,
                  uint64_t n, const uint8_t *data, size_t size)
{
    uint8_t label[24] = {0};
    struct mbi_hash h;

    for (size_t i = 0; tag[i]; i++)
        label[i] = (uint8_t)tag[i];
    label[15] = kind;
    for (int i = 0; i < 8; i++)
        label[16 + i] = (uint8_t)(n >> 8 * i);
    mbi_hash_init(&h, MBI_HASH_TRANSCRIPT, NULL);
    mbi_hash_add(&h, state, 64);
    mbi_hash_add(&h, label, sizeof(label));
    mbi_hash_add(&h, data, size);
    mbi_hash_end(&h, out);
}

/* n pieces of `width` bytes. */
static void plain_draw(uint8_t *out, uint8_t state[64], const char *tag, size_t n, size_t width)
{
    uint8_t block[64];

    for (size_t i = 0; i < n * width; i++) {
        if (i % 64 == 0)
            chain(block, state, tag, 1, i / 64, NULL, 0);
        out[i] = block[i % 64];
    }
    chain(state, state, tag, 2, n, NULL, 0);
}

/* 16 bytes modulo p, bit by bit from the top. */
static uint64_t modulo(const uint8_t *bytes)
{
    uint64_t x = 0;

    for (int bit = 127; bit >= 0; bit--) {
        const bool over = x >= MBI_FIELD_P - x; /* 2 x >= p */

        x = over ? x - (MBI_FIELD_P - x) : 2 * x;
        x += bytes[bit / 8] >> bit % 8 & 1;
        x = x == MBI_FIELD_P ? 0 : x;
    }
    return x;
}

static bool plain_work(uint8_t state[64], const uint8_t *nonce, unsigned bits)
{
    uint8_t text[40];
    struct mbi_digest d;

    plain_draw(text, state, "seed", 1, 32);
    memcpy(text + 32, nonce, 8);
    chain(state, state, "nonce", 0, 8, nonce, 8);
    mbi_hash_grind(&d, text, sizeof(text));
    return d.byte[0] % (1u << bits) == 0; /* bits < 8 */
}

static void read_plain(struct result *res, const struct script *s, const uint8_t *data, size_t n)
{
    size_t at = 0;
    uint8_t raw[16 * MAX_VALUES];

    memset(res, 0, sizeof(*res));
    chain(res->state, res->state, "type", 0, 4, (const uint8_t *)"fuzz", 4);
    for (size_t i = 0; i < s->n && !res->refused; i++) {
        const enum step step = s->line[i].step;
        const size_t count = s->line[i].n;
        const size_t size = step == ELEMENTS                  ? 8 * count
                            : step == BYTES                   ? count
                            : step == WORK && s->line[i].bits ? 8
                                                              : 0;
        const char *tag = s->line[i].tag;
        uint8_t *got = res->got[i];

        if (size > n - at) {
            res->refused = true;
            return;
        }
        if (step == ABSORB)
            chain(res->state, res->state, tag, 0, count % 4, (const uint8_t *)tag, count % 4);
        if (step == ELEMENTS || step == BYTES) {
            chain(res->state, res->state, tag, 0, size, data + at, size);
            memcpy(got, data + at, size);
        }
        for (size_t k = 0; step == ELEMENTS && k < count; k++)
            res->refused |= mbi_load64(data + at + 8 * k) >= MBI_FIELD_P;
        if (step == ELEMENTS && res->refused)
            memset(got, 0, size);
        if (step == DRAW)
            plain_draw(raw, res->state, "chal", count, 16);
        if (step == INDICES)
            plain_draw(raw, res->state, "bits", count, 4);
        for (size_t k = 0; (step == DRAW || step == INDICES) && k < count; k++)
            mbi_store64(got + 8 * k,
                        step == DRAW ? modulo(raw + 16 * k)
                                     : mbi_load32(raw + 4 * k) % ((uint64_t)1 << s->line[i].bits));
        if (step == WORK && s->line[i].bits)
            res->refused |= !plain_work(res->state, data + at, s->line[i].bits);
        at += size;
    }
    res->refused |= at != n;
}

static size_t damage(uint8_t *data, size_t n, struct noise *z)
{
    const size_t at = (size_t)draw(z, n + 1);

    switch (draw(z, 6)) {
    case 0:
        return at;
    case 1: /* bytes more, here or at the end */
        memmove(data + at + 3, data + at, n - at);
        return n + 3;
    case 2:
        if (n - at < 8)
            return n;
        mbi_store64(data + at, MBI_FIELD_P + draw(z, 3) - 1);
        return n;
    case 3:
        if (n - at < 16)
            return n;
        memmove(data + at, data + at + 8, 8);
        return n;
    default:
        flip(z, data, n);
        return n;
    }
}

static const char *reader_case(struct noise *z, const struct mbi_host *host, uint64_t *accepted)
{
    static struct result a, b;
    struct mbi_proof_writer w;
    const uint64_t changes = draw(z, 3);
    struct script s;
    uint8_t *data;
    size_t n;

    make_script(&s, z);
    mbi_proof_writer_init(&w, host, "fuzz");
    write_script(&w, &s, z);
    n = w.bytes.size;
    if (w.bytes.failed || n > CAP - 64 || !(data = calloc(CAP, 1)))
        return "out of memory";
    if (n)
        memcpy(data, w.bytes.data, n);
    for (uint64_t i = 0; i < changes; i++)
        n = damage(data, n, z);
    memmove(data + CAP - n, data, n); /* so that reading on is seen */
    read_script(&a, &s, data + CAP - n, n);
    read_plain(&b, &s, data + CAP - n, n);
    free(data);
    mbi_proof_writer_free(&w);
    *accepted += !a.refused;
    if (a.refused != b.refused || (!changes && a.refused))
        return a.refused ? "a right proof is refused" : "a wrong proof is accepted";
    if (memcmp(a.got, b.got, sizeof(a.got)) != 0)
        return "values differ";
    if (!a.refused && memcmp(a.state, b.state, sizeof(a.state)) != 0)
        return "transcripts differ";
    return NULL;
}

/* ---- openings ---- */

#define MAX_LEAVES 80
#define MAX_POSITIONS 14
#define MAX_PATH (7 * MAX_POSITIONS + 4)

struct opening {
    size_t n, m, count;
    uint32_t pos[MAX_POSITIONS];
    struct mbi_digest leaf[MAX_POSITIONS], path[MAX_PATH], root;
};

/* With every node of a level, known or not. */
struct node {
    struct mbi_digest digest;
    bool known;
};

/* The level above, where at least one child is known; false if the path is at its end. */
static bool raise_plain(struct node *level, size_t n, const struct opening *o, size_t *used)
{
    for (size_t i = 0; i < n; i++)
        if (!level[i].known && (i ^ 1) < n && level[i ^ 1].known) {
            if (*used == o->count)
                return false;
            level[i].digest = o->path[(*used)++];
            level[i].known = true;
            i |= 1; /* its sibling needs nothing */
        }
    for (size_t i = 0; i < n; i += 2) {
        struct node up = level[i];

        if (i + 1 < n && up.known) {
            const struct mbi_digest pair[2] = {level[i].digest, level[i + 1].digest};

            mbi_hash_node(&up.digest, pair);
        }
        level[i / 2] = up;
    }
    return true;
}

static bool verify_plain(const struct opening *o)
{
    struct node level[MAX_LEAVES + 8];
    size_t used = 0;

    memset(level, 0, sizeof(level));
    if (!o->n || !o->m)
        return false;
    for (size_t i = 0; i < o->m; i++) {
        struct node *at = &level[o->pos[i] % (MAX_LEAVES + 8)];

        if (o->pos[i] >= o->n || (i && o->pos[i] < o->pos[i - 1]) ||
            (at->known && memcmp(&at->digest, &o->leaf[i], sizeof(at->digest)) != 0))
            return false;
        at->known = true;
        at->digest = o->leaf[i];
    }
    for (size_t n = o->n; n > 1; n -= n / 2)
        if (!raise_plain(level, n, o, &used))
            return false;
    return used == o->count && !memcmp(&level[0].digest, &o->root, sizeof(o->root));
}

static void make_opening(struct opening *o, struct noise *z, const struct mbi_host *host)
{
    struct mbi_digest tree[3 * MAX_LEAVES];

    o->n = 1 + (size_t)draw(z, MAX_LEAVES);
    for (uint8_t j = 0; j < o->n; j++)
        mbi_hash_leaf(&tree[j], &j, 1, NULL);
    o->root = *mbi_merkle_build(tree, o->n, host);
    o->m = 1 + (size_t)draw(z, MAX_POSITIONS);
    for (size_t i = 0; i < o->m; i++)
        o->pos[i] = (uint32_t)draw(z, o->n);
    o->m = mbi_sort_positions(o->pos, o->m);
    for (size_t i = 0; i < o->m; i++)
        o->leaf[i] = tree[o->pos[i]];
    if (!mbi_merkle_count(&o->count, o->n, o->pos, o->m) || o->count > 7 * MAX_POSITIONS)
        exit(2);
    mbi_merkle_open(o->path, tree, o->n, o->pos, o->m);
}

static void damage_opening(struct opening *o, struct noise *z)
{
    const size_t i = (size_t)draw(z, o->m ? o->m : 1), k = (size_t)draw(z, MAX_POSITIONS);
    const struct mbi_digest digest = o->path[o->count ? draw(z, o->count) : 0];

    switch (draw(z, 10)) {
    case 0:
        o->n = (size_t)draw(z, MAX_LEAVES + 8);
        break;
    case 1:
        o->pos[i] = chance(z, 4) ? UINT32_MAX - (uint32_t)draw(z, 3) : (uint32_t)draw(z, o->n + 2);
        break;
    case 2: /* a position twice, its leaf maybe another */
        if (o->m < MAX_POSITIONS) {
            memmove(o->pos + i + 1, o->pos + i, (o->m - i) * sizeof(*o->pos));
            memmove(o->leaf + i + 1, o->leaf + i, (o->m - i) * sizeof(*o->leaf));
            o->m++;
        }
        break;
    case 3:
        flip(z, &o->leaf[i], sizeof(*o->leaf));
        break;
    case 4:
        flip(z, o->path, o->count * sizeof(*o->path));
        break;
    case 5:
        o->count -= o->count ? (size_t)draw(z, o->count) : 0;
        break;
    case 6:
        if (o->count < MAX_PATH)
            o->path[o->count++] = chance(z, 2) ? o->root : digest;
        break;
    case 7: /* the leaves in another order */
        o->leaf[i] = o->leaf[k < o->m ? k : i];
        break;
    case 8:
        o->m = chance(z, 4) ? 0 : o->m - (o->m > 1);
        break;
    default:
        o->path[0] = digest;
    }
}

static const char *opening_case(struct noise *z, const struct mbi_host *host, uint64_t *accepted)
{
    const uint64_t changes = draw(z, 3);
    struct opening o;
    size_t count = 0;
    bool countable, good, want;
    void *scratch;

    memset(&o, 0, sizeof(o));
    make_opening(&o, z, host);
    for (uint64_t i = 0; i < changes; i++)
        damage_opening(&o, z);
    scratch = malloc(mbi_merkle_scratch(o.m) + !o.m);
    if (!scratch)
        return "out of memory";
    good = mbi_merkle_verify(&o.root, o.n, o.pos, o.leaf, o.m, o.path->byte, o.count, scratch);
    free(scratch);
    want = verify_plain(&o);
    countable = mbi_merkle_count(&count, o.n, o.pos, o.m);
    *accepted += good;
    if (good != want || (!changes && !good))
        return good ? "a wrong opening is accepted" : "a right opening is refused";
    if (good && (!countable || count != o.count))
        return "an accepted opening has another length";
    return NULL;
}

/* ---- openings of commitments, D = 2 ---- */

#define MAX_VECTORS 3
#define MAX_CLAIMS 4
#define MAX_ENTRIES 256 /* of a stack */

struct committed {
    struct mbi_opening o;
    struct mbi_root root[MAX_VECTORS];
    struct mbi_commitment vector[MAX_VECTORS];
    uint16_t entry[MAX_VECTORS][32];
    struct mbi_claim claim[MAX_CLAIMS];
    struct mbi_form form[MAX_CLAIMS];
    struct mbi_ext z[MAX_CLAIMS][8];
    uint32_t list[MAX_CLAIMS];
};

static void make_claim(struct committed *c, size_t k, struct noise *z)
{
    const size_t vector = (size_t)draw(z, c->o.n_roots);
    const unsigned all = c->root[vector].log_rows + c->o.code.log_columns;
    const unsigned bits = chance(z, 2) ? all : (unsigned)draw(z, all + 1);
    const uint64_t block = draw(z, (uint64_t)1 << (all - bits));
    const uint64_t size = (uint64_t)1 << bits, below = 1 + draw(z, size);
    struct mbi_form_factor f;
    struct mbi_claim *claim;

    for (size_t i = 0; i < 16; i++)
        c->z[k][i / 2].c[i % 2] = draw(z, MBI_FIELD_P);
    c->list[k] = (uint32_t)draw(z, below);
    switch (draw(z, 4)) {
    case 0:
        f = MBI_EXT(form_shift)(0, bits, below, c->z[k], bits, size, (int32_t)draw(z, 5) - 2);
        break;
    case 1:
        f = MBI_EXT(form_list)(0, bits, below, &c->list[k], 1, NULL, c->z[k], 1);
        break;
    case 2:
        f = MBI_EXT(form_upto)(0, bits, bits / 2, below, c->z[k]);
        break;
    default:
        f = MBI_EXT(form_eq)(0, bits, below, c->z[k]);
    }
    c->form[k] = (struct mbi_form){bits, c->z[k][7], 1, {f}};
    c->claim[k] = (struct mbi_claim){
        .vector = vector, .block = block, .form = &c->form[k], .joined = k && chance(z, 3)};
    for (claim = &c->claim[k]; claim->joined;)
        claim--;
    for (uint64_t x = 0; x < size; x++) {
        struct mbi_ext w;

        MBI_EXT(form_block)(&w, &c->form[k], x, 0);
        claim->value =
            mbi_ext_add(claim->value, mbi_ext_scale(w, c->entry[vector][(block << bits) + x]));
    }
}

static bool make_committed(struct committed *c, struct noise *z, const struct mbi_host *host)
{
    struct mbi_ntt ntt;
    bool done;

    memset(c, 0, sizeof(*c));
    c->o = (struct mbi_opening){.root = c->root, .claim = c->claim};
    c->o.code.log_columns = (unsigned)draw(z, 3);
    c->o.code.log_length = c->o.code.log_columns + 1 + (unsigned)draw(z, 2);
    c->o.code.queries = 1 + (unsigned)draw(z, 6);
    c->o.code.work = (unsigned)draw(z, 4);
    c->o.n_roots = 1 + (size_t)draw(z, MAX_VECTORS);
    c->o.n_claims = (size_t)draw(z, MAX_CLAIMS + 1);
    done = mbi_ntt_init(&ntt, host, mbi_field_kernels_best(), 4, NULL) == MAMBAINT_OK;
    for (size_t i = 0; i < c->o.n_roots && done; i++) {
        const unsigned bits = c->o.code.log_columns + (unsigned)draw(z, 3);
        const size_t size = (size_t)1 << bits;
        const struct mbi_table t = {MBI_TABLE_U16, c->entry[i],
                                    chance(z, 2) ? size : 1 + (size_t)draw(z, size)};

        for (size_t x = 0; x < t.n; x++)
            c->entry[i][x] = (uint16_t)draw(z, 65536);
        done =
            MBI_EXT(commit)(&c->vector[i], &t, bits, &c->o.code, NULL, &ntt, NULL) == MAMBAINT_OK;
        c->root[i] = c->vector[i].root;
    }
    for (size_t k = 0; k < c->o.n_claims && done; k++)
        make_claim(c, k, z);
    mbi_ntt_free(&ntt);
    return done;
}

static struct mbi_ext challenge(struct mbi_transcript *t)
{
    struct mbi_ext r;

    mbi_transcript_draw(r.c, 2, t);
    return r;
}

/* Steps 1 and 2: the joined claim; the weights of the whole stack. */
static struct mbi_ext start_plain(struct mbi_ext weight[MAX_ENTRIES], size_t first[MAX_VECTORS],
                                  unsigned *rounds, const struct committed *c,
                                  struct mbi_transcript *t)
{
    const struct mbi_code *code = &c->o.code;
    const uint64_t head[] = {code->log_columns, code->log_length, code->queries,
                             code->work,        c->o.n_roots,     c->o.n_claims};
    struct mbi_ext join, claim = mbi_ext_from(0), power = mbi_ext_from(1);
    uint8_t bytes[48], claims[32 * MAX_CLAIMS];
    size_t end = 0, size = 0;

    for (size_t i = 0; i < 6; i++)
        mbi_store64(bytes + 8 * i, head[i]);
    mbi_transcript_absorb(t, "code", bytes, 48);
    for (size_t i = 0; i < c->o.n_roots; i++) {
        const size_t rows = (size_t)1 << c->root[i].log_rows;

        first[i] = (end + rows - 1) / rows * rows;
        end = first[i] + rows;
        mbi_store64(bytes, c->root[i].log_rows);
        mbi_store64(bytes + 8, c->root[i].rows);
        memcpy(bytes + 16, c->root[i].digest.byte, 32);
        mbi_transcript_absorb(t, "vector", bytes, 48);
    }
    for (*rounds = 0; (size_t)1 << *rounds < end;)
        ++*rounds;
    for (size_t k = 0; k < c->o.n_claims; k++) {
        const struct mbi_claim *of = &c->claim[k];

        mbi_store64(claims + size, of->vector + ((uint64_t)of->joined << 63));
        mbi_store64(claims + size + 8, of->block);
        size += 16;
        for (size_t x = 0; x < 2 && !of->joined; x++, size += 8)
            mbi_store64(claims + size, of->value.c[x]);
    }
    mbi_transcript_absorb(t, "claims", claims, size);
    join = challenge(t);
    for (size_t k = 0; k < c->o.n_claims; k++) {
        struct mbi_ext *to = weight + (first[c->claim[k].vector] << code->log_columns), w;

        if (k && !c->claim[k].joined)
            power = mbi_ext_mul(power, join);
        to += c->claim[k].block << c->form[k].bits;
        for (size_t x = 0; x < (size_t)1 << c->form[k].bits; x++) {
            MBI_EXT(form_block)(&w, &c->form[k], x, 0);
            to[x] = mbi_ext_add(to[x], mbi_ext_mul(power, w));
        }
        claim = mbi_ext_add(claim, mbi_ext_mul(power, c->claim[k].value));
    }
    return claim;
}

/* The polynomial through (0, q[0]), (1, q1), (2, q[1]) at r. */
static struct mbi_ext lagrange(const struct mbi_ext q[2], struct mbi_ext q1, struct mbi_ext r)
{
    const struct mbi_ext r1 = mbi_ext_sub(r, mbi_ext_from(1)), r2 = mbi_ext_sub(r, mbi_ext_from(2));
    const struct mbi_ext ends =
        mbi_ext_add(mbi_ext_mul(q[0], mbi_ext_mul(r1, r2)), mbi_ext_mul(q[1], mbi_ext_mul(r, r1)));

    return mbi_ext_sub(mbi_ext_scale(ends, mbi_fe_inv(2)), mbi_ext_mul(q1, mbi_ext_mul(r, r2)));
}

/* Steps 6 and 7. */
static bool columns_plain(struct mbi_proof_reader *in, const struct committed *c,
                          const size_t first[MAX_VECTORS], const struct mbi_ext *alpha,
                          unsigned rounds, const struct mbi_ext *row)
{
    uint32_t position[8];
    struct mbi_ext sum[8] = {{{0}}};
    mbi_fe column[8 * 8];
    struct mbi_digest leaf[8];
    uint64_t scratch[8 * 8];
    const size_t length = (size_t)1 << c->o.code.log_length;
    size_t n;
    bool good = true;

    mbi_transcript_draw_indices(position, c->o.code.queries, &in->transcript, c->o.code.log_length);
    n = mbi_sort_positions(position, c->o.code.queries);
    for (size_t i = 0; i < c->o.n_roots; i++) {
        const size_t rows = (size_t)c->root[i].rows;

        if (mbi_merkle_scratch(n) > sizeof(scratch))
            exit(2);
        mbi_get_elements(column, n * rows, in, "columns");
        for (size_t k = 0; k < n; k++) {
            uint8_t bytes[8 * 8];

            mbi_fe_to_bytes(bytes, column + k * rows, rows);
            mbi_hash_leaf(&leaf[k], bytes, 8 * rows, NULL);
            for (size_t r = 0; r < rows; r++) {
                const struct mbi_ext w = MBI_EXT(eq_index)(alpha, rounds, first[i] + r);

                sum[k] = mbi_ext_add(sum[k], mbi_ext_scale(w, column[k * rows + r]));
            }
        }
        mbi_get_opening(in, &c->root[i].digest, length, position, leaf, n, scratch);
    }
    for (size_t k = 0; k < n; k++) {
        struct mbi_ext value = mbi_ext_from(0);

        for (size_t y = 0; y < (size_t)1 << c->o.code.log_columns; y++) {
            const mbi_fe x = mbi_fe_pow(mbi_fe_root(c->o.code.log_length), position[k] * y);

            value = mbi_ext_add(value, mbi_ext_scale(row[y], x));
        }
        good &= mbi_ext_equal(value, sum[k]);
    }
    return good;
}

static bool verify_committed(const struct committed *c, const uint8_t *data, size_t n)
{
    static struct mbi_ext weight[MAX_ENTRIES];
    struct mbi_proof_reader in;
    size_t first[MAX_VECTORS] = {0};
    struct mbi_ext row[8] = {{{0}}}, alpha[8], claim, sum = mbi_ext_from(0);
    unsigned rounds;
    size_t size;
    bool good;

    memset(weight, 0, sizeof(weight));
    mbi_proof_reader_init(&in, data, n, "fuzz");
    claim = start_plain(weight, first, &rounds, c, &in.transcript);
    size = (size_t)1 << (rounds + c->o.code.log_columns);
    for (unsigned i = 0; i < rounds; i++) {
        struct mbi_ext q[2];

        mbi_get_elements((mbi_fe *)q, 4, &in, "round");
        alpha[i] = challenge(&in.transcript);
        claim = lagrange(q, mbi_ext_sub(claim, q[0]), alpha[i]);
        size /= 2;
        MBI_EXT(table_fold)(weight, weight, weight + size, size, alpha[i]);
    }
    mbi_get_elements((mbi_fe *)row, 2 * size, &in, "row");
    for (size_t y = 0; y < size; y++)
        sum = mbi_ext_add(sum, mbi_ext_mul(row[y], weight[y]));
    mbi_get_work(&in, c->o.code.work);
    good = columns_plain(&in, c, first, alpha, rounds, row);
    mbi_get_end(&in);
    return good && mbi_ext_equal(sum, claim) && !in.fault;
}

static bool verify_library(const struct committed *c, const uint8_t *data, size_t n,
                           const struct mbi_host *host)
{
    struct mbi_proof_reader in;

    mbi_proof_reader_init(&in, data, n, "fuzz");
    (void)MBI_EXT(open_verify)(&c->o, &in, host);
    mbi_get_end(&in);
    return !in.fault;
}

/* What the verifier believes may be damaged, too. */
static void damage_statement(struct committed *c, struct noise *z)
{
    struct mbi_claim *claim = &c->claim[c->o.n_claims ? draw(z, c->o.n_claims) : 0];

    while (claim > c->claim && claim->joined)
        claim--;
    if (chance(z, 2) && c->o.n_claims)
        claim->value.c[draw(z, 2)] = draw(z, MBI_FIELD_P);
    else
        flip(z, &c->root[draw(z, c->o.n_roots)].digest, sizeof(struct mbi_digest));
}

static const char *commitment_case(struct noise *z, const struct mbi_host *host, uint64_t *accepted)
{
    static struct committed c;
    const uint64_t changes = draw(z, 3);
    struct mbi_proof_writer w;
    uint8_t *data = calloc(CAP, 1);
    const char *what = NULL;
    bool a, b;
    size_t n;

    mbi_proof_writer_init(&w, host, "fuzz");
    if (!data || !make_committed(&c, z, host) ||
        MBI_EXT(open_prove)(&c.o, c.vector, &w, host, mbi_field_kernels_best(), NULL) < 0 ||
        (n = w.bytes.size) > CAP - 64)
        exit(2);
    memcpy(data, w.bytes.data, n);
    for (uint64_t i = 0; i < changes; i++)
        if (chance(z, 6))
            damage_statement(&c, z);
        else
            n = damage(data, n, z);
    memmove(data + CAP - n, data, n);
    a = verify_library(&c, data + CAP - n, n, host);
    b = verify_committed(&c, data + CAP - n, n);
    *accepted += a;
    if (a != b || (!changes && !a))
        what = a ? "a wrong opening of a commitment is accepted"
                 : "a right opening of a commitment is refused";
    for (size_t i = 0; i < c.o.n_roots; i++)
        MBI_EXT(commitment_free)(&c.vector[i]);
    mbi_proof_writer_free(&w);
    free(data);
    return what;
}

int main(int argc, char **argv)
{
    const uint64_t cases = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000;
    struct noise z = {.seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL)};
    uint64_t proofs = 0, openings = 0, commitments = 0;
    const char *what = NULL;
    struct mbi_host host;

    mbi_host_default(&host);
    if (mbi_hash_setup(NULL) < 0)
        return 2;
    printf("mutate_proof: %" PRIu64 " cases, seed %" PRIu64 "\n", cases, z.seed);
    for (uint64_t i = 0; i < cases && !what; i++) {
        z.n = i << 32; /* so that a case does not depend on the ones before it */
        what = reader_case(&z, &host, &proofs);
        if (!what)
            what = opening_case(&z, &host, &openings);
        if (!what && i % 8 == 0)
            what = commitment_case(&z, &host, &commitments);
        if (what)
            fprintf(stderr, "case %" PRIu64 " of seed %" PRIu64 ": %s\n", i, z.seed, what);
    }
    printf("accepted by both: %" PRIu64 " proofs, %" PRIu64 " openings, %" PRIu64
           " of commitments\n",
           proofs, openings, commitments);
    return what != NULL;
}
