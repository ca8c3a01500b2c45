# SPDX-License-Identifier: Apache-2.0
"""The blocking client."""

from __future__ import annotations

import ctypes
import threading
from time import monotonic_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, Optional, Tuple, Type

from . import _native
from ._core import ORDERLY, PREFETCH, Core, Data, Held, Message, Sendable, control_payload, count, nanoseconds, payload
from ._errors import CallTimeout, ConnectionClosed, InvalidArgument
from ._options import c_text

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import Options

_lib = _native.lib
_send = _native.send

_size = ctypes.c_size_t
_KINDS = {kind: ctypes.c_uint32(kind) for kind in (_native.TEXT, _native.BINARY, _native.PING)}

# The main thread must come back to Python to see Ctrl-C: it waits in slices of so many nanoseconds. Other threads
# do so once and then wait for the whole time.
_SLICE = 250_000_000
_SLICE_ARG = ctypes.c_int64(_SLICE)


class _Wait:
    """Cuts the time of a call into slices: ``ns`` is how long the next foreign call may take."""

    __slots__ = ("ns", "_deadline")

    def __init__(self, ns: int, start: int = 0) -> None:
        self._deadline = -1 if ns < 0 else (start or monotonic_ns()) + ns
        self.ns = ns if 0 <= ns < _SLICE else _SLICE

    def goes_on(self) -> bool:
        """After a call that took its whole slice: whether there is time for another one."""
        rest = -1
        if self._deadline >= 0:
            rest = self._deadline - monotonic_ns()
            if rest <= 0:
                return False
        if threading.get_ident() == threading.main_thread().ident and not 0 <= rest < _SLICE:
            rest = _SLICE
        self.ns = rest
        return True


class Client(Core):
    """A WebSocket connection with blocking calls; :func:`connect` makes it.

    Any thread may call any method at any time. Calls that wait give the interpreter lock away, and end at once when
    another thread closes the client. Times are seconds; ``None`` waits without an end.

    As a context manager it closes at the end of the block; iterating gives messages until the connection is closed.
    """

    def _open(self) -> None:
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        wait = _Wait(-1)
        while True:
            status = _lib.pulsews_open(self._handle, wait.ns, why, _native.ERROR_SIZE)
            if self._opened(status):
                return
            if status != _native.ETIMEOUT or not wait.goes_on():
                raise self._error(status, why.value.decode("utf-8", "replace"))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    # ---- sending

    def send(self, data: Sendable, timeout: Optional[float] = None) -> None:
        """Sends one message: ``str`` as text, ``bytes``, ``bytearray`` or ``memoryview`` as binary.

        A lone message leaves before the call returns. When the queue of messages to send is full, the call waits for
        room; after ``timeout`` seconds without it raises :class:`QueueFull` (at once with 0). Raises
        :class:`NotConnected` and :class:`ConnectionClosed`, and ``ValueError`` for text that UTF-8 can't express.
        """
        kind, body = payload(data)
        self._transmit(kind, body, timeout)

    def ping(self, data: Sendable = b"", timeout: Optional[float] = None) -> None:
        """Sends a ping of at most 125 bytes. Heartbeats go out by themselves; this is for peers that want more."""
        self._transmit(_native.PING, control_payload(data), timeout)

    def _transmit(self, kind: int, body: bytes, timeout: Optional[float]) -> None:
        if timeout is None:
            status = _send(self._client_arg, _KINDS[kind], body, _size(len(body)), _SLICE_ARG)
            start = ns = -1
        else:
            ns = nanoseconds(timeout)
            start = monotonic_ns()
            status = _send(
                self._client_arg, _KINDS[kind], body, _size(len(body)), ctypes.c_int64(min(ns, _SLICE))
            )
        if status == _native.EQUEUEFULL and ns != 0:
            wait = _Wait(ns, start)
            while status == _native.EQUEUEFULL and wait.goes_on():
                status = _lib.pulsews_send(self._handle, kind, body, len(body), wait.ns)
        if status != _native.OK:
            raise self._error(status)

    # ---- receiving

    def recv(self, timeout: Optional[float] = None) -> Data:
        """Receives one message: ``str`` for text, ``bytes`` for binary.

        Raises ``TimeoutError`` after ``timeout`` seconds without one (at once with 0), and :class:`ConnectionClosed`
        when the connection has ended and everything that had arrived was received.
        """
        try:
            held = self._prefetch.popleft() if self._prefetch else self._receive_one(timeout, False)
        except IndexError:  # another thread was faster
            held = self._receive_one(timeout, False)
        return held.data if held.__class__ is Message else held  # type: ignore[return-value]

    def recv_message(self, timeout: Optional[float] = None) -> Message:
        """Receives one message as :meth:`recv`, with its time of arrival and all else that is known about it."""
        held = self._receive_one(timeout, True)
        assert isinstance(held, Message)
        return held

    def recv_batch(self, max: int = 256, timeout: Optional[float] = None) -> List[Data]:
        """Receives up to ``max`` messages: whatever is there, or the first to come. The fastest way to receive.

        An empty list when ``timeout`` seconds are over without one. Raises :class:`ConnectionClosed` as :meth:`recv`.
        """
        ns = -1 if timeout is None else nanoseconds(timeout)
        maximum = count(max)
        if not self._lock.acquire(False) and not self._acquire(ns):
            return []
        try:
            if self._prefetch:
                found = self._drain(maximum)
                if found:
                    return found
            start = monotonic_ns() if ns > 0 else 0
            status, batch = self._fetch(maximum, ns if 0 <= ns < _SLICE else _SLICE)
            if batch:
                return batch
            status, batch = self._fetch_on(maximum, ns, start, status, False)
        finally:
            self._lock.release()
        if batch or status == _native.ETIMEOUT:
            return batch
        raise self._error(status)

    def _acquire(self, ns: int) -> bool:
        """Waits while another thread receives."""
        if ns < 0:
            return self._lock.acquire()
        return self._lock.acquire(timeout=min(ns / 1e9, threading.TIMEOUT_MAX))

    def _fetch_on(self, maximum: int, ns: int, start: int, status: int, whole: bool) -> Tuple[int, List[Any]]:
        """Goes on after a first slice that brought no message: to the deadline, and past events."""
        wait = _Wait(ns, start)
        while status == _native.ETIMEOUT or status > 0:
            over = ns == 0 or not wait.goes_on()
            if over and status == _native.ETIMEOUT:
                break
            status, batch = self._fetch(maximum, 0 if over else wait.ns, whole)
            if batch:
                return status, batch
        return status, []

    def _receive_one(self, timeout: Optional[float], whole: bool) -> Held:
        ns = -1 if timeout is None else nanoseconds(timeout)
        if not self._lock.acquire(False) and not self._acquire(ns):
            raise self._timed_out(timeout)
        try:
            prefetch = self._prefetch
            if prefetch:
                if whole:
                    self._with_details()
                try:
                    return prefetch.popleft()
                except IndexError:  # another thread was faster
                    pass
            start = monotonic_ns() if ns > 0 else 0
            status, batch = self._fetch(PREFETCH, ns if 0 <= ns < _SLICE else _SLICE, whole)
            if not batch:
                status, batch = self._fetch_on(PREFETCH, ns, start, status, whole)
            if batch:
                if len(batch) > 1:
                    self._fetched = status
                    prefetch.extend(batch[1:])
                return batch[0]  # type: ignore[no-any-return]
        finally:
            self._lock.release()
        if status == _native.ETIMEOUT:
            raise self._timed_out(timeout)
        raise self._error(status)

    def _timed_out(self, timeout: Optional[float]) -> CallTimeout:
        return CallTimeout(f"no message within {timeout} s", _native.ETIMEOUT, "PULSEWS_ETIMEOUT")

    def __iter__(self) -> Iterator[Data]:
        """Messages as they come. Ends when the peer closed in order (1000, 1001 or no code) or this side closed;
        raises :class:`ConnectionClosed` for every other end."""
        prefetch = self._prefetch
        pop = prefetch.popleft
        while True:
            while prefetch:
                try:
                    held = pop()
                except IndexError:  # another thread was faster
                    break
                yield held.data if held.__class__ is Message else held  # type: ignore[misc]
            try:
                message = self.recv()
            except ConnectionClosed as end:
                if end.error_code == _native.ECLOSED or (end.error_code == _native.EPEERCLOSED and end.code in ORDERLY):
                    return
                raise
            yield message

    # ---- closing

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes with a close frame after everything that was sent, and waits for the peer's answer, at most for
        option ``close_timeout``. Blocked calls of other threads end. Closing again does nothing.

        ``code`` is 1000 to 1003, 1007 to 1014 or 3000 to 4999; ``reason`` at most 123 bytes of UTF-8. What had
        arrived can still be received.
        """
        number, text = close_arguments(code, reason)
        self._closed_here = True
        wait = _Wait(-1)
        while True:
            status = _lib.pulsews_close(self._handle, number, text, wait.ns)
            if status == _native.OK:
                return
            if status != _native.ETIMEOUT or not wait.goes_on():
                raise self._error(status)


def close_arguments(code: int, reason: str) -> Tuple[int, bytes]:
    """Checked as far as the library can't say it in a sentence."""
    text = c_text(reason, "reason")
    if not isinstance(code, int):
        raise TypeError(f"code must be an int, not {type(code).__name__}")
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise InvalidArgument(
            f"code is {code}; allowed are 1000 to 1003, 1007 to 1014 and 3000 to 4999 (RFC 6455 §7.4)"
        )
    if len(text) > 123:
        raise InvalidArgument(f"reason has {len(text)} bytes; at most 123 are allowed (RFC 6455 §5.5)")
    return code, text


def connect(url: str, **options: Unpack[Options]) -> Client:
    """Connects to ``ws://host[:port]/path`` or ``wss://...`` and returns the open :class:`Client`.

    Options are keyword arguments: see :class:`Options`, and :func:`option_table` for defaults and ranges. Raises
    ``ValueError`` for a bad URL or option, :class:`ConnectError` when there is no connection (its subclass
    :class:`OpenTimeout`, also a ``TimeoutError``, after ``open_timeout``), :class:`HandshakeError` when the server
    refuses.
    """
    given: Mapping[str, Any] = options
    client = Client(url, given)
    try:
        client._open()
    except BaseException:
        client._dispose()
        raise
    return client
