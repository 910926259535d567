# SPDX-License-Identifier: Apache-2.0
"""A second implementation of docs/tokenizer.md, slow and plain, for reference.py.

Nothing here comes from the library. Section numbers are those of tokenizer.md. Classes of code
points come from the Python that runs this: with Unicode 14.0 (CPython 3.11) all of them; with
another version a code point is known if Unicode 3.2, which every Python carries besides, has it in
the same class, and any other one is refused.
"""

import hashlib
import re
import struct
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Dict, Iterable, Iterator, List, NamedTuple, Tuple

UNICODE = "14.0.0"
NORMAL, CONTROL, UNUSED = 1, 3, 5
LONGEST = 256  # bytes of a token
SEPARATOR = b"\n<|endoftext|>\n"


class Unknown(ValueError):
    """A code point whose class in Unicode 14.0 this Python cannot tell."""


# ---- 1. Bytes and characters, 2. classes ----

LETTER, NUMBER, SPACE, OTHER, END = "letter", "number", "space", "other", "end"
WHITE_SPACE = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028,
               0x2029, 0x202F, 0x205F, 0x3000}


class Character(NamedTuple):
    code: int  # -1: the byte is no part of a character
    kind: str
    data: bytes


def codes(text: bytes) -> Iterator[Tuple[int, bytes]]:
    at = 0
    while at < len(text):
        first = text[at]
        data = text[at:at + 1 + (first >= 0xC0) + (first >= 0xE0) + (first >= 0xF0)]
        try:
            code = ord(data.decode("utf-8"))
        except UnicodeDecodeError:
            code, data = -1, data[:1]
        yield code, data
        at += len(data)


@lru_cache(maxsize=None)
def category(code: int) -> str:
    found = unicodedata.category(chr(code))
    if unicodedata.unidata_version != UNICODE:
        old = unicodedata.ucd_3_2_0.category(chr(code))
        if old == "Cn" or old[0] != found[0]:
            raise Unknown("U+%04X: this Python has another Unicode than %s" % (code, UNICODE))
    return found


@lru_cache(maxsize=None)
def class_of(code: int) -> str:
    if code in WHITE_SPACE:
        return SPACE
    return {"L": LETTER, "N": NUMBER}.get(category(code)[0], OTHER)


def characters(text: bytes) -> List[Character]:
    return [Character(c, class_of(c) if c >= 0 else OTHER, data) for c, data in codes(text)]


# ---- 3. Normal form ----


def normal_form(text: bytes) -> bytes:
    out, stretch = [], ""
    for code, data in codes(text):
        if code >= 0 and category(code) != "Cn":
            stretch += chr(code)
            continue
        out += [unicodedata.normalize("NFC", stretch).encode(), data]
        stretch = ""
    return b"".join(out) + unicodedata.normalize("NFC", stretch).encode()


# ---- 4. Pieces: each alternative gives the end of its piece, or where it began ----

Text = List[Character]  # ends with one of class END


def run(c: Text, at: int, kind: str) -> int:
    while c[at].kind == kind:
        at += 1
    return at


def is_newline(c: Character) -> bool:
    return c.data in (b"\n", b"\r")


def contraction(c: Text, at: int, any_case: bool) -> int:
    if c[at].data != b"'":
        return at
    text = b"".join(x.data for x in c[at + 1:at + 3])
    if any_case and c[at + 1].code == 0x17F:
        return at + 2
    text = text.lower() if any_case else text  # of bytes: ASCII alone
    if text[:1] in (b"s", b"t", b"m", b"d"):
        return at + 2
    return at + 3 if text in (b"re", b"ve", b"ll") else at


def spaces(c: Text, at: int) -> int:
    end = run(c, at, SPACE)
    return end - 1 if c[end].kind != END and end - at > 1 else end


def piece_gpt2(c: Text, at: int) -> int:
    end = contraction(c, at, False)
    if end > at:
        return end
    begin = at + 1 if c[at].data == b" " else at
    if c[begin].kind in (LETTER, NUMBER, OTHER):
        return run(c, begin, c[begin].kind)
    return spaces(c, at)


def piece_cl100k(c: Text, at: int) -> int:
    end = contraction(c, at, True)
    if end > at:
        return end
    begin = at if c[at].kind in (LETTER, NUMBER) or is_newline(c[at]) else at + 1
    if c[begin].kind == LETTER:
        return run(c, begin, LETTER)
    if c[at].kind == NUMBER:
        return min(run(c, at, NUMBER), at + 3)
    begin = at + 1 if c[at].data == b" " else at
    if c[begin].kind == OTHER:
        end = run(c, begin, OTHER)
        while is_newline(c[end]):
            end += 1
        return end
    end = run(c, at, SPACE)
    while end > at and not is_newline(c[end - 1]):
        end -= 1
    return end if end > at else spaces(c, at)


PIECE = {"gpt-2": piece_gpt2, "cl100k": piece_cl100k}


def pieces(pre: str, text: bytes) -> List[bytes]:
    c = characters(text) + [Character(-1, END, b"")] * 2
    out, at = [], 0
    while c[at].kind != END:
        end = PIECE[pre](c, at)
        out.append(b"".join(x.data for x in c[at:end]))
        at = end
    return out


# ---- 5 to 7. Vocabularies: merging, special tokens, decoding; the digest of container.md ----


def blake2b(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


class Vocabulary:
    def __init__(self, pre: str, nfc: bool, tokens: List[bytes], types: List[int],
                 merges: List[Tuple[int, int]], end: int, roles: List[int]):
        self.pre, self.nfc, self.tokens, self.types = pre, nfc, tokens, types
        self.merges, self.end, self.roles = merges, end, roles
        normal = {b: i for i, (b, t) in enumerate(zip(tokens, types)) if t == NORMAL}
        self.byte = [normal[bytes([b])] for b in range(256)]
        self.rank = {pair: n for n, pair in enumerate(merges)}
        self.made = [normal[tokens[left] + tokens[right]] for left, right in merges]
        control = {b: i for i, (b, t) in enumerate(zip(tokens, types)) if t == CONTROL}
        longest_first = sorted(control, key=len, reverse=True)
        self.control, self.spelled = control, re.compile(b"|".join(map(re.escape, longest_first)))
        self.cache: Dict[bytes, List[int]] = {}

    def encode_piece(self, piece: bytes) -> List[int]:
        if piece not in self.cache:
            ids = [self.byte[b] for b in piece]
            while True:
                rank, at = min(((self.rank.get(pair, 1 << 32), i)
                                for i, pair in enumerate(zip(ids, ids[1:]))), default=(1 << 32, 0))
                if rank == 1 << 32:
                    break
                ids[at:at + 2] = [self.made[rank]]
            self.cache[piece] = ids
        return self.cache[piece]

    def encode(self, text: bytes) -> List[int]:
        text = normal_form(text) if self.nfc else text
        return [i for piece in pieces(self.pre, text) for i in self.encode_piece(piece)]

    def encode_special(self, text: bytes) -> List[int]:
        """What is spelled like a control token becomes one."""
        ids, at = [], 0
        for found in self.spelled.finditer(text):
            ids += self.encode(text[at:found.start()]) + [self.control[found.group()]]
            at = found.end()
        return ids + self.encode(text[at:])

    def decode(self, ids: Iterable[int]) -> bytes:
        return b"".join(self.tokens[i] for i in ids if self.types[i] == NORMAL)

    def turn(self, role: int, text: bytes) -> List[int]:
        """11: role 0 is the system, 1 the user, 2 the assistant."""
        return [self.roles[role]] + self.encode(text) + [self.roles[3]]

    def document(self, text: bytes, separated: bool) -> List[int]:
        return [self.end] + self.encode(text) + ([self.end] if separated else [])

    def digest(self) -> bytes:
        def field(data: bytes) -> bytes:
            return struct.pack("<Q", len(data)) + data

        out = [field(b"mambaint-tokenizer-1"), field(self.pre.encode()), field(UNICODE.encode()),
               field(bytes([self.nfc])), field(struct.pack("<I", len(self.tokens)))]
        out += [field(bytes([kind]) + token) for kind, token in zip(self.types, self.tokens)]
        out.append(field(struct.pack("<I", len(self.merges))))
        out += [struct.pack("<II", *merge) for merge in self.merges]
        out.append(field(struct.pack("<6i", self.end, -1, *self.roles)))
        return blake2b(b"".join(out))


# ---- 8. Text for people ----


def shown(data: bytes) -> str:
    return "".join(chr(code) if code >= 0 else "\ufffd" for code, _ in codes(data))


# ---- 9. Own vocabularies, 10. training ----


class TooFewPairs(ValueError):
    """The text allows args[0] merges and no more."""


def train(texts: Iterable[bytes], pre: str, size: int) -> Vocabulary:
    spelled = ["endoftext", "system", "user", "assistant", "endofturn"]
    spelled += ["unused%d" % i for i in range(5, 16)]
    tokens = [b"<|%s|>" % s.encode() for s in spelled] + [bytes([b]) for b in range(256)]
    words = Counter(piece for text in texts for piece in pieces(pre, text))
    split = [([16 + b for b in word], count) for word, count in words.items()]
    merges: List[Tuple[int, int]] = []
    while len(tokens) < size:
        pairs: Dict[Tuple[int, int], int] = Counter()
        for ids, count in split:
            for pair in zip(ids, ids[1:]):
                pairs[pair] += count
        best = min(((-count, pair) for pair, count in pairs.items() if count >= 2 and
                    len(tokens[pair[0]]) + len(tokens[pair[1]]) <= LONGEST), default=None)
        if best is None:
            raise TooFewPairs(len(merges))
        left, right = best[1]
        for ids, _ in split:
            for i in range(len(ids)):
                if ids[i:i + 2] == [left, right]:
                    ids[i:i + 2] = [len(tokens)]
        tokens.append(tokens[left] + tokens[right])
        merges.append((left, right))
    types = [CONTROL] * 5 + [UNUSED] * 11 + [NORMAL] * (size - 16)
    return Vocabulary(pre, False, tokens, types, merges, 0, [1, 2, 3, 4])


# ---- 12. Documents ----


def documents(text: bytes) -> List[Tuple[bytes, bool]]:
    """Each with whether a separator follows."""
    *separated, last = text.split(SEPARATOR)
    return [(d, True) for d in separated] + ([(last, False)] if last else [])


# ---- The examples of tokenizer.md ----


def cut(text: str) -> List[List[str]]:
    return [[piece.decode() for piece in pieces(pre, text.encode())] for pre in ("gpt-2", "cl100k")]


def self_test() -> None:
    assert [len(data) for _, data in codes(b"\xe2\x82A\xf0\x9f\x99")] == [1] * 6
    assert normal_form(b"e\xcc\x81\xff\xcc\x81") == b"\xc3\xa9\xff\xcc\x81"
    assert cut("I'm sure it's I'LL") == [["I", "'m", " sure", " it", "'s", " I", "'", "LL"],
                                         ["I", "'m", " sure", " it", "'s", " I", "'LL"]]
    assert cut("  two\n\n  lines \n") == [[" ", " two", "\n\n ", " lines", " \n"],
                                          [" ", " two", "\n\n", " ", " lines", " \n"]]
    assert cut("1234567 a12") == [["1234567", " a", "12"], ["123", "456", "7", " a", "12"]]
    assert cut("wait--what?!\r\n\r\nyes") == [
        ["wait", "--", "what", "?!", "\r\n\r", "\n", "yes"],
        ["wait", "--", "what", "?!\r\n\r\n", "yes"]]
    assert cut("#tag \t x") == [["#", "tag", " \t", " x"], ["#tag", " \t", " x"]]
    assert cut("d'\u017fx") == [["d", "'", "\u017fx"], ["d", "'\u017f", "x"]]
    assert cut("'steps") == [["'s", "teps"]] * 2
    assert cut("it 'steps") == [["it", " '", "steps"]] * 2
    for pre in PIECE:
        assert pieces(pre, b" \xff\xc3a\xe2\x82") == [b" \xff\xc3", b"a", b"\xe2\x82"]
    assert shown(b"\xe2\x82A\xf0\x9f") == "\ufffd\ufffdA\ufffd\ufffd"
    text = b"low lower lowest\nnew newer newest"
    t = train([text], "gpt-2", 280)
    assert len(text) == 33 and t.merges == [(135, 117), (124, 127), (126, 117), (48, 273),
                                            (48, 274), (131, 132), (272, 130), (272, 277)]
    assert t.digest().hex() == "b4721aaa8716770e83ab940047b6493785afc86735537db086e82eb9f431b1ac"
    assert t.encode(b"newest lowest") == [274, 279, 275, 279]
    assert t.encode(b"slower") == [131, 273, 278] and t.encode(b"low\n") == [273, 135, 26]
    assert [t.end] + t.turn(1, b"new") + t.turn(2, b"low") == [0, 2, 274, 135, 4, 3, 273, 135, 4]
    found = documents(b"low\n<|endoftext|>\n\n<|endoftext|>\nnew")
    assert [t.document(*d) for d in found] == [[0, 273, 135, 0], [0, 0], [0, 274, 135]]
    try:
        train([text], "gpt-2", 281)
    except TooFewPairs as e:
        assert e.args == (8,)
    else:
        raise AssertionError("9 merges of that text")
