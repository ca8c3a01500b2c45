# SPDX-License-Identifier: Apache-2.0
"""Whether the modules of the Python package import each other in a circle, wherever in a module the import stands."""

from __future__ import annotations

import ast
from pathlib import Path

from .files import ROOT, named

PACKAGE = "bindings/python/pulsews/"


def _imports(name: str, modules: set[str]) -> set[str]:
    """The package's own modules that one of them names, also for type checkers and inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / name).read_text(), name)):
        names = []
        if isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level == 0 and source.split(".")[0] != "pulsews":
                continue
            source = source.removeprefix("pulsews").removeprefix(".") if node.level == 0 else source
            names = [source] if source else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.removeprefix("pulsews.") for alias in node.names if alias.name.startswith("pulsews.")]
        found.update(name for name in names if name in modules)
    return found


def check() -> str:
    files = {Path(name).stem: name for name in named(".py") if name.startswith(PACKAGE)}
    files.pop("__init__")  # it imports the others, and none of them names it
    graph = {module: _imports(name, set(files)) for module, name in files.items()}
    done: set[str] = set()
    circles: list[str] = []

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            circles.append(" imports ".join([*path[path.index(module):], module]))
        elif module not in done:
            for other in sorted(graph[module]):
                visit(other, [*path, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return "\n".join(f"{PACKAGE}: {circle}" for circle in circles)
