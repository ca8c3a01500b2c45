# SPDX-License-Identifier: Apache-2.0
"""A server on one port that can be killed and started again, that refuses, hangs or goes mute, and keeps what it got.

It is written on sockets and threads, so that a test decides to the byte what the client meets.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple, Union

from conftest import accept_upgrade, frame, receive_frame, request_of

# Options with which a test does not wait for long: every delay is the exact formula.
FAST: Dict[str, Any] = {
    "reconnect_base_delay": "20ms",
    "reconnect_max_delay": "50ms",
    "jitter": 0,
    "backlog_interval": 0,
    "restart_delay": "20ms",
    "max_reconnect_attempts": 0,
    "close_timeout": 1,
}


def bound_socket() -> socket.socket:
    """On a port that the kernel gives to nobody else while the server is down: below those of outgoing connections."""
    for _ in range(1000):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", random.randrange(12_000, 32_000)))
            listener.listen(128)
        except OSError:
            listener.close()
            continue
        return listener
    raise AssertionError("no port is free")


def reset(connection: socket.socket) -> None:
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)  # for the thread that reads from it
    except OSError:
        pass
    connection.close()


class Session:
    """One connection that was accepted."""

    def __init__(self, station: Station, connection: socket.socket, request: bytes) -> None:
        self._station = station
        self._connection = connection
        self._lock = threading.Lock()
        self.request = request
        self.received: List[Tuple[float, int, bytes]] = []
        """Time, opcode and body of every frame."""
        self.over = False
        self.closing = False

    @property
    def headers(self) -> Dict[str, str]:
        lines = self.request.decode().split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}

    @property
    def path(self) -> str:
        return self.request.split(b" ")[1].decode()

    @property
    def texts(self) -> List[str]:
        return [body.decode() for _, opcode, body in self.received if opcode == 1]

    @property
    def messages(self) -> List[Union[str, bytes]]:
        return [body.decode() if opcode == 1 else body for _, opcode, body in self.received if opcode in (1, 2)]

    @property
    def times(self) -> List[float]:
        return [moment for moment, opcode, _ in self.received if opcode in (1, 2)]

    @property
    def close_code(self) -> Optional[int]:
        for _, opcode, body in self.received:
            if opcode == 8:
                return struct.unpack(">H", body[:2])[0] if len(body) > 1 else 1005
        return None

    def send(self, message: Union[str, bytes]) -> None:
        self.raw(frame(1, message.encode()) if isinstance(message, str) else frame(2, message))

    def raw(self, data: bytes) -> None:
        try:
            with self._lock:
                self._connection.sendall(data)
        except OSError:
            pass

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.closing = True
        self.raw(frame(8, struct.pack(">H", code) + reason.encode()))

    def abort(self) -> None:
        """Resets the connection."""
        reset(self._connection)


class Station:
    """See above. What it answers is set by the attributes; they may change at any time."""

    def __init__(self) -> None:
        self.refusals: Deque[bytes] = deque()
        """Answers for the next requests in place of an acceptance."""
        self.accepting = True
        """Whether a request is answered at all."""
        self.reading = threading.Event()
        self.reading.set()
        self.answers: Callable[[Session, Union[str, bytes]], Any] = lambda session, message: None
        """What to answer to a message: ``None``, one message, or a list."""
        self.greeting: Callable[[Session], Any] = lambda session: None
        self.pongs = True
        self.sessions: List[Session] = []
        self.requests: List[Tuple[float, bytes]] = []
        self.changed = threading.Condition()
        self._connections: List[socket.socket] = []
        self._threads: List[threading.Thread] = []
        self._listener: Optional[socket.socket] = bound_socket()
        self.port = self._listener.getsockname()[1]
        self._begin()

    def url(self, target: str = "/") -> str:
        return f"ws://127.0.0.1:{self.port}{target}"

    # ---- its life

    def start(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self._listener = listener
        self._begin()

    def _begin(self) -> None:
        assert self._listener is not None
        self._spawn(self._serve, self._listener)

    def _spawn(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    def kill(self) -> None:
        """Every connection is reset, and nobody listens any more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
        connections, self._connections = self._connections, []
        for connection in connections:
            reset(connection)

    def restart(self) -> None:
        self.kill()
        self.start()

    def stop(self) -> None:
        self.reading.set()
        self.kill()
        for thread in self._threads:
            thread.join(20)

    def refuse(self, status: int, *headers: str, body: bytes = b"", times: int = 1) -> None:
        lines = [f"HTTP/1.1 {status} No", f"Content-Length: {len(body)}", *headers, "", ""]
        for _ in range(times):
            self.refusals.append("\r\n".join(lines).encode() + body)

    # ---- looking

    def wait(self, condition: Callable[[], Any], seconds: float = 15) -> Any:
        """Waits until something that it got makes the condition true, and gives its value."""
        with self.changed:
            assert self.changed.wait_for(condition, seconds), "the station has not got it"
        return condition()

    def session(self, number: int, seconds: float = 15) -> Session:
        """The session of that number, from 0 on, when there is one."""
        self.wait(lambda: len(self.sessions) > number, seconds)
        return self.sessions[number]

    def _note(self, action: Callable[[], Any]) -> None:
        with self.changed:
            action()
            self.changed.notify_all()

    # ---- serving

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            if listener is not self._listener:
                reset(connection)
                return
            self._spawn(self._guarded, connection)

    def _guarded(self, connection: socket.socket) -> None:
        session: List[Session] = []
        try:
            self._run(connection, session)
        except (OSError, EOFError, struct.error):
            pass
        finally:
            connection.close()
            for one in session:
                self._note(lambda: setattr(one, "over", True))

    def _run(self, connection: socket.socket, found: List[Session]) -> None:
        if not self.accepting:
            request = request_of(connection)
            self._note(lambda: self.requests.append((time.monotonic(), request)))
            connection.recv(1)
            return
        if self.refusals:
            request = request_of(connection)
            answer = self.refusals.popleft()
            self._note(lambda: self.requests.append((time.monotonic(), request)))
            connection.sendall(answer)
            return
        request = accept_upgrade(connection)
        session = Session(self, connection, request)
        found.append(session)

        def note() -> None:
            self.requests.append((time.monotonic(), request))
            self.sessions.append(session)

        self._note(note)
        self._answer(session, self.greeting(session))
        while True:
            self.reading.wait()
            opcode, body = receive_frame(connection)
            if not self.reading.is_set():
                self.reading.wait()
            moment = time.monotonic()
            self._note(lambda: session.received.append((moment, opcode, body)))
            if opcode == 8:
                if not session.closing:
                    session.raw(frame(8, body[:2]))
                return
            if opcode == 9 and self.pongs:
                session.raw(frame(10, body))
            if opcode in (1, 2):
                self._answer(session, self.answers(session, body.decode() if opcode == 1 else body))

    def _answer(self, session: Session, answer: Any) -> None:
        for one in [] if answer is None else answer if isinstance(answer, list) else [answer]:
            session.send(json.dumps(one) if isinstance(one, dict) else one)


class Events:
    """What ws.events() has given so far, and waiting for more."""

    def __init__(self, ws: Any) -> None:
        self._ws = ws
        self.all: List[Dict[str, Any]] = []

    def named(self, name: str) -> List[Dict[str, Any]]:
        return [event for event in self.all if event["event"] == name]

    def look(self) -> List[Dict[str, Any]]:
        self.all += self._ws.events()
        return self.all

    def wait(self, name: str, seconds: float = 15, **wanted: Any) -> Dict[str, Any]:
        """The first event of that name and with those values that was not waited for before."""
        end = time.monotonic() + seconds
        while True:
            self.look()
            for event in self.all:
                if event["event"] == name and all(event.get(key) == value for key, value in wanted.items()):
                    if not event.get("_seen"):
                        event["_seen"] = True
                        return event
            assert time.monotonic() < end, (name, wanted, self.all)
            time.sleep(0.005)


def balanced(ws: Any) -> bool:
    """Whether every accepted message is accounted for."""
    stats = ws.statistics()
    fates = ("messages_sent", "messages_dropped", "messages_expired", "messages_failed", "queue_size")
    return stats["messages_accepted"] == sum(stats[name] for name in fates)
