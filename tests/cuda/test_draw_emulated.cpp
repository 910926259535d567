/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda/draw.cu on the emulator against mbi_sample(): tokens, kept logits, positions and stops of
 * several streams, over logits with many equals, at the ends of their range, and in large
 * vocabularies. Usage: test_draw_emulated [seed [rounds]]
 */
#include "cuda/draw.h"

#include <cinttypes>

/* What draw.cu takes from other files. */
int32_t mbi_cuda_check(cudaError_t e, mambaint_error *, const char *)
{
    return e ? MAMBAINT_E_INTERNAL : MAMBAINT_OK;
}
void *mbi_cuda_alloc(const struct mbi_host *, size_t n, size_t size) { return calloc(n, size); }
void mbi_cuda_free(const struct mbi_host *, void *p) { free(p); }

static uint64_t random_state;

static uint64_t next64(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t below(uint32_t n) { return (uint32_t)(next64() % n); }

static int32_t any_logit(uint32_t kind, uint32_t i, uint32_t n)
{
    switch (kind) {
    case 0: /* equal */
        return -7;
    case 1: /* the ends of 28 bits */
        return below(50) ? -(1 << 27) : (1 << 27) - 1;
    case 2: /* halves of halves, many of them equal */
        return (int32_t)((uint32_t)__builtin_ctz((unsigned)next64() | 1u << 20) * 2839);
    case 3: /* rising */
        return (int32_t)((uint64_t)i * 80000 / n);
    case 4: /* where weights become one and then zero, for a temperature of 1 */
        return i % 1000 == 3 ? 100000 : 100000 - 88000 + (int32_t)below(200) - 100;
    default: { /* a bell of any width */
        const uint32_t width = 2u << below(24);

        return (int32_t)below(width) + (int32_t)below(width) - (int32_t)width;
    }
    }
}

static struct mbi_sampler any_settings(uint32_t n)
{
    static const uint32_t temperature[] = {0, 1, 26, 128, 205, 256, 512, 65280, 65535};
    struct mbi_sampler set = {};

    set.seed = next64();
    set.temperature = temperature[below(9)];
    set.top_p = MBI_TOP_P_OFF;
    if (below(2))
        set.top_k = below(3) ? below(n + 10) : below(4);
    if (below(2))
        set.top_p = below(8) ? below(65537) : below(2);
    if (below(2))
        set.min_p = below(2) ? below(65537) : below(2000);
    if (below(2))
        set.repeat_penalty = (int32_t)below((uint32_t)MBI_REPEAT_PENALTY_MAX + 1);
    return set;
}

static void fail(const char *what, uint64_t seed, const struct mbi_sampler *set, uint32_t n)
{
    printf("%s: seed %" PRIu64 ", n %u, temperature %u, top-k %u, top-p %u, min-p %u, penalty %d\n",
           what, seed, n, set->temperature, set->top_k, set->top_p, set->min_p,
           set->repeat_penalty);
    exit(1);
}

static int32_t argmax_of(const int32_t *z, uint32_t n)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < n; i++)
        best = z[i] > z[best] ? i : best;
    return (int32_t)best;
}

/* What the reference draws, with the history as a stream has it. */
static int32_t want_of(const struct mbi_draw *d, const int32_t *z, uint32_t n)
{
    const uint64_t pos = d->pos + 1;
    const size_t n_recent = mbi_min_size(d->repeat_last, (size_t)mbi_min_u64(pos, MBI_RECENT_MAX));
    std::vector<int32_t> work(n), recent(n_recent + 1);

    for (size_t i = 0; i < n_recent; i++)
        recent[i] = i ? d->history[(pos - 1 - i) % MBI_RECENT_MAX] : d->id;
    return mbi_sample(d->sampler, work.data(), z, n, recent.data(), n_recent, pos);
}

static struct mbi_cuda_batch batch; /* large */

static void compare(uint64_t seed, uint32_t n)
{
    const uint32_t streams = 1 + below(3), kind = below(8);
    std::vector<int32_t> z((size_t)streams * n), argmax(streams),
        rows(streams * n * (MBI_ROWS + 1));
    std::vector<std::vector<int32_t>> history(streams, std::vector<int32_t>(MBI_RECENT_MAX));
    std::vector<struct mbi_sampler> set(streams);
    std::vector<struct mbi_rows> keeps(streams);
    std::vector<struct mbi_draw> draw(streams);
    std::vector<struct mbi_cuda_run> runs(streams);
    struct mbi_draws draws = {draw.data(), streams, 2, {(int32_t)below(n), -1}};
    struct mbi_cuda_choice c = {&batch, runs.data(), z.data(), below(2) ? argmax.data() : NULL,
                                n,      0,           2};
    uint32_t live = 0;

    for (uint32_t s = 0; s < streams; s++) {
        for (uint32_t i = 0; i < n; i++)
            z[(size_t)s * n + i] = any_logit(kind, i, n);
        for (int32_t &id : history[s])
            id = (int32_t)below(n);
        argmax[s] = argmax_of(&z[(size_t)s * n], n);
        set[s] = any_settings(n);
        keeps[s].device = &rows[(size_t)s * n * (MBI_ROWS + 1)];
        keeps[s].vocab = n;
        draw[s].rows = &keeps[s];
        draw[s].pos = below(2) ? below(300) : next64() >> 2;
        draw[s].id = (int32_t)below(n);
        draw[s].sampler = &set[s];
        draw[s].repeat_last = below(2) ? below(MBI_RECENT_MAX + 1) : below(4);
        draw[s].history = history[s].data();
        runs[s].pos = draw[s].pos;
    }
    mbi_cuda_fill_batch(&batch, &draws, true);
    mbi_cuda_choose(&c, streams, nullptr);
    for (uint32_t s = 0; s < streams; s++) {
        const int32_t *mine = &z[(size_t)s * n];
        const int32_t want = want_of(&draw[s], mine, n);

        if (batch.next[s] != want || batch.ids[2 * s] != want)
            fail("another token", seed, &set[s], n);
        if (memcmp(keeps[s].device + draw[s].pos % MBI_ROWS * n, mine, n * sizeof(*mine)))
            fail("other logits", seed, &set[s], n);
        if (runs[s].pos != draw[s].pos + 1 ||
            batch.drawing[s].history[runs[s].pos % MBI_RECENT_MAX] != want)
            fail("another place", seed, &set[s], n);
        live += want != draws.stop[0];
    }
    if (batch.live[1] != live)
        fail("other streams live", seed, &set[0], n);
}

int main(int argc, char **argv)
{
    static const uint32_t size[] = {1, 2, 31, 33, 63, 65, 300, 1023, 1025};
    const uint64_t seed = argc > 1 ? strtoull(argv[1], nullptr, 10) : 1;
    const int rounds = argc > 2 ? atoi(argv[2]) : 400;

    for (int i = 0; i < rounds; i++) {
        random_state = seed + (uint64_t)i * 1000003;
        compare(seed, i % 100 == 99 ? 1u << (14 + below(4))
                      : below(2)    ? size[below(9)]
                                    : 1 + below(700));
    }
    printf("%d batches of draws, all equal\n", rounds);
    return 0;
}
