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

int main(int argc, char **argv)
{
    mambaint_key *key = NULL;
    mambaint_statement *said = NULL;
    mambaint_error err = {MAMBAINT_E_IO, "cannot read these files"};
    size_t n_key = 0, n_proof = 0;
    void *key_file = argc == 3 ? read_file(argv[1], &n_key) : NULL;
    void *proof = argc == 3 ? read_file(argv[2], &n_proof) : NULL;
    int status = 1;

    if (argc != 3)
        fprintf(stderr, "usage: verify KEY PROOF\n");
    else if (key_file && proof && !mambaint_key_load(&key, NULL, key_file, n_key, &err) &&
             mambaint_proof_verify(&said, key, NULL, proof, n_proof, &err) == MAMBAINT_ACCEPTED)
        status = tell(said);
    else
        fprintf(stderr, "NOT accepted: %s\n", err.message);
    mambaint_statement_free(said);
    mambaint_key_free(key);
    free(key_file);
    free(proof);
    return argc == 3 ? status : 2;
}
