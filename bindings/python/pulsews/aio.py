# SPDX-License-Identifier: Apache-2.0
"""The asyncio client."""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Generator, List, Mapping, Optional, Type

from . import _contract, _native
from ._aio_core import first_url
from ._aio_sending import AsyncSending
from ._errors import CallTimeout, ConnectionClosed, MessagesUnsent
from ._hooks import refuse_own_hold
from ._inbox import PREFETCH
from ._items import Event, Message
from ._json import Dumps, ParseJson
from ._options import URL
from ._values import Seconds, count, nanoseconds, span
from .client import close_arguments

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import Options

__all__ = ["Client", "connect"]

_lib = _native.lib

# The end of `async with` waits so many seconds for the close, when the task is to end at once.
_HURRY = 0.2


class Client(AsyncSending):
    """A WebSocket connection for asyncio; :func:`connect` makes it.

    It belongs to the event loop it was made in. Any number of tasks may wait in its methods at once. Cancelling a call
    that waits (also by ``asyncio.wait_for``) loses no message and leaves the connection open. Times are seconds;
    ``None`` waits without an end. What never waits, such as :meth:`subscribe` and :meth:`reconnect`, is a plain method.

    A lost connection comes back by itself (option ``reconnect``): receiving just goes on waiting, and what is sent
    meanwhile waits in the outbox. When trying has ended, receiving raises why, after all that had arrived.
    """

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        await self._leave(kind)

    async def _leave(self, kind: Optional[Type[BaseException]]) -> None:
        """The end of ``async with``: after Ctrl-C, or when the task was cancelled, the close goes on without it."""
        if kind is None or issubclass(kind, Exception):
            try:
                return await self.close()
            except MessagesUnsent:
                if kind is None:
                    raise
                return
        closing = asyncio.ensure_future(self.close())
        done, _ = await asyncio.wait({closing}, timeout=_HURRY)
        if not done:
            closing.cancel()
        elif not closing.cancelled():
            closing.exception()  # the one that is on its way out counts

    async def wait_ready(self, timeout: Optional[Seconds] = None) -> None:
        """Waits until the connection is ready: open, logged in, and the subscriptions sent.

        Raises ``TimeoutError`` after ``timeout`` seconds, and why the client has stopped trying when it has.
        """
        ns = nanoseconds(timeout)
        deadline = self._deadline(ns)
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        while True:
            status = _lib.pulsews_wait_ready(self._handle, 0, why, _native.ERROR_SIZE)
            if status == _contract.OK:
                self._was_open = True
                return
            if status != _contract.ETIMEOUT:
                raise self._error(status, why.value.decode("utf-8", "replace"))
            if ns == 0 or not await self._wait_a_little(deadline):
                raise CallTimeout(f"the connection was not ready within {span(timeout)}", status)

    # ---- receiving

    async def recv(self, timeout: Optional[Seconds] = None) -> Any:
        """Receives one message: ``str`` for text, ``bytes`` for binary; with ``parse_json`` the value of a text that is
        JSON, and with ``recv_events`` also an :class:`pulsews.Event`.

        Waits across reconnects. Raises ``TimeoutError`` after ``timeout`` seconds without one (at once with 0); and
        when the client has ended and everything that had arrived was received: :class:`ConnectionClosed` after a close
        or, with ``reconnect=False``, a lost connection; and why it has stopped trying when it has, such as
        :class:`ConnectError` or :class:`HandshakeError`.

        However many messages wait, the event loop has its turn after a few milliseconds.
        """
        if self._prefetch and monotonic() < self._turn_ends:
            held: Any = self._prefetch.popleft()
            if held.__class__ is self._plain:
                return held
            if held.__class__ is not Event or self._recv_events:
                return self._given(held)
            self._put_aside(held)
        held = await self._receive_one(timeout, False)
        return held if self._decode is None and held.__class__ is not Message else self._given(held)

    async def recv_message(self, timeout: Optional[Seconds] = None) -> Any:
        """Receives one :class:`pulsews.Message` as :meth:`recv`, with its time of arrival and all else that is known
        about it; with ``recv_events`` also an :class:`pulsews.Event`."""
        held = await self._receive_one(timeout, True)
        return held if self._decode is None or held.__class__ is not Message else self._details_given(held)

    async def recv_batch(self, max: int = 256, timeout: Optional[Seconds] = None) -> List[Any]:
        """Receives up to ``max`` messages: whatever is there, or the first to come. The fastest way to receive.

        An empty list when ``timeout`` seconds are over without one. Raises at the end as :meth:`recv`. A list ends
        where an event is: :meth:`events` after it tells what happened behind its last message. With ``recv_events``
        the events are in the list.
        """
        ns = -1 if timeout is None else nanoseconds(timeout)
        maximum = count(max)
        deadline = self._deadline(ns)
        if monotonic() >= self._turn_ends:
            await self._give_way()
        while True:
            if self._prefetch:
                batch = self._drain(maximum)
                if batch:
                    break
            status, items = self._fetch(maximum, 0)
            if items:
                batch = self._batch_given(status, items, maximum)
                if batch:
                    break
            elif status == _contract.ETIMEOUT:
                if ns == 0 or not await self._wait(deadline):
                    return []
            else:
                raise self._error(status)
        return batch if self._decode is None else self._decoded(batch)

    async def _receive_one(self, timeout: Optional[Seconds], whole: bool) -> Any:
        prefetch = self._prefetch
        if monotonic() >= self._turn_ends:
            await self._give_way()
        ns = -1 if timeout is None else nanoseconds(timeout)
        deadline = self._deadline(ns)
        while True:
            if prefetch:
                if whole:
                    self._with_details()
                try:
                    return self._pop()
                except IndexError:  # there were only events
                    pass
            status, items = self._fetch(PREFETCH, 0, whole)
            if items:
                self._fetched = status
                prefetch.extend(items)
            elif status == _contract.ETIMEOUT:
                if ns == 0 or not await self._wait(deadline):
                    raise CallTimeout(f"no message within {span(timeout)}", status)
            else:
                raise self._error(status)

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Messages as they come, across reconnects, as :meth:`recv` gives them. Ends when this side closed, and with
        ``reconnect=False`` when the peer closed in order (1000, 1001 or no code); raises as :meth:`recv` for every other
        end. However many messages wait, the event loop has its turn after a few milliseconds."""
        prefetch = self._prefetch
        plain = self._plain
        while True:
            while prefetch:
                if monotonic() >= self._turn_ends:
                    await self._give_way()
                    continue  # another task may have taken what there was
                held: Any = prefetch.popleft()
                if held.__class__ is plain:
                    yield held
                elif held.__class__ is Event and not self._recv_events:
                    self._put_aside(held)
                else:
                    yield self._given(held)
            try:
                message = await self.recv()
            except ConnectionClosed as end:
                if self._orderly(end):
                    return
                raise
            yield message

    # ---- closing

    async def disconnect(self, timeout: Optional[Seconds] = None) -> None:
        """Closes with code 1000 after what was sent, for a client that may come back: :meth:`reconnect` connects it
        again. Waits for the peer's answer, at most for option ``close_timeout`` after everything was sent; what still
        waits to be sent after ``timeout`` seconds fails: :class:`MessagesUnsent`. Until then sending and receiving
        raise :class:`ConnectionClosed`."""
        ns = nanoseconds(timeout)
        deadline = self._deadline(ns)
        if self.statistics().get("queue_size"):
            status = await self._end_in_thread(lambda: int(_lib.pulsews_disconnect(self._handle, ns)))
        else:
            # Without an outbox that has to become empty, the close goes on by itself.
            status = _lib.pulsews_disconnect(self._handle, 0)
            while ns != 0 and status == _contract.ETIMEOUT and self._is_closing():
                if not await self._wait_a_little(deadline):
                    break
        if status < 0 and status != _contract.ETIMEOUT:
            raise self._error(status)

    def _is_closing(self) -> bool:
        """Whether a disconnect has begun and is not over."""
        return bool(
            _lib.pulsews_client_state(self._handle) not in (0, 4)
            and _lib.pulsews_wait_ready(self._handle, 0, None, 0) == _contract.ECLOSED
        )

    async def _end_in_thread(self, call: Callable[[], int]) -> int:
        """The call has to wait in the library: what is in the outbox when it returns is given up."""
        assert self._loop is not None
        loop = self._loop
        outcome: "asyncio.Future[int]" = loop.create_future()

        def tell(status: int) -> None:
            if not outcome.done():
                outcome.set_result(status)

        def work() -> None:
            status = call()
            try:
                loop.call_soon_threadsafe(tell, status)
            except RuntimeError:  # the loop was closed meanwhile
                pass

        thread = threading.Thread(target=work, name="pulsews-close", daemon=True)
        thread.start()
        # It has begun when this returns, so that a reconnect() after it comes after it.
        end = time.monotonic() + 1
        while thread.is_alive() and not self._is_closing() and time.monotonic() < end:
            time.sleep(0)
        return await outcome

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes with a close frame after everything that was sent, and waits for the peer's answer, at most for
        option ``close_timeout``. Waiting calls of other tasks end. Closing again does nothing, and nothing brings the
        client back; :meth:`disconnect` is for a pause.

        ``code`` is 1000 to 1003, 1007 to 1014 or 3000 to 4999; ``reason`` at most 123 bytes of UTF-8. What had
        arrived can still be received. Raises :class:`MessagesUnsent` when messages have failed with the close; at the
        end of a ``with`` block only if nothing else is raised.
        """
        number, text = close_arguments(code, reason)
        self._closed_here = True
        if self._is_trying() and self.statistics().get("queue_size"):
            status = await self._end_in_thread(
                lambda: int(_lib.pulsews_close(self._handle, number, text, _native.FOREVER))
            )
        else:
            # Without an outbox that has to become empty, the close goes on by itself.
            while True:
                status = _lib.pulsews_close(self._handle, number, text, 0)
                if status != _contract.ETIMEOUT:
                    break
                await self._wait(None)
        if status < 0 and status != _contract.ETIMEOUT:
            raise self._error(status)


class connect:
    """Connects to ``ws://host[:port]/path`` or ``wss://...``; use it as ``async with`` or with ``await``.

    Options are keyword arguments: see :class:`pulsews.Options`, and :func:`pulsews.option_table` for defaults and
    ranges; ``wait``, ``timeout``, ``recv_events``, ``parse_json`` and ``dump_json`` as for :func:`pulsews.connect`.
    Functions among the options, and for the URL, may be async. Gives the open :class:`Client`. Raises as
    :func:`pulsews.connect`.
    """

    def __init__(
        self,
        url: URL,
        *,
        wait: bool = False,
        timeout: Optional[Seconds] = None,
        recv_events: bool = False,
        parse_json: ParseJson = False,
        dump_json: Optional[Dumps] = None,
        **options: Unpack[Options],
    ) -> None:
        self._url = url
        self._wait = wait
        self._timeout = timeout
        self._keywords: Mapping[str, Any] = {"recv_events": recv_events, "parse_json": parse_json, "dump_json": dump_json}
        self._options: Mapping[str, Any] = options
        self._client: Optional[Client] = None

    async def _connect(self) -> Client:
        refuse_own_hold(self._url, self._options)
        client = Client(await first_url(self._url), self._options, **self._keywords)
        try:
            await client._open(self._wait, self._timeout)
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
            await client._leave(kind)
