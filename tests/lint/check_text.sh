#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# House rules that a search can decide: licence line, no unfinished marks, no path of one machine,
# no tabs, no trailing space, no line over 100 columns, a last line end.
# Usage: check_text.sh SOURCE_ROOT
set -u
cd "$1" || exit 1

folders=
for folder in include lib cpu cuda examples tests docs .ci; do
    [ -e "$folder" ] && folders="$folders $folder"
done
bad=$(
    # shellcheck disable=SC2086 # a list of words
    find $folders -type f \( -name '*.[ch]' -o -name '*.cu' -o -name '*.sh' -o -name '*.py' \
        -o -name '*.awk' -o -name run \) | sort | while read -r file; do
        head -n 4 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
            echo "$file: the SPDX line is missing"
        awk -v file="$file" '
            /\t/ && file ~ /\.[ch]$/ { print file ":" NR ": tab" }
            /[ \t\r]$/ { print file ":" NR ": trailing space" }
            /clang-format off/ { fenced = 1 }
            /clang-format on/ { fenced = 0 }
            # A table cannot be broken: in a comment, or fenced from clang-format.
            length($0) > 100 && file ~ /\.[ch]$/ && !fenced && !/^ *\* \|/ { print file ":" NR ": over 100 columns" }
        ' "$file"
        [ -z "$(tail -c 1 "$file")" ] || echo "$file: the last line does not end"
    done
    # The marks are spelled in pieces here so that this file passes its own check.
    # shellcheck disable=SC2086
    grep -rsnIE "TO""DO|FIX""ME|(^|[^X])XX""X([^X]|$)|HA""CK" $folders README.md meson.build --include='*' |
        grep -v -e '^tests/data/' -e '\.gguf:' -e '^docs/Doxyfile'
    # shellcheck disable=SC2086
    grep -rsnIE '(^|[^A-Za-z0-9_./<>-])/(home|root|work|Users|mnt)/' $folders README.md meson.build |
        grep -v -e '^tests/data/' -e '^tests/lint/check_text\.sh:'
)
[ -z "$bad" ] && exit 0
echo "$bad"
exit 1
