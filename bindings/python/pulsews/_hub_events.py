# SPDX-License-Identifier: Apache-2.0
"""What happens to a hub, and the handlers of the application: those of one peer are called one after another."""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import json
from collections import deque
from time import monotonic
from typing import Any, Callable, Deque, Dict, Iterable, Mapping, NamedTuple, Optional, Set, Tuple, TypeVar, Union

from . import _contract, _hub_contract, _hub_native
from ._aio_core import TURN
from ._callbacks import arguments_of
from ._errors import Headers, InvalidArgument, PulseError
from ._hub_core import HubCore, Keys
from ._hub_items import HubPeer, HubRequest, HubResponse, response_parts, verdict_parts
from ._hub_tasks import close_unbegun
from ._json import Dumps, ParseJson, decoder
from ._log import logger

_lib, _quick = _hub_native.lib, _hub_native.quick

# The event of each handler, and how many arguments it gets: at least, at most.
HANDLERS: Mapping[str, Tuple[int, int, int]] = {
    "on_connect": (_hub_contract.CONNECTED, 1, 1),
    "on_close": (_hub_contract.CLOSED, 1, 3),
    "on_message": (_hub_contract.MESSAGE, 2, 2),
    "on_subscribe": (_hub_contract.SUBSCRIBE, 2, 2),
    "on_unsubscribe": (_hub_contract.UNSUBSCRIBE, 2, 2),
    "on_request": (_hub_contract.HTTP_REQUEST, 1, 1),
    "on_authorize": (_hub_contract.AUTHORIZE, 1, 1),
    "on_slow": (_hub_contract.SLOW, 1, 2),
    "on_topic_idle": (_hub_contract.TOPIC_IDLE, 1, 1),
    "on_topic_wanted": (_hub_contract.TOPIC_WANTED, 1, 1),
    "on_authenticated": (_hub_contract.AUTHENTICATED, 1, 3),
    "on_error": (0, 1, 2),
}
NAMES = {event: name for name, (event, _, _) in HANDLERS.items() if event}
# Peers are known by name to handlers of these, which need the first and the last event of each.
_OF_PEERS = ("on_connect", "on_close", "on_message", "on_subscribe", "on_unsubscribe", "on_slow", "on_authenticated")
_OF_TOPICS = (_hub_contract.TOPIC_IDLE, _hub_contract.TOPIC_WANTED)
# Events are fetched so many at a time.
_BATCH = 256
# While so many events wait for handlers that are still at work, no more are fetched: the library then stops reading
# from the peers.
_MOST = 1024
_FAILED = HubResponse(500, {"error": {"code": "internal", "message": "the application could not answer"}})
_UNDECIDED = HubResponse(500, "the application could not decide")

Handler = TypeVar("Handler", bound=Callable[..., Any])
Key = Union[int, str, Tuple[int]]


class Job(NamedTuple):
    """A handler to be called."""

    name: str
    key: Key
    """Those of one key are called one after another."""
    arguments: Tuple[Any, ...]
    request: int = 0
    """To answer with what it returns."""


class HandlerTask(asyncio.Task[None]):
    """Awaits handlers. It knows when it is cancelled itself, and not something that a handler awaits."""

    is_told_to_end = False

    def cancel(self, msg: Optional[Any] = None) -> bool:
        self.is_told_to_end = True
        return super().cancel(msg)


class HubEvents(HubCore):
    """The part of a hub that calls handlers, in the event loop that it was started in."""

    _loop: Optional[asyncio.AbstractEventLoop] = None
    _descriptor = -1
    _is_paused = False
    _is_scheduled = False

    def __init__(
        self, listen: Union[str, Iterable[str]], keys: Keys, dump_json: Optional[Dumps], parse_json: ParseJson,
        options: Mapping[str, Any],
    ) -> None:
        self._decode = decoder(parse_json)
        self._handlers: Dict[str, Tuple[Callable[..., Any], int]] = {}
        self._peers: Dict[int, HubPeer] = {}
        self._backlog: Deque[Job] = deque()
        # What waits behind a handler that is still at work, by key.
        self._waiting: Dict[Key, Deque[Job]] = {}
        self._count = 0
        self._work: Set["asyncio.Task[None]"] = set()
        super().__init__(listen, keys, dump_json, options)

    # ---- handlers

    def _register(self, name: str, handler: Handler) -> Handler:
        if self._started or self._closed:
            raise PulseError(f"{name} comes before the start of the hub", _contract.EBUSY)
        if name in self._handlers:
            raise InvalidArgument(f"the hub has a handler for {name} already: {self._handlers[name][0]!r}")
        _, least, most = HANDLERS[name]
        self._handlers[name] = handler, arguments_of(name, handler, least, most)
        return handler

    def on_connect(self, handler: Handler) -> Handler:
        """Decorates ``handler(peer)``: a peer is open."""
        return self._register("on_connect", handler)

    def on_close(self, handler: Handler) -> Handler:
        """Decorates ``handler(peer, code, reason)``: a peer is gone; the last that is heard of it."""
        return self._register("on_close", handler)

    def on_message(self, handler: Handler) -> Handler:
        """Decorates ``handler(peer, message)``: a peer has sent a message that is none of the protocol's own. It is ``str``
        or ``bytes``, or the value of a text that is a JSON object or array (``parse_json``)."""
        return self._register("on_message", handler)

    def on_subscribe(self, handler: Handler) -> Handler:
        """Decorates ``handler(peer, topic)``: a peer has subscribed to a topic."""
        return self._register("on_subscribe", handler)

    def on_unsubscribe(self, handler: Handler) -> Handler:
        """Decorates ``handler(peer, topic)``: a peer has left a topic, also by its end."""
        return self._register("on_unsubscribe", handler)

    def on_request(self, handler: Handler) -> Handler:
        """Decorates ``handler(request)``, which answers requests to routes of kind ``"application"`` by what it returns:
        text, bytes, a mapping or list for its JSON, a :class:`HubResponse`, or ``None`` for status 204. After an exception
        the answer is 500; after option ``request_timeout`` the hub answers itself."""
        return self._register("on_request", handler)

    def on_authorize(self, handler: Handler) -> Handler:
        """Decorates ``handler(request)``, which decides on every peer that wants to connect: ``True`` lets it in; ``False``, a
        sentence, or a :class:`HubResponse` with a status from 400 on refuses it, and so does an exception. After option
        ``request_timeout`` the hub refuses it. What option ``auth`` refuses does not come here."""
        return self._register("on_authorize", handler)

    def on_slow(self, handler: Handler) -> Handler:
        """Decorates ``handler(peer, lost)``: a peer's queue is full, and ``slow_policy`` has decided; ``lost`` messages
        were lost so far."""
        return self._register("on_slow", handler)

    def on_topic_idle(self, handler: Handler) -> Handler:
        """Decorates ``handler(topic)``: the last peer has left a topic."""
        return self._register("on_topic_idle", handler)

    def on_topic_wanted(self, handler: Handler) -> Handler:
        """Decorates ``handler(topic)``: the first peer has subscribed to a topic."""
        return self._register("on_topic_wanted", handler)

    def on_authenticated(self, handler: Handler) -> Handler:
        """Decorates ``handler(peer, user, claims)``: a peer has shown a token that holds, with its request, by the message
        ``auth``, or to renew one; ``user`` is whom it names (``sub``), ``claims`` a dict of all that it says."""
        return self._register("on_authenticated", handler)

    def on_error(self, handler: Handler) -> Handler:
        """Decorates ``handler(problem, where)``: a handler or a task has failed, as the log says, too."""
        return self._register("on_error", handler)

    def _wanted(self) -> Iterable[bytes]:
        """The events that the library is to make."""
        kinds = {HANDLERS[name][0] for name in self._handlers} - {0}
        if any(name in self._handlers for name in _OF_PEERS):
            kinds |= {_hub_contract.CONNECTED, _hub_contract.CLOSED}
        return [_hub_contract.EVENTS[kind].encode() for kind in sorted(kinds)]

    def _report(self, problem: BaseException, where: str) -> None:
        logger.error("[%s] %s failed", self._name, where, exc_info=problem)
        if "on_error" not in self._handlers or where == "on_error":
            return
        job = Job("on_error", 0, (problem, where))
        waits = self._begin(job)
        if waits is not None and self._loop is not None:
            self._keep(self._finish(job, waits), waits)

    # ---- fetching

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        descriptor = int(_quick.pulsews_hub_wake_fd(self._handle))
        if descriptor < 0:
            self._fail(descriptor, "the hub can't tell of events")
        self._loop = loop
        self._events = (_hub_native.NativeEvent * _BATCH)()
        self._ended = asyncio.Event()
        self._descriptor = descriptor
        # The event loop holds the hub while it runs.
        loop.add_reader(descriptor, self._pump)

    def _detach(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0 and self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(descriptor)

    def _forked(self) -> None:
        super()._forked()
        # The child shares the selector with the parent, which goes on waiting for the descriptor.
        self._descriptor = -1

    def _pause(self) -> None:
        if not self._is_paused and self._descriptor >= 0 and self._loop is not None:
            self._is_paused = True
            self._loop.remove_reader(self._descriptor)

    def _resume(self) -> None:
        if self._is_paused and self._count <= _MOST // 2 and self._descriptor >= 0 and self._loop is not None:
            self._is_paused = False
            self._loop.add_reader(self._descriptor, self._pump)
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled and self._loop is not None:
            self._is_scheduled = True
            self._loop.call_soon(self._again)

    def _again(self) -> None:
        self._is_scheduled = False
        self._pump()

    def _pump(self) -> None:
        """Calls handlers for what has happened, for one turn of the event loop."""
        try:
            self._work_off(monotonic() + TURN)
        except BaseException:  # such as KeyboardInterrupt in a handler: what was fetched is not lost
            self._schedule()
            raise

    def _work_off(self, end: float) -> None:
        while not self._is_paused and not self._closed:
            while self._backlog:
                if self._count >= _MOST:
                    return self._pause()
                if monotonic() >= end:
                    return self._schedule()
                self._dispatch(self._backlog.popleft())
            # Until it says that there are no more: the descriptor tells of the end only once.
            count = _lib.pulsews_hub_next(self._handle, self._events, _BATCH, 0)
            if count == _contract.ECLOSED:
                self._detach()
                return self._ended.set()
            if count <= 0:
                return
            for index in range(count):
                job = self._job(self._events[index])
                if job is not None:
                    self._backlog.append(job)

    def _job(self, event: Any) -> Optional[Job]:
        """What an event means; its texts live until the next fetch."""
        kind, number = event.kind, event.peer
        name = NAMES.get(kind, "")
        if kind in (_hub_contract.HTTP_REQUEST, _hub_contract.AUTHORIZE):
            request = HubRequest(
                event.request, _text(event.route), _text(event.address), _text(event.method) or "GET", _text(event.target),
                Headers._parse(event.headers), _data(event), _text(event.text) or None, number or None,
            )
            return Job(name, (event.request,), (request,), event.request)
        if kind in _OF_TOPICS:
            return Job(name, _text(event.topic), (_text(event.topic),))
        if kind == _hub_contract.CONNECTED:
            peer = self._peers[number] = HubPeer(
                self, number, _text(event.route), _text(event.address), _text(event.target), Headers._parse(event.headers),
                _text(event.text) or None,
            )
        elif kind == _hub_contract.CLOSED:
            peer = self._known(event)
            self._peers.pop(number, None)
        else:
            peer = self._known(event)
        return Job(name, number, (peer, *self._details(event))) if name in self._handlers else None

    def _known(self, event: Any) -> HubPeer:
        return self._peers.get(event.peer) or HubPeer(self, event.peer, _text(event.route))

    def _details(self, event: Any) -> Tuple[Any, ...]:
        """What the handler gets besides the peer."""
        kind = event.kind
        if kind == _hub_contract.MESSAGE:
            data = _data(event)
            if event.code != _contract.TEXT:
                return (data,)
            text = data.decode("utf-8", "replace")
            return (text if self._decode is None else self._decode(text),)
        if kind == _hub_contract.CLOSED:
            return event.code, _text(event.text)
        if kind in (_hub_contract.SUBSCRIBE, _hub_contract.UNSUBSCRIBE):
            return (_text(event.topic),)
        if kind == _hub_contract.AUTHENTICATED:
            return _text(event.text), json.loads(_data(event))
        return (event.count,) if kind == _hub_contract.SLOW else ()

    # ---- calling handlers

    def _dispatch(self, job: Job) -> None:
        waiting = self._waiting.get(job.key)
        if waiting is not None:
            waiting.append(job)
            self._count += 1
            return
        waits = self._begin(job)
        if waits is not None:
            self._waiting[job.key] = deque()
            self._count += 1
            self._keep(self._go_on(job, waits), waits)

    def _keep(self, work: Any, waits: Any) -> None:
        assert self._loop is not None
        task = HandlerTask(work, loop=self._loop)
        self._work.add(task)

        def over(task: "asyncio.Task[None]") -> None:
            self._work.discard(task)
            close_unbegun(waits)

        task.add_done_callback(over)

    async def _go_on(self, job: Job, waits: Any) -> None:
        """Finishes a handler that has to be awaited, and calls those that come after it."""
        waiting = self._waiting[job.key]
        try:
            while True:
                await self._finish(job, waits)
                waits = None
                while waits is None:
                    if not waiting:
                        return
                    job = waiting.popleft()
                    self._count -= 1
                    self._resume()
                    waits = self._begin(job)
                    if waits is None:
                        await asyncio.sleep(0)
        finally:
            self._count -= 1 + len(waiting)
            del self._waiting[job.key]
            self._resume()

    def _begin(self, job: Job) -> Any:
        """Calls a handler; what has to be awaited, or ``None`` if it is done."""
        handler, number = self._handlers[job.name]
        try:
            result = handler(*job.arguments[:number])
            if inspect.isawaitable(result):
                return result
            self._answer(job, result)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as problem:
            self._failed(job, problem)
        return None

    async def _finish(self, job: Job, waits: Any) -> None:
        try:
            self._answer(job, await waits)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as problem:
            task = asyncio.current_task()
            if isinstance(task, HandlerTask) and task.is_told_to_end:
                raise
            self._failed(job, problem)

    def _failed(self, job: Job, problem: BaseException) -> None:
        self._report(problem, job.name)
        if job.request:
            self._answer(job, _UNDECIDED if job.name == "on_authorize" else _FAILED)

    def _answer(self, job: Job, answer: Any) -> None:
        if not job.request or self._closed:
            return
        parts = verdict_parts if job.name == "on_authorize" else response_parts
        status, lines, body = parts(answer, self._dumps)
        result = _quick.pulsews_hub_answer(self._handle, job.request, status, lines, body, len(body))
        self._check(result, f"the answer with status {status} was not taken")


def _text(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _data(event: Any) -> bytes:
    return ctypes.string_at(event.data, event.length) if event.length else b""
