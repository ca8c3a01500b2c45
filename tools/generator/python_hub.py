# SPDX-License-Identifier: Apache-2.0
"""The hub in the Python package: numbers, structs, functions, options."""

from __future__ import annotations

import re

from .contract import Contract
from .hub import HEADER, SETS
from .python import PACKAGE, TYPES, function_rows, option_type, wrapped
from .rows import Row, fail
from .tables import ROOT
from .text import LICENSE, MADE, Files

STRUCTS = {"pulsews_hub_event": "NativeEvent", "pulsews_hub_publication": "NativePublication"}
# Options that follow from what the application does.
OWN = ("events",)


def module(contract: Contract) -> str:
    text = f'# {LICENSE}\n# {MADE}\n"""Numbers and names of the hub\'s C interface. It imports nothing of the package."""\n\n'
    text += "from __future__ import annotations\n\nfrom typing import Dict\n\n# Events of a hub.\n"
    text += "".join(f"{row['name'].upper()} = {number}\n" for number, row in enumerate(contract.hub.events, 1))
    text += "\n# Their names, by their numbers.\nEVENTS: Dict[int, str] = {\n"
    text += "".join(f'    {row["name"].upper()}: "{row["name"]}",\n' for row in contract.hub.events) + "}\n"
    for group in contract.hub.groups:
        name = group["name"].replace(" ", "_").upper()
        text += f"\n# {group['comment']}\n{name}: Dict[str, int] = {{\n"
        text += "".join(f'    "{word}": {row["value"]},\n' for word, row in named(group)) + "}\n"
    quick = [f'"{row["name"]}"' for row in contract.hub.functions if row.get("quick")]
    text += "\n# Functions that never wait.\n" + wrapped("QUICK = (", quick, ")")
    return text


def named(group: Row) -> list[tuple[str, Row]]:
    """The constants by their words: TOPIC_LIVE is "live"."""
    return [(re.sub(r"^(HUB|TOPIC)_", "", row["name"]).lower(), row) for row in group["constants"]]


def structs(contract: Contract) -> str:
    header, text = (ROOT / HEADER).read_text(), ""
    for name, python in STRUCTS.items():
        body = re.search(rf"typedef struct {name} \{{(.*?)\}} {name};", header, re.S)
        if not body:
            fail(f"{HEADER} has no struct {name}")
        text += f'class {python}(ctypes.Structure):\n    """{name} of the header."""\n\n    _fields_ = [\n'
        for kind, field, count in re.findall(r"^ +([\w ]+?[ *]+)(\w+)(?:\[(\d+)\])?;", body[1], re.M):
            text += f'        ("{field}", {TYPES[kind.strip()]}{f" * {count}" if count else ""}),\n'
        text += "    ]\n\n\n"
    return text.rstrip("\n") + "\n"


def choice_type(row: Row) -> str:
    """The name that the type has in Swift too."""
    return str(row["swift"]).partition(":")[2].strip()


def choices(contract: Contract) -> str:
    text = ""
    for row in contract.hub.options:
        if row["kind"] == "choice":
            text += wrapped(f"{choice_type(row)} = Literal[", [f'"{word}"' for word in row["words"]], "]")
    states, = (group for group in contract.hub.groups if group["name"] == "topic states")
    return text + wrapped("TopicState = Literal[", [f'"{word}"' for word, _ in named(states)], "]")


def options(contract: Contract, of: str) -> str:
    text = ""
    for row in contract.hub.of(of):
        if row["name"] not in OWN:
            kind = choice_type(row) if row["kind"] == "choice" else option_type(row)
            text += f"    {row['name']}: {kind}\n"
    return text


def files(contract: Contract) -> Files:
    yield f"{PACKAGE}/_hub_contract.py", module(contract)
    yield f"{PACKAGE}/_hub_native.py#structs", structs(contract)
    yield f"{PACKAGE}/_hub_native.py#hub functions", function_rows(contract.hub.functions)
    yield f"{PACKAGE}/_hub_options.py#hub choices", choices(contract)
    for of in SETS:
        yield f"{PACKAGE}/_hub_options.py#{of} options", options(contract, of)
