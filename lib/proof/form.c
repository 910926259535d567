/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear forms. The rules of a factor are one automaton that reads the bits of all its indices at
 * once, the most significant ones first. A rule has two states, so three of them make eight; what
 * is kept for a state is the sum of the weights of all readings that lead to it.
 */
#include "proof/form.h"
#include "base/intmath.h"

/* ---- the usual factors ---- */

static struct mbi_form_index free_index(unsigned at, unsigned bits, const struct mbi_ext *z)
{
    return (struct mbi_form_index){(uint8_t)bits, (uint8_t)at, z ? MBI_FORM_EQ : MBI_FORM_ONES, z};
}

static struct mbi_form_index summed_index(unsigned bits, const struct mbi_ext *z)
{
    return free_index(MBI_FORM_SUMMED, bits, z);
}

static void add_index(struct mbi_form_factor *f, struct mbi_form_index index)
{
    f->index[f->n_indices++] = index;
}

static void add_rule(struct mbi_form_factor *f, struct mbi_form_rule rule)
{
    f->rule[f->n_rules++] = rule;
}

static void add_below(struct mbi_form_factor *f, unsigned index, uint64_t n)
{
    add_rule(f, (struct mbi_form_rule){MBI_FORM_BELOW, (uint8_t)index, 0, 0, MBI_MAX_BITS, n});
}

/* A rule of the places in a block. */
static void add_order(struct mbi_form_factor *f, enum mbi_form_order order, unsigned left,
                      unsigned right, unsigned low_bits)
{
    add_rule(f,
             (struct mbi_form_rule){order, (uint8_t)left, (uint8_t)right, 0, (uint8_t)low_bits, 0});
}

static void add_same_block(struct mbi_form_factor *f, unsigned left, unsigned right,
                           unsigned low_bits)
{
    add_rule(f, (struct mbi_form_rule){MBI_FORM_EQUAL, (uint8_t)left, (uint8_t)right,
                                       (uint8_t)low_bits, MBI_MAX_BITS, 0});
}

struct mbi_form_factor MBI_EXT(form_eq)(unsigned at, unsigned bits, uint64_t below,
                                        const struct mbi_ext *z)
{
    struct mbi_form_factor f = {.kind = MBI_FORM_RULED};

    add_index(&f, free_index(at, bits, z));
    add_below(&f, 0, below);
    return f;
}

struct mbi_form_factor MBI_EXT(form_ones)(unsigned at, unsigned bits, uint64_t below)
{
    return MBI_EXT(form_eq)(at, bits, below, NULL);
}

struct mbi_form_factor MBI_EXT(form_power)(unsigned at, unsigned bits, uint64_t below,
                                           const struct mbi_ext *x)
{
    struct mbi_form_factor f = MBI_EXT(form_eq)(at, bits, below, x);

    f.index[0].weight = MBI_FORM_POWER;
    return f;
}

struct mbi_form_factor MBI_EXT(form_shift)(unsigned at, unsigned bits, uint64_t below,
                                           const struct mbi_ext *z, unsigned z_bits,
                                           uint64_t z_below, int32_t s)
{
    struct mbi_form_factor f = {.kind = MBI_FORM_RULED};
    const uint8_t left = s < 0 ? 0 : 1; /* x = i + |s|, or i = x + s */
    const uint64_t n = s < 0 ? (uint64_t) - (int64_t)s : (uint64_t)s;

    add_index(&f, free_index(at, bits, NULL));
    add_index(&f, summed_index(z_bits, z));
    add_below(&f, 0, below);
    add_below(&f, 1, z_below);
    add_rule(&f, (struct mbi_form_rule){MBI_FORM_SUM, left, 1 - left, 0, MBI_MAX_BITS, n});
    return f;
}

struct mbi_form_factor MBI_EXT(form_upto)(unsigned at, unsigned bits, unsigned low_bits,
                                          uint64_t below, const struct mbi_ext *z)
{
    struct mbi_form_factor f = {.kind = MBI_FORM_RULED};

    add_index(&f, free_index(at, bits, NULL));
    add_index(&f, summed_index(bits, z));
    add_below(&f, 1, below);
    add_order(&f, MBI_FORM_UPTO, 0, 1, low_bits);
    add_same_block(&f, 0, 1, low_bits);
    return f;
}

struct mbi_form_factor MBI_EXT(form_triangle)(unsigned at_i, unsigned bits, unsigned at_j,
                                              unsigned low_bits, uint64_t below,
                                              const struct mbi_ext *z, const struct mbi_ext *y)
{
    struct mbi_form_factor f = {.kind = MBI_FORM_RULED};

    add_index(&f, free_index(at_i, bits, z));
    add_index(&f, free_index(at_j, low_bits, y));
    add_below(&f, 0, below);
    add_order(&f, MBI_FORM_UPTO, 1, 0, low_bits);
    return f;
}

struct mbi_form_factor MBI_EXT(form_band)(unsigned at, unsigned bits, unsigned low_bits,
                                          uint64_t below, const struct mbi_ext *z,
                                          const struct mbi_ext *y)
{
    struct mbi_form_factor f = {.kind = MBI_FORM_RULED};

    add_index(&f, free_index(at, bits, NULL));
    add_index(&f, summed_index(bits, z));
    add_index(&f, summed_index(low_bits, y));
    add_below(&f, 1, below);
    add_order(&f, MBI_FORM_UPTO, 0, 1, low_bits);
    add_order(&f, MBI_FORM_LESS, 2, 0, low_bits);
    add_same_block(&f, 0, 1, low_bits);
    return f;
}

struct mbi_form_factor MBI_EXT(form_rows)(unsigned at, unsigned bits, const struct mbi_table *rows,
                                          const struct mbi_ext *z)
{
    struct mbi_form_factor f = {.kind = MBI_FORM_ROWS, .values = *rows};

    add_index(&f, free_index(at, bits, z));
    return f;
}

struct mbi_form_factor MBI_EXT(form_list)(unsigned at, unsigned bits, uint64_t below,
                                          const uint32_t *list, size_t n,
                                          const struct mbi_table *values, const struct mbi_ext *z,
                                          unsigned z_bits)
{
    struct mbi_form_factor f = {.kind = MBI_FORM_LIST, .list = list};

    if (values)
        f.values = *values;
    f.values.n = values ? mbi_min_size(n, values->n) : n;
    add_index(&f, free_index(at, bits, NULL));
    add_index(&f, summed_index(z_bits, z));
    add_below(&f, 0, below);
    return f;
}

/* ---- faults ---- */

static const char *index_fault(const struct mbi_form_index *i)
{
    if (i->bits > MBI_MAX_BITS)
        return "an index has more than 32 bits";
    if (i->weight != MBI_FORM_ONES && i->bits && !i->z)
        return "a weight lacks its point";
    return NULL;
}

static const char *rule_fault(const struct mbi_form_factor *f, const struct mbi_form_rule *r)
{
    if (r->left >= f->n_indices || r->right >= f->n_indices)
        return "a rule names an index that is not there";
    if (r->low > r->high || r->high > MBI_MAX_BITS)
        return "a rule sees bits that are not there";
    if (r->order == MBI_FORM_BELOW && r->n > (uint64_t)1 << f->index[r->left].bits)
        return "a range is longer than its index";
    if (r->order == MBI_FORM_SUM && r->n >> MBI_MAX_BITS)
        return "a shift is too far";
    return NULL;
}

static const char *list_fault(const struct mbi_form_factor *f)
{
    const struct mbi_form_index *place = &f->index[1];

    if (f->n_indices != 2 || f->n_rules != 1 || f->index[0].weight != MBI_FORM_ONES ||
        f->rule[0].order != MBI_FORM_BELOW || place->weight == MBI_FORM_POWER ||
        place->at != MBI_FORM_SUMMED)
        return "a list is made wrongly";
    if (place->weight == MBI_FORM_EQ && f->values.n > (uint64_t)1 << place->bits)
        return "a list is longer than its weights";
    for (size_t l = 0; l < f->values.n; l++)
        if (f->list[l] >= f->rule[0].n)
            return "an entry of a list is outside its range";
    return NULL;
}

static const char *rows_fault(const struct mbi_form_factor *f)
{
    if (f->n_indices != 1 || f->n_rules || f->index[0].weight == MBI_FORM_POWER)
        return "rows are made wrongly";
    return f->values.n > (uint64_t)1 << f->index[0].bits ? "more rows than their index has" : NULL;
}

static const char *factor_fault(const struct mbi_form_factor *f)
{
    const char *fault = NULL;
    int stateful = 0;

    if (!f->n_indices || f->n_indices > MBI_FORM_INDICES || f->n_rules > MBI_FORM_RULES)
        return "a factor has too many parts or none";
    for (unsigned k = 0; k < f->n_indices && !fault; k++)
        fault = index_fault(&f->index[k]);
    for (unsigned k = 0; k < f->n_rules && !fault; k++) {
        fault = rule_fault(f, &f->rule[k]);
        stateful += f->rule[k].order != MBI_FORM_EQUAL;
    }
    if (!fault && stateful > 3)
        fault = "a factor has more than eight states";
    if (!fault && f->kind == MBI_FORM_ROWS)
        fault = rows_fault(f);
    if (!fault && f->kind == MBI_FORM_LIST)
        fault = list_fault(f);
    return fault;
}

const char *MBI_EXT(form_fault)(const struct mbi_form *form)
{
    uint64_t covered = 0;

    if (form->bits > MBI_MAX_BITS || form->n_factors > MBI_FORM_FACTORS)
        return "a form has too many bits or factors";
    for (unsigned k = 0; k < form->n_factors; k++) {
        const struct mbi_form_factor *f = &form->factor[k];
        const char *fault = factor_fault(f);

        if (fault)
            return fault;
        for (unsigned i = 0; i < f->n_indices; i++) {
            const struct mbi_form_index *x = &f->index[i];
            uint64_t bits;

            if (x->at == MBI_FORM_SUMMED)
                continue;
            if ((unsigned)x->at + x->bits > form->bits)
                return "an index lies outside its form";
            bits = (((uint64_t)1 << x->bits) - 1) << x->at;
            if (covered & bits)
                return "two indices share a bit";
            covered |= bits;
        }
    }
    return covered + 1 == (uint64_t)1 << form->bits ? NULL : "a bit of a form has no factor";
}

/* ---- the automaton ---- */

#define STATES (1u << MBI_FORM_RULES) /* an EQUAL never leaves its first one */

struct machine {
    const struct mbi_form_factor *factor;
    unsigned levels;               /* bits of the longest index */
    unsigned start, want, may;     /* accepted: (state | may) = want */
    bool never;                    /* nothing is accepted */
    unsigned absent[MBI_MAX_BITS]; /* indices that have no bit of weight 2^p */
    struct mbi_ext weight[MBI_FORM_INDICES][MBI_MAX_BITS][2];
};

/* The sums of the states in the set `live`; all others are zero. */
struct states {
    unsigned live;
    struct mbi_ext sum[STATES];
};

/* The weights of bit 2^p of an index, times eq with the point for the form's first `fixed` bits. */
static void prepare_index(struct machine *m, unsigned v, const struct mbi_ext *point,
                          unsigned fixed)
{
    const struct mbi_form_index *x = &m->factor->index[v];
    struct mbi_ext power = x->weight == MBI_FORM_POWER ? *x->z : mbi_ext_from(0);
    const struct mbi_ext one = mbi_ext_from(1);

    for (unsigned p = 0; p < m->levels; p++) {
        struct mbi_ext *w = m->weight[v][p];

        w[0] = w[1] = one;
        if (p >= x->bits) {
            m->absent[p] |= 1u << v;
            continue;
        }
        if (x->weight == MBI_FORM_EQ) {
            w[1] = x->z[x->bits - 1 - p];
            w[0] = mbi_ext_sub(one, w[1]);
        } else if (x->weight == MBI_FORM_POWER) {
            w[1] = power;
            power = mbi_ext_mul(power, power);
        }
        if (x->at != MBI_FORM_SUMMED && x->at + (x->bits - 1u - p) < fixed) {
            const struct mbi_ext b = point[x->at + (x->bits - 1u - p)];

            w[1] = mbi_ext_mul(w[1], b);
            w[0] = mbi_ext_mul(w[0], mbi_ext_sub(one, b));
        }
    }
}

/* A range as long as its index is decided from the start, a shift beyond all bits too. */
static void prepare_rule(struct machine *m, unsigned r)
{
    const struct mbi_form_rule *rule = &m->factor->rule[r];
    const unsigned high = rule->high < m->levels ? rule->high : m->levels;
    const unsigned width = high > rule->low ? high - rule->low : 0, bit = 1u << r;

    if (rule->order == MBI_FORM_SUM && rule->n >> width)
        m->never = true;
    if (rule->order == MBI_FORM_BELOW && rule->n >> width)
        m->start |= bit;
    if (rule->order == MBI_FORM_BELOW || rule->order == MBI_FORM_LESS)
        m->want |= bit;
    if (rule->order == MBI_FORM_UPTO) {
        m->want |= bit;
        m->may |= bit;
    }
}

static void prepare(struct machine *m, const struct mbi_form_factor *f, const struct mbi_ext *point,
                    unsigned fixed)
{
    m->factor = f;
    m->levels = m->start = m->want = m->may = 0;
    m->never = false;
    for (unsigned v = 0; v < f->n_indices; v++)
        if (f->index[v].bits > m->levels)
            m->levels = f->index[v].bits;
    for (unsigned p = 0; p < m->levels; p++)
        m->absent[p] = 0;
    for (unsigned v = 0; v < f->n_indices; v++)
        prepare_index(m, v, point, fixed);
    for (unsigned r = 0; r < f->n_rules; r++)
        prepare_rule(m, r);
}

/*
 * The state (0 or 1) of a rule after it reads the bits a of its left and b of its right index, c of
 * its n; -1: it can no longer hold. Of two integers the order is that of their first differing
 * bits, state 1 once it is decided. A sum's state is the carry that the bits still to come owe.
 */
static int rule_step(enum mbi_form_order order, int state, int a, int b, int c)
{
    int owed;

    switch (order) {
    case MBI_FORM_BELOW:
        return state || a < c ? 1 : a == c ? 0 : -1;
    case MBI_FORM_LESS:
    case MBI_FORM_UPTO:
        return state || a < b ? 1 : a == b ? 0 : -1;
    case MBI_FORM_SUM:
        owed = a + 2 * state - b - c;
        return owed == 0 || owed == 1 ? owed : -1;
    case MBI_FORM_EQUAL:
        return a == b ? 0 : -1;
    }
    return -1;
}

/* The state after bits 2^p, of which `bits` holds one for each index. */
static int step(const struct mbi_form_factor *f, unsigned state, unsigned bits, unsigned p)
{
    unsigned next = 0;

    for (unsigned r = 0; r < MBI_FORM_RULES && r < f->n_rules; r++) {
        const struct mbi_form_rule *rule = &f->rule[r];
        int now = state >> r & 1;

        if (p >= rule->low && p < rule->high)
            now = rule_step(rule->order, now, bits >> rule->left & 1, bits >> rule->right & 1,
                            rule->n >> (p - rule->low) & 1);
        if (now < 0)
            return -1;
        next |= (unsigned)now << r;
    }
    return (int)next;
}

static void start(struct states *s, const struct machine *m, struct mbi_ext scale)
{
    s->live = m->never ? 0 : 1u << m->start;
    s->sum[m->start] = scale;
}

/* All readings of bits 2^p where the indices in `fixed` have the bits of `value`. */
static void advance(struct states *next, const struct machine *m, const struct states *now,
                    unsigned p, unsigned fixed, unsigned value)
{
    const unsigned n = m->factor->n_indices;

    next->live = 0;
    for (unsigned bits = 0; bits < 1u << n; bits++) {
        struct mbi_ext weight;

        if (((bits ^ value) & fixed) || (bits & m->absent[p]))
            continue;
        weight = m->weight[0][p][bits & 1];
        for (unsigned v = 1; v < n; v++)
            weight = mbi_ext_mul(weight, m->weight[v][p][bits >> v & 1]);
        for (unsigned s = 0; now->live >> s; s++) {
            const int to = now->live >> s & 1 ? step(m->factor, s, bits, p) : -1;
            struct mbi_ext sum;

            if (to < 0)
                continue;
            sum = mbi_ext_mul(now->sum[s], weight);
            next->sum[to] = next->live >> to & 1 ? mbi_ext_add(next->sum[to], sum) : sum;
            next->live |= 1u << to;
        }
    }
}

static struct mbi_ext accepted(const struct machine *m, const struct states *s)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (unsigned k = 0; s->live >> k; k++)
        if ((s->live >> k & 1) && (k | m->may) == m->want)
            sum = mbi_ext_add(sum, s->sum[k]);
    return sum;
}

/* ---- evaluation ---- */

/* One index, free or summed, below one number, and no power: most factors are that. */
static bool is_masked_eq(const struct mbi_form_factor *f)
{
    return f->n_indices == 1 && f->n_rules == 1 && f->rule[0].order == MBI_FORM_BELOW &&
           f->rule[0].low == 0 && f->rule[0].high >= f->index[0].bits &&
           f->index[0].weight != MBI_FORM_POWER && f->index[0].at != MBI_FORM_SUMMED;
}

/*
 * The sum over x < m of e_0(x_0) ... e_(n-1)(x_(n-1)) with the factors e of the bits: m = 2^n is
 * the product of all e(0) + e(1); else the sum over the i with m_i = 1 of [product over k < i of
 * e_k(m_k)] e_i(0) [product over k > i of e_k(0) + e_k(1)]. From the lowest bit on, `below` is
 * that sum of the bits read so far, `all` the product of theirs.
 */
static struct mbi_ext masked_eq_at(const struct mbi_form_factor *f, const struct mbi_ext *point)
{
    const struct mbi_form_index *x = &f->index[0];
    const struct mbi_ext one = mbi_ext_from(1);
    const uint64_t m = f->rule[0].n;
    struct mbi_ext below = mbi_ext_from(0), all = one;

    for (unsigned k = x->bits; k-- > 0;) {
        const struct mbi_ext b = point[x->at + k];
        struct mbi_ext high = b, low = mbi_ext_sub(one, b), both = one;

        if (x->weight == MBI_FORM_EQ) {
            high = mbi_ext_mul(x->z[k], b);
            low = mbi_ext_add(mbi_ext_sub(mbi_ext_sub(one, x->z[k]), b), high);
            both = mbi_ext_add(low, high);
        }
        if (m >> x->bits == 0) {
            below = m >> (x->bits - 1 - k) & 1
                        ? mbi_ext_add(mbi_ext_mul(high, below), mbi_ext_mul(low, all))
                        : mbi_ext_mul(low, below);
        }
        all = mbi_ext_mul(all, both);
    }
    return m >> x->bits ? all : below;
}

static struct mbi_ext ruled_at(const struct mbi_form_factor *f, const struct mbi_ext *point)
{
    struct machine m;
    struct states s[2];
    unsigned now = 0;

    prepare(&m, f, point, MBI_MAX_BITS);
    start(&s[0], &m, mbi_ext_from(1));
    for (unsigned p = m.levels; p-- > 0; now ^= 1)
        advance(&s[now ^ 1], &m, &s[now], p, 0, 0);
    return accepted(&m, &s[now]);
}

static struct mbi_ext rows_at(const struct mbi_form_factor *f, const struct mbi_ext *point)
{
    const struct mbi_form_index *x = &f->index[0];
    struct mbi_ext sum = mbi_ext_from(0);
    struct mbi_eq_walk own, other;

    point += x->at;
    if (x->weight == MBI_FORM_ONES)
        return MBI_EXT(table_at)(&f->values, point, x->bits);
    MBI_EXT(eq_walk_start)(&own, x->z, x->bits);
    MBI_EXT(eq_walk_start)(&other, point, x->bits);
    for (size_t i = 0; i < f->values.n; i++) {
        const struct mbi_ext w = mbi_ext_mul(own.prefix[x->bits], other.prefix[x->bits]);

        sum = mbi_ext_add(sum, mbi_ext_mul(w, mbi_table_ext(&f->values, i)));
        MBI_EXT(eq_walk_next)(&own);
        MBI_EXT(eq_walk_next)(&other);
    }
    return sum;
}

static struct mbi_ext list_value(const struct mbi_form_factor *f, size_t l)
{
    return f->values.data ? mbi_table_ext(&f->values, l) : mbi_ext_from(1);
}

static struct mbi_ext list_at(const struct mbi_form_factor *f, const struct mbi_ext *point)
{
    const struct mbi_form_index *x = &f->index[0], *place = &f->index[1];
    const unsigned z_bits = place->weight == MBI_FORM_EQ ? place->bits : 0;
    struct mbi_ext sum = mbi_ext_from(0);
    struct mbi_eq_walk z;

    MBI_EXT(eq_walk_start)(&z, place->z, z_bits);
    for (size_t l = 0; l < f->values.n; l++) {
        const struct mbi_ext value = mbi_ext_mul(z.prefix[z_bits], list_value(f, l));
        const struct mbi_ext w = MBI_EXT(eq_index)(point + x->at, x->bits, f->list[l]);

        sum = mbi_ext_add(sum, mbi_ext_mul(w, value));
        MBI_EXT(eq_walk_next)(&z);
    }
    return sum;
}

static struct mbi_ext factor_at(const struct mbi_form_factor *f, const struct mbi_ext *point)
{
    switch (f->kind) {
    case MBI_FORM_RULED:
        return is_masked_eq(f) ? masked_eq_at(f, point) : ruled_at(f, point);
    case MBI_FORM_ROWS:
        return rows_at(f, point);
    case MBI_FORM_LIST:
        return list_at(f, point);
    }
    return mbi_ext_from(0);
}

struct mbi_ext MBI_EXT(form_at)(const struct mbi_form *form, const struct mbi_ext *point)
{
    struct mbi_ext r = form->scale;

    for (unsigned k = 0; k < form->n_factors; k++)
        r = mbi_ext_mul(r, factor_at(&form->factor[k], point));
    return r;
}

/* ---- evaluation of many ---- */

/* Where the coordinates of an index are; of one that is summed over, nowhere. */
static const struct mbi_ext *index_point(const struct mbi_form_index *x,
                                         const struct mbi_ext *point)
{
    return x->at == MBI_FORM_SUMMED ? NULL : point + x->at;
}

/* The same factor of the same coordinates, though maybe at different places of two forms. */
static bool same_at(const struct mbi_form_factor *a, const struct mbi_ext *a_point,
                    const struct mbi_form_factor *b, const struct mbi_ext *b_point)
{
    bool same = a->kind == b->kind && a->n_indices == b->n_indices && a->n_rules == b->n_rules &&
                a->kind != MBI_FORM_LIST;

    for (unsigned k = 0; same && k < a->n_indices; k++) {
        const struct mbi_form_index *x = &a->index[k], *y = &b->index[k];

        same = x->z == y->z && x->bits == y->bits && x->weight == y->weight &&
               index_point(x, a_point) == index_point(y, b_point);
    }
    for (unsigned k = 0; same && k < a->n_rules; k++)
        same = mbi_form_same_rule(&a->rule[k], &b->rule[k]);
    return same && (a->kind != MBI_FORM_ROWS ||
                    (a->values.data == b->values.data && a->values.n == b->values.n &&
                     a->values.type == b->values.type));
}

static size_t hash_at(const struct mbi_form_factor *f, const struct mbi_ext *point)
{
    const struct mbi_form_index *x = &f->index[f->n_indices - 1];
    uint64_t h = (uintptr_t)x->z / sizeof(*x->z);

    h = 31 * h + (uintptr_t)(point + f->index[0].at) / sizeof(*point);
    h = 31 * h + f->rule[0].n + (uintptr_t)f->values.data / sizeof(void *);
    return (size_t)(h * UINT64_C(0x9E3779B97F4A7C15) >> 32) % MBI_FORM_KNOWN;
}

struct mbi_ext MBI_EXT(form_at_known)(const struct mbi_form *form, const struct mbi_ext *point,
                                      struct mbi_form_memo *memo)
{
    struct mbi_ext r = form->scale;

    for (unsigned k = 0; k < form->n_factors; k++) {
        const struct mbi_form_factor *f = &form->factor[k];
        struct mbi_form_known *known = &memo->last[hash_at(f, point)];

        if (!known->factor || !same_at(known->factor, known->point, f, point))
            *known = (struct mbi_form_known){f, point, factor_at(f, point)};
        r = mbi_ext_mul(r, known->value);
    }
    return r;
}

/* ---- expansion ---- */

/* The part of a factor's table that a block of the form sees, the form's first bits at a point. */
struct part {
    struct mbi_ext *out;
    const struct mbi_ext *point;
    unsigned fixed;                    /* coordinates of it */
    unsigned folded[MBI_FORM_INDICES]; /* the first bits of each free index, which are at it */
    unsigned vary[MBI_FORM_INDICES]; /* the last bits of each free index, which vary in the block */
    unsigned place[MBI_FORM_INDICES]; /* of their last one in the index of `out` */
    unsigned shift[MBI_FORM_INDICES]; /* ... and in the index of the form */
    uint64_t value[MBI_FORM_INDICES]; /* of the index at the begin of the block */
    unsigned bits;                    /* of the index of `out` */
    unsigned free;                    /* the set of free indices */
};

/* Where a block lies: 2^log entries from `begin` on, of the form with its first `fixed` bits at a
 * point. */
struct window {
    const struct mbi_ext *point;
    unsigned fixed, log;
    uint64_t begin;
};

/* `out` has the bits in the order in which they lie in the form: the last index of it last. */
static void part_init(struct part *a, struct mbi_ext *out, const struct mbi_form_factor *f,
                      unsigned form_bits, const struct window *w)
{
    *a = (struct part){.out = out, .point = w->point, .fixed = w->fixed};
    for (unsigned v = 0; v < f->n_indices; v++) {
        const struct mbi_form_index *x = &f->index[v];

        if (x->at == MBI_FORM_SUMMED)
            continue;
        a->free |= 1u << v;
        a->shift[v] = form_bits - x->at - x->bits;
        a->value[v] = w->begin >> a->shift[v] & (((uint64_t)1 << x->bits) - 1);
        if (w->log > a->shift[v])
            a->vary[v] = w->log - a->shift[v] < x->bits ? w->log - a->shift[v] : x->bits;
        if (w->fixed > x->at)
            a->folded[v] = w->fixed - x->at < x->bits ? w->fixed - x->at : x->bits;
        a->bits += a->vary[v];
    }
    for (unsigned v = 0; v < f->n_indices; v++)
        for (unsigned u = 0; u < f->n_indices; u++)
            if ((a->free >> u & 1) && f->index[u].at > f->index[v].at)
                a->place[v] += a->vary[u];
}

/* The place in `out` of entry x of the block. */
static size_t part_place(const struct part *a, uint64_t x)
{
    uint64_t place = 0;

    for (unsigned v = 0; v < MBI_FORM_INDICES; v++)
        place |= (x >> a->shift[v] & (((uint64_t)1 << a->vary[v]) - 1)) << a->place[v];
    return (size_t)place;
}

/* Nothing is left to decide about the one index, whose p last bits vary freely. */
static bool is_plain(const struct machine *m, const struct part *a, const struct states *s,
                     unsigned p)
{
    const struct mbi_form_factor *f = m->factor;

    if (f->n_indices != 1 || a->vary[0] < p)
        return false;
    for (unsigned r = 0; r < f->n_rules; r++)
        if (f->rule[r].order != MBI_FORM_BELOW)
            return false;
    return s->live == 1u << m->want;
}

/* The products of the weights of p last bits. */
static void expand_plain(struct mbi_ext *out, const struct machine *m, unsigned p,
                         struct mbi_ext scale)
{
    const struct mbi_form_index *x = &m->factor->index[0];

    switch (x->weight) {
    case MBI_FORM_ONES:
        for (size_t i = 0; i < (size_t)1 << p; i++)
            out[i] = scale;
        break;
    case MBI_FORM_EQ:
        MBI_EXT(eq_table)(out, x->z + (x->bits - p), p, scale);
        break;
    case MBI_FORM_POWER:
        out[0] = scale;
        for (unsigned k = 0; k < p; k++) /* bit 2^k is before those done */
            for (size_t i = (size_t)1 << k; i-- > 0;)
                out[((size_t)1 << k) + i] = mbi_ext_mul(out[i], m->weight[0][k][1]);
        break;
    }
}

/*
 * The p last bits, from the states `now` on; the bits before them are those of out[at]. Entries
 * that no reading reaches are left at zero. It calls itself at most MBI_MAX_BITS deep.
 */
static void descend(const struct machine *m, const struct part *a, const struct states *now,
                    unsigned p, size_t at)
{
    unsigned varying = 0, value = 0, bits = 0, given = a->free;
    struct states next;

    if (!now->live)
        return;
    if (!p) {
        a->out[at] = accepted(m, now);
        return;
    }
    if (is_plain(m, a, now, p)) {
        expand_plain(a->out + at, m, p, now->sum[m->want]);
        return;
    }
    p--;
    for (unsigned v = 0; v < MBI_FORM_INDICES; v++) {
        varying |= (unsigned)(p < a->vary[v]) << v;
        value |= (unsigned)(a->value[v] >> p & 1) << v;
    }
    for (unsigned v = 0; v < m->factor->n_indices; v++)
        if (a->folded[v] && p + a->folded[v] >= m->factor->index[v].bits)
            given &= ~(1u << v); /* at the point: both bits, with their weights */
    do {                         /* every subset of `varying` */
        size_t to = at;

        for (unsigned v = 0; v < MBI_FORM_INDICES; v++)
            if (bits >> v & 1)
                to += (size_t)1 << (a->place[v] + p);
        advance(&next, m, now, p, given, value | bits);
        descend(m, a, &next, p, to);
        bits = (bits - varying) & varying;
    } while (bits);
}

static void expand_ruled(const struct part *a, const struct mbi_form_factor *f,
                         struct mbi_ext scale)
{
    struct machine m;
    struct states s;

    prepare(&m, f, a->point, a->fixed);
    start(&s, &m, scale);
    descend(&m, a, &s, m.levels, 0);
}

/* eq(point, r) for the first bits r of index v. */
static struct mbi_ext folded_weight(const struct part *a, const struct mbi_form_index *x,
                                    unsigned v, uint64_t r)
{
    return MBI_EXT(eq_index)(a->folded[v] ? a->point + x->at : NULL, a->folded[v], r);
}

/* out[i] *= eq(z, value + i) for the bits of one index that are not folded. */
static void times_own(const struct part *a, const struct mbi_form_index *x)
{
    const unsigned before = x->bits - a->folded[0] - a->bits; /* the same for the whole block */
    const struct mbi_ext *z = x->z + a->folded[0];
    const struct mbi_ext scale = MBI_EXT(eq_index)(z, before, a->value[0] >> a->bits);
    struct mbi_ext own[1 << MBI_FORM_BLOCK_LOG];

    MBI_EXT(eq_table)(own, z + before, a->bits, scale);
    for (size_t i = 0; i < (size_t)1 << a->bits; i++)
        a->out[i] = mbi_ext_mul(a->out[i], own[i]);
}

/* Row r of 2^low entries has the weight eq(point, r), and eq(z, r) if there is a z. */
static void expand_rows(const struct part *a, const struct mbi_form_factor *f, struct mbi_ext scale)
{
    const struct mbi_form_index *x = &f->index[0];
    const unsigned low = x->bits - a->folded[0];
    const size_t n = (size_t)1 << a->bits;

    for (uint64_t r = 0; r << low < f->values.n; r++) {
        struct mbi_ext w = mbi_ext_mul(scale, folded_weight(a, x, 0, r));

        if (x->weight == MBI_FORM_EQ)
            w = mbi_ext_mul(w, MBI_EXT(eq_index)(x->z, a->folded[0], r));
        for (size_t i = 0; i < n; i++) {
            const size_t at = (size_t)((r << low) + a->value[0]) + i;

            a->out[i] = mbi_ext_add(a->out[i], mbi_ext_mul(w, mbi_table_ext(&f->values, at)));
        }
    }
    if (x->weight == MBI_FORM_EQ)
        times_own(a, x);
}

static void expand_list(const struct part *a, const struct mbi_form_factor *f, struct mbi_ext scale)
{
    const struct mbi_form_index *index = &f->index[0], *place = &f->index[1];
    const uint64_t size = (uint64_t)1 << a->vary[0];
    const unsigned low = index->bits - a->folded[0];

    for (size_t l = 0; l < f->values.n; l++) {
        const uint64_t r = (uint64_t)f->list[l] >> low;
        const uint64_t x = f->list[l] - (r << low) - a->value[0]; /* huge if before the block */
        struct mbi_ext w;

        if (x >= size)
            continue;
        w = mbi_ext_mul(scale, list_value(f, l));
        if (a->folded[0])
            w = mbi_ext_mul(w, folded_weight(a, index, 0, r));
        if (place->weight == MBI_FORM_EQ)
            w = mbi_ext_mul(w, MBI_EXT(eq_index)(place->z, place->bits, l));
        a->out[x] = mbi_ext_add(a->out[x], w);
    }
}

/* scale times the part of a factor's table. */
static void expand(const struct part *a, const struct mbi_form_factor *f, struct mbi_ext scale)
{
    for (size_t x = 0; x < (size_t)1 << a->bits; x++)
        a->out[x] = mbi_ext_from(0);
    switch (f->kind) {
    case MBI_FORM_RULED:
        expand_ruled(a, f, scale);
        break;
    case MBI_FORM_ROWS:
        expand_rows(a, f, scale);
        break;
    case MBI_FORM_LIST:
        expand_list(a, f, scale);
        break;
    }
}

/* The factor whose index holds the last bit of the form, and how many last bits it holds. */
static unsigned last_factor(unsigned *bits, const struct mbi_form *form)
{
    for (unsigned k = 0; k < form->n_factors; k++)
        for (unsigned v = 0; v < form->factor[k].n_indices; v++) {
            const struct mbi_form_index *x = &form->factor[k].index[v];

            if (x->at != MBI_FORM_SUMMED && x->bits && x->at + x->bits == form->bits) {
                *bits = x->bits;
                return k;
            }
        }
    *bits = 0;
    return 0;
}

/* The form's scale times the entries of all factors but the last one at entry x of the block. */
static struct mbi_ext row_scale(const struct mbi_form *form, const struct part *part, unsigned last,
                                size_t x)
{
    struct mbi_ext scale = form->scale;

    for (unsigned k = 0; k < form->n_factors; k++)
        if (k != last)
            scale = mbi_ext_mul(scale, part[k].out[part_place(&part[k], x)]);
    return scale;
}

static void expand_window(struct mbi_ext *out, const struct mbi_form *form, const struct window *w)
{
    struct mbi_ext table[(1 << MBI_FORM_BLOCK_LOG) + MBI_FORM_FACTORS]; /* of all parts */
    struct part part[MBI_FORM_FACTORS];
    unsigned inner;
    const unsigned last = last_factor(&inner, form);
    const struct mbi_form_factor *f = &form->factor[last];
    size_t used = 0, run;

    if (!form->n_factors) { /* then it has no bits */
        *out = form->scale;
        return;
    }
    for (unsigned k = 0; k < form->n_factors; k++) {
        part_init(&part[k], table + used, &form->factor[k], form->bits, w);
        used += (size_t)1 << part[k].bits;
        if (k != last)
            expand(&part[k], &form->factor[k], mbi_ext_from(1));
    }
    if (w->log <= inner) { /* the block is a part of one run of the last index */
        part[last].out = out;
        expand(&part[last], f, row_scale(form, part, last, 0));
        return;
    }
    expand(&part[last], f, mbi_ext_from(1));
    run = (size_t)1 << inner;
    for (size_t x = 0; x < (size_t)1 << w->log; x += run) {
        const struct mbi_ext scale = row_scale(form, part, last, x);
        const struct mbi_ext *row = part[last].out + part_place(&part[last], x);

        for (size_t i = 0; i < run; i++)
            out[x + i] = mbi_ext_mul(scale, row[i]);
    }
}

void MBI_EXT(form_block)(struct mbi_ext *out, const struct mbi_form *form, uint64_t begin,
                         unsigned log)
{
    const struct window w = {.begin = begin, .log = log};

    expand_window(out, form, &w);
}

void MBI_EXT(form_rest)(struct mbi_ext *out, const struct mbi_form *form,
                        const struct mbi_ext *point, unsigned fixed, uint64_t begin, unsigned log)
{
    const struct window w = {point, fixed, log, begin};

    expand_window(out, form, &w);
}
