# SPDX-License-Identifier: Apache-2.0
"""A hub and its clients in one process, over TLS and without: run by the Python of an environment that has the wheel.

    both_ends.py FOLDER [--ca-file] [--stay] MODULE MODULE

Imports ssl and pulsews in that order. FOLDER has the hub's server.pem and server.key, and ca.pem, which counts with --ca-file;
else the system's authorities do. The first line of output is what it found, as JSON. With --stay it goes on, and exchanges a
message for each line of its input.
"""
import importlib
import json
import sys

FOLDER, *WORDS = sys.argv[1:]
for module in [word for word in WORDS if not word.startswith("--")]:
    assert module not in sys.modules
    importlib.import_module(module)
    if module == "pulsews":  # its OpenSSL starts now, and not when another is loaded
        module = sys.modules[module]
        try:
            module.connect("wss://127.0.0.1:1", reconnect=False, ca_file=f"{FOLDER}/ca.pem")
        except module.ConnectError as problem:
            assert problem.name == "PULSEWS_EREFUSED", problem

import asyncio  # noqa: E402  # brings ssl
import ssl  # noqa: E402

import pulsews  # noqa: E402
from pulsews import aio  # noqa: E402

TRUST = {"ca_file": f"{FOLDER}/ca.pem"} if "--ca-file" in WORDS else {}


async def exchange(url, text):
    async with aio.connect(url, reconnect=False, **TRUST) as ws:
        await ws.send(text)
        assert json.loads(await ws.recv(timeout=20))["type"] == "welcome"
        assert await ws.recv(timeout=20) == text


async def fetch(port):
    """The first line of the hub's status, over TLS of the interpreter's own ssl."""
    context = ssl.create_default_context(cafile=f"{FOLDER}/ca.pem")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(b"GET /ws/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.split(b"\r\n")[0].decode()


def mapped():
    """The files of both OpenSSLs in this process."""
    with open("/proc/self/maps") as maps:
        return sorted({line.split()[-1] for line in maps if "libssl" in line or "libcrypto" in line})


async def main():
    hub = pulsews.Hub(["127.0.0.1:0", "wss://127.0.0.1:0"], certificate=f"{FOLDER}/server.pem", certificate_key=f"{FOLDER}/server.key",
                      parse_json=False)

    @hub.on_message
    async def echo(peer, message):
        peer.send(message)

    async with hub:
        plain, secure = (int(address.rpartition(":")[2]) for address in hub.addresses)
        urls = [f"ws://localhost:{plain}/ws/stream", f"wss://localhost:{secure}/ws/stream"]
        for url in urls:
            await exchange(url, "over " + url)
        found = {"library": pulsews.library_version(), "package": pulsews.__version__, "file": pulsews.__file__,
                 "status": await fetch(secure), "mapped": mapped()}
        print(json.dumps(found), flush=True)
        while "--stay" in WORDS and (line := await asyncio.to_thread(sys.stdin.readline)):
            for url in urls:
                await exchange(url, line)
            print(line, end="", flush=True)


asyncio.run(main())
