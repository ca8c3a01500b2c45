# SPDX-License-Identifier: Apache-2.0
"""The tables of the reference pages. What stands around them is written by hand."""

from __future__ import annotations

from .contract import Contract, Row
from .text import Files, code, table


def options(contract: Contract) -> str:
    text = ""
    for group in dict.fromkeys(row["group"] for row in contract.options):
        text += f"## {group}\n\n" + table(["option", "type", "default", "allowed", "meaning"], [
            [code(row["name"]), row["kind"], code(row["default"]), row["allowed"], row["meaning"]]
            for row in contract.options if row["group"] == group]) + "\n"
    return text


def errors(contract: Contract) -> str:
    return table(["code", "name", "meaning", "retryable"], [
        [row["code"], code(f"PULSEWS_{row['name']}"), row["text"], "yes" if row["retryable"] else "no"] for row in contract.errors])


def prometheus(row: Row) -> str:
    return f"pulsews_{row['name']}{'_seconds' if row['unit'] == 'seconds' else ''}{'_total' if row['kind'] == 'counter' else ''}"


def statistics(contract: Contract) -> str:
    text = ""
    for kind, title in (("counter", "Counters"), ("gauge", "Gauges")):
        text += f"## {title}\n\n" + table(["statistic", "unit", "meaning", "Prometheus"], [
            [code(row["name"]), row["unit"], row["meaning"], code(prometheus(row))]
            for row in contract.statistics if row["kind"] == kind]) + "\n"
    return text


TYPES = {"word": "word", "text": "text", "integer": "integer", "id": "id", "ids": "rows of ids", "seconds": "seconds",
         "boolean": "boolean"}


def events(contract: Contract) -> str:
    text = ""
    for row in contract.events:
        text += f"## {row['name']}\n\n{row['meaning']}\n\n" + table(["key", "type", ""], [
            [code(key["name"]), TYPES[key["type"]] + (" or `null`" if key.get("null") else ""),
             f"{key['when']}: {key['meaning']}" if "when" in key else key["meaning"]] for key in row["keys"]]) + "\n"
        if "note" in row:
            text += f"{row['note']}\n\n"
    return text


def presets(contract: Contract) -> str:
    text = ""
    for row in contract.presets:
        lines = "".join(f"{name} = {value}\n" for name, value in row["options"])
        text += f"## {row['name']}\n\n{row['text']}\n\n```ini\n{lines}```\n\n"
    return text


def states(contract: Contract) -> str:
    return table(["number", "state", "meaning"], [[row["number"], code(row["name"]), row["meaning"]] for row in contract.states])


def transitions(contract: Contract) -> str:
    rows = contract.transitions
    text = "```mermaid\nstateDiagram-v2\n    [*] --> disconnected\n"
    arrows: dict[tuple[str, str], list[str]] = {}  # one for all events that lead from one state to another
    for row in rows:
        arrows.setdefault((row["from"], row["to"]), []).append(row["event"])
    text += "".join(f"    {start} --> {end}: {', '.join(names)}\n" for (start, end), names in arrows.items()) + "```\n\n"
    text += "The same as a table: the state on the left, the event above, the new state where they meet.\n\n```\n"
    names = list(dict.fromkeys(row["event"] for row in rows))
    grid = [["", *names]]
    for state in contract.states:
        leads = {row["event"]: row["to"] for row in rows if row["from"] == state["name"]}
        grid.append([state["name"], *(leads.get(name, ".") for name in names)])
    widths = [max(len(cells[column]) for cells in grid) for column in range(len(grid[0]))]
    text += "".join("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() + "\n" for cells in grid)
    return text + "```\n\n" + table(["from", "event", "to", "when"], [
        [code(row["from"]), code(row["event"]), code(row["to"]), row["meaning"]] for row in rows])


def files(contract: Contract) -> Files:
    for page, name, text in (
            ("OPTIONS", "options", options(contract)), ("ERRORS", "status codes", errors(contract)),
            ("STATISTICS", "statistics", statistics(contract)), ("EVENTS", "events", events(contract)),
            ("PRESETS", "presets", presets(contract)), ("STATES", "states", states(contract)),
            ("STATES", "transitions", transitions(contract))):
        yield f"docs/{page}.md#{name}", "\n" + text.rstrip("\n") + "\n\n"
