# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: a new configuration wholly or not at all; log and certificates in any case."""
import json
import signal

import pytest
from exchanges import Exchange

HUB = '[hub]\nlisten = ["127.0.0.1:0"]\n[topic."**"]\nhistory = 10\n'


def feed(exchange, name, *keys, more=""):
    return f'[feed.{name}]\npreset = "binance-spot"\nurl = "{exchange.url}"\nsubscribe = {json.dumps(keys)}\n{more}'


@pytest.fixture
def exchange():
    made = Exchange()
    yield made
    made.close()


def test_feeds_come_change_and_go(start, exchange):
    daemon = start(HUB)
    assert "was applied" in daemon.reload(HUB + feed(exchange, "a", "x@1"))[-1]
    exchange.wait_for(lambda: exchange.subscribed == [("SUBSCRIBE", "x@1")])
    # Other subscriptions, the same connection.
    daemon.reload(HUB + feed(exchange, "a", "y@1"))
    exchange.wait_for(lambda: set(exchange.subscribed[1:]) == {("UNSUBSCRIBE", "x@1"), ("SUBSCRIBE", "y@1")})
    assert exchange.connections == 1
    # Another option, another connection.
    daemon.reload(HUB + feed(exchange, "a", "y@1", more="stale_timeout = 30\n"))
    exchange.wait_for(lambda: exchange.connections == 2 and exchange.subscribed[-1] == ("SUBSCRIBE", "y@1"))
    assert "feeds=0" in daemon.reload(HUB)[-1]


@pytest.mark.parametrize("bad, said", [
    ("[hub", "error"),
    ("[nonsense]\n", 'no "nonsense"'),
    ("[x]\ny = ['a', }'b']\n", "no TOML"),
    ("[=", "a table has a name"),
    ("[feed.b]\nurl = 'http://h'\nmap = 'kraken'\n", "http"),
])
def test_a_bad_one_changes_nothing(start, exchange, bad, said):
    daemon = start(HUB + feed(exchange, "a", "x@1"))
    exchange.wait_for(lambda: len(exchange.subscribed) == 1)
    lines = daemon.reload(HUB + feed(exchange, "a", "y@1") + bad)
    assert "was not applied, the old one stays" in lines[-1]
    assert any(said in line for line in lines)
    assert "was applied" in daemon.reload(HUB + feed(exchange, "a", "x@1", "z@1"))[-1]
    exchange.wait_for(lambda: len(exchange.subscribed) == 2)
    assert exchange.subscribed == [("SUBSCRIBE", "x@1"), ("SUBSCRIBE", "z@1")]


def test_what_needs_a_restart_is_said_and_nothing_applied(start, exchange):
    daemon = start(HUB)
    changed = HUB.replace("[hub]", '[hub]\nname = "other"').replace("history = 10", "history = 20")
    lines = daemon.reload(changed + feed(exchange, "a", "x@1"))
    assert lines[-1].endswith('a restart is needed for "history" of [topic."**"], "name" of [hub]') or lines[-1].endswith(
        'a restart is needed for "name" of [hub], "history" of [topic."**"]')
    assert exchange.connections == 0
    assert json.loads(daemon.request("/ws/status")[2])["hub"] == "hub"


def test_the_log_is_rotated_and_changed(start, tmp_path, manager):
    log, old = tmp_path / "hub.log", tmp_path / "hub.log.1"
    config = HUB + f'[log]\nfile = "{log}"\nformat = "json"\n'
    daemon = start(config, ready=False, environment={"NOTIFY_SOCKET": manager.name})
    manager.wait_for("READY")

    def reload(text):
        daemon.write(text)
        daemon.signal(signal.SIGHUP)
        manager.wait_for("READY")

    def lines(path=log):
        return [json.loads(line) for line in path.read_text().splitlines()]

    assert lines()[-1]["level"] == "info" and lines()[-1]["address"].startswith("127.0.0.1:")
    assert log.stat().st_mode & 0o777 == 0o600
    log.rename(old)
    reload(config)
    assert [line["message"] for line in lines()] == ["the configuration was applied"]
    log.rename(old)
    reload(HUB + "[nonsense]\n")
    assert [line["level"] for line in lines()] == ["error", "error"]
    reload(config + "level = 'error'\n")
    reload(config + "level = 'error'\n")
    assert len(lines()) == 2
    reload(config.replace("[hub]", "[hub]\nname = 'x'") + "level = 'info'\n")
    assert "restart is needed" in lines()[-1]["message"] and len(lines()) == 3


def test_the_level_of_the_library_changes_too(start, exchange):
    text = HUB + feed(exchange, "a", "x@1") + "[log]\nlevel = 'error'\n"
    daemon = start(text, ready=False)
    exchange.wait_for(lambda: exchange.connections == 1)
    daemon.write(text.replace("'error'", "'debug'"))
    daemon.signal(signal.SIGHUP)
    daemon.wait_for("was applied")
    assert "from=library" not in daemon.output.split("was applied")[0]
    daemon.reload(text.replace("'error'", "'debug'") + feed(exchange, "b", "y@1"))
    daemon.wait_for("[b] ")
    assert "from=library" in daemon.output
