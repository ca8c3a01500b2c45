# SPDX-License-Identifier: Apache-2.0
"""What headers and library promise, as plain data: read by the compiler, from the debug information of a C file that refers to
all of it, and from the library's table of symbols.

    soname     what programs load
    exports    its symbols with their versions
    functions  name -> signature
    constants  name -> value, of enumerators and of macros
    macros     those with arguments -> their text
    types      name -> what it is; of a struct its size and members

Types stand resolved, as the machine has them: int32_t is int32, and so is a typedef for it. A name that is only another name
for the same thing is no difference.

abidw of abigail-tools reads as much, but for what no function has in its signature: the error codes, which are enumerators of
nameless types, and all macros. The numbers of its XML change with its version, too.
"""
from __future__ import annotations

import pathlib
import re
import subprocess
import tempfile
from typing import Any, Iterator

from elftools.elf.elffile import ELFFile

HEADERS = ("pulsews.h", "pulsews_hub.h")
# Those of a release are its own.
VERSION = re.compile(r"PULSEWS_VERSION_(MAJOR|MINOR|PATCH|NUMBER)$")
ENCODINGS = {"DW_ATE_boolean": "bool", "DW_ATE_signed_char": "char", "DW_ATE_unsigned_char": "uint8"}
FORMS = {"DW_ATE_signed": "int", "DW_ATE_unsigned": "uint", "DW_ATE_float": "float"}
STUB, VALUE = "abi_function_", "abi_value_"


def compiled(*arguments: str | pathlib.Path) -> str:
    done = subprocess.run(["gcc", "-std=gnu11", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"abi: the headers are not compiled:\n{done.stderr}")
    return done.stdout


def macros(source: pathlib.Path, include: pathlib.Path) -> tuple[list[str], dict[str, str]]:
    """Names of those that have a value, and the texts of those with arguments."""
    told = compiled("-E", "-dM", f"-I{include}", source)
    values = re.findall(r"^#define (PULSEWS_\w+) \S", told, re.M)
    return ([name for name in values if not VERSION.match(name)],
            dict(re.findall(r"^#define (PULSEWS_\w+\([^)]*\)) (.*)$", told, re.M)))


def stub(folder: pathlib.Path, include: pathlib.Path) -> tuple[pathlib.Path, dict[str, str]]:
    """An object file that refers to all that the headers declare, and their macros with arguments."""
    source, made = folder / "stub.c", folder / "stub.o"
    text = "".join(f"#include <{name}>\n" for name in HEADERS if (include / name).exists())
    source.write_text(text)
    functions = dict.fromkeys(re.findall(r"\b(pulsews_\w+)\s*\(", compiled("-E", "-P", f"-I{include}", source)))
    values, texts = macros(source, include)
    source.write_text("".join([
        text, *(f"__typeof__({name}) *{STUB}{name} = {name};\n" for name in functions),
        *(f"const __typeof__({name}) {VALUE}{name} = {name};\n" for name in values)]))
    compiled("-c", "-g", "-gdwarf-4", "-O0", "-w", "-fno-eliminate-unused-debug-types", f"-I{include}", source, "-o", made)
    return made, texts


def text(attribute: Any) -> str:
    return str(attribute.value.decode())


class Types:
    """Puts types of the debug information into words."""

    def __init__(self, unit: Any):
        self.top = list(unit.get_top_DIE().iter_children())

    def of(self, entry: Any) -> str:
        """The type that an entry has."""
        return self.word(entry.get_DIE_from_attribute("DW_AT_type")) if "DW_AT_type" in entry.attributes else "void"

    def word(self, entry: Any) -> str:
        kind = entry.tag.removeprefix("DW_TAG_")
        if kind == "base_type":
            return self.base(entry)
        if kind == "typedef":
            return self.of(entry)
        if kind in ("const_type", "volatile_type", "restrict_type"):
            qualifier, inner = kind.removesuffix("_type"), self.of(entry)
            return f"{inner}{qualifier}" if inner.endswith("*") else f"{qualifier} {inner}"
        if kind == "pointer_type":
            inner = self.of(entry)
            return inner.replace("(", "(*)(", 1) if inner.endswith(")") else f"{inner}*" if inner.endswith("*") else f"{inner} *"
        if kind == "subroutine_type":
            return f"{self.of(entry)} ({self.parameters(entry)})"
        if kind == "array_type":
            bounds = [part.attributes for part in entry.iter_children() if part.tag == "DW_TAG_subrange_type"]
            counts = [one["DW_AT_upper_bound"].value + 1 if "DW_AT_upper_bound" in one else "" for one in bounds]
            return self.of(entry) + "".join(f"[{count}]" for count in counts)
        if kind == "enumeration_type":
            name = text(entry.attributes["DW_AT_name"]) if "DW_AT_name" in entry.attributes else "enum"
            return f"{name} of {entry.attributes['DW_AT_byte_size'].value} bytes"
        if "DW_AT_name" in entry.attributes:
            return text(entry.attributes["DW_AT_name"])
        return f"{kind.removesuffix('_type')} {self.layout(entry)}"

    @staticmethod
    def base(entry: Any) -> str:
        size, encoding = entry.attributes["DW_AT_byte_size"].value, entry.attributes["DW_AT_encoding"].value
        names = {2: "DW_ATE_boolean", 4: "DW_ATE_float", 5: "DW_ATE_signed", 6: "DW_ATE_signed_char", 7: "DW_ATE_unsigned",
                 8: "DW_ATE_unsigned_char"}
        name = names.get(encoding)
        if name in ENCODINGS:
            return ENCODINGS[name]
        return f"{FORMS[name]}{size * 8}" if name else text(entry.attributes["DW_AT_name"])

    def parameters(self, entry: Any) -> str:
        rows = [part for part in entry.iter_children() if part.tag in ("DW_TAG_formal_parameter", "DW_TAG_unspecified_parameters")]
        words = ["..." if row.tag == "DW_TAG_unspecified_parameters" else self.of(row) for row in rows]
        if words == ["..."]:
            return "anything"  # () of C says nothing about what it takes
        return ", ".join(words) or "void"

    def layout(self, entry: Any) -> dict[str, Any]:
        members = {}
        for number, part in enumerate(part for part in entry.iter_children() if part.tag == "DW_TAG_member"):
            attributes = part.attributes
            name = text(attributes["DW_AT_name"]) if "DW_AT_name" in attributes else f"nameless {number}"
            place: Any = attributes["DW_AT_data_member_location"].value if "DW_AT_data_member_location" in attributes else 0
            if "DW_AT_data_bit_offset" in attributes:
                place = f"bit {attributes['DW_AT_data_bit_offset'].value}, {attributes['DW_AT_bit_size'].value} wide"
            members[name] = [place, self.size(part), self.of(part)]
        return {"size": entry.attributes["DW_AT_byte_size"].value, "members": members}

    def size(self, entry: Any) -> int:
        """In bytes, of the type that an entry has."""
        kind = entry.get_DIE_from_attribute("DW_AT_type")
        if "DW_AT_byte_size" in kind.attributes:
            return int(kind.attributes["DW_AT_byte_size"].value)
        if kind.tag != "DW_TAG_array_type":
            return self.size(kind)
        count = 1
        for part in kind.iter_children():
            count *= part.attributes["DW_AT_upper_bound"].value + 1 if "DW_AT_upper_bound" in part.attributes else 0
        return count * self.size(kind)

    def named(self) -> Iterator[tuple[str, Any]]:
        for entry in self.top:
            if "DW_AT_name" not in entry.attributes or not text(entry.attributes["DW_AT_name"]).startswith("pulsews_"):
                continue
            name, kind = text(entry.attributes["DW_AT_name"]), entry.tag
            if kind in ("DW_TAG_structure_type", "DW_TAG_union_type"):
                yield name, "opaque" if "DW_AT_declaration" in entry.attributes else self.layout(entry)
            elif kind == "DW_TAG_enumeration_type" or kind == "DW_TAG_typedef" and self.of(entry) != name:
                yield name, self.word(entry)

    def enumerators(self) -> Iterator[tuple[str, str]]:
        for entry in self.top:
            if entry.tag == "DW_TAG_enumeration_type":
                for part in entry.iter_children():
                    if text(part.attributes["DW_AT_name"]).startswith("PULSEWS_"):
                        yield text(part.attributes["DW_AT_name"]), str(part.attributes["DW_AT_const_value"].value)

    def variables(self, prefix: str) -> Iterator[tuple[str, Any]]:
        for entry in self.top:
            if entry.tag == "DW_TAG_variable" and text(entry.attributes["DW_AT_name"]).startswith(prefix):
                yield text(entry.attributes["DW_AT_name"]).removeprefix(prefix), entry


def values(elf: ELFFile) -> dict[str, bytes]:
    """Of each constant of the stub its bytes."""
    found = {}
    table: Any = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols():
        if symbol.name.startswith(VALUE):
            data = elf.get_section(symbol["st_shndx"]).data()
            found[symbol.name.removeprefix(VALUE)] = data[symbol["st_value"]:symbol["st_value"] + symbol["st_size"]]
    return found


def shown(kind: str, data: bytes) -> str:
    """A value with its type, of integers and other things."""
    plain = kind.removeprefix("const ")
    if re.match(r"u?int\d+$|bool$", plain):
        return f"{int.from_bytes(data, 'little', signed=plain.startswith('int'))} as {plain}"
    return f"{data.hex()} as {plain}"


def declared(include: pathlib.Path) -> dict[str, Any]:
    """What the headers of a folder promise."""
    with tempfile.TemporaryDirectory() as folder:
        made, texts = stub(pathlib.Path(folder), include)
        with made.open("rb") as file:
            elf = ELFFile(file)
            types = Types(next(elf.get_dwarf_info().iter_CUs()))
            data = values(elf)
            constants = dict(types.enumerators())
            constants.update((name, shown(types.of(entry), data[name])) for name, entry in types.variables(VALUE))
            return {"functions": {name: types.of(entry).replace("(*)", "", 1) for name, entry in types.variables(STUB)},
                    "constants": constants, "macros": texts, "types": dict(types.named())}


def exported(library: pathlib.Path) -> dict[str, Any]:
    """What a library offers to the linker."""
    def told(*command: str) -> str:
        return subprocess.run([*command, str(library)], check=True, capture_output=True, text=True).stdout

    soname = re.search(r"\(SONAME\).*\[(.*)\]", told("readelf", "-dW"))
    symbols = re.findall(r" [TDBRVW] (\S+)$", told("nm", "--dynamic", "--defined-only"), re.M)
    return {"soname": soname[1] if soname else "none", "exports": sorted(name.replace("@@", "@") for name in symbols)}


def read(include: pathlib.Path, library: pathlib.Path) -> dict[str, Any]:
    return {**exported(library), **declared(include)}
