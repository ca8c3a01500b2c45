# SPDX-License-Identifier: Apache-2.0
"""The constant blocks of include/pulsews_hub.h, and the tables of the hub's reference pages."""

from __future__ import annotations

from .contract import Contract
from .header import block
from .hub import HEADER, SETS
from .text import Files, code, table


def events(contract: Contract) -> str:
    text = ""
    for number, row in enumerate(contract.hub.events, 1):
        text += f"## {row['name']}\n\n`PULSEWS_HUB_{row['name'].upper()}`, {number}. {row['meaning']}\n\n"
        text += table(["member", "type", ""], [[code(key["name"]), key["type"], key["meaning"]] for key in row["keys"]]) + "\n"
    return text


def options(contract: Contract, of: str) -> str:
    return table(["option", "type", "default", "allowed", "meaning"], [
        [code(row["name"]), row["kind"], code(row["default"]), row["allowed"], row["meaning"]] for row in contract.hub.of(of)])


def statistics(contract: Contract) -> str:
    text = ""
    for kind, title in (("counter", "Counters"), ("gauge", "Gauges")):
        text += f"## {title}\n\n" + table(["statistic", "unit", "meaning", "Prometheus"], [
            [code(row["name"]), row["unit"], row["meaning"], code(f"pulsews_hub_{row['name']}{'_total' * (kind == 'counter')}")]
            for row in contract.hub.statistics if row["kind"] == kind]) + "\n"
    return text


def maps(contract: Contract) -> str:
    return "".join(f"## {row['name']}\n\n{row['text']}\n\n```ini\n{row['map']}```\n\n" for row in contract.hub.maps)


def files(contract: Contract) -> Files:
    named = [("HUB_" + row["name"].upper(), number, row["meaning"].rstrip(".")) for number, row in enumerate(contract.hub.events, 1)]
    yield f"{HEADER}#hub events", block("Events of a hub.", named)
    for group in contract.hub.groups:
        rows = [(row["name"], row["value"], row["meaning"]) for row in group["constants"]]
        yield f"{HEADER}#{group['name']}", block(group["comment"], rows)
    pages = [("HUB_OPTIONS", f"{of} options", options(contract, of)) for of in SETS]
    pages += [("HUB_EVENTS", "events", events(contract)), ("HUB_STATISTICS", "statistics", statistics(contract)),
              ("HUB_FEEDS", "maps", maps(contract))]
    for page, name, text in pages:
        yield f"docs/{page}.md#{name}", "\n" + text.rstrip("\n") + "\n\n"
