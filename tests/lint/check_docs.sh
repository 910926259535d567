#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The documents: C code on the front page is a compiled example, and links lead somewhere.
# Usage: check_docs.sh SOURCE_ROOT
set -u
cd "$1" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
status=0

awk '/^```c$/ { code = 1; next } /^```$/ { code = 0 } code' README.md >"$work/readme.c"
sed 1,2d examples/chat_loop.c >"$work/example.c"
diff "$work/example.c" "$work/readme.c" || {
    echo "README.md does not show examples/chat_loop.c as it is"
    status=1
}

for file in README.md docs/*.md; do
    folder=$(dirname "$file")
    grep -o '](\([^)]*\))' "$file" | sed 's/^](//; s/)$//; s/#.*//' |
        grep -v -e '^[a-z]*:' -e '^$' | sort -u | while read -r target; do
        [ -e "$folder/$target" ] || echo "$file: no such file: $target"
    done
done >"$work/links"
cat "$work/links"
[ ! -s "$work/links" ] || status=1
exit $status
