#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh [FOLDER]: the Debian packages of what is built, into FOLDER (DIST/deb). Run by make, which passes BUILD, DIST and
# VERSION; REVISION is Debian's part of the version. Equal input makes equal bytes: times are SOURCE_DATE_EPOCH, or the commit's.
set -euo pipefail
folder=$(realpath -m "${1:-${DIST:?}/deb}")
cd "$(dirname "$0")/../.."
dist=${DIST:?} version=${VERSION:?} revision=${REVISION:-1}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -c "safe.directory=$PWD" log -1 --format=%ct)} || {
  echo 'deb: without git SOURCE_DATE_EPOCH says which time the files get' >&2
  exit 1
}
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C
umask 022
mkdir -p "$folder" "${BUILD:?}"
work=$(mktemp -d "$BUILD/deb.XXXXXX")
trap 'rm -rf "$work"' EXIT
source=$work/pulsews-$version

# What debhelper reads, without what is for the tree alone.
mkdir -p "$source/packaging"
cp -R docs examples CHANGELOG.md "$source"
cp packaging/pulsews-hub.toml "$source/packaging"
cp -R packaging/debian "$source/debian"
cp packaging/systemd/pulsews-hub.service packaging/systemd/pulsews-hub.socket "$source/debian"
sed -i "s/^\.Dd DATE\$/.Dd $(date -u -d "@$SOURCE_DATE_EPOCH" '+%B %-d, %Y')/" "$source"/debian/*.[0-9]
cat >"$source/debian/changelog" <<END
pulsews ($version-$revision) unstable; urgency=medium

  * PulseWS $version; changelog.gz says what is new.

 -- PulseWS <packages@pulsews.dev>  $(date -u -d "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')
END

# The files where the packages have them.
stage=$source/stage
PREFIX=/usr LIBDIR=/usr/lib/x86_64-linux-gnu INCLUDEDIR=/usr/include DESTDIR=$stage .ci/install.sh install >/dev/null
install -D -m 755 "$dist/pulsews-hub" "$stage/usr/bin/pulsews-hub"
install -D -m 644 packaging/debian/pulsews-hub.toml "$stage/etc/pulsews/pulsews-hub.toml"
.ci/page.sh "$stage/usr/share/pulsews/web" >/dev/null
python=$stage/usr/lib/python3/dist-packages
mkdir -p "$python/pulsews" "$python/pulsews-$version.dist-info"
cp bindings/python/pulsews/*.py bindings/python/pulsews/py.typed "$python/pulsews"
# What importlib.metadata and pip read. There is no RECORD, so that pip leaves the files to dpkg.
cat >"$python/pulsews-$version.dist-info/METADATA" <<END
Metadata-Version: 2.1
Name: pulsews
Version: $version
$(sed -nE 's/^description = "(.*)"$/Summary: \1/p; s/^requires-python = "(.*)"$/Requires-Python: \1/p' bindings/python/pyproject.toml)
License: Apache-2.0
END
echo debian >"$python/pulsews-$version.dist-info/INSTALLER"

(cd "$source" && dpkg-buildpackage --build=binary --no-sign --no-pre-clean) >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}
for package in "$work"/*.deb; do
  mv -f "$package" "$folder/"
  printf 'deb: %s, %s bytes\n' "$folder/${package##*/}" "$(stat -c %s "$folder/${package##*/}")"
done
