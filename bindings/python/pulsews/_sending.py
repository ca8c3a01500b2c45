# SPDX-License-Identifier: Apache-2.0
"""The sending part of the blocking client, and how its calls wait."""

from __future__ import annotations

import ctypes
import threading
from time import monotonic_ns
from typing import Iterable, Optional

from . import _contract, _native
from ._core import Core
from ._errors import CallTimeout
from ._values import (
    MessageArray,
    Seconds,
    Sendable,
    control_payload,
    nanoseconds,
    payload,
    send_flags,
    span,
    time_to_live,
)

_lib = _native.lib
_send = _native.send

_size = ctypes.c_size_t
_KINDS = {kind: ctypes.c_uint32(kind) for kind in (_contract.TEXT, _contract.BINARY, _contract.PING)}

# The main thread must come back to Python to see Ctrl-C: it waits in slices of so many nanoseconds. Other threads
# do so once and then wait for the whole time.
SLICE = 200_000_000
_SLICE_ARG = ctypes.c_int64(SLICE)


def in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


class Wait:
    """Cuts the time of a call into slices: ``ns`` is how long the next foreign call may take."""

    __slots__ = ("ns", "_deadline")

    def __init__(self, ns: int, start: int = 0) -> None:
        self._deadline = -1 if ns < 0 else (start or monotonic_ns()) + ns
        self.ns = ns if 0 <= ns < SLICE else SLICE

    @property
    def is_over(self) -> bool:
        return self._deadline >= 0 and monotonic_ns() >= self._deadline

    def goes_on(self) -> bool:
        """After a call that took its whole slice: whether there is time for another one."""
        rest = -1
        if self._deadline >= 0:
            rest = self._deadline - monotonic_ns()
            if rest <= 0:
                return False
        if in_main_thread() and not 0 <= rest < SLICE:
            rest = SLICE
        self.ns = rest
        return True


class Sending(Core):
    """Sends, and waits for room."""

    def send(
        self,
        data: Sendable,
        timeout: Optional[Seconds] = None,
        # To be used by keyword; enforcing that would cost a tenth of the call.
        live_only: bool = False,
        report: bool = False,
        ttl: Optional[Seconds] = None,
        in_limit: bool = False,
        first: bool = False,
    ) -> Optional[int]:
        """Sends one message: ``str`` as text, ``bytes``, ``bytearray`` or ``memoryview`` as binary, a dict or list as
        its JSON (``dump_json`` makes it).

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
        kind, body = payload(data, self._dumps)
        if live_only or report or in_limit or first or ttl is not None:
            return self._transmit_with(kind, body, timeout, send_flags(live_only, report, in_limit, first), ttl)
        self._transmit(kind, body, timeout)
        return None

    def ping(self, data: Sendable = b"", timeout: Optional[Seconds] = None) -> None:
        """Sends a ping of at most 125 bytes. Heartbeats go out by themselves; this is for peers that want more.

        Raises :class:`NotConnected` without an open connection: pings do not wait for one.
        """
        self._transmit(_contract.PING, control_payload(data), timeout)

    def _transmit(self, kind: int, body: bytes, timeout: Optional[Seconds]) -> None:
        if timeout is None:
            status = _send(self._client_arg, _KINDS[kind], body, _size(len(body)), _SLICE_ARG)
            start = ns = -1
        else:
            ns = nanoseconds(timeout)
            start = monotonic_ns()
            status = _send(
                self._client_arg, _KINDS[kind], body, _size(len(body)), ctypes.c_int64(min(ns, SLICE))
            )
        if status == _contract.EQUEUEFULL and ns != 0 and self._blocks and kind != _contract.PING:
            wait = Wait(ns, start)
            while status == _contract.EQUEUEFULL and wait.goes_on():
                status = _lib.pulsews_send(self._handle, kind, body, len(body), wait.ns)
        if status != _contract.OK:
            raise self._error(status)

    def _transmit_with(
        self, kind: int, body: bytes, timeout: Optional[Seconds], flags: int, ttl: Optional[Seconds]
    ) -> int:
        ns = nanoseconds(timeout)
        ttl_ns = time_to_live(ttl)
        number = ctypes.c_uint64()
        start = monotonic_ns()
        wait = Wait(ns, start)
        rest = ttl_ns
        while True:
            status = _lib.pulsews_send_with(
                self._handle, kind, body, len(body), flags, rest, wait.ns, ctypes.byref(number)
            )
            if status == _contract.OK:
                return number.value
            if not self._may_wait(status) or ns == 0 or not wait.goes_on():
                raise self._error(status)
            if ttl_ns > 0:  # it counts from the beginning of the call
                rest = max(1, ttl_ns - (monotonic_ns() - start))

    def _may_wait(self, status: int) -> bool:
        """Whether it is the time of the call, cut into slices, that has run out, and not a refusal."""
        return status == _contract.ERATE or (status == _contract.EQUEUEFULL and self._blocks)

    def send_many(
        self,
        messages: Iterable[Sendable],
        timeout: Optional[Seconds] = None,
        *,
        live_only: bool = False,
        report: bool = False,
        ttl: Optional[Seconds] = None,
        in_limit: bool = False,
        first: bool = False,
    ) -> int:
        """Sends many messages in order with one call of the library, and gives how many were accepted, from the first
        on: fewer when the outbox is full or the time is over. Raises as :meth:`send` if the first one was not."""
        array = MessageArray(messages, self._dumps)
        flags = send_flags(live_only, report, in_limit, first)
        ttl_ns = time_to_live(ttl)
        ns = nanoseconds(timeout)
        wait = Wait(ns)
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

    def flush(self, timeout: Optional[Seconds] = None) -> None:
        """Waits until every message that was sent before the call has left the outbox: handed to the network, dropped,
        expired or failed. Raises ``TimeoutError`` after ``timeout`` seconds, :class:`NotConnected` when trying to
        connect has ended with messages still queued."""
        ns = nanoseconds(timeout)
        wait = Wait(ns)
        while True:
            status = _lib.pulsews_flush(self._handle, wait.ns)
            if status == _contract.OK:
                return
            if status != _contract.ETIMEOUT:
                raise self._error(status)
            if ns == 0 or not wait.goes_on():
                raise CallTimeout(f"messages still wait in the outbox after {span(timeout)}", status)
