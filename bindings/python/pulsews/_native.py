# SPDX-License-Identifier: Apache-2.0
"""Finds and loads libpulsews and declares its functions: nothing else happens here.

``lib`` gives the interpreter lock (GIL) away for the time of each call. ``quick`` has those functions that never wait
and are so short that giving the lock away would cost more than the call. ``send`` and ``recv_batch`` are the two of the
hot path once more, without argument types: they take ready ctypes objects only (no conversion halves the cost of a
call), in the types that the table below gives.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import glob
import os
import re
import struct
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Iterator, List, Tuple

from . import _contract
from ._contract import MAJOR, MINOR, SONAME
from ._errors import LibraryError, ask_for_retries

FOREVER = -1
ERROR_SIZE = 512


class NativeMessage(ctypes.Structure):
    """pulsews_message of the header."""

    _fields_ = [
        ("data", c_void_p),
        ("length", c_size_t),
        ("kind", c_uint32),
        ("flags", c_uint32),
        ("received_ns", c_int64),
        ("sequence", c_uint64),
    ]


# The same layout for struct.iter_unpack, and as a number of 64-bit words.
MESSAGE = struct.Struct("@PNIIqQ")
MESSAGE_WORDS = 5

# name: (result, arguments)
_FUNCTIONS = {
    # generated: functions (tools/generate.py)
    "pulsews_version": (c_char_p, ()),
    "pulsews_version_number": (c_uint32, ()),
    "pulsews_error_at": (c_int32, (c_size_t,)),
    "pulsews_error_name": (c_char_p, (c_int32,)),
    "pulsews_error_text": (c_char_p, (c_int32,)),
    "pulsews_error_retryable": (c_int32, (c_int32,)),
    "pulsews_option_at": (
        c_int32, (c_size_t, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p))
    ),
    "pulsews_transition_at": (
        c_int32, (c_size_t, POINTER(c_int32), POINTER(c_char_p), POINTER(c_int32), POINTER(c_char_p))
    ),
    "pulsews_statistic_at": (
        c_int32, (c_size_t, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p))
    ),
    "pulsews_preset_at": (c_int32, (c_size_t, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p))),
    "pulsews_config_create": (c_void_p, ()),
    "pulsews_config_set": (c_int32, (c_void_p, c_char_p, c_char_p, c_char_p, c_size_t)),
    "pulsews_config_free": (None, (c_void_p,)),
    "pulsews_client_create": (c_int32, (c_char_p, c_void_p, c_void_p, POINTER(c_void_p), c_char_p, c_size_t)),
    "pulsews_open": (c_int32, (c_void_p, c_int64, c_char_p, c_size_t)),
    "pulsews_send": (c_int32, (c_void_p, c_uint32, c_void_p, c_size_t, c_int64)),
    "pulsews_recv": (c_int32, (c_void_p, POINTER(NativeMessage), c_int64)),
    "pulsews_close": (c_int32, (c_void_p, c_int32, c_char_p, c_int64)),
    "pulsews_disconnect": (c_int32, (c_void_p, c_int64)),
    "pulsews_client_free": (None, (c_void_p,)),
    "pulsews_reconnect": (c_int32, (c_void_p,)),
    "pulsews_wait_ready": (c_int32, (c_void_p, c_int64, c_char_p, c_size_t)),
    "pulsews_set_header": (c_int32, (c_void_p, c_char_p, c_char_p, c_char_p, c_size_t)),
    "pulsews_set_url": (c_int32, (c_void_p, c_char_p, c_char_p, c_size_t)),
    "pulsews_release": (c_int32, (c_void_p,)),
    "pulsews_subscribe": (c_int32, (c_void_p, c_char_p, c_char_p, c_char_p, c_char_p, c_size_t)),
    "pulsews_unsubscribe": (c_int32, (c_void_p, c_char_p)),
    "pulsews_send_with": (
        c_int32, (c_void_p, c_uint32, c_void_p, c_size_t, c_uint32, c_int64, c_int64, POINTER(c_uint64))
    ),
    "pulsews_send_batch": (c_int32, (c_void_p, c_void_p, c_size_t, c_uint32, c_int64, c_int64, POINTER(c_uint64))),
    "pulsews_flush": (c_int32, (c_void_p, c_int64)),
    "pulsews_purge": (c_int64, (c_void_p,)),
    "pulsews_client_state": (c_int32, (c_void_p,)),
    "pulsews_client_error": (c_int32, (c_void_p, c_char_p, c_size_t)),
    "pulsews_client_retryable": (c_int32, (c_void_p,)),
    "pulsews_close_code": (c_int32, (c_void_p,)),
    "pulsews_close_reason": (c_int64, (c_void_p, c_char_p, c_size_t)),
    "pulsews_server_message": (c_int64, (c_void_p, c_char_p, c_size_t)),
    "pulsews_handshake_status": (c_int32, (c_void_p,)),
    "pulsews_handshake_headers": (c_int64, (c_void_p, c_char_p, c_size_t)),
    "pulsews_handshake_body": (c_int64, (c_void_p, c_char_p, c_size_t)),
    "pulsews_subprotocol": (c_int64, (c_void_p, c_char_p, c_size_t)),
    "pulsews_status_json": (c_int64, (c_void_p, c_char_p, c_size_t)),
    "pulsews_statistics": (c_int32, (c_void_p, POINTER(c_double), c_size_t)),
    "pulsews_prometheus": (c_int64, (c_void_p, c_char_p, c_size_t)),
    "pulsews_log_stderr": (c_int32, (c_int32,)),
    "pulsews_log_file": (c_int32, (c_char_p, c_int32, c_char_p, c_size_t)),
    "pulsews_log_queue": (c_int32, (c_int32, c_size_t)),
    "pulsews_log_next": (c_int64, (c_char_p, c_size_t, POINTER(c_int32), POINTER(c_int64), c_int64)),
    "pulsews_batch_create": (c_void_p, ()),
    "pulsews_recv_batch": (c_int32, (c_void_p, c_void_p, c_size_t, c_int64, c_void_p)),
    "pulsews_batch_traits": (c_int32, (c_void_p,)),
    "pulsews_batch_free": (None, (c_void_p,)),
    "pulsews_acknowledge": (c_int32, (c_void_p, c_uint64)),
    "pulsews_start": (c_int32, (c_void_p,)),
    "pulsews_wake_fd": (c_int32, (c_void_p,)),
    "pulsews_wake_clear": (c_int32, (c_void_p,)),
    "pulsews_loop_create": (c_int32, (c_uint32, POINTER(c_void_p), c_char_p, c_size_t)),
    "pulsews_loop_fd": (c_int32, (c_void_p,)),
    "pulsews_loop_run_once": (c_int32, (c_void_p, c_int64)),
    "pulsews_loop_free": (None, (c_void_p,)),
    # end of functions
}


# Which packages bring what the library needs: Debian and Ubuntu, Fedora and Red Hat, SUSE.
_PACKAGES = {
    "libssl.so.3": "libssl3 or libssl3t64 (Debian, Ubuntu), openssl-libs (Fedora, Red Hat), libopenssl3 (SUSE)",
    "libcrypto.so.3": "libssl3 or libssl3t64 (Debian, Ubuntu), openssl-libs (Fedora, Red Hat), libopenssl3 (SUSE)",
    "libz.so.1": "zlib1g (Debian, Ubuntu), zlib or zlib-ng-compat (Fedora, Red Hat), libz1 (SUSE)",
}


def _candidates() -> Iterator[str]:
    """Paths and names to try, in order. $PULSEWS_LIBRARY alone counts when it is set."""
    chosen = os.environ.get("PULSEWS_LIBRARY")
    if chosen:
        yield chosen
        return
    folder = os.path.dirname(os.path.abspath(__file__))
    yield from sorted(glob.glob(os.path.join(folder, "libpulsews.so*")))
    found = ctypes.util.find_library("pulsews")  # runs other programs: only where there is none beside this file
    if found:
        yield found
    yield SONAME


def _needed(path: str, problem: str) -> str:
    """What else the library at `path` needs, as a clause, if that is why it did not load."""
    missing = re.match(r"(lib\S+): cannot open shared object file", problem)
    if not missing or missing[1] == path:
        return ""
    if missing[1] in _PACKAGES:
        return f"{path} needs {missing[1]}, which is in the package {_PACKAGES[missing[1]]}"
    return f"{path} needs {missing[1]}, which was installed with it: install the package again"


def _load() -> Tuple[ctypes.CDLL, ctypes.PyDLL]:
    problems: List[str] = []
    needs: List[str] = []
    for path in _candidates():
        try:
            library = ctypes.CDLL(path)
        except OSError as problem:
            problems.append(f"{path}: {problem}")
            needs.append(_needed(path, str(problem)))
            continue
        try:
            for name in ("pulsews_version", "pulsews_version_number"):
                _declare_one(library, name)
            # Before the others: another version may have other functions.
            _check_version(library, path)
            _declare(library)
        except AttributeError as problem:
            raise LibraryError(f"{path} is not a usable libpulsews: {problem}") from None
        quick = ctypes.PyDLL(path, handle=library._handle)
        for name in _contract.QUICK:
            _declare_one(quick, name)
        return library, quick
    if any(needs):
        raise LibraryError("libpulsews was found, but not what it needs: " + "; ".join(filter(None, needs)))
    raise LibraryError(
        "libpulsews was not found. Searched: the file that $PULSEWS_LIBRARY names, libpulsews.so* in "
        f"{os.path.dirname(os.path.abspath(__file__))}, and the system's library folders ({SONAME}). "
        "Tried: " + "; ".join(problems)
    )


def _declare_one(library: ctypes.CDLL, name: str) -> None:
    result, arguments = _FUNCTIONS[name]
    function = getattr(library, name)
    function.restype = result
    function.argtypes = arguments


def _declare(library: ctypes.CDLL) -> None:
    for name in _FUNCTIONS:
        _declare_one(library, name)


def _check_version(library: ctypes.CDLL, path: str) -> None:
    number = library.pulsews_version_number()
    major, minor = number >> 16, (number >> 8) & 0xFF
    # Before 1.0 a minor version may change the interface; from 1.0 on a newer one serves too.
    if major != MAJOR or (minor != MINOR if MAJOR == 0 else minor < MINOR):
        raise LibraryError(
            f"{path} is libpulsews {library.pulsews_version().decode()}; this package needs {MAJOR}.{MINOR}"
            + ("" if MAJOR == 0 else f" or a later {MAJOR}.x")
        )
    if ctypes.sizeof(NativeMessage) != 40 or MESSAGE.size != 40:
        raise LibraryError("this package needs a 64-bit Python")


lib, quick = _load()
ask_for_retries(lambda code: bool(lib.pulsews_error_retryable(code)))
send = lib["pulsews_send"]
recv_batch = lib["pulsews_recv_batch"]


def openssl_version() -> str:
    """Of the OpenSSL that the library was loaded with: that of a wheel, or the system's."""
    function = lib["OpenSSL_version"]  # the loader looks into what the library depends on, and nowhere else
    function.restype, function.argtypes = c_char_p, (c_int32,)
    return str(function(0).decode())
