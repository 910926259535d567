/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measurements of bench: load, prefill, decode, batch, the machine, the profile. Everything is
 * repeated; medians count. Tokens are forced, or in a batch the likeliest, so that no sampler is
 * timed.
 */
#include "bench.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define LEAST_REPEATS 3
#define LOADS 3
#define ENOUGH_S 1.5 /* of one measurement, once it has its least repeats */
#define BATCH_PROMPT 4

/* What one setting works with. */
struct stage {
    struct bench *b;
    struct bench_setting *set;
    mambaint_context *ctx;
    mambaint_model *model;
    mambaint_session *session;
    mambaint_state *start, *primed; /* fresh; with the first prompt read */
    int32_t *prompt;                /* as long as the longest */
};

/* ---- repeats ---- */

struct watch {
    double wall, cpu;
};

/* Tokens a second, by the clock and by the processor, of each repeat. */
struct sample {
    size_t n;
    double rate[BENCH_REPEATS], cpu_rate[BENCH_REPEATS];
    double total_s;
};

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct watch watch_begin(void) { return (struct watch){now_seconds(), cpu_seconds()}; }

static struct watch watch_end(struct watch begin)
{
    return (struct watch){now_seconds() - begin.wall, cpu_seconds() - begin.cpu};
}

/* A clock that did not move is no measurement, but no division by zero either. */
static double per(double n, double seconds) { return n / (seconds > 1e-9 ? seconds : 1e-9); }

static void sample_add(struct sample *s, double tokens, struct watch took)
{
    s->rate[s->n] = per(tokens, took.wall);
    s->cpu_rate[s->n++] = per(tokens, took.cpu);
    s->total_s += took.wall;
}

static bool sample_wants_more(const struct sample *s)
{
    return s->n < LEAST_REPEATS || (s->n < BENCH_REPEATS && s->total_s < ENOUGH_S);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts the numbers. */
static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_size);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void add_run(struct bench_setting *set, enum bench_kind kind, long size, long tokens,
                    struct sample *s)
{
    struct bench_run *run = &set->run[set->n_runs++];

    *run = (struct bench_run){.kind = kind, .size = size, .tokens = tokens, .repeats = s->n};
    run->rate = median(s->rate, s->n);
    run->lowest = s->rate[0];
    run->highest = s->rate[s->n - 1];
    run->cpu_rate = median(s->cpu_rate, s->n);
}

/* ---- progress ---- */

/* `part` of the current section is done. */
static void show(struct bench *b, double part, const char *what)
{
    progress_show(&b->progress, b->sections_done + (part < 1 ? part : 1), b->sections, what);
}

/* ... with `part` of the next repeat. */
static void show_sample(struct bench *b, const struct sample *s, double part, const char *what)
{
    const double repeats = ((double)s->n + part) / LEAST_REPEATS;
    const double time = (s->total_s + part) / ENOUGH_S;

    show(b, repeats < time ? repeats : time, what);
}

static void section_done(struct bench *b) { b->sections_done++; }

/* The status of a call, or of an interrupt that no call has met. */
static int status_of(int32_t rc, const mambaint_error *err)
{
    if (rc < 0)
        return fail_error(rc, err);
    return interrupted() ? CLI_INTERRUPTED : CLI_DONE;
}

/* ---- load ---- */

static void close_model(struct stage *st)
{
    interrupts_session(NULL);
    mambaint_session_free(st->session);
    mambaint_model_unref(st->model);
    st->session = NULL;
    st->model = NULL;
}

/* Times: the model open, and the first session, for which a backend prepares the weights. */
static int load(struct stage *st, double *open_s, double *session_s)
{
    const double begin = now_seconds();
    mambaint_options *options = st->b->args->options;
    mambaint_error err;
    double opened;
    int32_t rc = mambaint_model_open(&st->model, st->ctx, st->b->model.path, options, &err);

    opened = now_seconds();
    if (rc < 0)
        return fail_error(rc, &err);
    if ((rc = mambaint_session_create(&st->session, st->model, options, &err)) < 0)
        return fail_option(rc, &err);
    *open_s = opened - begin;
    *session_s = now_seconds() - opened;
    return interrupted() ? CLI_INTERRUPTED : CLI_DONE;
}

/* Several times, unless that takes long. The last one stays open. */
static int measure_load(struct stage *st)
{
    double open_s[LOADS], session_s[LOADS], total = 0;
    size_t n = 0;
    int status = CLI_DONE;

    while (status == CLI_DONE && n < LOADS && total < ENOUGH_S) {
        show(st->b, (double)n / LOADS, "load");
        close_model(st);
        if ((status = load(st, &open_s[n], &session_s[n])) == CLI_DONE) {
            total += open_s[n] + session_s[n];
            n++;
        }
    }
    if (status != CLI_DONE)
        return status;
    st->set->open_s = median(open_s, n);
    st->set->session_s = median(session_s, n);
    section_done(st->b);
    return CLI_DONE;
}

/* ---- what the model says about itself ---- */

static bool read_number(double *out, const mambaint_model *model, const char *key)
{
    char *text = model_text(model, key);

    if (text)
        *out = strtod(text, NULL);
    free(text);
    return text != NULL;
}

static int describe(struct stage *st)
{
    struct bench_model *m = &st->b->model;
    mambaint_tokenizer *tokenizer = NULL;
    double vocab;

    if (m->digest)
        return CLI_DONE;
    if (!read_number(&vocab, st->model, "vocab") ||
        !read_number(&m->parameters, st->model, "parameters") ||
        !read_number(&m->token_bytes, st->model, "token-bytes") ||
        !read_number(&m->token_macs, st->model, "token-macs") ||
        !read_number(&m->head_macs, st->model, "head-macs") ||
        !(m->architecture = model_text(st->model, "architecture")) ||
        !(m->digest = model_text(st->model, "digest")) ||
        mambaint_tokenizer_of(&tokenizer, st->model) < 0)
        return fail_memory();
    m->vocab = (int32_t)vocab;
    m->end_of_text = mambaint_tokenizer_end_of_text(tokenizer);
    mambaint_tokenizer_unref(tokenizer);
    mambaint_session_text(st->b->backend, sizeof(st->b->backend), NULL, st->session, "backend");
    return CLI_DONE;
}

/* ---- reading ---- */

/* Ids that differ from place to place; which ones does not matter, but a forced end of text is no
 * step. */
static int32_t id_at(long i, const struct bench_model *m)
{
    const int32_t id = (int32_t)(i * 104729 % m->vocab);

    return id == m->end_of_text ? (id + 1) % m->vocab : id;
}

static int prepare(struct stage *st)
{
    const struct number_list *prompts = &st->b->prompts;
    mambaint_error err;
    long longest = 0;

    for (size_t i = 0; i < prompts->n; i++)
        longest = prompts->at[i] > longest ? prompts->at[i] : longest;
    if (!(st->prompt = malloc((size_t)longest * sizeof(*st->prompt))))
        return fail_memory();
    for (long i = 0; i < longest; i++)
        st->prompt[i] = id_at(i, &st->b->model);
    interrupts_session(st->session);
    return status_of(mambaint_state_get(&st->start, st->session, &err), &err);
}

static int32_t read_prompt(mambaint_session *s, const struct stage *st, long n, mambaint_error *err)
{
    const int32_t rc = mambaint_state_set(s, st->start, err);

    return rc < 0 ? rc : mambaint_session_feed(s, st->prompt, (size_t)n, err);
}

/* The prompt in one call, and then the first token. The first round warms up. */
static int measure_prefill(struct stage *st, long n)
{
    struct sample s = {0};
    double first[BENCH_REPEATS];
    char piece[2048], name[32];
    mambaint_error err;
    size_t len;
    int32_t rc = read_prompt(st->session, st, n < 64 ? n : 64, &err);

    snprintf(name, sizeof(name), "prefill %ld", n);
    while (rc >= 0 && !interrupted() && sample_wants_more(&s)) {
        struct watch begin;

        show_sample(st->b, &s, 0, name);
        if ((rc = mambaint_state_set(st->session, st->start, &err)) < 0)
            break;
        begin = watch_begin();
        if ((rc = mambaint_session_feed(st->session, st->prompt, (size_t)n, &err)) < 0)
            break;
        sample_add(&s, (double)n, watch_end(begin));
        rc = mambaint_session_next(piece, sizeof(piece), &len, st->session, &err);
        first[s.n - 1] = watch_end(begin).wall;
    }
    if (rc < 0 || interrupted())
        return status_of(rc, &err);
    if (n == st->b->prompts.at[0])
        st->set->first_token_s = median(first, s.n);
    add_run(st->set, BENCH_PREFILL, n, n, &s);
    section_done(st->b);
    return CLI_DONE;
}

/* ---- writing ---- */

/* Token by token, forced, so that no answer ends early. Shows progress if there is a sample, seldom
 * enough to cost nothing. */
static int32_t write_tokens(mambaint_session *session, struct bench *b, const struct sample *s,
                            mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (long i = 0; i < b->tokens && rc >= 0; i++) {
        if (s && i % 64 == 0)
            show_sample(b, s, (double)i / (double)b->tokens, "decode");
        rc = mambaint_session_force(session, id_at(i + 7, &b->model), err);
    }
    return rc;
}

static int measure_decode(struct stage *st)
{
    struct sample s = {0};
    mambaint_error err;
    int32_t rc = read_prompt(st->session, st, st->b->prompts.at[0], &err);

    if (rc >= 0)
        rc = mambaint_state_get(&st->primed, st->session, &err);
    while (rc >= 0 && !interrupted() && sample_wants_more(&s)) {
        struct watch begin;

        if ((rc = mambaint_state_set(st->session, st->primed, &err)) < 0)
            break;
        begin = watch_begin();
        rc = write_tokens(st->session, st->b, &s, &err);
        sample_add(&s, (double)st->b->tokens, watch_end(begin));
    }
    if (rc < 0 || interrupted())
        return status_of(rc, &err);
    add_run(st->set, BENCH_DECODE, 1, st->b->tokens, &s);
    section_done(st->b);
    return CLI_DONE;
}

/* ---- several texts together ---- */

struct group {
    mambaint_session **session;
    int32_t *status;
    size_t n;
    long fed; /* so that no two texts begin alike */
};

static void group_free(struct group *g)
{
    for (size_t i = 0; g->session && i < g->n; i++)
        mambaint_session_free(g->session[i]);
    free(g->session);
    free(g->status);
}

static int group_create(struct group *g, const struct stage *st, size_t n)
{
    mambaint_error err;
    int32_t rc = MAMBAINT_OK;

    *g = (struct group){calloc(n, sizeof(*g->session)), calloc(n, sizeof(*g->status)), n, 0};
    if (!g->session || !g->status)
        return fail_memory();
    for (size_t i = 0; i < n && rc >= 0; i++)
        rc = mambaint_session_create(&g->session[i], st->model, st->b->args->options, &err);
    return status_of(rc, &err);
}

/* A text from its beginning. */
static int32_t restart(struct group *g, size_t i, const struct stage *st, mambaint_error *err)
{
    int32_t ids[BATCH_PROMPT], rc;

    for (size_t k = 0; k < BATCH_PROMPT; k++)
        ids[k] = id_at(g->fed++, &st->b->model);
    rc = mambaint_state_set(g->session[i], st->start, err);
    return rc < 0 ? rc : mambaint_session_feed(g->session[i], ids, BATCH_PROMPT, err);
}

/* One token for each; those whose text has ended begin again. Counts the tokens and the time of the
 * steps alone. */
static int32_t step_together(long *tokens, struct watch *took, struct group *g,
                             const struct stage *st, mambaint_error *err)
{
    const struct watch begin = watch_begin();
    int32_t rc = mambaint_session_next_many(g->status, g->session, g->n, err);
    const struct watch step = watch_end(begin);

    took->wall += step.wall;
    took->cpu += step.cpu;
    for (size_t i = 0; i < g->n && rc >= 0; i++)
        if (g->status[i] == MAMBAINT_OK)
            ++*tokens;
        else
            rc = restart(g, i, st, err);
    return rc;
}

static int32_t repeat_batch(struct sample *s, struct group *g, const struct stage *st,
                            const char *name, mambaint_error *err)
{
    const double steps = (double)st->b->tokens;
    struct watch took = {0, 0};
    int32_t rc = MAMBAINT_OK;
    long tokens = 0;

    for (size_t i = 0; i < g->n && rc >= 0; i++)
        rc = restart(g, i, st, err);
    for (long k = 0; k < st->b->tokens && rc >= 0 && !interrupted(); k++) {
        show_sample(st->b, s, (double)k / steps, name);
        rc = step_together(&tokens, &took, g, st, err);
    }
    if (rc >= 0)
        sample_add(s, (double)tokens, took);
    return rc;
}

static int measure_batch(struct stage *st, long n)
{
    struct sample s = {0};
    struct group g;
    char name[32];
    mambaint_error err;
    int status = group_create(&g, st, (size_t)n);

    snprintf(name, sizeof(name), "batch %ld", n);
    while (status == CLI_DONE && sample_wants_more(&s)) {
        interrupts_session(g.session[0]);
        status = status_of(repeat_batch(&s, &g, st, name, &err), &err);
        interrupts_session(st->session);
    }
    group_free(&g);
    if (status != CLI_DONE)
        return status;
    add_run(st->set, BENCH_BATCH, n, st->b->tokens * n, &s);
    section_done(st->b);
    return CLI_DONE;
}

/* ---- memory ---- */

/* A line "Name:  123 kB" of a file, in bytes; negative if there is none. */
static double kilobytes(const char *path, const char *name)
{
    FILE *file = fopen(path, "r");
    const size_t len = strlen(name);
    char line[256];
    double bytes = -1;

    while (file && bytes < 0 && fgets(line, sizeof(line), file))
        if (!strncmp(line, name, len) && line[len] == ':')
            bytes = 1024 * strtod(line + len + 1, NULL);
    if (file)
        fclose(file);
    return bytes;
}

static void measure_memory(struct bench_setting *set)
{
    const char *rollup = "/proc/self/smaps_rollup";
    const double all = kilobytes(rollup, "Rss");
    struct rusage usage;

    set->anonymous = kilobytes(rollup, "Anonymous");
    set->huge = kilobytes(rollup, "AnonHugePages");
    set->mapped = all < 0 || set->anonymous < 0 ? -1 : all - set->anonymous;
    set->peak = kilobytes("/proc/self/status", "VmHWM");
    getrusage(RUSAGE_SELF, &usage);
    if (set->peak < 0)
        set->peak = 1024 * (double)usage.ru_maxrss;
}

/* The peak of what comes now, where the system can forget the one before. */
static void forget_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");

    if (!file)
        return;
    fputs("5", file);
    fclose(file);
}

/* ---- the machine ---- */

static int measure_machine(struct stage *st)
{
    static const char *const what[] = {"read-bandwidth", "matvec", "matmul"};
    double *const to[] = {&st->set->read, &st->set->matvec, &st->set->matmul};
    mambaint_error err;

    for (int i = 0; i < 3; i++) {
        int64_t value;
        int status;

        show(st->b, i / 3.0, "the machine");
        status = status_of(
            mambaint_machine_measure(&value, st->ctx, what[i], st->b->args->options, &err), &err);
        if (status != CLI_DONE)
            return status;
        *to[i] = (double)value;
    }
    section_done(st->b);
    return CLI_DONE;
}

/* What a token takes of the machine, times tokens a second. Of a prompt the head is needed once; a
 * pass over the weights serves a whole batch, and many tokens of a prompt. */
static void find_shares(struct bench_run *run, const struct bench_setting *set,
                        const struct bench_model *m)
{
    const double threads = (double)set->threads;
    double macs = m->token_macs;

    run->read_share = -1;
    if (run->kind == BENCH_PREFILL)
        macs += m->head_macs / (double)run->size - m->head_macs;
    else
        run->read_share = m->token_bytes * run->rate / (double)run->size / set->read;
    run->mac_share =
        macs * run->rate / (threads * (run->kind == BENCH_DECODE ? set->matvec : set->matmul));
}

/* ---- the profile ---- */

static void take_profile(struct bench_profile *p, const char *name, double tokens, double seconds,
                         const char *text)
{
    int used = 0;

    *p = (struct bench_profile){.name = name, .tokens = tokens, .total_s = seconds};
    for (const char *line = text; p->n < BENCH_KERNELS; line += used) {
        double ns;

        used = 0;
        if (sscanf(line, "%47s %lf %lf\n%n", p->kernel[p->n].name, &p->kernel[p->n].calls, &ns,
                   &used) != 3 ||
            !used)
            break;
        p->kernel[p->n++].s = ns * 1e-9;
    }
}

/* The same work again in a session that counts, until it has taken long enough. */
static int profile_one(struct bench_profile *p, struct stage *st, const char *name,
                       const mambaint_state *from, long tokens)
{
    const bool reading = from == st->start;
    mambaint_session *s = NULL;
    mambaint_error err;
    double total = 0, count = 0;
    char text[8192];
    int32_t rc = mambaint_session_create(&s, st->model, st->b->args->options, &err);

    interrupts_session(s);
    while (rc >= 0 && !interrupted() && total < ENOUGH_S / 2) {
        if ((rc = mambaint_state_set(s, from, &err)) >= 0) {
            const double begin = now_seconds();

            rc = reading ? mambaint_session_feed(s, st->prompt, (size_t)tokens, &err)
                         : write_tokens(s, st->b, NULL, &err);
            total += now_seconds() - begin;
            count += (double)tokens;
        }
    }
    if (rc >= 0 && mambaint_session_text(text, sizeof(text), NULL, s, "profile") == MAMBAINT_OK)
        take_profile(p, name, count, total, text);
    interrupts_session(st->session);
    mambaint_session_free(s);
    return status_of(rc, &err);
}

static int measure_profile(struct stage *st)
{
    struct bench *b = st->b;
    mambaint_options *options = b->args->options;
    int status;

    show(b, 0, "profile");
    if (mambaint_options_set(options, "profile", "on", NULL) < 0)
        return fail_memory();
    status = profile_one(&b->prefill_profile, st, "prefill", st->start, b->prompts.at[0]);
    if (status == CLI_DONE)
        status = profile_one(&b->decode_profile, st, "decode", st->primed, b->tokens);
    if (mambaint_options_set(options, "profile", "off", NULL) < 0)
        status = fail_memory();
    section_done(b);
    return status;
}

/* ---- one setting ---- */

/* Memory is looked at before more sessions and the machine's measurement take some. */
static int measure_sections(struct stage *st)
{
    struct bench *b = st->b;
    int status;

    if ((status = measure_load(st)) != CLI_DONE || (status = describe(st)) != CLI_DONE ||
        (status = prepare(st)) != CLI_DONE)
        return status;
    for (size_t i = 0; i < b->prompts.n && status == CLI_DONE; i++)
        status = measure_prefill(st, b->prompts.at[i]);
    if (status == CLI_DONE)
        status = measure_decode(st);
    measure_memory(st->set);
    for (size_t i = 0; i < b->batches.n && status == CLI_DONE; i++)
        status = measure_batch(st, b->batches.at[i]);
    if (status == CLI_DONE)
        status = measure_machine(st);
    for (size_t i = 0; i < st->set->n_runs && status == CLI_DONE; i++)
        find_shares(&st->set->run[i], st->set, &b->model);
    if (status == CLI_DONE && b->profile && st->set == b->setting)
        status = measure_profile(st);
    return status;
}

int bench_measure(struct bench *b, struct bench_setting *set)
{
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT;
    struct stage st = {.b = b, .set = set};
    mambaint_error err;
    int32_t rc;
    int status;

    setup.threads = (uint32_t)set->threads;
    if (mambaint_options_set(b->args->options, "temperature", "0", NULL) < 0)
        return fail_memory();
    if ((rc = mambaint_context_create(&st.ctx, &setup, &err)) < 0)
        return fail_error(rc, &err);
    if (set != b->setting)
        forget_peak();
    status = measure_sections(&st);
    mambaint_state_free(st.start);
    mambaint_state_free(st.primed);
    close_model(&st);
    free(st.prompt);
    mambaint_context_unref(st.ctx);
    return status;
}
