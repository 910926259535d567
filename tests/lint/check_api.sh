#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Types that ctypes, cffi and cgo can all carry: none of the words below in a public declaration.
# Usage: check_api.sh SOURCE_ROOT
set -u
cd "$1" || exit 1

bad=$(
    for file in include/mambaint.h include/mambaint/*.h; do
        [ -f "$file" ] || continue
        awk -f tests/lint/strip.awk "$file" | awk -v file="$file" '
            {
                line = " " $0 " "
                if (line ~ /[^A-Za-z0-9_](bool|_Bool|long|short|unsigned|union|enum|FILE|va_list|inline|float|double)[^A-Za-z0-9_]/ ||
                    line ~ /\.\.\./ || line ~ /[A-Za-z0-9_][ ]*:[ ]*[0-9]+[ ]*;/)
                    print file ":" NR ": " $0
            }'
    done
)
[ -z "$bad" ] && exit 0
echo "$bad"
exit 1
