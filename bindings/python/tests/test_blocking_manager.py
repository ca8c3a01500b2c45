# SPDX-License-Identifier: Apache-2.0
"""pulsews.BlockingManager: callbacks without asyncio."""

import threading

import pulsews
import pytest
from conftest import Calls, eventually
from station import FAST


class Running:
    """run_forever() in a thread of its own."""

    def __init__(self, manager):
        self.problem = None
        self._manager = manager
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._manager.run_forever()
        except BaseException as problem:
            self.problem = problem

    def join(self):
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.problem


def test_callbacks_in_order_until_disconnect(station):
    station.greeting = lambda session: ['{"n": 1}', "text", b"binary"]
    calls = Calls()
    manager = pulsews.BlockingManager(station.url(), **calls.callbacks(), **FAST)
    assert manager.state == "disconnected"
    manager.send({"waits": True})
    running = Running(manager)
    manager.wait_ready(timeout=10)
    assert manager.is_connected and manager.is_ready
    assert eventually(lambda: len(calls.named("on_message")) == 3)
    manager.send_many([{"a": 1}, "b"])
    manager.flush(5)
    manager.disconnect()
    assert running.join() is None
    assert calls.named("on_message") == [({"n": 1},), ("text",), (b"binary",)]
    names = [name for name, *_ in calls.calls]
    assert names[0] == "on_state_change" and names.index("on_connect") < names.index("on_disconnect")
    assert names[-1] == "on_disconnect" or names[-1] == "on_state_change"
    assert station.session(0).texts == ['{"waits":true}', '{"a":1}', "b"]
    assert manager.status()["callback_errors"] == 0


def test_it_runs_again_after_a_disconnect(station):
    calls = Calls()
    manager = pulsews.BlockingManager(
        station.url(), on_connect=lambda: (calls.calls.append(("on_connect",)), manager.disconnect()), **FAST
    )
    for number in (1, 2):
        manager.run_forever()
        assert len(calls.named("on_connect")) == number and manager.state == "disconnected"
    manager.close()
    with pytest.raises(pulsews.ConnectionClosed):
        manager.run_forever()


def test_a_lost_connection_comes_back(station):
    calls = Calls()
    manager = pulsews.BlockingManager(station.url(), **calls.callbacks(), **FAST)
    running = Running(manager)
    manager.wait_ready(10)
    station.session(0).abort()
    assert eventually(lambda: len(calls.named("on_connect")) == 2)
    assert len(calls.named("on_disconnect")) == 1 and calls.named("on_error")
    manager.close()
    assert running.join() is None


def test_the_end_of_trying_is_raised(station):
    station.kill()
    calls = Calls()
    manager = pulsews.BlockingManager(station.url(), **calls.callbacks(), **{**FAST, "max_reconnect_attempts": 2})
    with pytest.raises(pulsews.ConnectError):
        manager.run_forever()
    assert manager.state == "error" and len(calls.named("on_error")) >= 2


def test_exceptions_in_callbacks_are_counted_and_survived(station, caplog):
    station.greeting = lambda session: ["a", "b", "end"]
    errors = []

    def handle(message):
        if message == "end":
            return manager.disconnect()
        raise KeyError(message)

    manager = pulsews.BlockingManager(station.url(), on_message=handle, on_error=errors.append, **FAST)
    manager.run_forever()
    assert [type(error) for error in errors] == [KeyError, KeyError]
    assert manager.get_status()["callback_errors"] == 2
    assert len([record for record in caplog.records if "on_message" in record.getMessage() and record.exc_info]) == 2


def test_an_async_callback_is_an_error(station):
    async def handle(message):
        pass

    errors = []
    manager = pulsews.BlockingManager(
        station.url(), on_message=handle, on_error=lambda error: (errors.append(error), manager.disconnect()), **FAST
    )
    station.greeting = lambda session: ["x"]
    manager.run_forever()
    assert isinstance(errors[0], TypeError) and "WebSocketManager" in str(errors[0])


def test_one_run_at_a_time(station):
    manager = pulsews.BlockingManager(station.url(), **FAST)
    running = Running(manager)
    manager.wait_ready(10)
    with pytest.raises(RuntimeError, match="running"):
        manager.run_forever()
    manager.close()
    assert running.join() is None


def test_a_failing_login_function_is_told_to_on_error(station):
    errors = []

    def login():
        if not errors:
            raise KeyError("no key yet")

    manager = pulsews.BlockingManager(
        station.url(), login=login, login_timeout="50ms", on_error=errors.append,
        on_connect=lambda: manager.disconnect(), **FAST
    )
    manager.run_forever()
    assert isinstance(errors[0], KeyError) and manager.status()["callback_errors"] == 1


def test_ctrl_c_in_the_function_for_the_url():
    def url():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pulsews.BlockingManager(url).run_forever()
