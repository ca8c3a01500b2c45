#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build.py FOLDER [LEVEL]: the archive of a finished build, FOLDER/pulsews-VERSION-linux-x86_64.tar.xz, packed with xz's LEVEL.

Run by make, which passes DIST and VERSION. The same files give the same bytes: names are sorted, owners, modes and times fixed
(SOURCE_DATE_EPOCH, else 1980).
"""
import hashlib
import io
import json
import lzma
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

import sbom

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
DIST = pathlib.Path(os.environ["DIST"])
VERSION = os.environ["VERSION"]
NAME = f"pulsews-{VERSION}-linux-x86_64"
LIBRARY = f"libpulsews.so.{VERSION}"
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", 315532800))
UNWANTED = {"tests", "__pycache__", "build"}


class Contents:
    """Files and links by their path in the archive."""

    def __init__(self):
        self.files, self.links, self.programs = {}, {}, set()

    def add(self, path, source):
        if not source.is_file():
            sys.exit(f"archive: {source} is missing; `make dist` builds it")
        self.files[path] = source.read_bytes()

    def add_program(self, path, source):
        self.add(path, source)
        self.programs.add(path)

    def add_folder(self, path, source, is_wanted=lambda name: True):
        for file in sorted(source.rglob("*")):
            name = file.relative_to(source)
            if file.is_file() and not UNWANTED & set(name.parts) and file.suffix != ".pyc" and is_wanted(file.name):
                self.add(f"{path}/{name}", file)

    def add_template(self, path, source):
        self.files[path] = source.read_text().replace("@VERSION@", VERSION).encode()

    def add_sums(self):
        lines = [f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in sorted(self.files.items())]
        self.files["SHA256SUMS"] = "".join(lines).encode()


def for_c(contents):
    contents.add_program(f"lib/{LIBRARY}", DIST / LIBRARY)
    contents.add(f"lib/{LIBRARY}.debug", DIST / f"{LIBRARY}.debug")
    contents.links.update({"lib/libpulsews.so.0": LIBRARY, "lib/libpulsews.so": "libpulsews.so.0"})
    contents.add_folder("include", ROOT / "include", lambda name: name.endswith((".h", ".hpp")))
    contents.add_template("lib/pkgconfig/pulsews.pc", HERE / "pulsews.pc.in")
    for name in ("pulsewsConfig.cmake", "pulsewsConfigVersion.cmake"):
        contents.add_template(f"lib/cmake/pulsews/{name}", HERE / f"{name}.in")


def for_python(contents):
    """The package to be used where it lies, and as a wheel for pip, which needs nothing then but the system's OpenSSL."""
    contents.add_folder("python", ROOT / "bindings/python")
    contents.links["python/pulsews/libpulsews.so.0"] = "../../lib/libpulsews.so.0"
    wheel = f"pulsews-{VERSION}-py3-none-linux_x86_64.whl"
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "source"
        shutil.copytree(ROOT / "bindings/python", source, ignore=shutil.ignore_patterns(*UNWANTED), copy_function=shutil.copyfile)
        shutil.copyfile(ROOT / "LICENSE", source / "LICENSE")
        (source / "pulsews/libpulsews.so.0").write_bytes((DIST / LIBRARY).read_bytes())
        for path in source.rglob("*"):
            path.chmod(0o755 if path.is_dir() or ".so" in path.name else 0o644)
        # setuptools is that of .ci/requirements.txt, and nothing comes from the network.
        subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-build-isolation", "--no-deps",
                        "--no-index", "-w", folder, source], check=True, env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)}, umask=0o022)
        contents.add(f"python/{wheel}", pathlib.Path(folder) / wheel)


def for_others(contents):
    contents.add_folder("go", ROOT / "bindings/go", lambda name: not name.endswith("_test.go"))
    contents.add_folder("web", ROOT / "bindings/web")
    with tempfile.TemporaryDirectory() as folder:
        script = pathlib.Path(folder) / "pulsews.global.js"
        subprocess.run([ROOT / "tools/web", script], check=True, stdout=subprocess.DEVNULL)
        contents.add("web/pulsews.global.js", script)
    if (DIST / "web").is_dir():
        contents.add_folder("share/pulsews-hub/page", DIST / "web")


def for_the_daemon(contents):
    contents.add_program("bin/pulsews-hub", DIST / "pulsews-hub")
    contents.links["bin/libpulsews.so.0"] = "../lib/libpulsews.so.0"  # it looks beside itself
    contents.add("share/pulsews-hub/pulsews-hub.toml", ROOT / "packaging/pulsews-hub.toml")
    contents.add_folder("share/pulsews-hub/systemd", ROOT / "packaging/systemd")


def write(contents, target, level):
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.new")
    with lzma.open(half, "wb", preset=level) as packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted([*contents.files, *contents.links]):
            entry = tarfile.TarInfo(f"{NAME}/{path}")
            entry.mtime, entry.uname, entry.gname = EPOCH, "root", "root"
            entry.mode = 0o755 if path in contents.programs else 0o644
            if path in contents.links:
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, contents.links[path], 0o777
                archive.addfile(entry)
            else:
                entry.size = len(contents.files[path])
                archive.addfile(entry, io.BytesIO(contents.files[path]))
    os.chmod(half, 0o644)
    os.replace(half, target)


def main():
    contents = Contents()
    for part in (for_c, for_python, for_others, for_the_daemon):
        part(contents)
    contents.add("LICENSE", ROOT / "LICENSE")
    contents.add_folder("licenses", ROOT / "packaging/licenses")
    bill = sbom.bill(ROOT, VERSION, DIST / LIBRARY, DIST / "pulsews-hub")
    contents.files["sbom.cdx.json"] = (json.dumps(bill, indent=1) + "\n").encode()
    contents.add_sums()
    target = pathlib.Path(sys.argv[1]) / f"{NAME}.tar.xz"
    write(contents, target, int(sys.argv[2]) if len(sys.argv) > 2 else 6)
    print(f"archive: {target}, {target.stat().st_size} bytes")


main()
