/* SPDX-License-Identifier: Apache-2.0 */
/* Images: a program made ready for the device. Steps are found once, at the start. */
#include "cuda/backend.h"
#include "cuda/decode.h"
#include "cuda/mixer.h"
#include <string.h>

/* ---- arguments of a node ---- */

static void *value_at(const struct mbi_image *image, mbi_ref ref)
{
    return image->scratch + image->program->value[ref].offset;
}

static void fill_node(struct mbi_cuda_node *out, const struct mbi_image *image, mbi_ref ref)
{
    const struct mbi_graph *g = image->program->graph;
    const struct mbi_node *node = &g->node[ref];

    out->op = node->op;
    out->out = value_at(image, ref);
    out->dtype = node->type.dtype;
    out->cols = node->type.cols;
    out->memory = image->memory_at[ref];
    memcpy(out->attr, node->attr, sizeof(out->attr));
    for (uint32_t k = 0; k < mbi_cuda_inputs(node->op); k++) {
        const struct mbi_node *in = &g->node[node->in[k]];

        out->in_dtype[k] = in->type.dtype;
        out->in_cols[k] = in->type.cols;
        out->in_is_param[k] = mbi_cuda_is_param(in);
        out->in[k] =
            out->in_is_param[k] ? image->weights->raw[in->param] : value_at(image, node->in[k]);
    }
}

/* ---- products and what follows them ---- */

static bool gives(const struct mbi_graph *g, mbi_ref ref)
{
    return ref == g->logits || ref == g->argmax || ref == g->link;
}

/* How often a value is read; an output counts as read from outside. */
static uint32_t readers(const struct mbi_graph *g, mbi_ref ref)
{
    uint32_t n = gives(g, ref) ? 2 : 0;

    for (mbi_ref i = ref + 1; i < g->n_nodes; i++)
        for (uint32_t k = 0; g->node[i].op && k < mbi_cuda_inputs(g->node[i].op); k++)
            n += g->node[i].in[k] == ref;
    return n;
}

static bool follows(const struct mbi_image *image, uint32_t s, uint32_t end, bool only_first)
{
    const struct mbi_program *p = image->program;
    const struct mbi_graph *g = p->graph;

    if (s + 1 >= end || readers(g, p->order[s]) != 1)
        return false;
    const struct mbi_node *next = &g->node[p->order[s + 1]];

    return next->in[0] == p->order[s] || (!only_first && next->in[1] == p->order[s]);
}

static bool finish_of(struct mbi_cuda_finish *f, const struct mbi_image *image, mbi_ref ref)
{
    struct mbi_cuda_node n = {};

    fill_node(&n, image, ref);
    switch (n.op) {
    case MBI_OP_requant:
        f->kind = MBI_FINISH_SHIFT;
        break;
    case MBI_OP_requant_rows:
        f->kind = MBI_FINISH_ROWS;
        f->exponent = (const int8_t *)n.in[1];
        break;
    case MBI_OP_requant_mul:
        f->kind = MBI_FINISH_MUL;
        f->scale = (const int16_t *)n.in[1];
        f->exponent = (const int8_t *)n.in[2];
        break;
    default:
        return false;
    }
    f->shift = n.attr[0];
    f->lo = n.attr[1];
    f->hi = n.attr[2];
    f->out = n.out;
    f->dtype = n.dtype;
    return true;
}

/* What is added to the finished sum is i32 as it is. */
static bool add_of(struct mbi_cuda_finish *f, const struct mbi_image *image, mbi_ref ref,
                   mbi_ref from)
{
    struct mbi_cuda_node n = {};
    const struct mbi_node *node = &image->program->graph->node[ref];
    const uint32_t other = node->in[0] == from;

    fill_node(&n, image, ref);
    if (n.op != MBI_OP_addsat || node->in[0] == node->in[1] || n.in_dtype[other] != MBI_I32)
        return false;
    f->add = (const int32_t *)n.in[other];
    f->bits = n.attr[0];
    f->out = n.out;
    f->dtype = n.dtype;
    return true;
}

static void make_matmul(struct mbi_image *image, struct mbi_cuda_step *step, uint32_t end)
{
    const struct mbi_program *p = image->program;
    const uint32_t s = step->first;
    const struct mbi_node *node = &p->graph->node[p->order[s]];

    step->kind = MBI_STEP_MATMUL;
    step->matrix = mbi_cuda_matrix_of(image->weights, p->graph->node[node->in[1]].param);
    step->finish.out = step->node.out;
    step->finish.dtype = step->node.dtype;
    if (!follows(image, s, end, true) || !finish_of(&step->finish, image, p->order[s + 1]))
        return;
    step->n = 2;
    if (p->keep)
        step->kept.sum = (int32_t *)step->node.out;
    if (!follows(image, s + 1, end, false) ||
        (p->keep && p->graph->node[p->order[s + 1]].type.dtype != MBI_I32) ||
        !add_of(&step->finish, image, p->order[s + 2], p->order[s + 1]))
        return;
    step->n = 3;
    if (p->keep)
        step->kept.rounded = (int32_t *)value_at(image, p->order[s + 1]);
}

/* ---- steps ---- */

static struct mbi_cuda_step *add_step(struct mbi_image *image, enum mbi_cuda_step_kind kind,
                                      uint32_t s, uint32_t n)
{
    struct mbi_cuda_step *step = &image->step[image->n_steps++];

    step->kind = kind;
    step->first = s;
    step->n = n;
    fill_node(&step->node, image, image->program->order[s]);
    return step;
}

static void add_mixer_step(struct mbi_image *image, enum mbi_cuda_step_kind kind, uint32_t s,
                           uint32_t n, struct mbi_cuda_mixer *m, struct mbi_cuda_mixer_values *v)
{
    struct mbi_cuda_step *step = add_step(image, kind, s, n);

    step->mixer = m;
    step->values = v;
}

/* Both sides of a mixer with the recurrence between them: three steps, so that a program's body may
 * end behind the recurrence. Returns the nodes done. */
static int32_t make_mixer(struct mbi_image *image, uint32_t s, mambaint_error *err)
{
    const struct mbi_program *p = image->program;
    struct mbi_cuda_mixer *m = (struct mbi_cuda_mixer *)mbi_cuda_alloc(p->host, 1, sizeof(*m));
    struct mbi_cuda_mixer_values *v =
        p->keep ? (struct mbi_cuda_mixer_values *)mbi_cuda_alloc(p->host, 1, sizeof(*v)) : NULL;
    const bool there = m && (v || !p->keep);
    uint32_t n = 0, before;

    if (!there || !(n = mbi_cuda_mixer_match(m, &before, image, s)) ||
        (s < p->n_body && s + n > p->n_body && s + before + 1 != p->n_body) ||
        (v && !mbi_cuda_mixer_keep(v, image, s))) {
        mbi_cuda_free(p->host, m);
        mbi_cuda_free(p->host, v);
        return there ? 0
                     : mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for a program");
    }
    add_mixer_step(image, MBI_STEP_ENTER, s, before, m, v);
    add_step(image, MBI_STEP_NODE, s + before, 1);
    if (s + before + 1 == p->n_body)
        image->n_body = image->n_steps;
    add_mixer_step(image, MBI_STEP_LEAVE, s + before + 1, n - before - 1, m, v);
    return (int32_t)n;
}

static int32_t make_steps(struct mbi_image *image, mambaint_error *err)
{
    const struct mbi_program *p = image->program;

    image->n_body = UINT32_MAX;
    for (uint32_t s = 0; s < p->n_order;) {
        const int32_t mixed =
            p->graph->node[p->order[s]].op == MBI_OP_slice ? make_mixer(image, s, err) : 0;

        if (mixed < 0)
            return mixed;
        if (mixed) {
            s += (uint32_t)mixed;
            continue;
        }
        if (s == p->n_body)
            image->n_body = image->n_steps;
        struct mbi_cuda_step *step = add_step(image, MBI_STEP_NODE, s, 1);

        if (step->node.op == MBI_OP_matvec)
            make_matmul(image, step, s < p->n_body ? p->n_body : p->n_order);
        s += step->n;
    }
    if (image->n_body > image->n_steps)
        image->n_body = image->n_steps;
    return MAMBAINT_OK;
}

static int32_t make_device(struct mbi_image *image, mambaint_error *err)
{
    const struct mbi_program *p = image->program;
    cudaError_t e;

    image->upload_size = p->lanes * (sizeof(struct mbi_cuda_run) + p->value[0].row_size);
    e = cudaStreamCreateWithFlags(&image->recorder, cudaStreamNonBlocking);
    if (e == cudaSuccess)
        e = cudaMalloc((void **)&image->scratch, p->scratch_size + 256);
    if (e == cudaSuccess)
        e = cudaMemsetAsync(image->scratch, 0, p->scratch_size + 256, MBI_STREAM);
    if (e == cudaSuccess)
        e = cudaMalloc((void **)&image->runs, image->upload_size + 16);
    if (e == cudaSuccess)
        e = cudaHostAlloc((void **)&image->upload, image->upload_size + 16, cudaHostAllocDefault);
    return mbi_cuda_check(e, err, "room for a program");
}

extern "C" void mbi_cuda_image_free(struct mbi_image *image)
{
    const struct mbi_host *host;

    if (!image)
        return;
    cudaStreamSynchronize(MBI_STREAM);
    host = image->program->host;
    mbi_cuda_forget_records(image);
    if (image->recorder)
        cudaStreamDestroy(image->recorder);
    mbi_cuda_decode_free(image->decode, host);
    cudaFree(image->scratch);
    cudaFree(image->runs);
    cudaFree(image->work);
    cudaFree(image->batch);
    cudaFreeHost(image->upload);
    cudaFreeHost(image->batch_upload);
    cudaFreeHost(image->logits);
    for (uint32_t i = 0; image->step && i < image->n_steps; i++)
        if (image->step[i].kind == MBI_STEP_ENTER) {
            mbi_cuda_free(host, image->step[i].mixer);
            mbi_cuda_free(host, image->step[i].values);
        }
    mbi_cuda_free(host, image->memory_at);
    mbi_cuda_free(host, image->step);
    mbi_cuda_free(host, image->profile);
    mbi_cuda_free(host, image);
}

extern "C" int32_t mbi_cuda_image_new(struct mbi_image **out, const struct mbi_program *program,
                                      struct mbi_weights *w, mambaint_error *err)
{
    const struct mbi_host *host = program->host;
    struct mbi_image *image = (struct mbi_image *)mbi_cuda_alloc(host, 1, sizeof(*image));
    int32_t rc;

    *out = NULL;
    if (!image)
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for a program");
    image->program = program;
    image->weights = w;
    image->step = (struct mbi_cuda_step *)mbi_cuda_alloc(host, (size_t)program->n_order + 1,
                                                         sizeof(*image->step));
    image->memory_at =
        (size_t *)mbi_cuda_alloc(host, program->graph->n_nodes, sizeof(*image->memory_at));
    if (!image->step || !image->memory_at) {
        rc = mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for a program");
    } else if ((rc = make_device(image, err)) >= 0) {
        mbi_cuda_memory_layout(image->memory_at, program);
        rc = make_steps(image, err);
        if (rc >= 0 && !program->keep)
            rc = mbi_cuda_decode_new(&image->decode, image, err);
    }
    if (rc < 0) {
        mbi_cuda_image_free(image);
        return rc;
    }
    *out = image;
    return MAMBAINT_OK;
}
