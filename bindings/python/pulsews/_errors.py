# SPDX-License-Identifier: Apache-2.0
"""The exceptions, and which status of the library becomes which of them."""

from __future__ import annotations

from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Type

from . import _contract


class Headers(Mapping[str, str]):
    """The header lines of an HTTP answer: a mapping whose keys ignore case.

    Lines of one name are joined with ``", "``; :meth:`get_all` and :attr:`raw` keep them apart.
    """

    __slots__ = ("raw", "_index")

    raw: List[Tuple[str, str]]
    """Every line as ``(name, value)``, as it came."""

    def __init__(self, lines: Iterable[Tuple[str, str]] = ()) -> None:
        self.raw = list(lines)
        self._index: Dict[str, List[str]] = {}
        for name, value in self.raw:
            self._index.setdefault(name.lower(), []).append(value)

    @classmethod
    def _parse(cls, block: bytes) -> Headers:
        lines = (line.partition(":") for line in block.decode("utf-8", "replace").split("\n") if line)
        return cls((name, value.strip()) for name, _, value in lines)

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._index[name.lower()])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self.raw))

    def __len__(self) -> int:
        return len(self._index)

    def get_all(self, name: str) -> List[str]:
        """The values of all lines of that name; an empty list if there is none."""
        return list(self._index.get(name.lower(), ()))

    def __repr__(self) -> str:
        return f"Headers({self.raw!r})"


def _not_loaded(code: int) -> bool:
    return False


# What the library says of a status code; it comes to this module, which imports nothing of the package.
_can_retry: Callable[[int], bool] = _not_loaded


def ask_for_retries(can_retry: Callable[[int], bool]) -> None:
    """Has the library asked from now on, which code of an error a retry can mend."""
    global _can_retry
    _can_retry = can_retry


class PulseError(Exception):
    """Anything that goes wrong in this package. Its text is one sentence that says what and why."""

    code: int
    """The library's status code, a negative number that never changes its meaning. Only in
    :class:`ConnectionClosed` it is the WebSocket close code instead."""
    error_code: int
    """The library's status code, in every exception of this package."""
    name: str
    """The name of the status code, for example ``"PULSEWS_ETIMEOUT"``."""

    def __init__(self, message: str = "", code: int = _contract.EINVAL, name: Optional[str] = None) -> None:
        super().__init__(message)
        self.code = code
        self.error_code = code
        self.name = _contract.NAMES.get(code, "PULSEWS_UNKNOWN") if name is None else name
        self._retryable: Optional[bool] = None

    @property
    def retryable(self) -> bool:
        """Whether trying the same again can help: true for a reset, false for a wrong certificate or status 403."""
        return _can_retry(self.error_code) if self._retryable is None else self._retryable


class LibraryError(PulseError, ImportError):  # type: ignore[misc]  # both have a name
    """libpulsews is not there, or is not of a version that this package can use."""


class InvalidArgument(PulseError, ValueError):
    """A URL, an option, or another argument has a value that is not allowed."""


class ConnectError(PulseError):
    """The connection could not be made: name, network or TLS."""


class OpenTimeout(ConnectError, TimeoutError):
    """The connection was not open within ``open_timeout``."""


class LoginError(ConnectError):
    """The server rejected the login, or did not confirm it within ``login_timeout``."""

    server_message: str = ""
    """The begin of the message with which the server rejected it; empty if it did not."""


class SubscribeError(ConnectError):
    """The server rejected a subscription, or did not confirm it within ``subscribe_timeout``."""

    server_message: str = ""
    """The begin of the message with which the server rejected it; empty if it did not."""


class HandshakeError(PulseError):
    """The server did not accept the WebSocket handshake."""

    status: int
    """HTTP status of the answer; 101 when the server accepted but its answer breaks the rules, 0 if there was none."""
    headers: Headers
    """The answer's headers."""
    body: bytes
    """The first 4 KiB of the answer's body."""

    def __init__(
        self,
        message: str = "",
        code: int = _contract.EHANDSHAKE,
        name: Optional[str] = None,
        status: int = 0,
        headers: Optional[Headers] = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(message, code, name)
        self.status = status
        self.headers = Headers() if headers is None else headers
        self.body = body


class ConnectionClosed(PulseError):
    """The connection has ended: closed by either side, or lost."""

    code: int
    """The close code: the peer's; 1005 if its close frame had none, 1006 if there was no close frame."""
    reason: str
    """The peer's reason; empty if it gave none."""

    def __init__(
        self,
        message: str = "",
        code: int = 1006,
        reason: str = "",
        error_code: int = _contract.ECLOSED,
        name: Optional[str] = None,
    ) -> None:
        super().__init__(message, error_code, name)
        self.code = code
        self.reason = reason


class QueueFull(PulseError):
    """The outbox had no room: with ``message_queue_policy`` "reject" at once, with "block" in the given time."""


class RateLimited(PulseError):
    """The rate limits left no room for the message in the given time (``in_limit=True``)."""


class NotConnected(PulseError):
    """There is no connection to send on, and the message may not wait for one; or the client has stopped trying."""


class MessagesUnsent(PulseError):
    """The close came before messages that were accepted were sent: they have failed. The event ``failed`` has their ids."""


class CallTimeout(PulseError, TimeoutError):
    """The time of one call was over; the connection lives on. Catch it as ``TimeoutError``."""


# generated: classes (tools/generate.py)
_CLASSES: Dict[int, Type[PulseError]] = {
    _contract.EINVAL: InvalidArgument,
    _contract.EOPTION: InvalidArgument,
    _contract.EVALUE: InvalidArgument,
    _contract.EURL: InvalidArgument,
    _contract.EUTF8: InvalidArgument,
    _contract.EFORK: PulseError,
    _contract.EBUSY: PulseError,
    _contract.ETIMEOUT: CallTimeout,
    _contract.ENOTCONNECTED: NotConnected,
    _contract.ECLOSED: ConnectionClosed,
    _contract.EPEERCLOSED: ConnectionClosed,
    _contract.EQUEUEFULL: QueueFull,
    _contract.ERATE: RateLimited,
    _contract.EMOVED: ConnectionClosed,
    _contract.EUNSENT: MessagesUnsent,
    _contract.EOPENTIMEOUT: OpenTimeout,
    _contract.ELOGIN: LoginError,
    _contract.ESUBSCRIBE: SubscribeError,
}
# By hundreds, for what is not above, so that a library with newer codes still gives a fitting exception.
_HUNDREDS: Dict[int, Type[PulseError]] = {
    1: InvalidArgument,
    3: ConnectionClosed,
    4: ConnectError,
    5: ConnectError,
    6: HandshakeError,
}
# What can end a connection that was open. The others of their hundreds come from attempts to connect only.
_ENDINGS = frozenset((
    _contract.EUNREACHABLE, _contract.ERESET, _contract.EEOF, _contract.EDEAD, _contract.EIO, _contract.ESTALE,
    _contract.ESLOW, _contract.ETLS, _contract.ETRUNCATED, _contract.ETOOBIG,
))
# end of classes


def class_of(status: int, was_open: bool = False) -> Type[PulseError]:
    """The exception class for a status; ``was_open`` tells whether the connection had been open before."""
    if was_open and status in _ENDINGS:
        return ConnectionClosed
    found = _CLASSES.get(status)
    return found if found is not None else _HUNDREDS.get(-status // 100, PulseError)
