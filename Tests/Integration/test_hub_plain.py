# SPDX-License-Identifier: Apache-2.0
"""Clients that were written for another service, on the plain routes of a hub, with nothing but the URL changed."""
import asyncio
import contextlib
import socket
import threading
import time

import pulsews
import pytest
from browser import PAGE, Browser
from hub import Hub, until
from plain_clients import KINDS, BrowserClient, GorillaClient, ManagerClient, WebsocketsClient, build_gorilla
from test_hub_chromium import SECRET, token

PATHS = ("/ws", "/ws/stream", "/ws/trading")
COUNT = 500
KEYS = {"main": ("HS256", SECRET)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return build_gorilla(tmp_path_factory.mktemp("gorilla"), "plain_gorilla")


class Service:
    """A hub with the routes of an older service, and the clients of it."""

    def __init__(self, browser, program, **options):
        self.browser, self.program = browser, program
        with socket.socket() as holder:  # the origin has to be known before the port is bound
            holder.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % holder.getsockname()[1]
        self.origin = f"http://{self.address}"
        stream = {"heartbeat_message": options.pop("heartbeat_message", "0")}
        routes = {"/": {"kind": "static", "folder": str(PAGE)}, **{path: dict(stream) for path in PATHS}}
        self.hub = Hub(self.address, origin=self.origin, routes=routes, **options)

    def client(self, kind, path, origin=None):
        url = f"ws://{self.address}{path}"
        if kind == "browser":
            return BrowserClient(url, self.browser)
        if kind == "gorilla":
            return GorillaClient(url, self.program, origin)
        return {"websockets": WebsocketsClient, "manager": ManagerClient}[kind](url, origin)


@pytest.fixture
def service(browser, program):
    """Makes one; all clients are closed before it."""
    with contextlib.ExitStack() as stack:
        def make(**options):
            made = Service(browser, program, **options)
            stack.enter_context(made.hub)
            browser.driver.get(f"{made.origin}/")
            return made

        yield make


def price(symbol, number):
    return b'{"type": "price_update", "symbol": "%s", "price": 1%d.50, "n": %d}' % (symbol.encode(), number, number)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_messages_of_older_services(service, kind, path):
    made = service(topics={"price.*": {}})
    hub = made.hub
    with made.client(kind, path) as client:
        welcome = client.get("welcome")
        assert welcome["data"]["client"].startswith("c-") and welcome["data"]["hub"] == "hub"
        client.say(type="ping", id="p1", data={"sent": 1796010341079.5})
        pong = client.get("pong")
        assert (pong["id"], pong["data"]["sent"]) == ("p1", 1796010341079.5) and abs(pong["data"]["time"] / 1000 - time.time()) < 60
        client.say(type="ping")
        assert client.get("pong")["data"]["time"] >= pong["data"]["time"]
        client.say(type="subscribe", symbols=["SOL", "BTC"])
        client.say(type="ping", id="behind")
        assert client.get()["id"] == "behind"  # a subscription that succeeds has no answer
        for number, symbol in enumerate(("SOL", "ETH", "BTC"), 1):
            hub.publish(f"price.{symbol}", price(symbol, number))
        assert [client.receive().encode() for _ in range(2)] == [price("SOL", 1), price("BTC", 3)]  # as they were published
        client.say(type="unsubscribe", symbols=["SOL"])
        client.say(type="subscribe", topics=["order"])
        error = client.get("error")
        assert (error["topic"], error["data"]["code"]) == ("order", "no_such_topic")
        hub.publish("price.SOL", price("SOL", 4))
        hub.publish("price.BTC", price("BTC", 5))
        assert client.receive().encode() == price("BTC", 5)
    hub.until("peers_closed", 1)
    hub.check_books()


@pytest.mark.parametrize("kind", KINDS)
def test_who_comes_late_gets_the_latest(service, kind):
    """As if it were published now, and then what is new."""
    made = service(topics={"price.*": {"latest": "true"}})
    for number in (1, 2):
        made.hub.publish("price.SOL", price("SOL", number))
    for path, subscription in (("/ws", {"symbols": ["SOL"]}), ("/ws/stream?topics=price.SOL", None)):
        with made.client(kind, path) as client:
            client.get("welcome")
            if subscription:
                client.say(type="subscribe", **subscription)
            assert client.receive().encode() == price("SOL", 2)
            made.hub.publish("price.SOL", price("SOL", 2))
            assert client.receive().encode() == price("SOL", 2)


@pytest.mark.parametrize("kind", KINDS)
def test_heartbeats_as_messages(service, kind):
    made = service(heartbeat_message="50ms")
    with made.client(kind, "/ws/stream") as client:
        client.get("welcome")
        times = [client.get("heartbeat")["data"]["time"] for _ in range(3)]
        assert times == sorted(set(times))


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_in_the_url(service, kind):
    made = service(auth="required", token_in_url=True, keys=KEYS, topics={"price.*": {"subscribe": "authenticated"}})
    with made.client(kind, f"/ws/trading?token={token(sub='u', exp=time.time() + 600)}") as client:
        client.get("welcome")
        client.say(type="subscribe", symbols=["SOL"])
        made.hub.until("subscriptions", 1)
        made.hub.publish("price.SOL", price("SOL", 1))
        assert client.get("price_update")["n"] == 1


def answering(hub):
    """Refuses the one who comes."""
    def run():
        hub.answer(hub.event("authorize").request, 403, body=b"not for you")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


ONE_USER = token(sub="u", exp=time.time() + 3600)
# Path, options, and then the code of the error, the status and the close code.
REFUSALS = {
    "path": ("/ws/strem", {}, "no_such_path", 404, 4040),
    "token": ("/ws?token=a.b.c", {"auth": "required", "token_in_url": True, "keys": KEYS}, "token_malformed", 401, 4001),
    "expired": (f"/ws?token={token(sub='u', exp=1)}", {"auth": "required", "token_in_url": True, "keys": KEYS},
                "token_expired", 401, 4009),
    "where none is taken": (f"/ws?token={ONE_USER}", {"auth": "required", "keys": KEYS}, "unauthenticated", 401, 4001),
    "forbidden": ("/ws", {"events": "authorize"}, "forbidden", 403, 4003),
    "too many": (f"/ws?token={ONE_USER}", {"auth": "required", "token_in_url": True, "keys": KEYS, "user_connections": 1},
                 "rate_limited", 429, 4029),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize(("kind", "has_origin"), [("browser", True)] + [(kind, has) for kind in KINDS[1:] for has in (True, False)])
def test_refusals(service, kind, has_origin, refusal):
    """Who sends an origin is told in band, as a page; others get a status, and the same words in its body."""
    path, options, code, status, close = REFUSALS[refusal]
    made = service(**options)
    answers = answering(made.hub) if refusal == "forbidden" else None
    with contextlib.ExitStack() as stack:
        if refusal == "too many":
            stack.enter_context(made.client("websockets", path)).get("welcome")
        messages, ended = stack.enter_context(made.client(kind, path, made.origin if has_origin else None)).end()
    if answers:
        answers.join()
    if has_origin:
        (error,) = messages
        assert (error["type"], error["data"]["code"], ended[:2]) == ("error", code, ("closed", close))
        assert ended[2] and error["data"]["message"].startswith(ended[2][:100])
        assert refusal != "forbidden" or error["data"]["message"] == "not for you"
    else:
        assert (messages, ended) == ([], ("refused", status, code))
    assert (made.hub["upgrades"], made.hub["upgrades_refused"]) == (int(refusal == "too many"), 1)


async def comes_back(hub):
    """The settings of a manager for such a service: it pings, subscribes, and subscribes again when it has come back."""
    messages, ready = asyncio.Queue(), asyncio.Queue()
    manager = pulsews.WebSocketManager(
        url=hub.url("/ws/trading"), reconnect_base_delay=0.01, restart_delay=0.01,
        heartbeat_interval=0.05, heartbeat_message='{"type":"ping"}',
        subscribe_message='{"type":"subscribe","symbols":[${keys}]}', unsubscribe_message='{"type":"unsubscribe","symbols":[${keys}]}',
        on_message=messages.put, on_connect=ready.put)
    for symbol in ("SOL", "BTC"):
        manager.subscribe(symbol)
    async with manager:
        for turn in (1, 2):
            await asyncio.wait_for(ready.get(), 20)
            assert (await asyncio.wait_for(messages.get(), 20))["type"] == "welcome"
            await asyncio.to_thread(hub.until, "subscriptions", 2)
            for symbol in ("SOL", "BTC"):
                hub.publish(f"price.{symbol}", price(symbol, turn))
            got = [await asyncio.wait_for(messages.get(), 20) for _ in range(2)]
            assert {(message["type"], message["symbol"], message["n"]) for message in got} == {
                ("price_update", symbol, turn) for symbol in ("SOL", "BTC")}
            await asyncio.to_thread(until, lambda: manager.get_status()["stats"]["latency"] is not None)  # pings are answered
            if turn == 1:
                hub.do("close_peer", hub.peers()[0]["peer"], 1012, "restart")
                await asyncio.to_thread(hub.until, "peers_closed", 1)


def test_a_manager_that_comes_back():
    with Hub(routes={"/ws/trading": {}}, topics={"price.*": {}}) as hub:
        asyncio.run(comes_back(hub))


# Who is where, and what each wants.
TOGETHER = {"browser": ("/ws", ["SOL", "BTC"]), "websockets": ("/ws/stream", ["SOL"]), "gorilla": ("/ws/trading", ["BTC", "ETH"]),
            "manager": ("/ws/stream", ["SOL", "BTC", "ETH"])}


def follow(client, symbols, seen):
    """Reads to the last message of each symbol: the numbers of each, and how many others came."""
    numbers = {symbol: [] for symbol in symbols}
    seen.update(numbers=numbers, others=[])
    while any(len(one) < COUNT for one in numbers.values()):
        message = client.get()
        if message["type"] == "price_update":
            numbers[message["symbol"]].append(message["n"])
        else:
            seen["others"].append(message["type"])


def test_all_kinds_on_one_hub(service):
    """Each gets every message of its topics, in order, between pongs and heartbeats."""
    made = service(heartbeat_message="20ms", queue_messages=10 * COUNT, topics={"price.*": {}})
    hub = made.hub
    with contextlib.ExitStack() as stack:
        clients = {kind: stack.enter_context(made.client(kind, path)) for kind, (path, _) in TOGETHER.items()}
        for kind, client in clients.items():
            client.get("welcome")
            client.say(type="subscribe", symbols=TOGETHER[kind][1])
        hub.until("subscriptions", 8)
        seen = {kind: {} for kind in clients}
        readers = [threading.Thread(target=follow, args=(clients[kind], TOGETHER[kind][1], seen[kind]), daemon=True) for kind in KINDS]
        for reader in readers:
            reader.start()
        for number in range(1, COUNT + 1):
            for symbol in ("SOL", "BTC", "ETH"):
                hub.publish(f"price.{symbol}", price(symbol, number))
            if number == COUNT // 2:
                for kind in KINDS[1:]:  # the driver of the browser takes one thread
                    clients[kind].say(type="ping")
        for reader in readers:
            reader.join(60)
        for kind, (_, symbols) in TOGETHER.items():
            assert seen[kind]["numbers"] == {symbol: list(range(1, COUNT + 1)) for symbol in symbols}, kind
            assert set(seen[kind]["others"]) <= {"heartbeat", "pong"}, seen[kind]["others"]
        assert hub["messages_written"] == hub["messages_offered"] == 8 * COUNT
        assert {peer["route"] for peer in hub.peers()} == set(PATHS)
        hub.check_books()
        assert hub["protocol_errors"] == 0
