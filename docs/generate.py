#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/OPTIONS.md and docs/ERRORS.md from the tables in the library.

    PULSEWS_LIBRARY=dist/libpulsews.so.0 docs/generate.py           writes the pages
    PULSEWS_LIBRARY=dist/libpulsews.so.0 docs/generate.py --check   exits with 1 if they are not up to date
"""
import ctypes
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent


def options(library):
    fields = [ctypes.c_char_p() for _ in range(5)]
    library.pulsews_option_at.argtypes = [ctypes.c_size_t] + [ctypes.POINTER(ctypes.c_char_p)] * 5
    index = 0
    while library.pulsews_option_at(index, *map(ctypes.byref, fields)) == 0:
        yield [field.value.decode() for field in fields]
        index += 1


def errors(library):
    library.pulsews_error_at.argtypes = [ctypes.c_size_t]
    for name in ("name", "text"):
        function = getattr(library, f"pulsews_error_{name}")
        function.argtypes, function.restype = [ctypes.c_int32], ctypes.c_char_p
    index = 0
    while code := library.pulsews_error_at(index):
        yield (code, library.pulsews_error_name(code).decode(), library.pulsews_error_text(code).decode(),
               "yes" if library.pulsews_error_retryable(code) else "no")
        index += 1


def option_page(library):
    lines = [
        "# Options", "",
        "Made from the table in the library by `docs/generate.py`; `pulsews_option_at` gives the same to a program.", "",
        "The name is the key of `pulsews_config_set` in C and the keyword argument in Python; in Go it is the function "
        "`With...`. A duration is a number of seconds, or text with ns, us, ms, s, m, h or d; in Go a `time.Duration`. A size "
        "is a number of bytes, or text with KB, MB, GB (powers of 1000), KiB, MiB, GiB (of 1024).", "",
        "| option | type | default | allowed | meaning |", "|---|---|---|---|---|"]
    for name, kind, default, allowed, meaning in options(library):
        shown = f"`{default}`" if default else ""
        lines.append(f"| `{name}` | {kind} | {shown} | {allowed} | {meaning} |")
    return "\n".join(lines) + "\n"


def error_page(library):
    lines = [
        "# Status codes", "",
        "Made from the table in the library by `docs/generate.py`; `pulsews_error_at` gives the same to a program. A code "
        "never changes its meaning. *Retryable*: trying again, with nothing else changed, can help.", "",
        "| code | name | meaning | retryable |", "|---|---|---|---|"]
    lines += [f"| {code} | `{name}` | {text} | {retryable} |" for code, name, text, retryable in errors(library)]
    return "\n".join(lines) + "\n"


def main():
    library = ctypes.CDLL(os.environ["PULSEWS_LIBRARY"])
    stale = []
    for name, page in (("OPTIONS.md", option_page(library)), ("ERRORS.md", error_page(library))):
        path = HERE / name
        if path.exists() and path.read_text() == page:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(page)
    if "--check" in sys.argv and stale:
        sys.exit(f"not up to date: {', '.join(stale)}; run docs/generate.py")


main()
