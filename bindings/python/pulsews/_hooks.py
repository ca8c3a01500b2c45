# SPDX-License-Identifier: Apache-2.0
"""The functions of the application that an attempt to connect waits for: login, headers, URL."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

from . import _contract, _native
from ._control import Control
from ._errors import ConnectionClosed, InvalidArgument
from ._log import logger
from ._options import HeadersHook, LoginHook, URLHook, header_pairs, is_true
from ._tables import STATISTICS
from ._values import login_messages

_lib = _native.lib
_CONNECTIONS = STATISTICS.index("connections") if "connections" in STATISTICS else -1

Call = Callable[[Callable[..., Any], Any], Any]


class Hooks(NamedTuple):
    """The functions that options were given."""

    login: Optional[LoginHook] = None
    headers: Optional[HeadersHook] = None
    url: Optional[URLHook] = None

    def at(self, place: Any) -> Tuple[Tuple[str, Callable[..., Any]], ...]:
        """Those to call for a hold there, by name."""
        names = ("login",) if place == "login" else ("headers", "url") if place == "connect" else ()
        return tuple((name, getattr(self, name)) for name in names if getattr(self, name) is not None)


class Hooked(Control):
    """The part of a client that answers holds with those functions."""

    _hooks: Hooks = Hooks()
    # Whether somebody waits in connect(), who gets the exception of such a function.
    _connecting: bool = False
    # What the functions get that have an argument: the client, or what the application knows as such.
    _owner: Any = None
    # Whether the URL function has just been called, so that the next attempt needs no other URL.
    _url_is_fresh: bool = False

    def _mark(self) -> float:
        """Tells one connection from the next."""
        return self._numbers()[_CONNECTIONS] if _CONNECTIONS >= 0 else 0.0

    def _call_hook(self, name: str, hook: Callable[..., Any]) -> Any:
        if name == "url":
            if self._url_is_fresh:
                self._url_is_fresh = False
                return self._url
            return hook()
        return call_hook(hook, self if self._owner is None else self._owner)

    def _is_over(self, event: Mapping[str, Any]) -> bool:
        """Whether the hold has ended before its function was called: it was timed out, or another one was answered."""
        state = _lib.pulsews_client_state(self._handle)
        if event.get("at") == "login":
            # One that is to follow the present connection is held while that one is ready.
            return bool(state != 2 or (self.is_ready and not event.get("successor")))
        # An attempt may also be held while a connection serves: one at a preferred endpoint.
        return bool(state not in (1, 2, 3))

    def _apply(self, name: str, event: Mapping[str, Any], value: Any, mark: float) -> None:
        """Hands over what a function returned."""
        if name == "url":
            self.set_url(value)
        elif name == "headers":
            for header, text in () if value is None else header_pairs(value, "headers", removable=True):
                self.set_header(header, text)
        else:
            messages = login_messages(value, self._dumps)
            # A login that took too long is not for the connection after it.
            if self._mark() != mark or self._is_over(event):
                raise Over
            for kind, body in messages:
                self._check(
                    _lib.pulsews_send_with(self._handle, kind, body, len(body), _contract.FIRST, 0, 0, None)
                )

    def _hook_failed(self, event: Mapping[str, Any], problem: Exception) -> None:
        """An exception in such a function that nobody waits for: the attempt ends when the hold times out."""
        if isinstance(problem, ConnectionClosed) and problem.error_code == _contract.ECLOSED:
            return
        what = " or ".join(name for name, _ in self._hooks.at(event.get("at")))
        logger.error("[%s] the function for %s failed", self._label(), what, exc_info=problem)


class Over(Exception):
    """The attempt that a function worked for is over."""


def call_hook(hook: Callable[..., Any], client: Any) -> Any:
    """Calls it with the client if it has an argument for it."""
    try:
        parameters = inspect.signature(hook).parameters.values()
    except (TypeError, ValueError):
        return hook()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    takes = any(one.kind in positional and one.default is one.empty for one in parameters)
    return hook(client) if takes else hook()


def split_hooks(url: Any, options: Mapping[str, Any]) -> Tuple[Dict[str, Any], Hooks]:
    """The options for the library, and the functions among them."""
    given = dict(options)
    login = given.pop("login") if callable(given.get("login")) else None
    headers = given.pop("headers") if callable(given.get("headers")) else None
    hooks = Hooks(login, headers, url if callable(url) else None)
    if login is not None:
        given["hold_login"] = True
    if headers is not None or hooks.url is not None:
        given["hold_connect"] = True
    return given, hooks


def refuse_own_hold(url: Any, options: Mapping[str, Any]) -> None:
    """connect() gives the client away when the connection is open: before that nobody could release the hold."""
    if is_true(options.get("hold_connect")) and not callable(options.get("headers")) and not callable(url):
        raise InvalidArgument(
            "option hold_connect would hold connect() itself; give option headers a function that returns them, or use "
            "WebSocketManager"
        )
