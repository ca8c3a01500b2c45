# SPDX-License-Identifier: Apache-2.0
"""The hub: serves WebSocket peers, topics and requests, on asyncio."""

from __future__ import annotations

import asyncio
import atexit
import os
import time
from types import TracebackType
from typing import TYPE_CHECKING, Iterable, List, Optional, Type, Union

from . import _contract, _hub_native, _log
from ._errors import CallTimeout
from ._hub_core import HubCore, Keys, live
from ._hub_events import HubEvents
from ._hub_tasks import HubTask, Restart, Work
from ._json import Dumps, ParseJson
from ._log import logger
from ._values import Seconds, nanoseconds, span

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._hub_options import HubOptions

__all__ = ["Hub"]

_lib = _hub_native.lib

# At the end of `async with`, handlers and tasks get so many seconds once the peers are gone.
_GRACE = 5.0


class Hub(HubEvents):
    """Listens, holds WebSocket peers, hands out what is published to topics, and answers requests.

        hub = pulsews.Hub(listen="0.0.0.0:8080")
        hub.topic("price.*", conflate="symbol", history=1000)

        @hub.on_message
        async def order(peer, message): ...

        async with hub:
            hub.publish("price.SOL", {"type": "price_update", "symbol": "SOL", "price": "187.23"})

    ``listen`` is one address or several: ``"host:port"``, ``"[address]:port"``, ``"unix:/path"``, with TLS
    ``"wss://host:port"``. Options are keyword arguments: :class:`pulsews.HubOptions`. ``keys`` are those for tokens, as for
    :meth:`key`: ``{"main": ("HS256", secret)}``. ``parse_json`` decodes texts of peers (``False``: leaves them alone; a function
    does it), ``dump_json`` encodes what is sent and published.

    A hub belongs to the event loop that it is started in. Its plain methods may be called from any thread, also before the
    start; handlers are called in the event loop, those of one peer one after another, plain or async. While it runs the
    event loop holds it.
    """

    def __init__(
        self,
        listen: Union[str, Iterable[str]] = (),
        *,
        keys: Keys = None,
        parse_json: ParseJson = True,
        dump_json: Optional[Dumps] = None,
        **options: Unpack[HubOptions],
    ) -> None:
        self._tasks: List[HubTask] = []
        _log.start_if_wanted()
        super().__init__(listen, keys, dump_json, parse_json, options)

    # ---- life

    async def start(self) -> None:
        """Binds the addresses and begins to accept; tasks begin. A hub that could not start is closed."""
        loop = asyncio.get_running_loop()
        self._renew()
        if not self._started:
            for name in self._wanted():
                self._call_with_sentence("pulsews_hub_set", b"events", name)
        try:
            self._call_with_sentence("pulsews_hub_start")
            self._attach(loop)
        except BaseException:
            if not self._started:
                self._close_here()
            raise
        self._started = True
        for task in self._tasks:
            task._start(loop)

    async def drain(self, spread: Optional[Seconds] = None, timeout: Optional[Seconds] = None) -> None:
        """Stops accepting, closes the peers with 1012 over ``spread`` seconds (``None``: option ``drain_spread``), and
        waits until all are gone and their handlers have ended. Raises ``TimeoutError`` after ``timeout`` seconds; the
        drain goes on then."""
        ns = -1 if spread is None else nanoseconds(spread, "spread")
        limit = nanoseconds(timeout)
        end = None if limit < 0 else time.monotonic() + limit / 1e9
        with self._gate:
            status = _lib.pulsews_hub_drain(self._handle, ns, 0)
        if status not in (_contract.OK, _contract.ETIMEOUT):
            self._fail(status, "the hub can't drain")
        try:
            await asyncio.wait_for(self._ended.wait(), None if end is None else max(0.0, end - time.monotonic()))
        except asyncio.TimeoutError:
            raise CallTimeout(f"not all peers were gone within {span(timeout)}", _contract.ETIMEOUT) from None
        if not await self._handlers_end(None if end is None else max(0.0, end - time.monotonic())):
            raise CallTimeout(f"not all handlers had ended within {span(timeout)}", _contract.ETIMEOUT)

    def _begin_drain(self) -> int:
        with self._gate:
            return int(_lib.pulsews_hub_drain(self._handle, -1, 0))

    async def _handlers_end(self, timeout: Optional[float]) -> bool:
        """Whether all that are at work end in that time, but for the one that calls this."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            work = self._work - {asyncio.current_task()}
            if not work and not self._backlog:
                return True
            if end is not None and time.monotonic() >= end:
                return False
            left = None if end is None else end - time.monotonic()
            if work:
                await asyncio.wait(work, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0)

    def close(self) -> None:
        """Ends the hub at once: cuts its connections, cancels its tasks and handlers. Closing again does nothing. From
        another thread than the event loop's it takes effect soon."""
        loop = self._loop
        try:
            here = loop is None or loop.is_closed() or not loop.is_running() or asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here or loop is None or self._pid != os.getpid():
            return self._close_here()
        try:
            loop.call_soon_threadsafe(self._close_here)
        except RuntimeError:  # closed since
            self._close_here()

    def _close_here(self) -> None:
        if self._closed:
            return
        self._detach()
        usable = self._loop is None or not self._loop.is_closed()
        for task in self._tasks if usable else ():
            task.cancel()
        for work in list(self._work) if usable else ():
            work.cancel()
        self._backlog.clear()
        self._peers.clear()
        self._free()
        if self._loop is not None:
            self._ended.set()

    async def __aenter__(self) -> Hub:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self._closed:
            return
        try:
            if self._begin_drain() in (_contract.OK, _contract.ETIMEOUT):
                await self._ended.wait()
            if not await self._handlers_end(_GRACE):
                logger.warning("[%s] handlers were still at work %g s after the last peer was gone", self._name, _GRACE)
            await self._tasks_end()
        finally:
            self._close_here()

    async def _tasks_end(self) -> None:
        """Cancels the tasks, which may still use the hub for a while."""
        for task in self._tasks:
            task.cancel()
        running = {task._task for task in self._tasks if task._task is not None} - {asyncio.current_task()}
        if running:
            _, late = await asyncio.wait(running, timeout=_GRACE)
            if late:
                logger.warning("[%s] %d tasks have not ended %g s after they were cancelled", self._name, len(late), _GRACE)

    # ---- tasks

    def task(self, work: Work, restart: Restart = "never", *, name: Optional[str] = None) -> HubTask:
        """Work that belongs to the hub: it begins when the hub starts (at once if it runs), is never collected as garbage,
        and is cancelled when the hub ends. What it raises is logged and given to :meth:`on_error`.

        ``work`` is a coroutine, or with ``restart`` ``"on_error"`` or ``"always"`` the function that makes it: it then
        begins again 0.1 s after it has ended, after 0.2 s the next time, and so on up to 30 s. Call it in the thread of the
        event loop.
        """
        made = HubTask(work, restart, name, self._report)
        self._tasks = [task for task in self._tasks if not task.done]
        self._tasks.append(made)
        if self._closed:
            made.cancel()
        elif self._started and self._loop is not None:
            made._start(self._loop)
        return made


# ---- exit


def _drain_all() -> None:
    """At exit: says goodbye to the peers of what still runs."""
    running: List[HubCore] = [hub for hub in list(live) if hub._started and not hub._closed]
    end = time.monotonic() + 1
    # First to all, then waiting for each.
    for wait in (False, True):
        for hub in running:
            with hub._gate:
                _lib.pulsews_hub_drain(hub._handle, 0, max(0, int((end - time.monotonic()) * 1e9)) if wait else 0)


atexit.register(_drain_all)
