# SPDX-License-Identifier: Apache-2.0
"""The tables and types of the Python package."""

from __future__ import annotations

import re
import textwrap

from .contract import Contract, Row
from .text import LICENSE, MADE, Files

PACKAGE = "bindings/python/pulsews"
KINDS = {"duration": "Duration", "size": "Size", "integer": "int", "number": "float", "boolean": "bool"}
TEXTS = {"path": 'Union[str, "os.PathLike[str]"]', "template": "Text"}
LISTS = {"pattern": "Union[Text, Iterable[Text]]"}


def option_type(row: Row) -> str:
    if "python" in row:
        return str(row["python"])
    if row["kind"] == "list":
        return LISTS.get(row["form"], "Union[str, Iterable[str]]")
    return KINDS.get(row["kind"]) or TEXTS.get(row["form"], "str")


def wrapped(start: str, items: list[str], end: str) -> str:
    body = textwrap.fill(", ".join(items) + ",", 116, initial_indent="    ", subsequent_indent="    ",
                         break_on_hyphens=False, break_long_words=False)
    line = f"{start}{', '.join(items)}{end}\n"
    return line if len(line) <= 121 else f"{start}\n{body}\n{end}\n"


def choices(contract: Contract) -> str:
    text = ""
    for row in contract.options:
        if "words" in row:
            text += wrapped(f"{row['python']} = Literal[", [f'"{word}"' for word in row["words"]], "]")
    return text


def options(contract: Contract) -> str:
    text, group = "", ""
    for row in contract.options:
        if row["group"] != group:
            group = row["group"]
            text += f"    # {group}.\n"
        text += f"    {row['name']}: {option_type(row)}\n"
    return text


def statistics(contract: Contract) -> str:
    text = ""
    for row in contract.statistics:
        kind = "int" if row["kind"] == "counter" and row["unit"] != "seconds" else "float"
        if may_be_unknown(row):
            kind = f"Optional[{kind}]"
        text += f"    {row['name']}: {kind}\n"
    return text


def may_be_unknown(row: Row) -> bool:
    return bool(re.search(r"\b(?:known|latency|ratio)\(|\.nan", row.get("value", "")))


# C's types, and how ctypes takes them. A name alone is a type of the module.
TYPES = {
    "void": "None", "int32_t": "c_int32", "int64_t": "c_int64", "uint32_t": "c_uint32", "uint64_t": "c_uint64",
    "size_t": "c_size_t", "const char *": "c_char_p", "char *": "c_char_p", "const char **": "POINTER(c_char_p)",
    "const void *": "c_void_p", "int32_t *": "POINTER(c_int32)", "int64_t *": "POINTER(c_int64)",
    "uint64_t *": "POINTER(c_uint64)", "double *": "POINTER(c_double)", "pulsews_message *": "POINTER(NativeMessage)",
    "const pulsews_message *": "c_void_p", "const pulsews_message **": "c_void_p",
}


def ctype(text: str) -> str:
    """Of "int64_t timeout_ns" or "const char *"; a handle is a pointer to nothing that Python looks into."""
    kind = re.sub(r"(?<=[ *])\w+$", "", text).strip() if text not in TYPES else text
    if kind in TYPES:
        return TYPES[kind]
    if re.fullmatch(r"(?:const )?pulsews_\w+ \*", kind):
        return "c_void_p"
    if re.fullmatch(r"pulsews_\w+ \*\*", kind):
        return "POINTER(c_void_p)"
    raise SystemExit(f"functions.toml: ctypes has nothing for {text!r}")


def function_rows(rows: list[Row]) -> str:
    text = ""
    for row in rows:
        arguments = [ctype(one) for one in row["arguments"]]
        joined = "".join(f"{one}, " for one in arguments)
        joined = joined if len(arguments) == 1 else joined.rstrip(", ")
        line = f'    "{row["name"]}": ({ctype(row["result"])}, ({joined.rstrip() if len(arguments) == 1 else joined})),\n'
        if len(line) > 121:
            body = textwrap.fill(f"{ctype(row['result'])}, ({joined})", 130, initial_indent=" " * 8, subsequent_indent=" " * 12)
            line = f'    "{row["name"]}": (\n{body}\n    ),\n'
        text += line
    return text


def contract_module(contract: Contract) -> str:
    major, minor, patch = contract.version
    text = f'# {LICENSE}\n# {MADE}\n"""Numbers and names of the C interface. It imports nothing of the package."""\n\n'
    text += "from __future__ import annotations\n\nfrom typing import Dict\n\n"
    text += f'VERSION = "{major}.{minor}.{patch}"\nMAJOR, MINOR = {major}, {minor}\nSONAME = "libpulsews.so.{major}"\n\n'
    text += "# Status codes.\nOK = 0\n" + "".join(f"{row['name']} = {row['code']}\n" for row in contract.errors)
    text += "\nNAMES: Dict[int, str] = {\n" + "".join(f'    {row["name"]}: "PULSEWS_{row["name"]}",\n' for row in contract.errors) + "}\n"
    for group in contract.groups:
        text += f"\n# {group['comment']}\n" + "".join(f"{row['name']} = {row['value']}\n" for row in group["constants"])
    states = sorted(contract.states, key=lambda row: row["number"])
    text += "\n# By their numbers.\n" + wrapped("STATES = (", [f'"{row["name"]}"' for row in states], ")")
    messages = [f'"{row["name"]}"' for row in contract.options if row["form"] in ("template", "pattern")]
    text += "\n# Options whose texts are messages, or pieces of such.\n" + wrapped("MESSAGE_OPTIONS = frozenset((", messages, "))")
    quick = [f'"{row["name"]}"' for row in contract.functions if row.get("quick")]
    text += "\n# Functions that never wait.\n" + wrapped("QUICK = (", quick, ")")
    return text


def classes(contract: Contract) -> str:
    text = "_CLASSES: Dict[int, Type[PulseError]] = {\n"
    text += "".join(f"    _contract.{row['name']}: {row['class']},\n" for row in contract.errors if "class" in row)
    text += "}\n# By hundreds, for what is not above, so that a library with newer codes still gives a fitting exception.\n"
    text += "_HUNDREDS: Dict[int, Type[PulseError]] = {\n"
    text += "".join(f"    {-row['code'] // 100}: {row['class']},\n" for row in contract.hundreds if "class" in row)
    text += "}\n# What can end a connection that was open. The others of their hundreds come from attempts to connect only.\n"
    text += wrapped("_ENDINGS = frozenset((", [f"_contract.{row['name']}" for row in contract.errors if row.get("ends")], "))")
    return text


def states(contract: Contract) -> str:
    rows = sorted(contract.states, key=lambda row: row["number"])
    return wrapped("State = Literal[", [f'"{row["name"]}"' for row in rows], "]")


def project(contract: Contract) -> str:
    return 'version = "{}.{}.{}"\n'.format(*contract.version)


def files(contract: Contract) -> Files:
    yield f"{PACKAGE}/_contract.py", contract_module(contract)
    yield f"{PACKAGE}/_options.py#choices", choices(contract)
    yield f"{PACKAGE}/_options.py#options", options(contract)
    yield f"{PACKAGE}/_status.py#states", states(contract)
    yield f"{PACKAGE}/_status.py#statistics", statistics(contract)
    yield f"{PACKAGE}/_native.py#functions", function_rows(contract.functions)
    yield f"{PACKAGE}/_errors.py#classes", classes(contract)
    yield "bindings/python/pyproject.toml#version", project(contract)
