# SPDX-License-Identifier: Apache-2.0
"""The manager: a connection for asyncio that is used through callbacks."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Awaitable, Iterable, List, Mapping, Optional, Set, Type

from . import _native, aio
from ._aio_core import first_url
from ._callbacks import Callback, Steps, by_this_side
from ._errors import MessagesUnsent
from ._json import Dumps, ParseJson
from ._managing import Managing
from ._options import URL
from ._values import Seconds, Sendable, nanoseconds

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import Options

__all__ = ["WebSocketManager"]

_lib = _native.lib

# So many messages are taken from the library at once.
_BATCH = 256
# How long disconnect() waits for the callbacks of what had arrived; and the end of `async with` that was cancelled.
_PATIENCE = 5.0
_HURRY = 0.2
# The loop itself keeps tasks by weak references only.
_running: Set["asyncio.Task[None]"] = set()


class _Client(aio.Client):
    """Keeps events among the messages, and tells the manager when a function of an option fails."""

    def __init__(self, url: URL, options: Mapping[str, Any], manager: WebSocketManager) -> None:
        self._owner = manager
        super().__init__(url, options, attach=False, recv_events=True, dump_json=manager._dumps)

    def _hook_failed(self, event: Mapping[str, Any], problem: Exception) -> None:
        super()._hook_failed(event, problem)
        self._owner._hook_failed(problem)


class WebSocketManager(Managing):
    """A connection for asyncio that keeps itself alive and is used through callbacks.

        manager = pulsews.WebSocketManager(url="wss://...", on_message=handle, on_connect=connected)
        await manager.connect()
        await manager.send({"type": "subscribe", "data": {"symbol": "EURUSD"}})

    Options are keyword arguments as for :func:`pulsews.connect`: see :class:`pulsews.Options`. Callbacks are plain or
    async functions, and get as many of their arguments as they need:

    ``on_message(message)``
        for each message, in order: the value of a text that is a JSON object or array (``parse_json=False``: the text
        itself), other texts as ``str``, binary as ``bytes``. The next message waits until an async callback is done.
    ``on_connect(event)``
        each time the connection is ready: open, logged in, subscribed.
    ``on_disconnect(event)``
        each time a connection that was ready has ended, whoever ended it.
    ``on_error(error)``
        for each failed attempt, lost connection, end of trying, and exception in another callback.
    ``on_state_change(state, previous, event)``
        for each change of ``state``.
    ``on_event(event)``
        for each event, as :meth:`pulsews.Client.events` gives them.

    They run one after another in the order of what happened, in a task of the event loop. An exception in one is
    logged, told to ``on_error``, counted in :meth:`get_status` (``callback_errors``), and survived. They may call every
    method of the manager.

    The manager belongs to the event loop in which it is first used. :meth:`get_status`, :meth:`subscribe` and other
    methods that never wait are plain, the others are awaited.
    """

    def __init__(
        self,
        url: URL,
        *,
        on_message: Optional[Callback] = None,
        on_connect: Optional[Callback] = None,
        on_disconnect: Optional[Callback] = None,
        on_error: Optional[Callback] = None,
        on_state_change: Optional[Callback] = None,
        on_event: Optional[Callback] = None,
        parse_json: ParseJson = True,
        dump_json: Optional[Dumps] = None,
        **options: Unpack[Options],
    ) -> None:
        self._task: Optional["asyncio.Task[None]"] = None
        # Whether somebody wants to connect again while the end of the last time is still being told.
        self._resumed = False
        # Whether disconnect() was the last order, though its close may still be on the way.
        self._disconnecting = False
        self._end: Optional[Exception] = None
        # Where a callback runs, if not in the task above.
        self._callback_task: Optional["asyncio.Future[Any]"] = None
        # Tells on_error from outside of the task.
        self._tellers: Set["asyncio.Task[None]"] = set()
        given = {
            "on_message": on_message,
            "on_connect": on_connect,
            "on_disconnect": on_disconnect,
            "on_error": on_error,
            "on_state_change": on_state_change,
            "on_event": on_event,
        }
        super().__init__(url, given, parse_json, dump_json, options)

    def _make(self, url: URL) -> _Client:
        return _Client(url, self._options, self)

    def _current(self) -> Any:
        if self._client is None and inspect.iscoroutinefunction(self._url):
            raise RuntimeError("the URL comes from an async function: await connect() before this")
        return super()._current()

    async def _prepare(self) -> None:
        """Asks for the URL, if that is a function."""
        if self._client is None:
            url = await first_url(self._url)
            if self._client is None:
                self._client = self._make(url)

    def _use(self) -> _Client:
        """The client, on the running event loop."""
        client: _Client = self._current()
        loop = asyncio.get_running_loop()
        if client._loop is not loop:
            if client._loop is not None and not client._loop.is_closed():
                raise RuntimeError("this manager belongs to another event loop, which still exists")
            client._waiters.clear()
            client._attach(loop)
        return client

    # ---- connecting

    async def connect(self, timeout: Optional[Seconds] = None) -> bool:
        """Connects, and waits until the connection is ready; ``True`` then.

        Failed attempts are made again as the options say, and told to ``on_error``. Raises why when trying has ended:
        calling again tries anew. Raises ``TimeoutError`` after ``timeout`` seconds; the manager goes on trying in the
        background, as it does when the call is cancelled.
        """
        await self._prepare()
        client = self._use()
        if not self._started:
            client._check(_lib.pulsews_start(client._handle))
        elif self._disconnecting or client.state in ("disconnected", "error"):
            client.reconnect()
        self._go_on()
        await client.wait_ready(timeout)
        return True

    async def reconnect(self, timeout: Optional[Seconds] = None) -> bool:
        """Leaves the connection, or the delay before the next attempt, and connects at once; the count of attempts
        begins again. Waits, returns and raises as :meth:`connect`."""
        await self._prepare()
        client = self._use()
        before = client._mark()
        client.reconnect()
        self._go_on()
        deadline = client._deadline(-1 if timeout is None else nanoseconds(timeout))
        while True:
            await client.wait_ready(None if deadline is None else max(0.0, deadline - client._now()))
            if client._mark() != before:
                return True
            await client._wait_a_little(deadline)

    async def disconnect(self, timeout: Optional[Seconds] = None) -> None:
        """Closes the connection after what was sent, and stops trying; :meth:`connect` comes back. What still waits to
        be sent after ``timeout`` seconds fails: :class:`MessagesUnsent`. Returns when the callbacks have been called for
        what had arrived."""
        if not self._started:
            return
        client = self._use()
        self._disconnecting = True
        try:
            await client.disconnect(timeout)
        finally:
            await self._settle(client)

    async def _settle(self, client: _Client, patience: float = _PATIENCE) -> None:
        """Waits until the callbacks have been called for what had arrived."""
        task = self._task
        if task is None or asyncio.current_task() in (task, self._callback_task):
            return
        end = client._now() + patience
        # Another task may connect again meanwhile, and then it goes on.
        while self._disconnecting and not task.done() and client._now() < end:
            await asyncio.wait({task}, timeout=0.02)

    async def close(self) -> None:
        """Closes for good, after what was sent, and returns as :meth:`disconnect`: :meth:`connect` then raises
        :class:`ConnectionClosed`. It gives up the file of option ``journal``, so that the next client may have it;
        after :meth:`disconnect`, or the end of ``async with``, that is still this manager's."""
        await self._prepare()
        client = self._use()
        self._disconnecting = True
        try:
            await client.close()
        finally:
            await self._settle(client)

    async def wait_closed(self) -> None:
        """Waits until the manager is disconnected. Raises why, when trying to connect has ended."""
        if self._task is not None:
            await asyncio.wait({self._task})
        if self._end is not None:
            raise self._end

    async def wait_ready(self, timeout: Optional[Seconds] = None) -> None:
        """Waits until the connection is ready, as :meth:`connect`, but does not come back from a disconnect or the end
        of trying: raises why there will be no connection."""
        if not self._started:
            await self.connect(timeout)
        else:
            await self._use().wait_ready(timeout)

    async def __aenter__(self) -> WebSocketManager:
        try:
            await self.connect()
        except Exception:
            with suppress(MessagesUnsent):
                await self.disconnect(0)
            raise
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if kind is None:
            await self.disconnect()
        elif issubclass(kind, Exception):
            with suppress(MessagesUnsent):
                await self.disconnect()
        else:
            await self._leave()

    async def _leave(self) -> None:
        """After Ctrl-C, or when the task was cancelled: the connection is closed in order, and callbacks are hardly waited
        for."""
        if self._started:
            client = self._use()
            self._disconnecting = True
            with suppress(MessagesUnsent):
                await client.disconnect(_HURRY)
            await self._settle(client, _HURRY)

    # ---- sending

    async def send(
        self,
        message: Sendable,
        timeout: Optional[Seconds] = None,
        *,
        live_only: bool = False,
        report: bool = False,
        ttl: Optional[Seconds] = None,
        in_limit: bool = False,
        first: bool = False,
    ) -> Optional[int]:
        """Sends a message: a dict or list as its JSON, ``str`` as text, bytes as binary. Before :meth:`connect`, and
        while there is no connection, it waits in the outbox. Otherwise as :meth:`pulsews.aio.Client.send`."""
        return await self._use().send(
            message, timeout, live_only=live_only, report=report, ttl=ttl, in_limit=in_limit, first=first
        )

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
        """Sends many messages, in order; gives how many were accepted. As :meth:`pulsews.aio.Client.send_many`."""
        return await self._use().send_many(
            messages, timeout,
            live_only=live_only, report=report, ttl=ttl, in_limit=in_limit, first=first,
        )

    async def ping(self, data: Sendable = b"", timeout: Optional[Seconds] = None) -> None:
        """As :meth:`pulsews.aio.Client.ping`."""
        await self._use().ping(data, timeout)

    async def flush(self, timeout: Optional[Seconds] = None) -> None:
        """As :meth:`pulsews.aio.Client.flush`."""
        await self._use().flush(timeout)

    # ---- the task that calls the callbacks

    def _go_on(self) -> None:
        """Sees to it that the task runs, or goes on if it is about to end."""
        self._started = self._resumed = True
        self._disconnecting = False
        self._end = None
        task = self._task
        # A task of a loop that was closed never ends.
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            for one in list(_running):
                if one.get_loop().is_closed():
                    _running.discard(one)
            self._task = asyncio.get_running_loop().create_task(self._run())
            _running.add(self._task)
            self._task.add_done_callback(_running.discard)

    async def _run(self) -> None:
        client = self._client
        settled = False
        while True:
            try:
                items: List[Any] = await client.recv_batch(_BATCH)
            except Exception as end:
                if by_this_side(end) and not settled:
                    # Receiving ends when a close begins, and what the close brings comes at its end.
                    settled = client.state in ("disconnected", "error")
                    if not settled:
                        await client._wait_a_little(None)
                    continue
                settled = self._resumed = False
                await self._ended(client, end)
                if self._resumed:
                    continue
                return
            settled = False
            for item in items:
                for name, arguments in self._callbacks.of_item(client, item):
                    await self._call(client, name, arguments)
                if monotonic() >= client._turn_ends:
                    await client._give_way()

    async def _ended(self, client: _Client, end: Exception) -> None:
        if not by_this_side(end):
            self._end = end
        for name, arguments in self._callbacks.of_end(client, end):
            await self._call(client, name, arguments)

    # ---- callbacks

    async def _call(self, client: _Client, name: str, arguments: Any) -> None:
        try:
            start = monotonic()
            try:
                result = self._callbacks.call(name, arguments)
            finally:
                self._callbacks.took(client, name, monotonic() - start)
            if result is not None and inspect.isawaitable(result):
                await self._finished(Steps(result, lambda seconds: self._callbacks.took(client, name, seconds)))
        except Exception as problem:
            if self._callbacks.failed(client, name, problem):
                await self._call(client, "on_error", (problem,))

    async def _finished(self, result: Awaitable[Any]) -> None:
        """Waits for an async callback. That it is cancelled must not end the task that calls it."""
        cancelling = getattr(asyncio.current_task(), "cancelling", None)
        if cancelling is not None:
            before = cancelling()
            try:
                await result
            except asyncio.CancelledError as end:
                if cancelling() > before:
                    raise
                raise _Cancelled("it was cancelled") from end
            return
        # Before Python 3.11 only a task of its own tells who was cancelled.
        task = self._callback_task = asyncio.ensure_future(result)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            self._callback_task = None
        if task.cancelled():
            raise _Cancelled("it was cancelled")
        task.result()

    def _hook_failed(self, problem: Exception) -> None:
        """Of the function of an option; it was logged."""
        self._callbacks.errors += 1
        client = self._client
        if client._loop is not None:
            task = client._loop.create_task(self._call(client, "on_error", (problem,)))
            self._tellers.add(task)
            task.add_done_callback(self._tellers.discard)


class _Cancelled(Exception):
    """A callback that was cancelled, or waited for something that was."""
