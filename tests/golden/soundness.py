#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Computes the table of docs/soundness.md from the parameters of the library's proofs.

Errors are exact fractions; their bits are rounded down to a tenth. Fails if a proof misses its
level, or if the library says more than is true.

Usage: soundness.py PROGRAM                 the table, PROGRAM being proof_parameters
       soundness.py --check PROGRAM DOC     status 1 if DOC does not contain exactly this table
"""
import math
import subprocess
import sys
from fractions import Fraction

LEVEL = 100
DEGREE = 5  # of a round's polynomial, at most
FACTORS = 4  # of a term, at most: the degree of a line
HASH_BITS = 128  # collisions of a digest of 256 bits
P = 2**64 - 2**32 + 1


def bits(error):
    """-log2 of a fraction, rounded down to a tenth."""
    if not error:
        return math.inf
    return math.floor(-10 * (math.log2(error.numerator) - math.log2(error.denominator))) / 10


def layers_of(p):
    """log_columns, log_length, queries and work of every layer"""
    return [[p[k + str(i or "")] for k in ("log_columns", "log_length", "queries", "work")]
            for i in range(p["depth"] + 1)]


def steps(p):
    """The errors of one proof, round by round (docs/proof.md, sections 3, 4 and 6)."""
    field = P ** p["degree"]
    layers = layers_of(p)
    return {
        "point": Fraction(max(p["bits"], 2 * 32), field),
        "join of sums": Fraction(max(p["sums"] - 1, 1), field),
        "round": Fraction(DEGREE, field),
        "line": Fraction(FACTORS if p["pads"] else 0, field),
        "join of claims": Fraction(max([p["claims"] - 1, 1, *(t for *_, t, _ in layers[:-1])]), field),
        "fold": Fraction(2 ** max(length for _, length, *_ in layers), field),
        "positions": max(((1 + Fraction(1, 2 ** (length - columns))) / 2) ** t / 2**work
                         for columns, length, t, work in layers),
        "lookup": Fraction(max(p["fractions"] - 1, 0), field),
        "hash": Fraction(1, 2**HASH_BITS),
    }


def parse(line):
    name, *words = line.split("|")
    return {"name": name, **{k: int(v) for k, v in (w.split() for w in words)}}


def rows(proofs):
    head = ["proof", "N, W", "code", "rounds, claims", "pads", *steps(proofs[0]), "level"]
    yield head
    yield ["---"] * len(head)
    for p in proofs:
        errors = [bits(e) for e in steps(p).values()]
        level = math.floor(min(errors))
        bounded = math.floor(min(map(bits, steps({**p, "sums": p["sums_most"], "claims": p["claims_most"]}).values())))
        if p["sums"] > p["sums_most"] or p["claims"] > p["claims_most"]:
            sys.exit(f"{p['name']}: more sums or claims than the library counts with")
        if p["level"] > bounded:
            sys.exit(f"{p['name']}: the library says {p['level']} bits, its bounds give {bounded}")
        if level < LEVEL or not LEVEL <= p["level"] <= level:
            sys.exit(f"{p['name']}: {level} bits, the library says {p['level']}, {LEVEL} are asked for")
        code = "; ".join(f"2^{columns} of 2^{length}, t {t}, g {work}"
                         for columns, length, t, work in layers_of(p))
        yield [p["name"], f"2^{p['bits']}, 2^{p['weight_bits']}", code, f"{p['rounds']}, {p['claims']}", str(p["pads"] or "-"),
               *("-" if e == math.inf else str(e) for e in errors), str(level)]


def table(program):
    out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    proofs = [parse(line) for line in out.splitlines()]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows(proofs))


def main(args):
    if len(args) == 1 and not args[0].startswith("-"):
        sys.stdout.write(table(args[0]))
    elif len(args) == 3 and args[0] == "--check":
        with open(args[2], encoding="utf-8") as f:
            if table(args[1]) not in f.read():
                sys.exit(f"{args[2]} does not have the table of these parameters")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
