# SPDX-License-Identifier: Apache-2.0
"""What the blocking and the asyncio client share: the handles, looking at a client, and turning batches into lists."""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from io import BytesIO
from typing import Any, Callable, Deque, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from . import _log, _native
from ._control import Control, split_hooks
from ._errors import (
    ConnectError, ConnectionClosed, HandshakeError, Headers, LoginError, OpenTimeout, PulseError, SubscribeError, class_of,
)
from ._options import Configuration, c_text, is_false, is_true
from ._tables import state_name
from ._values import BATCH_LIMIT, KIND_SHIFT, Data

# A call for one message takes up to so many from the library and keeps the rest for the next calls.
PREFETCH = 64
# Events wait for events() in a bounded queue, so that ignoring them costs nothing.
EVENTS_KEPT = 1000
# Close codes after which iterating just ends. 1005: a close frame without a code.
ORDERLY = frozenset((1000, 1001, 1005))

_lib = _native.lib
_recv_batch = _native.recv_batch
_traits = _native.quick.pulsews_batch_traits
_string_at = ctypes.string_at
# Windows on the library's memory, larger than what is there: only what a batch really has is ever read.
_WORDS = ctypes.c_uint64 * (_native.MESSAGE_WORDS * BATCH_LIMIT)
_BYTES = ctypes.c_char * (1 << 46)


class Message(NamedTuple):
    """A received message with what is known about it."""

    data: Data
    """The payload: ``str`` for text, ``bytes`` for binary."""
    kind: str
    """``"text"`` or ``"binary"``."""
    received_ns: int
    """When its last bytes were read from the network: nanoseconds since 1970-01-01T00:00:00Z, as ``time.time_ns()``."""
    sequence: int
    """1, 2, 3 ... over everything that the client received; events of the connection have numbers, too. A number is left
    out only where a full queue discarded a message (option ``receive_queue_policy``)."""
    ascii: bool
    """Whether a text is of ASCII only."""
    compressed: bool
    """Whether it arrived compressed."""


Held = Union[str, bytes, Message]
Event = Dict[str, Any]


def status_name(status: int) -> str:
    return str(_lib.pulsews_error_name(status).decode())


class Core(Control):
    """The part of a client that does no waiting. Not to be made directly: see connect()."""

    _handle: int = 0
    _batch: int = 0
    _was_open: bool = False
    # Whether events stay among the messages, in order, for a consumer that handles both.
    _inline: bool = False

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._url = url
        given, self._login_hook, self._headers_hook = split_hooks(options)
        self._hooked = bool(self._login_hook or self._headers_hook)
        # With a login, to be connected means to be logged in.
        self._logs_in = self._login_hook is not None or (
            bool(given.get("login") or given.get("login_confirm")) and not is_true(given.get("hold_login"))
        )
        self._comes_back = given.get("reconnect") is None or not is_false(given["reconnect"])
        # Only then a full outbox is worth waiting for.
        self._blocks = str(given.get("message_queue_policy")).strip().lower() == "block"
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
        _log.start_if_wanted()
        with Configuration(given) as configuration:
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

    def _last_error(self) -> Tuple[int, str]:
        """Why the last connection or attempt ended: status and sentence; 0 if none has."""
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        status = int(_lib.pulsews_client_error(self._handle, why, _native.ERROR_SIZE))
        return status, why.value.decode("utf-8", "replace")

    def _error(self, status: int, sentence: str = "", was_open: Optional[bool] = None) -> PulseError:
        """The exception for a status that a call on this client gave."""
        name = status_name(status)
        sentence = sentence or self._sentence(status)
        kind = class_of(status, self._was_open if was_open is None else was_open)
        if kind is OpenTimeout and not self._connecting:
            # Who receives with a time-out takes a TimeoutError for "nothing yet", and this is the end.
            kind = ConnectError
        if status == _native.ENOTCONNECTED and _lib.pulsews_client_state(self._handle) == 4:
            cause = self._last_error()[1]
            sentence = f"{sentence}: {cause}" if cause else sentence
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
        error = kind(sentence, status, name)
        if isinstance(error, (LoginError, SubscribeError)):
            error.server_message = self._bytes(_lib.pulsews_server_message, 512).decode("utf-8", "replace")
        return error

    def _opened(self, status: int) -> bool:
        """Whether an open call that gave this status found an open connection, or one that was open and has ended
        since: what it brought can be received, and tells of the end."""
        self._was_open = status == _native.OK or (status != _native.EFORK and self._mark() > 0)
        return self._was_open

    def _failed_attempt(self) -> Optional[PulseError]:
        """Why the attempt that connect() waits for has failed; ``None`` while it may succeed. The library may be at the
        next attempt by now, which connect() does not wait for."""
        status, sentence = self._last_error()
        return None if status == _native.OK else self._error(status, sentence)

    def _orderly(self, end: ConnectionClosed) -> bool:
        """Whether iterating just ends there. A peer's close is the end of trying when the client was to come back."""
        return end.error_code == _native.ECLOSED or (
            end.error_code == _native.EPEERCLOSED and end.code in ORDERLY and not self._comes_back
        )

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
        return state_name(number)

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

    # ---- receiving; who calls these holds the lock, or is the event loop's thread

    def _take(self, number: int) -> List[Any]:
        """The first ``number`` (from a receive call) messages of the batch as a list, events put apart."""
        address = self._out.value
        if address != self._view_at:
            self._view = memoryview(_WORDS.from_address(address or 0)).cast("B").cast("Q")
            self._view_at = address
        view = self._view
        if number == 1:
            block = memoryview(_BYTES.from_address(view[0]))[: view[1]].tobytes()
            kind = view[2] >> KIND_SHIFT & 0xFFFFFFFF
            if kind == _native.TEXT:
                return [block.decode()]
            if kind == _native.BINARY:
                return [block]
            return self._keep_event(block)
        traits = _traits(self._batch_arg)
        if traits & 5:
            lengths = view[1 : number * 5 : 5].tolist()
            read = BytesIO(memoryview(_BYTES.from_address(view[0]))[: sum(lengths)]).read
            # The library has checked each text, so UTF-8 decoding can't fail; map() keeps the loop in C.
            return list(map(bytes.decode, map(read, lengths))) if traits & 1 else list(map(read, lengths))
        return [item.data if item.__class__ is Message else item for item in self._messages(number)]

    def _messages(self, number: int, again: bool = False) -> List[Any]:
        """The batch's messages with all that is known of them; events are put apart, unless they stay in line."""
        messages: List[Any] = []
        rows = _native.MESSAGE.iter_unpack(_string_at(self._out.value or 0, number * _native.MESSAGE.size))
        for data, length, kind, flags, received_ns, sequence in rows:
            block = _string_at(data, length)
            if kind == _native.EVENT:
                if not again:
                    messages += self._keep_event(block)
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

    def _keep_event(self, block: bytes) -> List[Event]:
        """Puts an event where events() finds it; gives it back if it is to stay among the messages."""
        try:
            event: Event = json.loads(block)
        except ValueError:
            return []
        if self._hooked:
            self._notice(event)
        if self._inline:
            return [event]
        if len(self._events) == EVENTS_KEPT:
            self._events_dropped += 1
        self._events.append(event)
        return []

    def _notice(self, event: Event) -> None:
        """Looks for what the functions of options login and headers are to be called for."""

    def _fetch(self, maximum: int, ns: int, whole: bool = False) -> Tuple[int, List[Any]]:
        """One receive call: its status (a count, or negative), and the messages."""
        self._maximum.value = maximum
        self._ns.value = ns
        number: int = _recv_batch(self._client_arg, self._batch_arg, self._maximum, self._ns, self._out_ref)
        if number <= 0:
            return number, []
        return number, self._messages(number) if whole else self._take(number)

    def _drain(self, maximum: int) -> List[Any]:
        """Up to ``maximum`` messages that were fetched ahead."""
        messages: List[Any] = []
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
            while prefetch[-1].__class__ in (str, bytes):
                taken.append(prefetch.pop())
        except IndexError:
            pass
        if taken:
            prefetch.extend(self._messages(self._fetched, True)[-len(taken) :])

    _fetched: int = 0

    def _fetch_ahead(self, ns: int) -> int:
        """Receives in place of a consumer, so that events are seen; gives the status of the receive call."""
        self._with_details()
        status, messages = self._fetch(PREFETCH, ns, True)
        self._prefetch.extend(messages)
        return status

    def events(self) -> List[Event]:
        """What happened to the connection since the last call, oldest first: state changes, drops, a mute feed and the
        like; docs/EVENTS.md lists them.

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
        found: List[Event] = []
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
