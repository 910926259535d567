/* SPDX-License-Identifier: Apache-2.0 */
/* From options to the settings of a training run. */
#include "api/trainer_options.h"
#include "api/config.h"
#include "base/intmath.h"
#include "base/text.h"
#include "model/model.h"
#include <string.h>

#define Q 40 /* fraction bits of rates */

/* ---- the value of `data`: FILE and attributes, separated by spaces ---- */

/* The next word of *text into a buffer: its length, 0 at the end, SIZE_MAX if it does not fit. */
static size_t next_word(char *out, size_t cap, const char **text)
{
    const char *begin = *text + strspn(*text, " \t");
    const size_t n = strcspn(begin, " \t");

    *text = begin + n;
    if (n >= cap)
        return SIZE_MAX;
    memcpy(out, begin, n);
    out[n] = 0;
    return n;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);

    return n >= m && !strcmp(text + n - m, end);
}

static bool parse_hex(uint8_t *out, size_t n, const char *text)
{
    static const char digits[] = "0123456789abcdef";

    if (strlen(text) != 2 * n)
        return false;
    for (size_t i = 0; i < 2 * n; i++) {
        const char *at = memchr(digits, text[i], 16);

        if (!at)
            return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (at - digits));
    }
    return true;
}

static bool set_attribute(struct mbi_data_option *d, const char *word)
{
    int64_t weight;

    if (!strncmp(word, "weight=", 7)) {
        if (!mbi_parse_fixed(&weight, word + 7, 16) || weight <= 0 ||
            (uint64_t)weight > MBI_WEIGHT_MAX_Q16)
            return false;
        d->weight_q16 = (uint64_t)weight;
        return true;
    }
    if (!strcmp(word, "kind=text") || !strcmp(word, "kind=jsonl")) {
        d->kind = word[5] == 't' ? MBI_DATA_TEXT : MBI_DATA_JSONL;
        return true;
    }
    if (!strncmp(word, "sha256=", 7))
        return d->has_sha256 = parse_hex(d->sha256, sizeof(d->sha256), word + 7);
    return false;
}

static int32_t read_data(struct mbi_data_option *d, const char *key, const char *value,
                         mambaint_error *err)
{
    char word[128];
    size_t n;

    *d = (struct mbi_data_option){.weight_q16 = 1 << 16};
    n = next_word(d->name, sizeof(d->name), &value);
    if (!n || n == SIZE_MAX)
        return mbi_fail(err, MAMBAINT_E_INVALID, "option %s: the value must begin with a file name",
                        key);
    d->kind = ends_with(d->name, ".jsonl") || ends_with(d->name, ".jsonl.xz") ? MBI_DATA_JSONL
                                                                              : MBI_DATA_TEXT;
    while ((n = next_word(word, sizeof(word), &value)))
        if (n == SIZE_MAX || !set_attribute(d, word))
            return mbi_fail(err, MAMBAINT_E_INVALID,
                            "option %s: '%.60s' is not weight=W (above 0, up to 1000), kind=text, "
                            "kind=jsonl or sha256=64 hex digits",
                            key, n == SIZE_MAX ? "that long word" : word);
    return MAMBAINT_OK;
}

static int32_t read_files(struct mbi_trainer_options *out, const mambaint_options *o,
                          mambaint_error *err)
{
    const char *value;
    int32_t rc;

    for (size_t i = 0; (value = mbi_option_at(o, "data", i)); i++) {
        if (i == MBI_MAX_SOURCES)
            return mbi_fail(err, MAMBAINT_E_RANGE, "option data: more than %d files",
                            MBI_MAX_SOURCES);
        if ((rc = read_data(&out->data[out->n_data++], "data", value, err)) < 0)
            return rc;
    }
    if (!out->n_data)
        return mbi_fail(err, MAMBAINT_E_INVALID, "option data is missing: name a file to train on");
    if (!(value = mbi_option(o, "valid")))
        return MAMBAINT_OK;
    out->has_valid = true;
    if ((rc = read_data(&out->valid, "valid", value, err)) < 0)
        return rc;
    if (out->valid.kind != MBI_DATA_TEXT)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "option valid: bits per byte need text; '%.80s' is of kind jsonl",
                        out->valid.name);
    return MAMBAINT_OK;
}

/* ---- the rest ---- */

/* One of two words; *second tells which. */
static int32_t read_choice(bool *second, const mambaint_options *o, const char *key,
                           const char *first_word, const char *second_word, mambaint_error *err)
{
    const char *value = mbi_option(o, key);

    *second = value && !strcmp(value, second_word);
    if (!value || *second || !strcmp(value, first_word))
        return MAMBAINT_OK;
    return mbi_fail(err, MAMBAINT_E_INVALID, "option %s: '%.40s' is neither %s nor %s", key, value,
                    first_word, second_word);
}

struct decimal {
    const char *key, *fallback;
    int32_t hi;
    uint64_t *out;
};

static int32_t read_decimals(struct mbi_trainer_settings *set, const mambaint_options *o,
                             mambaint_error *err)
{
    const struct decimal list[] = {
        {"lr", "0.004", 1, &set->rate_q40},    {"weight-decay", "0.05", 10, &set->decay_q40},
        {"clip", "1", 1000, &set->clip_q40},   {"beta1", "0.9", 1, &set->beta1_q40},
        {"beta2", "0.97", 1, &set->beta2_q40},
    };

    for (size_t i = 0; i < MBI_COUNT(list); i++) {
        int64_t v = 0;
        int32_t rc;

        mbi_parse_fixed(&v, list[i].fallback, Q);
        if ((rc = mbi_option_fixed(&v, o, list[i].key, Q, 0, list[i].hi, err)) < 0)
            return rc;
        *list[i].out = (uint64_t)v;
    }
    if (set->beta1_q40 >> Q || set->beta2_q40 >> Q)
        return mbi_fail(err, MAMBAINT_E_RANGE, "options beta1 and beta2 must be below 1");
    return MAMBAINT_OK;
}

static int32_t read_length(struct mbi_trainer_settings *set, const mambaint_options *o,
                           mambaint_error *err)
{
    uint64_t tokens = 0;
    int32_t rc;

    set->batch = 32;
    set->context = 256;
    set->steps = 1000;
    set->warmup = 40;
    if ((rc = mbi_option_u32(&set->batch, o, "batch", 1, 65536, err)) < 0 ||
        (rc = mbi_option_u32(&set->context, o, "context", 1, 65536, err)) < 0 ||
        (rc = mbi_option_u64(&set->steps, o, "steps", 1, (uint64_t)1 << 40, err)) < 0 ||
        (rc = mbi_option_u64(&tokens, o, "tokens", 1, (uint64_t)1 << 50, err)) < 0 ||
        (rc = mbi_option_u64(&set->warmup, o, "warmup", 0, (uint64_t)1 << 40, err)) < 0)
        return rc;
    if (tokens && mbi_option(o, "steps"))
        return mbi_fail(err, MAMBAINT_E_INVALID, "options steps and tokens exclude each other");
    if (tokens) {
        const uint64_t step = (uint64_t)set->batch * set->context;

        set->steps = tokens / step + (tokens % step != 0);
    }
    return MAMBAINT_OK;
}

static int32_t read_settings(struct mbi_trainer_options *out, const mambaint_options *o,
                             mambaint_error *err)
{
    bool twin = false, hippo = false, cl100k = false;
    struct mbi_trainer_settings *set = &out->set;
    int32_t rc;

    if ((rc = read_length(set, o, err)) < 0 || (rc = read_decimals(set, o, err)) < 0 ||
        (rc = read_choice(&twin, o, "arithmetic", "integer", "float", err)) < 0 ||
        (rc = read_choice(&hippo, o, "decay-init", "octaves", "hippo", err)) < 0 ||
        (rc = read_choice(&cl100k, o, "pre", "gpt-2", "cl100k", err)) < 0 ||
        (rc = mbi_option_u64(&set->init.seed, o, "seed", 0, UINT64_MAX, err)) < 0 ||
        (rc = mbi_option_u64(&out->valid_every, o, "valid-every", 0, UINT64_MAX, err)) < 0 ||
        (rc = mbi_option_u64(&out->valid_limit, o, "valid-limit", 0, UINT64_MAX, err)) < 0 ||
        (rc = mbi_option_u64(&out->save_every, o, "save-every", 0, UINT64_MAX, err)) < 0)
        return rc;
    set->integers = !twin;
    set->init.decay = hippo ? MBI_DECAY_HIPPO : MBI_DECAY_OCTAVES;
    set->init.longest = 2 * set->context;
    out->pre = cl100k ? MBI_PRE_CL100K : MBI_PRE_GPT2;
    return MAMBAINT_OK;
}

int32_t mbi_trainer_options_read(struct mbi_trainer_options *out, const mambaint_options *o,
                                 mambaint_error *err)
{
    int32_t rc;

    *out = (struct mbi_trainer_options){.n_data = 0};
    out->dir = mbi_option(o, "data-dir");
    out->tokenizer = mbi_option(o, "tokenizer");
    out->resume = mbi_option(o, "resume");
    out->backend = mbi_option(o, "backend");
    out->name = mbi_option(o, "name");
    out->license = mbi_option(o, "license");
    if ((rc = mbi_model_check_names(out->name, out->license, err)) < 0 ||
        (rc = read_files(out, o, err)) < 0 || (rc = mbi_config_options(&out->config, o, err)) < 0)
        return rc;
    if (!mbi_arch_has_vocab(out->config.arch))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "models of architecture '%s' take features, not text; the trainer has no "
                        "data for them",
                        out->config.arch->name);
    out->vocab_given = mbi_option(o, out->config.arch->field[out->config.arch->vocab_field].flag);
    return read_settings(out, o, err);
}

/* ---- as text ---- */

static void add_number(struct mbi_buf *out, const char *key, uint64_t v)
{
    mbi_buf_addf(out, "%s = %llu\n", key, (unsigned long long)v);
}

/* For people in decimal, rounded to nine digits; for comparison exactly. */
static void add_decimal(struct mbi_buf *out, const char *key, uint64_t v)
{
    const uint64_t mask = ((uint64_t)1 << Q) - 1, rounded = v + 550; /* half of 10^-9 */
    uint64_t rest = rounded & mask;

    mbi_buf_addf(out, "%s = %llu.", key, (unsigned long long)(rounded >> Q));
    for (int i = 0; i < 9; i++, rest = rest * 10 & mask)
        mbi_buf_add8(out, (uint8_t)('0' + (rest * 10 >> Q)));
    mbi_buf_addf(out, " = %llu / 2^%d\n", (unsigned long long)v, Q);
}

static void add_digest(struct mbi_buf *out, const uint8_t digest[MBI_DIGEST_SIZE])
{
    char hex[2 * MBI_DIGEST_SIZE + 1];

    mbi_hex(hex, digest, MBI_DIGEST_SIZE);
    mbi_buf_addf(out, "%s\n", hex);
}

static void add_config(struct mbi_buf *out, const struct mbi_config *c)
{
    mbi_buf_addf(out, "architecture = %s\n", c->arch->name);
    for (size_t i = 0; i < c->arch->n_fields; i++) {
        const struct mbi_config_field *f = &c->arch->field[i];

        if (!f->flag)
            continue;
        if (f->kind == MBI_CONFIG_WORD)
            mbi_buf_addf(out, "%s = %s\n", f->flag, f->word[c->v[i] - 1]);
        else if (f->kind == MBI_CONFIG_BOOL)
            mbi_buf_addf(out, "%s = %s\n", f->flag, c->v[i] ? "on" : "off");
        else
            add_number(out, f->flag, c->v[i]);
    }
}

void mbi_trainer_options_text(struct mbi_buf *out, const struct mbi_trainer_options *o,
                              const struct mbi_mix *mix, const struct mbi_tokenizer *t)
{
    const struct mbi_trainer_settings *set = &o->set;
    uint8_t digest[MBI_DIGEST_SIZE];

    add_config(out, &o->config);
    mbi_buf_addf(out, "arithmetic = %s\n", set->integers ? "integer" : "float");
    add_number(out, "batch", set->batch);
    add_number(out, "context", set->context);
    add_number(out, "steps", set->steps);
    add_number(out, "warmup", set->warmup);
    add_decimal(out, "lr", set->rate_q40);
    add_decimal(out, "weight-decay", set->decay_q40);
    add_decimal(out, "clip", set->clip_q40);
    add_decimal(out, "beta1", set->beta1_q40);
    add_decimal(out, "beta2", set->beta2_q40);
    add_number(out, "seed", set->init.seed);
    mbi_buf_addf(out, "decay-init = %s\n",
                 set->init.decay == MBI_DECAY_HIPPO ? "hippo" : "octaves");
    mbi_tokenizer_digest(digest, t);
    mbi_buf_add_text(out, "tokenizer = ");
    add_digest(out, digest);
    for (size_t i = 0; i < mix->n_sources; i++) {
        mbi_buf_addf(out, "data = %llu ", (unsigned long long)mix->weight_q16[i]);
        add_digest(out, mix->source[i]->digest);
    }
}

static size_t line_length(const char *text, size_t n)
{
    const char *end = memchr(text, '\n', n);

    return end ? (size_t)(end - text) + 1 : n;
}

int32_t mbi_trainer_options_compare(const char *ours, size_t n_ours, const char *theirs,
                                    size_t n_theirs, mambaint_error *err)
{
    while (n_ours || n_theirs) {
        const size_t a = line_length(ours, n_ours), b = line_length(theirs, n_theirs);
        const char *line = a ? ours : theirs;
        const char *space = memchr(line, ' ', a ? a : b);

        if (a != b || memcmp(ours, theirs, a))
            return mbi_fail(err, MAMBAINT_E_MISMATCH,
                            "the checkpoint is of another run: option '%.*s' differs",
                            space && space - line < 64 ? (int)(space - line) : 0, line);
        ours += a;
        n_ours -= a;
        theirs += b;
        n_theirs -= b;
    }
    return MAMBAINT_OK;
}
