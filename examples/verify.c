/* SPDX-License-Identifier: Apache-2.0 */
/* A verifier, linked with libmambaint-verify alone: is a proof right, and what does it say? */
#include <mambaint/proof.h>
#include <stdio.h>
#include <stdlib.h>

/* A whole file; NULL if it cannot be read. */
static void *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *data = NULL, *more;

    *size = 0;
    for (size_t cap = 65536; file; cap *= 2) {
        if (!(more = realloc(data, cap)))
            break;
        data = more;
        *size += fread(data + *size, 1, cap - *size, file);
        if (*size < cap)
            break;
    }
    if (file)
        fclose(file);
    return file ? data : NULL;
}

/* What the proof says, in words. */
static int tell(const mambaint_statement *said)
{
    size_t need = 0;
    char *words;

    mambaint_statement_text(NULL, 0, &need, said, "text");
    if (!(words = malloc(need)) ||
        mambaint_statement_text(words, need, NULL, said, "text") != MAMBAINT_OK) {
        free(words);
        return 1;
    }
    printf("accepted\n%s", words);
    free(words);
    return 0;
}

static int32_t load_key(mambaint_key **key, const char *path, mambaint_error *err)
{
    size_t size;
    void *file = read_file(path, &size);
    const int32_t rc = file ? mambaint_key_load(key, NULL, file, size, err) : err->code;

    free(file);
    return rc;
}

#define MOST 16 /* models of a chain */

/* One key, or one for each proof of a linked chain. */
static int32_t load_keys(mambaint_key **key, char **path, size_t n, mambaint_error *err)
{
    mambaint_key *each[MOST] = {NULL};
    int32_t rc = 0;

    if (n == 1)
        return load_key(key, path[0], err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = load_key(&each[i], path[i], err);
    if (!rc)
        rc = mambaint_key_join(key, each, n, err);
    for (size_t i = 0; i < n; i++)
        mambaint_key_free(each[i]);
    return rc;
}

int main(int argc, char **argv)
{
    mambaint_key *key = NULL;
    mambaint_statement *said = NULL;
    mambaint_error err = {MAMBAINT_E_IO, "cannot read these files"};
    const size_t n_keys = argc > 2 ? (size_t)argc - 2 : 0;
    size_t n_proof = 0;
    void *proof;
    int status = 1;

    if (!n_keys || n_keys > MOST) {
        fprintf(stderr, "usage: verify KEY ... PROOF\n");
        return 2;
    }
    proof = read_file(argv[argc - 1], &n_proof);
    if (proof && !load_keys(&key, argv + 1, n_keys, &err) &&
        mambaint_proof_verify(&said, key, NULL, proof, n_proof, &err) == MAMBAINT_ACCEPTED)
        status = tell(said);
    else
        fprintf(stderr, "NOT accepted: %s\n", err.message);
    mambaint_statement_free(said);
    mambaint_key_free(key);
    free(proof);
    return status;
}
