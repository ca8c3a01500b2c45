# SPDX-License-Identifier: Apache-2.0
"""TLS against ends that nobody here wrote: what each failure is called and says, client certificates, pins, resumption,
and trust stores."""
import ctypes
import functools
import logging
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time

import pulsews
import pytest
import tls_ends
from pulsews import _contract
from pulsews import _native as native

connect = functools.partial(pulsews.connect, reconnect=False, open_timeout=20, close_timeout=2)
VERSIONS = ["1.2", "1.3"]
FLAGS = {"1.2": "-tls1_2", "1.3": "-tls1_3"}
WRONG_PIN = "A" * 43 + "="


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    return tls_ends.Authorities(tmp_path_factory.mktemp("authorities"))


@pytest.fixture
def s_server(pki):
    """Starts openssl s_server with the certificate of that name."""
    running = []

    def start(certificate, *options):
        running.append(tls_ends.SServer(pki.folder, "-cert", f"{certificate}.pem", "-key", f"{certificate}.key", *options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def end(servers, pki, tmp_path):
    """Starts nginx, haproxy or stunnel in front of the echo server."""
    running = []

    def start(name, certificate="good-and-key.pem", backend=None, **settings):
        folder = tmp_path / f"{name}{len(running)}"
        folder.mkdir()
        backend = backend or servers.peer("websockets").rsplit(":", 1)[1]
        running.append(tls_ends.ENDS[name](folder, backend, pki.path(certificate), **settings))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def echo(ws):
    ws.send(b"hello")
    assert ws.recv(timeout=20) == b"hello"


def failure(url, **options):
    with pytest.raises(pulsews.ConnectError) as refused:
        with connect(url, **options) as ws:
            ws.recv(timeout=20)
    return refused.value


def stats(ws):
    return ws.status()["stats"]


# What is refused


REFUSED = {
    "expired": ("expired", "EEXPIRED", ["CN=expired, issued by CN=root,O=Pulse", "until 2020-02-01T00:00:00Z", "clock it is 20"]),
    "not yet valid": ("early", "ENOTYETVALID", ["CN=early", "from 2090-01-01T00:00:00Z"]),
    "wrong host": ("elsewhere", "EHOSTNAME", ["not for localhost, but for elsewhere.example, *.other.example, 192.0.2.7",
                                              "server_name"]),
    "a common name": ("localhost", "EHOSTNAME", ["but for no host at all", "subject alternative names: CN=localhost"]),
    "unknown authority": ("strange", "EUNKNOWNCA", ["CN=strange, issued by CN=foreign", "ca_file"]),
    "by itself": ("alone", "EUNKNOWNCA", ["CN=alone, issued by CN=alone", "signed by itself"]),
    "nothing between": ("chained", "EUNKNOWNCA", ["CN=chained, issued by CN=between", "certificates between"]),
    "wrong purpose": ("mail", "EPURPOSE", ["CN=mail", "serverAuth"]),
    "by no authority": ("by-a-server", "ECERTIFICATE", ["invalid CA certificate", "CN=good"]),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("what", REFUSED)
def test_each_failure_has_its_name(s_server, pki, what, version):
    certificate, name, words = REFUSED[what]
    more = ["-cert_chain", "good.pem"] if what == "by no authority" else []
    if certificate == "strange" and not (pki.folder / "strange.pem").exists():
        pki.issue("strange", "foreign")
    error = failure(s_server(certificate, FLAGS[version], *more).url, ca_file=pki.path("root.pem"))
    assert error.name == "PULSEWS_" + name
    assert not error.retryable
    for part in words:
        assert part in str(error)


@pytest.mark.parametrize("old", ["-tls1", "-tls1_1"])
def test_old_protocols(s_server, pki, old):
    server = s_server("good", old, "-cipher", "ALL:@SECLEVEL=0")
    error = failure(server.url, ca_file=pki.path("root.pem"))
    assert error.name == "PULSEWS_ETLSVERSION" and not error.retryable
    assert "does not speak TLS 1.2 or newer" in str(error)


def test_minimum_version(s_server, pki):
    old, new = s_server("good", "-tls1_2"), s_server("good", "-tls1_3")
    error = failure(old.url, ca_file=pki.path("root.pem"), tls_min_version="1.3")
    assert error.name == "PULSEWS_ETLSVERSION"
    assert "tls_min_version" in str(error)
    with connect(new.url, ca_file=pki.path("root.pem"), tls_min_version="1.3") as ws:
        echo(ws)
    with connect(old.url, ca_file=pki.path("root.pem"), tls_min_version="1.2") as ws:
        echo(ws)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cut_stream(s_server, pki, version):
    server = s_server("good", FLAGS[version])
    with connect(server.url, ca_file=pki.path("root.pem")) as ws:
        echo(ws)
        server.kill()
        with pytest.raises(pulsews.ConnectionClosed) as cut:
            ws.recv(timeout=20)
        assert cut.value.name == "PULSEWS_ETRUNCATED" and cut.value.retryable
        assert "without close_notify" in str(cut.value)


@pytest.mark.parametrize("name", tls_ends.ENDS)
def test_an_orderly_end_is_no_cut(end, pki, name):
    """The server behind a TLS end goes away: the end says close_notify."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = end(name, backend=listener.getsockname()[1]).url

        def serve():
            peer, _ = listener.accept()
            with peer:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += peer.recv(4096)
                key = re.search(rb"Sec-WebSocket-Key: (\S+)", request, re.I)[1]
                peer.sendall(tls_ends.acceptance(key) + b"\x82\x01!")

        server = threading.Thread(target=serve)
        server.start()
        with connect(url, ca_file=pki.path("root.pem")) as ws:
            assert ws.recv(timeout=20) == b"!"
            with pytest.raises(pulsews.ConnectionClosed) as ended:
                ws.recv(timeout=20)
            assert ended.value.name == "PULSEWS_EEOF"
        server.join(timeout=20)


def test_a_name_that_the_server_does_not_have(s_server, pki):
    server = s_server("good", "-servername", "only.example", "-servername_fatal", "-cert2", "good.pem", "-key2", "good.key")
    error = failure(server.url, ca_file=pki.path("root.pem"))
    assert error.name == "PULSEWS_ETLS" and "server_name" in str(error)


@pytest.mark.parametrize("name", tls_ends.ENDS)
def test_refused_at_reverse_proxies(end, pki, name):
    url = end(name, "alone-and-key.pem").url + "/echo"
    assert failure(url, ca_file=pki.path("root.pem")).name == "PULSEWS_EUNKNOWNCA"
    assert failure(url).name == "PULSEWS_EUNKNOWNCA"
    assert failure(url.replace("localhost", "127.0.0.2"), ca_file=pki.path("alone.pem")).name in (
        "PULSEWS_EHOSTNAME", "PULSEWS_EREFUSED")


# What is accepted


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", tls_ends.ENDS)
def test_echo_through_reverse_proxies(end, pki, name, version):
    settings = {"protocols": "TLSv1.2"} if version == "1.2" else {}
    url = end(name, "chained-and-key.pem", **settings).url + "/echo"
    with connect(url, ca_file=pki.path("root.pem")) as ws:
        for size in (0, 1, 125, 126, 16384, 65536, 1 << 20):
            message = os.urandom(size)
            ws.send(message)
            assert ws.recv(timeout=30) == message
        assert stats(ws)["tls_handshakes"] == 1
        assert stats(ws)["tls_time"] > 0


def test_server_name(s_server, pki):
    server = s_server("elsewhere", "-servername", "-", "-cert2", "good.pem", "-key2", "good.key")
    with connect(server.url, ca_file=pki.path("root.pem"), server_name="a.other.example") as ws:
        echo(ws)
    assert server.count('Hostname in TLS extension: "a.other.example"') == 1
    error = failure(server.url, ca_file=pki.path("root.pem"), server_name="wrong.example")
    assert error.name == "PULSEWS_EHOSTNAME" and "not for wrong.example" in str(error)
    for bad in ("two words", "a/b", "", "x" * 300, "new\nline", "ü.example", ".", ".."):
        with pytest.raises(ValueError):
            connect(server.url, server_name=bad)


def test_a_trusted_authority_between(s_server, pki):
    with connect(s_server("chained").url, ca_file=pki.path("between.pem")) as ws:
        echo(ws)


# Pins


@pytest.mark.parametrize("version", VERSIONS)
def test_pins(s_server, pki, version):
    server = s_server("chained", FLAGS[version], "-cert_chain", "between.pem")
    trust = {"ca_file": pki.path("root.pem")}
    for pins in ([pki.pin("chained")], ["sha256/" + pki.pin("between")], ["sha256//" + pki.pin("root")],
                 [WRONG_PIN, pki.pin("chained")]):
        with connect(server.url, pin_sha256=pins, **trust) as ws:
            echo(ws)
    requests = server.count("Sec-WebSocket-Key")
    error = failure(server.url, pin_sha256=[WRONG_PIN, pki.pin("foreign")], **trust)
    assert error.name == "PULSEWS_EPIN" and not error.retryable
    for name in ("chained", "between", "root"):
        assert f"sha256/{pki.pin(name)} of CN={name}" in str(error)
    error = failure(server.url, pin_sha256=[pki.pin("root")], verify=False)  # only the server's own key counts then
    assert error.name == "PULSEWS_EPIN"
    with connect(server.url, pin_sha256=[pki.pin("chained")], verify=False) as ws:
        echo(ws)
    # The next connection is served after the refused ones: s_server takes one after another.
    assert server.count("Sec-WebSocket-Key") == requests + 1  # no byte of a request reached it where the pin was wrong


def test_a_pin_is_no_trust(s_server, pki):
    error = failure(s_server("alone").url, ca_file=pki.path("root.pem"), pin_sha256=[pki.pin("alone")])
    assert error.name == "PULSEWS_EUNKNOWNCA"


def test_bad_pins():
    for bad in ("", "abc", WRONG_PIN[:-1], "B" * 44, "*" * 43 + "="):
        with pytest.raises(ValueError) as refused:
            connect("wss://localhost:1/", pin_sha256=[bad])
        assert "pin_sha256" in str(refused.value)


# OpenSSL's queue of errors, which the thread shares with everybody who uses OpenSSL in it


def test_nothing_is_left_in_the_queue_of_errors(s_server, pki):
    """A driver is a thread of the application: what lay there would be taken for the error of its own next call."""
    crypto = ctypes.CDLL("libcrypto.so.3")
    crypto.ERR_peek_error.restype = ctypes.c_ulong
    pki.issue("bad-names", "root", "extendedKeyUsage=serverAuth\nsubjectAltName=DER:30:03:82:7F:41", names=None)
    config, loop, client = native.lib.pulsews_config_create(), ctypes.c_void_p(), ctypes.c_void_p()
    for name, value in (("reconnect", "false"), ("ca_file", pki.path("root.pem"))):
        assert native.lib.pulsews_config_set(config, name.encode(), value.encode(), None, 0) == _contract.OK
    assert native.lib.pulsews_loop_create(1, ctypes.byref(loop), None, 0) == _contract.OK  # without a thread of its own
    for certificate in ("bad-names", "elsewhere", "good"):
        url = s_server(certificate).url.encode()
        assert native.lib.pulsews_client_create(url, config, loop, ctypes.byref(client), None, 0) == _contract.OK
        status = native.lib.pulsews_open(client, 20_000_000_000, None, 0)
        assert (status == _contract.OK) == (certificate == "good")
        native.lib.pulsews_client_free(client)
        assert crypto.ERR_peek_error() == 0, certificate
    native.lib.pulsews_loop_free(loop)
    native.lib.pulsews_config_free(config)


# Client certificates


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shown", ["none", "strange-bot", "old-bot", "good", "bot"])
def test_client_certificates(s_server, pki, version, shown):
    server = s_server("good", FLAGS[version], "-Verify", "2", "-CAfile", "root.pem", "-verify_return_error")
    options = {"ca_file": pki.path("root.pem")}
    if shown != "none":
        options.update(client_certificate=pki.path(f"{shown}.pem"), client_key=pki.path(f"{shown}.key"))
    if shown == "bot":
        with connect(server.url, **options) as ws:
            echo(ws)
        return
    error = failure(server.url, **options)
    assert error.name == "PULSEWS_ECLIENTCERT" and not error.retryable
    if shown == "none":
        assert "wants a client certificate: set client_certificate" in str(error)
        assert "accepts those of CN=root,O=Pulse" in str(error)
    else:
        assert f"refuses the client certificate CN={shown}" in str(error)
    if shown == "old-bot":
        assert "valid until 2020-02-01T00:00:00Z" in str(error)


@pytest.mark.parametrize("name", tls_ends.ENDS)
def test_client_certificates_at_reverse_proxies(end, pki, name):
    url = end(name, client_ca=pki.path("root.pem")).url + "/echo"
    trust = {"ca_file": pki.path("root.pem")}
    for _ in range(2):  # the second time resumed
        with connect(url, client_certificate=pki.path("bot-and-key.pem"), **trust) as ws:
            echo(ws)
    if name == "nginx":  # says it in HTTP
        with pytest.raises(pulsews.HandshakeError) as refused:
            connect(url, **trust)
        assert refused.value.status == 400 and b"SSL certificate" in refused.value.body
    else:
        assert failure(url, **trust).name == "PULSEWS_ECLIENTCERT"
        shown = {"client_certificate": pki.path("strange-bot.pem"), "client_key": pki.path("strange-bot.key")}
        assert failure(url, **trust, **shown).name == "PULSEWS_ECLIENTCERT"


def test_an_encrypted_key(s_server, pki):
    server = s_server("good", "-Verify", "2", "-CAfile", "root.pem", "-verify_return_error")
    own = {"ca_file": pki.path("root.pem"), "client_certificate": pki.path("bot.pem"), "client_key": pki.path("locked-bot.key")}
    with connect(server.url, client_key_password="open sesame", **own) as ws:
        echo(ws)
    for more, words in (({}, "client_key_password is not set"), ({"client_key_password": "shut sesame"}, "not its password")):
        with pytest.raises(pulsews.PulseError) as refused:
            connect(server.url, **own, **more)
        assert refused.value.name == "PULSEWS_ETRUST"
        assert words in str(refused.value) and "sesame" not in str(refused.value)


def test_certificates_that_cannot_be_loaded(pki):
    own = {"client_certificate": pki.path("bot.pem")}
    for options, words in (
            ({"client_certificate": "/no/such.pem"}, "/no/such.pem: no such file"),
            ({**own, "client_key": "/no/such.key"}, "/no/such.key: no such file"),
            ({**own, "client_key": pki.path("good.key")}, "is not the key of client_certificate"),
            (own, "nothing of that kind in PEM"), ({"ca_file": "/no/such.pem"}, "/no/such.pem")):
        with pytest.raises(pulsews.PulseError) as refused:
            connect("wss://localhost:1/", **options)
        assert refused.value.name == "PULSEWS_ETRUST" and words in str(refused.value)
    for options in ({"client_key": pki.path("bot.key")}, {"client_key_password": "x"}):
        with pytest.raises(ValueError) as refused:
            connect("wss://localhost:1/", **options)
        assert "needs client_certificate" in str(refused.value)


# Without verification


def test_no_verification_is_logged_at_each_connect(s_server, pki, caplog):
    server = s_server("expired")
    with caplog.at_level(logging.WARNING, logger="pulsews"):
        pulsews.enable_logging()
        try:
            for _ in range(2):
                with connect(server.url, verify=False) as ws:
                    echo(ws)
            with connect(server.url, verify=False, pin_sha256=[pki.pin("expired")]) as ws:
                echo(ws)
        finally:
            pulsews.disable_logging()
    lines = [record.getMessage() for record in caplog.records if "TLS without verification" in record.getMessage()]
    assert sum("anyone can read and change the traffic" in line for line in lines) == 2
    assert sum("only pin_sha256 protects" in line for line in lines) == 1


# Resumption


def resumed_after(url, connections, **options):
    """The tls_resumed of connections one after another; each has seen a message, and so the tickets before it."""
    seen = []
    for _ in range(connections):
        with connect(url, **options) as ws:
            echo(ws)
            assert stats(ws)["tls_handshakes"] == 1
            seen.append(stats(ws)["tls_resumed"])
    return seen


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_are_resumed(s_server, pki, version):
    server = s_server("good", FLAGS[version])
    trust = {"ca_file": pki.path("root.pem")}
    assert resumed_after(server.url, 4, **trust) == [0, 1, 1, 1]
    assert resumed_after(server.url, 2, tls_resumption=False, **trust) == [0, 0]
    assert resumed_after(server.url, 2, pin_sha256=[pki.pin("good")], **trust) == [0, 1]
    assert resumed_after(server.url, 2, verify=False) == [0, 1]
    assert resumed_after(server.url.replace("localhost", "127.0.0.1"), 2, **trust) == [0, 1]
    assert resumed_after(server.url, 2, server_name="127.0.0.1", **trust) == [0, 1]
    assert server.count("Reused session-id") == 7  # s_server's own word for it


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", tls_ends.ENDS)
def test_reverse_proxies_resume(end, pki, name, version):
    settings = {"protocols": "TLSv1.2"} if version == "1.2" else {}
    url = end(name, **settings).url + "/echo"
    assert resumed_after(url, 4, ca_file=pki.path("root.pem")) == [0, 1, 1, 1]


def test_a_lost_connection_comes_back_resumed(s_server, pki):
    """s_server cuts the connection at a q; the client's next handshake is short all the same."""
    server = s_server("good", "-tls1_3")
    quick = {"reconnect_base_delay": "50ms", "jitter": 0, "max_reconnect_attempts": 0}
    with pulsews.connect(server.url, ca_file=pki.path("root.pem"), **quick) as ws:
        for count in range(1, 4):
            echo(ws)
            assert stats(ws)["tls_handshakes"] == count and stats(ws)["tls_resumed"] == count - 1
            if count == 3:
                break
            server.send(b"q\n")
            deadline = time.monotonic() + 20
            while stats(ws)["tls_handshakes"] == count or ws.status()["state"] != "connected":
                assert time.monotonic() < deadline
                try:
                    ws.recv(timeout=0.05)
                except TimeoutError:
                    pass


def test_a_server_with_another_certificate_is_verified_anew(s_server, end, pki):
    """A session that the server has forgotten protects nobody: the certificate counts again."""
    trust = {"ca_file": pki.path("root.pem")}
    first = s_server("good", "-tls1_3")
    assert resumed_after(first.url, 2, **trust) == [0, 1]
    first.kill()
    second = subprocess.Popen([tls_ends.program("openssl"), "s_server", "-accept", f"127.0.0.1:{first.port}", "-cert",
                               "alone.pem", "-key", "alone.key"], cwd=pki.folder, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        while not second.stdout.readline().startswith(b"ACCEPT"):
            assert second.poll() is None
        assert failure(first.url, **trust).name == "PULSEWS_EUNKNOWNCA"
    finally:
        second.kill()
        second.communicate()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", tls_ends.KEYS)
def test_resumption_shortens_reconnects(end, pki, record_property, kind, version):
    name = f"timed-{kind}"
    if not (pki.folder / f"{name}.pem").exists():
        pki.issue(name, "root", key=tls_ends.KEYS[kind])
        (pki.folder / f"{name}-and-key.pem").write_text(pki.read(f"{name}.pem") + pki.read(f"{name}.key"))
    settings = {"protocols": "TLSv1.2"} if version == "1.2" else {}
    url = end("nginx", f"{name}-and-key.pem", **settings).url + "/echo"
    times = {True: [], False: []}
    for resumption in (True, False) * 15:
        with connect(url, ca_file=pki.path("root.pem"), tls_resumption=resumption) as ws:
            echo(ws)
            if stats(ws)["tls_resumed"] == resumption:
                times[resumption].append(stats(ws)["tls_time"])
    assert len(times[True]) == 14 and len(times[False]) == 15
    resumed, full = (statistics.median(times[which]) * 1e3 for which in (True, False))
    record_property("tls_time_ms", f"full {full:.2f}, resumed {resumed:.2f}")
    print(f"tls_time, TLS {version}, {kind}: full {full:.2f} ms, resumed {resumed:.2f} ms")
    assert resumed < full


# Trust stores


SCRIPT = """
import sys, pulsews
try:
    with pulsews.connect(sys.argv[1], reconnect=False, open_timeout=20) as ws:
        print("open")
except pulsews.PulseError as error:
    print(error.name, error)
"""


def elsewhere(url, **environment):
    """What a process with these variables makes of the server."""
    own = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", SCRIPT, url], env=own, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_trust_of_the_environment(end, pki, tmp_path):
    url = end("nginx").url + "/echo"
    nowhere = str(tmp_path / "nowhere")
    hashed, unhashed = tmp_path / "hashed", tmp_path / "unhashed"
    for folder in (hashed, unhashed):
        folder.mkdir()
        (folder / "root.pem").write_text(pki.read("root.pem"))
    pki.openssl("rehash", hashed)
    assert elsewhere(url, SSL_CERT_FILE=pki.path("root.pem")) == "open\n"
    assert elsewhere(url, SSL_CERT_FILE=nowhere, SSL_CERT_DIR=str(hashed)) == "open\n"
    assert elsewhere(url, SSL_CERT_FILE=nowhere, SSL_CERT_DIR=f"{nowhere}:{hashed}") == "open\n"
    said = elsewhere(url, SSL_CERT_FILE=pki.path("foreign.pem"), SSL_CERT_DIR=nowhere)
    assert said.startswith("PULSEWS_EUNKNOWNCA") and "no trusted certificates" not in said
    for folder in (nowhere, str(unhashed)):
        said = elsewhere(url, SSL_CERT_FILE=nowhere, SSL_CERT_DIR=folder)
        assert said.startswith("PULSEWS_EUNKNOWNCA") and "no trusted certificates were found on this machine" in said
