/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of powers of two, each at a multiple of its own size: the larger ones first, so that none
 * leaves a gap behind it.
 */
#include "proof/layout.h"
#include "base/intmath.h"
#include "proof/relation.h"

/* log2 of the smallest power of two that is not below n. */
static unsigned vector_bits(uint64_t n) { return n > 1 ? (unsigned)mbi_bitlen(n - 1) : 0; }

/* ---- weights ---- */

bool mbi_weight_is_committed(const struct mbi_param *param)
{
    return param->quant != MBI_QUANT_DERIVED;
}

/* Set bits of n: the powers of two that it is the sum of. */
static uint32_t powers_of(uint32_t n)
{
    uint32_t count = 0;

    for (; n; n &= n - 1)
        count++;
    return count;
}

/* At most, with columns cut. */
static size_t most_pieces(const struct mbi_graph *g)
{
    size_t n = 0;

    for (uint32_t i = 0; i < g->n_params; i++)
        if (mbi_weight_is_committed(&g->param[i]))
            n += (size_t)powers_of(g->param[i].type.rows) * powers_of(g->param[i].type.cols);
    return n;
}

/* The columns of 2^log_rows rows: all of them, or a power of two for each bit of their number. */
static void cut_columns(struct mbi_piece *piece, uint32_t *n, const struct mbi_piece *rows,
                        uint32_t cols, bool apart)
{
    struct mbi_piece p = *rows;

    if (!apart) {
        p.col_bits = (uint8_t)vector_bits(cols);
        piece[(*n)++] = p;
        return;
    }
    for (unsigned log = 32; log-- > 0;)
        if (cols >> log & 1) {
            p.col_bits = (uint8_t)log;
            piece[(*n)++] = p;
            p.col += (uint32_t)1 << log;
        }
}

/* The rows of one parameter, a power of two for each bit of their number. */
static void cut(struct mbi_piece *piece, uint32_t *n, uint32_t stage, uint32_t param,
                const struct mbi_type *t, bool columns)
{
    struct mbi_piece p = {
        .stage = stage, .param = param, .size = (uint64_t)t->hi - (uint64_t)t->lo + 1};

    for (unsigned log = 32; log-- > 0;) {
        if (!(t->rows >> log & 1))
            continue;
        p.log_rows = (uint8_t)log;
        cut_columns(piece, n, &p, t->cols, columns);
        p.row += (uint32_t)1 << log;
    }
}

static unsigned piece_bits(const struct mbi_piece *p)
{
    return (unsigned)p->log_rows + p->col_bits; /* below 64 */
}

/* Of those pieces whose intervals have the size, or (0) of all: larger ones first, so that each
 * lies at a multiple of its own size, from a multiple of the largest on. Returns the end. */
static uint64_t place_size(struct mbi_piece *piece, uint32_t n, uint64_t size, uint64_t at)
{
    uint64_t sizes = 0; /* that there are, as bits */

    for (uint32_t i = 0; i < n; i++)
        if (!size || piece[i].size == size)
            sizes |= (uint64_t)1 << piece_bits(&piece[i]);
    if (sizes) {
        const uint64_t largest = (uint64_t)1 << (mbi_bitlen(sizes) - 1);

        at = (at + largest - 1) & ~(largest - 1);
    }
    while (sizes) {
        const unsigned bits = (unsigned)mbi_bitlen(sizes) - 1;

        for (uint32_t i = 0; i < n; i++)
            if ((!size || piece[i].size == size) && piece_bits(&piece[i]) == bits) {
                piece[i].block = at >> bits;
                at += (uint64_t)1 << bits;
            }
        sizes &= ~((uint64_t)1 << bits);
    }
    return at;
}

/* The smallest size of an interval above another one; 0 if there is none. */
static uint64_t next_size(const struct mbi_piece *piece, uint32_t n, uint64_t above)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < n; i++)
        if (piece[i].size > above && (!size || piece[i].size < size))
            size = piece[i].size;
    return size;
}

/* Returns log2 of the size of their vector. Many weights come by the sizes of their intervals. */
static unsigned place_pieces(struct mbi_piece *piece, uint32_t n)
{
    const unsigned bits = vector_bits(place_size(piece, n, 0, 0));
    uint64_t at = 0;

    if (bits < MBI_DIRECT_BITS)
        return bits;
    for (uint64_t size = next_size(piece, n, 0); size; size = next_size(piece, n, size))
        at = place_size(piece, n, size, at);
    return vector_bits(at);
}

/* Pieces of all parameters; returns log2 of the size of their vector. */
static unsigned cut_all(struct mbi_piece *piece, uint32_t *n, const struct mbi_graph *const *graph,
                        size_t n_graphs, bool columns)
{
    *n = 0;
    for (uint32_t s = 0; s < n_graphs; s++)
        for (uint32_t i = 0; i < graph[s]->n_params; i++)
            if (mbi_weight_is_committed(&graph[s]->param[i]))
                cut(piece, n, s, i, &graph[s]->param[i].type, columns);
    return place_pieces(piece, *n);
}

struct mbi_piece *mbi_weight_pieces(uint32_t *n, unsigned *bits, const struct mbi_host *host,
                                    const struct mbi_graph *const *graph, size_t n_graphs)
{
    struct mbi_piece *piece;
    size_t all = 0;

    *n = 0;
    for (size_t s = 0; s < n_graphs; s++)
        all += most_pieces(graph[s]);
    if (all >= UINT32_MAX || !(piece = mbi_alloc(host, all + 1, sizeof(*piece))))
        return NULL;
    *bits = cut_all(piece, n, graph, n_graphs, false);
    if (*bits >= MBI_DIRECT_BITS) {
        const unsigned fewest = cut_all(piece, n, graph, n_graphs, true);

        *bits = fewest < *bits ? fewest : cut_all(piece, n, graph, n_graphs, false);
    }
    return piece;
}

uint64_t mbi_weight_end(const struct mbi_piece *piece, uint32_t n)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < n; i++) {
        const uint64_t after = (piece[i].block + 1) << (piece[i].log_rows + piece[i].col_bits);

        end = after > end ? after : end;
    }
    return end;
}

/* ---- boxes ---- */

/* [0, n) as at most three powers of two, the largest first; the last one may reach beyond n. */
#define CUTS 3
struct cuts {
    unsigned n;
    uint32_t at[CUTS];
    uint8_t log[CUTS];
    uint64_t total;
};

static uint64_t top_bit(uint64_t n) { return n ? (uint64_t)1 << (mbi_bitlen(n) - 1) : 0; }

static struct cuts cut_range(uint32_t n)
{
    const uint64_t first = top_bit(n), second = top_bit(n - first), rest = n - first - second;
    struct cuts c = {.total = first + second + (rest ? (uint64_t)1 << vector_bits(rest) : 0)};
    uint64_t at = 0;

    for (uint64_t left = c.total; left; left -= top_bit(left)) {
        c.at[c.n] = (uint32_t)at;
        c.log[c.n++] = (uint8_t)(mbi_bitlen(left) - 1);
        at += top_bit(left);
    }
    return c;
}

static uint32_t put_box(struct mbi_box *box, const struct mbi_var *v, const struct cuts *row,
                        unsigned r, const struct cuts *col, unsigned c)
{
    *box = (struct mbi_box){.row = row->at[r],
                            .col = col->at[c],
                            .log_rows = row->log[r],
                            .log_cols = col->log[c],
                            .bits = (uint8_t)(row->log[r] + v->log[1] + col->log[c])};
    return 1;
}

/* The boxes of a variable, of which there are at most CUTS^2; returns how many. */
static uint32_t put_boxes(struct mbi_box *box, const struct mbi_var *v)
{
    const struct cuts row = cut_range(v->n[0]), col = cut_range(v->n[2]);
    uint32_t n = 0;

    for (unsigned r = 0; r < row.n; r++)
        for (unsigned c = 0; c < col.n; c++)
            n += put_box(box + n, v, &row, r, &col, c);
    return n;
}

/* Of a small vector the whole table is one box. */
static uint32_t put_whole(struct mbi_box *box, const struct mbi_var *v)
{
    *box = (struct mbi_box){
        .log_rows = v->log[0], .log_cols = v->log[2], .bits = (uint8_t)mbi_var_bits(v)};
    return 1;
}

/* A triangle: runs of a quarter of its rows, each with the columns that its last row has. */
#define STEPS 4
static uint32_t steps_of(const struct mbi_var *v)
{
    return v->triangle >= 2 && v->n[0] >> v->triangle
               ? (v->n[0] - 1) / ((1u << v->triangle) / STEPS) + 1
               : 0;
}

static uint32_t put_steps(struct mbi_box *box, const struct mbi_var *v)
{
    const uint32_t size = (uint32_t)1 << v->triangle, step = size / STEPS;
    uint32_t n = 0;

    for (uint32_t at = 0; at < v->n[0]; at += step) {
        const struct cuts row = {.at = {at}, .log = {(uint8_t)(v->triangle - 2)}};
        const struct cuts col = cut_range((at & (size - 1)) + step);

        for (unsigned c = 0; c < col.n; c++)
            n += put_box(box + n, v, &row, 0, &col, c);
    }
    return n;
}

static bool is_committed(const struct mbi_var *v)
{
    return v->kind == MBI_VAR_COMMITTED && v->bits;
}

/* How many boxes a committed variable has, at most. */
static uint32_t most_boxes(const struct mbi_plan *p, const struct mbi_var *v)
{
    if (!p->large)
        return 1;
    return steps_of(v) ? CUTS * steps_of(v) : cut_range(v->n[0]).n * cut_range(v->n[2]).n;
}

static bool add_boxes(struct mbi_plan *p)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->n_vars; i++)
        n += is_committed(&p->var[i]) ? most_boxes(p, &p->var[i]) : 0;
    mbi_free(p->host, p->box);
    p->n_boxes = 0;
    if (!(p->box = mbi_realloc(p->host, NULL, (size_t)n + 1, sizeof(*p->box)))) {
        mbi_plan_fault(p, "there is not enough memory for its plan");
        p->no_memory = true;
        return false;
    }
    for (uint32_t i = 0; i < p->n_vars; i++) {
        struct mbi_var *v = &p->var[i];
        struct mbi_box *box = p->box + p->n_boxes;

        if (!is_committed(v))
            continue;
        v->first_box = p->n_boxes;
        v->n_boxes = !p->large     ? put_whole(box, v)
                     : steps_of(v) ? put_steps(box, v)
                                   : put_boxes(box, v);
        p->n_boxes += v->n_boxes;
    }
    return true;
}

/* Entries of the boxes of a variable in a large vector, for one digit; of a triangle whatever lies
 * around it. */
static uint64_t cells_of(const struct mbi_var *v)
{
    return (cut_range(v->n[0]).total << v->log[1]) * cut_range(v->n[2]).total;
}

/* ---- digits ---- */

/* How many digits of a size a variable has: whole ones, and the last one. */
static uint32_t whole_of(const struct mbi_var *v, uint32_t size)
{
    return is_committed(v) && mbi_var_digit(v, 0).size == size ? v->bits / v->digit_bits : 0;
}

static bool has_odd(const struct mbi_var *v, uint32_t size)
{
    return is_committed(v) && v->bits % v->digit_bits &&
           (uint32_t)1 << v->bits % v->digit_bits == size;
}

static uint32_t planes_of(const struct mbi_var *v, uint32_t width)
{
    const uint32_t size = (uint32_t)1 << width;

    return width == MBI_DIGIT_MIN ? whole_of(v, size) : has_odd(v, size);
}

/* The digits of a width of a small vector, larger variables first; returns the end. */
static uint64_t lay_out_width(struct mbi_plan *p, uint32_t width, uint64_t at)
{
    uint64_t next[MBI_PLAN_MAX_BITS] = {0}; /* by size: how many blocks, then the next of them */

    for (uint32_t i = 0; i < p->n_vars; i++)
        next[mbi_var_bits(&p->var[i])] += planes_of(&p->var[i], width);
    for (unsigned bits = MBI_PLAN_MAX_BITS; bits-- > 0;) {
        const uint64_t blocks = next[bits];

        next[bits] = at >> bits;
        at += blocks << bits;
    }
    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];
        const uint64_t planes = planes_of(v, width);
        uint64_t *block = &next[mbi_var_bits(v)];

        if (!planes)
            continue;
        if (width < MBI_DIGIT_MIN)
            p->box[v->first_box].odd = *block;
        else
            p->box[v->first_box].digits = *block;
        *block += planes;
    }
    return at;
}

/* log2 of the largest variable that has a digit of this width. */
static unsigned largest(const struct mbi_plan *p, uint32_t width)
{
    unsigned bits = 0;

    for (uint32_t i = 0; i < p->n_vars; i++)
        if (planes_of(&p->var[i], width) && mbi_var_bits(&p->var[i]) > bits)
            bits = mbi_var_bits(&p->var[i]);
    return bits;
}

static void lay_out_small(struct mbi_plan *p)
{
    p->end = 0;
    for (uint32_t width = MBI_DIGIT_MIN; width > 0; width--) {
        const uint64_t unit = (uint64_t)1 << largest(p, width);

        p->from[width] = (p->end + unit - 1) & ~(unit - 1);
        p->to[width] = lay_out_width(p, width, p->from[width]);
        if (p->to[width] > p->from[width])
            p->end = p->to[width];
    }
}

/* ---- large vectors ---- */

/* Digits of one box that lie one behind the other. */
struct unit {
    uint64_t *block; /* that of the first one */
    uint32_t planes, next;
};

/* Those of one class that have no place yet, by the size of the box, in their order. */
struct units {
    struct unit *unit;
    const struct sizes *sizes; /* by variable */
    uint32_t n, head[MBI_PLAN_MAX_BITS + 1], tail[MBI_PLAN_MAX_BITS + 1];
};

static void add_unit(struct units *u, uint64_t *block, uint32_t planes, unsigned bits)
{
    if (!planes)
        return;
    u->unit[u->n] = (struct unit){block, planes, MBI_NONE};
    if (u->head[bits] == MBI_NONE)
        u->head[bits] = u->n;
    else
        u->unit[u->tail[bits]].next = u->n;
    u->tail[bits] = u->n++;
}

/* The sizes of a variable's digits; 0: it has none. */
struct sizes {
    uint32_t whole, odd;
};

static struct sizes sizes_of(const struct mbi_var *v)
{
    struct sizes s = {0, 0};

    if (!is_committed(v))
        return s;
    if (v->bits >= v->digit_bits)
        s.whole = mbi_var_digit(v, 0).size;
    if (v->bits % v->digit_bits)
        s.odd = (uint32_t)1 << v->bits % v->digit_bits;
    return s;
}

static void find_units(struct units *u, struct mbi_plan *p, uint32_t size)
{
    u->n = 0;
    for (unsigned bits = 0; bits <= MBI_PLAN_MAX_BITS; bits++)
        u->head[bits] = MBI_NONE;
    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];
        const struct sizes *of = &u->sizes[i];
        const uint32_t whole = of->whole == size ? v->bits / v->digit_bits : 0;
        const uint32_t odd = of->odd == size;

        for (uint32_t k = 0; (whole || odd) && k < v->n_boxes; k++) {
            struct mbi_box *box = &p->box[v->first_box + k];

            add_unit(u, &box->digits, whole, box->bits);
            add_unit(u, &box->odd, odd, box->bits);
        }
    }
}

/* The largest box that may begin at a place, or, if none may, the smallest one. */
static unsigned next_unit(const struct units *u, uint64_t at)
{
    const uint64_t low = at & (~at + 1);
    unsigned bits = at ? (unsigned)mbi_bitlen(low) : MBI_PLAN_MAX_BITS + 1;

    if (bits > MBI_PLAN_MAX_BITS + 1)
        bits = MBI_PLAN_MAX_BITS + 1;
    while (bits-- > 0)
        if (u->head[bits] != MBI_NONE)
            return bits;
    for (bits = 0; u->head[bits] == MBI_NONE;)
        bits++;
    return bits;
}

/* All units of a class from a place on; returns the end. */
static uint64_t place_units(struct units *u, uint64_t at)
{
    for (uint32_t left = u->n; left; left--) {
        const unsigned bits = next_unit(u, at);
        const struct unit *unit = &u->unit[u->head[bits]];

        at = (at + ((uint64_t)1 << bits) - 1) >> bits;
        *unit->block = at;
        at = (at + unit->planes) << bits;
        u->head[bits] = unit->next;
    }
    return at;
}

/* A size as one of the rising ones of the lookup. */
static void add_class(struct mbi_lookup *l, uint32_t size)
{
    unsigned k = l->n;

    while (k && l->size[k - 1] > size)
        k--;
    if (k && l->size[k - 1] == size)
        return;
    for (unsigned m = l->n++; m > k; m--)
        l->size[m] = l->size[m - 1];
    l->size[k] = size;
}

static void find_classes(struct mbi_plan *p, struct sizes *of)
{
    p->lookup = (struct mbi_lookup){0};
    for (uint32_t i = 0; i < p->n_vars; i++) {
        of[i] = sizes_of(&p->var[i]);
        if (of[i].whole)
            add_class(&p->lookup, of[i].whole);
        if (of[i].odd)
            add_class(&p->lookup, of[i].odd);
    }
}

/* What lies before the first digit of a class counts as one of it: it is zero. */
static void lay_out_large(struct mbi_plan *p)
{
    struct mbi_lookup *l = &p->lookup;
    const size_t units = 2 * (size_t)p->n_boxes + 1;
    struct units u = {.unit = mbi_realloc(p->host, NULL, units, sizeof(*u.unit))};
    struct sizes *of = mbi_realloc(p->host, NULL, (size_t)p->n_vars + 1, sizeof(*of));
    uint64_t at = 0;

    if (!u.unit || !of) {
        mbi_plan_fault(p, "there is not enough memory for its plan");
        p->no_memory = true;
        mbi_free(p->host, u.unit);
        mbi_free(p->host, of);
        return;
    }
    u.sizes = of;
    find_classes(p, of);
    for (unsigned k = 0; k < l->n; k++) {
        find_units(&u, p, l->size[k]);
        at = place_units(&u, at);
        l->begin[k + 1] = at;
    }
    l->counts[0] = at;
    for (unsigned k = 0; k < l->n; k++)
        l->counts[k + 1] = at += l->size[k];
    p->end = at;
    l->bits = vector_bits(at);
    mbi_free(p->host, u.unit);
    mbi_free(p->host, of);
}

/* All cells of variables of one digit that would be below 2^bits; or, if `exact`, of those of a
 * range that has to be as tight as this one's. */
static uint64_t count_cells(const struct mbi_plan *p, const struct mbi_var *like, bool exact)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];

        if (v->kind == MBI_VAR_COMMITTED && v->bits == like->bits &&
            (!exact || (!mbi_var_is_tight(v) && v->hi - v->lo == like->hi - like->lo)))
            n += cells_of(v);
    }
    return n;
}

/* The first variable before this one whose range has to be as tight. */
static const struct mbi_var *seen_before(const struct mbi_plan *p, uint32_t var)
{
    for (uint32_t i = 0; i < var; i++)
        if (p->var[i].kind == MBI_VAR_COMMITTED && p->var[i].bits == p->var[var].bits &&
            p->var[i].hi - p->var[i].lo == p->var[var].hi - p->var[var].lo &&
            !mbi_var_is_tight(&p->var[i]))
            return &p->var[i];
    return NULL;
}

/*
 * A range is exact where counting its values takes fewer entries than the complements of the
 * variables that have it; and a variable is one digit of more than 16 bits where counting those
 * takes fewer than second digits of all that are as wide.
 */
static void choose_digits(struct mbi_plan *p)
{
    uint64_t wide[MBI_DIGIT_WIDE + 1] = {0}; /* entries, where they have been counted */
    uint32_t classes = MBI_DIGIT_WIDE;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        struct mbi_var *v = &p->var[i];
        const struct mbi_var *before;

        v->digit_bits = MBI_DIGIT_MAX;
        if (v->kind != MBI_VAR_COMMITTED || v->bits > MBI_DIGIT_WIDE)
            continue;
        if (v->bits > MBI_DIGIT_MAX) {
            if (!wide[v->bits])
                wide[v->bits] = count_cells(p, v, false);
            if (wide[v->bits] > (uint64_t)1 << v->bits)
                v->digit_bits = (uint8_t)v->bits;
        } else if (!mbi_var_is_tight(v)) {
            before = seen_before(p, i);
            v->exact = before ? before->exact
                              : classes < MBI_LOOKUP_CLASSES &&
                                    count_cells(p, v, true) > (uint64_t)(v->hi - v->lo) + 1;
            classes += !before && v->exact;
            if (v->exact)
                v->digit_bits = (uint8_t)v->bits;
        }
    }
}

/* ---- the whole ---- */

/* A bound of all digits of 16 bits, far beyond what a vector holds. */
static bool sizes_fit(const struct mbi_plan *p)
{
    uint64_t all = 0;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];

        if (mbi_var_bits(v) >= MBI_PLAN_MAX_BITS)
            return false;
        if (v->kind == MBI_VAR_COMMITTED)
            all += (uint64_t)(v->bits / MBI_DIGIT_MAX + 1) << mbi_var_bits(v);
    }
    return all < (uint64_t)1 << (MBI_PLAN_MAX_BITS + 3);
}

/* The complements, and digits of so many bits as they and those before them have by default. */
static void add_complements(struct mbi_plan *p, uint8_t digit_bits)
{
    const uint32_t n = p->n_vars;

    mbi_plan_add_complements(p);
    for (uint32_t i = n; i < p->n_vars; i++)
        p->var[i].digit_bits = digit_bits;
}

/* Digits of two bits and less alone would be too many for a small vector. */
static bool is_surely_large(const struct mbi_plan *p)
{
    uint64_t least = 0; /* below 2^35 times the number of variables: sizes_fit() */

    for (uint32_t i = 0; i < p->n_vars; i++)
        if (is_committed(&p->var[i]))
            least += (uint64_t)mbi_var_digits(&p->var[i]) << mbi_var_bits(&p->var[i]);
    return least > (uint64_t)1 << p->small_bits;
}

void mbi_plan_lay_out(struct mbi_plan *p)
{
    const uint32_t vars = p->n_vars, relations = p->n_relations, terms = p->n_terms;

    for (uint32_t i = 0; i < vars; i++)
        p->var[i].digit_bits = MBI_DIGIT_MIN;
    add_complements(p, MBI_DIGIT_MIN);
    if (!p->fault && !sizes_fit(p))
        mbi_plan_fault(p, "a variable, or all together, are too large for one proof");
    if (p->fault)
        return;
    p->large = is_surely_large(p);
    if (!p->large && !add_boxes(p))
        return;
    if (!p->large)
        lay_out_small(p);
    if (p->large || p->end > (uint64_t)1 << p->small_bits) {
        p->large = true;
        p->n_vars = vars;
        p->n_relations = relations;
        p->n_terms = terms;
        choose_digits(p);
        add_complements(p, MBI_DIGIT_MAX);
        if (p->fault || !add_boxes(p))
            return;
        lay_out_large(p);
    }
    if (p->end > (uint64_t)1 << MBI_PLAN_MAX_BITS)
        mbi_plan_fault(p, "its variables together are too large for one proof");
    p->bits = vector_bits(p->end);
}

/* ---- weights that are counted where they are ---- */

/* All weights of a size have one interval, which has 0 in it: what is between them is zero. */
static bool take_interval(struct mbi_plan *p, const struct mbi_piece *piece)
{
    const struct mbi_type *t = &p->stage[piece->stage].graph->param[piece->param].type;
    struct mbi_lookup *l = &p->lookup;
    unsigned k = 0;

    while (k < l->n && l->size[k] < piece->size)
        k++;
    if (t->lo > 0 || t->hi < 0 || piece->size > (uint64_t)1 << MBI_DIGIT_MAX)
        return false;
    if (k < l->n && l->size[k] == piece->size)
        return p->weight_lo[k] == t->lo;
    if (l->n == MBI_LOOKUP_CLASSES)
        return false;
    add_class(l, (uint32_t)piece->size);
    memmove(&p->weight_lo[k + 1], &p->weight_lo[k], (l->n - 1 - k) * sizeof(p->weight_lo[0]));
    p->weight_lo[k] = (int32_t)t->lo; /* above -2^16 */
    return true;
}

/* The classes lie one behind the other. */
static uint64_t end_of_class(const struct mbi_plan *p, uint32_t size)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < p->n_pieces; i++)
        if (p->piece[i].size == size && mbi_weight_end(&p->piece[i], 1) > end)
            end = mbi_weight_end(&p->piece[i], 1);
    return end;
}

void mbi_plan_place_counts(struct mbi_plan *p)
{
    struct mbi_lookup *l = &p->lookup;
    const unsigned bits = p->bits > p->weight_bits ? p->bits : p->weight_bits;

    l->bits = bits + 1;
    l->counts[0] = (uint64_t)1 << bits;
    for (unsigned k = 0; k < l->n; k++)
        l->counts[k + 1] = l->counts[k] + l->size[k];
}

bool mbi_plan_lay_out_direct(struct mbi_plan *p)
{
    struct mbi_lookup *l = &p->lookup;

    if (p->weight_bits < MBI_DIRECT_BITS)
        return false;
    for (uint32_t i = 0; i < p->n_pieces; i++)
        if (!take_interval(p, &p->piece[i])) {
            *l = (struct mbi_lookup){0};
            return false;
        }
    for (unsigned k = 0; k < l->n; k++) {
        l->begin[k + 1] = end_of_class(p, l->size[k]);
        p->end += l->size[k];
    }
    p->direct = p->large = true;
    p->bits = vector_bits(p->end);
    mbi_plan_place_counts(p);
    return true;
}
