# SPDX-License-Identifier: Apache-2.0
"""Feeds that follow their subscribers, change over to another endpoint, and stand in for each other."""
import contextlib
import json

import pytest
from daemons import PATIENCE, check, get, subscribe
from venues import Kraken, Venue

HUB = """[hub]
listen = "127.0.0.1:0"
[topic."price.*"]
latest = true
"""


@pytest.fixture
def venue():
    made = Venue()
    yield made
    made.end()


@pytest.fixture
def other():
    made = Venue()
    yield made
    made.end()


@pytest.fixture
def kraken():
    made = Kraken()
    yield made
    made.end()


def following(venue, symbols='"SOLUSDT", "BTCUSDT"', linger="10m", more=""):
    return HUB + f"""[feed.f]
preset = "binance-spot"
url = "{venue.url}"
streams = ["price"]
symbols = [{symbols}]
follow = true
linger = "{linger}"
reconnect_base_delay = "20ms"
host_connect_rate = "1000/s"
rate_limit = "1000/s"
{more}"""


def state(peer, topic, wanted, **more):
    """The next `topic_state` of that topic and state."""
    while True:
        message = get(peer, "topic_state")
        if message["topic"] == topic and message["state"] == wanted and all(message.get(name) == value for name, value in more.items()):
            return message


# ---- Peers come and go


def test_the_first_peer_subscribes_and_the_last_one_leaves_after_a_while(start, venue):
    daemon = start(following(venue, linger="300ms"))
    venue.wait_for(lambda: venue.connections == 1)
    with daemon.peer() as first:
        subscribe(first, "price.SOL")
        venue.wait_for_keys("solusdt@bookTicker")
        assert venue.say("SOLUSDT", 7) == 1
        assert get(first, "price_update")["data"]["price"] == "7"
        with daemon.peer("/ws/stream?topics=price.SOL,price.NOPE", pulse=False) as second:
            assert get(second, "price_update")["price"] == "7"
    venue.wait_for(lambda: len(venue.requests) == 2)
    assert venue.requests == [("SUBSCRIBE", "solusdt@bookTicker"), ("UNSUBSCRIBE", "solusdt@bookTicker")]
    # For nobody it keeps no connection.
    venue.wait_for(lambda: not venue.live)
    daemon.wait_for("a feed rests")
    with daemon.peer() as third:
        third.send(json.dumps({"type": "subscribe", "topics": ["price.SOL"]}))
        assert get(third, "subscribed")["state"] == "stale"
        venue.wait_for_keys("solusdt@bookTicker")
        venue.say("SOLUSDT", 8)
        assert state(third, "price.SOL", "live")["feed"] == "f"
        assert get(third, "price_update")["data"]["price"] == "8"
    assert venue.connections >= 2


def test_a_reload_of_a_page_is_not_noticed(start, venue):
    daemon = start(following(venue))
    for _ in range(20):
        with daemon.peer() as peer:
            subscribe(peer, "price.SOL")
    with daemon.peer() as peer:
        subscribe(peer, "price.BTC")
        venue.wait_for_keys("solusdt@bookTicker", "btcusdt@bookTicker")
    assert venue.requests == [("SUBSCRIBE", "solusdt@bookTicker"), ("SUBSCRIBE", "btcusdt@bookTicker")]


def test_two_hundred_peers_are_one_subscription(start, venue):
    daemon = start(following(venue))
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(daemon.peer("/ws/stream?topics=price.SOL")) for _ in range(200)]
        venue.wait_for_keys("solusdt@bookTicker")
        for peer in peers:
            get(peer, "subscribed")
        venue.say("SOLUSDT", 7)
        for peer in peers:
            assert get(peer, "price_update")["data"]["price"] == "7"
    with daemon.peer() as peer:
        subscribe(peer, "price.BTC")
        venue.wait_for_keys("solusdt@bookTicker", "btcusdt@bookTicker")
    assert venue.requests == [("SUBSCRIBE", "solusdt@bookTicker"), ("SUBSCRIBE", "btcusdt@bookTicker")]


def test_a_new_connection_subscribes_what_is_wanted_then(start, venue):
    daemon = start(following(venue, linger="200ms"))
    with daemon.peer() as stays, daemon.peer() as goes:
        subscribe(stays, "price.SOL")
        subscribe(goes, "price.BTC")
        venue.wait_for_keys("solusdt@bookTicker", "btcusdt@bookTicker")
        venue.say("SOLUSDT", 8)
        get(stays, "price_update")
        goes.close()
        venue.wait_for_keys("solusdt@bookTicker")
        before = len(venue.requests)
        venue.cut()
        venue.wait_for_keys("solusdt@bookTicker")
        assert venue.requests[before:] == [("SUBSCRIBE", "solusdt@bookTicker")]
        assert venue.connections == 2
        # The topic was told stale, and is live with the next message.
        state(stays, "price.SOL", "stale", feed="f")
        venue.say("SOLUSDT", 9)
        state(stays, "price.SOL", "live", feed="f")


def test_who_waits_in_vain_is_told(start, venue):
    daemon = start(following(venue).replace("latest = true", "latest = true\nstale_after = '200ms'"))
    with daemon.peer() as peer:
        subscribe(peer, "price.SOL", "price.nothing")
        state(peer, "price.SOL", "stale", age=None)
        state(peer, "price.nothing", "stale", age=None)
        venue.wait_for_keys("solusdt@bookTicker")
        venue.say("SOLUSDT", 5)
        state(peer, "price.SOL", "live", feed="f")


@pytest.mark.parametrize("loops", [1, 3])
def test_what_is_subscribed_in_the_end_is_what_is_wanted(start, venue, loops):
    """Peers on several threads of the hub come to the same topics and leave them, at once."""
    names = [f"S{number}" for number in range(12)]
    text = following(venue, symbols=", ".join(f'"{name}USDT"' for name in names), linger="50ms")
    daemon = start(text.replace("[hub]", f"[hub]\nloops = {loops}"))
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(daemon.peer()) for _ in range(9)]
        for turn in range(60):
            for number, peer in enumerate(peers):
                topic = f"price.{names[(turn + number) % len(names)]}"
                peer.send(json.dumps({"type": "subscribe" if (turn // 2 + number) % 2 else "unsubscribe", "topics": [topic, "price.S0"]}))
        for number, peer in enumerate(peers):
            peer.send(json.dumps({"type": "unsubscribe", "topics": [f"price.{name}" for name in names]}))
            if number < 3:
                peer.send(json.dumps({"type": "subscribe", "topics": [f"price.S{2 * number + 1}"]}))
            peer.send(json.dumps({"type": "ping", "id": "end"}))
            get(peer, "pong")
        venue.wait_for_keys("s1usdt@bookTicker", "s3usdt@bookTicker", "s5usdt@bookTicker")
        for name in ("S1", "S3", "S5"):
            assert venue.say(f"{name}USDT", 5) == 1
        for number in range(3):
            assert get(peers[number], "price_update")["topic"] == f"price.S{2 * number + 1}"


# ---- Any symbol


def test_any_symbol_that_is_one(start, venue):
    hostile = ["price.sol", 'price.S"L', "price.SO L", 'price.USDT"],"id":9}', "price.\u00d6L", "price." + "A" * 100, "price.A@B",
               "price.%s"]
    daemon = start(following(venue, symbols='"*"'))
    with daemon.peer() as peer:
        subscribe(peer, *hostile, "price.DOGE")
        venue.wait_for_keys("dogeusdt@bookTicker")
        venue.say("DOGEUSDT", 3)
        assert get(peer, "price_update")["topic"] == "price.DOGE"
    assert venue.requests == [("SUBSCRIBE", "dogeusdt@bookTicker")]


def test_a_refused_symbol_breaks_no_other(start):
    venue = Venue(refused=["BADUSDT", "WORSEUSDT"])
    try:
        daemon = start(following(venue, symbols='"*"'))
        with daemon.peer() as peer:
            names = ["A", "BAD", "B", "WORSE", "C"]
            subscribe(peer, *[f"price.{name}" for name in names])
            told = {}
            while len(told) < 2:
                message = get(peer, "topic_state")
                told[message["topic"]] = message["state"], message["cause"]
            refused = ("stale", "f has refused the subscription")
            assert told == {"price.BAD": refused, "price.WORSE": refused}
            venue.wait_for_keys("ausdt@bookTicker", "busdt@bookTicker", "cusdt@bookTicker")
            for name in "ABC":
                assert venue.say(f"{name}USDT", 5) == 1
                assert get(peer, "price_update")["topic"] == f"price.{name}"
    finally:
        venue.end()


def test_no_more_symbols_than_allowed(start, venue):
    daemon = start(following(venue, symbols='"*"', linger="200ms", more="most_symbols = 1"))
    with daemon.peer() as first, daemon.peer() as second:
        subscribe(first, "price.SOL")
        venue.wait_for_keys("solusdt@bookTicker")
        second.send(json.dumps({"type": "subscribe", "topics": ["price.BTC"]}))
        assert state(second, "price.BTC", "stale")["cause"] == "f has as many symbols as it may have"
        daemon.wait_for("as many symbols as it may have")
        assert venue.keys == ["solusdt@bookTicker"]
        first.close()
        venue.wait_for_keys("btcusdt@bookTicker")
        venue.say("BTCUSDT", 4)
        assert get(second, "price_update")["data"]["price"] == "4"


# ---- SIGHUP


def test_another_configuration_keeps_what_is_wanted(start, venue):
    daemon = start(following(venue))
    with daemon.peer() as peer:
        subscribe(peer, "price.SOL", "price.XRP")
        venue.wait_for_keys("solusdt@bookTicker")
        daemon.reload(following(venue, symbols='"SOLUSDT", "XRPUSDT"', linger="1s"))
        venue.wait_for_keys("solusdt@bookTicker", "xrpusdt@bookTicker")
        # All, whoever is there; and then only for peers again, with the time that they have.
        daemon.reload(following(venue, symbols='"SOLUSDT", "BTCUSDT"').replace("follow = true\n", "").replace('linger = "10m"\n', ""))
        venue.wait_for_keys("solusdt@bookTicker", "btcusdt@bookTicker")
        daemon.reload(following(venue, linger="100ms"))
        venue.wait_for_keys("solusdt@bookTicker")
        assert venue.connections == 1
        assert venue.requests.count(("SUBSCRIBE", "solusdt@bookTicker")) == 1
        venue.say("SOLUSDT", 6)
        assert get(peer, "price_update")["data"]["price"] == "6"
        # Another connection, and the same wishes.
        daemon.reload(following(venue, linger="100ms", more="stale_timeout = 50\n"))
        venue.wait_for(lambda: venue.connections == 2 and len(venue.live) == 1)
        venue.wait_for_keys("solusdt@bookTicker")


def test_a_refused_key_of_the_configuration_is_asked_for_again_by_another(start):
    venue = Venue(refused=["BADUSDT"])
    try:
        text = HUB + f'[feed.f]\npreset = "binance-spot"\nurl = "{venue.url}"\nrate_limit = "1000/s"\nsubscribe = ["badusdt@bookTicker"]\n'
        daemon = start(text)
        daemon.wait_for("subscription_rejected")
        assert venue.requests == [("SUBSCRIBE", "badusdt@bookTicker")]
        daemon.reload(text.replace('["bad', '["solusdt@bookTicker", "bad'))
        venue.wait_for_keys("solusdt@bookTicker")
        venue.wait_for(lambda: venue.requests.count(("SUBSCRIBE", "badusdt@bookTicker")) > 1)
    finally:
        venue.end()


# ---- Another endpoint


def test_another_endpoint_is_told_to_all(start, venue, other):
    text = HUB + f"""[feed.f]
preset = "binance-spot"
url = ["{venue.url}?key=hidden-one", "{other.url}?key=hidden-two"]
subscribe = ["solusdt@bookTicker"]
reconnect_base_delay = "20ms"
host_connect_rate = "1000/s"
endpoint_return = "300ms"
"""
    daemon = start(text)
    venue.wait_for_keys("solusdt@bookTicker")
    with daemon.peer() as peer, daemon.peer(pulse=False) as plain:
        subscribe(peer, "price.SOL")
        venue.say("SOLUSDT", 1)
        get(peer, "price_update")
        venue.end()
        other.wait_for_keys("solusdt@bookTicker")
        there = get(peer, "feed")
        assert get(plain, "feed") == there
        cause = there["data"].pop("cause")
        assert there == {"type": "feed", "data": {"from": "f-1", "to": "f-2"}}
        assert cause and "://" not in cause and "hidden" not in cause
        other.say("SOLUSDT", 2)
        assert get(peer, "price_update")["data"]["price"] == "2"
        venue.begin()
        back = get(peer, "feed")
        assert get(plain, "feed") == back
        assert back["data"] == {"from": "f-2", "to": "f-1", "cause": "back to the preferred endpoint"}
    daemon.wait_for("a feed has changed over")
    daemon.signal()
    assert daemon.wait() == 0
    assert "hidden" not in daemon.output


def test_a_loss_is_logged_once(start, venue):
    daemon = start(following(venue) + "[log]\nformat = 'json'\n")
    daemon.wait_for("a feed is connected")
    venue.end()
    line = json.loads(daemon.wait_for("a feed is lost"))
    assert line["level"] == "warning" and line["feed"] == "f" and line["cause"] and line["next_attempt"].startswith("in ")
    # Attempts that come to nothing meanwhile.
    for _ in range(3):
        daemon.wait_for("can't connect", len(daemon.lines))
    venue.begin()
    daemon.wait_for("a feed is connected", daemon.lines.index(daemon.wait_for("a feed is lost")))
    own = [json.loads(text)["message"] for text in daemon.lines if '"from":"library"' not in text and '"feed":"f"' in text]
    assert own == ["a feed is connected", "a feed is lost", "a feed is connected"]


# ---- Another venue


def standing_by(venue, kraken, more=""):
    return HUB + f"""[feed.binance]
preset = "binance-spot"
url = "{venue.url}"
subscribe = ["solusdt@bookTicker"]
reconnect_base_delay = "20ms"
host_connect_rate = "1000/s"
reconnect_max_delay = "50ms"
{more}
[feed.kraken]
preset = "kraken"
url = "{kraken.url}"
subscribe = ["SOL/USD"]
standby_for = "binance"
after = "200ms"
stable = "200ms"
"""


class Follower:
    """A peer that checks that nothing is missing, and keeps what came."""

    def __init__(self, peer, topic):
        self.peer = peer
        self.peer.send(json.dumps({"type": "subscribe", "topics": [topic]}))
        self.last = get(self.peer, "subscribed")["offset"]
        self.prices, self.states, self.feeds = [], [], []

    def until(self, condition):
        while not condition():
            message = json.loads(self.peer.recv(PATIENCE))
            assert message["type"] != "gap"
            if "o" in message:
                assert message["p"] == self.last
                self.last = message["o"]
                self.prices.append(int(message["data"]["price"]))
            elif message["type"] == "topic_state":
                self.states.append((message["state"], message.get("feed")))
            elif message["type"] == "feed":
                self.feeds.append(message["data"])


def test_a_standby_stands_in_and_gives_back(start, venue, kraken):
    daemon = start(standing_by(venue, kraken))
    venue.wait_for_keys("solusdt@bookTicker")
    with daemon.peer() as peer:
        stand_in_and_give_back(venue, kraken, Follower(peer, "price.SOL"))
        daemon.reload(standing_by(venue, kraken).split("[feed.kraken]")[0])
        assert get(peer, "feed")["data"] == {"from": "kraken", "to": "binance", "cause": "the configuration has changed"}
        kraken.wait_for(lambda: not kraken.live)
    daemon.wait_for("a feed stands in for another")
    daemon.wait_for("a feed has given back")


def stand_in_and_give_back(venue, kraken, follower):
    said = []

    def say(where, symbol, price):
        assert where.say(symbol, price) == 1
        said.append(price)
        follower.until(lambda: price in follower.prices)

    say(venue, "SOLUSDT", 1)
    assert kraken.connections == 0
    venue.end()
    kraken.wait_for_keys("SOL/USD")
    follower.until(lambda: follower.feeds)
    say(kraken, "SOL/USD", 2)
    say(kraken, "SOL/USD", 3)
    assert follower.states[-2:] == [("stale", "binance"), ("failover", "kraken")]
    assert [(data["from"], data["to"]) for data in follower.feeds] == [("binance", "kraken")]
    venue.begin()
    venue.wait_for_keys("solusdt@bookTicker")
    assert len(kraken.live) == 1
    while len(follower.feeds) < 2:  # for as long as it has to be back
        say(venue, "SOLUSDT", said[-1] + 1)
    assert follower.feeds[1] == {"from": "kraken", "to": "binance", "cause": "binance is back"}
    kraken.wait_for(lambda: not kraken.live)
    say(venue, "SOLUSDT", said[-1] + 1)
    assert follower.states[-1] == ("live", "binance")
    assert follower.prices == said
    # And once more.
    venue.end()
    kraken.wait_for_keys("SOL/USD")
    say(kraken, "SOL/USD", said[-1] + 1)
    assert follower.states[-1] == ("failover", "kraken")
    follower.until(lambda: len(follower.feeds) == 3)
    assert (follower.feeds[2]["from"], follower.feeds[2]["to"]) == ("binance", "kraken")


def test_a_standby_stands_in_for_one_that_says_nothing(start, venue, kraken):
    daemon = start(standing_by(venue, kraken, 'stale_timeout = "500ms"\nstale_action = "reconnect"'))
    venue.wait_for_keys("solusdt@bookTicker")
    kraken.wait_for_keys("SOL/USD")
    # Connections without data are none that are back.
    venue.wait_for(lambda: venue.connections >= 4)
    assert len(kraken.live) == 1 and kraken.connections == 1
    with daemon.peer() as peer:
        subscribe(peer, "price.SOL")
        kraken.say("SOL/USD", 2)
        state(peer, "price.SOL", "failover", feed="kraken")


def test_nobody_stands_in_for_one_at_rest(start, venue, kraken):
    text = standing_by(venue, kraken).replace('subscribe = ["solusdt@bookTicker"]',
                                              'symbols = "SOLUSDT"\nstreams = "price"\nfollow = true\nlinger = "50ms"')
    # One that rests later tells that the time is over.
    text += f'[feed.clock]\npreset = "kraken"\nurl = "{kraken.url}"\nsymbols = "X"\nstreams = "price"\nfollow = true\nlinger = "700ms"\n'
    daemon = start(text)
    first = daemon.wait_for("a feed rests")
    assert "feed=binance" in first
    daemon.wait_for("a feed rests", daemon.lines.index(first) + 1)
    assert kraken.connections == 1  # that of the clock
    assert "stands in" not in daemon.output


def test_a_standby_follows_peers_too(start, venue, kraken):
    text = standing_by(venue, kraken).replace('subscribe = ["solusdt@bookTicker"]', 'symbols = "SOLUSDT"\nstreams = "price"\nfollow = true')
    text = text.replace('subscribe = ["SOL/USD"]', 'symbols = ["SOL/USD", "BTC/USD"]\nstreams = "price"\nfollow = true')
    daemon = start(text)
    with daemon.peer() as peer:
        subscribe(peer, "price.SOL")
        venue.wait_for_keys("solusdt@bookTicker")
        venue.end()
        kraken.wait_for_keys("SOL/USD")
        kraken.say("SOL/USD", 2)
        state(peer, "price.SOL", "failover", feed="kraken")
        # Other times, the same connection.
        daemon.reload(text.replace('after = "200ms"', 'after = "100ms"'))
        assert kraken.connections == 1 and len(kraken.live) == 1


def test_check_says_what_follows_and_what_stands_by(tmp_path, venue, kraken):
    path = tmp_path / "hub.toml"
    path.write_text(following(venue, symbols='"SOLUSDT", "*"', linger="1500ms") + "[feed.g]\npreset = 'kraken'\nurl = 'ws://h/'\n"
                    "standby_for = 'f'\nafter = '20s'\nsymbols = 'SOL/USD'\nstreams = 'price'\n")
    done = check(path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert (f"feed f: {venue.url}, map binance-spot, 0 subscriptions, and as peers come and go up to 1 and up to 200 symbols that peers "
            "name, each kept 1500 ms without a peer") in lines
    assert "feed g: ws://h/, map kraken, 1 subscriptions, stands in for f after 20 s, until that is back for 10 s" in lines
    path.write_text(path.read_text().replace("standby_for = 'f'", "standby_for = 'F1'"))
    done = check(path)
    assert done.returncode == 2 and 'there is no feed "F1"; "f" is spelled nearly so' in done.stderr
