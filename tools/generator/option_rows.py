# SPDX-License-Identifier: Apache-2.0
"""The rows of options: what follows from their columns, and what they may not say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from .rows import Row, camel, fail

KINDS = ("duration", "size", "integer", "number", "boolean", "choice", "text", "header", "list")
FORMS = {"text": ("path", "text", "line", "template", "json_path", "own"), "list": ("template", "pattern", "json_path", "own"),
         "header": ("own",)}
UNITS_OF = ("duration", "size", "integer", "number")
# In OptionMask.
MOST = 128
UNITS = {"": 1_000_000_000, "ns": 1, "us": 1000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000,
         "h": 3_600_000_000_000, "d": 86_400_000_000_000}
SIZES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def number(kind: str, text: str, where: str, is_limit: bool = False) -> int:
    """As the library keeps it: nanoseconds, bytes, a whole number, or thousandths. A limit, which is for readers, may be in
    days as a word."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", text)
    if not match:
        fail(f"{where}: {text!r} is not a number with a unit")
    digits, unit = match.groups()
    unit = "d" if is_limit and unit in ("day", "days") else unit
    units = {"duration": UNITS, "size": SIZES}.get(kind, {"": 1000 if kind == "number" else 1})
    if unit not in units:
        fail(f"{where}: {kind} has no unit {unit!r}")
    value = Decimal(digits) * units[unit]
    if value != int(value):
        fail(f"{where}: {text!r} is not whole")
    return int(value)


def complete(row: Row, words_of: dict[str, list[str]], file: str = "options.toml") -> None:
    """Adds the names, ranges and words that follow."""
    name, kind = row["name"], row["kind"]
    where = f"{file}: {name}"
    if kind not in KINDS:
        fail(f"{where}: kind {kind!r} is none of {', '.join(KINDS)}")
    row.setdefault("form", "")
    row.setdefault("default", "")
    row.setdefault("places", [])
    row["key"] = camel(name)
    row["least"] = row["greatest"] = 0
    if kind in UNITS_OF or "minimum" in row:
        complete_number(row, where)
    if kind == "boolean":
        row["allowed"] = "true or false"
    if "words_of" in row:
        if row["words_of"] not in words_of:
            fail(f"{where}: words_of is one of {', '.join(words_of)}")
        row["words"] = words_of[row["words_of"]]
    if "words" in row:
        *most, last = row["words"]
        row["allowed"] = f"{', '.join(most)} or {last}" if most else last
    if "length" in row and kind == "text":
        row["greatest"] = row["length"]


def complete_number(row: Row, where: str) -> None:
    kind, zero = row["kind"], row.get("zero")
    if "minimum" not in row or "maximum" not in row:
        fail(f"{where}: a {kind} has a minimum and a maximum")
    row["least"], row["greatest"] = (number(kind, row[side], where, is_limit=True) for side in ("minimum", "maximum"))
    row["zero_is_off"] = zero is not None and row["least"] > 0
    if kind not in UNITS_OF:
        return
    if zero is None:
        row["allowed"] = f"{row['minimum']} to {row['maximum']}"
    elif row["zero_is_off"]:
        row["allowed"] = f"0 ({zero}), or {row['minimum']} to {row['maximum']}"
    else:
        row["allowed"] = f"0 ({zero}) to {row['maximum']}"
    if kind == "number":
        row["allowed"] += ", with up to three decimals"
    row["value"] = value = number(kind, row["default"], where)
    if not (row["least"] <= value <= row["greatest"] or (value == 0 and row["zero_is_off"])):
        fail(f"{where}: the default {row['default']} is not allowed")


def check(row: Row) -> None:
    name, kind = row["name"], row["kind"]
    where = f"options.toml: {name}"
    check_forms(row, where, FORMS)
    if kind in ("text", "choice", "integer", "number", "list") and "param" not in row:
        fail(f"{where}: column param, the name in Go, is missing")
    if "most" in row and (kind, row["form"]) != ("list", "json_path"):
        fail(f"{where}: most is for lists of JSON paths; an own form counts by itself")
    check_words(row, where)
    check_text(row, where)


def check_forms(row: Row, where: str, forms_of: Mapping[str, tuple[str, ...]]) -> None:
    kind = row["kind"]
    forms = forms_of.get(kind, ())
    if row["form"] not in (forms or ("",)):
        fail(f"{where}: form of a {kind} is one of {', '.join(forms) or 'none'}")
    if "allowed" not in row:
        fail(f"{where}: column allowed is missing")
    if kind == "boolean" and row["default"] not in ("true", "false"):
        fail(f"{where}: the default is true or false")


def check_words(row: Row, where: str) -> None:
    words = row.get("words") or []
    if row["kind"] == "choice" and row["default"] not in words:
        fail(f"{where}: the default is none of the words")
    if len(set(words)) != len(words) or any(re.search(r"\s", word) for word in words):
        fail(f"{where}: words are single words, each once")
    if len(row.get("go_words") or words) != len(words):
        fail(f"{where}: as many go_words as words")


def check_text(row: Row, where: str) -> None:
    if row["form"] in ("own", "text", "line") and "example" not in row:
        fail(f"{where}: column example is missing")
    if row["form"] == "own" and row["name"] != "preset" and not re.fullmatch(r"\w+: .+ = .+", row.get("swift", "")):
        fail(f'{where}: an own form needs swift = "name: Type = default"')
    check_length(row, where)
    if "length" in row and row["kind"] != "text":
        fail(f"{where}: length is for texts")


def check_length(row: Row, where: str) -> None:
    bound = re.search(r"(?:at most|1 to) (\d+) bytes", row["allowed"])
    if bound and int(bound[1]) != row.get("length"):
        fail(f"{where}: allowed says {bound[0]}, length says {row.get('length', 'nothing')}")


def check_value(row: Row, value: str, where: str) -> None:
    """What can be told without the library; a test gives every preset to it."""
    if row["kind"] in UNITS_OF:
        found = number(row["kind"], value, where)
        if not (row["least"] <= found <= row["greatest"] or (found == 0 and row["zero_is_off"])):
            fail(f"{where}: {value} is not within {row['allowed']}")
    elif row["kind"] == "boolean" and value not in ("true", "false"):
        fail(f"{where} takes true or false")
    elif row["kind"] == "choice" and value not in row["words"]:
        fail(f"{where} takes {row['allowed']}")
    elif row["name"] in ("rate_limit", "host_connect_rate") and not re.fullmatch(r"\d+/(\d*)(ms|s|m|h|d)", value):
        fail(f"{where}: {value!r} is not COUNT/TIME")
