# SPDX-License-Identifier: Apache-2.0
"""wss:// against the `websockets` package with a throw-away certificate."""

import asyncio
import ssl
import subprocess

import pulsews
import pytest
from peer import Peer
from pulsews import aio


def make_certificate(folder, name, subject_alternative_name):
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=test",
         "-addext", f"subjectAltName={subject_alternative_name}", "-addext", "basicConstraints=critical,CA:TRUE"],
        check=True, capture_output=True,
    )
    return certificate, key


@pytest.fixture(scope="module", params=["IP:127.0.0.1,DNS:localhost", "DNS:elsewhere.example"], ids=["right", "wrong"])
def server(request, tmp_path_factory):
    certificate, key = make_certificate(tmp_path_factory.mktemp("tls"), "server", request.param)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    peer = Peer(ssl=context)
    yield f"wss://127.0.0.1:{peer.port}", str(certificate), "127.0.0.1" in request.param
    peer.stop()


def test_own_ca(server):
    url, ca_file, right = server
    if not right:
        with pytest.raises(pulsews.ConnectError) as caught:
            pulsews.connect(url + "/echo", ca_file=ca_file)
        assert caught.value.name == "PULSEWS_EHOSTNAME" and not caught.value.retryable
        return
    with pulsews.connect(url + "/echo", ca_file=ca_file) as ws:
        for message in ("text", b"\0" * 1_000_000):
            ws.send(message)
            assert ws.recv(timeout=10) == message
    with pulsews.connect(
        url.replace("127.0.0.1", "localhost") + "/push?n=1000&close=1000", ca_file=ca_file, reconnect=False
    ) as ws:
        assert list(ws) == [str(number) for number in range(1000)]


def test_system_trust_does_not_know_it(server):
    url, _, right = server
    with pytest.raises(pulsews.ConnectError) as caught:
        pulsews.connect(url + "/echo")
    assert caught.value.name in ("PULSEWS_EUNKNOWNCA",) + (() if right else ("PULSEWS_EHOSTNAME",))


def test_verification_turned_off(server):
    with pulsews.connect(server[0] + "/echo", verify=False) as ws:
        ws.send("x")
        assert ws.recv(timeout=10) == "x"


def test_asyncio(server):
    url, ca_file, right = server

    async def main():
        async with aio.connect(url + "/push?n=1000&close=1000", ca_file=ca_file, reconnect=False) as ws:
            assert [message async for message in ws] == [str(number) for number in range(1000)]

    if right:
        asyncio.run(main())


def test_tls_to_a_server_that_has_none(peer):
    with pytest.raises(pulsews.ConnectError) as caught:
        pulsews.connect(f"wss://127.0.0.1:{peer.port}/echo", open_timeout=5)
    assert caught.value.name in ("PULSEWS_ETLS", "PULSEWS_EEOF", "PULSEWS_ERESET")
