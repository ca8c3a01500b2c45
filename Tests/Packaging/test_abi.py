# SPDX-License-Identifier: Apache-2.0
"""What the release promised: kept by what is here, each kind of break is found, and a program of the first header runs."""
import http
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.sync.server import serve

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = (pathlib.Path(os.environ["DIST"]) / "libpulsews.so.0").resolve()
ABI = ROOT / "packaging/abi"
FIRST = ABI / "first"
RELEASE = json.loads((ABI / "release.json").read_text())


def check(*arguments):
    """(exit status, what it says)"""
    done = subprocess.run([sys.executable, "-B", ABI / "check.py", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def said(output, word):
    return re.findall(rf"^  {word}: (.*)$", output, re.M)


@pytest.fixture
def changed(tmp_path):
    """A function that compares headers in which a text was changed; returns what is broken and what was added."""
    shutil.copytree(ROOT / "include", tmp_path / "include")

    def tried(*changes):
        for old, new in changes:
            files = [file for file in (tmp_path / "include").glob("*.h") if old in file.read_text()]
            assert len(files) == 1 and files[0].read_text().count(old) == 1, f"{old!r} stands in {files}"
            files[0].write_text(files[0].read_text().replace(old, new))
        status, output = check("--include", tmp_path / "include", LIBRARY)
        assert (status != 0) == bool(said(output, "broken")), output
        return said(output, "broken"), said(output, "added")

    return tried


def library(folder, exports, soname):
    """A library without a body that has these symbols."""
    names = [name.partition("@")[0] for name in exports]
    (folder / "empty.c").write_text("".join(f"void {name}(void) {{}}\n" for name in names))
    (folder / "empty.map").write_text(f"PULSEWS_0 {{ global: {''.join(f'{name}; ' for name in names)} local: *; }};\n")
    subprocess.run(["gcc", "-shared", "-fPIC", f"-Wl,-soname={soname}", f"-Wl,--version-script={folder / 'empty.map'}",
                    folder / "empty.c", "-o", folder / "empty.so"], check=True)
    return folder / "empty.so"


# ---- the headers and the library as they are


def test_the_release_is_kept():
    status, output = check(LIBRARY)
    assert status == 0, output
    assert output.endswith(f"abi: programs that were built with {RELEASE['version']} ({RELEASE['soname']}) run\n")
    page = (ROOT / "docs/INSTALL.md").read_text().split("\n## Versions\n")[1].split("\n## ")[0]
    assert f"`{RELEASE['soname']}`" in page and "Programs compiled with the first header of 0.1 run." in page


def test_the_release_is_whole():
    """By another way than the debug information: the texts of the headers."""
    text = (ROOT / "include/pulsews.h").read_text() + (ROOT / "include/pulsews_hub.h").read_text()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    assert set(RELEASE["functions"]) <= set(re.findall(r"\b(pulsews_\w+)\(", text))
    enumerators = dict(re.findall(r"^    (PULSEWS_\w+) = (-?\d+)", text, re.M))
    assert len(enumerators) > 90
    assert {name: value for name, value in RELEASE["constants"].items() if name in enumerators} == {
        name: value for name, value in enumerators.items() if name in RELEASE["constants"]}
    assert set(RELEASE["constants"]) - set(enumerators) == {"PULSEWS_FOREVER", "PULSEWS_ERROR_SIZE"}
    assert RELEASE["types"]["pulsews_message"]["size"] == 40 and RELEASE["types"]["pulsews_hub_event"]["size"] == 128
    assert {name.partition("@")[0] for name in RELEASE["exports"]} == set(RELEASE["functions"])


# ---- what breaks a program

MEMBER = "    uint32_t flags;       /* PULSEWS_ASCII | PULSEWS_COMPRESSED */\n"
RESERVED = "    uint64_t reserved[2]; /* 0 */\n"


@pytest.mark.parametrize("old, new, broken", [
    pytest.param("int64_t pulsews_purge(pulsews_client *client);", "", ["function pulsews_purge is gone from the headers"],
                 id="function-removed"),
    pytest.param("pulsews_purge(pulsews_client *client)", "pulsews_purge(pulsews_client *client, int32_t some)", [
        "function pulsews_purge was int64 (pulsews_client *), and is int64 (pulsews_client *, int32)"], id="parameter-added"),
    pytest.param("pulsews_loop_create(uint32_t flags", "pulsews_loop_create(int32_t flags", [
        "function pulsews_loop_create was int32 (uint32, pulsews_loop **, char *, uint64), "
        "and is int32 (int32, pulsews_loop **, char *, uint64)"], id="parameter-of-another-type"),
    pytest.param("int64_t pulsews_purge", "int32_t pulsews_purge", [
        "function pulsews_purge was int64 (pulsews_client *), and is int32 (pulsews_client *)"], id="result-of-another-type"),
    pytest.param(MEMBER, "    uint32_t more;\n" + MEMBER, [
        "struct pulsews_message had 40 bytes, and has 48",
        "struct pulsews_message: member flags was uint32 at 20, and is uint32 at 24",
        "struct pulsews_message: member received_ns was int64 at 24, and is int64 at 32",
        "struct pulsews_message: member sequence was uint64 at 32, and is uint64 at 40",
        "struct pulsews_message has the new member more, uint32 at 20, where nothing was reserved"], id="member-inserted"),
    pytest.param(MEMBER, "    int32_t flags;\n", [
        "struct pulsews_message: member flags was uint32 at 20, and is int32 at 20"], id="member-of-another-type"),
    pytest.param(MEMBER, MEMBER.replace("flags", "marks"), [
        "struct pulsews_message has lost its member flags, uint32 at 20",
        "struct pulsews_message has the new member marks, uint32 at 20, where nothing was reserved"], id="member-renamed"),
    pytest.param(RESERVED, RESERVED.replace("[2]", "[3]"), [
        "struct pulsews_hub_event had 128 bytes, and has 136",
        "struct pulsews_hub_event: reserved, uint64[3] at 112 (24 bytes), is where nothing was reserved"], id="struct-grown"),
    pytest.param("PULSEWS_EBUSY = -106", "PULSEWS_EBUSY = -107", ["constant PULSEWS_EBUSY was -106, and is -107"], id="error-code-moved"),
    pytest.param("PULSEWS_RECONNECTING = 3, ", "PULSEWS_PAUSED = 3, PULSEWS_RECONNECTING = 4, ", [
        "constant PULSEWS_RECONNECTING was 3, and is 4"], id="enumerator-moved"),
    pytest.param("    PULSEWS_LOOP_NO_THREAD = 1 ", "    PULSEWS_LOOP_OTHER = 1 ", [
        "constant PULSEWS_LOOP_NO_THREAD is gone from the headers"], id="enumerator-removed"),
    pytest.param("PULSEWS_ERROR_SIZE 512", "PULSEWS_ERROR_SIZE 256", [
        "constant PULSEWS_ERROR_SIZE was 512 as int32, and is 256 as int32"], id="macro-of-another-value"),
    pytest.param("PULSEWS_SECONDS(s) ((int64_t)((s) * 1000000000LL))", "PULSEWS_SECONDS(s) ((int64_t)((s) * 1000000LL))", [
        "macro PULSEWS_SECONDS(s) was ((int64_t)((s) * 1000000000LL)), and is ((int64_t)((s) * 1000000LL))"], id="macro-of-another-text"),
])
def test_each_kind_of_break_is_found(changed, old, new, broken):
    assert changed((old, new))[0] == broken


def test_a_type_of_another_kind_is_found(changed):
    found, _ = changed(("typedef struct pulsews_batch pulsews_batch;", "typedef void pulsews_batch;"))
    assert "function pulsews_batch_create was pulsews_batch * (void), and is void * (void)" in found
    assert "type pulsews_batch was opaque, and is void" in found


def test_a_changed_type_of_a_callback_is_found(changed, tmp_path):
    """There is none yet: a release that has one is made for this."""
    include, release = tmp_path / "include", tmp_path / "release.json"
    place = "uint32_t pulsews_version_number(void);"
    callback = "typedef int32_t (*pulsews_callback)(void *context, int64_t number, const char *text);"
    changed((place, f"{place}\n{callback}\nint32_t pulsews_call(pulsews_callback callback, void *context);"))
    assert check("--include", include, "--release", release, "--write", LIBRARY)[0] == 0
    changed((callback, callback.replace("int64_t", "int32_t")))
    status, output = check("--include", include, "--release", release, LIBRARY)
    assert status != 0
    was, now = (f"int32 (*)(void *, {number}, const char *)" for number in ("int64", "int32"))
    assert said(output, "broken") == [f"function pulsews_call was int32 ({was}, void *), and is int32 ({now}, void *)",
                                      f"type pulsews_callback was {was}, and is {now}"]


def test_a_symbol_that_is_missing_is_found(tmp_path):
    status, output = check(library(tmp_path, [name for name in RELEASE["exports"] if "flush" not in name], RELEASE["soname"]))
    assert status != 0 and said(output, "broken") == ["symbol pulsews_flush@PULSEWS_0 is gone from the library"]
    assert output.endswith(f"abi: programs that were built with {RELEASE['version']} ({RELEASE['soname']}) would not run: take back "
                           "what is broken, or give the library another soname (CONTRIBUTING.md, Releases)\n")


# ---- what does not


@pytest.mark.parametrize("changes, added", [
    pytest.param([("int64_t pulsews_purge(", "int32_t pulsews_new(void);\nint64_t pulsews_purge(")], ["function pulsews_new"],
                 id="function"),
    pytest.param([("PULSEWS_EBUSY = -106", "PULSEWS_ENEW = -107, PULSEWS_EBUSY = -106")], ["constant PULSEWS_ENEW"], id="error-code"),
    pytest.param([(RESERVED, "    uint32_t level;\n    uint32_t reserved2;\n    uint64_t reserved;\n")], [
        "struct pulsews_hub_event: member level, uint32 at 112, in what was reserved"], id="member-in-what-was-reserved"),
    pytest.param([("typedef struct pulsews_batch pulsews_batch;",
                   "typedef struct pulsews_batch pulsews_batch;\ntypedef struct pulsews_pair { int32_t a, b; } pulsews_pair;")],
                 ["type pulsews_pair"], id="type"),
    pytest.param([("pulsews_purge(pulsews_client *client)", "pulsews_purge(pulsews_client *which)"),
                  ("pulsews_loop_create(uint32_t flags", "pulsews_loop_create(unsigned int flags")], [], id="other-words-for-the-same"),
    pytest.param([("PULSEWS_VERSION_MINOR 1", "PULSEWS_VERSION_MINOR 2")], [], id="version"),
])
def test_additions_pass(changed, changes, added):
    assert changed(*changes) == ([], added)


def test_a_release_is_not_written_over_what_is_broken(changed, tmp_path):
    """But with another soname it is: no program of the release loads that library."""
    changed(("PULSEWS_EBUSY = -106", "PULSEWS_EBUSY = -107"))
    release = shutil.copy(ABI / "release.json", tmp_path)
    arguments = ["--include", tmp_path / "include", "--release", release, "--write"]
    status, output = check(*arguments, LIBRARY)
    assert status != 0 and said(output, "broken") == ["constant PULSEWS_EBUSY was -106, and is -107"]
    assert json.loads((tmp_path / "release.json").read_text()) == RELEASE
    status, output = check(*arguments, library(tmp_path, RELEASE["exports"], "libpulsews.so.1"))
    assert status == 0 and len(said(output, "broken")) == 2
    assert json.loads((tmp_path / "release.json").read_text())["constants"]["PULSEWS_EBUSY"] == "-107"


# ---- the first header


def test_what_the_first_header_promised_is_kept(tmp_path):
    first = tmp_path / "first.json"
    assert check("--include", FIRST, "--release", first, "--write", LIBRARY)[0] == 0
    functions = json.loads(first.read_text())["functions"]
    program = (FIRST / "program.c").read_text()
    assert len(functions) == 36 and [name for name in functions if not re.search(rf"\b{name}\b", program)] == []
    status, output = check("--release", first, LIBRARY)
    assert status == 0 and said(output, "broken") == [], output


def test_a_program_of_the_first_header_runs(tmp_path):
    program = tmp_path / "program"
    subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-I{FIRST}", FIRST / "program.c", f"-L{LIBRARY.parent}",
                    "-lpulsews", "-o", program], check=True)

    def answer(connection):
        for message in connection:
            connection.send(message)

    def process(connection, request):
        if request.path == "/refused":
            return Response(http.HTTPStatus.FORBIDDEN.value, "Forbidden", Headers({"Cause": "region", "Content-Length": "13"}),
                            b"not from here")

    with serve(answer, "127.0.0.1", 0, subprotocols=["orders"], process_request=process) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        done = subprocess.run([program, str(port)], env={"LD_LIBRARY_PATH": str(LIBRARY.parent)}, capture_output=True, text=True)
        server.shutdown()
        thread.join()
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\n", "")
