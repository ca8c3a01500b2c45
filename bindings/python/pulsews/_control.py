# SPDX-License-Identifier: Apache-2.0
"""What can be told to a client, and asked of it, without waiting: the same for every kind of client."""

from __future__ import annotations

import ctypes
import math
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Tuple, Union

from . import _native
from ._errors import ConnectionClosed, InvalidArgument, PulseError
from ._log import logger
from ._options import HeadersHook, LoginHook, c_text, header_pairs, is_true
from ._tables import STATISTICS
from ._values import login_messages, text_or_json

_lib = _native.lib
_Doubles = ctypes.c_double * len(STATISTICS)
_CONNECTIONS = STATISTICS.index("connections") if "connections" in STATISTICS else -1


class Control:
    """The part of a client that gives orders to the library and looks at its numbers."""

    _handle: int
    _url: str
    _prefetch: Deque[Any]
    # The functions that options login and headers were given.
    _login_hook: Optional[LoginHook] = None
    _headers_hook: Optional[HeadersHook] = None
    # Whether somebody waits in connect(), who gets the exception of such a function.
    _connecting: bool = False

    def _error(self, status: int, sentence: str = "") -> PulseError:
        raise NotImplementedError

    def _bytes(self, function: Callable[[int, Any, int], int], size: int = 256) -> bytes:
        raise NotImplementedError

    def _check(self, status: int, why: Any = None) -> None:
        if status < 0:
            raise self._error(status, why.value.decode("utf-8", "replace") if why is not None else "")

    # ---- staying connected

    def reconnect(self) -> None:
        """Connects anew at once, from any state but after :meth:`close`: leaves the open connection, skips the delay
        before the next attempt, or comes back after :meth:`disconnect` or when trying had ended.

        The count of attempts begins again. Does not wait: :meth:`wait_ready` does.
        """
        self._check(_lib.pulsews_reconnect(self._handle))

    def set_header(self, name: str, value: Optional[str]) -> None:
        """Sets a header of the handshake from the next attempt on, in place of any of that name; ``None`` removes
        it."""
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        text = None if value is None else c_text(value, "value")
        self._check(_lib.pulsews_set_header(self._handle, c_text(name, "name"), text, why, _native.ERROR_SIZE), why)

    def set_url(self, url: str) -> None:
        """Sets the URL of the preferred endpoint from the next attempt on. It must stay with ws or wss as it was."""
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        self._check(_lib.pulsews_set_url(self._handle, c_text(url, "url"), why, _native.ERROR_SIZE), why)
        self._url = url

    def release(self) -> None:
        """Ends the hold that option ``hold_connect`` or ``hold_login`` has put on the present attempt (event
        ``"hold"``); nothing happens if there is none. Not needed with ``login=`` and ``headers=`` functions."""
        self._check(_lib.pulsews_release(self._handle))

    def subscribe(
        self,
        key: str,
        message: Union[None, str, Mapping[str, Any], List[Any]] = None,
        unsubscribe: Union[None, str, Mapping[str, Any], List[Any]] = None,
    ) -> None:
        """Adds a subscription under ``key``, or replaces it: sent now if the connection is ready, and again on every
        connect, in the order of subscribing, before anything that waits in the outbox.

        ``message`` is the text that subscribes, ``unsubscribe`` the one that ends it; a mapping or list stands for its
        JSON. Without ``message`` the options ``subscribe_message`` and ``unsubscribe_message`` make the texts.
        """
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        self._check(
            _lib.pulsews_subscribe(
                self._handle,
                c_text(key, "key"),
                text_or_json(message, "message"),
                text_or_json(unsubscribe, "unsubscribe"),
                why,
                _native.ERROR_SIZE,
            ),
            why,
        )

    def unsubscribe(self, key: str) -> None:
        """Removes the subscription, and ends it at the server. A key that is not known is fine."""
        self._check(_lib.pulsews_unsubscribe(self._handle, c_text(key, "key")))

    def purge(self) -> int:
        """Drops what waits in the outbox; gives how many messages that were."""
        number = int(_lib.pulsews_purge(self._handle))
        self._check(number)
        return number

    # ---- looking

    @property
    def is_ready(self) -> bool:
        """Whether the connection is open, logged in and subscribed, so that messages go out at once."""
        state = _lib.pulsews_client_state(self._handle)
        self._check(state)
        # In any other state the second call would begin to connect.
        return bool(state == 2 and _lib.pulsews_wait_ready(self._handle, 0, None, 0) == _native.OK)

    def _numbers(self) -> List[float]:
        values = _Doubles()
        self._check(_lib.pulsews_statistics(self._handle, values, len(values)))
        return list(values)

    def statistics(self) -> Dict[str, float]:
        """Every number of :func:`pulsews.statistic_table` by name, cheaper than :meth:`status`. Times are seconds; NaN
        stands for what is not known yet."""
        found = dict(zip(STATISTICS, self._numbers()))
        if "receive_queue_size" in found:
            # What was fetched ahead for the next calls waits here, not in the library, and counts as well.
            found["receive_queue_size"] += len(self._prefetch)
        return found

    def prometheus(self) -> str:
        """The statistics in the Prometheus text format."""
        return self._bytes(_lib.pulsews_prometheus, 16384).decode("utf-8", "replace")

    @property
    def latency(self) -> Optional[float]:
        """The last round-trip time of a heartbeat in seconds; ``None`` before the first one."""
        value = self.statistics().get("latency", math.nan)
        return None if math.isnan(value) else value

    # ---- the functions that login= and headers= were given

    def _hook_for(self, event: Mapping[str, Any]) -> Optional[Callable[[], Any]]:
        at = event.get("at")
        return self._login_hook if at == "login" else self._headers_hook if at == "connect" else None

    def _mark(self) -> float:
        """Tells one connection from the next."""
        return self._numbers()[_CONNECTIONS] if _CONNECTIONS >= 0 else 0.0

    def _is_over(self, event: Mapping[str, Any]) -> bool:
        """Whether the hold has ended before its function was called: it was timed out, or another one was answered."""
        state = _lib.pulsews_client_state(self._handle)
        if event.get("at") == "login":
            # One that is to follow the present connection is held while that one is ready.
            return bool(state != 2 or (self.is_ready and not event.get("successor")))
        # An attempt may also be held while a connection serves: one at a preferred endpoint.
        return bool(state not in (1, 2, 3))

    def _apply(self, event: Mapping[str, Any], value: Any, mark: float) -> None:
        """Hands over what the function returned, and lets the attempt go on."""
        if event.get("at") == "connect":
            for name, text in () if value is None else header_pairs(value, "headers", removable=True):
                self.set_header(name, text)
        else:
            messages = login_messages(value)
            # A login that took too long is not for the connection after it.
            if self._mark() != mark or self._is_over(event):
                return
            for kind, body in messages:
                status = _lib.pulsews_send_with(
                    self._handle, kind, body, len(body), _native.FIRST, 0, 0, None
                )
                self._check(status)
        self.release()

    def _hook_failed(self, event: Mapping[str, Any], problem: Exception) -> None:
        """An exception in such a function that nobody waits for: the attempt ends when the hold times out."""
        if isinstance(problem, ConnectionClosed) and problem.error_code == _native.ECLOSED:
            return
        what = "login" if event.get("at") == "login" else "headers"
        logger.error("the function for option %s failed", what, exc_info=problem)


def split_hooks(options: Mapping[str, Any]) -> Tuple[Dict[str, Any], Optional[LoginHook], Optional[HeadersHook]]:
    """The options for the library, and the functions among them."""
    given = dict(options)
    login: Optional[LoginHook] = None
    headers: Optional[HeadersHook] = None
    if callable(given.get("login")):
        login = given.pop("login")
        given["hold_login"] = True
    if callable(given.get("headers")):
        headers = given.pop("headers")
        given["hold_connect"] = True
    return given, login, headers


def refuse_own_hold(options: Mapping[str, Any]) -> None:
    """connect() gives the client away when the connection is open: before that nobody could release the hold."""
    if is_true(options.get("hold_connect")) and not callable(options.get("headers")):
        raise InvalidArgument(
            "option hold_connect would hold connect() itself; give option headers a function that returns them, or use "
            "WebSocketManager"
        )
