/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of the tool share: arguments, messages, files, terminal, interrupts, JSON. The
 * tool is built on the public headers alone. Standard output holds a command's result; everything
 * else goes to standard error.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <mambaint.h>
#include <pthread.h>
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
    bool many_models;                /* --model may be repeated */
    const struct flag *const *flags; /* groups; NULL-terminated; each ends with an empty name */
    const char *examples;
    int (*run)(struct args *args);
};

#define MANY_OPERANDS SIZE_MAX
#define MAX_FLAGS 64

struct args {
    const struct command *command;
    const struct flag *given[MAX_FLAGS]; /* FLAG_TEXT and FLAG_SWITCH, in the order they came */
    char *value[MAX_FLAGS];              /* "on" of a switch */
    size_t n_given;
    const char **operand;
    size_t n_operands;
    mambaint_options *options;
    long threads; /* that the option asks for */
};

extern const struct flag flags_help[];
extern const struct flag flags_json[];
extern const struct flag flags_out[];     /* --out */
extern const struct flag flags_model[];   /* --model --backend --threads --prefill-chunk */
extern const struct flag flags_shape[];   /* --preset --layers ... */
extern const struct flag flags_sampler[]; /* --temperature ... */

/* Parse argv after the command's name. CLI_DONE, or a status to exit with. */
int args_parse(struct args *args, const struct command *command, int argc, char **argv);
void args_free(struct args *args);
const char *args_text(const struct args *args, const char *flag, const char *fallback);
bool args_switch(const struct args *args, const char *flag);
size_t args_count(const struct args *args, const char *flag); /* how often it was given */
/* The text of a flag without which the command cannot work; NULL after saying so. */
const char *args_needed(const struct args *args, const char *flag, const char *question);
/* A whole number of a FLAG_TEXT; false after printing what is wrong. */
bool args_number(long *out, const struct args *args, const char *flag, long fallback, long lo,
                 long hi);
/* Several of them with commas between; `fallback` is a list of one. */
struct number_list {
    size_t n;
    long at[16];
};
bool args_list(struct number_list *out, const struct args *args, const char *flag, long fallback,
               long lo, long hi);
long args_processors(void); /* that this process may use */
void args_help(const struct command *command);

/* ---- the commands ---- */

extern const struct command command_chat, command_generate, command_train, command_eval;
extern const struct command command_inspect, command_check, command_synth, command_bench;
extern const struct command command_tokenizer_train, command_tokenizer_encode;
extern const struct command command_tokenizer_decode, command_tokenizer_import;

extern const struct command command_prove, command_verify;
extern const struct command command_receipt;
extern const struct command command_proof_inspect, command_proof_join, command_proof_key;

/* generate with the flag --features (features.c) */
int generate_features(const struct args *args, const char *features);

/* ---- messages (report.c) ---- */

/* "mambaint: sentence" on standard error; returns CLI_FAILED. */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int fail_memory(void);
/* The library's sentence. CLI_INTERRUPTED, without a word, if the call was cancelled. */
int fail_error(int32_t rc, const mambaint_error *err);
/* The same for calls that read options: a wrong one is wrong usage. */
int fail_option(int32_t rc, const mambaint_error *err);
/* The same for calls that also read files, whose numbers may be out of range too. */
int fail_input(int32_t rc, const mambaint_error *err);
/* Standard output takes no more: say so, unless the other end just went away. */
int fail_output(void);

/* Open the model of --model with the options given. */
int open_model(mambaint_model **out, const struct args *args);
/* The models of all --model, in the order in which they stand, at least one. Close them after a
 * failure, too, if *m was zero before. */
struct models {
    mambaint_model **model;
    size_t n;
    mambaint_context *ctx; /* that they are opened with, the caller's; NULL: one for each */
};
int open_models(struct models *m, const struct args *args);
void close_models(struct models *m);
/* A text of the model ("architecture", "graph", ...) on the heap; NULL if there is none. */
char *model_text(const mambaint_model *model, const char *key);
/* The same of a statement: "text" or "json", with the text of its tokens if there is a tokenizer
 * (proof.c). */
char *statement_text(const mambaint_statement *statement, const mambaint_tokenizer *tokenizer,
                     const char *key);
/* Its tokenizer; says so if the model takes features and has none. */
int model_tokenizer(mambaint_tokenizer **out, const mambaint_model *model);
/* What a text begins with, on the heap: the flag --prompt, else standard input, of which one line
 * end at the end is dropped (a shell's echo adds it). If there may be none, nobody is asked to type
 * one. */
int prompt_text(char **text, size_t *len, const struct args *args, bool may_be_none);
void digest_hex(char out[65], const uint8_t digest[32]);
/* A text as ids on the heap, with room for one more in front; NULL after printing why. */
int32_t *encode_text(size_t *n, const mambaint_tokenizer *tokenizer, const char *text, size_t len,
                     uint32_t flags);

/* ---- files (file.c) ---- */

/* A whole file, or standard input for "-"; NUL added behind. NULL after printing why. */
char *read_all(const char *path, size_t *size);
/* The old file or the new one is there at any moment, never a mixture. */
int write_all(const char *path, const void *data, size_t size);
/* Could a file of this name be saved? Says why not; asked before long work. */
int check_writable(const char *path);
/* Bytes of a file; -1 after saying why. */
long long file_size(const char *path);

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

/* For one long call whose end is not known: the time it took so far, on a terminal alone. */
struct busy {
    const char *label;
    double start;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running, stop;
};
void busy_begin(struct busy *b, const char *label);
void busy_end(struct busy *b);

/* ---- stages (stages.c) ---- */

#define MOST_STAGES 16

/* What the library tells of how far a call is: a bar for each stage, and how long each took. */
struct stages {
    struct progress bar;
    const char *now; /* NULL: none */
    double begin;    /* of it */
    struct {
        const char *name;
        double seconds;
    } stage[MOST_STAGES];
    size_t n;
};
/* A context with the threads of --threads (FLAG_TEXT) that tells its stages. Status. */
int stages_context(mambaint_context **out, struct stages *stages, const struct args *args);
void stages_end(struct stages *s); /* the call is over */
/* The most memory that the process had; 0: not known. */
long long peak_bytes(void);

/* ---- interrupts (interrupt.c) ---- */

/* Ctrl-C, SIGTERM and SIGHUP end the program with status 130 at once ... */
void interrupts_begin(void);
/* ... until one of these: then the first is remembered and the second ends the program. The handler
 * prints `note` (NULL: nothing), or cancels the session's call. */
void interrupts_hold(const char *note);
void interrupts_session(mambaint_session *session); /* NULL: none */
/* At a prompt no signal ends the program, so that the terminal is left in order ... */
void interrupts_at_prompt(bool on);
/* ... and it ends this wait for standard input: false. */
bool interrupts_wait_input(void);
bool interrupted(void);
bool terminated(void); /* by another signal than Ctrl-C */
void interrupts_clear(void);

/* ---- JSON out (json.c) ---- */

struct json {
    FILE *to;
    bool need_comma;
};
void json_open(struct json *j, FILE *to); /* an object */
void json_close(struct json *j);          /* ... and a line end */
/* Bytes that are no UTF-8 become U+FFFD. */
void json_text(struct json *j, const char *key, const char *text, size_t len);
void json_string(struct json *j, const char *key, const char *text); /* NULL: "" */
void json_number(struct json *j, const char *key, double value);     /* not finite: null */
void json_integer(struct json *j, const char *key, long long value);
void json_ids(struct json *j, const char *key, const int32_t *ids, size_t n);
void json_digests(struct json *j, const char *key, char (*hex)[65], size_t n);
void json_bool(struct json *j, const char *key, bool value);
void json_raw(struct json *j, const char *key, const char *json); /* NULL: null */
void stages_json(struct json *j, const struct stages *s); /* `phases`: milliseconds (stages.c) */
/* A list of objects: json_list(), for each an item and its end, json_list_end(). */
void json_list(struct json *j, const char *key);
void json_item(struct json *j);
void json_item_end(struct json *j);
void json_list_end(struct json *j);

/* ---- prover's keys (proof.c) ---- */

bool is_prover_key(const char *path);
/* What one says of itself (mambaint_prover_key_text()), malloc'd; NULL: err says why. */
char *prover_key_text(const char *path, const char *key, mambaint_error *err);
/* Proofs that one with hidden weights makes, and those that are left; false of others. */
bool prover_key_left(long long *all, long long *left, const char *path);

/* ---- JSON in (json_read.c) ---- */

/*
 * Every value of a text that is no list and no object, with its path, such as "runs[2].name".
 * `text` is its spelling, of a string what it stands for (cut at 255 bytes). False: no JSON.
 */
bool json_read(const char *json, void (*take)(void *user, const char *path, const char *text),
               void *user);

#endif
