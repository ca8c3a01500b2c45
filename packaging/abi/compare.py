# SPDX-License-Identifier: Apache-2.0
"""What became of the promises of a release: sentences on what is broken, and on what was added.

Broken is whatever a program may rely on that was compiled with the release's headers. Every struct is frozen, as none carries
its size: it keeps its size and its members in their places. Only the bytes of a member whose name begins with "reserved",
which are 0 until they have a meaning, may become other members.
"""
from __future__ import annotations

from typing import Any, Iterator, NamedTuple

Layout = dict[str, Any]


class Findings(NamedTuple):
    broken: list[str]
    added: list[str]


def reserved(layout: Layout) -> list[tuple[int, int]]:
    """Places (first byte, byte behind the last) that may be used."""
    return [(place, place + size) for name, (place, size, _) in layout["members"].items() if name.startswith("reserved")]


def placed(member: list[Any]) -> str:
    place, size, kind = member
    return f"{kind} at {place}" + (f" ({size} bytes)" if "[" in kind else "")


def structs(name: str, old: Layout, new: Layout, found: Findings) -> None:
    if new["size"] != old["size"]:
        found.broken.append(f"struct {name} had {old['size']} bytes, and has {new['size']}")
    room = reserved(old)
    for member, was in old["members"].items():
        now = new["members"].get(member)
        if member.startswith("reserved"):
            continue
        if now is None:
            found.broken.append(f"struct {name} has lost its member {member}, {placed(was)}")
        elif now != was:
            found.broken.append(f"struct {name}: member {member} was {placed(was)}, and is {placed(now)}")
    for member, now in new["members"].items():
        place, size, _ = now
        is_in_room = isinstance(place, int) and any(start <= place and place + size <= end for start, end in room)
        if member.startswith("reserved"):
            if not is_in_room:
                found.broken.append(f"struct {name}: {member}, {placed(now)}, is where nothing was reserved")
        elif member not in old["members"]:
            if is_in_room:
                found.added.append(f"struct {name}: member {member}, {placed(now)}, in what was reserved")
            else:
                found.broken.append(f"struct {name} has the new member {member}, {placed(now)}, where nothing was reserved")


def types(old: dict[str, Any], new: dict[str, Any], found: Findings) -> None:
    for name, was in old.items():
        now = new.get(name)
        if now is None:
            found.broken.append(f"type {name} is gone")
        elif isinstance(was, dict) and isinstance(now, dict):
            structs(name, was, now, found)
        elif was == "opaque" and isinstance(now, dict):
            found.added.append(f"struct {name} is laid open, with {now['size']} bytes")
        elif was != now:
            before, after = (f"a struct of {one['size']} bytes" if isinstance(one, dict) else one for one in (was, now))
            found.broken.append(f"type {name} was {before}, and is {after}")
    found.added.extend(f"type {name}" for name in new if name not in old)


def names(word: str, place: str, old: list[str], new: list[str]) -> Iterator[tuple[bool, str]]:
    yield from ((True, f"{word} {name} is gone from {place}") for name in old if name not in new)
    yield from ((False, f"{word} {name}") for name in new if name not in old)


def compare(old: dict[str, Any], new: dict[str, Any]) -> Findings:
    found = Findings([], [])
    if new["soname"] != old["soname"]:
        found.broken.append(f"the soname was {old['soname']}, and is {new['soname']}: programs of the release load another file")
    tables = [("function", "the headers", "functions"), ("constant", "the headers", "constants"), ("macro", "the headers", "macros")]
    for word, place, key in tables:
        for is_broken, sentence in names(word, place, list(old[key]), list(new[key])):
            (found.broken if is_broken else found.added).append(sentence)
        found.broken.extend(f"{word} {name} was {was}, and is {new[key][name]}"
                            for name, was in old[key].items() if name in new[key] and new[key][name] != was)
    for is_broken, sentence in names("symbol", "the library", old["exports"], new["exports"]):
        (found.broken if is_broken else found.added).append(sentence)
    types(old["types"], new["types"], found)
    return found
