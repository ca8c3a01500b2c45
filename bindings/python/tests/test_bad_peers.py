# SPDX-License-Identifier: Apache-2.0
"""Servers that break the rules: a clear exception in bounded time."""

import socket
import struct
import threading
import time
import zlib

import pulsews
import pytest
from conftest import accept_upgrade, frame, request_of


def test_server_that_never_answers(raw_server):
    release = threading.Event()
    server = raw_server(lambda connection: release.wait(30))
    start = time.monotonic()
    with pytest.raises(pulsews.OpenTimeout) as caught:
        pulsews.connect(server.url, open_timeout=0.4)
    release.set()
    assert isinstance(caught.value, TimeoutError) and isinstance(caught.value, pulsews.ConnectError)
    assert 0.3 < time.monotonic() - start < 5


def test_server_that_answers_byte_by_byte(raw_server):
    stop = threading.Event()

    def script(connection):
        request_of(connection)
        for byte in b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 1000:
            if stop.wait(0.02):
                return
            connection.sendall(bytes([byte]))

    with pytest.raises(pulsews.OpenTimeout):
        pulsews.connect(raw_server(script).url, open_timeout=0.5)
    stop.set()


def test_endless_header(raw_server):
    def script(connection):
        request_of(connection)
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nX: ")
        while True:
            connection.sendall(b"y" * 65536)

    with pytest.raises(pulsews.HandshakeError) as caught:
        pulsews.connect(raw_server(script).url)
    assert caught.value.name == "PULSEWS_EHEADERS"


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x00\x01\x02\x03\r\n\r\n"])
def test_garbage_instead_of_an_answer(raw_server, answer):
    def script(connection):
        request_of(connection)
        connection.sendall(answer)

    with pytest.raises((pulsews.HandshakeError, pulsews.ConnectError)):
        pulsews.connect(raw_server(script).url, open_timeout=5)


def test_wrong_accept_value(raw_server):
    def script(connection):
        request_of(connection)
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
        )
        connection.recv(1)

    with pytest.raises(pulsews.HandshakeError) as caught:
        pulsews.connect(raw_server(script).url)
    assert caught.value.name == "PULSEWS_EUPGRADE"


@pytest.mark.parametrize("bad, name", [
    (b"\xff\xff\xff\xff", "PULSEWS_EPROTOCOL"),
    (frame(3), "PULSEWS_EPROTOCOL"),
    (frame(9, b"x" * 126), "PULSEWS_EPROTOCOL"),
    (frame(1, b"a\xffb"), "PULSEWS_EPAYLOAD"),
    (frame(8, b"\x03"), "PULSEWS_EPROTOCOL"),
    (frame(8, b"\x03\xe8\xff"), "PULSEWS_EPAYLOAD"),
    (frame(2, b"x" * 2000), "PULSEWS_ETOOBIG"),
    (bytes([0x82, 127]) + struct.pack(">Q", 2**62), "PULSEWS_ETOOBIG"),
])
def test_bad_frames(raw_server, bad, name):
    answered = []

    def script(connection):
        accept_upgrade(connection)
        connection.sendall(frame(1, b"good") + bad)
        while True:
            more = connection.recv(4096)
            if not more:
                return
            answered.append(more)

    server = raw_server(script)
    with pulsews.connect(server.url, max_message_size=1000, close_timeout=1, reconnect=False) as ws:
        assert ws.recv(timeout=10) == "good"
        for receive in (ws.recv, ws.recv_batch, lambda timeout: next(iter(ws))):
            with pytest.raises(pulsews.ConnectionClosed) as caught:
                receive(timeout=10)
            assert caught.value.name == name and len(str(caught.value)) > 15
    assert server.over.wait(10)
    assert b"".join(answered)[:1] == b"\x88"


def test_decompression_bomb(raw_server):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = (deflate.compress(bytes(64 << 20)) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def script(connection):
        accept_upgrade(connection, b"Sec-WebSocket-Extensions: permessage-deflate\r\n")
        connection.sendall(frame(2, bomb, 0xC0))
        connection.recv(100)

    with pulsews.connect(raw_server(script).url, max_message_size="1MiB", close_timeout=1, reconnect=False) as ws:
        with pytest.raises(pulsews.ConnectionClosed) as caught:
            ws.recv(timeout=20)
        assert caught.value.name == "PULSEWS_ETOOBIG"


@pytest.mark.parametrize("reset", [True, False])
def test_end_inside_a_frame(raw_server, reset):
    def script(connection):
        accept_upgrade(connection)
        connection.sendall(frame(1, b"whole") + frame(1, b"x" * 100)[:50])
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with pulsews.connect(raw_server(script).url, reconnect=False) as ws:
        received = []
        with pytest.raises(pulsews.ConnectionClosed) as caught:
            for message in ws:
                received.append(message)
        # A reset may destroy what the kernel had not handed over.
        assert received == ["whole"] or (reset and received == [])
        assert caught.value.code == 1006 and caught.value.name in ("PULSEWS_ERESET", "PULSEWS_EEOF")


def test_a_mute_peer_is_found_dead(raw_server):
    release = threading.Event()

    def script(connection):
        accept_upgrade(connection)
        release.wait(30)

    with pulsews.connect(
        raw_server(script).url, heartbeat_interval=0.2, heartbeat_timeout=0.6, close_timeout=0.5, reconnect=False
    ) as ws:
        start = time.monotonic()
        with pytest.raises(pulsews.ConnectionClosed) as caught:
            ws.recv(timeout=20)
        assert caught.value.name == "PULSEWS_EDEAD" and time.monotonic() - start < 10
    release.set()
