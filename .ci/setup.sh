#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Set-up of `make demo` and `make test`: Debian packages, a virtual environment with the Python packages, and Go in it.
# Installs only what is missing, and says so. Run by make, which passes BUILD.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:?}

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

if ! { command -v swift && command -v swiftc; } >/dev/null; then
  die 'no Swift on the PATH; install the toolchain (6.3 or newer) from https://www.swift.org/install and run again'
fi

missing=()
need() { # need PACKAGE COMMAND...: the package is missing unless the command succeeds
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
has_daemon() { PATH=$PATH:/usr/sbin:/usr/local/sbin command -v "$1"; } # often not on a user's PATH
has_header() { printf '#include <%s>\n' "$1" | gcc -E - ; }
need gcc command -v gcc
need g++ command -v g++
need libc6-dev has_header stdio.h
need make command -v make
need pkg-config command -v pkg-config
need libssl-dev pkg-config --exists openssl
need zlib1g-dev pkg-config --exists zlib
need libcurl4-openssl-dev pkg-config --exists libcurl
need openssl command -v openssl
need nginx-light has_daemon nginx
need haproxy has_daemon haproxy
need stunnel4 has_daemon stunnel
need binutils command -v readelf
need iproute2 command -v ip
need xz-utils command -v xz
need shellcheck command -v shellcheck
need valgrind command -v valgrind
need golang-github-gorilla-websocket-dev test -d /usr/share/gocode/src/github.com/gorilla/websocket
need chromium command -v chromium
need chromium-driver command -v chromedriver
need squid has_daemon squid
need tinyproxy command -v tinyproxy
need dante-server has_daemon danted
need microsocks command -v microsocks
has_node() { node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 18 ? 0 : 1)'; }
need nodejs has_node
need node-typescript command -v tsc
need node-react test -d /usr/share/nodejs/react
need systemd command -v systemd-analyze
need debhelper command -v dh
need dh-python command -v dh_python3
need chrpath command -v chrpath
need lintian command -v lintian
need mandoc command -v mandoc
need node-react-dom test -d /usr/share/nodejs/react-dom
need cmake command -v cmake
need python3 command -v python3
need python3-venv python3 -c 'import ensurepip, venv'

if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing with apt: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # Packages of servers would start them at once; the tests start their own.
    policy=/usr/sbin/policy-rc.d
    if ! [ -e "$policy" ]; then
      trap 'rm -f "$policy"' EXIT
      printf '#!/bin/sh\nexit 101\n' >"$policy"
      chmod 755 "$policy"
    fi
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
  else
    die "missing: ${missing[*]}; install them (Debian: apt-get install ${missing[*]}), or run as root"
  fi
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  die "the tests need Python 3.10 or newer, found $(python3 --version)"

wanted=$(python3 -c 'import sys; print(sys.version)'; cat "$here/requirements.txt")
stamp=$build/venv/.pulsews
if ! [ -x "$build/venv/bin/python" ] || ! [ -e "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
  say "making a virtual environment with the Python packages and Go of .ci/requirements.txt in $build/venv"
  rm -rf "$build/venv"
  python3 -m venv "$build/venv"
  "$build/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  printf '%s\n' "$wanted" >"$stamp"
fi
if ! [ -d "$build/go/cache" ]; then
  say "compiling what the Go module uses of Go's standard library, into $build/go/cache"
  mkdir -p "$build/go"
  (
    cd "$here/../bindings/go"
    export PATH="$build/venv/bin:$PATH" GOCACHE="$build/go/cache.new" GOPATH="$build/go/path" GOENV=off GOFLAGS=-mod=mod \
      GOPROXY=off GOSUMDB=off GOTOOLCHAIN=local CGO_ENABLED=1
    go list -e -deps -test -f '{{if .Standard}}{{.ImportPath}}{{end}}' ./... | grep -vE '^C$|internal/|vendor/' |
      xargs go build
  )
  mv "$build/go/cache.new" "$build/go/cache"
fi
charts=$build/charts
if ! [ -e "$charts/lightweight-charts.js" ] || ! cmp -s "$here/charts.txt" "$charts/charts.txt"; then
  say "taking Lightweight Charts for the page of bindings/web out of the wheel of .ci/charts.txt, into $charts"
  rm -rf "$charts" "$charts.new"
  "$build/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes -d "$charts.new" \
    -r "$here/charts.txt"
  "$build/venv/bin/python" -m zipfile -e "$charts.new"/*.whl "$charts.new/wheel"
  mv "$charts.new/wheel/lightweight_charts/js/lightweight-charts.js" "$charts.new/"
  rm -r "$charts.new/wheel" "$charts.new"/*.whl
  cp "$here/charts.txt" "$charts.new/"
  mv "$charts.new" "$charts"
fi
say "ready: $(swiftc --version 2>/dev/null | grep -om1 'Swift version [0-9.]*'), $("$build/venv/bin/python" --version)," \
  "$("$build/venv/bin/go" version | cut -d' ' -f3), $(gcc --version | head -1)"
