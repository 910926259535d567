/* SPDX-License-Identifier: Apache-2.0 */
/* Backends that are loaded while the program runs: refused, listed, found by name, and used. */
#include "exec/module.h"
#include "tiny.h"
#include <pthread.h>
#include <unistd.h>

#define THREADS 8

/* A module that the build made, unless the path stands for itself. */
static void module_path(char out[TEST_PATH], const char *name)
{
    const char *dir = getenv("MBI_TEST_MODULES");
    char file[64];

    ck_assert_msg(dir != NULL, "MBI_TEST_MODULES has to name the folder with module-good.so");
    snprintf(file, sizeof(file), "module-%s.so", name);
    test_path(out, dir, file);
}

static const struct mbi_backend *load(const char *name)
{
    const struct mbi_backend *b = NULL;
    mambaint_error err = {0, ""};
    char path[TEST_PATH];

    module_path(path, name);
    ck_assert_msg(mbi_backend_load(&b, path, &err) == MAMBAINT_OK, "%s", err.message);
    ck_assert_ptr_nonnull(b);
    return b;
}

static size_t count_backends(void)
{
    size_t n = 0;

    while (mbi_backend_at(n))
        n++;
    return n;
}

/* Refused with these words, and nothing is listed that was not before. */
static void check_refused(const char *path, const char *words)
{
    const size_t before = count_backends();
    const struct mbi_backend *b = NULL;
    mambaint_error err = {0, ""};

    ck_assert_int_eq(mbi_backend_load(&b, path, &err), MAMBAINT_E_NO_BACKEND);
    ck_assert_ptr_null(b);
    ck_assert_int_eq(err.code, MAMBAINT_E_NO_BACKEND);
    ck_assert_msg(strstr(err.message, words) != NULL, "'%s' is not in: %s", words, err.message);
    ck_assert_uint_eq(count_backends(), before);
    ck_assert_int_eq(mbi_backend_load(&b, path, NULL), MAMBAINT_E_NO_BACKEND);
}

START_TEST(modules_of_another_build_are_refused)
{
    static const char *const fault[][2] = {
        {"abi", "interface 99"},
        {"size", "interface has 8 bytes"},
        {"ops", "another list of operations"},
        {"symbol", "no backend"},
        {"empty", "without a backend"},
        {"taken", "may not call its backend 'scalar'"},
    };
    char path[TEST_PATH];

    for (size_t i = 0; i < MBI_COUNT(fault); i++) {
        module_path(path, fault[i][0]);
        check_refused(path, fault[i][1]);
        check_refused(path, path + strlen(path) - 6); /* it says which file */
    }
}
END_TEST

START_TEST(files_that_are_no_modules_are_refused)
{
    char dir[TEST_PATH], path[TEST_PATH];

    test_dir_make(dir);
    test_path(path, dir, "none.so");
    check_refused(path, "none.so");
    test_file_write(path, "not a shared object", 19);
    check_refused(path, "none.so");
    test_file_write(path, "", 0);
    check_refused(path, "none.so");
    check_refused(dir, dir);
    test_dir_remove(dir);
}
END_TEST

START_TEST(a_module_is_listed_and_found)
{
    const size_t before = count_backends();
    const struct mbi_backend *fake, *found = NULL;
    mambaint_error err = {0, ""};
    char path[TEST_PATH];

    ck_assert_int_eq(mbi_backend_find(&found, "fake", &err), MAMBAINT_E_NO_BACKEND);
    fake = load("good");
    ck_assert_uint_eq(count_backends(), before + 1);
    ck_assert_ptr_eq(mbi_backend_at(before), fake);
    ck_assert_ptr_eq(load("good"), fake); /* once more changes nothing */
    ck_assert_uint_eq(count_backends(), before + 1);
    ck_assert_int_eq(mbi_backend_find(&found, "fake", &err), MAMBAINT_OK);
    ck_assert_ptr_eq(found, fake);
    module_path(path, "twin");
    check_refused(path, "another module with a backend 'fake'");
    ck_assert_ptr_null(mbi_backend_at(MBI_MAX_BACKENDS));
    ck_assert_ptr_null(mbi_backend_at(SIZE_MAX));
}
END_TEST

/* Whatever a module says of itself, "auto" stays with what is built in. */
START_TEST(auto_takes_no_module)
{
    const struct mbi_backend *before = NULL, *after = NULL;
    mambaint_error err = {0, ""};

    ck_assert_int_eq(mbi_backend_find(&before, "auto", &err), MAMBAINT_OK);
    load("cuda");
    ck_assert_int_eq(mbi_backend_find(&after, "auto", &err), MAMBAINT_OK);
    ck_assert_ptr_eq(after, before);
    ck_assert_int_eq(mbi_backend_find(&after, NULL, &err), MAMBAINT_OK);
    ck_assert_ptr_eq(after, before);
}
END_TEST

/* One that cannot run here is listed, and says why when it is asked for. */
START_TEST(a_missing_device_is_explained)
{
    const struct mbi_backend *b = load("away");
    mambaint_error err = {0, ""};

    ck_assert_int_eq(b->probe(), 0);
    ck_assert_int_eq(mbi_backend_find(&b, "away", &err), MAMBAINT_E_NO_BACKEND);
    ck_assert_ptr_null(b);
    ck_assert_ptr_nonnull(strstr(err.message, "it is a fake without a device"));
}
END_TEST

START_TEST(cuda_without_its_module_says_what_is_missing)
{
    char place[MBI_MODULE_PLACES][MBI_MODULE_PATH];
    const size_t n = mbi_module_places(place, "cuda");
    const struct mbi_backend *b = NULL;
    mambaint_error err = {0, ""};

    ck_assert_uint_ge(n, 1);
    ck_assert_str_eq(place[n - 1], MBI_MODULE_DIR "/backend-cuda.so");
    for (size_t i = 0; i < n; i++)
        if (!access(place[i], F_OK))
            return; /* this machine has one */
    ck_assert_int_eq(mbi_backend_find(&b, "cuda", &err), MAMBAINT_E_NO_BACKEND);
    ck_assert_ptr_null(b);
    ck_assert_msg(strstr(err.message, "backend 'cuda' is not installed") != NULL, "%s",
                  err.message);
    ck_assert_msg(strstr(err.message, "backend-cuda.so") != NULL, "%s", err.message);
    load("cuda");
    ck_assert_int_eq(mbi_backend_find(&b, "cuda", &err), MAMBAINT_OK);
    ck_assert_str_eq(b->name, "cuda");
}
END_TEST

static void *load_good(void *arg)
{
    const struct mbi_backend **out = arg;

    *out = load("good");
    return NULL;
}

/* Threads that load the same module at once get the same backend, listed once. */
START_TEST(threads_may_load_together)
{
    const size_t before = count_backends();
    const struct mbi_backend *got[THREADS];
    pthread_t thread[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, load_good, &got[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    for (size_t i = 1; i < THREADS; i++)
        ck_assert_ptr_eq(got[i], got[0]);
    ck_assert_uint_le(count_backends(), before + 1);
}
END_TEST

static void generate(uint8_t digest[32], mambaint_model *model, const char *backend)
{
    mambaint_options *o = tiny_options("backend", backend, NULL);
    static const int32_t ids[] = {20, 30, 40, 50};
    mambaint_session *s = NULL;
    mambaint_state *state = NULL;
    mambaint_error err = {0, ""};
    char name[32];
    size_t n;

    ck_assert_msg(mambaint_session_create(&s, model, o, &err) == MAMBAINT_OK, "%s", err.message);
    ck_assert_int_eq(mambaint_session_text(name, sizeof(name), &n, s, "backend"), MAMBAINT_OK);
    ck_assert_str_eq(name, backend);
    ck_assert_int_eq(mambaint_session_feed(s, ids, MBI_COUNT(ids), &err), MAMBAINT_OK);
    ck_assert_int_eq(mambaint_state_get(&state, s, &err), MAMBAINT_OK);
    ck_assert_int_eq(mambaint_state_digest(digest, state), MAMBAINT_OK);
    mambaint_state_free(state);
    mambaint_session_free(s);
    mambaint_options_free(o);
}

/* A model that was opened before a module came runs on it, beside the others and after them. */
START_TEST(an_open_model_meets_a_new_backend)
{
    uint8_t scalar[32], fake[32];
    mambaint_model *model;
    struct tiny tiny;

    tiny_make(&tiny, tiny_options("preset", "mi-tiny", "seed", "5", NULL));
    model = tiny_open(&tiny, NULL);
    generate(scalar, model, "scalar");
    load("good");
    generate(fake, model, "fake");
    test_same_bytes(fake, scalar, sizeof(fake));
    load("cuda");
    generate(fake, model, "cuda");
    test_same_bytes(fake, scalar, sizeof(fake));
    generate(fake, model, "fake");
    test_same_bytes(fake, scalar, sizeof(fake));
    mambaint_model_unref(model);
    tiny_free(&tiny);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("module");
    TCase *t = tcase_create("module");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, modules_of_another_build_are_refused);
    tcase_add_test(t, files_that_are_no_modules_are_refused);
    tcase_add_test(t, cuda_without_its_module_says_what_is_missing);
    tcase_add_test(t, a_module_is_listed_and_found);
    tcase_add_test(t, auto_takes_no_module);
    tcase_add_test(t, a_missing_device_is_explained);
    tcase_add_test(t, threads_may_load_together);
    tcase_add_test(t, an_open_model_meets_a_new_backend);
    suite_add_tcase(s, t);
    return test_main(s);
}
