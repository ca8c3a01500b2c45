#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares headers and library with the last release, whose promises release.json beside this file keeps.

    check.py [--include FOLDER] [--release FILE] [--write] LIBRARY

Fails if a program that was built with the release would not run with this library. --write makes what is there now the
release; it refuses while something is broken and the soname is the release's. Run by make.
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import sys
from typing import Any

import compare
import interface

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def version(include: pathlib.Path) -> str:
    header = (include / "pulsews.h").read_text()
    return ".".join(re.findall(r"^#define PULSEWS_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", header, re.M))


def lines(value: Any, depth: int = 0) -> str:
    """JSON with one entry a line, and a member of a struct on one."""
    if not isinstance(value, dict) and not (isinstance(value, list) and depth == 1):
        return json.dumps(value)
    pad = " " * (depth + 1)
    if isinstance(value, list):
        return "[\n" + ",\n".join(pad + json.dumps(one) for one in value) + f"\n{' ' * depth}]"
    return "{\n" + ",\n".join(f"{pad}{json.dumps(key)}: {lines(one, depth + 1)}" for key, one in value.items()) + f"\n{' ' * depth}}}"


def write(file: pathlib.Path, text: str) -> None:
    half = file.with_name(f".{file.name}.new")
    half.write_text(text)
    os.replace(half, file)


def main() -> None:
    parser = argparse.ArgumentParser(prog="check.py")
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("--include", type=pathlib.Path, default=ROOT / "include")
    parser.add_argument("--release", type=pathlib.Path, default=HERE / "release.json")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    now = {"version": version(options.include), **interface.read(options.include, options.library)}
    if not options.release.exists():
        if not options.write:
            sys.exit(f"abi: {options.release} is missing, which keeps what the last release promised; git has it")
        release, found = now, compare.Findings([], [])
    else:
        release = json.loads(options.release.read_text())
        found = compare.compare(release, now)
    name = f"{release['version']} ({release['soname']})"
    print(f"abi: {len(now['exports'])} symbols, {len(now['constants'])} constants and {len(now['types'])} types, compared with {name}")
    for sentence in found.added:
        print(f"  added: {sentence}")
    for sentence in found.broken:
        print(f"  broken: {sentence}")
    if found.broken and not (options.write and now["soname"] != release["soname"]):
        sys.exit(f"abi: programs that were built with {name} would not run: take back what is broken, or give the library another soname "
                 "(CONTRIBUTING.md, Releases)")
    if options.write:
        write(options.release, lines(now) + "\n")
        print(f"abi: {options.release} has {now['version']} ({now['soname']})")
    else:
        print(f"abi: programs that were built with {name} run")


main()
