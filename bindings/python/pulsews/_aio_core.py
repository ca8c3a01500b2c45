# SPDX-License-Identifier: Apache-2.0
"""How the asyncio client waits: on a file descriptor, with no thread and no executor, in any event loop that has
``add_reader``. And how it gives the event loop its turn while there is no need to wait."""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import time
import weakref
from collections import deque
from typing import Any, Callable, Deque, Mapping, Optional

from . import _contract, _native
from ._core import Core
from ._errors import CallTimeout
from ._hooks import Over
from ._options import URL
from ._values import Seconds, nanoseconds, span

_lib = _native.lib

# The descriptor tells of new messages, states and room in the outbox; for all else a waiting call looks so often.
_LOOK = 0.02
# While messages wait already the event loop gets its turn after so many seconds.
TURN = 0.005


def _woken(reference: "weakref.ref[AsyncCore]") -> None:
    client = reference()
    if client is not None:
        client._wake()


def _expire(waiter: "asyncio.Future[bool]") -> None:
    if not waiter.done():
        waiter.set_result(False)


class AsyncCore(Core):
    """The part of the asyncio client that belongs to an event loop."""

    _loop: Optional[asyncio.AbstractEventLoop] = None

    def __init__(self, url: URL, options: Mapping[str, Any], attach: bool = True, **keywords: Any) -> None:
        loop = asyncio.get_running_loop() if attach else None
        self._waiters: Deque["asyncio.Future[bool]"] = deque()
        self._descriptor = -1
        # Runs the functions that the present attempt waits for.
        self._hold_task: Optional["asyncio.Task[None]"] = None
        # What went wrong in it, for connect() to raise.
        self._hook_problem: Optional[Exception] = None
        # When the event loop is to have its next turn; it had the last one a little before, as far as this client knows.
        self._turn_ends = 0.0
        super().__init__(url, options, **keywords)
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
            self._turn_ends = time.monotonic() + TURN
            if timer is not None:
                timer.cancel()
            if not waiter.done() or waiter.cancelled() or not waiter.result():
                try:
                    self._waiters.remove(waiter)
                except ValueError:
                    pass

    async def _give_way(self) -> None:
        """Lets the event loop have its turn, if it is time."""
        if time.monotonic() >= self._turn_ends:
            await asyncio.sleep(0)
            self._turn_ends = time.monotonic() + TURN

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
            if status != _contract.ETIMEOUT or (deadline is not None and self._now() >= deadline):
                return int(status)

    # ---- opening

    async def _open(self, wait: bool = False, timeout: Optional[Seconds] = None) -> None:
        """With ``wait`` past failed attempts, until there is a connection or trying has ended."""
        deadline = self._deadline(nanoseconds(timeout))
        self._connecting = True
        try:
            self._check(_lib.pulsews_start(self._handle))
            why = ctypes.create_string_buffer(_native.ERROR_SIZE)
            while True:
                status = _lib.pulsews_open(self._handle, 0, why, _native.ERROR_SIZE)
                if self._opened(status):
                    break
                if status != _contract.ETIMEOUT and not (wait and self._is_trying()):
                    self._tell_of_the_end()
                    raise self._error(status, why.value.decode("utf-8", "replace"))
                await self._wait_for_attempt(wait, deadline, timeout)
            while self._logs_in and not self.is_ready:
                await self._wait_for_attempt(wait, deadline, timeout, opened=True)
        finally:
            self._connecting = False

    async def _wait_for_attempt(
        self, wait: bool, deadline: Optional[float], timeout: Optional[Seconds], opened: bool = False
    ) -> None:
        """Waits for something new of the present attempt; raises why it failed when it has. A connection that was open
        and has ended since is no failed attempt, unless ``opened`` says that this was seen already."""
        if self._hook_problem is not None:
            raise self._hook_problem
        problem = None if opened and self.state == "connected" else self._failed_attempt()
        if problem is not None:
            if not opened and self._mark() > 0:
                return
            if not (wait and self._is_trying()):
                self._tell_of_the_end()
                raise problem
        if deadline is not None and self._now() >= deadline:
            sentence = f"no connection within {span(timeout)}" + (f": {problem}" if problem else "")
            raise CallTimeout(sentence, _contract.ETIMEOUT)
        if opened or problem is not None:
            await self._wait_a_little(deadline)
        else:
            await self._wait(deadline)
        if self._hook_problem is not None:
            raise self._hook_problem

    # ---- the functions of options

    def _look_for_holds(self) -> None:
        """Receives ahead while the connection is not ready: its hold may be behind messages that nobody fetches."""
        while _lib.pulsews_client_state(self._handle) in (1, 2, 3) and not self.is_ready:
            if self._fetch_ahead(0) <= 0:
                return

    def _notice(self, event: Mapping[str, Any]) -> None:
        what = event.get("event")
        if what in ("hold", "state"):
            # Either means that the attempt a function still works for is over.
            task, self._hold_task = self._hold_task, None
            if task is not None and not task.done():
                task.cancel()
            if what == "hold" and self._loop is not None and self._hooks.at(event.get("at")):
                self._hold_task = self._loop.create_task(self._answer_hold(event))

    async def _answer_hold(self, event: Mapping[str, Any]) -> None:
        try:
            if self._is_over(event):
                return
            mark = self._mark()
            for name, hook in self._hooks.at(event.get("at")):
                value = self._call_hook(name, hook)
                if inspect.isawaitable(value):
                    value = await value
                self._apply(name, event, value, mark)
            self.release()
        except Over:
            return
        except Exception as problem:
            if self._connecting:
                self._hook_problem = problem
                self._notify()
            else:
                self._hook_failed(event, problem)


class Asked:
    """A URL function whose first answer is there already, since a client is made with it."""

    def __init__(self, function: Callable[[], Any], first: Any) -> None:
        self._function = function
        self._answers = [first]

    def __call__(self) -> Any:
        return self._answers.pop() if self._answers else self._function()


async def first_url(url: URL) -> URL:
    """For an async URL function: asks it."""
    if not callable(url):
        return url
    first = url()
    return Asked(url, await first if inspect.isawaitable(first) else first)
