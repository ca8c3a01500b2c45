# SPDX-License-Identifier: Apache-2.0
"""The library's tables of statistics, state transitions and errors."""

from __future__ import annotations

import ctypes
from typing import Any, Dict, List, NamedTuple

from . import _contract, _native
from ._contract import STATES
from ._errors import class_of

_lib = _native.lib


class Statistic(NamedTuple):
    """One row of the library's table of statistics."""

    name: str
    type: str
    """``"counter"`` (only grows) or ``"gauge"`` (the value of this moment)."""
    unit: str
    meaning: str


class Transition(NamedTuple):
    """One row of the state machine: in ``state``, ``event`` leads to ``next_state``."""

    state: str
    event: str
    next_state: str
    meaning: str


def state_name(number: int) -> str:
    return STATES[number] if 0 <= number < len(STATES) else str(number)


def statistic_table() -> List[Statistic]:
    """Every number that :meth:`Client.statistics` gives, with type, unit and meaning."""
    rows: List[Statistic] = []
    fields = [ctypes.c_char_p() for _ in range(4)]
    references = [ctypes.byref(field) for field in fields]
    while _lib.pulsews_statistic_at(len(rows), *references) == _contract.OK:
        rows.append(Statistic(*((field.value or b"").decode() for field in fields)))
    return rows


def transition_table() -> List[Transition]:
    """The state machine: every transition there is. What is not in the table does nothing."""
    rows: List[Transition] = []
    before, event, after, meaning = ctypes.c_int32(), ctypes.c_char_p(), ctypes.c_int32(), ctypes.c_char_p()
    references: List[Any] = [ctypes.byref(field) for field in (before, event, after, meaning)]
    while _lib.pulsews_transition_at(len(rows), *references) == _contract.OK:
        rows.append(
            Transition(
                state_name(before.value),
                (event.value or b"").decode(),
                state_name(after.value),
                (meaning.value or b"").decode(),
            )
        )
    return rows


def _error_codes() -> Dict[str, int]:
    codes: Dict[str, int] = {}
    while True:
        code = _lib.pulsews_error_at(len(codes))
        if not code:
            return codes
        codes[_lib.pulsews_error_name(code).decode()] = code


STATISTICS = tuple(row.name for row in statistic_table())
ERROR_CODES = _error_codes()


def prometheus() -> str:
    """The statistics of all clients of this process in the Prometheus text format, each metric once."""
    size = 65536
    while True:
        buffer = ctypes.create_string_buffer(size)
        length = int(_lib.pulsews_prometheus(None, buffer, size))
        if length < 0:
            raise class_of(length)(
                _lib.pulsews_error_text(length).decode(), length, _lib.pulsews_error_name(length).decode()
            )
        if length < size:
            return buffer.raw[:length].decode("utf-8", "replace")
        # Clients may join meanwhile.
        size = length + 4096
