# SPDX-License-Identifier: Apache-2.0
"""A hub at the port of an ASGI application, such as one of FastAPI, which keeps its own routes.

    app = FastAPI()
    app.add_middleware(pulsews.asgi.HubMiddleware, hub=hub, path="/ws")

Under uvicorn with ``--ws pulsews.asgi:HubProtocol`` the hub takes the connections over from the server: they cost Python nothing
any more. Under any other server, or without that, the middleware pumps the messages between the server and the hub. What is below
the path and no WebSocket, such as ``/ws/status``, the hub answers through the middleware.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Dict, Iterable, Optional, Union

from ._asgi_mount import KEY, Mount, Scope, nearest, path_of
from ._asgi_protocol import HubProtocol
from ._asgi_pump import Receive, Send, serve_request, serve_websocket
from ._log import logger

if TYPE_CHECKING:
    from .hub import Hub

__all__ = ["HubMiddleware", "HubProtocol"]


class HubMiddleware:
    """The application with a hub: what is at ``path`` and below it is the hub's, the rest is the application's.

    ``hub`` starts when the application has started, unless it runs already, and is drained before the application ends. It
    needs no ``listen`` of its own. ``path`` is one path or several, such as ``("/ws", "/metrics")``; the routes of the hub are
    below them. With several workers each process has a hub of its own, and the start is refused unless ``separate_workers`` is
    true.
    """

    def __init__(
        self, app: Any, hub: Hub, path: Union[str, Iterable[str]] = "/ws", *, separate_workers: bool = False
    ) -> None:
        self.app = app
        self._mount = Mount(hub, path, separate_workers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await Lifespan(self.app, self._mount).run(scope, receive, send)
        elif kind == "http" and nearest((self._mount,), path_of(scope)) is not None:
            await serve_request(self._mount, scope, receive, send)
        elif kind == "websocket" and nearest((self._mount,), path_of(scope)) is not None:
            await serve_websocket(self._mount, scope, receive, send)
        else:
            await self.app(scope, receive, send)


def configuration() -> Any:
    """How uvicorn is set up: its object for the lifespan knows it, whose task this is. ``None`` if that is not so, as under other
    servers; what depends on it is then found at the first connection."""
    task = asyncio.current_task()
    frame = getattr(task.get_coro(), "cr_frame", None) if task is not None else None
    config = getattr(frame.f_locals.get("self"), "config", None) if frame is not None else None
    return config if hasattr(config, "ws_protocol_class") else None


class Lifespan:
    """Starts the hub once the application has started, and drains it before the application ends."""

    def __init__(self, app: Any, mount: Mount) -> None:
        self._app = app
        self._mount = mount
        # What the application has said: nothing, that it has started, or the end.
        self._is_answered = False
        self._is_asked = False
        self._has_failed = False

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        state = scope.get("state")
        if state is not None:
            # uvicorn gives it to its WebSocket class.
            state.setdefault(KEY, []).append(self._mount)
        why = self._mount.prepare(configuration())
        try:
            if why is not None:
                await receive()
                return await send({"type": "lifespan.startup.failed", "message": why})
            await self._with_application(scope)
        finally:
            if self._mount.has_started_hub:
                self._mount.has_started_hub = False
                self._mount.hub.close()

    async def _with_application(self, scope: Scope) -> None:
        try:
            await self._app(scope, self._inwards, self._outwards)
        except Exception as problem:
            if self._is_answered:
                raise
            logger.info("the application has no lifespan of its own: %r", problem)
        if self._is_answered:
            return
        if not self._is_asked:
            await self._receive()
        await self._outwards({"type": "lifespan.startup.complete"})
        if not self._has_failed:
            while (await self._inwards())["type"] != "lifespan.shutdown":
                pass
            await self._outwards({"type": "lifespan.shutdown.complete"})

    async def _inwards(self) -> Any:
        if self._has_failed:
            return {"type": "lifespan.shutdown"}
        message = await self._receive()
        self._is_asked = True
        if message["type"] == "lifespan.shutdown" and self._mount.has_started_hub:
            self._mount.has_started_hub = False
            await self._mount.hub.__aexit__(None, None, None)
        return message

    async def _outwards(self, message: Dict[str, Any]) -> None:
        self._is_answered = True
        if self._has_failed:
            return
        if message["type"] == "lifespan.startup.complete":
            why = await self._start()
            if why is not None:
                self._has_failed = True
                message = {"type": "lifespan.startup.failed", "message": why}
        await self._send(message)

    async def _start(self) -> Optional[str]:
        """Why the hub does not start, or ``None``."""
        hub = self._mount.hub
        if hub._started and not hub._closed:
            return None
        try:
            await hub.start()
        except Exception as problem:
            return f"the hub does not start: {problem}"
        self._mount.has_started_hub = True
        return None
