# SPDX-License-Identifier: Apache-2.0
"""What every row of the contract has to do with: names in other languages, and how a bad one is refused."""

from __future__ import annotations

import re
import sys
from typing import Any, NoReturn

Row = dict[str, Any]
ACRONYMS = {"ttl": "TTL", "ca": "CA", "sha256": "SHA256", "tls": "TLS", "url": "URL", "id": "ID"}


def fail(text: str) -> NoReturn:
    sys.exit(f"contract: {text}")


def camel(name: str) -> str:
    """close_timeout -> closeTimeout."""
    first, *rest = re.split(r"[_.-]", name)
    return first + "".join(ACRONYMS.get(part, part[:1].upper() + part[1:]) for part in rest)


def pascal(name: str) -> str:
    """ca_file -> CAFile."""
    return "".join(ACRONYMS.get(part, part[:1].upper() + part[1:]) for part in re.split(r"[_.-]", name))
