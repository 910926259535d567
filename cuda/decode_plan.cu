/* SPDX-License-Identifier: Apache-2.0 */
/* From a program to the phases of cuda/decode.cu: a step is an embedding, layers and a head, found
 * by their operations and by who reads what. */
#include "cuda/decode_mix.h"

/* ---- finding the phases ---- */

struct plan {
    const struct mbi_image *image;
    struct mbi_phase *phase;
    struct mbi_decode_part *part;
    uint32_t n, n_parts, cap;
    uint32_t s;       /* the order up to here is done */
    mbi_ref residual; /* the value that flows from layer to layer */
    uint32_t turn;    /* where it is */
    uint32_t most_p, most_g;
};

static const struct mbi_node *order_at(const struct plan *pl, uint32_t s)
{
    const struct mbi_program *p = pl->image->program;

    return s < p->n_order ? &p->graph->node[p->order[s]] : NULL;
}

static bool is_op(const struct mbi_node *node, uint32_t op) { return node && node->op == op; }

static struct mbi_phase *add_phase(struct plan *pl, enum mbi_phase_kind kind)
{
    struct mbi_phase *p = &pl->phase[pl->n++];

    p->kind = kind;
    p->turn = pl->turn;
    return p;
}

static void add_product(struct plan *pl, struct mbi_phase *p, const struct mbi_cuda_step *step)
{
    const struct mbi_cuda_matrix *m = &step->matrix;

    p->matrix = *m;
    p->finish = step->finish;
    p->part = pl->n_parts++;
    pl->part[p->part] = {m->packed,
                         mbi_row_blocks(m),
                         mbi_col_blocks(m),
                         m->dtype == MBI_TERNARY,
                         UINT32_MAX / mbi_col_blocks(m) + 1,
                         {0, 0}};
}

/* embed, requant: the first product makes it for itself. */
static bool plan_embed(struct plan *pl)
{
    const struct mbi_image *image = pl->image;
    const struct mbi_graph *g = image->program->graph;
    const struct mbi_node *e = order_at(pl, 0), *q = order_at(pl, 1);
    struct mbi_phase *p = &pl->phase[0];

    if (!is_op(e, MBI_OP_embed) || !is_op(q, MBI_OP_requant) || e->in[0] != 0 ||
        q->in[0] != image->program->order[0] || e->type.dtype != MBI_I8 || q->type.dtype != MBI_I32)
        return false;
    p->token = (const int32_t *)(image->scratch + image->program->value[0].offset);
    p->table = (const int8_t *)image->weights->raw[g->node[e->in[1]].param];
    p->embed = {q->attr[0], q->attr[1], q->attr[2]};
    pl->residual = image->program->order[1];
    pl->s = 2;
    return true;
}

/* The step of a product that begins at s; NULL if it is something else. */
static const struct mbi_cuda_step *product_at(const struct plan *pl, uint32_t s)
{
    for (uint32_t i = 0; i < pl->image->n_steps; i++)
        if (pl->image->step[i].first == s)
            return pl->image->step[i].kind == MBI_STEP_MATMUL ? &pl->image->step[i] : NULL;
    return NULL;
}

/* norm of the residual stream and a product: of a layer, or the head. */
static bool plan_normed(struct plan *pl, enum mbi_phase_kind kind)
{
    const struct mbi_node *n = order_at(pl, pl->s);
    const struct mbi_cuda_step *step = product_at(pl, pl->s + 1);
    struct mbi_phase *p;

    if (!n || (n->op != MBI_OP_norm_rms && n->op != MBI_OP_norm_shift) || n->attr[0] != 1 ||
        n->in[0] != pl->residual || n->type.dtype != MBI_I8 || !step || step->n != 2 ||
        order_at(pl, pl->s + 1)->in[0] != pl->image->program->order[pl->s])
        return false;
    p = add_phase(pl, kind);
    add_product(pl, p, step);
    p->normed = 1;
    p->norm_op = n->op;
    p->norm_frac = n->attr[1];
    p->norm_bits = n->attr[2];
    p->norm_inverse = mbi_inverse(n->type.cols);
    pl->s += 3;
    return true;
}

/* Is every column of p read by a head, each by one part of the mixer? */
static bool reads_all(const struct mbi_cuda_mixer *m)
{
    const uint32_t begin[] = {m->at_channels, m->at_turn, m->at_dt, m->at_z};
    const uint32_t size[] = {m->channels, m->pairs, (uint32_t)m->scan.heads,
                             (uint32_t)(m->scan.heads * m->scan.head_dim)};
    uint32_t at = 0;

    for (int turn = 0; turn < 4; turn++)
        for (int i = 0; i < 4; i++)
            if (size[i] && begin[i] == at) {
                at += size[i];
                break;
            }
    return at == m->p_cols;
}

/* mixer, product, addition to the residual stream */
static bool plan_mixed(struct plan *pl)
{
    const struct mbi_program *program = pl->image->program;
    const struct mbi_phase *front = &pl->phase[pl->n - 1];
    struct mbi_phase *p = add_phase(pl, MBI_PHASE_MIX);
    const struct mbi_cuda_step *step;
    const struct mbi_node *sum;
    uint32_t n, before;

    if (!(n = mbi_cuda_mixer_match(&p->mixer, &before, pl->image, pl->s)) ||
        (const void *)p->mixer.p != front->finish.out || !reads_all(&p->mixer) ||
        p->mixer.scan.head_dim % 4)
        return false;
    p->near = mbi_mix_near_size(&p->mixer);
    pl->most_p = p->mixer.p_cols > pl->most_p ? p->mixer.p_cols : pl->most_p;
    pl->s += n;
    if (!(step = product_at(pl, pl->s)) || step->n != 3 ||
        (const void *)p->mixer.g != step->node.in[0])
        return false;
    sum = order_at(pl, pl->s + 2);
    if ((sum->in[0] != pl->residual && sum->in[1] != pl->residual) || sum->type.dtype != MBI_I32)
        return false;
    pl->turn ^= 1;
    p = add_phase(pl, MBI_PHASE_PRODUCT);
    add_product(pl, p, step);
    pl->most_g = p->matrix.cols / 4 > pl->most_g ? p->matrix.cols / 4 : pl->most_g;
    pl->residual = program->order[pl->s + 2];
    pl->s += 3;
    return true;
}

static bool plan_head(struct plan *pl)
{
    const struct mbi_graph *g = pl->image->program->graph;
    const struct mbi_node *last = order_at(pl, pl->s);
    struct mbi_phase *head = &pl->phase[pl->n - 1], *p;

    if (!is_op(last, MBI_OP_argmax) || last->in[0] != g->logits || head->finish.dtype != MBI_I32 ||
        pl->s + 1 != pl->image->program->n_order)
        return false;
    head->kind = MBI_PHASE_HEAD;
    p = add_phase(pl, MBI_PHASE_CHOOSE);
    p->argmax = (int32_t *)(pl->image->scratch +
                            pl->image->program->value[pl->image->program->order[pl->s]].offset);
    return true;
}

/* A layer or the head from pl->s on; false: neither. *done when it was the head. */
static bool plan_next(struct plan *pl, bool *done)
{
    const struct mbi_program *program = pl->image->program;

    if (!plan_normed(pl, MBI_PHASE_PRODUCT))
        return false;
    *done = program->order[pl->s - 1] == program->graph->logits;
    return *done ? plan_head(pl) : plan_mixed(pl);
}

static bool plan_phases(struct plan *pl)
{
    bool done = false;

    if (pl->image->program->graph->link != MBI_NONE || !plan_embed(pl))
        return false;
    while (!done)
        if (pl->n + 4 > pl->cap || pl->s + 3 > pl->image->program->n_order || !plan_next(pl, &done))
            return false;
    /* All layers add to a stream of one width. */
    for (uint32_t k = 0; k < pl->n; k++)
        if (pl->phase[k].kind == MBI_PHASE_PRODUCT && !pl->phase[k].normed &&
            pl->phase[k].matrix.rows != pl->phase[0].matrix.cols)
            return false;
    return true;
}

/* ---- what is on the device ---- */

static void *take(char *base, size_t *at, size_t size)
{
    void *p = base ? base + *at : NULL;

    *at += mbi_align_size(size, 256);
    return p;
}

/* The words in `memory`, or how much they take. */
static size_t place_words(struct mbi_cuda_decode *d, const struct plan *pl, char *memory)
{
    const size_t lanes = MBI_DECODE_LANES * sizeof(uint64_t);
    struct mbi_decode_words *w = &d->words;
    size_t at = 0;

    w->p = (uint64_t *)take(memory, &at, pl->most_p * lanes);
    w->g = (uint64_t *)take(memory, &at, pl->most_g * lanes);
    for (int i = 0; i < 2; i++)
        w->residual[i] = (uint64_t *)take(memory, &at, pl->phase[0].matrix.cols * lanes);
    w->best = (uint64_t *)take(memory, &at, d->blocks * 2 * lanes);
    return at;
}

/*
 * Every block's rows of every part: even shares. The blocks that begin turn from part to part, so
 * that over many parts all have the same to read. And the shears of rotations.
 */
static cudaError_t make_tables(struct mbi_cuda_decode *d, const struct plan *pl)
{
    const struct mbi_host *host = pl->image->program->host;
    const size_t n = (size_t)d->blocks * pl->n_parts;
    struct mbi_decode_share *share =
        (struct mbi_decode_share *)mbi_cuda_alloc(host, n, sizeof(*share));
    uint32_t shears[MBI_SHEARS];
    cudaError_t e = share ? cudaSuccess : cudaErrorMemoryAllocation;

    for (size_t i = 0; share && i < n; i++) {
        const uint32_t part = (uint32_t)(i % pl->n_parts), rows = pl->part[part].row_blocks;
        const uint32_t b = (uint32_t)(i / pl->n_parts + part * 37) % d->blocks;

        share[i].first = rows * b / d->blocks;
        share[i].n = rows * (b + 1) / d->blocks - share[i].first;
    }
    for (uint32_t i = 0; i < MBI_SHEARS; i++)
        shears[i] = mbi_mix_shear(i);
    if (e == cudaSuccess)
        e = cudaMalloc((void **)&d->share, n * sizeof(*share));
    if (e == cudaSuccess)
        e = cudaMalloc((void **)&d->shears, sizeof(shears));
    if (e == cudaSuccess)
        e = cudaMemcpy(d->share, share, n * sizeof(*share), cudaMemcpyHostToDevice);
    if (e == cudaSuccess)
        e = cudaMemcpy(d->shears, shears, sizeof(shears), cudaMemcpyHostToDevice);
    mbi_cuda_free(host, share);
    return e;
}

static cudaError_t make_buffers(struct mbi_cuda_decode *d, const struct plan *pl)
{
    const size_t phases = pl->n * sizeof(*d->phase), parts = pl->n_parts * sizeof(*d->part);
    cudaError_t e = make_tables(d, pl);

    d->memory_size = place_words(d, pl, NULL);
    if (e == cudaSuccess)
        e = cudaMalloc((void **)&d->phase, phases);
    if (e == cudaSuccess)
        e = cudaMalloc((void **)&d->part, parts);
    if (e == cudaSuccess)
        e = cudaMalloc((void **)&d->memory, d->memory_size);
    if (e == cudaSuccess)
        e = cudaMemset(d->memory, 0, d->memory_size);
    if (e == cudaSuccess)
        e = cudaMemcpy(d->phase, pl->phase, phases, cudaMemcpyHostToDevice);
    if (e == cudaSuccess)
        e = cudaMemcpy(d->part, pl->part, parts, cudaMemcpyHostToDevice);
    if (e == cudaSuccess)
        place_words(d, pl, d->memory);
    return e;
}

int32_t mbi_cuda_decode_new(struct mbi_cuda_decode **out, const struct mbi_image *image,
                            mambaint_error *err)
{
    const struct mbi_host *host = image->program->host;
    struct mbi_cuda_decode *d = (struct mbi_cuda_decode *)mbi_cuda_alloc(host, 1, sizeof(*d));
    struct plan pl = {};
    int32_t rc = MAMBAINT_OK;

    *out = NULL;
    pl.image = image;
    pl.cap = image->program->n_order + 4;
    pl.phase = (struct mbi_phase *)mbi_cuda_alloc(host, pl.cap, sizeof(*pl.phase));
    pl.part = (struct mbi_decode_part *)mbi_cuda_alloc(host, pl.cap, sizeof(*pl.part));
    if (!d || !pl.phase || !pl.part) {
        rc = mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for a program");
    } else if (plan_phases(&pl)) {
        d->n_phases = pl.n;
        d->n_parts = pl.n_parts;
        if (!mbi_cuda_decode_size_up(d, pl.phase, pl.part)) {
            cudaGetLastError(); /* of a device that blocks cannot wait on; steps are started singly */
        } else if ((rc = mbi_cuda_check(make_buffers(d, &pl), err, "room for a program")) >= 0) {
            *out = d;
            d = NULL;
        }
    }
    mbi_cuda_free(host, pl.phase);
    mbi_cuda_free(host, pl.part);
    mbi_cuda_decode_free(d, host);
    return rc;
}

void mbi_cuda_decode_free(struct mbi_cuda_decode *d, const struct mbi_host *host)
{
    if (!d)
        return;
    cudaFree(d->phase);
    cudaFree(d->part);
    cudaFree(d->share);
    cudaFree(d->shears);
    cudaFree(d->memory);
    mbi_cuda_free(host, d);
}
