# SPDX-License-Identifier: Apache-2.0
"""WebSocket connections for trading services, on the native library libpulsews.

    import pulsews

    with pulsews.connect("wss://stream.example.com/ws") as ws:
        ws.send('{"method": "SUBSCRIBE"}')
        for message in ws:
            print(message)

The same with ``async with`` and ``await`` is in :mod:`pulsews.aio`. :class:`pulsews.WebSocketManager` is an asyncio
connection with callbacks, :class:`pulsews.BlockingManager` one for programs without asyncio. The library keeps the
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
    from . import aio
    from .manager import WebSocketManager


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
    "PulseError",
    "QueueFull",
    "RateLimited",
    "Sendable",
    "Statistic",
    "Status",
    "SubscribeError",
    "Transition",
    "WebSocketManager",
    "aio",
    "connect",
    "disable_logging",
    "enable_logging",
    "library_version",
    "option_table",
    "presets",
    "prometheus",
    "statistic_table",
    "transition_table",
]


def library_version() -> str:
    """The version of the native library that was loaded, for example ``"0.1.0"``."""
    return str(_native.lib.pulsews_version().decode())


def __getattr__(name: str) -> Any:
    """What needs asyncio is imported when it is first used."""
    if name == "aio":
        return importlib.import_module(".aio", __name__)
    if name == "WebSocketManager":
        return importlib.import_module(".manager", __name__).WebSocketManager
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted({*globals(), "WebSocketManager", "aio"})
