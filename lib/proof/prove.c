/* SPDX-License-Identifier: Apache-2.0 */
/* The prover's side of the walk: every value goes to the proof. */
#include "base/intmath.h"
#include "proof/walk.h"
#include "proof/witness.h"
#if MBI_HAVE_SODIUM

struct prover {
    const struct mbi_witness *witness;
    const struct mbi_commitment *vector; /* the witness and the weights */
    struct mbi_proof_writer *out;
    const struct mbi_field_kernels *kernels;
    mambaint_error *err;
    int32_t rc;
};

static struct mbi_ext write_value(struct mbi_walk *w, const struct mbi_part *part)
{
    struct prover *p = w->user;
    const struct mbi_ext value = MBI_EXT(walk_part_value)(w, part, &p->witness->table[part->var]);

    mbi_put_elements(p->out, "value", value.c, MBI_EXT_D);
    return value;
}

/* ---- tables of sums ---- */

/* The table of a view over the letters of its sum: a sum over the letter that it does not have. */
static void fill_table(struct mbi_ext *out, const struct mbi_walk_table *t, const struct mbi_var *v,
                       const struct mbi_table *from, const struct mbi_ext *weight)
{
    const uint32_t rows = t->range[t->view.row], cols = t->range[t->view.col];

    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++) {
            const int64_t col = (int64_t)c + t->view.col_from;
            struct mbi_ext x;
            size_t at = 0;

            if (col < 0 || col >= v->cols)
                continue;
            x = mbi_table_ext(from, (r << v->col_bits) + (size_t)col);
            if (t->shift[t->view.row] < MBI_MAX_BITS)
                at |= r << t->shift[t->view.row];
            if (t->shift[t->view.col] < MBI_MAX_BITS)
                at |= c << t->shift[t->view.col];
            if (t->summed == MBI_LETTER_NONE)
                out[at] = x;
            else
                out[at] = mbi_ext_add(
                    out[at], mbi_ext_scale(weight[t->summed == t->view.row ? r : c], x.c[0]));
        }
}

/* The variable's own table is the one that is asked for. */
static bool is_whole(const struct mbi_walk_table *t, const struct mbi_var *v)
{
    return t->summed == MBI_LETTER_NONE && t->view.row == MBI_LETTER_ROW &&
           t->view.col == MBI_LETTER_COL && !t->view.col_from && t->range[t->view.row] == v->rows &&
           t->range[t->view.col] == v->cols && t->shift[t->view.col] == 0 &&
           t->shift[t->view.row] == v->col_bits;
}

static bool make_table(struct mbi_table *out, void **own, const struct mbi_walk *w,
                       const struct mbi_walk_table *t, unsigned bits)
{
    const struct prover *p = w->user;
    struct mbi_ext *entry, *weight = NULL;

    if (t->view.var == MBI_NONE) {
        *out = p->witness->vector;
        return true;
    }
    *out = p->witness->table[t->view.var];
    if (is_whole(t, &w->plan->var[t->view.var]))
        return true;
    if (!(*own = entry = mbi_alloc(w->host, (size_t)1 << bits, sizeof(*entry))))
        return false;
    if (t->summed != MBI_LETTER_NONE) {
        const unsigned log = (unsigned)mbi_bitlen(t->n - 1);

        if (!(weight = mbi_alloc(w->host, (size_t)1 << log, sizeof(*weight))))
            return false;
        MBI_EXT(walk_expand)(weight, &t->weight, log);
    }
    fill_table(entry, t, &w->plan->var[t->view.var], out, weight);
    mbi_free(w->host, weight);
    *out = (struct mbi_table){MBI_TABLE_EXT, entry, (size_t)1 << bits};
    return true;
}

static void prove_sum(struct mbi_walk *w, struct mbi_ext *point, struct mbi_ext *value,
                      const struct mbi_sum_batch *batch, const struct mbi_walk_table *table)
{
    struct prover *p = w->user;
    struct mbi_table *of = mbi_alloc(w->host, batch->n_tables, sizeof(*of));
    void **own = mbi_alloc(w->host, batch->n_tables, sizeof(*own));
    bool made = of && own;

    for (size_t i = 0; i < batch->n_tables && made; i++)
        made = make_table(&of[i], &own[i], w, &table[i], batch->bits);
    if (!made)
        p->rc = mbi_fail_memory(p->err, "the tables of a sum-check");
    else if (p->rc >= 0)
        p->rc = MBI_EXT(sum_prove)(point, value, batch, of, p->out, w->host, p->err);
    for (size_t i = 0; own && i < batch->n_tables; i++)
        mbi_free(w->host, own[i]);
    mbi_free(w->host, own);
    mbi_free(w->host, of);
}

/* ---- the whole ---- */

static void prove_opening(struct mbi_walk *w, const struct mbi_opening *o)
{
    struct prover *p = w->user;

    if (p->rc >= 0)
        p->rc = MBI_EXT(open_prove)(o, p->vector, p->out, w->host, p->kernels, p->err);
}

/* A false statement: the proof goes on, and is refused. */
static void nothing(struct mbi_walk *w) { (void)w; }

static int32_t walk(struct prover *p, const struct mbi_proof_job *job, const struct mbi_host *host)
{
    static const struct mbi_walk_side side = {write_value, prove_sum, prove_opening, nothing};
    struct mbi_walk w = {.job = job,
                         .plan = job->plan,
                         .host = host,
                         .side = &side,
                         .transcript = &p->out->transcript,
                         .user = p,
                         .witness = p->vector->root};

    MBI_EXT(walk_start)(&w);
    mbi_put_bytes(p->out, "root", &w.witness.digest, sizeof(w.witness.digest));
    if (!MBI_EXT(walk)(&w) && p->rc >= 0)
        p->rc = mbi_fail_memory(p->err, "a proof");
    MBI_EXT(walk_free)(&w);
    return p->rc;
}

int32_t MBI_EXT(proof_commit)(struct mbi_commitment *out, const struct mbi_proof_job *job,
                              const struct mbi_witness *witness, const struct mbi_host *host,
                              mambaint_error *err)
{
    const unsigned bits = (unsigned)mbi_max_size(job->plan->bits, job->code.log_columns);
    struct mbi_ntt ntt;
    int32_t rc = mbi_ntt_init(&ntt, host, mbi_field_kernels_best(), job->code.log_length, err);

    if (rc < 0)
        return rc;
    rc = MBI_EXT(commit)(out, &witness->vector, bits, &job->code, &ntt, err);
    mbi_ntt_free(&ntt);
    return rc;
}

int32_t MBI_EXT(proof_prove)(const struct mbi_proof_job *job, const struct mbi_witness *witness,
                             const struct mbi_commitment vector[2], struct mbi_proof_writer *out,
                             const struct mbi_host *host, mambaint_error *err)
{
    struct prover p = {.witness = witness,
                       .vector = vector,
                       .out = out,
                       .kernels = mbi_field_kernels_best(),
                       .err = err};
    const int32_t rc = walk(&p, job, host);

    return rc >= 0 && out->bytes.failed ? mbi_fail_memory(err, "a proof") : rc;
}
#endif
