/* SPDX-License-Identifier: Apache-2.0 */
/* Errors and whole files. */
#include "cli.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fail(const char *fmt, ...)
{
    va_list args;

    fputs("mambaint: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int fail_error(const mambaint_error *err) { return fail("%s", err->message); }

static char *read_stream(FILE *f, const char *path, size_t *size)
{
    size_t cap = 1 << 16, n = 0, got;
    char *data = malloc(cap + 1);

    while (data && (got = fread(data + n, 1, cap - n, f)) > 0) {
        n += got;
        if (n == cap) {
            char *more = realloc(data, 2 * cap + 1);

            if (!more)
                free(data);
            data = more;
            cap *= 2;
        }
    }
    if (!data) {
        fail("out of memory while reading '%s'", path);
        return NULL;
    }
    if (ferror(f)) {
        fail("cannot read '%s': %s", path, strerror(errno));
        free(data);
        return NULL;
    }
    data[n] = '\0';
    *size = n;
    return data;
}

char *read_all(const char *path, size_t *size)
{
    const bool standard = !strcmp(path, "-");
    FILE *f = standard ? stdin : fopen(path, "rb");
    char *data;

    if (!f) {
        fail("cannot open '%s': %s", path, strerror(errno));
        return NULL;
    }
    data = read_stream(f, path, size);
    if (!standard)
        fclose(f);
    return data;
}

static bool sync_directory(const char *path)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    int fd;
    bool ok;

    snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    if ((fd = open(dir, O_RDONLY | O_DIRECTORY)) < 0)
        return false;
    ok = !fsync(fd);
    close(fd);
    return ok;
}

int write_all(const char *path, const void *data, size_t size)
{
    char temp[4096];
    FILE *f;
    bool ok;

    if (snprintf(temp, sizeof(temp), "%s.%ld.new", path, (long)getpid()) >= (int)sizeof(temp))
        return fail("'%s' is too long a name", path);
    if (!(f = fopen(temp, "wb")))
        return fail("cannot create '%s': %s", temp, strerror(errno));
    ok = fwrite(data, 1, size, f) == size && !fflush(f) && !fsync(fileno(f));
    ok = !fclose(f) && ok;
    if (ok && !rename(temp, path) && sync_directory(path))
        return CLI_DONE;
    fail("cannot write '%s': %s", path, strerror(errno));
    remove(temp);
    return CLI_FAILED;
}

int open_model(mambaint_model **out, const struct args *args)
{
    const char *path = args_text(args, "model", NULL);
    mambaint_error err;

    if (!path) {
        fprintf(stderr, "mambaint %s: which model? Name one with --model FILE.\n",
                args->command->name);
        return CLI_USAGE;
    }
    return mambaint_model_open(out, NULL, path, args->options, &err) < 0 ? fail_error(&err)
                                                                         : CLI_DONE;
}

char *model_text(const mambaint_model *model, const char *key)
{
    size_t need = 0;
    char *text;

    if (mambaint_model_text(NULL, 0, &need, model, key) != MAMBAINT_E_SPACE ||
        !(text = malloc(need)))
        return NULL;
    if (mambaint_model_text(text, need, &need, model, key) < 0) {
        free(text);
        return NULL;
    }
    return text;
}

void digest_hex(char out[65], const uint8_t digest[32])
{
    for (size_t i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
