/* SPDX-License-Identifier: Apache-2.0 */
/* Interleaved Reed-Solomon codes under a Merkle tree, and openings by folding rows. */
#include "proof/commit.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"

#define BLOCK ((size_t)1 << MBI_FORM_BLOCK_LOG)

/* ---- commitment ---- */

struct widening {
    const struct mbi_commitment *c;
    size_t columns, length;
};

static void widen_rows(void *arg, size_t begin, size_t end)
{
    const struct widening *a = arg;

    for (size_t r = begin; r < end; r++)
        for (size_t i = 0; i < a->columns; i++)
            a->c->codeword[r * a->length + i] = mbi_table_field(&a->c->vector, r * a->columns + i);
}

/* The rows lie at the begin of their codewords and are transformed in place. */
static int32_t encode(const struct mbi_commitment *c, const struct mbi_ntt *ntt,
                      mambaint_error *err)
{
    struct widening a = {c, (size_t)1 << c->code.log_columns, (size_t)1 << c->code.log_length};
    const struct mbi_ntt_job job = {.in = c->codeword,
                                    .in_row = a.length,
                                    .in_step = 1,
                                    .out = c->codeword,
                                    .out_row = a.length,
                                    .out_step = 1,
                                    .rows = (size_t)1 << c->root.log_rows,
                                    .ell = a.columns,
                                    .log_n = c->code.log_length};

    mbi_parallel_for(c->host, job.rows, BLOCK / mbi_min_size(a.columns, BLOCK), widen_rows, &a);
    return mbi_ntt_run(ntt, &job, err);
}

static void hash_all(struct mbi_commitment *c)
{
    const size_t length = (size_t)1 << c->code.log_length;
    struct mbi_columns columns = {c->codeword, (size_t)1 << c->root.log_rows, length, 1, NULL};

    mbi_merkle_leaves(c->tree, length, c->host, 16, mbi_hash_columns, &columns);
    c->root.digest = *mbi_merkle_build(c->tree, length, c->host);
}

static bool commitment_alloc(struct mbi_commitment *c)
{
    const size_t length = (size_t)1 << c->code.log_length, digests = mbi_merkle_size(length);
    size_t size;

    if (!digests || !mbi_mul_size(&size, length, sizeof(*c->codeword)) ||
        c->root.log_rows >= 8 * sizeof(size) ||
        !mbi_mul_size(&size, size, (size_t)1 << c->root.log_rows))
        return false;
    c->codeword = mbi_alloc_huge(c->host, size);
    c->tree = mbi_alloc(c->host, digests, sizeof(*c->tree));
    return c->codeword && c->tree;
}

static const char *vector_fault(const struct mbi_table *vector, unsigned bits,
                                const struct mbi_code *code)
{
    if (bits < code->log_columns || bits > MBI_MAX_BITS || vector->n > (uint64_t)1 << bits)
        return "a vector does not have the size of its code";
    return vector->type == MBI_TABLE_EXT ? "a vector is not over F" : NULL;
}

int32_t MBI_EXT(commit)(struct mbi_commitment *out, const struct mbi_table *vector, unsigned bits,
                        const struct mbi_code *code, const struct mbi_ntt *ntt, mambaint_error *err)
{
    const char *fault = MBI_EXT(code_fault)(code);
    int32_t rc;

    *out = (struct mbi_commitment){.host = ntt->host, .code = *code, .vector = *vector};
    if (!fault)
        fault = vector_fault(vector, bits, code);
    if (fault)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "a commitment was planned wrongly: %s", fault);
    out->root.log_rows = bits - code->log_columns;
    rc = commitment_alloc(out) ? encode(out, ntt, err) : mbi_fail_memory(err, "a commitment");
    if (rc < 0)
        MBI_EXT(commitment_free)(out);
    else
        hash_all(out);
    return rc;
}

void MBI_EXT(commitment_free)(struct mbi_commitment *c)
{
    if (!c->host)
        return;
    mbi_free_aligned(c->host, c->codeword);
    mbi_free(c->host, c->tree);
    *c = (struct mbi_commitment){0};
}

/* ---- what both sides do ---- */

/* The rows of all vectors as one matrix of 2^rounds rows; rows that no vector has are zero. */
struct stack {
    uint64_t first[MBI_OPEN_VECTORS];
    unsigned rounds;
};

static const char *root_fault(const struct mbi_opening *o)
{
    unsigned log_rows[MBI_OPEN_VECTORS];
    uint64_t first[MBI_OPEN_VECTORS];

    if (!o->n_roots || o->n_roots > MBI_OPEN_VECTORS)
        return "an opening has no vector or too many";
    for (size_t i = 0; i < o->n_roots; i++) {
        log_rows[i] = o->root[i].log_rows;
        if (log_rows[i] > MBI_MAX_BITS)
            return "the vectors of an opening are too long";
    }
    if (MBI_EXT(open_stack)(first, log_rows, o->n_roots) + o->code.log_columns > MBI_MAX_BITS)
        return "the vectors of an opening are too long";
    return NULL;
}

static unsigned vector_bits(const struct mbi_opening *o, size_t vector)
{
    return o->root[vector].log_rows + o->code.log_columns;
}

static const char *claim_fault(const struct mbi_claim *c, const struct mbi_opening *o)
{
    const char *fault;

    if (c->vector >= o->n_roots)
        return "a claim names a vector that is not there";
    fault = MBI_EXT(form_fault)(c->form);
    if (!fault && c->form->bits > vector_bits(o, c->vector))
        fault = "a form has more bits than its vector";
    if (!fault && c->block >> (vector_bits(o, c->vector) - c->form->bits))
        fault = "a claim names a block that is not there";
    return fault;
}

const char *MBI_EXT(open_fault)(const struct mbi_opening *o)
{
    const char *fault = MBI_EXT(code_fault)(&o->code);

    if (!fault)
        fault = root_fault(o);
    if (!fault && 64 * MBI_EXT_D - 1 < o->code.level + (unsigned)mbi_bitlen(o->n_claims))
        fault = "an opening has too many claims for its level";
    if (!fault && o->n_claims && o->claim[0].joined)
        fault = "the first claim is joined to none";
    for (size_t k = 0; k < o->n_claims && !fault; k++)
        fault = claim_fault(&o->claim[k], o);
    return fault;
}

static void stack_init(struct stack *s, const struct mbi_opening *o)
{
    unsigned log_rows[MBI_OPEN_VECTORS];

    for (size_t i = 0; i < o->n_roots; i++)
        log_rows[i] = o->root[i].log_rows;
    s->rounds = MBI_EXT(open_stack)(s->first, log_rows, o->n_roots);
}

static struct mbi_ext draw(struct mbi_transcript *t)
{
    struct mbi_ext r;

    mbi_transcript_draw(r.c, MBI_EXT_D, t);
    return r;
}

/* code and counts | each root | each claim, without its form; a further term has no value */
static void absorb_statement(struct mbi_transcript *t, const struct mbi_opening *o)
{
    const uint64_t code[] = {o->code.log_columns, o->code.log_length, o->code.queries,
                             o->code.work,        o->n_roots,         o->n_claims};
    uint8_t bytes[8 * MBI_COUNT(code) + sizeof(struct mbi_digest)];

    for (size_t i = 0; i < MBI_COUNT(code); i++)
        mbi_store64(bytes + 8 * i, code[i]);
    mbi_transcript_absorb(t, "code", bytes, 8 * MBI_COUNT(code));
    for (size_t i = 0; i < o->n_roots; i++) {
        mbi_store64(bytes, o->root[i].log_rows);
        memcpy(bytes + 8, &o->root[i].digest, sizeof(struct mbi_digest));
        mbi_transcript_absorb(t, "vector", bytes, 8 + sizeof(struct mbi_digest));
    }
    for (size_t k = 0; k < o->n_claims; k++) {
        mbi_store64(bytes, o->claim[k].vector);
        mbi_store64(bytes + 8, o->claim[k].block);
        MBI_EXT(ext_to_bytes)(bytes + 16, &o->claim[k].value, 1);
        if (o->claim[k].joined)
            mbi_transcript_absorb(t, "term", bytes, 16);
        else
            mbi_transcript_absorb(t, "claim", bytes, 16 + MBI_EXT_BYTES);
    }
}

/* Absorbs the statement, draws *join and returns the sum of join^k value_k. Further terms do not
 * count: they share the power of their claim. */
static struct mbi_ext join_claims(struct mbi_ext *join, struct mbi_transcript *t,
                                  const struct mbi_opening *o)
{
    struct mbi_ext sum = mbi_ext_from(0);

    absorb_statement(t, o);
    *join = draw(t);
    for (size_t k = o->n_claims; k-- > 0;)
        if (!o->claim[k].joined)
            sum = mbi_ext_add(mbi_ext_mul(sum, *join), o->claim[k].value);
    return sum;
}

/* At r, the polynomial of degree 2 with the values q0 and q1 at 0 and 1, q2 that of X^2. */
static struct mbi_ext quadratic(struct mbi_ext q0, struct mbi_ext q1, struct mbi_ext q2,
                                struct mbi_ext r)
{
    const struct mbi_ext linear = mbi_ext_sub(mbi_ext_sub(q1, q0), q2);

    return mbi_ext_add(q0, mbi_ext_mul(r, mbi_ext_add(linear, mbi_ext_mul(r, q2))));
}

static size_t draw_positions(uint32_t *position, const struct mbi_code *code,
                             struct mbi_transcript *t)
{
    mbi_transcript_draw_indices(position, code->queries, t, code->log_length);
    return mbi_sort_positions(position, code->queries);
}

/* ---- the prover ---- */

#define SLICES 64u /* of a round: units of work, whatever the number of threads */

struct prover {
    const struct mbi_opening *o;
    const struct mbi_commitment *vector;
    const struct mbi_host *host;
    const struct mbi_field_kernels *kernels;
    struct stack stack;
    struct mbi_ext join, r;
    size_t size;            /* entries of the stack */
    size_t half;            /* pairs of this round */
    mbi_fe *base;           /* the stack; */
    struct mbi_ext *folded; /* ... after the first round */
    struct mbi_ext *weight; /* joined forms */
    struct mbi_ext low[SLICES], square[SLICES];
    size_t current; /* the vector whose entries and weights are set */
    bool first;
};

/* Adds scale times the part of a claim's form that lies in 2^log entries of its vector, from
 * `begin` on, whose weights are w. */
static void add_form(const struct prover *a, struct mbi_ext *w, const struct mbi_claim *c,
                     struct mbi_ext scale, uint64_t begin, unsigned log)
{
    const unsigned bits = c->form->bits < log ? c->form->bits : log;
    const uint64_t first = c->block << c->form->bits;
    struct mbi_ext more[BLOCK];

    if ((first ^ begin) >> (c->form->bits < log ? log : c->form->bits))
        return; /* the form is elsewhere */
    MBI_EXT(form_block)(more, c->form, begin > first ? begin - first : 0, bits);
    w += first > begin ? first - begin : 0;
    mbi_ext_mul_add(a->kernels, w, more, scale, (size_t)1 << bits);
}

/* Entries and weights of 2^log entries of one vector. */
static void fill_block(const struct prover *a, size_t begin, unsigned log)
{
    const size_t at = ((size_t)a->stack.first[a->current] << a->o->code.log_columns) + begin;
    const struct mbi_table *vector = &a->vector[a->current].vector;
    struct mbi_ext power = mbi_ext_from(1);

    for (size_t i = 0; i < (size_t)1 << log; i++)
        a->base[at + i] = mbi_table_field(vector, begin + i);
    for (size_t k = 0; k < a->o->n_claims; k++) {
        if (k && !a->o->claim[k].joined)
            power = mbi_ext_mul(power, a->join);
        if (a->o->claim[k].vector == a->current)
            add_form(a, a->weight + at, &a->o->claim[k], power, begin, log);
    }
}

static void fill_part(void *arg, size_t begin, size_t end)
{
    const struct prover *a = arg;
    const unsigned bits = vector_bits(a->o, a->current),
                   log = bits < MBI_FORM_BLOCK_LOG ? bits : MBI_FORM_BLOCK_LOG;

    for (; begin < end; begin++)
        fill_block(a, begin << log, log);
}

static void fill(struct prover *a)
{
    memset(a->base, 0, a->size * sizeof(*a->base));
    memset(a->weight, 0, a->size * sizeof(*a->weight));
    for (a->current = 0; a->current < a->o->n_roots; a->current++) {
        const size_t n = (size_t)1 << vector_bits(a->o, a->current);

        mbi_parallel_for(a->host, n / BLOCK + (n < BLOCK), 1, fill_part, a);
    }
}

static void slice_range(size_t *begin, size_t *end, const struct prover *a, size_t slice)
{
    *begin = (size_t)((uint64_t)a->half * slice / SLICES);
    *end = (size_t)((uint64_t)a->half * (slice + 1) / SLICES);
}

/* out = high - low of n elements of E. */
static void rises(struct mbi_ext *out, const struct prover *a, const struct mbi_ext *low, size_t n)
{
    a->kernels->sub((mbi_fe *)out, (const mbi_fe *)(low + a->half), (const mbi_fe *)low,
                    n * MBI_EXT_D);
}

/* Adds n pairs' part of the round's polynomial: its value at 0 and its coefficient of X^2. */
static void add_pairs(struct mbi_ext *low, struct mbi_ext *square, const struct prover *a,
                      size_t begin, size_t n)
{
    const struct mbi_ext *w = a->weight + begin;
    struct mbi_ext w_rise[BLOCK], v_rise[BLOCK], at_0, at_2;

    rises(w_rise, a, w, n);
    if (a->first) {
        mbi_fe rise[BLOCK];

        a->kernels->sub(rise, a->base + a->half + begin, a->base + begin, n);
        at_0 = mbi_ext_dot_base(a->kernels, w, a->base + begin, n);
        at_2 = mbi_ext_dot_base(a->kernels, w_rise, rise, n);
    } else {
        rises(v_rise, a, a->folded + begin, n);
        at_0 = mbi_ext_dot(a->kernels, w, a->folded + begin, n);
        at_2 = mbi_ext_dot(a->kernels, w_rise, v_rise, n);
    }
    *low = mbi_ext_add(*low, at_0);
    *square = mbi_ext_add(*square, at_2);
}

static void round_part(void *arg, size_t slice, size_t end_slice)
{
    struct prover *a = arg;

    for (; slice < end_slice; slice++) {
        struct mbi_ext low = mbi_ext_from(0), square = mbi_ext_from(0);
        size_t begin, end;

        slice_range(&begin, &end, a, slice);
        for (; begin < end; begin += mbi_min_size(BLOCK, end - begin))
            add_pairs(&low, &square, a, begin, mbi_min_size(BLOCK, end - begin));
        a->low[slice] = low;
        a->square[slice] = square;
    }
}

static void fold_part(void *arg, size_t slice, size_t end_slice)
{
    const struct prover *a = arg;

    for (; slice < end_slice; slice++) {
        struct mbi_ext *w, *v;
        size_t begin, end;

        slice_range(&begin, &end, a, slice);
        w = a->weight + begin;
        v = a->folded + begin;
        mbi_ext_fold(a->kernels, w, w, w + a->half, a->r, end - begin);
        if (a->first)
            mbi_ext_fold_base(a->kernels, v, a->base + begin, a->base + a->half + begin, a->r,
                              end - begin);
        else
            mbi_ext_fold(a->kernels, v, v, v + a->half, a->r, end - begin);
    }
}

/* Threads do not pay for a few blocks. */
static void for_slices(struct prover *a, void (*part)(void *arg, size_t begin, size_t end))
{
    if (a->half < 4 * BLOCK)
        part(a, 0, SLICES);
    else
        mbi_parallel_for(a->host, SLICES, 1, part, a);
}

/* The message of a round, its challenge, and the claim that is left. */
static struct mbi_ext prove_round(struct prover *a, struct mbi_ext claim,
                                  struct mbi_proof_writer *out)
{
    struct mbi_ext q0 = mbi_ext_from(0), square = q0, q1, at_2, message[2];

    for_slices(a, round_part);
    for (size_t i = 0; i < SLICES; i++) {
        q0 = mbi_ext_add(q0, a->low[i]);
        square = mbi_ext_add(square, a->square[i]);
    }
    q1 = mbi_ext_sub(claim, q0);
    at_2 = mbi_ext_add(mbi_ext_sub(q1, q0), mbi_ext_add(q1, mbi_ext_add(square, square)));
    message[0] = q0;
    message[1] = at_2;
    mbi_put_elements(out, "round", (const mbi_fe *)message, 2 * MBI_EXT_D);
    a->r = draw(&out->transcript);
    for_slices(a, fold_part);
    return quadratic(q0, q1, square, a->r);
}

static void prove_rounds(struct prover *a, struct mbi_ext claim, struct mbi_proof_writer *out)
{
    a->first = true;
    for (a->half = a->size / 2; a->half >= (size_t)1 << a->o->code.log_columns; a->half /= 2) {
        claim = prove_round(a, claim, out);
        a->first = false;
    }
    for (size_t c = 0; a->first && c < a->size; c++) /* one row */
        a->folded[c] = mbi_ext_from(a->base[c]);
}

/* The columns at the positions, then the path that leads from them to the root. */
static bool put_columns(struct mbi_proof_writer *out, const struct mbi_commitment *c,
                        const uint32_t *position, size_t n)
{
    const size_t rows = (size_t)1 << c->root.log_rows, length = (size_t)1 << c->code.log_length;
    mbi_fe *column = NULL;
    size_t all;

    if (!mbi_mul_size(&all, n, rows) || !(column = mbi_alloc(c->host, all, sizeof(*column))))
        return false;
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < rows; r++)
            column[i * rows + r] = c->codeword[r * length + position[i]];
    mbi_put_elements(out, "columns", column, all);
    mbi_free(c->host, column);
    mbi_put_opening(out, c->tree, length, position, n);
    return true;
}

static bool put_openings(struct prover *a, struct mbi_proof_writer *out)
{
    uint32_t *position = mbi_alloc(a->host, a->o->code.queries, sizeof(*position));
    bool done = position != NULL;
    size_t n;

    if (!position)
        return false;
    mbi_put_work(out, a->o->code.work);
    n = draw_positions(position, &a->o->code, &out->transcript);
    for (size_t i = 0; i < a->o->n_roots && done; i++)
        done = put_columns(out, &a->vector[i], position, n);
    mbi_free(a->host, position);
    return done;
}

/* Are these the commitments of the roots? */
static bool same_roots(const struct mbi_opening *o, const struct mbi_commitment *vector)
{
    bool same = true;

    for (size_t i = 0; i < o->n_roots; i++)
        same &= vector[i].root.log_rows == o->root[i].log_rows &&
                vector[i].code.log_columns == o->code.log_columns &&
                vector[i].code.log_length == o->code.log_length &&
                !memcmp(&vector[i].root.digest, &o->root[i].digest, sizeof(struct mbi_digest));
    return same;
}

/* 8 bytes and one of E for every entry of the stack, and one of E for every pair. */
static bool prover_alloc(struct prover *a)
{
    const size_t row = (size_t)1 << a->o->code.log_columns;
    size_t bytes;

    stack_init(&a->stack, a->o);
    if (a->stack.rounds + a->o->code.log_columns >= 8 * sizeof(a->size))
        return false;
    a->size = row << a->stack.rounds;
    if (!mbi_mul_size(&bytes, a->size, sizeof(*a->weight)))
        return false;
    a->base = mbi_alloc_huge(a->host, a->size * sizeof(*a->base));
    a->weight = a->base ? mbi_alloc_huge(a->host, bytes) : NULL;
    a->folded = a->weight
                    ? mbi_alloc_huge(a->host, mbi_max_size(a->size / 2, row) * sizeof(*a->folded))
                    : NULL;
    return a->folded != NULL;
}

static bool prove(struct prover *a, struct mbi_proof_writer *out)
{
    struct mbi_ext claim;

    if (!prover_alloc(a))
        return false;
    claim = join_claims(&a->join, &out->transcript, a->o);
    fill(a);
    prove_rounds(a, claim, out);
    mbi_put_elements(out, "row", (const mbi_fe *)a->folded,
                     MBI_EXT_D * ((size_t)1 << a->o->code.log_columns));
    return put_openings(a, out);
}

int32_t MBI_EXT(open_prove)(const struct mbi_opening *o, const struct mbi_commitment *vector,
                            struct mbi_proof_writer *out, const struct mbi_host *host,
                            const struct mbi_field_kernels *kernels, mambaint_error *err)
{
    struct prover a = {.o = o, .vector = vector, .host = host, .kernels = kernels};
    const char *fault = MBI_EXT(open_fault)(o);
    bool done;

    if (!fault && !same_roots(o, vector))
        fault = "a root is not that of its commitment";
    if (fault)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "an opening was planned wrongly: %s", fault);
    done = prove(&a, out);
    mbi_free_aligned(host, a.folded);
    mbi_free_aligned(host, a.weight);
    mbi_free_aligned(host, a.base);
    return done ? MAMBAINT_OK : mbi_fail_memory(err, "an opening");
}

/* ---- the verifier ---- */

struct verifier {
    const struct mbi_opening *o;
    struct mbi_proof_reader *in;
    struct stack stack;
    struct mbi_ext alpha[MBI_MAX_BITS];
    struct mbi_ext join, claim;
    struct mbi_ext *row;     /* what the rows were folded to */
    struct mbi_ext *weight;  /* eq(alpha, .) */
    struct mbi_ext *sum;     /* folded columns, for each position */
    uint32_t *position;      /* `queries` of them are drawn, n are left */
    mbi_fe *column;          /* of one vector */
    struct mbi_digest *leaf; /* of one vector */
    void *scratch;
    size_t n;
};

static bool verifier_alloc(struct verifier *v, const struct mbi_host *host)
{
    const struct mbi_code *code = &v->o->code;
    const size_t n = mbi_min_size(code->queries, (size_t)1 << code->log_length);
    unsigned log_rows = 0;
    size_t entries;

    for (size_t i = 0; i < v->o->n_roots; i++)
        log_rows = v->o->root[i].log_rows > log_rows ? v->o->root[i].log_rows : log_rows;
    if (v->stack.rounds >= 8 * sizeof(entries) || !mbi_mul_size(&entries, n, (size_t)1 << log_rows))
        return false;
    return (v->row = mbi_alloc(host, (size_t)1 << code->log_columns, sizeof(*v->row))) &&
           (v->weight = mbi_alloc(host, (size_t)1 << v->stack.rounds, sizeof(*v->weight))) &&
           (v->sum = mbi_alloc(host, n, sizeof(*v->sum))) &&
           (v->position = mbi_alloc(host, code->queries, sizeof(*v->position))) &&
           (v->column = mbi_alloc(host, entries, sizeof(*v->column))) &&
           (v->leaf = mbi_alloc(host, n, sizeof(*v->leaf))) &&
           (v->scratch = mbi_alloc(host, mbi_merkle_scratch(n), 1));
}

static void verifier_free(struct verifier *v, const struct mbi_host *host)
{
    mbi_free(host, v->row);
    mbi_free(host, v->weight);
    mbi_free(host, v->sum);
    mbi_free(host, v->position);
    mbi_free(host, v->column);
    mbi_free(host, v->leaf);
    mbi_free(host, v->scratch);
}

static void get_rounds(struct verifier *v)
{
    const mbi_fe half = (MBI_FIELD_P + 1) / 2;

    for (unsigned i = 0; i < v->stack.rounds; i++) {
        struct mbi_ext q[2], q1, square;

        mbi_get_elements((mbi_fe *)q, 2 * MBI_EXT_D, v->in, "round");
        q1 = mbi_ext_sub(v->claim, q[0]);
        square = mbi_ext_add(mbi_ext_sub(q[1], mbi_ext_add(q1, q1)), q[0]);
        v->alpha[i] = draw(&v->in->transcript);
        v->claim = quadratic(q[0], q1, mbi_ext_scale(square, half), v->alpha[i]);
    }
}

/*
 * <row, W~(alpha, .)> for the form W of a claim. In the stack, the bits before those of the form
 * select its place: `before` coordinates of alpha and, of a form shorter than a row, some of the
 * column.
 */
static struct mbi_ext form_of_row(const struct verifier *v, const struct mbi_claim *c)
{
    const unsigned rounds = v->stack.rounds, columns = v->o->code.log_columns;
    const unsigned bits = c->form->bits, inner = bits < columns ? bits : columns;
    const unsigned log = inner < MBI_FORM_BLOCK_LOG ? inner : MBI_FORM_BLOCK_LOG;
    const unsigned before = rounds + columns - (bits > columns ? bits : columns);
    const uint64_t place = (v->stack.first[c->vector] << columns) + (c->block << bits);
    const size_t column = (size_t)(place & (((uint64_t)1 << columns) - 1));
    const struct mbi_table row = {MBI_TABLE_EXT, v->row, (size_t)1 << columns};
    struct mbi_ext sum = mbi_ext_from(0), block[BLOCK];

    for (size_t begin = 0; begin < (size_t)1 << inner; begin += (size_t)1 << log) {
        MBI_EXT(form_rest)(block, c->form, v->alpha + before, bits - inner, begin, log);
        sum = mbi_ext_add(sum, MBI_EXT(table_dot)(&row, column + begin, block, (size_t)1 << log));
    }
    return mbi_ext_mul(sum,
                       MBI_EXT(eq_index)(v->alpha, before, place >> (rounds + columns - before)));
}

/* The row gives what is left of the claims. */
static void check_claims(const struct verifier *v)
{
    struct mbi_ext sum = mbi_ext_from(0), terms = sum;

    for (size_t k = v->o->n_claims; k-- > 0;) {
        terms = mbi_ext_add(terms, form_of_row(v, &v->o->claim[k]));
        if (v->o->claim[k].joined)
            continue;
        sum = mbi_ext_add(mbi_ext_mul(sum, v->join), terms);
        terms = mbi_ext_from(0);
    }
    if (!mbi_ext_equal(sum, v->claim))
        mbi_refuse(v->in, "the folded row of an opening does not give its claims");
}

/* Sums of 2^32 products at most, reduced once. */
static struct mbi_ext fold_column(const mbi_fe *column, const struct mbi_ext *weight, size_t rows)
{
    struct mbi_fe_sum sum[MBI_EXT_D] = {{0}};
    struct mbi_ext r;

    for (size_t i = 0; i < rows; i++)
        for (int k = 0; k < MBI_EXT_D; k++)
            mbi_fe_sum_add(&sum[k], weight[i].c[k], column[i]);
    for (int k = 0; k < MBI_EXT_D; k++)
        r.c[k] = mbi_fe_sum_value(&sum[k]);
    return r;
}

/* The columns of one vector: they are under its root, and their folds go to the sums. */
static void get_columns(struct verifier *v, size_t vector)
{
    const struct mbi_root *root = &v->o->root[vector];
    const size_t rows = (size_t)1 << root->log_rows;
    struct mbi_columns one = {v->column, rows, 1, 1, NULL};

    mbi_get_elements(v->column, v->n * rows, v->in, "columns");
    for (size_t i = 0; i < v->n && !v->in->fault; i++, one.data += rows) {
        mbi_hash_columns(&one, &v->leaf[i], 0, 1);
        v->sum[i] =
            mbi_ext_add(v->sum[i], fold_column(one.data, v->weight + v->stack.first[vector], rows));
    }
    mbi_get_opening(v->in, &root->digest, (size_t)1 << v->o->code.log_length, v->position, v->leaf,
                    v->n, v->scratch);
}

#define ABREAST 4 /* powers, so that none waits for the one before it */

/* The polynomial with the row as its coefficients, at x: sums of 2^27 products at most. */
static struct mbi_ext row_at(const struct verifier *v, mbi_fe x)
{
    const size_t n = (size_t)1 << v->o->code.log_columns;
    struct mbi_fe_sum sum[MBI_EXT_D] = {{0}};
    mbi_fe power[ABREAST], step = 1;
    struct mbi_ext r;

    for (size_t i = 0; i < ABREAST; i++) {
        power[i] = step;
        step = mbi_fe_mul(step, x);
    }
    for (size_t c = 0; c < n; c += ABREAST)
        for (size_t i = 0; i < ABREAST && c + i < n; i++) {
            for (int k = 0; k < MBI_EXT_D; k++)
                mbi_fe_sum_add(&sum[k], v->row[c + i].c[k], power[i]);
            power[i] = mbi_fe_mul(power[i], step);
        }
    for (int k = 0; k < MBI_EXT_D; k++)
        r.c[k] = mbi_fe_sum_value(&sum[k]);
    return r;
}

/* Every opened column folds to the row's value at its place. */
static void check_columns(const struct verifier *v)
{
    const mbi_fe root = mbi_fe_root(v->o->code.log_length);

    for (size_t i = 0; i < v->n; i++)
        if (!mbi_ext_equal(row_at(v, mbi_fe_pow(root, v->position[i])), v->sum[i])) {
            mbi_refuse(v->in, "an opened column does not fold to the row of an opening");
            return;
        }
}

static void verify(struct verifier *v)
{
    v->claim = join_claims(&v->join, &v->in->transcript, v->o);
    get_rounds(v);
    mbi_get_elements((mbi_fe *)v->row, MBI_EXT_D * ((size_t)1 << v->o->code.log_columns), v->in,
                     "row");
    if (!v->in->fault)
        check_claims(v);
    mbi_get_work(v->in, v->o->code.work);
    if (v->in->fault)
        return;
    v->n = draw_positions(v->position, &v->o->code, &v->in->transcript);
    MBI_EXT(eq_table)(v->weight, v->alpha, v->stack.rounds, mbi_ext_from(1));
    for (size_t i = 0; i < v->o->n_roots && !v->in->fault; i++)
        get_columns(v, i);
    if (!v->in->fault)
        check_columns(v);
}

bool MBI_EXT(open_verify)(const struct mbi_opening *o, struct mbi_proof_reader *in,
                          const struct mbi_host *host)
{
    const char *fault = MBI_EXT(open_fault)(o);
    struct verifier v = {.o = o, .in = in};

    if (fault) {
        mbi_refuse(in, fault);
        return false;
    }
    stack_init(&v.stack, o);
    if (verifier_alloc(&v, host))
        verify(&v);
    else
        mbi_refuse(in, "there is not enough memory to check an opening");
    verifier_free(&v, host);
    return !in->fault;
}
#endif
