# SPDX-License-Identifier: Apache-2.0
"""The README's examples are programs: they compile, and what they name exists."""
import os
import pathlib
import re
import subprocess

from conftest import ROOT
from peers import payload

README = (ROOT / "README.md").read_text()


def example(language):
    return re.search(rf"```{language}\n(.*?)```", README, re.S)[1]


def test_c_compiles(tmp_path):
    (tmp_path / "app.c").write_text(example("c"))
    library = pathlib.Path(os.environ["PULSEWS_LIBRARY"]).parent
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", tmp_path / "app.c",
                    f"-I{ROOT / 'include'}", f"-L{library}", "-lpulsews", "-o", tmp_path / "app"], check=True)


def test_python_runs(servers, capsys):
    url = servers.peer("websockets") + "/send?count=3&size=10&kind=text"
    exec(compile(re.sub(r'"wss://[^"]*"', repr(url), example("python")), "README.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [payload(index, 10, "text") for index in range(3)]


def test_go_compiles(tmp_path):
    (tmp_path / "main.go").write_text(example("go"))
    (tmp_path / "go.mod").write_text(
        f"module example\n\ngo 1.21\n\nrequire pulsews.dev/go v0.0.0\n\nreplace pulsews.dev/go => {ROOT / 'bindings' / 'go'}\n")
    subprocess.run(["go", "vet", "."], cwd=tmp_path, check=True)


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
