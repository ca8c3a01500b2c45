# SPDX-License-Identifier: Apache-2.0
"""The wheel of the Python package: what is in it, where pip installs it, and that it runs there by itself.

PULSEWS_PYTHONS names interpreters for what is installed, separated by blanks; that of the tests without it.
"""
import email
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from packaging.metadata import Metadata
from wheels import ALONE, BOTH_ENDS, DIST, FILE, LIBRARY, ROOT, TOOLS, VERSION, Environment, build, commands, run, without_openssl

sys.path.insert(0, str(ROOT / "examples" / "simulator"))
import certificate

PYTHONS = os.environ.get("PULSEWS_PYTHONS", sys.executable).split()
PACKAGES = ROOT / "bindings" / "python" / "pulsews"
pytestmark = pytest.mark.timeout(400)  # pip is slow where processors are busy


@pytest.fixture(scope="session")
def wheel():
    """Made once, as the page says."""
    values = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    for old in DIST.glob("wheel/*"):
        old.unlink()
    run(["bash", "-euc", commands()[0]], cwd=ROOT, env=values)
    return DIST / "wheel" / FILE


@pytest.fixture(scope="session", params=PYTHONS)
def installed(request, wheel, tmp_path_factory):
    made = Environment(tmp_path_factory.mktemp("installed"), shutil.which(request.param))
    made.version_line = made.install().splitlines()[-1]
    return made


@pytest.fixture(scope="session")
def empty(wheel, tmp_path_factory):
    """An environment without the package, for tests that install it."""
    made = Environment(tmp_path_factory.mktemp("empty"), shutil.which(PYTHONS[0]))
    made.shell("python3 -m venv env")
    return made


@pytest.fixture
def damaged(installed, tmp_path):
    """A function that puts a file, or nothing, in the place of one of a copy of what is installed; returns what Python says then."""
    for name in ("pulsews", "pulsews.libs"):
        shutil.copytree(installed.package.parent / name, tmp_path / name)

    def tried(name, file):
        (tmp_path / name).unlink()
        if file:
            shutil.move(file, tmp_path / name)
        status, output = installed.python("-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import pulsews")
        assert status == 1, output
        return output.splitlines()[-1]

    return tried


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    certificate.make(folder)
    return folder


# ---- what is in it


def test_it_is_one_file_for_one_kind_of_machine(wheel):
    assert [path.name for path in (DIST / "wheel").iterdir()] == [FILE]
    with zipfile.ZipFile(wheel) as archive:
        info = email.message_from_bytes(archive.read(f"pulsews-{VERSION}.dist-info/WHEEL"))
    assert info["Root-Is-Purelib"] == "false"
    assert info.get_all("Tag") == ["py3-none-manylinux_2_34_x86_64"]


def test_it_has_the_package_the_library_and_openssl(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        assert archive.testzip() is None
    bundled = {name for name in names if name.startswith("pulsews.libs/")}
    assert {re.sub(r"-[0-9a-f]{8}\.", ".", name) for name in bundled} == {"pulsews.libs/libssl.so.3", "pulsews.libs/libcrypto.so.3"}
    record = {f"pulsews-{VERSION}.dist-info/{name}" for name in (
        "METADATA", "WHEEL", "RECORD", "top_level.txt", "licenses/LICENSE", "licenses/NOTICE", "sboms/auditwheel.cdx.json")}
    assert names - bundled - record == {f"pulsews/{path.name}" for path in PACKAGES.glob("*.py")} | {
        "pulsews/py.typed", "pulsews/libpulsews.so.0"}


def test_auditwheel_finds_it_clean(wheel):
    shown = " ".join(run([TOOLS / "auditwheel", "show", wheel], env=dict(os.environ, PATH=f"{TOOLS}:{os.environ['PATH']}")).split())
    assert f'{FILE} is consistent with the following platform tag: "manylinux_2_34_x86_64".' in shown
    assert set(re.findall(r"(lib\w+)\S* with versions", shown)) == {"libc", "libm", "libz", "libssl", "libcrypto"}


def test_its_metadata_are_whole(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = Metadata.from_email(archive.read(f"pulsews-{VERSION}.dist-info/METADATA"))
    assert (metadata.name, str(metadata.version), metadata.license_expression) == ("pulsews", VERSION, "Apache-2.0")
    assert "3.8" not in metadata.requires_python and "3.9" in metadata.requires_python
    assert metadata.license_files == ["LICENSE", "NOTICE"]
    assert metadata.description == (ROOT / "bindings/python/README.md").read_text()
    assert metadata.description_content_type == "text/markdown" and metadata.summary
    assert {"Operating System :: POSIX :: Linux", "Typing :: Typed"} <= set(metadata.classifiers)
    assert all(requirement.marker and "extra" in str(requirement.marker) for requirement in metadata.requires_dist)


def test_the_readme_is_a_program():
    for block in re.findall(r"^```python\n(.*?)^```", (ROOT / "bindings/python/README.md").read_text(), re.S | re.M):
        compile(block, "README.md", "exec")


def test_it_is_the_same_in_another_folder_for_another_user(wheel, tmp_path):
    for name in ("bindings/python", "packaging", "LICENSE"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        run(["cp", "-r", ROOT / name, tmp_path / "tree" / name])
    commit = ["git", "-c", f"safe.directory={ROOT}", "log", "-1", "--format=%ct"]
    time = os.environ.get("SOURCE_DATE_EPOCH") or run(commit, cwd=ROOT).strip()
    again = build(tmp_path / "again", tmp_path / "tree", SOURCE_DATE_EPOCH=time, TZ="Asia/Tokyo", UMASK="077", PYTHONHASHSEED="7")
    assert again.read_bytes() == wheel.read_bytes()


def test_without_the_library_it_is_for_any_machine(tmp_path):
    """And never with it: the tag of a package that someone put the library into is no other than the wheel's."""
    for name, tag in (("without", "any"), ("with", "linux_x86_64")):
        source = tmp_path / name
        run(["cp", "-r", ROOT / "bindings/python", source])
        if name == "with":
            shutil.copy(LIBRARY, source / "pulsews" / "libpulsews.so.0")
        run([TOOLS / "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", tmp_path / "out", source])
        assert (tmp_path / "out" / f"pulsews-{VERSION}-py3-none-{tag}.whl").exists()


# ---- where pip installs it


@pytest.mark.parametrize("platform, python, why", [
    ("manylinux_2_34_x86_64", "3.9", None), ("manylinux_2_34_x86_64", "3.13", None),
    ("manylinux_2_34_x86_64", "3.8", "requires a different Python: 3.8.0 not in '>=3.9'"),
    ("manylinux_2_31_x86_64", "3.11", "not a supported wheel"), ("manylinux_2_34_aarch64", "3.11", "not a supported wheel"),
    ("musllinux_1_2_x86_64", "3.11", "not a supported wheel"), ("macosx_14_0_x86_64", "3.11", "not a supported wheel"),
    ("win_amd64", "3.11", "not a supported wheel")])
def test_pip_refuses_it_where_it_would_not_run(wheel, tmp_path, platform, python, why):
    command = [TOOLS / "pip", "download", "--no-index", "--no-deps", "--only-binary", ":all:", "--platform", platform,
               "--python-version", python, "-d", tmp_path, wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == (1 if why else 0), done.stdout + done.stderr
    assert not why or re.search(f"^ERROR: .*{re.escape(why)}", done.stderr, re.M), done.stderr
    assert (tmp_path / FILE).exists() != bool(why)


# ---- that it runs by itself


@pytest.mark.parametrize("order", [("ssl", "pulsews"), ("pulsews", "ssl")], ids="-".join)
def test_a_hub_and_clients_beside_the_ssl_module(installed, certificates, tmp_path, order):
    assert shutil.which("swift", path=installed.values["PATH"]) is None
    found = installed.both_ends(certificates, "--ca-file", *order, LD_DEBUG="bindings", LD_DEBUG_OUTPUT=str(tmp_path / "bindings"))
    assert found["file"] == str(installed.package / "__init__.py") and found["package"] == VERSION
    assert found["library"] == installed.version_line
    assert re.fullmatch(re.escape(VERSION) + r" \(OpenSSL 3\.\d+\.\d+ .*\)", found["library"])
    assert found["status"] == "HTTP/1.1 200 OK"
    bundled = [name for name in found["mapped"] if name.startswith(f"{installed.package}.libs/")]
    assert len(bundled) == 2
    # Each has its own OpenSSL: no function of the one is bound to that of the other.
    bindings = {(source, target) for log in tmp_path.glob("bindings.*") for source, target in re.findall(
        r"binding file (\S+) \[0\] to (\S+) \[0\]: normal symbol `(?:SSL|X509|BIO|EVP|OPENSSL|CRYPTO)_", log.read_text())}
    assert {tuple(os.path.realpath(name).startswith(str(installed.package)) for name in pair) for pair in bindings} == {
        (True, True), (False, False)}


def test_it_leaves_nothing_behind(empty, certificates):
    before = empty.files()
    empty.install()
    empty.both_ends(certificates, "--ca-file", "ssl", "pulsews")
    added = {path.relative_to(empty.package.parent).parts[0] for path in empty.files().keys() - before.keys()}
    assert added == {"pulsews", "pulsews.libs", f"pulsews-{VERSION}.dist-info"}  # and nothing outside of site-packages
    empty.shell(commands()[2])
    assert empty.files() == before
    assert not empty.package.exists()
    status, output = empty.python("-c", "import pulsews")
    assert status == 1 and "No module named 'pulsews'" in output


def test_an_upgrade_leaves_a_running_program_whole(empty, certificates):
    install = "env/bin/pip install --no-index --force-reinstall dist/wheel/pulsews-*.whl"
    empty.shell(install)
    with subprocess.Popen(empty.command(BOTH_ENDS, certificates, "--ca-file", "--stay", "ssl", "pulsews"), env=empty.values, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert '"HTTP/1.1 200 OK"' in program.stdout.readline()
        empty.shell(install)
        with open(f"/proc/{program.pid}/maps") as maps:  # what runs is not what lies there now
            assert re.search(r"libpulsews\.so\.0 \(deleted\)$", maps.read(), re.M)
        for text in ("one\n", "two\n"):
            program.stdin.write(text)
            program.stdin.flush()
            assert program.stdout.readline() == text
        program.stdin.close()
        assert program.wait(20) == 0
    empty.both_ends(certificates, "--ca-file", "ssl", "pulsews")
    empty.shell(commands()[2])


def test_a_library_of_another_version_is_refused(damaged, tmp_path):
    source, library = tmp_path / "version.c", tmp_path / "other.so"
    source.write_text('const char *pulsews_version(void) { return "0.99.3"; }\n'
                      "unsigned pulsews_version_number(void) { return 99 << 8 | 3; }\n")
    run(["gcc", "-shared", "-fPIC", source, "-o", library])
    assert damaged("pulsews/libpulsews.so.0", library) == (
        f"pulsews._errors.LibraryError: {tmp_path}/pulsews/libpulsews.so.0 is libpulsews 0.99.3; "
        f"this package needs {VERSION.rpartition('.')[0]}")


def test_without_its_openssl_it_says_what_to_do(damaged, tmp_path):
    name = next(tmp_path.glob("pulsews.libs/libssl*")).name
    assert damaged(f"pulsews.libs/{name}", None) == (
        f"pulsews._errors.LibraryError: libpulsews was found, but not what it needs: {tmp_path}/pulsews/libpulsews.so.0 needs {name}, "
        "which was installed with it: install the package again")


def test_a_system_without_openssl_is_told_the_package():
    """The package without a library in it, on a system that has libpulsews and lost libssl."""
    values = {"PATH": "/usr/bin:/bin", "PULSEWS_LIBRARY": str(LIBRARY), "PYTHONPATH": str(PACKAGES.parent)}
    done = subprocess.run(without_openssl(sys.executable, "-c", "import pulsews"), env=values, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        f"pulsews._errors.LibraryError: libpulsews was found, but not what it needs: {LIBRARY} needs libssl.so.3, which is in the package "
        "libssl3 or libssl3t64 (Debian, Ubuntu), openssl-libs (Fedora, Red Hat), libopenssl3 (SUSE)")


# ---- whom it trusts

BUNDLE, FOLDER, CHOSEN = "bundle", "folder", "/etc/own/authority.pem"


@pytest.mark.parametrize("kind, path", [
    pytest.param(BUNDLE, "/etc/ssl/certs/ca-certificates.crt", id="debian"), pytest.param(FOLDER, "/etc/ssl/certs", id="debian-folder"),
    pytest.param(BUNDLE, "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", id="fedora"),
    pytest.param(BUNDLE, "/etc/pki/tls/certs/ca-bundle.crt", id="red-hat"), pytest.param(BUNDLE, "/etc/ssl/ca-bundle.pem", id="suse"),
    pytest.param(BUNDLE, "/var/lib/ca-certificates/ca-bundle.pem", id="suse-var"),
    pytest.param(FOLDER, "/var/lib/ca-certificates/openssl", id="suse-folder"), pytest.param(BUNDLE, "/etc/ssl/cert.pem", id="alpine"),
    pytest.param(BUNDLE, "/etc/ca-certificates/extracted/tls-ca-bundle.pem", id="arch"),
    pytest.param(BUNDLE, "/usr/lib/ssl/cert.pem", id="built-in"), pytest.param(BUNDLE, CHOSEN, id="chosen"),
    pytest.param(None, None, id="none")])
def test_it_finds_the_authorities_of_the_system(installed, certificates, kind, path):
    """In a system that has none but these, and nothing of the place that OpenSSL was built to look at, unless that is tried."""
    lines = ['for folder in /etc /var/lib /usr/lib/ssl; do [ ! -d "$folder" ] || mount -t tmpfs tmpfs "$folder"; done']
    if kind:
        lines.append(f"mkdir -p {os.path.dirname(path)}")
    if kind == BUNDLE:
        lines.append(f"cp {certificates}/ca.pem {path}")
    if kind == FOLDER:
        lines += [f"mkdir -p {path}", f"cp {certificates}/ca.pem {path}/test.pem", f"openssl rehash {path}"]
    values = dict(installed.values, PATH="/usr/bin:/bin", **({"SSL_CERT_FILE": CHOSEN} if path == CHOSEN else {}))
    command = [*ALONE, "sh", "-euc", "; ".join([*lines, 'exec "$@"']), "sh"]
    done = subprocess.run([*command, *installed.command(BOTH_ENDS, certificates, "pulsews", "ssl")], stdin=subprocess.DEVNULL,
                          env=values, capture_output=True, text=True, check=False)
    if kind:
        assert done.returncode == 0 and '"HTTP/1.1 200 OK"' in done.stdout, done.stderr
    else:
        assert done.returncode == 1 and done.stdout == ""
        assert "certificates were found on this machine: install ca-certificates, or set ca_file or SSL_CERT_FILE" in done.stderr
