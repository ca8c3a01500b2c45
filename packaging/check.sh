#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check.sh [KIND...]: what is given to others, each kind by itself, as those who get it use it: installed, used, upgraded, removed, with the
# list of files before and after. As root. Run by make, which passes BUILD, DIST and VERSION. Kinds: abi wheel archive go deb.
# PULSEWS_PYTHONS has the interpreters for the wheel; without it each version that the package names must be here.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:?} dist=${DIST:?}
say() { printf 'release: %s\n' "$*"; }
die() { printf 'release: %s\n' "$*" >&2; exit 1; }
kinds=(abi wheel archive go deb)
wanted=("${@:-${kinds[@]}}")
for kind in "${wanted[@]}"; do
  case " ${kinds[*]} " in *" $kind "*) ;; *) die "what is '$kind'? There are: ${kinds[*]}" ;; esac
done
[ "$(id -u)" = 0 ] || die 'minimal systems and namespaces need root'

# ---- Interpreters for the wheel

version_of() { "$1" -I -c 'import platform; print(platform.python_implementation(), platform.python_version())' 2>/dev/null; }

# The path of a CPython of version $1: on the PATH, of pyenv, of uv.
find_python() {
  local candidates=("$(command -v "python$1" || true)") candidate
  if command -v pyenv >/dev/null; then candidates+=("$(pyenv root)/versions/$1".*/bin/"python$1"); fi
  if command -v uv >/dev/null; then candidates+=("$(uv python find --no-project "$1" 2>/dev/null || true)"); fi
  for candidate in "${candidates[@]}"; do
    if [ -x "$candidate" ] && [[ $(version_of "$candidate") == "CPython $1."* ]]; then
      "$candidate" -I -c 'import os, sys; print(os.path.realpath(sys.executable))'
      return
    fi
  done
  return 1
}

pythons() {
  local version path versions found=() missing=()
  readarray -t versions < <(sed -nE 's/^ +"Programming Language :: Python :: (3\.[0-9]+)",$/\1/p' bindings/python/pyproject.toml)
  if [ -n "${PULSEWS_PYTHONS:-}" ]; then
    read -ra found <<<"$PULSEWS_PYTHONS"
  else
    for version in "${versions[@]}"; do
      if path=$(find_python "$version"); then found+=("$path"); else missing+=("$version"); fi
    done
    if [ "${#missing[@]}" != 0 ]; then
      die "no CPython ${missing[*]} on the PATH, of pyenv or of uv: install it, or name what to take instead:" \
        "make release-check PULSEWS_PYTHONS='PATH PATH'"
    fi
  fi
  for path in "${found[@]}"; do
    version=$(version_of "$path") || die "$path is no Python that runs"
    say "wheel: with $version, $path" >&2
  done
  echo "${found[*]}"
}

# ---- The kinds

# The tests of a kind, in a system that is watched. `make` around them has another in mind.
tests() {
  local name=$1
  shift
  rm -rf "$build/release/$name"
  mkdir -p "$build/release"
  env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL PATH="$build/venv/bin:$PATH" PYTHONPATH="$PWD/bindings/python" PYTHONDONTWRITEBYTECODE=1 \
    PULSEWS_LIBRARY="$dist/libpulsews.so.0" packaging/watched.sh \
    python -m pytest -p no:cacheprovider -q --timeout 600 --basetemp "$build/release/$name" "$@" || die "$name: that is not as it should be"
  rm -rf "$build/release/$name"
}

check_abi() { tests abi Tests/Packaging/test_abi.py; }
check_wheel() {
  local PULSEWS_PYTHONS=$pythons
  export PULSEWS_PYTHONS
  tests wheel Tests/Packaging/test_wheel.py
}
check_archive() { tests archive Tests/Packaging/test_archive.py; }
check_go() { tests go Tests/Packaging/test_go_module.py; }
check_deb() { packaging/debian/check.sh; }

# Before anything that takes its time.
case " ${wanted[*]} " in *' wheel '*) pythons=$(pythons) ;; esac
for kind in "${wanted[@]}"; do
  say "$kind"
  SECONDS=0
  "check_$kind"
  say "$kind: as it should be, and nothing else is changed, after $SECONDS s"
done
say "whole: ${wanted[*]}"
