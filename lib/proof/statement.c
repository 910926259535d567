/* SPDX-License-Identifier: Apache-2.0 */
/* Statements, proof files and key files: bytes in and out. */
#include "proof/statement.h"
#include "base/intmath.h"
#include "graph/element.h"
#include "proof/boundary.h"
#include "proof/field.h"
#include "proof/hash.h"
#include "proof/public.h"

#define CUT "it ends too early"
#define HAS_PUBLIC 1u /* a mark of a model */

/* ---- the statement as bytes ---- */

static void add_bytes(struct mbi_buf *out, const void *data, size_t n)
{
    if (n)
        mbi_buf_add(out, data, n);
}

/* Two numbers of 16 bits: configuration values, and marks. */
static uint32_t count_and_marks(const struct mbi_statement_model *m)
{
    return m->n_values | (m->has_public ? HAS_PUBLIC << 16 : 0);
}

/* In a file the kind of tokens with a boundary is one more. */
#define AT_BOUNDARY (MBI_STATEMENT_TOKENS + 1)

/* Bytes of a value of each kind; of a root's none. */
static size_t input_width(uint32_t kind)
{
    return kind == MBI_STATEMENT_TOKENS ? 4 : kind != MBI_STATEMENT_LINKED;
}

static size_t output_width(uint32_t kind)
{
    return kind == MBI_STATEMENT_TOKENS || kind == MBI_STATEMENT_LINKED ? 0 : 4;
}

static size_t input_size(const struct mbi_statement *s)
{
    return s->n_inputs * input_width(s->input_kind);
}

static size_t output_size(const struct mbi_statement *s)
{
    return s->n_outputs * output_width(s->output_kind);
}

static void put_names(struct mbi_buf *out, const struct mbi_statement_models *m)
{
    mbi_buf_add32(out, m->n);
    for (uint32_t i = 0; i < m->n; i++) {
        const struct mbi_statement_model *model = &m->model[i];

        mbi_buf_add32(out, (uint32_t)strlen(model->name));
        mbi_buf_add_text(out, model->name);
        mbi_buf_add32(out, count_and_marks(model));
        for (uint32_t k = 0; k < model->n_values; k++)
            mbi_buf_add32(out, model->value[k]);
        mbi_buf_add(out, model->graph, MBI_DIGEST_SIZE);
        if (model->has_public)
            mbi_buf_add(out, model->parameters, MBI_DIGEST_SIZE);
    }
}

/* A value is there to be compared with that of another root. */
static size_t value_elements(const struct mbi_statement_roots *r)
{
    return r->n > 1 ? MBI_STATEMENT_DEGREE : 0;
}

void mbi_statement_put_models(struct mbi_buf *out, const struct mbi_statement_models *m)
{
    put_names(out, m);
    mbi_buf_add(out, m->weights, MBI_DIGEST_SIZE);
    if (!mbi_statement_is_hidden(m))
        return;
    mbi_buf_add32(out, m->roots.n);
    mbi_buf_add32(out, m->roots.openings);
    for (size_t i = 0; i < value_elements(&m->roots); i++)
        mbi_buf_add64(out, m->roots.value[i]);
}

static void put_kind(struct mbi_buf *out, uint32_t kind, uint32_t n, const uint8_t *boundary,
                     size_t size)
{
    mbi_buf_add32(out, boundary && kind == MBI_STATEMENT_TOKENS ? AT_BOUNDARY : kind);
    mbi_buf_add32(out, n);
    if (boundary)
        add_bytes(out, boundary, size);
}

/* With so many bytes of each boundary. */
static void put_run(struct mbi_buf *out, const struct mbi_statement *s, size_t boundary)
{
    mbi_statement_put_models(out, &s->models);
    mbi_buf_add64(out, s->t0);
    mbi_buf_add32(out, s->lanes);
    put_kind(out, s->input_kind, s->n_inputs, s->boundary[MBI_BEFORE], boundary);
    add_bytes(out, s->input, input_size(s));
    put_kind(out, s->output_kind, s->n_outputs, s->boundary[MBI_BEHIND], boundary);
    add_bytes(out, s->output, output_size(s));
}

void mbi_statement_put(struct mbi_buf *out, const struct mbi_statement *s)
{
    put_run(out, s, mbi_statement_boundary_size(&s->models));
}

/* ---- bytes as a statement ---- */

static void get_digest(uint8_t out[MBI_DIGEST_SIZE], struct mbi_reader *r)
{
    const uint8_t *p = mbi_read_bytes(r, MBI_DIGEST_SIZE);

    if (p)
        memcpy(out, p, MBI_DIGEST_SIZE);
}

static bool is_name(const uint8_t *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= '0' && name[i] <= '9') &&
            name[i] != '-')
            return false;
    return true;
}

static const char *get_model(struct mbi_statement_model *m, struct mbi_reader *r)
{
    const uint32_t length = mbi_read32(r);
    const uint8_t *name;
    uint32_t marks;

    if (r->failed)
        return CUT;
    if (!length || length > MBI_STATEMENT_NAME)
        return "the name of an architecture has not 1 to 64 bytes";
    if (!(name = mbi_read_bytes(r, length)))
        return CUT;
    if (!is_name(name, length))
        return "the name of an architecture has other bytes than a-z, 0-9 and -";
    memcpy(m->name, name, length);
    marks = mbi_read32(r);
    m->n_values = marks & 0xffff;
    if (m->n_values > MBI_STATEMENT_VALUES)
        return "a model has more than 24 configuration values";
    if ((marks >>= 16) & ~HAS_PUBLIC)
        return "a model has marks that are not known";
    for (uint32_t i = 0; i < m->n_values; i++)
        m->value[i] = mbi_read32(r);
    get_digest(m->graph, r);
    if ((m->has_public = marks & HAS_PUBLIC))
        get_digest(m->parameters, r);
    return r->failed ? CUT : NULL;
}

static const char *get_roots(struct mbi_statement_roots *roots, struct mbi_reader *r)
{
    const uint32_t n = mbi_read32(r), openings = mbi_read32(r);

    if (r->failed)
        return CUT;
    if (!n || n > MBI_STATEMENT_ROOTS || (n & (n - 1)))
        return "the number of roots is no power of two from 1 to 4096";
    if (!openings || openings > MBI_STATEMENT_OPENINGS || (openings & (openings - 1)))
        return "the openings of a root are no power of two from 1 to 4096";
    roots->n = n;
    roots->openings = openings;
    for (size_t i = 0; i < value_elements(roots); i++)
        if ((roots->value[i] = mbi_read64(r)) >= MBI_FIELD_P)
            return "the value of its roots has a number that is not below the field's prime";
    return r->failed ? CUT : NULL;
}

const char *mbi_statement_get_models(struct mbi_statement_models *m, bool hidden,
                                     struct mbi_reader *r)
{
    const char *fault = NULL;

    memset(m, 0, sizeof(*m));
    m->n = mbi_read32(r);
    if (r->failed)
        return CUT;
    if (!m->n || m->n > MBI_STATEMENT_MODELS) {
        m->n = 0;
        return "the number of models is not from 1 to 16";
    }
    for (uint32_t i = 0; i < m->n && !fault; i++)
        fault = get_model(&m->model[i], r);
    if (fault)
        return fault;
    get_digest(m->weights, r);
    if (hidden && (fault = get_roots(&m->roots, r)))
        return fault;
    return r->failed ? CUT : NULL;
}

/* As many values of `width` bytes as were announced, which are at most what is there. */
static const char *get_values(const uint8_t **value, uint32_t n, size_t width, struct mbi_reader *r)
{
    if (!width)
        return NULL;
    if (n > mbi_read_left(r) / width)
        return "it announces more values than there are bytes";
    *value = mbi_read_bytes(r, n * width);
    return r->failed ? CUT : NULL;
}

/* Is a kind, as files have it, one that such a proof has? */
static bool is_kind(uint32_t kind, enum mbi_proof_type type)
{
    if (type == MBI_PROOF_CERTIFICATE)
        return kind == MBI_STATEMENT_NONE;
    if (type == MBI_PROOF_CHAIN)
        return kind == MBI_STATEMENT_CLEAR;
    return kind >= MBI_STATEMENT_CLEAR && kind <= MBI_STATEMENT_LINKED;
}

static const char *check_link(const uint8_t *link)
{
    for (size_t i = 0; i < MBI_STATEMENT_DEGREE; i++)
        if (mbi_load64(link + (size_t)2 * MBI_DIGEST_SIZE + 8 * i) >= MBI_FIELD_P)
            return "the value of a link has a number that is not below the field's prime";
    return NULL;
}

/* A kind and a count: one of a run, or those of a certificate; with the root or link of a boundary,
 * if it has one. */
static const char *get_kind(uint32_t *kind, uint32_t *n, const uint8_t **boundary, bool hidden,
                            enum mbi_proof_type type, struct mbi_reader *r)
{
    *kind = mbi_read32(r);
    *n = mbi_read32(r);
    if (r->failed)
        return CUT;
    if (!is_kind(*kind, type))
        return "the kind of what goes in or comes out is not that of such a proof";
    if (*kind == MBI_STATEMENT_NONE && *n)
        return "a certificate has values";
    if (*kind != MBI_STATEMENT_NONE && *kind != AT_BOUNDARY && !*n)
        return "a run has no values";
    if (*kind == AT_BOUNDARY || *kind == MBI_STATEMENT_LINKED)
        *boundary = mbi_read_bytes(r, hidden ? MBI_STATEMENT_LINK : MBI_DIGEST_SIZE);
    if (*kind == AT_BOUNDARY) /* then no answer has to be claimed */
        *kind = MBI_STATEMENT_TOKENS;
    return r->failed ? CUT : hidden && *boundary ? check_link(*boundary) : NULL;
}

/* What the counts of a run of tokens have to be. */
static const char *check_tokens(const struct mbi_statement *s)
{
    if (s->models.n != 1)
        return "a run on tokens is of one model, not of a chain";
    if (!s->boundary[MBI_BEFORE] != !s->t0)
        return "it begins with a memory at position 0, or without one behind that";
    if (s->n_inputs != s->lanes + 1)
        return "the ids of a run on tokens are not one more than its steps";
    return s->n_outputs > s->lanes ? "it claims more answered tokens than it has steps" : NULL;
}

const char *mbi_statement_get(struct mbi_statement *s, enum mbi_proof_type type, bool hidden,
                              struct mbi_reader *r)
{
    const char *fault;

    memset(s, 0, sizeof(*s));
    if ((fault = mbi_statement_get_models(&s->models, hidden, r)))
        return fault;
    s->t0 = mbi_read64(r);
    s->lanes = mbi_read32(r);
    if (r->failed)
        return CUT;
    if (s->t0 >= MBI_STATEMENT_T0 || (s->t0 && type != MBI_PROOF_RUN))
        return "it begins at a position that cannot be";
    if (type != MBI_PROOF_CERTIFICATE ? !s->lanes || s->lanes > MBI_STATEMENT_STEPS : s->lanes != 0)
        return "the number of steps is not from 1 to 1048576, or 0 in a certificate";
    if ((fault =
             get_kind(&s->input_kind, &s->n_inputs, &s->boundary[MBI_BEFORE], hidden, type, r)) ||
        (fault = get_values(&s->input, s->n_inputs, input_width(s->input_kind), r)) ||
        (fault =
             get_kind(&s->output_kind, &s->n_outputs, &s->boundary[MBI_BEHIND], hidden, type, r)))
        return fault;
    if ((s->t0 || s->lanes > MBI_STATEMENT_LANES) && !mbi_statement_is_of_tokens(s))
        return "it does not begin at position 0, or has more than 4096 steps, and is of features";
    if (hidden && type == MBI_PROOF_CHAIN &&
        (s->models.roots.n != 1 || s->models.roots.openings != 1))
        return "it is of a chain, and has roots, which its proofs have";
    if ((s->output_kind == MBI_STATEMENT_TOKENS) != mbi_statement_is_of_tokens(s))
        return "the kind of what comes out does not go with that of what goes in";
    if ((fault = get_values(&s->output, s->n_outputs, output_width(s->output_kind), r)) ||
        (fault = mbi_statement_is_of_tokens(s) ? check_tokens(s) : NULL))
        return fault;
    if (type == MBI_PROOF_CHAIN && s->models.n < 2)
        return "a chain of one model";
    return mbi_read_left(r) ? "something is left behind it" : NULL;
}

/* ---- against the graphs ---- */

static int32_t check_digests(const struct mbi_statement_models *m,
                             const struct mbi_graph *const *graph, mambaint_error *err)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (memcmp(m->model[i].graph, graph[i]->digest, MBI_DIGEST_SIZE) != 0)
            return mbi_fail(err, MAMBAINT_E_MISMATCH,
                            "statement: model %u (%s) computes another graph than this library "
                            "does for that configuration",
                            i + 1, m->model[i].name);
    return MAMBAINT_OK;
}

/* Are the public parameters named where the graph has some? */
static int32_t check_marks(const struct mbi_statement_models *m,
                           const struct mbi_graph *const *graph, mambaint_error *err)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->model[i].has_public != (mbi_public_size(graph[i]) > 0))
            return mbi_fail(err, MAMBAINT_E_FORMAT,
                            "statement: model %u (%s) has %s public parameters, but it says "
                            "otherwise",
                            i + 1, m->model[i].name, m->model[i].has_public ? "no" : "some");
    return MAMBAINT_OK;
}

static int32_t check_count(const char *what, uint64_t n, uint32_t lanes, const struct mbi_type *t,
                           mambaint_error *err)
{
    const uint64_t want = (uint64_t)lanes * t->cols;

    if (n == want)
        return MAMBAINT_OK;
    return mbi_fail(err, MAMBAINT_E_FORMAT, "statement: %llu %s, but the models have %llu",
                    (unsigned long long)n, what, (unsigned long long)want);
}

static int32_t check_value(const char *what, size_t i, int64_t v, const struct mbi_type *t,
                           mambaint_error *err)
{
    if (v >= t->lo && v <= t->hi)
        return MAMBAINT_OK;
    return mbi_fail(err, MAMBAINT_E_RANGE,
                    "statement: %s %zu is %lld, outside its interval [%lld, %lld]", what, i,
                    (long long)v, (long long)t->lo, (long long)t->hi);
}

static int32_t check_ids(const struct mbi_statement *s, const struct mbi_graph *g,
                         mambaint_error *err)
{
    const int64_t last = g->node[0].type.hi; /* of the vocabulary */

    for (size_t i = 0; i < s->n_inputs; i++)
        if (mbi_statement_id(s, i) > last)
            return mbi_fail(err, MAMBAINT_E_RANGE,
                            "statement: id %zu is %u, outside the vocabulary of %lld", i,
                            mbi_statement_id(s, i), (long long)last + 1);
    return MAMBAINT_OK;
}

/* Memory is handed on between whole chunks of the recurrence. */
static int32_t check_boundaries(const struct mbi_statement *s, const struct mbi_graph *g,
                                mambaint_error *err)
{
    const uint32_t chunk = mbi_boundary_chunk(g);

    if (s->t0 % chunk || (s->boundary[MBI_BEHIND] && s->lanes % chunk))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "statement: memory is handed on within a chunk of %u steps", chunk);
    return MAMBAINT_OK;
}

static int32_t check_features(const struct mbi_statement *s, const struct mbi_graph *const *graph,
                              mambaint_error *err)
{
    const struct mbi_graph *last = graph[s->models.n - 1];
    const bool hands_on = s->output_kind == MBI_STATEMENT_LINKED;
    const struct mbi_type *in = &graph[0]->node[0].type, *out;
    int32_t rc;

    if (hands_on && last->link == MBI_NONE)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "statement: its last model hands nothing on, but it says otherwise");
    out = &last->node[hands_on ? last->link : last->logits].type;
    if (in->dtype != MBI_I8 || (!hands_on && out->dtype != MBI_I32))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "statement: features of 8 bits and outputs of 32 alone can be proved yet");
    if ((rc = check_count("features", s->n_inputs, s->lanes, in, err)) < 0 ||
        (rc = check_count("outputs", s->n_outputs, s->lanes, out, err)) < 0)
        return rc;
    for (size_t i = 0; s->input_kind == MBI_STATEMENT_CLEAR && i < s->n_inputs && rc >= 0; i++)
        rc = check_value("feature", i, (int8_t)s->input[i], in, err);
    for (size_t i = 0; !hands_on && i < s->n_outputs && rc >= 0; i++)
        rc = check_value("output", i, mbi_statement_output(s, i), out, err);
    return rc;
}

int32_t mbi_statement_check(const struct mbi_statement *s, const struct mbi_graph *const *graph,
                            mambaint_error *err)
{
    const bool tokens = mbi_statement_is_of_tokens(s);
    int32_t rc;

    if ((rc = check_digests(&s->models, graph, err)) < 0 ||
        (rc = check_marks(&s->models, graph, err)) < 0 || s->input_kind == MBI_STATEMENT_NONE)
        return rc;
    if (tokens == mbi_graph_takes_features(graph[0]))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        tokens ? "statement: it is of tokens, but the model takes features"
                               : "statement: it is of features, but the model takes tokens");
    if (tokens && (rc = check_boundaries(s, graph[0], err)) < 0)
        return rc;
    return tokens ? check_ids(s, graph[0], err) : check_features(s, graph, err);
}

/* ---- names ---- */

static enum mbi_statement_mode mode_of(const struct mbi_statement_models *m, bool public_weights)
{
    return mbi_statement_is_hidden(m) ? MBI_STATEMENT_HIDDEN
           : public_weights           ? MBI_STATEMENT_PUBLIC
                                      : MBI_STATEMENT_COMMITTED;
}

static void hash32(struct mbi_blake2b *h, uint32_t v)
{
    uint8_t bytes[4];

    mbi_store32(bytes, v);
    mbi_blake2b_add(h, bytes, sizeof(bytes));
}

static void hash_value(struct mbi_blake2b *h, const struct mbi_statement_roots *r)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < value_elements(r); i++) {
        mbi_store64(bytes, r->value[i]);
        mbi_blake2b_add(h, bytes, sizeof(bytes));
    }
}

static void hash_roots(struct mbi_blake2b *h, const struct mbi_statement_roots *r)
{
    hash32(h, r->n);
    hash32(h, r->openings);
    hash_value(h, r);
}

/* The bytes of mbi_statement_put_models(), without memory for them. */
static void hash_names(struct mbi_blake2b *h, const struct mbi_statement_models *m)
{
    hash32(h, m->n);
    for (uint32_t i = 0; i < m->n; i++) {
        const struct mbi_statement_model *model = &m->model[i];

        hash32(h, (uint32_t)strlen(model->name));
        mbi_blake2b_add(h, model->name, strlen(model->name));
        hash32(h, count_and_marks(model));
        for (uint32_t k = 0; k < model->n_values; k++)
            hash32(h, model->value[k]);
        mbi_blake2b_add(h, model->graph, MBI_DIGEST_SIZE);
        if (model->has_public)
            mbi_blake2b_add(h, model->parameters, MBI_DIGEST_SIZE);
    }
}

static void hash_models(struct mbi_blake2b *h, const struct mbi_statement_models *m)
{
    hash_names(h, m);
    mbi_blake2b_add(h, m->weights, MBI_DIGEST_SIZE);
    if (mbi_statement_is_hidden(m))
        hash_roots(h, &m->roots);
}

void mbi_statement_names_digest(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_statement_models *m)
{
    struct mbi_blake2b h;

    mbi_blake2b_init(&h);
    hash_names(&h, m);
    mbi_blake2b_end(&h, out);
}

void mbi_statement_hidden_digest(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_statement_roots *r,
                                 const uint8_t tree[MBI_DIGEST_SIZE])
{
    static const char domain[] = "mambaint-hidden";
    struct mbi_blake2b h;

    mbi_blake2b_init(&h);
    mbi_blake2b_add(&h, domain, sizeof(domain) - 1);
    hash32(&h, r->n);
    hash32(&h, r->openings);
    mbi_blake2b_add(&h, tree, MBI_DIGEST_SIZE);
    hash_value(&h, r);
    mbi_blake2b_end(&h, out);
}

void mbi_statement_model_id(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_statement_models *m,
                            bool public_weights)
{
    static const char domain[] = "mambaint-model-id";
    struct mbi_blake2b h;

    mbi_blake2b_init(&h);
    mbi_blake2b_add(&h, domain, sizeof(domain) - 1);
    hash32(&h, mode_of(m, public_weights));
    hash_models(&h, m);
    mbi_blake2b_end(&h, out);
}

/* ---- proof files ---- */

#define HEAD 16
#define MAGIC "MIPF"
#define KEY_MAGIC "MIVK"
#define PROVER_MAGIC "MIPK"
#define FLAGS (MBI_PROOF_PUBLIC_WEIGHTS | MBI_PROOF_ZK)

static void add16(struct mbi_buf *out, uint16_t v)
{
    uint8_t bytes[2];

    mbi_store16(bytes, v);
    mbi_buf_add(out, bytes, sizeof(bytes));
}

/* BLAKE2b of much, by the faster of those that are there. */
static void digest_of(uint8_t out[MBI_DIGEST_SIZE], const void *data, size_t n)
{
#if MBI_HAVE_SODIUM
    if (mbi_hash_setup(NULL) >= 0) {
        mbi_hash_plain(out, data, n);
        return;
    }
#endif
    mbi_blake2b(out, data, n);
}

/* The digest of all that stands in the buffer. */
static void seal(struct mbi_buf *out)
{
    uint8_t digest[MBI_DIGEST_SIZE];

    if (out->failed)
        return;
    digest_of(digest, out->data, out->size);
    mbi_buf_add(out, digest, sizeof(digest));
}

static void put_file(struct mbi_buf *out, enum mbi_proof_type type, bool public_weights,
                     const struct mbi_statement *s, size_t boundary)
{
    const size_t left_out = mbi_statement_boundary_size(&s->models) - boundary;
    size_t missing = 0;

    mbi_buf_add_text(out, MAGIC);
    add16(out, MBI_PROOF_VERSION);
    add16(out, MBI_PROOF_PROFILE);
    add16(out, (uint16_t)type);
    add16(out, mbi_statement_is_hidden(&s->models) ? MBI_PROOF_ZK
               : public_weights                    ? MBI_PROOF_PUBLIC_WEIGHTS
                                                   : 0);
    mbi_buf_add32(out, 0);
    put_run(out, s, boundary);
    for (int side = 0; side < MBI_SIDES; side++)
        missing += s->boundary[side] ? left_out : 0;
    if (!out->failed) /* at most 16 models and values */
        mbi_store32(out->data + 12, (uint32_t)(out->size + missing - HEAD));
}

void mbi_proof_file_begin(struct mbi_buf *out, enum mbi_proof_type type, bool public_weights,
                          const struct mbi_statement *s)
{
    put_file(out, type, public_weights, s, mbi_statement_boundary_size(&s->models));
}

void mbi_proof_file_bare(struct mbi_buf *out, enum mbi_proof_type type, bool public_weights,
                         const struct mbi_statement *s)
{
    put_file(out, type, public_weights, s, 0);
}

void mbi_proof_file_name(uint8_t out[MBI_DIGEST_SIZE], const void *bare, size_t n,
                         const uint8_t root[MBI_DIGEST_SIZE])
{
    static const char domain[] = "mambaint-link";
    struct mbi_blake2b h;

    mbi_blake2b_init(&h);
    mbi_blake2b_add(&h, domain, sizeof(domain) - 1);
    mbi_blake2b_add(&h, bare, n);
    mbi_blake2b_add(&h, root, MBI_DIGEST_SIZE);
    mbi_blake2b_end(&h, out);
}

void mbi_proof_file_end(struct mbi_buf *out) { seal(out); }

static bool begins(const void *data, size_t n, const char magic[5])
{
    return n >= 4 && !memcmp(data, magic, 4);
}

bool mbi_proof_file_is(const void *data, size_t n) { return begins(data, n, MAGIC); }

bool mbi_key_file_is(const void *data, size_t n) { return begins(data, n, KEY_MAGIC); }

/* Version and profile of both kinds of files, at bytes 4 and 6. */
static int32_t check_version(const uint8_t *p, const char *what, mambaint_error *err)
{
    if (mbi_load16(p + 4) != MBI_PROOF_VERSION)
        return mbi_fail(err, MAMBAINT_E_VERSION, "%s: version %u; this library reads version %d",
                        what, mbi_load16(p + 4), MBI_PROOF_VERSION);
    if (mbi_load16(p + 6) != MBI_PROOF_PROFILE)
        return mbi_fail(err, MAMBAINT_E_VERSION, "%s: profile %u; this library knows profile %d",
                        what, mbi_load16(p + 6), MBI_PROOF_PROFILE);
    return MAMBAINT_OK;
}

static int32_t check_seal(const uint8_t *p, size_t n, const char *what, mambaint_error *err)
{
    uint8_t digest[MBI_DIGEST_SIZE];

    digest_of(digest, p, n - MBI_DIGEST_SIZE);
    if (memcmp(digest, p + n - MBI_DIGEST_SIZE, MBI_DIGEST_SIZE) != 0)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "%s: the digest at its end does not match; it was damaged or changed",
                        what);
    return MAMBAINT_OK;
}

int32_t mbi_proof_file_ends(const uint8_t *data, size_t n, const char *what, mambaint_error *err)
{
    const int32_t rc = check_version(data, what, err);

    return rc < 0 ? rc : check_seal(data, n, what, err);
}

static int32_t check_head(const uint8_t *p, mambaint_error *err)
{
    const unsigned type = mbi_load16(p + 8), flags = mbi_load16(p + 10);
    const int32_t rc = check_version(p, "proof", err);

    if (rc < 0)
        return rc;
    if (type < MBI_PROOF_RUN || type > MBI_PROOF_CHAIN)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "proof: type %u is neither a run (1), a certificate (2) nor what a chain "
                        "says (3)",
                        type);
    if (flags & ~FLAGS)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "proof: flags %u are not known", flags);
    if (flags == FLAGS)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "proof: it says that its weights are public and hidden");
    if (type == MBI_PROOF_CERTIFICATE && (flags & MBI_PROOF_PUBLIC_WEIGHTS))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "proof: a certificate of public weights, which need none");
    return MAMBAINT_OK;
}

int32_t mbi_proof_file_read(struct mbi_proof_file *out, const void *data, size_t n,
                            mambaint_error *err)
{
    const uint8_t *p = data;
    struct mbi_reader r;
    const char *fault;
    size_t length;
    int32_t rc;

    if (!mbi_proof_file_is(data, n))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "proof: these bytes are no proof file");
    if (n < HEAD + MBI_DIGEST_SIZE)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "proof: %zu bytes are too few; it was cut", n);
    if ((rc = check_head(p, err)) < 0)
        return rc;
    length = mbi_load32(p + 12);
    if (length > n - HEAD - MBI_DIGEST_SIZE)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "proof: its statement should have %zu bytes, but there are %zu; it was cut "
                        "or damaged",
                        length, n - HEAD - MBI_DIGEST_SIZE);
    if ((rc = check_seal(p, n, "proof", err)) < 0)
        return rc;
    out->type = (enum mbi_proof_type)mbi_load16(p + 8);
    out->public_weights = (mbi_load16(p + 10) & MBI_PROOF_PUBLIC_WEIGHTS) != 0;
    out->bound = p;
    out->bound_size = HEAD + length;
    out->body = p + HEAD + length;
    out->body_size = n - HEAD - length - MBI_DIGEST_SIZE;
    if (out->type == MBI_PROOF_CHAIN && out->body_size)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "proof: what a chain says has a body, but its proofs are of its models");
    r = (struct mbi_reader){.data = p + HEAD, .size = length};
    if ((fault = mbi_statement_get(&out->statement, out->type,
                                   (mbi_load16(p + 10) & MBI_PROOF_ZK) != 0, &r)))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "proof: in its statement: %s", fault);
    return MAMBAINT_OK;
}

/* ---- what differs ---- */

static int32_t differs(const char *what, const char *part, mambaint_error *err)
{
    return mbi_fail(err, MAMBAINT_E_MISMATCH, "%s: %s", what, part);
}

static int32_t same_model(const struct mbi_statement_model *a, const struct mbi_statement_model *b,
                          const char *what, uint32_t i, mambaint_error *err)
{
    const char *part = NULL;

    if (strcmp(a->name, b->name) != 0)
        part = "architecture";
    else if (a->n_values != b->n_values || memcmp(a->value, b->value, sizeof(a->value)) != 0)
        part = "configuration";
    else if (memcmp(a->graph, b->graph, sizeof(a->graph)) != 0)
        part = "graph";
    else if (a->has_public != b->has_public ||
             memcmp(a->parameters, b->parameters, sizeof(a->parameters)) != 0)
        part = "set of public parameters";
    if (part)
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "%s: the %s of model %u is another one", what,
                        part, i + 1);
    return MAMBAINT_OK;
}

const char *mbi_statement_mode_name(const struct mbi_statement_models *m, bool public_weights)
{
    static const char *const name[] = {"committed", "public", "hidden"};

    return name[mode_of(m, public_weights)];
}

static bool same_roots(const struct mbi_statement_roots *a, const struct mbi_statement_roots *b)
{
    return a->n == b->n && a->openings == b->openings &&
           !memcmp(a->value, b->value, sizeof(a->value));
}

int32_t mbi_statement_same_models(const struct mbi_statement_models *a, bool a_public,
                                  const struct mbi_statement_models *b, bool b_public,
                                  const char *what, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    if (a->n != b->n)
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "%s: %u models, not %u", what, a->n, b->n);
    for (uint32_t i = 0; i < a->n && rc >= 0; i++)
        rc = same_model(&a->model[i], &b->model[i], what, i, err);
    if (rc < 0)
        return rc;
    if (mode_of(a, a_public) != mode_of(b, b_public))
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "%s: its weights are %s, not %s", what,
                        mbi_statement_mode_name(a, a_public), mbi_statement_mode_name(b, b_public));
    if (memcmp(a->weights, b->weights, sizeof(a->weights)) != 0)
        return differs(what, "the weights are other ones", err);
    if (!same_roots(&a->roots, &b->roots))
        return differs(what, "the roots of its weights are other ones", err);
    return MAMBAINT_OK;
}

static bool same_bytes(const void *a, const void *b, size_t n) { return !n || !memcmp(a, b, n); }

/* The models were compared before. */
static bool same_boundary(const struct mbi_statement *a, const struct mbi_statement *b,
                          enum mbi_side side)
{
    const size_t size = mbi_statement_boundary_size(&a->models);
    const uint8_t *x = a->boundary[side], *y = b->boundary[side];

    return x && y ? !memcmp(x, y, size) : x == y;
}

int32_t mbi_statement_same(const struct mbi_proof_file *got, const struct mbi_proof_file *want,
                           mambaint_error *err)
{
    static const char what[] = "the proof is of another statement than the expected one";
    const struct mbi_statement *a = &got->statement, *b = &want->statement;
    int32_t rc;

    if (got->type != want->type)
        return differs(what,
                       got->type == MBI_PROOF_CERTIFICATE || want->type == MBI_PROOF_CERTIFICATE
                           ? "one of the two is a certificate"
                           : "one of the two is of a chain with a proof for each of its models",
                       err);
    if ((rc = mbi_statement_same_models(&a->models, got->public_weights, &b->models,
                                        want->public_weights, what, err)) < 0)
        return rc;
    if (a->t0 != b->t0 || a->lanes != b->lanes)
        return differs(what, "the steps are other ones", err);
    if (!same_boundary(a, b, MBI_BEFORE) || !same_boundary(a, b, MBI_BEHIND))
        return differs(what, "what it begins with, or hands on, is another one", err);
    if (mbi_statement_is_of_tokens(a) != mbi_statement_is_of_tokens(b))
        return differs(what, "one of the two is of features, the other of tokens", err);
    if (a->n_inputs != b->n_inputs || !same_bytes(a->input, b->input, input_size(a)))
        return differs(what,
                       mbi_statement_is_of_tokens(a) ? "the tokens are other ones"
                                                     : "the features are other ones",
                       err);
    if (a->n_outputs != b->n_outputs || !same_bytes(a->output, b->output, output_size(a)))
        return differs(what,
                       mbi_statement_is_of_tokens(a) ? "the answer has another length"
                                                     : "the outputs are other ones",
                       err);
    /* Every byte is one of these fields, so this is for fields to come. */
    if (got->bound_size != want->bound_size ||
        memcmp(got->bound, want->bound, got->bound_size) != 0)
        return differs(what, "their bytes differ", err);
    return MAMBAINT_OK;
}

/* ---- key files ---- */

/* A length and as many bytes, before the digest at the end. */
static const uint8_t *get_part(size_t *n, struct mbi_reader *r)
{
    *n = mbi_read32(r);
    return *n ? mbi_read_bytes(r, *n) : NULL;
}

#define LENGTHS "key: its parts have other lengths than it says"

static bool any_public(const struct mbi_statement_models *m)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->model[i].has_public)
            return true;
    return false;
}

int32_t mbi_key_file_read(struct mbi_key_file *out, const void *data, size_t n, mambaint_error *err)
{
    struct mbi_reader r = {.data = data}, part;
    const uint8_t *models, *certificate;
    const char *fault;
    size_t size[2];
    uint32_t mode;
    int32_t rc;

    if (!mbi_key_file_is(data, n))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "key: these bytes are no key of a verifier");
    if (n < HEAD + MBI_DIGEST_SIZE)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "key: %zu bytes are too few; it was cut", n);
    if ((rc = check_version(data, "key", err)) < 0 || (rc = check_seal(data, n, "key", err)) < 0)
        return rc;
    r.size = n - MBI_DIGEST_SIZE;
    mbi_read_bytes(&r, 8);
    mode = mbi_read32(&r);
    if (mode != MBI_STATEMENT_COMMITTED && mode != MBI_STATEMENT_HIDDEN)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "key: its weights are neither committed (0) nor hidden (2)");
    models = get_part(&size[0], &r);
    certificate = get_part(&size[1], &r);
    if (!models || !certificate)
        return mbi_fail(err, MAMBAINT_E_FORMAT, LENGTHS);
    part = (struct mbi_reader){.data = models, .size = size[0]};
    if ((fault = mbi_statement_get_models(&out->models, mode == MBI_STATEMENT_HIDDEN, &part)) ||
        (fault = mbi_read_left(&part) ? "something is left behind it" : NULL))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "key: in its models: %s", fault);
    out->parameters = NULL;
    out->n_parameters = 0;
    if (any_public(&out->models) && !(out->parameters = get_part(&out->n_parameters, &r)))
        return mbi_fail(err, MAMBAINT_E_FORMAT, LENGTHS);
    if (mbi_read_left(&r))
        return mbi_fail(err, MAMBAINT_E_FORMAT, LENGTHS);
    if ((rc = mbi_proof_file_read(&out->certificate, certificate, size[1], err)) < 0)
        return rc;
    if (out->certificate.type != MBI_PROOF_CERTIFICATE)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "key: in place of a certificate it has a run");
    return mbi_statement_same_models(&out->certificate.statement.models, false, &out->models, false,
                                     "key: its certificate is of something else", err);
}

/* A length, and as many bytes. */
static void put_part(struct mbi_buf *out, const struct mbi_buf *part)
{
    mbi_buf_add32(out, (uint32_t)part->size); /* of a file or of parameters, far below 2^32 */
    mbi_buf_add(out, part->data, part->size);
    out->failed |= part->failed;
}

/* What both kinds of keys begin with, up to the models' part. */
static void put_models_head(struct mbi_buf *out, const char *magic,
                            const struct mbi_statement_models *m)
{
    size_t begin;

    mbi_buf_add_text(out, magic);
    add16(out, MBI_PROOF_VERSION);
    add16(out, MBI_PROOF_PROFILE);
    mbi_buf_add32(out, mode_of(m, false));
    mbi_buf_add32(out, 0);
    begin = out->size;
    mbi_statement_put_models(out, m);
    if (!out->failed)
        mbi_store32(out->data + begin - 4, (uint32_t)(out->size - begin));
}

void mbi_key_file_write(struct mbi_buf *out, const struct mbi_statement_models *m,
                        const struct mbi_buf *certificate, const struct mbi_buf *parameters)
{
    put_models_head(out, KEY_MAGIC, m);
    put_part(out, certificate);
    if (any_public(m))
        put_part(out, parameters);
    seal(out);
}

/* ---- prover's keys ---- */

bool mbi_prover_key_is(const void *data, size_t n) { return begins(data, n, PROVER_MAGIC); }

/* A part of a head: its bytes, or NULL after a failure. */
static const uint8_t *get_hidden(struct mbi_prover_key_head *out, struct mbi_reader *r)
{
    out->seed = mbi_read_bytes(r, MBI_DIGEST_SIZE);
    out->root = mbi_read_bytes(r, (size_t)MBI_DIGEST_SIZE * out->models.roots.n);
    out->n_certificate = mbi_read32(r);
    return out->certificate = mbi_read_bytes(r, out->n_certificate);
}

/* Up to the digest. */
static const char *get_prover_key(struct mbi_prover_key_head *out, struct mbi_reader *r)
{
    const uint32_t mode = mbi_read32(r), models = mbi_read32(r);
    const uint8_t *part = mbi_read_bytes(r, models);
    struct mbi_reader inner = {.data = part, .size = models};
    const char *fault;
    const uint8_t *p;

    if (!part)
        return CUT;
    if (mode != MBI_STATEMENT_COMMITTED && mode != MBI_STATEMENT_HIDDEN)
        return "its weights are neither committed (0) nor hidden (2)";
    if ((fault = mbi_statement_get_models(&out->models, mode == MBI_STATEMENT_HIDDEN, &inner)) ||
        mbi_read_left(&inner))
        return fault ? fault : "something is left behind its models";
    if (!(p = mbi_read_bytes(r, MBI_DIGEST_SIZE)))
        return CUT;
    memcpy(out->vector, p, MBI_DIGEST_SIZE);
    out->log_rows = mbi_read32(r);
    out->log_columns = mbi_read32(r);
    out->log_length = mbi_read32(r);
    out->rows = mbi_read32(r);
    if (r->failed || (mode == MBI_STATEMENT_HIDDEN && !get_hidden(out, r)))
        return CUT;
    return NULL;
}

int32_t mbi_prover_key_read(struct mbi_prover_key_head *out, const void *data, size_t n,
                            mambaint_error *err)
{
    static const char what[] = "prover key";
    struct mbi_reader r = {.data = data, .size = n, .pos = 8};
    const char *fault;
    int32_t rc;

    *out = (struct mbi_prover_key_head){.rows = 0};
    if (!mbi_prover_key_is(data, n))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "%s: these bytes are no key of a prover", what);
    if (n < HEAD)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "%s: %zu bytes are too few; it was cut", what, n);
    if ((rc = check_version(data, what, err)) < 0)
        return rc;
    fault = get_prover_key(out, &r);
    if (fault && !r.failed)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "%s: in its head: %s", what, fault);
    if (fault || !(out->digest = mbi_read_bytes(&r, MBI_DIGEST_SIZE)))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "%s: %zu bytes are too few; it was cut", what, n);
    if ((rc = check_seal(data, r.pos, what, err)) < 0)
        return rc;
    out->sealed = r.pos;
    out->size = out->sealed + MBI_PROVER_KEY_ALIGN - 1;
    out->size -= out->size % MBI_PROVER_KEY_ALIGN;
    return MAMBAINT_OK;
}

void mbi_prover_key_write(struct mbi_buf *out, const struct mbi_prover_key_head *head)
{
    put_models_head(out, PROVER_MAGIC, &head->models);
    mbi_buf_add(out, head->vector, sizeof(head->vector));
    mbi_buf_add32(out, head->log_rows);
    mbi_buf_add32(out, head->log_columns);
    mbi_buf_add32(out, head->log_length);
    mbi_buf_add32(out, head->rows);
    if (mbi_statement_is_hidden(&head->models)) {
        mbi_buf_add(out, head->seed, MBI_DIGEST_SIZE);
        mbi_buf_add(out, head->root, (size_t)MBI_DIGEST_SIZE * head->models.roots.n);
        mbi_buf_add32(out, (uint32_t)head->n_certificate); /* far below 2^32 */
        add_bytes(out, head->certificate, head->n_certificate);
    }
    seal(out);
    mbi_buf_add_zero(out, (size_t)-out->size % MBI_PROVER_KEY_ALIGN);
}

static void counter_digest(uint8_t out[MBI_DIGEST_SIZE], uint64_t taken,
                           const uint8_t head[MBI_DIGEST_SIZE])
{
    static const char domain[] = "mambaint-counter";
    struct mbi_blake2b h;
    uint8_t bytes[8];

    mbi_store64(bytes, taken);
    mbi_blake2b_init(&h);
    mbi_blake2b_add(&h, domain, sizeof(domain) - 1);
    mbi_blake2b_add(&h, head, MBI_DIGEST_SIZE);
    mbi_blake2b_add(&h, bytes, sizeof(bytes));
    mbi_blake2b_end(&h, out);
}

void mbi_counter_put(struct mbi_counter *c, uint64_t taken, const uint8_t head[MBI_DIGEST_SIZE])
{
    mbi_store64(c->byte, taken);
    counter_digest(c->byte + 8, taken, head);
}

bool mbi_counter_get(uint64_t *taken, const struct mbi_counter *c,
                     const uint8_t head[MBI_DIGEST_SIZE])
{
    uint8_t digest[MBI_DIGEST_SIZE];

    *taken = mbi_load64(c->byte);
    counter_digest(digest, *taken, head);
    return !memcmp(digest, c->byte + 8, sizeof(digest));
}
