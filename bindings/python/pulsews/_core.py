# SPDX-License-Identifier: Apache-2.0
"""What the blocking and the asyncio client share: the handles, errors, looking at a client, exit and fork."""

from __future__ import annotations

import atexit
import ctypes
import inspect
import json
import os
import re
import sys
import threading
import time
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Tuple

from . import _contract, _log, _native
from ._errors import (
    ConnectError,
    ConnectionClosed,
    HandshakeError,
    Headers,
    LoginError,
    OpenTimeout,
    PulseError,
    SubscribeError,
    class_of,
)
from ._hooks import split_hooks
from ._inbox import Inbox
from ._json import Dumps, ParseJson, decoder, encoder
from ._log import logger
from ._options import URL, Configuration, c_text, is_false, is_true
from ._tables import state_name

if TYPE_CHECKING:
    from ._status import State, Status

# Close codes after which iterating just ends. 1005: a close frame without a code.
ORDERLY = frozenset((1000, 1001, 1005))

_lib = _native.lib


def status_name(status: int) -> str:
    return str(_lib.pulsews_error_name(status).decode())


class Core(Inbox):
    """The part of a client that does no waiting. Not to be made directly: see connect()."""

    _handle: int = 0
    _batch: int = 0
    _was_open: bool = False
    _closed_here: bool = False
    _name: str = ""
    _serial: str = ""

    def __init__(
        self,
        url: URL,
        options: Mapping[str, Any],
        recv_events: bool = False,
        parse_json: ParseJson = False,
        dump_json: Optional[Dumps] = None,
    ) -> None:
        given, self._hooks = split_hooks(url, options)
        self._url = self._first_url(url)
        self._decode = decoder(parse_json)
        self._dumps = encoder(dump_json)
        self._hooked = any(self._hooks)
        # With a login, to be connected means to be logged in.
        self._logs_in = self._hooks.login is not None or (
            bool(given.get("login") or given.get("login_confirm")) and not is_true(given.get("hold_login"))
        )
        self._comes_back = given.get("reconnect") is None or not is_false(given["reconnect"])
        # Only then a full outbox is worth waiting for.
        self._blocks = str(given.get("message_queue_policy")).strip().lower() == "block"
        name = given.get("name")
        self._name = name if isinstance(name, str) else ""
        text = c_text(self._url, "url")
        self._init_inbox(recv_events)
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        handle = ctypes.c_void_p()
        _log.start_if_wanted()
        with Configuration(given) as configuration:
            status = _lib.pulsews_client_create(
                text, configuration, None, ctypes.byref(handle), why, _native.ERROR_SIZE
            )
        if status != _contract.OK or not handle.value:
            raise class_of(status)(why.value.decode("utf-8", "replace"), status, status_name(status))
        self._handle = handle.value
        self._client_arg.value = handle.value
        self._batch = _lib.pulsews_batch_create() or 0
        if not self._batch:
            raise PulseError("there is no memory for a batch", _contract.ENOMEM)
        self._batch_arg.value = self._batch
        if given.get("journal") is not None:
            self._acknowledges = self._prepares = True
            self._check(_lib.pulsews_acknowledge(self._handle, 0))
        self._warn_of_namesake()
        _live.add(self)

    def _first_url(self, url: Any) -> str:
        """The text to make the client with, which settles whether it is ws or wss."""
        if not callable(url):
            return url  # type: ignore[no-any-return]
        found = url()
        if inspect.isawaitable(found):
            if inspect.iscoroutine(found):
                found.close()
            raise TypeError("url: an async function needs pulsews.aio or WebSocketManager")
        self._url_is_fresh = True
        return found  # type: ignore[no-any-return]

    def _warn_of_namesake(self) -> None:
        """Log and metrics are told apart by the name."""
        for other in list(_live) if self._name else ():
            if other._name == self._name and other._handle and not other._closed_here:
                logger.warning("[%s] another client that is in use has the same name: %r", self._label(), other)
                return

    # ---- the end

    def _release(self) -> Tuple[int, int]:
        """Gives the handles up: later calls get NULL, which the library refuses."""
        handle, self._handle = self._handle, 0
        batch, self._batch = self._batch, 0
        self._client_arg.value = self._batch_arg.value = None
        return handle, batch

    def _free(
        self,
        client_free: Callable[[int], None] = _lib.pulsews_client_free,
        batch_free: Callable[[int], None] = _lib.pulsews_batch_free,
    ) -> None:
        handle, batch = self._release()
        if handle:
            client_free(handle)
        if batch:
            batch_free(batch)

    def __del__(
        self,
        state: Callable[[int], int] = _lib.pulsews_client_state,
        warn: Callable[..., None] = warnings.warn,
        finalizing: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        # Nobody is inside a call here: each call holds a reference. At interpreter exit the process frees all, and
        # threads that were cut off inside a call may never leave it.
        if not self._handle or finalizing():
            return
        try:
            if self._was_open and not self._closed_here and state(self._handle) in (1, 2, 3):
                warn(f"{self!r} was not closed", ResourceWarning, source=self)
        finally:
            self._dispose()

    def _dispose(self) -> None:
        self._free()

    def __repr__(self) -> str:
        return self._described(f"{type(self).__module__}.{type(self).__name__}")

    def _described(self, kind: str) -> str:
        if not self._handle:
            state = "freed"
        else:
            number = int(_lib.pulsews_client_state(self._handle))
            state = state_name(number) if number >= 0 else "not usable after fork()"
        return f"<{kind} {self._label()} {state}>"

    def _label(self) -> str:
        """What tells this client from others, in the log and in its repr: the number that the metrics have as ``id``,
        its name, and where it connects to, without what may be secret."""
        if not self._serial and self._handle:
            buffer = ctypes.create_string_buffer(2048)
            if _lib.pulsews_prometheus(self._handle, buffer, len(buffer)) > 0:
                found = re.search(rb',id="(\d+)"} ', buffer.value)
                self._serial = found[1].decode() if found else ""
        scheme, _, rest = self._url.partition("://")
        authority = rest.split("/", 1)[0].split("?", 1)[0].rpartition("@")[2]
        parts = (f"#{self._serial}" if self._serial else "", self._name, f"{scheme}://{authority}")
        return " ".join(part for part in parts if part)

    # ---- errors

    def _sentence(self, status: int) -> str:
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        if _lib.pulsews_client_error(self._handle, why, _native.ERROR_SIZE) == status and why.value:
            return why.value.decode("utf-8", "replace")
        return str(_lib.pulsews_error_text(status).decode())

    def _last_error(self) -> Tuple[int, str]:
        """Why the last connection or attempt ended: status and sentence; 0 if none has."""
        why = ctypes.create_string_buffer(_native.ERROR_SIZE)
        status = int(_lib.pulsews_client_error(self._handle, why, _native.ERROR_SIZE))
        return status, why.value.decode("utf-8", "replace")

    def _error(self, status: int, sentence: str = "", was_open: Optional[bool] = None) -> PulseError:
        """The exception for a status that a call on this client gave."""
        error = self._exception(status, sentence, was_open)
        if _lib.pulsews_client_error(self._handle, None, 0) == status:
            error._retryable = _lib.pulsews_client_retryable(self._handle) == 1
        return error

    def _exception(self, status: int, sentence: str, was_open: Optional[bool]) -> PulseError:
        name = status_name(status)
        sentence = sentence or self._sentence(status)
        kind = class_of(status, self._was_open if was_open is None else was_open)
        if kind is OpenTimeout and not self._connecting:
            # Who receives with a time-out takes a TimeoutError for "nothing yet", and this is the end.
            kind = ConnectError
        if status == _contract.ENOTCONNECTED and _lib.pulsews_client_state(self._handle) == 4:
            last, cause = self._last_error()
            if self._was_open and not self._comes_back and class_of(last, True) is ConnectionClosed:
                # It was not to come back: its one connection has ended.
                return self._error(last, cause)
            sentence = f"{sentence}: {cause}" if cause else sentence
        if issubclass(kind, ConnectionClosed):
            return kind(sentence, self.close_code or 1006, self.close_reason, status, name)
        if issubclass(kind, HandshakeError):
            return kind(
                sentence,
                status,
                name,
                max(0, _lib.pulsews_handshake_status(self._handle)),
                self.response_headers,
                self._bytes(_lib.pulsews_handshake_body, 4097),
            )
        error = kind(sentence, status, name)
        if isinstance(error, (LoginError, SubscribeError)):
            error.server_message = self._bytes(_lib.pulsews_server_message, 512).decode("utf-8", "replace")
        return error

    def _opened(self, status: int) -> bool:
        """Whether an open call that gave this status found an open connection, or one that was open and has ended
        since: what it brought can be received, and tells of the end."""
        self._was_open = status == _contract.OK or (status != _contract.EFORK and self._mark() > 0)
        return self._was_open

    def _failed_attempt(self) -> Optional[PulseError]:
        """Why the attempt that connect() waits for has failed; ``None`` while it may succeed. The library may be at the
        next attempt by now, which connect() does not wait for."""
        status, sentence = self._last_error()
        return None if status == _contract.OK else self._error(status, sentence)

    def _is_trying(self) -> bool:
        return _lib.pulsews_client_state(self._handle) in (1, 2, 3)

    def _tell_of_the_end(self) -> None:
        """The library has announced its next attempt, which there will not be."""
        if self._is_trying():
            logger.warning("[%s] connect() gives up after its first attempt: wait=True makes it go on", self._label())

    def _orderly(self, end: ConnectionClosed) -> bool:
        """Whether iterating just ends there. A peer's close is the end of trying when the client was to come back."""
        return end.error_code == _contract.ECLOSED or (
            end.error_code == _contract.EPEERCLOSED and end.code in ORDERLY and not self._comes_back
        )

    def _forked(self) -> None:
        # In a forked child: what the parent fetched is the parent's, and its lock may have been held.
        self._prefetch.clear()
        self._lock = threading.Lock()

    # ---- looking

    def _bytes(self, function: Callable[[int, Any, int], int], size: int = 256) -> bytes:
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = function(self._handle, buffer, size)
            if length < 0:
                raise self._error(length)
            if length < size:
                return buffer.raw[:length]
            size = length + 1

    @property
    def url(self) -> str:
        """The URL as it was given, or as the function for it gave it last."""
        return self._url

    @property
    def state(self) -> State:
        """``"disconnected"``, ``"connecting"``, ``"connected"``, ``"reconnecting"`` or ``"error"``."""
        number = _lib.pulsews_client_state(self._handle)
        if number < 0:
            raise self._error(number)
        return state_name(number)  # type: ignore[return-value]

    @property
    def subprotocol(self) -> Optional[str]:
        """The subprotocol that the server chose; ``None`` if none."""
        return self._bytes(_lib.pulsews_subprotocol).decode("utf-8", "replace") or None

    @property
    def close_code(self) -> Optional[int]:
        """The peer's close code: 1005 if its close frame had none, 1006 if there was no close frame; ``None`` while
        the connection is open."""
        number = int(_lib.pulsews_close_code(self._handle))
        if number < 0:
            raise self._error(number)
        return number or None

    @property
    def close_reason(self) -> str:
        """The peer's reason to close; empty if it gave none."""
        return self._bytes(_lib.pulsews_close_reason).decode("utf-8", "replace")

    @property
    def response_headers(self) -> Headers:
        """The headers of the server's handshake answer."""
        return Headers._parse(self._bytes(_lib.pulsews_handshake_headers, 4096))

    def status(self) -> Status:
        """State and statistics as a dict; keys and units are in docs/STATUS.md."""
        status: Status = json.loads(self._bytes(_lib.pulsews_status_json, 4096))
        # What was fetched ahead for the next calls waits here, not in the library, and counts as well.
        status["receive_queue_size"] += len(self._prefetch)
        status["stats"]["events_dropped"] += self._events_dropped
        return status

    def fileno(self) -> int:
        """A descriptor that becomes readable when there may be something to receive, for ``select``, ``selectors`` and
        the loops of gevent and eventlet. After it take everything with ``timeout=0``, until there is no more."""
        descriptor = int(_lib.pulsews_wake_fd(self._handle))
        if descriptor < 0:
            raise self._error(descriptor)
        self._is_polled = self._prepares = True
        return descriptor


# ---- exit and fork

_live: "weakref.WeakSet[Core]" = weakref.WeakSet()


def _close_all() -> None:
    """At exit: says goodbye on what is still open, and so ends calls that threads are blocked in."""
    handles = [client._handle for client in list(_live) if client._handle]
    for handle in handles:
        _lib.pulsews_close(handle, 1001, None, 0)
    end = time.monotonic() + 1
    for handle in handles:
        _lib.pulsews_close(handle, 1001, None, max(0, int((end - time.monotonic()) * 1e9)))


def _after_fork() -> None:
    for client in list(_live):
        client._forked()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
