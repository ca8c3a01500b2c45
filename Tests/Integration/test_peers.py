# SPDX-License-Identifier: Apache-2.0
"""Against servers that nobody here wrote: websockets, aiohttp, and a FastAPI service on uvicorn."""
import functools
import hashlib
import json
import os

import pulsews
import pytest
from peers import payload

connect = functools.partial(pulsews.connect, reconnect=False)  # one connection, and why it ended
PEERS = ["websockets", "aiohttp", "uvicorn"]
SIZES = [0, 1, 2, 125, 126, 127, 128, 255, 256, 65535, 65536, 65537, 1 << 20]
LARGE = 16 << 20


@pytest.fixture(params=PEERS)
def peer(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["uncompressed", "compressed"])
def compression(request):
    return request.param


@pytest.fixture
def base(servers, peer, compression, tls):
    return servers.peer(peer, compression=compression, tls=tls)


@pytest.fixture
def trust(certificates, tls):
    return {"ca_file": certificates["ca"]} if tls else {}


def same(got, sent):
    """Compares without printing megabytes."""
    if isinstance(sent, str):
        assert isinstance(got, str)
        got, sent = got.encode(), sent.encode()
    assert len(got) == len(sent)
    assert hashlib.sha256(got).digest() == hashlib.sha256(sent).digest()


def test_echo_of_every_size(base, trust):
    with connect(base + "/echo", **trust) as ws:
        for kind in ("text", "binary"):
            for index, size in enumerate(SIZES):
                ws.send(payload(index, size, kind))
            for index, size in enumerate(SIZES):
                same(ws.recv(timeout=30), payload(index, size, kind))


def test_many_messages_in_order(base, trust):
    with connect(base + "/send?count=5000&size=120&kind=text", **trust) as ws:
        got = []
        with pytest.raises(pulsews.ConnectionClosed) as closed:
            while True:
                got += ws.recv_batch(256, timeout=30)
        assert (closed.value.code, closed.value.reason) == (1000, "sent")
        assert got == [payload(index, 120, "text") for index in range(5000)]


@pytest.mark.parametrize("kind", ["text", "binary"])
def test_largest_message(base, trust, kind):
    sent = payload(7, LARGE, kind)
    with connect(base + "/echo", **trust) as ws:
        ws.send(sent, timeout=30)
        same(ws.recv(timeout=60), sent)


def test_message_over_the_limit(base, trust):
    with connect(base + f"/send?count=1&size={LARGE + 1}&kind=binary", **trust) as ws:
        with pytest.raises(pulsews.ConnectionClosed) as closed:
            ws.recv(timeout=30)
        assert closed.value.name == "PULSEWS_ETOOBIG"


def test_compression_is_used_when_both_want_it(servers, peer, compression):
    base = servers.peer(peer, compression=compression)
    with connect(base + "/send?count=1&size=5000&kind=text") as ws:
        assert ws.recv_message(timeout=30).compressed == compression
    with connect(base + "/send?count=1&size=5000&kind=text", compression=False) as ws:
        assert ws.recv_message(timeout=30).compressed is False


@pytest.mark.parametrize("compression", [False, True], ids=["uncompressed", "compressed"])
@pytest.mark.parametrize("size", [65536, 65536 * 16])
def test_65536_fragments(servers, compression, size):
    base = servers.peer("websockets", compression=compression)
    with connect(base + f"/fragments?count=65536&size={size}") as ws:
        same(ws.recv(timeout=60), payload(0, size, "binary"))


def test_close_code_and_reason(servers, peer):
    with connect(servers.peer(peer) + "/close?code=4321&reason=maintenance") as ws:
        with pytest.raises(pulsews.ConnectionClosed) as closed:
            ws.recv(timeout=30)
        assert (closed.value.code, closed.value.reason) == (4321, "maintenance")


def test_headers_arrive(servers, peer):
    with connect(servers.peer(peer) + "/header?name=x-token", headers={"X-Token": "s3cret"}) as ws:
        assert ws.recv(timeout=30) == "s3cret"


def test_refusal_is_told(servers, peer):
    with pytest.raises(pulsews.HandshakeError) as refused:
        with connect(servers.peer(peer) + "/refused"):
            pass
    assert refused.value.status == 403
    if peer != "uvicorn":
        assert refused.value.body == b"not for you\n"


def test_subprotocol(servers):
    with connect(servers.peer("websockets") + "/echo", subprotocols=["v9.trading", "v1.trading"]) as ws:
        assert ws.subprotocol == "v1.trading"


def test_status_counts(servers, peer):
    with connect(servers.peer(peer) + "/echo") as ws:
        for _ in range(10):
            ws.send("hello")
        for _ in range(10):
            ws.recv(timeout=30)
        status = ws.status()
        assert status["state"] == "connected"
        assert status["stats"]["messages_sent"] == 10
        assert status["stats"]["messages_received"] == 10
        json.dumps(status)


def test_unknown_authority(servers, peer):
    with pytest.raises(pulsews.ConnectError) as refused:
        with connect(servers.peer(peer, tls=True) + "/echo"):
            pass
    assert refused.value.name == "PULSEWS_EUNKNOWNCA"


def test_certificate_for_another_host(servers, certificates):
    port = servers.port(os.path.join(os.path.dirname(__file__), "peers.py"), "websockets", "--tls",
                        certificates["other_chain"], certificates["other_key"])
    for url in (f"wss://localhost:{port}/echo", f"wss://127.0.0.1:{port}/echo"):
        with pytest.raises(pulsews.ConnectError) as refused:
            with connect(url, ca_file=certificates["other_ca"]):
                pass
        assert refused.value.name == "PULSEWS_EHOSTNAME"


def test_verification_turned_off(servers):
    with connect(servers.peer("websockets", tls=True) + "/echo", verify=False) as ws:
        ws.send("hello")
        assert ws.recv(timeout=30) == "hello"


def test_tls_by_address(servers, certificates):
    url = servers.peer("websockets", tls=True).replace("localhost", "127.0.0.1")
    with connect(url + "/echo", ca_file=certificates["ca"]) as ws:
        ws.send("hello")
        assert ws.recv(timeout=30) == "hello"


def test_plain_client_at_a_tls_server(servers):
    with pytest.raises(pulsews.PulseError):
        with connect(servers.peer("websockets", tls=True).replace("wss:", "ws:") + "/echo", open_timeout=5):
            pass


def test_tls_client_at_a_plain_server(servers):
    with pytest.raises(pulsews.ConnectError) as refused:
        with connect(servers.peer("websockets").replace("ws:", "wss:") + "/echo", open_timeout=5):
            pass
    assert refused.value.name in ("PULSEWS_ETLS", "PULSEWS_EEOF")  # what it answers to a TLS greeting is its own affair
