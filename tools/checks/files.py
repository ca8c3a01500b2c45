# SPDX-License-Identifier: Apache-2.0
"""Which files there are, and how a program is run on them."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from pathlib import Path
from typing import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("BUILD") or ROOT / ".build").absolute()
DIST = Path(os.environ.get("DIST") or ROOT / "dist").absolute()
OUTPUT = {".git", ".build", "dist", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}

# The headers have hand-aligned comments, and the Go binding's are identical copies; the first one stays as it was.
C_EXCEPT = {"include/pulsews.h", "include/pulsews_hub.h", "bindings/go/pulsews.h", "bindings/go/pulsews_hub.h",
            "packaging/abi/first/pulsews.h"}
# In the first lines of what tools/generate.py writes as a whole: one row of a table a line is how that reads best.
GENERATED = b"enerated by tools/generate.py"
SHELL = re.compile(rb"#!\s*/\S*/(env )?(ba|da)?sh\b")
PYTHON = re.compile(rb"#!\s*/\S*/(env )?python3?\b")


@functools.lru_cache(maxsize=None)
def tracked() -> tuple[str, ...]:
    """What git tracks and is there, relative to the root; in a tree without git's help, every file that is no output."""
    try:
        output = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"], cwd=ROOT, check=True,
                                capture_output=True).stdout
        names = output.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        names = []
    if "Makefile" not in names:
        names = sorted(str(path.relative_to(ROOT)) for path in _walk(ROOT))
    return tuple(name for name in names if (ROOT / name).is_file())


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in OUTPUT or path.suffix == ".pyc" or path in (BUILD, DIST):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path


@functools.lru_cache(maxsize=None)
def is_generated(name: str) -> bool:
    with open(ROOT / name, "rb") as file:
        return GENERATED in file.read(200)


def named(*suffixes: str) -> list[str]:
    return [name for name in tracked() if name.endswith(suffixes)]


def _scripts(suffix: str, interpreter: re.Pattern[bytes]) -> list[str]:
    """By name, or without a suffix by the first line."""
    found = []
    for name in tracked():
        if name.endswith(suffix):
            found.append(name)
        elif "." not in Path(name).name and "/corpus/" not in name:
            with open(ROOT / name, "rb") as file:
                if interpreter.match(file.read(64)):
                    found.append(name)
    return found


def swift() -> list[str]:
    return [name for name in named(".swift") if not is_generated(name)]


def c() -> list[str]:
    return [name for name in named(".c", ".h", ".cpp", ".hpp") if name not in C_EXCEPT and not is_generated(name)]


def go() -> list[str]:
    return named(".go")


def shell() -> list[str]:
    return _scripts(".sh", SHELL)


def python() -> list[str]:
    return _scripts(".py", PYTHON)


def environment() -> dict[str, str]:
    """The virtual environment's programs first; Go's caches with the other build output, and nothing from the network."""
    return {
        **os.environ, "PATH": f"{BUILD}/venv/bin:{os.environ['PATH']}", "GOCACHE": f"{BUILD}/go/cache",
        "GOPATH": f"{BUILD}/go/path", "GOENV": "off", "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOSUMDB": "off",
        "GOTOOLCHAIN": "local", "CGO_ENABLED": "1", "PYTHONDONTWRITEBYTECODE": "1",
    }


def run(command: Sequence[str], folder: str = ".", more: Mapping[str, str] | None = None) -> str:
    """What the command says if it fails, and nothing if it succeeds."""
    try:
        done = subprocess.run(command, cwd=ROOT / folder, env={**environment(), **(more or {})}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    except FileNotFoundError:
        return f"{command[0]} is missing; `make setup` installs it"
    if done.returncode == 0:
        return ""
    return done.stdout.strip() or f"{command[0]} ended with {done.returncode}"


def gofmt() -> str:
    """Go from PyPI has `gofmt` beside its tools only."""
    done = subprocess.run(["go", "env", "GOROOT"], env=environment(), check=True, capture_output=True, text=True)
    return f"{done.stdout.strip()}/bin/gofmt"
