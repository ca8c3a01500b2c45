# SPDX-License-Identifier: Apache-2.0
"""A peer that says why and then resets the connection, while this side has more to write than the network takes: what it
said counts, not the write that failed."""
import contextlib
import re
import socket
import ssl
import struct
import threading

import pulsews
import pytest
import tls_ends

ROUNDS = 10
HEADERS = {f"X-{index}": "x" * 8000 for index in range(7)}


@pytest.fixture(params=["tcp", "tls"])
def resetting(request, certificates):
    """Starts a server that has a small window, and calls `answer` with each connection before it resets that."""
    context = None
    if request.param == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates["chain"], certificates["key"])
    with contextlib.ExitStack() as stack:
        def start(answer):
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener.bind(("127.0.0.1", 0))
            listener.listen()

            def serve():
                while True:
                    try:
                        connection = listener.accept()[0]
                    except OSError:
                        return
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    with contextlib.suppress(OSError):
                        if context:
                            connection = context.wrap_socket(connection, server_side=True)
                        answer(connection)
                    connection.close()

            thread = threading.Thread(target=serve)
            thread.start()
            stack.callback(thread.join)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return f"{'wss' if context else 'ws'}://localhost:{listener.getsockname()[1]}/"

        yield start


def connect(url, certificates, **options):
    return pulsews.connect(url, reconnect=False, open_timeout=20, ca_file=certificates["ca"], **options)


def test_a_refusal_before_the_request_is_read(resetting, certificates):
    def refuse(connection):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nbegone")  # a part of the body is lost

    url = resetting(refuse)
    for _ in range(ROUNDS):
        with pytest.raises(pulsews.HandshakeError) as refused:
            connect(url, certificates, headers=HEADERS)
        assert refused.value.status == 403 and refused.value.body == b"begone"


def test_a_redirect_before_the_request_is_read(resetting, certificates):
    seen = []

    def redirect(connection):
        head = connection.recv(1000)
        seen.append(head.split()[1])
        if seen[-1] == b"/":
            connection.sendall(b"HTTP/1.1 307 Elsewhere\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
        else:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    url = resetting(redirect)
    for _ in range(ROUNDS):
        with pytest.raises(pulsews.HandshakeError) as refused:
            connect(url, certificates, headers=HEADERS)
        assert refused.value.status == 404
    assert seen == [b"/", b"/there"] * ROUNDS


def test_a_close_frame_before_a_reset(resetting, certificates):
    def leave(connection):
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        connection.sendall(tls_ends.acceptance(re.search(rb"Sec-WebSocket-Key: (\S+)", head)[1]))
        connection.recv(1000)  # the client is sending
        connection.sendall(b"\x81\x0alast words\x88\x08\x03\xf0enough")

    url = resetting(leave)
    for _ in range(ROUNDS):
        with connect(url, certificates, compression=False) as ws:
            with contextlib.suppress(pulsews.ConnectionClosed):
                for _ in range(8):
                    ws.send(bytes(1 << 20))
            assert ws.recv(timeout=20) == "last words"
            with pytest.raises(pulsews.ConnectionClosed) as closed:
                ws.recv(timeout=20)
            assert (closed.value.code, closed.value.reason) == (1008, "enough")
