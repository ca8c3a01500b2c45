# SPDX-License-Identifier: Apache-2.0
"""The blocking client."""

from __future__ import annotations

import threading
from time import monotonic_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Mapping, Optional, Tuple, Type

from . import _contract, _native
from ._cooperative import threads_are_green
from ._errors import CallTimeout, ConnectionClosed, InvalidArgument, MessagesUnsent
from ._hooks import refuse_own_hold
from ._inbox import PREFETCH
from ._items import Event, Message
from ._json import Dumps, ParseJson
from ._opening import Opening
from ._options import URL, c_text
from ._sending import SLICE, Wait, in_main_thread
from ._values import Seconds, count, nanoseconds, span

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import Options

_lib = _native.lib

# After Ctrl-C the end of a `with` block waits so many seconds for the close, which goes on meanwhile.
_HURRY = 0.2


class Client(Opening):
    """A WebSocket connection with blocking calls; :func:`connect` makes it.

    Any thread may call any method at any time. Calls that wait give the interpreter lock away, and end at once when
    another thread closes the client. Times are seconds or a ``timedelta``; ``None`` waits without an end. Ctrl-C ends
    every call that waits.

    A lost connection comes back by itself (option ``reconnect``): receiving just goes on waiting, and what is sent
    meanwhile waits in the outbox. When trying has ended, receiving raises why, after all that had arrived.

    As a context manager it closes at the end of the block; iterating gives messages until the connection is closed.
    """

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        try:
            self._close(1000, b"", _HURRY if kind is not None and issubclass(kind, KeyboardInterrupt) else None)
        except MessagesUnsent:
            if kind is None:
                raise

    # ---- receiving

    def recv(self, timeout: Optional[Seconds] = None) -> Any:
        """Receives one message: ``str`` for text, ``bytes`` for binary; with ``parse_json`` the value of a text that is
        JSON, and with ``recv_events`` also an :class:`Event`.

        Waits across reconnects. Raises ``TimeoutError`` after ``timeout`` seconds without one (at once with 0); and
        when the client has ended and everything that had arrived was received: :class:`ConnectionClosed` after a close
        or, with ``reconnect=False``, a lost connection; and why it has stopped trying when it has, such as
        :class:`ConnectError` or :class:`HandshakeError`.
        """
        try:
            held: Any = self._prefetch.popleft() if self._prefetch else self._receive_one(timeout, False)
        except IndexError:  # another thread was faster
            held = self._receive_one(timeout, False)
        if held.__class__ is self._plain:
            return held
        if held.__class__ is Event and not self._recv_events:
            self._put_aside(held)
            held = self._receive_one(timeout, False)
        return self._given(held)

    def recv_message(self, timeout: Optional[Seconds] = None) -> Any:
        """Receives one :class:`Message` as :meth:`recv`, with its time of arrival and all else that is known about it;
        with ``recv_events`` also an :class:`Event`."""
        held = self._receive_one(timeout, True)
        return held if self._decode is None or held.__class__ is not Message else self._details_given(held)

    def recv_batch(self, max: int = 256, timeout: Optional[Seconds] = None) -> List[Any]:
        """Receives up to ``max`` messages: whatever is there, or the first to come. The fastest way to receive.

        An empty list when ``timeout`` seconds are over without one. Raises at the end as :meth:`recv`. A list ends
        where an event is: :meth:`events` after it tells what happened behind its last message. With ``recv_events``
        the events are in the list.
        """
        ns = -1 if timeout is None else nanoseconds(timeout)
        maximum = count(max)
        if not self._lock.acquire(False) and not self._acquire(ns):
            return []
        try:
            batch = self._drain(maximum) if self._prefetch else []
            status = 0
            while not batch and status >= 0:
                start = monotonic_ns() if ns > 0 else 0
                status, items = self._fetch(maximum, ns if 0 <= ns < SLICE else SLICE)
                if not items or self._mixed:
                    status, items = self._receive_on(maximum, ns, start, status, items, False)
                batch = self._batch_given(status, items, maximum) if items else self._drain(maximum)
        finally:
            self._lock.release()
        if self._holds:
            self._answer_holds()
        if batch or status == _contract.ETIMEOUT:
            return batch if self._decode is None else self._decoded(batch)
        raise self._error(status)

    def _acquire(self, ns: int) -> bool:
        """Waits while another thread receives."""
        if ns < 0:
            return self._lock.acquire()
        return self._lock.acquire(timeout=min(ns / 1e9, threading.TIMEOUT_MAX))

    def _receive_on(
        self, maximum: int, ns: int, start: int, status: int, items: List[Any], whole: bool
    ) -> Tuple[int, List[Any]]:
        """Goes on after a first slice that brought no message: to the next batch that has something for the application,
        which is given with the status of its receive call. Events that come alone are put aside. With 0 and nothing another
        thread has fetched ahead."""
        wait = Wait(ns, start)
        while True:
            if items:
                if self._recv_events or any(item.__class__ is not Event for item in items):
                    return status, items
                for event in items:
                    self._put_aside(event)
            elif status != _contract.ETIMEOUT:
                return status, []
            if self._holds:
                self._lock.release()
                try:
                    self._answer_holds()
                finally:
                    self._lock.acquire()
                if self._prefetch:
                    return 0, []
            over = ns == 0 or not wait.goes_on()
            if over and status == _contract.ETIMEOUT:
                return status, []
            status, items = self._fetch(maximum, 0 if over else wait.ns, whole)

    def _receive_one(self, timeout: Optional[Seconds], whole: bool) -> Any:
        ns = -1 if timeout is None else nanoseconds(timeout)
        if not self._lock.acquire(False) and not self._acquire(ns):
            raise self._timed_out(timeout)
        prefetch = self._prefetch
        held: Any = None
        try:
            while held is None:
                if prefetch:
                    if whole:
                        self._with_details()
                    try:
                        held = self._pop()
                        break
                    except IndexError:  # there were only events, or another thread was faster
                        pass
                start = monotonic_ns() if ns > 0 else 0
                status, items = self._fetch(PREFETCH, ns if 0 <= ns < SLICE else SLICE, whole)
                if not items or self._mixed:
                    status, items = self._receive_on(PREFETCH, ns, start, status, items, whole)
                if items:
                    self._fetched = status
                    if self._mixed:
                        prefetch.extend(items)
                    else:
                        held = items[0]
                        if status > 1:
                            prefetch.extend(items[1:])
                elif status:
                    break
        finally:
            self._lock.release()
        if self._holds:
            self._answer_holds()
        if held is not None:
            return held
        if status == _contract.ETIMEOUT:
            raise self._timed_out(timeout)
        raise self._error(status)

    def _timed_out(self, timeout: Optional[Seconds]) -> CallTimeout:
        return CallTimeout(f"no message within {span(timeout)}", _contract.ETIMEOUT)

    def __iter__(self) -> Iterator[Any]:
        """Messages as they come, across reconnects, as :meth:`recv` gives them. Ends when this side closed, and with
        ``reconnect=False`` when the peer closed in order (1000, 1001 or no code); raises as :meth:`recv` for every other
        end."""
        prefetch = self._prefetch
        pop = prefetch.popleft
        plain = self._plain
        while True:
            while prefetch:
                try:
                    held: Any = pop()
                except IndexError:  # another thread was faster
                    break
                if held.__class__ is plain:
                    yield held
                elif held.__class__ is Event and not self._recv_events:
                    self._put_aside(held)
                else:
                    yield self._given(held)
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

    events.__doc__ = Opening.events.__doc__

    # ---- closing

    def disconnect(self, timeout: Optional[Seconds] = None) -> None:
        """Closes with code 1000 after what was sent, for a client that may come back: :meth:`reconnect` connects it
        again. Waits for the peer's answer, at most for option ``close_timeout`` after everything was sent; what still
        waits to be sent after ``timeout`` seconds fails: :class:`MessagesUnsent`. Until then sending and receiving
        raise :class:`ConnectionClosed`."""
        ns = nanoseconds(timeout)
        self._finish(lambda: int(_lib.pulsews_disconnect(self._handle, ns)))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes with a close frame after everything that was sent, and waits for the peer's answer, at most for
        option ``close_timeout``. Blocked calls of other threads end. Closing again does nothing, and nothing brings
        the client back; :meth:`disconnect` is for a pause.

        ``code`` is 1000 to 1003, 1007 to 1014 or 3000 to 4999; ``reason`` at most 123 bytes of UTF-8. What had
        arrived can still be received. Raises :class:`MessagesUnsent` when messages have failed with the close; at the
        end of a ``with`` block only if nothing else is raised.
        """
        number, text = close_arguments(code, reason)
        self._close(number, text, None)

    def _close(self, number: int, text: bytes, patience: Optional[float]) -> None:
        self._closed_here = True
        self._finish(lambda: int(_lib.pulsews_close(self._handle, number, text, _native.FOREVER)), patience)

    def _finish(self, call: Callable[[], int], patience: Optional[float] = None) -> None:
        """A call that ends the connection, with all of its time: cut into slices it would give up what waits to be sent
        at the end of the first. So that the main thread sees Ctrl-C another thread makes it, and goes on after that."""
        if not in_main_thread() or threads_are_green() or not self._is_trying():
            return self._ended(call())
        done = threading.Event()
        outcome: List[int] = []

        def work() -> None:
            outcome.append(call())
            done.set()

        try:
            threading.Thread(target=work, name="pulsews-close", daemon=True).start()
        except RuntimeError:  # the interpreter is about to end, or there are too many threads
            return self._ended(call())
        if done.wait(patience):
            self._ended(outcome[0])

    def _ended(self, status: int) -> None:
        """What was not sent in time is told by an event, and by the log."""
        if status < 0 and status != _contract.ETIMEOUT:
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


def connect(
    url: URL,
    *,
    wait: bool = False,
    timeout: Optional[Seconds] = None,
    recv_events: bool = False,
    parse_json: ParseJson = False,
    dump_json: Optional[Dumps] = None,
    **options: Unpack[Options],
) -> Client:
    """Connects to ``ws://host[:port]/path`` or ``wss://...`` and returns the open :class:`Client`.

    Options are keyword arguments: see :class:`Options`, and :func:`option_table` for defaults and ranges. With a login
    (options ``login``, ``login_confirm``) the client is logged in. A ``url`` that is a function is called before every
    attempt. Besides the library's options:

    * ``wait``: goes on after a failed attempt, as the options for reconnecting say, until there is a connection or
      trying has ended; so a program may start while the server is down. Without it the first attempt counts.
    * ``timeout``: how long to wait at most, then ``TimeoutError``.
    * ``recv_events``: receiving gives events (:class:`Event`) in their place among the messages.
    * ``parse_json``: texts that are a JSON object or array are received as its value. ``True``, or a function such as
      ``orjson.loads``; a text that it raises ``ValueError`` for is received as it is.
    * ``dump_json``: makes the JSON, ``str`` or ``bytes``, of dicts and lists that are sent; by default ``json.dumps``
      without ``NaN`` and infinities, which are refused.

    Raises ``ValueError`` for a bad URL or option, :class:`ConnectError` when there is no connection (its subclass
    :class:`OpenTimeout`, also a ``TimeoutError``, after ``open_timeout``), :class:`HandshakeError` when the server
    refuses, :class:`LoginError` when it rejects the login.
    """
    given: Mapping[str, Any] = options
    refuse_own_hold(url, given)
    client = Client(url, given, recv_events=recv_events, parse_json=parse_json, dump_json=dump_json)
    try:
        client._open(wait, timeout)
    except BaseException:
        client._dispose()
        raise
    return client
