#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the part of GPT-NeoX's tokenizer that the golden ids need: data/tokenizer/neox-part.txt.

The vocabulary is two special tokens, the 243 bytes that occur in UTF-8 in the order of the byte
spelling, and what merge 0, 1, 2 ... makes; 23 added tokens, runs of spaces, follow. So a merge is
known by the id it makes, and the ids of a text need no other merges than those they came from.
Usage: neox_part.py GPT-NEOX-TOKENIZER.json [--check]
"""

import json
import re
import sys
from pathlib import Path
from typing import Dict, List, Set, Tuple

import tokenizer

DATA = Path(__file__).resolve().parent.parent / "data" / "tokenizer"
FIRST_BYTE, FIRST_MERGE, FIRST_ADDED, LONGEST_ADDED = 2, 245, 50254, 24
NEVER = {0xC0, 0xC1, *range(0xF5, 0x100)}  # bytes that are not in UTF-8
HEAD = """\
# GPT-NeoX-20B's tokenizer, as much of it as bpe-golden-ids.jsonl needs (written by neox_part.py).
# A line is a merge: the id it makes, and the two that it joins. Ids rise with the rank.
"""


def spelling() -> Dict[str, int]:
    """The byte that a character of the byte spelling stands for."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [b for b in range(256) if b not in plain]
    return {**{chr(b): b for b in plain}, **{chr(256 + i): b for i, b in enumerate(others)}}


class Tokenizer:
    def __init__(self, file: dict) -> None:
        vocabulary = file["model"]["vocab"]
        pairs = [m.split(" ") if isinstance(m, str) else m for m in file["model"]["merges"]]
        byte_of = spelling()
        letters = sorted(c for c in vocabulary if len(c) == 1)
        self.byte = {byte_of[c]: vocabulary[c] for c in letters}
        self.merges = [(vocabulary[x], vocabulary[y]) for x, y in pairs]
        self.rank = {pair: r for r, pair in enumerate(self.merges)}
        self.used: Set[int] = set()
        assert set(self.byte) == set(range(256)) - NEVER
        assert list(self.byte.values()) == list(range(FIRST_BYTE, FIRST_MERGE))
        for r, (x, y) in enumerate(pairs):
            assert vocabulary[x + y] == FIRST_MERGE + r
        for token in file["added_tokens"]:
            if not token["special"]:
                assert token["content"] == " " * (FIRST_ADDED + LONGEST_ADDED - token["id"])

    def encode_piece(self, piece: bytes) -> List[int]:
        ids = [self.byte[b] for b in piece]
        while True:
            ranked = [(self.rank[p], i) for i, p in enumerate(zip(ids, ids[1:])) if p in self.rank]
            if not ranked:
                return ids
            rank, at = min(ranked)
            self.used.add(rank)
            ids[at:at + 2] = [FIRST_MERGE + rank]

    def encode(self, text: bytes) -> List[int]:
        ids: List[int] = []
        for part in re.split(b"( {2,24})", text):
            if re.fullmatch(b" {2,24}", part):
                ids.append(FIRST_ADDED + LONGEST_ADDED - len(part))
            else:
                for piece in tokenizer.pieces("gpt-2", tokenizer.normal_form(part)):
                    ids += self.encode_piece(piece)
        return ids


def render(t: Tokenizer) -> str:
    for line in (DATA / "bpe-golden-ids.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        assert t.encode(row["text"].encode()) == row["neox"], row["name"]
    merges: List[Tuple[int, int, int]] = [(FIRST_MERGE + r, *t.merges[r]) for r in sorted(t.used)]
    return HEAD + "".join("%d %d %d\n" % merge for merge in merges)


def main() -> int:
    text = render(Tokenizer(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
    target = DATA / "neox-part.txt"
    if "--check" in sys.argv[2:]:
        if target.read_text("ascii") == text:
            return 0
        print("%s is not what this program writes" % target.name)
        return 1
    target.write_text(text, "ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())
