# SPDX-License-Identifier: Apache-2.0
"""What the managers have in common: the orders that do not wait, and looking."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Union

from ._callbacks import CALLBACKS, Callback, Callbacks
from ._core import Core
from ._hooks import split_hooks
from ._json import Dumps, ParseJson, decoder, encoder
from ._options import URL, Configuration
from ._tables import state_name

if TYPE_CHECKING:
    from ._status import ManagerStatus, State


class Managing:
    """A client that is used through callbacks."""

    def __init__(
        self,
        url: URL,
        callbacks: Mapping[str, Optional[Callback]],
        parse_json: ParseJson,
        dump_json: Optional[Dumps],
        options: Mapping[str, Any],
    ) -> None:
        self._callbacks = Callbacks(callbacks, decoder(parse_json))
        self._dumps = encoder(dump_json)
        self._options: Dict[str, Any] = dict(options)
        # The order of the callbacks, and some of what they mean, comes with events.
        self._options["events"] = True
        self._url = url
        self._pid = os.getpid()
        self._started = False
        # A function that gives the URL is called when it is needed.
        self._client: Any = None
        if callable(url):
            with Configuration(split_hooks(url, self._options)[0]):
                pass
        else:
            self._client = self._make(url)

    def _make(self, url: URL) -> Core:
        raise NotImplementedError

    def _current(self) -> Any:
        if self._client is None:
            self._client = self._make(self._url)
        elif not self._started and self._pid != os.getpid():
            # Made before a fork, as servers do that load the application once: nothing of it is in use yet.
            self._pid = os.getpid()
            self._client = self._make(self._url)
        return self._client

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self)
        if name in CALLBACKS:
            raise AttributeError(f"{name} is an argument of {kind.__name__}(); it can't be set afterwards")
        if not name.startswith("_") and kind.__module__.startswith(__package__ + ".") and not hasattr(kind, name):
            raise AttributeError(f"{kind.__name__} has no attribute {name!r}")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        name = f"pulsews.{type(self).__name__}"
        return f"<{name}>" if self._client is None else str(self._client._described(name))

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

    def purge(self) -> int:
        """Drops what waits in the outbox; gives how many messages that were."""
        return int(self._current().purge())

    # ---- looking

    @property
    def url(self) -> str:
        """The URL, or what the function for it gave last; empty before it was called."""
        return "" if self._client is None else str(self._client.url)

    @property
    def state(self) -> State:
        """``"disconnected"``, ``"connecting"``, ``"connected"``, ``"reconnecting"`` or ``"error"``."""
        return state_name(0) if self._client is None else self._current().state  # type: ignore[return-value]

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open."""
        return self.state == "connected"

    @property
    def is_ready(self) -> bool:
        """Whether the connection is open, logged in and subscribed, so that messages go out at once."""
        return self._client is not None and bool(self._current().is_ready)

    def get_status(self) -> ManagerStatus:
        """State and statistics as :meth:`pulsews.Client.status` gives them, with ``callback_errors``, the number of
        exceptions in callbacks; ``messages_unhandled``, of messages that came without an ``on_message``;
        ``slow_callbacks``, of those that kept the event loop for more than 0.1 s at a time, and ``slowest_callback``,
        the longest of these times."""
        status: ManagerStatus = self._current().status()
        status["callback_errors"] = self._callbacks.errors
        status["messages_unhandled"] = self._callbacks.unhandled
        status["slow_callbacks"] = self._callbacks.slow
        status["slowest_callback"] = self._callbacks.slowest
        return status

    def status(self) -> ManagerStatus:
        """The same."""
        return self.get_status()

    def statistics(self) -> Dict[str, float]:
        """As :meth:`pulsews.Client.statistics`."""
        return self._current().statistics()  # type: ignore[no-any-return]

    def prometheus(self) -> str:
        """As :meth:`pulsews.Client.prometheus`."""
        return str(self._current().prometheus())

    @property
    def latency(self) -> Optional[float]:
        """The last round-trip time of a heartbeat in seconds; ``None`` before the first one."""
        return self._current().latency  # type: ignore[no-any-return]
