#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check.sh: the Debian packages in a minimal Debian 12: installed, used, upgraded below programs that run, and purged. As root; the
# system comes from Debian's mirror once, into BUILD/deb-root. Run by make, which passes BUILD, DIST and VERSION.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/packaging/debian root=${BUILD:?}/deb-root version=${VERSION:?} dist=${DIST:?}
say() { printf 'deb: %s\n' "$*"; }
die() { printf 'deb: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die 'debootstrap and chroot need root'
command -v debootstrap >/dev/null || die 'debootstrap is missing: apt-get install debootstrap'

# With all that the packages need and a compiler, so that what is measured is theirs alone.
needed=ca-certificates,gcc,libc6-dev,libcurl4,libssl3,libstdc++6,pkg-config,python3,systemd-standalone-sysusers,zlib1g
if ! [ -e "$root" ]; then
  say "making a minimal Debian 12 in $root"
  rm -rf "$root.new"
  debootstrap --variant=minbase --include="$needed" bookworm "$root.new" "${MIRROR:-http://deb.debian.org/debian}" >"$BUILD/debootstrap.log"
  mv "$root.new" "$root"
fi

# The rest without a network, and with all ports free.
if [ "${1:-}" != alone ]; then exec unshare --net "$here/check.sh" alone; fi
ip link set lo up

work=$(mktemp -d "$BUILD/deb-check.XXXXXX")
running=()
finish() {
  for process in "${running[@]}"; do kill "$process" 2>/dev/null || true; done
  if mountpoint -q "$work/root/proc"; then umount "$work/root/proc"; fi
  rm -rf --one-file-system "$work"
}
trap finish EXIT
cp -a "$root" "$work/root"
mount -t proc proc "$work/root/proc"
inside() { chroot "$work/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/root "$@"; }

# The next version: another file of the library, which says of itself what the present one says.
next=${version%.*}.$((${version##*.} + 1))
mkdir "$work/next"
objcopy --add-section .next="$here/control" "$dist/libpulsews.so.$version" "$work/next/libpulsews.so.$next"
cp "$dist/pulsews-hub" "$work/next/"
"$here/build.sh" "$work/root/root/dist/deb" >/dev/null
DIST=$work/next VERSION=$next "$here/build.sh" "$work/root/second" >/dev/null
mkdir "$work/again"
"$here/build.sh" "$work/again" >/dev/null
for package in "$work"/again/*.deb; do cmp "$package" "$work/root/root/dist/deb/${package##*/}" || die 'two builds differ'; done
say 'built twice, byte for byte the same'

cp examples/c/hub.c "$here/check.py" "$work/root/root/"
own='var/(lib/(dpkg|apt)|log/(dpkg\.log|apt)|cache/(apt|ldconfig|debconf))'
own="^\./($own|etc/(ld\.so\.cache|(passwd|group|shadow|gshadow)-)|second|root|tmp)"
listed() {
  (
    cd "$work/root"
    find . -xdev -path ./proc -prune -o \( -type d -printf '%p/ %M %u %g\n' -o -printf '%p %M %u %g %s %l\n' \)
  ) | grep -vE "$own" | sort
}
# The user of the daemon stays, and so do the copies of the accounts before it; every other line has to be as it was.
accounts() { (cd "$work/root/etc" && grep -v '^pulsews:' passwd group shadow gshadow) | sort; }
size_free() { sed -E 's#^(\./etc/(passwd|group|shadow|gshadow) .*) [0-9]+ $#\1#'; }
listed | size_free >"$work/before"
accounts >"$work/accounts"

# As the page says it, and then the others; all that they need is there.
command=$(grep '^apt install' docs/INSTALL.md)
command="apt-get -y -o Dpkg::Options::=--force-unsafe-io --no-install-recommends ${command#apt }"
inside sh -euc "cd /root; $command; dpkg --force-unsafe-io -i dist/deb/*.deb" >"$work/log" 2>&1 || {
  cat "$work/log"
  die 'they are not installed'
}
[ "$(inside stat -c '%U:%G %a' /etc/pulsews/pulsews-hub.toml)" = 'root:pulsews 640' ] || die 'the configuration is not of the group'
inside pulsews-hub --check /etc/pulsews/pulsews-hub.toml >/dev/null
# shellcheck disable=SC2016
inside sh -c 'cc -o /root/hub /root/hub.c $(pkg-config --cflags --libs pulsews)'
say 'installed; a program in C is linked by pkg-config'

# As who the service runs, with the configuration of the package.
start() { # start NAME COMMAND...: its output goes to a pipe
  local name=$1
  shift
  mkfifo "$work/$name.in" "$work/$name.out"
  chroot "$work/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/root "$@" <"$work/$name.in" >"$work/$name.out" 2>&1 &
  running+=($!)
}
start hub chroot --userspec=pulsews:pulsews / pulsews-hub /etc/pulsews/pulsews-hub.toml
exec 3>"$work/hub.in" 4<"$work/hub.out"
grep -m1 -q listening <&4 || die 'the daemon does not listen'
start c /root/hub 127.0.0.1:8081
exec 5>"$work/c.in" 6<"$work/c.out"
read -r line <&6
[ "$line" = 'ws://127.0.0.1:8081/ws/stream?topics=price.SOL' ] || die "the program in C says $line"
start python python3 -B /root/check.py
exec 7>"$work/python.in" 8<"$work/python.out"
told() { # told WORD: the Python program has gone through one round
  read -r line <&8 || true
  if [ "$line" != "$1" ]; then
    kill "${running[-1]}" 2>/dev/null || true # the rest of what it says would not end
    cat <&8
    die "the program in Python says '$line', not '$1'"
  fi
}
told "round $version"
say 'the page answers; clients in Python receive from the daemon and from the program in C'

inside sh -c 'dpkg --force-unsafe-io -i /second/*.deb' >"$work/log" 2>&1 || { cat "$work/log"; die 'they are not upgraded'; }
# shellcheck disable=SC2016
[ "$(inside dpkg-query -W -f '${Version}' libpulsews0)" = "$next-1" ] || die 'that was no upgrade'
! [ -e "$work/root/usr/lib/x86_64-linux-gnu/libpulsews.so.$version" ] || die 'the old library is still there'
echo >&7
told "round $version"
inside python3 -B -c 'import pulsews; print(pulsews.library_version())' >/dev/null
say "upgraded to $next; what runs goes on, and a new program runs with the new one"

exec 3>&- 5>&- 7>&-
for process in "${running[@]}"; do
  kill -TERM "$process" 2>/dev/null || true
  wait "$process" || true
done
running=()
inside dpkg --force-unsafe-io --purge pulsews-hub python3-pulsews libpulsews-dev libpulsews0 >"$work/log" 2>&1 || {
  cat "$work/log"
  die 'they are not purged'
}
grep -q 'not empty' "$work/log" && { cat "$work/log"; die 'something is left'; }
listed | size_free >"$work/after"
diff "$work/before" "$work/after" || die 'the files are not as they were'
accounts | diff "$work/accounts" - || die 'the accounts are not as they were'
say 'purged; every file is as before'
