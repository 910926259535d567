#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a hidden opening tells, exactly: for given challenges all that the prover of proof_commit.py
sends is linear in the entries of the vectors and in what is random. Whoever looks learns nothing
but the claims if every change of the entries that leaves the claims as they are can be made up for
by a change of the random elements; the number of dimensions in which it cannot is what leaks. One
column of each tree that is not opened is shown as well.

Usage: hidden_view.py      status 1 if something leaks, or if nothing does where it should
"""
import random
import sys

import proof_commit
from proof_forms import Extension, P
from proof_stream import Writer, number

DEGREE = 2
LOG_COLUMNS, LOG_LENGTH, QUERIES = 1, 5, 3


class Fixed(Writer):
    """A prover's side with challenges that do not depend on what is sent."""
    seed, shown = 0, []

    def __init__(self, kind):
        super().__init__(kind)
        self.draws = random.Random(self.seed)

    def absorb(self, tag, data):
        pass

    def elements(self, n):
        return [self.draws.randrange(P) for _ in range(n)]

    def indices(self, n, bits):
        return self.draws.sample(range(2**bits), n)

    def put(self, tag, data):
        if tag != "path":
            self.shown += [number(data[i:i + 8]) for i in range(0, len(data), 8)]


def views(proofs, bits, masks, pads=True, blind=True, seed=1):
    """By variable, what is seen: of entries (with the claims' values) and of random elements.
    `proofs` openings of a vector of their own and of one that they share."""
    e, ell = Extension(DEGREE), 2**LOG_COLUMNS
    code = proof_commit.Code(LOG_COLUMNS, LOG_LENGTH, QUERIES, 0, masks=masks)
    rounds = proof_commit.stack([n - LOG_COLUMNS for n in bits])[1]
    n_pads = 2 * DEGREE * rounds
    draws = random.Random(seed)
    forms = [[[[draws.randrange(P) for _ in range(DEGREE)] for _ in range(2**n)] for n in bits]
             for _ in range(proofs)]
    values = {}

    def fill(who, use, which, n):
        return [values.get(("random", who, use, which, k), 0) for k in range(n)]

    def vector(who, n, first):
        entries = [values.get(("entry", who, x), 0) for x in range(2**n)]
        return proof_commit.Vector(code, n, entries, who, *(n_pads, DEGREE) if first else (0, 0))

    def look():
        seen, claims = [], []
        shared = vector("shared", bits[1], False)
        opened = set()
        for i in range(proofs):
            Fixed.seed, Fixed.shown = seed * 100 + i, []
            mine = vector(f"own {i}", bits[0], True)
            said = [(k, 0, table, e.of(0)) for k, table in enumerate(forms[i])]
            proof_commit.prove(e, code, [mine, shared], said)
            positions = set(Fixed.positions)
            opened |= positions
            closed = min(set(range(code.length)) - positions)
            seen += Fixed.shown + mine.leaves[closed][:mine.rows]
            for v, table in zip((mine, shared), forms[i]):
                claims += proof_commit.dot(e, table, [e.of(x) for x in v.entries])
        return seen + shared.leaves[min(set(range(code.length)) - opened)], claims

    names = [("entry", who, x) for who, n in
             [(f"own {i}", bits[0]) for i in range(proofs)] + [("shared", bits[1])]
             for x in range(2**n)]
    for who, n, first in [(f"own {i}", bits[0], True) for i in range(proofs)] + [("shared", bits[1], False)]:
        names += [("random", who, 0, r, k) for r in range(2**n // ell) for k in range(masks)]
        names += [("random", who, 2, 0, k) for k in range(n_pads) if first and pads]
        names += [("random", who, 1, r, k) for r in range(DEGREE)
                  for k in range(ell + masks + n_pads) if first and blind]
    before = proof_commit.fill, proof_commit.Writer, proof_commit.show_columns

    def show_columns(out, *rest):
        Fixed.positions = before[2](out, *rest)
        return Fixed.positions

    proof_commit.fill, proof_commit.Writer, proof_commit.show_columns = fill, Fixed, show_columns
    found = {}
    for name in names:
        values[name] = 1
        found[name] = look()
        del values[name]
    proof_commit.fill, proof_commit.Writer, proof_commit.show_columns = before
    return ([v for name, v in found.items() if name[0] == "entry"],
            [seen for name, (seen, _) in found.items() if name[0] == "random"])


class Span:
    """Of vectors modulo p, which are reduced with what is carried along"""

    def __init__(self):
        self.pivots = []

    def add(self, v, along):
        """What is left, and what goes with it, of a vector; kept if it is not in the span."""
        for at, w, other in self.pivots:
            if v[at]:
                scale = v[at]
                v = [(x - scale * y) % P for x, y in zip(v, w)]
                along = [(x - scale * y) % P for x, y in zip(along, other)]
        at = next((k for k, x in enumerate(v) if x), None)
        if at is None:
            return along
        inverse = pow(v[at], P - 2, P)
        self.pivots.append((at, [x * inverse % P for x in v], [x * inverse % P for x in along]))
        return None


def leaks(*case, **changes):
    """Dimensions of what is seen that entries have, but not the claims or the random elements"""
    entries, noise = views(*case, **changes)
    claims, span = Span(), Span()
    kept = [seen for seen in (claims.add(claim, seen) for seen, claim in entries) if seen]
    for v in noise:
        span.add(v, [])
    before = len(span.pivots)
    for v in kept:
        span.add(v, [])
    assert kept, "all entries are claimed"
    return len(span.pivots) - before


def main():
    t = QUERIES
    hidden = [leaks(1, (3, 3), t + 1, seed=s) for s in (1, 2)] + [leaks(1, (2, 3), t + 1),
                                                                 leaks(2, (2, 3), 2 * t + 1)]
    # a root opened twice; no mask for the column that is not opened; no pads; no blind row
    shown = [leaks(2, (2, 3), t + 1), leaks(1, (3, 3), t), leaks(1, (3, 3), t + 1, pads=False),
             leaks(1, (3, 3), t + 1, blind=False)]
    print("leaks", *hidden, "and where they have to be", *shown)
    return any(hidden) or not all(shown)


if __name__ == "__main__":
    sys.exit(main())
