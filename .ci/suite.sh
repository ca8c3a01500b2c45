#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# suite.sh NAME: what one test suite does. Run by suites.py, which sets the environment and counts the results.
# ONLY picks tests: an expression for pytest -k, a pattern for swift test --filter, go test -run and node --test, the name of a
# part of the chaos run, of an exchange's preset, or of a fuzzing corpus.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:?} build=${BUILD:?} results=${RESULTS:?} only=${ONLY:-}

no_test() { echo "$name: no test matches ONLY=$only${1:+; there are: $1}"; exit 1; }

tests() {
  local status=0
  python -m pytest -p no:cacheprovider -q -ra --timeout 120 --junitxml "$results/$name.xml" ${only:+-k "$only"} "$@" || status=$?
  if [ "$status" = 5 ] && [ -n "$only" ]; then no_test; fi # 5: no test was collected
  return "$status"
}

# The unit tests, in normal mode. An import that a target does not declare, upward or sideways, is an error. Only the build
# is held to a memory limit: sanitizers reserve terabytes of addresses. It gives way to suites that run beside it.
swift_tests() {
  (
    ulimit -v 12000000
    timeout 800 nice -n 5 swift build --build-tests --explicit-target-dependency-import-check error --scratch-path "$build/$name" "$@"
  )
  timeout 600 swift test --skip-build --disable-xctest --scratch-path "$build/$name" --xunit-output "$results/$name.xml" \
    ${only:+--filter "$only"} "$@"
}

# The daemon's parts by themselves, and the program as a process. ONLY picks of the second.
daemon_tests() {
  if [ -z "$only" ]; then
    export PULSEWS_DIST=${DIST:?}
    (
      ulimit -v 12000000
      timeout 800 nice -n 5 swift build --build-tests --package-path tools/pulsews-hub --scratch-path "$build/hub"
    )
    LD_LIBRARY_PATH=$DIST timeout 300 swift test --skip-build --disable-xctest --package-path tools/pulsews-hub \
      --scratch-path "$build/hub" --xunit-output "$results/daemon-parts.xml"
  fi
  tests Tests/Daemon
}

# The library once more, from a copy of its sources in another folder and with other rights: file by file the same bytes.
reproducible() {
  local passed=0 failed=0 file folder=$build/reproducible/a-folder-with-a-longer-name
  if [ -n "$only" ]; then no_test; fi
  rm -rf "$build/reproducible"
  mkdir -p "$folder"
  cp -R --parents Sources include Package.swift .ci/library.sh .ci/weak_constants.py .ci/module_sizes.py "$folder"
  (umask 077 && cd "$folder" && BUILD=$folder/.build DIST=$folder/dist nice -n 5 .ci/library.sh)
  for file in "libpulsews.so.$VERSION" "libpulsews.so.$VERSION.debug"; do
    sha256sum "$DIST/$file" "$folder/dist/$file"
    if cmp "$DIST/$file" "$folder/dist/$file"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  done
  if [ "$failed" != 0 ]; then
    echo 'functions and data of another size:'
    (diff <(sizes "$DIST") <(sizes "$folder/dist") || true) | grep '^[<>]' || echo none
  fi
  echo "$passed passed, $failed failed, 0 skipped"
  [ "$failed" = 0 ]
}
sizes() { nm --print-size "$1/libpulsews.so.$VERSION.debug" | awk 'NF == 4 {print $4, $2}' | sort | sed 's/\$e/$s/' | swift demangle; }

go_tests() {
  cd bindings/go
  go test -v -race -count=1 -timeout 300s ${only:+-run "$only"} ./...
}

# Each node has a reporter and a way to read folders of its own; the files are named, and the report is TAP.
web_tests() {
  node --test --test-reporter=tap ${only:+--test-name-pattern "$only"} bindings/web/tests/*.test.js
}

chaos() {
  local status=0
  case $only in
  crashes) Tests/Chaos/crashes.sh 100 || status=1 ;;
  stopped | returns | kills | faults) Tests/Chaos/hub.sh 4 500 5 "" "$only" || status=1 ;;
  ?*) Tests/Chaos/run.sh short "" "$only" || status=1 ;;
  "")
    Tests/Chaos/run.sh short || status=1
    Tests/Chaos/crashes.sh 100 || status=1
    Tests/Chaos/hub.sh 4 500 5 || status=1
    ;;
  esac
  exit "$status"
}

# One test per corpus. A finding ends the process, so a failed one runs again, naming its inputs.
fuzz_replay() {
  local corpora=Tests/Fuzz/corpus passed=0 failed=0 corpus
  if [ -n "$only" ] && ! [ -d "$corpora/$only" ]; then no_test "$(cd "$corpora" && echo *)"; fi
  nice -n 5 Tests/Fuzz/build.sh replay "$build/replay"
  for corpus in "$corpora"/${only:-*}; do
    if timeout 120 "$build/replay" "$corpus"; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      VERBOSE=1 timeout 120 "$build/replay" "$corpus" | tail -1 || true
    fi
  done
  echo "$passed passed, $failed failed, 0 skipped"
  [ "$failed" = 0 ]
}

case $name in
check) tools/check ${only:+$only} ;;
runner) tests Tests/Runner ;;
unit) swift_tests ;;
asan) ASAN_OPTIONS=detect_stack_use_after_return=1 swift_tests --sanitize=address ;;
tsan) TSAN_OPTIONS=halt_on_error=1 swift_tests --sanitize=thread ;;
abi) tests Tests/ABI ;;
python) tests bindings/python/tests ;;
integration) tests Tests/Integration ;;
go) go_tests ;;
web) web_tests ;;
chaos) chaos ;;
daemon) daemon_tests ;;
packaging) tests Tests/Packaging ;;
reproducible) reproducible ;;
exchanges) Tests/Exchanges/run.sh short "$only" ;;
fuzz-replay) fuzz_replay ;;
*) echo "suite: what is '$name'?" >&2; exit 2 ;;
esac
