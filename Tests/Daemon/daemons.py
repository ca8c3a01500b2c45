# SPDX-License-Identifier: Apache-2.0
"""The daemon as a process, for tests."""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

from websockets.sync.client import connect

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("DIST") or ROOT / "dist") / "pulsews-hub"
PATIENCE = 20  # seconds that an event may take on a loaded machine
SECRET = "a secret of thirty-two bytes, at least"


def check(path, **environment):
    """The finished `pulsews-hub --check`."""
    return subprocess.run([PROGRAM, "--check", path], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60,
                          check=False)


def token(secret=SECRET, **claims):
    """A JSON Web Token (HS256)."""
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = {"exp": int(time.time()) + 3600, **claims}
    text = encode(b'{"alg":"HS256"}') + b"." + encode(json.dumps(claims).encode())
    return (text + b"." + encode(hmac.new(secret.encode(), text, hashlib.sha256).digest())).decode()


class Daemon:
    """A daemon of a configuration in `folder`, or with `arguments`; ready when it listens, unless `ready` is false."""

    def __init__(self, folder, text, ready=True, environment=None, command=(), arguments=None, program=PROGRAM, **options):
        self.config = folder / "hub.toml"
        if text is not None:
            self.write(text)
        self.lines = []
        self.news = threading.Condition()
        self.process = subprocess.Popen(
            [*command, program, *(arguments or [self.config])], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})}, text=True, **options)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        if ready:
            line = self.wait_for("listening")
            found = re.search(r"address\W+((?:[\d.]+|\[[\da-f:]+\]):\d+|fd:\d+|unix:[^\"]+)", line)
            self.address = found[1]

    def write(self, text):
        self.config.write_text(text)
        self.config.chmod(0o600)

    def read(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.lines.append(None)
            self.news.notify_all()

    def wait_for(self, text, after=0):
        """The first line with `text` in it, of those behind the first `after`."""
        deadline = time.monotonic() + PATIENCE
        with self.news:
            while True:
                for line in self.lines[after:]:
                    if line is None or text in line:
                        assert line is not None, f"the daemon ended without {text!r}: {self.lines}"
                        return line
                rest = deadline - time.monotonic()
                assert rest > 0 and self.news.wait(rest), f"no line with {text!r} in {self.lines}"

    def reload(self, text=None):
        """SIGHUP, with another configuration; what the daemon said then, up to the verdict."""
        if text is not None:
            self.write(text)
        after = len(self.lines)
        self.process.send_signal(signal.SIGHUP)
        verdict = self.wait_for("configuration was", after)
        return self.lines[after:self.lines.index(verdict, after) + 1]

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self):
        """The exit code."""
        code = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        self.process.stdout.close()
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(PATIENCE)
        self.process.stdout.close()

    @property
    def output(self):
        return "\n".join(filter(None, self.lines))

    def peer(self, path="/ws/stream", scheme="ws", address=None, pulse=True, **options):
        return connect(f"{scheme}://{address or self.address}{path}", subprotocols=["pulse.v1"] if pulse else None, proxy=None, **options)

    def request(self, path, body=None, headers=(), method=None, address=None):
        """(status, headers, body) of a request."""
        if isinstance(body, str):
            body = body.encode()
        request = urllib.request.Request(f"http://{address or self.address}{path}", data=body, headers=dict(headers), method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as problem:
            with problem:
                return problem.code, dict(problem.headers), problem.read().decode()


def get(peer, kind):
    """The next message of that type; those of other types are passed over."""
    deadline = time.monotonic() + PATIENCE
    while True:
        message = json.loads(peer.recv(max(0.01, deadline - time.monotonic())))
        if message["type"] == kind:
            return message


def subscribe(peer, *topics):
    peer.send(json.dumps({"type": "subscribe", "topics": topics}))
    for _ in topics:
        get(peer, "subscribed")
