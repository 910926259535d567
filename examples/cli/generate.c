/* SPDX-License-Identifier: Apache-2.0 */
/* generate: continue a text. */
#include "answer.h"
#include <stdlib.h>
#include <string.h>

/* The prompt goes in as text: -p, else standard input unless that is a terminal. */
static int feed_prompt(mambaint_session *session, const mambaint_model *model,
                       const struct args *args, bool fresh)
{
    const char *prompt = args_text(args, "prompt", NULL);
    mambaint_tokenizer *tokenizer = NULL;
    mambaint_error err = {0};
    char *owned = NULL;
    size_t len = prompt ? strlen(prompt) : 0, need = 0;
    int32_t *ids = NULL, rc;

    if (!prompt && !(prompt = owned = read_all("-", &len)))
        return CLI_FAILED;
    if ((rc = mambaint_tokenizer_of(&tokenizer, model)) == MAMBAINT_OK) {
        rc = mambaint_tokenizer_encode(NULL, 0, &need, tokenizer, prompt, len, 0);
        if (rc == MAMBAINT_OK || rc == MAMBAINT_E_SPACE) {
            ids = malloc((need + 1) * sizeof(*ids));
            rc = ids ? mambaint_tokenizer_encode(ids + 1, need, &need, tokenizer, prompt, len, 0)
                     : MAMBAINT_E_NO_MEMORY;
        }
    }
    if (rc == MAMBAINT_OK) {
        ids[0] = mambaint_tokenizer_end_of_text(tokenizer);
        rc = fresh ? mambaint_session_feed(session, ids, need + 1, &err)
                   : need ? mambaint_session_feed(session, ids + 1, need, &err) : MAMBAINT_OK;
    } else {
        snprintf(err.message, sizeof(err.message), "the prompt cannot be encoded: %s",
                 mambaint_status_name(rc));
    }
    free(ids);
    free(owned);
    mambaint_tokenizer_unref(tokenizer);
    if (rc == MAMBAINT_E_CANCELLED)
        return CLI_INTERRUPTED;
    return rc < 0 ? fail_error(&err) : CLI_DONE;
}

static void print_json(const struct answer *a, mambaint_session *session)
{
    mambaint_state *state = NULL;
    uint8_t digest[32];
    char hex[65] = "";
    struct json j;

    if (mambaint_state_get(&state, session, NULL) == MAMBAINT_OK &&
        mambaint_state_digest(digest, state) == MAMBAINT_OK)
        digest_hex(hex, digest);
    mambaint_state_free(state);
    json_open(&j, stdout, "{");
    json_text(&j, "text", a->text ? a->text : "", a->size);
    json_ids(&j, "token_ids", a->ids, a->n_ids);
    json_text(&j, "state_digest", hex, strlen(hex));
    json_text(&j, "stop_reason", a->stop_reason, strlen(a->stop_reason));
    json_close(&j, "}");
}

static int generate(struct args *args, mambaint_model *model, long tokens)
{
    const char *load = args_text(args, "load-state", NULL);
    const char *save = args_text(args, "save-state", NULL);
    const bool json = args_switch(args, "json");
    mambaint_session *session = NULL;
    struct answer answer = {0};
    mambaint_error err;
    int status = CLI_DONE;

    if (mambaint_session_create(&session, model, args->options, &err) < 0)
        return fail_error(&err);
    interrupts_session(session);
    if (load)
        status = session_load(session, model, load);
    if (status == CLI_DONE)
        status = feed_prompt(session, model, args, !load);
    if (status == CLI_DONE)
        status = answer_stream(&answer, session, tokens, json ? NULL : stdout);
    if (!json && answer.size && answer.text[answer.size - 1] != '\n')
        putchar('\n');
    if (json && (status == CLI_DONE || status == CLI_INTERRUPTED))
        print_json(&answer, session);
    if (save && (status == CLI_DONE || status == CLI_INTERRUPTED)) {
        const int saved = session_save(session, save);

        status = saved == CLI_DONE ? status : saved;
    }
    interrupts_session(NULL);
    answer_free(&answer);
    mambaint_session_free(session);
    return status;
}

static int run(struct args *args)
{
    mambaint_model *model = NULL;
    long tokens;
    int status;

    if (!args_number(&tokens, args, "tokens", 256, 0, 1000000000))
        return CLI_USAGE;
    interrupts_begin();
    if ((status = open_model(&model, args)) == CLI_DONE)
        status = generate(args, model, tokens);
    mambaint_model_unref(model);
    return status;
}

static const struct flag flags[] = {
    {"prompt", 'p', FLAG_TEXT, "TEXT", "the text to continue (default: standard input)"},
    {"tokens", 'n', FLAG_TEXT, "N", "most tokens to write (256)"},
    {"load-state", 0, FLAG_TEXT, "FILE", "go on from a saved state"},
    {"save-state", 0, FLAG_TEXT, "FILE", "save the state afterwards"},
    {0},
};

const struct command command_generate = {
    .name = "generate",
    .summary = "Continue a text.",
    .operands = "",
    .flags = (const struct flag *const[]){flags, flags_model, flags_sampler, flags_json, flags_help, NULL},
    .examples =
        "  mambaint generate -m storyteller.gguf -p \"Once upon a time\" -n 200 --seed 7\n"
        "  echo \"The little boat\" | mambaint generate -m storyteller.gguf --temperature 0\n"
        "  mambaint generate -m storyteller.gguf -p Hello --json --save-state hello.state\n",
    .run = run,
};
