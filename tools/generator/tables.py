# SPDX-License-Identifier: Apache-2.0
"""Reads a file of contract/, and checks that its rows have the columns that they should have."""

from __future__ import annotations

import importlib
import pathlib
import re
import sys

from .rows import Row, fail

toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "contract"

# Column -> type, and those that every row must have.
COLUMNS: dict[str, tuple[dict[str, type], str]] = {
    "option": (
        dict(name=str, group=str, kind=str, form=str, default=str, minimum=str, maximum=str, zero=str, words=list,
             words_of=str, allowed=str, length=int, most=int, places=list, secret=bool, example=str, swift=str, python=str, go=str,
             go_words=list, go_meanings=list, param=str, go_note=str, meaning=str),
        "name group kind meaning"),
    "topic": (dict(name=str), "name"),
    "hundred": (dict(code=int, meaning=str, **{"class": str}), "code meaning"),
    "error": (
        dict(name=str, code=int, text=str, detail=str, retryable=bool, ends=bool, final=bool, swift=str, go=str,
             **{"class": str}),
        "name code text retryable swift go"),
    "statistic": (dict(name=str, kind=str, unit=str, meaning=str, value=str), "name kind unit meaning"),
    "state": (dict(name=str, number=int, meaning=str), "name number meaning"),
    "transition": (dict(event=str, to=str, meaning=str, **{"from": str}), "from event to meaning"),
    "event": (dict(name=str, meaning=str, note=str, like=str, keys=list), "name meaning keys"),
    "key": (dict(name=str, type=str, meaning=str, null=bool, when=str), "name type meaning"),
    "function": (dict(name=str, since=str, result=str, arguments=list, quick=bool), "name since result arguments"),
    "group": (dict(name=str, comment=str, swift=str, constants=list), "name comment constants"),
    "constant": (dict(name=str, value=int, meaning=str, swift=str), "name value meaning"),
    "preset": (dict(text=str, base=str, options=dict), "options"),
    "hub option": (
        dict(of=str, name=str, kind=str, form=str, default=str, minimum=str, maximum=str, zero=str, words=list, words_of=str,
             allowed=str, length=int, most=int, secret=bool, example=str, swift=str, meaning=str), "of name kind meaning"),
    "hub statistic": (dict(name=str, kind=str, unit=str, meaning=str), "name kind unit meaning"),
    "hub event": (dict(name=str, meaning=str, keys=list), "name meaning keys"),
    "hub key": (dict(name=str, type=str, meaning=str), "name type meaning"),
    "hub function": (dict(name=str, since=str, result=str, arguments=list, quick=bool), "name since result arguments"),
    "hub group": (dict(name=str, comment=str, words_of=str, constants=list), "name comment constants"),
    "hub constant": (dict(name=str, value=int, meaning=str), "name value meaning"),
    "feed map": (dict(text=str, rule=list), "text rule"),
    "feed rule": (dict(name=str, lines=list), "name lines"),
}


def check_row(kind: str, row: Row, where: str) -> None:
    types, needed = COLUMNS[kind]
    for name, value in row.items():
        if name not in types:
            fail(f"{where}: there is no column {name!r}; there are {', '.join(types)}")
        if not isinstance(value, types[name]) or (types[name] is int and isinstance(value, bool)):
            fail(f"{where}: {name} is of type {type(value).__name__}, not {types[name].__name__}")
        if isinstance(value, str) and re.search(r"[\x00-\x1f\x7f]", value):
            fail(f"{where}: {name} has a control character")
    for name in needed.split():
        if name not in row:
            fail(f"{where}: column {name} is missing")


def read(name: str, *kinds: str, prefix: str = "") -> list[list[Row]]:
    """The tables of a file; `prefix` picks the columns of its rows."""
    path = FOLDER / name
    try:
        data = toml.loads(path.read_text())
    except (OSError, toml.TOMLDecodeError) as problem:
        fail(f"{path}: {problem}")
    if unknown := set(data) - set(kinds):
        fail(f"{path}: unknown table {', '.join(sorted(unknown))}")
    for kind in kinds:
        seen = set()
        for row in data.get(kind, []):
            where = f"{name}: {kind} {row.get('name', row.get('code', ''))}"
            check_row(prefix + kind, row, where)
            mark = row.get("of"), row.get("name", row.get("code", repr(row)))
            if mark in seen:
                fail(f"{where} stands twice")
            seen.add(mark)
    return [data.get(kind, []) for kind in kinds]
