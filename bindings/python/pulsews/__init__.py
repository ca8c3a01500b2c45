# SPDX-License-Identifier: Apache-2.0
"""WebSocket connections for trading services, on the native library libpulsews.

    import pulsews

    with pulsews.connect("wss://stream.example.com/ws") as ws:
        ws.send('{"method": "SUBSCRIBE"}')
        for message in ws:
            print(message)

The same with ``async with`` and ``await`` is in :mod:`pulsews.aio`. Pings are answered and heartbeats sent by the
library, whatever the interpreter is busy with.
"""

from . import aio
from ._core import Data, Message, Sendable
from ._errors import (
    CallTimeout,
    ConnectError,
    ConnectionClosed,
    HandshakeError,
    Headers,
    InvalidArgument,
    LibraryError,
    NotConnected,
    OpenTimeout,
    PulseError,
    QueueFull,
)
from ._options import Option, Options, option_table
from .client import Client, connect

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
    "Message",
    "NotConnected",
    "OpenTimeout",
    "Option",
    "Options",
    "PulseError",
    "QueueFull",
    "Sendable",
    "aio",
    "connect",
    "library_version",
    "option_table",
]


def library_version() -> str:
    """The version of the native library that was loaded, for example ``"0.1.0"``."""
    from . import _native

    return str(_native.lib.pulsews_version().decode())
