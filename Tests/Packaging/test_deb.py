# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: what is in them, what they need, and that their pages and configuration say what the programs do."""
import json
import re
import subprocess

import pytest
from debs import DEBIAN, DIST, PACKAGES, ROOT, VERSION, build, contents, field, opened, run

DAEMON = (ROOT / "docs/DAEMON.md").read_text()
MACHINE = "usr/lib/x86_64-linux-gnu"
PYTHON = "usr/lib/python3/dist-packages"
# Of each package: its files, but for its documents, and what those begin with that are taken from elsewhere as they are.
FILES = {
    "libpulsews0": [f"{MACHINE}/libpulsews.so.0", f"{MACHINE}/libpulsews.so.{VERSION}"],
    "libpulsews-dev": ["usr/include/pulsews.h", "usr/include/pulsews.hpp", "usr/include/pulsews_hub.h",
                       *(f"usr/include/pulsews/{path.name}" for path in (ROOT / "include/pulsews").iterdir()), f"{MACHINE}/libpulsews.so",
                       f"{MACHINE}/pkgconfig/pulsews.pc", "usr/share/man/man3/pulsews.3.gz"],
    "python3-pulsews": [f"{PYTHON}/pulsews-{VERSION}.dist-info/INSTALLER", f"{PYTHON}/pulsews-{VERSION}.dist-info/METADATA",
                        *(f"{PYTHON}/pulsews/{path.name}" for path in (ROOT / "bindings/python/pulsews").glob("*.py")),
                        f"{PYTHON}/pulsews/py.typed"],
    "pulsews-hub": ["etc/pulsews/pulsews-hub.toml", "usr/bin/pulsews-hub", "lib/systemd/system/pulsews-hub.service",
                    "lib/systemd/system/pulsews-hub.socket", "usr/lib/sysusers.d/pulsews-hub.conf",
                    "usr/share/man/man5/pulsews-hub.toml.5.gz", "usr/share/man/man8/pulsews-hub.8.gz"],
}
PAGE = "usr/share/pulsews/web/"


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    return build(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def folders(packages, tmp_path_factory):
    return opened(packages, tmp_path_factory.mktemp("opened"))


@pytest.mark.timeout(240)
def test_lintian_has_nothing_to_say(packages):
    told = run("lintian", "--allow-root", "--fail-on", "error,warning", *packages.values())
    assert told == ""


@pytest.mark.parametrize("name", PACKAGES)
def test_the_files(folders, name):
    found = contents(folders[name])
    documents = {path for path in found if path.startswith(f"usr/share/doc/{name}/")}
    found.remove(f"usr/share/lintian/overrides/{name}")
    page = {path for path in found if path.startswith(PAGE)}
    assert found - documents - page == set(FILES[name])
    assert bool(page) == (name == "pulsews-hub")
    for file in ("copyright", "changelog.gz", "changelog.Debian.gz"):
        assert f"usr/share/doc/{name}/{file}" in documents


def test_the_page_is_whole(folders):
    page = folders["pulsews-hub"] / PAGE
    for source in ("index.html", "pulsews.js", "components.js", "page/main.js", "page/page.json", "src/client.js"):
        assert (page / source).read_bytes() == (ROOT / "bindings/web" / source).read_bytes()
    assert "TradingView" in (page / "page/lightweight-charts.js").read_text()


def test_the_symbols_are_the_exports(folders):
    """dpkg-gensymbols has compared them; this compares with the library by another tool."""
    told = (DEBIAN / "libpulsews0.symbols").read_text()
    exports = run("nm", "--dynamic", "--defined-only", DIST / "libpulsews.so.0")
    assert set(re.findall(r"^ (pulsews_\w+@PULSEWS_0) ", told, re.M)) == set(
        name.replace("@@", "@") for name in re.findall(r" T (\S+)", exports))
    assert (folders["libpulsews0"] / "DEBIAN/symbols").read_text().startswith("libpulsews.so.0 libpulsews0 #MINVER#\n")


@pytest.mark.parametrize("name", ["libpulsews0", "pulsews-hub"])
def test_the_licenses_are_those_of_the_archive(folders, name):
    """Word by word; but for the Apache License, which Debian has, and curl and zlib, which are packages of their own."""
    def words(text):
        return re.sub(r"\s+", " ", re.sub(r"^ \.$|^-+$|^SPDX-.*$", "", text, flags=re.M)).strip()

    told = words((folders[name] / f"usr/share/doc/{name}/copyright").read_text())
    texts = {file.stem: file.read_text() for file in (ROOT / "packaging/licenses").iterdir()}
    assert set(texts) == {"README", "swift", "swift-log", "TOMLKit", "tomlplusplus", "ICU", "curl", "zlib"}
    parts = [texts["TOMLKit"].split("Jeff Lebrun\n")[1], texts["swift"].split("Apache 2.0 License: ##\n")[1]]
    parts += [re.split(r"^(?=NOTICE TO USER|Permission is hereby|Redistribution and use)", part, maxsplit=1, flags=re.M)[1]
              for part in re.split(r"\n-+\n", texts["ICU"])]
    assert len(parts) == 5 and [part for part in parts if words(part) not in told] == []
    owners = re.findall(r"^(?:// )?Copyright (?:\([cC]\)|©)? ?(?:\d{4}[-, \d]*)?(.*)", "".join(texts[one] for one in (
        "TOMLKit", "tomlplusplus", "ICU", "swift-log")), re.M)
    owners = [words(re.sub(r"[.,]? ?(All rights.*|under the.*)$", "", owner)) for owner in owners]
    assert len(owners) == 7 and [owner for owner in owners if owner not in told] == []


def names(text):
    return re.findall(r"(?:^|, |\| )([a-z0-9.+:-]+)", text)


def test_what_they_need(packages):
    library = field(packages["libpulsews0"], "Depends")
    assert names(library) == ["libc6", "libssl3", "zlib1g"]
    assert "libc6 (>= 2.17)" in library
    exactly = f"libpulsews0 (= {field(packages['libpulsews0'], 'Version')})"
    assert field(packages["libpulsews-dev"], "Depends") == exactly
    assert field(packages["python3-pulsews"], "Depends") == f"{exactly}, python3:any"
    hub = field(packages["pulsews-hub"], "Depends")
    assert set(names(hub)) == {"systemd", "systemd-standalone-sysusers", "systemd-sysusers", "libc6", "libcurl4", "libgcc-s1",
                               "libpulsews0", "libstdc++6"}
    floor = re.search(r"libc6 \(>= ([\d.]+)\)", hub)[1]
    page = (ROOT / "docs/INSTALL.md").read_text()
    assert f"glibc {floor} or newer" in page.split("## Debian packages")[1].split("\n## ")[0]


def test_the_version_is_that_of_the_header(packages):
    assert {field(path, "Version") for path in packages.values()} == {f"{VERSION}-1"}
    assert {field(path, "Architecture") for path in packages.values()} == {"amd64"}


def test_the_program_looks_for_its_library_in_the_system(folders):
    assert "(RUNPATH)" not in run("readelf", "--dynamic", folders["pulsews-hub"] / "usr/bin/pulsews-hub")


# ---- The configuration

@pytest.fixture
def check(folders, tmp_path):
    def judge(text):
        path = tmp_path / "hub.toml"
        path.write_text(text.replace('"/usr/share/', f'"{folders["pulsews-hub"]}/usr/share/'))
        return subprocess.run([DIST / "pulsews-hub", "--check", path], capture_output=True, text=True, check=False)
    return judge


def test_the_configuration_is_right_and_serves_this_machine(folders, check):
    text = (folders["pulsews-hub"] / "etc/pulsews/pulsews-hub.toml").read_text()
    done = check(text)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(re.search(r"^listen = (.*)$", text, re.M)[1]) == ["127.0.0.1:8080"]
    assert (folders["pulsews-hub"] / "DEBIAN/conffiles").read_text() == "/etc/pulsews/pulsews-hub.toml\n"


def test_a_copy_of_the_page_may_have_other_settings(folders, check, tmp_path):
    """As the page says. /usr has nothing that is to be edited, and nothing of it is a conffile."""
    section = (ROOT / "docs/INSTALL.md").read_text().split("## Debian packages")[1].split("\n## ")[0]
    command, = re.findall(r"^cp -R (/\S+) (/\S+)$", section, re.M)
    line, = re.findall(r'`("/" = "/[^`]+")`', section)
    assert f'"/" = "{command[0]}"' in (DEBIAN / "pulsews-hub.toml").read_text() and line == f'"/" = "{command[1]}"'
    run("cp", "-R", f"{folders['pulsews-hub']}{command[0]}", tmp_path / "copy")
    (tmp_path / "copy/page/page.json").write_text('{"title": "Mine"}')
    done = check((DEBIAN / "pulsews-hub.toml").read_text().replace(f'"/" = "{command[0]}"', f'"/" = "{tmp_path}/copy"'))
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_commented_out_is_right_too(check):
    text, count = re.subn(r"^#: ", "", (DEBIAN / "pulsews-hub.toml").read_text(), flags=re.M)
    assert count == 8
    done = check(text)
    assert (done.returncode, done.stderr) == (0, "")
    assert "feed binance" in done.stdout


# ---- The manual pages

def test_the_manual_of_the_program_has_its_options():
    manual = (DEBIAN / "pulsews-hub.8").read_text()
    told = run(DIST / "pulsews-hub", "--help")
    assert set(re.findall(r"Fl -([\w-]+)", manual)) == set(re.findall(r"^  (?:-h, )?--([\w-]+)", told, re.M))
    codes = re.findall(r"^\.It (\d+)$", manual, re.M)
    assert codes == re.findall(r"^\| (\d+) \|", DAEMON.split("## Exit codes")[1].split("\n## ")[0], re.M)


def test_the_manual_of_the_configuration_has_its_sections_and_keys():
    manual = (DEBIAN / "pulsews-hub.toml.5").read_text().replace("\\(dq", '"')
    table = DAEMON.split("## Sections")[1].split("\n### ")[0]
    sections = re.search(r"^\.Sh SECTIONS\n(.*?)^\.Sh", manual, re.M | re.S)[1]
    assert re.findall(r"^\.It Cm \[(.+)\]$", sections, re.M) == re.findall(r"^\| `\[([^`]+)\]`", table, re.M)
    keys = set(re.findall(r"^\.Cm (\w+)", sections, re.M))
    assert len(keys) > 40
    missing = {key for key in keys if not re.search(rf"`{key}`|^{key} = ", DAEMON, re.M)}
    assert missing == set()


def test_the_manual_of_the_library_names_its_functions():
    manual = (DEBIAN / "pulsews.3").read_text()
    headers = "".join((ROOT / "include" / name).read_text() for name in ("pulsews.h", "pulsews_hub.h"))
    functions = re.findall(r"Fn (\w+)", manual)
    assert len(functions) > 10
    assert [name for name in functions if not re.search(rf"\b{name}\(", headers)] == []


@pytest.mark.parametrize("name", ["pulsews.3", "pulsews-hub.8", "pulsews-hub.toml.5"])
def test_the_manuals_are_sound(name, tmp_path):
    page = tmp_path / name
    page.write_text((DEBIAN / name).read_text().replace(".Dd DATE", ".Dd January 1, 2000"))
    assert run("mandoc", "-T", "lint", "-W", "warning", page) == ""
