#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes arithmetic_vectors.txt: worked examples of every operation of docs/arithmetic.md.

An evaluation of its own, written from that document with Python integers, which cannot overflow.
It never calls the library; tests/unit/test_golden_ops.c holds the kernels against its answers.

Usage: make_vectors.py >arithmetic_vectors.txt
       make_vectors.py --check FILE      status 1 if FILE is not what this program writes
"""
import hashlib
import sys
from collections import namedtuple
from math import isqrt

Type = namedtuple("Type", "dtype frac rows cols lo hi")
Field = namedtuple("Field", "name dtype count lo hi")  # of a state

DTYPES = {"ternary": 1, "i8": 2, "i16": 3, "i32": 4, "i64": 5}
WIDTH = {"i8": 8, "i16": 16, "i32": 32, "i64": 64}

# ---- section 1: primitive functions --------------------------------------------------------


def rsh(x, s):
    return (x + (1 << (s - 1))) >> s if s > 0 else x << -s


def clamp(x, lo, hi):
    return lo if x < lo else hi if x > hi else x


def sat(x, bits):
    return clamp(x, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def mulr(a, b):
    return rsh(a * b, 15)


def ex2(big_l):
    f, e = big_l & 65535, big_l >> 16
    q = f * f >> 16
    p = 2**48 - 1 - 2977044472 * f + q * (1030100796 - 3526 * f + 466 * q)
    return p >> (33 + min(e, 30))


def ex2w(big_l):
    f, e = big_l & 65535, big_l >> 16
    t = 1021409
    for c in (9900009, 59386118, 257893817, 744257211, 1073741824):
        t = c - (t * f >> 16)
    return rsh(t, min(e, 32))


def ell(v):
    return rsh(ex2w((768 - clamp(v, -2816, 768)) << 8), 11)


def input_weight(l):
    return (1 << 18) - rsh(ex2w(l), 12)


def shear_t(rho):
    return rsh(rho * (3373226304 + rho**2 * (169203 + 11 * rho**2)), 23)


def shear_s(rho):
    return rsh(rho * (1686634269 - rho**2 * (169312 - 5 * rho**2)), 21)


def squareplus(x, frac):
    return (x + isqrt(x * x + (4 << (2 * frac)))) >> 1


def sigmoid(x):
    d = (abs(x) << 14) // (256 + abs(x))
    return (1 << 14) + (d if x >= 0 else -d)


# ---- section 2: types ----------------------------------------------------------------------


def narrow(lo, hi):
    for dtype in ("i8", "i16", "i32"):
        if sat(lo, WIDTH[dtype]) == lo and sat(hi, WIDTH[dtype]) == hi:
            return dtype
    return "i64"


def magnitude(t):
    return max(-t.lo, t.hi)


def result(dtype, frac, cols, lo, hi):
    return Type(dtype, frac, 1, cols, lo, hi)


def fits_i32(lo, hi):
    if lo < -(2**31) or hi > 2**31 - 1:
        raise ValueError("may leave 32 bits")


# ---- section 3: operations -----------------------------------------------------------------
# An operation is a class of static functions:
#   infer(attr, types)               type of the output
#   fields(attr, types)              its memory of one stream, where it has any
#   step(attr, types, ins, state, i) one token: the output row; `state` is a list of lists, changed
#                                    in place; i is the absolute position. ins[k] is the row of a
#                                    value, or the rows of a parameter.


class embed:
    @staticmethod
    def infer(attr, types):
        return types[1]._replace(rows=1)

    @staticmethod
    def step(attr, types, ins, state, i):
        return list(ins[1][ins[0][0]])


class matvec:
    @staticmethod
    def infer(attr, types):
        x, w = types
        bound = magnitude(x) * magnitude(w) * x.cols
        fits_i32(-bound, bound)
        return result("i32", x.frac, w.rows, -bound, bound)

    @staticmethod
    def step(attr, types, ins, state, i):
        return [sum(a * b for a, b in zip(ins[0], row)) for row in ins[1]]


def infer_shifts(attr, x, lo, hi, smallest, largest):
    _, c_lo, c_hi, frac = attr
    low = min(clamp(rsh(lo, s), c_lo, c_hi) for s in (smallest, largest))
    high = max(clamp(rsh(hi, s), c_lo, c_hi) for s in (smallest, largest))
    return result(narrow(c_lo, c_hi), frac, x.cols, low, high)


class requant:
    @staticmethod
    def infer(attr, types):
        x = types[0]
        return infer_shifts(attr, x, x.lo, x.hi, attr[0], attr[0])

    @staticmethod
    def step(attr, types, ins, state, i):
        shift, lo, hi, _ = attr
        return [clamp(rsh(x, shift), lo, hi) for x in ins[0]]


class requant_rows:
    @staticmethod
    def infer(attr, types):
        x, e = types
        return infer_shifts(attr, x, x.lo, x.hi, attr[0] + e.lo, attr[0] + e.hi)

    @staticmethod
    def step(attr, types, ins, state, i):
        shift, lo, hi, _ = attr
        return [clamp(rsh(x, shift + e), lo, hi) for x, e in zip(ins[0], ins[1][0])]


class requant_mul:
    @staticmethod
    def infer(attr, types):
        x, m, s = types
        low, high = min(x.lo, 0) * m.hi, max(x.hi, 0) * m.hi
        return infer_shifts(attr, x, low, high, attr[0] + s.lo, attr[0] + s.hi)

    @staticmethod
    def step(attr, types, ins, state, i):
        shift, lo, hi, _ = attr
        m, s = ins[1][0][0], ins[2][0][0]
        return [clamp(rsh(x * m, shift + s), lo, hi) for x in ins[0]]


class add:
    @staticmethod
    def infer(attr, types):
        a, b = types
        fits_i32(a.lo + b.lo, a.hi + b.hi)
        return result("i32", a.frac, a.cols, a.lo + b.lo, a.hi + b.hi)

    @staticmethod
    def step(attr, types, ins, state, i):
        return [a + b for a, b in zip(*ins)]


class addsat:
    @staticmethod
    def infer(attr, types):
        a, b = types
        lo, hi = sat(a.lo + b.lo, attr[0]), sat(a.hi + b.hi, attr[0])
        return result("i32", a.frac, a.cols, lo, hi)

    @staticmethod
    def step(attr, types, ins, state, i):
        return [sat(a + b, attr[0]) for a, b in zip(*ins)]


class mul:
    @staticmethod
    def infer(attr, types):
        a, b = types
        bound = magnitude(a) * magnitude(b)
        fits_i32(-bound, bound)
        return result("i32", a.frac + b.frac, a.cols, -bound, bound)

    @staticmethod
    def step(attr, types, ins, state, i):
        b = ins[1] if not isinstance(ins[1][0], list) else ins[1][0]
        return [a * b[k // attr[0]] for k, a in enumerate(ins[0])]


class slice_:
    @staticmethod
    def infer(attr, types):
        return types[0]._replace(cols=attr[1])

    @staticmethod
    def step(attr, types, ins, state, i):
        return ins[0][attr[0]:attr[0] + attr[1]]


class concat:
    @staticmethod
    def infer(attr, types):
        a, b = types
        return a._replace(cols=a.cols + b.cols, lo=min(a.lo, b.lo), hi=max(a.hi, b.hi))

    @staticmethod
    def step(attr, types, ins, state, i):
        return ins[0] + ins[1]


def infer_norm(attr, types):
    groups, frac, bits = attr
    return result("i%d" % bits, frac, types[0].cols, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def groups_of(row, groups):
    d = len(row) // groups
    return [row[g * d:(g + 1) * d] for g in range(groups)]


def headroom(group):
    """The group in 16 bits, and the sum of its squares."""
    b = max(0, max(max(r, -1 - r) for r in group).bit_length() - 15)
    q = [rsh(r, b) for r in group]
    return q, sum(v * v for v in q)


class norm_rms:
    infer = staticmethod(infer_norm)

    @staticmethod
    def step(attr, types, ins, state, i):
        groups, frac, bits = attr
        out = []
        for group in groups_of(ins[0], groups):
            q, ss = headroom(group)
            s = max(1, isqrt((ss << 16) // len(group)))
            k = s.bit_length()
            m = min(32767, (1 << (14 + k)) // s)
            out += [sat(rsh(v * m, k + 6 - frac), bits) for v in q]
        return out


class norm_shift:
    infer = staticmethod(infer_norm)

    @staticmethod
    def step(attr, types, ins, state, i):
        groups, frac, bits = attr
        out = []
        for group in groups_of(ins[0], groups):
            q, ss = headroom(group)
            e = 0
            while (ss << 16) >= len(group) << (2 * e + 1):
                e += 1
            out += [sat(rsh(v, e - 8 - frac), bits) for v in q]
        return out


class gate:
    @staticmethod
    def infer(attr, types):
        m = magnitude(types[0])
        return result("i32", 23, types[0].cols, -(m << 15), (m + 256) << 15)

    @staticmethod
    def step(attr, types, ins, state, i):
        kind = {1: lambda x: x * (clamp(x + 512, 0, 1024) << 5),
                2: lambda x: x * sigmoid(x),
                3: lambda x: squareplus(x, 8) << 15}[attr[0]]
        return [kind(x) for x in ins[0]]


class conv:
    @staticmethod
    def infer(attr, types):
        return result("i16", types[0].frac, types[0].cols, -32768, 32767)

    @staticmethod
    def fields(attr, types):
        p = types[0]
        return [Field("conv", "i16", 3 * p.cols, p.lo, p.hi)]

    @staticmethod
    def step(attr, types, ins, state, i):
        p, w, e, bias = ins[0], ins[1], ins[2][0], ins[3][0]
        n, old = len(p), state[0]
        out = []
        for c in range(n):
            taps = [old[c], old[n + c], old[2 * n + c], p[c]]
            acc = sum(a * b for a, b in zip(w[c], taps))
            out.append(sat(bias[c] + rsh(acc, e[c]), 16))
        old[:] = old[n:] + p
        return out


class decay:
    @staticmethod
    def infer(attr, types):
        return result("i32", 16, types[0].cols, 0, 1 << 19)

    @staticmethod
    def step(attr, types, ins, state, i):
        out = []
        for dt, bias in zip(ins[0], ins[1][0]):
            v = sat(dt + bias, 16)
            out.append(0 if attr[0] and v <= -2816 else ell(v))
        return out


class turn:
    @staticmethod
    def infer(attr, types):
        return result("i16", 8, types[0].cols, 0, 255)

    @staticmethod
    def fields(attr, types):
        return [Field("phase", "i8", types[0].cols, -128, 127)]

    @staticmethod
    def step(attr, types, ins, state, i):
        phi = [(old + rsh(p, 2)) & 255 for old, p in zip(state[0], ins[0])]
        state[0][:] = [v - 256 if v > 127 else v for v in phi]  # the byte, read as signed
        return phi


def rotate_pair(x, y, phi):
    rho = ((phi + 32) & 63) - 32
    t, s = shear_t(rho), shear_s(rho)
    x -= mulr(t, y)
    y += mulr(s, x)
    x -= mulr(t, y)
    for _ in range((phi + 32) >> 6 & 3):
        x, y = -y, x
    return x, y


class rotate:
    @staticmethod
    def infer(attr, types):
        return result("i8", types[0].frac, types[0].cols, -128, 127)

    @staticmethod
    def step(attr, types, ins, state, i):
        out = list(ins[0])
        for half in (0, len(out) // 2):
            for k in range(attr[0]):
                at = half + 2 * k
                x, y = rotate_pair(out[at] << 3, out[at + 1] << 3, ins[1][k])
                out[at], out[at + 1] = sat(rsh(x, 3), 8), sat(rsh(y, 3), 8)
        return out


class scan:
    @staticmethod
    def infer(attr, types):
        n = attr[3]
        bound = (n << 20) * 129 // 128 + n * (18 << 16) + 2
        fits_i32(-bound, bound)
        return result("i32", 14, types[0].cols, -bound, bound)

    @staticmethod
    def fields(attr, types):
        chunk, heads, dim, n, _ = attr
        h_max = (18 << 26) - 1
        return [Field("h", "i32", heads * n * dim, -h_max, h_max),
                Field("slots.B", "i8", (chunk - 1) * n, -128, 127),
                Field("slots.xw", "i16", (chunk - 1) * heads * dim, -32768, 32767),
                Field("slots.L", "i32", (chunk - 1) * heads, 0, chunk << 19)]

    @staticmethod
    def step(attr, types, ins, state, pos):
        chunk, heads, dim, n_state, hold = attr
        x, bc, l = ins
        h, slot_b, slot_xw, slot_l = state
        i, width = pos % chunk, heads * dim
        s_n = n_state.bit_length() - 2
        b, c = bc[:n_state], bc[n_state:]

        def keep(big_l):
            return 1 << 15 if hold and big_l == 0 else ex2(big_l)

        # Rows 0 .. i of the chunk: those before this token from the slots, then this one.
        rows_b = [slot_b[j * n_state:(j + 1) * n_state] for j in range(i)] + [b]
        xw = [sat(rsh(x[k] * input_weight(l[k // dim]), 10), 16) for k in range(width)]
        rows_xw = [slot_xw[j * width:(j + 1) * width] for j in range(i)] + [xw]
        rows_l = [slot_l[j * heads:(j + 1) * heads] for j in range(i)]
        rows_l.append([l[k] + (rows_l[-1][k] if i else 0) for k in range(heads)])
        s16 = [sat(rsh(sum(u * v for u, v in zip(c, row)), s_n), 16) for row in rows_b]

        y = []
        for k in range(width):
            head, p = divmod(k, dim)
            total = rows_l[i][head]
            inside = sum(mulr(s16[j], ex2(total - rows_l[j][head])) * rows_xw[j][k]
                         for j in range(i + 1))
            carried = sum(c[n] * rsh(h[(head * n_state + n) * dim + p], 16)
                          for n in range(n_state))
            y.append(rsh(inside, 9 - s_n) + rsh(carried * keep(total), 16))

        if i + 1 < chunk:
            slot_b[i * n_state:(i + 1) * n_state] = b
            slot_xw[i * width:(i + 1) * width] = xw
            slot_l[i * heads:(i + 1) * heads] = rows_l[i]
            return y
        for k in range(width):
            head, p = divmod(k, dim)
            total = rows_l[i][head]
            xe = [mulr(rows_xw[j][k], ex2(total - rows_l[j][head])) for j in range(chunk)]
            for n in range(n_state):
                at = (head * n_state + n) * dim + p
                new = sum(rows_b[j][n] * xe[j] for j in range(chunk))
                h[at] = rsh(h[at] * keep(total) + (new << 23), 15)
        for slots in (slot_b, slot_xw, slot_l):
            slots[:] = [0] * len(slots)
        return y


class argmax:
    @staticmethod
    def infer(attr, types):
        return result("i32", 0, 1, 0, types[0].cols - 1)

    @staticmethod
    def step(attr, types, ins, state, i):
        return [ins[0].index(max(ins[0]))]


OPS = [None, embed, matvec, requant, requant_rows, requant_mul, add, addsat, mul, slice_, concat,
       norm_rms, norm_shift, gate, conv, decay, turn, rotate, scan, argmax]
NAMES = [op and op.__name__.rstrip("_") for op in OPS]
OP = dict(zip(NAMES[1:], OPS[1:]))


def run(name, attr, types, params, values, state, pos):
    """Consecutive tokens of one stream. values[k] holds the rows of input k, or None for a
    parameter, whose rows are params[k]."""
    out = []
    for t in range(len(values[0])):
        ins = [params[k] if v is None else list(v[t]) for k, v in enumerate(values)]
        row = OP[name].step(attr, types, ins, state, pos + t)
        typ = OP[name].infer(attr, types)
        assert all(typ.lo <= v <= typ.hi for v in row) and len(row) == typ.cols, name
        out.append(row)
    return out


# ---- the file ------------------------------------------------------------------------------

HEAD = """\
# Made by make_vectors.py, an evaluation of docs/arithmetic.md that shares no code with the library.
# A line is a word and what belongs to it; `data` lines that follow each other are one list.
#
# fn NAME ARGUMENT... = RESULT        a primitive function
#
# case OP LANES POS                   one operation over LANES consecutive tokens from position POS
# attr INT...                         its attributes in their order
# value DTYPE FRAC 1 COLS LO HI       an input: LANES x COLS elements follow
# param DTYPE FRAC ROWS COLS LO HI    a parameter: ROWS x COLS elements follow
# before NAME DTYPE COUNT LO HI       a field of the memory, its elements before; none: all zero
# out DTYPE FRAC 1 COLS LO HI         the type of the output; LANES x COLS elements follow
# after NAME DTYPE COUNT LO HI        the same field after the last lane
# end
#
# graph NAME                          a step graph; every line until `outputs` makes one value
# token VOCAB                         the token
# parameter NAME DTYPE FRAC ROWS COLS LO HI
# node OP N_IN IN... ATTR...
# outputs LOGITS ARGMAX
# hex DIGITS                          the canonical bytes; such lines that follow are one string
# digest DIGITS
# end
#
# model ARCHITECTURE NODES DIGEST     number of nodes and digest of the graph of a configuration
# flag KEY VALUE                      what its options are; the others are at their defaults
# end
#
# sample SEED TEMPERATURE TOP_K TOP_P MIN_P PENALTY POS = ID      the choice of a token
# logits INT...                       lines that follow each other are one list
# recent ID...
# end
#
# cost ID = BITS                      -log2 of the probability of a token, Q16
# logits INT...
# end
"""


class Noise:
    """SplitMix64: the same numbers in every version of Python."""

    def __init__(self, seed):
        self.state = seed

    def u64(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    def between(self, lo, hi):
        return lo + self.u64() % (hi - lo + 1)


class Writer:
    def __init__(self):
        self.lines = [HEAD]

    def line(self, *words):
        self.lines.append(" ".join(str(w) for w in words) + "\n")

    def words(self, word, items):
        """Items after `word`, on as many lines as they need."""
        at = word
        for item in map(str, items):
            if len(at) + 1 + len(item) > 100:
                self.lines.append(at + "\n")
                at = word
            at += " " + item
        self.lines.append(at + "\n")

    def rows(self, kind, t, rows):
        self.line(kind, t.dtype, t.frac, t.rows, t.cols, t.lo, t.hi)
        self.words("data", [v for row in rows for v in row])

    def fields(self, kind, fields, state):
        for f, elements in zip(fields, state):
            self.line(kind, *f)
            if elements:
                self.words("data", elements)


def value(dtype, frac, cols, lo=None, hi=None):
    bits = WIDTH[dtype]
    return Type(dtype, frac, 1, cols, -(1 << (bits - 1)) if lo is None else lo,
                (1 << (bits - 1)) - 1 if hi is None else hi)


def param(dtype, frac, rows, cols, lo=None, hi=None):
    if dtype == "ternary":
        return Type(dtype, frac, rows, cols, -1, 1)
    return value(dtype, frac, cols, lo, hi)._replace(rows=rows)


FILLS = {"noise": lambda noise, t, k: noise.between(t.lo, t.hi),
         "lo": lambda noise, t, k: t.lo,
         "hi": lambda noise, t, k: t.hi,
         "ends": lambda noise, t, k: (t.lo, t.hi)[noise.u64() % 2],
         "zero": lambda noise, t, k: clamp(0, t.lo, t.hi)}


def case(w, name, attr, inputs, lanes=None, pos=0, seed=0, warm=None):
    """inputs: (type, rows or a name of FILLS, is it a parameter). `warm` tokens from the position
    pos - warm make the state that the case starts from."""
    noise = Noise(seed * 1000 + len(w.lines))
    types = [t for t, _, _ in inputs]
    before = warm or 0
    if lanes is None:
        lanes = len(next(rows for _, rows, is_param in inputs if not is_param))
    data = []
    for t, rows, is_param in inputs:
        if isinstance(rows, str):
            n = t.rows if is_param else before + lanes
            rows = [[FILLS[rows](noise, t, k) for k in range(t.cols)] for _ in range(n)]
        assert all(t.lo <= v <= t.hi for row in rows for v in row)
        data.append(rows)
    params = [rows if is_param else None for rows, (_, _, is_param) in zip(data, inputs)]
    values = [None if is_param else rows for rows, (_, _, is_param) in zip(data, inputs)]
    fields = OP[name].fields(attr, types) if hasattr(OP[name], "fields") else []
    state = [[0] * f.count for f in fields]
    run(name, attr, types, params, [v and v[:before] for v in values], state, pos - before)

    w.line("case", name, lanes, pos)
    if attr:
        w.line("attr", *attr)
    for rows, (t, _, is_param) in zip(data, inputs):
        w.rows("param" if is_param else "value", t, rows if is_param else rows[before:])
    if before:
        w.fields("before", fields, state)
    out = run(name, attr, types, params, [v and v[before:] for v in values], state, pos)
    w.rows("out", OP[name].infer(attr, types), out)
    for f, elements in zip(fields, state):
        assert all(f.lo <= v <= f.hi for v in elements)
    w.fields("after", fields, state)
    w.line("end")


# ---- cases: the first of an operation is the worked example of the document ------------------


def embed_cases(w):
    case(w, "embed", [], [(value("i32", 0, 1, 0, 2), [[2], [0]], False),
                          (param("i8", 5, 3, 4, -127, 127),
                           [[1, -2, 3, -4], [10, 20, 30, 40], [-127, 0, 127, 32]], True)])
    case(w, "embed", [], [(value("i32", 0, 1, 0, 6), "noise", False),
                          (param("i16", 8, 7, 5), "noise", True)], lanes=9)


def matvec_cases(w):
    case(w, "matvec", [], [(value("i8", 5, 4), [[16, -32, 127, -128]], False),
                           (param("i8", 0, 2, 4, -127, 127),
                            [[1, 2, 3, 4], [-127, 127, -127, 127]], True)])
    case(w, "matvec", [], [(value("i8", 5, 5), [[10, -20, 30, -40, 50]], False),
                           (param("ternary", 0, 2, 5),
                            [[1, 0, -1, 1, 0], [-1, -1, 1, 1, 1]], True)])
    w_i8 = param("i8", 0, 3, 33, -127, 127)
    case(w, "matvec", [], [(value("i8", 5, 33), "noise", False), (w_i8, "noise", True)], lanes=3)
    case(w, "matvec", [], [(value("i16", 8, 33), "ends", False), (w_i8, "ends", True)], lanes=2)
    case(w, "matvec", [], [(value("i8", 5, 70), "ends", False),
                           (param("ternary", 0, 3, 70), "noise", True)], lanes=2)


def requant_cases(w):
    x = [[-12, -4, -3, 0, 3, 4, 11, 12, 1000, -1000]]
    case(w, "requant", [3, -100, 100, 5], [(value("i32", 8, 10, -1000, 1000), x, False)])
    for attr in ([18, -128, 127, 5], [15, -128, 127, 4], [12, -32768, 32767, 11],
                 [0, 0, 127, 5], [31, -128, 127, 4]):
        case(w, "requant", attr, [(value("i32", 23, 12), "noise", False)], lanes=2)
    case(w, "requant", [-5, -8388608, 8388607, 10],
         [(value("i8", 5, 12, -127, 127), "noise", False)], lanes=2)
    case(w, "requant", [0, -2047, 2047, 8], [(value("i16", 8, 12), "noise", False)], lanes=2)


def requant_rows_cases(w):
    case(w, "requant_rows", [-3, -32768, 32767, 8],
         [(value("i32", 5, 4, -100000, 100000), [[1000, -1000, 100000, 7]], False),
          (param("i8", 0, 1, 4, -8, 15), [[4, 4, 3, -8]], True)])
    for attr in ([-3, -32768, 32767, 8], [-6, -(2**31), 2**31 - 1, 10],
                 [-7, -134217728, 134217727, 12]):
        case(w, "requant_rows", attr,
             [(value("i32", 5, 13), "noise", False),
              (param("i8", 0, 1, 13, -8, 15), "noise", True)], lanes=2)


def requant_mul_cases(w):
    def scale(m, s):
        return [(param("i16", 0, 1, 1, 16384, 32767), [[m]], True),
                (param("i8", 0, 1, 1, 4, 40), [[s]], True)]

    case(w, "requant_mul", [-3, -32768, 32767, 8],
         [(value("i32", 5, 4, -4000, 4000), [[1000, -1000, 4000, -1]], False)] + scale(20000, 17))
    for m, s in ((16384, 4), (32767, 40), (25555, 23)):
        case(w, "requant_mul", [-6, -(2**31), 2**31 - 1, 10],
             [(value("i32", 5, 11), "noise", False)] + scale(m, s), lanes=2)


def sum_cases(w):
    case(w, "add", [], [(value("i16", 8, 4), [[1, -2, 32767, -32768]], False),
                        (value("i8", 8, 4), [[10, 20, 127, -128]], False)])
    case(w, "add", [], [(value("i32", 14, 9, -(2**30), 2**30 - 1), "ends", False),
                        (value("i32", 14, 9, -(2**30), 2**30 - 1), "ends", False)], lanes=3)
    case(w, "addsat", [8], [(value("i16", 10, 4, -100, 100), [[100, -100, 50, -3]], False),
                            (value("i16", 10, 4, -100, 100), [[28, -29, 20, 3]], False)])
    case(w, "addsat", [24], [(value("i32", 10, 9, -(2**23), 2**23 - 1), "noise", False),
                             (value("i32", 10, 9), "noise", False)], lanes=3)
    case(w, "addsat", [24], [(value("i32", 10, 9, -9000000, 9000000), "noise", False),
                             (value("i32", 10, 9, -9000000, 9000000), "noise", False)], lanes=3)


def mul_cases(w):
    case(w, "mul", [2], [(value("i8", 5, 4), [[3, -4, 5, -128]], False),
                         (param("i16", 8, 1, 2), [[256, -100]], True)])
    case(w, "mul", [1], [(value("i16", 8, 9), "noise", False),
                         (value("i16", 11, 9, -16384, 16384), "noise", False)], lanes=3)
    case(w, "mul", [3], [(value("i8", 5, 12), "ends", False),
                         (value("i8", 5, 4), "ends", False)], lanes=3)


def part_cases(w):
    case(w, "slice", [1, 3], [(value("i16", 8, 5), [[5, 6, 7, 8, 9], [-1, -2, -3, -4, -5]], False)])
    case(w, "slice", [8, 1], [(value("i8", 5, 9), "noise", False)], lanes=3)
    case(w, "concat", [], [(value("i16", 8, 2, -9, 5), [[1, 2], [3, 4]], False),
                           (value("i16", 8, 3, -1, 8), [[5, 6, 7], [8, 0, -1]], False)])


def norm_cases(w):
    for name in ("norm_rms", "norm_shift"):
        case(w, name, [1, 5, 8], [(value("i32", 10, 4), [[1000, -2000, 3000, -4000]], False)])
        rows = [[0, 0, 0, 0], [1, 0, 0, -1], [-(2**31), 2**31 - 1, 5, 0], [-32768, 32767, 0, 1]]
        case(w, name, [1, 5, 8], [(value("i32", 10, 4), rows, False)])
        case(w, name, [2, 8, 16], [(value("i32", 14, 24), "noise", False)], lanes=3)
        case(w, name, [1, 5, 8], [(value("i32", 10, 24, -9, 9), "noise", False)], lanes=3)
        case(w, name, [3, 14, 16], [(value("i16", 8, 24), "ends", False)], lanes=2)
        case(w, name, [1, 10, 16], [(value("i8", 5, 1), [[0], [1], [-128], [127]], False)])


def gate_cases(w):
    for kind in (1, 2, 3):
        x = [-32768, -600, -512, -256, -1, 0, 1, 100, 256, 511, 512, 2130, 32767]
        case(w, "gate", [kind], [(value("i16", 8, 13), [x], False)])
        case(w, "gate", [kind], [(value("i16", 8, 24, -2047, 2047), "noise", False)], lanes=3)


def conv_cases(w):
    def parameters(n, fill=None):
        t = (param("i8", 0, n, 4, -127, 127), param("i8", 0, 1, n, -8, 10), param("i16", 8, 1, n))
        rows = fill or ("noise", "noise", "noise")
        return [(a, b, True) for a, b in zip(t, rows)]

    case(w, "conv", [], [(value("i16", 8, 2), [[100, -50], [200, 7], [-300, 32767]], False)] +
         parameters(2, ([[1, 2, 3, 64], [127, 127, 127, 127]], [[6, -1]], [[10, -20]])))
    case(w, "conv", [], [(value("i16", 8, 7), "noise", False)] + parameters(7), lanes=6)
    case(w, "conv", [], [(value("i16", 8, 7), "ends", False)] + parameters(7), lanes=4, pos=5,
         warm=5)


def decay_cases(w):
    def inputs(v, bias):
        return [(value("i16", 8, len(bias[0])), v, False),
                (param("i16", 8, 1, len(bias[0])), bias, True)]

    rows = [[0, 256, -2816, 40], [900, -32768, -3000, -40]]
    for hold in (0, 1):
        case(w, "decay", [hold], inputs(rows, [[0, -100, 0, -1000]]))
    ends = [[-2817, -2816, -2815, 767, 768, 769, 32767, -32768]]
    for hold in (0, 1):
        case(w, "decay", [hold], inputs(ends, [[0] * 6 + [1, -1]]))
    case(w, "decay", [0], [(value("i16", 8, 24, -1800, 900), "noise", False),
                           (param("i16", 8, 1, 24, -1800, 900), "noise", True)], lanes=3)


def turn_cases(w):
    case(w, "turn", [], [(value("i16", 8, 3), [[4, -4, 1022], [6, -6, 2], [1000, 5, -3]], False)])
    case(w, "turn", [], [(value("i16", 8, 5), "noise", False)], lanes=5, pos=4, warm=4)


def rotate_cases(w):
    def phases(r):
        return value("i16", 8, r, 0, 255)

    case(w, "rotate", [1], [(value("i8", 5, 4), [[100, 0, 64, -64]] * 4, False),
                            (phases(1), [[0], [16], [64], [150]], False)])
    case(w, "rotate", [1], [(value("i8", 5, 8), "ends", False), (phases(1), "noise", False)],
         lanes=4)
    case(w, "rotate", [4], [(value("i8", 5, 16), "noise", False), (phases(4), "noise", False)],
         lanes=8)


def scan_cases(w):
    def decays(noise, lanes, heads, hi):
        """Zero, or what `decay` can give: at least 32."""
        return [[0 if noise.u64() % 5 == 0 else noise.between(32, hi) for _ in range(heads)]
                for _ in range(lanes)]

    def one(chunk, heads, dim, n, hold, lanes, hi, pos=0, warm=None, fill="noise", l=None):
        noise = Noise(chunk * 31 + n)
        rows = l or decays(noise, lanes + (warm or 0), heads, hi)
        case(w, "scan", [chunk, heads, dim, n, hold],
             [(value("i8", 5, heads * dim), fill, False), (value("i8", 5, 2 * n), fill, False),
              (value("i32", 16, heads, 0, hi), rows, False)], lanes=lanes, pos=pos, warm=warm)

    case(w, "scan", [2, 1, 1, 2, 0],
         [(value("i8", 5, 1), [[64], [-32], [16]], False),
          (value("i8", 5, 4), [[32, 16, 32, 0], [0, 64, 16, 16], [8, 8, 64, -32]], False),
          (value("i32", 16, 1, 0, 1 << 19), [[65536], [32768], [65536]], False)])
    one(1, 2, 3, 4, 0, 6, 1 << 19)
    one(8, 2, 3, 4, 0, 11, 1 << 19)
    one(8, 2, 3, 4, 1, 9, 3000, pos=5, warm=5)
    one(4, 1, 2, 8, 1, 9, 1 << 19, l=[[0]] * 4 + [[5000]] + [[0]] * 4)
    one(16, 3, 2, 2, 0, 19, 64, pos=29, warm=29)
    one(64, 1, 2, 16, 0, 9, 1 << 14, pos=60, warm=60)
    one(4, 1, 1, 512, 0, 3, 1 << 10, pos=7, warm=7, fill="hi")
    one(256, 1, 1, 2, 0, 270, 40, fill="ends")
    one(16, 1, 1, 64, 0, 17, 32, pos=1024, warm=208, fill="lo", l=[[32]] * 225)


def argmax_cases(w):
    case(w, "argmax", [], [(value("i32", 12, 5), [[-5, 7, 7, 3, -9], [-1, -2, -1, -1, -2]], False)])
    case(w, "argmax", [], [(value("i8", 5, 40, -3, 3), "noise", False)], lanes=6)


def le(x, size):
    return (x % (1 << (8 * size))).to_bytes(size, "little")


class Graph:
    """The canonical bytes of a step graph; with a writer, also its lines."""

    def __init__(self, w=None, name=None):
        self.w, self.types, self.body = w, [], []
        self.line("graph", name)

    def line(self, *words):
        if self.w:
            self.w.line(*words)

    def leaf(self, kind, name, t):
        self.body.append(le(0, 4) + le(kind, 4) + le(len(name), 4) + name.encode())
        return self.close(t)

    def close(self, t):
        self.body[-1] += b"".join(le(v, 4) for v in (DTYPES[t.dtype], t.frac, t.rows, t.cols))
        self.body[-1] += le(t.lo, 8) + le(t.hi, 8)
        self.types.append(t)
        return len(self.types) - 1

    def token(self, vocab):
        self.line("token", vocab)
        return self.leaf(1, "", Type("i32", 0, 1, 1, 0, vocab - 1))

    def parameter(self, name, t):
        self.line("parameter", name, *t)
        return self.leaf(2, name, t)

    def node(self, op, ins, attr=()):
        self.line("node", op, len(ins), *ins, *attr)
        self.body.append(b"".join(le(v, 4) for v in (NAMES.index(op), *ins, *attr)))
        return self.close(OP[op].infer(list(attr), [self.types[i] for i in ins]))

    def outputs(self, logits, best):
        """The digest of the finished graph."""
        data = b"mambaint-graph" + le(1, 4) + le(len(self.types), 4) + b"".join(self.body)
        data += le(logits, 4) + le(best, 4)
        digest = hashlib.blake2b(data, digest_size=32).hexdigest()
        self.line("outputs", logits, best)
        for at in range(0, len(data), 46):
            self.line("hex", data[at:at + 46].hex())
        self.line("digest", digest)
        self.line("end")
        return digest


def graph_cases(w):
    g = Graph(w, "smallest")
    token = g.token(3)
    table = g.parameter("t", param("i8", 5, 3, 4, -127, 127))
    row = g.node("embed", [token, table])
    g.outputs(row, g.node("argmax", [row]))

    g = Graph(w, "one-of-each-kind")
    token = g.token(300)
    table = g.parameter("token_embd.weight", param("i8", 5, 300, 8, -127, 127))
    r = g.node("requant", [g.node("embed", [token, table])], [-5, -8388608, 8388607, 10])
    n = g.node("norm_rms", [r], [1, 5, 8])
    weight = g.parameter("w", param("i8", 0, 24, 8, -127, 127))
    e = g.parameter("w.exponent", param("i8", 0, 1, 24, -8, 15))
    p = g.node("requant_rows", [g.node("matvec", [n, weight]), e], [-3, -32768, 32767, 8])
    taps = [g.parameter("c", param("i8", 0, 24, 4, -127, 127)),
            g.parameter("c.exponent", param("i8", 0, 1, 24, -8, 10)),
            g.parameter("c.bias", param("i16", 8, 1, 24))]
    u = g.node("gate", [g.node("conv", [p] + taps)], [2])
    xbc = g.node("requant", [u], [18, -128, 127, 5])
    x, bc = g.node("slice", [xbc], [0, 8]), g.node("slice", [xbc], [8, 16])
    phi = g.node("turn", [g.node("slice", [p], [0, 2])])
    bc = g.node("rotate", [bc, phi], [2])
    bias = g.parameter("dt", param("i16", 8, 1, 2))
    l = g.node("decay", [g.node("slice", [p], [2, 2]), bias], [1])
    y = g.node("scan", [x, bc, l], [64, 2, 4, 8, 1])
    y = g.node("norm_shift", [y], [2, 8, 16])
    skip = g.parameter("d", param("i8", 5, 1, 2))
    z = g.node("mul", [x, skip], [4])
    z = g.node("concat", [g.node("requant", [z], [2, -32768, 32767, 8]), y])
    ternary = g.parameter("out", param("ternary", 0, 8, 16))
    scale = [g.parameter("out.scale", param("i16", 0, 1, 1, 16384, 32767)),
             g.parameter("out.exponent", param("i8", 0, 1, 1, 4, 40))]
    acc = g.node("matvec", [z, ternary])
    out = g.node("requant_mul", [acc] + scale, [-2, -8388608, 8388607, 10])
    r = g.node("addsat", [g.node("add", [r, out]), out], [24])
    g.outputs(r, g.node("argmax", [r]))


# ---- section 5: the Mamba-Integer step -------------------------------------------------------

Q8_VECTOR = (-32767, 32767)


class MambaInteger(Graph):
    """The graph of a configuration: a dictionary of the options."""

    def __init__(self, config):
        super().__init__()
        self.c = config
        self.rms = config["norm"] == "rms"
        self.kind = ("hard", "algebraic", "squareplus").index(config["gate"]) + 1
        self.prefix = ""

    def own(self, name, t):
        return self.parameter(self.prefix + name, t)

    def vector(self, name, n):
        return self.own(name, param("i16", 8, 1, n, *Q8_VECTOR))

    def projection(self, name, rows, cols, weights):
        if weights == "int8":
            side = [self.own(name + ".exponent", param("i8", 0, 1, rows, -8, 15))]
            return side, self.own(name + ".weight", param("i8", 0, rows, cols, -127, 127))
        exponent = self.own(name + ".exponent", param("i8", 0, 1, 1, 4, 40))
        scale = self.own(name + ".scale", param("i16", 0, 1, 1, 16384, 32767))
        return [scale, exponent], self.own(name + ".weight", param("ternary", 0, rows, cols))

    def project(self, x, projection, attr):
        side, weight = projection
        acc = self.node("matvec", [x, weight])
        return self.node("requant_rows" if len(side) == 1 else "requant_mul", [acc] + side, attr)

    def norm(self, r, gain):
        if self.rms:
            return self.node("norm_rms", [r], [1, 5, 8])
        n = self.node("norm_shift", [r], [1, 10, 16])
        n = self.node("mul", [n, self.vector(gain, self.c["d-model"])], [1])
        return self.node("requant", [n], [13, -128, 127, 5])

    def block(self, r):
        c = self.c
        d, heads, dim, n = c["d-model"], c["heads"], c["head-dim"], c["d-state"]
        pairs, inner, hold = c["rotation-pairs"], heads * dim, int(c["hold"] == "on")
        channels = inner + 2 * n
        at_dt = inner + channels
        proj_in = self.projection("ssm_in", at_dt + heads + pairs, d, c["weights"])
        p = self.project(self.norm(r, "norm.gain"), proj_in, [-3, -32768, 32767, 8])
        xbc = self.node("slice", [p], [inner, channels])
        exponent = self.own("ssm_conv1d.exponent", param("i8", 0, 1, channels, -8, 10))
        bias = self.vector("ssm_conv1d.bias", channels)
        taps = self.own("ssm_conv1d.weight", param("i8", 0, channels, 4, -127, 127))
        xbc = self.node("conv", [xbc, taps, exponent, bias])
        xbc = self.node("gate", [xbc], [self.kind])
        xbc = self.node("requant", [xbc], [18, -128, 127, 5])
        bc = self.node("slice", [xbc], [inner, 2 * n])
        if pairs:
            turns = self.node("slice", [p], [at_dt + heads, pairs])
            bc = self.node("rotate", [bc, self.node("turn", [turns])], [pairs])
        x = self.node("slice", [xbc], [0, inner])
        dt = self.node("slice", [p], [at_dt, heads])
        dt_bias = self.vector("ssm_dt.bias", heads)
        skip = self.vector("ssm_d", heads)
        decays = self.node("decay", [dt, dt_bias], [hold])
        y = self.node("scan", [x, bc, decays], [c["chunk"], heads, dim, n, hold])
        dx = self.node("mul", [x, skip], [dim])
        dx = self.node("requant", [dx], [-1, -(2**31), 2**31 - 1, 14])
        y = self.node("add", [y, dx])
        z = self.node("slice", [p], [0, inner])
        y = self.node("norm_rms" if self.rms else "norm_shift", [y], [heads, 8, 16])
        z = self.node("requant", [z], [0, -2047, 2047, 8])
        z = self.node("gate", [z], [self.kind])
        z = self.node("requant", [z], [12, -32768, 32767, 11])
        g = self.node("mul", [y, z], [1])
        g = self.node("requant", [g], [15, -128, 127, 4])
        proj_out = self.projection("ssm_out", d, inner, c["weights"])
        out = self.project(g, proj_out, [-6, -(2**31), 2**31 - 1, 10])
        return self.node("addsat", [r, out], [24])

    def build(self):
        c = self.c
        table_type = param("i8", 5, c["vocab"], c["d-model"], -127, 127)
        token = self.token(c["vocab"])
        table = self.own("token_embd.weight", table_type)
        r = self.node("embed", [token, table])
        r = self.node("requant", [r], [-5, -(2**31), 2**31 - 1, 10])
        for layer in range(c["layers"]):
            self.prefix = "blk.%d." % layer
            r = self.block(r)
        self.prefix = ""
        n = self.norm(r, "output_norm.gain")
        attr = [-7, -(2**27), 2**27 - 1, 12]
        if c["tied-head"] == "on":
            acc = self.node("matvec", [n, table])
            logits = self.node("requant", [acc], [attr[0] + 5] + attr[1:])
        else:
            head = self.projection("output", c["vocab"], c["d-model"], c["head-weights"])
            logits = self.project(n, head, attr)
        return self.outputs(logits, self.node("argmax", [logits]))


def model_cases(w):
    base = {"layers": 2, "d-model": 32, "heads": 2, "head-dim": 16, "d-state": 16, "vocab": 300,
            "chunk": 8, "rotation-pairs": 2, "hold": "off", "norm": "rms", "gate": "hard",
            "weights": "int8", "head-weights": "int8", "tied-head": "on"}
    for change in ({}, {"rotation-pairs": 0, "chunk": 1, "gate": "squareplus"},
                   {"weights": "ternary", "head-weights": "ternary", "tied-head": "off"},
                   {"norm": "bitshift", "gate": "algebraic", "hold": "on", "tied-head": "off"},
                   {"layers": 11, "heads": 3, "head-dim": 20, "d-state": 64, "chunk": 64,
                    "rotation-pairs": 32, "head-weights": "ternary", "tied-head": "off"}):
        config = {**base, **change}
        model = MambaInteger(config)
        digest = model.build()
        w.line("model", "mamba-integer", len(model.types), digest)
        for key, v in config.items():
            w.line("flag", key, v)
        w.line("end")


# ---- sections 8 and 9: sampling and evaluation ---------------------------------------------

LOG2E = 94548


def philox(key, counter):
    """The first 64 bits of Philox4x32-10."""
    x = [counter & 0xFFFFFFFF, counter >> 32, 0, 0]
    k = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        a, b = x[0] * 0xD2511F53, x[2] * 0xCD9E8D57
        x = [(b >> 32) ^ x[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ x[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return x[0] | x[1] << 32


def lg2(x):
    n = x.bit_length() - 1
    m = x >> (n - 31) if n > 31 else x << (31 - n)
    y = n
    for _ in range(17):
        one = m * m >> 63
        m = m * m >> (31 + one)
        y = 2 * y + one
    return rsh(y, 1)


def sample(settings, pos, logits, recent):
    seed, temperature, top_k, top_p, min_p, penalty = settings
    z = [v - penalty if i in recent else v for i, v in enumerate(logits)]
    order = sorted(range(len(z)), key=lambda i: (-z[i], i))
    if not temperature:
        return order[0]
    kappa = LOG2E * 256 // temperature
    order = order[:top_k or len(z)]
    weights = [ex2w(min((z[order[0]] - z[i]) * kappa >> 12, 1 << 21)) for i in order]
    total, kept, running = sum(weights), 0, 0
    for p in weights:
        if kept and (p << 16 < min_p << 30 or running << 16 >= top_p * total):
            break
        kept, running = kept + 1, running + p
    x = philox(seed, pos) * running >> 64
    for i, p in zip(order, weights):
        x -= p
        if x < 0:
            return i
    raise AssertionError("x is below the sum")


def token_cost(logits, token):
    u = [(max(logits) - z) * LOG2E >> 12 for z in logits]
    return u[token] + lg2(sum(ex2w(min(v, 1 << 21)) for v in u)) - (30 << 16)


def sample_cases(w):
    noise = Noise(8)
    spread = [noise.between(-20000, 20000) for _ in range(40)]
    flat = [noise.between(-3, 3) for _ in range(40)]
    wide = [-(1 << 27), (1 << 27) - 1, (1 << 27) - 1, 0, 5]
    off = (0, 65536, 0, 0)
    lists = [([4096, 8192, 0, 8192, -4096], [1, 1, 4]), (spread, [3, 5, 3, 39]), (flat, []),
             (wide, [1])]
    for settings, pos in (((0, 0) + off, 0), ((7, 205, 0, 62259, 0, 0), 1), ((7, 256) + off, 2),
                          ((7, 256, 3, 65536, 0, 0), 3), ((2**64 - 1, 512, 0, 32768, 3277, 0), 4),
                          ((7, 205, 5, 50000, 0, 4096000), 2**40), ((9, 1) + off, 5),
                          ((9, 65535) + off, 6), ((9, 300, 0, 0, 0, 2048), 7),
                          ((9, 300, 0, 65536, 65536, 0), 8), ((0, 0, 0, 65536, 0, 5000), 9)):
        for logits, recent in lists:
            w.line("sample", *settings, pos, "=", sample(settings, pos, logits, recent))
            w.words("logits", logits)
            if recent:
                w.words("recent", recent)
            w.line("end")
    for logits, _ in lists:
        for token in (0, 1, len(logits) - 1):
            w.line("cost", token, "=", token_cost(logits, token))
            w.words("logits", logits)
            w.line("end")


def function_lines(w):
    def fn(name, f, *argument_lists):
        for args in argument_lists:
            w.line("fn", name, *args, "=", f(*args))

    noise = Noise(1)
    fn("rsh", rsh, (5, 1), (-5, 1), (-1, 1), (3, 2), (-3, 2), (7, 0), (-7, -3), (2**61, 62))
    fn("sat", sat, (127, 8), (128, 8), (-128, 8), (-129, 8), (40000, 16))
    fn("mulr", mulr, (-32768, 32767), (32767, 32767), (1, 16384), (-1, 16384), (0, 5))
    fn("bitlen", int.bit_length, (0,), (1,), (255,), (256,), (2**64 - 1,))
    fn("isqrt", isqrt, (0,), (3,), (4,), (2**62,), (2**64 - 1,), (2**32 - 1,))
    fn("squareplus", squareplus, (0, 8), (256, 8), (-256, 8), (-32768, 8), (32767, 8), (100, 14))
    fn("sigmoid", sigmoid, (0,), (256,), (-256,), (-1,), (32767,), (-32768,))
    ls = [0, 1, 32, 32768, 65535, 65536, 524288, 983039, 983040, 2031616, 2097151, 2097152,
          2**32 - 1] + [noise.between(0, 2**20) for _ in range(20)]
    fn("ex2", ex2, *[(v,) for v in ls])
    fn("ex2w", ex2w, *[(v,) for v in ls])
    fn("ell", ell, *[(v,) for v in [-32768, -2816, -2815, -256, 0, 1, 256, 767, 768, 32767]])
    fn("input_weight", input_weight, *[(v,) for v in [0, 1, 32, 65536, 524288]])
    fn("philox", philox, (0, 0), (7, 1), (2**64 - 1, 2**64 - 1), (123456789, 2**40))
    fn("lg2", lg2, (1,), (2,), (3,), (5,), (2**30,), (2**30 + 1,), (2**47,), (2**64 - 1,), (10**9,))
    fn("shear_t", shear_t, *[(v,) for v in (-32, -1, 0, 1, 16, 31)])
    fn("shear_s", shear_s, *[(v,) for v in (-32, -1, 0, 1, 16, 31)])


def main():
    w = Writer()
    function_lines(w)
    for make in (embed_cases, matvec_cases, requant_cases, requant_rows_cases, requant_mul_cases,
                 sum_cases, mul_cases, part_cases, norm_cases, gate_cases, conv_cases, decay_cases,
                 turn_cases, rotate_cases, scan_cases, argmax_cases, graph_cases, model_cases,
                 sample_cases):
        make(w)
    text = "".join(w.lines)
    if sys.argv[1:2] == ["--check"]:
        with open(sys.argv[2], encoding="ascii") as file:
            return 0 if file.read() == text else "%s is not what this program writes" % sys.argv[2]
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
