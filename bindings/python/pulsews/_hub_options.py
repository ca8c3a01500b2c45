# SPDX-License-Identifier: Apache-2.0
"""The options of a hub, of its routes and of its topics: keyword arguments here, names and texts in the library."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Callable, Dict, Iterable, Iterator, List, Literal, Mapping, NamedTuple, Tuple, TypedDict, Union

from . import _contract, _hub_native
from ._contract import EOPTION
from ._errors import InvalidArgument
from ._options import Duration, Option, Size, c_text, texts
from ._tables import Statistic

_lib = _hub_native.lib

# generated: hub choices (tools/generate.py)
SlowPolicy = Literal["drop_oldest", "conflate", "disconnect"]
AuthMode = Literal["none", "optional", "required"]
RouteKind = Literal["stream", "static", "application"]
RouteProtocol = Literal["any", "pulse", "plain"]
TopicAccess = Literal["anyone", "authenticated", "granted"]
TopicState = Literal["live", "stale", "gap", "failover", "degraded", "ended"]
# end of hub choices


class HubOptions(TypedDict, total=False):
    """What :class:`pulsews.Hub` takes by keyword; ``None`` stands for the default. docs/HUB_OPTIONS.md has meanings,
    defaults and ranges; :func:`pulsews.hub_option_table` gives defaults and ranges."""

    # generated: hub options (tools/generate.py)
    name: str
    loops: int
    backlog: int
    max_connections: int
    header_timeout: Duration
    request_timeout: Duration
    keep_alive_timeout: Duration
    heartbeat: Duration
    heartbeat_timeout: Duration
    close_timeout: Duration
    max_message_size: Size
    max_request_body: Size
    compression: bool
    compression_threshold: Size
    compression_level: int
    queue_messages: int
    queue_bytes: Size
    slow_policy: SlowPolicy
    publish_queue_bytes: Size
    event_queue_messages: int
    event_queue_bytes: Size
    subscriptions_per_peer: int
    certificate: Union[str, "os.PathLike[str]"]
    certificate_key: Union[str, "os.PathLike[str]"]
    resume_window: Duration
    publish_token: str
    status_token: str
    list_peers: bool
    origin: Union[str, Iterable[str]]
    auth: AuthMode
    auth_timeout: Duration
    token_in_url: bool
    token_audience: str
    token_issuer: str
    token_leeway: Duration
    address_connections: int
    address_connects: int
    address_failures: int
    trusted_proxy: Union[str, Iterable[str]]
    proxy_protocol: bool
    user_connections: int
    peer_messages: int
    peer_bytes: Size
    drain_spread: Duration
    explain_in_band: bool
    server_header: str
    # end of hub options


class RouteOptions(TypedDict, total=False):
    """What :meth:`pulsews.Hub.route` takes by keyword."""

    # generated: route options (tools/generate.py)
    kind: RouteKind
    folder: Union[str, "os.PathLike[str]"]
    max_message_size: Size
    heartbeat_message: Duration
    topic: Union[str, Iterable[str]]
    url_topics: bool
    welcome: bool
    protocol: RouteProtocol
    subprotocol: Union[str, Iterable[str]]
    # end of route options


class TopicOptions(TypedDict, total=False):
    """What :meth:`pulsews.Hub.topic` takes by keyword."""

    # generated: topic options (tools/generate.py)
    history: int
    history_bytes: Size
    history_age: Duration
    conflate: str
    latest: bool
    max_keys: int
    flush: Duration
    stale_after: Duration
    binary: bool
    subscribe: TopicAccess
    # end of topic options


class HubOption(NamedTuple):
    """One row of the library's table of hub options."""

    of: str
    """``"hub"``, ``"route"`` or ``"topic"``."""
    name: str
    type: str
    default: str
    range: str


def table(function: Callable[..., int], columns: int) -> List[Tuple[str, ...]]:
    """All rows of a table of the library."""
    rows: List[Tuple[str, ...]] = []
    fields = [ctypes.c_char_p() for _ in range(columns)]
    references = [ctypes.byref(field) for field in fields]
    while function(len(rows), *references) == _contract.OK:
        rows.append(tuple((field.value or b"").decode() for field in fields))
    return rows


def hub_option_table() -> List[HubOption]:
    """Every option of hubs, routes and topics that the loaded library knows."""
    return [HubOption(*row) for row in table(_lib.pulsews_hub_option_at, 5)]


def hub_statistic_table() -> List[Statistic]:
    """Every number that :meth:`pulsews.Hub.statistics` gives, with type, unit and meaning."""
    return [Statistic(*row) for row in table(_lib.pulsews_hub_statistic_at, 4)]


STATISTICS = tuple(row.name for row in hub_statistic_table())
_known: Dict[Tuple[str, str], Option] = {(row.of, row.name): Option(*row[1:], "") for row in hub_option_table()}


def pairs(of: str, options: Mapping[str, Any]) -> Iterator[Tuple[bytes, bytes]]:
    """Names and texts for the library, one after another; a list is several with one name."""
    for name, value in options.items():
        option = _known.get((of, name))
        if of == "hub" and name == "events":
            raise InvalidArgument("option events follows from the handlers: hub.on_connect and so on", EOPTION)
        if option is None:
            # The library refuses it, and knows what is alike.
            yield c_text(name, "the name of an option"), b""
        elif value is not None:
            for text in texts(option, value):
                yield name.encode(), c_text(text, f"option {name}")
