/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operation at a time: a kernel against the reference. The same tokens are run whole, cut in
 * two, in parts on two threads and twice over, from a state that was reached by running; outputs,
 * states and the bytes around them must be the same.
 */
#include "bitexact.h"
#include "cpu/pack.h"

#define GUARD 64
#define POISON 0xA5
#define MAX_WARM 300
#define MAX_VARIED 2000 /* columns of a case that is worth repeating with others */

/* An array between two guards. Inputs have none behind, so that a sanitizer sees any overrun. */
struct block {
    uint8_t *base, *data;
    size_t size, behind;
};

static struct block block_new(size_t size, size_t offset, size_t behind)
{
    struct block b = {need(GUARD + offset + size + behind, 1), NULL, size, behind};

    b.data = b.base + GUARD + offset;
    memset(b.base, POISON, GUARD + offset + size + behind);
    return b;
}

static bool guards_whole(const struct block *b)
{
    for (const uint8_t *p = b->base; p < b->data; p++)
        if (*p != POISON)
            return false;
    for (size_t i = 0; i < b->behind; i++)
        if (b->data[b->size + i] != POISON)
            return false;
    return true;
}

/* A case with its types, lanes and data. */
struct trial {
    const struct options *o;
    const struct subject *subject;
    const struct mbi_op_row *row;
    uint32_t op;
    size_t index; /* of the case */
    uint32_t round;
    const struct mbi_op_case *c;
    struct mbi_type in[MBI_MAX_IN], out;
    struct mbi_state_field field[MBI_MAX_STATE_FIELDS];
    size_t n_fields, lanes;
    enum fill fill;
    uint64_t seed, pos;
    struct block input[MBI_MAX_IN], start[MBI_MAX_STATE_FIELDS];
    struct tally *tally;
};

/* What a run leaves behind. */
struct result {
    struct block out, state[MBI_MAX_STATE_FIELDS];
};

static bool is_param(const struct trial *t, size_t k) { return t->c->rows[k] != 0; }

static size_t field_size(const struct mbi_state_field *f)
{
    return f->count * mbi_dtype_size(f->dtype);
}

/* Bytes to move an array by: any place of its elements inside 64 bytes. */
static size_t misalign(struct source *s, uint32_t dtype)
{
    const size_t element = mbi_max_size(mbi_dtype_size(dtype), 1);

    return (size_t)source_below(s, 64 / element) * element;
}

/* Without a source everything is aligned as memory comes. */
static struct result result_new(const struct trial *t, struct source *s)
{
    struct result r = {.out = block_new(t->lanes * mbi_type_row_size(&t->out),
                                        s ? misalign(s, t->out.dtype) : 0, GUARD)};

    for (size_t i = 0; i < t->n_fields; i++) {
        r.state[i] =
            block_new(field_size(&t->field[i]), s ? misalign(s, t->field[i].dtype) : 0, GUARD);
        memcpy(r.state[i].data, t->start[i].data, r.state[i].size);
    }
    return r;
}

static void result_free(struct result *r)
{
    free(r->out.base);
    for (size_t i = 0; i < MBI_MAX_STATE_FIELDS; i++)
        free(r->state[i].base);
}

/* ---- running ---- */

enum cut { WHOLE, PARTS, THREADS };

struct call {
    const struct mbi_cpu_op *kernel;
    struct mbi_op_args args;
};

void extra_make(struct extra *x, struct mbi_op_args *a, const struct mbi_cpu_kernels *kernels,
                uint32_t op, const struct mbi_host *host)
{
    const struct mbi_cpu_op *kernel = &kernels->op[op];

    *x = (struct extra){.packed = NULL};
    if (kernels->packs && op == MBI_OP_matvec) {
        a->packed = x->packed = mbi_alloc_huge(host, mbi_packed_size(a->in_type[1]));
        if (!x->packed)
            exit(2);
        mbi_pack(x->packed, a->in_type[1], a->in[1], host);
    }
    if (kernel->work_size &&
        !(a->work = x->work = mbi_alloc_aligned(host, kernel->work_size(a) + 1)))
        exit(2);
    if (kernel->copy_size) {
        x->copy_size = kernel->copy_size(a);
        if (!(a->copy = x->copy = mbi_alloc_aligned(host, x->copy_size + 1)))
            exit(2);
    }
}

void extra_free(struct extra *x, const struct mbi_host *host)
{
    mbi_free_aligned(host, x->packed);
    mbi_free_aligned(host, x->work);
    mbi_free_aligned(host, x->copy);
}

size_t kernel_units(const struct mbi_cpu_op *kernel, const struct mbi_op_def *def,
                    const struct mbi_op_args *a)
{
    return kernel->units ? kernel->units(a) : def->units(a);
}

static void call_part(void *arg, size_t begin, size_t end)
{
    const struct call *c = arg;
    struct mbi_op_args args = c->args;

    args.begin = begin;
    args.end = end;
    c->kernel->eval(&args);
}

/* The copy that a kernel has moved on is the one that the new state gives. */
static bool copy_follows(const struct mbi_cpu_op *kernel, struct mbi_op_args *a, struct extra *x)
{
    void *moved = need(x->copy_size, 1);
    bool same;

    memcpy(moved, x->copy, x->copy_size);
    kernel->copy_make(a);
    same = !memcmp(moved, x->copy, x->copy_size);
    free(moved);
    return same;
}

/* Lanes [from, from + n) from the state in r; false: a kernel's copy of the state went astray. */
static bool run_lanes(const struct trial *t, const struct mbi_cpu_kernels *kernels,
                      struct result *r, size_t from, size_t n, enum cut cut, struct source *s)
{
    struct call c = {.kernel = &kernels->op[t->op]};
    struct mbi_op_args *a = &c.args;
    struct extra extra;
    bool follows = true;
    size_t units;

    *a = (struct mbi_op_args){.out = r->out.data + from * mbi_type_row_size(&t->out),
                              .out_type = &t->out,
                              .attr = t->c->attr,
                              .lanes = n,
                              .pos = t->pos + from};
    for (size_t k = 0; k < t->row->n_in; k++) {
        a->in_is_param[k] = is_param(t, k);
        a->in_type[k] = &t->in[k];
        a->in[k] = t->input[k].data + (is_param(t, k) ? 0 : from * mbi_type_row_size(&t->in[k]));
    }
    for (size_t i = 0; i < t->n_fields; i++)
        a->state[i] = r->state[i].data;
    extra_make(&extra, a, kernels, t->op, t->o->host);
    if (extra.copy)
        c.kernel->copy_make(a);
    if (c.kernel->prepare)
        c.kernel->prepare(a);
    units = kernel_units(c.kernel, t->row->def, a);
    if (cut == THREADS)
        mbi_parallel_for(t->o->threaded, units, 1, call_part, &c);
    else
        for (size_t begin = 0, end; begin < units; begin = end) {
            end = cut == WHOLE ? units : begin + 1 + (size_t)source_below(s, units - begin);
            call_part(&c, begin, end);
        }
    if (t->row->def->finish)
        t->row->def->finish(a);
    if (extra.copy)
        follows = copy_follows(c.kernel, a, &extra);
    extra_free(&extra, t->o->host);
    return follows;
}

/* ---- comparing ---- */

static size_t complain(const struct trial *t, const char *what)
{
    if (t->o->quiet)
        return 1;
    printf("%s: case %zu, backend %s%s, fill %s, lanes %zu, pos %llu, seed %llu: %s\n",
           t->row->name, t->index, t->subject->name, t->subject->variant, fill_name(t->fill),
           t->lanes, (unsigned long long)t->pos, (unsigned long long)t->o->seed, what);
    printf("  again: bitexact --op %s --case %zu --round %u --backend %s --seed %llu\n",
           t->row->name, t->index, t->round, t->subject->name, (unsigned long long)t->o->seed);
    return 1;
}

static size_t same_array(const struct trial *t, const char *how, const char *what, uint32_t dtype,
                         const struct block *want, const struct block *got)
{
    const size_t n = want->size / mbi_dtype_size(dtype);
    char text[200];

    if (!guards_whole(got)) {
        snprintf(text, sizeof(text), "%s: wrote outside %s", how, what);
        return complain(t, text);
    }
    for (size_t i = 0; i < n; i++) {
        const int64_t w = array_get(want->data, dtype, i), g = array_get(got->data, dtype, i);

        if (w == g)
            continue;
        snprintf(text, sizeof(text), "%s: %s[%zu] is %lld, not %lld", how, what, i, (long long)g,
                 (long long)w);
        return complain(t, text);
    }
    return 0;
}

static size_t same_result(const struct trial *t, const char *how, const struct result *want,
                          const struct result *got)
{
    size_t bad = same_array(t, how, "output", t->out.dtype, &want->out, &got->out);

    for (size_t i = 0; i < t->n_fields; i++)
        bad += same_array(t, how, t->field[i].name, t->field[i].dtype, &want->state[i],
                          &got->state[i]);
    return bad;
}

/* The promise of inference: no value leaves its interval, and a state reached is a valid one. */
static size_t check_intervals(const struct trial *t, const struct result *r)
{
    void *state[MBI_MAX_STATE_FIELDS] = {NULL};

    for (size_t i = 0; i < t->lanes * t->out.cols; i++) {
        const int64_t v = array_get(r->out.data, t->out.dtype, i);

        if (v < t->out.lo || v > t->out.hi)
            return complain(t, "an output lies outside the inferred interval");
    }
    for (size_t k = 0; k < t->n_fields; k++) {
        const struct mbi_state_field *f = &t->field[k];

        state[k] = r->state[k].data;
        for (size_t i = 0; i < f->count; i++)
            if (array_get(state[k], f->dtype, i) < f->lo ||
                array_get(state[k], f->dtype, i) > f->hi)
                return complain(t, "a state element lies outside its interval");
    }
    if (t->row->def->state_valid && !t->row->def->state_valid(state, t->c->attr, t->pos + t->lanes))
        return complain(t, "a state that was reached is called invalid");
    return 0;
}

/* One way to run the subject, compared with the reference. */
static size_t check_way(const struct trial *t, const struct result *want, size_t first,
                        enum cut cut, struct source *s)
{
    const struct mbi_cpu_kernels *kernels = &t->subject->kernels;
    const bool random = t->fill == FILL_UNIFORM || t->fill == FILL_SPARSE || t->fill == FILL_NEAR;
    struct result got = result_new(t, s);
    char how[80];
    bool follows = true;
    size_t bad;

    if (first)
        follows = run_lanes(t, kernels, &got, 0, first, cut, s);
    follows &= run_lanes(t, kernels, &got, first, t->lanes - first, cut, s);
    snprintf(how, sizeof(how), "run(%zu) then run(%zu), %s", first, t->lanes - first,
             cut == WHOLE   ? "whole"
             : cut == PARTS ? "in parts"
                            : "on threads");
    bad = same_result(t, how, want, &got);
    if (!follows)
        bad += complain(t, "the kernel's copy does not follow from the new state");
    *(random ? &t->tally->random : &t->tally->extreme) += 1;
    result_free(&got);
    return bad;
}

/* Cut everywhere in short runs; in long ones beside every multiple of 8 positions. */
static bool worth_cutting(const struct trial *t, size_t k)
{
    const uint64_t at = (t->pos + k + 1) % 8;

    return t->lanes <= 20 || (at <= 2 && (t->pos + k + 1) % 64 <= 10);
}

static size_t check_filled(const struct trial *t, struct source *s)
{
    struct mbi_cpu_kernels reference;
    struct result want = result_new(t, NULL);
    size_t bad;

    mbi_cpu_kernels_scalar(&reference);
    run_lanes(t, &reference, &want, 0, t->lanes, WHOLE, s);
    bad = check_intervals(t, &want);
    bad += check_way(t, &want, 0, WHOLE, s);
    bad += check_way(t, &want, 0, WHOLE, s);
    bad += check_way(t, &want, 0, PARTS, s);
    if (t->lanes > 1)
        bad += check_way(t, &want, 1 + (size_t)source_below(s, t->lanes - 1), PARTS, s);
    if (t->fill == FILL_UNIFORM) {
        bad += check_way(t, &want, 0, THREADS, s);
        for (size_t k = 1; k < t->lanes && t->n_fields && !bad; k++)
            if (worth_cutting(t, k))
                bad += check_way(t, &want, k, WHOLE, s);
    }
    result_free(&want);
    return bad;
}

/* ---- setting up ---- */

/* What a type cannot say of an input: a decay is 0 or at least 32. */
static void keep_promise(const struct trial *t, size_t k, void *array, size_t rows)
{
    int32_t *l = array;

    if (t->op != MBI_OP_scan || k != 2)
        return;
    for (size_t i = 0; i < rows * t->in[k].cols; i++)
        if (l[i] < 32)
            l[i] = l[i] < 16 ? (int32_t)t->in[k].lo : 32;
}

static void fill_value(const struct trial *t, size_t k, void *array, size_t rows, enum fill f,
                       struct source *s, size_t matrix)
{
    fill_array(array, &t->in[k], rows, f, s, matrix ? t->input[matrix].data : NULL, &t->in[matrix]);
    keep_promise(t, k, array, rows);
}

/* Reach a state by running the reference over random tokens from the start of a chunk. */
static void warm_up(struct trial *t, size_t warm, struct source *s)
{
    struct mbi_cpu_kernels reference;
    struct trial before = *t;
    struct result r;

    before.lanes = warm;
    for (size_t k = 0; k < t->row->n_in; k++)
        if (!is_param(t, k)) {
            before.input[k] = block_new(warm * mbi_type_row_size(&t->in[k]), 0, 0);
            fill_value(t, k, before.input[k].data, warm,
                       source_below(s, 2) ? FILL_UNIFORM : t->fill, s, 0);
        }
    r = result_new(&before, NULL);
    mbi_cpu_kernels_scalar(&reference);
    if (warm)
        run_lanes(&before, &reference, &r, 0, warm, WHOLE, s);
    for (size_t i = 0; i < t->n_fields; i++)
        memcpy(t->start[i].data, r.state[i].data, r.state[i].size);
    t->pos += warm;
    result_free(&r);
    for (size_t k = 0; k < t->row->n_in; k++)
        if (!is_param(t, k))
            free(before.input[k].base);
}

/* Parameters first: the values may follow the signs of a matrix. */
static void fill_inputs(struct trial *t, struct source *s)
{
    const enum fill param_fill = t->fill == FILL_ALIGNED ? FILL_EXTREMES
                                 : source_below(s, 2)    ? FILL_UNIFORM
                                                         : t->fill;
    size_t matrix = 0;

    for (size_t k = 0; k < t->row->n_in; k++) {
        const size_t rows = is_param(t, k) ? t->in[k].rows : t->lanes;
        const size_t row = mbi_type_row_size(&t->in[k]);

        t->input[k] = block_new(rows * row, misalign(s, t->in[k].dtype), 0);
        if (is_param(t, k)) {
            fill_array(t->input[k].data, &t->in[k], rows, param_fill, s, NULL, NULL);
            matrix = k;
        }
    }
    for (size_t k = 0; k < t->row->n_in; k++)
        if (!is_param(t, k))
            fill_value(t, k, t->input[k].data, t->lanes, t->fill, s, matrix);
}

/* Later rounds are mostly satisfied with a few. */
static size_t warm_tokens(const struct trial *t, struct source *s)
{
    const uint64_t most = t->round && source_below(s, 4) ? 30 : MAX_WARM;

    return source_below(s, 3) ? (size_t)source_below(s, most) : 0;
}

static size_t check_fill(struct trial *t, struct source *s)
{
    size_t bad;

    t->pos = source_below(s, (uint64_t)1 << 40) * 256;
    fill_inputs(t, s);
    for (size_t i = 0; i < t->n_fields; i++) {
        t->start[i] = block_new(field_size(&t->field[i]), 0, 0);
        memset(t->start[i].data, 0, t->start[i].size);
    }
    if (t->n_fields)
        warm_up(t, warm_tokens(t, s), s);
    bad = check_filled(t, s);
    for (size_t k = 0; k < t->row->n_in; k++) {
        if (!guards_whole(&t->input[k]))
            bad += complain(t, "wrote before an input");
        free(t->input[k].base);
    }
    for (size_t i = 0; i < t->n_fields; i++)
        free(t->start[i].base);
    return bad;
}

static size_t check_lanes(struct trial *t, uint64_t seed)
{
    size_t bad = 0;

    for (int f = 0; f < FILL_COUNT && !bad; f++) {
        struct source s = {seed + t->lanes * 1000 + (uint64_t)f, (uint64_t)t->op << 32};

        t->fill = (enum fill)f;
        bad += check_fill(t, &s);
    }
    return bad;
}

/* Types, inference and memory of a case; false: the case itself is wrong. */
static bool prepare(struct trial *t)
{
    mambaint_error err = {0};
    struct mbi_infer q = {.attr = t->c->attr, .out = &t->out, .err = &err};
    const struct mbi_type *in[MBI_MAX_IN] = {NULL};

    for (size_t k = 0; k < t->row->n_in; k++) {
        t->in[k] = case_type(t->c, k);
        q.in[k] = in[k] = &t->in[k];
        q.in_is_param[k] = is_param(t, k);
    }
    if (t->row->def->infer(&q) < 0) {
        printf("%s: case %zu is refused: %s\n", t->row->name, t->index, err.message);
        return false;
    }
    if (t->row->def->state)
        t->n_fields = t->row->def->state(t->field, in, t->c->attr);
    return true;
}

static size_t check_case(struct trial *t)
{
    static const uint32_t lanes[] = {1, 2, 3, 7, 8, 64, 65, 130};
    const uint64_t seed = t->o->seed + t->round * 1000003 + t->index * 50021;
    size_t bad = 0;

    if (!prepare(t))
        return 1;
    for (size_t i = 0; i < MBI_COUNT(lanes) && !bad; i++) {
        t->lanes = t->c->lanes ? t->c->lanes : lanes[i];
        bad += check_lanes(t, seed);
        if (t->c->lanes)
            break;
    }
    return bad;
}

/* ---- other sizes ---- */

/*
 * A case with another number of columns wherever it says the same as the first input, and other
 * rows; few lanes mostly. What the operation's inference refuses is not tried.
 */
static struct mbi_op_case vary(const struct mbi_op_case *c, uint32_t op, struct source *s)
{
    struct mbi_op_case v = *c;
    const uint32_t cols = c->cols[0], other = 1 + (uint32_t)source_below(s, 2 * cols + 64);

    if (op == MBI_OP_scan) {
        v.attr[2] =
            (int32_t)(source_below(s, 2) ? 16 * (1 + source_below(s, 4)) : 1 + source_below(s, 70));
        v.cols[0] = (uint32_t)(v.attr[1] * v.attr[2]);
    }
    for (size_t k = 0; k < MBI_MAX_IN && cols > 1 && op != MBI_OP_scan; k++) {
        v.cols[k] = v.cols[k] == cols ? other : v.cols[k];
        v.rows[k] = v.rows[k] == cols ? other
                    : v.rows[k] > 1   ? 1 + (uint32_t)source_below(s, 40)
                                      : v.rows[k];
    }
    if (!v.lanes)
        v.lanes = 1 + (uint32_t)source_below(s, source_below(s, 8) ? 9 : 130);
    return v;
}

static bool accepted(const struct mbi_op_row *row, const struct mbi_op_case *c)
{
    struct mbi_type in[MBI_MAX_IN], out;
    struct mbi_infer q = {.attr = c->attr, .out = &out};

    for (size_t k = 0; k < row->n_in; k++) {
        in[k] = case_type(c, k);
        q.in[k] = &in[k];
    }
    return row->def->infer(&q) == MAMBAINT_OK;
}

/* One case of one round. Round 0 has the cases as they are listed, with many numbers of lanes. */
static size_t check_round(struct trial t)
{
    struct source s = {t.o->seed + t.round, ((uint64_t)t.op << 40) + (t.index << 20)};
    const struct mbi_op_case *const listed = t.c;
    struct mbi_op_case varied;

    if (!t.round || listed->cols[0] > MAX_VARIED)
        return check_case(&t);
    varied = vary(listed, t.op, &s);
    for (int tries = 0; tries < 20 && !accepted(t.row, &varied); tries++)
        varied = vary(listed, t.op, &s);
    if (!accepted(t.row, &varied)) {
        varied = *listed;
        varied.lanes = listed->lanes ? listed->lanes : 1 + (uint32_t)source_below(&s, 9);
    }
    t.c = &varied;
    return check_case(&t);
}

/* The cases of an operation in one round. */
static size_t check_op(const struct options *o, const struct subject *subject, uint32_t op,
                       uint32_t round, struct tally *tally)
{
    const struct mbi_op_row *row = &mbi_op_table[op];
    size_t bad = 0;

    for (size_t i = 0; i < row->def->n_cases; i++)
        if ((o->only < 0 || (size_t)o->only == i) &&
            (!round || row->def->cases[i].cols[0] <= MAX_VARIED))
            bad += check_round((struct trial){.o = o,
                                              .subject = subject,
                                              .row = row,
                                              .op = op,
                                              .index = i,
                                              .round = round,
                                              .c = &row->def->cases[i],
                                              .tally = tally});
    return bad;
}

size_t check_kernels(const struct options *o, const struct subject *subject, struct tally *tally)
{
    const uint32_t first = o->round < 0 ? 0 : (uint32_t)o->round;
    size_t bad = 0;

    for (uint32_t op = 1; op < mbi_op_count; op++) {
        const size_t before = bad;

        if (o->op && strcmp(o->op, mbi_op_table[op].name))
            continue;
        for (uint32_t round = first; bad == before; round++) {
            bad += check_op(o, subject, op, round, &tally[op]);
            if (o->round >= 0 || (round + 1 >= o->rounds && tally[op].random >= o->count &&
                                  tally[op].extreme >= o->count))
                break;
        }
    }
    return bad;
}
