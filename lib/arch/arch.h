/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An architecture: a table of configuration fields and a function that composes operations into
 * a step graph. Reading the fields from a container, from flags and from presets is the same for
 * all of them.
 */
#ifndef MBI_ARCH_ARCH_H
#define MBI_ARCH_ARCH_H

#include "container/container.h"
#include "graph/graph.h"

#define MBI_MAX_CONFIG 24
#define MBI_NO_VOCAB UINT32_MAX

enum mbi_config_kind { MBI_CONFIG_NUMBER = 1, MBI_CONFIG_BOOL, MBI_CONFIG_WORD };

struct mbi_config_field {
    const char *key;  /* in the container, after the prefix; NULL: not stored */
    const char *flag; /* option key; NULL: derived */
    const char *help;
    enum mbi_config_kind kind;
    uint32_t lo, hi;         /* of a number */
    uint32_t fallback;       /* without the flag */
    const char *const *word; /* of a word: NULL-terminated, the value is the index + 1 */
};

struct mbi_arch;

struct mbi_config {
    const struct mbi_arch *arch;
    uint32_t v[MBI_MAX_CONFIG]; /* by index of the field */
};

struct mbi_preset {
    const char *name;
    uint32_t v[MBI_MAX_CONFIG]; /* 0: the field's fallback */
};

struct mbi_arch {
    const char *name;   /* general.architecture */
    const char *prefix; /* of its keys, with the dot */
    const struct mbi_config_field *field;
    size_t n_fields;
    const struct mbi_preset *preset;
    size_t n_presets;
    uint32_t vocab_field; /* index of the field that holds the vocabulary size; MBI_NO_VOCAB: it
                           * takes features, not tokens, and its models have no tokenizer */

    /* Fill derived fields (those without a flag if `from_flags`, those without a key otherwise)
     * and check relations between fields. */
    int32_t (*resolve)(struct mbi_config *c, bool from_flags, mambaint_error *err);
    /* Compose the step; ends with mbi_build_end(). */
    int32_t (*build)(struct mbi_build *b, const struct mbi_config *c);
};

/* Do its models read and write tokens, so that they have a tokenizer? */
static inline bool mbi_arch_has_vocab(const struct mbi_arch *arch)
{
    return arch->vocab_field != MBI_NO_VOCAB;
}

/* Architectures of this build; NULL past the end. */
const struct mbi_arch *mbi_arch_at(size_t index);
const struct mbi_arch *mbi_arch_find(const char *name);
/* The one that has a preset of this name; NULL: none has. */
const struct mbi_arch *mbi_arch_of_preset(const char *preset);

void mbi_config_init(struct mbi_config *c, const struct mbi_arch *arch); /* fallbacks */
/* Set one field from an option. *known tells whether the key is a flag of this architecture. */
int32_t mbi_config_set(struct mbi_config *c, const char *key, const char *value, bool *known,
                       mambaint_error *err);
int32_t mbi_config_preset(struct mbi_config *c, const char *name, mambaint_error *err);
int32_t mbi_config_read(struct mbi_config *c, const struct mbi_arch *arch,
                        struct mbi_container *file, mambaint_error *err);
void mbi_config_write(struct mbi_container_writer *w, const struct mbi_config *c);

/* The graph of a resolved configuration. */
int32_t mbi_arch_graph(struct mbi_graph **out, const struct mbi_host *host,
                       const struct mbi_config *c, mambaint_error *err);

#endif
