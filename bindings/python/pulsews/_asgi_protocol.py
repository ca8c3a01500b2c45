# SPDX-License-Identifier: Apache-2.0
"""The WebSocket protocol class for uvicorn: a connection for the hub leaves the server, every other one goes to uvicorn's own class."""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import sys
from typing import Any, Callable, Dict, List, Optional
from urllib.parse import unquote_to_bytes

from ._asgi_mount import HANDED_OVER, KEY, RELAYED, Mount, nearest
from ._errors import PulseError
from ._log import logger

_NOBODY = (
    "no hub takes WebSocket connections of this server: wrap the application (app.add_middleware(pulsews.asgi.HubMiddleware, "
    "hub=hub)), and let the server run its lifespan. Until then all go to uvicorn's own class"
)
_NO_CLASS = b"there is no WebSocket library for this path: install websockets or wsproto\n"


def other_class() -> Optional[Callable[..., Any]]:
    """What uvicorn takes with ``--ws auto``; ``None`` if no library for it is installed."""
    module = importlib.import_module("uvicorn.protocols.websockets.auto")
    return module.AutoWebSocketsProtocol  # type: ignore[no-any-return]


class HubProtocol(asyncio.Protocol):
    """Serves WebSocket connections of uvicorn: ``uvicorn app:app --ws pulsews.asgi:HubProtocol``.

    For a path of a :class:`pulsews.asgi.HubMiddleware` the hub gets the connection itself, with all that was read from it, and
    the server knows nothing of it any more. If TLS ends in uvicorn its bytes are relayed. Every other path is served by the
    class that uvicorn would take by itself.
    """

    takes_over = True

    def __init__(
        self, config: Any, server_state: Any, app_state: Dict[str, Any], _loop: Optional[asyncio.AbstractEventLoop] = None
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_event_loop()
        self._transport: Any = None
        self._mount: Optional[Mount] = None
        # What the hub reads first.
        self._first = b""
        self._awaits_drain = False
        # Who has the connection in the end, if it is not the hub itself.
        self._other: Any = None
        self._relay: Optional[Relay] = None

    # ---- what uvicorn and its transport call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._other is not None:
            self._other.data_received(data)
        elif self._relay is not None:
            self._relay.from_peer(data)
        elif self._mount is not None:
            self._first += data
        else:
            self._begin(data)

    def eof_received(self) -> Any:
        return self._other.eof_received() if self._other is not None else None

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._server_state.connections.discard(self)
        if self._other is not None:
            self._other.connection_lost(exc)
        elif self._relay is not None:
            self._relay.peer_is_gone()
            self._transport.close()

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.pause_writing()
        elif self._relay is not None:
            self._relay.pause()

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.resume_writing()
        elif self._relay is not None:
            self._relay.resume()
        elif self._awaits_drain:
            # Not from inside the transport's writing.
            self._awaits_drain = False
            self._loop.call_soon(self._go_on)

    def shutdown(self) -> None:
        """The server ends. One that is uvicorn's is told by itself, and one that is the hub's is drained with the hub."""
        if self._relay is not None and self._mount is not None and self._mount.has_started_hub:
            # The server waits for what it relays before it tells the application to end.
            self._mount.hub._begin_drain()
        else:
            self._transport.close()

    # ---- the way to the hub

    def _begin(self, head: bytes) -> None:
        self._first = head
        mount = self._find(head)
        if mount is None:
            return self._leave()
        self._mount = mount
        self._server_state.connections.add(self)
        http = self._transport.get_protocol()
        self._first += behind_the_head(http)
        self._transport.pause_reading()
        # A request before this one on the same connection may still be at work.
        cycle = getattr(http, "cycle", None)
        if cycle is None or cycle.response_complete:
            return self._go_on()
        respond = cycle.on_response

        def answered() -> None:
            respond()
            getattr(http, "_unset_keepalive_if_required", lambda: None)()
            self._go_on()

        cycle.on_response = answered

    def _find(self, head: bytes) -> Optional[Mount]:
        mounts: Optional[List[Mount]] = self._app_state.get(KEY)
        if mounts is None:
            logger.error("%s", _NOBODY)
            mounts = self._app_state[KEY] = []
        path = unquote_to_bytes(head.split(b" ", 2)[1].partition(b"?")[0]).decode("utf-8", "replace")
        mount = nearest(mounts, path)
        why = None if mount is None or mount.way is not None else mount.why_not(self._config)
        if why:
            logger.error("%s", why)
        return mount

    def _go_on(self) -> None:
        """Once all that the server had to say is written."""
        if self._transport.is_closing():
            return
        self._transport.pause_reading()
        if self._transport.get_extra_info("sslcontext") or self._transport.get_extra_info("socket") is None:
            return self._begin_relay()
        if self._transport.get_write_buffer_size() > 0:
            self._awaits_drain = True
            self._transport.set_write_buffer_limits(high=0)
            return
        self._hand_over()

    def _hand_over(self) -> None:
        """Gives the hub a second descriptor of the connection, and ends the transport, which closes the first one: neither
        shuts the connection down."""
        mount = self._mount
        assert mount is not None
        try:
            own = self._transport.get_extra_info("socket")
            with socket.socket(fileno=os.dup(own.fileno())) as copy:
                is_unix = copy.family == socket.AF_UNIX
                mount.hub.adopt(copy, self._without_claims(mount) if is_unix else self._first)
        except (OSError, PulseError) as problem:
            return self._not_taken(problem)
        mount.count(HANDED_OVER)
        self._transport.abort()

    def _begin_relay(self) -> None:
        mount = self._mount
        assert mount is not None
        client = self._transport.get_extra_info("peername")
        if not isinstance(client, (tuple, list)):
            client = None
        first = self._first if client else self._without_claims(mount)
        line, _, rest = first.partition(b"\r\n")
        own = b"".join(b"%s: %s\r\n" % pair for pair in mount.forwarded(client))
        fields, _, behind = rest.partition(b"\r\n\r\n")
        try:
            ours = mount.connect(b"%s\r\n%s\r\n%s\r\n%s" % (line, fields, own, behind))
        except (OSError, PulseError) as problem:
            return self._not_taken(problem)
        mount.count(RELAYED)
        self._relay = Relay(self._transport, self._loop, ours)

    def _without_claims(self, mount: Mount) -> bytes:
        head, end, behind = self._first.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if mount.may_keep(None, line.partition(b":")[0])]
        return b"\r\n".join(lines) + end + behind

    def _not_taken(self, problem: Exception) -> None:
        """The middleware then refuses it, in HTTP."""
        logger.warning("a connection was not taken over, and goes the way of the application's: %s", problem)
        self._mount = None
        self._transport.set_write_buffer_limits()
        self._transport.resume_reading()
        self._leave()

    def _leave(self) -> None:
        """To uvicorn's own class."""
        self._server_state.connections.discard(self)
        make = other_class()
        if make is None:
            head = b"HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
            self._transport.write(b"%sContent-Length: %d\r\n\r\n%s" % (head, len(_NO_CLASS), _NO_CLASS))
            return self._transport.close()  # type: ignore[no-any-return]
        other = make(config=self._config, server_state=self._server_state, app_state=self._app_state)
        other.connection_made(self._transport)
        self._other = other
        other.data_received(self._first)


class Relay(asyncio.Protocol):
    """Bytes between a transport of the server, which knows the TLS, and the hub: this is the hub's side of it."""

    def __init__(self, peer: Any, loop: asyncio.AbstractEventLoop, ours: socket.socket) -> None:
        self._peer = peer
        self._ours = ours
        self._hub: Any = None
        self._waiting = b""
        self._is_over = False
        self._connecting = loop.create_task(self._connect(loop))

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            await loop.create_unix_connection(lambda: self, sock=self._ours)
        except BaseException as problem:
            self._ours.close()
            self._peer.close()
            if not isinstance(problem, Exception):
                raise
            logger.warning("a connection could not be relayed: %s", problem)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._hub = transport
        if self._is_over:
            return self._hub.close()  # type: ignore[no-any-return]
        if self._waiting:
            self._hub.write(self._waiting)
        if not self._peer.is_closing():
            self._peer.resume_reading()

    def from_peer(self, data: bytes) -> None:
        if self._hub is None:
            self._waiting += data
        else:
            self._hub.write(data)

    def peer_is_gone(self) -> None:
        self._is_over = True
        if self._hub is not None:
            self._hub.close()

    def pause(self) -> None:
        """The peer reads too slowly."""
        if self._hub is not None:
            self._hub.pause_reading()

    def resume(self) -> None:
        if self._hub is not None and not self._hub.is_closing():
            self._hub.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._peer.write(data)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._peer.close()

    def pause_writing(self) -> None:
        """The hub reads too slowly."""
        self._peer.pause_reading()

    def resume_writing(self) -> None:
        if not self._peer.is_closing():
            self._peer.resume_reading()


def behind_the_head(http: Any) -> bytes:
    """What uvicorn's HTTP class has read behind the head of the upgrade, and does not hand on itself. RFC 6455 section 4.1 has
    clients wait for the answer; not all do."""
    upgrade = sys.exc_info()[1]
    if type(upgrade).__name__ == "HttpParserUpgrade" and upgrade is not None:
        # httptools: it tells the place in the bytes that were fed, by an exception that is being handled now.
        trace = upgrade.__traceback__
        data = trace.tb_frame.f_locals.get("data") if trace is not None else None
        place = upgrade.args[0] if upgrade.args else None
        if isinstance(data, bytes) and isinstance(place, int):
            return data[place:]
    # h11: the bytes, and whether the end of the stream came behind them.
    trailing = getattr(getattr(http, "conn", None), "trailing_data", (b"",))
    rest = trailing[0] if isinstance(trailing, tuple) else trailing
    return bytes(rest) if isinstance(rest, (bytes, bytearray)) else b""
