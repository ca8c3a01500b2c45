#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh short|SECONDS [SEED [PART]]: the chaos run: books, storm, and limits, tails and names beside weeks; or one part.
# Run by make, which passes BUILD and PULSEWS_LIBRARY. The seed decides what happens when, as far as threads and network
# allow.
set -euo pipefail
cd "$(dirname "$0")"
length=${1:?} seed=${2:-} only=${3:-}
case $only in
"" | books | storm | limits | tails | names | weeks) ;;
*)
  echo "chaos: there is no part '$only'; there are: books storm limits tails names weeks crashes, of a hub" \
    "stopped returns kills faults" >&2
  exit 1
  ;;
esac
seed=${seed:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
library=$(dirname "${PULSEWS_LIBRARY:?}") out=${BUILD:?}/chaos

mkdir -p "$out"
flags=(-std=gnu11 -O2 -g -Wall -Wextra -Werror)
gcc "${flags[@]}" server.c wire.c -lssl -lcrypto -lz -o "$out/server"
gcc "${flags[@]}" proxy.c -o "$out/proxy"
gcc "${flags[@]}" -I../../include main.c support.c books.c company.c traffic.c check.c limits.c storm.c weeks.c tails.c names.c wire.c \
  -L"$library" -lpulsews -lcrypto -lz -pthread -o "$out/chaos"

if [ "$length" = short ]; then
  length=0
  books=(9 32) storm=(200 5) weeks=(4 0.35) tails=8 names=8
else
  # The other parts take some 160 s.
  books=($((length > 220 ? length - 160 : 60)) 48) storm=(500 20) weeks=(26 0.5) tails=40 names=20
fi

failed=0
part() { # part NAME ARGUMENTS...: bounded in time, each with a certificate of its own
  if [ "${only:-$1}" != "$1" ]; then return 0; fi
  mkdir -p "$out/$1"
  LD_LIBRARY_PATH=$library timeout -k 5 $((length + 120)) "$out/chaos" "$out/$1" "$seed" "$@" ||
    { echo "chaos: $1 failed with status $?; again: make chaos SEED=$seed"; return 1; }
}
echo "chaos: seed $seed"
part books "${books[@]}" || failed=1
part storm "${storm[@]}" || failed=1
part limits >"$out/limits.log" 2>&1 &
limits=$!
part tails "$tails" >"$out/tails.log" 2>&1 &
tails_part=$!
part names "$names" >"$out/names.log" 2>&1 &
names_part=$!
part weeks "${weeks[@]}" || failed=1
wait "$names_part" || failed=1
wait "$tails_part" || failed=1
wait "$limits" || failed=1
cat "$out/limits.log" "$out/tails.log" "$out/names.log"
exit "$failed"
