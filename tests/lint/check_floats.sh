#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No floating point in the library outside the trainer and the importer: neither its types nor its
# literals nor the C functions that use it.
# Usage: check_floats.sh SOURCE_ROOT
set -u
cd "$1" || exit 1

bad=$(
    find lib cpu cuda include -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' 2>/dev/null |
        grep -v -e '^lib/train/' -e '^lib/convert/' | sort | while read -r file; do
        awk -f tests/lint/strip.awk "$file" | awk -v file="$file" '
            {
                line = " " $0 " "
                gsub(/0[xX][0-9a-fA-F]+[uUlL]*/, "0", line)
                word = line ~ /[^A-Za-z0-9_](float|double|_Float[0-9]+|__float128|strtod|strtof|atof|difftime|drand48)[^A-Za-z0-9_]/
                literal = line ~ /[^A-Za-z0-9_][0-9]+\.[0-9]*[^A-Za-z0-9_.]|[^A-Za-z0-9_.][0-9]+[eE][-+]?[0-9]|[^A-Za-z0-9_.]\.[0-9]/
                header = line ~ /#[ \t]*include[ \t]*<(math|tgmath|fenv|float|complex)\.h>/
                if (word || literal || header)
                    print file ":" NR ": " $0
            }'
    done
)
[ -z "$bad" ] && exit 0
echo "$bad"
exit 1
