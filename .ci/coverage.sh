#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the unit tests of PulseEngine and PulseFlow, and prints how many lines of PulseEngine they run, by file and in sum, and of
# PulseFlow in sum. Fails when it is less of PulseEngine than coverage.py asks for. Run by make, which passes BUILD.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${BUILD:?}/coverage
# Those of the compiler's own version: others can't read what it writes.
tools=$(dirname "$(realpath "$(command -v swift)")")

(
  ulimit -v 12000000
  timeout 900 nice -n 5 swift build --build-tests --enable-code-coverage --scratch-path "$folder"
)
program=$(swift build --scratch-path "$folder" --show-bin-path)/pulsewsPackageTests.xctest
rm -f "$folder/tests.profraw" "$folder/tests.json"
LLVM_PROFILE_FILE=$folder/tests.profraw timeout 600 "$program" --testing-library swift-testing --filter '^Pulse(Engine|Flow)Tests\.'
"$tools/llvm-profdata" merge -o "$folder/tests.profdata" "$folder/tests.profraw"
"$tools/llvm-cov" export -summary-only -instr-profile "$folder/tests.profdata" "$program" \
  Sources/PulseEngine Sources/PulseFlow >"$folder/tests.json"
python3 .ci/coverage.py "$folder/tests.json"
