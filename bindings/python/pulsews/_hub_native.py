# SPDX-License-Identifier: Apache-2.0
"""Declares the hub's functions of libpulsews, which :mod:`pulsews._native` has loaded: nothing else happens here."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

from . import _hub_contract, _native
from ._errors import LibraryError

lib, quick = _native.lib, _native.quick


# generated: structs (tools/generate.py)
class NativeEvent(ctypes.Structure):
    """pulsews_hub_event of the header."""

    _fields_ = [
        ("kind", c_uint32),
        ("code", c_int32),
        ("peer", c_uint64),
        ("request", c_uint64),
        ("time_ns", c_int64),
        ("count", c_uint64),
        ("address", c_char_p),
        ("route", c_char_p),
        ("target", c_char_p),
        ("method", c_char_p),
        ("headers", c_char_p),
        ("topic", c_char_p),
        ("text", c_char_p),
        ("data", c_void_p),
        ("length", c_size_t),
        ("reserved", c_uint64 * 2),
    ]


class NativePublication(ctypes.Structure):
    """pulsews_hub_publication of the header."""

    _fields_ = [
        ("topic", c_char_p),
        ("key", c_char_p),
        ("data", c_void_p),
        ("length", c_size_t),
        ("offset", c_uint64),
        ("exchange_ns", c_int64),
        ("received_ns", c_int64),
        ("published_ns", c_int64),
    ]
# end of structs


# name: (result, arguments)
_FUNCTIONS = {
    # generated: hub functions (tools/generate.py)
    "pulsews_hub_create": (c_int32, (c_void_p, POINTER(c_void_p), c_char_p, c_size_t)),
    "pulsews_hub_set": (c_int32, (c_void_p, c_char_p, c_char_p, c_char_p, c_size_t)),
    "pulsews_hub_listen": (c_int32, (c_void_p, c_char_p, c_char_p, c_size_t)),
    "pulsews_hub_address": (c_int64, (c_void_p, c_size_t, c_char_p, c_size_t)),
    "pulsews_hub_route": (c_int32, (c_void_p, c_char_p, c_char_p, c_char_p, c_char_p, c_size_t)),
    "pulsews_hub_topic": (c_int32, (c_void_p, c_char_p, c_char_p, c_char_p, c_char_p, c_size_t)),
    "pulsews_hub_key": (c_int32, (c_void_p, c_char_p, c_char_p, c_void_p, c_size_t, c_char_p, c_size_t)),
    "pulsews_hub_start": (c_int32, (c_void_p, c_char_p, c_size_t)),
    "pulsews_hub_reload": (c_int32, (c_void_p, c_char_p, c_size_t)),
    "pulsews_hub_drain": (c_int32, (c_void_p, c_int64, c_int64)),
    "pulsews_hub_free": (None, (c_void_p,)),
    "pulsews_hub_publish": (c_int32, (c_void_p, c_char_p, c_char_p, c_void_p, c_size_t, POINTER(c_uint64))),
    "pulsews_hub_publish_batch": (c_int32, (c_void_p, c_void_p, c_size_t)),
    "pulsews_hub_send": (c_int32, (c_void_p, c_uint64, c_uint32, c_void_p, c_size_t)),
    "pulsews_hub_close_peer": (c_int32, (c_void_p, c_uint64, c_int32, c_char_p)),
    "pulsews_hub_subscribe": (c_int32, (c_void_p, c_uint64, c_char_p)),
    "pulsews_hub_unsubscribe": (c_int32, (c_void_p, c_uint64, c_char_p)),
    "pulsews_hub_answer": (c_int32, (c_void_p, c_uint64, c_int32, c_char_p, c_void_p, c_size_t)),
    "pulsews_hub_next": (c_int32, (c_void_p, c_void_p, c_size_t, c_int64)),
    "pulsews_hub_wake_fd": (c_int32, (c_void_p,)),
    "pulsews_hub_topic_state": (c_int32, (c_void_p, c_char_p, c_int32, c_char_p)),
    "pulsews_hub_load": (c_int32, (c_void_p, c_char_p, c_void_p, c_size_t)),
    "pulsews_hub_adopt": (c_int32, (c_void_p, c_int32, c_void_p, c_size_t)),
    "pulsews_hub_option_at": (
        c_int32, (c_size_t, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p))
    ),
    "pulsews_hub_statistic_at": (
        c_int32, (c_size_t, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p))
    ),
    "pulsews_hub_status_json": (c_int64, (c_void_p, c_char_p, c_size_t)),
    "pulsews_hub_topic_json": (c_int64, (c_void_p, c_char_p, c_char_p, c_size_t)),
    "pulsews_hub_prometheus": (c_int64, (c_void_p, c_char_p, c_size_t)),
    "pulsews_hub_peers_json": (c_int64, (c_void_p, c_char_p, c_size_t)),
    "pulsews_hub_statistics": (c_int32, (c_void_p, POINTER(c_double), c_size_t)),
    "pulsews_hub_feed": (c_int32, (c_void_p, c_void_p, c_char_p, c_char_p, c_size_t)),
    "pulsews_hub_map_at": (c_int32, (c_size_t, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p))),
    # end of hub functions
}


def _declare() -> None:
    for library, names in ((lib, tuple(_FUNCTIONS)), (quick, _hub_contract.QUICK)):
        for name in names:
            try:
                function = getattr(library, name)
            except AttributeError as problem:
                raise LibraryError(f"libpulsews has no hub: {problem}") from None
            function.restype, function.argtypes = _FUNCTIONS[name]


_declare()
PUBLICATION_SIZE = 64
if ctypes.sizeof(NativeEvent) != 128 or ctypes.sizeof(NativePublication) != PUBLICATION_SIZE:
    raise LibraryError("this package needs a 64-bit Python")
# Once more without argument types, since conversion halves the speed: it takes a ready handle, bytes or None, a length
# below LENGTH_LIMIT (an int is C's int there), and ctypes.byref().
publish = quick["pulsews_hub_publish"]
LENGTH_LIMIT = 1 << 31
