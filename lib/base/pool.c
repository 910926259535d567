/* SPDX-License-Identifier: Apache-2.0 */
/* Worker threads that share the parts of a loop with the calling thread. */
#include "base/host.h"
#include "base/intmath.h"
#include "base/team.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 64
#define PARTS_EACH 4    /* of a loop for every thread: what a slow one has left goes to others */
#define SPIN_NS 100000u /* spent looking before falling asleep: the gaps in a step are shorter */
#define LOOKS 32        /* between two looks at the clock */

/*
 * What belongs to one thread; seat 0 is the caller's. The parts of a loop are dealt to the seats in
 * order, so that a thread meets the same part of the same data again, in its cache. Who is done
 * with his own takes from the others.
 */
struct seat {
    /* Parts that nobody took: the next in the low 16 bits, their end in the high ones. */
    _Alignas(64) atomic_uint open;
    atomic_uint calls; /* loops that the thread was called to */
    atomic_bool parked;

    /* Of the present loop. */
    uint32_t took; /* parts it did, and the time that took; written before they count as finished */
    uint64_t ns;

    uint32_t index, answered; /* calls that it came to */
    struct mbi_pool *pool;
    pthread_t thread;
    pthread_mutex_t lock; /* held to fall asleep and to wake, never to work */
    pthread_cond_t wake;
    bool have_lock, have_wake;
};

/*
 * One loop at a time. The caller writes the description and then opens the seats' parts. A thread
 * that took a part may read the description, which cannot change before `unfinished` is zero.
 */
struct mbi_pool {
    _Alignas(64) atomic_uint unfinished; /* parts */
    _Alignas(64) atomic_bool busy;       /* a loop is running */
    atomic_bool stop;
    atomic_uint seats; /* that the last loop was dealt to */

    void (*fn)(void *arg, size_t begin, size_t end);
    void *arg;
    size_t n, grain;
    uint32_t parts;

    struct mbi_team team;      /* of the thread that made the pool busy */
    const unsigned char *mark; /* a page that the system wipes in a fork's child; or NULL */
    size_t mark_size;
    pid_t pid;
    uint32_t threads; /* those that run, with the caller */
    struct seat seat[];
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t); /* no system call on usual machines */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- waiting ---- */

static bool is_called(const struct seat *s)
{
    return atomic_load(&s->calls) != s->answered || atomic_load(&s->pool->stop);
}

static bool is_finished(const struct seat *s) { return !atomic_load(&s->pool->unfinished); }

/*
 * The sleeper announces itself and then looks again; the waker changes what is looked at and then
 * looks for a sleeper. With sequentially consistent atomics one of them sees the other.
 */
static void wait_until(struct seat *s, bool (*ready)(const struct seat *s))
{
    const uint64_t begin = now_ns();

    do {
        for (int i = 0; i < LOOKS; i++) {
            if (ready(s))
                return;
            MBI_PAUSE();
        }
    } while (now_ns() - begin < SPIN_NS);
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->parked, true);
    while (!ready(s))
        pthread_cond_wait(&s->wake, &s->lock);
    atomic_store(&s->parked, false);
    pthread_mutex_unlock(&s->lock);
}

static void wake(struct seat *s)
{
    if (!atomic_load(&s->parked))
        return;
    pthread_mutex_lock(&s->lock); /* now it waits for the signal or has seen what changed */
    pthread_mutex_unlock(&s->lock);
    pthread_cond_signal(&s->wake);
}

/* ---- working ---- */

/* Where part i begins, in grains: i/parts of them, rounded down. i * parts fits in 16 bits. */
static size_t cut(const struct mbi_pool *p, size_t i)
{
    const size_t grains = p->n / p->grain + (p->n % p->grain != 0);

    return grains / p->parts * i + grains % p->parts * i / p->parts;
}

static void run_part(const struct mbi_pool *p, uint32_t i)
{
    /* the end of the last part in grains could overflow */
    p->fn(p->arg, cut(p, i) * p->grain, i + 1 == p->parts ? p->n : cut(p, i + 1) * p->grain);
}

static bool is_open(unsigned parts) { return (parts & 0xffff) < parts >> 16; }

/*
 * Own one part: the next of the thread's own, else one of the others'. False if there is none.
 * A seat whose parts are gone is counted up once more by each thread at most, far from the end of
 * 16 bits.
 */
static bool claim(struct mbi_pool *p, uint32_t self, uint32_t *part)
{
    const uint32_t seats = atomic_load_explicit(&p->seats, memory_order_relaxed);

    for (uint32_t i = 0; i < seats; i++) {
        atomic_uint *open = &p->seat[(self + i) % seats].open;
        unsigned parts;

        if (is_open(atomic_load(open)) && is_open(parts = atomic_fetch_add(open, 1))) {
            *part = parts & 0xffff;
            return true;
        }
    }
    return false;
}

/* Parts count as finished all together: until then the loop cannot end. */
static void work(struct mbi_pool *p, struct seat *s)
{
    uint32_t part, took = 0;
    uint64_t begin = 0;

    while (claim(p, s->index, &part)) {
        if (!took++)
            begin = now_ns();
        run_part(p, part);
    }
    if (!took)
        return;
    s->took = took;
    s->ns = now_ns() - begin;
    if (atomic_fetch_sub(&p->unfinished, took) == took)
        wake(&p->seat[0]);
}

static void *worker_main(void *arg)
{
    struct seat *s = arg;

    for (;;) {
        wait_until(s, is_called);
        if (atomic_load(&s->pool->stop))
            return NULL;
        s->answered = atomic_load(&s->calls);
        work(s->pool, s);
    }
}

/* ---- a loop ---- */

static void deal(struct mbi_pool *p, uint32_t seats)
{
    atomic_store(&p->unfinished, p->parts);
    atomic_store_explicit(&p->seats, seats, memory_order_relaxed);
    for (uint32_t i = 0; i < seats; i++)
        p->seat[i].took = 0;
    for (uint32_t i = 0; i < seats; i++) {
        const uint32_t begin = i * p->parts / seats, end = (i + 1) * p->parts / seats;

        atomic_store(&p->seat[i].open, end << 16 | begin);
    }
    for (uint32_t i = 1; i < seats; i++) {
        atomic_fetch_add(&p->seat[i].calls, 1);
        wake(&p->seat[i]);
    }
}

/*
 * What a part takes: the caller's mean or that of all workers, whichever is less, because a thread
 * that lost its core in a part has a mean of milliseconds.
 */
static uint64_t time_of_part(const struct mbi_pool *p, uint32_t seats)
{
    const struct seat *caller = &p->seat[0];
    uint64_t ns = 0, took = 0;

    for (uint32_t i = 1; i < seats; i++)
        if (p->seat[i].took) {
            took += p->seat[i].took;
            ns += p->seat[i].ns;
        }
    if (caller->took && (!took || caller->ns / caller->took < ns / took))
        return caller->ns / caller->took;
    return took ? ns / took : 0;
}

/* Returns what the loop would have taken if nobody had waited for anybody. */
static uint64_t run_together(struct mbi_pool *p, uint32_t seats, size_t grains)
{
    p->parts = (uint32_t)mbi_min_size((size_t)seats * PARTS_EACH, grains);
    deal(p, seats);
    work(p, &p->seat[0]);
    wait_until(&p->seat[0], is_finished);
    return time_of_part(p, seats) * ((p->parts + seats - 1) / seats);
}

static bool is_forked(const struct mbi_pool *p) { return p->mark ? !*p->mark : p->pid != getpid(); }

/*
 * A loop inside a loop, and one of a second calling thread, run on the thread that asks. So does
 * every loop in the child of a fork, which has no workers.
 */
void mbi_parallel_for(const struct mbi_host *host, size_t n, size_t grain,
                      void (*fn)(void *arg, size_t begin, size_t end), void *arg)
{
    struct mbi_pool *p = host->pool;
    uint64_t begin, even = 0;
    size_t grains;
    uint32_t seats;

    if (!n)
        return;
    if (!p || n <= grain || is_forked(p) || atomic_exchange(&p->busy, true)) {
        fn(arg, 0, n);
        return;
    }
    begin = now_ns();
    grains = n / grain + (n % grain != 0);
    seats = (uint32_t)mbi_min_size(p->team.active, grains);
    if (seats == 1) {
        fn(arg, 0, n);
    } else {
        p->fn = fn;
        p->arg = arg;
        p->n = n;
        p->grain = grain;
        even = run_together(p, seats, grains);
    }
    mbi_team_note(&p->team, seats, now_ns() - begin, even);
    atomic_store(&p->busy, false);
}

/* ---- workers ---- */

static int open_seat(struct mbi_pool *p, uint32_t index)
{
    struct seat *s = &p->seat[index];
    int cause;

    s->pool = p;
    s->index = index;
    s->have_lock = !(cause = pthread_mutex_init(&s->lock, NULL));
    s->have_wake = !cause && !(cause = pthread_cond_init(&s->wake, NULL));
    return cause;
}

static void close_seat(struct seat *s)
{
    if (s->have_wake)
        pthread_cond_destroy(&s->wake);
    if (s->have_lock)
        pthread_mutex_destroy(&s->lock);
}

/* The host's signal handlers must not run on our threads: they inherit a full mask. */
static int start_worker(struct seat *s)
{
    sigset_t all, old;
    int cause;

    sigfillset(&all);
    if ((cause = pthread_sigmask(SIG_SETMASK, &all, &old)))
        return cause;
    cause = pthread_create(&s->thread, NULL, worker_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return cause;
}

static int start(struct mbi_pool *p, uint32_t threads)
{
    int cause = open_seat(p, 0);

    for (p->threads = 1; !cause && p->threads < threads; p->threads++)
        if ((cause = open_seat(p, p->threads)) || (cause = start_worker(&p->seat[p->threads]))) {
            close_seat(&p->seat[p->threads]);
            break;
        }
    return cause;
}

/*
 * So that a fork's child knows itself without a system call for every loop. Emulators are known
 * that accept any advice and follow none.
 */
static void mark_process(struct mbi_pool *p)
{
    p->pid = getpid();
#if defined(MADV_WIPEONFORK)
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *page =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return;
    if (madvise(page, size, -1) && !madvise(page, size, MADV_WIPEONFORK)) {
        *page = 1;
        p->mark = page;
        p->mark_size = size;
    } else {
        munmap(page, size);
    }
#endif
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
    if (!(p = mbi_alloc_aligned(host, sizeof(*p) + threads * sizeof(p->seat[0]))))
        return mbi_fail_memory(err, "the worker threads");
    mbi_team_init(&p->team, threads);
    mark_process(p);
    if ((cause = start(p, threads))) {
        const uint32_t running = p->threads;

        mbi_pool_free(host, p);
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "cannot start thread %u of %u (error %d of the system); ask for fewer",
                        running + 1, threads, cause);
    }
    *out = p;
    return MAMBAINT_OK;
}

static void stop_workers(struct mbi_pool *p)
{
    atomic_store(&p->stop, true);
    for (uint32_t i = 1; i < p->threads; i++)
        wake(&p->seat[i]);
    for (uint32_t i = 1; i < p->threads; i++)
        pthread_join(p->seat[i].thread, NULL);
    for (uint32_t i = 0; i < p->threads; i++)
        close_seat(&p->seat[i]);
}

/* In a fork's child there is nobody to stop, and the locks may be held by threads that are not. */
void mbi_pool_free(const struct mbi_host *host, struct mbi_pool *pool)
{
    if (!pool)
        return;
    if (!is_forked(pool))
        stop_workers(pool);
    if (pool->mark)
        munmap((void *)(uintptr_t)pool->mark, pool->mark_size);
    mbi_free_aligned(host, pool);
}

uint32_t mbi_pool_threads(const struct mbi_pool *pool) { return pool ? pool->threads : 1; }
