# SPDX-License-Identifier: Apache-2.0
"""module_sizes.py LIBRARY: prints how many bytes each module has in the library, by the symbols that it was linked with.

A symbol of Swift names its module first ($e9PulseFlow...); what specialises or merges code of the standard library counts as
`Swift`, the functions of the C interface as PulseABI, other symbols of C as `C`. `rest` has no symbol: constants, tables of
the linker.
"""
import collections
import re
import subprocess
import sys

library = sys.argv[1]
sizes: "collections.Counter[str]" = collections.Counter()
for line in subprocess.run(["nm", "-S", library], check=True, capture_output=True, text=True).stdout.splitlines():
    parts = line.split()
    if len(parts) != 4 or parts[2] in "bB":
        continue
    found = re.match(r"\$e(\d+)(\w+)", parts[3])
    if found:
        module = found[2][: int(found[1])]
        module = module if module.startswith("Pulse") else "Swift"
    else:
        module = "Swift" if parts[3].startswith("$e") else "PulseABI" if parts[3].startswith("pulsews_") else "C"
    sizes[module] += int(parts[1], 16)
loaded = 0
for line in subprocess.run(["readelf", "-lW", library], check=True, capture_output=True, text=True).stdout.splitlines():
    parts = line.split()
    if parts[:1] == ["LOAD"]:
        loaded += int(parts[4], 16)
sizes["rest"] = loaded - sum(sizes.values())
if sizes["rest"] < 0:
    sys.exit(f"module_sizes: the symbols of {library} have more bytes than it loads")
print("library: " + ", ".join(f"{name} {size}" for name, size in sizes.most_common()) + " bytes")
