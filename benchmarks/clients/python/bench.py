# SPDX-License-Identifier: Apache-2.0
"""What the Python clients share: arguments, clocks, the line of JSON. The contract is in ../c/bench.h."""

import json
import os
import resource
import sys
import time

WARM_UP = 500
BURST = 64


class Task:
    def __init__(self) -> None:
        if len(sys.argv) < 6:
            sys.exit("usage: CLIENT MEASURE URL COUNT SIZE CA [VARIANT]")
        self.measure, self.url = sys.argv[1:3]
        self.count, self.size = int(sys.argv[3]), int(sys.argv[4])
        self.ca = sys.argv[5]
        self.variant = sys.argv[6] if len(sys.argv) > 6 else ""
        self.secure = self.url.startswith("wss:")
        if self.measure == "idle":
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def start(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def done(self, messages: int, times: "list[int] | None" = None, **more: float) -> None:
        seconds, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        if times:
            times.sort()
            more["p50_us"], more["p99_us"] = times[len(times) // 2] / 1e3, times[len(times) * 99 // 100] / 1e3
        self.print(messages=messages, seconds=seconds, cpu=cpu, **more)

    def idle(self, first: int, last: int) -> None:
        self.print(messages=self.count, kib_each=(last - first) / max(self.count - 1, 1))

    def print(self, **fields: float) -> None:
        """The end of the program: what is still open is the kernel's to close."""
        print(json.dumps({"measure": self.measure, **fields}), flush=True)
        os._exit(0)


def resident_kib() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * (os.sysconf("SC_PAGESIZE") // 1024)
