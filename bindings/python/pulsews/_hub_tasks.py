# SPDX-License-Identifier: Apache-2.0
"""Work that belongs to a hub: kept, watched, begun again, and cancelled at its end."""

from __future__ import annotations

import asyncio
import inspect
from time import monotonic
from typing import Any, Awaitable, Callable, Coroutine, Literal, Optional, Union

from ._errors import InvalidArgument

Restart = Literal["never", "on_error", "always"]
Work = Union[Coroutine[Any, Any, Any], Callable[[], Awaitable[Any]]]
Report = Callable[[BaseException, str], None]

# Seconds before it begins again: twice as many each time up to the second number, from the first again after a run that
# was longer than the third.
FIRST, MOST, LONG = 0.1, 30.0, 60.0


def close_unbegun(awaitable: Any) -> None:
    """A coroutine that nobody will await, since the task for it was cancelled before its first step."""
    if inspect.iscoroutine(awaitable) and inspect.getcoroutinestate(awaitable) == inspect.CORO_CREATED:
        awaitable.close()


class HubTask:
    """Work of a hub, as :meth:`pulsews.Hub.task` gives it."""

    def __init__(self, work: Work, restart: Restart, name: Optional[str], report: Report) -> None:
        self._coroutine = work if asyncio.iscoroutine(work) else None
        if self._coroutine is None and not callable(work):
            raise TypeError(f"work must be a coroutine or a function that makes one, not {type(work).__name__}")
        if restart not in ("never", "on_error", "always"):
            raise InvalidArgument(f"restart is {restart!r}; allowed are never, on_error and always")
        if self._coroutine is not None and restart != "never":
            raise InvalidArgument(
                f"restart={restart!r} needs the function that makes the coroutine: hub.task(worker), not hub.task(worker())"
            )
        self._make = work
        self._restart = restart
        self._report = report
        self._task: Optional["asyncio.Task[None]"] = None
        self._cancelled = False
        self.name: str = name or str(getattr(work, "__qualname__", None) or type(work).__qualname__)
        """What the log calls it."""
        self.restarts: int = 0
        """How often it has begun again."""

    @property
    def done(self) -> bool:
        """Whether it has ended for good."""
        return self._cancelled if self._task is None else self._task.done()

    def cancel(self) -> None:
        """Cancels it; it does not begin again."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()
        elif self._coroutine is not None:
            close_unbegun(self._coroutine)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._task is None and not self._cancelled:
            self._task = loop.create_task(self._run())
            self._task.add_done_callback(lambda _: close_unbegun(self._coroutine))

    async def _run(self) -> None:
        delay = FIRST
        while True:
            begin = monotonic()
            failed = await self._once()
            if self._restart == "never" or (self._restart == "on_error" and not failed):
                return
            if monotonic() - begin > LONG:
                delay = FIRST
            await asyncio.sleep(delay)
            delay = min(2 * delay, MOST)
            self.restarts += 1

    async def _once(self) -> bool:
        """Whether it has failed. It is a task of its own, so that its own cancelling of something is told from the
        hub's cancelling it."""
        work = asyncio.ensure_future(self._awaited())
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait({work})
            if not work.cancelled() and work.exception() is not None:
                self._report(work.exception() or RuntimeError(), f"task {self.name}, while it was cancelled,")
            raise
        problem: Optional[BaseException] = asyncio.CancelledError() if work.cancelled() else work.exception()
        if problem is not None:
            self._report(problem, f"task {self.name}")
        return problem is not None

    async def _awaited(self) -> None:
        if self._coroutine is not None:
            await self._coroutine
        else:
            await self._make()  # type: ignore[operator]

    def __repr__(self) -> str:
        state = "made" if self._task is None else "done" if self.done else "running"
        return f"<pulsews.HubTask {self.name} {state}>"
