/* SPDX-License-Identifier: Apache-2.0 */
/* From tokens to text that may be given out: stop strings are withheld, characters stay whole. */
#include "api/session.h"
#include "base/utf8.h"
#include "tokenizer/stream.h"

void mbi_talk_clear(struct mbi_talk *talk)
{
    memset(talk->held, 0, sizeof(talk->held));
    talk->n_held = talk->n_ready = talk->n_piece = talk->kept = 0;
    talk->ended = MBI_ENDED_NOT;
    talk->token = -1;
}

static bool stop_at(const struct mbi_talk *talk, const struct mbi_stop *stop, size_t at)
{
    return stop->len <= talk->n_held - at && !memcmp(talk->held + at, stop->text, stop->len);
}

/* The first place where a stop string appears, SIZE_MAX if none does. */
static size_t find_stop(const struct mbi_talk *talk, const struct mbi_session_settings *set)
{
    for (size_t at = 0; at < talk->n_held; at++)
        for (uint32_t i = 0; i < set->n_stops; i++)
            if (stop_at(talk, &set->stop[i], at))
                return at;
    return SIZE_MAX;
}

/* Where the longest end that may still become a stop string begins. */
static size_t find_begun(const struct mbi_talk *talk, const struct mbi_session_settings *set)
{
    size_t at = talk->n_held < MBI_STOP_MAX ? 0 : talk->n_held - MBI_STOP_MAX;

    for (; at < talk->n_held; at++)
        for (uint32_t i = 0; i < set->n_stops; i++)
            if (talk->n_held - at < set->stop[i].len &&
                !memcmp(talk->held + at, set->stop[i].text, talk->n_held - at))
                return at;
    return talk->n_held;
}

/* Bytes behind `end` are zero, so that equal talks are equal bytes. */
static void cut_held(struct mbi_talk *talk, size_t end)
{
    memset(talk->held + end, 0, talk->n_held - end);
    talk->n_held = (uint32_t)end;
}

void mbi_talk_add(struct mbi_talk *talk, const struct mbi_session_settings *set, const char *bytes,
                  size_t n)
{
    size_t stop;

    memcpy(talk->held + talk->n_held, bytes, n);
    talk->n_held += (uint32_t)n;
    if ((stop = find_stop(talk, set)) == SIZE_MAX)
        return;
    cut_held(talk, stop);
    talk->ended = MBI_ENDED_STOP;
}

/* At the end everything goes out, an unfinished character as U+FFFD. */
void mbi_talk_render(struct mbi_talk *talk, const struct mbi_session_settings *set)
{
    struct mbi_stream_text stream = {{0}, 0};
    size_t n = talk->n_held, len = 0, more = 0;

    if (!talk->ended)
        n = mbi_utf8_whole(talk->held, find_begun(talk, set));
    mbi_stream_text_add(&stream, talk->piece, sizeof(talk->piece), &len, (const char *)talk->held,
                        n);
    mbi_stream_text_end(&stream, talk->piece + len, sizeof(talk->piece) - len, &more);
    talk->n_ready = (uint32_t)n;
    talk->n_piece = (uint32_t)(len + more);
}

void mbi_talk_delivered(struct mbi_talk *talk)
{
    const size_t left = talk->n_held - talk->n_ready;

    memmove(talk->held, talk->held + talk->n_ready, left);
    cut_held(talk, left);
    talk->n_ready = talk->kept = 0;
}
