/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commitment to vectors over F, and the proof of linear claims about them. A vector is a matrix of
 * 2^log_rows rows; each row is the coefficients of a polynomial and is encoded by its values at L
 * points, the columns of which are the leaves of a Merkle tree. An opening folds all rows of all
 * vectors into one, which it shows, or commits to in a further layer, and compares it with some
 * columns. What is claimed of the distance is proved: unique decoding only. Rows may have masks, so
 * that an opening tells nothing but its claims. Needs MBI_HAVE_SODIUM.
 *                                                                          proof.md, commitment
 */
#ifndef MBI_PROOF_COMMIT_H
#define MBI_PROOF_COMMIT_H

#include "base/intmath.h"
#include "proof/form.h"
#include "proof/masks.h"
#include "proof/merkle.h"
#include "proof/ntt.h"
#include "proof/stream.h"

#define MBI_CODE_RATE_MAX 8u    /* log2 of L / columns: at least 1 */
#define MBI_CODE_QUERIES 4096u  /* at most */
#define MBI_CODE_LEVEL 128u     /* at most */
#define MBI_CODE_OPENINGS 4096u /* of a root, at most */
#define MBI_OPEN_VECTORS 16     /* of one opening, at most */
#define MBI_CODE_FLAT 16u       /* bits of a vector that needs no further layer */

#define MBI_CODE_DEPTH 4 /* further layers, at most */

/* How one matrix of an opening is encoded, and how many of its columns are looked at. */
struct mbi_layer {
    unsigned log_columns; /* ell, the entries of a row */
    unsigned log_length;  /* L, the values of an encoded row */
    unsigned queries;     /* columns that are drawn, some maybe twice */
    unsigned work;        /* bits, before they are drawn */
};

/* How vectors are encoded and opened. All vectors of an opening have the same. */
struct mbi_code {
    unsigned log_columns, log_length, queries, work; /* layer 0: the vectors */
    unsigned level; /* bits that the errors of an opening stay below; 0: any */
    unsigned depth; /* further layers: each encodes the row that the one before it folds to */
    struct mbi_layer further[MBI_CODE_DEPTH];
    unsigned masks; /* random entries behind those of a row, in layer 0; 0: nothing is hidden */
    unsigned pads;  /* entries behind the masks: 2 D for each round over the rows of an opening */
};

/* Layer i of a code, 0 to depth. */
static inline struct mbi_layer mbi_code_layer(const struct mbi_code *code, unsigned i)
{
    return i ? code->further[i - 1]
             : (struct mbi_layer){code->log_columns, code->log_length, code->queries, code->work};
}

/* Entries of a row of layer 0 with all that is behind them: more than that are never encoded. */
static inline size_t mbi_code_entries(const struct mbi_code *code)
{
    return ((size_t)1 << code->log_columns) + code->masks + code->pads;
}

/* ---- the plan ---- */

/* floor(2^20 log2(2 L / (L + n))), or one less: bits that one query gives, of rows of n entries,
 * 0 < n <= L = 2^log_length. */
uint32_t MBI_EXT(code_query_bits)(unsigned log_length, size_t n);

/* Queries so that a vector at or beyond half the distance is found out with all but 2^-level, work
 * counted. log_rate = log2(L / ell), 1 to MBI_CODE_RATE_MAX. */
unsigned MBI_EXT(code_queries)(unsigned log_rate, unsigned work, unsigned level);

/* Bits of the error of a code's positions, work counted, in the worst layer. */
unsigned MBI_EXT(code_level)(const struct mbi_code *code);

/* NULL, or what is wrong with a code, as a part of a sentence; that it misses its level, too. */
const char *MBI_EXT(code_fault)(const struct mbi_code *code);

/*
 * The code of the shortest openings, on average, of vectors of 2^bits[i] entries at this rate: it
 * chooses log_columns and, for a vector of more than 2^MBI_CODE_FLAT entries, further layers. False
 * if there is none.
 */
bool MBI_EXT(code_choose)(struct mbi_code *code, const unsigned *bits, size_t n, unsigned log_rate,
                          unsigned work, unsigned level);

/*
 * The code of a vector of 2^bits entries and of all that are opened together with it: of the rates,
 * the one with the shortest openings of this one (n = 1), or of it and a longer one (n = 2). False
 * if there is none.
 */
bool MBI_EXT(code_of)(struct mbi_code *code, unsigned bits, size_t n, unsigned level);

/*
 * The same for roots that are opened so many times and tell nothing of what is under them; 1 to
 * MBI_CODE_OPENINGS. It has pads for as many rounds as an opening can have. Then code_fit() makes
 * it that of an opening of vectors of 2^bits[i] entries, with no more pads than that needs; a
 * commitment may be made with either one, but those of one opening's first vector are made with
 * its own. False if there is none.
 */
bool MBI_EXT(code_of_hidden)(struct mbi_code *code, unsigned bits, size_t n, unsigned level,
                             uint32_t openings);
bool MBI_EXT(code_fit)(struct mbi_code *code, const unsigned *bits, size_t n);

/* What is opened of a layer: positions, ascending and each once. */
struct mbi_positions {
    const uint32_t *at;
    size_t n;
};

struct mbi_root;

/* Bytes of an opening of vectors (without a fault, like the code): for the positions of each
 * layer; and at most. */
uint64_t MBI_EXT(open_size)(const struct mbi_code *code, const struct mbi_root *root, size_t n,
                            const struct mbi_positions *layer);
uint64_t MBI_EXT(open_size_max)(const struct mbi_code *code, const struct mbi_root *root, size_t n);
/* On average, rounded down, of vectors of 2^log_rows[i] rows that are all in use. */
uint64_t MBI_EXT(open_size_mean)(const struct mbi_code *code, const unsigned *log_rows, size_t n);

/* Where the rows of each of n vectors lie in the stack of all of them; returns log2 of the height
 * of the stack, which is how many rounds an opening has. log_rows[i] <= MBI_MAX_BITS. */
unsigned MBI_EXT(open_stack)(uint64_t *first, const unsigned *log_rows, size_t n);

/* ---- commitment ---- */

/* What the verifier knows of a vector. It has to be absorbed before what is claimed is drawn. */
struct mbi_root {
    struct mbi_digest digest;
    unsigned log_rows;
    uint64_t rows; /* in use, 1 to 2^log_rows: those after them are zero, and not in the columns */
};

/* Rows in use of a vector of which n entries are given. */
static inline uint64_t mbi_rows_in_use(uint64_t n, unsigned log_columns)
{
    return n ? ((n - 1) >> log_columns) + 1 : 1;
}

/* The same in any code: no column of a hidden vector is so short that it could be guessed. */
static inline uint64_t mbi_code_rows(const struct mbi_code *code, uint64_t n)
{
    const uint64_t rows = mbi_rows_in_use(n, code->log_columns);

    return code->masks && rows < 2 ? 2 : rows;
}

/* log2 of the rows of a vector of 2^bits entries. */
static inline unsigned mbi_code_log_rows(const struct mbi_code *code, unsigned bits)
{
    const unsigned rows = bits > code->log_columns ? bits - code->log_columns : 0;

    return code->masks && !rows ? 1 : rows;
}

/* What hides a vector. Of one opening, no two vectors have the same seed. */
struct mbi_masking {
    const struct mbi_mask_seed *seed;
    bool blind; /* the first vector of its only opening, which it hides, too */
};

/* What the prover keeps of it. */
struct mbi_commitment {
    const struct mbi_host *host;
    struct mbi_code code;
    struct mbi_root root;
    struct mbi_table vector; /* the caller's */
    mbi_fe *codeword;        /* row r's value at the j-th power is at [r L + j]; blind rows last */
    struct mbi_digest *tree;
    struct mbi_mask_seed seed; /* of a hidden one, from which its masks are made again */
    bool blind;
};

/*
 * Commits to a vector of 2^bits entries, of any type but MBI_TABLE_EXT, whose data stays where it
 * is until the last opening. Rows after the table's end are not in use. The memory is L / ell
 * elements of F for every entry of a row that is, and 64 bytes for every column. `ntt` is used here
 * only. `masking` if the code has masks, else NULL; a seed always makes the same.
 */
int32_t MBI_EXT(commit)(struct mbi_commitment *out, const struct mbi_table *vector, unsigned bits,
                        const struct mbi_code *code, const struct mbi_masking *masking,
                        const struct mbi_ntt *ntt, mambaint_error *err);
void MBI_EXT(commitment_free)(struct mbi_commitment *c); /* zeroed is fine */

/* ---- opening ---- */

/*
 * <block of a vector, form> = value. The block has as many bits as the form: with all of the
 * vector's it is block 0, the whole vector. A claim costs the prover no more than its block.
 * With `joined` it is a further term of the claim before it: their sum has that one's value. A form
 * that several terms share is mostly evaluated once. See open_verify_at() for claims without one.
 */
struct mbi_claim {
    size_t vector;
    uint64_t block;              /* from entry block 2^bits on */
    const struct mbi_form *form; /* times scale, times 2^shift */
    const struct mbi_ext *scale; /* NULL: 1 */
    struct mbi_ext value;        /* joined: not looked at */
    uint32_t number;             /* without a form: which it is of those that are not made, ... */
    uint8_t bits;                /* ... and of the block */
    uint8_t shift;               /* below 64 */
    bool joined;                 /* not the first one */
};

static inline unsigned mbi_claim_bits(const struct mbi_claim *c)
{
    return c->form ? c->form->bits : c->bits;
}

/* What the form of a claim is multiplied with. */
static inline struct mbi_ext mbi_claim_scale(const struct mbi_claim *c)
{
    const struct mbi_ext scale = c->scale ? *c->scale : mbi_ext_from(1);

    return c->shift ? mbi_ext_scale(scale, (mbi_fe)1 << c->shift) : scale;
}

/*
 * The statement of an opening. Forms and values are what both sides know or derive from what was
 * absorbed before; the values are absorbed by the opening, the forms are not.
 */
struct mbi_opening {
    struct mbi_code code;
    const struct mbi_root *root;
    size_t n_roots; /* 1 to MBI_OPEN_VECTORS */
    const struct mbi_claim *claim;
    size_t n_claims;
};

/* NULL, or what is wrong with a statement, as a part of a sentence: both sides refuse it. */
const char *MBI_EXT(open_fault)(const struct mbi_opening *o);

/*
 * Proves it; vector[i] is the commitment of root[i]. A false claim makes a proof that is refused.
 * If the code has masks, the first vector has to be a blind one, and is never opened again. The
 * memory is 24 bytes (of degree 2) for every entry of the vectors together that is in use or
 * claimed of, and for a further layer what its commitment has.
 */
int32_t MBI_EXT(open_prove)(const struct mbi_opening *o, const struct mbi_commitment *vector,
                            struct mbi_proof_writer *out, const struct mbi_host *host,
                            const struct mbi_field_kernels *kernels, mambaint_error *err);

/*
 * True if the proof shows all claims; else false and a fault of the reader. For any bytes: the
 * memory follows from the statement, and too little of it is a fault, too.
 */
bool MBI_EXT(open_verify)(const struct mbi_opening *o, struct mbi_proof_reader *in,
                          const struct mbi_host *host);

/* Forms that are not made: the extensions of all of them, by number, at the point of which the
 * coordinates before `end` are the last ones, as many as a form's block has bits. They stay until
 * it is called again; NULL: it failed, for a fault that the caller knows of. */
struct mbi_open_forms {
    const struct mbi_ext *(*at)(void *user, const struct mbi_ext *end);
    void *user;
};

/* The same of claims that may lack their form. The code has to have a further layer, so that forms
 * are asked for at one point only. */
bool MBI_EXT(open_verify_at)(const struct mbi_opening *o, const struct mbi_open_forms *forms,
                             struct mbi_proof_reader *in, const struct mbi_host *host);

#endif
