#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chat, and the progress of long work, on a terminal: a pseudo-terminal plays the person.

usage: terminal.py TOOL TEXT
"""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time

try:
    import pty
except ImportError:
    sys.exit(77)

TOOL, TEXT = (os.path.abspath(name) for name in sys.argv[1:3])
WAIT = 30.0
CTRL_C, CTRL_D = b"\x03", b"\x04"
work = tempfile.mkdtemp(prefix="mambaint-terminal-")


class Person:
    """The tool on a terminal of its own. `out` is what the terminal showed so far."""

    def __init__(self, *arguments, output=None):
        """output: a file that takes standard output in place of the terminal."""
        self.out, self.seen, self.status, self.seed = b"", 0, None, b"777"
        self.child, self.fd = pty.fork()
        if not self.child:
            if output:
                os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), 1)
            os.environ.update(LC_ALL="C.UTF-8", TERM="xterm")
            os.execv(TOOL, [TOOL] + list(arguments))

    def fail(self, text):
        if not self.gone():
            os.kill(self.child, signal.SIGKILL)
        sys.exit("not as promised: %s (status %s); the last on the terminal:\n%s" %
                 (text, self.status, self.out[-800:].decode(errors="replace")))

    def read(self, seconds):
        """Whether there was something."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other side is closed
            data = b""
        self.out += data
        return bool(data)

    def see(self, text):
        """Wait until the text appears after what was seen before."""
        end = time.monotonic() + WAIT
        while text not in self.out[self.seen:]:
            if time.monotonic() > end or (not self.read(1) and self.gone()):
                self.fail("'%s' does not appear" % text.decode())
        self.seen = self.out.index(text, self.seen) + len(text)

    def type(self, data):
        os.write(self.fd, data)

    def say(self, line):
        self.type(line + b"\r")

    def prompted(self):
        """Wait for a prompt; model text may look like one, so something else is asked first."""
        self.say(b"/seed")
        self.see(b"seed " + self.seed + b"\r\n")
        self.see(b"> ")

    def gone(self):
        if self.status is None:
            child, status = os.waitpid(self.child, os.WNOHANG)
            if child:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def ends(self, wanted):
        end = time.monotonic() + WAIT
        while not self.gone():
            if time.monotonic() > end:
                self.fail("the tool does not end")
            self.read(0.1)
        while self.read(0.1):
            pass
        if self.status != wanted:
            self.fail("status %d, not %d" % (self.status, wanted))
        if not termios.tcgetattr(self.fd)[3] & termios.ICANON:
            self.fail("the terminal is left in disorder")
        os.close(self.fd)


def tool(*arguments, text=b""):
    """Standard output of the tool away from a terminal."""
    done = subprocess.run([TOOL] + list(arguments), input=text, capture_output=True)
    if done.returncode:
        sys.exit("mambaint %s: %s" % (" ".join(arguments), done.stderr.decode(errors="replace")))
    return done.stdout


def chat(*arguments, output=None):
    person = Person("chat", "-m", MODEL, "--seed", "777", *arguments, output=output)
    person.see(b"/help lists")
    person.see(b"> ")
    return person


def a_whole_talk():
    person = chat("-n", "30")
    person.say(b"Hello")
    person.prompted()
    person.say(b"/undo")
    person.see(b"took back: Hello")
    person.say(b"/seed 12")
    person.seed = b"12"
    person.prompted()
    person.say(b"/retry")
    person.see(b"no turn")
    person.say("Grüße, 猫".encode())
    person.prompted()
    person.say(b"/undo")
    person.see("took back: Grüße, 猫".encode())
    person.say(b"/help")
    person.see(b"/quit")
    person.say(b"/quit")
    person.ends(0)


def the_end_of_the_input():
    person = chat()
    person.type(CTRL_D)
    person.ends(0)
    early = Person("chat", "-m", MODEL, "-n", "5")  # typed before anyone asks
    early.type(b"Hello\n" + CTRL_D)
    early.see(b"> ")
    early.ends(0)


def press(person, text, remark):
    """Type the text and Ctrl-C. The kernel may drop output of that moment with the key, so that the
    remark is not always seen; that the tool listens again is."""
    person.type(text + CTRL_C)
    time.sleep(0.2)  # what comes right behind the key may go with it
    person.prompted()
    return remark in person.out


def interrupts_stop_the_answer():
    person = chat("-n", "100000000", "--temperature", "0", "--top-p", "1")
    told = False
    for i in range(10):
        person.say(b"Go on for ever")
        person.see(b"for ever")
        before = len(person.out)
        while len(person.out) < before + 200:
            if not person.read(WAIT):
                person.fail("no answer")
        told = press(person, b"", b"(stopped)")
        if told and i >= 2:
            break
    if not told:
        person.fail("no word about the interrupt")
    person.say(b"/undo")
    person.see(b"took back: Go on for ever")
    person.prompted()
    if not any(press(person, b"half a line", b"Ctrl-D or /quit leaves") for _ in range(10)):
        person.fail("no word about how to leave")
    person.type(CTRL_D)
    person.ends(0)


def other_signals_end():
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a test under nohup has it ignored
    for number in (signal.SIGTERM, signal.SIGHUP):
        person = chat()
        os.kill(person.child, number)
        person.ends(130)
    person = chat("-n", "100000000", "--temperature", "0")
    person.say(b"Go on")
    person.see(b"Go on")
    time.sleep(0.3)
    os.kill(person.child, signal.SIGTERM)
    person.ends(130)


def output_goes_elsewhere():
    """Prompts and remarks stay on the terminal; the file has the answer of a pipe alone."""
    file = os.path.join(work, "out")
    person = chat("-n", "20", output=file)
    person.say(b"One.")
    person.prompted()
    person.type(CTRL_D)
    person.ends(0)
    plain = tool("chat", "-m", MODEL, "-n", "20", "--seed", "777", text=b"One.\n")
    if open(file, "rb").read() != plain:
        person.fail("standard output of a terminal and of a pipe differ")


def training_shows_progress():
    out = os.path.join(work, "trained")
    person = Person("train", "--preset", "mi-tiny", "--vocab", "300", "--data", TEXT, "--steps",
                    "1000000", "--batch", "4", "--context", "32", "--out", out)
    person.see(b" left")
    if not re.search(rb"train \[[#.]{20}\] +\d+%  [\d:]+ left  step \d+  loss [\d.]+", person.out):
        person.fail("no progress line")
    person.type(CTRL_C)
    person.see(b"saving after this step")
    person.see(b"--resume " + out.encode())
    person.ends(130)
    tool("check", out)


def an_interrupted_bench_leaves_no_half_result():
    file = os.path.join(work, "figures")
    person = Person("bench", "-m", MODEL, "--threads", "1", "-n", "10000000", "--json", output=file)
    person.see(b" left  decode")
    person.type(CTRL_C)
    person.ends(130)
    if os.path.getsize(file) or not person.out.endswith(b"\r\x1b[K"):
        person.fail("something is left of an interrupted bench")


MODEL = os.path.join(work, "model")
try:
    # Trained a little on text without turns, a model goes on until it is stopped.
    tool("train", "--preset", "mi-tiny", "--vocab", "300", "--data", TEXT, "--steps", "300",
         "--batch", "4", "--context", "32", "--out", MODEL)
    for test in (a_whole_talk, the_end_of_the_input, interrupts_stop_the_answer,
                 other_signals_end, output_goes_elsewhere, training_shows_progress,
                 an_interrupted_bench_leaves_no_half_result):
        test()
        print("ok ", test.__name__.replace("_", " "), flush=True)
finally:
    shutil.rmtree(work, ignore_errors=True)
