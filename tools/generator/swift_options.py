# SPDX-License-Identifier: Apache-2.0
"""The options in Swift: table, keys, stored values, and what sets one."""

from __future__ import annotations

import re
from collections.abc import Callable

from .contract import Contract, Row, camel, pascal
from .text import Files, cases, swift_head

PLACE = "Sources/PulseClient/Generated"
TYPES = {"duration": "Int64", "size": "Int", "integer": "Int", "number": "Int", "boolean": "Bool"}
TEXTS = {"path": ("String?", "nil"), "text": ("String?", "nil"), "line": ("String?", "nil"), "template": ("Template?", "nil"),
         "json_path": ("JSONPath?", "nil")}
LISTS = {"template": ("[Template]", "[]"), "pattern": ("PatternList", "PatternList()"), "json_path": ("[JSONPath]", "[]")}


def digits(value: int) -> str:
    return f"{value:_}"


def case_of(word: str) -> str:
    name = pascal(word)
    name = name[:1].lower() + name[1:]
    return name if name[0].isalpha() else "v" + re.sub(r"\W", "_", word)


def field(row: Row) -> tuple[str, str, str]:
    """Name, type and default of the stored value."""
    kind, own = row["kind"], row.get("swift", "")
    name = own.partition(":")[0] or row["key"]
    if "=" in own:
        kind_of, _, value = own.partition(":")[2].partition("=")
        return name, kind_of.strip(), value.strip()
    if kind == "choice":
        return name, own.partition(":")[2].strip() or pascal(row["name"]), f".{case_of(row['default'])}"
    if kind == "boolean":
        return name, "Bool", row["default"]
    if kind in TYPES:
        return name, TYPES[kind], digits(row["value"])
    kind_of, value = (LISTS if kind == "list" else TEXTS)[row["form"]]
    return name, kind_of, value


def keys(contract: Contract) -> str:
    options = contract.options
    lines = [swift_head("CPulseTexts", "PulseProcess", "PulseText"), "/// The options, by their place in the table.\n",
             "package enum OptionKey: UInt8, Sendable {\n"]
    lines += [f"  case {row['key']}\n" for row in options]
    lines.append("}\n\nextension OptionKey {\n")

    def switch(name: str, kind: str, other: str, pick: Callable[[Row], str | None], doc: str) -> None:
        """A property, with the options of one value in one line."""
        groups: dict[str, list[str]] = {}
        for row in options:
            value = pick(row)
            if value is not None and value != other:
                groups.setdefault(value, []).append(row["key"])
        lines.append(f"  /// {doc}\n  package var {name}: {kind} {{\n    switch self {{\n")
        lines.extend(f"    case {cases(which, '      ')}: {value}\n" for value, which in groups.items())
        lines.append(f"    default: {other}\n    }}\n  }}\n\n")

    switch("kind", "OptionKind", ".text", lambda row: f".{row['kind']}", "What its text is.")
    switch("form", "OptionForm", ".none", lambda row: f".{camel(row['form'])}" if row["form"] else None,
           "What the text of one means.")
    switch("minimum", "Int64", "0", lambda row: digits(row["least"]),
           "In nanoseconds, bytes, a plain number, or thousandths of one.")
    switch("maximum", "Int64", "0", lambda row: digits(row["greatest"]),
           "Likewise; of a text its length in bytes, where 0 is any.")
    switch("mayBeZero", "Bool", "false", lambda row: "true" if row.get("zero_is_off") else None,
           "Zero turns it off, and is allowed below the minimum.")
    switch("most", "Int", "0", lambda row: str(row["most"]) if "most" in row else None,
           "The most values of a list; 0 where it is not bounded here.")
    switch("isSecret", "Bool", "false", lambda row: "true" if row.get("secret") else None,
           "Its value does not belong into a sentence.")
    switch("places", "OptionPlaces", "[]",
           lambda row: "[" + ", ".join(f".{place}" for place in row["places"]) + "]" if row["places"] else None,
           "What may stand in its template or pattern.")
    lines[-1] = lines[-1].rstrip("\n") + "\n"
    lines.append("}\n\nextension OptionTable {\n")
    lines.append(f"  package static var count: Int {{ {len(options)} }}\n\n")
    made = f"TextTable(packed: PULSE_TEXTS_OPTIONS, rows: {len(options)}, columns: 5)"
    lines.append(f"  /// Name, default, what is allowed, meaning, the words of a choice.\n  static var texts: TextTable {{ {made} }}\n}}\n")
    return "".join(lines)


def detail(row: Row) -> list[str]:
    return [row["name"], row["default"], row["allowed"], row["meaning"], " ".join(row["words"]) if row["kind"] == "choice" else ""]


def values(contract: Contract) -> str:
    lines = [swift_head("PulseFlow", "PulseText", "PulseWire")]
    for row in contract.options:
        name, kind, _ = field(row)
        if row["kind"] == "choice" and ":" not in row.get("swift", ""):
            lines.append(f"package enum {kind}: UInt8, Sendable {{ case {', '.join(case_of(word) for word in row['words'])} }}\n")
    lines.append("\n/// Every option of a client, with its default; text in, typed values out. Times in nanoseconds, sizes in bytes,\n"
                 "/// numbers in thousandths.\npackage struct ClientOptions: Sendable {\n")
    group = ""
    for row in contract.options:
        if row["group"] != group:
            group = row["group"]
            lines.append(f"  // {group}\n" if lines[-1].endswith("{\n") else f"\n  // {group}\n")
        lines.append("  package var {}: {} = {}\n".format(*field(row)))
    lines.append("\n  /// By place in the table: set by the caller, and set by a preset.\n  var chosen = OptionMask()\n"
                 "  var preselected = OptionMask()\n\n  @inline(never) package init() {}\n}\n\nextension ClientOptions {\n")
    for title, parameter, pick, template in SETTERS:
        lines.append(f"  mutating func {title}(_ key: OptionKey, {parameter}) {{\n    switch key {{\n")
        lines += [f"    case .{row['key']}: {template(row)}\n" for row in contract.options if pick(row)]
        lines.append("    default: break\n    }\n  }\n\n")
    lines.append("  /// How many values a list of paths has.\n  func pathCount(_ key: OptionKey) -> Int {\n    switch key {\n")
    lines += [f"    case .{row['key']}: {field(row)[0]}.count\n" for row in contract.options
              if row["kind"] == "list" and row["form"] == "json_path"]
    lines.append("    default: 0\n    }\n  }\n\n  /// Empties a list, or a text without a default.\n")
    lines.append("  mutating func clear(_ key: OptionKey) {\n    switch key {\n")
    for row in contract.options:
        if row["kind"] in ("header", "list", "text") and not row["default"] and row["name"] != "preset":
            name, _, value = field(row)
            lines.append(f"    case .{row['key']}: {name} = {value}\n")
    lines.append("    default: break\n    }\n  }\n}\n")
    return "".join(lines)


def assign(value: str) -> Callable[[Row], str]:
    return lambda row: f"{field(row)[0]} = {value}"


def append(value: str) -> Callable[[Row], str]:
    return lambda row: f"{field(row)[0]}.append({value})"


def by_word(row: Row) -> str:
    words = [case_of(word) for word in row["words"]]
    if len(words) == 2:
        return f"{field(row)[0]} = word == 0 ? .{words[0]} : .{words[1]}"
    chain = " : ".join(f"word == {place} ? .{word}" for place, word in enumerate(words[:-1]))
    return f"{field(row)[0]} = {chain} : .{words[-1]}"


def either(row: Row) -> str:
    return (append if row["kind"] == "list" else assign)("value")(row)


def of(*kinds: str) -> Callable[[Row], bool]:
    return lambda row: row["kind"] in kinds


def formed(*forms: str) -> Callable[[Row], bool]:
    return lambda row: row["form"] in forms


SETTERS = (
    ("setFlag", "_ value: Bool", of("boolean"), assign("value")),
    ("setDuration", "_ value: Int64", of("duration"), assign("value")),
    ("setNumber", "_ value: Int", of("size", "integer", "number"), assign("value")),
    ("setWord", "place word: Int", of("choice"), by_word),
    ("setText", "_ value: String", formed("path", "text", "line"), assign("value")),
    ("setTemplate", "_ value: Template", formed("template"), either),
    ("addPattern", "_ value: Pattern", formed("pattern"), either),
    ("setPath", "_ value: JSONPath", formed("json_path"), either),
)


def defaults(contract: Contract) -> str:
    text = swift_head() + "import Testing\n\n@testable import PulseClient\n\n"
    text += "/// What has a default in the table has the same one before anything is set.\n"
    text += "func expectSameDefaults(_ set: ClientOptions, _ plain: ClientOptions) {\n"
    text += "".join(f"  #expect(set.{field(row)[0]} == plain.{field(row)[0]})\n" for row in contract.options if row["default"])
    return text + "}\n"


def files(contract: Contract) -> Files:
    yield "Tests/PulseClientTests/Generated/Defaults.swift", defaults(contract)
    yield f"{PLACE}/OptionKeys.swift", keys(contract)
    yield f"{PLACE}/ClientOptions.swift", values(contract)
