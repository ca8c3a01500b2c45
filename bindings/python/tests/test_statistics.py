# SPDX-License-Identifier: Apache-2.0
"""Numbers: the tables, statistics() against status(), and the Prometheus text."""

import json
import math
import re

import pulsews
import pytest
from conftest import eventually
from station import FAST, balanced

LABEL = r'[a-z_]+="(?:[^"\\]|\\.)*"'
SAMPLE = re.compile(rf"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{{{LABEL}(?:,{LABEL})*\}})? (\S+)$")


def test_statistic_table():
    table = pulsews.statistic_table()
    names = [row.name for row in table]
    assert len(names) == len(set(names)) > 60
    for row in table:
        assert row.type in ("counter", "gauge") and row.unit and row.meaning and row.name.islower(), row


def test_transition_table():
    table = pulsews.transition_table()
    known = {"disconnected", "connecting", "connected", "reconnecting", "error"}
    assert {row.state for row in table} == {row.next_state for row in table} == known
    assert len({(row.state, row.event) for row in table}) == len(table) >= 15
    assert all(row.meaning for row in table)
    found = {(row.state, row.event): row.next_state for row in table}
    assert found["connected", "retry"] == "reconnecting" and found["error", "reconnect"] == "reconnecting"
    assert found["reconnecting", "give_up"] == "error"


def test_statistics_are_the_table_and_the_status(dial, station):
    station.answers = lambda session, message: message
    with dial(station.url(), heartbeat_interval="20ms", **FAST) as ws:
        ws.send("text")
        assert ws.recv(timeout=10) == "text"
        assert eventually(lambda: ws.latency is not None)
        stats = ws.statistics()
        assert list(stats) == [row.name for row in pulsews.statistic_table()]
        assert all(isinstance(value, float) for value in stats.values())
        status = ws.status()["stats"]
        for name in stats:
            assert name in status or name in ws.status(), name
        assert stats["messages_sent"] == status["messages_sent"] == 1
        assert stats["payload_bytes_sent"] == stats["payload_bytes_received"] == 4
        assert stats["bytes_sent"] > 4 and stats["connect_time"] > 0 and stats["state"] == 2
        assert 0 < stats["latency_min"] <= stats["latency"] <= stats["latency_max"] < 5
        assert 0 < stats["uptime"] < 60
        assert json.dumps(status)


def test_what_is_not_known_is_nan_and_none(dial, station):
    with dial(station.url(), heartbeat_interval=0, **FAST) as ws:
        assert math.isnan(ws.statistics()["latency"]) and ws.latency is None
        assert ws.status()["stats"]["latency"] is None


def test_counters_only_grow_over_reconnects(dial, station):
    counters = [row.name for row in pulsews.statistic_table() if row.type == "counter"]
    with dial(station.url(), **FAST) as ws:
        before = ws.statistics()
        for turn in range(4):
            ws.send_many(["x"] * 10)
            station.session(turn).send("y")
            assert ws.recv(timeout=10) == "y"
            after = ws.statistics()
            assert all(after[name] >= before[name] for name in counters), turn
            before = after
            station.restart()
            station.session(turn + 1)
        ws.flush(timeout=10)
        assert eventually(lambda: ws.statistics()["reconnections"] == 4)
        assert balanced(ws)


def test_the_queue_counts_what_was_fetched_ahead(dial, station):
    with dial(station.url(), **FAST) as ws:
        for number in range(10):
            station.session(0).send(str(number))
        assert eventually(lambda: ws.statistics()["messages_received"] == 10)
        assert ws.recv(timeout=10) == "0"
        assert ws.statistics()["receive_queue_size"] >= 9


def samples(text):
    found, helped, typed = [], [], {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.append(line.split()[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in typed and kind in ("counter", "gauge")
            typed[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match, line
            float(match[3])
            found.append((match[1], match[2] or ""))
    assert len(helped) == len(set(helped)) and text.endswith("\n")
    assert {name for name, _ in found} <= set(typed)
    return found


def test_prometheus(dial, station):
    with dial(station.url("/feed?key=secret"), name='our "feed"', **FAST) as ws:
        text = ws.prometheus()
        found = samples(text)
        assert len(found) > 50 and len(found) == len(set(found))
        assert 'client="our \\"feed\\""' in text and "secret" not in text
        assert any("messages_sent" in name for name, _ in found)


def test_prometheus_of_the_process(dial, station):
    with dial(station.url(), name="one") as first, dial(station.url(), name="two") as second:
        assert first.is_ready and second.is_ready
        text = pulsews.prometheus()
        samples(text)
        assert 'client="one"' in text and 'client="two"' in text
    with pytest.raises(AssertionError):
        samples("not a metric\n")
