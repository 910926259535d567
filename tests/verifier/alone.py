#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The verifier that is linked alone, on the files of tests/golden/proof_files.txt.

The tool makes them anew; their digests have to be the committed ones. The small program then has to
accept each proof that has a key, to say what `mambaint verify` says, and to refuse it under another
key, and every file with a byte changed, also where its digest was made right again.

Usage: alone.py VERIFY TOOL tests/golden
"""
import os
import random
import subprocess
import sys
import tempfile

VERIFY, TOOL = (os.path.abspath(a) for a in sys.argv[1:3])
sys.path.insert(0, sys.argv[3])
import proof_files

CHANGES = 12  # damaged copies of each file


def run(key, proof, *more):
    return subprocess.run([VERIFY, key, *more, proof], stdin=subprocess.DEVNULL, capture_output=True)


def refused(key, proof, *more):
    r = run(key, proof, *more)
    return r.returncode == 1 and not r.stdout and r.stderr.startswith(b"NOT accepted: ")


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def make(folder):
    """The files with committed weights, as proof_files.py makes them"""
    paths = [os.path.join(folder, p) for p in proof_files.PRESETS]
    for path, preset in zip(paths, proof_files.PRESETS):
        proof_files.ask(TOOL, "synth", "--preset", preset, "--seed", "1", "--out", path)
    for name, numbers, weights in proof_files.PROOFS:
        if weights == "committed":
            yield name, [w for n in numbers for w in ("-m", paths[n])], [
                f"--features={proof_files.FEATURES}"]
    for seed, (name, shape, asked, count, weights) in enumerate(proof_files.TOKENS):
        if weights != "committed":
            continue
        path = os.path.join(folder, name + ".gguf")
        words = [w for key, value in {**proof_files.SMALL, **shape}.items()
                 for w in ("--" + key, str(value))]
        proof_files.ask(TOOL, "synth", "--preset", "mi-tiny", "--seed", str(seed), *words,
                        "--out", path)
        ids = ",".join(str((97 * seed + 31 * i) % 256) for i in range(asked))
        yield name, ["-m", path], ["--ids", ids, "-n", str(count)]


def check_linked(folder, committed, draw):
    """A chain with a proof for each model, under the keys of these alone"""
    name, numbers, _ = proof_files.LINKED[0]
    path, bad = os.path.join(folder, name), os.path.join(folder, "bad")
    models = [w for n in numbers for w in ("-m", os.path.join(folder, proof_files.PRESETS[n]))]
    keys = [os.path.join(folder, proof_files.PROOFS[n][0]) + ".mivk" for n in numbers]
    proof_files.ask(TOOL, "prove", *models, f"--features={proof_files.FEATURES}", "--linked",
                    "--out", path)
    if proof_files.file_line(name, proof_files.read(path)) not in committed:
        sys.exit(f"{name}: other bytes than proof_files.txt says")
    r = run(keys[0], path, *keys[1:])
    words = [w for key in keys for w in ("--key", key)]
    said = subprocess.run([TOOL, "verify", path, *words], capture_output=True, check=True).stdout
    if r.returncode or r.stdout != said.replace(path.encode() + b": ", b"", 1):
        sys.exit(f"{name}: not accepted, or other words than the tool's: {r}")
    for wrong in (keys[:1], keys[:2], keys[::-1], keys + keys[:1]):
        if not refused(wrong[0], path, *wrong[1:]):
            sys.exit(f"{name} is accepted under other keys")
    for k in range(CHANGES):
        change = proof_files.resealed if k % 4 else proof_files.changed
        if not refused(keys[0], write(bad, change(proof_files.read(path), draw)), *keys[1:]):
            sys.exit(f"{name}: a changed proof is accepted")


def main():
    with open(os.path.join(sys.argv[3], "proof_files.txt"), encoding="ascii") as f:
        committed = set(f.read().splitlines())
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    draw = random.Random(seed)
    names = []
    with tempfile.TemporaryDirectory() as folder:
        bad = os.path.join(folder, "bad")
        for name, models, what in make(folder):
            path = os.path.join(folder, name)
            key = path + ".mivk"
            proof_files.ask(TOOL, "prove", *models, *what, "--out", path)
            proof_files.ask(TOOL, "proof", "key", *models, "--out", key)
            for file in (path, key):
                line = proof_files.file_line(os.path.basename(file), proof_files.read(file))
                if line not in committed:
                    sys.exit(f"other bytes than proof_files.txt says: {line}")
            r = run(key, path)
            said = subprocess.run([TOOL, "verify", path, "--key", key], capture_output=True,
                                  check=True).stdout
            if r.returncode or r.stdout != said.replace(path.encode() + b": ", b"", 1):
                sys.exit(f"{name}: not accepted, or other words than the tool's: {r}")
            for other in names:
                if not refused(os.path.join(folder, other) + ".mivk", path):
                    sys.exit(f"{name} is accepted under the key of {other}")
            names.append(name)
            for k in range(CHANGES):
                change = proof_files.resealed if k % 4 else proof_files.changed
                if not refused(key, write(bad, change(proof_files.read(path), draw))):
                    sys.exit(f"{name}: a changed proof is accepted")
                if k < 4 and not refused(write(bad, change(proof_files.read(key), draw)), path):
                    sys.exit(f"{name}: a changed key is accepted")
        check_linked(folder, committed, draw)
        for data in (b"", b"MIPF", proof_files.read(path)[:-1], proof_files.read(path) + b"\0"):
            if not refused(key, write(bad, data)) or not refused(write(bad, data), path):
                sys.exit("a cut or lengthened file is accepted")
        if not refused(path, key) or not refused(key, os.path.join(folder, "none")):
            sys.exit("no proof at all is accepted")
    if len(names) != 8:
        sys.exit(f"{len(names)} proofs, not 8")


main()
