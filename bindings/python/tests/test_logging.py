# SPDX-License-Identifier: Apache-2.0
"""The library's log in Python's logging."""

import logging
import os
import subprocess
import sys
import threading
import time

import pulsews
import pytest
from conftest import HERE, PACKAGE_ROOT, eventually
from station import FAST, Events

LINES = "%(levelname)s:%(name)s:%(message)s"


@pytest.fixture(autouse=True)
def as_before():
    logger = logging.getLogger("pulsews")
    yield
    logger.setLevel(logging.NOTSET)
    pulsews.enable_logging()


def lines(caplog, level=logging.NOTSET):
    return [record for record in caplog.records if record.name == "pulsews" and record.levelno >= level]


def test_a_lost_connection_is_a_warning_without_any_set_up(dial, station, caplog):
    with dial(station.url("/feed?key=hidden"), headers={"X-Key": "hidden"}, **FAST) as ws:
        station.session(0).abort()
        Events(ws).wait("state", state="reconnecting")
        assert eventually(lambda: lines(caplog, logging.WARNING))
        record = lines(caplog, logging.WARNING)[0]
        assert record.levelno == logging.WARNING and "127.0.0.1" in record.getMessage()
        assert abs(record.created - time.time()) < 60 and 0 <= record.msecs < 1000
    assert not any("hidden" in record.getMessage() for record in lines(caplog))


def test_end_of_trying_is_an_error(dial, station, caplog):
    with dial(station.url(), **{**FAST, "max_reconnect_attempts": 1}) as ws:
        station.kill()
        with pytest.raises(pulsews.PulseError):
            ws.recv(timeout=20)
        assert eventually(lambda: lines(caplog, logging.ERROR))


@pytest.mark.parametrize("level, seen", [
    ("DEBUG", True), ("debug", True), ("warning", False), (logging.DEBUG, True), ("INFO", True), ("WARNING", False)])
def test_levels(station, caplog, level, seen):
    # The last words of another case's client may come now.
    name = f"level-{level}"

    def mine():
        return [record for record in lines(caplog) if name in record.getMessage()]

    pulsews.enable_logging(level)
    with pulsews.connect(station.url(), name=name, **FAST) as ws:
        ws.wait_ready(timeout=10)
    if seen:
        assert eventually(lambda: any(record.levelno == logging.INFO for record in mine()))
    else:
        pulsews.disable_logging()  # delivers what is there
        assert not mine()


def test_lines_tell_clients_of_one_url_apart(dial, station, caplog):
    pulsews.enable_logging("INFO")
    with dial(station.url(), **FAST) as one, dial(station.url(), **FAST) as two:
        numbers = [f"#{repr(getattr(ws, '_client', ws)).split('#')[1].split(' ')[0]}]" for ws in (one, two)]
        assert numbers[0] != numbers[1]
        for number in numbers:
            assert eventually(lambda: [line for line in lines(caplog) if number in line.getMessage()])


def test_debug_tells_more_than_info(station, caplog):
    counts = []
    for level in ("INFO", "DEBUG"):
        caplog.clear()
        pulsews.enable_logging(level)
        with pulsews.connect(station.url(), **FAST):
            pass
        pulsews.disable_logging()
        counts.append(len(lines(caplog)))
    assert counts[0] < counts[1]


def test_the_level_is_the_logger_s_without_one(station, caplog):
    caplog.set_level(logging.INFO, "pulsews")
    pulsews.enable_logging()
    with pulsews.connect(station.url(), **FAST):
        pass
    assert eventually(lambda: lines(caplog))
    caplog.set_level(logging.CRITICAL, "pulsews")
    pulsews.enable_logging()
    assert "pulsews-log" not in [thread.name for thread in threading.enumerate()]


def test_bad_level():
    with pytest.raises(ValueError, match="'loud'.*DEBUG, INFO, WARNING, ERROR and CRITICAL"):
        pulsews.enable_logging("loud")
    with pytest.raises(TypeError):
        pulsews.enable_logging(1.5)


def test_off_and_on_again(station, caplog):
    for _ in range(3):
        pulsews.enable_logging("INFO")
        pulsews.enable_logging("INFO")
        assert [thread.name for thread in threading.enumerate()].count("pulsews-log") == 1
        pulsews.disable_logging()
        pulsews.disable_logging()
        assert "pulsews-log" not in [thread.name for thread in threading.enumerate()]
        caplog.clear()
        with pulsews.connect(station.url(), **FAST):
            pass
        assert not lines(caplog)


def test_a_broken_handler_does_not_end_the_log(station, caplog, capsys):
    class Broken(logging.Handler):
        def emit(self, record):
            raise KeyError("broken handler")

    broken = Broken()
    logger = logging.getLogger("pulsews")
    logger.addHandler(broken)
    try:
        pulsews.enable_logging("INFO")
        for _ in range(2):
            with pulsews.connect(station.url(), **FAST):
                pass
        assert eventually(lambda: capsys.readouterr().err.count("broken handler") >= 1)
        assert "pulsews-log" in [thread.name for thread in threading.enumerate()]
    finally:
        pulsews.disable_logging()
        logger.removeHandler(broken)
        capsys.readouterr()


PROGRAM = (
    "import logging, os, sys, threading, pulsews\n"
    "{setup}\n"
    "ws = pulsews.connect(sys.argv[1], reconnect_base_delay='20ms', jitter=0)\n"
    "print('threads', *[t.name for t in threading.enumerate()], flush=True)\n"
    "sys.stdin.readline()\n"
    "while ws.state != 'reconnecting' and ws.statistics()['connections'] < 2: pass\n"
    "{end}\n"
)


@pytest.mark.parametrize("setup, threads, warned", [
    ("", "MainThread", False),
    (f"logging.basicConfig(format='{LINES}')", "MainThread pulsews-log", True),
    (f"logging.basicConfig(format='{LINES}', level=logging.CRITICAL)", "MainThread", False),
    ("logging.getLogger('pulsews').propagate = False; logging.basicConfig()", "MainThread", False),
    (f"pulsews.enable_logging(); logging.basicConfig(format='{LINES}')", "MainThread pulsews-log", True),
    (f"logging.basicConfig(format='{LINES}'); pulsews.disable_logging()", "MainThread", False),
])
@pytest.mark.parametrize("end", ["", "ws.close()", "sys.exit(0)"])
def test_programs(station, setup, threads, warned, end):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(PACKAGE_ROOT), str(HERE)]))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(setup=setup, end=end), station.url()],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )
    try:
        assert process.stdout.readline().split() == ["threads", *threads.split()]
        station.session(0).abort()
        error = process.communicate("go\n", timeout=30)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, error
    assert ("WARNING:pulsews:" in error) == warned, error
    if not warned:
        assert error == ""


def test_the_environment_variable_has_its_way(station, python, monkeypatch):
    monkeypatch.setenv("PULSEWS_LOG", "info")
    process = python(
        "import logging, sys, threading, pulsews\n"
        f"logging.basicConfig(format='{LINES}')\n"
        "with pulsews.connect(sys.argv[1]): print(*[t.name for t in threading.enumerate()])\n",
        station.url(),
    )
    out, error = process.communicate(timeout=30)
    assert out == "MainThread\n" and "127.0.0.1" in error and "INFO:pulsews" not in error


LOST = (
    "import sys, pulsews\n"
    "{setup}\n"
    "ws = pulsews.connect(sys.argv[1], name='mine', reconnect_base_delay='20ms')\n"
    "other = pulsews.connect(sys.argv[1], name='mine', reconnect_base_delay='20ms')\n"
    "print('connected', flush=True)\n"
    # The server may know either of them as its first session.
    "while ws.statistics()['connections'] + other.statistics()['connections'] < 3: pass\n"
    "ws.close(); other.close()\n"
)


@pytest.mark.parametrize("setup, environment, seen", [
    ("pulsews.enable_logging('warning')", None, True),
    ("pulsews.enable_logging('warning')", "debug", True),
    ("", "warning", True),
    ("", "Warning", True),
    ("", "off", False),
    ("", None, False),
    ("pulsews.enable_logging('warning'); pulsews.disable_logging()", None, False),
])
def test_a_log_that_was_asked_for_is_seen_without_a_handler(station, python, monkeypatch, setup, environment, seen):
    """The library's lines, and those of the package: of the namesake."""
    monkeypatch.delenv("PULSEWS_LOG", raising=False)
    if environment is not None:
        monkeypatch.setenv("PULSEWS_LOG", environment)
    process = python(LOST.format(setup=setup), station.url())
    assert process.stdout.readline() == "connected\n"
    station.session(0).abort()
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 0, error
    assert (error.count("[mine]") >= 1) == seen and error.count("same name") == seen, error
    assert ("connection reset" in error) == seen and error.count("connection reset") <= 1, error
    assert seen or error == ""


def test_an_unknown_level_in_the_environment_is_told(station, python, monkeypatch):
    monkeypatch.setenv("PULSEWS_LOG", "loud")
    process = python(
        "import logging, sys, pulsews\n"
        f"logging.basicConfig(format='{LINES}', level=logging.INFO)\n"
        "for _ in range(2): pulsews.connect(sys.argv[1]).close()\n",
        station.url(),
    )
    error = process.communicate(timeout=30)[1]
    assert error.count("RuntimeWarning") == 1 and "'loud'" in error
    assert "off, error, warning, info and debug" in error.replace("\n", " ")
    assert "INFO:pulsews" in error  # and the handlers count


def test_forked_child_logs_on(station, python):
    process = python(
        "import logging, os, sys, threading, pulsews\n"
        f"logging.basicConfig(format='{LINES}', level=logging.INFO)\n"
        "def names(): return [t.name for t in threading.enumerate()]\n"
        "ws = pulsews.connect(sys.argv[1], name='parent')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print(*names(), flush=True)\n"
        "    with pulsews.connect(sys.argv[1], name='child'): print(*names(), flush=True)\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "print(*names(), flush=True)\n"
        "ws.close()\n",
        station.url(),
    )
    out, error = process.communicate(timeout=40)
    assert out.split("\n") == ["MainThread", "MainThread pulsews-log", "MainThread pulsews-log", ""], error
    assert process.returncode == 0 and "parent" in error and "child" in error


def test_waiting_for_lines_leaves_the_interpreter_alone(station):
    pulsews.enable_logging("INFO")
    start = time.process_time()
    threading.Event().wait(0.5)
    assert time.process_time() - start < 0.1
