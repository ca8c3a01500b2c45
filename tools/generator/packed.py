# SPDX-License-Identifier: Apache-2.0
"""Tables of texts that are deflated in the library: Sources/CPulseTexts."""

from __future__ import annotations

import re
import textwrap
import zlib
from collections.abc import Iterable

from . import hub_swift, swift, swift_options
from .contract import ROOT, Contract
from .text import LICENSE, MADE, Files

PLACE = "Sources/CPulseTexts/packed.c"


def packed_names(contract: Contract) -> list[tuple[str, Iterable[Iterable[str]]]]:
    """Each table with its rows, by the names that CPulseTexts.h gives them."""
    hub = contract.hub
    return [
        ("errors", map(swift.error_cells, contract.errors)),
        ("options", map(swift_options.detail, contract.options)),
        ("presets", map(swift.preset_cells, contract.presets)),
        ("statistics", map(swift.statistic_cells, contract.statistics)),
        ("hub_options", map(hub_swift.cells, hub.of("hub"))),
        ("route_options", map(hub_swift.cells, hub.of("route"))),
        ("topic_options", map(hub_swift.cells, hub.of("topic"))),
        ("hub_statistics", map(hub_swift.statistic_cells, hub.statistics)),
        ("feed_maps", map(hub_swift.map_cells, hub.maps)),
    ]


def present() -> dict[str, bytes]:
    """The tables as they lie there. Another version of zlib deflates to other bytes, which change nothing."""
    path = ROOT / PLACE
    found = re.findall(r"static const uint8_t (\w+)\[\] = \{(.*?)\};", path.read_text() if path.exists() else "", re.S)
    return {name: bytes(map(int, re.findall(r"\d+", numbers))) for name, numbers in found}


def inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompress(packed)
    except zlib.error:
        return b""


def files(contract: Contract) -> Files:
    text = f'/* {LICENSE}\n * {MADE} */\n#include "packed.h"\n\n'
    rows = ""
    old = present()
    for name, cells in packed_names(contract):
        texts = "".join(cell + "\0" for row in cells for cell in row).encode()
        packed = old.get(name, b"")
        if inflated(packed) != texts:
            packed = zlib.compress(texts, 9)
        numbers = textwrap.fill(",".join(map(str, packed)).replace(",", ", "), 118, initial_indent="    ", subsequent_indent="    ")
        text += f"static const uint8_t {name}[] = {{\n{numbers.replace(', ', ',')}}};\n"
        rows += f"    [PULSE_TEXTS_{name.upper()}] = {{{name}, sizeof {name}, {len(texts)}}},\n"
    yield PLACE, f"{text}\nconst struct packed pulse_packed[PULSE_TEXTS_COUNT] = {{\n{rows}}};\n"
