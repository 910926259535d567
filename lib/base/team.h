/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many threads of a pool take part in its loops. Other processes may want the same cores, and a
 * worker that loses its core in the middle of a part keeps everybody waiting for longer than it
 * helped before. So each loop is compared with what a smaller team would have taken: what it saved
 * is half credited, what it lost is debited in full, and when the account is empty the pool does
 * with one thread fewer. A larger team is tried again when the time worked without it is so long
 * that even a failure costs a small share of it, the smaller the more often it failed before. With
 * one thread nobody waits for anybody.
 *
 * No result depends on any of this: the parts of a loop are the same numbers whoever computes them.
 * Times are in nanoseconds.
 */
#ifndef MBI_BASE_TEAM_H
#define MBI_BASE_TEAM_H

#include <stdint.h>

struct mbi_team {
    uint32_t threads; /* at most, the calling one included */
    uint32_t active;  /* that may take part in the next loop */
    int64_t credit;   /* of the present size */
    int64_t waited;   /* time worked since a larger size failed, less what is to be worked off */
    int64_t share;    /* a try has to be waited for this many times as long as it may cost */
};

void mbi_team_init(struct mbi_team *t, uint32_t threads);

/*
 * A loop has ended that `seats` of the active threads took part in. `wall` is the time it took,
 * `even` (for more than one) what it would have taken if nobody had waited for anybody.
 */
void mbi_team_note(struct mbi_team *t, uint32_t seats, uint64_t wall, uint64_t even);

#endif
