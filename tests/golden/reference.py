#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second implementation of docs/arithmetic.md and docs/container.md, slow and plain.

It reads a model file, applies the step graph to token ids one by one and prints the logits of the
last token and a digest of the state. Texts become ids in tokenizer.py beside it, which does the
same for docs/tokenizer.md. Nothing here comes from the library: where both disagree, one of them
or the documents are wrong. Section numbers below are those of arithmetic.md if nothing else is
said. Every value is checked against the interval that the text derives for it.
"""

import argparse
import json
import math
import random
import re
import struct
import sys
from operator import mul as product
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from tokenizer import UNICODE, Vocabulary, blake2b, documents

MIN32, MAX32 = -(1 << 31), (1 << 31) - 1
ARITHMETIC = 1


class Refused(Exception):
    """The file, the ids or the state break a rule of the documents."""


def need(condition: bool, sentence: str) -> None:
    if not condition:
        raise Refused(sentence)


# ---- 1. Numbers and functions ----


def rsh(x: int, s: int) -> int:
    return (x + (1 << (s - 1))) >> s if s > 0 else x << -s


def clamp(x: int, lo: int, hi: int) -> int:
    return lo if x < lo else hi if x > hi else x


def sat(x: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return clamp(x, -half, half - 1)


def mulr(a: int, b: int) -> int:
    return rsh(a * b, 15)


def ex2(x: int) -> int:
    f, e = x & 65535, x >> 16
    q = f * f >> 16
    p = (1 << 48) - 1 - 2977044472 * f + q * (1030100796 - 3526 * f + 466 * q)
    return p >> (33 + min(e, 30))


def ex2w(x: int) -> int:
    f, e = x & 65535, x >> 16
    t = 1021409
    for c in (9900009, 59386118, 257893817, 744257211, 1073741824):
        t = c - (t * f >> 16)
    return rsh(t, min(e, 32))


def ell(v: int) -> int:
    return rsh(ex2w((768 - clamp(v, -2816, 768)) << 8), 11)


def input_weight(x: int) -> int:
    return (1 << 18) - rsh(ex2w(x), 12)


def shear_t(rho: int) -> int:
    return rsh(rho * (3373226304 + rho * rho * (169203 + 11 * rho * rho)), 23)


def shear_s(rho: int) -> int:
    return rsh(rho * (1686634269 - rho * rho * (169312 - 5 * rho * rho)), 21)


def squareplus(x: int, f: int) -> int:
    return (x + math.isqrt(x * x + (4 << (2 * f)))) >> 1


def sigmoid(x: int) -> int:
    d = (abs(x) << 14) // (256 + abs(x))
    return (1 << 14) + d if x >= 0 else (1 << 14) - d


def self_test() -> None:
    """The examples of sections 1, 8 and 9."""
    assert [ex2(x) for x in (0, 32768, 65536, 98304)] == [32767, 23170, 16383, 11585]
    assert [ell(v) for v in (156, -960, -2816, 0, 768)] == [99982, 4871, 32, 65536, 1 << 19]
    assert [input_weight(x) for x in (0, 32, 65536, 1 << 19)] == [0, 89, 131072, 261120]
    assert (shear_t(16), shear_s(16), squareplus(100, 8)) == (6518, 12540, 310)
    assert (sigmoid(100), sigmoid(-256)) == (20986, 8192)
    assert philox(0, 0) == 0xE169C58D6627E8D5
    assert (lg2(3), lg2(5), lg2(10**9)) == (103872, 152170, 1959353)
    z = [4096, 8192, 0, 8192, -4096]
    assert (cost(z, 1), cost(z, 0)) == (88618, 183166)


# ---- 2. Values, types and intervals ----

TERNARY, I8, I16, I32, I64 = 1, 2, 3, 4, 5
BITS = {I8: 8, I16: 16, I32: 32, I64: 64}


class Type(NamedTuple):
    dtype: int
    frac: int
    rows: int
    cols: int
    lo: int
    hi: int

    def mag(self) -> int:
        return max(-self.lo, self.hi)


def whole(dtype: int) -> Tuple[int, int]:
    half = 1 << (BITS[dtype] - 1)
    return -half, half - 1


def narrow(lo: int, hi: int) -> int:
    for dtype in (I8, I16, I32, I64):
        if whole(dtype)[0] <= lo and hi <= whole(dtype)[1]:
            return dtype
    raise Refused("an interval needs more than 64 bits")


class Node:
    """One value of the step: a leaf (operation 0) or an operation on earlier nodes."""

    def __init__(self, op: int, kind: int, name: str, inputs: List["Node"], attrs: List[int]):
        self.op, self.kind, self.name = op, kind, name
        self.inputs, self.attrs = inputs, attrs
        self.number = -1
        self.type = Type(I32, 0, 1, 1, 0, 0)
        self.value: Any = None  # a list for a vector, a list of rows for a matrix
        self.memory: Any = None


# ---- 3. Operations: what inference derives, and the formula for one token ----


def bounded(lo: int, hi: int, dtype: int = I32) -> Tuple[int, int]:
    need(whole(dtype)[0] <= lo and hi <= whole(dtype)[1], "a result can leave its type")
    return lo, hi


def rsh_ok(mag: int, shift: int) -> None:
    need(-32 <= shift <= 62, "a shift is out of range")
    need(mag < 1 << 62 and (shift >= 0 or mag << -shift < 1 << 62), "rsh can overflow")


class Op:
    def infer(self, t: List[Type], a: List[int]) -> Type:
        raise NotImplementedError

    def start(self, node: Node) -> Any:
        """The memory at the start of a stream; None if the operation has none."""
        return None

    def step(self, node: Node, position: int) -> List[int]:
        raise NotImplementedError

    def pack(self, node: Node, position: int) -> bytes:
        return b""

    def unpack(self, node: Node, data: bytes, position: int) -> bytes:
        """Take this node's memory from the front of data and give back the rest."""
        return data


class Embed(Op):
    def infer(self, t, a):
        token, table = t
        need(token.dtype == I32 and token.cols == 1 and table.dtype != TERNARY, "embed: types")
        need(0 <= token.lo and token.hi < table.rows, "embed: a token has no row")
        return table._replace(rows=1)

    def step(self, node, position):
        token, table = node.inputs
        return table.value[token.value[0]]


class Matvec(Op):
    def infer(self, t, a):
        x, w = t
        need(x.dtype in (I8, I16) and w.dtype in (I8, TERNARY) and w.cols == x.cols,
             "matvec: types")
        b = x.mag() * w.mag() * x.cols
        lo, hi = bounded(-b, b)
        return Type(I32, x.frac, 1, w.rows, lo, hi)

    def step(self, node, position):
        x = node.inputs[0].value
        return [sum(map(product, row, x)) for row in node.inputs[1].value]


def rounded(x: Type, shifts: Tuple[int, ...], a: List[int]) -> Type:
    """The result of the three requant operations for the ends of their shifts."""
    _, lo, hi, frac = a
    need(lo <= hi, "requant: lo above hi")
    for s in shifts:
        rsh_ok(x.mag(), s)
    return Type(narrow(lo, hi), frac, 1, x.cols,
                min(clamp(rsh(x.lo, s), lo, hi) for s in shifts),
                max(clamp(rsh(x.hi, s), lo, hi) for s in shifts))


class Requant(Op):
    def infer(self, t, a):
        return rounded(t[0], (a[0],), a)

    def step(self, node, position):
        shift, lo, hi, _ = node.attrs
        return [clamp(rsh(x, shift), lo, hi) for x in node.inputs[0].value]


class RequantRows(Op):
    def infer(self, t, a):
        x, e = t
        need(e.dtype == I8 and e.cols == x.cols, "requant_rows: exponents")
        return rounded(x, (a[0] + e.lo, a[0] + e.hi), a)

    def step(self, node, position):
        shift, lo, hi, _ = node.attrs
        x, e = node.inputs
        return [clamp(rsh(v, shift + s), lo, hi) for v, s in zip(x.value, e.value)]


class RequantMul(Op):
    def infer(self, t, a):
        x, m, s = t
        need(m.dtype == I16 and m.cols == 1 and m.lo >= 0, "requant_mul: multiplier")
        need(s.dtype == I8 and s.cols == 1, "requant_mul: shift")
        x = x._replace(lo=min(x.lo, 0) * m.hi, hi=max(x.hi, 0) * m.hi)
        return rounded(x, (a[0] + s.lo, a[0] + s.hi), a)

    def step(self, node, position):
        shift, lo, hi, _ = node.attrs
        x, m, s = node.inputs
        m, s = m.value[0], s.value[0]
        return [clamp(rsh(v * m, shift + s), lo, hi) for v in x.value]


class Add(Op):
    def infer(self, t, a):
        p, q = t
        need(p.cols == q.cols and p.frac == q.frac, "add: types")
        lo, hi = bounded(p.lo + q.lo, p.hi + q.hi)
        return Type(I32, p.frac, 1, p.cols, lo, hi)

    def step(self, node, position):
        p, q = node.inputs
        return [x + y for x, y in zip(p.value, q.value)]


class Addsat(Op):
    def infer(self, t, a):
        p, q = t
        need(p.cols == q.cols and p.frac == q.frac and 2 <= a[0] <= 32, "addsat: types")
        return Type(I32, p.frac, 1, p.cols, sat(p.lo + q.lo, a[0]), sat(p.hi + q.hi, a[0]))

    def step(self, node, position):
        p, q = node.inputs
        return [sat(x + y, node.attrs[0]) for x, y in zip(p.value, q.value)]


class Mul(Op):
    def infer(self, t, a):
        p, q = t
        need(p.dtype in (I8, I16, I32) and q.dtype in (I8, I16) and q.rows == 1 and a[0] >= 1 and
             q.cols * a[0] == p.cols, "mul: types")
        m = p.mag() * q.mag()
        lo, hi = bounded(-m, m)
        return Type(I32, p.frac + q.frac, 1, p.cols, lo, hi)

    def step(self, node, position):
        p, q = node.inputs
        return [x * q.value[i // node.attrs[0]] for i, x in enumerate(p.value)]


class Slice(Op):
    def infer(self, t, a):
        offset, count = a
        need(offset >= 0 and count >= 1 and offset + count <= t[0].cols, "slice: range")
        return t[0]._replace(cols=count)

    def step(self, node, position):
        offset, count = node.attrs
        return node.inputs[0].value[offset:offset + count]


class Concat(Op):
    def infer(self, t, a):
        p, q = t
        need(p.dtype == q.dtype and p.frac == q.frac, "concat: types")
        return p._replace(cols=p.cols + q.cols, lo=min(p.lo, q.lo), hi=max(p.hi, q.hi))

    def step(self, node, position):
        return node.inputs[0].value + node.inputs[1].value


class Norm(Op):
    def infer(self, t, a):
        groups, frac, bits = a
        need(t[0].dtype in (I8, I16, I32) and 0 <= frac <= 14 and bits in (8, 16), "norm: types")
        need(groups >= 1 and t[0].cols % groups == 0 and t[0].cols // groups <= 32768,
             "norm: groups")
        dtype = I8 if bits == 8 else I16
        return Type(dtype, frac, 1, t[0].cols, *whole(dtype))

    def step(self, node, position):
        groups, frac, bits = node.attrs
        r = node.inputs[0].value
        d = len(r) // groups
        y: List[int] = []
        for start in range(0, len(r), d):
            part = r[start:start + d]
            b = max(0, max(max(x, -1 - x) for x in part).bit_length() - 15)
            q = [rsh(x, b) for x in part]
            ss = sum(map(product, q, q))
            y += [sat(v, bits) for v in self.scale(q, ss, d, frac)]
        return y

    def scale(self, q: List[int], ss: int, d: int, frac: int) -> List[int]:
        raise NotImplementedError


class NormRms(Norm):
    def scale(self, q, ss, d, frac):
        s = max(1, math.isqrt((ss << 16) // d))
        k = s.bit_length()
        m = min(32767, (1 << (14 + k)) // s)
        return [rsh(x * m, k + 6 - frac) for x in q]


class NormShift(Norm):
    def scale(self, q, ss, d, frac):
        e = 0
        while (ss << 16) >= (d << (2 * e + 1)):
            e += 1
        return [rsh(x, e - 8 - frac) for x in q]


class Gate(Op):
    def infer(self, t, a):
        x = t[0]
        need(x.dtype == I16 and x.frac == 8 and a[0] in (1, 2, 3), "gate: types")
        return Type(I32, 23, 1, x.cols, -(x.mag() << 15), (x.mag() + 256) << 15)

    def step(self, node, position):
        x = node.inputs[0].value
        if node.attrs[0] == 1:
            return [v * (clamp(v + 512, 0, 1024) << 5) for v in x]
        if node.attrs[0] == 2:
            return [v * sigmoid(v) for v in x]
        return [squareplus(v, 8) << 15 for v in x]


def plain_unpack(data: bytes, code: str, count: int, lo: int, hi: int) -> Tuple[List[int], bytes]:
    size = struct.calcsize("<" + code) * count
    need(len(data) >= size, "state: too short")
    values = list(struct.unpack("<%d%s" % (count, code), data[:size]))
    need(all(lo <= v <= hi for v in values), "state: an element is outside its interval")
    return values, data[size:]


class Conv(Op):
    def infer(self, t, a):
        p, w, e, bias = t
        need(p.dtype == I16 and w.dtype == I8 and (w.rows, w.cols) == (p.cols, 4), "conv: weight")
        need(e.dtype == I8 and e.cols == p.cols and -30 <= e.lo and e.hi <= 30, "conv: exponent")
        need(bias.dtype == I16 and bias.cols == p.cols, "conv: bias")
        return Type(I16, p.frac, 1, p.cols, *whole(I16))

    def start(self, node):
        return [[0] * node.type.cols for _ in range(3)]

    def step(self, node, position):
        p, w, e, bias = (n.value for n in node.inputs)
        rows = node.memory + [p]
        node.memory = rows[1:]
        return [sat(b + rsh(sum(map(product, taps, x)), s), 16)
                for taps, s, b, x in zip(w, e, bias, zip(*rows))]

    def pack(self, node, position):
        return b"".join(struct.pack("<%dh" % len(row), *row) for row in node.memory)

    def unpack(self, node, data, position):
        t = node.inputs[0].type
        for row in range(3):
            node.memory[row], data = plain_unpack(data, "h", t.cols, t.lo, t.hi)
        return data


class Decay(Op):
    def infer(self, t, a):
        dt, bias = t
        need(all(x.dtype == I16 and x.frac == 8 for x in t) and dt.cols == bias.cols and
             a[0] in (0, 1), "decay: types")
        return Type(I32, 16, 1, dt.cols, 0, 1 << 19)

    def step(self, node, position):
        dt, bias = node.inputs
        v = [sat(x + b, 16) for x, b in zip(dt.value, bias.value)]
        return [0 if node.attrs[0] and x <= -2816 else ell(x) for x in v]


class Turn(Op):
    def infer(self, t, a):
        need(t[0].dtype == I16 and t[0].frac == 8, "turn: types")
        return Type(I16, 8, 1, t[0].cols, 0, 255)

    def start(self, node):
        return [0] * node.type.cols

    def step(self, node, position):
        node.memory = [(a + rsh(p, 2)) % 256 for a, p in zip(node.memory, node.inputs[0].value)]
        return node.memory

    def pack(self, node, position):
        return bytes(node.memory)

    def unpack(self, node, data, position):
        node.memory, data = plain_unpack(data, "B", node.type.cols, 0, 255)
        return data


class Rotate(Op):
    def infer(self, t, a):
        bc, phi = t
        need(bc.dtype == I8 and bc.cols % 4 == 0 and 1 <= a[0] <= bc.cols // 4, "rotate: pairs")
        need(phi.dtype == I16 and phi.cols == a[0] and 0 <= phi.lo and phi.hi <= 255,
             "rotate: phases")
        return Type(I8, bc.frac, 1, bc.cols, *whole(I8))

    def step(self, node, position):
        bc, phi = node.inputs
        y = list(bc.value)
        half = len(y) // 2
        for k, angle in enumerate(phi.value):
            for first in (2 * k, half + 2 * k):
                y[first], y[first + 1] = self.pair(y[first], y[first + 1], angle)
        return y

    @staticmethod
    def pair(x: int, y: int, phi: int) -> Tuple[int, int]:
        x, y = x << 3, y << 3
        rho = ((phi + 32) & 63) - 32
        t, s = shear_t(rho), shear_s(rho)
        x = x - rsh(t * y, 15)
        y = y + rsh(s * x, 15)
        x = x - rsh(t * y, 15)
        for _ in range(((phi + 32) >> 6) & 3):
            x, y = -y, x
        return sat(rsh(x, 3), 8), sat(rsh(y, 3), 8)


class ScanMemory:
    """h by column of D, then the rows of the open chunk; xw by column too."""

    def __init__(self, heads: int, width: int, states: int):
        self.h = [[0] * states for _ in range(heads * width)]
        self.clear(heads * width)
        self.read_h()

    def clear(self, columns: int) -> None:
        self.b: List[List[int]] = []
        self.l: List[List[int]] = []
        self.xw: List[List[int]] = [[] for _ in range(columns)]

    def read_h(self) -> None:
        """rsh(h, 16) changes only where a chunk ends."""
        self.h16 = [[rsh(v, 16) for v in column] for column in self.h]


class Scan(Op):
    H_LIMIT = 18 << 26

    def infer(self, t, a):
        x, bc, l = t
        q, heads, width, states, hold = a
        need(1 <= q <= 256 and q & (q - 1) == 0 and 2 <= states <= 512 and
             states & (states - 1) == 0 and 1 <= width <= 256 and heads >= 1 and hold in (0, 1),
             "scan: attributes")
        need(x.dtype == I8 and x.frac == 5 and x.cols == heads * width, "scan: x")
        need(bc.dtype == I8 and bc.frac == 5 and bc.cols == 2 * states, "scan: bc")
        need(l.dtype == I32 and l.cols == heads and 0 <= l.lo and l.hi <= 1 << 19, "scan: l")
        b = (states << 20) * 129 // 128 + states * 18 * (1 << 16) + 2
        lo, hi = bounded(-b, b)
        return Type(I32, 14, 1, x.cols, lo, hi)

    def start(self, node):
        return ScanMemory(*node.attrs[1:4])

    @staticmethod
    def keep(l: int, hold: int) -> int:
        return 1 << 15 if hold and l == 0 else ex2(l)

    def step(self, node, position):
        q, heads, width, states, hold = node.attrs
        x, bc, l = (n.value for n in node.inputs)
        m, i, sn = node.memory, position % q, states.bit_length() - 2
        need(len(m.b) == i, "scan: the open chunk does not fit the position")
        c = bc[states:]
        m.b.append(bc[:states])
        m.l.append([v + (m.l[i - 1][k] if i > 0 else 0) for k, v in enumerate(l)])
        s = [sat(rsh(sum(map(product, c, b)), sn), 16) for b in m.b]
        y: List[int] = []
        for k in range(heads):
            weight = input_weight(l[k])
            last = m.l[i][k]
            mixed = [mulr(v, ex2(last - row[k])) for v, row in zip(s, m.l)]
            kept = self.keep(last, hold)
            for p in range(k * width, (k + 1) * width):
                m.xw[p].append(sat(rsh(x[p] * weight, 10), 16))
                inner = sum(map(product, mixed, m.xw[p]))
                outer = sum(map(product, c, m.h16[p]))
                y.append(rsh(inner, 9 - sn) + rsh(outer * kept, 16))
        if i == q - 1:
            self.fold(node)
        return y

    def fold(self, node):
        q, heads, width, states, hold = node.attrs
        m = node.memory
        b = list(zip(*m.b))
        for k in range(heads):
            last = m.l[-1][k]
            factors = [ex2(last - row[k]) for row in m.l]
            kept = self.keep(last, hold)
            for p in range(k * width, (k + 1) * width):
                xe = list(map(mulr, m.xw[p], factors))
                m.h[p] = [rsh(v * kept + (sum(map(product, column, xe)) << 23), 15)
                          for v, column in zip(m.h[p], b)]
                need(max(map(abs, m.h[p])) < self.H_LIMIT, "scan: h left its interval")
        m.clear(heads * width)
        m.read_h()

    def pack(self, node, position):
        q, heads, width, states, _ = node.attrs
        m, empty = node.memory, q - 1 - position % q
        out = []
        for k in range(heads):
            columns = m.h[k * width:(k + 1) * width]
            out += [struct.pack("<%di" % width, *row) for row in zip(*columns)]
        out += [struct.pack("<%db" % states, *row) for row in m.b]
        out.append(bytes(empty * states))
        out += [struct.pack("<%dh" % (heads * width), *row) for row in zip(*m.xw)]
        out.append(bytes(2 * empty * heads * width))
        out += [struct.pack("<%dI" % heads, *row) for row in m.l]
        out.append(bytes(4 * empty * heads))
        return b"".join(out)

    def unpack(self, node, data, position):
        q, heads, width, states, _ = node.attrs
        m, used = node.memory, position % q
        edge = self.H_LIMIT - 1
        h, data = plain_unpack(data, "i", heads * states * width, -edge, edge)
        for k in range(heads):
            for p in range(width):
                start = k * states * width + p
                m.h[k * width + p] = h[start:start + states * width:width]
        m.read_h()
        b, data = plain_unpack(data, "b", (q - 1) * states, -128, 127)
        xw, data = plain_unpack(data, "h", (q - 1) * heads * width, *whole(I16))
        l, data = plain_unpack(data, "I", (q - 1) * heads, 0, q << 19)
        need(not any(b[used * states:]) and not any(xw[used * heads * width:]) and
             not any(l[used * heads:]), "state: an unused row is not zero")
        m.b = [b[j * states:(j + 1) * states] for j in range(used)]
        m.l = [l[j * heads:(j + 1) * heads] for j in range(used)]
        m.xw = [xw[p:used * heads * width:heads * width] for p in range(heads * width)]
        for j in range(used):
            for k in range(heads):
                step = m.l[j][k] - (m.l[j - 1][k] if j > 0 else 0)
                need(step == 0 or 32 <= step <= 1 << 19, "state: a running decay falls or jumps")
                weight = input_weight(step)
                lo, hi = (sat(rsh(x * weight, 10), 16) for x in (-128, 127))
                need(all(lo <= m.xw[p][j] <= hi for p in range(k * width, (k + 1) * width)),
                     "state: a weighted input is out of bounds")
        return data


class Argmax(Op):
    def infer(self, t, a):
        return Type(I32, 0, 1, 1, 0, t[0].cols - 1)

    def step(self, node, position):
        x = node.inputs[0].value
        return [x.index(max(x))]


OPS = [Embed(), Matvec(), Requant(), RequantRows(), RequantMul(), Add(), Addsat(), Mul(), Slice(),
       Concat(), NormRms(), NormShift(), Gate(), Conv(), Decay(), Turn(), Rotate(), Scan(),
       Argmax()]
NAMES = ("embed matvec requant requant_rows requant_mul add addsat mul slice concat norm_rms "
         "norm_shift gate conv decay turn rotate scan argmax").split()


# ---- 4. The step graph ----


class Graph:
    def __init__(self, vocabulary: int):
        self.nodes: List[Node] = []
        self.position = 0
        self.token = self.leaf(1, "", Type(I32, 0, 1, 1, 0, vocabulary - 1))
        self.logits = self.argmax = self.token

    def append(self, node: Node) -> Node:
        node.number = len(self.nodes)
        self.nodes.append(node)
        return node

    def leaf(self, kind: int, name: str, value_type: Type) -> Node:
        node = self.append(Node(0, kind, name, [], []))
        node.type = value_type
        return node

    def parameter(self, name: str, *value_type: int) -> Node:
        return self.leaf(2, name, Type(*value_type))

    def apply(self, name: str, *inputs: Node, attrs: Tuple[int, ...] = ()) -> Node:
        number = NAMES.index(name) + 1
        node = self.append(Node(number, 0, name, list(inputs), list(attrs)))
        node.type = OPS[number - 1].infer([n.type for n in inputs], node.attrs)
        return node

    def canonical(self) -> bytes:
        out = [b"mambaint-graph", struct.pack("<II", ARITHMETIC, len(self.nodes))]
        for n in self.nodes:
            out.append(struct.pack("<I", n.op))
            if n.op == 0:
                name = n.name.encode()
                out.append(struct.pack("<II", n.kind, len(name)) + name)
            out += [struct.pack("<I", i.number) for i in n.inputs]
            out += [struct.pack("<i", a) for a in n.attrs]
            t = n.type
            out.append(struct.pack("<IIIIqq", t.dtype, t.frac, t.rows, t.cols, t.lo, t.hi))
        out.append(struct.pack("<II", self.logits.number, self.argmax.number))
        return b"".join(out)

    def digest(self) -> bytes:
        return blake2b(self.canonical())

    def parameters(self) -> List[Node]:
        return [n for n in self.nodes if n.kind == 2]

    def reset(self) -> None:
        self.position = 0
        for n in self.nodes:
            n.memory = OPS[n.op - 1].start(n) if n.op else None

    def feed(self, token: int) -> List[int]:
        """Apply the step once and give the logits."""
        need(0 <= token <= self.token.type.hi, "token %d is not in the vocabulary" % token)
        self.token.value = [token]
        for n in self.nodes:
            if n.op == 0:
                continue
            n.value = OPS[n.op - 1].step(n, self.position)
            need(len(n.value) == n.type.cols and n.type.lo <= min(n.value) and
                 max(n.value) <= n.type.hi, "node %d, %s, left its interval" % (n.number, n.name))
        self.position += 1
        return self.logits.value

    def pack(self) -> bytes:
        return b"".join(OPS[n.op - 1].pack(n, self.position) for n in self.nodes if n.op)

    def unpack(self, data: bytes, position: int) -> None:
        self.reset()
        for n in self.nodes:
            if n.op:
                data = OPS[n.op - 1].unpack(n, data, position)
        need(not data, "state: too long")
        self.position = position


# ---- 5. The Mamba-Integer step ----


class Config(NamedTuple):
    layers: int
    d: int
    vocabulary: int
    heads: int
    width: int
    states: int
    chunk: int
    pairs: int
    hold: int
    norm: str
    gate: int
    weights: str
    head_weights: str
    tied: bool


def mamba_integer(c: Config) -> Graph:
    inner = c.heads * c.width
    channels = inner + 2 * c.states
    g = Graph(c.vocabulary)

    def q8(name: str, n: int) -> Node:
        return g.parameter(name, I16, 8, 1, n, -32767, 32767)

    def projection(name: str, rows: int, cols: int, weights: str) -> Dict[str, Node]:
        if weights == "int8":
            return {"exponent": g.parameter(name + ".exponent", I8, 0, 1, rows, -8, 15),
                    "weight": g.parameter(name + ".weight", I8, 0, rows, cols, -127, 127)}
        return {"exponent": g.parameter(name + ".exponent", I8, 0, 1, 1, 4, 40),
                "scale": g.parameter(name + ".scale", I16, 0, 1, 1, 16384, 32767),
                "weight": g.parameter(name + ".weight", TERNARY, 0, rows, cols, -1, 1)}

    def project(x: Node, w: Dict[str, Node], *attrs: int) -> Node:
        acc = g.apply("matvec", x, w["weight"])
        if "scale" in w:
            return g.apply("requant_mul", acc, w["scale"], w["exponent"], attrs=attrs)
        return g.apply("requant_rows", acc, w["exponent"], attrs=attrs)

    def normalise(x: Node, gain: str) -> Node:
        if c.norm == "rms":
            return g.apply("norm_rms", x, attrs=(1, 5, 8))
        n = g.apply("norm_shift", x, attrs=(1, 10, 16))
        m = g.apply("mul", n, q8(gain, c.d), attrs=(1,))
        return g.apply("requant", m, attrs=(13, -128, 127, 5))

    def block(r: Node, blk: str) -> Node:
        w_in = projection(blk + "ssm_in", inner + channels + c.heads + c.pairs, c.d, c.weights)
        n = normalise(r, blk + "norm.gain")
        p = project(n, w_in, -3, -32768, 32767, 8)
        u = g.apply("slice", p, attrs=(inner, channels))
        ce = g.parameter(blk + "ssm_conv1d.exponent", I8, 0, 1, channels, -8, 10)
        cb = q8(blk + "ssm_conv1d.bias", channels)
        cw = g.parameter(blk + "ssm_conv1d.weight", I8, 0, channels, 4, -127, 127)
        u = g.apply("conv", u, cw, ce, cb)
        u = g.apply("gate", u, attrs=(c.gate,))
        u = g.apply("requant", u, attrs=(18, -128, 127, 5))
        bc = g.apply("slice", u, attrs=(inner, 2 * c.states))
        if c.pairs > 0:
            a = g.apply("slice", p, attrs=(inner + channels + c.heads, c.pairs))
            phi = g.apply("turn", a)
            bc = g.apply("rotate", bc, phi, attrs=(c.pairs,))
        x = g.apply("slice", u, attrs=(0, inner))
        dt = g.apply("slice", p, attrs=(inner + channels, c.heads))
        db = q8(blk + "ssm_dt.bias", c.heads)
        s = q8(blk + "ssm_d", c.heads)
        l = g.apply("decay", dt, db, attrs=(c.hold,))
        y = g.apply("scan", x, bc, l, attrs=(c.chunk, c.heads, c.width, c.states, c.hold))
        k = g.apply("mul", x, s, attrs=(c.width,))
        k = g.apply("requant", k, attrs=(-1, MIN32, MAX32, 14))
        y = g.apply("add", y, k)
        z = g.apply("slice", p, attrs=(0, inner))
        y = g.apply("norm_rms" if c.norm == "rms" else "norm_shift", y, attrs=(c.heads, 8, 16))
        z = g.apply("requant", z, attrs=(0, -2047, 2047, 8))
        z = g.apply("gate", z, attrs=(c.gate,))
        z = g.apply("requant", z, attrs=(12, -32768, 32767, 11))
        m = g.apply("mul", y, z, attrs=(1,))
        m = g.apply("requant", m, attrs=(15, -128, 127, 4))
        w_out = projection(blk + "ssm_out", c.d, inner, c.weights)
        o = project(m, w_out, -6, MIN32, MAX32, 10)
        return g.apply("addsat", r, o, attrs=(24,))

    table = g.parameter("token_embd.weight", I8, 5, c.vocabulary, c.d, -127, 127)
    r = g.apply("requant", g.apply("embed", g.token, table), attrs=(-5, MIN32, MAX32, 10))
    for layer in range(c.layers):
        r = block(r, "blk.%d." % layer)
    n = normalise(r, "output_norm.gain")
    edges = (-(1 << 27), (1 << 27) - 1, 12)
    if c.tied:
        g.logits = g.apply("requant", g.apply("matvec", n, table), attrs=(-2,) + edges)
    else:
        head = projection("output", c.vocabulary, c.d, c.head_weights)
        g.logits = project(n, head, -7, *edges)
    g.argmax = g.apply("argmax", g.logits)
    return g


# ---- 8. Sampling and 9. evaluation ----


def philox(seed: int, position: int) -> int:
    low = (1 << 32) - 1
    k0, k1 = seed & low, seed >> 32
    x0, x1, x2, x3 = position & low, position >> 32, 0, 0
    for _ in range(10):
        a, b = x0 * 0xD2511F53, x2 * 0xCD9E8D57
        x0, x1, x2, x3 = (b >> 32) ^ x1 ^ k0, b & low, (a >> 32) ^ x3 ^ k1, a & low
        k0, k1 = (k0 + 0x9E3779B9) & low, (k1 + 0xBB67AE85) & low
    return x0 + (x1 << 32)


class Sampler(NamedTuple):
    seed: int = 0
    temperature: int = 0  # Q8
    top_k: int = 0
    top_p: int = 65536  # Q16
    min_p: int = 0  # Q16
    penalty: int = 0  # Q12
    last: int = 64  # how many of the last ids the penalty looks at


def sample(z: List[int], settings: Sampler, ids: List[int], position: int) -> int:
    z = list(z)
    for i in set(ids[-settings.last:] if settings.last else []):
        z[i] -= settings.penalty
    order = sorted(range(len(z)), key=lambda i: (-z[i], i))
    if settings.temperature == 0:
        return order[0]
    k = (94548 * 256) // settings.temperature
    order = order[:settings.top_k] if settings.top_k else order
    weights = [ex2w(min(((z[order[0]] - z[i]) * k) >> 12, 1 << 21)) for i in order]
    total, running, kept = sum(weights), 0, 0
    for w in weights:
        if kept and (w << 16 < settings.min_p << 30 or running << 16 >= settings.top_p * total):
            break
        running += w
        kept += 1
    x = philox(settings.seed, position) * running >> 64
    running = 0
    for i, w in zip(order[:kept], weights):
        running += w
        if running > x:
            return i
    raise AssertionError("a draw above the total")


def lg2(x: int) -> int:
    n = x.bit_length() - 1
    m = x >> (n - 31) if n > 31 else x << (31 - n)
    y = n
    for _ in range(17):
        b = (m * m) >> 63
        m = (m * m) >> (31 + b)
        y = 2 * y + b
    return rsh(y, 1)


def cost(z: List[int], token: int) -> int:
    top = max(z)
    u = [((top - v) * 94548) >> 12 for v in z]
    return u[token] + lg2(sum(ex2w(min(v, 1 << 21)) for v in u)) - (30 << 16)


# ---- container.md ----

U32, BOOL, STRING, ARRAY, INT32 = 4, 7, 8, 9, 5
FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q",
         12: "d"}
ELEMENT = {24: ("b", 1), 25: ("h", 2), 26: ("i", 4), 0: ("f", 4)}
PRINTABLE = re.compile(rb"[\x21-\x7e]+\Z")


class Tensor(NamedTuple):
    dims: Tuple[int, ...]  # columns, rows; one number for a vector
    kind: int
    at: int  # from the start of the file
    data: memoryview


def align(n: int) -> int:
    return (n + 63) // 64 * 64


class Container:
    """container.md, sections 1 and 2: structure, keys, tensors, digest."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0
        self.keys: Dict[str, Tuple[int, Any]] = {}
        self.tensors: Dict[str, Tensor] = {}
        self.digest_at = self.header_size = 0
        need(self.take(4) == b"GGUF", "not a GGUF file")
        need(self.number("I") == 3, "not version 3")
        n_tensors, n_keys = self.number("Q"), self.number("Q")
        need(n_tensors <= 65536 and n_keys <= 16384, "too many keys or tensors")
        left = len(data) - self.at
        need(14 * n_keys <= left and 33 * n_tensors <= left, "more entries than bytes")
        for _ in range(n_keys):
            name = self.name(127)
            need(name not in self.keys, "key %s occurs twice" % name)
            kind = self.number("I")
            self.keys[name] = (kind, self.value(kind))
            if name == "mambaint.digest":
                self.digest_at = self.at - 64
        infos = [self.info() for _ in range(n_tensors)]
        self.header_size = self.at
        self.zeros(align(self.at))
        self.place(infos)
        need(self.at == len(data), "bytes behind the end")
        digest = self.text("mambaint.digest")
        need(re.fullmatch("[0-9a-f]{64}", digest) is not None, "mambaint.digest: 64 digits")
        need(self.digest(data) == digest, "the digest does not match")

    def take(self, n: int) -> bytes:
        need(n <= len(self.data) - self.at, "the file ends too early")
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def name(self, limit: int) -> str:
        text = self.take(self.number("Q"))
        need(1 <= len(text) <= limit and PRINTABLE.match(text) is not None, "a malformed name")
        return text.decode("ascii")

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.take(self.number("Q"))
        if kind == ARRAY:
            element, count = self.number("I"), self.number("Q")
            need(element != ARRAY and (element == STRING or element in FIXED), "an array's type")
            size = 8 if element == STRING else struct.calcsize("<" + FIXED[element])
            need(count <= (len(self.data) - self.at) // size, "an array passes the end")
            return element, [self.value(element) for _ in range(count)]
        need(kind in FIXED, "an unknown value type")
        value = self.number(FIXED[kind])
        need(kind != BOOL or value in (0, 1), "a bool other than 0 or 1")
        return value

    def info(self) -> Tuple[str, Tuple[int, ...], int, int]:
        name = self.name(64)
        n_dims = self.number("I")
        need(n_dims in (1, 2), "tensor %s has %d dimensions" % (name, n_dims))
        dims = tuple(self.number("Q") for _ in range(n_dims))
        return name, dims, self.number("I"), self.number("Q")

    def zeros(self, end: int) -> None:
        need(not any(self.take(end - self.at)), "padding is not zero")

    def place(self, infos: List[Tuple[str, Tuple[int, ...], int, int]]) -> None:
        start = self.at
        view = memoryview(self.data)
        for name, dims, kind, offset in infos:
            need(name not in self.tensors, "tensor %s occurs twice" % name)
            need(kind in (24, 25, 26), "tensor %s has type %d" % (name, kind))
            size = math.prod(dims) * ELEMENT[kind][1]
            need(min(dims) > 0 and size < 1 << 63, "tensor %s has no size" % name)
            need(offset == self.at - start, "tensor %s has a wrong offset" % name)
            need(size <= len(self.data) - self.at, "tensor %s passes the end" % name)
            self.tensors[name] = Tensor(dims, kind, self.at, view[self.at:self.at + size])
            self.at += size
            self.zeros(start + align(self.at - start))

    def digest(self, data: bytes) -> str:
        """The digest of data, which has the layout of this file."""
        header = bytearray(data[:self.header_size])
        header[self.digest_at:self.digest_at + 64] = b"0" * 64
        hashes = [blake2b(data[t.at:t.at + len(t.data)]) for t in self.tensors.values()]
        return blake2b(bytes(header) + b"".join(hashes)).hex()

    def key(self, name: str, kind: int) -> Any:
        need(name in self.keys, "key %s is missing" % name)
        found, value = self.keys[name]
        need(found == kind, "key %s has type %d instead of %d" % (name, found, kind))
        return value

    def text(self, name: str) -> str:
        try:
            return self.key(name, STRING).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("key %s is no UTF-8" % name)

    def u32(self, name: str, lo: int, hi: int) -> int:
        value = self.key(name, U32)
        need(lo <= value <= hi, "key %s is %d, not in [%d, %d]" % (name, value, lo, hi))
        return value

    def choice(self, name: str, *values: str) -> str:
        value = self.text(name)
        need(value in values, "key %s is %r" % (name, value))
        return value

    def array(self, name: str, most: int, *elements: int) -> List[Any]:
        found, values = self.key(name, ARRAY)
        need(found in elements, "key %s: elements of type %d" % (name, found))
        need(len(values) <= most, "key %s is too long" % name)
        return values


def spelling() -> Dict[str, int]:
    """The code points of the byte spelling (container.md, section 4)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [b for b in range(256) if b not in plain]
    table = {chr(b): b for b in plain}
    table.update({chr(0x100 + i): b for i, b in enumerate(other)})
    return table


class Tokenizer(Vocabulary):
    """container.md, section 4."""

    KEYS = {"tokenizer.ggml." + k for k in
            "model pre tokens token_type merges bos_token_id eos_token_id".split()}
    ROLES = ["mambaint.role." + r for r in ("system", "user", "assistant", "end")]

    def __init__(self, f: Container):
        f.choice("tokenizer.ggml.model", "gpt2")
        pre = f.choice("tokenizer.ggml.pre", "gpt-2", "cl100k")
        f.choice("mambaint.unicode", UNICODE)
        stored = f.array("tokenizer.ggml.tokens", 131072, STRING)
        self.types = f.array("tokenizer.ggml.token_type", 131072, INT32, U32)
        need(len(stored) >= 257 and len(self.types) == len(stored), "the number of tokens")
        need(len(set(stored)) == len(stored), "two tokens are spelled alike")
        self.byte_of = spelling()
        self.tokens = [self.read(s, t) for s, t in zip(stored, self.types)]
        self.end = f.u32("tokenizer.ggml.bos_token_id", 0, len(stored) - 1)
        need(f.u32("tokenizer.ggml.eos_token_id", 0, len(stored) - 1) == self.end,
             "two different ends of text")
        self.roles = [f.u32(k, 0, len(stored) - 1) if k in f.keys else -1 for k in self.ROLES]
        named = [self.end] + [r for r in self.roles if r >= 0]
        need(len(set(named)) == len(named) and all(self.types[i] == 3 for i in named),
             "roles are different control tokens")
        super().__init__(pre, bool(f.key("mambaint.nfc", BOOL)), self.tokens, self.types,
                         self.read_merges(f, stored), self.end, self.roles)

    def read(self, stored: bytes, kind: int) -> bytes:
        need(kind in (1, 3, 5), "a token's type")
        try:
            text = stored.decode("utf-8")
            token = bytes(self.byte_of[c] for c in text) if kind == 1 else stored
        except (UnicodeDecodeError, KeyError):
            raise Refused("a token is misspelled")
        need(1 <= len(token) <= 256, "a token's length")
        need(kind == 1 or all(ord(c) >= 0x20 and c != "\x7f" for c in text), "a control code")
        return token

    def read_merges(self, f: Container, stored: List[bytes]) -> List[Tuple[int, int]]:
        normal = {s: i for i, (s, t) in enumerate(zip(stored, self.types)) if t == 1}
        single = {self.tokens[i] for i in normal.values() if len(self.tokens[i]) == 1}
        need(len(single) == 256, "a byte is no normal token")
        merges = []
        for merge in f.array("tokenizer.ggml.merges", 1048576, STRING):
            left, space, right = merge.partition(b" ")
            need(space == b" " and left in normal and right in normal and left + right in normal,
                 "a merge of unknown tokens")
            merges.append((normal[left], normal[right]))
        need(len(set(merges)) == len(merges), "a merge occurs twice")
        return merges


class Model:
    """container.md, section 3: configuration, weights, digests; ready to take tokens."""

    ARCH = "mamba-integer"
    GATES = {"hard": 1, "algebraic": 2, "squareplus": 3}
    NUMBERS = ("block_count embedding_length vocab_size ssm.inner_size ssm.head_count "
               "ssm.state_size ssm.group_count ssm.conv_kernel ssm.chunk ssm.rotation_pairs "
               "ssm.hold norm gate weights head_weights tied_head").split()
    KEYS = {"mamba-integer." + k for k in NUMBERS} | set(Tokenizer.ROLES) | {
        "mambaint.profile", "mambaint.digest", "mambaint.arithmetic", "mambaint.unicode",
        "mambaint.nfc"}

    def __init__(self, data: bytes):
        self.file = f = Container(data)
        f.u32("general.alignment", 64, 64)
        f.u32("mambaint.profile", 1, 1)
        f.u32("mambaint.arithmetic", ARITHMETIC, ARITHMETIC)
        f.choice("general.architecture", self.ARCH)
        if "general.type" in f.keys:
            f.choice("general.type", "model")
        for k in ("general.name", "general.license"):
            if k in f.keys:
                f.text(k)
        for k in f.keys:
            need(k in self.KEYS or not k.startswith(("mambaint.", self.ARCH + ".")),
                 "unknown key %s" % k)
        self.tokenizer = Tokenizer(f)
        self.config = self.read_config(f)
        self.graph = mamba_integer(self.config)
        self.load(f)
        self.graph.reset()
        self.graph_digest = self.graph.digest()
        self.digest = self.name(f)

    def read_config(self, f: Container) -> Config:
        mi = self.ARCH + "."
        inner = f.u32(mi + "ssm.inner_size", 1, 65536)
        heads = f.u32(mi + "ssm.head_count", 1, 1024)
        states = f.u32(mi + "ssm.state_size", 2, 512)
        chunk = f.u32(mi + "ssm.chunk", 1, 256)
        f.u32(mi + "ssm.group_count", 1, 1)
        f.u32(mi + "ssm.conv_kernel", 4, 4)
        need(inner % heads == 0 and inner // heads <= 256, "the width of a head")
        need(states & (states - 1) == 0 and chunk & (chunk - 1) == 0, "not a power of two")
        c = Config(f.u32(mi + "block_count", 1, 1024), f.u32(mi + "embedding_length", 1, 32768),
                   f.u32(mi + "vocab_size", 2, 131072), heads, inner // heads, states, chunk,
                   f.u32(mi + "ssm.rotation_pairs", 0, states // 2), f.key(mi + "ssm.hold", BOOL),
                   f.choice(mi + "norm", "rms", "bitshift"),
                   self.GATES[f.choice(mi + "gate", *self.GATES)],
                   f.choice(mi + "weights", "int8", "ternary"),
                   f.choice(mi + "head_weights", "int8", "ternary"),
                   bool(f.key(mi + "tied_head", BOOL)))
        need(not c.tied or c.head_weights == "int8", "a tied head is int8")
        need(c.vocabulary == len(self.tokenizer.tokens), "two sizes of the vocabulary")
        return c

    def load(self, f: Container) -> None:
        nodes = self.graph.parameters()
        need({n.name for n in nodes} == set(f.tensors), "the list of tensors")
        for n in nodes:
            t, x = n.type, f.tensors[n.name]
            row = (t.cols + 3) // 4 if t.dtype == TERNARY else t.cols
            vector = n.name.rpartition(".")[2] != "weight"
            need(x.dims == ((row,) if vector else (row, t.rows)), "the shape of %s" % n.name)
            need(x.kind == {TERNARY: 24, I8: 24, I16: 25}[t.dtype], "the type of %s" % n.name)
            code, size = ELEMENT[x.kind]
            values = list(struct.unpack("<%d%s" % (len(x.data) // size, code), x.data))
            rows = [values[i:i + row] for i in range(0, len(values), row)]
            if t.dtype == TERNARY:
                rows = [self.trits(r, t.cols) for r in rows]
            need(all(t.lo <= min(r) and max(r) <= t.hi for r in rows),
                 "%s leaves its interval" % n.name)
            n.value = rows[0] if vector else rows

    @staticmethod
    def trits(row: List[int], cols: int) -> List[int]:
        fields = [((byte >> shift) & 3) - 1 for byte in row for shift in (0, 2, 4, 6)]
        need(not any(fields[cols:]), "a field behind the last column is not 1")
        return fields[:cols]

    def name(self, f: Container) -> bytes:
        out = [self.graph_digest, self.tokenizer.digest()]
        for name in sorted(f.tensors, key=str.encode):
            out += [struct.pack("<Q", len(name)), name.encode(), blake2b(f.tensors[name].data)]
        return blake2b(b"".join(out))

    def redrawn(self, seed: int) -> bytes:
        """The same file with other weights: each tensor keeps its own, or has numbers from its
        whole interval, or only the ends of it, or zeros (the lowest, if 0 is outside)."""
        data, draw = bytearray(self.file.data), random.Random(seed)
        for n in self.graph.parameters():
            t, tensor = n.type, self.file.tensors[n.name]
            code, size = ELEMENT[tensor.kind]
            choices = draw.choice([None, range(t.lo, t.hi + 1), (t.lo, t.hi),
                                   (0 if t.lo <= 0 else t.lo,)])
            if choices is None:
                continue
            rows = [draw.choices(choices, k=t.cols) for _ in range(t.rows)]
            if t.dtype == TERNARY:
                rows = [self.packed_trits(r) for r in rows]
            flat = [v for row in rows for v in row]
            data[tensor.at:tensor.at + size * len(flat)] = struct.pack(
                "<%d%s" % (len(flat), code), *flat)
        at = self.file.digest_at
        data[at:at + 64] = self.file.digest(bytes(data)).encode()
        return bytes(data)

    @staticmethod
    def packed_trits(row: List[int]) -> List[int]:
        row = row + [0] * (-len(row) % 4)
        fields = zip(*[iter(row)] * 4)
        packed = bytes(sum((v + 1) << (2 * k) for k, v in enumerate(four)) for four in fields)
        return list(struct.unpack("<%db" % len(packed), packed))


def check_state(model: Model, data: bytes, ids: List[int]) -> None:
    """container.md, section 6: is this saved state the one that the model is in?"""
    g = model.graph
    head = struct.Struct("<8sII32s32sQQ")
    need(len(data) >= head.size + 32, "state: too short")
    magic, version, zero, name, tokenizer, n_graph, n_session = head.unpack_from(data)
    need((magic, version, zero) == (b"MBISTATE", 1, 0), "state: the head")
    need(name == model.digest, "state: the model digest differs")
    need(tokenizer == model.tokenizer.digest(), "state: the tokenizer digest differs")
    need(len(data) == head.size + n_graph + n_session + 32, "state: the sizes")
    need(blake2b(data[:-32]) == data[-32:], "state: its own digest")
    graph, session = data[head.size:head.size + n_graph], data[head.size + n_graph:-32]
    fixed = struct.Struct("<QIIII516s256i")
    vocabulary = model.config.vocabulary
    need(len(session) == fixed.size + 4 * vocabulary, "state: the size of its session part")
    position, phase, ended, kept, n_held, held, *history = fixed.unpack_from(session)
    logits = list(struct.unpack_from("<%di" % vocabulary, session, fixed.size))
    recent = ids[-256:]
    need(position == g.position, "state: the position differs")
    need(phase <= 3 and (phase > 0) == (position > 0) and ended <= 3 and kept <= 1,
         "state: a word of its session part")
    need(n_held <= (516 if kept else 260) and not any(held[n_held:]), "state: the held back bytes")
    need(history == recent + [0] * (256 - len(recent)), "state: the last ids differ")
    need(logits == (g.logits.value if position else [0] * vocabulary), "state: the logits differ")
    packed = g.pack()
    differing = [i for i, (a, b) in enumerate(zip(graph, packed)) if a != b]
    need(len(graph) == len(packed) and not differing,
         "state: %d of %d bytes of the graph part differ" % (len(differing), len(packed)))
    g.unpack(graph, position)
    need(g.pack() == packed, "state: reading and packing it again changes it")


def read_ids(words: List[str], path: Optional[str]) -> List[int]:
    if path:
        with open(path, encoding="ascii") as f:
            words = words + f.read().split()
    return [int(word) for word in words]


def read_text(model: Model, path: str) -> List[int]:
    """End of text and the text, as the first document of an evaluation without a separator."""
    with open(path, "rb") as f:
        return model.tokenizer.document(f.read(), False)


def score_text(model: Model, text: bytes) -> Dict[str, int]:
    """Section 9: the cost of a text, document by document."""
    bits = tokens = size = 0
    for document, separated in documents(text):
        ids = model.tokenizer.document(document, separated)
        model.graph.reset()
        for token, following in zip(ids, ids[1:]):
            bits += cost(model.graph.feed(token), following)
        tokens, size = tokens + len(ids) - 1, size + len(document)
    model.graph.reset()
    return {"bits_q16": bits, "tokens": tokens, "bytes": size}


def generate(model: Model, ids: List[int], count: int, settings: Sampler) -> List[int]:
    """Up to count tokens; the ends of a text or a turn end it and are not fed."""
    ends, start = (model.tokenizer.end, model.tokenizer.roles[3]), len(ids)
    while len(ids) < start + count:
        token = sample(model.graph.logits.value, settings, ids, model.graph.position)
        if token in ends:
            break
        model.graph.feed(token)
        ids.append(token)
    return ids[start:]


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description="logits and state of a model, from the documents alone")
    p.add_argument("model")
    p.add_argument("id", nargs="*", help="token ids to feed")
    p.add_argument("--ids", metavar="FILE", help="further ids, separated by blanks")
    p.add_argument("--text", metavar="FILE",
                   help="feed end of text and this text; ids that are given too must be the same")
    p.add_argument("--score-text", metavar="FILE",
                   help="only the cost of the documents of a text, each from the zero state")
    p.add_argument("--json", action="store_true", help="one JSON object")
    p.add_argument("--trace", metavar="FILE", help="write the logits after each token, a line each")
    p.add_argument("--state", metavar="FILE", help="compare a saved state with the end state")
    p.add_argument("--score", action="store_true", help="sum the costs of all ids but the first")
    p.add_argument("--redraw", metavar=("SEED", "FILE"), nargs=2,
                   help="only write the model with other weights, extreme ones among them")
    p.add_argument("--generate", metavar="N", type=int, default=0, help="go on for N tokens")
    for name, default in Sampler._field_defaults.items():
        p.add_argument("--" + name.replace("_", "-"), type=int, default=default,
                       help="sampler, in the fixed point of arithmetic.md 8 (%d)" % default)
    return p.parse_args()


def run(a: argparse.Namespace) -> Dict[str, Any]:
    with open(a.model, "rb") as f:
        model = Model(f.read())
    if a.redraw:
        with open(a.redraw[1], "wb") as f:
            f.write(model.redrawn(int(a.redraw[0])))
        return {"redrawn": a.redraw[1]}
    if a.score_text:
        with open(a.score_text, "rb") as f:
            return score_text(model, f.read())
    ids, g, bits, lines = read_ids(a.id, a.ids), model.graph, 0, []
    if a.text:
        text = read_text(model, a.text)
        need(ids in ([], text), "the ids are not those of the text")
        ids = text
    for n, token in enumerate(ids):
        if a.score and n > 0:
            need(0 <= token < model.config.vocabulary, "token %d is not in the vocabulary" % token)
            bits += cost(g.logits.value, token)
        g.feed(token)
        if a.trace:
            lines.append(" ".join(map(str, g.logits.value)) + "\n")
    if a.trace:
        with open(a.trace, "w", encoding="ascii") as f:
            f.writelines(lines)
    out: Dict[str, Any] = {}
    if a.generate:
        need(g.position > 0, "nothing was fed")
        settings = Sampler(*(getattr(a, name) for name in Sampler._fields))
        out["generated"] = generate(model, ids, a.generate, settings)
    if a.score:
        out["bits_q16"], out["tokens"] = bits, max(0, len(ids) - 1)
    if a.state:
        with open(a.state, "rb") as f:
            check_state(model, f.read(), ids)
    out.update(logits=g.logits.value if g.position else [],
               argmax=g.argmax.value[0] if g.position else None,
               state_blake2b=blake2b(g.pack()).hex(), model_digest=model.digest.hex(),
               graph_digest=model.graph_digest.hex(), position=g.position)
    return out


def main() -> int:
    self_test()
    a = arguments()
    try:
        out = run(a)
    except (Refused, OSError, ValueError) as e:
        print("reference: %s" % e, file=sys.stderr)
        return 1
    if a.json:
        print(json.dumps(out))
        return 0
    for name, value in out.items():
        print(name, " ".join(map(str, value)) if isinstance(value, list) else value)
    return 0


if __name__ == "__main__":
    sys.exit(main())
