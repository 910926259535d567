#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Computes the tables of docs/soundness.md from the parameters of the library's proofs: what a false
statement's proof has against it, and what hidden proofs tell.

Errors are exact fractions; their bits are rounded down to a tenth. Fails if a proof misses its
level, or if the library says more than is true.

Usage: soundness.py PROGRAM                 the tables, PROGRAM being proof_parameters
       soundness.py --check PROGRAM DOC     status 1 if DOC does not contain exactly these tables
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
CALLS = 64  # log2 of the hash calls of whoever looks at hidden proofs


def bits(error):
    """-log2 of a fraction, rounded down to a tenth."""
    if not error:
        return math.inf
    return math.floor(-10 * (math.log2(error.numerator) - math.log2(error.denominator))) / 10


def layers_of(p):
    """log_columns, log_length, queries and work of every layer"""
    return [[p[k + str(i or "")] for k in ("log_columns", "log_length", "queries", "work")]
            for i in range(p["depth"] + 1)]


def rates(p):
    """Of every layer: N / L of the first, with all that is behind the entries of a row"""
    rows = [p["row"], *(2**columns for columns, *_ in layers_of(p)[1:])]
    return [Fraction(n, 2**length) for n, (_, length, *_) in zip(rows, layers_of(p))]


def steps(p):
    """The errors of one proof, round by round (docs/proof.md, sections 3, 4, 6 and 7)."""
    field = P ** p["degree"]
    layers, hidden = layers_of(p), p["pads"] > 0
    longest = 2 ** max(length for _, length, *_ in layers)
    return {
        "point": Fraction(max(p["bits"], 2 * 32), field),
        "join of sums": Fraction(max(p["sums"] - 1, 1), field),
        "round": Fraction(DEGREE, field),
        "line": Fraction(FACTORS if hidden else 0, field),
        "join of claims": Fraction(max([p["claims"] - (0 if hidden else 1), 1,
                                        *(t for *_, t, _ in layers[:-1])]), field),
        "row pads": Fraction(max(3 * p["open_rounds"] - 1, 0), field),
        "fold": Fraction(longest + hidden, field),
        "positions": max(((1 + rate) / 2) ** t / 2**work
                         for rate, (*_, t, work) in zip(rates(p), layers)),
        "lookup": Fraction(max(p["fractions"] - 1, 0), field),
        "key": Fraction(max(p["roots"] - 1, 0) * p["key_bits"], field),
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
        yield [p["name"], f"2^{p['bits']}, 2^{p['weight_bits']}", code_of(p), f"{p['rounds']}, {p['claims']}",
               str(p["pads"] or "-"), *("-" if e == math.inf else str(e) for e in errors), str(level)]


def code_of(p):
    """The layers; of hidden ones' first with what is behind the entries"""
    (columns, length, t, work), *further = layers_of(p)
    more = p["row"] - 2**columns
    first = f"2^{columns}{f' + {more}' if more else ''} of 2^{length}, t {t}, g {work}"
    return "; ".join([first, *(f"2^{columns} of 2^{length}, t {t}, g {work}"
                               for columns, length, t, work in further)])


def told(p):
    """What hidden proofs can tell (docs/zero-knowledge.md, section 6): of all proofs of a key, or of a
    certificate alone, the probability that one has to be made again or that its messages are not
    uniform; and that a hash call is about a leaf which was not shown"""
    proofs = 1 if p["name"].startswith("certificate") else p["roots"] * p["openings"]
    lookup = p["lookup_bits"] + 1 if p["lookup_bits"] else 0
    messages = Fraction(proofs * (p["batches"] + lookup + 3 * p["open_rounds"]), P ** p["degree"])
    leaves = (Fraction(p["roots"], P ** p["weight_rows"]) +
              Fraction(proofs, P ** p["witness_rows"])) * 2 ** p["log_length"]
    return proofs, messages, leaves


def hidden_rows(proofs):
    head = ["proof", "key", "proofs", "rows", "messages", "leaf", f"all, 2^{CALLS} calls"]
    yield head
    yield ["---"] * len(head)
    for p in proofs:
        count, messages, leaves = told(p)
        pads = 2 * p["degree"] * p["open_rounds"]
        if p["openings"] * p["queries"] >= p["row"] - 2**p["log_columns"] - pads:
            sys.exit(f"{p['name']}: fewer masks than columns that are shown")
        if bits(leaves) < LEVEL:
            sys.exit(f"{p['name']}: a leaf is guessed with {bits(leaves)} bits")
        yield [p["name"].replace(", hidden", ""), f"{p['roots']} of {p['openings']}", str(count),
               f"{p['witness_rows']}, {p['weight_rows']} of 2^{p['log_length']}",
               *map(str, map(bits, (messages, leaves, messages + leaves * 2**CALLS)))]


def tables(program):
    out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    proofs = [parse(line) for line in out.splitlines()]
    hidden = [p for p in proofs if p["pads"]]
    return ["".join("| " + " | ".join(row) + " |\n" for row in of)
            for of in (rows(proofs), hidden_rows(hidden))]


def main(args):
    if len(args) == 1 and not args[0].startswith("-"):
        sys.stdout.write("\n".join(tables(args[0])))
    elif len(args) == 3 and args[0] == "--check":
        with open(args[2], encoding="utf-8") as f:
            text = f.read()
        if not all(table in text for table in tables(args[1])):
            sys.exit(f"{args[2]} does not have the tables of these parameters")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
