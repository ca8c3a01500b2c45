# SPDX-License-Identifier: Apache-2.0
"""The messages of the subprotocol ``pulse.v1`` as types, for programs that are peers of a hub.

    from pulsews import pulse

    message: pulse.FromHub = json.loads(text)
    if message["type"] == "gap": ...

Times ``t`` and ``time`` of ``pong`` and ``heartbeat`` are milliseconds since 1970, with three decimals; other times are
RFC 3339. An ``id`` is that of the request: a number or a text.
"""

from __future__ import annotations

from typing import Any, Dict, List, Literal, Optional, Tuple, TypedDict, Union

from ._hub_options import TopicState

Id = Union[int, float, str]
GapCause = Literal["history", "slow", "upstream", "hub_restart", "cluster"]
Stamps = Tuple[Optional[float], Optional[float], Optional[float]]
"""When a message was made at its source, received by the publisher, and published; ``None``: not known."""


class _WithId(TypedDict, total=False):
    id: Id


# ---- from the hub


class WelcomeData(TypedDict):
    client: str
    hub: str
    heartbeat: float
    """How often the hub pings, in seconds."""
    time: str
    resume_window: float
    """How long a peer may be away and still go on without a gap, in seconds."""


class Welcome(TypedDict):
    """The first message of every connection."""

    type: Literal["welcome"]
    data: WelcomeData


class _Published(TypedDict, total=False):
    skipped: int
    """How many messages between ``p`` and this one were left out, since newer ones of their keys stand for them."""


class Published(_Published):
    """A published message."""

    type: str
    """That of the published object; ``"message"`` if it has none."""
    topic: str
    o: int
    """Its offset."""
    p: int
    """The offset before it, as far as this peer is concerned; another one than the last ``o`` means that messages are
    missing."""
    t: Stamps
    data: Any


class _Subscribed(_WithId, total=False):
    number: int
    """What stands for the topic in frames of a binary topic."""


class Subscribed(_Subscribed):
    """The answer to ``subscribe``, one for each topic."""

    type: Literal["subscribed"]
    topic: str
    epoch: str
    offset: int
    recovered: bool
    state: TopicState


class Unsubscribed(_WithId):
    """The answer to ``unsubscribe``, one for each topic."""

    type: Literal["unsubscribed"]
    topic: str


class SnapshotItem(TypedDict):
    type: str
    o: int
    t: Stamps
    data: Any


class _Snapshot(TypedDict, total=False):
    binary: int
    """Of a binary topic: how many binary frames follow as its items."""


class Snapshot(_Snapshot):
    """What a newcomer gets of the past."""

    type: Literal["snapshot"]
    topic: str
    epoch: str
    offset: int
    items: List[SnapshotItem]


Gap = TypedDict("Gap", {
    "type": Literal["gap"], "topic": str, "from": Optional[int], "to": int, "cause": GapCause,
})
"""Messages that this peer does not get: from one offset to another, both included."""


class _TopicStateMessage(TypedDict, total=False):
    feed: str
    cause: str


class TopicStateMessage(_TopicStateMessage):
    """How fresh a topic is."""

    type: Literal["topic_state"]
    topic: str
    state: TopicState
    age: Optional[float]
    """Seconds since its last message."""


Feed = TypedDict("Feed", {"type": Literal["feed"], "data": Dict[str, str]})
"""Another source serves: ``data`` has ``from``, ``to`` and ``cause``."""


class ErrorData(TypedDict):
    code: str
    message: str
    details: Dict[str, Any]


class _Error(_WithId, total=False):
    topic: str


class Error(_Error):
    """Why something was refused."""

    type: Literal["error"]
    data: ErrorData


class _PongData(TypedDict, total=False):
    sent: Union[int, float, str]


class PongData(_PongData):
    time: float


class Pong(_WithId):
    """The answer to ``ping``."""

    type: Literal["pong"]
    data: PongData


class TimeData(TypedDict):
    time: float


class Heartbeat(TypedDict):
    """Only that the connection lives: option ``heartbeat_message`` of a route."""

    type: Literal["heartbeat"]
    data: TimeData


class AuthData(TypedDict):
    user: str
    expires: Optional[str]


class Authenticated(_WithId):
    """The answer to ``auth``."""

    type: Literal["auth"]
    data: AuthData


AuthExpiring = TypedDict("AuthExpiring", {"type": Literal["auth_expiring"], "data": Dict[str, float]})
"""The token ends; ``data`` has ``in``, the seconds until then."""

FromHub = Union[
    Welcome, Subscribed, Unsubscribed, Snapshot, Gap, TopicStateMessage, Feed, Error, Pong, Heartbeat, Authenticated,
    AuthExpiring, Published,
]
"""What a peer receives."""


# ---- to the hub


class Since(TypedDict):
    """Where a peer was, to go on from there."""

    epoch: str
    offset: int


class _TopicWish(TypedDict, total=False):
    since: Since
    history: int
    """How many messages of the past it wants."""


class TopicWish(_TopicWish):
    topic: str


class Subscribe(_WithId):
    type: Literal["subscribe"]
    topics: List[Union[str, TopicWish]]


class Unsubscribe(_WithId):
    type: Literal["unsubscribe"]
    topics: List[str]


class Token(TypedDict):
    token: str


class Auth(_WithId):
    type: Literal["auth"]
    data: Token


class _Ping(_WithId, total=False):
    data: Dict[str, Union[int, float, str]]
    """``sent``, which the answer repeats."""


class Ping(_Ping):
    type: Literal["ping"]


ToHub = Union[Subscribe, Unsubscribe, Auth, Ping]
"""What the hub answers itself; everything else goes to the application."""
