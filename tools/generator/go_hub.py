# SPDX-License-Identifier: Apache-2.0
"""The hub in the Go package: constants, options in three sets, and what its tests compare with the library."""

from __future__ import annotations

import re

from .contract import Contract
from .go import HEAD, PACKAGE, comment, shim
from .hub import SETS
from .rows import Row, pascal
from .text import LICENSE, MADE, Files

# What the words of a choice begin with in Go: drop_oldest is SlowDropOldest.
PREFIXES = {"SlowPolicy": "Slow", "AuthMode": "Auth", "RouteKind": "Route", "RouteProtocol": "Protocol", "TopicAccess": "Access"}
# Functions of C that a meaning names, and the error.
IN_GO = {"pulsews_hub_next": "Hub.Next", "pulsews_hub_reload": "Hub.Reload", "pulsews_hub_key": "Hub.Key",
         "pulsews_hub_drain": "Hub.Drain", "pulsews_hub_answer": "Hub.Answer", "PULSEWS_EQUEUEFULL": "ErrQueueFull"}
# What is said of calls in C: here a list takes its values in one, and a hub has loops of its own.
NOT_IN_GO = {"; every call adds one, and": ";", "; every call adds one": "", " Every call adds one.": "",
             " A hub that was made with a loop has that one alone.": ""}
# These have a function of their own in native_hub.c.
SHIMS_BY_HAND = ("hub_create", "hub_publish", "hub_publish_batch", "hub_load", "hub_next")


def function(row: Row) -> str:
    return f"With{row['of'].capitalize()}{pascal(row['name'])}"


def event_name(row: Row) -> str:
    return "Hub" + pascal(row["name"]).replace("Http", "HTTP")


def choice_type(row: Row) -> str:
    return str(row["swift"]).partition(":")[2].strip()


def word(row: Row, text: str) -> str:
    return PREFIXES[choice_type(row)] + pascal(text)


def options_by_name(contract: Contract, row: Row) -> dict[str, str]:
    """The functions of the other options of its set."""
    return {other["name"]: function(other) for other in contract.hub.of(row["of"]) if other is not row}


def in_go(contract: Contract, row: Row, text: str) -> str:
    """A meaning, with the names that Go has, and without the marks of Markdown."""
    others = options_by_name(contract, row)
    events = {event["name"]: event_name(event) for event in contract.hub.events}

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if found := others.get(name) or (events.get(name) if row["name"] in ("events", "kind") else None):
            return found
        return name if re.fullmatch(r"[\w.]+", name) else f'"{name}"'

    for name, found in IN_GO.items():
        text = re.sub(rf"`?\b{name}\b`?", found, text)
    for other, found in NOT_IN_GO.items():
        text = text.replace(other, found)
    text = re.sub(r"(?<!message )`([^`]+)`", replace, text).replace("`", "")
    return re.sub(r"\b[a-z]+_\w+\b", lambda match: others.get(match[0], match[0]), text)


def documentation(contract: Contract, row: Row) -> str:
    kind, text = row["kind"], f"{function(row)} sets option {row['name']} of a {row['of']}. {in_go(contract, row, row['meaning'])}"
    if kind == "size":
        text += " In bytes."
    if kind in ("duration", "size", "integer", "text") or (kind == "list" and row["form"] != "word"):
        text += f" Allowed: {row['allowed']}."
    if row["default"]:
        text += f" Default: {word(row, row['default']) if kind == 'choice' else row['default']}."
    return comment(text)


def choice(row: Row) -> str:
    name, names = choice_type(row), [word(row, one) for one in row["words"]]
    width = max(map(len, names))
    article = "An" if name[0] in "AEIO" else "A"
    text = f"// {article} {name} is a value of {function(row)}.\ntype {name} string\n\nconst (\n"
    text += "".join(f'\t{one.ljust(width)} {name} = "{value}"\n' for one, value in zip(names, row["words"]))
    return text + ")\n\n"


def option(contract: Contract, row: Row) -> str:
    name, kind, before = row["name"], row["kind"], ""
    if kind == "choice":
        before, arguments, body = choice(row), f"value {choice_type(row)}", f'WithOption("{name}", string(value))'
    elif kind == "list" and row["form"] == "word":
        arguments, body = "kinds ...HubEventKind", f'withKinds("{name}", kinds)'
    else:
        arguments, body = {
            "duration": ("d time.Duration", f'withDuration("{name}", d)'),
            "size": ("bytes int64", f'withInteger("{name}", bytes)'),
            "integer": ("n int", f'withInteger("{name}", int64(n))'),
            "boolean": ("on bool", f'withBoolean("{name}", on)'),
            "list": ("values ...string", f'withList("{name}", values)'),
            "text": ("value string", f'WithOption("{name}", value)'),
        }[kind]
    kind_of_option = f"{row['of'].capitalize()}Option"
    head = f"func {function(row)}({arguments}) {kind_of_option} {{\n"
    return f"{before}{documentation(contract, row)}{head}\treturn {kind_of_option}({body})\n}}\n"


def events(contract: Contract) -> str:
    names = [event_name(row) for row in contract.hub.events]
    width = max(map(len, names))
    text = "// A HubEventKind says what has happened.\ntype HubEventKind uint32\n\nconst (\n"
    for number, (name, row) in enumerate(zip(names, contract.hub.events), 1):
        meaning = in_go(contract, {"of": "hub", "name": row["name"]}, row["meaning"]).rstrip(".")
        text += f"\t{name.ljust(width)} HubEventKind = {str(number).ljust(2)} // {meaning[0].lower() + meaning[1:]}\n"
    text += ")\n\nvar hubEventNames = map[HubEventKind]string{\n"
    text += "".join(f'\t{name + ":":{width + 1}} "{row["name"]}",\n' for name, row in zip(names, contract.hub.events))
    return text + "}\n"


def states_of(contract: Contract) -> list[Row]:
    group, = (group for group in contract.hub.groups if group["name"] == "topic states")
    return list(group["constants"])


def states(contract: Contract) -> str:
    rows = states_of(contract)
    names = [pascal(row["name"].lower()) for row in rows]
    width = max(map(len, names))
    text = "// A TopicState says how fresh a topic is, apart from any connection.\ntype TopicState int32\n\nconst (\n"
    for name, row in zip(names, rows):
        text += f"\t{name.ljust(width)} TopicState = {row['value']} // {row['meaning'].replace('stale_after', 'WithTopicStaleAfter')}\n"
    text += ")\n\nvar topicStateNames = map[TopicState]string{\n"
    text += "".join(f'\t{name + ":":{width + 1}} "{row["name"].removeprefix("TOPIC_").lower()}",\n' for name, row in zip(names, rows))
    return text + "}\n"


def policies(contract: Contract) -> str:
    """Of event slow."""
    group, = (group for group in contract.hub.groups if group.get("words_of") == "slow_policy")
    text = "// slowPolicies has the policies by their numbers.\nvar slowPolicies = map[int]SlowPolicy{\n"
    for row in group["constants"]:
        text += f"\t{row['value']}: Slow{pascal(row['name'].removeprefix('HUB_').lower())},\n"
    return text + "}\n"


def module(contract: Contract) -> str:
    text = f"{HEAD}\nimport \"time\"\n\n{events(contract)}\n{states(contract)}\n{policies(contract)}"
    for of in SETS:
        text += f"\n// ---- Options of a {of}\n"
        for row in contract.hub.of(of):
            text += "\n" + option(contract, row)
    return text


def example(row: Row) -> str:
    """A value that the option takes."""
    kind = row["kind"]
    if kind == "boolean":
        return "true" if row["default"] == "false" else "false"
    if kind == "choice":
        return word(row, row["words"][-1])
    if kind in ("duration", "size", "integer"):
        return str(row["least"] if row["least"] > 0 else row["greatest"])
    return "HubConnected" if row["form"] == "word" else f"`{row['example']}`"


def tests(contract: Contract) -> str:
    text = HEAD
    for of in SETS:
        rows = contract.hub.of(of)
        width = max(len(function(row)) for row in rows) + 3
        text += f"\n// What each option function of a {of} sets, with a value that its option takes.\n"
        text += f"var {of}OptionFunctions = map[string]{of.capitalize()}Option{{\n"
        for row in rows:
            entry = f'"{function(row)}":'
            text += f"\t{entry.ljust(width)} {function(row)}({example(row)}),\n"
        text += "}\n"
    names = [event_name(row) + ":" for row in contract.hub.events]
    width = max(map(len, names))
    text += "\n// What each event fills, by the names of the contract.\nvar hubEventKeys = map[HubEventKind][]string{\n"
    for name, row in zip(names, contract.hub.events):
        keys = ", ".join(f'"{key["name"]}"' for key in row["keys"])
        text += f"\t{name.ljust(width)} {{{keys}}},\n"
    text += "}\n\n// The statistics, in the order of the library.\nvar hubStatisticNames = []string{\n"
    return text + "".join(f'\t"{row["name"]}",\n' for row in contract.hub.statistics) + "}\n"


def functions(contract: Contract) -> str:
    rows = [row for row in contract.hub.functions if row["name"].removeprefix("pulsews_") not in SHIMS_BY_HAND]
    text = f"/* {LICENSE}\n *\n * {MADE}\n */\n#ifndef PULSEGO_HUB_FUNCTIONS_H\n#define PULSEGO_HUB_FUNCTIONS_H\n\n"
    return f'{text}#include "functions.h"\n\n{"".join(map(shim, rows))}\n#endif\n'


def pulse(contract: Contract) -> str:
    text = "// Code generated by tools/generate.py from contract/. DO NOT EDIT.\n"
    text += f"// {LICENSE}\n\npackage pulse\n\n"
    text += "// A State says how fresh a topic is, apart from any connection.\ntype State string\n\nconst (\n"
    rows = [(row["name"].removeprefix("TOPIC_").lower(), row["meaning"]) for row in states_of(contract)]
    width = max(len(name) for name, _ in rows)
    for name, meaning in rows:
        text += f'\tState{pascal(name).ljust(width)} State = {(chr(34) + name + chr(34)).ljust(width + 2)} // {meaning}\n'
    return text + ")\n"


def files(contract: Contract) -> Files:
    yield f"{PACKAGE}/hub_contract.go", module(contract)
    yield f"{PACKAGE}/hub_contract_test.go", tests(contract)
    yield f"{PACKAGE}/hub_functions.h", functions(contract)
    yield f"{PACKAGE}/pulse/contract.go", pulse(contract)
