/* SPDX-License-Identifier: Apache-2.0 */
/* generate --features: one evaluation of models that take numbers, of one or of a chain. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

#define FRAC 12 /* outputs count in units of 2^-12 */

struct chain {
    struct models models;
    char (*digest)[65];
    int32_t *features, *outputs;
    size_t n_features, n_outputs, best;
};

static void chain_free(struct chain *c)
{
    close_models(&c->models);
    free(c->digest);
    free(c->features);
    free(c->outputs);
}

static int read_digests(struct chain *c)
{
    uint8_t digest[32];

    if (!(c->digest = calloc(c->models.n, sizeof(*c->digest))))
        return fail_memory();
    for (size_t i = 0; i < c->models.n; i++) {
        mambaint_model_digest(digest, c->models.model[i]);
        digest_hex(c->digest[i], digest);
    }
    return CLI_DONE;
}

/* Asked twice: how many numbers there are, then the numbers. */
static int evaluate(struct chain *c, const mambaint_options *options)
{
    mambaint_error err;
    mambaint_model **model = c->models.model;
    int32_t rc = mambaint_model_features(NULL, 0, &c->n_features, model[0], options, &err);

    if (rc == MAMBAINT_E_SPACE)
        rc = mambaint_model_evaluate(NULL, 0, &c->n_outputs, model, c->models.n, options, &err);
    if (rc == MAMBAINT_E_SPACE) {
        c->features = calloc(c->n_features, sizeof(*c->features));
        c->outputs = calloc(c->n_outputs, sizeof(*c->outputs));
        if (!c->features || !c->outputs)
            return fail_memory();
        rc = mambaint_model_features(c->features, c->n_features, NULL, model[0], options, &err);
    }
    if (rc >= 0)
        rc = mambaint_model_evaluate(c->outputs, c->n_outputs, NULL, model, c->models.n, options,
                                     &err);
    if (rc < 0)
        return fail_option(rc, &err);
    for (size_t i = 1; i < c->n_outputs; i++)
        if (c->outputs[i] > c->outputs[c->best])
            c->best = i;
    return CLI_DONE;
}

/* v / 2^12 with all its digits, of which twelve are enough: 10^12 / 2^12 = 5^12. */
static void print_exact(FILE *to, int32_t v)
{
    const long long size = v < 0 ? -(long long)v : v;
    char digits[32];
    size_t n = (size_t)snprintf(digits, sizeof(digits), ".%012lld",
                                (size & ((1 << FRAC) - 1)) * 244140625LL);

    while (digits[n - 1] == '0')
        n--;
    fprintf(to, "%s%lld%.*s", v < 0 ? "-" : "", size >> FRAC, n > 1 ? (int)n : 0, digits);
}

static void print_lines(const struct chain *c)
{
    for (size_t i = 0; i < c->n_outputs; i++) {
        printf("%zu ", i);
        print_exact(stdout, c->outputs[i]);
        putchar('\n');
    }
    fprintf(stderr, "largest: %zu (", c->best);
    print_exact(stderr, c->outputs[c->best]);
    fputs(")\n", stderr);
}

static void print_json(const struct chain *c)
{
    struct json j;

    json_open(&j, stdout);
    json_ids(&j, "features", c->features, c->n_features);
    json_ids(&j, "outputs", c->outputs, c->n_outputs);
    json_integer(&j, "frac", FRAC);
    json_integer(&j, "argmax", (long long)c->best);
    json_digests(&j, "model_digest", c->digest, c->models.n);
    json_close(&j);
}

int generate_features(const struct args *args, const char *features)
{
    static const char *const of_text[] = {"prompt", "tokens", "load-state", "save-state"};
    struct chain c = {.n_features = 0};
    mambaint_error err;
    int status;

    for (size_t i = 0; i < sizeof(of_text) / sizeof(*of_text); i++)
        if (args_text(args, of_text[i], NULL)) {
            fprintf(stderr, "mambaint generate: --%s is for text, --features for numbers\n",
                    of_text[i]);
            return CLI_USAGE;
        }
    if (!args_needed(args, "model", "which model?"))
        return CLI_USAGE;
    if (mambaint_options_set(args->options, "features", features, &err) < 0)
        return fail_memory();
    if ((status = open_models(&c.models, args)) == CLI_DONE &&
        (status = read_digests(&c)) == CLI_DONE &&
        (status = evaluate(&c, args->options)) == CLI_DONE) {
        if (args_switch(args, "json"))
            print_json(&c);
        else
            print_lines(&c);
    }
    chain_free(&c);
    return status;
}
