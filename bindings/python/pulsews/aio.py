# SPDX-License-Identifier: Apache-2.0
"""The asyncio client. It waits on a file descriptor: no thread, no executor, any event loop with ``add_reader``."""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import threading
import time
import weakref
from collections import deque
from types import TracebackType
from typing import (
    TYPE_CHECKING, Any, AsyncIterator, Callable, Deque, Generator, Iterable, List, Mapping, Optional, Type,
)

from . import _native
from ._control import refuse_own_hold
from ._core import PREFETCH, Core, Event, Held, Message
from ._errors import CallTimeout, ConnectionClosed
from ._values import (
    Data, MessageArray, Sendable, control_payload, count, nanoseconds, payload, send_flags, time_to_live,
)
from .client import close_arguments

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import Options

__all__ = ["Client", "connect"]

_lib = _native.lib

# The descriptor tells of new messages, states and room in the outbox; for all else a waiting call looks so often.
_LOOK = 0.02


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
    ``None`` waits without an end. What never waits, such as :meth:`subscribe` and :meth:`reconnect`, is a plain method.

    A lost connection comes back by itself (option ``reconnect``): receiving just goes on waiting, and what is sent
    meanwhile waits in the outbox. When trying has ended, receiving raises why, after all that had arrived.
    """

    _loop: Optional[asyncio.AbstractEventLoop] = None

    def __init__(self, url: str, options: Mapping[str, Any], attach: bool = True) -> None:
        loop = asyncio.get_running_loop() if attach else None
        self._waiters: Deque["asyncio.Future[bool]"] = deque()
        self._descriptor = -1
        # Runs the function of option login or headers that the present attempt waits for.
        self._hold_task: Optional["asyncio.Task[None]"] = None
        # What went wrong in it, for connect() to raise.
        self._hook_problem: Optional[Exception] = None
        super().__init__(url, options)
        if loop is not None:
            self._attach(loop)

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on this event loop wakes the client's calls."""
        descriptor = _lib.pulsews_wake_fd(self._handle)
        if descriptor < 0:
            raise self._error(descriptor)
        # Weak, so that the loop does not keep a forgotten client alive.
        loop.add_reader(descriptor, _woken, weakref.ref(self))
        self._loop = loop
        self._descriptor = descriptor

    def _dispose(self) -> None:
        """The loop must forget the descriptor before the library closes it."""
        loop, descriptor = self._loop, self._descriptor
        self._descriptor = -1
        task, self._hold_task = self._hold_task, None
        if task is not None and loop is not None and not loop.is_closed():
            task.cancel()
        if loop is None or descriptor < 0 or loop.is_closed():
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

        def later(loop: asyncio.AbstractEventLoop = loop) -> None:
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
        if self._hooked:
            self._look_for_holds()
        self._notify()

    def _notify(self) -> None:
        waiters = self._waiters
        for _ in range(len(waiters)):
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(True)

    async def _wait(self, deadline: Optional[float]) -> bool:
        """Waits until the library has something new; false when the deadline comes first."""
        assert self._loop is not None
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
        return None if ns < 0 else self._now() + ns / 1e9

    def _now(self) -> float:
        assert self._loop is not None
        return self._loop.time()

    async def _wait_a_little(self, deadline: Optional[float]) -> bool:
        """As :meth:`_wait`, but not longer than to the next look."""
        now = self._now()
        if deadline is not None and now >= deadline:
            return False
        await self._wait(now + _LOOK if deadline is None else min(deadline, now + _LOOK))
        return True

    async def _in_thread(self, function: Callable[[int, int], int], ns: int) -> int:
        """A call that only blocks: in a thread, in slices, so that it ends soon after it was cancelled."""
        assert self._loop is not None
        deadline = self._deadline(ns)
        while True:
            rest = 0.25 if deadline is None else max(0.0, min(0.25, deadline - self._now()))
            status = await self._loop.run_in_executor(None, function, self._handle, int(rest * 1e9))
            if status != _native.ETIMEOUT or (deadline is not None and self._now() >= deadline):
                return int(status)

    # ---- opening

    async def _open(self) -> None:
        self._connecting = True
        try:
            status = _lib.pulsews_start(self._handle)
            if status != _native.OK:
                raise self._error(status)
            why = ctypes.create_string_buffer(_native.ERROR_SIZE)
            while True:
                status = _lib.pulsews_open(self._handle, 0, why, _native.ERROR_SIZE)
                if self._opened(status):
                    break
                if status != _native.ETIMEOUT:
                    raise self._error(status, why.value.decode("utf-8", "replace"))
                await self._wait_for_attempt()
            while self._logs_in and not self.is_ready:
                if self.state != "connected":
                    await self._wait_for_attempt(opened=True)
                else:
                    await self._wait_a_little(None)
                if self._hook_problem is not None:
                    raise self._hook_problem
        finally:
            self._connecting = False

    async def _wait_for_attempt(self, opened: bool = False) -> None:
        """Waits for something new of the first attempt; raises why it failed when it has. A connection that was open
        and has ended since is no failed attempt, unless ``opened`` says that this was seen already."""
        problem = self._failed_attempt()
        if problem is not None and not opened and self._mark() > 0:
            return
        if problem is None and self._hook_problem is None:
            await self._wait(None)
        if self._hook_problem is not None:
            raise self._hook_problem
        if problem is not None:
            raise problem

    # ---- the functions of options login and headers

    def _look_for_holds(self) -> None:
        """Receives ahead while the connection is not ready: its hold may be behind messages that nobody fetches."""
        while _lib.pulsews_client_state(self._handle) in (1, 2, 3) and not self.is_ready:
            if self._fetch_ahead(0) <= 0:
                return

    def _notice(self, event: Event) -> None:
        what = event.get("event")
        if what in ("hold", "state"):
            # Either means that the attempt a function still works for is over.
            task, self._hold_task = self._hold_task, None
            if task is not None and not task.done():
                task.cancel()
            if what == "hold" and self._loop is not None and self._hook_for(event) is not None:
                self._hold_task = self._loop.create_task(self._answer_hold(event))

    async def _answer_hold(self, event: Event) -> None:
        hook = self._hook_for(event)
        try:
            if hook is None or self._is_over(event):
                return
            mark = self._mark()
            value = hook()
            if inspect.isawaitable(value):
                value = await value
            self._apply(event, value, mark)
        except Exception as problem:
            if self._connecting:
                self._hook_problem = problem
                self._notify()
            else:
                self._hook_failed(event, problem)

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

    async def send(
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
        connect, :class:`ConnectionClosed` after a close, and ``ValueError`` for text that UTF-8 can't express. A call
        that was cancelled while it waited has sent nothing.

        The keywords, and the id that it gives with any of them, are those of :meth:`pulsews.Client.send`.
        """
        kind, body = payload(data)
        if live_only or report or in_limit or first or ttl is not None:
            return await self._transmit_with(kind, body, timeout, send_flags(live_only, report, in_limit, first), ttl)
        await self._transmit(kind, body, timeout)
        return None

    async def ping(self, data: Sendable = b"", timeout: Optional[float] = None) -> None:
        """Sends a ping of at most 125 bytes. Heartbeats go out by themselves; this is for peers that want more.

        Raises :class:`NotConnected` without an open connection: pings do not wait for one.
        """
        await self._transmit(_native.PING, control_payload(data), timeout)

    async def _transmit(self, kind: int, body: bytes, timeout: Optional[float]) -> None:
        ns = nanoseconds(timeout)
        status = _lib.pulsews_send(self._handle, kind, body, len(body), 0)
        if status == _native.OK:
            return
        if self._blocks and kind != _native.PING:
            deadline = self._deadline(ns)
            while status == _native.EQUEUEFULL and ns != 0:
                if not await self._wait(deadline):
                    break
                status = _lib.pulsews_send(self._handle, kind, body, len(body), 0)
        if status != _native.OK:
            raise self._error(status)

    async def _transmit_with(
        self, kind: int, body: bytes, timeout: Optional[float], flags: int, ttl: Optional[float]
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
            if status == _native.OK:
                return number.value
            if ns == 0 or not await self._room(status, deadline):
                raise self._error(status)
            if ttl_ns > 0:  # it counts from the beginning of the call
                rest = max(1, ttl_ns - int((self._now() - start) * 1e9))

    async def _room(self, status: int, deadline: Optional[float]) -> bool:
        """Waits for room in the outbox or the rate limits; false when there will be none in time."""
        if status == _native.ERATE:
            return await self._wait_a_little(deadline)
        return status == _native.EQUEUEFULL and self._blocks and await self._wait(deadline)

    async def send_many(
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

    async def flush(self, timeout: Optional[float] = None) -> None:
        """Waits until every message that was sent before the call has left the outbox: handed to the network, dropped,
        expired or failed. Raises ``TimeoutError`` after ``timeout`` seconds, :class:`NotConnected` when trying to
        connect has ended with messages still queued. It waits in a thread of the loop's executor."""
        ns = nanoseconds(timeout)
        status = _lib.pulsews_flush(self._handle, 0)
        if status == _native.ETIMEOUT and ns != 0:
            status = await self._in_thread(_lib.pulsews_flush, ns)
        if status == _native.ETIMEOUT:
            raise CallTimeout(f"messages still wait in the outbox after {timeout} s", status, "PULSEWS_ETIMEOUT")
        if status != _native.OK:
            raise self._error(status)

    async def wait_ready(self, timeout: Optional[float] = None) -> None:
        """Waits until the connection is ready: open, logged in, and the subscriptions sent.

        Raises ``TimeoutError`` after ``timeout`` seconds, and why the client has stopped trying when it has.
        """
        ns = nanoseconds(timeout)
        deadline = self._deadline(ns)
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        while True:
            status = _lib.pulsews_wait_ready(self._handle, 0, why, _native.ERROR_SIZE)
            if status == _native.OK:
                self._was_open = True
                return
            if status != _native.ETIMEOUT:
                raise self._error(status, why.value.decode("utf-8", "replace"))
            if ns == 0 or not await self._wait_a_little(deadline):
                raise CallTimeout(f"the connection was not ready within {timeout} s", status, "PULSEWS_ETIMEOUT")

    # ---- receiving

    async def recv(self, timeout: Optional[float] = None) -> Data:
        """Receives one message: ``str`` for text, ``bytes`` for binary.

        Waits across reconnects. Raises ``TimeoutError`` after ``timeout`` seconds without one (at once with 0); and
        when the client has ended and everything that had arrived was received: :class:`ConnectionClosed` after a close
        or, with ``reconnect=False``, a lost connection; and why it has stopped trying when it has, such as
        :class:`ConnectError` or :class:`HandshakeError`.
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

        An empty list when ``timeout`` seconds are over without one. Raises at the end as :meth:`recv`.
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
        """Messages as they come, across reconnects. Ends when this side closed, and with ``reconnect=False`` when the
        peer closed in order (1000, 1001 or no code); raises as :meth:`recv` for every other end."""
        while True:
            try:
                message = await self.recv()
            except ConnectionClosed as end:
                if self._orderly(end):
                    return
                raise
            yield message

    # ---- closing

    async def disconnect(self, timeout: Optional[float] = None) -> None:
        """Closes with code 1000 after what was sent, for a client that may come back: :meth:`reconnect` connects it
        again. Waits for the peer's answer, at most for option ``close_timeout``; what still waits to be sent after
        ``timeout`` seconds fails. Until then sending and receiving raise :class:`ConnectionClosed`."""
        ns = nanoseconds(timeout)
        deadline = self._deadline(ns)
        if self.statistics().get("queue_size"):
            status = await self._disconnect_in_thread(ns)
        else:
            # Without an outbox that has to become empty, the close goes on by itself.
            status = _lib.pulsews_disconnect(self._handle, 0)
            while ns != 0 and status == _native.ETIMEOUT and self._is_closing():
                if not await self._wait_a_little(deadline):
                    break
        if status not in (_native.OK, _native.ETIMEOUT):
            raise self._error(status)

    def _is_closing(self) -> bool:
        """Whether a disconnect has begun and is not over."""
        return bool(
            _lib.pulsews_client_state(self._handle) not in (0, 4)
            and _lib.pulsews_wait_ready(self._handle, 0, None, 0) == _native.ECLOSED
        )

    async def _disconnect_in_thread(self, ns: int) -> int:
        """The call has to wait in the library: what is in the outbox when it returns fails."""
        assert self._loop is not None
        loop = self._loop
        outcome: "asyncio.Future[int]" = loop.create_future()

        def tell(status: int) -> None:
            if not outcome.done():
                outcome.set_result(status)

        def work() -> None:
            status = _lib.pulsews_disconnect(self._handle, ns)
            try:
                loop.call_soon_threadsafe(tell, status)
            except RuntimeError:  # the loop was closed meanwhile
                pass

        thread = threading.Thread(target=work, name="pulsews-disconnect", daemon=True)
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
        refuse_own_hold(self._options)
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
