#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes proof_stream.txt: hashes, transcripts, work and Merkle openings of docs/proof.md.

An evaluation of its own, written from that text with hashlib and Python integers. It never calls
the library; tests/unit/test_proof_stream.c and test_merkle.c hold the library against its answers.

Usage: proof_stream.py >proof_stream.txt
       proof_stream.py --check FILE      status 1 if FILE is not what this program writes
"""
import hashlib
import sys

P = 2**64 - 2**32 + 1
USES = {"leaf": 32, "node": 32, "transcript": 64, "grind": 32, "mask": 64}

# ---- section 1 -------------------------------------------------------------------------------


def le(x, n):
    return x.to_bytes(n, "little")


def number(data):
    return int.from_bytes(data, "little")


def h(use, data, salt=bytes(16)):
    personal = ("MIPF " + use).encode().ljust(16, b"\0")
    return hashlib.blake2b(data, digest_size=USES[use], salt=salt, person=personal).digest()


# ---- section 2 -------------------------------------------------------------------------------


class Transcript:
    def __init__(self, kind):
        self.state = bytes(64)
        self.absorb("type", kind.encode())

    def step(self, tag, kind, n, data=b""):
        label = tag.encode().ljust(15, b"\0") + bytes([kind]) + le(n, 8)
        assert len(label) == 24
        return h("transcript", self.state + label + data)

    def absorb(self, tag, data):
        self.state = self.step(tag, 0, len(data), data)

    def draw(self, tag, n, width):
        """n pieces of `width` bytes."""
        per_block = 64 // width
        data = b"".join(self.step(tag, 1, i) for i in range(-(-n // per_block)))
        self.state = self.step(tag, 2, n)
        return [data[i * width : (i + 1) * width] for i in range(n)]

    def elements(self, n):
        return [number(x) % P for x in self.draw("chal", n, 16)]

    def indices(self, n, bits):
        return [number(x) % 2**bits for x in self.draw("bits", n, 4)]

    def seed(self):
        return self.draw("seed", 1, 32)[0]


# ---- section 3 -------------------------------------------------------------------------------


class Writer(Transcript):
    def __init__(self, kind):
        super().__init__(kind)
        self.proof = b""

    def put(self, tag, data):
        self.proof += data
        self.absorb(tag, data)

    def work(self, bits):
        if bits == 0:
            return 0
        seed, nonce = self.seed(), 0
        while number(h("grind", seed + le(nonce, 8))[:8]) % 2**bits:
            nonce += 1
        self.put("nonce", le(nonce, 8))
        return nonce


# ---- section 4 -------------------------------------------------------------------------------


def levels(leaves):
    out = [leaves]
    while len(out[-1]) > 1:
        low = out[-1]
        high = [h("node", low[i] + low[i + 1]) for i in range(0, len(low) - 1, 2)]
        out.append(high + low[len(high) * 2 :])
    return out


def opening(tree, positions):
    known, out = sorted(set(positions)), []
    for level in tree[:-1]:
        for i in known:
            if i ^ 1 < len(level) and i ^ 1 not in known:
                out.append(level[i ^ 1])
        known = sorted({i // 2 for i in known})
    return out


# ---- what is written -------------------------------------------------------------------------


def pattern(n):
    return bytes((7 * i + 3) % 256 for i in range(n))


def show(*words):
    def text(w):
        if isinstance(w, bytes):
            return w.hex() or "-"
        return str(w)

    return " ".join(text(w) for w in words)


def hashes():
    some = bytes(range(16))
    for use in ("leaf", "node", "transcript", "grind"):
        for n in (0, 1, 8, 40, 63, 64, 65, 127, 128, 129, 256, 1000):
            yield show("hash", use, bytes(16), n, h(use, pattern(n)))
        yield show("hash", use, some, 64, h(use, pattern(64), some))


def script(kind):
    """One of everything, in an order that a proof could have."""
    w = Writer(kind)

    def line(*words):
        return show(*words, w.state)

    yield line("start", kind)
    w.absorb("statement", pattern(200))
    yield line("absorb", "statement", pattern(200))
    w.absorb("fifteen-letters", b"")
    yield line("absorb", "fifteen-letters", b"")
    w.put("root", pattern(32))
    yield line("bytes", "root", pattern(32))
    for n in (1, 2, 3, 4, 5, 0, 9):
        values = w.elements(n)
        yield line("draw", n, *values)
    for x in ([], [0], [P - 1], [1, 2**32, 2**63, P - 2, 2**32 - 1], [7, 7]):
        w.put("claim", b"".join(le(v, 8) for v in x))
        yield line("elements", "claim", len(x), *x)
    for n, bits in ((1, 1), (1, 32), (1, 0), (40, 9), (16, 20), (17, 32)):
        values = w.indices(n, bits)
        yield line("indices", n, bits, *values)
    for bits in (0, 1, 5, 12):
        nonce = w.work(bits)
        yield line("work", bits, nonce)
    values = w.indices(203, 9)
    yield line("positions", 203, 9, *sorted(set(values)))
    w.put("empty", b"")
    yield line("bytes", "empty", b"")
    yield show("proof", w.proof)


def content(j):
    return b"leaf" + le(j, 4) + pattern(j % 40)


def salt(j):
    return le(j + 1, 8) + le(2**64 - 1 - j, 8)


def position_sets(n):
    x = n
    some = set()
    for _ in range(5):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        some.add((x >> 33) % n)
    sets = ([0], [n - 1], range(n), range(0, n, 2), range(n % 3, n, 3), {0, n // 2, n - 1}, some)
    return [sorted(s) for s in sets if s]


def trees():
    for n in range(1, 65):
        tree = levels([h("leaf", content(j)) for j in range(n)])
        yield show("tree", n, tree[-1][0])
        for positions in position_sets(n):
            path = opening(tree, positions)
            whole = b"".join(path)
            if n > 9 and n not in (13, 33, 64):
                whole = h("grind", whole)  # to keep the file small
            yield show("open", len(positions), *positions, len(path), whole)


def element(i):
    return number(h("grind", le(i, 8))[:16]) % P


def matrices():
    """Columns as leaves: rows, columns, elements of an entry, salted or not."""
    for rows, cols, width, salted in (
        (1, 1, 1, 0), (2, 3, 1, 0), (33, 17, 1, 0), (5, 40, 2, 0), (70, 19, 3, 1), (12, 16, 1, 1),
    ):
        at = lambda r, j, k: element((r * cols + j) * width + k)
        columns = [
            b"".join(le(at(r, j, k), 8) for r in range(rows) for k in range(width))
            for j in range(cols)
        ]
        leaves = [h("leaf", c, salt(j) if salted else bytes(16)) for j, c in enumerate(columns)]
        yield show("matrix", rows, cols, width, salted, levels(leaves)[-1][0])


def lines():
    yield "# Made by proof_stream.py; bytes in hexadecimal, '-' for none, numbers in decimal. Lines:"
    yield "# hash USE SALT N DIGEST              of the bytes 7 i + 3 modulo 256, i < N"
    yield "# start TYPE STATE, then a transcript in order, the state behind each step at its end:"
    yield "# absorb TAG BYTES / bytes TAG BYTES / elements TAG N VALUES / draw N VALUES /"
    yield "# indices N BITS VALUES / work BITS NONCE / positions N BITS LIST; proof BYTES ends it"
    yield "# tree N ROOT                         content of leaf j: 'leaf', u32 j, pattern of j mod 40"
    yield "# open M POSITIONS COUNT PATH         its grind digest if N > 9, but for 13, 33, 64"
    yield "# matrix ROWS COLS WIDTH SALTED ROOT  element i: u128 of the grind digest of u64 i, mod p;"
    yield "#                                     salt j: u64 j + 1, u64 2^64 - 1 - j"
    yield from hashes()
    yield from script("wit")
    yield from script("chain")
    yield from trees()
    yield from matrices()


def main(all_lines, usage):
    text = "".join(line + "\n" for line in all_lines)
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        with open(sys.argv[2], encoding="ascii") as f:
            if f.read() != text:
                sys.exit(f"{sys.argv[2]} is not what this program writes")
    elif len(sys.argv) == 1:
        sys.stdout.write(text)
    else:
        sys.exit(usage)


if __name__ == "__main__":
    main(lines(), __doc__)
