#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes pretokenizer.txt: how the published regular expressions cut random texts into pieces.

The pieces come from the regex module of the Python package index, which the reference tokenizers
use too; nothing here knows the scanners. Characters are those that Unicode 14.0 assigns, so that a
regex module of a newer version gives the same result.
Usage: pretokenizer.py >pretokenizer.txt
"""
import random
import sys
import unicodedata

import regex

GPT2 = regex.compile(
    r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""")
CL100K = regex.compile(
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"""
    r"""| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""")

# What the expressions speak of, and neighbours of it: contractions in both cases, the long s,
# spaces of several kinds, control characters that are no spaces, digits of several scripts.
TRICKY = ("  \n\r\t\t''''stmdreveLLlSTMDREVE09aZ.!,-_\u017f\u00a0\u3000\u0085\u2028\u00e9\u0663"
          "\u00bd\u2167\u4e2d\u3042\x1c\x00\u0301\u200d")


def lengths(expression, text):
    return ",".join(str(len(piece.encode())) for piece in expression.findall(text))


def main():
    if unicodedata.unidata_version != "14.0.0":
        sys.exit("this needs a Python with Unicode 14.0.0")
    assigned = [c for c in range(0x110000)
                if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    draw = random.Random(20240601)
    print("# Made by pretokenizer.py. Lines: text as hex, lengths of the gpt2 pieces, of the cl100k")
    for _ in range(2000):
        share = draw.random() ** 2
        text = "".join(chr(draw.choice(assigned)) if draw.random() < share else draw.choice(TRICKY)
                       for _ in range(draw.randint(1, 24)))
        print(text.encode().hex(), lengths(GPT2, text), lengths(CL100K, text))


if __name__ == "__main__":
    main()
