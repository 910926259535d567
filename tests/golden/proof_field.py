#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes proof_field.txt: the arithmetic of docs/proof.md, sections field to transforms.

An evaluation of its own with Python integers and remainders. It never calls the library;
tests/unit/test_field.c, test_ext.c and test_ntt.c hold the library against its answers.

Lines (elements of F are 16 hexadecimal digits, those of the extension d of them, c0 first):
    add|sub|mul a b c          c = a + b, a - b, a b
    inv a c                    c = 1/a, or 0
    i64 n c                    c = n modulo p
    root k c                   the generator of the subgroup of order 2^k
    ext D mul a.. b.. c..      in F[X]/(X^2 - 7) or F[X]/(X^3 - 2)
    ext D inv a.. c..
    ext D pow n a.. c..
    ntt k ell digest           of 2^k values of the polynomial with coefficients x_0 .. x_(ell-1)
    intt k digest              of 2^k coefficients of the polynomial with values x_0 .. x_(L-1)
The sequence is x_0 = 1, x_(i+1) = 6364136223846793005 x_i + 1442695040888963407 modulo p. A digest
is BLAKE2b with 32 bytes of all results, 8 bytes each, little end first.

Usage: proof_field.py >proof_field.txt
       proof_field.py --check FILE      status 1 if FILE is not what this program writes
"""
import hashlib
import sys

P = 2**64 - 2**32 + 1
NONRESIDUE = {2: 7, 3: 2}
EDGES = [0, 1, 2, 7, 2**31, 2**32 - 2, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1, 2**63, 2**63 + 1,
         (P - 1) // 2, (P + 1) // 2, P - 2**32, P - 2**32 + 1, P - 7, P - 2, P - 1]
SIGNED = [0, 1, -1, 2**31, -2**31, 2**32, -2**32, 2**63 - 1, -2**63 + 1, -2**63]


def sequence(n):
    x, out = 1, []
    for _ in range(n):
        out.append(x)
        x = (6364136223846793005 * x + 1442695040888963407) % P
    return out


def inverse(a):
    """By Euclid's algorithm."""
    if a == 0:
        return 0
    r, s, u, v = P, a, 0, 1
    while s:
        q = r // s
        r, s, u, v = s, r - q * s, v, u - q * v
    return u % P


def root(k):
    return pow(7, (P - 1) >> k, P)


# ---- the extension: polynomials, lowest coefficient first ----


def ext_mul(a, b):
    d = len(a)
    c = [0] * (2 * d - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            c[i + j] += x * y
    for i in range(2 * d - 2, d - 1, -1):
        c[i - d] += NONRESIDUE[d] * c[i]
    return [x % P for x in c[:d]]


def ext_pow(a, n):
    r = [1] + [0] * (len(a) - 1)
    for bit in bin(n)[2:]:
        r = ext_mul(r, r)
        if bit == "1":
            r = ext_mul(r, a)
    return r


def ext_inverse(a):
    """The group has p^d - 1 elements; 0 goes to 0."""
    return ext_pow(a, P**len(a) - 2)


def ext_samples(d, noise):
    unit = [[int(i == k) for i in range(d)] for k in range(d)]
    few = [0, 1, 2**32 - 1, 2**32, P - 1]
    edge = [[x] * d for x in few] + unit + [[P - x for x in u] for u in unit]
    return [[x % P for x in a] for a in edge] + [noise[i * d:i * d + d] for i in range(6)]


# ---- transforms, from their definition and from halves ----


def values(x, w):
    n = len(x)
    if n == 1:
        return x
    even, odd = values(x[::2], w * w % P), values(x[1::2], w * w % P)
    out, power = [0] * n, 1
    for i in range(n // 2):
        out[i] = (even[i] + power * odd[i]) % P
        out[i + n // 2] = (even[i] - power * odd[i]) % P
        power = power * w % P
    return out


def values_by_definition(x, w):
    return [sum(c * pow(w, i * j, P) for i, c in enumerate(x)) % P for j in range(len(x))]


def digest(x):
    data = b"".join(v.to_bytes(8, "little") for v in x)
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def transform_lines(k):
    n = 1 << k
    for ell in sorted({n, n // 2, n // 4, n // 8, n - n // 4 + 1, 1} - {0}):
        if ell > n:
            continue
        x = sequence(ell) + [0] * (n - ell)
        y = values(x, root(k))
        if k <= 6:
            assert y == values_by_definition(x, root(k))
        yield "ntt", k, ell, digest(y)
    y = sequence(n)
    x = [v * inverse(n) % P for v in values(y, inverse(root(k)))]
    assert values(x, root(k)) == y
    yield "intt", k, digest(x)


# ---- all lines ----


def words(x):
    return " ".join("%016x" % v for v in x)


def lines():
    noise = sequence(101)[1:]
    pairs = [(a, b) for a in EDGES for b in EDGES] + list(zip(noise[:32], noise[32:64]))
    for a, b in pairs:
        yield "add", words([a, b, (a + b) % P])
        yield "sub", words([a, b, (a - b) % P])
        yield "mul", words([a, b, a * b % P])
    for a in EDGES + noise[:16]:
        yield "inv", words([a, inverse(a)])
    for n in SIGNED:
        yield "i64", n, words([n % P])
    for k in range(33):
        yield "root", k, words([root(k)])
    for d in (2, 3):
        samples = ext_samples(d, noise)
        for a in samples:
            for b in samples:
                yield "ext", d, "mul", words(a + b + ext_mul(a, b))
            yield "ext", d, "inv", words(a + ext_inverse(a))
            for n in (0, 1, 2, 3, P - 1, P, 2**64 - 1):
                yield "ext", d, "pow", n, words(a + ext_pow(a, n))
    for k in range(13):
        yield from transform_lines(k)


def main():
    text = "# Made by proof_field.py, which says what the lines are.\n"
    text += "".join(" ".join(map(str, line)) + "\n" for line in lines())
    if sys.argv[1:2] == ["--check"]:
        with open(sys.argv[2], encoding="ascii") as file:
            return 0 if file.read() == text else "%s is not what this program writes" % sys.argv[2]
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
