/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of the tool share: arguments, terminal, JSON, interrupts. The tool is built
 * on the public headers alone. Standard output holds a command's result; everything else goes to
 * standard error.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <mambaint.h>
#include <stdbool.h>
#include <stdio.h>

#define CLI_DONE 0
#define CLI_FAILED 1 /* refused or failed */
#define CLI_USAGE 2  /* wrong usage */
#define CLI_INTERRUPTED 130

/* ---- arguments (args.c) ---- */

enum flag_kind {
    FLAG_SWITCH, /* --json */
    FLAG_TEXT,   /* --prompt TEXT, kept by the tool */
    FLAG_OPTION, /* --seed 7, handed to the library as an option of that name */
};

struct flag {
    const char *name;
    char letter; /* 0: none */
    enum flag_kind kind;
    const char *value; /* its name in the help; NULL for a switch */
    const char *help;
};

struct args;

struct command {
    const char *name;     /* "generate", "tokenizer train" */
    const char *summary;  /* one line */
    const char *operands; /* "FILE ..." or "" */
    size_t min_operands, max_operands;
    const struct flag *const *flags; /* groups; NULL-terminated; each ends with an empty name */
    bool any_option; /* any further --key value goes to the library, which knows its keys */
    const char *examples;
    int (*run)(struct args *args);
};

#define MAX_OPERANDS 64

struct args {
    const struct command *command;
    const char *value[64]; /* texts of FLAG_TEXT and "on" of FLAG_SWITCH, in order of given[] */
    const struct flag *given[64];
    size_t n_given;
    const char *operand[MAX_OPERANDS];
    size_t n_operands;
    mambaint_options *options;
};

extern const struct flag flags_help[];
extern const struct flag flags_json[];
extern const struct flag flags_model[];   /* --model --backend --threads --prefill-chunk */
extern const struct flag flags_sampler[]; /* --temperature ... */

/* Parse argv after the command's name. CLI_DONE, or a status to exit with (help included: then
 * *exit_now is set). */
int args_parse(struct args *args, const struct command *command, int argc, char **argv,
               bool *exit_now);
void args_free(struct args *args);
const char *args_text(const struct args *args, const char *flag, const char *fallback);
bool args_switch(const struct args *args, const char *flag);
/* A whole number of a FLAG_TEXT; false after printing what is wrong. */
bool args_number(long *out, const struct args *args, const char *flag, long fallback, long lo,
                 long hi);
/* Lines "key = value" of a configuration file, each handed to the library as an option. Options
 * given on the command line win, so this is called before they are set. */
int args_config(mambaint_options *options, const char *path);
void args_help(const struct command *command);

/* ---- the commands ---- */

extern const struct command command_chat, command_generate, command_train, command_eval;
extern const struct command command_inspect, command_check, command_synth, command_bench;
extern const struct command command_tokenizer_train, command_tokenizer_encode;
extern const struct command command_tokenizer_decode, command_tokenizer_import;

/* ---- errors and files (report.c) ---- */

/* "mambaint: sentence" on standard error; returns CLI_FAILED. */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int fail_error(const mambaint_error *err);

/* A whole file, or standard input for "-"; NUL added behind. NULL after printing why. */
char *read_all(const char *path, size_t *size);
/* New file, fsync, rename, fsync of the directory. */
int write_all(const char *path, const void *data, size_t size);

/* Open the model of --model with the options given. */
int open_model(mambaint_model **out, const struct args *args);
/* A text of the model ("architecture", "graph", ...) on the heap; NULL if there is none. */
char *model_text(const mambaint_model *model, const char *key);
void digest_hex(char out[65], const uint8_t digest[32]);

/* ---- terminal (terminal.c) ---- */

bool stderr_is_terminal(void);
double now_seconds(void);
/* A bar with time left on standard error, drawn at most ten times a second on a terminal and
 * once in ten seconds elsewhere; nothing within the first second. */
struct progress {
    const char *label;
    double start, last;
    bool drawn;
};
void progress_begin(struct progress *p, const char *label);
void progress_show(struct progress *p, double done, double total, const char *detail);
void progress_end(struct progress *p);

/* Ctrl-C: the first is remembered (and cancels `session` if one is set), the second ends the
 * program. */
void interrupts_begin(void);
void interrupts_session(mambaint_session *session);
bool interrupted(void);
void interrupts_clear(void);

/* ---- JSON out (json.c) ---- */

struct json {
    FILE *to;
    bool need_comma;
};
void json_open(struct json *j, FILE *to, const char *bracket); /* "{" */
void json_close(struct json *j, const char *bracket);          /* "}", with a line end at the top */
void json_text(struct json *j, const char *key, const char *text, size_t len);
void json_number(struct json *j, const char *key, double value);
void json_integer(struct json *j, const char *key, long long value);
void json_ids(struct json *j, const char *key, const int32_t *ids, size_t n);
void json_bool(struct json *j, const char *key, bool value);

#endif
