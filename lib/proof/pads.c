/* SPDX-License-Identifier: Apache-2.0 */
/* Padded messages and lines, written and read. */
#include "proof/pads.h"
#if MBI_HAVE_SODIUM

#define LINE_DEGREE 4 /* factors of a term */
#define AT_ONCE 16

static struct mbi_ext draw(struct mbi_transcript *t)
{
    struct mbi_ext r;

    mbi_transcript_draw(r.c, MBI_EXT_D, t);
    return r;
}

/* ---- the prover ---- */

/* Pads that are missing count, too: that too many were used is seen at the end. */
struct mbi_ext MBI_EXT(pad_ahead)(const struct mbi_pads *p, size_t ahead)
{
    struct mbi_ext x = mbi_ext_from(0);

    if (ahead < p->n && p->next < p->n - ahead)
        for (size_t k = 0; k < MBI_EXT_D; k++)
            x.c[k] = p->at[(p->next + ahead) * MBI_EXT_D + k];
    return x;
}

void MBI_EXT(put_padded)(struct mbi_proof_writer *w, const char *tag, const struct mbi_ext *x,
                         size_t n)
{
    struct mbi_ext y[AT_ONCE];

    if (!w->pads) {
        mbi_put_elements(w, tag, (const mbi_fe *)x, n * MBI_EXT_D);
        return;
    }
    if (n > AT_ONCE) { /* no message has so many */
        w->bytes.failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++)
        y[i] = mbi_ext_add(x[i], MBI_EXT(pad_ahead)(w->pads, i));
    w->pads->next += n;
    mbi_put_elements(w, tag, (const mbi_fe *)y, n * MBI_EXT_D);
}

void MBI_EXT(put_line)(struct mbi_proof_writer *w, const struct mbi_ext *h, unsigned degree,
                       const struct mbi_ext *u, size_t n)
{
    struct mbi_ext *point = mbi_alloc(w->bytes.host, n ? n : 1, sizeof(*point)), r;

    if (!point) {
        w->bytes.failed = true;
        return;
    }
    MBI_EXT(put_padded)(w, "line", h + 1, degree);
    r = draw(&w->transcript);
    for (size_t i = 0; i < n; i++)
        point[i] = mbi_ext_add(u[i], mbi_ext_mul(r, MBI_EXT(pad_ahead)(w->pads, i)));
    w->pads->next += n;
    mbi_put_elements(w, "values", (const mbi_fe *)point, n * MBI_EXT_D);
    mbi_free(w->bytes.host, point);
}

/* ---- both sides ---- */

void MBI_EXT(hidden_free)(struct mbi_hidden *h)
{
    mbi_free(h->host, h->term);
    mbi_free(h->host, h->zero);
    h->term = NULL;
    h->zero = NULL;
    h->term_cap = h->zero_cap = h->n_terms = h->n_zero = 0;
}

void MBI_EXT(hidden_clear)(struct mbi_hidden *h) { h->n_terms = h->n_zero = 0; }

void MBI_EXT(hidden_term)(struct mbi_hidden *h, size_t pad, struct mbi_ext scale)
{
    if (h->n_terms == h->term_cap) {
        const size_t cap = 2 * h->term_cap + 64;
        struct mbi_pad_term *more = mbi_realloc(h->host, h->term, cap, sizeof(*more));

        if (!more) {
            h->failed = true;
            return;
        }
        h->term = more;
        h->term_cap = cap;
    }
    h->term[h->n_terms++] = (struct mbi_pad_term){pad, scale};
}

void MBI_EXT(hidden_pads)(struct mbi_hidden *h, const struct mbi_ext *scale, size_t n)
{
    for (size_t i = 0; i < n; i++)
        MBI_EXT(hidden_term)(h, h->next++, mbi_ext_neg(scale[i]));
}

void MBI_EXT(hidden_zero)(struct mbi_hidden *h, size_t first, struct mbi_ext known)
{
    if (h->n_zero == h->zero_cap) {
        const size_t cap = 2 * h->zero_cap + 32;
        struct mbi_affine *more = mbi_realloc(h->host, h->zero, cap, sizeof(*more));

        if (!more) {
            h->failed = true;
            return;
        }
        h->zero = more;
        h->zero_cap = cap;
    }
    h->zero[h->n_zero++] = (struct mbi_affine){known, first, h->n_terms - first};
}

bool MBI_EXT(line_join)(struct mbi_line *line, const struct mbi_ext *h, unsigned degree,
                        struct mbi_hidden *hidden)
{
    struct mbi_ext power[LINE_DEGREE + 1] = {mbi_ext_from(1)};

    line->sum = mbi_ext_from(0);
    for (unsigned i = 1; i <= degree && i <= LINE_DEGREE; i++) {
        power[i] = mbi_ext_mul(power[i - 1], line->r);
        line->sum = mbi_ext_add(line->sum, mbi_ext_mul(power[i], h[i]));
    }
    MBI_EXT(hidden_pads)(hidden, power + 1, degree);
    return !mbi_ext_is_zero(line->r);
}

bool MBI_EXT(get_line)(struct mbi_line *line, struct mbi_ext *u, unsigned degree, size_t n,
                       struct mbi_hidden *hidden, struct mbi_proof_reader *in)
{
    struct mbi_ext h[LINE_DEGREE + 1];

    if (degree > LINE_DEGREE) {
        mbi_refuse(in, "a line has too many coefficients");
        return false;
    }
    mbi_get_elements((mbi_fe *)(h + 1), (size_t)degree * MBI_EXT_D, in, "line");
    line->r = draw(&in->transcript);
    if (!MBI_EXT(line_join)(line, h, degree, hidden))
        mbi_refuse(in, "a line has only one point");
    line->m = hidden->next;
    hidden->next += n;
    mbi_get_elements((mbi_fe *)u, n * MBI_EXT_D, in, "values");
    return !in->fault;
}
#endif
