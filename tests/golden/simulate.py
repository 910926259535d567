#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The simulator of docs/zero-knowledge.md, section 6: it makes a key and hidden proofs from statements
alone, with hash functions of which it programs some answers.

The tool makes real ones; from them the simulator gets what is public, as bytes: statements and public
parameters. It knows neither weights nor a witness, and opens no file. verify.py has to accept what it
makes if its hash functions are those that were programmed, and to refuse it with BLAKE2b. So whatever
a proof shows, somebody who knows nothing could have shown; and as a false statement is simulated just
as well, nothing but the programming makes verify.py accept.

Of a run in two parts the link between them is simulated as well: its names follow from the roots,
which are those of random digests, and its value is drawn, the same one for both. So neither a part's
proof nor both together show anything of the memory that goes from one to the other.

Openings without further layers only: with them a prover goes on with a row that is uniform.

Usage: simulate.py TOOL
"""
import copy
import hashlib
import os
import random
import struct
import subprocess
import sys
import tempfile
from unittest import mock

import verify
from proof_files import sealed as series_of
from verify import P, elements_bytes, ext_add, ext_mul, ext_powers, ext_scale, ext_sub, need

FEATURES = "0.5,-1.25,3.96875,-4,0,0.015625,-0.015625,2,-3,1"
SMALL = {"layers": 1, "d-model": 8, "heads": 2, "head-dim": 4, "d-state": 4, "vocab": 272, "chunk": 4,
         "rotation-pairs": 1}

# name, presets and their options, what is proved, proofs of the key
CASES = [
    ("rwkv", [("simple-rwkv", {})], [f"--features={FEATURES}"], 3),
    ("chain", [("simple-rwkv", {}), ("simple-mamba", {})], [f"--features={FEATURES}"], 1),
    ("tokens", [("mi-tiny", SMALL)], ["--ids", "1", "-n", "1"], 1),
    ("mi-tiny", [("mi-tiny", {})], ["--ids", "1", "-n", "1"], 1),
]

# The same, and the steps of the first one of two parts
PARTS = [("parts", [("mi-tiny", {**SMALL, "chunk": 1, "d-state": 2, "rotation-pairs": 0})],
          ["--ids", "1,2", "-n", "1"], 4, 1)]

WALK = ("value", "round", "line", "values", "product")      # messages of elements that have pads
real_hash_of = verify.hash_of


class Oracle:
    """The hash functions, with answers that are programmed: of a question that nobody has asked."""

    def __init__(self):
        self.answers, self.asked = {}, set()

    def __call__(self, use, data, salt=bytes(16)):
        self.asked.add((use, data, salt))
        return self.answers.get((use, data, salt)) or real_hash_of(use, data, salt)

    def program(self, use, data, answer):
        """From now on this is the answer."""
        question = (use, data, bytes(16))
        need(question not in self.asked, "an answer that is known cannot be programmed")
        need(len(answer) == verify.HASHES[use][1], "an answer of another size")
        self.answers[question] = answer


class Tree:
    """A tree whose leaves are any digests; columns come to them later."""

    def __init__(self, length, draw, oracle):
        self.levels, self.columns = [[draw.randbytes(32) for _ in range(length)]], {}
        while len(self.levels[-1]) > 1:
            level = self.levels[-1]
            self.levels.append([oracle("node", level[i] + level[i + 1])
                                for i in range(0, len(level), 2)])

    def root(self):
        """The digest of all"""
        return self.levels[-1][0]

    def path(self, positions):
        """The path of a position list"""
        known, path = set(positions), []
        for level in self.levels[:-1]:
            path += [level[i] for i in verify.siblings(len(level), known)]
            known = {i // 2 for i in known}
        return b"".join(path)

    def show(self, position, column, oracle):
        """From now on this is what the leaf is the digest of."""
        need(position not in self.columns, "a column that was shown")
        self.columns[position] = column
        oracle.program("leaf", elements_bytes(column), self.levels[0][position])


def elements(draw, n):
    """n uniform elements of F"""
    return [draw.randrange(P) for _ in range(n)]


class Inventor(verify.Reader):
    """In place of a reader of a proof: it makes one. Challenges are from a generator of their own, so
    that they could all have been drawn before the first message; the oracle is programmed with them.
    Messages of the walk are uniform; others are `given`."""

    def __init__(self, kind, degree, draw, oracle):
        self.draws, self.challenges, self.oracle = draw, random.Random(draw.random()), oracle
        self.made, self.given, self.sent, self.links = bytearray(), {}, 0, 0
        super().__init__(kind, b"", degree)

    def draw(self, tag, n, size):
        each = 64 // size
        for i in range((n + each - 1) // each):
            label = tag.encode().ljust(15, b"\0") + bytes([1]) + verify.u64(i)
            self.oracle.program("transcript", self.state + label, self.challenges.randbytes(64))
        return super().draw(tag, n, size)

    def next_ext(self):
        """The element of E that is drawn next, if it is drawn alone"""
        stream = copy.copy(self.challenges).randbytes(64)
        return tuple(int.from_bytes(stream[16 * i:16 * i + 16], "little") % P
                     for i in range(self.degree))

    def read_bytes(self, n, tag):
        data = self.given.pop(tag, None)
        if data is None:
            need(tag in WALK, f"nothing is given for '{tag}'")
            data = elements_bytes(elements(self.draws, n // 8))
            self.sent += n // (8 * self.degree)
        need(len(data) == n, f"'{tag}' has another size")
        self.made += data
        self.offset += n
        self.proof = self.made
        self.absorb(tag, data)
        return data

    def work(self, bits):
        seed, = self.draw("seed", 1, 32)
        nonce = 0
        while int.from_bytes(self.oracle("grind", seed + verify.u64(nonce))[:8], "little") % 2**bits:
            nonce += 1
        self.given["nonce"] = verify.u64(nonce)
        self.read_bytes(8, "nonce")


def absorb_opened(reader, code, pads, vectors, heights, claims):
    """Step 1 of an opening"""
    words = [code.log_columns, code.log_length, code.queries, code.work, len(vectors)]
    reader.absorb("code", elements_bytes([*words, sum(len(terms) for _, terms in claims)]))
    reader.absorb("masks", verify.u64(code.masks) + verify.u64(pads.count))
    for height, (_, used, root) in zip(heights, vectors):
        reader.absorb("vector", verify.u64(verify.bits_of(height)) +
                      verify.u64(verify.rows_in_use(code, used)) + root)
    reader.absorb("claims", b"".join(
        verify.u64(term.vector + (2**63 if i else 0)) + verify.u64(term.block) +
        (b"" if i else elements_bytes(value))
        for value, terms in claims for i, term in enumerate(terms)))


def invent_opening(reader, code, vectors, claims, trees):
    """A hidden opening of these claims, be they true or not. Columns of the data are uniform, or what
    they were before; the folded row is uniform; the blind row's sum and entries follow from these."""
    degree = reader.degree
    need(code.masks and not code.further, "an opening that is not simulated here")
    need(reader.sent + reader.links == reader.pads,
         "elements were sent without pads, or pads are left")
    heights, rounds = verify.heights_of(code, [bits for bits, *_ in vectors])
    rows = [verify.rows_in_use(code, used) for _, used, _ in vectors]
    first, end = [], 0
    for height in heights:
        first.append(-(-end // height) * height)
        end = first[-1] + height
    pads = verify.Pads(code, degree, rounds, rows[0] - 1)
    absorb_opened(reader, code, pads, vectors, heights, claims)
    pads.draw(reader)
    c, = reader.draw_ext(1)
    value = verify.inner(ext_powers(c, len(claims)), [value for value, _ in claims], degree)
    value, a = verify.read_rounds(reader, value, rounds)
    pads.weights(a)
    weights = pads.behind(verify.joined_forms(claims, c, a, first, code.log_columns))
    row = [tuple(elements(reader.draws, degree)) for _ in weights]
    gamma = reader.next_ext()
    blind = ext_sub(verify.inner(weights, row, degree), ext_mul(gamma, value))
    reader.given["blind"] = elements_bytes(blind)
    reader.read_ext(1, "blind")
    need(reader.draw_ext(1) == [gamma], "another challenge than expected")
    reader.given["row"] = b"".join(map(elements_bytes, row))
    reader.read_ext(len(row), "row")
    reader.work(code.work)
    positions = reader.draw_positions(code.queries, code.log_length)
    eq_a = verify.eq_table(a, degree)
    for j in positions:
        fold, columns = verify.ext(0, degree), []
        for at, height, tree in zip(first, rows, trees):
            columns.append(tree.columns.get(j) or elements(reader.draws, height))
            for weight, entry in zip(eq_a[at:], columns[-1]):
                fold = ext_add(fold, ext_scale(weight, entry))
        word, x = verify.ext(0, degree), pow(verify.root_of_unity(code.log_length), j, P)
        for coefficient in reversed(row):
            word = ext_add(ext_scale(word, x), coefficient)
        columns[0] += ext_sub(word, ext_mul(gamma, fold))
        for column, tree in zip(columns, trees):
            if j not in tree.columns:
                tree.show(j, column, reader.oracle)
    for tree in trees:
        data = [x for j in positions for x in tree.columns[j]]
        reader.given.update(columns=elements_bytes(data), path=tree.path(positions))
        reader.read_bytes(8 * len(data), "columns")
        reader.read_bytes(len(reader.given["path"]), "path")


def sealed(data):
    """With its digest"""
    return data + hashlib.blake2b(data, digest_size=32).digest()


def statement_of(file):
    """The statement of a proof file, without the proof"""
    return file[:16 + int.from_bytes(file[12:16], "little")]


def in_two(statement, steps, link):
    """What two parts of a run on tokens say, the first one of so many steps, with a link between"""
    case = verify.read_proof(sealed(statement))
    ids, lanes = case["tokens"], case["lanes"] - steps
    first = struct.pack(f"<QIII{steps + 1}I", 0, steps, 2, steps + 1, *ids[:steps + 1])
    first += struct.pack("<II", 3, 0) + link
    second = struct.pack("<QIII", steps, lanes, 3, lanes + 1) + link
    second += struct.pack(f"<{lanes + 1}III", *ids[steps:], 2, case["claimed"])
    return [statement[:12] + struct.pack("<I", len(case["part"] + run)) + case["part"] + run
            for run in (first, second)]


class Simulator:
    """A prover who knows no weights: of a statement of theirs, and the public parameters"""

    def __init__(self, statement, public, seed):
        self.random, self.oracle, self.public = random.Random(seed), Oracle(), public
        self.roots, self.units = verify.read_proof(sealed(statement))["hidden"], 0
        if self.roots.count > 1:
            self.roots = self.roots._replace(value=tuple(elements(self.random, 2)))
        with mock.patch.object(verify, "hash_of", self.oracle):
            length = 2**self.verifier(self.case(statement)).code.log_length
            self.trees = [Tree(length, self.random, self.oracle) for _ in range(self.roots.count)]
            self.levels = [[self.oracle("leaf", tree.root(), b"roots".ljust(16, b"\0"))
                            for tree in self.trees]]
            while len(self.levels[-1]) > 1:
                level = self.levels[-1]
                self.levels.append([self.oracle("node", level[i] + level[i + 1])
                                    for i in range(0, len(level), 2)])

    def case(self, statement):
        """What verify.py takes"""
        case = verify.read_proof(sealed(statement))
        verify.set_public(case, self.public)
        return case

    @staticmethod
    def verifier(case):
        """The verifier of a case"""
        return verify.Verifier(case)

    def renamed(self, statement):
        """A statement of other weights: those of the key here"""
        case = verify.read_proof(sealed(statement))
        data = case["names"] + verify.hidden_digest(self.roots, self.levels[-1][0])
        data += struct.pack("<II", self.roots.count, self.roots.openings)
        data += elements_bytes(self.roots.value or ())
        return statement[:16] + data + statement[16 + len(case["part"]):]

    def tree(self, case):
        """That of a witness vector"""
        with mock.patch.object(verify, "hash_of", self.oracle):
            return Tree(2**self.verifier(case).code.log_length, self.random, self.oracle)

    def prove_two(self, statement, steps):
        """Proofs of two parts of a run. Names follow from roots; what goes from one part to the other
        has a value that is drawn."""
        statement, trees, names = self.renamed(statement), [], []
        for part in in_two(statement, steps, bytes(80)):
            case = self.case(part)
            trees.append(self.tree(case))
            names.append(verify.name_of(part, case["bare"], trees[-1].root()))
        link = names[0] + names[1] + elements_bytes(elements(self.random, 2))
        return [self.prove(*both) for both in zip(in_two(statement, steps, link), trees)]

    def prove(self, statement, witness=None):
        """A proof file, of a statement about any weights: it will be about these."""
        statement = self.renamed(statement)
        case = self.case(statement)
        number, self.units = self.units // self.roots.openings, self.units + 1
        need(number < self.roots.count, "the key is used up")
        key, at = struct.pack("<I", number) + self.trees[number].root(), number
        for level in self.levels[:-1]:
            key, at = key + level[at ^ 1], at // 2

        def reader(kind, proof, degree):
            """That of the proof; and any other, as it is"""
            return plain(kind, proof, degree) if kind in ("key", "link") else inventor

        def opening(reader, code, vectors, claims):
            """In place of verify.py's"""
            invent_opening(reader, code, vectors, claims, [witness, self.trees[number]])

        plain, witness = verify.Reader, witness or self.tree(case)
        with mock.patch.object(verify, "hash_of", self.oracle):
            verifier = self.verifier(case)
            inventor = Inventor(case["type"], 2, self.random, self.oracle)
            inventor.links = len(verifier.sides)
            inventor.given.update(key=key, root=witness.root())
            with mock.patch.multiple(verify, Reader=reader, opening=opening):
                verifier.verify()
        return sealed(statement + inventor.made)

    def key(self, statement):
        """A key file: it has a certificate, whose statement is given."""
        certificate = self.prove(statement)
        part = verify.read_proof(certificate)["part"]
        data = b"MIVK" + struct.pack("<HHII", 1, 1, 2, len(part)) + part
        data += struct.pack("<I", len(certificate)) + certificate
        return sealed(data + (struct.pack("<I", len(self.public)) + self.public if self.public else b""))


class Closed:
    """While a simulator works nothing may be opened or started."""

    def __init__(self):
        self.on = False
        sys.addaudithook(self.hook)

    def hook(self, event, _):
        """Refuse."""
        if self.on and event in ("open", "os.open", "subprocess.Popen", "os.system", "socket.connect"):
            raise RuntimeError(f"a simulator may not: {event}")

    def __enter__(self):
        self.on = True

    def __exit__(self, *_):
        self.on = False


CLOSED = Closed()


def why(accept, *args):
    """Why something is refused; None if it is accepted"""
    try:
        accept(*args)
    except verify.Refused as refused:
        return str(refused)
    return None


def false_statement(statement):
    """The same with another answer: a number, or the last token"""
    bad = bytearray(statement)
    tokens = verify.read_proof(sealed(statement))["tokens"]
    bad[-12 if tokens else -4] ^= 1
    return bytes(bad)


class Counting(verify.Reader):
    """It counts elements of the walk's messages, and keeps the numbers of the pads that go with them."""

    def __init__(self, *args):
        self.sent, self.numbers = 0, []
        super().__init__(*args)

    def read_bytes(self, n, tag):
        self.sent += n // (8 * self.degree) if tag in WALK else 0
        return super().read_bytes(n, tag)

    def take_pads(self, n):
        self.numbers += super().take_pads(n)
        return range(self.numbers[-n], self.numbers[-1] + 1)


def check_pads(proof, public):
    """Accept a real proof, in whose walk each element has a pad and each pad is that of one element, or
    of a link."""
    case, whole = verify.read_proof(proof), verify.opening
    verify.set_public(case, public)
    verifier = verify.Verifier(case)

    def opening(reader, *args):
        """The walk has ended."""
        need(reader.sent + len(verifier.sides) == verifier.plan.pads, "an element was sent without a pad")
        need(reader.numbers == list(range(verifier.plan.pads)), "a pad is used twice, or not at all")
        whole(reader, *args)

    with mock.patch.multiple(verify, Reader=Counting, opening=opening):
        verifier.verify()


def check(name, real_key, real_proof, draw):
    """Simulate what is said by a key and a proof, and see who accepts it."""
    part, certificate, public = verify.read_key(real_key)
    check_pads(real_proof, public)
    said = [certificate["statement"], statement_of(real_proof)]
    need(certificate["hidden"] and part == verify.read_proof(real_proof)["part"], "no hidden proofs")
    with CLOSED:
        simulator = Simulator(said[0], public, 7)
        key = simulator.key(said[0])
        proofs = [simulator.prove(false_statement(said[1]))]
        while simulator.units < simulator.roots.count * simulator.roots.openings:
            proofs.append(simulator.prove(said[1]))
    with mock.patch.object(verify, "hash_of", simulator.oracle):
        believed = verify.verify_key(key)
        for proof in proofs:
            verify.verify_run(proof, believed)
        for _ in range(len(proofs) - 1):
            bad = bytearray(draw.choice(proofs)[:-32])
            bad[draw.randrange(16, len(bad))] ^= 1 << draw.randrange(8)
            need(why(verify.verify_run, sealed(bytes(bad)), believed), "a changed proof is accepted")
    need(len({proof[len(said[1]):] for proof in proofs}) == len(proofs), "two proofs are the same")
    need(why(verify.verify_run, proofs[-1], believed), "a simulated proof is accepted")
    need(len(proofs) == 1 or why(verify.verify_key, key), "a simulated key is accepted")
    print(f"{name}: {simulator.roots.count} roots of {simulator.roots.openings}, a key and {len(proofs)} "
          f"proofs; {len(real_proof)} bytes, simulated {len(proofs[0])}")


def check_parts(name, real_key, real_proof, steps, draw):
    """The same of a run in two parts, from a key and a proof of all of it: its statement says what the
    parts' do."""
    _, certificate, public = verify.read_key(real_key)
    said = statement_of(real_proof)
    with CLOSED:
        simulator = Simulator(certificate["statement"], public, 7)
        key = simulator.key(certificate["statement"])
        runs = [simulator.prove_two(statement, steps) for statement in (false_statement(said), said)]
    parts = [part for run in runs for part in run]

    def accept(part):
        """As one of the key"""
        verify.verify_run(part, believed)

    with mock.patch.object(verify, "hash_of", simulator.oracle):
        believed = verify.verify_key(key)
        links = [verify.read_proof(run[1])["roots"][verify.BEFORE] for run in runs]
        for run in runs:
            whole = verify.verify_series(series_of(run), accept)
            need(run is runs[0] or whole["tokens"] == verify.read_proof(real_proof)["tokens"],
                 "another run")
        need(len(set(link.value for link in links)) == len(runs), "two links have the same value")
        need(why(verify.read_series, series_of([runs[0][0], runs[1][1]])), "parts of two runs as one")
        for part in parts:
            bad = bytearray(part[:-32])
            bad[draw.randrange(16, len(bad))] ^= 1 << draw.randrange(8)
            need(why(accept, sealed(bytes(bad))), "a changed part is accepted")
    for part in parts:
        need(why(accept, part), "a simulated part is accepted")
    print(f"{name}: a key and {len(runs)} runs in two parts; {len(real_proof)} bytes in one, simulated "
          f"{', '.join(str(len(part)) for part in runs[0])}")


def ask(tool, *words):
    subprocess.run([tool, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def files(tool, folder, models, words, proofs):
    """A real key and a real proof"""
    of_models = []
    for i, (preset, options) in enumerate(models):
        path = os.path.join(folder, f"model{i}")
        ask(tool, "synth", "--preset", preset, "--seed", str(i), "--out", path,
            *(word for key, value in options.items() for word in ("--" + key, str(value))))
        of_models += ["-m", path]
    paths = [os.path.join(folder, name) for name in ("prover", "key", "proof")]
    ask(tool, "proof", "key", *of_models, "--zk", "on", "--proofs", str(proofs), "--prover-key",
        paths[0], "--out", paths[1])
    ask(tool, "prove", *of_models, *words, "--zk", "on", "--prover-key", paths[0], "--out", paths[2])
    return read(paths[1]), read(paths[2])


def main(args):
    """The command line"""
    if len(args) != 1:
        sys.exit(__doc__)
    draw = random.Random(7)
    for name, models, words, proofs in CASES:
        with tempfile.TemporaryDirectory() as folder:
            made = files(os.path.abspath(args[0]), folder, models, words, proofs)
        check(name, *made, draw)
    for name, models, words, proofs, steps in PARTS:
        with tempfile.TemporaryDirectory() as folder:
            made = files(os.path.abspath(args[0]), folder, models, words, proofs)
        check_parts(name, *made, steps, draw)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except verify.Refused as refused:
        sys.exit(f"failed: {refused}")
