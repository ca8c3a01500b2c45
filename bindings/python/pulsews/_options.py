# SPDX-License-Identifier: Apache-2.0
"""Options: keyword arguments here, names and texts in the library, which alone knows ranges and defaults."""

from __future__ import annotations

import ctypes
import difflib
from decimal import Decimal
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Tuple, TypedDict, Union

from . import _native
from ._errors import InvalidArgument, PulseError

Duration = Union[int, float, str]
"""Seconds as a number, or a text with a unit: ``0.25``, ``"250ms"``, ``"1m"``."""
Size = Union[int, str]
"""Bytes as a number, or a text with a unit: ``65536``, ``"64KiB"``."""
HeaderLines = Union[Mapping[str, str], Iterable[Tuple[str, str]]]


class Options(TypedDict, total=False):
    """What :func:`pulsews.connect` and :func:`pulsews.aio.connect` take by keyword. ``None`` stands for the default."""

    headers: HeaderLines
    subprotocols: Iterable[str]
    open_timeout: Duration
    close_timeout: Duration
    heartbeat_interval: Duration
    heartbeat_timeout: Duration
    max_message_size: Size
    compression: bool
    compression_threshold: Size
    compression_context_takeover: bool
    compression_window_bits: int
    ca_file: str
    verify: bool
    message_queue_size: int
    message_queue_bytes: Size
    receive_queue_bytes: Size
    events: bool
    reconnect: bool


class Option(NamedTuple):
    """One row of the library's option table."""

    name: str
    type: str
    default: str
    range: str
    meaning: str


def option_table() -> List[Option]:
    """Every option that the loaded library knows, with type, default, allowed range and meaning."""
    rows: List[Option] = []
    fields = [ctypes.c_char_p() for _ in range(5)]
    references = [ctypes.byref(field) for field in fields]
    while _native.lib.pulsews_option_at(len(rows), *references) == _native.OK:
        rows.append(Option(*((field.value or b"").decode() for field in fields)))
    return rows


_known: Dict[str, Option] = {row.name: row for row in option_table()}


def c_text(value: str, what: str) -> bytes:
    """A text for C; ``what`` names it in the error sentence."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    try:
        text = value.encode()
    except UnicodeEncodeError as problem:
        raise InvalidArgument(
            f"{what} has a lone surrogate at index {problem.start}, which UTF-8 can't express", -104, "PULSEWS_EUTF8"
        ) from None
    if b"\0" in text:
        raise InvalidArgument(f"{what} has a NUL character at index {value.index(chr(0))}, which is not allowed")
    return text


def _number(value: Union[int, float], kind: str) -> str:
    if isinstance(value, float):
        if kind in ("size", "integer") and value.is_integer():
            return str(int(value))
        if value == value and abs(value) != float("inf"):
            return format(Decimal(repr(value)), "f")
    return str(value)


def _header_lines(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        return
    try:
        pairs = list(value.items() if isinstance(value, Mapping) else value)
    except TypeError:
        raise TypeError(
            f"option headers must be a mapping or an iterable of (name, value) pairs, not {type(value).__name__}"
        ) from None
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise TypeError(f"option headers: {pair!r} is not a (name, value) pair of two str")
        name, text = pair
        # The library gets the line as a whole: a colon in the name would move the border between name and value.
        if not name or ":" in name:
            raise InvalidArgument(f"option headers: {name!r} is not a header name", -102, "PULSEWS_EVALUE")
        yield f"{name}: {text}"


def _texts(option: Option, value: Any) -> Iterable[str]:
    """The texts to give to the library one after another for one option."""
    if option.type == "header":
        return _header_lines(value)
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, (int, float)):
        return (_number(value, option.type),)
    if isinstance(value, str):
        return (value,)
    if hasattr(value, "__fspath__") and option.type == "text":
        return (value.__fspath__(),)
    if option.type == "list":
        try:
            return list(value)
        except TypeError:
            pass
    raise TypeError(f"option {option.name}: {type(value).__name__} is not a type that it takes ({option.type})")


def _unknown(name: str) -> InvalidArgument:
    close = difflib.get_close_matches(name, _known, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(sorted(_known))}"
    return InvalidArgument(f"no option has the name {name!r}{hint}", -101, "PULSEWS_EOPTION")


class Configuration:
    """A pulsews_config for the time of a ``with`` block; the block gets its handle."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._handle: int = 0

    def __enter__(self) -> int:
        self._handle = _native.lib.pulsews_config_create() or 0
        if not self._handle:
            raise PulseError("there is no memory for a configuration", -701, "PULSEWS_ENOMEM")
        try:
            # State changes come between the messages, and the client keeps them apart.
            if "events" in _known and self._options.get("events") is None:
                self._set("events", "true")
            for name, value in self._options.items():
                option = _known.get(name)
                if option is None:
                    raise _unknown(name)
                if value is not None:
                    for text in _texts(option, value):
                        self._set(name, text)
        except BaseException:
            self.__exit__()
            raise
        return self._handle

    def __exit__(self, *_: object) -> None:
        handle, self._handle = self._handle, 0
        _native.lib.pulsews_config_free(handle)

    def _set(self, name: str, value: str) -> None:
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        text = c_text(value, f"option {name}")
        status = _native.lib.pulsews_config_set(self._handle, name.encode(), text, why, _native.ERROR_SIZE)
        if status != _native.OK:
            raise InvalidArgument(
                why.value.decode("utf-8", "replace"), status, _native.lib.pulsews_error_name(status).decode()
            )
