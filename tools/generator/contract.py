# SPDX-License-Identifier: Apache-2.0
"""Reads contract/, checks it, and adds what follows from it: names in other languages, numbers, ranges in words."""

from __future__ import annotations

import re

from . import hub, option_rows
from .rows import Row, camel, fail, pascal
from .tables import FOLDER, ROOT, check_row, read, toml

__all__ = ["ROOT", "Contract", "Row", "camel", "pascal"]

# A metric in seconds says so in its Prometheus name.
STATISTIC_UNITS = ("messages", "bytes", "writes", "pings", "events", "connections", "seconds", "subscriptions", "keys", "ratio",
                   "boolean", "state")
KEY_TYPES = ("word", "text", "integer", "id", "ids", "seconds", "boolean")


def shape(event: Row) -> list[tuple[str, str, bool, bool]]:
    """What the builder of an event is made of."""
    return [(key["name"], key["type"], "null" in key, "when" in key) for key in event["keys"]]


class Contract:
    """All tables, each a list of rows."""

    def __init__(self) -> None:
        self.version = self._version()
        self.presets = self._presets()
        topics, self.options = read("options.toml", "topic", "option")
        for row in self.options:
            option_rows.complete(row, {"presets": [preset["name"] for preset in self.presets]})
            option_rows.check(row)
        self._check_topics([row["name"] for row in topics])
        if len(self.options) > option_rows.MOST:
            fail(f"options.toml: OptionMask has room for {option_rows.MOST} options")
        self.known = {row["name"]: row for row in self.options}
        self._check_presets()
        self.hundreds, self.errors = read("errors.toml", "hundred", "error")
        self._check_errors()
        self.statistics, = read("statistics.toml", "statistic")
        for row in self.statistics:
            if row["kind"] not in ("counter", "gauge"):
                fail(f"statistics.toml: {row['name']}: kind is counter or gauge")
            if row["unit"] not in STATISTIC_UNITS:
                fail(f"statistics.toml: {row['name']}: unit is one of {', '.join(STATISTIC_UNITS)}")
            if row["kind"] == "gauge" and "value" not in row:
                fail(f"statistics.toml: {row['name']}: a gauge needs a value")
        self.states, self.transitions = read("states.toml", "state", "transition")
        self._check_states()
        self.events, = read("events.toml", "event")
        self._check_events()
        self.functions, = read("functions.toml", "function")
        self.groups, = read("constants.toml", "group")
        for group in self.groups:
            for row in group["constants"]:
                check_row("constant", row, f"constants.toml: {group['name']}")
                row["meaning"] = row["meaning"].replace("${events}", ", ".join(one["name"] for one in self.events))
        self.hub = hub.HubContract()

    @staticmethod
    def _version() -> tuple[int, int, int]:
        head = (ROOT / "include" / "pulsews.h").read_text()
        major, minor, patch = (re.search(rf"^#define PULSEWS_VERSION_{part} (\d+)$", head, re.M)
                               for part in ("MAJOR", "MINOR", "PATCH"))
        if not major or not minor or not patch:
            fail("include/pulsews.h does not state the version")
        return int(major[1]), int(minor[1]), int(patch[1])

    # ---- Options

    def _check_topics(self, topics: list[str]) -> None:
        last = 0
        for row in self.options:
            if row["group"] not in topics:
                fail(f"options.toml: {row['name']}: group is one of {', '.join(topics)}; a new one is a [[topic]] of the file")
            place = topics.index(row["group"])
            if place < last:
                fail(f"options.toml: {row['name']} stands apart from its group; groups come in the order of the topics")
            last = place

    # ---- Presets

    @staticmethod
    def _presets() -> list[Row]:
        files: dict[str, Row] = {}
        for path in sorted((FOLDER / "presets").glob("*.toml"), key=lambda path: path.stem):
            try:
                files[path.stem] = toml.loads(path.read_text())
            except toml.TOMLDecodeError as problem:
                fail(f"{path}: {problem}")
            check_row("preset", files[path.stem], f"presets/{path.name}")
        found = []
        for name, row in files.items():
            if name.startswith("_"):
                continue
            if "text" not in row:
                fail(f"presets/{name}.toml: column text is missing")
            base = row.get("base")
            if base is not None and base not in files:
                fail(f"presets/{name}.toml: there is no {base}.toml")
            if base is not None and "base" in files[base]:
                fail(f"presets/{name}.toml: its base has a base itself")
            options = {**(files[base]["options"] if base else {}), **row["options"]}
            found.append({"name": name, "text": row["text"], "options": [
                (option, value) for option, values in options.items()
                for value in (values if isinstance(values, list) else [values])]})
        return found

    def _check_presets(self) -> None:
        for preset in self.presets:
            for option, value in preset["options"]:
                if option not in self.known or option == "preset":
                    fail(f"preset {preset['name']}: there is no option {option}")
                where = f"preset {preset['name']}: {option}"
                if not isinstance(value, str) or re.search(r"[\x00-\x1f]", value):
                    fail(f"{where} takes a text of one line")
                option_rows.check_value(self.known[option], value, where)

    # ---- Errors and events

    def _check_errors(self) -> None:
        hundreds = {row["code"] for row in self.hundreds}
        codes = [row["code"] for row in self.errors]
        if codes != sorted(set(codes), reverse=True):
            fail("errors.toml: codes go down, each once")
        for row in self.errors:
            if int(row["code"] / 100) * 100 not in hundreds:
                fail(f"errors.toml: {row['name']} is of no hundred")

    def _check_states(self) -> None:
        names = {row["name"] for row in self.states}
        if [row["number"] for row in self.states] != list(range(len(self.states))):
            fail("states.toml: states have the numbers 0, 1, 2 ... in order")
        seen = set()
        for row in self.transitions:
            if row["from"] not in names or row["to"] not in names:
                fail(f"states.toml: a transition from {row['from']} to {row['to']}: there is no such state")
            if (row["from"], row["event"]) in seen:
                fail(f"states.toml: {row['event']} leads from {row['from']} twice")
            seen.add((row["from"], row["event"]))

    def _check_events(self) -> None:
        named = {row["name"]: row for row in self.events}
        for row in self.events:
            for key in row["keys"]:
                check_row("key", key, f"events.toml: {row['name']}")
                if key["type"] not in KEY_TYPES:
                    fail(f"events.toml: {row['name']}: {key['name']}: type is one of {', '.join(KEY_TYPES)}")
            if "like" in row:
                other = named.get(row["like"])
                if other is None or shape(row) != shape(other):
                    fail(f"events.toml: {row['name']} has other keys than {row['like']}")
