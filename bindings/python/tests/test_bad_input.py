# SPDX-License-Identifier: Apache-2.0
"""Bad arguments: an exception of the right class whose sentence names the culprit. Nothing of it connects."""

import pulsews
import pytest

URLS = [
    "http://example.com/", "https://example.com/", "example.com", "", "ws://", "ws:///path", "wss://:443/",
    "ws://host:0/", "ws://host:70000/", "ws://host:x/", "ws://host:-1/", "ws://host/#part", "ws://[::1/", "ws://[::g]/",
    "ws://host/a b", "ws://host/\r\nX: y", "ws://host/\n", "ws://ho\tst/", "ws://host/%zz", "ws://host/\u00e4",
    "ws://host/\0", "ws://host/\ud800", "ws://host/" + "x" * 9000,
]


@pytest.mark.parametrize("url", URLS, ids=range(len(URLS)))
def test_url(url):
    with pytest.raises(ValueError) as caught:
        pulsews.connect(url)
    assert isinstance(caught.value, pulsews.PulseError) and len(str(caught.value)) > 15


@pytest.mark.parametrize("url", [None, 5, b"ws://host/"])
def test_url_of_a_wrong_type(url):
    with pytest.raises(TypeError, match="url"):
        pulsews.connect(url)


def test_unknown_option():
    with pytest.raises(ValueError, match="heartbeat_intervall.*heartbeat_interval") as caught:
        pulsews.connect("ws://127.0.0.1/", heartbeat_intervall=5)
    assert caught.value.name == "PULSEWS_EOPTION"
    with pytest.raises(ValueError, match="zzzz.*open_timeout"):
        pulsews.connect("ws://127.0.0.1/", zzzz=5)


@pytest.mark.parametrize("name, meant", [
    ("heartbeat", "heartbeat_interval"), ("pin", "pin_sha256"), ("ca", "ca_file"), ("cert", "client_certificate"),
    ("tls_version", "tls_min_version"), ("Key", "key_path"), ("openTimeout", "open_timeout"), ("_", "open_timeout"),
    ("on_messages", "WebSocketManager: on_message"), ("receive_events", "recv_events"), ("parse_jsn", "parse_json"),
])
def test_hint_for_a_part_of_a_name(name, meant):
    with pytest.raises(ValueError, match=f"'{name}'.*{meant}"):
        pulsews.connect("ws://127.0.0.1/", **{name: 5})


@pytest.mark.parametrize("name", ["journal", "ca_file", "name", "twin", "sequence_path", "heartbeat_message"])
@pytest.mark.parametrize("value", [5, 1.5, True])
def test_number_for_a_text(name, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match=f"option {name} takes a str"):
        pulsews.connect("ws://127.0.0.1:1/", **{name: value})
    assert not list(tmp_path.iterdir())


OPTIONS = [
    ("open_timeout", -1), ("open_timeout", "soon"), ("open_timeout", float("nan")), ("open_timeout", float("inf")),
    ("open_timeout", "1e400s"), ("heartbeat_interval", -0.5), ("max_message_size", -1), ("max_message_size", "big"),
    ("max_message_size", 1.5), ("max_message_size", 10**40), ("compression", "perhaps"), ("compression", 7),
    ("verify", "\0"), ("verify", ""), ("ca_file", "a\0b"), ("headers", {"X": "a\r\nY: b"}), ("headers", {"X": "a\nb"}),
    ("headers", {"X\r\n": "a"}), ("headers", {"X Y": "a"}), ("headers", {"": "a"}), ("headers", {"X:Y": "a"}),
    ("headers", {"X": "a\0"}), ("headers", {"X": "\ud800"}), ("headers", "no colon"),
    ("headers", {"Sec-WebSocket-Key": "a"}), ("headers", {"Upgrade": "h2c"}),
    ("jitter", 1.5), ("jitter", -0.1), ("jitter", "half"), ("jitter", float("nan")), ("jitter", 0.00001),
    ("max_reconnect_attempts", -1), ("max_reconnect_attempts", 1.5), ("reconnect", "perhaps"),
    ("reconnect_base_delay", 0), ("message_queue_policy", "lose"), ("message_queue_policy", ""), ("stale_action", 1),
    ("rate_limit", "many"), ("rate_limit", ["5/s", "x"]), ("rate_limit", ["1/s"] * 9), ("host_connect_rate", "0/s"),
    ("endpoints", "http://x/"), ("endpoints", ["ws://a/", ""]), ("endpoints", ["ws://127.0.0.1/"] * 17),
    ("heartbeat_reply", "{broken"), ("heartbeat_message", "${unknown"), ("login_confirm", ""), ("name", "x" * 65),
    ("subscribe_batch", 0), ("message_ttl", "soon"), ("login", "a\0b"),
    ("subprotocols", ["a b"]), ("subprotocols", [""]), ("subprotocols", ["a,b"]), ("subprotocols", ["a\r\n"]),
]


@pytest.mark.parametrize("name, value", OPTIONS, ids=range(len(OPTIONS)))
def test_option_value(name, value):
    with pytest.raises(ValueError) as caught:
        pulsews.connect("ws://127.0.0.1/", **{name: value})
    assert isinstance(caught.value, pulsews.PulseError) and len(str(caught.value)) > 15


@pytest.mark.parametrize("name, value", [
    ("open_timeout", []), ("headers", 5), ("headers", [1]), ("headers", ["ab"]), ("headers", {"a": 1}),
    ("headers", {b"a": b"b"}), ("subprotocols", 5.0j), ("subprotocols", [1]), ("ca_file", object()), ("verify", {}),
    ("jitter", []), ("jitter", {}), ("message_queue_policy", ["reject"]), ("message_queue_policy", b"reject"),
    ("endpoints", 5.0j), ("endpoints", b"ws://a/"), ("endpoints", {"a": 1}), ("rate_limit", [5]), ("login", [b"x"]),
    ("login_confirm", object()), ("name", {"a": 1}), ("heartbeat_message", ["ping"]),
])
def test_option_of_a_wrong_type(name, value):
    with pytest.raises(TypeError, match=name):
        pulsews.connect("ws://127.0.0.1/", **{name: value})


@pytest.mark.parametrize("headers", [[("Authorization", b"Bearer s3cret")], [("Authorization", "s3cret", "")], ["s3cret"]])
def test_bad_headers_are_not_quoted(headers):
    with pytest.raises(TypeError, match="option headers: the one at index 0 is not a") as refused:
        pulsews.connect("ws://127.0.0.1:1/", headers=headers)
    assert "s3cret" not in str(refused.value)


def test_ca_file_that_is_not_there():
    with pytest.raises(pulsews.PulseError, match="nowhere"):
        pulsews.connect("wss://127.0.0.1:9/", ca_file="/nowhere/ca.pem")


@pytest.fixture
def ws(peer):
    with pulsews.connect(peer.url("/echo")) as client:
        yield client
        client.send("still alive")
        assert client.recv(timeout=10) == "still alive"


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), float("inf"), 1e10, 10**400])
@pytest.mark.parametrize("call", ["recv", "recv_batch", "recv_message", "send", "ping"])
def test_timeout(ws, call, timeout):
    arguments = ("x",) if call == "send" else ()
    with pytest.raises(ValueError, match="timeout is"):
        getattr(ws, call)(*arguments, timeout=timeout)


@pytest.mark.parametrize("timeout", ["1", [], 1j])
def test_timeout_of_a_wrong_type(ws, timeout):
    with pytest.raises(TypeError, match="timeout"):
        ws.recv(timeout=timeout)


def test_batch_size(ws):
    for size in (0, -1):
        with pytest.raises(ValueError, match="max"):
            ws.recv_batch(size)
    for size in (None, "5", 1.0):
        with pytest.raises(TypeError, match="max"):
            ws.recv_batch(size)
    assert ws.recv_batch(10**30, timeout=0) == []


@pytest.mark.parametrize("data", [None, 5, {1, 2}, object(), {"a": object()}])
def test_data_of_a_wrong_type(ws, data):
    with pytest.raises(TypeError, match="message|not JSON serializable"):
        ws.send(data)
    with pytest.raises(TypeError, match="message"):
        ws.ping(data)


def test_text_that_is_not_unicode(ws):
    with pytest.raises(ValueError, match="surrogate at index 3") as caught:
        ws.send("abc\ud800")
    assert caught.value.name == "PULSEWS_EUTF8"


def test_ping_too_long(ws):
    ws.ping(b"x" * 125)
    with pytest.raises(ValueError, match="126"):
        ws.ping(b"x" * 126)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, -1, 2**40])
def test_close_code(ws, code):
    with pytest.raises(ValueError, match=str(code)):
        ws.close(code)


def test_close_reason(ws):
    with pytest.raises(ValueError, match="124"):
        ws.close(1000, "x" * 124)
    with pytest.raises(ValueError, match="surrogate"):
        ws.close(1000, "\ud800")
    with pytest.raises(ValueError, match="NUL"):
        ws.close(1000, "a\0b")
    with pytest.raises(TypeError):
        ws.close("1000")
    with pytest.raises(TypeError):
        ws.close(1000, b"bytes")


def test_the_library_takes_null_everywhere():
    from pulsews import _native

    for name, (result, arguments) in _native._FUNCTIONS.items():
        # These take NULL for another meaning, or no handle.
        if name.endswith("_at") or name.startswith("pulsews_log_"):
            continue
        if name in ("pulsews_loop_create", "pulsews_prometheus"):
            continue
        values = [None if not hasattr(kind, "__ctype_le__") else 0 for kind in arguments]
        outcome = getattr(_native.lib, name)(*values)
        takes_handle = arguments and arguments[0] is _native.c_void_p
        if takes_handle and result is not None:
            assert outcome < 0, name
