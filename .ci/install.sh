#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# install.sh install|uninstall: the library, its headers and its pkg-config file, under DESTDIR + PREFIX.
# Run by make, which passes DIST, VERSION, PREFIX, LIBDIR, INCLUDEDIR and DESTDIR.
set -euo pipefail
cd "$(dirname "$0")/.."
dist=${DIST:?} version=${VERSION:?} prefix=${PREFIX:?} libdir=${LIBDIR:?} includedir=${INCLUDEDIR:?} root=${DESTDIR:-}
file=libpulsews.so.$version wrapper=(include/pulsews/*.hpp)
for path in "$prefix" "$libdir" "$includedir"; do
  case $path in /*) ;; *) echo "install: '$path' is not an absolute path" >&2; exit 1 ;; esac
done

refresh() { # the loader's cache: only for this system, and only when it may be written
  if [ -z "$root" ] && [ "$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi
}

# pkg-config expands ${prefix}, not this shell.
# shellcheck disable=SC2016
under_prefix() { case $1 in "$prefix"/*) printf '${prefix}%s' "${1#"$prefix"}" ;; *) printf '%s' "$1" ;; esac; }

case ${1:?} in
install)
  install -d "$root$libdir/pkgconfig" "$root$includedir/pulsews"
  install -m 755 "$dist/$file" "$root$libdir/.$file.new"
  mv -f "$root$libdir/.$file.new" "$root$libdir/$file" # in place at once: programs may be running with the old one
  ln -sfn "$file" "$root$libdir/libpulsews.so.0"
  ln -sfn libpulsews.so.0 "$root$libdir/libpulsews.so"
  install -m 644 include/pulsews.h include/pulsews_hub.h include/pulsews.hpp "$root$includedir"
  install -m 644 include/pulsews/*.hpp "$root$includedir/pulsews"
  cat >"$root$libdir/pkgconfig/pulsews.pc" <<EOF
prefix=$prefix
libdir=$(under_prefix "$libdir")
includedir=$(under_prefix "$includedir")

Name: pulsews
Description: WebSocket clients and hubs for trading services
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -lpulsews
EOF
  chmod 644 "$root$libdir/pkgconfig/pulsews.pc"
  refresh
  echo "installed: $root$libdir/$file, $root$libdir/pkgconfig/pulsews.pc," \
    "$root$includedir/pulsews.h, $root$includedir/pulsews_hub.h, $root$includedir/pulsews.hpp"
  ;;
uninstall)
  removed=0
  for path in "$libdir/$file" "$libdir/libpulsews.so.0" "$libdir/libpulsews.so" "$libdir/pkgconfig/pulsews.pc" \
    "$includedir/pulsews.h" "$includedir/pulsews_hub.h" "$includedir/pulsews.hpp" \
    "${wrapper[@]/#include\//$includedir/}"; do
    if [ -e "$root$path" ] || [ -L "$root$path" ]; then # a link may have lost its file
      rm -f "$root$path"
      removed=$((removed + 1))
    fi
  done
  if [ -d "$root$includedir/pulsews" ]; then rmdir --ignore-fail-on-non-empty "$root$includedir/pulsews"; fi
  if [ "$removed" = 0 ]; then
    echo "uninstall: nothing to remove: no file of pulsews $version in $root$libdir and $root$includedir"
    exit
  fi
  refresh
  echo "uninstalled: $removed files of pulsews $version from $root$libdir and $root$includedir"
  ;;
*) echo "install: what is '$1'?" >&2; exit 1 ;;
esac
