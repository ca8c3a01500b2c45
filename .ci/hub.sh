#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the daemon into DIST, beside the library that it is linked with; Swift's own library is inside. Its packages come
# from the network the first time. Run by make, which passes BUILD and DIST.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:?} dist=${DIST:?}
scratch=$build/hub
export PULSEWS_DIST=$dist

# A compiler that runs wild must not take the machine with it.
( ulimit -v 12000000
  timeout 1500 swift build -c release --package-path tools/pulsews-hub --scratch-path "$scratch" --product pulsews-hub \
    -Xswiftc -static-stdlib --disable-local-rpath -Xswiftc -file-prefix-map -Xswiftc "$PWD=." -Xcc -ffile-prefix-map="$PWD=." )

# Renamed into place, so that a process that runs with the old file keeps it.
work=$(mktemp -d "$dist/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT
strip --strip-all --remove-section=.comment -o "$work/pulsews-hub" "$scratch/release/pulsews-hub"
chmod 755 "$work/pulsews-hub"
mv -f "$work/pulsews-hub" "$dist/"
printf 'hub: %s, %s bytes\n' "$dist/pulsews-hub" "$(stat -c %s "$dist/pulsews-hub")"
