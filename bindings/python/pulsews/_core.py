# SPDX-License-Identifier: Apache-2.0
"""What the blocking and the asyncio client share: the handles, looking at a client, and turning batches into lists."""

from __future__ import annotations

import atexit
import ctypes
import json
import operator
import os
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from io import BytesIO
from typing import Any, Callable, Deque, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from . import _native
from ._errors import ConnectionClosed, HandshakeError, Headers, InvalidArgument, PulseError, class_of
from ._options import Configuration, c_text

Data = Union[str, bytes]
"""A received message: ``str`` for text, ``bytes`` for binary."""
Sendable = Union[str, bytes, bytearray, memoryview]
"""``str`` goes out as text, the others as binary."""

STATES = ("disconnected", "connecting", "connected", "reconnecting", "error")
# A call for one message takes up to so many from the library and keeps the rest for the next calls.
PREFETCH = 64
# Events wait for events() in a bounded queue, so that ignoring them costs nothing.
EVENTS_KEPT = 1000
# One foreign call never takes more; it bounds the memory that a batch may have.
BATCH_LIMIT = 65536
# Close codes after which iterating just ends. 1005: a close frame without a code.
ORDERLY = frozenset((1000, 1001, 1005))

_lib = _native.lib
_recv_batch = _native.recv_batch
_traits = _native.quick.pulsews_batch_traits
_string_at = ctypes.string_at
# Windows on the library's memory, larger than what is there: only what a batch really has is ever read.
_WORDS = ctypes.c_uint64 * (_native.MESSAGE_WORDS * BATCH_LIMIT)
_BYTES = ctypes.c_char * (1 << 46)
# Kind and flags share the third word of a message.
_KIND_SHIFT = 32 if sys.byteorder == "big" else 0


class Message(NamedTuple):
    """A received message with what is known about it."""

    data: Data
    """The payload: ``str`` for text, ``bytes`` for binary."""
    kind: str
    """``"text"`` or ``"binary"``."""
    received_ns: int
    """When its last bytes were read from the network: nanoseconds since 1970-01-01T00:00:00Z, as ``time.time_ns()``."""
    sequence: int
    """1, 2, 3 ... over everything that the client received; events of the connection have numbers, too."""
    ascii: bool
    """Whether a text is of ASCII only."""
    compressed: bool
    """Whether it arrived compressed."""


Held = Union[str, bytes, Message]


def status_name(status: int) -> str:
    return str(_lib.pulsews_error_name(status).decode())


def nanoseconds(timeout: Optional[float], what: str = "timeout") -> int:
    """Seconds as the library takes them: nanoseconds, negative for no end."""
    if timeout is None:
        return _native.FOREVER
    try:
        scaled = timeout * 1e9
    except (TypeError, OverflowError):
        scaled = None
    if isinstance(scaled, float):
        if 0 <= scaled < 9.2e18:
            return int(scaled)
    elif not isinstance(timeout, int):
        raise TypeError(f"{what} must be a number of seconds or None, not {type(timeout).__name__}")
    raise InvalidArgument(
        f"{what} is {timeout!r}; allowed are None for no limit, or seconds from 0 to 9.2e9", -100, "PULSEWS_EINVAL"
    )


def count(value: Any, what: str = "max") -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be an int, not {type(value).__name__}") from None
    if number < 1:
        raise InvalidArgument(f"{what} is {number}; allowed is 1 and more")
    return number if number < BATCH_LIMIT else BATCH_LIMIT


def payload(data: Sendable) -> Tuple[int, bytes]:
    """Kind and bytes of a message to send."""
    if isinstance(data, str):
        try:
            return _native.TEXT, data.encode()
        except UnicodeEncodeError as problem:
            raise InvalidArgument(
                f"the text to send has a lone surrogate at index {problem.start}, which UTF-8 can't express",
                -104,
                "PULSEWS_EUTF8",
            ) from None
    if isinstance(data, bytes):
        return _native.BINARY, data
    if isinstance(data, (bytearray, memoryview)):
        # A copy: others may change or resize it while the call runs without the interpreter lock.
        return _native.BINARY, bytes(data)
    raise TypeError(f"a message must be str, bytes, bytearray or memoryview, not {type(data).__name__}")


def control_payload(data: Sendable) -> bytes:
    """The bytes of a ping."""
    body = payload(data)[1]
    if len(body) > 125:
        raise InvalidArgument(f"a ping of {len(body)} bytes is too long; at most 125 are allowed (RFC 6455 §5.5)")
    return body


class Core:
    """The part of a client that does no waiting. Not to be made directly: see connect()."""

    _handle: int = 0
    _batch: int = 0
    _was_open: bool = False

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._url = url
        text = c_text(url, "url")
        # Arguments of the receive call, made once.
        self._out = ctypes.c_void_p()
        self._out_ref = ctypes.byref(self._out)
        self._maximum = ctypes.c_size_t()
        self._ns = ctypes.c_int64()
        self._client_arg = ctypes.c_void_p()
        self._batch_arg = ctypes.c_void_p()
        self._view_at: Optional[int] = None
        self._view: memoryview = memoryview(b"")
        self._prefetch: Deque[Held] = deque()
        self._events: Deque[Dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._events_dropped = 0
        # Who fetches from the library and fills the prefetch holds it, so that each thread sees messages in order.
        self._lock = threading.Lock()
        self._closed_here = False
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        handle = ctypes.c_void_p()
        with Configuration(options) as configuration:
            status = _lib.pulsews_client_create(
                text, configuration, None, ctypes.byref(handle), why, _native.ERROR_SIZE
            )
        if status != _native.OK or not handle.value:
            raise class_of(status)(why.value.decode("utf-8", "replace"), status, status_name(status))
        self._handle = handle.value
        self._client_arg.value = handle.value
        self._batch = _lib.pulsews_batch_create() or 0
        if not self._batch:
            raise PulseError("there is no memory for a batch", -701, "PULSEWS_ENOMEM")
        self._batch_arg.value = self._batch
        _live.add(self)

    # ---- the end

    def _release(self) -> Tuple[int, int]:
        """Gives the handles up: later calls get NULL, which the library refuses."""
        handle, self._handle = self._handle, 0
        batch, self._batch = self._batch, 0
        self._client_arg.value = self._batch_arg.value = None
        return handle, batch

    def _free(
        self,
        client_free: Callable[[int], None] = _lib.pulsews_client_free,
        batch_free: Callable[[int], None] = _lib.pulsews_batch_free,
    ) -> None:
        handle, batch = self._release()
        if handle:
            client_free(handle)
        if batch:
            batch_free(batch)

    def __del__(
        self,
        state: Callable[[int], int] = _lib.pulsews_client_state,
        warn: Callable[..., None] = warnings.warn,
        finalizing: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        # Nobody is inside a call here: each call holds a reference. At interpreter exit the process frees all, and
        # threads that were cut off inside a call may never leave it.
        if not self._handle or finalizing():
            return
        try:
            if self._was_open and not self._closed_here and state(self._handle) in (1, 2, 3):
                warn(f"{self!r} was not closed", ResourceWarning, source=self)
        finally:
            self._dispose()

    def _dispose(self) -> None:
        self._free()

    def __repr__(self) -> str:
        scheme, _, rest = self._url.partition("://")
        authority = rest.split("/", 1)[0].split("?", 1)[0].rpartition("@")[2]
        state = self.state if self._handle else "freed"
        return f"<{type(self).__module__}.{type(self).__name__} {scheme}://{authority} {state}>"

    # ---- errors

    def _sentence(self, status: int) -> str:
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        if _lib.pulsews_client_error(self._handle, why, _native.ERROR_SIZE) == status and why.value:
            return why.value.decode("utf-8", "replace")
        return str(_lib.pulsews_error_text(status).decode())

    def _error(self, status: int, sentence: str = "") -> PulseError:
        """The exception for a status that a call on this client gave."""
        name = status_name(status)
        sentence = sentence or self._sentence(status)
        kind = class_of(status, self._was_open)
        if issubclass(kind, ConnectionClosed):
            return kind(sentence, self.close_code or 1006, self.close_reason, status, name)
        if issubclass(kind, HandshakeError):
            return kind(
                sentence,
                status,
                name,
                max(0, _lib.pulsews_handshake_status(self._handle)),
                self.response_headers,
                self._bytes(_lib.pulsews_handshake_body, 4097),
            )
        return kind(sentence, status, name)

    def _opened(self, status: int) -> bool:
        """Whether an open call that gave this status found an open connection, or one that was open and has ended
        since: what it brought can be received, and tells of the end."""
        self._was_open = status == _native.OK or (
            status not in (_native.ETIMEOUT, _native.EFORK) and _lib.pulsews_close_code(self._handle) > 0
        )
        return self._was_open

    def _forked(self) -> None:
        # In a forked child: what the parent fetched is the parent's, and its lock may have been held.
        self._prefetch.clear()
        self._lock = threading.Lock()

    # ---- looking

    def _bytes(self, function: Callable[[int, Any, int], int], size: int = 256) -> bytes:
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = function(self._handle, buffer, size)
            if length < 0:
                raise self._error(length)
            if length < size:
                return buffer.raw[:length]
            size = length + 1

    @property
    def url(self) -> str:
        """The URL as it was given."""
        return self._url

    @property
    def state(self) -> str:
        """``"disconnected"``, ``"connecting"``, ``"connected"``, ``"reconnecting"`` or ``"error"``."""
        number = _lib.pulsews_client_state(self._handle)
        if number < 0:
            raise self._error(number)
        return STATES[number] if number < len(STATES) else str(number)

    @property
    def subprotocol(self) -> Optional[str]:
        """The subprotocol that the server chose; ``None`` if none."""
        return self._bytes(_lib.pulsews_subprotocol).decode("utf-8", "replace") or None

    @property
    def close_code(self) -> Optional[int]:
        """The peer's close code: 1005 if its close frame had none, 1006 if there was no close frame; ``None`` while
        the connection is open."""
        number = int(_lib.pulsews_close_code(self._handle))
        if number < 0:
            raise self._error(number)
        return number or None

    @property
    def close_reason(self) -> str:
        """The peer's reason to close; empty if it gave none."""
        return self._bytes(_lib.pulsews_close_reason).decode("utf-8", "replace")

    @property
    def response_headers(self) -> Headers:
        """The headers of the server's handshake answer."""
        return Headers._parse(self._bytes(_lib.pulsews_handshake_headers, 4096))

    @property
    def events_dropped(self) -> int:
        """How many events were dropped because nobody fetched them with :meth:`events` (the last 1000 are kept)."""
        return self._events_dropped

    def status(self) -> Dict[str, Any]:
        """State and statistics as a dict; keys and units are in docs/STATUS.md."""
        status: Dict[str, Any] = json.loads(self._bytes(_lib.pulsews_status_json, 4096))
        if isinstance(status.get("receive_queue_size"), int):
            # What was fetched ahead for the next calls waits here, not in the library, and counts as well.
            status["receive_queue_size"] += len(self._prefetch)
        return status

    @property
    def latency(self) -> Optional[float]:
        """The last round-trip time of a heartbeat in seconds; ``None`` before the first one."""
        stats = self.status()["stats"]
        return float(stats["latency"]) if stats.get("pongs_received") else None

    # ---- receiving; who calls these holds the lock, or is the event loop's thread

    def _take(self, number: int) -> List[Data]:
        """The first ``number`` (from a receive call) messages of the batch as a list, events put apart."""
        address = self._out.value
        if address != self._view_at:
            self._view = memoryview(_WORDS.from_address(address or 0)).cast("B").cast("Q")
            self._view_at = address
        view = self._view
        if number == 1:
            block = memoryview(_BYTES.from_address(view[0]))[: view[1]].tobytes()
            kind = view[2] >> _KIND_SHIFT & 0xFFFFFFFF
            if kind == _native.TEXT:
                return [block.decode()]
            if kind == _native.BINARY:
                return [block]
            self._keep_event(block)
            return []
        traits = _traits(self._batch_arg)
        if traits & 5:
            lengths = view[1 : number * 5 : 5].tolist()
            read = BytesIO(memoryview(_BYTES.from_address(view[0]))[: sum(lengths)]).read
            # The library has checked each text, so UTF-8 decoding can't fail; map() keeps the loop in C.
            return list(map(bytes.decode, map(read, lengths))) if traits & 1 else list(map(read, lengths))
        return [message.data for message in self._messages(number)]

    def _messages(self, number: int, keep_events: bool = True) -> List[Message]:
        """The batch's messages with all that is known of them; events are put apart."""
        messages: List[Message] = []
        rows = _native.MESSAGE.iter_unpack(_string_at(self._out.value or 0, number * _native.MESSAGE.size))
        for data, length, kind, flags, received_ns, sequence in rows:
            block = _string_at(data, length)
            if kind == _native.EVENT:
                if keep_events:
                    self._keep_event(block)
                continue
            content: Data = block.decode() if kind == _native.TEXT else block
            messages.append(
                Message(
                    content,
                    "text" if kind == _native.TEXT else "binary",
                    received_ns,
                    sequence,
                    bool(flags & _native.ASCII),
                    bool(flags & _native.COMPRESSED),
                )
            )
        return messages

    def _keep_event(self, block: bytes) -> None:
        try:
            event = json.loads(block)
        except ValueError:
            return
        if len(self._events) == EVENTS_KEPT:
            self._events_dropped += 1
        self._events.append(event)

    def _fetch(self, maximum: int, ns: int, whole: bool = False) -> Tuple[int, List[Any]]:
        """One receive call: its status (a count, or negative), and the messages."""
        self._maximum.value = maximum
        self._ns.value = ns
        number: int = _recv_batch(self._client_arg, self._batch_arg, self._maximum, self._ns, self._out_ref)
        if number <= 0:
            return number, []
        return number, self._messages(number) if whole else self._take(number)

    def _drain(self, maximum: int) -> List[Data]:
        """Up to ``maximum`` messages that were fetched ahead."""
        messages: List[Data] = []
        pop = self._prefetch.popleft
        try:
            for _ in range(maximum):
                held = pop()
                messages.append(held.data if isinstance(held, Message) else held)
        except IndexError:  # another thread was faster
            pass
        return messages

    def _with_details(self) -> None:
        """Makes whatever is fetched ahead into Message objects: possible while the batch is the one it came from."""
        prefetch = self._prefetch
        taken: List[Held] = []
        # From the right: other threads take from the left without the lock, so these are the batch's last ones.
        try:
            while not isinstance(prefetch[-1], Message):
                taken.append(prefetch.pop())
        except IndexError:
            pass
        if taken:
            prefetch.extend(self._messages(self._fetched, False)[-len(taken) :])

    _fetched: int = 0

    def events(self) -> List[Dict[str, Any]]:
        """What happened to the connection since the last call, oldest first: state changes and the like.

        Never waits. An event that came behind messages that were not yet received is not among them, so that events
        and messages stay in order.
        """
        if not self._prefetch and self._lock.acquire(False):
            try:
                if not self._prefetch:
                    self._fetched, messages = self._fetch(PREFETCH, 0)
                    self._prefetch.extend(messages)
            finally:
                self._lock.release()
        found: List[Dict[str, Any]] = []
        try:
            while True:
                found.append(self._events.popleft())
        except IndexError:
            return found


# ---- exit and fork

_live: "weakref.WeakSet[Core]" = weakref.WeakSet()


def _close_all() -> None:
    """At exit: says goodbye on what is still open, and so ends calls that threads are blocked in."""
    handles = [client._handle for client in list(_live) if client._handle]
    for handle in handles:
        _lib.pulsews_close(handle, 1001, None, 0)
    end = time.monotonic() + 1
    for handle in handles:
        _lib.pulsews_close(handle, 1001, None, max(0, int((end - time.monotonic()) * 1e9)))


def _after_fork() -> None:
    for client in list(_live):
        client._forked()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
