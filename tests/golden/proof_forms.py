#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes proof_forms.txt: values of linear forms and sum-checks of docs/proof.md.

An evaluation of its own, written from that text: every form is a table made entry by entry from its
definition, and its extension is the sum over all entries; the prover of the sum-checks sums over
the whole cube in every round, and makes a batch of its own of what it gathers. It never calls the
library; tests/unit/test_forms.c and test_sumcheck.c hold the library against its answers.

Usage: proof_forms.py >proof_forms.txt
       proof_forms.py --check FILE      status 1 if FILE is not what this program writes

Lines: "form DEGREE KIND integers... elements... value", "sumcheck DEGREE CASE proof point... value...",
with the whole point and the values that are sent (if gathered, of lists), "hidden DEGREE CASE proof
point... line's-point... known factor...": of a sum-check of section 7, what has to be 0, by its
known part and the factors of all pads.
An element is its coordinates, a proof is hexadecimal bytes.
"""
import hashlib
import itertools
import sys

P = 2**64 - 2**32 + 1
NONRESIDUE = {2: 7, 3: 2}

# ---- the extension: lists of D integers --------------------------------------------------------


class Extension:
    def __init__(self, degree):
        self.degree = degree

    def of(self, a):
        return [a % P] + [0] * (self.degree - 1)

    def add(self, *terms):
        return [sum(column) % P for column in zip(*terms)]

    def sub(self, a, b):
        return [(x - y) % P for x, y in zip(a, b)]

    def mul(self, *factors):
        d, product = self.degree, self.of(1)
        for b in factors:
            wide = [0] * (2 * d - 1)
            for i, x in enumerate(product):
                for k, y in enumerate(b):
                    wide[i + k] += x * y
            product = [(wide[k] + (NONRESIDUE[d] * wide[k + d] if k + d < 2 * d - 1 else 0)) % P
                       for k in range(d)]
        return product

    def power(self, a, n):
        r = self.of(1)
        for _ in range(n):
            r = self.mul(r, a)
        return r

    def eq(self, z, x):
        """eq(z, x) for an index x: z[0] belongs to its most significant bit."""
        one = self.of(1)
        return self.mul(one, *(z_k if x >> (len(z) - 1 - k) & 1 else self.sub(one, z_k)
                               for k, z_k in enumerate(z)))

    def at(self, table, point):
        """The multilinear extension of a table, entries from its end on being zero."""
        return self.add(self.of(0), *(self.mul(w, self.eq(point, x)) for x, w in enumerate(table)
                                      if any(w)))


# ---- forms, entry by entry -----------------------------------------------------------------------


def ones(e, n, m):
    return [e.of(1 if x < m else 0) for x in range(2**n)]


def eq(e, n, m, z):
    return [e.eq(z, x) if x < m else e.of(0) for x in range(2**n)]


def power(e, n, m, x):
    return [e.power(x, c) if c < m else e.of(0) for c in range(2**n)]


def shift(e, n, m, z, z_m, s):
    return [e.eq(z, x + s) if x < m and 0 <= x + s < z_m else e.of(0) for x in range(2**n)]


def upto(e, n, low, m, z):
    q = 2**low
    return [e.add(e.of(0), *(e.eq(z, i) for i in range(m) if i // q == j // q and i >= j))
            for j in range(2**n)]


def triangle(e, n, low, m, z, y):
    """Index i, then the place j in the block of i."""
    q = 2**low
    return [e.mul(e.eq(z, i), e.eq(y, j)) if i < m and j <= i % q else e.of(0)
            for i in range(2**n) for j in range(q)]


def band(e, n, low, m, z, y):
    q = 2**low
    return [e.add(e.of(0), *(e.mul(e.eq(z, i), e.eq(y, j)) for i in range(m) for j in range(q)
                             if i // q == x // q and j < x % q <= i % q))
            for x in range(2**n)]


def rows(e, n, values, z):
    return [e.mul(e.eq(z, i), e.of(values[i])) if i < len(values) else e.of(0)
            for i in range(2**n)]


def listed(e, n, entries, z):
    return [e.add(e.of(0), *(e.eq(z, k) for k, x in enumerate(entries) if x == index))
            for index in range(2**n)]


class Noise:
    def __init__(self, seed):
        self.seed, self.count = seed, 0

    def word(self):
        self.count += 1
        text = b"%d %d" % (self.seed, self.count)
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")

    def below(self, n):
        return self.word() % n

    def elements(self, e, n):
        return [[self.word() % P for _ in range(e.degree)] for _ in range(n)]


def form_lines(degree):
    e, noise = Extension(degree), Noise(degree)

    def line(kind, integers, points, table, bits):
        b = noise.elements(e, bits)
        elements = [x for point in points for x in point] + b + [e.at(table, b)]
        words = ["form", degree, kind, *integers, *itertools.chain(*elements)]
        return " ".join(map(str, words))

    for n in (0, 1, 3, 6):
        ends = {2**n - 1, noise.below(2**n + 1)} if n == 6 else {0, 1, 2**n // 2, 2**n - 1, 2**n}
        for m in sorted(ends):
            z, y = noise.elements(e, n), noise.elements(e, n)
            x = noise.elements(e, 1)
            yield line("ones", [n, m], [], ones(e, n, m), n)
            yield line("eq", [n, m], [z], eq(e, n, m, z), n)
            yield line("power", [n, m], [x], power(e, n, m, x[0]), n)
            for low in sorted({0, n // 2, n}):
                y = noise.elements(e, low)
                yield line("upto", [n, low, m], [z], upto(e, n, low, m, z), n)
                if n + low <= 9:
                    yield line("triangle", [n, low, m], [z, y], triangle(e, n, low, m, z, y), n + low)
                yield line("band", [n, low, m], [z, y], band(e, n, low, m, z, y), n)
    for n, z_n in ((3, 3), (6, 6), (2, 5), (5, 2)):
        for s in (0, 1, 2, 3, 2**n, -1, -3, -2**z_n):
            z = noise.elements(e, z_n)
            m, z_m = 1 + noise.below(2**n), 1 + noise.below(2**z_n)
            yield line("shift", [n, m, z_n, z_m, s % 2**32], [z], shift(e, n, m, z, z_m, s), n)
    for n, count in ((0, 1), (3, 5), (6, 64), (6, 41)):
        z, values = noise.elements(e, n), [noise.word() % P for _ in range(count)]
        yield line("rows", [n, count, *values], [z], rows(e, n, values, z), n)
        entries = [noise.below(2**n) for _ in range(count)]
        yield line("list", [n, count, *entries], [z], listed(e, n, entries, z), n)


# ---- sum-check -----------------------------------------------------------------------------------


class Transcript:
    """docs/proof.md, section 2."""

    def __init__(self, kind):
        self.state = bytes(64)
        self.absorb("type", kind.encode())

    def step(self, tag, kind, n, data=b""):
        label = tag.encode().ljust(15, b"\0") + bytes([kind]) + n.to_bytes(8, "little")
        return hashlib.blake2b(self.state + label + data, digest_size=64,
                               person=b"MIPF transcript\0").digest()

    def absorb(self, tag, data):
        self.state = self.step(tag, 0, len(data), data)

    def draw(self, n):
        data = b"".join(self.step("chal", 1, i) for i in range(-(-n // 4)))
        self.state = self.step("chal", 2, n)
        return [int.from_bytes(data[16 * i:16 * i + 16], "little") % P for i in range(n)]


def packed(elements):
    return b"".join(c.to_bytes(8, "little") for x in elements for c in x)


def interpolated(e, values, r):
    """The polynomial with values[k] at k, at r (Lagrange)."""
    total = e.of(0)
    for i, value in enumerate(values):
        numerator, denominator = value, 1
        for k in range(len(values)):
            if k != i:
                numerator = e.mul(numerator, e.sub(r, e.of(k)))
                denominator = denominator * (i - k) % P
        total = e.add(total, e.mul(numerator, e.of(pow(denominator, P - 2, P))))
    return total


def polynomial(e, terms, g):
    """terms: (coefficient, numbers of the factors)."""
    return e.add(e.of(0), *(e.mul(e.of(c), *(g[k] for k in factors)) for c, factors in terms))


def value_at(e, tables, point, weights, terms, numbers):
    """w~ P(g~) of a sum at a point"""
    g = [e.at(tables[k], point) for k in numbers]
    return e.mul(e.at(weights, point), polynomial(e, terms, g))


def cube_sum(e, bits, tables, sums, begin=()):
    """The sum of some sums over the points that begin so, with that many bits more"""
    points = ([*begin, *map(e.of, x)] for x in itertools.product((0, 1), repeat=bits))
    return e.add(e.of(0), *(value_at(e, tables, point, *one) for point in points for one in sums))


def degree_of(sums):
    return 1 + max(len(f) for _, terms, _ in sums for _, f in terms)


def families_of(sums):
    """What is alike: lists of the sums' numbers"""
    families = []
    for k, (_, terms, numbers) in enumerate(sums):
        for members in families:
            _, its_terms, its_numbers = sums[members[0]]
            if its_terms == terms and len(its_numbers) == len(numbers):
                members.append(k)
                break
        else:
            families.append([k])
    return families


def lists_of(sums, families):
    """The lists of tables, as tuples: of each family, and all of them, each once"""
    by_family = [list(zip(*(sums[k][2] for k in members))) for members in families]
    return by_family, list(dict.fromkeys(itertools.chain(*by_family)))


def gathered_bits(sums, count):
    """`more` of a batch with that many tables; 0 if it is not gathered"""
    families = families_of(sums)
    _, lists = lists_of(sums, families)
    m = (max(map(len, families)) - 1).bit_length()
    return m if m * degree_of(sums) + len(lists) < count else 0


def sent_values(sums, count):
    """How many values are sent at the end"""
    return len(lists_of(sums, families_of(sums))[1]) if gathered_bits(sums, count) else count


def gather(e, tables, sums, point):
    """The batch over `more` bits that is left at a point: tables are the lists, sums the families.
    The weights have the powers of c."""
    families = families_of(sums)
    by_family, lists = lists_of(sums, families)
    new_tables = [[e.at(tables[k], point) for k in numbers] for numbers in lists]
    new_sums = [([e.at(sums[k][0], point) for k in members], sums[members[0]][1],
                 [lists.index(numbers) for numbers in own])
                for members, own in zip(families, by_family)]
    return new_tables, new_sums


def joined(e, sums, join):
    """With the powers of c in the weights"""
    return [([e.mul(e.power(join, k), w) for w in weights], terms, numbers)
            for k, (weights, terms, numbers) in enumerate(sums)]


def sumcheck(e, bits, tables, sums):
    """sums: (weights, terms, numbers of the tables). Returns proof, point and the values sent."""
    transcript, proof = Transcript("test"), b""
    claims = [cube_sum(e, bits, tables, [one]) for one in sums]
    for claim in claims:
        transcript.absorb("claim", packed([claim]))
    join, degree, m = transcript.draw(e.degree), degree_of(sums), gathered_bits(sums, len(tables))
    running = e.add(e.of(0), *(e.mul(e.power(join, k), c) for k, c in enumerate(claims)))
    sums, whole = joined(e, sums, join), []

    def rounds(count):
        nonlocal proof, running
        point = []
        for left in range(count - 1, -1, -1):
            values = [cube_sum(e, left, tables, sums, [*point, e.of(x)]) for x in range(degree + 1)]
            assert e.add(values[0], values[1]) == running
            message = packed(values[:1] + values[2:])
            transcript.absorb("round", message)
            proof += message
            point.append(transcript.draw(e.degree))
            running = interpolated(e, values, point[-1])
        whole.extend(point)
        return point

    point = rounds(bits)
    if m > 0:
        tables, sums = gather(e, tables, sums, point)
        point = rounds(m)
    values = [e.at(table, point) for table in tables]
    transcript.absorb("values", packed(values))
    return proof + packed(values), whole, values


class Affine:
    """What is known, and the factor of each pad"""

    def __init__(self, e, known, pads):
        self.e, self.known, self.pads = e, known, pads

    def add(self, factor, other):
        e = self.e
        return Affine(e, e.add(self.known, e.mul(factor, other.known)),
                      [e.add(a, e.mul(factor, b)) for a, b in zip(self.pads, other.pads)])

    def value(self, pads):
        return self.e.add(self.known, *(self.e.mul(a, b) for a, b in zip(self.pads, pads)))


def multiplied(e, p, q):
    """The product of two polynomials over E"""
    product = [e.of(0)] * (len(p) + len(q) - 1)
    for i, x in enumerate(p):
        for k, y in enumerate(q):
            product[i + k] = e.add(product[i + k], e.mul(x, y))
    return product


def hidden_sumcheck(e, bits, tables, sums, pads):
    """As sumcheck(), of section 7. Of the pads, the first ones hide the claims. Returns proof, point,
    points of the line and what has to be 0."""
    transcript, proof, one = Transcript("test"), b"", e.of(1)
    degree, m = degree_of(sums), gathered_bits(sums, len(tables))
    count = len(pads)
    next_pad = iter(range(count))

    def known(x):
        return Affine(e, x, [e.of(0)] * count)

    def padded(x):
        """A value as what it is with the next pad, and as the affine value that others know"""
        pad = next(next_pad)
        factors = [e.of(-1 if k == pad else 0) for k in range(count)]
        return Affine(e, e.add(x, pads[pad]), factors)

    def send(tag, values):
        nonlocal proof
        transcript.absorb(tag, packed(values))
        proof += packed(values)

    claims = [padded(cube_sum(e, bits, tables, [its])) for its in sums]
    for claim in claims:
        transcript.absorb("claim", packed([claim.known]))
    join, running, whole = transcript.draw(e.degree), known(e.of(0)), []
    for k, claim in enumerate(claims):
        running = running.add(e.power(join, k), claim)
    sums = joined(e, sums, join)

    def rounds(count):
        nonlocal running
        point = []
        for left in range(count - 1, -1, -1):
            values = [padded(cube_sum(e, left, tables, sums, [*point, e.of(x)]))
                      for x in [0, *range(2, degree + 1)]]
            send("round", [value.known for value in values])
            point.append(transcript.draw(e.degree))
            values.insert(1, running.add(e.of(-1), values[0]))
            running = known(e.of(0))
            for k, value in enumerate(values):
                unit = [e.of(int(i == k)) for i in range(degree + 1)]
                running = running.add(interpolated(e, unit, point[-1]), value)
        whole.extend(point)
        return point

    point = rounds(bits)
    if m > 0:
        tables, sums = gather(e, tables, sums, point)
        point = rounds(m)
    # The line
    u, first = [e.at(table, point) for table in tables], count - len(tables)
    h = [e.of(0)] * degree
    for weights, terms, numbers in sums:
        for c, its in terms:
            product = [e.mul(e.at(weights, point), e.of(c))]
            for k in its:
                product = multiplied(e, product, [u[numbers[k]], pads[first + numbers[k]]])
            h = [e.add(a, b) for a, b in zip(h, product + [e.of(0)] * degree)]
    coefficients = [padded(x) for x in h[1:]]
    send("line", [x.known for x in coefficients])
    s = transcript.draw(e.degree)
    ends = [e.add(x, e.mul(s, pads[first + k])) for k, x in enumerate(u)]
    send("values", ends)
    for i, x in enumerate(coefficients):
        running = running.add(e.power(s, i + 1), x)
    for weights, terms, numbers in sums:
        product = e.mul(e.at(weights, point), polynomial(e, terms, [ends[k] for k in numbers]))
        running = running.add(one, known(e.mul(e.of(-1), product)))
    assert list(next_pad) == list(range(first, count))
    assert running.value(pads) == e.of(0)
    return proof, whole, ends, running


def sumcheck_lines(degree):
    e = Extension(degree)

    def entry(k, x, span):
        return ((k + 3) * (x + 1) * 2654435761 % 2**32 >> 16) % span

    def point(k, n):
        return [[(k + 1 + i * degree + c) * 0x9E3779B97F4A7C15 % 2**64 % P for c in range(degree)]
                for i in range(n)]

    def case_lines(case, bits, tables, weights, chosen):
        sums = [(w, *one) for w, one in zip(weights, chosen)]
        proof, end, values = sumcheck(e, bits, tables, sums)
        words = ["sumcheck", degree, case, proof.hex(), *itertools.chain(*end, *values)]
        yield " ".join(map(str, words))
        most, rounds = degree_of(sums), bits + gathered_bits(sums, len(tables))
        pads = point(1000, len(sums) + rounds * most + most - 1 + sent_values(sums, len(tables)))
        proof, end, values, zero = hidden_sumcheck(e, bits, tables, sums, pads)
        words = ["hidden", degree, case, proof.hex(),
                 *itertools.chain(*end, *values, zero.known, *zero.pads)]
        yield " ".join(map(str, words))

    digits = (((1, (0,) * 4), (-6, (0,) * 3), (11, (0,) * 2), (-6, (0,))), [0])
    clamp = (((127, (0,)), (-1, (0, 1))), [1, 2])
    linear = (((1, (0,)),), [1])
    constant = (((5, ()),), [])
    for case, (bits, chosen) in enumerate([(0, [clamp]), (3, [digits]), (3, [clamp, linear]),
                                           (4, [clamp, digits, constant])]):
        size = 2**bits
        tables = [[e.of(entry(0, x, 4)) for x in range(size)],
                  [e.of(entry(1, x, 256) - 128) for x in range(max(1, size - 3))],
                  [e.of(entry(2, x, 2**16) - 2**15) for x in range(size)]]
        weights = [eq(e, bits, max(1, size - k), point(10 * k, bits)) for k in range(len(chosen))]
        yield from case_lines(case, bits, tables, weights, chosen)
    # Sums that are alike: gathered, and too few of them
    clamps, mixed, first = clamp[0], ((1, (0,)), (3, (0, 1))), linear[0]
    many = [((mixed if k % 2 else clamps), [2 * k, 2 * k + 1]) for k in range(12)]
    many += [(first, [4 * k + 1]) for k in range(6)] + [constant]
    for case, count, chosen in ((4, 24, many), (5, 4, [(clamps, [0, 1]), (clamps, [2, 3])])):
        tables = [[e.of(entry(i, x, 256) - 128) for x in range(4 - (1 if i % 3 == 2 else 0))]
                  for i in range(count)]
        weights = [eq(e, 2, max(1, 4 - k % 4), point(10 * k, 2)) for k in range(len(chosen))]
        yield from case_lines(case, 2, tables, weights, chosen)


def text():
    lines = ["# Made by proof_forms.py."]
    for degree in (2, 3):
        lines += form_lines(degree)
        lines += sumcheck_lines(degree)
    return "\n".join(lines) + "\n"


def main():
    if sys.argv[1:2] == ["--check"]:
        with open(sys.argv[2], encoding="ascii") as file:
            sys.exit(file.read() != text())
    sys.stdout.write(text())


if __name__ == "__main__":
    main()
