# SPDX-License-Identifier: Apache-2.0
"""The callbacks of the managers: which are called for what was received, with what, and what came of them."""

from __future__ import annotations

import inspect
from time import monotonic
from typing import TYPE_CHECKING, Any, Callable, Dict, Generator, Iterator, Mapping, Optional, Tuple

from . import _contract
from ._errors import ConnectionClosed, PulseError
from ._items import Event
from ._json import Loads
from ._log import logger
from ._tables import ERROR_CODES

if TYPE_CHECKING:
    from ._core import Core

Callback = Callable[..., Any]
Call = Tuple[str, Tuple[Any, ...]]

# Callback and how many arguments it gets: at least, at most.
CALLBACKS = {
    "on_message": (1, 1),
    "on_connect": (0, 1),
    "on_disconnect": (0, 1),
    "on_error": (1, 1),
    "on_state_change": (1, 3),
    "on_event": (1, 1),
}
# A callback that keeps the event loop for longer, in seconds, is counted; a warning names it, so often at most.
SLOW = 0.1
_PAUSE = 10.0


def arguments_of(name: str, callback: Callback, least: int, most: int) -> int:
    """How many arguments the callback gets: those that it can't do without."""
    if not callable(callback):
        raise TypeError(f"{name} must be a function, not {type(callback).__name__}")
    try:
        parameters = list(inspect.signature(callback).parameters.values())
    except (TypeError, ValueError):
        return least
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = [one for one in positional if one.default is one.empty]
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return most
    if len(needed) > most:
        raise TypeError(f"{name} gets at most {most} argument{'s' * (most > 1)}, and {callback!r} needs {len(needed)}")
    return max(len(needed), min(least, len(positional)))


class Callbacks:
    """The callbacks of one manager, and what is counted of them."""

    def __init__(self, given: Mapping[str, Optional[Callback]], decode: Optional[Loads]) -> None:
        self._found = {
            name: (callback, arguments_of(name, callback, *CALLBACKS[name])) for name, callback in given.items() if callback is not None
        }
        self._decode = decode
        # Whether the last callback of the two was on_connect.
        self._up = False
        self.errors = 0
        self.unhandled = 0
        self.slow = 0
        self.slowest = 0.0
        self._warned: Dict[str, float] = {}

    # ---- which are called

    def of_item(self, client: Core, item: Any) -> Iterator[Call]:
        """For a message or an event. What is yielded is called before the next is asked for."""
        if item.__class__ is Event:
            yield from self._of_event(client, item)
        elif "on_message" not in self._found:
            self.unhandled += 1
        else:
            yield "on_message", (self._decode(item) if self._decode and item.__class__ is str else item,)

    def _of_event(self, client: Core, event: Event) -> Iterator[Call]:
        yield "on_event", (event,)
        what = event.get("event")
        if what == "ready":
            self._up = True
            yield "on_connect", (event,)
        elif what == "state":
            yield from self._of_state(client, event)

    def _of_state(self, client: Core, event: Event) -> Iterator[Call]:
        state, previous = event.get("state"), event.get("previous")
        if state == "connected":
            client._was_open = True
        if state != previous:
            yield "on_state_change", (state, previous, event)
        if self._up and previous == "connected" and state != "connected":
            self._up = False
            yield "on_disconnect", (event,)
        # The end of trying comes with more to say from the receive call.
        code = ERROR_CODES.get(event.get("error") or "")
        if code is not None and event.get("trigger") == "retry":
            problem = client._error(code, event.get("cause") or "", was_open=previous == "connected")
            if event.get("close_code") and isinstance(problem, ConnectionClosed):
                problem.code = event["close_code"]
            yield "on_error", (problem,)

    def of_end(self, client: Core, end: Exception) -> Iterator[Call]:
        """When receiving has ended."""
        if self._up:
            # The event of it did not come: the queue was full, or the process has forked.
            self._up = False
            try:
                state: str = client.state
            except PulseError:
                state = "error"
            yield "on_disconnect", (Event(event="state", state=state, cause=str(end)),)
        if not by_this_side(end):
            yield "on_error", (end,)

    # ---- calling them

    def call(self, name: str, arguments: Tuple[Any, ...]) -> Any:
        """What the callback returned, perhaps to be awaited; ``None`` if there is none."""
        found = self._found.get(name)
        if found is None:
            return None
        callback, number = found
        return callback(*arguments[:number])

    def failed(self, client: Core, name: str, problem: Exception) -> bool:
        """Counts and logs an exception in a callback; whether on_error is to be told of it."""
        self.errors += 1
        logger.error("[%s] the callback %s failed", client._label(), name, exc_info=problem)
        return name != "on_error"

    def took(self, client: Core, name: str, seconds: float) -> None:
        """So long a callback has kept the event loop."""
        if seconds < SLOW:
            return
        self.slow += 1
        self.slowest = max(self.slowest, seconds)
        now = monotonic()
        if now - self._warned.get(name, -_PAUSE) >= _PAUSE:
            self._warned[name] = now
            function = self._found[name][0] if name in self._found else None
            logger.warning(
                "[%s] the callback %s (%s) kept the event loop for %.3f s, in which nothing else ran; %d callbacks did so",
                client._label(), name, getattr(function, "__qualname__", repr(function)), seconds, self.slow,
            )


class Steps:
    """Awaits something, and tells how long each of its steps has kept the event loop."""

    __slots__ = ("_awaitable", "_took")

    def __init__(self, awaitable: Any, took: Callable[[float], None]) -> None:
        self._awaitable = awaitable
        self._took = took

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._awaitable.__await__() if hasattr(self._awaitable, "__await__") else self._awaitable
        problem: Optional[BaseException] = None
        while True:
            start = monotonic()
            try:
                yielded = next(steps) if problem is None else steps.throw(problem)
            except StopIteration as end:
                return end.value
            finally:
                self._took(monotonic() - start)
            problem = None
            try:
                yield yielded
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as caught:
                problem = caught


def by_this_side(end: Exception) -> bool:
    return isinstance(end, PulseError) and end.error_code == _contract.ECLOSED
