#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A verifier of proofs, from docs/proof.md, docs/proof-files.md and docs/arithmetic.md section 11 alone.

Slow and plain: a factor is the list of all its entries, so that masks, shifts, slices and sums are what they
say; only (P) is evaluated in closed form. It shares nothing with the library. It knows the architecture
`simple`, and takes the graph digests of a proof as names: those of the key have to be the same.

Usage: verify.py PROOF KEY    a proof with committed weights and the key of its models; status 0 if both are
                              accepted, 1 and why if not. Public weights: see proof_files.py.

"Section n" is one of docs/proof.md, if nothing else is said.
"""
import hashlib
import struct
import sys
from collections import namedtuple

P = 2**64 - 2**32 + 1
PUBLIC, WEIGHT, COMMITTED, DERIVED = 0, 1, 2, 3     # kinds of variables, section 5
ROW, COL, SUM, NONE = 0, 1, 2, 3                    # letters of views, section 5


class Refused(Exception):
    """The proof, or what it is said to prove, is refused."""


def need(condition, reason):
    """Refuse for the reason unless the condition holds."""
    if not condition:
        raise Refused(reason)


# Section 1: the extension E, as tuples of D integers in [0, p); transforms.

def ext(number, degree):
    """The element of E that an integer stands for."""
    return (number % P,) + (0,) * (degree - 1)


def ext_add(a, b):
    """a + b"""
    return tuple((x + y) % P for x, y in zip(a, b))


def ext_sub(a, b):
    """a - b"""
    return tuple((x - y) % P for x, y in zip(a, b))


def ext_scale(a, number):
    """a times an integer"""
    return tuple(x * number % P for x in a)


def ext_mul(a, b):
    """a b, modulo X^2 - 7 or X^3 - 2"""
    if len(a) == 2:
        return ((a[0] * b[0] + 7 * a[1] * b[1]) % P, (a[0] * b[1] + a[1] * b[0]) % P)
    return ((a[0] * b[0] + 2 * (a[1] * b[2] + a[2] * b[1])) % P,
            (a[0] * b[1] + a[1] * b[0] + 2 * a[2] * b[2]) % P,
            (a[0] * b[2] + a[1] * b[1] + a[2] * b[0]) % P)


def ext_sum(values, degree):
    """The sum of some elements of E, maybe of none"""
    total = [0] * degree
    for value in values:
        total = [x + y for x, y in zip(total, value)]
    return tuple(x % P for x in total)


def inner(f, g, degree):
    """The sum of the products of two lists' entries"""
    return ext_sum((ext_mul(x, y) for x, y in zip(f, g) if any(x)), degree)


def ext_powers(c, count):
    """1, c, c^2, ..., as many as count says"""
    powers = [ext(1, len(c))]
    while len(powers) < count:
        powers.append(ext_mul(powers[-1], c))
    return powers[:count]


def root_of_unity(k):
    """w_k, of order 2^k"""
    return pow(7, (P - 1) >> k, P)


def transform(x, k):
    """The values at the powers of w_k of the polynomial over F with 2^k coefficients"""
    if k == 0:
        return x
    even, odd = transform(x[::2], k - 1), transform(x[1::2], k - 1)
    w, power, low, high = root_of_unity(k), 1, [], []
    for a, b in zip(even, odd):
        low.append((a + power * b) % P)
        high.append((a - power * b) % P)
        power = power * w % P
    return low + high


# Section 2: hashes, transcript and values of a proof, trees.

HASHES = {"leaf": (b"MIPF leaf", 32), "node": (b"MIPF node", 32),
          "transcript": (b"MIPF transcript", 64), "grind": (b"MIPF grind", 32)}


def hash_of(use, data):
    """H_use(data), with the zero salt"""
    personal, size = HASHES[use]
    return hashlib.blake2b(data, digest_size=size, salt=bytes(16),
                           person=personal.ljust(16, b"\0")).digest()


def u32(number):
    """Four bytes; a negative number in two's complement"""
    return struct.pack("<I", number % 2**32)


def u64(number):
    """Eight bytes; a negative number in two's complement"""
    return struct.pack("<Q", number % 2**64)


def elements_bytes(values):
    """The bytes of some elements of F, or of the coordinates of one of E"""
    return b"".join(u64(value) for value in values)


class Reader:
    """A transcript with the bytes of a proof, which are absorbed as they are read."""

    def __init__(self, kind, proof, degree):
        self.proof, self.offset, self.degree = proof, 0, degree
        self.state = bytes(64)
        self.absorb("type", kind.encode())

    def hash(self, tag, kind, n, data=b""):
        """H_transcript(state | label(tag, kind, n) | data)"""
        label = tag.encode().ljust(15, b"\0") + bytes([kind]) + u64(n)
        return hash_of("transcript", self.state + label + data)

    def absorb(self, tag, data):
        """Absorb bytes under a tag."""
        self.state = self.hash(tag, 0, len(data), data)

    def draw(self, tag, n, size):
        """n values as byte strings of the size, out of as many blocks as they take; ratchet."""
        each = 64 // size
        stream = b"".join(self.hash(tag, 1, i) for i in range((n + each - 1) // each))
        self.state = self.hash(tag, 2, n)
        return [stream[size * i:size * (i + 1)] for i in range(n)]

    def draw_ext(self, count):
        """count elements of E in one draw"""
        drawn = [int.from_bytes(b, "little") % P
                 for b in self.draw("chal", count * self.degree, 16)]
        return [tuple(drawn[self.degree * i:self.degree * (i + 1)]) for i in range(count)]

    def draw_positions(self, count, bits):
        """The position list"""
        drawn = self.draw("bits", count, 4)
        return sorted({int.from_bytes(b, "little") % 2**bits for b in drawn})

    def read_bytes(self, n, tag):
        """n bytes of the proof, absorbed under the tag"""
        data = self.proof[self.offset:self.offset + n]
        need(len(data) == n, f"the proof ends within '{tag}'")
        self.offset += n
        self.absorb(tag, data)
        return data

    def read_elements(self, n, tag):
        """n elements of F"""
        values = list(struct.unpack(f"<{n}Q", self.read_bytes(8 * n, tag)))
        need(all(value < P for value in values), f"a word of '{tag}' is no element")
        return values

    def read_ext(self, n, tag):
        """n elements of E, absorbed together"""
        values = self.read_elements(n * self.degree, tag)
        return [tuple(values[self.degree * i:self.degree * (i + 1)]) for i in range(n)]

    def read_end(self):
        """Refuse what is left over."""
        need(self.offset == len(self.proof), "bytes are left over")

    def work(self, bits):
        """Work of so many bits"""
        if bits > 0:
            seed, = self.draw("seed", 1, 32)
            digest = hash_of("grind", seed + self.read_bytes(8, "nonce"))
            need(int.from_bytes(digest[:8], "little") % 2**bits == 0, "the work is not done")


def siblings(nodes, known):
    """For a level of so many nodes: the known ones' siblings that exist and are not known"""
    return [i ^ 1 for i in sorted(known) if i ^ 1 < nodes and i ^ 1 not in known]


def path_size(nodes, positions):
    """The number of digests of the opening of a position list"""
    known, size = set(positions), 0
    while nodes > 1:
        size += len(siblings(nodes, known))
        known, nodes = {i // 2 for i in known}, (nodes + 1) // 2
    return size


def root_from_opening(nodes, leaves, path):
    """The root that the digests at the positions (a dict) and a path of the right size lead to"""
    known, path = dict(leaves), list(path)
    while nodes > 1:
        for i in siblings(nodes, known):
            known[i] = path.pop(0)
        parents = {}
        for i in {i // 2 for i in known}:
            both = 2 * i + 1 < nodes
            parents[i] = hash_of("node", known[2 * i] + known[2 * i + 1]) if both else known[2 * i]
        known, nodes = parents, (nodes + 1) // 2
    return known[0]


# Section 3: tables, factors, sum-check. A factor is the list of its 2^bits entries.

def bits_of(n):
    """The bits of an index of the range [0, n)"""
    return (n - 1).bit_length()


def eq_table(point, degree):
    """eq(point, x) for all x, the most significant bit first"""
    table = [ext(1, degree)]
    for coordinate in point:
        highs = [ext_mul(value, coordinate) for value in table]
        table = [t for low, high in zip(table, highs) for t in (ext_sub(low, high), high)]
    return table


def masked(table, m):
    """The entries below m; zero for the others"""
    return table[:m] + [ext(0, len(table[0]))] * (len(table) - m)


def fold_first(table, point):
    """A table with its first variables fixed at a point"""
    for r in point:
        half = len(table) // 2
        table = [ext_add(x, ext_mul(r, ext_sub(y, x))) for x, y in zip(table, table[half:])]
    return table


def eq_below_at(a, b, m, degree):
    """(P): the sum over x < m of eq(a, x) eq(b, x)"""
    one = ext(1, degree)
    e = [(ext_mul(ext_sub(one, x), ext_sub(one, y)), ext_mul(x, y)) for x, y in zip(a, b)]
    rest = [one]                                    # products of full_k, k > i
    for low, high in reversed(e):
        rest.insert(0, ext_mul(rest[0], ext_add(low, high)))
    if m == 2**len(a):
        return rest[0]
    total, before = ext(0, degree), one
    for i in range(len(a)):
        bit = m >> (len(a) - 1 - i) & 1
        if bit:
            total = ext_add(total, ext_mul(ext_mul(before, e[i][0]), rest[i + 1]))
        before = ext_mul(before, e[i][bit])
    return total


def interpolate(values, r):
    """At r, the polynomial that has the values at 0, 1, ..., d"""
    degree, total = len(r), ext(0, len(r))
    for i, value in enumerate(values):
        below = 1
        for j in range(len(values)):
            if j != i:
                value = ext_mul(value, ext_sub(r, ext(j, degree)))
                below = below * (i - j) % P
        total = ext_add(total, ext_scale(value, pow(below, P - 2, P)))
    return total


def sum_check(reader, n, sums, tables):
    """A batch of sums over n bits. A sum is (claim, weight, terms): the weight a function that
    gives its extension at a point, a term (coefficient, list of tables' numbers). Returns the
    point and the values u_j that are left to prove."""
    degree = reader.degree
    d = 1 + max(len(factors) for _, _, terms in sums for _, factors in terms)
    for claim, _, _ in sums:
        reader.absorb("claim", elements_bytes(claim))
    c, = reader.draw_ext(1)
    powers = ext_powers(c, len(sums))
    running = inner(powers, [claim for claim, _, _ in sums], degree)
    point = []
    for _ in range(n):
        q = reader.read_ext(d, "round")
        q.insert(1, ext_sub(running, q[0]))
        point += reader.draw_ext(1)
        running = interpolate(q, point[-1])
    values = reader.read_ext(tables, "values")
    total = ext(0, degree)
    for power, (_, weight, terms) in zip(powers, sums):
        for coefficient, factors in terms:
            product = ext_scale(ext_mul(power, weight(point)), coefficient)
            for j in factors:
                product = ext_mul(product, values[j])
            total = ext_add(total, product)
    need(running == total, "a sum-check ends with another value")
    return point, values


# Section 4: the code, the root of a vector, the opening.

CODE_BITS = {1: 435198, 2: 711009, 3: 870396, 4: 956864,
             5: 1002025, 6: 1025121, 7: 1036803, 8: 1042678}
Code = namedtuple("Code", "log_columns log_length queries work level")
Term = namedtuple("Term", "vector block scale form")        # the form is the scale times a list


def is_code(code, degree):
    """Whether five numbers are a code that does not miss its level"""
    r = code.log_length - code.log_columns
    return (0 <= code.log_columns and 1 <= r <= 8 and code.log_length <= 27
            and 1 <= code.queries <= 4096 and 0 <= code.work <= 40 and 0 <= code.level <= 128
            and code.queries * CODE_BITS[r] >= 2**20 * (code.level - code.work)
            and 64 * degree - 1 >= code.level + code.log_length)


def mean_size(code, k, degree):
    """Section 6, "Mean size", of an opening of two vectors of 2^k rows"""
    e = []
    for b in range(code.log_length + 1):
        missed = everything = 2**(b + 20)
        for _ in range(code.queries):
            missed -= missed >> b
        e.append(everything - missed)
    vectors, rows, rounds = 2, 2 * 2**k, k + 1
    path = sum(2 * e[b - 1] - e[b] for b in range(1, len(e)))
    fixed = degree * 8 * (2 * rounds + 2**code.log_columns) + 8
    return fixed + (8 * rows * (e[-1] // 16) >> 16) + (32 * vectors * path >> 20)


def choose_code(n, degree):
    """The code of section 6 for vectors of n bits; the larger rate and fewer columns come first"""
    codes = []
    for r in range(1, 5):
        queries = -(-2**20 * (100 - 16) // CODE_BITS[r])
        codes += [Code(columns, columns + r, queries, 16, 100) for columns in range(n + 1)]
    codes = [code for code in codes if is_code(code, degree)]
    need(codes, "there is no code")
    return min(codes, key=lambda code: mean_size(code, n - code.log_columns, degree))


def vector_root(code, vector):
    """The root of a vector of integers"""
    ell, length = 2**code.log_columns, 2**code.log_length
    rows = [transform(vector[at:at + ell] + [0] * (length - ell), code.log_length)
            for at in range(0, len(vector), ell)]
    leaves = {j: hash_of("leaf", elements_bytes(row[j] for row in rows)) for j in range(length)}
    return root_from_opening(length, leaves, [])


def joined_forms(claims, c, a, first, log_columns):
    """W~(a, y) for all y: the claims' forms on the stack, joined with powers of c"""
    degree, ell = len(c), 2**log_columns
    one, bits = ext(1, degree), len(a) + log_columns
    joined, rests = [ext(0, degree)] * ell, {}
    for power, (_, terms) in zip(ext_powers(c, len(claims)), claims):
        for term in terms:
            h = bits_of(len(term.form))
            if id(term.form) not in rests:          # the digits of a part share their form
                rests[id(term.form)] = fold_first(term.form, a[bits - h:])
            # The selector has bits - h bits: those of rows first, the others choose columns.
            selector = (first[term.vector] * ell >> h) + term.block
            factor = ext_mul(power, term.scale)
            for i in range(min(len(a), bits - h)):
                bit = selector >> (bits - h - 1 - i) & 1
                factor = ext_mul(factor, a[i] if bit else ext_sub(one, a[i]))
            column = (selector << h) % ell
            for y, value in enumerate(rests[id(term.form)]):
                joined[column + y] = ext_add(joined[column + y], ext_mul(factor, value))
    return joined


def read_column(reader, code, height, root, positions):
    """Steps 6 of an opening for one vector: its columns, by position"""
    length = 2**code.log_length
    data = reader.read_elements(height * len(positions), "columns")
    columns = {j: data[height * i:height * (i + 1)] for i, j in enumerate(positions)}
    size = path_size(length, positions)
    path = reader.read_bytes(32 * size, "path")
    leaves = {j: hash_of("leaf", elements_bytes(column)) for j, column in columns.items()}
    need(root_from_opening(length, leaves, [path[32 * i:32 * (i + 1)] for i in range(size)])
         == root, "columns and path do not lead to the root")
    return columns


def opening(reader, code, vectors, claims):
    """An opening: vectors are (bits, root), claims (value, terms)."""
    degree, ell = reader.degree, 2**code.log_columns
    count = sum(len(terms) for _, terms in claims)
    need(is_code(code, degree), "the code misses its level")
    need(1 <= len(vectors) <= 16, "too many vectors")
    need(count < 2**(64 * degree - 1 - code.level), "too many terms")
    # The stack
    heights, first, end = [], [], 0
    for bits, root in vectors:
        need(code.log_columns <= bits <= 27 and len(root) == 32, "no such vector")
        heights.append(2**(bits - code.log_columns))
        first.append(-(-end // heights[-1]) * heights[-1])
        end = first[-1] + heights[-1]
    rounds = bits_of(end)
    need(rounds + code.log_columns <= 32, "the vectors are too long")
    # Step 1: what is opened
    reader.absorb("code", elements_bytes([code.log_columns, code.log_length, code.queries,
                                          code.work, len(vectors), count]))
    for height, (_, root) in zip(heights, vectors):
        reader.absorb("vector", u64(bits_of(height)) + root)
    for value, terms in claims:
        need(terms, "a claim without terms")
        for i, (vector, block, _, form) in enumerate(terms):
            need(vector < len(vectors) and (block + 1) * len(form) <= 2**vectors[vector][0],
                 "no such block")
            where = u64(vector) + u64(block)
            reader.absorb("term" if i else "claim", where if i else where + elements_bytes(value))
    # Steps 2 and 3
    c, = reader.draw_ext(1)
    running = inner(ext_powers(c, len(claims)), [value for value, _ in claims], degree)
    a = []
    for _ in range(rounds):
        q0, q2 = reader.read_ext(2, "round")
        a += reader.draw_ext(1)
        running = interpolate([q0, ext_sub(running, q0), q2], a[-1])
    # Step 4: the folded row
    u = reader.read_ext(ell, "row")
    joined = joined_forms(claims, c, a, first, code.log_columns)
    need(inner(joined, u, degree) == running, "the folded row does not have the claims")
    # Steps 5 to 7
    reader.work(code.work)
    positions = reader.draw_positions(code.queries, code.log_length)
    columns = [read_column(reader, code, height, root, positions)
               for height, (_, root) in zip(heights, vectors)]
    eq_a, w = eq_table(a, degree), root_of_unity(code.log_length)
    for j in positions:
        fold = ext_sum((ext_scale(eq_a[f + r], value) for f, mine in zip(first, columns)
                        for r, value in enumerate(mine[j])), degree)
        x, word = pow(w, j, P), [0] * degree
        for value in reversed(u):
            word = [(total * x + coordinate) % P for total, coordinate in zip(word, value)]
        need(fold == tuple(word), "the folded row is not that of the columns")


# Section 5: the plan.

class Variable:
    """A table of integers; what follows the interval is filled in where it applies."""

    def __init__(self, kind, rows, cols, lo, hi):
        self.kind, self.rows, self.cols, self.lo, self.hi = kind, rows, cols, lo, hi
        self.output = 0                             # public: 0 the input, 1 the output
        self.pieces = []                            # weight: numbers of its pieces
        self.bits = self.fours = self.twos = 0      # committed: bits, blocks of d_0 and e
        self.complement = False                     # committed: whether it needs one
        self.definition = None                      # derived: number of the relation
        self.block_bits = bits_of(rows) + bits_of(cols)


View = namedtuple("View", "variable row col col_from", defaults=(ROW, COL, 0))
Piece = namedtuple("Piece", "row log_rows col_bits block")


def letters(view):
    """The letters that a view has"""
    return [letter for letter in (view.row, view.col) if letter != NONE]


class Relation:
    """A sum of terms (c, views) that is zero, or that defines a derived variable"""

    def __init__(self, rows, cols, terms, total=1, defines=None):
        self.rows, self.cols, self.terms, self.sum, self.defines = rows, cols, terms, total, defines
        self.ranges = {ROW: rows, COL: cols, SUM: total}
        self.bits = {letter: bits_of(m) for letter, m in self.ranges.items()}
        self.is_zero = defines is None
        self.is_product = any(len(views) == 2 for _, views in terms)


def rsh(x, s):
    """arithmetic.md, section 1"""
    return (x + (1 << (s - 1))) >> s if s > 0 else x << -s


class Plan:
    """The plan of a witness or a certificate of some simple models of arithmetic.md section 11"""

    def __init__(self, certificate, models, lanes, public_weights):
        """models: for each stage, features, hidden and outputs"""
        need(1 <= len(models) <= 16 and 1 <= lanes <= 4096, "beyond the limits of a plan")
        need(all(1 <= f <= 256 and 1 <= h <= 1024 and 1 <= o <= 4096 for f, h, o in models),
             "no such model")
        self.stages, self.lanes, self.public_weights = len(models), lanes, public_weights
        self.variables, self.relations = [], []
        features = None
        for stage, model in enumerate(models):
            if certificate:
                self.certify(*model)
            else:
                features = self.simple(features, *model, stage == len(models) - 1)
        if not certificate:
            logits = self.variables[features]
            output = self.declare(PUBLIC, lanes, logits.cols, logits.lo, logits.hi)
            self.variables[output].output = 1
            self.relate(lanes, logits.cols, [(1, [View(features)]), (-1, [View(output)])])
        for x, v in enumerate(list(self.variables)):
            if v.complement:
                c = self.commit(v.rows, v.cols, 0, v.hi - v.lo, False)
                self.relate(v.rows, v.cols, [(v.hi, []), (-1, [View(x)]), (-1, [View(c)])])
        self.lay_out_weights()
        self.lay_out_digits()

    # Variables and relations

    def declare(self, *what):
        """Declare a variable; returns its number."""
        self.variables.append(Variable(*what))
        return len(self.variables) - 1

    def commit(self, rows, cols, lo, hi, tight):
        """Declare a committed variable."""
        need(-2**62 < lo <= hi < 2**62, "an interval of a committed variable is none")
        number = self.declare(COMMITTED, rows, cols, lo, hi)
        v = self.variables[number]
        v.bits = (hi - lo).bit_length()
        need(v.bits <= 61, "an interval is too long")
        v.complement = tight and hi - lo + 1 != 2**v.bits
        if not tight:
            v.hi = lo + 2**v.bits - 1
        return number

    def relate(self, *what):
        """A relation, whose bounds are checked; returns its interval."""
        relation = Relation(*what)
        lowest = highest = largest = 0
        for c, views in relation.terms:
            ends = [c]
            for v in (self.variables[view.variable] for view in views):
                ends = [end * x for end in ends for x in (v.lo, v.hi)]
            if any(SUM in letters(view) for view in views):
                ends = [end * relation.sum for end in ends]
            lowest, highest = lowest + min(ends), highest + max(ends)
            largest += max(abs(end) for end in ends)
        need(largest < 2**62, "a relation is too large")
        self.relations.append(relation)
        return lowest, highest

    def derive(self, cols, terms, total=1):
        """A derived variable and its definition; returns its number."""
        interval = self.relate(self.lanes, cols, terms, total, len(self.variables))
        number = self.declare(DERIVED, self.lanes, cols, *interval)
        self.variables[number].definition = len(self.relations) - 1
        return number

    # Gadgets and models

    def matvec(self, x, w):
        """The gadget `matvec`"""
        matrix = self.variables[w]
        return self.derive(matrix.rows, [(1, [View(w, COL, SUM), View(x, ROW, SUM)])], matrix.cols)

    def add(self, x, b):
        """The gadget `add` of a value and a parameter"""
        return self.derive(self.variables[x].cols, [(1, [View(x)]), (1, [View(b, NONE, COL)])])

    def requant(self, x, k, lo, hi):
        """The gadget `requant`"""
        rows, cols, unit = self.lanes, self.variables[x].cols, 2**max(k, 0)
        least, most = rsh(self.variables[x].lo, k), rsh(self.variables[x].hi, k)
        u = v = None
        if least >= lo and most <= hi:
            y = self.commit(rows, cols, least, most, False)
        else:
            y = self.commit(rows, cols, lo, hi, True)
        if most > hi:
            u = self.commit(rows, cols, 0, most - hi, False)
        if least < lo:
            v = self.commit(rows, cols, 0, lo - least, False)
        terms = [(2**max(-k, 0), [View(x)])]
        if k > 0:
            terms += [(unit // 2, []), (-1, [View(self.commit(rows, cols, 0, unit - 1, True))])]
        terms.append((-unit, [View(y)]))
        if u is not None:
            terms.append((-unit, [View(u)]))
        if v is not None:
            terms.append((unit, [View(v)]))
        self.relate(rows, cols, terms)
        for beyond, bound in ((u, hi), (v, lo)):
            if beyond is not None:
                terms = [(1, [View(beyond), View(y)])]
                self.relate(rows, cols, terms + ([(-bound, [View(beyond)])] if bound else []))
        return y

    def simple(self, x, f, h, o, last):
        """A stage; returns the variable of its logits or its link."""
        need(last or o >= f, "a stage has no link")
        if x is None:
            x = self.declare(PUBLIC, self.lanes, f, -128, 127)
        need(self.variables[x].cols == f, "a stage takes another input")
        w1 = self.declare(WEIGHT, h, f, -127, 127)
        a = self.matvec(x, w1)
        b1 = self.declare(WEIGHT, 1, h, -32767, 32767)
        hidden = self.requant(self.add(a, b1), 7, 0, 127)
        w2 = self.declare(WEIGHT, o, h, -127, 127)
        y = self.matvec(hidden, w2)
        logits = self.add(y, self.declare(WEIGHT, 1, o, -32767, 32767))
        if last:
            return logits
        return self.requant(self.derive(f, [(1, [View(logits)])]), 7, -128, 127)

    def certify(self, f, h, o):
        """A stage of a certificate"""
        for rows, cols, bound in ((h, f, 127), (1, h, 32767), (o, h, 127),
                                  (1, o, 32767)):
            c = self.commit(rows, cols, -bound, bound, True)
            w = self.declare(WEIGHT, rows, cols, -bound, bound)
            self.relate(rows, cols, [(1, [View(w)]), (-1, [View(c)])])

    # Layout

    def lay_out_weights(self):
        """The pieces of the weights, and weight_bits"""
        pieces, end = [], 0
        for v in (v for v in self.variables if v.kind == WEIGHT):
            row = 0
            for log_rows in reversed(range(v.rows.bit_length())):
                if v.rows >> log_rows & 1:
                    v.pieces.append(len(pieces))
                    pieces.append(Piece(row, log_rows, bits_of(v.cols), 0))
                    row += 2**log_rows
        for i in sorted(range(len(pieces)), key=lambda i: -pieces[i].log_rows - pieces[i].col_bits):
            size = 2**(pieces[i].log_rows + pieces[i].col_bits)
            pieces[i] = pieces[i]._replace(block=end // size)
            end += size
        self.pieces, self.weight_bits = pieces, bits_of(end)
        need(self.weight_bits <= 27, "too many weights")

    def lay_out_digits(self):
        """Blocks of the digits; fours, twos, end and bits"""
        committed = [v for v in self.variables if v.kind == COMMITTED]
        committed.sort(key=lambda v: -v.block_bits)
        end = 0
        for v in committed:
            v.fours = end >> v.block_bits if v.bits > 1 else 0
            end += v.bits // 2 << v.block_bits
        self.fours = end
        largest = max((2**v.block_bits for v in committed if v.bits % 2), default=1)
        self.twos = end = -(-end // largest) * largest
        for v in committed:
            v.twos = end >> v.block_bits if v.bits % 2 else 0
            end += v.bits % 2 << v.block_bits
        self.end, self.bits = end, bits_of(end)
        need(self.bits <= 27, "the witness vector is too long")

    def digest(self):
        """Section 5, "Digest\""""
        out = [b"mambaint-plan", u32(self.stages), u32(self.lanes), u32(self.public_weights),
               u32(len(self.variables))]
        for v in self.variables:
            out += [u32(v.kind), u32(v.rows), u32(v.cols), u64(v.lo), u64(v.hi)]
            out += {PUBLIC: [u32(v.output)],
                    WEIGHT: [u32(v.pieces[0] if v.pieces else 0), u32(len(v.pieces))],
                    COMMITTED: [u32(v.bits), u64(v.fours), u64(v.twos)],
                    DERIVED: [u32(v.definition or 0)]}[v.kind]
        out.append(u32(len(self.pieces)))
        for row, log_rows, col_bits, block in self.pieces:
            out += [u32(row), u32(log_rows), u32(col_bits), u64(block)]
        out += [u32(self.weight_bits), u32(len(self.relations))]
        for r in self.relations:
            out += [u32(2**32 - 1 if r.is_zero else r.defines), u32(r.rows), u32(r.cols),
                    u32(r.sum), u32(len(r.terms))]
            for c, views in r.terms:
                out += [u64(c), u32(len(views))] + [u32(x) for view in views for x in view]
        out += [u64(self.fours), u64(self.twos), u64(self.end), u32(self.bits)]
        return hashlib.blake2b(b"".join(out), digest_size=32).digest()


# Section 6: the protocol.

Part = namedtuple("Part", "variable scale row col")


class Claim:
    """That the sum of the parts is the value"""

    def __init__(self, value):
        self.value, self.parts = value, []


class Verifier:
    """The verifier of one proof; its methods are the steps of section 6."""

    def __init__(self, case):
        self.case, self.degree = case, case.get("degree", 2)
        self.one, self.zero = ext(1, self.degree), ext(0, self.degree)
        certificate, self.public_weights = case["type"] == "cert", case["public"]
        need(case["type"] in ("wit", "cert"), "no such type")
        need(self.public_weights in ((0,) if certificate else (0, 1)), "no such proof")
        self.plan = Plan(certificate, case["models"], case["lanes"], self.public_weights)
        n = self.plan.bits if self.public_weights else self.plan.weight_bits
        self.code = choose_code(n, self.degree)
        self.witness_bits = max(self.plan.bits, self.code.log_columns)
        self.claims = []
        self.added = []                             # (claim, part) in the order of adding

    def verify(self):
        """All steps in order"""
        self.read_public()
        self.start()
        self.points()
        self.linear_relations()
        self.product_relations()
        for number in reversed(range(len(self.plan.variables))):
            self.replace(number)
        self.open(*self.ranges())
        self.reader.read_end()

    # Small notions

    def total(self, table):
        """The sum of a factor's entries"""
        return ext_sum(table, self.degree)

    def masked_eq(self, point, m):
        """The factor "eq(point)" of a letter of range m"""
        return masked(eq_table(point, self.degree), m)

    def eq_factors(self, relation, point_of):
        """The factors of some letters, each eq of its point, masked"""
        return {letter: self.masked_eq(point, relation.ranges[letter])
                for letter, point in point_of.items()}

    def is_public(self, number):
        """Whether a variable is public, or a weight that is"""
        kind = self.plan.variables[number].kind
        return kind == PUBLIC or (kind == WEIGHT and self.public_weights == 1)

    def read_public(self):
        """The entries of public variables. All have to lie in their intervals, and public weights
        have to be those of their digest, with zeros where no entry is."""
        case, self.entries = self.case, {}
        vector = [0] * 2**self.plan.weight_bits
        for number, v in enumerate(self.plan.variables):
            if v.kind == PUBLIC:
                table = case["output" if v.output else "input"]
                need(len(table) == v.rows * v.cols, "the input or the output has another size")
                rows = [table[v.cols * r:v.cols * (r + 1)] for r in range(v.rows)]
            elif self.is_public(number):
                need(len(case["weights"]) == 2**self.plan.weight_bits, "weights: another size")
                starts = [((piece.block << piece.log_rows) + r) << piece.col_bits
                          for piece in (self.plan.pieces[i] for i in v.pieces)
                          for r in range(2**piece.log_rows)]
                rows = [case["weights"][at:at + v.cols] for at in starts]
                for at, row in zip(starts, rows):
                    vector[at:at + v.cols] = row
            else:
                continue
            need(all(v.lo <= x <= v.hi for row in rows for x in row),
                 "a public value is outside of its interval")
            self.entries[number] = rows
        if case["type"] == "cert":
            need(not case["input"] and not case["output"], "a certificate has no input or output")
        if self.public_weights:
            need(vector == case["weights"], "weights where no entry is")
            entries = struct.pack(f"<{len(vector)}h", *vector)
            need(hashlib.blake2b(entries, digest_size=32).digest() == case["weights_digest"],
                 "public weights do not have their digest")

    def without(self, present, scale, factors):
        """A scale times the sums of the factors of the letters row and column that are missing"""
        for letter in (ROW, COL):
            if letter not in present:
                scale = ext_mul(scale, self.total(factors[letter]))
        return scale

    def add_view(self, claim, relation, view, scale, factors):
        """Add "a view of letters with factors" to a claim, as a part."""
        variable, tables = self.plan.variables[view.variable], []
        for letter, size, offset in ((view.row, variable.rows, 0),
                                     (view.col, variable.cols, view.col_from)):
            table = [self.zero] * 2**bits_of(size)
            if letter == NONE:
                need(size == 1, "an index without a letter has a range")
                table = [self.one]
            else:                                   # the index is the letter plus col_from
                for x in range(min(relation.ranges[letter], size - offset)):
                    table[x + offset] = factors[letter][x]
            tables.append(table)
        part = Part(view.variable, scale, *tables)
        claim.parts.append(part)
        self.added.append((claim, part))

    def add_claim(self, value):
        """A new claim, without parts"""
        self.claims.append(Claim(value))
        return self.claims[-1]

    def add_terms(self, claim, relation, scale, factors):
        """Step 3: the terms of a relation, none of two views, as parts of a claim"""
        for c, views in relation.terms:
            present = letters(views[0]) if views else []
            worth = self.without(present, ext_scale(scale, c), factors)
            if views:
                self.add_view(claim, relation, views[0], worth, factors)
            else:
                claim.value = ext_sub(claim.value, worth)

    # Steps

    def start(self):
        """Step 1"""
        case = self.case
        self.reader = Reader(case["type"], case["proof"], self.degree)
        self.reader.absorb("protocol", u64(1) + u64(self.degree))
        self.reader.absorb("plan", self.plan.digest())
        self.reader.absorb("statement", case["statement"])
        self.reader.absorb("weights", case["weights_digest"])
        for number, v in enumerate(self.plan.variables):
            if v.kind == PUBLIC:
                rows = self.entries[number]
                self.reader.absorb("public", elements_bytes(x % P for row in rows for x in row))
        self.root = self.reader.read_bytes(32, "root")

    def points(self):
        """Step 2"""
        self.tau = {letter: self.reader.draw_ext(max(r.bits[letter] for r in self.plan.relations))
                    for letter in (ROW, COL)}

    def tau_of(self, relation):
        """The coordinates of tau that a relation uses, by letter"""
        return {letter: tau[:relation.bits[letter]] for letter, tau in self.tau.items()}

    def linear_relations(self):
        """Step 3"""
        for relation in self.plan.relations:
            if relation.is_zero and not relation.is_product:
                factors = self.eq_factors(relation, self.tau_of(relation))
                self.add_terms(self.add_claim(self.zero), relation, self.one, factors)

    def product_relations(self):
        """Step 4: the groups, in the order of their first relations, behind all of step 3"""
        groups = {}
        for r in self.plan.relations:
            if r.is_zero and r.is_product:
                groups.setdefault((r.bits[ROW], r.bits[COL]), []).append(r)
        for (row_bits, col_bits), group in groups.items():
            self.product_group(row_bits, col_bits, group)

    def product_group(self, row_bits, col_bits, group):
        """Step 4 for one group"""
        def weight_of(relation):
            """The extension of eq(tau_row) (x) eq(tau_col), masked"""
            tau = self.tau_of(relation)
            return lambda point: ext_mul(
                eq_below_at(tau[ROW], point[:row_bits], relation.rows, self.degree),
                eq_below_at(tau[COL], point[row_bits:], relation.cols, self.degree))

        tables, sums = {}, []                       # tables: what tells views apart -> first use
        for relation in group:
            terms = []
            for c, views in relation.terms:
                keys = [(view, relation.rows, relation.cols) for view in views]
                for key in keys:
                    tables.setdefault(key, (len(tables), relation))
                terms.append((c, [tables[key][0] for key in keys]))
            sums.append((self.zero, weight_of(relation), terms))
        point, values = sum_check(self.reader, row_bits + col_bits, sums, len(tables))
        for (view, _, _), (number, relation) in tables.items():
            factors = self.eq_factors(relation, {ROW: point[:row_bits], COL: point[row_bits:]})
            scale = self.without(letters(view), self.one, factors)
            self.add_view(self.add_claim(values[number]), relation, view, scale, factors)

    def replace(self, number):
        """Step 5 for one variable"""
        variable = self.plan.variables[number]
        if variable.kind != DERIVED and not self.is_public(number):
            return
        mine = [(claim, part) for claim, part in self.added if part.variable == number]
        self.added = [pair for pair in self.added if pair[1].variable != number]
        for claim, part in mine:
            claim.parts = [other for other in claim.parts if other is not part]
        if variable.kind != DERIVED:
            for claim, part in mine:
                claim.value = ext_sub(claim.value, self.public_worth(part))
            return
        relation = self.plan.relations[variable.definition]
        if not relation.is_product:
            for claim, part in mine:
                self.add_terms(claim, relation, part.scale, {ROW: part.row, COL: part.col})
            return
        (c, (w, x)), = relation.terms
        both = [letter for letter in (ROW, COL, SUM)
                if letter in letters(w) and letter in letters(x)]
        if len(both) == 1 and self.is_public(w.variable):
            self.replace_public(relation, mine, c, w, x, both)
        elif len(both) == 1 and self.is_public(x.variable):
            self.replace_public(relation, mine, c, x, w, both)
        elif mine:
            self.replace_product(relation, mine, c, (w, x), both)

    def public_worth(self, part):
        """What a part of a public variable is worth"""
        lines = [ext_sum((ext_scale(f, x) for f, x in zip(part.col, row)), self.degree)
                 for row in self.entries[part.variable]]
        return ext_mul(part.scale, inner(part.row, lines, self.degree))

    def letters_of(self, relation, part):
        """The factors of a definition's letters, for a part of what it defines"""
        ones = masked([self.one] * 2**relation.bits[SUM], relation.sum)
        return {ROW: part.row, COL: part.col, SUM: ones}

    def replace_public(self, relation, mine, c, public, other, both):
        """Step 5 for a product of a public view and another: the factor `rows`"""
        need(len(both) == 1 and public.col_from == 0, "a product that the text does not have")
        entries = self.entries[public.variable]
        if public.row == both[0]:
            across, lines = public.col, entries
        else:
            across, lines = public.row, list(zip(*entries))
        for claim, part in mine:
            factors = self.letters_of(relation, part)
            weights = [self.one] if across == NONE else factors[across]
            values = [ext_sum((ext_scale(f, x) for f, x in zip(weights, line)), self.degree)
                      for line in lines]
            values += [self.zero] * (len(factors[both[0]]) - len(values))
            factors[both[0]] = [ext_mul(f, v) for f, v in zip(factors[both[0]], values)]
            self.add_view(claim, relation, other, ext_scale(part.scale, c), factors)

    def replace_product(self, relation, mine, c, views, both):
        """Step 5 for a product of two views that are not public: values and a sum-check"""
        def split(point):
            """The coordinates of each letter of the sum"""
            parts, at = {}, 0
            for letter in both:
                parts[letter] = point[at:at + relation.bits[letter]]
                at += relation.bits[letter]
            return parts

        def weight_of(part):
            """The extension of the product of the part's factors for the letters of the sum"""
            def weight(point):
                result, factors = self.one, self.letters_of(relation, part)
                for letter, coordinates in split(point).items():
                    eq = eq_table(coordinates, self.degree)
                    result = ext_mul(result, inner(factors[letter], eq, self.degree))
                return result
            return weight

        sums = []
        for claim, part in mine:
            value, = self.reader.read_ext(1, "value")
            claim.value = ext_sub(claim.value, ext_mul(part.scale, value))
            sums.append((value, weight_of(part), [(c, [2 * len(sums), 2 * len(sums) + 1])]))
        bits = sum(relation.bits[letter] for letter in both)
        point, values = sum_check(self.reader, bits, sums, 2 * len(sums))
        for i, (_, part) in enumerate(mine):
            factors = self.letters_of(relation, part)
            factors.update(self.eq_factors(relation, split(point)))
            for view, value in zip(views, values[2 * i:]):
                self.add_view(self.add_claim(value), relation, view, self.one, factors)

    def ranges(self):
        """Step 6: the digits are digits. Returns the point and the value that is left."""
        plan, degree = self.plan, self.degree
        z = self.reader.draw_ext(plan.bits)

        def below(m):
            """The extension of eq(z, .) [. < m]"""
            return lambda point: eq_below_at(z, point, m, degree)

        def twos(point):
            """The extension of eq(z, .) [twos <= . < end]"""
            return ext_sub(below(plan.end)(point), below(plan.twos)(point))

        sums = [(self.zero, below(plan.fours),
                 [(-6, [0]), (11, [0] * 2), (-6, [0] * 3), (1, [0] * 4)])]
        if plan.end != plan.twos:
            sums.append((self.zero, twos, [(-1, [0]), (1, [0] * 2)]))
        point, values = sum_check(self.reader, plan.bits, sums, 1)
        return point, values[0]

    def open(self, point, value):
        """Step 7"""
        claims = []
        for claim in self.claims:
            terms = [term for part in claim.parts for term in self.terms_of(claim, part)]
            if terms:
                claims.append((claim.value, terms))
            else:
                need(not any(claim.value), "a claim about nothing has another value than 0")
        claims.append((value, [Term(0, 0, self.one, eq_table(point, self.degree))]))
        vectors = [(self.witness_bits, self.root)]
        if not self.public_weights:
            vectors.append((self.plan.weight_bits, self.case["weights_digest"]))
        opening(self.reader, self.code, vectors, claims)

    def terms_of(self, claim, part):
        """The terms of a part; what lo is worth is taken off its claim's value."""
        v = self.plan.variables[part.variable]
        if v.kind == WEIGHT:
            pieces = [self.plan.pieces[i] for i in v.pieces]
            return [Term(1, piece.block, part.scale,
                         self.outer(part.row[piece.row:piece.row + 2**piece.log_rows], part.col))
                    for piece in pieces]
        worth = ext_mul(part.scale, ext_mul(self.total(part.row), self.total(part.col)))
        claim.value = ext_sub(claim.value, ext_scale(worth, v.lo))
        form, half = self.outer(part.row, part.col), v.bits // 2
        blocks = [v.fours + k for k in range(half)] + [v.twos] * (v.bits % 2)
        return [Term(0, block, ext_scale(part.scale, 4**k), form)
                for k, block in enumerate(blocks)]

    def outer(self, row, col):
        """The form row (x) col"""
        return [ext_mul(a, b) for a in row for b in col]


def verify(case):
    """Accept a case, or raise Refused(reason)."""
    Verifier(case).verify()


# Files (docs/proof-files.md).

class Bytes:
    """A reader of a file's bytes"""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        """The next n bytes"""
        need(n <= len(self.data) - self.at, "the file ends too early")
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, n):
        """An unsigned integer of n bytes, little end first"""
        return int.from_bytes(self.take(n), "little")

    def below(self, n, most, what):
        """A number that is at most `most`"""
        x = self.number(n)
        need(x <= most, what)
        return x

    def end(self):
        """Nothing is left"""
        need(self.at == len(self.data), "bytes are left over")


def read_models(data):
    """The models' part: the sizes of each stage, the weights digest, and all of its bytes."""
    begin, models = data.at, []
    n = data.below(4, 16, "too many models")
    need(n > 0, "no model")
    for _ in range(n):
        name = data.take(data.below(4, 64, "a name is too long"))
        need(name == b"simple", "another architecture than simple")
        need(data.number(4) == 3, "another configuration than that of simple")
        models.append(tuple(data.number(4) for _ in range(3)))
        data.take(32)                               # the graph digest, a name here
    weights = data.take(32)
    return models, weights, data.data[begin:data.at]


def read_values(data, kind, form, width):
    """Input or output of a statement"""
    need(data.number(4) == kind, "another kind of values than expected")
    count = data.number(4)
    need((count > 0) == (kind > 0), "a number of values that cannot be")
    return list(struct.unpack(f"<{count}{form}", data.take(count * width)))


def read_proof(file):
    """A case from the bytes of a proof file"""
    need(len(file) >= 52 and hashlib.blake2b(file[:-32], digest_size=32).digest() == file[-32:],
         "the digest of the file does not match")
    head = Bytes(file[:-32])
    need(head.take(4) == b"MIPF" and head.number(2) == 1 and head.number(2) == 1,
         "not a proof file of version 1 and profile A")
    kind, flags = head.number(2), head.number(2)
    need((kind, flags) in ((1, 0), (1, 1), (2, 0)), "a type or flags that cannot be")
    length = head.number(4)
    data = Bytes(head.take(length))
    run = 1 if kind == 1 else 0
    models, weights, part = read_models(data)
    need(data.number(8) == 0, "the first step is not at 0")
    need(data.number(4) == run, "another number of steps than expected")
    case = {"type": "wit" if run else "cert", "models": models, "lanes": 1, "public": flags,
            "weights_digest": weights, "part": part}
    case["input"] = read_values(data, run, "b", 1)
    case["output"] = read_values(data, run, "i", 4)
    data.end()
    case["statement"] = file[:16 + length]
    case["proof"] = file[16 + length:-32]
    return case


def read_key(file):
    """A key file: the models' part, and the case of the certificate."""
    need(len(file) >= 32 and hashlib.blake2b(file[:-32], digest_size=32).digest() == file[-32:],
         "the digest of the key does not match")
    data = Bytes(file[:-32])
    need(data.take(4) == b"MIVK" and data.number(2) == 1 and data.number(2) == 1
         and data.number(4) == 0, "not a key of version 1 and profile A")
    part = data.take(data.number(4))
    certificate = read_proof(data.take(data.number(4)))
    data.end()
    return part, certificate


def verify_key(key):
    """Accept a key, as bytes; returns the models' part that proofs have to be about."""
    part, certificate = read_key(key)
    need(certificate["type"] == "cert" and certificate["part"] == part,
         "the key is not about the models of its certificate")
    verify(certificate)
    return part


def verify_run(proof, part):
    """Accept a proof with committed weights of these models, as bytes, or raise Refused(reason)."""
    case = read_proof(proof)
    need(case["type"] == "wit" and not case["public"], "not a run with committed weights")
    need(case["part"] == part, "the proof is of other models than the key")
    verify(case)


def main(arguments):
    """The command line"""
    if len(arguments) != 2:
        print(__doc__)
        return 2
    files = []
    for name in arguments:
        with open(name, "rb") as file:
            files.append(file.read())
    try:
        verify_run(files[0], verify_key(files[1]))
    except Refused as refused:
        print(f"refused: {refused}")
        return 1
    print("accepted")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
