/* SPDX-License-Identifier: Apache-2.0 */
/* What the library computes, as text that tests/golden/reference.sh compares with reference.py. */
#include <inttypes.h>
#include <mambaint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mambaint_error error = {0, "a file cannot be read or written, or out of memory"};

/* A whole file, to be freed, or NULL. */
static char *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *data = NULL;
    long size;

    *len = 0;
    if (!f)
        return NULL;
    if (!fseek(f, 0, SEEK_END) && (size = ftell(f)) >= 0 && !fseek(f, 0, SEEK_SET) &&
        (data = malloc((size_t)size + 1))) {
        *len = fread(data, 1, (size_t)size, f);
        data[*len] = 0;
    }
    fclose(f);
    return data;
}

/* The ids of a file of decimal numbers; a file of n bytes has at most n / 2 + 1 of them. */
static int32_t *read_ids(const char *path, size_t *n)
{
    size_t len;
    char *text = read_file(path, &len), *at = text, *end;
    int32_t *ids = text ? malloc((len / 2 + 1) * sizeof(*ids)) : NULL;

    *n = 0;
    for (long id; ids; at = end) {
        id = strtol(at, &end, 10);
        if (end == at)
            break;
        ids[(*n)++] = (int32_t)id;
    }
    free(text);
    return ids;
}

/* A line of logits as the graph gives them, Q12; the API shifts them left by 4. */
static int print_logits(const mambaint_session *session)
{
    size_t n = 0;
    int32_t *q16;
    int sound = 0;

    if (mambaint_session_logits(NULL, 0, &n, session) != MAMBAINT_E_SPACE ||
        !(q16 = malloc(n * sizeof(*q16))))
        return 0;
    if (mambaint_session_logits(q16, n, &n, session) == MAMBAINT_OK) {
        sound = 1;
        for (size_t i = 0; i < n; i++) {
            sound = sound && q16[i] % 16 == 0;
            printf("%s%" PRId32, i ? " " : "", q16[i] / 16);
        }
        putchar('\n');
    }
    free(q16);
    return sound;
}

static int save_state(const char *path, mambaint_session *session)
{
    mambaint_state *state;
    size_t size = 0;
    void *bytes;
    FILE *f;
    int saved = 0;

    if (mambaint_state_get(&state, session, &error) < 0)
        return 0;
    mambaint_state_save(NULL, 0, &size, state);
    bytes = malloc(size);
    if (bytes && mambaint_state_save(bytes, size, &size, state) == MAMBAINT_OK &&
        (f = fopen(path, "wb"))) {
        saved = fwrite(bytes, 1, size, f) == size;
        saved = !fclose(f) && saved;
    }
    free(bytes);
    mambaint_state_free(state);
    return saved;
}

/* feed: the ids in runs of some length, logits after each run, then the state. */
static int feed(mambaint_session *session, const char *ids_path, const char *state_path, size_t run)
{
    size_t n;
    int32_t *ids = read_ids(ids_path, &n);
    int done = ids && run > 0;

    for (size_t i = 0; done && i < n; i += run)
        done = mambaint_session_feed(session, ids + i, n - i < run ? n - i : run, &error) >= 0 &&
               print_logits(session);
    free(ids);
    return done && save_state(state_path, session);
}

/* Where the model ends a text or a turn. next() may still have bytes to give out then. */
static int is_end(const mambaint_model *model, int32_t id)
{
    mambaint_tokenizer *tokenizer = NULL;
    int end = 1;

    if (mambaint_tokenizer_of(&tokenizer, model) == MAMBAINT_OK)
        end = id == mambaint_tokenizer_end_of_text(tokenizer) ||
              id == mambaint_tokenizer_role(tokenizer, MAMBAINT_ROLE_END);
    mambaint_tokenizer_unref(tokenizer);
    return end;
}

/* draw: up to count tokens behind the ids, until the text or the turn ends. */
static int draw(const mambaint_model *model, mambaint_session *session, const char *ids_path,
                size_t count)
{
    size_t n, len;
    char piece[2048];
    int32_t *ids = read_ids(ids_path, &n), id = 0, rc = MAMBAINT_E_INVALID;

    if (ids)
        rc = mambaint_session_feed(session, ids, n, &error);
    for (size_t i = 0; rc == MAMBAINT_OK && i < count; i++) {
        rc = mambaint_session_next(piece, sizeof(piece), &len, session, &error);
        if (rc == MAMBAINT_OK)
            rc = mambaint_session_token(&id, NULL, session);
        if (rc == MAMBAINT_OK && is_end(model, id))
            rc = MAMBAINT_END;
        if (rc == MAMBAINT_OK)
            printf("%s%" PRId32, i ? " " : "", id);
    }
    putchar('\n');
    free(ids);
    return rc >= 0;
}

/* score: the cost of a text without separators, the number of predictions, and what was fed. */
static int score(const mambaint_model *model, mambaint_session *session, const char *text_path)
{
    size_t len, n = 0;
    char *text = read_file(text_path, &len);
    int32_t *ids = text ? malloc((len + 1) * sizeof(*ids)) : NULL; /* a token is a byte or more */
    mambaint_tokenizer *tokenizer = NULL;
    int64_t bits;
    uint64_t tokens;
    const int done =
        ids && mambaint_tokenizer_of(&tokenizer, model) == MAMBAINT_OK &&
        mambaint_tokenizer_encode(ids, len, &n, tokenizer, text, len, 0) == MAMBAINT_OK &&
        mambaint_session_score(&bits, &tokens, NULL, session, text, len, &error) >= 0;

    if (done) {
        printf("bits_q16 %" PRId64 "\ntokens %" PRIu64 "\n", bits, tokens);
        printf("%" PRId32, mambaint_tokenizer_end_of_text(tokenizer));
        for (size_t i = 0; i < n; i++)
            printf(" %" PRId32, ids[i]);
        putchar('\n');
    }
    mambaint_tokenizer_unref(tokenizer);
    free(ids);
    free(text);
    return done;
}

/* Options behind the fixed arguments: KEY=VALUE each. */
static int set_options(mambaint_options *options, char **argv, int argc)
{
    for (int i = 0; i < argc; i++) {
        char *const value = strchr(argv[i], '=');

        if (!value)
            return 0;
        *value = 0;
        if (mambaint_options_set(options, argv[i], value + 1, &error) < 0)
            return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    static const char usage[] = "usage: logits feed MODEL IDS STATE RUN [KEY=VALUE]...\n"
                                "       logits draw MODEL IDS COUNT [KEY=VALUE]...\n"
                                "       logits score MODEL TEXT [KEY=VALUE]...\n";
    const char *verb = argc > 1 ? argv[1] : "";
    const int fixed = !strcmp(verb, "feed") ? 6 : !strcmp(verb, "draw") ? 5 : 4;
    mambaint_model *model = NULL;
    mambaint_options *options = NULL;
    mambaint_session *session = NULL;
    int done = 0;

    if (argc < fixed) {
        fputs(usage, stderr);
        return 2;
    }
    if (mambaint_options_create(&options) == MAMBAINT_OK &&
        set_options(options, argv + fixed, argc - fixed) &&
        mambaint_model_open(&model, NULL, argv[2], options, &error) >= 0 &&
        mambaint_session_create(&session, model, options, &error) >= 0)
        done = fixed == 6   ? feed(session, argv[3], argv[4], strtoul(argv[5], NULL, 10))
               : fixed == 5 ? draw(model, session, argv[3], strtoul(argv[4], NULL, 10))
                            : score(model, session, argv[3]);
    if (!done)
        fprintf(stderr, "logits: %s\n", error.message);
    mambaint_session_free(session);
    mambaint_model_unref(model);
    mambaint_options_free(options);
    return !done;
}
