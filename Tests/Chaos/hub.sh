#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hub.sh SECONDS RETURNS KILLS [SEED [PART]]: the hub's chaos run: peers that stop reading, for SECONDS with each slow_policy;
# peers that come back RETURNS times; a hub that is killed KILLS times; a fault proxy in between for SECONDS. Or one part.
# Run by make, which passes BUILD and PULSEWS_LIBRARY. The seed decides what happens when, as far as the machine allows.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:?} returns=${2:?} kills=${3:?} seed=${4:-} only=${5:-}
case $only in
"" | stopped | returns | kills | faults) ;;
*) echo "hub: there is no part '$only'; there are: stopped returns kills faults" >&2; exit 1 ;;
esac
seed=${seed:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
library=$(dirname "${PULSEWS_LIBRARY:?}") out=${BUILD:?}/chaos/hub

mkdir -p "$out"
flags=(-std=gnu11 -O2 -g -Wall -Wextra -Werror -I../../include)
gcc "${flags[@]}" hub.c -L"$library" -lpulsews -pthread -o "$out/hub"
gcc "${flags[@]}" proxy.c -o "$out/proxy"
gcc "${flags[@]}" hub_main.c hub_parts.c hub_stopped.c hub_peers.c hub_follow.c support.c wire.c -L"$library" -lpulsews \
  -lcrypto -lz -pthread -o "$out/peers"

failed=0
part() { # part NAME ARGUMENTS...: bounded in time
  if [ "${only:-$1}" != "$1" ]; then return 0; fi
  mkdir -p "$out/$1"
  LD_LIBRARY_PATH=$library timeout -k 5 $((seconds * 2 + returns / 10 + kills * 3 + 120)) "$out/peers" "$out/$1" "$seed" "$@" ||
    { echo "hub: $1 failed with status $?; again: make chaos-hub SEED=$seed ONLY=$1"; return 1; }
}
echo "hub: seed $seed"
for policy in drop_oldest conflate disconnect; do part stopped "$seconds" "$policy" || failed=1; done
# Those that only ask what arrives, and not how fast, run side by side.
part faults "$seconds" >"$out/faults.log" 2>&1 &
faults=$!
part returns "$returns" || failed=1
part kills "$kills" || failed=1
wait "$faults" || failed=1
cat "$out/faults.log"
exit "$failed"
