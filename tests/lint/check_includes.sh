#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Who may include whom: a folder includes itself and the folders to its left (docs/README.md).
# Usage: check_includes.sh SOURCE_ROOT
set -u
cd "$1" || exit 1

# allowed FOLDER: the folders and single headers that files of FOLDER may name.
allowed() {
    case $1 in
    lib/base) echo base ;;
    lib/graph) echo base graph ;;
    lib/verifier) echo base ;;
    lib/exec) echo base graph exec ;;
    lib/container) echo base container ;;
    lib/sample) echo base graph exec sample ;;
    lib/tokenizer) echo base container tokenizer ;;
    lib/train) echo base graph exec container tokenizer sample train ;;
    lib/proof) echo base graph exec proof ;;
    lib/op) echo base graph exec train/grad.h proof/gadget.h op ;;
    lib/arch) echo base graph exec container op arch ;;
    lib/model | lib/convert)
        echo base graph exec op arch container tokenizer sample "${1#lib/}" ;;
    lib/api)
        echo base graph exec train proof op arch container tokenizer sample model convert api ;;
    cpu) echo base graph/op.h graph/op_attr.h graph/element.h exec/backend.h exec/profile.h op/op_list.h proof/kernels.h cpu ;;
    cuda) echo base graph/op.h graph/op_attr.h graph/element.h exec/backend.h exec/profile.h op/op_list.h op/formula.h sample/choose.h sample/sampler.h tests/cuda/emulate.h cuda ;;
    examples) ;;
    esac
}

# An included path is right if its folder or the path itself is in the list.
bad=$(
    for folder in lib/base lib/graph lib/exec lib/container lib/tokenizer lib/sample lib/train lib/proof \
        lib/op lib/arch lib/model lib/convert lib/api lib/verifier cpu cuda examples; do
        [ -d "$folder" ] || continue
        list=" $(allowed "$folder") "
        find "$folder" -name '*.[ch]' -o -name '*.cu' | sort | while read -r file; do
            case $file in
            lib/exec/registry.c) also="cpu/cpu.h " ;; # the one place that names the built-in backends
            lib/train/cuda/*) also="cuda/device.h " ;; # beside the backend of that device
            *) also= ;;
            esac
            awk -v keep_text=1 -f tests/lint/strip.awk "$file" |
                sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' |
                while read -r path; do
                    case $path in
                    */*) head=${path%%/*} ;;
                    *) # beside the file: always its own folder
                        [ -f "$(dirname "$file")/$path" ] && continue
                        head=$path ;;
                    esac
                    # In examples/ a quoted path may only stay inside examples/.
                    if [ "$folder" = examples ]; then
                        [ -f "$(dirname "$file")/$path" ] && continue
                    fi
                    case $list$also in
                    *" $head "* | *" $path "*) ;;
                    *) echo "$file: must not include \"$path\"" ;;
                    esac
                done
        done
    done
    # The public headers stand alone: the standard library and each other, nothing inside lib/.
    grep -n '^[ 	]*#[ 	]*include[ 	]*"' include/mambaint.h include/mambaint/*.h 2>/dev/null |
        sed 's/$/: use <mambaint\/...>/'
    grep -rn '#[ 	]*include[ 	]*<mambaint' lib cpu --include='*.[ch]' |
        grep -v '^lib/api/' | grep -v '<mambaint/common\.h>' |
        sed 's/$/: only common.h is known outside lib\/api/'
)
[ -z "$bad" ] && exit 0
echo "$bad"
exit 1
