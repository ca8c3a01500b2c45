# SPDX-License-Identifier: Apache-2.0
"""Fails if object files hold weak constants of one name with different contents.

    weak_constants.py FOLDER

The embedded Swift compiler names the constant array literals of a function by their number in it, and emits the function
into every module that uses it. When it numbers them differently in two modules, one weak symbol stands for two contents, and
the linker takes one of them for all: wrong data without a word. The name of such a constant has "Tv" in it.
"""
from __future__ import annotations

import bisect
import collections
import pathlib
import struct
import sys
from typing import Any, Iterator

SYMTAB, RELA, NOBITS = 2, 4, 8
OBJECT, SECTION, WEAK = 1, 3, 2
HEADER = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr: name, type, flags, address, offset, size, link, info, align, entry size
SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym: name, info, other, section, value, size
RELOCATION = struct.Struct("<QIIq")  # Elf64_Rela: offset, type, symbol, addend

# Bytes, and of each pointer among them: offset, kind, and what it points to.
Content = tuple[bytes, tuple[tuple[int, int, object], ...]]


def text(data: bytes, start: int) -> bytes:
    return data[start:data.index(b"\0", start)]


def weak_constants(data: bytes) -> Iterator[tuple[str, Content]]:
    """(name, content) of each one in an ELF object file; the content with what its pointers point to."""
    if data[:6] != b"\x7fELF\x02\x01":
        sys.exit("weak constants: not an ELF object file of 64 bits, little-endian")
    table, = struct.unpack_from("<Q", data, 0x28)
    count = struct.unpack_from("<H", data, 0x3C)[0] or HEADER.unpack_from(data, table)[5]  # 0: more than the field can hold
    sections = [HEADER.unpack_from(data, table + index * HEADER.size) for index in range(count)]
    kinds, starts, lengths, links = ([section[field] for section in sections] for field in (1, 4, 5, 6))

    def entries(index: int, form: struct.Struct) -> Iterator[tuple[Any, ...]]:
        return form.iter_unpack(data[starts[index]:starts[index] + lengths[index]])

    if SYMTAB not in kinds:
        return
    symtab = kinds.index(SYMTAB)
    symbols, names = list(entries(symtab, SYMBOL)), starts[links[symtab]]
    pointers = {sections[index][7]: sorted(entries(index, RELOCATION)) for index in range(count) if kinds[index] == RELA}

    def target(symbol: int, addend: int) -> object:
        name, info, _, section, value, _ = symbols[symbol]
        if info & 15 != SECTION:
            return text(data, names + name), addend
        # Private data has no name. Where it is a string literal it is known by its text.
        return text(data, starts[section] + value + addend) if kinds[section] != NOBITS else addend

    for name, info, _, section, value, size in symbols:
        label = text(data, names + name)
        if info != WEAK << 4 | OBJECT or not 0 < section < count or b"Tv" not in label:
            continue
        start = starts[section] + value
        content = bytes(size) if kinds[section] == NOBITS else data[start:start + size]
        held = pointers.get(section, [])
        held = held[bisect.bisect_left(held, (value,)):bisect.bisect_left(held, (value + size,))]
        yield label.decode(), (content, tuple((at - value, kind, target(symbol, addend)) for at, kind, symbol, addend in held))


def main() -> None:
    found: dict[str, dict[Content, list[str]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    files = sorted(pathlib.Path(sys.argv[1]).rglob("*.o"))
    if not files:
        sys.exit(f"weak constants: no object file in {sys.argv[1]}")
    for path in files:
        for name, content in weak_constants(path.read_bytes()):
            found[name][content].append(path.name)
    differing = {name: contents for name, contents in found.items() if len(contents) > 1}
    for name, contents in differing.items():
        print(f"weak constants: {name} has {len(contents)} contents:", file=sys.stderr)
        for (held, pointers), places in contents.items():
            print(f"  {', '.join(places)}: {held.hex()} {[pointer[2] for pointer in pointers]}", file=sys.stderr)
    if differing:
        sys.exit("weak constants: the linker would take one content for all of a name; leave its function one array literal, "
                 "and put the others into functions of their own")


main()
