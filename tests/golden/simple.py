#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The architecture `simple` once more, from docs/arithmetic.md (sections 4 and 11) and
docs/container.md alone: graph and model digests, the features that decimals stand for, and the
outputs of single models and of chains, with the weights that the library draws and with weights
from their whole intervals. The reader of containers is that of reference.py.
Usage: simple.py MAMBAINT
"""

import json
import os
import random
import struct
import subprocess
import sys
import tempfile
from fractions import Fraction
from math import floor
from typing import Dict, List, Tuple

from reference import Container, Refused, blake2b, clamp, need, rsh

I8, I16, I32 = 2, 3, 4
MATVEC, REQUANT, ADD, SLICE, ARGMAX = 2, 3, 6, 9, 19


class Simple:
    def __init__(self, data: bytes):
        self.file = f = Container(data)
        need(f.text("general.architecture") == "simple", "another architecture")
        f.u32("mambaint.arithmetic", 1, 1)
        need(not any(k.startswith(("tokenizer.", "mambaint.role", "mambaint.u", "mambaint.n"))
                     for k in f.keys), "a key of a tokenizer")
        self.features = f.u32("simple.feature_count", 1, 256)
        self.hidden = f.u32("simple.hidden_size", 1, 1024)
        self.outputs = f.u32("simple.output_count", 1, 4096)
        self.w1 = self.matrix("hidden.weight", self.hidden, self.features)
        self.b1 = self.vector("hidden.bias", self.hidden)
        self.w2 = self.matrix("output.weight", self.outputs, self.hidden)
        self.b2 = self.vector("output.bias", self.outputs)
        need(len(f.tensors) == 4, "a tensor more")

    def numbers(self, name: str, code: str, n: int, bound: int) -> List[int]:
        values = list(struct.unpack("<%d%s" % (n, code), self.file.tensors[name].data))
        need(all(-bound <= v <= bound for v in values), name)
        return values

    def matrix(self, name: str, rows: int, cols: int) -> List[List[int]]:
        need(self.file.tensors[name].dims == (cols, rows), name)
        flat = self.numbers(name, "b", rows * cols, 127)
        return [flat[i:i + cols] for i in range(0, len(flat), cols)]

    def vector(self, name: str, n: int) -> List[int]:
        need(self.file.tensors[name].dims == (n,), name)
        return self.numbers(name, "h", n, 32767)

    def evaluate(self, x: List[int]) -> Tuple[List[int], List[int]]:
        """The outputs, and what is handed on (none if there is no link)."""
        a1 = [sum(a * b for a, b in zip(row, x)) + bias for row, bias in zip(self.w1, self.b1)]
        h = [clamp(rsh(a, 7), 0, 127) for a in a1]
        y = [sum(a * b for a, b in zip(row, h)) + bias for row, bias in zip(self.w2, self.b2)]
        link = self.outputs >= self.features
        return y, [clamp(rsh(v, 7), -128, 127) for v in y[:self.features]] if link else []

    def graph_digest(self) -> bytes:
        i, h, o = self.features, self.hidden, self.outputs
        b1, b2 = 128 * 127 * i, 127 * 127 * h
        nodes = [
            leaf(3, "", (I8, 5, 1, i, -128, 127)),
            leaf(2, "hidden.weight", (I8, 7, h, i, -127, 127)),
            node(MATVEC, [0, 1], [], (I32, 5, 1, h, -b1, b1)),
            leaf(2, "hidden.bias", (I16, 12, 1, h, -32767, 32767)),
            node(ADD, [2, 3], [], (I32, 12, 1, h, -b1 - 32767, b1 + 32767)),
            node(REQUANT, [4], [7, 0, 127, 5], (I8, 5, 1, h, 0, 127)),
            leaf(2, "output.weight", (I8, 7, o, h, -127, 127)),
            node(MATVEC, [5, 6], [], (I32, 5, 1, o, -b2, b2)),
            leaf(2, "output.bias", (I16, 12, 1, o, -32767, 32767)),
            node(ADD, [7, 8], [], (I32, 12, 1, o, -b2 - 32767, b2 + 32767)),
            node(ARGMAX, [9], [], (I32, 0, 1, 1, 0, o - 1)),
        ]
        outputs = [9, 10]
        if o >= i:
            top = b2 + 32767
            nodes += [
                node(SLICE, [9], [0, i], (I32, 12, 1, i, -top, top)),
                node(REQUANT, [11], [7, -128, 127, 5],
                     (I8, 5, 1, i, clamp(rsh(-top, 7), -128, 127), clamp(rsh(top, 7), -128, 127))),
            ]
            outputs.append(12)
        head = b"mambaint-graph" + struct.pack("<II", 1, len(nodes))
        return blake2b(head + b"".join(nodes) + struct.pack("<%dI" % len(outputs), *outputs))

    def digest(self) -> bytes:
        out = [self.graph_digest(), bytes(32)]
        for name in sorted(self.file.tensors, key=str.encode):
            out += [struct.pack("<Q", len(name)), name.encode(),
                    blake2b(self.file.tensors[name].data)]
        return blake2b(b"".join(out))

    def redrawn(self, draw: random.Random) -> bytes:
        """The same file with weights of the whole intervals, or of their ends alone."""
        data = bytearray(self.file.data)
        for name, t in self.file.tensors.items():
            bound, code, size = (127, "b", 1) if name.endswith("weight") else (32767, "h", 2)
            n = len(t.data) // size
            values = (draw.choices((-bound, bound), k=n) if draw.random() < 0.3 else
                      [draw.randint(-bound, bound) for _ in range(n)])
            data[t.at:t.at + len(t.data)] = struct.pack("<%d%s" % (n, code), *values)
        at = self.file.digest_at
        data[at:at + 64] = self.file.digest(bytes(data)).encode()
        return bytes(data)


def typed(t: Tuple[int, ...]) -> bytes:
    return struct.pack("<IIIIqq", *t)


def leaf(kind: int, name: str, t: Tuple[int, ...]) -> bytes:
    return struct.pack("<III", 0, kind, len(name)) + name.encode() + typed(t)


def node(op: int, ins: List[int], attrs: List[int], t: Tuple[int, ...]) -> bytes:
    return (struct.pack("<I%dI" % len(ins), op, *ins) +
            struct.pack("<%di" % len(attrs), *attrs) + typed(t))


def spell(draw: random.Random) -> str:
    """A decimal that is in range, often on a half or next to one."""
    k = Fraction(draw.randint(-256, 254), 64) + draw.choice(
        (0, 0, Fraction(1, 10**draw.randint(4, 40)), Fraction(-1, 10**draw.randint(4, 40))))
    k = min(max(k, Fraction(-4)), Fraction(127, 32))
    size = abs(k)
    digits = "%d" % (size * 10**46)
    need(Fraction(int(digits), 10**46) == size, "46 digits do not hold it")
    digits = digits.rjust(47, "0")
    text = digits[:-46] + "." + digits[-46:]
    if draw.random() < 0.5:
        text = text.rstrip("0").rstrip(".")
    if text.startswith("0.") and draw.random() < 0.5:
        text = text[1:]
    return ("-" if k < 0 else draw.choice(("", "+"))) + text


def integer(text: str) -> int:
    return floor(Fraction(text) * 32 + Fraction(1, 2))


def ask(*words: str) -> bytes:
    return subprocess.run([TOOL, *words], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


def compare(paths: List[str], draw: random.Random) -> None:
    """One evaluation of the models in these files, as JSON and as lines."""
    models = []
    for path in paths:
        with open(path, "rb") as f:
            models.append(Simple(f.read()))
    texts = [spell(draw) for _ in range(models[0].features)]
    words = ["generate", "--features=" + ",".join(texts)]
    for path in paths:
        words += ["-m", path]
    x = [integer(t) for t in texts]
    got = json.loads(ask(*words, "--json"))
    need(got["features"] == x, "features of %s" % texts)
    for m in models:
        y, x = m.evaluate(x)
    need(got["outputs"] == y, "outputs of %s" % " ".join(words))
    need(got["frac"] == 12 and got["argmax"] == y.index(max(y)), "argmax of %s" % paths)
    need(got["model_digest"] == [m.digest().hex() for m in models], "digests of %s" % paths)
    lines = ask(*words).decode().splitlines()
    need([l.split() for l in lines] == [[str(i), l.split()[1]] for i, l in enumerate(lines)] and
         [Fraction(l.split()[1]) for l in lines] == [Fraction(v, 4096) for v in y],
         "the lines of %s" % paths)


def synth(path: str, words: List[str], draw: random.Random) -> None:
    ask("synth", "--out", path, *words)
    with open(path, "rb") as f:
        model = Simple(f.read())
    told: Dict[str, str] = json.loads(ask("inspect", "-m", path, "--json"))
    need(told["graph_digest"] == model.graph_digest().hex(), "graph digest of %s" % words)
    need(told["model_digest"] == model.digest().hex(), "model digest of %s" % words)
    for k in range(3):
        with open(path + "." + str(k), "wb") as f:
            f.write(model.redrawn(draw))


def main() -> int:
    draw = random.Random(11)
    shapes = [["--preset", p] for p in ("simple", "simple-rwkv", "simple-mamba", "simple-xlstm")]
    shapes += [["--architecture", "simple", "--features-in", str(f), "--hidden", str(h),
                "--outputs", str(o)] for f, h, o in ((1, 1, 1), (33, 30, 20), (256, 100, 300))]
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, "m%d" % i) for i in range(len(shapes))]
        for i, (path, words) in enumerate(zip(paths, shapes)):
            synth(path, words + ["--seed", str(i)], draw)
            for name in (path, path + ".0", path + ".1", path + ".2"):
                compare([name], draw)
        for k in ("", ".0", ".1", ".2"):
            compare([p + k for p in paths[:4]], draw)  # the presets take ten features
            compare([paths[2] + k, paths[0] + k], draw)
    print("%d shapes and their chains are equal" % len(shapes))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    TOOL = os.path.abspath(sys.argv[1])
    try:
        sys.exit(main())
    except Refused as e:
        sys.exit("not equal: %s" % e)
