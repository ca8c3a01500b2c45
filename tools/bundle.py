# SPDX-License-Identifier: Apache-2.0
"""Makes one classic script of modules, without any other tool."""

from __future__ import annotations

import re
import sys
from pathlib import Path

IMPORT = re.compile(r'^import (?:\{([\w\s,]*)\} from )?"(\./[\w./]+|\.\./[\w./]+)";\n', re.M)
PASSED_ON = re.compile(r'^export \{([\w\s,]*)\} from "(\./[\w./]+)";\n', re.M)
EXPORT = re.compile(r"^export ((?:async )?function\*?|class|const) (\w+)", re.M)
LEFT = re.compile(r"^(?:import|export)\b.*|\bimport\(.*|\bimport\.meta.*", re.M)
LICENSE = "// SPDX-License-Identifier: Apache-2.0\n"


class Bundle:
    """Each module becomes a function that returns what it exports, behind those that it imports. Only the forms of import and
    export that the modules have are understood; any other is an error."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[Path, str] = {}  # of modules that are in the text
        self.open: list[Path] = []
        self.text = ""

    def add(self, path: Path) -> str:
        """Puts a module and what it needs into the text; the name of its function's result."""
        if path in self.names:
            return self.names[path]
        if path in self.open:
            sys.exit(f"{path}: imports itself, by way of {self.open[-1]}")
        self.open.append(path)
        text = path.read_text().removeprefix(LICENSE)
        exported: list[str] = []

        def take(match: re.Match[str]) -> str:
            name = self.add((path.parent / match[2]).resolve())
            return f"const {{{match[1]}}} = {name};\n" if match[1] else ""

        def pass_on(match: re.Match[str]) -> str:
            exported.extend(match[1].replace(",", " ").split())
            return take(match)

        def declare(match: re.Match[str]) -> str:
            exported.append(match[2])
            return f"{match[1]} {match[2]}"

        text = EXPORT.sub(declare, PASSED_ON.sub(pass_on, IMPORT.sub(take, text)))
        if left := LEFT.search(text):
            sys.exit(f"{path}: this form is not understood: {left[0]}")
        name = f"module{len(self.names)}"
        self.names[path] = name
        self.open.pop()
        self.text += f"\n// {path.relative_to(self.folder)}\nconst {name} = (() => {{\n{text.strip()}\n"
        self.text += f"return {{ {', '.join(exported)} }};\n}})();\n"
        return name

    def script(self, end: str) -> str:
        return f"(() => {{\n\"use strict\";\n{self.text}\n{end}}})();\n"
