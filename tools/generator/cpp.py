# SPDX-License-Identifier: Apache-2.0
"""The enumerations of the C++ wrapper, and which of its exceptions a status code becomes."""

from __future__ import annotations

import re
from typing import NamedTuple

from .contract import Contract, Row
from .text import LICENSE, MADE, Files

FOLDER = "include/pulsews"
# What Python's exceptions are called there; the others have one name in both.
CLASSES = {"PulseError": "Error", "CallTimeout": "Timeout", "ConnectionClosed": "Closed"}


class Enumeration(NamedTuple):
    name: str
    type: str
    prefix: str  # of C's names, which the members do without
    comment: str
    rows: list[tuple[str, str]]  # C's name, and what C++ calls it where that is not the rest of the former


def snake(name: str) -> str:
    """Of a name in Swift: notUTF8, badURL, unknownCA, tlsVersion."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def enumerations(contract: Contract) -> list[Enumeration]:
    groups = {group["name"]: group for group in [*contract.groups, *contract.hub.groups]}

    def of(group: str, name: str, prefix: str = "", kind: str = "std::uint32_t") -> Enumeration:
        rows = [(row["name"], "") for row in groups[group]["constants"]]
        return Enumeration(name, kind, prefix, groups[group]["comment"], rows)

    states = sorted(contract.states, key=lambda row: int(row["number"]))
    return [
        Enumeration("Code", "std::int32_t", "", "Status codes: what Error::code() returns.",
                    [(row["name"], snake(row["swift"])) for row in contract.errors]),
        Enumeration("State", "std::int32_t", "", "States of a client.", [(row["name"].upper(), "") for row in states]),
        of("kinds", "Kind"),
        of("send_flags", "SendFlags"),
        of("traits", "BatchTraits"),
        of("loop_flags", "LoopFlags", "LOOP_"),
        of("log_levels", "LogLevel", "LOG_", "std::int32_t"),
        Enumeration("EventKind", "std::uint32_t", "HUB_", "Events of a hub.",
                    [("HUB_" + row["name"].upper(), "") for row in contract.hub.events]),
        of("slow policies", "SlowPolicy", "HUB_", "std::int32_t"),
        of("topic states", "TopicState", "TOPIC_", "std::int32_t"),
    ]


def enumeration(one: Enumeration) -> str:
    text = f"/// {one.comment}\nenum class {one.name} : {one.type} {{\n"
    for name, own in one.rows:
        text += f"    {own or name.removeprefix(one.prefix).lower()} = PULSEWS_{name},\n"
    return text + "};\n"


def header(contract: Contract) -> str:
    text = f"// {LICENSE}\n// {MADE}\n"
    text += "/// The numbers of the C interface as enumerations. What each of them means stands in pulsews.h and pulsews_hub.h.\n"
    text += "#ifndef PULSEWS_CONTRACT_HPP\n#define PULSEWS_CONTRACT_HPP\n\n"
    text += "#include <cstdint>\n\n#include <pulsews.h>\n#include <pulsews_hub.h>\n\nnamespace pulsews {\n\n"
    return text + "\n".join(map(enumeration, enumerations(contract))) + "\n} // namespace pulsews\n#endif\n"


def exception(contract: Contract, row: Row) -> str:
    hundreds = {one["code"]: one.get("class", "PulseError") for one in contract.hundreds}
    name = str(row.get("class") or hundreds[int(row["code"] / 100) * 100])
    return CLASSES.get(name, name)


def exceptions(contract: Contract) -> str:
    cases: dict[str, list[str]] = {}
    for row in contract.errors:
        cases.setdefault(exception(contract, row), []).append(str(row["name"]))
    text = ""
    for name, codes in cases.items():
        if name != "Error":
            text += "\n".join(f"    case PULSEWS_{code}:" for code in codes) + f" throw {name}(code, sentence);\n"
    return text


def files(contract: Contract) -> Files:
    yield f"{FOLDER}/contract.hpp", header(contract)
    yield f"{FOLDER}/error.hpp#exceptions", exceptions(contract)
