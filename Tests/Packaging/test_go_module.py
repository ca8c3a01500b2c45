# SPDX-License-Identifier: Apache-2.0
"""The Go module as files of a module proxy, used by a program outside of the checkout as docs/INSTALL.md says."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from wheels import without_openssl

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD, DIST = (pathlib.Path(os.environ[name]) for name in ("BUILD", "DIST"))
LIBRARY = (DIST / "libpulsews.so.0").resolve()
VERSION = LIBRARY.name.partition(".so.")[2]
PROGRAM = ROOT / "Tests/Packaging/program/main.go"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{command} exited with {done.returncode}:\n{done.stdout}"
    return done.stdout


def build(folder):
    run(sys.executable, ROOT / "packaging/go/build.py", folder, env={**os.environ, "VERSION": VERSION})
    return folder / "pulsews.dev/go/@v"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    return build(tmp_path_factory.mktemp("proxy"))


@pytest.fixture
def environment(proxy, tmp_path):
    """No cache of modules, no settings of this machine, and no network."""
    yield {"PATH": f"{BUILD / 'venv/bin'}:/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path), "GOPATH": str(tmp_path / "path"),
           "GOCACHE": str(BUILD / "go/cache"), "GOENV": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw",
           "PROXY": str(proxy.parents[2])}


def test_the_files_are_those_of_the_protocol(proxy, tmp_path):
    assert (proxy / "list").read_text() == f"v{VERSION}\n"
    assert json.loads((proxy / f"v{VERSION}.info").read_text())["Version"] == f"v{VERSION}"
    assert (proxy / f"v{VERSION}.mod").read_bytes() == (ROOT / "bindings/go/go.mod").read_bytes()
    names = zipfile.ZipFile(proxy / f"v{VERSION}.zip").namelist()
    assert all(name.startswith(f"pulsews.dev/go@v{VERSION}/") for name in names) and not [n for n in names if "_test" in n]
    again = build(tmp_path)
    assert all((again / path.name).read_bytes() == path.read_bytes() for path in proxy.iterdir())


def test_a_program_gets_builds_vendors_and_runs(environment, tmp_path):
    app = tmp_path / "app"
    app.mkdir()
    shutil.copy(PROGRAM, app)
    section = (ROOT / "docs/INSTALL.md").read_text().split("\n## Go\n")[1].split("\n## ")[0]
    block = next(one for one in re.findall(r"^```sh\n(.*?)^```", section, re.S | re.M) if "GOPROXY" in one)
    run("bash", "-ec", block, cwd=app, env=environment)
    shutil.copy(LIBRARY, app / "libpulsews.so.0")  # the program's folder is one of the places
    assert run(app / "app", env={}) == "a hub came and went\n"
    (app / "app").unlink()
    environment["GOPROXY"], environment["GONOSUMDB"] = f"file://{environment['PROXY']}", "pulsews.dev"
    run("go", "mod", "vendor", cwd=app, env=environment)
    shutil.rmtree(tmp_path / "path")
    offline = re.search(r"`(GOPROXY=off go build [^`]+)`", section)[1].replace("\n", " ")
    run("bash", "-ec", offline, cwd=app, env=environment)
    assert run(app / "app", env={}) == "a hub came and went\n"
    # Its system has lost libssl.
    lost = subprocess.run(without_openssl(app / "app"), env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert lost.returncode != 0
    assert (f"{app}/libpulsews.so.0: it was found, but needs libssl.so.3, which is in the package libssl3 or libssl3t64 (Debian, Ubuntu), "
            "openssl-libs (Fedora, Red Hat), libopenssl3 (SUSE)") in lost.stderr
    (app / "libpulsews.so.0").unlink()
    alone = subprocess.run([app / "app"], env={}, capture_output=True, text=True)
    assert alone.returncode != 0 and "the library libpulsews can't be loaded" in alone.stderr
