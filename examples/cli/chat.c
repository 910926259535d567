/* SPDX-License-Identifier: Apache-2.0 */
/* chat: talk to a model. The conversation is one session; going back is exact, because a state is
 * a value. */
#include "answer.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if CLI_HAVE_LIBEDIT
#include <editline/readline.h>
#endif

#define MAX_UNDO 64

/* What was before a turn, and what the user said in it. */
struct turn {
    mambaint_state *before;
    char *said;
};

struct chat {
    struct args *args;
    mambaint_model *model;
    mambaint_session *session;
    mambaint_state *start;
    struct turn turn[MAX_UNDO];
    size_t n_turns;
    uint64_t seed;
    long tokens;
    bool terminal;
    int status; /* of the last answer: what a program at the other end should learn */
};

/* ---- reading lines ---- */

static char *read_line(const struct chat *chat)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

#if CLI_HAVE_LIBEDIT
    if (chat->terminal) {
        rl_outstream = stderr;
        line = readline("> ");
        if (line && *line)
            add_history(line);
        return line;
    }
#endif
    if (chat->terminal) {
        fputs("> ", stderr);
        fflush(stderr);
    }
    n = getline(&line, &cap, stdin);
    if (n < 0) {
        free(line);
        return NULL;
    }
    if (n && line[n - 1] == '\n')
        line[n - 1] = '\0';
    return line;
}

/* ---- turns ---- */

static void forget_turn(struct turn *t)
{
    mambaint_state_free(t->before);
    free(t->said);
    *t = (struct turn){0};
}

static int remember(struct chat *chat, const char *said)
{
    struct turn t = {.said = strdup(said)};
    mambaint_error err;

    if (!t.said || mambaint_state_get(&t.before, chat->session, &err) < 0) {
        free(t.said);
        return fail("out of memory");
    }
    if (chat->n_turns == MAX_UNDO) {
        forget_turn(&chat->turn[0]);
        memmove(chat->turn, chat->turn + 1, (MAX_UNDO - 1) * sizeof(chat->turn[0]));
        chat->n_turns--;
    }
    chat->turn[chat->n_turns++] = t;
    return CLI_DONE;
}

/* Drop the last turn; the session is exactly as it was before it. What was said goes to *said. */
static int go_back(struct chat *chat, char **said)
{
    struct turn *t;
    mambaint_error err;

    if (!chat->n_turns)
        return fail("there is nothing to go back to");
    t = &chat->turn[--chat->n_turns];
    if (mambaint_state_set(chat->session, t->before, &err) < 0)
        return fail_error(&err);
    *said = t->said;
    t->said = NULL;
    forget_turn(t);
    return CLI_DONE;
}

static int answer(struct chat *chat, const char *said)
{
    struct answer a = {0};
    mambaint_error err;
    int32_t rc;
    int status = remember(chat, said);

    if (status != CLI_DONE)
        return status;
    interrupts_clear();
    interrupts_session(chat->session); /* only now: at the prompt Ctrl-C cancels nothing */
    rc = mambaint_session_say(chat->session, MAMBAINT_ROLE_USER, said, strlen(said), &err);
    status = rc == MAMBAINT_E_CANCELLED ? CLI_INTERRUPTED : rc < 0 ? fail_error(&err) : CLI_DONE;
    if (status == CLI_DONE)
        status = answer_stream(&a, chat->session, chat->tokens, stdout);
    interrupts_session(NULL);
    if (a.size && a.text[a.size - 1] != '\n')
        putchar('\n');
    fflush(stdout);
    if (status == CLI_INTERRUPTED)
        fputs("(stopped)\n", stderr);
    else if (status == CLI_DONE && strcmp(a.stop_reason, "end"))
        fprintf(stderr, "(cut after %ld tokens; --tokens sets the limit)\n", chat->tokens);
    answer_free(&a);
    interrupts_clear();
    return status;
}

/* ---- commands ---- */

static int use_seed(struct chat *chat, uint64_t seed)
{
    mambaint_session *fresh = NULL;
    mambaint_state *now = NULL;
    mambaint_error err;
    char text[24];
    int status = CLI_DONE;

    snprintf(text, sizeof(text), "%llu", (unsigned long long)seed);
    if (mambaint_options_set(chat->args->options, "seed", text, &err) < 0 ||
        mambaint_state_get(&now, chat->session, &err) < 0 ||
        mambaint_session_create(&fresh, chat->model, chat->args->options, &err) < 0 ||
        mambaint_state_set(fresh, now, &err) < 0) {
        status = fail_error(&err);
        mambaint_session_free(fresh);
    } else {
        mambaint_session_free(chat->session);
        chat->session = fresh;
        chat->seed = seed;
    }
    mambaint_state_free(now);
    return status;
}

static void forget_turns(struct chat *chat)
{
    while (chat->n_turns)
        forget_turn(&chat->turn[--chat->n_turns]);
}

static int load(struct chat *chat, const char *path)
{
    const int status = session_load(chat->session, chat->model, path);

    if (status == CLI_DONE)
        forget_turns(chat);
    return status;
}

static int reset(struct chat *chat)
{
    mambaint_error err;

    forget_turns(chat);
    return mambaint_state_set(chat->session, chat->start, &err) < 0 ? fail_error(&err) : CLI_DONE;
}

static int undo(struct chat *chat)
{
    char *said = NULL;
    const int status = go_back(chat, &said);

    if (status == CLI_DONE)
        fprintf(stderr, "took back: %s\n", said);
    free(said);
    return status;
}

/* The draw depends on seed and position alone, so another answer needs another seed. */
static int retry(struct chat *chat)
{
    char *said = NULL;
    int status = go_back(chat, &said);

    if (status == CLI_DONE)
        status = use_seed(chat, chat->seed + 1);
    if (status == CLI_DONE)
        status = answer(chat, said);
    free(said);
    return status;
}

static int seed(struct chat *chat, const char *text)
{
    char *end;
    unsigned long long value;

    if (!*text) {
        fprintf(stderr, "seed %llu\n", (unsigned long long)chat->seed);
        return CLI_DONE;
    }
    value = strtoull(text, &end, 10);
    return *end ? fail("'%s' is not a seed", text) : use_seed(chat, value);
}

static void help(void)
{
    fputs("  /reset       start again\n"
          "  /undo        take the last turn back, exactly\n"
          "  /retry       answer the last turn again, with the next seed\n"
          "  /save FILE   save the conversation's state\n"
          "  /load FILE   go on from a saved state\n"
          "  /seed [N]    show or set the seed\n"
          "  /help        this list\n"
          "  /quit        leave (Ctrl-D too); Ctrl-C stops an answer\n",
          stderr);
}

/* A line that begins with '/'. False: leave. */
static bool command(struct chat *chat, char *line)
{
    char *arg = strchr(line, ' ');

    if (arg)
        *arg++ = '\0';
    else
        arg = line + strlen(line);
    if (!strcmp(line, "/quit"))
        return false;
    if (!strcmp(line, "/reset"))
        reset(chat);
    else if (!strcmp(line, "/undo"))
        undo(chat);
    else if (!strcmp(line, "/retry"))
        retry(chat);
    else if (!strcmp(line, "/seed"))
        seed(chat, arg);
    else if (!strcmp(line, "/save") && *arg)
        session_save(chat->session, arg);
    else if (!strcmp(line, "/load") && *arg)
        load(chat, arg);
    else
        help();
    return true;
}

static void talk(struct chat *chat)
{
    char *line;

    while ((line = read_line(chat))) {
        const bool go_on = *line != '/' || command(chat, line);

        if (*line && *line != '/')
            chat->status = answer(chat, line);
        free(line);
        if (!go_on || (chat->status == CLI_INTERRUPTED && !chat->terminal))
            break;
    }
    if (chat->terminal && !line)
        fputc('\n', stderr);
}

/* ---- the whole ---- */

/* On a terminal the seed is drawn, so that no two talks are alike; /seed shows it. */
static uint64_t draw_seed(void) { return (uint64_t)(now_seconds() * 1e6) % 1000000; }

static int open_session(struct chat *chat)
{
    const char *given = args_text(chat->args, "seed", NULL);
    const char *system = args_text(chat->args, "system", NULL);
    mambaint_error err;
    char text[24];

    chat->seed = given ? strtoull(given, NULL, 10) : chat->terminal ? draw_seed() : 0;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)chat->seed);
    if (mambaint_options_set(chat->args->options, "seed", given ? given : text, &err) < 0 ||
        mambaint_session_create(&chat->session, chat->model, chat->args->options, &err) < 0)
        return fail_error(&err);
    if (system && mambaint_session_say(chat->session, MAMBAINT_ROLE_SYSTEM, system, strlen(system),
                                       &err) < 0)
        return fail_error(&err);
    return mambaint_state_get(&chat->start, chat->session, &err) < 0 ? fail_error(&err) : CLI_DONE;
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
    int status;

    if (!args_number(&chat.tokens, args, "tokens", 512, 1, 1000000000))
        return CLI_USAGE;
    interrupts_begin();
    if ((status = open_model(&chat.model, args)) == CLI_DONE &&
        (status = open_session(&chat)) == CLI_DONE) {
        greet(&chat);
        talk(&chat);
        status = chat.terminal ? CLI_DONE : chat.status;
    }
    forget_turns(&chat);
    mambaint_state_free(chat.start);
    mambaint_session_free(chat.session);
    mambaint_model_unref(chat.model);
    return status;
}

static const struct flag flags[] = {
    {"tokens", 'n', FLAG_TEXT, "N", "most tokens of one answer (512)"},
    {"system", 0, FLAG_TEXT, "TEXT", "what the model is told first"},
    {"seed", 0, FLAG_TEXT, "N", "same seed, same talk (a terminal draws one)"},
    {0},
};

const struct command command_chat = {
    .name = "chat",
    .summary = "Talk to a model. Ctrl-C stops an answer, Ctrl-D ends.",
    .operands = "",
    .flags = (const struct flag *const[]){flags, flags_model, flags_sampler, flags_help, NULL},
    .examples = "  mambaint chat -m storyteller.gguf\n"
                "  echo \"Tell me a story about a cat and a boat\" | mambaint chat -m storyteller.gguf\n",
    .run = run,
};
