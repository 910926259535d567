#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Damaged model, tokenizer, state and checkpoint files, and files in the place of others.

Cut, bit-flipped and with counts beyond reason, each gives a sentence and status 1 from `check` and
from the command that would use it: never a signal, never a hang. A flip anywhere is found, because
a digest covers every byte.

usage: damage.py TOOL TEXT [--thorough] [SEED]
  --thorough  a flip in every byte of the head of the model, and more of everything
"""

import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

TOOL, TEXT = sys.argv[1:3]
THOROUGH = "--thorough" in sys.argv
NUMBERS = [a for a in sys.argv[3:] if a.isdigit()]
SEED = int(NUMBERS[0]) if NUMBERS else random.SystemRandom().randrange(1 << 32)

# A sanitizer's complaint must not look like a refusal.
os.environ["ASAN_OPTIONS"] = "exitcode=99"
os.environ["UBSAN_OPTIONS"] = "halt_on_error=1:exitcode=99"

work = tempfile.mkdtemp(prefix="mambaint-damage-")
draw = random.Random(SEED)
problems = 0
runs = 0


def path(name):
    return os.path.join(work, name)


def problem(text):
    global problems
    problems += 1
    print("not as promised:", text)
    if problems > 20:
        sys.exit("too many")


def run(arguments):
    """Status (negative: a signal), what was printed."""
    global runs
    runs += 1
    try:
        done = subprocess.run([TOOL] + arguments, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60)
    except subprocess.TimeoutExpired:
        return "no end", b"", b""
    return done.returncode, done.stdout, done.stderr


def must(arguments):
    status, out, err = run(arguments)
    if status != 0:
        sys.exit("%s: %s %s" % (" ".join(arguments), status, (out + err).decode()))


def read(name):
    with open(path(name), "rb") as file:
        return file.read()


def write(name, data):
    with open(path(name), "wb") as file:
        file.write(data)


def refused(what, arguments):
    status, out, err = run(arguments)
    if status != 1:
        problem("%s: %s: status %s" % (what, arguments[0], status))
    elif not (out if arguments[0] == "check" else err).strip():
        problem("%s: %s: no sentence" % (what, arguments[0]))


USE = {
    "model": lambda f: ["generate", "-m", f, "-p", "a", "-n", "2"],
    "tokenizer": lambda f: ["tokenizer", "encode", "-t", f, "-p", "a"],
    "state": lambda f: ["generate", "-m", path("model"), "-p", "a", "-n", "2", "--load-state", f],
    "checkpoint": lambda f: train(path("out.gguf")) + ["--resume", f],
}


def train(out):
    return ["train", "--preset", "mi-tiny", "--vocab", "300", "--data", TEXT, "--steps", "2",
            "--batch", "1", "--context", "8", "--threads", "1", "--out", out]


def try_bytes(kind, what, data, use=True):
    write("bad", data)
    refused("%s, %s" % (kind, what), ["check", path("bad")])
    if use:
        refused("%s, %s" % (kind, what), USE[kind](path("bad")))


# ---- cuts and flips ----


def cuts(kind, data):
    ends = set(range(0, 40)) | {len(data) - 1, len(data) - 33, len(data) // 2}
    ends |= {draw.randrange(len(data)) for _ in range(200 if THOROUGH else 20)}
    for end in sorted(ends):
        try_bytes(kind, "cut to %d bytes" % end, data[:end], use=end % 4 == 0)
    try_bytes(kind, "one byte more", data + b"\0")
    try_bytes(kind, "twice", data + data)
    try_bytes(kind, "nothing but zeros", bytes(len(data)))


def flips(kind, data, head):
    step = 1 if THOROUGH and kind == "model" else 5 if THOROUGH else 37
    places = list(range(0, head, step))
    places += [draw.randrange(head, len(data)) for _ in range(400 if THOROUGH else 40)]
    for i, place in enumerate(places):
        bit = draw.randrange(8)
        bad = bytearray(data)
        bad[place] ^= 1 << bit
        try_bytes(kind, "byte %d, bit %d flipped" % (place, bit), bad, use=i % 8 == 0)


# ---- counts and lengths ----


class Head:
    """Walks the head of a container and notes where numbers stand that sizes depend on."""

    SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def __init__(self, data):
        self.data, self.at, self.places = data, 24, [(8, 8, "tensors"), (16, 8, "keys")]
        tensors, keys = struct.unpack_from("<QQ", data, 8)
        for _ in range(keys):
            name = self.text("length of a key")
            self.value(self.number(4, "type of %s" % name), name)
        for _ in range(tensors):
            name = self.text("length of a tensor's name")
            for _ in range(self.number(4, "dimensions of %s" % name)):
                self.number(8, "dimension of %s" % name)
            self.number(4, "type of %s" % name)
            self.number(8, "offset of %s" % name)
        self.end = self.at

    def number(self, width, what):
        self.places.append((self.at, width, what))
        self.at += width
        return int.from_bytes(self.data[self.at - width:self.at], "little")

    def text(self, what, note=True):
        n = int.from_bytes(self.data[self.at:self.at + 8], "little")
        if note:
            self.places.append((self.at, 8, what))
        self.at += 8 + n
        return self.data[self.at - n:self.at].decode(errors="replace")

    def value(self, kind, name):
        if kind == 8:
            self.text("length of %s" % name)
        elif kind != 9:
            self.at += self.SIZES[kind]
        else:
            inner = self.number(4, "type inside %s" % name)
            for i in range(self.number(8, "count of %s" % name)):
                if inner == 8:
                    self.text("length in %s" % name, note=i < 2)
                else:
                    self.at += self.SIZES[inner]


def counts(kind, data, places):
    values = {4: [0, 0x7fffffff, 0x80000000, 0xffffffff],
              8: [0, 1 << 31, 1 << 32, 1 << 61, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
                  (1 << 64) - 8]}
    for place, width, what in places:
        old = int.from_bytes(data[place:place + width], "little")
        new = values[width] + [old + 1, old - 1 if old else 2]
        for value in new if THOROUGH else draw.sample(new, 3):
            if value != old:
                bad = bytearray(data)
                bad[place:place + width] = value.to_bytes(width, "little")
                try_bytes(kind, "%s: %d instead of %d" % (what, value, old), bad)


# ---- one kind in the place of another ----


def swaps():
    for kind in USE:
        for other in USE:
            fits = other == kind or (kind == "tokenizer" and other != "state")
            if not fits:
                refused("%s as a %s" % (other, kind), USE[kind](path(other)))
        refused("a folder as a %s" % kind, USE[kind](work))
        refused("nothing as a %s" % kind, USE[kind](path("no-such-file")))
        refused("a text as a %s" % kind, USE[kind](TEXT))
        refused("an empty file as a %s" % kind, USE[kind](os.devnull))
    must(["synth", "--preset", "mi-tiny", "--seed", "1", "--out", path("other")])
    refused("a state of another model", ["generate", "-m", path("other"), "-p", "a", "-n", "2",
                                         "--load-state", path("state")])
    refused("a checkpoint of another run", USE["checkpoint"](path("checkpoint")) + ["--lr", "0.1"])


def main():
    print("seed", SEED)
    must(["synth", "--preset", "mi-tiny", "--out", path("model")])
    must(["tokenizer", "train", TEXT, "--vocab", "300", "--out", path("tokenizer")])
    must(["generate", "-m", path("model"), "-p", "Once", "-n", "5", "--save-state", path("state")])
    must(train(path("trained.gguf")))
    os.rename(path("trained.gguf.checkpoint"), path("checkpoint"))
    for kind in USE:
        must(["check", path(kind)])
        must(USE[kind](path(kind)))
        data, before = read(kind), runs
        if kind == "state":
            places, head = [(8, 4, "version"), (12, 4, "zero"), (80, 8, "size of the graph part"),
                            (88, 8, "size of the session part")], 96
        else:
            walked = Head(data)
            places, head = walked.places, walked.end
        cuts(kind, data)
        flips(kind, data, head)
        counts(kind, data, places)
        print("%-10s %5d bytes, %4d of head, %4d numbers: %d runs" %
              (kind, len(data), head, len(places), runs - before))
    swaps()
    print(runs, "runs,", problems, "problems")
    return problems > 0


try:
    status = main()
finally:
    shutil.rmtree(work, ignore_errors=True)
sys.exit(status)
