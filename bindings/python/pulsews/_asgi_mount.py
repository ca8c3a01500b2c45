# SPDX-License-Identifier: Apache-2.0
"""A hub beside an ASGI application: which paths are the hub's, who takes its connections there, and how many came which way."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Tuple, Union
from urllib.parse import quote

from ._errors import InvalidArgument, PulseError
from ._log import logger

if TYPE_CHECKING:
    from .hub import Hub

Scope = Mapping[str, Any]
Pairs = Iterable[Tuple[bytes, bytes]]

# Under this key the state of a server's lifespan has the mounts of its application.
KEY = "pulsews.asgi"
# The ways of a connection to the hub, by what status() calls them.
HANDED_OVER, RELAYED, PUMPED = "handed_over", "relayed", "pumped"
# Of one hop, or made anew for the hub.
_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect",
        b"http2-settings"}
_NO_TARGET = re.compile(rb"[\x00-\x20\x7f]")
_NO_VALUE = re.compile(rb"[\x00\r\n]")
_TRUST = ("pulsews_hub_set", (b"trusted_proxy", b"unix"))


class Mount:
    """The place of one hub in one application."""

    def __init__(self, hub: Hub, path: Union[str, Iterable[str]], separate_workers: bool) -> None:
        self.hub = hub
        self.paths = tuple(map(checked_path, (path,) if isinstance(path, str) else path))
        if not self.paths:
            raise InvalidArgument("path names no path for the hub")
        self.counts = {HANDED_OVER: 0, RELAYED: 0, PUMPED: 0, "requests": 0}
        self.way: Optional[str] = None
        self.has_started_hub = False
        self._separate_workers = separate_workers
        # Whether the hub takes an address from here, and whether it was told to take one from any Unix socket.
        self._knows_clients = self.trusts_unix = self._has_set_trust = False
        hub._mounts.append(self)

    def match(self, path: str) -> int:
        """The length of the path of this hub that it is below, or 0."""
        return max((len(own) for own in self.paths if path == own or path.startswith(own + "/")), default=0)

    def count(self, way: str) -> None:
        self.counts[way] += 1
        if way in (HANDED_OVER, RELAYED, PUMPED):
            self.way = way

    def status(self) -> Dict[str, Any]:
        return {"path": list(self.paths), "way": self.way, **self.counts}

    # ---- before the start

    def prepare(self, config: Any) -> Optional[str]:
        """Looks at the server's configuration, if it is known; why the hub can't serve there, or ``None``."""
        if self.hub._closed:
            return "the hub is closed, and does not start again"
        self._let_know_clients()
        if config is None:
            return None
        takes_over = getattr(config.ws_protocol_class, "takes_over", False)
        self.way = PUMPED if not takes_over else RELAYED if config.ssl else HANDED_OVER
        return self.why_not(config)

    def why_not(self, config: Any) -> Optional[str]:
        workers = getattr(config, "workers", 1)
        if workers in (None, 1) or self._separate_workers:
            return None
        return (
            f"with workers={workers} each process would have a hub of its own: what one publishes the peers of the others never "
            "get, and a peer that comes back finds another epoch. Run one worker (option loops of the hub uses more "
            "processors), or say separate_workers=True"
        )

    def _let_know_clients(self) -> None:
        """Makes the hub take the addresses of clients from here: to it they come over Unix sockets."""
        hub, steps = self.hub, self.hub._steps
        if any(mount._has_set_trust for mount in hub._mounts):
            self._knows_clients = True
        elif _TRUST in steps:
            self._knows_clients = self.trusts_unix = True
        elif hub._started:
            logger.warning('[%s] the hub runs already: clients that do not come directly have the address "unix"', hub._name)
        elif any(name == "pulsews_hub_listen" and arguments[0].startswith(b"unix:") for name, arguments in steps):
            logger.warning(
                '[%s] the hub listens at a Unix socket, and trusted_proxy is not "unix": clients that do not come directly have '
                'the address "unix"', hub._name,
            )
        else:
            hub.set(trusted_proxy="unix")
            self._knows_clients = self._has_set_trust = True

    # ---- requests for the hub

    def connect(self, first: bytes) -> socket.socket:
        """The other end of a connection that the hub has taken, with what is read from it first."""
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            self.hub.adopt(theirs, first)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def forwarded(self, client: Any) -> List[Tuple[bytes, bytes]]:
        """The header that tells the hub who the client is, behind those that the client or a proxy has sent."""
        if not self._knows_clients or not client:
            return []
        try:
            address = ipaddress.ip_address(str(client[0]).partition("%")[0])
        except ValueError:
            return []
        return [(b"x-forwarded-for", str(address).encode())]

    def may_keep(self, client: Any, name: bytes) -> bool:
        """Of a client whose address nobody knows, at a Unix socket, what it says about itself counts only if the hub was told
        to trust Unix sockets."""
        return bool(client) or self.trusts_unix or name.lower() != b"x-forwarded-for"

    def head(self, scope: Scope, more: Pairs, skip: bytes = b"\xff") -> bytes:
        """The head of an ASGI request, as it came but for headers of one hop and those that begin with ``skip``."""
        target = target_of(scope)
        client = scope.get("client")
        pairs = [(name, value) for name, value in scope["headers"]
                 if name.lower() not in _HOP and not name.lower().startswith(skip) and self.may_keep(client, name)]
        if not any(name.lower() == b"host" for name, _ in pairs):
            host, port = scope.get("server") or ("localhost", None)
            pairs.append((b"host", (f"{host}:{port}" if port else "localhost").encode()))
        pairs += [*more, *self.forwarded(client)]
        if _NO_TARGET.search(target) or any(_NO_VALUE.search(name + value) for name, value in pairs):
            raise PulseError("the request has a target or header that can't be sent on")
        lines = [b"%s: %s\r\n" % pair for pair in pairs]
        return b"%s %s HTTP/1.1\r\n%s\r\n" % (scope.get("method", "GET").encode(), target, b"".join(lines))


def checked_path(path: str) -> str:
    if not isinstance(path, str):
        raise TypeError(f"path must be str, not {type(path).__name__}")
    if not path.startswith("/") or path == "/" or path.endswith("/"):
        raise InvalidArgument(f"path is {path!r}; it begins with a slash and does not end with one, such as \"/ws\"")
    return path


def path_of(scope: Scope) -> str:
    """The path as the client has asked this server for it: without ``root_path``, which a proxy has taken away."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "")
    return path[len(root):] if root and path.startswith(root + "/") else path


def target_of(scope: Scope) -> bytes:
    raw = scope.get("raw_path")
    root = str(scope.get("root_path") or "").encode("utf-8", "surrogateescape")
    if raw is None:
        target = quote(path_of(scope), safe="/!$&'()*+,;=:@-._~").encode()
    else:
        # Some servers put the query there, too.
        target = bytes(raw).partition(b"?")[0]
        target = target[len(root):] if root and target.startswith(root + b"/") else target
    query = scope.get("query_string") or b""
    return target + b"?" + query if query else target


def nearest(mounts: Iterable[Mount], path: str) -> Optional[Mount]:
    """The mount that has the path, of several the one whose own path says most."""
    best = max(mounts, key=lambda mount: mount.match(path), default=None)
    return best if best is not None and best.match(path) else None
