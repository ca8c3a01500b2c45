# SPDX-License-Identifier: Apache-2.0
"""The manager for programs without asyncio: a connection that is used through callbacks."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Iterable, Mapping, Optional

from . import _native
from ._callbacks import Callback, by_this_side
from ._errors import MessagesUnsent
from ._json import Dumps, ParseJson
from ._managing import Managing
from ._options import URL
from ._values import Seconds, Sendable
from .client import Client

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import Options

__all__ = ["BlockingManager"]

_lib = _native.lib

# So many messages are taken from the library at once.
_BATCH = 256
# After Ctrl-C the close has so many seconds.
_HURRY = 0.2


class _Client(Client):
    """Tells the manager when a function of an option fails."""

    def __init__(self, url: URL, options: Mapping[str, Any], manager: BlockingManager) -> None:
        self._owner = manager
        super().__init__(url, options, recv_events=True, dump_json=manager._dumps)

    def _hook_failed(self, event: Mapping[str, Any], problem: Exception) -> None:
        super()._hook_failed(event, problem)
        self._owner._hook_failed(problem)


class BlockingManager(Managing):
    """A connection that keeps itself alive and is used through callbacks, for programs without asyncio.

        manager = pulsews.BlockingManager(url="wss://...", on_message=handle, on_connect=connected)
        manager.run_forever()

    Options and callbacks are those of :class:`pulsews.WebSocketManager`; the callbacks are plain functions. They run in
    the thread that is in :meth:`run_forever`, one after another in the order of what happened; an exception in one is
    logged, told to ``on_error``, counted in :meth:`get_status` (``callback_errors``), and survived. Every other method
    may be called from the callbacks and from any thread.
    """

    def __init__(
        self,
        url: URL,
        *,
        on_message: Optional[Callback] = None,
        on_connect: Optional[Callback] = None,
        on_disconnect: Optional[Callback] = None,
        on_error: Optional[Callback] = None,
        on_state_change: Optional[Callback] = None,
        on_event: Optional[Callback] = None,
        parse_json: ParseJson = True,
        dump_json: Optional[Dumps] = None,
        **options: Unpack[Options],
    ) -> None:
        given = {
            "on_message": on_message,
            "on_connect": on_connect,
            "on_disconnect": on_disconnect,
            "on_error": on_error,
            "on_state_change": on_state_change,
            "on_event": on_event,
        }
        self._running = threading.Lock()
        super().__init__(url, given, parse_json, dump_json, options)

    def _make(self, url: URL) -> Client:
        return _Client(url, self._options, self)

    # ---- running

    def run_forever(self) -> None:
        """Connects, and calls the callbacks until :meth:`disconnect` or :meth:`close` is called: from a callback, or
        another thread. Failed attempts are made again as the options say, and told to ``on_error``; raises why when trying
        has ended. Ctrl-C closes the connection and is raised. May be called again."""
        if not self._running.acquire(False):
            raise RuntimeError("run_forever() is running already")
        client: Optional[Client] = None
        try:
            client = self._current()
            if not self._started:
                self._started = True
                client._check(_lib.pulsews_start(client._handle))
            elif client.state in ("disconnected", "error"):
                client.reconnect()
            self._run(client)
        except KeyboardInterrupt:
            if client is not None:
                with suppress(MessagesUnsent):
                    client._close(1000, b"", _HURRY)
            raise
        finally:
            self._running.release()

    def _run(self, client: Client) -> None:
        settled = False
        while True:
            try:
                items = client.recv_batch(_BATCH)
            except Exception as end:
                if by_this_side(end) and not settled:
                    # Receiving ends when a close begins, and what the close brings comes at its end.
                    settled = client.state in ("disconnected", "error")
                    if not settled:
                        self._pause(client)
                    continue
                for name, arguments in self._callbacks.of_end(client, end):
                    self._call(client, name, arguments)
                if by_this_side(end):
                    return
                raise
            settled = False
            for item in items:
                for name, arguments in self._callbacks.of_item(client, item):
                    self._call(client, name, arguments)

    def _pause(self, client: Client) -> None:
        """While a close is on its way."""
        threading.Event().wait(0.005)

    def _call(self, client: Client, name: str, arguments: Any) -> None:
        try:
            result = self._callbacks.call(name, arguments)
            if hasattr(result, "__await__"):
                if hasattr(result, "close"):
                    result.close()
                raise TypeError(f"an async {name} needs WebSocketManager")
        except Exception as problem:
            if self._callbacks.failed(client, name, problem):
                self._call(client, "on_error", (problem,))

    def _hook_failed(self, problem: Exception) -> None:
        """Of the function of an option; it was logged."""
        self._callbacks.errors += 1
        self._call(self._client, "on_error", (problem,))

    # ---- orders

    def wait_ready(self, timeout: Optional[Seconds] = None) -> None:
        """Waits until the connection is ready. For other threads than that of :meth:`run_forever`."""
        self._current().wait_ready(timeout)

    def reconnect(self) -> None:
        """Leaves the connection, or the delay before the next attempt, and connects at once."""
        self._current().reconnect()

    def send(
        self,
        message: Sendable,
        timeout: Optional[Seconds] = None,
        *,
        live_only: bool = False,
        report: bool = False,
        ttl: Optional[Seconds] = None,
        in_limit: bool = False,
        first: bool = False,
    ) -> Optional[int]:
        """Sends a message: a dict or list as its JSON, ``str`` as text, bytes as binary. Before :meth:`run_forever`, and
        while there is no connection, it waits in the outbox. Otherwise as :meth:`pulsews.Client.send`."""
        return self._current().send(  # type: ignore[no-any-return]
            message, timeout, live_only=live_only, report=report, ttl=ttl, in_limit=in_limit, first=first
        )

    def send_many(
        self,
        messages: Iterable[Sendable],
        timeout: Optional[Seconds] = None,
        *,
        live_only: bool = False,
        report: bool = False,
        ttl: Optional[Seconds] = None,
        in_limit: bool = False,
        first: bool = False,
    ) -> int:
        """Sends many messages, in order; gives how many were accepted. As :meth:`pulsews.Client.send_many`."""
        return self._current().send_many(  # type: ignore[no-any-return]
            messages, timeout, live_only=live_only, report=report, ttl=ttl, in_limit=in_limit, first=first
        )

    def ping(self, data: Sendable = b"", timeout: Optional[Seconds] = None) -> None:
        """As :meth:`pulsews.Client.ping`."""
        self._current().ping(data, timeout)

    def flush(self, timeout: Optional[Seconds] = None) -> None:
        """As :meth:`pulsews.Client.flush`."""
        self._current().flush(timeout)

    # ---- closing

    def disconnect(self, timeout: Optional[Seconds] = None) -> None:
        """Closes the connection after what was sent, and ends :meth:`run_forever`, which may be called again."""
        self._current().disconnect(timeout)

    def close(self) -> None:
        """Closes for good, after what was sent, and ends :meth:`run_forever`."""
        self._current().close()
