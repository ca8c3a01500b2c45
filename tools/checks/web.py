# SPDX-License-Identifier: Apache-2.0
"""Whether JavaScript and TypeScript files have the head, the names and the syntax that they should have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator

from .files import ROOT, named, run

HEAD = "// SPDX-License-Identifier: Apache-2.0\n"
NAME = re.compile(r"[a-z][a-z0-9_]*(\.(test|d|global))?\.(js|ts)")
# Modules are strict by themselves, and the language has better ways now.
OLD = re.compile(r"^\s*var |[^=!]==[^=]|!=[^=]|console\.log\(|debugger;")


def _problems(name: str) -> Iterator[str]:
    if not NAME.fullmatch(Path(name).name):
        yield f"{name}: names of files are lower case, with underscores"
    text = (ROOT / name).read_text()
    if not text.startswith(HEAD):
        yield f"{name}:1: does not begin with {HEAD.strip()}"
    for number, line in enumerate(text.split("\n"), 1):
        if name.endswith(".js") and not line.lstrip().startswith(("//", "*", "/*")) and (found := OLD.search(line)):
            yield f"{name}:{number}: {found[0].strip()}"


# As `node --check` of each, in one process.
PARSE = """
const { readFileSync } = require("node:fs");
const { SourceTextModule } = require("node:vm");
for (const name of process.argv.slice(1)) {
  try {
    new SourceTextModule(readFileSync(name, "utf8"), { identifier: name });
  } catch (error) {
    console.log(error.stack.split("\\n    at")[0]);
    process.exitCode = 1;
  }
}
"""


def check() -> str:
    found = [problem for name in named(".js", ".ts") for problem in _problems(name)]
    found.append(run(["node", "--no-warnings", "--experimental-vm-modules", "-e", PARSE, *named(".js")]))
    return "\n".join(filter(None, found))
