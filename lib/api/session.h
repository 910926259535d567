/* SPDX-License-Identifier: Apache-2.0 */
/* What a session holds: a loaded program, sampler settings, and the conversation. */
#ifndef MBI_API_SESSION_H
#define MBI_API_SESSION_H

#include "api/model.h"
#include "sample/sampler.h"
#include <mambaint/session.h>

#define MBI_HISTORY MBI_RECENT_MAX /* last ids that are remembered */
#define MBI_STOP_MAX 256           /* bytes of a stop string */
#define MBI_STOPS_MAX 16
#define MBI_GROUP MBI_DRAW_STREAMS /* sessions that step in one run */

/* A stop string may hold back its length less one, a character three bytes; a token adds more. */
#define MBI_HELD_MAX (MBI_STOP_MAX + 4 + MBI_MAX_TOKEN_BYTES)
#define MBI_PIECE_MAX (3 * MBI_HELD_MAX) /* each byte may become U+FFFD */

/* Where in the turns a session is. Numbers are stored in states. */
enum mbi_phase {
    MBI_PHASE_FRESH = 0,  /* nothing was fed */
    MBI_PHASE_TEXT = 1,   /* raw text, or between turns */
    MBI_PHASE_ASKED = 2,  /* a turn of the user or the system was said; the answer is not opened */
    MBI_PHASE_ANSWER = 3, /* inside an answer */
    MBI_PHASE_END
};

/* Why the answer is complete. Numbers are stored in states. */
enum mbi_ended {
    MBI_ENDED_NOT = 0,
    MBI_ENDED_TURN = 1, /* the model ended its turn */
    MBI_ENDED_TEXT = 2, /* the model ended the text */
    MBI_ENDED_STOP = 3, /* a stop string appeared */
    MBI_ENDED_END
};

/* The session part of a state, but for the logits. */
struct mbi_talk {
    uint64_t position; /* tokens fed */
    uint32_t phase;    /* enum mbi_phase */
    uint32_t ended;    /* enum mbi_ended */
    uint32_t kept;     /* 1: a step was made whose piece was not delivered yet */
    uint32_t n_held;
    uint8_t held[MBI_HELD_MAX];   /* bytes of tokens that were not given out yet */
    int32_t history[MBI_HISTORY]; /* the id of position p is at p mod MBI_HISTORY */

    /* Derived, not part of a state: bytes of `held` that the piece stands for, and the piece. */
    uint32_t n_ready, n_piece;
    char piece[MBI_PIECE_MAX];
    /* The token of the last step; -1 if there was none since the talk was changed otherwise. */
    int32_t token;
};

struct mbi_stop {
    uint32_t len;
    char text[MBI_STOP_MAX];
};

struct mbi_session_settings {
    const struct mbi_backend *backend;
    uint32_t prefill_chunk;
    bool profile;
    bool record;
    struct mbi_sampler sampler;
    uint32_t repeat_last;
    uint32_t n_stops;
    struct mbi_stop stop[MBI_STOPS_MAX];
};

/* What a receipt will say of the session (record.c); empty without the option `record`. */
struct mbi_record {
    uint8_t start[MBI_DIGEST_SIZE]; /* of the state at the start */
    uint64_t position;              /* there */
    struct mbi_buf parts;           /* as they are stored */
    uint32_t n_parts;
    size_t last; /* where the last part begins */
};

/* Tokens that the backend drew beyond the conversation, and where its memory is (ahead.c). */
struct mbi_ahead {
    struct mbi_rows *rows; /* the last logits on the device; NULL: this backend does not draw */
    int32_t id[MBI_DRAW_STEPS]; /* drawn: those of the next positions */
    uint32_t n_ids;
    uint32_t fed;    /* so many of them are in the memory already; if any, `spare` is older */
    uint32_t since;  /* tokens of the conversation that are not in `spare` */
    uint32_t behind; /* tokens of the conversation that the memory lacks, while fed = 0 */
    uint32_t unread; /* tokens since `logits` and `before` were those of the host; 2: or more */
    uint32_t size;   /* of the next batch of steps */
};

struct mambaint_session {
    mambaint_model *model;
    const struct mbi_host *host;
    const struct mbi_tokenizer *tokenizer;
    struct mbi_session_settings set;
    struct mbi_program *program;
    struct mbi_image *image;
    struct mbi_memory *memory, *spare; /* spare: to go back to when a call fails half-way */
    size_t vocab;
    int32_t *logits, *before; /* after the last token, and those the last token was chosen from */
    int32_t *work;            /* of the sampler */
    struct mbi_talk *talk;
    struct mbi_ahead *ahead;
    struct mbi_record record;
    atomic_bool cancel;
};

int32_t mbi_session_settings_read(struct mbi_session_settings *set, const mambaint_options *options,
                                  mambaint_error *err);

/* E_CANCELLED, once, if somebody cancelled. */
int32_t mbi_session_cancelled(mambaint_session *s, mambaint_error *err);

/* ---- ahead.c ---- */

int32_t mbi_ahead_create(mambaint_session *s, mambaint_error *err);
void mbi_ahead_free(mambaint_session *s);

void mbi_session_swap_memory(mambaint_session *s);

/*
 * What uses the memory settles first: then it is where the conversation is, and nothing is drawn
 * any more. back is the part of it that cannot fail, after which the spare memory is free; forget
 * is for a session whose memory and logits come from elsewhere.
 */
int32_t mbi_ahead_settle(mambaint_session *s, mambaint_error *err);
void mbi_ahead_back(mambaint_session *s);
void mbi_ahead_forget(mambaint_session *s);

/* What reads `logits` and `before` has them fetched first. */
int32_t mbi_ahead_logits(const mambaint_session *s, mambaint_error *err);

/* The conversation takes the first id that was drawn; it has been fed already. */
void mbi_ahead_take(mambaint_session *s);

/*
 * Feed ids[i] to session i of n <= MBI_GROUP, and do steps - 1 more with what is drawn, on the
 * image of the first. Nothing that was drawn before may have been fed. All advance or none does.
 */
int32_t mbi_ahead_draw_each(mambaint_session *const *s, const int32_t *ids, size_t n, size_t steps,
                            mambaint_error *err);

/* ---- feed.c ---- */

/*
 * Feed n >= 1 ids, all below the vocabulary, and take the logits of the last. A failure leaves
 * everything as it was. Turns and held bytes are not touched.
 */
int32_t mbi_session_advance(mambaint_session *s, const int32_t *ids, size_t n, mambaint_error *err);

/* A whole turn as ids, n >= 1, with all that has to come before it. */
int32_t mbi_session_turn(mambaint_session *s, int32_t role, const int32_t *ids, size_t n,
                         mambaint_error *err);

/*
 * One id for each of n <= MBI_GROUP sessions of one model and backend, in one run on the image of
 * the first. All advance or none does.
 */
int32_t mbi_session_advance_each(mambaint_session *const *s, const int32_t *ids, size_t n,
                                 mambaint_error *err);

/* ---- piece.c ---- */

/* Drop what was held back: new text was put into the session from outside. */
void mbi_talk_clear(struct mbi_talk *talk);

/* Add the bytes of a token to what is held, and look for stop strings: may set `ended`. */
void mbi_talk_add(struct mbi_talk *talk, const struct mbi_session_settings *set, const char *bytes,
                  size_t n);

/* Make the piece from what may be given out now. */
void mbi_talk_render(struct mbi_talk *talk, const struct mbi_session_settings *set);

/* The piece was delivered: the bytes behind it go. */
void mbi_talk_delivered(struct mbi_talk *talk);

#endif
