# SPDX-License-Identifier: Apache-2.0
"""Reads contract/hub/ and checks it."""

from __future__ import annotations

import re

from . import option_rows
from .rows import Row, fail
from .tables import FOLDER, ROOT, check_row, read, toml

HEADER = "include/pulsews_hub.h"
SETS = ("hub", "route", "topic")
FORMS = {"text": ("path", "text", "line", "json_path"), "list": ("word", "token", "topic", "origin", "line")}
KINDS = ("duration", "size", "integer", "boolean", "choice", "text", "list")
UNITS = ("messages", "bytes", "connections", "requests", "peers", "events", "pings", "subscriptions", "topics", "frames", "failures")
# The form of an event's key, and the type that the struct has it in.
KEY_TYPES = {"integer": ("int32_t", "uint64_t"), "id": ("uint64_t",), "text": ("const char *",), "bytes": ("const void *",)}


def event_fields() -> dict[str, str]:
    """The members of struct pulsews_hub_event, with their types."""
    text = (ROOT / HEADER).read_text()
    body = re.search(r"typedef struct pulsews_hub_event \{(.*?)\} pulsews_hub_event;", text, re.S)
    if not body:
        fail(f"{HEADER} has no struct pulsews_hub_event")
    return {name: kind.strip() for kind, name in re.findall(r"^ +([\w ]+?[ *]+)(\w+);", body[1], re.M)}


def feed_maps() -> list[Row]:
    """The maps of known feeds: name, text, and the map as the library reads it. What a line may say, the library knows."""
    found = []
    for path in sorted((FOLDER / "feeds").glob("*.toml"), key=lambda path: path.stem):
        row = toml.loads(path.read_text())
        where = f"feeds/{path.name}"
        check_row("feed map", row, where)
        lines = []
        for rule in row["rule"]:
            check_row("feed rule", rule, where)
            lines += [f"rule={rule['name']}", *rule["lines"]]
        if any(re.search(r"[\x00-\x1f]", line) for line in lines):
            fail(f"{where}: a line has a control character")
        found.append({"name": path.stem, "text": row["text"], "map": "\n".join(lines) + "\n"})
    return found


class HubContract:
    """All tables of the hub, each a list of rows."""

    def __init__(self) -> None:
        self.events, = read("hub/events.toml", "event", prefix="hub ")
        self._check_events()
        self.options, = read("hub/options.toml", "option", prefix="hub ")
        self._check_options()
        self.statistics, = read("hub/statistics.toml", "statistic", prefix="hub ")
        self._check_statistics()
        self.functions, = read("hub/functions.toml", "function", prefix="hub ")
        self._check_functions()
        self.groups, = read("hub/constants.toml", "group", prefix="hub ")
        self._check_groups()
        self.maps = feed_maps()

    def of(self, name: str) -> list[Row]:
        """The options of a hub, a route or a topic."""
        return [row for row in self.options if row["of"] == name]

    def _check_events(self) -> None:
        fields = event_fields()
        for row in self.events:
            where = f"hub/events.toml: {row['name']}"
            if not re.fullmatch(r"[a-z_]+", row["name"]):
                fail(f"{where}: a name has small letters and _")
            for key in row["keys"]:
                check_row("hub key", key, where)
                if key["type"] not in KEY_TYPES:
                    fail(f"{where}: {key['name']}: type is one of {', '.join(KEY_TYPES)}")
                if fields.get(key["name"]) not in KEY_TYPES[key["type"]]:
                    fail(f"{where}: struct pulsews_hub_event has no {key['name']} for {key['type']}")

    def _check_options(self) -> None:
        words = {"events": [row["name"] for row in self.events]}
        place = 0
        for row in self.options:
            where = f"hub/options.toml: {row['name']}"
            if row["of"] not in SETS:
                fail(f"{where}: of is one of {', '.join(SETS)}")
            if SETS.index(row["of"]) < place:
                fail(f"{where}: the sets stand in the order {', '.join(SETS)}")
            place = SETS.index(row["of"])
            if row["kind"] not in KINDS:
                fail(f"{where}: kind {row['kind']!r} is none of {', '.join(KINDS)}")
            option_rows.complete(row, words, "hub/options.toml")
            option_rows.check_forms(row, where, FORMS)
            option_rows.check_words(row, where)
            self._check_text(row, where)

    @staticmethod
    def _check_text(row: Row, where: str) -> None:
        is_text, is_list = row["kind"] == "text", row["kind"] == "list"
        if (is_text or is_list) and "example" not in row:
            fail(f"{where}: column example is missing")
        for column in ("example", "length", "secret"):
            if column in row and not is_text and not is_list:
                fail(f"{where}: {column} is for texts and lists")
        if "most" in row and not is_list:
            fail(f"{where}: most is for lists")
        if is_list and row["form"] != "word" and ("most" not in row or "length" not in row):
            fail(f"{where}: a list needs most and length")
        if is_list and row["default"]:
            fail(f"{where}: a list has no default")
        option_rows.check_length(row, where)
        own = row.get("swift", "")
        if row["kind"] == "choice" and not own:
            fail(f'{where}: a choice needs swift = "name: Type"')
        if not re.fullmatch(r"\w*: \w+" if row["kind"] == "choice" else r"\w*", own):
            fail(f"{where}: swift is a name{', or name: Type' if row['kind'] == 'choice' else ''}")

    def _check_statistics(self) -> None:
        for row in self.statistics:
            where = f"hub/statistics.toml: {row['name']}"
            if row["kind"] not in ("counter", "gauge"):
                fail(f"{where}: kind is counter or gauge")
            if row["unit"] not in UNITS:
                fail(f"{where}: unit is one of {', '.join(UNITS)}")

    def _check_functions(self) -> None:
        for row in self.functions:
            where = f"hub/functions.toml: {row['name']}"
            if not re.fullmatch(r"pulsews_hub_[a-z_]+", row["name"]):
                fail(f"{where}: a name begins with pulsews_hub_")
            if not re.fullmatch(r"\d+\.\d+", row["since"]):
                fail(f"{where}: since is a version such as 0.1")

    def _check_groups(self) -> None:
        known = {row["name"]: row for row in self.options}
        for group in self.groups:
            where = f"hub/constants.toml: {group['name']}"
            for row in group["constants"]:
                check_row("hub constant", row, where)
            option = group.get("words_of")
            if option is None:
                continue
            if option not in known or "words" not in known[option]:
                fail(f"{where}: no option {option} has words")
            words = [("HUB_" + word.upper(), place) for place, word in enumerate(known[option]["words"])]
            if [(row["name"], row["value"]) for row in group["constants"]] != words:
                fail(f"{where}: not the words of option {option}, from 0 on")
