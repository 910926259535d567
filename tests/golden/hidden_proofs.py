#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The walk of hidden proofs by an independent verifier, for each degree of the field.

hidden_proofs.c writes proofs of models with random weights, whose walk is hidden, but which have no
key: their opening is in the clear. verify.py has to accept each, with as many pads as the library
counts, and refuse it with a byte changed. Whole hidden proofs are in hidden_files.py.

Usage: hidden_proofs.py PROGRAM...
"""
import random
import subprocess
import sys

import reference
import verify
from verify_plan import SimpleGraph

CHANGES = 2  # damaged copies of each proof


class Walk(verify.Verifier):
    """The verifier of a proof whose walk alone is hidden"""

    def hidden_code(self):
        return self.clear_code()

    def read_root(self):
        """Weights have one root, which the statement of the test has"""


def need(condition, sentence):
    if not condition:
        sys.exit(sentence)


def numbers(text):
    return [int(word) for word in text.split(",") if word]


def graph_of(kind, values, public):
    """A graph, with its parameters of exponents and scales"""
    values = numbers(values)
    graph = verify.mamba_graph(values) if kind == "tokens-model" else SimpleGraph(*values)
    data = verify.Bytes(bytes.fromhex(public))
    verify.read_public_parameters(graph, data)
    data.end()
    return graph


def case_of(line):
    """The words of a line, as a case; and the number of pads"""
    words = [word.partition("=")[::2] for word in line.split()]
    one = dict(words)
    graphs = [graph_of(*words[i], words[i + 1][1]) for i, (key, _) in enumerate(words)
              if key.endswith("model")]
    tokens = numbers(one["tokens"])
    case = {"type": one["type"], "graphs": graphs, "lanes": int(one["lanes"]), "public": 0,
            "claimed": int(one["claimed"]), "tokens": tokens, "degree": int(one["degree"]),
            "input": numbers(one["input"]), "output": numbers(one["output"]), "hidden": True,
            "weights_digest": bytes.fromhex(one["root"]),
            "statement": bytes.fromhex(one["statement"]), "proof": bytes.fromhex(one["proof"])}
    return one["name"], case, int(one["pads"])


def accepts(case):
    try:
        Walk(case).verify()
    except verify.Refused as refused:
        return str(refused)
    return None


def check(line, draw):
    name, case, pads = case_of(line)
    planned = Walk(case).plan.pads
    need(planned == pads, f"{name}: {planned} pads here, {pads} in the library")
    why = accepts(case)
    need(why is None, f"{name}: {why}")
    for k in range(CHANGES):
        proof = bytearray(case["proof"])
        at = draw.randrange(len(proof) if k == 0 else min(len(proof), 8 * case["degree"] * pads))
        proof[at] ^= 1 << draw.randrange(8)
        need(accepts({**case, "proof": bytes(proof)}), f"{name}: changed at {at} and accepted")
    need(accepts({**case, "hidden": False}), f"{name}: accepted as one that hides nothing")


def main(programs):
    need(programs, __doc__)
    draw = random.Random(7)
    for program in programs:
        out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
        lines = [line for line in out.splitlines() if line.startswith("name=")]
        need(len(lines) == 6, "another number of proofs")
        for line in lines:
            check(line, draw)


if __name__ == "__main__":
    main(sys.argv[1:])
