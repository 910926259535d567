#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A verifier of proofs, from docs/proof.md, docs/proof-gadgets.md, docs/proof-files.md and
docs/arithmetic.md alone.

Slow and plain: a factor is the list of all its entries, so that masks, shifts, slices and sums are
what they say; only (P) is evaluated in closed form. It shares nothing with the library. Plans are
in verify_plan.py beside it; the graphs of `mamba-integer`, and model files, are those of
reference.py, an independent reading as well.

Usage: verify.py PROOF KEY ...    a proof, or a series of them, with committed or hidden weights, and
                                  the key of its models, of a linked chain one of each; status 0 if
                                  all are accepted, 1 and why if not. Public weights: see
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
    if len(a) == 2:
        return ((a[0] + b[0]) % P, (a[1] + b[1]) % P)
    return tuple((x + y) % P for x, y in zip(a, b))


def ext_sub(a, b):
    """a - b"""
    if len(a) == 2:
        return ((a[0] - b[0]) % P, (a[1] - b[1]) % P)
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


def ext_inverse(a):
    """1 / a, by Fermat"""
    result, exponent = ext(1, len(a)), P**len(a) - 2
    while exponent:
        result = ext_mul(result, a) if exponent & 1 else result
        a, exponent = ext_mul(a, a), exponent >> 1
    return result


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


def hash_of(use, data, salt=bytes(16)):
    """H_use(data; salt), or with the zero salt"""
    personal, size = HASHES[use]
    return hashlib.blake2b(data, digest_size=size, salt=salt,
                           person=personal.ljust(16, b"\0")).digest()


def elements_bytes(values):
    """The bytes of some elements of F, or of the coordinates of one of E"""
    return b"".join(u64(value) for value in values)


class Reader:
    """A transcript with the bytes of a proof, which are absorbed as they are read."""

    def __init__(self, kind, proof, degree):
        self.proof, self.offset, self.degree = proof, 0, degree
        self.state, self.pads = bytes(64), 0        # pads: of section 7, that have been used
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

    def take_pads(self, n):
        """The numbers of the next n pads"""
        self.pads += n
        return range(self.pads - n, self.pads)

    def read_padded(self, n, tag):
        """Section 7: n elements of E, each with a pad, as affine values"""
        one = ext(1, self.degree)
        return [Affine(x, {pad: ext_scale(one, -1)})
                for x, pad in zip(self.read_ext(n, tag), self.take_pads(n))]

    def read_end(self):
        """Refuse what is left over."""
        need(self.offset == len(self.proof), "bytes are left over")

    def work(self, bits):
        """Work of so many bits"""
        if bits > 0:
            seed, = self.draw("seed", 1, 32)
            digest = hash_of("grind", seed + self.read_bytes(8, "nonce"))
            need(int.from_bytes(digest[:8], "little") % 2**bits == 0, "the work is not done")


class Counter(Reader):
    """In place of a reader, to count the pads: nothing is read, and challenges are any numbers."""

    def __init__(self, degree):
        super().__init__("wit", b"", degree)

    def read_bytes(self, n, tag):
        """Zeros"""
        self.absorb(tag, bytes(n))
        return bytes(n)


class Affine:
    """Section 7: a value that is known but for pads, which have factors"""

    def __init__(self, known, pads=None):
        self.known, self.pads = known, pads or {}

    def add(self, other, factor):
        """Add another one, or a known one, times a known factor."""
        other = other if isinstance(other, Affine) else Affine(other)
        pads = dict(self.pads)
        for pad, x in other.pads.items():
            x = ext_mul(x, factor)
            pads[pad] = ext_add(pads[pad], x) if pad in pads else x
        return Affine(ext_add(self.known, ext_mul(other.known, factor)), pads)


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
        pairs = zip(table, table[half:])
        if len(r) == 2:                             # the same at once: most of the time is here
            s, t = r
            table = [((a + s * (c - a) + 7 * t * (d - b)) % P, (b + s * (d - b) + t * (c - a)) % P)
                     for (a, b), (c, d) in pairs]
        else:
            table = [ext_add(x, ext_mul(r, ext_sub(y, x))) for x, y in pairs]
    return table


def add_scaled(total, factor, values):
    """The sums of two lists' entries, those of the second one times a factor"""
    if len(factor) != 2:
        return [ext_add(x, ext_mul(factor, y)) for x, y in zip(total, values)]
    s, t = factor
    return [((a + s * c + 7 * t * d) % P, (b + s * d + t * c) % P)
            for (a, b), (c, d) in zip(total, values)]


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


def gather(sums, tables, d):
    """Section 3, "Alike": the bits `more`, the lists of tables, and the families, each as its sums'
    numbers and its terms, of lists in place of tables. If the batch is not gathered, they are 0,
    each sum is a family of its own and each table a list of its own."""
    alike = {}
    for k, (_, _, terms) in enumerate(sums):
        own = list(dict.fromkeys(j for _, factors in terms for j in factors))
        shape = tuple((c % P, tuple(own.index(j) for j in factors)) for c, factors in terms)
        alike.setdefault(shape, []).append((k, own))
    lists, families = {}, []                        # lists: their tables -> their number
    for shape, family in alike.items():
        mine = [lists.setdefault(its, len(lists)) for its in zip(*(own for _, own in family))]
        families.append(([k for k, _ in family],
                         [(c, [mine[i] for i in factors]) for c, factors in shape]))
    m = bits_of(max(len(members) for members, _ in families))
    if m > 0 and m * d + len(lists) < tables:
        return m, list(lists), families
    return (0, [(j,) for j in range(tables)],
            [([k], terms) for k, (_, _, terms) in enumerate(sums)])


def batch_end(sums, families, powers, point, eq, values):
    """Step 5: what a batch's end has to be, if the lists have these values"""
    degree = len(powers[0])
    total = ext(0, degree)
    for members, terms in families:
        weight = ext_sum((ext_mul(ext_mul(eq[y], powers[k]), sums[k][1](point))
                          for y, k in enumerate(members)), degree)
        for coefficient, factors in terms:
            product = ext_scale(weight, coefficient)
            for j in factors:
                product = ext_mul(product, values[j])
            total = ext_add(total, product)
    return total


def left_to_prove(values, lists, eq):
    """For each list its value and, of each of its tables, the scale and the number"""
    return [(value, list(zip(eq, its))) for value, its in zip(values, lists)]


def sum_check(reader, n, sums, tables):
    """A batch of sums over n bits. A sum is (claim, weight, terms): the weight a function that
    gives its extension at a point, a term (coefficient, list of tables' numbers). Returns the
    point of the tables and what is left to prove: values, each with (scale, table) for the tables
    whose u_j, times the scales, it is the sum of."""
    degree = reader.degree
    d = 1 + max(len(factors) for _, _, terms in sums for _, factors in terms)
    m, lists, families = gather(sums, tables, d)
    for claim, _, _ in sums:
        reader.absorb("claim", elements_bytes(claim))
    c, = reader.draw_ext(1)
    powers = ext_powers(c, len(sums))
    running = inner(powers, [claim for claim, _, _ in sums], degree)
    point = []
    for _ in range(n + m):
        q = reader.read_ext(d, "round")
        q.insert(1, ext_sub(running, q[0]))
        point += reader.draw_ext(1)
        running = interpolate(q, point[-1])
    values, eq = reader.read_ext(len(lists), "values"), eq_table(point[n:], degree)
    end = batch_end(sums, families, powers, point[:n], eq, values)
    need(running == end, "a sum-check ends with another value")
    return point[:n], left_to_prove(values, lists, eq)


def read_line(reader, n, d):
    """Section 7, a line of degree d with n points: the sum of s^i H_i, i > 0, the points, and what
    they say of the values that the line is about"""
    degree = reader.degree
    coefficients = reader.read_padded(d, "line")
    s, = reader.draw_ext(1)
    need(any(s) or isinstance(reader, Counter), "a line with one point")
    pads = reader.take_pads(n)
    points = reader.read_ext(n, "values")
    total = Affine(ext(0, degree))
    for power, h in zip(ext_powers(s, d + 1)[1:], coefficients):
        total = total.add(h, power)
    return total, points, [Affine(u, {m: ext_scale(s, -1)}) for u, m in zip(points, pads)]


def hidden_sum_check(reader, n, sums, tables):
    """As sum_check(), of claims that are affine. Returns the point, what has to be 0, and what is
    left to prove."""
    degree = reader.degree
    one, zero = ext(1, degree), ext(0, degree)
    d = 1 + max(len(factors) for _, _, terms in sums for _, factors in terms)
    m, lists, families = gather(sums, tables, d)
    for claim, _, _ in sums:
        reader.absorb("claim", elements_bytes(claim.known))
    c, = reader.draw_ext(1)
    powers = ext_powers(c, len(sums))
    running = Affine(zero)
    for power, (claim, _, _) in zip(powers, sums):
        running = running.add(claim, power)
    point = []
    for _ in range(n + m):
        q = reader.read_padded(d, "round")
        q.insert(1, running.add(q[0], ext(-1, degree)))
        point += reader.draw_ext(1)
        running = Affine(zero)
        for k, value in enumerate(q):
            unit = [one if i == k else zero for i in range(d + 1)]
            running = running.add(value, interpolate(unit, point[-1]))
    total, points, values = read_line(reader, len(lists), d - 1)
    eq = eq_table(point[n:], degree)
    end = batch_end(sums, families, powers, point[:n], eq, points)
    running = running.add(total, one).add(end, ext(-1, degree))
    return point[:n], running, left_to_prove(values, lists, eq)


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
    value, inside = lookup_sums(r, alpha, gamma, regions, limbs, first, end)
    return r, ext_sub(value, q), ext_sub(inside, p)


def hidden_lookup(reader, n, regions, limbs, first, end):
    """Section 7: the point, values that have to be 0, and the two affine values that are left"""
    degree = reader.degree
    one, minus = ext(1, degree), ext(-1, degree)
    alpha, gamma = reader.draw_ext(2)
    sent = reader.read_padded(2, "product")
    total, points, values = read_line(reader, 2, 2)
    zeros = [total.add(one, one).add(ext_mul(*points), minus)]
    zeros += [x.add(u, minus) for x, u in zip(sent, values)]
    p, q, z = Affine(ext(0, degree)), sent[0], []
    for k in range(n):
        lam, = reader.draw_ext(1)
        running, s = p.add(q, lam), []
        for i in range(k):
            h1, h2 = reader.read_padded(2, "round")
            s += reader.draw_ext(1)
            running = running.add(h1, ext_sub(s[-1], z[i]))
            running = running.add(h2, ext_sub(ext_mul(s[-1], s[-1]), z[i]))
        total, (p0, p1, q0, q1), u = read_line(reader, 4, 2)
        both = ext_add(ext_add(ext_mul(p0, q1), ext_mul(p1, q0)), ext_mul(lam, ext_mul(q0, q1)))
        zeros.append(running.add(total, one).add(both, minus))
        mu, = reader.draw_ext(1)
        p, q = (a.add(b, mu).add(a, ext_scale(mu, -1)) for a, b in (u[:2], u[2:]))
        z = [mu] + s
    t = min(n, 12)
    r = z[t:] + z[:t]
    value, inside = lookup_sums(r, alpha, gamma, regions, limbs, first, end)
    return r, zeros, Affine(value).add(q, minus), Affine(inside).add(p, minus)


def lookup_sums(r, alpha, gamma, regions, limbs, first, end):
    """The two values that a lookup leaves, but for Q and P"""
    degree = len(alpha)
    one = ext(1, degree)

    def between(a, b):
        """I(b) - I(a) and J(b) - J(a)"""
        (i_a, j_a), (i_b, j_b) = sums_below(r, a), sums_below(r, b)
        return ext_sub(i_b, i_a), ext_sub(j_b, j_a)

    inside = between(0, limbs)[0]
    value = ext_sub(ext_sub(one, inside), between(first, end)[0])
    for size, begin, stop, count in regions:
        a = ext_sub(alpha, ext_scale(gamma, size))
        i, j = between(count, count + size)
        value = ext_add(value, ext_mul(a, between(begin, stop)[0]))
        value = ext_add(value, ext_mul(ext_add(a, ext(count, degree)), i))
        value = ext_sub(value, j)
    return value, inside


# Section 4: the code, the root of a vector, the opening.

CODE_BITS = {1: 435198, 2: 711009, 3: 870396, 4: 956864,
             5: 1002025, 6: 1025121, 7: 1036803, 8: 1042678}
Code = namedtuple("Code", "log_columns log_length queries work level further masks",
                  defaults=((), 0))
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


def is_code(code, degree, pads=0):
    """Whether the numbers are a code that does not miss its level"""
    layers = [code, *code.further]
    field = 64 * degree - 1 - code.level
    return (len(layers) <= 5 and 0 <= code.level <= 128
            and (code.queries < code.masks if code.masks else pads == 0)
            and all(is_layer(layer, code.level, pads) and field >= layer.log_length
                    for layer in layers)
            and all(a.log_columns > b.log_columns and field >= bits_of(a.queries + 1)
                    for a, b in zip(layers, layers[1:])))


def is_layer(layer, level, pads):
    r = layer.log_length - layer.log_columns
    return (0 <= layer.log_columns and 1 <= r <= 8 and layer.log_length <= 27
            and 1 <= layer.queries <= 4096 and 0 <= layer.work <= 40
            and entries_of(layer, pads) < 2**layer.log_length
            and layer.queries * query_bits(layer, pads) >= 2**20 * (level - layer.work))


def entries_of(code, pads):
    """N: of a row, with all that is behind its entries"""
    return 2**code.log_columns + (code.masks + pads if code.masks else 0)


def query_bits(code, pads):
    """b, of a layer"""
    if not code.masks:
        return CODE_BITS[code.log_length - code.log_columns]
    length, b = 2**code.log_length, 0
    f = 2**63 * length // (length + entries_of(code, pads))
    for _ in range(20):
        f, b = f * f >> 62, 2 * b
        if f >> 63:
            f, b = f // 2, b + 1
    return b


def fewest_queries(code, pads, openings=0):
    """The code with the smallest t, and with openings also the M that goes with it; None if there
    is none"""
    code = code._replace(queries=1)
    while True:
        if openings:
            code = code._replace(masks=openings * code.queries + 1)
        if entries_of(code, pads) >= 2**code.log_length or code.queries > 4096:
            return None
        t = max(1, -(-2**20 * (code.level - code.work) // query_bits(code, pads)))
        if t <= code.queries:
            return code
        code = code._replace(queries=t)


def heights_of(code, bits):
    """Rows of vectors of 2^b entries, and K"""
    heights, end = [2**max(b - code.log_columns, 1 if code.masks else 0) for b in bits], 0
    for height in heights:
        end = -(-end // height) * height + height
    return heights, bits_of(end)


def fitted(code, bits, degree):
    """The code of an opening of vectors of 2^b entries, and its pads"""
    if not code.masks:
        return code, 0
    pads = 2 * degree * heights_of(code, bits)[1]
    return fewest_queries(code, pads), pads


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
    (code, pads), (heights, rounds) = fitted(code, bits, degree), heights_of(code, bits)
    layers, hidden = [code, *code.further], degree if code.masks else 0
    rows = [entries_of(layer, pads) for layer in layers]
    rounds += bits_of(rows[0]) if code.further else 0
    size = degree * 8 * (2 * rounds + rows[-1]) + 32 * len(code.further) + 8 * hidden
    size += 8 * sum(layer.work > 0 for layer in layers)
    size += layer_size(code, 8 * (sum(heights) + hidden), len(bits))
    for before, layer in zip(rows, layers[1:]):
        size += layer_size(layer, 8 * degree * -(-before // 2**layer.log_columns), 1)
    return size


def queries_of(r, work):
    return -(-2**20 * (100 - work) // CODE_BITS[r])


@lru_cache(maxsize=None)
def best_layers(d, l, n, degree, entries=None):
    """S_d(l) of section 6, and the layers; no size if there are none. Of a row of 2^l entries, or
    with what is behind them"""
    entries = entries or 2**l
    if d == 0:
        return 8 * degree * entries, ()
    best = (None, ())
    for r in range(1, 5):
        for k in range(1, min(l, 8) + 1 if l + r <= min(n + 1, 24) else 0):
            layer = Code(l - k, l - k + r, queries_of(r, 18), 18, 100)
            size, after = best_layers(d - 1, l - k, n, degree)
            if size is None:
                continue
            size += 40 + layer_size(layer, 8 * degree * -(-entries // 2**(l - k)), 1)
            if best[0] is None or size < best[0]:
                best = size, (layer, *after)
    return best


def link_code(n, degree):
    """The code of section 6 for what is handed on, a vector of n bits"""
    need(n <= 16, "too much is handed on")
    codes = [Code(l, l + r, queries_of(r, 0), 0, 100)
             for r in range(1, 5) for l in range(n + 1)]
    return min((code for code in codes if is_code(code, degree)),
               key=lambda code: mean_size(code, [n], degree))


def choose_code(n, degree, alone=False, openings=0):
    """The code of section 6 for vectors of n bits; the larger rate and fewer columns come first.
    With a number of openings, hidden"""
    work = 16 if n <= 16 and not openings else 18
    both = [n] if alone else [n, n if n <= 16 or n >= 24 else min(n + 3, 24)]
    codes = []
    for r in range(1, 9 if openings and n <= 16 else 5 if n <= 18 else 3):
        for l in range(min(n, 27 - r) + 1):
            code, pads = Code(l, l + r, queries_of(r, work), work, 100), 0
            if openings:
                pads = 2 * degree * (32 - l)
                code = fewest_queries(code, pads, openings)
            if n > 16 and code:
                entries = entries_of(code, pads)
                ways = [(size + (16 * degree * bits_of(entries) if d else 0), d, layers)
                        for d, (size, layers) in
                        enumerate(best_layers(d, l, n, degree, entries) for d in range(5))
                        if size is not None]
                code = code._replace(further=min(ways)[2])
            if code and is_code(code, degree, pads):
                codes.append(code)
    need(codes, "there is no code")
    return min(codes, key=lambda code: mean_size(code, both, degree))


def rows_in_use(code, used):
    """Of a vector of so many entries before zeros"""
    return max(2 if code.masks else 1, -(-used // 2**code.log_columns))


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
            rest = rests[id(term.form)]
            end = column + len(rest)
            joined[column:end] = add_scaled(joined[column:end], factor, rest)
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
    need(1 <= len(vectors) <= 16, "too many vectors")
    pads = None
    if code.masks:
        pads = Pads(code, degree, heights_of(code, [bits for bits, *_ in vectors])[1],
                    rows_in_use(code, vectors[0][1]) - 1)
    need(is_code(code, degree, pads.count if pads else 0), "the code misses its level")
    need(count < 2**(64 * degree - 1 - code.level), "too many terms")
    # The stack
    heights, first, end = [], [], 0
    rows = [rows_in_use(code, used) for _, used, _ in vectors]
    for bits, used, root in vectors:
        need(used <= 2**bits, "more entries than the vector has")
        need(code.log_columns + (code.masks > 0) <= bits <= 27 and len(root) == 32,
             "no such vector")
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
    if pads:
        reader.absorb("masks", u64(code.masks) + u64(pads.count))
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
    if pads:
        pads.draw(reader)
    c, = reader.draw_ext(1)
    running = inner(ext_powers(c, len(claims)), [value for value, _ in claims], degree)
    running, a = read_rounds(reader, running, rounds)
    blind, entries = None, entries_of(code, pads.count if pads else 0)
    if pads:
        pads.weights(a)
        sigma, = reader.read_ext(1, "blind")
        blind, = reader.draw_ext(1)
        running = ext_add(sigma, ext_mul(blind, running))
    # Step 4: further layers
    layers, point, powers = [code, *code.further], a, []
    matrices = [(f, in_use, root) for f, in_use, (*_, root) in zip(first, rows, vectors)]
    for i, further in enumerate(code.further):
        root = reader.read_bytes(32, "folded")
        xs, folds = read_layer(reader, layers[i], matrices, point, i > 0, None if i else blind)
        c_i, = reader.draw_ext(1)
        scales = [ext_mul(c_i, power) for power in ext_powers(c_i, len(xs))]
        running = ext_add(running, inner(scales, folds, degree))
        powers.append((len(a), xs, scales, entries))
        in_use = -(-entries // 2**further.log_columns)
        running, point = read_rounds(reader, running, bits_of(in_use))
        a += point
        matrices, entries = [(0, in_use, root)], 2**further.log_columns
    # Step 5: the last folded row
    last = layers[-1]
    u = reader.read_ext(entries, "row")
    if code.further:
        running, b = read_rounds(reader, running, last.log_columns)
        joined = joined_forms(claims, c, (a + b)[:rounds], first, code.log_columns)
        if pads:
            joined = pads.behind(joined)
            joined += [ext(0, degree)] * (2**bits_of(len(joined)) - len(joined))
        total = fold_first(joined, (a + b)[rounds:])[0]
        for start, xs, scales, n in powers:
            total = ext_add(total, inner(scales, [powers_at(x, (a + b)[start:], n) for x in xs],
                                         degree))
        need(ext_mul(fold_first(u, b)[0], total) == running, "the folded row does not have the claims")
    else:
        joined = joined_forms(claims, c, a, first, code.log_columns)
        joined = pads.behind(joined) if pads else joined
        need(inner(joined, u, degree) == running, "the folded row does not have the claims")
    # Steps 6 to 8
    xs, folds = read_layer(reader, last, matrices, point, bool(code.further),
                           None if code.further else blind)
    for x, fold in zip(xs, folds):
        word = [0] * degree
        for value in reversed(u):
            word = [(total * x + coordinate) % P for total, coordinate in zip(word, value)]
        need(fold == tuple(word), "the folded row is not that of the columns")


class Pads:
    """Section 4, "Hidden openings": what pads of the rounds make of the claims"""

    def __init__(self, code, degree, rounds, row):
        self.masks, self.degree, self.rounds, self.row = code.masks, degree, rounds, row
        self.count = 2 * degree * rounds

    def draw(self, reader):
        """z, z' and c'"""
        *self.z, self.power, self.factor = reader.draw_ext(self.rounds + 2)

    def weights(self, a):
        """W' at the pads, from the challenges of the rounds"""
        degree, one = self.degree, ext(1, self.degree)
        off = []
        for r in a:
            zero_one_two = [interpolate([ext(int(j == k), degree) for j in range(3)], r)
                            for k in range(3)]
            off = [ext_mul(zero_one_two[1], s) for s in off]
            off += [ext_sub(zero_one_two[1], zero_one_two[0]),
                    ext_sub(ext(0, degree), zero_one_two[2])]
        at_row = eq_table(a, degree)[self.row]
        need(any(at_row), "no weight for the pads")
        both = inner(eq_table(a, degree), eq_table(self.z, degree), degree)
        both = ext_sub(both, ext_mul(at_row, eq_table(self.z, degree)[self.row]))
        self.at, inverse = [], ext_inverse(at_row)
        for power, s in zip(ext_powers(self.power, 2 * self.rounds), off):
            weight = ext_sub(ext_mul(ext_mul(self.factor, both), power), ext_mul(s, inverse))
            x, x_k = (0, 1) + (0,) * (degree - 2), one
            for _ in range(degree):
                self.at.append(ext_mul(weight, x_k))
                x_k = ext_mul(x_k, x)

    def behind(self, joined):
        """W', from its first entries"""
        return joined + [ext(0, self.degree)] * self.masks + self.at


def read_rounds(reader, running, count):
    """Rounds of an opening: the claim that is left, and the challenges"""
    a = []
    for _ in range(count):
        q0, q2 = reader.read_ext(2, "round")
        a += reader.draw_ext(1)
        running = interpolate([q0, ext_sub(running, q0), q2], a[-1])
    return running, a


def read_layer(reader, layer, matrices, a, extension, blind=None):
    """Work, positions and columns; the powers of the root at the positions, and the folds; these
    times a challenge and added to the element behind the first matrix's column, if it is blind"""
    degree = reader.degree
    reader.work(layer.work)
    positions = reader.draw_positions(layer.queries, layer.log_length)
    width = degree if extension else 1
    columns = [read_column(reader, layer, height * width + (degree if blind and not i else 0),
                           root, positions)
               for i, (_, height, root) in enumerate(matrices)]
    eq_a, w = eq_table(a, degree), root_of_unity(layer.log_length)
    folds = []
    for j in positions:
        terms = []
        for (f, height, _), mine in zip(matrices, columns):
            for r in range(height):
                entry = tuple(mine[j][r * width:(r + 1) * width]) + (0,) * (degree - width)
                terms.append(ext_mul(eq_a[f + r], entry))
        fold = ext_sum(terms, degree)
        if blind:
            fold = ext_add(tuple(columns[0][j][-degree:]), ext_mul(blind, fold))
        folds.append(fold)
    return [pow(w, j, P) for j in positions], folds


def powers_at(x, point, m):
    """The extension of the powers of x, an element of F, below m at a point"""
    degree = len(point[0])
    if m < 2**len(point):       # from the last bit on: all powers, and those below m's last bits
        everything, below = ext(1, degree), ext(0, degree)
        for k, b in enumerate(reversed(point)):
            low, high = ext_sub(ext(1, degree), b), ext_scale(b, pow(x, 2**k, P))
            if m >> k & 1:
                below = ext_add(ext_mul(low, everything), ext_mul(high, below))
            else:
                below = ext_mul(low, below)
            everything = ext_mul(everything, ext_add(low, high))
        return below
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
    """That the sum of the parts is the value; of a hidden proof its known part, with pads besides"""

    def __init__(self, value):
        value = value if isinstance(value, Affine) else Affine(value)
        self.value, self.pads, self.parts = value.known, value.pads, []


class Verifier:
    """The verifier of one proof; its methods are the steps of section 6, or if the case is `hidden`
    of section 7."""

    def __init__(self, case):
        self.case, self.degree = case, case.get("degree", 2)
        self.one, self.zero = ext(1, self.degree), ext(0, self.degree)
        certificate, self.public_weights = case["type"] == "cert", case["public"]
        need(case["type"] in ("wit", "cert"), "no such type")
        need(self.public_weights in ((0,) if certificate else (0, 1)), "no such proof")
        self.hidden = case.get("hidden")            # what the key says of its roots; or None
        self.roots = case.get("roots", (None, None))    # of hidden weights they are links
        self.plan = Plan(certificate, case["graphs"], case["lanes"], self.public_weights,
                         case["claimed"], tuple(root is not None for root in self.roots))
        self.sides = [side for side in (BEFORE, BEHIND) if self.roots[side] is not None]
        self.tied = self.plan.tied()
        self.read_public()
        if self.hidden:
            self.hide()
        self.code = self.hidden_code() if self.hidden else self.clear_code()
        self.witness_bits = self.whole_rows(self.plan.bits)
        self.of_key = []                            # the claim that a key's roots share, if it has several
        self.clear()

    def clear_code(self):
        """Section 6: the code of a proof that hides nothing"""
        whole = self.plan.linked or not any(self.plan.boundary)
        n = self.plan.bits if self.public_weights and whole else self.plan.weight_bits
        return choose_code(n, self.degree, self.public_weights and whole)

    def hidden_code(self):
        """The code of the key's roots, with the positions that this proof's opening takes"""
        openings, bits = self.hidden.openings, self.weights_bits()
        code = choose_code(bits, self.degree, openings=openings)
        need(openings == 1 or code.masks <= 2**code.log_columns // 8, "too many openings of a root")
        code, _ = fitted(code, [self.plan.bits, bits], self.degree)
        need(openings * code.queries < code.masks, "fewer masks than columns that are shown")
        return code

    def weights_bits(self):
        """Of the vector of hidden weights, with what is behind them if there are several roots"""
        blur = 4 * self.degree if self.hidden.count > 1 else 0
        return max(self.plan.weight_bits, bits_of(self.plan.weights_used + blur))

    def whole_rows(self, bits):
        """The bits of a vector that has no fewer rows than it may have"""
        return self.code.log_columns + bits_of(heights_of(self.code, [bits])[0][0])

    def clear(self):
        """No claims"""
        self.claims, self.whole = [], []            # whole: claims about whole vectors, with terms
        self.added = []                             # (claim, part) in the order of adding
        self.eq_tables = {}
        self.boundaries = [[], []]                  # of a linked proof: claims about each side's

    def verify(self):
        """All steps in order"""
        self.start()
        self.walk()
        need(self.reader.pads == self.plan.pads, "another number of pads than planned")
        self.open()
        self.reader.read_end()

    def walk(self):
        """From step 2 to 6, or what a direct certificate has in their place"""
        if self.plan.direct:
            self.certify()
            return
        self.points()
        self.link_pads = {side: self.reader.take_pads(1)[0] for side in self.sides if self.hidden}
        self.linear_relations()
        self.link_claims()
        self.other_relations()
        self.replace_all()
        if self.plan.large:
            self.lookup()
        else:
            self.ranges()

    # Hidden proofs

    def hide(self):
        """Section 7, "Layout": how many pads there are, which depends on the bits, and where"""
        bits = self.plan.bits
        while True:
            need(bits <= 27, "the witness vector is too long")
            self.plan.set_bits(bits)
            self.clear()
            self.reader = Counter(self.degree)
            self.walk()
            if self.plan.place_pads(self.reader.pads, self.degree):
                return
            bits += 1

    def sum_check(self, n, sums, tables):
        """A sum-check, of values that are affine if it is hidden"""
        if not self.hidden:
            return sum_check(self.reader, n, sums, tables)
        sums = [(claim if isinstance(claim, Affine) else Affine(claim), *rest)
                for claim, *rest in sums]
        point, zero, left = hidden_sum_check(self.reader, n, sums, tables)
        self.add_claim(zero)
        return point, left

    def run_lookup(self, *numbers):
        """A lookup, in the same way"""
        if not self.hidden:
            return lookup(self.reader, *numbers)
        point, zeros, limbs, counts = hidden_lookup(self.reader, *numbers)
        for zero in zeros:
            self.add_claim(zero)
        return point, limbs, counts

    def add_whole(self, value, terms):
        """A claim about whole vectors"""
        self.whole.append((Claim(value), terms))

    def check_names(self):
        """Section 7, "Links", step 1: the links are of this proof"""
        name = name_of(self.case["statement"], self.case["bare"], self.root)
        before, behind = self.roots
        need(before is None or before.right == name, "the link before is of another proof")
        need(behind is None or behind.left == name, "the link behind is of another proof")

    def link_claims(self):
        """Section 7, "Links", step 3: what goes over each side has the link's value"""
        for side in (side for side in self.sides if self.hidden):
            bits = self.plan.boundary_bits[side] + 1
            need(self.plan.tokens or bits <= 17, "too much is handed on")
            tau = draw_link(self.roots[side], bits, self.degree)
            claim = self.add_claim(Affine(self.roots[side].value,
                                          {self.link_pads[side]: ext(-1, self.degree)}))
            for v in (v for v in self.tied if v.side == side):
                relation = self.tied[v]
                (_, (view,)), _ = relation.terms
                blocks, *points = split_point(tau, (bits - v.block_bits, *v.logs))
                self.add_view(claim, relation, view, eq_table(blocks, self.degree)[v.block],
                              [self.letter_eq(relation, i, z) for i, z in enumerate(points)])

    def pad_terms(self, claim):
        """Step 7: the term of a claim's pads, which go to the other side; none if there are none"""
        if not claim.pads:
            return []
        form, first = [self.zero] * 2**self.plan.pad_bits, self.plan.pads_at % 2**self.plan.pad_bits
        for pad, x in claim.pads.items():
            for k in range(self.degree):
                power = tuple(int(i == k) for i in range(self.degree))
                form[first + self.degree * pad + k] = ext_scale(ext_mul(x, power), -1)
        return [Term(0, self.plan.pads_at >> self.plan.pad_bits, self.one, form)]

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
        self.weights = (self.plan.weight_bits, self.plan.weights_used, case["weights_digest"])
        self.reader.absorb("protocol", u64(2 if self.hidden else 1) + u64(self.degree))
        self.reader.absorb("plan", self.plan.digest())
        self.reader.absorb("statement", case["statement"])
        if self.hidden:
            self.read_root()
        self.reader.absorb("weights", self.weights[2])
        for number, v in enumerate(self.plan.variables):
            if v.kind == PUBLIC and v.number not in (POWERS, LESS):
                rows = self.entries[number]
                self.reader.absorb("public", elements_bytes(x % P for row in rows for x in row))
        self.root = self.reader.read_bytes(32, "root")
        if self.hidden and self.sides:
            self.check_names()

    def read_root(self):
        """Of hidden weights: the root that the proof is about, and the claim that what it stands for is
        what the other roots do."""
        roots, end = self.hidden, self.plan.weights_used
        path = (roots.count - 1).bit_length()
        data = self.reader.read_bytes(36 + 32 * path, "key")
        number = int.from_bytes(data[:4], "little")
        need(number < roots.count and (not number or self.case["type"] == "wit"), "no such root")
        tree = root_of_roots(number, data[4:36], [data[36 + 32 * k:68 + 32 * k] for k in range(path)])
        need(hidden_digest(roots, tree) == self.case["weights_digest"], "a root of another key")
        bits = self.plan.weight_bits
        if roots.count > 1:
            blur, bits = 4 * self.degree, self.weights_bits()
            tau = draw_tau(self.case["names"], roots, tree, bits, self.degree)
            beta = [self.zero] * 2**bits
            for j in range(blur):
                beta[end + j] = tuple(2**(16 * (j % 4)) * (i == j // 4) for i in range(self.degree))
            self.of_key.append((roots.value, [Term(1, 0, self.one, EqForm(tau, end)),
                                              Term(1, 0, self.one, beta)]))
            end += blur
        self.weights = (bits, end, data[4:36])

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
            if self.hidden and relation in self.tied.values():
                continue
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
            return split_point(point, bits)

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
        point, left = self.sum_check(sum(bits), sums, len(tables))
        of_table = [(view, relation) for (view, _), (_, relation) in tables.items()]
        for value, parts in left:
            claim = self.add_claim(value)
            for scale, number in parts:
                view, relation = of_table[number]
                factors = [self.letter_eq(relation, letter, mine) for letter, mine
                           in enumerate(split(point)[:len(relation.bits)])]
                self.add_view(claim, relation, view, scale, factors)

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
        linked = self.plan.linked and not self.hidden
        for number in reversed(range(len(self.plan.variables) if linked else 0)):
            v = self.plan.variables[number]
            if v.kind == BOUNDARY:
                for claim, part in self.take_parts(number):
                    value, = self.reader.read_ext(1, "value")
                    claim.value = ext_sub(claim.value, ext_mul(part.scale, value))
                    form = self.whole_of(part)
                    self.boundaries[v.side].append((value, [Term(0, v.block, self.one, form)]))

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
            scale = self.result_scale(relation, part)
            value, = (self.reader.read_padded if self.hidden else self.reader.read_ext)(1, "value")
            left = Affine(claim.value, claim.pads).add(value, ext_scale(scale, -1))
            claim.value, claim.pads = left.known, left.pads
            sums.append((value, self.sum_weight(relation, factors, sum_letters),
                         [(c, [2 * len(sums), 2 * len(sums) + 1])]))
        point, left = self.sum_check(bits, sums, 2 * len(sums))
        for value, parts in left:
            claim = self.add_claim(value)
            for scale, number in parts:
                relation, _, _, factors, sum_letters, _ = mine[number // 2]
                (_, views), = relation.terms
                view = views[number % 2]
                at_point = self.split(relation, sum_letters, point)
                at_point += [f for f in factors if f.fields[0][0] not in sum_letters]
                of_view = [f for f in at_point if f.fields[0][0] in letters(view)]
                self.add_view(claim, relation, view, scale, of_view)

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
        point, ((value, _),) = self.sum_check(plan.bits, sums, 1)
        end = plan.stop if self.hidden else 2**plan.bits
        self.add_whole(value, [Term(0, 0, self.one, EqForm(point, end))])

    def lookup(self):
        """Step 6 for a large vector"""
        plan = self.plan
        point, limbs, others = self.run_lookup(plan.bits, plan.regions, plan.limbs, plan.limbs,
                                               plan.stop)
        self.add_whole(limbs, [Term(0, 0, self.one, EqForm(point, plan.limbs))])
        self.add_whole(others, [Term(0, 0, self.one, EqForm(point, plan.stop)),
                                Term(0, 0, ext_scale(self.one, -1), EqForm(point, plan.limbs))])

    def certify(self):
        """In place of steps 2 to 7: a certificate of many weights"""
        plan, one = self.plan, self.one
        counts_begin = plan.regions[0][3]
        r, limbs, counts = self.run_lookup(plan.lookup_bits, plan.regions, plan.limbs,
                                           counts_begin, counts_begin + plan.stop)

        def zeros(begin, end):
            """The product of 1 - r_k"""
            product = one
            for x in r[begin:end]:
                product = ext_mul(product, ext_sub(one, x))
            return product

        for (_, begin, end, _), lo in zip(plan.regions, plan.lowest):
            i = ext_sub(sums_below(r, end)[0], sums_below(r, begin)[0])
            limbs = (limbs if self.hidden else Affine(limbs)).add(i, ext(lo, self.degree))
        above, behind = plan.lookup_bits - plan.weight_bits, plan.lookup_bits - plan.bits
        self.add_whole(limbs, [Term(1, 0, zeros(0, above), EqForm(r[above:], plan.limbs))])
        self.add_whole(counts, [Term(0, 0, ext_mul(r[0], zeros(1, behind)),
                                     EqForm(r[behind:], plan.stop))])

    def open(self):
        """Step 7"""
        claims = []
        for claim in self.claims:
            terms = [term for part in claim.parts for term in self.terms_of(claim, part)]
            terms += self.pad_terms(claim)
            if terms:
                claims.append((claim.value, terms))
            else:
                need(not any(claim.value), "a claim about nothing has another value than 0")
        claims += [(claim.value, terms + self.pad_terms(claim)) for claim, terms in self.whole]
        claims += self.of_key
        vectors = [(self.witness_bits, self.plan.used, self.root)]
        if not self.public_weights:
            vectors.append(self.weights)
        if not self.plan.linked and not self.hidden:
            vectors += [(self.whole_rows(bits), 2**bits, root)
                        for bits, root in zip(self.plan.boundary_bits, self.roots) if root is not None]
        opening(self.reader, self.code, vectors, claims)
        for bits, root, mine in zip(self.plan.boundary_bits, self.roots, self.boundaries):
            if self.plan.linked and not self.hidden and root is not None:
                code = link_code(bits, self.degree)
                opening(self.reader, code, [(max(bits, code.log_columns), 2**bits, root)], mine)

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


def split_point(point, bits):
    """A point in pieces of so many coordinates"""
    starts = itertools.accumulate(bits, initial=0)
    return [point[at:at + n] for at, n in zip(starts, bits)]


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


# Keys with hidden weights (docs/proof-files.md).

Roots = namedtuple("Roots", "count openings value")     # value: coordinates, or None of one root


def hidden_digest(roots, tree):
    """The weights digest of a key whose roots are under this root of a tree"""
    return hashlib.blake2b(b"mambaint-hidden" + struct.pack("<II", roots.count, roots.openings) +
                           tree + elements_bytes(roots.value or ()), digest_size=32).digest()


def root_of_roots(number, root, path):
    """The root of the tree in which this is a leaf"""
    node = hash_of("leaf", root, b"roots".ljust(16, b"\0"))
    for other in path:
        node = hash_of("node", other + node if number % 2 else node + other)
        number //= 2
    return node


def draw_tau(names, roots, tree, bits, degree):
    """The point at which the vectors of all roots have the same value"""
    drawn = Reader("key", b"", degree)
    drawn.absorb("protocol", u64(2) + u64(degree))
    drawn.absorb("models", hashlib.blake2b(names, digest_size=32).digest())
    drawn.absorb("roots", struct.pack("<III", roots.count, roots.openings, bits))
    drawn.absorb("tree", tree)
    return drawn.draw_ext(bits)


# Links of hidden proofs (section 7, and docs/proof-files.md).

Link = namedtuple("Link", "left right value")           # names of two proofs; coordinates


def name_of(statement, bare, root):
    """The name of a proof: of the head of its statement, its statement without links, and the root of
    its witness vector"""
    return hashlib.blake2b(b"mambaint-link" + statement[:16] + bare + root, digest_size=32).digest()


def draw_link(link, bits, degree):
    """The point at which both proofs show what goes over a boundary"""
    drawn = Reader("link", b"", degree)
    drawn.absorb("protocol", u64(2) + u64(degree))
    drawn.absorb("left", link.left)
    drawn.absorb("right", link.right)
    drawn.absorb("bits", u64(bits))
    return drawn.draw_ext(bits)


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


def read_roots(data):
    """What the models' part says of the roots of hidden weights"""
    count, openings = data.below(4, 4096, "too many roots"), data.below(4, 4096, "too many openings")
    need(all(n and n & n - 1 == 0 for n in (count, openings)), "a number that is no power of two")
    value = tuple(data.below(8, P - 1, "no element") for _ in range(2)) if count > 1 else None
    return Roots(count, openings, value)


def read_models(data, hidden):
    """The models' part: the graph of each stage, its public digest or None, the weights digest, the
    roots of hidden weights or None, and all bytes up to the weights digest, and all of them."""
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
    names, weights = data.data[begin:data.at], data.take(32)
    roots = read_roots(data) if hidden else None
    return graphs, digests, weights, roots, names, data.data[begin:data.at]


def read_link(data):
    """A link"""
    left, right = data.take(32), data.take(32)
    return Link(left, right, tuple(data.below(8, P - 1, "no element") for _ in range(2)))


def read_values(data, kind, form, width, hidden):
    """Input or output of a statement: values, or how many there are, and the root of a boundary or a
    link, or None; and the bytes without the link"""
    begin = data.at
    said, count = data.number(4), data.number(4)
    need(said == kind or (said, kind) in ((3, 2), (4, 1)), "another kind of values than expected")
    need(said == 3 or (count > 0) == (kind > 0), "a number of values that cannot be")
    bare, root = data.data[begin:data.at], None
    if said >= 3:
        root = read_link(data) if hidden else data.take(32)
    begin = data.at
    if form is not None and said != 4:
        count = list(struct.unpack(f"<{count}{form}", data.take(count * width)))
    return count, root, bare + data.data[begin:data.at]


def read_proof(file):
    """A case from the bytes of a proof file; the parameters of its graphs are not set."""
    need(len(file) >= 52 and hashlib.blake2b(file[:-32], digest_size=32).digest() == file[-32:],
         "the digest of the file does not match")
    head = Bytes(file[:-32])
    need(head.take(4) == b"MIPF" and head.number(2) == 1 and head.number(2) == 1,
         "not a proof file of version 1 and profile A")
    kind, flags = head.number(2), head.number(2)
    need((kind, flags) in ((1, 0), (1, 1), (1, 2), (2, 0), (2, 2)), "a type or flags that cannot be")
    length = head.number(4)
    data = Bytes(head.take(length))
    run = 1 if kind == 1 else 0
    graphs, digests, weights, hidden, names, part = read_models(data, flags == 2)
    begin = data.at
    tokens = graphs[0].nodes[0].kind == 1
    need(not tokens or len(graphs) == 1, "a chain with a model of tokens")
    t0 = data.below(8, 2**48 - 1, "the first step is nowhere")
    need(t0 == 0 or run and tokens, "the first step is not at 0")
    lanes = data.below(4, 4096, "too many steps")
    need(lanes >= 1 if run and tokens else lanes == run, "another number of steps than expected")
    case = {"type": "wit" if run else "cert", "graphs": graphs, "digests": digests,
            "lanes": max(lanes, 1), "public": flags & 1, "weights_digest": weights, "part": part,
            "hidden": hidden, "names": names, "mode": flags,
            "tokens": [], "claimed": 0, "t0": t0, "roots": (None, None)}
    bare = part + data.data[begin:data.at]
    if run and tokens:
        case["tokens"], before, taken = read_values(data, 2, "I", 4, hidden)
        case["claimed"], behind, given = read_values(data, 2, None, 0, hidden)
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
        case["input"], before, taken = read_values(data, run, "b", 1, hidden)
        case["output"], behind, given = read_values(data, run, "i", 4, hidden)
        case["roots"] = (before, behind)
        need(before is None or case["input"] == lanes * graphs[0].nodes[0].type.cols,
             "another number of features than expected")
        link = graphs[-1].link if behind is not None else None
        need(behind is None or link and case["output"] == lanes * link.type.cols,
             "another number of values that are handed on than expected")
    data.end()
    case["statement"], case["bare"] = file[:16 + length], bare + taken + given
    case["proof"] = file[16 + length:-32]
    return case


def read_key(file):
    """A key file: the models' part, the case of the certificate, the public parameters' bytes"""
    need(len(file) >= 32 and hashlib.blake2b(file[:-32], digest_size=32).digest() == file[-32:],
         "the digest of the key does not match")
    data = Bytes(file[:-32])
    need(data.take(4) == b"MIVK" and data.number(2) == 1 and data.number(2) == 1,
         "not a key of version 1 and profile A")
    mode = data.number(4)
    part = data.take(data.number(4))
    certificate = read_proof(data.take(data.number(4)))
    need(mode == (2 if certificate["hidden"] else 0), "another mode than that of the certificate")
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
    need(case["type"] == "wit" and not case["public"], "not a run with committed or hidden weights")
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
    if not read_proof(proofs[0])["tokens"]:
        return proofs, chain_of(proofs)
    said, root, part = {"tokens": [], "claimed": 0}, None, None
    for proof in proofs:
        case = read_proof(proof)
        need(case["type"] == "wit" and case["tokens"], "not a run on tokens")
        need(part in (None, (case["part"], case["mode"])), "a proof of another model")
        before, behind = case["roots"]
        need(before == root, "a proof begins with another memory")
        if said["tokens"]:
            need(case["t0"] == len(said["tokens"]) - 1, "a proof begins elsewhere")
            need(case["tokens"][0] == said["tokens"].pop(), "a proof begins with another token")
            need(root is not None, "a proof behind the last one")
        need(said["claimed"] == 0 or case["claimed"] == case["lanes"], "an answer with a gap")
        said["tokens"] += case["tokens"]
        said["claimed"] += case["claimed"]
        root, part = behind, (case["part"], case["mode"])
    need(root is None and len(said["tokens"]) <= 2**20 + 1, "the last one hands its memory on")
    return proofs, said


def chain_of(proofs):
    """What the proofs of a chain of features say together: features, outputs, the digest that stands
    for all weights, and the saved statement"""
    need(len(proofs) >= 2, "a chain of one proof")
    cases = [read_proof(proof) for proof in proofs]
    need(all(case["type"] == "wit" and not case["tokens"] for case in cases),
         "not a run on features")
    need(len({case["mode"] for case in cases}) == 1, "some of the weights are public, or are hidden")
    need(sum(len(case["graphs"]) for case in cases) <= 16, "too many models")
    need(cases[0]["roots"][BEFORE] is None and cases[-1]["roots"][BEHIND] is None,
         "the ends of the chain are elsewhere")
    digests = b""
    for a, b in zip(cases, cases[1:]):
        need(a["roots"][BEHIND] is not None and a["roots"][BEHIND] == b["roots"][BEFORE],
             "a proof begins with something else than the one before it hands on")
        need((a["lanes"], a["output"]) == (b["lanes"], b["input"]), "another number of values")
    for case in cases:
        digests += struct.pack("<I", len(case["graphs"])) + case["weights_digest"]
    digest = hashlib.blake2b(b"mambaint-chain" + digests, digest_size=32).digest()
    return {"input": cases[0]["input"], "output": cases[-1]["output"], "weights_digest": digest,
            "saved": saved_chain(cases, digest)}


def saved_chain(cases, digest):
    """The saved statement of type 3 of a chain whose proofs are these and whose weights have this
    digest"""
    values, outputs, hidden = cases[0]["input"], cases[-1]["output"], cases[0]["hidden"]
    data = struct.pack("<I", sum(len(case["graphs"]) for case in cases))
    data += b"".join(case["names"][4:] for case in cases) + digest
    data += struct.pack("<II", 1, 1) if hidden else b""
    data += struct.pack(f"<QIII{len(values)}b", 0, cases[0]["lanes"], 1, len(values), *values)
    data += struct.pack(f"<II{len(outputs)}i", 1, len(outputs), *outputs)
    data = b"MIPF" + struct.pack("<HHHHI", 1, 1, 3, cases[0]["mode"], len(data)) + data
    return data + hashlib.blake2b(data, digest_size=32).digest()


def verify_series(file, accept):
    """Accept a series, whose proofs `accept` accepts one by one: all with one function, or each with
    one of its own. Returns what they say."""
    proofs, said = read_series(file)
    if callable(accept):
        accept = [accept] * len(proofs)
    need(len(accept) == len(proofs), "another number of proofs than of keys")
    for check, proof in zip(accept, proofs):
        check(proof)
    return said


def main(arguments):
    """The command line"""
    if len(arguments) < 2:
        print(__doc__)
        return 2
    files = []
    for name in arguments:
        with open(name, "rb") as file:
            files.append(file.read())
    try:
        keys = [verify_key(file) for file in files[1:]]
        checks = [lambda proof, key=key: verify_run(proof, key) for key in keys]
        if files[0][:4] == b"MIPS":
            verify_series(files[0], checks if len(checks) > 1 else checks[0])
        else:
            need(len(keys) == 1, "one proof has one key")
            checks[0](files[0])
    except Refused as refused:
        print(f"refused: {refused}")
        return 1
    print("accepted")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
