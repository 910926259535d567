/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On one thread a step takes no memory, no lock and makes no system call. This program replaces the
 * C library's allocator and stands before its locks; system calls are refused by the kernel, in a
 * child that is past its first steps.
 * Usage: step MODEL
 * Status 77 and a sentence: the system does not let a process refuse its own system calls.
 */
#include <mambaint.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#endif

#define WARM_UP 4
#define STEPS 64
#define MANY 3
#define CAUGHT 3 /* status of a child that made a system call */

/* ---- what is counted while `armed` ---- */

static atomic_bool armed;
static atomic_uint allocations, hooked, locks; /* hooked: through the context's allocator */

static void count(atomic_uint *n)
{
    if (atomic_load(&armed))
        atomic_fetch_add(n, 1);
}

static void arm(void)
{
    atomic_store(&allocations, 0);
    atomic_store(&hooked, 0);
    atomic_store(&locks, 0);
    atomic_store(&armed, true);
}

static unsigned disarm(void)
{
    atomic_store(&armed, false);
    return atomic_load(&allocations) + atomic_load(&hooked) + atomic_load(&locks);
}

/* ---- the C library's allocator: blocks one after the other, never used again ---- */

#define ARENA ((size_t)256 << 20)
#define HEAD 16 /* before a block: its size */

static _Alignas(64) unsigned char arena[ARENA];
static atomic_size_t used;

static void *take(size_t align, size_t size)
{
    size_t at;
    unsigned char *block;

    count(&allocations);
    if (align < HEAD)
        align = HEAD;
    if (size > ARENA || align > ARENA)
        return NULL;
    at = atomic_fetch_add(&used, (HEAD + align + size + HEAD - 1) / HEAD * HEAD) + HEAD;
    at = (at + align - 1) / align * align;
    if (at > ARENA || size > ARENA - at)
        return NULL;
    block = arena + at;
    memcpy(block - HEAD, &size, sizeof(size));
    return block;
}

static size_t size_of(const void *block)
{
    size_t size = 0;

    if (block)
        memcpy(&size, (const unsigned char *)block - HEAD, sizeof(size));
    return size;
}

void *malloc(size_t size) { return take(HEAD, size); }

void free(void *block)
{
    if (block)
        count(&allocations);
}

void *calloc(size_t n, size_t size)
{
    return size && n > ARENA / size ? NULL : take(HEAD, n * size);
}

void *realloc(void *old, size_t size)
{
    void *block = take(HEAD, size);
    const size_t before = size_of(old);

    return block && before ? memcpy(block, old, before < size ? before : size) : block;
}

void *memalign(size_t align, size_t size) { return take(align, size); }
void *aligned_alloc(size_t align, size_t size) { return take(align, size); }
size_t malloc_usable_size(void *block) { return size_of(block); }

int posix_memalign(void **out, size_t align, size_t size)
{
    return (*out = take(align, size)) ? 0 : ENOMEM;
}

/* ---- locks ---- */

/* A pointer to an object cannot be cast to one to a function. */
static void find_next(void *function, const char *name)
{
    void *const found = dlsym(RTLD_NEXT, name);

    memcpy(function, &found, sizeof(found));
}

#define LOCK(name, type)                                                                           \
    int name(type *lock)                                                                           \
    {                                                                                              \
        int (*next)(type *);                                                                       \
        count(&locks);                                                                             \
        find_next(&next, #name);                                                                   \
        return next(lock);                                                                         \
    }

LOCK(pthread_mutex_lock, pthread_mutex_t)
LOCK(pthread_mutex_trylock, pthread_mutex_t)
LOCK(pthread_cond_signal, pthread_cond_t)
LOCK(pthread_cond_broadcast, pthread_cond_t)
LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)

/* ---- system calls ---- */

#if defined(__linux__) && defined(SECCOMP_RET_TRAP)

/* What the kernel does not pass on ends here. */
static void caught(int signal, siginfo_t *info, void *context)
{
    char text[] = "a system call: number 0000\n";
    int n = info->si_syscall;

    (void)signal;
    (void)context;
    for (char *p = text + sizeof(text) - 3; n && *p != ' '; n /= 10)
        *p-- = (char)('0' + n % 10);
    if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
        _exit(CAUGHT + 1);
    _exit(CAUGHT);
}

/* From here on this process may write, end, and nothing else. */
static int refuse_calls(void)
{
#define ALLOW(nr)                                                                                  \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_write),
        ALLOW(SYS_exit_group),
        ALLOW(SYS_rt_sigreturn),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
#undef ALLOW
    const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    struct sigaction action = {.sa_flags = SA_SIGINFO};

    action.sa_sigaction = caught;
    if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return errno;
    return 0;
}
#else
static int refuse_calls(void) { return ENOSYS; }
#endif

/* ---- the scenes ---- */

struct scene {
    const char *name;
    const char *option[5][2];
};

static const struct scene scenes[] = {
    {"greedy", {{"temperature", "0"}}},
    {"sampled", {{"seed", "5"}}},
    {"every setting",
     {{"top-k", "40"}, {"min-p", "0.01"}, {"repeat-penalty", "0.5"}, {"stop", "zebra crossing"}}},
    {"greedy, scalar", {{"temperature", "0"}, {"backend", "scalar"}}},
    {"sampled, scalar", {{"seed", "5"}, {"backend", "scalar"}}},
};

static void die(const char *what)
{
    printf("%s\n", what);
    fflush(stdout);
    _exit(1);
}

static void must(int32_t rc, const mambaint_error *err)
{
    if (rc < 0)
        die(err->message);
}

static void *hook(void *user, void *old, size_t size)
{
    (void)user;
    count(&hooked);
    if (size)
        return realloc(old, size);
    free(old);
    return NULL;
}

static mambaint_session *open_session(mambaint_model *model, const struct scene *scene)
{
    static const int32_t start[] = {0}; /* the end of a text, before another */
    mambaint_options *options;
    mambaint_session *s;
    mambaint_error err = {0, "no memory"};

    must(mambaint_options_create(&options), &err);
    for (int i = 0; i < 5 && scene->option[i][0]; i++)
        must(mambaint_options_set(options, scene->option[i][0], scene->option[i][1], &err), &err);
    must(mambaint_session_create(&s, model, options, &err), &err);
    mambaint_options_free(options);
    must(mambaint_session_feed(s, start, 1, &err), &err);
    return s;
}

/* Steps of one session and of several together. A text that is over is followed by another. */
static int32_t step(mambaint_session *const s[MANY], int steps, mambaint_error *err)
{
    static const int32_t again[] = {0};
    int32_t status[MANY], rc;
    char piece[2048];
    size_t n;

    for (int i = 0; i < steps; i++) {
        if ((rc = mambaint_session_next(piece, sizeof(piece), &n, s[0], err)) < 0 ||
            (rc == MAMBAINT_END && (rc = mambaint_session_feed(s[0], again, 1, err)) < 0) ||
            (rc = mambaint_session_next_many(status, s, MANY, err)) < 0)
            return rc;
        for (int k = 0; k < MANY; k++)
            if (status[k] == MAMBAINT_END && (rc = mambaint_session_feed(s[k], again, 1, err)) < 0)
                return rc;
    }
    return MAMBAINT_OK;
}

/* ---- the test ---- */

/* The status of a child that does this where system calls are refused; 77 if they cannot be. */
static int without_calls(mambaint_session *const s[MANY])
{
    int status;
    pid_t child;

    fflush(stdout);
    if ((child = fork()) < 0)
        die("fork fails");
    if (!child) {
        mambaint_error err;
        int cause = refuse_calls();

        if (cause) {
            printf("SKIP: this system does not let a process refuse its own system calls (%s)\n",
                   strerror(cause));
            fflush(stdout);
            _exit(77);
        }
        if (!s) { /* to see that it is noticed */
            if (write(STDOUT_FILENO, "on purpose, ", 12) < 0)
                _exit(1);
            syscall(SYS_getppid);
            _exit(0);
        }
        _exit(step(s, STEPS, &err) < 0);
    }
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
        die("the child was killed");
    return WEXITSTATUS(status);
}

/* Nothing proves anything unless what is to be counted is counted when it happens. */
static void check_counters(mambaint_model *model)
{
    static const struct scene plain = {"", {{NULL}}};

    arm();
    mambaint_session_free(open_session(model, &plain));
    disarm();
    if (!atomic_load(&allocations) || !atomic_load(&hooked) || !atomic_load(&locks))
        die("a new session was not seen to take memory and a lock");
}

static int run_scene(mambaint_model *model, const struct scene *scene)
{
    mambaint_session *s[MANY];
    mambaint_error err = {0, ""};
    unsigned seen;
    int status;

    for (int i = 0; i < MANY; i++)
        s[i] = open_session(model, scene);
    must(step(s, WARM_UP, &err), &err);
    status = without_calls(s);
    arm();
    must(step(s, STEPS, &err), &err);
    seen = disarm();
    printf("%s: %u allocations (%u by the context), %u locks, system calls: %s\n", scene->name,
           atomic_load(&allocations), atomic_load(&hooked), atomic_load(&locks),
           status == 77 ? "not looked at"
           : status     ? "made"
                        : "none");
    for (int i = 0; i < MANY; i++)
        mambaint_session_free(s[i]);
    return seen ? 1 : status;
}

int main(int argc, char **argv)
{
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT;
    mambaint_context *ctx;
    mambaint_model *model;
    mambaint_error err;
    int worst = 0, status;

    if (argc != 2)
        die("usage: step MODEL");
    setup.alloc = hook;
    setup.threads = 1;
    must(mambaint_context_create(&ctx, &setup, &err), &err);
    must(mambaint_model_open(&model, ctx, argv[1], NULL, &err), &err);
    check_counters(model);
    status = without_calls(NULL);
    if (status != CAUGHT && status != 77)
        die("a system call was not caught");
    for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
        status = run_scene(model, &scenes[i]);
        if (status && worst != 1)
            worst = status == 77 ? 77 : 1;
    }
    mambaint_model_unref(model);
    mambaint_context_unref(ctx);
    return worst;
}
