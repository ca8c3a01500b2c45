#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# crashes.sh COUNT [SEED]: a sender with a journal is killed COUNT times. Run by make, which passes BUILD and
# PULSEWS_LIBRARY. The seed decides what happens when, as far as the machine allows.
set -euo pipefail
cd "$(dirname "$0")"
count=${1:?} seed=${2:-}
seed=${seed:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
library=$(dirname "${PULSEWS_LIBRARY:?}") out=${BUILD:?}/chaos

mkdir -p "$out"
gcc -std=gnu11 -O2 -g -Wall -Wextra -Werror -I../../include crashes.c wire.c -L"$library" -lpulsews -lssl -lcrypto -lz -pthread \
  -o "$out/crashes"
work=$(mktemp -d "$out/crashes.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "crashes: seed $seed"
LD_LIBRARY_PATH=$library timeout -k 5 $((count / 4 + 120)) "$out/crashes" "$count" "$seed" "$work" ||
  { echo "crashes: failed with status $?; again: make crashes COUNT=$count SEED=$seed"; exit 1; }
