#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds a fuzz target, or the executable that replays the corpora:
#   Tests/Fuzz/build.sh ClientHandshake OUTPUT     then: OUTPUT -max_total_time=120 FOLDER Tests/Fuzz/corpus/ClientHandshake
#   Tests/Fuzz/build.sh replay OUTPUT              then: OUTPUT Tests/Fuzz/corpus/*
# PulseWire, PulseServe, PulseTopics, what PulseFlow has for JSON and keys, what PulseTransport has for proxies and tokens,
# and the targets are compiled as one module, so that no target of the package has to know of fuzzing.
# SANITIZE (default: address) names the sanitizers; empty for none.
set -eu
[ $# -eq 2 ] || { echo "usage: $0 NAME|replay OUTPUT" >&2; exit 2; }
name=$1
case $2 in
  /*) output=$2 ;;
  *) output=$(pwd)/$2 ;;
esac
fuzz=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$fuzz/../.." && pwd)
sanitize=${SANITIZE-address}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# A target is a file Fuzz<Name>.swift with a function fuzz<Name>; the other files are shared.
conditions=
files=
found=
for file in "$fuzz"/*.swift; do
  target=$(basename "$file" .swift)
  target=${target#Fuzz}
  if ! grep -q "func fuzz$target(" "$file"; then
    files="$files $file"
  elif [ "$name" = replay ] || [ "$name" = "$target" ]; then
    files="$files $file"
    conditions="$conditions -D FUZZ_$target"
    found=yes
  fi
done
[ -n "$found" ] || { echo "$0: no target $name" >&2; exit 2; }
if [ "$name" = replay ]; then
  conditions="$conditions -D FUZZ_REPLAY"
  swift_sanitize=$sanitize
  c_sanitize=$sanitize
else
  swift_sanitize=fuzzer${sanitize:+,$sanitize}
  c_sanitize=fuzzer-no-link${sanitize:+,$sanitize}
fi

mkdir "$work/modules"
cat > "$work/modules/module.modulemap" <<END
module CPulseKernels { header "$root/Sources/CPulseKernels/include/CPulseKernels.h" export * }
module CPulseSys { header "$root/Sources/CPulseSys/include/CPulseSys.h" export * }
module CPulseTexts { header "$root/Sources/CPulseTexts/include/CPulseTexts.h" export * }
module PulseText { header "empty.h" }
module PulseWire { header "empty.h" }
module PulseFlow { header "empty.h" }
module PulseTransport { header "empty.h" }
END
# Their sources are compiled into the one module; the names only have to be there for the imports.
: > "$work/modules/empty.h"
objects=
for source in "$root"/Sources/CPulseKernels/*.c "$root"/Sources/CPulseTexts/*.c "$root/Sources/CPulseSys/token.c" \
  "$root/Sources/CPulseSys/memory.c"; do
  object=$work/$(basename "$(dirname "$source")")-$(basename "$source" .c).o
  clang -O2 -g ${c_sanitize:+-fsanitize=$c_sanitize} -I "$(dirname "$source")/include" \
    -I "$root/Sources/CPulseKernels/include" -c "$source" -o "$object"
  objects="$objects $object"
done
flow="$root/Sources/PulseFlow"
proxy="$root/Sources/PulseTransport/Proxy"
# The compiler leaves module files in the current folder.
cd "$work"
# shellcheck disable=SC2086
swiftc -O -g -wmo -parse-as-library -swift-version 6 -enable-experimental-feature Lifetimes \
  -module-name PulseFuzz -package-name pulsews $conditions ${swift_sanitize:+-sanitize=$swift_sanitize} \
  -I "$work/modules" -I "$root/Sources/CZlib" "$root"/Sources/PulseText/*.swift "$root"/Sources/PulseWire/*.swift \
  "$flow"/JSON/*.swift "$flow"/Patterns/*.swift "$flow"/RFC3339*.swift "$flow"/Decimal.swift "$flow"/Received/KeyTable.swift \
  "$root"/Sources/PulseServe/*.swift "$root"/Sources/PulseTopics/*.swift "$root"/Sources/PulseTopics/Feeds/*.swift \
  "$proxy"Text.swift "$proxy"Dialogue.swift \
  "$root"/Sources/PulseTransport/TokenKeys.swift $files $objects -lz -lcrypto -use-ld=lld -o "$work/out"
mv "$work/out" "$output"
