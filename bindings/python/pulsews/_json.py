# SPDX-License-Identifier: Apache-2.0
"""JSON of messages, both ways, with the functions of the application if it has its own."""

from __future__ import annotations

import json
import math
from time import monotonic
from typing import Any, Callable, Mapping, Optional, Union

from ._errors import InvalidArgument
from ._log import logger

Loads = Callable[[str], Any]
Dumps = Callable[[Any], Union[str, bytes]]
ParseJson = Union[bool, Loads]

# A function that fails on each message is told of so often, in seconds.
_PAUSE = 10.0


def json_text(value: Any) -> str:
    """The JSON of a message. What JSON has no word for is refused: the server would not take it."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError as problem:
        # The other cause is a value that holds itself, which is not to be walked through.
        what = _what(value) if "range" in str(problem) else "the message"
        raise InvalidArgument(f"{what} can't be sent as JSON: {problem}") from None


def _what(value: Any, path: str = "") -> str:
    """Where the number is that JSON does not have; the whole message may hold secrets."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value!r} at {path or 'the top'}"
    if isinstance(value, Mapping):
        rows = [(f"{path}[{key!r}]", one) for key, one in value.items()]
    elif isinstance(value, (list, tuple)):
        rows = [(f"{path}[{index}]", one) for index, one in enumerate(value)]
    else:
        rows = []
    for place, one in rows:
        found = _what(one, place)
        if found:
            return found
    return "" if path else "the message"


def encoder(dump_json: Optional[Dumps]) -> Dumps:
    if dump_json is None:
        return json_text
    if not callable(dump_json):
        raise InvalidArgument(
            f"dump_json is {dump_json!r}; allowed are None and a function that gives the JSON of a value as str or bytes"
        )
    return dump_json


def decoder(parse_json: ParseJson) -> Optional[Loads]:
    """What turns a received text into what the application gets; ``None`` leaves texts alone."""
    if parse_json is False:
        return None
    if parse_json is not True and not callable(parse_json):
        raise InvalidArgument(
            f"parse_json is {parse_json!r}; allowed are True, False and a function that takes a str, such as json.loads"
        )
    loads: Loads = json.loads if parse_json is True else parse_json
    told = -math.inf

    def decode(text: str) -> Any:
        nonlocal told
        if text.lstrip(" \t\r\n")[:1] not in ("{", "["):
            return text
        try:
            return loads(text)
        except (ValueError, RecursionError):
            return text
        except Exception as problem:
            # The message is not lost with it.
            if monotonic() - told >= _PAUSE:
                told = monotonic()
                logger.error("the function parse_json failed; messages are given as text", exc_info=problem)
            return text

    return decode
