/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a container, parsed and checked: what its reader and its writer share. */
#ifndef MBI_CONTAINER_HEAD_H
#define MBI_CONTAINER_HEAD_H

#include "container/container.h"

/* Value types; the numbers are GGUF's. */
enum mbi_value {
    MBI_VALUE_U8 = 0,
    MBI_VALUE_I8 = 1,
    MBI_VALUE_U16 = 2,
    MBI_VALUE_I16 = 3,
    MBI_VALUE_U32 = 4,
    MBI_VALUE_I32 = 5,
    MBI_VALUE_F32 = 6,
    MBI_VALUE_BOOL = 7,
    MBI_VALUE_TEXT = 8,
    MBI_VALUE_ARRAY = 9,
    MBI_VALUE_U64 = 10,
    MBI_VALUE_I64 = 11,
    MBI_VALUE_F64 = 12
};

#define MBI_GGUF_MAGIC 0x46554747u /* "GGUF" */
#define MBI_GGUF_VERSION 3u

/* Limits that keep the tables below 14 MiB whatever the counts in the file say. */
#define MBI_KEY_MAX 127
#define MBI_NAME_MAX 64
#define MBI_KEYS_MAX 16384u
#define MBI_TENSORS_MAX 65536u

#define MBI_DIGEST_DIGITS (2 * MBI_DIGEST_SIZE)

struct mbi_key {
    char name[MBI_KEY_MAX + 1];
    uint32_t type, element; /* `element` of an array */
    size_t count;           /* bytes of a text, entries of an array, else 1 */
    size_t at;              /* where the value's bytes, or the array's first entry, begin */
    size_t end;             /* of the value */
    size_t next, next_at;   /* arrays of text: an entry whose place is known */
    bool read;
};

struct mbi_head {
    const struct mbi_host *host;
    struct mbi_key *key;
    struct mbi_tensor *tensor;          /* `data` and `hash` are not set by the parser */
    char *tensor_name;                  /* MBI_NAME_MAX + 1 bytes each */
    uint32_t *key_order, *tensor_order; /* indices sorted by name */
    size_t n_keys, n_tensors;
    size_t end;       /* of the tensor infos; padding follows up to data_at */
    size_t data_at;   /* where the first tensor begins */
    size_t data_size; /* all tensors, each padded */
    size_t digest_at; /* where the 64 digits of mambaint.digest begin */
    bool checkpoint;
};

/*
 * Parse the header at the start of data[0..size) and check all that the profile demands of it.
 * The tables are to be freed by mbi_head_free() after a failure too.
 */
int32_t mbi_head_parse(struct mbi_head *h, const struct mbi_host *host, const uint8_t *data,
                       size_t size, mambaint_error *err);
void mbi_head_free(struct mbi_head *h);

struct mbi_key *mbi_head_key(const struct mbi_head *h, const char *name); /* NULL: none */
/* The key, marked as read; NULL and an E_FORMAT sentence if it is missing or of another type. */
struct mbi_key *mbi_head_find(const struct mbi_head *h, const char *name, uint32_t type,
                              mambaint_error *err);
const struct mbi_tensor *mbi_head_tensor(const struct mbi_head *h, const char *name);

const char *mbi_value_name(uint32_t type);
size_t mbi_value_width(uint32_t type);  /* bytes; 0 for text, arrays and unknown types */
size_t mbi_tensor_width(uint32_t type); /* bytes of an element; 0 for a type not in the profile */

/* ---- the digest ---- */

/*
 * Fill every tensor's hash on the host's threads, then *out = mambaint.digest of the header at
 * `data` and these tensors. `native` says that tensor data is in host byte order.
 */
void mbi_container_digest(uint8_t out[MBI_DIGEST_SIZE], struct mbi_head *h, const uint8_t *data,
                          bool native);

/* Give a tensor's data piece by piece, little endian, to put(); stops when that returns false. */
bool mbi_tensor_pieces(const struct mbi_tensor *t, bool native,
                       bool (*put)(void *arg, const void *data, size_t n), void *arg);

#endif
