#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes from contract/ what follows from it: tables, types and shims of all languages, the header's constants, and the
tables of the reference pages.

    tools/generate.py           writes what differs
    tools/generate.py --check   writes nothing; fails if something differs

A file that is made as a whole says so in its first lines. In others a part is made, between two markers.
"""

from __future__ import annotations

import pathlib
import re
import sys

from generator import (
    cpp,
    debian,
    docs,
    go,
    go_hub,
    header,
    hub_header,
    hub_swift,
    hub_tests,
    packed,
    python,
    python_hub,
    swift,
    swift_options,
    web,
)
from generator.contract import ROOT, Contract

MAKERS = (swift, swift_options, header, python, go, docs, hub_swift, hub_header, hub_tests, python_hub, packed, go_hub, web, cpp, debian)


def with_part(path: pathlib.Path, name: str, text: str) -> str:
    """The file with another text between the markers of that name."""
    pattern = re.compile(rf"(^[^\n]*generated: {re.escape(name)}\b[^\n]*\n).*?(^[^\n]*end of {re.escape(name)}\b)", re.M | re.S)
    old = path.read_text()
    new, count = pattern.subn(lambda match: match[1] + text + match[2], old)
    if count != 1:
        sys.exit(f"{path}: {count} places with the markers 'generated: {name}' and 'end of {name}', not one")
    return new


def main() -> None:
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit("usage: tools/generate.py [--check]")
    contract, stale, made = Contract(), [], set()
    for maker in MAKERS:
        for name, text in maker.files(contract):
            place, _, part = name.partition("#")
            path = ROOT / place
            if part:
                text = with_part(path, part, text)
            made.add(place)
            if path.exists() and path.read_text() == text:
                continue
            stale.append(name)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    # The Go module brings copies along.
    for name in ("pulsews.h", "pulsews_hub.h"):
        header, copy = ROOT / "include" / name, ROOT / "bindings" / "go" / name
        if not copy.exists() or copy.read_bytes() != header.read_bytes():
            stale.append(f"bindings/go/{name}")
            if not check:
                copy.write_bytes(header.read_bytes())
    # A file that nothing makes any more would be compiled for ever.
    for path in sorted((*ROOT.glob("Sources/*/Generated/*.swift"), *ROOT.glob("Tests/*/Generated/*.swift"))):
        if str(path.relative_to(ROOT)) not in made:
            stale.append(str(path.relative_to(ROOT)))
            if not check:
                path.unlink()
    if check and stale:
        sys.exit(f"not as the contract says: {', '.join(stale)}; run make generate")
    print(f"generated: {', '.join(stale) if stale else 'nothing had changed'}")


if __name__ == "__main__":
    main()
