#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# watched.sh COMMAND...: runs it, as root and without a network, where the folders of the system can be written and nothing stays; fails
# if anything there is another than before, and names it. The checkout, BUILD and DIST are as they are; /tmp is an empty one.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
die() { printf 'watched: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die 'namespaces of mounts and networks need root'

if [ "${WATCHED:-}" != "$$" ]; then exec env WATCHED=$$ unshare --mount --net "$0" "$@"; fi
unset WATCHED
ip link set lo up

# Behind the folders of the system, where they are the same before and after.
place=/mnt
mount -t tmpfs tmpfs "$place"
mkdir "$place/kept" "$place/changed" "$place/work" "$place/tmp"
kept=("$root" "${BUILD:?}" "${DIST:?}")
for index in "${!kept[@]}"; do
  mkdir "$place/kept/$index"
  mount --bind "${kept[index]}" "$place/kept/$index"
done
for folder in etc home opt root srv usr var; do
  if ! [ -d "/$folder" ] || [ -L "/$folder" ]; then continue; fi
  mkdir "$place/changed/$folder" "$place/work/$folder"
  mount -t overlay -o "lowerdir=/$folder,upperdir=$place/changed/$folder,workdir=$place/work/$folder" overlay "/$folder"
done
mount --bind "$place/tmp" /tmp
for index in "${!kept[@]}"; do
  mkdir -p "${kept[index]}"
  mount --bind "$place/kept/$index" "${kept[index]}"
done

"$@"

cd "$place"
for ((index = ${#kept[@]} - 1; index >= 0; index--)); do
  umount --lazy "${kept[index]}" # this script lies in one of them
done
for folder in "${kept[@]}"; do # those in /tmp had a folder made for them there
  if [ -d "$folder" ]; then case $folder in /tmp/*) (cd /tmp && rmdir -p --ignore-fail-on-non-empty "${folder#/tmp/}") ;; esac fi
done
# What tools leave: Python's caches beside its own modules, Swift's compiler asked for its version, the pip that makes an environment
# of Python 3.9, Go's counters.
tools=(! -path '*/__pycache__/*' ! -path 'tmp/TemporaryDirectory.*' ! -path 'tmp/tmp*cacert.pem' ! -path '*/go/telemetry/*')
left=$(find changed tmp -mindepth 1 "${tools[@]}" \
  \( ! -type d -o -type d -empty -path 'tmp/*' \) | sed 's#^changed/#/#; s#^tmp/#/tmp/#')
[ -z "$left" ] || die "it has written, changed or removed what is not its own:"$'\n'"$left"
