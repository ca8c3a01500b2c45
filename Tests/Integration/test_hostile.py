# SPDX-License-Identifier: Apache-2.0
"""Servers that misbehave, met from Python: a fitting exception, in bounded time and memory."""
import functools
import resource

import pulsews
import pytest

connect = functools.partial(pulsews.connect, reconnect=False)  # one connection, and why it ended
OPENING = [
    ("never-answers", TimeoutError, "PULSEWS_EOPENTIMEOUT"),
    ("stalled-handshake", TimeoutError, "PULSEWS_EOPENTIMEOUT"),
    ("garbage-handshake", pulsews.HandshakeError, "PULSEWS_EHEADERS"),
    ("endless-header", pulsews.HandshakeError, "PULSEWS_EHEADERS"),
    ("endless-headers", pulsews.HandshakeError, "PULSEWS_EHEADERS"),
    ("wrong-accept", pulsews.HandshakeError, "PULSEWS_EUPGRADE"),
    ("unasked-extension", pulsews.HandshakeError, "PULSEWS_EUPGRADE"),
    ("unasked-subprotocol", pulsews.HandshakeError, "PULSEWS_EUPGRADE"),
    ("refuse-403", pulsews.HandshakeError, "PULSEWS_EHANDSHAKE"),
    ("refuse-endless-body", pulsews.HandshakeError, "PULSEWS_EHANDSHAKE"),
    ("reset-in-handshake", pulsews.ConnectError, "PULSEWS_ERESET"),
]
ENDING = [
    ("garbage", "PULSEWS_EPROTOCOL"),
    ("masked", "PULSEWS_EPROTOCOL"),
    ("bad-utf8", "PULSEWS_EPAYLOAD"),
    ("bad-deflate", "PULSEWS_EDEFLATE"),
    ("huge-claim", "PULSEWS_ETOOBIG"),
    ("endless-message", "PULSEWS_ETOOBIG"),
    ("bomb", "PULSEWS_ETOOBIG"),
]


@pytest.mark.parametrize("mode, kind, name", OPENING, ids=[case[0] for case in OPENING])
def test_opening(servers, mode, kind, name):
    with pytest.raises(kind) as failed:
        with connect(servers.hostile(mode), open_timeout=0.5 if kind is TimeoutError else 10):
            pass
    assert failed.value.name == name
    assert len(str(failed.value)) > 10


@pytest.mark.parametrize("mode, name", ENDING, ids=[case[0] for case in ENDING])
def test_ending(servers, mode, name):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with connect(servers.hostile(mode)) as ws:
        with pytest.raises(pulsews.PulseError) as failed:
            ws.recv(timeout=30)
        assert failed.value.name == name
        with pytest.raises(pulsews.PulseError) as again:
            ws.recv(timeout=30)
        assert again.value.name == name
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize("mode, name", [("reset-mid-frame", "PULSEWS_ERESET"), ("eof-mid-frame", "PULSEWS_EEOF")])
def test_cut_in_the_middle(servers, mode, name):
    with connect(servers.hostile(mode)) as ws:
        assert ws.recv(timeout=30) == "whole"  # what had arrived is delivered first
        if mode == "reset-mid-frame":
            ws.send("go on")
        with pytest.raises(pulsews.ConnectionClosed) as closed:
            ws.recv(timeout=30)
        assert closed.value.name == name and closed.value.code == 1006


def test_slow_byte_by_byte(servers):
    with connect(servers.hostile("slow")) as ws:
        ws.send("\u20ac byte by byte")
        assert ws.recv(timeout=30) == "\u20ac byte by byte"


@pytest.mark.parametrize("mode", ["ping-by-ping", "ping-flood"])
def test_pings_are_answered(servers, mode):
    with connect(servers.hostile(mode)) as ws:
        assert ws.recv(timeout=30) == "done"
