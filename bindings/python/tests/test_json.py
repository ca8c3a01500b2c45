# SPDX-License-Identifier: Apache-2.0
"""JSON of messages: refused where it is none, and made and read by the application's own functions."""

import json
import logging
import math
from decimal import Decimal

import pulsews
import pytest
from conftest import eventually, until
from station import FAST

BAD = [({"price": math.nan}, "nan at ['price']"), ([1, {"a": [math.inf]}], "inf at [1]['a'][0]"), ((-math.inf,), "-inf")]


@pytest.mark.parametrize("value, where", BAD)
def test_what_json_has_no_word_for_is_refused(dial, station, value, where):
    with dial(station.url(), **FAST) as ws:
        for call in (lambda: ws.send(value), lambda: ws.send_many(["fine", value])):
            with pytest.raises(ValueError, match="JSON") as caught:
                call()
            assert where in str(caught.value) and isinstance(caught.value, pulsews.PulseError)
        if not isinstance(value, tuple):
            with pytest.raises(ValueError, match="JSON"):
                ws.subscribe("key", value)
        assert ws.statistics()["messages_accepted"] == 0


@pytest.mark.parametrize("value", [{"price": math.nan}, {"a": "\ud800"}])
def test_the_managers_refuse_it_as_well(arun, station, value):
    async def main():
        manager = pulsews.WebSocketManager(station.url(), **FAST)
        if isinstance(value["price"] if "price" in value else None, float):
            with pytest.raises(ValueError, match="JSON"):
                await manager.send(value)
        else:
            await manager.send(value)  # json.dumps escapes it
            assert manager.get_status()["queue_size"] == 1

    arun(main())
    with pytest.raises(ValueError, match="JSON"):
        pulsews.BlockingManager(station.url()).send({"price": math.nan})


def test_a_value_that_holds_itself_is_one_sentence(station):
    value = []
    value.append([value, value])
    with pytest.raises(ValueError, match="Circular"):
        pulsews.Client(station.url(), {}).send(value)


def test_dicts_and_lists_are_sent_as_json(dial, station):
    with dial(station.url(), **FAST) as ws:
        ws.send({"op": "subscribe", "args": ["a", 1.5, None]})
        ws.send([1])
        ws.send_many([{"b": "ü"}, "text", b"binary"])
        assert eventually(lambda: len(station.session(0).messages) == 5)
        assert station.session(0).messages == [
            '{"op":"subscribe","args":["a",1.5,null]}', "[1]", '{"b":"\\u00fc"}', "text", b"binary"]


def decimals(value):
    return json.dumps(value, default=str).encode()  # bytes, as orjson gives them


def test_own_functions(dial, station):
    station.answers = lambda session, message: message
    with dial(
        station.url(), dump_json=decimals, parse_json=lambda text: json.loads(text, parse_float=Decimal),
        login=lambda: {"login": Decimal("1.10")}, **FAST
    ) as ws:
        ws.send({"price": Decimal("0.10")})
        ws.subscribe("k", {"sub": Decimal("2.50")})
        found = [ws.recv(timeout=5) for _ in range(3)]
        assert {"login": "1.10"} in found and {"price": "0.10"} in found and {"sub": "2.50"} in found
        ws.send('{"price": 0.10}')
        assert ws.recv_message(timeout=5).data == {"price": Decimal("0.10")}
        ws.send("[0.10]")
        assert ws.recv_batch(timeout=5) == [[Decimal("0.10")]]
        assert all(isinstance(message, str) for message in station.session(0).messages)


@pytest.mark.parametrize("parse, sent, got", [
    (True, '{"a": 1}', {"a": 1}), (True, "[1]", [1]), (True, "text", "text"), (True, "{broken", "{broken"), (True, "5", "5"),
    (True, b"{}", b"{}"), (False, '{"a": 1}', '{"a": 1}'),
])
def test_what_is_received(dial, station, parse, sent, got):
    with dial(station.url(), parse_json=parse, **FAST) as ws:
        for call in (ws.recv, lambda **k: ws.recv_message(**k).data, lambda **k: ws.recv_batch(**k)[0]):
            station.session(0).send(sent)
            assert call(timeout=5) == got
        station.session(0).send(sent)
        station.session(0).send(sent)
        messages = iter(ws)
        assert [next(messages), next(messages)] == [got, got]


def test_a_function_that_fails_loses_no_message(dial, station, caplog):
    def bad(text):
        raise KeyError("bug")

    with dial(station.url(), parse_json=bad, **FAST) as ws:
        for _ in range(3):
            station.session(0).send("{}")
        assert [ws.recv(timeout=5) for _ in range(3)] == ["{}"] * 3
    assert len([r for r in caplog.records if "parse_json" in r.getMessage() and r.levelno == logging.ERROR]) == 1


@pytest.mark.parametrize("value", [None, 0, 1, "yes", []])
def test_parse_json_is_true_false_or_a_function(dial, station, value):
    for make in (dial, pulsews.WebSocketManager, pulsews.BlockingManager):
        with pytest.raises(ValueError, match="parse_json is .*allowed are True, False and a function"):
            make(station.url(), parse_json=value)
    assert not station.requests


def test_dump_json_is_a_function_that_gives_text(dial, station):
    for make in (dial, pulsews.WebSocketManager, pulsews.BlockingManager):
        with pytest.raises(ValueError, match="dump_json"):
            make(station.url(), dump_json=5)
    with pytest.raises(TypeError, match="dump_json must give str or bytes"):
        pulsews.Client(station.url(), {}, dump_json=lambda value: 5).send({})


def test_the_manager_s_own_functions(arun, station):
    station.answers = lambda session, message: message
    received = []

    async def main():
        async with pulsews.WebSocketManager(
            station.url(), on_message=received.append, dump_json=decimals,
            parse_json=lambda text: json.loads(text, parse_float=Decimal), **FAST
        ) as manager:
            await manager.send({"a": Decimal("1.10")})
            await manager.send('{"b": 1.10}')
            await until(lambda: received == [{"a": "1.10"}, {"b": Decimal("1.10")}])

    arun(main())
