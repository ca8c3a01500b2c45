# SPDX-License-Identifier: Apache-2.0
"""The constant blocks of include/pulsews.h."""

from __future__ import annotations

from .contract import Contract
from .text import Files, c_comment

HEADER = "include/pulsews.h"
COLUMN = 33


def line(name: str, value: int, meaning: str, last: bool) -> str:
    start = f"    PULSEWS_{name} = {value}{'' if last else ','}"
    start = start.ljust(COLUMN) if len(start) < COLUMN else start + " "
    return start + c_comment(meaning, COLUMN) + "\n"


def block(comment: str, rows: list[tuple[str, int, str]]) -> str:
    text = f"/* {comment} */\nenum {{\n"
    for index, row in enumerate(rows):
        text += line(*row, last=index + 1 == len(rows))
    return text + "};\n"


def status_codes(contract: Contract) -> str:
    text = "enum {\n    PULSEWS_OK = 0,\n"
    hundreds = {row["code"]: row["meaning"] for row in contract.hundreds}
    for row in contract.errors:
        hundred = int(row["code"] / 100) * 100
        if hundred in hundreds:
            text += f"\n    /* {hundred}: {hundreds.pop(hundred)} */\n"
        text += line(row["name"], row["code"], row.get("detail") or row["text"], row is contract.errors[-1])
    return text + "};\n"


def parts(contract: Contract) -> Files:
    yield "status codes", status_codes(contract)
    yield "states", block("States of a client.", [(row["name"].upper(), row["number"], row["meaning"]) for row in contract.states])
    for group in contract.groups:
        rows = [(row["name"], row["value"], row["meaning"]) for row in group["constants"]]
        yield group["name"], block(group["comment"], rows)


def files(contract: Contract) -> Files:
    for name, text in parts(contract):
        yield f"{HEADER}#{name}", text
