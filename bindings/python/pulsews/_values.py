# SPDX-License-Identifier: Apache-2.0
"""Arguments of calls: checked, and turned into what the library takes."""

from __future__ import annotations

import ctypes
import operator
import sys
from array import array
from datetime import timedelta
from typing import Any, Iterable, List, Mapping, Optional, Tuple, Union

from . import _contract, _native
from ._contract import EUTF8
from ._errors import InvalidArgument
from ._json import Dumps, json_text
from ._options import c_text

Sendable = Union[str, bytes, bytearray, memoryview, Mapping[str, Any], List[Any], Tuple[Any, ...]]
"""``str`` goes out as text, bytes and their like as binary, a mapping, list or tuple as its JSON."""
Seconds = Union[int, float, timedelta]
"""A time: a number of seconds, or a ``timedelta``."""

# One foreign call never takes more; it bounds the memory that a batch may have.
BATCH_LIMIT = 65536
# Kind and flags share the third word of a message.
KIND_SHIFT = 32 if sys.byteorder == "big" else 0


def nanoseconds(timeout: Optional[Seconds], what: str = "timeout") -> int:
    """Seconds as the library takes them: nanoseconds, negative for no end."""
    if timeout is None:
        return _native.FOREVER
    if timeout.__class__ is timedelta:
        timeout = timeout.total_seconds()
    try:
        scaled = timeout * 1e9
    except (TypeError, OverflowError):
        scaled = None
    if isinstance(scaled, float):
        if 0 <= scaled < 9.2e18:
            return int(scaled)
    elif not isinstance(timeout, int):
        raise TypeError(f"{what} must be a number of seconds, a timedelta or None, not {type(timeout).__name__}")
    raise InvalidArgument(
        f"{what} is {timeout!r}; allowed are None for no limit, or seconds from 0 to 9.2e9"
    )


def span(timeout: Optional[Seconds]) -> str:
    """A time-out in a sentence."""
    return f"{nanoseconds(timeout) / 1e9:g} s"


def count(value: Any, what: str = "max") -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be an int, not {type(value).__name__}") from None
    if number < 1:
        raise InvalidArgument(f"{what} is {number}; allowed is 1 and more")
    return number if number < BATCH_LIMIT else BATCH_LIMIT


def payload(data: Sendable, dumps: Dumps = json_text) -> Tuple[int, bytes]:
    """Kind and bytes of a message to send."""
    if isinstance(data, str):
        try:
            return _contract.TEXT, data.encode()
        except UnicodeEncodeError as problem:
            raise InvalidArgument(
                f"the text to send has a lone surrogate at index {problem.start}, which UTF-8 can't express",
                EUTF8,
            ) from None
    if isinstance(data, bytes):
        return _contract.BINARY, data
    if isinstance(data, (bytearray, memoryview)):
        # A copy: others may change or resize it while the call runs without the interpreter lock.
        return _contract.BINARY, bytes(data)
    if isinstance(data, (Mapping, list, tuple)):
        text = dumps(data)
        if isinstance(text, bytes):
            return _contract.TEXT, text
        if isinstance(text, str):
            return payload(text)
        raise TypeError(f"dump_json must give str or bytes, not {type(text).__name__}")
    raise TypeError(
        f"a message must be str, bytes, bytearray or memoryview, or a mapping or list for its JSON, not {type(data).__name__}"
    )


def control_payload(data: Sendable) -> bytes:
    """The bytes of a ping."""
    if not isinstance(data, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"the message of a ping must be str, bytes, bytearray or memoryview, not {type(data).__name__}")
    body = payload(data)[1]
    if len(body) > 125:
        raise InvalidArgument(f"a ping of {len(body)} bytes is too long; at most 125 are allowed (RFC 6455 §5.5)")
    return body


def time_to_live(ttl: Optional[Seconds]) -> int:
    """As the library takes it: nanoseconds, 0 for what option ``message_ttl`` says, negative for no end."""
    if ttl is None:
        return 0
    if ttl == float("inf"):
        return _native.FOREVER
    ns = nanoseconds(ttl, "ttl")
    if ns == 0:
        raise InvalidArgument("ttl is 0; allowed are seconds above 0, inf for no end, or None for option message_ttl")
    return ns


def send_flags(live_only: bool, report: bool, in_limit: bool, first: bool) -> int:
    return (
        (_contract.LIVE_ONLY if live_only else 0)
        | (_contract.REPORT if report else 0)
        | (_contract.IN_LIMIT if in_limit else 0)
        | (_contract.FIRST if first else 0)
    )


def text_or_json(value: Any, what: str, dumps: Dumps = json_text) -> Optional[bytes]:
    """A text for C: as it is, or the JSON of a mapping or list."""
    if value is None:
        return None
    if isinstance(value, (Mapping, list)):
        value = dumps(value)
        if isinstance(value, bytes):
            value = value.decode()
    return c_text(value, what)


def login_messages(value: Any, dumps: Dumps = json_text) -> List[Tuple[int, bytes]]:
    """Kind and bytes of each message that a login function has returned."""
    if value is None:
        return []
    if isinstance(value, (str, bytes, bytearray, memoryview, Mapping)):
        value = [value]
    try:
        several = list(value)
    except TypeError:
        raise TypeError(
            f"a login must be a message, an iterable of messages, or None, not {type(value).__name__}"
        ) from None
    return [payload(one, dumps) for one in several]


class MessageArray:
    """Messages to send as an array of pulsews_message."""

    def __init__(self, messages: Iterable[Sendable], dumps: Dumps = json_text) -> None:
        if isinstance(messages, (str, bytes, bytearray, memoryview, Mapping)):
            raise TypeError(f"messages must be an iterable of messages, not {type(messages).__name__}")
        parts = [payload(message, dumps) for message in messages]
        # They have to live as long as the pointers to them.
        self._bodies = [body for _, body in parts]
        self.count = len(parts)
        words = array("Q", bytes(_native.MESSAGE.size * self.count))
        words[0::_native.MESSAGE_WORDS] = array("Q", bytes((ctypes.c_char_p * self.count)(*self._bodies)))
        words[1::_native.MESSAGE_WORDS] = array("Q", map(len, self._bodies))
        words[2::_native.MESSAGE_WORDS] = array("Q", [kind << KIND_SHIFT for kind, _ in parts])
        self._words = words

    def at(self, index: int) -> int:
        """The address of one of them."""
        return self._words.buffer_info()[0] + index * _native.MESSAGE.size
