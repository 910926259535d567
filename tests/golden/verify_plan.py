# SPDX-License-Identifier: Apache-2.0
"""Plans of proofs, from docs/proof.md (section 5) and docs/proof-gadgets.md alone.

What both sides of a proof derive from the graphs of the models: variables, relations, and where
what is committed lies. It shares nothing with the library. The graph of `mamba-integer` is that of
reference.py, which is an independent reading of docs/arithmetic.md as well; that of `simple` is
here.
"""
import hashlib
import math
import struct
from collections import namedtuple

import reference
from reference import I8, I16, I32, Node, Type, clamp, rsh

PUBLIC, WEIGHT, COMMITTED, DERIVED, BOUNDARY = range(5)  # kinds of variables
BEFORE, BEHIND = 0, 1                               # sides of a boundary
INPUT, OUTPUT, PARAMETER, POWERS, LESS = range(5)   # numbers of public variables
PLAIN, PREFIX, PICK = 0, 1, 2                       # kinds of axes
NO_VARIABLE = 2**32 - 1


class Refused(Exception):
    """The proof, or what it is said to prove, is refused."""


def need(condition, reason):
    """Refuse for the reason unless the condition holds."""
    if not condition:
        raise Refused(reason)


def bits_of(n):
    """The bits of an index of the range [0, n)"""
    return (n - 1).bit_length()


def powers_of(n):
    """n as a sum of powers of two, the largest first: where each begins, and its bits"""
    logs = [k for k in reversed(range(n.bit_length())) if n >> k & 1]
    return [(n >> k + 1 << k + 1, k) for k in logs]


def u32(number):
    """Four bytes; a negative number in two's complement"""
    return struct.pack("<I", number % 2**32)


def u64(number):
    """Eight bytes; a negative number in two's complement"""
    return struct.pack("<Q", number % 2**64)


# Variables, views, relations

class Variable:
    """A table of integers; what follows the interval is filled in where it applies."""

    def __init__(self, kind, shape, lo, hi):
        self.kind, self.shape, self.lo, self.hi = kind, tuple(shape), lo, hi
        self.number = self.stage = self.parameter = self.extra = 0  # public
        self.node = None                            # weight, public parameter, powers: the leaf
        self.pieces = []                            # weight: numbers of its pieces
        self.bits = self.width = 0                  # committed: bits, those of a whole digit
        self.loose = self.exact = False             # committed
        self.triangle = 0                           # committed: log of the rows of one
        self.boxes = []                             # committed
        self.definition = None                      # derived: number of the relation
        self.side = self.block = 0                  # boundary: which, and where in its vector
        self.logs = tuple(bits_of(n) for n in shape)
        self.block_bits = sum(self.logs)

    def is_tight(self):
        """Whether it may hold nothing but [lo, hi], which is not whole bits"""
        return (self.kind == COMMITTED and not self.loose and
                self.hi - self.lo + 1 != 2**self.bits)

    def digits(self):
        """(shift, size) of each digit"""
        if self.exact:
            return [(0, self.hi - self.lo + 1)]
        return [(k, 2**min(self.width, self.bits - k)) for k in range(0, self.bits, self.width)]

    def digits_of(self, box):
        """(shift, block) of each digit in a box"""
        whole = self.bits // self.width
        return [(shift, box.first + k if k < whole else box.rest)
                for k, (shift, _) in enumerate(self.digits())]


class Box:
    """A part of a variable's table, and the blocks of its digits d_0 and e"""

    def __init__(self, v, row, log_rows, col, log_cols):
        self.row, self.log_rows, self.col, self.log_cols = row, log_rows, col, log_cols
        self.bits = log_rows + v.logs[1] + log_cols
        self.first = self.rest = 0

    def cells(self, v):
        """Where its entries lie in the variable's block"""
        return [(((row << v.logs[1]) + middle) << v.logs[2]) + col
                for row in range(self.row, self.row + 2**self.log_rows)
                for middle in range(2**v.logs[1])
                for col in range(self.col, self.col + 2**self.log_cols)]


def cuts(n):
    """[0, n) as (first, log) of at most three powers of two; the last may reach beyond n"""
    total, rest = 0, n
    for _ in range(2):
        if rest:
            total += 2**(rest.bit_length() - 1)
            rest -= 2**(rest.bit_length() - 1)
    if rest:
        total += 2**bits_of(rest)
    pieces, at = [], 0
    for log in reversed(range(total.bit_length())):
        if total >> log & 1:
            pieces.append((at, log))
            at += 2**log
    return pieces


def boxes_of(v):
    """The boxes of a variable in a large vector"""
    if v.triangle < 2 or v.shape[0] < 2**v.triangle:
        return [Box(v, *row, *col) for row in cuts(v.shape[0]) for col in cuts(v.shape[2])]
    step = 2**(v.triangle - 2)
    return [Box(v, row, v.triangle - 2, *col) for row in range(0, v.shape[0], step)
            for col in cuts(row % 2**v.triangle + step)]


def cells_of(v):
    """How many entries its boxes have; of a triangle those of all around it"""
    rows, cols = (sum(2**log for _, log in cuts(n)) for n in (v.shape[0], v.shape[2]))
    return (rows << v.logs[1]) * cols


Axis = namedtuple("Axis", "kind log start fields")  # fields: tuple of (letter, shift)
View = namedtuple("View", "variable axes")
Piece = namedtuple("Piece", "row log_rows col col_bits block")


def plain(*fields, start=0):
    """A plain axis: from + sum of letter 2^shift; a field is a letter or (letter, shift)"""
    return Axis(PLAIN, 0, start, tuple(f if isinstance(f, tuple) else (f, 0) for f in fields))


def prefix(letter, log):
    """An axis that sums the rows of a block up to this one"""
    return Axis(PREFIX, log, 0, ((letter, 0),))


def pick(letter, start=0):
    """An axis whose index is a token"""
    return Axis(PICK, 0, start, ((letter, 0),))


ZERO = plain()
STANDARD = (plain(0), ZERO, plain(1))               # (letter 0, 0, letter 1)
ENTRY = (plain(0), plain(1), plain(2))              # (letter 0, letter 1, letter 2)


def axis_letters(axis):
    """The letters of an axis"""
    return [letter for letter, _ in axis.fields]


def letters(view):
    """The letters that a view has"""
    return {letter for axis in view.axes for letter in axis_letters(axis)}


class Relation:
    """A sum of terms (c, views) that is zero, or that defines a derived variable"""

    def __init__(self, ranges, terms, mask=None, defines=None, result=None):
        self.ranges, self.mask = tuple(ranges), mask
        self.terms = [(c, list(views)) for c, views in terms if c != 0]
        self.defines, self.result = defines, result
        self.bits = tuple(bits_of(n) for n in self.ranges)
        self.is_zero = defines is None
        self.is_product = any(len(views) > 1 for _, views in self.terms)


def product_of(*intervals):
    """The interval of a product"""
    lo, hi = 1, 1
    for a, b in intervals:
        ends = (lo * a, lo * b, hi * a, hi * b)
        lo, hi = min(ends), max(ends)
    return lo, hi


def split_log(w):
    """Bits of the first part of u, v or w with a shift's clamp, where w bits are too many"""
    return 16 if w < 45 else 28


# The graph of `simple` (arithmetic.md, section 11)

class SimpleGraph:
    """Nodes as in reference.py, with the features in place of the token"""

    def __init__(self, f, h, o):
        need(1 <= f <= 256 and 1 <= h <= 1024 and 1 <= o <= 4096, "no such model")
        self.nodes = []
        b1, b2 = 128 * 127 * f, 127 * 127 * h
        top1, top2 = b1 + 32767, b2 + 32767
        x = self.node(0, 3, "", [], [], (I8, 5, 1, f, -128, 127))
        w1 = self.node(0, 2, "hidden.weight", [], [], (I8, 7, h, f, -127, 127))
        a = self.node(2, 0, "matvec", [x, w1], [], (I32, 5, 1, h, -b1, b1))
        bias = self.node(0, 2, "hidden.bias", [], [], (I16, 12, 1, h, -32767, 32767))
        a = self.node(6, 0, "add", [a, bias], [], (I32, 12, 1, h, -top1, top1))
        a = self.node(3, 0, "requant", [a], [7, 0, 127, 5], (I8, 5, 1, h, 0, 127))
        w2 = self.node(0, 2, "output.weight", [], [], (I8, 7, o, h, -127, 127))
        y = self.node(2, 0, "matvec", [a, w2], [], (I32, 5, 1, o, -b2, b2))
        bias = self.node(0, 2, "output.bias", [], [], (I16, 12, 1, o, -32767, 32767))
        self.logits = self.node(6, 0, "add", [y, bias], [], (I32, 12, 1, o, -top2, top2))
        self.argmax = self.node(19, 0, "argmax", [self.logits], [], (I32, 0, 1, 1, 0, o - 1))
        self.link = None
        if o >= f:
            s = self.node(9, 0, "slice", [self.logits], [0, f], (I32, 12, 1, f, -top2, top2))
            ends = [clamp(rsh(end, 7), -128, 127) for end in (-top2, top2)]
            self.link = self.node(3, 0, "requant", [s], [7, -128, 127, 5], (I8, 5, 1, f, *ends))

    def node(self, op, kind, name, inputs, attrs, its_type):
        """Append a node."""
        node = Node(op, kind, name, inputs, attrs)
        node.number, node.type = len(self.nodes), Type(*its_type)
        self.nodes.append(node)
        return node

    canonical_start = reference.Graph.canonical

    def digest(self):
        """The graph digest (arithmetic.md, section 4)"""
        link = u32(self.link.number) if self.link else b""
        return hashlib.blake2b(self.canonical_start() + link, digest_size=32).digest()


def needed(nodes, ends):
    """The nodes that some nodes depend on, and these, in the order of the graph"""
    numbers, stack = set(), list(ends)
    while stack:
        node = stack.pop()
        if node.number not in numbers:
            numbers.add(node.number)
            stack += node.inputs
    return [node for node in nodes if node.number in numbers]


def is_open(node):
    """Whether a parameter holds exponents or scales, which are public"""
    return node.name.endswith((".exponent", ".scale"))


class Plan:
    """The plan of a witness or a certificate of some models"""

    def __init__(self, certificate, graphs, lanes, public_weights, claimed=0,
                 boundary=(False, False)):
        """graphs: for each stage; claimed: outputs that are claimed, 0 of features; boundary:
        whether a run begins with a memory, or models with what others hand on, and whether it hands
        something on"""
        need(1 <= len(graphs) <= 16 and 1 <= lanes <= 4096, "beyond the limits of a plan")
        self.stages, self.lanes, self.public_weights = len(graphs), lanes, public_weights
        self.variables, self.relations, self.claimed = [], [], claimed
        self.tokens, self.boundary, self.pads = graphs[0].nodes[0].kind == 1, boundary, 0
        need(not any(boundary) or not certificate, "a boundary of such a proof")
        self.boundary_bits = [0, 0]
        self.linked = any(boundary) and not self.tokens
        need(not self.tokens or len(graphs) == 1, "a chain with a model of tokens")
        link = None
        for self.stage, graph in enumerate(graphs):
            if certificate:
                self.certify(graph)
            else:
                last = self.stage == len(graphs) - 1 and not (self.linked and boundary[BEHIND])
                link = self.model(graph, link, last)
        if self.linked and boundary[BEHIND]:
            v = graph.link.type
            self.hand_on((lanes, 1, v.cols), v.lo, v.hi, View(link, ENTRY))
        elif not certificate and not self.tokens:
            logits = self.variables[link]
            output = self.declare(PUBLIC, logits.shape, logits.lo, logits.hi)
            self.variables[output].number = OUTPUT
            self.zero((lanes, logits.shape[2], 1),
                      [(1, [self.std(link)]), (-1, [self.std(output)])])
        self.lay_out_weights(graphs)
        self.direct = certificate and self.weight_bits >= 17 and self.lay_out_direct()
        if self.direct:
            return
        self.lay_out_digits()
        self.lay_out_boundaries()

    # Pads (section 7)

    def set_bits(self, bits):
        """The witness vector has so many bits, and a direct certificate's lookup what goes with it."""
        self.bits = bits
        if self.direct:
            self.lookup_bits = max(bits, self.weight_bits) + 1
            at = 2**(self.lookup_bits - 1)
            for i, (size, begin, end, _) in enumerate(self.regions):
                self.regions[i] = size, begin, end, at
                at += size

    def place_pads(self, count, degree):
        """Where the pads lie; false if the vector has too few bits"""
        unit = 2**bits_of(degree * count) if self.large else 1
        self.pads, self.pads_at = count, -(-self.stop // unit) * unit
        self.used, self.pad_bits = self.pads_at + degree * count, 0
        while self.pads_at >> self.pad_bits != self.used - 1 >> self.pad_bits:
            self.pad_bits += 1
        return self.used <= 2**self.bits

    # Variables and relations

    def declare(self, kind, shape, lo, hi):
        """Declare a variable; returns its number."""
        self.variables.append(Variable(kind, shape, lo, hi))
        return len(self.variables) - 1

    def commit(self, shape, lo, hi, tight):
        """Declare a committed variable."""
        need(-2**62 < lo <= hi < 2**62, "an interval of a committed variable is none")
        number = self.declare(COMMITTED, shape, lo, hi)
        v = self.variables[number]
        v.bits = (hi - lo).bit_length()
        need(v.bits <= 61, "an interval is too long")
        v.loose = not tight
        if not tight:
            v.hi = lo + 2**v.bits - 1
        return number

    def tight(self, shape, lo, hi):
        """A committed variable in nothing but [lo, hi]"""
        return self.commit(shape, lo, hi, True)

    def triangles(self, log, *numbers):
        """Committed variables of which entries with a column beyond the row are not read"""
        for x in numbers:
            self.variables[x].triangle = log

    def loose(self, shape, lo, hi):
        """A committed variable that holds [lo, hi]"""
        return self.commit(shape, lo, hi, False)

    def interval_of(self, view, ranges):
        """The interval of a view"""
        v = self.variables[view.variable]
        lo, hi = v.lo, v.hi
        for axis, size in zip(view.axes, v.shape):
            if axis.kind == PREFIX:
                lo, hi = product_of((lo, hi), (0, min(2**axis.log, size)))
            elif axis.kind == PLAIN:
                most = axis.start + sum(ranges[a] - 1 << shift for a, shift in axis.fields)
                if axis.start < 0 or most >= size:
                    lo, hi = min(lo, 0), max(hi, 0)
        return lo, hi

    def add_relation(self, relation):
        """Declare a relation, whose bounds are checked; returns its interval."""
        lowest = highest = largest = 0
        times = (1, 1)
        if not relation.is_zero:
            has = letters(View(0, relation.result))
            count = math.prod(n for i, n in enumerate(relation.ranges) if i not in has)
            times = (0 if relation.mask else count, count)
        for c, views in relation.terms:
            intervals = [self.interval_of(view, relation.ranges) for view in views]
            lo, hi = product_of((c, c), times, *intervals)
            lowest, highest, largest = lowest + lo, highest + hi, largest + max(-lo, hi)
        need(largest < 2**62, "a relation is too large")
        self.relations.append(relation)
        return lowest, highest

    def zero(self, ranges, terms, mask=None):
        """A relation that is zero"""
        self.add_relation(Relation(ranges, terms, mask))

    def define(self, shape, ranges, result, terms, mask=None):
        """A derived variable and its definition; returns its number."""
        number = len(self.variables)
        interval = self.add_relation(Relation(ranges, terms, mask, number, result))
        self.declare(DERIVED, shape, *interval)
        self.variables[number].definition = len(self.relations) - 1
        return number

    def derive(self, rows, cols, terms):
        """A derived variable with the letters and the result of "Letters\""""
        return self.define((rows, 1, cols), (rows, cols, 1), STANDARD, terms)

    def bounds(self, x):
        """The interval of a variable"""
        return self.variables[x].lo, self.variables[x].hi

    def std(self, x):
        """(letter 0, 0, letter 1); of a parameter (0, 0, letter 1)"""
        v = self.variables[x]
        if v.kind == WEIGHT or v.number in (PARAMETER, POWERS):
            return View(x, (ZERO, ZERO, plain(1)))
        return View(x, STANDARD)

    # Models

    def model(self, graph, link, last):
        """A stage; returns the variable of its logits or its link."""
        output = graph.argmax if self.tokens else graph.logits if last else graph.link
        need(output is not None, "a stage has no link")
        self.values = {}
        parameters = [node for node in graph.nodes if node.kind == 2]
        ends = [output] if not self.tokens or self.claimed else []
        if self.boundary[BEHIND] and self.tokens:
            ends += [node for node in graph.nodes if node.name in ("conv", "turn", "scan")]
        for node in needed(graph.nodes, ends):
            if node.op == 0 and node.kind == 2:
                value = self.leaf(node, parameters.index(node))
            elif node.op == 0:
                value = link
                if link is None and self.linked and self.boundary[BEFORE]:
                    value = self.begin_with((self.lanes, 1, node.type.cols), node.type.lo,
                                            node.type.hi)
                elif link is None:
                    value = self.declare(PUBLIC, (self.lanes, 1, node.type.cols),
                                         node.type.lo, node.type.hi)
                need(self.variables[value].shape[2] == node.type.cols,
                     "a stage takes another input")
            else:
                inputs = [self.values[i.number] for i in node.inputs]
                value = getattr(self, node.name)(node, *inputs)
            self.values[node.number] = value
        return self.values.get(output.number)

    def leaf(self, node, number):
        """A parameter"""
        t = node.type
        lo, hi = (min(node.value), max(node.value)) if is_open(node) else (t.lo, t.hi)
        x = self.declare(PUBLIC if is_open(node) else WEIGHT, (t.rows, 1, t.cols), lo, hi)
        v = self.variables[x]
        v.node, v.stage, v.parameter = node, self.stage, number
        if v.kind == PUBLIC:
            v.number = PARAMETER
        return x

    def powers(self, e, top):
        """2^(top - e)"""
        of = self.variables[e]
        x = self.declare(PUBLIC, of.shape, 2**(top - of.hi), 2**(top - of.lo))
        v = self.variables[x]
        v.number, v.extra = POWERS, top
        v.stage, v.parameter, v.node = of.stage, of.parameter, of.node
        return x

    def certify(self, graph):
        """A stage of a certificate"""
        for number, node in enumerate(node for node in graph.nodes if node.kind == 2):
            if not is_open(node):
                t = node.type
                c = self.tight((t.rows, 1, t.cols), t.lo, t.hi)
                w = self.leaf(node, number)
                self.zero((t.rows, t.cols, 1),
                          [(1, [View(w, STANDARD)]), (-1, [View(c, STANDARD)])])

    # Boundaries

    def begin_with(self, shape, lo, hi):
        """The variables of a memory before, of which the committed one is returned"""
        b = self.declare(BOUNDARY, shape, lo, hi)
        self.variables[b].side = BEFORE
        s = self.tight(shape, lo, hi)
        self.zero(shape, [(1, [View(s, ENTRY)]), (-1, [View(b, ENTRY)])])
        return s

    def hand_on(self, shape, lo, hi, view):
        """The variable of a memory behind"""
        b = self.declare(BOUNDARY, shape, lo, hi)
        self.variables[b].side = BEHIND
        self.zero(shape, [(1, [view]), (-1, [View(b, ENTRY)])])

    def tied(self):
        """The relation that ties each boundary variable to another one"""
        mine = {self.variables[view.variable]: relation for relation in self.relations
                for _, views in relation.terms for view in views}
        return {v: mine[v] for v in self.variables if v.kind == BOUNDARY}

    def lay_out_boundaries(self):
        """The blocks of the boundaries' variables, and boundary_bits of each side"""
        for side in (BEFORE, BEHIND):
            mine = [v for v in self.variables if v.kind == BOUNDARY and v.side == side]
            need(bool(mine) <= self.boundary[side], "a boundary that is not there")
            at = 0
            for v in sorted(mine, key=lambda v: -v.block_bits):
                v.block = at >> v.block_bits
                at += 2**v.block_bits
            self.boundary_bits[side] = bits_of(at) if at else 0

    # Layout

    def lay_out_weights(self, graphs):
        """The pieces of the weights, also of those without a variable, and weight_bits; columns of
        many weights are cut where that saves a bit"""
        self.nodes = [node for graph in graphs for node in graph.nodes
                      if node.kind == 2 and not is_open(node)]
        self.place_weights(False)
        whole = self.weight_bits
        if whole >= 17:
            self.place_weights(True)
            if self.weight_bits >= whole:
                self.place_weights(False)
        need(self.weight_bits <= 27, "too many weights")

    def place_weights(self, cut_columns):
        """The pieces, with columns cut or whole"""
        pieces, sizes = [], []
        self.weights = []                           # (node, numbers of its pieces)
        for node in self.nodes:
            t, mine = node.type, []
            cols = powers_of(t.cols) if cut_columns else [(0, bits_of(t.cols))]
            for row, log_rows in powers_of(t.rows):
                for col, col_bits in cols:
                    mine.append(len(pieces))
                    pieces.append(Piece(row, log_rows, col, col_bits, 0))
                    sizes.append(t.hi - t.lo + 1)
            self.weights.append((node, mine))
            for v in self.variables:
                if v.kind == WEIGHT and v.node is node:
                    v.pieces = mine
        end = sum(2**(p.log_rows + p.col_bits) for p in pieces)
        groups = sorted(set(sizes)) if end > 2**16 else [None]
        self.size_ends, end = {}, 0
        for group_size in groups:
            group = [i for i in range(len(pieces)) if group_size in (None, sizes[i])]
            group.sort(key=lambda i: -pieces[i].log_rows - pieces[i].col_bits)
            for i in group:
                size = 2**(pieces[i].log_rows + pieces[i].col_bits)
                if i == group[0]:
                    end = -(-end // size) * size
                pieces[i] = pieces[i]._replace(block=end // size)
                end += size
            self.size_ends[group_size] = end
        self.pieces, self.weight_bits = pieces, bits_of(end) if end else 0
        self.weights_used = end

    def lay_out_direct(self):
        """A certificate of many weights: sizes and their lowest ones, counts, and no variables"""
        lowest = {}
        for v in (v for v in self.variables if v.kind == WEIGHT):
            size = v.hi - v.lo + 1
            if not v.lo <= 0 <= v.hi or size > 2**16 or lowest.setdefault(size, v.lo) != v.lo:
                return False
        if len(lowest) > 34:
            return False
        self.variables, self.relations, self.large = [], [], True
        self.stop = sum(lowest)
        self.used = self.stop
        self.bits = bits_of(self.stop)
        self.lookup_bits = max(self.bits, self.weight_bits) + 1
        self.regions, self.lowest, begin, at = [], [], 0, 2**(self.lookup_bits - 1)
        for size in sorted(lowest):
            self.regions.append((size, begin, self.size_ends[size], at))
            self.lowest.append(lowest[size])
            begin, at = self.size_ends[size], at + size
        self.limbs = begin
        return True

    def add_complements(self, width):
        """The complements, with digits of that many bits"""
        for x, v in enumerate(list(self.variables)):
            if v.is_tight() and not v.exact:
                c = self.commit(v.shape, 0, v.hi - v.lo, False)
                self.variables[c].width = width
                self.zero(v.shape, [(v.hi, []), (-1, [View(x, ENTRY)]), (-1, [View(c, ENTRY)])])

    def lay_out_digits(self):
        """Blocks of the digits, regions, bits"""
        variables, relations = len(self.variables), len(self.relations)
        for v in self.variables:
            v.width = 2
        self.add_complements(2)
        self.lay_out_small()
        self.large = self.stop > 2**16
        if self.large:
            del self.variables[variables:], self.relations[relations:]
            self.choose_digits()
            self.add_complements(16)
            self.lay_out_large()
        self.used = self.stop
        self.bits = bits_of(self.stop) if self.stop else 0
        need(self.bits <= 27, "the witness vector is too long")

    def lay_out_small(self):
        """from and to of the two widths"""
        committed = [v for v in self.variables if v.kind == COMMITTED and v.bits]
        committed.sort(key=lambda v: -v.block_bits)
        self.start, self.end, end = {}, {}, 0
        for v in committed:
            v.boxes = [Box(v, 0, v.logs[0], 0, v.logs[2])]
        for w in (2, 1):
            mine = [v for v in committed if (v.bits >= 2 if w == 2 else v.bits % 2)]
            largest = 2**max((v.block_bits for v in mine), default=0)
            end = -(-end // largest) * largest
            self.start[w] = end
            for v in mine:
                block = end >> v.block_bits
                if w == 2:
                    v.boxes[0].first, count = block, v.bits // 2
                else:
                    v.boxes[0].rest, count = block, 1
                end += count << v.block_bits
            self.end[w] = end
        self.stop = self.end[1] if self.end[1] > self.start[1] else self.end[2]

    def choose_digits(self):
        """Widths of digits, and exact ranges"""
        cells, tight, exact = {}, {}, 0
        committed = [v for v in self.variables if v.kind == COMMITTED]
        for v in committed:
            cells[v.bits] = cells.get(v.bits, 0) + cells_of(v)
            if v.is_tight():
                tight[v.hi - v.lo] = tight.get(v.hi - v.lo, 0) + cells_of(v)
        chosen = {}
        for v in committed:
            v.width = 16
            if v.bits in (17, 18) and cells[v.bits] > 2**v.bits:
                v.width = v.bits
            if v.bits <= 16 and v.is_tight():
                size = v.hi - v.lo + 1
                if size not in chosen:
                    chosen[size] = exact < 16 and tight[size - 1] > size
                    exact += chosen[size]
                v.exact = chosen[size]
                if v.exact:
                    v.width = v.bits

    def lay_out_large(self):
        """The regions of a lookup: (size, begin, end, first count)"""
        committed = [v for v in self.variables if v.kind == COMMITTED and v.bits]
        sizes = sorted({size for v in committed for _, size in v.digits()})
        for v in committed:
            v.boxes = boxes_of(v)
        self.regions, at, begin = [], 0, 0
        for size in sizes:
            units = []                              # box, bits, digits, where the block belongs
            for v in committed:
                sizes_of_v, whole = [s for _, s in v.digits()], v.bits // v.width
                for box in v.boxes:
                    if whole and sizes_of_v[0] == size:
                        units.append((box, whole, "first"))
                    if v.bits % v.width and sizes_of_v[-1] == size:
                        units.append((box, 1, "rest"))
            while units:
                fits = [u for u in units if at % 2**u[0].bits == 0]
                if fits:
                    unit = max(fits, key=lambda u: u[0].bits)
                else:
                    unit = min(units, key=lambda u: u[0].bits)
                    at = -(-at >> unit[0].bits) << unit[0].bits
                units.remove(unit)
                setattr(unit[0], unit[2], at >> unit[0].bits)
                at += unit[1] << unit[0].bits
            self.regions.append((size, begin, at, 0))
            begin = at
        self.limbs = at
        for i, (size, begin, end, _) in enumerate(self.regions):
            self.regions[i] = (size, begin, end, at)
            at += size
        self.stop = at

    # Digest

    def bytes_of_axes(self, axes):
        """An axis: from, and one number of kind, log and three fields, 7 where there is none"""
        out = []
        for axis in axes:
            fields = [letter + 8 * shift for letter, shift in axis.fields] + [7] * 3
            packed = sum(f << 7 + 8 * i for i, f in enumerate(fields[:3]))
            out += [axis.start, axis.kind + 4 * axis.log + packed]
        return b"".join(u32(x) for x in out)

    def bytes_of_digits(self, v):
        """Of a committed variable: bits, and where its digits lie"""
        if not self.large:
            box = v.boxes[0] if v.boxes else None
            return [u32(v.bits), u64(box.first if box else 0), u64(box.rest if box else 0)]
        out = [u32(v.bits), u32(v.width), u32(v.exact), u32(len(v.boxes))]
        for box in v.boxes:
            out += [u32(box.row), u32(box.log_rows), u32(box.col), u32(box.log_cols),
                    u64(box.first), u64(box.rest)]
        return out

    def bytes_of_variable(self, v):
        """Of a variable, as the digest has it"""
        out = [u32(v.kind), *map(u32, v.shape), u64(v.lo), u64(v.hi)]
        return out + {PUBLIC: [u32(v.number), u32(v.stage), u32(v.parameter), u32(v.extra)],
                      WEIGHT: [u32(v.pieces[0] if v.pieces else 0), u32(len(v.pieces))],
                      COMMITTED: self.bytes_of_digits(v),
                      DERIVED: [u32(v.definition or 0)],
                      BOUNDARY: [u32(v.side), u64(v.block)]}[v.kind]

    def bytes_of_relation(self, r):
        """Of a relation"""
        out = [u32(len(r.ranges)), *map(u32, r.ranges), *map(u32, r.mask or (0, 0))]
        out.append(u32(NO_VARIABLE if r.is_zero else r.defines))
        if not r.is_zero:
            out.append(u32(r.defines) + self.bytes_of_axes(r.result))
        out.append(u32(len(r.terms)))
        for c, views in r.terms:
            out += [u64(c), u32(len(views))]
            out += [u32(view.variable) + self.bytes_of_axes(view.axes) for view in views]
        return out

    def share(self, k):
        """The digest of one of 16 shares of the variables and relations"""
        out = [b"mambaint-share"]
        for items, its_bytes in ((self.variables, self.bytes_of_variable),
                                 (self.relations, self.bytes_of_relation)):
            for item in items[len(items) * k // 16:len(items) * (k + 1) // 16]:
                out += its_bytes(item)
        return hashlib.blake2b(b"".join(out), digest_size=32).digest()

    def canonical(self):
        """The bytes of section 5, "Digest\""""
        out = [b"mambaint-plan", u32(self.stages), u32(self.lanes), u32(self.claimed),
               u32(self.public_weights), u32(len(self.variables)), u32(len(self.pieces))]
        for row, log_rows, _, col_bits, block in self.pieces:
            out += [u32(row), u32(log_rows), u32(col_bits), u64(block)]
        out += [u32(self.weight_bits), u32(len(self.relations)), u32(16 if self.large else 2)]
        if self.large:
            out.append(u32(len(self.regions)))
            for size, _, end, count in self.regions:
                out += [u32(size), u64(end), u64(count + size)]
        else:
            out += [u64(x) for w in (2, 1) for x in (self.start[w], self.end[w])]
        out.append(u32(self.bits))
        if self.pads:
            out += [u64(self.pads_at), u64(self.pads)]
        return b"".join(out + [self.share(k) for k in range(16)])

    def digest(self):
        """Section 5, "Digest\""""
        return hashlib.blake2b(self.canonical(), digest_size=32).digest()

    # Gadgets: operations of one element

    def matvec(self, _, x, w):
        """`matvec`"""
        rows, _, cols = self.variables[w].shape
        return self.define((self.lanes, 1, rows), (self.lanes, rows, cols), STANDARD, [
            (1, [View(w, (plain(1), ZERO, plain(2))), View(x, (plain(0), ZERO, plain(2)))])])

    def add(self, node, x, w):
        """`add`"""
        return self.derive(self.lanes, node.type.cols, [(1, [self.std(x)]), (1, [self.std(w)])])

    def slice(self, node, x):
        """`slice`"""
        offset, count = node.attrs
        return self.derive(self.lanes, count,
                           [(1, [View(x, (plain(0), ZERO, plain(1, start=offset)))])])

    def concat(self, node, x, w):
        """`concat`"""
        before = self.variables[x].shape[2]
        return self.derive(self.lanes, node.type.cols, [
            (1, [self.std(x)]), (1, [View(w, (plain(0), ZERO, plain(1, start=-before)))])])

    def mul(self, node, x, w):
        """`mul`"""
        group, cols = node.attrs[0], node.type.cols
        if group == 1:
            return self.derive(self.lanes, cols, [(1, [self.std(x), self.std(w)])])
        g = bits_of(group)
        need(group == 2**g, "a group that is no power of two")
        axes = (plain(0), ZERO, plain((1, g), (2, 0)))
        return self.define((self.lanes, 1, cols), (self.lanes, cols >> g, group), axes,
                           [(1, [View(x, axes), self.std(w)])])

    def addsat(self, node, x, w):
        """`addsat`"""
        half = 2**(node.attrs[0] - 1)
        return self.clamped(self.add(node, x, w), 0, -half, half - 1)

    def requant(self, node, x):
        """`requant`"""
        k, lo, hi, _ = node.attrs
        return self.clamped(x, k, lo, hi)

    def clamped(self, x, k, lo, hi):
        """`requant` of a variable"""
        v = self.variables[x]
        least, most = rsh(v.lo, k), rsh(v.hi, k)
        if k <= 0 and least >= lo and most <= hi:
            return self.derive(self.lanes, v.shape[2], [(2**-k, [self.std(x)])])
        shift = Shift(self, v.shape, v.shape, max(k, 0), lo, hi, least, most)
        shift.relate([(2**max(-k, 0), [View(x, ENTRY)])])
        return shift.y

    # Gadgets: choices, shifts with exponents

    def choice(self, rows, mid, n):
        """A choice among n cases, for each row and middle index"""
        return self.tight((rows, mid, n), 0, 1)

    def relate_choice(self, b):
        """That exactly one bit of a choice is set"""
        rows, mid, n = self.variables[b].shape
        self.zero((rows, mid), self.of_choice([1] * n, b) + [(-1, [])])

    def of_choice(self, c, b, row=plain(0), mid=plain(1)):
        """c of the choice"""
        return [(value, [View(b, (row, mid, plain(start=i)))]) for i, value in enumerate(c)]

    def requant_rows(self, node, x, e):
        """`requant_rows`"""
        k, lo, hi, _ = node.attrs
        v, of = self.variables[x], self.variables[e]
        big = max(k + of.hi, 0)
        p = self.powers(e, big - k)
        least, most = product_of((v.lo, v.hi), self.bounds(p))
        shift = Shift(self, v.shape, v.shape, big, lo, hi, rsh(least, big), rsh(most, big), True)
        shift.relate([(1, [View(x, ENTRY), View(p, (ZERO, ZERO, plain(2)))])])
        return shift.y

    def requant_mul(self, node, x, m, s):
        """`requant_mul`"""
        k, lo, hi, _ = node.attrs
        v, m_hi = self.variables[x], self.variables[m].hi
        s_lo, s_hi = self.bounds(s)
        need(v.lo >= -2**46 and v.hi <= 2**46, "requant_mul of too large numbers")
        a, b = min(v.lo, 0) * m_hi, max(v.hi, 0) * m_hi
        x_max, least, most = max(-a, b), k + s_lo, k + s_hi
        last = min(most, x_max.bit_length())
        for n in (1, 2, 3, 4):
            step = -(-max(last, 0) // n)
            if x_max << max(step - least, 0) < 2**58 and step - least < 58:
                break
        else:
            need(False, "requant_mul that has no plan")
        part = {j: (0 if j <= step else (j - 1) // step) for j in range(least, last + 1)}
        choice = self.choice(1, 1, most - least + 1)
        self.relate_choice(choice)
        cell = (ZERO, ZERO, ZERO)
        self.zero((1, 1, 1),
                  self.of_choice(range(s_lo, s_hi + 1), choice) + [(-1, [View(s, cell)])])
        g = [self.define((1, 1, 1), (1, 1, 1), STANDARD, self.of_choice(
            [2**((p + 1) * step - j) if part.get(j) == p else 0 for j in range(least, most + 1)],
            choice)) for p in range(n)]
        xm = [View(x, ENTRY), View(m, cell)]
        parts, relations = [xm], []
        for p in range(1, n):
            t = self.loose(v.shape, a >> p * step, b >> p * step)
            d = self.tight(v.shape, 0, 2**step - 1)
            relations.append([(1, parts[-1]), (-2**step, [View(t, ENTRY)]), (-1, [View(d, ENTRY)])])
            parts.append([View(t, ENTRY)])
        up = 2**max(step - least, 0) if last >= least else 0
        ends = rsh(a * up, step), rsh(b * up, step)
        shift = Shift(self, v.shape, v.shape, step, lo, hi, *ends, joined=True)
        for terms in relations:
            self.zero(v.shape, terms)
        shift.relate([(1, views + [View(number, cell)]) for views, number in zip(parts, g)])
        return shift.y

    # Gadgets: norms

    def norm(self, node, r, which):
        """What both norms share"""
        groups, frac, bits = node.attrs
        rows, cols = self.lanes, node.type.cols
        d, a, b = cols // groups, node.inputs[0].type.lo, node.inputs[0].type.hi
        need(groups == 1 or d == 2**bits_of(d), "a group of a norm that is no power of two")
        big = max(0, max(b, -1 - a, 0).bit_length() - 15)
        column = plain((1, bits_of(d)), 2) if groups > 1 else plain(2)
        full, per, whole = (rows, groups, d), (rows, groups, 1), (rows, 1, cols)

        def el(x):
            return View(x, (plain(0), ZERO, column))

        def gr(x):
            return View(x, (plain(0), ZERO, plain(1)))

        self.el, self.gr, self.per, self.per_shape = el, gr, per, (rows, 1, groups)
        group = (plain(0), ZERO, plain(1))
        element = (plain(0), ZERO, column)

        def each(terms):
            """A derived variable of one entry for each element"""
            return self.define(whole, full, element, terms)

        q_max = 2**15 if big else max(-a, b)
        if big == 0:
            for _ in range(10):
                self.tight((1, 1, 1), 0, 0)
            q = each([(1, [el(r)])])
        else:
            choice = self.choice(rows, groups, big + 1)
            top = self.tight(whole, 0, 3)
            low = self.tight(whole, 0, 2**14 - 1)
            half = self.tight(whole, 0, 1)
            rest = self.tight(whole, 0, 2**(big - 1) - 1)
            large = self.loose(self.per_shape, 0, d)
            self.relate_choice(choice)
            h = self.define(self.per_shape, per, group,
                            self.of_choice([2**(big - i) for i in range(big + 1)], choice))
            top1 = each([(1, [el(top)]), (-1, [])])
            top2 = each([(1, [el(top)]), (-2, [])])
            e = self.define(self.per_shape, full, group, [(1, [el(top1), el(top2)])])
            self.zero(full, [
                (1, [el(r), gr(h)]), (2**(big + 15), []), (-2**(big + 14), [el(top)]),
                (-2**big, [el(low)]), (-2**(big - 1), [el(half)]), (-1, [el(rest)])])
            self.zero(per, [(1, [gr(e)]), (-2, []), (2, [View(choice, (plain(0), plain(1), ZERO))]),
                            (-2, [gr(large)])])
            q = each([(2**14, [el(top)]), (1, [el(low)]), (-2**15, []), (1, [el(half)])])
        ss = self.define(self.per_shape, full, group, [(1, [el(q), el(q)])])
        f, s = which(node, d, q_max, ss)
        most = min((math.isqrt(d) + 1) * 2**(frac + 1), q_max * 2**(frac + 8)) + 1
        edge = 2**(bits - 1)
        shift = Shift(self, whole, full, s, -edge, edge - 1, -most, most, axes=el)
        shift.relate([(1, [el(q), gr(f)])])
        return shift.y

    def norm_rms(self, node, r):
        """`norm_rms`"""
        return self.norm(node, r, self.factor_rms)

    def factor_rms(self, node, d, q_max, ss):
        """F and S of `norm_rms`"""
        frac, shape, per, gr = node.attrs[1], self.per_shape, self.per, self.gr
        z = (d & -d).bit_length() - 1
        o, r = d >> z, 2**8 * q_max
        n = max(r, 1).bit_length()
        s_bits = max(n + 6 - frac, 0)
        group = (plain(0), ZERO, plain(1))
        root = self.commit(shape, 0, r, o.bit_length() + 2 * r.bit_length() > 60)
        over = self.loose(shape, 0, o * (2 * r + 1) - 1)
        under = self.loose(shape, 0, o * (2 * r + 1) - 1)
        zero = self.tight(shape, 0, 1)
        choice = self.choice(shape[0], shape[2], n)
        self.zero(per, [(2**(16 - z), [gr(ss)]), (-o, [gr(root), gr(root)]), (-1, [gr(over)])])
        self.zero(per, [(2 * o, [gr(root)]), (o - 1, []), (-1, [gr(over)]), (-1, [gr(under)])])
        self.zero(per, [(1, [gr(zero), gr(root)])])
        self.relate_choice(choice)
        s = self.define(shape, per, group, [(1, [gr(root)]), (1, [gr(zero)])])
        p = self.define(shape, per, group, self.of_choice([2**i for i in range(n)], choice))
        past = self.loose(shape, 0, 2**(n - 1) - 1)
        left = self.loose(shape, 0, 2**(n - 1) - 1)
        self.zero(per, [(1, [gr(s)]), (-1, [gr(p)]), (-1, [gr(past)])])
        self.zero(per, [(1, [gr(p)]), (-1, []), (-1, [gr(past)]), (-1, [gr(left)])])
        m = self.tight(shape, 2**14, 2**15 - 1)
        capped = self.tight(shape, 0, 1)
        ratio = self.define(shape, per, group, [(1, [gr(m)]), (1, [gr(capped)])])
        self.zero(per, [(1, [gr(capped), gr(m)]), (-32767, [gr(capped)])])
        rest = self.loose(shape, 0, max(r, 1) - 1)
        spare = self.loose(shape, 0, max(r, 1) - 1)
        self.zero(per, [(2**15, [gr(p)]), (-1, [gr(s), gr(ratio)]), (-1, [gr(rest)])])
        self.zero(per, [(1, [gr(s)]), (-1, []), (-1, [gr(rest)]), (-1, [gr(spare)])])
        h = self.define(shape, per, group, self.of_choice(
            [2**(s_bits - (k + 6 - frac)) for k in range(1, n + 1)], choice))
        f = self.loose(shape, 0, 32767 * 2**(s_bits - 7 + frac))
        self.zero(per, [(1, [gr(m), gr(h)]), (-1, [gr(f)])])
        return f, s_bits

    def norm_shift(self, node, r):
        """`norm_shift`"""
        return self.norm(node, r, self.factor_shift)

    def factor_shift(self, node, d, q_max, ss):
        """F and S of `norm_shift`"""
        frac, shape, per, gr = node.attrs[1], self.per_shape, self.per, self.gr
        e_max = 0
        while not d * q_max * q_max << 16 < d << 2 * e_max + 1:
            e_max += 1
        s_bits = max(e_max - 8 - frac, 0)
        g = 2**min((d & -d).bit_length() - 1, 13)
        upper = [1] + [d // g * 4**(e - 1) for e in range(1, e_max + 1)]
        lower = [0] + upper[:-1]
        choice = self.choice(shape[0], shape[2], e_max + 1)
        below = self.loose(shape, 0, upper[-1] - 1)
        above = self.loose(shape, 0, upper[-1] - 1)
        self.relate_choice(choice)
        self.zero(per, self.of_choice(upper, choice) + [
            (-1, []), (-(2**13 // g), [gr(ss)]), (-1, [gr(below)])])
        self.zero(per, [(2**13 // g, [gr(ss)])] + self.of_choice([-x for x in lower], choice) + [
            (-1, [gr(above)])])
        f = self.define(shape, per, (plain(0), ZERO, plain(1)), self.of_choice(
            [2**(s_bits - (e - 8 - frac)) for e in range(e_max + 1)], choice))
        return f, s_bits

    # Gadgets: tokens, convolution, rotation, gates

    def embed(self, node, x, w):
        """`embed`"""
        need(x == 0, "embed of something else than the tokens")
        return self.derive(self.lanes, node.type.cols, [(1, [View(w, (pick(0), ZERO, plain(1)))])])

    def conv(self, node, p, w, e, bias):
        """`conv`"""
        e_lo, e_hi = self.bounds(e)
        k = max(e_hi, 1)
        powers = self.powers(e, k)
        lo, hi = product_of(self.bounds(w), self.bounds(p))
        b_lo, b_hi = self.bounds(bias)
        lo = 2**k * b_lo + 2**(k - e_lo) * 4 * min(lo, 0)
        hi = 2**k * b_hi + 2**(k - e_lo) * 4 * max(hi, 0)
        shape, cols = self.variables[p].shape, node.type.cols
        memory, ends = (3, 1, cols), (min(self.bounds(p)[0], 0), max(self.bounds(p)[1], 0))
        inputs, before = p, 0
        if self.boundary[BEFORE]:
            s, before = self.begin_with(memory, *ends), 3
            inputs = self.derive(self.lanes + 3, cols, [
                (1, [View(p, (plain(0, start=-3), ZERO, plain(1)))]), (1, [self.std(s)])])
        shift = Shift(self, shape, shape, k, -2**15, 2**15 - 1, rsh(lo, k), rsh(hi, k))
        last = (ZERO, ZERO, plain(2))
        shift.relate([(1, [View(w, (plain(2), ZERO, plain(start=j))),
                           View(inputs, (plain(0, start=before + j - 3), ZERO, plain(2))),
                           View(powers, last)])
                      for j in range(4)] + [(2**k, [View(bias, last)])])
        if self.boundary[BEHIND]:
            start = self.lanes + before - 3
            self.hand_on(memory, *ends, View(inputs, (plain(0, start=start), ZERO, plain(2))))
        return shift.y

    def turn(self, node, p):
        """`turn`"""
        lo, hi = self.bounds(p)
        shape, rows, cols = self.variables[p].shape, self.lanes, node.type.cols
        r = self.tight(shape, 0, 3)
        h = self.derive(rows, cols, [(1, [self.std(p)]), (2, []), (-1, [self.std(r)])])
        phi = self.tight(shape, 0, 255)
        g_lo, g_hi = rsh(lo, 2), rsh(hi, 2)
        begins = self.boundary[BEFORE]
        m = self.loose(shape, min(rows * g_lo, g_lo) >> 8,
                       max(rows * g_hi, g_hi) + 255 * begins >> 8)
        memory = (1, 1, cols)
        s = self.begin_with(memory, 0, 255) if begins else None
        log = (rows - 1).bit_length()
        self.zero((rows, cols, 1), [(1, [View(h, (prefix(0, log), ZERO, plain(1)))]),
                                    (-4, [self.std(phi)]), (-1024, [self.std(m)])] +
                  ([(4, [View(s, (ZERO, ZERO, plain(1)))])] if begins else []))
        if self.boundary[BEHIND]:
            self.hand_on(memory, 0, 255, View(phi, (plain(start=rows - 1), ZERO, plain(2))))
        return phi

    def rounded(self, shape, k, lo, hi):
        """A K-shift: q, loose, and its rest, tight"""
        return self.loose(shape, lo, hi), self.tight(shape, 0, 2**k - 1)

    def rotate(self, node, bc, phi):
        """`rotate`"""
        pairs, rows = node.attrs[0], self.lanes
        n = node.type.cols // 2
        log = bits_of(n)
        need(n == 2**log, "a rotation of a number that is no power of two")
        y = self.tight((rows, 1, 2 * n), -128, 127)
        one, two, four = (rows, 1, pairs), (rows, 2, pairs), (rows, 4, pairs)
        a, b, q = (self.tight(one, 0, 1) for _ in range(3))
        l = self.tight(one, 0, 63)
        std = self.std
        rho = self.derive(rows, pairs, [(1, [std(l)]), (-32, [])])
        s = self.derive(rows, pairs, [(1, []), (-2, [std(b)])])
        rho2 = self.loose(one, 0, 1024)
        self.zero((rows, pairs, 1), [(1, [std(phi)]), (32, []), (-256, [std(a)]), (-128, [std(b)]),
                                     (-64, [std(q)]), (-1, [std(l)])])
        self.zero((rows, pairs, 1), [(1, [std(rho2)]), (-1, [std(rho), std(rho)])])

        def of(x):
            return View(x, (plain(0), ZERO, plain(2)))

        def all_of(x):
            return View(x, ENTRY)

        def shifted(shape, k, most, terms):
            q, rest = self.rounded(shape, k, -most, most)
            self.zero(shape, [(2**(k - 1), []), (-1, [all_of(rest)]), (-2**k, [all_of(q)])] + terms)
            return q

        def line(c):
            return [(c[0], [of(rho)]), (c[1], [of(rho), of(rho2)]),
                    (c[2], [of(rho), of(rho2), of(rho2)])]

        tn = shifted(one, 23, 13573, line((3373226304, 169203, 11)))
        sn = shifted(one, 21, 23170, line((1686634269, -169312, 5)))

        def pair(x, w):
            return View(x, (plain(0), ZERO, plain((1, log), (2, 1), start=w)))

        def quarter(x, w):
            return View(x, (plain(0), plain((1, 1), start=w), plain(2)))

        bound = [rsh(13573 << 7, 12), rsh(23170 * 1448, 15), rsh(13573 * 1448, 15)]
        big_a = shifted(two, 12, bound[0], [(1, [of(tn), pair(bc, 1)])])
        x1 = self.define(two, two, ENTRY, [(8, [pair(bc, 0)]), (-1, [all_of(big_a)])])
        big_b = shifted(two, 15, bound[1], [(1, [of(sn), all_of(x1)])])
        y1 = self.define(two, two, ENTRY, [(8, [pair(bc, 1)]), (1, [all_of(big_b)])])
        big_c = shifted(two, 15, bound[2], [(1, [of(tn), all_of(y1)])])
        x2 = self.define(two, two, ENTRY, [(1, [all_of(x1)]), (-1, [all_of(big_c)])])
        u = self.loose(four, 0, 54)
        v = self.loose(four, 0, 53)
        r = self.tight(four, 0, 7)
        x2, y1 = all_of(x2), all_of(y1)
        turned = [[(1, [of(s), x2]), (-1, [of(s), of(q), x2]), (-1, [of(s), of(q), y1])],
                  [(1, [of(s), y1]), (1, [of(s), of(q), x2]), (-1, [of(s), of(q), y1])]]
        for w in (0, 1):
            self.zero(two, turned[w] + [(4, []), (-8, [pair(y, w)]), (-8, [quarter(u, w)]),
                                        (8, [quarter(v, w)]), (-1, [quarter(r, w)])])
            self.zero(two, [(1, [quarter(u, w), pair(y, w)]), (-127, [quarter(u, w)])])
            self.zero(two, [(1, [quarter(v, w), pair(y, w)]), (128, [quarter(v, w)])])
        if 2 * pairs < n:
            for start in (2 * pairs, n + 2 * pairs):
                axes = (plain(0), ZERO, plain(1, start=start))
                self.zero((rows, n - 2 * pairs, 1), [(1, [View(y, axes)]), (-1, [View(bc, axes)])])
        return y

    def gate(self, node, x):
        """`gate`"""
        return (self.gate_hard, self.gate_algebraic, self.gate_squareplus)[node.attrs[0] - 1](x)

    def gate_hard(self, x):
        """x times a clamp"""
        rows, _, cols = self.variables[x].shape
        s = self.derive(rows, cols, [(1, [self.std(x)]), (512, [])])
        y = self.clamped(s, 0, 0, 1024)
        return self.derive(rows, cols, [(32, [self.std(x), self.std(y)])])

    def gate_algebraic(self, x):
        """x sigmoid(x)"""
        rows, _, cols = shape = self.variables[x].shape
        lo, hi = self.bounds(x)
        most = max(-lo, hi)
        m = self.loose(shape, 0, most)
        q = self.loose(shape, 0, 2**14 - 1)
        r = self.loose(shape, 0, 255 + most)
        r2 = self.loose(shape, 0, 255 + most)
        vx, vm, vq, vr, vr2 = (self.std(i) for i in (x, m, q, r, r2))
        ranges = (rows, cols, 1)
        self.zero(ranges, [(1, [vm, vm]), (-1, [vx, vx])])
        self.zero(ranges, [(2**14, [vm]), (-256, [vq]), (-1, [vm, vq]), (-1, [vr])])
        self.zero(ranges, [(255, []), (1, [vm]), (-1, [vr]), (-1, [vr2])])
        return self.derive(rows, cols, [(2**14, [vx]), (2**14, [vm]), (-256, [vq]), (-1, [vr])])

    def gate_squareplus(self, x):
        """squareplus(x)"""
        rows, _, cols = shape = self.variables[x].shape
        lo, hi = self.bounds(x)
        most = max(-lo, hi)
        z = self.loose(shape, 0, most + 256)
        c = self.loose(shape, 0, most + 512)
        d = self.loose(shape, 0, most + 512)
        vx, vz, vc, vd = (self.std(i) for i in (x, z, c, d))
        ranges = (rows, cols, 1)
        self.zero(ranges, [(1, [vz, vz]), (-1, [vz, vx]), (1, [vc]), (-2**16, [])])
        self.zero(ranges, [(2, [vz]), (-1, [vx]), (-1, [vc]), (-1, [vd])])
        return self.derive(rows, cols, [(2**15, [vz])])

    def argmax(self, _, logits):
        """`argmax`"""
        n, cols = self.claimed, self.variables[logits].shape[2]
        lo, hi = self.bounds(logits)
        less = self.declare(PUBLIC, (n, 1, cols), 0, 1)
        self.variables[less].number, self.variables[less].extra = LESS, self.lanes - n + 1
        b = self.loose((n, 1, 1), lo, hi)
        d = self.loose((n, 1, cols), 0, hi - lo)
        self.zero((n, cols), [
            (1, [View(logits, (plain(0, start=self.lanes - n), ZERO, plain(1)))]),
            (-1, [View(b, (plain(0), ZERO, ZERO))]), (1, [View(less, STANDARD)]),
            (1, [View(d, STANDARD)])])
        self.zero((n,), [(1, [View(d, (plain(0), ZERO, pick(0, self.lanes - n + 1)))])])
        self.zero((n,), [(1, [View(less, (plain(0), ZERO, plain(start=cols - 1)))])])
        return d

    # Gadgets: powers of two, decay, scan

    EX2W = (1021409, 9900009, 59386118, 257893817, 744257211, 1073741824)

    def ex2w(self, rows, cols, n, octaves, down):
        """The variables of ex2w"""
        shape, s_bits, c5 = (rows, 1, cols), octaves - 1, self.EX2W[5]
        out = {"n": n, "octaves": octaves, "down": down, "shape": shape}
        out["f"] = self.tight(shape, 0, 2**n - 1)
        out["hot"] = self.tight((rows, octaves, cols), 0, 1)
        out["t"], out["r"] = [], []
        for k in range(1, 6):
            out["t"].append(self.loose(shape, 0, self.EX2W[k]))
            out["r"].append(self.tight(shape, 0, 2**n - 1))
        out["s"] = self.loose(shape, 0, c5)
        out["rs"] = self.tight(shape, 0, 2**s_bits - 1)
        out["z"] = self.loose(shape, 0, c5 >> down)
        out["rz"] = self.tight(shape, 0, 2**down - 1)
        return out

    def relate_ex2w(self, e, a, b, l):
        """The relations of ex2w of a + b l"""
        shape, n, down, s_bits = e["shape"], e["n"], e["down"], e["octaves"] - 1

        def of(x):
            return View(x, ENTRY)

        def hot(j):
            return View(e["hot"], (plain(0), plain(start=j), plain(2)))

        octaves = range(e["octaves"])
        f, t = of(e["f"]), [of(x) for x in e["t"]]
        self.zero(shape, [(a, []), (b, [of(l)]), (-1, [f])] +
                  [(-j * 2**n, [hot(j)]) for j in octaves])
        self.zero(shape, [(-1, [])] + [(1, [hot(j)]) for j in octaves])
        for k in range(1, 6):
            first = (1, [t[k - 2], f]) if k > 1 else (self.EX2W[0], [f])
            self.zero(shape, [first, (-2**n * self.EX2W[k], []), (2**n, [t[k - 1]]),
                              (-1, [of(e["r"][k - 1])])])
        self.zero(shape, [(2**(s_bits - j), [t[4], hot(j)]) for j in octaves] + [
            (2**(s_bits - 1), []), (-2**s_bits, [of(e["s"])]), (-1, [of(e["rs"])])])
        self.zero(shape, [(1, [of(e["s"])]), (2**(down - 1), []), (-2**down, [of(e["z"])]),
                          (-1, [of(e["rz"])])])

    def ex2(self, shape, ranges, plus, minus, axes, mask=None):
        """m = ex2(plus - minus); axes: its own variables' in the letters of plus and minus"""
        f = self.tight(shape, 0, 65535)
        d = self.loose(shape, 0, 16384)
        rho = self.tight(shape, 0, 65535)
        v = self.loose(shape, 0, 5642)
        r = self.tight(shape, 0, 2**31 - 1)
        s = self.tight(shape, 0, 1)
        t = self.tight(shape, 0, 1)
        b = self.tight(shape, -2000, 6191)
        w = self.tight(shape, 0, 4095)

        def entry(x):
            return [View(x, ENTRY)]

        def of(*numbers):
            return [View(x, axes) for x in numbers]

        e = self.define(shape, shape, ENTRY, [(4, []), (1, entry(w)), (-1, entry(b))])
        z = self.define(shape, shape, ENTRY, [(2**17, []), (-1, entry(f)), (-1, entry(v))])
        m = self.loose(shape, 0, 32767)
        rm = self.tight(shape, 0, 65535)
        if mask:
            self.triangles(bits_of(shape[2]), f, d, rho, v, r, s, t, b, w, m, rm)

        def zero(*terms):
            self.zero(ranges, terms, mask)

        zero((1, of(f, f)), (2**16, of(d)), (-2**16, of(f)), (-1, of(rho)))
        zero((1, []), (188, of(f)), (829560636, of(d)), (3060, of(rho)), (-2594, of(f, d)),
             (-466, of(d, d)), (1, of(r)), (-2**31, of(v)))
        zero((1, [plus]), *([(-1, [minus])] if minus else []), (-2**17, []), (2**16, of(s)),
             (2**17, of(t)), (-2**18, of(e)), (-1, of(f)))
        zero((2, of(b, b)), (-8192, of(b)), (13530, of(b, e)), (-6975, of(b, e, e)),
             (1125, of(b, e, e, e)))
        zero((1, of(b, z)), (1, of(b, z, s)), (3, of(b, z, t)), (3, of(b, z, s, t)),
             (-2**16, of(m)), (-1, of(rm)))
        return m

    def decay(self, node, dt, bias):
        """`decay`"""
        hold, rows, cols = node.attrs[0], self.lanes, node.type.cols
        e = self.ex2w(rows, cols, 8, 15, 11)
        at = self.tight((rows, 1, cols), 0, hold)
        above = self.tight((rows, 1, cols), 0, 4095 * hold)
        x = self.derive(rows, cols, [(1, [self.std(dt)]), (1, [self.std(bias)])])
        c = self.clamped(x, 0, -2816, 768)
        self.relate_ex2w(e, 768, -1, c)
        if hold:
            at_c, ranges = [self.std(at), self.std(c)], (rows, cols, 1)
            self.zero(ranges, [(1, at_c), (2816, at_c[:1])])
            self.zero(ranges, [(1, at_c[1:]), (2815, []), (1, at_c[:1]), (-1, [self.std(above)])])
        return self.derive(rows, cols, [(1, [self.std(e["z"])]), (-32 * hold, [self.std(at)])])

    def scan(self, node, x, bc, l):
        """`scan`"""
        return Scan(self, node, x, bc, l).y


class Shift:
    """The variables y, u, v (or w and side), r of a shift by k with its clamp, and its relations"""

    def __init__(self, plan, shape, ranges, k, lo, hi, least, most, joined=False, axes=None):
        self.plan, self.shape, self.ranges = plan, shape, ranges
        self.k, self.lo, self.hi = k, lo, hi
        self.of = axes or (lambda x: View(x, ENTRY))
        over, under = max(most - hi, 0), max(lo - least, 0)
        self.y = plan.commit(shape, *((lo, hi, True) if over or under else (least, most, False)))
        self.u = self.v = self.w = self.r = None
        wide = max(over, under).bit_length()
        joined = joined and over and under
        split = wide + max(-lo, hi).bit_length() >= (61 if joined else 62)
        self.log = split_log(wide) if split else None
        if joined:
            self.w = self.parts(shape, max(over, under))
            self.side = plan.tight(shape, 0, 1)
        else:
            if over:
                self.u = self.parts(shape, over)
            if under:
                self.v = self.parts(shape, under)
        if k > 0:
            self.r = plan.tight(shape, 0, 2**k - 1)

    def parts(self, shape, most):
        """One variable or two, with their coefficients"""
        if self.log is None:
            return [(1, self.plan.loose(shape, 0, most))]
        return [(1, self.plan.loose(shape, 0, 2**self.log - 1)),
                (2**self.log, self.plan.loose(shape, 0, most >> self.log))]

    def relate(self, terms):
        """The relations, the first of which begins with these terms"""
        plan, of, unit, y = self.plan, self.of, 2**self.k, self.of(self.y)
        terms = list(terms)
        if self.k > 0:
            terms += [(unit // 2, []), (-1, [of(self.r)])]
        terms.append((-unit, [y]))
        for c, u in self.u or []:
            terms.append((-unit * c, [of(u)]))
        for c, v in self.v or []:
            terms.append((unit * c, [of(v)]))
        for c, w in self.w or []:
            terms += [(-unit * c, [of(w)]), (2 * unit * c, [of(w), of(self.side)])]
        plan.zero(self.ranges, terms)
        self.relate_clamp()

    def relate_clamp(self):
        """The relations of the clamp, entry by entry"""
        plan, y = self.plan, View(self.y, ENTRY)

        def of(x):
            return View(x, ENTRY)

        for these, end in ((self.u, self.hi), (self.v, self.lo)):
            if these:
                plan.zero(self.shape, [term for _, u in these
                                        for term in ((1, [of(u), y]), (-end, [of(u)]))])
        if self.w:
            terms = [term for _, w in self.w for term in ((1, [of(w), y]), (-self.hi, [of(w)]))]
            terms += [(self.hi - self.lo, [of(w), of(self.side)]) for _, w in self.w]
            plan.zero(self.shape, terms)


class Scan:
    """The gadget `scan`: y is the variable of the node"""

    def __init__(self, plan, node, x, bc, l):
        q, h, p, n, hold = node.attrs
        t = plan.lanes
        chunks = -(-t // q)
        j = q if chunks > 1 else 2**bits_of(t)
        rows, log_j, log_p = chunks * j, bits_of(j), bits_of(p)
        begins, ends = plan.boundary
        need(not ends or t % q == 0, "a memory that is handed on within a chunk")
        folds, reads = chunks - (not ends), chunks - (not begins)
        need(h == 1 or p == 2**log_p, "the width of a head is no power of two")
        sn, hp = bits_of(n) - 1, h * p
        self.plan = plan
        half = (-2**15, 2**15 - 1)

        def col(head, el):
            return plain((head, log_p), el) if h > 1 else plain(el)

        def row(c, i):
            return plain((c, log_j), i) if j > 1 else plain(c)

        std = STANDARD
        # ex2w, xw
        e = plan.ex2w(rows, h, 16, 9, 12)
        plan.relate_ex2w(e, 0, 1, l)
        z = e["z"]
        head = (plain(0), ZERO, plain(1))
        element = (plain(0), ZERO, col(1, 2))
        vx = View(x, element)
        xw = self.shifted((rows, 1, hp), (rows, h, p), element, 10, *half,
                          [(2**18, [vx]), (-1, [vx, View(z, head)])])
        big_l = plan.derive(rows, h, [(1, [View(l, (prefix(0, log_j), ZERO, plain(1)))])])
        # CB, S
        cb = plan.define((rows, 1, j), (chunks, j, j, n), (row(0, 1), ZERO, plain(2)), [
            (1, [View(bc, (row(0, 1), ZERO, plain(3, start=n))),
                 View(bc, (row(0, 2), ZERO, plain(3)))])])
        lo, hi = plan.bounds(bc)
        most = max(rsh(n * max(lo * lo, hi * hi), sn) - 32767, 0)
        pair = (rows, 1, j)
        s = plan.tight(pair, *half)
        u = plan.loose(pair, 0, most)
        rs = plan.tight(pair, 0, 2**sn - 1)
        plan.triangles(log_j, s, u, rs)
        ranges, mask = (chunks, j, j), (2, 1) if j > 1 else None
        cb, vs, vu, rs = (View(i, (row(0, 1), ZERO, plain(2))) for i in (cb, s, u, rs))
        plan.zero(ranges, [(1, [cb]), (-2**sn, [vs]), (-2**sn, [vu])] +
                  ([(2**(sn - 1), []), (-1, [rs])] if sn > 0 else []), mask)
        if most > 0:
            plan.zero(ranges, [(1, [vu, vs]), (-32767, [vu])], mask)
        # ex2 of pairs, M, in, y1
        pairs = (rows, h, j)
        mask = (3, 1) if j > 1 else None
        plus, minus = (View(big_l, (row(0, place), ZERO, plain(2))) for place in (1, 3))
        axes = (row(0, 1), plain(2), plain(3))
        m = plan.ex2(pairs, (chunks, j, h, j), plus, minus, axes, mask)
        big_m = self.shifted(pairs, (chunks, j, h, j), axes, 15, *half,
                             [(1, [View(s, (row(0, 1), ZERO, plain(3))), View(m, axes)])], mask)
        inside = plan.define((rows, 1, hp), (chunks, j, h, p, j), (row(0, 1), ZERO, col(2, 3)), [
            (1, [View(big_m, (row(0, 1), plain(2), plain(4))),
                 View(xw, (row(0, 4), ZERO, col(2, 3)))])], (4, 1) if j > 1 else None)
        edge = 2**(22 + sn)
        y1 = self.shifted((t, 1, hp), (t, 1, hp), ENTRY, 9 - sn, -edge, edge - 1,
                          [(1, [View(inside, ENTRY)])])
        self.y = y1
        if folds == reads == 0:
            return
        keep = plan.ex2((rows, 1, h), (rows, 1, h), View(big_l, ENTRY), None, ENTRY)
        idle = plan.tight((rows, 1, h), 0, hold)
        busy = plan.tight((rows, 1, h), 0, (2**28 - 1) * hold)
        if hold:
            vi, vl = View(idle, ENTRY), View(big_l, ENTRY)
            plan.zero((rows, 1, h), [(1, [vi, vl])])
            plan.zero((rows, 1, h), [(1, [vl]), (-1, []), (1, [vi]), (-1, [View(busy, ENTRY)])])
        keep = plan.derive(rows, h, [(1, [View(keep, std)]), (hold, [View(idle, std)])])
        # xe, F, h, before, h16, out, y2, y
        inner = (row(0, 1), ZERO, col(2, 3))
        state, states = (plain(0), plain(1), col(2, 3)), (folds, n, hp)
        if folds > 0:
            xe = self.shifted((folds * j, 1, hp), (folds, j, h, p), inner, 15, *half, [
                (1, [View(xw, inner),
                     View(m, (plain((0, log_j), start=j - 1), plain(2), plain(1)))])])
            f = plan.define(states, (folds, n, h, p, j), state, [
                (1, [View(bc, (row(0, 4), ZERO, plain(1))),
                     View(xe, (row(0, 4), ZERO, col(2, 3)))])])
            hs, rest = plan.rounded(states, 15, -2**31, 2**31 - 1)
            before, to = hs, -1
        if begins:
            memory = plan.begin_with((1, n, hp), -2**31, 2**31 - 1)
            terms = [(1, [View(memory, ENTRY)])]
            if folds > 0:
                terms.append((1, [View(hs, (plain(0, start=-1), plain(1), plain(2)))]))
            before, to = plan.define((chunks, n, hp), (chunks, n, hp), ENTRY, terms), 0
        if folds > 0:
            self.relate_shifted(hs, rest, (folds, n, h, p), state, 15, [
                (1, [View(before, (plain(0, start=to), plain(1), col(2, 3))),
                     View(keep, (plain((0, log_j), start=j - 1), ZERO, plain(2)))]),
                (2**23, [View(f, state)])])
        if reads > 0:
            past, read = t - (chunks - reads) * j, (reads, n, hp)
            h16 = self.shifted(read, read, ENTRY, 16, *half, [(1, [View(before, ENTRY)])])
            out = plan.define((rows, 1, hp), (chunks, j, h, p, n), (row(0, 1), ZERO, col(2, 3)), [
                (1, [View(bc, (row(0, 1), ZERO, plain(4, start=n))),
                     View(h16, (plain(0, start=to), plain(4), col(2, 3)))])])
            y2 = self.shifted((past, 1, hp), (past, h, p), element, 16, -n * 2**21, n * 2**21 - 1, [
                (1, [View(out, (plain(0, start=t - past), ZERO, col(1, 2))),
                     View(keep, (plain(0, start=t - past), ZERO, plain(1)))])])
        if ends:
            plan.hand_on((1, n, hp), -2**31, 2**31 - 1,
                         View(hs, (plain(start=chunks - 1), plain(1), plain(2))))
        if reads > 0:
            self.y = plan.derive(t, hp, [
                (1, [View(y1, std)]), (1, [View(y2, (plain(0, start=past - t), ZERO, plain(1)))])])

    def shifted(self, shape, ranges, axes, k, lo, hi, terms, mask=None):
        """x -> q: q, loose, and its rest, tight"""
        q, rest = self.plan.rounded(shape, k, lo, hi)
        if mask:
            self.plan.triangles(self.plan.variables[q].logs[2], q, rest)
        self.relate_shifted(q, rest, ranges, axes, k, terms, mask)
        return q

    def relate_shifted(self, q, rest, ranges, axes, k, terms, mask=None):
        """x -> q of variables that are there"""
        self.plan.zero(ranges, terms + [(-2**k, [View(q, axes)]), (2**(k - 1), []),
                                        (-1, [View(rest, axes)])], mask)
