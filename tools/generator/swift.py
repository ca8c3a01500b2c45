# SPDX-License-Identifier: Apache-2.0
"""Errors, statistics, events, states, presets and the version in Swift."""

from __future__ import annotations

from .contract import Contract, Row, camel
from .text import Files, cases, swift_head

CLIENT = "Sources/PulseClient/Generated"
PROCESS = "Sources/PulseProcess/Generated"
FLOW = "Sources/PulseFlow/Generated"
ENGINE = "Sources/PulseEngine/Generated"


def errors(contract: Contract) -> str:
    rows = contract.errors
    text = swift_head("CPulseTexts", "PulseText")
    text += "/// The status codes of the ABI. Values are pinned: they never change and are never used again.\n"
    text += "package enum StatusCode: Int32, Sendable {\n  case ok = 0\n"
    text += "".join(f"  case {row['swift']} = {row['code']}\n" for row in rows)
    text += "}\n\nextension StatusCode {\n"
    text += "  /// In the order of the header; nil behind the last.\n  package static func at(_ index: Int) -> StatusCode? {\n"
    text += "    switch index {\n"
    text += "".join(f"    case {index}: .{row['swift']}\n" for index, row in enumerate(rows))
    text += "    default: nil\n    }\n  }\n\n"
    for name, column, doc in (("isRetryable", "retryable", "Trying again, with nothing else changed, can help."),
                              ("isFinal", "final", "A client does not try again after it, but for option retry_fatal.")):
        text += f"  /// {doc}\n  package var {name}: Bool {{\n    switch self {{\n"
        text += f"    case {cases([row['swift'] for row in rows if row.get(column)], '      ')}: true\n"
        text += "    default: false\n    }\n  }\n\n"
    made = f"TextTable(packed: PULSE_TEXTS_ERRORS, rows: {len(rows)}, columns: 2)"
    return text + f"  /// Name and text of each.\n  static var texts: TextTable {{ {made} }}\n}}\n"


def error_cells(row: Row) -> list[str]:
    return [f"PULSEWS_{row['name']}", row["text"]]


def is_kept(row: Row) -> bool:
    """ClientStatistics has a counter of its own for it."""
    return "value" not in row or f"statistics.{camel(row['name'])} " in row["value"]


def statistics(contract: Contract) -> str:
    rows = contract.statistics
    text = swift_head("CPulseTexts", "PulseEngine", "PulseFlow", "PulseText", "PulseTransport", "PulseWire")
    text += "/// Counters of a client that are kept nowhere else; the table says what they mean.\nstruct ClientStatistics {\n"
    text += "".join(f"  var {camel(row['name'])}: UInt64 = 0\n" for row in rows if is_kept(row))
    text += "}\n\nextension StatisticTable {\n"
    text += f"  package static var count: Int {{ {len(rows)} }}\n\n"
    text += "  /// Else it is a gauge.\n  package static func isCounter(_ index: Int) -> Bool {\n    switch index {\n"
    text += f"    case {', '.join(ranges([index for index, row in enumerate(rows) if row['kind'] == 'counter']))}: true\n"
    text += "    default: false\n    }\n  }\n\n"
    made = f"TextTable(packed: PULSE_TEXTS_STATISTICS, rows: {len(rows)}, columns: 3)"
    text += f"  /// Name, unit, meaning.\n  static var texts: TextTable {{ {made} }}\n}}\n\n"
    return text + values(rows)


def values(rows: list[Row]) -> str:
    """Counters are read by their place, which costs less code than a case for each."""
    text = "extension Line {\n  /// The value of a statistic; NaN if it is not known. `mutex` is held.\n"
    text += "  func value(_ index: Int, now: Int64) -> Double {\n    switch index {\n"
    places = {name: place for place, name in enumerate(row["name"] for row in rows if is_kept(row))}
    moved: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        if "value" in row:
            text += f"    case {index}: {row['value']}\n"
        else:
            moved.setdefault(index - places[row["name"]], []).append(index)
    for shift, found in moved.items():
        text += f"    case {', '.join(ranges(found))}: counter(index &- {shift})\n"
    text += "    default: .nan\n    }\n  }\n\n  private func counter(_ place: Int) -> Double {\n"
    text += "    withUnsafeBytes(of: &statistics) { Double($0.load(fromByteOffset: place &* 8, as: UInt64.self)) }\n"
    return text + "  }\n}\n"


def counters(contract: Contract) -> str:
    """For a test that each counter is read from its own place."""
    text = swift_head() + "@testable import PulseClient\n\n"
    text += "/// Counters that ClientStatistics keeps, with their number in the table.\n"
    text += "var counterPaths: [(Int, WritableKeyPath<ClientStatistics, UInt64>)] {\n  [\n"
    for index, row in enumerate(contract.statistics):
        if "value" not in row:
            text += f"    ({index}, \\.{camel(row['name'])}),\n"
    return text + "  ]\n}\n"


def ranges(numbers: list[int]) -> list[str]:
    """1, 2, 3, 7 -> 1...3, 7."""
    found: list[list[int]] = []
    for one in numbers:
        if found and found[-1][1] == one - 1:
            found[-1][1] = one
        else:
            found.append([one, one])
    return [str(first) if first == last else f"{first}...{last}" for first, last in found]


PARAMETERS = {"word": "Literal", "text": "String", "integer": "Int", "id": "UInt64", "ids": "Journal.Rows",
              "seconds": "Int64", "boolean": "Bool"}
PARTS = {"word": '"\\#({})"', "text": "\\#(json: {})", "integer": "\\#({})", "id": "\\#({})", "ids": "\\#(rows: {})",
         "seconds": "\\#(seconds: {})", "boolean": "\\#(boolean: {})"}


def method(name: str) -> str:
    """Some are words of the language."""
    return f"`{camel(name)}`" if name in ("repeat",) else camel(name)


def builder(row: Row, likes: list[str]) -> str:
    parameters = [f"_ event: Literal = \"{row['name']}\""] if likes else []
    named = "\\#(event)" if likes else row["name"]
    steady, more = f'{{"event":"{named}"', ""
    for key in row["keys"]:
        name = camel(key["name"])
        optional = key.get("null") or key.get("when")
        parameters.append(f"{name}: {PARAMETERS[key['type']]}{'?' if optional else ''}{' = nil' if key.get('when') else ''}")
        part = f'"{key["name"]}":' + PARTS[key["type"]].format(name)
        if not optional:
            if more:
                more += f'    text.add(#",{part}"#)\n'
            else:
                steady += f",{part}"
            continue
        more += f'    if let {name} {{ text.add(#",{part}"#) }}'
        more += f' else {{ text.add(#","{key["name"]}":null"#) }}\n' if key.get("null") else "\n"
    doc = f"/// Of `{row['name']}`" + (f", and with its name of {', '.join(f'`{name}`' for name in likes)}" if likes else "") + ".\n"
    text = f"  {doc}  package static func {method(row['name'])}(\n    {', '.join(parameters)}\n  ) -> Sentence {{\n"
    if not more:
        return text + f'    #"{steady}}}"#\n  }}\n'
    return text + f'    var text: Sentence = #"{steady}"#\n{more}    text.add("}}")\n    return text\n  }}\n'


def events(contract: Contract) -> str:
    text = swift_head("PulseFlow", "PulseText")
    text += "/// The events as JSON: one builder each, with a parameter for each key. Times in nanoseconds.\npackage enum Event {\n"
    text += "\n".join(builder(row, [other["name"] for other in contract.events if other.get("like") == row["name"]])
                      for row in contract.events if "like" not in row)
    return text + "}\n"


def states(contract: Contract) -> str:
    names = [row["name"] for row in contract.states]
    triggers = list(dict.fromkeys(row["event"] for row in contract.transitions))
    text = swift_head("PulseText")
    text += "/// What the application sees of a connection. The values are those of the ABI.\n"
    text += "package enum SessionState: Int32, Sendable {\n"
    text += "".join(f"  case {camel(row['name'])} = {row['number']}\n" for row in contract.states) + "\n"
    text += "  package var name: Literal {\n    switch self {\n"
    text += "".join(f'    case .{camel(name)}: "{name}"\n' for name in names) + "    }\n  }\n}\n\n"
    text += "/// What may change a state.\n"
    text += f"package enum SessionEvent: Sendable {{\n  case {', '.join(camel(name) for name in triggers)}\n\n"
    text += "  package var name: Literal {\n    switch self {\n"
    text += "".join(f'    case .{camel(name)}: "{name}"\n' for name in triggers) + "    }\n  }\n}\n\n"
    text += "extension StateTable {\n  /// Every transition, in reading order; nil behind the last.\n"
    text += "  package static func entry(_ index: Int) -> Transition? {\n    switch index {\n"
    for index, row in enumerate(contract.transitions):
        start, event, end = (camel(row[column]) for column in ("from", "event", "to"))
        text += f'    case {index}: Transition(.{start}, .{event}, .{end}, "{row["meaning"]}")\n'
    return text + "    default: nil\n    }\n  }\n}\n"


def presets(contract: Contract) -> str:
    rows = contract.presets
    text = swift_head("CPulseTexts", "PulseText")
    text += f"extension PresetTable {{\n  package static var count: Int {{ {len(rows)} }}\n\n"
    made = f"TextTable(packed: PULSE_TEXTS_PRESETS, rows: {len(rows)}, columns: 3)"
    return text + f"  /// Name, text, options.\n  static var texts: TextTable {{ {made} }}\n}}\n"


def preset_cells(row: Row) -> list[str]:
    return [row["name"], row["text"], "".join(f"{name}={value}\n" for name, value in row["options"])]


def statistic_cells(row: Row) -> list[str]:
    return [row["name"], row["unit"], row["meaning"]]


def version(contract: Contract) -> str:
    major, minor, patch = contract.version
    return (swift_head("PulseText") + "/// As include/pulsews.h states it.\npackage enum Version {\n"
            f'  package static var text: Literal {{ "{major}.{minor}.{patch}" }}\n'
            f"  package static var number: UInt32 {{ 0x{major:02x}{minor:02x}{patch:02x} }}\n}}\n")


def codes(contract: Contract) -> str:
    """What all of the library speaks: kinds and flags of messages, levels of the log."""
    text = swift_head("PulseText") + "/// Kinds and flags of messages as the ABI has them.\npackage enum MessageCode {\n"
    levels = ""
    for group, names in swift_groups(contract):
        rows = group["constants"]
        if group["swift"] == "MessageCode":
            text += "".join(f"  package static var {name}: UInt32 {{ {row['value']} }}\n" for name, row in zip(names, rows))
        elif group["swift"] == "LogLevel":
            levels += f"\n/// {group['comment']}\npackage enum LogLevel: Int32, Sendable {{\n"
            levels += "".join(f"  case {name} = {row['value']}\n" for name, row in zip(names, rows))
            levels += "\n  package var name: Literal {\n    switch self {\n"
            levels += "".join(f'    case .{name}: "{name.upper()}"\n' for name in names) + "    }\n  }\n}\n"
    return text + "}\n" + levels


def flags(contract: Contract) -> str:
    """The members of option sets of the client."""
    parts = []
    for group, names in swift_groups(contract):
        rows, target = group["constants"], group["swift"]
        if target not in ("MessageCode", "LogLevel"):
            text = f"extension {target} {{\n"
            text += "".join(f"  package static var {name}: Self {{ Self(rawValue: {row['value']}) }}\n" for name, row in zip(names, rows))
            parts.append(text + f"\n  package static var known: Self {{ Self(rawValue: {sum(row['value'] for row in rows)}) }}\n}}\n")
    return swift_head() + "\n".join(parts)


def swift_groups(contract: Contract) -> list[tuple[Row, list[str]]]:
    """The groups of constants that Swift has too (`swift` says where), with the names of their members."""
    return [(group, [row.get("swift") or camel(row["name"].lower()) for row in group["constants"]])
            for group in contract.groups if group.get("swift")]


def files(contract: Contract) -> Files:
    yield f"{PROCESS}/StatusCode.swift", errors(contract)
    yield f"{CLIENT}/Statistics.swift", statistics(contract)
    yield "Tests/PulseClientTests/Generated/Counters.swift", counters(contract)
    yield f"{ENGINE}/Event.swift", events(contract)
    yield f"{CLIENT}/PresetTable.swift", presets(contract)
    yield f"{PROCESS}/Version.swift", version(contract)
    yield f"{CLIENT}/Flags.swift", flags(contract)
    yield f"{FLOW}/Codes.swift", codes(contract)
    yield f"{FLOW}/Transitions.swift", states(contract)
