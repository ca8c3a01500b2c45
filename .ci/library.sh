#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the library that ships (Embedded Swift) into DIST: stripped, with its links and the split debug file.
# Run by make, which passes BUILD, DIST and VERSION.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:?} dist=${DIST:?} version=${VERSION:?}
scratch=$build/embedded
file=libpulsews.so.$version

# The toolchain that `swiftc` on the PATH stands for, also behind a wrapper.
resources=$(swiftc -print-target-info | sed -n 's/.*"runtimeResourcePath" *: *"\(.*\)".*/\1/p')
export PULSEWS_SWIFT_USR=${PULSEWS_SWIFT_USR:-$(cd "$resources/../.." && pwd)}
export PULSEWS_TRIPLE=${PULSEWS_TRIPLE:-$(uname -m)-unknown-linux-gnu}
export PULSEWS_EMBEDDED=1

# Changed flags or another compiler do not make the build system compile unchanged code again: start afresh.
mode=$(swiftc --version 2>/dev/null | head -1; echo "$PULSEWS_TRIPLE"; cat Package.swift .ci/library.sh)
mkdir -p "$build"
if [ -e "$scratch" ] && [ "$(cat "$scratch.mode" 2>/dev/null)" != "$mode" ]; then rm -rf "$scratch"; fi
printf '%s\n' "$mode" >"$scratch.mode"

# The same sources make the same bytes wherever they and the toolchain lie: no path of this machine is in the files, and no
# hash of a cache's path, which breadcrumbs of Clang's modules have. A suite builds twice and compares.
flags=(-Xswiftc -Xfrontend -Xswiftc -no-clang-module-breadcrumbs)
for map in "$PWD=." "$PULSEWS_SWIFT_USR=swift"; do
  flags+=(-Xcc -ffile-prefix-map="$map" -Xswiftc -file-prefix-map -Xswiftc "$map")
done
# DWARF 4 for the debug file: valgrind gives up on what version 5 of the compiler's makes of it.
flags+=(-Xcc -gdwarf-4 -Xswiftc -dwarf-version=4)

# A compiler that runs wild must not take the machine with it.
( ulimit -v 12000000
  timeout 900 swift build -c release --scratch-path "$scratch" --product pulsews --disable-local-rpath "${flags[@]}" )
python3 .ci/weak_constants.py "$scratch"

mkdir -p "$dist"
work=$(mktemp -d "$dist/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT
objcopy --only-keep-debug "$scratch/release/libpulsews.so" "$work/$file.debug"
strip --strip-all --remove-section=.comment -o "$work/$file" "$scratch/release/libpulsews.so"
( cd "$work" && objcopy --add-gnu-debuglink="$file.debug" "$file" )
chmod 755 "$work/$file"
chmod 644 "$work/$file.debug"
ln -s "$file" "$work/libpulsews.so.0"
ln -s libpulsews.so.0 "$work/libpulsews.so"
# Renamed into place, so that a process that runs with the old file keeps it.
mv -f "$work/$file.debug" "$dist/"
mv -f "$work/libpulsews.so.0" "$work/libpulsews.so" "$dist/"
mv -f "$work/$file" "$dist/"
printf 'library: %s, %s bytes\n' "$dist/$file" "$(stat -c %s "$dist/$file")"
python3 .ci/module_sizes.py "$scratch/release/libpulsews.so"
