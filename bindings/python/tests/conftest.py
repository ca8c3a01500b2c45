# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import base64
import hashlib
import inspect
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PACKAGE_ROOT = HERE.parent
sys.path[:0] = [str(PACKAGE_ROOT), str(HERE)]

from peer import Peer  # noqa: E402

try:
    import uvloop
except ImportError:
    uvloop = None

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@pytest.fixture(scope="session")
def peer():
    server = Peer(compression=None)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def deflating_peer():
    server = Peer()
    yield server
    server.stop()


@pytest.fixture
def peer_process():
    """The same server in a process of its own, for tests that keep this interpreter busy."""
    process = subprocess.Popen([sys.executable, str(HERE / "peer.py")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    yield f"ws://127.0.0.1:{port}"
    process.kill()
    process.wait()
    process.stdout.close()


async def cancel_tasks() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(params=["asyncio"] + (["uvloop"] if uvloop else []))
def arun(request):
    """Runs a coroutine on each kind of event loop."""

    def run(coroutine):
        loop = uvloop.new_event_loop() if request.param == "uvloop" else asyncio.new_event_loop()
        try:
            return loop.run_until_complete(asyncio.wait_for(coroutine, 50))
        finally:
            loop.run_until_complete(cancel_tasks())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    return run


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine, seconds: float = 50):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def stop(self) -> None:
        async def finish() -> None:
            await cancel_tasks()
            await asyncio.get_running_loop().shutdown_default_executor()

        self.run(finish())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(20)
        self.loop.close()


class Blocking:
    """An asyncio client with the calls of the blocking one, so that one test serves both."""

    def __init__(self, runner: LoopThread, client) -> None:
        self._runner = runner
        self._client = client

    def __getattr__(self, name: str):
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def call(*arguments, **keywords):
            async def work():
                result = found(*arguments, **keywords)
                return await result if inspect.isawaitable(result) else result

            return self._runner.run(work())

        return call

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._runner.run(self._client.close())

    def __iter__(self):
        messages = self._client.__aiter__()
        while True:
            try:
                yield self._runner.run(messages.__anext__())
            except StopAsyncIteration:
                return


@pytest.fixture(params=["blocking", "asyncio"])
def dial(request):
    """pulsews.connect, or pulsews.aio.connect behind the same calls."""
    import pulsews

    if request.param == "blocking":
        yield pulsews.connect
        return
    runner = LoopThread()

    def connect(url: str, **options):
        return Blocking(runner, runner.run(pulsews.aio.connect(url, **options)._connect()))

    yield connect
    runner.stop()


def frame(opcode: int, body: bytes = b"", first: int = 0x80) -> bytes:
    """A frame as a server sends it."""
    if len(body) < 126:
        return bytes([first | opcode, len(body)]) + body
    if len(body) < 65536:
        return bytes([first | opcode, 126]) + struct.pack(">H", len(body)) + body
    return bytes([first | opcode, 127]) + struct.pack(">Q", len(body)) + body


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def receive_frame(connection: socket.socket) -> "tuple[int, bytes]":
    """A frame of a client: opcode and unmasked body."""
    first, second = receive_exactly(connection, 2)
    size = second & 127
    if size == 126:
        size = struct.unpack(">H", receive_exactly(connection, 2))[0]
    elif size == 127:
        size = struct.unpack(">Q", receive_exactly(connection, 8))[0]
    assert second & 128, "a client must mask"
    mask = receive_exactly(connection, 4)
    body = receive_exactly(connection, size)
    return first & 15, bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))


def request_of(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(4096)
        if not more:
            raise EOFError
        data += more
    return data


def accept_upgrade(connection: socket.socket, extra: bytes = b"") -> bytes:
    """Reads the request and accepts it."""
    request = request_of(connection)
    lines = {name.lower(): value for name, _, value in (line.partition(b":") for line in request.split(b"\r\n"))}
    accept = base64.b64encode(hashlib.sha1(lines[b"sec-websocket-key"].strip() + GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept + b"\r\n" + extra + b"\r\n"
    )
    return request


class RawServer:
    """Accepts TCP connections and gives each to a script in a thread of its own."""

    def __init__(self, script) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: "list[socket.socket]" = []
        self.over = threading.Event()
        self.url = "ws://127.0.0.1:%d/" % self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            connection.settimeout(30)
            self._connections.append(connection)
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        try:
            self._script(connection)
        except (OSError, EOFError):
            pass
        finally:
            connection.close()
            self.over.set()

    def stop(self) -> None:
        for one in [self._listener, *self._connections]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
        for thread in self._threads:
            thread.join(20)


@pytest.fixture
def raw_server():
    """Makes servers from scripts."""
    servers = []

    def make(script) -> RawServer:
        servers.append(RawServer(script))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def station():
    """A server on a fixed port that can be killed and started again; see station.py."""
    from station import Station

    server = Station()
    yield server
    server.stop()


@pytest.fixture
def other_station():
    from station import Station

    server = Station()
    yield server
    server.stop()


@pytest.fixture
def python():
    """Runs a program in a process of its own: give its text, get a Popen with pipes."""
    processes = []

    def start(program: str, *arguments: str) -> "subprocess.Popen[str]":
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(PACKAGE_ROOT), str(HERE)]))
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            # A shell starts what runs in the background with Ctrl-C ignored, and so would this program be.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def eventually(condition, seconds: float = 10) -> bool:
    """Waits for what has no event to wait for, like the count of descriptors."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Calls:
    """Callbacks that write down what they get."""

    def __init__(self):
        self.calls = []

    def callbacks(self, *names):
        def make(name):
            return lambda *arguments: self.calls.append((name, *arguments))

        names = names or ("on_message", "on_connect", "on_disconnect", "on_error", "on_state_change")
        return {name: make(name) for name in names}

    def named(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


async def until(condition, seconds: float = 10) -> None:
    """As eventually, while the event loop runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.005)
