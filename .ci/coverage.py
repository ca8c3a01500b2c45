# SPDX-License-Identifier: Apache-2.0
"""coverage.py FILE: prints line coverage from what `llvm-cov export -summary-only` wrote: of PulseEngine by file, the least first,
and in sum; of PulseFlow in sum. What tools/generate.py writes does not count. Exit status 1 for less than LEAST percent of
PulseEngine.
"""
import json
import sys
from pathlib import Path

LEAST = 95
SOURCES = Path(__file__).resolve().parent.parent / "Sources"


def row(covered: int, count: int, name: str) -> str:
    # A hundred only for all of them.
    return f"{1000 * covered // count / 10:6.1f} %  {covered:5} of {count:5} lines  {name}"


lines: dict[str, tuple[int, int]] = {}
for file in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["data"][0]["files"]:
    name = Path(file["filename"]).resolve().relative_to(SOURCES)
    summary = file["summary"]["lines"]
    if "Generated" not in name.parts and summary["count"]:
        lines[str(name)] = (summary["covered"], summary["count"])
sums = {}
for module in ("PulseEngine", "PulseFlow"):
    part = [counts for name, counts in lines.items() if name.startswith(f"{module}/")]
    if not part:
        sys.exit(f"coverage: {sys.argv[1]} has no line of {module}")
    sums[module] = (sum(covered for covered, _ in part), sum(count for _, count in part))
for name, (covered, count) in sorted(lines.items(), key=lambda item: item[1][0] / item[1][1]):
    if name.startswith("PulseEngine/"):
        print(row(covered, count, name))
for module, (covered, count) in sums.items():
    print(row(covered, count, module))
covered, count = sums["PulseEngine"]
if 100 * covered < LEAST * count:
    sys.exit(f"coverage: less than {LEAST} % of PulseEngine")
