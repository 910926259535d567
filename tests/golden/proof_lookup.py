#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes proof_lookup.txt: lookups of docs/proof.md, section 3, proved and verified.

An evaluation of its own, written from that text: a prover that adds fractions and folds tables one
entry at a time, and a verifier whose two claims are compared with sums over the whole vector. It
never calls the library; tests/unit/test_lookup.c holds the library against its answers.

Usage: proof_lookup.py >proof_lookup.txt
       proof_lookup.py --check FILE      status 1 if FILE is not what this program writes
"""
import itertools

from proof_forms import Affine, Extension, multiplied, packed
from proof_stream import Writer, main, number

CASES = [
    # bits, limbs of each size, the first count
    (0, {}, 1),
    (2, {2: 2}, 2),
    (3, {4: 3}, 4),
    (5, {2: 5, 4: 1, 8: 7}, 14),
    (5, {3: 6, 5: 2}, 9),
    (6, {32: 20}, 25),
    (13, {8: 100, 16: 3000, 1024: 1500}, 5000),
    (13, {2: 10}, 20),
    (13, {1: 7, 1025: 3000, 1026: 2000}, 5007),
]


class Lookup:
    def __init__(self, bits, limbs, first):
        """regions: (size, begin, end, first count) of the classes that have limbs."""
        self.bits, self.regions, at, count = bits, [], 0, first
        for size, n in sorted(limbs.items()):
            self.regions.append((size, at, at + n, count))
            at, count = at + n, count + size
        self.limbs, self.first, self.end = at, first, count


def vector(lookup):
    """Noise, in which limbs and counts are set."""
    f = [(x * 2654435761 + 12345) % 2**31 for x in range(2**lookup.bits)]
    for size, begin, end, count in lookup.regions:
        for x in range(begin, end):
            f[x] = ((x + 3) * 2654435761 % 2**32) * size >> 32
        for v in range(size):
            f[count + v] = f[begin:end].count(v)
    return f


# ---- the fractions ---------------------------------------------------------------------------


def fractions(e, lookup, f, alpha, gamma):
    """p and q of every entry, in the order of the vector."""
    leaves = [(e.of(0), e.of(1))] * len(f)
    for size, begin, end, count in lookup.regions:
        a = e.sub(alpha, e.mul(gamma, e.of(size)))
        for x in range(begin, end):
            leaves[x] = (e.of(1), e.sub(a, e.of(f[x])))
        for v in range(size):
            leaves[count + v] = (e.of(-f[count + v]), e.sub(a, e.of(v)))
    return leaves


def rotated(leaves, n):
    t = min(n, 12)
    return [leaves[i * 2**t + j] for j in range(2**t) for i in range(2 ** (n - t))]


def layers(e, leaves, n):
    """layer[k]: the lists p and q of layer k."""
    layer = [None] * n + [tuple(map(list, zip(*leaves)))]
    for k in reversed(range(n)):
        p, q = layer[k + 1]
        half = 2**k
        layer[k] = ([e.add(e.mul(p[y], q[half + y]), e.mul(p[half + y], q[y])) for y in range(half)],
                    [e.mul(q[y], q[half + y]) for y in range(half)])
    return layer


# ---- the prover ------------------------------------------------------------------------------


def eq_table(e, z):
    table = [e.of(1)]
    for z_k in z:
        table = list(itertools.chain(*((e.sub(w, e.mul(w, z_k)), e.mul(w, z_k)) for w in table)))
    return table


def fold(e, table, r):
    half = len(table) // 2
    return [e.add(a, e.mul(r, e.sub(b, a))) for a, b in zip(table[:half], table[half:])]


def ext(w, e):
    return w.elements(e.degree)


def prove(e, lookup, f):
    """The bytes, the point of the vector and the two sums that the proof claims."""
    w, n = Writer("test"), lookup.bits
    both = w.elements(2 * e.degree)
    alpha, gamma = both[:e.degree], both[e.degree:]
    layer = layers(e, rotated(fractions(e, lookup, f, alpha, gamma), n), n)
    assert layer[0][0][0] == e.of(0)
    w.put("product", packed([layer[0][1][0]]))
    claim_p, claim_q, z = e.of(0), layer[0][1][0], []
    for k in range(n):
        lam, half, s = ext(w, e), 2**k, []
        p, q = layer[k + 1]
        rows = [p[:half], p[half:], q[:half], q[half:]]
        running = e.add(claim_p, e.mul(lam, claim_q))

        def g(p0, p1, q0, q1):
            return e.add(e.mul(p0, q1), e.mul(p1, q0), e.mul(lam, q0, q1))

        for i in range(k):
            weights, half = eq_table(e, z[i + 1:]), half // 2
            h = [e.of(0)] * 3  # the values at 0, 1 and 2
            for x, weight in enumerate(weights):
                low, high = [r[x] for r in rows], [r[half + x] for r in rows]
                third = [e.sub(e.add(b, b), a) for a, b in zip(low, high)]
                h = [e.add(h_j, e.mul(weight, g(*v))) for h_j, v in zip(h, (low, high, third))]
            # h(2) - 2 h(1) + h(0) = 2 h_2
            two = e.add(e.sub(h[2], e.add(h[1], h[1])), h[0])
            h_2 = e.mul(two, e.of((2**64 - 2**32 + 2) // 2))
            h_1 = e.sub(e.sub(h[1], h[0]), h_2)
            assert running == e.add(h[0], e.mul(z[i], e.add(h_1, h_2)))
            w.put("round", packed([h_1, h_2]))
            s.append(ext(w, e))
            running = e.add(h[0], e.mul(s[-1], e.add(h_1, e.mul(s[-1], h_2))))
            rows = [fold(e, r, s[-1]) for r in rows]
        end = [r[0] for r in rows]
        assert running == g(*end)
        w.put("values", packed(end))
        mu = ext(w, e)
        claim_p, claim_q = fold(e, end[:2], mu)[0], fold(e, end[2:], mu)[0]
        z = [mu] + s
    t = min(n, 12)
    point = z[t:] + z[:t]
    return w.proof, point, claims(e, lookup, alpha, gamma, point, claim_p, claim_q)


# ---- a hidden one (section 7) ------------------------------------------------------------------


def inverted(e, x):
    """1 / x, by the order of the group"""
    result, n = e.of(1), (2**64 - 2**32 + 1) ** e.degree - 2
    while n:
        result = e.mul(result, x) if n & 1 else result
        x, n = e.mul(x, x), n >> 1
    return result


def hidden(e, lookup, f, pads):
    """The bytes, the point, and as affine values what has to be 0, and the two sums that it claims."""
    w, n, one = Writer("test"), lookup.bits, e.of(1)
    taken = 0

    def take(count):
        nonlocal taken
        taken += count
        return range(taken - count, taken)

    def known(x):
        return Affine(e, x, [e.of(0)] * len(pads))

    def unit(k, factor):
        return Affine(e, e.of(0), [e.of(factor if i == k else 0) for i in range(len(pads))])

    def send(tag, values):
        """Values with pads, as others know them"""
        numbers = take(len(values))
        sent = [e.add(x, pads[k]) for x, k in zip(values, numbers)]
        w.put(tag, packed(sent))
        return [known(x).add(one, unit(k, -1)) for x, k in zip(sent, numbers)]

    def line(u, products):
        """Sum of s^i H_i, the points, and what they say of u; products: lists of pairs of factors"""
        m = pads[taken + 2:taken + 2 + len(u)]
        h = [e.of(0)] * 3
        for scale, a, b in products:
            product = multiplied(e, [u[a], m[a]], [u[b], m[b]])
            h = [e.add(x, e.mul(scale, y)) for x, y in zip(h, product)]
        coefficients = send("line", h[1:])
        s, numbers = ext(w, e), take(len(u))
        points = [e.add(x, e.mul(s, y)) for x, y in zip(u, m)]
        w.put("values", packed(points))
        total = known(e.of(0)).add(s, coefficients[0]).add(e.mul(s, s), coefficients[1])
        minus = e.sub(e.of(0), s)
        return total, points, [known(x).add(minus, unit(k, 1)) for x, k in zip(points, numbers)]

    both = w.elements(2 * e.degree)
    alpha, gamma = both[:e.degree], both[e.degree:]
    layer = layers(e, rotated(fractions(e, lookup, f, alpha, gamma), n), n)
    q_0 = layer[0][1][0]
    inverse = inverted(e, q_0)
    sent = send("product", [q_0, inverse])
    total, points, values = line([q_0, inverse], [(one, 0, 1)])
    minus = e.of(-1)
    zeros = [total.add(one, known(one)).add(minus, known(e.mul(*points)))]
    zeros += [x.add(minus, u) for x, u in zip(sent, values)]
    claim_p, claim_q, z, true = known(e.of(0)), sent[0], [], (e.of(0), q_0)
    for k in range(n):
        lam, half, s = ext(w, e), 2**k, []
        p, q = layer[k + 1]
        rows = [p[:half], p[half:], q[:half], q[half:]]
        running, really = claim_p.add(lam, claim_q), e.add(true[0], e.mul(lam, true[1]))

        def g(p0, p1, q0, q1):
            return e.add(e.mul(p0, q1), e.mul(p1, q0), e.mul(lam, q0, q1))

        for i in range(k):
            weights, half = eq_table(e, z[i + 1:]), half // 2
            h = [e.of(0)] * 3  # the values at 0, 1 and 2
            for x, weight in enumerate(weights):
                low, high = [r[x] for r in rows], [r[half + x] for r in rows]
                third = [e.sub(e.add(b, b), a) for a, b in zip(low, high)]
                h = [e.add(h_j, e.mul(weight, g(*v))) for h_j, v in zip(h, (low, high, third))]
            two = e.add(e.sub(h[2], e.add(h[1], h[1])), h[0])
            h_2 = e.mul(two, e.of((2**64 - 2**32 + 2) // 2))
            h_1 = e.sub(e.sub(h[1], h[0]), h_2)
            assert really == e.add(h[0], e.mul(z[i], e.add(h_1, h_2)))
            first, second = send("round", [h_1, h_2])
            s.append(ext(w, e))
            really = e.add(h[0], e.mul(s[-1], e.add(h_1, e.mul(s[-1], h_2))))
            running = running.add(e.sub(s[-1], z[i]), first)
            running = running.add(e.sub(e.mul(s[-1], s[-1]), z[i]), second)
            rows = [fold(e, r, s[-1]) for r in rows]
        end = [r[0] for r in rows]
        total, points, u = line(end, [(one, 0, 3), (one, 1, 2), (lam, 2, 3)])
        zeros.append(running.add(one, total).add(minus, known(g(*points))))
        mu = ext(w, e)
        rest = e.sub(one, mu)
        true = fold(e, end[:2], mu)[0], fold(e, end[2:], mu)[0]
        claim_p = known(e.of(0)).add(rest, u[0]).add(mu, u[1])
        claim_q = known(e.of(0)).add(rest, u[2]).add(mu, u[3])
        z = [mu] + s
    t = min(n, 12)
    point = z[t:] + z[:t]
    limbs, counts = claims(e, lookup, alpha, gamma, point, e.of(0), e.of(0))
    assert taken == len(pads)
    assert all(zero.value(pads) == e.of(0) for zero in zeros)
    return w.proof, point, zeros, [known(limbs).add(minus, claim_q), known(counts).add(minus, claim_p)]


# ---- the end ---------------------------------------------------------------------------------


def below(e, r, a):
    """I(a) and J(a)."""
    n, one, index, prefix = len(r), e.of(0), e.of(0), e.of(1)
    place = [e.of(2 ** (n - 1 - k)) for k in range(n)]
    if a == 2**n:
        return e.of(1), e.add(e.of(0), *(e.mul(r_k, b) for r_k, b in zip(r, place)))
    for i in range(n):
        zero = e.mul(prefix, e.sub(e.of(1), r[i]))
        if a >> (n - 1 - i) & 1:
            before = e.of(a >> (n - i) << (n - i))
            v = e.add(before, *(e.mul(r[k], place[k]) for k in range(i + 1, n)))
            one, index = e.add(one, zero), e.add(index, e.mul(zero, v))
            zero = e.mul(prefix, r[i])
        prefix = zero
    return one, index


def claims(e, lookup, alpha, gamma, r, p, q):
    def between(a, b):
        return [e.sub(y, x) for x, y in zip(below(e, r, a), below(e, r, b))]

    real = e.add(between(0, lookup.limbs)[0], between(lookup.first, lookup.end)[0])
    limbs = e.sub(e.sub(e.of(1), real), q)
    for size, begin, end, count in lookup.regions:
        a = e.sub(alpha, e.mul(gamma, e.of(size)))
        one, index = between(count, count + size)
        limbs = e.add(limbs, e.mul(a, between(begin, end)[0]),
                      e.sub(e.mul(e.add(a, e.of(count)), one), index))
    return limbs, e.sub(between(0, lookup.limbs)[0], p)


# ---- the verifier ----------------------------------------------------------------------------


def verify(e, lookup, proof):
    w, n, at = Writer("test"), lookup.bits, 0

    def get(tag, count):
        nonlocal at
        data = proof[at:at + 8 * e.degree * count]
        at += len(data)
        w.put(tag, data)
        words = [number(data[i:i + 8]) for i in range(0, len(data), 8)]
        return [words[i:i + e.degree] for i in range(0, len(words), e.degree)]

    both = w.elements(2 * e.degree)
    alpha, gamma = both[:e.degree], both[e.degree:]
    (q,), p, z = get("product", 1), e.of(0), []
    assert q != e.of(0)
    for k in range(n):
        lam, s = ext(w, e), []
        c = e.add(p, e.mul(lam, q))
        for i in range(k):
            h_1, h_2 = get("round", 2)
            h_0 = e.sub(c, e.mul(z[i], e.add(h_1, h_2)))
            s.append(ext(w, e))
            c = e.add(h_0, e.mul(s[i], h_1), e.mul(s[i], s[i], h_2))
        p0, p1, q0, q1 = get("values", 4)
        assert c == e.add(e.mul(p0, q1), e.mul(p1, q0), e.mul(lam, q0, q1))
        mu = ext(w, e)
        p, q = e.add(p0, e.mul(mu, e.sub(p1, p0))), e.add(q0, e.mul(mu, e.sub(q1, q0)))
        z = [mu] + s
    assert at == len(proof)
    t = min(n, 12)
    point = z[t:] + z[:t]
    return point, claims(e, lookup, alpha, gamma, point, p, q)


def hidden_line(e, case, lookup, f):
    d = e.degree
    pads = [[(1001 + i * d + c) * 0x9E3779B97F4A7C15 % 2**64 % (2**64 - 2**32 + 1) for c in range(d)]
            for i in range(6 + lookup.bits * (lookup.bits + 5))]
    proof, point, zeros, ends = hidden(e, lookup, f, pads)
    weights = eq_table(e, point)
    for end, a, b in zip(ends, (0, lookup.first), (lookup.limbs, lookup.end)):
        assert end.value(pads) == e.add(e.of(0), *(e.mul(weights[x], e.of(f[x]))
                                                   for x in range(a, b)))
    powers = list(itertools.accumulate(pads[1:], lambda x, _: e.mul(x, pads[0]), initial=e.of(1)))
    words = ["hidden", d, case, proof.hex(), *itertools.chain(*point)]
    for value in zeros + ends:
        words += [*value.known, *e.add(e.of(0), *map(e.mul, value.pads, powers))]
    return " ".join(map(str, words))


def lines():
    yield "# Made by proof_lookup.py: lookup DEGREE CASE proof point... limbs counts; an element is"
    yield "# its coordinates, a proof is hexadecimal bytes."
    yield "# hidden DEGREE CASE proof point... (known factors)...: what has to be 0, then limbs and counts;"
    yield "# factors: the sum of w^i times the factor of pad i, where w is pad 0."
    for degree in (2, 3):
        e = Extension(degree)
        for case, shape in enumerate(CASES):
            lookup = Lookup(*shape)
            f = vector(lookup)
            proof, point, ends = prove(e, lookup, f)
            assert len(proof) == 8 * degree * (1 + lookup.bits * (lookup.bits + 3))
            assert verify(e, lookup, proof) == (point, ends)
            weights = eq_table(e, point)
            for end, a, b in zip(ends, (0, lookup.first), (lookup.limbs, lookup.end)):
                assert end == e.add(e.of(0), *(e.mul(weights[x], e.of(f[x])) for x in range(a, b)))
            words = ["lookup", degree, case, proof.hex(), *itertools.chain(*point, *ends)]
            yield " ".join(map(str, words))
            if lookup.bits < 7:
                yield hidden_line(e, case, lookup, f)


if __name__ == "__main__":
    main(lines(), __doc__)
