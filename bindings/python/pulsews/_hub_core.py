# SPDX-License-Identifier: Apache-2.0
"""The part of a hub that does no waiting: its handle, setting it up, publishing, peers, and looking at it."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import warnings
import weakref
from array import array
from ctypes import byref, c_uint64
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Literal, Mapping, NoReturn, Optional, Tuple, TypedDict, Union

from . import _contract, _hub_contract, _hub_native, _native
from ._core import Core
from ._errors import InvalidArgument, PulseError, class_of
from ._hub_items import HubPeer, Publication
from ._hub_options import STATISTICS, pairs
from ._json import Dumps, encoder
from ._options import c_text
from ._values import Sendable, payload

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._hub_options import HubOptions, RouteOptions, TopicOptions, TopicState

_lib, _quick, _publish = _hub_native.lib, _hub_native.quick, _hub_native.publish

# Topics and keys as the library takes them are kept: so many.
_NAMES = 4096
# Of a publication, of 64 bits each.
_WORDS = _hub_native.PUBLICATION_SIZE // 8
Peer = Union[HubPeer, int]
Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]
Keys = Optional[Mapping[str, Tuple[Algorithm, Union[str, bytes]]]]
Step = Tuple[str, Tuple[Any, ...]]


def sentence_of(status: int) -> str:
    return str(_lib.pulsews_error_text(status).decode())


class HubCore:
    """A hub without an event loop. Any thread may use what is here."""

    _started = False
    _closed = False

    def __init__(
        self, listen: Union[str, Iterable[str]], keys: Keys, dump_json: Optional[Dumps], options: Mapping[str, Any]
    ) -> None:
        self._dumps = encoder(dump_json)
        # The library takes the handle from here in one step, so that a call in another thread gets a whole hub or none.
        self._handle = ctypes.c_void_p()
        # Held by calls that give the interpreter lock away, so that nobody frees the hub under them.
        self._gate = threading.Lock()
        self._names: Dict[str, bytes] = {}
        # What was set, for a process that forks before the start.
        self._steps: List[Step] = []
        self._pid = os.getpid()
        # Where it stands in applications of ASGI: pulsews.asgi.
        self._mounts: List[Any] = []
        name = options.get("name")
        self._name = name if isinstance(name, str) else "hub"
        self._create()
        for address in (listen,) if isinstance(listen, str) else tuple(listen):
            self._step("pulsews_hub_listen", c_text(address, "listen"))
        self.set(**options)
        for key, (algorithm, material) in (keys or {}).items():
            self.key(key, algorithm, material)
        live.add(self)

    def _create(self) -> None:
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        self._done(_lib.pulsews_hub_create(None, byref(self._handle), why, _native.ERROR_SIZE), why)

    @staticmethod
    def _done(status: int, why: Any) -> None:
        if status != _contract.OK:
            raise class_of(status)(why.value.decode("utf-8", "replace") or sentence_of(status), status)

    def _renew(self) -> None:
        """Made before a fork, as servers do that load the application once, and not started: makes it here again."""
        if not self._started and not self._closed and self._pid != os.getpid():
            self._pid = os.getpid()
            self._handle = ctypes.c_void_p()
            self._create()
            for function, arguments in self._steps:
                self._call_with_sentence(function, *arguments)

    def _call_with_sentence(self, function: str, *arguments: Any) -> None:
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        with self._gate:
            status = getattr(_lib, function)(self._handle, *arguments, why, _native.ERROR_SIZE)
        self._done(status, why)

    def _step(self, function: str, *arguments: Any) -> None:
        self._renew()
        self._call_with_sentence(function, *arguments)
        self._steps.append((function, arguments))

    # ---- setting up

    def set(self, **options: Unpack[HubOptions]) -> None:
        """Sets options of the hub: docs/HUB_OPTIONS.md. A list adds its values to those before."""
        for name, value in pairs("hub", options):
            self._step("pulsews_hub_set", name, value)

    def listen(self, address: str) -> None:
        """Adds an address to listen at: ``"host:port"``, ``"[address]:port"`` or ``"unix:/path"``, with TLS
        ``"wss://host:port"`` and option ``certificate``; port 0 picks a free one."""
        self._step("pulsews_hub_listen", c_text(address, "the address to listen at"))

    def key(self, name: str, algorithm: Algorithm, material: Union[str, bytes]) -> None:
        """Adds a key that tokens (JWT) of peers and publishers are verified with: for ``"HS256"`` the secret itself, at least
        32 bytes; for ``"RS256"``, ``"ES256"`` and ``"EdDSA"`` a public key or certificate in PEM."""
        if not isinstance(material, (str, bytes)):
            raise TypeError(f"the material of a key must be str or bytes, not {type(material).__name__}")
        secret = material.encode() if isinstance(material, str) else material
        self._step(
            "pulsews_hub_key", c_text(name, "the name of a key"), c_text(algorithm, "algorithm"), secret, len(secret)
        )

    def route(self, path: str, **options: Unpack[RouteOptions]) -> None:
        """Makes a route, or sets options of one: of kind ``"stream"`` for peers, ``"static"`` for the files of ``folder``,
        ``"application"`` for requests that :meth:`on_request` answers. A path that ends with ``/`` has all below it."""
        self._set_of("route", c_text(path, "the path of a route"), options)

    def topic(self, pattern: str, **options: Unpack[TopicOptions]) -> None:
        """Sets options of the topics that a pattern names: ``"price.SOL"``, ``"price.*"`` (one more word), ``"**"`` (any)."""
        self._set_of("topic", c_text(pattern, "the pattern of a topic"), options)

    def _set_of(self, of: str, name: bytes, options: Mapping[str, Any]) -> None:
        function = f"pulsews_hub_{of}"
        self._step(function, name, None, None)
        for option, value in pairs(of, options):
            self._step(function, name, option, value)

    # ---- publishing

    def publish(self, topic: str, data: Any, key: Optional[str] = None) -> int:
        """Publishes a message, from any thread, and gives its offset. Never waits.

        ``data`` is one JSON value: ``bytes`` and ``str`` are taken as JSON that was written already, everything else is
        encoded (``dump_json``). With option ``binary`` of the topic any bytes will do. ``key`` is what option ``conflate``
        goes by; without it, what stands at the path of ``conflate`` in the message.

        Raises :class:`QueueFull` when the hub's budget is spent (option ``publish_queue_bytes``),
        :class:`InvalidArgument` for data that is not JSON.
        """
        names = self._names
        name = names.get(topic) or self._name_bytes(topic, "topic")
        word = None if key is None else names.get(key) or self._name_bytes(key, "key")
        if data.__class__ is not bytes:
            data = self._published_bytes(data)
        length, offset = len(data), c_uint64()
        if length < _hub_native.LENGTH_LIMIT:
            status = _publish(self._handle, name, word, data, length, byref(offset))
        else:
            status = _quick.pulsews_hub_publish(self._handle, name, word, data, length, byref(offset))
        if status != 0:
            self._fail(status, f"a message of {topic!r} was not taken")
        return offset.value

    def _name_bytes(self, name: str, what: str) -> bytes:
        text = c_text(name, what)
        if len(self._names) >= _NAMES:
            self._names.clear()
        self._names[name] = text
        return text

    def _published_bytes(self, data: Any) -> bytes:
        if isinstance(data, (str, bytes, bytearray, memoryview)):
            return payload(data)[1]
        text = self._dumps(data)
        if not isinstance(text, (str, bytes)):
            raise TypeError(f"dump_json must give str or bytes, not {type(text).__name__}")
        return payload(text)[1]

    def publish_many(self, publications: Iterable[Union[Publication, Tuple[Any, ...]]]) -> int:
        """Publishes many in order with one call: each a :class:`Publication` or a tuple ``(topic, data)`` or
        ``(topic, data, key)``. Gives how many were taken, from the first on: fewer than all when the hub's budget is spent
        or one is refused. Raises as :meth:`publish` if the first one was not taken."""
        rows = [one if isinstance(one, Publication) else Publication(*one) for one in publications]
        words, _keep = self._array(rows)
        taken = int(_quick.pulsews_hub_publish_batch(self._handle, words.buffer_info()[0], len(rows))) if rows else 0
        if taken < 0:
            self._fail(taken, f"a message of {rows[0].topic!r} was not taken")
        return taken

    def load(self, topic: str, items: Iterable[Any]) -> None:
        """Fills a topic's history before the start, in rising order: each a :class:`Publication` with an offset, or the data
        alone."""
        rows = [one if isinstance(one, Publication) else Publication(topic, one) for one in items]
        words, _keep = self._array(rows)
        with self._gate:
            status = _lib.pulsews_hub_load(self._handle, c_text(topic, "topic"), words.buffer_info()[0], len(rows))
        self._check(status, f"the history of {topic!r} was not taken")

    def _array(self, rows: List[Publication]) -> Tuple[Any, List[List[Any]]]:
        """The library's form of publications, and what has to live as long as it."""
        count = len(rows)
        texts: List[List[Any]] = [
            [self._names.get(row.topic) or self._name_bytes(row.topic, "topic") for row in rows],
            [None if row.key is None else self._names.get(row.key) or self._name_bytes(row.key, "key") for row in rows],
            [row.data if row.data.__class__ is bytes else self._published_bytes(row.data) for row in rows],
        ]
        words = array("Q", bytes(_hub_native.PUBLICATION_SIZE * count))
        for place, column in enumerate(texts):
            words[place::_WORDS] = array("Q", bytes((ctypes.c_char_p * count)(*column)))
        words[3::_WORDS] = array("Q", map(len, texts[2]))
        words[4::_WORDS] = array("Q", [row.offset for row in rows])
        words[5::_WORDS] = array("Q", [row.exchange_ns for row in rows])
        words[6::_WORDS] = array("Q", [row.received_ns for row in rows])
        words[7::_WORDS] = array("Q", [row.published_ns for row in rows])
        return words, texts

    def set_state(self, topic: str, state: TopicState, cause: Optional[str] = None) -> None:
        """Says how fresh a topic is, and why: its peers are told."""
        number = _hub_contract.TOPIC_STATES.get(state)
        if number is None:
            raise InvalidArgument(f"state is {state!r}; allowed are {', '.join(_hub_contract.TOPIC_STATES)}")
        why = None if cause is None else c_text(cause, "cause")
        name = c_text(topic, "topic")
        self._check(_quick.pulsews_hub_topic_state(self._handle, name, number, why), f"the state of {topic!r} was not taken")

    # ---- peers

    def send(self, peer: Peer, data: Sendable) -> None:
        """Sends a message to one peer, apart from all topics: ``str`` as text, bytes as binary, a mapping or list as its
        JSON. A peer that is gone meanwhile gets nothing."""
        kind, body = payload(data, self._dumps)
        number = peer_number(peer)
        self._check(_quick.pulsews_hub_send(self._handle, number, kind, body, len(body)), "the message was not sent")

    def broadcast(self, data: Sendable) -> None:
        """Sends a message to all peers, as :meth:`send`."""
        kind, body = payload(data, self._dumps)
        self._check(_quick.pulsews_hub_send(self._handle, 0, kind, body, len(body)), "the message was not sent")

    def subscribe(self, peer: Peer, topic: str) -> None:
        """Subscribes a peer to a topic, as if it had asked for it."""
        name = c_text(topic, "topic")
        status = _quick.pulsews_hub_subscribe(self._handle, peer_number(peer), name)
        self._check(status, f"no peer was subscribed to {topic!r}")

    def unsubscribe(self, peer: Peer, topic: str) -> None:
        """Ends a peer's subscription, as if it had asked for it."""
        name = c_text(topic, "topic")
        status = _quick.pulsews_hub_unsubscribe(self._handle, peer_number(peer), name)
        self._check(status, f"no peer has left {topic!r}")

    def close_peer(self, peer: Peer, code: int = 1000, reason: str = "") -> None:
        """Closes a peer. ``code`` is 1000 to 1003, 1007 to 1014 or 3000 to 4999; ``reason`` at most 123 bytes of UTF-8."""
        if not isinstance(code, int):
            raise TypeError(f"code must be an int, not {type(code).__name__}")
        text = c_text(reason, "reason")
        number = peer_number(peer)
        if not 0 < code < 5000:
            raise InvalidArgument(f"code is {code}; allowed are 1000 to 1003, 1007 to 1014 and 3000 to 4999")
        status = _quick.pulsews_hub_close_peer(self._handle, number, code, text)
        self._check(status, f"no peer was closed with code {code} and a reason of {len(text)} bytes (at most 123)")

    def adopt(self, sock: Any, first: bytes = b"") -> None:
        """Takes over an open TCP connection, with the bytes that were read from it already. ``sock`` is a socket, or has
        ``fileno`` and ``detach`` as one; on success it is detached."""
        body = bytes(first)
        with self._gate:
            status = _lib.pulsews_hub_adopt(self._handle, sock.fileno(), body, len(body))
        self._check(status, "the connection was not taken over")
        sock.detach()

    def feed(self, client: Core, map: str) -> None:
        """Publishes what a client receives as a map says: the name of one of :func:`feed_maps`, or lines of one
        (docs/HUB_FEEDS.md). It happens inside the library: the client gives no messages any more, but events. The feed ends
        with the client or the hub."""
        if not isinstance(client, Core):
            raise TypeError(f"a feed needs a client, not {type(client).__name__}")
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        lines = c_text(map, "map")
        # With the interpreter lock, so that nobody frees the client meanwhile.
        self._done(_quick.pulsews_hub_feed(self._handle, client._handle, lines, why, _native.ERROR_SIZE), why)

    # ---- looking

    @property
    def addresses(self) -> List[str]:
        """Where it listens, with the ports that were picked; empty before the start."""
        found: List[str] = []
        buffer = ctypes.create_string_buffer(512)
        while True:
            with self._gate:
                length = _lib.pulsews_hub_address(self._handle, len(found), buffer, 512)
            if length < 0:
                return found
            found.append(buffer.value.decode())

    def statistics(self) -> Dict[str, int]:
        """The statistics as numbers: docs/HUB_STATISTICS.md."""
        values = (ctypes.c_double * len(STATISTICS))()
        count = _quick.pulsews_hub_statistics(self._handle, values, len(STATISTICS))
        if count < 0:
            self._fail(count, "the hub has no statistics")
        return dict(zip(STATISTICS, map(int, values)))

    def status(self) -> Dict[str, Any]:
        """State and statistics as a dict; beside an application (:mod:`pulsews.asgi`) also by which way its peers come."""
        status: Dict[str, Any] = json.loads(self._text(_lib.pulsews_hub_status_json))
        if self._mounts:
            status["asgi"] = [mount.status() for mount in self._mounts]
        return status

    def peers(self) -> List[Dict[str, Any]]:
        """A dict for each peer: its number (``peer``), address, route, and what was sent to it."""
        return json.loads(self._text(_lib.pulsews_hub_peers_json))  # type: ignore[no-any-return]

    def snapshot(self, topic: str) -> Dict[str, Any]:
        """What a topic has for a newcomer, as its ``snapshot`` message: the latest of each key with option ``latest``, else
        its history. :class:`InvalidArgument` if there is no such topic yet."""
        name = c_text(topic, "topic")
        return json.loads(self._text(lambda *rest: _lib.pulsews_hub_topic_json(rest[0], name, *rest[1:])))  # type: ignore[no-any-return]

    def prometheus(self) -> str:
        """The statistics in the Prometheus text format."""
        return self._text(_lib.pulsews_hub_prometheus).decode("utf-8", "replace")

    def _text(self, function: Callable[..., int]) -> bytes:
        size = 16384
        while True:
            buffer = ctypes.create_string_buffer(size)
            with self._gate:
                length = function(self._handle, buffer, size)
            if length < 0:
                self._fail(length, "the hub tells nothing")
            if length < size:
                return buffer.raw[:length]
            # Peers may join meanwhile.
            size = length + 4096

    def reload(self) -> None:
        """Reads the certificate anew; connections that are open keep theirs."""
        self._call_with_sentence("pulsews_hub_reload")

    # ---- errors and the end

    def _check(self, status: int, what: str) -> None:
        if status != _contract.OK:
            self._fail(status, what)

    def _fail(self, status: int, what: str) -> NoReturn:
        if status == _contract.EINVAL and not self._handle.value:
            raise PulseError(f"{what}: the hub is closed", _contract.ECLOSED)
        raise class_of(status)(f"{what}: {sentence_of(status)}", status)

    def _free(self, free: Callable[[Any], None] = _lib.pulsews_hub_free) -> None:
        with self._gate:
            handle = self._handle.value
            # A thread in a call that keeps the interpreter lock has finished it; every later one gets NULL.
            self._handle.value = None
            self._closed = True
            if handle:
                free(handle)

    def __del__(self, warn: Callable[..., None] = warnings.warn, finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # At interpreter exit the process frees all, and threads that were cut off inside a call may never leave it.
        if not getattr(self, "_handle", None) or finalizing():
            return
        try:
            if self._started and not self._closed and self._pid == os.getpid():
                warn(f"{self!r} was not closed", ResourceWarning, source=self)
        finally:
            self._free()

    def _forked(self) -> None:
        """In a forked child."""
        self._gate = threading.Lock()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "started" if self._started else "made"
        return f"<pulsews.Hub {self._name} {state}>"


class FeedMap(TypedDict):
    """One of :func:`feed_maps`."""

    text: str
    """Which feed it is for."""
    map: str
    """Its lines."""


def feed_maps() -> Dict[str, FeedMap]:
    """The maps of known feeds, by the name that :meth:`Hub.feed` takes; each is for the client's preset of that name."""
    found: Dict[str, FeedMap] = {}
    fields = [ctypes.c_char_p() for _ in range(3)]
    while _lib.pulsews_hub_map_at(len(found), *map(byref, fields)) == _contract.OK:
        name, text, lines = ((field.value or b"").decode() for field in fields)
        found[name] = {"text": text, "map": lines}
    return found


def peer_number(peer: Peer) -> int:
    number = peer.number if isinstance(peer, HubPeer) else peer
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"a peer is a HubPeer or its number, not {type(peer).__name__}")
    if not 0 < number < 1 << 64:
        raise InvalidArgument(f"{number} is no peer's number")
    return number


live: "weakref.WeakSet[HubCore]" = weakref.WeakSet()


def _after_fork() -> None:
    for hub in list(live):
        hub._forked()


os.register_at_fork(after_in_child=_after_fork)
