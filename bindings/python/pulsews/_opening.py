# SPDX-License-Identifier: Apache-2.0
"""The blocking client until it is ready: connecting, and the functions that attempts wait for."""

from __future__ import annotations

import ctypes
import inspect
from collections import deque
from typing import Any, Deque, Mapping, Optional

from . import _contract, _native
from ._errors import CallTimeout, PulseError
from ._hooks import Over
from ._inbox import AHEAD
from ._options import URL
from ._sending import SLICE, Sending, Wait
from ._values import Seconds, nanoseconds, span

_lib = _native.lib

# While it waits for the connection to be ready, a client that calls functions looks for holds so often.
_LOOK = 20_000_000


class Opening(Sending):
    """Opens, logs in, and becomes ready."""

    def __init__(self, url: URL, options: Mapping[str, Any], **keywords: Any) -> None:
        # Holds that wait for the functions of the options.
        self._holds: Deque[Mapping[str, Any]] = deque()
        super().__init__(url, options, **keywords)
        for name, hook in self._hooks._asdict().items():
            if inspect.iscoroutinefunction(hook):
                raise TypeError(f"option {name}: an async function needs pulsews.aio or WebSocketManager")

    # ---- opening

    def _open(self, wait: bool = False, timeout: Optional[Seconds] = None) -> None:
        """With ``wait`` past failed attempts, until there is a connection or trying has ended."""
        left = Wait(nanoseconds(timeout))
        self._connecting = True
        try:
            while True:
                try:
                    if self._hooked:
                        self._open_and_look(left)
                    else:
                        self._open_plainly(left)
                    break
                except PulseError as problem:
                    if isinstance(problem, CallTimeout):
                        raise self._not_open_in_time(timeout) from None
                    if not (wait and self._is_trying()):
                        self._tell_of_the_end()
                        raise
                    if not left.goes_on():
                        raise self._not_open_in_time(timeout) from None
            if self._logs_in:
                self._log_in(wait, left, timeout)
        finally:
            self._connecting = False

    def _not_open_in_time(self, timeout: Optional[Seconds]) -> CallTimeout:
        cause = self._last_error()[1]
        sentence = f"no connection within {span(timeout)}" + (f": {cause}" if cause else "")
        return CallTimeout(sentence, _contract.ETIMEOUT)

    def _open_plainly(self, left: Wait) -> None:
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        while True:
            status = _lib.pulsews_open(self._handle, left.ns, why, _native.ERROR_SIZE)
            if self._opened(status):
                return
            if status != _contract.ETIMEOUT or not left.goes_on():
                raise self._error(status, why.value.decode("utf-8", "replace"))

    def _open_and_look(self, left: Wait) -> None:
        """Opens, and calls the functions of the options meanwhile: their holds are events, so this receives."""
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        self._check(_lib.pulsews_start(self._handle))
        while True:
            status = _lib.pulsews_open(self._handle, 0, why, _native.ERROR_SIZE)
            if self._opened(status):
                return
            if status != _contract.ETIMEOUT or left.is_over:
                raise self._error(status, why.value.decode("utf-8", "replace"))
            self._look_for_holds(min(SLICE, left.ns) if left.ns >= 0 else SLICE)
            left.goes_on()

    def _log_in(self, wait: bool, left: Wait, timeout: Optional[Seconds]) -> None:
        """Waits for the login of the first connection; with ``wait`` for one that succeeds."""
        while not self.is_ready:
            if self.state != "connected":
                problem = self._failed_attempt()
                if problem is not None and not (wait and self._is_trying()):
                    raise problem
            if left.is_over:
                raise self._not_open_in_time(timeout)
            self._look_for_holds(_LOOK)

    # ---- the functions of options

    def _look_for_holds(self, ns: int) -> None:
        if len(self._prefetch) >= AHEAD:
            _lib.pulsews_wait_ready(self._handle, ns, None, 0)
        with self._lock:
            status = self._fetch_ahead(ns)
        if self._holds:
            self._answer_holds()
        if status < 0 and status != _contract.ETIMEOUT:
            raise self._error(status)

    def _notice(self, event: Mapping[str, Any]) -> None:
        if event.get("event") == "hold" and self._hooks.at(event.get("at")):
            self._holds.append(event)

    def _answer_holds(self) -> None:
        """Calls the functions that the present attempt waits for. Not under the lock: they may use the client."""
        event: Optional[Mapping[str, Any]] = None
        try:
            while True:  # only the latest one can still be there
                event = self._holds.popleft()
        except IndexError:
            pass
        if event is None:
            return
        try:
            if self._is_over(event):
                return
            mark = self._mark()
            for name, hook in self._hooks.at(event.get("at")):
                value = self._call_hook(name, hook)
                if inspect.isawaitable(value):
                    if inspect.iscoroutine(value):
                        value.close()
                    raise TypeError(f"an async function for {name} needs pulsews.aio or WebSocketManager")
                self._apply(name, event, value, mark)
            self.release()
        except Over:
            return
        except Exception as problem:
            if self._connecting:
                raise
            self._hook_failed(event, problem)

    def wait_ready(self, timeout: Optional[Seconds] = None) -> None:
        """Waits until the connection is ready: open, logged in, and the subscriptions sent.

        Raises ``TimeoutError`` after ``timeout`` seconds, and why the client has stopped trying when it has.
        """
        ns = nanoseconds(timeout)
        wait = Wait(ns)
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        while True:
            slice_ns = wait.ns if not self._hooked else _LOOK if wait.ns < 0 else min(_LOOK, wait.ns)
            status = _lib.pulsews_wait_ready(self._handle, slice_ns, why, _native.ERROR_SIZE)
            if status == _contract.OK:
                self._was_open = True
                return
            if status != _contract.ETIMEOUT:
                raise self._error(status, why.value.decode("utf-8", "replace"))
            if self._hooked:
                # Perhaps nobody receives, and the hold that the login waits for is among what has arrived.
                if self._lock.acquire(False):
                    try:
                        self._fetch_ahead(0)
                    finally:
                        self._lock.release()
                if self._holds:
                    self._answer_holds()
            if ns == 0 or not wait.goes_on():
                raise CallTimeout(f"the connection was not ready within {span(timeout)}", status)
