# SPDX-License-Identifier: Apache-2.0
"""What a hub's handlers get and give: peers, requests, responses; and publications."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Protocol, Tuple, Union
from urllib.parse import parse_qs

from ._errors import Headers, InvalidArgument
from ._json import Dumps
from ._options import header_pairs
from ._values import Sendable

Body = Union[None, str, bytes, bytearray, memoryview, Mapping[str, Any], List[Any], Tuple[Any, ...]]


class PeerCalls(Protocol):
    """What a peer needs of its hub."""

    def send(self, peer: Any, data: Sendable) -> None: ...

    def subscribe(self, peer: Any, topic: str) -> None: ...

    def unsubscribe(self, peer: Any, topic: str) -> None: ...

    def close_peer(self, peer: Any, code: int = 1000, reason: str = "") -> None: ...


class HubPeer:
    """A WebSocket peer of a hub. A handler gets the same object for the same peer each time, so that an application may
    keep what it knows about a peer in :attr:`state`."""

    __slots__ = ("__weakref__", "_hub", "number", "route", "address", "target", "headers", "subprotocol", "state")

    number: int
    """Tells it from all others; never used again."""
    route: str
    """The path of its route."""
    address: str
    """Where it comes from."""
    target: str
    """The path of its request; its query may hold a token."""
    headers: Headers
    """The headers of its request, without Authorization and Cookie."""
    subprotocol: Optional[str]
    """The subprotocol that was chosen: ``"pulse.v1"``, one of the route's, or ``None``."""
    state: Dict[str, Any]
    """For the application; empty at first."""

    def __init__(
        self, hub: PeerCalls, number: int, route: str, address: str = "", target: str = "",
        headers: Optional[Headers] = None, subprotocol: Optional[str] = None,
    ) -> None:
        self._hub = hub
        self.number = number
        self.route = route
        self.address = address
        self.target = target
        self.headers = Headers() if headers is None else headers
        self.subprotocol = subprotocol
        self.state = {}

    def send(self, data: Sendable) -> None:
        """As :meth:`pulsews.Hub.send`."""
        self._hub.send(self, data)

    def subscribe(self, topic: str) -> None:
        """As :meth:`pulsews.Hub.subscribe`."""
        self._hub.subscribe(self, topic)

    def unsubscribe(self, topic: str) -> None:
        """As :meth:`pulsews.Hub.unsubscribe`."""
        self._hub.unsubscribe(self, topic)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """As :meth:`pulsews.Hub.close_peer`."""
        self._hub.close_peer(self, code, reason)

    def __repr__(self) -> str:
        return f"<pulsews.HubPeer #{self.number} {self.address} {self.route}>"


class HubRequest:
    """A request to a route of kind ``"application"``, or of a peer that wants to connect (:meth:`pulsews.Hub.on_authorize`)."""

    __slots__ = ("number", "route", "address", "method", "target", "headers", "body", "token", "peer")

    number: int
    """Tells it from all others."""
    route: str
    """The path of the route."""
    address: str
    """Where it comes from."""
    method: str
    """Such as ``"POST"``."""
    target: str
    """Path and query, as they came."""
    headers: Headers
    body: bytes
    token: Optional[str]
    """Of one that wants to connect: the bearer token, from wherever it came."""
    peer: Optional[int]
    """Of one that wants to connect: the number that the peer will have."""

    def __init__(
        self, number: int, route: str, address: str, method: str, target: str, headers: Headers, body: bytes = b"",
        token: Optional[str] = None, peer: Optional[int] = None,
    ) -> None:
        self.number = number
        self.route = route
        self.address = address
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.token = token
        self.peer = peer

    @property
    def path(self) -> str:
        """The target up to the question mark, as it came."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> Dict[str, str]:
        """The parameters behind the question mark; of several with one name the last."""
        return {name: values[-1] for name, values in parse_qs(self.target.partition("?")[2], True).items()}

    def json(self) -> Any:
        """The body, which has to be JSON; raises ``ValueError`` if it is not."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<pulsews.HubRequest #{self.number} {self.method} {self.path}>"


class HubResponse(NamedTuple):
    """The answer to a request. A handler may return the body alone, which is then sent with status 200, or ``None``: 204."""

    status: int = 200
    body: Body = None
    """``str`` is sent as text, bytes as they are, a mapping or list as its JSON, each with the content type for it."""
    headers: Union[Mapping[str, str], Tuple[Tuple[str, str], ...]] = ()


class Publication(NamedTuple):
    """A message of a topic for :meth:`pulsews.Hub.publish_many` and :meth:`pulsews.Hub.load`."""

    topic: str
    data: Any
    """As for :meth:`pulsews.Hub.publish`."""
    key: Optional[str] = None
    exchange_ns: int = 0
    """When it was made at its source, in nanoseconds since 1970-01-01T00:00:00Z as ``time.time_ns()``; 0: not known."""
    received_ns: int = 0
    """When it was received here, likewise."""
    offset: int = 0
    """For ``load``: its offset; 0: the next one."""
    published_ns: int = 0
    """For ``load``: when it was published; 0: now."""


def body_bytes(body: Any, dumps: Dumps) -> Tuple[bytes, str]:
    """A body and its content type."""
    if body is None:
        return b"", ""
    if isinstance(body, str):
        return body.encode(), "text/plain; charset=utf-8"
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body), "application/octet-stream"
    if isinstance(body, (Mapping, list, tuple)):
        text = dumps(body)
        return text.encode() if isinstance(text, str) else text, "application/json"
    raise TypeError(
        f"the answer to a request must be str, bytes, a mapping or list for its JSON, HubResponse or None, "
        f"not {type(body).__name__}"
    )


def response_parts(answer: Any, dumps: Dumps) -> Tuple[int, bytes, bytes]:
    """Status, header lines and body for the library."""
    if not isinstance(answer, HubResponse):
        answer = HubResponse(204 if answer is None else 200, answer)
    if not isinstance(answer.status, int):
        raise TypeError(f"the status of a response must be an int, not {type(answer.status).__name__}")
    body, kind = body_bytes(answer.body, dumps)
    pairs = header_pairs(answer.headers, "the headers of a response")
    for name, value in pairs:
        # The library takes lines: one more line would be one more header.
        if not name or any(letter in name + value for letter in "\r\n\0") or ":" in name:
            raise InvalidArgument(f"the headers of a response: {name!r} or its value is not of one line")
    if kind and not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.append(("Content-Type", kind))
    return answer.status, "".join(f"{name}: {value}\n" for name, value in pairs).encode(), body


def verdict_parts(answer: Any, dumps: Dumps) -> Tuple[int, bytes, bytes]:
    """As :func:`response_parts`, for a peer that wants to connect. Only ``True`` lets it in."""
    if answer is True:
        return 101, b"", b""
    if answer is False:
        return 403, b"", b""
    if isinstance(answer, str):
        return 403, b"", answer.encode()
    if isinstance(answer, HubResponse):
        status, _, body = response_parts(answer, dumps)
        if not 400 <= status <= 599:
            raise InvalidArgument(f"status {status} refuses nobody; allowed are 400 to 599")
        return status, b"", body
    raise TypeError(f"on_authorize must give True, or False, a sentence or HubResponse to refuse, not {answer!r:.40}")
