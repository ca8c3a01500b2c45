#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fuzz.sh TARGET SECONDS: fuzzes one target by hand, starting from its committed corpus. New inputs go to $BUILD, not into it.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?} seconds=${2:?} build=${BUILD:?}
if ! [ -d "Tests/Fuzz/corpus/$target" ]; then
  corpora=(Tests/Fuzz/corpus/*)
  echo "fuzz: no target '$target'; there are: ${corpora[*]##*/}" >&2
  exit 2
fi
mkdir -p "$build/fuzz" "$build/fuzz-findings/$target"
Tests/Fuzz/build.sh "$target" "$build/fuzz/$target"
exec "$build/fuzz/$target" -max_total_time="$seconds" -artifact_prefix="$build/fuzz-findings/$target/" \
  "$build/fuzz-findings/$target" "Tests/Fuzz/corpus/$target"
