# SPDX-License-Identifier: Apache-2.0
"""A hub in a process of its own that serves pages with bindings/web, and what may happen to it and to the way there."""
import base64
import contextlib
import hashlib
import hmac
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from browser import Browser
from conftest import HERE, ROOT
from proxies import PATIENCE, Listener

FAST = {"reconnectBaseDelay": 100, "reconnectMaxDelay": 300, "restartDelay": 100, "openTimeout": 1000,
        "heartbeatInterval": 300, "heartbeatTimeout": 500, "probeTimeout": 500}
# Of minutes what others have in milliseconds: nothing happens by itself.
WAITING = {**FAST, "reconnectBaseDelay": 600_000, "reconnectMaxDelay": 600_000, "restartDelay": 600_000, "heartbeatInterval": 600_000}
SECRET = "s" * 32
LIBRARIES = ("react/umd/react.development.js", "react-dom/umd/react-dom.development.js")


def put_web(folder):
    """The client, as a page has it."""
    shutil.copytree(ROOT / "bindings" / "web", folder / "web", ignore=shutil.ignore_patterns("tests"))


@contextlib.contextmanager
def started(tmp_path_factory, *switches, without=()):
    """A browser, and in its `folder` the pages of these tests with all that they load."""
    folder = tmp_path_factory.mktemp("site") / "page"
    shutil.copytree(HERE / "web_page", folder)
    put_web(folder)
    subprocess.run([ROOT / "tools" / "web", folder / "pulsews.global.js"], check=True)
    for path in LIBRARIES:
        shutil.copy(f"/usr/share/nodejs/{path}", folder)
    with Browser(tmp_path_factory.mktemp("chromium"), *switches, without=without) as browser:
        browser.folder = folder
        yield browser


@contextlib.contextmanager
def blank(browser):
    """The browser on an empty page, which says nothing on its console but what Chromium says of lost connections."""
    browser.driver.get("about:blank")
    browser.console()
    yield
    assert [said for said in browser.console() if "WebSocket connection to" not in said] == []


@contextlib.contextmanager
def site_of(page, *arguments, path="/", **options):
    """A site, and the browser on one of its pages."""
    with Site(page.folder, *arguments, **options) as site:
        page.driver.get(site.origin + path)
        yield site


def token(lifetime):
    """A JSON Web Token that ends in so many seconds."""
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    head = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps({"sub": "u", "exp": time.time() + lifetime}).encode())
    return (head + b"." + part(hmac.new(SECRET.encode(), head, hashlib.sha256).digest())).decode()


class Site:
    """Runs from the start to the end of a `with`. A hub that has ended comes back at the same address."""

    def __init__(self, folder, line=None, routes=None, secret=None, **options):
        self.holder = socket.socket()
        self.holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.holder.bind(("127.0.0.1", 0))
        listen = "127.0.0.1:%d" % self.holder.getsockname()[1]
        self.origin = f"http://127.0.0.1:{line.port}" if line else f"http://{listen}"
        self.wanted = {"listen": listen, "topics": {"**": {"history": "1000"}},
                       "routes": {"/": {"kind": "static", "folder": str(folder)}, **(routes or {})},
                       "options": {"origin": self.origin, **options}}
        if secret:
            self.wanted["secret"] = secret
        if line:
            line.target = self.holder.getsockname()
        self.process = None
        self.last = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        self.holder.close()

    def start(self):
        self.process = subprocess.Popen([sys.executable, HERE / "hub_process.py", json.dumps(self.wanted)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline().strip() == self.wanted["listen"].rpartition(":")[2], "the hub did not start"

    def kill(self):
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def say(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, *words):
        self.say(*words)
        return self.answer()

    def publish(self, count=1):
        """So many messages of topic t, each with the next number; returns the last number."""
        for _ in range(count):
            self.last += 1
            self.ask("publish", "t", {"type": "n", "n": self.last})
        return self.last

    def __getitem__(self, name):
        return self.ask("statistics")[name]


class Line(Listener):
    """Between a page and a hub. While it is cut it takes connections and passes nothing on, not even their end; what has waited
    goes on when it is mended."""

    def __init__(self):
        self.target = None
        self.is_whole = threading.Event()
        self.is_whole.set()
        super().__init__()

    def cut(self):
        self.is_whole.clear()

    def mend(self):
        self.is_whole.set()

    def stop(self):
        self.mend()
        super().stop()

    def serve(self, connection):
        target = socket.create_connection(self.target, timeout=PATIENCE)
        self.keep(target)
        self.run(self.pass_on, target, connection)
        self.pass_on(connection, target)

    def pass_on(self, source, sink):
        try:
            while data := source.recv(65536):
                self.is_whole.wait(PATIENCE)
                sink.sendall(data)
            self.is_whole.wait(PATIENCE)
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # one of the two has gone
            pass
