# SPDX-License-Identifier: Apache-2.0
"""The reference pages say what the library does."""
import ctypes
import importlib.util
import json
import re
import subprocess
import sys

import pytest
from conftest import LIBRARY, PROGRAM, ROOT, build_tests, environment, run

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generate():
    """docs/generate.py, for the tables of the library."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def library():
    return ctypes.CDLL(str(LIBRARY))


def page(name):
    return (DOCS / name).read_text()


def keys(text):
    """The words in code style in the first column of the tables."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def sections(text):
    """Heading -> text below it, of the second level."""
    parts = re.split(r"^## (.*)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


# ---- Made from the tables

def test_generated_pages_are_up_to_date():
    run(sys.executable, DOCS / "generate.py", "--check")


def test_every_option_stands_once_with_its_type_and_default(generate, library):
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (?:`([^|]*)`)? ?\|", page("OPTIONS.md"), re.M)
    assert sorted(rows) == sorted((name, kind, default) for name, kind, default, _, _ in generate.options(library))


def test_every_code_is_in_the_page_and_in_the_header(generate, library, header):
    table = [(name, code) for code, name, _, _ in generate.errors(library)]
    assert [(name, int(code)) for code, name in re.findall(r"^\| (-\d+) \| `(\w+)`", page("ERRORS.md"), re.M)] == table
    assert [(name, int(code)) for name, code in re.findall(r"(PULSEWS_E\w+) = (-\d+)", header)] == table


def test_the_diagram_and_the_tables_show_every_transition(generate, library):
    text, names = page("STATES.md"), {number: name for number, (name, _) in generate.states().items()}
    table = {(names[start], event, names[end]) for start, event, end, _ in generate.transitions(library)}
    drawn = {(start, event, end) for start, end, events in re.findall(r"^    (\w+) --> (\w+): (.*)$", text, re.M)
             for event in events.split(", ")}
    assert drawn == table
    assert set(re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|", text, re.M)) == table
    lines = re.search(r"^```\n( .*?)^```", text, re.S | re.M)[1].splitlines()
    events = lines[0].split()
    cells = {(line.split()[0], event, end) for line in lines[1:] for event, end in zip(events, line.split()[1:])}
    assert {cell for cell in cells if cell[2] != "."} == table


def test_every_statistic_is_in_the_page_with_its_metric(generate, library):
    text = sections(page("STATISTICS.md"))
    for kind, title in (("counter", "Counters"), ("gauge", "Gauges")):
        assert [(name, unit) for name, unit in re.findall(r"^\| `(\w+)` \| (\w+) \|", text[title], re.M)] == [
            (name, unit) for name, what, unit, _ in generate.statistics(library) if what == kind]
        for name, metric in re.findall(r"^\| `(\w+)` .*`(\w+)` \|$", text[title], re.M):
            assert metric.startswith(f"pulsews_{name}") and metric.endswith("_total") == (kind == "counter")


# ---- Written by hand

def test_every_key_of_the_status_is_documented(generate, library):
    if not PROGRAM.exists():
        build_tests()
    shown = subprocess.run([PROGRAM, "status_of_an_open_client"], env=environment(), check=True, capture_output=True,
                           text=True)
    status = json.loads(shown.stdout)
    text = page("STATUS.md").partition("| key of `stats` |")
    assert keys(text[0]) == list(status)
    stats, _, endpoints = text[2].partition("| key of `endpoints` |")
    assert [name for name, *_ in generate.statistics(library)] + keys(stats) == list(status["stats"])
    assert keys(endpoints) == list(status["endpoints"][0])


def reported_events():
    """Event -> keys, from the sources: texts of JSON, whose parts may stand on several lines, and one object."""
    sources = "\n".join(path.read_text() for path in sorted((ROOT / "Sources" / "PulseClient").rglob("*.swift")))
    found = {}
    for text in re.findall(r'"\{\\"event\\":\\"(.*?\}")', sources, re.S):
        name, _, rest = text.partition('\\"')
        names = {"\\(news": ["dropped", "expired", "failed"], "\\(event)": ["stale_key", "fresh_key"]}.get(
            re.match(r"(\\\(\w+\)?)?", name)[0], [name])
        for name in names:
            assert found.setdefault(name, keys_of := set(re.findall(r'\\"(\w+)\\":', rest))) == keys_of, name
    state = re.search(r"func reportState\(.*?\n  \}", sources, re.S)[0]
    added = re.findall(r'json\.add\("(\w+)"', state)
    assert added[0] == "event"
    found["state"] = set(added[1:])
    # Steps of a rotation have more to tell.
    found["rotation"] |= {key for more in re.findall(r'tellRotation\(\s*"\w+", "(.*?)"\)', sources, re.S)
                          for key in re.findall(r'\\"(\w+)\\":', more)}
    assert len(found) >= 22  # else this reads the sources wrongly
    return found


def test_every_event_of_the_sources_is_documented_with_its_keys():
    assert {name: set(keys(text)) for name, text in sections(page("EVENTS.md")).items()} == reported_events()


def recipes():
    """(heading, lines `option = value`) of every block of settings."""
    return [(title, [line.split(" = ", 1) for line in block.splitlines()])
            for title, text in sections(page("RECIPES.md")).items()
            for block in re.findall(r"^```ini\n(.*?)^```", text, re.S | re.M)]


@pytest.mark.parametrize("title, settings", recipes(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_library_takes_the_settings_of_the_recipes(library, title, settings):
    library.pulsews_config_create.restype = ctypes.c_void_p
    library.pulsews_config_free.argtypes = [ctypes.c_void_p]
    library.pulsews_config_set.argtypes = [ctypes.c_void_p, *[ctypes.c_char_p] * 3, ctypes.c_size_t]
    config, why = library.pulsews_config_create(), ctypes.create_string_buffer(512)
    for name, value in settings:
        status = library.pulsews_config_set(config, name.encode(), value.encode(), why, 512)
        assert status == 0, f"{name} = {value}: {why.value.decode()}"
    library.pulsews_config_free(config)


def test_the_option_preset_names_them_all(generate, library):
    allowed, = (allowed for name, _, _, allowed, _ in generate.options(library) if name == "preset")
    assert re.split(", | or ", allowed) == re.findall(r"^## `?([\w-]+)`?$", page("PRESETS.md"), re.M)


def test_the_pythons_of_the_recipes_are_programs():
    for block in re.findall(r"^```python\n(.*?)^```", page("RECIPES.md"), re.S | re.M):
        compile(block, "RECIPES.md", "exec")


def anchors(text):
    """What links to headings are made of."""
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_links_lead_somewhere():
    for path in DOCS.glob("*.md"):
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", path.read_text()):
            to = DOCS / target if target else path
            assert to.exists(), f"{path.name}: {target}"
            assert not anchor or anchor in anchors(to.read_text()), f"{path.name}: {target}#{anchor}"


ELSEWHERE = {"live_only", "in_doubt_ids", "PULSEWS_LOG", "https_proxy", "all_proxy", "no_proxy"}


def test_the_names_in_the_recipes_exist(generate, library, header):
    known = {row[0] for table in (generate.options, generate.statistics) for row in table(library)}
    known |= {word for _, _, _, allowed, _ in generate.options(library) for word in re.findall(r"\w+", allowed)}
    known |= set(sections(page("EVENTS.md"))) | set(re.findall(r"\w+", header)) | set(keys(page("STATUS.md"))) | set(generate.metrics(library).values())
    text = re.sub(r"^```python\n.*?^```", "", page("RECIPES.md"), flags=re.S | re.M)
    named = re.findall(r"\b(pulsews_[a-z_]+[a-z]|PULSEWS_[A-Z_]+|(?<=`)[a-z]+(?:_[a-z]+)+(?=`))\b", text)
    assert named and set(named) - known - ELSEWHERE == set()
