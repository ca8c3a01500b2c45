# SPDX-License-Identifier: Apache-2.0
"""Whether the tracked text files are as .editorconfig says."""

from __future__ import annotations

from typing import Iterator

from editorconfig import get_properties

from .files import ROOT, is_generated, tracked


def _problems(name: str) -> Iterator[str]:
    wanted = get_properties(str(ROOT / name))
    data = (ROOT / name).read_bytes()
    if not data or "charset" not in wanted or wanted["charset"] == "unset":
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        yield f"{name}: not UTF-8 at byte {problem.start}"
        return
    if text.startswith("\ufeff"):
        yield f"{name}:1: begins with a byte order mark"
    if wanted.get("insert_final_newline") == "true" and not text.endswith("\n"):
        yield f"{name}: the last line does not end"
    if text.endswith("\n\n"):
        yield f"{name}: empty lines at the end"
    # swift-format holds Swift to the same, but for long literals.
    longest = "unset" if name.endswith(".swift") or is_generated(name) else wanted.get("max_line_length", "unset")
    for number, line in enumerate(text.split("\n"), 1):
        if wanted.get("end_of_line") == "lf" and "\r" in line:
            yield f"{name}:{number}: a carriage return"
        if wanted.get("trim_trailing_whitespace") == "true" and line != line.rstrip(" \t"):
            yield f"{name}:{number}: blanks at the end of the line"
        indent = line[:len(line) - len(line.lstrip(" \t"))]
        if wanted.get("indent_style") == "space" and "\t" in indent:
            yield f"{name}:{number}: indented with a tab"
        if longest != "unset" and len(line) > int(longest):
            yield f"{name}:{number}: {len(line)} columns, {longest} are allowed"


def check() -> str:
    return "\n".join(problem for name in tracked() for problem in _problems(name))
