#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes proof_hidden.txt: the codes of hidden openings that docs/proof.md chooses, as verify.py
reads it; tests/unit/test_masked.c holds the library against them. Then verify.py's opening, which
shares nothing with proof_commit.py, has to accept the openings made there, and no changed one.

Usage: proof_hidden.py >proof_hidden.txt
       proof_hidden.py --check FILE      status 1 if FILE is not what this program writes
"""
import proof_commit
import verify
from proof_forms import Extension
from proof_stream import main

CODES = [(n, alone, openings) for openings in (1, 2, 64, 1000) for alone in (0, 1)
         for n in (5, 9, 11, 12, 13, 16, 17, 18, 20, 24, 27)]


def code_lines(degree, n, alone, openings):
    try:
        code = verify.choose_code(n, degree, bool(alone), openings)
    except verify.Refused:
        yield f"code {degree} {n} {alone} {openings} none"
        return
    fitted, pads = verify.fitted(code, [n] if alone else [n, n + 1], degree)
    words = [code.log_columns, code.log_length, code.queries, code.masks, fitted.queries, pads]
    for layer in code.further:
        words += [layer.log_columns, layer.log_length, layer.queries]
    yield " ".join(map(str, ["code", degree, n, alone, openings, len(code.further), *words]))


def accepted(degree, code, vectors, claims, proof):
    further = tuple(verify.Code(*layer.words(), 0) for layer in code.further)
    mine = verify.Code(*code.words(), 0, further, code.masks)
    statement = []
    for vector, block, table, value in claims:
        if value is not None:
            statement.append((tuple(value), []))
        term = verify.Term(vector, block, verify.ext(1, degree), [tuple(w) for w in table])
        statement[-1][1].append(term)
    reader = verify.Reader("test", proof, degree)
    try:
        verify.opening(reader, mine, [(v.bits, v.rows * code.columns, v.root) for v in vectors],
                       statement)
        reader.read_end()
    except verify.Refused:
        return False
    return True


def check_openings(degree, number):
    code, vectors, claims, proof = proof_commit.case(Extension(degree), number)
    assert accepted(degree, code, vectors, claims, proof), (degree, number)
    for k in range(5):
        at = (k * 2654435761 >> 3) % len(proof)
        changed = proof[:at] + bytes([proof[at] ^ 1 << k]) + proof[at + 1:]
        assert not accepted(degree, code, vectors, claims, changed), (degree, number, at)


def lines():
    yield "# Made by proof_hidden.py."
    yield "# code DEGREE BITS ALONE OPENINGS DEPTH LOG_COLUMNS LOG_LENGTH QUERIES MASKS"
    yield "#      and, of an opening of one vector or of two, the other of one bit more: QUERIES PADS"
    yield "#      and of each further layer LOG_COLUMNS LOG_LENGTH QUERIES"
    for degree in (2, 3):
        for number in range(len(proof_commit.CASES)):
            if number != 5:     # long, and in the clear
                check_openings(degree, number)
        for n, alone, openings in CODES:
            yield from code_lines(degree, n, alone, openings)


if __name__ == "__main__":
    main(lines(), __doc__)
