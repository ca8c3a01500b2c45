# SPDX-License-Identifier: Apache-2.0
"""What the setters of a hub's options are tried with: default, both ends of each range and one beyond, words, bad values."""

from __future__ import annotations

from collections.abc import Iterator

from .contract import Contract
from .hub import SETS
from .hub_swift import FORMS, initial, variable
from .rows import Row, camel, pascal
from .swift_options import case_of, digits
from .text import Files, swift_head

# Of each form, what it does not take.
BAD = {"path": "a\0b", "text": "a\0b", "line": "a\nb", "json_path": "data..symbol", "word": "others", "token": "a b",
       "topic": "a\u001fb", "origin": "app.example.com"}
assert set(BAD) == set(FORMS) - {""}


def quoted(text: str) -> str:
    """As Swift writes it."""
    return '"' + "".join(letter if letter.isprintable() else f"\\u{{{ord(letter):x}}}" for letter in text) + '"'


def number_tries(row: Row, name: str) -> Iterator[tuple[str, str]]:
    unit = "ns" if row["kind"] == "duration" else ""
    for number in sorted({0, row["least"] - 1, row["least"], row["greatest"], row["greatest"] + 1}):
        if number >= 0:
            is_taken = row["least"] <= number <= row["greatest"] or (number == 0 and row["zero_is_off"])
            yield f"{number}{unit}", f"$0.{name} == {digits(number)}" if is_taken else ""


def text_tries(row: Row, name: str) -> Iterator[tuple[str, str]]:
    if row["form"] == "json_path":
        yield row["example"], f"$0.{name} != nil"
    elif row["form"] == "word":
        for word in row["words"]:
            yield word, f"$0.{name}.contains(.{camel(word)}) && $0.{name}.count == 1"
    else:
        value = f"bytes({quoted(row['example'])})"
        yield row["example"], f"$0.{name} == {'[' + value + ']' if row['kind'] == 'list' else value}"
    yield BAD[row["form"]], ""
    if row["kind"] == "text":
        yield "", ""
    if "length" in row:
        start = "https://" if row["form"] == "origin" else ""
        longest = start + "x" * (row["length"] - len(start))
        held = f"$0.{name}.first?.count" if row["kind"] == "list" else f"$0.{name}.count"
        yield longest, f"$0.{name} != nil" if row["form"] == "json_path" else f"{held} == {row['length']}"
        yield longest + "x", ""


def tries(row: Row) -> Iterator[tuple[str, str]]:
    """Values with the condition that holds when they are set; none for those that are refused."""
    name, kind = variable(row), row["kind"]
    if row["default"]:
        value = f"bytes({quoted(row['default'])})" if kind == "text" else initial(row)
        yield row["default"], f"$0.{name} == {value}"
    if kind in ("duration", "size", "integer"):
        yield from number_tries(row, name)
        yield "", ""
        yield "-1", ""
        yield "one", ""
    elif kind == "boolean":
        yield "true", f"$0.{name}"
        yield "false", f"!$0.{name}"
        yield "maybe", ""
    elif kind == "choice":
        for word in row["words"]:
            yield word, f"$0.{name} == .{case_of(word)}"
        yield "other", ""
    else:
        yield from text_tries(row, name)


def options(contract: Contract, of: str) -> str:
    kind = f"{pascal(of)}Options"
    text = f"let {of}Tries: [OptionTry<{kind}>] = [\n"
    for row in contract.hub.of(of):
        for value, holds in tries(row):
            condition = f" {{ {holds} }}" if holds else ""
            shown = f'"{value[:8]}" + x({len(value) - 8})' if len(value) > 60 else quoted(value)
            text += f"  OptionTry(\"{row['name']}\", {shown}){condition},\n"
    return text + "]\n"


def files(contract: Contract) -> Files:
    text = swift_head() + "import PulseHub\n\n" + "\n".join(options(contract, of) for of in SETS)
    text += "\n/// In the order of the table.\nvar statisticPaths: [WritableKeyPath<HubStatistics, UInt64>] {\n  [\n"
    text += "".join(f"    \\.{camel(row['name'])},\n" for row in contract.hub.statistics) + "  ]\n}\n"
    text += "\nlet eventKinds: [(HubEventKind, UInt32, String)] = [\n"
    text += "".join(f"  (.{camel(row['name'])}, {number}, \"{row['name']}\"),\n" for number, row in enumerate(contract.hub.events, 1))
    yield "Tests/PulseHubTests/Generated/HubTries.swift", text + "]\n"
