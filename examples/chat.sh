#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Talk to the bundled model. Installs what is missing, builds once, then is the command
# `mambaint chat`: standard output holds the model's text alone. Arguments are passed on.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
# shellcheck source=examples/prepare.sh
. "$root/examples/prepare.sh"

folder=$root/build
tool=$folder/examples/cli/mambaint
model=$root/examples/models/storyteller.gguf

if [ ! -f "$folder/build.ninja" ] || ! command -v ninja >/dev/null; then
    needed=$(missing_tools)
    # Line editing is only a comfort, so it comes along but is never a reason to install.
    # shellcheck disable=SC2086 # words
    [ -z "$needed" ] || install_missing chat.sh $needed libedit-dev || exit 1
    configure "$folder" || exit 1
fi
build "$folder" examples/cli/mambaint || exit 1

# The bundled model, unless another one is named.
for argument; do
    case $argument in
    -m | -m?* | --model | --model=*) exec "$tool" chat "$@" ;;
    esac
done
exec "$tool" chat -m "$model" "$@"
