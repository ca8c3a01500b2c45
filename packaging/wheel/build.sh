#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh [FOLDER]: the wheel of the Python package, with the library and its OpenSSL inside, into FOLDER (DIST/wheel).
# Run by make, which passes BUILD, DIST and VERSION. Equal input makes equal bytes: times are SOURCE_DATE_EPOCH, or the commit's.
set -euo pipefail
folder=$(realpath -m "${1:-${DIST:?}/wheel}")
cd "$(dirname "$0")/../.."
library=${DIST:?}/libpulsews.so.${VERSION:?}
# The floor of OpenSSL as Debian 12 builds it; the library's own is lower.
platform=manylinux_2_34_x86_64
file=pulsews-$VERSION-py3-none-$platform.whl

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -c "safe.directory=$PWD" log -1 --format=%ct)} || {
  echo 'wheel: without git SOURCE_DATE_EPOCH says which time the files get' >&2
  exit 1
}
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C PATH="${BUILD:?}/venv/bin:$PATH"
umask 022

mkdir -p "$folder"
work=$(mktemp -d "$folder/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT
install -d "$work/source/pulsews"
install -m 644 bindings/python/{pyproject.toml,setup.py,README.md} LICENSE packaging/wheel/NOTICE "$work/source"
install -m 644 bindings/python/pulsews/{*.py,py.typed} "$work/source/pulsews"
install -m 755 "$library" "$work/source/pulsews/libpulsews.so.0"

# Without isolation: setuptools is that of .ci/requirements.txt, and nothing comes from the network.
pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps --no-index -w "$work/plain" "$work/source"
auditwheel repair --plat "$platform" --only-plat -w "$work" "$work"/plain/*.whl 2>"$work/log" || {
  cat "$work/log" >&2
  exit 1
}
mv -f "$work/$file" "$folder/"
python -m zipfile -e "$folder/$file" "$work/unpacked"
printf 'wheel: %s, %s bytes, with %s\n' "$folder/$file" "$(stat -c %s "$folder/$file")" \
  "$(grep -ohE 'pkg:[a-z]+/[^#"]*ssl[^#"]*' "$work"/unpacked/*/sboms/auditwheel.cdx.json | sort -u)"
