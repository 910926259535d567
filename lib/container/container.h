/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file format: GGUF v3 in a strict profile (docs/container.md is normative). One reader and
 * one writer serve model files, tokenizer files and training checkpoints.
 */
#ifndef MBI_CONTAINER_CONTAINER_H
#define MBI_CONTAINER_CONTAINER_H

#include "base/blake2b.h"
#include "base/bytes.h"
#include "base/file.h"

/* Tensor types of the profile; the numbers are GGUF's. F32 is for checkpoints alone. */
#define MBI_TENSOR_F32 0
#define MBI_TENSOR_I8 24
#define MBI_TENSOR_I16 25
#define MBI_TENSOR_I32 26

#define MBI_CONTAINER_PROFILE 1
#define MBI_CONTAINER_ALIGN 64

struct mbi_tensor {
    const char *name;    /* NUL-terminated */
    uint32_t type;       /* MBI_TENSOR_... */
    uint32_t n_dims;     /* 1 or 2 */
    uint64_t rows, cols; /* row major; rows = 1 for a vector (GGUF's dims are {cols, rows}) */
    const uint8_t *data; /* little endian, 64-byte aligned inside the file */
    size_t size;         /* bytes */
    uint8_t hash[MBI_DIGEST_SIZE]; /* of the data; valid once the digest was checked */
};

struct mbi_container;

/* ---- reading: everything is validated before the first accessor can be called ---- */

#define MBI_CONTAINER_DEFER_DIGEST 1u /* check the digest at mbi_container_check_digest() only */

/* Map a file, or read bytes that stay the caller's (copied). */
int32_t mbi_container_open(struct mbi_container **out, const struct mbi_host *host,
                           const char *path, uint32_t flags, mambaint_error *err);
int32_t mbi_container_open_memory(struct mbi_container **out, const struct mbi_host *host,
                                  const void *data, size_t size, uint32_t flags,
                                  mambaint_error *err);
/* The tensors have been copied: the memory that reading the file took may go. They stay
 * readable. */
void mbi_container_release(const struct mbi_container *c);
void mbi_container_close(struct mbi_container *c); /* NULL is fine */

/* Hash every tensor (on the host's threads) and compare with mambaint.digest. Idempotent. */
int32_t mbi_container_check_digest(struct mbi_container *c, mambaint_error *err);

/*
 * Accessors. A missing key, a wrong type or a value outside [lo, hi] is E_FORMAT or E_RANGE with
 * the key's name. Each accessor marks its key as read.
 */
bool mbi_container_has(struct mbi_container *c, const char *key); /* marks nothing */
int32_t mbi_container_u32(uint32_t *out, struct mbi_container *c, const char *key, uint32_t lo,
                          uint32_t hi, mambaint_error *err);
int32_t mbi_container_u64(uint64_t *out, struct mbi_container *c, const char *key,
                          mambaint_error *err);
int32_t mbi_container_bool(bool *out, struct mbi_container *c, const char *key,
                           mambaint_error *err);
/* Text may hold NUL bytes; *out points into the file. */
int32_t mbi_container_text(const char **out, size_t *len, struct mbi_container *c, const char *key,
                           mambaint_error *err);
/* Copy text into a small buffer; E_FORMAT if it is longer, empty, or holds a NUL. */
int32_t mbi_container_word(char *out, size_t cap, struct mbi_container *c, const char *key,
                           mambaint_error *err);
/* Arrays: the element count first, then the elements. */
int32_t mbi_container_array_size(size_t *n, struct mbi_container *c, const char *key,
                                 mambaint_error *err);
int32_t mbi_container_array_text(const char **out, size_t *len, struct mbi_container *c,
                                 const char *key, size_t index, mambaint_error *err);
int32_t mbi_container_array_u32(
    uint32_t *out, size_t n, struct mbi_container *c, const char *key,
    mambaint_error *err); /* element type INT32 or UINT32, values >= 0 */

/* Refuse keys that start with `prefix` and were never read: "unknown key '...'". */
int32_t mbi_container_refuse_unread(struct mbi_container *c, const char *prefix,
                                    mambaint_error *err);

/* Metadata for tools: key i as text ("1234", "true", a string, "[4096 strings]"). */
size_t mbi_container_n_keys(const struct mbi_container *c);
const char *mbi_container_key(const struct mbi_container *c, size_t i);
void mbi_container_value_text(struct mbi_buf *out, const struct mbi_container *c, size_t i);

size_t mbi_container_n_tensors(const struct mbi_container *c);
const struct mbi_tensor *mbi_container_tensor_at(const struct mbi_container *c, size_t i);
const struct mbi_tensor *mbi_container_tensor(const struct mbi_container *c, const char *name);

size_t mbi_container_file_size(const struct mbi_container *c);
void mbi_container_file_digest(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_container *c);

/* ---- writing ---- */

struct mbi_container_writer;

int32_t mbi_container_writer_create(struct mbi_container_writer **out, const struct mbi_host *host,
                                    mambaint_error *err);
/* The adders remember a failed allocation; save reports it. Keys and tensors keep their order. */
void mbi_container_add_u32(struct mbi_container_writer *w, const char *key, uint32_t v);
void mbi_container_add_u64(struct mbi_container_writer *w, const char *key, uint64_t v);
void mbi_container_add_bool(struct mbi_container_writer *w, const char *key, bool v);
void mbi_container_add_text(struct mbi_container_writer *w, const char *key, const char *text,
                            size_t len);
void mbi_container_add_array_u32(struct mbi_container_writer *w, const char *key, const uint32_t *v,
                                 size_t n); /* stored as INT32 */
/* An array of strings is opened, filled with exactly n entries, and needs no closing. */
void mbi_container_add_array_text(struct mbi_container_writer *w, const char *key, size_t n);
void mbi_container_add_array_entry(struct mbi_container_writer *w, const char *text, size_t len);
/* Tensor data in host byte order; it must stay valid until the writer is saved. n_dims = 1 if
 * rows == 0 (a vector of cols elements). */
void mbi_container_add_tensor(struct mbi_container_writer *w, const char *name, uint32_t type,
                              uint64_t rows, uint64_t cols, const void *data);
/* Adds general.alignment, mambaint.profile and mambaint.digest, and saves atomically. */
int32_t mbi_container_save(struct mbi_container_writer *w, const char *path, mambaint_error *err);
/* The same bytes into memory. */
int32_t mbi_container_save_memory(struct mbi_container_writer *w, struct mbi_buf *out,
                                  mambaint_error *err);
void mbi_container_writer_free(struct mbi_container_writer *w); /* NULL is fine */

#endif
