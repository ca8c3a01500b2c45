# SPDX-License-Identifier: Apache-2.0
"""The library's log in Python's ``logging``, under the name "pulsews".

A daemon thread waits for lines without the interpreter lock. It starts with the first client that is made while the
logger has a handler of the application's, and costs nothing where there is none. Where gevent or eventlet has replaced
threads by its own, that one looks for lines now and then: to wait in the library would stop them all.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import sys
import threading
import time
import traceback
import warnings
from typing import Optional, Union

from . import _contract, _native
from ._cooperative import threads_are_green
from ._errors import InvalidArgument

_lib = _native.lib

logger = logging.getLogger("pulsews")


class _Fallback(logging.Handler):
    """Standard error, for an application that has asked for the log and has no handler."""

    def emit(self, record: logging.LogRecord) -> None:
        if _Reader.wanted and not _has_handler() and sys.stderr is not None:
            sys.stderr.write(self.format(record) + "\n")


_fallback = _Fallback()
_fallback.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
logger.addHandler(_fallback)

# Lines that wait while a handler is slow; older ones are lost, and one line tells how many.
CAPACITY = 1000
LINE = 4096
# A green thread looks for lines so often, in seconds.
_LOOK = 0.05
_LEVELS = {
    _contract.LOG_ERROR: logging.ERROR,
    _contract.LOG_WARNING: logging.WARNING,
    _contract.LOG_INFO: logging.INFO,
    _contract.LOG_DEBUG: logging.DEBUG,
}


class _Reader:
    """The state of this module."""

    lock = threading.Lock()
    thread: Optional[threading.Thread] = None
    # Whether somebody has decided, so that making a client does not decide again.
    decided = False
    # Whether the application has asked for it, so that lines must not vanish for want of a handler.
    wanted = False
    # Whether the thread ran before a fork and has to be started again in the child.
    lost = False
    # Whether a wrong PULSEWS_LOG was told.
    warned = False


def _native_level(level: int) -> int:
    """The library's level for one of ``logging``: everything from there on up."""
    if level <= logging.DEBUG:
        return _contract.LOG_DEBUG
    if level <= logging.INFO:
        return _contract.LOG_INFO
    if level <= logging.WARNING:
        return _contract.LOG_WARNING
    return _contract.LOG_ERROR if level <= logging.ERROR else _contract.LOG_OFF


def enable_logging(level: Union[int, str, None] = None) -> None:
    """Brings the library's log to the logger "pulsews" of ``logging``, from now on and from ``level`` up.

    ``level`` is one of ``logging``'s levels (``"debug"``, ``logging.INFO``) and becomes the logger's; without it the
    logger's own counts, as it is at this moment. Where the lines go is up to ``logging``'s handlers; while there is
    none, to standard error.

    It happens by itself when a client is made and the logger, or one above it, has a handler; call it when the level
    has changed since, or handlers came later. It takes the log over from the environment variable PULSEWS_LOG.
    """
    if level is not None:
        try:
            logger.setLevel(level.strip().upper() if isinstance(level, str) else level)
        except ValueError:
            raise InvalidArgument(
                f"level is {level!r}; allowed are DEBUG, INFO, WARNING, ERROR and CRITICAL, or a number of logging's"
            ) from None
    _Reader.wanted = True
    _turn_on()


def _turn_on() -> None:
    with _Reader.lock:
        _Reader.decided = True
        _start(_native_level(logger.getEffectiveLevel()))


def disable_logging() -> None:
    """Ends what :func:`enable_logging` began. What was logged before is delivered first."""
    _Reader.wanted = False
    with _Reader.lock:
        _Reader.decided = True
        _stop()


def start_if_wanted() -> None:
    """For each new client: starts the log unless it was decided before, and only if somebody would see it."""
    if _Reader.decided:
        if _Reader.lost:
            _turn_on()
        return
    chosen = os.environ.get("PULSEWS_LOG", "").strip()
    if chosen.lower() in ("off", "error", "warning", "info", "debug"):
        # The library writes to standard error by itself, and so do the lines of this package.
        _Reader.decided = True
        _Reader.wanted = chosen.lower() != "off"
        return
    if chosen and not _Reader.warned:
        _Reader.warned = True
        warnings.warn(
            f"the environment variable PULSEWS_LOG is {chosen!r} and counts for nothing; allowed are off, error, warning, "
            "info and debug", RuntimeWarning, stacklevel=2,
        )
    if _has_handler():
        _turn_on()


def _has_handler() -> bool:
    one: Optional[logging.Logger] = logger
    while one is not None:
        if any(not isinstance(handler, (logging.NullHandler, _Fallback)) for handler in one.handlers):
            return True
        one = one.parent if one.propagate else None
    return False


def _start(level: int) -> None:
    _Reader.lost = False
    if level == _contract.LOG_OFF:
        _stop()
        return
    _lib.pulsews_log_queue(level, CAPACITY)
    if _Reader.thread is None or not _Reader.thread.is_alive():
        _Reader.thread = threading.Thread(target=_run, name="pulsews-log", daemon=True)
        _Reader.thread.start()


def _stop() -> None:
    thread, _Reader.thread = _Reader.thread, None
    if thread is None or not thread.is_alive():
        return
    line = _Line()
    while line.next(0) >= 0:
        line.emit()
    _lib.pulsews_log_stderr(_contract.LOG_OFF)
    if thread is not threading.current_thread():
        thread.join(1)


class _Line:
    """One line of the log."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(LINE)
        self._level = ctypes.c_int32()
        self._time = ctypes.c_int64()
        self._length = 0

    def next(self, timeout_ns: int) -> int:
        self._length = _lib.pulsews_log_next(
            self._buffer, LINE, ctypes.byref(self._level), ctypes.byref(self._time), timeout_ns
        )
        return self._length

    def emit(self) -> None:
        level = _LEVELS.get(self._level.value, logging.INFO)
        if not logger.isEnabledFor(level):
            return
        text = self._buffer.raw[: min(self._length, LINE - 1)].decode("utf-8", "replace").rstrip("\0")
        record = logger.makeRecord(logger.name, level, "pulsews", 0, text, (), None)
        # When it happened, not when this thread came to it.
        created = self._time.value / 1e9
        record.relativeCreated += (created - record.created) * 1000
        record.created = created
        record.msecs = float(self._time.value // 1_000_000 % 1000)
        try:
            logger.handle(record)
        except Exception:
            # As logging's own handlers do: a broken handler must not end the log.
            if logging.raiseExceptions and sys.stderr is not None:
                traceback.print_exc()


def _run() -> None:
    line = _Line()
    green = threads_are_green()
    while True:
        status = line.next(0 if green else _native.FOREVER)
        if status >= 0:
            line.emit()
        elif status != _contract.ETIMEOUT:
            return
        elif green:
            time.sleep(_LOOK)


def _at_exit() -> None:
    with _Reader.lock:
        _stop()


def _after_fork() -> None:
    _Reader.lock = threading.Lock()
    _Reader.lost = _Reader.thread is not None
    _Reader.thread = None


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
