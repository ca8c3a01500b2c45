# SPDX-License-Identifier: Apache-2.0
"""What the Debian packages say of the contract: the symbols of the library, and the options in the daemon's manual page."""

from __future__ import annotations

import re

from .contract import Contract
from .hub import SETS
from .text import LICENSE, MADE, Files

FOLDER = "packaging/debian"


def symbols(contract: Contract) -> str:
    """Every export with the version that brought it, as dpkg-gensymbols compares them."""
    version = f"PULSEWS_{contract.version[0]}"
    rows = {row["name"]: row["since"] for row in (*contract.functions, *contract.hub.functions)}
    lines = "".join(f" {name}@{version} {rows[name]}\n" for name in sorted(rows))
    return f"# {LICENSE}\n# {MADE}\nlibpulsews.so.0 libpulsews0 #MINVER#\n* Build-Depends-Package: libpulsews-dev\n{lines}"


def roff(text: str) -> str:
    """A text of the contract, in one line of a manual page."""
    text = re.sub(r"`([^`]*)`", r"\1", text).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text[:1] in (".", "'") else text


def options(contract: Contract, of: str) -> str:
    text = ".Bl -tag -width Ds\n"
    for row in contract.hub.of(of):
        default = f", unless set {row['default']}" if row["default"] else ""
        text += f".It Cm {row['name']}\n" + roff(f"{row['kind']}{default}: {row['allowed']}.") + "\n"
    return text + ".El\n"


def files(contract: Contract) -> Files:
    yield f"{FOLDER}/libpulsews0.symbols", symbols(contract)
    for of in SETS:
        yield f"{FOLDER}/pulsews-hub.toml.5#{of} options", options(contract, of)
