# SPDX-License-Identifier: Apache-2.0
"""A hub in a process of its own: hub_process.py '{"descriptors": 64, "options": {...}, "topics": {...}, "routes": {...},
"listen": "127.0.0.1:8080", "secret": "of a key for HS256"}'. Prints its port; then does what stands in each line,
[name, argument, ...], and prints the result."""
import json
import resource
import sys

from hub import Hub

wanted = json.loads(sys.argv[1])
if "descriptors" in wanted:
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted["descriptors"], wanted["descriptors"]))
keys = {"main": ("HS256", wanted["secret"].encode())} if "secret" in wanted else {}
with Hub(wanted.get("listen", "127.0.0.1:0"), topics=wanted.get("topics"), routes=wanted.get("routes"), keys=keys,
         **wanted.get("options", {})) as hub:
    print(hub.port, flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(hub, name)(*arguments)), flush=True)
