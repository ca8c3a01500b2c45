# SPDX-License-Identifier: Apache-2.0
"""WebSocket connections for trading services, on the native library libpulsews.

    import pulsews

    with pulsews.connect("wss://stream.example.com/ws") as ws:
        ws.send('{"method": "SUBSCRIBE"}')
        for message in ws:
            print(message)

The same with ``async with`` and ``await`` is in :mod:`pulsews.aio`; :class:`pulsews.WebSocketManager` is an asyncio
connection with callbacks. The library keeps the connection alive, answers pings and comes back when it is lost,
whatever the interpreter is busy with; what happens is told by ``events()`` and by the logger "pulsews".
"""

from . import aio
from ._core import Message
from ._errors import (
    CallTimeout,
    ConnectError,
    ConnectionClosed,
    HandshakeError,
    Headers,
    InvalidArgument,
    LibraryError,
    LoginError,
    NotConnected,
    OpenTimeout,
    PulseError,
    QueueFull,
    RateLimited,
    SubscribeError,
)
from ._log import disable_logging, enable_logging
from ._options import Option, Options, Preset, option_table, presets
from ._tables import Statistic, Transition, prometheus, statistic_table, transition_table
from ._values import Data, Sendable
from .client import Client, connect
from .manager import WebSocketManager

__version__ = "0.1.0"

__all__ = [
    "CallTimeout",
    "Client",
    "ConnectError",
    "ConnectionClosed",
    "Data",
    "HandshakeError",
    "Headers",
    "InvalidArgument",
    "LibraryError",
    "LoginError",
    "Message",
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
    from . import _native

    return str(_native.lib.pulsews_version().decode())
