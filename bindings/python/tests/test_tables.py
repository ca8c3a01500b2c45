# SPDX-License-Identifier: Apache-2.0
"""The binding against the library's own tables and structs, and against the header."""

import ctypes
import re
import subprocess
from pathlib import Path

import pulsews
import pytest
from pulsews import _contract, _errors, _native
from pulsews._options import Configuration, Options

HEADER = Path(__file__).resolve().parents[3] / "include" / "pulsews.h"


def codes():
    found = []
    while _native.lib.pulsews_error_at(len(found)):
        found.append(_native.lib.pulsews_error_at(len(found)))
    return found


def named(*names):
    wanted = {"PULSEWS_" + name for name in names}
    return [code for code in codes() if _native.lib.pulsews_error_name(code).decode() in wanted]


def test_options_are_the_library_s_table():
    assert set(Options.__annotations__) == {row.name for row in pulsews.option_table()}


def test_option_rows_are_complete():
    for row in pulsews.option_table():
        assert row.type in (
            "duration", "size", "integer", "number", "boolean", "text", "choice", "header", "list"
        ), row
        assert row.meaning, row


def test_presets_are_options_that_are_taken():
    found = pulsews.presets()
    assert {"binance-spot", "binance-futures", "coinbase", "kraken", "bybit", "okx", "deribit", "alpaca"} <= set(found)
    lists = {row.name for row in pulsews.option_table() if row.type in ("header", "list")}
    for name, preset in found.items():
        assert preset["text"] and preset["options"], name
        for option, value in preset["options"].items():
            assert isinstance(value, list) == (option in lists), option
        with Configuration({"preset": name}), Configuration(preset["options"]):
            pass
    assert found["binance-spot"]["options"]["max_age"] == "23h"


def test_a_preset_stands_back_and_has_to_be_known():
    with Configuration({"preset": "bybit", "heartbeat_reply": {"op": "pong"}, "rotate_on": [{"event": "notice"}, "bye"]}):
        pass
    with pytest.raises(pulsews.InvalidArgument, match="no-such-feed"):
        with Configuration({"preset": "no-such-feed"}):
            pass


def test_every_code_has_a_class_and_texts():
    expected = {
        pulsews.InvalidArgument: named("EINVAL", "EOPTION", "EVALUE", "EURL", "EUTF8"),
        pulsews.CallTimeout: named("ETIMEOUT"),
        pulsews.NotConnected: named("ENOTCONNECTED"),
        pulsews.QueueFull: named("EQUEUEFULL"),
        pulsews.RateLimited: named("ERATE"),
        pulsews.MessagesUnsent: named("EUNSENT"),
        pulsews.LoginError: named("ELOGIN"),
        pulsews.SubscribeError: named("ESUBSCRIBE"),
        pulsews.OpenTimeout: named("EOPENTIMEOUT"),
        pulsews.HandshakeError: named("EHANDSHAKE", "EUPGRADE", "EHEADERS", "EREDIRECT"),
        pulsews.ConnectionClosed: named(
            "ECLOSED", "EPEERCLOSED", "EMOVED", "EPROTOCOL", "EPAYLOAD", "EDEFLATE"
        ),
        pulsews.ConnectError: named(
            "ERESOLVE", "EREFUSED", "EUNREACHABLE", "ERESET", "EEOF", "EDEAD", "EIO", "ESTALE",
            "ETLS", "ECERTIFICATE", "EHOSTNAME", "ETRUST", "EPROXY", "EPROXYAUTH", "ESLOW", "EEXPIRED", "ENOTYETVALID",
            "EUNKNOWNCA", "EPURPOSE", "EPIN", "ETLSVERSION", "ETRUNCATED", "ECLIENTCERT",
        ),
        pulsews.PulseError: named("EFORK", "EBUSY", "EJOURNAL", "ETOOBIG", "ENOMEM", "EFILES"),
    }
    assert sorted(code for group in expected.values() for code in group) == sorted(codes())
    for kind, group in expected.items():
        for code in group:
            assert _errors.class_of(code) is kind, code
            assert _native.lib.pulsews_error_text(code)


def test_endings_of_an_open_connection_are_connection_closed():
    for code in named(
        "ERESET", "EEOF", "EDEAD", "EIO", "ESTALE", "ESLOW", "ETLS", "ETRUNCATED", "ETOOBIG", "EPROTOCOL", "EPAYLOAD", "EDEFLATE"
    ):
        assert _errors.class_of(code, was_open=True) is pulsews.ConnectionClosed, code
    for code in named("EREFUSED", "ERESOLVE", "ECERTIFICATE", "EHOSTNAME"):
        assert _errors.class_of(code, was_open=True) is pulsews.ConnectError, code


def test_exceptions_fit_python_s_own():
    assert issubclass(pulsews.CallTimeout, TimeoutError) and issubclass(pulsews.OpenTimeout, TimeoutError)
    assert issubclass(pulsews.OpenTimeout, pulsews.ConnectError)
    assert issubclass(pulsews.LoginError, pulsews.ConnectError)
    assert issubclass(pulsews.SubscribeError, pulsews.ConnectError)
    assert issubclass(pulsews.InvalidArgument, ValueError) and issubclass(pulsews.LibraryError, ImportError)
    for name in pulsews.__all__:
        one = getattr(pulsews, name)
        if isinstance(one, type) and issubclass(one, Exception):
            assert issubclass(one, pulsews.PulseError)


def test_message_struct():
    fields = {name: getattr(_native.NativeMessage, name) for name, _ in _native.NativeMessage._fields_}
    assert ctypes.sizeof(_native.NativeMessage) == 40
    assert {name: (field.offset, field.size) for name, field in fields.items()} == {
        "data": (0, 8), "length": (8, 8), "kind": (16, 4), "flags": (20, 4),
        "received_ns": (24, 8), "sequence": (32, 8),
    }


def test_functions_and_constants_equal_the_header():
    text = HEADER.read_text()
    declared = set(re.findall(r"^(?:const )?\w[\w ]*[ *](pulsews_\w+)\(", text, re.M))
    assert declared == set(_native._FUNCTIONS)
    constants = dict(re.findall(r"PULSEWS_(\w+) = (-?\d+)", text))
    own = {name: value for name, value in vars(_contract).items() if isinstance(value, int) and name not in ("MAJOR", "MINOR")}
    states = {name.upper(): number for number, name in enumerate(_contract.STATES)}
    assert own | states == {name: int(value) for name, value in constants.items()}


@pytest.mark.parametrize("number, says", [
    (0x000200, "is libpulsews some; this package needs 0.1\n"), (0x000000, "is libpulsews some; this package needs 0.1\n"),
    (0x010100, "is libpulsews some; this package needs 0.1\n"), (0x000105, "is not a usable libpulsews: ")])
def test_another_minor_version_does_not_fit_before_1_0(tmp_path, python, monkeypatch, number, says):
    """The same rule as in Go: until 1.0 a minor version may change the interface, and have other functions."""
    source, library = tmp_path / "version.c", tmp_path / "libpulsews.so"
    source.write_text('const char *pulsews_version(void) { return "some"; }\n'
                      f"unsigned pulsews_version_number(void) {{ return {number}; }}\n")
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", library], check=True)
    monkeypatch.setenv("PULSEWS_LIBRARY", str(library))
    process = python("import pulsews")
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 1 and f"LibraryError: {library} {says}" in error, error


def test_version():
    assert re.fullmatch(re.escape(pulsews.__version__) + r" \(OpenSSL 3\.\d+\.\d+\S* .*\)", pulsews.library_version())


def test_a_library_that_misses_a_companion_is_to_be_installed_again(tmp_path, python, monkeypatch):
    own, other, source = tmp_path / "libpulsews.so", tmp_path / "libssl-0a1b2c3d.so.3", tmp_path / "empty.c"
    source.write_text("")
    subprocess.run(["gcc", "-shared", "-fPIC", source, f"-Wl,-soname,{other.name}", "-o", other], check=True)
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wl,--no-as-needed", source, other, "-o", own], check=True)
    other.unlink()
    monkeypatch.setenv("PULSEWS_LIBRARY", str(own))
    process = python("import pulsews")
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert error.endswith(f"LibraryError: libpulsews was found, but not what it needs: {own} needs {other.name}, which was installed "
                          "with it: install the package again\n"), error


@pytest.mark.parametrize("name, package", [
    ("libssl.so.3", "libssl3 "), ("libcrypto.so.3", "openssl-libs "), ("libz.so.1", "zlib1g ")])
def test_a_library_of_the_system_that_is_missing_has_a_package(name, package):
    end = ": cannot open shared object file: No such file or directory"
    assert f" needs {name}, which is in the package" in _native._needed("libpulsews.so.0", name + end)
    assert package in _native._needed("libpulsews.so.0", name + end)
    assert _native._needed(name, name + end) == _native._needed("a", f"{name}: invalid ELF header") == ""


@pytest.mark.parametrize("environment", ["/nowhere/libpulsews.so", __file__])
def test_a_library_that_does_not_load_is_one_sentence(python, monkeypatch, environment):
    monkeypatch.setenv("PULSEWS_LIBRARY", environment)
    process = python("""
try:
    import pulsews
except ImportError as problem:
    assert not problem.retryable
    raise
""")
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert "LibraryError: libpulsews was not found" in error and environment in error and "PULSEWS_LIBRARY" in error
