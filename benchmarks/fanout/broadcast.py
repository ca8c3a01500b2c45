# SPDX-License-Identifier: Apache-2.0
"""The server of the package `websockets` with its `broadcast`. fanout.h says what a server takes and prints."""

import asyncio
import json
import os
import resource
import ssl
import sys
import time

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

peers: "set[ServerConnection]" = set()


async def handle(peer: ServerConnection) -> None:
    peers.add(peer)
    try:
        await peer.wait_closed()
    finally:
        peers.discard(peer)


def report() -> None:
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
    use = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu": use.ru_utime + use.ru_stime, "rss": resident}), flush=True)


async def publish(count: int, burst: int, micros: int, path: str) -> None:
    with open(path) as file:
        lines = file.read().split("\n")[:-1]
    due = time.monotonic()
    for number in range(count):
        if number % burst == 0:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += micros / 1e6
        broadcast(peers, f'{{"n":{1000000000 + number},"s":{time.time_ns()},"d":{lines[number % len(lines)]}}}')
    print(json.dumps({"published": count}), flush=True)


async def main() -> None:
    if len(sys.argv) != 5:
        sys.exit("usage: broadcast.py plain|tls CERTIFICATE KEY FLUSH_US")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = None
    if sys.argv[1] == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
    # As small and as fast as it gets: level 1, no memory kept between messages.
    deflate = ServerPerMessageDeflateFactory(True, True, compress_settings={"level": 1})
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with serve(handle, "127.0.0.1", 0, ssl=context, compression=None, extensions=[deflate], ping_interval=None) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        while words := (await reader.readline()).decode().split():
            if words[0] == "report":
                report()
            else:
                await publish(int(words[1]), int(words[2]), int(words[3]), words[4])
        os._exit(0)  # what is still open is the kernel's to close


asyncio.run(main())
