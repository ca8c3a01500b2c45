#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the library unoptimised and with symbols into BUILD/debug, in Swift's normal mode: it needs the toolchain's libraries,
# and exclusive access is checked. For debuggers only; what ships is built by library.sh. Run by make, which passes BUILD.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${BUILD:?}/debug

mkdir -p "$folder"
( ulimit -v 12000000
  # Without references to files of C modules, which gdb looks for in vain.
  timeout 900 swift build --scratch-path "$folder/build" --product pulsews -Xlinker -soname=libpulsews.so.0 \
    -Xcc -gdwarf-4 -Xswiftc -dwarf-version=4 -Xswiftc -Xfrontend -Xswiftc -no-clang-module-breadcrumbs )
# gdb finds nothing by the index that the compiler makes: it makes its own.
objcopy --remove-section=.debug_names "$folder/build/debug/libpulsews.so" "$folder/libpulsews.so.new"
mv -f "$folder/libpulsews.so.new" "$folder/libpulsews.so.0"
ln -sfn libpulsews.so.0 "$folder/libpulsews.so"
cat <<END
debug: $folder/libpulsews.so.0. To step through an example with it:
  gcc -g examples/c/ticker.c -Iinclude -L$folder -lpulsews -lcrypto -Wl,-rpath,$folder -o $folder/ticker
  gdb --args $folder/ticker URL     (break FILE.swift:LINE; functions have mangled names)
  PULSEWS_LIBRARY=$folder/libpulsews.so.0 does the same for Python and Go.
END
