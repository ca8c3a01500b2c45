# SPDX-License-Identifier: Apache-2.0
"""A hub of this process, through its C interface; and what a test needs of a peer."""
import collections
import ctypes
import json
import os
import re
import socket
import time

from conftest import ROOT

CODES = {name: int(value) for header in ("pulsews.h", "pulsews_hub.h")
         for name, value in re.findall(r"PULSEWS_(\w+) = (-?\d+)", (ROOT / "include" / header).read_text())}
ERROR_SIZE = 512
PULSE = "pulse.v1"
SECONDS = 1_000_000_000


class RawEvent(ctypes.Structure):
    _fields_ = ([("kind", ctypes.c_uint32), ("code", ctypes.c_int32), ("peer", ctypes.c_uint64),
                 ("request", ctypes.c_uint64), ("time_ns", ctypes.c_int64), ("count", ctypes.c_uint64)]
                + [(name, ctypes.c_char_p)
                   for name in ("address", "route", "target", "method", "headers", "topic", "text")]
                + [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("reserved", ctypes.c_uint64 * 2)])


assert ctypes.sizeof(RawEvent) == 128
Event = collections.namedtuple("Event", "kind code peer request count address route target method headers topic text data")
TEXTS = Event._fields[5:12]


def load():
    library = ctypes.CDLL(os.environ["PULSEWS_LIBRARY"])
    text, size, number, pointer = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64, ctypes.c_void_p
    words = {"set": 2, "listen": 1, "route": 3, "topic": 3, "start": 0, "reload": 0}
    for name, count in words.items():
        getattr(library, f"pulsews_hub_{name}").argtypes = [pointer] + [text] * (count + 1) + [size]
    library.pulsews_hub_key.argtypes = [pointer, text, text, text, size, text, size]
    for name, types in {"publish": [text, text, text, size, pointer], "topic_state": [text, ctypes.c_int32, text],
                        "send": [number, ctypes.c_uint32, text, size], "close_peer": [number, ctypes.c_int32, text],
                        "subscribe": [number, text], "unsubscribe": [number, text],
                        "answer": [number, ctypes.c_int32, text, text, size], "adopt": [ctypes.c_int32, text, size],
                        "drain": [ctypes.c_int64, ctypes.c_int64], "next": [pointer, size, ctypes.c_int64],
                        "free": [], "statistics": [pointer, size], "wake_fd": []}.items():
        getattr(library, f"pulsews_hub_{name}").argtypes = [pointer] + types
    for name, types in {"status_json": [], "peers_json": [], "prometheus": [], "address": [size]}.items():
        function = getattr(library, f"pulsews_hub_{name}")
        function.argtypes, function.restype = [pointer] + types + [pointer, size], ctypes.c_int64
    library.pulsews_hub_free.restype = None
    library.pulsews_hub_statistic_at.argtypes = [size] + [pointer] * 4
    return library


library = load()


class HubError(Exception):
    def __init__(self, code, sentence=""):
        names = [name for name, value in CODES.items() if value == code and (name[0] == "E" or code == 0)]
        super().__init__(f"{names or code}: {sentence}")
        self.code = code


def statistic_names():
    names, found = [], ctypes.c_char_p()
    while library.pulsews_hub_statistic_at(len(names), ctypes.byref(found), None, None, None) == 0:
        names.append(found.value.decode())
    return names


def encoded(value):
    return value if value is None or isinstance(value, bytes) else str(value).encode()


class Hub:
    """Runs from the start to the end of a `with`. Values of options, and of lists of them, are texts."""

    def __init__(self, *listen, routes=None, topics=None, keys=None, **options):
        self.handle = ctypes.c_void_p()
        self.error = ctypes.create_string_buffer(ERROR_SIZE)
        self.check(library.pulsews_hub_create(None, ctypes.byref(self.handle), self.error, ERROR_SIZE))
        try:
            for address in listen or ("127.0.0.1:0",):
                self.call("listen", address)
            for name, value in options.items():
                for one in value if isinstance(value, (list, tuple)) else [value]:
                    self.call("set", name, str(one).lower() if isinstance(one, bool) else one)
            for kind, given in (("route", routes or {}), ("topic", {"**": {}} if topics is None else topics)):
                for place, settings in given.items():
                    self.call(kind, place, None, None)
                    for name, value in settings.items():
                        for one in value if isinstance(value, list) else [value]:
                            self.call(kind, place, name, one)
            for name, (algorithm, material) in (keys or {}).items():
                self.check(library.pulsews_hub_key(self.handle, encoded(name), encoded(algorithm), material, len(material),
                                                   self.error, ERROR_SIZE))
            self.call("start")
        except BaseException:
            self.free()
            raise

    def check(self, code):
        if code != 0:
            raise HubError(code, self.error.value.decode(errors="replace"))

    def call(self, name, *words):
        self.check(getattr(library, f"pulsews_hub_{name}")(self.handle, *map(encoded, words), self.error, ERROR_SIZE))

    def do(self, name, *arguments):
        """A function without a sentence: its code is OK."""
        code = getattr(library, f"pulsews_hub_{name}")(self.handle, *map(encoded_if_text, arguments))
        if code != 0:
            raise HubError(code)

    def free(self):
        if self.handle:
            library.pulsews_hub_free(self.handle)
        self.handle = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.free()

    def text(self, name, *arguments):
        function = getattr(library, f"pulsews_hub_{name}")
        room = 1 << 16
        while True:
            buffer = ctypes.create_string_buffer(room)
            length = function(self.handle, *arguments, buffer, room)
            if length < 0:
                raise HubError(length)
            if length < room:
                return buffer.raw[:length].decode()
            room = length + 4096

    # Where it is

    def address(self, index=0):
        return self.text("address", index)

    @property
    def port(self):
        return int(self.address().rpartition(":")[2])

    def url(self, path="/ws/stream", scheme="ws"):
        return f"{scheme}://{'localhost' if scheme[-1] == 's' else '127.0.0.1'}:{self.port}{path}"

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    # What it does

    def publish(self, topic, data, key=None):
        payload = data if isinstance(data, bytes) else json.dumps(data).encode()
        offset = ctypes.c_uint64()
        code = library.pulsews_hub_publish(self.handle, encoded(topic), encoded(key), payload, len(payload),
                                           ctypes.byref(offset))
        if code != 0:
            raise HubError(code)
        return offset.value

    def send(self, peer, data):
        kind = CODES["BINARY" if isinstance(data, bytes) else "TEXT"]
        payload = encoded(data)
        self.do("send", peer, kind, payload, len(payload))

    def answer(self, request, status, headers=None, body=b""):
        self.do("answer", request, status, headers, body, len(body))

    def drain(self, spread, timeout):
        """Whether all have gone."""
        code = library.pulsews_hub_drain(self.handle, int(spread * SECONDS), int(timeout * SECONDS))
        if code not in (0, CODES["ETIMEOUT"]):
            raise HubError(code)
        return code == 0

    def event(self, kind=None, timeout=20):
        """The next event, or the next one of a kind; None when no more will come."""
        end = time.monotonic() + timeout
        raw = RawEvent()
        while True:
            count = library.pulsews_hub_next(self.handle, ctypes.byref(raw), 1, int(max(0, end - time.monotonic()) * SECONDS))
            if count == CODES["ECLOSED"]:
                return None
            if count != 1:
                raise HubError(count, f"no event {kind or ''}")
            if kind is None or raw.kind == CODES[f"HUB_{kind.upper()}"]:
                data = ctypes.string_at(raw.data, raw.length) if raw.length else b""
                return Event(raw.kind, raw.code, raw.peer, raw.request, raw.count,
                             *(getattr(raw, name).decode() for name in TEXTS), data)

    # How it is

    def statistics(self):
        names = statistic_names()
        values = (ctypes.c_double * len(names))()
        assert library.pulsews_hub_statistics(self.handle, values, len(names)) == len(names)
        return dict(zip(names, map(int, values)))

    def __getitem__(self, name):
        return self.statistics()[name]

    def until(self, name, least, timeout=20):
        """Waits for a statistic to reach a number; returns it."""
        return until(lambda: self[name] >= least and self[name], timeout, lambda: f"{name} is {self[name]}, not {least}")

    def peers(self):
        return json.loads(self.text("peers_json"))

    def status(self):
        return json.loads(self.text("status_json"))

    def check_books(self):
        for books in [*self.peers(), {name.removeprefix("messages_"): value for name, value in self.statistics().items()}]:
            assert books["offered"] == sum(books[name] for name in ("written", "conflated", "dropped", "queued")), books


def encoded_if_text(value):
    return value.encode() if isinstance(value, str) else value


def until(condition, timeout=20, why=lambda: "it did not come to pass"):
    """Looks again and again, since nothing tells of it."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, why()
        time.sleep(0.005)
    return found


class Follower:
    """Reads messages of one topic as a `pulse.v1` peer: each follows on the one before, and what is missing is named."""

    def __init__(self, last=0):
        self.last, self.got, self.missing, self.skipped, self.gaps = last, 0, 0, 0, 0

    def take(self, message):
        if message["type"] == "gap":
            assert message["from"] == self.last + 1 and message["to"] >= message["from"], (message, self.last)
            self.missing += message["to"] - message["from"] + 1
            self.gaps += 1
            self.last = message["to"]
            return
        assert message["p"] == self.last, (message["o"], message["p"], self.last)
        assert message.get("skipped", 0) == message["o"] - message["p"] - 1, message
        self.skipped += message.get("skipped", 0)
        self.got += 1
        self.last = message["o"]
