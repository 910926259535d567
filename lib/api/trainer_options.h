/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a training run, read and checked. */
#ifndef MBI_API_TRAINER_OPTIONS_H
#define MBI_API_TRAINER_OPTIONS_H

#include "api/options.h"
#include "arch/arch.h"
#include "tokenizer/tokenizer.h"
#include "train/data.h"
#include "train/trainer.h"

#define MBI_DATA_NAME 512

/* A value of `data` or `valid`. */
struct mbi_data_option {
    char name[MBI_DATA_NAME];
    enum mbi_data_kind kind;
    uint64_t weight_q16;
    uint8_t sha256[MBI_SHA256_SIZE];
    bool has_sha256;
};

struct mbi_trainer_options {
    struct mbi_config config; /* resolved again when the tokenizer gives the vocabulary */
    bool vocab_given;
    enum mbi_pretokenizer pre;
    struct mbi_trainer_settings set;
    struct mbi_data_option data[MBI_MAX_SOURCES], valid;
    size_t n_data;
    bool has_valid;
    const char *dir, *tokenizer, *resume, *backend, *name, *license; /* the options' own text */
    uint64_t valid_every, valid_limit, save_every;
};

int32_t mbi_trainer_options_read(struct mbi_trainer_options *out, const mambaint_options *o,
                                 mambaint_error *err);

/* The settings that decide the result, as lines `key = value`; data sources by their digests. */
void mbi_trainer_options_text(struct mbi_buf *out, const struct mbi_trainer_options *o,
                              const struct mbi_mix *mix, const struct mbi_tokenizer *t);

/* E_MISMATCH with the first key in which two such texts differ. */
int32_t mbi_trainer_options_compare(const char *ours, size_t n_ours, const char *theirs,
                                    size_t n_theirs, mambaint_error *err);

#endif
