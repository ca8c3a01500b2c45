# SPDX-License-Identifier: Apache-2.0
"""Options, statistics and events of the hub in Swift."""

from __future__ import annotations

from collections.abc import Callable

from .contract import Contract
from .hub import SETS
from .rows import Row, camel, pascal
from .swift_options import case_of, digits
from .text import Files, swift_head

PLACE = "Sources/PulseHub/Generated"
FORMS = {"path": "p", "text": "t", "line": "l", "json_path": "j", "word": "w", "token": "k", "topic": "n", "origin": "o", "": ""}
RESERVED = ("any", "in", "static", "protocol", "default", "self")
ARTICLES = {"hub": "a hub", "route": "a route", "topic": "a topic"}


def declared(word: str) -> str:
    """A case where it is declared; some are words of the language."""
    name = case_of(word)
    return f"`{name}`" if name in RESERVED else name


def variable(row: Row) -> str:
    return row.get("swift", "").partition(":")[0] or camel(row["name"])


def type_of(row: Row) -> str:
    kind: str = row["kind"]
    if kind == "choice":
        own: str = row["swift"]
        return own.partition(":")[2].strip()
    if kind == "list":
        return "HubEventSet" if row["form"] == "word" else "[[UInt8]]"
    if kind == "text":
        return "JSONPath?" if row["form"] == "json_path" else "[UInt8]"
    return {"duration": "Int64", "boolean": "Bool"}.get(kind, "Int")


def initial(row: Row) -> str:
    kind = row["kind"]
    if kind == "choice":
        return f".{case_of(row['default'])}"
    if kind == "list":
        return "HubEventSet()" if row["form"] == "word" else "[]"
    if kind == "text":
        return "nil" if row["form"] == "json_path" else f'("{row["default"]}" as Sentence).bytes' if row["default"] else "[]"
    return row["default"] if kind == "boolean" else digits(row["value"])


def cells(row: Row) -> list[str]:
    """As OptionSheet has them."""
    is_number = row["kind"] in ("duration", "size", "integer")
    longest = str(row["greatest"] if is_number else row.get("length", ""))
    traits = ("z" if row.get("zero_is_off") else "") + ("s" if row.get("secret") else "") + FORMS[row["form"]]
    return [row["name"], row["kind"], row["default"], row["allowed"], " ".join(row.get("words", [])),
            str(row["least"]) if is_number else "", longest, str(row.get("most", "")), traits]


def store_number(row: Row) -> str:
    name, kind = variable(row), row["kind"]
    if kind == "choice":
        return f"{name} = {type_of(row)}(rawValue: UInt8(truncatingIfNeeded: number)) ?? {name}"
    if kind == "list":
        return f"{name}.insert(place: number)"
    return f"{name} = " + {"duration": "number", "boolean": "number != 0"}.get(kind, "Int(truncatingIfNeeded: number)")


def is_number(row: Row) -> bool:
    return row["kind"] not in ("text", "list") or row["form"] == "word"


def is_text(row: Row) -> bool:
    return not is_number(row) and row["form"] != "json_path"


def is_path(row: Row) -> bool:
    return bool(row["form"] == "json_path")


def is_list(row: Row) -> bool:
    return bool(row["kind"] == "list")


def store_text(row: Row) -> str:
    return f"{variable(row)}.append(text)" if is_list(row) else f"{variable(row)} = text"


def switch(rows: list[Row], pick: Callable[[Row], bool], line: Callable[[Row], str], other: str) -> str:
    text = "    switch row {\n"
    text += "".join(f"    case {place}: {line(row)}\n" for place, row in enumerate(rows) if pick(row))
    return text + f"    default: {other}\n    }}\n"


def options(rows: list[Row], of: str) -> str:
    kind = f"{pascal(of)}Options"
    lists = any(map(is_list, rows))
    paths = any(map(is_path, rows))
    text = swift_head("CPulseTexts", "PulseFlow", "PulseProcess", "PulseText")
    for row in rows:
        if row["kind"] == "choice":
            words = ", ".join(declared(word) for word in row["words"])
            text += f"/// Option {row['name']} of {ARTICLES[of]}.\npackage enum {type_of(row)}: UInt8, Sendable {{ case {words} }}\n\n"
    text += f"/// Every option of {ARTICLES[of]}, with its default; text in, typed values out. Times in nanoseconds, sizes in bytes.\n"
    text += f"package struct {kind}: Sendable {{\n"
    text += "".join(f"  package var {variable(row)}: {type_of(row)} = {initial(row)}\n" for row in rows)
    text += "\n  @inline(never) package init() {}\n\n"
    text += "  /// nil if it is set; a value of a list is added, and an empty one empties the list.\n"
    text += "  @inline(never) package mutating func set(_ name: [UInt8], _ value: [UInt8]) -> OptionRefusal? {\n"
    text += f"    let sheet = {kind}.sheet\n"
    text += f"    guard let row = sheet.find(name) else {{ return sheet.unknown(name, of: \"{ARTICLES[of]}\") }}\n"
    text += f"    switch sheet.read(row, value, held: {'held(row)' if lists else '0'}) {{\n"
    text += "    case .number(let number): store(row, number)\n"
    if any(map(is_text, rows)):
        text += "    case .text(let text): store(row, text)\n"
    if paths:
        text += "    case .path(let path): store(row, path)\n"
    if lists:
        text += "    case .nothing: clear(row)\n"
    text += "    case .refused(let refusal): return refusal\n"
    if not (lists and paths and any(map(is_text, rows))):
        text += "    default: break  // there is no such option\n"
    text += "    }\n    return nil\n  }\n}\n\n"
    text += f"extension {kind} {{\n  private mutating func store(_ row: Int, _ number: Int64) {{\n"
    text += switch(rows, is_number, store_number, "break") + "  }\n\n"
    if any(map(is_text, rows)):
        text += "  private mutating func store(_ row: Int, _ text: [UInt8]) {\n" + switch(rows, is_text, store_text, "break") + "  }\n\n"
    if paths:
        text += "  private mutating func store(_ row: Int, _ path: JSONPath) {\n"
        text += switch(rows, is_path, lambda row: f"{variable(row)} = path", "break") + "  }\n\n"
    if lists:
        text += "  private func held(_ row: Int) -> Int {\n"
        text += switch(rows, is_list, lambda row: f"{variable(row)}.count", "0") + "  }\n\n"
        text += "  private mutating func clear(_ row: Int) {\n"
        text += switch(rows, is_list, lambda row: f"{variable(row)} = {initial(row)}", "break") + "  }\n\n"
    made = f"OptionSheet(packed: PULSE_TEXTS_{of.upper()}_OPTIONS, rows: {len(rows)})"
    return text + f"  package static var sheet: OptionSheet {{ {made} }}\n}}\n"


def statistics(contract: Contract) -> str:
    rows = contract.hub.statistics
    text = swift_head("CPulseTexts", "PulseText")
    text += "/// The statistics of a hub, or the part of one loop; the table says what they mean.\n"
    text += "package struct HubStatistics: Sendable {\n"
    text += "".join(f"  package var {camel(row['name'])}: UInt64 = 0\n" for row in rows)
    text += "\n  @inline(never) package init() {}\n}\n\nextension HubStatistics {\n"
    text += f"  package static var count: Int {{ {len(rows)} }}\n\n"
    text += "  /// Name, type, unit, meaning.\n  static var texts: TextTable {\n"
    return text + f"    TextTable(packed: PULSE_TEXTS_HUB_STATISTICS, rows: {len(rows)}, columns: 4)\n  }}\n}}\n"


def statistic_cells(row: Row) -> list[str]:
    return [row["name"], row["kind"], row["unit"], row["meaning"]]


def map_cells(row: Row) -> list[str]:
    return [row["name"], row["text"], row["map"]]


def maps(contract: Contract) -> str:
    text = swift_head("CPulseTexts", "PulseText") + "extension FeedMapTable {\n"
    text += f"  package static var count: Int {{ {len(contract.hub.maps)} }}\n\n  /// Name, text, map.\n"
    made = f"TextTable(packed: PULSE_TEXTS_FEED_MAPS, rows: {len(contract.hub.maps)}, columns: 3)"
    return text + f"  static var texts: TextTable {{ {made} }}\n}}\n"


def events(contract: Contract) -> str:
    rows = contract.hub.events
    text = swift_head("PulseText")
    text += "/// What has happened to a hub, with its number in the C interface.\npackage enum HubEventKind: UInt32, Sendable {\n"
    text += "".join(f"  case {camel(row['name'])} = {number}\n" for number, row in enumerate(rows, 1))
    text += "\n  package var name: Literal {\n    switch self {\n"
    text += "".join(f'    case .{camel(row["name"])}: "{row["name"]}"\n' for row in rows) + "    }\n  }\n}\n"
    return text


def sets() -> str:
    text = swift_head("PulseProcess", "PulseText")
    text += "/// The options of all sets, one set behind the other.\npackage enum HubOptionTable {\n"
    text += "  /// Whose it is, and where it stands; nil behind the last.\n"
    text += "  package static func entry(_ index: Int) -> (of: Literal, sheet: OptionSheet, row: Int)? {\n"
    text += "    if index < 0 { return nil }\n    var row = index\n"
    for place, name in enumerate(SETS):
        kind = f"{pascal(name)}Options"
        text += f'    if row < {kind}.sheet.count {{ return ("{name}", {kind}.sheet, row) }}\n'
        text += f"    row &-= {kind}.sheet.count\n" if place + 1 < len(SETS) else ""
    return text + "    return nil\n  }\n}\n"


def files(contract: Contract) -> Files:
    for name in SETS:
        yield f"{PLACE}/{pascal(name)}Options.swift", options(contract.hub.of(name), name)
    yield f"{PLACE}/HubOptionTable.swift", sets()
    yield f"{PLACE}/HubStatistics.swift", statistics(contract)
    yield f"{PLACE}/HubEventKind.swift", events(contract)
    yield f"{PLACE}/FeedMaps.swift", maps(contract)
