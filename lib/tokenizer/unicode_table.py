#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write unicode_table.c, the classes of code points, beside this script.

The table holds one Unicode version, which is part of every tokenizer file. It needs a Python whose
unicodedata module has exactly that version (CPython 3.11). With --check nothing is written and the
status says whether the committed file is what the script would write.
"""
import bisect
import pathlib
import sys
import unicodedata

VERSION = "14.0.0"
OTHER, LETTER, NUMBER, SPACE, UNASSIGNED = range(5)
PER_LINE = 9
BLOCK, INDEXED, INDEX_PER_LINE = 128, 0x20000, 14  # as in unicode.h

# The property White_Space (PropList.txt), unchanged since Unicode 6.3.
WHITE_SPACE = {
    *range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B),
    0x2028, 0x2029, 0x202F, 0x205F, 0x3000,
}


def class_of(code):
    if code in WHITE_SPACE:
        return SPACE
    category = unicodedata.category(chr(code))
    if category == "Cn":
        return UNASSIGNED
    return {"L": LETTER, "N": NUMBER}.get(category[0], OTHER)


def entries():
    last = None
    for code in range(0x110000):
        now = class_of(code)
        if now != last:
            yield code << 3 | now
        last = now
    if last != UNASSIGNED:
        yield 0x110000 << 3 | UNASSIGNED


def index(table):
    """For each block of codes, and for the first code behind them, the entry that holds its first."""
    firsts = [entry >> 3 for entry in table]
    return [bisect.bisect_right(firsts, code) - 1 for code in range(0, INDEXED + 1, BLOCK)]


def render():
    numbers = list(entries())
    table = [f"0x{entry:06x}" for entry in numbers]
    blocks = [f"{place:4d}" for place in index(numbers)]
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        f"/* Classes of code points, Unicode {VERSION}. Written by unicode_table.py; do not edit. */",
        '#include "tokenizer/unicode.h"',
        "",
        "/* clang-format off */",
        "const uint32_t mbi_unicode_table[] = {",
    ]
    for i in range(0, len(table), PER_LINE):
        lines.append("    " + ", ".join(table[i:i + PER_LINE]) + ",")
    lines += ["};", "", "const uint16_t mbi_unicode_index[] = {"]
    for i in range(0, len(blocks), INDEX_PER_LINE):
        lines.append("    " + ", ".join(blocks[i:i + INDEX_PER_LINE]) + ",")
    lines += [
        "};",
        "/* clang-format on */",
        "",
        f"const size_t mbi_unicode_table_size = {len(table)};",
        "",
    ]
    return "\n".join(lines)


def main():
    if unicodedata.unidata_version != VERSION:
        sys.exit(f"this Python has Unicode {unicodedata.unidata_version}, the table needs {VERSION}")
    target = pathlib.Path(__file__).with_name("unicode_table.c")
    if "--check" in sys.argv[1:]:
        if target.read_text(encoding="ascii") != render():
            sys.exit(f"{target.name} is not what unicode_table.py writes")
    else:
        target.write_text(render(), encoding="ascii")


if __name__ == "__main__":
    main()
