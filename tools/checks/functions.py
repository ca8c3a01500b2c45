# SPDX-License-Identifier: Apache-2.0
"""Whether functions fit a screen, and a file of the library a sitting.

Rough but fast: but for Python it goes by the indentation that the formatters make.
"""

from __future__ import annotations

import ast
import re
from typing import Iterator, NamedTuple

from . import files

LIMIT = 80
# Of the library: its functions are read most.
SOURCES_LIMIT = 70
FILE_LIMIT = 420
# "file name": why it may be longer. One that is not needed any more is a failure too.
EXCEPTIONS = {
    "Sources/PulseWire/HTTPHeadParser.swift accept": "a table of states: one case a state",
    "Tests/ABI/fuzz_abi.c call": "a random walk: one case a call",
    "Tests/PulseFlowTests/OutboxModelTests.swift agreesWithAnArray": "a random walk: one case a kind of step",
    "Tests/PulseFlowTests/SubscriptionSetTests.swift thePeerEndsWithWhatIsWanted": "a random walk: one case a kind of step",
    "bindings/go/lifetime_test.go TestReconnectAndDisconnectFromEverywhere": "a list of calls, one of each kind",
}

SWIFT = re.compile(
    r"(?P<indent> *)(?:@\w+(?:\([^)]*\))? |[a-z]+(?:\([a-z]+\))? )*(?P<what>func (?P<name>[^(<\s]+)|init[?(<]|deinit\b"
    r"|subscript[(<]|var (?P<property>\w+)[^={]*\{$)"
)
C = re.compile(r"(?P<indent>)(?!(?:typedef|struct|enum|union|extern)\b)[A-Za-z_].*?\b(?P<name>\w+)\(")
JAVASCRIPT = re.compile(
    r"(?P<indent> *)(?:export (?:default )?)?(?!(?:if|for|while|switch|catch|return|describe)\b)(?:(?:async|static|get|set) )*"
    r"(?:function\*? |\*)?#?(?P<name>\w+)\(.*\{$"
)
GO = re.compile(r"(?P<indent>)func (?:\([^)]*\) )?(?P<name>\w+)")


class Function(NamedTuple):
    file: str
    line: int
    name: str
    length: int


def _python(name: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse((files.ROOT / name).read_text(), name)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield Function(name, node.lineno, node.name, (node.end_lineno or node.lineno) - node.lineno + 1)


def _length(lines: list[str], start: int, indent: str) -> int:
    """Up to the brace that closes at the indentation of the first line; 0 if there is none, as in a declaration."""
    if lines[start].rstrip().endswith(("}", ";")):
        return 0
    for at in range(start + 1, len(lines)):
        line = lines[at]
        if not line.strip() or line.startswith(("#", indent + " ", indent + "\t")):
            continue
        if line.startswith(indent + "}"):
            return at - start + 1
        if not line.startswith((indent + ")", indent + "{", indent + "where ")):
            return 0
    return 0


def _by_indentation(name: str, head: re.Pattern[str]) -> Iterator[Function]:
    lines = (files.ROOT / name).read_text().split("\n")
    for start, line in enumerate(lines):
        match = head.match(line)
        if match:
            groups = match.groupdict()
            title = groups.get("name") or groups.get("property") or groups["what"].rstrip("?(<")
            yield Function(name, start + 1, title, _length(lines, start, groups["indent"]))


def _all() -> Iterator[Function]:
    for name in files.python():
        yield from _python(name)
    for suffixes, head in (((".swift",), SWIFT), ((".c", ".h"), C), ((".go",), GO), ((".js",), JAVASCRIPT)):
        for name in filter(lambda name: not files.is_generated(name), files.named(*suffixes)):
            yield from _by_indentation(name, head)


def check() -> str:
    problems = []
    unused = set(EXCEPTIONS)
    for function in _all():
        limit = SOURCES_LIMIT if function.file.startswith("Sources/") else LIMIT
        if function.length > limit:
            title = f"{function.file} {function.name}"
            if title not in EXCEPTIONS:
                problems.append(f"{function.file}:{function.line}: {function.name} has {function.length} lines, {limit} are allowed")
            unused.discard(title)
    for name in files.named(".swift"):
        if name.startswith("Sources/") and not files.is_generated(name):
            length = (files.ROOT / name).read_text().count("\n")
            if length > FILE_LIMIT:
                problems.append(f"{name} has {length} lines, {FILE_LIMIT} are allowed")
    problems += [f"tools/checks/functions.py: no exception is needed for {title}" for title in sorted(unused)]
    return "\n".join(problems)
