/* SPDX-License-Identifier: Apache-2.0 */
/* chat: talk to a model. The conversation is one session; going back is exact, because a state is
 * a value. */
#include "answer.h"
#include "prompt.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_UNDO 64

struct text {
    char *data;
    size_t len;
};

/* What was before a turn, and what the user said in it. */
struct turn {
    mambaint_state *before;
    struct text said;
};

struct chat {
    const struct args *args;
    mambaint_model *model;
    mambaint_session *session;
    mambaint_state *start;
    struct turn turn[MAX_UNDO];
    size_t n_turns;
    unsigned long long seed;
    long tokens;
    bool terminal;
};

/* ---- turns ---- */

static void forget_turn(struct turn *t)
{
    mambaint_state_free(t->before);
    free(t->said.data);
    *t = (struct turn){0};
}

static void forget_turns(struct chat *chat)
{
    while (chat->n_turns)
        forget_turn(&chat->turn[--chat->n_turns]);
}

static int remember(struct chat *chat, const struct text *said)
{
    struct turn t = {.said = {malloc(said->len + 1), said->len}};
    mambaint_error err;
    int32_t rc;

    if (!t.said.data)
        return fail_memory();
    memcpy(t.said.data, said->data, said->len);
    if ((rc = mambaint_state_get(&t.before, chat->session, &err)) < 0) {
        forget_turn(&t);
        return fail_error(rc, &err);
    }
    if (chat->n_turns == MAX_UNDO) {
        forget_turn(&chat->turn[0]);
        memmove(chat->turn, chat->turn + 1, (MAX_UNDO - 1) * sizeof(chat->turn[0]));
        chat->n_turns--;
    }
    chat->turn[chat->n_turns++] = t;
    return CLI_DONE;
}

static int set_state(struct chat *chat, const mambaint_state *state)
{
    mambaint_error err;
    const int32_t rc = mambaint_state_set(chat->session, state, &err);

    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

/* Drop the last turn; the session is exactly as it was before it. What was said goes to *said. */
static int go_back(struct chat *chat, struct text *said)
{
    struct turn *t;
    int status;

    if (!chat->n_turns)
        return fail("there is no turn to take back");
    t = &chat->turn[chat->n_turns - 1];
    if ((status = set_state(chat, t->before)) != CLI_DONE)
        return status;
    *said = t->said;
    t->said = (struct text){0};
    forget_turn(t);
    chat->n_turns--;
    return CLI_DONE;
}

/* A Ctrl-C that came just after the last answer may have cancelled this call; then once more. */
static int say(struct chat *chat, int32_t role, const char *text, size_t len)
{
    mambaint_error err;
    int32_t rc = mambaint_session_say(chat->session, role, text, len, &err);

    if (rc == MAMBAINT_E_CANCELLED && !interrupted())
        rc = mambaint_session_say(chat->session, role, text, len, &err);
    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

static int stream(struct chat *chat, const struct text *said)
{
    struct answer a = {.echo = stdout};
    int status = say(chat, MAMBAINT_ROLE_USER, said->data, said->len);

    if (status == CLI_DONE)
        status = answer_stream(&a, chat->session, chat->tokens);
    if (a.last && a.last != '\n')
        putchar('\n');
    fflush(stdout);
    if (status == CLI_INTERRUPTED)
        fputs("(stopped)\n", stderr);
    else if (status == CLI_DONE && !strcmp(a.stop_reason, "length"))
        fprintf(stderr, "(cut after %ld tokens; --tokens sets the limit)\n", chat->tokens);
    answer_free(&a);
    return status;
}

/* Ctrl-C cancels the session's call, and only while there is an answer to stop. */
static int answer(struct chat *chat, const struct text *said)
{
    int status = remember(chat, said);

    if (status != CLI_DONE)
        return status;
    interrupts_clear();
    interrupts_session(chat->session);
    status = stream(chat, said);
    interrupts_session(NULL);
    interrupts_clear();
    return status;
}

/* ---- commands ---- */

/* The seed belongs to a session, so another seed is another session at the same state. */
static int use_seed(struct chat *chat, const char *text)
{
    mambaint_session *fresh = NULL;
    mambaint_state *now = NULL;
    mambaint_error err;
    int32_t rc = mambaint_options_set(chat->args->options, "seed", text, &err);

    if (rc >= 0)
        rc = mambaint_state_get(&now, chat->session, &err);
    if (rc >= 0)
        rc = mambaint_session_create(&fresh, chat->model, chat->args->options, &err);
    if (rc >= 0)
        rc = mambaint_state_set(fresh, now, &err);
    mambaint_state_free(now);
    if (rc < 0) {
        mambaint_session_free(fresh);
        return fail_error(rc, &err);
    }
    mambaint_session_free(chat->session);
    chat->session = fresh;
    chat->seed = strtoull(text, NULL, 10);
    return CLI_DONE;
}

static int reset(struct chat *chat, const char *arg)
{
    (void)arg;
    forget_turns(chat);
    return set_state(chat, chat->start);
}

static int undo(struct chat *chat, const char *arg)
{
    struct text said = {0};
    const int status = go_back(chat, &said);

    (void)arg;
    if (status == CLI_DONE)
        fprintf(stderr, "took back: %.*s\n", (int)said.len, said.data);
    free(said.data);
    return status;
}

/* The draw depends on seed and position alone, so another answer needs another seed. */
static int retry(struct chat *chat, const char *arg)
{
    struct text said = {0};
    char next[24];
    int status = go_back(chat, &said);

    (void)arg;
    snprintf(next, sizeof(next), "%llu", chat->seed + 1);
    if (status == CLI_DONE)
        status = use_seed(chat, next);
    if (status == CLI_DONE)
        status = answer(chat, &said);
    free(said.data);
    return status;
}

static int save(struct chat *chat, const char *path) { return session_save(chat->session, path); }

static int load(struct chat *chat, const char *path)
{
    const int status = session_load(chat->session, chat->model, path);

    if (status == CLI_DONE)
        forget_turns(chat);
    return status;
}

static int seed(struct chat *chat, const char *text)
{
    if (*text)
        return use_seed(chat, text);
    fprintf(stderr, "seed %llu\n", chat->seed);
    return CLI_DONE;
}

static int help(struct chat *chat, const char *arg);

static const struct {
    const char *name, *arg; /* arg: its name if the command needs one */
    int (*run)(struct chat *chat, const char *arg);
    const char *help;
} commands[] = {
    {"/reset", NULL, reset, "start again"},
    {"/undo", NULL, undo, "take the last turn back, exactly"},
    {"/retry", NULL, retry, "answer the last turn again, with the next seed"},
    {"/save", "FILE", save, "save the conversation's state"},
    {"/load", "FILE", load, "go on from a saved state"},
    {"/seed", NULL, seed, "show the seed; /seed N sets it"},
    {"/help", NULL, help, "this list"},
    {"/quit", NULL, NULL, "leave (Ctrl-D too); Ctrl-C stops an answer"},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int help(struct chat *chat, const char *arg)
{
    (void)chat, (void)arg;
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, "  %s %-*s %s\n", commands[i].name, 12 - (int)strlen(commands[i].name),
                commands[i].arg ? commands[i].arg : "", commands[i].help);
    return CLI_DONE;
}

/* A line that begins with '/'. *leave is set by /quit. */
static int command(struct chat *chat, char *line, bool *leave)
{
    char *arg = line + strcspn(line, " \t");

    if (*arg)
        *arg++ = '\0';
    arg += strspn(arg, " \t");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(line, commands[i].name))
            continue;
        if (commands[i].arg && !*arg)
            return fail("%s needs the name of a file", line);
        *leave = !commands[i].run;
        return *leave ? CLI_DONE : commands[i].run(chat, arg);
    }
    return fail("'%s' is no command; /help lists them", line);
}

/* ---- the whole ---- */

/* Until the input ends. With nobody at a terminal the first failure is the status of the whole,
 * and an interrupt ends it. */
static int talk(struct chat *chat, struct prompt *prompt)
{
    struct text line;
    bool leave = false;
    int status = CLI_DONE;

    while (!leave && !ferror(stdout) && (line.data = prompt_line(prompt, &line.len))) {
        int now = CLI_DONE;

        if (*line.data == '/')
            now = command(chat, line.data, &leave);
        else if (line.len)
            now = answer(chat, &line);
        status = status ? status : now;
        if (terminated() || (now == CLI_INTERRUPTED && !chat->terminal))
            break;
    }
    if (chat->terminal && !line.data)
        fputc('\n', stderr);
    return terminated() ? CLI_INTERRUPTED : chat->terminal ? CLI_DONE : status;
}

/* On a terminal the seed is drawn, so that no two talks are alike; /seed shows it. */
static int choose_seed(struct chat *chat)
{
    const char *given = args_text(chat->args, "seed", NULL);
    const double now = chat->terminal ? now_seconds() : 0;
    mambaint_error err;
    char text[24];
    int32_t rc;

    snprintf(text, sizeof(text), "%llu", (unsigned long long)(now * 1e6) % 1000000);
    rc = mambaint_options_set(chat->args->options, "seed", given ? given : text, &err);
    chat->seed = strtoull(given ? given : text, NULL, 10);
    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

static int open_session(struct chat *chat)
{
    const char *system = args_text(chat->args, "system", NULL);
    mambaint_error err;
    int32_t rc;
    int status = choose_seed(chat);

    if (status != CLI_DONE)
        return status;
    if ((rc = mambaint_session_create(&chat->session, chat->model, chat->args->options, &err)) < 0)
        return fail_option(rc, &err);
    if (system && (status = say(chat, MAMBAINT_ROLE_SYSTEM, system, strlen(system))) != CLI_DONE)
        return status;
    rc = mambaint_state_get(&chat->start, chat->session, &err);
    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

static int check_roles(const struct chat *chat)
{
    mambaint_tokenizer *tokenizer = NULL;
    int32_t role;
    const int status = model_tokenizer(&tokenizer, chat->model);

    if (status != CLI_DONE)
        return status;
    role = mambaint_tokenizer_role(tokenizer, MAMBAINT_ROLE_ASSISTANT);
    mambaint_tokenizer_unref(tokenizer);
    return role < 0 ? fail("this model knows no turns, so it cannot chat; try 'mambaint generate'")
                    : CLI_DONE;
}

static void greet(const struct chat *chat)
{
    char *name = model_text(chat->model, "name");

    if (chat->terminal)
        fprintf(stderr, "%s. Say something; /help lists the commands.\n",
                name && *name ? name : "mambaint");
    free(name);
}

static int run(struct args *args)
{
    struct chat chat = {.args = args, .terminal = isatty(STDIN_FILENO)};
    struct prompt *prompt = NULL;
    int status;

    if (!args_number(&chat.tokens, args, "tokens", 512, 1, 1000000000))
        return CLI_USAGE;
    if ((status = open_model(&chat.model, args)) == CLI_DONE &&
        (status = check_roles(&chat)) == CLI_DONE && (status = open_session(&chat)) == CLI_DONE) {
        greet(&chat);
        if (chat.terminal)
            interrupts_hold(NULL);
        prompt = prompt_open(chat.terminal);
        status = prompt ? talk(&chat, prompt) : fail("cannot read from the terminal");
    }
    prompt_close(prompt);
    forget_turns(&chat);
    mambaint_state_free(chat.start);
    mambaint_session_free(chat.session);
    mambaint_model_unref(chat.model);
    return status;
}

static const struct flag flags[] = {
    {"tokens", 'n', FLAG_TEXT, "N", "most tokens of one answer (512)"},
    {"system", 0, FLAG_TEXT, "TEXT", "what the model is told first"},
    {"seed", 0, FLAG_TEXT, "N", "same seed, same talk (0; a terminal draws one)"},
    {0},
};

const struct command command_chat = {
    .name = "chat",
    .summary = "Talk to a model. Ctrl-C stops an answer, Ctrl-D ends.",
    .operands = "",
    .flags = (const struct flag *const[]){flags, flags_model, flags_sampler, flags_help, NULL},
    .examples =
        "  mambaint chat -m storyteller.gguf\n"
        "  echo \"Tell me a story about a cat and a boat\" | mambaint chat -m storyteller.gguf\n",
    .run = run,
};
