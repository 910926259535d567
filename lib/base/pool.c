/* SPDX-License-Identifier: Apache-2.0 */
/* Worker threads that share the parts of a loop with the calling thread. */
#include "base/host.h"
#include "base/intmath.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#define MAX_THREADS 64 /* one bit of `unclaimed` each */
#define SPIN 4000      /* looks at a shared word before sleeping: a few microseconds */

struct worker {
    struct mbi_pool *pool;
    uint32_t index;
    pthread_t thread;
};

/*
 * One loop at a time. The caller writes the description and then publishes the parts by setting
 * their bits in `unclaimed`. A thread that clears a bit owns that part; only then may it read the
 * description, which cannot change before `unfinished` is zero. Part i goes to thread i if that is
 * awake, so that data stays in its cache, and to whoever is idle otherwise.
 */
struct mbi_pool {
    _Alignas(64) _Atomic uint64_t unclaimed;
    _Alignas(64) atomic_uint unfinished;
    _Alignas(64) atomic_bool busy; /* a loop is running */
    atomic_bool stop, caller_sleeps;
    atomic_uint sleepers;

    void (*fn)(void *arg, size_t begin, size_t end);
    void *arg;
    size_t n, grain;
    uint32_t parts;

    pthread_mutex_t lock; /* held to fall asleep and to wake, never to work */
    pthread_cond_t work, done;
    bool have_lock, have_work, have_done;
    uint32_t threads; /* those that run, with the caller */
    struct worker worker[MAX_THREADS];
};

/* Part i of the loop in whole grains, the first n mod parts of them one grain longer. */
static void run_part(const struct mbi_pool *p, uint32_t i)
{
    const size_t grains = p->n / p->grain + (p->n % p->grain != 0);
    const size_t each = grains / p->parts, longer = grains % p->parts;
    const size_t begin = i * each + mbi_min_size(i, longer);
    const size_t end = begin + each + (i < longer);

    /* end * grain could overflow for the last part only */
    p->fn(p->arg, begin * p->grain, i + 1 == p->parts ? p->n : end * p->grain);
}

/* Own one part: thread `self`'s if it is free, else the first free one. False if none is. */
static bool claim(struct mbi_pool *p, uint32_t self, uint32_t *part)
{
    uint64_t open = atomic_load(&p->unclaimed);

    while (open) {
        const uint64_t own = (uint64_t)1 << self;
        const uint64_t bit = open & own ? own : open & (~open + 1);

        if (atomic_compare_exchange_weak(&p->unclaimed, &open, open & ~bit)) {
            *part = (uint32_t)mbi_bitlen(bit) - 1;
            return true;
        }
    }
    return false;
}

static void wake(struct mbi_pool *p, pthread_cond_t *cond)
{
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(cond);
    pthread_mutex_unlock(&p->lock);
}

static bool work_waits(struct mbi_pool *p)
{
    return atomic_load(&p->unclaimed) || atomic_load(&p->stop);
}

/*
 * The sleeper announces itself and then looks again; the waker publishes and then looks for
 * sleepers. With sequentially consistent atomics one of them sees the other.
 */
static void wait_for_work(struct mbi_pool *p)
{
    for (int i = 0; i < SPIN; i++)
        if (work_waits(p))
            return;
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while (!work_waits(p))
        pthread_cond_wait(&p->work, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

static void wait_for_end(struct mbi_pool *p)
{
    for (int i = 0; i < SPIN; i++)
        if (!atomic_load(&p->unfinished))
            return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, true);
    while (atomic_load(&p->unfinished))
        pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->caller_sleeps, false);
    pthread_mutex_unlock(&p->lock);
}

static void work(struct mbi_pool *p, uint32_t self)
{
    uint32_t part;

    while (claim(p, self, &part)) {
        run_part(p, part);
        if (atomic_fetch_sub(&p->unfinished, 1) == 1 && atomic_load(&p->caller_sleeps))
            wake(p, &p->done);
    }
}

static void *worker_main(void *arg)
{
    const struct worker *w = arg;

    while (!atomic_load(&w->pool->stop)) {
        work(w->pool, w->index);
        wait_for_work(w->pool);
    }
    return NULL;
}

/* A loop inside a loop, and one of a second calling thread, run on the thread that asks. */
void mbi_parallel_for(const struct mbi_host *host, size_t n, size_t grain,
                      void (*fn)(void *arg, size_t begin, size_t end), void *arg)
{
    struct mbi_pool *p = host->pool;

    if (!n)
        return;
    if (!p || n <= grain || atomic_exchange(&p->busy, true)) {
        fn(arg, 0, n);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    p->grain = grain;
    p->parts = (uint32_t)mbi_min_size(p->threads, n / grain + (n % grain != 0));
    atomic_store(&p->unfinished, p->parts);
    atomic_store(&p->unclaimed, UINT64_MAX >> (64 - p->parts));
    if (atomic_load(&p->sleepers))
        wake(p, &p->work);
    work(p, 0);
    wait_for_end(p);
    atomic_store(&p->busy, false);
}

/* The host's signal handlers must not run on our threads: they inherit a full mask. */
static int start_worker(struct mbi_pool *p, uint32_t index)
{
    struct worker *w = &p->worker[index];
    sigset_t all, old;
    int cause;

    w->pool = p;
    w->index = index;
    sigfillset(&all);
    if ((cause = pthread_sigmask(SIG_SETMASK, &all, &old)))
        return cause;
    cause = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return cause;
}

int32_t mbi_pool_create(struct mbi_pool **out, const struct mbi_host *host, uint32_t threads,
                        mambaint_error *err)
{
    struct mbi_pool *p;
    int cause;

    *out = NULL;
    if (threads > MAX_THREADS)
        threads = MAX_THREADS; /* loops here are too short to feed more */
    if (threads <= 1)
        return MAMBAINT_OK;
    if (!(p = mbi_alloc_aligned(host, sizeof(*p))))
        return mbi_fail_memory(err, "the worker threads");
    p->threads = 1;
    p->have_lock = !(cause = pthread_mutex_init(&p->lock, NULL));
    p->have_work = !cause && !(cause = pthread_cond_init(&p->work, NULL));
    p->have_done = !cause && !(cause = pthread_cond_init(&p->done, NULL));
    while (!cause && p->threads < threads)
        if (!(cause = start_worker(p, p->threads)))
            p->threads++;
    if (cause) {
        const uint32_t running = p->threads;

        mbi_pool_free(host, p);
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "cannot start thread %u of %u (error %d of the system); ask for fewer",
                        running + 1, threads, cause);
    }
    *out = p;
    return MAMBAINT_OK;
}

void mbi_pool_free(const struct mbi_host *host, struct mbi_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->stop, true);
    if (pool->have_done)
        wake(pool, &pool->work);
    for (uint32_t i = 1; i < pool->threads; i++)
        pthread_join(pool->worker[i].thread, NULL);
    if (pool->have_done)
        pthread_cond_destroy(&pool->done);
    if (pool->have_work)
        pthread_cond_destroy(&pool->work);
    if (pool->have_lock)
        pthread_mutex_destroy(&pool->lock);
    mbi_free_aligned(host, pool);
}

uint32_t mbi_pool_threads(const struct mbi_pool *pool) { return pool ? pool->threads : 1; }
