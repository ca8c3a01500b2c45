#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh short [EXCHANGE] | DAYS SCALE EXCHANGE SEED [CLIENTS]: presets against simulated exchanges. Run by make, which passes
# BUILD and PULSEWS_LIBRARY. An empty value stands for the default.
set -euo pipefail
cd "$(dirname "$0")"
if [ "${1:?}" = short ]; then
  days=2 scale=4320 exchange=${2:-all} seed=${SEED:-} clients=5
else
  days=$1 scale=${2:-4320} exchange=${3:-all} seed=${4:-} clients=${5:-100}
fi
seed=${seed:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
pace=${PACE:-20}
library=$(dirname "${PULSEWS_LIBRARY:?}") out=${BUILD:?}/exchanges
mkdir -p "$out"

# Debian keeps Go's sources there: no module is looked for anywhere.
( cd simulator
  GO111MODULE=off GOFLAGS='' CGO_ENABLED=0 GOPATH=/usr/share/gocode GOCACHE=${GOCACHE:-$BUILD/go/cache} \
    GOTOOLCHAIN=local go build -o "$out/simulator" . )
gcc -std=gnu11 -O2 -g -Wall -Wextra -Werror -I../../include exchanges.c scaled.c -L"$library" -lpulsews -o "$out/exchanges"

LD_LIBRARY_PATH=$library timeout -k 5 "$(awk "BEGIN { print int($days * 86400 / $scale + 90) }")" \
  "$out/exchanges" "$out/simulator" "$out/report.json" "$days" "$scale" "$pace" "$clients" "$seed" "$exchange" ||
  { echo "exchanges: failed; again: make exchanges DAYS=$days SCALE=$scale EXCHANGE=$exchange SEED=$seed"; exit 1; }
