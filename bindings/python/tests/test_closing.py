# SPDX-License-Identifier: Apache-2.0
"""Every way a connection ends, and what the calls say then."""

import threading
import time

import pulsews
import pytest
from conftest import accept_upgrade, frame


@pytest.mark.parametrize("code", [1000, 1001])
def test_iteration_ends_at_an_orderly_close(peer, code):
    with pulsews.connect(peer.url(f"/push?n=100&close={code}&reason=bye"), reconnect=False) as ws:
        assert list(ws) == [str(number) for number in range(100)]
        assert list(ws) == []
        assert ws.close_code == code and ws.close_reason == "bye"
        for receive in (ws.recv, ws.recv_batch, ws.recv_message):
            with pytest.raises(pulsews.ConnectionClosed) as caught:
                receive()
            assert caught.value.code == code and caught.value.reason == "bye"
            assert caught.value.name == "PULSEWS_EPEERCLOSED" and caught.value.error_code == -203


def test_iteration_ends_at_a_close_without_code(raw_server):
    def script(connection):
        accept_upgrade(connection)
        connection.sendall(frame(1, b"a") + frame(8))
        connection.recv(100)

    with pulsews.connect(raw_server(script).url, reconnect=False) as ws:
        assert list(ws) == ["a"] and ws.close_code == 1005


@pytest.mark.parametrize("code", [1008, 1011, 1012, 4001])
def test_iteration_raises_at_other_codes(peer, code):
    with pulsews.connect(peer.url(f"/close?code={code}&reason=gr%C3%BCn"), reconnect=False) as ws:
        received = []
        with pytest.raises(pulsews.ConnectionClosed) as caught:
            for message in ws:
                received.append(message)
        assert received == ["last words"] and caught.value.code == code and caught.value.reason == "grün"


def test_lost_connection_delivers_what_had_arrived_first(peer):
    with pulsews.connect(peer.url("/abort"), reconnect=False) as ws:
        ws.send("go")
        received = []
        with pytest.raises(pulsews.ConnectionClosed) as caught:
            for message in ws:
                received.append(message)
        assert received == ["last words"] and caught.value.code == 1006
        assert caught.value.name in ("PULSEWS_ERESET", "PULSEWS_EEOF") and caught.value.retryable


def test_after_an_own_close(peer):
    ws = pulsews.connect(peer.url("/push?n=3"))
    first = ws.recv(timeout=10)
    ws.close(4001, "genug")
    ws.close()
    assert first == "0" and [*ws][:2] in ([], ["1"], ["1", "2"])
    for call in (ws.recv, ws.recv_batch, ws.recv_message):
        with pytest.raises(pulsews.ConnectionClosed):
            call()
    for call in (lambda: ws.send("x"), ws.ping):
        with pytest.raises((pulsews.ConnectionClosed, pulsews.NotConnected)):
            call()
    assert ws.state == "disconnected" and ws.status()["state"] == "disconnected" and ws.close_code == 4001
    ws.events()


def test_sending_after_the_peer_closed(peer):
    with pulsews.connect(peer.url("/close?code=1000"), reconnect=False) as ws:
        assert list(ws) == ["last words"]
        with pytest.raises((pulsews.NotConnected, pulsews.ConnectionClosed)):
            ws.send("x")


def test_close_waits_no_longer_than_close_timeout(raw_server):
    release = threading.Event()

    def script(connection):
        accept_upgrade(connection)
        release.wait(30)

    ws = pulsews.connect(raw_server(script).url, close_timeout=0.5)
    start = time.monotonic()
    ws.close()
    assert 0.4 <= time.monotonic() - start < 5
    assert ws.close_code == 1006
    release.set()


@pytest.mark.parametrize("call", ["recv", "recv_batch", "recv_message", "iterate", "two"])
def test_close_while_other_threads_receive(peer, call):
    ws = pulsews.connect(peer.url("/wait"))
    entered, results = threading.Barrier(3 if call == "two" else 2), []

    def work():
        entered.wait(10)
        try:
            results.append(list(ws) if call == "iterate" else getattr(ws, "recv" if call == "two" else call)())
        except pulsews.ConnectionClosed as end:
            results.append(end.name)

    threads = [threading.Thread(target=work) for _ in range(entered.parties - 1)]
    for thread in threads:
        thread.start()
    entered.wait(10)
    threads[0].join(0.4)  # past the first slice of the wait
    assert threads[0].is_alive()
    start = time.monotonic()
    ws.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert time.monotonic() - start < 3
    assert results == [[]] if call == "iterate" else set(results) == {"PULSEWS_ECLOSED"}


def test_two_threads_close_at_once(peer):
    for _ in range(20):
        ws = pulsews.connect(peer.url("/wait"))
        together, problems = threading.Barrier(2), []

        def work():
            together.wait(10)
            try:
                ws.close()
            except Exception as problem:
                problems.append(problem)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert not problems and ws.state == "disconnected"


def test_leaving_the_block_with_an_exception_closes(peer):
    with pytest.raises(KeyError):
        with pulsews.connect(peer.url("/wait")) as ws:
            raise KeyError
    assert ws.state == "disconnected"


def test_forgotten_client_warns(peer):
    ws = pulsews.connect(peer.url("/wait"))
    with pytest.warns(ResourceWarning, match="was not closed"):
        del ws


def test_a_disconnect_sends_for_all_its_time(dial, station):
    with dial(station.url(), rate_limit="1/100ms", close_timeout=0.15, backlog_interval=0) as ws:
        for _ in range(5):
            ws.send("order")
        ws.disconnect(timeout=20)
        assert ws.statistics()["messages_sent"] == 5


def test_a_close_says_what_was_not_sent(dial, station):
    with dial(station.url(), rate_limit="2/60s", close_timeout=0.2, backlog_interval=0) as ws:
        for _ in range(4):
            ws.send("order")
        with pytest.raises(pulsews.MessagesUnsent) as caught:
            ws.disconnect(timeout=0.05)
        assert caught.value.name == "PULSEWS_EUNSENT" and ws.statistics()["messages_failed"] == 2


def test_the_end_of_a_block_says_what_was_not_sent(raw_server):
    release = threading.Event()

    def script(connection):
        accept_upgrade(connection)
        release.wait(30)  # it takes nothing

    try:
        for error, raised in ((None, pulsews.MessagesUnsent), (KeyError, KeyError)):
            with pytest.raises(raised):
                with pulsews.connect(raw_server(script).url, close_timeout=0.2, compression=False) as ws:
                    ws.send_many([b"x" * (1 << 20)] * 40)
                    if error:
                        raise error  # it is not hidden by what the end of the block would raise
    finally:
        release.set()


def test_close_at_exit(peer, python):
    """From Python 3.12 on no thread can be started any more by then."""
    program = """
import atexit, sys, threading, pulsews
ws = pulsews.connect(sys.argv[1])
def refuse(self):
    raise RuntimeError("can't create new thread at interpreter shutdown")
def end():
    threading.Thread.start = refuse
    ws.close()
    print(ws.state)
atexit.register(end)
"""
    process = python(program, peer.url("/wait"))
    out, errors = process.communicate(timeout=20)
    assert out.split() == ["disconnected"] and errors == ""
