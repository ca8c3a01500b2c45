# SPDX-License-Identifier: Apache-2.0
"""What receiving gives: messages, and events of the connection."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Union

Data = Union[str, bytes]
"""A received message: ``str`` for text, ``bytes`` for binary."""


class Message(NamedTuple):
    """A received message with what is known about it."""

    data: Any
    """The payload: ``str`` for text, ``bytes`` for binary; with ``parse_json`` the value of a text that is JSON."""
    kind: str
    """``"text"`` or ``"binary"``."""
    received_ns: int
    """When its last bytes were read from the network: nanoseconds since 1970-01-01T00:00:00Z, as ``time.time_ns()``."""
    sequence: int
    """1, 2, 3 ... over everything that the client received; events of the connection have numbers, too. A number is left
    out only where a full queue discarded a message (option ``receive_queue_policy``)."""
    ascii: bool
    """Whether a text is of ASCII only."""
    compressed: bool
    """Whether it arrived compressed."""


class Event(Dict[str, Any]):
    """Something that happened to the connection; docs/EVENTS.md lists the kinds (``event["event"]``) and their keys.

    A dict of its own class, so that ``isinstance`` tells it from a message. Besides the keys of its kind it has
    ``sequence`` and ``received_ns``, which are the attributes below.
    """

    __slots__ = ()

    @property
    def kind(self) -> str:
        """What happened: ``"state"``, ``"ready"``, ``"gap"`` ..."""
        return str(self.get("event", ""))

    @property
    def sequence(self) -> int:
        """Its place among the messages and the other events, which are counted together: see :class:`Message`."""
        return int(self.get("sequence", 0))

    @property
    def received_ns(self) -> int:
        """When it happened: nanoseconds since 1970-01-01T00:00:00Z, as ``time.time_ns()``."""
        return int(self.get("received_ns", 0))


Held = Union[str, bytes, Message, Event]
