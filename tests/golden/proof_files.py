#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proofs of the tool, byte by byte and by an independent verifier.

The tool synthesises models, proves runs of them and makes keys. Each file has to have the digest that proof_files.txt
says, on every machine; verify.py has to accept it, refuse it with any byte changed, and refuse it under another
key; the weights digest and the outputs have to be those that the readers here compute from the model file, so
that a proof is about this model and this arithmetic.

Usage: proof_files.py TOOL FILE           compares with the digests in FILE
       proof_files.py TOOL --print        prints what FILE should hold
"""
import hashlib
import os
import random
import struct
import subprocess
import sys
import tempfile

import verify
from simple import Simple, integer

FEATURES = "0.5,-1.25,3.96875,-4,0,0.015625,-0.015625,2,-3,1"
PRESETS = ["simple-rwkv", "simple-mamba", "simple-xlstm"]
CHANGES = 12  # damaged copies of each proof

# name, numbers of the models, weights
PROOFS = [
    ("rwkv", [0], "committed"),
    ("mamba", [1], "committed"),
    ("xlstm", [2], "committed"),
    ("rwkv-public", [0], "public"),
    ("chain", [0, 1, 2], "committed"),
    ("chain-public", [2, 0], "public"),
]


def need(condition, sentence):
    if not condition:
        sys.exit(sentence)


def ask(tool, *words):
    subprocess.run([tool, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def weight_vector(models):
    """The vector of weights of models, laid out as verify.py plans it."""
    plan = verify.Plan(False, [(m.features, m.hidden, m.outputs) for m in models], 1, 0)
    rows = [table for m in models for table in (m.w1, [m.b1], m.w2, [m.b2])]
    vector = [0] * 2**plan.weight_bits
    weights = [v for v in plan.variables if v.kind == verify.WEIGHT]
    for v, table in zip(weights, rows):
        for piece in (plan.pieces[i] for i in v.pieces):
            for r in range(2**piece.log_rows):
                at = ((piece.block << piece.log_rows) + r) << piece.col_bits
                vector[at:at + v.cols] = table[piece.row + r]
    return vector, verify.choose_code(plan.weight_bits, 2)


def outputs(models):
    x = [integer(t) for t in FEATURES.split(",")]
    for m in models:
        y, x = m.evaluate(x)
    return y


def refused(check, *args):
    try:
        check(*args)
    except verify.Refused:
        return True
    return False


def changed(data, draw):
    at = draw.randrange(len(data))
    return data[:at] + bytes([data[at] ^ draw.randrange(1, 256)]) + data[at + 1:]


def resealed(data, draw):
    """The same with a right digest at its end."""
    body = changed(data[:-32], draw)
    return body + hashlib.blake2b(body, digest_size=32).digest()


def check_committed(name, proof, key, models, draw):
    vector, code = weight_vector(models)
    root = verify.vector_root(code, [x % verify.P for x in vector])
    part = verify.verify_key(key)
    verify.verify_run(proof, part)
    need(verify.read_proof(proof)["weights_digest"] == root, f"{name}: the root is not of this model")
    for k in range(CHANGES):
        bad = (resealed if k % 4 else changed)(proof, draw)
        need(refused(verify.verify_run, bad, part), f"{name}: a damaged proof is accepted")
    for k in range(2):
        bad = (resealed if k else changed)(key, draw)
        need(refused(verify.verify_key, bad), f"{name}: a damaged key is accepted")
    return part


def verify_public(proof, vector):
    case = verify.read_proof(proof)
    verify.need(case["public"] == 1, "the weights are not public")
    verify.verify({**case, "weights": vector})


def check_public(name, proof, models, draw):
    vector, _ = weight_vector(models)
    verify_public(proof, vector)
    entries = struct.pack(f"<{len(vector)}h", *vector)
    need(verify.read_proof(proof)["weights_digest"] == hashlib.blake2b(entries, digest_size=32).digest(),
         f"{name}: the digest is not of this model's weights")
    for _ in range(CHANGES):
        need(refused(verify_public, resealed(proof, draw), vector), f"{name}: a damaged proof is accepted")
        other = list(vector)
        other[draw.randrange(len(other))] += 1
        need(refused(verify_public, proof, other), f"{name}: other weights are accepted")


def lines(tool, folder):
    draw, parts = random.Random(7), {}
    paths = [os.path.join(folder, p) for p in PRESETS]
    for path, preset in zip(paths, PRESETS):
        ask(tool, "synth", "--preset", preset, "--seed", "1", "--out", path)
    models = [Simple(read(path)) for path in paths]
    for name, numbers, weights in PROOFS:
        mine = [models[n] for n in numbers]
        words = [w for n in numbers for w in ("-m", paths[n])]
        path = os.path.join(folder, name)
        ask(tool, "prove", *words, f"--features={FEATURES}", "--weights", weights, "--out", path)
        proof = read(path)
        need(verify.read_proof(proof)["output"] == outputs(mine), f"{name}: other outputs")
        yield " ".join([name, str(len(proof)), hashlib.blake2b(proof, digest_size=32).hexdigest()])
        if weights == "public":
            check_public(name, proof, mine, draw)
            continue
        ask(tool, "proof", "key", *words, "--out", path + ".mivk")
        key = read(path + ".mivk")
        yield " ".join([name + ".mivk", str(len(key)), hashlib.blake2b(key, digest_size=32).hexdigest()])
        for other, part in parts.items():
            need(refused(verify.verify_run, proof, part), f"{name} is accepted under {other}'s key")
        parts[name] = check_committed(name, proof, key, mine, draw)


def main(args):
    need(len(args) == 2, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        text = "".join(line + "\n" for line in lines(os.path.abspath(args[0]), folder))
    if args[1] == "--print":
        sys.stdout.write(text)
        return
    with open(args[1], encoding="ascii") as f:
        want = f.read()
    for got, line in zip(text.splitlines(), want.splitlines()):
        need(got == line, f"{got.split()[0]}: other bytes: {got}; asked for: {line}")
    need(text == want, "another number of files")


if __name__ == "__main__":
    main(sys.argv[1:])
