# SPDX-License-Identifier: Apache-2.0
"""The blocking client."""

from __future__ import annotations

import ctypes
import inspect
import threading
from collections import deque
from time import monotonic_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Deque, Iterable, Iterator, List, Mapping, Optional, Tuple, Type

from . import _native
from ._control import refuse_own_hold
from ._core import PREFETCH, Core, Event, Held, Message
from ._errors import CallTimeout, ConnectionClosed, InvalidArgument
from ._options import c_text
from ._values import (
    Data, MessageArray, Sendable, control_payload, count, nanoseconds, payload, send_flags, time_to_live,
)

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
# While it waits for the connection to be ready, a client whose login is a function looks for holds so often.
_LOOK = 20_000_000
# So many messages it fetches ahead for that.
_AHEAD = 1024


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

    A lost connection comes back by itself (option ``reconnect``): receiving just goes on waiting, and what is sent
    meanwhile waits in the outbox. When trying has ended, receiving raises why, after all that had arrived.

    As a context manager it closes at the end of the block; iterating gives messages until the connection is closed.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        super().__init__(url, options)
        # Holds that wait for the function of option login or headers.
        self._holds: Deque[Event] = deque()
        for name, hook in (("login", self._login_hook), ("headers", self._headers_hook)):
            if inspect.iscoroutinefunction(hook):
                raise TypeError(f"option {name}: an async function needs pulsews.aio or WebSocketManager")

    def _open(self) -> None:
        self._connecting = True
        try:
            if self._hooked:
                self._open_and_look()
            else:
                self._open_plainly()
            if self._logs_in:
                self._log_in()
        finally:
            self._connecting = False

    def _open_plainly(self) -> None:
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        wait = _Wait(-1)
        while True:
            status = _lib.pulsews_open(self._handle, wait.ns, why, _native.ERROR_SIZE)
            if self._opened(status):
                return
            if status != _native.ETIMEOUT or not wait.goes_on():
                raise self._error(status, why.value.decode("utf-8", "replace"))

    def _open_and_look(self) -> None:
        """Opens, and calls the functions of the options meanwhile: their holds are events, so this receives."""
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        status = _lib.pulsews_start(self._handle)
        if status != _native.OK:
            raise self._error(status)
        while True:
            status = _lib.pulsews_open(self._handle, 0, why, _native.ERROR_SIZE)
            if self._opened(status):
                return
            if status != _native.ETIMEOUT:
                raise self._error(status, why.value.decode("utf-8", "replace"))
            self._look_for_holds(_SLICE)

    def _log_in(self) -> None:
        """Waits for the login of the first connection."""
        while not self.is_ready:
            if self.state != "connected":
                problem = self._failed_attempt()
                if problem is not None:
                    raise problem
            self._look_for_holds(_LOOK)

    def _look_for_holds(self, ns: int) -> None:
        with self._lock:
            status = self._fetch_ahead(ns)
        if self._holds:
            self._answer_holds()
        if status < 0 and status != _native.ETIMEOUT:
            raise self._error(status)

    def _notice(self, event: Event) -> None:
        if event.get("event") == "hold" and self._hook_for(event) is not None:
            self._holds.append(event)

    def _answer_holds(self) -> None:
        """Calls the function that the present attempt waits for. Not under the lock: it may use the client."""
        event: Optional[Event] = None
        try:
            while True:  # only the latest one can still be there
                event = self._holds.popleft()
        except IndexError:
            pass
        hook = self._hook_for(event) if event is not None else None
        if event is None or hook is None:
            return
        try:
            if not self._is_over(event):
                mark = self._mark()
                value = hook()
                if inspect.isawaitable(value):
                    if inspect.iscoroutine(value):
                        value.close()
                    raise TypeError("an async function for a login or headers needs pulsews.aio or WebSocketManager")
                self._apply(event, value, mark)
        except Exception as problem:
            if self._connecting:
                raise
            self._hook_failed(event, problem)

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

    def send(
        self,
        data: Sendable,
        timeout: Optional[float] = None,
        # To be used by keyword; enforcing that would cost a tenth of the call.
        live_only: bool = False,
        report: bool = False,
        ttl: Optional[float] = None,
        in_limit: bool = False,
        first: bool = False,
    ) -> Optional[int]:
        """Sends one message: ``str`` as text, ``bytes``, ``bytearray`` or ``memoryview`` as binary.

        On an open connection a lone message leaves before the call returns; without one it waits in the outbox. When
        that is full, option ``message_queue_policy`` decides: it drops the oldest message (the default) or the new
        one, raises :class:`QueueFull` at once ("reject"), or waits for room and raises :class:`QueueFull` after
        ``timeout`` seconds without it ("block"). Raises :class:`NotConnected` when the client has stopped trying to
        connect, :class:`ConnectionClosed` after a close, and ``ValueError`` for text that UTF-8 can't express.

        With any of the keywords it gives the message's id, the number that events name it by, else ``None``:

        * ``live_only``: only over the connection that is open and ready now; :class:`NotConnected` if there is none.
          Such a message is never kept for the next connection.
        * ``report``: an event ``"fate"`` will tell what became of it.
        * ``ttl``: unsent after so many seconds it expires; ``inf`` overrides option ``message_ttl``.
        * ``in_limit``: waits up to ``timeout`` for room in the rate limits, then raises :class:`RateLimited`.
        * ``first``: a login message: goes before everything else, also while a login is held.
        """
        kind, body = payload(data)
        if live_only or report or in_limit or first or ttl is not None:
            return self._transmit_with(kind, body, timeout, send_flags(live_only, report, in_limit, first), ttl)
        self._transmit(kind, body, timeout)
        return None

    def ping(self, data: Sendable = b"", timeout: Optional[float] = None) -> None:
        """Sends a ping of at most 125 bytes. Heartbeats go out by themselves; this is for peers that want more.

        Raises :class:`NotConnected` without an open connection: pings do not wait for one.
        """
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
        if status == _native.EQUEUEFULL and ns != 0 and self._blocks and kind != _native.PING:
            wait = _Wait(ns, start)
            while status == _native.EQUEUEFULL and wait.goes_on():
                status = _lib.pulsews_send(self._handle, kind, body, len(body), wait.ns)
        if status != _native.OK:
            raise self._error(status)

    def _transmit_with(
        self, kind: int, body: bytes, timeout: Optional[float], flags: int, ttl: Optional[float]
    ) -> int:
        ns = nanoseconds(timeout)
        ttl_ns = time_to_live(ttl)
        number = ctypes.c_uint64()
        start = monotonic_ns()
        wait = _Wait(ns, start)
        rest = ttl_ns
        while True:
            status = _lib.pulsews_send_with(
                self._handle, kind, body, len(body), flags, rest, wait.ns, ctypes.byref(number)
            )
            if status == _native.OK:
                return number.value
            if not self._may_wait(status) or ns == 0 or not wait.goes_on():
                raise self._error(status)
            if ttl_ns > 0:  # it counts from the beginning of the call
                rest = max(1, ttl_ns - (monotonic_ns() - start))

    def _may_wait(self, status: int) -> bool:
        """Whether it is the time of the call, cut into slices, that has run out, and not a refusal."""
        return status == _native.ERATE or (status == _native.EQUEUEFULL and self._blocks)

    def send_many(
        self,
        messages: Iterable[Sendable],
        timeout: Optional[float] = None,
        *,
        live_only: bool = False,
        report: bool = False,
        ttl: Optional[float] = None,
        in_limit: bool = False,
        first: bool = False,
    ) -> int:
        """Sends many messages in order with one call of the library, and gives how many were accepted, from the first
        on: fewer when the outbox is full or the time is over. Raises as :meth:`send` if the first one was not."""
        array = MessageArray(messages)
        flags = send_flags(live_only, report, in_limit, first)
        ttl_ns = time_to_live(ttl)
        ns = nanoseconds(timeout)
        wait = _Wait(ns)
        done = 0
        while done < array.count:
            status = _lib.pulsews_send_batch(
                self._handle, array.at(done), array.count - done, flags, ttl_ns, wait.ns, None
            )
            if status > 0:
                done += status
                if done == array.count or not (self._blocks or in_limit):
                    break
            elif not self._may_wait(status):
                if done:
                    break
                raise self._error(status)
            if ns == 0 or not wait.goes_on():
                if done:
                    break
                raise self._error(status)
        return done

    def flush(self, timeout: Optional[float] = None) -> None:
        """Waits until every message that was sent before the call has left the outbox: handed to the network, dropped,
        expired or failed. Raises ``TimeoutError`` after ``timeout`` seconds, :class:`NotConnected` when trying to
        connect has ended with messages still queued."""
        ns = nanoseconds(timeout)
        wait = _Wait(ns)
        while True:
            status = _lib.pulsews_flush(self._handle, wait.ns)
            if status == _native.OK:
                return
            if status != _native.ETIMEOUT:
                raise self._error(status)
            if ns == 0 or not wait.goes_on():
                raise CallTimeout(f"messages still wait in the outbox after {timeout} s", status, "PULSEWS_ETIMEOUT")

    def wait_ready(self, timeout: Optional[float] = None) -> None:
        """Waits until the connection is ready: open, logged in, and the subscriptions sent.

        Raises ``TimeoutError`` after ``timeout`` seconds, and why the client has stopped trying when it has.
        """
        ns = nanoseconds(timeout)
        wait = _Wait(ns)
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        while True:
            slice_ns = wait.ns if not self._hooked else _LOOK if wait.ns < 0 else min(_LOOK, wait.ns)
            status = _lib.pulsews_wait_ready(self._handle, slice_ns, why, _native.ERROR_SIZE)
            if status == _native.OK:
                self._was_open = True
                return
            if status != _native.ETIMEOUT:
                raise self._error(status, why.value.decode("utf-8", "replace"))
            if self._hooked:
                # Perhaps nobody receives, and the hold that the login waits for is among what has arrived.
                if len(self._prefetch) < _AHEAD and self._lock.acquire(False):
                    try:
                        self._fetch_ahead(0)
                    finally:
                        self._lock.release()
                if self._holds:
                    self._answer_holds()
            if ns == 0 or not wait.goes_on():
                raise CallTimeout(f"the connection was not ready within {timeout} s", status, "PULSEWS_ETIMEOUT")

    # ---- receiving

    def recv(self, timeout: Optional[float] = None) -> Data:
        """Receives one message: ``str`` for text, ``bytes`` for binary.

        Waits across reconnects. Raises ``TimeoutError`` after ``timeout`` seconds without one (at once with 0); and
        when the client has ended and everything that had arrived was received: :class:`ConnectionClosed` after a close
        or, with ``reconnect=False``, a lost connection; and why it has stopped trying when it has, such as
        :class:`ConnectError` or :class:`HandshakeError`.
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

        An empty list when ``timeout`` seconds are over without one. Raises at the end as :meth:`recv`.
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
            if not batch:
                status, batch = self._fetch_on(maximum, ns, start, status, False)
        finally:
            self._lock.release()
        if self._holds:
            self._answer_holds()
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
            if self._holds:
                self._lock.release()
                try:
                    self._answer_holds()
                finally:
                    self._lock.acquire()
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
        finally:
            self._lock.release()
        if self._holds:
            self._answer_holds()
        if batch:
            return batch[0]  # type: ignore[no-any-return]
        if status == _native.ETIMEOUT:
            raise self._timed_out(timeout)
        raise self._error(status)

    def _timed_out(self, timeout: Optional[float]) -> CallTimeout:
        return CallTimeout(f"no message within {timeout} s", _native.ETIMEOUT, "PULSEWS_ETIMEOUT")

    def __iter__(self) -> Iterator[Data]:
        """Messages as they come, across reconnects. Ends when this side closed, and with ``reconnect=False`` when the
        peer closed in order (1000, 1001 or no code); raises as :meth:`recv` for every other end."""
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
                if self._orderly(end):
                    return
                raise
            yield message

    def events(self) -> List[Event]:
        found = super().events()
        if self._holds:
            self._answer_holds()
        return found

    events.__doc__ = Core.events.__doc__

    # ---- closing

    def disconnect(self, timeout: Optional[float] = None) -> None:
        """Closes with code 1000 after what was sent, for a client that may come back: :meth:`reconnect` connects it
        again. Waits for the peer's answer, at most for option ``close_timeout``; what still waits to be sent after
        ``timeout`` seconds fails. Until then sending and receiving raise :class:`ConnectionClosed`."""
        ns = nanoseconds(timeout)
        status = _lib.pulsews_disconnect(self._handle, ns)
        if status not in (_native.OK, _native.ETIMEOUT):
            raise self._error(status)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes with a close frame after everything that was sent, and waits for the peer's answer, at most for
        option ``close_timeout``. Blocked calls of other threads end. Closing again does nothing, and nothing brings
        the client back; :meth:`disconnect` is for a pause.

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

    Options are keyword arguments: see :class:`Options`, and :func:`option_table` for defaults and ranges. With a login
    (options ``login``, ``login_confirm``) the client is logged in. Only the first attempt is waited for, whatever
    option ``reconnect`` says of later ones; :class:`WebSocketManager` goes on trying.

    Raises ``ValueError`` for a bad URL or option, :class:`ConnectError` when there is no connection (its subclass
    :class:`OpenTimeout`, also a ``TimeoutError``, after ``open_timeout``), :class:`HandshakeError` when the server
    refuses, :class:`LoginError` when it rejects the login.
    """
    given: Mapping[str, Any] = options
    refuse_own_hold(given)
    client = Client(url, given)
    try:
        client._open()
    except BaseException:
        client._dispose()
        raise
    return client
