# SPDX-License-Identifier: Apache-2.0
"""The library that ships says of itself what the contract says: the tables by index, the header, and one value of each."""
import ctypes
import re
import shutil
import subprocess
import sys

import pytest
from conftest import LIBRARY, ROOT, run
from generator import docs


@pytest.fixture(scope="module")
def library():
    found = ctypes.CDLL(str(LIBRARY))
    found.pulsews_config_create.restype = ctypes.c_void_p
    found.pulsews_config_free.argtypes = [ctypes.c_void_p]
    found.pulsews_config_set.argtypes = [ctypes.c_void_p, *[ctypes.c_char_p] * 3, ctypes.c_size_t]
    return found


def rows(function, columns):
    """The lines of a table whose function fills one text or number a column, until it says that there is none."""
    fields = [getattr(ctypes, column)() for column in columns]
    function.argtypes = [ctypes.c_size_t, *(ctypes.POINTER(type(field)) for field in fields)]
    found = []
    while function(len(found), *map(ctypes.byref, fields)) == 0:
        found.append(tuple(field.value.decode() if isinstance(field.value, bytes) else field.value for field in fields))
    assert function(-1, *map(ctypes.byref, fields)) != 0
    return found


def test_options(contract, library):
    assert rows(library.pulsews_option_at, ["c_char_p"] * 5) == [
        (row["name"], row["kind"], row["default"], row["allowed"], row["meaning"]) for row in contract.options]


def test_statistics(contract, library):
    assert rows(library.pulsews_statistic_at, ["c_char_p"] * 4) == [
        (row["name"], row["kind"], row["unit"], row["meaning"]) for row in contract.statistics]


def test_transitions(contract, library):
    numbers = {row["name"]: row["number"] for row in contract.states}
    assert rows(library.pulsews_transition_at, ["c_int32", "c_char_p", "c_int32", "c_char_p"]) == [
        (numbers[row["from"]], row["event"], numbers[row["to"]], row["meaning"]) for row in contract.transitions]


def test_presets(contract, library):
    assert rows(library.pulsews_preset_at, ["c_char_p"] * 3) == [
        (row["name"], row["text"], "".join(f"{name}={value}\n" for name, value in row["options"])) for row in contract.presets]


def test_errors(contract, library):
    library.pulsews_error_at.argtypes = [ctypes.c_size_t]
    library.pulsews_error_name.restype = library.pulsews_error_text.restype = ctypes.c_char_p
    found = []
    while code := library.pulsews_error_at(len(found)):
        found.append((code, library.pulsews_error_name(code).decode(), library.pulsews_error_text(code).decode(),
                      bool(library.pulsews_error_retryable(code))))
    assert found == [(row["code"], f"PULSEWS_{row['name']}", row["text"], row["retryable"]) for row in contract.errors]
    assert library.pulsews_error_at(-1) == 0 and library.pulsews_error_name(-999) == b"PULSEWS_UNKNOWN"


def test_metrics(contract, library):
    """The Prometheus text of a process without a client has each metric's name, type and meaning."""
    library.pulsews_prometheus.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.pulsews_prometheus.restype = ctypes.c_int64
    size = library.pulsews_prometheus(None, None, 0) + 1
    text = ctypes.create_string_buffer(size)
    library.pulsews_prometheus(None, text, size)
    assert re.findall(r"^# TYPE (\w+) (\w+)$", text.value.decode(), re.M) == [
        (docs.prometheus(row), row["kind"]) for row in contract.statistics]


def test_version(contract, library):
    library.pulsews_version.restype = ctypes.c_char_p
    major, minor, patch = contract.version
    assert library.pulsews_version().decode() == f"{major}.{minor}.{patch}"
    assert library.pulsews_version_number() == major << 16 | minor << 8 | patch


def setting(library, name, value):
    config, why = library.pulsews_config_create(), ctypes.create_string_buffer(512)
    status = library.pulsews_config_set(config, name.encode(), value.encode(), why, 512)
    library.pulsews_config_free(config)
    return status, why.value.decode()


def beyond(row):
    """Texts of numbers at, and one beyond, both ends of what an option takes, with whether it takes them."""
    unit = {"duration": "ns", "size": "", "integer": "", "number": ""}[row["kind"]]
    for number in {row["least"] - 1, row["least"], row["greatest"], row["greatest"] + 1, 0}:
        if number < 0:
            continue
        text = f"{number / 1000:g}" if row["kind"] == "number" else f"{number}{unit}"
        yield text, row["least"] <= number <= row["greatest"] or (number == 0 and row["zero_is_off"])


def test_each_option_takes_what_is_allowed_and_no_more(contract, library):
    for row in contract.options:
        if row["default"]:
            assert setting(library, row["name"], row["default"])[0] == 0, row["name"]
        values = [(word, True) for word in row.get("words", ())]
        if row["kind"] in ("duration", "size", "integer", "number"):
            values += beyond(row)
        elif row["kind"] in ("boolean", "choice"):
            values += [("", False), ("other", False)]
        elif "example" in row:
            values.append((row["example"], True))
        assert values or row["form"] not in ("", "own"), row["name"]
        for value, is_taken in values:
            status, why = setting(library, row["name"], value)
            assert (status == 0) == is_taken, (row["name"], value, why)
            assert is_taken or row["allowed"] in why, (row["name"], value, why)


def test_a_list_takes_no_more_than_it_says(contract, library):
    bounded = [row for row in contract.options if "most" in row]
    for row in bounded:
        config, why = library.pulsews_config_create(), ctypes.create_string_buffer(512)
        for number in range(row["most"] + 1):
            path = f"a.b{number}".encode()
            status = library.pulsews_config_set(config, row["name"].encode(), path, why, 512)
            assert (status == 0) == (number < row["most"]), (row["name"], number)
        library.pulsews_config_free(config)
        assert f"at most {row['most']}" in row["allowed"] and row["allowed"] in why.value.decode()
    assert len(bounded) >= 2


def test_a_secret_is_never_quoted(contract, library):
    """Long enough to be refused, or malformed: what is given does not come back."""
    found = 0
    for row in contract.options:
        if row.get("secret") or row["form"] == "template":
            found += 1
            for value in ("hidden${", "hidden\x01 " + "x" * 5000):
                status, why = setting(library, row["name"], value)
                assert "hidden" not in why, row["name"]
    assert found >= 7


def test_the_header_declares_the_functions(contract, tmp_path):
    """Each through a pointer of the contract's type."""
    lines = ["#include <pulsews.h>", "int main(void) {"]
    for index, row in enumerate(contract.functions):
        arguments = ", ".join(row["arguments"]) or "void"
        lines.append(f"    {row['result']} (*f{index})({arguments}) = {row['name']}; (void)f{index};")
    source = tmp_path / "functions.c"
    source.write_text("\n".join([*lines, "    return 0;", "}", ""]))
    run("gcc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT / 'include'}", "-fsyntax-only", source)


def test_the_header_declares_no_other_functions(contract, header):
    assert set(re.findall(r"\b(pulsews_\w+)\(", header)) == {row["name"] for row in contract.functions}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """What the generator reads and writes, to be spoilt."""
    folder = tmp_path_factory.mktemp("contract") / "copy"
    for name in ("contract", "tools", "include", "docs", "bindings", "packaging", "Sources", "Tests/PulseClientTests",
                 "Tests/PulseHubTests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so*"))
    return folder


def check(copy):
    done = subprocess.run([sys.executable, copy / "tools" / "generate.py", "--check"], capture_output=True, text=True)
    return done.returncode, done.stderr


def test_a_part_that_differs_is_named(copy):
    assert check(copy) == (0, "")
    options = copy / "contract" / "options.toml"
    before = options.read_text()
    options.write_text(before.replace('default = "10s"', 'default = "11s"', 1))
    status, why = check(copy)
    options.write_text(before)
    assert status == 1 and "ClientOptions.swift" in why and "OPTIONS.md" in why


@pytest.mark.parametrize("file, old, new, sentence", [
    ("options.toml", 'default = "10s"', 'default = "11 hours"', "options.toml: open_timeout: "),
    ("options.toml", 'default = "10s"', 'default = "2h"', "open_timeout: the default 2h is not allowed"),
    ("options.toml", 'group = "Connection"', 'group = "Conection"', "headers: group is one of "),
    ("options.toml", 'kind = "header"', 'kind = "heading"', "headers: kind 'heading' is none of "),
    ("options.toml", "secret = true", "secrets = true", "there is no column 'secrets'"),
    ("options.toml", "swift = 'name: String = \"\"'\n", "length_ = 1\n", "there is no column 'length_'"),
    ("options.toml", 'swift = "headers: [HTTPHeader] = []"', 'swift = "headers"', "headers: an own form needs swift"),
    ("options.toml", "length = 64", "length = 65", "name: allowed says at most 64 bytes, length says 65"),
    ("options.toml", 'maximum = "1h"', 'maximum = "1h"\nlength = 5', "open_timeout: length is for texts"),
    ("options.toml", 'words = ["event", "reconnect"]', 'words = ["event", "re connect"]', "stale_action: words are single words"),
    ("options.toml", 'default = "true"', 'default = "yes"', "reconnect: the default is true or false"),
    ("options.toml", 'example = "v1"', 'example = "v\\u0000"', "subprotocols: example has a control character"),
    ("states.toml", "number = 2", "number = 5", "states have the numbers 0, 1, 2"),
    ("states.toml", 'to = "connected"', 'to = "conected"', "there is no such state"),
    ("statistics.toml", 'unit = "seconds"', 'unit = "Seconds"', "connected_time: unit is one of "),
    ("statistics.toml", 'kind = "gauge"', 'kind = "gage"', "kind is counter or gauge"),
    ("errors.toml", "code = -101", "code = -100", "errors.toml: "),
    ("events.toml", 'type = "word"', 'type = "words"', "state: type is one of "),
    ("presets/kraken.toml", 'heartbeat_interval = "20s"', 'heartbeat_interval = "20 parsecs"', "kraken: heartbeat_interval: "),
    ("presets/kraken.toml", 'stale_action = "reconnect"', 'stale_action = "panic"', "kraken: stale_action takes event or reconnect"),
    ("presets/kraken.toml", "stale_action", "stale_acton", "kraken: there is no option stale_acton"),
    ("presets/binance-spot.toml", "_binance", "_finance", "there is no _finance.toml"),
    ("hub/options.toml", 'of = "route"', 'of = "path"', "hub/options.toml: kind: of is one of hub, route, topic"),
    ("hub/options.toml", 'of = "hub"', 'of = "topic"', "loops: the sets stand in the order hub, route, topic"),
    ("hub/options.toml", 'name = "loops"', 'name = "name"', "hub/options.toml: option name stands twice"),
    ("hub/options.toml", 'kind = "duration"', 'kind = "header"', "header_timeout: kind 'header' is none of "),
    ("hub/options.toml", 'default = "4096"', 'default = "4096000"', "backlog: the default 4096000 is not allowed"),
    ("hub/options.toml", 'default = "64KiB"', 'default = "64 kilo"', "max_message_size: size has no unit 'kilo'"),
    ("hub/options.toml", 'form = "origin"', 'form = "own"', "origin: form of a list is one of word, token, topic, origin"),
    ("hub/options.toml", '"word"\nwords_of = "events"', '"word"\nwords_of = "presets"', "events: words_of is one of events"),
    ("hub/options.toml", 'default = "drop_oldest"', 'default = "drop"', "slow_policy: the default is none of the words"),
    ("hub/options.toml", 'swift = ": SlowPolicy"\n', "", 'slow_policy: a choice needs swift = "name: Type"'),
    ("hub/options.toml", 'swift = "origins"', 'swift = "origins: List"', "origin: swift is a name"),
    ("hub/options.toml", 'example = "prices-1"\n', "", "name: column example is missing"),
    ("hub/options.toml", "length = 64\n", "length = 65\n", "name: allowed says 1 to 64 bytes, length says 65"),
    ("hub/options.toml", "most = 256\n", "", "origin: a list needs most and length"),
    ("hub/options.toml", "secret = true", "hidden = true", "there is no column 'hidden'"),
    ("hub/statistics.toml", 'kind = "gauge"', 'kind = "gage"', "hub/statistics.toml: active_connections: kind is counter or gauge"),
    ("hub/statistics.toml", 'unit = "requests"', 'unit = "calls"', "requests: unit is one of "),
    ("hub/statistics.toml", 'unit = "requests"', 'unit = "requests"\nvalue = "1"', "there is no column 'value'"),
    ("hub/events.toml", 'type = "bytes"', 'type = "byte"', "message: data: type is one of "),
    ("hub/events.toml", 'name = "address"', 'name = "adress"', "connected: struct pulsews_hub_event has no adress for text"),
    ("hub/events.toml", '"peer", type = "id"', '"peer", type = "text"', "connected: struct pulsews_hub_event has no peer for text"),
    ("hub/events.toml", 'name = "topic_idle"', 'name = "topic-idle"', "topic-idle: a name has small letters and _"),
    ("hub/functions.toml", '"pulsews_hub_set"', '"pulsews_set"', "pulsews_set: a name begins with pulsews_hub_"),
    ("hub/functions.toml", 'since = "0.1"', 'since = "now"', "pulsews_hub_create: since is a version"),
    ("hub/constants.toml", '"HUB_CONFLATE", value = 1', '"HUB_CONFLATE", value = 2', "slow policies: not the words of option slow_policy"),
    ("hub/constants.toml", 'words_of = "slow_policy"', 'words_of = "policy"', "slow policies: no option policy has words"),
])
def test_a_bad_row_is_one_sentence(copy, file, old, new, sentence):
    path = copy / "contract" / file
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new, 1))
    status, why = check(copy)
    path.write_text(before)
    assert status == 1 and sentence in why and why.count("\n") == 1, why
