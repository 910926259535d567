/* SPDX-License-Identifier: Apache-2.0 */
/* Fibers and the runtime of tests/cuda/emulate.h. */
#include "tests/cuda/emulate.h"

#include <chrono>
#include <memory>
#include <ucontext.h>

/* ---- from one stack to another ---- */

#define STACK ((size_t)64 << 10)

#if defined(__x86_64__)
/* What a call preserves goes to the old stack and comes from the new one; the C library's way asks
 * the system for the signal mask each time, which takes most of the time of a test. */
extern "C" void mbi_emu_swap(void **old_stack, void *new_stack);
asm(".text\n"
    ".type mbi_emu_swap, @function\n"
    "mbi_emu_swap:\n"
    "push %rbp\n"
    "push %rbx\n"
    "push %r12\n"
    "push %r13\n"
    "push %r14\n"
    "push %r15\n"
    "mov %rsp, (%rdi)\n"
    "mov %rsi, %rsp\n"
    "pop %r15\n"
    "pop %r14\n"
    "pop %r13\n"
    "pop %r12\n"
    "pop %rbx\n"
    "pop %rbp\n"
    "ret\n"
    ".size mbi_emu_swap, . - mbi_emu_swap\n");

struct context {
    void *stack;
};

static void context_make(context *c, char *stack, void (*entry)(void))
{
    void **top = (void **)(stack + STACK - 64);

    top[0] = (void *)entry; /* where the first swap returns to */
    top[1] = nullptr;
    c->stack = top - 6;
}

static void context_swap(context *from, context *to) { mbi_emu_swap(&from->stack, to->stack); }
#else
typedef ucontext_t context;

static void context_make(context *c, char *stack, void (*entry)(void))
{
    getcontext(c);
    c->uc_stack.ss_sp = stack;
    c->uc_stack.ss_size = STACK;
    c->uc_link = nullptr;
    makecontext(c, entry, 0);
}

static void context_swap(context *from, context *to) { swapcontext(from, to); }
#endif

/* ---- fibers ---- */

struct fiber : mbi_emu_thread {
    ::context place; /* where it goes on */
    std::unique_ptr<char, void (*)(void *)> stack{nullptr, free};
    unsigned block_index, warp_first, warp_size;
    int waits; /* mbi_emu_wait; 0: can run */
    bool done;
};

mbi_emu_thread *mbi_emu_self;

static std::vector<std::unique_ptr<fiber>> fibers; /* reused from launch to launch */
static context scheduler;
static const std::function<void()> *kernel_body;

static void fiber_main(void)
{
    (*kernel_body)();
    static_cast<fiber *>(mbi_emu_self)->done = true;
    context_swap(&static_cast<fiber *>(mbi_emu_self)->place, &scheduler);
}

void mbi_emu_yield(mbi_emu_wait at)
{
    fiber *f = static_cast<fiber *>(mbi_emu_self);

    f->waits = at;
    context_swap(&f->place, &scheduler);
}

mbi_emu_thread *mbi_emu_lane(unsigned lane)
{
    const fiber *f = static_cast<fiber *>(mbi_emu_self);

    if (lane >= f->warp_size) {
        fprintf(stderr, "emulated CUDA: lane %u of a warp of %u\n", lane, f->warp_size);
        abort();
    }
    return fibers[f->warp_first + lane].get();
}

/* Let the threads [begin, end) go on if all that are left wait at `at`. */
static bool release(size_t begin, size_t end, int at)
{
    bool any = false;

    for (size_t i = begin; i < end; i++) {
        if (fibers[i]->done)
            continue;
        if (fibers[i]->waits != at)
            return false;
        any = true;
    }
    for (size_t i = begin; any && i < end; i++)
        fibers[i]->waits = 0;
    return any;
}

/* With MBI_EMULATE_BACKWARDS set, the last thread goes first: who counts on an order that no
 * barrier makes gets other results then. */
static void run_threads(size_t n, unsigned block)
{
    static const bool backwards = getenv("MBI_EMULATE_BACKWARDS") != nullptr;
    unsigned idle = 0; /* rounds in which threads only looked at words */

    for (;;) {
        bool ran = false, left = false, looks = false;

        for (size_t k = 0; k < n; k++) {
            const size_t i = backwards ? n - 1 - k : k;

            if (fibers[i]->done || fibers[i]->waits)
                continue;
            mbi_emu_self = fibers[i].get();
            context_swap(&scheduler, &fibers[i]->place);
            ran |= fibers[i]->waits != MBI_EMU_WORD;
        }
        /* Who waits for a word looks again, and may find it and wait for the next. */
        for (size_t i = 0; i < n; i++)
            if (fibers[i]->waits == MBI_EMU_WORD) {
                fibers[i]->waits = 0;
                looks = true;
            }
        for (size_t i = 0; i < n; i += fibers[i]->warp_size)
            ran |= release(i, i + fibers[i]->warp_size, MBI_EMU_WARP);
        for (size_t i = 0; i < n; i += block)
            ran |= release(i, i + block, MBI_EMU_BLOCK);
        for (size_t i = 0; i < n; i++)
            left |= !fibers[i]->done;
        if (!left)
            return;
        idle = ran ? 0 : idle + 1;
        if (!ran && (!looks || idle > 1000)) {
            fprintf(stderr, "emulated CUDA: the threads wait for each other at different places\n");
            abort();
        }
    }
}

static void start(fiber *f, size_t index, unsigned block, dim3 at, dim3 grid, char *shared)
{
    const unsigned t = (unsigned)(index % block);

    f->thread = dim3(t);
    f->block = at;
    f->block_size = dim3(block);
    f->grid = grid;
    f->shared = shared;
    f->lane = t % 32;
    f->warp_first = (unsigned)index - f->lane;
    f->warp_size = block - (t - f->lane) < 32 ? block - (t - f->lane) : 32;
    f->done = false;
    f->waits = 0;
    f->copies.clear();
    f->groups = 0;
    if (!f->stack)
        f->stack.reset((char *)aligned_alloc(64, STACK));
    context_make(&f->place, f->stack.get(), fiber_main);
}

void mbi_emu_run(dim3 grid, unsigned block, size_t shared, bool together,
                 const std::function<void()> &body)
{
    const size_t blocks = (size_t)grid.x * grid.y * grid.z, most = together ? blocks : 1;
    const size_t size = (shared + 15) / 16 * 16 + 16;
    std::vector<char> memory(most * size + 16);
    char *base = memory.data() + (16 - (uintptr_t)memory.data() % 16) % 16;

    if (!blocks || !block || block > 1024) {
        fprintf(stderr, "emulated CUDA: a grid of %zu blocks of %u threads\n", blocks, block);
        abort();
    }
    while (fibers.size() < most * block)
        fibers.emplace_back(new fiber());
    kernel_body = &body;
    for (size_t b = 0; b < blocks; b += most) {
        memset(base, 0xa5, most * size);
        for (size_t i = 0; i < most * block; i++) {
            const size_t k = b + i / block;
            const dim3 at((unsigned)(k % grid.x), (unsigned)(k / grid.x % grid.y),
                          (unsigned)(k / grid.x / grid.y));

            start(fibers[i].get(), i, block, at, grid, base + i / block * size);
        }
        run_threads(most * block, block);
    }
    mbi_emu_self = nullptr;
}

/* ---- the runtime ---- */

cudaError_t mbi_emu_do(cudaStream_t s, std::function<void()> work)
{
    if (s && s->capturing)
        s->work.push_back(work);
    else
        work();
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t e) { return e ? "emulated failure" : "no error"; }
const char *cudaGetErrorName(cudaError_t e) { return e ? "cudaErrorEmulated" : "cudaSuccess"; }
cudaError_t cudaGetLastError(void) { return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int *n)
{
    *n = 1;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return cudaSuccess;
}
/* MBI_EMULATE_PROCESSORS: how many there are; with many, some have nothing to do.
 * MBI_EMULATE_SHARED: bytes of shared memory a block may have. */
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int)
{
    switch (what) {
    case cudaDevAttrMultiProcessorCount:
        *value = getenv("MBI_EMULATE_PROCESSORS") ? atoi(getenv("MBI_EMULATE_PROCESSORS")) : 3;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = getenv("MBI_EMULATE_SHARED") ? atoi(getenv("MBI_EMULATE_SHARED")) : 227 << 10;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = 9;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = 0;
        break;
    default:
        *value = 1;
    }
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize(void) { return cudaSuccess; }
/* With MBI_EMULATE_REFUSE set, as it is when it is asked, there is no memory. */
cudaError_t cudaMalloc(void **p, size_t size)
{
    *p = nullptr;
    if (getenv("MBI_EMULATE_REFUSE"))
        return cudaErrorMemoryAllocation;
    *p = aligned_alloc(256, (size + 255) / 256 * 256);
    if (!*p)
        return cudaErrorMemoryAllocation;
    memset(*p, 0xa5, size);
    return cudaSuccess;
}
cudaError_t cudaFree(void *p)
{
    free(p);
    return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **p, size_t size, unsigned) { return cudaMalloc(p, size); }
cudaError_t cudaFreeHost(void *p) { return cudaFree(p); }
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    *free_bytes = *total = (size_t)8 << 30;
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, cudaMemcpyKind, cudaStream_t s)
{
    return mbi_emu_do(s, [=] { memcpy(to, from, size); });
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t size, cudaMemcpyKind kind)
{
    return cudaMemcpyAsync(to, from, size, kind, nullptr);
}
cudaError_t cudaMemsetAsync(void *p, int v, size_t size, cudaStream_t s)
{
    return mbi_emu_do(s, [=] { memset(p, v, size); });
}
cudaError_t cudaMemset(void *p, int v, size_t size) { return cudaMemsetAsync(p, v, size, nullptr); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    *s = new mbi_emu_stream();
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    delete s;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode)
{
    s->capturing = true;
    s->work.clear();
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *graph)
{
    s->capturing = false;
    *graph = new std::vector<std::function<void()>>(s->work);
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    *exec = new std::vector<std::function<void()>>(*graph);
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t)
{
    for (auto &work : *exec)
        work();
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

struct mbi_emu_event {
    std::chrono::steady_clock::time_point at;
};
cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    *e = new mbi_emu_event();
    return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) { return cudaEventCreate(e); }
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t)
{
    e->at = std::chrono::steady_clock::now();
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    *ms = std::chrono::duration<float, std::milli>(to->at - from->at).count();
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    delete e;
    return cudaSuccess;
}
