# SPDX-License-Identifier: Apache-2.0
"""The asyncio client. It waits on a file descriptor: no thread, no executor, any event loop with ``add_reader``."""

from __future__ import annotations

import asyncio
import ctypes
import weakref
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any, AsyncIterator, Deque, Generator, List, Mapping, Optional, Type

from . import _native
from ._core import ORDERLY, PREFETCH, Core, Data, Held, Message, Sendable, control_payload, count, nanoseconds, payload
from ._errors import CallTimeout, ConnectionClosed
from .client import close_arguments

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import Options

__all__ = ["Client", "connect"]

_lib = _native.lib


def _woken(reference: "weakref.ref[Client]") -> None:
    client = reference()
    if client is not None:
        client._wake()


def _expire(waiter: "asyncio.Future[bool]") -> None:
    if not waiter.done():
        waiter.set_result(False)


class Client(Core):
    """A WebSocket connection for asyncio; :func:`connect` makes it.

    It belongs to the event loop it was made in. Any number of tasks may wait in its methods at once. Cancelling a call
    that waits (also by ``asyncio.wait_for``) loses no message and leaves the connection open. Times are seconds;
    ``None`` waits without an end.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiters: Deque["asyncio.Future[bool]"] = deque()
        self._descriptor = -1
        super().__init__(url, options)
        descriptor = _lib.pulsews_wake_fd(self._handle)
        if descriptor < 0:
            raise self._error(descriptor)
        # Weak, so that the loop does not keep a forgotten client alive.
        self._loop.add_reader(descriptor, _woken, weakref.ref(self))
        self._descriptor = descriptor

    def _dispose(self) -> None:
        """The loop must forget the descriptor before the library closes it."""
        loop, descriptor = self._loop, self._descriptor
        self._descriptor = -1
        if descriptor < 0 or loop.is_closed():
            return self._free()
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = not loop.is_running()
        if here:
            loop.remove_reader(descriptor)
            return self._free()
        # The garbage collector runs in another thread.
        handle, batch = self._release()

        def later() -> None:
            loop.remove_reader(descriptor)
            _lib.pulsews_client_free(handle)
            _lib.pulsews_batch_free(batch)

        try:
            loop.call_soon_threadsafe(later)
        except RuntimeError:  # closed since
            _lib.pulsews_client_free(handle)
            _lib.pulsews_batch_free(batch)

    def _forked(self) -> None:
        super()._forked()
        # The child shares the selector with the parent, which goes on waiting for the descriptor.
        self._descriptor = -1

    def _wake(self) -> None:
        _native.quick.pulsews_wake_clear(self._handle)
        waiters = self._waiters
        for _ in range(len(waiters)):
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(True)

    async def _wait(self, deadline: Optional[float]) -> bool:
        """Waits until the library has something new; false when the deadline comes first."""
        waiter: "asyncio.Future[bool]" = self._loop.create_future()
        self._waiters.append(waiter)
        timer = None if deadline is None else self._loop.call_at(deadline, _expire, waiter)
        try:
            return await waiter
        finally:
            if timer is not None:
                timer.cancel()
            if not waiter.done() or waiter.cancelled() or not waiter.result():
                try:
                    self._waiters.remove(waiter)
                except ValueError:
                    pass

    def _deadline(self, ns: int) -> Optional[float]:
        return None if ns < 0 else self._loop.time() + ns / 1e9

    async def _open(self) -> None:
        status = _lib.pulsews_start(self._handle)
        if status != _native.OK:
            raise self._error(status)
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        while True:
            status = _lib.pulsews_open(self._handle, 0, why, _native.ERROR_SIZE)
            if self._opened(status):
                return
            if status != _native.ETIMEOUT:
                raise self._error(status, why.value.decode("utf-8", "replace"))
            await self._wait(None)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        await self.close()

    # ---- sending

    async def send(self, data: Sendable, timeout: Optional[float] = None) -> None:
        """Sends one message: ``str`` as text, ``bytes``, ``bytearray`` or ``memoryview`` as binary.

        A lone message leaves before the call returns. When the queue of messages to send is full, it waits for room;
        after ``timeout`` seconds without it raises :class:`QueueFull` (at once with 0). Raises :class:`NotConnected`
        and :class:`ConnectionClosed`, and ``ValueError`` for text that UTF-8 can't express. A call that was cancelled
        while it waited has sent nothing.
        """
        kind, body = payload(data)
        await self._transmit(kind, body, timeout)

    async def ping(self, data: Sendable = b"", timeout: Optional[float] = None) -> None:
        """Sends a ping of at most 125 bytes. Heartbeats go out by themselves; this is for peers that want more."""
        await self._transmit(_native.PING, control_payload(data), timeout)

    async def _transmit(self, kind: int, body: bytes, timeout: Optional[float]) -> None:
        ns = nanoseconds(timeout)
        status = _lib.pulsews_send(self._handle, kind, body, len(body), 0)
        if status == _native.OK:
            return
        deadline = self._deadline(ns)
        while status == _native.EQUEUEFULL and ns != 0:
            if not await self._wait(deadline):
                break
            status = _lib.pulsews_send(self._handle, kind, body, len(body), 0)
        if status != _native.OK:
            raise self._error(status)

    # ---- receiving

    async def recv(self, timeout: Optional[float] = None) -> Data:
        """Receives one message: ``str`` for text, ``bytes`` for binary.

        Raises ``TimeoutError`` after ``timeout`` seconds without one (at once with 0), and :class:`ConnectionClosed`
        when the connection has ended and everything that had arrived was received.
        """
        held = self._prefetch.popleft() if self._prefetch else await self._receive_one(timeout, False)
        return held.data if isinstance(held, Message) else held

    async def recv_message(self, timeout: Optional[float] = None) -> Message:
        """Receives one message as :meth:`recv`, with its time of arrival and all else that is known about it."""
        held = await self._receive_one(timeout, True)
        assert isinstance(held, Message)
        return held

    async def recv_batch(self, max: int = 256, timeout: Optional[float] = None) -> List[Data]:
        """Receives up to ``max`` messages: whatever is there, or the first to come. The fastest way to receive.

        An empty list when ``timeout`` seconds are over without one. Raises :class:`ConnectionClosed` as :meth:`recv`.
        """
        ns = -1 if timeout is None else nanoseconds(timeout)
        maximum = count(max)
        deadline = self._deadline(ns)
        while True:
            if self._prefetch:
                return self._drain(maximum)
            status, batch = self._fetch(maximum, 0)
            if batch:
                return batch
            if status == _native.ETIMEOUT:
                if ns == 0 or not await self._wait(deadline):
                    return []
            elif status < 0:
                raise self._error(status)

    async def _receive_one(self, timeout: Optional[float], whole: bool) -> Held:
        ns = -1 if timeout is None else nanoseconds(timeout)
        deadline = self._deadline(ns)
        prefetch = self._prefetch
        while True:
            if prefetch:
                if whole:
                    self._with_details()
                return prefetch.popleft()
            status, batch = self._fetch(PREFETCH, 0, whole)
            if batch:
                if len(batch) > 1:
                    self._fetched = status
                    prefetch.extend(batch[1:])
                return batch[0]  # type: ignore[no-any-return]
            if status == _native.ETIMEOUT:
                if ns == 0 or not await self._wait(deadline):
                    raise CallTimeout(f"no message within {timeout} s", status, "PULSEWS_ETIMEOUT")
            elif status < 0:
                raise self._error(status)

    async def __aiter__(self) -> AsyncIterator[Data]:
        """Messages as they come. Ends when the peer closed in order (1000, 1001 or no code) or this side closed;
        raises :class:`ConnectionClosed` for every other end."""
        while True:
            try:
                message = await self.recv()
            except ConnectionClosed as end:
                if end.error_code == _native.ECLOSED or (end.error_code == _native.EPEERCLOSED and end.code in ORDERLY):
                    return
                raise
            yield message

    # ---- closing

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes with a close frame after everything that was sent, and waits for the peer's answer, at most for
        option ``close_timeout``. Waiting calls of other tasks end. Closing again does nothing.

        ``code`` is 1000 to 1003, 1007 to 1014 or 3000 to 4999; ``reason`` at most 123 bytes of UTF-8. What had
        arrived can still be received.
        """
        number, text = close_arguments(code, reason)
        self._closed_here = True
        while True:
            status = _lib.pulsews_close(self._handle, number, text, 0)
            if status == _native.OK:
                return
            if status != _native.ETIMEOUT:
                raise self._error(status)
            await self._wait(None)


class connect:
    """Connects to ``ws://host[:port]/path`` or ``wss://...``; use it as ``async with`` or with ``await``.

    Options are keyword arguments: see :class:`pulsews.Options`, and :func:`pulsews.option_table` for defaults and
    ranges. Gives the open :class:`Client`. Raises as :func:`pulsews.connect`.
    """

    def __init__(self, url: str, **options: Unpack[Options]) -> None:
        self._url = url
        self._options: Mapping[str, Any] = options
        self._client: Optional[Client] = None

    async def _connect(self) -> Client:
        client = Client(self._url, self._options)
        try:
            await client._open()
        except BaseException:
            client._dispose()
            raise
        return client

    def __await__(self) -> Generator[Any, None, Client]:
        return self._connect().__await__()

    async def __aenter__(self) -> Client:
        self._client = await self._connect()
        return self._client

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
