#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The other checks can fail: each one refuses a small tree with one planted fault and accepts the
# tree without it.
# Usage: check_checks.sh SOURCE_ROOT
set -u
source=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# fresh: a tree that every check accepts.
fresh() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree/include/mambaint" "$work/tree/lib/base" "$work/tree/lib/op" \
        "$work/tree/lib/train" "$work/tree/tests/lint" "$work/tree/examples/cli"
    cp "$source/tests/lint/strip.awk" "$work/tree/tests/lint/"
    cat >"$work/tree/include/mambaint/common.h" <<'END'
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#define MAMBAINT_API
/** Not MAMBAINT_API int32_t mambaint_old(void); */
MAMBAINT_API const char *mambaint_version(void);
MAMBAINT_API int32_t mambaint_model_open(int32_t *out,
                                         const char *path);
END
    cat >"$work/tree/lib/mambaint.map" <<'END'
MAMBAINT_0 {
global:
    mambaint_model_open;
    mambaint_version;
local:
    *;
};
END
    cat >"$work/tree/lib/base/a.c" <<'END'
/* SPDX-License-Identifier: Apache-2.0 */
/* A float in a comment is no float; 0x1e5 is no exponent. */
#include "base/b.h"
static const char text[] = "double 1.5";
END
    cp "$work/tree/lib/base/a.c" "$work/tree/lib/op/a.c"
    printf '/* SPDX-License-Identifier: Apache-2.0 */\nstatic float x = 1.5F;\n' \
        >"$work/tree/lib/train/t.c"
    printf '/* SPDX-License-Identifier: Apache-2.0 */\n#include <mambaint/common.h>\n' \
        >"$work/tree/examples/cli/main.c"
}

# expect STATUS CHECK WHAT: run one check on the tree as it is.
expect() {
    sh "$source/tests/lint/check_$2.sh" "$work/tree" >"$work/out" 2>&1
    status=$?
    if [ "$status" -ne "$1" ]; then
        echo "check_$2.sh ends with $status on: $3"
        cat "$work/out"
        failed=1
    fi
}

# plant CHECK FILE LINE: append a line to a fresh tree's file; the check has to refuse it.
plant() {
    fresh
    printf '%s\n' "$3" >>"$work/tree/$2"
    expect 1 "$1" "$3"
}

for check in includes floats map api text; do
    fresh
    expect 0 "$check" "a tree without a fault"
done
plant includes lib/base/a.c '#include "graph/op.h"'
plant includes lib/base/a.c '  #  include "train/grad.h"'
plant includes lib/op/a.c '#include "train/data.h"'
plant includes lib/op/a.c '#include "model/model.h"'
plant includes examples/cli/main.c '#include "base/text.h"'
plant includes include/mambaint/common.h '#include "context.h"'
plant floats lib/base/a.c 'static float y;'
plant floats lib/base/a.c '/* */ static long double y; /* */'
plant floats lib/base/a.c 'static int y = (int)1.5;'
plant floats lib/base/a.c 'static int y = (int)1e3;'
plant floats lib/op/a.c '#include <math.h>'
plant floats include/mambaint/common.h 'double mambaint_x;'
plant map include/mambaint/common.h 'MAMBAINT_API void mambaint_model_unref(void *model);'
plant api include/mambaint/common.h 'int mambaint_log(const char *format, ...);'
plant api include/mambaint/common.h 'enum mambaint_kind { MAMBAINT_A };'
plant api include/mambaint/common.h 'void mambaint_f(long x);'
plant text lib/base/a.c "/* TO""DO: later */"
plant text lib/base/a.c '	int tab;'
plant text lib/base/a.c 'int trailing; '
plant text lib/base/a.c "static const char path[] = \"/ho""me/someone/x\";"
fresh
sed '/mambaint_version;/d' "$work/tree/lib/mambaint.map" >"$work/map"
cp "$work/map" "$work/tree/lib/mambaint.map"
expect 1 map "a name missing from the map"
fresh
sed 1d "$work/tree/lib/base/a.c" >"$work/a.c"
cp "$work/a.c" "$work/tree/lib/base/a.c"
expect 1 text "no licence line"
exit $failed
