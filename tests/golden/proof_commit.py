#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes proof_commit.txt: commitments of docs/proof.md and their openings, and verifies them.

An evaluation of its own, written from that text: codewords are values of polynomials, one power
after the other, forms are tables made entry by entry, and the verifier sums over all columns. It
never calls the library; tests/unit/test_commit.c holds the library against its answers.

Usage: proof_commit.py >proof_commit.txt
       proof_commit.py --check FILE      status 1 if FILE is not what this program writes
"""
from proof_forms import Extension, P, eq, interpolated, listed, packed, power, rows, shift, triangle
from proof_stream import Transcript, Writer, h, le, levels, main, number, opening

# ---- codes -------------------------------------------------------------------------------------


class Code:
    """Of the vectors; `further` are the codes of further layers, which have none. Masks hide."""

    def __init__(self, log_columns, log_length, queries, work, further=(), masks=0):
        self.log_columns, self.log_length = log_columns, log_length
        self.queries, self.work, self.further, self.masks = queries, work, further, masks
        self.columns, self.length = 2**log_columns, 2**log_length
        self.root = pow(7, (P - 1) >> log_length, P)

    def words(self):
        return [self.log_columns, self.log_length, self.queries, self.work]


def value(coefficients, x):
    total = 0
    for c in reversed(coefficients):
        total = (total * x + c) % P
    return total


class Matrix:
    """Rows of elements of F under a root."""

    def __init__(self, code, rows):
        points = [pow(code.root, j, P) for j in range(code.length)]
        self.leaves = [[value(row, x) for row in rows] for x in points]
        self.tree = levels([h("leaf", column_bytes(leaf)) for leaf in self.leaves])
        self.root = self.tree[-1][0]


def layer_rows(e, code, entries):
    """Elements of E as rows over F, `degree` for each row."""
    return [[x[k] for x in entries[at:at + code.columns]]
            for at in range(0, len(entries), code.columns) for k in range(e.degree)]


class Vector(Matrix):
    """2^bits integers, as many as are there and zeros. A hidden one has a seed, and the first one
    of an opening so many pads and a blind row of `blind` coordinates."""

    def __init__(self, code, bits, entries, seed=None, pads=0, blind=0):
        self.bits, self.log_rows = bits, bits - code.log_columns
        self.rows = max(2 if seed else 1, -(-len(entries) // code.columns))  # in use
        self.entries = [x % P for x in entries] + [0] * (2**bits - len(entries))
        self.coefficients = [self.entries[r * code.columns:(r + 1) * code.columns]
                             for r in range(self.rows)]
        self.pads = fill(seed, 2, 0, pads)
        for r, row in enumerate(self.coefficients):
            row += fill(seed, 0, r, code.masks)
        self.coefficients[-1] += self.pads
        self.blind = [fill(seed, 1, k, code.columns + code.masks + pads) for k in range(blind)]
        super().__init__(code, self.coefficients + self.blind)


def fill(seed, use, which, n):
    """The first n elements that a seed expands to"""
    words, block = [], 0
    while len(words) < n:
        data = h("mask", seed + le(use, 4) + le(which, 8) + le(block, 8))
        words += [x for x in (number(data[i:i + 8]) for i in range(0, 64, 8)) if x < P]
        block += 1
    return words[:n]


def inverse(e, a):
    """1/a in E"""
    if e.degree == 2:
        norm, other = a[0] * a[0] - 7 * a[1] * a[1], [a[0], -a[1]]
    else:
        other = [a[0] * a[0] - 2 * a[1] * a[2], 2 * a[2] * a[2] - a[0] * a[1], a[1] * a[1] - a[0] * a[2]]
        norm = a[0] * other[0] + 2 * (a[1] * other[2] + a[2] * other[1])
    return [x * pow(norm, P - 2, P) % P for x in other]


def column_bytes(column):
    return b"".join(le(x, 8) for x in column)


# ---- what both sides do ------------------------------------------------------------------------


def stack(log_rows):
    """First rows, and the log of the height."""
    first, end = [], 0
    for k in log_rows:
        first.append(-(-end // 2**k) * 2**k)
        end = first[-1] + 2**k
    return first, (end - 1).bit_length()


def challenge(e, transcript):
    return transcript.elements(e.degree)


def absorb_statement(transcript, code, vectors, claims, pads):
    """vectors: (log_rows, rows, root); claims: (vector, block, table of the form, value); that of a
    further term is None."""
    transcript.absorb("code", column_bytes(code.words() + [len(vectors), len(claims)]))
    for layer in code.further:
        transcript.absorb("layer", column_bytes(layer.words()))
    if code.masks:
        transcript.absorb("masks", column_bytes([code.masks, pads]))
    for log_rows, in_use, root in vectors:
        transcript.absorb("vector", le(log_rows, 8) + le(in_use, 8) + root)
    data = b""
    for vector, block, _, v in claims:
        data += le(vector + (2**63 if v is None else 0), 8) + le(block, 8)
        data += b"" if v is None else packed([v])
    transcript.absorb("claims", data)


def joined(e, claims, join):
    values = [v for *_, v in claims if v is not None]
    return e.add(e.of(0), *(e.mul(e.power(join, k), v) for k, v in enumerate(values)))


def joined_weights(e, code, log_rows, claims, join, width):
    """Of the stack, whose rows have so many entries"""
    first, height = stack(log_rows)
    weights = [e.of(0) for _ in range(2**height * width)]
    k = -1
    for vector, block, table, v in claims:
        k += v is not None
        scale, at = e.power(join, k), first[vector] * code.columns + block * len(table)
        for x, w in enumerate(table):
            if any(w):
                row, column = divmod(at + x, code.columns)
                to = row * width + column
                weights[to] = e.add(weights[to], e.mul(scale, w))
    return weights


class Pads:
    """The claim that no row but one has pads, and what pads make of the claims"""

    def __init__(self, e, transcript, rounds, last):
        self.e, self.rounds, self.last = e, rounds, last
        words = transcript.elements(e.degree * (rounds + 2))
        *self.z, self.power, self.factor = [words[i:i + e.degree]
                                            for i in range(0, len(words), e.degree)]
        self.off = [e.of(0)] * (2 * rounds)  # s of the text

    def place(self, pad):
        """X^k"""
        return [int(i == pad % self.e.degree) for i in range(self.e.degree)]

    def add_weights(self, weights, width, at):
        """Of all rows, whose pads begin at an entry"""
        e = self.e
        for r in range(2**self.rounds):
            scale = e.mul(self.factor, e.eq(self.z, r))
            for pad in range(2 * e.degree * self.rounds if r != self.last else 0):
                weights[r * width + at + pad] = e.mul(
                    e.mul(scale, e.power(self.power, pad // e.degree)), self.place(pad))

    def round(self, i, r):
        """A challenge: the values of the polynomials that are 1 at 0, at 1 and at 2"""
        e = self.e
        at = [interpolated(e, [e.of(int(x == k)) for x in range(3)], r) for k in range(3)]
        self.off[:2 * i] = [e.mul(at[1], s) for s in self.off[:2 * i]]
        self.off[2 * i:2 * i + 2] = e.sub(at[1], at[0]), e.sub(e.of(0), at[2])

    def to_weights(self, weights, at, point):
        """Those of the folded row, whose pads begin at an entry"""
        e = self.e
        row = e.eq(point, self.last)
        assert any(row), "no weight for the pads"
        for pad in range(2 * e.degree * self.rounds):
            scale = e.mul(self.off[pad // e.degree], inverse(e, row))
            weights[at + pad] = e.sub(weights[at + pad], e.mul(scale, self.place(pad)))


def fold(e, table, r):
    half = len(table) // 2
    return [e.add(a, e.mul(r, e.sub(b, a))) for a, b in zip(table[:half], table[half:])]


def dot(e, a, b):
    return e.add(e.of(0), *(e.mul(x, y) for x, y in zip(a, b) if any(x) and any(y)))


# ---- the prover --------------------------------------------------------------------------------


def prove_rounds(e, out, entries, weights, point, n, pads=None):
    """pads: of the class, and the elements of E that they are"""
    for i in range(n):
        q = [dot(e, fold(e, entries, e.of(x)), fold(e, weights, e.of(x))) for x in (0, 2)]
        if pads:
            q = [e.add(x, pads[1][2 * i + k]) for k, x in enumerate(q)]
        out.put("round", packed(q))
        point.append(challenge(e, out))
        if pads:
            pads[0].round(i, point[-1])
        entries, weights = fold(e, entries, point[-1]), fold(e, weights, point[-1])
    return entries, weights


def show_columns(out, code, matrices):
    out.work(code.work)
    positions = sorted(set(out.indices(code.queries, code.log_length)))
    for m in matrices:
        out.put("columns", b"".join(column_bytes(m.leaves[j]) for j in positions))
        out.put("path", b"".join(opening(m.tree, positions)))
    return positions


def with_powers(e, code, weights, positions, join):
    for j, position in enumerate(positions):
        x, scale = pow(code.root, position, P), e.power(join, j + 1)
        weights = [e.add(w, e.mul(scale, e.of(pow(x, y, P)))) for y, w in enumerate(weights)]
    return weights


def padded(e, entries, columns):
    """Zeros up to whole rows; and rows of zeros, so that the number of rows is a power of two"""
    rows = -(-len(entries) // columns)
    whole = entries + [e.of(0)] * (rows * columns - len(entries))
    return whole, whole + [e.of(0)] * ((2**(rows - 1).bit_length() - rows) * columns)


def add_blind(e, out, blind, entries, weights):
    """The folded row, times a challenge, and the blind row, whose value is shown before"""
    y = [[row[i] for row in blind] for i in range(len(entries))]
    out.put("blind", packed([dot(e, y, weights)]))
    scale = challenge(e, out)
    return [e.add(b, e.mul(scale, x)) for b, x in zip(y, entries)]


def prove(e, code, vectors, claims):
    out = Writer("test")
    log_rows = [v.log_rows for v in vectors]
    n_pads = len(vectors[0].pads)
    absorb_statement(out, code, [(v.log_rows, v.rows, v.root) for v in vectors], claims, n_pads)
    first, height = stack(log_rows)
    at, width = code.columns + code.masks, code.columns + code.masks + n_pads
    pads = Pads(e, out, height, vectors[0].rows - 1) if code.masks else None
    join = challenge(e, out)
    weights = joined_weights(e, code, log_rows, claims, join, width)
    entries = [e.of(0) for _ in weights]
    for begin, v in zip(first, vectors):
        for r, row in enumerate(v.coefficients):
            for x, entry in enumerate(row):
                entries[(begin + r) * width + x] = e.of(entry)
    if pads:
        pads.add_weights(weights, width, at)
        words, point = vectors[0].pads, []
        pairs = [words[i:i + e.degree] for i in range(0, n_pads, e.degree)]
        entries, weights = prove_rounds(e, out, entries, weights, point, height, (pads, pairs))
        pads.to_weights(weights, at, point)
        entries = add_blind(e, out, vectors[0].blind, entries, weights)
    else:
        entries, weights = prove_rounds(e, out, entries, weights, [], height)
    layer, matrices = code, vectors
    for further in code.further:
        whole, padded_entries = padded(e, entries, further.columns)
        matrix = Matrix(further, layer_rows(e, further, whole))
        out.put("folded", matrix.root)
        positions = show_columns(out, layer, matrices)
        weights = with_powers(e, layer, weights, positions, challenge(e, out))
        rows = len(padded_entries) // further.columns
        entries, weights = prove_rounds(e, out, padded_entries, padded(e, weights, further.columns)[1],
                                        [], rows.bit_length() - 1)
        layer, matrices = further, [matrix]
    out.put("row", packed(entries))
    if code.further:
        prove_rounds(e, out, entries, weights, [], layer.log_columns)
    show_columns(out, layer, matrices)
    return out.proof


# ---- the verifier ------------------------------------------------------------------------------


class Reader(Transcript):
    def __init__(self, kind, proof):
        super().__init__(kind)
        self.left = proof

    def get(self, tag, n):
        assert len(self.left) >= n, "the proof ends too early"
        data, self.left = self.left[:n], self.left[n:]
        self.absorb(tag, data)
        return data

    def field(self, tag, n):
        data = self.get(tag, 8 * n)
        words = [number(data[i:i + 8]) for i in range(0, 8 * n, 8)]
        assert all(x < P for x in words), "not canonical"
        return words

    def extension(self, e, tag, n):
        words = self.field(tag, e.degree * n)
        return [words[i:i + e.degree] for i in range(0, len(words), e.degree)]

    def check_work(self, bits):
        if bits:
            seed = self.seed()
            assert number(h("grind", seed + self.get("nonce", 8))[:8]) % 2**bits == 0, "work"


def check_path(reader, code, root, positions, leaves):
    """Every level as a table of known digests."""
    known, size = dict(zip(positions, leaves)), code.length
    missing = 0
    for k in range(code.log_length):
        above = {i // 2 for i in positions_at(positions, k)}
        missing += 2 * len(above) - len(positions_at(positions, k))
    path = reader.get("path", 32 * missing)
    while size > 1:
        for i in sorted(known):
            if i ^ 1 not in known:
                known[i ^ 1], path = path[:32], path[32:]
        known = {i // 2: h("node", known[i] + known[i + 1]) for i in known if i % 2 == 0}
        size //= 2
    assert known[0] == root and not path, "path"


def positions_at(positions, level):
    return {j >> level for j in positions}


def read_rounds(e, reader, claim, weights, n, pads=None):
    """The claim and the weights that are left, and the point."""
    point = []
    for i in range(n):
        q0, q2 = reader.extension(e, "round", 2)
        point.append(challenge(e, reader))
        if pads:
            pads.round(i, point[-1])
        claim = interpolated(e, [q0, e.sub(claim, q0), q2], point[-1])
        weights = fold(e, weights, point[-1])
    return claim, weights, point


def read_columns(e, reader, code, matrices, point, degree, scale=None):
    """matrices: (first row, rows, root), of entries of `degree` elements. Positions and folds. With
    a scale, by which the folds are multiplied, a blind element follows the first matrix's rows."""
    reader.check_work(code.work)
    positions = sorted(set(reader.indices(code.queries, code.log_length)))
    folds = [e.of(0) for _ in positions]
    for m, (at, rows, root) in enumerate(matrices):
        size = rows * degree + (e.degree if scale and m == 0 else 0)
        words = reader.field("columns", len(positions) * size)
        columns = [words[i:i + size] for i in range(0, len(words), size)]
        for i, column in enumerate(columns):
            entries = [column[k:k + degree] + [0] * (e.degree - degree)
                       for k in range(0, rows * degree, degree)]
            total = e.add(e.of(0), *(e.mul(x, e.eq(point, at + r)) for r, x in enumerate(entries)))
            if scale:
                total = e.add(e.mul(scale, total), column[rows:] if m == 0 else e.of(0))
            folds[i] = e.add(folds[i], total)
        check_path(reader, code, root, positions,
                   [h("leaf", column_bytes(column)) for column in columns])
    return positions, folds


def verify(e, code, vectors, claims, proof):
    """vectors: (log_rows, rows, root). Fails by an assertion."""
    reader = Reader("test", proof)
    log_rows = [k for k, *_ in vectors]
    first, height = stack(log_rows)
    n_pads = 2 * e.degree * height if code.masks else 0
    at, width = code.columns + code.masks, code.columns + code.masks + n_pads
    absorb_statement(reader, code, vectors, claims, n_pads)
    pads = Pads(e, reader, height, vectors[0][1] - 1) if code.masks else None
    join, scale = challenge(e, reader), None
    weights = joined_weights(e, code, log_rows, claims, join, width)
    if pads:
        assert code.queries < code.masks and width < code.length, "masks"
        assert all(in_use >= 2 for _, in_use, _ in vectors), "rows"
        pads.add_weights(weights, width, at)
    claim, weights, point = read_rounds(e, reader, joined(e, claims, join), weights, height, pads)
    if pads:
        pads.to_weights(weights, at, point)
        blind, = reader.extension(e, "blind", 1)
        scale = challenge(e, reader)
        claim = e.add(blind, e.mul(scale, claim))
    matrices = [(at, in_use, root) for at, (_, in_use, root) in zip(first, vectors)]
    layer, degree = code, 1
    for further in code.further:
        root = reader.get("folded", 32)
        positions, folds = read_columns(e, reader, layer, matrices, point, degree, scale)
        join, scale = challenge(e, reader), None
        weights = with_powers(e, layer, weights, positions, join)
        claim = e.add(claim, *(e.mul(e.power(join, j + 1), y) for j, y in enumerate(folds)))
        whole, weights = padded(e, weights, further.columns)
        rounds = (len(weights) // further.columns).bit_length() - 1
        claim, weights, point = read_rounds(e, reader, claim, weights, rounds)
        matrices = [(0, len(whole) // further.columns, root)]
        layer, degree = further, e.degree
    row = reader.extension(e, "row", len(weights))
    left = row
    if code.further:
        claim, weights, last = read_rounds(e, reader, claim, weights, layer.log_columns)
        for r in last:
            left = fold(e, left, r)
    assert dot(e, left, weights) == claim, "claims"
    positions, folds = read_columns(e, reader, layer, matrices, point, degree, scale)
    for j, folded in zip(positions, folds):
        x = pow(layer.root, j, P)
        assert folded == [value([c[k] for c in row], x) for k in range(e.degree)], "columns"
    assert not reader.left, "bytes are left"


# ---- what is written ---------------------------------------------------------------------------


def entry(k, x, span):
    return ((k + 3) * (x + 1) * 2654435761 % 2**32 >> 16) % span


def point(e, k, n):
    return [[(k + 1 + i * e.degree + c) * 0x9E3779B97F4A7C15 % 2**64 % P for c in range(e.degree)]
            for i in range(n)]


def limbs(k, bits):
    """Bytes; 16 bits, the last three missing; negative numbers of 32 bits, half of them missing."""
    n = 2**bits // 2 if k % 3 == 2 else 2**bits - (3 if k % 3 == 1 else 0)
    if k % 3 == 0:
        return [entry(k, x, 256) for x in range(n)]
    if k % 3 == 1:
        return [entry(k, x, 2**16) for x in range(n)]
    return [-entry(k, x, 2**16) * 16384 - x for x in range(n)]


def form(e, kind, k, bits):
    """Form k of a case."""
    z = point(e, 100 * k, bits)
    if kind == "eq":
        return eq(e, bits, 2**bits - 3, z)
    if kind == "shift":
        return shift(e, bits, 2**bits, z, 2**bits, 2)
    if kind == "rows":
        return rows(e, bits, [entry(k, x, 256) for x in range(2**bits - 1)], z)
    if kind == "list":
        return listed(e, bits, [entry(k, x, 2**bits) for x in range(5)], point(e, 100 * k, 3))
    if kind == "triangle":
        high = bits - bits // 2
        return triangle(e, high, bits // 2, 2**high, z[:high], z[high:])
    return power(e, bits, 2**bits - 3, z[0])


CASES = [
    # code, bits of the vectors, (vector, kind of form, and if it is on a part: block, its bits);
    # "+" before a kind: a further term of the claim before it
    (Code(3, 4, 5, 0), [5], [(0, "eq")]),
    (Code(3, 5, 9, 6), [5, 4], [(0, "eq"), (1, "shift", 1, 3), (0, "list", 5, 2), (1, "rows")]),
    (Code(2, 4, 12, 3), [2, 5, 3], [(2, "power", 1, 2), (1, "triangle", 1, 4), (0, "rows", 1, 1), (1, "rows")]),
    (Code(0, 1, 2, 0), [2, 0], [(0, "triangle")]),
    (Code(4, 6, 7, 0), [4], []),
    (Code(8, 9, 203, 16), [11, 10], [(0, "eq"), (1, "eq", 3, 8), (0, "rows"), (1, "shift", 9, 5)]),
    (Code(2, 4, 6, 0), [3, 4], [(0, "eq"), (1, "+rows", 1, 3), (1, "power"), (0, "+shift"), (0, "+rows", 1, 1)]),
    (Code(4, 6, 9, 2, (Code(2, 4, 6, 3),)), [6, 5], [(0, "eq"), (1, "shift", 1, 4), (1, "+rows")]),
    (Code(6, 7, 20, 0, (Code(4, 6, 11, 2), Code(1, 4, 7, 0))), [7], [(0, "power"), (0, "list", 3, 5)]),
    (Code(3, 5, 8, 1, (Code(2, 3, 9, 0), Code(1, 3, 5, 1), Code(0, 2, 3, 0))), [3, 6], [(1, "triangle"), (0, "rows")]),
    (Code(2, 4, 7, 1, (Code(1, 3, 6, 0),)), [4, 3, 5], [(2, "eq"), (2, "power", 1, 4), (0, "rows"), (2, "+triangle", 3, 3)]),
    # hidden
    (Code(3, 5, 5, 2, masks=6), [4], [(0, "eq")]),
    (Code(2, 6, 9, 0, masks=20), [5, 4], [(0, "eq"), (1, "shift", 1, 3), (0, "list", 5, 2), (1, "+rows")]),
    (Code(3, 6, 7, 1, masks=8), [5, 4, 5], []),
    (Code(4, 7, 9, 2, (Code(2, 4, 6, 3),), 11), [6, 5], [(0, "power"), (1, "rows"), (1, "+eq", 3, 2)]),
    (Code(5, 7, 8, 0, (Code(4, 6, 11, 2), Code(1, 4, 7, 0)), 17), [7, 6], [(1, "triangle"), (0, "list", 3, 5)]),
]


def seed_of(k):
    """Of vector k of a case"""
    return bytes((17 * k + 3 * j + 1) % 256 for j in range(32))


def case(e, number_of_case):
    """Code, vectors, claims and proof"""
    (code, bits, kinds), degree = CASES[number_of_case], e.degree
    vectors = [Vector(code, n, limbs(k, n)) for k, n in enumerate(bits)] if not code.masks else [
        Vector(code, n, limbs(k, n), seed_of(k), *(0, 0) if k else (
            2 * degree * stack([b - code.log_columns for b in bits])[1], degree))
        for k, n in enumerate(bits)]
    claims = []
    for k, (vector, kind, *part) in enumerate(kinds):
        block, form_bits = part or (0, bits[vector])
        table = form(e, kind.lstrip("+"), k, form_bits)
        v = dot(e, table, [e.of(x) for x in vectors[vector].entries[block * len(table):]])
        claims.append((vector, block, table, v if kind[0] != "+" else None))
        if kind[0] == "+":
            first = max(i for i, c in enumerate(claims) if c[3] is not None)
            claims[first] = (*claims[first][:3], e.add(claims[first][3], v))
    return code, vectors, claims, prove(e, code, vectors, claims)


def case_lines(degree, number_of_case):
    e = Extension(degree)
    code, vectors, claims, proof = case(e, number_of_case)
    verify(e, code, [(v.log_rows, v.rows, v.root) for v in vectors], claims, proof)
    words = [degree, number_of_case, *(v.root.hex() for v in vectors)]
    words += [c for *_, v in claims for c in (e.of(0) if v is None else v)]
    shown = proof if len(proof) < 4096 else h("grind", proof)
    yield " ".join(map(str, ["open", *words, len(proof), shown.hex()]))


def lines():
    yield "# Made by proof_commit.py, where the cases are."
    yield "# open DEGREE CASE ROOTS VALUES SIZE PROOF   its grind digest if SIZE is 4096 or more"
    for degree in (2, 3):
        for k in range(len(CASES)):
            yield from case_lines(degree, k)


if __name__ == "__main__":
    main(lines(), __doc__)
