# SPDX-License-Identifier: Apache-2.0
"""The sending part of the asyncio client."""

from __future__ import annotations

import ctypes
from typing import Iterable, Optional

from . import _contract, _native
from ._aio_core import AsyncCore
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


class AsyncSending(AsyncCore):
    """Sends, and waits for room."""

    async def send(
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
        connect, :class:`ConnectionClosed` after a close, and ``ValueError`` for text that UTF-8 can't express. A call
        that was cancelled while it waited has sent nothing.

        The keywords, and the id that it gives with any of them, are those of :meth:`pulsews.Client.send`.
        """
        kind, body = payload(data, self._dumps)
        if live_only or report or in_limit or first or ttl is not None:
            return await self._transmit_with(kind, body, timeout, send_flags(live_only, report, in_limit, first), ttl)
        await self._transmit(kind, body, timeout)
        return None

    async def ping(self, data: Sendable = b"", timeout: Optional[Seconds] = None) -> None:
        """Sends a ping of at most 125 bytes. Heartbeats go out by themselves; this is for peers that want more.

        Raises :class:`NotConnected` without an open connection: pings do not wait for one.
        """
        await self._transmit(_contract.PING, control_payload(data), timeout)

    async def _transmit(self, kind: int, body: bytes, timeout: Optional[Seconds]) -> None:
        ns = nanoseconds(timeout)
        status = _lib.pulsews_send(self._handle, kind, body, len(body), 0)
        if status == _contract.OK:
            return
        if self._blocks and kind != _contract.PING:
            deadline = self._deadline(ns)
            while status == _contract.EQUEUEFULL and ns != 0:
                if not await self._wait(deadline):
                    break
                status = _lib.pulsews_send(self._handle, kind, body, len(body), 0)
        if status != _contract.OK:
            raise self._error(status)

    async def _transmit_with(
        self, kind: int, body: bytes, timeout: Optional[Seconds], flags: int, ttl: Optional[Seconds]
    ) -> int:
        ns = nanoseconds(timeout)
        ttl_ns = time_to_live(ttl)
        number = ctypes.c_uint64()
        deadline = self._deadline(ns)
        start = self._now()
        rest = ttl_ns
        while True:
            status = _lib.pulsews_send_with(
                self._handle, kind, body, len(body), flags, rest, 0, ctypes.byref(number)
            )
            if status == _contract.OK:
                return number.value
            if ns == 0 or not await self._room(status, deadline):
                raise self._error(status)
            if ttl_ns > 0:  # it counts from the beginning of the call
                rest = max(1, ttl_ns - int((self._now() - start) * 1e9))

    async def _room(self, status: int, deadline: Optional[float]) -> bool:
        """Waits for room in the outbox or the rate limits; false when there will be none in time."""
        if status == _contract.ERATE:
            return await self._wait_a_little(deadline)
        return status == _contract.EQUEUEFULL and self._blocks and await self._wait(deadline)

    async def send_many(
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
        deadline = self._deadline(ns)
        done = 0
        while done < array.count:
            status = _lib.pulsews_send_batch(
                self._handle, array.at(done), array.count - done, flags, ttl_ns, 0, None
            )
            if status > 0:
                done += status
                # What did not fit shows with the next call.
                if done < array.count and (self._blocks or in_limit):
                    continue
                break
            if ns == 0 or not await self._room(status, deadline):
                if done:
                    break
                raise self._error(status)
        return done

    async def flush(self, timeout: Optional[Seconds] = None) -> None:
        """Waits until every message that was sent before the call has left the outbox: handed to the network, dropped,
        expired or failed. Raises ``TimeoutError`` after ``timeout`` seconds, :class:`NotConnected` when trying to
        connect has ended with messages still queued. It waits in a thread of the loop's executor."""
        ns = nanoseconds(timeout)
        status = _lib.pulsews_flush(self._handle, 0)
        if status == _contract.ETIMEOUT and ns != 0:
            status = await self._in_thread(_lib.pulsews_flush, ns)
        if status == _contract.ETIMEOUT:
            raise CallTimeout(f"messages still wait in the outbox after {span(timeout)}", status)
        if status != _contract.OK:
            raise self._error(status)
