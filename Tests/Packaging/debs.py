# SPDX-License-Identifier: Apache-2.0
"""Makes the Debian packages and opens them."""
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEBIAN = ROOT / "packaging/debian"
DIST = pathlib.Path(os.environ.get("DIST", ROOT / "dist"))
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / ".build"))
PACKAGES = ("libpulsews-dev", "libpulsews0", "pulsews-hub", "python3-pulsews")
HEADER = (ROOT / "include/pulsews.h").read_text()
VERSION = ".".join(re.search(rf"define PULSEWS_VERSION_{part} (\d+)", HEADER)[1] for part in ("MAJOR", "MINOR", "PATCH"))


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder, **more):
    """{package: its file}, made in that folder."""
    # A make around the tests has another in mind, and compiler flags of the tests are not for packages.
    values = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    values.update(BUILD=str(BUILD), DIST=str(DIST), VERSION=VERSION, **more)
    run(DEBIAN / "build.sh", folder, env=values)
    made = {path.name.split("_")[0]: path for path in folder.glob("*.deb")}
    assert sorted(made) == sorted(PACKAGES)
    return made


def opened(packages, folder):
    """{package: the folder with its files}"""
    for name, path in packages.items():
        run("dpkg-deb", "--raw-extract", path, folder / name)
    return {name: folder / name for name in packages}


def contents(folder):
    """The files of an opened package, links too, but for dpkg's own."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")
            if (path.is_symlink() or path.is_file()) and path.relative_to(folder).parts[0] != "DEBIAN"}


def field(package, name):
    return run("dpkg-deb", "--field", package, name).strip()
