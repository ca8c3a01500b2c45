#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build.py FOLDER: the Go module of bindings/go as FOLDER for GOPROXY=file://FOLDER, in the layout of the module proxy protocol.

Run by make, which passes VERSION. The same sources give the same bytes. The module's tests need this checkout, and stay here.
"""
import json
import os
import pathlib
import re
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "bindings/go"
TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can tell


def files():
    """Path in the module -> content."""
    found = {"LICENSE": (ROOT / "LICENSE").read_bytes()}
    for file in SOURCE.rglob("*"):
        if file.is_file() and file.suffix in (".go", ".c", ".h", ".mod", ".md") and not file.name.endswith("_test.go"):
            found[str(file.relative_to(SOURCE))] = file.read_bytes()
    return dict(sorted(found.items()))


def write(path, data):
    half = path.with_name(f".{path.name}.new")
    half.write_bytes(data)
    half.chmod(0o644)
    half.replace(path)


def main():
    version = f"v{os.environ['VERSION']}"
    manifest = (SOURCE / "go.mod").read_text()
    module = re.search(r"^module (\S+)$", manifest, re.M)[1]
    if module != module.lower():
        sys.exit(f"go-module: the path {module} has capitals, which the protocol escapes")
    folder = pathlib.Path(sys.argv[1]) / module / "@v"
    folder.mkdir(parents=True, exist_ok=True)
    half = folder / f".{version}.zip.new"
    with zipfile.ZipFile(half, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, data in files().items():
            entry = zipfile.ZipInfo(f"{module}@{version}/{path}", TIME)
            entry.external_attr, entry.compress_type = 0o100644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    half.chmod(0o644)
    half.replace(folder / f"{version}.zip")
    write(folder / f"{version}.mod", manifest.encode())
    write(folder / f"{version}.info", json.dumps({"Version": version, "Time": "1980-01-01T00:00:00Z"}).encode())
    versions = sorted({file.stem for file in folder.glob("v*.zip")})
    write(folder / "list", "".join(f"{one}\n" for one in versions).encode())
    print(f"go-module: {folder / version}.zip, {(folder / f'{version}.zip').stat().st_size} bytes")


main()
