# SPDX-License-Identifier: Apache-2.0
"""Clients as older services have them, without a subprotocol, behind one face: a browser's WebSocket, websockets,
gorilla/websocket and pulsews.WebSocketManager."""
import asyncio
import collections
import contextlib
import json
import pathlib
import queue
import shutil
import subprocess
import threading

import pulsews
from browser import BOUND
from conftest import HERE
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

SOURCES = pathlib.Path("/usr/share/gocode/src/github.com/gorilla/websocket")
KINDS = ("browser", "websockets", "gorilla", "manager")


def build_gorilla(folder, name):
    """A program of a folder here, built as a module of its own with the sources from Debian."""
    assert SOURCES.is_dir() and shutil.which("go"), "no Go or no gorilla/websocket; .ci/setup.sh installs them"
    shutil.copy(HERE / name / "main.go", folder)
    (folder / "go.mod").write_text("module gorilla\n\ngo 1.21\n\nrequire github.com/gorilla/websocket v1.5.0\n\n"
                                   f"replace github.com/gorilla/websocket => {SOURCES}\n")
    subprocess.run(["go", "vet", "."], cwd=folder, check=True)
    subprocess.run(["go", "build", "-o", "gorilla", "."], cwd=folder, check=True)
    return folder / "gorilla"


class Ended(Exception):
    """The connection has ended, or never began: `("closed", code, reason)`, or `("refused", status, code of the error)`."""

    def __init__(self, *how):
        super().__init__(how)
        self.how = how


def refused(status, body):
    return Ended("refused", status, json.loads(body)["error"]["code"])


class Client:
    """`say` sends, `get` returns the next message or raises Ended, `close` ends it. As a `with` it is closed at the end."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def say(self, **message):
        self.send(json.dumps(message))

    def get(self, kind=None):
        message = json.loads(self.receive())
        assert kind in (None, message["type"]), message
        return message

    def end(self):
        """What came until the end, and the end."""
        messages = []
        with contextlib.suppress(Ended):
            while True:
                messages.append(self.get())
        return messages, self.ended()

    def ended(self):
        try:
            self.receive()
        except Ended as ended:
            return ended.how
        raise AssertionError("it goes on")


class BrowserClient(Client):
    """The page has to be there, of an origin that the hub allows."""

    def __init__(self, url, browser):
        self.page, self.fresh = browser, collections.deque()
        self.page.run("""window.plain = { texts: [], closed: null };
                         plain.socket = new WebSocket(arguments[0]);
                         plain.opened = new Promise(done => { plain.socket.onopen = plain.socket.onerror = () => done(); });
                         plain.socket.onmessage = ({data}) => { plain.texts.push(data); plain.look?.(); };
                         plain.socket.onclose = ({code, reason}) => { plain.closed = [code, reason]; plain.look?.(); };
                         await plain.opened;""", url)

    def send(self, text):
        self.page.run("plain.socket.send(arguments[0])", text)

    def receive(self):
        if not self.fresh:
            texts, closed = self.page.run("""return await new Promise(done => {
              plain.look = () => {
                if (plain.texts.length === 0 && !plain.closed) return;
                plain.look = null;
                done([plain.texts.splice(0), plain.closed]);
              };
              plain.look();
            })""")
            if not texts:
                raise Ended("closed", *closed)
            self.fresh.extend(texts)
        return self.fresh.popleft()

    def close(self):
        self.page.run("""plain.socket.close();
                         await new Promise(done => {
                           plain.look = () => plain.closed && done();
                           plain.look();
                         })""")


class WebsocketsClient(Client):
    def __init__(self, url, origin=None):
        self.stack, self.ws, self.how = contextlib.ExitStack(), None, None
        try:
            self.ws = self.stack.enter_context(connect(url, origin=origin))
        except InvalidStatus as problem:
            self.how = refused(problem.response.status_code, problem.response.body)

    def send(self, text):
        self.ws.send(text)

    def receive(self):
        if self.how is not None:
            raise self.how
        try:
            return self.ws.recv(timeout=BOUND)
        except ConnectionClosed as closed:
            self.how = Ended("closed", closed.rcvd.code, closed.rcvd.reason)
            raise self.how from None

    def close(self):
        self.stack.close()


class GorillaClient(Client):
    def __init__(self, url, program, origin=None):
        self.how = None
        self.process = subprocess.Popen([program, url, *([origin] if origin else [])], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def send(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def receive(self):
        if self.how is not None:
            raise self.how
        line = json.loads(self.process.stdout.readline())
        if "text" in line:
            return line["text"]
        self.how = refused(line["status"], line["body"]) if "status" in line else Ended("closed", line["close"], line["reason"])
        raise self.how

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(BOUND)
        finally:
            self.process.kill()
            self.process.stdout.close()


class ManagerClient(Client):
    """On an event loop of its own, in a thread of its own."""

    def __init__(self, url, origin=None):
        self.queue, self.how = queue.Queue(), None
        headers = {"headers": f"Origin: {origin}"} if origin else {}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.manager = pulsews.WebSocketManager(
            url=url, reconnect=False, parse_json=False, on_message=self.queue.put, on_error=self.queue.put, **headers)
        with contextlib.suppress(pulsews.HandshakeError, pulsews.ConnectionClosed):  # on_error tells both
            self.wait(self.manager.connect(BOUND))

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(BOUND)

    def send(self, text):
        self.wait(self.manager.send(text))

    def receive(self):
        if self.how is not None:
            raise self.how
        item = self.queue.get(timeout=BOUND)
        if isinstance(item, str):
            return item
        if isinstance(item, pulsews.HandshakeError):
            self.how = refused(item.status, item.body)
        elif isinstance(item, pulsews.ConnectionClosed):
            self.how = Ended("closed", item.code, item.reason)
        else:
            raise item
        raise self.how

    def close(self):
        try:
            self.wait(self.manager.close())
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.loop.close()
