# SPDX-License-Identifier: Apache-2.0
"""Plain HTTP of a hub: http.client where it can say it, raw bytes where it can't."""
import concurrent.futures
import contextlib
import email.utils
import http.client
import json
import os
import re
import socket
import time

import pytest
from hub import Hub

HOST = "Host: h\r\n"
TOKEN = {"Authorization": "Bearer secret"}


def exchange(hub, *pieces, half_close=False):
    """What comes back until the hub ends the connection."""
    with hub.connect() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece if isinstance(piece, bytes) else piece.encode())
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
    return answer.decode("latin-1")


def statuses(answer):
    return [int(status) for status in re.findall(r"HTTP/1\.1 (\d{3}) ", answer)]


@contextlib.contextmanager
def client(hub):
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=20)
    try:
        yield connection
    finally:
        connection.close()


def ask(connection, method, target, body=None, **headers):
    connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.fixture
def hub():
    with Hub(publish_token="secret", keep_alive_timeout="30s") as made:
        yield made


def test_slow_and_endless_heads():
    with Hub(header_timeout="200ms", request_timeout="200ms", publish_token="secret") as hub:
        assert statuses(exchange(hub, "GET / HTTP/1.1\r\n" + HOST)) == [408]
        assert exchange(hub, "") in ("",) or statuses(exchange(hub, "")) == [408]
        assert statuses(exchange(hub, f"POST /ws/publish HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\nab")) == [408]
        # A byte now and then changes nothing.
        for text in ("GET /ws/health HTTP/1.1\r\n" + "X: y\r\n" * 100, "x" * 500):
            with hub.connect() as slow:
                slow.settimeout(0.02)
                answer = b""
                if text[0] == "x":
                    slow.sendall(f"POST /ws/publish HTTP/1.1\r\n{HOST}Content-Length: 500\r\n\r\n".encode())
                for byte in text:
                    with contextlib.suppress(socket.timeout):
                        answer = slow.recv(4096)
                        break
                    slow.sendall(byte.encode())
                assert answer.startswith(b"HTTP/1.1 408 ")
        assert statuses(exchange(hub, "GET / HTTP/1.1\r\n", *[f"X-{number}: {'y' * 1000}\r\n" for number in range(1000)])) == [431]
        assert statuses(exchange(hub, "GET / HTTP/1.1\r\n" + "a: b\r\n" * 200)) == [431]
        assert statuses(exchange(hub, "GET /" + "x" * 100_000)) == [414]
        assert len(statuses(exchange(hub, "x" * 1_000_000))) <= 1
        hub.until("requests_refused", 6)


SMUGGLING = {
    "both lengths": (400, "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "two lengths": (400, "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
    "the same twice": (400, "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd"),
    "a list of lengths": (400, "Content-Length: 4, 4\r\n\r\nabcd"),
    "a sign": (400, "Content-Length: +4\r\n\r\nabcd"),
    "negative": (400, "Content-Length: -1\r\n\r\n"),
    "octal": (400, "Content-Length: 010\r\n\r\nabcdabcd"),
    "hex": (400, "Content-Length: 0x4\r\n\r\nabcd"),
    "huge": (413, "Content-Length: 99999999999999999999999\r\n\r\n"),
    "an underscore": (400, "Content_Length: 4\r\n\r\nabcd"),
    "chunked twice": (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunked, identity": (400, "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    "identity": (501, "Transfer-Encoding: identity\r\n\r\n"),
    "xchunked": (400, "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "vertical tab": (400, "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "a blank before the colon": (400, "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    "folded": (400, "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    "bare line feeds": (400, "X: y\nTransfer-Encoding: chunked\n\n0\r\n\r\n"),
    "a bare carriage return": (400, "X: y\rZ: a\r\n\r\n"),
    "NUL": (400, "X: a\0b\r\n\r\n"),
    "Connection lists the length": (400, "Connection: content-length\r\nContent-Length: 4\r\n\r\nabcd"),
    "a chunk size with a sign": (400, "Transfer-Encoding: chunked\r\n\r\n+4\r\nabcd\r\n0\r\n\r\n"),
    "a chunk size in 0x": (400, "Transfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n"),
    "a chunk size that overflows": (400, "Transfer-Encoding: chunked\r\n\r\n10000000000000004\r\nabcd\r\n0\r\n\r\n"),
    "a chunk that is longer": (400, "Transfer-Encoding: chunked\r\n\r\n4\r\nabcdef\r\n0\r\n\r\n"),
    "a chunk ended by a line feed": (400, "Transfer-Encoding: chunked\r\n\r\n4\nabcd\r\n0\r\n\r\n"),
    "two hosts": (400, "Host: other\r\n\r\n"),
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_smuggling(hub, name):
    """One refusal, and nothing behind it is taken for a request."""
    status, rest = SMUGGLING[name]
    answer = exchange(hub, f"POST /ws/publish HTTP/1.1\r\n{HOST}Authorization: Bearer secret\r\n{rest}",
                      f"GET /ws/health HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n", half_close=True)
    found = statuses(answer)
    assert len(found) == 1 and (found[0] == status or (status, found[0]) == (400, 413)), answer


@pytest.mark.parametrize(("head", "status"), [
    ("GET /ws/health HTTP/1.1\r\n\r\n", 400), ("GET /ws/health\r\n\r\n", 400), ("GET /ws/health HTTP/2.0\r\n" + HOST + "\r\n", 505),
    ("GET  /ws/health HTTP/1.1\r\n" + HOST + "\r\n", 400), (" GET /ws/health HTTP/1.1\r\n" + HOST + "\r\n", None),
    ("GET ws/health HTTP/1.1\r\n" + HOST + "\r\n", 400), ("GET http://other/ws/health HTTP/1.1\r\n" + HOST + "\r\n", 400),
    ("CONNECT h:80 HTTP/1.1\r\n" + HOST + "\r\n", 400), ("PUT /ws/health HTTP/1.1\r\n" + HOST + "\r\n", 405),
    ("GET /ws/publish HTTP/1.1\r\n" + HOST + "\r\n", 405), ("GET /ws/stream HTTP/1.1\r\n" + HOST + "\r\n", 426),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None), ("GET /ws/health HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", None)])
def test_bad_heads(hub, head, status):
    found = statuses(exchange(hub, head.encode("latin-1"), half_close=True))
    assert found == [status] if status else len(found) <= 1


def test_path_tricks(hub):
    for path, status in {"/ws/health": 200, "/ws/./health": 200, "/x/../ws/health": 200, "/ws%2Fhealth": 404, "/ws//health": 404,
                         "/ws/health/": 404, "/WS/health": 404, "/%77s/health": 200, "/ws/health%00": 400, "/ws/%zz": 400,
                         "/../../ws/health": 400, "/ws/health?x=%00": 200, "/ws/health;x": 404, "/ws\\health": 404}.items():
        found = statuses(exchange(hub, f"GET {path} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"))
        assert len(found) == 1 and (found[0] == status or (status >= 400 and found[0] in (301, 308, 400, 404))
                                    or (status == 200 and ".." in path + "/./" and found[0] in (400, 404))), (path, found)


def test_pipelining_and_keep_alive(hub):
    one = f"GET /ws/health HTTP/1.1\r\n{HOST}\r\n"
    last = f"GET /ws/status HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"
    answer = exchange(hub, one * 500 + last + one)
    assert statuses(answer) == [200] * 501
    post = f"POST /ws/publish HTTP/1.1\r\n{HOST}Authorization: Bearer secret\r\n"
    body = '{"topic":"t","data":1}'
    chunked = f"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n{body[:5]}\r\n{len(body) - 5:X}\r\n{body[5:]}\r\n0\r\nTrailer: x\r\n\r\n"
    answer = exchange(hub, (post + chunked + post + f"Content-Length: {len(body)}\r\n\r\n{body}") * 50 + last)
    assert statuses(answer) == [200] * 101 and '{"offset":100}' in answer
    with client(hub) as connection:
        for number in range(50):
            body = json.dumps({"topic": "t", "data": "x" * 1000 * number}).encode()
            answer, text = ask(connection, "POST", "/ws/publish", body, **TOKEN)
            assert answer.status == 200 and json.loads(text) == {"offset": 101 + number}
            answer, _ = ask(connection, "HEAD", "/ws/health")
            assert answer.status == 200 and int(answer.headers["Content-Length"]) > 0
    assert statuses(exchange(hub, "GET /ws/health HTTP/1.0\r\n\r\n")) == [200]
    with hub.connect() as waits:
        waits.sendall(f"{post}Expect: 100-continue\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        assert waits.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        waits.sendall(body)
        assert statuses(waits.recv(4096).decode()) == [200]


def test_no_keep_alive():
    with Hub(keep_alive_timeout="0") as hub:
        answer = exchange(hub, f"GET /metrics HTTP/1.1\r\n{HOST}\r\n")
        head, _, body = answer.partition("\r\n\r\n")
        assert statuses(answer) == [200] and "connection: close" in head.lower() and "pulsews_hub_active_connections" in body
    with Hub(keep_alive_timeout="100ms") as hub:
        assert statuses(exchange(hub, f"GET /ws/health HTTP/1.1\r\n{HOST}\r\n")) == [200]


def test_publish_with_bad_bodies(hub):
    with client(hub) as connection:
        for body in (b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"topic":"t"}', b'{"data":1}', b'{"topic":"","data":1}',
                     b'{"topic":1,"data":1}', b'{"topic":"t","data":}', b'{"topic":"t","data":1}x', b'{"topic":"t","data":01}',
                     b'{"topic":"t","key":2,"data":1}', b'{"topic":"\\u0000","data":1}', b'{"topic":"\xff","data":1}',
                     b'{"topic":"t","data":"\xc0\x80"}', b'{"topic":"t","data":NaN}', b'{"topic":"%s","data":1}' % (b"x" * 257),
                     b'{"topic":"t","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"\0" * 1000,
                     b'{"topic":"\\ud800","data":1}'):
            answer, text = ask(connection, "POST", "/ws/publish", body, **TOKEN)
            assert answer.status == 400 and json.loads(text)["error"]["code"] == "bad_publication", (body[:60], text)
        for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer secre"}, {"Authorization": "Bearer secrett"},
                        {"Authorization": "Basic secret"}, {"Authorization": "Bearer " + "secret" * 100}):
            answer, _ = ask(connection, "POST", "/ws/publish", b'{"topic":"t","data":1}', **headers)
            assert answer.status == 401 and answer.headers["WWW-Authenticate"]
        answer, _ = ask(connection, "POST", "/ws/publish", b'{"topic":"t","data":"' + b"x" * (1 << 20) + b'"}', **TOKEN)
        assert answer.status == 413
    assert hub["messages_published"] == 0


def test_cors():
    with Hub(origin="https://app.example", publish_token="s") as hub, client(hub) as connection:
        preflight = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}
        answer, _ = ask(connection, "OPTIONS", "/ws/publish", Origin="https://app.example", **preflight)
        assert answer.status == 204 and answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"] and "Origin" in answer.headers["Vary"]
        for origin in ("https://evil.example", "null", "https://app.example.evil", "http://app.example", "HTTPS://APP.EXAMPLE"):
            answer, _ = ask(connection, "OPTIONS", "/ws/publish", Origin=origin, **preflight)
            assert answer.status == 403 and "Access-Control-Allow-Origin" not in answer.headers
            answer, _ = ask(connection, "GET", "/ws/health", Origin=origin)
            assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "www"
    (root / "sub").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "page.html").write_text("<p>hello</p>")
    (root / "sub" / "index.html").write_text("index")
    (root / "large.bin").write_bytes(bytes(range(256)) * 40_000)
    for hidden in (root / ".env", root / ".git" / "config", tmp_path / "outside"):
        hidden.write_text("hidden")
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "linked").symlink_to(tmp_path)
    (root / "inside").symlink_to("page.html")
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture
def files(folder):
    with Hub(routes={"/files/": {"kind": "static", "folder": folder}}) as made:
        yield made


def test_static_files(files, folder):
    with client(files) as connection:
        answer, body = ask(connection, "GET", "/files/page.html")
        assert (answer.status, body) == (200, b"<p>hello</p>")
        assert answer.headers["Content-Type"].startswith("text/html") and answer.headers["X-Content-Type-Options"] == "nosniff"
        etag, modified = answer.headers["ETag"], answer.headers["Last-Modified"]
        assert email.utils.parsedate_to_datetime(modified).timestamp() == int((folder / "page.html").stat().st_mtime)
        for headers, status in (({"If_None_Match": etag}, 304), ({"If_None_Match": '"x", ' + etag}, 304), ({"If_None_Match": "*"}, 304),
                                ({"If_None_Match": '"x"'}, 200), ({"If_Modified_Since": modified}, 304),
                                ({"If_Modified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200), ({"If_Match": '"x"'}, 412),
                                ({"If_Modified_Since": "nonsense"}, 200), ({"If_Match": etag}, 200),
                                ({"If_Unmodified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412)):
            answer, body = ask(connection, "GET", "/files/page.html", **headers)
            assert (answer.status, len(body)) == (status, 12) or (answer.status == status != 200), (headers, answer.status)
        for value, status, expected in (("bytes=0-3", 206, b"<p>h"), ("bytes=8-", 206, b"</p>"), ("bytes=-4", 206, b"</p>"),
                                        ("bytes=5-99999", 206, b"llo</p>"), ("bytes=12-", 416, None), ("bytes=-0", 416, None),
                                        ("bytes=3-1", 200, b"<p>hello</p>"), ("lines=1-2", 200, b"<p>hello</p>"),
                                        ("bytes=99999999999999999999-", 416, None)):
            answer, body = ask(connection, "GET", "/files/page.html", Range=value)
            assert answer.status == status and (expected is None or body == expected), (value, answer.status, body)
        answer, body = ask(connection, "GET", "/files/page.html", Range="bytes=0-3", If_Range='"x"')
        assert (answer.status, len(body)) == (200, 12)
        answer, body = ask(connection, "HEAD", "/files/large.bin")
        assert (answer.status, answer.headers["Content-Length"], body) == (200, "10240000", b"")
        answer, body = ask(connection, "GET", "/files/large.bin")
        assert body == (folder / "large.bin").read_bytes()
        assert ask(connection, "GET", "/files/sub/")[1] == b"index"
        answer, _ = ask(connection, "GET", "/files/sub?a=b")
        assert (answer.status, answer.headers["Location"]) == (301, "/files/sub/?a=b")
        assert ask(connection, "POST", "/files/page.html", b"x")[0].status == 405


@pytest.mark.parametrize("path", [
    "link", "linked/outside", "linked/www/page.html", ".env", ".git/config", ".git/", "../outside", "..%2foutside", "%2e%2e/outside",
    "sub/..%2f..%2foutside", "%2e%2e%2foutside", "..\\outside", "page.html/", "page.html/x", "pipe", "", "page.html%00", "//page.html",
    "%2eenv", "./.env", "sub/%5c..%5c..%5coutside", "..%c0%afoutside", "x" * 300, "sub/" * 300])
def test_what_is_not_served(files, path):
    answer = exchange(files, f"GET /files/{path} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n")
    assert "hidden" not in answer and statuses(answer)[0] in (400, 404), answer


def test_a_file_that_shrinks(files, folder):
    """The end before the promised length shows it; the next connection is served."""
    path = folder / "shrinks.bin"
    path.write_bytes(b"x" * (64 << 20))
    with client(files) as connection:
        connection.request("GET", "/files/shrinks.bin")
        answer = connection.getresponse()
        assert answer.status == 200 and int(answer.headers["Content-Length"]) == 64 << 20
        os.truncate(path, 1000)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            answer.read()
    with client(files) as connection:
        assert ask(connection, "GET", "/files/shrinks.bin")[1] == b"x" * 1000


@pytest.mark.parametrize("loops", [1, 4])
def test_hundreds_of_connections_at_once(loops):
    with Hub(loops=loops) as hub:
        def work(number):
            with client(hub) as connection:
                for path in ("/metrics", "/ws/stats", "/ws/status", "/ws/health", "/nothing"):
                    assert ask(connection, "GET", path)[0].status == (404 if path == "/nothing" else 200)
                with client(hub) as other:
                    assert ask(other, "GET", "/ws/health")[0].status == 200

        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            list(pool.map(work, range(400)))
        assert (hub["requests"], hub["connections_accepted"]) == (2400, 800)
        hub.until("requests_refused", 400)


def test_half_closed_peers_get_their_answers(files):
    whole = f"GET /files/large.bin HTTP/1.1\r\n{HOST}\r\n"
    answer = exchange(files, whole + whole, half_close=True)
    assert statuses(answer) == [200, 200] and len(answer) > 2 * 10_240_000
    assert exchange(files, "", half_close=True) == ""
    assert statuses(exchange(files, "GET /fi", half_close=True)) in ([], [400])


def test_the_application_answers():
    with Hub(routes={"/api/": {"kind": "application"}}, events="http_request", request_timeout="1s", close_timeout="1s") as hub:
        with client(hub) as connection:
            connection.request("PUT", "/api/x?y=z", b"body", {"X-Name": "v"})
            event = hub.event("http_request")
            assert (event.method, event.target, event.route, event.data) == ("PUT", "/api/x?y=z", "/api/", b"body")
            assert "X-Name: v\n" in event.headers
            hub.answer(event.request, 201, "X-Made: here\n", b"made")
            answer = connection.getresponse()
            assert (answer.status, answer.headers["X-Made"], answer.read()) == (201, "here", b"made")
            connection.request("GET", "/api/late")
            assert connection.getresponse().status == 504
        # A long answer to a slow reader, on a connection that ends behind it.
        with hub.connect() as slow:
            slow.sendall(f"GET /api/big HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n".encode())
            request = hub.event("http_request")
            while request.target != "/api/big":
                request = hub.event("http_request")
            hub.answer(request.request, 200, None, b"x" * (30 << 20))
            got = 0
            while piece := slow.recv(1 << 20, socket.MSG_WAITALL):
                got += len(piece)
                time.sleep(0.07)  # that is how slow it is: much longer than close_timeout in all
            assert got > 30 << 20
