# SPDX-License-Identifier: Apache-2.0
"""The manager: a connection for asyncio that is used through callbacks."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict, Iterable, List, Mapping, Optional, Set, Type, Union

from . import _native, aio
from ._core import Event
from ._errors import ConnectionClosed, PulseError
from ._log import logger
from ._options import json_text
from ._tables import ERROR_CODES
from ._values import Data, Sendable, nanoseconds

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import Options

__all__ = ["WebSocketManager"]

_lib = _native.lib

Callback = Callable[..., Any]
Outgoing = Union[Sendable, Mapping[str, Any], List[Any]]

# The event loop gets its turn after so many messages.
_BATCH = 256
# How long disconnect() waits for the callbacks of what had arrived.
_PATIENCE = 5.0
# Callback and how many arguments it gets: at least, at most.
_CALLBACKS = {
    "on_message": (1, 1),
    "on_connect": (0, 1),
    "on_disconnect": (0, 1),
    "on_error": (1, 1),
    "on_state_change": (1, 3),
    "on_event": (1, 1),
}
# The loop itself keeps tasks by weak references only.
_running: Set["asyncio.Task[None]"] = set()


def _arguments(name: str, callback: Callback) -> int:
    """How many arguments the callback gets: those that it can't do without."""
    least, most = _CALLBACKS[name]
    if not callable(callback):
        raise TypeError(f"{name} must be a function, not {type(callback).__name__}")
    try:
        parameters = list(inspect.signature(callback).parameters.values())
    except (TypeError, ValueError):
        return most if name == "on_message" else least
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = [one for one in positional if one.default is one.empty]
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return most
    if len(needed) > most:
        raise TypeError(f"{name} gets at most {most} argument{'s' * (most > 1)}, and {callback!r} needs {len(needed)}")
    return max(len(needed), min(least, len(positional)))


class _Client(aio.Client):
    """Keeps events among the messages, and tells the manager when a function of an option fails."""

    _inline = True

    def __init__(self, url: str, options: Mapping[str, Any], failed: Callable[[str, Exception], None]) -> None:
        self._failed = failed
        super().__init__(url, options, attach=False)

    def _hook_failed(self, event: Mapping[str, Any], problem: Exception) -> None:
        super()._hook_failed(event, problem)
        self._failed("login" if event.get("at") == "login" else "headers", problem)


class WebSocketManager:
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
        url: str,
        *,
        on_message: Optional[Callback] = None,
        on_connect: Optional[Callback] = None,
        on_disconnect: Optional[Callback] = None,
        on_error: Optional[Callback] = None,
        on_state_change: Optional[Callback] = None,
        on_event: Optional[Callback] = None,
        parse_json: bool = True,
        **options: Unpack[Options],
    ) -> None:
        given = {
            "on_message": on_message,
            "on_connect": on_connect,
            "on_disconnect": on_disconnect,
            "on_error": on_error,
            "on_state_change": on_state_change,
            "on_event": on_event,
        }
        self._callbacks = {
            name: (callback, _arguments(name, callback)) for name, callback in given.items() if callback is not None
        }
        self._parse_json = parse_json
        self._options: Dict[str, Any] = dict(options)
        # The order of the callbacks, and some of what they mean, comes with events.
        self._options["events"] = True
        self._url = url
        self._pid = os.getpid()
        self._started = False
        self._task: Optional["asyncio.Task[None]"] = None
        # Whether somebody wants to connect again while the end of the last time is still being told.
        self._resumed = False
        # Whether disconnect() was the last order, though its close may still be on the way.
        self._disconnecting = False
        # Whether the last callback of the two was on_connect.
        self._up = False
        self._end: Optional[Exception] = None
        self._callback_errors = 0
        self._unhandled = 0
        # Where a callback runs, if not in the task above.
        self._callback_task: Optional["asyncio.Future[Any]"] = None
        # Tells on_error from outside of the task.
        self._tellers: Set["asyncio.Task[None]"] = set()
        self._client = self._make()

    def _make(self) -> _Client:
        return _Client(self._url, self._options, self._hook_failed)

    def _current(self) -> _Client:
        if not self._started and self._pid != os.getpid():
            # Made before a fork, as servers do that load the application once: nothing of it is in use yet.
            self._pid = os.getpid()
            self._client = self._make()
        return self._client

    def _use(self) -> _Client:
        """The client, on the running event loop."""
        client = self._current()
        loop = asyncio.get_running_loop()
        if client._loop is not loop:
            if client._loop is not None and not client._loop.is_closed():
                raise RuntimeError("this manager belongs to another event loop, which still exists")
            client._waiters.clear()
            client._attach(loop)
        return client

    def __repr__(self) -> str:
        return repr(self._client).replace("manager._Client", "WebSocketManager")

    # ---- connecting

    async def connect(self, timeout: Optional[float] = None) -> bool:
        """Connects, and waits until the connection is ready; ``True`` then.

        Failed attempts are made again as the options say, and told to ``on_error``. Raises why when trying has ended:
        calling again tries anew. Raises ``TimeoutError`` after ``timeout`` seconds; the manager goes on trying in the
        background, as it does when the call is cancelled.
        """
        client = self._use()
        if not self._started:
            client._check(_lib.pulsews_start(client._handle))
        elif self._disconnecting or client.state in ("disconnected", "error"):
            client.reconnect()
        self._go_on()
        await client.wait_ready(timeout)
        return True

    async def reconnect(self, timeout: Optional[float] = None) -> bool:
        """Leaves the connection, or the delay before the next attempt, and connects at once; the count of attempts
        begins again. Waits, returns and raises as :meth:`connect`."""
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

    async def disconnect(self, timeout: Optional[float] = None) -> None:
        """Closes the connection after what was sent, and stops trying; :meth:`connect` comes back. What still waits to
        be sent after ``timeout`` seconds fails. Returns when the callbacks have been called for what had arrived."""
        if not self._started:
            return
        client = self._use()
        self._disconnecting = True
        await client.disconnect(timeout)
        await self._settle(client)

    async def _settle(self, client: _Client) -> None:
        """Waits until the callbacks have been called for what had arrived."""
        task = self._task
        if task is None or asyncio.current_task() in (task, self._callback_task):
            return
        end = client._now() + _PATIENCE
        # Another task may connect again meanwhile, and then it goes on.
        while self._disconnecting and not task.done() and client._now() < end:
            await asyncio.wait({task}, timeout=0.02)

    async def close(self) -> None:
        """Closes for good, after what was sent, and returns as :meth:`disconnect`: :meth:`connect` then raises
        :class:`ConnectionClosed`. It gives up the file of option ``journal``, so that the next client may have it;
        after :meth:`disconnect`, or the end of ``async with``, that is still this manager's."""
        client = self._use()
        self._disconnecting = True
        await client.close()
        await self._settle(client)

    async def wait_closed(self) -> None:
        """Waits until the manager is disconnected. Raises why, when trying to connect has ended."""
        if self._task is not None:
            await asyncio.wait({self._task})
        if self._end is not None:
            raise self._end

    async def wait_ready(self, timeout: Optional[float] = None) -> None:
        """Waits until the connection is ready, as :meth:`connect`, but does not come back from a disconnect or the end
        of trying: raises why there will be no connection."""
        if not self._started:
            await self.connect(timeout)
        else:
            await self._use().wait_ready(timeout)

    async def __aenter__(self) -> WebSocketManager:
        try:
            await self.connect()
        except BaseException:
            await self.disconnect(0)
            raise
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        await self.disconnect()

    # ---- sending

    async def send(
        self,
        message: Outgoing,
        timeout: Optional[float] = None,
        *,
        live_only: bool = False,
        report: bool = False,
        ttl: Optional[float] = None,
        in_limit: bool = False,
        first: bool = False,
    ) -> Optional[int]:
        """Sends a message: a dict or list as its JSON, ``str`` as text, bytes as binary. Before :meth:`connect`, and
        while there is no connection, it waits in the outbox. Otherwise as :meth:`pulsews.aio.Client.send`."""
        return await self._use().send(
            _outgoing(message), timeout, live_only=live_only, report=report, ttl=ttl, in_limit=in_limit, first=first
        )

    async def send_many(
        self,
        messages: Iterable[Outgoing],
        timeout: Optional[float] = None,
        *,
        live_only: bool = False,
        report: bool = False,
        ttl: Optional[float] = None,
        in_limit: bool = False,
        first: bool = False,
    ) -> int:
        """Sends many messages, in order; gives how many were accepted. As :meth:`pulsews.aio.Client.send_many`."""
        client = self._use()
        if isinstance(messages, (str, bytes, bytearray, memoryview, Mapping)):
            raise TypeError(f"messages must be an iterable of messages, not {type(messages).__name__}")
        return await client.send_many(
            [_outgoing(message) for message in messages], timeout,
            live_only=live_only, report=report, ttl=ttl, in_limit=in_limit, first=first,
        )

    async def ping(self, data: Sendable = b"", timeout: Optional[float] = None) -> None:
        """As :meth:`pulsews.aio.Client.ping`."""
        await self._use().ping(data, timeout)

    async def flush(self, timeout: Optional[float] = None) -> None:
        """As :meth:`pulsews.aio.Client.flush`."""
        await self._use().flush(timeout)

    def purge(self) -> int:
        """Drops what waits in the outbox; gives how many messages that were."""
        return self._current().purge()

    # ---- orders that do not wait

    def subscribe(
        self,
        key: str,
        message: Union[None, str, Mapping[str, Any], List[Any]] = None,
        unsubscribe: Union[None, str, Mapping[str, Any], List[Any]] = None,
    ) -> None:
        """As :meth:`pulsews.Client.subscribe`."""
        self._current().subscribe(key, message, unsubscribe)

    def unsubscribe(self, key: str) -> None:
        """As :meth:`pulsews.Client.unsubscribe`."""
        self._current().unsubscribe(key)

    def set_header(self, name: str, value: Optional[str]) -> None:
        """As :meth:`pulsews.Client.set_header`."""
        self._current().set_header(name, value)

    def set_url(self, url: str) -> None:
        """As :meth:`pulsews.Client.set_url`."""
        self._current().set_url(url)

    def release(self) -> None:
        """As :meth:`pulsews.Client.release`, for options ``hold_login`` and ``hold_connect`` with ``on_event``."""
        self._current().release()

    # ---- looking

    @property
    def url(self) -> str:
        return self._client.url

    @property
    def state(self) -> str:
        """``"disconnected"``, ``"connecting"``, ``"connected"``, ``"reconnecting"`` or ``"error"``."""
        return self._current().state

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open."""
        return self.state == "connected"

    @property
    def is_ready(self) -> bool:
        """Whether the connection is open, logged in and subscribed, so that messages go out at once."""
        return self._current().is_ready

    def get_status(self) -> Dict[str, Any]:
        """State and statistics as :meth:`pulsews.Client.status` gives them, with ``callback_errors``, the number of
        exceptions in callbacks, and ``messages_unhandled``, of messages that came without an ``on_message``."""
        status = self._current().status()
        status["callback_errors"] = self._callback_errors
        status["messages_unhandled"] = self._unhandled
        return status

    def statistics(self) -> Dict[str, float]:
        """As :meth:`pulsews.Client.statistics`."""
        return self._current().statistics()

    def prometheus(self) -> str:
        """As :meth:`pulsews.Client.prometheus`."""
        return self._current().prometheus()

    @property
    def latency(self) -> Optional[float]:
        """The last round-trip time of a heartbeat in seconds; ``None`` before the first one."""
        return self._current().latency

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
                if _by_this_side(end) and not settled:
                    # Receiving ends when a close begins, and what the close brings comes at its end.
                    settled = client.state in ("disconnected", "error")
                    if not settled:
                        await client._wait_a_little(None)
                    continue
                settled = self._resumed = False
                await self._ended(end)
                if self._resumed:
                    continue
                return
            settled = False
            for item in items:
                if item.__class__ is dict:
                    await self._event(item)
                else:
                    await self._message(item)
            await asyncio.sleep(0)

    async def _ended(self, end: Exception) -> None:
        if not _by_this_side(end):
            self._end = end
        if self._up:
            # The event of it did not come: the queue was full, or the process has forked.
            self._up = False
            await self._call("on_disconnect", {"event": "state", "state": self._state_or_error(), "cause": str(end)})
        if not _by_this_side(end):
            await self._call("on_error", end)

    def _state_or_error(self) -> str:
        try:
            return self._client.state
        except PulseError:
            return "error"

    async def _message(self, message: Data) -> None:
        if "on_message" not in self._callbacks:
            self._unhandled += 1
            return
        await self._call("on_message", _decoded(message) if self._parse_json else message)

    async def _event(self, event: Event) -> None:
        await self._call("on_event", event)
        what = event.get("event")
        if what == "ready":
            self._up = True
            await self._call("on_connect", event)
        elif what == "state":
            await self._state(event)

    async def _state(self, event: Event) -> None:
        state, previous = event.get("state"), event.get("previous")
        if state == "connected":
            self._client._was_open = True
        if state != previous:
            await self._call("on_state_change", state, previous, event)
        if self._up and previous == "connected" and state != "connected":
            self._up = False
            await self._call("on_disconnect", event)
        # The end of trying comes with more to say from the receive call.
        code = ERROR_CODES.get(event.get("error") or "")
        if code is not None and event.get("trigger") == "retry":
            problem = self._client._error(code, event.get("cause") or "", was_open=previous == "connected")
            if event.get("close_code") and isinstance(problem, ConnectionClosed):
                problem.code = event["close_code"]
            await self._call("on_error", problem)

    # ---- callbacks

    async def _call(self, name: str, *arguments: Any) -> None:
        found = self._callbacks.get(name)
        if found is None:
            return
        callback, number = found
        try:
            result = callback(*arguments[:number])
            if inspect.isawaitable(result):
                await self._finished(result)
        except Exception as problem:
            await self._callback_failed(name, problem)

    async def _callback_failed(self, name: str, problem: Exception) -> None:
        self._callback_errors += 1
        logger.error("the callback %s failed", name, exc_info=problem)
        if name != "on_error":
            await self._call("on_error", problem)

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

    def _hook_failed(self, name: str, problem: Exception) -> None:
        """Of the function of option login or headers; it was logged."""
        self._callback_errors += 1
        if self._client._loop is not None:
            task = self._client._loop.create_task(self._call("on_error", problem))
            self._tellers.add(task)
            task.add_done_callback(self._tellers.discard)


def _by_this_side(end: Exception) -> bool:
    return isinstance(end, PulseError) and end.error_code == _native.ECLOSED


class _Cancelled(Exception):
    """A callback that was cancelled, or waited for something that was."""


def _decoded(message: Data) -> Any:
    """The value of a text that is a JSON object or array; everything else as it is."""
    if isinstance(message, str) and message.lstrip(" \t\r\n")[:1] in ("{", "["):
        try:
            return json.loads(message)
        except (ValueError, RecursionError):
            pass
    return message


def _outgoing(message: Outgoing) -> Sendable:
    return json_text(message) if isinstance(message, (Mapping, list, tuple)) else message
