#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training killed with SIGKILL at random moments and resumed gives byte-equal final files.

usage: kill.py TOOL TEXT [KILLS [SEED]]
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

TOOL, TEXT = sys.argv[1:3]
KILLS = int(sys.argv[3]) if len(sys.argv) > 3 else 10
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else random.SystemRandom().randrange(1 << 32)

work = tempfile.mkdtemp(prefix="mambaint-kill-")


def path(name):
    return os.path.join(work, name)


def command(out, threads, steps):
    arguments = [TOOL, "train", "--preset", "mi-tiny", "--vocab", "300", "--batch", "4",
                 "--context", "32", "--data", TEXT, "--steps", str(steps), "--save-every", "7",
                 "--threads", str(threads), "--out", path(out)]
    if os.path.exists(path(out) + ".checkpoint"):
        arguments += ["--resume", path(out) + ".checkpoint"]
    return arguments


def start(out, threads, steps):
    return subprocess.Popen(command(out, threads, steps), stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process):
    err = process.communicate()[1].decode(errors="replace")
    if process.returncode != 0:
        sys.exit("training ended with %d: %s" % (process.returncode, err))


def read(name):
    with open(path(name), "rb") as file:
        return file.read()


def steps_for(seconds):
    """How many steps take about that long here."""
    begin = time.monotonic()
    finish(start("pace.gguf", 1, 100))
    short = time.monotonic() - begin
    os.remove(path("pace.gguf.checkpoint"))
    begin = time.monotonic()
    finish(start("pace.gguf", 1, 600))
    pace = max(1e-4, (time.monotonic() - begin - short) / 500)
    return max(100, min(6000, int(seconds / pace)))


def main():
    print("seed", SEED)
    draw = random.Random(SEED)
    steps = steps_for(2.0)
    begin = time.monotonic()
    finish(start("straight.gguf", 1, steps))
    whole = time.monotonic() - begin
    kills = rounds = 0
    while kills < KILLS:
        for name in ("killed.gguf", "killed.gguf.checkpoint"):
            if os.path.exists(path(name)):
                os.remove(path(name))
        rounds += 1
        done = False
        while not done:
            process = start("killed.gguf", draw.choice((1, 2)), steps)
            try:
                process.wait(draw.uniform(0.01, 0.6) * whole if kills < KILLS else None)
                done = True
            except subprocess.TimeoutExpired:
                process.kill()
                kills += process.wait() == -9
                process.stderr.close()
                continue
            finish(process)
        for name in ("gguf", "gguf.checkpoint"):
            if read("killed." + name) != read("straight." + name):
                sys.exit("round %d: another killed.%s than without kills" % (rounds, name))
    left = [name for name in os.listdir(work) if name.endswith(".tmp")]
    print("%d kills in %d rounds of %d steps, all files equal; %d unfinished saves left behind" %
          (kills, rounds, steps, len(left)))


try:
    main()
finally:
    shutil.rmtree(work, ignore_errors=True)
