/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of many weights, which are counted where they lie. */
#include "api/model.h"
#include "base/intmath.h"
#include "proof/layout.h"
#include "proof/walk.h"
#include "proof/witness.h"
#include "tiny.h"

static const char statement[] = "these weights";

/* A model whose weights may be changed, and a certificate of them. */
struct certified {
    struct mbi_host host;
    struct tiny file;
    mambaint_model *model;
    const struct mbi_graph *graph;
    void **param;       /* own copies */
    const void **value; /* by node */
    struct mbi_table vector;
    struct mbi_plan *plan;
    struct mbi_witness *witness;
    struct mbi_commitment commitment[2];
    struct mbi_proof_job job;
    bool hidden;
};

/* 96 columns and two widths: with whole columns it would have a bit more. */
static void make(struct certified *c)
{
    const struct mbi_model *m;

    *c = (struct certified){.model = NULL};
    mbi_host_default(&c->host);
    ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK);
    tiny_make(&c->file, tiny_options("preset", "mi-tiny", "d-model", "96", "layers", "1", "vocab",
                                     "2100", NULL));
    c->model = tiny_open(&c->file, NULL);
    m = c->model->model;
    c->graph = m->graph;
    c->param = calloc(c->graph->n_params, sizeof(*c->param));
    c->value = calloc(c->graph->n_nodes, sizeof(*c->value));
    test_that(c->param && c->value);
    for (uint32_t i = 0; i < c->graph->n_params; i++) {
        const size_t n = mbi_param_size(&c->graph->param[i]);

        test_that((c->param[i] = malloc(n)));
        memcpy(c->param[i], m->param[i], n);
    }
    for (mbi_ref i = 0; i < c->graph->n_nodes; i++)
        if (mbi_node_is_param(&c->graph->node[i]))
            c->value[i] = c->param[c->graph->node[i].param];
}

static void free_proof(struct certified *c)
{
    MBI_EXT(commitment_free)(&c->commitment[0]);
    MBI_EXT(commitment_free)(&c->commitment[1]);
    mbi_witness_free(c->witness);
    mbi_plan_free(c->plan);
    mbi_free_aligned(&c->host, (void *)(uintptr_t)c->vector.data);
    c->witness = NULL;
    c->plan = NULL;
}

static void unmake(struct certified *c)
{
    for (uint32_t i = 0; i < c->graph->n_params; i++)
        free(c->param[i]);
    free(c->param);
    free(c->value);
    mambaint_model_unref(c->model);
    tiny_free(&c->file);
}

/* Plan and witness; the caller may change vectors before they are committed to. */
static void plan(struct certified *c)
{
    const struct mbi_plan_request q = {
        .graph = &c->graph, .n_stages = 1, .lanes = 1, .certificate = true};
    const struct mbi_stage_run run = {.value = c->value};
    const void *const *param = (const void *const *)c->param;
    const struct mbi_mask_seed seed = {{2}};
    unsigned bits;

    OK(mbi_plan_create(&c->plan, &c->host, &q, NULL));
    test_that(c->plan->direct && !c->plan->n_vars);
    OK(mbi_weight_vector(&c->vector, &bits, &c->host, &c->graph, &param, 1, NULL));
    ck_assert_uint_eq(bits, c->plan->weight_bits);
    if (c->hidden)
        OK(MBI_EXT(plan_hide)(c->plan, NULL));
    OK(mbi_witness_create(&c->witness, c->plan, &run, c->hidden ? &seed : NULL, NULL));
    test_that(MBI_EXT(walk_code)(&c->job.code, c->plan));
}

static void commit(struct certified *c, struct mbi_proof_writer *out)
{
    struct mbi_table used = c->vector;
    struct mbi_ntt ntt;

    used.n = mbi_min_size(used.n, (size_t)mbi_weight_end(c->plan->piece, c->plan->n_pieces));
    OK(mbi_ntt_init(&ntt, &c->host, mbi_field_kernels_best(), c->job.code.log_length, NULL));
    OK(MBI_EXT(commit)(&c->commitment[1], &used, c->plan->weight_bits, &c->job.code, NULL, &ntt,
                       NULL));
    mbi_ntt_free(&ntt);
    c->job.plan = c->plan;
    c->job.statement = statement;
    c->job.statement_size = sizeof(statement);
    c->job.weights = c->commitment[1].root;
    c->job.table = c->witness->table;
    OK(MBI_EXT(proof_commit)(&c->commitment[0], &c->job, c->witness, NULL, &c->host, NULL));
    mbi_proof_writer_init(out, &c->host, "cert");
    OK(MBI_EXT(proof_prove)(&c->job, c->witness, c->commitment, out, &c->host, NULL));
}

static bool holds(const struct certified *c, const uint8_t *proof, size_t n)
{
    struct mbi_proof_reader in;

    mbi_proof_reader_init(&in, proof, n, "cert");
    return MBI_EXT(proof_verify)(&c->job, &in, &c->host);
}

/* Of what is planned and maybe changed. */
static bool verdict(struct certified *c)
{
    struct mbi_proof_writer w;
    bool good;

    commit(c, &w);
    good = holds(c, w.bytes.data, w.bytes.size);
    mbi_proof_writer_free(&w);
    free_proof(c);
    return good;
}

static void certify(bool hidden)
{
    struct mbi_proof_writer w;
    struct mbi_proof_shape shape;
    struct test_random r;
    struct certified c;
    uint32_t cut = 0;

    test_random_init(&r, hidden ? "hidden weights" : "weights");
    make(&c);
    c.hidden = hidden;
    plan(&c);
    for (uint32_t i = 0; i < c.plan->n_pieces; i++)
        cut += c.plan->piece[i].col > 0;
    test_that(cut > 0 && c.plan->lookup.n == 2);
    commit(&c, &w);
    test_that(holds(&c, w.bytes.data, w.bytes.size));
    test_that(MBI_EXT(proof_shape)(&shape, c.plan, &c.host));
    test_that(MBI_EXT(proof_level)(c.plan, &shape, &c.job.code) >= 100);
    for (int i = 0; i < 60; i++) {
        uint8_t *at = &w.bytes.data[test_random_below(&r, (uint32_t)w.bytes.size)];
        const uint8_t flip = (uint8_t)(1 + test_random_below(&r, 255));

        *at ^= flip;
        test_that(!holds(&c, w.bytes.data, w.bytes.size));
        *at ^= flip;
    }
    test_that(!holds(&c, w.bytes.data, w.bytes.size - 1));
    mbi_proof_writer_free(&w);
    free_proof(&c);
    unmake(&c);
}

START_TEST(weights_are_certified)
{
    certify(false);
    certify(true);
}
END_TEST

START_TEST(weights_beyond_their_interval_are_refused)
{
    struct certified c;

    make(&c);
    for (uint32_t i = 0; i < c.graph->n_params; i++) {
        const struct mbi_param *p = &c.graph->param[i];
        const bool bytes = p->type.dtype == MBI_I8;

        if (!mbi_weight_is_committed(p) || (i && i + 4 < c.graph->n_params))
            continue; /* some of both types */
        c.hidden = !c.hidden;
        memset(c.param[i], 0, mbi_param_size(p));
        plan(&c);
        test_that(verdict(&c));
        if (bytes)
            *(int8_t *)c.param[i] = INT8_MIN;
        else
            *(int16_t *)c.param[i] = INT16_MIN;
        plan(&c);
        test_check(!verdict(&c), "%s: one less than the smallest", p->name);
        memset(c.param[i], 0, mbi_param_size(p));
    }
    unmake(&c);
}
END_TEST

/* Another weight under the root, and counted. */
static bool count_one(struct certified *c, unsigned k, int32_t more)
{
    const struct mbi_lookup *l = &c->plan->lookup;
    const size_t x = (size_t)l->begin[k];
    int16_t *weight = (int16_t *)(uintptr_t)c->vector.data + x;
    int32_t *looked = (int32_t *)(uintptr_t)c->witness->looked.data;
    const int32_t value = (int32_t)l->size[k] - 1 + more;

    looked[l->counts[k] + (uint32_t)looked[x]]--;
    looked[x] = value;
    looked[l->counts[k] + (uint32_t)value]++; /* beyond the last one: the next class's first */
    *weight = (int16_t)(value + c->plan->weight_lo[k]);
    for (size_t i = 0; i < c->plan->end; i++)
        if (c->hidden)
            ((mbi_fe *)(uintptr_t)c->witness->vector.data)[i] = (mbi_fe)looked[l->counts[0] + i];
        else
            ((int32_t *)(uintptr_t)c->witness->vector.data)[i] = looked[l->counts[0] + i];
    return verdict(c);
}

START_TEST(counts_of_another_class_are_no_help)
{
    struct certified c;

    make(&c);
    for (int hidden = 0; hidden < 2; hidden++) {
        c.hidden = hidden;
        plan(&c);
        test_that(count_one(&c, 0, 0));
        plan(&c);
        test_that(!count_one(&c, 0, 1));
        plan(&c);
        test_that(count_one(&c, 1, 0)); /* one more is none that the vector's type has */
    }
    unmake(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("certificate");
    TCase *t = tcase_create("certificate");

    tcase_set_timeout(t, 240);
    tcase_add_test(t, weights_are_certified);
    tcase_add_test(t, weights_beyond_their_interval_are_refused);
    tcase_add_test(t, counts_of_another_class_are_no_help);
    suite_add_tcase(s, t);
    return test_main(s);
}
