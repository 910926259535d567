#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Layout as .clang-format says; skipped where the program is missing.
# Usage: check_format.sh SOURCE_ROOT
set -u
cd "$1" || exit 1
command -v clang-format >/dev/null || exit 77

find include lib cpu cuda examples tests -name '*.[ch]' 2>/dev/null | sort |
    while read -r file; do
        clang-format "$file" | diff "$file" - >/dev/null || echo "clang-format -i $file"
    done | if grep .; then exit 1; else exit 0; fi
