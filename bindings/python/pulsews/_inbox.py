# SPDX-License-Identifier: Apache-2.0
"""From batches of the library to messages and events, in order.

What a receive call of the library brought and was not yet handed out waits in ``_prefetch``, events among messages.
Without ``recv_events`` an event that receiving comes past is put aside for :meth:`Inbox.events`.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections import deque
from io import BytesIO
from typing import Any, Deque, List, Mapping, Optional, Tuple

from . import _contract, _native
from ._hooks import Hooked
from ._items import Data, Event, Held, Message
from ._json import Loads
from ._values import BATCH_LIMIT, KIND_SHIFT

# A call for one message takes up to so many from the library and keeps the rest for the next calls.
PREFETCH = 64
# Events wait for events() in a bounded queue, so that ignoring them costs nothing.
EVENTS_KEPT = 1000
# A client that looks for holds fetches ahead so many messages at most; and so many events may be among them.
AHEAD = 16384

_recv_batch = _native.recv_batch
_traits = _native.quick.pulsews_batch_traits
_wake_clear = _native.quick.pulsews_wake_clear
_acknowledge = _native.lib.pulsews_acknowledge
_string_at = ctypes.string_at
# Windows on the library's memory, larger than what is there: only what a batch really has is ever read.
_WORDS = ctypes.c_uint64 * (_native.MESSAGE_WORDS * BATCH_LIMIT)
_BYTES = ctypes.c_char * (1 << 46)


class Inbox(Hooked):
    """The receiving part of a client that does no waiting."""

    # What each message or batch needs; slots are found faster than what is in a large __dict__.
    __slots__ = (
        "_prefetch", "_lock", "_recv_events", "_plain", "_fetched", "_mixed", "_prepares", "_out", "_out_ref", "_maximum",
        "_ns", "_client_arg", "_batch_arg", "_view_at", "_view",
    )

    _prefetch: Deque[Held]
    # Whether events are received among the messages.
    _recv_events: bool
    # The class of what is handed out as it is, if any: the usual case.
    _plain: Any
    # How many messages the last batch had of which some may be fetched ahead.
    _fetched: int
    # Whether there were events among what was fetched last.
    _mixed: bool
    # Whether a receive call needs something done before it: one of the next two.
    _prepares: bool

    # Whether the application waits for the descriptor itself.
    _is_polled: bool = False
    # With a journal: an event counts as taken when the application comes back after it was given, not when it is fetched.
    _acknowledges: bool = False
    # The last event that was fetched; that was given, if events() gives them; and that the library knows to be taken.
    _event_fetched: int = 0
    _event_given: int = 0
    _event_taken: int = 0
    # Makes values of texts; None for a client that gives texts.
    _decode: Optional[Loads] = None
    _hooked: bool = False

    def _init_inbox(self, recv_events: bool) -> None:
        self._recv_events = recv_events
        self._plain = str if self._decode is None else None
        self._fetched = 0
        self._mixed = self._prepares = False
        # Arguments of the receive call, made once.
        self._out = ctypes.c_void_p()
        self._out_ref = ctypes.byref(self._out)
        self._maximum = ctypes.c_size_t()
        self._ns = ctypes.c_int64()
        self._client_arg = ctypes.c_void_p()
        self._batch_arg = ctypes.c_void_p()
        self._view_at: Optional[int] = None
        self._view: memoryview = memoryview(b"")
        self._prefetch = deque()
        # Those that receiving came past, for events().
        self._aside: Deque[Event] = deque()
        self._aside_lost = 0
        # Who fetches from the library and fills the prefetch holds it, so that each thread sees messages in order.
        self._lock = threading.Lock()

    # ---- who calls these holds the lock, or is the event loop's thread

    def _fetch(self, maximum: int, ns: int, whole: bool = False) -> Tuple[int, List[Any]]:
        """One receive call: its status (a count, or negative), and the messages and events."""
        if self._prepares:
            self._prepare_fetch()
        self._maximum.value = maximum
        self._ns.value = ns
        number: int = _recv_batch(self._client_arg, self._batch_arg, self._maximum, self._ns, self._out_ref)
        if number <= 0:
            return number, []
        self._mixed = False
        return number, self._messages(number) if whole else self._take(number)

    def _prepare_fetch(self) -> None:
        if self._is_polled:
            _wake_clear(self._handle)
        if self._event_fetched > self._event_taken:
            self._acknowledge()

    def _take(self, number: int) -> List[Any]:
        """The first ``number`` (from a receive call) messages and events of the batch as a list."""
        address = self._out.value
        if address != self._view_at:
            self._view = memoryview(_WORDS.from_address(address or 0)).cast("B").cast("Q")
            self._view_at = address
        view = self._view
        if number == 1:
            block = memoryview(_BYTES.from_address(view[0]))[: view[1]].tobytes()
            kind = view[2] >> KIND_SHIFT & 0xFFFFFFFF
            if kind == _contract.TEXT:
                return [block.decode()]
            if kind == _contract.BINARY:
                return [block]
            return [self._event(block, view[3], view[4])]
        traits = _traits(self._batch_arg)
        if traits & 5:
            lengths = view[1 : number * 5 : 5].tolist()
            read = BytesIO(memoryview(_BYTES.from_address(view[0]))[: sum(lengths)]).read
            # The library has checked each text, so UTF-8 decoding can't fail; map() keeps the loop in C.
            return list(map(bytes.decode, map(read, lengths))) if traits & 1 else list(map(read, lengths))
        return [item.data if item.__class__ is Message else item for item in self._messages(number)]

    def _messages(self, number: int, again: bool = False) -> List[Any]:
        """The batch's messages with all that is known of them, and its events."""
        messages: List[Any] = []
        rows = _native.MESSAGE.iter_unpack(_string_at(self._out.value or 0, number * _native.MESSAGE.size))
        for data, length, kind, flags, received_ns, sequence in rows:
            block = _string_at(data, length)
            if kind == _contract.EVENT:
                messages.append(self._event(block, received_ns, sequence, again))
                continue
            content: Data = block.decode() if kind == _contract.TEXT else block
            messages.append(
                Message(
                    content,
                    "text" if kind == _contract.TEXT else "binary",
                    received_ns,
                    sequence,
                    bool(flags & _contract.ASCII),
                    bool(flags & _contract.COMPRESSED),
                )
            )
        return messages

    def _event(self, block: bytes, received_ns: int, sequence: int, again: bool = False) -> Event:
        self._mixed = True
        event = Event(json.loads(block))
        event["sequence"] = sequence
        event["received_ns"] = received_ns
        if self._acknowledges:
            self._event_fetched = max(sequence, self._event_fetched)
        if self._hooked and not again:
            self._notice(event)
        return event

    def _acknowledge(self) -> None:
        """The application asks for more: it has what it was given before."""
        taken = self._event_given
        if self._recv_events:
            # It took those that do not wait here any more.
            waiting = next((item for item in self._prefetch.copy() if item.__class__ is Event), None)
            taken = self._event_fetched if waiting is None else max(taken, waiting["sequence"] - 1)
        if taken > self._event_taken:
            self._event_taken = taken
            _acknowledge(self._handle, taken)

    def _notice(self, event: Mapping[str, Any]) -> None:
        """Looks for what the functions of the options are to be called for."""

    def _with_details(self) -> None:
        """Makes whatever is fetched ahead into Message objects: possible while the batch is the one it came from."""
        prefetch = self._prefetch
        taken: List[Held] = []
        # From the right: other threads take from the left without the lock, so these are the batch's last ones.
        try:
            while len(taken) < self._fetched and prefetch[-1].__class__ is not Message:
                taken.append(prefetch.pop())
        except IndexError:
            pass
        if taken:
            prefetch.extend(self._messages(self._fetched, True)[-len(taken) :])

    def _fetch_ahead(self, ns: int) -> int:
        """Receives in place of a consumer, so that holds are seen; gives the status of the receive call."""
        if len(self._prefetch) >= AHEAD:
            self._drop_events()
            if len(self._prefetch) >= AHEAD:
                return _contract.ETIMEOUT
        self._with_details()
        status, items = self._fetch(PREFETCH, ns, True)
        self._fetched = max(0, status)
        self._prefetch.extend(items)
        return status

    def _drop_events(self) -> None:
        """Where nobody receives: events give way, the oldest first, but for the last ones."""
        events = [item for item in self._prefetch.copy() if item.__class__ is Event]
        for event in events[:-EVENTS_KEPT]:
            try:
                self._prefetch.remove(event)
            except ValueError:  # another thread has taken it
                continue
            self._lose_event()

    # ---- handing out

    def _put_aside(self, event: Event) -> None:
        """For events()."""
        self._aside.append(event)
        if len(self._aside) > EVENTS_KEPT:
            try:
                self._aside.popleft()
            except IndexError:
                return
            self._lose_event()

    def _lose_event(self) -> None:
        self._events_dropped += 1
        self._aside_lost += 1

    def _given(self, held: Any) -> Any:
        """A message or event as the application gets it."""
        if held.__class__ is Message:
            held = held.data
        if self._decode is not None and held.__class__ is str:
            return self._decode(held)
        return held

    def _details_given(self, message: Message) -> Message:
        if self._decode is None or message.data.__class__ is not str:
            return message
        return message._replace(data=self._decode(message.data))

    def _pop(self) -> Any:
        """What was fetched ahead and comes next; ``IndexError`` if nothing did. Any thread may call it."""
        pop = self._prefetch.popleft
        while True:
            held = pop()
            if held.__class__ is Event and not self._recv_events:
                self._put_aside(held)
            else:
                return held

    def _drain(self, maximum: int) -> List[Any]:
        """Up to ``maximum`` messages that were fetched ahead. They end where an event is, which is then in its place
        between this list and the next one."""
        messages: List[Any] = []
        prefetch = self._prefetch
        try:
            while len(messages) < maximum:
                if messages and prefetch[0].__class__ is Event and not self._recv_events:
                    break
                messages.append(self._pop())
        except IndexError:  # nothing is left, or another thread was faster
            pass
        for index, held in enumerate(messages):
            if held.__class__ is Message:
                messages[index] = held.data
        return messages

    def _batch_given(self, status: int, items: List[Any], maximum: int) -> List[Any]:
        """What a call for many gives of the batch that it has fetched."""
        if self._mixed and not self._recv_events:
            self._fetched = status
            self._prefetch.extend(items)
            items = self._drain(maximum)
        return items

    def _decoded(self, items: List[Any]) -> List[Any]:
        decode = self._decode
        return items if decode is None else [decode(item) if item.__class__ is str else item for item in items]

    @property
    def events_dropped(self) -> int:
        """How many events were dropped because nobody took them: the last 1000 are kept for :meth:`events`, which
        tells it with an event ``"events_dropped"``."""
        return self._events_dropped

    def events(self) -> List[Event]:
        """What happened to the connection since the last call, oldest first: state changes, drops, a mute feed and the
        like; docs/EVENTS.md lists them.

        Never waits. An event that came behind messages that were not yet received is not among them, so that events
        and messages stay in order. With ``recv_events`` receiving gives events in their place, and this gives those that
        are next.
        """
        if self._event_fetched > self._event_taken:
            self._acknowledge()
        found = self._all_events()
        if found and self._acknowledges:
            self._event_given = max(self._event_given, found[-1].sequence)
        return found

    def _all_events(self) -> List[Event]:
        if not self._prefetch and self._lock.acquire(False):
            try:
                if not self._prefetch:
                    self._fetched, items = self._fetch(PREFETCH, 0)
                    self._prefetch.extend(items)
            finally:
                self._lock.release()
        found: List[Event] = []
        lost, self._aside_lost = self._aside_lost, 0
        if lost:
            found.append(Event(event="events_dropped", events=lost))
        try:
            while True:
                found.append(self._aside.popleft())
        except IndexError:
            pass
        try:
            while True:
                first = self._prefetch[0]
                if first.__class__ is not Event:
                    return found
                # As one step, so that no message of another thread's turn is taken in its place.
                self._prefetch.remove(first)
                found.append(first)
        except IndexError:
            return found
        except ValueError:  # another thread has put it aside
            return found
