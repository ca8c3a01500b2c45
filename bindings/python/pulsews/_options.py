# SPDX-License-Identifier: Apache-2.0
"""Options: keyword arguments here, names and texts in the library, which alone knows ranges and defaults."""

from __future__ import annotations

import ctypes
import difflib
import os
from datetime import timedelta
from decimal import Decimal
from typing import (
    Any,
    Awaitable,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Literal,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    TypedDict,
    Union,
)

from . import _contract, _native
from ._contract import ENOMEM, EOPTION, EUTF8, EVALUE, MESSAGE_OPTIONS
from ._errors import InvalidArgument, PulseError
from ._json import json_text

Duration = Union[int, float, str, timedelta]
"""Seconds as a number, a ``timedelta``, or a text with a unit: ``0.25``, ``"250ms"``, ``"1m"``."""
# What the options that are a choice take.
# generated: choices (tools/generate.py)
PresetName = Literal[
    "alpaca", "binance-futures", "binance-futures-depth", "binance-spot", "binance-spot-depth", "bybit", "coinbase",
    "deribit", "kraken", "okx",
]
StaleAction = Literal["event", "reconnect"]
SequenceRule = Literal["consecutive", "increasing"]
SequenceScope = Literal["feed", "connection"]
SendPolicy = Literal["drop_oldest", "drop_newest", "reject", "block"]
LoginRejectAction = Literal["retry", "stop"]
SubscribeRejectAction = Literal["drop", "reconnect"]
ReceivePolicy = Literal["pause", "drop_oldest", "conflate", "disconnect"]
TLSVersion = Literal["1.2", "1.3"]
# end of choices
Size = Union[int, str]
"""Bytes as a number, or a text with a unit: ``65536``, ``"64KiB"``."""
HeaderLines = Union[Mapping[str, str], Iterable[Tuple[str, str]]]
Text = Union[str, Mapping[str, Any]]
"""A text to send; a mapping stands for its JSON."""
LoginMessage = Union[str, bytes, bytearray, memoryview, Mapping[str, Any]]
LoginResult = Union[None, LoginMessage, Iterable[LoginMessage]]
LoginHook = Callable[..., Union[LoginResult, Awaitable[LoginResult]]]
HeadersResult = Union[None, Mapping[str, Optional[str]], Iterable[Tuple[str, Optional[str]]]]
HeadersHook = Callable[..., Union[HeadersResult, Awaitable[HeadersResult]]]
URLHook = Callable[[], Union[str, Awaitable[str]]]
URL = Union[str, URLHook]
"""Where to connect to; a function is called before every attempt."""


class Options(TypedDict, total=False):
    """What :func:`pulsews.connect`, :func:`pulsews.aio.connect` and :class:`pulsews.WebSocketManager` take by keyword.

    ``None`` stands for the default. :func:`pulsews.option_table` has meanings, defaults and ranges. Durations are
    seconds or texts with a unit, sizes bytes or texts with a unit. Options of type "list" take one text or several; a
    mapping as the text of a message stands for its JSON.

    Two options, and the URL, take a function as well, for what has to be fresh on every connect. Those of the options get
    the client if they have an argument for it:

    ``login``
        is called on every connect and returns what to send first: one message or several (``str``, ``bytes``, or a
        mapping for its JSON), or ``None``. Everything else waits until it was sent (option ``hold_login``).
    ``headers``
        is called before every attempt to connect and returns a mapping of headers to set (``None`` as a value removes
        one), or ``None`` (option ``hold_connect``).
    the URL
        is asked for before every attempt, likewise: ``connect(make_url)``. It must stay with ws or wss as it was.

    In the blocking client the function runs in the thread that is in ``connect()``, ``wait_ready()``, a receiving call
    or ``events()``; so a client that has one must be received from. With asyncio it runs as a task, and may be async.
    An exception in it is raised by ``connect()``; later it is logged, and the attempt fails after ``login_timeout``.
    """

    # generated: options (tools/generate.py)
    # Presets.
    preset: PresetName
    # Connection.
    headers: Union[HeaderLines, HeadersHook]
    subprotocols: Iterable[str]
    open_timeout: Duration
    close_timeout: Duration
    max_message_size: Size
    max_redirects: int
    # Staying connected.
    reconnect: bool
    max_reconnect_attempts: int
    reconnect_base_delay: Duration
    reconnect_max_delay: Duration
    jitter: float
    stable_time: Duration
    restart_delay: Duration
    retry_fatal: bool
    fatal_close_codes: Union[int, str, Iterable[Union[int, str]]]
    # Endpoints.
    endpoints: Union[str, Iterable[str]]
    endpoint_return: Duration
    breaker_failures: int
    breaker_timeout: Duration
    host_connects: int
    host_connect_rate: str
    # Heartbeats and staleness.
    heartbeat_interval: Duration
    heartbeat_timeout: Duration
    heartbeat_message: Text
    heartbeat_reply: Union[Text, Iterable[Text]]
    heartbeat_request: Union[Text, Iterable[Text]]
    heartbeat_answer: Text
    server_heartbeat: Union[Text, Iterable[Text]]
    server_heartbeat_timeout: Duration
    deliver_heartbeats: bool
    stale_timeout: Duration
    stale_action: StaleAction
    key_path: Union[str, Iterable[str]]
    stale_key_timeout: Duration
    # Sequence numbers.
    sequence_path: str
    sequence_previous: str
    sequence_key: Union[str, Iterable[str]]
    sequence_rule: SequenceRule
    sequence_scope: SequenceScope
    # Replacing a connection, and two at a time.
    max_age: Duration
    rotate_on: Union[Text, Iterable[Text]]
    rotation_overlap: Duration
    twin: str
    twin_wait: Duration
    # Outbox and limits.
    message_queue_size: int
    message_queue_bytes: Size
    message_queue_policy: SendPolicy
    message_ttl: Duration
    backlog_interval: Duration
    rate_limit: Union[str, Iterable[str]]
    rate_limit_control: bool
    journal: Union[str, "os.PathLike[str]"]
    journal_size: Size
    # Login and subscriptions.
    login: Union[Text, Iterable[Text], LoginHook]
    login_confirm: Union[Text, Iterable[Text]]
    login_reject: Union[Text, Iterable[Text]]
    login_reject_action: LoginRejectAction
    login_timeout: Duration
    hold_login: bool
    hold_connect: bool
    subscribe_message: Text
    unsubscribe_message: Text
    resume: bool
    subscribe_batch: int
    subscribe_interval: Duration
    subscribe_confirm: Union[Text, Iterable[Text]]
    subscribe_reject: Union[Text, Iterable[Text]]
    subscribe_reject_action: SubscribeRejectAction
    subscribe_timeout: Duration
    # The queue of received messages.
    receive_queue_bytes: Size
    receive_queue_policy: ReceivePolicy
    # Compression.
    compression: bool
    compression_threshold: Size
    compression_context_takeover: bool
    compression_window_bits: int
    # TLS.
    ca_file: Union[str, "os.PathLike[str]"]
    verify: bool
    client_certificate: Union[str, "os.PathLike[str]"]
    client_key: Union[str, "os.PathLike[str]"]
    client_key_password: str
    pin_sha256: Union[str, Iterable[str]]
    tls_min_version: TLSVersion
    server_name: str
    tls_resumption: bool
    # Proxies.
    proxy: str
    proxy_ca_file: Union[str, "os.PathLike[str]"]
    # Other.
    events: bool
    name: str
    # end of options


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
    while _native.lib.pulsews_option_at(len(rows), *references) == _contract.OK:
        rows.append(Option(*((field.value or b"").decode() for field in fields)))
    return rows


class Preset(TypedDict):
    """Options for a known feed, as :func:`presets` gives them."""

    text: str
    """Which feed it is for, and where its facts come from."""
    options: Dict[str, Union[str, List[str]]]
    """What it sets, as keyword arguments; an option that takes several values has a list."""


def presets() -> Dict[str, Preset]:
    """The option sets for known feeds, by the name that option ``preset`` takes."""
    found: Dict[str, Preset] = {}
    fields = [ctypes.c_char_p() for _ in range(3)]
    references = [ctypes.byref(field) for field in fields]
    while _native.lib.pulsews_preset_at(len(found), *references) == _contract.OK:
        name, text, lines = ((field.value or b"").decode() for field in fields)
        options: Dict[str, Union[str, List[str]]] = {}
        for line in lines.splitlines():
            option, _, value = line.partition("=")
            if option in _known and _known[option].type in ("header", "list"):
                several = options.setdefault(option, [])
                if isinstance(several, list):
                    several.append(value)
            else:
                options[option] = value
        found[name] = {"text": text, "options": options}
    return found


_known: Dict[str, Option] = {row.name: row for row in option_table()}


def c_text(value: str, what: str) -> bytes:
    """A text for C; ``what`` names it in the error sentence."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    try:
        text = value.encode()
    except UnicodeEncodeError as problem:
        raise InvalidArgument(
            f"{what} has a lone surrogate at index {problem.start}, which UTF-8 can't express", EUTF8
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


def header_pairs(value: Any, what: str = "option headers", removable: bool = False) -> List[Tuple[str, Any]]:
    """Names and values; with ``removable`` a value may be ``None``."""
    try:
        pairs = list(value.items() if isinstance(value, Mapping) else value)
    except TypeError:
        raise TypeError(
            f"{what} must be a mapping or an iterable of (name, value) pairs, not {type(value).__name__}"
        ) from None
    for index, pair in enumerate(pairs):
        if (
            not isinstance(pair, (tuple, list))
            or len(pair) != 2
            or not isinstance(pair[0], str)
            or not (isinstance(pair[1], str) or (removable and pair[1] is None))
        ):
            # Not what was given, which may be a token.
            raise TypeError(f"{what}: the one at index {index} is not a (name, value) pair of two str")
    return [(name, text) for name, text in pairs]


def _header_lines(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        return
    for name, text in header_pairs(value):
        # The library gets the line as a whole: a colon in the name would move the border between name and value.
        if not name or ":" in name:
            raise InvalidArgument(f"option headers: {name!r} is not a header name", EVALUE)
        yield f"{name}: {text}"


def texts(option: Option, value: Any) -> Iterable[str]:
    """The texts to give to the library one after another for one option."""
    if option.type == "header":
        return _header_lines(value)
    if option.type == "text" and isinstance(value, (bool, int, float)):
        # As a text it would be the name of a file in the working directory, or a message.
        raise TypeError(f"option {option.name} takes a str, not {type(value).__name__}")
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, (int, float)):
        return (_number(value, option.type),)
    if isinstance(value, str):
        return (value,)
    if isinstance(value, timedelta) and option.type == "duration":
        return (f"{value // timedelta(microseconds=1)}us",)
    if isinstance(value, Mapping):
        if option.name in MESSAGE_OPTIONS:
            return (json_text(value),)
    elif hasattr(value, "__fspath__") and option.type == "text":
        return (value.__fspath__(),)
    elif option.type == "list" and not isinstance(value, (bytes, bytearray, memoryview)):
        try:
            several = list(value)
        except TypeError:
            pass
        else:
            if option.name in MESSAGE_OPTIONS:
                return [json_text(one) if isinstance(one, Mapping) else one for one in several]
            if option.name == "fatal_close_codes":
                return [_number(one, "integer") if type(one) is int else one for one in several]
            return several
    raise TypeError(f"option {option.name}: {type(value).__name__} is not a type that it takes ({option.type})")


# What connect() takes besides the library's options.
_KEYWORDS = ("wait", "timeout", "recv_events", "parse_json", "dump_json")


def _unknown(name: str) -> InvalidArgument:
    if name.startswith("on_"):
        hint = ("; callbacks are for WebSocketManager: on_message, on_connect, on_disconnect, on_error, "
                "on_state_change, on_event")
        return InvalidArgument(f"no option has the name {name!r}{hint}", EOPTION)
    # Who writes a part of a name, such as `pin` or `heartbeat`, sees all that have it; likeness is for misspellings.
    parts = name.lower().split("_")
    close = [one for one in _known if all(any(word.startswith(part) for word in one.split("_")) for part in parts)]
    close = close or difflib.get_close_matches(name, [*_known, *_KEYWORDS], n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(sorted(_known))}"
    return InvalidArgument(f"no option has the name {name!r}{hint}", EOPTION)


def is_false(value: Any) -> bool:
    """Whether the library takes the value of a boolean option as false."""
    return str(value).strip().lower() in ("false", "0", "no", "off")


def is_true(value: Any) -> bool:
    return str(value).strip().lower() in ("true", "1", "yes", "on")


class Configuration:
    """A pulsews_config for the time of a ``with`` block; the block gets its handle."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._handle: int = 0

    def __enter__(self) -> int:
        self._handle = _native.lib.pulsews_config_create() or 0
        if not self._handle:
            raise PulseError("there is no memory for a configuration", ENOMEM)
        try:
            # State changes come between the messages, and the client keeps them apart.
            if "events" in _known and self._options.get("events") is None:
                self._set("events", "true")
            for name, value in self._options.items():
                option = _known.get(name)
                if option is None:
                    raise _unknown(name)
                if value is not None:
                    for text in texts(option, value):
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
        if status != _contract.OK:
            raise InvalidArgument(
                why.value.decode("utf-8", "replace"), status, _native.lib.pulsews_error_name(status).decode()
            )
