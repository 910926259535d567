#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hidden proofs and their keys, made by the tool, by an independent verifier.

The tool synthesises models, makes keys with hidden weights and proves runs of them. These files are
never the same twice; so verify.py has to accept each key and each proof, find the outputs that the
readers here compute from the model file, and refuse the files with bytes changed, with another
number of a root, with other words about the roots, and under another key.

Usage: hidden_files.py TOOL
"""
import hashlib
import os
import random
import struct
import sys
import tempfile

import reference
import verify
from proof_files import (FEATURES, PRESETS, SMALL, answer, ask, changed, check_lies, need, outputs,
                         read, refused, resealed)
from simple import Simple

CHANGES = 3  # damaged copies of each file, and of each of its parts

# name, numbers of the models, proofs of the key, and whether those are of one root
NUMBERS = [("rwkv", [0], 20, False), ("xlstm", [2], 1, False), ("chain", [0, 1, 2], 3, False)]

# Models of tokens: name, shape, tokens of the prompt and of the answer, and the same
TOKENS = [
    ("one", SMALL, 1, 1, 1, False),
    ("chunks", {**SMALL, "norm": "bitshift", "gate": "squareplus", "hold": "on",
                "rotation-pairs": 2}, 6, 4, 8, False),
    ("one-root", {}, 3, 2, 1, True),
]

# One whose certificate looks weights up where they lie
DIRECT = {"layers": 1, "d-model": 96, "heads": 2, "head-dim": 16, "d-state": 16, "vocab": 2100,
          "chunk": 8, "rotation-pairs": 0}


def sealed(data):
    return data + hashlib.blake2b(data, digest_size=32).digest()


def with_bytes(file, at, new):
    """The same file with other bytes, and a right digest"""
    return sealed(file[:at] + new + file[at + len(new):-32])


def check_key(name, file, one_root):
    """Accept a key and no damaged ones; returns what it believes."""
    part, certificate, _ = verify.read_key(file)
    roots = certificate["hidden"]
    need(roots and one_root == (roots.count == 1), f"{name}: {roots} of its key")
    key = verify.verify_key(file)
    draw = random.Random(len(file))
    for k in range(CHANGES):
        bad = (resealed if k % 4 else changed)(file, draw)
        need(refused(verify.verify_key, bad), f"{name}: a damaged key is accepted")
    inner = 20 + len(part)                          # of the certificate, which has a digest, too
    length = int.from_bytes(file[inner - 4:inner], "little")
    for _ in range(CHANGES):
        bad = file[:inner] + resealed(file[inner:inner + length], draw) + file[inner + length:-32]
        need(refused(verify.verify_key, sealed(bad)), f"{name}: a false certificate is accepted")
    return key, roots


def check_roots(name, proof, key, roots, draw):
    """Neither another root nor other words about all of them are accepted."""
    length = int.from_bytes(proof[12:16], "little")
    body, models = 16 + length, 16 + len(key[0])
    number = int.from_bytes(proof[body:body + 4], "little")
    for other in (number ^ 1, roots.count, 2**32 - 1):
        lie = with_bytes(proof, body, struct.pack("<I", other))
        need(refused(verify.verify_run, lie, key), f"{name}: root {number} is accepted as {other}")
    said = 8 + (16 if roots.count > 1 else 0)       # the last things of the models' part
    for at in draw.sample(range(models - said - 32, models), CHANGES):
        lie = with_bytes(proof, at, bytes([proof[at] ^ 1]))
        need(refused(verify.verify_run, lie, key), f"{name}: other roots are accepted")
        part = bytearray(key[0])
        part[at - 16] ^= 1
        need(refused(verify.verify_run, lie, (bytes(part), key[1])),
             f"{name}: other roots are accepted of another key")
    for flags in (0, 1, 3):
        lie = with_bytes(proof, 10, struct.pack("<H", flags))
        need(refused(verify.verify_run, lie, key), f"{name}: accepted with flags {flags}")


def check(name, folder, tool, words, run, count, one_root, keys):
    """A key, two proofs of one run and what is wrong with others; returns a proof and what to
    believe of it. keys: those of others"""
    draw = random.Random(count)
    path = os.path.join(folder, name)
    ask(tool, "proof", "key", *words, "--zk", "on", "--proofs", str(count), "--prover-key",
        path + ".mipk", "--out", path + ".mivk")
    key, roots = check_key(name, read(path + ".mivk"), one_root)
    proofs = []
    for _ in range(min(count, 2)):
        ask(tool, "prove", *words, *run, "--zk", "on", "--prover-key", path + ".mipk", "--out", path)
        proofs.append(read(path))
        verify.verify_run(proofs[-1], key)
    need(len(set(proofs)) == len(proofs), f"{name}: two proofs are the same")
    proof = proofs[-1]
    need(os.stat(path + ".mipk").st_mode & 0o077 == 0, f"{name}: others may read the prover's key")
    for _ in range(CHANGES):
        need(refused(verify.verify_run, resealed(proof, draw), key),
             f"{name}: a damaged proof is accepted")
    check_roots(name, proof, key, roots, draw)
    for other, believed in keys.items():
        need(refused(verify.verify_run, proof, believed), f"{name} is accepted under {other}'s key")
    keys[name] = key
    ask(tool, "proof", "key", *words, "--zk", "on", "--proofs", str(count), "--prover-key",
        path + ".again.mipk", "--out", path + ".again.mivk")
    again = verify.verify_key(read(path + ".again.mivk"))
    need(again != key, f"{name}: two keys are the same")
    need(refused(verify.verify_run, proof, again), f"{name}: accepted under another key of its model")
    # Even if that says that it is of this proof: what the key is of is in the proof's transcript.
    lie = sealed(proof[:16] + again[0] + proof[16 + len(again[0]):-32])
    need(refused(verify.verify_run, lie, again), f"{name}: accepted as a proof under another key")
    return proof, key


def simple_models(tool, folder, keys):
    paths = [os.path.join(folder, p) for p in PRESETS]
    for path, preset in zip(paths, PRESETS):
        ask(tool, "synth", "--preset", preset, "--seed", "1", "--out", path)
    models = [Simple(read(path)) for path in paths]
    for name, numbers, count, one_root in NUMBERS:
        words = [w for n in numbers for w in ("-m", paths[n])]
        proof, _ = check(name, folder, tool, words, [f"--features={FEATURES}"], count, one_root, keys)
        need(verify.read_proof(proof)["output"] == outputs([models[n] for n in numbers]),
             f"{name}: other outputs")


def synth(tool, folder, name, shape):
    path = os.path.join(folder, name + ".gguf")
    words = [w for key, value in shape.items() for w in ("--" + key, str(value))]
    ask(tool, "synth", "--preset", "mi-tiny", "--seed", "3", *words, "--out", path)
    return path


def token_models(tool, folder, keys):
    for seed, (name, shape, asked, count, proofs, one_root) in enumerate(TOKENS):
        path = synth(tool, folder, name, shape)
        prompt = [(97 * seed + 31 * i) % 256 for i in range(asked)]
        run = ["--ids", ",".join(map(str, prompt)), "-n", str(count)]
        proof, key = check(name, folder, tool, ["-m", path], run, proofs, one_root, keys)
        graph = reference.Model(read(path)).graph
        case = verify.read_proof(proof)
        need(case["tokens"] == answer(graph, prompt, count) and case["claimed"] == count,
             f"{name}: another answer")
        check_lies(name, proof, asked + count, lambda lie: verify.verify_run(lie, key))


def direct_certificate(tool, folder):
    """A key of more weights than are bounded one by one"""
    path = synth(tool, folder, "direct", DIRECT)
    key = os.path.join(folder, "direct.mivk")
    ask(tool, "proof", "key", "-m", path, "--zk", "on", "--proofs", "1", "--prover-key",
        os.path.join(folder, "direct.mipk"), "--out", key)
    file = read(key)
    _, certificate, public = verify.read_key(file)
    verify.set_public(certificate, public)
    need(verify.Verifier(certificate).plan.direct, "direct: it bounds weights one by one")
    verify.verify_key(file)
    bad = bytearray(file[:-32])
    bad[-100000] ^= 1
    need(refused(verify.verify_key, sealed(bytes(bad))), "direct: a damaged key is accepted")


def main(args):
    need(len(args) == 1, __doc__)
    keys, tool = {}, os.path.abspath(args[0])
    with tempfile.TemporaryDirectory() as folder:
        simple_models(tool, folder, keys)
        token_models(tool, folder, keys)
        direct_certificate(tool, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
