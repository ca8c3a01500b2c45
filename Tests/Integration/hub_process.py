# SPDX-License-Identifier: Apache-2.0
"""A hub in a process of its own: hub_process.py '{"descriptors": 64, "options": {...}, "topics": {...}}'. Prints its port;
then does what stands in each line, [name, argument, ...], and prints the result."""
import json
import resource
import sys

from hub import Hub

wanted = json.loads(sys.argv[1])
if "descriptors" in wanted:
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted["descriptors"], wanted["descriptors"]))
with Hub(topics=wanted.get("topics"), **wanted.get("options", {})) as hub:
    print(hub.port, flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(hub, name)(*arguments)), flush=True)
