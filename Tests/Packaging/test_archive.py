# SPDX-License-Identifier: Apache-2.0
"""The archive of `make dist`: made twice, unpacked in a fresh folder, and used as docs/INSTALL.md says."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIST = pathlib.Path(os.environ["DIST"])
LIBRARY = (DIST / "libpulsews.so.0").resolve()
VERSION = LIBRARY.name.partition(".so.")[2]
NAME = f"pulsews-{VERSION}-linux-x86_64"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{command} exited with {done.returncode}:\n{done.stdout}"
    return done.stdout


def build(folder, umask="022"):
    values = {**os.environ, "VERSION": VERSION, "SOURCE_DATE_EPOCH": "1000000000"}
    run("bash", "-c", f'umask {umask}; exec "$@"', "build", sys.executable, ROOT / "packaging/archive/build.py", folder, "0", env=values)
    return folder / f"{NAME}.tar.xz"


def blocks():
    """The commands of the section, a block each: unpacking, CMake, pkg-config."""
    section = (ROOT / "docs/INSTALL.md").read_text().split("## The archive\n")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.S | re.M)


def bare():
    """Nothing that would find a library elsewhere."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return build(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def place(archive, tmp_path_factory):
    """A folder with the archive unpacked, and a project beside it."""
    folder = tmp_path_factory.mktemp("fresh")
    shutil.copy(archive, folder)
    shutil.copytree(ROOT / "Tests/Packaging/project", folder / "project")
    shown = run("bash", "-ec", blocks()[0], cwd=folder, env=bare())
    assert VERSION in shown
    return folder


def test_the_same_build_gives_the_same_bytes(archive, tmp_path):
    assert build(tmp_path, umask="077").read_bytes() == archive.read_bytes()


def test_a_changed_file_is_told_by_its_sum(place):
    root = place / NAME
    names = {line.split("  ", 1)[1] for line in (root / "SHA256SUMS").read_text().splitlines()}
    assert names == {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and not path.is_symlink()} - {"SHA256SUMS"}
    changed = run("bash", "-c", 'cp LICENSE kept; echo >>LICENSE; sha256sum --check --quiet SHA256SUMS; mv kept LICENSE', cwd=root)
    assert "LICENSE: FAILED" in changed


@pytest.mark.parametrize("way", [1, 2], ids=["cmake", "pkg-config"])
def test_a_project_of_c_and_cpp_is_built_and_runs(place, way):
    shown = run("bash", "-ec", blocks()[way], cwd=place, env=bare())
    assert shown.endswith(f"C with pulsews {VERSION}\nC++ with pulsews {VERSION}\n")


def test_cmake_refuses_another_version(place, tmp_path):
    shutil.copytree(place / "project", tmp_path / "project")
    manifest = tmp_path / "project/CMakeLists.txt"
    manifest.write_text(manifest.read_text().replace("pulsews 0.1", "pulsews 0.2"))
    done = subprocess.run(["cmake", "-S", "project", "-B", "build", f"-DCMAKE_PREFIX_PATH={place / NAME}"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode != 0 and f"version: {VERSION}" in done.stderr


def test_python_finds_the_library_in_it(place):
    shown = run(sys.executable, "-B", "-c", "import pulsews; print(pulsews.__file__, pulsews.library_version())", cwd=place,
                env={**bare(), "PYTHONPATH": str(place / NAME / "python")})
    assert shown.startswith(str(place / NAME / "python")) and VERSION in shown


def test_pip_installs_it_without_a_network(place, tmp_path):
    """As the page says; the package then needs the archive no more, and leaves nothing behind."""
    def files():
        return {path: path.read_bytes() for path in (tmp_path / "env").rglob("*") if path.is_file()}

    shutil.copytree(place / NAME, tmp_path / NAME, symlinks=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(sys.executable)
    values = {**bare(), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path), "PIP_DISABLE_PIP_VERSION_CHECK": "1",
              "PYTHONDONTWRITEBYTECODE": "1"}
    make, install, show = blocks()[3].splitlines()
    offline = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    run("bash", "-ec", make, cwd=tmp_path, env=values)
    before = files()
    run(*offline, "bash", "-ec", install, cwd=tmp_path, env=values)
    shutil.rmtree(tmp_path / NAME)
    assert VERSION in run("bash", "-ec", show, cwd=tmp_path, env=values)
    found = run("env/bin/python", "-I", "-c", "import pulsews._native; print(open('/proc/self/maps').read())", cwd=tmp_path, env=values)
    assert re.search(rf"{tmp_path}/env/\S+/site-packages/pulsews/libpulsews\.so\.0$", found, re.M)
    assert re.search(r" /(?:usr/)?lib/\S+/libssl\.so\.3$", found, re.M)  # the system's
    run("env/bin/pip", "uninstall", "-y", "pulsews", cwd=tmp_path, env=values)
    assert files() == before


def test_it_has_the_licenses_of_what_is_inside(place):
    """The texts are those of the packages that the daemon is built with, and the bill and the table name the same."""
    folder, checkouts = place / NAME / "licenses", pathlib.Path(os.environ["BUILD"]) / "hub/checkouts"
    sources = {"TOMLKit": "TOMLKit/LICENSE", "swift": "swift-argument-parser/LICENSE.txt", "swift-log": "swift-log/NOTICE.txt"}
    for name, source in sources.items():
        assert (folder / f"{name}.txt").read_bytes() == (checkouts / source).read_bytes()
    header = " ".join((checkouts / "TOMLKit/Sources/CTOML/Sources/toml.hpp").read_text().replace("//", " ").split())
    license_text, _, decoder = (folder / "tomlplusplus.txt").read_text().partition("\nIts decoder of UTF-8")
    assert " ".join(license_text.split()) in header and re.search(r"Copyright \(c\) (.*>),", decoder)[1] in header
    bill = {row["bom-ref"]: row for row in json.loads((place / NAME / "sbom.cdx.json").read_text())["components"]}
    assert f"toml++ v{bill['tomlplusplus']['version']}" in header
    assert re.fullmatch(r"\d\d", bill["icu"]["version"])
    table = (folder / "README.txt").read_text()
    assert {name: bill[name]["licenses"] for name in ("swift-argument-parser", "TOMLKit", "libcurl.so.4", "libc.so.6", "libssl.so.3")} == {
        "swift-argument-parser": [{"expression": "Apache-2.0 WITH Swift-exception"}], "TOMLKit": [{"license": {"id": "MIT"}}],
        "libcurl.so.4": [{"license": {"id": "curl"}}], "libc.so.6": [{"license": {"id": "LGPL-2.1-or-later"}}],
        "libssl.so.3": [{"license": {"id": "Apache-2.0"}}]}
    named = set(re.findall(r"^  (\S+)", table, re.M))
    assert {"swift-argument-parser", "swift-log", "TOMLKit", "toml++", "ICU", "OpenSSL", "zlib", "curl", "glibc"} <= named
    assert {row["name"] for row in bill.values() if row["name"] not in table} <= {
        "libpulsews", "pulsews-hub", "Swift standard library, embedded mode", "Swift standard library, Foundation and libdispatch"}
    assert set(re.findall(r"(\S+\.txt)$", table, re.M)) | {"README.txt", "swift-log.txt"} == {path.name for path in folder.iterdir()}


def test_the_bill_of_materials_names_what_is_inside(place):
    bill = json.loads((place / NAME / "sbom.cdx.json").read_text())
    parts = {row["bom-ref"]: row for row in bill["components"]}
    manifest = (ROOT / "tools/pulsews-hub/Package.swift").read_text()
    for address, pinned in re.findall(r'url: "([^"]+)", exact: "([^"]+)"', manifest):
        assert parts[address.rsplit("/", 1)[1]]["version"] == pinned
    assert {"libssl.so.3", "libcrypto.so.3", "libz.so.1", "swift-embedded"} <= parts.keys()
    assert bill["bomFormat"] == "CycloneDX" and parts["libpulsews"]["version"] == VERSION
    assert all(on in parts for row in bill["dependencies"] for on in row["dependsOn"])
