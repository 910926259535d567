/* SPDX-License-Identifier: Apache-2.0 */
/* How many threads of a pool take part in its loops. */
#include "base/team.h"
#include "base/intmath.h"

#define MS ((int64_t)1000000)
#define LONGEST ((uint64_t)3600 * 1000 * 1000000) /* of a loop: sums stay far inside 64 bits */

/* A scheduler gives a process a core for 1 to 4 ms, so one or two such losses end a try. */
#define CREDIT_FIRST (2 * MS)
#define CREDIT_MOST (8 * MS) /* all threads that have it have proved themselves */
#define DEBT_MOST (8 * MS)   /* a machine that slept is not a busy one */

/* Tries may cost one part in this many of the time: at first, and if they go on failing. */
#define SHARE_FIRST 32
#define SHARE_LAST 256

void mbi_team_init(struct mbi_team *t, uint32_t threads)
{
    *t = (struct mbi_team){
        .threads = threads, .active = threads, .credit = CREDIT_FIRST, .share = SHARE_FIRST};
}

/*
 * Two threads must beat one by a fifteenth; three and more must be worth five eighths of their
 * number, which one fewer is if it is left in peace. Savings count half because they are estimates:
 * parts take longer while several threads share the memory.
 */
static int64_t gain(uint32_t seats, int64_t wall, int64_t even)
{
    const int64_t least = seats == 2 ? even * 15 / 8 : even * 8 / 5;

    return least > wall ? (least - wall) / 2 : least - wall;
}

static void resize(struct mbi_team *t, uint32_t active, int64_t waited)
{
    t->active = active;
    t->credit = CREDIT_FIRST;
    t->waited = waited;
}

/* What the loss exceeds the credit by has to be worked off, too. */
static void shrink(struct mbi_team *t, uint32_t seats)
{
    const int64_t debt = mbi_min_i64(-t->credit, DEBT_MOST);

    t->share = mbi_min_i64(2 * t->share, SHARE_LAST);
    resize(t, (uint32_t)mbi_min_size(t->active, seats) - 1, -debt * t->share);
}

void mbi_team_note(struct mbi_team *t, uint32_t seats, uint64_t wall, uint64_t even)
{
    const int64_t took = (int64_t)(wall < LONGEST ? wall : LONGEST);
    const int64_t best = even < (uint64_t)took ? (int64_t)even : took;

    if (seats > 1) {
        t->credit = mbi_min_i64(t->credit + gain(seats, took, best), CREDIT_MOST);
        if (t->credit == CREDIT_MOST && t->active == t->threads)
            t->share = SHARE_FIRST;
        if (t->credit < 0) {
            shrink(t, seats);
            return;
        }
    }
    if (t->active == t->threads)
        return;
    t->waited += took;
    if (t->waited >= CREDIT_FIRST * t->share)
        resize(t, t->active + 1, 0);
}
