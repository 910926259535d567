/* SPDX-License-Identifier: Apache-2.0 */
/* The prover's side of the walk: every value goes to the proof. */
#include "base/intmath.h"
#include "proof/walk_parts.h"
#include "proof/witness.h"
#if MBI_HAVE_SODIUM

struct prover {
    const struct mbi_witness *witness;
    const struct mbi_commitment *vector; /* the witness, the weights, boundaries */
    struct mbi_proof_writer *out;
    const struct mbi_field_kernels *kernels;
    mambaint_error *err;
    int32_t rc;
    bool summed; /* the stage of sum-checks is over */
};

static struct mbi_ext write_value(struct mbi_walk *w, const struct mbi_part *part)
{
    struct prover *p = w->user;
    struct mbi_ext value = MBI_EXT(walk_part_value)(w, part, &p->witness->table[part->var]);

    if (w->hidden) {
        value = mbi_ext_add(value, MBI_EXT(pad_ahead)(p->out->pads, 0));
        p->out->pads->next++;
        w->hidden->next++;
    }
    mbi_put_elements(p->out, "value", value.c, MBI_EXT_D);
    return value;
}

/* ---- tables of sums ---- */

static bool in_table(const struct mbi_walk_table *t, uint32_t letter)
{
    return t->shift[letter] < MBI_MAX_BITS;
}

/* Is every field of an index where the table has the letter, and is it the whole index? */
static bool axis_is_whole(const struct mbi_walk_table *t, const struct mbi_var *v, int axis,
                          unsigned shift)
{
    const struct mbi_axis *a = &t->view.axis[axis];
    uint64_t last = 0;

    if (a->kind != MBI_AXIS_PLAIN || a->from)
        return false;
    for (uint32_t f = 0; f < a->n_fields; f++) {
        const uint32_t letter = a->field[f].letter;

        if (!in_table(t, letter) || t->shift[letter] != shift + a->field[f].shift)
            return false;
        last += (uint64_t)(t->relation->n[letter] - 1) << a->field[f].shift;
    }
    return last + 1 == v->n[axis];
}

/* The variable's own table is the one that is asked for. */
static bool is_whole(const struct mbi_walk_table *t, const struct mbi_var *v, unsigned bits)
{
    bool whole = !t->summed && mbi_var_bits(v) == bits;

    for (uint32_t k = 0; k < t->relation->n_letters; k++)
        whole &= !in_table(t, k) || t->relation->n[k] == 1 || (mbi_view_letters(&t->view) >> k & 1);
    return whole && axis_is_whole(t, v, 0, mbi_row_log(v)) && axis_is_whole(t, v, 1, v->log[2]) &&
           axis_is_whole(t, v, 2, 0);
}

/* A table under construction: letters that are in it or summed over, one of the first of which is
 * the unit of work. */
struct filling {
    const struct mbi_walk_table *t;
    const struct mbi_witness *witness;
    const struct mbi_ext *weight[MBI_LETTERS];
    mbi_fe *base; /* of a table that is not summed */
    struct mbi_ext *sum;
    uint32_t live;
    uint32_t split; /* the letter whose values are divided among threads */
    uint32_t inner; /* the last one besides, if the view is plain */
};

/* The next values of all letters but the one that is split and the innermost one. */
static bool next_letters(struct mbi_letters *at, const struct filling *f)
{
    for (uint32_t k = f->t->relation->n_letters; k-- > 0;) {
        if (!(f->live >> k & 1) || k == f->split || k == f->inner)
            continue;
        if (++at->at[k] < f->t->relation->n[k])
            return true;
        at->at[k] = 0;
    }
    return false;
}

static void put_entry(const struct filling *f, const struct mbi_letters *at, size_t place, mbi_fe x)
{
    const struct mbi_walk_table *t = f->t;
    struct mbi_ext product;
    bool first = true;

    if (f->base) {
        f->base[place] = x;
        return;
    }
    product = mbi_ext_from(x);
    for (uint32_t k = 0; k < t->relation->n_letters; k++)
        if (t->summed >> k & 1) {
            product = first ? mbi_ext_scale(f->weight[k][at->at[k]], x)
                            : mbi_ext_mul(product, f->weight[k][at->at[k]]);
            first = false;
        }
    f->sum[place] = mbi_ext_add(f->sum[place], product);
}

static size_t place_of(const struct filling *f, const struct mbi_letters *at)
{
    size_t place = 0;

    for (uint32_t k = 0; k < f->t->relation->n_letters; k++)
        if (in_table(f->t, k))
            place |= (size_t)at->at[k] << f->t->shift[k];
    return place;
}

/* Entries for all values of the innermost letter, of which the indices of a plain view are linear
 * functions. */
static void fill_run(const struct filling *f, struct mbi_letters *at)
{
    const struct mbi_view *view = &f->t->view;
    const struct mbi_var *v = &f->witness->plan->var[view->var];
    const struct mbi_table *table = &f->witness->table[view->var];
    int64_t x[MBI_AXES], step[MBI_AXES] = {0};

    for (int k = 0; k < MBI_AXES; k++) {
        x[k] = view->axis[k].from;
        for (uint32_t i = 0; i < view->axis[k].n_fields; i++) {
            const struct mbi_field *field = &view->axis[k].field[i];

            x[k] += (int64_t)at->at[field->letter] << field->shift;
            step[k] += field->letter == f->inner ? (int64_t)1 << field->shift : 0;
        }
    }
    for (uint32_t i = 0; i < f->t->relation->n[f->inner]; i++) {
        bool there = true;
        mbi_fe value = 0;

        for (int k = 0; k < MBI_AXES; k++)
            there &= x[k] >= 0 && x[k] < v->n[k];
        if (there) /* the middle index is 0 where there is none */
            value = mbi_table_field(table, ((size_t)x[0] << mbi_row_log(v)) +
                                               ((size_t)x[1] << v->log[2]) + (size_t)x[2]);
        at->at[f->inner] = i;
        put_entry(f, at, place_of(f, at), value);
        for (int k = 0; k < MBI_AXES; k++)
            x[k] += step[k];
    }
    at->at[f->inner] = 0;
}

static void fill_slice(void *arg, size_t begin, size_t end)
{
    const struct filling *f = arg;

    for (size_t i = begin; i < end; i++) {
        struct mbi_letters at = {{0}};

        if (f->split < MBI_LETTERS) /* or else there is one entry */
            at.at[f->split] = (uint32_t)i;
        do {
            if (f->inner < MBI_LETTERS)
                fill_run(f, &at);
            else
                put_entry(f, &at, place_of(f, &at),
                          mbi_fe_from_i64(mbi_view_value(f->witness, &f->t->view, &at)));
        } while (next_letters(&at, f));
    }
}

/* The letter in the table with the largest range: its values can be filled in any order. */
static uint32_t letter_to_split(const struct filling *f)
{
    uint32_t best = MBI_LETTERS;

    for (uint32_t k = 0; k < f->t->relation->n_letters; k++)
        if (in_table(f->t, k) &&
            (best == MBI_LETTERS || f->t->relation->n[k] > f->t->relation->n[best]))
            best = k;
    return best;
}

static uint32_t inner_letter(const struct filling *f)
{
    for (int k = 0; k < MBI_AXES; k++)
        if (f->t->view.axis[k].kind != MBI_AXIS_PLAIN)
            return MBI_LETTERS;
    for (uint32_t k = f->t->relation->n_letters; k-- > 0;)
        if (f->live >> k & 1 && k != f->split)
            return k;
    return MBI_LETTERS;
}

static bool expand_weights(struct filling *f, void *own[MBI_LETTERS], const struct mbi_host *host)
{
    for (uint32_t k = 0; k < f->t->relation->n_letters; k++) {
        const unsigned log = (unsigned)mbi_bitlen(f->t->relation->n[k] - 1);
        struct mbi_ext *e;

        if (!(f->t->summed >> k & 1))
            continue;
        if (!(own[k] = e = mbi_alloc(host, (size_t)1 << log, sizeof(*e))))
            return false;
        MBI_EXT(walk_expand)(e, f->t->weight[k], log);
        f->weight[k] = e;
    }
    return true;
}

/* ---- rows of a variable, summed: what a product with a matrix asks for ---- */

#define COLUMNS ((size_t)128) /* at a time */

/* The one letter that is an index of the variable, as it stands; MBI_LETTERS if there is none. */
static uint32_t index_letter(const struct mbi_walk_table *t, const struct mbi_var *v, int axis)
{
    const struct mbi_axis *a = &t->view.axis[axis];

    if (a->kind != MBI_AXIS_PLAIN || a->from || a->n_fields != 1 || a->field[0].shift ||
        t->relation->n[a->field[0].letter] != v->n[axis])
        return MBI_LETTERS;
    return a->field[0].letter;
}

/* Is the table the columns of a variable, whose rows are summed with weights? */
static bool sums_rows(const struct filling *f, const struct mbi_var *v)
{
    const struct mbi_walk_table *t = f->t;
    const struct mbi_axis *middle = &t->view.axis[1];
    const uint32_t row = index_letter(t, v, 0), col = index_letter(t, v, 2);

    return row < MBI_LETTERS && col < MBI_LETTERS && v->n[1] == 1 && !middle->n_fields &&
           !middle->from && middle->kind == MBI_AXIS_PLAIN && t->summed == 1u << row &&
           f->live == (1u << row | 1u << col) && in_table(t, col) && !t->shift[col];
}

struct rows {
    const struct filling *f;
    const struct mbi_var *v;
    const struct mbi_field_kernels *kernels;
};

static void sum_columns(void *arg, size_t begin, size_t end)
{
    const struct rows *a = arg;
    const struct mbi_table *from = &a->f->witness->table[a->f->t->view.var];
    const struct mbi_ext *weight = a->f->weight[a->f->t->view.axis[0].field[0].letter];

    for (size_t at = begin * COLUMNS; at < mbi_min_size(end * COLUMNS, a->v->n[2]); at += COLUMNS) {
        const size_t n = mbi_min_size(COLUMNS, a->v->n[2] - at);
        mbi_fe row[COLUMNS];

        for (size_t r = 0; r < a->v->n[0]; r++) {
            MBI_EXT(table_load)(row, from, (r << mbi_row_log(a->v)) + at, n);
            mbi_ext_mul_add_base(a->kernels, a->f->sum + at, row, weight[r], n);
        }
    }
}

/* All entries, by what is there for it. */
static void fill_entries(struct filling *f, const struct mbi_walk *w)
{
    const struct prover *p = w->user;
    const struct mbi_var *v = &w->plan->var[f->t->view.var];
    struct rows rows = {f, v, p->kernels};

    if (sums_rows(f, v))
        mbi_parallel_for(w->host, (v->n[2] + COLUMNS - 1) / COLUMNS, 1, sum_columns, &rows);
    else if (f->split < MBI_LETTERS)
        mbi_parallel_for(w->host, f->t->relation->n[f->split], 1, fill_slice, f);
    else
        fill_slice(f, 0, 1);
}

static bool fill_table(struct mbi_table *out, void **own, const struct mbi_walk *w,
                       const struct mbi_walk_table *t, unsigned bits)
{
    const struct prover *p = w->user;
    struct filling f = {.t = t, .witness = p->witness};
    const size_t n = (size_t)1 << bits;
    void *weight[MBI_LETTERS] = {NULL};
    bool done;

    *own =
        t->summed ? mbi_alloc(w->host, n, sizeof(*f.sum)) : mbi_alloc(w->host, n, sizeof(*f.base));
    if (t->summed)
        f.sum = *own;
    else
        f.base = *own;
    for (uint32_t k = 0; k < t->relation->n_letters; k++)
        if (in_table(t, k) || (t->summed >> k & 1))
            f.live |= 1u << k;
    f.split = letter_to_split(&f);
    f.inner = inner_letter(&f);
    done = *own && expand_weights(&f, weight, w->host);
    if (done)
        fill_entries(&f, w);
    for (uint32_t k = 0; k < MBI_LETTERS; k++)
        mbi_free(w->host, weight[k]);
    *out = (struct mbi_table){t->summed ? MBI_TABLE_EXT : MBI_TABLE_FIELD, *own, n};
    return done;
}

static bool make_table(struct mbi_table *out, void **own, const struct mbi_walk *w,
                       const struct mbi_walk_table *t, unsigned bits)
{
    const struct prover *p = w->user;

    if (t->view.var == MBI_NONE) {
        *out = p->witness->vector;
        if (w->hidden)
            out->n = (size_t)w->plan->end;
        return true;
    }
    if (!is_whole(t, &w->plan->var[t->view.var], bits))
        return fill_table(out, own, w, t, bits);
    *out = p->witness->table[t->view.var];
    return true;
}

/*
 * Hidden messages are read back by the verifier's own function, so that both sides know the same of
 * them. Both went the same way: the transcript's states are equal, and every pad was counted.
 */
static void check_back(struct prover *p, const struct mbi_walk *w, struct mbi_proof_reader *in)
{
    mbi_get_end(in);
    if (p->out->bytes.failed || w->hidden->failed)
        p->rc = mbi_fail_memory(p->err, "a proof");
    else if (in->fault || w->hidden->next != p->out->pads->next ||
             memcmp(in->transcript.state, p->out->transcript.state, sizeof(in->transcript.state)))
        p->rc = mbi_fail(p->err, MAMBAINT_E_INTERNAL, "a hidden proof cannot be read back: %s",
                         in->fault ? in->fault : "its pads or challenges differ");
}

static void prove_batch(struct mbi_walk *w, struct mbi_ext *point, struct mbi_ext *value,
                        const struct mbi_sum_batch *batch, const struct mbi_table *table)
{
    struct prover *p = w->user;
    const struct mbi_transcript start = p->out->transcript;
    const size_t from = p->out->bytes.size;
    struct mbi_proof_reader in;

    p->rc = MBI_EXT(sum_prove)(point, value, batch, table, p->out, w->host, p->err);
    if (p->rc < 0 || !w->hidden)
        return;
    mbi_proof_reader_over(&in, &start, p->out, from);
    (void)MBI_EXT(sum_verify_hidden)(point, value, batch, w->hidden, &in);
    check_back(p, w, &in);
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
        prove_batch(w, point, value, batch, of);
    for (size_t i = 0; own && i < batch->n_tables; i++)
        mbi_free(w->host, own[i]);
    mbi_free(w->host, own);
    mbi_free(w->host, of);
}

/* ---- the whole ---- */

static void end_sums(struct prover *p, const struct mbi_host *host)
{
    if (!p->summed)
        mbi_progress(host, "sums", 1, 1);
    p->summed = true;
}

/* A hidden one is read back, as a sum-check is. */
static void run_lookup(struct prover *p, struct mbi_walk *w, struct mbi_lookup_end *end,
                       const struct mbi_lookup *l, const struct mbi_table *vector)
{
    const struct mbi_transcript start = p->out->transcript;
    const size_t from = p->out->bytes.size;
    struct mbi_table f = *vector;
    struct mbi_proof_reader in;

    if (w->hidden && !w->plan->direct)
        f.n = (size_t)w->plan->end; /* without the pads */
    p->rc = MBI_EXT(lookup_prove)(end, l, &f, p->out, w->host, p->kernels, p->err);
    if (p->rc < 0 || !w->hidden)
        return;
    mbi_proof_reader_over(&in, &start, p->out, from);
    (void)MBI_EXT(lookup_verify_hidden)(end, l, w->hidden, &in);
    check_back(p, w, &in);
}

static void prove_lookup(struct mbi_walk *w, struct mbi_lookup_end *end, const struct mbi_lookup *l)
{
    struct prover *p = w->user;
    const struct mbi_table *f = w->plan->direct ? &p->witness->looked : &p->witness->vector;

    end_sums(p, w->host);
    mbi_progress(w->host, "lookup", 0, 1);
    if (p->rc >= 0)
        run_lookup(p, w, end, l, f);
    mbi_progress(w->host, "lookup", 1, 1);
}

static void prove_opening(struct mbi_walk *w, const struct mbi_opening *o)
{
    struct prover *p = w->user;

    end_sums(p, w->host);
    mbi_progress(w->host, "open", 0, 1);
    if (p->rc >= 0 && w->hidden && w->hidden->next != w->plan->n_pads)
        p->rc = mbi_fail(p->err, MAMBAINT_E_INTERNAL, "a proof has other pads than its plan");
    if (p->rc >= 0)
        p->rc = MBI_EXT(open_prove)(o, p->vector + w->opened, p->out, w->host, p->kernels, p->err);
    mbi_progress(w->host, "open", 1, 1);
}

/* A false statement: the proof goes on, and is refused. */
static void nothing(struct mbi_walk *w) { (void)w; }

static int32_t walk(struct prover *p, const struct mbi_proof_job *job, const struct mbi_host *host)
{
    static const struct mbi_walk_side side = {write_value,   prove_sum, prove_lookup,
                                              prove_opening, nothing,   false};
    struct mbi_hidden hidden = {.host = host, .next = mbi_plan_links(job->plan)};
    struct mbi_pads pads = {.n = (size_t)job->plan->n_pads, .next = hidden.next};
    struct mbi_walk w = {.job = job,
                         .plan = job->plan,
                         .host = host,
                         .side = &side,
                         .transcript = &p->out->transcript,
                         .user = p,
                         .witness = p->vector->root,
                         .hidden = job->plan->n_pads ? &hidden : NULL};

    mbi_progress(host, "sums", 0, 1);
    if (w.hidden) {
        pads.at = (const mbi_fe *)p->witness->vector.data + job->plan->pads_at;
        p->out->pads = &pads;
    }
    MBI_EXT(walk_start)(&w);
    mbi_put_bytes(p->out, "root", &w.witness.digest, sizeof(w.witness.digest));
    if (!MBI_EXT(walk)(&w) && p->rc >= 0)
        p->rc = w.fault
                    ? mbi_fail(p->err, MAMBAINT_E_UNSUPPORTED, "this cannot be proved: %s", w.fault)
                    : mbi_fail_memory(p->err, "a proof");
    MBI_EXT(walk_free)(&w);
    MBI_EXT(hidden_free)(&hidden);
    p->out->pads = NULL;
    return p->rc;
}

int32_t MBI_EXT(proof_commit)(struct mbi_commitment *out, const struct mbi_proof_job *job,
                              const struct mbi_witness *witness, const struct mbi_mask_seed *seed,
                              const struct mbi_host *host, mambaint_error *err)
{
    const unsigned rows = mbi_code_log_rows(&job->code, job->plan->bits);
    const struct mbi_masking masking = {seed, true};
    struct mbi_table used = witness->vector;
    struct mbi_ntt ntt;
    int32_t rc = mbi_ntt_init(&ntt, host, mbi_field_kernels_best(), job->code.log_length, err);

    if (rc < 0)
        return rc;
    used.n = mbi_min_size(used.n, (size_t)mbi_witness_end(job->plan)); /* the others are zero */
    rc = MBI_EXT(commit)(out, &used, job->code.log_columns + rows, &job->code,
                         seed ? &masking : NULL, &ntt, err);
    mbi_ntt_free(&ntt);
    return rc;
}

int32_t MBI_EXT(proof_prove)(const struct mbi_proof_job *job, const struct mbi_witness *witness,
                             const struct mbi_commitment *vector, struct mbi_proof_writer *out,
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
