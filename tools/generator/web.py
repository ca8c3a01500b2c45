# SPDX-License-Identifier: Apache-2.0
"""The states and the version for the web binding."""

from __future__ import annotations

from .contract import Contract
from .text import LICENSE, MADE, Files

FOLDER = "bindings/web"


def module(contract: Contract) -> str:
    text = f"// {LICENSE}\n// {MADE}\n\n"
    text += 'export const VERSION = "{}.{}.{}";\n\n'.format(*contract.version)
    states = sorted(contract.states, key=lambda row: row["number"])
    text += "// By their numbers.\nexport const STATES = Object.freeze([" + ", ".join(f'"{row["name"]}"' for row in states) + "]);\n\n"
    text += "// State, then event: the new state. What is not here does nothing.\nexport const TRANSITIONS = Object.freeze({\n"
    for state in states:
        rows = [row for row in contract.transitions if row["from"] == state["name"]]
        moves = ", ".join(f'{row["event"]}: "{row["to"]}"' for row in rows)
        text += f'  {state["name"]}: {{ {moves} }},\n'
    return text + "});\n"


def types(contract: Contract) -> str:
    states = sorted(contract.states, key=lambda row: row["number"])
    return "export type State = " + " | ".join(f'"{row["name"]}"' for row in states) + ";\n"


def files(contract: Contract) -> Files:
    yield f"{FOLDER}/src/contract.js", module(contract)
    yield f"{FOLDER}/pulsews.d.ts#states", types(contract)
