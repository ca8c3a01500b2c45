# SPDX-License-Identifier: Apache-2.0
"""Proxies and redirects: through Squid, tinyproxy, Dante and microsocks, and through scripted ones for what those don't
do. What a server or a proxy saw is looked at there."""
import socket
import threading

import pulsews
import pytest
from proxies import Script, Web, dante, free_port, microsocks, squid, tinyproxy

LOGIN = ("trader", "s3cret")
VARIABLES = [name for base in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (base, base.upper())]
UNTRUSTED = "PULSEWS_EUNKNOWNCA", "PULSEWS_ECERTIFICATE"
#: A name that only a proxy's own table knows; .invalid is nowhere (RFC 6761).
REMOTE = "only-the-proxy-knows.invalid"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture(scope="module")
def programs(certificates):
    """Starts each kind of proxy once."""
    running = {}
    kinds = {
        "tinyproxy": tinyproxy, "tinyproxy-login": lambda: tinyproxy(LOGIN),
        "squid": lambda: squid(certificates, hosts=f"127.0.0.1 {REMOTE}\n"),
        "squid-login": lambda: squid(certificates, LOGIN),
        "dante": dante, "microsocks": microsocks, "microsocks-login": lambda: microsocks(LOGIN)}

    def get(kind):
        if kind not in running:
            running[kind] = kinds[kind]()
        return running[kind]

    yield get
    for program in running.values():
        program.stop()


@pytest.fixture
def start():
    started = []

    def make(kind, *arguments, **options):
        started.append(kind(*arguments, **options))
        return started[-1]

    yield make
    for one in started:
        one.stop()


def echoes(url, **options):
    """Connects, and a message comes back; gives the statistics."""
    with pulsews.connect(url, open_timeout=20, **options) as ws:
        ws.send("there and back")
        assert ws.recv(timeout=20) == "there and back"
        ws.send(b"\x00" * 300_000)
        assert ws.recv(timeout=20) == b"\x00" * 300_000
        return ws.status()["stats"]


def refusal(url, **options):
    """The error of a connect that fails at once."""
    options = {"open_timeout": 20, "reconnect": False, **options}
    with pytest.raises(pulsews.PulseError) as caught:
        pulsews.connect(url, **options).close()
    assert "s3cret" not in str(caught.value)
    return caught.value


def url_of(kind, programs, login=None):
    credentials = "%s:%s@" % login if login else ""
    program = programs(kind)
    scheme = "socks5" if kind.startswith(("dante", "microsocks")) else "http"
    return f"{scheme}://{credentials}127.0.0.1:{program.port}"


# Through real ones

@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("kind, login", [
    ("tinyproxy", None), ("squid", None), ("dante", None), ("microsocks", None), ("tinyproxy-login", LOGIN),
    ("squid-login", LOGIN), ("microsocks-login", LOGIN)])
def test_through(kind, login, tls, programs, servers, certificates):
    options = {"ca_file": certificates["ca"]} if tls else {}
    statistics = echoes(servers.peer("websockets", tls=tls) + "/echo", proxy=url_of(kind, programs, login), **options)
    assert statistics["failures_proxy"] == 0


@pytest.mark.parametrize("kind", ["tinyproxy-login", "squid-login", "microsocks-login"])
@pytest.mark.parametrize("login", [None, ("trader", "wrong"), ("nobody", "s3cret")])
def test_login_refused(kind, login, programs, servers):
    error = refusal(servers.peer("websockets") + "/echo", proxy=url_of(kind, programs, login), reconnect=True)
    assert error.name == "PULSEWS_EPROXYAUTH", error
    assert f"127.0.0.1:{programs(kind).port}" in str(error)
    assert "wrong" not in str(error) and not error.retryable


@pytest.mark.parametrize("kind", ["tinyproxy", "squid"])
def test_denied_by_http_proxies(kind, programs):
    error = refusal("ws://denied.example/", proxy=url_of(kind, programs))
    assert error.name == "PULSEWS_EPROXY" and '403' in str(error), error


def test_denied_by_dante(programs):
    error = refusal("ws://127.0.0.9:9/", proxy=url_of("dante", programs))
    assert error.name == "PULSEWS_EPROXY" and "code 2, its rules do not allow" in str(error), error


@pytest.mark.parametrize("kind, words", [("tinyproxy", '"HTTP/1.'), ("squid", "503"), ("dante", "connection refused"),
                                         ("microsocks", "code ")])
def test_nobody_at_the_target(kind, words, programs):
    error = refusal(f"ws://127.0.0.1:{free_port()}/", proxy=url_of(kind, programs))
    assert error.name == "PULSEWS_EPROXY" and words in str(error), error


def test_squid_over_tls(programs, servers, certificates):
    port = programs("squid").secure_port
    trust = {"proxy_ca_file": certificates["ca"], "ca_file": certificates["ca"]}
    for tls in (False, True):
        url = servers.peer("websockets", tls=tls) + "/echo"
        echoes(url, proxy=f"https://localhost:{port}", **trust)
    port = programs("squid-login").secure_port
    echoes(url, proxy=f"https://trader:s3cret@127.0.0.1:{port}", **trust)
    error = refusal(url, proxy=f"https://127.0.0.1:{port}", **trust)
    assert error.name == "PULSEWS_EPROXYAUTH", error


def test_squid_resolves(programs, servers):
    url = servers.peer("websockets").replace("127.0.0.1", REMOTE) + "/echo"
    assert refusal(url, proxy="none").name == "PULSEWS_ERESOLVE"
    echoes(url, proxy=url_of("squid", programs))


@pytest.mark.parametrize("kind", ["dante", "microsocks"])
def test_who_resolves_for_socks(kind, programs, servers):
    url = servers.peer("websockets").replace("127.0.0.1", "localhost") + "/echo"
    echoes(url, proxy=url_of(kind, programs).replace("socks5", "socks5h"))
    nowhere = "ws://nowhere.invalid/"
    error = refusal(nowhere, proxy=url_of(kind, programs))
    assert error.name == "PULSEWS_ERESOLVE" and "nowhere.invalid" in str(error), error
    error = refusal(nowhere, proxy=url_of(kind, programs).replace("socks5", "socks5h"))
    assert error.name == "PULSEWS_EPROXY" and "it refused with code" in str(error), error


# Scripted ones

def test_names_and_addresses(start, servers):
    """socks5 names addresses to the proxy, the others names."""
    port = int(servers.peer("websockets").rpartition(":")[2])
    for scheme, kind, host in (("http", "http", "localhost"), ("socks5h", "socks5", "localhost")):
        proxy = start(Script, kind, names={"localhost": "127.0.0.1"})
        echoes(f"ws://localhost:{port}/echo", proxy=f"{scheme}://127.0.0.1:{proxy.port}")
        assert proxy.asked == [(host, port)]
    # An address that can't be reached is followed by the next one.
    proxy = start(Script, "socks5", failing=["::1"])
    echoes(f"ws://localhost:{port}/echo", proxy=f"socks5://127.0.0.1:{proxy.port}")
    assert proxy.asked[-1] == ("127.0.0.1", port)
    assert set(proxy.asked) <= {("::1", port), ("127.0.0.1", port)}
    for scheme, kind in (("http", "http"), ("socks5h", "socks5")):
        proxy = start(Script, kind, names={REMOTE: "127.0.0.1"})
        echoes(f"ws://{REMOTE}:{port}/echo", proxy=f"{scheme}://127.0.0.1:{proxy.port}")
        assert proxy.asked == [(REMOTE, port)]


@pytest.mark.parametrize("kind, scheme", [("http", "http"), ("socks5", "socks5"), ("socks5", "socks5h")])
def test_ipv6(kind, scheme, start):
    server = start(Web, family=socket.AF_INET6)
    proxy = start(Script, kind, family=socket.AF_INET6)
    with pulsews.connect(f"ws://[::1]:{server.port}/", proxy=f"{scheme}://[::1]:{proxy.port}") as ws:
        assert ws.recv(timeout=20) == "hi"
    assert proxy.asked == [("[::1]" if kind == "http" else "::1", server.port)]


def test_what_the_proxy_gets(start):
    server = start(Web)
    proxy = start(Script)
    with pulsews.connect(f"ws://user:hidden@127.0.0.1:{server.port}/p?q", headers={"X-Mine": "1"},
                         proxy=f"http://ab:c%40d@127.0.0.1:{proxy.port}") as ws:
        assert ws.recv(timeout=20) == "hi"
    assert proxy.heads == [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                           "Proxy-Authorization: Basic YWI6Y0Bk\r\n\r\n"]
    assert "roxy" not in server.heads[0] and "X-Mine: 1" in server.heads[0]


def test_python_proxy_over_tls(start, servers, certificates):
    proxy = start(Script, chain=certificates["chain"], key=certificates["key"])
    url = servers.peer("websockets", tls=True) + "/echo"
    echoes(url, proxy=f"https://localhost:{proxy.port}", proxy_ca_file=certificates["ca"], ca_file=certificates["ca"])
    error = refusal(url, proxy=f"https://localhost:{proxy.port}", ca_file=certificates["ca"])
    assert error.name in UNTRUSTED and "the proxy https://localhost" in str(error), error
    other = start(Script, chain=certificates["other_chain"], key=certificates["other_key"])
    error = refusal(url, proxy=f"https://localhost:{other.port}", proxy_ca_file=certificates["other_ca"],
                    ca_file=certificates["ca"])
    assert error.name == "PULSEWS_EHOSTNAME" and "the proxy https://localhost" in str(error), error
    echoes(url, proxy=f"https://localhost:{other.port}", verify=False)
    error = refusal("ws://127.0.0.1:9/", proxy=f"https://localhost:{proxy.port}", proxy_ca_file="/nowhere/ca.pem")
    assert error.name == "PULSEWS_ETRUST", error


@pytest.mark.parametrize("kind, answer, name, words", [
    ("http", b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 9\r\n\r\nno \x1broute", "EPROXY",
     '"HTTP/1.1 502 Bad Gateway": "no route"'),
    ("http", b"SSH-2.0-OpenSSH_9.2\r\n", "EPROXY", "it is no HTTP proxy"),
    ("http", b"\x15\x03\x01\x00\x02\x02\x46", "EPROXY", "use https:// instead of http://"),
    ("http", b"\x05\xff", "EPROXY", "use socks5:// instead of http://"),
    ("http", b"HTTP/1.1 200 " + b"x" * 20000, "EPROXY", "more than 16384 bytes"),
    ("socks5", b"HTTP/1.1 400 Bad Request\r\n\r\n", "EPROXY", "use http:// instead of socks5://"),
    ("socks5", b"\x00\x5b", "EPROXY", "SOCKS4"),
    ("socks5", b"\x05\xff", "EPROXYAUTH", "it lets nobody in without user and password")])
def test_wrong_answers(kind, answer, name, words, start):
    proxy = start(Script, kind, answer=answer)
    error = refusal("ws://127.0.0.1:9/", proxy=f"{kind}://127.0.0.1:{proxy.port}")
    assert error.name == f"PULSEWS_{name}" and words in str(error), error


def test_plain_http_to_a_tls_proxy(start, certificates):
    proxy = start(Script, chain=certificates["chain"], key=certificates["key"])
    error = refusal("ws://127.0.0.1:9/", proxy=f"http://127.0.0.1:{proxy.port}")
    assert error.name == "PULSEWS_EPROXY" and f"http://127.0.0.1:{proxy.port}" in str(error), error
    plain = start(Script, answer=b"HTTP/1.1 400 Bad Request\r\n\r\n")
    error = refusal("ws://127.0.0.1:9/", proxy=f"https://127.0.0.1:{plain.port}", proxy_ca_file=certificates["ca"],
                    open_timeout=5)
    assert error.name in ("PULSEWS_EPROXY", "PULSEWS_EOPENTIMEOUT"), error


def test_down_and_silent(start):
    error = refusal("ws://127.0.0.1:9/", proxy=f"http://127.0.0.1:{free_port()}")
    assert error.name == "PULSEWS_EPROXY" and "connection refused" in str(error), error
    error = refusal("ws://127.0.0.1:9/", proxy="http://no-such-proxy.invalid")
    assert error.name == "PULSEWS_EPROXY" and "no-such-proxy.invalid" in str(error), error
    proxy = start(Script, answer=b"")
    error = refusal("ws://127.0.0.1:9/", proxy=f"http://127.0.0.1:{proxy.port}", open_timeout=0.3)
    assert error.name == "PULSEWS_EOPENTIMEOUT" and "the proxy did not answer" in str(error), error
    proxy = start(Script, answer=b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nhalf")
    error = refusal("ws://127.0.0.1:9/", proxy=f"http://127.0.0.1:{proxy.port}", open_timeout=0.3)
    assert error.name == "PULSEWS_EPROXY" and '"HTTP/1.1 403 No": "half"' in str(error), error


def test_down_for_a_while(start):
    """A proxy that comes back is as good as a server that does; the attempts that failed are counted as its own."""
    server, proxy = start(Web), start(Script)

    class Heads(list):
        """Two are refused."""
        def append(self, head):
            super().append(head)
            if len(self) == 2:
                proxy.answer = None

    with pulsews.connect(f"ws://127.0.0.1:{server.port}/", proxy=f"http://127.0.0.1:{proxy.port}", jitter=0,
                         reconnect_base_delay="10ms", reconnect_max_delay="10ms", open_timeout=20) as ws:
        assert ws.recv(timeout=20) == "hi"
        proxy.heads = Heads()
        proxy.answer = b"HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n"
        proxy.drop()
        assert ws.recv(timeout=20) == "hi"
        statistics = ws.status()["stats"]
        assert statistics["failures_proxy"] == 2 and statistics["attempts"] == 4 and statistics["connections"] == 2


# Values

@pytest.mark.parametrize("value", ["ftp://proxy:1", "socks4://proxy", "proxy", "http://", "http://u:s3cret@h:x",
                                   "http://u:s3cret@h/path", "http://h\r\nX: y"])
def test_values(value, environment):
    error = refusal("ws://127.0.0.1:9/", proxy=value)
    assert error.name == "PULSEWS_EVALUE" and "proxy" in str(error), error
    if "\r" in value:
        return
    for variable, url in (("http_proxy", "ws://127.0.0.1:9/"), ("HTTPS_PROXY", "wss://127.0.0.1:9/"),
                          ("ALL_PROXY", "ws://127.0.0.1:9/")):
        with environment.context() as context:
            context.setenv(variable, value)
            error = refusal(url)
            assert error.name == "PULSEWS_EVALUE" and str(error).startswith(variable), error


def test_environment(start, environment, certificates):
    plain, secure = start(Web), start(Web, chain=certificates["chain"], key=certificates["key"])
    first, second = start(Script), start(Script)
    one, two = (f"http://127.0.0.1:{proxy.port}" for proxy in (first, second))

    def ways(*urls, **options):
        """Which proxies were used, one letter for each URL."""
        used = ""
        for url in urls:
            before = len(first.asked), len(second.asked)
            with pulsews.connect(url, ca_file=certificates["ca"], **options) as ws:
                assert ws.recv(timeout=20) == "hi"
            used += "1" if len(first.asked) > before[0] else "2" if len(second.asked) > before[1] else "-"
        return used

    urls = f"ws://127.0.0.1:{plain.port}/", f"wss://localhost:{secure.port}/"
    assert ways(*urls) == "--"
    environment.setenv("http_proxy", one)
    environment.setenv("https_proxy", two)
    assert ways(*urls) == "12"
    assert ways(*urls, proxy=two) == "22" and ways(*urls, proxy="none") == "--"
    environment.setenv("no_proxy", "localhost")
    assert ways(*urls) == "1-"
    environment.setenv("no_proxy", f"127.0.0.0/8, example.com,localhost:{secure.port + 1}")
    assert ways(*urls) == "-2"
    environment.setenv("no_proxy", "*")
    assert ways(*urls) == "--" and ways(*urls, proxy=one) == "11", "what the option says holds for all hosts"
    environment.delenv("no_proxy")
    environment.setenv("https_proxy", "")
    environment.setenv("all_proxy", one)
    assert ways(*urls) == "1-", "an empty value is none"
    environment.delenv("https_proxy")
    environment.delenv("http_proxy")
    assert ways(*urls) == "11"
    environment.delenv("all_proxy")
    environment.setenv("HTTP_PROXY", one)
    environment.setenv("HTTPS_PROXY", two)
    assert ways(*urls) == "-2", "HTTP_PROXY is a header of a request in CGI programs"
    environment.setenv("https_proxy", one)
    assert ways(*urls) == "-1", "lower case first"


# Redirects

SECRETS = {"Authorization": "Bearer t0ken", "Cookie": "id=t0ken", "X-API-Key": "t0ken",
           "User-Agent": "mine"}


def test_redirects(start):
    server = start(Web, {"/a": (301, "/b?x=1"), "/b?x=1": (302, "c/d"), "/c/d": (307, "../e"), "/e": (308, "?y")})
    server.redirects["/e?y"] = (303, f"//127.0.0.1:{server.port}/end")
    with pulsews.connect(f"ws://127.0.0.1:{server.port}/a", headers=SECRETS) as ws:
        assert ws.recv(timeout=20) == "hi"
        assert ws.status()["stats"]["redirects"] == 5 and ws.status()["stats"]["attempts"] == 1
    assert [head.split(" ")[1] for head in server.heads] == ["/a", "/b?x=1", "/c/d", "/e", "/e?y", "/end"]
    for head in server.heads:
        assert head.count("t0ken") == 3 and "a=b" not in head, "the same origin, and no cookie of the redirect"


def test_credentials_stay_with_their_origin(start):
    other = start(Web)
    server = start(Web, {"/": (302, f"http://127.0.0.1:{other.port}/x")})
    other.redirects["/x"] = (302, f"http://127.0.0.1:{server.port}/home")
    with pulsews.connect(f"ws://127.0.0.1:{server.port}/", headers=SECRETS) as ws:
        assert ws.recv(timeout=20) == "hi"
    with pulsews.connect(f"ws://trader:s3cret@127.0.0.1:{server.port}/") as ws:
        assert ws.recv(timeout=20) == "hi"
    assert len(other.heads) == 2
    for head in other.heads:
        assert "t0ken" not in head and "uthorization" not in head and "ookie" not in head and "API" not in head, head
    assert "User-Agent: mine" in other.heads[0] and f"Host: 127.0.0.1:{other.port}" in other.heads[0]
    assert all("uthorization" in head for head in server.heads) and len(server.heads) == 4, "home again"


def test_logins_stay_with_their_origin(start):
    other = start(Web)
    server = start(Web, {"/": (302, f"http://127.0.0.1:{other.port}/x"), "/near": (302, "/")})
    for path, options in (("/", {"login": ['{"key":"t0ken"}']}), ("/near", {"hold_login": True})):
        error = refusal(f"ws://127.0.0.1:{server.port}{path}", **options)
        assert error.name == "PULSEWS_EREDIRECT" and f"127.0.0.1:{other.port}/x" in str(error), error
    assert not other.heads
    server.redirects["/"] = (302, "/home")
    with pulsews.connect(f"ws://127.0.0.1:{server.port}/near", login=['{"key":"t0ken"}']) as ws:
        assert ws.recv(timeout=20) == "hi"


def test_redirects_and_tls(start, certificates, servers):
    secure = start(Web, chain=certificates["chain"], key=certificates["key"])
    plain = start(Web, {"/": (302, f"https://localhost:{secure.port}/x")})
    with pulsews.connect(f"ws://127.0.0.1:{plain.port}/", ca_file=certificates["ca"], headers=SECRETS) as ws:
        assert ws.recv(timeout=20) == "hi"
    assert "t0ken" not in secure.heads[0]
    error = refusal(f"ws://127.0.0.1:{plain.port}/")
    assert error.name in UNTRUSTED, error
    secure.redirects["/down"] = (301, f"ws://127.0.0.1:{plain.port}/end")
    error = refusal(f"wss://localhost:{secure.port}/down", ca_file=certificates["ca"])
    assert error.name == "PULSEWS_EREDIRECT" and "from wss to ws" in str(error), error
    # Another host is another certificate.
    other = start(Web, chain=certificates["other_chain"], key=certificates["other_key"])
    secure.redirects["/other"] = (302, f"//localhost:{other.port}/")
    error = refusal(f"wss://localhost:{secure.port}/other", ca_file=certificates["ca"])
    assert error.name in (*UNTRUSTED, "PULSEWS_EHOSTNAME") and not other.heads, error


@pytest.mark.parametrize("location, words", [
    ("http://user:pw@127.0.0.1/", "user or password"), ("//u@127.0.0.1/", "user or password"),
    ("ftp://127.0.0.1/", "scheme"), ("javascript:alert(1)", "scheme"), ("/", "circle"), ("", "circle"),
    ("http://127.0.0.1:0/", "port"), ("/a b", "space"),
    ("//", "host"), ("/%", "%"), ("/\u00e9", "not valid")])
def test_what_is_not_followed(location, words, start):
    server = start(Web, {"/": (302, location)})
    error = refusal(f"ws://127.0.0.1:{server.port}/", reconnect=True)
    assert error.name == "PULSEWS_EREDIRECT" and words in str(error) and "status 302" in str(error), error
    assert len(server.heads) == 1 and not error.retryable
    assert isinstance(error, pulsews.HandshakeError) and error.status == 302 and error.headers["Set-Cookie"] == "a=b"


def test_how_many(start):
    server = start(Web, {f"/{n}": (302, f"/{n + 1}") for n in range(20)})
    url = f"ws://127.0.0.1:{server.port}/0"
    assert "max_redirects (5)" in str(refusal(url)) and len(server.heads) == 6
    assert "max_redirects (2)" in str(refusal(url, max_redirects=2)) and len(server.heads) == 9
    assert "max_redirects is 0" in str(refusal(url, max_redirects=0)) and len(server.heads) == 10
    server.redirects.update({"/p": (302, "/q"), "/q": (302, "/p")})
    assert "circle" in str(refusal(f"ws://127.0.0.1:{server.port}/p"))


def test_the_next_attempt_begins_at_the_start(start):
    last = start(Web)
    server = start(Web, {"/": (302, f"http://127.0.0.1:{last.port}/x")})
    with pulsews.connect(f"ws://127.0.0.1:{server.port}/", jitter=0, reconnect_base_delay="10ms") as ws:
        for count in (1, 2):
            assert ws.recv(timeout=20) == "hi"
            assert len(server.heads) == len(last.heads) == ws.status()["stats"]["redirects"] == count
            last.drop()


def test_redirects_and_proxies(start, environment):
    """Each request has its own way."""
    last = start(Web)
    server = start(Web, {"/": (302, f"http://localhost:{last.port}/")})
    proxy = start(Script)
    environment.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    environment.setenv("no_proxy", "localhost")
    with pulsews.connect(f"ws://127.0.0.1:{server.port}/") as ws:
        assert ws.recv(timeout=20) == "hi"
    assert proxy.asked == [("127.0.0.1", server.port)] and len(last.heads) == 1
    environment.setenv("no_proxy", "127.0.0.1")
    with pulsews.connect(f"ws://127.0.0.1:{server.port}/") as ws:
        assert ws.recv(timeout=20) == "hi"
    assert proxy.asked[1:] == [("localhost", last.port)]


def test_close_while_the_proxy_is_silent(start):
    proxy = start(Script, answer=b"")
    started = threading.active_count()
    error = refusal("ws://127.0.0.1:9/", proxy=f"socks5h://127.0.0.1:{proxy.port}", open_timeout=0.2)
    assert error.name == "PULSEWS_EOPENTIMEOUT" and threading.active_count() <= started + 1
