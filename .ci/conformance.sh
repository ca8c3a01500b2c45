#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# conformance.sh [CASES [ROLES]]: judges both roles by the Autobahn test suite, on loopback.
# CASES is a comma-separated list of patterns such as '6.*,7.*' (all without it), ROLES "client", "server" or both.
# Run by make, which passes BUILD and DIST. Needs Python 2.7, which the suite is written in: PYTHON2, python2.7 on the
# PATH, or one of pyenv's. Reports are left in BUILD/conformance.
set -euo pipefail
cd "$(dirname "$0")/.."
cases=${1:-*} roles=${2:-client server} build=${BUILD:?} dist=${DIST:?}
packages=$build/venv-conformance work=$build/conformance
limit=7200 # seconds for one role

die() { printf 'conformance: %s\n' "$*" >&2; exit 2; }

python=${PYTHON2:-}
for candidate in "$(command -v python2.7 || true)" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python; do
  # Run, because the command on the PATH may be pyenv's, which has nothing behind it then.
  if [ -z "$python" ] && "$candidate" -c '' 2>/dev/null; then python=$candidate; fi
done
[ -n "$python" ] || die 'the suite needs Python 2.7: name it in PYTHON2 (pyenv install 2.7.18 builds one)'

wanted=$("$python" -c 'import sys; print(sys.version)'; cat Tests/Conformance/requirements.txt)
if [ "$(cat "$packages/.pulsews" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$packages"
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$packages" \
    -r Tests/Conformance/requirements.txt
  printf '%s\n' "$wanted" >"$packages/.pulsews"
fi

rm -rf "$work"
mkdir -p "$work"
running=()
stop() {
  local pid
  for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
}
trap stop EXIT

# start NAME COMMAND...: starts it in the background and puts what it listens on into `address`.
start() {
  local name=$1
  shift
  : >"$work/$name.log" # it is read before the program may have begun
  "$@" >>"$work/$name.log" 2>&1 &
  running+=($!)
  for _ in {1..300}; do
    address=$(sed -n 's/^listening on //p' "$work/$name.log")
    [ -z "$address" ] || return 0
    kill -0 $! 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/$name.log" >&2
  die "$name did not start"
}

# drive COMMAND...: starts what runs the cases of `role` one after another, beside that of the other role.
declare -A drivers=()
drive() {
  timeout "$limit" "$@" >"$work/$role-cases.log" 2>&1 &
  running+=($!)
  drivers[$role]=$!
}

for role in $roles; do
  case $role in
  client)
    gcc -O2 -Wall -Wextra -Iinclude Tests/Conformance/suite_client.c -L"$dist" -lpulsews -Wl,-rpath,"$dist" \
      -o "$work/suite_client"
    start suite-server "$python" -u Tests/Conformance/suite.py "$packages" server "$work/client" "$cases"
    drive "$work/suite_client" "ws://$address"
    ;;
  server)
    gcc -O2 -Wall -Wextra -Iinclude Tests/Conformance/hub_echo.c -L"$dist" -lpulsews -Wl,-rpath,"$dist" \
      -o "$work/hub_echo"
    start hub-echo "$work/hub_echo"
    drive "$python" -u Tests/Conformance/suite.py "$packages" client "$work/server" "$cases" pulsews "ws://$address"
    ;;
  *) die "what is the role '$role'?" ;;
  esac
done
for role in $roles; do
  wait "${drivers[$role]}" || die "the cases of the $role ended early, see $work/$role-cases.log"
done
# shellcheck disable=SC2086  # a list
python3 Tests/Conformance/summary.py "$work" $roles
