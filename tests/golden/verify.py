#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A verifier of proofs, from docs/proof.md, docs/proof-gadgets.md, docs/proof-files.md and
docs/arithmetic.md alone.

Slow and plain: a factor is the list of all its entries, so that masks, shifts, slices and sums are
what they say; only (P) is evaluated in closed form. It shares nothing with the library. Plans are
in verify_plan.py beside it; the graphs of `mamba-integer`, and model files, are those of
reference.py, an independent reading as well.

Usage: verify.py PROOF KEY    a proof, or a series of them, with committed weights and the key of its models; status 0 if
                              both are accepted, 1 and why if not. Public weights: see
                              proof_files.py.

"Section n" is one of docs/proof.md, if nothing else is said.
"""
import hashlib
import itertools
import struct
import sys
from collections import namedtuple
from functools import lru_cache

import reference
from verify_plan import (BEFORE, BEHIND, BOUNDARY, DERIVED, LESS, OUTPUT, PARAMETER, PICK, PLAIN, POWERS, PREFIX, PUBLIC,
                         WEIGHT, Plan, Refused, SimpleGraph, axis_letters, bits_of, is_open,
                         letters, need, u64)

P = 2**64 - 2**32 + 1


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


def sums_below(r, a):
    """Section 3, "Lookup": I(a) and J(a)"""
    n, degree = len(r), len(r[0])
    one, zero = ext(1, degree), ext(0, degree)
    places = [ext_scale(x, 2**(n - 1 - k)) for k, x in enumerate(r)]
    if a == 2**n:
        return one, ext_sum(places, degree)
    total, index, before = zero, zero, one
    for i in range(n):
        low = ext_mul(before, ext_sub(one, r[i]))
        if a >> (n - 1 - i) & 1:
            v = ext_add(ext(a >> (n - i) << (n - i), degree), ext_sum(places[i + 1:], degree))
            total, index = ext_add(total, low), ext_add(index, ext_mul(v, low))
            before = ext_mul(before, r[i])
        else:
            before = low
    return total, index


def lookup(reader, n, regions, limbs, first, end):
    """A lookup over n bits. A region is (size, begin, end, its first count). Returns the point and
    the two values that are left to prove."""
    degree = reader.degree
    one = ext(1, degree)
    alpha, gamma = reader.draw_ext(2)
    q, = reader.read_ext(1, "product")
    need(any(q), "a product of 0")
    p, z = ext(0, degree), []
    for k in range(n):
        lam, = reader.draw_ext(1)
        running, s = ext_add(p, ext_mul(lam, q)), []
        for i in range(k):
            h1, h2 = reader.read_ext(2, "round")
            h0 = ext_sub(running, ext_mul(z[i], ext_add(h1, h2)))
            s += reader.draw_ext(1)
            running = ext_add(h0, ext_mul(s[-1], ext_add(h1, ext_mul(s[-1], h2))))
        p0, p1, q0, q1 = reader.read_ext(4, "values")
        both = ext_add(ext_add(ext_mul(p0, q1), ext_mul(p1, q0)), ext_mul(lam, ext_mul(q0, q1)))
        need(running == both, "a layer has another value")
        mu, = reader.draw_ext(1)
        p = ext_add(p0, ext_mul(mu, ext_sub(p1, p0)))
        q = ext_add(q0, ext_mul(mu, ext_sub(q1, q0)))
        z = [mu] + s
    t = min(n, 12)
    r = z[t:] + z[:t]

    def between(a, b):
        """I(b) - I(a) and J(b) - J(a)"""
        (i_a, j_a), (i_b, j_b) = sums_below(r, a), sums_below(r, b)
        return ext_sub(i_b, i_a), ext_sub(j_b, j_a)

    inside = between(0, limbs)[0]
    value = ext_sub(ext_sub(ext_sub(one, inside), between(first, end)[0]), q)
    for size, begin, stop, count in regions:
        a = ext_sub(alpha, ext_scale(gamma, size))
        i, j = between(count, count + size)
        value = ext_add(value, ext_mul(a, between(begin, stop)[0]))
        value = ext_add(value, ext_mul(ext_add(a, ext(count, degree)), i))
        value = ext_sub(value, j)
    return r, value, ext_sub(inside, p)


# Section 4: the code, the root of a vector, the opening.

CODE_BITS = {1: 435198, 2: 711009, 3: 870396, 4: 956864,
             5: 1002025, 6: 1025121, 7: 1036803, 8: 1042678}
Code = namedtuple("Code", "log_columns log_length queries work level further", defaults=((),))
Term = namedtuple("Term", "vector block scale form")    # the scale times a list, or an EqForm


class EqForm:
    """eq(z, .) below m"""

    def __init__(self, z, m):
        self.z, self.m = z, m

    def __len__(self):
        return 2**len(self.z)

    def fold(self, point):
        """The table with its first variables fixed at a point"""
        degree, k = len(self.z[0]) if self.z else 2, len(point)
        columns = eq_table(self.z[k:], degree)
        row, rest = divmod(self.m, len(columns))
        full = eq_below_at(self.z[:k], point, row, degree)
        table = [ext_mul(full, x) for x in columns]
        if rest:
            edge = ext(1, degree)
            for i, (a, b) in enumerate(zip(self.z, point)):
                bit = row >> (k - 1 - i) & 1
                both = ext_mul(a, b)
                if not bit:
                    both = ext_add(both, ext_sub(ext_sub(ext(1, degree), a), b))
                edge = ext_mul(edge, both)
            for y in range(rest):
                table[y] = ext_add(table[y], ext_mul(edge, columns[y]))
        return table


def is_code(code, degree):
    """Whether the numbers are a code that does not miss its level"""
    layers = [code, *code.further]
    field = 64 * degree - 1 - code.level
    return (len(layers) <= 5 and 0 <= code.level <= 128
            and all(is_layer(layer, code.level) and field >= layer.log_length for layer in layers)
            and all(a.log_columns > b.log_columns and field >= bits_of(a.queries + 1)
                    for a, b in zip(layers, layers[1:])))


def is_layer(layer, level):
    r = layer.log_length - layer.log_columns
    return (0 <= layer.log_columns and 1 <= r <= 8 and layer.log_length <= 27
            and 1 <= layer.queries <= 4096 and 0 <= layer.work <= 40
            and layer.queries * CODE_BITS[r] >= 2**20 * (level - layer.work))


@lru_cache(maxsize=None)
def expected(b, queries):
    """e(b) of section 6, "Mean size" """
    missed = everything = 2**(b + 20)
    for _ in range(queries):
        missed -= missed >> b
    return everything - missed


@lru_cache(maxsize=None)
def expected_path(log_length, queries):
    return sum(2 * expected(b - 1, queries) - expected(b, queries)
               for b in range(1, log_length + 1))


def layer_size(layer, column, trees):
    """What is expected of a layer whose columns have so many bytes, in so many trees"""
    known = expected(layer.log_length, layer.queries)
    path = expected_path(layer.log_length, layer.queries)
    return (column * (known // 16) >> 16) + (32 * trees * path >> 20)


def mean_size(code, bits, degree):
    """Section 6, "Mean size", of an opening of vectors of 2^b entries"""
    layers, heights = [code, *code.further], [2**(b - code.log_columns) for b in bits]
    end = 0
    for height in heights:
        end = -(-end // height) * height + height
    rounds = bits_of(end) + (code.log_columns if code.further else 0)
    size = degree * 8 * (2 * rounds + 2**layers[-1].log_columns) + 32 * len(code.further)
    size += 8 * sum(layer.work > 0 for layer in layers)
    size += layer_size(code, 8 * sum(heights), len(bits))
    for before, layer in zip(layers, layers[1:]):
        size += layer_size(layer, 8 * degree * 2**(before.log_columns - layer.log_columns), 1)
    return size


def queries_of(r, work):
    return -(-2**20 * (100 - work) // CODE_BITS[r])


@lru_cache(maxsize=None)
def best_layers(d, l, n, degree):
    """S_d(l) of section 6, and the layers; no size if there are none"""
    if d == 0:
        return 8 * degree * 2**l, ()
    best = (None, ())
    for r in range(1, 5):
        for k in range(1, min(l, 8) + 1 if l + r <= min(n + 1, 24) else 0):
            layer = Code(l - k, l - k + r, queries_of(r, 18), 18, 100)
            size, after = best_layers(d - 1, l - k, n, degree)
            if size is None:
                continue
            size += 40 + layer_size(layer, 8 * degree * 2**k, 1)
            if best[0] is None or size < best[0]:
                best = size, (layer, *after)
    return best


def choose_code(n, degree, alone=False):
    """The code of section 6 for vectors of n bits; the larger rate and fewer columns come first"""
    work = 16 if n <= 16 else 18
    both = [n] if alone else [n, n if n <= 16 or n >= 24 else min(n + 3, 24)]
    codes = []
    for r in range(1, 5 if n <= 18 else 3):
        for l in range(min(n, 27 - r) + 1):
            further = ()
            if n > 16:
                ways = [(size + (16 * degree * l if d else 0), d, layers) for d, (size, layers) in
                        enumerate(best_layers(d, l, n, degree) for d in range(5))
                        if size is not None]
                further = min(ways)[2]
            codes.append(Code(l, l + r, queries_of(r, work), work, 100, further))
    codes = [code for code in codes if is_code(code, degree)]
    need(codes, "there is no code")
    return min(codes, key=lambda code: mean_size(code, both, degree))


def rows_in_use(code, used):
    """Of a vector of so many entries before zeros"""
    return max(1, -(-used // 2**code.log_columns))


def vector_root(code, vector, used):
    """The root of a vector of integers, of which so many may not be 0"""
    ell, length = 2**code.log_columns, 2**code.log_length
    rows = [transform(vector[at:at + ell] + [0] * (length - ell), code.log_length)
            for at in range(0, ell * rows_in_use(code, used), ell)]
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
                its = a[bits - h:]
                rests[id(term.form)] = (term.form.fold(its) if isinstance(term.form, EqForm)
                                        else fold_first(term.form, its))
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
    """Step 7 of an opening for one matrix: its columns of so many elements of F, by position"""
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
    """An opening: vectors are (bits, entries in use, root), claims (value, terms)."""
    degree, ell = reader.degree, 2**code.log_columns
    count = sum(len(terms) for _, terms in claims)
    need(is_code(code, degree), "the code misses its level")
    need(1 <= len(vectors) <= 16, "too many vectors")
    need(count < 2**(64 * degree - 1 - code.level), "too many terms")
    # The stack
    heights, first, end = [], [], 0
    rows = [rows_in_use(code, used) for _, used, _ in vectors]
    for bits, used, root in vectors:
        need(used <= 2**bits, "more entries than the vector has")
        need(code.log_columns <= bits <= 27 and len(root) == 32, "no such vector")
        heights.append(2**(bits - code.log_columns))
        first.append(-(-end // heights[-1]) * heights[-1])
        end = first[-1] + heights[-1]
    rounds = bits_of(end)
    need(rounds + code.log_columns <= 32, "the vectors are too long")
    # Step 1: what is opened
    reader.absorb("code", elements_bytes([code.log_columns, code.log_length, code.queries,
                                          code.work, len(vectors), count]))
    for layer in code.further:
        reader.absorb("layer", elements_bytes([layer.log_columns, layer.log_length,
                                               layer.queries, layer.work]))
    for height, in_use, (*_, root) in zip(heights, rows, vectors):
        reader.absorb("vector", u64(bits_of(height)) + u64(in_use) + root)
    data = []
    for value, terms in claims:
        need(terms, "a claim without terms")
        for i, (vector, block, _, form) in enumerate(terms):
            need(vector < len(vectors) and (block + 1) * len(form) <= 2**vectors[vector][0],
                 "no such block")
            data.append(u64(vector + (2**63 if i else 0)) + u64(block))
            data.append(b"" if i else elements_bytes(value))
    reader.absorb("claims", b"".join(data))
    # Steps 2 and 3
    c, = reader.draw_ext(1)
    running = inner(ext_powers(c, len(claims)), [value for value, _ in claims], degree)
    running, a = read_rounds(reader, running, rounds)
    # Step 4: further layers
    layers, point, powers = [code, *code.further], a, []
    matrices = [(f, in_use, root) for f, in_use, (*_, root) in zip(first, rows, vectors)]
    for i, further in enumerate(code.further):
        root = reader.read_bytes(32, "folded")
        xs, folds = read_layer(reader, layers[i], matrices, point, i > 0)
        c_i, = reader.draw_ext(1)
        scales = [ext_mul(c_i, power) for power in ext_powers(c_i, len(xs))]
        running = ext_add(running, inner(scales, folds, degree))
        powers.append((len(a), xs, scales))
        k = layers[i].log_columns - further.log_columns
        running, point = read_rounds(reader, running, k)
        a += point
        matrices = [(0, 2**k, root)]
    # Step 5: the last folded row
    last = layers[-1]
    u = reader.read_ext(2**last.log_columns, "row")
    if code.further:
        running, b = read_rounds(reader, running, last.log_columns)
        joined = joined_forms(claims, c, (a + b)[:rounds], first, code.log_columns)
        total = fold_first(joined, (a + b)[rounds:])[0]
        for start, xs, scales in powers:
            total = ext_add(total, inner(scales, [powers_at(x, (a + b)[start:]) for x in xs], degree))
        need(ext_mul(fold_first(u, b)[0], total) == running, "the folded row does not have the claims")
    else:
        joined = joined_forms(claims, c, a, first, code.log_columns)
        need(inner(joined, u, degree) == running, "the folded row does not have the claims")
    # Steps 6 to 8
    xs, folds = read_layer(reader, last, matrices, point, bool(code.further))
    for x, fold in zip(xs, folds):
        word = [0] * degree
        for value in reversed(u):
            word = [(total * x + coordinate) % P for total, coordinate in zip(word, value)]
        need(fold == tuple(word), "the folded row is not that of the columns")


def read_rounds(reader, running, count):
    """Rounds of an opening: the claim that is left, and the challenges"""
    a = []
    for _ in range(count):
        q0, q2 = reader.read_ext(2, "round")
        a += reader.draw_ext(1)
        running = interpolate([q0, ext_sub(running, q0), q2], a[-1])
    return running, a


def read_layer(reader, layer, matrices, a, extension):
    """Work, positions and columns; the powers of the root at the positions, and the folds"""
    degree = reader.degree
    reader.work(layer.work)
    positions = reader.draw_positions(layer.queries, layer.log_length)
    width = degree if extension else 1
    columns = [read_column(reader, layer, height * width, root, positions)
               for _, height, root in matrices]
    eq_a, w = eq_table(a, degree), root_of_unity(layer.log_length)
    folds = []
    for j in positions:
        terms = []
        for (f, height, _), mine in zip(matrices, columns):
            for r in range(height):
                entry = tuple(mine[j][r * width:(r + 1) * width]) + (0,) * (degree - width)
                terms.append(ext_mul(eq_a[f + r], entry))
        folds.append(ext_sum(terms, degree))
    return [pow(w, j, P) for j in positions], folds


def powers_at(x, point):
    """The extension of the powers of x, an element of F, at a point"""
    degree = len(point[0])
    one, result = ext(1, degree), ext(1, degree)
    for b in reversed(point):
        result = ext_mul(result, ext_add(one, ext_scale(b, x - 1)))
        x = x * x % P
    return result


# Section 6: the protocol.

# The weights of the values of an index, or of some letters: the list of all entries, and what it
# is, if that is known: ("eq", z, m) is eq(z, .) below m, ("one", (), m) is 1 below m. fields: letters
# and shifts, the highest first. A part has three factors of the indices, or a list of all entries.
Factor = namedtuple("Factor", "fields table form")
Part = namedtuple("Part", "variable scale axes whole")


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
        self.roots = case.get("roots", (None, None))
        self.plan = Plan(certificate, case["graphs"], case["lanes"], self.public_weights,
                         case["claimed"], tuple(root is not None for root in self.roots))
        whole = not any(self.plan.boundary)
        n = self.plan.bits if self.public_weights and whole else self.plan.weight_bits
        self.code = choose_code(n, self.degree, self.public_weights and whole)
        self.witness_bits = max(self.plan.bits, self.code.log_columns)
        self.claims, self.whole = [], []            # whole: claims about the whole witness vector
        self.added = []                             # (claim, part) in the order of adding
        self.eq_tables = {}

    def verify(self):
        """All steps in order"""
        self.read_public()
        self.start()
        if self.plan.direct:
            self.certify()
            self.reader.read_end()
            return
        self.points()
        self.linear_relations()
        self.other_relations()
        self.replace_all()
        if self.plan.large:
            self.lookup()
        else:
            self.ranges()
        self.open()
        self.reader.read_end()

    # Public variables

    def is_public(self, number):
        """Whether a variable is public, or a weight that is"""
        kind = self.plan.variables[number].kind
        return kind == PUBLIC or (kind == WEIGHT and self.public_weights == 1)

    def read_public(self):
        """The entries of public variables, as rows. All have to lie in their intervals."""
        case, self.entries = self.case, {}
        for number, v in enumerate(self.plan.variables):
            if not self.is_public(number):
                continue
            if v.kind == WEIGHT or v.number == PARAMETER:
                rows = rows_of(v.node)
            elif v.number == POWERS:
                rows = [[2**(v.extra - e) for e in row] for row in rows_of(v.node)]
            elif v.number == LESS:
                rows = [[int(col < case["tokens"][v.extra + row]) for col in range(v.shape[2])]
                        for row in range(v.shape[0])]
            else:
                table, cols = case["output" if v.number == OUTPUT else "input"], v.shape[2]
                need(len(table) == v.shape[0] * cols, "the input or the output has another size")
                rows = [table[cols * r:cols * (r + 1)] for r in range(v.shape[0])]
            need((len(rows), len(rows[0])) == (v.shape[0], v.shape[2]),
                 "a public variable has another size")
            need(all(v.lo <= x <= v.hi for row in rows for x in row),
                 "a public value is outside of its interval")
            self.entries[number] = rows
        need(all(t <= case["graphs"][0].nodes[0].type.hi for t in case["tokens"]), "no such token")
        if case["type"] == "cert":
            need(not case["input"] and not case["output"], "a certificate has no input or output")
        if self.public_weights:
            need(digest_of_weights(weight_vector(self.plan)) == case["weights_digest"],
                 "public weights do not have their digest")

    # Factors and parts

    def masked_eq(self, fields, point, m):
        """The factor "eq(point)", of the range m"""
        key = (tuple(point), m)
        if key not in self.eq_tables:
            self.eq_tables[key] = masked(eq_table(point, self.degree), m)
        return Factor(fields, self.eq_tables[key], ("eq", tuple(point), m))

    def ones(self, fields, m):
        """The factor 1, of the range m"""
        return Factor(fields, masked([self.one] * 2**bits_of(m), m), ("one", (), m))

    def letter_eq(self, relation, letter, point):
        """The factor eq(point) of a letter"""
        return self.masked_eq(((letter, 0),), point, relation.ranges[letter])

    def total(self, factor):
        """The sum of a factor's entries"""
        return ext_sum(factor.table, self.degree)

    def add_part(self, claim, part):
        """Add a part to a claim."""
        claim.parts.append(part)
        self.added.append((claim, part))

    def add_claim(self, value):
        """A new claim, without parts"""
        self.claims.append(Claim(value))
        return self.claims[-1]

    def values_of(self, relation, factors):
        """All values of the letters of some factors, as dicts, with the product of the factors;
        zeros are left out"""
        names = [letter for factor in factors for letter, _ in factor.fields]
        for values in itertools.product(*(range(relation.ranges[letter]) for letter in names)):
            value = dict(zip(names, values))
            weight = self.one
            for factor in factors:
                weight = ext_mul(weight, factor.table[sum(value[a] << s for a, s in factor.fields)])
            if any(weight):
                yield value, weight

    def axis_index(self, axis, value, size):
        """The indices that an axis reads for some values of its letters, as a list"""
        x = axis.start + sum(value[letter] << shift for letter, shift in axis.fields)
        if axis.kind == PREFIX:
            return range(x >> axis.log << axis.log, min(x + 1, size))
        if axis.kind == PICK:
            need(x < len(self.case["tokens"]), "a token that is not there")
            x = self.case["tokens"][x]
        return [x] if 0 <= x < size else []

    def axis_factor(self, relation, axis, size, factors):
        """What factors of letters make of an index: a factor of it"""
        table = [self.zero] * 2**bits_of(size)
        for value, weight in self.values_of(relation, factors):
            for x in self.axis_index(axis, value, size):
                table[x] = ext_add(table[x], weight)
        return Factor((), table, self.axis_form(relation, axis, size, factors))

    def axis_form(self, relation, axis, size, factors):
        """eq(z) or 1, if an index has that"""
        if axis.kind != PLAIN or axis.start != 0:
            return None
        if len(factors) == 1 and factors[0].fields == axis.fields and factors[0].form:
            kind, z, m = factors[0].form
        elif all(len(factor.fields) == 1 and factor.form for factor in factors):
            # Fields that lie side by side, the lower ones full
            by_letter = {factor.fields[0][0]: factor.form for factor in factors}
            fields = [(a, s) for a, s in axis.fields if relation.bits[a] > 0]
            at, z, kinds, m = 0, (), set(), 1
            for i, (letter, shift) in enumerate(reversed(fields)):
                kind, point, below = by_letter[letter]
                last = i == len(fields) - 1
                if shift != at or not (last or below == 2**relation.bits[letter]):
                    return None
                at, z, m = at + relation.bits[letter], tuple(point) + z, below << shift
                kinds.add(kind)
            if len(kinds) > 1:
                return None
            kind = kinds.pop() if kinds else "eq"
        else:
            return None
        if kind == "eq" and len(z) != bits_of(size):
            return None
        return kind, z, min(m, size)

    def add_view(self, claim, relation, view, scale, factors):
        """Add "a view of letters with factors" to a claim, as a part; in question are the letters
        that have a factor."""
        shape = self.plan.variables[view.variable].shape
        present = letters(view)
        mine = []                                   # for each axis, factors of its letters
        for factor in factors:
            if not any(letter in present for letter, _ in factor.fields):
                scale = ext_mul(scale, self.total(factor))
        for axis in view.axes:
            its = set(axis_letters(axis))
            mine.append([f for f in factors if any(letter in its for letter, _ in f.fields)])
        if len({id(f) for fs in mine for f in fs}) == sum(len(fs) for fs in mine):
            axes = []
            for axis, size, fs in zip(view.axes, shape, mine):
                axes.append(self.axis_factor(relation, axis, size, fs))
            self.add_part(claim, Part(view.variable, scale, axes, None))
            return
        logs = self.plan.variables[view.variable].logs
        whole = [self.zero] * 2**sum(logs)
        once = {id(f): f for fs in mine for f in fs}
        for value, weight in self.values_of(relation, list(once.values())):
            for row, mid, col in itertools.product(*(self.axis_index(axis, value, size)
                                                     for axis, size in zip(view.axes, shape))):
                x = ((row << logs[1]) + mid << logs[2]) + col
                whole[x] = ext_add(whole[x], weight)
        self.add_part(claim, Part(view.variable, scale, None, whole))

    def add_terms(self, claim, relation, scale, factors):
        """Step 3: the terms of a relation, none of two views, as parts of a claim"""
        for c, views in relation.terms:
            if views:
                self.add_view(claim, relation, views[0], ext_scale(scale, c), factors)
            else:
                worth = ext_scale(scale, c)
                for factor in factors:
                    worth = ext_mul(worth, self.total(factor))
                claim.value = ext_sub(claim.value, worth)

    def whole_of(self, part):
        """The weights of all entries of a part's variable, without its scale"""
        if part.whole is not None:
            return part.whole
        table = [self.one]
        for factor in part.axes:
            table = [ext_mul(a, b) for a in table for b in factor.table]
        return table

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
            if v.kind == PUBLIC and v.number not in (POWERS, LESS):
                rows = self.entries[number]
                self.reader.absorb("public", elements_bytes(x % P for row in rows for x in row))
        self.root = self.reader.read_bytes(32, "root")

    def points(self):
        """Step 2"""
        all_bits = [r.bits + (0,) * (6 - len(r.bits)) for r in self.plan.relations]
        bits = [max((its[letter] for its in all_bits), default=0) for letter in range(6)]
        self.tau = [self.reader.draw_ext(count) for count in bits]

    def tau_factors(self, relation):
        """The factor eq(tau_k) of each letter"""
        return [self.letter_eq(relation, letter, self.tau[letter][:bits])
                for letter, bits in enumerate(relation.bits)]

    def linear_relations(self):
        """Step 3"""
        for relation in self.plan.relations:
            if relation.is_zero and not relation.is_product and not relation.mask:
                claim = self.add_claim(self.zero)
                self.add_terms(claim, relation, self.one, self.tau_factors(relation))

    def other_relations(self):
        """Step 4: the groups, in the order of their first relations, behind all of step 3"""
        groups = {}
        for r in self.plan.relations:
            if r.is_zero and (r.is_product or r.mask):
                groups.setdefault(r.bits + (0,) * (6 - len(r.bits)), []).append(r)
        for bits, group in groups.items():
            self.group(bits, group)

    def group(self, bits, group):
        """Step 4 for one group"""
        def split(point):
            """The coordinates of each letter"""
            starts = list(itertools.accumulate(bits, initial=0))
            return [point[at:at + n] for at, n in zip(starts, bits)]

        def weight_of(relation):
            """The extension of the product of eq(tau_k), masked"""
            def weight(point):
                own = [self.letter_eq(relation, letter, mine) for letter, mine
                       in enumerate(split(point)[:len(relation.bits)])]
                result = self.one
                for letter, factor in enumerate(own):
                    if letter not in (relation.mask or ()):
                        result = ext_mul(result, eq_below_at(
                            self.tau[letter][:relation.bits[letter]], factor.form[1],
                            relation.ranges[letter], self.degree))
                if relation.mask:
                    taus = self.tau_factors(relation)
                    both = [[factors[x] for x in relation.mask] for factors in (taus, own)]
                    result = ext_mul(result, self.sum_of(relation, *both))
                return result
            return weight

        tables, sums = {}, []                       # tables: what tells views apart -> first use
        for relation in group:
            ranges = relation.ranges + (1,) * (6 - len(relation.ranges))
            terms = []
            for c, views in relation.terms:
                keys = [(view, ranges) for view in views]
                for key in keys:
                    tables.setdefault(key, (len(tables), relation))
                terms.append((c, [tables[key][0] for key in keys]))
            sums.append((self.zero, weight_of(relation), terms))
        point, values = sum_check(self.reader, sum(bits), sums, len(tables))
        for (view, _), (number, relation) in tables.items():
            factors = [self.letter_eq(relation, letter, mine) for letter, mine
                       in enumerate(split(point)[:len(relation.bits)])]
            self.add_view(self.add_claim(values[number]), relation, view, self.one, factors)

    def sum_of(self, relation, factors, own):
        """The sum, over all values of the factors' letters, of the factors times the letters' own
        ones; only under the mask, if its letters are among them"""
        by_letter = {factor.fields[0][0]: factor.table for factor in own}
        total = self.zero
        for value, weight in self.values_of(relation, factors):
            small, large = (value.get(letter, 0) for letter in relation.mask or (0, 0))
            if small <= large:
                for letter, x in value.items():
                    weight = ext_mul(weight, by_letter[letter][x])
                total = ext_add(total, weight)
        return total

    def ranks(self):
        """The rank of each derived variable"""
        ranks = {}
        for number in reversed(range(len(self.plan.variables))):
            v = self.plan.variables[number]
            if v.kind != DERIVED:
                continue
            ranks.setdefault(number, 0)
            for _, views in self.plan.relations[v.definition].terms:
                for view in views:
                    if self.plan.variables[view.variable].kind == DERIVED:
                        ranks[view.variable] = max(ranks.get(view.variable, 0), ranks[number] + 1)
        return ranks

    def replace_all(self):
        """Step 5"""
        ranks = self.ranks()
        for rank in range(max(ranks.values(), default=-1) + 1):
            left, mine = [], sorted((x for x in ranks if ranks[x] == rank), reverse=True)
            products = [x for x in mine if self.definition(x).is_product]
            for number in (x for x in mine if x not in products):
                self.replace_linear(number)
            for number in products:
                left += self.replace_public(number)
            while left:
                bits = left[0][-1]
                self.replace_products([item for item in left if item[-1] == bits], bits)
                left = [item for item in left if item[-1] != bits]
        for number in reversed(range(len(self.plan.variables))):
            if self.is_public(number):
                for claim, part in self.take_parts(number):
                    claim.value = ext_sub(claim.value, self.public_worth(part))

    def take_parts(self, number):
        """The parts of a variable, which go"""
        mine = [(claim, part) for claim, part in self.added if part.variable == number]
        self.added = [pair for pair in self.added if pair[1].variable != number]
        for claim, part in mine:
            claim.parts = [other for other in claim.parts if other is not part]
        return mine

    def definition(self, number):
        """That of a derived variable"""
        return self.plan.relations[self.plan.variables[number].definition]

    def replace_linear(self, number):
        """A derived variable whose terms have at most one view"""
        relation = self.definition(number)
        for claim, part in self.take_parts(number):
            factors, _ = self.letters_of(relation, part)
            self.add_terms(claim, relation, self.result_scale(relation, part), factors)

    def replace_public(self, number):
        """The parts of a product of which a view is public; returns the others, whose sums are to be
        checked."""
        relation, left = self.definition(number), []
        (_, views), = relation.terms
        both = (letters(views[0]) & letters(views[1])) | set(relation.mask or ())
        for claim, part in self.take_parts(number):
            factors, joint = self.letters_of(relation, part)
            sum_letters = tuple(sorted(both | joint))
            public = [view for view in views if self.is_public(view.variable)
                      and all(axis.kind == PLAIN for axis in view.axes)
                      and self.plan.variables[view.variable].number != LESS]
            if public and len(sum_letters) == 1:
                self.replace_by_weights(relation, claim, part, factors, sum_letters, public[0])
            else:
                bits = sum(relation.bits[letter] for letter in sum_letters)
                left.append((relation, claim, part, factors, sum_letters, bits))
        return left

    def public_worth(self, part):
        """What a part of a public variable is worth"""
        v, whole = self.plan.variables[part.variable], self.whole_of(part)
        need(v.shape[1] == 1, "a public variable with a middle index")
        worth = ext_sum((ext_scale(whole[(r << v.logs[2]) + c], x)
                         for r, row in enumerate(self.entries[part.variable])
                         for c, x in enumerate(row)), self.degree)
        return ext_mul(part.scale, worth)

    def result_scale(self, relation, part):
        """The scale of a part, times its factors for indices of the result that have no letters"""
        scale = part.scale
        for axis, factor in zip(relation.result, part.axes):
            if not axis.fields:
                scale = ext_mul(scale, factor.table[0])
        return scale

    def letters_of(self, relation, part):
        """The factors of a definition's letters, for a part of what it defines; and the letters of
        those that did not fall apart"""
        need(part.axes is not None, "weights of a derived variable that are no product")
        factors, joint, done = [], set(), set()
        shape = self.plan.variables[part.variable].shape
        for axis, factor, size in zip(relation.result, part.axes, shape):
            done |= set(axis_letters(axis))
            if len(axis.fields) == 1:
                factors.append(factor._replace(fields=axis.fields))
            elif axis.fields and factor.form and factor.form[2] == size:
                kind, z, _ = factor.form
                for letter, shift in axis.fields:
                    bits = relation.bits[letter]
                    at = bits_of(size) - shift - bits
                    if kind == "eq":
                        factors.append(self.letter_eq(relation, letter, z[at:at + bits]))
                    else:
                        factors.append(self.ones(((letter, 0),), relation.ranges[letter]))
            elif axis.fields:
                joint |= set(axis_letters(axis))
                factors.append(factor._replace(fields=axis.fields))
        for letter, size in enumerate(relation.ranges):
            if letter not in done:
                factors.append(self.ones(((letter, 0),), size))
        return factors, joint

    def replace_by_weights(self, relation, claim, part, factors, sum_letters, public):
        """Step 5 for a product of a public view and another: one letter gets weights"""
        letter, = sum_letters
        (c, views), = relation.terms
        other = views[1] if public is views[0] else views[0]
        entries = self.entries[public.variable]
        shape = self.plan.variables[public.variable].shape
        across = [f for f in factors if f.fields[0][0] in letters(public) - {letter}]
        own, = (f for f in factors if f.fields[0][0] == letter)
        weights = [self.zero] * len(own.table)
        for value, weight in self.values_of(relation, across):
            for x in range(relation.ranges[letter]):
                value[letter] = x
                row, mid, col = (self.axis_index(axis, value, size)
                                 for axis, size in zip(public.axes, shape))
                if row and mid and col:
                    weights[x] = ext_add(weights[x], ext_scale(weight, entries[row[0]][col[0]]))
        own = Factor(own.fields, [ext_mul(a, b) for a, b in zip(own.table, weights)], None)
        factors = [own] + [f for f in factors if f.fields[0][0] not in letters(public)]
        scale = ext_scale(self.result_scale(relation, part), c)
        self.add_view(claim, relation, other, scale, factors)

    def sum_weight(self, relation, factors, sum_letters):
        """The extension of the product of the sum letters' factors, times the sums of those of
        letters without views"""
        (_, views), = relation.terms
        used = letters(views[0]) | letters(views[1]) | set(sum_letters)

        def weight(point):
            own, result, under_mask = self.split(relation, sum_letters, point), self.one, []
            for factor in factors:
                names = {letter for letter, _ in factor.fields}
                if not names & used:
                    result = ext_mul(result, self.total(factor))
                elif names & set(relation.mask or ()):
                    under_mask.append(factor)
                elif names & set(sum_letters):
                    result = ext_mul(result, self.sum_of(relation, [factor], own))
            if relation.mask:
                result = ext_mul(result, self.sum_of(relation, under_mask, own))
            return result
        return weight

    def split(self, relation, sum_letters, point):
        """The factors eq of the coordinates of the sum letters"""
        own, at = [], 0
        for letter in sum_letters:
            bits = relation.bits[letter]
            own.append(self.letter_eq(relation, letter, point[at:at + bits]))
            at += bits
        return own

    def replace_products(self, mine, bits):
        """Products of two views whose sums have that many bits: values and a sum-check"""
        sums = []
        for relation, claim, part, factors, sum_letters, _ in mine:
            (c, _), = relation.terms
            value, = self.reader.read_ext(1, "value")
            claim.value = ext_sub(claim.value, ext_mul(self.result_scale(relation, part), value))
            sums.append((value, self.sum_weight(relation, factors, sum_letters),
                         [(c, [2 * len(sums), 2 * len(sums) + 1])]))
        point, values = sum_check(self.reader, bits, sums, 2 * len(sums))
        for i, (relation, _, _, factors, sum_letters, _) in enumerate(mine):
            (_, views), = relation.terms
            left = self.split(relation, sum_letters, point)
            left += [f for f in factors if f.fields[0][0] not in sum_letters]
            for view, value in zip(views, values[2 * i:2 * i + 2]):
                mine_of_view = [f for f in left if f.fields[0][0] in letters(view)]
                self.add_view(self.add_claim(value), relation, view, self.one, mine_of_view)

    def ranges(self):
        """Step 6: the digits are digits."""
        plan, degree = self.plan, self.degree
        z = self.reader.draw_ext(plan.bits)

        def below(m):
            """The extension of eq(z, .) [. < m]"""
            return lambda point: eq_below_at(z, point, m, degree)

        def twos(point):
            """The extension of eq(z, .) [twos <= . < end]"""
            return ext_sub(below(plan.end[1])(point), below(plan.start[1])(point))

        sums = [(self.zero, below(plan.end[2]),
                 [(-6, [0]), (11, [0] * 2), (-6, [0] * 3), (1, [0] * 4)])]
        if plan.end[1] != plan.start[1]:
            sums.append((self.zero, twos, [(-1, [0]), (1, [0] * 2)]))
        point, values = sum_check(self.reader, plan.bits, sums, 1)
        self.whole.append((values[0], [Term(0, 0, self.one, EqForm(point, 2**plan.bits))]))

    def lookup(self):
        """Step 6 for a large vector"""
        plan = self.plan
        point, limbs, others = lookup(self.reader, plan.bits, plan.regions, plan.limbs, plan.limbs,
                                      plan.stop)
        self.whole.append((limbs, [Term(0, 0, self.one, EqForm(point, plan.limbs))]))
        self.whole.append((others, [Term(0, 0, self.one, EqForm(point, plan.stop)),
                                    Term(0, 0, ext_scale(self.one, -1), EqForm(point, plan.limbs))]))

    def certify(self):
        """In place of steps 2 to 7: a certificate of many weights"""
        plan, one = self.plan, self.one
        counts_begin = plan.regions[0][3]
        r, limbs, counts = lookup(self.reader, plan.lookup_bits, plan.regions, plan.limbs,
                                  counts_begin, counts_begin + plan.stop)

        def zeros(begin, end):
            """The product of 1 - r_k"""
            product = one
            for x in r[begin:end]:
                product = ext_mul(product, ext_sub(one, x))
            return product

        for (_, begin, end, _), lo in zip(plan.regions, plan.lowest):
            i = ext_sub(sums_below(r, end)[0], sums_below(r, begin)[0])
            limbs = ext_add(limbs, ext_scale(i, lo))
        above, behind = plan.lookup_bits - plan.weight_bits, plan.lookup_bits - plan.bits
        claims = [(limbs, [Term(1, 0, zeros(0, above), EqForm(r[above:], plan.limbs))]),
                  (counts, [Term(0, 0, ext_mul(r[0], zeros(1, behind)),
                                 EqForm(r[behind:], plan.stop))])]
        opening(self.reader, self.code, [(self.witness_bits, plan.used, self.root),
                                         (plan.weight_bits, plan.weights_used,
                                          self.case["weights_digest"])], claims)

    def open(self):
        """Step 7"""
        claims = []
        for claim in self.claims:
            terms = [term for part in claim.parts for term in self.terms_of(claim, part)]
            if terms:
                claims.append((claim.value, terms))
            else:
                need(not any(claim.value), "a claim about nothing has another value than 0")
        vectors = [(self.witness_bits, self.plan.used, self.root)]
        if not self.public_weights:
            vectors.append((self.plan.weight_bits, self.plan.weights_used,
                            self.case["weights_digest"]))
        bits = max(self.plan.boundary_bits, self.code.log_columns)
        vectors += [(bits, 2**self.plan.boundary_bits, root) for root in self.roots if root is not None]
        opening(self.reader, self.code, vectors, claims + self.whole)

    def terms_of(self, claim, part):
        """The terms of a part; what lo is worth is taken off its claim's value."""
        v = self.plan.variables[part.variable]
        form = self.whole_of(part)
        if v.kind == WEIGHT:
            return [Term(1, piece.block, part.scale,
                         [form[(piece.row + r << v.logs[2]) + piece.col + c]
                          for r in range(2**piece.log_rows) for c in range(2**piece.col_bits)])
                    for piece in (self.plan.pieces[i] for i in v.pieces)]
        if v.kind == BOUNDARY:
            first = 1 if self.public_weights else 2
            behind = v.side == BEHIND and self.plan.boundary[BEFORE]
            return [Term(first + behind, v.block, part.scale, form)]
        worth = ext_mul(part.scale, ext_sum(form, self.degree))
        claim.value = ext_sub(claim.value, ext_scale(worth, v.lo))
        terms = []
        for box in v.boxes:
            cells = form if len(v.boxes) == 1 else [form[x] for x in box.cells(v)]
            for shift, block in v.digits_of(box):
                terms.append(Term(0, block, ext_scale(part.scale, 2**shift), cells))
        return terms


def rows_of(node):
    """The entries of a parameter, as rows"""
    return node.value if isinstance(node.value[0], list) else [node.value]


def weight_vector(plan):
    """The vector of weights of the models that a plan is about"""
    vector = [0] * 2**plan.weight_bits
    for node, pieces in plan.weights:
        for piece in (plan.pieces[i] for i in pieces):
            for r in range(2**piece.log_rows):
                at = ((piece.block << piece.log_rows) + r) << piece.col_bits
                row = rows_of(node)[piece.row + r][piece.col:piece.col + 2**piece.col_bits]
                vector[at:at + len(row)] = row
    return vector


def digest_of_weights(vector):
    """The weights digest of public weights"""
    return hashlib.blake2b(struct.pack(f"<{len(vector)}h", *vector), digest_size=32).digest()


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


# The largest values of the fields, in their order
CONFIGURATION = (1024, 32768, 131072, 65536, 1024, 256, 512, 1, 4, 256, 256, 1, 2, 3, 2, 2, 1)


def mamba_graph(v):
    """The graph of `mamba-integer` with the fields of its configuration"""
    need(len(v) == len(CONFIGURATION), "another configuration than that of mamba-integer")
    layers, d, vocabulary, inner_size, heads, width, states, groups, taps, chunk, pairs = v[:11]
    hold, norm, gate, weights, head_weights, tied = v[11:]
    need(all(x <= most for x, most in zip(v, CONFIGURATION)), "a field is too large")
    need(min(v[:10]) >= 1 and vocabulary >= 2 and states >= 2, "a field is too small")
    need(min(norm, gate, weights, head_weights) >= 1, "a field is too small")
    need(inner_size == heads * width and (groups, taps) == (1, 4), "fields that do not fit")
    need(states & (states - 1) == 0 and chunk & (chunk - 1) == 0 and 2 * pairs <= states,
         "fields that do not fit")
    need(not tied or head_weights == 1, "fields that do not fit")
    kinds = (None, "int8", "ternary")
    try:
        return reference.mamba_integer(reference.Config(
            layers, d, vocabulary, heads, width, states, chunk, pairs, hold,
            (None, "rms", "bitshift")[norm], gate, kinds[weights], kinds[head_weights], bool(tied)))
    except reference.Refused as refused:
        raise Refused(str(refused)) from refused


def parameters(graph):
    """The parameters of a graph, in order"""
    return [node for node in graph.nodes if node.kind == 2]


def size_of(node):
    """The bytes of an element of a public parameter, i8 or i16"""
    return 2 if node.type.dtype == reference.I16 else 1


def public_bytes(graph):
    """The public parameters of a model, whose values are set, as bytes"""
    return b"".join(x.to_bytes(size_of(node), "little", signed=True)
                    for node in parameters(graph) if is_open(node) for x in node.value)


def public_digest(data):
    """The public digest"""
    return hashlib.blake2b(b"mambaint-public" + data, digest_size=32).digest()


def read_public_parameters(graph, data):
    """Set the public parameters of a model."""
    for node in parameters(graph):
        if is_open(node):
            node.value = [int.from_bytes(data.take(size_of(node)), "little", signed=True)
                          for _ in range(node.type.cols)]
            need(all(node.type.lo <= x <= node.type.hi for x in node.value),
                 "a public parameter is outside of its interval")


def read_models(data):
    """The models' part: the graph of each stage, its public digest or None, the weights digest, and
    all of its bytes."""
    begin, graphs, digests = data.at, [], []
    n = data.below(4, 16, "too many models")
    need(n > 0, "no model")
    for _ in range(n):
        name = data.take(data.below(4, 64, "a name is too long"))
        count, marks = data.below(2, 24, "too many values"), data.below(2, 1, "no such mark")
        values = [data.number(4) for _ in range(count)]
        if name == b"simple":
            need(count == 3, "another configuration than that of simple")
            graphs.append(SimpleGraph(*values))
        else:
            need(name == b"mamba-integer", "an architecture that is not known here")
            graphs.append(mamba_graph(values))
        need(data.take(32) == graphs[-1].digest(), "the graph has another digest")
        need(marks == any(map(is_open, parameters(graphs[-1]))), "another mark than expected")
        digests.append(data.take(32) if marks else None)
    weights = data.take(32)
    return graphs, digests, weights, data.data[begin:data.at]


def read_values(data, kind, form, width):
    """Input or output of a statement; of tokens with the root of a boundary, or None"""
    said, count = data.number(4), data.number(4)
    need(said == kind or (said, kind) == (3, 2), "another kind of values than expected")
    need(said == 3 or (count > 0) == (kind > 0), "a number of values that cannot be")
    root = data.take(32) if said == 3 else None
    if form is not None:
        count = list(struct.unpack(f"<{count}{form}", data.take(count * width)))
    return (count, root) if kind == 2 else count


def read_proof(file):
    """A case from the bytes of a proof file; the parameters of its graphs are not set."""
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
    graphs, digests, weights, part = read_models(data)
    tokens = graphs[0].nodes[0].kind == 1
    need(not tokens or len(graphs) == 1, "a chain with a model of tokens")
    t0 = data.below(8, 2**48 - 1, "the first step is nowhere")
    need(t0 == 0 or run and tokens, "the first step is not at 0")
    lanes = data.below(4, 4096, "too many steps")
    need(lanes >= 1 if run and tokens else lanes == run, "another number of steps than expected")
    case = {"type": "wit" if run else "cert", "graphs": graphs, "digests": digests,
            "lanes": max(lanes, 1), "public": flags, "weights_digest": weights, "part": part,
            "tokens": [], "claimed": 0, "t0": t0, "roots": (None, None)}
    if run and tokens:
        case["tokens"], before = read_values(data, 2, "I", 4)
        case["claimed"], behind = read_values(data, 2, None, 0)
        case["roots"] = (before, behind)
        need((before is not None) == (t0 > 0), "a memory at the first step, or none behind it")
        need(case["claimed"] > 0 or behind is not None, "nothing is claimed")
        chunk = max(node.attrs[0] for node in graphs[0].nodes if node.name == "scan")
        need(t0 % chunk == 0 and (behind is None or lanes % chunk == 0),
             "a memory is handed on within a chunk")
        need(len(case["tokens"]) == lanes + 1 and case["claimed"] <= lanes,
             "another number of tokens than expected")
        case["input"], case["output"] = case["tokens"][:-1], []
    else:
        case["input"] = read_values(data, run, "b", 1)
        case["output"] = read_values(data, run, "i", 4)
    data.end()
    case["statement"] = file[:16 + length]
    case["proof"] = file[16 + length:-32]
    return case


def read_key(file):
    """A key file: the models' part, the case of the certificate, the public parameters' bytes"""
    need(len(file) >= 32 and hashlib.blake2b(file[:-32], digest_size=32).digest() == file[-32:],
         "the digest of the key does not match")
    data = Bytes(file[:-32])
    need(data.take(4) == b"MIVK" and data.number(2) == 1 and data.number(2) == 1
         and data.number(4) == 0, "not a key of version 1 and profile A")
    part = data.take(data.number(4))
    certificate = read_proof(data.take(data.number(4)))
    public = b""
    if any(certificate["digests"]):
        public = data.take(data.number(4))
        need(public, "no public parameters")
    data.end()
    return part, certificate, public


def set_public(case, public):
    """Set the public parameters of a case's graphs to those of a key."""
    data = Bytes(public)
    for graph, digest in zip(case["graphs"], case["digests"]):
        at = data.at
        read_public_parameters(graph, data)
        need(digest in (None, public_digest(public[at:data.at])), "other public parameters")
    data.end()


def verify_key(file):
    """Accept a key, as bytes; returns what proofs have to be about: the models' part and the public
    parameters."""
    part, certificate, public = read_key(file)
    need(certificate["type"] == "cert" and certificate["part"] == part,
         "the key is not about the models of its certificate")
    set_public(certificate, public)
    verify(certificate)
    return part, public


def verify_run(proof, key):
    """Accept a proof with committed weights of these models, as bytes, or raise Refused(reason)."""
    case = read_proof(proof)
    part, public = key
    need(case["type"] == "wit" and not case["public"], "not a run with committed weights")
    need(case["part"] == part, "the proof is of other models than the key")
    set_public(case, public)
    verify(case)


def verify_public(proof, graphs):
    """Accept a proof with public weights of these graphs, whose parameters are all set, or raise
    Refused(reason)."""
    case = read_proof(proof)
    need(case["type"] == "wit" and case["public"] == 1, "not a run with public weights")
    need([graph.digest() for graph in case["graphs"]] == [graph.digest() for graph in graphs],
         "the proof is of other graphs")
    for graph, digest in zip(graphs, case["digests"]):
        need(digest in (None, public_digest(public_bytes(graph))), "other public parameters")
    verify({**case, "graphs": graphs})


def read_series(file):
    """The proofs of a series, as bytes; and what they say together: tokens, and how many of them are
    the answer"""
    need(len(file) >= 32 and hashlib.blake2b(file[:-32], digest_size=32).digest() == file[-32:],
         "the digest of the series does not match")
    data = Bytes(file[:-32])
    need(data.take(4) == b"MIPS" and data.number(2) == 1 and data.number(2) == 1,
         "not a series of version 1 and profile A")
    count = data.below(4, 2**20, "too many proofs")
    proofs = [data.take(data.number(4)) for _ in range(count)]
    data.end()
    need(proofs, "a series without proofs")
    said, root, part = {"tokens": [], "claimed": 0}, None, None
    for proof in proofs:
        case = read_proof(proof)
        need(case["type"] == "wit" and case["tokens"], "not a run on tokens")
        need(part in (None, (case["part"], case["public"])), "a proof of another model")
        before, behind = case["roots"]
        need(before == root, "a proof begins with another memory")
        if said["tokens"]:
            need(case["t0"] == len(said["tokens"]) - 1, "a proof begins elsewhere")
            need(case["tokens"][0] == said["tokens"].pop(), "a proof begins with another token")
            need(root is not None, "a proof behind the last one")
        need(said["claimed"] == 0 or case["claimed"] == case["lanes"], "an answer with a gap")
        said["tokens"] += case["tokens"]
        said["claimed"] += case["claimed"]
        root, part = behind, (case["part"], case["public"])
    need(root is None and len(said["tokens"]) <= 2**20 + 1, "the last one hands its memory on")
    return proofs, said


def verify_series(file, accept):
    """Accept a series, whose proofs `accept` accepts one by one; returns what they say."""
    proofs, said = read_series(file)
    for proof in proofs:
        accept(proof)
    return said


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
        key = verify_key(files[1])
        if files[0][:4] == b"MIPS":
            verify_series(files[0], lambda proof: verify_run(proof, key))
        else:
            verify_run(files[0], key)
    except Refused as refused:
        print(f"refused: {refused}")
        return 1
    print("accepted")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
