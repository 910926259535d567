#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The tool finds the module of a backend beside its library, and says what is wrong with it.
# Usage: module.sh TOOL SOURCE_ROOT LIBRARY FOLDER INSTALLED
#   LIBRARY    libmambaint
#   FOLDER     with the modules of tests/unit/module.c
#   INSTALLED  where modules are looked for after that
. "$(dirname "$0")/support.sh"
library=$3
modules=$4
cd "$work" || exit 1

mkdir -p moved/mambaint
cp "$library" moved/libmambaint.so.0
LD_LIBRARY_PATH=$work/moved${LD_LIBRARY_PATH+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
module=moved/mambaint/backend-cuda.so

run 0 synth --preset mi-tiny --out tiny.gguf
run 0 generate -m tiny.gguf -p abc -n 20 --seed 3 --json --backend scalar
cp out first

# Unless this machine has one where the build would install it.
[ -e "$5/backend-cuda.so" ] || refuse "backend 'cuda' is not installed" \
    generate -m tiny.gguf -p abc --backend cuda

cp "$modules/module-cuda.so" $module
run 0 generate -m tiny.gguf -p abc -n 20 --seed 3 --json --backend cuda
cmp -s out first || problem "the module's backend writes something else"
run 0 eval -m tiny.gguf "$text" --json --backend scalar
cp out first
run 0 eval -m tiny.gguf "$text" --json --backend cuda
cmp -s out first || problem "the module's backend scores otherwise"
run 0 bench -m tiny.gguf -n 2 --prompt-tokens 4 --backend cuda --threads 1
says out cuda

cp "$modules/module-abi.so" $module
refuse "interface 99" generate -m tiny.gguf -p abc --backend cuda
cp "$modules/module-good.so" $module
refuse "this is not backend 'cuda'" generate -m tiny.gguf -p abc --backend cuda
echo "no module" >$module
refuse "backend-cuda.so" generate -m tiny.gguf -p abc --backend cuda
run 0 generate -m tiny.gguf -p abc -n 20 --seed 3 --json # auto does not look
finish
