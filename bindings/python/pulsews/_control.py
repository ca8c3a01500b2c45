# SPDX-License-Identifier: Apache-2.0
"""What can be told to a client, and asked of it, without waiting: the same for every kind of client."""

from __future__ import annotations

import ctypes
import math
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Union

from . import _contract, _native
from ._errors import PulseError
from ._json import Dumps, json_text
from ._options import c_text
from ._tables import STATISTICS
from ._values import text_or_json

_lib = _native.lib
_Doubles = ctypes.c_double * len(STATISTICS)


class Control:
    """The part of a client that gives orders to the library and looks at its numbers."""

    _handle: int
    _url: str
    _prefetch: Deque[Any]
    _events_dropped: int = 0
    # Makes the JSON of what is sent.
    _dumps: Dumps = staticmethod(json_text)

    def _label(self) -> str:
        raise NotImplementedError

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
                text_or_json(message, "message", self._dumps),
                text_or_json(unsubscribe, "unsubscribe", self._dumps),
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
    def is_connected(self) -> bool:
        """Whether the connection is open."""
        state = _lib.pulsews_client_state(self._handle)
        self._check(state)
        return bool(state == 2)

    @property
    def is_ready(self) -> bool:
        """Whether the connection is open, logged in and subscribed, so that messages go out at once."""
        state = _lib.pulsews_client_state(self._handle)
        self._check(state)
        # In any other state the second call would begin to connect.
        return bool(state == 2 and _lib.pulsews_wait_ready(self._handle, 0, None, 0) == _contract.OK)

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
        if "events_dropped" in found:
            found["events_dropped"] += self._events_dropped
        return found

    def prometheus(self) -> str:
        """The statistics in the Prometheus text format."""
        return self._bytes(_lib.pulsews_prometheus, 16384).decode("utf-8", "replace")

    @property
    def latency(self) -> Optional[float]:
        """The last round-trip time of a heartbeat in seconds; ``None`` before the first one."""
        value = self.statistics().get("latency", math.nan)
        return None if math.isnan(value) else value
