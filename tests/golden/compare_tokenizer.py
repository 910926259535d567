#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tool against tokenizer.py, which was written from docs/tokenizer.md alone.

Equal have to be: pieces and published regular expressions, the ids of GPT-2, vocabularies trained
on the same text, the ids of many texts, their normal form, decoded bytes, generated text, turns and
the cost of documents. Texts with code points that this Python does not know (see tokenizer.py) are
left out and counted. MBI_TEST_SEED draws the same texts again.
Usage: compare_tokenizer.py MAMBAINT SOURCE_ROOT
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple

import reference
import tokenizer
from tokenizer import UNICODE, Unknown, Vocabulary

MAMBAINT, SOURCE = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
DATA = SOURCE / "tests" / "data" / "tokenizer"
SEED = int(os.environ.get("MBI_TEST_SEED", random.SystemRandom().getrandbits(32)))
END = b"<|endoftext|>"
EDGES = [
    b"", b" ", b"  ", b"\n", b"\r\n\r\n", b" \n ", b"a", b"  a", b"\t\ta", b" \n\n  b", b"a \n",
    b"'s 'S 'll 'LL 'lL 're've'm'd't", "'\u017f '\u017fs".encode(), b"''s", b" 's", b"'", b"'r",
    b"12345678 1234", "\u0661\u0662\u0663\u0664 \u2167\u00bd".encode(), b"--\r\n\r\nx", b" !!\n\nx",
    b"\x00\x01", b"\xff", b"\xe2\x82", b"\xe2\x82x", b"\xe2\xff\x82\xac", b"\xc0\x80",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x99", b"e\xcc\x81\xff\xcc\x81",
    b" \xff\xff a", "\u00a0x".encode(),
    "x\u3000\u3000y \u2028z".encode(), "\u0378e\u0301 \ue000\U0010ffff".encode(), b"a" * 200,
    b"abc" * 50, b" " * 70 + b"x", b"<|endoftext|>", b"<|user|><|user|>x<|unused5|>",
    b"<|endoftext|", b"x<|endofturn|>\n<|endoftext|>\ny",
]
TRICKY = (" \n\r\t''sdlLrRevE09a.!-"
          "\u017f\u00a0\u3000\u0085\u00e9\u0663\u4e2d\u0301\u1100\u1161\u11a8")


class Different(Exception):
    pass


def same(what: str, got: Any, want: Any) -> None:
    if got != want:
        raise Different("%s:\n  got  %.600r\n  want %.600r" % (what, got, want))


def tool(*words: object, text: bytes = b"", fails: bool = False) -> bytes:
    """Standard output, or what was said on standard error if it has to fail."""
    command = [str(MAMBAINT), *map(str, words)]
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    if (done.returncode != 0) != fails:
        raise Different("%s: status %d: %r" % (" ".join(command), done.returncode, done.stderr))
    return done.stderr if fails else done.stdout


def numbers(text: bytes) -> List[int]:
    return [int(word) for word in text.split()]


def open_tokenizer(path: Path) -> Vocabulary:
    return reference.Tokenizer(reference.Container(path.read_bytes()))


class Counted:
    """Applies a function to texts; those that this Python does not know are left out."""

    def __init__(self) -> None:
        self.done = self.left_out = 0

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Optional[Any]:
        try:
            value = function(*arguments)
        except Unknown:
            self.left_out += 1
            return None
        self.done += 1
        return value


# ---- texts ----


def golden_lines() -> List[Tuple[bytes, List[List[int]]]]:
    lines = (SOURCE / "tests/golden/pretokenizer.txt").read_text("ascii").splitlines()[1:]
    rows = [line.split() for line in lines]
    return [(bytes.fromhex(text), [numbers(c.encode().replace(b",", b" ")) for c in columns])
            for text, *columns in rows]


def any_code(draw: random.Random) -> str:
    """Any code point; unassigned ones too, where this Python knows which they are."""
    while True:
        code = draw.choice((draw.randrange(0x3000), draw.randrange(0x10000),
                            draw.randrange(0x110000)))
        try:
            tokenizer.category(code)
            if not 0xD800 <= code < 0xE000:
                return chr(code)
        except Unknown:
            pass


def broken(draw: random.Random, text: bytes) -> bytes:
    """Some bytes replaced, so that characters end early."""
    data = bytearray(text)
    for _ in range(draw.randrange(4) if data else 0):
        data[draw.randrange(len(data))] = draw.randrange(256)
    return bytes(data)


def random_texts(draw: random.Random) -> List[bytes]:
    texts = [bytes(draw.randrange(256) for _ in range(draw.randrange(40))) for _ in range(100)]
    for _ in range(300):
        share = draw.random()
        text = "".join(any_code(draw) if draw.random() < share else draw.choice(TRICKY)
                       for _ in range(draw.randrange(1, 30)))
        texts.append(broken(draw, text.encode()))
    return texts


def udhr(name: str) -> bytes:
    return (DATA / "udhr" / (name + ".txt")).read_bytes()


def corpus() -> bytes:
    """Several scripts, documents, words that overlap themselves, ties, broken bytes."""
    strange = b"aaa aaaa aaaaa banana 'S 's we'll WE'LL \xff\xfe \xe2\x82 12345 1234 !!\n\n??\n"
    parts = [udhr("eng")[:4000], strange * 3, udhr("rus")[:2000], udhr("jpn")[:1501], strange]
    return tokenizer.SEPARATOR.join(parts)


# ---- comparisons ----


def compare_pieces(count: Counted) -> None:
    for text, columns in golden_lines():
        for pre, want in zip(("gpt-2", "cl100k"), columns):
            got = count(tokenizer.pieces, pre, text)
            if got is not None:
                same("%s pieces of %s" % (pre, text.hex()), [len(p) for p in got], want)


def compare_gpt2(count: Counted, work: Path) -> bool:
    """False where the tool cannot import."""
    path = work / "gpt2.tokenizer"
    words = ["tokenizer", "import", DATA / "gpt2-encoder.json", DATA / "gpt2-vocab.bpe", "--out",
             path]
    try:
        tool(*words)
    except Different as e:
        if "without jansson" in str(e):
            return False
        raise
    t = open_tokenizer(path)
    for name, key in (("gpt2-reference-vectors.jsonl", "ids"), ("bpe-golden-ids.jsonl", "gpt2")):
        for line in (DATA / name).read_text("utf-8").splitlines():
            row = json.loads(line)
            got = count(t.encode, row["text"].encode())
            if got is not None:
                same("GPT-2 ids of %r" % row["text"], got, row[key])
    return True


def compare_training(count: Counted, work: Path, pre: str) -> Path:
    text, size = corpus(), 500
    (work / "corpus.txt").write_bytes(text)
    path = work / (pre + ".tokenizer")
    command = ["tokenizer", "train", work / "corpus.txt", "--pre", pre, "--out", path]
    tool(*command, "--vocab", size)
    same("digest of " + pre, open_tokenizer(path).digest().hex(),
         json.loads(tool(*command, "--vocab", size, "--json"))["tokenizer_digest"])
    texts = [document for document, _ in tokenizer.documents(text)]
    trained = count(tokenizer.train, texts, pre, size)
    if trained is not None:
        same(pre + " trained", trained.digest(), open_tokenizer(path).digest())
    return path


def compare_exhausted(work: Path) -> None:
    """The longest token, and the number of merges that a text allows."""
    text = b"x" * 1500 + b" " + b"x" * 700 + b" ab ab cab"
    path, data = work / "short.tokenizer", work / "short.txt"
    data.write_bytes(text)
    try:
        tokenizer.train([text], "gpt-2", 400)
        raise Different("a short text trained 128 merges")
    except tokenizer.TooFewPairs as e:
        merges = e.args[0]
    command = ["tokenizer", "train", data, "--out", path, "--vocab"]
    told = re.search(rb"allows (\d+) merges", tool(*command, 273 + merges, fails=True))
    same("merges of a short text", told and int(told.group(1)), merges)
    tool(*command, 272 + merges)
    trained = tokenizer.train([text], "gpt-2", 272 + merges)
    same("all merges of a short text", open_tokenizer(path).digest(), trained.digest())
    same("longest token", max(map(len, trained.tokens)), tokenizer.LONGEST)


def compare_texts(count: Counted, path: Path, texts: List[bytes], alone: List[bytes]) -> None:
    """All texts with special tokens between them in one call, some of them by themselves."""
    t = open_tokenizer(path)
    texts = [text for text in texts if count(t.encode_special, text) is not None]
    # One text at a time: the joined ids say too little about where they begin to differ.
    ids = numbers(tool("tokenizer", "encode", "-t", path, "--special", text=END.join(texts)))
    at = 0
    for text in texts:
        want = t.encode_special(text)
        same("ids of %s" % text.hex(), ids[at:at + len(want) + 1][:len(want)], want)
        at += len(want) + 1
    same("number of ids", len(ids), at - 1)
    for text in alone:
        want = count(t.encode, text)
        if want is None:
            continue
        got = numbers(tool("tokenizer", "encode", "-t", path, text=text))
        same("ids of %s" % text.hex(), got, want)
    plain = b"\n".join(texts)
    ids = t.encode(plain) + list(range(16))
    back = tool("tokenizer", "decode", "-t", path, text=" ".join(map(str, ids)).encode())
    same("decoded", back, tokenizer.normal_form(plain) if t.nfc else plain)
    same("decoded", back, t.decode(ids))


def normalising(path: Path) -> Path:
    """The same tokenizer with mambaint.nfc set."""
    data = bytearray(path.read_bytes())
    f = reference.Container(bytes(data))
    key = b"mambaint.nfc"
    at = data.index(key) + len(key) + 4
    same("mambaint.nfc", data[at], 0)
    data[at] = 1
    data[f.digest_at:f.digest_at + 64] = f.digest(bytes(data)).encode()
    made = path.with_suffix(".nfc")
    made.write_bytes(data)
    return made


def has_nfc(path: Path) -> bool:
    try:
        tool("tokenizer", "encode", "-t", path, "-p", "x")
        return True
    except Different as e:
        if "without utf8proc" in str(e):
            return False
        raise


def compare_model(work: Path, path: Path) -> str:
    """Evaluation, generated text and turns of a model that had one step of training."""
    file = work / "model.gguf"
    tool("train", "--data", work / "corpus.txt", "--tokenizer", path, "--preset", "mi-tiny",
         "--vocab", 500, "--steps", 1, "--batch", 2, "--context", 16, "--out", file)
    model = reference.Model(file.read_bytes())
    t = model.tokenizer
    text = (b"It is a test.\n<|endoftext|>\n\n<|endoftext|>\n<|endoftext|>\n"
            b"All people <|user|> are \xff equal.\n<|endoftext|>\nHuman rights\n")
    (work / "text").write_bytes(text)
    answer = json.loads(tool("eval", "-m", file, work / "text", "--json"))
    want = reference.score_text(model, text)
    same("cost", {key: answer[key] for key in want}, want)

    answer = json.loads(tool("generate", "-m", file, "-p", "It is", "-n", 100, "--seed", 1,
                             "--temperature", 2, "--top-p", 1, "--json"))
    same("generated text", answer["text"], tokenizer.shown(t.decode(answer["token_ids"])))

    state = work / "state"
    talk = b"Who is there?\n/save %s\n" % bytes(state)
    tool("chat", "-m", file, "--system", "Be kind.", "-n", 4, text=talk)
    history = [t.end] + t.turn(0, b"Be kind.") + t.turn(1, b"Who is there?") + [t.roles[2]]
    data = state.read_bytes()
    at = 96 + int.from_bytes(data[80:88], "little") + 24 + 516
    recent = [int.from_bytes(data[i:i + 4], "little") for i in range(at, at + 1024, 4)]
    same("turns", recent[:len(history)], history)
    return "%d bits_q16 for %d tokens" % (want["bits_q16"], want["tokens"])


def compare(work: Path) -> None:
    draw, count = random.Random(SEED), Counted()
    compare_pieces(count)
    imported = compare_gpt2(count, work)
    golden = [text for text, _ in golden_lines()]
    scripts = sorted((DATA / "udhr").glob("*.txt"))
    texts = golden + random_texts(draw) + EDGES + [p.read_bytes()[:7001] for p in scripts]
    alone = EDGES + draw.sample(texts, 40)
    compare_exhausted(work)
    paths = [compare_training(count, work, pre) for pre in ("gpt-2", "cl100k")]
    for path in paths:
        compare_texts(count, path, texts, alone)
    nfc = normalising(paths[1])
    normal = has_nfc(nfc)
    if normal:
        compare_texts(count, nfc, texts, alone[::4])
    print("model: %s" % compare_model(work, paths[1]))
    print("%d texts equal, %d left out, Unicode %s here%s%s"
          % (count.done, count.left_out, unicodedata.unidata_version,
             "" if imported else ", no import of GPT-2 in this build",
             "" if normal else ", no normal form in this build"))
    same("texts left out", count.left_out > 0 and unicodedata.unidata_version == UNICODE, False)


def main() -> int:
    print("compare_tokenizer: MBI_TEST_SEED=%d" % SEED)
    tokenizer.self_test()
    with tempfile.TemporaryDirectory() as work:
        try:
            compare(Path(work))
        except (Different, reference.Refused) as e:
            print("not equal: %s" % e)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
