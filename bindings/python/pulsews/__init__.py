# SPDX-License-Identifier: Apache-2.0
"""WebSocket connections for trading services, on the native library libpulsews.

    import pulsews

    with pulsews.connect("wss://stream.example.com/ws") as ws:
        ws.send('{"method": "SUBSCRIBE"}')
        for message in ws:
            print(message)

The same with ``async with`` and ``await`` is in :mod:`pulsews.aio`. :class:`pulsews.WebSocketManager` is an asyncio
connection with callbacks, :class:`pulsews.BlockingManager` one for programs without asyncio. :class:`pulsews.Hub` is the
other end: it serves browsers and services. The library keeps the
connection alive, answers pings and comes back when it is lost, whatever the interpreter is busy with; what happens is
told by ``events()`` and by the logger "pulsews".
"""

import importlib
from typing import TYPE_CHECKING, Any, List

from . import _native
from ._contract import VERSION as __version__  # noqa: F401
from ._errors import (
    CallTimeout,
    ConnectError,
    ConnectionClosed,
    HandshakeError,
    Headers,
    InvalidArgument,
    LibraryError,
    LoginError,
    MessagesUnsent,
    NotConnected,
    OpenTimeout,
    PulseError,
    QueueFull,
    RateLimited,
    SubscribeError,
)
from ._items import Data, Event, Message
from ._log import disable_logging, enable_logging
from ._options import Option, Options, Preset, option_table, presets
from ._status import ManagerStatus, Status
from ._tables import Statistic, Transition, prometheus, statistic_table, transition_table
from ._values import Sendable
from .blocking import BlockingManager
from .client import Client, connect

if TYPE_CHECKING:
    from . import aio, asgi, pulse
    from ._hub_core import FeedMap, feed_maps
    from ._hub_items import HubPeer, HubRequest, HubResponse, Publication
    from ._hub_options import (
        HubOption,
        HubOptions,
        RouteOptions,
        TopicOptions,
        hub_option_table,
        hub_statistic_table,
    )
    from ._hub_tasks import HubTask
    from .hub import Hub
    from .manager import WebSocketManager

# What is imported when it is first used: asyncio comes with it, or the hub.
_LATER = {
    "Hub": "hub",
    "HubOption": "_hub_options",
    "HubOptions": "_hub_options",
    "FeedMap": "_hub_core",
    "HubPeer": "_hub_items",
    "HubRequest": "_hub_items",
    "HubResponse": "_hub_items",
    "HubTask": "_hub_tasks",
    "Publication": "_hub_items",
    "RouteOptions": "_hub_options",
    "TopicOptions": "_hub_options",
    "WebSocketManager": "manager",
    "feed_maps": "_hub_core",
    "hub_option_table": "_hub_options",
    "hub_statistic_table": "_hub_options",
}

__all__ = [
    "BlockingManager",
    "CallTimeout",
    "Client",
    "ConnectError",
    "ConnectionClosed",
    "Data",
    "Event",
    "HandshakeError",
    "Headers",
    "FeedMap",
    "Hub",
    "HubOption",
    "HubOptions",
    "HubPeer",
    "HubRequest",
    "HubResponse",
    "HubTask",
    "InvalidArgument",
    "LibraryError",
    "LoginError",
    "ManagerStatus",
    "Message",
    "MessagesUnsent",
    "NotConnected",
    "OpenTimeout",
    "Option",
    "Options",
    "Preset",
    "Publication",
    "PulseError",
    "QueueFull",
    "RateLimited",
    "RouteOptions",
    "Sendable",
    "Statistic",
    "Status",
    "SubscribeError",
    "TopicOptions",
    "Transition",
    "WebSocketManager",
    "aio",
    "asgi",
    "connect",
    "disable_logging",
    "enable_logging",
    "feed_maps",
    "hub_option_table",
    "hub_statistic_table",
    "library_version",
    "option_table",
    "presets",
    "prometheus",
    "pulse",
    "statistic_table",
    "transition_table",
]


def library_version() -> str:
    """The versions of the native library that was loaded and of its OpenSSL, for example
    ``"0.1.0 (OpenSSL 3.0.19 27 Jan 2026)"``."""
    return f"{_native.lib.pulsews_version().decode()} ({_native.openssl_version()})"


def __getattr__(name: str) -> Any:
    """What needs asyncio is imported when it is first used, and so is the hub."""
    if name in ("aio", "asgi", "pulse"):
        return importlib.import_module(f".{name}", __name__)
    if name in _LATER:
        return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted({*globals(), *_LATER, "aio", "asgi", "pulse"})
